"""What SQL asks for: a request for each function, read and checked once, where it arrives."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias

from duckmf.errors import DataError, OptionError
from duckmf.model.factors import SideName
from duckmf.model.head import FORMAT, Head
from duckmf.options import check_count, check_flag
from duckmf.ratings.gathering import Counts
from duckmf.tuning.study import LONGEST_LIST, Wanted

MOST_FOLDS = 1000
MOST_EPOCHS = 1000  # of an update

Statement: TypeAlias = tuple[int, int]  # its connection and its query


@dataclass(frozen=True, kw_only=True)
class Request:
    """What every statement with a source says of itself."""

    function: str  # the one that was called
    statement: Statement
    duckdb_threads: int
    fused: bool  # whether DuckDB multiplies and adds in one rounding
    counts: Counts

    @classmethod
    def read(cls, given: dict[str, Any]) -> Self:
        """The request that `mf__request` writes.

        Raises:
            DuckMFError: an argument, or the model, is not as it should be.
        """
        return cls(
            function=given["function"],
            statement=(given["connection"], given["query"]),
            duckdb_threads=given["duckdb_threads"],
            fused=given["fused"],
            **cls._read(given["asked"], given["counts"], given["model"]),
        )

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The fields that a function has of its own, and the counts."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TrainingRequest(Request):
    """What all functions ask for that train on a source."""

    algorithm: Any  # read by a recipe, together with the options
    options: dict[str, Any]
    progress: bool

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        progress = asked["progress"]
        return {
            "counts": Counts(**counts),
            "algorithm": asked["algorithm"],
            "options": asked["options"],
            "progress": True if progress is None else check_flag("progress", progress),
        }


@dataclass(frozen=True, kw_only=True)
class FitRequest(TrainingRequest):
    """mf_fit."""

    warm_start: Head | None

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        warm_start = None if model is None else _warm_start(model)
        return super()._read(asked, counts, model) | {"warm_start": warm_start}


def _warm_start(model: dict[str, Any]) -> Head:
    """The head of a relation that may be no model."""
    if model["rows"] != 1:
        raise DataError(
            f"the relation of warm_start is not a model: it has {model['rows']} rows of kind "
            "'model', not 1. Pass a table made by mf_fit."
        )
    if model["format"] is None:
        raise DataError(
            "the model of warm_start is of format 1, or its column facts is missing. Train it "
            "again."
        )
    if model["format"] > FORMAT:
        raise DataError(
            f"the model of warm_start has format {model['format']}, made by a newer duckmf. "
            "Upgrade duckmf."
        )
    return Head.read(model)


@dataclass(frozen=True, kw_only=True)
class CrossValidationRequest(TrainingRequest):
    """mf_cross_validate."""

    folds: int
    k: int | None

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        k = asked["k"]
        return {
            "folds": check_count("folds", asked["folds"], 2, MOST_FOLDS),
            "k": None if k is None else check_count("k", k, 1, LONGEST_LIST),
        } | super()._read(asked, counts, model)


@dataclass(frozen=True, kw_only=True)
class TuningRequest(TrainingRequest):
    """mf_tune and mf_fit_best."""

    wanted: Wanted

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        wanted = Wanted(**{field.name: asked[field.name] for field in fields(Wanted)})
        return super()._read(asked, counts, model) | {"wanted": wanted}


@dataclass(frozen=True, kw_only=True)
class SolvingRequest(Request):
    """What functions ask for that solve rows of a model."""

    model: Head
    changed_ids: int  # rows whose ids are others in the types of the model
    duplicates: Any  # read with the options of the model, like threads
    threads: Any

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        assert model is not None, "the statement gives the head of a model"
        return {
            "changed_ids": counts.pop("changed_ids"),
            "counts": Counts(**counts),
            "model": Head.read(model),
            "duplicates": asked["duplicates"],
            "threads": asked["threads"],
        }


@dataclass(frozen=True, kw_only=True)
class UpdateRequest(SolvingRequest):
    """mf_update."""

    epochs: int | None

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        epochs = asked["epochs"]
        own = None if epochs is None else check_count("epochs", epochs, 1, MOST_EPOCHS)
        return super()._read(asked, counts, model) | {"epochs": own}


@dataclass(frozen=True, kw_only=True)
class ProjectionRequest:
    """mf_project_items and mf_project_users."""

    function: str
    regularization: float | None

    @classmethod
    def read(cls, given: dict[str, Any]) -> Self:
        """The request that `mf__project` writes.

        Raises:
            OptionError: the regularization is not as it should be.
        """
        value = given["regularization"]
        if value is not None and not (type(value) in (int, float) and 0 <= value < math.inf):
            raise OptionError(f"regularization is {value!r}; give a number of at least 0.")
        return cls(function=given["function"], regularization=value)


@dataclass(frozen=True)
class Strange:
    """Rows of a source whose user, or item, cannot be found in the model."""

    rows: int
    ids: int
    example: str | None


@dataclass(frozen=True, kw_only=True)
class FoldInRequest(SolvingRequest):
    """mf_fold_in and mf_fold_in_items."""

    solved: SideName
    ignores: bool  # what is unknown
    unknown: Strange  # users, or items, of the fixed side that the model does not have
    damaged: Strange  # that it has in several rows, or without a code
    has_implicit: bool  # whether an item of the model has implicit factors

    @classmethod
    def _read(
        cls, asked: dict[str, Any], counts: dict[str, Any], model: dict[str, Any] | None
    ) -> dict[str, Any]:
        unknown, damaged = (
            Strange(*(counts.pop(f"{what}_{name}") for name in ("rows", "ids", "id")))
            for what in ("unknown", "damaged")
        )
        has_implicit = counts.pop("has_implicit")
        own = super()._read(asked, counts, model)
        if asked["unknown"] not in ("error", "ignore"):
            raise OptionError(f"unknown is {asked['unknown']!r}; give 'error' or 'ignore'.")
        return own | {
            "solved": asked["solved"],
            "ignores": asked["unknown"] == "ignore",
            "unknown": unknown,
            "damaged": damaged,
            "has_implicit": has_implicit,
        }
