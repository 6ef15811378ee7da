"""Fixtures: a connection with duckmf, and the MovieLens ratings in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized

import duckdb
import numpy as np
import pytest

import duckmf
from duckmf.demo import examples

MOVIELENS = examples() / "data" / "ml-latest-small"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database with duckmf loaded."""
    con = duckmf.connect()
    yield con
    con.close()


@pytest.fixture
def movielens(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same with the tables `ratings` and `movies`."""
    for table in ("ratings", "movies"):
        con.execute(f"create table {table} as from '{MOVIELENS / table}.parquet'")
    return con


@pytest.fixture
def small(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same with a table `ratings` of 600 ratings by 40 users of 30 items, from known factors."""
    rng = np.random.default_rng(7)
    cells = rng.choice(40 * 30, 600, replace=False)
    users, items = cells // 30, cells % 30
    P, Q = rng.normal(0, 0.6, (40, 2)), rng.normal(0, 0.6, (30, 2))
    ratings = np.clip(np.round(3 + np.sum(P[users] * Q[items], axis=1), 1), 1, 5)
    con.execute("create table ratings(user_id integer, item_id integer, rating double, ts bigint)")
    rows = zip(users.tolist(), items.tolist(), ratings.tolist(), range(600), strict=True)
    con.executemany("insert into ratings values (?, ?, ?, ?)", list(rows))
    return con


def model_of(con: duckdb.DuckDBPyConnection, call: str) -> list[tuple[object, ...]]:
    """The rows of a model that do not depend on clocks, in a fixed order."""
    return con.execute(
        f"select kind, user_id, item_id, code, ratings, bias, factors, seen, epoch, "
        f"metrics.train_loss, metrics.validation_loss from {call} order by all"
    ).fetchall()


@pytest.fixture
def runs_of() -> Callable[[duckdb.DuckDBPyConnection], Sized]:
    """A function that gives the training runs under way in a connection's database."""
    from duckmf.connection import plugin

    def runs(con: duckdb.DuckDBPyConnection) -> Sized:
        assert ("mf__begin",) in con.execute(
            "select function_name from duckdb_functions()"
        ).fetchall()
        calls = plugin._registered[-1].calls
        return calls.runs if calls else ()

    return runs
