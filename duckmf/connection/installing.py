"""The functions that need no Python, in a schema of a database: put there, looked at, taken out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import duckdb

from duckmf.connection import sqlfiles
from duckmf.connection.plugin import beside
from duckmf.connection.relations import Place, place_of, quoted
from duckmf.errors import DataError

# those of one schema, whatever made them
MACROS = """
select distinct function_name, function_type
from duckdb_functions()
where database_name = $catalog and schema_name = $schema
    and function_type in ('macro', 'table_macro') and starts_with(function_name, 'mf_')
"""
VIEWS = """
select view_name from duckdb_views()
where database_name = $catalog and schema_name = $schema and regexp_matches(sql, '\\bmf_\\w+"?\\(')
order by view_name asc nulls last
"""
MOST_NAMED = 6  # functions in a sentence


@dataclass(frozen=True)
class Functions:
    """The functions of duckmf in a schema."""

    version: str | None = None  # of the duckmf that made them; None where they do not say it
    kinds: dict[str, str] = field(default_factory=dict)  # 'macro' or 'table_macro', by name

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection, place: Place) -> Functions:
        """Those that are there: a macro `mf_...` that no duckmf made is not among them."""
        found = con.execute(MACROS, place._asdict()).fetchall()
        version: str | None = None
        known = {macro.name for macro in sqlfiles.stored()}
        with contextlib.suppress(duckdb.Error):  # of an older duckmf, or half of one
            ((version,),) = con.execute(f"select version from {place}.mf_version()").fetchall()
            known.update(
                name for (name,) in con.execute(f"select name from {place}.mf_help()").fetchall()
            )
        ours = [row for row in found if row[0] in known or row[0].startswith("mf__")]
        return cls(version, dict(ours))


@dataclass(frozen=True)
class Change:
    """What an installation has changed."""

    place: Place
    before: Functions
    after: Functions

    def __str__(self) -> str:
        said = (
            f"Schema {self.place.schema} has the functions of duckmf {self.after.version} now, for "
            "every DuckDB client."
        )
        return " ".join([said, *self._earlier()])

    def _earlier(self) -> Iterator[str]:
        """What was there before, if there was something."""
        if not self.before.kinds:
            return
        if self.before.version == self.after.version:
            yield "It had them already."
        elif self.before.version is None:
            yield "It had some that do not say their version."
        elif _number(self.before.version) > _number(self.after.version or ""):
            yield (
                f"It had those of duckmf {self.before.version}, which is newer: install from that "
                "version to have them back."
            )
        else:
            yield f"It had those of duckmf {self.before.version}."
        if new := self.after.kinds.keys() - self.before.kinds.keys():
            yield f"New: {_listed(new)}."
        if gone := self.before.kinds.keys() - self.after.kinds.keys():
            yield f"Gone: {_listed(gone)}."


def install(con: duckdb.DuckDBPyConnection, schema: str | None = None) -> Change:
    """Persist the functions that need no Python in the connection's current database.

    From then on every client of the database has them. Older ones are replaced and those that this
    duckmf no longer has are dropped, in one transaction on a connection of its own.

    Args:
        con: a connection; it need not be loaded.
        schema: where to put them, made if missing; None for the schema in use.

    Returns what has changed, as text.

    Raises:
        DataError: the database is none of DuckDB's own.
    """
    with _transaction(con) as cursor:
        if schema is not None:
            cursor.execute(f"create schema if not exists {quoted(schema)}")
            cursor.execute(f"use {quoted(place_of(cursor).catalog)}.{quoted(schema)}")
        try:
            return put(cursor)
        except DataError as error:
            raise DataError(f"install: {error}") from None


def keeps_functions(con: duckdb.DuckDBPyConnection, place: Place) -> bool:
    """Whether a database may hold functions: DuckLake 1.5 loses the defaults of their parameters,
    and can be read no longer after one that is a list.
    """
    found = con.execute(
        "select type = 'duckdb' from duckdb_databases() where database_name = $1", [place.catalog]
    ).fetchall()
    return found == [(True,)]


def put(cursor: duckdb.DuckDBPyConnection) -> Change:
    """The same within a transaction, into the schema in use.

    Raises:
        DataError: the database cannot keep functions.
    """
    place = place_of(cursor)
    if not keeps_functions(cursor, place):
        raise DataError(
            f"the database {place.catalog} is none of DuckDB's own, and does not keep functions as "
            "they are. Use a DuckDB file to which it is attached, or run in each session what "
            "`duckmf sql` prints; then FROM mf_recommend(lake.films) reads a model of it."
        )
    with contextlib.closing(cursor.cursor()) as other:  # an error would end the transaction
        before = Functions.of(other, place)
    _drop(cursor, place, {n: k for n, k in before.kinds.items() if n not in _names()})
    cursor.execute(sqlfiles.pure())
    return Change(place, before, Functions.of(cursor, place))


def uninstall(
    con: duckdb.DuckDBPyConnection, schema: str | None = None
) -> tuple[list[str], list[str]]:
    """Take the functions out of the current database again, in one transaction.

    Models are tables and stay, and so does everything else that is not a function of duckmf.

    Returns the functions that were there, and the views of that schema that call such functions.
    """
    with _transaction(con) as cursor:
        place = place_of(cursor)
        place = place if schema is None else place._replace(schema=schema)
        with contextlib.closing(cursor.cursor()) as other:
            kinds = Functions.of(other, place).kinds
        _drop(cursor, place, kinds)
        views = [name for (name,) in cursor.execute(VIEWS, place._asdict()).fetchall()]
        return sorted(kinds), views if kinds else []


def described(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """The functions and the models of a loaded connection's databases, a line for each."""
    schemas = con.execute(
        "select distinct database_name, schema_name from duckdb_functions() where not internal "
        "and starts_with(function_name, 'mf_') and database_name not in ('temp', 'system') "
        "order by all asc nulls last"
    ).fetchall()
    for schema in schemas:
        place = Place(*schema)
        functions = Functions.of(con, place)
        version = functions.version or "a version that does not say its number"
        n = len(functions.kinds)
        yield f"{place.catalog}.{place.schema}: {n} functions of duckmf {version}"
    models = con.execute(
        "select database_name, schema_name, name, algorithm, users, items, ratings, problem "
        "from mf_models()"
    ).fetchall()
    for *name, algorithm, users, items, ratings, problem in models:
        what = problem or f"{algorithm}, {users} users, {items} items, {ratings} ratings"
        yield f"{'.'.join(name)}: a model, {what}"
    if not schemas and not models:
        yield "no functions of duckmf, and no models"


def _drop(cursor: duckdb.DuckDBPyConnection, place: Place, kinds: dict[str, str]) -> None:
    for name, kind in kinds.items():
        word = "macro table" if kind == "table_macro" else "macro"
        cursor.execute(f"drop {word} {place}.{quoted(name)}")


def _names() -> frozenset[str]:
    return frozenset(macro.name for macro in sqlfiles.stored())


@contextlib.contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection beside this one, in a transaction."""
    cursor = beside(con)
    cursor.begin()
    try:
        yield cursor
        cursor.commit()
    finally:
        cursor.close()  # takes back what was not committed


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _listed(names: Iterable[str]) -> str:
    """The first names, and how many there are."""
    ordered = sorted(names)
    more = len(ordered) - MOST_NAMED
    return ", ".join(ordered[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
