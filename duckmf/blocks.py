"""The order of stochastic gradient descent: a grid of blocks, and cells that fit the cache.

Rows are renumbered so that those of one block lie side by side. A *stratum* is a set of blocks of
which no two share a row of either side (Gemulla et al. 2011, "Large-scale matrix factorization
with distributed stochastic gradient descent"): they may be worked on at the same time, and the
result is that of one after the other. Inside a block the ratings lie cell by cell, a cell's factor
rows stay in the cache, and its ratings are shuffled. All of it depends on the data and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isqrt

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.layout import count_cells, scatter, shuffle_cells
from duckmf.ratings import Ratings
from duckmf.threads import Workers

BLOCK_RATINGS = 1 << 14  # a smaller block costs more to hand out than it gains
MOST_BLOCKS = 32  # of one side, and so the threads that can be kept busy
MOST_CELLS = 64  # of one side of a block
CELL_BYTES = 1 << 18  # factors of one side of a cell: two sides take half of a 1 MiB L2


@dataclass(frozen=True)
class Deal:
    """The rows of one side, dealt out to blocks and cells."""

    order: NDArray[np.int32]  # (n_rows,) the code at each position
    position: NDArray[np.int32]  # (n_rows,) the position of each code
    cell: NDArray[np.int64]  # (n_rows,) by code: block * cells + the cell inside the block
    cells: int  # of one block
    starts: NDArray[np.int64]  # (blocks + 1,) first position of each block

    @classmethod
    def of(cls, counts: NDArray[np.int64], blocks: int, row_bytes: int) -> Deal:
        """Deal out rows by falling count, there and back, so that all cells get like shares."""
        rows = ceil(len(counts) / blocks)
        cells = max(1, min(MOST_CELLS, rows, ceil(rows * row_bytes / CELL_BYTES)))
        turn = np.arange(len(counts)) % (2 * blocks * cells)
        by_count = np.argsort(-counts, kind="stable")
        cell = np.empty(len(counts), np.int64)
        cell[by_count] = np.minimum(turn, 2 * blocks * cells - 1 - turn)
        order = by_count[np.argsort(cell[by_count], kind="stable")].astype(np.int32)
        position = np.empty_like(order)
        position[order] = np.arange(len(order), dtype=np.int32)
        starts = np.searchsorted(cell[order], np.arange(blocks + 1) * cells)
        return cls(order, position, cell, cells, starts)


@dataclass(frozen=True)
class Blocks:
    """All ratings in the order of the visit; block (a, b) is the one of user and item block."""

    users: Deal
    items: Deal
    user_positions: NDArray[np.int32]  # (n,)
    item_positions: NDArray[np.int32]  # (n,)
    values: NDArray[np.float32]  # (n,)
    bounds: NDArray[np.int64]  # (blocks * blocks + 1,) block (a, b) is entry a * blocks + b

    @property
    def n_blocks(self) -> int:
        """Blocks of one side, and strata."""
        return len(self.users.starts) - 1

    def stratum(self, number: int) -> list[tuple[int, int]]:
        """The ranges `[begin, end)` of ratings of the blocks of one stratum."""
        blocks = self.n_blocks
        entries = [a * blocks + (a + number) % blocks for a in range(blocks)]
        return [(int(self.bounds[n]), int(self.bounds[n + 1])) for n in entries]


def lay_out(ratings: Ratings, n_factors: int, seed: int, workers: Workers) -> Blocks:
    """Deal the ratings out to blocks, and shuffle them inside each cell."""
    rows, by_item = ratings.by_user, ratings.by_item
    blocks = max(1, min(MOST_BLOCKS, isqrt(len(ratings) // BLOCK_RATINGS), len(rows), len(by_item)))
    users = Deal.of(rows.counts, blocks, 4 * n_factors)
    items = Deal.of(by_item.counts, blocks, 4 * n_factors)
    user_cell, item_cell = _cells(users, items, blocks)
    n_cells = blocks * users.cells * blocks * items.cells

    # every piece is one block of users: its ratings, and its cells, are those of no other piece
    pieces = [(int(a), int(b)) for a, b in zip(users.starts[:-1], users.starts[1:], strict=True)]
    counts = np.zeros(n_cells, np.int64)
    workers.map(
        lambda begin, end: count_cells(
            rows.indptr, rows.indices, counts, users.order, user_cell, item_cell, begin, end
        ),
        pieces,
    )
    bounds = np.concatenate(([0], np.cumsum(counts)))
    n = len(ratings)
    dealt = (np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.float32))
    cursor = bounds[:-1].copy()
    targets = (cursor, *dealt)
    sources = (users.order, user_cell, item_cell, items.position)
    workers.map(
        lambda begin, end: scatter(
            rows.indptr, rows.indices, rows.values, *targets, *sources, begin, end
        ),
        pieces,
    )
    cuts = np.arange(blocks + 1) * (n_cells // blocks)
    workers.map(
        lambda begin, end: shuffle_cells(bounds, *dealt, begin, end, seed % 2**32),
        [(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)],
    )
    return Blocks(users, items, *dealt, bounds[:: users.cells * items.cells])


def _cells(
    users: Deal, items: Deal, blocks: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What each code adds to a cell's number: user block, item block, user cell, item cell."""
    a, c = np.divmod(users.cell, users.cells)
    b, d = np.divmod(items.cell, items.cells)
    per_block = users.cells * items.cells
    return a * blocks * per_block + c * items.cells, b * per_block + d
