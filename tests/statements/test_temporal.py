"""Time terms in SQL: what is stored of them, which times they take, and what they are good for."""

from __future__ import annotations

import json

import duckdb
import pytest


@pytest.fixture
def timed(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same database with a table `source` of 500 ratings over 400 days."""
    con.execute(
        "create table source as select (hash(i) % 40)::int as u, (hash(i, 1) % 25)::int as i, "
        "1 + (hash(i, 2) % 9) / 2 as r, "
        "timestamp '2020-01-01' + to_seconds((hash(i, 3) % 34_560_000)::int) as ts, "
        "from range(500) t(i)"
    )
    return con


FIT = "mf_fit(source, u, i, r, algorithm := 'bias', progress := false"


def temporal_of(con, call: str, kind: str):
    query = f"select temporal from {call}) where kind = '{kind}' order by code"
    return [row[0] for row in con.execute(query).fetchall()]


def test_parts_that_are_off_are_null(timed):
    for parts, users, items in [
        ("'item_bins'", set(), {"bin_bias"}),
        ("['user_drift']", {"t0", "drift"}, set()),
        ("['user_day']", {"t0", "days", "day_bias"}, set()),
        ("['user_day', 'item_bins']", {"t0", "days", "day_bias"}, {"bin_bias"}),
    ]:
        call = f"{FIT}, ts := ts, temporal := {parts}"
        model = temporal_of(timed, call, "model")[0]
        assert {name for name, value in model.items() if value is not None} == {"t0", "t1", "beta"}
        for kind, expected in (("user", users), ("item", items)):
            found = temporal_of(timed, call, kind)
            assert len(found) == (40 if kind == "user" else 25)
            for row in found:
                named = {name for name, value in (row or {}).items() if value is not None}
                assert named == expected
    for call in (FIT, f"{FIT}, ts := ts", f"{FIT}, ts := ts, temporal := []"):
        assert timed.execute(f"select count(temporal) from {call})").fetchone() == (0,)


def test_the_rows_hold_days_bins_and_times_as_they_are_defined(timed):
    call = f"{FIT}, ts := ts, temporal := ['user_day', 'item_bins'], time_bins := 6"
    t0, t1 = timed.execute("select epoch(min(ts)), epoch(max(ts)) from source").fetchone()
    model = temporal_of(timed, call, "model")[0]
    assert (model["t0"], model["t1"], model["beta"]) == (t0, t1, pytest.approx(0.4))
    days = timed.execute(
        "select u, avg(epoch(ts)), list_sort(list(distinct floor(epoch(ts) / 86400)::int)) "
        "from (select u, i, max(ts) as ts from source group by all) group by u order by u"
    ).fetchall()
    users = temporal_of(timed, call, "user")
    for (_, center, expected), found in zip(days, users, strict=True):
        assert found["t0"] == pytest.approx(center)
        assert found["days"] == expected
        assert len(found["day_bias"]) == len(expected)
    assert {len(row["bin_bias"]) for row in temporal_of(timed, call, "item")} == {6}


@pytest.mark.parametrize(
    "ts",
    ["ts::timestamptz", "epoch(ts)::bigint", "epoch(ts)", "ts::varchar", "ts::timestamp_s"],
)
def test_every_type_of_time_gives_the_same_model(timed, ts):
    timed.execute("set timezone = 'UTC'")
    timed.execute(
        "create table whole as select u, i, r, date_trunc('second', ts) as ts from source"
    )
    fit = FIT.replace("source", "whole")
    expected = temporal_of(timed, f"{fit}, ts := ts, temporal := 'user_drift'", "user")
    assert temporal_of(timed, f"{fit}, ts := {ts}, temporal := 'user_drift'", "user") == expected


def test_a_date_is_its_midnight(timed):
    model = temporal_of(timed, f"{FIT}, ts := ts::date, temporal := 'item_bins'", "model")[0]
    first = timed.execute("select epoch(min(ts::date)) from source").fetchone()[0]
    assert model["t0"] == first


def test_held_out_rows_are_judged_at_their_own_times(timed):
    """The ratings jump half-way, so a model that knows of bins must know when a row was."""
    timed.execute("update source set r = case when ts < '2020-07-18' then 2 else 4 end")
    loss = {}
    for ts in ("ts", "timestamp '2020-01-01'"):
        loss[ts] = timed.execute(
            "select info.validation_loss::double from mf_fit(source, u, i, r, algorithm := 'bias', "
            f"ts := case when hash(u, i) % 5 = 0 then {ts} else ts end, time_bins := 2, "
            "temporal := 'item_bins', temporal_regularization := 0.1, "
            "validation := hash(u, i) % 5 = 0, progress := false) where kind = 'model'"
        ).fetchone()[0]
    assert loss["ts"] < 0.45
    assert loss["timestamp '2020-01-01'"] > 1


def test_info_names_the_parts(timed):
    info = timed.execute(
        f"select info from {FIT}, ts := ts, temporal := ['user_day', 'item_bins']) "
        "where kind = 'model'"
    ).fetchone()[0]
    options = json.loads(info)["options"]
    assert options["temporal"] == ["item_bins", "user_day"]
    assert options["temporal_regularization"] == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "temporal := ['item_bins']",
            "mf_fit: temporal is ['item_bins'] but ts is not given; add ts := ..., or leave "
            "temporal out.",
        ),
        (
            "ts := ts, temporal := ['user_day', 'item_bin']",
            "mf_fit: temporal holds 'item_bin'; give a list of 'item_bins', 'user_drift', "
            "'user_day'.",
        ),
        (
            "ts := ts, temporal := 'factor_drift'",
            "mf_fit: temporal holds 'factor_drift'; give a list of 'item_bins', 'user_drift', "
            "'user_day'.",
        ),
        (
            "ts := ts, time_bins := 5",
            "mf_fit: time_bins is given but temporal is not; leave it out, or say which time terms "
            "with temporal := ['item_bins', ...].",
        ),
        (
            "ts := ts, temporal := 'item_bins', time_bins := 0",
            "mf_fit: time_bins is 0; give a whole number from 1 to 10000.",
        ),
        (
            "ts := epoch_ms(ts), temporal := 'item_bins'",
            "seconds from 1970, outside the years 1 to 9999; give a timestamp, a date, or seconds "
            "since 1970.",
        ),
    ],
)
def test_what_is_refused(timed, arguments, message):
    with pytest.raises(duckdb.Error) as caught:
        timed.execute(f"create table m as from {FIT}, {arguments})")
    assert message in str(caught.value)


def test_in_sql_every_part_is_there_and_ts_is_needed(small):
    call = "mf_fit(ratings, user_id, item_id, rating, algorithm := 'timesvdpp', n_factors := 3"
    small.execute(f"create table m as from {call}, ts := ts * 86400)")
    temporal = small.execute(
        "select kind, any_value(temporal) from m where temporal is not null group by kind"
    ).fetchall()
    named = {
        kind: {name for name, value in row.items() if value is not None} for kind, row in temporal
    }
    assert named == {
        "model": {"t0", "t1", "beta"},
        "user": {"t0", "drift", "days", "day_bias", "factor_drift"},
        "item": {"bin_bias"},
    }
    lengths = small.execute(
        "select distinct len(factors), len(temporal.factor_drift), len(temporal.days) = "
        "len(temporal.day_bias) from m where kind = 'user'"
    ).fetchall()
    assert lengths == [(3, 3, True)]
    assert small.execute(
        "select count(*) from m where kind = 'item' and len(implicit_factors) = 3"
    ).fetchone() == (30,)
    everything = small.execute(f"select temporal from {call}, ts := ts * 86400, temporal := 'all')")
    assert everything.fetchall() == small.execute("select temporal from m").fetchall()
    for options in ("", ", temporal := []"):
        with pytest.raises(duckdb.Error) as caught:
            small.execute(f"from {call}{options})")
        assert str(caught.value).endswith(
            "mf_fit: algorithm 'timesvdpp' learns from times and ts is not given; add ts := ..., "
            "or choose algorithm := 'svdpp'."
        )


def held_out_loss(con, algorithm: str, temporal: str, held_out: str) -> float:
    """The validation loss after all epochs on MovieLens."""
    ts = "" if temporal == "[]" else f", ts := rated_at, temporal := {temporal}"
    return con.execute(
        f"select metrics.validation_loss from mf_fit(ratings, user_id, movie_id, rating{ts}, "
        f"algorithm := '{algorithm}', {held_out}, patience := 100, progress := false) "
        "where kind = 'epoch' order by epoch desc limit 1"
    ).fetchone()[0]


@pytest.mark.newest
def test_time_terms_pay_on_random_splits_and_do_no_harm_forward_in_time(movielens):
    random = "validation_fraction := 0.2"
    assert held_out_loss(movielens, "bias", "'all'", random) < (
        held_out_loss(movielens, "bias", "[]", random) - 0.005
    )
    als = held_out_loss(movielens, "als", "[]", random)
    assert held_out_loss(movielens, "als", "'all'", random) < als - 0.005
    assert held_out_loss(movielens, "timesvdpp", "'all'", random) < als - 0.005
    cut = movielens.execute("select quantile_disc(rated_at, 0.8) from ratings").fetchone()[0]
    forward = f"validation := rated_at > timestamp '{cut}'"
    als = held_out_loss(movielens, "als", "[]", forward)
    for algorithm in ("als", "timesvdpp"):
        assert held_out_loss(movielens, algorithm, "'all'", forward) < als + 0.002
