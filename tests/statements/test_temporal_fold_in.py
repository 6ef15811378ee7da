"""Models with time terms: rows solved alone, and updates with new ratings."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from tests.conftest import model_of
from tests.statements.models import error, rows

ALGORITHMS = ["bias", "als", "svd", "svdpp", "timesvdpp"]
PART = "temporal.drift, temporal.day_bias, temporal.bin_bias, temporal.factor_drift"
FOLD = {
    "user": "mf_fold_in(films, ratings, user_id, item_id, rating, ts)",
    "item": "mf_fold_in_items(films, ratings, user_id, item_id, rating, ts)",
}


@pytest.fixture
def timed(small: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """`small`, each user on a few days of two years, and biases that move."""
    small.execute(
        "create or replace table ratings as select user_id, item_id, "
        "rating + 0.4 * (day % 2) + 0.002 * day * (item_id % 3 - 1) as rating, "
        "timestamp '2024-01-01' + day * interval 1 day + ts * interval 1 second as ts "
        "from (select *, (ts % 4) * 150 + user_id * 3 as day from ratings)"
    )
    return small


def fit(con: duckdb.DuckDBPyConnection, algorithm: str, more: str = "") -> None:
    factors = "" if algorithm == "bias" else ", n_factors := 4"
    con.execute(
        "create or replace table films as from mf_fit(ratings, user_id, item_id, rating, ts, "
        f"algorithm := '{algorithm}', temporal := 'all', time_bins := 5, "
        f"temporal_regularization := 4{factors}{more})"
    )


def numbers(con: duckdb.DuckDBPyConnection, relation: str, side: str) -> np.ndarray:
    """All that a row of one side has learnt, one row after the other, by id."""
    found = con.execute(
        f"select bias, factors, {PART} from {relation} where kind = '{side}' order by {side}_id"
    ).fetchall()
    return np.hstack([np.hstack([part for part in row if part is not None]) for row in found])


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", ["bias", "als"])
@pytest.mark.parametrize("side", ["user", "item"])
def test_a_row_of_a_training_that_has_settled_gets_its_trained_numbers(timed, algorithm, side):
    fit(timed, algorithm, ", epochs := 500")
    np.testing.assert_allclose(
        numbers(timed, FOLD[side], side), numbers(timed, "films", side), atol=3e-3
    )
    columns = ("user_id", "item_id", "code", "ratings", "seen", "seen_ratings", "seen_times")
    columns = (*columns, "temporal.days", "round(temporal.t0)")
    trained = f"(from films where kind = '{side}')"
    assert rows(timed, FOLD[side], *columns) == rows(timed, trained, *columns)


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", ["svd", "svdpp", "timesvdpp"])
@pytest.mark.parametrize("side", ["user", "item"])
def test_a_row_of_steps_gets_near_to_its_trained_numbers(timed, algorithm, side):
    fit(timed, algorithm, ", epochs := 300")
    found, trained = numbers(timed, FOLD[side], side), numbers(timed, "films", side)
    assert np.corrcoef(found, trained)[0, 1] > 0.99


def objective(model: dict, ratings: list, options: dict, user: int, x: np.ndarray) -> float:
    """The objective of one user of a timeSVD++, in float64, at b, p, a, drift and day biases."""
    f, mu, sigma, span = options["f"], model["mu"], model["sigma"], model["span"]
    mine = [row for row in ratings if row[0] == user]
    times = np.clip([row[3] for row in mine], span[0], span[1])
    center = np.mean(times)
    days = sorted({int(row[3] // 86400) for row in mine})
    b, p, a = x[0], x[1 : 1 + f], x[1 + f : 1 + 2 * f]
    drift, day_bias = x[1 + 2 * f], x[2 + 2 * f :]
    z = sum(model["Y"][row[1]] for row in mine) / np.sqrt(len(mine))
    total = 0.0
    for (_, item, r, t), clamped in zip(mine, times, strict=True):
        away = (clamped - center) / 86400
        dev = np.sign(away) * abs(away) ** model["beta"]
        n_bins = len(model["bins"][item])
        place = min(int(n_bins * (clamped - span[0]) / (span[1] - span[0])), n_bins - 1)
        predicted = mu + b + model["bi"][item] + model["bins"][item][place]
        predicted += model["Q"][item] @ (p + z + a * dev)
        predicted += drift * dev + day_bias[days.index(int(t // 86400))]
        total += (r - predicted) ** 2
    n, d2, ridge = len(mine), model["usual"] ** 2, options["ridge"]
    weight = n ** options["nu"]
    total += weight * (sigma * options["reg"] * (p @ p) + options["reg"] * b**2)
    total += weight * sigma * ridge * d2 * (a @ a)
    return total + ridge * (d2 * drift**2 + day_bias @ day_bias)


@pytest.mark.newest
def test_a_user_of_timesvdpp_is_at_the_minimum_of_its_objective(timed):
    fit(timed, "timesvdpp", ", epochs := 5, regularization := 0.7")
    ratings = timed.execute(
        "select user_id, item_id, rating::float::double, epoch(ts) from ratings"
    ).fetchall()
    mu, head, deviation, sigma = timed.execute(
        "select bias, temporal, info ->> 'ts_deviation', info ->> 'rating_std' from films where kind = 'model'"
    ).fetchall()[0]
    items = timed.execute(
        "select item_id, bias, factors, implicit_factors, temporal.bin_bias from films where kind = 'item'"
    ).fetchall()
    names = ("bi", "Q", "Y", "bins")
    model = {
        name: {row[0]: np.array(row[n]) for row in items} for n, name in enumerate(names, start=1)
    }
    model |= {"mu": mu, "sigma": float(sigma), "usual": float(deviation), "beta": head["beta"]}
    model["span"] = head["t0"], head["t1"]
    options = {"f": 4, "ridge": 4.0, "reg": 0.7, "nu": 0.5}
    for user in (3, 17, 30):
        b, w, drift, day_bias, a = timed.execute(
            "select bias, factors, temporal.drift, temporal.day_bias, temporal.factor_drift "
            f"from {FOLD['user']} where user_id = {user}"
        ).fetchall()[0]
        mine = [row for row in ratings if row[0] == user]
        z = sum(model["Y"][row[1]] for row in mine) / np.sqrt(len(mine))
        x = np.hstack((b, np.array(w) - z, a, drift, day_bias))
        days = [int(row[3] // 86400) for row in mine]
        counts = np.array([days.count(day) for day in sorted(set(days))], float)
        assert abs(counts @ np.array(day_bias)) < 1e-3, "days leave the mean to b_u"
        gradient = np.zeros(len(x))
        for n in range(len(x)):
            step = np.zeros(len(x))
            step[n] = 1e-4
            up, down = (objective(model, ratings, options, user, x + s) for s in (step, -step))
            gradient[n] = (up - down) / 2e-4
        free, bound = gradient[: -len(counts)], gradient[-len(counts) :]
        bound -= counts * (bound @ counts) / (counts @ counts)  # along the constraint
        assert np.abs(free).max() < 0.02, user
        assert np.abs(bound).max() < 0.05, user


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_new_ratings_alone_will_do_since_the_model_keeps_the_times(timed, algorithm):
    timed.execute("create table everything as from ratings")
    timed.execute("delete from ratings where user_id < 10 and item_id % 5 = 0 or user_id >= 37")
    fit(timed, algorithm)
    timed.execute(
        "create view later as from everything where user_id < 10 and item_id % 5 = 0 or user_id >= 37"
    )
    timed.execute("create view whole as from everything semi join later using (user_id)")
    parts = FOLD["user"].replace("ratings", "later").replace("ts)", "ts, complete := false)")
    assert rows(timed, parts) == rows(timed, FOLD["user"].replace("ratings", "whole"))


def test_times_outside_the_training_count_as_its_ends(timed):
    timed.execute(
        "create table films as from mf_fit(ratings, user_id, item_id, rating, ts, n_factors := 4, "
        "temporal := ['item_bins', 'user_drift'])"
    )
    timed.execute("create macro at_end(t) as greatest(t, (select max(ts) from ratings))")
    found = []
    for time in ("ts + interval 9 year", "at_end(ts)"):
        timed.execute(
            f"create or replace view one as select * replace ({time} as ts) from ratings where user_id = 1"
        )
        found.append(numbers(timed, FOLD["user"].replace("ratings", "one"), "user"))
    np.testing.assert_array_equal(*found)


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_update_puts_touched_rows_at_their_optimum_and_leaves_the_others(timed, algorithm):
    timed.execute("create table everything as from ratings")
    timed.execute(
        "delete from ratings where user_id >= 38 or item_id >= 28 or user_id < 6 and item_id % 4 = 0"
    )
    fit(timed, algorithm)
    timed.execute("create table later as (from everything except from ratings)")
    update = "mf_update(films, later, user_id, item_id, rating, ts, epochs := 200)"
    timed.execute(f"create table next as from {update}")
    described = "column_name, column_type"
    assert rows(timed, "(describe next)", described) == rows(timed, "(describe films)", described)
    same = (
        "{} where kind = 'epoch' or kind = 'user' and user_id not in (select user_id from later) "
        "or kind = 'item' and item_id not in (select item_id from later)"
    )
    assert rows(timed, same.format("next")) == rows(timed, same.format("films"))
    assert rows(timed, "next where kind = 'model'", "temporal") == rows(
        timed, "films where kind = 'model'", "temporal"
    )
    for side in ("user", "item"):
        timed.execute(
            f"create or replace view mine as from everything where {side}_id in (select {side}_id from later)"
        )
        found = numbers(timed, f"next semi join mine using ({side}_id)", side)
        call = FOLD[side].replace("films", "next").replace("ratings", "mine")
        np.testing.assert_allclose(found, numbers(timed, call, side), atol=5e-3)


@pytest.mark.parametrize("algorithm", ["als", "timesvdpp"])
def test_the_same_bits_whatever_the_order_and_the_threads(timed, algorithm):
    timed.execute("create table later as from ratings where user_id < 9 or item_id < 4")
    timed.execute("delete from ratings where item_id % 7 = 0 and item_id < 4")
    fit(timed, algorithm)
    call = "mf_update(films, later, user_id, item_id, rating, ts, threads := {})"
    one = model_of(timed, call.format(1))
    timed.execute("create or replace table later as from later order by hash(rating, item_id)")
    timed.execute("create or replace table films as from films order by hash(code, kind)")
    assert model_of(timed, call.format(2)) == one


@pytest.mark.newest
@pytest.mark.parametrize("algorithm", ["als", "timesvdpp"])
def test_a_stream_comes_near_the_model_that_is_trained_again(movielens, algorithm):
    con = movielens
    con.execute(
        "create table stream as select *, ntile(10) over (order by rated_at, user_id, movie_id) as part from ratings"
    )
    call = "user_id, movie_id, rating, rated_at"
    how = f"algorithm := '{algorithm}', temporal := 'all', n_factors := 16"
    for name, last in (("stale", 8), ("again", 9)):
        con.execute(f"create view seen{last} as from stream where part <= {last}")
        con.execute(f"create table {name} as from mf_fit(seen{last}, {call}, {how})")
    con.execute("create view today as from stream where part = 9")
    con.execute(f"create table updated as from mf_update(stale, today, {call})")
    con.execute("create view test as from stream where part = 10")
    stale, updated, again = (
        con.execute(f"select rmse from mf_evaluate({m}, test, {call})").fetchall()[0][0]
        for m in ("stale", "updated", "again")
    )
    assert again < stale
    assert (updated - stale) / (again - stale) > 0.8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("mf_fold_in(films, ratings, user_id, item_id, rating)", "mf_fold_in: this model has time terms and ts is not given; add ts."),
        ("mf_fold_in_items(films, ratings, user_id, item_id, rating)", "mf_fold_in_items: this model has time terms"),
        ("mf_update(films, ratings, user_id, item_id, rating)", "mf_update: this model has time terms"),
        ("mf_fold_in(films, ratings, user_id, item_id, rating, if(user_id = 1, null, ts))", "mf_fold_in: ts is NULL in"),
        ("mf_fold_in(older, ratings, user_id, item_id, rating, ts, complete := false)", "stored ratings are not in the model, which has time terms. Pass all ratings"),
        ("mf_update(older, ratings, user_id, item_id, rating, ts)", "mf_update: the times of "),
        ("mf_fold_in(oldest, ratings, user_id, item_id, rating, ts)", "mf_fold_in: this model has time terms, and no ts_deviation in its info; train again."),
        ("mf_update(oldest, ratings, user_id, item_id, rating, ts)", "mf_update: this model has time terms, and no ts_deviation"),
    ],
)  # fmt: skip
def test_bad_input_is_named(timed, call, message):
    fit(timed, "als")
    timed.execute("create view older as select * replace (null::double[] as seen_times) from films")
    timed.execute(
        "create view oldest as select * replace (json_merge_patch(info, '{\"ts_deviation\": null}') as info) from films"
    )
    assert message in error(timed, call)


def test_models_without_time_terms_keep_no_times(timed):
    timed.execute("create table films as from mf_fit(ratings, user_id, item_id, rating, ts)")
    assert rows(timed, "films", "count(seen_times)", "count(seen)") == [(0, 40)]
