"""Popularity: the same list for everybody, items by their number of training ratings.

The count of an item is in its row of every model, so nothing is learned for the list itself.
Predictions are r(u, i) = mu + b_i with b_i = sum (r - mu) / (n + lambda), the damped item mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from duckmf.algorithms.bias import damped_means, mean
from duckmf.algorithms.explicit import Explicit
from duckmf.errors import OptionError
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.options import Options, option
from duckmf.ratings.matrix import Ratings, Rows


@dataclass(frozen=True, kw_only=True)
class PopularityOptions(Options):
    """Options of the popularity list."""

    regularization: float = option(5.0, "lambda of b_i, in ratings", low=0.0)


class Popularity(Explicit):
    """The popularity list in training."""

    Options = PopularityOptions
    epochs = 1

    def __init__(self, ratings: Ratings, options: PopularityOptions, workers: Workers) -> None:
        self.options = options
        self._ratings = ratings
        self._mu = mean(ratings)
        self._bi = np.zeros(len(ratings.by_item))

    def start_from(self, known: Known) -> None:
        """Refuse to: the list is that of the ratings, whatever was known before.

        Raises:
            OptionError: always.
        """
        raise OptionError(
            "algorithm 'popularity' counts anew, it has nothing to start from; "
            "leave warm_start out."
        )

    def epoch(self, number: int) -> float:
        """The item means; more passes would change nothing."""
        by_user, by_item = self._ratings.by_user, self._ratings.by_item
        everyone = np.full(len(by_user), self._mu)
        self._bi = damped_means(by_item, everyone, self.options.regularization)
        errors = by_user.values - self._mu - self._bi[by_user.indices]
        return math.sqrt(np.mean(np.square(errors)))

    def factors(self) -> Factors:
        """mu and the item biases; users have none."""
        return Factors(self._mu, item_bias=self._bi.astype(np.float32))

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: PopularityOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """The damped means of items; users have nothing to solve."""
        if fixed.solved == "users":
            return lambda rows: Solved()
        everyone = np.full(len(fixed.ratings), fixed.mu)
        return lambda rows: Solved(
            damped_means(rows, everyone, options.regularization).astype(np.float32)
        )
