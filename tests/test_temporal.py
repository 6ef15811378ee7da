"""Time terms: their twin, their objective, what they recover, and how mf_fit takes them."""

from __future__ import annotations

import numpy as np
import pytest

from duckmf import algorithms
from duckmf.algorithms.temporal import BIAS_PARTS
from duckmf.ratings import Ratings, Triples, canonical
from duckmf.temporal import DAY, Span, day_numbers
from duckmf.threads import Workers
from tests.naive_temporal import NaiveTimeTerms

NAMES = ["als", "svd", "svdpp", "bias"]
N_USERS, N_ITEMS = 25, 15


@pytest.fixture
def ratings() -> Ratings:
    """300 ratings within 60 days; user 0 and item 0 have none, user 1 all in one day."""
    rng = np.random.default_rng(5)
    cells = rng.choice((N_USERS - 1) * (N_ITEMS - 1), 300, replace=False)
    users = (cells // (N_ITEMS - 1) + 1).astype(np.int32)
    items = (cells % (N_ITEMS - 1) + 1).astype(np.int32)
    days = rng.integers(0, 20, 300) * 3 + rng.random(300)
    days[users == 1] = 7.5
    values = (rng.integers(1, 11, 300) / 2).astype(np.float32)
    triples = Triples(users, items, values, None, 1e9 + days * DAY)
    return canonical(triples, N_USERS, N_ITEMS, "mean", Workers(1))[0]


def made(name: str, ratings: Ratings, workers: Workers | None = None, **options: object):
    algorithm = algorithms.find(name)
    return algorithms.make(algorithm, ratings, algorithm.Options(**options), workers or Workers(1))


def errors_of(factors, ratings: Ratings) -> np.ndarray:
    rows = ratings.by_user
    return rows.values - factors.predict(rows.row_numbers(), rows.indices, rows.times)


@pytest.mark.parametrize("parts", [*((part,) for part in BIAS_PARTS), BIAS_PARTS])
def test_the_terms_after_an_epoch_are_those_of_the_naive_twin(ratings, parts):
    options = {"temporal": parts, "time_bins": 7, "temporal_regularization": 3.0}
    factors = made("bias", ratings, **options)
    factors.epoch(1)
    found = factors.factors()
    rows = ratings.by_user
    users, items = rows.row_numbers().tolist(), rows.indices.tolist()
    naive = NaiveTimeTerms(users, items, rows.times.tolist(), 7, 0.4, 3.0)
    left = rows.values - (found.mu + found.user_bias[users] + found.item_bias[items])
    for part, solve in zip(
        BIAS_PARTS, (naive.solve_bins, naive.solve_drift, naive.solve_days), strict=True
    ):
        if part in parts:
            solve(left)
    temporal = found.temporal
    assert temporal.centers[1:] == pytest.approx([naive.centers[u] for u in range(1, N_USERS)])
    if "item_bins" in parts:
        expected = [[naive.bin_bias[i, b] for b in range(7)] for i in range(N_ITEMS)]
        assert temporal.bin_bias == pytest.approx(np.array(expected), abs=1e-5)
    if "user_drift" in parts:
        assert temporal.drift == pytest.approx(
            np.array([naive.drift[u] for u in range(N_USERS)]), abs=1e-5
        )
    if "user_day" in parts:
        numbers = np.repeat(np.arange(N_USERS), np.diff(temporal.user_days.indptr))
        days = zip(numbers.tolist(), temporal.user_days.days.tolist(), strict=True)
        assert temporal.day_bias == pytest.approx(
            np.array([naive.day_bias[key] for key in days]), abs=1e-5
        )
    expected = [naive.term(c) for c in range(len(users))]
    scores = temporal.scores(rows.row_numbers(), rows.indices, rows.times, None)
    assert scores == pytest.approx(np.array(expected), abs=1e-5)


def test_an_epoch_of_als_lowers_the_joint_objective(ratings):
    lambda_t = 2.0
    als = made("als", ratings, temporal=BIAS_PARTS, n_factors=4, temporal_regularization=lambda_t)
    rows = ratings.by_user
    usual = np.mean(
        np.square(
            Span.of(rows.times, 0.4).deviations(rows.times, als._dial.centers[rows.row_numbers()])
        )
    )

    def objective() -> float:
        f = als.factors()
        n_u, n_i = rows.counts**0.5, ratings.by_item.counts**0.5
        sigma = float(rows.values.std())
        penalty = (
            n_u @ (sigma * np.square(f.P).sum(1) + f.user_bias**2)
            + n_i @ (sigma * np.square(f.Q).sum(1) + f.item_bias**2)
            + lambda_t * np.square(f.temporal.bin_bias).sum()
            + lambda_t * np.square(f.temporal.day_bias).sum()
            + lambda_t * usual * np.square(f.temporal.drift).sum()
        )
        return float(np.square(errors_of(f, ratings)).sum() + penalty)

    values = []
    for number in range(1, 12):
        loss = als.epoch(number)
        values.append(objective())
        errors = errors_of(als.factors(), ratings)
        assert loss == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    assert np.all(np.diff(values) < 1e-4 * values[0] * 1e-2)
    assert values[-1] < 0.99 * values[0]


def test_a_converged_model_is_stationary_by_finite_differences(ratings):
    """The gradient of each term, but for the multiplier that its constraint has in its row."""
    lambda_t = 2.0
    bias = made("bias", ratings, temporal=BIAS_PARTS, temporal_regularization=lambda_t, time_bins=5)
    for number in range(1, 400):
        bias.epoch(number)
    f = bias.factors()
    rows, temporal = ratings.by_user, f.temporal
    users, items, times = rows.row_numbers(), rows.indices, rows.times
    usual = float(np.mean(np.square(temporal.span.deviations(times, temporal.centers[users]))))

    def objective() -> float:
        errors = (rows.values - f.predict(users, items, times)).astype(np.float64)
        penalties = [(temporal.bin_bias, 1.0), (temporal.day_bias, 1.0), (temporal.drift, usual)]
        return float(
            errors @ errors
            + lambda_t * sum(w * np.square(a.astype(np.float64)).sum() for a, w in penalties)
        )

    def gradient(array: np.ndarray) -> np.ndarray:
        slopes = np.empty(array.size)
        flat, h = array.reshape(-1), 0.25  # the objective is quadratic: any h will do
        for k, value in enumerate(flat.copy()):
            flat[k] = value + h
            above = objective()
            flat[k] = value - h
            slopes[k] = (above - objective()) / (2 * h)
            flat[k] = value
        return slopes

    assert np.abs(gradient(temporal.drift)).max() < 0.02
    bins = temporal.span.bins(times, 5)
    n_bins = np.bincount(items * 5 + bins, minlength=N_ITEMS * 5)
    slopes = gradient(temporal.bin_bias).reshape(N_ITEMS, 5)
    check_multipliers(slopes, n_bins.reshape(N_ITEMS, 5), temporal.bin_bias)
    places, _ = temporal.user_days.places(users, day_numbers(times))
    n_days, slopes = np.bincount(places), gradient(temporal.day_bias)
    for a, b in zip(temporal.user_days.indptr[:-1], temporal.user_days.indptr[1:], strict=True):
        check_multipliers(slopes[None, a:b], n_days[None, a:b], temporal.day_bias[None, a:b])


def check_multipliers(slopes: np.ndarray, counts: np.ndarray, biases: np.ndarray) -> None:
    """d/db_g = c n_g with one c in each row; sum n_g b_g = 0; nothing where there are no ratings."""
    for slope, n, b in zip(slopes, counts, biases, strict=True):
        assert np.all(b[n == 0] == 0)
        if n.sum() > 0:
            c = slope[n > 0] / n[n > 0]
            assert np.ptp(c) < 0.02
            assert n @ b == pytest.approx(0, abs=1e-4)
