"""Slow, obvious twins of what implicit ALS computes: dense NumPy, float64, over all pairs."""

from __future__ import annotations

import numpy as np


def weights(strengths, alpha, w0):
    """What each pair weighs: its confidence where it was observed, else w0."""
    return np.where(strengths > 0, 1 + alpha * strengths, w0)


def ridges(strengths, options, regularization):
    """The penalty of each row of a dense matrix of strengths."""
    sizes = (strengths > 0).sum(axis=1) + options.unobserved_weight * strengths.shape[1]
    return regularization * sizes**options.regularization_scaling


def objective(strengths, P, Q, options):
    """The objective of the algorithm's docstring, with one regularization for both sides."""
    squares = ((strengths > 0) - P @ Q.T) ** 2
    total = np.sum(weights(strengths, options.alpha, options.unobserved_weight) * squares)
    total += ridges(strengths, options, options.regularization) @ np.sum(P**2, axis=1)
    return total + ridges(strengths.T, options, options.regularization) @ np.sum(Q**2, axis=1)


def system(strengths, other, ridge, options):
    """A and b of one row, whose strengths of all the rows of the other side are given."""
    w = weights(strengths, options.alpha, options.unobserved_weight)
    A = (other * w[:, None]).T @ other + ridge * np.eye(other.shape[1])
    return A, other.T @ (w * (strengths > 0))


def descended(x, A, b, steps):
    """x after so many steps of conjugate gradients towards A^-1 b."""
    r = b - A @ x
    p = r
    for _ in range(steps):
        if not r @ r > 0:
            return x
        length = (r @ r) / (p @ A @ p)
        new = r - length * (A @ p)
        x = x + length * p
        p, r = new + (new @ new) / (r @ r) * p, new
    return x


def solved_rows(strengths, this, other, options, regularization, steps=None):
    """All rows of one side, solved exactly or by conjugate gradients from `this`."""
    rows = []
    for row, x, ridge in zip(
        strengths, this, ridges(strengths, options, regularization), strict=True
    ):
        A, b = system(row, other, ridge, options)
        if not b.any():
            rows.append(np.zeros_like(x))
        else:
            rows.append(np.linalg.solve(A, b) if steps is None else descended(x, A, b, steps))
    return np.array(rows)
