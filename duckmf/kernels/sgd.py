"""Stochastic gradient descent on biased matrix factorization."""

from __future__ import annotations

import numpy as np

from duckmf.kernels.jit import kernel


@kernel
def descend(users, items, values, bu, bi, P, Q, pace_u, pace_i, begin, end):
    """One step for each of the ratings begin to end - 1, in their order.

    `users`, `items` (n,) int32 are rows of P (n_users, f) and Q (n_items, f); `values` (n,) are
    what b_u + b_i + <p_u, q_i> is to come close to. A row of `pace_u` (n_users, 3) is (lr, 1 - lr
    reg, 1 - lr reg_b). Written: P, Q, bu, bi. All but the codes are float32.
    Returns the sum of squared errors, each taken before its step. O((end - begin) f).
    """
    n_factors = P.shape[1]
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
        lr_u = pace_u[u]
        lr_i = pace_i[i]
        # b += lr (e - reg_b b)
        step_u = lr_u[0] * e
        step_i = lr_i[0] * e
        bu[u] = lr_u[2] * bu[u] + step_u
        bi[i] = lr_i[2] * bi[i] + step_i
        # p += lr (e q - reg p),  q += lr (e p - reg q)
        keep_u = lr_u[1]
        keep_i = lr_i[1]
        for f in range(n_factors):
            pf = p[f]
            qf = q[f]
            p[f] = keep_u * pf + step_u * qf
            q[f] = keep_i * qf + step_i * pf
    return loss
