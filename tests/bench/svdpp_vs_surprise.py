"""`svdpp` against Surprise's SVDpp: 1 M ratings, one thread each, the same number of factors.

One epoch of Surprise takes 10 seconds to a minute, by whether it keeps each user's items in arrays
of its own (`cache_ratings`), so each way is run once, between two trainings of ours, of whose epochs
the median counts, with all that an epoch does. Seconds are those of the processor.
Run in an environment with duckmf and scikit-surprise: python -m tests.bench.svdpp_vs_surprise
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from surprise import Dataset, Reader, SVDpp, Trainset

from duckmf.algorithms.svdpp import Svdpp, SvdppOptions
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings
from tests.bench.known_truth import Known

EPOCHS = 20


def trainset(known: Known) -> Trainset:
    """The ratings in Surprise's own structure."""
    columns = (known.train.users, known.train.items, known.train.values)
    frame = pd.DataFrame(dict(enumerate(columns)))
    return Dataset.load_from_df(frame, Reader(rating_scale=(0.5, 5))).build_full_trainset()


def theirs(ratings: Trainset, n_factors: int, cached: bool) -> float:
    """Seconds of one epoch of Surprise, drawing the factors included."""
    svdpp = SVDpp(n_factors, n_epochs=1, random_state=1, cache_ratings=cached)
    began = time.process_time()
    svdpp.fit(ratings)
    return time.process_time() - began


def ours(ratings: Ratings, n_factors: int) -> list[float]:
    """Seconds of each epoch of duckmf."""
    svdpp = Svdpp(ratings, SvdppOptions(n_factors=n_factors, epochs=EPOCHS), Workers(1))
    seconds = []
    for number in range(1, EPOCHS + 1):
        began = time.process_time()
        svdpp.epoch(number)
        seconds.append(time.process_time() - began)
    return seconds


def main() -> None:
    """Print one line for each number of factors and way of Surprise."""
    known = Known.make(6_000, 4_000, 1_000_000)
    ratings, their_ratings = known.ratings(), trainset(known)
    for n_factors, cached in ((20, False), (20, True), (64, True)):
        before = ours(ratings, n_factors)
        them = theirs(their_ratings, n_factors, cached)
        us = float(np.median(before + ours(ratings, n_factors)))
        print(
            f"{n_factors} factors: Surprise {them:.1f} s an epoch ({cached=}),"
            f" svdpp {us:.4f} s, {them / us:.0f} times"
        )


if __name__ == "__main__":
    main()
