"""Whether mf_tune finds the winner of all trials when it stops the hopeless ones, and what it saves.

MovieLens latest-small, searches of 8 to 24 trials, with and without pruning. A search that lost the
winner is marked. Run: python -m tests.bench.tune_winners [seeds ...]
"""

from __future__ import annotations

import sys
import time
from typing import Any

import duckdb

import duckmf
from tests.conftest import MOVIELENS

SIZES = "n_factors := [8, 16, 32], regularization := [0.5, 1, 2, 4]"
SEARCHES = (
    ("als", "rmse", SIZES),
    ("als", "rmse", "n_factors := [4, 16, 64], regularization := [0.2, 0.5, 1, 2, 4, 8]"),
    ("als", "rmse", "regularization := [0.05, 0.1, 0.3, 1, 3], regularization_scaling := [0, 0.5, 1]"),
    ("svd", "rmse", SIZES),
    ("svd", "rmse", "n_factors := [8, 32], regularization := [0.5, 1, 2], learning_rate := [0.03, 0.08, 0.15, 0.3]"),
    ("svd", "rmse", "epochs := [10, 20, 40], regularization := [0.5, 1, 2]"),
    ("bias", "rmse", "regularization := [0.1, 0.3, 1, 2, 3, 5, 10, 30]"),
    ("svdpp", "rmse", "n_factors := [8, 16], regularization := [0.5, 1, 2], learning_rate := [0.005, 0.015, 0.03]"),
    ("als', 'svd', 'bias", "rmse", "n_factors := [8, 16], regularization := [0.5, 1, 2]"),
    ("als", "mae", SIZES),
    ("svd", "mae", SIZES),
    ("als", "ndcg", SIZES),
    ("svd", "ndcg", SIZES),
    ("implicit_als", "ndcg", "n_factors := [8, 32], regularization := [0.1, 1], alpha := [1, 10, 40]"),
    ("bpr", "ndcg", "n_factors := [8, 16], regularization := [0.005, 0.02, 0.05], learning_rate := [0.05, 0.1], epochs := 30"),
)  # fmt: skip


def search(con: duckdb.DuckDBPyConnection, arguments: str) -> tuple[list[Any], float]:
    """The trials, the best first, and the processor's seconds."""
    began = time.process_time()
    rows = con.execute(
        "select searched, value, epochs, status from mf_tune(ratings, user_id, movie_id, rating, "
        f"{arguments}) order by rank"
    ).fetchall()
    return rows, time.process_time() - began


def compare(con: duckdb.DuckDBPyConnection, seed: int) -> int:
    """Print a line for each search; returns how many lost the winner."""
    lost = 0
    for algorithms, objective, space in SEARCHES:
        arguments = (
            f"algorithm := ['{algorithms}'], objective := '{objective}', {space}, seed := {seed}"
        )
        (full, whole), (pruned, part) = (
            search(con, f"{arguments}, prune := {prune}") for prune in (False, True)
        )
        epochs = sum(row[2] for row in pruned) / sum(row[2] for row in full)
        complete = sum(row[3] == "complete" for row in pruned)
        found = pruned[0][:2] == full[0][:2]
        lost += not found
        print(
            f"{algorithms.replace(chr(39), '')} by {objective}, seed {seed}: {epochs:.2f} of the epochs, "
            f"{part / whole:.2f} of the time, {complete} of {len(full)} complete"
            + ("" if found else f"; LOST {full[0][1]:.4f}, found {pruned[0][1]:.4f}")
        )
    return lost


if __name__ == "__main__":
    seeds = [int(seed) for seed in sys.argv[1:]] or [1, 2, 3]
    with duckmf.connect() as con:
        con.execute(f"create table ratings as from '{MOVIELENS / 'ratings'}.parquet'")
        lost = sum(compare(con, seed) for seed in seeds)
    print(f"{lost} of {len(seeds) * len(SEARCHES)} searches lost the winner")
