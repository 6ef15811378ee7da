"""What a report is asked to show. All but the names of relations are SQL expressions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TitlesAndColors:
    """The items' titles and what colours them, over the columns of a relation."""

    relation: str
    item_id: str
    title: str
    color: str | None = None


@dataclass(frozen=True)
class HeldOut:
    """Rows that the model has not seen, over the columns of a relation."""

    relation: str
    user_id: str
    item_id: str
    rating: str | None = None
    ts: str | None = None


@dataclass(frozen=True)
class ReportRequest:
    """A model in a database file, and what is known beside it."""

    database: str
    model: str
    titles: TitlesAndColors | None = None
    held_out: HeldOut | None = None
