"""Biases alone: r(u, i) = mu + b_u + b_i.

Objective: sum (r - mu - b_u - b_i)^2 + lambda_user * sum b_u^2 + lambda_item * sum b_i^2, mu the
mean rating. Update: each side in turn to its optimum, b = sum of residuals / (n + lambda), the
damped mean of Funk and of Koren, "Factor in the Neighbors" (TKDD 2010), section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.explicit import Explicit
from duckmf.algorithms.with_time_terms import TemporalOptions
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors, Fixed, Known, SideName, Solved
from duckmf.options import option
from duckmf.ratings.matrix import Ratings, Rows


@dataclass(frozen=True, kw_only=True)
class BiasOptions(TemporalOptions):
    """Options of the bias model."""

    epochs: int = option(10, "passes over the ratings", low=1, high=10_000)
    regularization: float = option(5.0, "lambda, in ratings", low=0.0)
    user_regularization: float | None = option(None, "lambda of b_u", low=0.0)
    item_regularization: float | None = option(None, "lambda of b_i", low=0.0)

    def damping(self, side: SideName) -> float:
        """lambda of one side."""
        own = self.user_regularization if side == "users" else self.item_regularization
        return self.regularization if own is None else own


class Bias(Explicit):
    """The bias model in training."""

    Options = BiasOptions

    def __init__(self, ratings: Ratings, options: BiasOptions, workers: Workers) -> None:
        self.options = options
        self._ratings = ratings
        self._mu = mean(ratings)
        self._bu = np.zeros(len(ratings.by_user))
        self._bi = np.zeros(len(ratings.by_item))

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self.options.epochs

    def start_from(self, known: Known) -> None:
        """Begin with the biases of a model's items, and solve all users for them."""
        by_user = self._ratings.by_user
        self._bi[:] = known.item_bias + np.where(known.items, known.mu - self._mu, 0.0)
        self._bu = damped_means(by_user, self._mu + self._bi, self.options.damping("users"))

    def epoch(self, number: int) -> float:
        """Both sides once; the loss is that of the biases it ends with."""
        by_user, by_item = self._ratings.by_user, self._ratings.by_item
        options = self.options
        self._bi = damped_means(by_item, self._mu + self._bu, options.damping("items"))
        self._bu = damped_means(by_user, self._mu + self._bi, options.damping("users"))
        errors = by_user.values - self._mu - self._bi[by_user.indices]
        errors -= np.repeat(self._bu, by_user.counts)
        return math.sqrt(np.mean(np.square(errors)))

    def factors(self) -> Factors:
        """mu and the biases."""
        return Factors(self._mu, self._bu.astype(np.float32), self._bi.astype(np.float32))

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: BiasOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """Damped means of what the other side leaves over."""
        expected, damping = fixed.mu + fixed.bias.astype(np.float64), options.damping(fixed.solved)
        return lambda rows: Solved(damped_means(rows, expected, damping).astype(np.float32))


def mean(ratings: Ratings) -> float:
    """mu: the mean training rating."""
    return float(np.mean(ratings.by_user.values, dtype=np.float64))


def damped_means(rows: Rows, expected: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """b = sum (r - expected) / (n + damping) of each row; 0 for a row without ratings.

    expected: what the other side alone predicts, one number per column.
    """
    residuals = rows.values - expected[rows.indices]
    sums = np.bincount(rows.row_numbers(), residuals, minlength=len(rows))
    biases: NDArray[np.float64] = sums / np.maximum(rows.counts + damping, np.finfo(float).tiny)
    return biases
