"""The expander: calls of helper macros written out, as DuckDB itself would read them."""

from __future__ import annotations

import duckdb
import pytest

from duckmf.connection import sqlfiles
from duckmf.connection.expand import Expander, ExpansionError, macros
from duckmf.connection.tokens import text_of, tokens

HELPERS = """
-- a comment; with a semicolon, and a 'quote
create or replace macro mf__twice(x) as x * 2;
comment on macro mf__twice is 'Two times it''s value';
create or replace macro mf__or(x, other := mf__twice(21)) as coalesce(x, other);
create or replace macro mf__nothing() as null::struct(x integer);
create or replace macro mf__rows_of(t) as table from query_table(t) r;
create or replace macro mf__kept(t, least) as table
    with big as (select r.* from mf__rows_of(t) r where r.n >= least) select b.n from big b;
"""


def call(text: str, helpers: str = HELPERS) -> str:
    """A macro `f` of this text, without its calls."""
    known = macros(helpers)
    (stored,) = macros(f"create or replace macro f({text};").values()
    return text_of(Expander(known).expanded(stored).body)


def value(text: str, arguments: str) -> object:
    """What `f` gives, once expanded."""
    known = macros(HELPERS)
    (stored,) = macros(f"create or replace macro f({text};").values()
    con = duckdb.connect()
    con.execute("create table numbers as select unnest([1, 2, 3]) as n")
    con.execute(Expander(known).expanded(stored).sql())
    read = f"from f({arguments})" if stored.is_table else f"select f({arguments})"
    return con.execute(read).fetchall()


@pytest.mark.parametrize(
    ("text", "arguments", "rows"),
    [
        ("x) as mf__twice(x)", "4", [(8,)]),
        ("x) as mf__twice(x + 1)", "4", [(10,)]),
        ("x) as 1 + mf__twice(x - 1) * 3", "4", [(19,)]),
        ("x) as mf__twice(mf__twice(x))", "4", [(16,)]),
        ("x) as mf__or(x)", "null", [(42,)]),
        ("x) as mf__or(other := x, x := null)", "7", [(7,)]),
        ("x) as mf__or(case when x > 1 then x end, x)", "1", [(1,)]),
        ("x) as list_transform([1, 2], lambda y: mf__twice(y) + x)", "1", [([3, 5],)]),
        ("x) as mf__nothing().x is null and x", "true", [(True,)]),
        ("x) as {'x': x, 'mf__twice(x)': mf__twice(x)}", "1", [({"x": 1, "mf__twice(x)": 2},)]),
        ("t) as table from mf__rows_of(t) where n > 1", "numbers", [(2,), (3,)]),
        ("t) as table select max(k.n) from mf__kept(t, least := 2) k", "'numbers'", [(3,)]),
        (
            "t) as table with one as (from mf__kept(t, 3)) from mf__rows_of(one)",
            "numbers",
            [(3,)],
        ),
    ],
)
def test_an_expanded_macro_gives_what_the_calls_mean(text, arguments, rows):
    assert value(text, arguments) == rows


def test_names_that_are_not_calls_stay():
    text = """x) as mf__twice || '; mf__twice(1)' || t.mf__twice(x) || "mf__twice"(1)"""
    assert call(text) == ("""mf__twice || '; mf__twice(1)' || t.mf__twice(x) || (1 * 2)""")


def test_parameters_are_replaced_where_they_are_values_and_nowhere_else():
    helper = "create or replace macro mf__p(x) as struct_pack(x := x, y := t.x).x + x.y as x;"
    assert call("a) as mf__p(a.b)", helper) == ("(struct_pack(x := (a.b), y := t.x).x + x.y as x)")


def test_the_fields_of_a_type_are_no_references():
    helper = "create or replace macro mf__p(x) as x::struct(a integer, x struct(b double));"
    assert call("a, b) as mf__p(b)", helper) == "(b::struct(a integer, x struct(b double)))"


def test_a_quoted_parameter_is_the_same_parameter():
    helper = """create or replace macro mf__p("of") as "of" + 1;"""
    assert call("a) as mf__p(a)", helper) == "(a + 1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a) as mf__twice()", "mf__twice is called without x"),
        ("a) as mf__twice(1, 2)", "mf__twice does not take 2"),
        ("a) as mf__twice(y := 2)", "mf__twice does not take y := 2"),
        ("r) as mf__clash(1)", "r in mf__clash is a parameter of f: qualify it"),
        ("t) as table with big as (from t) from mf__kept(big, 1)", "mf__kept is given big, and has a CTE"),
        ("a) as mf__loop(a)", "mf__loop calls itself"),
    ],
)  # fmt: skip
def test_what_would_mean_something_else_is_refused(text, message):
    more = """
    create or replace macro mf__clash(x) as (select r + x from query_table('t') s);
    create or replace macro mf__loop(x) as mf__loop(x) + 1;
    """
    with pytest.raises(ExpansionError, match=message):
        call(text, HELPERS + more)


def test_tokens_lose_nothing_but_comments():
    text = "select 'a''b', \"c\"\"d\", $$;$$, 1.5e3, x::int, a := b -- gone\n/* gone ; */ from t"
    assert "".join(t.space + t.text for t in tokens(text)) == (
        "select 'a''b', \"c\"\"d\", $$;$$, 1.5e3, x::int, a := b \n from t"
    )


def test_no_macro_that_reaches_a_database_calls_another_one():
    for text in (sqlfiles.pure(), sqlfiles.served(), sqlfiles.temporary()):
        made = macros(text.replace("replace temp macro", "replace macro").replace("temp.", ""))
        helpers = {name for name in sqlfiles.helpers() if name not in made}
        assert made
        assert helpers
        for macro in made.values():
            names = {token.name for token in macro.body}
            after = [b.text for b in macro.body[1:]]
            called = {t.name for t, b in zip(macro.body, after, strict=False) if b == "("}
            assert not called & (made.keys() | helpers), macro.name
            assert not names & {"mf__rows", "mf__head"} or macro.name.startswith("mf_")


def test_every_macro_is_documented_in_the_catalogue(con):
    rows = con.execute(
        "select distinct function_name, comment from duckdb_functions() "
        "where starts_with(function_name, 'mf_') and function_type like '%macro'"
    ).fetchall()
    assert len(rows) > 30
    assert [name for name, comment in rows if not comment] == []
