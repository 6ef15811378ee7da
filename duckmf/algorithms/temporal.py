"""Time terms of the models that predict ratings, for any of them.

Model:      r(u, i, t) = r(u, i) + bin_bias[i, bin(t)] + drift_u dev_u(t) + day_bias[u, day(t)],
            r(u, i) the model of the algorithm, the others as in `duckmf.temporal`
Objective:  that of the algorithm, with r(u, i, t) for r(u, i), and
            + lambda (sum bin_bias^2 + sum day_bias^2 + D^2 sum drift^2), D^2 the mean of dev^2,
            under sum_bin n bin_bias = 0 for each item and sum_day n day_bias = 0 for each user,
            n the number of ratings in the bin or on the day
Update:     an epoch of the algorithm on what the time terms leave of the ratings, then each time
            term to its optimum for all else (backfitting)

The constraints leave the means of items and users to b_i and b_u. So a day or bin without ratings
is predicted as well as without the time terms, and where a user rated on one day only there is no
day term to learn. lambda is in ratings: a bin of n ratings is shrunk by n / (n + lambda). With D^2
the penalty of a drift is that of what it amounts to at a usual distance from t_u, in any unit.

Where the epoch of the algorithm lowers its objective, each epoch lowers the joint one.

Source: Koren 2009, "Collaborative filtering with temporal dynamics" (KDD), section 3; backfitting
is that of Hastie and Tibshirani 1986, "Generalized additive models".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.explicit import Explicit
from duckmf.errors import OptionError
from duckmf.kernels import temporal as kernels
from duckmf.model import Factors
from duckmf.options import Options, option
from duckmf.ratings import Ratings, Rows
from duckmf.temporal import Span, Temporal, UserDays, day_numbers
from duckmf.threads import Workers, row_pieces

# Ratings that a thread takes at a time.
PIECE = 1 << 16

BIAS_PARTS = ("item_bins", "user_drift", "user_day")
PARTS = (*BIAS_PARTS, "factor_drift")


@dataclass(frozen=True, kw_only=True)
class TemporalOptions(Options):
    """The options of the time terms."""

    temporal: tuple[str, ...] = option((), "the time terms that are learnt", choices=BIAS_PARTS)
    time_bins: int = option(30, "bins of equal length for b_i(t)", low=1, high=100_000)
    temporal_regularization: float = option(20.0, "lambda of the time terms, in ratings", low=0.0)
    drift_exponent: float = option(0.4, "beta, of the days between t and t_u", low=0.0, high=1.0)

    @classmethod
    def parse(cls, given: dict[str, Any], algorithm: str) -> Self:
        """Read the options; those of the time terms need some.

        Raises:
            OptionError: as for all options, or one of the time terms alone.
        """
        options = super().parse(given, algorithm)
        if given.get("temporal") is None and not options.temporal:
            for name in ("time_bins", "temporal_regularization", "drift_exponent"):
                if given.get(name) is not None:
                    raise OptionError(
                        f"mf_fit: {name} is given but temporal is not; leave it out, or say which "
                        f"time terms with temporal := ['item_bins', ...]."
                    )
        return options


class Base(Protocol):
    """The algorithm that the time terms are added to; it reads its ratings anew in each epoch."""

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        ...

    def epoch(self, number: int) -> float:
        """One pass over the ratings."""
        ...

    def factors(self) -> Factors:
        """The numbers as they stand."""
        ...


class Part(Protocol):
    """One kind of time terms."""

    def solve(
        self, errors: NDArray[np.float32], targets: NDArray[np.float32], workers: Workers
    ) -> None:
        """Move its terms to their optimum, and take what they moved by from both."""
        ...

    def terms(self) -> dict[str, Any]:
        """What they are in the model."""
        ...


class WithTimeTerms(Explicit):
    """An algorithm and the time terms around it, in training."""

    Options: ClassVar[type[Options]] = TemporalOptions

    def __init__(
        self,
        algorithm: Callable[[Ratings, Any, Workers], Base],
        ratings: Ratings,
        options: TemporalOptions,
        workers: Workers,
    ) -> None:
        self.options = options
        self._workers = workers
        by_user = replace(ratings.by_user, values=ratings.by_user.values.copy())
        by_item = replace(ratings.by_item, values=ratings.by_item.values.copy())
        self._left = Ratings(by_user, by_item)  # what the time terms leave of the ratings
        self._base = algorithm(self._left, options, workers)
        self._errors = np.empty_like(by_user.values)  # what all terms leave of them
        self._dial = Dial.of(by_user, options.drift_exponent)
        self._places = places_by_item(by_user, len(by_item), workers)
        makers: dict[str, Callable[[], Part]] = {
            "item_bins": self._item_bins,
            "user_drift": self._drift,
            "user_day": self._days,
        }
        self._parts = [make() for name, make in makers.items() if name in options.temporal]

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self._base.epochs

    def epoch(self, number: int) -> float:
        """An epoch of the algorithm, then the time terms; the RMSE of what results."""
        self._base.epoch(number)
        by_user, by_item = self._left.by_user, self._left.by_item
        self._subtract_scores(self._base.factors())
        for part in self._parts:
            part.solve(self._errors, by_user.values, self._workers)
        np.take(by_user.values, self._places, out=by_item.values)
        pieces = [(by_user.indptr[a], by_user.indptr[b]) for a, b in row_pieces(by_user.indptr)]
        squares = self._workers.map(lambda a, b: np.dot(*[self._errors[a:b]] * 2), pieces)
        return math.sqrt(math.fsum(squares) / len(self._errors))

    def factors(self) -> Factors:
        """Those of the algorithm, with the time terms."""
        factors = self._base.factors()
        learnt = {key: array for part in self._parts for key, array in part.terms().items()}
        if factors.temporal is not None:
            learnt["factor_drift"] = factors.temporal.factor_drift
        return replace(factors, temporal=Temporal(self._dial.span, self._dial.centers, **learnt))

    def _subtract_scores(self, factors: Factors) -> None:
        by_user, nothing = self._left.by_user, np.zeros((0, 0), np.float32)
        n_users, n_items = len(by_user), len(self._left.by_item)
        drift = factors.temporal.factor_drift if factors.temporal is not None else None
        arguments = (
            *(by_user.indptr, by_user.indices, by_user.values, self._dial.dev, self._errors),
            np.zeros(n_users, np.float32) if factors.user_bias is None else factors.user_bias,
            np.zeros(n_items, np.float32) if factors.item_bias is None else factors.item_bias,
            np.zeros((n_users, 0), np.float32) if factors.P is None else factors.P,
            np.zeros((n_items, 0), np.float32) if factors.Q is None else factors.Q,
            *(nothing if drift is None else drift, np.float32(factors.mu)),
        )
        pieces = row_pieces(by_user.indptr)
        self._workers.map(lambda a, b: kernels.subtract_scores(*arguments, a, b), pieces)

    def _item_bins(self) -> ItemBins:
        by_user, n = self._left.by_user, self.options.time_bins
        first = np.arange(0, n * len(self._left.by_item) + 1, n)
        groups = first[by_user.indices] + self._dial.span.bins(times_of(by_user), n)
        return ItemBins(first, groups, self.options.temporal_regularization)

    def _drift(self) -> UserDrift:
        ridge = self.options.temporal_regularization * self._dial.usual**2
        return UserDrift(self._left.by_user, self._dial.dev, ridge)

    def _days(self) -> UserDay:
        by_user = self._left.by_user
        users, days = by_user.row_numbers(), day_numbers(times_of(by_user))
        user_days = UserDays.of(users, days, len(by_user))
        groups, _ = user_days.places(users, days)
        return UserDay(user_days, groups, self.options.temporal_regularization)


@dataclass(frozen=True)
class Dial:
    """The times of the ratings by user, as the drift sees them."""

    span: Span
    centers: NDArray[np.float64]  # (n_users,) t_u
    dev: NDArray[np.float32]  # (n,)

    @cached_property
    def usual(self) -> float:
        """D, the root of the mean of dev^2; 1 where all users rated at one time."""
        return math.sqrt(np.mean(np.square(self.dev), dtype=np.float64)) or 1.0

    @classmethod
    def of(cls, by_user: Rows, beta: float) -> Self:
        """The span of all times, and each user's own."""
        times, users = times_of(by_user), by_user.row_numbers()
        span = Span.of(times, beta)
        sums = np.bincount(users, times - span.t0, minlength=len(by_user))
        counts = np.where(by_user.counts > 0, by_user.counts, len(times))
        centers = span.t0 + np.where(by_user.counts > 0, sums, sums.sum()) / counts
        return cls(span, centers, span.deviations(times, centers[users]))


class Grouped:
    """A bias of each group of ratings that a row has."""

    def __init__(self, first: NDArray[np.int64], groups: NDArray[np.int64], ridge: float) -> None:
        """first: (n_rows + 1,) the groups of each row; groups: (n,) that of each rating."""
        n_groups = int(first[-1])
        self._first = first
        self._groups = groups.astype(np.int32) if n_groups < 2**31 else groups
        self._counts = np.bincount(groups, minlength=n_groups).astype(np.int32)
        self._ridge = ridge
        self._bias = np.zeros(n_groups, np.float32)

    def solve(
        self, errors: NDArray[np.float32], targets: NDArray[np.float32], workers: Workers
    ) -> None:
        """Move the biases to their optimum, and take what they moved by from both."""
        steps, groups = np.zeros(len(self._bias)), self._groups
        kernels.sum_groups(groups, errors, steps)
        kernels.solve_groups(self._first, self._counts, steps, self._bias, self._ridge)
        pieces = pairwise([*range(0, len(errors), PIECE), len(errors)])
        workers.map(
            lambda begin, end: kernels.subtract_steps(groups, steps, errors, targets, begin, end),
            pieces,
        )


class ItemBins(Grouped):
    """b_i,bin."""

    def terms(self) -> dict[str, Any]:
        """What they are in the model."""
        return {"bin_bias": self._bias.reshape(len(self._first) - 1, -1)}


class UserDay(Grouped):
    """b_u,day."""

    def __init__(self, user_days: UserDays, groups: NDArray[np.int64], ridge: float) -> None:
        super().__init__(user_days.indptr, groups, ridge)
        self._user_days = user_days

    def terms(self) -> dict[str, Any]:
        """What they are in the model."""
        return {"user_days": self._user_days, "day_bias": self._bias}


class UserDrift:
    """a_u."""

    def __init__(self, by_user: Rows, dev: NDArray[np.float32], ridge: float) -> None:
        self._rows = (by_user.indptr, dev)
        self._ridge = ridge
        self._drift = np.zeros(len(by_user), np.float32)

    def solve(
        self, errors: NDArray[np.float32], targets: NDArray[np.float32], workers: Workers
    ) -> None:
        """Move the drifts to their optimum, and take what they moved by from both."""
        arguments = (*self._rows, errors, targets, self._drift, self._ridge)
        pieces = row_pieces(self._rows[0])
        workers.map(lambda a, b: kernels.solve_drift(*arguments, a, b), pieces)

    def terms(self) -> dict[str, Any]:
        """What they are in the model."""
        return {"drift": self._drift}


def times_of(by_user: Rows) -> NDArray[np.float64]:
    """The times of ratings that have them."""
    assert by_user.times is not None, "time terms are asked for only with times"
    return by_user.times


def places_by_item(by_user: Rows, n_items: int, workers: Workers) -> NDArray[np.int32]:
    """The places of the ratings by user, in the order of those by item."""
    return by_user.numbered().transposed(n_items, workers).values.view(np.int32)
