"""Macros that call each other, written as macros that stand alone.

The files of `sql/` say each formula once, in helper macros. What reaches a database calls no macro
of ours: DuckDB exports macros in alphabetical order and looks names up in the caller's search path,
so a stored macro that calls another one breaks EXPORT DATABASE and qualified calls into an attached
file. An `Expander` writes the body of a macro where it is called, in brackets, as DuckDB would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from duckmf.connection.tokens import Token, Tokens, around, closing, split, text_of, tokens

# What the names of CTEs begin with where they are written out: a relation of the caller may be
# called as they are in the files, such as mf__films_users, which publish makes.
OWN = "_duckmf_"
# what follows the name of a field in a type
TYPES = frozenset({"bigint", "boolean", "double", "float", "integer", "timestamp", "varchar"})
# names of parameters that DuckDB 1.x takes for something else
TO_BE_QUOTED = frozenset({"interval"})


class ExpansionError(ValueError):
    """A macro that cannot be written where it is called."""


@dataclass(frozen=True)
class Macro:
    """One `create macro` of the SQL files."""

    name: str
    parameters: Mapping[str, Tokens | None]  # with their defaults; None where there is none
    is_table: bool
    body: Tokens
    comment: str = "''"  # of the catalogue, as SQL text

    def sql(self, temp: bool = False) -> str:
        """The statement that creates it."""
        parameters = ", ".join(
            _name(name) if default is None else f"{_name(name)} := {text_of(default)}"
            for name, default in self.parameters.items()
        )
        made = f"create or replace {'temp ' if temp else ''}macro {self.name}({parameters})"
        return f"{made} as{' table' if self.is_table else ''}\n{text_of(self.body)};\n"

    def comment_sql(self, temp: bool = False) -> str:
        """The statement that documents it in the catalogue."""
        kind = "macro table" if self.is_table else "macro"
        return f"comment on {kind} {'temp.' if temp else ''}{self.name} is {self.comment};\n"


def _name(parameter: str) -> str:
    return f'"{parameter}"' if parameter in TO_BE_QUOTED else parameter


def macros(text: str) -> dict[str, Macro]:
    """The macros that SQL text creates, with their comments, by name."""
    found: dict[str, Macro] = {}
    for statement in split(tokens(text), ";"):
        words = [token.text.lower() for token in statement[:4]]
        if words == ["create", "or", "replace", "macro"]:
            macro = _macro(statement)
            found[macro.name] = macro
        elif words[:3] == ["comment", "on", "macro"]:
            name = statement[-3].text.lower()
            found[name] = replace(found[name], comment=statement[-1].text)
    return found


class _Body(NamedTuple):
    """The body of a macro without calls, and what has to be known of it where it is written."""

    tokens: Tokens
    references: Set[str]  # names that stand for values
    ctes: Set[str]


class Expander:
    """Writes out the calls of known macros."""

    def __init__(self, known: Mapping[str, Macro]) -> None:
        self._known = known
        self._bodies: dict[str, _Body] = {}  # of those that were called before

    def expanded(self, macro: Macro) -> Macro:
        """The same macro without calls of the known ones.

        Raises:
            ExpansionError: a call does not fit its macro, or a name of a body would be taken for
                another one where it is written.
        """
        body = tuple(self._of(macro.body, macro, (macro.name,)))
        return _with_own_ctes(replace(macro, body=body))

    def _of(self, body: Tokens, stored: Macro, path: tuple[str, ...]) -> Iterator[Token]:
        place = 0
        while place < len(body):
            token = body[place]
            macro = self._known.get(token.name) if token.name else None
            if macro is not None and _is_call(body, place):
                end = closing(body, place + 1)
                yield from self._written(macro, token.space, body[place + 2 : end], stored, path)
                place = end + 1
            else:
                yield token
                place += 1

    def _written(
        self, macro: Macro, space: str, between: Tokens, stored: Macro, path: tuple[str, ...]
    ) -> Iterator[Token]:
        if macro.name in path:
            raise ExpansionError(f"{macro.name} calls itself")
        arguments = {
            name: tuple(self._of(argument, stored, path))
            for name, argument in _arguments(macro, between).items()
        }
        body = self._body(macro, (*path, macro.name))
        _check(macro, body, arguments, stored)
        yield Token("sign", "(", space)
        yield from _substituted(body.tokens, arguments)
        yield Token("sign", ")")

    def _body(self, macro: Macro, path: tuple[str, ...]) -> _Body:
        if macro.name not in self._bodies:
            body = _trimmed(tuple(self._of(macro.body, macro, path)))
            ctes = frozenset(t.name for at, t in enumerate(body) if t.name and _is_cte(body, at))
            self._bodies[macro.name] = _Body(body, _references(body), ctes)
        return self._bodies[macro.name]


def _check(macro: Macro, body: _Body, arguments: Mapping[str, Tokens], stored: Macro) -> None:
    """Refuse names that would be taken for others."""
    if taken := body.references & (stored.parameters.keys() - macro.parameters.keys()):
        raise ExpansionError(
            f"{min(taken)} in {macro.name} is a parameter of {stored.name}: qualify it"
        )
    for argument in arguments.values():
        if hidden := _references(argument) & body.ctes:
            raise ExpansionError(f"{macro.name} is given {min(hidden)}, and has a CTE of that name")


def _with_own_ctes(macro: Macro) -> Macro:
    """The same macro with CTEs of names that no relation of the caller has."""
    body = macro.body
    new = {
        token.name: OWN + token.name.removeprefix("mf__")
        for place, token in enumerate(body)
        if token.name and token.name.startswith("mf__") and _is_cte(body, place)
    }
    defaults = {
        name: default and _named_anew(default, new) for name, default in macro.parameters.items()
    }
    return replace(macro, parameters=defaults, body=_named_anew(body, new))


def _named_anew(body: Tokens, new: Mapping[str, str]) -> Tokens:
    """A body in which relations have new names, also where a string is the name of one."""
    found = list(body)
    for place, token in enumerate(body):
        name = new.get(token.text[1:-1] if token.kind == "text" else token.name or "")
        if name is None:
            continue
        if token.kind == "text":
            found[place] = token._replace(text=f"'{name}'")
        elif not _is_no_relation(body, place):
            found[place] = token._replace(text=name, name=name)
    return tuple(found)


def _is_no_relation(body: Tokens, place: int) -> bool:
    """Whether a name is that of a field, an alias or a function."""
    before, after = around(body, place)
    if before.text == "." or before.text.lower() == "as":
        return True
    return after.text == "(" and not _is_cte(body, place)


def _macro(statement: Tokens) -> Macro:
    end = closing(statement, 5)
    parameters: dict[str, Tokens | None] = {}
    for parameter in split(statement[6:end], ","):
        name, default = _named(parameter)
        parameters[name or parameter[0].name or ""] = default if name else None
    is_table = statement[end + 2].text.lower() == "table"
    body = statement[end + 2 + is_table :]
    return Macro(statement[4].text.lower(), parameters, is_table, body)


def _arguments(macro: Macro, between: Tokens) -> dict[str, Tokens]:
    given: dict[str, Tokens] = {}
    in_order = iter(macro.parameters)
    for argument in split(between, ","):
        name, value = _named(argument)
        name = name or next(in_order, None)
        if name is None or name not in macro.parameters or name in given:
            raise ExpansionError(f"{macro.name} does not take {text_of(argument)}")
        given[name] = _trimmed(value)
    for name, default in macro.parameters.items():
        if name not in given:
            if default is None:
                raise ExpansionError(f"{macro.name} is called without {name}")
            given[name] = default
    return given


def _trimmed(body: Tokens) -> Tokens:
    return (body[0]._replace(space=""), *body[1:])


def _named(argument: Tokens) -> tuple[str | None, Tokens]:
    """The name before `:=`, if there is one, and the value."""
    if len(argument) > 2 and argument[1].text == ":=":
        return argument[0].name, argument[2:]
    return None, argument


def _substituted(body: Tokens, arguments: Mapping[str, Tokens]) -> Iterator[Token]:
    fields = _fields_of_types(body)
    for place, token in enumerate(body):
        value = arguments.get(token.name) if token.name else None
        if value is None or place in fields or not _is_reference(body, place):
            yield token
        elif len(value) == 1:
            yield value[0]._replace(space=token.space)
        else:
            yield from (Token("sign", "(", token.space), *value, Token("sign", ")"))


def _references(body: Tokens) -> Set[str]:
    fields = _fields_of_types(body)
    return {
        token.name
        for place, token in enumerate(body)
        if token.name and place not in fields and _is_reference(body, place)
    }


def _fields_of_types(body: Tokens) -> Set[int]:
    """The places of what stands in `struct(...)`: names of fields, and their types."""
    return {
        inside
        for place, token in enumerate(body)
        if token.name == "struct" and _is_call(body, place)
        for inside in range(place + 2, closing(body, place + 1))
    }


def _is_reference(body: Tokens, place: int) -> bool:
    """Whether a name stands for a value: no field, table, function, label or alias."""
    before, after = around(body, place)
    if after.text in (".", "(", ":=") or after.text.lower() in TYPES:
        return False
    return before.text != "." and before.text.lower() != "as"


def _is_call(body: Tokens, place: int) -> bool:
    before, after = around(body, place)
    return before.text != "." and after.text == "("


def _is_cte(body: Tokens, place: int) -> bool:
    if around(body, place)[0].text.lower() not in ("with", "recursive", ","):
        return False
    if body[place + 1].text == "(":  # its columns
        place = closing(body, place + 1)
    words = [token.text.lower() for token in body[place + 1 : place + 5]]
    words = [word for word in words if word not in ("not", "materialized")]
    return words[:2] == ["as", "("]
