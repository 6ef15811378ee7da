"""The map from content to the rows of a model: the ridge against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from duckmf.algorithms import projection
from duckmf.errors import DataError
from tests.naive import projection as naive


@pytest.fixture
def content():
    rng = np.random.default_rng(3)
    X, W = rng.normal(size=(50, 6)), rng.normal(size=(6, 4))
    n = rng.integers(1, 30, 50).astype(float)
    return X, X @ W + 0.5 + rng.normal(0, 0.3, (50, 4)), n


def scale(X, n):
    centered = X - np.average(X, axis=0, weights=n)
    return np.trace(centered.T @ (n[:, None] * centered)) / X.shape[1]


def test_the_map_is_the_minimum_of_its_objective(content):
    X, Y, n = content
    fitted = projection.fit(X, Y, n, 0.1)
    root, penalty = np.sqrt(n)[:, None], 0.1 * scale(X, n)
    lines = np.vstack(
        [
            np.column_stack([root, root * X]),
            np.column_stack([np.zeros(6), np.sqrt(penalty) * np.eye(6)]),
        ]
    )
    solved = np.linalg.lstsq(lines, np.vstack([root * Y, np.zeros((6, 4))]), rcond=None)[0]
    assert fitted(X) == pytest.approx(solved[0] + X @ solved[1:], abs=1e-5)


def test_lambda_has_the_least_error_of_generalized_cross_validation(content):
    X, Y, n = content
    root = np.sqrt(n)[:, None]
    lines = np.column_stack([root, root * X])

    def error(value):
        ridge = np.diag([0.0, *[value * scale(X, n)] * 6])
        hat = lines @ np.linalg.solve(lines.T @ lines + ridge, lines.T)
        return np.sum((root * Y - hat @ (root * Y)) ** 2) / (50 - np.trace(hat)) ** 2

    best = min(projection.LAMBDAS, key=error)
    assert projection.fit(X, Y, n)(X) == pytest.approx(projection.fit(X, Y, n, best)(X))
    assert best not in (projection.LAMBDAS[0], projection.LAMBDAS[-1])


def test_content_that_explains_everything_is_followed_exactly():
    X = np.arange(12.0).reshape(6, 2) ** 2
    Y = X @ np.array([[1.0, -2.0], [0.5, 1.0]]) + 3
    assert projection.fit(X, Y, np.ones(6))(X) == pytest.approx(Y, abs=0.02)


def test_one_row_gives_its_own_terms_and_too_many_features_are_refused():
    assert projection.fit(np.ones((1, 3)), np.array([[2.0, 5.0]]), np.ones(1))(
        np.zeros((1, 3))
    ) == (pytest.approx(np.array([[2.0, 5.0]])))
    with pytest.raises(DataError, match="vector has 4,097 features; give at most 4,096"):
        projection.fit(np.ones((2, 4097)), np.ones((2, 1)), np.ones(2))


@pytest.mark.parametrize("regularization", [None, 1e-6, 0.3, 100.0])
@pytest.mark.parametrize("n_texts", [1, 5, 40])
def test_lists_of_codes_give_what_their_zeros_and_ones_give(n_texts, regularization):
    rng = np.random.default_rng(n_texts)
    lists = [rng.integers(-1, n_texts, rng.integers(0, 6)).tolist() for _ in range(60)]
    lists = [[*codes, *codes[:1]] if row % 2 else codes for row, codes in enumerate(lists)]
    n, Y = rng.integers(1, 900, 60).astype(float), rng.normal(size=(60, 4))
    dense = naive.one_hot(lists, range(n_texts))
    Y[:, 0] += dense[:, 0]
    counts = np.array([len(codes) for codes in lists], np.int32)
    codes = np.concatenate([np.array(codes, np.int32) for codes in lists])
    sparse = projection.one_hot(counts, codes, n_texts)
    assert np.array_equal(sparse.toarray(), dense)
    expected = naive.fit(dense, Y, n, regularization)[0](dense)
    for X in (dense, sparse):
        fitted = projection.fit(X, Y, n, regularization)
        assert fitted(X) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("mean", [0.0, 2000.0])
def test_numbers_give_what_their_eigenvectors_give(content, mean):
    X, Y, n = content
    assert projection.fit(X + mean, Y, n)(X + mean) == (
        pytest.approx(naive.fit(X, Y, n)[0](X), rel=1e-5, abs=1e-6)
    )


def test_features_that_say_the_same_share_their_weight_also_with_lambda_0(content):
    X, Y, n = content
    once, twice = projection.fit(X, Y, n, 0.0), projection.fit(np.hstack([X, X]), Y, n, 0.0)
    halves = np.vstack([once.W, once.W]) / 2
    assert np.allclose(twice.W, halves, atol=1e-5)


@pytest.mark.parametrize("n_features", [0, 3])
def test_features_that_say_nothing_give_the_mean(n_features):
    X, Y, n = np.ones((4, n_features)), np.arange(8.0).reshape(4, 2), np.array([1.0, 2, 3, 4])
    assert projection.fit(X, Y, n)(X) == pytest.approx(np.tile(n @ Y / 10, (4, 1)))
