"""The words of a statement, as sqlglot's lexer gives them, and how ours are told from others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import Token, TokenType
from sqlglot.errors import TokenError

from duckmf.bigquery.dialect import BigQueryML

_QUOTED = {kind for kind in TokenType if "STRING" in kind.name} | {TokenType.IDENTIFIER}
_WORD = re.compile(r"(?:[^\W\d]|[^\s\x00-\x7f])(?:[\w$]|[^\s\x00-\x7f])*")
_dialect = BigQueryML()


def tokenize(text: str) -> list[Token] | None:
    """The words of a text, or None where sqlglot cannot read it."""
    try:
        return _dialect.tokenize(text)
    except TokenError:
        return None


def bare(word: Token) -> str:
    """A word in capitals, or a sign; nothing for what stands in quotes."""
    return "" if word.token_type in _QUOTED else word.text.upper()


def is_name(word: Token) -> bool:
    """Whether a word can be a name: one in quotes for names, or a plain word."""
    if word.token_type is TokenType.IDENTIFIER:
        return True
    return word.token_type not in _QUOTED and _WORD.fullmatch(word.text) is not None


def in_backticks(text: str, words: Sequence[Token]) -> list[Token]:
    """The names in backticks; the words are those of the text."""
    return [word for word in words if text[word.start] == "`"]


def kind(words: Sequence[Token]) -> str | None:
    """What makes a statement ours: 'create', 'drop', 'query', or None."""
    if _heads(words, 0):
        return "create" if bare(words[0]) == "CREATE" else "drop"
    return "query" if next(calls(words), None) is not None else None


def ours(words: Sequence[Token]) -> Iterator[Token]:
    """The words that make statements ours."""
    begins = [0, *(i + 1 for i, word in enumerate(words) if bare(word) == ";")]
    for i in begins:
        yield from words[i : i + _heads(words, i)]
    for i in calls(words):
        yield from words[i : i + 5]


def _heads(words: Sequence[Token], i: int) -> int:
    """How many words from here on are CREATE [OR REPLACE] MODEL or DROP MODEL."""
    head = [bare(word) for word in words[i : i + 4]]
    if head[:2] in (["CREATE", "MODEL"], ["DROP", "MODEL"]):
        return 2
    return 4 if head == ["CREATE", "OR", "REPLACE", "MODEL"] else 0


def calls(words: Sequence[Token]) -> Iterator[int]:
    """The places where ML.name(MODEL m begins, also inside each other."""
    return (i for i, word in enumerate(words) if bare(word) == "ML" and _is_call(words, i))


def _is_call(words: Sequence[Token], i: int) -> bool:
    """Whether a call of ours begins here: nothing that DuckDB can read begins like one.

    ml.f(model), ml.f(model, 1) and ml.f(model isnull) are calls of somebody else's function.
    """
    if len(words) <= i + 5 or (i and bare(words[i - 1]) in (".", "$")):  # a part, a parameter
        return False
    dot, function, parenthesis, model = words[i + 1 : i + 5]
    if [bare(dot), bare(parenthesis), bare(model)] != [".", "(", "MODEL"] or not bare(function):
        return False
    end = name_end(words, i + 5)
    operator = bare(words[i + 5]) in ("ISNULL", "NOTNULL")
    named = is_name(function) and i + 5 < end < len(words) and not operator
    return named and bare(words[end]) in (",", ")")


def name_end(words: Sequence[Token], i: int) -> int:
    """The place behind a name of one or more parts; i itself where none begins."""
    if i >= len(words) or not is_name(words[i]):
        return i
    i += 1
    while i + 1 < len(words) and bare(words[i]) == "." and is_name(words[i + 1]):
        i += 2
    return i
