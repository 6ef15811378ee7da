"""One side of a Bayesian factorization: its rows, their posteriors, and what is common to them.

The formulas of a row are in kernels/bayes.py. Here rows are put into pieces of one class each, so
that the sum of their covariances is that of the class; sums are taken piece after piece, in an
order that the data decide.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.als import PaddedSide
from duckmf.errors import TrainingError
from duckmf.kernels import bayes as kernels
from duckmf.kernels.sparse import Csr
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.kernels.tiles import AREA, TILE, aligned
from duckmf.model.uncertainty import Spread, Variances, class_of
from duckmf.ratings.matrix import Rows

Matrix = NDArray[np.float64]

PIECE = 1 << 15  # ratings to a piece of work; a row itself costs about as much as n_factors of them


@dataclass(frozen=True)
class Moments:
    """Sums over the rows with ratings, of x = [p b] around the mean of the prior, bias last."""

    n: int
    first: Matrix  # (K,): of the posterior means m
    second: Matrix  # (K, K): of m m'
    spread: Matrix  # (K, K): of the posterior covariances
    residuals: float  # the expected sum of squared errors


@dataclass
class BayesSide:
    """All users, or all items."""

    rows: Rows
    numbers: PaddedSide  # posterior means
    variances: PaddedSide  # posterior variances
    spread: Spread
    sse: float = 0.0
    moments: Moments | None = None

    @classmethod
    def of(cls, rows: Rows, spread: Spread) -> Self:
        """Rows of zeros."""
        n_factors = len(spread.prior) - 1
        sides = PaddedSide.zeros(len(rows), n_factors), PaddedSide.zeros(len(rows), n_factors)
        return cls(rows, *sides, spread)

    def stored_variances(self) -> Variances:
        """The variances as a model stores them."""
        return Variances(self.variances.unpadded(), self.variances.bias.copy())

    def solve(
        self,
        other: PaddedSide,
        other_spread: Spread | None,
        counts: NDArray[np.int64],
        mu: float,
        noise: float,
        workers: Workers,
        *,
        is_judged: bool = False,
    ) -> None:
        """Find all posteriors, for the other side as it is.

        other_spread: how far its rows, of so many ratings, may be from where they are; None for
        not at all. is_judged: whether `sse` is asked for.

        Raises:
            TrainingError: the numbers left the range of float32.
        """
        prior, n_factors = self.spread, other.n_factors
        n_tiles = other.factors.shape[1] // TILE
        tau = 1 / noise**2
        L = inverse(prior.prior.astype(np.float64))
        sse, left = np.zeros(len(self.rows)), np.zeros(len(self.rows))
        found = kernels.Posterior(self.numbers.flat(), self.variances.flat(), sse, left)
        self._put_prior()
        own_prior = kernels.Prior(blocks([L / tau], n_tiles)[0], L[-1, -1] / tau, prior.mean, tau)
        likelihood = kernels.Likelihood(
            Csr(self.rows.indptr, self.rows.indices, self.rows.values),
            other.flat(),
            *_spreads(other_spread, counts, n_tiles),
            mu + prior.mean,
            n_factors,
            n_tiles,
            is_judged,
        )
        size, begin = kernels.layout(n_tiles)[-1], kernels.layout(n_tiles)[-3]
        order, pieces, classes = _by_class(self.rows, n_factors)

        def solve_piece(first: int, last: int) -> NDArray[np.float32]:
            scratch = aligned(size)
            _put_identity(scratch, n_tiles)
            kernels.solve_rows(first, last, found, order, likelihood, own_prior, scratch)
            return scratch[begin:].copy()

        sums = workers.map(solve_piece, pieces)
        self.sse = float(sse.sum())
        if not np.isfinite(self.sse):
            bad = np.count_nonzero(~np.isfinite(sse))
            raise TrainingError(
                f"bayes cannot solve {bad:,} of {len(self.rows):,} rows in float32. Give ratings "
                "nearer to zero."
            )
        if sums:  # there are rows with ratings
            self._take_sums(sums, pieces, order, classes, left, L, tau)

    def _put_prior(self) -> None:
        """Rows without ratings are as the prior says."""
        cold = self.rows.counts == 0
        variances = self.spread.prior.diagonal()
        self.numbers.factors[cold] = 0
        self.numbers.bias[cold] = self.spread.mean
        self.variances.factors[cold, : self.variances.n_factors] = variances[:-1]
        self.variances.bias[cold] = variances[-1]

    def _take_sums(
        self,
        sums: list[NDArray[np.float32]],
        pieces: list[tuple[int, int]],
        order: NDArray[np.int64],
        classes: NDArray[np.int64],
        left: Matrix,
        L: Matrix,
        tau: float,
    ) -> None:
        """The mean covariance of each class, and the moments of all rows."""
        n_factors, mean = self.numbers.n_factors, self.spread.mean
        K, n_classes = n_factors + 1, int(class_of(self.rows.counts).max(initial=0)) + 1
        bias = self.numbers.bias[order].astype(np.float64) - mean
        bias_variances = self.variances.bias[order].astype(np.float64)
        half = len(sums[0]) // 2
        of_classes, of_squares = np.zeros((n_classes, half)), np.zeros(half)
        for part, (begin, _) in zip(sums, pieces, strict=True):
            of_classes[classes[begin]] += part[:half]
            of_squares += part[half:]
        totals = np.bincount(classes, minlength=n_classes)
        spreads = np.array([dense(block, n_factors) for block in of_classes])
        spreads[:, -1, -1] = np.bincount(classes, bias_variances, n_classes)
        second = dense(of_squares, n_factors)
        second[-1, -1] = np.square(bias).sum()
        factors = self.numbers.factors[order, :n_factors]
        first = np.append(factors.sum(axis=0, dtype=np.float64), bias.sum())
        spread = spreads.sum(axis=0)
        # the rows' t't - m'g; then - m'(L / tau) m, and tr(S H) = K / tau - tr(S L / tau)
        residuals = left.sum() - np.vdot(L, second) / tau
        residuals += (K * len(order) - np.vdot(L, spread)) / tau
        self.moments = Moments(len(order), first, second, spread, float(residuals))
        covariances = _filled(spreads, totals, self.spread.prior)
        self.spread = Spread(mean, covariances.astype(np.float32))


def _filled(spreads: Matrix, totals: NDArray[Any], prior: Any) -> Matrix:
    """The mean of each class; that of the class before it where a class has no rows."""
    spreads[0] = prior
    for c in range(1, len(spreads)):
        spreads[c] = spreads[c] / totals[c] if totals[c] else spreads[c - 1]
    return spreads


def _by_class(
    rows: Rows, n_factors: int
) -> tuple[NDArray[np.int64], list[tuple[int, int]], NDArray[np.int64]]:
    """The rows with ratings by class, pieces of them within a class, and the class of each."""
    classes = class_of(rows.counts)
    order = np.argsort(classes, kind="stable")
    order = order[np.count_nonzero(classes == 0) :]
    classes = classes[order]
    cuts = np.flatnonzero(np.diff(classes)) + 1
    bounds = [0, *cuts.tolist(), len(order)]
    pieces = []
    for begin, end in itertools.pairwise(bounds):
        costs = np.append(0, np.cumsum(rows.counts[order[begin:end]] + n_factors))
        pieces += [(begin + a, begin + b) for a, b in row_pieces(costs, PIECE) if b > a]
    return order, pieces, classes


def _spreads(
    spread: Spread | None, counts: NDArray[np.int64], n_tiles: int
) -> tuple[NDArray[np.int16], NDArray[np.float32], Matrix]:
    """The class of each row of the other side, and the covariance of each class."""
    if spread is None:
        return np.zeros(len(counts), np.int16), np.zeros(0, np.float32), np.zeros(0)
    covariances = spread.covariances.astype(np.float64)
    last = np.ascontiguousarray(covariances[:, -1, -1])
    return spread.classes(counts), blocks(covariances, n_tiles).ravel(), last


def inverse(C: Matrix) -> Matrix:
    """The inverse of a covariance, by that of the correlations."""
    deviations = np.sqrt(C.diagonal())
    scale = np.outer(deviations, deviations)
    L: Matrix = np.linalg.inv(C / scale) / scale
    return (L + L.T) / 2


def blocks(matrices: Any, n_tiles: int) -> NDArray[np.float32]:
    """Symmetric (n, K, K) matrices, bias last, as the kernels take them, but for the last number.

    (n, block_size)
    """
    n, k = len(matrices), len(matrices[0]) - 1
    padded = np.zeros((n, n_tiles * TILE, n_tiles * TILE + 1), np.float32)
    padded[:, :k, :k] = [matrix[:k, :k] for matrix in matrices]
    padded[:, :k, -1] = [matrix[:k, k] for matrix in matrices]
    tiles = padded[:, :, :-1].reshape(n, n_tiles, TILE, n_tiles, TILE).transpose(0, 1, 3, 2, 4)
    return np.concatenate((tiles.reshape(n, -1), padded[:, :, -1]), axis=1)


def dense(block: Matrix, n_factors: int) -> Matrix:
    """The symmetric matrix (K, K) of a block, its last number zero."""
    n_tiles = -(-n_factors // TILE)
    K, area = n_factors + 1, n_tiles * n_tiles * AREA
    tiles = block[:area].reshape(n_tiles, n_tiles, TILE, TILE).transpose(0, 2, 1, 3)
    upper = np.triu(tiles.reshape(n_tiles * TILE, -1)[:n_factors, :n_factors])
    matrix = np.zeros((K, K))
    matrix[:-1, :-1] = upper + np.triu(upper, 1).T
    matrix[:-1, -1] = matrix[-1, :-1] = block[area : area + n_factors]
    return matrix


def _put_identity(scratch: NDArray[np.float32], n_tiles: int) -> None:
    at = kernels.layout(n_tiles)[1]
    scratch[at : at + AREA : TILE + 1] = 1
