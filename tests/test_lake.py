"""A model in DuckLake: trained, replaced, folded in, rolled back, read as it was, published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import serve

CALLS = [
    "mf_recommend({}, 3, k := 4)",
    "mf_recommend({}, k := 2)",
    "mf_similar_items({}, 5)",
    "mf_predict({}, pairs, user_id, item_id)",
    "mf_evaluate({}, ratings, user_id, item_id, rating)",
    "mf_evaluate_ranking({}, pairs, user_id, item_id)",
    "mf_explain({}, 3, 5)",
    "mf_info({})",
]
FOLD_IN = (
    "merge into films using (from mf_fold_in(films, more, u, i, r)) as made "
    "on films.kind = 'user' and films.user_id = made.user_id "
    "when matched then update when not matched then insert"
)
TRAIN = "create or replace table films as from mf_fit(ratings, user_id, item_id, rating, n_factors := {})"


def attached(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """The connection with the lake of a folder in use."""
    wheel = serve.wheel_of("ducklake")
    if wheel is None:
        assert not os.environ.get("DUCKMF_REQUIRE_QUACK"), "pip install duckdb-extension-ducklake"
        pytest.skip("no DuckLake for this DuckDB: pip install duckdb-extension-ducklake")
    con.load_extension(str(wheel))
    con.execute(
        f"attach 'ducklake:{folder / 'lake.ducklake'}' as lake (data_path '{folder / 'data'}')"
    )
    con.execute("use lake")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A duckmf connection to a lake with ratings, a model, pairs and new ratings."""
    with duckmf.connect() as con:
        attached(con, tmp_path)
        con.execute(
            "create table ratings as select u as user_id, i as item_id, (1 + (u * 7 + i * 3) % 5)::double as rating "
            "from range(30) a(u), range(25) b(i) where (u * 5 + i * 3) % 4 <> 0"
        )
        con.execute("create table pairs as select user_id, item_id from ratings where item_id < 6")
        con.execute(
            "create table more as from (values (900, 1, 5.0), (900, 2, 4.0), (3, 2, 4.0)) n(u, i, r)"
        )
        con.execute(TRAIN.format(4))
        yield con  # fmt: skip


def snapshot(con: duckdb.DuckDBPyConnection) -> int:
    ((number,),) = con.execute("select max(snapshot_id) from lake.snapshots()").fetchall()
    return int(number)


def answers(con: duckdb.DuckDBPyConnection, model: str = "films") -> list[list[str]]:
    rows = [con.execute(f"from {call.format(model)}").fetchall() for call in CALLS]
    return [sorted(map(repr, part)) for part in rows]


def test_a_model_learns_is_replaced_and_rolled_back(lake):
    first = answers(lake)
    lake.execute(FOLD_IN)
    folded = answers(lake)
    assert folded != first
    lists = "select count(*) from mf_recommend(films, 900) where source = 'model'"
    assert lake.execute(lists).fetchall() == [(10,)]
    for statement in (FOLD_IN, TRAIN.format(2)):
        lake.begin()
        lake.execute(statement)
        lake.rollback()
    assert answers(lake) == folded
    lake.execute(TRAIN.format(4))
    assert answers(lake)[:-1] == first[:-1]  # mf_info says when it was trained


def test_a_copy_of_an_older_version_answers_as_it_did(lake):
    before, number = answers(lake), snapshot(lake)
    lake.execute(TRAIN.format(2))
    lake.execute(f"create temp table past as from films at (version => {number})")
    assert answers(lake, "past") == before


def test_a_lake_keeps_no_functions_and_is_left_as_it_was(lake, tmp_path):
    for call in (duckmf.install, lambda con: duckmf.publish(con, "films")):
        with pytest.raises(duckmf.DuckMFError) as refused:
            call(lake)
        assert "the database lake is none of DuckDB's own, and does not keep functions" in str(
            refused.value
        )
    tables = "select count(*) from duckdb_tables() where database_name = 'lake'"
    assert lake.execute(tables).fetchall() == [(4,)]
    lake.execute("use memory; detach lake")
    with duckdb.connect() as plain:
        attached(plain, tmp_path)
        assert plain.execute("select count(*) from films where kind = 'user'").fetchall() == [(30,)]


def test_functions_of_a_file_read_a_lake_without_python(lake, tmp_path):
    expected = answers(lake)
    with duckmf.connect(tmp_path / "shop.duckdb") as con:
        duckmf.install(con)
    lake.execute("use memory; detach lake")
    with duckdb.connect(tmp_path / "shop.duckdb") as plain:
        attached(plain, tmp_path)
        plain.execute(
            "use shop; create table pairs as from lake.pairs; create table ratings as from lake.ratings"
        )
        assert answers(plain, "lake.films") == expected


@pytest.mark.parametrize("store", [True, False], ids=["stored", "views"])
def test_a_model_of_a_lake_is_published_to_a_file(lake, tmp_path, store):
    lake.execute("use memory; detach lake")
    with duckmf.connect(tmp_path / "shop.duckdb") as con:
        attached(con, tmp_path)
        con.execute("use shop")
        for _ in range(2):
            names = duckmf.publish(con, "lake.films", store=store)
    with duckdb.connect(tmp_path / "shop.duckdb") as plain:
        attached(plain, tmp_path)
        for name in names:
            assert plain.execute(f"from shop.{name} limit 1").fetchall()
