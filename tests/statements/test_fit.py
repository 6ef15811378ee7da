"""mf_fit as its users call it: sources, ids, options, validation, duplicates."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.conftest import model_of, runs_of


def test_codes_follow_the_ids_and_seen_speaks_codes(small):
    small.execute("create table m as from mf_fit(ratings, user_id, item_id, rating)")
    wrong = small.execute(
        "select count(*) from m where kind = 'item' and code <> "
        "(select count(*) from (select distinct item_id i from ratings) where i < item_id)"
    ).fetchone()
    assert wrong == (0,)
    difference = small.execute(
        "select count(*) from ((select user_id, item_id, rating::float from ratings) except "
        "(select u.user_id, i.item_id, u.rating from (select user_id, unnest(seen) code, "
        "unnest(seen_ratings) rating from m where kind = 'user') u "
        "join m i on i.kind = 'item' and i.code = u.code))"
    ).fetchone()
    assert difference == (0,)


def test_the_training_loss_is_that_of_the_stored_model(small):
    for algorithm in ("als", "bias", "popularity"):
        small.execute(
            "create or replace table m as "
            f"from mf_fit(ratings, user_id, item_id, rating, algorithm := '{algorithm}')"
        )
        loss, rmse = small.execute(
            "select (select train_loss from mf_epochs(m) order by epoch desc limit 1), "
            "sqrt(avg((p.prediction - p.rating) ** 2)) "
            "from mf_predict(m, ratings, user_id, item_id, clip := false) p"
        ).fetchone()
        assert loss == pytest.approx(rmse, rel=1e-4), algorithm


@pytest.mark.parametrize(
    ("id_type", "id_expression"),
    [
        *((name, f"item_id::{name}") for name in (
            "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
            "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
            "DOUBLE", "DECIMAL(9,2)", "VARCHAR",
        )),
        ("DATE", "DATE '2020-01-01' + item_id"),
        ("TIMESTAMP", "TIMESTAMP '2020-01-01' + to_days(item_id)"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ '2020-01-01 00:00:00+00' + to_days(item_id)"),
        ("UUID", "md5(item_id::varchar)::uuid"),
        ("BLOB", "item_id::varchar::blob"),
        ("BOOLEAN", "item_id % 2 = 0"),
        ("STRUCT(a INTEGER, b VARCHAR)", "{'a': item_id, 'b': item_id::varchar}"),
        ("INTEGER[]", "[item_id, 1]"),
        ("mood", "(['sad', 'ok', 'happy'])[1 + item_id % 3]::mood"),
    ],
)  # fmt: skip
def test_ids_of_any_type_come_back_as_they_were(small, id_type, id_expression):
    small.execute("create type mood as enum ('sad', 'ok', 'happy')")
    small.execute(
        f"create table source as select user_id, {id_expression} as id, rating from ratings"
    )
    small.execute("create table m as from mf_fit(source, user_id, id, rating, algorithm := 'bias')")
    expected = {"mood": "ENUM('sad', 'ok', 'happy')"}.get(id_type, id_type)
    assert small.execute("select distinct typeof(item_id) from m").fetchone()[0] == expected
    same = small.execute(
        "select (select list(distinct item_id order by item_id) from m where kind = 'item') = "
        "(select list(distinct id order by id) from source)"
    ).fetchone()
    assert same == (True,)


def test_every_kind_of_source(small, tmp_path):
    small.execute("create view a_view as from ratings")
    small.execute("create temp table a_temp as from ratings")
    small.execute(f"attach '{tmp_path / 'other.duckdb'}' as other")
    small.execute("create table other.ratings as from ratings")
    small.execute("create schema deep")
    small.execute("create table deep.ratings as from ratings")
    small.execute('create view "my ratings" as from ratings')
    small.execute(f"copy ratings to '{tmp_path / 'r.parquet'}'")
    small.execute(f"create view a_file as from read_parquet('{tmp_path / 'r.parquet'}')")
    rest = ", user_id, item_id, rating, epochs := 2)"
    expected = model_of(small, f"mf_fit(ratings{rest}")
    for source in (
        "a_view", "a_temp", "other.ratings", '"my ratings"', "deep.ratings", "'ratings'", "'other.main.ratings'",
        "a_file",
    ):  # fmt: skip
        assert model_of(small, f"mf_fit({source}{rest}") == expected, source
    small.execute(f"create table m as with c as (from ratings) from mf_fit(c{rest}")
    assert model_of(small, "m") == expected


@pytest.mark.parametrize("name", ["users", "items", "source", "model", "src", "training", "rows"])
def test_a_source_may_have_any_name(small, name):
    small.execute(f"create table {name} as from ratings")
    assert model_of(small, f"mf_fit({name}, user_id, item_id, rating, epochs := 2)")


def test_columns_may_have_any_name(small):
    small.execute(
        'create table source as select user_id as "a ""user""", item_id as "run", rating as "code", '
        "1 as u, 2 as i, 3 as r, 4 as t, 5 as held_out, 6 as has_rating from ratings"
    )
    named = model_of(small, 'mf_fit(source, "a ""user""", run, code, epochs := 2)')
    assert named == model_of(small, "mf_fit(ratings, user_id, item_id, rating, epochs := 2)")


def test_uncommitted_rows_are_seen_and_a_rollback_leaves_nothing(small):
    small.execute("begin")
    small.execute("insert into ratings values (1000, 0, 5.0, 0), (1000, 1, 5.0, 0)")
    small.execute("create table m as from mf_fit(ratings, user_id, item_id, rating, epochs := 2)")
    users = small.execute("select count(*) from m where kind = 'user'").fetchone()
    assert users == (41,)
    small.execute("rollback")
    assert small.execute(
        "select count(*) from duckdb_tables() where table_name = 'm'"
    ).fetchone() == (0,)


@pytest.mark.parametrize(
    "part",
    [
        "where kind = 'item'",
        "where kind = 'epoch'",
        "where kind = 'model'",
        "limit 0",
        "where false",
    ],
)
def test_any_part_of_a_model_can_be_read_and_no_run_is_left(small, part):
    small.execute(
        f"select user_id from mf_fit(ratings, user_id, item_id, rating, epochs := 2) {part}"
    ).fetchall()
    assert len(runs_of(small)) == 0


def test_duplicates_mean_what_the_option_says(con):
    con.execute(
        "create table source(u int, i int, r double, t timestamp); "
        "insert into source values (1, 1, 1, '2020-01-02'), (1, 1, 4, '2020-01-01'), "
        "(1, 1, 3, '2020-01-02'), (1, 2, 5, '2020-01-01')"
    )
    for how, expected in {"mean": 8 / 3, "sum": 8.0, "last": 3.0, "max": 4.0}.items():
        con.execute(
            f"create or replace table m as from mf_fit(source, u, i, r, t, algorithm := 'bias', duplicates := '{how}')"
        )
        ratings, mu, info = con.execute(
            "select ratings, bias, info from m where kind = 'model'"
        ).fetchone()
        assert ratings == 2
        assert mu == pytest.approx((expected + 5) / 2), how
        assert json.loads(info)["duplicates_merged"] == 2


def test_validation_by_expression_holds_those_rows_out(small):
    small.execute(
        "create table m as from mf_fit(ratings, user_id, item_id, rating, epochs := 20, patience := 2, "
        "validation := ts >= 500)"
    )
    info = json.loads(small.execute("select info from m where kind = 'model'").fetchone()[0])
    assert info["held_out"] == 100
    assert small.execute("select ratings from m where kind = 'model'").fetchone() == (500,)
    epochs = small.execute("from mf_epochs(m) order by epoch").fetchall()
    losses = [validation for _, _, validation, _ in epochs]
    best = int(np.argmin(losses))
    assert info["best_epoch"] == best + 1
    rmse = small.execute(
        "with test as (from ratings where ts >= 500) select sqrt(avg((prediction - rating) ** 2)) "
        "from mf_predict(m, test, user_id, item_id, clip := false)"
    ).fetchone()[0]
    assert rmse == pytest.approx(losses[best], rel=1e-4)


def test_a_model_that_stops_improving_stops(small):
    small.execute(
        "create table m as from mf_fit(ratings, user_id, item_id, rating, epochs := 500, patience := 2, "
        "tolerance := 0.01)"
    )
    assert small.execute("select max(epoch) from mf_epochs(m)").fetchone()[0] < 100


def test_validation_fraction_takes_its_share_of_pairs(movielens):
    movielens.execute(
        "create table m as from mf_fit(ratings, user_id, movie_id, rating, algorithm := 'bias', "
        "validation_fraction := 0.25)"
    )
    info = json.loads(movielens.execute("select info from m where kind = 'model'").fetchone()[0])
    assert abs(info["held_out"] - 0.25 * 100_836) < 5 * math.sqrt(100_836 * 0.25 * 0.75)


def test_keep_seen_false_stores_no_items(small):
    small.execute(
        "create table m as from mf_fit(ratings, user_id, item_id, rating, keep_seen := false, epochs := 2)"
    )
    assert small.execute("select count(seen), count(seen_ratings) from m").fetchone() == (0, 0)


def test_ratings_may_be_any_number(small):
    as_double = model_of(small, "mf_fit(ratings, user_id, item_id, rating, epochs := 2)")
    for cast in ("decimal(5, 1)", "varchar"):
        assert (
            model_of(small, f"mf_fit(ratings, user_id, item_id, rating::{cast}, epochs := 2)")
            == as_double
        )


def test_popularity_needs_no_rating(small):
    small.execute(
        "create table m as from mf_fit(ratings, user_id, item_id, algorithm := 'popularity')"
    )
    top = small.execute("select item_id from mf_recommend(m, -1, k := 3) order by rank").fetchall()
    counted = small.execute(
        "select item_id from ratings group by item_id order by count(*) desc, item_id limit 3"
    ).fetchall()
    assert top == counted
