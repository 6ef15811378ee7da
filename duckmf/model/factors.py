"""What a trained model is made of, in codes: the numbers that the model relation will hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from duckmf.model.temporal import Temporal, copied, joined
from duckmf.model.uncertainty import Uncertainty, Variances
from duckmf.ratings.matrix import Rows

SideName: TypeAlias = Literal["users", "items"]


@dataclass
class Factors:
    """mu, b_u, b_i, P, Q and Y of one model.

    A part that the algorithm does not learn is None, and counts as zero in a prediction:
    r(u, i) = mu + b_u + b_i + <p_u, q_i>. Where a model has implicit factors, the sum of y_j over
    the items that a user rated is already inside p_u; Y is what it can be made from again.
    `temporal` is what the time of a rating adds, `uncertainty` how sure all of this is.
    """

    mu: float
    user_bias: NDArray[np.float32] | None = None  # (n_users,)
    item_bias: NDArray[np.float32] | None = None  # (n_items,)
    P: NDArray[np.float32] | None = None  # (n_users, n_factors), C order
    Q: NDArray[np.float32] | None = None  # (n_items, n_factors), C order
    Y: NDArray[np.float32] | None = None  # (n_items, n_factors), C order
    temporal: Temporal | None = None
    uncertainty: Uncertainty | None = None

    def copy(self) -> Factors:
        """The same numbers in arrays of their own."""
        return Factors(
            self.mu,
            copied(self.user_bias),
            copied(self.item_bias),
            copied(self.P),
            copied(self.Q),
            copied(self.Y),
            None if self.temporal is None else self.temporal.copy(),
            None if self.uncertainty is None else self.uncertainty.copy(),
        )

    def predict(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        times: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float32]:
        """r(u, i) of n pairs of codes, before clipping; r(u, i, t) of a model with time terms.

        times: seconds since 1970; without them, the end of training.
        """
        predicted = np.full(len(users), self.mu, np.float32)
        if self.user_bias is not None:
            predicted += self.user_bias[users]
        if self.item_bias is not None:
            predicted += self.item_bias[items]
        if self.P is not None and self.Q is not None:
            predicted += np.einsum("nf,nf->n", self.P[users], self.Q[items])
        if self.temporal is not None:
            predicted += self.temporal.scores(users, items, times, self.Q)
        return predicted


@dataclass(frozen=True)
class Known:
    """What an earlier model knows of the users and items of a training, by their codes."""

    mu: float
    users: NDArray[np.bool_]  # (n_users,) whether it knows them; the rows of others are zeros
    items: NDArray[np.bool_]  # (n_items,)
    user_bias: NDArray[np.float32]  # (n_users,)
    item_bias: NDArray[np.float32]  # (n_items,)
    P: NDArray[np.float32]  # (n_users, n_factors), with the sum of y_j inside
    Q: NDArray[np.float32]  # (n_items, n_factors)
    Y: NDArray[np.float32]  # (n_items, n_factors)
    factor_drift: NDArray[np.float32]  # (n_users, n_factors)
    uncertainty: Uncertainty | None = None  # of its head


@dataclass(frozen=True)
class Rivals:
    """The items that an item competes with where it is learnt by comparisons, as they stand."""

    by_user: Rows  # the ratings of the users in `Fixed`; indices are places in the other arrays
    ratings: NDArray[np.int64]  # (n_items,) of each item in training
    bias: NDArray[np.float32]  # (n_items,)
    factors: NDArray[np.float32]  # (n_items, n_factors)


@dataclass(frozen=True)
class Fixed:
    """What a trained model holds still while rows of one side are solved: the other side.

    `mu` and `sigma` are mean and standard deviation of the training ratings.
    """

    solved: SideName  # the side whose rows are solved; the arrays are of the other one
    mu: float
    sigma: float
    ratings: NDArray[np.int64]  # (n,) of each row in training
    bias: NDArray[np.float32]  # (n,)
    factors: NDArray[np.float32]  # (n, n_factors)
    implicit_factors: NDArray[np.float32]  # (n, n_factors), or (n, 0) in a model without them
    temporal: Temporal | None = None  # the time terms of these rows, and the span of training
    rivals: Rivals | None = None  # where items are solved; of algorithms that compare them
    uncertainty: Uncertainty | None = None  # of its head


@dataclass(frozen=True)
class Solved:
    """Rows that were solved; None for what the algorithm does not learn."""

    bias: NDArray[np.float32] | None = None  # (n_rows,)
    factors: NDArray[np.float32] | None = None  # (n_rows, n_factors)
    temporal: Temporal | None = None  # the time terms of these rows, by their place
    variances: Variances | None = None  # of Bayesian models

    @classmethod
    def joined(cls, parts: list[Solved]) -> Solved:
        """Rows one part after the other; all have the same of these."""
        temporal = [part.temporal for part in parts if part.temporal is not None]
        return cls(
            joined([part.bias for part in parts]),
            joined([part.factors for part in parts]),
            Temporal.joined(temporal) if temporal else None,
        )
