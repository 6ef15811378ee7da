"""What a dashboard waits for: published relations of 138 k users, 27 k items and 64 factors.

A model of random numbers with the columns of mf_fit is published twice, stored and as views, with
titles. Each statement is run in turn with the others on one warm connection; printed are the
medians of the wall clock and of the processor time. `no such user` is what planning costs,
`max(prediction)` adds the arithmetic, the others what the client makes of the rows.
Run: python -m tests.bench.dashboard
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa

import duckmf

N_USERS, N_ITEMS, N_FACTORS, N_SEEN = 138_000, 27_000, 64, 145
ROUNDS = 21

STATEMENTS = {
    "predictions, no such user": ("from films_predictions where user_id = -1", "fetchall"),
    "predictions of a user, max()": (
        "select max(prediction) from films_predictions where user_id = 4242",
        "fetchall",
    ),
    "predictions of a user, best 100": (
        "from films_predictions where user_id = 4242 order by prediction desc limit 100",
        "fetchall",
    ),
    "predictions of a user, 27,000 rows to NumPy": (
        "from films_predictions where user_id = 4242",
        "fetchnumpy",
    ),
    "predictions of a user, 27,000 tuples": (
        "from films_predictions where user_id = 4242",
        "fetchall",
    ),
    "predictions of an item, 138,000 rows to NumPy": (
        "from films_predictions where item_id = 4242",
        "fetchnumpy",
    ),
    "prediction of a user and an item": (
        "from films_predictions where user_id = 4242 and item_id = 42",
        "fetchall",
    ),
    "recommendations, no such user": (
        "from films_recommendations where user_id = -1",
        "fetchall",
    ),
    "recommendations of a user": ("from films_recommendations where user_id = 4242", "fetchall"),
    "similar items, no such item": ("from films_similar_items where item_id = -1", "fetchall"),
    "similar items of an item": ("from films_similar_items where item_id = 4242", "fetchall"),
}


def make(path: Path) -> None:
    """A database with the model `films` and its titles."""
    rng = np.random.default_rng(0)
    con = duckmf.connect(path)
    con.execute(
        "create table few as select (i % 7)::integer as u, (i % 5)::integer as i, 1.0 as r "
        "from range(35) t(i)"
    )
    con.execute(
        "create table films as from mf_fit(few, u, i, r, epochs := 3, "
        f"n_factors := {N_FACTORS}, progress := false)"
    )
    con.execute("delete from films where kind in ('user', 'item')")
    counts = rng.poisson(N_SEEN, N_USERS)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    seen = rng.integers(0, N_ITEMS, starts[-1], dtype=np.int32)
    for kind, n in (("user", N_USERS), ("item", N_ITEMS)):
        factors = rng.normal(0, 0.1, n * N_FACTORS).astype(np.float32)
        rows = {
            "code": np.arange(n, dtype=np.int32),
            "ratings": counts if kind == "user" else rng.integers(1, 1000, n),
            "bias": rng.normal(0, 0.3, n).astype(np.float32),
            "factors": pa.ListArray.from_arrays(
                np.arange(n + 1, dtype=np.int32) * N_FACTORS, factors
            ),
        }
        if kind == "user":
            rows["seen"] = pa.ListArray.from_arrays(starts, seen)
        con.register("rows", pa.table(rows))
        con.execute(
            f"insert into films by name select '{kind}' as kind, code as {kind}_id, * from rows"
        )
        con.unregister("rows")
    con.execute(
        "create table titles as select i as id, 'Title ' || i as title from range(27000) t(i)"
    )
    con.close()


def measured(path: Path) -> dict[str, tuple[float, float]]:
    """Milliseconds of the clock and of the processor for each statement."""
    con = duckdb.connect(path, read_only=True)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS + 2):
        for name, (statement, fetch) in STATEMENTS.items():
            wall, cpu = time.perf_counter(), time.process_time()
            getattr(con.execute(statement), fetch)()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    con.close()
    return {
        name: (1e3 * median(t[0] for t in found[2:]), 1e3 * median(t[1] for t in found[2:]))
        for name, found in times.items()
    }


def main() -> None:
    """Print a line for each statement: wall and processor time, stored and as views."""
    print(f"DuckDB {duckdb.__version__}; milliseconds of the clock (of the processor)")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for how in ("stored", "views"):
            path = Path(folder) / f"{how}.duckdb"
            make(path)
            with duckdb.connect(path) as con:
                titles = duckmf.Titles("titles", "id", "title")
                duckmf.publish(con, "films", titles, store=how == "stored")
            results[how] = measured(path)
    print(f"{'':46}{'stored':>16}{'views':>16}")
    for name in STATEMENTS:
        cells = [f"{wall:.1f} ({cpu:.1f})" for wall, cpu in (results[h][name] for h in results)]
        print(f"{name:46}{cells[0]:>16}{cells[1]:>16}")


if __name__ == "__main__":
    main()
