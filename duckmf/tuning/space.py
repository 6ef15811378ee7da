"""What a study may try: for each algorithm, the options that are given as lists or ranges."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass, fields
from typing import Any

from duckmf import algorithms
from duckmf.algorithms.recipe import Recipe
from duckmf.errors import OptionError
from duckmf.ratings.gathering import Counts

# Options that all trials of a study share: what they are judged by, and how they run.
SHARED = frozenset({"seed", "duplicates", "validation_fraction", "keep_seen", "threads"})
MOST_VALUES = 1000  # of an option: each is checked before the first trial, without a pause


@dataclass(frozen=True)
class Range:
    """Every number from low to high, ends included."""

    low: float
    high: float
    log: bool  # drawn evenly by its logarithm
    whole: bool

    def at(self, share: float) -> float:
        """The number that lies so far along the range, from 0 to 1."""
        low, high = self.low, self.high
        if self.whole:  # each whole number has as much room around it
            low, high = low - 0.5, high + 0.5
        if self.log:
            number = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            number = low + share * (high - low)
        if self.whole:
            number = math.floor(number + 0.5)
        return min(max(number, self.low), self.high)


@dataclass(frozen=True)
class Space:
    """What may be tried with one algorithm."""

    name: str
    fixed: dict[str, Any]
    choices: dict[str, list[Any]]
    ranges: dict[str, Range]


def spaces(algorithm: Any, given: dict[str, Any], counts: Counts) -> list[Space]:
    """Read what a user gave, where every option may be a list of values or a range.

    Raises:
        OptionError: an option that none of the algorithms uses, or a value that they refuse.
    """
    default = "als" if counts.predicts else "implicit_als"
    names = algorithm if isinstance(algorithm, list) else [algorithm]
    if not names:
        raise OptionError("algorithm is []; give at least one.")
    names = list(dict.fromkeys(name or default for name in names))
    given = {name: value for name, value in given.items() if value is not None}
    used = {name: {field.name for field in fields(algorithms.find(name).Options)} for name in names}
    for option in given:
        if len(names) > 1 and not any(option in options for options in used.values()):
            listed = ", ".join(f"'{name}'" for name in names)
            raise OptionError(f"none of {listed} uses {option}; leave it out.")
    return [_space(name, _used(given, used[name], len(names) > 1), counts) for name in names]


def _used(given: dict[str, Any], used: set[str], several: bool) -> dict[str, Any]:
    """What an algorithm uses; beside others it may leave the rest to them."""
    return {name: value for name, value in given.items() if name in used or not several}


def _space(name: str, given: dict[str, Any], counts: Counts) -> Space:
    declared = typing.get_type_hints(algorithms.find(name).Options)
    space = Space(name, {}, {}, {})
    for option, value in given.items():
        kind = declared.get(option)
        if isinstance(value, dict):
            _check_shared(option, value)
            space.ranges[option] = _range(option, value, kind)
        elif _is_listed(value, kind):
            _check_shared(option, value)
            space.choices[option] = _distinct(option, value)
        else:
            space.fixed[option] = value
    Recipe.parse(name, space.fixed, counts)
    for option, values in space.choices.items():
        for value in values:
            Recipe.parse(name, space.fixed | {option: value}, counts)
    for option, span in space.ranges.items():
        for value in (span.low, span.high):
            Recipe.parse(name, space.fixed | {option: value}, counts)
    return space


def _is_listed(value: Any, kind: Any) -> bool:
    """Whether a value is a list of values; an option that takes a list needs a list of lists."""
    if not isinstance(value, list) or typing.get_origin(kind) is not tuple:
        return isinstance(value, list)
    return any(isinstance(element, list) for element in value)


def _check_shared(option: str, value: Any) -> None:
    if option in SHARED:
        raise OptionError(f"{option} is {value!r}; all trials share it, so give one value.")


def _distinct(option: str, values: list[Any]) -> list[Any]:
    if not values:
        raise OptionError(f"{option} is []; give at least one value.")
    if len(values) > MOST_VALUES:
        raise OptionError(
            f"{option} is a list of {len(values):,} values; give at most {MOST_VALUES:,}, or for "
            "numbers a range, as {'min': 1, 'max': 10}."
        )
    return [value for n, value in enumerate(values) if value not in values[:n]]


def _range(option: str, given: dict[str, Any], declared: Any) -> Range:
    kinds = set(typing.get_args(declared) or (declared,))
    low: Any = given.get("min")
    high: Any = given.get("max")
    log: Any = given.get("log", False)
    numbers = all(type(end) in (int, float) for end in (low, high))
    if not numbers or not isinstance(log, bool) or given.keys() - {"min", "max", "log"}:
        raise OptionError(
            f"{option} is {given!r}; give a range as {{'min': 1, 'max': 10}}, "
            "with 'log': true to draw its logarithm."
        )
    if not kinds & {int, float}:
        raise OptionError(f"{option} is {given!r}, but it is no number; give a list.")
    if not low < high or (log and low <= 0):
        least = "min must be below max" + (", and above 0 for 'log'" if log else "")
        raise OptionError(f"{option} is {given!r}; {least}.")
    return Range(low, high, log, float not in kinds)
