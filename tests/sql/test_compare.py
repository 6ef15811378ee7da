"""mf_compare against a bootstrap in NumPy, on MovieLens."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def models(movielens):
    movielens.execute("create table parts as from mf_split(ratings, user_id, movie_id)")
    for part in ("train", "test"):
        movielens.execute(f"create view {part} as from parts where split = '{part}'")
    for name, algorithm in (("flat", "bias"), ("deep", "svd")):
        movielens.execute(
            f"create table {name} as from mf_fit(train, user_id, movie_id, rating, "
            f"algorithm := '{algorithm}', progress := false)"
        )
    return movielens


def test_the_interval_is_that_of_a_bootstrap_over_users(models):
    found = {
        row[0]: row[1:]
        for row in models.execute(
            "from mf_compare(flat, deep, test, user_id, movie_id, rating, samples := 4000)"
        ).fetchall()
    }
    sums = models.execute(
        "select sum((rating - f.prediction) ** 2), sum((rating - d.prediction) ** 2), count(*) "
        "from mf_predict(flat, test, user_id, movie_id) f "
        "join mf_predict(deep, test, user_id, movie_id) d using (user_id, movie_id, rating) "
        "group by user_id order by user_id"
    ).fetchnumpy()
    flat, deep, n = sums.values()
    rng = np.random.default_rng(5)
    chosen = rng.integers(0, len(n), (4000, len(n)))
    difference = np.sqrt(deep[chosen].sum(1) / n[chosen].sum(1)) - np.sqrt(
        flat[chosen].sum(1) / n[chosen].sum(1)
    )
    low, high = np.quantile(difference, [0.025, 0.975])
    a, b, d, found_low, found_high, better, users = found["rmse"]
    assert (better, users) == ("b", len(n))
    assert d == pytest.approx(b - a)
    assert found_low == pytest.approx(low, rel=0.06)
    assert found_high == pytest.approx(high, rel=0.06)


def test_the_metrics_are_those_of_the_evaluations(models):
    by_name = "select metric, a, b from mf_compare(flat, deep, test, user_id, movie_id"
    for call, names in (
        ("mf_evaluate({}, test, user_id, movie_id, rating)", ("rmse", "mae")),
        ("mf_evaluate_ranking({}, test, user_id, movie_id, k := 7)", ("ndcg", "auc", "recall")),
    ):
        options = ", rating)" if "rmse" in names else ", k := 7, samples := 10)"
        compared = {row[0]: row[1:] for row in models.execute(by_name + options).fetchall()}
        for place, model in enumerate(("flat", "deep")):
            alone = models.execute(
                f"select {', '.join(names)} from {call.format(model)}"
            ).fetchone()
            assert [compared[name][place] for name in names] == pytest.approx(alone)
