"""The rows of mf_tune in tests."""

from __future__ import annotations

import json

import duckdb

ERRORS = "rmse, mae"
LISTS = "precision, recall, ndcg, map, mrr, hit_rate, auc"
TRIED = f"rank, trial, status, objective, value, algorithm, searched, {ERRORS}, {LISTS}, epochs, best_epoch, error"


def tried(
    con: duckdb.DuckDBPyConnection,
    arguments: str,
    columns: str = TRIED,
    of: str = "ratings, user_id, item_id, rating",
):
    """The rows of a tuning without what depends on clocks."""
    return con.execute(f"select {columns} from mf_tune({of}, {arguments})").fetchall()


def arguments_of(algorithm: str, searched: str) -> str:
    """What was searched as arguments of mf_fit."""
    options = json.loads(searched).items()
    listed = "".join(f", {name} := {json.dumps(value)}" for name, value in options)
    return f"algorithm := '{algorithm}'{listed}"


GRID = "n_factors := [2, 4], regularization := [0.1, 1.0, 10.0], epochs := 8"
