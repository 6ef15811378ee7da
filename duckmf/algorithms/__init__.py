"""How a model learns: each algorithm is a class with the members of `Algorithm`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, Protocol

from duckmf.errors import OptionError
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.options import Options as BaseOptions
from duckmf.ratings.matrix import Ratings, Rows


class Algorithm(Protocol):
    """What every algorithm offers.

    Its constructor lays the data out and draws the initial factors.
    """

    Options: ClassVar[type[BaseOptions]]
    feedback: ClassVar[str]  # 'explicit': it predicts ratings; 'implicit': it ranks
    loss: ClassVar[str]  # what its losses are

    def __init__(self, ratings: Ratings, options: Any, workers: Workers) -> None: ...

    @property
    def options(self) -> BaseOptions:
        """What it was made with."""
        ...

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        ...

    def start_from(self, known: Known) -> None:
        """Begin with the numbers of an earlier model; before the first epoch.

        Raises:
            OptionError: the algorithm has nothing to start from.
        """
        ...

    def epoch(self, number: int) -> float:
        """One pass over the ratings; returns the training loss."""
        ...

    def validation_loss(self, held_out: Rows, workers: Workers) -> float:
        """The loss on held-out ratings by user; smaller is better."""
        ...

    def factors(self) -> Factors:
        """The numbers as they stand, by user and item code."""
        ...


class Solving(Algorithm, Protocol):
    """An algorithm that solves rows of one side alone, by the objective of its training."""

    compares: ClassVar[bool]  # whether rows are learnt by comparisons, so that items are rivals

    @classmethod
    def fold_in(cls, fixed: Fixed, options: Any, workers: Workers) -> Callable[[Rows], Solved]:
        """What gives rows of ratings, by the places in `fixed`, what training would give them."""
        ...


_CLASSES = {
    "als": "Als",
    "svd": "Svd",
    "svdpp": "Svdpp",
    "timesvdpp": "Timesvdpp",
    "bias": "Bias",
    "popularity": "Popularity",
    "implicit_als": "ImplicitAls",
    "bpr": "Bpr",
    "bayes": "Bayes",
}
NAMES = tuple(_CLASSES)


def find(name: str) -> type[Solving]:
    """The algorithm with a SQL name; its file, and numba with it, is imported only now.

    Raises:
        OptionError: there is no such algorithm.
    """
    if not isinstance(name, str) or name not in _CLASSES:
        names = ", ".join(f"'{known}'" for known in NAMES)
        raise OptionError(f"algorithm is {name!r}; give one of {names}.")
    algorithm: type[Solving] = getattr(import_module(f"{__name__}.{name}"), _CLASSES[name])
    return algorithm


def fold_in(
    algorithm: type[Solving],
    fixed: Fixed,
    options: Any,
    workers: Workers,
    *,
    roughly: bool = False,
) -> Callable[[Rows], Solved]:
    """What solves rows of ratings alone; with the time terms that the options ask for.

    roughly: time terms need not be at their optimum, for rows that are solved again.
    """
    if getattr(options, "temporal", ()):
        from duckmf.algorithms.time_terms_fold_in import PASSES, ROUGH_PASSES, fold_in

        passes = ROUGH_PASSES if roughly else PASSES
        return fold_in(algorithm, fixed, options, workers, passes)
    return algorithm.fold_in(fixed, options, workers)


def make(
    algorithm: type[Algorithm], ratings: Ratings, options: BaseOptions, workers: Workers
) -> Algorithm:
    """An algorithm ready for its first epoch; with the time terms that its options ask for."""
    if getattr(options, "temporal", ()):
        from duckmf.algorithms.with_time_terms import TemporalOptions, WithTimeTerms

        assert isinstance(options, TemporalOptions)
        return WithTimeTerms(algorithm, ratings, options, workers)
    return algorithm(ratings, options, workers)
