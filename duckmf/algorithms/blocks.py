"""The order of stochastic gradient descent: a grid of blocks, and cells that fit the cache.

Rows are renumbered so that those of one block lie side by side. The ratings of user block a and
item block b form block (a, b); the blocks (a, a + s), a = 0, 1, ..., form *stratum* s. No two of
them share a row of either side, so that they may be worked on at the same time and the result is
that of one after the other (Gemulla, Nijkamp, Haas and Sismanis 2011, "Large-scale matrix
factorization with distributed stochastic gradient descent"). Inside a block the ratings lie cell by
cell; the factors of a cell fit the cache, and its ratings are shuffled. The grid is a function of
the data alone, so nothing depends on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, isqrt

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.layout import count_cells, scatter, shuffle_cells
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings, Rows

BLOCK_RATINGS = 1 << 14  # fewer ratings in a block are not worth being handed to a thread
MOST_BLOCKS = 16  # of one side: no more threads can be busy, and each one reads all rows anew
MOST_CELLS = 64  # of one side of a block
CELL_BYTES = 1 << 18  # factors of one side of a cell: both take half of an L2 cache of 1 MiB


@dataclass(frozen=True)
class Deal:
    """The rows of one side, dealt out to the blocks and cells of that side."""

    order: NDArray[np.int32]  # (n_rows,) the code at each position
    position: NDArray[np.int32]  # (n_rows,) the position of each code
    cell: NDArray[np.int64]  # (n_rows,) the cell of each code, counted through all blocks
    cells: int  # in one block
    bounds: list[int]  # (blocks + 1,) the positions where blocks begin and end


def deal(counts: NDArray[np.int64], blocks: int, row_bytes: int) -> Deal:
    """Deal out rows by falling count, there and back again, so that all cells get a like share."""
    cells = n_cells_of(len(counts), blocks, row_bytes)
    n_cells = blocks * cells
    turn = np.arange(len(counts)) % (2 * n_cells)
    by_count = np.argsort(-counts, kind="stable")
    cell = np.empty(len(counts), np.int64)
    cell[by_count] = np.minimum(turn, 2 * n_cells - 1 - turn)
    order = by_count[np.argsort(cell[by_count], kind="stable")].astype(np.int32)
    position = np.empty_like(order)
    position[order] = np.arange(len(order), dtype=np.int32)
    bounds = np.searchsorted(cell[order], np.arange(blocks + 1) * cells)
    return Deal(order, position, cell, cells, bounds.tolist())


def n_cells_of(n_rows: int, blocks: int, row_bytes: int) -> int:
    """The cells of one side of a block."""
    rows = ceil(n_rows / blocks)
    return min(MOST_CELLS, rows, ceil(rows * row_bytes / CELL_BYTES))


@dataclass(frozen=True)
class Blocks:
    """All ratings, in the order in which they are visited."""

    users: Deal
    items: Deal
    user_rows: NDArray[np.int32]  # (n,) positions
    item_rows: NDArray[np.int32]  # (n,) positions
    values: NDArray[np.float32]  # (n,)
    bounds: list[int]  # block (a, b) is entry a * n_strata + b, and ends where the next begins

    @property
    def n_strata(self) -> int:
        """As many as there are blocks of one side."""
        return len(self.users.bounds) - 1

    def stratum(self, number: int) -> list[tuple[int, int]]:
        """The ratings `[begin, end)` of each block of a stratum."""
        n = self.n_strata
        entries = [a * n + (a + number) % n for a in range(n)]
        return [(self.bounds[entry], self.bounds[entry + 1]) for entry in entries]


def n_blocks_of(ratings: Ratings) -> int:
    """The blocks of one side."""
    blocks = isqrt(len(ratings) // BLOCK_RATINGS)
    return max(1, min(blocks, MOST_BLOCKS, len(ratings.by_user), len(ratings.by_item)))


def grid_of(ratings: Ratings, n_factors: int) -> tuple[int, ...]:
    """The same for the same layout of the same ratings with the same seed."""
    blocks = n_blocks_of(ratings)
    sides = ratings.by_user, ratings.by_item
    return (blocks, *(n_cells_of(len(side), blocks, 4 * n_factors) for side in sides))


def lay_out(ratings: Ratings, n_factors: int, seed: int, workers: Workers) -> Blocks:
    """Deal the ratings out to blocks and cells, and shuffle them inside each cell."""
    by_user, by_item = ratings.by_user, ratings.by_item
    blocks = n_blocks_of(ratings)
    users = deal(by_user.counts, blocks, 4 * n_factors)
    items = deal(by_item.counts, blocks, 4 * n_factors)
    rows, bounds = sort_into_cells(by_user, users, items, seed, workers)
    per_block = users.cells * items.cells
    return Blocks(users, items, *rows, bounds[::per_block].tolist())


def sort_into_cells(
    by_user: Rows, users: Deal, items: Deal, seed: int, workers: Workers
) -> tuple[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]], NDArray[np.int64]]:
    """Positions of users and items and values, cell by cell; and where each cell begins.

    The cells are numbered as `cells` says; the last entry of the begins is the end of the last.
    """
    user_cell, item_cell = cells(users, items)
    n = len(by_user.indices)
    n_user_blocks, n_item_blocks = len(users.bounds) - 1, len(items.bounds) - 1
    rows = (by_user.indptr, by_user.indices)
    targets = (np.empty(n, np.int32), np.empty(n, np.int32), np.empty_like(by_user.values))
    numbers = (users.order, user_cell, item_cell)
    of_a_block = n_item_blocks * users.cells * items.cells
    counts = np.zeros(n_user_blocks * of_a_block, np.int64)

    # a block of users shares neither ratings nor cells with another
    pieces = list(pairwise(users.bounds))
    workers.map(lambda begin, end: count_cells(*rows, counts, *numbers, begin, end), pieces)
    bounds = np.concatenate(([0], np.cumsum(counts)))
    cursor = bounds[:-1].copy()
    workers.map(
        lambda begin, end: scatter(
            *rows, by_user.values, cursor, *targets, *numbers, items.position, begin, end
        ),
        pieces,
    )
    cuts = range(0, len(counts) + 1, of_a_block)
    workers.map(
        lambda begin, end: shuffle_cells(bounds, *targets, begin, end, seed % 2**32),
        pairwise(cuts),
    )
    return targets, bounds


def cells(users: Deal, items: Deal) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What user and item add to the number of their rating's cell.

    Cells are counted by user block, item block, cell of the users, cell of the items.
    """
    per_block = users.cells * items.cells
    user_block, user_cell = np.divmod(users.cell, users.cells)
    item_block, item_cell = np.divmod(items.cell, items.cells)
    n_item_blocks = len(items.bounds) - 1
    return (
        user_block * n_item_blocks * per_block + user_cell * items.cells,
        item_block * per_block + item_cell,
    )
