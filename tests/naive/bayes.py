"""Slow, obvious twins of what bayes computes: dense NumPy, float64, one row at a time."""

from __future__ import annotations

import numpy as np


def lines(side):
    """[q_j b_j] of each row, (n, K)."""
    return np.column_stack([side.numbers.unpadded(), side.numbers.bias]).astype(float)


def covariances(side, counts):
    """S_j of each row as the other side sees it: that of its class, (n, K, K)."""
    return side.spread.covariances.astype(float)[side.spread.classes(counts)]


def row(rows, u):
    """The codes and ratings of one row."""
    part = slice(rows.indptr[u], rows.indptr[u + 1])
    return rows.indices[part], rows.values[part].astype(float)


def posterior(codes, values, X, S, mean, C, mu, tau):
    """Mean and covariance of one row, x = [p b], for rows X of the other side with covariances S."""
    L = np.linalg.inv(C)
    precision, weighted = L.copy(), L[:, -1] * mean
    for j, r in zip(codes, values, strict=True):
        z = np.append(X[j, :-1], 1)
        H = np.outer(z, z)
        H[:-1, :-1] += S[j, :-1, :-1]
        precision += tau * H
        weighted += tau * (r - mu - X[j, -1]) * z
        weighted[:-1] -= tau * S[j, :-1, -1]
    return np.linalg.solve(precision, weighted), np.linalg.inv(precision)


def expected_error(r, x, V, y, S, mu):
    """E (r - mu - b - c - <p, q>)^2 of independent [p b] ~ N(x, V) and [q c] ~ N(y, S)."""
    p, q = np.append(x[:-1], 1), np.append(y[:-1], 1)
    error = r - mu - x[-1] - y[-1] - x[:-1] @ y[:-1]
    return error**2 + q @ V @ q + p @ S @ p + np.sum(V[:-1, :-1] * S[:-1, :-1])


def divergence(x, V, mean, C):
    """KL(N(x, V) | N([0 mean], C))."""
    L, d = np.linalg.inv(C), x - np.append(np.zeros(len(x) - 1), mean)
    logs = np.linalg.slogdet(C)[1] - np.linalg.slogdet(V)[1]
    return 0.5 * (np.trace(L @ V) + d @ L @ d - len(x) + logs)


def bound(rows, this, other, mu, tau):
    """The evidence lower bound; this, other: (x, V, mean, C) of each side, for given priors."""
    total = 0.0
    for u in range(len(rows)):
        for j, r in zip(*row(rows, u), strict=True):
            e = expected_error(r, this[0][u], this[1][u], other[0][j], other[1][j], mu)
            total += 0.5 * (np.log(tau / (2 * np.pi)) - tau * e)
    for x, V, mean, C in (this, other):
        total -= sum(divergence(a, b, mean, C) for a, b in zip(x, V, strict=True))
    return total
