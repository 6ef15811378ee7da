"""What a trained model knows of how sure it is: stored, folded in, updated, served and judged."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from tests.statements.models import error, fit, rows

STRUCT = "uncertainty.bias, uncertainty.factors"


@pytest.fixture
def con(small: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A model of `bayes`, `films`, with four factors."""
    fit(small, "bayes", n_factors=4, epochs=12)
    return small


def test_every_row_has_its_variances(con):
    films = "films where kind in ('user', 'item')"
    found = rows(con, films, *STRUCT.split(", "))
    assert len(found) == 70
    assert all(len(factors) == 4 for _, factors in found)
    assert min(min(bias, *factors) for bias, factors in found) > 0
    (head,) = rows(con, "films where kind = 'model'", "uncertainty")
    assert 0 < head[0]["noise"] < 1
    assert {len(lines) for lines in head[0]["user_covariances"]} == {15}


def test_few_ratings_make_wide_intervals(con):
    con.execute("create table one as select 99 as user_id, 3 as item_id, 5 as rating")
    con.execute(
        "create table ten as select 98 as user_id, range as item_id, 4 as rating from range(10)"
    )
    con.execute("insert into films from mf_fold_in(films, one, user_id, item_id, rating)")
    con.execute("insert into films from mf_fold_in(films, ten, user_id, item_id, rating)")
    con.execute("create table pairs as select unnest([97, 99, 98]) as u, 20 as i")
    widths = con.execute(
        "select high - low from mf_predict(films, pairs, u, i, clip := false, interval_share := 0.9) "
        "order by u = 98, u = 99"
    ).fetchall()
    assert widths[0] > widths[1] > widths[2]


def test_a_user_of_unknown_items_alone_is_as_sure_as_the_prior(con):
    con.execute("create table strange as select 99 as user_id, 999 as item_id, 5 as rating")
    call = "mf_fold_in(films, strange, user_id, item_id, rating, unknown := 'ignore')"
    ((bias, factors, variance),) = rows(con, call, "bias", "factors", "uncertainty.bias")
    (head,) = rows(con, "films where kind = 'model'", "uncertainty")
    assert (bias, factors) == (head[0]["user_mean"], [0, 0, 0, 0])
    assert variance == head[0]["user_covariances"][0][-1]


@pytest.mark.parametrize(("call", "kind"), [("mf_fold_in", "user"), ("mf_fold_in_items", "item")])
def test_a_row_that_is_folded_in_is_as_sure_as_training_was(con, call, kind):
    folded = con.execute(
        f"select bias, factors, {STRUCT} from {call}(films, ratings, user_id, item_id, rating) "
        "order by code"
    ).fetchall()
    trained = con.execute(
        f"select bias, factors, {STRUCT} from films where kind = '{kind}' order by code"
    ).fetchall()
    near = 1e-5 if kind == "user" else 0.05  # the users were solved last
    for one, other in zip(folded, trained, strict=True):
        assert np.hstack(one) == pytest.approx(np.hstack(other), abs=near)


def test_an_update_knows_how_sure_its_rows_are(con):
    con.execute(
        "create table new as select 200 as user_id, unnest([1, 2, 500]) as item_id, 4 as rating"
    )
    con.execute("create table later as from mf_update(films, new, user_id, item_id, rating)")
    assert rows(con, "mf_check(later)") == []
    ((n,),) = rows(con, "later where kind in ('user', 'item') and uncertainty is null", "count(*)")
    assert n == 0
    spread = "select uncertainty.bias from {} where item_id = 1"
    ((before,),), ((after,),) = (
        con.execute(spread.format(table)).fetchall() for table in ("films", "later")
    )
    assert after < before


def test_a_filtered_model_and_one_of_parquet_say_the_same(con, tmp_path):
    con.execute(f"copy films to '{tmp_path / 'films.parquet'}' (format parquet)")
    con.execute(f"create view stored as from '{tmp_path / 'films.parquet'}'")
    con.execute("create view part as from films where kind <> 'item' or item_id % 2 = 0")
    asked = "mf_predict({}, even, user_id, item_id, interval_share := 0.8)"
    con.execute("create table even as from ratings where item_id % 2 = 0")
    whole = rows(con, asked.format("films"))
    assert whole == rows(con, asked.format("stored")) == rows(con, asked.format("part"))
    assert rows(con, "mf_recommend(films, k := 3)") == rows(con, "mf_recommend(stored, k := 3)")


def test_cross_validation_judges_the_lists_that_are_made(con):
    con.execute("create table split as from mf_folds(ratings, user_id, item_id, folds := 3)")
    con.execute("create table train as from split where fold <> 1")
    con.execute("create table test as from split where fold = 1")
    fit_on = "mf_fit(train, user_id, item_id, rating, algorithm := 'bayes', n_factors := 4)"
    con.execute(f"create or replace table films as from {fit_on}")
    names = "precision, recall, ndcg, map, mrr, hit_rate, auc"
    (by_hand,) = rows(con, "mf_evaluate_ranking(films, test, user_id, item_id, k := 5)", names)
    (plain,) = rows(
        con, "mf_evaluate_ranking(films, test, user_id, item_id, k := 5, risk := 0)", names
    )
    crossed = (
        "mf_cross_validate(ratings, user_id, item_id, rating, algorithm := 'bayes', "
        "n_factors := 4, folds := 3, k := 5) where fold = 1"
    )
    (found,) = rows(con, crossed, names)
    assert found == pytest.approx(by_hand, abs=1e-6)
    assert found != pytest.approx(plain, abs=1e-3)


def test_a_warm_start_needs_to_know_how_sure_its_model_was(con):
    con.execute("create table plain as select * exclude (uncertainty) from films")
    call = "mf_fit(ratings, user_id, item_id, rating, warm_start := plain)"
    assert "mf_fit: the model of warm_start has no uncertainty" in error(con, call)


def test_rows_are_not_solved_without_it(con):
    con.execute("create table plain as select * exclude (uncertainty) from films")
    for call in ("mf_fold_in", "mf_fold_in_items", "mf_update"):
        found = error(con, f"{call}(plain, ratings, user_id, item_id, rating)")
        assert f"{call}: the row of kind 'model' has no uncertainty" in found


DAMAGE = {"noise": "0", "user_covariances": "[[1.0, 2.0]]", "item_mean": "'inf'::float"}
FIELDS = (
    *("noise", "low", "high", "user_mean", "item_mean"),
    *("user_covariances", "item_covariances", "bias", "factors"),
)


@pytest.mark.parametrize("damaged", DAMAGE)
def test_a_damaged_head_is_refused(con, damaged):
    fields = {name: f"uncertainty.{name}" for name in FIELDS} | {damaged: DAMAGE[damaged]}
    packed = ", ".join(f"{name} := {value}" for name, value in fields.items())
    con.execute(f"update films set uncertainty = struct_pack({packed}) where kind = 'model'")
    found = error(con, "mf_fold_in(films, ratings, user_id, item_id, rating)")
    assert "mf_fold_in: the uncertainty in the row of kind 'model' lacks a number" in found


@pytest.mark.newest
def test_the_share_is_called_interval_where_duckdb_can_read_it(con):
    con.execute("create table pairs as select u, i from range(3) a(u), range(3) b(i)")
    calls = [
        f"mf_predict(films, pairs, u, i, {name} := 0.8)" for name in ("interval", "interval_share")
    ]
    assert rows(con, calls[0]) == rows(con, calls[1])
