"""Algebra of 16 x 16 tiles in a flat float32 array: what LLVM does not vectorize by itself.

Each operation stands here twice: as a NumPy function, which defines it and runs where the JIT is
off, and as the vector instructions that compiled kernels get instead. The vectors are 16 floats
wide: one AVX-512 register, or as many narrower ones as the processor needs.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

TILE = 16
import os
LOC=int(os.environ.get('LOC','3'))
AREA = TILE * TILE
# Lines of a product that are summed at a time: as many as the vector registers hold.
STRIP = 16 if binding.get_host_cpu_features().get("avx512f") else 4

VECTOR = ir.VectorType(ir.FloatType(), TILE)
LANES = ir.VectorType(ir.IntType(32), TILE)
FUSED = ("contract",)


def _line(context, builder, signature, arguments, which, place):
    """The address of 16 floats from `place` in the float32 array that is argument `which`."""
    array = context.make_array(signature.args[which])(context, builder, arguments[which])
    return builder.bitcast(builder.gep(array.data, [place]), VECTOR.as_pointer())


def _spread(builder, vector, lane):
    """A vector with the given lane of `vector` in every lane."""
    return builder.shuffle_vector(vector, ir.Constant(VECTOR, ir.Undefined), LANES([lane] * TILE))


def _multiply_add(builder, x, y, total):
    return builder.fadd(total, builder.fmul(x, y, flags=FUSED), flags=FUSED)


def _product(lines, keep):
    """An intrinsic for `lines` lines of C (+)= sign * L'R, added to C if `keep`.

    The sums stay in vector registers over all n lines of L and R; LLVM does not find that in plain
    loops. C, L and R are places in `scratch`; a line of L is `stride` long, one of C and R 16.
    """

    @intrinsic
    def product(typing, scratch, c, left, right, n, stride, sign):
        place = types.intp
        arguments = (scratch, place, place, place, place, place, types.float32)
        return types.void(*arguments), generate

    def generate(context, builder, signature, arguments):
        _, c, left, right, n, stride, sign = arguments
        index = n.type

        def line(place):
            return _line(context, builder, signature, arguments, 0, place)

        def everywhere(scalar):
            first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, index(0))
            return _spread(builder, first, 0)

        entry, head = builder.block, builder.append_basic_block("head")
        body, done = builder.append_basic_block("body"), builder.append_basic_block("done")
        builder.branch(head)
        builder.position_at_end(head)
        t = builder.phi(index)
        sums = [builder.phi(VECTOR) for _ in range(lines)]
        builder.cbranch(builder.icmp_signed("<", t, n), body, done)
        builder.position_at_end(body)
        b = builder.load(line(builder.add(right, builder.mul(t, index(TILE)))), align=4)
        at = builder.add(left, builder.mul(t, stride))
        for i, total in enumerate(sums):
            scalar = builder.bitcast(line(builder.add(at, index(i))), ir.FloatType().as_pointer())
            a = everywhere(builder.load(scalar))
            total.add_incoming(ir.Constant(VECTOR, [0.0] * TILE), entry)
            total.add_incoming(_multiply_add(builder, a, b, total), body)
        t.add_incoming(index(0), entry)
        t.add_incoming(builder.add(t, index(1)), body)
        builder.branch(head)
        builder.position_at_end(done)
        for i, total in enumerate(sums):
            target = line(builder.add(c, index(TILE * i)))
            if keep:
                old = builder.load(target, align=4)
                total = _multiply_add(builder, everywhere(sign), total, old)
            builder.store(total, target, align=4)
        return context.get_dummy_value()

    return product


_add_strip, _set_strip = _product(STRIP, keep=True), _product(STRIP, keep=False)
_add_border = _product(2, keep=True)


def add_product(scratch, c, left, right, n, sign):
    """C += sign * L'R for L (n, 16), R (n, 16) and C (16, 16) in scratch."""
    L = scratch[left : left + n * TILE].reshape(n, TILE)
    R = scratch[right : right + n * TILE].reshape(n, TILE)
    scratch[c : c + AREA] += np.float32(sign) * (L.T @ R).ravel()


@overload(add_product)
def _add_product(scratch, c, left, right, n, sign):
    def compiled(scratch, c, left, right, n, sign):
        for i in range(0, TILE, STRIP):
            _add_strip(scratch, c + TILE * i, left + i, right, n, TILE, sign)

    return compiled


def set_product(scratch, c, left, right):
    """C = L'R for three different tiles in scratch."""
    scratch[c : c + AREA] = 0.0
    add_product(scratch, c, left, right, TILE, 1.0)


@overload(set_product)
def _set_product(scratch, c, left, right):
    def compiled(scratch, c, left, right):
        for i in range(0, TILE, STRIP):
            _set_strip(scratch, c + TILE * i, left + i, right, TILE, TILE, 1.0)

    return compiled


def add_border(scratch, c, left, right, n):
    """C += L'R for L (n, 2), R (n, 16) and C (2, 16) in scratch."""
    L = scratch[left : left + n * 2].reshape(n, 2)
    R = scratch[right : right + n * TILE].reshape(n, TILE)
    scratch[c : c + 2 * TILE] += (L.T @ R).ravel()


@overload(add_border)
def _overload_add_border(scratch, c, left, right, n):
    def compiled(scratch, c, left, right, n):
        _add_border(scratch, c, left, right, n, 2, 1.0)

    return compiled


def copy_line(target, to, source, start):
    """Copy 16 floats of the flat `source` into the flat `target`."""
    target[to : to + TILE] = source[start : start + TILE]


@overload(copy_line)
def _copy_line(target, to, source, start):
    def compiled(target, to, source, start):
        _move(target, to, source, start)

    return compiled


@intrinsic
def _move(typing, target, to, source, start):
    def generate(context, builder, signature, arguments):
        a = _line(context, builder, signature, arguments, 2, arguments[3])
        b = _line(context, builder, signature, arguments, 0, arguments[1])
        builder.store(builder.load(a, align=4), b, align=4)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), generate


def invert_factor(scratch, at):
    """Replace the tile D = U'U by the inverse of U; returns the smallest pivot, > 0 if it went."""
    D = scratch[at : at + AREA].reshape(TILE, TILE)
    smallest = np.inf
    V = np.eye(TILE, dtype=np.float32)
    for t in range(TILE):
        smallest = min(smallest, D[t, t]) if D[t, t] == D[t, t] else -1.0
        for s in range(t + 1, TILE):
            D[s] -= D[t, s] / D[t, t] * D[t]
    for t in range(TILE - 1, -1, -1):
        for s in range(t):
            V[s] -= D[s, t] / D[s, s] * V[t]
    D[:] = V / np.sqrt(np.diagonal(D))
    return smallest


@overload(invert_factor)
def _invert_factor(scratch, at):
    def compiled(scratch, at):
        return _invert_tile(scratch, at)

    return compiled


@intrinsic
def _invert_tile(typing, scratch, at):
    """D = R' diag(D)^-1 R by elimination, U = diag(D)^-1/2 R and U^-1, all in vector registers."""

    def generate(context, builder, signature, arguments):
        index = arguments[1].type
        starts = [builder.add(arguments[1], index(TILE * t)) for t in range(TILE)]
        places = [_line(context, builder, signature, arguments, 0, start) for start in starts]
        lines = [builder.load(place, align=4) for place in places]
        one, zero = ir.Constant(VECTOR, [1.0] * TILE), ir.Constant(VECTOR, [0.0] * TILE)
        pivots = one
        unit = []
        for t in range(TILE):
            select = ir.Constant(
                ir.VectorType(ir.IntType(1), TILE), [int(j == t) for j in range(TILE)]
            )
            pivots = builder.select(select, lines[t], pivots)
            inverse = builder.fdiv(one, _spread(builder, lines[t], t))
            unit.append(builder.fmul(lines[t], inverse))
            for s in range(t + 1, TILE):
                x = builder.fneg(_spread(builder, lines[t], s))
                lines[s] = _multiply_add(builder, x, unit[t], lines[s])
        V = [ir.Constant(VECTOR, [float(j == t) for j in range(TILE)]) for t in range(TILE)]
        for t in range(TILE - 1, -1, -1):
            for s in range(t):
                x = builder.fneg(_spread(builder, unit[s], t))
                V[s] = _multiply_add(builder, x, V[t], V[s])
        sqrt = ir.FunctionType(VECTOR, [VECTOR])
        sqrt = cgutils.get_or_insert_function(builder.module, sqrt, "llvm.sqrt.v16f32")
        root = builder.call(sqrt, [pivots])
        scale = builder.fdiv(one, root)
        for t in range(TILE):
            builder.store(builder.fmul(V[t], scale), places[t], align=4)
        positive = builder.fcmp_ordered(">", pivots, zero)
        bits = builder.bitcast(positive, ir.IntType(TILE))
        return builder.icmp_unsigned("==", bits, ir.IntType(TILE)(2**TILE - 1))

    return types.boolean(scratch, types.intp), generate


def prefetch_line(source, start):
    """Ask for the 16 floats of the flat `source` that will be needed soon."""


@overload(prefetch_line)
def _prefetch_line(source, start):
    def compiled(source, start):
        _prefetch(source, start)

    return compiled


@intrinsic
def _prefetch(typing, source, start):
    def generate(context, builder, signature, arguments):
        i32, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        place = _line(context, builder, signature, arguments, 0, arguments[1])
        prefetch = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        prefetch = cgutils.get_or_insert_function(builder.module, prefetch, "llvm.prefetch.p0")
        builder.call(prefetch, [builder.bitcast(place, byte), i32(0), i32(LOC), i32(1)])
        return context.get_dummy_value()

    return types.void(source, types.intp), generate
