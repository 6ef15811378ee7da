"""A script as its statements: which of them are ours, without a byte of the others touched.

Two lexers have to agree on where a statement ends and on the words that make it ours: sqlglot's,
whose tokens are read further, and DuckDB's own, which knows what DuckDB takes for a string or a
comment. Where they do not, or sqlglot cannot read the text at all, the text is left to DuckDB.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from sqlglot import Token

# What may stand between two words: white space and comments, also nested ones.
_GAP = r"(?>\s+|--[^\r\n]*|/\*(?s:.*?)\*/|\*/)*+"
_CREATE = rf"\bcreate\b{_GAP}(?:or\b{_GAP}replace\b{_GAP})?model\b"
_DROP = rf"\bdrop\b{_GAP}model\b"
_CALL = rf"\bml{_GAP}\.{_GAP}\w+{_GAP}\({_GAP}model\b"
_COMMENT, _IN_COMMENT = re.compile(r"--[^\r\n]*|/\*"), re.compile(r"/\*|\*/")
# To DuckDB's parser these are white space, to its lexer they are letters.
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u1680\u202f\u205f\u3000\ufeff", " "))
_SPACES |= dict.fromkeys(range(0x2000, 0x200C), " ")
# A text without a match has no statement of ours; one with a match may have.
_LIKELY = re.compile(f"{_CREATE}|{_DROP}|{_CALL}", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """The text that a statement stands in: what positions in messages are counted in."""

    text: str

    def position(self, offset: int) -> str:
        """The line and column of an offset, counted from 1."""
        line = self.text.count("\n", 0, offset) + 1
        column = offset - self.text.rfind("\n", 0, offset)
        return f"line {line}, column {column}"


@dataclass(frozen=True)
class Statement:
    """A statement of a script, from the end of the one before it to its own semicolon.

    `kind` is 'create' or 'drop' (MODEL), 'query' (it calls functions of ML), or None where it is
    not ours: then DuckDB gets `text` as it is.
    """

    text: str
    kind: str | None = None
    source: Source = field(default=Source(""), repr=False, compare=False)
    begin: int = 0  # where the text stands in the source
    words: tuple[Token, ...] = field(default=(), repr=False, compare=False)  # empty: not read

    @property
    def ours(self) -> bool:
        """Whether it is a statement of BigQuery ML."""
        return self.kind is not None


def statements(text: str) -> list[Statement]:
    """The statements of a script, in order; together their texts are the script.

    A script that has nothing of ours, or that the two lexers read differently, is one statement.
    Nothing is raised for what is wrong: that is found when it is translated.
    """
    likely = "model" in text.lower() and _LIKELY.search(text)  # the first is ten times faster
    if not likely and "`" not in text:
        return [Statement(text)]
    from duckmf.bigquery import words

    tokens = words.tokenize(text)
    if not tokens or _ends_in_a_comment(text[tokens[-1].end + 1 :]):
        return [Statement(text)]
    if not (_is_unicode(text) and _agrees(text, tokens)):
        return [Statement(text)]
    found = list(_pieces(text, tokens))
    marked = any(s.ours or words.in_backticks(text, s.words) for s in found)
    return found if marked else [Statement(text)]


def _pieces(text: str, tokens: list[Token]) -> Iterator[Statement]:
    from duckmf.bigquery import words

    source, begin, first = Source(text), 0, 0
    ends = [i + 1 for i, token in enumerate(tokens) if words.bare(token) == ";"]
    for last in dict.fromkeys((*ends, len(tokens))):
        # white space and comments behind the last word of all belong to the last statement
        end = len(text) if last == len(tokens) else tokens[last - 1].end + 1
        own = tuple(token for token in tokens[first:last] if words.bare(token) != ";")
        yield Statement(text[begin:end], words.kind(own), source, begin, own)
        begin, first = end, last


def _ends_in_a_comment(tail: str) -> bool:
    """Whether what follows the last word opens a comment that it does not close."""
    depth, at = 0, 0
    while match := (_IN_COMMENT if depth else _COMMENT).search(tail, at):
        depth += {"/*": 1, "*/": -1}.get(match.group(), 0)
        at = match.end()
    return depth > 0


def _is_unicode(text: str) -> bool:
    """Whether DuckDB can be given the text: Python's may have half of a pair of surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _agrees(text: str, tokens: list[Token]) -> bool:
    """Whether both lexers see the same parentheses and semicolons, and DuckDB our words.

    No word of DuckDB's may lie outside sqlglot's, in what sqlglot takes for a comment.
    """
    from duckmf.bigquery import words

    plain = _plain_words(text)
    signs = {token.start for token in tokens if words.bare(token) in ("(", ")", ";")}
    if signs != {offset for offset in plain if text[offset] in "();"}:
        return False
    begins = [token.start for token in tokens]
    for offset in plain:
        place = bisect_right(begins, offset) - 1
        if place < 0 or offset > tokens[place].end:
            return False
    return all(word.start in plain for word in words.ours(tokens))


def _plain_words(text: str) -> set[int]:
    """Where DuckDB sees a word or a sign begin that is no constant and no comment."""
    text = text.translate(_SPACES)
    quoted = (duckdb.token_type.string_const, duckdb.token_type.comment)
    offsets = {offset for offset, kind in duckdb.tokenize(text) if kind not in quoted}
    if text.isascii():
        return offsets
    n_bytes, plain = 0, set()  # DuckDB counts bytes
    for i, character in enumerate(text):
        if n_bytes in offsets:
            plain.add(i)
        n_bytes += len(character.encode())
    return plain
