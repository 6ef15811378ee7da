"""Options: how an algorithm declares them, and how what a user wrote becomes them.

An algorithm's options are a frozen dataclass that extends `Options`. Each field carries its
default, its range and a line of documentation through `option()`; `parse` is the only reader.
"""

from __future__ import annotations

import math
import types
import typing
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self

from duckmf.errors import OptionError


def option(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Declare an option: its default, what it means, and the values it takes (ends included)."""
    metadata = {"doc": doc, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that every algorithm has."""

    seed: int = option(42, "where all randomness comes from", low=0, high=2**63 - 1)
    threads: int | None = option(None, "threads to train on; DuckDB's own setting if NULL", low=1)
    keep_seen: bool = option(True, "store each user's training items, so that they can be left out")
    duplicates: str = option(
        "mean",
        "what several rows of one user and item mean",
        choices=("mean", "sum", "last", "max", "error"),
    )
    validation_fraction: float | None = option(
        None, "share of the rows held out for early stopping", low=0.0, high=0.9
    )
    patience: int | None = option(
        None, "epochs without an improvement before training stops", low=1, high=10_000
    )
    tolerance: float = option(1e-4, "the smallest improvement of the loss that counts", low=0.0)
    relative_tolerance: float = option(
        0.0,
        "the same as a share of the loss; an improvement has to be larger than both",
        low=0.0,
        high=0.99,
    )

    @classmethod
    def parse(cls, given: dict[str, Any], algorithm: str) -> Self:
        """Read the options a user gave; those left NULL take their default.

        Raises:
            OptionError: a name that the algorithm does not use, or a value out of range.
        """
        known = {f.name: f for f in fields(cls)}
        types_of = typing.get_type_hints(cls)
        values = {}
        for name, value in given.items():
            if value is None:
                continue
            if name not in known:
                raise OptionError(_not_used(name, algorithm, list(known)))
            values[name] = _checked(known[name], types_of[name], value)
        return cls(**values)


def _not_used(name: str, algorithm: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Its options are {', '.join(sorted(known))}."
    return f"algorithm '{algorithm}' does not use {name}; leave it out. {hint}"


def _checked(f: Field[Any], declared: Any, value: Any) -> Any:
    if typing.get_origin(declared) is tuple:
        return _choices(f, value)
    kinds = [t for t in _members(declared) if t is not types.NoneType]
    kind = kinds[0]
    if kind is bool:
        valid = isinstance(value, bool)
    elif kind is int:
        valid = _is_number(value) and float(value).is_integer()
    elif kind is float:
        valid = _is_number(value)
    else:
        valid = isinstance(value, kind)
    if not valid or not _in_range(f, kind(value)):
        raise OptionError(f"{f.name} is {value!r}; give {_expected(f, kind)}.")
    return kind(value)


def _choices(f: Field[Any], value: Any) -> tuple[str, ...]:
    """Some of the choices, in their own order; a text is a list of one, or 'all'."""
    known: tuple[str, ...] = f.metadata["choices"]
    if value == "all":
        return known
    given = value if isinstance(value, list) else [value]
    for choice in given:
        if choice not in known:
            raise OptionError(f"{f.name} holds {choice!r}; give a list of " + _quoted(known) + ".")
    return tuple(choice for choice in known if choice in given)


def _quoted(choices: tuple[str, ...]) -> str:
    return ", ".join(f"'{choice}'" for choice in choices)


def _in_range(f: Field[Any], value: Any) -> bool:
    low, high, choices = (f.metadata[key] for key in ("low", "high", "choices"))
    return (
        (low is None or value >= low)
        and (high is None or value <= high)
        and (choices is None or value in choices)
    )


def _members(declared: Any) -> tuple[Any, ...]:
    return typing.get_args(declared) or (declared,)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _expected(f: Field[Any], kind: type) -> str:
    low, high, choices = (f.metadata[key] for key in ("low", "high", "choices"))
    if choices is not None:
        return "one of " + _quoted(choices)
    noun = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a text")
    if low is not None and high is not None:
        return f"{noun} from {low} to {high}"
    return noun if low is None else f"{noun} of at least {low}"


def check_flag(name: str, value: Any) -> bool:
    """Whether something is wanted, among the other arguments of a function.

    Raises:
        OptionError: it is neither true nor false.
    """
    if not isinstance(value, bool):
        raise OptionError(f"{name} is {value!r}; give true or false.")
    return value


def check_count(name: str, value: Any, low: int, high: int) -> int:
    """A whole number among the other arguments of a function.

    Raises:
        OptionError: it is none, or out of range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or value != int(value):
        raise OptionError(f"{name} is {value!r}; give a whole number from {low} to {high}.")
    return int(value)
