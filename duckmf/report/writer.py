"""From a request to the page: ask the database, draw the charts, fill the template."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import jinja2
import vl_convert

from duckmf.report import charts
from duckmf.report.database import USERS, ReportDatabase, Row
from duckmf.report.item_map import item_map
from duckmf.report.request import ReportRequest

MAPPED = 4_000  # items on the map
POPULAR = 12  # items with neighbours
PEOPLE = 6  # users with their lists
CURVES = 6  # items with a curve over time


def write(request: ReportRequest, path: Path) -> None:
    """Write the report of a model to a file.

    Raises:
        CommandError: the titles or the test do not fit the model.
        duckdb.Error: a file, relation or column is not there.
    """
    with contextlib.closing(ReportDatabase(request)) as database:
        page = _page(database)
    path.write_text(page, encoding="utf-8")


def _page(database: ReportDatabase) -> str:
    facts = {
        "name": database.request.model,
        "request": database.request,
        "info": database.info,
        "options": json.loads(database.info["options"]),
        "versions": json.loads(database.info["versions"]),
        "explicit": database.explicit,
        "keeps_seen": database.keeps_seen,
        "factors": database.info["n_factors"] is not None,
        "sampled": database.info["users"] > USERS and USERS,
    }
    specs: dict[str, charts.Spec] = {}
    for part in (_learning, _errors, _ranking, _lists, _map, _time):
        facts |= part(database, specs)
    facts["users"] = database.rows("users", users=PEOPLE)
    facts["neighbours"] = _neighbours(database) if facts["factors"] else []
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    library = vl_convert.javascript_bundle()
    page: str = environment.get_template("page.html.jinja").render(
        **facts, specs=specs, library=library
    )
    return page


def _learning(database: ReportDatabase, specs: dict[str, charts.Spec]) -> Row:
    rows = database.rows("epochs")
    last = max((row["epoch"] for row in rows), default=0)
    if last > 1:
        specs["epochs"] = charts.epochs(rows, database.info["loss"], database.info["best_epoch"])
    return {"epochs": last}


def _errors(database: ReportDatabase, specs: dict[str, charts.Spec]) -> Row:
    errors = database.rows("summary_errors") if database.explicit else []
    if errors:
        rows = database.rows("by_rating")
        specs["error_by_rating"] = charts.error_by_rating(rows)
        specs["bias_by_rating"] = charts.bias_by_rating(rows)
        specs["error_by_activity"] = charts.error_by_activity(database.rows("by_activity"))
        specs["ratings"] = charts.ratings(database.rows("ratings"))
    return {"errors": errors}


def _ranking(database: ReportDatabase, specs: dict[str, charts.Spec]) -> Row:
    if database.explicit or database.request.held_out is None:
        return {"ranking": None}
    specs["ranking_by_activity"] = charts.ranking_by_activity(database.rows("by_activity_ranking"))
    return {"ranking": database.rows("ranking")[0]}


def _lists(database: ReportDatabase, specs: dict[str, charts.Spec]) -> Row:
    (coverage,) = database.rows("coverage")
    specs["recommended"] = charts.recommended(database.rows("recommended"))
    specs["long_tail"] = charts.long_tail(database.rows("long_tail"))
    return {"coverage": coverage}


def _map(database: ReportDatabase, specs: dict[str, charts.Spec]) -> Row:
    rows = database.rows("map_items", items=MAPPED)
    if len(rows) > 1:
        specs["map"] = charts.item_map(*item_map(rows))
    (untitled,) = database.rows("untitled")
    return {"mapped": len(rows), "untitled": untitled["items"]}


def _time(database: ReportDatabase, specs: dict[str, charts.Spec]) -> Row:
    terms = json.loads(database.info["options"]).get("temporal") or []
    if "item_bins" in terms:
        specs["item_bins"] = charts.item_bins(database.rows("item_bins", items=CURVES))
    if "user_drift" in terms:
        specs["user_drift"] = charts.user_drift(database.rows("user_drift"))
    return {"terms": terms}


def _neighbours(database: ReportDatabase) -> list[list[Row]]:
    """The neighbours of each of the most rated items, in a list of their own."""
    rows = database.rows("neighbours", items=POPULAR)
    places = dict.fromkeys(row["place"] for row in rows)
    return [[row for row in rows if row["place"] == place] for place in places]
