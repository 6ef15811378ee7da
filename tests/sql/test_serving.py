"""The serving macros against NumPy on random models, on every kind of relation and of id."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from tests.clients import macros

N_USERS, N_ITEMS = 40, 150
FACTS = """{'format': 2, 'algorithm': 'als', 'feedback': 'explicit', 'n_factors': 3, 'users': 40,
    'items': 1, 'rating_min': 1, 'rating_max': 5, 'rating_std': 1, 'user_regularization': 0.1,
    'bias_regularization': 0.1, 'regularization_scaling': 0.5}"""


class Model:
    """A random model with many equal scores: its numbers are quarters, exact in float32."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.user_bias, self.P = rng.integers(-4, 5, N_USERS) / 4, quarters(rng, N_USERS)
        self.item_bias, self.Q = rng.integers(-4, 5, N_ITEMS) / 4, quarters(rng, N_ITEMS)
        self.seen = [np.flatnonzero(rng.random(N_ITEMS) < share) for share in rng.random(N_USERS)]
        self.scores = 3 + self.user_bias[:, None] + self.item_bias + self.P @ self.Q.T
        self.counts = np.bincount(np.concatenate(self.seen), minlength=N_ITEMS)
        # ids fall as codes grow, so that an order by code is not an order by id
        self.user_ids = 1000 - np.arange(N_USERS)
        self.item_ids = 9000 - np.arange(N_ITEMS)

    def store(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        users = pa.table(
            {
                "user_id": self.user_ids,
                "code": np.arange(N_USERS),
                "ratings": [len(seen) for seen in self.seen],
                "bias": self.user_bias,
                "factors": self.P.tolist(),
                "seen": [seen.tolist() for seen in self.seen],
            }
        )
        items = pa.table(
            {
                "item_id": self.item_ids,
                "code": np.arange(N_ITEMS),
                "ratings": self.counts,
                "bias": self.item_bias,
                "factors": self.Q.tolist(),
            }
        )
        con.register("users_", users)
        con.register("items_", items)
        con.execute(
            f"""
            create table {name} as
            with m as (
                select 'user' as kind, * from users_
                union all by name select 'item' as kind, * from items_
                union all by name select 'model' as kind, 3 as bias, {FACTS} as facts
            )
            select * replace (
                user_id::integer as user_id, item_id::integer as item_id, code::integer as code,
                bias::float as bias, factors::float[] as factors, seen::integer[] as seen
            )
            from m
            order by hash(m)
            """
        )

    def top(self, user: int, k: int, exclude_seen: bool, min_ratings: int) -> list[tuple[Any, ...]]:
        personal = len(self.seen[user]) >= min_ratings
        scores = self.scores[user] if personal else self.counts
        best = [int(i) for i in np.lexsort((self.item_ids, -scores))]
        hidden = set(self.seen[user].tolist()) if exclude_seen else set()
        kept = [i for i in best if i not in hidden][:k]
        source = "model" if personal else "popular"
        return [
            (int(self.user_ids[user]), int(self.item_ids[i]), float(scores[i]), rank, source)
            for rank, i in enumerate(kept, start=1)
        ]


def quarters(rng: np.random.Generator, n_rows: int) -> NDArray[np.float64]:
    return rng.integers(-3, 4, (n_rows, 3)) / 4


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(macros(temporary=True))
    return con


@pytest.fixture
def model(con: duckdb.DuckDBPyConnection) -> Model:
    model = Model(seed=1)
    model.store(con, "films")
    return model


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 7, N_ITEMS])
@pytest.mark.parametrize(("exclude_seen", "min_ratings"), [(True, 1), (False, 1), (True, 60)])
def test_recommend_equals_brute_force(con, seed, k, exclude_seen, min_ratings):
    model = Model(seed)
    model.store(con, "films")
    arguments = f"k := {k}, exclude_seen := {exclude_seen}, min_ratings := {min_ratings}"
    found = con.execute(f"from mf_recommend(films, {arguments})").fetchall()
    expected = [
        row
        for user in reversed(range(N_USERS))  # ids fall as codes grow
        for row in model.top(user, k, exclude_seen, min_ratings)
    ]
    assert found == expected


def test_one_user_a_filtered_view_a_parameter_and_a_lateral_column_agree(con, model):
    con.execute("create view top7 as from mf_recommend(films, k := 7)")
    for user in range(5):
        name = int(model.user_ids[user])
        expected = model.top(user, 7, True, 1)
        assert con.execute(f"from mf_recommend(films, {name}, k := 7)").fetchall() == expected
        assert con.execute(f"from top7 where user_id = {name}").fetchall() == expected
        assert con.execute("from mf_recommend(films, ?, k := ?)", [name, 7]).fetchall() == expected
        lateral = (
            "select m.* from (select ? as u) q, mf_recommend(films, q.u, k := 7) m order by rank"
        )
        assert con.execute(lateral, [name]).fetchall() == expected


def test_a_filter_on_the_user_reaches_the_scan(con, model):
    con.execute("create view top7 as from mf_recommend(films, k := 7)")
    all_pairs = f"{N_USERS * N_ITEMS:,} rows"

    def plan(where: str) -> str:
        text = con.execute(f"explain analyze from top7 {where}").fetchall()[0][1].lower()
        return text if "," in text else text.replace(all_pairs.replace(",", ""), all_pairs)

    assert all_pairs in plan("")
    assert all_pairs not in plan("where user_id = 990")


@pytest.mark.parametrize("k", [1, 40, 1000])
def test_popular_equals_brute_force(con, model, k):
    best = np.lexsort((model.item_ids, -model.counts))[:k]
    expected = [
        (int(model.item_ids[i]), int(model.counts[i]), rank) for rank, i in enumerate(best, start=1)
    ]
    assert con.execute(f"from mf_popular(films, k := {k})").fetchall() == expected


@pytest.mark.parametrize("clip", [True, False])
def test_predict_equals_brute_force(con, model, clip):
    con.execute(
        "create table pairs as select 1000 - u as u, 9000 - i as i, u as user, i as item "
        f"from range({N_USERS}) t(u), range({N_ITEMS}) s(i)"
    )
    found = con.execute(
        f"select prediction from mf_predict(films, pairs, u, i, clip := {clip}) order by user, item"
    ).fetchnumpy()["prediction"]
    expected = np.clip(model.scores, 1, 5) if clip else model.scores
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_evaluate_equals_numpy(con, model):
    rng = np.random.default_rng(5)
    users, items = rng.integers(0, N_USERS, 500), rng.integers(0, N_ITEMS, 500)
    rating = rng.normal(3, 1, 500)
    con.register(
        "test", pa.table({"u": model.user_ids[users], "i": model.item_ids[items], "r": rating})
    )
    e = rating - np.clip(model.scores[users, items], 1, 5)
    expected = [
        math.sqrt(np.mean(e * e)),
        np.mean(np.abs(e)),
        np.mean(e * e),
        np.median(np.abs(e)),
        1 - np.mean(e * e) / np.var(rating),
        1 - np.var(e) / np.var(rating),
    ]
    found = con.execute("from mf_evaluate(films, test, u, i, r)").fetchone()
    assert found is not None
    np.testing.assert_allclose(found[:6], expected, rtol=1e-12)
    assert found[6:9] == (500, len(set(users.tolist())), len(set(items.tolist())))


ID_TYPES = {
    "tinyint": "({id} % 100)::tinyint",
    "hugeint": "{id}::hugeint * 1000000000000000000000",
    "varchar": "'id ' || {id}",
    "uuid": "('00000000-0000-0000-0000-' || lpad({id}::varchar, 12, '0'))::uuid",
    "date": "date '2000-01-01' + {id}::integer",
    "timestamp": "timestamp '2000-01-01 00:00:00' + to_days({id}::integer)",
    "decimal": "({id} / 4)::decimal(12, 2)",
    "enum": "('e' || ({id} % 1000))::ids",
    "blob": "('b' || {id})::blob",
    "list": "[{id}, 1]",
    "struct": "{{'a': {id}}}",
}


@pytest.mark.parametrize("id_type", ID_TYPES)
def test_ids_of_any_type_come_back(con, model, id_type):
    con.execute("create type ids as enum (select 'e' || i from range(1000) t(i) order by i)")
    id_of = ID_TYPES[id_type]
    user, item = id_of.format(id="user_id"), id_of.format(id="(item_id - 8000)")
    con.execute(
        f"create table typed as select * replace ({user} as user_id, {item} as item_id) from films"
    )
    if id_type == "tinyint":
        con.execute("delete from typed where kind = 'item' and code >= 100")
        con.execute("delete from films where kind = 'item' and code >= 100")
    types = "select typeof(user_id), typeof(item_id), score, rank from "
    typed = con.execute(f"{types} mf_recommend(typed, exclude_seen := false)").fetchall()
    (name,) = con.execute(
        "select typeof(user_id) from typed where kind = 'user' limit 1"
    ).fetchone()
    assert {row[:2] for row in typed} == {(name, name)}
    con.execute(
        "create table one as select user_id as u from typed where code = 3 and kind = 'user'"
    )
    (row,) = con.execute("select u from one").fetchall()
    known = con.execute("from mf_recommend(typed, (from one))").fetchall()
    plain = con.execute(f"from mf_recommend(films, {model.user_ids[3]})").fetchall()
    assert [r[2] for r in known] == [r[2] for r in plain]
    assert all(r[0] == row[0] for r in known)
    con.execute(
        "create table pairs as select a.user_id as u, b.item_id as i from typed a, typed b "
        "where a.kind = 'user' and b.kind = 'item'"
    )
    sources = con.execute(
        "select prediction_source, count(*) from mf_predict(typed, pairs, u, i) group by all"
    ).fetchall()
    (n_pairs,) = con.execute("select count(*) from pairs").fetchone()
    assert sources == [("model", n_pairs)]


def test_every_kind_of_relation_is_a_model(con, model, tmp_path: Path):
    expected = con.execute("from mf_recommend(films, 990)").fetchall()
    parquet, csv = tmp_path / "films.parquet", tmp_path / "films.csv"
    con.execute(f"copy films to '{parquet}'")
    con.execute(f"copy films to '{csv}'")
    con.execute(f"create view a_view as from '{parquet}'")
    con.execute(f"create view text as from read_csv('{csv}')")
    con.execute("create temp table temporary as from films")
    con.execute(f"attach '{tmp_path / 'other.duckdb'}' as other")
    con.execute("create table other.films as from films")
    con.execute("create schema s; create table s.films as from films")
    con.execute("begin; create table uncommitted as from films")
    relations = ["a_view", "text", "temporary", "other.films", "'other.main.films'", "s.films"]
    for relation in [*relations, "uncommitted", "'films'"]:
        assert con.execute(f"from mf_recommend({relation}, 990)").fetchall() == expected, relation
    cte = "with m as (from films) from mf_recommend(m, 990)"
    assert con.execute(cte).fetchall() == expected
    con.execute("rollback")


def test_items_added_with_later_codes_are_still_ordered_by_id(con, model):
    con.execute(
        "insert into films by name select kind, 8000 as item_id, 500 as code, 0 as ratings, bias, "
        "factors from films where item_id = 8999"
    )
    best = con.execute("from mf_recommend(films, k := 200, exclude_seen := false)").fetchall()
    place = {(user, item): rank for user, item, _, rank, _ in best}
    assert all(place[user, 8000] < place[user, 8999] for user in model.user_ids.tolist())


@pytest.fixture
def ratings(con: duckdb.DuckDBPyConnection) -> str:
    con.execute(
        "create table ratings as select (hash(n) % 200)::integer as u, "
        "(hash(n, 1) % 300)::integer as i, n, (hash(n, 2) % 900)::bigint as ts "
        "from range(20000) t(n)"
    )
    return "ratings"


def test_random_split_depends_on_pair_and_seed_alone(con, ratings):
    split = "select n, split from mf_split({}, {}, {}, seed := {}) order by n"
    once = con.execute(split.format("ratings", "u", "i", 1)).fetchall()
    con.execute("create table shuffled as from ratings order by hash(n, 9)")
    assert con.execute(split.format("shuffled", "u::bigint", "i::smallint", 1)).fetchall() == once
    con.execute("set threads = 1")
    assert con.execute(split.format("ratings", "u", "i", 1)).fetchall() == once
    assert con.execute(split.format("ratings", "u", "i", 2)).fetchall() != once
    sides = (
        "select max(n) from "
        "(select count(distinct split) as n from mf_split(ratings, u, i) group by u, i)"
    )
    assert con.execute(sides).fetchone() == (1,)


def test_random_split_is_fair_to_users_items_and_seeds(con, ratings):
    """One hash call would put the same items of every user on the same side."""
    con.execute("create table grid as select u, i from range(300) s(u), range(300) t(i)")
    sides = (
        "(select u, i, (split = 'test')::integer as t "
        "from mf_split(grid, u, i, fraction := 0.25{}))"
    )
    one, other = sides.format(""), sides.format(", seed := 43")
    mean, seeds = con.execute(
        f"select avg(a.t), corr(a.t, b.t) from {one} a join {other} b using (u, i)"
    ).fetchone()
    assert abs(mean - 0.25) < 0.006
    assert abs(seeds) < 0.02
    for one_side, other_side in [("u", "i"), ("i", "u")]:
        (spread,) = con.execute(
            f"select var_pop(s) from (select sum(t) as s from {one} group by {one_side})"
        ).fetchone()
        assert 40 < spread < 75, f"{one_side}: binomial variance is 56"
        neighbours = con.execute(
            f"select max(abs(c)) from (select corr(a.t, b.t) as c from {one} a join {one} b "
            f"on a.{one_side} = b.{one_side} and b.{other_side} = a.{other_side} + 1 "
            f"group by a.{other_side})"
        ).fetchone()
        assert neighbours[0] < 0.3


def test_a_larger_fraction_extends_a_smaller_one(con, ratings):
    test = "select n from mf_split(ratings, u, i, fraction := {}) where split = 'test'"
    small, large = (set(con.execute(test.format(f)).fetchall()) for f in (0.1, 0.3))
    assert small < large


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_time_split_cuts_once(con, ratings, fraction):
    train, test, n_test, n = con.execute(
        "select max(ts) filter (split = 'train'), min(ts) filter (split = 'test'), "
        "count(*) filter (split = 'test'), count(*) "
        f"from mf_split(ratings, u, i, ts, method := 'time', fraction := {fraction})"
    ).fetchone()
    assert train < test
    assert fraction - 0.005 < n_test / n <= fraction


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_last_split_takes_the_last_of_each_user(con, ratings, n):
    rows = con.execute(
        f"select u, ts, i, split from mf_split(ratings, u, i, ts, method := 'last', n := {n})"
    ).fetchall()
    assert len(rows) == 20000
    for user in range(200):
        of_user = sorted(row[1:] for row in rows if row[0] == user)
        assert [side for *_, side in of_user[-n:]] == ["test"] * min(n, len(of_user))
        assert {side for *_, side in of_user[:-n]} <= {"train"}


@pytest.mark.parametrize(
    "call",
    [
        "mf_predict({}, pairs, u, i)",
        "mf_recommend({}, 990)",
        "mf_recommend({})",
        "mf_similar_items({}, 8990)",
        "mf_similar_users({}, 990)",
        "mf_evaluate({}, pairs, u, i, r)",
        "mf_evaluate_ranking_per_user({}, pairs, u, i)",
    ],
)
def test_factors_among_rows_without_are_read_from_parquet(con, model, tmp_path: Path, call):
    # DuckDB hands list_dot_product the NULLs of the rows that a filter on Parquet has dropped
    con.execute("create table pairs as from (values (990, 8990, 3), (981, 8977, 4)) p(u, i, r)")
    con.execute(f"copy (from films order by hash(code)) to '{tmp_path / 'films.parquet'}'")
    con.execute(f"create view far as from '{tmp_path / 'films.parquet'}'")
    near = con.execute(f"from {call.format('films')} order by all").fetchall()
    assert near
    assert con.execute(f"from {call.format('far')} order by all").fetchall() == near
