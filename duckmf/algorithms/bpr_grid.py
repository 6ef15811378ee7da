"""The positives of BPR in cells: in which order they are taken, and where negatives are drawn.

Items are dealt out to cells of like shares, and every epoch matches cells in pairs at random. A
positive of cell b, matched with c, takes its negative from c with the chance (n_cells - 1) W_c / W,
else from b, W_c being the weight of cell c and W that of all. Over the matchings every item is then
drawn in proportion to its weight, whatever b is, while a piece of work needs one cell of users and
two of items only. (A cell of more than the share 1 / (n_cells - 1) would be drawn too seldom;
dealing by falling count makes none but around a single giant item.) Pieces that run at the same
time share neither users nor items, so that the result is that of one after the other and no
function of the number of threads.

Source: Gemulla, Nijkamp, Haas and Sismanis 2011, "Large-scale matrix factorization with distributed
stochastic gradient descent".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms import blocks
from duckmf.kernels.bpr import BEGIN, CHANCE, END, FIRST, ORIGIN, SIZE
from duckmf.kernels.draws import ALWAYS, draw_tables
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Rows


@dataclass(frozen=True)
class Draws:
    """How negatives are drawn, from cell to row."""

    rows: NDArray[np.int64]  # (cells of items, 2): the first row of each cell, and their number
    chances: NDArray[np.int64]  # (cells of items,) of 2^31: of a negative from there, if matched
    tables: tuple[NDArray[np.int32], NDArray[np.int32]]  # as draw_tables makes them

    @classmethod
    def of(cls, items: blocks.Deal, counts: NDArray[np.int64], sampling: str) -> Draws:
        """By 'uniform' or 'popularity' sampling; `counts` are positives of items, by code."""
        n_items, n_cells = len(counts), items.cells * (len(items.bounds) - 1)
        cuts = np.searchsorted(items.cell[items.order], np.arange(n_cells + 1))
        tables = (np.full(n_items, ALWAYS, np.int32), np.arange(n_items, dtype=np.int32))
        weights = np.ones(n_items)
        if sampling == "popularity":
            weights = counts[items.order].astype(np.float64)
            draw_tables(weights, cuts, *tables)
        shares = np.diff(np.append(0, np.cumsum(weights))[cuts]) / max(1, weights.sum())
        chances = (2.0**31 * np.minimum(1, (n_cells - 1) * shares)).astype(np.int64)
        return cls(np.stack((cuts[:-1], np.diff(cuts)), axis=1), chances, tables)


@dataclass(frozen=True)
class Grid:
    """The positives in cells."""

    users: blocks.Deal
    items: blocks.Deal
    user_rows: NDArray[np.int32]  # (n,) positions
    item_rows: NDArray[np.int32]  # (n,) positions
    bounds: NDArray[np.int64]  # (user blocks, cells of each, cells of items, 2): begin and end
    first_users: NDArray[np.int64]  # (user blocks, cells of each): the first position of a cell
    draws: Draws

    @classmethod
    def of(
        cls,
        positives: Rows,
        counts: NDArray[np.int64],
        n_factors: int,
        sampling: str,
        seed: int,
        workers: Workers,
    ) -> Grid:
        """Deal out users and, to twice as many blocks, items; `counts` are positives of items."""
        n_blocks = isqrt(len(positives.indices) // blocks.BLOCK_RATINGS)
        n_blocks = max(1, min(n_blocks, blocks.MOST_BLOCKS, len(positives), len(counts) // 2))
        row_bytes = 4 * n_factors
        users = blocks.deal(positives.counts, n_blocks, row_bytes)
        items = blocks.deal(counts, min(2 * n_blocks, len(counts)), row_bytes)
        rows, bounds = blocks.sort_into_cells(positives, users, items, seed, workers)
        shape = (n_blocks, -1, users.cells, items.cells, 2)
        bounds = np.stack((bounds[:-1], bounds[1:]), axis=1).reshape(shape).swapaxes(1, 2)
        bounds = bounds.reshape(n_blocks, users.cells, -1, 2)
        firsts = np.searchsorted(users.cell[users.order], np.arange(n_blocks * users.cells))
        draws = Draws.of(items, counts, sampling)
        return cls(users, items, *rows[:2], bounds, firsts.reshape(n_blocks, -1), draws)

    @property
    def number(self) -> type[np.signedinteger]:
        """The type that numbers the pairs of a visit, whose table is the smaller the better."""
        cell = np.diff(self.first_users.ravel(), append=len(self.users.order)).max()
        pairs = 2 * int(cell) * int(self.draws.rows[:, 1].max())
        return np.int32 if pairs < 2**31 else np.int64

    def visits(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """An epoch: (strata, pieces, visits of a piece, 2, 6), sides as the kernel takes them."""
        n_blocks, n_user_cells, n_cells, _ = self.bounds.shape
        matched = np.zeros(2, np.int64) if n_cells == 1 else rng.permutation(n_cells)
        block = np.arange(n_blocks)
        group = (block + rng.permutation(n_blocks)[:, None]) % n_blocks
        # (strata, blocks, user cells, pairs of item cells, sides)
        own = matched.reshape(n_blocks, -1, 2)[group][:, :, None]
        user_cells = (block[:, None, None, None], np.arange(n_user_cells)[:, None, None])
        visits = np.empty((n_blocks, *own.shape[1:2], n_user_cells, *own.shape[3:], 6), np.int64)
        visits[..., BEGIN : END + 1] = self.bounds[*user_cells, own]
        visits[..., FIRST : SIZE + 1] = self.draws.rows[own]
        visits[..., CHANCE] = self.draws.chances[own[..., ::-1]]
        if n_cells == 1:  # which cannot be matched
            visits[..., 1, END] = visits[..., 1, BEGIN]
        sizes = visits[..., SIZE]
        first_users = self.first_users[*user_cells]
        visits[..., ORIGIN] = -first_users * sizes.sum(axis=-1, keepdims=True) - visits[..., FIRST]
        visits[..., 1, ORIGIN] += sizes[..., 0]
        return visits.reshape(n_blocks, n_blocks, -1, 2, 6)
