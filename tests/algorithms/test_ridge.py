"""Ridge regression from a Gram matrix against NumPy, also where there is nothing to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from duckmf.algorithms import ridge


@pytest.mark.parametrize("n_rows", [3, 40])
@pytest.mark.parametrize("shape", [(), (2,)], ids=["a vector", "a matrix"])
def test_the_solution_is_that_of_the_normal_equations(n_rows, shape):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(n_rows, 5)), rng.normal(size=(n_rows, *shape))
    gram = X.T @ X
    W = ridge.solve(gram, X.T @ Y, 0.5)
    np.testing.assert_allclose((X.T @ X + 0.5 * np.eye(5)) @ W, X.T @ Y, atol=1e-12)
    assert np.array_equal(gram, X.T @ X), "it is used again"


def test_without_a_penalty_collinear_features_get_the_least_weights():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(3, 6)), rng.normal(size=3)
    least = np.linalg.lstsq(X, y, rcond=None)[0]
    np.testing.assert_allclose(ridge.solve(X.T @ X, X.T @ y, 0.0), least, atol=1e-6)


@pytest.mark.parametrize("n_features", [0, 4])
def test_without_rows_all_weights_are_zero(n_features):
    nothing = np.zeros((n_features, n_features)), np.zeros(n_features)
    assert np.array_equal(ridge.solve(*nothing, 0.0), nothing[1])
