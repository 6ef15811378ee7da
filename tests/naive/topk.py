"""A slow twin of the top-k kernel: every score, a whole sort."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def product(p: NDArray[np.float32], Q: NDArray[np.float32], fused: bool) -> NDArray[np.float32]:
    """<p, q> for every row of Q, summed one term after the other in float32.

    A fused multiply-add rounds once; float64 holds a product of two float32 without rounding.
    """
    total = np.zeros(len(Q), np.float32)
    for x, y in zip(p, Q.T, strict=True):
        total = (np.float64(x) * y + total).astype(np.float32) if fused else x * y + total
    return total


def scores(
    weight: np.float32,
    p: NDArray[np.float32],
    weights: NDArray[np.float32],
    Q: NDArray[np.float32],
    cosine: bool,
    fused: bool,
) -> NDArray[np.float32]:
    """A user's score of every item: (mu + b_u) + b_i + <p, q_i>, or the cosine of p and q_i."""
    products = product(p, Q, fused)
    if not cosine:
        return (weight + weights) + products
    lengths = np.sqrt(np.float64(weight)) * np.sqrt(weights.astype(np.float64))
    return np.clip(products / lengths, -1, 1).astype(np.float32)


def top(
    scores: NDArray[np.float32], places: NDArray[np.int32], seen: NDArray[np.int32], k: int
) -> NDArray[np.int64]:
    """The best k items that are not seen; of equal score, by place."""
    order = np.lexsort((places, -scores))
    return order[~np.isin(order, seen)][:k]
