"""The golden files of tests/sql: what each macro answers, word for word, in every client.

A `.test` file is a list of blocks, divided by empty lines; `#` starts a comment. A block is one
statement. After a line `----` stands what it has to answer: a header and rows, with `|` between
columns, or `error: ` and the whole message. A block without an answer only has to succeed. Each
file starts from the tables of `films.sql`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import SERVING, Client, Connection, Shell, StatementError, table

GOLDEN = Path(__file__).parent
FILES = sorted(GOLDEN.glob("*.test"))


@dataclass
class Block:
    line: int
    statement: str
    answer: list[str] | None


def blocks(text: str) -> Iterator[Block]:
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.startswith("#"):
            continue
        if line:
            lines.append(line)
        elif lines:
            yield _block(number - len(lines), lines)
            lines = []


def _block(line: int, lines: list[str]) -> Block:
    if "----" not in lines:
        return Block(line, "\n".join(lines), None)
    bar = lines.index("----")
    return Block(line, "\n".join(lines[:bar]), lines[bar + 1 :])


def answer(client: Client, block: Block, folder: Path) -> list[str] | None:
    try:
        if block.answer is None:
            client.run(block.statement)
            return None
        return table(client, block.statement, folder)
    except StatementError as refused:
        return [f"error: {refused}"]


@pytest.fixture(
    params=[
        "temp macros",
        "persistent macros",
        pytest.param("shell", marks=pytest.mark.newest),  # which knows nothing of Python's DuckDB
        "shell, installed by Python",
    ]
)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    path = tmp_path / "golden.duckdb"
    if request.param.startswith("shell"):
        client: Client = Shell(path, installed=request.param != "shell")
    else:
        client = Connection(path, temporary=request.param == "temp macros")
    with contextlib.closing(client):
        yield client


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path, client: Client, tmp_path: Path) -> None:
    client.run((GOLDEN / "films.sql").read_text())
    for block in blocks(file.read_text()):
        found = answer(client, block, tmp_path)
        assert found == block.answer, f"{file.name}, line {block.line}: {block.statement}"


def test_every_sql_file_has_a_golden_file() -> None:
    assert [file.stem for file in FILES] == sorted(SERVING)
    for file in FILES:
        assert sum(block.answer is not None for block in blocks(file.read_text())) >= 10, file
