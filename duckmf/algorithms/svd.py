"""Funk SVD: matrix factorization with biases, by stochastic gradient descent.

Model:      r(u, i) = mu + b_u + b_i + <p_u, q_i>
Objective:  the sum over all ratings of
            e^2 + reg (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2),  e = (r_ui - r(u, i)) / sigma
Update:     p_u += lr (e q_i - reg p_u) for one rating after the other, q_i, b_u, b_i alike

Source: Funk 2006, "Netflix update: try this at home"; Koren, Bell and Volinsky 2009, "Matrix
factorization techniques for recommender systems".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from duckmf.blocks import lay_out
from duckmf.errors import TrainingError
from duckmf.kernels.sgd import descend
from duckmf.model import Factors
from duckmf.options import Options, option
from duckmf.ratings import Ratings
from duckmf.threads import Workers


@dataclass(frozen=True, kw_only=True)
class SvdOptions(Options):
    """The options of `algorithm := 'svd'`."""

    n_factors: int = option(32, "factors of each user and item", low=1, high=1024)
    epochs: int = option(30, "passes over the ratings", low=1, high=10_000)
    learning_rate: float = option(0.01, "size of a step in the first epoch", low=1e-9, high=10.0)
    learning_rate_decay: float = option(
        0.95, "what an epoch's step is multiplied by for the next", low=1e-3, high=1.0
    )
    regularization: float = option(0.05, "L2 penalty for each rating", low=0.0)
    user_regularization: float | None = option(None, "of P; else regularization", low=0.0)
    item_regularization: float | None = option(None, "of Q; else regularization", low=0.0)
    bias_regularization: float | None = option(None, "of biases; else regularization", low=0.0)


class Svd:
    """One training of `algorithm := 'svd'`."""

    Options = SvdOptions

    def __init__(self, ratings: Ratings, options: SvdOptions, workers: Workers) -> None:
        self.options = options
        self.workers = workers
        self.mu, self.sigma = _moments(ratings.by_user.values)
        self.blocks = lay_out(ratings, options.n_factors, options.seed, workers)
        self.blocks.values[:] -= np.float32(self.mu)
        self.blocks.values[:] /= np.float32(self.sigma)
        rng = np.random.default_rng(options.seed)
        n_users, n_items = len(ratings.by_user), len(ratings.by_item)
        self.P = self._draw(rng, n_users)
        self.Q = self._draw(rng, n_items)
        self.user_bias = np.zeros(n_users, np.float32)
        self.item_bias = np.zeros(n_items, np.float32)

    def epoch(self, number: int) -> float:
        """Visit each rating once; the RMSE, each error taken just before its step.

        Raises:
            TrainingError: the factors grew beyond all bounds.
        """
        blocks = self.blocks
        arrays = (blocks.user_positions, blocks.item_positions, blocks.values)
        model = (self.user_bias, self.item_bias, self.P, self.Q)
        rates = self._rates(number)
        losses = []
        for stratum in np.random.default_rng([self.options.seed, number]).permutation(blocks.n_blocks):
            losses += self.workers.map(
                lambda begin, end: descend(*arrays, *model, begin, end, *rates),
                blocks.stratum(int(stratum)),
            )
        rmse = self.sigma * math.sqrt(math.fsum(losses) / len(blocks.values))
        if not math.isfinite(rmse):
            raise TrainingError(f"mf_fit: svd diverged in epoch {number}; lower learning_rate.")
        return rmse

    def factors(self) -> Factors:
        scale = np.float32(self.sigma)
        root = np.float32(math.sqrt(self.sigma))
        users, items = self.blocks.users.position, self.blocks.items.position
        return Factors(
            self.mu, scale * self.user_bias[users], scale * self.item_bias[items],
            root * self.P[users], root * self.Q[items])

    def _draw(self, rng, n_rows):
        shape = (n_rows, self.options.n_factors)
        return rng.standard_normal(shape, np.float32) * np.float32(0.1)

    def _rates(self, number: int) -> tuple[np.float32, ...]:
        o = self.options
        regs = (o.user_regularization, o.item_regularization, o.bias_regularization, o.bias_regularization)
        lr = o.learning_rate * o.learning_rate_decay ** (number - 1)
        return tuple(np.float32(v) for v in (lr, *(o.regularization if r is None else r for r in regs)))


def _moments(values):
    mu = float(values.mean(dtype=np.float64))
    return mu, float(values.std(dtype=np.float64)) or 1.0
