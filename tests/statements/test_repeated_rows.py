"""A user or an item in two rows of a model: refused by name, and made whole by MERGE."""

from __future__ import annotations

import pytest

from tests.statements.models import error, fit, rows

TEST = "ratings, user_id, item_id"
READERS = [
    "mf_recommend({m})", "mf_predict({m}, {t})", "mf_evaluate({m}, {t}, rating)",
    "mf_evaluate_ranking({m}, {t})", "mf_evaluate_ranking_per_user({m}, {t})",
    "mf_evaluate_ranks({m}, {t}, rating)", "mf_explain({m}, 1, 2)", "mf_compare({m}, {m}, {t}, rating)",
    "mf_compare({m}, {m}, {t})", "mf_user_factors({m})", "mf_item_factors({m})", "mf_weights({m})",
    "mf_info({m})", "mf_publish_users({m})", "mf_publish_predictions({m})",
 "mf_update({m}, {t}, rating)",
]  # fmt: skip
OF_USERS = [
    *READERS,
    "mf_recommend({m}, 1)",
    "mf_similar_users({m})",
    "mf_similar_users({m}, 1)",
    "mf_fold_in({m}, {t}, rating)",
    "mf_fold_in_items({m}, {t}, rating)",
]
OF_ITEMS = [
    *READERS,
    "mf_recommend({m}, 1)",
    "mf_popular({m})",
    "mf_similar_items({m})",
    "mf_similar_items({m}, 1)",
    "mf_fold_in({m}, {t}, rating)",
    "mf_fold_in_items({m}, {t}, rating)",
]


@pytest.fixture
def films(con):
    con.execute(
        "create table ratings as select u as user_id, i as item_id, (1 + (u * 7 + i * 3) % 5)::double as rating "
        "from range(30) a(u), range(25) b(i) where (u * 5 + i * 3) % 4 <> 0"
    )
    fit(con, "als")
    return con


@pytest.mark.parametrize("call", OF_USERS)
def test_no_function_reads_a_user_twice(films, call):
    films.execute("insert into films from films where kind = 'user' and user_id = 1")
    message = error(films, call.format(m="films", t=TEST))
    assert "several rows" in message
    assert f" {call.split('(')[0]}: " in message


@pytest.mark.parametrize("call", OF_ITEMS)
@pytest.mark.parametrize("change", ["code", "code + 5000"])
def test_no_function_reads_an_item_twice(films, call, change):
    films.execute(
        f"insert into films select * replace ({change} as code) from films where kind = 'item' and item_id = 2"
    )
    message = error(films, call.format(m="films", t=TEST))
    assert "several rows" in message
    assert f" {call.split('(')[0]}: " in message


@pytest.mark.parametrize(
    "call",
    [
        "mf_recommend({m})",
        "mf_recommend({m}, 1)",
        "mf_evaluate_ranking({m}, {t})",
        "mf_similar_items({m})",
    ],
)
def test_no_function_reads_items_of_one_code(films, call):
    films.execute("update films set code = 2 where kind = 'item' and item_id = 3")
    assert "have the id or the code of another one" in error(films, call.format(m="films", t=TEST))


def test_a_list_of_another_user_is_as_it_was(films):
    before = rows(films, "mf_recommend(films, 5)")
    films.execute("insert into films from films where kind = 'user' and user_id = 1")
    assert rows(films, "mf_recommend(films, 5)") == before


def test_merge_may_be_run_twice(films):
    merge = (
        "merge into films using (from mf_fold_in(films, ratings, user_id, item_id, rating)) as made "
        "on films.kind = 'user' and films.user_id = made.user_id "
        "when matched then update when not matched then insert"
    )
    films.execute(merge)
    once = rows(films, "films")
    films.execute(merge)
    assert rows(films, "films") == once
    assert rows(films, "mf_check(films)") == []
