"""Scripts in which BigQuery ML's statements stand among DuckDB's: what is ours, and what is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from duckmf.bigquery import statements

OURS = [
    ("create model m options() as select 1", "create"),
    ("CREATE OR REPLACE MODEL `a.b` OPTIONS() AS SELECT 1;", "create"),
    ("create /* ; */ model -- ;\n m options() as select ';'", "create"),
    ("/* a /* nested */ one */ create model m options() as from t", "create"),
    ("drop model m", "drop"),
    ("DROP MODEL IF EXISTS a.b.c", "drop"),
    ("select * from ml.recommend(model m)", "query"),
    ("select * from ML . EVALUATE ( MODEL `a.b`, (select 1) )", "query"),
    ('with a as (from ml.weights(model "m")) from a', "query"),
    ("create table t as select * from ml.recommend(model s.m, table u)", "query"),
]
NOT_OURS = [
    "select 1",
    "",
    "-- nothing",
    "select 'create model m options() as select 1'",
    "/* drop model m */ select 1",
    "-- drop model m\nselect 1",
    "select $$ drop model m; $$",
    "select $ä$ from ml.recommend(model m) $ä$",
    "select e'\\' ml.recommend(model m)'",
    'select "ml"."recommend" from ml',
    'select "from ml.recommend(model m)" from t',
    "select ml.recommend(model), ml.recommend(model, 1), ml.recommend(model isnull)",
    "select x.ml.recommend(model m)",
    "select $ml.recommend(model m)",
    "select ml.model from ml",
    "create table model(model integer); drop table model",
    "select create_model, drop_model from m",
    "select {'model': 1}, [1, 2][1], a::int, $1, ?, #1, 1_000, 0x1F",
]


@pytest.mark.parametrize(("text", "kind"), OURS)
def test_a_statement_of_ours_is_found(text, kind):
    (statement,) = statements(text)
    assert (statement.text, statement.kind) == (text, kind)


@pytest.mark.parametrize("text", NOT_OURS)
def test_what_is_not_ours_is_left_alone(text):
    assert [(s.text, s.ours) for s in statements(text)] == [(text, False)]


def test_a_script_is_split_at_its_semicolons_and_nowhere_else():
    text = "select ';' ; create model m options() as from t; -- ;\n ; from ml.weights(model m) -- end\n"
    assert [(s.text, s.kind) for s in statements(text)] == [
        ("select ';' ;", None),
        (" create model m options() as from t;", "create"),
        (" -- ;\n ;", None),
        (" from ml.weights(model m) -- end\n", "query"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "select 'open; drop model m",
        "select /* open; drop model m",
        "select $$ open; drop model m",
        "drop model m; /* a /* b */ --",
    ],
)
def test_a_text_that_ends_inside_quotes_is_left_to_duckdb(text):
    assert [(s.text, s.ours) for s in statements(text)] == [(text, False)]


def test_sqlglot_is_imported_for_statements_of_ours_alone():
    code = (
        "import sys, duckmf\n"
        "con = duckmf.connect()\n"
        "duckmf.sql(con, 'select 1 as model')\n"
        "assert 'sqlglot' not in sys.modules\n"
        "duckmf.sql(con, 'drop model if exists m')\n"
        "assert 'sqlglot' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
