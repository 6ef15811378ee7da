"""Ridge regression from a Gram matrix, for the few systems that no kernel solves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Matrix = NDArray[np.float64]

# The least penalty, as a share of the mean square of a feature: with less, rounding would decide
# what collinear features weigh; with this they share their weight.
LEAST = 1e-8


def solve(gram: Matrix, cross: Matrix, penalty: float) -> Matrix:
    """W of (X'X + penalty I) W = X'Y, from X'X and X'Y, by Cholesky factors.

    gram: (n_features, n_features). cross: (n_features,) or (n_features, n_targets).
    """
    diagonal = gram.diagonal()
    least = LEAST * (diagonal.sum() / max(1, len(gram)) or 1.0)
    penalized = gram.copy()
    np.fill_diagonal(penalized, diagonal + max(penalty, least))
    W: Matrix = cho_solve(cho_factor(penalized, overwrite_a=True), cross)
    return W
