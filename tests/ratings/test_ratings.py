"""From gathered rows to one canonical matrix: whatever the order, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckmf.errors import DataError
from duckmf.kernels.threads import Workers, row_pieces
from duckmf.ratings.matrix import Rows, Triples, canonical, held_out_share

N_USERS, N_ITEMS = 6, 5

cells = st.lists(
    st.tuples(
        st.integers(0, N_USERS - 1),
        st.integers(0, N_ITEMS - 1),
        st.floats(-10, 10, width=32),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=40,
)


def triples_of(rows: list[tuple[int, int, float, int]]) -> Triples:
    users, items, values, times = zip(*rows, strict=True)
    return Triples(
        np.array(users, np.int32),
        np.array(items, np.int32),
        np.array(values, np.float32),
        None,
        np.array(times, np.float64),
    )


def naive(rows: list[tuple[int, int, float, int]], duplicates: str) -> dict[tuple[int, int], float]:
    """The slow, obvious way: a dictionary of lists."""
    gathered: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for user, item, value, time in rows:
        gathered.setdefault((user, item), []).append((time, value))
    merge = {
        "mean": lambda seen: sum(value for _, value in seen) / len(seen),
        "sum": lambda seen: sum(value for _, value in seen),
        "max": lambda seen: max(value for _, value in seen),
        "last": lambda seen: max(seen)[1],
    }[duplicates]
    return {cell: merge(seen) for cell, seen in gathered.items()}


def last_times(rows: list[tuple[int, int, float, int]]) -> dict[tuple[int, int], float]:
    """The last time of each cell."""
    times: dict[tuple[int, int], float] = {}
    for user, item, _, time in rows:
        times[user, item] = max(time, times.get((user, item), time))
    return times


def as_cells(rows: Rows) -> dict[tuple[int, int], float]:
    numbers = zip(rows.row_numbers().tolist(), rows.indices.tolist(), strict=True)
    return dict(zip(numbers, rows.values.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(cells, st.sampled_from(["mean", "sum", "max", "last"]), st.integers(1, 3), st.randoms())
def test_canonical_equals_the_naive_way_for_any_order_and_threads(
    rows, duplicates, threads, random
):
    ratings, merged = canonical(triples_of(rows), N_USERS, N_ITEMS, duplicates, Workers(threads))
    expected = naive(rows, duplicates)
    found = as_cells(ratings.by_user)
    assert found.keys() == expected.keys()
    assert merged == len(rows) - len(expected)
    for cell, value in expected.items():
        assert found[cell] == pytest.approx(value, rel=1e-5, abs=1e-5)
    timed = Rows(ratings.by_user.indptr, ratings.by_user.indices, ratings.by_user.times)
    assert as_cells(timed) == last_times(rows)
    assert {
        (user, item): value for (item, user), value in as_cells(ratings.by_item).items()
    } == found
    for side in (ratings.by_user, ratings.by_item):
        for begin, end in zip(side.indptr[:-1], side.indptr[1:], strict=True):
            assert np.all(np.diff(side.indices[begin:end]) > 0)
    shuffled = random.sample(rows, len(rows))
    again, _ = canonical(triples_of(shuffled), N_USERS, N_ITEMS, duplicates, Workers(1))
    assert np.array_equal(again.by_user.times, ratings.by_user.times)
    for name in ("indptr", "indices", "values"):
        assert np.array_equal(getattr(again.by_user, name), getattr(ratings.by_user, name))
        assert np.array_equal(getattr(again.by_item, name), getattr(ratings.by_item, name))


@settings(max_examples=30, deadline=None)
@given(cells, st.sampled_from(["mean", "sum", "max"]))
def test_times_change_no_rating(rows, duplicates):
    timed = triples_of(rows)
    untimed = Triples(timed.users, timed.items, timed.values)
    with_times, without = (
        canonical(triples, N_USERS, N_ITEMS, duplicates, Workers(1))[0]
        for triples in (timed, untimed)
    )
    assert without.by_user.times is None
    for name in ("indptr", "indices", "values"):
        for side in ("by_user", "by_item"):
            one, other = (getattr(getattr(r, side), name) for r in (with_times, without))
            assert np.array_equal(one, other)


def test_repeats_can_be_an_error():
    twice = triples_of([(0, 0, 1.0, 0), (0, 0, 2.0, 1), (1, 1, 3.0, 0)])
    with pytest.raises(DataError, match="1 of 3 rows repeat a user and item"):
        canonical(twice, 2, 2, "error", Workers(1))


def test_a_pair_is_held_out_by_itself_the_seed_and_nothing_else():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 500, 20_000, np.int32), rng.integers(0, 300, 20_000, np.int32)
    triples = Triples(users, items, np.ones(20_000, np.float32))
    held = held_out_share(triples, 0.2, 1)
    assert abs(held.mean() - 0.2) < 0.02
    order = rng.permutation(20_000)
    assert np.array_equal(held_out_share(triples.select(order), 0.2, 1), held[order])
    assert np.all(held <= held_out_share(triples, 0.3, 1))
    assert np.mean(held == held_out_share(triples, 0.2, 2)) < 0.75


def test_row_pieces_cover_all_rows_once_whatever_their_size():
    for counts in ([0, 0, 5, 100, 0, 1], [1] * 50, [0], [1000]):
        indptr = np.append(0, np.cumsum(counts)).astype(np.int64)
        pieces = row_pieces(indptr, 10)
        assert [row for begin, end in pieces for row in range(begin, end)] == list(
            range(len(counts))
        )
