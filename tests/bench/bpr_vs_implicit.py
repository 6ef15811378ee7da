"""`bpr` against implicit's BayesianPersonalizedRanking: MovieLens-20M in shape, two threads each.

Both draw negatives in proportion to the positives of items, leave a triple out whose negative was
seen, and take the same step, penalty, number of factors and number of triples an epoch. Rounds
alternate between the two; what counts is the median of the rounds' ratios. implicit trains one
epoch a round and its time is taken times the epochs of `bpr`, whose time includes the layout.
The AUC of both is that of the same held-out pairs and the same negatives, drawn evenly among the
items that the user did not choose; positives are the ratings of at least 4 of a known truth.
Run in an environment with duckmf and implicit: python -m tests.bench.bpr_vs_implicit speed
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

from duckmf.algorithms.bpr import Bpr, BprOptions
from duckmf.ratings import Ratings, Rows, Triples, canonical
from duckmf.threads import Workers
from tests.bench.known_truth import Known, _pairs

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


def speed(n_factors: int, rounds: int) -> None:
    """Print the seconds of 20 epochs of both."""
    pairs = _pairs(138_000, 27_000, 20_000_000, np.random.default_rng(0))
    triples = Triples(*pairs, np.ones(len(pairs[0]), np.float32))
    ratings = canonical(triples, 138_000, 27_000, "sum", WORKERS)[0]
    users = matrix(ratings.by_user, 27_000)
    few = canonical(triples.select(np.arange(1000)), 138_000, 27_000, "sum", WORKERS)[0]
    ours(few, n_factors, 1)
    times = np.array(
        [
            (
                EPOCHS * seconds(lambda: implicit(n_factors, 1).fit(users, show_progress=False)),
                seconds(ours, ratings, n_factors, EPOCHS),
            )
            for _ in range(rounds)
        ]
    )
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


def quality(n_factors: int, n: int) -> None:
    """Print the AUC of both after some epochs."""
    known = Known.make(20_000, 8_000, n)
    liked = [part.select(part.values >= 4) for part in (known.train, known.test)]
    ratings = canonical(liked[0], known.n_users, known.n_items, "sum", WORKERS)[0]
    users, positives = liked[1].users, liked[1].items
    negatives = np.random.default_rng(2).integers(known.n_items, size=len(users), dtype=np.int32)
    chosen = matrix(ratings.by_user, known.n_items)
    valid = np.asarray(chosen[users, negatives] == 0).ravel() & (negatives != positives)
    pairs = (users, positives, negatives, valid)
    bpr = Bpr(ratings, options(n_factors, EPOCHS), WORKERS)
    print(f"{n_factors} factors, {len(ratings):,} positives; epochs, AUC of implicit and bpr")
    for number in range(1, EPOCHS + 1):
        bpr.epoch(number)
        if number not in (1, 2, 5, 10, 20):
            continue
        theirs = implicit(n_factors, number)
        theirs.fit(chosen, show_progress=False)
        P, Q = theirs.user_factors, theirs.item_factors
        their_auc = auc(lambda u, i, P=P, Q=Q: np.einsum("nf,nf->n", P[u], Q[i]), *pairs)
        print(f"{number:3} {their_auc:.4f} {auc(bpr.factors().predict, *pairs):.4f}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("speed", "quality"))
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ratings", type=int, default=2_000_000)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.factors, given.rounds)
    else:
        quality(given.factors, given.ratings)


if __name__ == "__main__":
    main()
