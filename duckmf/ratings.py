"""Ratings in codes: from the gathered columns to one canonical matrix, by user and by item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """A sparse matrix by rows (CSR); the indices of a row are sorted and unique."""

    indptr: NDArray[np.int64]  # (n_rows + 1,)
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Entries of each row."""
        return np.diff(self.indptr)


@dataclass(frozen=True)
class Ratings:
    """The same ratings twice: a row per user, and a row per item."""

    by_user: Rows
    by_item: Rows

    def __len__(self) -> int:
        return len(self.by_user.indices)
