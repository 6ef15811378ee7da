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


class CommandError(DuckMFError):
    """A command that cannot do what it was asked to."""


def named(error: DuckMFError, function: str) -> DuckMFError:
    """The same error as `function` says it: what learns calls itself `mf_fit`."""
    text = str(error)
    return (
        type(error)(function + text.removeprefix("mf_fit")) if text.startswith("mf_fit:") else error
    )


class BigQueryError(DuckMFError):
    """A statement of BigQuery ML that is not written right, or that duckmf cannot honour."""
