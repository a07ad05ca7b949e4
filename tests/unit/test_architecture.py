"""The three rules of the house: one direction, raw tables in one notebook, nothing writes under raw."""

import ast
import json
from pathlib import Path

import pytest

from anime_growth import paths

# Figures flow from left to right; a module may import only what stands before it.
ORDER = [
    *("errors", "paths", "words", "units", "cells", "sources", "expressions", "clean", "checks"),
    *(
        "arithmetic",
        "quantities",
        "trace",
        "describe",
        "series",
        "trends",
        "backtest",
        "specifications",
        "projections",
        "ledger",
        "targets",
    ),
    *("figures", "claims", "narrative", "report"),
    *("parameters", "pipeline", "runs", "cli"),
]
SOURCE = Path(paths.__file__).parent


def imported(module: Path) -> set[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anime_growth"):
            inside = node.module.removeprefix("anime_growth").lstrip(".")
            names |= {inside} if inside else {alias.name for alias in node.names}
    return names - {"__version__"}


def test_every_module_has_its_place_in_the_order():
    assert {path.stem for path in SOURCE.glob("*.py")} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_never_run_back(name):
    earlier = set(ORDER[: ORDER.index(name)])
    assert imported(SOURCE / f"{name}.py") <= earlier


def test_no_module_but_sources_opens_raw_files():
    """`paths.raw` is asked for by the reader, by messages, for the rules, and to keep runs out of it."""
    users = {path.stem for path in SOURCE.glob("*.py") if "paths.raw()" in path.read_text(encoding="utf-8")}
    assert users == {"sources", "clean", "trace", "claims", "pipeline"}


def code_of(notebook: str) -> str:
    cells = json.loads((paths.notebooks() / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("notebook", sorted(path.stem for path in paths.notebooks().glob("*.ipynb")))
def test_only_the_first_notebook_reads_raw_tables(notebook):
    used = {name for name in ("clean.clean_all", "sources.") if name in code_of(notebook)}
    assert used == ({"clean.clean_all"} if notebook == "01_clean_figures" else set())


def test_no_module_writes_a_power_of_ten_that_units_should_know():
    for path in SOURCE.glob("*.py"):
        if path.stem in ("units", "figures"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant):
                powers = (1000, 10_000, 1e8, 1e9, 1e12)
                assert node.right.value not in powers, f"{path.name}:{node.lineno}"
