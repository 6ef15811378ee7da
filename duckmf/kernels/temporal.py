"""Time terms: each solved exactly against the errors of everything else.

A kernel works on rows begin to end - 1 of a CSR matrix. It moves its own terms to their optimum and
takes what they moved by from `errors`, what all terms leave of the ratings, and from `targets`,
what the time terms leave of them.
"""

from __future__ import annotations

import numpy as np

from duckmf.kernels.jit import kernel


@kernel
def subtract_scores(
    indptr, indices, targets, dev, errors, bu, bi, P, Q, factor_drift, mu, begin, end
):
    """errors = targets - (mu + b_u + b_i + <p_u + factor_drift_u dev, q_i>), for users.

    indices, targets, dev, errors: (n,). P, Q: (n_users or n_items, f), f may be 0, and
    factor_drift (n_users, f), or (0, 0) where there is none. Written: errors. O(n f).
    """
    n_factors = P.shape[1]
    drifting = factor_drift.shape[1] > 0
    for u in range(begin, end):
        p = P[u]
        a = factor_drift[u] if drifting else p
        for c in range(indptr[u], indptr[u + 1]):
            q = Q[indices[c]]
            t = dev[c] if drifting else np.float32(0)
            dot = np.float32(0)
            for f in range(n_factors):
                dot += (p[f] + t * a[f]) * q[f]
            errors[c] = targets[c] - (mu + bu[u] + bi[indices[c]] + dot)


@kernel
def solve_drift(indptr, dev, errors, targets, drift, ridge, begin, end):
    """a = sum dev (e + a dev) / (sum dev^2 + ridge) of each user; e are the errors as they come in.

    dev, errors, targets: (n,). Written: errors, targets, drift (n_users,). O(n).
    """
    for u in range(begin, end):
        slope, squares = 0.0, 0.0
        for c in range(indptr[u], indptr[u + 1]):
            slope += dev[c] * errors[c]
            squares += dev[c] * dev[c]
        if squares == 0.0:
            continue
        step = (slope - ridge * drift[u]) / (squares + ridge)
        drift[u] += step
        for c in range(indptr[u], indptr[u + 1]):
            errors[c] -= step * dev[c]
            targets[c] -= step * dev[c]


@kernel
def solve_groups(
    indptr, cells, groups, first, errors, targets, bias, sums, counts, ridge, begin, end
):
    """A bias of each group of a row's ratings, b_g = (s_g - c n_g) / (n_g + ridge).

    s_g sums the errors of the group as they are without b_g, n_g counts them, and c is such that
    sum_g n_g b_g = 0: the mean of the row is left to its own bias. This minimizes
    sum (e - b_g)^2 + ridge sum_g b_g^2 under that constraint, c being its multiplier.

    cells: (n,), the places of each row's ratings in `groups`, `errors` and `targets`, all (n,);
    groups count from 0 in each row, and those of row r are the biases from first[r] on, up to
    first[r + 1] - 1. sums, counts: room for the largest number of groups of a row. Written: errors,
    targets, bias, sums, counts. O(n).
    """
    for row in range(begin, end):
        base = first[row]
        n_groups = first[row + 1] - base
        for g in range(n_groups):
            sums[g] = 0.0
            counts[g] = 0.0
        for k in range(indptr[row], indptr[row + 1]):
            g = groups[cells[k]]
            sums[g] += errors[cells[k]] + bias[base + g]
            counts[g] += 1.0
        # c = sum_g n_g s_g / (n_g + ridge) / sum_g n_g^2 / (n_g + ridge)
        above, below = 0.0, 0.0
        for g in range(n_groups):
            if counts[g] > 0.0:
                above += counts[g] * sums[g] / (counts[g] + ridge)
                below += counts[g] * counts[g] / (counts[g] + ridge)
        for g in range(n_groups):
            if counts[g] > 0.0:
                b = (sums[g] - above / below * counts[g]) / (counts[g] + ridge)
                sums[g] = b - bias[base + g]
                bias[base + g] = b
        for k in range(indptr[row], indptr[row + 1]):
            c = cells[k]
            errors[c] -= sums[groups[c]]
            targets[c] -= sums[groups[c]]
