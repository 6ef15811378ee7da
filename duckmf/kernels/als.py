"""Explicit ALS: each row's ridge regression against the fixed side, by its normal equations.

For a row with ratings r_j of the rows q_j of the other side, and targets t_j = r_j - mu - b_j,

    minimize  sum_j (t_j - <x, q_j> - beta)^2 + ridge |x|^2 + bias_ridge beta^2

The matrix A = sum_j q_j q_j' + ridge I is held as its upper triangle in tiles of 16 x 16, and
nearly all of its work is one product of tiles. beta borders it: the lines s = sum_j q_j and
b = sum_j t_j q_j go through the same factorization, a pair of lines for each column of tiles.

A kernel works in a flat float32 scratch array aligned to 64 bytes, at the places of `layout`:

    gathered   n_tiles panels of BATCH x 16    the q_j of a batch, 16 factors to a panel
    targets    BATCH x 2                       (1, t_j) of the batch
    border     n_tiles pairs of 16             s and b
    solution   n_tiles lines of 16             x
    spare      a tile
    matrix     n_tiles x n_tiles tiles         A; below the diagonal unused
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.jit import kernel, part
from duckmf.kernels.sparse import Csr
from duckmf.kernels.tiles import (
    AREA,
    TILE,
    WAYS,
    add_pair_product,
    add_product,
    add_rows,
    clear_line,
    copy_line,
    interleave,
    invert_factor,
    prefetch_line,
    set_product,
)

# Ratings gathered at a time: a multiple of WAYS.
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
    return targets, border, solution, spare, matrix, matrix + n_tiles * n_tiles * AREA


places = part(layout)


class FlatSide(NamedTuple):
    """Factors and biases of all rows of a side."""

    factors: NDArray[np.float32]  # flat, 16 n_tiles to a row, those from n_factors on zero
    bias: NDArray[np.float32]  # (n_rows,)


class Regressions(NamedTuple):
    """What is minimized in each row."""

    rows: Csr
    weights: NDArray[np.float64]  # (n_rows,), what multiplies the penalties of a row
    reg: float
    bias_reg: float
    other: FlatSide
    mu: float
    n_factors: int
    n_tiles: int


@part
def clear(scratch, n_tiles):
    """Set A and the border to zero."""
    _, border, _, _, matrix, _ = places(n_tiles)
    for i in range(n_tiles):
        clear_line(scratch, border + 2 * TILE * i)
        clear_line(scratch, border + 2 * TILE * i + TILE)
        for line in range(TILE * (n_tiles - i)):
            clear_line(scratch, matrix + i * (n_tiles + 1) * AREA + line * TILE)


@part
def normal_equations(row, regressions, scratch, n_tiles):
    """Sum A (without its ridge) and the border over the ratings of one row.

    Returns sum_j t_j and sum_j t_j^2. Cost: n (n_factors^2 / 2 + 2 n_factors) multiplications for n
    ratings.
    """
    indptr, indices, values = regressions.rows
    other, mu = regressions.other, regressions.mu
    start, stop = indptr[row], indptr[row + 1]
    targets, border, _, _, matrix, _ = places(n_tiles)
    clear(scratch, n_tiles)
    total, squares = 0.0, 0.0
    for first in range(start, stop, BATCH):
        n = min(BATCH, stop - first)
        for t in range(n):
            target = values[first + t] - mu - other.bias[indices[first + t]]
            total += target
            squares += target * target
            scratch[targets + 2 * t] = 1.0
            scratch[targets + 2 * t + 1] = target
        for t in range(2 * n, 2 * min(n + WAYS, BATCH)):
            scratch[targets + t] = 0.0
        # The ratings one batch ahead, of this row or the next, are fetched meanwhile.
        ahead = min(n, len(indices) - first - BATCH)
        for j in range(n_tiles):
            panel = j * BATCH * TILE
            for t in range(n):
                q = indices[first + t] * n_tiles * TILE
                copy_line(scratch, panel + t * TILE, other.factors, q + j * TILE)
            for t in range(ahead):
                q = indices[first + BATCH + t] * n_tiles * TILE
                prefetch_line(other.factors, q + j * TILE)
            add_pair_product(scratch, border + 2 * TILE * j, targets, panel, n, 1.0)
            for i in range(j + 1):
                at = matrix + (i * n_tiles + j) * AREA
                add_product(scratch, at, i * BATCH * TILE, panel, n, 1.0)
    return total, squares


@part
def add_ridge(scratch, n_factors, n_tiles, ridge):
    """A += ridge I, the identity in the padding; returns the ridge, raised to what float32 sees."""
    matrix = places(n_tiles)[4]
    trace = 0.0
    for i in range(n_tiles):
        diagonal = matrix + i * (n_tiles + 1) * AREA
        for a in range(min(TILE, n_factors - TILE * i)):
            trace += scratch[diagonal + a * (TILE + 1)]
    ridge = max(ridge, RIDGE_FLOOR * trace)
    for i in range(n_tiles):
        diagonal = matrix + i * (n_tiles + 1) * AREA
        for a in range(TILE):
            scratch[diagonal + a * (TILE + 1)] += ridge if TILE * i + a < n_factors else 1.0
    return ridge


@part
def factorize(scratch, n_tiles):
    """A = U'U in place, its diagonal tiles inverted: V_p = U_pp^-1; the border becomes (s b) U^-1.

    Returns whether A is positive definite. Cost: n_factors^3 / 6 multiplications.
    """
    _, border, _, spare, matrix, _ = places(n_tiles)
    for p in range(n_tiles):
        diagonal = matrix + p * (n_tiles + 1) * AREA
        if not invert_factor(scratch, diagonal):
            return False
        # U_pj = V_p' A_pj
        for j in range(1, n_tiles - p):
            at = diagonal + j * AREA
            set_product(scratch, spare, diagonal, at)
            for line in range(0, AREA, TILE):
                copy_line(scratch, at + line, scratch, spare + line)
        # (z y)_p = (s b)_p V_p
        pair = border + 2 * TILE * p
        interleave(scratch, spare, pair)
        clear_line(scratch, pair)
        clear_line(scratch, pair + TILE)
        add_pair_product(scratch, pair, spare, diagonal, TILE, 1.0)
        interleave(scratch, spare, pair)
        # A_ij -= U_pi' U_pj, (s b)_j -= (z y)_p U_pj
        for j in range(1, n_tiles - p):
            right = diagonal + j * AREA
            add_pair_product(scratch, pair + 2 * TILE * j, spare, right, TILE, -1.0)
            for i in range(1, j + 1):
                at = matrix + ((p + i) * n_tiles + p + j) * AREA
                add_product(scratch, at, diagonal + i * AREA, right, TILE, -1.0)
    return True


@part
def solve_bias(scratch, n_tiles, total, weight):
    """beta, from the system's last line (s, weight | total), and what the minimum takes off |t|^2.

    beta = (total - z'y) / (weight - z'z), and |y|^2 + beta (total - z'y). Last, weight - z'z.
    """
    border = places(n_tiles)[1]
    yy, zy, zz = 0.0, 0.0, 0.0
    for i in range(n_tiles):
        pair = border + 2 * TILE * i
        for a in range(TILE):
            z, y = np.float64(scratch[pair + a]), np.float64(scratch[pair + TILE + a])
            yy += y * y
            zy += z * y
            zz += z * z
    left = max(weight - zz, RIDGE_FLOOR * weight)
    bias = (total - zy) / left
    return bias, yy + bias * (total - zy), left


@part
def back_substitute(scratch, n_tiles, bias):
    """Solve U x = y - bias * z into the solution."""
    _, border, solution, spare, matrix, _ = places(n_tiles)
    for i in range(n_tiles - 1, -1, -1):
        diagonal, x = matrix + i * (n_tiles + 1) * AREA, solution + TILE * i
        z, y = border + 2 * TILE * i, border + 2 * TILE * i + TILE
        for a in range(TILE):
            scratch[spare + a] = scratch[y + a] - bias * scratch[z + a]
        # x_i = V_i (y_i - bias z_i - sum_j U_ij x_j)
        add_rows(scratch, spare, diagonal + AREA, x + TILE, n_tiles - 1 - i, -1.0)
        clear_line(scratch, x)
        add_rows(scratch, x, diagonal, spare, 1, 1.0)


@part
def clear_row(this, sse, row, n_tiles):
    """What a row without ratings gets."""
    for i in range(n_tiles):
        clear_line(this.factors, (row * n_tiles + i) * TILE)
    this.bias[row] = 0.0
    sse[row] = 0.0


@part
def keep_solution(this, row, scratch, n_tiles):
    """Write the solution into a row; returns |x|^2."""
    x, solution = row * n_tiles * TILE, places(n_tiles)[2]
    size = 0.0
    for i in range(0, n_tiles * TILE, TILE):
        copy_line(this.factors, x + i, scratch, solution + i)
        for j in range(TILE):
            size += np.float64(scratch[solution + i + j]) ** 2
    return size


@kernel
def solve_rows(begin, end, this, sse, regressions, scratch):
    """Solve the rows begin to end of `this`; sse gets their squared errors.

    sse (n_rows,) float64: NaN for a row that cannot be solved. A row without ratings gets zeros.
    """
    indptr, weights = regressions.rows.indptr, regressions.weights
    n_factors, n_tiles = regressions.n_factors, regressions.n_tiles
    for row in range(begin, end):
        n = indptr[row + 1] - indptr[row]
        if n == 0:
            clear_row(this, sse, row, n_tiles)
            continue
        total, squares = normal_equations(row, regressions, scratch, n_tiles)
        ridge = add_ridge(scratch, n_factors, n_tiles, regressions.reg * weights[row])
        bias_ridge = regressions.bias_reg * weights[row]
        if not factorize(scratch, n_tiles):
            sse[row] = np.nan
            continue
        bias, explained, _ = solve_bias(scratch, n_tiles, total, n + bias_ridge)
        back_substitute(scratch, n_tiles, np.float32(bias))
        size = keep_solution(this, row, scratch, n_tiles)
        this.bias[row] = bias
        # What remains of the objective, less its penalties.
        sse[row] = max(squares - explained - ridge * size - bias_ridge * bias * bias, 0.0)


@part
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
            tile = matrix + (i // TILE * n_tiles + j // TILE) * AREA
            sj = scratch[border + j // TILE * 2 * TILE + j % TILE]
            A[i, j] = scratch[tile + i % TILE * TILE + j % TILE] - s * sj
            A[j, i] = A[i, j]


@part
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


@part
def gradient(g, A, b, x):
    """g = A x - b."""
    for i in range(len(x)):
        g[i] = -b[i]
        for j in range(len(x)):
            g[i] += A[i, j] * x[j]


@kernel
def solve_nonnegative_rows(begin, end, this, sse, regressions, scratch):
    """`solve_rows` under this >= 0; the search begins at the rows as they stand."""
    indptr, weights = regressions.rows.indptr, regressions.weights
    n_factors, n_tiles = regressions.n_factors, regressions.n_tiles
    border = places(n_tiles)[1]
    A, b = np.empty((n_factors, n_factors)), np.empty(n_factors)
    x, g = np.empty(n_factors), np.empty(n_factors)
    for row in range(begin, end):
        first = row * n_tiles * TILE
        n = indptr[row + 1] - indptr[row]
        if n == 0:
            clear_row(this, sse, row, n_tiles)
            continue
        total, squares = normal_equations(row, regressions, scratch, n_tiles)
        ridge = add_ridge(scratch, n_factors, n_tiles, regressions.reg * weights[row])
        bias_ridge = regressions.bias_reg * weights[row]
        weight = n + bias_ridge
        eliminate_bias(scratch, A, b, n_tiles, total, weight)
        for i in range(n_factors):
            x[i] = this.factors[first + i]
        gradient(g, A, b, x)
        descend_nonnegative(x, g, A)
        # sum e^2 = sum t^2 - total^2 / weight + x'(g - b) - ridge |x|^2 - bias_ridge beta^2
        bias = total
        squares -= total * total / weight
        for i in range(n_factors):
            bias -= scratch[border + i // TILE * 2 * TILE + i % TILE] * x[i]
            squares += x[i] * (g[i] - b[i] - ridge * x[i])
            this.factors[first + i] = x[i]
        this.bias[row] = bias / weight
        sse[row] = max(squares - bias_ridge * (bias / weight) ** 2, 0.0)
