"""When a trial stops: hopeless ones early, the winner never."""

from __future__ import annotations

import itertools
import weakref

import numpy as np
import pytest

from duckmf.tuning.race import Course, Race
from tests.tuning.tuned import GRID, tried


def test_hopeless_trials_stop_before_their_end(small):
    everything = {row[6]: row for row in tried(small, GRID + ", prune := false")}
    rows = tried(small, GRID)
    stopped = [row for row in rows if row[2] == "pruned"]
    assert stopped
    assert min(row[16] for row in stopped) >= 2
    for row in rows:
        full = everything[row[6]]
        assert (row[2:] == full[2:]) if row[2] == "complete" else (row[16] < full[16])


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


@pytest.mark.newest
@pytest.mark.parametrize(
    ("algorithm", "objective"),
    [
        *((algorithm, "rmse") for algorithm in ("als", "svd", "bias")),
        *itertools.product(("als", "svd", "bias", "bpr", "implicit_als"), ("ndcg", "auc")),
    ],
)
def test_some_trial_comes_to_its_end(small, algorithm, objective):
    space = f"algorithm := '{algorithm}', regularization := [0.01, 0.1, 1, 10, 100, 1000], objective := '{objective}'"
    for seed, epochs in ((1, 2), (2, 5), (3, 10)):
        rows = tried(small, f"{space}, seed := {seed}, epochs := {epochs}", "status")
        assert rows[0] == ("complete",)
        assert len(rows) == 6


WINNERS = {
    "als": "n_factors := [8, 16, 32], regularization := [0.5, 1, 2, 4]",
    "svd": "n_factors := [8, 32], regularization := [0.5, 1, 2], learning_rate := [0.08, 0.15]",
    "svdpp": "n_factors := [8, 16], regularization := [0.5, 1, 2], learning_rate := [0.015, 0.03], epochs := 12",
    "bias": "regularization := [0.1, 0.3, 1, 2, 3, 5, 10, 30]",
    "implicit_als": "n_factors := 8, regularization := [0.1, 1, 4], alpha := [1, 40], epochs := 10",
    # its lists begin with what is popular, and become worse first: small steps keep that longer
    "bpr": "n_factors := [4, 16], learning_rate := [0.02, 0.05, 0.1], epochs := 20",
}


@pytest.mark.newest
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


@pytest.mark.newest
def test_by_mae_the_errors_themselves_are_compared(movielens):
    """Here the second by MAE is the better one by RMSE, which training watches."""
    of = "ratings, user_id, movie_id, rating"
    space = f"{WINNERS['als']}, objective := 'mae', seed := 3"
    everything = tried(movielens, f"{space}, prune := false", "searched, value", of)
    assert tried(movielens, space, "searched, value", of)[0] == everything[0]


@pytest.mark.newest
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


@pytest.mark.newest
def test_trials_side_by_side_are_few_and_share_their_layout(movielens, monkeypatch):
    from duckmf.algorithms import svd
    from duckmf.tuning import study

    laid_out, alive, most = [], set(), []
    lay_out = svd.lay_out
    monkeypatch.setattr(svd, "lay_out", lambda *given: laid_out.append(1) or lay_out(*given))
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
    assert max(most) == study.ABREAST
    assert len(laid_out) == 3, "nine trials, four at a time"
    most.clear()
    tried(movielens, space + ", prune := false", of=of)
    assert max(most) == 1
