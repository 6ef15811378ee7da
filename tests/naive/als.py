"""Slow, obvious twins of what ALS computes: dense NumPy, float64, one row at a time."""

from __future__ import annotations

import numpy as np


def features(codes, other):
    """X: a line [q_i 1] for each code, (n, n_factors + 1)."""
    return np.column_stack([other.unpadded()[codes].astype(float), np.ones(len(codes))])


def ridge(n, n_factors, penalty):
    """The diagonal of the penalty of a row of n ratings, bias last."""
    return np.append(np.full(n_factors, penalty.factors), penalty.bias) * n**penalty.scaling


def row(rows, u):
    """The codes and ratings of one row."""
    part = slice(rows.indptr[u], rows.indptr[u + 1])
    return rows.indices[part], rows.values[part].astype(float)


def solve_row(codes, values, other, mu, penalty):
    """[p_u b_u] of one row from its normal equations."""
    if len(codes) == 0:
        return np.zeros(other.n_factors + 1)
    X = features(codes, other)
    A = X.T @ X + np.diag(ridge(len(codes), other.n_factors, penalty))
    return np.linalg.solve(A, X.T @ (values - mu - other.bias[codes]))


def gradient(x, codes, values, other, mu, penalty):
    """Half the gradient of one row's objective at x = [p_u b_u]."""
    X = features(codes, other)
    errors = values - mu - other.bias[codes] - X @ x
    return ridge(len(codes), other.n_factors, penalty) * x - X.T @ errors


def squared_error(rows, this, other, mu):
    """The sum of squared errors over all ratings."""
    total = 0.0
    for u in range(len(rows)):
        codes, values = row(rows, u)
        x = np.append(this.unpadded()[u], this.bias[u]).astype(float)
        total += np.sum((values - mu - other.bias[codes] - features(codes, other) @ x) ** 2)
    return total


def penalties(rows, this, penalty):
    """The sum over the rows of n^scaling (factors |p|^2 + bias b^2)."""
    n = rows.counts.astype(float)
    sizes = penalty.factors * np.sum(this.unpadded().astype(float) ** 2, axis=1)
    return np.sum(n**penalty.scaling * (n > 0) * (sizes + penalty.bias * this.bias**2.0))
