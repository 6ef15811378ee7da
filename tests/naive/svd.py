"""The slow, obvious twin of `svd`: float64, one rating at a time, straight from the formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Problem:
    """Biased matrix factorization with a penalty for each rating, and where it stands."""

    bu: np.ndarray
    bi: np.ndarray
    P: np.ndarray
    Q: np.ndarray
    reg_u: np.ndarray  # what one rating of each user adds to the penalty of its factors
    reg_i: np.ndarray
    reg_bu: np.ndarray
    reg_bi: np.ndarray

    def error(self, u, i, r):
        return r - self.bu[u] - self.bi[i] - self.P[u] @ self.Q[i]

    def loss(self, u, i, r):
        """What one rating adds to the objective, halved, so that its gradient is without a 2."""
        penalty = (
            self.reg_u[u] * self.P[u] @ self.P[u]
            + self.reg_i[i] * self.Q[i] @ self.Q[i]
            + self.reg_bu[u] * self.bu[u] ** 2
            + self.reg_bi[i] * self.bi[i] ** 2
        )
        return (self.error(u, i, r) ** 2 + penalty) / 2

    def step(self, u, i, r, lr_u, lr_i):
        """Step down the gradient, shortened by g; returns the squared error before."""
        e, p, q = self.error(u, i, r), self.P[u].copy(), self.Q[i].copy()
        g = 1 / (1 + lr_u * (1 + q @ q) + lr_i * (1 + p @ p))
        self.bu[u] += g * lr_u * (e - self.reg_bu[u] * self.bu[u])
        self.bi[i] += g * lr_i * (e - self.reg_bi[i] * self.bi[i])
        self.P[u] += g * lr_u * (e * q - self.reg_u[u] * p)
        self.Q[i] += g * lr_i * (e * p - self.reg_i[i] * q)
        return e * e
