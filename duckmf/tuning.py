"""A tuning: one trial after the other on the same rows, hopeless ones stopped early.

A trial is the training that mf_fit makes of its options with the same rows held out.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from duckmf import metrics, search
from duckmf.checks import check_count
from duckmf.errors import DataError, OptionError, TrainingError, named
from duckmf.gathering import Gathering
from duckmf.judging import Division, Judge
from duckmf.ratings import Triples
from duckmf.recipe import Recipe
from duckmf.search import Search, Try
from duckmf.space import spaces
from duckmf.threads import Workers
from duckmf.training import Training

# (a share of a trial's epochs, the share of the earlier trials among whose best it goes on)
RUNGS = ((0.2, 3 / 4), (0.4, 1 / 2), (0.6, 1 / 3))
TRIALS = 20
ERRORS = ("rmse", "mae")  # the objectives that are smaller where a model is better
LONGEST_LIST = 100_000


@dataclass
class Trial:
    """One combination of options, and what came of it."""

    number: int
    recipe: Recipe
    searched: dict[str, Any]
    status: str = "complete"
    error: str | None = None
    value: float | None = None  # of the objective
    metrics: dict[str, float | None] = field(default_factory=dict)
    epochs: int = 0
    best_epoch: int | None = None
    seconds: float = 0.0


class Tuning:
    """The trials of one statement."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Check what was asked.

        Raises:
            OptionError: something of it cannot be used.
        """
        self._function: str = request["function"]
        self._fused: bool = request["fused"]
        self._counts = counts = request["counts"]
        given = dict(request["options"])
        fraction = given.pop("validation_fraction")
        self._divide = Division.parse(request["validation_method"], fraction, counts)
        self._spaces = spaces(request["algorithm"], given, counts)
        self.examples = [self._recipe(search.example(space)) for space in self._spaces]
        self._k = check_count("k", request["k"], 1, LONGEST_LIST)
        self.objective = self._objective(request["objective"])
        self._search = self._find(request["search"], request["trials"])
        self._halving = Halving() if _flag("prune", request["prune"]) else None
        self.trials: list[Trial] = []

    @property
    def n_trials(self) -> int:
        """The most trials that there will be."""
        return self._search.n_trials

    @property
    def best(self) -> Trial:
        """The best trial that was not stopped.

        Raises:
            TrainingError: all failed.
        """
        best = self.ranked()[0]
        if best.value is None:
            raise TrainingError(
                f"mf_fit: all {len(self.trials)} trials failed, the first with: {best.error}"
            )
        return best

    def ranked(self) -> list[Trial]:
        """Complete trials before stopped ones before failed ones; the best of each first."""
        order = ("complete", "pruned", "failed")
        return sorted(
            self.trials, key=lambda t: (order.index(t.status), self._loss(t.value), t.number)
        )

    def check(self, gathering: Gathering) -> None:
        """Refuse ratings that an algorithm cannot learn from.

        Raises:
            DataError: one cannot.
        """
        for recipe in self.examples:
            recipe.check(gathering)

    def steps(
        self, rows: Triples, shape: tuple[int, int], workers: Workers
    ) -> Iterator[tuple[Trial, Training]]:
        """Run all trials; a step is an epoch of one.

        Raises:
            DataError: the rows cannot be divided, or do not tell how good a model is.
        """
        divided = self._divide(rows, self.examples[0].options.seed)
        judge = Judge(divided, shape, (self._k, self._fused), workers)
        if self.objective not in ERRORS and not judge.n_relevant:
            raise DataError(
                f"mf_fit: no held-out row is relevant; objective '{self.objective}' needs some."
            )
        while (tried := self._search.propose()) is not None:
            trial = Trial(len(self.trials) + 1, self._recipe(tried), tried.searched)
            self.trials.append(trial)
            yield from self._run(trial, judge)
            complete = trial.status == "complete"
            self._search.learn(None if trial.value is None else self._loss(trial.value), complete)

    def _run(self, trial: Trial, judge: Judge) -> Iterator[tuple[Trial, Training]]:
        began = time.perf_counter()
        try:
            training = trial.recipe.training(judge.parts(trial.recipe), judge.workers)
            while training.more and trial.status == "complete":
                training.epoch()
                trial.epochs = len(training.log)
                if self._is_hopeless(trial, training, judge):
                    trial.status = "pruned"
                yield trial, training
            self._judge(trial, training, judge)
        except TrainingError as error:
            trial.status, trial.error = "failed", str(named(error, self._function))
        trial.seconds = time.perf_counter() - began

    def _is_hopeless(self, trial: Trial, training: Training, judge: Judge) -> bool:
        if self._halving is None:
            return False
        rung = self._halving.rung(trial.epochs, training.algorithm.epochs, training.more)
        if rung is None:
            return False
        loss = self._loss_so_far(trial.recipe, training, judge)
        return self._halving.is_hopeless(trial.recipe.name, rung, loss)

    def _loss_so_far(self, recipe: Recipe, training: Training, judge: Judge) -> float:
        """Of the best epoch; an error stands for the other, and is known already."""
        if self.objective not in ERRORS:
            return self._loss(judge.lists(recipe, training.factors)[self.objective])
        assert training.best is not None
        assert training.best.validation_loss is not None
        return training.best.validation_loss

    def _judge(self, trial: Trial, training: Training, judge: Judge) -> None:
        trial.best_epoch = training.best.number if training.best else None
        if self._has_errors(trial.recipe):
            trial.metrics |= judge.errors(trial.recipe, training.factors)
        if self.objective not in ERRORS:
            trial.metrics |= judge.lists(trial.recipe, training.factors)
        trial.value = trial.metrics[self.objective]
        if trial.value is None:
            raise TrainingError(
                f"mf_fit: {self.objective} is not defined: nobody has an item that is not relevant."
            )

    def _loss(self, value: float | None) -> float:
        if value is None:
            return math.inf
        return value if self.objective in ERRORS else -value

    def _recipe(self, tried: Try) -> Recipe:
        return Recipe.parse(tried.space.name, tried.space.fixed | tried.searched, self._counts)

    def _has_errors(self, recipe: Recipe) -> bool:
        return recipe.algorithm.feedback == "explicit" and bool(self._counts["has_rating"])

    def _objective(self, given: str | None) -> str:
        all_have_errors = all(map(self._has_errors, self.examples))
        objective = given or ("rmse" if all_have_errors else "ndcg")
        if objective not in metrics.NAMES:
            names = ", ".join(f"'{name}'" for name in metrics.NAMES)
            raise OptionError(f"mf_fit: objective is {objective!r}; give one of {names}.")
        if objective in ERRORS and not all_have_errors:
            name = next(r.name for r in self.examples if not self._has_errors(r))
            raise OptionError(
                f"mf_fit: objective is '{objective}' but algorithm '{name}' predicts no ratings "
                "here; choose objective := 'ndcg'."
            )
        return objective

    def _find(self, name: str | None, trials: Any) -> Search:
        finite = search.size(self._spaces) < math.inf
        name = name or ("grid" if finite and trials is None else "random")
        if name == "grid" and trials is not None:
            raise OptionError(
                "mf_fit: search is 'grid', which tries all combinations, but trials is "
                f"{trials!r}; leave it out, or choose search := 'random'."
            )
        most = check_count("trials", TRIALS if trials is None else trials, 1, search.FEW)
        return search.find(name, self._spaces, most, self.examples[0].options.seed)


class Halving:
    """Stops a trial that is not among the best of the earlier ones, as far as they had come then.

    Asynchronous successive halving, so that one model is held at a time (Li et al. 2020, "A system
    for massively parallel hyperparameter tuning"), with rungs that begin gently: a model of more
    factors, or with smaller steps, is behind at first. Only trials of one algorithm are compared:
    others come down at another pace.
    """

    def __init__(self) -> None:
        self._losses: dict[tuple[str, int], list[float]] = defaultdict(list)

    def rung(self, done: int, epochs: int, more: bool) -> int | None:
        """The rung that a trial reaches with an epoch, if it reaches one before its end."""
        reached = [
            n for n, (share, _) in enumerate(RUNGS) if done == math.ceil(share * epochs - 1e-9)
        ]
        return reached[-1] if reached and more else None

    def is_hopeless(self, name: str, rung: int, loss: float) -> bool:
        """Whether a trial of an algorithm should end on a rung; its loss is remembered."""
        earlier = self._losses[name, rung]
        hopeless = bool(earlier) and loss > float(np.quantile(earlier, RUNGS[rung][1]))
        earlier.append(loss)
        return hopeless


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"mf_fit: {name} is {value!r}; give true or false.")
    return value


def row(trial: Trial, rank: int, objective: str, threads: int) -> dict[str, Any]:
    """A trial as `mf_tune` returns it."""
    return {
        "rank": rank,
        "trial": trial.number,
        "status": trial.status,
        "objective": objective,
        "value": trial.value,
        "algorithm": trial.recipe.name,
        "searched": trial.searched,
        **dict.fromkeys(metrics.NAMES),
        **trial.metrics,
        "epochs": trial.epochs,
        "best_epoch": trial.best_epoch,
        "seconds": trial.seconds,
        "options": asdict(trial.recipe.options) | {"threads": threads},
        "error": trial.error,
    }
