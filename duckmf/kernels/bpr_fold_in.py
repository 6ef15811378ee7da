"""Rows of Bayesian personalized ranking alone, by the steps of `bpr.descend` that are theirs.

`seed`, from 1 to STATES - 1, is where the chance of every row starts, so that a row does not depend
on the others. A line of `rates` (n_epochs, 4) float32 has an epoch's columns LR to KEEP_B.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.bpr import KEEP_B, KEEP_I, KEEP_U, LR, along, bounded
from duckmf.kernels.draws import Sampling, advance, bits, draw_row
from duckmf.kernels.jit import kernel, part


class Compared(NamedTuple):
    """The items that rows are compared with, and how they are drawn."""

    bi: NDArray[np.float32]  # (n_items,)
    Q: NDArray[np.float32]  # (n_items, f)
    sampling: Sampling


class Choosers(NamedTuple):
    """Who chose the items that are solved, and how often the items are compared."""

    indptr: NDArray[np.int64]  # (n_rows + 1,)
    users: NDArray[np.int32]  # (indptr[-1],), those of a row sorted, rows of P
    kept: NDArray[np.int32]  # (n_rows,), the chance of each positive of a row in an epoch
    shares: NDArray[np.float32]  # (n_rows,), how often an epoch has a row for a negative
    P: NDArray[np.float32]  # (n_users, f)


class History(NamedTuple):
    """All positives, by user."""

    indptr: NDArray[np.int64]  # (n_users + 1,)
    users: NDArray[np.int32]  # (n,), rows of P
    items: NDArray[np.int32]  # (n,), those of a user sorted, rows of Q


@part
def holds(indices, begin, end, code):
    """Whether a code is among the sorted indices begin to end - 1."""
    place = begin + np.searchsorted(indices[begin:end], np.int32(code))
    return place < end and indices[place] == code


@part
def step_of(lr, x):
    """lr z, z = sigma(-x)."""
    one = np.float32(1)
    return lr * (one / (one + np.exp(x)))


@kernel
def descend_users(this, begin, end, indptr, indices, compared, rates, seed):
    """Solve the rows begin to end - 1 of P alone.

    `indptr`, `indices`: the positives of each row, sorted. Written: this (n_rows, f) float32, from
    zero. O(n n_epochs f).
    """
    bi, Q, sampling = compared
    for row in range(begin, end):
        p = this[row]
        p[:] = np.float32(0)
        first, last = indptr[row], indptr[row + 1]
        state = int(seed)
        for epoch in range(len(rates)):
            lr, keep = rates[epoch, LR], rates[epoch, KEEP_U]
            for n in range(first, last):
                i = np.uintp(indices[n])
                state = advance(state)
                if bits(state) > sampling.kept[i]:
                    continue
                drawn, state = draw_row(state, 0, len(Q), sampling)
                j = np.uintp(drawn)
                if holds(indices, first, last, j):
                    continue
                qi = Q[i]
                qj = Q[j]
                # x = s_ui - s_uj
                dot = along(p, qi, qj)
                x = bounded(bi[i] - bi[j] + dot)
                # p += lr (z (q_i - q_j) - reg p)
                step = step_of(lr, x)
                for f in range(len(p)):
                    p[f] = keep * p[f] + step * (qi[f] - qj[f])


@part
def follow(q, keep, step, p):
    """q = keep q + step p."""
    for f in range(len(q)):
        q[f] = keep * q[f] + step * p[f]


@kernel
def descend_items(this, bias, begin, end, choosers, history, compared, rates, seed):
    """Solve the rows begin to end - 1 of Q alone.

    A row takes each of its positives once an epoch, by its chance; and its share of times, evenly
    between them, it is the negative of a positive of another item. Written: this (n_rows, f), bias
    (n_rows,) float32, from zero. O((n + shares) n_epochs f).
    """
    indptr, users, kept, shares, P = choosers
    seen_indptr, seen_users, seen_items = history
    bi, Q, sampling = compared
    for row in range(begin, end):
        q = this[row]
        q[:] = np.float32(0)
        b = np.float32(0)
        first, last = indptr[row], indptr[row + 1]
        own = max(last - first, 1)
        due = 0.0
        state = int(seed)
        for epoch in range(len(rates)):
            lr, keep, keep_b = rates[epoch, LR], rates[epoch, KEEP_I], rates[epoch, KEEP_B]
            for n in range(first, first + own):
                state = advance(state)
                if n < last and bits(state) <= kept[row]:
                    u = np.uintp(users[n])
                    drawn, state = draw_row(state, 0, len(Q), sampling)
                    j = np.uintp(drawn)
                    if not holds(seen_items, seen_indptr[u], seen_indptr[u + np.uintp(1)], j):
                        p = P[u]
                        # x = s_ui - s_uj
                        dot = along(p, q, Q[j])
                        x = bounded(b - bi[j] + dot)
                        # q += lr (z p - reg q),  b += lr (z - reg_b b)
                        step = step_of(lr, x)
                        b = keep_b * b + step
                        follow(q, keep, step, p)
                due += shares[row] / own
                while due >= 1.0:
                    due -= 1.0
                    state = advance(state)
                    other = (bits(state) * len(seen_items)) >> 31
                    i = np.uintp(seen_items[other])
                    state = advance(state)
                    if bits(state) > sampling.kept[i]:
                        continue
                    u = np.uintp(seen_users[other])
                    if holds(users, first, last, u):
                        continue
                    p = P[u]
                    # x = s_ui - s_uj, j being this item
                    dot = along(p, Q[i], q)
                    x = bounded(bi[i] - b + dot)
                    # q -= lr (z p + reg q),  b -= lr (z + reg_b b)
                    step = step_of(lr, x)
                    b = keep_b * b - step
                    follow(q, keep, -step, p)
        bias[row] = b
