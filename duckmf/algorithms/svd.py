"""Funk SVD: matrix factorization with biases, by stochastic gradient descent.

Model:      r(u, i) = mu + b_u + b_i + <p_u, q_i>, mu the mean rating
Objective:  sum over all ratings of (r_ui - r(u, i))^2
            + sum_u n_u^nu (sigma lambda_u |p_u|^2 + lambda_b b_u^2)
            + sum_i n_i^nu (sigma lambda_i |q_i|^2 + lambda_b b_i^2)
Update:     for one rating after the other, with r, r(u, i) and the biases in units of sigma and
            P and Q in units of its root, e the error, lr_u and lr_i the steps of the two rows,
            b_u += lr_u (e - lambda_b n_u^(nu - 1) b_u)
            p_u += lr_u (e q_i - lambda_u n_u^(nu - 1) p_u), and the item alike
Step:       in epoch t of T, lr_u = learning_rate (1 - decay (t - 1) / T) / (1 + n_u / 100)^(1/2)

n_u and n_i are counts of ratings, nu the option `regularization_scaling`: with 1 every rating
brings the penalty lambda. sigma is the standard deviation of the ratings, so that steps and lambdas
mean the same on any scale: ratings times c give biases and predictions times c. Rows of many
ratings take smaller steps, as AdaGrad would give them, at no cost of their own.

Sources: Funk 2006, "Netflix update: try this at home"; Koren, Bell and Volinsky 2009, "Matrix
factorization techniques for recommender systems"; Chin, Zhuang, Juan and Lin 2015, "A learning-rate
schedule for stochastic gradient methods to matrix factorization", on steps that differ by row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duckmf.blocks import lay_out
from duckmf.errors import TrainingError
from duckmf.kernels.sgd import descend
from duckmf.model import Factors
from duckmf.options import Options, option
from duckmf.ratings import Ratings
from duckmf.threads import Workers

# The step of a row of n ratings is divided by the root of 1 + n / OFTEN.
OFTEN = 100

# The initial <p, q> have a standard deviation of INITIAL_SCALE ** 2, for any number of factors.
INITIAL_SCALE = 0.05


@dataclass(frozen=True, kw_only=True)
class SvdOptions(Options):
    """The options of `algorithm := 'svd'`."""

    n_factors: int = option(32, "factors of each user and item", low=1, high=1024)
    epochs: int = option(20, "passes over the ratings", low=1, high=10_000)
    learning_rate: float = option(0.15, "step size, for ratings of deviation 1", low=1e-9, high=1e3)
    learning_rate_decay: float = option(
        1.0, "share of the step that is gone by the end, evenly over the epochs", low=0.0, high=1.0
    )
    regularization: float = option(1.0, "lambda, the L2 penalty", low=0.0)
    user_regularization: float | None = option(None, "of P; else regularization", low=0.0)
    item_regularization: float | None = option(None, "of Q; else regularization", low=0.0)
    bias_regularization: float | None = option(None, "of biases; else regularization", low=0.0)
    regularization_scaling: float = option(
        0.5, "nu: a row of n ratings is penalized with lambda * n^nu", low=0.0, high=2.0
    )


class Svd:
    """A Funk SVD in training; rows are in the order of `Blocks`, numbers in units of sigma."""

    Options = SvdOptions

    def __init__(self, ratings: Ratings, options: SvdOptions, workers: Workers) -> None:
        self.options = options
        self._workers = workers
        self._blocks = blocks = lay_out(ratings, options.n_factors, options.seed, workers)
        self._mu, self._sigma = standardize(blocks.values)
        self._user_counts = ratings.by_user.counts[blocks.users.order]
        self._item_counts = ratings.by_item.counts[blocks.items.order]
        self._bu = np.zeros(len(self._user_counts), np.float32)
        self._bi = np.zeros(len(self._item_counts), np.float32)
        rng = np.random.default_rng(options.seed)
        self._P = initial(self._user_counts, options.n_factors, rng)
        self._Q = initial(self._item_counts, options.n_factors, rng)

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self.options.epochs

    def epoch(self, number: int) -> float:
        """Visit every rating once; the loss takes each error just before its step.

        Raises:
            TrainingError: the steps were too large, and the numbers left all bounds.
        """
        blocks = self._blocks
        ratings = (blocks.user_rows, blocks.item_rows, blocks.values)
        model = (self._bu, self._bi, self._P, self._Q)
        paces = self._paces(number)

        def descend_block(begin: int, end: int) -> float:
            return float(descend(*ratings, *model, *paces, begin, end))

        losses = []
        rng = np.random.default_rng((self.options.seed, number))
        for stratum in rng.permutation(blocks.n_strata):
            losses += self._workers.map(descend_block, blocks.stratum(int(stratum)))
        loss = self._sigma * math.sqrt(math.fsum(losses) / len(blocks.values))
        if not math.isfinite(loss):
            raise TrainingError(
                f"mf_fit: svd diverged in epoch {number}; "
                f"learning_rate is {self.options.learning_rate}, lower it."
            )
        return loss

    def factors(self) -> Factors:
        """The numbers as they stand, by code, on the scale of the ratings."""
        users, items = self._blocks.users.position, self._blocks.items.position
        scale, root = np.float32(self._sigma), np.float32(math.sqrt(self._sigma))
        return Factors(
            self._mu,
            scale * self._bu[users],
            scale * self._bi[items],
            root * self._P[users],
            root * self._Q[items],
        )

    def _paces(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        options = self.options
        gone = options.learning_rate_decay * (number - 1) / options.epochs
        lr = options.learning_rate * (1 - gone)
        lambdas = [
            options.regularization if own is None else own
            for own in (
                options.user_regularization,
                options.item_regularization,
                options.bias_regularization,
            )
        ]
        nu = options.regularization_scaling
        return (
            pace(self._user_counts, lr, lambdas[0], lambdas[2], nu),
            pace(self._item_counts, lr, lambdas[1], lambdas[2], nu),
        )


def standardize(values: NDArray[np.float32]) -> tuple[float, float]:
    """Take the mean from the values and divide them by their deviation, in place; return both."""
    mu = float(np.mean(values, dtype=np.float64))
    values -= np.float32(mu)
    sigma = math.sqrt(np.mean(np.square(values), dtype=np.float64)) or 1.0
    values /= np.float32(sigma)
    return mu, sigma


def initial(
    counts: NDArray[np.int64], n_factors: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Normal factors; zero in a row without ratings, which no step will ever change."""
    factors = rng.standard_normal((len(counts), n_factors), np.float32)
    factors *= np.float32(INITIAL_SCALE * n_factors**-0.25)
    factors[counts == 0] = 0
    return factors


def pace(
    counts: NDArray[np.int64], lr: float, reg: float, reg_b: float, nu: float
) -> NDArray[np.float32]:
    """(lr, 1 - lr reg, 1 - lr reg_b) of each row; a penalty shrinks to zero, but not beyond."""
    steps = lr / np.sqrt(1 + counts / OFTEN)
    weights = np.maximum(counts, 1) ** (nu - 1.0)
    kept = [np.maximum(1 - steps * penalty * weights, 0) for penalty in (reg, reg_b)]
    return np.stack((steps, *kept), axis=1).astype(np.float32)
