"""A model for dashboards: the relations of `sql/publish.sql` under names that BI tools list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import duckdb

from duckmf.connection import installing, plugin
from duckmf.connection.relations import NamedRelation, Place, place_of, quoted, relation_of
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
MADE = "Made by duckmf publish"  # how the comment of what may be replaced begins
# relations of a name, and their comments, in the schema in use
FIND = """
select 'table' as kind, table_name, coalesce(comment, '') from duckdb_tables()
where lower(table_name) = lower($1) and schema_name = current_schema()
    and database_name = current_database()
union all
select 'view', view_name, coalesce(comment, '') from duckdb_views()
where lower(view_name) = lower($1) and schema_name = current_schema()
    and database_name = current_database()
"""


@dataclass(frozen=True)
class Titles:
    """Where the titles of items are: a table, its column of ids and its column of titles."""

    table: str
    id: str
    title: str


@dataclass(frozen=True)
class PublishedModel:
    """A model and its titles, as they are called in the schema that is published to."""

    name: str  # of the model, alone
    model: str  # SQL
    titles: Titles | None = None  # its table is SQL


def publish(
    con: duckdb.DuckDBPyConnection,
    model: str,
    titles: Titles | None = None,
    *,
    k: int = 10,
    store: bool = True,
    schema: str | None = None,
) -> list[str]:
    """Make five relations of a model beside it, in its schema; returns their names.

    Of a model in a database that keeps no functions, such as a DuckLake, they are made in the
    schema in use.

    `{model}_recommendations` and `{model}_similar_items` are tables of the lists as they are now,
    `{model}_predictions` is a view of two tables that hold the users and the items as they are now,
    `mf__{model}_users` and `mf__{model}_items`. With `store=False` all three are views that follow
    the model and compute more when they are read. `{model}_model` and `{model}_training` are views.
    None of them holds Python: the macros that they call are persisted beside them. Older ones are
    replaced, in one transaction on a connection of its own.

    Args:
        con: a connection.
        model: a table or view: its name, or with a schema and a database as SQL writes them.
        titles: a table or view likewise, and two of its columns.
        k: length of the lists.
        store: whether lists, users and items are tables.
        schema: another one of that database, made if missing.

    Raises:
        DataError: there is no such model; its name cannot be an argument of a stored macro; or
            another relation has one of the names.
        duckdb.Error: a column does not exist.
    """
    cursor = plugin.beside(con)
    try:
        plugin.load(cursor)
        cursor.begin()
        source = _use(cursor, model, titles, schema)
        try:
            installing.put(cursor)
        except DataError as error:
            raise DataError(f"publish: {error}") from None
        queries = _queries(cursor, source, k)
        sides = _sides(cursor, source)
        for name, query in sides.items():
            _drop(cursor, name)
            if store:
                _make(cursor, "table", name, query, source)
        if store:
            queries["predictions"] = _pairs(sides, titles)
        for part, query in queries.items():
            kind = "table" if store and part in LISTS else "view"
            _drop(cursor, f"{source.name}_{part}")
            _make(cursor, kind, f"{source.name}_{part}", query, source)
        cursor.commit()
    finally:
        cursor.close()  # takes back what was not committed
    return [f"{source.name}_{part}" for part in (*LISTS, "predictions", "model", "training")]


def _use(
    cursor: duckdb.DuckDBPyConnection, model: str, titles: Titles | None, schema: str | None
) -> PublishedModel:
    """Go to the schema to publish to, and say what the model and its titles are called there."""
    found = _found(cursor, model)
    table = None if titles is None else _found(cursor, titles.table)
    place = Place(found.catalog, found.schema)
    if not installing.keeps_functions(cursor, place):
        place = place_of(cursor)
    place = place if schema is None else place._replace(schema=schema)
    if '""' in found.seen_from(place):
        raise DataError(
            f"publish: the model is named {model}; DuckDB 1.x and 2.0 read a double quote in the "
            "name of a macro's argument differently. Give the table another name."
        )
    if schema is not None:
        cursor.execute(f"create schema if not exists {place}")
    cursor.execute(f"use {place}")
    if titles is None or table is None:
        return PublishedModel(found.name, found.seen_from(place))
    return PublishedModel(
        found.name, found.seen_from(place), replace(titles, table=table.seen_from(place))
    )


def _found(cursor: duckdb.DuckDBPyConnection, name: str) -> NamedRelation:
    try:
        return relation_of(cursor, name)
    except DataError as error:
        raise DataError(f"publish: {error}") from None


def _queries(cursor: duckdb.DuckDBPyConnection, source: PublishedModel, k: int) -> dict[str, str]:
    """The query of each relation."""
    user, item = _shown(cursor, source, "user_id"), _shown(cursor, source, "item_id")
    similar = item.replace("item_id", "similar_item_id")
    title, join = _title(source.titles, "item_id", "title")
    similar_title, similar_join = _title(source.titles, "similar_item_id", "similar_title")
    model = _text(source.model)
    calls = {part: f"mf_publish_{part}({model}" for part in (*LISTS, "predictions")}
    return {
        "recommendations": f"select r.* replace ({user}, {item}){title} "
        f"from {calls['recommendations']}, k := {k:d}) r {join} order by r.user_id, r.rank",
        "similar_items": f"select r.* replace ({item}, {similar}){title}{similar_title} "
        f"from {calls['similar_items']}, k := {k:d}) r {join} {similar_join} "
        "order by r.item_id, r.rank",
        "predictions": f"select r.* replace ({user}, {item}){title} "
        f"from {calls['predictions']}) r {join}",
        "model": f"from mf_publish_model({model})",
        "training": f"from mf_publish_training({model})",
    }


def _sides(cursor: duckdb.DuckDBPyConnection, source: PublishedModel) -> dict[str, str]:
    """The queries of the tables that predictions are made from, by the names of the tables."""
    user, item = _shown(cursor, source, "user_id"), _shown(cursor, source, "item_id")
    title, join = _title(source.titles, "item_id", "title")
    model = _text(source.model)
    return {
        f"mf__{source.name}_users": f"select r.* replace ({user}) "
        f"from mf_publish_users({model}) r order by r.user_id",
        f"mf__{source.name}_items": f"select r.* replace ({item}){title} "
        f"from mf_publish_items({model}) r {join} order by r.item_id",
    }


def _pairs(sides: Iterable[str], titles: Titles | None) -> str:
    """The query of the predictions from these tables."""
    title = "" if titles is None else ", title"
    return (
        f"select user_id, item_id, prediction, prediction_source{title} "
        f"from mf_publish_pairs({', '.join(_text(quoted(side)) for side in sides)})"
    )


def _shown(cursor: duckdb.DuckDBPyConnection, source: PublishedModel, column: str) -> str:
    """An id as BI tools can show it, under its own name."""
    rows = cursor.execute(f"describe select {column} from {source.model}").fetchall()
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
        f"left join {titles.table} {alias} on {alias}.{quoted(titles.id)} = r.{column}",
    )


def _make(
    cursor: duckdb.DuckDBPyConnection, kind: str, name: str, query: str, source: PublishedModel
) -> None:
    cursor.execute(f"create {kind} {quoted(name)} as {query}")
    cursor.execute(f"comment on {kind} {quoted(name)} is {_text(f'{MADE} of {source.model}')}")


def _drop(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
    """Drop what was published under this name before, in whatever case.

    Raises:
        DataError: the name is that of something else.
    """
    for kind, old, comment in cursor.execute(FIND, [name]).fetchall():
        if not comment.startswith(MADE):
            raise DataError(
                f"publish: there is a {kind} {old}, which publish has not made and does not "
                "replace. Rename or drop it, or publish to another schema (--schema)."
            )
        cursor.execute(f"drop {kind} {quoted(old)}")


def _text(value: str) -> str:
    """A string for SQL; a quoted name in it is one that every DuckDB reads in the same way."""
    return "'" + value.replace("'", "''") + "'"
