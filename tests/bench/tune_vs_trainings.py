"""mf_tune over 12 combinations of 1 M ratings beside the 12 trainings alone.

MovieLens-1M shape, one tenth of the rows held out. "Alone" are twelve trainings on matrices that are
made once and not counted: layout and epochs. "Statements" are twelve mf_fit statements. Rounds of all
sides in turn, medians of the ratios. Run: python -m tests.bench.tune_vs_trainings [rounds]
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time

import duckdb
import pyarrow as pa

import duckmf
from duckmf.algorithms.recipe import Recipe
from duckmf.kernels.threads import Workers
from duckmf.ratings.gathering import divide, parts_of
from tests.bench.known_truth import Known

FACTORS, LAMBDAS = (16, 32, 64), (0.5, 1.0, 2.0, 4.0)
THREADS = 2
SOURCE = "ratings, user_id, item_id, rating, algorithm := '{}', validation_fraction := 0.1"


def trainings(known: Known, algorithm: str) -> float:
    """Seconds of all trainings, without reading."""
    counts = {"has_rating": True, "has_ts": False, "has_validation": False}
    workers, parts, seconds = Workers(THREADS), None, 0.0
    for n_factors, penalty in itertools.product(FACTORS, LAMBDAS):
        given = {"n_factors": n_factors, "regularization": penalty, "validation_fraction": 0.1}
        recipe = Recipe.parse(algorithm, given, counts)
        if parts is None:
            rows = divide(known.train, recipe.options)
            parts = parts_of(*rows, (known.n_users, known.n_items), "mean", workers)
        began = time.perf_counter()
        training = recipe.training(parts, workers)
        while training.more:
            training.epoch()
        seconds += time.perf_counter() - began
    return seconds


def statements(con: duckdb.DuckDBPyConnection, algorithm: str) -> float:
    """Seconds of twelve mf_fit statements."""
    began = time.perf_counter()
    for n_factors, penalty in itertools.product(FACTORS, LAMBDAS):
        con.execute(
            f"select count(*) from mf_fit({SOURCE.format(algorithm)}, n_factors := {n_factors}, "
            f"regularization := {penalty})"
        ).fetchall()
    return time.perf_counter() - began


def tuning(con: duckdb.DuckDBPyConnection, algorithm: str, prune: bool) -> tuple[float, float]:
    """Seconds of the statement, and the best RMSE that it found."""
    began = time.perf_counter()
    best = con.execute(
        f"select value from mf_tune({SOURCE.format(algorithm)}, n_factors := {list(FACTORS)}, "
        f"regularization := {list(LAMBDAS)}, prune := {prune})"
    ).fetchall()
    assert len(best) == len(FACTORS) * len(LAMBDAS)
    return time.perf_counter() - began, best[0][0]


def compare(con: duckdb.DuckDBPyConnection, known: Known, algorithm: str, rounds: int) -> None:
    """Print the ratios of one algorithm."""
    statements(con, algorithm)  # compiles
    ratios: dict[tuple[bool, str], list[float]] = {}
    seconds, best = {}, {}
    for _ in range(rounds):
        whole = statements(con, algorithm)
        for prune in (False, True):
            alone = trainings(known, algorithm)
            seconds[prune], best[prune] = tuning(con, algorithm, prune)
            ratios.setdefault((prune, "alone"), []).append(seconds[prune] / alone)
            ratios.setdefault((prune, "statements"), []).append(seconds[prune] / whole)
    for prune in (False, True):
        alone, whole = (statistics.median(ratios[prune, side]) for side in ("alone", "statements"))
        print(
            f"{algorithm}, prune := {str(prune).lower()}: {alone:.2f}x of the trainings alone, "
            f"{whole:.2f}x of the statements; {seconds[prune]:.1f} s, best RMSE {best[prune]:.4f}"
        )


if __name__ == "__main__":
    known = Known.make(6_040, 3_706, 1_000_000)
    users, items, values = known.train.users, known.train.items, known.train.values
    with duckmf.connect(config={"threads": THREADS}) as con:
        arrays = pa.table({"user_id": users, "item_id": items, "rating": values})
        con.register("arrays", arrays)
        con.execute("create table ratings as from arrays")
        for name in ("als", "svd"):
            compare(con, known, name, int(sys.argv[1]) if len(sys.argv) > 1 else 3)
