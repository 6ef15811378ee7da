"""The column `temporal` of the model relation: the time terms of a model as structs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf.arrow import rows_of
from duckmf.model.cells import cells_of
from duckmf.model.temporal import Temporal
from duckmf.ratings.matrix import Rows

TEMPORAL = pa.struct(
    {
        "t0": pa.float64(),
        "t1": pa.float64(),
        "beta": pa.float32(),
        "drift": pa.float32(),
        "days": pa.list_(pa.int32()),
        "day_bias": pa.list_(pa.float32()),
        "bin_bias": pa.list_(pa.float32()),
        "factor_drift": pa.list_(pa.float32()),
    }
)


def of_model(temporal: Temporal | None) -> dict[str, float] | None:
    """The span of training and the exponent of the drift."""
    if temporal is None:
        return None
    span = temporal.span
    return {"t0": span.t0, "t1": span.t1, "beta": span.beta}


def of_users(temporal: Temporal | None, codes: NDArray[np.int32]) -> pa.Array | None:
    """t_u, drift, days and factor drift of some users; None where nothing depends on the user."""
    if temporal is None:
        return None
    drift, days, factor_drift = temporal.drift, temporal.day_bias, temporal.factor_drift
    if drift is None and days is None and factor_drift is None:
        return None
    columns: dict[str, Any] = {"t0": temporal.centers[codes]}
    if drift is not None:
        columns["drift"] = drift[codes]
    if factor_drift is not None:
        columns["factor_drift"] = factor_drift[codes]
    if temporal.user_days is not None and days is not None:
        user_days = Rows(temporal.user_days.indptr, temporal.user_days.days, days)
        columns["days"], columns["day_bias"], _ = cells_of(user_days, codes)
    return rows_of(TEMPORAL, [columns.get(field.name) for field in TEMPORAL])


def of_items(temporal: Temporal | None, codes: NDArray[np.int32]) -> pa.Array | None:
    """The biases of the bins of some items."""
    if temporal is None or temporal.bin_bias is None:
        return None
    columns = {"bin_bias": temporal.bin_bias[codes]}
    return rows_of(TEMPORAL, [columns.get(field.name) for field in TEMPORAL])
