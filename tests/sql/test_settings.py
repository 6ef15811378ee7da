"""No setting of a database changes what a function answers."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from tests.clients import Connection
from tests.sql.test_golden_sql import FILES, GOLDEN, answer, blocks

# Together in a few sets, so that the golden files need not run once for each.
HOSTILE = {
    "descending": {
        "default_order": "desc",
        "default_null_order": "nulls_first",
        "preserve_insertion_order": "false",
        "threads": "1",
        "default_collation": "nocase",
    },
    "dividing": {
        "default_order": "desc",
        "default_null_order": "nulls_last",
        "integer_division": "true",
        "threads": "4",
        "TimeZone": "America/New_York",
        "scalar_subquery_error_on_multiple_rows": "false",
        "lambda_syntax": "disable_single_arrow",
    },
    "not optimized": {
        "disabled_optimizers": "statistics_propagation,filter_pushdown,join_order,cte_inlining,"
        "common_subexpressions,expression_rewriter,column_lifetime,build_side_probe_side,top_n",
        "default_null_order": "nulls_first_on_asc_last_on_desc",
    },
}
OWN_ORDER = re.compile(r"\border by\b", re.IGNORECASE)
# statements of the tests that take a part of an order of their own, or tell 'Item' from 'item'
PART_OF_AN_ORDER = re.compile(r"(?i:\blimit\b|\blist\(|string_agg)|'Item'")


def set_where_it_exists(con: duckdb.DuckDBPyConnection, settings: dict[str, str]) -> list[str]:
    known = {name for (name,) in con.execute("select name from duckdb_settings()").fetchall()}
    assert "default_order" in known
    names = [name for name in settings if name in known]
    for name in names:
        con.execute(f"set {name} = '{settings[name]}'")
    return names


@pytest.mark.parametrize("settings", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_files_answer_the_same(file: Path, settings: dict[str, str], tmp_path: Path) -> None:
    client = Connection(tmp_path / "hostile.duckdb", temporary=True)
    client.run((GOLDEN / "films.sql").read_text())
    for block in blocks(file.read_text()):
        if block.answer is None:  # what is asked of is made under the usual settings
            client.run(block.statement)
            continue
        names = set_where_it_exists(client.con, settings)
        if not PART_OF_AN_ORDER.search(block.statement):
            found, expected = answer(client, block, tmp_path), block.answer
            # texts of equal rank go by the collation
            if OWN_ORDER.search(block.statement) or "default_collation" in settings:
                found, expected = sorted(found), sorted(expected)
            assert found == expected, f"{file.name}, line {block.line}: {block.statement}"
        for name in names:
            client.con.execute(f"reset {name}")


def test_a_training_has_the_same_bits(con) -> None:
    con.execute("create table r as select i % 37 u, i % 23 i, i * i % 5 as v from range(600) t(i)")
    fit = "from mf_fit(r, u, i, v, n_factors := 3, epochs := 3, duplicates := 'last', ts := v)"
    rows = "select kind, user_id, item_id, code, bias, factors, seen from m order by all"
    con.execute(f"create or replace table m as {fit}")
    expected = con.execute(rows).fetchall()
    try:
        con.execute("set default_order = 'desc'; set default_null_order = 'nulls_first'")
        con.execute(f"create or replace table m as {fit}")
        con.execute("reset default_order; reset default_null_order")
        assert con.execute(rows).fetchall() == expected
    finally:
        con.execute("reset default_order; reset default_null_order")
