"""Random search: evenly over ranges, lists and algorithms; all of what is few; nothing twice."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from duckmf.tuning.search import RandomSearch, spread
from duckmf.tuning.space import Range, Space

UNIT = Range(0.0, 1.0, False, False)


def space(name="als", choices=None, **ranges):
    return Space(name, {}, choices or {}, ranges)


def searched(spaces, n, seed=1):
    """The combinations of the first tries."""
    return [tried.searched for tried in RandomSearch(spaces, n, seed).propose(n)]


@pytest.mark.parametrize("seed", range(5))
def test_every_part_of_a_range_and_of_a_list_gets_its_share(seed):
    spaces = [
        space(choices={"nonnegative": [True, False]}, alpha=UNIT, epochs=Range(1, 3, False, True))
    ]
    tries = searched(spaces, 54, seed)
    assert Counter(tried["nonnegative"] for tried in tries) == {True: 27, False: 27}
    assert Counter(int(9 * tried["alpha"]) for tried in tries) == dict.fromkeys(range(9), 6)
    epochs = Counter(tried["epochs"] for tried in tries)
    assert epochs.keys() == {1, 2, 3}
    assert min(epochs.values()) >= 16


def test_algorithms_take_turns():
    spaces = [space("als", alpha=UNIT, epochs=UNIT), space("svd", alpha=UNIT), space("bias")]
    names = [tried.space.name for tried in islice(spread(spaces, 1), 50)]
    assert all(16 <= names.count(name) <= 18 for name in ("als", "svd", "bias"))


def test_the_best_of_a_search_is_nearer_to_the_optimum_than_that_of_single_draws():
    spaces, rng = [space(alpha=UNIT, reg=UNIT)], np.random.default_rng(1)
    optima = rng.random((200, 2))

    def distance(points, optimum):
        return np.sqrt(((points - optimum) ** 2).sum(axis=1).min())

    drawn = [distance(rng.random((20, 2)), optimum) for optimum in optima]
    found = [
        distance(np.array([[*tried.values()] for tried in searched(spaces, 20, seed)]), optimum)
        for seed, optimum in enumerate(optima)
    ]
    assert np.mean(found) < 0.9 * np.mean(drawn)


@pytest.mark.parametrize("n_trials", [7, 29, 30, 99])
def test_few_combinations_are_all_tried_and_none_twice(n_trials):
    spaces = [
        space("als", {"a": list(range(5)), "b": list(range(5))}),
        space("svd", {"a": list(range(5))}),
    ]
    search = RandomSearch(spaces, n_trials, 3)
    tries = [tried.key for tried in search.propose(99)]
    assert search.n_trials == len(tries) == len(set(tries)) == min(n_trials, 30)


def test_whole_numbers_that_run_out_end_the_search():
    tries = searched([space(epochs=Range(1, 3, False, True))], 50)
    assert sorted(tried["epochs"] for tried in tries) == [1, 2, 3]


def test_a_seed_decides_and_how_many_are_asked_for_at_once_does_not():
    spaces = [space(choices={"a": [1, 2, 3]}, alpha=UNIT)]
    search = RandomSearch(spaces, 70, 1)
    assert [tried.searched for _ in range(70) for tried in search.propose(1)] == searched(
        spaces, 70
    )
    assert searched(spaces, 70) != searched(spaces, 70, seed=2)
