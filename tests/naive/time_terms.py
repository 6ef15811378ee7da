"""The slow, obvious twin of the time terms: float64, dictionaries, straight from the formulas."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

DAY = 86400.0


def dev(t, center, t0, t1, beta):
    days = (min(max(t, t0), t1) - center) / DAY
    return float(np.sign(days)) * abs(days) ** beta


def bin_of(t, t0, t1, n):
    return 0 if t0 == t1 else min(n - 1, int(n * (min(max(t, t0), t1) - t0) / (t1 - t0)))


def day_of(t):
    return int(np.floor(t / DAY))


def shrunk(groups, ridge):
    """b_g that minimize sum (e - b_g)^2 + ridge sum b_g^2 with sum n_g b_g = 0, by its KKT system."""
    names = sorted(groups)
    n = np.array([len(groups[g]) for g in names], float)
    s = np.array([sum(groups[g]) for g in names], float)
    kkt = np.zeros((len(n) + 1, len(n) + 1))
    kkt[:-1, :-1] = np.diag(n + ridge)
    kkt[:-1, -1] = kkt[-1, :-1] = n
    solution = np.linalg.solve(kkt, np.append(s, 0.0))
    return dict(zip(names, solution[:-1], strict=True))


class NaiveTimeTerms:
    """The time terms of ratings (u, i, t), solved against given errors one part after the other."""

    def __init__(self, users, items, times, bins, beta, ridge):
        self.users, self.items, self.times, self.ridge = users, items, times, ridge
        self.t0, self.t1 = min(times), max(times)
        of_user = defaultdict(list)
        for u, t in zip(users, times, strict=True):
            of_user[u].append(t)
        self.centers = {u: sum(own) / len(own) for u, own in of_user.items()}
        self.dev = [
            dev(t, self.centers[u], self.t0, self.t1, beta)
            for u, t in zip(users, times, strict=True)
        ]
        self.usual = sum(d * d for d in self.dev) / len(self.dev)
        self.bins = [bin_of(t, self.t0, self.t1, bins) for t in times]
        self.days = [day_of(t) for t in times]
        self.bin_bias = defaultdict(float)
        self.drift = defaultdict(float)
        self.day_bias = defaultdict(float)

    def term(self, c):
        u, i = self.users[c], self.items[c]
        return (
            self.bin_bias[i, self.bins[c]]
            + self.drift[u] * self.dev[c]
            + self.day_bias[u, self.days[c]]
        )

    def solve_bins(self, left):
        """left: the ratings without everything but the time terms."""
        self._grouped(left, self.bin_bias, self.items, self.bins)

    def solve_days(self, left):
        self._grouped(left, self.day_bias, self.users, self.days)

    def _grouped(self, left, bias, rows, groups):
        of_row = defaultdict(lambda: defaultdict(list))
        for c, (row, g) in enumerate(zip(rows, groups, strict=True)):
            of_row[row][g].append(left[c] - self.term(c) + bias[row, g])
        for row, own in of_row.items():
            for g, b in shrunk(own, self.ridge).items():
                bias[row, g] = b

    def solve_drift(self, left):
        slope, squares = defaultdict(float), defaultdict(float)
        for c, u in enumerate(self.users):
            e = left[c] - self.term(c) + self.drift[u] * self.dev[c]
            slope[u] += e * self.dev[c]
            squares[u] += self.dev[c] ** 2
        for u in slope:
            self.drift[u] = slope[u] / (squares[u] + self.ridge * self.usual)
