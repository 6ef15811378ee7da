"""Training and reading models in tests: the few calls that many of them share."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest


def fit(con: duckdb.DuckDBPyConnection, algorithm: str, **options: object) -> None:
    """Train `films` on `ratings`."""
    given = {"algorithm": algorithm, "n_factors": 5, "epochs": 8} | options
    if given["algorithm"] in ("bias", "popularity"):
        del given["n_factors"]
    if given["algorithm"] == "popularity":
        del given["epochs"]
    text = "".join(f", {name} := {value!r}" for name, value in given.items())
    con.execute(
        f"create or replace table films as from mf_fit(ratings, user_id, item_id, rating{text})"
    )


def rows(con: duckdb.DuckDBPyConnection, call: str, *columns: str) -> list[tuple[object, ...]]:
    return con.execute(f"select {', '.join(columns) or '*'} from {call} order by all").fetchall()


def error(con: duckdb.DuckDBPyConnection, call: str) -> str:
    with pytest.raises(duckdb.Error) as refused:
        con.execute(f"from {call}").fetchall()
    return str(refused.value)


def numbers(con: duckdb.DuckDBPyConnection, call: str, side: str) -> np.ndarray:
    """Biases and factors of the rows of one side, by id."""
    found = con.execute(
        f"select bias, factors from {call} where kind = '{side}' order by {side}_id"
    ).fetchall()
    return np.array([[bias or 0.0, *(factors or [])] for bias, factors in found])
