"""timeSVD++: its kernel against the naive twin, what it is without its parts, what it recovers."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from duckmf import algorithms
from duckmf.algorithms.svdpp import Svdpp, SvdppOptions
from duckmf.algorithms.timesvdpp import Timesvdpp, TimesvdppOptions
from duckmf.algorithms.with_time_terms import BIAS_TERMS, TIME_TERMS
from duckmf.kernels.svdpp import FactorDrift, Paces, Parameters, Visits, descend
from duckmf.kernels.threads import Workers
from duckmf.model.temporal import DAY, Span
from duckmf.ratings.matrix import Ratings, Triples, canonical
from tests.naive.svdpp import Problem

NAMES = ("bu", "bi", "P", "Q", "Y", "A")


def ratings_of(users, items, values, times, n_users, n_items) -> Ratings:
    triples = Triples(
        np.asarray(users, np.int32), np.asarray(items, np.int32), np.asarray(values, np.float32)
    )
    triples.times = np.asarray(times, np.float64)
    return canonical(triples, n_users, n_items, "mean", Workers(1))[0]


@pytest.fixture
def ratings() -> Ratings:
    rng = np.random.default_rng(3)
    cells = rng.choice(30 * 20, 300, replace=False)
    values = rng.integers(1, 11, 300) / 2
    return ratings_of(cells // 20, cells % 20, values, 1e9 + rng.random(300) * 1e8, 30, 20)


def trained(ratings: Ratings, epochs: int = 4, threads: int = 1, **options: object):
    workers = Workers(threads)
    options = TimesvdppOptions(**{"n_factors": 4, "epochs": epochs, **options})
    training = algorithms.make(Timesvdpp, ratings, options, workers)
    losses = [training.epoch(number) for number in range(1, epochs + 1)]
    factors = training.factors()
    return factors, losses


@pytest.mark.parametrize("shortening", [0.0, 1.0])
def test_in_float64_the_kernel_with_drift_equals_its_twin_to_rounding(ratings, shortening):
    rng = np.random.default_rng(4)
    rows = ratings.by_user
    parts = [rng.normal(0, 0.3, n) for n in (30, 20)]
    parts += [rng.normal(0, 0.3, (n, 5)) for n in (30, 20, 20, 30)]
    lr_u, lr_i = rng.uniform(0.01, 0.2, 30), rng.uniform(0.01, 0.2, 20)
    reg_u, reg_bu, reg_y, reg_a = rng.uniform(0, 1, (4, 30))
    reg_i, reg_bi = rng.uniform(0, 1, (2, 20))
    rated = np.split(rows.indices, rows.indptr[1:-1])
    own = copy.deepcopy(parts)
    twin = Problem(*own[:5], rated, reg_u, reg_i, reg_bu, reg_bi, reg_y, own[5], reg_a)
    dev = rng.normal(0, 1, len(rows.values))
    values = rows.values.astype(float) - 3
    turns = np.concatenate([rng.permutation(n) for n in rows.counts]).astype(np.int32)
    users = rng.permutation(30).astype(np.int32)
    pace_u = np.column_stack([lr_u, *(lr_u * reg for reg in (reg_u, reg_bu, reg_y, reg_a))])
    pace_i = np.column_stack((lr_i, lr_i * reg_i, lr_i * reg_bi))
    loss = descend(
        Visits(users, rows.indptr, rows.indices, turns, values),
        Parameters(*parts[:5]),
        FactorDrift(parts[5], dev),
        Paces(pace_u, pace_i),
        shortening,
    )
    squares = 0.0
    for u in users:
        for n in rows.indptr[u] + turns[rows.indptr[u] : rows.indptr[u + 1]]:
            i = rows.indices[n]
            squares += twin.step(u, i, values[n], lr_u[u], lr_i[i], shortening, dev[n])
    assert loss == pytest.approx(squares, rel=1e-12)
    for part, name in zip(parts, NAMES, strict=True):
        assert np.allclose(part, getattr(twin, name), rtol=1e-12, atol=1e-12), name


def test_a_step_of_the_twin_goes_down_the_gradient_by_finite_differences():
    rng = np.random.default_rng(2)
    parts = [rng.normal(0, 0.5, n) for n in (2, 4)]
    parts += [rng.normal(0, 0.5, (n, 3)) for n in (2, 4, 4)]
    lambdas = [np.full(4, penalty) for penalty in (0.3, 0.2, 0.1, 0.1, 0.4)]
    drift = [rng.normal(0, 0.5, (2, 3)), np.full(4, 0.6)]
    problem = Problem(*parts, [np.array([0]), np.array([0, 2, 3])], *lambdas, *drift)
    moved, t, lr = copy.deepcopy(problem), -1.3, 1e-7
    moved.step(1, 2, 1.7, lr, lr, t=t)
    for name, place in (("P", (1, 2)), ("Q", (2, 0)), ("Y", (3, 0)), ("A", (1, 0)), ("A", (1, 2))):
        slopes = []
        for change in (1e-5, -1e-5):
            nearby = copy.deepcopy(problem)
            getattr(nearby, name)[place] += change
            slopes.append(nearby.loss(1, 2, 1.7, t))
        step = (getattr(moved, name)[place] - getattr(problem, name)[place]) / lr
        gradient = (slopes[0] - slopes[1]) / 2e-5
        assert abs(gradient) > 1e-3
        assert step == pytest.approx(-gradient, rel=1e-4)
    assert np.array_equal(moved.A[0], problem.A[0])


def test_without_parts_it_is_svdpp_and_without_drift_svdpp_with_biases(ratings):
    for parts in ((), BIAS_TERMS):
        factors, losses = trained(ratings, temporal=parts)
        options = SvdppOptions(n_factors=4, epochs=4, temporal=parts)
        svdpp = algorithms.make(Svdpp, ratings, options, Workers(1))
        assert losses == [svdpp.epoch(number) for number in range(1, 5)]
        assert np.array_equal(factors.P, svdpp.factors().P)
        assert (factors.temporal is None) == (parts == ())


def test_the_drift_of_factors_is_what_is_predicted_at_a_time(ratings):
    factors, losses = trained(ratings, temporal=TIME_TERMS, temporal_regularization=1.0, epochs=8)
    rows, temporal = ratings.by_user, factors.temporal
    users, items = rows.row_numbers(), rows.indices
    predicted = factors.predict(users, items, rows.times)
    assert losses[-1] == pytest.approx(np.sqrt(np.mean((rows.values - predicted) ** 2)), rel=1e-5)
    dev = temporal.span.deviations(rows.times, temporal.centers[users])
    at = factors.P[users] + dev[:, None] * temporal.factor_drift[users]
    bins = temporal.span.bins(rows.times, 30)
    places, there = temporal.user_days.places(users, np.int32(rows.times // DAY))
    assert there.all()
    by_hand = (
        factors.mu
        + factors.user_bias[users]
        + temporal.drift[users] * dev
        + temporal.day_bias[places]
        + factors.item_bias[items]
        + temporal.bin_bias[items, bins]
        + np.sum(at * factors.Q[items], axis=1)
    )
    assert predicted == pytest.approx(by_hand, abs=1e-5)
    assert np.abs(temporal.factor_drift).max() > 1e-3


def test_a_planted_drift_of_factors_is_recovered():
    """Users turn from one kind of items to the other: no bias tells which way."""
    rng = np.random.default_rng(6)
    n_users, n_items = 300, 80
    cells = rng.choice(n_users * n_items, 14_000, replace=False)
    users, items = cells // n_items, cells % n_items
    times = 1e9 + rng.random(len(cells)) * 1000 * DAY
    centers = np.bincount(users, times) / np.bincount(users)
    span = Span(times.min(), times.max(), 0.4)
    dev = span.deviations(times, centers[users]) / 10
    turn, kind = rng.choice([-1, 1], n_users), np.where(np.arange(n_items) % 2 == 0, 1, -1)
    values = 3 + turn[users] * kind[items] * dev + rng.normal(0, 0.2, len(cells))
    test = rng.random(len(cells)) < 0.2
    train = ratings_of(*(a[~test] for a in (users, items, values, times)), n_users, n_items)
    rmse = {}
    for parts in (BIAS_TERMS, TIME_TERMS):
        factors, _ = trained(
            train, 60, temporal=parts, temporal_regularization=0.5, regularization=0.3
        )
        predicted = factors.predict(users[test], items[test], times[test])
        rmse[parts] = np.sqrt(np.mean((predicted - values[test]) ** 2))
    assert rmse[BIAS_TERMS] > 0.6
    assert rmse[TIME_TERMS] < 0.35, "the noise is 0.2"


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(ratings, threads):
    one, losses = trained(ratings)
    several, their_losses = trained(ratings, threads=threads)
    assert losses == their_losses
    for name in ("P", "Q", "Y", "user_bias", "item_bias"):
        assert np.array_equal(getattr(one, name), getattr(several, name))
    for name in ("factor_drift", "drift", "day_bias", "bin_bias"):
        assert np.array_equal(getattr(one.temporal, name), getattr(several.temporal, name))
