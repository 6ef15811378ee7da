"""The area under the curve against its definition; the rest is in test_cross_validate.py, against SQL."""

from __future__ import annotations

import numpy as np
import pytest

from duckmf.kernels import auc


def naive_area(scores, size, seen, relevant):
    """The share of pairs of a relevant and another item that are in order; a tie is half a pair."""
    others = sorted(set(range(len(scores))) - set(seen) - set(relevant))
    if not others:
        return np.nan
    wins = sum(
        (scores[i] > scores[j]) + (scores[i] == scores[j]) / 2 for i in relevant for j in others
    )
    return wins / (size * len(others))


@pytest.mark.parametrize("levels", [1, 4, 1000])
def test_the_area_is_the_share_of_pairs_in_order(levels):
    rng = np.random.default_rng(levels)
    n, n_items = 40, 25
    scores = rng.integers(0, levels, (n, n_items)).astype(np.float32)
    marks = rng.choice(3, (n, n_items), p=[0.6, 0.2, 0.2])
    marks[0], marks[1], marks[2], marks[3] = 1, 2, 0, [1, 2] * 12 + [2]
    seen = [np.flatnonzero(row == 1).astype(np.int32) for row in marks]
    relevant = [np.flatnonzero(row == 2).astype(np.int32) for row in marks]
    sizes = np.array([max(len(row), 1) for row in relevant]) + rng.integers(0, 2, n)
    out = np.full(n, -1.0)
    lists = [
        part
        for rows in (seen, relevant)
        for part in (np.append(0, np.cumsum([len(row) for row in rows])), np.concatenate(rows))
    ]
    auc.areas(out, scores, sizes, *lists, 0, 17)
    assert np.all(out[17:] == -1), "only its own users"
    auc.areas(out, scores, sizes, *lists, 17, n)
    expected = [naive_area(*row) for row in zip(scores, sizes, seen, relevant, strict=True)]
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    assert np.isnan(out[[0, 1, 3]]).all()
    assert out[2] == 0


def test_lists_are_those_of_the_end_of_training():
    from duckmf import algorithms
    from duckmf.kernels.threads import Workers
    from duckmf.ranking import metrics
    from duckmf.ratings.matrix import Triples, canonical

    rng = np.random.default_rng(5)
    users, items = rng.integers(0, 9, 80, np.int32), rng.integers(0, 7, 80, np.int32)
    triples = Triples(
        users, items, rng.random(80, np.float32), times=rng.choice([0.0, 5e7, 1e8], 80)
    )
    ratings = canonical(triples, 10, 8, "mean", Workers(1))[0]
    als = algorithms.find("als")
    parts = {"temporal": ["item_bins", "user_drift", "user_day"], "n_factors": 2}
    trained = algorithms.make(als, ratings, als.Options.parse(parts, "als"), Workers(1))
    trained.epoch(1)
    factors, pairs = trained.factors(), np.divmod(np.arange(80, dtype=np.int32), 8)
    assert factors.temporal is not None
    then = metrics.at_the_end(factors)
    assert then.temporal is None
    assert then.predict(*pairs) == pytest.approx(factors.predict(*pairs), abs=1e-6)
