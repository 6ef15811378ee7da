"""The errors that users meet.

Each message says: *function: what is wrong, with the value; what to do.*
"""


class DuckMFError(ValueError):
    """Any mistake that duckmf explains; the parent of the others."""


class OptionError(DuckMFError):
    """An option that is unknown, out of range, or not used by the algorithm."""


class DataError(DuckMFError):
    """A source whose rows cannot be trained on."""


class TrainingError(DuckMFError):
    """A training that could not go on: it diverged, or its statement was given up."""
