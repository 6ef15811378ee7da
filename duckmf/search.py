"""Ways to search a space: what to try next, given what was found."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from duckmf.errors import OptionError
from duckmf.space import Range, Space

# So many combinations are listed and shuffled; of more, some are drawn.
FEW = 100_000
# A search that comes upon nothing new so often has nothing new left.
REPEATS = 200


@dataclass(frozen=True)
class Try:
    """One combination of options."""

    space: Space
    searched: dict[str, Any]

    @property
    def key(self) -> str:
        """The same for the same combination."""
        return json.dumps([self.space.name, self.searched])


class Search(Protocol):
    """Proposes combinations, each at most once."""

    n_trials: int  # the most that it proposes

    def propose(self) -> Try | None:
        """What to try next; None at the end."""
        ...

    def learn(self, loss: float | None, complete: bool) -> None:
        """What came of the last proposal: its loss, None if it failed."""
        ...


def find(name: str, spaces: list[Space], n_trials: int, seed: int) -> Search:
    """The search with a SQL name.

    Raises:
        OptionError: there is no such search, or it cannot search these spaces.
    """
    if name == "grid":
        return Grid(spaces, seed)
    if name == "random":
        return Random(spaces, n_trials, seed)
    if name == "tpe":
        return Tpe(spaces, n_trials, seed)
    raise OptionError(f"mf_fit: search is {name!r}; give one of 'grid', 'random', 'tpe'.")


def example(space: Space) -> Try:
    """One combination of a space."""
    listed = {name: values[0] for name, values in space.choices.items()}
    return Try(space, listed | {name: span.low for name, span in space.ranges.items()})


def combinations(spaces: list[Space]) -> Iterator[Try]:
    """All combinations of lists, the last option changing first."""
    for space in spaces:
        for values in itertools.product(*space.choices.values()):
            yield Try(space, dict(zip(space.choices, values, strict=True)))


def size(spaces: list[Space]) -> float:
    """The number of combinations."""
    if any(space.ranges for space in spaces):
        return math.inf
    return sum(math.prod(len(values) for values in space.choices.values()) for space in spaces)


class Grid:
    """All combinations; who comes first decides who is stopped, so central ones do."""

    def __init__(self, spaces: list[Space], seed: int) -> None:
        for space in spaces:
            for option in space.ranges:
                raise OptionError(
                    f"mf_fit: search is 'grid' but {option} is a range; give a list, or choose "
                    "search := 'random' or 'tpe'."
                )
        if (n := size(spaces)) > FEW:
            raise OptionError(
                f"mf_fit: the grid has {n:,} combinations; choose search := 'random' or 'tpe' with "
                "trials := ...."
            )
        tries = in_order(shuffled(spaces, seed))
        self.n_trials = len(tries)
        self._rest = iter(tries)

    def propose(self) -> Try | None:
        """What to try next; None at the end."""
        return next(self._rest, None)

    def learn(self, loss: float | None, complete: bool) -> None:
        """All is tried, whatever comes of it."""


def shuffled(spaces: list[Space], seed: int) -> list[Try]:
    """All combinations in an order drawn by the seed."""
    tries = list(combinations(spaces))
    return [tries[n] for n in np.random.default_rng(seed).permutation(len(tries))]


def in_order(tries: list[Try]) -> list[Try]:
    """Those in the middle of their lists first: what is at their ends meets something to beat."""
    return sorted(tries, key=_distance)


def _distance(tried: Try) -> float:
    """How many places the values of lists lie from the middle, in sum."""
    return sum(
        abs(values.index(tried.searched[name]) - (len(values) - 1) / 2)
        for name, values in tried.space.choices.items()
    )


class Random:
    """Combinations drawn evenly, each once."""

    def __init__(self, spaces: list[Space], n_trials: int, seed: int) -> None:
        self._spaces, self._rng = spaces, np.random.default_rng(seed)
        n = size(spaces)
        most = int(min(n_trials, n))
        listed = iter(shuffled(spaces, seed)) if n <= FEW else fresh(self._draw)
        self.n_trials = most
        self._rest = itertools.islice(listed, most)

    def propose(self) -> Try | None:
        """What to try next; None at the end."""
        return next(self._rest, None)

    def learn(self, loss: float | None, complete: bool) -> None:
        """Draws do not depend on what came before."""

    def _draw(self) -> Try:
        space = self._spaces[int(self._rng.integers(len(self._spaces)))]
        searched = {
            name: values[int(self._rng.integers(len(values)))]
            for name, values in space.choices.items()
        }
        searched |= {name: span.at(self._rng.random()) for name, span in space.ranges.items()}
        return Try(space, searched)


def fresh(draw: Callable[[], Try]) -> Iterator[Try]:
    """Draws without those that came before, until nothing new comes."""
    seen: set[str] = set()
    while True:
        for _ in range(REPEATS):
            drawn = draw()
            if drawn.key not in seen:
                break
        else:
            return
        seen.add(drawn.key)
        yield drawn


class Tpe:
    """Where good trials are dense, by optuna's tree-structured Parzen estimator.

    Source: Bergstra, Bardenet, Bengio and Kegl 2011, "Algorithms for hyper-parameter optimization".
    """

    def __init__(self, spaces: list[Space], n_trials: int, seed: int) -> None:
        try:
            optuna = import_module("optuna")
        except ImportError:
            raise OptionError(
                "mf_fit: search is 'tpe' but optuna is not installed; "
                "pip install 'duckmf[tune]', or choose search := 'random'."
            ) from None
        self._spaces = {space.name: space for space in spaces}
        self.n_trials = int(min(n_trials, size(spaces)))
        self._states = optuna.trial.TrialState
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=seed % 2**32, n_startup_trials=max(1, min(10, self.n_trials // 3))
        )
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        optuna.logging.set_verbosity(verbosity)
        self._trial: Any = None
        self._known: dict[str, tuple[float | None, bool]] = {}
        self._key = ""

    def propose(self) -> Try | None:
        """What to try next; None at the end."""
        if len(self._known) >= self.n_trials:
            return None
        for _ in range(REPEATS):
            drawn = self._draw()
            if drawn.key not in self._known:
                self._key = drawn.key
                return drawn
            self._tell(*self._known[drawn.key])
        return None

    def learn(self, loss: float | None, complete: bool) -> None:
        """Remember what came of the last proposal."""
        self._known[self._key] = loss, complete
        self._tell(loss, complete)

    def _draw(self) -> Try:
        self._trial = trial = self._study.ask()
        space = self._spaces[trial.suggest_categorical("algorithm", list(self._spaces))]
        searched = {
            name: values[
                trial.suggest_categorical(f"{space.name} {name}", list(range(len(values))))
            ]
            for name, values in space.choices.items()
        }
        for name, span in space.ranges.items():
            searched[name] = self._suggest(f"{space.name} {name}", span)
        return Try(space, searched)

    def _suggest(self, name: str, span: Range) -> Any:
        suggest = self._trial.suggest_int if span.whole else self._trial.suggest_float
        return suggest(name, span.low, span.high, log=span.log)

    def _tell(self, loss: float | None, complete: bool) -> None:
        if loss is None:
            self._study.tell(self._trial, state=self._states.FAIL)
        elif complete:
            self._study.tell(self._trial, loss)
        else:
            self._trial.report(loss, 0)
            self._study.tell(self._trial, state=self._states.PRUNED)
