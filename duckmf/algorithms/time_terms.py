"""The kinds of time terms: what each is solved from, and its exact solution."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels import time_terms as kernels
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.model.temporal import Span, UserDays, day_numbers
from duckmf.ratings.matrix import Rows

# Ratings that a thread takes at a time.
PIECE = 1 << 16


@dataclass(frozen=True)
class Dial:
    """The times of the ratings by user, as the drift sees them."""

    span: Span
    centers: NDArray[np.float64]  # (n_users,) t_u
    dev: NDArray[np.float32]  # (n,)
    usual: float  # D, the root of the mean of dev^2; 1 where all users rated at one time

    @classmethod
    def of(cls, by_user: Rows, beta: float) -> Self:
        """The span of all times, and each user's own."""
        dial = cls.within(Span.of(times_of(by_user), beta), 1.0, by_user)
        return replace(dial, usual=math.sqrt(np.mean(np.square(dial.dev), dtype=np.float64)) or 1.0)

    @classmethod
    def within(cls, span: Span, usual: float, by_user: Rows) -> Self:
        """The times of users in the span of a training; those outside it count as its ends."""
        times, users = span.clamped(times_of(by_user)), by_user.row_numbers()
        sums = np.bincount(users, times - span.t0, minlength=len(by_user))
        counts = np.where(by_user.counts > 0, by_user.counts, len(times))
        centers = span.t0 + np.where(by_user.counts > 0, sums, sums.sum()) / counts
        return cls(span, centers, span.deviations(times, centers[users]), usual)


class TimeTerm(Protocol):
    """One kind of time terms."""

    def solve(
        self, errors: NDArray[np.float32], targets: NDArray[np.float32], workers: Workers
    ) -> None:
        """Move its terms to their optimum, and take what they moved by from both."""
        ...

    def learnt(self) -> dict[str, Any]:
        """What they are in the model."""
        ...


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
        workers.map(
            lambda begin, end: kernels.subtract_steps(groups, steps, errors, targets, begin, end),
            pieces_of(errors),
        )


class ItemBins(Grouped):
    """b_i,bin."""

    def __init__(
        self,
        items: NDArray[np.int32],
        bins: NDArray[np.int32],
        shape: tuple[int, int],
        ridge: float,
    ) -> None:
        """items, bins: those of each rating; shape: how many there are of both."""
        n_items, n_bins = shape
        first = np.arange(0, n_bins * n_items + 1, n_bins)
        super().__init__(first, first[items] + bins, ridge)

    def learnt(self) -> dict[str, Any]:
        """What they are in the model."""
        return {"bin_bias": self._bias.reshape(len(self._first) - 1, -1)}


class UserDay(Grouped):
    """b_u,day."""

    def __init__(self, by_user: Rows, ridge: float) -> None:
        users, days = by_user.row_numbers(), day_numbers(times_of(by_user))
        self._user_days = UserDays.of(users, days, len(by_user))
        super().__init__(self._user_days.indptr, self._user_days.places(users, days)[0], ridge)

    def learnt(self) -> dict[str, Any]:
        """What they are in the model."""
        return {"user_days": self._user_days, "day_bias": self._bias}


class UserDrift:
    """a_u."""

    def __init__(self, by_user: Rows, dial: Dial, ridge: float) -> None:
        self._rows = (by_user.indptr, dial.dev)
        self._ridge = ridge * dial.usual**2
        self._drift = np.zeros(len(by_user), np.float32)

    def solve(
        self, errors: NDArray[np.float32], targets: NDArray[np.float32], workers: Workers
    ) -> None:
        """Move the drifts to their optimum, and take what they moved by from both."""
        arguments = (*self._rows, errors, targets, self._drift, self._ridge)
        pieces = row_pieces(self._rows[0])
        workers.map(lambda a, b: kernels.solve_drift(*arguments, a, b), pieces)

    def learnt(self) -> dict[str, Any]:
        """What they are in the model."""
        return {"drift": self._drift}


def pieces_of(errors: NDArray[np.float32]) -> Iterable[tuple[int, int]]:
    """Cut ratings into pieces `[begin, end)`."""
    return pairwise([*range(0, len(errors), PIECE), len(errors)])


def times_of(by_user: Rows) -> NDArray[np.float64]:
    """The times of ratings that have them."""
    assert by_user.times is not None, "time terms are asked for only with times"
    return by_user.times
