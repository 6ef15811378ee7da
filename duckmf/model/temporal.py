"""Time terms: what ratings depend on beside the user and the item, in the letters of Koren.

    b_i(t) = b_i + bin_bias[bin(t)]                     the bins divide [t0, t1] evenly
    b_u(t) = b_u + drift dev_u(t) + day_bias[day(t)]    0 for a day on which the user rated nothing
    p_u(t) = p_u + factor_drift dev_u(t)
    dev_u(t) = sign(t - t_u) |t - t_u|^beta             t - t_u in days

t is a time in seconds since 1970; t0 and t1 are the first and the last of training, t_u is the mean
time of a user's ratings. bin(t) and dev_u(t) take times before t0 for t0 and times after t1 for t1;
day(t) is the number of days since 1970, in UTC.

Source: Koren 2009, "Collaborative filtering with temporal dynamics" (KDD), sections 3.1 and 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError
from duckmf.ratings.matrix import cells_of_rows

DAY = 86_400.0  # seconds

# The years 1 to 9999: milliseconds are not taken for seconds.
EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_800.0


@dataclass(frozen=True)
class Span:
    """The time of training, and the exponent of the drift."""

    t0: float  # seconds since 1970
    t1: float
    beta: float

    @classmethod
    def of(cls, times: NDArray[np.float64], beta: float) -> Span:
        """The span of some times.

        Raises:
            DataError: they cannot be seconds since 1970.
        """
        t0, t1 = float(times.min()), float(times.max())
        for t in (t0, t1):
            if not EARLIEST <= t < LATEST:
                raise DataError(
                    f"ts is {t:.15g} seconds from 1970, outside the years 1 to 9999; "
                    "give a timestamp, a date, or seconds since 1970."
                )
        return cls(t0, t1, beta)

    def deviations(
        self, times: NDArray[np.float64], centers: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """dev(t) of times around the t_u of their users, in days^beta."""
        days = (self.clamped(times) - centers) / DAY
        return (np.sign(days) * np.abs(days) ** self.beta).astype(np.float32)

    def bins(self, times: NDArray[np.float64], n: int) -> NDArray[np.int32]:
        """Which of n bins each time lies in; bin 0 where the span has no length."""
        length = self.t1 - self.t0
        if length == 0:
            return np.zeros(len(times), np.int32)
        bins = np.floor(n * (self.clamped(times) - self.t0) / length)
        return np.minimum(bins, n - 1).astype(np.int32)

    def clamped(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times before t0 and after t1 as these."""
        return np.clip(times, self.t0, self.t1)


@dataclass(frozen=True)
class UserDays:
    """The days on which each user rated, one user after the other."""

    indptr: NDArray[np.int64]  # (n_users + 1,)
    days: NDArray[np.int32]  # sorted and unique for each user

    @classmethod
    def of(cls, users: NDArray[np.int32], days: NDArray[np.int32], n_users: int) -> UserDays:
        """The days of n ratings by their users, in any order."""
        keys = np.unique(_keys(users, days))
        indptr = np.searchsorted(keys, _keys(np.arange(n_users + 1), np.int32(-(2**31))))
        return cls(indptr.astype(np.int64), _days_of(keys))

    @classmethod
    def joined(cls, parts: list[UserDays]) -> UserDays:
        """The users of several one after the other."""
        counts = [np.diff(part.indptr) for part in parts]
        indptr = np.append(0, np.cumsum(np.concatenate(counts)))
        return cls(indptr, np.concatenate([part.days for part in parts]))

    @cached_property
    def _sorted(self) -> NDArray[np.int64]:
        users = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        return _keys(users, self.days)

    def places(
        self, users: NDArray[np.int32], days: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where each user's day stands among all days, and whether it is there."""
        keys = _keys(users, days)
        places = np.minimum(np.searchsorted(self._sorted, keys), max(len(self.days) - 1, 0))
        return places, self._sorted[places] == keys


def _keys(users: NDArray[np.integer], days: NDArray[np.int32] | np.int32) -> NDArray[np.int64]:
    """One number for a user and a day, in the order of both."""
    keys: NDArray[np.int64] = (users.astype(np.int64) << 32) + days + 2**31
    return keys


def _days_of(keys: NDArray[np.int64]) -> NDArray[np.int32]:
    return ((keys & 0xFFFFFFFF) - 2**31).astype(np.int32)


def day_numbers(times: NDArray[np.float64]) -> NDArray[np.int32]:
    """Days since 1970, in UTC."""
    return np.floor(np.clip(times, EARLIEST, LATEST) / DAY).astype(np.int32)


@dataclass(frozen=True)
class Temporal:
    """The time terms of one model, by code; a kind that is off is None."""

    span: Span
    centers: NDArray[np.float64]  # (n_users,) t_u; for users without ratings the mean of all
    usual: float  # D, the root of the mean of dev^2 over the ratings of the training
    drift: NDArray[np.float32] | None = None  # (n_users,)
    user_days: UserDays | None = None
    day_bias: NDArray[np.float32] | None = None  # one for each of user_days
    bin_bias: NDArray[np.float32] | None = None  # (n_items, n_bins)
    factor_drift: NDArray[np.float32] | None = None  # (n_users, n_factors)

    def copy(self) -> Temporal:
        """The same numbers in arrays of their own."""
        return replace(
            self,
            drift=copied(self.drift),
            day_bias=copied(self.day_bias),
            bin_bias=copied(self.bin_bias),
            factor_drift=copied(self.factor_drift),
        )

    @classmethod
    def joined(cls, parts: list[Temporal]) -> Temporal:
        """The rows of several one after the other; all have the same of the terms."""
        days = [part.user_days for part in parts if part.user_days is not None]
        return replace(
            parts[0],
            centers=np.concatenate([part.centers for part in parts]),
            drift=joined([part.drift for part in parts]),
            user_days=UserDays.joined(days) if days else None,
            day_bias=joined([part.day_bias for part in parts]),
            bin_bias=joined([part.bin_bias for part in parts]),
            factor_drift=joined([part.factor_drift for part in parts]),
        )

    def scores(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        times: NDArray[np.float64] | None,
        Q: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        """What the time terms add to the predictions of n pairs; without times, at t1."""
        if times is None:
            times = np.full(len(users), self.span.t1)
        total = np.zeros(len(users), np.float32)
        if self.bin_bias is not None:
            total += self.bin_bias[items, self.span.bins(times, self.bin_bias.shape[1])]
        if self.drift is not None or self.factor_drift is not None:
            total += self._slopes(users, items, Q) * self.span.deviations(
                times, self.centers[users]
            )
        if self.user_days is not None and self.day_bias is not None and len(self.day_bias):
            places, there = self.user_days.places(users, day_numbers(times))
            total += np.where(there, self.day_bias[places], np.float32(0))
        return total

    def _slopes(
        self, users: NDArray[np.int32], items: NDArray[np.int32], Q: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """What dev_u(t) is multiplied by."""
        slopes = np.zeros(len(users), np.float32) if self.drift is None else self.drift[users]
        if self.factor_drift is not None and Q is not None:
            slopes = slopes + np.einsum("nf,nf->n", self.factor_drift[users], Q[items])
        return slopes


@dataclass(frozen=True)
class Terms:
    """The time terms of some rows of a model, as it stores them; zeros where a row has none."""

    centers: NDArray[np.float64]  # (n,) t_u; NaN where there is none
    drift: NDArray[np.float32]  # (n,)
    user_days: UserDays
    day_bias: NDArray[np.float32]  # one for each of user_days
    bin_bias: NDArray[np.float32]  # (n, n_bins), or (n, 0) where no row has them
    factor_drift: NDArray[np.float32]  # (n, n_factors), or (n, 0)

    @classmethod
    def of(cls, temporal: Temporal, n: int) -> Terms:
        """Those of n rows of a side that has them."""
        none = cls.none(n)
        return cls(
            temporal.centers if len(temporal.centers) else none.centers,
            none.drift if temporal.drift is None else temporal.drift,
            temporal.user_days or none.user_days,
            none.day_bias if temporal.day_bias is None else temporal.day_bias,
            none.bin_bias if temporal.bin_bias is None else temporal.bin_bias,
            none.factor_drift if temporal.factor_drift is None else temporal.factor_drift,
        )

    @classmethod
    def joined(cls, parts: list[Terms]) -> Terms:
        """Rows one part after the other."""
        return cls(
            np.concatenate([part.centers for part in parts]),
            np.concatenate([part.drift for part in parts]),
            UserDays.joined([part.user_days for part in parts]),
            np.concatenate([part.day_bias for part in parts]),
            widened([part.bin_bias for part in parts]),
            widened([part.factor_drift for part in parts]),
        )

    def chosen(self, numbers: NDArray[np.int64]) -> Terms:
        """Some of the rows, in this order."""
        indptr, cells = cells_of_rows(self.user_days.indptr, numbers)
        return Terms(
            self.centers[numbers],
            self.drift[numbers],
            UserDays(indptr, self.user_days.days[cells]),
            self.day_bias[cells],
            self.bin_bias[numbers],
            self.factor_drift[numbers],
        )

    def of_users(self, span: Span, usual: float) -> Temporal:
        """As the time terms of users; those without a time of their own have no terms either."""
        centers = np.where(np.isfinite(self.centers), self.centers, span.t1)
        drift = self.factor_drift if self.factor_drift.shape[1] else None
        days = (self.user_days, self.day_bias)
        return Temporal(span, centers, usual, self.drift, *days, factor_drift=drift)

    def of_items(self, span: Span, usual: float) -> Temporal:
        """As the time terms of items."""
        bins = self.bin_bias if self.bin_bias.shape[1] else None
        return Temporal(span, np.zeros(0), usual, bin_bias=bins)

    @classmethod
    def none(cls, n: int) -> Terms:
        """n rows without time terms."""
        days = UserDays(np.zeros(n + 1, np.int64), np.zeros(0, np.int32))
        zeros, empty = np.zeros(n, np.float32), np.zeros((n, 0), np.float32)
        return cls(np.full(n, np.nan), zeros, days, np.zeros(0, np.float32), empty, empty)


def joined(arrays: list[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    """Arrays one after the other; None where they are None."""
    there = [array for array in arrays if array is not None]
    return np.concatenate(there) if there else None


def widened(parts: list[NDArray[np.float32]], width: int = 0) -> NDArray[np.float32]:
    """Rows one part after the other, of that width or more; zeros for a part without columns.

    Raises:
        DataError: parts with columns differ in their number.
    """
    widths = sorted({part.shape[1] for part in parts if part.shape[1]})
    if len(widths) > 1:
        raise DataError(
            f"rows of the model have {widths[0]} and {widths[-1]} numbers where as many belong; "
            "pass the rows of one training."
        )
    parts = [np.zeros((0, width), np.float32), *parts]
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [part if part.shape[1] else np.zeros((len(part), width), np.float32) for part in parts]
    )


def copied(array: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """The same numbers in an array of their own; None for None."""
    return None if array is None else array.copy()
