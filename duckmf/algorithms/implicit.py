"""What the algorithms that rank items have in common."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors
from duckmf.options import Options
from duckmf.ratings.matrix import Ratings, Rows

# The validation loss looks at so many users and at lists so long.
SAMPLE = 1000
LIST = 10
# Users scored at a time.
BLOCK = 250


class Implicit:
    """An algorithm that learns from strengths, and is judged by its lists."""

    feedback: ClassVar[str] = "implicit"
    compares: ClassVar[bool] = False
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
        gains = [
            gain
            for begin in range(0, len(some), BLOCK)
            for gain in gains_of(factors, seen, held_out, some[begin : begin + BLOCK], workers)
        ]
        return 1.0 - float(np.mean(gains)) if gains else 1.0


def some_users(seen: Rows, held_out: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most SAMPLE of the users with items in both, by code."""
    users = np.flatnonzero((held_out.counts > 0) & (seen.counts > 0))
    return np.sort(rng.permutation(users)[:SAMPLE])


def gains_of(
    factors: Factors, seen: Rows, held_out: Rows, users: NDArray[np.int64], workers: Workers
) -> list[float]:
    """NDCG@10 (Jarvelin and Kekalainen 2002) of each user who has relevant items."""
    assert factors.P is not None
    assert factors.Q is not None
    scores = factors.P[users] @ factors.Q.T
    if factors.item_bias is not None:
        scores += factors.item_bias

    def gain(line: int, user: int) -> float | None:
        candidates, relevant = scores[line], _relevant(held_out, user)
        candidates[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = -np.inf
        return _gain(_best(candidates), relevant) if len(relevant) else None

    gains = workers.map(gain, enumerate(users.tolist()))
    return [gain for gain in gains if gain is not None]


def _best(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The items of the highest scores, best first; of equal ones, the first."""
    length = min(LIST, len(scores))
    least = np.partition(scores, len(scores) - length)[len(scores) - length]
    candidates = np.flatnonzero(scores >= least)
    order = np.argsort(-scores[candidates], kind="stable")[:length]
    best: NDArray[np.int64] = candidates[order]
    return best


def _relevant(held_out: Rows, user: int) -> NDArray[np.int32]:
    cells = slice(held_out.indptr[user], held_out.indptr[user + 1])
    return held_out.indices[cells][held_out.values[cells] > 0]


def _gain(items: NDArray[np.int64], relevant: NDArray[np.int32]) -> float:
    discounts = 1.0 / np.log2(np.arange(2, len(items) + 2))
    return float(discounts[np.isin(items, relevant)].sum() / discounts[: len(relevant)].sum())
