"""Implicit ALS: each row's weighted regression on all rows of the other side.

For a row with confidences c_j = 1 + alpha r_j for the rows q_j of the other side, and the weight w0
for all others,

    minimize  sum_j c_j (1 - <x, q_j>)^2 + w0 sum over the others <x, q>^2 + ridge |x|^2

A = gram + ridge I + sum_j (c_j - w0) q_j q_j' and b = sum_j c_j q_j, with gram = w0 Q'Q over all
rows, so that a row costs what its own ratings cost. The minimum is at A x = b; at any x the sum is
below sum_j c_j, its value at x = 0, by the gain b'x + (b - A x)'x.

`solve_rows` solves rows exactly, by the factorization of kernels/als.py and in its scratch array.
`descend_rows` moves them by conjugate gradients, which need A only in products: the q_j of a row
are gathered once and stay in the cache. Both work on tiles of kernels/tiles.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.als import BATCH, add_ridge, back_substitute, factorize, places
from duckmf.kernels.jit import kernel, part
from duckmf.kernels.sparse import Csr
from duckmf.kernels.tiles import (
    AREA,
    TILE,
    WAYS,
    add_errors,
    add_pair_product,
    add_product,
    add_rows,
    clear_line,
    combine_lines,
    copy_line,
    copy_scaled_line,
    inner_product,
    prefetch_line,
)

# Steps of conjugate gradients.
STEPS = 3
# While a rating is gathered, the one so many places behind it is fetched.
AHEAD = 64


class WeightedRegressions(NamedTuple):
    """What is minimized in each row."""

    rows: Csr  # values are confidences, with 16 more numbers at their end
    ridges: NDArray[np.float64]  # (n_rows,)
    other: NDArray[np.float32]  # flat, 16 n_tiles factors a row, those from n_factors on zero
    gram: NDArray[np.float32]  # tiles, flat
    w0: float
    n_factors: int
    n_tiles: int


@part
def begin_normal_equations(regressions, scratch, n_tiles):
    """A = gram and b = 0."""
    _, border, _, _, matrix, _ = places(n_tiles)
    for i in range(0, n_tiles * n_tiles * AREA, TILE):
        copy_line(scratch, matrix + i, regressions.gram, i)
    for i in range(0, 2 * n_tiles * TILE, TILE):
        clear_line(scratch, border + i)


@part
def add_normal_equations(row, regressions, scratch, n_tiles):
    """A += sum_j (c_j - w0) q_j q_j', its upper triangle, and b += sum_j c_j q_j, of one row.

    Behind the matrix the scratch holds panels of (c_j - w0) q_j. Cost:
    n (n_factors^2 / 2 + 2 n_factors) multiplications for n ratings.
    """
    indptr, indices, confidences = regressions.rows
    other, w0 = regressions.other, regressions.w0
    start, stop = indptr[row], indptr[row + 1]
    targets, border, _, _, matrix, scaled = places(n_tiles)
    for first in range(start, stop, BATCH):
        n = min(BATCH, stop - first)
        for t in range(n):
            scratch[targets + 2 * t] = 0.0
            scratch[targets + 2 * t + 1] = confidences[first + t]
        for t in range(2 * n, 2 * min(n + WAYS, BATCH)):
            scratch[targets + t] = 0.0
        # The ratings one batch ahead, of this row or the next, are fetched meanwhile.
        ahead = min(n, len(indices) - first - BATCH)
        for j in range(n_tiles):
            panel = j * BATCH * TILE
            for t in range(n):
                q = indices[first + t] * n_tiles * TILE
                w = confidences[first + t] - w0
                copy_line(scratch, panel + t * TILE, other, q + j * TILE)
                copy_scaled_line(scratch, scaled + panel + t * TILE, other, q + j * TILE, w)
            for t in range(ahead):
                q = indices[first + BATCH + t] * n_tiles * TILE
                prefetch_line(other, q + j * TILE)
            add_pair_product(scratch, border + 2 * TILE * j, targets, panel, n, 1.0)
            for i in range(j + 1):
                at = matrix + (i * n_tiles + j) * AREA
                add_product(scratch, at, scaled + i * BATCH * TILE, panel, n, 1.0)


@part
def keep_solution(this, row, scratch, n_tiles):
    """Write the solution into a row; returns its gain, b'x = |y|^2 for U'y = b."""
    _, border, solution, _, _, _ = places(n_tiles)
    gain = 0.0
    for i in range(n_tiles):
        copy_line(this, (row * n_tiles + i) * TILE, scratch, solution + i * TILE)
        # y is the second line of each pair of the border
        y = border + 2 * TILE * i + TILE
        gain += inner_product(scratch, y, y, 1)
    return gain


@kernel
def solve_rows(begin, end, this, gains, regressions, scratch, least):
    """Solve those of the rows begin to end of `this` that have `least` ratings or more.

    this: flat like other. gains (n_rows,) float64 gets the gain of each row, NaN for one that
    cannot be solved. scratch: as `layout` says, then n_tiles panels of BATCH x 16.
    """
    indptr, n_tiles = regressions.rows.indptr, regressions.n_tiles
    for row in range(begin, end):
        if indptr[row + 1] - indptr[row] < least:
            continue
        begin_normal_equations(regressions, scratch, n_tiles)
        add_normal_equations(row, regressions, scratch, n_tiles)
        add_ridge(scratch, regressions.n_factors, n_tiles, regressions.ridges[row])
        if not factorize(scratch, n_tiles):
            gains[row] = np.nan
            continue
        back_substitute(scratch, n_tiles, np.float32(0.0))
        gains[row] = keep_solution(this, row, scratch, n_tiles)


def descent_layout(n_tiles: int) -> tuple[int, ...]:
    """Where x, r, p, A p, the tally, the gram and the blocks begin in the scratch."""
    width = n_tiles * TILE
    squares = 4 * width + TILE
    blocks = squares + n_tiles * n_tiles * AREA
    return 0, width, 2 * width, 3 * width, 4 * width, squares, blocks


descent_places = part(descent_layout)


@part
def gather(start, stop, indices, scratch, other, n_tiles):
    """Fill the blocks with the q_j of one row, and the rest of the last block with zeros."""
    width = n_tiles * TILE
    blocks = descent_places(n_tiles)[6]
    last = len(indices) - 1
    for first in range(start, stop, TILE):
        block = blocks + (first - start) * width
        n = min(TILE, stop - first)
        for t in range(n):
            q = indices[first + t] * width
            later = indices[min(first + t + AHEAD, last)] * width
            for j in range(n_tiles):
                copy_line(scratch, block + j * AREA + t * TILE, other, q + j * TILE)
                prefetch_line(other, later + j * TILE)
        for t in range(n, TILE):
            for j in range(n_tiles):
                clear_line(scratch, block + j * AREA + t * TILE)


@part
def residual(to, at, row, regressions, scratch, n_tiles, target):
    """The lines at `to` = target b - A v for the lines v at `at`; target b'v is added to the tally.

    A = gram + ridge I + sum_j (c_j - w0) q_j q_j', from the blocks.
    """
    indptr, _, confidences = regressions.rows
    _, _, _, _, tally, squares, blocks = descent_places(n_tiles)
    start, stop = indptr[row], indptr[row + 1]
    combine_lines(scratch, to, -regressions.ridges[row], at, 0.0, at, n_tiles)
    for i in range(n_tiles):
        add_rows(scratch, to + i * TILE, squares + i * n_tiles * AREA, at, n_tiles, -1.0)
    for first in range(start, stop, TILE):
        block = blocks + (first - start) * n_tiles * TILE
        w0 = regressions.w0
        add_errors(scratch, to, block, at, n_tiles, confidences, first, w0, target, tally)


@kernel
def descend_rows(begin, end, this, gains, regressions, scratch, most):
    """Move those of the rows begin to end of `this` that have at most `most` ratings.

    By STEPS steps of conjugate gradients (Hestenes and Stiefel 1952) from where they stand; rows
    without ratings get zeros. Arguments are those of `solve_rows`, but for the scratch: n_tiles
    lines each for x, r = b - A x, the direction p and A p, a line, the gram, and a block of n_tiles
    tiles for each 16 ratings. Cost: (STEPS + 1) (2 n n_factors + n_factors^2) multiplications for n
    ratings.
    """
    indptr, indices, _ = regressions.rows
    n_tiles = regressions.n_tiles
    width = n_tiles * TILE
    x, r, p, Ap, tally, squares, _ = descent_places(n_tiles)
    for i in range(0, n_tiles * n_tiles * AREA, TILE):
        copy_line(scratch, squares + i, regressions.gram, i)
    for row in range(begin, end):
        start, stop = indptr[row], indptr[row + 1]
        if stop - start > most:
            continue
        for i in range(0, width, TILE):
            if start == stop:
                clear_line(this, row * width + i)
            copy_line(scratch, x + i, this, row * width + i)
        gather(start, stop, indices, scratch, regressions.other, n_tiles)
        clear_line(scratch, tally)
        gain, old = 0.0, 0.0
        for step in range(STEPS + 1):
            # First r = b - A x, then -A p, into the lines at `to`.
            at, to = (p, Ap) if step else (x, r)
            residual(to, at, row, regressions, scratch, n_tiles, 0.0 if step else 1.0)
            along = inner_product(scratch, to, at, n_tiles)
            if step == 0:
                # b'x + r'x
                for t in range(TILE):
                    gain += scratch[tally + t]
                gain += along
            elif along < 0.0:
                length = old / -along
                gain += length * old
                combine_lines(scratch, x, 1.0, x, length, p, n_tiles)
                combine_lines(scratch, r, 1.0, r, length, Ap, n_tiles)
            else:
                break
            new = inner_product(scratch, r, r, n_tiles)
            combine_lines(scratch, p, 1.0, r, new / old if step else 0.0, p, n_tiles)
            old = new
        gains[row] = gain
        for i in range(0, width, TILE):
            copy_line(this, row * width + i, scratch, x + i)


@kernel
def add_gram(begin, end, other, scratch, n_tiles):
    """The upper triangle of the sum of q q' over the rows begin to end, in the scratch's matrix."""
    matrix = places(n_tiles)[4]
    for i in range(0, n_tiles * n_tiles * AREA, TILE):
        clear_line(scratch, matrix + i)
    for first in range(begin, end, BATCH):
        n = min(BATCH, end - first)
        for j in range(n_tiles):
            panel = j * BATCH * TILE
            for t in range(n):
                line = (first + t) * n_tiles * TILE + j * TILE
                copy_line(scratch, panel + t * TILE, other, line)
            for i in range(j + 1):
                at = matrix + (i * n_tiles + j) * AREA
                add_product(scratch, at, i * BATCH * TILE, panel, n, 1.0)
