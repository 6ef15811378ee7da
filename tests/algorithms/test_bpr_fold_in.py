"""Rows of BPR that are learnt alone: each step against its naive twin."""

from __future__ import annotations

import numpy as np
import pytest

from duckmf.algorithms.bpr import Bpr, BprOptions, chances, sampling_of
from duckmf.kernels.draws import ALWAYS, STATES, draw_tables
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Fixed, Rivals
from duckmf.ratings.matrix import Rows
from tests.algorithms.test_bpr import random_ratings
from tests.naive.bpr import Chance


def naive_user(chosen, fixed, options, steps, limits, aliases, state):
    """The steps of one BPR user, in float64."""
    chance, p = Chance(state), np.zeros(fixed.factors.shape[1])
    Q, bi = fixed.factors.astype(float), fixed.bias.astype(float)
    for lr in steps:
        for i in chosen:
            if chance.draw() > ALWAYS:
                continue
            j = chance.draw() * len(bi) // 2**31
            if chance.draw() > limits[j]:
                j = aliases[j]
            if j in chosen:
                continue
            d = Q[i] - Q[j]
            z = 1 / (1 + np.exp(bi[i] - bi[j] + p @ d))
            p += lr * (z * d - options.regularization * p)
    return p


def naive_item(chosen, share, rivals, fixed, options, steps, tables, kept_own, state):
    """The steps of one BPR item, in float64; seen are sets of places by user."""
    chance, q, b = Chance(state), np.zeros(fixed.factors.shape[1]), 0.0
    P, Q, bi = fixed.factors.astype(float), rivals.factors.astype(float), rivals.bias.astype(float)
    kept, limits, aliases = tables
    rows = rivals.by_user
    users, seen = rows.row_numbers(), [set() for _ in range(len(rows))]
    for u, i in zip(users, rows.indices, strict=True):
        seen[u].add(int(i))
    due = 0.0
    for lr in steps:
        for n in range(max(len(chosen), 1)):
            if chance.draw() <= kept_own and n < len(chosen):
                u = chosen[n]
                j = chance.draw() * len(bi) // 2**31
                if chance.draw() > limits[j]:
                    j = aliases[j]
                if j not in seen[u]:
                    z = 1 / (1 + np.exp(b - bi[j] + P[u] @ (q - Q[j])))
                    b += lr * (z - options.regularization * b)
                    q += lr * (z * P[u] - options.regularization * q)
            due += share / max(len(chosen), 1)
            while due >= 1:
                due -= 1
                c = chance.draw() * len(users) // 2**31
                u, i = users[c], rows.indices[c]
                if chance.draw() > kept[i] or u in chosen:
                    continue
                z = 1 / (1 + np.exp(bi[i] - b + P[u] @ (Q[i] - q)))
                b -= lr * (z + options.regularization * b)
                q -= lr * (z * P[u] + options.regularization * q)
    return q, b


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_the_steps_of_a_bpr_item_equal_their_naive_twin(sampling, exponent):
    rng = np.random.default_rng(0)
    ratings = random_ratings()
    rows, by_user = ratings.by_item, ratings.by_user
    n_users, n_items = len(by_user), len(rows)
    counts = np.bincount(by_user.indices, minlength=n_items)
    bias = rng.normal(0, 0.2, n_items).astype(np.float32)
    P, Q = (rng.normal(0, 0.5, (n, 5)).astype(np.float32) for n in (n_users, n_items))
    rivals = Rivals(by_user, counts, bias, Q)
    none = np.zeros(n_users, np.float32), P, np.zeros((n_users, 0), np.float32)
    fixed = Fixed("items", 0.0, 1.0, by_user.counts, *none, rivals=rivals)
    options = BprOptions(
        n_factors=5, epochs=3, negative_sampling=sampling, regularization=0.05,
        popularity_exponent=exponent,
    )  # fmt: skip
    found = Bpr.fold_in(fixed, options, Workers(2))(rows)
    tables = sampling_of(counts, options)
    kept = chances(counts, exponent)
    state = int(np.random.default_rng(options.seed).integers(1, STATES))
    steps = [0.1 * (1 - t / 3) for t in range(3)]
    for item in range(n_items):
        chosen = rows.indices[rows.indptr[item] : rows.indptr[item + 1]].tolist()
        share = len(by_user.indices) / n_items if sampling == "uniform" else len(chosen)
        q, b = naive_item(
            chosen,
            float(np.float32(share)),
            rivals,
            fixed,
            options,
            steps,
            tables,
            kept[item],
            state,
        )
        np.testing.assert_allclose(found.factors[item], q, atol=2e-5)
        assert found.bias[item] == pytest.approx(b, abs=2e-5)


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
@pytest.mark.parametrize("n_factors", [1, 5, 32])
def test_the_steps_of_a_bpr_user_equal_their_naive_twin(n_factors, sampling):
    rng = np.random.default_rng(0)
    rows = random_ratings().by_user
    counts = np.bincount(rows.indices, minlength=40)
    bias = rng.normal(0, 0.2, 40).astype(np.float32)
    Q = rng.normal(0, 0.5, (40, n_factors)).astype(np.float32)
    fixed = Fixed("users", 0.0, 1.0, counts, bias, Q, np.zeros((40, 0), np.float32))
    options = BprOptions(
        n_factors=n_factors, epochs=3, negative_sampling=sampling, regularization=0.05
    )
    found = Bpr.fold_in(fixed, options, Workers(2))(rows).factors

    tables = np.full(40, ALWAYS, np.int32), np.arange(40, dtype=np.int32)
    if sampling == "popularity":
        draw_tables(counts.astype(float), np.array([0, 40]), *tables)
    state = int(np.random.default_rng(options.seed).integers(1, STATES))
    steps = [0.1 * (1 - t / 3) for t in range(3)]
    for user in range(len(rows)):
        chosen = rows.indices[rows.indptr[user] : rows.indptr[user + 1]].tolist()
        expected = naive_user(chosen, fixed, options, steps, *tables, state)
        np.testing.assert_allclose(found[user], expected, atol=1e-5)
    assert np.all(found[0] == 0)


def test_rows_without_entries_are_zero():
    rows = Rows(np.array([0, 0]), np.zeros(0, np.int32), np.zeros(0, np.float32))
    Q = np.ones((3, 2), np.float32)
    fixed = Fixed("users", 0.0, 1.0, np.ones(3, np.int64), Q[:, 0], Q, np.zeros((3, 0), np.float32))
    assert np.all(Bpr.fold_in(fixed, BprOptions(n_factors=2), Workers(1))(rows).factors == 0)
