"""CREATE MODEL, DROP MODEL and the functions of ML: what they do, and what they refuse."""

from __future__ import annotations

import math
import re
import statistics

import duckdb
import pytest

import duckmf
from duckmf import bigquery
from tests.bigquery.models import MODEL, created, fetch, info, one, refusal


def test_a_model_is_the_ordinary_model_relation(small):
    assert duckmf.sql(small, "select 1; " + MODEL.format("", "") + "; -- end") is None
    assert one(small, "select count(*) from mf_recommend(m, k := 3)") == (120,)
    assert one(small, "select algorithm, n_factors from mf_info(m)") == ("als", 4)
    assert info(small)["bigquery"] == {
        "columns": {"user": "user_id", "item": "item_id", "rating": "rating"}
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("create model m as select 1", "CREATE MODEL: expected OPTIONS at line 1, column 16, found as."),
        ("create model m options(\n  a b) as from t", "CREATE MODEL: expected = at line 2, column 5, found b."),
        ("create model m options(a = (1)) as from t", "CREATE MODEL: expected a constant at line 1, column 28, found (."),
        ("create model m options(a = 1) as", "CREATE MODEL: expected a query at line 1, column 33, found the end."),
        ("create model m options(a = 1", "CREATE MODEL: expected , at line 1, column 29, found the end."),
        ("create model 1 options() as from t", "CREATE MODEL: expected a name at line 1, column 14, found 1."),
        ("create model `a..b` options() as from t", "CREATE MODEL: expected a name of one to three parts at line 1, column 14, found `a..b`."),
        ("drop model m cascade", "DROP MODEL: expected the end of the statement at line 1, column 14, found cascade."),
        ("select 1; from ml.evaluate(model m, 3)", "ML.EVALUATE: expected TABLE name, (query) or STRUCT(...) at line 1, column 37, found 3."),
        ("from ml.recommend(model m, ())", "ML.RECOMMEND: expected a query at line 1, column 29, found )."),
    ],
)  # fmt: skip
def test_a_syntax_error_says_where(con, text, message):
    assert refusal(con, text) == message


def test_columns_keep_their_names(small):
    duckmf.sql(
        small,
        "create model m options(user_col = 'Who', item_col = 'the \"film\"', rating_col = 'stars') as "
        'select user_id as "Who", item_id as "the ""film""", rating as stars from ratings',
    )
    for query in (
        "from ml.recommend(model m)",
        'from ml.recommend(model m, (select 3 as "WHO"))',
        'from ml.recommend(model m, (select 3 as "the ""film"""))',
    ):
        columns = duckmf.sql(small, query).columns
        assert columns[0] == "predicted_stars"
        assert sorted(name.lower() for name in columns[1:]) == ['the "film"', "who"]
    inputs = fetch(small, "select input, category_count from ml.feature_info(model m)")
    assert sorted(inputs) == [("Who", 40), ('the "film"', 30)]
    features = fetch(
        small, "select processed_input, count(*) from ml.weights(model m) group by all"
    )
    assert set(features) == {("Who", 40), ('the "film"', 30), (None, 1)}


def test_recommend_predicts_what_mf_predict_predicts(small):
    created(small)
    pairs = fetch(small, "select user_id, item_id, predicted_rating from ml.recommend(model m)")
    assert len(pairs) == 40 * 30
    small.execute(
        "create table everything as select u.user_id, i.item_id from m u, m i where u.kind = 'user' and i.kind = 'item'"
    ).fetchall()
    expected = small.execute(
        "select user_id, item_id, prediction::double from mf_predict(m, everything, user_id, item_id, clip := false)"
    ).fetchall()
    assert sorted(pairs) == sorted(expected)


def test_recommend_fills_in_what_the_data_lacks(small):
    created(small)
    small.execute(
        "create table people as select * from (values (3, 'x'), (4, 'y')) s(user_id, note)"
    ).fetchall()
    users = fetch(small, "from ml.recommend(model m, table people)")
    assert len(users) == 60
    assert {(row[1], row[2]) for row in users} == {(3, "x"), (4, "y")}
    items = fetch(
        small, "select user_id, item_id from ml.recommend(model m, (select 5 as item_id))"
    )
    assert sorted(items) == [(user, 5) for user in range(40)]
    both = duckmf.sql(
        small, "from ml.predict(model m, (select 1 as user_id, 2 as item_id, 'z' as note))"
    )
    assert both.columns == ["predicted_rating", "user_id", "item_id", "note"]
    assert both.fetchall()[0][1:] == (1, 2, "z")


def test_an_unknown_user_gets_the_global_mean_and_the_bias_of_the_item(small):
    created(small)
    (row,) = fetch(
        small,
        "select predicted_rating from ml.recommend(model m, (select -1 as user_id, 2 as item_id))",
    )
    expected = one(small, "select sum(bias) from m where kind = 'model' or item_id = 2")
    assert row == pytest.approx(expected)


def test_data_may_be_a_cte_of_the_statement(small):
    created(small)
    text = "with few as (select 1 as user_id) select count(*) from ml.recommend(model m, table few)"
    assert fetch(small, text) == [(30,)]


def test_functions_stand_wherever_a_table_can(small):
    created(small)
    text = (
        "create table top as select r.item_id, max(predicted_rating) as best from ml.recommend(model m) r "
        "join (select distinct item_id from ratings) using (item_id) group by all; "
        "select (select count(*) from top), (select count(*) from ml.training_info(model m)) > 0, "
        "(select count(*) from ml.evaluate(model m, (select user_id, item_id, predicted_rating as rating from ml.recommend(model m))))"
    )
    assert fetch(small, text) == [(30, True, 1)]


def test_evaluation_is_of_the_predictions(small):
    created(small)
    rows = fetch(small, "select rating, predicted_rating from ml.recommend(model m, table ratings)")
    errors = [r - p for r, p in rows]
    found = fetch(small, "from ml.evaluate(model m, table ratings)")[0]
    variance = one(small, "select var_pop(rating) from ratings")[0]
    mse = sum(e * e for e in errors) / 600
    logs = sum((math.log1p(r) - math.log1p(p)) ** 2 for r, p in rows) / 600
    median = statistics.median(map(abs, errors))
    mean = sum(errors) / 600
    expected = (
        sum(map(abs, errors)) / 600, mse, logs, median, 1 - mse / variance, 1 - (mse - mean**2) / variance,
    )  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-9)
    # nothing was held out: without data it is about the training rows
    assert fetch(small, "from ml.evaluate(model m)")[0] == pytest.approx(found, rel=1e-6)


def test_weights_and_embeddings_are_the_factors(small):
    created(small)
    weights = {
        (name, feature): ([w["weight"] for w in factors], intercept)
        for name, feature, factors, intercept in fetch(small, "from ml.weights(model m) where processed_input is not null")
    }  # fmt: skip
    rows = duckmf.sql(small, "from ml.generate_embedding(model m)")
    assert set(rows.columns) == {"processed_input", "feature", "ml_generate_embedding_result"}
    vectors = {(name, feature): vector for name, feature, vector in rows.fetchall()}
    assert len(vectors) == 70
    for key, (factors, intercept) in weights.items():
        assert vectors[key] == [*factors, intercept]
    mean = one(small, "select avg(rating) from ratings")[0]
    (row,) = fetch(small, "from ml.weights(model m) where feature = 'global__INTERCEPT__'")
    assert row == (None, "global__INTERCEPT__", None, pytest.approx(mean, rel=1e-6))


def test_training_info_counts_from_zero_and_tells_squared_errors(small):
    created(small, "max_iterations = 3, early_stop = false")
    rows = fetch(small, "from ml.training_info(model m) order by iteration")
    losses = small.execute("select train_loss from mf_epochs(m)").fetchall()
    assert [row[:2] for row in rows] == [(0, 0), (0, 1), (0, 2)]
    assert [row[2] for row in rows] == [pytest.approx(loss**2) for (loss,) in losses]
    assert [row[3:5] for row in rows] == [(None, None)] * 3
    assert all(isinstance(row[5], int) for row in rows)


def test_if_not_exists_trains_nothing_where_there_is_a_model(small):
    created(small)
    before = info(small)
    duckmf.sql(small, MODEL.format("", "").replace("or replace model", "model if not exists"))
    assert info(small) == before
    text = MODEL.format("", "").replace("create or replace", "create")
    assert refusal(small, text) == (
        "CREATE MODEL: there is a model m already; write CREATE OR REPLACE MODEL, or IF NOT EXISTS."
    )


def test_what_is_no_model_is_neither_replaced_nor_dropped(small):
    created(small)
    assert refusal(small, MODEL.format("", "").replace("model m", "model ratings")) == (
        "CREATE MODEL: ratings is taken by what is no model; give the model another name."
    )
    assert (
        refusal(small, "drop model ratings")
        == "DROP MODEL: ratings is no model but another relation; name a model."
    )
    assert refusal(small, "drop model if exists ratings") == refusal(small, "drop model ratings")
    assert refusal(small, "drop model nothing") == (
        "DROP MODEL: there is no model nothing; CREATE MODEL makes one, and a CTE cannot be one."
    )
    assert duckmf.sql(small, "drop model if exists nothing; drop model m") is None
    assert one(small, "select count(*) from duckdb_tables() where table_name = 'm'") == (0,)


def test_a_view_is_a_model_too(small):
    created(small)
    small.execute("create view v as from m").fetchall()
    assert len(fetch(small, "from ml.recommend(model v)")) == 1200
    duckmf.sql(small, "drop model v")
    assert len(fetch(small, "from ml.recommend(model m)")) == 1200


def test_a_model_of_mf_fit_has_the_names_of_its_columns(small):
    small.execute("create table m as from mf_fit(ratings, user_id, item_id, rating)").fetchall()
    columns = duckmf.sql(small, "from ml.recommend(model m)").columns
    assert columns == ["predicted_rating", "user_id", "item_id"]
    assert len(fetch(small, "from ml.evaluate(model m)")) == 1


def test_a_rollback_takes_the_model_back_and_a_refusal_leaves_the_transaction(small):
    duckmf.sql(small, "begin; " + MODEL.format("", ""))
    refusal(small, "select * from ml.recommend(model nothing)")
    assert len(fetch(small, "from ml.recommend(model m)")) == 1200
    duckmf.sql(small, "rollback")
    refusal(small, "select * from ml.recommend(model m)")


def test_names_lead_where_duckdb_looks_for_them(small):
    small.execute('create schema s; create schema "odd ""one"""').fetchall()
    for name in ("s.m", '"odd ""one""".m', "`s.n`", "memory.s.o", "`memory.s.p`"):
        duckmf.sql(small, MODEL.format("", "").replace("model m ", f"model {name} "))
        assert len(fetch(small, f"from ml.training_info(model {name})")) > 0
        duckmf.sql(small, f"drop model {name}")
    duckmf.sql(small, MODEL.format("", "").replace("model m ", "model s.m "))
    assert refusal(small, "from ml.weights(model m)").startswith("ML.WEIGHTS: there is no model m;")
    small.execute("set schema = 's'").fetchall()
    assert len(fetch(small, "from ml.training_info(model m)")) > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("ml.centroids(model m)", "ML.CENTROIDS: no function of matrix factorization; there are ML.RECOMMEND, "),
        ("ml.weights(model m, table ratings)", "ML.WEIGHTS: it takes the model alone; leave the data out."),
        ("ml.predict(model m)", "ML.PREDICT: it needs TABLE name or (query); ML.RECOMMEND does not."),
        ("ml.evaluate(model m, struct(0.5 as threshold))", "ML.EVALUATE: THRESHOLD does not apply to these models; leave it out."),
        ("ml.recommend(model ratings)", "ML.RECOMMEND: ratings is no model but another relation; name a model."),
    ],
)  # fmt: skip
def test_a_function_is_refused(small, call, message):
    created(small)
    assert refusal(small, f"from {call}").startswith(message)


def test_bad_data_is_refused_by_name(small):
    created(small, "keep_seen = false")
    with pytest.raises(
        duckdb.Error,
        match=re.escape(
            'ML.RECOMMEND: the data has neither a column "user_id" nor "item_id"; name'
        ),
    ):
        fetch(small, "from ml.recommend(model m, (select 1 as user))")
    with pytest.raises(
        duckdb.Error, match=r"ML\.EVALUATE: the rating is NULL in a row; leave such rows out"
    ):
        fetch(
            small, "from ml.evaluate(model m, (select 1 as user_id, 1 as item_id, null as rating))"
        )
    assert refusal(small, "from ml.evaluate(model m)").startswith(
        "ML.EVALUATE: the model keeps no training rows"
    )


def test_the_query_reaches_duckdb_byte_for_byte(small, tmp_path):
    query = """ select "user_id", -- a `comment` ; with 'quotes'
      item_id, /* and /* nested */ ones */ rating from '{}' where 'a;b' <> $$ `c` $$ and 7 // 2 = 3"""
    path = tmp_path / "f.parquet"
    small.execute(f"copy ratings to '{path}'").fetchall()
    text = f"create model m options(user_col='user_id', item_col='item_id') as{query.format(path)}"
    (statement,) = bigquery.statements(text)
    assert query.format(path) in bigquery.translate(small, statement)
    duckmf.sql(small, text)
    assert info(small)["rows"] == 600
    text = "select 'a;b', \"predicted_rating\" /* c */ from{} where 1 = 1 -- d"
    (statement,) = bigquery.statements(text.format(" ML.RECOMMEND(MODEL m)"))
    before, after = text.split("{}")
    found = bigquery.translate(small, statement)
    assert found.startswith(before + " (WITH")
    assert found.endswith(")" + after)


def test_google_s_sql_is_translated_only_where_duckdb_cannot_read_it(small):
    small.execute("create schema d; create table d.t as select 1 as a, ['x', 'y'] as b").fetchall()
    run = lambda text: duckmf.sql(small, text).fetchall()  # noqa: E731
    assert run("select `a` from `d.t`") == [(1,)]
    assert run("select a from `memory.d.t` as t where `t`.`a` = 1 # why") == [(1,)]
    assert run("select array_agg(x order by x desc limit 1) from `d.t`, unnest(b) as x") == [
        (["y"],)
    ]
    with pytest.raises(duckdb.ParserException):
        duckmf.sql(small, "select `a from `d.t`")
    with pytest.raises(duckdb.ParserException):
        duckmf.sql(small, "select array_agg(a limit 1) from d.t")  # nothing here is Google's


def test_the_last_result_is_that_of_the_last_statement(small):
    assert fetch(small, "create table t as select 1; select 2; -- end\n") == [(2,)]
    assert fetch(small, MODEL.format("", "") + "; select 3; /* end */") == [(3,)]
    assert duckmf.sql(small, "") is None
