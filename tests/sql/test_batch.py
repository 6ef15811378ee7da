"""Lists for everyone at once: the macros that use the kernel against the plain ones."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf.connection import sqlfiles
from duckmf.connection.expand import macros
from duckmf.connection.plugin import calls_of
from duckmf.ranking.topk import Ranking
from duckmf.statements import underway
from tests.clients import Connection
from tests.conftest import MOVIELENS
from tests.sql.test_golden_sql import FILES, GOLDEN, answer, blocks
from tests.sql.test_serving import FACTS, ID_TYPES, Model

PLAIN = "mf__plain_"


def both(con: duckdb.DuckDBPyConnection, call: str) -> list[tuple[object, ...]]:
    """What a macro answers, which has to be what the plain one answers in another connection."""
    found = con.execute(f"from mf_{call}").fetchall()
    assert found == con.execute(f"from {PLAIN}{call}").fetchall()
    return found


@pytest.fixture(autouse=True)
def plain(con) -> None:
    """The plain functions, under other names."""
    stored = macros(sqlfiles.pure())
    for name in ("recommend", "similar_items", "similar_users"):
        con.execute(replace(stored[f"mf_{name}"], name=PLAIN + name).sql(temp=True))


@pytest.fixture
def model(con) -> Model:
    model = Model(seed=1)
    model.store(con, "films")
    # factors that no exact arithmetic spares from rounding
    con.execute(
        "create table rough as select * replace (list_transform(factors, "
        "lambda x: (x + sin(code) / 7)::float) as factors, (bias / 3)::float as bias) from films"
    )
    return model


OPTIONS = [
    "",
    "k := 1",
    "k := 1000",
    "exclude_seen := false",
    "min_ratings := 60",
    "min_ratings := 0",
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("table", ["films", "rough"])
def test_recommend_for_all_equals_plain_sql(con, model, table, options):
    assert both(con, f"recommend({table}, {options or 'k := 10'})")


@pytest.fixture(scope="module")
def sure(tmp_path_factory) -> Path:
    """A model of the films of 60 users that knows how sure it is, one of whose items does not."""
    path = tmp_path_factory.mktemp("sure") / "sure.parquet"
    with duckmf.connect() as con:
        con.execute(f"create table r as from '{MOVIELENS / 'ratings.parquet'}' where user_id < 60")
        con.execute(
            "create table m as from mf_fit(r, user_id, movie_id, rating, algorithm := 'bayes')"
        )
        con.execute("update m set uncertainty = null where kind = 'item' and code = 7")
        con.execute(f"copy m to '{path}' (format parquet)")
    return path


@pytest.mark.parametrize("options", ["k := 10", "k := 1", "k := 3000", "exclude_seen := false"])
@pytest.mark.parametrize("risk", [None, 0, 0.3, 4, -0.5])
def test_lists_on_the_safe_side_equal_plain_sql(con, sure, risk, options):
    con.execute(f"create table sure as from '{sure}'")
    given = "null" if risk is None else risk
    assert both(con, f"recommend(sure, risk := {given}, {options})")


@pytest.mark.parametrize("options", ["k := 10", "k := 1", "k := 1000"])
@pytest.mark.parametrize("table", ["films", "rough"])
@pytest.mark.parametrize("kind", ["item", "user"])
def test_similar_for_all_equals_plain_sql(con, model, table, kind, options):
    assert both(con, f"similar_{kind}s({table}, {options})")


FILTERS = {
    "some items": "kind <> 'item' or code % 7 = 3",
    "no items": "kind <> 'item'",
    "some users": "kind <> 'user' or code % 5 = 2",
    "no users": "kind <> 'user'",
    "a user": "kind <> 'user' or code = 11",
    "late codes": "kind <> 'item' or code > 120",
}


@pytest.mark.parametrize("name", FILTERS)
def test_filtered_models(con, model, name):
    for table in ("films", "rough"):
        con.execute(f"create view part as from {table} where {FILTERS[name]}")
        found = both(con, "recommend(part)")
        assert bool(found) == (not name.startswith("no ")), name
        con.execute("drop view part")


PARTS = {
    "no factors": "null::float[] as factors",
    "no user factors": "case when kind = 'item' then factors end as factors",
    "no item factors": "case when kind = 'user' then factors end as factors",
    "some without factors": "case when code % 3 > 0 then factors end as factors",
    "no biases": "null::float as bias",
    "popularity": "null::float as bias, null::float[] as factors",
    "double precision": "bias::double as bias, factors::double[] as factors",
    "codes that leave gaps": "(code * 1000 + 7)::integer as code, "
    "list_transform(seen, lambda c: (c * 1000 + 7)::integer) as seen",
    "codes unlike ids": "(case when kind = 'item' then (code * 77 + 5) % 150 else code end)::integer "
    "as code, list_sort(list_transform(seen, lambda c: ((c * 77 + 5) % 150)::integer)) as seen",
    "nothing seen": "null::integer[] as seen, 0::bigint as ratings",
}


@pytest.mark.parametrize("name", PARTS)
def test_models_of_other_kinds(con, model, name):
    con.execute(f"create table other as select * replace ({PARTS[name]}) from rough")
    assert both(con, "recommend(other)")
    assert both(con, "recommend(other, exclude_seen := false, k := 3)")


@pytest.mark.parametrize("id_type", ID_TYPES)
def test_ids_of_any_type(con, model, id_type):
    con.execute("create type ids as enum (select 'e' || i from range(1000) t(i) order by i desc)")
    user, item = (ID_TYPES[id_type].format(id=i) for i in ("user_id", "(item_id - 8000)"))
    con.execute(
        f"create table typed as select * replace ({user} as user_id, {item} as item_id) from rough "
        "where code is null or code < 100"
    )
    assert len(both(con, "recommend(typed, exclude_seen := false)")) == 400
    types = "select distinct typeof(user_id), typeof(item_id) from {}recommend(typed)"
    found = con.execute(types.format("mf_")).fetchall()
    assert found == con.execute(types.format(PLAIN)).fetchall()


@pytest.mark.parametrize(
    "call",
    [
        "recommend(films, k := 0)",
        "recommend(films, k := null)",
        "recommend(films, k := 100001)",
        "recommend(nothing)",
        "recommend(newer)",
        "recommend(unseen)",
        "similar_items(films, k := 0)",
        "similar_items(without)",
        "similar_users(nothing)",
    ],
)
def test_errors_are_those_of_plain_sql(con, model, call):
    con.execute("create table nothing as from films limit 0")
    head = "create table {} as select * replace (case when kind = 'model' then struct_update(facts, {}) end as facts) from films"
    con.execute(head.format("newer", "format := 3"))
    con.execute(head.format("without", "algorithm := 'bias', n_factors := null::integer"))
    con.execute("create table unseen as select * exclude (seen) from films")
    messages = []
    for prefix in ("mf_", PLAIN):
        with pytest.raises(duckdb.Error) as refused:
            con.execute(f"from {prefix}{call}").fetchall()
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert "mf_" + call.split("(")[0] in messages[0]


def test_factors_of_different_lengths_are_refused(con, model):
    con.execute(
        "create table odd as select * replace (case when kind = 'user' then factors[:2] "
        "else factors end as factors) from films"
    )
    with pytest.raises(duckdb.Error, match="users have 2 factors and items 3"):
        con.execute("from mf_recommend(odd)").fetchall()
    con.execute(
        "create table odder as select * replace (case when code = 3 then factors[:2] "
        "else factors end as factors) from films"
    )
    with pytest.raises(duckdb.Error, match="factors have 2 to 3 numbers"):
        con.execute("from mf_recommend(odder)").fetchall()


def test_views_parameters_lateral_columns_and_aggregates(con, model):
    everyone = con.execute(f"from {PLAIN}recommend(rough, k := 7)").fetchall()
    con.execute("create view top7 as from mf_recommend(rough, k := 7)")
    assert con.execute("from top7").fetchall() == everyone
    assert con.execute("select count(*), count(distinct user_id) from top7").fetchone() == (
        len(everyone),
        len({row[0] for row in everyone}),
    )
    for user in (990, 961):
        expected = [row for row in everyone if row[0] == user]
        assert con.execute(f"from top7 where user_id = {user}").fetchall() == expected
        assert con.execute("from mf_recommend(rough, ?, k := 7)", [user]).fetchall() == expected
        lateral = (
            "select m.* from (select ? as u) q, mf_recommend(rough, q.u, k := 7) m order by rank"
        )
        assert con.execute(lateral, [user]).fetchall() == expected
    assert con.execute("from mf_recommend(rough, ?, k := 7)", [None]).fetchall() == everyone
    twice = "select count(*) from (from top7 union all from mf_recommend(rough, k := 7))"
    assert con.execute(twice).fetchone() == (2 * len(everyone),)


def test_a_filter_on_the_users_of_a_view_comes_before_ranking(con, model, monkeypatch):
    con.execute("create view top7 as from mf_recommend(rough, k := 7)")
    ranked = []
    real = Ranking.top

    def top(self, k, weights, *rest):
        ranked.append(len(weights))
        return real(self, k, weights, *rest)

    monkeypatch.setattr(Ranking, "top", top)
    con.execute("from top7 where user_id = 990").fetchall()
    con.execute("from top7 where user_id in (989, 988)").fetchall()
    assert ranked == [1, 2]
    con.execute("from mf_recommend(rough, 990)").fetchall()
    assert ranked == [1, 2], "one user is left to plain SQL"


@pytest.mark.parametrize("threads", [1, 4])
def test_real_models_of_every_batch(movielens, threads):
    movielens.execute(f"set threads = {threads}")
    movielens.execute(
        "create table films as from mf_fit(ratings, user_id, movie_id, rating, epochs := 2, n_factors := 32)"
    )
    assert len(both(movielens, "recommend(films)")) == 6100
    # 9,724 items in several vectors
    found = movielens.execute("from mf_similar_items(films, k := 3)").fetchall()
    some = {row[0] for row in found[:: len(found) // 20]}
    for item in some:
        plain = movielens.execute(f"from {PLAIN}similar_items(films, {item}, k := 3)").fetchall()
        assert [row for row in found if row[0] == item] == plain


class Loaded(Connection):
    """A connection with duckmf, where the macros of batch.sql take the place of plain ones."""

    def __init__(self, path: Path) -> None:
        self.con = duckmf.connect(path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_files_hold_with_duckmf_loaded(file, tmp_path):
    client = Loaded(tmp_path / "golden.duckdb")
    client.run((GOLDEN / "films.sql").read_text())
    for block in blocks(file.read_text()):
        assert answer(client, block, tmp_path) == block.answer, f"{file.name}, line {block.line}"
    client.con.close()


def rankings_of(con: duckdb.DuckDBPyConnection) -> list[Ranking]:
    con.execute("select 1").fetchall()
    calls = calls_of(con)
    assert calls is not None
    return calls.underway.things(Ranking)


@pytest.mark.alone
def test_a_ranking_leaves_with_the_next_statement_of_its_connection(con, model):
    for _ in range(3):
        con.execute("from mf_recommend(films)").fetchall()
        assert len(rankings_of(con)) == 1
    other = con.cursor()
    duckmf.load(other)
    other.execute("from mf_recommend(films) union all from mf_recommend(rough)").fetchall()
    assert len(rankings_of(con)) == 3
    con.execute("from mf_recommend(films)").fetchall()
    assert len(rankings_of(con)) == 3


@pytest.mark.alone
def test_many_rankings_leave_no_threads_behind(con, model):
    con.execute("from mf_recommend(films)").fetchall()
    before = threading.active_count()
    for _ in range(20):
        con.execute("from mf_recommend(films)").fetchall()
    assert threading.active_count() <= before + 4


@pytest.mark.alone
def test_a_ranking_that_nothing_uses_is_given_up(con, model, monkeypatch):
    monkeypatch.setattr(underway, "SECOND", 0.01)
    monkeypatch.setattr(underway, "IDLE", 10)
    con.execute("from mf_recommend(films)").fetchall()
    end = time.monotonic() + 10
    while len(rankings_of(con)) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(rankings_of(con)) == 0


def test_an_interrupt_ends_a_ranking_between_batches(con):
    con.execute(
        "create table wide as "
        f"select 'model' as kind, 0::float as bias, {FACTS} as facts union all by name "
        "select 'user' as kind, i as user_id, i::integer as code, 1 as ratings, "
        "[sin(i * 7), cos(i * 5), sin(i)]::float[] as factors, []::integer[] as seen "
        "from range(60000) t(i) union all by name "
        "select 'item' as kind, i as item_id, i::integer as code, [cos(i), sin(i * 3), i % 5]::float[] "
        "as factors from range(60000) t(i)"
    )
    con.execute("select count(*) from mf_recommend(wide, k := 3) where user_id < 10").fetchall()
    threading.Timer(0.3, con.interrupt).start()
    began = time.monotonic()
    with pytest.raises(duckdb.InterruptException):
        con.execute("create table lists as from mf_recommend(wide, k := 500)")
    assert time.monotonic() - began < 5
    assert con.execute("select count(*) from mf_recommend(wide, 7)").fetchone() == (10,)


def test_the_macros_of_kernels_take_the_place_of_plain_ones_in_a_connection_alone():
    made, stored = (
        macros(sqlfiles.temporary().replace(" temp macro ", " macro ").replace(" temp.mf", " mf")),
        macros(sqlfiles.pure()),
    )
    for name in ("mf_recommend", "mf_similar_items", "mf_similar_users"):
        assert "mf__top" in made[name].sql()
        assert "mf__top" not in stored[name].sql()
