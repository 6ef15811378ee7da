"""implicit_als against implicit: the same objective on the same data, and which lists are better."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest

from duckmf.algorithms.implicit import gains_of
from duckmf.algorithms.implicit_als import ImplicitAls, ImplicitAlsOptions
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors
from duckmf.ratings.matrix import Ratings, Triples, canonical
from tests.conftest import MOVIELENS
from tests.naive.implicit_als import objective

REASON = "the peer is not installed: pip install implicit"
ITERATIONS = 15
SEEDS = (1, 2)
Pairs = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Users and items of MovieLens latest-small, in codes."""
    read = duckdb.sql(f"select user_id, movie_id from '{MOVIELENS}/ratings.parquet' order by all")
    columns = read.fetchnumpy()
    users, items = (np.unique(columns[name], return_inverse=True)[1] for name in columns)
    return users.astype(np.int32), items.astype(np.int32)


def ratings_of(pairs: Pairs, chosen: np.ndarray, shape: tuple[int, int]) -> Ratings:
    """The chosen pairs, each with a strength of one."""
    users, items = (codes[chosen] for codes in pairs)
    triples = Triples(users, items, np.ones(len(users), np.float32))
    return canonical(triples, *shape, "sum", Workers(1))[0]


def ours(ratings: Ratings, **options: Any) -> Factors:
    """implicit_als after all its epochs."""
    workers = Workers(2)
    als = ImplicitAls(ratings, ImplicitAlsOptions(**options), workers)
    for number in range(1, als.epochs + 1):
        als.epoch(number)
    return als.factors()


def theirs(ratings: Ratings, n_items: int, **options: Any) -> Factors:
    """implicit's model; its confidence is alpha where it is observed, and 1 elsewhere."""
    peer = pytest.importorskip("implicit.cpu.als", reason=REASON)
    sparse = pytest.importorskip("scipy.sparse", reason=REASON)
    rows = ratings.by_user
    ones = np.ones(len(rows.indices), np.float32)
    matrix = sparse.csr_matrix((ones, rows.indices, rows.indptr), (len(rows), n_items))
    model = peer.AlternatingLeastSquares(
        iterations=ITERATIONS, num_threads=2, random_state=1, **options
    )
    model.fit(matrix, show_progress=False)
    return Factors(0.0, P=model.user_factors, Q=model.item_factors)


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
@pytest.mark.parametrize(
    ("n_factors", "regularization", "alpha"), [(32, 10.0, 2.0), (64, 20.0, 4.0)]
)
def test_same_loss_after_the_same_iterations(
    pairs: Pairs, solver: str, n_factors: int, regularization: float, alpha: float
) -> None:
    users, items = pairs
    some = (users < 300) & (items < 3000)
    shape = 300, 3000
    ratings = ratings_of(pairs, some, shape)
    options = ImplicitAlsOptions(
        n_factors=n_factors,
        epochs=ITERATIONS,
        alpha=alpha - 1,
        unobserved_weight=1.0,
        regularization=regularization,
        regularization_scaling=0.0,
    )
    dense = np.zeros(shape)
    dense[users[some], items[some]] = 1
    peer = theirs(
        ratings,
        shape[1],
        factors=n_factors,
        regularization=regularization,
        alpha=alpha,
        use_cg=solver == "cg",
    )
    model = ours(
        ratings,
        solver=solver,
        **{
            name: getattr(options, name)
            for name in (
                *("n_factors", "epochs", "alpha", "unobserved_weight"),
                *("regularization", "regularization_scaling"),
            )
        },
    )
    losses = [
        objective(dense, side.P.astype(float), side.Q.astype(float), options)
        for side in (model, peer)
    ]
    assert losses[0] <= losses[1] * (1 + 1e-3)
    if solver == "cholesky":
        assert losses[0] == pytest.approx(losses[1], rel=2e-3)


def split(users: np.ndarray, chosen: np.ndarray, seed: int) -> np.ndarray:
    """A random fifth of each user's chosen pairs."""
    draws = np.where(chosen, np.random.default_rng(seed).random(len(users)), np.inf)
    order = np.lexsort((draws, users))
    begins = np.searchsorted(users[order], users[order])
    places = np.arange(len(users)) - begins
    counts = np.bincount(users, weights=chosen)[users[order]]
    held_out = np.zeros(len(users), bool)
    held_out[order] = places < np.round(counts / 5)
    return held_out


def ndcg(model: Factors, train: Ratings, test: Ratings) -> float:
    """NDCG@10 over all items but those of training."""
    users = np.flatnonzero(test.by_user.counts > 0)
    gains = gains_of(model, train.by_user, test.by_user, users, Workers(1))
    return float(np.mean(gains))


@pytest.mark.parametrize("seed", SEEDS)
def test_default_lists_are_no_worse_than_those_of_tuned_implicit(pairs: Pairs, seed: int) -> None:
    shape = int(pairs[0].max()) + 1, int(pairs[1].max()) + 1
    test = split(pairs[0], np.ones(len(pairs[0]), bool), seed)
    inner = split(pairs[0], ~test, seed + 10)
    outer = ratings_of(pairs, ~test, shape), ratings_of(pairs, test, shape)
    tuning = ratings_of(pairs, ~test & ~inner, shape), ratings_of(pairs, inner, shape)
    settings = [
        {"factors": factors, "regularization": regularization, "alpha": alpha}
        for factors in (16, 32, 64)
        for regularization in (0.01, 1.0, 10.0)
        for alpha in (1.0, 40.0)
    ]
    best = max(settings, key=lambda s: ndcg(theirs(tuning[0], shape[1], **s), *tuning))
    default = ndcg(ours(outer[0]), *outer)
    tuned = ndcg(theirs(outer[0], shape[1], **best), *outer)
    print(f"NDCG@10: duckmf by default {default:.4f}, implicit tuned {tuned:.4f} {best}")
    assert default >= tuned
