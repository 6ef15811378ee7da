"""No setting of a database changes what a function answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients import Connection
from tests.sql.test_golden_sql import FILES, GOLDEN, blocks

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


@pytest.mark.parametrize("settings", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_files_answer_the_same(file: Path, settings: dict[str, str], tmp_path: Path) -> None:
    client = Connection(tmp_path / "hostile.duckdb", temporary=True)
    client.run((GOLDEN / "films.sql").read_text())
    apply(client.con, settings)
    for block in blocks(file.read_text()):
        if block.answer is None:
            client.run(block.statement)
        elif not takes_part_of_an_order(block):
            found, expected = answer(client, block, tmp_path), block.answer
            if OWN_ORDER.search(block.statement):
                found, expected = sorted(found), sorted(expected)
            assert found == expected, f"{file.name}, line {block.line}: {block.statement}"
