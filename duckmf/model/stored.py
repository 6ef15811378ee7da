"""Rows of a model as it has stored them: taken in batch by batch, then put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError
from duckmf.model.temporal import Terms, widened

Lists: TypeAlias = tuple[NDArray[np.int32], NDArray[Any]]  # offsets (n + 1,), and elements

EARLIER = -np.inf  # when a stored rating without a time was made


@dataclass(frozen=True)
class Seen:
    """The training ratings that some users have kept, a list each; no elements where none were."""

    codes: Lists
    ratings: Lists
    times: Lists  # seconds since 1970; only models with time terms keep them

    def times_or_earlier(self, needed: bool) -> NDArray[np.float64]:
        """When the ratings were made; before all others where that was not kept.

        Raises:
            DataError: it is needed and was not kept.
        """
        n = len(self.codes[1])
        if len(self.times[1]) == n:
            return self.times[1]
        if needed:
            raise DataError(
                f"the times of {n - len(self.times[1]):,} of {n:,} stored ratings are not "
                "in the model, which has time terms. Pass all ratings, or train again."
            )
        return np.full(n, EARLIER)


@dataclass(frozen=True)
class Batch:
    """Some rows of one side of a model, in any order."""

    codes: NDArray[np.int32]  # (n,)
    ratings: NDArray[np.int64]  # (n,)
    bias: NDArray[np.float32] | None  # (n,); None where no row has one
    factors: NDArray[np.float32]  # (n, n_factors), or (n, 0) where no row has them
    implicit_factors: NDArray[np.float32]  # likewise
    terms: Terms
    seen: Seen


def concatenated(parts: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    """Arrays one after the other; none is an empty array of a type."""
    return np.concatenate([np.zeros(0, kind), *parts])


def biases(batches: list[Batch]) -> NDArray[np.float32]:
    """The biases of batches one after the other; 0 where there are none."""
    parts = [
        np.zeros(len(batch.codes), np.float32) if batch.bias is None else batch.bias
        for batch in batches
    ]
    return concatenated(parts, np.float32)


def matrix(parts: list[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    """Parts of `width` columns below each other; a part without columns is zeros.

    Raises:
        DataError: a part has another number of columns.
    """
    for part in parts:
        if part.shape[1] not in (0, width):
            raise DataError(
                f"rows of the model have {part.shape[1]} factors where {width} belong; "
                "pass the rows of one training."
            )
    return widened(parts, width)


def row_numbers(lists: Lists) -> NDArray[np.int32]:
    """The list of each element."""
    return np.repeat(np.arange(len(lists[0]) - 1, dtype=np.int32), np.diff(lists[0]))
