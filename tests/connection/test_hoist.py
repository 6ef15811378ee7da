"""CTEs of sub-queries in the WITH of the query around them."""

from __future__ import annotations

import duckdb
import pytest

from duckmf.connection import sqlfiles
from duckmf.connection.hoist import hoisted
from duckmf.connection.tokens import text_of, tokens


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("from t", "from t"),
        ("with a as (from t) from a", "with a as (from t) from a"),
        (
            "with a as (with b as (from t) from b) from a",
            "with b_1 as (from t), a as (from b_1) from a",
        ),
        (
            "from (with a as materialized (from t) select a.x from (with a as (from u) from a) a, a b)",
            "from (with a as materialized (from t), a_1 as (from u) select a.x from (from a_1) a, a b)",
        ),
        (
            "with a as (from t) from a union all (with b as (from a) select b(1) as b, b.b from b)",
            "with a as (from t), b_1 as (from a) from a union all (select b(1) as b, b_1.b from b_1)",
        ),
        (
            "with a as (with recursive b(n) as (select 1 union all select n from b) from b) from a",
            "with recursive b_1(n) as (select 1 union all select n from b_1), a as (from b_1) from a",
        ),
        (
            "with a as (with b as (with c as (from t) from c), d as (from b) from d) from a",
            "with c_1 as (from t), b_2 as (from c_1), d_3 as (from b_2), a as (from d_3) from a",
        ),
    ],
)
def test_there_is_one_with(body: str, expected: str) -> None:
    assert " ".join(text_of(hoisted(tokens(body))).split()) == expected


def test_the_same_rows_come_of_it() -> None:
    con = duckdb.connect()
    con.execute("create table t as select unnest([1, 2, 3]) as n")
    body = (
        "with a as (with b as (select n + 1 as n from t), c as (select n * 2 as n from b) "
        "select c.n from c, b where c.n = 2 * b.n) "
        "select a.n, b.n as m from a, (with b as (from t) select max(b.n) as n from b) b order by all"
    )
    text = text_of(hoisted(tokens(body)))
    assert text.count("with") == 1
    assert con.execute(text).fetchall() == con.execute(body).fetchall()


def test_no_cte_of_an_installed_macro_is_in_another_one() -> None:
    for statement in sqlfiles.script().split(";\n"):
        depth, opened = 0, []
        body = tokens(statement)
        for place, token in enumerate(body):
            depth += (token.text == "(") - (token.text == ")")
            if token.name == "with" and place and body[place - 1].text == "(":
                assert not opened, statement[:200]
                opened.append(depth)
            if opened and depth < opened[-1]:
                opened.pop()
