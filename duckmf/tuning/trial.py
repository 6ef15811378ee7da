"""One trial: a combination of options, its training as far as it has come, and what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from duckmf.algorithms.recipe import Recipe
from duckmf.algorithms.training import Training
from duckmf.errors import TrainingError
from duckmf.ranking import metrics
from duckmf.tuning.judging import Judge
from duckmf.tuning.race import Course

ERRORS = ("rmse", "mae")  # the objectives that are smaller where a model is better


@dataclass
class Trial:
    """One combination of options, and what came of it."""

    number: int
    recipe: Recipe
    searched: dict[str, Any]
    status: str = "running"
    error: str | None = None
    value: float | None = None  # of the objective
    metrics: dict[str, float | None] = field(default_factory=dict)
    epochs: int = 0
    best_epoch: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Objective:
    """What trials are judged by."""

    name: str
    has_rating: bool  # the source

    @property
    def is_error(self) -> bool:
        """Whether it is that of predicted ratings; else it is one of lists."""
        return self.name in ERRORS

    def loss(self, value: float | None) -> float:
        """Smaller is better; infinite where there is no value."""
        if value is None:
            return math.inf
        return value if self.is_error else -value


class RunningTrial:
    """A trial under way."""

    def __init__(self, trial: Trial, judge: Judge, objective: Objective) -> None:
        """Lay out the first epoch."""
        self.trial = trial
        self._judge, self._objective = judge, objective
        self._loss = math.inf  # of its best epoch
        self._training: Training | None = None
        recipe, epochs = trial.recipe, 0
        with self._under_way():
            self._training = recipe.training(judge.parts(recipe), judge.workers)
            epochs = self._training.algorithm.epochs
        self.course = Course((recipe.name, epochs), epochs)

    @property
    def left(self) -> int:
        """Epochs that may still come."""
        return 0 if self._training is None else self.course.epochs - self.trial.epochs

    def run(self, epochs: int) -> Iterator[None]:
        """Train up to so many epochs, one at a step; judge a training that is over."""
        while (training := self._training) is not None and self.trial.epochs < epochs:
            with self._under_way():
                training.epoch()
                self.trial.epochs += 1
                if not training.more:
                    self._end("complete", training)
            yield

    def mark(self) -> None:
        """Note how good its best epoch is; what has ended stays where it was."""
        if self._training is not None:
            with self._under_way():
                self._look(self._training)
        self.course.marks.append((self.trial.epochs, self._loss))

    def stop(self) -> None:
        """End it as hopeless, if it has not ended."""
        if self._training is not None:
            with self._under_way():
                self._end("pruned", self._training)

    def _look(self, training: Training, *, areas: bool = False) -> None:
        """Take the loss of the best epoch, if it is a new one; rmse is known already."""
        best, trial, objective = training.best, self.trial, self._objective
        assert best is not None
        if objective.name == "rmse":
            assert best.validation_loss is not None
            self._loss = best.validation_loss
        elif areas or best.number != trial.best_epoch:
            if objective.is_error:
                trial.metrics |= self._judge.errors(trial.recipe, training.factors)
            else:
                areas = areas or objective.name == "auc"
                trial.metrics |= self._judge.lists(trial.recipe, training.factors, areas=areas)
            self._loss = objective.loss(trial.metrics[objective.name])
        trial.best_epoch = best.number

    def _end(self, status: str, training: Training) -> None:
        """Judge it, and let go of what it was trained with.

        Raises:
            TrainingError: the objective is not defined.
        """
        trial, objective = self.trial, self._objective
        self._look(training, areas=status == "complete" and not objective.is_error)
        if trial.recipe.predicts_ratings(objective.has_rating):
            trial.metrics |= self._judge.errors(trial.recipe, training.factors)
        trial.value = trial.metrics[objective.name]
        if trial.value is None:
            raise TrainingError(
                f"{objective.name} is not defined: nobody has an item that is not relevant."
            )
        trial.status, self._training = status, None

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """Count the time, and take note of a failure."""
        began = time.perf_counter()
        try:
            yield
        except TrainingError as error:
            self._training = None
            self.trial.status = "failed"
            self.trial.error = str(error)
        finally:
            self.trial.seconds += time.perf_counter() - began


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
