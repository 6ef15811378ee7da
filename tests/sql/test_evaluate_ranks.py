"""mf_evaluate_ranks against its definitions in Python, on random models full of equal scores."""

from __future__ import annotations

from math import log2

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tests.clients import macros
from tests.sql.test_serving import N_ITEMS, Model

STRANGER, NO_ITEM = 5, 7  # ids that no model here has
Pairs = dict[tuple[int, int], float]


def stored(con: duckdb.DuckDBPyConnection, seed: int) -> tuple[Model, Pairs]:
    """A random model in the table `films`, and random rated pairs in the table `test`."""
    con.execute(macros(temporary=True))
    model = Model(seed)
    model.store(con, "films")
    rng = np.random.default_rng(seed)
    users = rng.choice([STRANGER, *model.user_ids[::2]], 300)
    items = rng.choice([NO_ITEM, *model.item_ids], 300)
    ratings = rng.integers(0, 4, 300)
    con.register("pairs", pa.table({"u": users, "i": items, "r": ratings}))
    con.execute("create table test as select u::integer as u, i::integer as i, r from pairs")
    summed: Pairs = {}
    for u, i, r in zip(users.tolist(), items.tolist(), ratings.tolist(), strict=True):
        summed[u, i] = summed.get((u, i), 0) + r
    return model, summed


def scores_of(model: Model, user: int) -> np.ndarray:
    return 3 + model.item_bias if user == STRANGER else model.scores[1000 - user]


def expected(model: Model, pairs: Pairs) -> tuple[float, float, float, float, int, int]:
    """The definitions of sql/evaluate_ranks.sql, one by one."""
    places, errors, precisions, gains = [], [], [], []
    for user in sorted({u for u, _ in pairs}):
        scores, hits = scores_of(model, user), []
        for (u, i), r in pairs.items():
            if u != user:
                continue
            known = i != NO_ITEM
            score = (
                scores[9000 - i]
                if known
                else 3 + (0 if u == STRANGER else model.user_bias[1000 - u])
            )
            above, equal = (scores > score).sum(), (scores == score).sum()
            places.append((r, (above + (equal - 1) / 2) / (N_ITEMS - 1) if known else 1.0))
            errors.append(((r > 0) - score) ** 2)
            if r > 0:
                hits.append((above + equal if known else np.inf, r))
        if hits:
            ranks = sorted(rank for rank, _ in hits)
            precisions.append(sum(j / rank for j, rank in enumerate(ranks, 1)) / len(ranks))
            best = sorted((r for _, r in hits), reverse=True)
            ideal = sum(r / log2(j + 1) for j, r in enumerate(best, 1))
            gains.append(sum(r / log2(rank + 1) for rank, r in hits) / ideal)
    weights = sum(r for r, _ in places)
    mean_rank = sum(r * place for r, place in places) / weights
    users = len({u for u, _ in pairs})
    means = (float(np.mean(x)) for x in (precisions, gains, errors))
    return (mean_rank, *means, len(pairs), users)


@pytest.mark.parametrize("seed", range(5))
def test_the_measures_are_as_defined(seed):
    with duckdb.connect() as con:
        model, pairs = stored(con, seed)
        found = con.execute("from mf_evaluate_ranks(films, test, u, i, r)").fetchone()
        assert found == pytest.approx(expected(model, pairs), rel=1e-9)


def test_chance_is_a_mean_rank_of_one_half():
    with duckdb.connect() as con:
        stored(con, seed=1)
        con.execute(
            "create table everything as select u.user_id as u, i.item_id as i from films u, films i where u.kind = 'user' and i.kind = 'item'"
        )
        found = con.execute("select mean_rank from mf_evaluate_ranks(films, everything, u, i)")
        assert found.fetchone() == (pytest.approx(0.5, rel=1e-12),)
