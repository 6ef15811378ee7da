"""Bayesian matrix factorization of ratings, by variational inference.

Model:      r(u, i) = mu + b_u + b_i + <p_u, q_i> + noise, noise ~ N(0, 1 / tau), mu the mean rating
            [p_u b_u] ~ N(m_U, C_U), [q_i b_i] ~ N(m_I, C_I)
            with the hyperpriors m ~ N(0, C), C ~ inverse Wishart around C_0, tau ~ Gamma
Objective:  the evidence lower bound of q = prod_u N(p_u b_u) prod_i N(q_i b_i), full covariances
Update:     all items to their optimum for the users as they stand, then all users for the items
            (kernels/bayes.py); before that m, C and tau, over the n rows with ratings of a side,
            m = sum x / (n + 1)
            C = (sum (x - m)(x - m)' + sum S + m m' + 2 C_0) / (n + 2)
            tau = (ratings + 2) / (expected squared errors + sigma^2)

There is nothing to regularize: the priors are learnt. C_0 keeps them from drowning a weak signal
before it has been found: factor f has the variance v_f, which falls like f^-1/2, so that the first
factors come up whatever happens to the last; sum v_f^2 is BEGIN_FACTORS of sigma^2, the variance of
the ratings, each bias has BEGIN_BIAS of it. The first passes hold that prior and take the other
side as certain, like als.

The model has the same predictions in many coordinates. Before each pass the mean m of the factors
of each side goes into the biases of the other, so that a row that nobody knows has factors of
zero; and factor f is scaled so that C_U,ff = C_I,ff, which speeds the search up.

The S_j of the other side are the mean covariances of classes of rows with about as many ratings:
what is exact costs n_factors^2 numbers a row and gives no better predictions. So the bound is
nearly, not strictly, monotone.

Ratings beyond [q05 - R, q95 + R], R = q95 - q05, are taken as these, so that no factor is spent on
an outlier; nothing happens to stars.

Sources: Lim and Teh 2007, "Variational Bayesian approach to movie rating prediction" (KDD Cup
workshop); the hyperpriors are those of Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix
factorization using Markov chain Monte Carlo", section 3, at their posterior mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from duckmf.algorithms.als import PaddedSide
from duckmf.algorithms.bayes_rows import BayesSide, Matrix
from duckmf.algorithms.explicit import Explicit
from duckmf.errors import TrainingError
from duckmf.kernels.threads import Workers
from duckmf.model.factors import Factors, Fixed, Known, Solved
from duckmf.model.uncertainty import Spread, Uncertainty
from duckmf.options import Options, option
from duckmf.ratings.matrix import Ratings, Rows

MOST_FACTORS, FEWEST_FACTORS = 32, 4  # where n_factors is left out
BEGIN_FACTORS, BEGIN_BIAS = 0.4, 0.25  # the variances of <p, q> and of each bias, of sigma^2
BEGIN_NOISE = 0.5  # that of the noise
LARGEST = 1e15  # standard deviation of ratings whose squares float32 holds
CERTAIN = 1 / 3  # the share of the passes that take the other side as certain


@dataclass(frozen=True, kw_only=True)
class BayesOptions(Options):
    """The options of `algorithm := 'bayes'`."""

    n_factors: int | None = option(
        None, "factors of each user and item; of NULL as many as the ratings bear", low=1, high=1024
    )
    epochs: int = option(15, "passes over items and users", low=1, high=10_000)


class Bayes(Explicit):
    """One training of `algorithm := 'bayes'`."""

    Options = BayesOptions

    def __init__(self, ratings: Ratings, options: BayesOptions, workers: Workers) -> None:
        n_factors = options.n_factors or _n_factors_for(ratings)
        self.options = replace(options, n_factors=n_factors)
        self._workers = workers
        self.ratings, self.low, self.high = clipped(ratings)
        values = self.ratings.by_user.values
        self.mu = float(values.mean(dtype=np.float64))
        sigma = float(values.std(dtype=np.float64))
        self.sigma = sigma if sigma > 1e-6 * abs(self.mu) else 1.0
        if self.sigma > LARGEST:
            raise TrainingError(
                f"bayes squares ratings that differ by {self.sigma:.3g}, which float32 cannot "
                "hold. Scale them."
            )
        self.noise = rounded(self.sigma * math.sqrt(BEGIN_NOISE))
        self._C0 = initial_prior(n_factors, self.sigma)
        begin = Spread(0.0, self._C0[None].astype(np.float32))
        self.users = BayesSide.of(self.ratings.by_user, begin)
        self.items = BayesSide.of(self.ratings.by_item, begin)
        self._certain = math.floor(CERTAIN * options.epochs)
        self._draw(self.users.numbers)

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self.options.epochs

    def start_from(self, known: Known) -> None:
        """Begin with the users, the priors and the noise of a model.

        Raises:
            TrainingError: the model does not say how sure it is.
        """
        if known.uncertainty is None:
            raise TrainingError(
                "the model of warm_start has no uncertainty, which 'bayes' starts from; train "
                "without warm_start."
            )
        sure, users = known.uncertainty, self.users
        there = known.users
        users.numbers.factors[:] = 0
        users.numbers.bias[:] = sure.user_spread.mean
        users.numbers.factors[there, : users.numbers.n_factors] = known.P[there]
        users.numbers.bias[there] = known.user_bias[there] + np.float32(known.mu - self.mu)
        users.spread, self.items.spread = sure.user_spread, sure.item_spread
        self.noise, self._certain = sure.noise, 0

    def epoch(self, number: int) -> float:
        """The priors and the noise, all items, then all users; the RMSE of what results.

        Raises:
            TrainingError: the numbers left the range of float32.
        """
        users, items, ratings = self.users, self.items, self.ratings
        learning = number > self._certain
        if number > self._certain + 1:
            self._learn_priors()
        how = self.mu, self.noise, self._workers
        items.solve(users.numbers, users.spread if learning else None, ratings.by_user.counts, *how)
        users.solve(
            items.numbers,
            items.spread if learning else None,
            ratings.by_item.counts,
            *how,
            is_judged=True,
        )
        return math.sqrt(users.sse / len(ratings))

    def factors(self) -> Factors:
        """mu, the posterior means of biases, P and Q, and how sure they are."""
        users, items = self.users, self.items
        return Factors(
            self.mu,
            users.numbers.bias.copy(),
            items.numbers.bias.copy(),
            users.numbers.unpadded(),
            items.numbers.unpadded(),
            uncertainty=Uncertainty(
                self.noise,
                self.low,
                self.high,
                users.spread,
                items.spread,
                users.stored_variances(),
                items.stored_variances(),
            ),
        )

    @classmethod
    def fold_in(
        cls, fixed: Fixed, options: BayesOptions, workers: Workers
    ) -> Callable[[Rows], Solved]:
        """Each row's posterior."""
        sure = fixed.uncertainty
        assert sure is not None, "whoever folds in checks what the model has learnt"
        other = PaddedSide.of(fixed.factors, fixed.bias)
        own, others = sure.user_spread, sure.item_spread
        if fixed.solved == "items":
            own, others = others, own

        def solve_rows(rows: Rows) -> Solved:
            within = replace(rows, values=np.clip(rows.values, *ends(sure.low, sure.high)))
            this = BayesSide.of(within, own)
            this.solve(other, others, fixed.ratings, fixed.mu, sure.noise, workers)
            return Solved(
                this.numbers.bias, this.numbers.unpadded(), variances=this.stored_variances()
            )

        return solve_rows

    def _learn_priors(self) -> None:
        """m, C and tau for the posteriors as they stand; then the coordinates of the next pass."""
        users, items = self.users.moments, self.items.moments
        assert users is not None
        assert items is not None
        n, sigma = len(self.ratings), self.sigma
        self.noise = rounded(math.sqrt((users.residuals + sigma**2) / (n + 2)))
        (m_u, C_u), (m_i, C_i) = (self._prior(side) for side in (self.users, self.items))
        # b_u takes <p_u - m_u, m_i>, b_i takes <m_u, q_i>
        T_u, T_i = moved(m_i[:-1]), moved(m_u[:-1])
        C_u, C_i = T_u @ C_u @ T_u.T, T_i @ C_i @ T_i.T
        scale = (C_i.diagonal()[:-1] / C_u.diagonal()[:-1]) ** 0.25
        by, inversely = np.append(scale, 1), np.append(1 / scale, 1)
        C_u, C_i = C_u * np.outer(by, by), C_i * np.outer(inversely, inversely)
        P, bu = self.users.numbers.factors[:, : len(scale)], self.users.numbers.bias
        P -= m_u[:-1].astype(np.float32)
        bu += P @ m_i[:-1].astype(np.float32)
        P *= scale.astype(np.float32)
        T = by[:, None] * T_u
        covariances = T @ self.users.spread.covariances.astype(np.float64) @ T.T
        covariances[0] = C_u
        self.users.spread = Spread(rounded(m_u[-1]), covariances.astype(np.float32))
        mean = m_i[-1] + m_u[:-1] @ m_i[:-1]
        self.items.spread = Spread(rounded(mean), C_i[None].astype(np.float32))

    def _prior(self, side: BayesSide) -> tuple[Matrix, Matrix]:
        """m and C of one side."""
        found = side.moments
        assert found is not None
        n, center = found.n, np.append(np.zeros(len(found.first) - 1), side.spread.mean)
        m = (found.first + n * center) / (n + 1)
        d = m - center
        crossed = np.outer(d, found.first)
        scatter = found.second - crossed - crossed.T + n * np.outer(d, d)
        C = (scatter + found.spread + np.outer(m, m) + 2 * self._C0) / (n + 2)
        return m, C

    def _draw(self, side: PaddedSide) -> None:
        rng = np.random.default_rng(self.options.seed)
        drawn = side.factors[:, : side.n_factors]
        drawn[:] = rng.standard_normal(drawn.shape, np.float32)
        drawn *= np.float32(0.1 * math.sqrt(self.sigma))


def clipped(ratings: Ratings) -> tuple[Ratings, float, float]:
    """The ratings within [q05 - R, q95 + R], and the ends of that; all of them where R is zero."""
    values = ratings.by_user.values
    least, most = float(values.min()), float(values.max())
    q05, q95 = (float(q) for q in np.quantile(values, (0.05, 0.95)))
    if q95 > q05:
        least, most = max(least, 2 * q05 - q95), min(most, 2 * q95 - q05)
    low, high = rounded(least), rounded(most)
    if values.min() >= low and values.max() <= high:
        return ratings, low, high
    by_user, by_item = (
        replace(rows, values=np.clip(rows.values, *ends(low, high)))
        for rows in (ratings.by_user, ratings.by_item)
    )
    return Ratings(by_user, by_item), low, high


def ends(low: float, high: float) -> tuple[np.float32, np.float32]:
    """Both as the ratings are stored."""
    return np.float32(low), np.float32(high)


def rounded(number: float) -> float:
    """As a model stores it: rows that are folded in get the same numbers as in training."""
    return float(np.float32(number))


def initial_prior(n_factors: int, sigma: float) -> Matrix:
    """C_0: diag(v_1 ... v_n, the variance of a bias)."""
    v = np.arange(1, n_factors + 1) ** -0.5
    v *= math.sqrt(BEGIN_FACTORS / np.square(v).sum())
    return np.diag(np.append(sigma * v, sigma**2 * BEGIN_BIAS))


def moved(mean: Matrix) -> Matrix:
    """T: [p b] to [p b + <mean, p>]."""
    T = np.eye(len(mean) + 1)
    T[-1, :-1] = mean
    return T


def _n_factors_for(ratings: Ratings) -> int:
    """2 ratings of each row to a factor, within limits."""
    rows = len(ratings.by_user) + len(ratings.by_item)
    return min(MOST_FACTORS, max(FEWEST_FACTORS, round(2 * len(ratings) / rows)))
