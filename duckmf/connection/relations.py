"""Tables and views by the names that people give them."""

from __future__ import annotations

from typing import NamedTuple

import duckdb

from duckmf.connection.tokens import tokens
from duckmf.errors import DataError

# the schema of a name of two parts is one of the database in use, or the name is that of a database
FIND = """
select table_catalog, table_schema, table_name
from information_schema.tables
where lower(table_name) = lower($name) and lower(table_catalog) = lower($catalog)
    and lower(table_schema) = lower($schema)
"""


class Place(NamedTuple):
    """A schema of a database."""

    catalog: str
    schema: str

    def __str__(self) -> str:
        return f"{quoted(self.catalog)}.{quoted(self.schema)}"


class NamedRelation(NamedTuple):
    """A table or view, as the catalogue spells it."""

    catalog: str
    schema: str
    name: str

    def seen_from(self, place: Place) -> str:
        """Its name as SQL, as short as it may be in a schema, so that the file may be attached."""
        parts: tuple[str, ...] = self
        if self.catalog == place.catalog:
            parts = self[2:] if self.schema == place.schema else self[1:]
        return ".".join(map(quoted, parts))


def place_of(con: duckdb.DuckDBPyConnection) -> Place:
    """The database and schema in use."""
    return Place(*con.execute("select current_database(), current_schema()").fetchall()[0])


def relation_of(con: duckdb.DuckDBPyConnection, text: str) -> NamedRelation:
    """The table or view of a name: as it is, or as SQL writes it, such as `ml."my films"`.

    Raises:
        DataError: there is none.
    """
    here = place_of(con)
    for catalog, schema, name in _readings(text, here):
        places = {"name": name, "catalog": catalog, "schema": schema}
        for found in con.execute(FIND, places).fetchall():
            return NamedRelation(*found)
    raise DataError(
        f"there is no table or view {text} for {here.catalog}.{here.schema}. Give the name of one "
        "that SHOW ALL TABLES lists, with its schema if that is another one: schema.name."
    )


def _readings(text: str, here: Place) -> list[tuple[str, str, str]]:
    """What a name may mean, the likeliest first."""
    read = [(*here, text)]
    pieces = tokens(text)
    names = [piece.name for piece in pieces[::2] if piece.name is not None]
    if all(piece.text == "." for piece in pieces[1::2]) and len(names) == (len(pieces) + 1) // 2:
        if len(names) == 1:
            read.append((*here, names[0]))
        elif len(names) == 2:
            read.append((here.catalog, names[0], names[1]))
            read.append((names[0], "main", names[1]))
        elif len(names) == 3:
            read.append((names[0], names[1], names[2]))
    return read


def quoted(name: str) -> str:
    """An identifier, for SQL text."""
    return '"' + name.replace('"', '""') + '"'
