"""BigQuery ML's SQL for matrix factorization, mixed freely with DuckDB's own.

    import duckmf
    duckmf.sql(con, "CREATE MODEL films OPTIONS(model_type = 'matrix_factorization') AS SELECT ...")
    duckmf.sql(con, "SELECT * FROM ML.RECOMMEND(MODEL films, (SELECT 196 AS user))")

`sql` runs a script as `con.sql` does. Its parts, for a shell that runs one statement at a time:

    for statement in bigquery.statements(text):     # never raises; the texts add up to the script
        relation = bigquery.run(con, statement)     # a relation, or None
        bigquery.translate(con, statement)          # what DuckDB runs for it; '' for nothing to do

Ours are CREATE MODEL, DROP MODEL, and statements that call functions of ML. Everything else, and
everything in a statement of ours that BigQuery ML does not add (the query after AS, the query
around ML.RECOMMEND(...)), reaches DuckDB byte for byte. A model is the ordinary model relation.

script        a script as its statements
words         the words of a statement; dialect, reader, grammar: what they say
google        queries in Google's SQL
options       OPTIONS(...): the table of options; holdout: DATA_SPLIT_...; hparams: HPARAM_...
create        CREATE MODEL and DROP MODEL as SQL of DuckDB
ml_functions  ML.RECOMMEND(...) and the others as SQL of DuckDB; evaluate and trials: two of them
catalog       what the database has under a name
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckmf.bigquery.script import Statement, statements

if TYPE_CHECKING:
    import duckdb

__all__ = ["Statement", "run", "sql", "statements", "translate"]


def sql(con: duckdb.DuckDBPyConnection, text: str) -> duckdb.DuckDBPyRelation | None:
    """Run a script; returns the last statement's result, or None, as `con.sql` does.

    What is not of BigQuery ML goes to DuckDB as it is; see google.py for what DuckDB cannot read.
    The names of Python variables are not looked up: register a DataFrame, or set
    python_scan_all_frames.

    Raises:
        BigQueryError: a statement of BigQuery ML is wrong or cannot be honoured; those before it
            have run.
    """
    result = None
    for statement in statements(text):
        result = run(con, statement)
    return result


def run(con: duckdb.DuckDBPyConnection, statement: Statement) -> duckdb.DuckDBPyRelation | None:
    """Run one statement, as `sql` does."""
    text = translate(con, statement)
    if statement.kind in (None, "query"):
        return con.sql(text)
    if text:
        con.execute(text).fetchall()  # a statement is only over when it is fetched
    return None


def translate(con: duckdb.DuckDBPyConnection, statement: Statement) -> str:
    """What DuckDB runs for a statement; empty for nothing to do.

    Its own text, unless it is ours or Google's (see google.py).
    The models that it names are looked up, so those that it depends on must have been made.

    Raises:
        BigQueryError: it is not written right, or cannot be honoured.
    """
    if not statement.words:
        return statement.text
    from duckmf.bigquery import create, grammar, ml_functions

    if statement.kind == "create":
        return create.create_sql(con, grammar.create_model(statement))
    if statement.kind == "drop":
        return create.drop_sql(con, grammar.drop_model(statement))
    return ml_functions.translated(con, grammar.whole(statement))
