"""dbt projects in tests."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import duckmf
from duckmf import cli
from duckmf.demo import examples

dbt = pytest.importorskip("dbt.cli.main")
yaml = pytest.importorskip("yaml")
connections = pytest.importorskip("dbt.adapters.duckdb.connections")
GUIDE = examples() / "dbt" / "README.md"
PACKAGE = Path(duckmf.__file__).parent / "dbt" / "package"
RATINGS = """
    select u as user_id, i as item_id, 1 + (u * 7 + i * 3 + u * i) % 5 as rating
    from range(40) as users(u), range(30) as items(i)
    where (u * 31 + i * 17) % 3 > 0
"""


def invoke(folder: Path, *arguments: str) -> tuple[object, dict[str, str]]:
    """Run a command in this process; what it came to, and the status of each node."""
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    quiet = ["--no-send-anonymous-usage-stats", "--quiet"]
    done = dbt.dbtRunner().invoke([*quiet, *arguments, *where])
    connections.DuckDBConnectionManager.close_all_connections()
    results = getattr(done.result, "results", None) or []
    return done, {r.node.name: str(r.status) for r in results if hasattr(r, "node")}


class Project:
    """A dbt project in a folder, with the duckmf package in it."""

    def __init__(self, folder: Path, models: dict[str, object], plugin: bool = True) -> None:
        self.folder = folder
        assert cli.main(["dbt-package", str(folder / "packages" / "duckmf")]) == 0
        self.write("dbt_project.yml", {"name": "shop", "config-version": 2, "profile": "shop"})
        self.write("packages.yml", {"packages": [{"local": "packages/duckmf"}]})
        self.profile({"plugins": [{"module": "duckmf.dbt"}]} if plugin else {})
        for name, text in models.items():
            self.write(f"models/{name}", text)
        self.dbt("deps")

    def write(self, name: str, content: object) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))

    def profile(self, settings: dict[str, object]) -> None:
        """Two targets of one database: schema main, and schema mine."""
        output = {"type": "duckdb", "path": str(self.folder / "shop.duckdb"), **settings}
        outputs = {"prod": output | {"schema": "main"}, "dev": output | {"schema": "mine"}}
        self.write("profiles.yml", {"shop": {"target": "prod", "outputs": outputs}})

    def dbt(self, *arguments: str) -> dict[str, str]:
        """Run a command that succeeds; the status of each node."""
        done, statuses = self.invoke(*arguments)
        assert done.success, done.exception or [r.message for r in done.result.results]
        return statuses

    def invoke(self, *arguments: str) -> tuple[object, dict[str, str]]:
        return invoke(self.folder, *arguments)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """What a client without duckmf reads."""
        with duckdb.connect(str(self.folder / "shop.duckdb"), read_only=True) as plain:
            return plain.execute(sql).fetchall()
