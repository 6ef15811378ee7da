"""Stochastic gradient descent on SVD++, user by user, at O(f) a rating however many items it moves.

A step moves all y_j of a user's items in the same way, y_j <- k y_j + c, with a number k and a
vector c of that step. Any run of such steps is again y_j <- K y_j + C. So while the ratings of one
user are visited, only what they see of the y's is kept up to date, z = n^-1/2 sum_j y_j
<- k z + n^1/2 c, and the product K of all k. In the end every y_j takes the one step K y_j + C, and
C is n^-1/2 (z - K z_0), z_0 being z at the beginning. But for rounding these are the y_j that come
of moving all of them at every rating.

A drift of the factors, dev a_u, is added where p + z is made, and a_u moves where p moves; where
there is none, the kernel is compiled without. A term without factors is taken off `values` before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.jit import kernel, part

# columns of the paces of users and of items; the last two of users alone
LR, REG, REG_B, REG_Y, REG_A = range(5)


class Visits(NamedTuple):
    """The ratings of each user, and in which order all are visited."""

    users: NDArray[np.int32]  # (m,), rows of P
    indptr: NDArray[np.int64]  # (n_users + 1,)
    items: NDArray[np.int32]  # (n,), rows of Q and Y
    turns: NDArray[np.int32]  # (n,), the order of a user's ratings, which it numbers from 0
    values: NDArray[np.floating]  # (n,), what b_u + b_i + <w, q_i> is to come close to


class Parameters(NamedTuple):
    """What is learnt."""

    bu: NDArray[np.floating]  # (n_users,)
    bi: NDArray[np.floating]  # (n_items,)
    P: NDArray[np.floating]  # (n_users, f)
    Q: NDArray[np.floating]  # (n_items, f)
    Y: NDArray[np.floating]  # (n_items, f)


class FactorDrift(NamedTuple):
    """What the time of a rating adds to p_u, dev a_u; learnt, too."""

    A: NDArray[np.floating]  # (n_users, f)
    dev: NDArray[np.floating]  # (n,)


class Paces(NamedTuple):
    """How far a step goes: lr, and the products of lr with the penalties."""

    users: NDArray[np.floating]  # (n_users, 4 or, with a drift, 5)
    items: NDArray[np.floating]  # (n_items, 3)


@part
def sum_rows(z, Y, items, begin, end):
    """z = sum_j y_j over the items begin to end - 1."""
    for f in range(len(z)):
        z[f] = 0
    for n in range(begin, end):
        y = Y[np.uintp(items[n])]
        for f in range(len(z)):
            z[f] += y[f]


@part
def products(P, Q, z, drift, u, i, n):
    """<w, q>, |w|^2 and |q|^2 of a rating, w = p + z + dev a."""
    wq = P.dtype.type(0)
    ww = P.dtype.type(0)
    qq = P.dtype.type(0)
    if drift is not None:
        t = drift.dev[n]
    for f in range(len(z)):
        w = P[u, f] + z[f]
        if drift is not None:
            w += t * drift.A[u, f]
        wq += w * Q[i, f]
        ww += w * w
        qq += Q[i, f] * Q[i, f]
    return wq, ww, qq


@part
def move(P, Q, z, drift, u, i, n, paces, g, step_u, step_i):
    """The step of all factors, g lr e being that of u or i; returns k, what it keeps of each y_j.

    p += g lr (e q - reg p), z += g lr (e q - reg z), q += g lr (e w - reg q),
    a += g lr (e dev q - reg a).
    """
    one = P.dtype.type(1)
    keep_u = one - g * paces.users[u, REG]
    keep_i = one - g * paces.items[i, REG]
    keep_y = one - g * paces.users[u, REG_Y]
    if drift is not None:
        t = drift.dev[n]
        keep_a = one - g * paces.users[u, REG_A]
        step_a = step_u * t
    for f in range(len(z)):
        pf = P[u, f]
        qf = Q[i, f]
        zf = z[f]
        P[u, f] = keep_u * pf + step_u * qf
        z[f] = keep_y * zf + step_u * qf
        w = pf + zf
        if drift is not None:
            w += t * drift.A[u, f]
            drift.A[u, f] = keep_a * drift.A[u, f] + step_a * qf
        Q[i, f] = keep_i * qf + step_i * w
    return keep_y


@kernel
def descend(visits, parameters, drift, paces, shortening):
    """One step for each rating of each of the users, in their order.

    w = p_u + z, or p_u + z + dev a_u where `drift` is not None. Written: parameters and the drift's
    A. All but the codes is of one type of float. Returns the sum of e^2, e each rating's error
    before its step.

    A step is shortened by g = 1 / (1 + shortening (lr_u (1 + (2 + dev^2) |q|^2)
    + lr_i (1 + |w|^2))), dev^2 being 0 without a drift. With a shortening of 0 steps are plain;
    with 1 the error after the step is g e, but for terms of the second order and the penalty.
    O(n f).
    """
    indptr, items = visits.indptr, visits.items
    bu, bi, P, Q, Y = parameters
    n_factors = P.shape[1]
    real = P.dtype.type
    one = real(1)
    short = real(shortening)
    z = np.empty(n_factors, P.dtype)
    z_0 = np.empty(n_factors, P.dtype)
    loss = 0.0
    # unsigned numbers spare every access the test for a negative index
    for user in visits.users:
        u = np.uintp(user)
        begin = np.uintp(indptr[u])
        end = np.uintp(indptr[u + np.uintp(1)])
        if begin == end:
            continue
        # z = n^-1/2 sum_j y_j
        root = one / np.sqrt(real(end - begin))
        sum_rows(z, Y, items, begin, end)
        for f in range(n_factors):
            z[f] *= root
            z_0[f] = z[f]
        K = one
        b = bu[u]
        lr_u = paces.users[u, LR]
        for place in range(begin, end):
            n = begin + np.uintp(visits.turns[place])
            i = np.uintp(items[n])
            lr_i = paces.items[i, LR]
            share = real(2)
            if drift is not None:
                share += drift.dev[n] * drift.dev[n]
            wq, ww, qq = products(P, Q, z, drift, u, i, n)
            # e = r - (b_u + b_i + <w, q_i>)
            e = visits.values[n] - (b + bi[i] + wq)
            loss += np.float64(e) * np.float64(e)
            g = one / (one + short * (lr_u * (one + share * qq) + lr_i * (one + ww)))
            step_u = g * lr_u * e
            step_i = g * lr_i * e
            # b += g lr (e - reg_b b)
            b += step_u - g * paces.users[u, REG_B] * b
            bi[i] += step_i - g * paces.items[i, REG_B] * bi[i]
            K *= move(P, Q, z, drift, u, i, n, paces, g, step_u, step_i)
        bu[u] = b
        # y_j <- K y_j + C,  C = n^-1/2 (z - K z_0)
        for f in range(n_factors):
            z_0[f] = root * (z[f] - K * z_0[f])
        for n in range(begin, end):
            y = Y[np.uintp(items[n])]
            for f in range(n_factors):
                y[f] = K * y[f] + z_0[f]
    return loss


@kernel
def add_implicit(indptr, items, P, Y, begin, end):
    """Add n^-1/2 sum_j y_j, over the n items of each user, to the rows begin to end - 1 of P.

    `indptr` (n_users + 1,) int64 and `items` (n,) int32, rows of Y (n_items, f); P (n_users, f).
    Written: P, in the rows of these users. O(n f).
    """
    n_factors = P.shape[1]
    z = np.empty(n_factors, P.dtype)
    for u in range(begin, end):
        sum_rows(z, Y, items, indptr[u], indptr[u + 1])
        root = P.dtype.type(1) / np.sqrt(P.dtype.type(max(indptr[u + 1] - indptr[u], 1)))
        p = P[u]
        for f in range(n_factors):
            p[f] += root * z[f]
