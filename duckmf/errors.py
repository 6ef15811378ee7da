"""The errors that users meet.

Each message says: *what is wrong, with the value; what to do.* The function that was called stands
before it in the end: the border between SQL and Python knows its name, what raises does not.
"""


class DuckMFError(ValueError):
    """Any mistake that duckmf explains; the parent of the others."""


class OptionError(DuckMFError):
    """An option that is unknown, out of range, or not used by the algorithm."""


class DataError(DuckMFError):
    """A source whose rows cannot be trained on."""


class TrainingError(DuckMFError):
    """A training that could not go on: it diverged, or its statement was given up."""


class CommandError(DuckMFError):
    """A command that cannot do what it was asked to."""


class BigQueryError(DuckMFError):
    """A statement of BigQuery ML that is not written right, or that duckmf cannot honour."""
