"""A study: trials on the same rows, some of them side by side, hopeless ones stopped early.

A trial is the training that mf_fit makes of its options with the same rows held out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from duckmf.algorithms.recipe import Recipe
from duckmf.errors import DataError, OptionError, TrainingError
from duckmf.kernels.threads import Workers
from duckmf.options import check_count, check_flag
from duckmf.ranking import metrics
from duckmf.ratings.gathering import Counts
from duckmf.ratings.matrix import Triples
from duckmf.tuning import search
from duckmf.tuning.judging import Division, Judge
from duckmf.tuning.race import TENTHS, Race
from duckmf.tuning.search import Combination, Search
from duckmf.tuning.space import spaces
from duckmf.tuning.trial import Objective, RunningTrial, Trial

TRIALS = 20
LONGEST_LIST = 100_000
# Trials that run side by side where they are compared: few, since each holds a model and the best
# epoch of it; more would hardly be told apart sooner.
ABREAST = 4


@dataclass(frozen=True)
class Wanted:
    """What is asked of a study, beside what its trials may be; as the user gave it."""

    search: Any
    trials: Any
    objective: Any
    k: Any
    validation_method: Any
    prune: Any


class Study:
    """The trials of one statement."""

    def __init__(
        self,
        wanted: Wanted,
        algorithm: Any,
        options: dict[str, Any],
        counts: Counts,
        fused: bool,
    ) -> None:
        """Check what was asked. `fused` tells how DuckDB adds up, as in `Ranking`.

        Raises:
            OptionError: something of it cannot be used.
        """
        self._fused, self._counts = fused, counts
        given = dict(options)
        fraction = given.pop("validation_fraction")
        self._divide = Division.parse(wanted.validation_method, fraction, counts)
        self._spaces = spaces(algorithm, given, counts)
        self.examples = [self._recipe(search.example(space)) for space in self._spaces]
        self._k = check_count("k", wanted.k, 1, LONGEST_LIST)
        self.objective = self._objective(wanted.objective)
        self._search = self._find(wanted.search, wanted.trials)
        self._race = Race() if check_flag("prune", wanted.prune) else None
        self.trials: list[Trial] = []
        self._abreast: list[RunningTrial] = []

    @property
    def n_trials(self) -> int:
        """The most trials that there will be."""
        return self._search.n_trials

    @property
    def left(self) -> int:
        """Epochs that may still come: all of the trials under way, the usual number of the rest."""
        ended = [trial.epochs for trial in self.trials if trial.status != "running"]
        usual = sum(ended) / len(ended) if ended else self._abreast[0].course.epochs
        rest = (self.n_trials - len(self.trials)) * usual
        return sum(running.left for running in self._abreast) + round(rest)

    @property
    def best(self) -> Trial:
        """The best trial that was not stopped.

        Raises:
            TrainingError: all failed.
        """
        best = self.ranked()[0]
        if best.value is None:
            raise TrainingError(
                f"all {len(self.trials)} trials failed, the first with: {best.error}"
            )
        return best

    def ranked(self) -> list[Trial]:
        """Complete trials before stopped ones before failed ones; the best of each first."""
        order = ("complete", "pruned", "failed", "running")
        loss = self.objective.loss
        return sorted(self.trials, key=lambda t: (order.index(t.status), loss(t.value), t.number))

    def check(self, counts: Counts) -> None:
        """Refuse ratings that an algorithm cannot learn from.

        Raises:
            DataError: one cannot.
        """
        for recipe in self.examples:
            recipe.check(counts)

    def steps(self, rows: Triples, shape: tuple[int, int], workers: Workers) -> Iterator[Trial]:
        """Run all trials; a step is an epoch of one.

        Raises:
            DataError: the rows cannot be divided, or do not tell how good a model is.
        """
        divided = self._divide(rows, self.examples[0].options.seed)
        judge = Judge(divided, shape, (self._k, self._fused), workers)
        if not self.objective.is_error and not judge.n_relevant:
            raise DataError(
                f"no held-out row is relevant; objective '{self.objective.name}' needs some."
            )
        while combinations := self._search.propose(1 if self._race is None else ABREAST):
            self._abreast = [self._running(combination, judge) for combination in combinations]
            yield from self._run()
            self._search.learn([self._result(running.trial) for running in self._abreast])

    def _running(self, combination: Combination, judge: Judge) -> RunningTrial:
        trial = Trial(len(self.trials) + 1, self._recipe(combination), combination.searched)
        self.trials.append(trial)
        return RunningTrial(trial, judge, self.objective)

    def _run(self) -> Iterator[Trial]:
        race, racing = self._race, self._abreast
        if race is not None:
            race.enter(running.course for running in racing)
        for tenth in range(1, TENTHS + 1):
            for running in racing:
                for _ in running.run(running.course.goal(tenth)):
                    yield running.trial
            if race is not None:
                racing = _promising(race, racing, tenth)

    def _result(self, trial: Trial) -> tuple[float | None, bool]:
        loss = None if trial.value is None else self.objective.loss(trial.value)
        return loss, trial.status == "complete"

    def _recipe(self, combination: Combination) -> Recipe:
        space, searched = combination.space, combination.searched
        return Recipe.parse(space.name, space.fixed | searched, self._counts)

    def _objective(self, given: str | None) -> Objective:
        has_rating = self._counts.predicts
        ranking = [r.name for r in self.examples if not r.predicts_ratings(has_rating)]
        name = given or ("ndcg" if ranking else "rmse")
        if name not in metrics.NAMES:
            names = ", ".join(f"'{name}'" for name in metrics.NAMES)
            raise OptionError(f"objective is {name!r}; give one of {names}.")
        objective = Objective(name, has_rating)
        if objective.is_error and ranking:
            raise OptionError(
                f"objective is '{name}' but algorithm '{ranking[0]}' predicts no ratings "
                "here; choose objective := 'ndcg'."
            )
        return objective

    def _find(self, name: str | None, trials: Any) -> Search:
        finite = search.size(self._spaces) < math.inf
        name = name or ("grid" if finite and trials is None else "random")
        if name == "grid" and trials is not None:
            raise OptionError(
                "search is 'grid', which tries all combinations, but trials is "
                f"{trials!r}; leave it out, or choose search := 'random'."
            )
        most = check_count("trials", TRIALS if trials is None else trials, 1, search.FEW)
        return search.find(name, self._spaces, most, self.examples[0].options.seed)


def _promising(race: Race, racing: list[RunningTrial], tenth: int) -> list[RunningTrial]:
    """Those that go on, or have come to their end; the others are stopped."""
    racing = [running for running in racing if running.trial.status != "failed"]
    for running in racing:
        running.mark()
    race.pass_by((running.course for running in racing), tenth)
    hopeless = [
        running for running in racing if running.left and race.is_hopeless(running.course, tenth)
    ]
    for running in hopeless:
        running.stop()
    return [running for running in racing if running not in hopeless]
