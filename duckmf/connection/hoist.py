"""One WITH instead of several: the CTEs of sub-queries move to the query around them.

A helper that has CTEs, written where it is called, brings its WITH into a sub-query or into another
CTE. DuckDB 1.4 takes four times as long to read a statement for every CTE that a CTE is in, and no
longer for all of them in one WITH.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from duckmf.connection.tokens import OPENING, Token, Tokens, around, closing

OPEN, CLOSE, COMMA = (Token("sign", sign) for sign in "(),")


@dataclass
class _WithQuery:
    """A query: its CTEs, and what stands after them."""

    ctes: list[tuple[Tokens, Tokens]] = field(default_factory=list)  # `name as mode`, body
    main: Tokens = ()
    is_recursive: bool = False
    space: str = ""

    def tokens(self) -> Iterator[Token]:
        if self.ctes:
            yield Token("name", "with", self.space, "with")
            if self.is_recursive:
                yield Token("name", "recursive", " ", "recursive")
        for place, (head, body) in enumerate(self.ctes):
            if place:
                yield COMMA
            yield from (*_spaced(head), Token("sign", "(", " "), *body, CLOSE)
        yield from _spaced(self.main) if self.ctes else self.main


def hoisted(body: Tokens) -> Tokens:
    """The body of a macro, with one WITH: that of its outermost query that has one."""
    made: set[str] = set()
    if _is_with(body, 0):
        return tuple(_flat(body, made).tokens())
    place = next((at for at in range(len(body)) if _opens_with(body, at)), None)
    if place is None:
        return body
    end = closing(body, place)
    inside = tuple(_flat(body[place + 1 : end], made).tokens())
    return (*body[: place + 1], *inside, *hoisted(body[end:]))


def _flat(body: Tokens, made: set[str]) -> _WithQuery:
    query = _parsed(body)
    flat = _WithQuery([], (), query.is_recursive, query.space)
    for head, inside in query.ctes:
        inside = _lifted(inside, flat, made)
        flat.ctes.append((head, inside))
    flat.main = _lifted(query.main, flat, made)
    return flat


def _lifted(body: Tokens, outer: _WithQuery, made: set[str]) -> Tokens:
    """A body without WITH: its CTEs are added to those of the query around it, under new names."""
    if _is_with(body, 0):
        query = _flat(body, made)
        return _moved(query, outer, made)
    place = next((at for at in range(len(body)) if _opens_with(body, at)), None)
    if place is None:
        return body
    end = closing(body, place)
    main = _lifted(body[place + 1 : end], outer, made)
    return (*body[: place + 1], *main, *_lifted(body[end:], outer, made))


def _moved(query: _WithQuery, outer: _WithQuery, made: set[str]) -> Tokens:
    new: dict[str, str] = {}
    for head, inside in query.ctes:
        name = head[0].name or ""
        unlike = name if name in made else f"{name}_{len(made) + 1}"
        made.add(unlike)
        if query.is_recursive:
            new[name] = unlike
        inside = _renamed(inside, new)
        new[name] = unlike
        outer.ctes.append((_named(head, new), inside))
    outer.is_recursive |= query.is_recursive
    main = _renamed(query.main, new)
    return (main[0]._replace(space=query.space), *main[1:])


def _named(head: Tokens, new: Mapping[str, str]) -> Tokens:
    name = new[head[0].name or ""]
    return (Token("name", name, head[0].space, name), *head[1:])


def _renamed(body: Tokens, new: Mapping[str, str]) -> Tokens:
    """A body in which relations have new names; functions, fields and aliases keep theirs."""
    found = []
    for place, token in enumerate(body):
        before, after = around(body, place)
        name = new.get(token.name or "")
        if name is None or before.text.lower() in (".", "as") or after.text == "(":
            found.append(token)
        else:
            found.append(Token("name", name, token.space, name))
    return tuple(found)


def _parsed(body: Tokens) -> _WithQuery:
    """A query that begins with WITH."""
    place = 1
    query = _WithQuery(space=body[0].space)
    if body[place].text.lower() == "recursive":
        query.is_recursive = True
        place += 1
    while True:
        begin = place
        while body[place].text.lower() != "as":
            place = closing(body, place) + 1 if body[place].text in OPENING else place + 1
        while body[place].text != "(":
            place += 1
        end = closing(body, place)
        query.ctes.append((body[begin:place], body[place + 1 : end]))
        place = end + 1
        if body[place].text != ",":
            break
        place += 1
    query.main = body[place:]
    return query


def _opens_with(body: Tokens, place: int) -> bool:
    return body[place].text == "(" and _is_with(body, place + 1)


def _is_with(body: Tokens, place: int) -> bool:
    return place < len(body) and body[place].text.lower() == "with"


def _spaced(tokens: Tokens) -> Tokens:
    return (tokens[0]._replace(space=tokens[0].space or " "), *tokens[1:])
