"""Implicit ALS: each row's weighted regression on all rows of the other side.

For a row with confidences c_j = 1 + alpha r_j for the rows q_j of the other side, and the weight w0
for all others,

    minimize  sum_j c_j (1 - <x, q_j>)^2 + w0 sum over the others <x, q>^2 + ridge |x|^2

A = gram + ridge I + sum_j (c_j - w0) q_j q_j' and b = sum_j c_j q_j, with gram = w0 Q'Q over all
rows, so that a row costs what its own ratings cost. The minimum is at A x = b; at any x the sum is
sum_j c_j - b'x - (b - A x)'x.

Short rows go down by conjugate gradients, which need A only in products; their q_j are gathered
once and stay in the cache. Long rows are solved exactly, by the factorization of kernels/als.py,
whose scratch array is used here, followed by

    gram         n_tiles x n_tiles tiles
    scaled       n_tiles panels of BATCH x 16   (c_j - w0) q_j of a batch
    residual     n_tiles lines                  b - A x
    direction    n_tiles lines
    product      n_tiles lines                  A times the direction
    blocks       16 ratings each: n_tiles tiles of their q_j, three lines for `add_errors`
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
    copy_line,
    copy_scaled_line,
    prefetch_line,
)

# Steps of conjugate gradients, as many as implicit takes.
STEPS = 3
# While a row of ratings is gathered, those so many places behind are fetched.
AHEAD = 64


def annex(gram: int, n_tiles: int) -> tuple[int, ...]:
    """Where scaled, residual, direction, product and blocks begin; floats in a block.

    gram: where that begins, and `layout` ends.
    """
    scaled = gram + n_tiles * n_tiles * AREA
    residual = scaled + n_tiles * BATCH * TILE
    direction = residual + n_tiles * TILE
    product = direction + n_tiles * TILE
    blocks = product + n_tiles * TILE
    return scaled, residual, direction, product, blocks, n_tiles * AREA + 3 * TILE


rooms = part(annex)


@part
def add_normal_equations(start, stop, indices, values, scratch, other, n_tiles, alpha, w0):
    """A += sum_j (c_j - w0) q_j q_j', its upper triangle, and b += sum_j c_j q_j, of one row.

    Returns sum_j c_j. Cost: n (n_factors^2 / 2 + 2 n_factors) multiplications for n ratings.
    """
    targets, border, _, _, matrix, gram = places(n_tiles)
    scaled = rooms(gram, n_tiles)[0]
    total = 0.0
    for first in range(start, stop, BATCH):
        n = min(BATCH, stop - first)
        for t in range(n):
            c = 1.0 + alpha * values[first + t]
            total += c
            scratch[targets + 2 * t] = 0.0
            scratch[targets + 2 * t + 1] = c
        for t in range(2 * n, 2 * min(n + WAYS, BATCH)):
            scratch[targets + t] = 0.0
        # The ratings one batch ahead, of this row or the next, are fetched meanwhile.
        ahead = min(n, len(indices) - first - BATCH)
        for j in range(n_tiles):
            panel = j * BATCH * TILE
            for t in range(n):
                q = indices[first + t] * n_tiles * TILE
                w = scratch[targets + 2 * t + 1] - w0
                copy_line(scratch, panel + t * TILE, other, q + j * TILE)
                copy_scaled_line(scratch, scaled + panel + t * TILE, other, q + j * TILE, w)
            for t in range(ahead):
                q = indices[first + BATCH + t] * n_tiles * TILE
                prefetch_line(other, q + j * TILE)
            add_pair_product(scratch, border + 2 * TILE * j, targets, panel, n, 1.0)
            for i in range(j + 1):
                at = matrix + (i * n_tiles + j) * AREA
                add_product(scratch, at, scaled + i * BATCH * TILE, panel, n, 1.0)
    return total


@part
def solve_exactly(
    start, stop, indices, values, scratch, other, n_factors, n_tiles, alpha, w0, ridge
):
    """x = A^-1 b into the solution; returns what remains of the row's sum, NaN if A is singular."""
    _, border, _, _, matrix, gram = places(n_tiles)
    for i in range(0, n_tiles * n_tiles * AREA, TILE):
        copy_line(scratch, matrix + i, scratch, gram + i)
    for i in range(0, 2 * n_tiles * TILE, TILE):
        clear_line(scratch, border + i)
    total = add_normal_equations(
        start, stop, indices, values, scratch, other, n_tiles, alpha, w0
    )
    add_ridge(scratch, n_factors, n_tiles, ridge)
    if not factorize(scratch, n_tiles):
        return np.nan
    back_substitute(scratch, n_tiles, np.float32(0.0))
    # b'x = |y|^2 for U'y = b, the second lines of the border.
    explained = 0.0
    for i in range(n_tiles):
        for a in range(TILE):
            explained += np.float64(scratch[border + 2 * TILE * i + TILE + a]) ** 2
    return total - explained


@part
def gather(start, stop, indices, values, scratch, other, n_tiles, alpha, w0):
    """Fill the blocks with the ratings of one row; returns sum_j c_j."""
    _, _, _, _, blocks, size = rooms(places(n_tiles)[5], n_tiles)
    total = 0.0
    for first in range(start, stop, TILE):
        block = blocks + (first - start) // TILE * size
        weights = block + n_tiles * AREA
        n = min(TILE, stop - first)
        for line in range(0, 3 * TILE, TILE):
            clear_line(scratch, weights + line)
        for t in range(n):
            c = 1.0 + alpha * values[first + t]
            total += c
            scratch[weights + t] = c
            scratch[weights + TILE + t] = c - w0
            q = indices[first + t] * n_tiles * TILE
            for j in range(n_tiles):
                copy_line(scratch, block + j * AREA + t * TILE, other, q + j * TILE)
        for t in range(min(TILE, len(indices) - first - AHEAD)):
            q = indices[first + AHEAD + t] * n_tiles * TILE
            for j in range(n_tiles):
                prefetch_line(other, q + j * TILE)
    return total


@part
def dot(scratch, a, b, n_tiles):
    """The inner product of two vectors of n_tiles lines."""
    total = 0.0
    for i in range(n_tiles * TILE):
        total += np.float64(scratch[a + i]) * np.float64(scratch[b + i])
    return total


@part
def multiply(scratch, to, x, target, ridge, n_blocks, n_tiles):
    """`to` = target b - A x."""
    gram = places(n_tiles)[5]
    _, _, _, _, blocks, size = rooms(gram, n_tiles)
    for i in range(n_tiles * TILE):
        scratch[to + i] = -ridge * scratch[x + i]
    for i in range(n_tiles):
        add_rows(scratch, to + i * TILE, gram + i * n_tiles * AREA, x, n_tiles, -1.0)
    for block in range(n_blocks):
        tiles = blocks + block * size
        add_errors(scratch, to, tiles, x, n_tiles, tiles + n_tiles * AREA, target)


@part
def descend(start, stop, indices, values, scratch, other, n_tiles, alpha, w0, ridge):
    """Move the solution, from where it stands, by conjugate gradients towards A^-1 b.

    Returns what remains of the row's sum. Cost: (STEPS + 1) (2 n n_factors + n_factors^2)
    multiplications for n ratings. Hestenes and Stiefel 1952.
    """
    _, _, x, _, _, gram = places(n_tiles)
    _, r, p, Ap, blocks, size = rooms(gram, n_tiles)
    n_blocks = (stop - start + TILE - 1) // TILE
    remains = gather(start, stop, indices, values, scratch, other, n_tiles, alpha, w0)
    for step in range(STEPS + 1):
        if step == 0:
            to, at, target = r, x, np.float32(1.0)
        else:
            to, at, target = Ap, p, np.float32(0.0)
        multiply(scratch, to, at, target, ridge, n_blocks, n_tiles)
        if step == 0:
            # sum c - b'x - r'x
            for block in range(n_blocks):
                tally = blocks + block * size + n_tiles * AREA + 2 * TILE
                for t in range(TILE):
                    remains -= scratch[tally + t]
            remains -= dot(scratch, r, x, n_tiles)
            old = dot(scratch, r, r, n_tiles)
            for i in range(n_tiles * TILE):
                scratch[p + i] = scratch[r + i]
            continue
        # Ap holds -A p
        curvature = -dot(scratch, Ap, p, n_tiles)
        if not curvature > 0.0:
            break
        length = np.float32(old / curvature)
        for i in range(n_tiles * TILE):
            scratch[x + i] += length * scratch[p + i]
            scratch[r + i] += length * scratch[Ap + i]
        remains -= old * old / curvature
        new = dot(scratch, r, r, n_tiles)
        ratio = np.float32(new / old)
        for i in range(n_tiles * TILE):
            scratch[p + i] = scratch[r + i] + ratio * scratch[p + i]
        old = new
    return remains


@kernel
def solve_rows(
    begin, end, indptr, indices, values, ridges, this, losses, other, gram, scratch,
    alpha, w0, longest, n_factors, n_tiles,
):  # fmt: skip
    """Solve the rows begin to end of `this`; losses gets what remains of the sum of each.

    indptr, indices, values: CSR, int64, int32, float32. ridges (n_rows,) float64. this, other:
    flat float32, 16 n_tiles factors a row, those from n_factors on zero. losses (n_rows,) float64:
    NaN for a row that cannot be solved. gram: its tiles, flat. Rows of more than `longest` ratings
    are solved exactly, those without ratings get zeros.
    """
    _, _, x, _, _, at = places(n_tiles)
    for i in range(0, n_tiles * n_tiles * AREA, TILE):
        copy_line(scratch, at + i, gram, i)
    for row in range(begin, end):
        first = row * n_tiles * TILE
        n = indptr[row + 1] - indptr[row]
        losses[row] = 0.0
        if n == 0:
            for i in range(0, n_tiles * TILE, TILE):
                clear_line(this, first + i)
            continue
        ridge = ridges[row]
        if n > longest:
            losses[row] = solve_exactly(
                indptr[row], indptr[row + 1], indices, values, scratch, other,
                n_factors, n_tiles, alpha, w0, ridge,
            )  # fmt: skip
        else:
            for i in range(0, n_tiles * TILE, TILE):
                copy_line(scratch, x + i, this, first + i)
            losses[row] = descend(
                indptr[row], indptr[row + 1], indices, values, scratch, other,
                n_tiles, alpha, w0, np.float32(ridge),
            )  # fmt: skip
        for i in range(0, n_tiles * TILE, TILE):
            copy_line(this, first + i, scratch, x + i)


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
