"""mf_tune and mf_fit_best: every trial is an mf_fit, and the best comes first."""

from __future__ import annotations

import json
import sys
import threading
import time

import duckdb
import numpy as np
import pytest

from duckmf import algorithms
from duckmf.statements import progress
from tests.conftest import model_of, runs_of
from tests.statements.test_progress import Terminal
from tests.tuning.tuned import ERRORS, GRID, LISTS, arguments_of, tried


@pytest.mark.parametrize(
    "held_out", ["validation := ts % 5 = 0", "validation_fraction := 0.3, seed := 3"]
)
def test_a_trial_is_the_training_of_mf_fit(small, held_out):
    rows = tried(small, f"{GRID}, algorithm := ['als', 'svd'], {held_out}, prune := false")
    assert len(rows) == 12
    assert {row[2] for row in rows} == {"complete"}
    small.execute("create view held as from ratings where ts % 5 = 0")
    for row in rows[::3]:
        fit = f"ratings, user_id, item_id, rating, epochs := 8, {arguments_of(row[5], row[6])}, {held_out}"
        small.execute(f"create or replace table m as from mf_fit({fit})")
        assert small.execute("select epochs, best_epoch from mf_info(m)").fetchone() == row[16:18]
        if "ts" in held_out:
            errors = small.execute(
                f"select {ERRORS} from mf_evaluate(m, held, user_id, item_id, rating)"
            )
            assert row[7:9] == pytest.approx(errors.fetchone(), rel=2e-6)
            assert row[3:5] == ("rmse", row[7])


@pytest.mark.parametrize("algorithm", ["implicit_als", "als", "popularity"])
def test_lists_are_judged_as_mf_evaluate_ranking_does(small, algorithm):
    small.execute("create view held as from ratings where ts % 3 = 0 and rating >= 3")
    tuned = f"algorithm := '{algorithm}', validation := ts % 3 = 0, relevant := rating >= 3, objective := 'map', k := 4, prune := false"
    rows = tried(
        small, tuned + (", n_factors := [1, 3], epochs := 2" if algorithm != "popularity" else "")
    )
    assert len(rows) == (1 if algorithm == "popularity" else 2)
    for row in rows:
        fit = f"ratings, user_id, item_id, rating, {arguments_of(algorithm, row[6])}, validation := ts % 3 = 0"
        fit += "" if algorithm == "popularity" else ", epochs := 2"
        small.execute(f"create or replace table m as from mf_fit({fit})")
        lists = small.execute(
            f"select {LISTS} from mf_evaluate_ranking(m, held, user_id, item_id, k := 4)"
        )
        assert row[9:16] == pytest.approx(lists.fetchone(), rel=2e-6)
        assert row[3:5] == ("map", row[12])
        assert (row[7] is None) == (algorithm == "implicit_als")


def test_the_best_comes_first(small):
    rows = tried(small, f"{GRID}, algorithm := ['als', 'svd']")
    assert [row[0] for row in rows] == list(range(1, 13))
    complete = [row[4] for row in rows if row[2] == "complete"]
    stopped = [row[4] for row in rows if row[2] == "pruned"]
    assert complete == sorted(complete)
    assert stopped == sorted(stopped)
    assert [row[2] for row in rows] == ["complete"] * len(complete) + ["pruned"] * len(stopped)
    assert sorted(row[1] for row in rows) == list(range(1, 13))
    assert {(row[5], row[6]) for row in rows} == {
        (algorithm, json.dumps({"n_factors": f, "regularization": r}, separators=(",", ":")))
        for algorithm in ("als", "svd")
        for f in (2, 4)
        for r in (0.1, 1.0, 10.0)
    }
    ranked = tried(small, "n_factors := [1, 2, 8], objective := 'ndcg', prune := false")
    assert [row[4] for row in ranked] == sorted((row[4] for row in ranked), reverse=True)


def test_validation_by_time_holds_out_the_latest_rows(small):
    cut = small.execute("select quantile_disc(ts, 0.8) from ratings").fetchone()[0]
    by_time = tried(
        small, f"{GRID}, ts := ts, validation_method := 'time', validation_fraction := 0.2"
    )
    assert by_time == tried(small, f"{GRID}, ts := ts, validation := ts > {cut}")
    assert by_time != tried(small, f"{GRID}, ts := ts, validation_fraction := 0.2")


@pytest.mark.parametrize("objective", ["rmse", "ndcg"])
def test_the_order_of_rows_and_the_threads_change_nothing(small, objective):
    small.execute("create table mixed as from ratings order by hash(rating, item_id)")
    space = "algorithm := ['als', 'svd'], n_factors := [2, 3], regularization := [0.1, 1], epochs := 6, objective := '{}', threads := {}"
    expected = tried(small, space.format(objective, 2))
    for threads in (1, 3):
        mixed = tried(small, space.format(objective, threads), of="mixed, user_id, item_id, rating")
        assert mixed == expected


@pytest.mark.newest
def test_real_data_give_the_same_numbers_in_any_order_with_any_threads(movielens):
    movielens.execute("create table mixed as from ratings order by hash(rating, movie_id, user_id)")
    space = "algorithm := ['svd', 'als'], n_factors := [4, 8], regularization := [0.5, 2], epochs := 10, threads := {}"
    expected = tried(movielens, space.format(2), of="ratings, user_id, movie_id, rating")
    for threads in (1, 3):
        mixed = tried(movielens, space.format(threads), of="mixed, user_id, movie_id, rating")
        assert mixed == expected
    assert {row[2] for row in expected} == {"complete", "pruned"}


@pytest.fixture
def failing(small, monkeypatch):
    """Where bias models with regularization 7 diverge."""
    from duckmf.algorithms import bias

    epoch = bias.Bias.epoch
    monkeypatch.setattr(
        bias.Bias,
        "epoch",
        lambda self, n: np.nan if self.options.regularization == 7 else epoch(self, n),
    )
    return small


def test_a_trial_that_fails_is_told_and_the_others_go_on(failing):
    rows = tried(failing, "algorithm := 'bias', regularization := [1, 7, 3], prune := false")
    assert [row[2] for row in rows] == ["complete", "complete", "failed"]
    assert rows[2][4] is None
    assert rows[2][-1].startswith(
        "mf_tune: the training loss is nan after epoch 1; raise regularization"
    )
    with pytest.raises(
        duckdb.Error,
        match="mf_fit_best: all 1 trials failed, the first with: the training loss is nan",
    ):
        failing.execute(
            "create table m as from mf_fit_best(ratings, user_id, item_id, rating, algorithm := 'bias', regularization := 7)"
        )


@pytest.mark.parametrize("algorithm", ["als", "svd", "implicit_als"])
def test_fit_best_trains_on_all_rows_with_the_best_options(small, algorithm):
    of = "ratings, user_id, item_id, rating"
    tune = f"{of}, algorithm := '{algorithm}', n_factors := [1, 2, 3], epochs := 20, patience := 2"
    small.execute(f"create table best as from mf_fit_best({tune})")
    searched, best_epoch = small.execute(
        f"select searched, best_epoch from mf_tune({tune}) limit 1"
    ).fetchone()
    # the steps of svd fall over all epochs that it may take, not over those that it took
    if algorithm != "svd":
        fit = f"mf_fit({of}, {arguments_of(algorithm, searched)}, epochs := {best_epoch})"
        assert model_of(small, "best") == model_of(small, fit)
    epochs, options, held_out = small.execute(
        "select epochs, options, held_out from mf_info(best)"
    ).fetchone()
    assert (epochs, held_out, json.loads(options)["epochs"]) == (best_epoch, 0, 20)
    assert json.loads(options)["n_factors"] == json.loads(searched)["n_factors"]
    trials = small.execute(
        "select len(from_json(info -> 'tuning' -> 'trials', '[\"JSON\"]')) from best where kind = 'model'"
    )
    assert trials.fetchone() == (3,)
    assert small.execute("select count(*) from mf_recommend(best, 3, k := 2)").fetchone() == (2,)


def test_nothing_has_to_be_searched(small):
    assert tried(small, "epochs := 2", "rank, searched") == [(1, "{}")]
    clicks = tried(
        small,
        "n_factors := [1, 2], epochs := 2",
        "objective, value > 0",
        "ratings, user_id, item_id",
    )
    assert clicks == [("ndcg", True)] * 2


def test_they_take_every_option_of_mf_fit(con):
    parameters = dict(
        con.execute(
            "select function_name, parameters from duckdb_functions() where function_name in ('mf_fit', 'mf_tune', 'mf_fit_best')"
        ).fetchall()
    )
    assert set(parameters["mf_fit"]) - {"warm_start"} < set(parameters["mf_tune"])
    assert parameters["mf_tune"] == parameters["mf_fit_best"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("n_factors := [8, 0]", "n_factors is 0; give a whole number from 1 to 1024."),
        ("n_factors := []", "n_factors is []; give at least one value."),
        (
            "time_bins := range(100000)",
            "time_bins is a list of 100,000 values; give at most 1,000, or for numbers a range, as "
            "{'min': 1, 'max': 10}.",
        ),
        (
            "n_factors := {'min': 0, 'max': 9}",
            "n_factors is 0; give a whole number from 1 to 1024.",
        ),
        (
            "n_factors := {'min': 9, 'max': 3}",
            "n_factors is {'min': 9, 'max': 3}; min must be below max.",
        ),
        (
            "n_factors := {'low': 9, 'max': 3}",
            "give a range as {'min': 1, 'max': 10}, with 'log': true",
        ),
        (
            "regularization := {'min': 0, 'max': 1, 'log': true}",
            "min must be below max, and above 0 for 'log'.",
        ),
        (
            "nonnegative := {'min': 0, 'max': 1}",
            "nonnegative is {'min': 0, 'max': 1}, but it is no number; give a list.",
        ),
        ("seed := [1, 2]", "seed is [1, 2]; all trials share it, so give one value."),
        (
            "duplicates := ['mean', 'max']",
            "duplicates is ['mean', 'max']; all trials share it, so give one value.",
        ),
        ("algorithm := ['als', 'alsp']", "algorithm is 'alsp'; give one of 'als', "),
        ("algorithm := []", "algorithm is []; give at least one."),
        ("alpha := [1, 2]", "algorithm 'als' does not use alpha; leave it out."),
        (
            "algorithm := ['als', 'svd'], alpha := 2",
            "none of 'als', 'svd' uses alpha; leave it out.",
        ),
        ("search := 'best'", "search is 'best'; give one of 'grid', 'random', 'tpe'."),
        (
            "search := 'grid', trials := 3",
            "search is 'grid', which tries all combinations, but trials is 3; leave it out",
        ),
        (
            "search := 'grid', n_factors := {'min': 1, 'max': 3}",
            "search is 'grid' but n_factors is a range; give a list",
        ),
        ("trials := 0", "trials is 0; give a whole number from 1 to 100000."),
        ("k := 0", "k is 0; give a whole number from 1 to 100000."),
        ("prune := 3", "prune is 3; give true or false."),
        ("objective := 'loss'", "objective is 'loss'; give one of 'rmse', 'mae', 'precision',"),
        (
            "algorithm := ['als', 'bpr'], objective := 'rmse'",
            "objective is 'rmse' but algorithm 'bpr' predicts no ratings here",
        ),
        (
            "objective := 'ndcg', relevant := rating > 9",
            "no held-out row is relevant; objective 'ndcg' needs some.",
        ),
        ("validation := ts < 0", "validation holds out 0 of 600 rows"),
        (
            "validation := ts < 9, validation_fraction := 0.1",
            "validation and validation_fraction are both given; choose one of them.",
        ),
        (
            "validation := ts < 9, validation_method := 'random'",
            "validation and validation_method are both given; choose one of them.",
        ),
        ("validation_fraction := 0", "validation_fraction is 0; give a number above 0, up to 0.9."),
        (
            "validation_fraction := [0.1, 0.2]",
            "validation_fraction is [0.1, 0.2]; give a number above 0, up to 0.9.",
        ),
        ("validation_method := 'last'", "validation_method is 'last'; give 'random' or 'time'."),
        (
            "validation_method := 'time'",
            "validation_method is 'time' but ts is not given; add ts := ....",
        ),
        ("duplicates := 'last'", "duplicates is 'last' but ts is not given; add ts := ...."),
    ],
)
@pytest.mark.parametrize("function", ["mf_tune", "mf_fit_best"])
def test_mistakes_are_said_in_its_name(small, function, arguments, message):
    with pytest.raises(duckdb.Error) as refused:
        small.execute(f"from {function}(ratings, user_id, item_id, rating, {arguments})").fetchall()
    assert f"{function}: " in str(refused.value)
    assert message in str(refused.value)
    assert "mf_fit: " not in str(refused.value)
    assert len(runs_of(small)) == 0


def test_a_terminal_sees_the_trials(small, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0.0)
    tried(small, "n_factors := [1, 2], epochs := 3, progress := false")
    assert stream.getvalue() == ""
    tried(small, "n_factors := [1, 2], epochs := 3, prune := false")
    for expected in ("mf_tune als", "6/6", "trial=2/2", "rmse="):
        assert expected in stream.getvalue()
    small.execute(
        "create table m as from mf_fit_best(ratings, user_id, item_id, rating, n_factors := [1, 2], epochs := 3)"
    )
    assert "mf_fit_best als" in stream.getvalue()


@pytest.mark.parametrize("function", ["mf_tune", "mf_fit_best", "mf_cross_validate"])
def test_an_interrupt_ends_it_within_an_epoch_and_leaves_nothing(movielens, function):
    movielens.execute(
        "create table warm as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)"
    )
    search = ", seed := 3" if function == "mf_cross_validate" else ", regularization := [1, 2, 3]"
    threading.Timer(0.5, movielens.interrupt).start()
    began = time.monotonic()
    with pytest.raises(duckdb.InterruptException):
        movielens.execute(
            f"create table m as from {function}(ratings, user_id, movie_id, rating, epochs := 10000, n_factors := 64{search})"
        )
    assert time.monotonic() - began < 5
    assert movielens.execute(
        "select count(*) from duckdb_tables() where table_name = 'm'"
    ).fetchone() == (0,)
    movielens.execute(
        "create table m as from mf_fit(ratings, user_id, movie_id, rating, epochs := 1)"
    )
    assert len(runs_of(movielens)) == 0


@pytest.mark.newest
def test_all_algorithms_can_be_tuned(small):
    for name in algorithms.NAMES:
        times = ", ts := ts" if name.startswith("time") else ""
        epochs = "" if name == "popularity" else ", epochs := 2"
        assert (
            len(tried(small, f"algorithm := '{name}', objective := 'ndcg'{epochs}{times}")) == 1
        ), name
