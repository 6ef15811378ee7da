"""`als` against cmfrec: one iteration over both sides, 64 factors and biases, two threads each.

Same objective: lambda 0.05 times the count of a row, on factors and on biases. cmfrec solves rows
by 3 steps of conjugate gradients, or exactly by Cholesky as `als` does. Each round trains all of
them on the same ratings, MovieLens-20M in shape; cmfrec's time of an iteration is that of a fit
with more iterations less that of a fit with one, so neither side's setup counts. Prints seconds an
iteration, the medians over the rounds of the ratios, and RMSE on the training and the held-out
ratings after the same number of iterations.

Run in an environment with duckmf and cmfrec: python -m tests.bench.als_vs_cmfrec --ratings 1000000
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import cmfrec
import numpy as np
from scipy.sparse import coo_matrix

from duckmf.algorithms.als import Als, AlsOptions
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings, Triples
from tests.bench.known_truth import Known

N_FACTORS = 64
PENALTY = 0.05
THREADS = 2


@dataclass(frozen=True)
class Result:
    """One training: seconds of an iteration, RMSE in training and on held-out ratings."""

    seconds: float
    training: float
    held_out: float

    def __str__(self) -> str:
        return f"{self.seconds:7.3f} s   {self.training:.4f}   {self.held_out:.4f}"


def rmse(predict, triples: Triples) -> float:
    """Of unclipped predictions, on at most a million ratings."""
    some = slice(0, 1_000_000)
    errors = predict(triples.users[some], triples.items[some]) - triples.values[some]
    return float(np.sqrt(np.mean(np.square(errors, dtype=np.float64))))


def ours(known: Known, ratings: Ratings, epochs: int) -> Result:
    """`als`; the seconds are the median epoch's."""
    options = AlsOptions(
        n_factors=N_FACTORS, epochs=epochs, regularization=PENALTY, regularization_scaling=1.0
    )
    workers = Workers(THREADS)
    als = Als(ratings, options, workers)
    seconds = []
    for number in range(1, epochs + 1):
        began = time.perf_counter()
        als.epoch(number)
        seconds.append(time.perf_counter() - began)
    workers.close()
    predict = als.factors().predict
    return Result(statistics.median(seconds), rmse(predict, known.train), rmse(predict, known.test))


def theirs(known: Known, matrix: coo_matrix, epochs: int, use_cg: bool) -> Result:
    """cmfrec; the seconds are those of the iterations after the first, divided by their number."""

    def fit(niter: int) -> tuple[float, cmfrec.CMF]:
        model = cmfrec.CMF(
            k=N_FACTORS,
            lambda_=PENALTY,
            scale_lam=True,
            use_cg=use_cg,
            finalize_chol=False,
            precompute_for_predictions=False,
            niter=niter,
            nthreads=THREADS,
            verbose=False,
        )
        began = time.perf_counter()
        model.fit(matrix)
        return time.perf_counter() - began, model

    few, _ = fit(1)
    many, model = fit(epochs)
    seconds = (many - few) / (epochs - 1)
    return Result(seconds, rmse(model.predict, known.train), rmse(model.predict, known.test))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--no-cholesky", action="store_true", help="leave out cmfrec's slow solver")
    given = parser.parse_args()
    share = given.ratings / 20_000_000
    shape = int(138_493 * share) + 100, int(26_744 * share**0.5) + 100
    known = Known.make(*shape, given.ratings)
    ratings, train = known.ratings(), known.train
    matrix = coo_matrix((train.values, (train.users, train.items)), shape=shape)
    print(f"{len(ratings):,} ratings of {shape[0]:,} users and {shape[1]:,} items")
    print(f"{'':16}an iteration  train    held out")
    ours(known, ratings, 1)
    contestants = {
        "duckmf": lambda: ours(known, ratings, given.epochs),
        "cmfrec CG": lambda: theirs(known, matrix, given.epochs, use_cg=True),
    }
    if not given.no_cholesky:
        contestants["cmfrec Cholesky"] = lambda: theirs(known, matrix, given.epochs, use_cg=False)
    rounds = []
    for _ in range(given.rounds):
        results = {name: run() for name, run in contestants.items()}
        for name, result in results.items():
            print(f"{name:16}{result}", flush=True)
        rounds.append(results)
    for name in list(contestants)[1:]:
        ratios = [results[name].seconds / results["duckmf"].seconds for results in rounds]
        print(f"{name} / duckmf: {statistics.median(ratios):.1f}x the time")


if __name__ == "__main__":
    main()
