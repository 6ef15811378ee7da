"""A plugin of dbt-duckdb: `mf_fit` and all other `mf_` functions in every dbt model.

    # profiles.yml
    plugins:
      - module: duckmf.dbt

The Python functions go to the root connection, the macros to each handle that a dbt thread opens.
Beside this module lies `package`, a dbt package of macros, generic tests and documentation.
"""

from __future__ import annotations

from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from duckmf.connection import plugin
from duckmf.connection.installing import install
from duckmf.errors import DuckMFError


class Plugin(BasePlugin):
    """What dbt-duckdb calls; it finds the class by this name.

    Its one setting, `config: {install: true}`, says whether the macros that need no Python are
    also written to schema main of the target database, where the views of a project find them
    when a BI tool reads them without dbt.
    """

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Read the settings of the profile.

        Raises:
            DuckMFError: `install` is neither true nor false.
        """
        self.installs = plugin_config.get("install", True)
        if not isinstance(self.installs, bool):
            raise DuckMFError(
                f"duckmf.dbt: install is {self.installs!r}. Give true or false in profiles.yml."
            )

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """The root connection is open."""
        self._udfs = plugin.add_functions(conn)
        if self.installs:
            install(conn)

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """A thread has got its handle."""
        plugin.add_macros(cursor, self._udfs)
