"""The row of kind 'model': what it must be for the relation to be a model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from duckmf.errors import DataError
from duckmf.model.temporal import Span
from duckmf.model.uncertainty import Uncertainty

FORMAT = 2  # of the model relation: the one that is written and read

# What `facts` has of `info`, and of its options; the rest of its fields are made from them.
OF_INFO = (
    *("format", "algorithm", "feedback", "users", "items"),
    *("rating_min", "rating_max", "rating_std"),
    *("loss", "epochs", "best_epoch", "train_loss", "validation_loss"),
    *("held_out", "duplicates_merged", "seconds"),
)
OF_OPTIONS = (
    *("n_factors", "solver", "alpha", "unobserved_weight"),
    *("regularization_scaling", "nonnegative"),
)


# What `info` must hold, and of which types.
NUMBER, TEXT = (int, float), (str,)
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(OF_INFO, NUMBER),
    **dict.fromkeys(("algorithm", "feedback", "loss", "trained_at"), TEXT),
    **dict.fromkeys(("options", "versions"), (dict,)),
}
MAY_BE_NULL = frozenset({"best_epoch", "train_loss", "validation_loss"})


@dataclass(frozen=True)
class Head:
    """The row of kind 'model', as far as other rows are solved by it."""

    mu: float
    info: dict[str, Any]
    times: Span | None  # of a model with time terms
    uncertainty: Uncertainty | None = None  # of a Bayesian model

    @classmethod
    def read(cls, given: dict[str, Any]) -> Self:
        """Read what SQL says of a model: mu, info as JSON text, t0, t1, beta, uncertainty.

        Raises:
            DataError: a number is missing or not finite, or info is not as a training writes it.
        """
        if not _is_finite(given["mu"]):
            raise DataError(
                f"the bias of the row of kind 'model' is {given['mu']}, no finite number. "
                "Train again."
            )
        span = _span(given.get("t0"), given.get("t1"), given.get("beta"))
        info = _info(given["info"])
        n_factors = info["options"].get("n_factors") or 0
        sure = Uncertainty.read(given.get("uncertainty"), n_factors)
        return cls(given["mu"], info, span, sure)

    @property
    def algorithm(self) -> str:
        """The SQL name of what it was trained with."""
        name: str = self.info["algorithm"]
        return name

    @property
    def feedback(self) -> str:
        """'explicit' or 'implicit'."""
        feedback: str = self.info["feedback"]
        return feedback

    @property
    def options(self) -> dict[str, Any]:
        """The options as used."""
        options: dict[str, Any] = self.info["options"]
        return options

    @property
    def sigma(self) -> float:
        """The standard deviation of the training ratings; 1 where all are equal."""
        return float(self.info["rating_std"]) or 1.0

    @property
    def usual(self) -> float:
        """D of a model with time terms, see `Temporal`.

        Raises:
            DataError: the model does not say it.
        """
        usual: Any = self.info.get("ts_deviation")
        if not _is_finite(usual):
            raise DataError(
                "this model has time terms, and no ts_deviation in its info; train again."
            )
        return float(usual)

    @property
    def span(self) -> Span:
        """The time of training, of a model with time terms.

        Raises:
            DataError: the model does not say it.
        """
        if self.times is None:
            raise DataError("this model has time terms, and no span of time; train again.")
        return self.times


def _span(t0: Any, t1: Any, beta: Any) -> Span | None:
    if t0 is None or t1 is None or beta is None:
        return None
    if not all(map(_is_finite, (t0, t1, beta))) or t0 > t1:
        raise DataError(f"the span of time of this model is {t0} to {t1}. Train again.")
    return Span(t0, t1, beta)


def _info(text: str | None) -> dict[str, Any]:
    try:
        info = json.loads(text or "null")
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise DataError("the info of this model is no JSON object. Restore it, or train again.")
    for name, kinds in KINDS.items():
        value = info.get(name)
        if value is None and name in MAY_BE_NULL:
            continue
        if not isinstance(value, kinds) or (kinds == NUMBER and not _is_finite(value)):
            raise DataError(
                f"the info of this model says {value!r} for {name}. Restore it, or train again."
            )
    return info


def _is_finite(value: Any) -> bool:
    return type(value) in NUMBER and math.isfinite(value)


def facts_of(info: dict[str, Any]) -> dict[str, Any]:
    """What readers need of an `info`, without JSON."""
    options = info["options"]
    shared = options.get("regularization")
    penalties = {
        name: shared if options.get(name) is None else options[name]
        for name in ("user_regularization", "bias_regularization")
    }
    return {
        **{name: info[name] for name in OF_INFO},
        **{name: options.get(name) for name in OF_OPTIONS},
        **penalties,
        "trained_at": datetime.fromisoformat(info["trained_at"]).replace(tzinfo=None),
        "options": json.dumps(options),
        "versions": json.dumps(info["versions"]),
    }
