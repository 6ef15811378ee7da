"""Bayesian personalized ranking: its kernels against naive twins, its draws, what it has learnt."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from duckmf.algorithms import blocks
from duckmf.algorithms.bpr import Bpr, BprOptions, auc
from duckmf.algorithms.training import Training
from duckmf.errors import OptionError, TrainingError
from duckmf.kernels.bpr import draw_tables
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors
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
    workers.close()
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


def drawn(bpr, number):
    """The triples of an epoch in their order, when one thread makes it; in rows."""
    grid, rng = bpr._grid, np.random.default_rng((bpr.options.seed, number))
    visits = grid.visits(rng)
    states = rng.integers(1, 698769069 << 32, size=visits.shape[:-2])
    chosen = set(zip(grid.user_rows.tolist(), grid.item_rows.tolist(), strict=True))
    data = (grid.user_rows, grid.item_rows, bpr._kept, *grid.draws.tables, chosen)
    for at in np.ndindex(states.shape):
        yield from triples(visits[at], states[at], *data)


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
    bpr = Bpr(random_ratings(), options, ONE)
    twin = Problem(*(a.astype(float) for a in (bpr._bi, bpr._P, bpr._Q)), 0.03, 0.02, 0.01)
    assert len(bpr._grid.bounds) > 2
    for number, lr in ((1, 0.2), (2, 0.2 * 0.875), (3, 0.2 * 0.75)):
        losses = [twin.step(*triple, lr) for triple in drawn(bpr, number)]
        assert bpr.epoch(number) == pytest.approx(np.mean(losses), rel=1e-5)
        assert len(losses) > 100
    assert not bpr._P[:, n_factors:].any()
    for name in ("bi", "P", "Q"):
        assert np.allclose(getattr(bpr, f"_{name}"), getattr(twin, name), rtol=1e-4, atol=1e-5)


def test_an_epoch_that_holds_rows_equals_its_naive_twin(many_blocks):
    options = BprOptions(n_factors=5, learning_rate=0.2, regularization=0.02)
    bpr = Bpr(random_ratings(), options, ONE)
    users, items = np.array([3, 7, 20, 41], np.int32), np.array([0, 5, 30], np.int32)
    bpr.hold_all_but(users, items)
    grid = bpr._grid
    free = grid.users.position[users], grid.items.position[items]
    twin = Problem(*(a.astype(float) for a in (bpr._bi, bpr._P, bpr._Q)), 0.02, 0.02, 0.02)
    losses = []
    for u, i, j in drawn(bpr, 1):
        before = twin.P[u].copy(), *((twin.Q[n].copy(), twin.bi[n]) for n in (i, j))
        loss = twin.step(u, i, j, 0.2)
        if u not in free[0]:
            twin.P[u] = before[0]
        for n, (q, b) in zip((i, j), before[1:], strict=True):
            if n not in free[1]:
                twin.Q[n], twin.bi[n] = q, b
        if u in free[0] or i in free[1] or j in free[1]:
            losses.append(loss)
    held = bpr._P.copy(), bpr._Q.copy()
    assert bpr.epoch(1) == pytest.approx(np.mean(losses), rel=1e-5)
    for name in ("bi", "P", "Q"):
        assert np.allclose(getattr(bpr, f"_{name}"), getattr(twin, name), rtol=1e-4, atol=1e-5)
    for before, after, rows in zip(held, (bpr._P, bpr._Q), free, strict=True):
        moved = np.flatnonzero((before != after).any(axis=1))
        assert set(moved) == set(rows)


def test_seen_items_are_left_out_of_the_widest_cells():
    rng = np.random.default_rng(4)
    users = np.repeat(rng.choice(70_000, 20, replace=False), 50)
    ratings = ratings_of(users, rng.integers(140_000 - 60, 140_000, 1000), 70_000, 140_000)
    options = {"n_factors": 1, "negative_sampling": "popularity", "learning_rate_decay": 0.0}
    bpr = Bpr(ratings, BprOptions(epochs=1, **options), ONE)
    assert bpr._grid.number == np.int64
    penalties = [bpr.options.regularization] * 3
    twin = Problem(*(a.astype(float) for a in (bpr._bi, bpr._P, bpr._Q)), *penalties)
    losses = [twin.step(*triple, 0.1) for triple in drawn(bpr, 1)]
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
    bpr = Bpr(random_ratings(), BprOptions(n_factors=8), ONE)
    grid = bpr._grid
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
    bpr = Bpr(ratings, options, ONE)
    n_cells = len(bpr._grid.draws.rows)
    assert n_cells > 4
    counts = ratings.by_item.counts[bpr._grid.items.order]
    weights = np.ones(40) if negative_sampling == "uniform" else counts.astype(float)
    seen = np.zeros((60, 40))
    seen[bpr._grid.user_rows, bpr._grid.item_rows] = 1
    # every positive draws an item in proportion to its weight; it is left out where seen
    expected = seen.sum(axis=1)[:, None] * (1 - seen) * weights / weights.sum()
    found, epochs = np.zeros((60, 40)), 400
    for number in range(epochs):
        for u, _, j in drawn(bpr, number):
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


def test_any_order_of_the_source_gives_the_same_bits():
    users, items, *shape = random_pairs()
    order = np.random.default_rng(5).permutation(len(users))
    shuffled = ratings_of(users[order], items[order], *shape)
    assert same_bits(train(ratings_of(users, items, *shape))[0], train(shuffled)[0])


@pytest.mark.parametrize("negative_sampling", ["uniform", "popularity"])
def test_the_withheld_diagonal_of_a_checkerboard_comes_first(negative_sampling):
    users, items = (side.ravel() for side in np.indices((40, 40)))
    board = (users + items) % 2 == 0
    given = board & (users != items)
    ratings = ratings_of(users[given], items[given], 40, 40)
    options = {"n_factors": 8, "epochs": 100, "negative_sampling": negative_sampling}
    factors = train(ratings, **options)[0].factors()
    scores = factors.P @ factors.Q.T + factors.item_bias
    scores[users[given], items[given]] = -np.inf
    assert np.array_equal(scores.argmax(axis=1), np.arange(40))


@pytest.mark.parametrize(
    "option",
    [
        {"n_factors": 3},
        {"epochs": 6},
        {"seed": 1},
        {"learning_rate": 0.2},
        {"learning_rate_decay": 0.5},
        {"regularization": 0.7},
        {"user_regularization": 0.7},
        {"item_regularization": 0.7},
        {"bias_regularization": 0.7},
        {"negative_sampling": "popularity"},
        {"popularity_exponent": 0.5},
    ],
    ids=lambda option: next(iter(option)),
)
def test_every_option_counts(option):
    ratings = random_ratings()
    usual = {"n_factors": 4, "epochs": 5, "learning_rate_decay": 0.0}
    one, other = train(ratings, **usual)[0], train(ratings, **{**usual, **option})[0]
    pairs = np.arange(1, 20), np.arange(1, 20)
    assert not np.array_equal(one.factors().predict(*pairs), other.factors().predict(*pairs))


def test_the_exponent_takes_popular_items_back():
    ratings = random_ratings(n_users=200, n=3000)
    biases = [
        train(ratings, popularity_exponent=e, epochs=20)[0].factors().item_bias for e in (0, 0.5, 1)
    ]
    spans = [bias[:5].mean() - bias[30:39].mean() for bias in biases]
    assert spans[0] > spans[1] > spans[2]


@pytest.mark.parametrize(
    ("name", "value", "range_"),
    [
        ("negative_sampling", "even", "one of 'uniform', 'popularity'"),
        ("popularity_exponent", 1.5, "a number from 0.0 to 1.0"),
        ("learning_rate", 0, "a number from 1e-09 to 1000.0"),
    ],
)
def test_an_option_out_of_range_is_refused(name, value, range_):
    with pytest.raises(OptionError, match=f"mf_fit: {name} is {value!r}; give {range_}."):
        BprOptions.parse({name: value}, "bpr")


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
    bpr._P *= np.float32(1e38)
    training = Training(bpr, None, ONE)
    with pytest.raises(TrainingError, match="mf_fit: the training loss is nan after epoch 1"):
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


def test_early_stopping_keeps_the_best_auc(con):
    con.execute(
        "create table clicks as select (i * 7919) % 97 as u, (i * i) % 89 as v from range(3000) t(i)"
    )
    model = "mf_fit(clicks, u, v, algorithm := 'bpr', validation_fraction := 0.2, epochs := 60)"
    con.execute(f"create table m as from {model}")
    losses = con.execute(
        "select metrics.validation_loss from m where kind = 'epoch' order by epoch"
    ).fetchall()
    best = con.execute("select info ->> 'validation_loss' from m where kind = 'model'").fetchone()
    assert float(best[0]) == min(loss for (loss,) in losses)
    assert all(0 <= loss <= 1 for (loss,) in losses)


def test_clicks_are_recommended_and_predicted_from(con):
    con.execute(
        "create table clicks as select u, i from range(40) a(u), range(40) b(i) "
        "where (u + i) % 2 = 0 and u <> i"
    )
    con.execute("create table m as from mf_fit(clicks, u, i, algorithm := 'bpr', n_factors := 8)")
    first = con.execute("select user_id, item_id, source from mf_recommend(m, k := 1)").fetchall()
    assert len(first) == 40
    assert np.mean([user == item and source == "model" for user, item, source in first]) > 0.9
    con.execute("create table pair as select 3 as u, 3 as i")
    (prediction, source), *_ = con.execute(
        "select prediction, prediction_source from mf_predict(m, pair, u, i)"
    ).fetchall()
    assert source == "model"
    assert prediction == con.execute("select score from mf_recommend(m, 3, k := 1)").fetchone()[0]
    assert con.execute("select loss from mf_info(m)").fetchone()[0] == "bpr"
