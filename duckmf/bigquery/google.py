"""Google's SQL, pasted from a tutorial or a console: names in backticks, and what comes with them.

The query in a statement of ours, and a statement that is not ours, are DuckDB's. Names in
backticks may mark them as Google's. DuckDB 2.0 reads such names; what it can read is Google's only
if a name in it is that of a `dataset.table` (in a statement of ours, of a dataset) and nothing has
this name undivided. Other versions read no backticks. What is Google's is brought to DuckDB by the
least change that does:

1. names like `dataset.table` become "dataset"."table";
2. all names in backticks become names in double quotes;
3. sqlglot translates the whole from BigQuery's dialect to DuckDB's.

Where DuckDB can read none of these, it gets the text as it is, and says what is wrong with it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import duckdb

from duckmf.bigquery import catalog
from duckmf.bigquery.names import Name
from duckmf.bigquery.words import in_backticks

if TYPE_CHECKING:
    from sqlglot import Token
    from sqlglot.expressions import Expression

    from duckmf.bigquery.grammar import Query

Edit = tuple[int, int, str]  # from, to, and what stands there instead


def as_duckdb_reads(con: duckdb.DuckDBPyConnection, query: Query, calls: Sequence[Edit]) -> str:
    """A part of a statement, its `calls` replaced, and brought to DuckDB if it is Google's."""
    text = query.source.text
    own = edited(text, query.begin, query.end, calls)
    quoted = [
        word
        for word in in_backticks(text, query.words)
        if not any(a <= word.start < b for a, b, _ in calls)
    ]
    if not quoted:
        return own
    if _knows_backticks() and parses(con, own):
        divided = [word for word in quoted if _is_divided(con, word.text, query.ours)]
        return edited(text, query.begin, query.end, [*map(_renamed, divided), *calls])
    return next((found for found in _readings(query, quoted, calls) if parses(con, found)), own)


@cache
def _knows_backticks() -> bool:
    """Whether they are quotes to this DuckDB; before 2.0 they are an unknown operator."""
    return len(duckdb.tokenize("`a b`")) == 1


def parses(con: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether DuckDB can read a text."""
    try:
        con.extract_statements(text)
    except duckdb.ParserException:
        return False
    return True


def edited(text: str, begin: int, end: int, edits: Sequence[Edit]) -> str:
    """A part of a text with some places changed."""
    parts = []
    for start, stop, new in sorted(edits):
        parts += [text[begin:start], new]
        begin = stop
    return "".join((*parts, text[begin:end]))


def _is_divided(con: duckdb.DuckDBPyConnection, name: str, ours: bool) -> bool:
    parts = tuple(name.split("."))
    if not 1 < len(parts) <= 3 or catalog.find(con, Name((name,))) is not None:
        return False
    if ours:
        return catalog.has_schema(con, Name(parts[:-1]))
    return catalog.find(con, Name(parts)) is not None


def _renamed(word: Token) -> Edit:
    return word.start, word.end + 1, Name(tuple(word.text.split("."))).sql


def _readings(query: Query, quoted: Sequence[Token], calls: Sequence[Edit]) -> Iterator[str]:
    text, begin, end = query.source.text, query.begin, query.end
    dotted = [word for word in quoted if "." in word.text]
    for some in (dotted, quoted) if _knows_backticks() else (quoted,):
        yield edited(text, begin, end, [*map(_renamed, some), *calls])
    places = {f"mf__bq_call_{i}": new for i, (_, _, new) in enumerate(calls)}
    named = [(a, b, name) for (a, b, _), name in zip(calls, places, strict=True)]
    translated = _translated(edited(text, begin, end, named))
    if translated is not None:
        yield re.sub(r"\bmf__bq_call_\d+\b", lambda match: places[match.group()], translated)


def _translated(text: str) -> str | None:
    """A statement of BigQuery in DuckDB's SQL; None where sqlglot cannot bring it over."""
    from sqlglot import ErrorLevel, exp, parse
    from sqlglot.errors import SqlglotError

    try:
        with _quiet():
            statements = [statement for statement in parse(text, read="bigquery") if statement]
        if len(statements) != 1 or isinstance(statements[0], exp.Command):
            return None
        tree = statements[0].transform(_shortened)
        return tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError):
        return None


@contextmanager
def _quiet() -> Iterator[None]:
    """sqlglot warns of what it cannot read; here DuckDB says so, of the text as it is."""
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _shortened(node: Expression) -> Expression:
    """ARRAY_AGG(x ORDER BY y LIMIT n) as a slice: DuckDB's list() takes no LIMIT."""
    from sqlglot import exp

    if isinstance(node, exp.ArrayAgg) and isinstance(limit := node.this, exp.Limit):
        some = exp.Slice(expression=limit.expression)
        return exp.Bracket(this=exp.ArrayAgg(this=limit.this), expressions=[some])
    return node
