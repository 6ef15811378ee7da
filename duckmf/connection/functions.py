"""The Python functions behind the `mf_` macros: their names and SQL types.

What they do is in `calls.py`, which is imported on the first call: a connection that never trains
never loads NumPy, Arrow or numba.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from duckmf.connection import sqlfiles
from duckmf.connection.connections import Connections

if TYPE_CHECKING:
    from duckmf.connection.calls import Calls

TEMPORAL = sqlfiles.type_of("mf__no_time_terms")
UNCERTAINTY = sqlfiles.type_of("mf__no_uncertainty")
FACTS = sqlfiles.type_of("mf__no_facts")

# What the functions return. Each has an error, in the name of the function that was called, for
# which the rest is NULL.
BEGUN = "STRUCT(run BIGINT, error VARCHAR)"
TAKEN = "STRUCT(n BIGINT, error VARCHAR)"
LOG = (
    "STRUCT(number INTEGER, train_loss DOUBLE, validation_loss DOUBLE, seconds DOUBLE, "
    "more BOOLEAN, error VARCHAR)"
)
ROW = (
    "STRUCT(ratings BIGINT, bias FLOAT, factors FLOAT[], implicit_factors FLOAT[], "
    "seen INTEGER[], seen_ratings FLOAT[], seen_times DOUBLE[], "
    f"temporal {TEMPORAL}, uncertainty {UNCERTAINTY}, error VARCHAR)"
)
MODEL = (
    f"STRUCT(ratings BIGINT, bias FLOAT, temporal {TEMPORAL}, uncertainty {UNCERTAINTY}, "
    f"facts {FACTS}, info VARCHAR, error VARCHAR)"
)
LAID_OUT = "STRUCT(number BIGINT, error VARCHAR)"
PICK = "STRUCT(code INTEGER, score FLOAT)"
PICKED = f"STRUCT(picks {PICK}[], error VARCHAR)"
PROJECTED = "STRUCT(rows STRUCT(bias FLOAT, factors FLOAT[])[], error VARCHAR)"
HEAD = (
    "STRUCT(models BIGINT, algorithm VARCHAR, feedback VARCHAR, n_factors INTEGER, loss VARCHAR, "
    "train_loss DOUBLE, validation_loss DOUBLE, trained_at TIMESTAMP, seconds DOUBLE, "
    "users BIGINT, items BIGINT, ratings BIGINT, bytes BIGINT, problem VARCHAR, error VARCHAR)"
)

# Rows of a model in lists
BATCH = (
    "STRUCT(codes INTEGER[], ratings BIGINT[], bias FLOAT[], factors FLOAT[][], "
    f"implicit_factors FLOAT[][], temporal {TEMPORAL}[], seen INTEGER[][], "
    "seen_ratings FLOAT[][], seen_times DOUBLE[][])"
)

# name: the types of its parameters, and of what it returns
SIGNATURES: dict[str, tuple[list[str], str]] = {
    "mf__begin": (["VARCHAR", "BIGINT"], BEGUN),
    "mf__gather": (
        [
            *("BIGINT", "INTEGER[]", "INTEGER[]", "FLOAT[]", "BOOLEAN[]", "DOUBLE[]"),
            *("BOOLEAN[]", "INTEGER[]"),
        ],
        TAKEN,
    ),
    "mf__stored": (["BIGINT", "VARCHAR", BATCH], TAKEN),
    "mf__start": (["BIGINT", "BIGINT", "BIGINT", "BIGINT", "BIGINT"], LOG),
    "mf__epoch": (["BIGINT"], LOG),
    "mf__user_rows": (["BIGINT", "INTEGER", "INTEGER"], ROW),
    "mf__item_rows": (["BIGINT", "INTEGER", "INTEGER"], ROW),
    "mf__finish": (["BIGINT", "BIGINT"], MODEL),
    "mf__lay_out": (
        [
            *("VARCHAR", "BIGINT", "BIGINT", "INTEGER", "BOOLEAN", "BOOLEAN"),
            *("INTEGER[]", "INTEGER[]", "FLOAT[]", "FLOAT[][]", "DOUBLE", "FLOAT[]", "FLOAT[][]"),
        ],
        LAID_OUT,
    ),
    "mf__top": (["BIGINT", "BIGINT", "FLOAT", "FLOAT[]", "INTEGER[]"], PICKED),
    "mf__fixed": (["VARCHAR", BATCH, BATCH], LAID_OUT),
    "mf__solve": (
        ["BIGINT", "INTEGER[]", "FLOAT[]", "DOUBLE[]", "INTEGER[]", "FLOAT[]", "DOUBLE[]"],
        ROW,
    ),
    "mf__project_numbers": (
        ["VARCHAR", "BIGINT[]", "FLOAT[]", "FLOAT[][]", "DOUBLE[][]", "DOUBLE[][]"],
        PROJECTED,
    ),
    "mf__project_texts": (
        ["VARCHAR", "BIGINT[]", "FLOAT[]", "FLOAT[][]", "VARCHAR[][]", "VARCHAR[][]"],
        PROJECTED,
    ),
    "mf__model_head": (["VARCHAR"], HEAD),
}
# Those whose result depends on their arguments alone: DuckDB may filter rows before it calls them.
PURE = frozenset({"mf__top"})


class Udfs:
    """The functions of one database instance, and what statements have under way there."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.calls: Calls | None = None
        self._first = threading.Lock()  # two threads may make the first call at once
        self.functions = {name: self._function(name) for name in SIGNATURES}

    def _function(self, name: str) -> Callable[..., Any]:
        def call(*columns: Any) -> Any:
            return getattr(self._made(), name.removeprefix("mf__"))(*columns)

        # DuckDB counts the parameters of the function against its SQL types
        n = len(SIGNATURES[name][0])
        parameters = [Parameter(f"column_{i}", Parameter.POSITIONAL_ONLY) for i in range(n)]
        call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return call

    def _made(self) -> Calls:
        with self._first:
            if self.calls is None:
                from duckmf.connection.calls import Calls

                self.calls = Calls(self.connections)
            return self.calls

    def start_anew(self) -> None:
        """In a forked process: what is under way, and may hold locks, is the parent's."""
        self.calls, self._first = None, threading.Lock()
