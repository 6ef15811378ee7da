"""From a request to the page: ask the source, draw the charts, fill the template."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import jinja2
import vl_convert

from duckmf.report import charts
from duckmf.report.item_map import item_map
from duckmf.report.request import Request
from duckmf.report.source import USERS, Row, Source

MAPPED = 4_000  # items on the map
POPULAR = 12  # items with neighbours
PEOPLE = 6  # users with their lists
CURVES = 6  # items with a curve over time


def write(request: Request, path: Path) -> None:
    """Write the report of a model to a file.

    Raises:
        CommandError: the titles or the test do not fit the model.
        duckdb.Error: a file, relation or column is not there.
    """
    with contextlib.closing(Source(request)) as source:
        page = _page(source)
    path.write_text(page, encoding="utf-8")


def _page(source: Source) -> str:
    facts = {
        "name": source.request.model,
        "request": source.request,
        "info": source.info,
        "options": json.loads(source.info["options"]),
        "versions": json.loads(source.info["versions"]),
        "explicit": source.explicit,
        "keeps_seen": source.keeps_seen,
        "factors": source.info["n_factors"] is not None,
        "sampled": source.info["users"] > USERS and USERS,
    }
    specs: dict[str, charts.Spec] = {}
    for part in (_learning, _errors, _ranking, _lists, _map, _time):
        facts |= part(source, specs)
    facts["users"] = source.rows("users", users=PEOPLE)
    facts["neighbours"] = _neighbours(source) if facts["factors"] else []
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


def _learning(source: Source, specs: dict[str, charts.Spec]) -> Row:
    rows = source.rows("epochs")
    last = max((row["epoch"] for row in rows), default=0)
    if last > 1:
        specs["epochs"] = charts.epochs(rows, source.info["loss"], source.info["best_epoch"])
    return {"epochs": last}


def _errors(source: Source, specs: dict[str, charts.Spec]) -> Row:
    errors = source.rows("summary_errors") if source.explicit else []
    if errors:
        rows = source.rows("by_rating")
        specs["error_by_rating"] = charts.error_by_rating(rows)
        specs["bias_by_rating"] = charts.bias_by_rating(rows)
        specs["error_by_activity"] = charts.error_by_activity(source.rows("by_activity"))
        specs["ratings"] = charts.ratings(source.rows("ratings"))
    return {"errors": errors}


def _ranking(source: Source, specs: dict[str, charts.Spec]) -> Row:
    if source.explicit or source.request.held_out is None:
        return {"ranking": None}
    specs["ranking_by_activity"] = charts.ranking_by_activity(source.rows("by_activity_ranking"))
    return {"ranking": source.rows("ranking")[0]}


def _lists(source: Source, specs: dict[str, charts.Spec]) -> Row:
    (coverage,) = source.rows("coverage")
    specs["recommended"] = charts.recommended(source.rows("recommended"))
    specs["long_tail"] = charts.long_tail(source.rows("long_tail"))
    return {"coverage": coverage}


def _map(source: Source, specs: dict[str, charts.Spec]) -> Row:
    rows = source.rows("map_items", items=MAPPED)
    if len(rows) > 1:
        specs["map"] = charts.item_map(*item_map(rows))
    (untitled,) = source.rows("untitled")
    return {"mapped": len(rows), "untitled": untitled["items"]}


def _time(source: Source, specs: dict[str, charts.Spec]) -> Row:
    terms = json.loads(source.info["options"]).get("temporal") or []
    if "item_bins" in terms:
        specs["item_bins"] = charts.item_bins(source.rows("item_bins", items=CURVES))
    if "user_drift" in terms:
        specs["user_drift"] = charts.user_drift(source.rows("user_drift"))
    return {"terms": terms}


def _neighbours(source: Source) -> list[list[Row]]:
    """The neighbours of each of the most rated items, in a list of their own."""
    rows = source.rows("neighbours", items=POPULAR)
    places = dict.fromkeys(row["place"] for row in rows)
    return [[row for row in rows if row["place"] == place] for place in places]
