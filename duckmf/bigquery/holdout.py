"""DATA_SPLIT_...: which rows of the query are held out.

'NO_SPLIT'    none (BigQuery's default for matrix factorization)
'RANDOM'      DATA_SPLIT_EVAL_FRACTION of the pairs, by a hash of user and item: the same ones for
              the same data; without a fraction as 'AUTO_SPLIT'
'AUTO_SPLIT'  by the number of rows: none below 500, a fifth up to 50,000, else 10,000
'SEQ'         the last DATA_SPLIT_EVAL_FRACTION (0.2) in the order of DATA_SPLIT_COL: the rows from
              a certain value on, and those without a value
'CUSTOM'      where the BOOLEAN DATA_SPLIT_COL is true or NULL

They decide when training stops, and ML.EVALUATE(MODEL m) is about them. Random shares are
approximate, as in BigQuery.

Where options are searched there are two kinds: the trials are judged by the rows for evaluation,
and ML.EVALUATE(MODEL m) is about those for the test, which nothing was trained on. 'RANDOM' takes
DATA_SPLIT_EVAL_FRACTION and DATA_SPLIT_TEST_FRACTION (0 if left out); without them, and for
'AUTO_SPLIT' (the default), both are a tenth. 'CUSTOM' has a column of 'TRAIN', 'EVAL' and 'TEST'.
Below 500 rows 'AUTO_SPLIT' holds out a tenth to judge the trials, and has no test.
"""

from __future__ import annotations

from dataclasses import dataclass

from duckmf.bigquery.names import identifier, literal
from duckmf.bigquery.reader import Constant
from duckmf.errors import BigQueryError

METHODS = ("AUTO_SPLIT", "RANDOM", "CUSTOM", "SEQ", "NO_SPLIT")
FEW, MANY = 500, 50_000  # rows
SHARE, PART = 0.2, 10_000  # held out: a share, or of many rows so many
TENTH = 0.1


@dataclass(frozen=True)
class DataSplit:
    """How rows are held out of training."""

    method: str = "NO_SPLIT"
    fraction: float = 0.0  # 0 for 'AUTO_SPLIT', and for 'RANDOM' as 'AUTO_SPLIT'
    column: str = ""
    test: float | None = None  # the share for the test, where options are searched

    @property
    def by_count(self) -> bool:
        """Whether the share depends on the number of rows."""
        return self.method in ("AUTO_SPLIT", "RANDOM") and not self.fraction

    def of(self, n: int) -> DataSplit:
        """The same for a query of n rows."""
        if not self.by_count:
            return self
        if n < FEW:
            return DataSplit()
        if self.test is not None:
            return DataSplit("RANDOM", TENTH, "", TENTH)
        return DataSplit("RANDOM", SHARE if n <= MANY else PART / n)

    def part(self, user: str, item: str) -> str | None:
        """SQL for 'TRAIN', 'EVAL' or 'TEST', where options are searched; None for no parts."""
        if self.method == "CUSTOM":
            column = identifier(self.column)
            refusal = literal(f"CREATE MODEL: DATA_SPLIT_COL {self.column} is ")
            return (
                f"CASE WHEN upper({column}::VARCHAR) IN ('TRAIN', 'EVAL', 'TEST') "
                f"THEN upper({column}::VARCHAR) ELSE error({refusal} "
                f"|| coalesce({column}::VARCHAR, 'NULL') "
                f"|| ' in a row; give TRAIN, EVAL or TEST.') END"
            )
        if self.method == "NO_SPLIT":
            return None
        pair = f"hash(hash({identifier(user)}, {identifier(item)}))"
        test = self.test or 0.0
        return (
            f"CASE WHEN {pair} < {self.fraction!r} * 2 ^ 64 THEN 'EVAL' "
            f"WHEN {pair} < {self.fraction + test!r} * 2 ^ 64 THEN 'TEST' ELSE 'TRAIN' END"
        )

    def held_out(self, user: str, item: str, rows: str) -> str | None:
        """SQL for whether a row of the relation `rows` is held out; None where none is."""
        if self.method == "NO_SPLIT":
            return None
        if self.method == "RANDOM":
            pair = f"hash(hash({identifier(user)}, {identifier(item)}))"
            return f"{pair} < {self.fraction!r} * 2 ^ 64"
        column = identifier(self.column)
        if self.method == "CUSTOM":
            refusal = f"CREATE MODEL: DATA_SPLIT_COL {self.column} is no BOOLEAN but "
            text = literal(refusal)
            return (
                f"CASE WHEN typeof({column}) <> 'BOOLEAN' THEN error({text} || typeof({column}) "
                f"|| '; give a column that is TRUE for the rows to hold out.') "
                f"ELSE coalesce({column}::VARCHAR::BOOLEAN, true) END"
            )
        return f"""{column} IS NULL OR {column} >= (
    SELECT min(q.v)
    FROM (
        SELECT {column} AS v, row_number() OVER (ORDER BY {column} NULLS LAST) AS place FROM {rows}
    ) q
    WHERE q.place > (SELECT count(*) FROM {rows}) * {1 - self.fraction!r}
)"""


def split_of(options: dict[str, Constant], *, tuned: bool) -> DataSplit:
    """Read the options of the split.

    Raises:
        BigQueryError: a value is wrong, missing or not used by the method.
    """
    default = "AUTO_SPLIT" if tuned else "NO_SPLIT"
    method = str(options.get("DATA_SPLIT_METHOD") or default).upper()
    if method not in METHODS:
        names = ", ".join(f"'{name}'" for name in METHODS)
        raise _error(f"DATA_SPLIT_METHOD is {options['DATA_SPLIT_METHOD']!r}; give one of {names}.")
    if tuned and method in ("NO_SPLIT", "SEQ"):
        raise _error(
            f"DATA_SPLIT_METHOD is '{method}', but trials are judged by rows that 'RANDOM' holds "
            "out, or 'CUSTOM' names; give one of them."
        )
    test = _test(options, tuned)
    return DataSplit(method, _fraction(method, options), _column(method, options), test)


def _test(options: dict[str, Constant], tuned: bool) -> float | None:
    test = options.get("DATA_SPLIT_TEST_FRACTION")
    if test is None:
        return 0.0 if tuned else None
    if not tuned:
        raise _error("DATA_SPLIT_TEST_FRACTION belongs to a search; give NUM_TRIALS too.")
    share = options.get("DATA_SPLIT_EVAL_FRACTION")
    if not isinstance(share, int | float) or not isinstance(test, int | float):
        raise _error("DATA_SPLIT_TEST_FRACTION needs DATA_SPLIT_EVAL_FRACTION; give both.")
    if not share + test < 1:
        raise _error(f"DATA_SPLIT_TEST_FRACTION is {test!r}; leave some rows for training.")
    return float(test)


def _fraction(method: str, options: dict[str, Constant]) -> float:
    fraction = options.get("DATA_SPLIT_EVAL_FRACTION")
    if fraction is None:
        return SHARE if method == "SEQ" else 0.0
    if method not in ("RANDOM", "SEQ"):
        raise _error(f"DATA_SPLIT_EVAL_FRACTION is not used by '{method}'; leave it out.")
    if not (isinstance(fraction, int | float) and 0 < fraction < 1):
        raise _error(f"DATA_SPLIT_EVAL_FRACTION is {fraction!r}; give a number between 0 and 1.")
    return float(fraction)


def _column(method: str, options: dict[str, Constant]) -> str:
    column = options.get("DATA_SPLIT_COL")
    if method not in ("CUSTOM", "SEQ"):
        if column is not None:
            raise _error(f"DATA_SPLIT_COL is not used by '{method}'; leave it out.")
        return ""
    if column is None:
        raise _error(f"'{method}' needs DATA_SPLIT_COL; give the name of a column of the query.")
    return str(column)


def _error(what: str) -> BigQueryError:
    return BigQueryError(f"CREATE MODEL: {what}")
