"""The best items of many users: the kernel against a slow twin."""

from __future__ import annotations

import tracemalloc
import weakref

import numpy as np
import pytest

from duckmf.kernels.screening import HEIGHT, WIDTH
from duckmf.kernels.topk import BLOCK
from duckmf.ranking.topk import Layouts, Ranking
from tests.naive import topk as naive_topk


class Case:
    """Random vectors, weights and seen items."""

    def __init__(self, seed: int, n_users: int, n_items: int, n_factors: int, values: str) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.P, self.Q = (self._vectors(n, n_factors, values) for n in (n_users, n_items))
        self.weights = self._vectors(n_users, 1, values)[:, 0]
        self.item_weights = self._vectors(n_items, 1, values)[:, 0]
        self.places = rng.permutation(n_items).astype(np.int32)
        self.seen = [
            np.flatnonzero(rng.random(n_items) < share).astype(np.int32)
            for share in rng.random(n_users) ** 2
        ]

    def _vectors(self, n: int, n_factors: int, values: str) -> np.ndarray:
        shape = (n, n_factors)
        if values == "many ties":
            return self.rng.integers(-1, 2, shape).astype(np.float32)
        if values == "all equal":
            return np.full(shape, 0.1, np.float32)
        if values == "near ties":
            return (0.3 + 1e-7 * self.rng.normal(size=shape)).astype(np.float32)
        scale = self.rng.lognormal(0, 3, (n, 1)) if values == "skewed" else 1.0
        return (scale * self.rng.normal(size=shape)).astype(np.float32)

    def use_cosines(self) -> None:
        self.weights = np.einsum("it,it->i", self.P, self.P)
        self.item_weights = np.einsum("it,it->i", self.Q, self.Q)

    def check(self, k: int, cosine: bool, fused: bool, threads: int = 2) -> None:
        codes = np.arange(len(self.Q), dtype=np.int32)
        ranking = Ranking(codes, self.places, self.item_weights, self.Q, cosine, fused, threads)
        indptr = np.append(0, np.cumsum([len(seen) for seen in self.seen])).astype(np.int32)
        seen = np.concatenate([*self.seen, np.empty(0, np.int32)])
        found, scores, counts = ranking.top(k, self.weights, self.P, indptr, seen)
        ends = np.cumsum(counts)
        for u, p in enumerate(self.P):
            all_scores = naive_topk.scores(
                self.weights[u], p, self.item_weights, self.Q, cosine, fused
            )
            expected = naive_topk.top(all_scores, self.places, self.seen[u], k)
            here = slice(ends[u] - counts[u], ends[u])
            np.testing.assert_array_equal(found[here], expected)
            np.testing.assert_array_equal(scores[here], all_scores[expected])


@pytest.mark.parametrize("values", ["normal", "skewed", "many ties", "all equal", "near ties"])
@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_lists_equal_those_of_a_whole_sort(values, k, cosine, fused):
    case = Case(1, BLOCK + 5, 7 * WIDTH + 3, 6, values)
    if cosine:
        case.P[np.all(case.P == 0, axis=1)] = 1
        case.Q[np.all(case.Q == 0, axis=1)] = 1
        case.use_cosines()
    case.check(k, cosine, fused)


@pytest.mark.parametrize(
    ("n_users", "n_items", "n_factors"),
    [(1, 1, 1), (1, WIDTH, 3), (HEIGHT + 1, WIDTH + 1, 0), (3 * BLOCK, 1000, 64), (2, 5, 100)],
)
def test_shapes_that_do_not_fill_tiles(n_users, n_items, n_factors):
    case = Case(2, n_users, n_items, n_factors, "normal")
    for k in (1, 3, n_items, 100_000):
        case.check(k, cosine=False, fused=False)


def test_thousands_of_near_ties_overflow_the_candidates_and_are_still_exact():
    case = Case(3, 4, 5000, 16, "near ties")
    case.seen = [np.empty(0, np.int32)] * 4
    case.check(10, cosine=False, fused=True)
    case.use_cosines()
    case.check(10, cosine=True, fused=False)


@pytest.mark.parametrize("scale", [1e-20, 1e-16, 1e17])
def test_numbers_at_the_ends_of_float32(scale):
    """Squares of lengths under- or overflow here, so that screening cannot be trusted."""
    case = Case(4, 20, 300, 4, "normal")
    case.P *= np.float32(scale)
    case.check(5, cosine=False, fused=False)
    case.use_cosines()
    case.check(5, cosine=True, fused=False)


def test_the_number_of_threads_and_the_batches_change_nothing():
    case = Case(5, 300, 700, 9, "normal")
    for threads in (1, 3):
        case.check(7, cosine=False, fused=True, threads=threads)


def test_a_score_that_is_no_number_counts_as_the_largest():
    case = Case(6, 5, 200, 4, "normal")
    case.Q[17, 2] = np.nan
    case.seen = [np.empty(0, np.int32)] * 5
    codes = np.arange(200, dtype=np.int32)
    ranking = Ranking(codes, case.places, case.item_weights, case.Q, False, False, 1)
    none = np.zeros(6, np.int32)
    found, scores, _ = ranking.top(3, case.weights, case.P, none, none[:0])
    assert (found.reshape(5, 3)[:, 0] == 17).all()
    assert np.isnan(scores.reshape(5, 3)[:, 0]).all()


def test_work_is_bounded_by_a_piece_and_not_by_users_times_items():
    n_users, n_items = 1000, 20_000
    places = np.arange(n_items, dtype=np.int32)
    Q = np.ones((n_items, 2), np.float32)
    ranking = Ranking(places, places, np.zeros(n_items, np.float32), Q, False, False, 1)
    none = np.zeros(n_users + 1, np.int32)
    users = np.zeros(n_users, np.float32), np.ones((n_users, 2), np.float32), none, none[:0]
    ranking.top(10, *users)  # compiled now
    tracemalloc.start()
    ranking.top(10, *users)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * n_users * n_items * 4


def test_the_same_items_are_laid_out_once_whatever_their_order():
    rng = np.random.default_rng(3)
    codes = np.arange(50, dtype=np.int32)
    weights, Q = rng.random(50, np.float32), rng.random((50, 4), np.float32)
    layouts, how = Layouts(), (False, False, 2)
    ranking = layouts.ranking(codes, codes[::-1], weights, Q, *how)
    mixed = rng.permutation(50)
    items = codes[mixed], codes[::-1][mixed], weights[mixed], Q[mixed]
    assert layouts.ranking(*items, *how) is ranking
    assert layouts.ranking(*items, True, False, 2) is not ranking
    assert layouts.ranking(*items[:2], weights, Q, *how) is not ranking
    held = weakref.ref(ranking)
    del ranking
    assert held() is None, "nobody ranks them any more"
