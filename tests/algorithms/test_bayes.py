"""bayes: its kernel against its naive twin, its bound, and what a training must have learnt."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from duckmf.algorithms.bayes import Bayes, BayesOptions
from duckmf.algorithms.bayes_rows import BayesSide
from duckmf.errors import TrainingError
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Fixed
from duckmf.model.uncertainty import Spread
from tests.algorithms.test_als import both_ways, random_ratings
from tests.naive import bayes as naive

ONE = Workers(1)


def random_covariance(K, rng, size=0.1):
    """Positive definite, with correlations."""
    A = rng.normal(0, 1, (K, 2 * K))
    return size * A @ A.T / (2 * K)


def random_side(rows, n_factors, seed=1):
    """Rows with normal numbers, whose classes have different covariances."""
    rng = np.random.default_rng(seed)
    covariances = [random_covariance(n_factors + 1, rng, 0.1 / (c + 1)) for c in range(12)]
    side = BayesSide.of(rows, Spread(0.2, np.array(covariances, np.float32)))
    side.numbers.factors[:, :n_factors] = rng.normal(0, 0.3, (len(rows), n_factors))
    side.numbers.bias[:] = rng.normal(0, 0.3, len(rows))
    return side


def train(ratings, threads=1, **options):
    """A training after all its epochs, and its losses."""
    bayes = Bayes(ratings, BayesOptions(**options), Workers(threads))
    losses = [bayes.epoch(number) for number in range(1, bayes.epochs + 1)]
    return bayes, losses


def solved(n_factors, noise=0.7):
    """Users solved for random items, and both posteriors by the naive twin."""
    ratings = random_ratings()
    items = random_side(ratings.by_item, n_factors)
    users = random_side(ratings.by_user, n_factors, seed=2)
    mean, C = users.spread.mean, users.spread.prior.astype(float)
    counts = ratings.by_item.counts
    users.solve(items.numbers, items.spread, counts, 3.2, noise, ONE)
    X, S = naive.lines(items), naive.covariances(items, counts)
    expected = [
        naive.posterior(*naive.row(ratings.by_user, u), X, S, mean, C, 3.2, noise**-2)
        for u in range(60)
    ]
    return ratings, users, (X, S), expected


@pytest.mark.parametrize("n_factors", [1, 2, 16, 33, 64])
def test_a_row_is_its_posterior(n_factors):
    _, users, _, expected = solved(n_factors)
    means, covariances = (np.array(part) for part in zip(*expected, strict=True))
    assert naive.lines(users) == pytest.approx(means, abs=5e-4)
    variances = users.stored_variances()
    diagonals = np.array([S.diagonal() for S in covariances])
    assert variances.factors == pytest.approx(diagonals[:, :-1], rel=1e-3)
    assert variances.bias == pytest.approx(diagonals[:, -1], rel=1e-3)


@pytest.mark.parametrize("n_factors", [1, 20])
def test_sums_are_those_of_the_rows(n_factors):
    ratings, users, (X, S), expected = solved(n_factors)
    rated = np.flatnonzero(ratings.by_user.counts)
    found = users.moments
    center = np.append(np.zeros(n_factors), 0.2)
    m = np.array([expected[u][0] for u in rated]) - center
    covariances = np.array([expected[u][1] for u in rated])
    assert found.n == len(rated)
    assert found.first == pytest.approx(m.sum(axis=0), abs=1e-3)
    assert found.second == pytest.approx(m.T @ m, abs=1e-3)
    assert found.spread == pytest.approx(covariances.sum(axis=0), abs=1e-3)
    errors = sum(
        naive.expected_error(r, *expected[u], X[j], S[j], 3.2)
        for u in rated
        for j, r in zip(*naive.row(ratings.by_user, u), strict=True)
    )
    assert found.residuals == pytest.approx(errors, rel=1e-4)


def test_a_class_has_the_mean_covariance_of_its_rows():
    ratings, users, _, expected = solved(5)
    classes = users.spread.classes(ratings.by_user.counts)
    for c in np.unique(classes[classes > 0]):
        mean = np.mean([expected[u][1] for u in np.flatnonzero(classes == c)], axis=0)
        assert users.spread.covariances[c] == pytest.approx(mean, abs=1e-5)
    assert users.spread.covariances[0] == pytest.approx(expected[0][1], abs=1e-6)


def test_classes_go_by_powers_of_two():
    spread = Spread(0.0, np.zeros((30, 2, 2), np.float32))
    counts = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 4096, 10**9])
    assert spread.classes(counts).tolist() == [0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 13, 29]


def test_a_row_without_ratings_is_the_prior():
    _, users, _, expected = solved(6)
    assert not users.numbers.factors[0].any()
    assert users.numbers.bias[0] == pytest.approx(0.2)
    prior = expected[0][1].diagonal()
    assert users.variances.unpadded()[0] == pytest.approx(prior[:-1], rel=1e-6)
    assert users.variances.bias[0] == pytest.approx(prior[-1], rel=1e-6)


def test_the_spread_of_a_bias_is_known_where_items_are_held_fixed():
    """1 / (1 / C + n tau), a conjugate normal, for items of no factors and no spread."""
    ratings = random_ratings()
    items = BayesSide.of(ratings.by_item, Spread(0.0, np.eye(2, dtype=np.float32)[None]))
    users = BayesSide.of(ratings.by_user, Spread(0.0, 0.25 * np.eye(2, dtype=np.float32)[None]))
    users.solve(items.numbers, None, ratings.by_item.counts, 3.0, 0.5, ONE)
    counts = ratings.by_user.counts
    assert users.variances.bias == pytest.approx(1 / (1 / 0.25 + counts / 0.25), rel=1e-5)
    sums = [np.sum(naive.row(ratings.by_user, u)[1] - 3.0) for u in range(60)]
    assert users.numbers.bias == pytest.approx(np.array(sums) / (1 + counts), abs=1e-5)


def full_ratings(n_users=30, n_items=20, n_factors=2, seed=0):
    """Everybody rated everything: the rows of a class have one and the same covariance."""
    rng = np.random.default_rng(seed)
    P, Q = rng.normal(0, 0.7, (n_users, n_factors)), rng.normal(0, 0.7, (n_items, n_factors))
    noise = rng.normal(0, 0.5, (n_users, n_items))
    return both_ways(3 + P @ Q.T + rng.normal(0, 0.4, n_items) + noise)


def bound(bayes):
    """The bound of a training, by the naive twin."""
    sides = [
        (
            naive.lines(side),
            naive.covariances(side, side.rows.counts),
            side.spread.mean,
            side.spread.prior.astype(float),
        )
        for side in (bayes.users, bayes.items)
    ]
    return naive.bound(bayes.ratings.by_user, *sides, bayes.mu, bayes.noise**-2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bound_never_falls(seed):
    bayes = Bayes(full_ratings(seed=seed), BayesOptions(n_factors=4, epochs=30), ONE)
    bounds = []
    for number in range(1, 31):
        bayes.epoch(number)
        if number > 10:
            bounds.append(bound(bayes))
    assert np.diff(bounds).min() > -1e-3
    assert bounds[-1] > bounds[0] + 1


def test_the_bound_is_flat_at_the_posterior_of_a_row():
    ratings, users, (X, S), _ = solved(3)
    mean, C = 0.2, users.spread.prior.astype(float)
    codes, values = naive.row(ratings.by_user, 7)
    one = both_ways(np.array([[np.nan] * 40]))
    alone = replace(one.by_user, indptr=np.array([0, len(codes)]), indices=codes, values=values)
    x, V = naive.posterior(codes, values, X, S, mean, C, 3.2, 0.7**-2)
    x = naive.lines(users)[7]
    nobody = X, S, 0.0, np.eye(4)

    def at(x, V):
        return naive.bound(alone, (x[None], V[None], mean, C), nobody, 3.2, 0.7**-2)

    rng = np.random.default_rng(0)
    for _ in range(5):
        d = rng.normal(0, 1, 4)
        slope = (at(x + 1e-3 * d, V) - at(x - 1e-3 * d, V)) / 2e-3
        assert abs(slope) < 2e-2
        assert at(x + 0.05 * d, V) < at(x, V)
        assert at(x, 1.05 * V) < at(x, V)
        assert at(x, 0.95 * V) < at(x, V)


def test_loss_is_the_training_rmse():
    bayes, losses = train(random_ratings(), n_factors=7, epochs=6)
    by_user = bayes.ratings.by_user
    errors = by_user.values - bayes.factors().predict(by_user.row_numbers(), by_user.indices)
    assert losses[-1] == pytest.approx(math.sqrt(np.mean(errors.astype(float) ** 2)), rel=1e-4)


@pytest.mark.parametrize("n_factors", [5, 33])
def test_bits_do_not_depend_on_threads(n_factors):
    ratings = random_ratings(n_users=120, seed=5)
    first, losses = train(ratings, threads=1, epochs=4, n_factors=n_factors)
    for threads in (2, 3):
        other, other_losses = train(ratings, threads=threads, epochs=4, n_factors=n_factors)
        assert other_losses == losses
        assert other.noise == first.noise
        for name in ("P", "Q", "user_bias", "item_bias"):
            same = getattr(other.factors(), name), getattr(first.factors(), name)
            assert same[0].tobytes() == same[1].tobytes()


def test_trained_user_folded_in_again_is_the_same():
    ratings = random_ratings()
    bayes, _ = train(ratings, n_factors=9, epochs=6)
    model = bayes.factors()
    fixed = Fixed(
        *("users", bayes.mu, bayes.sigma, ratings.by_item.counts, model.item_bias, model.Q),
        np.zeros((40, 0), np.float32),
        uncertainty=model.uncertainty,
    )
    folded = Bayes.fold_in(fixed, bayes.options, ONE)(ratings.by_user)
    assert folded.factors.tobytes() == model.P.tobytes()
    assert folded.bias.tobytes() == model.user_bias.tobytes()
    assert folded.variances.factors.tobytes() == model.uncertainty.users.factors.tobytes()
    assert folded.variances.bias.tobytes() == model.uncertainty.users.bias.tobytes()


def known_truth(noise=0.3, seen=0.3):
    """Ratings of known factors, what is expected of each cell, and which ones were seen."""
    rng = np.random.default_rng(8)
    P, Q = rng.normal(0, 0.6, (300, 3)), rng.normal(0, 0.6, (150, 3))
    bu, bi = rng.normal(0, 0.4, (300, 1)), rng.normal(0, 0.4, 150)
    truth = 3 + bu + bi + P @ Q.T
    rated = rng.random(truth.shape) < seen
    noisy = np.where(rated, truth + rng.normal(0, noise, truth.shape), np.nan)
    return both_ways(noisy), truth, rated


def test_known_factors_are_recovered_whatever_their_number():
    ratings, truth, rated = known_truth()
    for n_factors in (3, 16):
        bayes, _ = train(ratings, n_factors=n_factors, epochs=30)
        users, items = (codes.astype(np.int32) for codes in np.nonzero(~rated))
        errors = bayes.factors().predict(users, items) - truth[~rated]
        assert math.sqrt(np.mean(errors**2)) < 0.12
        assert bayes.noise == pytest.approx(0.3, rel=0.05)


def test_the_variances_are_those_of_what_is_wrong():
    ratings, truth, rated = known_truth()
    bayes, _ = train(ratings, n_factors=5, epochs=40)
    model = bayes.factors()
    users, items = np.nonzero(~rated)
    errors = model.predict(users.astype(np.int32), items.astype(np.int32)) - truth[~rated]
    u, i = model.uncertainty.users, model.uncertainty.items
    p2, q2 = model.P[users] ** 2, model.Q[items] ** 2
    variances = u.bias[users] + i.bias[items]
    variances += np.sum(u.factors[users] * (q2 + i.factors[items]) + p2 * i.factors[items], axis=1)
    assert np.mean(errors**2 / variances) == pytest.approx(1, abs=0.3)
    covered = np.mean(np.abs(errors) < 1.645 * np.sqrt(variances))
    assert 0.85 < covered < 0.95


def test_ratings_on_another_scale_give_the_same_model():
    small, losses = train(random_ratings(), n_factors=4, epochs=6)
    large, large_losses = train(random_ratings(scale=16.0), n_factors=4, epochs=6)
    assert large_losses == pytest.approx([16 * loss for loss in losses], rel=1e-4)
    large_P, small_P = large.factors().P, small.factors().P
    assert large_P == pytest.approx(4 * small_P, abs=1e-3)
    assert large.noise == pytest.approx(16 * small.noise, rel=1e-4)


def test_equal_ratings_are_predicted():
    bayes, losses = train(both_ways(np.full((5, 4), 2.5)), n_factors=2)
    assert losses[-1] < 1e-3
    assert bayes.mu == 2.5


def test_an_outlier_is_taken_within_the_range_of_most():
    dense = np.tile(np.arange(1.0, 6.0), (8, 4))
    dense[2, 3] = 1e4
    bayes, _ = train(both_ways(dense), epochs=3)
    assert (bayes.low, bayes.high) == (1.0, 9.0)
    assert bayes.ratings.by_item.values.max() == 9


def test_as_many_factors_as_the_ratings_bear():
    few, many = random_ratings(40, 40, 0.05), random_ratings(80, 60, 0.9)
    for ratings, expected in ((few, 4), (many, 32)):
        assert Bayes(ratings, BayesOptions(), ONE).options.n_factors == expected
    assert Bayes(few, BayesOptions(n_factors=7), ONE).options.n_factors == 7


def test_numbers_beyond_float32_are_refused():
    with pytest.raises(TrainingError, match=r"bayes squares ratings that differ by .* Scale them"):
        train(random_ratings(scale=1e30), n_factors=4)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_ratings_of_other_units_are_learnt(scale):
    _, losses = train(random_ratings(), n_factors=4)
    _, scaled = train(random_ratings(scale=scale), n_factors=4)
    assert scaled[-1] == pytest.approx(scale * losses[-1], rel=1e-2)
