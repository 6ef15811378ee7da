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

import numpy as np

from duckmf.kernels.als import BATCH, add_ridge, back_substitute, factorize, places
from duckmf.kernels.jit import kernel, part
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


@part
def add_normal_equations(
    start, stop, indices, confidences, scratch, other, targets, border, matrix, scaled, n_tiles, w0
):
    """A += sum_j (c_j - w0) q_j q_j', its upper triangle, and b += sum_j c_j q_j, of one row.

    targets, border, matrix and scaled are places in the scratch; the last holds panels of
    (c_j - w0) q_j. Cost: n (n_factors^2 / 2 + 2 n_factors) multiplications for n ratings.
    """
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


@kernel
def solve_rows(
    begin, end, indptr, indices, confidences, ridges, this, gains, other, gram, scratch,
    w0, least, n_factors, n_tiles,
):  # fmt: skip
    """Solve those of the rows begin to end of `this` that have `least` ratings or more.

    indptr, indices, confidences: CSR, int64, int32, float32, the last with 16 more numbers at its
    end. ridges (n_rows,) float64. this, other: flat float32, 16 n_tiles factors a row, those from
    n_factors on zero. gains (n_rows,) float64 gets the gain of each row, NaN for one that cannot be
    solved. gram: tiles, flat. scratch: as `layout` says, then n_tiles panels of BATCH x 16.
    """
    targets, border, solution, _, matrix, scaled = places(n_tiles)
    for row in range(begin, end):
        if indptr[row + 1] - indptr[row] < least:
            continue
        for i in range(0, n_tiles * n_tiles * AREA, TILE):
            copy_line(scratch, matrix + i, gram, i)
        for i in range(0, 2 * n_tiles * TILE, TILE):
            clear_line(scratch, border + i)
        add_normal_equations(
            indptr[row], indptr[row + 1], indices, confidences, scratch, other,
            targets, border, matrix, scaled, n_tiles, w0,
        )  # fmt: skip
        add_ridge(scratch, n_factors, n_tiles, ridges[row])
        if not factorize(scratch, n_tiles):
            gains[row] = np.nan
            continue
        back_substitute(scratch, n_tiles, np.float32(0.0))
        gains[row] = 0.0
        # b'x = |y|^2 for U'y = b, the second lines of the border.
        for i in range(n_tiles):
            copy_line(this, (row * n_tiles + i) * TILE, scratch, solution + i * TILE)
            y = border + 2 * TILE * i + TILE
            gains[row] += inner_product(scratch, y, y, 1)


@part
def gather(start, stop, indices, scratch, other, blocks, n_tiles):
    """Fill the blocks with the q_j of one row, and the rest of the last block with zeros."""
    width = n_tiles * TILE
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


@kernel
def descend_rows(
    begin, end, indptr, indices, confidences, ridges, this, gains, other, gram, scratch,
    w0, most, n_tiles,
):  # fmt: skip
    """Move those of the rows begin to end of `this` that have at most `most` ratings.

    By STEPS steps of conjugate gradients (Hestenes and Stiefel 1952) from where they stand; rows
    without ratings get zeros. Arguments are those of `solve_rows`, but for the scratch: n_tiles
    lines each for x, r = b - A x, the direction p and A p, a line, the gram, and a block of n_tiles
    tiles for each 16 ratings. Cost: (STEPS + 1) (2 n n_factors + n_factors^2) multiplications for n
    ratings.
    """
    width = n_tiles * TILE
    x, r, p, Ap, tally, squares = 0, width, 2 * width, 3 * width, 4 * width, 4 * width + TILE
    blocks = squares + n_tiles * n_tiles * AREA
    for i in range(0, n_tiles * n_tiles * AREA, TILE):
        copy_line(scratch, squares + i, gram, i)
    for row in range(begin, end):
        start, stop = indptr[row], indptr[row + 1]
        if stop - start > most:
            continue
        for i in range(0, width, TILE):
            if start == stop:
                clear_line(this, row * width + i)
            copy_line(scratch, x + i, this, row * width + i)
        gather(start, stop, indices, scratch, other, blocks, n_tiles)
        clear_line(scratch, tally)
        gain, old = 0.0, 0.0
        for step in range(STEPS + 1):
            # First r = b - A x, then -A p, into the lines at `to`.
            at, to = (p, Ap) if step else (x, r)
            combine_lines(scratch, to, -ridges[row], at, 0.0, at, n_tiles)
            for i in range(n_tiles):
                line = to + i * TILE
                add_rows(scratch, line, squares + i * n_tiles * AREA, at, n_tiles, -1.0)
            for first in range(start, stop, TILE):
                block = blocks + (first - start) * width
                target = 0.0 if step else 1.0
                add_errors(scratch, to, block, at, n_tiles, confidences, first, w0, target, tally)
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
