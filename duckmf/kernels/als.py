"""Explicit ALS: each row's ridge regression against the fixed side, by its normal equations.

For a row with ratings r_j of the rows q_j of the other side, and targets t_j = r_j - mu - b_j,

    minimize  sum_j (t_j - <x, q_j> - beta)^2 + ridge |x|^2 + bias_ridge beta^2

The matrix A = sum_j q_j q_j' + ridge I is held as its upper triangle in tiles of 16 x 16, one
vector register to a line of a tile, and all of its work is one product of tiles. beta borders it:
the columns s = sum_j q_j and b = sum_j t_j q_j stand beside A as a further column of tiles.

A kernel works in a flat float32 scratch array aligned to 64 bytes, laid out by `layout`:

    gathered   n_tiles panels of BATCH x 16    the q_j of a batch, 16 factors to a panel
    targets    BATCH x 2                       (1, t_j) of the batch
    border     n_tiles blocks of 2 x 16        s and b
    solution   n_tiles * 16                    x
    spare      16 x 16
    matrix     n_tiles x (n_tiles + 1) tiles   A, beside it s and b; below the diagonal unused
"""

from __future__ import annotations

import numpy as np

from duckmf.kernels.jit import kernel
from duckmf.kernels.tiles import (
    AREA,
    TILE,
    add_border,
    add_product,
    copy_line,
    prefetch_line,
    invert_factor,
    set_product,
)

# Ratings gathered at a time.
BATCH = 32
# The share of A's trace below which a ridge is lost to the rounding of float32.
RIDGE_FLOOR = 5e-7
# Where the search for nonnegative factors ends.
TOLERANCE = 1e-7
SWEEPS = 1000


def layout(n_tiles: int) -> tuple[int, ...]:
    """Where targets, border, solution, spare and matrix begin in the scratch, and where it ends."""
    targets = n_tiles * BATCH * TILE
    border = targets + 2 * BATCH
    solution = border + 2 * TILE * n_tiles
    spare = solution + TILE * n_tiles
    matrix = spare + AREA
    return targets, border, solution, spare, matrix, matrix + n_tiles * (n_tiles + 1) * AREA


places = kernel(layout)


@kernel
def normal_equations(start, stop, indices, values, scratch, other, other_bias, n_tiles, mu):
    """Sum A (without its ridge) and the border over the ratings start to stop of one row.

    Returns sum_j t_j and sum_j t_j^2. Cost: n (n_factors^2 / 2 + 2 n_factors) multiplications.
    """
    targets, border, _, _, matrix, _ = places(n_tiles)
    for i in range(n_tiles):
        at = matrix + (i * (n_tiles + 1) + i) * AREA
        for j in range((n_tiles - i) * AREA):
            scratch[at + j] = 0.0
    for j in range(2 * TILE * n_tiles):
        scratch[border + j] = 0.0
    total, squares = 0.0, 0.0
    for first in range(start, stop, BATCH):
        n = min(BATCH, stop - first)
        ahead = min(n, len(indices) - first - BATCH)
        for t in range(n):
            code = indices[first + t]
            target = values[first + t] - mu - other_bias[code]
            total += target
            squares += target * target
            scratch[targets + 2 * t] = 1.0
            scratch[targets + 2 * t + 1] = target
        for j in range(n_tiles):
            panel = j * BATCH * TILE
            for t in range(n):
                code = indices[first + t]
                copy_line(scratch, panel + t * TILE, other, (code * n_tiles + j) * TILE)
            for t in range(ahead):
                code = indices[first + BATCH + t]
                prefetch_line(other, (code * n_tiles + j) * TILE)
            add_border(scratch, border + 2 * TILE * j, targets, panel, n)
            for i in range(j + 1):
                at = matrix + (i * (n_tiles + 1) + j) * AREA
                add_product(scratch, at, i * BATCH * TILE, panel, n, 1.0)
    return total, squares


@kernel
def add_ridge(scratch, n_factors, n_tiles, ridge):
    """A += ridge I, the identity in the padding; returns the ridge, raised to what float32 sees."""
    matrix = places(n_tiles)[4]
    trace = 0.0
    for i in range(n_factors):
        trace += scratch[matrix + (i // TILE) * (n_tiles + 2) * AREA + (i % TILE) * (TILE + 1)]
    ridge = max(ridge, RIDGE_FLOOR * trace)
    for i in range(TILE * n_tiles):
        at = matrix + (i // TILE) * (n_tiles + 2) * AREA + (i % TILE) * (TILE + 1)
        scratch[at] = scratch[at] + ridge if i < n_factors else 1.0
    return ridge


@kernel
def border_columns(scratch, n_tiles):
    """Copy s and b to the first two columns of the tiles beside A, and zero the others."""
    _, border, _, _, matrix, _ = places(n_tiles)
    for i in range(n_tiles):
        at = matrix + (i * (n_tiles + 1) + n_tiles) * AREA
        for j in range(AREA):
            scratch[at + j] = 0.0
        for j in range(TILE):
            scratch[at + TILE * j] = scratch[border + 2 * TILE * i + j]
            scratch[at + TILE * j + 1] = scratch[border + 2 * TILE * i + TILE + j]


@kernel
def factorize(scratch, n_tiles):
    """A = U'U in place, with each diagonal tile inverted, and U'^-1 (s b) beside it.

    Returns whether A is positive definite. Cost: n_factors^3 / 6 multiplications.
    """
    _, _, _, spare, matrix, _ = places(n_tiles)
    wide = n_tiles + 1
    for p in range(n_tiles):
        diagonal = matrix + (p * wide + p) * AREA
        if not invert_factor(scratch, diagonal):
            return False
        # U_pj = U_pp'^-1 A_pj
        for j in range(p + 1, wide):
            at = matrix + (p * wide + j) * AREA
            set_product(scratch, spare, diagonal, at)
            for i in range(0, AREA, TILE):
                copy_line(scratch, at + i, scratch, spare + i)
        # A_ij -= U_pi' U_pj
        for i in range(p + 1, n_tiles):
            left = matrix + (p * wide + i) * AREA
            for j in range(i, wide):
                at, right = matrix + (i * wide + j) * AREA, matrix + (p * wide + j) * AREA
                add_product(scratch, at, left, right, TILE, -1.0)
    return True


@kernel
def back_substitute(scratch, n_tiles, bias):
    """Solve U x = y - bias * z, where z and y stand beside U, into the solution."""
    _, _, solution, spare, matrix, _ = places(n_tiles)
    wide = n_tiles + 1
    for i in range(n_tiles - 1, -1, -1):
        beside = matrix + (i * wide + n_tiles) * AREA
        for a in range(TILE):
            rest = scratch[beside + TILE * a + 1] - bias * scratch[beside + TILE * a]
            for j in range(i + 1, n_tiles):
                line = matrix + (i * wide + j) * AREA + TILE * a
                for b in range(TILE):
                    rest -= scratch[line + b] * scratch[solution + TILE * j + b]
            scratch[spare + a] = rest
        for a in range(TILE):
            x = np.float32(0.0)
            line = matrix + (i * wide + i) * AREA + TILE * a
            for b in range(TILE):
                x += scratch[line + b] * scratch[spare + b]
            scratch[solution + TILE * i + a] = x


@kernel
def solve_bias(scratch, n_tiles, total, weight):
    """beta = (total - z'y) / (weight - z'z), of the system whose border is (s, weight | total)."""
    matrix = places(n_tiles)[4]
    zy, zz = 0.0, 0.0
    for i in range(n_tiles):
        beside = matrix + (i * (n_tiles + 1) + n_tiles) * AREA
        for a in range(TILE):
            z = np.float64(scratch[beside + TILE * a])
            zy += z * scratch[beside + TILE * a + 1]
            zz += z * z
    return (total - zy) / max(weight - zz, RIDGE_FLOOR * weight)


@kernel
def solve_rows(
    begin, end, indptr, indices, values, this, this_bias, sse,
    other, other_bias, scratch, mu, n_factors, reg, bias_reg, scaling,
):  # fmt: skip
    """Solve the rows begin to end of `this` and `this_bias`; sse gets their squared errors.

    indptr, indices, values: CSR, int64, int32, float32. this (n_rows, padded), other (n_others,
    padded) float32, padded to whole tiles with zeros; biases float32; sse (n_rows,) float64, NaN
    for a row that cannot be solved. The penalties are reg * n^scaling and bias_reg * n^scaling for
    a row of n ratings; a row without ratings gets zeros.
    """
    n_tiles = other.shape[1] // TILE
    flat = other.ravel()
    border, solution = places(n_tiles)[1], places(n_tiles)[2]
    for row in range(begin, end):
        x = this[row]
        n = indptr[row + 1] - indptr[row]
        if n == 0:
            for i in range(TILE * n_tiles):
                x[i] = 0.0
            this_bias[row] = 0.0
            sse[row] = 0.0
            continue
        total, squares = normal_equations(
            indptr[row], indptr[row + 1], indices, values, scratch, flat, other_bias, n_tiles, mu
        )
        penalty = float(n) ** scaling
        ridge = add_ridge(scratch, n_factors, n_tiles, reg * penalty)
        bias_ridge = bias_reg * penalty
        border_columns(scratch, n_tiles)
        if not factorize(scratch, n_tiles):
            sse[row] = np.nan
            continue
        bias = solve_bias(scratch, n_tiles, total, n + bias_ridge)
        back_substitute(scratch, n_tiles, np.float32(bias))
        # sum e^2 = sum t^2 - b'x - total beta - ridge |x|^2 - bias_ridge beta^2 at the minimum
        explained = bias * (total + bias_ridge * bias)
        for i in range(TILE * n_tiles):
            x[i] = scratch[solution + i]
        for i in range(n_tiles):
            b = border + 2 * TILE * i + TILE
            for j in range(TILE):
                xj = np.float64(x[TILE * i + j])
                explained += xj * (scratch[b + j] + ridge * xj)
        this_bias[row] = bias
        sse[row] = max(squares - explained, 0.0)


@kernel
def eliminate_bias(scratch, A, b, n_tiles, total, weight):
    """A (n_factors, n_factors) and b, float64, of the system that is left without beta.

    A - s s' / weight and b - s total / weight, where beta = (total - s'x) / weight.
    """
    _, border, _, _, matrix, _ = places(n_tiles)
    for i in range(len(b)):
        at = border + i // TILE * 2 * TILE + i % TILE
        s = np.float64(scratch[at]) / weight
        b[i] = scratch[at + TILE] - s * total
        for j in range(i, len(b)):
            tile = matrix + (i // TILE * (n_tiles + 1) + j // TILE) * AREA
            sj = scratch[border + j // TILE * 2 * TILE + j % TILE]
            A[i, j] = scratch[tile + i % TILE * TILE + j % TILE] - s * sj
            A[j, i] = A[i, j]


@kernel
def descend_nonnegative(x, g, A):
    """Minimize x'Ax / 2 - b'x over x >= 0 from x and its gradient g = Ax - b, by coordinates.

    Coordinates are visited in turn, each set to its own minimum. Ends when no coordinate of a
    sweep moves by more than `TOLERANCE` of the largest, or after `SWEEPS`. All float64.
    """
    for _ in range(SWEEPS):
        largest, moved = 0.0, 0.0
        for i in range(len(x)):
            line = A[i]
            step = max(x[i] - g[i] / line[i], 0.0) - x[i]
            if step != 0.0:
                x[i] += step
                for j in range(len(x)):
                    g[j] += step * line[j]
            largest = max(largest, x[i])
            moved = max(moved, abs(step))
        if moved <= TOLERANCE * largest:
            break


@kernel
def solve_nonnegative_rows(
    begin, end, indptr, indices, values, this, this_bias, sse,
    other, other_bias, scratch, mu, n_factors, reg, bias_reg, scaling,
):  # fmt: skip
    """`solve_rows` under this >= 0; the search begins at the rows as they stand."""
    n_tiles = other.shape[1] // TILE
    flat = other.ravel()
    border = places(n_tiles)[1]
    A, b = np.empty((n_factors, n_factors)), np.empty(n_factors)
    x, g = np.empty(n_factors), np.empty(n_factors)
    for row in range(begin, end):
        n = indptr[row + 1] - indptr[row]
        if n == 0:
            for i in range(n_factors):
                this[row, i] = 0.0
            this_bias[row] = 0.0
            sse[row] = 0.0
            continue
        total, squares = normal_equations(
            indptr[row], indptr[row + 1], indices, values, scratch, flat, other_bias, n_tiles, mu
        )
        penalty = float(n) ** scaling
        ridge = add_ridge(scratch, n_factors, n_tiles, reg * penalty)
        weight = n + bias_reg * penalty
        eliminate_bias(scratch, A, b, n_tiles, total, weight)
        for i in range(n_factors):
            x[i] = this[row, i]
        for i in range(n_factors):
            g[i] = -b[i]
            for j in range(n_factors):
                g[i] += A[i, j] * x[j]
        descend_nonnegative(x, g, A)
        # sum e^2 = sum t^2 - total^2 / weight + x'(g - b) - ridge |x|^2 - bias_reg n^nu beta^2
        bias = total
        squares -= total * total / weight
        for i in range(n_factors):
            bias -= scratch[border + i // TILE * 2 * TILE + i % TILE] * x[i]
            squares += x[i] * (g[i] - b[i] - ridge * x[i])
            this[row, i] = x[i]
        this_bias[row] = bias / weight
        sse[row] = max(squares - bias_reg * penalty * (bias / weight) ** 2, 0.0)
