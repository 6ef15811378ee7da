"""The layers: who may import whom; and house rules that a reader may rely on."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.newest

ROOT = Path(__file__).parent.parent
PACKAGE, SQL, TESTS = ROOT / "duckmf", ROOT / "sql", ROOT / "tests"

# Each folder, and each file at the top, with the packages from outside that it may import. It may
# import itself and what stands before it: no arrow runs upward.
LAYERS: dict[str, set[str]] = {
    "kernels": {"llvmlite", "numba", "numpy"},
    "errors": set(),
    "options": set(),
    "arrow": {"numpy", "pyarrow"},
    "ratings": {"numpy"},
    "model": {"numpy", "pyarrow"},
    "ranking": {"numpy", "scipy"},
    "algorithms": {"numpy", "scipy"},
    "tuning": {"numpy", "optuna", "scipy"},
    "statements": {"duckdb", "numba", "numpy", "pyarrow", "scipy", "tqdm"},
    "connection": {"duckdb", "numpy", "pyarrow", "sqlglot"},
    "bigquery": {"duckdb", "sqlglot"},
    "dashboards": {"duckdb"},
    "duckmf": set(),  # the package's __init__.py: the names that users import
    "demo": {"duckdb"},
    "serve": {"duckdb"},
    "report": {"altair", "duckdb", "jinja2", "numpy", "vl_convert"},
    "shell": {"duckdb", "prompt_toolkit", "pygments"},
    "dbt": {"dbt", "duckdb"},
    "sqlalchemy": {"sqlalchemy"},
    "cli": {"duckdb"},
}
# These know arrays alone: Arrow ends where a model or a statement begins.
WITHOUT_ARROW = {"kernels", "ratings", "ranking", "algorithms", "tuning"}
# What may run upward, with the reason.
UPWARD = {
    "statements/fit.py imports duckmf, upward": "a model says which version of duckmf trained it",
    "connection/sqlfiles.py imports duckmf, upward": "mf_version() says which version it is",
}
LONGEST, LONGEST_KERNELS = 400, 500
MOST_AT_THE_TOP = 12


@dataclass(frozen=True)
class Import:
    """A module that a file imports, wherever in it and in whatever form."""

    file: str  # of the package, such as algorithms/als.py
    line: int
    module: str  # duckmf.kernels.als, numpy

    @property
    def layer(self) -> str | None:
        """The layer of ours that it is of."""
        first, _, rest = self.module.partition(".")
        return (rest.partition(".")[0] or first) if first == "duckmf" else None

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def layer_of(file: str) -> str:
    """The layer that a file of the package is in."""
    first, _, rest = file.partition("/")
    name = first if rest else first.removesuffix(".py")
    return "duckmf" if name == "__init__" else name


def imports(package: Path, path: Path) -> Iterator[Import]:
    """All imports of a file: at its top, within functions, by name, for types alone."""
    file = path.relative_to(package).as_posix()
    here = ("duckmf", *path.relative_to(package).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        for module in modules(node, here, package):
            yield Import(file, node.lineno, module)


def modules(node: ast.AST, here: tuple[str, ...], package: Path) -> Iterator[str]:
    """The modules that a statement or a call imports, from a file of the package `here`."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            base = [*here[: len(here) - level + 1]] if level else []
            base += module.split(".") if module else []
            yield from (resolved([*base, alias.name], package) for alias in names)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if name in (
            "import_module",
            "__import__",
        ):
            texts = [part for arg in args for part in ast.walk(arg)]
            yield from (t.value for t in texts if isinstance(t, ast.Constant) and is_module(t))


def resolved(parts: list[str], package: Path) -> str:
    """The module of `from a.b import c`: a.b.c if that is a module, else a.b."""
    if parts[0] != "duckmf":
        return ".".join(parts[:-1])
    path = package.joinpath(*parts[1:])
    exists = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    return ".".join(parts if exists else parts[:-1])


def is_module(text: ast.Constant) -> bool:
    return isinstance(text.value, str) and text.value.replace(".", "").isidentifier()


def violations(package: Path, path: Path) -> Iterator[str]:
    """What a file imports that breaks the order of the layers, or does not belong there."""
    order, layer = list(LAYERS), layer_of(path.relative_to(package).as_posix())
    if layer not in LAYERS:
        yield f"{path.relative_to(package)} is of no layer"
        return
    for one in imports(package, path):
        name = one.module.split(".")[0]
        if one.layer is None:
            if name not in LAYERS[layer] | sys.stdlib_module_names:
                yield f"{one}, which {layer} does without"
        elif one.layer not in LAYERS:
            yield f"{one}, which is of no layer"
        elif layer in WITHOUT_ARROW and one.layer == "arrow":
            yield f"{one}, and {layer} knows arrays alone"
        elif order.index(one.layer) > order.index(layer):
            yield f"{one}, upward"


def test_no_import_runs_upward_without_an_excuse():
    found = {one for path in PACKAGE.rglob("*.py") for one in violations(PACKAGE, path)}
    assert {re.sub(r":\d+", "", one) for one in found} == set(UPWARD)


PLANTED = [
    ("algorithms/als.py", "from duckmf import cli", "duckmf.cli, upward"),
    ("algorithms/als.py", "from duckmf import __version__", "duckmf, upward"),
    ("algorithms/als.py", "import duckmf", "duckmf, upward"),
    ("algorithms/als.py", "import duckmf.connection.plugin", "duckmf.connection.plugin, upward"),
    ("algorithms/als.py", "from duckmf import connection as c", "duckmf.connection, upward"),
    ("algorithms/als.py", "from duckmf.connection import plugin", "duckmf.connection.plugin, upward"),
    ("algorithms/als.py", "from duckmf.tuning.race import Race", "duckmf.tuning.race, upward"),
    ("algorithms/als.py", "from ..tuning.race import Race", "duckmf.tuning.race, upward"),
    ("algorithms/als.py", "from .. import cli", "duckmf.cli, upward"),
    ("algorithms/als.py", "from ..cli import main", "duckmf.cli, upward"),
    ("bigquery/__init__.py", "from ..cli import main", "duckmf.cli, upward"),
    ("errors.py", "from . import options", "duckmf.options, upward"),
    ("errors.py", "from .options import option", "duckmf.options, upward"),
    ("algorithms/als.py", "def f():\n    from duckmf import cli", "duckmf.cli, upward"),
    ("algorithms/als.py", "if TYPE_CHECKING:\n    from duckmf import cli", "duckmf.cli, upward"),
    ("algorithms/als.py", "import_module('duckmf.cli')", "duckmf.cli, upward"),
    ("algorithms/als.py", "importlib.import_module('duckmf.cli')", "duckmf.cli, upward"),
    ("algorithms/als.py", "__import__('duckmf.cli')", "duckmf.cli, upward"),
    ("kernels/als.py", "from duckmf import errors", "duckmf.errors, upward"),
    ("ratings/matrix.py", "from duckmf.arrow import flat", "duckmf.arrow, and ratings knows arrays alone"),
    ("kernels/als.py", "import pyarrow as pa", "pyarrow, which kernels does without"),
    ("options.py", "def f():\n    import numpy.linalg", "numpy.linalg, which options does without"),
    ("options.py", "from numpy.linalg import solve", "numpy.linalg, which options does without"),
    ("errors.py", "import_module('numba' if x else 'tqdm.auto')", "numba, which errors does without"),
    ("algorithms/als.py", "from duckmf.utils import helper", "duckmf.utils, which is of no layer"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "expected"), PLANTED)
def test_a_planted_violation_is_found(tmp_path, file, text, expected):
    package = shutil.copytree(PACKAGE, tmp_path / "duckmf", ignore=shutil.ignore_patterns("*.nb*"))
    (package / "utils.py").touch() if "utils" in text else None
    lines = len((package / file).read_text().splitlines())
    with (package / file).open("a") as code:
        code.write(f"{text}\n")
    line = lines + len(text.splitlines())
    assert f"{file}:{line} imports {expected}" in list(violations(package, package / file))


def test_a_new_file_needs_a_layer(tmp_path):
    (tmp_path / "helpers.py").touch()
    assert list(violations(tmp_path, tmp_path / "helpers.py")) == ["helpers.py is of no layer"]


def test_few_modules_are_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_TOP


def test_every_folder_says_in_one_sentence_what_belongs_there():
    folders = sorted(path.parent for path in PACKAGE.glob("*/*.py"))
    for folder in dict.fromkeys(folders):
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        sentence = " ".join(text.split("\n\n")[0].split())
        assert sentence.endswith("."), folder.name
        assert ". " not in sentence, folder.name


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        (PACKAGE, "*.py"),
        (TESTS, "*.py"),
        (SQL, "*.sql"),
    ],
)
def test_files_are_short(folder, kind):
    files = list(folder.rglob(kind))
    assert len(files) > 20
    limits = {PACKAGE / "kernels": LONGEST_KERNELS}
    long = {
        str(file.relative_to(ROOT)): lines
        for file in files
        if (lines := len(file.read_text().splitlines())) > limits.get(file.parent, LONGEST)
    }
    assert long == {}


def test_the_tests_are_in_the_folders_of_the_package():
    folders = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    assert folders - {"oracles", "reliability", "sql"} <= {
        path.name for path in PACKAGE.iterdir() if path.is_dir()
    }


def test_every_folder_says_what_belongs_there():
    for path in PACKAGE.rglob("__init__.py"):
        text = ast.get_docstring(ast.parse(path.read_text()))
        assert text, f"{path.parent.name} does not say what belongs there"


def test_the_name_of_a_class_means_one_thing():
    names = Counter(
        node.name.lstrip("_")
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 100
    assert [name for name, count in names.items() if count > 1] == []


def test_nothing_is_swallowed():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"bare except at {path}:{node.lineno}"
                silent = all(isinstance(part, ast.Pass) for part in node.body)
                assert not silent, f"an error is swallowed at {path}:{node.lineno}"


def privates(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of what a test reaches for inside of what it tests."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=value, attr=name):
                own = isinstance(value, ast.Name) and value.id in ("self", "cls")
                names = [] if own else [name]
            case ast.ImportFrom(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.Call(func=ast.Name(id="getattr") | ast.Attribute(attr="setattr"), args=args):
                texts = (text for arg in args for text in ast.walk(arg))
                names = [t.value for t in texts if isinstance(t, ast.Constant)]
            case _:
                continue
        for name in names:
            last = str(name).rpartition(".")[2]
            if last.startswith("_") and not last.endswith("__") and last not in OF_NAMED_TUPLES:
                yield node.lineno, str(name)


OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}


def test_no_test_reaches_into_private_attributes():
    found = [
        f"{path.relative_to(TESTS)}:{line} {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, name in privates(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "x._registered[-1]",
        "from duckmf.serve import _wheel",
        "getattr(x, f'_{name}')",
        "monkeypatch.setattr(x, '_wheel', None)",
        "monkeypatch.setattr('duckmf.serve._wheel', None)",
    ],
)
def test_a_reach_into_private_attributes_is_found(text):
    assert list(privates(ast.parse(text)))


def early_returns(function: ast.AST) -> Iterator[int]:
    """The lines where a test may end without having tested."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Return):
            yield node.lineno
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield from early_returns(node)


def test_no_test_returns_before_it_has_tested():
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert not list(early_returns(node)), f"{path.name}: {node.name} returns early"


def test_an_early_return_is_found():
    early, inner = ast.parse(
        "def test_it(x):\n    if x:\n        return\n    assert x\n"
        "def test_other():\n    def f(): return 1\n    assert f()"
    ).body
    assert list(early_returns(early)) == [3]
    assert list(early_returns(inner)) == []
