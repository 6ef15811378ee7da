"""Between Arrow and NumPy: batches to arrays, and arrays to the structs that SQL takes apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def array(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column without NULLs as one array; a column of one chunk is not copied."""
    values: NDArray[Any] = (
        column.chunk(0).to_numpy(zero_copy_only=False)
        if column.num_chunks == 1
        else column.to_numpy()
    )
    return values


def elements(column: pa.ChunkedArray) -> NDArray[Any]:
    """The elements of a column of lists, one after the other; none of a NULL list."""
    parts: list[NDArray[Any]] = [
        chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def lengths(column: pa.ChunkedArray) -> pa.Array:
    """The length of each list of a column."""
    return pa.concat_arrays([chunk.value_lengths() for chunk in column.chunks]).cast(pa.int64())


def offsets_of(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """Where each list of a column begins and ends among the elements of all; a NULL has none."""
    counts = np.concatenate([chunk.value_lengths().fill_null(0) for chunk in column.chunks])
    return np.append(np.int32(0), np.cumsum(counts, dtype=np.int32))


def lists_of(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """The offsets of a column of lists, and a copy of the elements of all."""
    return offsets_of(column), np.array(elements(column))


def flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The lists in a column of lists of lists, one after the other."""
    return pa.chunked_array([chunk.flatten() for chunk in column.chunks])


def lists_from(counts: NDArray[np.int32], values: pa.Array) -> pa.ListArray:
    """Lists of so many of the values, one list after the other."""
    return pa.ListArray.from_arrays(
        np.append(np.int32(0), np.cumsum(counts, dtype=np.int32)), values
    )


def scalar(column: pa.ChunkedArray) -> Any:
    """The first value of a column whose values are all the same."""
    return column[0].as_py()


def runs_of_equal(*columns: pa.ChunkedArray) -> list[tuple[int, int]]:
    """Where each run of rows begins and ends whose values are the same in all columns."""
    changes = np.zeros(len(columns[0]) - 1, np.bool_)
    for column in columns:
        values = array(column)
        changes |= values[1:] != values[:-1]
    cuts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(columns[0])]
    return list(itertools.pairwise(cuts))


def row(shape: pa.StructType, **fields: Any) -> pa.Array:
    """One struct of plain values; a field left out is NULL."""
    return pa.array([fields], shape)


def rows_of(shape: pa.StructType, columns: Iterable[NDArray[Any] | pa.Array | None]) -> pa.Array:
    """A struct per row from columns in the order of its fields; None is a column of NULLs."""
    columns = list(columns)
    n = next(len(column) for column in columns if column is not None)
    arrays = [_column(field.type, column, n) for field, column in zip(shape, columns, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(shape))


def _column(kind: pa.DataType, column: NDArray[Any] | pa.Array | None, n: int) -> pa.Array:
    if column is None:
        return pa.nulls(n, kind)
    if isinstance(column, pa.Array):
        return column
    if column.ndim == 1:
        return pa.array(column, kind)
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(column.shape[1])
    return pa.ListArray.from_arrays(offsets, column.ravel())
