"""The slow, obvious twin of `svdpp`: float64, every y_j moved at every rating, from the formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Problem:
    """SVD++ with a penalty for each rating, and where it stands."""

    bu: np.ndarray
    bi: np.ndarray
    P: np.ndarray
    Q: np.ndarray
    Y: np.ndarray
    rated: list[np.ndarray]  # N(u): the items of each user
    reg_u: np.ndarray  # what one rating of each user adds to the penalty of its factors
    reg_i: np.ndarray
    reg_bu: np.ndarray
    reg_bi: np.ndarray
    reg_y: np.ndarray  # ... and of each y_j of its items
    A: np.ndarray | None = None  # the drift of P
    reg_a: np.ndarray | None = None

    def z(self, u):
        return self.Y[self.rated[u]].sum(axis=0) / np.sqrt(len(self.rated[u]))

    def w(self, u, t):
        drift = 0 if self.A is None else t * self.A[u]
        return self.P[u] + self.z(u) + drift

    def error(self, u, i, r, t=0):
        return r - self.bu[u] - self.bi[i] - self.w(u, t) @ self.Q[i]

    def loss(self, u, i, r, t=0):
        """What one rating adds to the objective, halved, so that its gradient is without a 2."""
        penalty = (
            self.reg_u[u] * self.P[u] @ self.P[u]
            + self.reg_i[i] * self.Q[i] @ self.Q[i]
            + self.reg_bu[u] * self.bu[u] ** 2
            + self.reg_bi[i] * self.bi[i] ** 2
            + self.reg_y[u] * np.sum(self.Y[self.rated[u]] ** 2)
        )
        if self.A is not None:
            penalty += self.reg_a[u] * self.A[u] @ self.A[u]
        return (self.error(u, i, r, t) ** 2 + penalty) / 2

    def step(self, u, i, r, lr_u, lr_i, shortening=1.0, t=0):
        """Step down the gradient, shortened by g; returns the squared error before."""
        e, p, q, w = self.error(u, i, r, t), self.P[u].copy(), self.Q[i].copy(), self.w(u, t)
        g = 1 / (1 + shortening * (lr_u * (1 + (2 + t * t) * q @ q) + lr_i * (1 + w @ w)))
        self.bu[u] += g * lr_u * (e - self.reg_bu[u] * self.bu[u])
        self.bi[i] += g * lr_i * (e - self.reg_bi[i] * self.bi[i])
        self.P[u] += g * lr_u * (e * q - self.reg_u[u] * p)
        self.Q[i] += g * lr_i * (e * w - self.reg_i[i] * q)
        if self.A is not None:
            self.A[u] += g * lr_u * (e * t * q - self.reg_a[u] * self.A[u])
        for j in self.rated[u]:
            slope = e * q / np.sqrt(len(self.rated[u])) - self.reg_y[u] * self.Y[j]
            self.Y[j] += g * lr_u * slope
        return e * e
