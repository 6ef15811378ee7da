"""`timesvdpp` against `svdpp`: 1 M ratings, the same factors, by epoch and thread.

Both are duckmf's; rounds alternate between the two, and what counts is the median of the rounds'
ratios. Times are drawn so that a user rates on about ten days.
Run: python -m tests.bench.timesvdpp_vs_svdpp
"""

from __future__ import annotations

import time

import numpy as np

from duckmf import algorithms
from duckmf.kernels.threads import Workers
from duckmf.model.temporal import DAY
from duckmf.ratings.matrix import Triples, canonical
from tests.bench.known_truth import Known

ROUNDS = 5


def times_of(users: np.ndarray, n_users: int) -> np.ndarray:
    """A time for each rating: ten days for each user, over four years."""
    rng = np.random.default_rng(1)
    days = rng.integers(0, 1460, (n_users, 10))
    return 1e9 + (days[users, rng.integers(0, 10, len(users))] + rng.random(len(users))) * DAY


def main() -> None:
    """Print one line for each number of threads."""
    known = Known.make(6_000, 4_000, 1_000_000)
    times = times_of(known.train.users, 6_000)
    triples = Triples(known.train.users, known.train.items, known.train.values, None, times)
    for threads in (1, 2):
        workers = Workers(threads)
        ratings, _ = canonical(triples, 6_000, 4_000, "mean", workers)
        trainings = []
        for name in ("svdpp", "timesvdpp"):
            algorithm = algorithms.find(name)
            options = algorithm.Options(n_factors=64)
            trainings.append(algorithms.make(algorithm, ratings, options, workers))
            trainings[-1].epoch(1)
        seconds = np.empty((ROUNDS, 2))
        for number, row in enumerate(seconds, start=2):
            for column, training in enumerate(trainings):
                began = time.perf_counter()
                training.epoch(number)
                row[column] = time.perf_counter() - began
        ratio = np.median(seconds[:, 1] / seconds[:, 0])
        median = np.median(seconds, axis=0)
        print(
            f"{threads} threads, 64 factors: svdpp {median[0]:.3f} s an epoch,"
            f" timesvdpp {median[1]:.3f} s, {ratio:.2f} times"
        )
        workers.close()


if __name__ == "__main__":
    main()
