"""The dialect in which BigQuery ML's statements are read: sqlglot's DuckDB, and names in backticks.

It reads no more than what is ours: words, names, constants. A query is DuckDB's to read.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import TokenType
from sqlglot.dialects.duckdb import DuckDB

JINJA = ("{%", "{{+", "{{-", "+%}", "-%}", "+}}", "-}}", "%}")


class BigQueryML(DuckDB):
    """DuckDB's words, with BigQuery's quotes around names."""

    class Tokenizer(DuckDB.Tokenizer):
        """DuckDB's own lexer, as near as sqlglot comes to it."""

        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ['"', "`"]
        # sqlglot takes the rest of a statement like FETCH ... for one token
        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            word: kind
            for word, kind in DuckDB.Tokenizer.KEYWORDS.items()
            if not word.startswith(JINJA)
        }


# A comment of Jinja templates in every dialect of sqlglot; in DuckDB {# may begin a struct
BigQueryML.Tokenizer._COMMENTS.pop("{#", None)
