"""10,000 users folded in against implicit's `recalculate_user`, in a loop and as one batch.

Same objective and items: 27,000 items with 64 factors, 145 pairs a user on average. Two threads
each, in turn; implicit has its Q'Q at hand in all calls but its first, which is not timed. Times are
of the solving alone, from arrays and with Q'Q, and of a whole SQL statement that reads pairs and
model and writes the rows. The factors are compared.
Run in an environment with duckmf and implicit: python -m tests.bench.fold_in_vs_implicit
"""

from __future__ import annotations

import os
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

import duckmf
from duckmf.algorithms.implicit_als import ImplicitAls, ImplicitAlsOptions
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Fixed
from duckmf.ratings.matrix import Rows, Triples, canonical
from tests.bench.known_truth import random_pairs

N_USERS, N_ITEMS, N_FACTORS, N_PAIRS = 10_000, 27_000, 64, 1_450_000
CONFIDENCE, PENALTY, THREADS, ROUNDS = 11.0, 10.0, 2, 5
OPTIONS = {"alpha": CONFIDENCE - 1, "unobserved_weight": 1.0, "regularization": PENALTY}
OPTIONS |= {"n_factors": N_FACTORS, "regularization_scaling": 0.0, "epochs": 3}


class Case:
    """A model of the pairs, the same pairs to fold in, and implicit with the model's items."""

    def __init__(self) -> None:
        users, items = random_pairs(N_USERS, N_ITEMS, N_PAIRS, np.random.default_rng(0))
        triples = Triples(users, items, np.ones(len(users), np.float32))
        self.rows = canonical(triples, N_USERS, N_ITEMS, "sum", Workers(THREADS))[0].by_user
        self.con = duckmf.connect(config={"threads": THREADS})
        self.con.register("arrays", pa.table({"u": users, "i": items}))
        self.con.execute("create table pairs as from arrays")
        given = "".join(f", {name} := {value}" for name, value in OPTIONS.items())
        self.con.execute(f"create table films as from mf_fit(pairs, u, i{given})")
        query = "select item_id, factors from films where kind = 'item' order by item_id"
        found = self.con.execute(query).fetchnumpy()
        self.Q = np.zeros((N_ITEMS, N_FACTORS), np.float32)
        self.Q[found["item_id"]] = np.stack(found["factors"])
        self.peer = AlternatingLeastSquares(N_FACTORS, PENALTY, alpha=1.0, num_threads=THREADS)
        self.peer.item_factors = self.Q
        confidences = np.full(len(users), CONFIDENCE, np.float32)
        indptr = self.rows.indptr.astype(np.int32)
        cells = (confidences, self.rows.indices, indptr)
        self.matrix = csr_matrix(cells, (N_USERS, N_ITEMS))
        self.peer.recalculate_user(np.arange(2), self.matrix[:2])
        self.single = [self.matrix[user] for user in range(N_USERS)]


def loop(case: Case) -> tuple[float, np.ndarray]:
    """Seconds, and the factors, of a call for each user; the rows of the matrix are cut before."""
    began = time.perf_counter()
    P = [case.peer.recalculate_user(user, row) for user, row in enumerate(case.single)]
    return time.perf_counter() - began, np.array(P)


def batch(case: Case) -> tuple[float, np.ndarray]:
    """The same of one call for all."""
    began = time.perf_counter()
    P = case.peer.recalculate_user(np.arange(N_USERS), case.matrix)
    return time.perf_counter() - began, P


def arrays(case: Case) -> tuple[float, np.ndarray]:
    """The same of duckmf from arrays, Q'Q included."""
    nothing = np.zeros((N_ITEMS, 0), np.float32)
    counts, bias = np.ones(N_ITEMS, np.int64), np.zeros(N_ITEMS, np.float32)
    fixed = Fixed("users", 0.0, 1.0, counts, bias, case.Q, nothing)
    rows = Rows(case.rows.indptr, case.rows.indices, case.rows.values)
    workers = Workers(THREADS)
    began = time.perf_counter()
    P = ImplicitAls.fold_in(fixed, ImplicitAlsOptions(**OPTIONS), workers)(rows).factors
    seconds = time.perf_counter() - began
    workers.close()
    assert P is not None
    return seconds, P


def in_sql(case: Case) -> tuple[float, np.ndarray]:
    """The same of a statement that writes the rows to a table."""
    began = time.perf_counter()
    case.con.execute("create or replace table rows as from mf_fold_in(films, pairs, u, i)")
    seconds = time.perf_counter() - began
    found = case.con.execute("select user_id, factors from rows order by user_id").fetchnumpy()
    P = np.zeros((N_USERS, N_FACTORS), np.float32)
    P[found["user_id"]] = np.stack(found["factors"])
    return seconds, P


def main() -> None:
    """Print a line for each round, then the medians of the ratios."""
    case = Case()
    ways = (loop, batch, arrays, in_sql)
    expected = arrays(case)[1]
    rounds = []
    for _ in range(ROUNDS):
        found = [way(case) for way in ways]
        apart = max(float(np.abs(P - expected).max()) for _, P in found)
        rounds.append([seconds for seconds, _ in found])
        print(
            "implicit {:.2f} s in a loop, {:.3f} s as a batch; "
            "duckmf {:.3f} s from arrays, {:.3f} s in SQL; ".format(*rounds[-1])
            + f"factors differ by at most {apart:.1e}",
            flush=True,
        )
    one, all_, ours, sql = np.array(rounds).T
    for name, seconds in (("from arrays", ours), ("in SQL", sql)):
        print(
            f"{name}: {np.median(one / seconds):.1f} times as fast as the loop, "
            f"{np.median(all_ / seconds):.1f} times as fast as the batch"
        )


if __name__ == "__main__":
    main()
