"""The column `uncertainty` of the model relation: the variances of rows as structs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf.arrow import rows_of
from duckmf.model.uncertainty import Variances

UNCERTAINTY = pa.struct(
    {
        "noise": pa.float32(),
        "low": pa.float32(),
        "high": pa.float32(),
        "user_mean": pa.float32(),
        "item_mean": pa.float32(),
        "user_covariances": pa.list_(pa.list_(pa.float32())),
        "item_covariances": pa.list_(pa.list_(pa.float32())),
        "bias": pa.float32(),
        "factors": pa.list_(pa.float32()),
    }
)


def of_rows(variances: Variances | None, codes: NDArray[np.int32]) -> pa.Array | None:
    """The variances of some rows; None where a model has none."""
    if variances is None:
        return None
    columns = {"bias": variances.bias[codes], "factors": variances.factors[codes]}
    return rows_of(UNCERTAINTY, [columns.get(field.name) for field in UNCERTAINTY])
