"""The charts, in Vega-Lite: each takes rows of a query and gives its specification."""

from __future__ import annotations

from typing import Any

import altair as alt

BLUE, ORANGE, GREY = "#2f6db5", "#e07b28", "#9aa5b1"
PARTS = {"training": BLUE, "validation": ORANGE, "held out": ORANGE}
COLORS = [
    "#2f6db5", "#e07b28", "#3c9d6b", "#c2453f", "#8463b0",
    "#8a6446", "#d773ad", "#b5a52c", "#3aa7b5",
]  # fmt: skip
HEIGHT = 260

Rows = list[dict[str, Any]]
Spec = dict[str, Any]


def _spec(chart: Any, height: int = HEIGHT) -> Spec:
    configured = (
        chart.properties(width="container", height=height, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#e8ebef", domainColor="#9aa5b1", tickColor="#9aa5b1", labelColor="#44505c",
            titleColor="#44505c", titleFontWeight="normal", labelFontSize=12, titleFontSize=12,
        )
        .configure_legend(
            orient="top", title=None, labelFontSize=12, labelColor="#44505c", symbolStrokeWidth=3,
            labelLimit=240,
        )
    )  # fmt: skip
    spec: Spec = configured.to_dict()
    return spec


def _chart(rows: Rows) -> Any:
    return alt.Chart(alt.Data(values=rows))


def _parts(rows: Rows) -> Any:
    names = [name for name in PARTS if any(row["part"] == name for row in rows)]
    return alt.Color("part:N", scale=alt.Scale(domain=names, range=[PARTS[n] for n in names]))


def epochs(rows: Rows, loss: str, best: int) -> Spec:
    """The loss after each epoch; a rule where the kept one is."""
    lines = _chart(rows).mark_line(point=alt.OverlayMarkDef(size=45), strokeWidth=2).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(zero=False, padding=12, nice=False),
                axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
        y=alt.Y("loss:Q", title=loss, scale=alt.Scale(zero=False)),
        color=_parts(rows),
        tooltip=["epoch:Q", "part:N", alt.Tooltip("loss:Q", format=".4f")],
    )  # fmt: skip
    kept = [{"epoch": best, "text": f"kept: epoch {best}"}]
    rule = _chart(kept).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="epoch:Q")
    text = _chart(kept).mark_text(align="right", dx=-6, color="#5c6873", baseline="top").encode(
        x="epoch:Q", y=alt.value(0), text="text:N"
    )  # fmt: skip
    return _spec(rule + lines + text)


def ratings(rows: Rows) -> Spec:
    """How the ratings are spread, and how their predictions are."""
    names = sorted({row["values_of"] for row in rows}, reverse=True)
    shades = {"training ratings": GREY, "training predictions": BLUE,
              "held out ratings": "#5c6873", "held out predictions": ORANGE}  # fmt: skip
    scale = alt.Scale(domain=names, range=[shades[name] for name in names])
    lines = _chart(rows).mark_line(point=alt.OverlayMarkDef(size=30), strokeWidth=2).encode(
        x=alt.X("value:Q", title="rating", scale=alt.Scale(zero=False, padding=12, nice=False),
                axis=alt.Axis(grid=False)),
        y=alt.Y("share:Q", title="share of all", axis=alt.Axis(format="%")),
        color=alt.Color("values_of:N", scale=scale, legend=alt.Legend(columns=2)),
        tooltip=["values_of:N", alt.Tooltip("value:Q", format=".2f"),
                 alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("n:Q", format=",")],
    )  # fmt: skip
    return _spec(lines)


def _bars(rows: Rows, x: Any, y: Any, tooltip: list[Any]) -> Spec:
    names = [name for name in PARTS if any(row["part"] == name for row in rows)]
    bars = _chart(rows).mark_bar(cornerRadiusEnd=2).encode(
        x=x, y=y, xOffset=alt.XOffset("part:N", sort=names), color=_parts(rows), tooltip=tooltip
    )  # fmt: skip
    return _spec(bars)


def error_by_rating(rows: Rows) -> Spec:
    """The RMSE at each rating."""
    x = alt.X("rating:O", title="rating", axis=alt.Axis(labelAngle=0, format=".3~g"))
    y = alt.Y("rmse:Q", title="RMSE (rating units)")
    return _bars(rows, x, y, _rating_tooltip())


def bias_by_rating(rows: Rows) -> Spec:
    """How far predictions are above or below, at each rating."""
    x = alt.X("rating:O", title="rating", axis=alt.Axis(labelAngle=0, format=".3~g"))
    y = alt.Y("mean_error:Q", title="prediction - rating, mean")
    return _bars(rows, x, y, _rating_tooltip())


def _rating_tooltip() -> list[Any]:
    return [
        "part:N", alt.Tooltip("rating:Q", format=".3~g"), alt.Tooltip("rmse:Q", format=".3f"),
        alt.Tooltip("mean_error:Q", title="mean error", format="+.3f"),
        alt.Tooltip("n:Q", title="ratings", format=","),
    ]  # fmt: skip


def error_by_activity(rows: Rows) -> Spec:
    """The RMSE by the number of a user's training ratings."""
    y = alt.Y("rmse:Q", title="RMSE (rating units)")
    tooltip = [
        "part:N", alt.Tooltip("activity:N", title="training ratings"),
        alt.Tooltip("rmse:Q", format=".3f"), alt.Tooltip("users:Q", format=","),
        alt.Tooltip("n:Q", title="ratings", format=","),
    ]  # fmt: skip
    return _bars(rows, _activity(), y, tooltip)


def ranking_by_activity(rows: Rows) -> Spec:
    """The nDCG by the number of a user's training items."""
    bars = _chart(rows).mark_bar(cornerRadiusEnd=2, color=ORANGE).encode(
        x=_activity(), y=alt.Y("ndcg:Q", title="nDCG of the list of ten, mean"),
        tooltip=[alt.Tooltip("activity:N", title="training ratings"),
                 alt.Tooltip("ndcg:Q", format=".3f"), alt.Tooltip("users:Q", format=",")],
    )  # fmt: skip
    return _spec(bars)


def _activity() -> Any:
    sort = alt.EncodingSortField(field="low")
    axis = alt.Axis(labelAngle=0, labelFontSize=11)
    return alt.X("activity:O", title="training ratings of the user", sort=sort, axis=axis)


def recommended(rows: Rows) -> Spec:
    """How often items are recommended, by how often they were rated."""
    points = _chart(rows).mark_circle(opacity=0.55, color=BLUE).encode(
        x=alt.X("ratings:Q", title="training ratings of the item",
                scale=alt.Scale(type="symlog"), axis=_log_axis(rows, "ratings")),
        y=alt.Y("lists:Q", title="lists of ten that hold it",
                scale=alt.Scale(type="symlog"), axis=_log_axis(rows, "lists")),
        size=alt.Size("items:Q", scale=alt.Scale(range=[22, 420]), legend=None),
        tooltip=[alt.Tooltip("title:N", title="item (or most rated of these)"),
                 alt.Tooltip("items:Q", format=","), alt.Tooltip("ratings:Q", format=","),
                 alt.Tooltip("lists:Q", format=",")],
    )  # fmt: skip
    return _spec(points)


def _log_axis(rows: Rows, column: str) -> Any:
    most = max(row[column] for row in rows)
    steps = [0, *(unit * 10**power for power in range(12) for unit in (1, 3))]
    return alt.Axis(values=[step for step in steps if step <= most], format=",d", grid=True)


def long_tail(rows: Rows) -> Spec:
    """The cumulated shares of ratings and of recommendations."""
    names = ["ratings", "recommendations"]
    lines = _chart(rows).mark_line(strokeWidth=2.5).encode(
        x=alt.X("items:Q", title="share of the items, the most rated first (log scale)",
                scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format="~%", tickCount=5)),
        y=alt.Y("share:Q", title="share that goes to them", axis=alt.Axis(format="%")),
        color=alt.Color("part:N", scale=alt.Scale(domain=names, range=[GREY, BLUE])),
        tooltip=[alt.Tooltip("part:N"), alt.Tooltip("items:Q", format=".2%"),
                 alt.Tooltip("share:Q", format=".1%")],
    )  # fmt: skip
    return _spec(lines)


def item_map(points: Rows, shares: Any) -> Spec:
    """Items on two principal components; the wheel zooms, a click in the legend picks."""
    names = sorted({point["color"] for point in points}, key=lambda name: (name == "other", name))
    picked = alt.selection_point(fields=["color"], bind="legend", name="picked")
    scale = alt.Scale(domain=names, range=[*COLORS[: len(names) - 1], GREY]
                      if "other" in names else COLORS[: len(names)])  # fmt: skip
    color = alt.Color("color:N", scale=scale, legend=alt.Legend(symbolType="circle", columns=9))
    room, axis = alt.Scale(padding=48, nice=False), alt.Axis(tickCount=8)
    x_title = f"first principal component ({shares[0]:.0%} of the variance)"
    y_title = f"second principal component ({shares[1]:.0%})"
    base = _chart(points).encode(
        x=alt.X("x:Q", title=x_title, scale=room, axis=axis),
        y=alt.Y("y:Q", title=y_title, scale=room, axis=axis),
    )
    marks = base.mark_circle(strokeWidth=0).encode(
        color=color if len(names) > 1 else alt.value(BLUE),
        size=alt.Size("ratings:Q", scale=alt.Scale(range=[12, 340]), legend=None),
        opacity=alt.condition(picked, alt.value(0.6), alt.value(0.04)),
        tooltip=["title:N", *(["color:N"] if len(names) > 1 else []),
                 alt.Tooltip("ratings:Q", format=",")],
    )  # fmt: skip
    moved = marks.add_params(picked).interactive(name="moved")
    text = base.mark_text(dy=-9, fontSize=11, color="#1c2733").encode(text="label:N")
    halo = base.mark_text(dy=-9, fontSize=11, stroke="white", strokeWidth=3, opacity=0.85)
    return _spec(moved + halo.encode(text="label:N") + text, height=620)


def item_bins(rows: Rows) -> Spec:
    """What time adds to the biases of some items."""
    titles = list(dict.fromkeys(row["title"] for row in rows))
    rows = [row | {"begins": row["begins"].isoformat()} for row in rows]
    lines = _chart(rows).mark_line(interpolate="step-after", strokeWidth=2).encode(
        x=alt.X("begins:T", title=None, axis=alt.Axis(grid=False)),
        y=alt.Y("bias:Q", title="added to the item's bias"),
        color=alt.Color("title:N", scale=alt.Scale(domain=titles, range=COLORS),
                        legend=alt.Legend(columns=2, labelLimit=190)),
        tooltip=["title:N", "begins:T", alt.Tooltip("bias:Q", format="+.3f")],
    )  # fmt: skip
    return _spec(lines)


def user_drift(rows: Rows) -> Spec:
    """How the users' biases drift."""
    bars = _chart(rows).mark_bar(color=BLUE).encode(
        x=alt.X("change:Q", title="what a year after a user's mean time adds to their bias"),
        y=alt.Y("users:Q", title="users"),
        tooltip=[alt.Tooltip("change:Q", format="+.3f"), alt.Tooltip("users:Q", format=",")],
    )  # fmt: skip
    return _spec(bars)
