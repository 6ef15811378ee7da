"""What every algorithm is tested as: each one that is registered, and some with other options."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from duckmf import algorithms
from duckmf.options import Options


@dataclass(frozen=True)
class Case:
    """An algorithm with options of its own, and how its functions are called in SQL."""

    algorithm: str
    options: dict[str, Any] = field(default_factory=dict)
    times: bool = False  # given whether it needs them or not

    @property
    def defaults(self) -> Options:
        """Every option, where none is given."""
        return algorithms.find(self.algorithm).Options()

    @property
    def known(self) -> set[str]:
        """The names of its options."""
        return {option.name for option in dataclasses.fields(self.defaults)}

    @property
    def has_factors(self) -> bool:
        """Whether it can learn who likes what, and not only what is liked."""
        return "n_factors" in self.known

    @property
    def is_implicit(self) -> bool:
        """Whether it ranks, and predicts no rating."""
        return algorithms.find(self.algorithm).feedback == "implicit"

    @property
    def needs_times(self) -> bool:
        """Whether it has time terms, so that every call needs ts."""
        return bool(self.options.get("temporal", getattr(self.defaults, "temporal", ())))

    def fit(self, source: str = "ratings", **more: Any) -> str:
        """The call that trains it."""
        return self.call("mf_fit", source, algorithm=self.algorithm, **self.options | more)

    def call(self, function: str, *relations: str, **options: Any) -> str:
        """A call of any function that takes ratings of a user for an item at a time."""
        columns = ["user_id", "item_id", "rating", *["ts"] * (self.times or self.needs_times)]
        named = [f"{name} := {literal(value)}" for name, value in options.items()]
        return f"{function}({', '.join([*relations, *columns, *named])})"

    def quick(self, **more: Any) -> dict[str, Any]:
        """Few factors and epochs, or others; those of them that it has."""
        few = {"n_factors": 4, "epochs": 4} | more
        return {name: value for name, value in few.items() if name in self.known}


class Name(str):
    """A text that is no literal in SQL, but names a relation."""


def literal(value: Any) -> str:
    """A value of Python in SQL."""
    if isinstance(value, Name):
        return value
    if isinstance(value, str | bytes):
        return repr(value)
    if isinstance(value, tuple):
        return str(list(value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


CASES = {name: Case(name) for name in algorithms.NAMES} | {
    "als, nonnegative": Case("als", {"nonnegative": True}),
    "als, in time": Case("als", {"temporal": "all"}),
    "svd, in time": Case("svd", {"temporal": "all"}),
    "bias, in time": Case("bias", {"temporal": "all"}),
    "implicit_als, cg": Case("implicit_als", {"solver": "cg"}),
    "bpr, popular negatives": Case("bpr", {"negative_sampling": "popularity"}),
}
