"""Clicks and plays in SQL: a strength for each row, or one of 1."""

from __future__ import annotations

import json

import duckdb
import pytest


@pytest.fixture
def clicks(con):
    """Plays by 40 users of 30 items; some none, which counts as seen."""
    con.execute(
        "create table clicks as select u, i, (hash(u, i) % 5)::integer as plays "
        "from range(40) a(u), range(30) b(i) where hash(i, u) % 3 = 0 and u % 2 = i % 2"
    )
    return con


def test_without_a_rating_every_row_is_a_strength_of_one(clicks):
    clicks.execute("create table m as from mf_fit(clicks, u, i)")
    info = json.loads(clicks.execute("select info from m where kind = 'model'").fetchone()[0])
    assert (info["algorithm"], info["feedback"]) == ("implicit_als", "implicit")
    assert info["loss"] == "all_pairs"
    assert info["options"]["solver"] == "cg"
    assert info["options"]["duplicates"] == "sum"
    once = clicks.execute("select factors from m where kind = 'user' order by user_id").fetchall()
    given = clicks.execute(
        "select factors from mf_fit(clicks, u, i, 1, algorithm := 'implicit_als') "
        "where kind = 'user' order by user_id"
    ).fetchall()
    assert once == given


def test_a_strength_may_be_an_expression(clicks):
    clicks.execute(
        "create table m as "
        "from mf_fit(clicks, u, i, rating := ln(1 + plays), algorithm := 'implicit_als')"
    )
    top = clicks.execute("from mf_recommend(m, 4, k := 5)").fetchall()
    seen = {i for (i,) in clicks.execute("select i from clicks where u = 4").fetchall()}
    assert len(top) == 5
    assert all(row[1] % 2 == 0 and row[1] not in seen for row in top[:2])
    assert {row[4] for row in top} == {"model"}


def test_predictions_are_not_clipped(clicks):
    clicks.execute("create table m as from mf_fit(clicks, u, i)")
    clicks.execute("create table pairs as select a.u, b.i from range(40) a(u), range(30) b(i)")
    lowest, highest = clicks.execute(
        "select min(prediction), max(prediction) from mf_predict(m, pairs, u, i)"
    ).fetchone()
    assert lowest < 0 < highest < 1


def test_repeated_rows_add_up(clicks):
    clicks.execute("create table twice as from clicks union all from clicks")
    call = "select factors from mf_fit({}, algorithm := 'implicit_als') order by all"
    twice = clicks.execute(call.format("twice, u, i, plays")).fetchall()
    assert clicks.execute(call.format("clicks, u, i, 2 * plays")).fetchall() == twice


def test_negative_strengths_are_refused(clicks):
    with pytest.raises(duckdb.Error, match=r"mf_fit: rating is negative in \d+ of \d+ rows; alg"):
        clicks.execute("from mf_fit(clicks, u, i, plays - 3, algorithm := 'implicit_als')")


def test_early_stopping_keeps_the_best_epoch(clicks):
    clicks.execute(
        "create table m as from mf_fit(clicks, u, i, epochs := 60, validation_fraction := 0.2)"
    )
    info = json.loads(clicks.execute("select info from m where kind = 'model'").fetchone()[0])
    losses = [
        loss
        for (loss,) in clicks.execute(
            "select metrics.validation_loss from m where kind = 'epoch' order by epoch"
        ).fetchall()
    ]
    assert len(losses) < 60
    assert info["validation_loss"] == min(losses)


def test_early_stopping_keeps_the_best_auc(con):
    con.execute(
        "create table clicks as select (i * 7919) % 97 as u, (i * i) % 89 as v from range(3000) t(i)"
    )
    model = "mf_fit(clicks, u, v, algorithm := 'bpr', validation_fraction := 0.2, epochs := 60)"
    con.execute(f"create table m as from {model}")
    losses = con.execute(
        "select metrics.validation_loss from m where kind = 'epoch' order by epoch"
    ).fetchall()
    best = con.execute("select info ->> 'validation_loss' from m where kind = 'model'").fetchone()
    assert float(best[0]) == min(loss for (loss,) in losses)
    assert all(0 <= loss <= 1 for (loss,) in losses)
