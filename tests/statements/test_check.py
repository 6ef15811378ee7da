"""mf_check on what every algorithm trains, and on what the documented idioms make of it."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

import duckmf
from tests.conftest import rate
from tests.statements.cases import CASES, Case


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Ratings to train on, new ones of known and unknown users and items, and their content."""
    con = duckmf.connect()
    rate(con)
    con.execute("update ratings set ts = ts * 86400")
    con.execute(
        "create table later as select u as user_id, i as item_id, 3.0 as rating, 86400 * 700 as ts "
        "from (values (3), (100), (101)) a(u), (values (5), (7), (200)) b(i)"
    )
    con.execute("create view known as from later where user_id < 100 and item_id < 100")
    con.execute(
        "create view newcomers as select user_id + 200 as user_id, item_id, rating, ts from known"
    )
    con.execute("create view news as from later where user_id < 100 and item_id = 200")
    con.execute(
        "create table content as select i as item_id, [i % 2, i % 3] as v from range(40) t(i)"
    )
    yield con
    con.close()


def problems(con: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[object, ...]]:
    return con.execute(f"from mf_check({relation})").fetchall()


def merged(side: str, rows: str) -> str:
    """The statement that puts folded-in rows into a model, as the manual has it."""
    return (
        f"merge into films using (from {rows}) as changes "
        f"on films.kind = '{side}' and films.{side}_id = changes.{side}_id "
        "when matched then update when not matched then insert"
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("more", [{}, {"keep_seen": False}, {"validation_fraction": 0.5}])
def test_what_is_trained_is_sound(con, case: Case, more):
    con.execute(f"create or replace table films as from {case.fit(**case.quick(epochs=2), **more)}")
    assert problems(con, "films") == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_the_manual_makes_of_a_model_is_sound(con, case: Case):
    con.execute(f"create or replace table films as from {case.fit(**case.quick(epochs=2))}")
    for statement in (
        merged("item", case.call("mf_fold_in_items", "films", "news")),
        merged("user", case.call("mf_fold_in", "films", "later")),
        merged("user", case.call("mf_fold_in", "films", "known", complete=False)),
        f"create or replace table films as from {case.call('mf_update', 'films', 'known')}",
        f"insert into films from {case.call('mf_fold_in', 'films', 'newcomers')}",
        f"create or replace table films as from {case.call('mf_update', 'films', 'known')}",
        "insert into films by name from mf_project_items(films, content, item_id, v)",
    ):
        con.execute(statement)
        assert problems(con, "films") == [], statement
    for rule in ("kind <> 'item' or item_id % 2 = 1", "kind <> 'user' or user_id < 10"):
        con.execute(f"create or replace temp view some_rows as from films where {rule}")
        assert problems(con, "some_rows") == [], rule


def test_a_model_on_its_way_through_a_file_is_sound(con, tmp_path):
    con.execute("create or replace table films as from mf_fit(ratings, user_id, item_id, rating)")
    con.execute(f"copy films to '{tmp_path / 'films.parquet'}'")
    assert problems(con, f"'{tmp_path / 'films.parquet'}'") == []
    con.execute(f"copy films to '{tmp_path / 'films.csv'}'")
    found = problems(con, f"'{tmp_path / 'films.csv'}'")
    missing = "this model is of format 1, or its column facts is missing"
    assert [problem[3] for problem in found] == [missing]  # a text is no struct


def test_an_insert_that_is_run_twice_is_told(con):
    con.execute("create or replace table films as from mf_fit(ratings, user_id, item_id, rating)")
    con.execute(
        "create or replace table changes as "
        "from mf_fold_in(films, later, user_id, item_id, rating, unknown := 'ignore')"
    )
    for _ in range(2):
        con.execute("insert into films from changes")
    assert [row[:4] for row in problems(con, "films")] == [
        ("error", "user", "3", "user_id is also that of another row in 7 of 46 rows")
    ]


def test_items_that_two_sessions_have_folded_in_are_told(con):
    con.execute("create or replace table films as from mf_fit(ratings, user_id, item_id, rating)")
    for item in (300, 301):
        con.execute(
            f"create or replace view v{item} as select * replace ({item} as item_id) from news"
        )
    both = " union all ".join(
        f"from mf_fold_in_items(films, v{item}, user_id, item_id, rating)" for item in (300, 301)
    )
    con.execute(f"create or replace table films as from films union all {both}")
    assert problems(con, "films") == []
    con.execute("update films set code = 77 where item_id >= 300")
    assert [row[:4] for row in problems(con, "films")] == [
        ("error", "item", "300", "code is also that of another item in 2 of 32 rows")
    ]
