"""Where a statement ends, and where a dot command stands instead of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import duckdb

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def items(lines: Iterable[str]) -> Iterator[str]:
    """The statements and dot commands of a script, each as soon as its last line is there.

    A dot command ends with its line. What follows the last semicolon is a statement too.
    """
    text = ""
    for line in lines:
        if has_words(text) or not is_command(line):
            text += line
            if ";" not in line:
                continue
            complete, text = split(text)
            yield from complete
            if not is_command(text):
                continue
            line = text
        yield line.strip()
        text = ""
    if has_words(text):
        yield text


def is_command(text: str) -> bool:
    """Whether it begins as a dot command does."""
    return text.lstrip().startswith(".")


def is_complete(text: str) -> bool:
    """Whether nothing is missing: it is empty, a dot command, or ends with a semicolon."""
    return is_command(text) or not has_words(split(text)[1])


def split(text: str) -> tuple[list[str], str]:
    """The statements that end with a semicolon, and what is left behind the last one."""
    encoded = text.encode()  # DuckDB counts bytes
    offsets = [offset for offset, _ in duckdb.tokenize(text)]
    ends = [offset + 1 for offset in offsets if encoded[offset : offset + 1] == b";"]
    begins = [0, *ends]
    pieces = [encoded[begin:end].decode() for begin, end in zip(begins, ends, strict=False)]
    return [piece for piece in pieces if has_words(piece)], encoded[begins[-1] :].decode()


def has_words(text: str) -> bool:
    """Whether there is more than white space, semicolons and whole comments."""
    return bool(_COMMENT.sub("", text).strip("; \t\r\n"))
