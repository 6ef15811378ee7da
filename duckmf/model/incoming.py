"""Rows of a model as they come from SQL: refused unless they are sound, then arrays.

A model is a relation, which anybody may edit. Kernels index by its codes and lengths, and a number
that is not finite spoils all that it meets: whatever of a model becomes an array is looked at here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from duckmf.arrow import array, flat, lists_of, offsets_of
from duckmf.errors import DataError
from duckmf.model.factors import SideName
from duckmf.model.stored import Batch, Lists, Seen
from duckmf.model.temporal import Terms, UserDays
from duckmf.model.temporal_rows import TEMPORAL

Column: TypeAlias = pa.ChunkedArray
Codes: TypeAlias = NDArray[np.int32] | None  # of the rows, where they are known: messages name one

REMEDY = "Fold these rows in again, or train again; mf_check(model) lists what is wrong."


def batch(lists: Column, *, own_codes: bool = True) -> Batch:
    """Rows of one side of a model, from one struct of a list of each of their columns.

    own_codes: whether their codes are those that the model has, which messages name.

    Raises:
        DataError: they are not sound.
    """
    columns = [flat(column) for column in lists.flatten()]
    codes = whole(columns[0], "code")
    refuse(codes < 0, "code is negative", codes)
    names = codes if own_codes else None
    ratings = whole(columns[1], "ratings", names)
    refuse(ratings < 0, "ratings are negative", names)
    for name, column in (("bias", columns[2]), ("factors", columns[3])):
        if column.null_count < len(column):  # other rows have it
            missing = array(column.is_null()) & (ratings > 0)
            refuse(missing, f"{name} is NULL, and ratings are not 0,", names)
    has_bias = columns[2].null_count < len(codes)
    return Batch(
        codes,
        ratings,
        numbers(columns[2], "bias", names) if has_bias else None,
        vectors(columns[3], "factors", names),
        vectors(columns[4], "implicit_factors", names),
        terms(columns[5], names),
        seen(columns[6], columns[7], columns[8], names),
    )


def items(
    codes: Column, places: Column, weights: Column, factors: Column
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Items that are ranked: their codes, places among equal scores, weights and factors.

    Raises:
        DataError: they are not sound.
    """
    found = whole(codes, "code")
    refuse(found < 0, "code is negative", found)
    check_unique(found, "items")
    return (
        found,
        whole(places, "place"),
        numbers(weights, "bias", found),
        vectors(factors, "factors", found),
    )


def variances(bias: Column, factors: Column) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The variances of items that are ranked: those of their factors and of their biases.

    Raises:
        DataError: they are not sound.
    """
    return vectors(factors, "uncertainty.factors"), numbers(bias, "uncertainty.bias")


def users(
    weights: Column, factors: Column, seen: Column
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Users that are ranked for: weights, factors, and the codes that are left out.

    Raises:
        DataError: they are not sound.
    """
    return numbers(weights, "bias"), vectors(factors, "factors"), *lists(seen, "seen")


def refuse(bad: NDArray[np.bool_], problem: str, codes: Codes = None) -> None:
    """Refuse rows, if some are bad.

    Raises:
        DataError: some are.
    """
    if n := int(np.count_nonzero(bad)):
        first = "" if codes is None else f", the first of them of code {codes[int(np.argmax(bad))]}"
        raise DataError(f"{problem} in {n:,} of {len(bad):,} rows of the model{first}. {REMEDY}")


def whole(column: Column, name: str, codes: Codes = None) -> NDArray[Any]:
    """A column of whole numbers, none of which may be NULL.

    Raises:
        DataError: one is.
    """
    if column.null_count:
        refuse(array(column.is_null()), f"{name} is NULL", codes)
    return np.array(array(column))


def check_unique(codes: NDArray[np.int32], side: SideName) -> None:
    """Refuse codes that several rows have.

    Raises:
        DataError: there are some.
    """
    ordered = np.sort(codes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise DataError(
            f"the model has several rows for some of its {side}: {len(twice):,} have the code of "
            f"another one, such as {twice[0]}. Keep one of each, as MERGE does with what "
            "mf_fold_in returns. FROM mf_check(model) lists them."
        )


def numbers(column: Column, name: str, codes: Codes = None) -> NDArray[Any]:
    """A column of numbers; 0 for a NULL.

    Raises:
        DataError: one is not finite.
    """
    found = np.array(array(column.fill_null(0)))
    refuse(~np.isfinite(found), f"{name} is no finite number", codes)
    return found


def vectors(column: Column, name: str, codes: Codes = None) -> NDArray[np.float32]:
    """A column of lists of one length as the rows of a matrix; zeros for a NULL.

    Raises:
        DataError: lists differ in length, or a number is NULL or not finite.
    """
    offsets, values = lists_of(column)
    lengths = np.diff(offsets)
    n = int(lengths.max(initial=0))
    there = lengths > 0
    if np.any(lengths[there] != n):
        raise DataError(f"{name} have {lengths[there].min()} to {n} numbers; retrain the model.")
    refuse_elements(
        ~np.isfinite(values), offsets, f"{name} hold a number that is not finite", codes
    )
    matrix = np.zeros((len(lengths), n), np.float32)
    if n:
        matrix[there] = values.reshape(-1, n)
    return matrix


def lists(column: Column, name: str, codes: Codes = None) -> Lists:
    """A column of lists of numbers, none of which may be NULL; a NULL list is empty.

    Raises:
        DataError: one is, or is not finite.
    """
    offsets, inner = offsets_of(column), flat(column)
    if inner.null_count:
        refuse_elements(array(inner.is_null()), offsets, f"{name} hold NULL", codes)
    values = np.array(array(inner))
    refuse_elements(
        ~np.isfinite(values), offsets, f"{name} hold a number that is not finite", codes
    )
    return offsets, values


def indices(column: Column, name: str, codes: Codes = None) -> Lists:
    """A column of lists of whole numbers, each in ascending order.

    Raises:
        DataError: one is not, or holds a NULL.
    """
    offsets, values = lists(column, name, codes)
    falls = np.zeros(len(values), np.bool_)
    falls[1:] = values[1:] <= values[:-1]
    falls[offsets[:-1][np.diff(offsets) > 0]] = False
    refuse_elements(falls, offsets, f"{name} are not in ascending order", codes)
    return offsets, values


def refuse_elements(
    bad: NDArray[np.bool_], offsets: NDArray[np.int32], problem: str, codes: Codes
) -> None:
    """Refuse rows whose list, from one offset to the next, has a bad element.

    Raises:
        DataError: some have.
    """
    if bad.any():
        rows = np.zeros(len(offsets) - 1, np.bool_)
        rows[np.searchsorted(offsets, np.flatnonzero(bad), "right") - 1] = True
        refuse(rows, problem, codes)


def seen(codes: Column, ratings: Column, times: Column, users: Codes = None) -> Seen:
    """The ratings that users have kept, from columns of lists.

    Raises:
        DataError: they are not sorted by item, or not as many as their items.
    """
    offsets, items = indices(codes, "seen", users)
    refuse_elements(items < 0, offsets, "seen hold a negative code", users)
    kept = Seen(
        (offsets, items), lists(ratings, "seen_ratings", users), lists(times, "seen_times", users)
    )
    n, n_ratings, n_times = (np.diff(part[0]) for part in (kept.codes, kept.ratings, kept.times))
    refuse(n_ratings != n, "there are not as many seen_ratings as seen items", users)
    refuse((n_times != n) & (n_times > 0), "there are not as many seen_times as seen items", users)
    return kept


def terms(column: Column, codes: Codes = None) -> Terms:
    """The time terms of rows, from their structs.

    Raises:
        DataError: a number is not finite, or there are not as many days as biases of them.
    """
    if column.null_count == len(column):
        return Terms.none(len(column))
    structs = pa.chunked_array(column.chunks, TEMPORAL).combine_chunks()
    fields = {
        field.name: pa.chunked_array([part])
        for field, part in zip(TEMPORAL, structs.flatten(), strict=True)
    }
    centers = numbers(fields["t0"], "temporal.t0", codes)
    centers[array(fields["t0"].is_null())] = np.nan
    offsets, days = indices(fields["days"], "temporal.days", codes)
    day_offsets, day_bias = lists(fields["day_bias"], "temporal.day_bias", codes)
    unlike = np.diff(offsets) != np.diff(day_offsets)
    refuse(unlike, "there are not as many temporal.day_bias as days", codes)
    return Terms(
        centers,
        numbers(fields["drift"], "temporal.drift", codes),
        UserDays(offsets.astype(np.int64), days),
        day_bias,
        vectors(fields["bin_bias"], "temporal.bin_bias", codes),
        vectors(fields["factor_drift"], "temporal.factor_drift", codes),
    )
