"""Content columns to features, and projected terms back to rows of a model."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from duckmf.arrow import elements, flat
from duckmf.errors import DataError
from duckmf.model import incoming

Column: TypeAlias = pa.ChunkedArray
Lengths: TypeAlias = NDArray[np.int32]
Terms: TypeAlias = NDArray[np.float32]


def projected(
    n: Column,
    terms: tuple[Column, Column],
    known: Column,
    new: Column,
    regularization: float | None,
) -> tuple[Terms | None, Terms | None]:
    """The bias and factors of new rows; None for what the model does not have.

    Every column holds one list: the ratings of the known rows, their biases and factors, and the
    content of known and of new rows, a list of numbers or of texts each. A text that no known row
    has is absent.

    Raises:
        DataError: there is nothing to learn from, or nothing to learn, or the content does not fit
            together.
    """
    from duckmf.algorithms import projection  # loads scipy, which other functions do without

    weights = elements(n).astype(np.float64)
    if not len(weights):
        raise DataError(
            "features has none of the rows of the model that have ratings; "
            "give their content too, to learn from."
        )
    Y, has_bias = _terms(*terms)
    content = known.chunk(0).flatten(), new.chunk(0).flatten()
    if pa.types.is_string(content[0].type.value_type):
        texts = content[0].flatten().unique().drop_null().sort()
        X, X_new = (projection.one_hot(*_codes(lists, texts), len(texts)) for lists in content)
    else:
        n_features = len(content[0][0])
        X, X_new = (projection.numeric(*_numbers(lists), n_features) for lists in content)
    made = projection.fit(X, Y, weights, regularization)(X_new)
    if not np.isfinite(made).all():
        raise DataError("vector holds numbers that are too large; scale them down.")
    bias, factors = (made[:, 0], made[:, 1:]) if has_bias else (None, made)
    return bias, factors if factors.shape[1] else None


def _terms(bias: Column, factors: Column) -> tuple[NDArray[np.float64], bool]:
    """[b, q] of the known rows, and whether they have a bias."""
    b = incoming.numbers(flat(bias), "bias").astype(np.float64)
    Q = incoming.vectors(flat(factors), "factors").astype(np.float64)
    has_bias = flat(bias).null_count < len(b)
    if not (has_bias or Q.shape[1]):
        raise DataError("the rows of this model have neither bias nor factors to learn.")
    return (np.column_stack([b, Q]) if has_bias else Q), has_bias


def _codes(lists: pa.Array, texts: pa.Array) -> tuple[Lengths, NDArray[np.int32]]:
    """How long each list is, and the places of the elements of all among some texts, or -1."""
    codes = pc.index_in(lists.flatten(), texts).fill_null(-1)
    return lists.value_lengths().to_numpy(), codes.to_numpy()


def _numbers(lists: pa.Array) -> tuple[Lengths, NDArray[np.float64]]:
    """How long each list is, and the elements of all; NaN for a NULL."""
    return lists.value_lengths().to_numpy(), lists.flatten().to_numpy(zero_copy_only=False)
