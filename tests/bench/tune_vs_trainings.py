"""mf_tune over 12 combinations of 1 M ratings beside the 12 trainings alone.

MovieLens-1M shape, one tenth of the rows held out. "Alone" are the epochs of twelve mf_fit statements,
without their reading, encoding and writing; "statements" are those statements as a whole. Rounds of
both sides in turn, medians of the ratios. Run: python -m tests.bench.tune_vs_trainings [rounds]
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time

import duckdb
import pyarrow as pa

import duckmf
from tests.bench.known_truth import Known

FACTORS, LAMBDAS = (16, 32, 64), (0.5, 1.0, 2.0, 4.0)
SOURCE = "ratings, user_id, item_id, rating, algorithm := '{}', validation_fraction := 0.1"


def trainings(con: duckdb.DuckDBPyConnection, algorithm: str) -> tuple[float, float]:
    """Seconds of the epochs of all trainings, and of the statements."""
    epochs, began = 0.0, time.perf_counter()
    for n_factors, penalty in itertools.product(FACTORS, LAMBDAS):
        epochs += con.execute(
            "select (info ->> 'train_seconds')::double from mf_fit("
            f"{SOURCE.format(algorithm)}, n_factors := {n_factors}, regularization := {penalty}) "
            "where kind = 'model'"
        ).fetchone()[0]
    return epochs, time.perf_counter() - began


def tuning(con: duckdb.DuckDBPyConnection, algorithm: str, prune: bool) -> tuple[float, float]:
    """Seconds of the statement, and the best RMSE that it found."""
    began = time.perf_counter()
    best = con.execute(
        f"select value from mf_tune({SOURCE.format(algorithm)}, n_factors := {list(FACTORS)}, "
        f"regularization := {list(LAMBDAS)}, prune := {prune})"
    ).fetchall()
    assert len(best) == len(FACTORS) * len(LAMBDAS)
    return time.perf_counter() - began, best[0][0]


def compare(con: duckdb.DuckDBPyConnection, algorithm: str, rounds: int) -> None:
    """Print the ratios of one algorithm."""
    trainings(con, algorithm)  # compiles
    ratios: dict[tuple[bool, str], list[float]] = {}
    seconds, best = {}, {}
    for _ in range(rounds):
        for prune in (False, True):
            alone, statements = trainings(con, algorithm)
            seconds[prune], best[prune] = tuning(con, algorithm, prune)
            ratios.setdefault((prune, "alone"), []).append(seconds[prune] / alone)
            ratios.setdefault((prune, "statements"), []).append(seconds[prune] / statements)
    for prune in (False, True):
        alone, statements = (
            statistics.median(ratios[prune, side]) for side in ("alone", "statements")
        )
        print(
            f"{algorithm}, prune := {str(prune).lower()}: {alone:.2f}x of the trainings alone, "
            f"{statements:.2f}x of their statements; {seconds[prune]:.1f} s, best RMSE {best[prune]:.4f}"
        )


if __name__ == "__main__":
    known = Known.make(6_040, 3_706, 1_000_000)
    users, items, values = known.train.users, known.train.items, known.train.values
    with duckmf.connect(config={"threads": 2}) as con:
        arrays = pa.table({"user_id": users, "item_id": items, "rating": values})
        con.register("arrays", arrays)
        con.execute("create table ratings as from arrays")
        for name in ("als", "svd"):
            compare(con, name, int(sys.argv[1]) if len(sys.argv) > 1 else 3)
