"""Stochastic gradient descent on biased matrix factorization."""

from __future__ import annotations

import numpy as np

from duckmf.kernels.jit import kernel


@kernel
def descend(users, items, values, bu, bi, P, Q, begin, end, lr, reg_u, reg_i, reg_bu, reg_bi):
    """One step for each of the ratings begin to end - 1, in their order.

    `users`, `items` (n,) int32 are rows of P (n_users, f) and Q (n_items, f); `values` (n,) are
    what bu + bi + <p, q> is to come close to. P, Q, bu and bi are written; everything is float32.
    Returns the sum of squared errors, each taken before its step. O((end - begin) f).
    """
    n_factors = P.shape[1]
    keep_u = np.float32(1) - lr * reg_u
    keep_i = np.float32(1) - lr * reg_i
    keep_bu = np.float32(1) - lr * reg_bu
    keep_bi = np.float32(1) - lr * reg_bi
    loss = 0.0
    for n in range(begin, end):
        u = users[n]
        i = items[n]
        p = P[u]
        q = Q[i]
        dot = np.float32(0)
        for f in range(n_factors):
            dot += p[f] * q[f]
        # e = r - (b_u + b_i + <p_u, q_i>)
        e = values[n] - (bu[u] + bi[i] + dot)
        loss += np.float64(e) * np.float64(e)
        # b += lr (e - reg b)
        step = lr * e
        bu[u] = keep_bu * bu[u] + step
        bi[i] = keep_bi * bi[i] + step
        # p += lr (e q - reg_u p),  q += lr (e p - reg_i q)
        for f in range(n_factors):
            pf = p[f]
            qf = q[f]
            p[f] = keep_u * pf + step * qf
            q[f] = keep_i * qf + step * pf
    return loss
