"""mf_cross_validate: the numbers of mf_fit and mf_evaluate on the folds of mf_folds, in one statement."""

from __future__ import annotations

import duckdb
import pytest

from duckmf import algorithms
from tests.conftest import runs_of

RANKING = "precision, recall, ndcg, map, mrr, hit_rate, auc"
NAMES = algorithms.NAMES


@pytest.fixture
def sparse(small: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """With cold users and items in every fold, users and items of odd ids, and repeated rows."""
    small.execute("insert into ratings select 1000 + i, 7 * i, 4.25, i from range(30) r(i)")
    small.execute("insert into ratings select i, 2000 + i, 1.5, i from range(30) r(i)")
    small.execute(
        "insert into ratings select user_id, item_id, 2, 900 from ratings using sample 9 (reservoir, 1)"
    )
    return small


def options_of(name: str) -> str:
    few = "" if name == "popularity" else ", epochs := 3"
    factors = "" if name in ("popularity", "bias") else ", n_factors := 4"
    return f"algorithm := '{name}'{few}{factors}" + ts_of(name)


def ts_of(name: str) -> str:
    return ", ts := ts * 86400" if name.startswith("time") else ""


def one_by_one(con: duckdb.DuckDBPyConnection, fold: int, fit: str, relevant: str) -> list[object]:
    """What a fold says by mf_fit, mf_evaluate and mf_evaluate_ranking."""
    con.execute(f"create or replace view train as from parts where fold <> {fold}")
    con.execute(f"create or replace view test as from parts where fold = {fold}")
    con.execute(f"create or replace view good as from test where {relevant}")
    con.execute(f"create or replace table m as from mf_fit(train, {fit})")
    explicit = con.execute(
        "select info->>'feedback' = 'explicit' from m where kind = 'model'"
    ).fetchone()[0]
    ts = ", ts := ts * 86400" if ":= ts" in fit else ""
    evaluated = "select rmse, mae, n, cold_users, cold_items, cold_pairs from mf_evaluate"
    errors = (
        con.execute(f"{evaluated}(m, test, user_id, item_id, rating{ts})").fetchone()
        if explicit
        else ()
    )
    lists = con.execute(
        f"select {RANKING} from mf_evaluate_ranking(m, good, user_id, item_id, k := 5)"
    ).fetchone()
    return [*errors, *lists]


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_the_numbers_of_the_single_statements(sparse, name):
    fit = f"user_id, item_id, rating, {options_of(name)}"
    sparse.execute("create table parts as from mf_folds(ratings, user_id, item_id, folds := 3)")
    rows = sparse.execute(
        f"select fold, rmse, mae, test, cold_users, cold_items, cold_pairs, {RANKING}, train "
        f"from mf_cross_validate(ratings, {fit}, folds := 3, k := 5, relevant := rating >= 3)"
    ).fetchall()
    assert [row[0] for row in rows] == [1, 2, 3]
    assert {row[1] is None for row in rows} == {algorithms.find(name).feedback == "implicit"}
    for fold, rmse, *row in rows if name == "als" else rows[:1]:
        found = [rmse, *row] if rmse is not None else row[5:]
        expected = one_by_one(sparse, fold, fit, "rating >= 3")
        assert found[:-1] == pytest.approx(expected, rel=2e-6, abs=1e-7), f"fold {fold}"
        assert row[-1] == sparse.execute("select count(*) from train").fetchone()[0]
    assert all(row[4] > 0 and row[5] > 0 for row in rows), "every fold has cold users and items"


def test_rows_held_out_of_the_other_folds_stop_a_training_early(sparse):
    options = "n_factors := 4, epochs := 40, validation := ts % 7 = 1, patience := 2"
    sparse.execute("create table parts as from mf_folds(ratings, user_id, item_id, seed := 5)")
    cross = f"mf_cross_validate(ratings, user_id, item_id, rating, {options}, seed := 5)"
    rows = sparse.execute(f"select fold, epochs, best_epoch, rmse from {cross}").fetchall()
    fit = f"mf_fit(train, user_id, item_id, rating, {options}, seed := 5)"
    for fold, *found in rows[:2]:
        expected = sparse.execute(
            f"""with train as (from parts where fold <> {fold}), m as materialized (from {fit}),
            test as (from parts where fold = {fold})
            select epochs, best_epoch, rmse from mf_info(m), mf_evaluate(m, test, user_id, item_id, rating)"""
        ).fetchone()
        assert found == pytest.approx(list(expected), rel=2e-6)
    assert {row[1] for row in rows} != {40}


def test_lists_can_be_left_out_and_ratings_too(small):
    ratings = small.execute(
        f"select rmse is null, columns([{', '.join(repr(name) for name in RANKING.split(', '))}]) is null from "
        "mf_cross_validate(ratings, user_id, item_id, rating, k := null, epochs := 1)"
    ).fetchall()
    assert ratings == [(False, *[True] * 7)] * 5
    clicks = "mf_cross_validate(ratings, user_id, item_id, epochs := 1, folds := 2)"
    assert (
        small.execute(f"select rmse, mae, ndcg > 0 from {clicks}").fetchall()
        == [(None, None, True)] * 2
    )
    popular = f"{clicks[:-1]}, algorithm := 'popularity')".replace("epochs := 1, ", "")
    assert small.execute(f"select rmse, ndcg > 0 from {popular}").fetchall() == [(None, True)] * 2


def test_nothing_of_a_fold_may_be_relevant(small):
    cross = "mf_cross_validate(ratings, user_id, item_id, rating, epochs := 1, folds := 2, relevant := rating > 9)"
    assert (
        small.execute(f"select rmse > 0, ndcg, auc from {cross}").fetchall()
        == [(True, None, None)] * 2
    )


def test_the_order_of_rows_and_the_threads_change_nothing(small):
    metrics = f"select fold, train, test, rmse, mae, {RANKING}, cold_pairs, epochs from "
    small.execute("create table mixed as from ratings order by hash(rating, item_id)")
    cross = "mf_cross_validate({}, user_id, item_id, rating, epochs := 2, threads := {})"
    expected = small.execute(metrics + cross.format("ratings", 2)).fetchall()
    for threads in (1, 3):
        assert small.execute(metrics + cross.format("mixed", threads)).fetchall() == expected


def test_the_order_of_many_rows_changes_no_bit(movielens):
    """Sums of tens of thousands of errors round differently in another order."""
    cross = (
        "select * exclude (seconds) from mf_cross_validate({}, user_id, movie_id, rating, "
        "folds := 2, k := null, algorithm := 'bias', epochs := 2)"
    )
    expected = movielens.execute(cross.format("ratings")).fetchall()
    for seed in range(4):
        order = f"order by hash(hash({seed}, user_id, movie_id)) asc nulls last"
        movielens.execute(f"create or replace table mixed as from ratings {order}")
        assert movielens.execute(cross.format("mixed")).fetchall() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("folds := 1", "folds is 1; give a whole number from 2 to 1000."),
        ("folds := 2.5", "folds is 2.5; give a whole number from 2 to 1000."),
        ("folds := null", "folds is None; give a whole number from 2 to 1000."),
        ("folds := -3", "folds is -3; give a whole number from 2 to 1000."),
        ("k := 0", "k is 0; give a whole number from 1 to 100000."),
        ("alpha := 2", "algorithm 'als' does not use alpha; leave it out."),
        ("n_factors := [8, 16]", "n_factors is [8, 16]; give a whole number from 1 to 1024."),
        (
            "folds := 1000",
            "has 0 rows and leaves 30 items to train on; give more rows or fewer folds.",
        ),
        ("validation := ts < 0", "validation holds out 0 of"),
    ],
)
def test_mistakes_are_said_in_its_name(small, arguments, message):
    with pytest.raises(duckdb.Error, match="mf_cross_validate: ") as refused:
        small.execute(
            f"from mf_cross_validate(ratings, user_id, item_id, rating, {arguments})"
        ).fetchall()
    assert message in str(refused.value)
    assert "mf_fit: " not in str(refused.value)
    assert len(runs_of(small)) == 0


def test_a_source_that_cannot_be_used_is_refused_in_its_name(small):
    with pytest.raises(duckdb.Error, match="mf_cross_validate: rating is NULL in 600 of 600 rows"):
        small.execute(
            "from mf_cross_validate(ratings, user_id, item_id, case when ts < 0 then rating end)"
        ).fetchall()


def test_it_takes_every_option_of_mf_fit(con):
    parameters = dict(
        con.execute(
            "select function_name, parameters from duckdb_functions() where function_name in ('mf_fit', 'mf_cross_validate')"
        ).fetchall()
    )
    assert set(parameters["mf_fit"]) - {"warm_start"} < set(parameters["mf_cross_validate"])
