"""SVD++: what a user has rated, whatever the ratings, is part of who the user is.

Model:      r(u, i) = mu + b_u + b_i + <q_i, p_u + z_u>,  z_u = n_u^-1/2 sum_{j in N(u)} y_j,
            N(u) the n_u items that u rated in training, mu the mean rating
Objective:  sum over all ratings of (r_ui - r(u, i))^2
            + sum_u n_u^nu (sigma lambda_u |p_u|^2 + lambda_b b_u^2
                            + sigma lambda_y sum_{j in N(u)} |y_j|^2)
            + sum_i n_i^nu (sigma lambda_i |q_i|^2 + lambda_b b_i^2)
Update:     user by user, for one rating after the other, e its error,
            b_u += g lr_u (e - lambda_b n_u^(nu - 1) b_u), and b_i with lr_i
            p_u += g lr_u (e q_i - lambda_u n_u^(nu - 1) p_u)
            q_i += g lr_i (e (p_u + z_u) - lambda_i n_i^(nu - 1) q_i)
            y_j += g lr_u (e n_u^-1/2 q_i - lambda_y n_u^(nu - 1) y_j) for all j in N(u)
            g = 1 / (1 + lr_u (1 + 2 |q_i|^2) + lr_i (1 + |p_u + z_u|^2))
Step:       in epoch t of T,
            lr_u = learning_rate (1 - decay (t - 1) / T) sqrt((100 + 2500) / (100 + n_u))

What `svd` says of sigma, of g and of steps that differ by row holds here too; but learning_rate is
the first step of a row of 2500 ratings, so that it compares with the steps that other programs take
in all rows. With nu = 1 this is the paper's objective, where every rating brings all penalties, and
with plain steps its algorithm.

The y_j start at zero, users are visited in a new order in every epoch, and so are the ratings of
each. A user's steps move the y_j of hundreds of items that others share: there are no two users
that could be worked on at the same time with one result, so an epoch takes one thread.

Source: Koren 2008, "Factorization meets the neighborhood: a multifaceted collaborative filtering
model" (KDD), section 4. That all y_j of a user can be moved at once is in kernels/svdpp.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms import als, ridge
from duckmf.algorithms.explicit import Explicit
from duckmf.algorithms.svd import OFTEN, SvdOptions, initial, pace, put, vector_rows
from duckmf.kernels.layout import shuffle_rows
from duckmf.kernels.svdpp import FactorDrift, Paces, Parameters, Visits, add_implicit, descend
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.options import option
from duckmf.ratings.matrix import Ratings, Rows, cells_of_rows

# learning_rate is the step of a row of so many ratings.
MANY = 2500


@dataclass(frozen=True, kw_only=True)
class SvdppOptions(SvdOptions):
    """The options of `algorithm := 'svdpp'`."""

    learning_rate: float = option(
        0.015, "step of a row of 2500 ratings, of deviation 1", low=1e-9, high=1e3
    )
    implicit_regularization: float | None = option(None, "of Y; else regularization", low=0.0)


class Svdpp(Explicit):
    """An SVD++ in training; rows are in the order of the codes, numbers in units of sigma."""

    Options = SvdppOptions

    def __init__(self, ratings: Ratings, options: SvdppOptions, workers: Workers) -> None:
        self.options = options
        self._workers = workers
        self._rows = rows = ratings.by_user
        self._mu = float(rows.values.mean(dtype=np.float64))
        self._sigma = float(rows.values.std(dtype=np.float64)) or 1.0
        self._item_counts = ratings.by_item.counts
        self._turns = turns_of(rows)
        self._bu = np.zeros(len(rows), np.float32)
        self._bi = np.zeros(len(self._item_counts), np.float32)
        rng = np.random.default_rng(options.seed)
        self._P = initial(rows.counts, options.n_factors, rng)
        self._Q = initial(self._item_counts, options.n_factors, rng)
        self._Y = vector_rows(len(self._item_counts), options.n_factors)
        self._drift: FactorDrift | None = None

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self.options.epochs

    def start_from(self, known: Known) -> None:
        """Begin with the rows of a model; those that it does not know are as ever.

        A user's p_u is what brings p_u + z_u to what it was, z_u being that of the ratings now.
        """
        u, i = known.users & (self._rows.counts > 0), known.items & (self._item_counts > 0)
        root = sqrt(self._sigma)
        put(self._Q, known.Q, i, root)
        put(self._Y, known.Y, i, root)
        put(self._bu, known.user_bias, u, self._sigma)
        put(self._bi, known.item_bias + np.float32(known.mu - self._mu), i, self._sigma)
        put(self._P, known.P - implicit_sums(self._rows, known.Y, self._workers), u, root)

    def epoch(self, number: int) -> float:
        """Visit every rating once; the loss takes each error just before its step."""
        rows = self._rows
        users = self._shuffle(number)
        values = (rows.values - np.float32(self._mu)) / np.float32(self._sigma)
        visits = Visits(users, rows.indptr, rows.indices, self._turns, values)
        parameters = Parameters(self._bu, self._bi, self._P, self._Q, self._Y)
        loss = descend(visits, parameters, self._drift, self._paces(number), 1.0)
        return self._sigma * sqrt(loss / len(values))

    def factors(self) -> Factors:
        """The numbers as they stand, on the scale of the ratings; P holds p_u + z_u."""
        rows, scale, root = self._rows, np.float32(self._sigma), np.float32(sqrt(self._sigma))
        P = self._P.copy()
        self._workers.map(
            lambda begin, end: add_implicit(rows.indptr, rows.indices, P, self._Y, begin, end),
            row_pieces(rows.indptr),
        )
        P, Q, Y = (root * side[:, : self.options.n_factors] for side in (P, self._Q, self._Y))
        return Factors(self._mu, scale * self._bu, scale * self._bi, P, Q, Y)

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: SvdppOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """Each row's optimum, which the steps of training come near; the y_j stay."""
        solve = als.solver(fixed, options, workers)
        if fixed.solved == "items":
            return solve

        def solve_users(rows: Rows) -> Solved:
            Z = np.zeros((len(rows), fixed.factors.shape[1]), np.float32)
            values = np.empty_like(rows.values)

            def subtract_implicit(begin: int, end: int) -> None:
                add_implicit(rows.indptr, rows.indices, Z, fixed.implicit_factors, begin, end)
                cells = slice(rows.indptr[begin], rows.indptr[end])
                z = np.repeat(Z[begin:end], rows.counts[begin:end], axis=0)
                scores = np.einsum("nf,nf->n", z, fixed.factors[rows.indices[cells]])
                np.subtract(rows.values[cells], scores, out=values[cells])

            workers.map(subtract_implicit, row_pieces(rows.indptr))
            solved = solve(replace(rows, values=values))
            assert solved.factors is not None
            return Solved(solved.bias, solved.factors + Z)

        return solve_users

    def _shuffle(self, number: int) -> NDArray[np.int32]:
        """Put the ratings of each user into a new order; returns that of the users."""
        rng = np.random.default_rng((self.options.seed, number))
        seed = int(rng.integers(2**32))
        indptr, turns = self._rows.indptr, self._turns
        self._workers.map(
            lambda begin, end: shuffle_rows(indptr, turns, begin, end, seed), row_pieces(indptr)
        )
        return rng.permutation(len(self._rows)).astype(np.int32)

    def _paces(self, number: int) -> Paces:
        options = self.options
        gone = options.learning_rate_decay * (number - 1) / options.epochs
        lr = options.learning_rate * (1 - gone) * sqrt(1 + MANY / OFTEN)
        reg_u, reg_i, reg_b, reg_y = (
            options.regularization if own is None else own
            for own in (
                options.user_regularization,
                options.item_regularization,
                options.bias_regularization,
                options.implicit_regularization,
            )
        )
        reg_a = () if self._drift is None else (options.temporal_regularization,)
        nu = options.regularization_scaling
        return Paces(
            pace(self._rows.counts, lr, (reg_u, reg_b, reg_y, *reg_a), nu),
            pace(self._item_counts, lr, (reg_i, reg_b), nu),
        )


def implicit_sums(rows: Rows, Y: NDArray[np.float32], workers: Workers) -> NDArray[np.float32]:
    """z_u of each user."""
    Z = np.zeros((len(rows), Y.shape[1]), np.float32)
    workers.map(
        lambda begin, end: add_implicit(rows.indptr, rows.indices, Z, Y, begin, end),
        row_pieces(rows.indptr),
    )
    return Z


def solve_implicit(
    Y: NDArray[np.float32],
    by_item: Rows,
    by_user: Rows,
    errors: NDArray[np.float32],
    Q: NDArray[np.float32],
    options: SvdppOptions,
    sigma: float,
) -> None:
    """Set the y_j of some items, one after the other, to their optimum for all else.

    Y: (n_items, f), as they stand. by_item: the users of each, rows of by_user, which has all
    ratings of these users, of items that are rows of Q. errors: what the model leaves of those
    ratings. Written: Y, errors. With x_ui = n_u^-1/2 q_i for all i in N(u) and u that rated j,
    (X'X + sigma lambda_y sum_u n_u^nu) y_j = X'(e + X y_j).
    """
    own = options.implicit_regularization
    reg = sigma * (options.regularization if own is None else own)
    roots = np.sqrt(np.maximum(by_user.counts, 1).astype(np.float64))
    for j, y in enumerate(Y):
        users = by_item.indices[by_item.indptr[j] : by_item.indptr[j + 1]]
        indptr, cells = cells_of_rows(by_user.indptr, users)
        X = Q[by_user.indices[cells]] / np.repeat(roots[users], np.diff(indptr))[:, None]
        penalty = reg * float(np.sum(roots[users] ** (2 * options.regularization_scaling)))
        left = errors[cells] + X @ y
        solved = ridge.solve(X.T @ X, X.T @ left, penalty)
        errors[cells] = left - X @ solved
        y[:] = solved


def turns_of(rows: Rows) -> NDArray[np.int32]:
    """The entries of each row, numbered from 0 in each: the order of a row's ratings."""
    return (np.arange(len(rows.indices)) - np.repeat(rows.indptr[:-1], rows.counts)).astype(
        np.int32
    )
