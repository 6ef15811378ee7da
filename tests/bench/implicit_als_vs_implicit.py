"""`implicit_als` against implicit's AlternatingLeastSquares: an iteration over both sides.

Same objective: confidence 11 where a pair was observed, 1 elsewhere, plain lambda 10. Pairs are of
MovieLens-20M in shape. implicit's time of an iteration is what it tells its callback; BLAS has one
thread, as it asks for. Prints seconds an iteration, the medians over the rounds of the ratios, and
the objective over sum c after the same number of iterations; with --to-loss also after how much
time duckmf is at the loss that implicit ends with.

Run in an environment with duckmf and implicit: python -m tests.bench.implicit_als_vs_implicit
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from duckmf.algorithms.implicit_als import ImplicitAls, ImplicitAlsOptions
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings, Triples, canonical
from tests.bench.known_truth import random_pairs

CONFIDENCE, PENALTY, THREADS = 11.0, 10.0, 2


def made(n: int) -> Ratings:
    """Pairs of a strength of one."""
    share = n / 20_000_000
    shape = int(138_493 * share) + 100, int(26_744 * share**0.5) + 100
    users, items = random_pairs(*shape, n, np.random.default_rng(0))
    triples = Triples(users, items, np.ones(len(users), np.float32))
    return canonical(triples, *shape, "sum", Workers(THREADS))[0]


def ours(ratings: Ratings, n_factors: int, epochs: int, solver: str) -> tuple[list[float], ...]:
    """Seconds and loss of each epoch."""
    options = ImplicitAlsOptions(
        n_factors=n_factors,
        alpha=CONFIDENCE - 1,
        unobserved_weight=1.0,
        regularization=PENALTY,
        regularization_scaling=0.0,
        solver=solver,
    )
    workers = Workers(THREADS)
    als = ImplicitAls(ratings, options, workers)
    seconds, losses = [], []
    for number in range(1, epochs + 1):
        began = time.perf_counter()
        losses.append(als.epoch(number))
        seconds.append(time.perf_counter() - began)
    workers.close()
    return seconds, losses


def theirs(ratings: Ratings, n_factors: int, epochs: int, solver: str) -> tuple[list[float], float]:
    """Seconds of each iteration, and the loss after the last."""
    rows = ratings.by_user
    confidences = np.full(len(rows.indices), CONFIDENCE, np.float32)
    shape = len(rows), len(ratings.by_item)
    matrix = csr_matrix((confidences, rows.indices, rows.indptr.astype(np.int32)), shape)
    seconds: list[float] = []
    model = AlternatingLeastSquares(
        factors=n_factors,
        regularization=PENALTY,
        alpha=1.0,
        iterations=epochs,
        use_cg=solver == "cg",
        num_threads=THREADS,
        random_state=1,
    )
    model.fit(matrix, show_progress=False, callback=lambda *told: seconds.append(told[1]))
    return seconds, loss(ratings, model.user_factors, model.item_factors)


def loss(ratings: Ratings, P: np.ndarray, Q: np.ndarray) -> float:
    """The objective over all pairs by sum c, in float64."""
    rows = ratings.by_user
    users, total = rows.row_numbers(), 0.0
    for begin in range(0, len(users), 1 << 20):
        some = slice(begin, begin + (1 << 20))
        scores = np.einsum("nf,nf->n", P[users[some]], Q[rows.indices[some]], dtype=np.float64)
        total += np.sum(CONFIDENCE * (1 - scores) ** 2 - scores**2)
    P, Q = P.astype(float), Q.astype(float)
    total += np.sum((P.T @ P) * (Q.T @ Q)) + PENALTY * (np.sum(P**2) + np.sum(Q**2))
    return total / (CONFIDENCE * len(users))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=int, default=20_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--solver", choices=("cg", "cholesky"), default="cg")
    parser.add_argument("--to-loss", action="store_true")
    given = parser.parse_args()
    ratings = made(given.ratings)
    arguments = ratings, given.factors, given.epochs, given.solver
    ours(ratings, given.factors, 1, given.solver)
    ratios = []
    for _ in range(given.rounds):
        seconds, losses = ours(*arguments)
        peer_seconds, peer_loss = theirs(*arguments)
        one, other = statistics.median(seconds), statistics.median(peer_seconds)
        ratios.append(other / one)
        print(f"duckmf   {one:7.3f} s   loss {losses[-1]:.5f}")
        print(f"implicit {other:7.3f} s   loss {peer_loss:.5f}", flush=True)
        if given.to_loss:
            needed = next((n + 1 for n, at in enumerate(losses) if at <= peer_loss), None)
            reached = sum(seconds[:needed]) if needed else float("nan")
            print(
                f"implicit's loss: duckmf after {reached:.2f} s ({needed} epochs), "
                f"implicit after {sum(peer_seconds):.2f} s"
            )
    print(f"{given.factors} factors, {given.solver}: {statistics.median(ratios):.1f}x the speed")


if __name__ == "__main__":
    main()
