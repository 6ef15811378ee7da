"""mf_tune and mf_fit_best: every trial is an mf_fit, the search is repeatable, hopeless trials end early."""

from __future__ import annotations

import json
import sys
import threading
import time
import weakref

import duckdb
import numpy as np
import pytest

from duckmf import algorithms
from duckmf.statements import progress
from duckmf.tuning.race import Course, Race
from duckmf.tuning.space import Range
from tests.conftest import model_of
from tests.statements.test_progress import Terminal

ERRORS = "rmse, mae"
LISTS = "precision, recall, ndcg, map, mrr, hit_rate, auc"
TRIED = f"rank, trial, status, objective, value, algorithm, searched, {ERRORS}, {LISTS}, epochs, best_epoch, error"


def tried(
    con: duckdb.DuckDBPyConnection,
    arguments: str,
    columns: str = TRIED,
    of: str = "ratings, user_id, item_id, rating",
):
    """The rows of a tuning without what depends on clocks."""
    return con.execute(f"select {columns} from mf_tune({of}, {arguments})").fetchall()


def arguments_of(algorithm: str, searched: str) -> str:
    """What was searched as arguments of mf_fit."""
    options = json.loads(searched).items()
    listed = "".join(f", {name} := {json.dumps(value)}" for name, value in options)
    return f"algorithm := '{algorithm}'{listed}"


GRID = "n_factors := [2, 4], regularization := [0.1, 1.0, 10.0], epochs := 8"


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


def test_hopeless_trials_stop_before_their_end(small):
    everything = {row[6]: row for row in tried(small, GRID + ", prune := false")}
    rows = tried(small, GRID)
    stopped = [row for row in rows if row[2] == "pruned"]
    assert stopped
    assert min(row[16] for row in stopped) >= 2
    for row in rows:
        full = everything[row[6]]
        assert (row[2:] == full[2:]) if row[2] == "complete" else (row[16] < full[16])


def test_a_grid_begins_in_the_middle(small):
    rows = sorted(tried(small, GRID + ", seed := 9"), key=lambda row: row[1])
    penalties = [json.loads(row[6])["regularization"] for row in rows]
    assert penalties[:2] == [1.0, 1.0]
    assert sorted(penalties[2:]) == [0.1, 0.1, 10.0, 10.0]


def course(losses: list[float], epochs: int = 10, kind: str = "als") -> Course:
    """A trial that showed these losses, one after each tenth of its epochs."""
    made = Course(kind, epochs)
    made.marks += [(made.goal(tenth), loss) for tenth, loss in enumerate(losses, start=1)]
    return made


def test_a_trial_would_end_where_its_last_two_tenths_lead():
    assert course([9.0, 8.0, 7.0, 6.5]).prospect == pytest.approx(6.5 - 6 * 0.75)
    assert course([9.0, 8.0]).prospect == pytest.approx(8 - 8 * 1.0)
    assert course([9.0, 8.0, 7.0, 7.0, 7.0]).prospect == 7.0, "it stands still"
    assert course([9.0]).prospect == -np.inf, "it has just begun"
    assert course([9.0, 9.0, 8.0, 8.0], epochs=2).prospect == -np.inf, (
        "of one epoch nothing is known"
    )
    assert [Course("svd", 15).goal(tenth) for tenth in range(1, 11)] == [
        *(2, 3, 5, 6, 8),
        *(9, 11, 12, 14, 15),
    ]


def test_a_trial_that_would_not_come_to_the_best_one_is_hopeless():
    race = Race()
    fast, slow, late = course([9.0, 6.0]), course([9.0, 8.9]), course([9.0, 8.6])
    race.enter([fast, slow, late])
    race.pass_by([course([9.0])], 1)
    assert not race.is_hopeless(course([9.5]), 1), "too early"
    race.pass_by([fast, slow, late], 2)
    assert [race.is_hopeless(trial, 2) for trial in (fast, slow, late)] == [False, True, False]
    race.enter([course([9.0, 5.0])])
    race.pass_by([course([9.0, 5.0])], 2)
    assert race.is_hopeless(late, 2), "8.6 - 8 * 0.4 > 5"
    alone = course([9.0, 8.9], kind="svd")
    race.enter([alone])
    race.pass_by([alone], 2)
    assert not race.is_hopeless(alone, 2), "others are of another kind"


def test_once_a_trial_got_worse_the_worst_are_hopeless():
    race = Race()
    trials = [course([0.9, 0.8 + n / 100]) for n in range(10)]
    race.enter(trials)
    race.pass_by(trials, 2)
    assert [race.is_hopeless(trial, 2) for trial in trials] == [False] * 9 + [True]
    race.enter([course([0.5, 0.8])])
    race.pass_by([course([0.5, 0.8])], 2)
    assert not any(race.is_hopeless(trial, 2) for trial in trials)
    race.pass_by(trials, 3)
    assert [race.is_hopeless(trial, 3) for trial in trials] == [False] * 10, "of eleven, ten stay"
    race.pass_by(trials[:6], 9)
    assert [race.is_hopeless(trial, 9) for trial in trials[:6]] == [False] * 4 + [True] * 2


@pytest.mark.parametrize("objective", ["rmse", "ndcg", "auc"])
@pytest.mark.parametrize("algorithm", ["als", "svd", "bias", "bpr", "implicit_als"])
def test_some_trial_comes_to_its_end(small, algorithm, objective):
    if objective == "rmse" and algorithm in ("bpr", "implicit_als"):
        return
    space = f"algorithm := '{algorithm}', regularization := [0.01, 0.1, 1, 10, 100, 1000], objective := '{objective}'"
    for seed in (1, 2, 3):
        for epochs in (2, 5, 10):
            rows = tried(small, f"{space}, seed := {seed}, epochs := {epochs}", "status")
            assert rows[0] == ("complete",)
            assert len(rows) == 6


@pytest.mark.parametrize(
    "search", ["search := 'random', trials := 7", "search := 'tpe', trials := 7"]
)
def test_ranges_and_lists_are_drawn_and_repeat(small, search):
    if "tpe" in search:
        pytest.importorskip("optuna")
    space = (
        "n_factors := {'min': 2, 'max': 4}, regularization := {'min': 0.01, 'max': 100, 'log': true}, "
        f"nonnegative := [true, false], epochs := 3, {search}"
    )
    rows = tried(small, space)
    assert len(rows) == 7
    options = [json.loads(row[6]) for row in rows]
    assert all(
        option.keys() == {"n_factors", "regularization", "nonnegative"} for option in options
    )
    assert {option["n_factors"] for option in options} <= {2, 3, 4}
    assert all(0.01 <= option["regularization"] <= 100 for option in options)
    assert (
        min(option["regularization"] for option in options)
        < 1
        < max(option["regularization"] for option in options)
    )
    assert {option["nonnegative"] for option in options} == {True, False}
    assert tried(small, space) == rows
    assert tried(small, space + ", seed := 7") != rows


def test_tpe_looks_where_trials_were_good(movielens):
    pytest.importorskip("optuna")
    of = "ratings, user_id, movie_id, rating"
    space = "algorithm := 'bias', regularization := {'min': 0.1, 'max': 1000, 'log': true}, epochs := 4, trials := 30, search := "
    near = {
        search: sum(
            1 < json.loads(searched)["regularization"] < 20
            for (searched,) in tried(movielens, f"{space} '{search}'", "searched", of)
        )
        for search in ("tpe", "random")
    }
    assert near["tpe"] > 1.3 * near["random"]


def test_a_small_space_is_searched_once(small):
    for search in ("random", "tpe"):
        if search == "tpe":
            pytest.importorskip("optuna")
        rows = tried(
            small, f"n_factors := [1, 2, 2, 3], epochs := 1, search := '{search}', trials := 50"
        )
        assert sorted(json.loads(row[6])["n_factors"] for row in rows) == [1, 2, 3]


def test_options_are_searched_for_the_algorithms_that_use_them(small):
    rows = tried(
        small,
        "algorithm := ['als', 'svd', 'bias'], n_factors := [2, 3], learning_rate := [0.1, 0.2], "
        "nonnegative := [true, false], epochs := 1, regularization := 2",
    )
    searched = {(row[5], *json.loads(row[6])) for row in rows}
    assert searched == {
        ("als", "n_factors", "nonnegative"),
        ("svd", "n_factors", "learning_rate"),
        ("bias",),
    }
    assert len(rows) == 4 + 4 + 1


def test_an_option_that_is_a_list_is_searched_as_a_list_of_lists(small):
    temporal = "ts := ts * 86400, epochs := 2, n_factors := 2, temporal := "
    fixed = tried(
        small, temporal + "['item_bins', 'user_drift']", "searched, options ->> 'temporal'"
    )
    assert fixed == [("{}", '["item_bins","user_drift"]')]
    listed = tried(small, temporal + "[['item_bins'], [], ['user_day']]", "searched ->> 'temporal'")
    assert {row[0] for row in listed} == {'["item_bins"]', "[]", '["user_day"]'}


def test_validation_by_time_holds_out_the_latest_rows(small):
    cut = small.execute("select quantile_disc(ts, 0.8) from ratings").fetchone()[0]
    by_time = tried(
        small, f"{GRID}, ts := ts, validation_method := 'time', validation_fraction := 0.2"
    )
    assert by_time == tried(small, f"{GRID}, ts := ts, validation := ts > {cut}")
    assert by_time != tried(small, f"{GRID}, ts := ts, validation_fraction := 0.2")


@pytest.mark.parametrize("threads", [1, 3])
def test_the_order_of_rows_and_the_threads_change_nothing(small, threads):
    small.execute("create table mixed as from ratings order by hash(rating, item_id)")
    space = "algorithm := ['als', 'svd'], n_factors := [2, 3], regularization := [0.1, 1], epochs := 6, objective := '{}', threads := {}"
    for objective in ("rmse", "ndcg"):
        expected = tried(small, space.format(objective, 2))
        assert (
            tried(small, space.format(objective, threads), of="mixed, user_id, item_id, rating")
            == expected
        )


@pytest.mark.parametrize("threads", [1, 3])
def test_real_data_give_the_same_numbers_in_any_order_with_any_threads(movielens, threads):
    movielens.execute("create table mixed as from ratings order by hash(rating, movie_id, user_id)")
    space = "algorithm := ['svd', 'als'], n_factors := [4, 8], regularization := [0.5, 2], epochs := 10, threads := {}"
    expected = tried(movielens, space.format(2), of="ratings, user_id, movie_id, rating")
    assert (
        tried(movielens, space.format(threads), of="mixed, user_id, movie_id, rating") == expected
    )
    assert {row[2] for row in expected} == {"complete", "pruned"}


WINNERS = {
    "als": "n_factors := [8, 16, 32], regularization := [0.5, 1, 2, 4]",
    "svd": "n_factors := [8, 32], regularization := [0.5, 1, 2], learning_rate := [0.08, 0.15]",
    "svdpp": "n_factors := [8, 16], regularization := [0.5, 1, 2], learning_rate := [0.015, 0.03], epochs := 12",
    "bias": "regularization := [0.1, 0.3, 1, 2, 3, 5, 10, 30]",
    "implicit_als": "n_factors := 8, regularization := [0.1, 1, 4], alpha := [1, 40], epochs := 10",
    # its lists begin with what is popular, and become worse first: small steps keep that longer
    "bpr": "n_factors := [4, 16], learning_rate := [0.02, 0.05, 0.1], epochs := 20",
}


@pytest.mark.parametrize("algorithm", WINNERS)
def test_the_winner_of_all_trials_is_found_with_half_of_them_stopped(movielens, algorithm):
    of = "ratings, user_id, movie_id, rating"
    space = f"algorithm := '{algorithm}', {WINNERS[algorithm]}, seed := 3"
    columns = "searched, value, epochs, best_epoch, status"
    everything = tried(movielens, f"{space}, prune := false", columns, of)
    rows = tried(movielens, space, columns, of)
    assert rows[0] == everything[0]
    assert 2 * sum(row[-1] == "pruned" for row in rows) >= len(rows)
    saved = 1 - sum(row[2] for row in rows) / sum(row[2] for row in everything)
    assert saved > 0.1


def test_by_mae_the_errors_themselves_are_compared(movielens):
    """Here the second by MAE is the better one by RMSE, which training watches."""
    of = "ratings, user_id, movie_id, rating"
    space = f"{WINNERS['als']}, objective := 'mae', seed := 3"
    everything = tried(movielens, f"{space}, prune := false", "searched, value", of)
    assert tried(movielens, space, "searched, value", of)[0] == everything[0]


def test_a_trial_that_is_last_for_half_of_its_epochs_wins(movielens):
    of = "ratings, user_id, movie_id, rating"
    penalties = [0.3, 0.4, 0.5, 1.0]
    losses = {}
    for penalty in penalties:
        fit = f"mf_fit({of}, algorithm := 'svd', n_factors := 16, epochs := 10, regularization := {penalty}, validation_fraction := 0.1)"
        movielens.execute(f"create or replace table m as from {fit}")
        losses[penalty] = movielens.execute(
            "select validation_loss from mf_epochs(m) order by epoch"
        ).fetchall()
    for epoch in range(5):
        assert max(penalties, key=lambda penalty: losses[penalty][epoch]) == 1.0
    space = f"algorithm := 'svd', n_factors := 16, epochs := 10, regularization := {penalties}"
    rows = tried(movielens, space, "searched ->> 'regularization', status", of)
    assert rows[0] == ("1.0", "complete")
    assert {row[1] for row in rows[1:]} == {"pruned"}


def test_what_is_stopped_is_judged_by_its_objective_alone(small):
    rows = tried(small, "n_factors := [1, 2, 3, 4, 5, 6, 7, 8], objective := 'ndcg', epochs := 10")
    stopped = [row for row in rows if row[2] == "pruned"]
    assert stopped
    for row in rows:
        assert None not in row[7:15], "rmse, mae and the measures of lists"
        assert (row[15] is None) == (row[2] == "pruned"), "auc looks at all items"
    rows = tried(small, "n_factors := [1, 2, 3, 4, 5, 6, 7, 8], objective := 'auc', epochs := 10")
    assert None not in {row[15] for row in rows}


def test_trials_side_by_side_are_few_and_share_their_layout(movielens, monkeypatch):
    from duckmf.algorithms import svd
    from duckmf.tuning import tuning

    laid_out, alive, most = [], set(), []
    lay_out = svd.Svd._scaled_layout
    monkeypatch.setattr(
        svd.Svd, "_scaled_layout", lambda *given: laid_out.append(1) or lay_out(*given)
    )
    made = svd.Svd.__init__

    def counted(self, *given):
        made(self, *given)
        alive.add(id(self))
        weakref.finalize(self, alive.discard, id(self))
        most.append(len(alive))

    monkeypatch.setattr(svd.Svd, "__init__", counted)
    space = "algorithm := 'svd', epochs := 5, n_factors := 4, regularization := [1, 2, 3, 4, 5, 6, 7, 8, 9]"
    of = "ratings, user_id, movie_id, rating"
    tried(movielens, space, of=of)
    assert max(most) == tuning.ABREAST
    assert len(laid_out) == 3, "nine trials, four at a time"
    most.clear()
    tried(movielens, space + ", prune := false", of=of)
    assert max(most) == 1


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
        match="mf_fit_best: all 1 trials failed, the first with: mf_fit_best: the training loss is nan",
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
def test_mistakes_are_said_in_its_name(small, runs_of, function, arguments, message):
    with pytest.raises(duckdb.Error) as refused:
        small.execute(f"from {function}(ratings, user_id, item_id, rating, {arguments})").fetchall()
    assert f"{function}: " in str(refused.value)
    assert message in str(refused.value)
    assert "mf_fit: " not in str(refused.value)
    assert len(runs_of(small)) == 0


def test_without_optuna_tpe_names_the_extra(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        duckdb.Error,
        match=r"mf_tune: search is 'tpe' but optuna is not installed; pip install 'duckmf\[tune\]'",
    ):
        tried(small, "n_factors := [1, 2], search := 'tpe'")


def test_a_range_has_its_ends_and_even_room():
    shares = np.linspace(0, 1, 1001)
    whole = Range(2, 5, False, True)
    numbers = [whole.at(share) for share in shares]
    assert sorted(set(numbers)) == [2, 3, 4, 5]
    assert all(isinstance(number, int) for number in numbers)
    assert min(numbers.count(number) for number in (2, 3, 4, 5)) >= 249
    assert [Range(0.01, 100, True, False).at(share) for share in (0, 0.5, 1)] == pytest.approx(
        [0.01, 1, 100]
    )
    assert Range(1, 64, True, True).at(1) == 64


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
def test_an_interrupt_ends_it_within_an_epoch_and_leaves_nothing(movielens, runs_of, function):
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


def test_all_algorithms_can_be_tuned(small):
    for name in algorithms._CLASSES:
        times = ", ts := ts" if name.startswith("time") else ""
        epochs = "" if name == "popularity" else ", epochs := 2"
        assert (
            len(tried(small, f"algorithm := '{name}', objective := 'ndcg'{epochs}{times}")) == 1
        ), name
