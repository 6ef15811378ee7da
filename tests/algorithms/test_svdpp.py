"""SVD++: its kernels against their naive twins, its order, and what a training has learnt."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from duckmf.algorithms.svd import OFTEN, Svd, SvdOptions
from duckmf.algorithms.svdpp import MANY, Svdpp, SvdppOptions, solve_implicit, turns_of
from duckmf.kernels.layout import shuffle_rows
from duckmf.kernels.svdpp import Paces, Parameters, Visits, descend
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Known
from duckmf.ratings.matrix import Triples, canonical
from tests.algorithms.test_svd import (
    ONE,
    known_ratings,
    random_ratings,
    random_triples,
    ratings_of,
    units_of,
)
from tests.naive.svdpp import Problem

PARTS = ("bu", "bi", "P", "Q", "Y")


def train(ratings, threads=1, **options):
    """A training after all its epochs, and its losses."""
    workers = Workers(threads)
    svdpp = Svdpp(ratings, SvdppOptions(**options), workers)
    losses = [svdpp.epoch(number) for number in range(1, svdpp.epochs + 1)]
    svdpp.factors()  # while the threads are there
    return svdpp, losses


def arrays(svdpp):
    factors = svdpp.factors()
    return [factors.user_bias, factors.item_bias, factors.P, factors.Q, factors.Y]


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


def rmse(svdpp, users, items, values):
    return np.sqrt(np.mean((svdpp.factors().predict(users, items) - values) ** 2))


def problem_of(svdpp, ratings):
    """The naive twin of a training, as it stands, in units of sigma."""
    options, factors, (sigma, root) = svdpp.options, svdpp.factors(), units_of(ratings)
    rows = ratings.by_user
    per_user, per_item = (
        np.maximum(side.counts, 1) ** (options.regularization_scaling - 1)
        for side in (rows, ratings.by_item)
    )
    own = factors.P - sums_of(rows, factors.Y)
    return Problem(
        *(bias.astype(float) / sigma for bias in (factors.user_bias, factors.item_bias)),
        *(side.astype(float) / root for side in (own, factors.Q, factors.Y)),
        np.split(rows.indices, rows.indptr[1:-1]),
        options.user_regularization * per_user,
        options.item_regularization * per_item,
        options.bias_regularization * per_user,
        options.bias_regularization * per_item,
        options.implicit_regularization * per_user,
    )


def sums_of(rows, Y):
    """z_u of each user."""
    rated = np.split(rows.indices, rows.indptr[1:-1])
    return np.array([Y[items].sum(axis=0) / np.sqrt(max(len(items), 1)) for items in rated])


def visits(rows, turns, seed, number):
    """(entry, user, item) in the order of an epoch; `turns` become those of the next one."""
    rng = np.random.default_rng((seed, number))
    shuffle_rows(rows.indptr, turns, 0, len(rows), int(rng.integers(2**32)))
    for u in rng.permutation(len(rows)):
        for n in rows.indptr[u] + turns[rows.indptr[u] : rows.indptr[u + 1]]:
            yield n, u, rows.indices[n]


def known_of(factors, **changed):
    """What a model that has these numbers knows: all users and all items."""
    n_users, n_items = len(factors.P), len(factors.Q)
    every = np.ones(n_users, bool), np.ones(n_items, bool)
    numbers = [factors.user_bias, factors.item_bias, factors.P, factors.Q, factors.Y]
    known = Known(factors.mu, *every, *numbers, np.zeros_like(factors.P))
    return replace(known, **changed)


@pytest.mark.parametrize("n_factors", [1, 3, 16, 33])
def test_an_epoch_equals_its_naive_twin(n_factors):
    options = SvdppOptions(
        n_factors=n_factors,
        epochs=4,
        learning_rate=0.02,
        learning_rate_decay=0.5,
        user_regularization=0.3,
        item_regularization=0.2,
        bias_regularization=0.1,
        implicit_regularization=0.4,
        regularization_scaling=0.75,
    )
    ratings = random_ratings()
    rows, (sigma, root) = ratings.by_user, units_of(ratings)
    svdpp = Svdpp(ratings, options, ONE)
    Y = np.random.default_rng(7).normal(0, 0.1, (len(ratings.by_item), n_factors))
    svdpp.start_from(known_of(svdpp.factors(), Y=Y.astype(np.float32)))
    twin, turns = problem_of(svdpp, ratings), turns_of(rows)
    assert np.abs(twin.Y[1:]).max() > 0.01
    values = (rows.values - rows.values.mean()) / sigma
    for number, step in ((1, 0.02), (2, 0.02 * 0.875), (3, 0.02 * 0.75)):
        loss = svdpp.epoch(number)
        lr_u, lr_i = (
            step * np.sqrt((OFTEN + MANY) / (OFTEN + side.counts))
            for side in (rows, ratings.by_item)
        )
        order = visits(rows, turns, options.seed, number)
        squares = [twin.step(u, i, values[n], lr_u[u], lr_i[i]) for n, u, i in order]
        assert loss == pytest.approx(sigma * np.sqrt(np.mean(squares)), rel=1e-5)
    P = root * (twin.P + sums_of(rows, twin.Y))
    expected = (sigma * twin.bu, sigma * twin.bi, P, root * twin.Q, root * twin.Y)
    for name, found, other in zip(PARTS, arrays(svdpp), expected, strict=True):
        assert np.allclose(found, other, rtol=1e-4, atol=2e-5), name


@pytest.mark.parametrize("shortening", [0.0, 0.5])
def test_in_float64_the_kernel_equals_its_twin_to_rounding(shortening):
    rng = np.random.default_rng(4)
    rows = random_ratings(n_users=20, n_items=30, n=200).by_user
    parts = (rng.normal(0, 0.3, 20), rng.normal(0, 0.3, 30))
    parts += tuple(rng.normal(0, 0.3, (n, 5)) for n in (20, 30, 30))
    lr_u, lr_i = rng.uniform(0.01, 0.2, 20), rng.uniform(0.01, 0.2, 30)
    reg_u, reg_bu, reg_y = rng.uniform(0, 1, (3, 20))
    reg_i, reg_bi = rng.uniform(0, 1, (2, 30))
    rated = np.split(rows.indices, rows.indptr[1:-1])
    twin = Problem(*copy.deepcopy(parts), rated, reg_u, reg_i, reg_bu, reg_bi, reg_y)
    values = rows.values.astype(float) - 3
    turns = np.concatenate([rng.permutation(n) for n in rows.counts]).astype(np.int32)
    users = rng.permutation(20).astype(np.int32)
    pace_u = np.column_stack((lr_u, lr_u * reg_u, lr_u * reg_bu, lr_u * reg_y))
    pace_i = np.column_stack((lr_i, lr_i * reg_i, lr_i * reg_bi))
    visits = Visits(users, rows.indptr, rows.indices, turns, values)
    loss = descend(visits, Parameters(*parts), None, Paces(pace_u, pace_i), shortening)
    squares = 0.0
    for u in users:
        for n in rows.indptr[u] + turns[rows.indptr[u] : rows.indptr[u + 1]]:
            i = rows.indices[n]
            squares += twin.step(u, i, values[n], lr_u[u], lr_i[i], shortening)
    assert loss == pytest.approx(squares, rel=1e-12)
    for part, name in zip(parts, PARTS, strict=True):
        assert np.allclose(part, getattr(twin, name), rtol=1e-12, atol=1e-12), name


def test_a_step_goes_down_the_gradient():
    rng = np.random.default_rng(2)
    parts = (rng.normal(0, 0.5, 2), rng.normal(0, 0.5, 4))
    parts += tuple(rng.normal(0, 0.5, (n, 3)) for n in (2, 4, 4))
    rated = [np.array([0]), np.array([0, 2, 3])]
    lambdas = [np.full(4, penalty) for penalty in (0.3, 0.2, 0.1, 0.1, 0.4)]
    problem = Problem(*copy.deepcopy(parts), rated, *lambdas)
    moved = Problem(*parts, rated, *lambdas)
    lr = 1e-7
    moved.step(1, 2, 1.7, lr, lr)
    places = (("bu", 1), ("bi", 2), ("P", (1, 2)), ("Q", (2, 0)), ("Y", (2, 1)), ("Y", (3, 0)))
    for name, place in places:
        slopes = []
        for change in (1e-5, -1e-5):
            nearby = copy.deepcopy(problem)
            getattr(nearby, name)[place] += change
            slopes.append(nearby.loss(1, 2, 1.7))
        gradient = (slopes[0] - slopes[1]) / 2e-5
        step = (getattr(moved, name)[place] - getattr(problem, name)[place]) / lr
        assert abs(gradient) > 1e-3
        assert step == pytest.approx(-gradient, rel=1e-4)
    assert np.array_equal(moved.Y[1], problem.Y[1])


def test_a_step_leaves_the_share_g_of_the_error():
    rated = [np.array([0, 1])]
    problem = Problem(
        np.zeros(1), np.zeros(2), np.full((1, 1), 1e-3), np.full((2, 1), 3.0), np.zeros((2, 1)),
        rated, *np.zeros((5, 2)),
    )  # fmt: skip
    before = problem.error(0, 0, 1.0)
    problem.step(0, 0, 1.0, 0.5, 0.0)
    assert problem.error(0, 0, 1.0) == pytest.approx(before / (1 + 0.5 * (1 + 2 * 9)), rel=1e-5)


def test_each_rating_is_visited_once_an_epoch_in_a_new_order():
    rows = random_ratings().by_user
    turns = turns_of(rows)
    orders = [[int(n) for n, _, _ in visits(rows, turns, 42, number)] for number in (1, 2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(len(rows.indices)))
    assert orders[0] != orders[1]


def test_shuffled_rows_keep_their_entries_and_every_place_is_as_likely():
    indptr = np.arange(0, 6001, 6)
    turns = np.tile(np.arange(6, dtype=np.int32), 1000)
    shuffle_rows(indptr, turns, 0, 500, 3)
    assert np.array_equal(turns[3000:], np.tile(np.arange(6), 500))
    shuffled = turns[:3000].reshape(500, 6)
    assert np.array_equal(np.sort(shuffled, axis=1), np.tile(np.arange(6), (500, 1)))
    counts = np.array([np.bincount(column, minlength=6) for column in shuffled.T])
    assert np.abs(counts - 500 / 6).max() < 4.5 * np.sqrt(500 / 6)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads):
    ratings = random_ratings(n_users=300, n_items=200, n=9000)
    one, losses = train(ratings, epochs=3)
    several, their_losses = train(ratings, threads, epochs=3)
    assert losses == their_losses
    assert same_bits(one, several)


def test_known_factors_are_found_again():
    ratings, others = known_ratings(200, 150, 12_000)
    svdpp, _ = train(ratings, n_factors=8, epochs=40, regularization=0.05)
    assert rmse(svdpp, *others) < 0.1
    assert np.std(others[2]) > 0.9


def chosen_ratings(n_users=600, n_items=60, n_each=12, seed=3):
    """Users of two kinds rate mostly items of their kind, and like those; and the truth of all."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n_users)
    alike = np.arange(n_items) % 2 == kind[:, None]
    truth = np.where(alike, 4.0, 3.0)
    rated = np.argsort(rng.random(alike.shape) / np.where(alike, 3, 1), axis=1)[:, :n_each]
    users, items = np.repeat(np.arange(n_users), n_each), rated.ravel()
    values = truth[users, items] + rng.normal(0, 1, len(users))
    everywhere = np.indices(truth.shape).reshape(2, -1)
    return ratings_of(users, items, values, n_users, n_items), (*everywhere, truth.ravel())


def test_what_users_choose_to_rate_tells_more_than_their_ratings_alone():
    ratings, truth = chosen_ratings()
    svdpp, _ = train(ratings, n_factors=4)
    svd = Svd(ratings, SvdOptions(n_factors=4), ONE)
    for number in range(1, svd.epochs + 1):
        svd.epoch(number)
    assert rmse(svdpp, *truth) < 0.9 * rmse(svd, *truth)


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
    sides = ("user", "item", "bias", "implicit")
    named = {f"{side}_regularization": 2.0 for side in sides}
    assert same_bits(train(ratings, regularization=2.0)[0], train(ratings, **named)[0])


def test_rows_without_ratings_stay_zero():
    svdpp, _ = train(random_ratings())
    for array in arrays(svdpp):
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
    svdpp, losses = train(ratings_of(users, items, values, *shape), 2, n_factors=n_factors)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(array).all() for array in arrays(svdpp))
    assert rmse(svdpp, users, items, np.array(values)) <= np.std(values) + 1e-3


@pytest.mark.parametrize("options", [{"learning_rate": 1000.0}, {"regularization": 1e9}], ids=str)
def test_no_option_makes_it_diverge(options):
    svdpp, losses = train(random_ratings(), n_factors=64, learning_rate_decay=0.0, **options)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(array).all() for array in arrays(svdpp))


def test_longer_training_fits_closer():
    _, losses = train(random_ratings(), epochs=60, regularization=0.1)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0])
def test_the_y_of_an_item_solved_alone_minimizes_the_objective(nu):
    rng = np.random.default_rng(4)
    users, items, values, *_ = random_triples(n=300)
    triples = Triples(users, items, values)
    ratings = canonical(triples, users.max() + 1, items.max() + 1, "mean", Workers(1))[0]
    by_user, by_item = ratings.by_user, ratings.by_item
    chosen = by_item.chosen(np.array([3, 7], np.int32))
    Q = rng.normal(size=(len(by_item), 4)).astype(np.float32)
    Y = rng.normal(size=(2, 4)).astype(np.float32)
    errors = rng.normal(size=len(by_user.values)).astype(np.float32)
    options = SvdppOptions(regularization=0.8, regularization_scaling=nu)
    before, y_before = errors.copy(), Y.copy()
    solve_implicit(Y, chosen, by_user, errors, Q, options, 1.3)

    numbers, n = by_user.row_numbers(), by_user.counts.astype(float)
    raters = [set(chosen.indices[chosen.indptr[j] : chosen.indptr[j + 1]]) for j in range(2)]

    def left(moved):
        """The errors when the y_j have moved from where they were."""
        total = before.astype(float).copy()
        for c, (u, i) in enumerate(zip(numbers, by_user.indices, strict=True)):
            for j in range(2):
                if u in raters[j]:
                    total[c] -= Q[i] @ (moved[j] - y_before[j]) / np.sqrt(n[u])
        return total

    def objective(moved):
        penalty = sum(
            1.3 * 0.8 * n[u] ** nu * moved[j] @ moved[j] for j in range(2) for u in raters[j]
        )
        return np.sum(left(moved) ** 2) + penalty

    np.testing.assert_allclose(errors, left(Y.astype(float)), atol=1e-4)
    last = Y.astype(float)
    for f in range(4):
        step = np.zeros((2, 4))
        step[1, f] = 1e-3
        gradient = (objective(last + step) - objective(last - step)) / 2e-3
        assert abs(gradient) < 1e-2
    assert objective(last) < objective(y_before.astype(float))
