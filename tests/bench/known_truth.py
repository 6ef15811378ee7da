"""Synthetic ratings of a known truth: few very active users, few very popular items, half stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.threads import Workers
from duckmf.ratings.matrix import Ratings, Triples, canonical

RANK = 32


@dataclass(frozen=True)
class Known:
    """Ratings and a random 2 % of them, held out."""

    n_users: int
    n_items: int
    train: Triples
    test: Triples

    @classmethod
    def make(cls, n_users: int, n_items: int, n: int, noise: float = 0.6, seed: int = 0) -> Known:
        """r = 3.5 + b_u + b_i + <p_u, q_i> + noise, to half stars from 0.5 to 5; n or a few less.

        Deviations: biases 0.4 and 0.5, interaction 0.5. Activity is lognormal, popularity falls
        with the power 1.1 of the rank.
        """
        rng = np.random.default_rng(seed)
        users, items = random_pairs(n_users, n_items, n, rng)
        P = rng.standard_normal((n_users, RANK), np.float32)
        Q = rng.standard_normal((n_items, RANK), np.float32)
        values = rng.normal(3.5, noise, len(users)).astype(np.float32)
        values += rng.normal(0, 0.4, n_users).astype(np.float32)[users]
        values += rng.normal(0, 0.5, n_items).astype(np.float32)[items]
        for begin in range(0, len(users), 1 << 20):
            some = slice(begin, begin + (1 << 20))
            product = np.einsum("nf,nf->n", P[users[some]], Q[items[some]])
            values[some] += np.float32(0.5 / np.sqrt(RANK)) * product
        values = np.clip(np.round(2 * values) / 2, 0.5, 5)
        triples, held_out = Triples(users, items, values), rng.random(len(users)) < 0.02
        return cls(n_users, n_items, triples.select(~held_out), triples.select(held_out))

    def ratings(self) -> Ratings:
        """What a training is given."""
        return canonical(self.train, self.n_users, self.n_items, "mean", Workers(2))[0]

    def rmse(self, predicted: NDArray[np.float32]) -> float:
        """Of predictions of the held-out ratings, clipped to the scale."""
        return float(np.sqrt(np.mean((np.clip(predicted, 0.5, 5) - self.test.values) ** 2)))


def random_pairs(
    n_users: int, n_items: int, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    activity = rng.lognormal(0, 1.1, n_users)
    popularity = rng.permutation((np.arange(n_items) + 21.0) ** -1.1)
    drawn = int(1.25 * n)
    users = _draw(activity, drawn, rng)
    pairs = np.unique(users * n_items + _draw(popularity, drawn, rng))
    if len(pairs) > n:
        pairs = np.sort(rng.choice(pairs, n, replace=False, shuffle=False))
    return (pairs // n_items).astype(np.int32), (pairs % n_items).astype(np.int32)


def _draw(weights: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    cumulated = np.cumsum(weights)
    codes = np.searchsorted(cumulated, rng.random(n) * cumulated[-1])
    return np.minimum(codes, len(weights) - 1)
