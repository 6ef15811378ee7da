"""Time terms: their twin, their objective, and what they recover."""

from __future__ import annotations

import numpy as np
import pytest

from duckmf import algorithms
from duckmf.algorithms.with_time_terms import BIAS_TERMS
from duckmf.kernels.threads import Workers
from duckmf.model.temporal import DAY, Span, UserDays, day_numbers
from duckmf.ratings.matrix import Ratings, Triples, canonical
from tests.naive.time_terms import NaiveTimeTerms, bin_of, dev

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


@pytest.mark.parametrize("parts", [*((part,) for part in BIAS_TERMS), BIAS_TERMS])
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
        BIAS_TERMS, (naive.solve_bins, naive.solve_drift, naive.solve_days), strict=True
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
    als = made("als", ratings, temporal=BIAS_TERMS, n_factors=4, temporal_regularization=lambda_t)
    rows, centers = ratings.by_user, als.factors().temporal.centers
    usual = np.mean(
        np.square(Span.of(rows.times, 0.4).deviations(rows.times, centers[rows.row_numbers()]))
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
    bias = made("bias", ratings, temporal=BIAS_TERMS, temporal_regularization=lambda_t, time_bins=5)
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


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_threads_gives_the_same_bits(name):
    rng = np.random.default_rng(1)
    n = 200_000  # several pieces of work
    users, items = rng.integers(0, 900, n, np.int32), rng.integers(0, 400, n, np.int32)
    values, times = rng.normal(3, 1, n).astype(np.float32), rng.random(n) * 1e8
    triples = Triples(users, items, values, None, times)
    found = []
    for threads in (1, 3):
        workers = Workers(threads)
        ratings = canonical(triples, 900, 400, "mean", workers)[0]
        training = made(name, ratings, workers, temporal=BIAS_TERMS)
        losses = [training.epoch(1), training.epoch(2)]
        temporal = training.factors().temporal
        found.append((losses, temporal.bin_bias, temporal.drift, temporal.day_bias))
    assert found[0][0] == found[1][0]
    for one, other in zip(found[0][1:], found[1][1:], strict=True):
        assert np.array_equal(one, other)


def planted(n_users: int = 150, n_items: int = 100, n: int = 9_000):
    """Ratings with bins of a step in the middle, a drift of every user and bad and good days."""
    rng = np.random.default_rng(8)
    cells = rng.choice(n_users * n_items, n, replace=False)
    users, items = (cells // n_items).astype(np.int32), (cells % n_items).astype(np.int32)
    days = rng.integers(0, 12, (n_users, 12)).cumsum(axis=1)[users, rng.integers(0, 12, n)]
    times = (1.2e9 + days * DAY).astype(np.float64)
    step, slope = rng.normal(0, 0.5, n_items), rng.normal(0, 0.3, n_users)
    mood = rng.normal(0, 0.4, (n_users, 150))
    centers = np.bincount(users, times) / np.bincount(users)
    span = Span(times.min(), times.max(), 0.4)
    late = span.bins(times, 2)
    truth = {
        "item_bins": np.where(late == 1, step[items], -step[items]),
        "user_drift": slope[users] * span.deviations(times, centers[users]),
        "user_day": mood[users, days.astype(int)],
    }
    static = rng.normal(0, 0.5, n_users)[users] + rng.normal(0, 0.5, n_items)[items]
    return users, items, times, static, truth, rng.normal(0, 0.1, n)


@pytest.mark.parametrize("part", BIAS_TERMS)
def test_a_planted_part_is_recovered(part):
    users, items, times, static, truth, noise = planted()
    values = (3 + static + truth[part] + noise).astype(np.float32)
    rng = np.random.default_rng(2)
    test = rng.random(len(users)) < 0.2
    triples = Triples(users, items, values, None, times)
    ratings = canonical(triples.select(~test), 150, 100, "mean", Workers(1))[0]
    rmse = {}
    for parts in ((), (part,)):
        options = {"temporal": parts, "time_bins": 2, "temporal_regularization": 0.1}
        training = made("bias", ratings, regularization=0.1, **options)
        for number in range(1, 31):
            training.epoch(number)
        predicted = training.factors().predict(users[test], items[test], times[test])
        rmse[parts] = np.sqrt(np.mean((predicted - values[test]) ** 2))
    assert rmse[()] > 0.35
    assert rmse[part,] < 0.17, "the noise is 0.1"


def test_times_outside_of_training_have_the_nearest_bin_and_drift_and_no_day():
    span = Span(0.0, 100 * DAY, 0.5)
    times = np.array([-5.0, 0.0, 49.9, 50.0, 99.0, 100.0, 1e6]) * DAY
    for n in (1, 2, 7):
        expected = [bin_of(t, 0.0, 100 * DAY, n) for t in times]
        assert span.bins(times, n).tolist() == expected
    centers = np.full(7, 40 * DAY)
    expected = [dev(t, 40 * DAY, 0.0, 100 * DAY, 0.5) for t in times]
    assert span.deviations(times, centers) == pytest.approx(expected)
    assert span.deviations(times, centers)[[0, -1]] == pytest.approx([-(40**0.5), 60**0.5])
    assert Span(5.0, 5.0, 0.4).bins(times, 9).tolist() == [0] * 7
    days = UserDays.of(np.array([2, 0, 2, 2]), np.array([7, -3, 5, 7], np.int32), 4)
    assert days.indptr.tolist() == [0, 1, 1, 3, 3]
    assert days.days.tolist() == [-3, 5, 7]
    places, there = days.places(np.array([0, 1, 2, 2, 3]), np.array([-3, -3, 7, 6, 7], np.int32))
    assert there.tolist() == [True, False, True, False, False]
    assert places[there].tolist() == [0, 2]
    assert day_numbers(np.array([-1.0, 0.0, DAY - 1, DAY, 1e300])).tolist()[:4] == [-1, 0, 0, 1]


def test_users_who_rated_on_one_day_have_no_day_term_and_all_parts_are_finite(ratings):
    for name in NAMES:
        training = made(name, ratings, temporal=BIAS_TERMS)
        training.epoch(1)
        f = training.factors()
        a, b = f.temporal.user_days.indptr[1:3]
        assert b - a == 1
        assert f.temporal.day_bias[a] == 0
        assert f.temporal.drift[0] == 0
        assert not f.temporal.bin_bias[0].any()
        anyone = np.arange(N_USERS, dtype=np.int32)
        assert np.all(np.isfinite(f.predict(anyone, anyone % N_ITEMS)))
