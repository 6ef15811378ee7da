"""Funk SVD: its kernels against their naive twins, its order, and what a training has learnt."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from duckmf.algorithms import blocks
from duckmf.algorithms.svd import OFTEN, Svd, SvdOptions
from duckmf.kernels.sgd import descend
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Triples, canonical
from tests.naive.svd import Problem

ONE = Workers(1)


def ratings_of(users, items, values, n_users, n_items):
    triples = Triples(
        np.asarray(users, np.int32), np.asarray(items, np.int32), np.asarray(values, np.float32)
    )
    return canonical(triples, n_users, n_items, "mean", ONE)[0]


def random_triples(n_users=60, n_items=40, n=700, seed=0):
    """Ratings 1 to 5 in half steps; the first user and the first item have none."""
    rng = np.random.default_rng(seed)
    cells = rng.choice((n_users - 1) * (n_items - 1), n, replace=False)
    users, items = cells // (n_items - 1) + 1, cells % (n_items - 1) + 1
    return users, items, rng.integers(2, 11, n) / 2, n_users, n_items


def random_ratings(**shape):
    return ratings_of(*random_triples(**shape))


def known_ratings(n_users, n_items, n, noise=0.1, rank=3, seed=1):
    """Ratings made from known biases and factors, and those of other pairs without the noise."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(n_users * n_items, 2 * n, replace=False)
    users, items = cells // n_items, cells % n_items
    P, Q = rng.normal(0, 0.7, (n_users, rank)), rng.normal(0, 0.7, (n_items, rank))
    bu, bi = rng.normal(0, 0.4, n_users), rng.normal(0, 0.4, n_items)
    truth = 3.5 + bu[users] + bi[items] + np.sum(P[users] * Q[items], axis=1)
    seen = (users[:n], items[:n], truth[:n] + rng.normal(0, noise, n))
    return ratings_of(*seen, n_users, n_items), (users[n:], items[n:], truth[n:])


def train(ratings, threads=1, **options):
    """A training after all its epochs, and its losses."""
    workers = Workers(threads)
    svd = Svd(ratings, SvdOptions(**options), workers)
    losses = [svd.epoch(number) for number in range(1, svd.epochs + 1)]
    return svd, losses


def arrays(svd):
    factors = svd.factors()
    return [factors.user_bias, factors.item_bias, factors.P, factors.Q]


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


def rmse(svd, users, items, values):
    return np.sqrt(np.mean((svd.factors().predict(users, items) - values) ** 2))


@pytest.fixture
def many_blocks(monkeypatch):
    """Grids of several blocks and cells for data of any size."""
    monkeypatch.setattr(blocks, "BLOCK_RATINGS", 16)
    monkeypatch.setattr(blocks, "CELL_BYTES", 64)


def visits(grid, seed, number):
    """The entries of an epoch in their order, when one thread makes it."""
    strata = np.random.default_rng((seed, number)).permutation(grid.n_strata)
    ranges = [block for stratum in strata for block in grid.stratum(int(stratum))]
    return np.concatenate([np.arange(begin, end) for begin, end in ranges])


def units_of(ratings):
    """sigma, and its root: what b and P, Q are told in during training."""
    sigma = float(ratings.by_user.values.std(dtype=np.float64))
    return sigma, np.sqrt(sigma)


def problem_of(svd, ratings):
    """The naive twin of a training, as it stands; rows by code, in units of sigma."""
    options, factors, (sigma, root) = svd.options, svd.factors(), units_of(ratings)
    per_user, per_item = (
        np.maximum(side.counts, 1) ** (options.regularization_scaling - 1)
        for side in (ratings.by_user, ratings.by_item)
    )
    return Problem(
        *(bias.astype(float) / sigma for bias in (factors.user_bias, factors.item_bias)),
        *(rows.astype(float) / root for rows in (factors.P, factors.Q)),
        options.user_regularization * per_user,
        options.item_regularization * per_item,
        options.bias_regularization * per_user,
        options.bias_regularization * per_item,
    )


@pytest.mark.parametrize("n_factors", [1, 3, 16, 33])
def test_an_epoch_equals_its_naive_twin(n_factors, many_blocks):
    options = SvdOptions(
        n_factors=n_factors,
        epochs=4,
        learning_rate_decay=0.5,
        user_regularization=0.3,
        item_regularization=0.2,
        bias_regularization=0.1,
        regularization_scaling=0.75,
    )
    ratings = random_ratings()
    svd, (sigma, root) = Svd(ratings, options, ONE), units_of(ratings)
    twin = problem_of(svd, ratings)
    grid = blocks.lay_out(ratings, n_factors, options.seed, ONE)
    users, items = grid.users.order[grid.user_rows], grid.items.order[grid.item_rows]
    values = (grid.values - ratings.by_user.values.mean()) / sigma
    assert grid.n_strata > 2
    for number, step in ((1, 0.15), (2, 0.15 * 0.875), (3, 0.15 * 0.75)):
        loss = svd.epoch(number)
        lr_u, lr_i = (
            step / np.sqrt(1 + side.counts / OFTEN) for side in (ratings.by_user, ratings.by_item)
        )
        squares = [
            twin.step(users[n], items[n], float(values[n]), lr_u[users[n]], lr_i[items[n]])
            for n in visits(grid, options.seed, number)
        ]
        assert loss == pytest.approx(sigma * np.sqrt(np.mean(squares)), rel=1e-5)
    expected = (sigma * twin.bu, sigma * twin.bi, root * twin.P, root * twin.Q)
    for found, other in zip(arrays(svd), expected, strict=True):
        assert np.allclose(found, other, rtol=1e-4, atol=1e-5)


def test_a_step_goes_down_the_gradient():
    rng = np.random.default_rng(2)
    parts = (rng.normal(0, 0.5, 2), rng.normal(0, 0.5, 2), *rng.normal(0, 0.5, (2, 2, 4)))
    lambdas = [np.full(2, penalty) for penalty in (0.3, 0.2, 0.1, 0.1)]
    problem, moved = Problem(*copy.deepcopy(parts), *lambdas), Problem(*parts, *lambdas)
    lr = 1e-7
    moved.step(1, 0, 1.7, lr, lr)
    for name, row in (("bu", 1), ("bi", 0), ("P", (1, 2)), ("Q", (0, 3))):
        slopes = []
        for change in (1e-5, -1e-5):
            nearby = copy.deepcopy(problem)
            getattr(nearby, name)[row] += change
            slopes.append(nearby.loss(1, 0, 1.7))
        gradient = (slopes[0] - slopes[1]) / 2e-5
        step = (getattr(moved, name)[row] - getattr(problem, name)[row]) / lr
        assert step == pytest.approx(-gradient, rel=1e-4)


def test_a_step_leaves_the_share_g_of_the_error():
    bu, bi = np.zeros(1, np.float32), np.zeros(1, np.float32)
    P, Q = np.full((1, 1), 1e-3, np.float32), np.full((1, 1), 3, np.float32)
    paces = [np.array([[lr, 0, 0, norm]], np.float32) for lr, norm in ((0.5, 1e-6), (0, 9))]
    code, value = np.zeros(1, np.int32), np.ones(1, np.float32)
    before = 1 - P[0, 0] * Q[0, 0]
    assert descend(code, code, value, bu, bi, P, Q, *paces, 0, 1) == pytest.approx(before**2)
    assert 1 - bu[0] - P[0, 0] * Q[0, 0] == pytest.approx(before / (1 + 0.5 * (1 + 9)), rel=1e-5)
    assert paces[0][0, 3] == pytest.approx(P[0, 0] ** 2)


def test_each_rating_is_visited_once_an_epoch(many_blocks):
    ratings = random_ratings()
    grid = blocks.lay_out(ratings, 8, 42, ONE)
    first, second = (visits(grid, 42, number) for number in (1, 2))
    assert sorted(first) == list(range(len(ratings)))
    assert not np.array_equal(first, second)
    users, items = grid.users.order[grid.user_rows], grid.items.order[grid.item_rows]
    rows = ratings.by_user
    dealt = sorted(zip(users.tolist(), items.tolist(), grid.values.tolist(), strict=True))
    given = (rows.row_numbers(), rows.indices, rows.values)
    assert dealt == sorted(zip(*(column.tolist() for column in given), strict=True))


def test_blocks_of_a_stratum_share_no_row(many_blocks):
    grid = blocks.lay_out(random_ratings(), 8, 42, ONE)
    assert grid.n_strata > 2
    assert grid.users.cells > 1
    assert grid.items.cells > 1
    for number in range(grid.n_strata):
        for rows in (grid.user_rows, grid.item_rows):
            of_blocks = [np.unique(rows[begin:end]) for begin, end in grid.stratum(number)]
            together = np.concatenate(of_blocks)
            assert len(together) == len(np.unique(together))


def test_the_deal_gives_every_block_a_like_share():
    counts = np.random.default_rng(3).zipf(1.6, 5000).clip(max=2000).astype(np.int64)
    deal = blocks.deal(counts, 8, 256)
    assert np.array_equal(deal.order[deal.position], np.arange(5000))
    shares = np.add.reduceat(counts[deal.order], deal.bounds[:-1])
    assert shares.max() - shares.min() <= counts.max()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_comes_from_the_seed(seed, many_blocks):
    ratings = random_ratings()
    one, same, other = (blocks.lay_out(ratings, 8, s, ONE) for s in (seed, seed, seed + 1))
    assert np.array_equal(one.user_rows, same.user_rows)
    assert not np.array_equal(one.user_rows, other.user_rows)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads, many_blocks):
    ratings = random_ratings(n_users=300, n_items=200, n=9000)
    one, losses = train(ratings, epochs=3)
    several, their_losses = train(ratings, threads, epochs=3)
    assert losses == their_losses
    assert same_bits(one, several)


def test_known_factors_are_found_again():
    ratings, others = known_ratings(200, 150, 12_000)
    svd, _ = train(ratings, n_factors=8, epochs=40, regularization=0.05)
    assert rmse(svd, *others) < 0.1
    assert np.std(others[2]) > 0.9


@pytest.mark.parametrize("scale", [0.01, 20.0])
def test_the_scale_of_the_ratings_does_not_matter(scale):
    users, items, values, n_users, n_items = random_triples()
    one, losses = train(ratings_of(users, items, values, n_users, n_items), epochs=3)
    moved = ratings_of(users, items, scale * (values - 2), n_users, n_items)
    other, their_losses = train(moved, epochs=3)
    assert np.allclose(their_losses, scale * np.array(losses), rtol=1e-4)
    predicted = one.factors().predict(users, items)
    assert np.allclose(
        other.factors().predict(users, items), scale * (predicted - 2), atol=1e-3 * scale
    )


def test_options_of_a_side_default_to_the_common_one():
    ratings = random_ratings()
    named = dict.fromkeys(
        ("user_regularization", "item_regularization", "bias_regularization"), 2.0
    )
    assert same_bits(train(ratings, regularization=2.0)[0], train(ratings, **named)[0])


def test_rows_without_ratings_stay_zero():
    svd, _ = train(random_ratings())
    for array in arrays(svd):
        assert not array[0].any()
        assert array[1:].any()


@pytest.mark.parametrize(
    ("users", "items", "values", "shape"),
    [
        ([0], [0], [4.0], (1, 1)),
        ([1], [2], [4.0], (3, 5)),
        ([0, 0, 1], [0, 1, 1], [3.3, 3.3, 3.3], (2, 2)),
        ([0, 1, 2], [0, 0, 0], [1.0, 3.0, 5.0], (3, 1)),
    ],
    ids=["one rating", "empty rows", "equal ratings", "one item"],
)
@pytest.mark.parametrize("n_factors", [1, 33])
def test_degenerate_ratings_are_learnt(users, items, values, shape, n_factors):
    svd, losses = train(ratings_of(users, items, values, *shape), 2, n_factors=n_factors)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(array).all() for array in arrays(svd))
    assert rmse(svd, users, items, np.array(values)) <= np.std(values) + 1e-4


@pytest.mark.parametrize("options", [{"learning_rate": 1000.0}, {"regularization": 1e9}], ids=str)
def test_no_option_makes_it_diverge(options):
    svd, losses = train(random_ratings(), n_factors=64, learning_rate_decay=0.0, **options)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(array).all() for array in arrays(svd))


def test_longer_training_fits_closer():
    _, losses = train(random_ratings(), epochs=30, regularization=0.1)
    assert losses[-1] < 0.5 * losses[0]
