"""How much of the SQL files stands in them more than once.

    python tests/repeated_lines.py

A window is six lines that follow each other, without comments and empty lines, and without regard to
indentation. Repeated are the lines of every window that stands elsewhere too, in the same file or in
another one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SQL = Path(__file__).parent.parent / "sql"
WINDOW = 6


def code_lines(text: str) -> list[str]:
    """The lines of SQL text without comments and empty ones."""
    lines = (re.sub(r"\s*--.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def windows(lines: list[str]) -> Iterator[tuple[str, ...]]:
    """Each six lines that follow each other."""
    for first in range(len(lines) - WINDOW + 1):
        yield tuple(lines[first : first + WINDOW])


def repeated(texts: dict[str, str]) -> tuple[dict[str, int], int]:
    """The number of repeated lines in each text, and the number of all lines."""
    files = {name: code_lines(text) for name, text in texts.items()}
    times = Counter(window for lines in files.values() for window in windows(lines))
    found = {}
    for name, lines in files.items():
        again = [first for first, window in enumerate(windows(lines)) if times[window] > 1]
        found[name] = len({line for first in again for line in range(first, first + WINDOW)})
    return found, sum(map(len, files.values()))


def main() -> None:
    """Print what is repeated in each file, and in all of them."""
    found, n_lines = repeated({path.stem: path.read_text() for path in sorted(SQL.glob("*.sql"))})
    for name, n in found.items():
        if n:
            print(f"{name:20} {n:5}")
    n_found = sum(found.values())
    print(f"{'of ' + str(n_lines):20} {n_found:5} {n_found / n_lines:6.1%}")


if __name__ == "__main__":
    main()
