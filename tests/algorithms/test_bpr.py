"""Bayesian personalized ranking: its kernels against naive twins, its draws, what it has learnt."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from duckmf.algorithms import blocks
from duckmf.algorithms.bpr import Bpr, BprOptions, auc, chances
from duckmf.algorithms.bpr_grid import Grid
from duckmf.algorithms.training import Training
from duckmf.errors import TrainingError
from duckmf.kernels.draws import STATES, draw_tables
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors, Known
from duckmf.ratings.matrix import Rows, Triples, canonical
from tests.naive.bpr import Problem, triples

ONE = Workers(1)


def ratings_of(users, items, n_users, n_items, values=None):
    values = np.ones(len(users)) if values is None else values
    columns = (np.asarray(users, np.int32), np.asarray(items, np.int32))
    drawn = Triples(*columns, np.asarray(values, np.float32))
    return canonical(drawn, n_users, n_items, "sum", ONE)[0]


def random_pairs(n_users=60, n_items=40, n=500, seed=0):
    """Popularity falls with the code of the item; the first user and the last item have none."""
    rng = np.random.default_rng(seed)
    users, items = np.divmod(np.arange((n_users - 1) * (n_items - 1)), n_items - 1)
    weights = 1 / (3.0 + items)
    cells = rng.choice(len(users), n, replace=False, p=weights / weights.sum())
    return users[cells] + 1, items[cells], n_users, n_items


def random_ratings(**shape):
    return ratings_of(*random_pairs(**shape))


def train(ratings, threads=1, **options):
    """A training after all its epochs, and its losses."""
    workers = Workers(threads)
    bpr = Bpr(ratings, BprOptions(**options), workers)
    losses = [bpr.epoch(number) for number in range(1, bpr.epochs + 1)]
    return bpr, losses


def arrays(bpr):
    factors = bpr.factors()
    return [factors.item_bias, factors.P, factors.Q]


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


@pytest.fixture
def many_blocks(monkeypatch):
    """Grids of several blocks and cells for data of any size."""
    monkeypatch.setattr(blocks, "BLOCK_RATINGS", 40)
    monkeypatch.setattr(blocks, "CELL_BYTES", 64)


def grid_of(ratings, options):
    """The positives in cells, as a training lays them out."""
    rows, counts = ratings.by_user, ratings.by_item.counts
    return Grid.of(
        rows, counts, options.n_factors, options.negative_sampling, options.seed, Workers(1)
    )


def drawn(ratings, options, number, grid=None):
    """The triples of an epoch in their order, when one thread makes it; in codes."""
    grid, rng = grid or grid_of(ratings, options), np.random.default_rng((options.seed, number))
    visits = grid.visits(rng)
    states = rng.integers(1, STATES, size=visits.shape[:-2])
    chosen = set(zip(grid.user_rows.tolist(), grid.item_rows.tolist(), strict=True))
    kept = chances(ratings.by_item.counts[grid.items.order], options.popularity_exponent)
    data = (grid.user_rows, grid.item_rows, kept, *grid.draws.tables, chosen)
    for at in np.ndindex(states.shape):
        for u, i, j in triples(visits[at], states[at], *data):
            yield grid.users.order[u], grid.items.order[i], grid.items.order[j]


def twin_of(bpr, *penalties):
    """The naive twin of a training, as it stands."""
    return Problem(*(array.astype(float) for array in arrays(bpr)), *penalties)


def assert_equal(bpr, twin):
    for found, expected in zip(arrays(bpr), (twin.bi, twin.P, twin.Q), strict=True):
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_factors", [1, 3, 16, 33])
@pytest.mark.parametrize(
    "sampling",
    [{}, {"negative_sampling": "popularity", "popularity_exponent": 0.5}],
    ids=["uniform", "popularity"],
)
def test_an_epoch_equals_its_naive_twin(n_factors, sampling, many_blocks):
    options = BprOptions(
        n_factors=n_factors,
        epochs=4,
        learning_rate=0.2,
        learning_rate_decay=0.5,
        user_regularization=0.03,
        item_regularization=0.02,
        bias_regularization=0.01,
        **sampling,
    )
    ratings = random_ratings()
    bpr = Bpr(ratings, options, ONE)
    twin = twin_of(bpr, 0.03, 0.02, 0.01)
    assert len(grid_of(ratings, options).bounds) > 2
    for number, lr in ((1, 0.2), (2, 0.2 * 0.875), (3, 0.2 * 0.75)):
        losses = [twin.step(*triple, lr) for triple in drawn(ratings, options, number)]
        assert bpr.epoch(number) == pytest.approx(np.mean(losses), rel=1e-5)
        assert len(losses) > 100
    assert_equal(bpr, twin)


def test_an_epoch_that_holds_rows_equals_its_naive_twin(many_blocks):
    options = BprOptions(n_factors=5, learning_rate=0.2, regularization=0.02)
    ratings = random_ratings()
    bpr = Bpr(ratings, options, ONE)
    free = np.array([3, 7, 20, 41], np.int32), np.array([0, 5, 30], np.int32)
    bpr.hold_all_but(*free)
    twin = twin_of(bpr, 0.02, 0.02, 0.02)
    losses = []
    for u, i, j in drawn(ratings, options, 1):
        before = twin.P[u].copy(), *((twin.Q[n].copy(), twin.bi[n]) for n in (i, j))
        loss = twin.step(u, i, j, 0.2)
        if u not in free[0]:
            twin.P[u] = before[0]
        for n, (q, b) in zip((i, j), before[1:], strict=True):
            if n not in free[1]:
                twin.Q[n], twin.bi[n] = q, b
        if u in free[0] or i in free[1] or j in free[1]:
            losses.append(loss)
    _, *held = arrays(bpr)
    assert bpr.epoch(1) == pytest.approx(np.mean(losses), rel=1e-5)
    assert_equal(bpr, twin)
    for before, after, rows in zip(held, arrays(bpr)[1:], free, strict=True):
        assert set(np.flatnonzero((before != after).any(axis=1))) == set(rows)


def test_seen_items_are_left_out_of_the_widest_cells():
    rng = np.random.default_rng(4)
    users = np.repeat(rng.choice(70_000, 20, replace=False), 50)
    ratings = ratings_of(users, rng.integers(140_000 - 60, 140_000, 1000), 70_000, 140_000)
    options = BprOptions(
        epochs=1, n_factors=1, negative_sampling="popularity", learning_rate_decay=0.0
    )
    assert grid_of(ratings, options).number == np.int64
    bpr = Bpr(ratings, options, ONE)
    twin = twin_of(bpr, *[options.regularization] * 3)
    losses = [twin.step(*triple, 0.1) for triple in drawn(ratings, options, 1)]
    assert bpr.epoch(1) == pytest.approx(np.mean(losses), rel=1e-5)
    assert 10 < len(losses) < 0.5 * len(ratings)


def test_a_step_goes_down_the_gradient():
    rng = np.random.default_rng(2)
    parts = (rng.normal(0, 0.5, 3), *rng.normal(0, 0.5, (2, 3, 4)))
    problem, moved = (Problem(*copy.deepcopy(parts), 0.3, 0.2, 0.1) for _ in range(2))
    lr = 1e-7
    moved.step(1, 0, 2, lr)
    for name, row in (("bi", 0), ("bi", 2), ("P", (1, 2)), ("Q", (0, 3)), ("Q", (2, 1))):
        slopes = []
        for change in (1e-5, -1e-5):
            nearby = copy.deepcopy(problem)
            getattr(nearby, name)[row] += change
            slopes.append(nearby.objective(1, 0, 2))
        gradient = (slopes[0] - slopes[1]) / 2e-5
        step = (getattr(moved, name)[row] - getattr(problem, name)[row]) / lr
        assert step == pytest.approx(-gradient, rel=1e-4)


def test_each_positive_is_visited_once_an_epoch_and_pieces_share_no_row(many_blocks):
    grid = grid_of(random_ratings(), BprOptions(n_factors=8))
    visits = grid.visits(np.random.default_rng(1))
    taken = [np.arange(begin, end) for begin, end in visits[..., :2].reshape(-1, 2)]
    assert sorted(np.concatenate(taken)) == list(range(500))
    assert visits.shape[1] > 2
    assert grid.users.cells > 1
    assert grid.items.cells > 1
    for stratum in visits:
        users, items = [], []
        for piece in stratum:
            sides = piece.reshape(-1, 6)
            entries = np.concatenate([np.arange(begin, end) for begin, end, *_ in sides])
            rows = [np.arange(first, first + size) for _, _, first, size, *_ in sides]
            users.append(np.unique(grid.user_rows[entries]))
            items.append(np.unique(np.concatenate(rows)))
            assert np.isin(grid.item_rows[entries], items[-1]).all()
        for shared in (np.concatenate(users), np.concatenate(items)):
            assert len(shared) == len(np.unique(shared))


def test_the_tables_draw_in_proportion_to_weights():
    weights = np.array([1, 2, 5, 0, 7, 3, 3], float)
    limits, aliases = np.empty(7, np.int32), np.empty(7, np.int32)
    draw_tables(weights, np.array([0, 4, 5, 7]), limits, aliases)
    for begin, end in ((0, 4), (4, 5), (5, 7)):
        stays = (limits[begin:end] + 1.0) / 2**31
        shares = stays.copy()
        np.add.at(shares, aliases[begin:end] - begin, 1 - stays)
        wanted = weights[begin:end] / weights[begin:end].sum()
        assert shares / (end - begin) == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("negative_sampling", ["uniform", "popularity"])
def test_over_the_epochs_negatives_are_drawn_as_promised(negative_sampling, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_RATINGS", 40)
    ratings = random_ratings()
    options = BprOptions(negative_sampling=negative_sampling, n_factors=2)
    grid = grid_of(ratings, options)
    assert len(grid.draws.rows) > 4
    counts = ratings.by_item.counts.astype(float)
    weights = np.ones(40) if negative_sampling == "uniform" else counts
    seen = np.zeros((60, 40))
    seen[ratings.by_user.row_numbers(), ratings.by_user.indices] = 1
    # every positive draws an item in proportion to its weight; it is left out where seen
    expected = seen.sum(axis=1)[:, None] * (1 - seen) * weights / weights.sum()
    found, epochs = np.zeros((60, 40)), 400
    for number in range(epochs):
        for u, _, j in drawn(ratings, options, number, grid):
            found[u, j] += 1 / epochs
    assert not found[seen > 0].any()
    assert found.sum(axis=0) == pytest.approx(expected.sum(axis=0), rel=0.05, abs=0.3)
    assert found.sum() == pytest.approx(expected.sum(), rel=0.01)
    # whichever cell the positive is of
    assert np.abs(found - expected).max() < 0.15


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads, many_blocks):
    ratings = random_ratings(n_users=200, n_items=150, n=4000)
    one, losses = train(ratings, epochs=3)
    several, their_losses = train(ratings, threads, epochs=3)
    assert losses == their_losses
    assert same_bits(one, several)


def test_the_exponent_takes_popular_items_back():
    ratings = random_ratings(n_users=200, n=3000)
    biases = [
        train(ratings, popularity_exponent=e, epochs=20)[0].factors().item_bias for e in (0, 0.5, 1)
    ]
    spans = [bias[:5].mean() - bias[30:39].mean() for bias in biases]
    assert spans[0] > spans[1] > spans[2]


def test_strengths_above_zero_are_alike_and_those_of_zero_are_no_positives():
    users, items, *shape = random_pairs()
    strengths = np.random.default_rng(1).uniform(0.1, 9, len(users))
    one = train(ratings_of(users, items, *shape), epochs=3)[0]
    assert same_bits(one, train(ratings_of(users, items, *shape, strengths), epochs=3)[0])
    weaker = strengths.copy()
    weaker[:50] = 0
    rest = ratings_of(users[50:], items[50:], *shape)
    weak = train(ratings_of(users, items, *shape, weaker), epochs=3)[0]
    assert same_bits(train(rest, epochs=3)[0], weak)


@pytest.mark.parametrize(
    ("users", "items", "shape"),
    [
        ([0], [0], (1, 1)),
        ([0, 0], [0, 1], (1, 2)),
        ([0], [1], (1, 2)),
        ([0, 0, 0, 1], [0, 1, 2, 1], (2, 3)),
        ([1], [2], (3, 5)),
    ],
    ids=["one pair", "all seen", "two items", "a user who has seen all", "empty rows"],
)
@pytest.mark.parametrize("n_factors", [1, 33])
@pytest.mark.parametrize("negative_sampling", ["uniform", "popularity"])
def test_degenerate_data_are_learnt(users, items, shape, n_factors, negative_sampling):
    bpr, losses = train(
        ratings_of(users, items, *shape),
        2,
        n_factors=n_factors,
        negative_sampling=negative_sampling,
    )
    assert np.isfinite(losses).all()
    assert all(np.isfinite(array).all() for array in arrays(bpr))
    if len(users) == np.prod(shape):
        assert losses[-1] == np.log(2)


def test_an_item_that_nobody_chose_comes_last():
    factors = train(random_ratings(), epochs=30)[0].factors()
    scores = factors.P[1:] @ factors.Q.T + factors.item_bias
    assert np.mean(scores[:, 39] <= np.quantile(scores, 0.25, axis=1)) > 0.9


def test_numbers_out_of_range_are_an_error():
    bpr = Bpr(random_ratings(), BprOptions(learning_rate=1000.0, regularization=0.0), ONE)
    bias, P, Q = arrays(bpr)
    none = np.zeros(len(P), np.float32), np.zeros_like(Q), np.zeros_like(P)
    every = np.ones(len(P), bool), np.ones(len(Q), bool)
    bpr.start_from(Known(0.0, *every, none[0], bias, P * np.float32(1e38), Q, *none[1:]))
    training = Training(bpr, None, ONE)
    with pytest.raises(TrainingError, match="the training loss is nan after epoch 1"):
        training.epoch()


def test_the_auc_of_a_user():
    factors = Factors(
        0.0,
        item_bias=np.array([5, 1, 3, 3, 2, 9], np.float32),
        P=np.zeros((1, 1), np.float32),
        Q=np.zeros((6, 1), np.float32),
    )
    seen = Rows(np.array([0, 1]), np.array([5], np.int32), np.ones(1, np.float32))
    held_out = Rows(np.array([0, 2]), np.array([1, 2], np.int32), np.array([0, 1], np.float32))
    drawn_items = np.array([0, 3, 4, 5, 1, 4])
    # item 2 against 0, 3, 4 and 4: 5 and 9 are out, since seen and held out
    assert auc(factors, seen, held_out, 0, drawn_items) == (0 + 0.5 + 1 + 1) / 4
    assert auc(factors, seen, held_out, 0, np.array([5, 1])) is None
