"""Chance, and what is drawn by it: 31 bits at a time, and rows in proportion to their weights.

Chance is a multiply-with-carry generator (Marsaglia 2003, "Random number generators", Journal of
Modern Applied Statistical Methods 2), whose products fit 63 bits: a state is carry * 2^32 + x, the
next one FACTOR x + carry, and its 31 lowest bits are what is drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.jit import kernel, part

FACTOR = 698769069
LOW = (1 << 32) - 1
STATES = FACTOR << 32
# 31 bits: what is drawn, and what is certain as a limit of that
ALWAYS = (1 << 31) - 1


class Sampling(NamedTuple):
    """By which chance a positive of an item is taken, and how often an item is a negative."""

    kept: NDArray[np.int32]  # (n_items,), a positive is taken where 31 bits are at most this
    limits: NDArray[np.int32]  # (n_items,), as `draw_tables` makes them
    aliases: NDArray[np.int32]  # (n_items,)


@part
def advance(state):
    """The state that follows one from 1 to STATES - 1."""
    return FACTOR * (state & LOW) + (state >> 32)


@part
def bits(state):
    """The 31 bits of a state."""
    return state & ALWAYS


@part
def draw_row(state, first, size, sampling):
    """A row of the cell first, first + 1, ... (`size` of them), and the state it was drawn by."""
    state = advance(state)
    row = int(first) + ((bits(state) * int(size)) >> 31)
    state = advance(state)
    return row if bits(state) <= sampling.limits[row] else sampling.aliases[row], state


@kernel
def draw_tables(weights, bounds, limits, aliases):
    """Tables from which the rows of each cell are drawn in proportion to their weights.

    Cell c holds the rows bounds[c] to bounds[c + 1] - 1; `weights` (n_rows,) float64 are >= 0.
    Written: `limits`, `aliases` (n_rows,) int32. A row drawn evenly stays where the next 31 bits
    are at most its limit, else becomes its alias (Walker 1977; Vose 1991). O(n_rows).
    """
    rest = np.empty(len(weights), np.float64)
    small = np.empty(len(weights), np.int64)
    large = np.empty(len(weights), np.int64)
    for c in range(len(bounds) - 1):
        begin, end = bounds[c], bounds[c + 1]
        total = 0.0
        for row in range(begin, end):
            total += weights[row]
        n_small = 0
        n_large = 0
        for row in range(begin, end):
            limits[row] = ALWAYS
            aliases[row] = row
            if total > 0:
                rest[row] = weights[row] * (end - begin) / total
                if rest[row] < 1:
                    small[n_small] = row
                    n_small += 1
                else:
                    large[n_large] = row
                    n_large += 1
        while n_small > 0 and n_large > 0:
            row = small[n_small - 1]
            giver = large[n_large - 1]
            n_small -= 1
            limits[row] = int(rest[row] * 2147483648.0) - 1
            aliases[row] = giver
            rest[giver] -= 1 - rest[row]
            if rest[giver] < 1:
                n_large -= 1
                small[n_small] = giver
                n_small += 1
