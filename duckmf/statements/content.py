"""Content columns to features, and projected terms back to rows of a model."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf.algorithms import projection
from duckmf.arrow import elements, lists_of, rows_of, vectors
from duckmf.errors import DataError

Column: TypeAlias = pa.ChunkedArray
Matrix: TypeAlias = NDArray[np.float64]

TERMS = pa.struct({"bias": pa.float32(), "factors": pa.list_(pa.float32())})


def projected(
    n: Column,
    terms: tuple[Column, Column],
    known: Column,
    new: Column,
    regularization: float | None,
) -> pa.Array:
    """The bias and factors of new rows, one struct each.

    Every column holds one list: the ratings of the known rows, their biases and factors, and the
    content of known and of new rows, a list of numbers or of texts each.

    Raises:
        DataError: there is nothing to learn from, or the content does not fit together.
    """
    weights = elements(n).astype(np.float64)
    if not len(weights):
        raise DataError(
            "features has none of the rows of the model that have ratings; "
            "give their content too, to learn from."
        )
    Y, has_bias = _terms(*terms)
    X, X_new = _features(known.chunk(0).flatten(), new.chunk(0).flatten())
    made = projection.fit(X, Y, weights, regularization)(X_new)
    bias, factors = (made[:, 0], made[:, 1:]) if has_bias else (None, made)
    return rows_of(TERMS, (bias, factors if factors.shape[1] else None))


def _terms(bias: Column, factors: Column) -> tuple[Matrix, bool]:
    """[b, q] of the known rows, and whether they have a bias."""
    b = elements(bias).astype(np.float64)
    Q = vectors(pa.chunked_array([factors.chunk(0).flatten()])).astype(np.float64)
    has_bias = not np.isnan(b).all()
    return (np.column_stack([np.nan_to_num(b), Q]) if has_bias else Q), has_bias


def _features(known: pa.Array, new: pa.Array) -> tuple[Matrix, Matrix]:
    """The content of both as rows of numbers."""
    (indptr, values), (indptr_new, values_new) = (
        lists_of(pa.chunked_array([lists])) for lists in (known, new)
    )
    counts, counts_new = np.diff(indptr), np.diff(indptr_new)
    if pa.types.is_string(known.type.value_type):
        names = sorted({text for text in values if text is not None})
        columns = {text: column for column, text in enumerate(names)}
        return (
            projection.one_hot(counts, values, columns),
            projection.one_hot(counts_new, values_new, columns),
        )
    n_features = int(counts[0])
    return (
        projection.numeric(counts, values, n_features),
        projection.numeric(counts_new, values_new, n_features),
    )
