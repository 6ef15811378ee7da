"""Funk SVD: matrix factorization with biases, by stochastic gradient descent.

Model:      r(u, i) = mu + b_u + b_i + <p_u, q_i>, mu the mean rating
Objective:  sum over all ratings of (r_ui - r(u, i))^2
            + sum_u n_u^nu (sigma lambda_u |p_u|^2 + lambda_b b_u^2)
            + sum_i n_i^nu (sigma lambda_i |q_i|^2 + lambda_b b_i^2)
Update:     for one rating after the other, e its error and lr_u, lr_i the steps of its two rows,
            b_u += g lr_u (e - lambda_b n_u^(nu - 1) b_u)
            p_u += g lr_u (e q_i - lambda_u n_u^(nu - 1) p_u), b_i and q_i alike
            g = 1 / (1 + lr_u (1 + |q_i|^2) + lr_i (1 + |p_u|^2))
Step:       in epoch t of T, lr_u = learning_rate (1 - decay (t - 1) / T) / sqrt(1 + n_u / 100)

n_u and n_i are counts of ratings, nu the option `regularization_scaling`: with 1 every rating
brings the penalty lambda. sigma is the standard deviation of the ratings. Updates are made on
(r - mu) / sigma, so that steps and lambdas mean the same on any scale; ratings times c give factors
times sqrt(c), biases and predictions times c.

Three things make one learning_rate good for all: rows of many ratings take smaller steps, as
AdaGrad would give them; steps fall to nothing, so that the noise of the last ones does not stay;
and g shortens a step so that it cannot overshoot, the error after it being e g to first order.

Sources: Funk 2006, "Netflix update: try this at home"; Koren, Bell and Volinsky 2009, "Matrix
factorization techniques for recommender systems"; on steps that differ by row Chin, Zhuang, Juan
and Lin 2015, "A learning-rate schedule for stochastic gradient methods to matrix factorization"; on
g Toulis and Airoldi 2017, "Asymptotic and finite-sample properties of estimators based on
stochastic gradients", the implicit step of a linear model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms import als
from duckmf.algorithms.blocks import Blocks, grid_of, lay_out
from duckmf.algorithms.explicit import Explicit
from duckmf.algorithms.with_time_terms import TemporalOptions
from duckmf.kernels.sgd import descend
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.options import option
from duckmf.ratings.matrix import Ratings, Rows

# The step of a row of n ratings is divided by the root of 1 + n / OFTEN.
OFTEN = 100

# The initial <p, q> have a standard deviation of INITIAL_SCALE ** 2, for any number of factors.
INITIAL_SCALE = 0.05


@dataclass(frozen=True, kw_only=True)
class SvdOptions(TemporalOptions):
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


class Svd(Explicit):
    """A Funk SVD in training; rows are in the order of `Blocks`, numbers in units of sigma."""

    Options = SvdOptions

    def __init__(self, ratings: Ratings, options: SvdOptions, workers: Workers) -> None:
        self.options = options
        self._workers = workers
        values = ratings.by_user.values
        self._mu = float(values.mean(dtype=np.float64))
        self._sigma = float(values.std(dtype=np.float64)) or 1.0
        self._ratings = ratings
        self._blocks, self._places = self._laid_out(ratings)
        blocks = self._blocks
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

    def start_from(self, known: Known) -> None:
        """Begin with the rows of a model; those that it does not know are as ever."""
        users, items = self._blocks.users.order, self._blocks.items.order
        u = known.users[users] & (self._user_counts > 0)
        i = known.items[items] & (self._item_counts > 0)
        root = sqrt(self._sigma)
        put(self._P, known.P[users], u, root)
        put(self._Q, known.Q[items], i, root)
        put(self._bu, known.user_bias[users], u, self._sigma)
        put(self._bi, known.item_bias[items] + np.float32(known.mu - self._mu), i, self._sigma)

    def epoch(self, number: int) -> float:
        """Visit every rating once; the loss takes each error just before its step."""
        blocks = self._blocks
        if self._places is not None:
            blocks.values[:] = self._scaled(self._ratings.by_user.values[self._places])
        arguments = (
            *(blocks.user_rows, blocks.item_rows, blocks.values),
            *(self._bu, self._bi, self._P, self._Q),
            *self._paces(number),
        )

        def descend_block(begin: int, end: int) -> float:
            return float(descend(*arguments, begin, end))

        losses = []
        rng = np.random.default_rng((self.options.seed, number))
        for stratum in rng.permutation(blocks.n_strata):
            losses += self._workers.map(descend_block, blocks.stratum(int(stratum)))
        return self._sigma * sqrt(fsum(losses) / len(blocks.values))

    def factors(self) -> Factors:
        """The numbers as they stand, by code, on the scale of the ratings."""
        users, items = self._blocks.users.position, self._blocks.items.position
        scale, root = np.float32(self._sigma), np.float32(sqrt(self._sigma))
        return Factors(
            self._mu,
            scale * self._bu[users],
            scale * self._bi[items],
            root * self._P[users, : self.options.n_factors],
            root * self._Q[items, : self.options.n_factors],
        )

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: SvdOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """Each row's optimum, which the steps of training come near."""
        return als.solver(fixed, options, workers)

    def _laid_out(self, ratings: Ratings) -> tuple[Blocks, NDArray[np.int32] | None]:
        """The ratings as they are visited; and their places by user, if time terms change them."""
        options, workers = self.options, self._workers
        if not options.temporal:
            key = ("svd", options.seed, grid_of(ratings, options.n_factors))
            return ratings.laid_out(key, lambda: self._scaled_layout(ratings)), None
        numbered = Ratings(ratings.by_user.numbered(), ratings.by_item)
        blocks = lay_out(numbered, options.n_factors, options.seed, workers)
        places = blocks.values.view(np.int32)
        return replace(blocks, values=self._scaled(ratings.by_user.values[places])), places

    def _scaled_layout(self, ratings: Ratings) -> Blocks:
        blocks = lay_out(ratings, self.options.n_factors, self.options.seed, self._workers)
        blocks.values[:] = self._scaled(blocks.values)
        return blocks

    def _scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled: NDArray[np.float32] = (values - np.float32(self._mu)) / np.float32(self._sigma)
        return scaled

    def _paces(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        options = self.options
        gone = options.learning_rate_decay * (number - 1) / options.epochs
        lr = options.learning_rate * (1 - gone)
        reg_u, reg_i, reg_b = (
            options.regularization if own is None else own
            for own in (
                options.user_regularization,
                options.item_regularization,
                options.bias_regularization,
            )
        )
        nu = options.regularization_scaling
        return (
            _with_squares(pace(self._user_counts, lr, (reg_u, reg_b), nu), self._P),
            _with_squares(pace(self._item_counts, lr, (reg_i, reg_b), nu), self._Q),
        )


def initial(
    counts: NDArray[np.int64], n_factors: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Normal factors; zero in a row without ratings, which no step will ever change."""
    factors = vector_rows(len(counts), n_factors)
    drawn = rng.standard_normal((len(counts), n_factors), np.float32)
    factors[:, :n_factors] = drawn * np.float32(INITIAL_SCALE * n_factors**-0.25)
    factors[counts == 0] = 0
    return factors


def put(
    this: NDArray[np.float32], rows: NDArray[np.float32], there: NDArray[np.bool_], unit: float
) -> None:
    """Set the rows of `this` that are there, vectors or numbers, to rows of a model, in units."""
    columns = () if rows.ndim == 1 else (slice(rows.shape[1]),)
    this[there, *columns] = rows[there] / np.float32(unit)


def vector_rows(n_rows: int, n_factors: int) -> NDArray[np.float32]:
    """Zeros, whose rows begin with a cache line and hold whole vectors; more than 16 factors only.

    The columns after n_factors are zero on both sides, and stay zero.
    """
    width = ceil(n_factors / 32) * 32 if n_factors > 16 else n_factors
    floats = np.zeros(n_rows * width + 16, np.float32)
    begin = -(floats.ctypes.data // 4) % 16
    return floats[begin : begin + n_rows * width].reshape(n_rows, width)


def pace(
    counts: NDArray[np.int64], lr: float, lambdas: tuple[float, ...], nu: float
) -> NDArray[np.float32]:
    """lr and, for each lambda, lr reg of each row; a penalty shrinks to zero, but not beyond."""
    rows = np.empty((len(counts), 1 + len(lambdas)), np.float32)
    rows[:, 0] = lr / np.sqrt(1 + counts / OFTEN)
    weights = np.maximum(counts, 1) ** (nu - 1.0)
    for column, penalty in enumerate(lambdas, start=1):
        rows[:, column] = np.minimum(rows[:, 0] * penalty * weights, 1)
    return rows


def _with_squares(rows: NDArray[np.float32], factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The paces with |p|^2 of each row as the last column."""
    return np.column_stack((rows, np.einsum("rf,rf->r", factors, factors)))
