"""A model for dashboards: the relations of `sql/publish.sql` under names that BI tools list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from duckmf.connection import plugin, sqlfiles
from duckmf.connection.plugin import quoted
from duckmf.errors import DataError

# What every BI tool shows, and what smaller numbers become; ids of other types become text.
SHOWN = frozenset({"INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "TIMESTAMP"})
WIDENED = {
    "TINYINT": "INTEGER",
    "SMALLINT": "INTEGER",
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
}
LISTS = ("recommendations", "similar_items")


@dataclass(frozen=True)
class Titles:
    """Where the titles of items are: a table, its column of ids and its column of titles."""

    table: str
    id: str
    title: str


def publish(
    con: duckdb.DuckDBPyConnection,
    model: str,
    titles: Titles | None = None,
    *,
    k: int = 10,
    store: bool = True,
) -> list[str]:
    """Make five relations of a model in the current schema; returns their names.

    `{model}_recommendations` and `{model}_similar_items` are tables of the lists as they are now,
    `{model}_predictions` is a view of two tables that hold the users and the items as they are now,
    `mf__{model}_users` and `mf__{model}_items`. With `store=False` all three are views that follow
    the model and compute more when they are read. `{model}_model` and `{model}_training` are views.
    None of them holds Python: the macros that they call are persisted beside them. Older ones are
    replaced, in one transaction on a connection of its own.

    Raises:
        DataError: the name of the model cannot be an argument of a stored macro.
        duckdb.Error: a table or a column does not exist.
    """
    if '"' in model:
        raise DataError(
            f"publish: the model is named {model}; DuckDB 1.x and 2.0 read a double quote in the "
            "name of a macro's argument differently. Give the table another name."
        )
    cursor = plugin.beside(con)
    plugin.load(cursor)
    cursor.begin()
    try:
        cursor.execute(sqlfiles.pure())
        queries = _queries(cursor, model, titles, k)
        sides = _sides(cursor, model, titles)
        for name, query in sides.items():
            _drop(cursor, name)
            if store:
                cursor.execute(f"create table {quoted(name)} as {query}")
        if store:
            queries["predictions"] = _pairs(sides, titles)
        for part, query in queries.items():
            kind = "table" if store and part in LISTS else "view"
            _drop(cursor, f"{model}_{part}")
            cursor.execute(f"create {kind} {quoted(f'{model}_{part}')} as {query}")
        cursor.commit()
    finally:
        cursor.close()  # takes back what was not committed
    return [f"{model}_{part}" for part in (*LISTS, "predictions", "model", "training")]


def _queries(
    cursor: duckdb.DuckDBPyConnection, model: str, titles: Titles | None, k: int
) -> dict[str, str]:
    """The query of each relation."""
    user, item = _shown(cursor, model, "user_id"), _shown(cursor, model, "item_id")
    similar = item.replace("item_id", "similar_item_id")
    title, join = _title(titles, "item_id", "title")
    similar_title, similar_join = _title(titles, "similar_item_id", "similar_title")
    calls = {part: f"mf_publish_{part}({_relation(model)}" for part in (*LISTS, "predictions")}
    return {
        "recommendations": f"select r.* replace ({user}, {item}){title} "
        f"from {calls['recommendations']}, k := {k:d}) r {join} order by r.user_id, r.rank",
        "similar_items": f"select r.* replace ({item}, {similar}){title}{similar_title} "
        f"from {calls['similar_items']}, k := {k:d}) r {join} {similar_join} "
        "order by r.item_id, r.rank",
        "predictions": f"select r.* replace ({user}, {item}){title} "
        f"from {calls['predictions']}) r {join}",
        "model": f"from mf_publish_model({_relation(model)})",
        "training": f"from mf_publish_training({_relation(model)})",
    }


def _sides(cursor: duckdb.DuckDBPyConnection, model: str, titles: Titles | None) -> dict[str, str]:
    """The queries of the tables that predictions are made from, by the names of the tables."""
    user, item = _shown(cursor, model, "user_id"), _shown(cursor, model, "item_id")
    title, join = _title(titles, "item_id", "title")
    return {
        f"mf__{model}_users": f"select r.* replace ({user}) "
        f"from mf_publish_users({_relation(model)}) r order by r.user_id",
        f"mf__{model}_items": f"select r.* replace ({item}){title} "
        f"from mf_publish_items({_relation(model)}) r {join} order by r.item_id",
    }


def _pairs(sides: Iterable[str], titles: Titles | None) -> str:
    """The query of the predictions from these tables."""
    title = "" if titles is None else ", title"
    return (
        f"select user_id, item_id, prediction, prediction_source{title} "
        f"from mf_publish_pairs({', '.join(map(_relation, sides))})"
    )


def _shown(cursor: duckdb.DuckDBPyConnection, model: str, column: str) -> str:
    """An id as BI tools can show it, under its own name."""
    rows = cursor.execute(f"describe select {column} from {quoted(model)}").fetchall()
    kind = str(rows[0][1])
    shown = kind if kind in SHOWN else WIDENED.get(kind, "VARCHAR")
    return f"r.{column}::{shown} as {column}"


def _title(titles: Titles | None, column: str, name: str) -> tuple[str, str]:
    """A column of titles, and the join that brings it."""
    if titles is None:
        return "", ""
    alias = f"of_{name}"
    return (
        f", {alias}.{quoted(titles.title)}::varchar as {name}",
        f"left join {quoted(titles.table)} {alias} on {alias}.{quoted(titles.id)} = r.{column}",
    )


def _drop(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
    """Drop the table or view of this name in the current schema, if there is one."""
    found = cursor.execute(
        "select table_type from information_schema.tables "
        "where table_schema = current_schema() and table_catalog = current_database() "
        "and table_name = $1",
        [name],
    ).fetchall()
    for (old,) in found:
        cursor.execute(f"drop {'view' if old == 'VIEW' else 'table'} {quoted(name)}")


def _relation(name: str) -> str:
    """A name as the argument of a macro: quoted, in text, which every DuckDB takes for one name."""
    return "'" + quoted(name).replace("'", "''") + "'"
