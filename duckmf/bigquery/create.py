"""CREATE MODEL and DROP MODEL in DuckDB's SQL.

A model is made by one statement, a CREATE TABLE over mf_fit: it is there whole or not at all. What
BigQuery knows of a model beyond mf_fit stands in its info, under "bigquery": the names of the
columns, and how well the rows that were held out are predicted.
"""

from __future__ import annotations

import json
from dataclasses import replace

import duckdb

from duckmf.bigquery import catalog, ml_functions
from duckmf.bigquery.evaluate import evaluation
from duckmf.bigquery.grammar import CreateModel, DropModel
from duckmf.bigquery.names import identifier, literal
from duckmf.bigquery.options import RANKING, TRAIN, FitCall, fit_call
from duckmf.errors import BigQueryError

QUERY, SOURCE, MODEL = "mf__bq_query", "mf__bq_source", "mf__bq_trained"
HELD_OUT, PART = "mf__bq_held_out", "mf__bq_part"


def create_sql(con: duckdb.DuckDBPyConnection, statement: CreateModel) -> str:
    """The statement that makes a model; empty where it is there and may stay.

    Raises:
        BigQueryError: an option is wrong, or the name is taken.
    """
    asked = fit_call(statement.options)
    there = catalog.find(con, statement.name)
    if there is not None and there.info is None:
        raise BigQueryError(
            f"CREATE MODEL: {statement.name} is taken by what is no model; "
            "give the model another name."
        )
    if there is not None and statement.if_not_exists:
        return ""
    if there is not None and not statement.replace:
        raise BigQueryError(
            f"CREATE MODEL: there is a model {statement.name} already; write CREATE OR REPLACE "
            "MODEL, or IF NOT EXISTS."
        )
    query = ml_functions.translated(con, statement.query)
    if asked.split.by_count:
        ((n,),) = con.sql(f"SELECT count(*) FROM (\n{query}\n)").fetchall()
        asked = replace(asked, split=asked.split.of(n))
    create = "CREATE OR REPLACE TABLE" if statement.replace else "CREATE TABLE"
    return f"{create} {statement.name.sql} AS\n{_model(asked, query)}"


def _model(asked: FitCall, query: str) -> str:
    parts = {QUERY: f"\n{query}\n"}
    fit, held_out = (_tuned if asked.tuned else _trained)(asked, parts)
    parts[MODEL] = fit
    ctes = ",\n".join(f"{name} AS MATERIALIZED ({body})" for name, body in parts.items())
    info = f"json_merge_patch(m.info, {_noted(asked, held_out)})"
    return (
        f"WITH {ctes}\nSELECT m.* REPLACE (CASE WHEN m.kind = 'model' THEN {info} "
        f"ELSE m.info END AS info)\nFROM {MODEL} m"
    )


def _trained(asked: FitCall, parts: dict[str, str]) -> tuple[str, str | None]:
    """The call of mf_fit, over relations that it adds, and the rows that were held out."""
    held_out = asked.split.held_out(asked.user, asked.item, QUERY)
    if held_out is None:
        parts[TRAIN] = f"FROM {QUERY}"
        return _call("mf_fit", TRAIN, asked, {}), None
    parts[SOURCE] = f"SELECT *, {held_out} AS {HELD_OUT} FROM {QUERY}"
    parts[TRAIN] = f"FROM {SOURCE} WHERE NOT {HELD_OUT}"
    call = _call("mf_fit", SOURCE, asked, {"validation": HELD_OUT})
    return call, f"FROM {SOURCE} WHERE {HELD_OUT}"


def _tuned(asked: FitCall, parts: dict[str, str]) -> tuple[str, str | None]:
    """The call of mf_fit_best, over relations that it adds, and the rows of the test."""
    part = asked.split.part(asked.user, asked.item)
    if part is None:
        parts[TRAIN] = f"FROM {QUERY}"
        return _call("mf_fit_best", TRAIN, asked, {}), None
    parts[SOURCE] = f"SELECT *, {part} AS {PART} FROM {QUERY}"
    parts[TRAIN] = f"FROM {SOURCE} WHERE {PART} <> 'TEST'"
    call = _call("mf_fit_best", TRAIN, asked, {"validation": f"{PART} = 'EVAL'"})
    has_test = asked.split.method == "CUSTOM" or asked.split.test
    return call, f"FROM {SOURCE} WHERE {PART} = 'TEST'" if has_test else None


def _call(function: str, source: str, asked: FitCall, more: dict[str, str]) -> str:
    columns = ", ".join(map(identifier, (asked.user, asked.item, asked.rating)))
    given = ", ".join(f"{name} := {value}" for name, value in (asked.arguments | more).items())
    return f"FROM {function}({source}, {columns}, {given})"


def _noted(asked: FitCall, held_out: str | None) -> str:
    """What info says under "bigquery", as SQL."""
    columns = {"user": asked.user, "item": asked.item, "rating": asked.rating}
    noted = literal(json.dumps({"bigquery": {"columns": columns}}))
    if held_out is None:
        return noted
    explicit = asked.algorithm not in RANKING
    metrics = evaluation(explicit, MODEL, held_out, asked.user, asked.item, asked.rating)
    return (
        f"json_merge_patch({noted}, json_object('bigquery', json_object('evaluation', "
        f"(SELECT to_json(e) FROM ({metrics}) e))))"
    )


def drop_sql(con: duckdb.DuckDBPyConnection, statement: DropModel) -> str:
    """The statement that drops a model; empty where there is none and none has to be.

    Raises:
        BigQueryError: there is nothing of this name, or it is no model.
    """
    if statement.if_exists and catalog.find(con, statement.name) is None:
        return ""
    model = catalog.model(con, "DROP MODEL", statement.name)
    kind = "VIEW" if catalog.is_view(con, model) else "TABLE"
    return f"DROP {kind} {model.name.sql}"
