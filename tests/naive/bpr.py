"""The slow, obvious twin of `bpr`: float64, one triple at a time, straight from the formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class Chance:
    """Marsaglia's multiply-with-carry generator, as carry and x."""

    def __init__(self, state):
        self.carry, self.x = divmod(int(state), 2**32)

    def draw(self):
        """The next 31 bits."""
        self.carry, self.x = divmod(698769069 * self.x + self.carry, 2**32)
        return self.x % 2**31


@dataclass
class Problem:
    """A ranking model, and where it stands."""

    bi: np.ndarray
    P: np.ndarray
    Q: np.ndarray
    reg_u: float
    reg_i: float
    reg_b: float

    def margin(self, u, i, j):
        return self.bi[i] - self.bi[j] + self.P[u] @ (self.Q[i] - self.Q[j])

    def loss(self, u, i, j):
        """-ln sigma of the margin."""
        return np.log1p(np.exp(-self.margin(u, i, j)))

    def objective(self, u, i, j):
        """What one triple adds."""
        penalty = (
            self.reg_u * self.P[u] @ self.P[u]
            + self.reg_i * (self.Q[i] @ self.Q[i] + self.Q[j] @ self.Q[j])
            + self.reg_b * (self.bi[i] ** 2 + self.bi[j] ** 2)
        )
        return self.loss(u, i, j) + penalty / 2

    def step(self, u, i, j, lr):
        """Step down the gradient; returns the loss before."""
        loss, z = self.loss(u, i, j), 1 / (1 + np.exp(self.margin(u, i, j)))
        p, qi, qj = self.P[u].copy(), self.Q[i].copy(), self.Q[j].copy()
        self.P[u] += lr * (z * (qi - qj) - self.reg_u * p)
        self.Q[i] += lr * (z * p - self.reg_i * qi)
        self.Q[j] += lr * (-z * p - self.reg_i * qj)
        self.bi[i] += lr * (z - self.reg_b * self.bi[i])
        self.bi[j] += lr * (-z - self.reg_b * self.bi[j])
        return loss


def triples(visit, state, users, items, kept, limits, aliases, chosen):
    """The triples of a visit, whose sides are (begin, end, first row, rows, chance of the other, ...).

    chosen: the set of all pairs (user row, item row) that are positives.
    """
    chance = Chance(state)
    for n in range(max(end - begin for begin, end, *_ in visit)):
        for side, (begin, end, _, _, other, _) in enumerate(visit):
            if begin + n >= end:
                continue
            u, i = users[begin + n], items[begin + n]
            if chance.draw() > kept[i]:
                continue
            _, _, first, size, *_ = visit[1 - side if chance.draw() < other else side]
            j = int(first + chance.draw() * int(size) // 2**31)
            if chance.draw() > limits[j]:
                j = aliases[j]
            if (u, j) not in chosen:
                yield u, i, j
