"""`svd` against Surprise's SVD: 1 M ratings, one thread each, the same number of factors.

Both take the same epochs and the same lambda for each rating, here in units of sigma, there of
stars. Rounds alternate between the two; what counts is the median of the rounds' ratios. Surprise
walks over Python objects, so the order in which it read the rows matters to it: both are measured,
sorted by user as in the files of MovieLens, and mixed, as ratings arrive over time.
Run in an environment with duckmf and scikit-surprise: python -m tests.bench.svd_vs_surprise
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from surprise import SVD, Dataset, Reader, Trainset

from duckmf.algorithms.svd import Svd, SvdOptions
from duckmf.kernels.threads import Workers
from tests.bench.known_truth import Known

ROUNDS = 5
EPOCHS = 20
PENALTY = 0.05


def trainset(known: Known, order: np.ndarray) -> Trainset:
    """The ratings in Surprise's own structure, read in the given order of rows."""
    columns = (known.train.users, known.train.items, known.train.values)
    frame = pd.DataFrame({n: c[order] for n, c in enumerate(columns)})
    return Dataset.load_from_df(frame, Reader(rating_scale=(0.5, 5))).build_full_trainset()


def theirs(known: Known, ratings: Trainset, n_factors: int, epochs: int) -> tuple[float, float]:
    """Seconds and hold-out RMSE of Surprise, at a constant step that suits these epochs."""
    svd = SVD(n_factors, n_epochs=epochs, lr_all=0.01, reg_all=PENALTY, random_state=1)
    began = time.perf_counter()
    svd.fit(ratings)
    seconds = time.perf_counter() - began
    pairs = zip(known.test.users.tolist(), known.test.items.tolist(), strict=True)
    return seconds, known.rmse(np.array([svd.predict(u, i).est for u, i in pairs]))


def ours(known: Known, ratings, n_factors: int, epochs: int) -> tuple[float, float]:
    """Seconds, layout included, and hold-out RMSE of duckmf."""
    penalty = PENALTY / float(known.train.values.std())
    options = SvdOptions(
        n_factors=n_factors, epochs=epochs, regularization=penalty, regularization_scaling=1.0
    )
    began = time.perf_counter()
    svd = Svd(ratings, options, Workers(1))
    for number in range(1, epochs + 1):
        svd.epoch(number)
    seconds = time.perf_counter() - began
    return seconds, known.rmse(svd.factors().predict(known.test.users, known.test.items))


def main() -> None:
    """Print one line for each number of factors and order of rows."""
    known = Known.make(6_000, 4_000, 1_000_000)
    ratings = known.ratings()
    n = len(known.train.users)
    orders = {"sorted": np.arange(n), "mixed": np.random.default_rng(1).permutation(n)}
    trainsets = {name: trainset(known, order) for name, order in orders.items()}
    for n_factors in (64, 100):
        rmse = ours(known, ratings, n_factors, EPOCHS)[1]
        for name, their_ratings in trainsets.items():
            their_rmse = theirs(known, their_ratings, n_factors, EPOCHS)[1]
            rounds = np.empty((ROUNDS, 2))
            for row in rounds:
                row[0] = theirs(known, their_ratings, n_factors, 2)[0] / 2
                row[1] = ours(known, ratings, n_factors, EPOCHS)[0] / EPOCHS
            seconds, ratio = np.median(rounds, axis=0), np.median(rounds[:, 0] / rounds[:, 1])
            print(
                f"{n_factors:3} factors, {name:6} rows: Surprise {seconds[0]:.3f} s an epoch,"
                f" svd {seconds[1]:.4f} s, {ratio:.1f} times;"
                f" RMSE after {EPOCHS} epochs {their_rmse:.4f} and {rmse:.4f}"
            )


if __name__ == "__main__":
    main()
