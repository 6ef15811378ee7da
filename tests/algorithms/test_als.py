"""ALS: its kernels against their naive twins, and what a training must have learnt."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from duckmf.algorithms.als import Als, AlsOptions, PaddedSide, Penalty, solve
from duckmf.errors import TrainingError
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings, Rows
from tests.naive import als as naive

ONE = Workers(1)


def both_ways(dense):
    """The cells of a dense matrix that are not NaN, as Ratings."""

    def rows(matrix):
        cells = ~np.isnan(matrix)
        indptr = np.concatenate(([0], np.cumsum(cells.sum(axis=1)))).astype(np.int64)
        return Rows(indptr, np.nonzero(cells)[1].astype(np.int32), matrix[cells].astype(np.float32))

    return Ratings(rows(dense), rows(dense.T))


def random_ratings(n_users=60, n_items=40, density=0.3, seed=0, scale=1.0):
    """Ratings 1 to 5; the first user has none, the second one, the third the same for all."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 6, (n_users, n_items)).astype(float)
    dense[rng.random(dense.shape) > density] = np.nan
    dense[:2] = np.nan
    dense[1, 3] = 4
    dense[2] = 3
    return both_ways(scale * dense)


def random_side(n, n_factors, seed=1):
    """Factors and biases of n rows, normal with deviation 0.3."""
    rng = np.random.default_rng(seed)
    return PaddedSide.of(
        rng.normal(0, 0.3, (n, n_factors)).astype(np.float32),
        rng.normal(0, 0.3, n).astype(np.float32),
    )


def train(ratings, threads=1, **options):
    """A training after all its epochs, and its losses."""
    workers = Workers(threads)
    als = Als(ratings, AlsOptions(**options), workers)
    losses = [als.epoch(number) for number in range(1, als.epochs + 1)]
    return als, losses


def objective(als):
    """The regularized objective of the algorithm's docstring."""
    ratings, options = als.ratings, als.options
    return (
        naive.squared_error(ratings.by_user, als.users, als.items, als.mu)
        + naive.penalties(ratings.by_user, als.users, als.penalty(options.user_regularization))
        + naive.penalties(ratings.by_item, als.items, als.penalty(options.item_regularization))
    )


@pytest.mark.parametrize("n_factors", [1, 2, 16, 33, 64])
@pytest.mark.parametrize("scaling", [0.0, 0.7, 1.0])
def test_row_solve_equals_naive_solve(n_factors, scaling):
    rows = random_ratings().by_user
    items = random_side(40, n_factors)
    users = random_side(60, n_factors, seed=2)
    penalty = Penalty(factors=0.1, bias=0.05, scaling=scaling)
    errors = solve(rows, users, items, 3.2, penalty, ONE)
    expected = [naive.solve_row(*naive.row(rows, u), items, 3.2, penalty) for u in range(60)]
    assert users.unpadded() == pytest.approx(np.array(expected)[:, :-1], abs=1e-5)
    assert users.bias == pytest.approx(np.array(expected)[:, -1], abs=1e-5)
    assert errors == pytest.approx(naive.squared_error(rows, users, items, 3.2), rel=1e-5, abs=1e-3)


def test_row_longer_than_a_batch_equals_naive_solve():
    rng = np.random.default_rng(3)
    ratings = both_ways(rng.normal(50, 20, (2, 301)))
    items, users = random_side(301, 20), PaddedSide.zeros(2, 20)
    penalty = Penalty(factors=0.01, bias=0.01, scaling=0.0)
    solve(ratings.by_user, users, items, 50.0, penalty, ONE)
    for u in range(2):
        expected = naive.solve_row(*naive.row(ratings.by_user, u), items, 50.0, penalty)
        assert users.unpadded()[u] == pytest.approx(expected[:-1], rel=1e-3, abs=1e-3)


def test_row_without_ratings_is_zero():
    users = random_side(60, 8)
    solve(random_ratings().by_user, users, random_side(40, 8), 3.0, Penalty(0.1, 0.1, 1.0), ONE)
    assert not users.factors[0].any()
    assert users.bias[0] == 0


def test_padding_stays_zero():
    als, _ = train(random_ratings(), n_factors=5, epochs=2)
    assert not als.users.factors[:, 5:].any()
    assert not als.items.factors[:, 5:].any()


def test_gradient_vanishes_at_the_solution():
    als, _ = train(random_ratings(), n_factors=12, epochs=3)
    penalty = als.penalty(None)
    for u in range(1, 60):
        codes, values = naive.row(als.ratings.by_user, u)
        x = np.append(als.users.unpadded()[u], als.users.bias[u]).astype(float)
        slope = naive.gradient(x, codes, values, als.items, als.mu, penalty)
        assert np.abs(slope).max() < 1e-4


@pytest.mark.parametrize("nonnegative", [False, True])
def test_half_epochs_never_raise_the_objective(nonnegative):
    als = Als(random_ratings(), AlsOptions(n_factors=6, nonnegative=nonnegative), ONE)
    ratings, penalty = als.ratings, als.penalty(None)
    before = math.inf
    for _ in range(4):
        for rows, this, other in [
            (ratings.by_item, als.items, als.users),
            (ratings.by_user, als.users, als.items),
        ]:
            solve(rows, this, other, als.mu, penalty, ONE, nonnegative=nonnegative)
            assert objective(als) <= before * (1 + 1e-6)
            before = objective(als)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_loss_is_the_training_rmse(nonnegative):
    als, losses = train(random_ratings(), n_factors=7, epochs=3, nonnegative=nonnegative)
    by_user = als.ratings.by_user
    users = np.repeat(np.arange(60, dtype=np.int32), by_user.counts)
    errors = by_user.values - als.factors().predict(users, by_user.indices)
    assert losses[-1] == pytest.approx(math.sqrt(np.mean(errors.astype(float) ** 2)), rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"nonnegative": True}, {"n_factors": 33}])
def test_bits_do_not_depend_on_threads(options):
    ratings = random_ratings(n_users=120, seed=5)
    first, losses = train(ratings, threads=1, epochs=2, **options)
    for threads in (2, 3):
        other, other_losses = train(ratings, threads=threads, epochs=2, **options)
        assert other_losses == losses
        for name in ("P", "Q", "user_bias", "item_bias"):
            same = getattr(other.factors(), name), getattr(first.factors(), name)
            assert same[0].tobytes() == same[1].tobytes()


def test_pieces_do_not_change_bits(monkeypatch):
    ratings = random_ratings()
    whole, _ = train(ratings, epochs=2)
    monkeypatch.setattr(
        "duckmf.algorithms.als.row_pieces",
        lambda ends, _: [(r, r + 1) for r in range(len(ends) - 1)],
    )
    pieces, _ = train(ratings, epochs=2)
    assert pieces.users.factors.tobytes() == whole.users.factors.tobytes()


def test_trained_user_folded_in_again_is_the_same():
    als, _ = train(random_ratings(), n_factors=9, epochs=3)
    model = als.factors()
    rows = als.ratings.by_user
    folded = PaddedSide.zeros(len(rows), 9)
    solve(rows, folded, PaddedSide.of(model.Q, model.item_bias), model.mu, als.penalty(None), ONE)
    assert folded.unpadded().tobytes() == model.P.tobytes()
    assert folded.bias.tobytes() == model.user_bias.tobytes()


def test_known_factors_are_recovered():
    rng = np.random.default_rng(8)
    P, Q = rng.normal(0, 0.6, (200, 3)), rng.normal(0, 0.6, (100, 3))
    bu, bi = rng.normal(0, 0.4, (200, 1)), rng.normal(0, 0.4, 100)
    truth = 3 + bu + bi + P @ Q.T
    seen = rng.random(truth.shape) < 0.4
    noisy = np.where(seen, truth + rng.normal(0, 0.1, truth.shape), np.nan)
    als, _ = train(both_ways(noisy), n_factors=3, epochs=20, regularization=0.1)
    users, items = (codes.astype(np.int32) for codes in np.nonzero(~seen))
    errors = als.factors().predict(users, items) - truth[~seen]
    assert math.sqrt(np.mean(errors**2)) < 0.06


def test_ratings_on_another_scale_give_the_same_model():
    small, losses = train(random_ratings(), n_factors=4, epochs=3)
    large, large_losses = train(random_ratings(scale=16.0), n_factors=4, epochs=3)
    assert large_losses == pytest.approx([16 * loss for loss in losses], rel=1e-5)
    large_P, small_P = large.factors().P, small.factors().P
    assert large_P == pytest.approx(4 * small_P, abs=1e-4)
    assert large.factors().user_bias == pytest.approx(16 * small.factors().user_bias, abs=1e-4)


def test_equal_ratings_are_predicted():
    als, losses = train(both_ways(np.full((5, 4), 2.5)), n_factors=2, epochs=2)
    assert losses[-1] < 1e-6
    assert als.mu == 2.5


def test_no_regularization_is_solvable():
    als, losses = train(random_ratings(), n_factors=20, epochs=3, regularization=0.0)
    assert losses[-1] < 0.3
    assert np.isfinite(als.factors().P).all()


@pytest.mark.parametrize("nonnegative", [False, True])
def test_numbers_beyond_float32_are_refused(nonnegative):
    ratings = random_ratings(scale=1e30)
    with pytest.raises(TrainingError, match=r"als cannot solve .* rows in float32\. Give ratings"):
        train(ratings, epochs=3, n_factors=4, nonnegative=nonnegative)


@pytest.mark.parametrize("n_factors", [1, 5, 33])
def test_nonnegative_meets_the_kkt_conditions(n_factors):
    als, _ = train(random_ratings(), n_factors=n_factors, epochs=4, nonnegative=True)
    model, penalty = als.factors(), als.penalty(None)
    assert model.P.min() >= 0
    assert model.Q.min() >= 0
    assert model.user_bias.min() < 0
    for u in range(1, 60):
        codes, values = naive.row(als.ratings.by_user, u)
        x = np.append(model.P[u], model.user_bias[u]).astype(float)
        slope = naive.gradient(x, codes, values, als.items, als.mu, penalty)
        assert slope[:-1].min() > -1e-3
        assert np.abs(slope * x).max() < 1e-3
        assert abs(slope[-1]) < 1e-3


def test_regularizations_default_to_regularization():
    ratings = random_ratings()
    short = AlsOptions(n_factors=4, epochs=2, regularization=0.2)
    names = ("user_regularization", "item_regularization", "bias_regularization")
    long = replace(short, regularization=9.0, **dict.fromkeys(names, 0.2))
    one, other = Als(ratings, short, ONE), Als(ratings, long, ONE)
    assert one.epoch(1) == other.epoch(1)
