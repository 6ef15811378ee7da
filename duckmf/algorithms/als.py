"""Alternating least squares: explicit ratings, factors and biases of a row solved together.

Model:      r(u, i) = mu + b_u + b_i + <p_u, q_i>, mu the mean rating
Objective:  sum over all ratings of (r_ui - r(u, i))^2
            + sum_u n_u^nu (sigma lambda_u |p_u|^2 + lambda_b b_u^2)
            + sum_i n_i^nu (sigma lambda_i |q_i|^2 + lambda_b b_i^2)
Update:     all items to their optimum for the users as they stand, then all users for the items:
            [p_u b_u] = (X'X + ridge)^-1 X'(r_u - mu - b_i), with a line [q_i 1] of X per rating

n_u and n_i are counts of ratings and nu the option `regularization_scaling`: 0 is plain ridge, 1
is the weighted lambda of ALS-WR. The default lies between them: lambda = 1 with nu = 1/2 stays
nearer to the best lambda of data small and large, sparse and dense, than one with nu = 0 or 1.

sigma is the standard deviation of the ratings. With it the lambdas mean the same on any scale:
ratings times c give factors times sqrt(c), biases and predictions times c. This is the plain
objective for ratings (r - mu) / sigma.

Source: Zhou, Wilkinson, Schreiber and Pan 2008, "Large-scale parallel collaborative filtering for
the Netflix prize", section 3; the biases are those of Koren, Bell and Volinsky 2009, "Matrix
factorization techniques for recommender systems".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.explicit import Explicit
from duckmf.algorithms.with_time_terms import TemporalOptions
from duckmf.errors import TrainingError
from duckmf.kernels import als as kernels
from duckmf.kernels.sparse import Csr
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.kernels.tiles import TILE, aligned
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.options import option
from duckmf.ratings.matrix import Ratings, Rows

# Ratings to a piece of work; a row itself costs about as much as n_factors of its ratings.
PIECE = 1 << 15


@dataclass(frozen=True, kw_only=True)
class AlsOptions(TemporalOptions):
    """The options of `algorithm := 'als'`."""

    n_factors: int = option(32, "factors of each user and item", low=1, high=1024)
    epochs: int = option(15, "passes over items and users", low=1, high=10_000)
    regularization: float = option(
        1.0, "lambda, the L2 penalty; with a scaling of 1, rather 0.05 to 0.1", low=0.0
    )
    user_regularization: float | None = option(None, "of P; else regularization", low=0.0)
    item_regularization: float | None = option(None, "of Q; else regularization", low=0.0)
    bias_regularization: float | None = option(None, "of biases; else regularization", low=0.0)
    regularization_scaling: float = option(
        0.5, "nu: a row of n ratings is penalized with lambda * n^nu", low=0.0, high=2.0
    )
    nonnegative: bool = option(False, "keep all factors at or above zero; biases stay free")


@dataclass(frozen=True)
class Penalty:
    """What a row of n ratings pays: n^scaling (factors |p|^2 + bias b^2)."""

    factors: float
    bias: float
    scaling: float

    @classmethod
    def of(cls, options: Any, regularization: float | None, sigma: float) -> Self:
        """The options `regularization` of one side or of all, and `bias_regularization`."""
        own = options.regularization if regularization is None else regularization
        bias = options.bias_regularization
        return cls(
            sigma * own,
            options.regularization if bias is None else bias,
            options.regularization_scaling,
        )


@dataclass(frozen=True)
class PaddedSide:
    """Factors and biases of all users, or of all items, in whole tiles."""

    factors: NDArray[np.float32]  # (n, n_factors padded with zeros to whole tiles), aligned
    bias: NDArray[np.float32]  # (n,)
    n_factors: int

    @classmethod
    def zeros(cls, n: int, n_factors: int) -> Self:
        """n rows of zeros."""
        padded = -(-n_factors // TILE) * TILE
        return cls(aligned(n * padded).reshape(n, padded), np.zeros(n, np.float32), n_factors)

    @classmethod
    def of(cls, factors: NDArray[np.float32], bias: NDArray[np.float32]) -> Self:
        """The side of a trained model."""
        side = cls.zeros(*factors.shape)
        side.factors[:, : side.n_factors] = factors
        side.bias[:] = bias
        return side

    def flat(self) -> kernels.FlatSide:
        """The same numbers, as the kernels take them."""
        return kernels.FlatSide(self.factors.ravel(), self.bias)

    def unpadded(self) -> NDArray[np.float32]:
        """The factors alone, (n, n_factors)."""
        return self.factors[:, : self.n_factors].copy()


class Als(Explicit):
    """One training of `algorithm := 'als'`."""

    Options = AlsOptions

    def __init__(self, ratings: Ratings, options: AlsOptions, workers: Workers) -> None:
        self.options = options
        self.workers = workers
        self.ratings = ratings
        self.mu, self.sigma = _moments(ratings.by_user.values)
        self.users = PaddedSide.zeros(len(ratings.by_user), options.n_factors)
        self.items = PaddedSide.zeros(len(ratings.by_item), options.n_factors)
        self._draw(self.users)

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self.options.epochs

    def start_from(self, known: Known) -> None:
        """Begin with the items of a model, and solve all users for them.

        Raises:
            TrainingError: the numbers left the range of float32.
        """
        there, items = known.items, self.items
        self._draw(items)
        items.factors[there, : items.n_factors] = known.Q[there]
        items.bias[there] = known.item_bias[there] + np.float32(known.mu - self.mu)
        penalty = self.penalty(self.options.user_regularization)
        self._solve(self.ratings.by_user, self.users, items, penalty)

    def epoch(self, number: int) -> float:
        """Solve all items, then all users; the RMSE of what results.

        Raises:
            TrainingError: the numbers left the range of float32.
        """
        options, ratings = self.options, self.ratings
        item_penalty = self.penalty(options.item_regularization)
        user_penalty = self.penalty(options.user_regularization)
        self._solve(ratings.by_item, self.items, self.users, item_penalty)
        errors = self._solve(ratings.by_user, self.users, self.items, user_penalty)
        return math.sqrt(errors / len(ratings))

    def factors(self) -> Factors:
        """mu, the biases, P and Q."""
        users, items = self.users, self.items
        return Factors(
            self.mu, users.bias.copy(), items.bias.copy(), users.unpadded(), items.unpadded()
        )

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: AlsOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """Each row's optimum."""
        return solver(fixed, options, workers, nonnegative=options.nonnegative)

    def penalty(self, regularization: float | None) -> Penalty:
        """What one side pays, in the units of the ratings."""
        return Penalty.of(self.options, regularization, self.sigma)

    def _solve(self, rows: Rows, this: PaddedSide, other: PaddedSide, penalty: Penalty) -> float:
        nonnegative = self.options.nonnegative
        return solve(rows, this, other, self.mu, penalty, self.workers, nonnegative=nonnegative)

    def _draw(self, side: PaddedSide) -> None:
        rng = np.random.default_rng(self.options.seed)
        drawn = side.factors[:, : side.n_factors]
        drawn[:] = rng.standard_normal(drawn.shape, np.float32)
        if self.options.nonnegative:
            np.abs(drawn, out=drawn)
        drawn *= np.float32(0.1 * math.sqrt(self.sigma))


def solve(
    rows: Rows,
    this: PaddedSide,
    other: PaddedSide,
    mu: float,
    penalty: Penalty,
    workers: Workers,
    *,
    nonnegative: bool = False,
) -> float:
    """Set `this` to its optimum for its ratings of `other`; returns the sum of squared errors.

    Training is this function twice an epoch; with new rows it folds them in.

    Raises:
        TrainingError: the numbers left the range of float32.
    """
    kernel = kernels.solve_nonnegative_rows if nonnegative else kernels.solve_rows
    errors = np.empty(len(rows))
    n_tiles = other.factors.shape[1] // TILE
    regressions = kernels.Regressions(
        Csr(rows.indptr, rows.indices, rows.values),
        rows.counts.astype(np.float64) ** penalty.scaling,
        penalty.factors,
        penalty.bias,
        other.flat(),
        mu,
        other.n_factors,
        n_tiles,
    )
    solved = this.flat()

    def solve_piece(begin: int, end: int) -> None:
        kernel(begin, end, solved, errors, regressions, aligned(kernels.layout(n_tiles)[-1]))

    costs = rows.indptr + other.n_factors * np.arange(len(rows) + 1)
    workers.map(solve_piece, row_pieces(costs, PIECE))
    if not np.isfinite(total := errors.sum()):
        raise TrainingError(
            f"als cannot solve {np.count_nonzero(~np.isfinite(errors)):,} of "
            f"{len(rows):,} rows in float32. Give ratings nearer to zero, or more regularization."
        )
    return float(total)


def solver(
    fixed: Fixed, options: Any, workers: Workers, *, nonnegative: bool = False
) -> Callable[[Rows], Solved]:
    """What solves rows of ratings against a model's other side, for this objective's options."""
    other = PaddedSide.of(fixed.factors, fixed.bias)
    own = options.user_regularization if fixed.solved == "users" else options.item_regularization
    penalty = Penalty.of(options, own, fixed.sigma)

    def solve_rows(rows: Rows) -> Solved:
        this = PaddedSide.zeros(len(rows), other.n_factors)
        solve(rows, this, other, fixed.mu, penalty, workers, nonnegative=nonnegative)
        return Solved(this.bias, this.unpadded())

    return solve_rows


def _moments(values: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of the ratings; deviation 1 where all are equal."""
    mu = float(values.mean(dtype=np.float64))
    sigma = float(values.std(dtype=np.float64))
    return mu, sigma if sigma > 1e-6 * abs(mu) else 1.0
