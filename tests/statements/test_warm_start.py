"""mf_fit(..., warm_start := model): a training that begins with an earlier model."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from tests.statements.models import error, numbers, rows

ALGORITHMS = ["als", "svd", "svdpp", "timesvdpp", "bias", "implicit_als", "bpr"]
CALL = "mf_fit(ratings, user_id, item_id, rating, {})"


@pytest.fixture
def films(small: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """`small` with times that are dates, days apart."""
    small.execute("update ratings set ts = ts * 86400")
    return small


def fitted(con: duckdb.DuckDBPyConnection, name: str, algorithm: str, more: str = "") -> None:
    """Train a table on ratings."""
    factors = "" if algorithm == "bias" else ", n_factors := 5"
    times = ", ts := ts" if algorithm == "timesvdpp" else ""
    con.execute(
        f"create or replace table {name} as from mf_fit(ratings, user_id, item_id, rating, "
        f"algorithm := '{algorithm}'{factors}{times}{more})"
    )


def warm(algorithm: str, more: str = "") -> str:
    times = ", ts := ts" if algorithm == "timesvdpp" else ""
    return f"mf_fit(ratings, user_id, item_id, rating, warm_start := films{times}{more})"


def losses(con: duckdb.DuckDBPyConnection, model: str) -> list[float]:
    return [
        loss for (loss,) in con.execute(f"select train_loss from mf_epochs({model})").fetchall()
    ]


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", ["als", "bias"])
def test_a_model_at_its_optimum_stays(films, algorithm):
    fitted(films, "films", algorithm, ", epochs := 400")
    films.execute(f"create table again as from {warm(algorithm, ', epochs := 1')}")
    for side in ("user", "item"):
        before, after = (numbers(films, model, side) for model in ("films", "again"))
        np.testing.assert_allclose(after, before, atol=2e-3)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_users_and_items_that_are_new_are_learnt_and_gone_ones_are_gone(films, algorithm):
    films.execute("create table everything as from ratings")
    films.execute("delete from ratings where user_id >= 35 or item_id >= 26")
    fitted(films, "films", algorithm, ", epochs := 20")
    films.execute(
        "create or replace table ratings as from everything where user_id >= 5 and item_id >= 3"
    )
    films.execute(f"create table again as from {warm(algorithm)}")
    for side in ("user", "item"):
        found = rows(films, f"again where kind = '{side}'", f"{side}_id", "code")
        there = rows(films, "ratings", f"distinct {side}_id")
        assert found == [(id, n) for n, (id,) in enumerate(there)]
        assert np.all(np.abs(numbers(films, "again", side)[-3:]).sum(axis=1) > 0)
    note = "info -> 'warm_start'"
    assert rows(films, "again where kind = 'model'", f"{note} ->> 'users'", f"{note} ->> 'items'") == [
        ("30", "23")
    ]  # fmt: skip
    if algorithm != "bpr":  # whose losses are those of drawn triples
        fitted(films, "cold", algorithm)
        assert losses(films, "again")[-1] < 1.1 * losses(films, "cold")[-1]


def test_options_left_out_are_those_of_the_model(films):
    how = (
        ", regularization := 0.3, epochs := 7, validation_fraction := 0.2, patience := 9, seed := 5"
    )
    fitted(films, "films", "svd", how)
    films.execute(f"create table again as from {warm('svd', ', learning_rate := 0.01')}")
    of = "options ->> '{}'"
    names = ("n_factors", "regularization", "epochs", "seed", "learning_rate", "patience")
    found = rows(films, "mf_info(again)", "algorithm", "held_out", *map(of.format, names))
    assert found == [("svd", 0, "5", "0.3", "7", "5", "0.01", None)]


@pytest.mark.newest
def test_few_epochs_bring_a_model_up_to_date(movielens):
    con = movielens
    con.execute(
        "create table stream as select *, ntile(10) over (order by rated_at, user_id, movie_id) as part from ratings"
    )
    con.execute("create view test as from stream where part = 10")
    con.execute("create view train as from stream where part < 10")
    con.execute("create view earlier as from stream where part < 9")
    call = "user_id, movie_id, rating"
    con.execute(f"create table stale as from mf_fit(earlier, {call}, n_factors := 16)")
    for name, how in (
        ("cold", "n_factors := 16"),
        ("short", "n_factors := 16, epochs := 2"),
        ("warm", "warm_start := stale, epochs := 2"),
    ):
        con.execute(f"create table {name} as from mf_fit(train, {call}, {how})")
    stale, cold, warm = (
        con.execute(f"select rmse from mf_evaluate({m}, test, {call})").fetchall()[0][0]
        for m in ("stale", "cold", "warm")
    )
    assert cold < stale
    assert warm < cold + 0.2 * (stale - cold)
    loss = {m: losses(con, m)[-1] for m in ("cold", "short", "warm")}
    assert loss["warm"] - loss["cold"] < 0.2 * (loss["short"] - loss["cold"])


def test_the_table_that_is_replaced_may_be_where_it_starts(films):
    fitted(films, "films", "als")
    films.execute(f"create or replace table films as from {warm('als', ', epochs := 2')}")
    assert rows(films, "mf_info(films)", "epochs") == [(2,)]
    films.execute("create table more as from films")
    named = warm("als").replace("films", "'more'")
    assert len(rows(films, named)) > 70
    through = f"(with m as (from more) from {warm('als').replace('films', 'm')})"
    assert len(rows(films, through)) > 70


def test_ids_of_another_type_are_the_same_ids(films):
    fitted(films, "films", "als")
    films.execute(
        "create table texts as select * replace (user_id::varchar as user_id) from ratings"
    )
    known = rows(
        films,
        warm("als").replace("ratings", "texts") + " where kind = 'model'",
        "info -> 'warm_start' ->> 'users'",
    )
    assert known == [("40",)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (CALL.format("warm_start := ratings"), "mf_fit: the relation of warm_start is not a model: it has 0 rows"),
        (CALL.format("warm_start := twice"), "mf_fit: the model of warm_start has several rows for some of its users"),
        (CALL.format("warm_start := films, algorithm := 'svd'"), "mf_fit: algorithm is 'svd', but the model of warm_start has 'als'; leave algorithm out"),
        (CALL.format("warm_start := films, n_factors := 6"), "mf_fit: n_factors is 6, but the model of warm_start has 5"),
        (CALL.format("warm_start := films, learning_rate := 0.1"), "mf_fit: algorithm 'als' does not use learning_rate"),
        (CALL.format("warm_start := popular"), "mf_fit: algorithm 'popularity' counts anew"),
        (CALL.format("warm_start := mixed"), "mf_fit: rows of the model have 2 factors where 5 belong"),
        ("mf_fit(others, user_id, item_id, rating, warm_start := films)", "mf_fit: the model of warm_start knows none of the 3 items of the source"),
    ],
)  # fmt: skip
def test_bad_input_is_named(films, call, message):
    fitted(films, "films", "als")
    films.execute(
        "create table popular as from mf_fit(ratings, user_id, item_id, rating, algorithm := 'popularity')"
    )
    films.execute("create view twice as from films union all from films where user_id = 1")
    films.execute(
        "create view mixed as select * replace (if(kind = 'item', [1, 2], factors) as factors) from films"
    )
    films.execute(
        "create view others as select user_id, item_id + 99 as item_id, rating from ratings where item_id < 3"
    )
    assert message in error(films, call)
