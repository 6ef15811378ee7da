"""Time terms from training to SQL: what mf_fit learnt is what mf_predict and mf_recommend say."""

from __future__ import annotations

import duckdb
import pytest

from tests.clients import macros

TIMED = {
    "als": "algorithm := 'als', temporal := ['item_bins', 'user_drift', 'user_day']",
    "svd": "algorithm := 'svd', temporal := ['item_bins', 'user_drift', 'user_day']",
    "timesvdpp": "algorithm := 'timesvdpp'",
}


@pytest.fixture
def few(movielens: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The ratings of 60 users; a tenth of them apart."""
    movielens.execute(
        "create table few as select *, hash(hash(user_id, movie_id)) % 10 = 0 as apart "
        "from ratings where user_id <= 60"
    )
    return movielens


def fit(con: duckdb.DuckDBPyConnection, name: str, options: str, ts: str = "rated_at") -> None:
    con.execute(
        f"create or replace table {name} as from mf_fit(few, user_id, movie_id, rating, {ts}, "
        f"{options}, n_factors := 4, epochs := 4, progress := false)"
    )


@pytest.mark.parametrize("name", TIMED)
def test_sql_reproduces_the_losses_of_the_training(few, name):
    fit(few, "films", f"{TIMED[name]}, validation := apart")
    few.execute("create view held_out as from few where apart")
    few.execute("create view trained as from few where not apart")
    loss = (
        "select sqrt(avg((rating - prediction) ** 2)) "
        "from mf_predict(films, {}, user_id, movie_id, ts := rated_at, clip := false)"
    )
    (best,) = few.execute("select validation_loss from mf_info(films)").fetchone()
    assert few.execute(loss.format("held_out")).fetchone()[0] == pytest.approx(best, rel=1e-5)
    (evaluated,) = few.execute(
        "select rmse from mf_evaluate(films, held_out, user_id, movie_id, rating, ts := rated_at)"
    ).fetchone()
    assert evaluated <= best * (1 + 1e-6)  # clipped
    (timeless,) = few.execute(
        "select rmse from mf_evaluate(films, trained, user_id, movie_id, rating)"
    ).fetchone()
    assert few.execute(loss.format("trained")).fetchone()[0] < timeless


@pytest.mark.parametrize("name", TIMED)
def test_lists_at_a_time_are_those_of_predictions_in_both_versions(few, name):
    fit(few, "films", TIMED[name])
    at = "timestamp '2000-05-05'"
    call = f"(films, k := 5, ts := {at}) order by user_id, rank"
    few.execute(macros(temporary=False))  # plain SQL, beside the temp macros of duckmf
    lists = few.execute(f"from mf_recommend{call}").fetchall()
    assert lists == few.execute(f"from memory.main.mf_recommend{call}").fetchall()
    assert (
        lists != few.execute("from mf_recommend(films, k := 5) order by user_id, rank").fetchall()
    )
    few.execute(f"create table lists as from mf_recommend(films, k := 5, ts := {at})")
    assert (
        few.execute(
            "select max(abs(score - prediction)) "
            f"from mf_predict(films, lists, user_id, item_id, ts := {at}, clip := false)"
        ).fetchone()[0]
        < 1e-5
    )


def test_without_a_time_it_is_the_end_of_the_span(few):
    fit(few, "films", TIMED["timesvdpp"])
    few.execute("set variable last = (select max(rated_at) from few)")
    (same,) = few.execute(
        "select bool_and(a.score = b.score) from mf_recommend(films, k := 3) a "
        "join mf_recommend(films, k := 3, ts := getvariable('last')) b using (user_id, rank)"
    ).fetchone()
    assert same


@pytest.mark.parametrize(
    "ts",
    [
        "rated_at::timestamptz",
        "epoch(rated_at)::bigint",
        "rated_at::varchar",
        "rated_at::timestamp_s",
    ],
)
def test_times_of_all_types_give_the_same_model(few, ts):
    few.execute("set timezone = 'UTC'")
    terms = "select kind, user_id, item_id, bias, factors, temporal from {} order by all"
    fit(few, "films", TIMED["als"])
    fit(few, "other", TIMED["als"], ts)
    assert few.execute(terms.format("films")).fetchall() == (
        few.execute(terms.format("other")).fetchall()
    )


def test_dates_are_the_beginnings_of_days(few):
    fit(few, "films", TIMED["als"], "rated_at::date")
    fit(few, "other", TIMED["als"], "date_trunc('day', rated_at)")
    terms = "select kind, user_id, item_id, bias, temporal from {} order by all"
    assert few.execute(terms.format("films")).fetchall() == (
        few.execute(terms.format("other")).fetchall()
    )


def test_a_model_with_time_terms_is_read_from_parquet(few, tmp_path):
    fit(few, "films", TIMED["timesvdpp"])
    few.execute(f"copy films to '{tmp_path / 'films.parquet'}'")
    few.execute(f"create view far as from '{tmp_path / 'films.parquet'}'")
    predictions = "from mf_predict({}, few, user_id, movie_id, ts := rated_at) order by all"
    assert few.execute(predictions.format("far")).fetchall() == (
        few.execute(predictions.format("films")).fetchall()
    )
