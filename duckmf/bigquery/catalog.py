"""What the database has under a name; nothing here fails, or a transaction would be over.

A statement that fails inside a transaction ends it on DuckDB 2.0, so the catalog is asked first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import duckdb

from duckmf.bigquery.names import Name, literal
from duckmf.errors import BigQueryError

_FIND = """
select
    database_name, schema_name, table_name,
    count(*) filter (where column_name in ('kind', 'user_id', 'item_id', 'bias', 'info')) = 5,
    current_database(), current_schemas(true)
from duckdb_columns()
where lower(table_name) = lower({}) and not internal
group by all
"""
_SCHEMA = """
select 1 from duckdb_schemas()
where lower(schema_name) = lower({})
    and lower(database_name) = lower(coalesce({}, current_database()))
"""


@dataclass(frozen=True)
class Relation:
    """A table or view of the database, and what it says of itself if it is a model."""

    name: Name  # in full
    info: dict[str, Any] | None

    @property
    def names(self) -> dict[str, str]:
        """The columns it was trained on, where CREATE MODEL made it; else those of mf_fit."""
        noted: dict[str, str] = (self.info or {}).get("bigquery", {}).get("columns", {})
        return {"user": "user_id", "item": "item_id", "rating": "rating"} | noted

    @property
    def explicit(self) -> bool:
        """Whether the model predicts ratings."""
        return (self.info or {}).get("feedback") == "explicit"


def find(con: duckdb.DuckDBPyConnection, name: Name) -> Relation | None:
    """The table or view that a name leads to.

    Temporary ones come first, then those of the current database, in the order of its schemas.
    """
    rows = _rows(con, _FIND.format(literal(name.parts[-1])))
    fitting = [row for row in rows if _fits(name, row)]
    if not fitting:
        return None
    *path, is_model, _, _ = min(fitting, key=lambda row: _distance(name, row))
    full = Name(tuple(path))
    return Relation(full, _info(con, full) if is_model else None)


def _fits(name: Name, row: tuple[Any, ...]) -> bool:
    database, schema, _, _, _, schemas = row
    *given, _ = map(str.lower, name.parts)
    if len(given) == 2:
        return given == [database.lower(), schema.lower()]
    if given:
        return given[0] in (schema.lower(), database.lower())
    return database == "temp" or schema in schemas


def _distance(name: Name, row: tuple[Any, ...]) -> tuple[object, ...]:
    database, schema, _, _, current, schemas = row
    is_schema = len(name.parts) > 1 and schema.lower() == name.parts[-2].lower()
    place = schemas.index(schema) if schema in schemas else len(schemas)
    return database != "temp", database != current, not is_schema, place, database, schema


def is_view(con: duckdb.DuckDBPyConnection, relation: Relation) -> bool:
    """Whether it is a view."""
    database, schema, own = map(literal, relation.name.parts)
    query = (
        f"select 1 from duckdb_views() where database_name = {database} "
        f"and schema_name = {schema} and view_name = {own}"
    )
    return bool(_rows(con, query))


def has_schema(con: duckdb.DuckDBPyConnection, name: Name) -> bool:
    """Whether a schema is there: [database,] schema."""
    return bool(_rows(con, _SCHEMA.format(*map(literal, (*reversed(name.parts), None)[:2]))))


def model(con: duckdb.DuckDBPyConnection, what: str, name: Name) -> Relation:
    """The model that a name leads to.

    Raises:
        BigQueryError: there is nothing of this name, or it is no model.
    """
    relation = find(con, name)
    if relation is None:
        raise BigQueryError(
            f"{what}: there is no model {name}; CREATE MODEL makes one, and a CTE cannot be one."
        )
    if relation.info is None:
        raise BigQueryError(f"{what}: {name} is no model but another relation; name a model.")
    return relation


def _info(con: duckdb.DuckDBPyConnection, name: Name) -> dict[str, Any] | None:
    rows = _rows(con, f"select info::varchar from {name.sql} where kind = 'model' limit 2")
    return json.loads(rows[0][0]) if len(rows) == 1 and rows[0][0] else None


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """Without parameters: with them, DuckDB 1.5 imports pandas."""
    return con.sql(query).fetchall()
