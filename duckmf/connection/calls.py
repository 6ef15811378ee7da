"""What the Python functions behind the macros do: Arrow columns in, Arrow columns out.

A mistake of the user is raised without the name of a function. Here it gets the name of the one
that was called, and travels as text in an `error` field: the macro raises it with SQL's `error()`,
so that no trace of Python stands before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from duckmf.algorithms.training import Epoch
from duckmf.arrow import (
    array,
    elements,
    flat,
    lengths,
    lists_from,
    lists_of,
    row,
    rows_of,
    runs_of_equal,
    scalar,
)
from duckmf.connection import functions
from duckmf.connection.arrow_types import arrow_type
from duckmf.connection.connections import Connections
from duckmf.connection.model_heads import heads
from duckmf.errors import DuckMFError
from duckmf.model import incoming
from duckmf.ranking.topk import Layouts, Ranking, Sureness
from duckmf.statements.cross_validate import CrossValidation
from duckmf.statements.fit import Fit
from duckmf.statements.fold_in import FoldIn
from duckmf.statements.project import projected
from duckmf.statements.requests import (
    CrossValidationRequest,
    FitRequest,
    FoldInRequest,
    ProjectionRequest,
    Request,
    TuningRequest,
    UpdateRequest,
)
from duckmf.statements.run import Made, Outcome, Run
from duckmf.statements.tune import FitBest, Tune
from duckmf.statements.underway import Origin, Underway
from duckmf.statements.update import Update

Column: TypeAlias = pa.ChunkedArray

BEGUN = arrow_type(functions.BEGUN)
TAKEN = arrow_type(functions.TAKEN)
LOG = arrow_type(functions.LOG)
ROW = arrow_type(functions.ROW)
MODEL = arrow_type(functions.MODEL)
HEAD = arrow_type(functions.HEAD)
PROJECTED = arrow_type(functions.PROJECTED)
LAID_OUT = arrow_type(functions.LAID_OUT)
PICK = arrow_type(functions.PICK)
PICKED = arrow_type(functions.PICKED)

# what a statement asks for and begins, by the function that was called
BEGIN: dict[str, tuple[type[Request], Callable[[Any], Run]]] = {
    "mf_fit": (FitRequest, Fit),
    "mf_cross_validate": (CrossValidationRequest, CrossValidation),
    "mf_tune": (TuningRequest, Tune),
    "mf_fit_best": (TuningRequest, FitBest),
    "mf_update": (UpdateRequest, Update),
}


def answer(
    shape: pa.StructType, n: int, function: str, work: Callable[[], pa.StructArray]
) -> pa.StructArray:
    """What some work gives, n rows of a shape; or its error in each, in the name of a function."""
    try:
        return work()
    except DuckMFError as error:
        return pa.array([{"error": f"{function}: {error}"}] * n, shape)


class Calls:
    """The calls of the macros, over what is under way in one database instance.

    An argument `after` is not used: the statement makes it first, and so calls in the right order.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.underway = Underway(connections.watch)
        self._layouts = Layouts()

    def begin(self, request: Column, after: Column) -> pa.Array:
        """Check the request and number the run."""
        given = json.loads(scalar(request))
        asked_for, run = BEGIN[given["function"]]

        def begin() -> pa.Array:
            asked = asked_for.read(given)
            origin = Origin(asked.function, asked.statement)
            return row(BEGUN, run=self.underway.add(run(asked), origin))

        return answer(BEGUN, len(request), given["function"], begin)

    def gather(self, run: Column, *columns: Column) -> pa.Array:
        """Take in lists of what `Gathering.take` takes; returns how long each is."""

        def take(training: Any) -> pa.Array:
            training.gathering.take(*map(elements, columns))
            return rows_of(TAKEN, (lengths(columns[0]), None))

        return self._of_run(run, TAKEN, take)

    def stored(self, run: Column, kinds: Column, lists: Column) -> pa.Array:
        """Take in rows of a model that the run begins with: what a `Batch` holds, in lists."""

        def store(begun: Any) -> pa.Array:
            for n, kind in enumerate(kinds.to_pylist()):
                begun.store(f"{kind}s", lists.slice(n, 1))
            return rows_of(TAKEN, (lengths(lists.flatten()[0]), None))

        return self._of_run(run, TAKEN, store)

    def start(
        self, run: Column, n_rows: Column, n_users: Column, n_items: Column, after: Column
    ) -> pa.Array:
        """All rows are in, those of a model too: get ready for the first epoch."""
        counts = scalar(n_rows), scalar(n_users), scalar(n_items)
        return self._of_run(run, LOG, lambda training: _log(training, training.start(*counts)))

    def epoch(self, run: Column) -> pa.Array:
        """Train one epoch."""
        return self._of_run(run, LOG, lambda training: _log(training, training.epoch()))

    def user_rows(self, run: Column, codes: Column, after: Column) -> pa.Array:
        """The model's rows of some users."""
        return self._of_run(run, ROW, lambda training: _rows(training.user_rows(array(codes))))

    def item_rows(self, run: Column, codes: Column, after: Column) -> pa.Array:
        """The model's rows of some items."""
        return self._of_run(run, ROW, lambda training: _rows(training.item_rows(array(codes))))

    def finish(self, run: Column, after: Column) -> pa.Array:
        """What the model says of itself; the run is over."""
        finished = self._of_run(run, MODEL, lambda training: _head(training.finish()))
        self.underway.forget(scalar(run))
        return finished

    def _of_run(
        self, run: Column, shape: pa.StructType, step: Callable[[Any], pa.Array]
    ) -> pa.Array:
        number = scalar(run)

        def work() -> pa.Array:
            with self.underway.use(number, Run) as training, training.lock:
                return step(training)

        return answer(shape, len(run), self.underway.function(number), work)

    def lay_out(
        self,
        caller: Column,
        connection: Column,
        query: Column,
        threads: Column,
        cosine: Column,
        fused: Column,
        *columns: Column,
    ) -> pa.Array:
        """Lay items out to be ranked, from lists of codes, places, weights and factors.

        And a risk, with lists of the variances of weights and factors.
        """
        function, how = scalar(caller), (scalar(cosine), scalar(fused), scalar(threads))
        origin = Origin(function, (scalar(connection), scalar(query)))

        def lay_out(*given: Column) -> pa.Array:
            *lists, risk, bias, factors = given
            sure = None
            if scalar(risk):
                sure = Sureness(*incoming.variances(flat(bias), flat(factors)), scalar(risk))
            ranking = self._layouts.ranking(*incoming.items(*map(flat, lists)), *how, sure)
            return row(LAID_OUT, number=self.underway.add(ranking, origin))

        def work() -> pa.Array:
            rows = range(len(caller))
            return pa.concat_arrays(
                [lay_out(*(column.slice(n, 1) for column in columns)) for n in rows]
            )

        return answer(LAID_OUT, len(caller), function, work)

    def top(self, ranking: Column, k: Column, *users: Column) -> pa.Array:
        """The best items of some users, the best first, without those that they have seen.

        A row is a ranking, k, and a user's weight, factors and seen codes. Lateral columns bring
        several rankings or lengths at once.
        """
        parts = [
            self._top(
                ranking[begin].as_py(), k[begin].as_py(), *(part[begin:end] for part in users)
            )
            for begin, end in runs_of_equal(ranking, k)
        ]
        return pa.concat_arrays(parts)

    def _top(self, number: int, k: int, *users: Column) -> pa.Array:
        def work() -> pa.Array:
            with self.underway.use(number, Ranking) as ranking:
                codes, scores, counts = ranking.top(k, *incoming.users(*users))
            return rows_of(PICKED, (lists_from(counts, rows_of(PICK, (codes, scores))), None))

        return answer(PICKED, len(users[0]), self.underway.function(number), work)

    def fixed(self, request: Column, fixed: Column, rivals: Column) -> pa.Array:
        """Lay one side of a model out, from one row of lists of it and of its rivals."""
        given = json.loads(scalar(request))

        def work() -> pa.Array:
            asked = FoldInRequest.read(given)
            fold_in = FoldIn(asked, incoming.batch(fixed), incoming.batch(rivals))
            origin = Origin(asked.function, asked.statement)
            return row(LAID_OUT, number=self.underway.add(fold_in, origin))

        return answer(LAID_OUT, len(request), given["function"], work)

    def solve(self, model: Column, *columns: Column) -> pa.Array:
        """Rows of the other side, from lists of codes, ratings, times and what was stored."""
        number = scalar(model)

        def work() -> pa.Array:
            codes, ratings, times, *stored = columns
            given = lists_of(codes), lists_of(ratings), lists_of(times)
            with self.underway.use(number, FoldIn) as fold_in:
                return _rows(fold_in.rows(*given, incoming.seen(*stored)))

        return answer(ROW, len(model), self.underway.function(number), work)

    def project(
        self, request: Column, n: Column, bias: Column, factors: Column, known: Column, new: Column
    ) -> pa.Array:
        """The rows of a model for what has no ratings, from its content: one list of them."""
        given = json.loads(scalar(request))

        def work() -> pa.Array:
            asked = ProjectionRequest.read(given)
            terms = projected(n, (bias, factors), known, new, asked.regularization)
            rows = rows_of(PROJECTED.field("rows").type.value_type, terms)
            return rows_of(PROJECTED, (lists_from(np.array([len(rows)], np.int32), rows), None))

        return answer(PROJECTED, len(request), given["function"], work)

    project_numbers = project_texts = project

    def model_head(self, names: Column) -> pa.Array:
        """What there is to say of relations that have the shape of a model."""

        def work() -> pa.Array:
            return pa.array(heads(self._connections, names.to_pylist()), HEAD)

        return answer(HEAD, len(names), "mf_models", work)


def _log(training: Any, epoch: Epoch | None) -> pa.Array:
    return row(LOG, more=training.between_epochs, **(asdict(epoch) if epoch else {}))


def _rows(made: Made) -> pa.Array:
    return rows_of(ROW, [getattr(made, field.name, None) for field in ROW])


def _head(outcome: Outcome) -> pa.Array:
    return row(
        MODEL,
        ratings=outcome.ratings,
        bias=outcome.mu,
        temporal=outcome.temporal,
        facts=outcome.facts,
        uncertainty=outcome.uncertainty,
        info=json.dumps(outcome.info),
    )
