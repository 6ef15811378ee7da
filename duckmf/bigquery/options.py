"""OPTIONS(...) of CREATE MODEL: what each means for mf_fit, or why it is refused.

BigQuery's own options, and what they are for its two algorithms, `als` and `implicit_als`:

MODEL_TYPE           'MATRIX_FACTORIZATION'
FEEDBACK_TYPE        'EXPLICIT' (the default) trains als, 'IMPLICIT' implicit_als
USER_COL, ITEM_COL, RATING_COL    columns of the query: 'user', 'item', 'rating'
NUM_FACTORS          n_factors; by default log2 of the number of training rows, 2 to 200
MAX_ITERATIONS       epochs (20)
L2_REG               lambda of the loss as BigQuery's manual writes it (1.0): it is not multiplied
                     by the number of ratings of a row, nor by their deviation.
                     als: regularization = L2_REG / stddev_pop(rating), regularization_scaling = 0,
                     bias_regularization = L2_REG (the manual's loss leaves the intercepts out);
                     implicit_als: regularization = L2_REG, regularization_scaling = 0
WALS_ALPHA           alpha (40.0), with unobserved_weight = 1; only for 'IMPLICIT'
EARLY_STOP           patience = 1 (true): stop after the first epoch that gains too little
MIN_REL_PROGRESS     relative_tolerance: what is too little, as a share of the loss (0.01). The loss
                     of als is the mean squared error; that of rows held out decides, if there are
DATA_SPLIT_...       the rows that are held out, see holdout.py
NUM_TRIALS, ...      options that are searched, see hparams.py

All options of mf_fit are taken beside them, under their own names; ts and validation name columns
of the query. Of two options that say the same only one may be given. The defaults above hold for
als and implicit_als; another `algorithm` keeps its own, and takes NUM_FACTORS, MAX_ITERATIONS,
EARLY_STOP and MIN_REL_PROGRESS where it has such an option.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from duckmf.bigquery.holdout import DataSplit, split_of
from duckmf.bigquery.hparams import SEARCHED, default_searches, search_arguments, search_sql
from duckmf.bigquery.names import identifier, literal
from duckmf.bigquery.reader import Constant, HparamValues
from duckmf.connection import sqlfiles
from duckmf.errors import BigQueryError

TRAIN = "mf__bq_train"  # the relation of the rows that are not held out
NO_PATIENCE_LIMIT = 10_000  # epochs: mf_fit's largest patience, and its most epochs

REFUSED = {
    "LEARN_RATE": "BigQuery's algorithms have none; algorithm = 'svd' takes learning_rate",
    "LEARN_RATE_STRATEGY": "it belongs to linear models; leave it out",
    "LS_INIT_LEARN_RATE": "it belongs to linear models; leave it out",
    "L1_REG": "it belongs to linear models; give L2_REG",
    "WARM_START": "BigQuery has none for matrix factorization; leave it out",
    "MODEL_REGISTRY": "a model is a table of this database, in no registry; leave it out",
    "VERTEX_AI_MODEL_ID": "a model is a table of this database, in no registry; leave it out",
    "VERTEX_AI_MODEL_VERSION_ALIASES": "a model has no versions here; leave it out",
    "KMS_KEY_NAME": "a model is encrypted as its database is; ATTACH with an ENCRYPTION_KEY",
}
# What says the same in BigQuery's words and in ours.
SAME = {
    "NUM_FACTORS": ("n_factors",),
    "MAX_ITERATIONS": ("epochs",),
    "L2_REG": ("regularization", "regularization_scaling"),
    "WALS_ALPHA": ("alpha",),
    "EARLY_STOP": ("patience",),
    "MIN_REL_PROGRESS": ("tolerance", "relative_tolerance"),
    "DATA_SPLIT_METHOD": ("validation", "validation_fraction"),
}
DEFAULTS: dict[str, Constant] = {
    "MAX_ITERATIONS": 20,
    "L2_REG": 1.0,
    "EARLY_STOP": True,
    "MIN_REL_PROGRESS": 0.01,
}
NATIVE = {"EXPLICIT": "als", "IMPLICIT": "implicit_als"}
RANKING = ("implicit_als", "bpr")  # the algorithms that learn from strengths
COLUMNS = ("ts", "validation")  # options of mf_fit that name columns here


@dataclass(frozen=True)
class FitCall:
    """What OPTIONS(...) ask of mf_fit."""

    user: str  # names of the query's columns
    item: str
    rating: str
    algorithm: str
    split: DataSplit
    tuned: bool  # by mf_fit_best, else by mf_fit
    arguments: dict[str, str]  # of that function: SQL, which may ask the relation TRAIN


def fit_call(options: dict[str, Constant]) -> FitCall:
    """Read the options of CREATE MODEL.

    Raises:
        BigQueryError: one is unknown, refused, given twice, or has a wrong value.
    """
    own = {name.lower(): value for name, value in options.items() if name.lower() in ours()}
    given = {name: value for name, value in options.items() if name.lower() not in own}
    for name, value in given.items():
        _check(name, value)
    algorithm = _algorithm(given, own)
    search = search_arguments(given, own, algorithm in RANKING)
    if search is not None and algorithm in NATIVE.values():
        searches = default_searches(given, own)
        given |= {name: searches[name] for name in searches if _applies(name, algorithm, own)}
    for name, same in SAME.items():
        if name in given and (twice := [other for other in same if other in own]):
            raise error(f"{name} and {twice[0]} say the same; give one of them.")
    user, item, rating = (
        str(given.get(f"{name}_COL", name.lower())) for name in ("USER", "ITEM", "RATING")
    )
    arguments = _meanings(given, own, algorithm, identifier(rating))
    arguments |= {name: _argument(name, value) for name, value in own.items()}
    arguments |= {"algorithm": literal(algorithm)} | (search or {})
    split = split_of(given, tuned=search is not None)
    return FitCall(user, item, rating, algorithm, split, search is not None, arguments)


def _applies(name: str, algorithm: str, own: dict[str, Constant]) -> bool:
    if name == "WALS_ALPHA" and algorithm != "implicit_als":
        return False
    return not any(same in own for same in SAME[name])


@cache
def ours() -> tuple[str, ...]:
    """The names of mf_fit's options."""
    text = (sqlfiles.folder() / "fit.sql").read_text(encoding="utf-8")
    (parameters,) = re.findall(r"^create or replace macro mf_fit\((.*?)\) as", text, re.M | re.S)
    return tuple(
        name for name in re.findall(r"(\w+) :=", parameters) if name not in ("rating", "warm_start")
    )


def _argument(name: str, value: Constant) -> str:
    if isinstance(value, HparamValues):
        return search_sql(name, value)
    return identifier(str(value)) if name in COLUMNS else literal(value)


def _algorithm(given: dict[str, Constant], own: dict[str, Constant]) -> str:
    feedback = given.get("FEEDBACK_TYPE")
    algorithm = own.get("algorithm")
    if algorithm is None:
        return NATIVE[str(feedback or "EXPLICIT").upper()]
    if feedback is not None and (str(feedback).upper() == "IMPLICIT") != (algorithm in RANKING):
        raise error(
            f"FEEDBACK_TYPE is {feedback!r} but algorithm is {algorithm!r}; give one of them."
        )
    return str(algorithm)


def _meanings(
    given: dict[str, Constant], own: dict[str, Constant], algorithm: str, rating: str
) -> dict[str, str]:
    """The arguments of mf_fit that BigQuery's options stand for, given or by default."""
    native, ranking = algorithm in NATIVE.values(), algorithm in RANKING
    if "WALS_ALPHA" in given and algorithm != "implicit_als":
        raise error("WALS_ALPHA belongs to FEEDBACK_TYPE = 'IMPLICIT'; leave it out.")
    if "L2_REG" in given and not native:
        raise error(f"L2_REG is no option of algorithm = '{algorithm}'; give regularization.")
    defaults = DEFAULTS if native else {}
    if algorithm == "implicit_als":
        defaults = defaults | {"WALS_ALPHA": 40.0}
    values = {
        name: value
        for name, value in (defaults | given).items()
        if not any(same in own for same in SAME.get(name, ()))
    }
    arguments: dict[str, str] = {}
    if "NUM_FACTORS" in values:
        arguments["n_factors"] = _argument("NUM_FACTORS", values["NUM_FACTORS"])
    elif native and "n_factors" not in own:
        arguments["n_factors"] = (
            f"(SELECT greatest(2, least(200, round(log2(count(*)))))::INTEGER FROM {TRAIN})"
        )
    if "MAX_ITERATIONS" in values:
        arguments["epochs"] = literal(values["MAX_ITERATIONS"])
    if "L2_REG" in values:
        arguments |= _penalty(values["L2_REG"], ranking, rating)
    if "WALS_ALPHA" in values:
        alpha = _argument("WALS_ALPHA", values["WALS_ALPHA"])
        arguments |= {"alpha": alpha, "unobserved_weight": "1"}
    return arguments | _stopping(values, ranking)


def _penalty(l2: Constant, ranking: bool, rating: str) -> dict[str, str]:
    if ranking:
        return {"regularization": _argument("L2_REG", l2), "regularization_scaling": "0"}
    scale = f" / coalesce(nullif(stddev_pop({rating}), 0), 1)"
    searched = isinstance(l2, HparamValues)
    value = search_sql("L2_REG", l2, scale) if isinstance(l2, HparamValues) else literal(l2) + scale
    biases = {} if searched else {"bias_regularization": literal(l2)}
    return {
        "regularization": f"(SELECT {value} FROM {TRAIN})",
        "regularization_scaling": "0",
        **biases,
    }


def _stopping(values: dict[str, Constant], ranking: bool) -> dict[str, str]:
    if "EARLY_STOP" not in values and "MIN_REL_PROGRESS" not in values:
        return {}
    if values.get("EARLY_STOP") is False:
        return {"patience": literal(NO_PATIENCE_LIMIT)}
    arguments = {"patience": "1"} if "EARLY_STOP" in values else {}
    if "MIN_REL_PROGRESS" in values:
        progress = float(values["MIN_REL_PROGRESS"])  # type: ignore[arg-type]  # checked
        # the loss of mf_fit is the root of BigQuery's, except where items are ranked
        share = progress if ranking else 1 - math.sqrt(1 - progress)
        arguments |= {"tolerance": "0", "relative_tolerance": repr(share)}
    return arguments


def _check(name: str, value: Constant) -> None:
    """Refuse an option of BigQuery that is unknown or has a value that it does not take."""
    if name in REFUSED:
        raise error(f"{name} is not honoured: {REFUSED[name]}.")
    if name not in CHECKS:
        near = get_close_matches(name, [*CHECKS, *map(str.upper, ours())], n=1)
        hint = f"Did you mean {near[0]}?" if near else "The README lists the options."
        raise error(f"{name} is no option of a matrix factorization; leave it out. {hint}")
    if isinstance(value, HparamValues):
        if name not in SEARCHED:
            raise error(f"{name} cannot be searched; give one value.")
        return
    expected, fits = CHECKS[name]
    if not fits(value):
        raise error(f"{name} is {value!r}; give {expected}.")


def _number(low: float, high: float = math.inf) -> Callable[[Constant], bool]:
    return lambda v: isinstance(v, int | float) and not isinstance(v, bool) and low <= v <= high


def _count(value: Constant) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _text(*choices: str) -> Callable[[Constant], bool]:
    return lambda v: isinstance(v, str) and bool(v) and (not choices or v.upper() in choices)


CHECKS: dict[str, tuple[str, Callable[[Constant], bool]]] = {
    "MODEL_TYPE": ("'MATRIX_FACTORIZATION'", _text("MATRIX_FACTORIZATION")),
    "FEEDBACK_TYPE": ("'EXPLICIT' or 'IMPLICIT'", _text(*NATIVE)),
    "USER_COL": ("the name of a column", _text()),
    "ITEM_COL": ("the name of a column", _text()),
    "RATING_COL": ("the name of a column", _text()),
    "NUM_FACTORS": ("a whole number of at least 1", _count),
    "MAX_ITERATIONS": ("a whole number of at least 1", _count),
    "L2_REG": ("a number of at least 0", _number(0)),
    "WALS_ALPHA": ("a number of at least 0", _number(0)),
    "EARLY_STOP": ("TRUE or FALSE", lambda v: isinstance(v, bool)),
    "MIN_REL_PROGRESS": ("a number from 0 to 0.99", _number(0, 0.99)),
    "DATA_SPLIT_METHOD": ("the name of a method", _text()),
    "DATA_SPLIT_EVAL_FRACTION": ("a number", _number(0)),
    "DATA_SPLIT_TEST_FRACTION": ("a number", _number(0)),
    "DATA_SPLIT_COL": ("the name of a column", _text()),
    "NUM_TRIALS": ("a whole number from 1 to 100", lambda v: _count(v) and _number(1, 100)(v)),
    "MAX_PARALLEL_TRIALS": ("a whole number from 1 to 5", lambda v: _count(v) and _number(1, 5)(v)),
    "HPARAM_TUNING_ALGORITHM": ("the name of an algorithm", _text()),
    "HPARAM_TUNING_OBJECTIVES": ("one objective", lambda v: isinstance(v, str | list)),
}


def error(what: str) -> BigQueryError:
    """The error of an option."""
    return BigQueryError(f"CREATE MODEL: {what}")
