"""What the algorithms that rank items have in common."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from duckmf.model import Factors
from duckmf.options import Options
from duckmf.ratings import Ratings, Rows
from duckmf.threads import Workers

# The validation loss looks at so many users and at lists so long.
SAMPLE = 1000
LIST = 10
# Users scored at a time.
BLOCK = 32


class Implicit:
    """An algorithm that learns from strengths, and is judged by its lists."""

    feedback: ClassVar[str] = "implicit"
    options: Options
    ratings: Ratings

    def factors(self) -> Factors:
        """The numbers as they stand, by user and item code."""
        raise NotImplementedError

    def validation_loss(self, held_out: Rows, workers: Workers) -> float:
        """1 - NDCG@10 over all items but those of training, for at most 1000 users.

        The users are drawn once for a seed, among those with items in training and in `held_out`;
        relevant are their held-out items of a strength above zero.
        """
        seen = self.ratings.by_user
        some = some_users(seen, held_out, np.random.default_rng(self.options.seed))
        factors = self.factors()
        blocks = [(some[begin : begin + BLOCK],) for begin in range(0, len(some), BLOCK)]
        gains = workers.map(lambda block: ndcg(factors, seen, held_out, block), blocks)
        found = np.concatenate([np.zeros(0), *gains])
        return 1.0 - float(np.nansum(found)) / max(1, int(np.count_nonzero(~np.isnan(found))))


def some_users(seen: Rows, held_out: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most SAMPLE of the users with items in both, by code."""
    users = np.flatnonzero((held_out.counts > 0) & (seen.counts > 0))
    return np.sort(rng.permutation(users)[:SAMPLE])


def ndcg(
    factors: Factors, seen: Rows, held_out: Rows, users: NDArray[np.int64]
) -> NDArray[np.float64]:
    """NDCG@10 of each user (Jarvelin and Kekalainen 2002); NaN for one without relevant items."""
    assert factors.P is not None
    assert factors.Q is not None
    scores = factors.P[users] @ factors.Q.T
    if factors.item_bias is not None:
        scores += factors.item_bias
    for line, user in zip(scores, users, strict=True):
        line[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = -np.inf
    length = min(LIST, scores.shape[1])
    best = np.argpartition(-scores, length - 1, axis=1)[:, :length]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    lists = np.take_along_axis(best, order, axis=1)
    discounts = 1.0 / np.log2(np.arange(2, length + 2))
    return np.array(
        [_gain(row, _relevant(held_out, u), discounts) for row, u in zip(lists, users, strict=True)]
    )


def _relevant(held_out: Rows, user: int) -> NDArray[np.int32]:
    cells = slice(held_out.indptr[user], held_out.indptr[user + 1])
    return held_out.indices[cells][held_out.values[cells] > 0]


def _gain(
    items: NDArray[np.int64], relevant: NDArray[np.int32], discounts: NDArray[np.float64]
) -> float:
    if len(relevant) == 0:
        return float("nan")
    return float(discounts[np.isin(items, relevant)].sum() / discounts[: len(relevant)].sum())
