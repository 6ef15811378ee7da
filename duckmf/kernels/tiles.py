"""Algebra of 16 x 16 tiles in a flat float32 array.

A tile, a line of 16 and a pair of lines are named by the place where they begin. The vectors of a
compiled kernel are a line each: one AVX-512 register, or several narrower ones.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from duckmf.kernels.vectors import Writer, replaced_by

TILE = 16
AREA = TILE * TILE
# Lines of a product that are summed at a time: as many as the vector registers hold.
STRIP = 16 if binding.get_host_cpu_features().get("avx512f") else 4
# A product of pairs sums this many lines side by side, so that none waits for the one before.
WAYS = 4

VECTOR = ir.VectorType(ir.FloatType(), TILE)
ZERO, ONE = ir.Constant(VECTOR, [0.0] * TILE), ir.Constant(VECTOR, [1.0] * TILE)


def aligned(size: int) -> NDArray[np.float32]:
    """Zeros (size,) float32 that start at a cache line, so that no line straddles two."""
    array = np.zeros(size + TILE, np.float32)
    skipped = -array.ctypes.data // array.itemsize % TILE
    return array[skipped : skipped + size]


class _Tiles(Writer):
    """Writes the operations of tiles, whose lines are vectors."""

    def totals(self, vectors):
        """The sums of 16 vectors, that of vector a in lane a."""
        # Half of the vectors, each with the pairwise sums of two, until one is left.
        even, odd = list(range(0, 2 * TILE, 2)), list(range(1, 2 * TILE, 2))
        while len(vectors) > 1:
            vectors = [
                self.builder.fadd(self.shuffle(a, b, even), self.shuffle(a, b, odd))
                for a, b in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        return vectors[0]

    def products(self, left, right, n, lines, stride, ways=1):
        """The first `lines` lines of L'R, for L with `stride` floats to a line and R with 16.

        `ways` lines of L and R are taken at a time, n times.
        """
        builder = self.builder

        def step(t, sums):
            sums = list(sums)
            a = builder.add(left, builder.mul(t, t.type(ways * stride)))
            b = builder.add(right, builder.mul(t, t.type(ways * TILE)))
            for way in range(ways):
                line = self.load(b, way * TILE)
                for i in range(lines):
                    x, k = self.load_everywhere(a, way * stride + i), way * lines + i
                    sums[k] = self.multiply_add(x, line, sums[k])
            return sums

        sums = self.sums(n, ways * lines, step)
        while len(sums) > lines:
            half = len(sums) // 2
            sums = [builder.fadd(x, y) for x, y in zip(sums[:half], sums[half:], strict=True)]
        return sums


def _lines(array, at, n):
    return array[at : at + n * TILE].reshape(n, TILE)


@intrinsic
def _add_product(typing, array, c, left, right, n, sign):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, c, left, right, n, sign = arguments
        for strip in range(0, TILE, STRIP):
            first = builder.add(left, left.type(strip))
            for i, total in enumerate(emit.products(first, right, n, STRIP, TILE)):
                place = (strip + i) * TILE
                old = emit.load(c, place)
                emit.store(emit.multiply_add(emit.everywhere(sign), total, old), c, place)
        return context.get_dummy_value()

    place = types.intp
    return types.void(array, place, place, place, place, types.float32), generate


@replaced_by(_add_product)
def add_product(array, c, left, right, n, sign):
    """C += sign * L'R for L (n, 16), R (n, 16) and the tile C."""
    L, R = _lines(array, left, n), _lines(array, right, n)
    array[c : c + AREA] += np.float32(sign) * (L.T @ R).ravel()


@intrinsic
def _set_product(typing, array, c, left, right):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, c, left, right = arguments
        for strip in range(0, TILE, STRIP):
            first = builder.add(left, left.type(strip))
            totals = emit.products(first, right, left.type(TILE), STRIP, TILE)
            for i, total in enumerate(totals):
                emit.store(total, c, (strip + i) * TILE)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp), generate


@replaced_by(_set_product)
def set_product(array, c, left, right):
    """C = L'R for three different tiles."""
    L, R = _lines(array, left, TILE), _lines(array, right, TILE)
    array[c : c + AREA] = (L.T @ R).ravel()


@intrinsic
def _add_pair_product(typing, array, c, left, right, n, sign):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, c, left, right, n, sign = arguments
        steps = builder.sdiv(builder.add(n, n.type(WAYS - 1)), n.type(WAYS))
        for i, total in enumerate(emit.products(left, right, steps, 2, 2, WAYS)):
            old = emit.load(c, i * TILE)
            emit.store(emit.multiply_add(emit.everywhere(sign), total, old), c, i * TILE)
        return context.get_dummy_value()

    place = types.intp
    return types.void(array, place, place, place, place, types.float32), generate


@replaced_by(_add_pair_product)
def add_pair_product(array, c, left, right, n, sign):
    """C += sign * L'R for L (n, 2), R (n, 16) and C (2, 16).

    L must be zero from line n to the next multiple of WAYS, and R finite.
    """
    L, R = array[left : left + 2 * n].reshape(n, 2), _lines(array, right, n)
    array[c : c + 2 * TILE] += np.float32(sign) * (L.T @ R).ravel()


@intrinsic
def _add_rows(typing, array, to, tiles, x, n, sign):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, to, tiles, x, n, sign = arguments

        def step(t, sums):
            at = builder.add(tiles, builder.mul(t, t.type(AREA)))
            line = emit.load(builder.add(x, builder.mul(t, t.type(TILE))))
            return [
                emit.multiply_add(emit.load(at, a * TILE), line, total)
                for a, total in enumerate(sums)
            ]

        total = emit.totals(emit.sums(n, TILE, step))
        emit.store(emit.multiply_add(emit.everywhere(sign), total, emit.load(to)), to)
        return context.get_dummy_value()

    place = types.intp
    return types.void(array, place, place, place, place, types.float32), generate


@replaced_by(_add_rows)
def add_rows(array, to, tiles, x, n, sign):
    """The line at `to` += sign * sum_j T_j x_j, of n tiles and n lines that follow each other."""
    for j in range(n):
        line = array[x + TILE * j : x + TILE * (j + 1)]
        product = _lines(array, tiles + AREA * j, TILE) @ line
        array[to : to + TILE] += np.float32(sign) * product


@intrinsic
def _add_errors(typing, array, to, tiles, x, n, confidences, first, w0, target, tally):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        given = _Tiles(context, builder, signature, arguments, array=5)
        _, to, tiles, x, n, _, first, w0, target, tally = arguments

        def score(j, sums):
            at = builder.add(tiles, builder.mul(j, j.type(AREA)))
            line = emit.load(builder.add(x, builder.mul(j, j.type(TILE))))
            return [
                emit.multiply_add(emit.load(at, a * TILE), line, total)
                for a, total in enumerate(sums)
            ]

        scores = emit.totals(emit.sums(n, TILE, score))
        c = given.load(first)
        gain = builder.fmul(c, emit.everywhere(target))
        pull = builder.fsub(emit.everywhere(w0), c)
        errors = emit.multiply_add(pull, scores, gain)
        emit.store(emit.multiply_add(gain, scores, emit.load(tally)), tally)
        spread = [emit.spread(errors, t) for t in range(TILE)]

        def combine(j, _):
            at = builder.add(tiles, builder.mul(j, j.type(AREA)))
            line = builder.add(to, builder.mul(j, j.type(TILE)))
            ways = [emit.load(line), *[ZERO] * (WAYS - 1)]
            for t in range(TILE):
                way = t % WAYS
                ways[way] = emit.multiply_add(spread[t], emit.load(at, t * TILE), ways[way])
            while len(ways) > 1:
                ways = [builder.fadd(a, b) for a, b in zip(ways[::2], ways[1::2], strict=True)]
            emit.store(ways[0], line)
            return []

        emit.sums(n, 0, combine)
        return context.get_dummy_value()

    place, factor = types.intp, types.float32
    places = (place, place, place, place)
    return types.void(array, *places, confidences, place, factor, factor, place), generate


@replaced_by(_add_errors)
def add_errors(array, to, tiles, x, n, confidences, first, w0, target, tally):
    """y += sum_t (target c_t - (c_t - w0) s_t) q_t for the scores s_t = <q_t, x> of 16 rows q_t.

    y, at `to`, and x are n lines, the rows lie in n tiles that follow each other; the c_t are those
    from `first` on. target c_t s_t is added to the line `tally`.
    """
    T = array[tiles : tiles + n * AREA].reshape(n, TILE, TILE)
    c = confidences[first : first + TILE]
    scores = np.einsum("jtf,jf->t", T, _lines(array, x, n))
    gain = np.float32(target) * c
    array[tally : tally + TILE] += gain * scores
    errors = gain - (c - np.float32(w0)) * scores
    array[to : to + n * TILE] += np.einsum("t,jtf->jf", errors, T).ravel()


@intrinsic
def _invert_factor(typing, array, at):
    """D = R' diag(R)^-1 R by elimination; with S = diag(R)^-1 R, U^-1 is S^-1 diag(R)^-1/2."""

    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, at = arguments
        R = [emit.load(at, t * TILE) for t in range(TILE)]
        S, pivots = [], ONE
        for t in range(TILE):
            own = ir.Constant(ir.VectorType(ir.IntType(1), TILE), [j == t for j in range(TILE)])
            pivots = builder.select(own, R[t], pivots)
            S.append(builder.fmul(R[t], builder.fdiv(ONE, emit.spread(R[t], t))))
            for s in range(t + 1, TILE):
                R[s] = emit.multiply_add(builder.fneg(emit.spread(R[t], s)), S[t], R[s])
        V = [ir.Constant(VECTOR, [float(j == t) for j in range(TILE)]) for t in range(TILE)]
        for t in range(TILE - 1, -1, -1):
            for s in range(t):
                V[s] = emit.multiply_add(builder.fneg(emit.spread(S[s], t)), V[t], V[s])
        sqrt = ir.FunctionType(VECTOR, [VECTOR])
        sqrt = cgutils.get_or_insert_function(builder.module, sqrt, "llvm.sqrt.v16f32")
        scale = builder.fdiv(ONE, builder.call(sqrt, [pivots]))
        for t in range(TILE):
            emit.store(builder.fmul(V[t], scale), at, t * TILE)
        positive = builder.bitcast(builder.fcmp_ordered(">", pivots, ZERO), ir.IntType(TILE))
        return builder.icmp_unsigned("==", positive, ir.IntType(TILE)(2**TILE - 1))

    return types.boolean(array, types.intp), generate


@replaced_by(_invert_factor)
def invert_factor(array, at):
    """Replace the tile D = U'U by the inverse of U; whether D was positive definite."""
    D = _lines(array, at, TILE)
    for t in range(TILE):
        for s in range(t + 1, TILE):
            D[s] -= D[t, s] / D[t, t] * D[t]
    pivots = D.diagonal().copy()
    V = np.eye(TILE, dtype=np.float32)
    for t in range(TILE - 1, -1, -1):
        for s in range(t):
            V[s] -= D[s, t] / pivots[s] * V[t]
    D[:] = V / np.sqrt(pivots)
    return bool(np.all(pivots > 0))


@intrinsic
def _interleave(typing, array, to, pair):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, to, pair = arguments
        a, b = emit.load(pair), emit.load(pair, TILE)
        lanes = [lane for i in range(TILE) for lane in (i, TILE + i)]
        emit.store(emit.shuffle(a, b, lanes[:TILE]), to)
        emit.store(emit.shuffle(a, b, lanes[TILE:]), to, TILE)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@replaced_by(_interleave)
def interleave(array, to, pair):
    """Copy a pair of lines, (2, 16), as (16, 2)."""
    array[to : to + 2 * TILE] = _lines(array, pair, 2).T.ravel()


@intrinsic
def _combine_lines(typing, array, to, a, x, b, y, n):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, to, a, x, b, y, n = arguments
        a, b = emit.everywhere(a), emit.everywhere(b)

        def step(t, _):
            line = builder.mul(t, t.type(TILE))
            first = builder.fmul(a, emit.load(builder.add(x, line)))
            total = emit.multiply_add(b, emit.load(builder.add(y, line)), first)
            emit.store(total, builder.add(to, line))
            return []

        emit.sums(n, 0, step)
        return context.get_dummy_value()

    place, factor = types.intp, types.float32
    return types.void(array, place, factor, place, factor, place, place), generate


@replaced_by(_combine_lines)
def combine_lines(array, to, a, x, b, y, n):
    """The n lines at `to` = a x + b y."""
    size = n * TILE
    array[to : to + size] = (
        np.float32(a) * array[x : x + size] + np.float32(b) * array[y : y + size]
    )


@intrinsic
def _inner_product(typing, array, x, y, n):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, x, y, n = arguments

        def step(t, sums):
            line = builder.mul(t, t.type(TILE))
            a, b = emit.load(builder.add(x, line)), emit.load(builder.add(y, line))
            return [emit.multiply_add(a, b, sums[0])]

        (lanes,) = emit.sums(n, 1, step)
        half = TILE
        while half := half // 2:
            low = emit.shuffle(lanes, emit.undefined, [(i + half) % TILE for i in range(TILE)])
            lanes = builder.fadd(lanes, low)
        return builder.fpext(builder.extract_element(lanes, ir.IntType(32)(0)), ir.DoubleType())

    return types.float64(array, types.intp, types.intp, types.intp), generate


@replaced_by(_inner_product)
def inner_product(array, x, y, n):
    """<x, y> of n lines each."""
    return float(array[x : x + n * TILE] @ array[y : y + n * TILE])


@intrinsic
def _add_squares(typing, array, to, x, n):
    def generate(context, builder, signature, arguments):
        emit = _Tiles(context, builder, signature, arguments)
        _, to, x, n = arguments

        def step(t, sums):
            line = emit.load(builder.add(x, builder.mul(t, t.type(TILE))))
            return [emit.multiply_add(line, line, sums[0])]

        (total,) = emit.sums(n, 1, step)
        emit.store(builder.fadd(total, emit.load(to)), to)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp), generate


@replaced_by(_add_squares)
def add_squares(array, to, x, n):
    """The line at `to` += the sum of the squares of n lines, lane by lane."""
    array[to : to + TILE] += np.square(_lines(array, x, n)).sum(axis=0)


@intrinsic
def _clear_line(typing, array, at):
    def generate(context, builder, signature, arguments):
        _Tiles(context, builder, signature, arguments).store(ZERO, arguments[1])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@replaced_by(_clear_line)
def clear_line(array, at):
    """Set a line to zero."""
    array[at : at + TILE] = 0.0


@intrinsic
def _copy_line(typing, array, to, source, start):
    def generate(context, builder, signature, arguments):
        target = _Tiles(context, builder, signature, arguments)
        source = _Tiles(context, builder, signature, arguments, array=2)
        target.store(source.load(arguments[3]), arguments[1])
        return context.get_dummy_value()

    return types.void(array, types.intp, source, types.intp), generate


@replaced_by(_copy_line)
def copy_line(array, to, source, start):
    """Copy a line of another array."""
    array[to : to + TILE] = source[start : start + TILE]


@intrinsic
def _copy_scaled_line(typing, array, to, source, start, factor):
    def generate(context, builder, signature, arguments):
        target = _Tiles(context, builder, signature, arguments)
        source = _Tiles(context, builder, signature, arguments, array=2)
        factor = target.everywhere(arguments[4])
        target.store(builder.fmul(source.load(arguments[3]), factor), arguments[1])
        return context.get_dummy_value()

    return types.void(array, types.intp, source, types.intp, types.float32), generate


@replaced_by(_copy_scaled_line)
def copy_scaled_line(array, to, source, start, factor):
    """Copy a line of another array, times a factor."""
    array[to : to + TILE] = np.float32(factor) * source[start : start + TILE]


@intrinsic
def _add_scaled_lines(typing, array, to, source, start, factor, n):
    def generate(context, builder, signature, arguments):
        target = _Tiles(context, builder, signature, arguments)
        source = _Tiles(context, builder, signature, arguments, array=2)
        _, to, _, start, factor, n = arguments
        factor = target.everywhere(factor)

        def step(t, _):
            line = builder.mul(t, t.type(TILE))
            at = builder.add(to, line)
            more = source.load(builder.add(start, line))
            target.store(target.multiply_add(factor, more, target.load(at)), at)
            return []

        target.sums(n, 0, step)
        return context.get_dummy_value()

    place = types.intp
    return types.void(array, place, source, place, types.float32, place), generate


@replaced_by(_add_scaled_lines)
def add_scaled_lines(array, to, source, start, factor, n):
    """The n lines at `to` += factor times those of another array."""
    array[to : to + n * TILE] += np.float32(factor) * source[start : start + n * TILE]


@intrinsic
def _prefetch_line(typing, array, at):
    def generate(context, builder, signature, arguments):
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        prefetch = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, prefetch, "llvm.prefetch.p0")
        line = _Tiles(context, builder, signature, arguments).line(arguments[1])
        read, soon, data = number(0), number(3), number(1)
        builder.call(prefetch, [builder.bitcast(line, byte), read, soon, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@replaced_by(_prefetch_line)
def prefetch_line(array, at):
    """Begin to load a line that will be needed soon."""
