"""From content to factors: rows of a model for what has no ratings.

Model:      y = c + x W, with y = [b, q] a row's bias and factors and x its features
Objective:  sum_r n_r |y_r - c - x_r W|^2 + lambda s |W|^2, over the rows r with n_r > 0 ratings,
            s the sum over them of n_r times the mean variance of a feature
Lambda:     the one of LAMBDAS with the least generalized cross-validation error
            |residuals|^2 / (n - df)^2, df = 1 + sum_j e_j / (e_j + lambda s), e_j the eigenvalues
            of X' N X

Features of zeros and ones, most of them zeros, stay sparse: only their Gram matrix is centred.

Sources: Gantner, Drumond, Freudenthaler, Rendle and Schmidt-Thieme 2010, "Learning
attribute-to-feature mappings for cold-start recommendations"; Golub, Heath and Wahba 1979,
"Generalized cross-validation as a method for choosing a good ridge parameter".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.sparse import csr_array, diags_array, issparse

from duckmf.algorithms import ridge
from duckmf.errors import DataError

LAMBDAS = 10.0 ** np.arange(-6, 3)
MOST_FEATURES = 4096  # the Gram matrix of the features is dense: 128 MiB

Matrix: TypeAlias = NDArray[np.float64]
Features: TypeAlias = Matrix | csr_array  # (rows, n_features)


@dataclass(frozen=True)
class Projection:
    """A fitted map from features to terms."""

    c: Matrix  # (n_terms,)
    W: Matrix  # (n_features, n_terms)

    def __call__(self, X: Features) -> NDArray[np.float32]:
        """The terms of some rows of features."""
        terms: NDArray[np.float32] = (self.c + X @ self.W).astype(np.float32)
        return terms


def fit(X: Features, Y: Matrix, n: Matrix, regularization: float | None = None) -> Projection:
    """Learn the map from (rows, features) to (rows, terms), each row weighted by its ratings n.

    Raises:
        DataError: there are too many features, or numbers that are too large.
    """
    n_rows, n_features = X.shape
    if n_features > MOST_FEATURES:
        raise DataError(
            f"vector has {n_features:,} features; give at most {MOST_FEATURES:,}, "
            "such as the most frequent texts."
        )
    total = n.sum()
    mean_x, mean_y = n @ X / total, n @ Y / total
    Y = Y - mean_y
    gram, cross = _products(X, Y, n, mean_x)
    if not (np.isfinite(gram).all() and np.isfinite(cross).all()):
        raise DataError("vector holds numbers whose squares are too large; scale them down.")
    scale = gram.trace() / max(n_features, 1) or 1.0
    if regularization is None:
        e = eigvalsh(gram)
        squares = float(n @ np.sum(Y * Y, axis=1))

        def error(at: float) -> float:
            return _gcv(e, gram, cross, squares, n_rows, at * scale)

        regularization = min(LAMBDAS, key=error)
    W = ridge.solve(gram, cross, regularization * scale)
    return Projection(mean_y - mean_x @ W, W)


def _products(X: Features, Y: Matrix, n: Matrix, mean: Matrix) -> tuple[Matrix, Matrix]:
    """X' N X and X' N Y of features without their mean, from terms without theirs."""
    if issparse(X):  # sum_r n_r (x_r - mean)' (x_r - mean) = X' N X - sum_r n_r mean' mean
        weighted = diags_array(n) @ X
        gram = (X.T @ weighted).toarray()
        gram -= n.sum() * np.outer(mean, mean)
        return gram, weighted.T @ Y
    root = np.sqrt(n)[:, None]
    X = X - mean
    X *= root
    return X.T @ X, X.T @ (root * Y)


def _gcv(
    e: Matrix, gram: Matrix, cross: Matrix, squares: float, n_rows: int, penalty: float
) -> float:
    """The generalized cross-validation error of one penalty."""
    df = 1 + np.sum(e / (e + penalty))
    if df >= n_rows:
        return float("inf")
    W = ridge.solve(gram, cross, penalty)
    # |Y - X W|^2 = |Y|^2 - 2 W' X' Y + W' X' X W, with X' X W = X' Y - penalty W
    residuals = squares - np.vdot(cross, W) - penalty * np.vdot(W, W)
    return float(residuals / (n_rows - df) ** 2)


def numeric(counts: NDArray[np.int32], values: Matrix, n_features: int) -> Matrix:
    """Lists of numbers, `counts` of them in each, as rows.

    Raises:
        DataError: the lists differ in length, or a number is not finite.
    """
    if np.any(counts != n_features):
        other = counts[counts != n_features][0]
        raise DataError(f"vector has {n_features} numbers in one row and {other} in another.")
    if not np.isfinite(values).all():
        raise DataError("vector holds a number that is NULL or not finite; correct it.")
    return values.reshape(len(counts), n_features)


def one_hot(counts: NDArray[np.int32], codes: NDArray[np.int32], n_features: int) -> csr_array:
    """Lists of codes, `counts` of them in each, as rows of zeros and ones; -1 is absent."""
    rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    there = codes >= 0
    ones = np.ones(np.count_nonzero(there))
    X = csr_array((ones, (rows[there], codes[there])), shape=(len(counts), n_features))
    X.data.fill(1)  # a code that a list has twice was added up
    return X
