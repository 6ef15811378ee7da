"""What `mf_models` reads of each model that it finds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import duckdb

from duckmf.errors import DataError

HEAD = """
select
    h.models, h.facts.algorithm, h.facts.feedback, h.facts.n_factors, h.facts.loss,
    h.facts.train_loss, h.facts.validation_loss, h.facts.trained_at, h.facts.seconds,
    h.users, h.items, h.ratings, h.bytes, null::varchar as problem
from (
    select
        count(*) filter (where m.kind = 'model') as models,
        any_value(m.facts) filter (where m.kind = 'model') as facts,
        count(*) filter (where m.kind = 'user') as users,
        count(*) filter (where m.kind = 'item') as items,
        any_value(m.ratings) filter (where m.kind = 'model') as ratings,
        4 * sum(coalesce(len(m.factors), 0) + 2 * coalesce(len(m.seen), 0))::bigint as bytes
    from {} m
) h
"""


def heads(
    connections: Iterable[duckdb.DuckDBPyConnection], names: Iterable[str]
) -> list[dict[str, Any]]:
    """A row of `HEAD` for each relation, named as SQL writes it; `problem` where it has none.

    They are read in a transaction of their own: the connection that asks is busy with asking.
    """
    cursor = _cursor(connections)
    try:
        return [_head(cursor, name) for name in names]
    finally:
        cursor.close()


def _cursor(connections: Iterable[duckdb.DuckDBPyConnection]) -> duckdb.DuckDBPyConnection:
    for connection in connections:
        with contextlib.suppress(duckdb.ConnectionException):  # closed, but not yet forgotten
            return connection.cursor()
    raise DataError("no connection is loaded any more; load duckmf again.")


def _head(cursor: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    try:
        found = cursor.execute(HEAD.format(name))
        columns = [column[0] for column in found.description]
        return dict(zip(columns, found.fetchall()[0], strict=True))
    except duckdb.Error as error:
        return {"problem": str(error)}
