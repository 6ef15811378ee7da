"""The database behind a report: its relations under fixed names, and the queries of `sql/`.

mf__report_model     the model
mf__report_sample    the model with at most 10,000 of its users
mf__report_titles    item_id, title, color; empty where no titles are named
mf__report_test      user_id, item_id, rating, ts; only where a test is named
mf__report_items     the items with title, color and place by number of ratings
mf__report_activity  the users with the step of their number of ratings
mf__report_seen      what the users of the sample rated in training
mf__report_lists     the ten best items of each user of the sample
mf__report_errors    ratings beside predictions; only of models of ratings
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from duckmf.connection import plugin
from duckmf.errors import CommandError
from duckmf.report.request import HeldOut, ReportRequest, TitlesAndColors

SQL = Path(__file__).parent / "sql"
USERS = 10_000  # in the sample

Row = dict[str, Any]


class ReportDatabase:
    """A read-only connection that holds the relations above."""

    def __init__(self, request: ReportRequest) -> None:
        """Open the database and make them.

        Raises:
            CommandError: the titles do not fit the model, or the test does not.
            duckdb.Error: a file, relation or column is not there.
        """
        self.request = request
        self.con = plugin.connect(request.database, read_only=True)
        self._view("mf__report_model", request.model)
        (self.info,) = self.rows("info")
        # a model of popularity, trained without ratings, has them all equal
        varied = self.info["rating_min"] != self.info["rating_max"]
        self.explicit = self.info["feedback"] == "explicit" and varied
        self.run("sample", users=USERS)
        self._add_titles(request.titles)
        for name in ("items", "activity", "seen"):
            self.run(name)
        self.keeps_seen = bool(self.con.sql("from mf__report_seen limit 1").fetchall())
        self.run("lists", exclude_seen=self.keeps_seen)
        self._add_errors(request.held_out)

    def rows(self, name: str, **parameters: Any) -> list[Row]:
        """What the query in `sql/name.sql` gives."""
        relation = self.con.sql(_text(name), params=parameters)
        columns = relation.columns
        return [dict(zip(columns, row, strict=True)) for row in relation.fetchall()]

    def run(self, name: str, **parameters: Any) -> None:
        """Run the statement in `sql/name.sql`."""
        self.con.execute(_text(name), parameters)

    def close(self) -> None:
        """Let go of the file."""
        self.con.close()

    def _view(self, name: str, relation: str) -> None:
        """Name a relation of the user's, which may be qualified."""
        literal = relation.replace("'", "''")
        self.con.execute(f"create temp view {name} as from query_table('{literal}')")

    def _select(self, name: str, relation: str, expressions: dict[str, str]) -> None:
        """Keep expressions over the columns of a relation of the user's in a table."""
        self._view(f"{name}_of", relation)
        columns = [duckdb.SQLExpression(text).alias(column) for column, text in expressions.items()]
        self.con.register(f"{name}_as", self.con.table(f"{name}_of").select(*columns))
        self.con.execute(f"create temp table {name} as from {name}_as")

    def _add_titles(self, titles: TitlesAndColors | None) -> None:
        if titles is None:
            self.run("no_titles")
            return
        columns = {
            "item_id": titles.item_id,
            "title": f"({titles.title})::varchar",
            "color": f"({titles.color or 'null'})::varchar",
        }
        self._select("mf__report_titles", titles.relation, columns)
        (found,) = self.rows("check_titles")
        if found["repeated"] is not None:
            raise CommandError(
                f"duckmf report: {titles.relation} has several rows for the item "
                f"{found['repeated']}. Name a relation with one row for each item."
            )
        if not found["matched"]:
            raise CommandError(
                f"duckmf report: no item of {self.request.model} is in {titles.relation}. "
                f"--id is {titles.item_id}; give the ids that the model was trained on."
            )

    def _add_errors(self, held_out: HeldOut | None) -> None:
        if held_out is not None:
            self._check_test(held_out)
            columns = {
                "user_id": held_out.user_id,
                "item_id": held_out.item_id,
                "rating": f"({held_out.rating or 'null'})::double",
                "ts": held_out.ts or "null",
            }
            self._select("mf__report_test", held_out.relation, columns)
        if self.explicit:
            self.run("errors_in_training")
            if held_out is not None:
                self.run("errors_held_out" if held_out.ts is None else "errors_in_time")

    def _check_test(self, held_out: HeldOut) -> None:
        if self.explicit and held_out.rating is None:
            raise CommandError(
                f"duckmf report: {self.request.model} predicts ratings, and --test comes without "
                "them. Give --rating."
            )


def _text(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")
