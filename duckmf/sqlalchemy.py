"""A plugin of SQLAlchemy: `mf_fit` and all other `mf_` functions on every connection of an engine.

    create_engine("duckdb:///shop.duckdb?plugin=duckmf")
    create_engine("duckdb:///shop.duckdb", plugins=["duckmf"])

SQLAlchemy finds it by its name, an entry point of the package. It works with both dialects for
DuckDB, duckdb-sqlalchemy and duckdb-engine.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, CreateEnginePlugin, Engine

from duckmf.connection import plugin
from duckmf.errors import DuckMFError


class EnginePlugin(CreateEnginePlugin):
    """What SQLAlchemy makes for each engine that names it."""

    def update_url(self, url: URL) -> URL:
        """Nothing in the URL is for the plugin itself."""
        return url

    def engine_created(self, engine: Engine) -> None:
        """Load duckmf on each connection that the engine's pool will open.

        Raises:
            DuckMFError: the engine is not one of DuckDB.
        """
        if engine.dialect.name != "duckdb":
            raise DuckMFError(
                f"duckmf.sqlalchemy: the engine is one of {engine.dialect.name}, not of DuckDB. "
                "Leave the plugin out, or give a URL that begins with duckdb:///."
            )
        event.listen(engine, "connect", _load)


def _load(connection: Any, record: object) -> None:
    native = connection.execute("select 1")  # whatever wraps it, DuckDB's execute returns itself
    native.fetchall()
    plugin.load(native)
