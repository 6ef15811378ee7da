"""How sure a model is: the spread of its rows, of rows that it does not know, and of a rating.

A row is [p b], factors and bias, normal around what the model says. Of each row the variances are
kept. What else its covariance holds is kept by class, as a mean: class 0 has the rows without
ratings, whose covariance is that of the prior, class 1 + floor(log2 n) those with n ratings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError

SideName = Literal["users", "items"]
Matrices = NDArray[np.float32]  # (n_classes, n_factors + 1, n_factors + 1), symmetric


@dataclass(frozen=True)
class Variances:
    """Of the rows of one side, by code."""

    factors: NDArray[np.float32]  # (n, n_factors)
    bias: NDArray[np.float32]  # (n,)

    def chosen(self, places: NDArray[np.int32]) -> Variances:
        """Those of some rows."""
        return Variances(self.factors[places], self.bias[places])


@dataclass(frozen=True)
class Spread:
    """What is known of a row of one side but for its own ratings."""

    mean: float  # of the bias of a row without ratings; that of its factors is zero
    covariances: Matrices  # by class, bias last

    @property
    def prior(self) -> NDArray[np.float32]:
        """The covariance of a row without ratings."""
        prior: NDArray[np.float32] = self.covariances[0]
        return prior

    def classes(self, counts: NDArray[np.int64]) -> NDArray[np.int16]:
        """The class of rows of so many ratings; the last one for more than those of training."""
        return np.minimum(class_of(counts), len(self.covariances) - 1).astype(np.int16)


@dataclass(frozen=True)
class Uncertainty:
    """How sure one model is."""

    noise: float  # the standard deviation of a rating around its expectation
    low: float  # ratings beyond these were taken as these
    high: float
    user_spread: Spread
    item_spread: Spread
    users: Variances | None = None  # of all users; None in the head of a model
    items: Variances | None = None

    def copy(self) -> Uncertainty:
        """The same numbers in arrays of their own."""
        users, items = (
            None if side is None else Variances(side.factors.copy(), side.bias.copy())
            for side in (self.users, self.items)
        )
        return replace(self, users=users, items=items)

    @classmethod
    def read(cls, given: dict[str, Any] | None, n_factors: int) -> Self | None:
        """What the row of kind 'model' says, as JSON gives it; None where it says nothing.

        Raises:
            DataError: a number is missing or not finite, or there are too few of them.
        """
        if given is None:
            return None
        try:
            numbers = [float(given[name]) for name in ("noise", "low", "high")]
            users, items = (
                Spread(
                    float(given[f"{side}_mean"]),
                    _unpacked(given[f"{side}_covariances"], n_factors + 1),
                )
                for side in ("user", "item")
            )
        except (KeyError, TypeError, ValueError):
            raise DataError(_DAMAGED) from None
        noise, low, high = numbers
        if not np.isfinite([*numbers, users.mean, items.mean]).all() or noise <= 0:
            raise DataError(_DAMAGED)
        return cls(noise, low, high, users, items)

    def head(self) -> dict[str, Any]:
        """What the row of kind 'model' says."""
        users, items = self.user_spread, self.item_spread
        return {
            "noise": self.noise,
            "low": self.low,
            "high": self.high,
            "user_mean": users.mean,
            "item_mean": items.mean,
            "user_covariances": _packed(users.covariances),
            "item_covariances": _packed(items.covariances),
        }


_DAMAGED = (
    "the uncertainty in the row of kind 'model' lacks a number, or holds one that is not finite. "
    "Restore the column, or train again."
)


def class_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 + floor(log2 n) of n ratings; 0 of none."""
    classes = 1 + np.floor(np.log2(np.maximum(counts, 1))).astype(np.int64)
    return np.where(counts > 0, classes, 0)


def _packed(matrices: Matrices) -> list[list[float]]:
    """The lines of each matrix up to its diagonal, one after the other."""
    lower = np.tril_indices(matrices.shape[1])
    packed: list[list[float]] = matrices[:, *lower].tolist()
    return packed


def _unpacked(lists: list[list[float]], n: int) -> Matrices:
    packed = np.array(lists, np.float32)
    rows, columns = np.tril_indices(n)
    if packed.ndim != 2 or packed.shape[1] != len(rows) or not np.isfinite(packed).all():
        raise ValueError
    matrices = np.empty((len(packed), n, n), np.float32)
    matrices[:, rows, columns] = packed
    matrices[:, columns, rows] = packed
    return matrices


def variances_of(uncertainty: Uncertainty | None, side: SideName) -> Variances | None:
    """Those of one side, where there are any."""
    if uncertainty is None:
        return None
    return uncertainty.users if side == "users" else uncertainty.items
