"""`bpr` against implicit's BayesianPersonalizedRanking: MovieLens-20M in shape, two threads each.

Both draw negatives in proportion to the positives of items, leave a triple out whose negative was
seen, and take the same step, penalty, number of factors and number of triples an epoch. Rounds
alternate between the two; what counts is the median of the rounds' ratios. A whole training of
`bpr`, its layout included, is 20 epochs. implicit trains 3, whose mean time, without its setup, is
taken 20 times.
The AUC of both is that of the same held-out pairs with the same negatives, drawn as in training, in
proportion to the positives of items, among those that the user did not choose; positives are the
ratings of at least 4, of a known truth or of MovieLens latest-small.
Run in an environment with duckmf and implicit: python -m tests.bench.bpr_vs_implicit speed
"""

from __future__ import annotations

import argparse
import time

import duckdb
import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

from duckmf.algorithms.bpr import Bpr, BprOptions
from duckmf.demo import examples
from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings, Rows, Triples, canonical
from tests.bench.known_truth import Known, random_pairs

STEP, PENALTY = 0.05, 0.002
EPOCHS = 20
THREADS = 2
WORKERS = Workers(THREADS)


def options(n_factors: int, epochs: int) -> BprOptions:
    """What both are given."""
    return BprOptions(
        n_factors=n_factors,
        epochs=epochs,
        learning_rate=STEP,
        learning_rate_decay=0.0,
        regularization=PENALTY,
        negative_sampling="popularity",
    )


def implicit(n_factors: int, epochs: int) -> BayesianPersonalizedRanking:
    """The same of implicit."""
    return BayesianPersonalizedRanking(
        factors=n_factors,
        iterations=epochs,
        learning_rate=STEP,
        regularization=PENALTY,
        num_threads=THREADS,
        random_state=1,
    )


def matrix(rows: Rows, n_items: int) -> csr_matrix:
    """Rows as implicit takes them."""
    return csr_matrix((rows.values, rows.indices, rows.indptr), (len(rows), n_items))


def seconds(step, *arguments) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    step(*arguments)
    return time.perf_counter() - began


def ours(ratings: Ratings, n_factors: int, epochs: int) -> None:
    """A whole training."""
    bpr = Bpr(ratings, options(n_factors, epochs), WORKERS)
    for number in range(1, epochs + 1):
        bpr.epoch(number)


def theirs_of(
    users: csr_matrix, n_factors: int, epochs: int, callback=None
) -> BayesianPersonalizedRanking:
    """A whole training of implicit."""
    model = implicit(n_factors, epochs)
    model.fit(users, show_progress=False, callback=callback)
    return model


def speed(n_factors: int, rounds: int) -> None:
    """Print the seconds of 20 epochs of both."""
    pairs = random_pairs(138_000, 27_000, 20_000_000, np.random.default_rng(0))
    triples = Triples(*pairs, np.ones(len(pairs[0]), np.float32))
    ratings = canonical(triples, 138_000, 27_000, "sum", WORKERS)[0]
    users = matrix(ratings.by_user, 27_000)
    few = canonical(triples.select(np.arange(1000)), 138_000, 27_000, "sum", WORKERS)[0]
    ours(few, n_factors, 1)
    times = np.empty((rounds, 2))
    for row in times:
        epochs: list[float] = []
        theirs_of(users, n_factors, 3, lambda _, elapsed, *rest, to=epochs: to.append(elapsed))
        row[:] = EPOCHS * np.mean(epochs), seconds(ours, ratings, n_factors, EPOCHS)
    theirs, own = np.median(times, axis=0)
    ratio = np.median(times[:, 0] / times[:, 1])
    print(
        f"{n_factors} factors, {len(ratings):,} positives, {EPOCHS} epochs:"
        f" implicit {theirs:.1f} s, bpr {own:.2f} s, {ratio:.1f} times"
    )


def auc(
    scores_of, users: np.ndarray, positives: np.ndarray, negatives: np.ndarray, valid: np.ndarray
) -> float:
    """Share of the (positive, negative) pairs in the right order; ties count half."""
    difference = scores_of(users, positives) - scores_of(users, negatives)
    return float(np.mean((np.sign(difference[valid]) + 1) / 2))


def movielens() -> tuple[Triples, Triples]:
    """Ratings of at least 4, and a random 20 % of them."""
    path = examples() / "data" / "ml-latest-small" / "ratings.parquet"
    columns = duckdb.sql(f"from '{path}' where rating >= 4 order by user_id, movie_id").fetchnumpy()
    users, items = (
        np.unique(columns[name], return_inverse=True)[1].astype(np.int32)
        for name in ("user_id", "movie_id")
    )
    triples = Triples(users, items, np.ones(len(users), np.float32))
    held_out = np.random.default_rng(0).random(len(users)) < 0.2
    return triples.select(~held_out), triples.select(held_out)


def known(n: int) -> tuple[Triples, Triples]:
    """The same of a known truth, with 2 % held out."""
    truth = Known.make(20_000, 8_000, n)
    train, test = truth.train, truth.test
    return train.select(train.values >= 4), test.select(test.values >= 4)


def quality(train: Triples, test: Triples, n_factors: int) -> None:
    """Print the AUC of both after some epochs."""
    n_users = 1 + int(max(train.users.max(), test.users.max()))
    n_items = 1 + int(max(train.items.max(), test.items.max()))
    ratings = canonical(train, n_users, n_items, "sum", WORKERS)[0]
    chosen = matrix(ratings.by_user, n_items)
    users, positives = (np.repeat(side, 10) for side in (test.users, test.items))
    negatives = np.random.default_rng(2).choice(train.items, len(users))
    known_pairs = chosen + matrix(
        canonical(test, n_users, n_items, "sum", WORKERS)[0].by_user, n_items
    )
    pairs = (users, positives, negatives, np.asarray(known_pairs[users, negatives] == 0).ravel())
    bpr = Bpr(ratings, options(n_factors, EPOCHS), WORKERS)
    print(f"{n_factors} factors, {len(ratings):,} positives; epochs, AUC of implicit and bpr")
    for number in range(1, EPOCHS + 1):
        bpr.epoch(number)
        if number not in (1, 2, 5, 10, 20):
            continue
        theirs = theirs_of(chosen, n_factors, number)
        P, Q = theirs.user_factors, theirs.item_factors
        their_auc = auc(lambda u, i, P=P, Q=Q: np.einsum("nf,nf->n", P[u], Q[i]), *pairs)
        print(f"{number:3} {their_auc:.4f} {auc(bpr.factors().predict, *pairs):.4f}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("speed", "known", "movielens"))
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ratings", type=int, default=2_000_000)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.factors, given.rounds)
    else:
        data = known(given.ratings) if given.what == "known" else movielens()
        quality(*data, given.factors)


if __name__ == "__main__":
    main()
