"""Time terms: each solved exactly against the errors of everything else.

Terms move to their optimum, and what they moved by is taken from `errors`, what all terms leave of
the ratings, and from `targets`, what the time terms leave of them. All ratings are in the order of
those by user. Pieces begin to end - 1 may be worked on at the same time.
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
def sum_groups(groups, errors, sums):
    """Add each rating's error to the sum of its group; errors, groups: (n,), groups numbers them.

    Written: sums (n_groups,) float64.
    """
    for c in range(len(errors)):
        sums[groups[c]] += errors[c]


@kernel
def solve_groups(first, counts, sums, bias, ridge):
    """A bias of each group of a row's ratings, b_g = (s_g - c n_g) / (n_g + ridge).

    s_g sums the errors of the group as they are without b_g, n_g counts them, and c is such that
    sum_g n_g b_g = 0: the mean of the row is left to its own bias. This minimizes
    sum (e - b_g)^2 + ridge sum_g b_g^2 under that constraint, c being its multiplier. The bias of a
    row's only group with ratings stays 0.

    Row r has the groups first[r] to first[r + 1] - 1. counts: (n_groups,) n_g; sums: (n_groups,)
    float64, the errors with b_g. Written: bias (n_groups,), and what it moved by in place of sums.
    """
    for row in range(len(first) - 1):
        # c = sum_g n_g s_g / (n_g + ridge) / sum_g n_g^2 / (n_g + ridge)
        above, below, present = 0.0, 0.0, 0
        for g in range(first[row], first[row + 1]):
            n = np.float64(counts[g])
            if n > 0.0:
                present += 1
                sums[g] += n * bias[g]
                above += n * sums[g] / (n + ridge)
                below += n * n / (n + ridge)
        for g in range(first[row], first[row + 1]):
            n = np.float64(counts[g])
            if present < 2:
                sums[g] = 0.0
            elif n > 0.0:
                b = (sums[g] - above / below * n) / (n + ridge)
                sums[g] = b - bias[g]
                bias[g] = b


@kernel
def subtract_steps(groups, steps, errors, targets, begin, end):
    """Take the step of its group from the error and the target of each rating begin to end - 1."""
    for c in range(begin, end):
        step = np.float32(steps[groups[c]])
        errors[c] -= step
        targets[c] -= step
