"""A warm start: the model that a training begins with, in the codes of the training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError, OptionError
from duckmf.model.factors import Known, SideName
from duckmf.model.head import Head
from duckmf.model.stored import Batch, biases, concatenated, matrix

# What a model was trained with that says nothing about another training.
OWN = frozenset({"threads", "validation_fraction", "patience"})


class WarmStart:
    """The model of `warm_start`: its options, and its rows as they come in."""

    def __init__(self, head: Head) -> None:
        """Begin with the head of a model."""
        self._head = head
        self._batches: dict[SideName, list[Batch]] = {"users": [], "items": []}

    def recipe(self, name: str | None, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Algorithm and options of the training: the model's own where they are left out.

        Raises:
            OptionError: a training like this cannot begin with this model.
        """
        algorithm: str = self._head.algorithm
        own = {key: v for key, v in self._head.options.items() if key not in OWN}
        for option, value, known in (
            ("algorithm", name, algorithm),
            ("n_factors", given.get("n_factors"), own.get("n_factors")),
        ):
            if value is not None and value != known:
                raise OptionError(
                    f"{option} is {value!r}, but the model of warm_start has {known!r}; "
                    f"leave {option} out, or train without warm_start."
                )
        return algorithm, own | {key: v for key, v in given.items() if v is not None}

    def store(self, side: SideName, batch: Batch) -> None:
        """Take in rows of the model, in any order, by the codes of the training."""
        self._batches[side].append(batch)

    def known(self, n_users: int, n_items: int) -> Known:
        """What the model says of so many users and items; zeros where it says nothing.

        Raises:
            DataError: it knows none of the items.
        """
        n_factors = self._head.options.get("n_factors", 0)
        there_u, bu, P, _, A = _by_code(self._batches["users"], n_users, n_factors)
        there_i, bi, Q, Y, _ = _by_code(self._batches["items"], n_items, n_factors)
        if not there_i.any():
            raise DataError(
                f"the model of warm_start knows none of the {n_items:,} items of the "
                "source; give the model of these items, or train without warm_start."
            )
        sure = self._head.uncertainty
        return Known(self._head.mu, there_u, there_i, bu, bi, P, Q, Y, A, sure)

    def note(self, known: Known) -> dict[str, Any]:
        """What `info` says of it."""
        return {
            "trained_at": self._head.info["trained_at"],
            "users": int(np.count_nonzero(known.users)),
            "items": int(np.count_nonzero(known.items)),
        }


def _by_code(batches: list[Batch], n: int, n_factors: int) -> tuple[Any, ...]:
    """Which rows are there, their biases, factors, implicit factors and drifts of factors."""
    codes = concatenated([batch.codes for batch in batches], np.int32)
    there = np.zeros(n, np.bool_)
    there[codes] = True
    if len(codes) > np.count_nonzero(there):
        raise DataError(
            "the model of warm_start has several rows for some of its users or items; "
            "keep one of each."
        )
    bias = np.zeros(n, np.float32)
    bias[codes] = biases(batches)
    found: list[NDArray[np.float32]] = []
    for parts in (
        [batch.factors for batch in batches],
        [batch.implicit_factors for batch in batches],
        [batch.terms.factor_drift for batch in batches],
    ):
        rows = np.zeros((n, n_factors), np.float32)
        rows[codes] = matrix(parts, n_factors)
        found.append(rows)
    return there, bias, *found
