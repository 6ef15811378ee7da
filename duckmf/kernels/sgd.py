"""Stochastic gradient descent on biased matrix factorization."""

from __future__ import annotations

import numpy as np

from duckmf.kernels.jit import kernel


@kernel
def descend(users, items, values, bu, bi, P, Q, pace_u, pace_i, begin, end):
    """One step for each of the ratings begin to end - 1, in their order.

    `users`, `items` (n,) int32 are rows of P (n_users, f) and Q (n_items, f); `values` (n,) are
    what b_u + b_i + <p_u, q_i> is to come close to. A row of `pace_u` (n_users, 4) is lr, lr reg,
    lr reg_b and |p_u|^2. Written: bu, bi, P, Q and the last column of both paces. All but the codes
    is float32. Returns the sum of e^2, e each rating's error before its step.

    A step is shortened by g: the new error is e - g e (lr_u (1 + |q|^2) + lr_i (1 + |p|^2)) = g e,
    but for terms of the second order and the penalty. O((end - begin) f).
    """
    n_factors = P.shape[1]
    one = np.float32(1)
    two = np.float32(2)
    loss = 0.0
    # unsigned numbers spare every access the test for a negative index
    for n in range(np.uintp(begin), np.uintp(end)):
        u = np.uintp(users[n])
        i = np.uintp(items[n])
        p = P[u]
        q = Q[i]
        dot = np.float32(0)
        for f in range(n_factors):
            dot += p[f] * q[f]
        # e = r - (b_u + b_i + <p_u, q_i>)
        e = values[n] - (bu[u] + bi[i] + dot)
        loss += np.float64(e) * np.float64(e)
        row_u = pace_u[u]
        row_i = pace_i[i]
        pp = row_u[3]
        qq = row_i[3]
        # g = 1 / (1 + lr_u (1 + |q|^2) + lr_i (1 + |p|^2))
        g = one / (one + row_u[0] * (one + qq) + row_i[0] * (one + pp))
        step_u = g * row_u[0] * e
        step_i = g * row_i[0] * e
        # b += g lr (e - reg_b b)
        bu[u] += step_u - g * row_u[2] * bu[u]
        bi[i] += step_i - g * row_i[2] * bi[i]
        # p += g lr (e q - reg p),  q += g lr (e p - reg q)
        keep_u = one - g * row_u[1]
        keep_i = one - g * row_i[1]
        for f in range(n_factors):
            pf = p[f]
            qf = q[f]
            p[f] = keep_u * pf + step_u * qf
            q[f] = keep_i * qf + step_i * pf
        # |p|^2 and |q|^2 of the new rows
        row_u[3] = keep_u * keep_u * pp + step_u * (two * keep_u * dot + step_u * qq)
        row_i[3] = keep_i * keep_i * qq + step_i * (two * keep_i * dot + step_i * pp)
    return loss
