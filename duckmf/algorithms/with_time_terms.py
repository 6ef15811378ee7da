"""Time terms of the models that predict ratings, for any of them.

Model:      r(u, i, t) = r(u, i) + bin_bias[i, bin(t)] + drift_u dev_u(t) + day_bias[u, day(t)],
            r(u, i) the model of the algorithm, the others as in `duckmf.model.temporal`
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
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.algorithms.explicit import Explicit
from duckmf.algorithms.time_terms import (
    Dial,
    ItemBins,
    TimeTerm,
    UserDay,
    UserDrift,
    pieces_of,
    times_of,
)
from duckmf.errors import OptionError
from duckmf.kernels import time_terms as kernels
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.model.factors import Factors, Known
from duckmf.model.temporal import Temporal
from duckmf.options import Options, option
from duckmf.ratings.matrix import Ratings, Rows

BIAS_TERMS = ("item_bins", "user_drift", "user_day")
TIME_TERMS = (*BIAS_TERMS, "factor_drift")


@dataclass(frozen=True, kw_only=True)
class TemporalOptions(Options):
    """The options of the time terms."""

    temporal: tuple[str, ...] = option((), "the time terms that are learnt", choices=BIAS_TERMS)
    time_bins: int = option(30, "bins of equal length for b_i(t)", low=1, high=10_000)
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
                        f"{name} is given but temporal is not; leave it out, or say which "
                        f"time terms with temporal := ['item_bins', ...]."
                    )
        return options


class Base(Protocol):
    """The algorithm that the time terms are added to; it reads its ratings anew in each epoch."""

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        ...

    def start_from(self, known: Known) -> None:
        """Begin with the numbers of a model."""
        ...

    def epoch(self, number: int) -> float:
        """One pass over the ratings."""
        ...

    def factors(self) -> Factors:
        """The numbers as they stand."""
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
        ridge, n_bins = options.temporal_regularization, options.time_bins
        bins = self._dial.span.bins(times_of(by_user), n_bins)
        makers: dict[str, Callable[[], TimeTerm]] = {
            "item_bins": lambda: ItemBins(by_user.indices, bins, (len(by_item), n_bins), ridge),
            "user_drift": lambda: UserDrift(by_user, self._dial, ridge),
            "user_day": lambda: UserDay(by_user, ridge),
        }
        self._time_terms = [make() for name, make in makers.items() if name in options.temporal]

    @property
    def epochs(self) -> int:
        """How many passes it may take."""
        return self._base.epochs

    def epoch(self, number: int) -> float:
        """An epoch of the algorithm, then the time terms; the RMSE of what results."""
        self._base.epoch(number)
        self._solve_time_terms()
        squares = self._workers.map(self._squares, pieces_of(self._errors))
        return math.sqrt(math.fsum(squares) / len(self._errors))

    def start_from(self, known: Known) -> None:
        """Begin with a model's numbers but for its time terms, which are solved for them."""
        self._base.start_from(known)
        self._solve_time_terms()

    def _solve_time_terms(self) -> None:
        by_user, by_item = self._left.by_user, self._left.by_item
        self._subtract_scores(self._base.factors())
        for term in self._time_terms:
            term.solve(self._errors, by_user.values, self._workers)
        np.take(by_user.values, self._places, out=by_item.values)

    def factors(self) -> Factors:
        """Those of the algorithm, with the time terms."""
        factors = self._base.factors()
        learnt = {key: array for term in self._time_terms for key, array in term.learnt().items()}
        if factors.temporal is not None:
            learnt["factor_drift"] = factors.temporal.factor_drift
        dial = self._dial
        return replace(factors, temporal=Temporal(dial.span, dial.centers, dial.usual, **learnt))

    def _squares(self, begin: int, end: int) -> float:
        errors = self._errors[begin:end]
        return float(np.dot(errors, errors))

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


def places_by_item(by_user: Rows, n_items: int, workers: Workers) -> NDArray[np.int32]:
    """The places of the ratings by user, in the order of those by item."""
    return by_user.numbered().transposed(n_items, workers).values.view(np.int32)
