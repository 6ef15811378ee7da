"""Ratings in codes: from the gathered columns to one canonical matrix, by user and by item."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from duckmf.errors import DataError
from duckmf.kernels import sparse
from duckmf.kernels.threads import Workers

T = TypeVar("T")


@dataclass(frozen=True)
class Rows:
    """A sparse matrix by rows (CSR); the indices of a row are sorted and unique."""

    indptr: NDArray[np.int64]  # (n_rows + 1,)
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    times: NDArray[np.float64] | None = None  # seconds since 1970

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Entries of each row."""
        return np.diff(self.indptr)

    def row_numbers(self) -> NDArray[np.int32]:
        """The row of each entry."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.counts)

    def chosen(self, numbers: NDArray[np.int32]) -> Rows:
        """Some of the rows, in this order."""
        indptr, cells = cells_of_rows(self.indptr, numbers)
        times = None if self.times is None else self.times[cells]
        return Rows(indptr, self.indices[cells], self.values[cells], times)

    def untimed(self) -> Rows:
        """The same without times."""
        return Rows(self.indptr, self.indices, self.values)

    def numbered(self) -> Rows:
        """The same cells, each with its place (int32) for a value."""
        places: NDArray[Any] = np.arange(len(self.indices), dtype=np.int32)
        return Rows(self.indptr, self.indices, places)

    def transposed(self, n_columns: int, workers: Workers) -> Rows:
        """The same matrix by its columns; the cells of a column come in the order of the rows."""
        return by_rows(self.indices, self.row_numbers(), self.values, n_columns, workers)


@dataclass(frozen=True)
class Ratings:
    """The same ratings twice: a row per user, and a row per item."""

    by_user: Rows  # with the times, if there are any
    by_item: Rows
    layouts: WeakValueDictionary[Hashable, Any] | None = None  # of trainings side by side

    def __len__(self) -> int:
        return len(self.by_user.indices)

    def laid_out(self, key: Hashable, lay_out: Callable[[], T]) -> T:
        """A layout; the one that another training still uses, where trainings share what they do.

        Layouts of equal keys must be equal, and nobody may change them.
        """
        if self.layouts is None:
            return lay_out()
        layout: T | None = self.layouts.get(key)
        if layout is None:
            layout = self.layouts[key] = lay_out()
        return layout


@dataclass
class Triples:
    """Ratings as they arrive: n places of (user, item, rating) codes and values, in any order."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    held_out: NDArray[np.bool_] | None = None
    times: NDArray[np.float64] | None = None
    relevant: NDArray[np.bool_] | None = None  # where lists are judged
    folds: NDArray[np.int32] | None = None

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Triples:
        """The chosen rows alone, without `held_out` and `folds`."""
        times = None if self.times is None else self.times[chosen]
        relevant = None if self.relevant is None else self.relevant[chosen]
        three = self.users[chosen], self.items[chosen], self.values[chosen]
        return Triples(*three, None, times, relevant)


def cells_of_rows(
    indptr: NDArray[np.int64], numbers: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some rows of a CSR matrix, in this order: their indptr, and the places of their cells."""
    counts = np.diff(indptr)[numbers]
    chosen = np.append(0, np.cumsum(counts))
    return chosen, np.arange(chosen[-1]) + np.repeat(indptr[numbers] - chosen[:-1], counts)


def by_rows(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    values: NDArray[Any],
    n_rows: int,
    workers: Workers,
) -> Rows:
    """Sort cells by their row alone: the cells of a row keep their order.

    A counting sort: every thread counts its share of the cells, then puts them where the shares
    before it and the rows before theirs leave off.
    """
    cuts = np.linspace(0, len(rows), workers.threads + 1).astype(np.int64)
    shares = [slice(a, b) for a, b in itertools.pairwise(cuts)]
    counts = np.zeros((len(shares), n_rows), np.int64)
    workers.map(sparse.count, [(rows[s], counts[n]) for n, s in enumerate(shares)])
    indptr = np.append(0, np.cumsum(counts.sum(axis=0)))
    places = indptr[:-1] + np.cumsum(counts, axis=0) - counts
    out = Rows(indptr, np.empty_like(columns), np.empty_like(values))
    workers.map(
        sparse.scatter,
        [
            (rows[s], columns[s], values[s], places[n], out.indices, out.values)
            for n, s in enumerate(shares)
        ],
    )
    return out


def canonical(
    triples: Triples, n_users: int, n_items: int, duplicates: str, workers: Workers
) -> tuple[Ratings, int]:
    """One matrix whatever the order of the rows, and how many rows were merged into others.

    Sorting by user, by item and by user again leaves the cells of each row sorted. The time of
    merged rows is their last.

    Raises:
        DataError: a user rated an item twice and `duplicates` is 'error'.
    """
    if duplicates == "last" and triples.times is not None:
        triples = triples.select(np.lexsort((triples.values, triples.times)))
    values, times = triples.values, triples.times
    cells = values if times is None else np.arange(len(values), dtype=np.int32)
    arrived = by_rows(triples.users, triples.items, cells, n_users, workers)
    by_item = arrived.transposed(n_items, workers)
    del arrived
    by_user = by_item.transposed(n_users, workers)
    if times is not None:  # what was sorted are places of both
        by_item = Rows(by_item.indptr, by_item.indices, values[by_item.values])
        places = by_user.values
        by_user = Rows(by_user.indptr, by_user.indices, values[places], times[places])
    first = _first_of_cell(by_user)
    repeats = len(first) - int(np.count_nonzero(first))
    if repeats == 0:
        return Ratings(by_user, by_item), 0
    if duplicates == "error":
        raise DataError(
            f"{repeats:,} of {len(first):,} rows repeat a user and item; "
            "remove them, or say what they mean with duplicates := 'mean', 'sum', 'last' or 'max'."
        )
    merged = _merged(by_user, first, duplicates)
    return Ratings(merged, merged.transposed(n_items, workers)), repeats


def _first_of_cell(rows: Rows) -> NDArray[np.bool_]:
    """Which entries have another row or index than the one before them."""
    first = np.ones(len(rows.indices), np.bool_)
    np.not_equal(rows.indices[1:], rows.indices[:-1], out=first[1:])
    first[rows.indptr[:-1][rows.counts > 0]] = True
    return first


def _merged(rows: Rows, first: NDArray[np.bool_], duplicates: str) -> Rows:
    begin = np.flatnonzero(first)
    indptr = np.concatenate(([0], np.cumsum(first)))[rows.indptr]
    values = _cell_values(rows.values, first, begin, duplicates)
    times = None if rows.times is None else np.maximum.reduceat(rows.times, begin)
    return Rows(indptr, rows.indices[begin], values, times)


def _cell_values(
    values: NDArray[np.float32], first: NDArray[np.bool_], begin: NDArray[np.int64], duplicates: str
) -> NDArray[np.float32]:
    chosen: NDArray[np.float32]
    if duplicates == "last":
        chosen = values[np.append(begin[1:], len(values)) - 1]
        return chosen
    if duplicates == "max":
        chosen = np.maximum.reduceat(values, begin)
        return chosen
    ordered = _sorted_in_cells(values, first).astype(np.float64)
    sums: NDArray[np.float64] = np.add.reduceat(ordered, begin)
    if duplicates == "mean":
        sums /= np.diff(begin, append=len(values))
    return sums.astype(np.float32)


def _sorted_in_cells(values: NDArray[np.float32], first: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Each cell's values from small to large, so that their sum does not depend on their order.

    One sort of 64-bit keys: the cell's number above the float's bits, made to sort as integers.
    """
    bits = values.view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    keys = np.cumsum(first, dtype=np.uint64) << np.uint64(32) | ordered
    keys.sort()
    ordered = keys.astype(np.uint32)
    bits = np.where(ordered >> 31, ordered & np.uint32((1 << 31) - 1), ~ordered)
    return bits.view(np.float32)


def held_out_share(triples: Triples, fraction: float, seed: int) -> NDArray[np.bool_]:
    """A random share of the pairs: the same for a pair wherever it stands, and for its duplicates.

    The pair's codes and the seed go through the finalizer of SplitMix64 (Steele, Lea and Flood,
    OOPSLA 2014); the rows whose hash falls below fraction * 2^64 are held out.
    """
    pairs = triples.users.astype(np.uint64) << np.uint64(32) | triples.items.astype(np.uint64)
    hashes = _mixed(_mixed(pairs) ^ np.uint64(seed))
    held: NDArray[np.bool_] = hashes < np.uint64(fraction * 2.0**64)
    return held


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
