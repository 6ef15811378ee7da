"""Rows of a Bayesian factorization: each one's normal posterior, given the other side's.

For a row x = [p b] with ratings r_j of the rows [q_j c_j] of the other side, themselves normal with
covariances S_j, t_j = r_j - mu - c_j, z_j = [q_j 1] and the prior x ~ N(0, L^-1):

    H = sum_j z_j z_j' + sum_j [S_j,qq 0; 0 0],   g = sum_j t_j z_j - sum_j [S_j,qc 0]
    x ~ N(m, S),   m = (H + L / tau)^-1 g,   S = (H + L / tau)^-1 / tau

The S_j come as one mean covariance for each class of rows: n_c of a row's ratings in class c add
n_c S_c. Everything is an ALS row (kernels/als.py) with more than a ridge added to it; A there is
the factors' part of H + L / tau, s and `weight` border it. With z = U^-T s, v = A^-1 s and
d = weight - z'z the inverse of the whole is [A^-1 + v v' / d, -v / d; -v' / d, 1 / d].

A *block* is a symmetric matrix over factors, in tiles of which those below the diagonal are unused,
and after them its column of the bias: n_tiles^2 tiles and n_tiles lines, flat. The scratch array
begins as that of ALS, and goes on at the places of `layout`:

    panels     n_tiles panels  of 16 n_tiles + 1 lines: columns of U^-T, and the line below them
    identity   a tile
    mean       n_tiles lines   m, without the bias
    spreads    a block         the sum of S over the rows
    squares    a block         the sum of m m' over the rows
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels import als
from duckmf.kernels.als import (
    FlatSide,
    add_ridge,
    back_substitute,
    factorize,
    normal_equations,
    places,
    solve_bias,
)
from duckmf.kernels.jit import kernel, part
from duckmf.kernels.sparse import Csr
from duckmf.kernels.tiles import (
    AREA,
    TILE,
    add_product,
    add_rows,
    add_scaled_lines,
    add_squares,
    clear_line,
    combine_lines,
    copy_line,
    set_product,
)


class Likelihood(NamedTuple):
    """What the ratings say of the rows that are solved."""

    rows: Csr
    other: FlatSide  # the side that stays as it is
    classes: NDArray[np.int16]  # of each of its rows
    spreads: NDArray[np.float32]  # flat, a block to a class: the S_c; none where they are zero
    bias_spreads: NDArray[np.float64]  # (n_classes,): their last numbers
    mu: float  # with the mean of the prior
    n_factors: int
    n_tiles: int
    is_judged: bool  # whether the squared errors are asked for


class Prior(NamedTuple):
    """The prior of the rows that are solved."""

    precision: NDArray[np.float32]  # a block: L / tau
    bias_precision: float  # its last number
    mean: float  # of biases; that of factors is zero
    tau: float


class Posterior(NamedTuple):
    """What is found of each row."""

    means: FlatSide  # m
    variances: FlatSide  # the diagonal of S
    sse: NDArray[np.float64]  # (n_rows,): sums of squared errors, if asked for; NaN: not solvable
    left: NDArray[np.float64]  # (n_rows,): sum_j (t_j^2 + S_j,cc) - m'g


def block_size(n_tiles: int) -> int:
    """The floats of a block."""
    return n_tiles * (n_tiles * AREA + TILE)


size_of_block = part(block_size)


def layout(n_tiles: int) -> tuple[int, ...]:
    """Where panels, identity, mean, spreads and squares begin, and where they end."""
    panels = als.layout(n_tiles)[-1]
    identity = panels + n_tiles * (n_tiles * TILE + 1) * TILE
    mean = identity + AREA
    spreads = mean + n_tiles * TILE
    squares = spreads + block_size(n_tiles)
    return panels, identity, mean, spreads, squares, squares + block_size(n_tiles)


@part
def own_places(n_tiles):
    """`layout`, for kernels."""
    panels = places(n_tiles)[5]
    identity = panels + n_tiles * (n_tiles * TILE + 1) * TILE
    mean = identity + AREA
    spreads = mean + n_tiles * TILE
    squares = spreads + size_of_block(n_tiles)
    return panels, identity, mean, spreads, squares


@part
def add_block(scratch, n_tiles, blocks, at, factor, column, column_factor):
    """Add factor times the block at `at` to A, and column_factor times its column to another one.

    column: the first of the lines, which are two lines apart.
    """
    matrix = places(n_tiles)[4]
    for i in range(n_tiles):
        tile, n = i * (n_tiles + 1) * AREA, (n_tiles - i) * TILE
        add_scaled_lines(scratch, matrix + tile, blocks, at + tile, factor, n)
        line = at + n_tiles * n_tiles * AREA + i * TILE
        add_scaled_lines(scratch, column + 2 * i * TILE, blocks, line, column_factor, 1)


@part
def add_spreads(row, likelihood, scratch, n_tiles, counts):
    """Add sum_c n_c S_c to A and subtract its column of the bias from b; returns sum_j S_j,cc.

    counts: zeros, (n_classes,), and zeros again at the end.
    """
    b = places(n_tiles)[1] + TILE
    indptr, indices, _ = likelihood.rows
    for t in range(indptr[row], indptr[row + 1]):
        counts[likelihood.classes[indices[t]]] += 1
    total = 0.0
    for c in range(len(counts)):
        if counts[c] > 0:
            n = np.float32(counts[c])
            add_block(scratch, n_tiles, likelihood.spreads, c * size_of_block(n_tiles), n, b, -n)
            total += counts[c] * likelihood.bias_spreads[c]
            counts[c] = 0
    return total


@part
def invert_factor_transposed(scratch, n_tiles):
    """B = U^-T into the panels, on and below the diagonal.

    Cost: n_factors^3 / 6 multiplications, beside those within diagonal tiles.
    """
    _, _, _, spare, matrix, panels = places(n_tiles)
    identity, height = own_places(n_tiles)[1], (n_tiles * TILE + 1) * TILE
    # B_ii = V_i', B_ci = -V_c' sum_p U_pc' B_pi
    for i in range(n_tiles):
        B = panels + i * height
        set_product(scratch, B + i * AREA, matrix + i * (n_tiles + 1) * AREA, identity)
        for c in range(i + 1, n_tiles):
            for line in range(0, AREA, TILE):
                clear_line(scratch, spare + line)
            for p in range(i, c):
                U = matrix + (p * n_tiles + c) * AREA
                add_product(scratch, spare, U, B + p * AREA, TILE, -1.0)
            set_product(scratch, B + c * AREA, matrix + c * (n_tiles + 1) * AREA, spare)


@part
def solve_twice(scratch, n_tiles, bias):
    """m = U^-1 (y - bias z), kept, and v = U^-1 z in the solution. y is gone."""
    _, border, solution, _, _, _ = places(n_tiles)
    mean = own_places(n_tiles)[2]
    back_substitute(scratch, n_tiles, np.float32(bias))
    for i in range(n_tiles):
        copy_line(scratch, mean + i * TILE, scratch, solution + i * TILE)
        clear_line(scratch, border + (2 * i + 1) * TILE)
    back_substitute(scratch, n_tiles, np.float32(-1.0))


@part
def spread_row(scratch, n_tiles, left, bias, tau, variances, at):
    """S of the row, its diagonal into the variances from `at` on; adds it, and m m', to the sums.

    left: d. With [B; v' / d^1/2] for B, whose lines the panels hold, tau S_qq is B'B. Returns S_bb.
    """
    _, _, v, spare, _, panels = places(n_tiles)
    _, _, mean, spreads, squares = own_places(n_tiles)
    height, of_tau = (n_tiles * TILE + 1) * TILE, np.float32(1.0 / tau)
    invert_factor_transposed(scratch, n_tiles)
    for i in range(n_tiles):
        line = panels + (i + 1) * height - TILE
        combine_lines(scratch, line, 1.0 / np.sqrt(left), v + i * TILE, 0.0, v, 1)
    for j in range(n_tiles):
        n = (n_tiles - j) * TILE + 1
        right = panels + j * height + j * AREA
        for i in range(j + 1):
            tile = (i * n_tiles + j) * AREA
            lines = panels + i * height + j * AREA
            add_product(scratch, spreads + tile, lines, right, n, of_tau)
            add_product(scratch, squares + tile, mean + i * TILE, mean + j * TILE, 1, 1.0)
        clear_line(scratch, spare)
        add_squares(scratch, spare, right, n)
        combine_lines(scratch, spare, of_tau, spare, 0.0, spare, 1)
        copy_line(variances, at + j * TILE, scratch, spare)
    column = n_tiles * n_tiles * AREA
    of_bias = np.float32(of_tau / left)
    line = spreads + column
    combine_lines(scratch, line, 1.0, line, -of_bias, v, n_tiles)
    line = squares + column
    combine_lines(scratch, line, 1.0, line, np.float32(bias), mean, n_tiles)
    return of_bias


@part
def squared_errors(row, likelihood, scratch, n_tiles, bias):
    """The sum of squared errors of a row, 16 ratings at a time. The panels are gone."""
    indptr, indices, values = likelihood.rows
    other = likelihood.other
    _, _, _, scores, _, tiles = places(n_tiles)
    mean = own_places(n_tiles)[2]
    total = 0.0
    for first in range(indptr[row], indptr[row + 1], TILE):
        n = min(TILE, indptr[row + 1] - first)
        for t in range(n):
            q = indices[first + t] * n_tiles * TILE
            for j in range(n_tiles):
                copy_line(scratch, tiles + j * AREA + t * TILE, other.factors, q + j * TILE)
        clear_line(scratch, scores)
        add_rows(scratch, scores, tiles, mean, n_tiles, 1.0)
        for t in range(n):
            i = indices[first + t]
            e = values[first + t] - likelihood.mu - other.bias[i] - bias - scratch[scores + t]
            total += e * e
    return total


@kernel
def solve_rows(begin, end, posterior, places_of_rows, likelihood, prior, scratch):
    """Find the posteriors of the rows at places_of_rows[begin:end], each of which has ratings.

    places_of_rows: (n,) int64. The scratch comes as zeros with an identity tile, and goes with the
    sums over these rows. Cost: n (n_factors^2 / 2 + 3 n_factors) multiplications for n ratings, as
    many for each class that they are in, and n_factors^3 / 2.
    """
    n_factors, n_tiles = likelihood.n_factors, likelihood.n_tiles
    mean, width = own_places(n_tiles)[2], n_tiles * TILE
    means, variances = posterior.means, posterior.variances
    counts = np.zeros(len(likelihood.bias_spreads), np.int64)
    for place in range(begin, end):
        row = places_of_rows[place]
        total, squares = normal_equations(row, likelihood, scratch, n_tiles)
        if len(counts) > 0:
            squares += add_spreads(row, likelihood, scratch, n_tiles, counts)
        one, s = np.float32(1.0), places(n_tiles)[1]
        add_block(scratch, n_tiles, prior.precision, 0, one, s, one)
        add_ridge(scratch, n_factors, n_tiles, 0.0)
        if not factorize(scratch, n_tiles):
            posterior.sse[row] = np.nan
            continue
        n = likelihood.rows.indptr[row + 1] - likelihood.rows.indptr[row]
        bias, explained, left = solve_bias(scratch, n_tiles, total, n + prior.bias_precision)
        solve_twice(scratch, n_tiles, bias)
        for i in range(0, width, TILE):
            copy_line(means.factors, row * width + i, scratch, mean + i)
        means.bias[row] = bias + prior.mean
        posterior.left[row] = squares - explained
        variances.bias[row] = spread_row(
            scratch, n_tiles, left, bias, prior.tau, variances.factors, row * width
        )
        if likelihood.is_judged:
            posterior.sse[row] = squared_errors(row, likelihood, scratch, n_tiles, bias)
