"""Rows of a model with time terms, solved alone, with the time terms that are their own.

Model, objective: those of algorithms/with_time_terms.py and, for the drift of factors, of
`timesvdpp`, for the ratings of a row; the rows of the other side stay as they are, and so do the
y_j.
Update:     in turn p_u, its drift a_u and b_u (or q_i and b_i) to their optimum for what the time
            terms of biases leave of the ratings, then each of these terms to its optimum, SWEEPS
            times since they are cheap (backfitting, as in training); all of it PASSES times

Every rating has a line of numbers of its own that a row's factors are multiplied with, [q_i 1] or
[p_u + a_u dev_u(t) 1]; with those, p_u and a_u are the solution of one least-squares system:
[q_i (s dev / D) q_i 1] with s^2 = lambda_u / lambda_t makes their penalties one and the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.svd import Svd
from duckmf.algorithms.svdpp import Svdpp, implicit_sums
from duckmf.algorithms.time_terms import Dial, ItemBins, TimeTerm, UserDay, UserDrift, times_of
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.kernels.time_terms import subtract_scores
from duckmf.model.factors import Fixed, Solved
from duckmf.model.temporal import Temporal
from duckmf.ratings.matrix import Rows

PASSES = 10
ROUGH_PASSES = 2
SWEEPS = 10
BLOCK = 1 << 15  # ratings whose lines of numbers are in memory at a time
LEAST = 1e-4  # lambda_u and lambda_t, where their quotient is taken and one of them is zero

ALONE = Workers(1)  # a block is on one thread already

Solve: TypeAlias = Callable[[Rows], Solved]


def fold_in(
    algorithm: Any, fixed: Fixed, options: Any, workers: Workers, passes: int = PASSES
) -> Solve:
    """What solves rows of ratings that have times, a block of rows on each thread."""
    make = _UserRows if fixed.solved == "users" else _ItemRows

    def solve_block(rows: Rows) -> Solved:
        return make(algorithm, fixed, options, rows).solve(passes)

    def solve_rows(rows: Rows) -> Solved:
        numbers = np.arange(len(rows), dtype=np.int32)
        pieces = row_pieces(rows.indptr, BLOCK)
        blocks = [(rows.chosen(numbers[begin:end]),) for begin, end in pieces]
        return Solved.joined(workers.map(solve_block, blocks))

    return solve_rows


class _SideRows:
    """Some rows of one side, their lines of numbers, and what is left of their ratings."""

    def __init__(self, algorithm: Any, fixed: Fixed, options: Any, rows: Rows) -> None:
        assert fixed.temporal is not None, "a model with time terms has a span"
        self.fixed, self.options, self.rows = fixed, options, rows
        self.numbers = rows.row_numbers()
        self.times = times_of(rows)
        self.terms = fixed.temporal
        self.lines = fixed.factors[rows.indices]
        self.left = rows.values - self.given_by_the_other_side()
        # the y_j are not solved, and a user's sum of them is taken off before
        self.algorithm = Svd if issubclass(algorithm, Svdpp) else algorithm

    def given_by_the_other_side(self) -> NDArray[np.float32]:
        """The time terms of the biases that are held still, for each rating."""
        raise NotImplementedError

    def time_terms(self) -> list[TimeTerm]:
        """The time terms of the biases that are solved."""
        raise NotImplementedError

    def solved(self, found: Solved, terms: dict[str, Any]) -> Solved:
        """Factors, bias and time terms as the model has them."""
        raise NotImplementedError

    def solve(self, passes: int) -> Solved:
        """All terms of these rows."""
        n, bias = len(self.left), self.fixed.bias[self.rows.indices]
        by_rating = replace(
            self.fixed,
            ratings=self.fixed.ratings[self.rows.indices],
            bias=bias,
            factors=self.lines,
            implicit_factors=np.zeros((n, 0), np.float32),
        )
        solve = self.algorithm.fold_in(by_rating, self.options, ALONE)
        rows = Rows(self.rows.indptr, np.arange(n, dtype=np.int32), self.left)
        time_terms = self.time_terms()
        found = solve(rows)
        for _ in range(passes if time_terms else 0):
            errors = self.errors(rows, found, bias)
            for term in time_terms * SWEEPS:
                term.solve(errors, self.left, ALONE)
            found = solve(rows)
        return self.solved(
            found, {key: t for term in time_terms for key, t in term.learnt().items()}
        )

    def errors(self, rows: Rows, found: Solved, bias: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a solution and the other side leave of what is left."""
        n, none = len(self.left), np.zeros((0, 0), np.float32)
        errors = np.empty(n, np.float32)
        assert found.bias is not None, "models with time terms have biases"
        P = np.zeros((len(rows), 0), np.float32) if found.factors is None else found.factors
        arguments = (rows.indptr, rows.indices, self.left, self.left, errors, found.bias, bias, P)
        subtract_scores(*arguments, self.lines, none, np.float32(self.fixed.mu), 0, len(rows))
        return errors


class _UserRows(_SideRows):
    """Users, solved for items that stay."""

    def __init__(self, algorithm: Any, fixed: Fixed, options: Any, rows: Rows) -> None:
        super().__init__(algorithm, fixed, options, rows)
        self.dial = Dial.within(self.terms.span, self.terms.usual, rows)
        self.Z: NDArray[np.float32] | None = None
        if fixed.implicit_factors.shape[1]:
            self.Z = implicit_sums(rows, fixed.implicit_factors, ALONE)
            self.left -= np.einsum("nf,nf->n", self.Z[self.numbers], self.lines)
        self.scale = 0.0
        if "factor_drift" in options.temporal:
            own = options.user_regularization
            lambda_u = max(options.regularization if own is None else own, LEAST)
            self.options = replace(options, user_regularization=lambda_u)
            self.scale = sqrt(lambda_u / max(options.temporal_regularization, LEAST))
            self.scale /= self.terms.usual
            drifting = (np.float32(self.scale) * self.dial.dev)[:, None] * self.lines
            self.lines = np.concatenate((self.lines, drifting), axis=1)

    def given_by_the_other_side(self) -> NDArray[np.float32]:
        """The biases of the items' bins."""
        return self.terms.scores(self.numbers, self.rows.indices, self.times, None)

    def time_terms(self) -> list[TimeTerm]:
        """Drift and days of their biases."""
        ridge = self.options.temporal_regularization
        makers: dict[str, Callable[[], TimeTerm]] = {
            "user_drift": lambda: UserDrift(self.rows, self.dial, ridge),
            "user_day": lambda: UserDay(self.rows, ridge),
        }
        return [make() for name, make in makers.items() if name in self.options.temporal]

    def solved(self, found: Solved, terms: dict[str, Any]) -> Solved:
        """Factors, bias and time terms as the model has them."""
        P = found.factors
        if P is not None:
            n_factors = self.fixed.factors.shape[1]
            if self.scale:
                terms["factor_drift"] = np.float32(self.scale) * P[:, n_factors:]
            P = P[:, :n_factors] if self.Z is None else P[:, :n_factors] + self.Z
        dial = self.dial
        return Solved(found.bias, P, Temporal(dial.span, dial.centers, dial.usual, **terms))


class _ItemRows(_SideRows):
    """Items, solved for users that stay."""

    def __init__(self, algorithm: Any, fixed: Fixed, options: Any, rows: Rows) -> None:
        super().__init__(algorithm, fixed, options, rows)
        if (A := self.terms.factor_drift) is not None:
            centers = self.terms.centers[rows.indices]
            dev = self.terms.span.deviations(self.times, centers)
            self.lines = self.lines + dev[:, None] * A[rows.indices]

    def given_by_the_other_side(self) -> NDArray[np.float32]:
        """The drift of the users' biases, and their days."""
        return self.terms.scores(self.rows.indices, self.numbers, self.times, None)

    def time_terms(self) -> list[TimeTerm]:
        """The biases of their bins."""
        if "item_bins" not in self.options.temporal:
            return []
        n_bins, ridge = self.options.time_bins, self.options.temporal_regularization
        bins = self.terms.span.bins(self.times, n_bins)
        return [ItemBins(self.numbers, bins, (len(self.rows), n_bins), ridge)]

    def solved(self, found: Solved, terms: dict[str, Any]) -> Solved:
        """Factors, bias and time terms as the model has them."""
        centers = np.zeros(0)
        return replace(
            found, temporal=Temporal(self.terms.span, centers, self.terms.usual, **terms)
        )
