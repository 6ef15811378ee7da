"""All users' top 10 against implicit's batch `recommend`: 138 k users, 27 k items, 64 factors.

Items have equal norms, so that nothing can be skipped; each user has seen 145 items on average,
which both leave out. Two threads each, in turn; implicit wants OPENBLAS_NUM_THREADS=1. Times are of
the ranking alone, from arrays, and of a whole SQL statement into a table. The lists are compared.
Run in an environment with duckmf and implicit: python -m tests.bench.topk_vs_implicit
"""

from __future__ import annotations

import os
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

import duckmf
from duckmf.ranking.topk import Ranking

N_USERS, N_ITEMS, N_FACTORS, N_SEEN = 138_000, 27_000, 64, 145
K, THREADS, ROUNDS = 10, 2, 5


class Model:
    """Random factors, and what users have seen."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.P = rng.normal(size=(N_USERS, N_FACTORS)).astype(np.float32)
        self.Q = rng.normal(size=(N_ITEMS, N_FACTORS)).astype(np.float32)
        self.Q /= np.linalg.norm(self.Q, axis=1, keepdims=True)
        counts = rng.poisson(N_SEEN, N_USERS)
        cells = (np.repeat(np.arange(N_USERS), counts), rng.integers(0, N_ITEMS, counts.sum()))
        self.seen = csr_matrix((np.ones(len(cells[0]), np.float32), cells), (N_USERS, N_ITEMS))
        self.seen.sum_duplicates()

    def connection(self):
        """A duckmf connection with the model as the relation `films`."""
        con = duckmf.connect(config={"threads": THREADS})
        lists = pa.ListArray.from_arrays
        starts = np.arange(N_USERS + 1, dtype=np.int32) * N_FACTORS
        users = {
            "user_id": np.arange(N_USERS),
            "ratings": np.diff(self.seen.indptr),
            "factors": lists(starts, self.P.ravel()),
            "seen": lists(self.seen.indptr, self.seen.indices),
        }
        items = {
            "item_id": np.arange(N_ITEMS),
            "factors": lists(starts[: N_ITEMS + 1], self.Q.ravel()),
        }
        con.register("users", pa.table(users))
        con.register("items", pa.table(items))
        con.execute(
            "create table films as "
            "select 'model' as kind, 0::float as bias, '{\"format\": 1}'::json as info "
            "union all by name "
            "select 'user' as kind, *, user_id::integer as code, 0::float as bias from users "
            "union all by name "
            "select 'item' as kind, *, item_id::integer as code, 0::float as bias from items"
        )
        return con


def theirs(model: Model) -> tuple[float, np.ndarray]:
    """Seconds, and the lists, of implicit."""
    peer = AlternatingLeastSquares(N_FACTORS, num_threads=THREADS)
    peer.user_factors, peer.item_factors = model.P, model.Q
    began = time.perf_counter()
    items, _ = peer.recommend(np.arange(N_USERS), model.seen, N=K, filter_already_liked_items=True)
    return time.perf_counter() - began, items


def ours(model: Model) -> tuple[float, np.ndarray]:
    """Seconds, and the lists, from arrays."""
    codes, zeros = np.arange(N_ITEMS, dtype=np.int32), np.zeros(N_USERS, np.float32)
    began = time.perf_counter()
    ranking = Ranking(codes, codes, zeros[:N_ITEMS], model.Q, False, True, THREADS)
    items, _, _ = ranking.top(K, zeros, model.P, model.seen.indptr, model.seen.indices)
    seconds = time.perf_counter() - began
    ranking.close()
    return seconds, items.reshape(N_USERS, K)


def in_sql(con) -> tuple[float, np.ndarray]:
    """Seconds, and the lists, of a statement that writes them to a table."""
    began = time.perf_counter()
    con.execute(f"create or replace table lists as from mf_recommend(films, k := {K})")
    seconds = time.perf_counter() - began
    query = "select item_id from lists order by user_id, rank"
    return seconds, con.execute(query).fetchnumpy()["item_id"].reshape(N_USERS, K)


def main() -> None:
    """Print a line for each round, then the medians of their ratios."""
    model = Model(seed=0)
    con = model.connection()
    ours(model)
    ratios = []
    for _ in range(ROUNDS):
        (peer, lists), (arrays, mine), (sql, table) = theirs(model), ours(model), in_sql(con)
        assert np.array_equal(mine, table)
        differ = np.mean(np.any(np.sort(mine) != np.sort(lists), axis=1))
        ratios.append((peer / arrays, peer / sql))
        print(
            f"implicit {peer:.2f} s; duckmf {arrays:.2f} s from arrays, {sql:.2f} s as a table;"
            f" lists that differ in an item: {differ:.5%}"
        )
    arrays, sql = np.median(ratios, axis=0)
    print(f"{arrays:.2f} times as fast from arrays, {sql:.2f} times as a SQL statement")


if __name__ == "__main__":
    main()
