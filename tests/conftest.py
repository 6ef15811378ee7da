"""Fixtures: a connection with duckmf, and the MovieLens ratings in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sized
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import duckmf
from duckmf.connection.plugin import calls_of
from duckmf.connection.relations import quoted
from duckmf.demo import examples
from duckmf.statements.run import Run

MOVIELENS = examples() / "data" / "ml-latest-small"

# Folders of tests of arrays and files: no version of DuckDB gives them another result. All other
# tests run on every version, unless they are marked themselves.
NEWEST = ("algorithms", "oracles", "ranking", "ratings", "report")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    for item in items:
        if item.path.relative_to(tests).parts[0] in NEWEST:
            item.add_marker("newest")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for one test after the other, since loading takes longer than most of them."""
    con = duckmf.connect(tmp_path_factory.mktemp("shared") / "shared.duckdb")
    yield con
    con.close()


@pytest.fixture
def con(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database with duckmf loaded; in an instance of its own if marked `alone`."""
    if request.node.get_closest_marker("alone"):
        with duckmf.connect() as con:
            yield con
        return
    con = request.getfixturevalue("shared")
    usual = settings(con)
    con.execute("attach ':memory:' as memory; use memory")
    yield con
    with contextlib.suppress(duckdb.TransactionException):  # there may be none
        con.rollback()
    con.execute("use shared")
    leave(con, usual)


def settings(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What SET may have changed."""
    search = "('schema', 'search_path')"
    query = f"select name, value from duckdb_settings() where name not in {search}"
    return dict(con.execute(query).fetchall())


def leave(con: duckdb.DuckDBPyConnection, usual: dict[str, str]) -> None:
    """Take away what a test has attached, made for the session, or set."""
    attached = "select database_name from duckdb_databases() where not internal"
    for (name,) in con.execute(f"{attached} and database_name <> 'shared'").fetchall():
        con.execute(f"detach {quoted(name)}")
    for kind in ("table", "view"):
        made = f"select {kind}_name from duckdb_{kind}s() where temporary and not internal"
        for (name,) in con.execute(made).fetchall():
            con.execute(f"drop {kind} temp.{quoted(name)}")
    for name, value in settings(con).items():
        if value != usual[name]:
            con.execute(f"reset {name}")


@pytest.fixture
def movielens(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same with the tables `ratings` and `movies`."""
    for table in ("ratings", "movies"):
        con.execute(f"create table {table} as from '{MOVIELENS / table}.parquet'")
    return con


@pytest.fixture
def small(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same with a table `ratings` of 600 ratings by 40 users of 30 items, from known factors."""
    rate(con)
    return con


def rate(con: duckdb.DuckDBPyConnection) -> None:
    """Make the table `ratings` of `small`."""
    rng = np.random.default_rng(7)
    cells = rng.choice(40 * 30, 600, replace=False)
    users, items = cells // 30, cells % 30
    P, Q = rng.normal(0, 0.6, (40, 2)), rng.normal(0, 0.6, (30, 2))
    ratings = np.clip(np.round(3 + np.sum(P[users] * Q[items], axis=1), 1), 1, 5)
    columns = pa.table({"u": users, "i": items, "r": ratings})
    con.register("rated", columns)
    con.execute(
        "create table ratings as select u::integer as user_id, i::integer as item_id, "
        "r::double as rating, row_number() over () - 1 as ts from rated"
    )
    con.unregister("rated")


def model_of(con: duckdb.DuckDBPyConnection, call: str) -> list[tuple[object, ...]]:
    """The rows of a model that do not depend on clocks, in a fixed order."""
    return con.execute(
        f"select kind, user_id, item_id, code, ratings, bias, factors, uncertainty, seen, "
        f"seen_ratings, epoch, metrics.train_loss, metrics.validation_loss from {call} order by all"
    ).fetchall()


def runs_of(con: duckdb.DuckDBPyConnection) -> Sized:
    """The training runs under way in a connection's database."""
    calls = calls_of(con)
    return calls.underway.things(Run) if calls else ()
