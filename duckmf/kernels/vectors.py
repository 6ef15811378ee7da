"""Vector instructions, written into kernels where LLVM does not vectorize by itself.

An operation stands in its file twice: as a plain function, which defines it and runs where the JIT
is off, and as an intrinsic, which writes the instructions that a compiled kernel gets in its place.
"""

from __future__ import annotations

from llvmlite import ir
from numba import config

FUSED = ("contract",)


def replaced_by(operation):
    """Let the intrinsic `operation` stand for the plain function in compiled kernels."""
    return lambda function: function if config.DISABLE_JIT else operation


class Writer:
    """Writes instructions into a kernel, on the array that is one of its arguments.

    A line is what a vector holds: `lanes` numbers of a float32 array.
    """

    def __init__(self, context, builder, signature, arguments, array=0, lanes=16):
        view = context.make_array(signature.args[array])
        self.data = view(context, builder, arguments[array]).data
        self.builder = builder
        self.lanes = lanes
        self.vector = ir.VectorType(ir.FloatType(), lanes)
        self.undefined = ir.Constant(self.vector, ir.Undefined)

    def constant(self, numbers):
        """A vector of numbers that are known."""
        return ir.Constant(self.vector, numbers)

    def place(self, start, offset=0):
        """The address of the number `offset` behind `start`, whatever its type."""
        return self.builder.gep(self.data, [self.builder.add(start, start.type(offset))])

    def line(self, start, offset=0):
        """The address of a line."""
        return self.builder.bitcast(self.place(start, offset), self.vector.as_pointer())

    def load(self, start, offset=0):
        """A line."""
        return self.builder.load(self.line(start, offset), align=4)

    def store(self, vector, start, offset=0):
        """Write a line."""
        self.builder.store(vector, self.line(start, offset), align=4)

    def load_everywhere(self, start, offset):
        """One float in all lanes."""
        return self.everywhere(self.builder.load(self.place(start, offset)))

    def everywhere(self, scalar):
        """A scalar in all lanes."""
        lane = ir.IntType(32)(0)
        return self.spread(self.builder.insert_element(self.undefined, scalar, lane), 0)

    def spread(self, vector, lane):
        """One lane of a vector in all lanes."""
        return self.shuffle(vector, self.undefined, [lane] * self.lanes)

    def shuffle(self, x, y, lanes):
        """Those lanes of x, from 0, and y, from `self.lanes` on, that `lanes` lists."""
        indices = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), lanes)
        return self.builder.shuffle_vector(x, y, indices)

    def multiply_add(self, x, y, total):
        """x y + total."""
        return self.builder.fadd(total, self.builder.fmul(x, y, flags=FUSED), flags=FUSED)

    def sums(self, n, count, step):
        """`count` sums over t = 0 .. n - 1, in registers; step(t, sums) gives them with term t."""
        builder = self.builder
        entry, head = builder.block, builder.append_basic_block("head")
        body, done = builder.append_basic_block("body"), builder.append_basic_block("done")
        builder.branch(head)
        builder.position_at_end(head)
        t = builder.phi(n.type)
        sums = [builder.phi(self.vector) for _ in range(count)]
        builder.cbranch(builder.icmp_signed("<", t, n), body, done)
        builder.position_at_end(body)
        for total, more in zip(sums, step(t, sums), strict=True):
            total.add_incoming(self.constant([0.0] * self.lanes), entry)
            total.add_incoming(more, body)
        t.add_incoming(n.type(0), entry)
        t.add_incoming(builder.add(t, n.type(1)), body)
        builder.branch(head)
        builder.position_at_end(done)
        return sums
