"""Rows held out to choose between models: the same ones for every model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from duckmf.algorithms.recipe import Recipe
from duckmf.errors import DataError, OptionError
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors
from duckmf.ranking import metrics
from duckmf.ratings.gathering import Counts, Parts, parts_of
from duckmf.ratings.matrix import Triples, held_out_share

FRACTION = 0.1
METHODS = ("random", "time")


@dataclass(frozen=True)
class Division:
    """How the rows are divided: by the source's own mark, at random, or by time."""

    method: str | None  # None: the rows are marked
    fraction: float

    @classmethod
    def parse(cls, method: Any, fraction: Any, counts: Counts) -> Division:
        """Read what a user gave.

        Raises:
            OptionError: it contradicts itself, or is out of range.
        """
        if counts.has_validation:
            given = {"validation_fraction": fraction, "validation_method": method}
            for name in (name for name, value in given.items() if value is not None):
                raise OptionError(f"validation and {name} are both given; choose one of them.")
            return cls(None, 0.0)
        if method not in (None, *METHODS):
            raise OptionError(f"validation_method is {method!r}; give 'random' or 'time'.")
        if method == "time" and not counts.has_ts:
            raise OptionError("validation_method is 'time' but ts is not given; add ts := ....")
        if fraction is not None and not (type(fraction) in (int, float) and 0 < fraction <= 0.9):
            raise OptionError(
                f"validation_fraction is {fraction!r}; give a number above 0, up to 0.9."
            )
        return cls(method or "random", FRACTION if fraction is None else fraction)

    def __call__(self, rows: Triples, seed: int) -> tuple[Triples, Triples]:
        """Rows to train on, and rows to judge by.

        Raises:
            DataError: one of the two would be empty.
        """
        if self.method == "random":
            held_out = held_out_share(rows, self.fraction, seed)
        elif self.method == "time":
            assert rows.times is not None
            cut = np.quantile(rows.times, 1 - self.fraction, method="inverted_cdf")
            held_out = rows.times > cut
        else:
            assert rows.held_out is not None
            held_out = rows.held_out
        n, n_held = len(held_out), int(np.count_nonzero(held_out))
        if n_held in (0, n):
            raise DataError(
                f"validation holds out {n_held:,} of {n:,} rows; choose it so that "
                "some rows are held out and some remain for training."
            )
        return rows.select(~held_out), rows.select(held_out)


class Judge:
    """Lays the rows out, once for each way to read duplicates, and takes the metrics of models."""

    def __init__(
        self,
        rows: tuple[Triples, Triples],
        shape: tuple[int, int],
        lists: tuple[int, bool],
        workers: Workers,
    ) -> None:
        """rows: to train on, and held out; shape: users and items; lists: k and `fused`."""
        self._train, self._held_out = rows[0], in_order(rows[1])
        self._shape, self._lists = shape, lists
        self.workers = workers
        codes = (np.arange(n, dtype=np.int32) for n in shape)
        self._relevant = metrics.Relevant.of(self._held_out, *codes)
        self._parts: dict[str, Parts] = {}

    @property
    def n_relevant(self) -> int:
        """Users with relevant items among the held-out rows."""
        return len(self._relevant)

    def parts(self, recipe: Recipe) -> Parts:
        """The matrices to train on."""
        duplicates = recipe.options.duplicates
        if duplicates not in self._parts:
            rows = self._train, self._held_out
            parts = parts_of(*rows, self._shape, duplicates, self.workers)
            shared = replace(parts.ratings, layouts=WeakValueDictionary())
            self._parts[duplicates] = replace(parts, ratings=shared)
        return self._parts[duplicates]

    def errors(self, recipe: Recipe, factors: Factors) -> dict[str, Any]:
        """rmse and mae."""
        ratings = self.parts(recipe).ratings
        return asdict(metrics.errors(factors, ratings, self._held_out, self.workers))

    def lists(self, recipe: Recipe, factors: Factors, *, areas: bool = True) -> dict[str, Any]:
        """The measures of lists; auc, which is dear, only with `areas`."""
        ratings = self.parts(recipe).ratings
        lists = metrics.ranking(
            factors, ratings, self._relevant, *self._lists, self.workers, areas=areas
        )
        return asdict(lists)


def in_order(rows: Triples) -> Triples:
    """The same rows in an order that does not depend on how they came: sums round alike."""
    times = () if rows.times is None else (rows.times,)
    return rows.select(np.lexsort((*times, rows.values, rows.items, rows.users)))
