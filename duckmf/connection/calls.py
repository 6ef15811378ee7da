"""What the Python functions behind the macros do: Arrow columns in, Arrow columns out.

A mistake of the user travels back as text in an `error` field, and the macro raises it with SQL's
`error()`: so the message begins with the macro's name and not with a trace of Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

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
    vectors,
)
from duckmf.connection import functions
from duckmf.connection.arrow_types import arrow_type
from duckmf.connection.model_heads import heads
from duckmf.errors import DuckMFError, named
from duckmf.model.stored import Batch, Seen
from duckmf.model.temporal_rows import terms_of
from duckmf.ranking.topk import Ranking
from duckmf.statements.cross_validate import CrossValidation
from duckmf.statements.fit import Fit
from duckmf.statements.fold_in import FoldIn
from duckmf.statements.prepared import Prepared
from duckmf.statements.project import projected
from duckmf.statements.registry import Runs
from duckmf.statements.run import Outcome, Run
from duckmf.statements.tune import FitBest, Tune
from duckmf.statements.update import Update

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Column: TypeAlias = pa.ChunkedArray

BEGUN = arrow_type(functions.BEGUN)
LOG = arrow_type(functions.LOG)
ITEM = arrow_type(functions.ITEM)
USER = arrow_type(functions.USER)
MODEL = arrow_type(functions.MODEL)
HEAD = arrow_type(functions.HEAD)
PROJECTED = arrow_type(functions.PROJECTED)
FIXED = arrow_type(functions.FIXED)
SOLVED = arrow_type(functions.SOLVED)
PICK = arrow_type(functions.PICK)

# what a statement begins, by the name of its macro
BEGIN: dict[str, Callable[[dict[str, Any]], Run]] = {
    "mf_fit": Fit,
    "mf_cross_validate": CrossValidation,
    "mf_tune": Tune,
    "mf_fit_best": FitBest,
    "mf_update": Update,
}


def batch(lists: Column) -> Batch:
    """Rows of a model, from one row of a struct of a list of each of their columns."""
    codes, ratings, bias, factors, implicit_factors, temporal, *seen = lists.flatten()
    return Batch(
        np.array(elements(codes)),
        np.array(elements(ratings)),
        np.array(elements(bias)),
        vectors(flat(factors)),
        vectors(flat(implicit_factors)),
        terms_of(flat(temporal)),
        Seen(*(lists_of(flat(column)) for column in seen)),
    )


class Calls:
    """The calls of the macros, over the runs and rankings of one database instance."""

    def __init__(self, connections: Iterable[DuckDBPyConnection]) -> None:
        self.connections = connections
        self.runs = Runs()
        self.rankings: Prepared[Ranking] = Prepared()
        self.fold_ins: Prepared[FoldIn] = Prepared()

    def begin(self, request: Column) -> pa.Array:
        """Check the request and number the run."""
        given = json.loads(scalar(request))
        function = given["function"]
        try:
            return row(BEGUN, run=self.runs.add(BEGIN[function](given | given.pop("asked"))))
        except DuckMFError as error:
            return row(BEGUN, error=str(named(error, function)))

    def gather(self, run: Column, *columns: Column) -> pa.Array:
        """Take in lists of what `Gathering.take` takes; returns how long each is."""
        with self.runs.use(scalar(run)) as training:
            training.gathering.take(*map(elements, columns))
        return lengths(columns[0])

    def stored(self, run: Column, kinds: Column, lists: Column) -> pa.Array:
        """Take in rows of a model that the run begins with: what a `Batch` holds, in lists."""
        with self.runs.use(scalar(run)) as begun:
            for n, kind in enumerate(kinds.to_pylist()):
                begun.store(f"{kind}s", batch(lists.slice(n, 1)))
        return lengths(lists.flatten()[0])

    def start(
        self, run: Column, n_rows: Column, n_users: Column, n_items: Column, n_stored: Column
    ) -> pa.Array:
        """All rows are in, those of a model too: get ready for the first epoch."""
        counts = scalar(n_rows), scalar(n_users), scalar(n_items)
        return self._log(run, lambda training: training.start(*counts))

    def epoch(self, run: Column) -> pa.Array:
        """Train one epoch."""
        return self._log(run, lambda training: training.epoch())

    def _log(self, run: Column, step: Callable[[Any], Epoch | None]) -> pa.Array:
        try:
            with self.runs.use(scalar(run)) as training:
                done = step(training)
                more = training.between_epochs
        except DuckMFError as error:
            return row(LOG, more=False, error=str(error))
        return row(LOG, more=more, **(asdict(done) if done else {}))

    def user_rows(self, run: Column, codes: Column, epochs: Column) -> pa.Array:
        """The model's rows of some users."""
        with self.runs.use(scalar(run)) as training:
            return rows_of(USER, training.user_rows(array(codes)))

    def item_rows(self, run: Column, codes: Column, epochs: Column) -> pa.Array:
        """The model's rows of some items."""
        with self.runs.use(scalar(run)) as training:
            return rows_of(ITEM, training.item_rows(array(codes)))

    def finish(self, run: Column, n_rows: Column) -> pa.Array:
        """What the model says of itself; the run is over."""
        number = scalar(run)
        with self.runs.use(number) as training:
            outcome: Outcome = training.finish()
        self.runs.forget(number)
        return row(
            MODEL,
            ratings=outcome.ratings,
            bias=outcome.mu,
            temporal=outcome.temporal,
            facts=outcome.facts,
            info=json.dumps(outcome.info),
        )

    def lay_out(self, *columns: Column) -> pa.Array:
        """Lay items out to be ranked; a row is the statement (connection and query), threads,
        cosine, fused, and lists of codes, places, weights and factors.
        """
        rows = [[column.slice(n, 1) for column in columns] for n in range(len(columns[0]))]
        return pa.array([self._lay_out(*row) for row in rows], pa.int64())

    def _lay_out(
        self,
        connection: Column,
        query: Column,
        threads: Column,
        cosine: Column,
        fused: Column,
        *columns: Column,
    ) -> int:
        codes, places, weights = map(elements, columns[:3])
        Q = vectors(flat(columns[3]))
        how = scalar(cosine), scalar(fused), scalar(threads)
        ranking = Ranking(codes, places, weights, Q, *how)
        return self.rankings.add(ranking, (scalar(connection), scalar(query)))

    def top(self, ranking: Column, k: Column, *users: Column) -> pa.Array:
        """The best items of some users, the best first, without those that they have seen.

        A row is a ranking, k, and a user's weight, factors and seen codes. Lateral columns bring
        several rankings or lengths at once.
        """
        parts = [
            self._top(
                ranking[begin].as_py(), k[begin].as_py(), *(column[begin:end] for column in users)
            )
            for begin, end in runs_of_equal(ranking, k)
        ]
        return pa.concat_arrays(parts)

    def _top(
        self, ranking: int, k: int, weights: Column, factors: Column, seen: Column
    ) -> pa.Array:
        users = array(weights), vectors(factors), *lists_of(seen)
        codes, scores, counts = self.rankings.use(ranking).top(k, *users)
        return lists_from(counts, rows_of(PICK, (codes, scores)))

    def project(
        self, request: Column, n: Column, bias: Column, factors: Column, known: Column, new: Column
    ) -> pa.Array:
        """The rows of a model for what has no ratings, from its content: one list of them."""
        asked = json.loads(scalar(request))
        try:
            rows = projected(n, (bias, factors), known, new, asked["regularization"])
        except DuckMFError as error:
            return row(PROJECTED, error=f"{asked['function']}: {error}")
        return rows_of(PROJECTED, (lists_from(np.array([len(rows)], np.int32), rows), None))

    project_numbers = project_texts = project

    def model_head(self, names: Column) -> pa.Array:
        """What there is to say of relations that have the shape of a model."""
        return pa.array(heads(self.connections, names.to_pylist()), HEAD)

    def fixed(self, request: Column, fixed: Column, rivals: Column) -> pa.Array:
        """Lay one side of a model out, from one row of lists of it and of its rivals."""
        asked = json.loads(scalar(request))
        asked |= asked.pop("asked")
        try:
            fold_in = FoldIn(asked, batch(fixed), batch(rivals))
        except DuckMFError as error:
            return row(FIXED, error=str(named(error, asked["function"])))
        number = self.fold_ins.add(fold_in, (asked["connection"], asked["query"]))
        return row(FIXED, model=number)

    def solve(self, model: Column, *columns: Column) -> pa.Array:
        """Rows of the other side, from lists of codes, ratings, times and what was stored."""
        fold_in = self.fold_ins.use(scalar(model))
        try:
            codes, ratings, times, *seen = (lists_of(column) for column in columns)
            return rows_of(SOLVED, (*fold_in.rows(codes, ratings, times, Seen(*seen)), None))
        except DuckMFError as error:
            text = str(named(error, fold_in.function))
            return pa.array([{"error": text}] * len(model), SOLVED)
