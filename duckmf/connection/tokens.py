"""SQL text in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

TOKEN = re.compile(
    r"""
    (?P<space>(?:\s+|--[^\n]*|/\*.*?\*/)*)
    (?:(?P<text>'[^']*(?:''[^']*)*'|\$\$.*?\$\$)
    |(?P<name>"(?:[^"]|"")*"|[^\W\d]\w*)
    |(?P<number>\d[\w.]*)
    |(?P<sign>:=|::|->>|->|\S))
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")


class BracketError(ValueError):
    """A bracket that is not closed."""


class Token(NamedTuple):
    """A piece of SQL as it is written, and the white space before it."""

    kind: str
    text: str
    space: str = ""
    name: str | None = None  # the identifier that it is; None for everything else


Tokens = tuple[Token, ...]
START = END = Token("sign", ";")  # what stands before, and after, a body


def tokens(text: str) -> Tokens:
    """SQL text in pieces, without its comments."""
    return tuple(
        Token(
            match.lastgroup or "",
            match[match.lastgroup or ""],
            COMMENT.sub("", match["space"]),
            _identifier(match["name"]),
        )
        for match in TOKEN.finditer(text)
    )


def _identifier(text: str | None) -> str | None:
    if text is None:
        return None
    return text[1:-1].replace('""', '"') if text[0] == '"' else text.lower()


def text_of(body: Iterable[Token]) -> str:
    """The SQL text of tokens."""
    return "".join(_without_gaps(token.space) + token.text for token in body).strip()


def _without_gaps(space: str) -> str:
    """White space without the lines that comments have left empty."""
    return re.sub(r"\s*\n", "\n", space) if "\n" in space else space


def closing(body: Tokens, begin: int) -> int:
    depth = 0
    for place in range(begin, len(body)):
        depth += (body[place].text in OPENING) - (body[place].text in CLOSING)
        if depth == 0:
            return place
    raise BracketError(f"no bracket closes {text_of(body[begin : begin + 10])}")


def split(body: Iterable[Token], sign: str) -> Iterator[Tokens]:
    """The parts between signs that stand in no brackets."""
    part: list[Token] = []
    depth = 0
    for token in body:
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if token.text == sign and depth == 0:
            yield tuple(part)
            part = []
        else:
            part.append(token)
    if part:
        yield tuple(part)


def around(body: Tokens, place: int) -> tuple[Token, Token]:
    """The tokens before and after a place."""
    return (
        body[place - 1] if place > 0 else START,
        body[place + 1] if place + 1 < len(body) else END,
    )
