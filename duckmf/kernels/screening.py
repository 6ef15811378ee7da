"""Screening: scores of a tile of users against a panel of items, compared in registers.

Items lie in panels of WIDTH, users in tiles of HEIGHT: as many sums as registers hold. Vectors have
one number more than there are factors, 1 for users and b_i for items.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from duckmf.kernels.vectors import Writer, replaced_by

_FEATURES = binding.get_host_cpu_features()
# Floats in a register, and users in a tile: 3 registers of items by so many users, summed at once
LANES, HEIGHT = (16, 8) if _FEATURES.get("avx512f") else (8, 4) if _FEATURES.get("avx") else (4, 8)
REGISTERS = 3
WIDTH = REGISTERS * LANES


def _reached(emit, sums, threshold, hidden):
    """A bit for each lane of a user's sums that is not below the threshold, and not hidden."""
    builder, wide = emit.builder, ir.IntType(64)
    mask = wide(0)
    for v, scores in enumerate(sums):
        # unordered: what is no number is looked at, too
        reached = builder.fcmp_unordered(">=", scores, threshold)
        bits = builder.zext(builder.bitcast(reached, ir.IntType(LANES)), wide)
        mask = builder.or_(mask, builder.shl(bits, wide(v * LANES)))
    return builder.and_(mask, builder.not_(hidden))


@intrinsic
def _screen(typing, scores, masks, panels, panel, tiles, tile, n, thresholds, low, hidden, row):
    def generate(context, builder, signature, arguments):
        scores, masks, panels, tiles, thresholds, hidden = (
            Writer(context, builder, signature, arguments, array, LANES)
            for array in (0, 1, 2, 4, 7, 9)
        )
        _, _, _, panel, _, tile, n, _, low, _, row = arguments
        number, wide = n.type, ir.IntType(64)

        def step(t, sums):
            q = builder.add(panel, builder.mul(t, number(WIDTH)))
            p = builder.add(tile, builder.mul(t, number(HEIGHT)))
            Q = [panels.load(q, v * LANES) for v in range(REGISTERS)]
            more = []
            for u in range(HEIGHT):
                x = tiles.load_everywhere(p, u)
                own = sums[u * REGISTERS : (u + 1) * REGISTERS]
                more += [panels.multiply_add(x, y, total) for y, total in zip(Q, own, strict=True)]
            return more

        sums = panels.sums(n, HEIGHT * REGISTERS, step)
        found, who = [], wide(0)
        for u in range(HEIGHT):
            own = sums[u * REGISTERS : (u + 1) * REGISTERS]
            threshold = thresholds.load_everywhere(low, u)
            mask = _reached(panels, own, threshold, builder.load(hidden.place(row, u)))
            any_lane = builder.zext(builder.icmp_unsigned("!=", mask, wide(0)), wide)
            who = builder.or_(who, builder.shl(any_lane, wide(u)))
            found.append(mask)
        with builder.if_then(builder.icmp_unsigned("!=", who, wide(0)), likely=False):
            for u, mask in enumerate(found):
                builder.store(mask, masks.place(number(0), u))
            for register, total in enumerate(sums):
                scores.store(total, number(0), register * LANES)
        return who

    place = types.intp
    arrays = (scores, masks, panels, place, tiles, place, place, thresholds, place, hidden, place)
    return types.int64(*arrays), generate


@replaced_by(_screen)
def screen(scores, masks, panels, panel, tiles, tile, n, thresholds, low, hidden, row):
    """Score a tile of users against a panel: which users find a score they ask for, as bits.

    panels, tiles, hidden: flat, read from panel, tile and row on; thresholds: read from low on.
    If there are such users, masks (HEIGHT,) gets a bit for each such lane that is not hidden, and
    scores (HEIGHT * WIDTH,) all scores.
    """
    Q = panels[panel : panel + n * WIDTH].reshape(n, WIDTH)
    P = tiles[tile : tile + n * HEIGHT].reshape(n, HEIGHT)
    scores[:] = (P.T @ Q).ravel()
    reached = ~(scores.reshape(HEIGHT, WIDTH) < thresholds[low : low + HEIGHT, None])
    masks[:] = [sum(1 << int(lane) for lane in np.flatnonzero(lanes)) for lanes in reached]
    masks &= ~hidden[row : row + HEIGHT]
    return sum(1 << int(u) for u in np.flatnonzero(masks))


@intrinsic
def _first(typing, mask):
    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.int64), generate


@replaced_by(_first)
def first(mask):
    """The lowest bit of a mask that is not zero."""
    return (int(mask) & -int(mask)).bit_length() - 1


@intrinsic
def _fused(typing, x, y, total):
    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@replaced_by(_fused)
def fused(x, y, total):
    """x y + total, rounded once."""
    return np.float32(np.float64(x) * y + total)
