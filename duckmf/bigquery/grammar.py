"""The statements and functions of BigQuery ML that duckmf knows, read from their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import Token

from duckmf.bigquery import words as lexer
from duckmf.bigquery.names import Name
from duckmf.bigquery.reader import Constant, Reader
from duckmf.bigquery.script import Source, Statement
from duckmf.errors import BigQueryError


@dataclass(frozen=True)
class Query:
    """A part of a statement that DuckDB reads: its words, and where it stands in the text."""

    source: Source
    words: Sequence[Token]
    begin: int
    end: int
    ours: bool = True  # whether the statement is


@dataclass(frozen=True)
class CreateModel:
    """CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name OPTIONS(...) AS query."""

    name: Name
    replace: bool
    if_not_exists: bool
    options: dict[str, Constant]
    query: Query


@dataclass(frozen=True)
class DropModel:
    """DROP MODEL [IF EXISTS] name."""

    name: Name
    if_exists: bool


@dataclass(frozen=True)
class Call:
    """ML.function(MODEL name[, TABLE name | (query)][, STRUCT(...)])."""

    function: str
    model: Name
    data: Name | Query | None
    settings: dict[str, Constant]
    begin: int
    end: int


def whole(statement: Statement) -> Query:
    """A statement as a query that may call functions of ML."""
    end = statement.begin + len(statement.text)
    return Query(statement.source, statement.words, statement.begin, end, statement.ours)


def create_model(statement: Statement) -> CreateModel:
    """Read CREATE MODEL.

    Raises:
        BigQueryError: it is not written right.
    """
    reader = Reader("CREATE MODEL", statement.source, statement.words)
    reader.expect("CREATE")
    replace = reader.accept("OR", "REPLACE")
    reader.expect("MODEL")
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = reader.name()
    reader.expect("OPTIONS")
    options = _options(reader)
    begin = reader.expect("AS").end + 1
    if reader.ended:
        raise reader.error("a query")
    words = reader.words[reader.i :]
    query = Query(statement.source, words, begin, words[-1].end + 1)
    return CreateModel(name, replace, if_not_exists, options, query)


def drop_model(statement: Statement) -> DropModel:
    """Read DROP MODEL.

    Raises:
        BigQueryError: it is not written right.
    """
    reader = Reader("DROP MODEL", statement.source, statement.words)
    reader.expect("DROP")
    reader.expect("MODEL")
    if_exists = reader.accept("IF", "EXISTS")
    name = reader.name()
    if not reader.ended:
        raise reader.error("the end of the statement")
    return DropModel(name, if_exists)


def calls(query: Query) -> Iterator[Call]:
    """Read the outermost calls of ML functions in a query, in order.

    Raises:
        BigQueryError: one is not written right.
    """
    end = 0
    for i in lexer.calls(query.words):
        if i >= end:
            reader = Reader(f"ML.{lexer.bare(query.words[i + 2])}", query.source, query.words)
            reader.i = i + 4
            yield _call(reader, i)
            end = reader.i


def _call(reader: Reader, begin: int) -> Call:
    words = reader.words
    reader.expect("MODEL")
    model = reader.name()
    data: Name | Query | None = None
    settings: dict[str, Constant] = {}
    while reader.accept(","):
        if reader.accept("STRUCT"):
            settings = _settings(reader)
        elif reader.accept("TABLE"):
            data = reader.name()
        elif reader.next == "(":
            data = _query(reader)
        else:
            raise reader.error("TABLE name, (query) or STRUCT(...)")
    close = reader.expect(")")
    function = lexer.bare(words[begin + 2])
    return Call(function, model, data, settings, words[begin].start, close.end + 1)


def _query(reader: Reader) -> Query:
    words = reader.words
    begin, end = reader.inside()
    if begin == end:
        raise reader.error("a query", -1)
    return Query(reader.source, words[begin:end], words[begin - 1].end + 1, words[end].start)


def _options(reader: Reader) -> dict[str, Constant]:
    options: dict[str, Constant] = {}
    reader.expect("(")
    while not reader.accept(")"):
        name = reader.option_name()
        if name in options:
            raise BigQueryError(f"{reader.what}: {name} is given twice; give it once.")
        reader.expect("=")
        options[name] = reader.constant()
        if reader.next != ")":
            reader.expect(",")
    return options


def _settings(reader: Reader) -> dict[str, Constant]:
    settings: dict[str, Constant] = {}
    reader.expect("(")
    while not reader.accept(")"):
        value = reader.constant()
        reader.expect("AS")
        settings[reader.option_name()] = value
        if reader.next != ")":
            reader.expect(",")
    return settings
