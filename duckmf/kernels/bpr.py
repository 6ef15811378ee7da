"""Bayesian personalized ranking: draw a negative for each positive, and step on the triple.

Chance is a multiply-with-carry generator (Marsaglia 2003, "Random number generators", Journal of
Modern Applied Statistical Methods 2), whose products fit 63 bits: a state is carry * 2^32 + x, the
next one FACTOR x + carry, and its 31 lowest bits are what is drawn.
"""

from __future__ import annotations

import numpy as np

from duckmf.kernels.jit import kernel, part

FACTOR = 698769069
LOW = (1 << 32) - 1
STATES = FACTOR << 32
# 31 bits: what is drawn, and what is certain as a limit of that
ALWAYS = (1 << 31) - 1
# slots of a visit's table for each positive in it
SLOTS = 4
# columns of a side of a visit
BEGIN, END, FIRST, SIZE, CHANCE, ORIGIN = range(6)


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


@part
def find(slots, width, key):
    """Where the key stands in the first 2^width slots, or the free one (-1) where it would."""
    at = (((key & ALWAYS) * 2654435769) >> (32 - width)) & ((1 << width) - 1)
    while slots[at] >= 0 and slots[at] != key:
        at = (at + 1) & ((1 << width) - 1)
    return at


@kernel
def descend(
    totals, slots, bi, P, Q,
    visits, states, users, items, kept, limits, aliases, free_u, free_i,
    lr, keep_u, keep_i, keep_b, begin, end,
):  # fmt: skip
    """One step for each positive of the visits begin to end - 1 whose negative was not seen.

    A visit has two sides, (n_visits, 2, 6) int64: its positives BEGIN to END - 1, the item rows
    FIRST, FIRST + 1, ... (SIZE of them) that they are of, by CHANCE of 2^31 a negative is one of
    the other side, and the pair (u, i) has the number u (SIZE of both) + i + ORIGIN >= 0.
    `states` (n_visits,) int64 are from 1 to STATES - 1. `users`, `items` (n,) int32 are rows of P
    (n_users, f) and Q (n_items, f); a positive of item i is taken where 31 random bits are at most
    kept[i]; `limits`, `aliases` are those of draw_tables; keep_* are 1 - lr reg. Rows move where
    `free_u` (n_users,) and `free_i` (n_items,) bool are true; where both are None all do, and the
    kernel is compiled without. `slots` is scratch, 2 SLOTS times as long as a visit. Written: bi,
    P, Q (float32), and `totals` (n_visits, 2) float64: the sum of -ln sigma(x) of all triples with
    a row that moves, each before its step, and their number. O(n f).
    """
    n_factors = P.shape[1]
    one = np.float32(1)
    far = np.float32(60)
    for v in range(begin, end):
        # a table of the positives of the visit by their numbers, which is how a pair is found
        n_positives = 0
        for side in range(2):
            n_positives += visits[v, side, END] - visits[v, side, BEGIN]
        width = 1
        while (1 << width) < SLOTS * n_positives:
            width += 1
        for slot in range(1 << width):
            slots[slot] = -1
        n_rows = int(visits[v, 0, SIZE] + visits[v, 1, SIZE])
        for side in range(2):
            for n in range(visits[v, side, BEGIN], visits[v, side, END]):
                key = int(users[n]) * n_rows + int(items[n]) + int(visits[v, side, ORIGIN])
                slots[find(slots, width, key)] = key
        state = int(states[v])
        loss = 0.0
        product = 1.0
        n_triples = 0
        longest = max(
            visits[v, 0, END] - visits[v, 0, BEGIN], visits[v, 1, END] - visits[v, 1, BEGIN]
        )
        for both in range(2 * longest):
            side = both & 1
            n = visits[v, side, BEGIN] + (both >> 1)
            if n >= visits[v, side, END]:
                continue
            u = np.uintp(users[n])
            i = np.uintp(items[n])
            state = FACTOR * (state & LOW) + (state >> 32)
            if (state & ALWAYS) > kept[i]:
                continue
            state = FACTOR * (state & LOW) + (state >> 32)
            of = 1 - side if (state & ALWAYS) < visits[v, side, CHANCE] else side
            state = FACTOR * (state & LOW) + (state >> 32)
            row = int(visits[v, of, FIRST]) + (((state & ALWAYS) * int(visits[v, of, SIZE])) >> 31)
            state = FACTOR * (state & LOW) + (state >> 32)
            j = np.uintp(row if (state & ALWAYS) <= limits[row] else aliases[row])
            key = int(users[n]) * n_rows + int(j) + int(visits[v, of, ORIGIN])
            if slots[find(slots, width, key)] == key:
                continue
            if free_u is not None:
                free = free_u[u], free_i[i], free_i[j]
                if not (free[0] or free[1] or free[2]):
                    continue
            p = P[u]
            qi = Q[i]
            qj = Q[j]
            # x = s_ui - s_uj
            dot = np.float32(0)
            for f in range(n_factors):
                dot += p[f] * (qi[f] - qj[f])
            x = bi[i] - bi[j] + dot
            if x > far:
                x = far
            elif x < -far:
                x = -far
            # -ln sigma(x) = ln(1 + exp(-x)), and sigma(-x) = exp(-x) / (1 + exp(-x))
            odds = np.exp(-x)
            product *= 1.0 + np.float64(odds)
            if product > 1e250:
                loss += np.log(product)
                product = 1.0
            n_triples += 1
            step = lr * (odds / (one + odds))
            # p += lr (z (q_i - q_j) - reg p),  b_i += lr (z - reg_b b_i)
            # q_i += lr (z p - reg q_i),  q_j -= lr (z p + reg q_j)
            if free_u is None:
                bi[i] = keep_b * bi[i] + step
                bi[j] = keep_b * bi[j] - step
                for f in range(n_factors):
                    pf = p[f]
                    qif = qi[f]
                    qjf = qj[f]
                    p[f] = keep_u * pf + step * (qif - qjf)
                    qi[f] = keep_i * qif + step * pf
                    qj[f] = keep_i * qjf - step * pf
            else:
                if free[1]:
                    bi[i] = keep_b * bi[i] + step
                if free[2]:
                    bi[j] = keep_b * bi[j] - step
                for f in range(n_factors):
                    pf = p[f]
                    qif = qi[f]
                    qjf = qj[f]
                    if free[0]:
                        p[f] = keep_u * pf + step * (qif - qjf)
                    if free[1]:
                        qi[f] = keep_i * qif + step * pf
                    if free[2]:
                        qj[f] = keep_i * qjf - step * pf
        totals[v, 0] = loss + np.log(product)
        totals[v, 1] = n_triples


@kernel
def descend_rows(
    this, begin, end, indptr, indices, kept, limits, aliases, bi, Q, rates, seed
):  # fmt: skip
    """Solve the rows begin to end - 1 of P alone, by the steps of `descend` that are theirs.

    `indptr`, `indices`: the positives of each row, sorted. `kept`, `limits`, `aliases` (n_items,)
    int32 and bi, Q are those of `descend`; a line of `rates` (n_epochs, 2) float32 is lr and keep_u
    of an epoch; `seed`, from 1 to STATES - 1, is where the chance of every row starts, so that a
    row does not depend on the others. Written: this (n_rows, f) float32, from zero.
    O(n n_epochs f).
    """
    n_items, n_factors = Q.shape
    one = np.float32(1)
    far = np.float32(60)
    for row in range(begin, end):
        p = this[row]
        p[:] = np.float32(0)
        first, last = indptr[row], indptr[row + 1]
        state = int(seed)
        for epoch in range(len(rates)):
            lr = rates[epoch, 0]
            keep = rates[epoch, 1]
            for n in range(first, last):
                i = np.uintp(indices[n])
                state = FACTOR * (state & LOW) + (state >> 32)
                if (state & ALWAYS) > kept[i]:
                    continue
                state = FACTOR * (state & LOW) + (state >> 32)
                at = ((state & ALWAYS) * n_items) >> 31
                state = FACTOR * (state & LOW) + (state >> 32)
                j = np.uintp(at if (state & ALWAYS) <= limits[at] else aliases[at])
                place = first + np.searchsorted(indices[first:last], np.int32(j))
                if place < last and indices[place] == j:
                    continue
                qi = Q[i]
                qj = Q[j]
                # x = s_ui - s_uj
                dot = np.float32(0)
                for f in range(n_factors):
                    dot += p[f] * (qi[f] - qj[f])
                x = min(max(bi[i] - bi[j] + dot, -far), far)
                # p += lr (z (q_i - q_j) - reg p),  z = sigma(-x)
                step = lr * (one / (one + np.exp(x)))
                for f in range(n_factors):
                    p[f] = keep * p[f] + step * (qi[f] - qj[f])


@part
def holds(indices, begin, end, code):
    """Whether a code is among the sorted indices begin to end - 1."""
    place = begin + np.searchsorted(indices[begin:end], np.int32(code))
    return place < end and indices[place] == code


@kernel
def descend_items(
    this, bias, begin, end, indptr, indices, kept_own, shares, P,
    seen_indptr, seen_users, seen_items, kept, limits, aliases, bi, Q, rates, seed,
):  # fmt: skip
    """Solve the rows begin to end - 1 of Q alone, by the steps of `descend` that are theirs.

    `indptr`, `indices`: the users of each row, sorted, rows of P. A row takes each of its positives
    once an epoch, by the chance kept_own (n_rows,) int32; and `shares` (n_rows,) float64 times,
    evenly between them, it is the negative of a positive of another item. `seen_indptr`,
    `seen_users`, `seen_items` (n,) are all positives by user, items sorted, rows of Q (n_items, f)
    and bi, the items that the row is compared with; `kept`, `limits`, `aliases` (n_items,) int32
    are those of `descend`. A line of `rates` (n_epochs, 3) float32 is lr, keep_i and keep_b of an
    epoch; `seed`, from 1 to STATES - 1, is where the chance of every row starts. Written: this
    (n_rows, f), bias (n_rows,) float32, from zero. O((n + shares) n_epochs f).
    """
    n_items, n_factors = Q.shape
    n_seen = len(seen_items)
    one = np.float32(1)
    far = np.float32(60)
    for row in range(begin, end):
        q = this[row]
        q[:] = np.float32(0)
        b = np.float32(0)
        first, last = indptr[row], indptr[row + 1]
        own = max(last - first, 1)
        due = 0.0
        state = int(seed)
        for epoch in range(len(rates)):
            lr = rates[epoch, 0]
            keep = rates[epoch, 1]
            keep_b = rates[epoch, 2]
            for n in range(first, first + own):
                state = FACTOR * (state & LOW) + (state >> 32)
                if n < last and (state & ALWAYS) <= kept_own[row]:
                    u = np.uintp(indices[n])
                    state = FACTOR * (state & LOW) + (state >> 32)
                    at = ((state & ALWAYS) * n_items) >> 31
                    state = FACTOR * (state & LOW) + (state >> 32)
                    j = np.uintp(at if (state & ALWAYS) <= limits[at] else aliases[at])
                    if not holds(seen_items, seen_indptr[u], seen_indptr[u + np.uintp(1)], j):
                        p = P[u]
                        qj = Q[j]
                        # x = s_ui - s_uj
                        dot = np.float32(0)
                        for f in range(n_factors):
                            dot += p[f] * (q[f] - qj[f])
                        x = min(max(b - bi[j] + dot, -far), far)
                        # q += lr (z p - reg q),  b += lr (z - reg_b b),  z = sigma(-x)
                        step = lr * (one / (one + np.exp(x)))
                        b = keep_b * b + step
                        for f in range(n_factors):
                            q[f] = keep * q[f] + step * p[f]
                due += shares[row] / own
                while due >= 1.0:
                    due -= 1.0
                    state = FACTOR * (state & LOW) + (state >> 32)
                    c = ((state & ALWAYS) * n_seen) >> 31
                    i = np.uintp(seen_items[c])
                    state = FACTOR * (state & LOW) + (state >> 32)
                    if (state & ALWAYS) > kept[i]:
                        continue
                    u = np.uintp(seen_users[c])
                    if holds(indices, first, last, u):
                        continue
                    p = P[u]
                    qi = Q[i]
                    # x = s_ui - s_uj, j being this item
                    dot = np.float32(0)
                    for f in range(n_factors):
                        dot += p[f] * (qi[f] - q[f])
                    x = min(max(bi[i] - b + dot, -far), far)
                    # q -= lr (z p + reg q),  b -= lr (z + reg_b b)
                    step = lr * (one / (one + np.exp(x)))
                    b = keep_b * b - step
                    for f in range(n_factors):
                        q[f] = keep * q[f] - step * p[f]
        bias[row] = b
