"""What a user may want to write next: names of the catalog, functions, parameters, keywords."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import duckdb

COLUMNS = """
    select c.table_name, c.column_name, c.data_type
    from duckdb_columns() c where not c.internal
    order by c.table_name, c.column_index
"""
FUNCTIONS = """
    select
        f.function_name,
        any_value(coalesce(f.comment, f.description)),
        any_value(f.parameters) filter (where f.function_type like '%macro')
    from duckdb_functions() f
    where f.function_name similar to '[a-z]\\w*' and not starts_with(f.function_name, 'mf__')
    group by f.function_name
    order by not starts_with(f.function_name, 'mf_'), f.function_name
"""
KEYWORDS = (
    "select k.keyword_name, k.keyword_category = 'reserved' from duckdb_keywords() k order by 1"
)

_WORD = re.compile(r'(?:(\w+|"[^"]*")\.)?(\w*)$')
_QUOTED = re.compile(r'(?:(\w+|"[^"]*")\.)?("[^"]*)$')  # of a text with an odd number of quotes
_ALIAS = re.compile(
    r'(?:from|join|,)\s+(?:(?:\w+|"[^"]*")\.)*(\w+|"[^"]*")\s+(?:as\s+)?(\w+)', re.IGNORECASE
)
_BEFORE_RELATION = re.compile(r"\b(from|join|into|table|update|describe)\s*$", re.IGNORECASE)
_SIMPLE = re.compile(r"[a-z_]\w*", re.IGNORECASE)


class Suggestion(NamedTuple):
    """A suggestion, how many characters before the cursor it replaces, and what it is."""

    text: str
    replaces: int
    meaning: str


@dataclass(frozen=True)
class Catalog:
    """The names in a connection's databases."""

    relations: dict[str, dict[str, str]]  # the types of their columns
    functions: dict[str, tuple[str, list[str]]]  # documentation, and parameters of macros
    keywords: dict[str, bool]  # whether a name of this kind needs quotes

    @staticmethod
    def of(con: duckdb.DuckDBPyConnection) -> Catalog:
        """Read it."""
        relations: dict[str, dict[str, str]] = {}
        for relation, column, kind in con.execute(COLUMNS).fetchall():
            relations.setdefault(relation, {})[column] = kind
        functions = {
            name: (meaning or "", parameters or [])
            for name, meaning, parameters in con.execute(FUNCTIONS).fetchall()
        }
        return Catalog(relations, functions, dict(con.execute(KEYWORDS).fetchall()))

    def written(self, name: str) -> str:
        """A name as it has to stand in a statement."""
        if _SIMPLE.fullmatch(name) and not self.keywords.get(name.lower()):
            return name
        return '"' + name.replace('"', '""') + '"'


def suggestions(catalog: Catalog, before: str, text: str) -> Iterator[Suggestion]:
    """What the word before the cursor may become, the likeliest first.

    Args:
        catalog: the names there are.
        before: the text before the cursor.
        text: the whole text, whose relations have the likeliest columns.
    """
    match = (_QUOTED if before.count('"') % 2 else _WORD).search(before)
    if match is None:  # a quote within a constant
        return
    qualifier, word = match.groups()
    wanted = word.strip('"').lower()
    if qualifier:
        names = _columns(catalog, _relation(catalog, qualifier, text))
    else:
        names = _names(catalog, before[: match.start()], word, text)
    given = set()
    for written, meaning in names:
        if written.strip('"').lower().startswith(wanted) and written not in given:
            given.add(written)
            yield Suggestion(written, len(word), meaning)


def _names(catalog: Catalog, before: str, word: str, text: str) -> Iterator[tuple[str, str]]:
    """Written names with what they are, to stand behind `before`."""
    yield from _parameters(catalog, _open_call(before))
    if not _BEFORE_RELATION.search(before):
        mentioned = [name for name in catalog.relations if name.lower() in text.lower()]
        for relation in mentioned or catalog.relations:
            yield from _columns(catalog, relation)
    for relation in catalog.relations:
        yield catalog.written(relation), "table or view"
    for name, (meaning, _) in catalog.functions.items():
        if word or name.startswith("mf_"):
            yield f"{name}(", meaning
    if word:
        for keyword in catalog.keywords:
            yield keyword.upper() if word.isupper() else keyword, "keyword"


def _relation(catalog: Catalog, qualifier: str, text: str) -> str:
    """The relation that a name before a dot means: an alias, or the relation itself."""
    aliases = {alias.lower(): relation.strip('"') for relation, alias in _ALIAS.findall(text)}
    name = qualifier.strip('"')
    return name if name in catalog.relations else aliases.get(name.lower(), name)


def _columns(catalog: Catalog, relation: str) -> Iterator[tuple[str, str]]:
    for column, kind in catalog.relations.get(relation, {}).items():
        yield catalog.written(column), f"{kind} in {relation}"


def _parameters(catalog: Catalog, function: str) -> Iterator[tuple[str, str]]:
    _, parameters = catalog.functions.get(function, ("", []))
    for parameter in parameters:
        yield f"{parameter} := ", f"parameter of {function}"


def _open_call(before: str) -> str:
    """The function whose parentheses are open at the end of a text; empty if none is."""
    depth = 0
    for i in range(len(before) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(before[i], 0)
        if depth < 0:
            name = re.search(r"\w*$", before[:i])
            return name[0].lower() if name else ""
    return ""
