"""Ways to search a space: what to try next, given what was found."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeAlias

import numpy as np

from duckmf.errors import OptionError
from duckmf.tuning.space import Range, Space

# The most combinations that are listed.
FEW = 100_000
BATCH = 64  # points at a time
# A search that comes upon nothing new so often has nothing new left.
REPEATS = 200


@dataclass(frozen=True)
class Combination:
    """Options that one trial may have."""

    space: Space
    searched: dict[str, Any]

    @property
    def key(self) -> str:
        """The same for the same combination."""
        return json.dumps([self.space.name, self.searched])


# The loss of a trial, None if it failed; and whether it came to its end.
TrialResult: TypeAlias = tuple[float | None, bool]


class Search(Protocol):
    """Proposes combinations, each at most once."""

    n_trials: int  # the most that it proposes

    def propose(self, most: int) -> list[Combination]:
        """What to try next, at most so many at once; nothing at the end."""
        ...

    def learn(self, results: list[TrialResult]) -> None:
        """What came of the last proposals, in their order."""
        ...


def find(name: str, spaces: list[Space], n_trials: int, seed: int) -> Search:
    """The search with a SQL name.

    Raises:
        OptionError: there is no such search, or it cannot search these spaces.
    """
    if name == "grid":
        return GridSearch(spaces, seed)
    if name == "random":
        return RandomSearch(spaces, n_trials, seed)
    if name == "tpe":
        return TpeSearch(spaces, n_trials, seed)
    raise OptionError(f"search is {name!r}; give one of 'grid', 'random', 'tpe'.")


def example(space: Space) -> Combination:
    """One combination of a space."""
    listed = {name: values[0] for name, values in space.choices.items()}
    return Combination(space, listed | {name: span.low for name, span in space.ranges.items()})


def all_combinations(spaces: list[Space]) -> Iterator[Combination]:
    """All combinations of lists, the last option changing first."""
    for space in spaces:
        for values in itertools.product(*space.choices.values()):
            yield Combination(space, dict(zip(space.choices, values, strict=True)))


def size(spaces: list[Space]) -> float:
    """The number of combinations."""
    if any(space.ranges for space in spaces):
        return math.inf
    return sum(math.prod(len(values) for values in space.choices.values()) for space in spaces)


class GridSearch:
    """All combinations; who comes first decides who is stopped, so central ones do."""

    def __init__(self, spaces: list[Space], seed: int) -> None:
        for space in spaces:
            for option in space.ranges:
                raise OptionError(
                    f"search is 'grid' but {option} is a range; give a list, or choose "
                    "search := 'random' or 'tpe'."
                )
        if (n := size(spaces)) > FEW:
            raise OptionError(
                f"the grid has {n:,} combinations; choose search := 'random' or 'tpe' with "
                "trials := ...."
            )
        combinations = in_order(shuffled(spaces, seed))
        self.n_trials = len(combinations)
        self._rest = iter(combinations)

    def propose(self, most: int) -> list[Combination]:
        """What to try next; nothing at the end."""
        return list(itertools.islice(self._rest, most))

    def learn(self, results: list[TrialResult]) -> None:
        """All is tried, whatever comes of it."""


def shuffled(spaces: list[Space], seed: int) -> list[Combination]:
    """All combinations in an order drawn by the seed."""
    combinations = list(all_combinations(spaces))
    return [combinations[n] for n in np.random.default_rng(seed).permutation(len(combinations))]


def in_order(combinations: list[Combination]) -> list[Combination]:
    """Those in the middle of their lists first: what is at their ends meets something to beat."""
    return sorted(combinations, key=_distance)


def _distance(combination: Combination) -> float:
    """How many places the values of lists lie from the middle, in sum."""
    return sum(
        abs(values.index(combination.searched[name]) - (len(values) - 1) / 2)
        for name, values in combination.space.choices.items()
    )


class RandomSearch:
    """Combinations spread evenly over all there are, each once, from a scrambled Halton sequence.

    Its first points, however many, leave smaller gaps than points drawn one by one.

    Sources: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization"; Owen 2017,
    "A randomized Halton algorithm in R".
    """

    def __init__(self, spaces: list[Space], n_trials: int, seed: int) -> None:
        n = size(spaces)
        self.n_trials = int(min(n_trials, n))
        # of many points some combinations may be far away, of few all are listed
        listed = shuffled(spaces, seed) if n <= FEW else []
        self._rest = itertools.islice(fresh(spread(spaces, seed), listed), self.n_trials)

    def propose(self, most: int) -> list[Combination]:
        """What to try next; nothing at the end."""
        return list(itertools.islice(self._rest, most))

    def learn(self, results: list[TrialResult]) -> None:
        """Points do not depend on what came before."""


def spread(spaces: list[Space], seed: int) -> Iterator[Combination]:
    """The combinations that a sequence of points comes upon, without end.

    A point has a coordinate for each option of the algorithm with the most, and one that tells the
    algorithm.
    """
    qmc = import_module("scipy.stats.qmc")  # it takes its time to load, and most do without
    n_options = max(len(space.choices) + len(space.ranges) for space in spaces)
    points = qmc.Halton(n_options + 1, rng=np.random.default_rng(seed))
    while True:
        for *shares, of_algorithm in points.random(BATCH).tolist():
            space = spaces[int(of_algorithm * len(spaces))]
            rest = iter(shares)
            searched = {
                name: values[int(next(rest) * len(values))]
                for name, values in space.choices.items()
            }
            searched |= {name: span.at(next(rest)) for name, span in space.ranges.items()}
            yield Combination(space, searched)


def fresh(
    combinations: Iterable[Combination], listed: Iterable[Combination]
) -> Iterator[Combination]:
    """Those that did not come before, until nothing new comes; then what else is listed."""
    seen: set[str] = set()
    repeats = 0
    for combination in combinations:
        repeats = repeats + 1 if combination.key in seen else 0
        if repeats == REPEATS:
            break
        if not repeats:
            seen.add(combination.key)
            yield combination
    yield from (combination for combination in listed if combination.key not in seen)


class TpeSearch:
    """Where good trials are dense, by optuna's tree-structured Parzen estimator.

    Source: Bergstra, Bardenet, Bengio and Kegl 2011, "Algorithms for hyper-parameter optimization".
    """

    def __init__(self, spaces: list[Space], n_trials: int, seed: int) -> None:
        try:
            optuna = import_module("optuna")
        except ImportError:
            raise OptionError(
                "search is 'tpe' but optuna is not installed; "
                "pip install 'duckmf[tune]', or choose search := 'random'."
            ) from None
        self._spaces = {space.name: space for space in spaces}
        self.n_trials = int(min(n_trials, size(spaces)))
        self._states = optuna.trial.TrialState
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._drawn_evenly = max(1, min(10, self.n_trials // 3))
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=self._drawn_evenly)
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        optuna.logging.set_verbosity(verbosity)
        self._known: dict[str, TrialResult] = {}
        self._asked: dict[str, list[Any]] = {}  # optuna's trials of each combination under way

    def propose(self, most: int) -> list[Combination]:
        """What to try next: some of the first ones, later one at a time, since each teaches."""
        most = min(most, max(1, self._drawn_evenly - len(self._known)))
        most = min(most, self.n_trials - len(self._known))
        combinations: list[Combination] = []
        for _ in range(REPEATS):
            if len(combinations) == most:
                break
            trial, drawn = self._draw()
            if drawn.key in self._known:
                self._tell(trial, *self._known[drawn.key])
                continue
            if drawn.key not in self._asked:
                combinations.append(drawn)
            self._asked.setdefault(drawn.key, []).append(trial)
        return combinations

    def learn(self, results: list[TrialResult]) -> None:
        """Remember what came of the last proposals."""
        for (key, trials), result in zip(self._asked.items(), results, strict=True):
            self._known[key] = result
            for trial in trials:
                self._tell(trial, *result)
        self._asked.clear()

    def _draw(self) -> tuple[Any, Combination]:
        trial = self._study.ask()
        space = self._spaces[trial.suggest_categorical("algorithm", list(self._spaces))]
        searched = {
            name: values[
                trial.suggest_categorical(f"{space.name} {name}", list(range(len(values))))
            ]
            for name, values in space.choices.items()
        }
        for name, span in space.ranges.items():
            searched[name] = _suggested(trial, f"{space.name} {name}", span)
        return trial, Combination(space, searched)

    def _tell(self, trial: Any, loss: float | None, complete: bool) -> None:
        if loss is None:
            self._study.tell(trial, state=self._states.FAIL)
        elif complete:
            self._study.tell(trial, loss)
        else:
            trial.report(loss, 0)
            self._study.tell(trial, state=self._states.PRUNED)


def _suggested(trial: Any, name: str, span: Range) -> Any:
    suggest = trial.suggest_int if span.whole else trial.suggest_float
    return suggest(name, span.low, span.high, log=span.log)
