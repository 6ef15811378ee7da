"""From content to factors: rows of a model for what has no ratings.

Model:      y = c + x W, with y = [b, q] a row's bias and factors and x its features
Objective:  sum_r n_r |y_r - c - x_r W|^2 + lambda s |W|^2, over the rows r with n_r > 0 ratings,
            s the sum over them of n_r times the mean variance of a feature
Lambda:     the one of LAMBDAS with the least generalized cross-validation error
            |residuals|^2 / (n - df)^2, df = 1 + sum_j e_j / (e_j + lambda s), e_j the eigenvalues
            of X' N X

Sources: Gantner, Drumond, Freudenthaler, Rendle and Schmidt-Thieme 2010, "Learning
attribute-to-feature mappings for cold-start recommendations"; Golub, Heath and Wahba 1979,
"Generalized cross-validation as a method for choosing a good ridge parameter".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError

LAMBDAS = 10.0 ** np.arange(-6, 3)
MOST_FEATURES = 4096  # the Gram matrix of the features is dense: 128 MiB

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Ridge:
    """A fitted map from features to terms."""

    mean_x: Matrix  # (n_features,)
    mean_y: Matrix  # (n_terms,)
    W: Matrix  # (n_features, n_terms)

    def __call__(self, X: Matrix) -> NDArray[np.float32]:
        """The terms of some rows of features."""
        terms: NDArray[np.float32] = (self.mean_y + (X - self.mean_x) @ self.W).astype(np.float32)
        return terms


def fit(X: Matrix, Y: Matrix, n: Matrix, regularization: float | None = None) -> Ridge:
    """Learn the map from (rows, features) to (rows, terms), each row weighted by its ratings n.

    Raises:
        DataError: there are too many features, or a number is not finite.
    """
    if X.shape[1] > MOST_FEATURES:
        raise DataError(
            f"vector has {X.shape[1]:,} features; give at most {MOST_FEATURES:,}, "
            "such as the most frequent texts."
        )
    if not np.isfinite(X).all():
        raise DataError("vector holds a number that is NULL or not finite; correct it.")
    total = n.sum()
    mean_x, mean_y = n @ X / total, n @ Y / total
    root = np.sqrt(n)[:, None]
    X, Y = root * (X - mean_x), root * (Y - mean_y)
    e, V = np.linalg.eigh(X.T @ X)
    e = np.maximum(e, 0)
    C = V.T @ (X.T @ Y)
    scale = e.mean() or 1.0
    given = regularization is not None
    lambdas = np.array([regularization]) if given else LAMBDAS
    errors = [_gcv(e, C, float(np.sum(Y * Y)), len(X), at * scale) for at in lambdas]
    best = max(lambdas[int(np.argmin(errors))] * scale, np.finfo(np.float64).eps * e.max(initial=1))
    return Ridge(mean_x, mean_y, V @ (C / (e + best)[:, None]))


def _gcv(e: Matrix, C: Matrix, squares: float, n: int, penalty: float) -> float:
    """The generalized cross-validation error of one penalty."""
    shrunk = 1 / (e + penalty)
    explained = (2 * shrunk - e * shrunk**2) @ np.sum(C * C, axis=1)
    df = 1 + np.sum(e * shrunk)
    return float("inf") if df >= n else (squares - explained) / (n - df) ** 2


def numeric(counts: NDArray[np.int64], values: Matrix, n_features: int) -> Matrix:
    """Lists of numbers as rows.

    Raises:
        DataError: the lists differ in length.
    """
    if np.any(counts != n_features):
        other = counts[counts != n_features][0]
        raise DataError(f"vector has {n_features} numbers in one row and {other} in another.")
    return values.reshape(len(counts), n_features).astype(np.float64)


def one_hot(
    counts: NDArray[np.int64], texts: NDArray[np.object_], columns: dict[str, int]
) -> Matrix:
    """Lists of texts as rows of zeros and ones; a text that has no column is absent."""
    X = np.zeros((len(counts), len(columns)))
    chosen = np.array([columns.get(text, -1) for text in texts], np.int64)
    rows = np.repeat(np.arange(len(counts)), counts)
    X[rows[chosen >= 0], chosen[chosen >= 0]] = 1
    return X
