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

# Where a name leads: temporary things first, then the schemas of the search path.
_FIND = """
from (
    select database_name as d, schema_name as s, table_name as t, 'TABLE' as kind
    from duckdb_tables() where lower(table_name) = lower({name})
    union all
    select database_name, schema_name, view_name, 'VIEW'
    from duckdb_views() where lower(view_name) = lower({name}) and not internal
)
where case
    when {database} is not null then lower(d) = lower({database}) and lower(s) = lower({schema})
    when {schema} is not null then lower({schema}) in (lower(s), lower(d))
    else d = 'temp' or list_contains(current_schemas(true), s)
end
order by
    d = 'temp' desc, d = current_database() desc, lower(s) = lower({schema}) desc,
    list_position(current_schemas(true), s)
limit 1
"""
_COLUMNS = """
select count(*) from duckdb_columns()
where database_name = {} and schema_name = {} and table_name = {}
    and column_name in ('kind', 'user_id', 'item_id', 'bias', 'info')
"""
_SCHEMA = """
select 1 from duckdb_schemas()
where lower(schema_name) = lower({})
    and lower(database_name) = lower(coalesce({}, current_database()))
"""


@dataclass(frozen=True)
class Relation:
    """A table or view of the database, and what it says of itself if it is a model."""

    name: Name
    kind: str  # 'TABLE' or 'VIEW'
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
    """The table or view that a name leads to."""
    own, schema, database = map(literal, (*reversed(name.parts), None, None)[:3])
    rows = _rows(con, _FIND.format(name=own, schema=schema, database=database))
    if not rows:
        return None
    *path, kind = rows[0]
    full = Name(tuple(path))
    return Relation(full, kind, _info(con, full))


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
        raise BigQueryError(
            f"{what}: {name} is a {relation.kind.lower()} but no model; name a model."
        )
    return relation


def _info(con: duckdb.DuckDBPyConnection, name: Name) -> dict[str, Any] | None:
    if _rows(con, _COLUMNS.format(*map(literal, name.parts))) != [(5,)]:
        return None
    rows = _rows(con, f"select info::varchar from {name.sql} where kind = 'model' limit 2")
    return json.loads(rows[0][0]) if len(rows) == 1 and rows[0][0] else None


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """Without parameters: with them, DuckDB 1.5 imports pandas."""
    return con.sql(query).fetchall()
