"""mf_update: the whole model after new ratings, and a model that has forgotten a user."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

import duckmf
from tests.clients import SERVING
from tests.conftest import runs_of
from tests.statements.models import error, fit, numbers, rows

SOLVED = ["als", "svd", "svdpp", "bias", "popularity", "implicit_als"]
ALGORITHMS = [*SOLVED, "bpr"]
UPDATE = "mf_update(films, later, user_id, item_id, rating)"


@pytest.fixture
def films(small: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """`small` without `later`, the ratings of or by newcomers and a tenth of the others."""
    small.execute(
        "create table later as from ratings where user_id >= 38 or item_id >= 28 or "
        "user_id < 10 and ts % 5 = 0"
    )
    small.execute("create table everything as from ratings")
    small.execute("delete from ratings where ts in (select ts from later)")
    return small


def touched(con: duckdb.DuckDBPyConnection, side: str) -> list[int]:
    return [id for (id,) in rows(con, "later", f"distinct {side}_id")]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_is_a_whole_model_and_what_has_no_new_ratings_is_as_it_was(films, algorithm):
    fit(films, algorithm)
    films.execute(f"create table next as from {UPDATE}")
    described = "column_name, column_type"
    assert rows(films, "(describe next)", described) == rows(films, "(describe films)", described)
    same = (
        "{} where kind = 'epoch' or kind = 'user' and user_id not in (select user_id from later) "
        "or kind = 'item' and item_id not in (select item_id from later)"
    )
    assert rows(films, same.format("next")) == rows(films, same.format("films"))
    assert rows(films, "next where kind = 'model'", "count(*)", "any_value(ratings)") == [(1, 600)]
    for side in ("user", "item"):
        found = rows(films, f"next where kind = '{side}'", f"{side}_id", "code", "ratings")
        counted = f"(select {side}_id as id, count(*) as n from everything group by all)"
        assert [(id, n) for id, _, n in found] == rows(films, counted, "id", "n")
        assert len({code for _, code, _ in found}) == len(found)
        known = {
            id: code
            for id, code in rows(films, f"films where kind = '{side}'", f"{side}_id", "code")
        }
        assert {id: code for id, code, _ in found if id in known} == known
    stored = (
        "(select user_id, unnest(seen) as code, unnest(seen_ratings) as r from next where kind = 'user') s "
        "join next i on i.kind = 'item' and i.code = s.code"
    )
    assert rows(films, stored, "s.user_id", "i.item_id", "s.r") == rows(
        films, "everything", "user_id", "item_id", "rating::float"
    )


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", SOLVED)
def test_touched_rows_are_at_the_optimum_of_the_training(films, algorithm):
    fit(films, algorithm)
    films.execute(
        "create table next as from mf_update(films, later, user_id, item_id, rating, epochs := 300)"
    )
    for side, call in (("user", "mf_fold_in"), ("item", "mf_fold_in_items")):
        films.execute(
            f"create or replace view mine as from everything where {side}_id in (select {side}_id from later)"
        )
        found = numbers(films, f"next semi join mine using ({side}_id)", side)
        solved = numbers(films, f"{call}(next, mine, user_id, item_id, rating)", side)
        np.testing.assert_allclose(found, solved, atol=2e-3)


@pytest.mark.parametrize("algorithm", ["svdpp", "timesvdpp"])
def test_new_items_have_something_to_say_of_who_rated_them(films, algorithm):
    ts = ", ts" if algorithm == "timesvdpp" else ""
    fit = (
        f"mf_fit(ratings, user_id, item_id, rating{ts}, n_factors := 5, algorithm := '{algorithm}')"
    )
    films.execute(f"create table films as from {fit}")
    films.execute(f"create table next as from {UPDATE[:-1]}{ts})")
    y = "list_dot_product(implicit_factors, implicit_factors)"
    found = rows(films, "next where kind = 'item'", "item_id", y)
    new = [size for item, size in found if item >= 28]
    assert len(new) == 2
    assert min(new) > 1e-6
    known = rows(films, "films where kind = 'item'", "item_id", y)
    assert [row for row in found if row[0] < 28] == known


@pytest.mark.parametrize("algorithm", ["als", "bpr", "svdpp"])
def test_the_same_ratings_in_any_order_and_threads_give_the_same_bits(films, algorithm):
    fit(films, algorithm)
    films.execute("create view shuffled as from later order by hash(ts)")
    columns = "kind", "user_id", "item_id", "code", "bias", "factors", "seen", "seen_ratings"
    one = "mf_update(films, shuffled, user_id, item_id, rating, threads := 1)"
    assert rows(films, one, *columns) == rows(films, UPDATE, *columns)


def test_info_tells_what_was_done(films):
    fit(films, "als")
    films.execute("insert into later values (1, 1, 9, 600)")
    films.execute(f"create or replace table films as from {UPDATE}")
    films.execute(
        "create or replace table later as select 1 as user_id, 77 as item_id, 3 as rating"
    )
    films.execute(
        "create or replace table films as from mf_update(films, later, user_id, item_id, rating, epochs := 1)"
    )
    updates = "unnest(info -> 'updates' -> '$[*]') as u"
    ((length, second), (_, first)) = rows(
        films,
        f"(select info, {updates} from films where kind = 'model')",
        "length(u ->> 'at')",
        "[u -> 'rows', u -> 'new_users', u -> 'new_items', u -> 'epochs', u -> 'users', u -> 'items']::int[]",
    )
    assert second == [1, 0, 1, 1, 1, 1]
    assert first[1:4] == [2, 2, 3]
    assert length == len("2026-01-01T00:00:00+00:00")
    info = films.execute("select users, items, rating_max from mf_info(films)").fetchall()
    assert info == [(40, 31, 9.0)]


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", ["als", "svd", "implicit_als", "bpr"])
def test_a_stream_comes_near_the_model_that_is_trained_again(movielens, algorithm):
    con = movielens
    implicit = algorithm in ("implicit_als", "bpr")
    con.execute(
        "create table stream as select *, ntile(10) over (order by rated_at, user_id, movie_id) as part "
        f"from ratings where {implicit} is false or rating >= 4"
    )
    call = f"user_id, movie_id{'' if implicit else ', rating'}"
    for name, last in (("stale", 8), ("again", 9)):
        con.execute(f"create view seen{last} as from stream where part <= {last}")
        con.execute(
            f"create table {name} as from mf_fit(seen{last}, {call}, algorithm := '{algorithm}')"
        )
    con.execute("create table updated as from stale")
    for day in (0, 1):
        con.execute(
            f"create or replace view today as from stream where part = 9 and rated_at "
            f"{'<' if day == 0 else '>='} (select median(rated_at) from stream where part = 9)"
        )
        con.execute(f"create or replace table updated as from mf_update(updated, today, {call})")
    con.execute("create view test as from stream where part = 10")
    metric = "ndcg" if implicit else "rmse"
    judge = (
        "mf_evaluate_ranking({}, test, user_id, movie_id)"
        if implicit
        else "mf_evaluate({}, test, user_id, movie_id, rating)"
    )
    stale, updated, again = (
        con.execute(f"select {metric} from {judge.format(m)}").fetchall()[0][0]
        for m in ("stale", "updated", "again")
    )
    assert (updated - stale) / (again - stale) > 0.8


def test_a_repeated_pair_means_what_the_model_says_or_the_call(films):
    fit(films, "als")
    films.execute("create or replace table later as from ratings where user_id = 3")
    stored = "select unnest(seen_ratings) as r from {} where user_id = 3"
    doubled = UPDATE.replace("rating)", "rating + 1, {})")
    found = {
        how: rows(films, f"({stored.format(doubled.format(how))})", "sum(r)", "count(*)")[0]
        for how in ("threads := 1", "duplicates := 'last', ts := ts", "duplicates := 'sum'")
    }
    ((total, n),) = rows(films, f"({stored.format('films')})", "sum(r)", "count(*)")
    expected = [(total + n / 2, n), (total + n, n), (2 * total + n, n)]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-5)
    message = error(films, doubled.format("duplicates := 'error'"))
    assert f"mf_update: {n} of " in message
    assert "rows repeat a user and item" in message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("mf_update(later, later, user_id, item_id, rating)", "mf_update: this relation is not a model: it has 0 rows"),
        ("mf_update(titles, later, user_id, item_id, rating)", "mf_update: this relation is not a model: it has 0 rows"),
        ("mf_update(films, nobody, user_id, item_id, rating)", "mf_update: the source has no rows"),
        ("mf_update(films, later, nullif(user_id, 38), item_id, rating)", "mf_update: user_id is NULL in"),
        ("mf_update(films, later, user_id, nullif(item_id, 28), rating)", "mf_update: item_id is NULL in"),
        ("mf_update(films, later, user_id, item_id, rating + 'nan'::float)", "mf_update: rating is no finite number in"),
        ("mf_update(films, later, user_id, item_id)", "mf_update: this model of 'als' learns from ratings; add rating."),
        ("mf_update(films, later, user_id, item_id + 0.5, rating)", "rows have ids that are not the same in the type that the model has"),
        ("mf_update(films, later, user_id, item_id, rating, epochs := 0)", "mf_update: epochs is 0; give a whole number from 1 to 1000."),
        ("mf_update(films, later, user_id, item_id, rating, duplicates := 'first')", "mf_update: duplicates is 'first'; give one of"),
        ("mf_update(films, later, user_id, item_id, rating, duplicates := 'last')", "mf_update: duplicates is 'last' but ts is not given"),
        ("mf_update(part, later, user_id, item_id, rating)", "stored ratings are of items that are no longer in the model; pass the whole model."),
        ("mf_update(twice, later, user_id, item_id, rating)", "mf_update: the model has several rows for some of its users: 1 has 2. Keep one of each"),
        ("mf_update(bare, later, user_id, item_id, rating)", "mf_update: the model has not stored the ratings of its users"),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_writes_nothing(films, call, message):
    fit(films, "als")
    films.execute("create view nobody as from later limit 0")
    films.execute("create view titles as select 'Heat' as title")
    films.execute("create view part as from films where item_id is null or item_id <> 3")
    films.execute("create view twice as from films union all from films where user_id = 1")
    films.execute(
        "create table bare as from mf_fit(ratings, user_id, item_id, rating, n_factors := 2, keep_seen := false)"
    )
    assert message in error(films, call)
    with pytest.raises(duckdb.Error):
        films.execute(f"create table written as from {call}")
    assert len(runs_of(films)) == 0
    assert rows(films, f"{UPDATE} where kind = 'model'", "ratings") == [(600,)]


def test_ids_of_any_type_and_quoted_names(films):
    fit(films, "als")
    films.execute(
        'create table "my ratings" as select \'u\' || user_id as code, date \'2000-01-01\' + item_id as "the ""film""", '
        "rating as u, ts from everything"
    )
    films.execute('create view old as from "my ratings" where ts not in (select ts from later)')
    films.execute('create view model as from "my ratings" where ts in (select ts from later)')
    films.execute('create table m as from mf_fit(old, code, "the ""film""", u, n_factors := 5)')
    films.execute('create table next as from mf_update(m, model, code, "the ""film""", u)')
    assert rows(films, "next where kind = 'user'", "user_id") == rows(
        films, '"my ratings"', "distinct code"
    )
    assert rows(films, "next where kind = 'item'", "item_id") == rows(
        films, '"my ratings"', 'distinct "the ""film"""'
    )


def test_rows_that_were_folded_in_or_have_no_ratings_are_kept(films):
    fit(films, "als")
    films.execute(
        "insert into films (kind, item_id, code, ratings, factors) values ('item', 99, 50, 0, [1, 1, 1, 1, 1])"
    )
    films.execute(
        "insert into films from mf_fold_in(films, later, user_id, item_id, rating, unknown := 'ignore') "
        "where user_id >= 38"
    )
    films.execute(
        "create table next as from mf_update(films, later, user_id, item_id, rating, duplicates := 'max')"
    )
    assert rows(films, "next where item_id = 99") == rows(films, "films where item_id = 99")
    new = rows(films, "next where item_id >= 28 and item_id < 99", "code")
    assert len({50, *new}) == 3
    found = rows(films, "next where kind = 'user'", "user_id", "ratings")
    assert found == rows(
        films, "(select user_id, count(*) as n from everything group by all)", "user_id", "n"
    )


def test_uncommitted_ratings_count_and_a_rollback_takes_them_back(films):
    fit(films, "als")
    films.begin()
    films.execute("insert into later values (99, 1, 4, 0)")
    films.execute(f"create or replace table films as from {UPDATE}")
    assert rows(films, "films where user_id = 99", "count(*)") == [(1,)]
    films.rollback()
    assert rows(films, "films where user_id = 99", "count(*)") == [(0,)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_user_is_forgotten_and_the_model_stays_valid(films, algorithm):
    fit(films, algorithm)
    lists = "mf_recommend(films) where user_id <> 7"
    before = rows(films, lists)
    films.execute(
        "begin; delete from ratings where user_id = 7; "
        "delete from films where kind = 'user' and user_id = 7; commit"
    )
    assert rows(films, lists) == before
    assert {source for (source,) in rows(films, "mf_recommend(films, 7)", "source")} == {"popular"}
    ((n, cold),) = rows(
        films,
        "mf_predict(films, later, user_id, item_id) where user_id = 7",
        "count(*)",
        "count(*) filter (where prediction_source = 'model')",
    )
    assert n > 0
    assert cold == 0
    assert rows(films, "mf_evaluate_ranking(films, later, user_id, item_id)", "count(*)") == [(1,)]
    back = (
        "mf_fold_in(films, later, user_id, item_id, rating, unknown := 'ignore') where user_id = 7"
    )
    ((user, code),) = rows(films, back, "user_id", "code")
    assert user == 7
    assert rows(films, f"films where kind = 'user' and code = {code}") == []
    found = rows(films, f"{UPDATE} where kind = 'user'", "user_id", "ratings")
    left = "(select user_id, count(*) as n from (from ratings union all from later) group by all)"
    assert found == rows(films, left, "user_id", "n")


def test_it_needs_python_and_has_a_comment():
    assert "update" not in SERVING
    con = duckmf.connect()
    found = "select comment from duckdb_functions() where function_name = 'mf_update'"
    assert con.execute(found).fetchall()[0][0]
