"""What the models cost: fits a second, and the whole of notebooks 3 and 4 against importing the libraries.

Run by `make bench`. Nothing here is asserted: machines differ and are noisy, so times are medians and
the last column is a ratio measured in the same run.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from rich.console import Console
from rich.table import Table

from anime_growth import backtest, clean, describe, paths, projections, series, specifications, targets, trends

ROUNDS = 5


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median time of `work`, each time with no fit remembered."""
    taken = []
    for _ in range(rounds):
        trends._fit.cache_clear()
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def import_seconds() -> float:
    """Time a fresh process takes to import what the notebooks import."""
    code = "from anime_growth import backtest, figures, specifications, targets, trends"
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def copy_of_study(folder: Path) -> None:
    """What notebooks 3 and 4 read, copied to where their outputs may be overwritten."""
    for name in ("data/raw", "data/processed/published", "notebooks"):
        shutil.copytree(paths.home() / name, folder / name)
    os.environ[paths.HOME_VARIABLE] = str(folder)


def notebook_seconds(name: str) -> float:
    """Time of a notebook's code cells in this process, displays included, after imports."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell()
    cells = nbformat.read(paths.notebooks() / f"{name}.ipynb", as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    trends._fit.cache_clear()
    begun = time.perf_counter()
    with capture_output() as captured:
        for source in sources:
            shell.run_cell(source).raise_error()
    taken = time.perf_counter() - begun
    assert f"{name}: " in captured.stdout
    return taken


def main() -> None:
    tables = clean.clean_all()
    market = clean.market(tables, clean.choose_edition(tables["market_editions"], "latest"))
    known = describe.describe({**tables, "market": market})
    subjects = series.in_every_basis(known, "market.overseas", 2002)
    levels = {basis: subject.levels for basis, subject in subjects.items()}
    yen, declared = subjects["yen"], specifications.read()
    vintages = clean.vintages(tables["market_editions"])
    imports = statistics.median(import_seconds() for _ in range(ROUNDS))
    console = Console()

    fits = Table("model", "ms a fit", "fits a second", title=f"{len(yen.levels)} yearly figures")
    for model in trends.MODELS:
        each = seconds(lambda model=model: [trends.fit(model, yen.levels * (1 + n)) for n in range(20)]) / 20
        fits.add_row(model, f"{each * 1000:.1f}", f"{1 / each:,.0f}")
    console.print(fits)

    def chances() -> object:
        yen_fits, usd_fits = (trends.fit_all(levels[basis])[0] for basis in ("yen", "usd"))
        projections.project(yen_fits, yen, 2033)
        return targets.chances(yen_fits, usd_fits, known)

    parts: dict[str, Callable[[], object]] = {
        "all models, once": lambda: trends.fit_all(yen.levels),
        "checks and influence": lambda: trends.trend_table(*trends.fit_all(yen.levels), yen),
        "backtests": lambda: backtest.scores(backtest.all_forecasts(yen.levels)),
        "specification grid": lambda: specifications.fitted(declared, levels, tables["breaks"], yen.name, vintages),
        "projections and chances": chances,
    }
    whole = Table("part", "seconds", "times importing", title=f"Importing the libraries takes {imports:.2f} s")
    for words, work in parts.items():
        taken = seconds(work, 3)
        whole.add_row(words, f"{taken:.2f}", f"{taken / imports:.2f}")
    with tempfile.TemporaryDirectory() as folder:
        copy_of_study(Path(folder))
        for name in ("03_fit_trends", "04_project_targets"):
            taken = statistics.median(notebook_seconds(name) for _ in range(3))
            whole.add_row(f"{name}, with figures", f"{taken:.2f}", f"{taken / imports:.2f}")
    console.print(whole)


if __name__ == "__main__":
    main()
