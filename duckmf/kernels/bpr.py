"""Bayesian personalized ranking: draw a negative for each positive, and step on the triple."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.draws import ALWAYS, advance, bits, draw_row
from duckmf.kernels.jit import kernel, part

# slots of a visit's table for each positive in it
SLOTS = 4
# columns of a side of a visit
BEGIN, END, FIRST, SIZE, CHANCE, ORIGIN = range(6)
# columns of rates: the step, and what one keeps of p, of q and of b, 1 - lr reg
LR, KEEP_U, KEEP_I, KEEP_B = range(4)
# Margins count to here: exp(60) and its inverse are numbers of float32.
FAR = np.float32(60)


class Pairs(NamedTuple):
    """The positives."""

    users: NDArray[np.int32]  # (n,), rows of P
    items: NDArray[np.int32]  # (n,), rows of Q


class Matrices(NamedTuple):
    """What is learnt."""

    bi: NDArray[np.float32]  # (n_items,)
    P: NDArray[np.float32]  # (n_users, f)
    Q: NDArray[np.float32]  # (n_items, f)


class Free(NamedTuple):
    """The rows that move."""

    users: NDArray[np.bool_]  # (n_users,)
    items: NDArray[np.bool_]  # (n_items,)


@part
def find(slots, width, key):
    """Where the key stands in the first 2^width slots, or the free one (-1) where it would."""
    at = (((key & ALWAYS) * 2654435769) >> (32 - width)) & ((1 << width) - 1)
    while slots[at] >= 0 and slots[at] != key:
        at = (at + 1) & ((1 << width) - 1)
    return at


@part
def tabulate(slots, visit, pairs, n_rows):
    """Put the numbers of a visit's positives into the first 2^width slots; returns the width."""
    n_positives = 0
    for side in range(2):
        n_positives += visit[side, END] - visit[side, BEGIN]
    width = 1
    while (1 << width) < SLOTS * n_positives:
        width += 1
    for slot in range(1 << width):
        slots[slot] = -1
    for side in range(2):
        for n in range(visit[side, BEGIN], visit[side, END]):
            key = int(pairs.users[n]) * n_rows + int(pairs.items[n]) + int(visit[side, ORIGIN])
            slots[find(slots, width, key)] = key
    return width


@part
def along(p, x, y):
    """<p, x - y>."""
    dot = np.float32(0)
    for f in range(len(p)):
        dot += p[f] * (x[f] - y[f])
    return dot


@part
def bounded(x):
    """A margin that exp can take."""
    return min(max(x, -FAR), FAR)


@part
def move(p, qi, qj, free_u, free_i, free_j, rates, step):
    """Those of the three rows that are free take their step, lr z.

    p += lr (z (q_i - q_j) - reg p), q_i += lr (z p - reg q_i), q_j -= lr (z p + reg q_j).
    """
    keep_u, keep_i = rates[KEEP_U], rates[KEEP_I]
    for f in range(len(p)):
        pf = p[f]
        qif = qi[f]
        qjf = qj[f]
        if free_u:
            p[f] = keep_u * pf + step * (qif - qjf)
        if free_i:
            qi[f] = keep_i * qif + step * pf
        if free_j:
            qj[f] = keep_i * qjf - step * pf


@kernel
def descend(totals, slots, matrices, visits, states, pairs, sampling, free, rates):
    """One step for each positive of some visits whose negative was not seen.

    A visit has two sides, (n_visits, 2, 6) int64: its positives BEGIN to END - 1 of `pairs`, the
    item rows FIRST, FIRST + 1, ... (SIZE of them) that they are of, by CHANCE of 2^31 a negative is
    one of the other side, and the pair (u, i) has the number u (SIZE of both) + i + ORIGIN >= 0.
    `states` (n_visits,) int64 are from 1 to STATES - 1. Where `free` is None all rows move, and the
    kernel is compiled without. `slots` is scratch, 2 SLOTS times as long as a visit. Written:
    matrices, and `totals` (n_visits, 2) float64: the sum of -ln sigma(x) of all triples with a row
    that moves, each before its step, and their number. O(n f).
    """
    bi, P, Q = matrices
    one = np.float32(1)
    lr, keep_b = rates[LR], rates[KEEP_B]
    for v in range(len(visits)):
        visit = visits[v]
        n_rows = int(visit[0, SIZE] + visit[1, SIZE])
        width = tabulate(slots, visit, pairs, n_rows)
        state = int(states[v])
        loss = 0.0
        product = 1.0
        n_triples = 0
        longest = max(visit[0, END] - visit[0, BEGIN], visit[1, END] - visit[1, BEGIN])
        for both in range(2 * longest):
            side = both & 1
            n = visit[side, BEGIN] + (both >> 1)
            if n >= visit[side, END]:
                continue
            u = np.uintp(pairs.users[n])
            i = np.uintp(pairs.items[n])
            state = advance(state)
            if bits(state) > sampling.kept[i]:
                continue
            state = advance(state)
            of = 1 - side if bits(state) < visit[side, CHANCE] else side
            row, state = draw_row(state, visit[of, FIRST], visit[of, SIZE], sampling)
            j = np.uintp(row)
            key = int(pairs.users[n]) * n_rows + int(j) + int(visit[of, ORIGIN])
            if slots[find(slots, width, key)] == key:
                continue
            free_u = free_i = free_j = True
            if free is not None:
                free_u, free_i, free_j = free.users[u], free.items[i], free.items[j]
                if not (free_u or free_i or free_j):
                    continue
            p = P[u]
            qi = Q[i]
            qj = Q[j]
            # x = s_ui - s_uj
            dot = along(p, qi, qj)
            x = bounded(bi[i] - bi[j] + dot)
            # -ln sigma(x) = ln(1 + exp(-x)), and sigma(-x) = exp(-x) / (1 + exp(-x))
            odds = np.exp(-x)
            product *= 1.0 + np.float64(odds)
            if product > 1e250:
                loss += np.log(product)
                product = 1.0
            n_triples += 1
            step = lr * (odds / (one + odds))
            # b_i += lr (z - reg_b b_i),  b_j -= lr (z + reg_b b_j)
            if free_i:
                bi[i] = keep_b * bi[i] + step
            if free_j:
                bi[j] = keep_b * bi[j] - step
            move(p, qi, qj, free_u, free_i, free_j, rates, step)
        totals[v, 0] = loss + np.log(product)
        totals[v, 1] = n_triples
