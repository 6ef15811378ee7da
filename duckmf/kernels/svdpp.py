"""Stochastic gradient descent on SVD++, user by user, at O(f) a rating however many items it moves.

A step moves all y_j of a user's items in the same way, y_j <- k y_j + c, with a number k and a
vector c of that step. Any run of such steps is again y_j <- K y_j + C. So while the ratings of one
user are visited, only what they see of the y's is kept up to date, z = n^-1/2 sum_j y_j
<- k z + n^1/2 c, and the product K of all k. In the end every y_j takes the one step K y_j + C, and
C is n^-1/2 (z - K z_0), z_0 being z at the beginning. But for rounding these are the y_j that come
of moving all of them at every rating.

A drift of the factors, dev a_u, is added where p + z is made, and a_u moves where p moves; where A
is None, the kernel is compiled without. A term without factors is taken off `values` before.
"""

from __future__ import annotations

import numpy as np

from duckmf.kernels.jit import kernel


@kernel
def descend(
    users, indptr, items, turns, values, bu, bi, P, Q, Y, A, dev, pace_u, pace_i, shortening
):  # fmt: skip
    """One step for each rating of each of `users`, in their order.

    `users` (m,) int32 are rows of P (n_users, f); entries indptr[u] to indptr[u + 1] - 1 of `items`
    (n,) int32, rows of Q and Y (n_items, f), and of `values` (n,), what b_u + b_i + <w, q_i> is to
    come close to, are the ratings of user u. They are visited in the order of `turns` (n,) int32,
    which numbers the ratings of each user from 0. w = p_u + z; or with A (n_users, f) and `dev`
    (n,), which are else None, w = p_u + z + dev a_u. A row of `pace_u` (n_users, 4 or 5) is lr,
    lr reg, lr reg_b, lr reg_y and, with A, lr reg_a; of `pace_i` (n_items, 3) lr, lr reg and
    lr reg_b. Written: bu, bi, P, Q, Y, A. All but the codes is of one type of float. Returns the
    sum of e^2, e each rating's error before its step.

    A step is shortened by g = 1 / (1 + shortening (lr_u (1 + (2 + dev^2) |q|^2)
    + lr_i (1 + |w|^2))), dev^2 being 0 without A. With a shortening of 0 steps are plain; with 1
    the error after the step is g e, but for terms of the second order and the penalty. O(n f).
    """
    n_factors = P.shape[1]
    real = P.dtype.type
    zero = real(0)
    one = real(1)
    short = real(shortening)
    z = np.empty(n_factors, P.dtype)
    z_0 = np.empty(n_factors, P.dtype)
    loss = 0.0
    # unsigned numbers spare every access the test for a negative index
    for user in users:
        u = np.uintp(user)
        begin = np.uintp(indptr[u])
        end = np.uintp(indptr[u + np.uintp(1)])
        if begin == end:
            continue
        # z = n^-1/2 sum_j y_j
        root = one / np.sqrt(real(end - begin))
        for f in range(n_factors):
            z[f] = zero
        for n in range(begin, end):
            y = Y[np.uintp(items[n])]
            for f in range(n_factors):
                z[f] += y[f]
        for f in range(n_factors):
            z[f] *= root
            z_0[f] = z[f]
        K = one
        p = P[u]
        b = bu[u]
        row_u = pace_u[u]
        lr_u = row_u[0]
        for place in range(begin, end):
            n = begin + np.uintp(turns[place])
            i = np.uintp(items[n])
            q = Q[i]
            row_i = pace_i[i]
            lr_i = row_i[0]
            share = real(2)
            if A is not None:
                a = A[u]
                t = dev[n]
                share += t * t
            dot = zero
            ww = zero
            qq = zero
            for f in range(n_factors):
                w = p[f] + z[f]
                if A is not None:
                    w += t * a[f]
                dot += w * q[f]
                ww += w * w
                qq += q[f] * q[f]
            # e = r - (b_u + b_i + <w, q_i>)
            e = values[n] - (b + bi[i] + dot)
            loss += np.float64(e) * np.float64(e)
            g = one / (one + short * (lr_u * (one + share * qq) + lr_i * (one + ww)))
            step_u = g * lr_u * e
            step_i = g * lr_i * e
            # b += g lr (e - reg_b b)
            b += step_u - g * row_u[2] * b
            bi[i] += step_i - g * row_i[2] * bi[i]
            # p += g lr (e q - reg p),  z += g lr (e q - reg z),  q += g lr (e w - reg q),
            # a += g lr (e dev q - reg a)
            keep_u = one - g * row_u[1]
            keep_i = one - g * row_i[1]
            keep_y = one - g * row_u[3]
            if A is not None:
                keep_a = one - g * row_u[4]
                step_a = step_u * t
            for f in range(n_factors):
                pf = p[f]
                qf = q[f]
                zf = z[f]
                p[f] = keep_u * pf + step_u * qf
                z[f] = keep_y * zf + step_u * qf
                w = pf + zf
                if A is not None:
                    w += t * a[f]
                    a[f] = keep_a * a[f] + step_a * qf
                q[f] = keep_i * qf + step_i * w
            K *= keep_y
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
        z[:] = 0
        for n in range(indptr[u], indptr[u + 1]):
            y = Y[items[n]]
            for f in range(n_factors):
                z[f] += y[f]
        root = P.dtype.type(1) / np.sqrt(P.dtype.type(max(indptr[u + 1] - indptr[u], 1)))
        p = P[u]
        for f in range(n_factors):
            p[f] += root * z[f]
