"""The layers: who may import whom, and house rules that a reader may rely on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "duckmf"

# The third-party packages of each layer, beside numpy and the layers before it.
ALLOWED = {
    "errors": set(),
    "options": set(),
    "sqlfiles": set(),
    "interrupts": set(),
    "udfs": {"duckdb"},
    "model": {"numpy"},
    "temporal": {"numpy"},
    "temporal_rows": {"numpy", "pyarrow"},
    "threads": {"numpy"},
    "ratings": {"numpy"},
    "training": {"numpy"},
    "progress": {"tqdm"},
    "runs": set(),
    "checks": set(),
    "gathering": {"numpy"},
    "run": set(),
    "recipe": set(),
    "stored": {"numpy"},
    "warm": {"numpy"},
    "metrics": {"numpy"},
    "cross_validation": {"numpy"},
    "space": set(),
    "search": {"numpy"},  # and optuna, which it imports by name where it is asked for
    "judging": {"numpy"},
    "race": set(),
    "trial": set(),
    "tuning": set(),
    "tune": set(),
    "fit": {"numpy", "duckdb", "numba"},
    "update": {"numpy"},
    "sides": {"numpy"},
    "foldin": {"numpy", "pyarrow"},
    "prepared": set(),
    "topk": {"numpy"},
    "arrow": {"numpy", "pyarrow"},
    "calls": {"duckdb", "numpy", "pyarrow"},
    "catalogue": {"duckdb"},
    "content": {"numpy", "pyarrow"},
    "projection": {"numpy"},
    "plugin": {"duckdb"},
    "dashboards": {"duckdb"},
    "dbt": {"dbt", "duckdb"},
    "sqlalchemy": {"sqlalchemy"},
    "demo": {"duckdb"},
    "serve": {"duckdb"},
    "shell": {"duckdb", "prompt_toolkit", "pygments"},
    "report": {"altair", "duckdb", "jinja2", "numpy", "vl_convert"},
    "cli": {"duckdb"},
    "__init__": set(),
    "bigquery": {"duckdb", "sqlglot"},
    "algorithms": {"numpy"},
    "blocks": {"numpy"},
    "kernels": {"numpy", "numba", "llvmlite"},  # llvmlite comes with numba
}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def layer(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_layer_imports_only_what_it_may(path):
    import sys

    outside = {
        name.split(".")[0]
        for name in imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names | {"duckmf", "__future__"}
    }
    assert outside <= ALLOWED[layer(path)]
    inside = {name for name in imports(path) if name.startswith("duckmf")}
    if layer(path) == "kernels":
        assert all(name.startswith("duckmf.kernels") for name in inside), (
            "kernels know only kernels"
        )
    if layer(path) == "algorithms":
        allowed = (
            "algorithms",
            "blocks",
            "kernels",
            "errors",
            "model",
            "options",
            "ratings",
            "temporal",
            "threads",
        )
        assert all(name.split(".")[1] in allowed for name in inside if "." in name)


def test_mistakes_of_users_are_no_assertions_and_nothing_is_swallowed():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), (
                f"bare except in {path}"
            )
