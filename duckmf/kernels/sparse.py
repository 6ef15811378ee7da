"""Sparse matrices, and the two halves of a counting sort of cells by row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from duckmf.kernels.jit import kernel


class Csr(NamedTuple):
    """A sparse matrix by rows."""

    indptr: NDArray[np.int64]  # (n_rows + 1,)
    indices: NDArray[np.int32]  # (n,)
    values: NDArray[np.float32]  # (n,)


@kernel
def count(rows, counts):
    """Add the number of cells of each row to counts (n_rows,) int64; rows: (n,) int32."""
    for e in range(len(rows)):
        counts[rows[e]] += 1


@kernel
def scatter(rows, columns, values, places, out_columns, out_values):
    """Put each cell at the next place of its row; the cells of a row keep their order.

    rows, columns: (n,) int32; values: (n,) float32; places: (n_rows,) int64, each row's next place,
    moved on as it fills.
    """
    for e in range(len(rows)):
        place = places[rows[e]]
        places[rows[e]] = place + 1
        out_columns[place] = columns[e]
        out_values[place] = values[e]
