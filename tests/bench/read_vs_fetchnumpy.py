"""Reading ratings from a DuckDB table into CSR and CSC, against fetchnumpy of the same columns.

20 M ratings of MovieLens-20M shape in a database file, two threads, interleaved. `read` is the part
of mf_fit before the first epoch, as it reports it, plus what the statement did before (materialize
the source, count, encode). Run: python -m tests.bench.read_vs_fetchnumpy [ratings]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa

import duckmf
from tests.bench.known_truth import Known

ROUNDS = 5


def write(path: Path, n: int, id_type: str) -> None:
    """A table of n ratings, its ids of a type."""
    train = Known.make(max(n // 145, 10), max(n // 740, 10), n).train
    table = pa.table({"u": train.users, "i": train.items, "r": train.values})
    with duckmf.connect(path) as con:
        con.register("arrived", table)
        con.execute(
            "create table ratings as "
            f"select u::{id_type} as user_id, i::{id_type} as item_id, r as rating from arrived"
        )


def fetch(con: duckdb.DuckDBPyConnection) -> float:
    """Seconds of fetchnumpy."""
    began = time.perf_counter()
    con.execute("select user_id, item_id, rating from ratings").fetchnumpy()
    return time.perf_counter() - began


def read(con: duckdb.DuckDBPyConnection) -> float:
    """Seconds of mf_fit until its first epoch: all of it less the epoch and what follows."""
    began = time.perf_counter()
    con.execute(
        "create or replace temp table m as from mf_fit(ratings, user_id, item_id, rating, "
        "algorithm := 'popularity')"
    )
    seconds = time.perf_counter() - began
    (after,) = con.execute(
        "select (info->>'seconds')::double - (info->>'read_seconds')::double from m "
        "where kind = 'model'"
    ).fetchone()
    return seconds - after


def compare(n: int, id_type: str) -> None:
    """Print the medians of both and of their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.duckdb"
        write(path, n, id_type)
        with duckmf.connect(path, config={"threads": 2}) as con:
            pairs = [(read(con), fetch(con)) for _ in range(ROUNDS + 1)][1:]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"{n:,} ratings, {id_type} ids: read {ours:.2f} s, fetchnumpy {theirs:.2f} s, {ratio:.2f}x"
    )


if __name__ == "__main__":
    ratings = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
    print(f"duckdb {duckdb.__version__}")
    for kind in ("integer", "varchar"):
        compare(ratings, kind)
