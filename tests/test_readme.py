"""The README's SQL runs, and gives what the README says. `python -m tests.test_readme` renews it.

Every ```sql block runs, in order, in one database that has the tables `ratings` and `movies`; a
```text block behind it is its output. Statements of BigQuery ML go through duckmf's reader.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import bigquery
from duckmf.connection import sqlfiles
from tests.conftest import MOVIELENS

pytestmark = pytest.mark.newest

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


def reference() -> str:
    """All pages that users read."""
    pages = [README, *sorted((README.parent / "docs").rglob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def functions() -> dict[str, set[str]]:
    """The parameters of each function: those of a duckmf connection, and those of clients."""
    rows = duckmf.connect().execute(
        "select function_name, parameters from duckdb_functions() "
        "where starts_with(function_name, 'mf_') and function_type like '%macro' "
        "and not starts_with(function_name, 'mf__')"
    )
    found = {name: set(parameters) for name, parameters in rows.fetchall()}
    client = (sqlfiles.folder() / f"{sqlfiles.CLIENT}.sql").read_text()
    for name, parameters in re.findall(r"^create .* macro (mf_[a-z]\w+)\(([^)]*)\)", client, re.M):
        found[name] = {part.split(":=")[0].strip() for part in parameters.split(",")}
    return found


def undocumented(text: str, functions: dict[str, set[str]]) -> dict[str, set[str]]:
    """What a text does not name: functions, and parameters that no signature of theirs has.

    A signature that ends in dots has the options that the text names elsewhere as well: in
    backquotes, or at the begin of a row of a table.
    """
    options = set(re.findall(r"`(\w+)`|^\| (\w+) \|", text, re.M))
    named = {name for pair in options for name in pair}
    missing = {}
    for function, parameters in functions.items():
        signatures = re.findall(rf"`{function}\(([^`]*)\)`", text)
        lacking = [
            parameters - set(re.findall(r"\w+", one)) - (named if "..." in one else set())
            for one in signatures
        ]
        if all(lacking):
            missing[function] = min(lacking, key=len, default=parameters)
    return missing


def test_the_reference_has_every_function_with_every_parameter():
    known = functions()
    assert {"mf_fit", "mf_recommend", "mf_models", "mf_remote_train"} < known.keys()
    assert undocumented(reference(), known) == {}


def test_what_the_reference_lacks_is_found():
    text = "| `mf_a(x, k := 10)` | and `mf_b(x, ...)`, with `seed` |\n| epochs | 3 |\nmf_c(x)"
    assert undocumented(text, {"mf_a": {"x", "k"}, "mf_b": {"x", "seed", "epochs"}}) == {}
    known = {"mf_a": {"x", "seed"}, "mf_b": {"x", "k"}, "mf_c": {"x"}, "mf_d": set[str]()}
    assert undocumented(text, known) == {
        "mf_a": {"seed"},
        "mf_b": {"k"},
        "mf_c": {"x"},
        "mf_d": set(),
    }


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
