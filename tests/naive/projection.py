"""The map from content to factors, by the eigenvectors of a dense Gram matrix."""

from __future__ import annotations

import numpy as np

from duckmf.algorithms.projection import LAMBDAS


def one_hot(lists, texts):
    """A row of zeros and ones for each list of texts."""
    return np.array([[float(text in row) for text in texts] for row in lists])


def fit(X, Y, n, regularization=None):
    """The map as a function of rows, and lambda."""
    total = n.sum()
    mean_x, mean_y = n @ X / total, n @ Y / total
    root = np.sqrt(n)[:, None]
    X, Y = root * (X - mean_x), root * (Y - mean_y)
    e, V = np.linalg.eigh(X.T @ X)
    C = V.T @ (X.T @ Y)
    scale = e.mean() or 1.0

    def weights(at):
        return V @ (C / (e + at * scale)[:, None])

    def error(at):
        df = 1 + np.sum(e / (e + at * scale))
        return np.sum((Y - X @ weights(at)) ** 2) / (len(X) - df) ** 2 if df < len(X) else np.inf

    best = min(LAMBDAS, key=error) if regularization is None else regularization
    return lambda rows: mean_y + (rows - mean_x) @ weights(best), best
