"""mf_fold_in and mf_fold_in_items: what may be done with their rows, and what they refuse."""

from __future__ import annotations

import contextlib
import threading

import duckdb
import pytest

import duckmf
from duckmf.connection.plugin import calls_of
from duckmf.statements.fold_in import FoldIn
from tests.clients import SERVING, Shell
from tests.statements.models import error, fit, rows

COLUMNS = ("kind", "user_id", "item_id", "code", "ratings", "seen", "seen_ratings")


def test_the_rows_have_the_columns_and_types_of_the_model(small):
    fit(small, "svdpp")
    small.execute(
        "create table mine as select 'mine' as note, * replace (code::bigint as code, "
        "user_id::utinyint as user_id, info::varchar as info, bias::double as bias) from films"
    )
    for function in ("mf_fold_in", "mf_fold_in_items"):
        call = f"{function}(mine, ratings, user_id, item_id, rating)"
        described = rows(small, f"(describe from {call})", "column_name, column_type")
        assert described == rows(small, "(describe mine)", "column_name, column_type")


def test_factors_may_be_an_array(small):
    fit(small, "als")
    small.execute(
        "create table arrays as select * replace (factors::float[5] as factors) from films"
    )
    call = "mf_fold_in({}, ratings, user_id, item_id, rating)"
    assert rows(small, call.format("arrays"), "factors::float[]") == rows(
        small, call.format("films"), "factors"
    )


@pytest.fixture
def films(small):
    """`small` with a model of the first 30 users, and `newcomers`, the ratings of the other 10."""
    small.execute("create table everyone as from ratings")
    small.execute("create table newcomers as from ratings where user_id >= 30")
    small.execute("delete from ratings where user_id >= 30")
    fit(small, "als")
    return small


FOLD = "mf_fold_in(films, newcomers, user_id, item_id, rating)"


def test_statements_that_know_nothing_of_each_other_give_ids_codes_of_their_own(films):
    films.execute("delete from films where user_id between 3 and 20")
    found = dict(rows(films, FOLD, "user_id", "code"))
    assert sorted(found) == list(range(30, 40))
    assert len(set(found.values())) == 10
    part = "mf_fold_in(films, part, user_id, item_id, rating)"
    for user, code in found.items():
        films.execute(f"create or replace view part as from newcomers where user_id = {user}")
        assert rows(films, part, "user_id", "code") == [(user, code)]


def test_a_code_that_is_taken_is_not_given_again(films):
    code = dict(rows(films, FOLD, "user_id", "code"))[30]
    films.execute(
        f"update films set code = {code} where kind = 'user' and user_id = 3;"
        f"insert into films by name from {FOLD}"
    )
    found = rows(films, "films where kind = 'user'", "count(distinct code)", "count(*)")
    assert found == [(40, 40)]
    assert rows(films, "films where user_id = 30", "code < 1000") == [(True,)]


def test_inserted_users_get_their_own_lists_in_the_real_shell(films, tmp_path):
    path = tmp_path / "films.duckdb"
    films.execute(f"attach '{path}' as stored (storage_version 'v1.4.0')")
    films.execute("create table stored.films as from films")
    inserted = films.execute(
        "insert into stored.films from mf_fold_in(stored.films, newcomers, user_id, item_id, rating)"
    ).fetchall()
    assert inserted == [(10,)]
    films.execute("detach stored")
    target = tmp_path / "lists.csv"
    with contextlib.closing(Shell(path)) as shell:
        shell.run(f"copy (from mf_recommend(films, k := 3) where user_id >= 30) to '{target}'")
    found = films.execute(
        f"select user_id, source, count(*) from '{target}' group by all order by all"
    ).fetchall()
    assert found == [(user, "model", 3) for user in range(30, 40)]
    films.execute("insert into films from " + FOLD)
    assert films.execute(
        f"select count(*) from '{target}' semi join newcomers using (user_id, item_id)"
    ).fetchall() == [(0,)], "what they have rated is left out"


@pytest.mark.newest
def test_a_folded_user_is_predicted_better_than_by_the_item_means(movielens):
    con = movielens
    con.execute("create table parts as from mf_split(ratings, user_id, movie_id)")
    con.execute("create view old as from ratings where user_id > 100")
    con.execute("create view given as from parts where user_id <= 100 and split = 'train'")
    con.execute("create view asked as from parts where user_id <= 100 and split = 'test'")
    con.execute("create table stale as from mf_fit(old, user_id, movie_id, rating)")
    con.execute(
        "create table films as from stale union all "
        "from mf_fold_in(stale, given, user_id, movie_id, rating, unknown := 'ignore')"
    )
    rmse = [
        con.execute(
            f"select rmse from mf_evaluate({m}, asked, user_id, movie_id, rating)"
        ).fetchall()[0][0]
        for m in ("stale", "films")
    ]
    assert rmse[1] < 0.93 * rmse[0]


def test_merge_replaces_known_users_and_inserts_new_ones(films):
    films.execute(
        "create table changed as from newcomers union all "
        "select user_id, item_id, 1, ts from ratings where user_id < 5"
    )
    films.execute("create table before as from films")
    films.execute(
        "merge into films using (from mf_fold_in(films, changed, user_id, item_id, rating)) as changes "
        "on films.kind = 'user' and films.user_id = changes.user_id "
        "when matched then update when not matched then insert"
    )
    call = "mf_fold_in(before, changed, user_id, item_id, rating)"
    films.execute(
        f"create table expected as from before where kind <> 'user' or user_id not in "
        f"(select user_id from changed) union all from {call}"
    )
    assert rows(films, "films", *COLUMNS, "factors") == rows(films, "expected", *COLUMNS, "factors")
    assert films.execute("select count(*) from films where kind = 'user'").fetchall() == [(40,)]


def test_create_or_replace_reads_the_model_that_it_replaces(films):
    films.execute("create table expected as from films union all from " + FOLD)
    films.execute("create or replace table films as from films union all from " + FOLD)
    assert rows(films, "films", *COLUMNS, "factors") == rows(films, "expected", *COLUMNS, "factors")


def test_new_ratings_alone_join_the_stored_ones(films):
    films.execute(
        "create table later as select 7 as user_id, i as item_id, 5 as rating from range(30) t(i) where i % 4 = 0"
    )
    films.execute(
        "create table complete as from (select user_id, item_id, rating from ratings where user_id = 7 "
        "union all from later)"
    )
    call = "mf_fold_in(films, {}, user_id, item_id, rating{})"
    for duplicates in ("mean", "max", "sum"):
        how = f", duplicates := '{duplicates}'"
        assert rows(films, call.format("later", how + ", complete := false")) == rows(
            films, call.format("complete", how)
        )


def test_the_last_of_stored_and_new_ratings_is_the_new_one(films):
    films.execute(
        "create table later as select 7 as user_id, unnest(range(30)) as item_id, 5 as rating, 0 as ts"
    )
    found = rows(
        films,
        "mf_fold_in(films, later, user_id, item_id, rating, ts, complete := false, duplicates := 'last')",
        "seen_ratings",
    )
    assert found == [([5.0] * 30,)]


def test_a_model_that_stored_no_ratings_cannot_add_to_them(films):
    fit(films, "als", keep_seen=False)
    films.execute("create view later as from ratings where user_id = 7 limit 3")
    assert "mf_fold_in: the model has not stored the ratings of its users" in error(
        films, "mf_fold_in(films, later, user_id, item_id, rating, complete := false)"
    )
    assert rows(films, "mf_fold_in(films, later, user_id, item_id, rating)", "ratings", "seen") == [
        (3, None)
    ]
    assert rows(films, FOLD.replace("g)", "g, complete := false)"), "count(*)") == [(10,)]


def test_stored_ratings_of_items_that_left_the_model(films):
    films.execute("create view part as from films where item_id is null or item_id < 15")
    films.execute("create view later as from ratings where user_id = 7 and item_id < 15")
    call = "mf_fold_in(part, later, user_id, item_id, rating, complete := false{})"
    assert "stored ratings are of items that are no longer in the model" in error(
        films, call.format("")
    )
    found = rows(films, call.format(", unknown := 'ignore'"), "seen")
    assert found == rows(films, "mf_fold_in(part, later, user_id, item_id, rating)", "seen")


def test_a_model_may_be_filtered_and_its_codes_have_gaps(films):
    films.execute("create view part as from films where item_id is null or item_id % 3 = 0")
    films.execute("create view threes as from newcomers where item_id % 3 = 0")
    part = rows(films, "mf_fold_in(part, threes, user_id, item_id, rating)")
    assert part == rows(films, "mf_fold_in(films, threes, user_id, item_id, rating)")


def test_unknown_ids_are_counted_or_ignored(films):
    films.execute(
        "create table odd as select user_id, item_id, rating from newcomers union all values (31, 777, 3), (50, 888, 3)"
    )
    n = films.execute("select count(*) from odd").fetchall()[0][0]
    assert (
        f"mf_fold_in: 2 of {n} rows are of items that the model does not know, 2 in all, such as 777. "
        "Add these first, with mf_fold_in_items or mf_update, or leave their ratings out with "
        "unknown := 'ignore'."
    ) in error(films, "mf_fold_in(films, odd, user_id, item_id, rating)")
    found = rows(films, "mf_fold_in(films, odd, user_id, item_id, rating, unknown := 'ignore')")
    assert found[:10] == rows(films, FOLD)
    assert found[10][1] == 50
    assert set(found[10][6]) == {0.0}, "a user of no known item is like one without ratings"
    assert (
        f"mf_fold_in_items: {n} of {n} rows are of users that the model does not know, 11 in all, such "
        "as 30. Add these first, with mf_fold_in or mf_update, or leave their ratings out with "
        "unknown := 'ignore'."
    ) in error(films, "mf_fold_in_items(films, odd, user_id, item_id, rating)")


def test_new_items_first_and_then_those_who_rated_them(films):
    films.execute(
        "create table ratings30 as select user_id, 30 as item_id, rating from ratings where item_id = 3"
    )
    expected = rows(films, "films", "factors", "item_id")
    films.execute(
        "insert into films from mf_fold_in_items(films, ratings30, user_id, item_id, rating)"
    )
    films.execute("create view changed as from ratings30")
    films.execute(
        "merge into films using (from mf_fold_in(films, changed, user_id, item_id, rating, complete := false)) as c "
        "on films.kind = 'user' and films.user_id = c.user_id when matched then update"
    )
    ((code, n),) = films.execute("select code, ratings from films where item_id = 30").fetchall()
    assert films.execute("select count(*) from ratings30").fetchall() == [(n,)]
    seen = f"select count(*) from films where list_contains(seen, {code})"
    assert films.execute(seen).fetchall() == [(n,)]
    assert len(rows(films, "films")) == len(expected) + 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("mf_fold_in(newcomers, newcomers, user_id, item_id, rating)", "mf_fold_in: this relation is not a model: it has 0 rows"),
        ("mf_fold_in(titles, newcomers, user_id, item_id, rating)", "mf_fold_in: this relation is not a model: it has 0 rows"),
        ("mf_fold_in_items(titles, newcomers, user_id, item_id, rating)", "mf_fold_in_items: this relation is not a model: it has 0 rows"),
        ("mf_fold_in(films, nobody, user_id, item_id, rating)", "mf_fold_in: the source has no rows"),
        ("mf_fold_in(films, newcomers, nullif(user_id, 31), item_id, rating)", "mf_fold_in: user_id is NULL in"),
        ("mf_fold_in(films, newcomers, user_id, nullif(item_id, 3), rating)", "mf_fold_in: item_id is NULL in"),
        ("mf_fold_in(films, newcomers, user_id, item_id, nullif(rating, rating))", "mf_fold_in: rating is NULL in"),
        ("mf_fold_in(films, newcomers, user_id, item_id, rating + 'nan'::float)", "mf_fold_in: rating is no finite number in"),
        ("mf_fold_in(films, newcomers, user_id, item_id, rating, ts + 'inf'::float)", "mf_fold_in: ts is no finite number in"),
        ("mf_fold_in(films, newcomers, user_id, item_id)", "mf_fold_in: this model of 'als' learns from ratings; add rating."),
        ("mf_fold_in(films, newcomers, user_id + 0.5, item_id, rating)", "rows have ids that are not the same in the type that the model has"),
        ("mf_fold_in(films, newcomers, user_id, item_id, rating, unknown := 'drop')", "mf_fold_in: unknown is 'drop'; give 'error' or 'ignore'."),
        ("mf_fold_in(films, newcomers, user_id, item_id, rating, duplicates := 'first')", "mf_fold_in: duplicates is 'first'; give one of"),
        ("mf_fold_in(films, newcomers, user_id, item_id, rating, duplicates := 'last')", "mf_fold_in: duplicates is 'last' but ts is not given"),
        ("mf_fold_in(films, twice, user_id, item_id, rating, duplicates := 'error')", "rows repeat a user and item"),
        ("mf_fold_in_items(films, nobody, user_id, item_id, rating)", "mf_fold_in_items: the source has no rows"),
        ("mf_fold_in_items(films, ratings, user_id, nullif(item_id, 3), rating)", "mf_fold_in_items: item_id is NULL in"),
        ("mf_fold_in_items(films, ratings, user_id, item_id)", "mf_fold_in_items: this model of 'als' learns from ratings"),
        ("mf_fold_in(newer, newcomers, user_id, item_id, rating)", "mf_fold_in: this model has format 9, made by a newer duckmf."),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_writes_nothing(films, call, message):
    films.execute("create view nobody as from newcomers limit 0")
    films.execute("create view titles as select 'Heat' as title")
    films.execute("create view twice as from newcomers union all from newcomers")
    films.execute(
        "create view newer as select * replace (struct_update(facts, format := 9) as facts) from films"
    )
    assert message in error(films, call)
    with pytest.raises(duckdb.Error):
        films.execute(f"create table written as from {call}")
    assert films.execute(
        "select count(*) from duckdb_tables() where table_name = 'written'"
    ).fetchall() == [(0,)]
    assert rows(films, FOLD, "count(*)") == [(10,)]


def test_an_item_of_bpr_is_compared_with_all_others(small):
    fit(small, "bpr")
    call = "mf_fold_in_items({}, ratings, user_id, item_id, rating)"
    small.execute("create view part as from films where item_id is null or item_id <> 3")
    assert "stored ratings are of items that are no longer in the model; pass the whole" in error(
        small, call.format("part")
    )
    fit(small, "bpr", keep_seen=False)
    assert "mf_fold_in_items: the model has not stored the ratings of its users" in error(
        small, call.format("films")
    )


@pytest.mark.parametrize(
    ("user_type", "expression"),
    [
        ("varchar", "'u' || user_id"),
        ("uuid", "md5(user_id::varchar)::uuid"),
        ("date", "date '2000-01-01' + user_id"),
        ("struct(a integer, b varchar)", "{'a': user_id, 'b': 'x'}"),
        ("hugeint", "user_id::hugeint + 170141183460469231731687303715884100000"),
        ("double", "user_id / 4"),
    ],
)
def test_ids_of_any_type_come_back_as_they_were(films, user_type, expression):
    films.execute(f"create table old as select ({expression})::{user_type} as who, * from ratings")
    films.execute(
        f"create table new as select ({expression})::{user_type} as who, * from newcomers"
    )
    films.execute("create table typed as from mf_fit(old, who, item_id, rating, n_factors := 3)")
    found = rows(films, "mf_fold_in(typed, new, who, item_id, rating)", "user_id")
    assert found == rows(films, "(select distinct who from new)", "who")


def test_ids_of_another_type_are_those_of_the_model(films):
    call = "mf_fold_in(films, newcomers, user_id::varchar, item_id::varchar, rating)"
    assert rows(films, call) == rows(films, FOLD)


def test_names_may_be_quoted_and_source_columns_have_any_name(films):
    films.execute(
        'create table "new ""ones""" as select user_id as "the ""user""", item_id as model, rating as code, '
        "1 as seen, 2 as u, 3 as w from newcomers"
    )
    films.execute('create view news as from "new ""ones"""')
    films.execute('create table "my films" as from films')
    call = 'mf_fold_in("my films", news, "the ""user""", model, code)'
    assert rows(films, call) == rows(films, FOLD)


def test_uncommitted_ratings_count_and_a_rollback_takes_the_rows_back(films):
    films.begin()
    films.execute("insert into newcomers values (99, 1, 4, 0)")
    films.execute("insert into films from " + FOLD)
    assert films.execute("select count(*) from films where user_id = 99").fetchall() == [(1,)]
    films.rollback()
    assert films.execute("select count(*) from films where user_id >= 30").fetchall() == [(0,)]


def test_an_interrupted_statement_leaves_nothing(films):

    films.execute(
        "create table many as select user_id + 100 * n as user_id, item_id, rating from newcomers, range(50_000) t(n)"
    )
    threading.Timer(0.3, films.interrupt).start()
    with pytest.raises(duckdb.InterruptException):
        films.execute(
            "insert into films from mf_fold_in(films, many, user_id, item_id, rating)"
        ).fetchall()
    assert films.execute("select count(*) from films where user_id >= 30").fetchall() == [(0,)]
    assert rows(films, FOLD, "count(*)") == [(10,)]


def test_what_a_statement_laid_out_leaves_with_the_next(films):
    for _ in range(3):
        films.execute("from " + FOLD).fetchall()
        assert len(calls_of(films).underway.things(FoldIn)) == 1


def test_the_functions_need_python():
    assert "fold_in" not in SERVING
    con = duckmf.connect()
    found = con.execute(
        "select distinct function_name, comment from duckdb_functions() where starts_with(function_name, 'mf_fold_in')"
    ).fetchall()
    assert len(found) == 2
    assert all(comment for _, comment in found)
