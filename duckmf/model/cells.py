"""Rows of a matrix as the lists that a model stores."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf.ratings.matrix import Rows


def cells_of(
    rows: Rows, places: NDArray[np.int32], codes: NDArray[np.int32] | None = None
) -> tuple[pa.Array, pa.Array, pa.Array | None]:
    """The sorted indices, the values and the times, if any, of some rows of a matrix, a list each.

    codes: what the indices are called, if not by themselves.
    """
    chosen = rows.chosen(places)
    offsets = chosen.indptr.astype(np.int32)
    indices = chosen.indices if codes is None else codes[chosen.indices]
    return (
        pa.ListArray.from_arrays(offsets, indices),
        pa.ListArray.from_arrays(offsets, chosen.values),
        None if chosen.times is None else pa.ListArray.from_arrays(offsets, chosen.times),
    )
