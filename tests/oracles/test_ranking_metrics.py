"""mf_evaluate_ranking against ranx, on the same lists, and implicit, on the same factors."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clients import macros

N_USERS, N_ITEMS, N_FACTORS, K = 60, 200, 8, 10


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A random model `model` and pairs `test`; some of their users and items are unknown to it."""
    con = duckdb.connect()
    con.execute(macros(temporary=True))
    rng = np.random.default_rng(3)
    P, Q = rng.normal(0, 1, (N_USERS, N_FACTORS)), rng.normal(0, 1, (N_ITEMS, N_FACTORS))
    observed = P @ Q.T + rng.normal(0, 3, (N_USERS, N_ITEMS)) > 3
    side = rng.random((N_USERS, N_ITEMS))
    seen, relevant = observed & (side < 0.6), observed & (side >= 0.6)
    relevant[::7] = False  # users without test items
    con.execute(
        "create table model(kind varchar, user_id integer, item_id integer, code integer, "
        "ratings bigint, factors float[], seen integer[], info json)"
    )
    info = f'{{"format": 1, "algorithm": "implicit_als", "users": {N_USERS}}}'
    rows: list[tuple[Any, ...]] = [("model", None, None, None, None, None, None, info)]
    for u in range(N_USERS):
        codes = np.flatnonzero(seen[u]).tolist()
        rows.append(("user", u, None, u, len(codes), P[u].tolist(), codes, None))
    for i in range(N_ITEMS):
        rows.append(("item", None, i, i, int(seen[:, i].sum()), Q[i].tolist(), None, None))
    con.executemany("insert into model values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    con.execute("create table test(u integer, i integer)")
    con.executemany("insert into test values (?, ?)", np.argwhere(relevant).tolist())
    return con


def cells(con: duckdb.DuckDBPyConnection, query: str) -> NDArray[np.bool_]:
    matrix = np.zeros((N_USERS, N_ITEMS), bool)
    users, items = np.array(con.execute(query).fetchall()).T
    matrix[users, items] = True
    return matrix


def test_equals_ranx(con: duckdb.DuckDBPyConnection) -> None:
    ranx = pytest.importorskip("ranx", reason="the peer is not installed: pip install ranx")
    # items and a user that the model does not know
    con.execute("insert into test select u, 1000 + u from test where u % 3 = 0")
    con.execute("insert into test values (999, 4), (999, 5), (999, 1999)")
    names = {"map": "map", "mrr": "mrr", "ndcg": "ndcg", "hit_rate": "hit_rate"}
    names |= {"precision": "precision", "recall": "recall"}
    per_user = f"mf_evaluate_ranking_per_user(model, test, u, i, k := {K})"
    lists = dict(con.execute(f"select user_id, items from {per_user}").fetchall())
    relevant: dict[str, dict[str, int]] = {}
    for user, item in con.execute("from test").fetchall():
        relevant.setdefault(str(user), {})[str(item)] = 1
    run = {
        str(user): {str(item): 1 / rank for rank, item in enumerate(items, start=1)}
        for user, items in lists.items()
    }
    peer = ranx.Run(run)
    means = ranx.evaluate(ranx.Qrels(relevant), peer, [f"{name}@{K}" for name in names.values()])
    assert means[f"precision@{K}"] > 0.05
    for ours, theirs in names.items():
        column = con.execute(f"select user_id, {ours} from {per_user}").fetchall()
        scores = peer.scores[f"{theirs}@{K}"]
        assert {str(user): value for user, value in column} == pytest.approx(dict(scores)), ours
        mean = con.execute(f"select {ours} from mf_evaluate_ranking(model, test, u, i)").fetchone()
        assert mean == pytest.approx((means[f"{theirs}@{K}"],)), ours


@pytest.fixture
def peer(con: duckdb.DuckDBPyConnection) -> tuple[Any, Any, Any, Any]:
    """implicit with the factors of `model`; its evaluation; training and test matrix."""
    reason = "the peer is not installed: pip install implicit"
    evaluation = pytest.importorskip("implicit.evaluation", reason=reason)
    als = pytest.importorskip("implicit.cpu.als", reason=reason)
    sparse = pytest.importorskip("scipy.sparse")
    seen = cells(con, "select user_id, unnest(seen) from model where kind = 'user'")
    relevant = cells(con, "from test")
    model = als.AlternatingLeastSquares(factors=N_FACTORS, num_threads=1)
    for side in ("user", "item"):
        rows = con.execute(f"select factors from model where kind = '{side}' order by code")
        setattr(model, f"{side}_factors", np.array([f for (f,) in rows.fetchall()], np.float32))
    return evaluation, model, sparse.csr_matrix(seen * 1.0), sparse.csr_matrix(relevant * 1.0)


def test_equals_implicit(con: duckdb.DuckDBPyConnection, peer: tuple[Any, Any, Any, Any]) -> None:
    """Its precision and map have least(k, n) where ours have k and n."""
    evaluation, model, seen, relevant = peer
    theirs = evaluation.ranking_metrics_at_k(model, seen, relevant, K, show_progress=False)
    ours = con.execute(
        f"""
        select
            sum({K} * precision) / sum(least({K}, n_relevant)),
            avg(map * n_relevant / least({K}, n_relevant)),
            avg(ndcg)
        from mf_evaluate_ranking_per_user(model, test, u, i, k := {K})
        """
    ).fetchone()
    assert ours == pytest.approx([theirs[name] for name in ("precision", "map", "ndcg")])


def test_auc_equals_implicit_on_the_whole_list(
    con: duckdb.DuckDBPyConnection, peer: tuple[Any, Any, Any, Any]
) -> None:
    """With k = all items it guesses nothing; only, each seen item counts there as outranked."""
    evaluation, model, seen, relevant = peer
    theirs = evaluation.ranking_metrics_at_k(model, seen, relevant, N_ITEMS, show_progress=False)
    (ours,) = con.execute(
        f"""
        select avg(
            (r.auc * ({N_ITEMS} - r.n_relevant - m.ratings) + m.ratings)
                / ({N_ITEMS} - r.n_relevant)
        )
        from mf_evaluate_ranking_per_user(model, test, u, i) r
            join model m on m.kind = 'user' and m.user_id = r.user_id
        """
    ).fetchall()[0]
    assert ours == pytest.approx(theirs["auc"])
