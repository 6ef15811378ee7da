"""NUM_TRIALS and HPARAM_...: options that are searched, by mf_fit_best.

NUM_TRIALS                most trials, 1 to 100; without it nothing is searched
HPARAM_RANGE(low, high)   in place of a value of NUM_FACTORS, L2_REG, WALS_ALPHA or a number of
                          mf_fit: every number between; of L2_REG evenly by its logarithm
HPARAM_CANDIDATES([...])  one of some values
                          where nothing is searched by name, NUM_FACTORS from 2 to 20, L2_REG from
                          0.001 to 10 and WALS_ALPHA from 0 to 100 are, unless they are given
HPARAM_TUNING_ALGORITHM   'RANDOM_SEARCH' (the default here), 'GRID_SEARCH', or 'VIZIER_DEFAULT',
                          for which TPE stands: it needs the extra duckmf[tune]
HPARAM_TUNING_OBJECTIVES  'MEAN_SQUARED_ERROR' (the default) and 'MEAN_ABSOLUTE_ERROR' for ratings;
                          'MEAN_AVERAGE_PRECISION' (the default) and
                          'NORMALIZED_DISCOUNTED_CUMULATIVE_GAIN' for implicit feedback, those of
                          lists of 10 new items. Others are refused: no trial is judged by them
MAX_PARALLEL_TRIALS       1 to 5: a limit that is kept; trials run one by one, each on all threads

Trials are judged by the rows of DATA_SPLIT_..., see holdout.py; the model is trained on them too,
with the options of the best trial. Where L2_REG is searched, biases pay regularization as well.
"""

from __future__ import annotations

import math

from duckmf.bigquery.names import literal
from duckmf.bigquery.reader import Constant, HparamValues
from duckmf.errors import BigQueryError

SEARCHED = ("NUM_FACTORS", "L2_REG", "WALS_ALPHA")
RANGES: dict[str, list[Constant]] = {
    "NUM_FACTORS": [2, 20],
    "L2_REG": [0.001, 10.0],
    "WALS_ALPHA": [0.0, 100.0],
}
SEARCHES = {"RANDOM_SEARCH": "random", "GRID_SEARCH": "grid", "VIZIER_DEFAULT": "tpe"}
OBJECTIVES = {
    "MEAN_SQUARED_ERROR": "rmse",
    "MEAN_ABSOLUTE_ERROR": "mae",
    "MEAN_AVERAGE_PRECISION": "map",
    "NORMALIZED_DISCOUNTED_CUMULATIVE_GAIN": "ndcg",
}
OF_RANKING = ("map", "ndcg")
NOTED = ("NUM_TRIALS", "HPARAM_TUNING_ALGORITHM", "HPARAM_TUNING_OBJECTIVES", "MAX_PARALLEL_TRIALS")


def search_arguments(
    given: dict[str, Constant], own: dict[str, Constant], ranking: bool
) -> dict[str, str] | None:
    """The arguments of mf_fit_best beside those of mf_fit, in SQL; None where nothing is searched.

    Raises:
        BigQueryError: one is wrong, or given without NUM_TRIALS.
    """
    trials = given.get("NUM_TRIALS")
    if trials is None:
        for name, other in {**given, **own}.items():
            if name in NOTED or isinstance(other, HparamValues):
                raise _error(f"{name} belongs to a search; give NUM_TRIALS too.")
        return None
    objective = _objective(given.get("HPARAM_TUNING_OBJECTIVES"), ranking)
    algorithm = str(given.get("HPARAM_TUNING_ALGORITHM", "RANDOM_SEARCH")).upper()
    if algorithm not in SEARCHES:
        names = ", ".join(f"'{name}'" for name in SEARCHES)
        raise _error(f"HPARAM_TUNING_ALGORITHM is '{algorithm}'; give one of {names}.")
    arguments = {"search": literal(SEARCHES[algorithm]), "objective": literal(objective)}
    if algorithm == "GRID_SEARCH":
        _check_grid([*given.values(), *own.values()], trials)
    else:
        arguments["trials"] = literal(trials)
    return arguments


def default_searches(given: dict[str, Constant], own: dict[str, Constant]) -> dict[str, Constant]:
    """What is searched where NUM_TRIALS is given and nothing is searched by name."""
    values = [*given.values(), *own.values()]
    if any(isinstance(value, HparamValues | list) for value in values if value is not None):
        return {}
    return {
        name: HparamValues("range", list(RANGES[name])) for name in SEARCHED if name not in given
    }


def search_sql(name: str, search: HparamValues, scale: str = "") -> str:
    """Values to try, as mf_fit_best takes them, each with `scale` behind it.

    Raises:
        BigQueryError: they are no numbers in order.
    """
    values = search.values
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if search.kind == "candidates":
        if not values or (scale and len(numbers) < len(values)):
            raise _error(f"{name} has no values to search; give HPARAM_CANDIDATES([1, 2, ...]).")
        return "[" + ", ".join(literal(value) + scale for value in values) + "]"
    if len(numbers) != 2 or len(values) != 2 or numbers[0] > numbers[1]:
        raise _error(f"{name} has no range to search; give HPARAM_RANGE(low, high).")
    low, high = (literal(number) + scale for number in numbers)
    log = ", 'log': true" if name == "L2_REG" else ""
    return f"{{'min': {low}, 'max': {high}{log}}}"


def _objective(given: Constant, ranking: bool) -> str:
    default = "MEAN_AVERAGE_PRECISION" if ranking else "MEAN_SQUARED_ERROR"
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    name = str(default if given is None else given).upper()
    objective = OBJECTIVES.get(name)
    if objective is None or (objective in OF_RANKING) != ranking:
        fitting = (n for n, own in OBJECTIVES.items() if (own in OF_RANKING) == ranking)
        names = ", ".join(f"'{name}'" for name in fitting)
        raise _error(
            f"HPARAM_TUNING_OBJECTIVES is '{name}', by which no trial is judged here; "
            f"give one of {names}."
        )
    return objective


def _check_grid(values: list[Constant], trials: Constant) -> None:
    searches = [value for value in values if isinstance(value, HparamValues)]
    if any(search.kind == "range" for search in searches) or not searches:
        raise _error("HPARAM_TUNING_ALGORITHM 'GRID_SEARCH' takes HPARAM_CANDIDATES alone.")
    size = math.prod(len(search.values) for search in searches)
    if isinstance(trials, int) and size > trials:
        raise _error(
            f"NUM_TRIALS is {trials} but 'GRID_SEARCH' has {size} combinations; "
            "give NUM_TRIALS as many, or 'RANDOM_SEARCH'."
        )


def _error(what: str) -> BigQueryError:
    return BigQueryError(f"CREATE MODEL: {what}")
