"""Names: as they are written in BigQuery and in DuckDB."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """The name of a table or model: [database or project,] [schema or data set,] its own."""

    parts: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The name in SQL."""
        return ".".join(map(identifier, self.parts))

    def __str__(self) -> str:
        return ".".join(self.parts)


def identifier(name: str) -> str:
    """A name in quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A constant, or a list of constants, in SQL."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return "NULL" if value is None else str(value).lower()
