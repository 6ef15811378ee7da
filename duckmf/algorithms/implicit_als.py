"""Implicit alternating least squares: strengths as confidences, over all pairs.

Model:      the score of a pair is <p_u, q_i>
Objective:  sum over observed pairs of c_ui (1 - <p_u, q_i>)^2, with c_ui = 1 + alpha r_ui
            + w0 sum over all other pairs of <p_u, q_i>^2
            + sum_u lambda_u (n_u + w0 n_items)^nu |p_u|^2
            + sum_i lambda_i (n_i + w0 n_users)^nu |q_i|^2
Update:     all items towards their optimum for the users as they stand, then all users for the
            items, p_u = (w0 Q'Q + sum_i (c_ui - w0) q_i q_i' + ridge)^-1 sum_i c_ui q_i

A pair is observed where its strength r_ui is above zero. A strength of zero says nothing to the
model, it only marks the item as seen. alpha, w0 and nu are the options `alpha`,
`unobserved_weight` and `regularization_scaling`, n_u and n_i counts of observed pairs, n_users and
n_items of all users and items. With w0 = 1 and nu = 0 this is the objective of the first source.

Losses are the objective divided by sum c_ui: 1 for a model that scores all pairs 0. It takes all
pairs in, since sum over all pairs <p_u, q_i>^2 is the product of Q'Q with P'P.

Sources: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets";
Rendle, Krichene, Zhang and Koren 2022, "Revisiting the performance of iALS on item recommendation
benchmarks", on w0, nu and the penalties; Takacs, Pilaszy and Tikk 2011, "Applications of the
conjugate gradient method for implicit feedback collaborative filtering".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.implicit import Implicit
from duckmf.errors import TrainingError
from duckmf.kernels import implicit_als as kernels
from duckmf.kernels.als import BATCH, layout
from duckmf.kernels.sparse import Csr
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.kernels.tiles import AREA, TILE, aligned
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.options import Options, option
from duckmf.ratings.matrix import Ratings, Rows

# A row costs as much as this many of its ratings, whatever the number of factors.
ROW_COST = 40
# Floats of the gathered ratings of the longest row that conjugate gradients are used for.
LONGEST = 1 << 17
# Up to so many factors the exact solution is the faster one.
FEW_FACTORS = 16
# The initial p_u have this deviation: next to the penalty they weigh little, so that the first Q is
# near R'P, a step of the power method.
INITIAL_SCALE = 0.01
# Rows of a partial Gram matrix.
GRAM_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class ImplicitAlsOptions(Options):
    """The options of `algorithm := 'implicit_als'`."""

    n_factors: int = option(64, "factors of each user and item", low=1, high=1024)
    epochs: int = option(15, "passes over items and users", low=1, high=10_000)
    alpha: float = option(1.0, "a pair of strength r has confidence 1 + alpha * r", low=0.0)
    unobserved_weight: float = option(
        0.4, "w0: what a pair weighs that was not observed", low=0.0, high=1.0
    )
    regularization: float = option(0.5, "lambda, the L2 penalty", low=0.0)
    user_regularization: float | None = option(None, "of P; else regularization", low=0.0)
    item_regularization: float | None = option(None, "of Q; else regularization", low=0.0)
    regularization_scaling: float = option(
        0.5, "nu: a row of n pairs is penalized with lambda * (n + w0 * all)^nu", low=0.0, high=2.0
    )
    solver: str | None = option(
        None,
        "how rows are solved: by conjugate gradients or exactly; the faster one if NULL",
        choices=("cg", "cholesky"),
    )
    duplicates: str = option(
        "sum",
        "what several rows of one user and item mean",
        choices=("mean", "sum", "last", "max", "error"),
    )


@dataclass(frozen=True)
class ImplicitPenalty:
    """What a row of n pairs pays: reg (n + unobserved_weight n_others)^scaling |x|^2."""

    reg: float
    unobserved_weight: float
    scaling: float

    @classmethod
    def of(cls, options: ImplicitAlsOptions, regularization: float | None) -> Self:
        """The option `regularization` of one side or of all, with the weights it is scaled by."""
        own = options.regularization if regularization is None else regularization
        return cls(own, options.unobserved_weight, options.regularization_scaling)

    def ridges(self, counts: NDArray[np.int64], n_others: int) -> NDArray[np.float64]:
        """The penalties of rows with so many observed pairs each."""
        sizes = counts.astype(np.float64) + self.unobserved_weight * n_others
        ridges: NDArray[np.float64] = self.reg * sizes**self.scaling
        return ridges


class ImplicitAls(Implicit):
    """One training of `algorithm := 'implicit_als'`."""

    Options = ImplicitAlsOptions
    options: ImplicitAlsOptions
    loss: ClassVar[str] = "all_pairs"

    def __init__(self, ratings: Ratings, options: ImplicitAlsOptions, workers: Workers) -> None:
        faster = "cholesky" if options.n_factors <= FEW_FACTORS else "cg"
        self.options = replace(options, solver=options.solver or faster)
        self.workers = workers
        self.ratings = ratings
        alpha = options.alpha
        self.observed = Ratings(observed(ratings.by_user, alpha), observed(ratings.by_item, alpha))
        self.P = padded(len(ratings.by_user), options.n_factors)
        self.Q = padded(len(ratings.by_item), options.n_factors)
        self._draw(self.P, self.observed.by_user.counts)

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self.options.epochs

    def start_from(self, known: Known) -> None:
        """Begin with the items of a model, and solve all users for them.

        Raises:
            TrainingError: the numbers left the range of float32.
        """
        n, pairs = self.options.n_factors, self.observed
        self._draw(self.Q, pairs.by_item.counts)
        for this, there, rows in (
            (self.P, known.users & (pairs.by_user.counts > 0), known.P),
            (self.Q, known.items & (pairs.by_item.counts > 0), known.Q),
        ):
            this[there, :n] = rows[there]
        self._solve(pairs.by_user, self.P, self.Q, self.penalty(self.options.user_regularization))

    def epoch(self, number: int) -> float:
        """Solve all items, then all users; the loss of what results.

        Raises:
            TrainingError: the numbers left the range of float32.
        """
        pairs, options = self.observed, self.options
        item_penalty = self.penalty(options.item_regularization)
        user_penalty = self.penalty(options.user_regularization)
        self._solve(pairs.by_item, self.Q, self.P, item_penalty)
        gain = self._solve(pairs.by_user, self.P, self.Q, user_penalty)
        ridges = item_penalty.ridges(pairs.by_item.counts, len(self.P))
        gain -= float(ridges @ np.einsum("if,if->i", self.Q, self.Q, dtype=np.float64))
        return 1.0 - gain / self._confidence

    def factors(self) -> Factors:
        """P and Q; a score has no other terms."""
        n = self.options.n_factors
        return Factors(0.0, P=self.P[:, :n].copy(), Q=self.Q[:, :n].copy())

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: ImplicitAlsOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """Each row's optimum, whatever the solver of training."""
        n, n_factors = fixed.factors.shape
        other = padded(n, n_factors)
        other[:, :n_factors] = fixed.factors
        squares = gram(other, workers)
        users = fixed.solved == "users"
        penalty = ImplicitPenalty.of(
            options, options.user_regularization if users else options.item_regularization
        )

        def solve_rows(rows: Rows) -> Solved:
            this = padded(len(rows), n_factors)
            pairs = observed(rows, options.alpha)
            solve(pairs, this, other, penalty, workers, n_factors, squares=squares)
            return Solved(factors=this[:, :n_factors].copy())

        return solve_rows

    def penalty(self, regularization: float | None) -> ImplicitPenalty:
        """What the rows of one side pay."""
        return ImplicitPenalty.of(self.options, regularization)

    def _solve(
        self,
        rows: Rows,
        this: NDArray[np.float32],
        other: NDArray[np.float32],
        penalty: ImplicitPenalty,
    ) -> float:
        exactly = self.options.solver == "cholesky"
        n_factors = self.options.n_factors
        return solve(rows, this, other, penalty, self.workers, n_factors, exactly=exactly)

    @cached_property
    def _confidence(self) -> float:
        rows = self.observed.by_user
        return max(float(rows.values[: len(rows.indices)].sum(dtype=np.float64)), 1.0)

    def _draw(self, this: NDArray[np.float32], counts: NDArray[np.int64]) -> None:
        n_factors = self.options.n_factors
        rng = np.random.default_rng(self.options.seed)
        drawn = rng.standard_normal((len(this), n_factors), np.float32)
        this[:, :n_factors] = np.float32(INITIAL_SCALE) * drawn
        this[counts == 0] = 0


def solve(
    rows: Rows,
    this: NDArray[np.float32],
    other: NDArray[np.float32],
    penalty: ImplicitPenalty,
    workers: Workers,
    n_factors: int,
    *,
    exactly: bool = True,
    squares: NDArray[np.float64] | None = None,
) -> float:
    """Set `this` to its optimum for `other`, or move it there; returns what the objective gains.

    rows: made by `observed`. this, other: made by `padded`. squares: Q'Q, if it is known. The gain
    is what the objective of these rows falls below its value where all scores are zero, the sum of
    their confidences.
    Training is this function twice an epoch; with new rows it folds them in.

    Raises:
        TrainingError: the numbers left the range of float32.
    """
    n_tiles = other.shape[1] // TILE
    most = 0 if exactly else LONGEST // other.shape[1]
    gains = np.empty(len(rows))
    w0 = penalty.unobserved_weight
    squares = gram(other, workers) if squares is None else squares
    regressions = kernels.WeightedRegressions(
        Csr(rows.indptr, rows.indices, rows.values),
        penalty.ridges(rows.counts, len(other)),
        other.ravel(),
        tiles_of(w0 * squares),
        w0,
        n_factors,
        n_tiles,
    )

    def solve_piece(begin: int, end: int) -> None:
        counts, piece = rows.counts[begin:end], (begin, end, this.ravel(), gains, regressions)
        short = counts[counts <= most]
        if len(short) > 0:
            scratch = descent_scratch(int(short.max()), n_tiles)
            kernels.descend_rows(*piece, scratch, most)
        if len(short) < len(counts):
            scratch = aligned(layout(n_tiles)[-1] + n_tiles * BATCH * TILE)
            kernels.solve_rows(*piece, scratch, most + 1)

    workers.map(solve_piece, row_pieces(rows.indptr + ROW_COST * np.arange(len(rows) + 1)))
    if not np.isfinite(total := gains.sum()):
        raise TrainingError(
            f"implicit_als cannot solve {np.count_nonzero(~np.isfinite(gains)):,} of "
            f"{len(rows):,} rows in float32. Give smaller strengths, or more regularization."
        )
    return float(total)


def descent_scratch(most: int, n_tiles: int) -> NDArray[np.float32]:
    """What `descend_rows` works in, for rows of at most so many ratings."""
    blocks = -(-most // TILE)
    return aligned(kernels.descent_layout(n_tiles)[-1] + blocks * n_tiles * AREA)


def gram(factors: NDArray[np.float32], workers: Workers) -> NDArray[np.float64]:
    """Q'Q, (n, n) for n factors with their padding; the same bits for any number of threads."""
    n_tiles = factors.shape[1] // TILE
    *_, matrix, end = layout(n_tiles)

    def piece(begin: int, end_row: int) -> NDArray[np.float32]:
        scratch = aligned(end)
        kernels.add_gram(begin, end_row, factors.ravel(), scratch, n_tiles)
        return scratch[matrix:end]

    begins = range(0, len(factors), GRAM_ROWS)
    parts = workers.map(piece, [(a, min(a + GRAM_ROWS, len(factors))) for a in begins])
    tiles = np.sum(parts, axis=0, dtype=np.float64).reshape(n_tiles, n_tiles, TILE, TILE)
    upper = np.triu(tiles.transpose(0, 2, 1, 3).reshape(n_tiles * TILE, n_tiles * TILE))
    both: NDArray[np.float64] = upper + np.triu(upper, 1).T
    return both


def tiles_of(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """A square matrix tile by tile, flat."""
    n_tiles = len(matrix) // TILE
    tiles = matrix.reshape(n_tiles, TILE, n_tiles, TILE).transpose(0, 2, 1, 3)
    flat = aligned(n_tiles * n_tiles * AREA)
    flat[:] = tiles.ravel()
    return flat


def padded(n: int, n_factors: int) -> NDArray[np.float32]:
    """n rows of zeros, n_factors filled up to whole tiles."""
    width = -(-n_factors // TILE) * TILE
    return aligned(n * width).reshape(n, width)


def observed(rows: Rows, alpha: float) -> Rows:
    """The pairs of a strength above zero; values are confidences, with a line more at the end."""
    positive = rows.values > 0
    indptr, indices, strengths = rows.indptr, rows.indices, rows.values
    if not positive.all():
        indptr = np.concatenate(([0], np.cumsum(positive)))[indptr]
        indices, strengths = indices[positive], strengths[positive]
    confidences = np.ones(len(strengths) + TILE, np.float32)
    with np.errstate(over="ignore"):  # the solver refuses what is infinite
        confidences[: len(strengths)] += np.float32(alpha) * strengths
    return Rows(indptr, indices, confidences)
