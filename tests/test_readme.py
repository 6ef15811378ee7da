"""The README's SQL runs, and gives what the README says. `python -m tests.test_readme` renews it.

Every ```sql block runs, in order, in one database that has the tables `ratings` and `movies`; a
```text block behind it is its output. Statements of BigQuery ML go through duckmf's reader.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

import duckmf
from duckmf import bigquery
from tests.conftest import MOVIELENS

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```(?:\n\n?```text\n(?P<output>.*?)```)?", re.DOTALL)


def prepared() -> duckdb.DuckDBPyConnection:
    con = duckmf.connect()
    for table in ("ratings", "movies"):
        con.execute(f"create table {table} as from '{MOVIELENS / table}.parquet'")
    return con


def output(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    """What the last statement of a block shows: aligned columns, numbers to the right."""
    relation = None
    for part in bigquery.statements(sql):
        if part.ours:
            relation = bigquery.run(con, part) or relation
            continue
        for statement in con.extract_statements(part.text):
            if statement.type == duckdb.StatementType.SELECT:
                relation = con.sql(statement.query)
            else:
                con.execute(statement)
    if relation is None:
        return ""
    rows = [relation.columns, *[[cell(value) for value in row] for row in relation.fetchall()]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [not re.search("VARCHAR|JSON|BOOL", str(kind)) for kind in relation.types]
    return "".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        + "\n"
        for row in rows
    )


def cell(value: object) -> str:
    if value is None:
        return "NULL"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def renewed(text: str) -> str:
    """The README with the outputs that its blocks give now."""
    con = prepared()

    def renew(match: re.Match[str]) -> str:
        given = output(con, match["sql"])
        block = f"```sql\n{match['sql']}```"
        return block if match["output"] is None else f"{block}\n\n```text\n{given}```"

    return BLOCK.sub(renew, text)


def test_every_block_of_sql_gives_the_output_below_it():
    text = README.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) >= 10
    assert renewed(text) == text


def test_the_readme_names_every_function_and_option():
    text = README.read_text(encoding="utf-8")
    con = duckmf.connect()
    functions = con.execute(
        "select function_name, parameters from duckdb_functions() "
        "where starts_with(function_name, 'mf_') and function_type like '%macro' "
        "and not starts_with(function_name, 'mf__')"
    ).fetchall()
    for name, parameters in functions:
        assert f"`{name}(" in text, name
        if name == "mf_fit":
            for option in parameters[3:]:
                assert option in text, option


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
