"""The three rules of the house: one direction, raw tables in one notebook, nothing writes under raw."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest

from anime_growth import paths

# Figures flow from left to right; a module may import only what stands before it. A package is one name here.
ORDER = [
    *(
        "errors",
        "paths",
        "steps",
        "languages",
        "words",
        "units",
        "retelling",
        "cells",
        "sources",
        "expressions",
        "clean",
        "checks",
    ),
    *(
        "arithmetic",
        "quantities",
        "trace",
        "codebook",
        "data_package",
        "describe",
        "series",
        "trends",
        "backtest",
        "specifications",
        "projections",
        "ledger",
        "targets",
    ),
    *("figures", "api", "rules", "links", "claims", "doubts", "narrative", "report"),
    *("parameters", "pipeline", "disk", "records", "paper", "crate", "pages"),
    *("locks", "processes", "engine", "execution", "reuse", "runs"),
    "housekeeping",
    *("compare", "digest", "offline", "scratch", "verify", "attribution", "canary", "publish"),
    *("grid", "depths", "sweep", "completion", "progress", "cli"),
]
# Inside a package the other modules share this one, and know nothing of one another.
SHARED = {"figures": "drawing"}
SOURCE = Path(paths.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))


def parts(file: Path) -> tuple[str, ...]:
    """Where a file stands in the package: ("units",) or ("figures", "drawing")."""
    return tuple(part for part in file.relative_to(SOURCE).with_suffix("").parts if part != "__init__")


def imported(file: Path) -> set[tuple[str, ...]]:
    """Modules of this package that a file imports, in whatever way it says so."""
    package = ".".join((SOURCE.name, *file.relative_to(SOURCE).parent.parts))
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return {parts(file) for file in FILES if ".".join((SOURCE.name, *parts(file))) in names} - {()}


def test_every_module_has_its_place_in_the_order():
    assert {parts(file)[0] for file in FILES if parts(file)} == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_never_run_back(name):
    earlier = set(ORDER[: ORDER.index(name)])
    files = [file for file in FILES if parts(file)[:1] == (name,)]
    assert files
    for file in files:
        assert {first for first, *_ in imported(file)} - {name} <= earlier, file.name


def test_inside_a_package_modules_import_only_what_they_share():
    inside = {file: parts(file) for file in FILES if len(parts(file)) > 1}
    assert {package for package, *_ in inside.values()} == set(SHARED)
    for file, (package, *module) in inside.items():
        own = {other for other in imported(file) if other[0] == package}
        assert own <= (set() if module == [SHARED[package]] else {(package, SHARED[package])}), file.name


@pytest.mark.parametrize("name", SHARED)
def test_a_package_itself_only_hands_on_names(name):
    body = ast.parse((SOURCE / name / "__init__.py").read_text(encoding="utf-8")).body
    assert {type(node) for node in body} == {ast.Expr, ast.ImportFrom, ast.Assign}
    assert [node.targets[0].id for node in body if isinstance(node, ast.Assign)] == ["__all__"]


def test_no_module_but_sources_opens_raw_files():
    """`paths.raw` is asked for by the reader, by messages, for the rules, to keep results out of it, to copy it, and
    to name its folders to a shell.
    """
    users = {parts(file)[0] for file in FILES if "paths.raw()" in file.read_text(encoding="utf-8")}
    assert users == {"sources", "clean", "trace", "rules", "pipeline", "canary", "sweep", "completion"}


def code_of(notebook: str) -> str:
    cells = json.loads((paths.notebooks() / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("notebook", sorted(path.stem for path in paths.notebooks().glob("*.ipynb")))
def test_only_the_first_notebook_reads_raw_tables(notebook):
    used = {name for name in ("clean.clean_all", "sources.") if name in code_of(notebook)}
    assert used == ({"clean.clean_all"} if notebook == "01_clean_figures" else set())


def test_no_module_writes_a_power_of_ten_that_units_should_know():
    for path in FILES:
        if parts(path) == ("units",):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant):
                powers = (1000, 10_000, 1e8, 1e9, 1e12)
                assert node.right.value not in powers, f"{path.name}:{node.lineno}"
