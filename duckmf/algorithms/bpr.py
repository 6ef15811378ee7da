"""Bayesian personalized ranking: matrix factorization that ranks what a user chose above the rest.

Model:      s(u, i) = b_i + <p_u, q_i>
Objective:  sum over triples (u, i, j), i chosen by u and j not, of -ln sigma(s(u, i) - s(u, j))
            + (lambda_u |p_u|^2 + lambda_i (|q_i|^2 + |q_j|^2) + lambda_b (b_i^2 + b_j^2)) / 2
Update:     for one triple after the other, z = 1 - sigma(s(u, i) - s(u, j)),
            p_u += lr (z (q_i - q_j) - lambda_u p_u)
            q_i += lr (z p_u - lambda_i q_i),  q_j -= lr (z p_u + lambda_i q_j)
            b_i += lr (z - lambda_b b_i),      b_j -= lr (z + lambda_b b_j)
Step:       in epoch t of T, lr = learning_rate (1 - decay (t - 1) / T)

Positives are the pairs of a strength above zero; how strong they are does not matter. A pair of
strength zero is as good a negative as one never seen. An epoch takes every positive once, unless
`popularity_exponent` e thins them out: one of item i is then taken with the chance
min(1, (n / n_i)^e), n_i being the positives of i and n their mean over the items that have any; e =
0.5 is the subsampling of word2vec. The negative j of a positive is drawn evenly from all items, or
in proportion to n_j; if it is a positive of u, the triple is left out.

The order of an epoch, and where negatives are drawn, are in `bpr_grid.py`.

Sources: Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking
from implicit feedback"; Mikolov, Sutskever, Chen, Corrado and Dean 2013, "Distributed
representations of words and phrases and their compositionality", section 2.3, on subsampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum, log
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.bpr_grid import Grid
from duckmf.algorithms.implicit import Implicit, some_users
from duckmf.algorithms.svd import put, vector_rows
from duckmf.kernels.bpr import BEGIN, END, SLOTS, Free, Matrices, Pairs, descend
from duckmf.kernels.bpr_fold_in import (
    Choosers,
    Compared,
    History,
    descend_items,
    descend_users,
)
from duckmf.kernels.draws import ALWAYS, STATES, Sampling, draw_tables
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.options import Options, option
from duckmf.ratings.matrix import Ratings, Rows

# The initial factors have a standard deviation of INITIAL_SCALE / sqrt(n_factors).
INITIAL_SCALE = 0.1
# Positives to a piece of work where users are solved alone.
PIECE = 1 << 10
# Items that the held-out ones of a user are compared with in validation.
NEGATIVES = 256


@dataclass(frozen=True, kw_only=True)
class BprOptions(Options):
    """The options of `algorithm := 'bpr'`."""

    n_factors: int = option(32, "factors of each user and item", low=1, high=1024)
    epochs: int = option(100, "passes over the positives", low=1, high=10_000)
    learning_rate: float = option(0.1, "step size", low=1e-9, high=1e3)
    learning_rate_decay: float = option(
        1.0, "share of the step that is gone by the end, evenly over the epochs", low=0.0, high=1.0
    )
    regularization: float = option(0.02, "lambda, the L2 penalty of each step", low=0.0)
    user_regularization: float | None = option(None, "of P; else regularization", low=0.0)
    item_regularization: float | None = option(None, "of Q; else regularization", low=0.0)
    bias_regularization: float | None = option(None, "of biases; else regularization", low=0.0)
    negative_sampling: str = option(
        "uniform",
        "negatives are drawn evenly from all items, or in proportion to their positives",
        choices=("uniform", "popularity"),
    )
    popularity_exponent: float = option(
        0.0, "e: a positive of an item of n is taken with chance (mean n / n)^e", low=0.0, high=1.0
    )
    duplicates: str = option(
        "sum",
        "what several rows of one user and item mean",
        choices=("mean", "sum", "last", "max", "error"),
    )


class Bpr(Implicit):
    """One training of `algorithm := 'bpr'`; rows are in the order of `Grid`."""

    Options = BprOptions
    options: BprOptions
    loss: ClassVar[str] = "bpr"
    compares: ClassVar[bool] = True

    def __init__(self, ratings: Ratings, options: BprOptions, workers: Workers) -> None:
        self.options = options
        self.ratings = ratings
        self._workers = workers
        positives = positive(ratings.by_user)
        counts = np.bincount(positives.indices, minlength=len(ratings.by_item))
        key = ("bpr", options.n_factors, options.negative_sampling, options.seed)
        self._grid = grid = ratings.laid_out(
            key, lambda: Grid.of(positives, counts, *key[1:], workers)
        )
        self._free: Free | None = None
        kept = chances(counts[grid.items.order], options.popularity_exponent)
        self._sampling = Sampling(kept, *grid.draws.tables)
        self._bi = np.zeros(len(counts), np.float32)
        rng = np.random.default_rng(options.seed)
        self._P = initial(positives.counts[grid.users.order], options.n_factors, rng)
        self._Q = initial(counts[grid.items.order], options.n_factors, rng)

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self.options.epochs

    def start_from(self, known: Known) -> None:
        """Begin with the rows of a model; those that it does not know are as ever."""
        users, items = self._grid.users.order, self._grid.items.order
        u, i = known.users[users] & self._P.any(axis=1), known.items[items] & self._Q.any(axis=1)
        put(self._P, known.P[users], u, 1)
        put(self._Q, known.Q[items], i, 1)
        put(self._bi, known.item_bias[items], known.items[items], 1)

    def hold_all_but(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> None:
        """Let the rows of these codes alone move."""
        grid = self._grid
        free = Free(np.zeros(len(self._P), np.bool_), np.zeros(len(self._Q), np.bool_))
        free.users[grid.users.position[users]] = True
        free.items[grid.items.position[items]] = True
        self._free = free

    def epoch(self, number: int) -> float:
        """Take every positive once; the mean of -ln sigma of its triples, ln 2 if there are none.

        NaN if the numbers left the range of float32.
        """
        options, grid = self.options, self._grid
        rng = np.random.default_rng((options.seed, number))
        visits = grid.visits(rng)
        states = rng.integers(1, STATES, size=visits.shape[:-2])
        totals = np.zeros((*states.shape, 2))
        how = Pairs(grid.user_rows, grid.item_rows), self._sampling, self._free
        steps = rates(options, number)
        matrices = Matrices(self._bi, self._P, self._Q)
        longest = int((visits[..., END] - visits[..., BEGIN]).sum(axis=-1).max())

        def descend_piece(*at: int) -> None:
            scratch = np.empty(2 * SLOTS * longest + 2, grid.number)
            descend(totals[at], scratch, matrices, visits[at], states[at], *how, steps)

        n_strata, n_pieces = visits.shape[:2]
        for stratum in range(n_strata):
            self._workers.map(descend_piece, [(stratum, piece) for piece in range(n_pieces)])
        if not (np.isfinite(self._P).all() and np.isfinite(self._Q).all()):
            return float("nan")
        n_triples = int(totals[..., 1].sum())
        return fsum(totals[..., 0].flat) / n_triples if n_triples else log(2)

    def factors(self) -> Factors:
        """b_i, P and Q by code; users have no bias."""
        users, items = self._grid.users.position, self._grid.items.position
        n = self.options.n_factors
        P, Q = self._P[users, :n], self._Q[items, :n]
        return Factors(0.0, item_bias=self._bi[items], P=P, Q=Q)

    def validation_loss(self, held_out: Rows, workers: Workers) -> float:
        """1 - AUC, over at most 1000 users and 256 items drawn evenly for each of them.

        The AUC of a user is the share of pairs, of a held-out item of a strength above zero and of
        a drawn item that is in neither set, that the scores order rightly; ties count half. The
        draws are the same in every epoch.
        """
        rng = np.random.default_rng(self.options.seed)
        users = some_users(self.ratings.by_user, held_out, rng)
        drawn = rng.integers(len(self._bi), size=(len(users), NEGATIVES))
        factors = self.factors()
        aucs = workers.map(
            lambda user, items: auc(factors, self.ratings.by_user, held_out, user, items),
            zip(users.tolist(), drawn, strict=True),
        )
        found = [value for value in aucs if value is not None]
        return 1.0 - fsum(found) / max(1, len(found))

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: BprOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """Rows by the steps of training that are theirs, from zero, all others held still.

        An item is the negative of as many triples as in training, whose positives are drawn evenly.
        """
        solve = _users_alone if fixed.solved == "users" else _items_alone
        return solve(fixed, options, workers)


def _users_alone(fixed: Fixed, options: BprOptions, workers: Workers) -> Callable[[Rows], Solved]:
    compared = Compared(fixed.bias, fixed.factors, sampling_of(fixed.ratings, options))
    steps = np.stack([rates(options, number + 1) for number in range(options.epochs)])
    state = int(np.random.default_rng(options.seed).integers(1, STATES))

    def solve_rows(rows: Rows) -> Solved:
        chosen = positive(rows)
        P = np.zeros((len(rows), fixed.factors.shape[1]), np.float32)

        def solve_piece(begin: int, end: int) -> None:
            descend_users(P, begin, end, chosen.indptr, chosen.indices, compared, steps, state)

        workers.map(solve_piece, row_pieces(chosen.indptr, PIECE))
        return Solved(factors=P)

    return solve_rows


def _items_alone(fixed: Fixed, options: BprOptions, workers: Workers) -> Callable[[Rows], Solved]:
    rivals = fixed.rivals
    assert rivals is not None, "an item is learnt by comparisons with others"
    seen = positive(rivals.by_user)
    n_items, n_seen = len(rivals.ratings), len(seen.indices)
    history = History(seen.indptr, seen.row_numbers(), seen.indices)
    compared = Compared(rivals.bias, rivals.factors, sampling_of(rivals.ratings, options))
    steps = np.stack([rates(options, number + 1) for number in range(options.epochs)])
    state = int(np.random.default_rng(options.seed).integers(1, STATES))
    mean = n_seen / max(1, int(np.count_nonzero(rivals.ratings)))

    def solve_rows(rows: Rows) -> Solved:
        chosen = positive(rows)
        counts = chosen.counts
        shares = np.full(len(rows), n_seen / n_items, np.float32)
        if options.negative_sampling == "popularity":
            shares = counts.astype(np.float32)
        kept = chances(counts, options.popularity_exponent, mean)
        choosers = Choosers(chosen.indptr, chosen.indices, kept, shares, fixed.factors)
        Q = np.zeros((len(rows), fixed.factors.shape[1]), np.float32)
        bias = np.zeros(len(rows), np.float32)

        def solve_piece(begin: int, end: int) -> None:
            descend_items(Q, bias, begin, end, choosers, history, compared, steps, state)

        costs = chosen.indptr + np.append(0, np.cumsum(shares)).astype(np.int64)
        workers.map(solve_piece, row_pieces(costs, PIECE))
        return Solved(bias, Q)

    return solve_rows


def sampling_of(counts: NDArray[np.int64], options: BprOptions) -> Sampling:
    """How positives are kept, and negatives drawn, of items with so many positives."""
    n = len(counts)
    tables = np.full(n, ALWAYS, np.int32), np.arange(n, dtype=np.int32)
    if options.negative_sampling == "popularity":
        draw_tables(counts.astype(np.float64), np.array([0, n]), *tables)
    return Sampling(chances(counts, options.popularity_exponent), *tables)


def rates(options: BprOptions, number: int) -> NDArray[np.float32]:
    """lr of an epoch, and what a step keeps of p, q and b."""
    lr = options.learning_rate * (1 - options.learning_rate_decay * (number - 1) / options.epochs)
    penalties = (
        options.regularization if own is None else own
        for own in (
            options.user_regularization,
            options.item_regularization,
            options.bias_regularization,
        )
    )
    return np.array([lr, *(max(0.0, 1 - lr * penalty) for penalty in penalties)], np.float32)


def positive(rows: Rows) -> Rows:
    """The same without the strengths of zero."""
    above = rows.values > 0
    if above.all():
        return rows
    indptr = np.concatenate(([0], np.cumsum(above)))[rows.indptr]
    return Rows(indptr, rows.indices[above], rows.values[above])


def chances(
    counts: NDArray[np.int64], exponent: float, mean: float | None = None
) -> NDArray[np.int32]:
    """By which chance a positive of each item is taken, as a limit of 31 random bits.

    mean: that of the positives of all items that have any; of these items if left out.
    """
    if mean is None:
        mean = counts.sum() / max(1, np.count_nonzero(counts))
    taken = np.minimum(1.0, (mean / np.maximum(counts, 1)) ** exponent)
    limits: NDArray[np.int32] = (ALWAYS * taken).astype(np.int32)
    return limits


def initial(
    counts: NDArray[np.int64], n_factors: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Normal factors; zero in a row without positives."""
    factors = vector_rows(len(counts), n_factors)
    drawn = rng.standard_normal((len(counts), n_factors), np.float32)
    factors[:, :n_factors] = drawn * np.float32(INITIAL_SCALE / n_factors**0.5)
    factors[counts == 0] = 0
    return factors


def auc(
    factors: Factors, seen: Rows, held_out: Rows, user: int, drawn: NDArray[np.int64]
) -> float | None:
    """AUC of one user's held-out items against those of `drawn` that the user does not know."""
    relevant = row(held_out, user)
    others = drawn[~np.isin(drawn, np.concatenate((row(seen, user), relevant)))]
    liked = relevant[held_out.values[held_out.indptr[user] : held_out.indptr[user + 1]] > 0]
    if len(liked) == 0 or len(others) == 0:
        return None
    items = np.concatenate((liked, others)).astype(np.int32)
    scores = factors.predict(np.full(len(items), user, np.int32), items)
    high, low = scores[: len(liked), None], np.sort(scores[len(liked) :])
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean()) / (2 * len(low))


def row(rows: Rows, number: int) -> NDArray[np.int32]:
    """The indices of one row."""
    return rows.indices[rows.indptr[number] : rows.indptr[number + 1]]
