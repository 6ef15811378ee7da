"""Reads the parts of a statement one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType

from duckmf.bigquery.names import Name
from duckmf.bigquery.script import Source
from duckmf.bigquery.words import bare, is_name
from duckmf.errors import BigQueryError


@dataclass(frozen=True)
class HparamValues:
    """HPARAM_RANGE(low, high) or HPARAM_CANDIDATES([...]): values to try."""

    kind: str  # 'range' or 'candidates'
    values: list[Constant]


Constant = str | int | float | bool | None | list["Constant"] | HparamValues

_STRINGS = {TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.RAW_STRING}
_FORMS = {"HPARAM_RANGE": "range", "HPARAM_CANDIDATES": "candidates"}
_WORDS = {"TRUE": True, "FALSE": False, "NULL": None}


class Reader:
    """The words of one statement, or of a part of one, and a place among them."""

    def __init__(self, what: str, source: Source, words: Sequence[Token]) -> None:
        self.what = what
        self.source = source
        self.words = words
        self.i = 0

    @property
    def next(self) -> str:
        """The next word, in capitals; nothing for one in quotes, and at the end."""
        return bare(self.words[self.i]) if self.i < len(self.words) else ""

    @property
    def ended(self) -> bool:
        """Whether all words are read."""
        return self.i >= len(self.words)

    def accept(self, *words: str) -> bool:
        """Read these words, if they come next."""
        found = [bare(word) for word in self.words[self.i : self.i + len(words)]]
        if found != list(words):
            return False
        self.i += len(words)
        return True

    def expect(self, word: str) -> Token:
        """Read a word that has to come next."""
        if not self.accept(word):
            raise self.error(word)
        return self.words[self.i - 1]

    def name(self) -> Name:
        """Read a name; the dots inside backticks divide it too."""
        parts: list[str] = []
        while not self.ended and is_name(self.words[self.i]):
            word = self.words[self.i]
            backticks = self.source.text[word.start] == "`"
            parts += word.text.split(".") if backticks else [word.text]
            self.i += 1
            if not self.accept("."):
                break
        else:
            raise self.error("a name")
        if not all(parts) or len(parts) > 3:
            raise self.error("a name of one to three parts", -1)
        return Name(tuple(parts))

    def option_name(self) -> str:
        """Read the name of an option, in capitals."""
        if self.ended or not is_name(self.words[self.i]):
            raise self.error("the name of an option")
        self.i += 1
        return self.words[self.i - 1].text.upper()

    def constant(self) -> Constant:
        """Read a constant: a text, number, truth value, list, or values to search."""
        if not self.ended and self.words[self.i].token_type in _STRINGS | {TokenType.IDENTIFIER}:
            self.i += 1
            return self.words[self.i - 1].text
        if self.next in _WORDS:
            self.i += 1
            return _WORDS[bare(self.words[self.i - 1])]
        if self.next in _FORMS:
            return self._hparam_values()
        return list(self._items("[", "]")) if self.next == "[" else self._number()

    def _hparam_values(self) -> HparamValues:
        form = _FORMS[self.next]
        self.i += 1
        values = list(self._items("(", ")"))
        if form == "candidates" and len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        return HparamValues(form, values)

    def _items(self, begin: str, end: str) -> Iterator[Constant]:
        self.expect(begin)
        while not self.accept(end):
            yield self.constant()
            if self.next != end:
                self.expect(",")

    def _number(self) -> int | float:
        sign = -1 if self.accept("-") else 1
        if self.ended or self.words[self.i].token_type is not TokenType.NUMBER:
            raise self.error("a constant")
        text = self.words[self.i].text
        try:
            number = int(text) if text.isdecimal() else float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.error("a finite number")
        self.i += 1
        return sign * number

    def inside(self) -> tuple[int, int]:
        """Read what stands in parentheses: the places of its first word and behind its last."""
        self.expect("(")
        begin, depth = self.i, 1
        while not self.ended:
            depth += {"(": 1, ")": -1}.get(self.next, 0)
            self.i += 1
            if depth == 0:
                return begin, self.i - 1
        raise self.error("a closing )")

    def error(self, expected: str, back: int = 0) -> BigQueryError:
        """The statement is not written right here."""
        i = self.i + back
        if i < len(self.words):
            word = self.words[i]
            found = self.source.text[word.start : word.end + 1]
            where = self.source.position(word.start)
        else:
            end = self.words[-1].end + 1 if self.words else 0
            found, where = "the end", self.source.position(end)
        return BigQueryError(f"{self.what}: expected {expected} at {where}, found {found[:40]}.")
