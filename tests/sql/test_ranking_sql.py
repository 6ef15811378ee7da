"""mf_evaluate_ranking and mf_similar_* against NumPy, on random models full of equal scores."""

from __future__ import annotations

import re
from math import log2
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tests.clients import SQL, macros
from tests.sql.test_serving import N_ITEMS, Model

INFO = (
    '{"format": 1, "algorithm": "als", "feedback": "explicit", "users": 40, "rating_std": 1, '
    '"options": {"n_factors": 3, "regularization": 0.1, "regularization_scaling": 1}}'
)
STRANGER, NO_ITEM = 5, 7  # ids that no model here has


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(macros(temporary=True))
    return con


def stored(con: duckdb.DuckDBPyConnection, seed: int) -> Model:
    """A random model in the table `films`, and random pairs in the table `test`."""
    model = Model(seed)
    model.store(con, "films")
    con.execute("update films set info = ? where kind = 'model'", [INFO])
    rng = np.random.default_rng(seed)
    users = rng.choice([STRANGER, *model.user_ids[::2]], 300)
    items = rng.choice([NO_ITEM, *model.item_ids], 300)
    con.register("pairs", pa.table({"u": users, "i": items}))
    con.execute("create table test as select u::integer as u, i::integer as i from pairs")
    return model


@pytest.fixture
def model(con: duckdb.DuckDBPyConnection) -> Model:
    return stored(con, seed=1)


def relevant_items(con: duckdb.DuckDBPyConnection) -> dict[int, set[int]]:
    pairs = con.execute("select distinct u, i from test").fetchall()
    return {user: {i for u, i in pairs if u == user} for user in sorted({u for u, _ in pairs})}


def candidates(model: Model, user_id: int, exclude_seen: bool) -> list[tuple[float, int]]:
    """Score and id of what a user can be recommended, best first."""
    user = None if user_id == STRANGER else 1000 - user_id
    personal = user is not None and len(model.seen[user]) > 0
    scores = model.scores[user] if personal else model.counts
    hidden = set(model.seen[user].tolist()) if exclude_seen and user is not None else set()
    kept = [(float(scores[i]), int(model.item_ids[i])) for i in set(range(N_ITEMS)) - hidden]
    return sorted(kept, key=lambda pair: (-pair[0], pair[1]))


def measures(ranking: list[tuple[float, int]], relevant: set[int], k: int) -> dict[str, Any]:
    """The definitions of sql/evaluate_ranking.sql, one by one."""
    items = [item for _, item in ranking[:k]]
    hits = [rank for rank, item in enumerate(items, start=1) if item in relevant]
    good = [score for score, item in ranking if item in relevant]
    rest = [score for score, item in ranking if item not in relevant]
    wins = sum((g > r) + (g == r) / 2 for g in good for r in rest)
    n = len(relevant)
    return {
        "n_relevant": n,
        "precision": len(hits) / k,
        "recall": len(hits) / n,
        "ndcg": sum(1 / log2(r + 1) for r in hits)
        / sum(1 / log2(r + 1) for r in range(1, min(k, n) + 1)),
        "map": sum(place / rank for place, rank in enumerate(hits, start=1)) / n,
        "mrr": 1 / hits[0] if hits else 0,
        "hit_rate": int(bool(hits)),
        "auc": wins / (n * len(rest)) if rest else None,
        "items": items,
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 10, N_ITEMS])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_each_user_is_measured_as_defined(con, seed, k, exclude_seen):
    model = stored(con, seed)
    found = con.execute(
        f"select {', '.join(measures([], {0}, 1))} from mf_evaluate_ranking_per_user("
        f"films, test, u, i, k := {k}, exclude_seen := {exclude_seen})"
    ).fetchall()
    relevant = relevant_items(con)
    assert len(found) == len(relevant)
    for row, (user, items) in zip(found, relevant.items(), strict=True):
        expected = measures(candidates(model, user, exclude_seen), items, k)
        for name, value in zip(expected, row, strict=True):
            close = value is not None and value == pytest.approx(expected[name], rel=1e-12)
            assert value == expected[name] or close, (user, name)


@pytest.mark.parametrize("k", [1, 10])
def test_the_row_of_a_model_is_the_mean_of_its_users(con, model, k):
    per_user = f"mf_evaluate_ranking_per_user(films, test, u, i, k := {k})"
    names = ["precision", "recall", "ndcg", "map", "mrr", "hit_rate", "auc"]
    row = con.execute(f"from mf_evaluate_ranking(films, test, u, i, k := {k})").fetchone()
    means = ", ".join(f"avg({name})" for name in names)
    assert row[:7] == pytest.approx(con.execute(f"select {means} from {per_user}").fetchone())
    lists = [items for (items,) in con.execute(f"select items from {per_user}").fetchall()]
    listed = [9000 - item for items in lists for item in items]
    assert row[7] == len(set(listed)) / N_ITEMS
    shares = np.maximum(model.counts[listed], 1) / 40
    assert row[8] == pytest.approx(-np.log2(shares).mean())


def test_the_row_of_a_model_counts_what_is_cold_and_seen(con, model):
    relevant = relevant_items(con)
    seen = {user: {9000 - i for i in model.seen[1000 - user]} for user in model.user_ids.tolist()}
    pairs = [(user, item) for user, items in relevant.items() for item in items]
    cold_users = {user for user in relevant if not seen.get(user)}
    cold_items = {i for _, i in pairs if i == NO_ITEM or model.counts[9000 - i] == 0}
    found = con.execute(
        "select n, users, items, cold_users, cold_items, cold_pairs, seen_pairs, "
        "users_without_test from mf_evaluate_ranking(films, test, u, i)"
    ).fetchone()
    assert found == (
        len(pairs),
        len(relevant),
        len({item for _, item in pairs}),
        len(cold_users),
        len(cold_items),
        sum(user in cold_users or item in cold_items for user, item in pairs),
        sum(item in seen.get(user, ()) for user, item in pairs),
        sum(bool(of_user) and user not in relevant for user, of_user in seen.items()),
    )


def test_neither_row_order_nor_threads_change_a_measure(con, model):
    once = con.execute("from mf_evaluate_ranking(films, test, u, i)").fetchall()
    con.execute("create table shuffled as from films order by hash(code, kind, 9)")
    con.execute("set threads = 1")
    assert con.execute("from mf_evaluate_ranking(shuffled, test, u, i)").fetchall() == once


def alike(ids: np.ndarray, factors: np.ndarray, of: int, k: int) -> list[tuple[Any, ...]]:
    lengths = np.sqrt(np.sum(factors * factors, axis=1))
    if lengths[of] == 0:
        return []
    kept = [j for j in np.flatnonzero(lengths) if j != of]
    cosine = np.clip(factors @ factors[of] / (lengths[of] * np.maximum(lengths, 1e-9)), -1, 1)
    cosine = cosine.astype(np.float32)
    kept.sort(key=lambda j: (-cosine[j], ids[j]))
    return [
        (int(ids[of]), int(ids[j]), float(cosine[j]), rank)
        for rank, j in enumerate(kept[:k], start=1)
    ]


@pytest.mark.parametrize("side", ["item", "user"])
@pytest.mark.parametrize("k", [1, 7, 1000])
def test_similar_equals_brute_force(con, model, side, k):
    ids, factors = (model.item_ids, model.Q) if side == "item" else (model.user_ids, model.P)
    factors[5] = 0  # without a direction
    con.execute("update films set factors = [0, 0, 0] where code = 5")
    expected = [row for of in reversed(range(len(ids))) for row in alike(ids, factors, of, k)]
    found = con.execute(f"from mf_similar_{side}s(films, k := {k})").fetchall()
    assert [row[:2] + row[3:] for row in found] == [row[:2] + row[3:] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], abs=1e-7)


@pytest.mark.parametrize(("side", "name"), [("item", 8950), ("user", 990)])
def test_similar_to_one_a_filtered_view_a_parameter_and_a_lateral_column_agree(
    con, model, side, name
):
    function = f"mf_similar_{side}s"
    con.execute(f"create view alike as from {function}(films, k := 7)")
    expected = con.execute(f"from {function}(films, {name}, k := 7)").fetchall()
    assert len(expected) == 7
    view = f"from alike where {side}_id = {name}"
    assert con.execute(view).fetchall() == expected
    assert con.execute(f"from {function}(films, ?, k := ?)", [name, 7]).fetchall() == expected
    lateral = f"select s.* from (select ? as n) q, {function}(films, q.n, k := 7) s order by rank"
    assert con.execute(lateral, [name]).fetchall() == expected


def test_a_filter_on_the_item_reaches_the_scan(con, model):
    con.execute("create view alike as from mf_similar_items(films)")
    rows = r"\b(\d[\d,]*) rows"

    def largest(query: str) -> int:
        text = con.execute(f"explain analyze {query}").fetchall()[0][1]
        return max(int(count.replace(",", "")) for count in re.findall(rows, text))

    assert largest("from alike") > N_ITEMS * N_ITEMS / 2
    assert largest("from alike where item_id = 8950") < 5 * N_ITEMS


CALLS = {
    "evaluate_ranking": "from mf_evaluate_ranking({}, test, u, i)",
    "similar": "from mf_similar_items({}, 8950)",
    "explain": "from mf_explain({}, 990, 8950)",
    "recommend": "from mf_recommend({}, 990)",
    "predict": "from mf_predict({}, test, u, i) order by all",
    "publish": "from mf_publish_predictions({}) order by all",
}


@pytest.mark.parametrize("file", CALLS)
def test_a_relation_may_be_named_as_any_part_of_a_macro(con, model, file):
    con.execute("alter table films add column seen_ratings float[]")
    con.execute("update films set seen_ratings = list_transform(seen, lambda code: code % 5)")
    options = '{"regularization": 1, "regularization_scaling": 0.5}'
    con.execute(
        'update films set info = json_merge_patch(info, \'{"algorithm": "als", '
        f'"items": 1, "rating_std": 1, "options": {options}}}\') where kind = \'model\''
    )
    expected = con.execute(CALLS[file].format("films")).fetchall()
    assert expected
    parts = {"head", "users", "items", "strangers"}
    parts.update(
        re.findall(
            r"^    (?!mf__)(\w+)(?:\(.*\))? as .*\($", (SQL / f"{file}.sql").read_text(), re.M
        )
    )
    for part in parts:
        con.execute(f"create table {part} as from films")
        found = con.execute(CALLS[file].format(part)).fetchall()
        assert found == expected, part
        con.execute(f"drop table {part}")
        cte = f"with {part} as (from films) {CALLS[file].format(part)}"
        assert con.execute(cte).fetchall() == expected, part
