"""How cost grows: with the number of series, the rows of a raw table, and the items and processes of a sweep.

Run by `make bench`; `--quick` takes the smallest sizes only. Nothing here is asserted: machines differ
and are noisy, so what counts are the ratios, all measured in one run, and what one process does is told in
its own processor time. The study aims at cost linear in series and rows (an exponent of 1, or less where a
fixed cost is shared), two processes at least 1.8 times as fast as one, and a specification at least 100
times cheaper than a run of the notebooks.
"""

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from anime_growth import clean, depths, grid, paths, sources, sweep

SEED = 20261122
# Made-up series are as long as that of the study: a random walk of logs with the drift and spread of its kind.
YEARS = range(2002, 2025)
DRIFT, SPREAD = 0.08, 0.12
# So many walks are drawn, and come again from other first levels: ten are as hard to fit as a thousand.
WALKS = 10
# Two models in closed form, and one that is searched for numerically.
MODELS = ("drift", "loglinear", "local_linear")
SERIES_COUNTS = (1, 10, 100, 1000)
ROW_COUNTS = (100, 1000, 10_000, 100_000, 1_000_000)
# A slope is fitted from here on; below, what every study costs hides it.
SLOPE_FROM = {"series": 10, "rows": 10_000}
CHUNK = 500  # items that a worker of a sweep is given at a time, at most
HORIZONS = "horizon_year: {from: 2025, to: 2060}"
# Grids of 2,016 and 19,656 items; one item in 36 has to fit, the others share its forecast.
SMALL = f"start_year: {{from: 2002, to: 2009}}\n{HORIZONS}\n"
LARGE = (
    "series: [market.overseas, market.total]\nbasis: [yen, usd, real]\n"
    f"start_year: {{from: 2002, to: 2014}}\n{HORIZONS}\n"
)
# 1,638 items, two to a fit: what an item costs where hardly anything is shared.
SPARSE = (
    "series: [market.overseas, market.total, market.domestic]\nbasis: [yen, usd, real]\n"
    "start_year: {from: 2002, to: 2014}\nhorizon_year: [2030, 2033]\n"
)
TINY = "start_year: {from: 2002, to: 2009}\nmodel: [drift, loglinear]\nhorizon_year: 2030\n"
TURNS = (1, 2, 1, 2)
# Of a sweep, the part in which every process is at work.
STEADY = (0.1, 0.9)
LOOK_SECONDS = 0.02
Row = dict[str, Any]


# --- made-up studies --------------------------------------------------------------------------------
@contextmanager
def study(rows: int) -> Iterator[Path]:
    """A copy of the raw data with so many rows of made-up annual series, taken for the real study meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        shutil.copytree(paths.raw(), top / "data" / "raw")
        shutil.copyfile(paths.home() / "uv.lock", top / "uv.lock")
        before = os.environ.get(paths.HOME_VARIABLE)
        os.environ[paths.HOME_VARIABLE] = name
        try:
            write_series(top / "data" / "raw" / "made_up" / "2026", rows)
            yield top
        finally:
            del os.environ[paths.HOME_VARIABLE]
            if before is not None:
                os.environ[paths.HOME_VARIABLE] = before


def write_series(folder: Path, rows: int) -> None:
    """Made-up levels as a raw table with its package, as CONTRIBUTING shows for a series of one's own."""
    folder.mkdir(parents=True)
    template = json.loads(sources.OWN_TEMPLATE.read_text(encoding="utf-8"))["resources"][0]["schema"]["fields"]
    count = -(-rows // len(YEARS))
    walks = np.random.default_rng(SEED).normal(DRIFT, SPREAD, (WALKS, len(YEARS))).cumsum(axis=1)
    number = np.arange(count)
    levels = ((1000 + number)[:, None] * np.exp(walks[number % WALKS])).round(3).ravel()[:rows]
    with (folder / f"{sources.OWN_SERIES}.csv").open("w", encoding="utf-8", newline="") as file:
        write = csv.writer(file, lineterminator="\n")
        write.writerow([field["name"] for field in template])
        for at, level in enumerate(levels):
            series, year = divmod(at, len(YEARS))
            row = (made_up(series), YEARS[year], "2026", level, "100 million JPY", 0, "", "high", "S001", "")
            write.writerow(row)
    package = {**sources.describe(folder), "accessed": "2026-11-22"}
    (folder / sources.PACKAGE).write_text(json.dumps(package), encoding="utf-8")


def made_up(number: int) -> str:
    """Name of a made-up series."""
    return f"made_up.s{number:05}"


# --- what is measured -------------------------------------------------------------------------------
def series_row(count: int) -> Row:
    """Many series in one process: the raw table to levels, then what a sweep's worker does with each of them."""
    with study(count * len(YEARS)) as top:
        begun = time.process_time()
        edition = clean.choose_edition(depths._tables(top)["market_editions"], "latest")
        depths._known(top, edition)
        known = time.process_time()
        names = tuple(made_up(number) for number in range(count))
        asked = grid.Grid(grid.Depth.model, {"series": names, "model": MODELS}, edition)
        work, print_ = depths.WORK[asked.depth], sweep.fingerprint(top)
        failed = 0
        for first in range(0, len(asked), CHUNK):
            items = range(first, min(first + CHUNK, len(asked)))
            failed += len(items) - sweep.worked_out(sweep.Task(asked, top, print_, work, items))["error"].null_count
        done = time.process_time()
    return {
        "series": count,
        "raw table to levels, s": known - begun,
        "fits and forecasts, s": done - known,
        "ms a series": (done - begun) / count * 1000,
        "of it fits": (done - known) / count * 1000,
        "fits refused": failed,
    }


def rows_row(count: int) -> Row:
    """One raw table of so many rows, in a process of its own so that its peak of memory is its own."""
    done = subprocess.run([sys.executable, __file__, "--read", str(count)], capture_output=True, text=True, check=True)
    found: Row = json.loads(done.stdout)
    return found


def read_table(count: int) -> Row:
    """Read a raw table, held to its package, clean it, find its sources, and join it to the levels to choose from."""
    own = clean.clean_all()
    known = set(own["sources"]["source_id"])
    with study(count):
        before = peak_mb()
        begun = time.process_time()
        raw = sources.read(sources.OWN_SERIES)
        read = time.process_time()
        tidy = clean.clean_annual_series(raw)
        clean.refuse_unknown_sources(raw, known)
        levels = clean.level_series({**own, sources.OWN_SERIES: tidy})
        done = time.process_time()
    assert len(levels) == len(own["series_levels"]) + count
    return {
        "rows": count,
        "read and validate, s": read - begun,
        "clean and join, s": done - read,
        "µs a row": (done - begun) / count * 1e6,
        "peak, MB": peak_mb(),
        "of it the table": peak_mb() - before,
    }


def peak_mb() -> float:
    """The most memory that this process has had; Linux counts in getrusage what its parent had, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def steady(folder: Path, words: str, jobs: int) -> tuple[float, float]:
    """Items a second of a sweep while every process is at work, and processor time of all of them an item [ms]."""
    file = folder / "grid.yml"
    file.write_text(words, encoding="utf-8")
    seen: list[tuple[float, float, int]] = []
    at_work: list[psutil.Process] = []

    def tell(told: sweep.Progress) -> None:
        low, high = (share * told.total for share in STEADY)
        if low <= told.done <= high and (not seen or seen[-1][2] < told.done):
            if not at_work:  # once: to look through all processes would take a processor from those at work
                at_work.extend((psutil.Process(), *psutil.Process().children(recursive=True)))
            seen.append((time.perf_counter(), processor_seconds(at_work), told.done))

    sweep.run(file, out=folder / "swept", jobs=jobs, again=True, tell=tell)
    wall, processor, items = np.subtract(seen[-1], seen[0])
    return items / wall, 1000 * processor / items


def processor_seconds(processes: Sequence[psutil.Process]) -> float:
    """Processor time that these have had."""
    return sum(one.user + one.system for one in (process.cpu_times() for process in processes))


def rate_rows(words: Sequence[tuple[str, str]], turns: Sequence[int], run_seconds: float | None) -> Iterator[Row]:
    """Rates with one process and with two in turns, and what a run of the notebooks is to an item."""
    for name, asked in words:
        found: dict[int, list[tuple[float, float]]] = {}
        for jobs in turns:
            with tempfile.TemporaryDirectory() as folder:
                found.setdefault(jobs, []).append(steady(Path(folder), asked, jobs))
        (one, one_ms), (two, two_ms) = (np.median(found[jobs], axis=0).tolist() for jobs in (1, 2))
        row: Row = {
            "grid": name, "items a second, 1 process": one, "2 processes": two, "2 over 1": two / one,
            "processor time an item, 2 over 1": two_ms / one_ms, "ms an item, 1 process": 1000 / one,
        }  # fmt: skip
        if run_seconds is not None:
            row |= {"seconds of a run": run_seconds, "run over item": run_seconds * one}
        yield row


def run_seconds() -> float:
    """Time of a run of the six notebooks with defaults, start to end, kept apart from those of this clone."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "anime_growth.cli", "run", "--again"]
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, paths.RUNS_VARIABLE: folder})
        return time.perf_counter() - begun


def memory_row(words: str) -> Row:
    """The most memory that a sweep's own process has, and the largest of its workers, as seen from outside."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "grid.yml"
        file.write_text(words, encoding="utf-8")
        asked = grid.read(file, grid.Depth.model)
        command = [sys.executable, "-m", "anime_growth.cli", "sweep", str(file), "--jobs", "2"]
        main, worker = 0, 0
        with psutil.Popen(
            [*command, "--out", f"{folder}/swept"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as at_work:
            while at_work.poll() is None:
                main = max(main, resident(at_work))
                worker = max(worker, *(resident(one) for one in descendants(at_work)), 0)
                time.sleep(LOOK_SECONDS)
        assert at_work.returncode == 0
    return {"items": len(asked), "main process, MB": main / 2**20, "largest worker, MB": worker / 2**20}


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """What a process has started and what these have; none where it is gone."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def resident(process: psutil.Process) -> int:
    """Memory of a process [bytes]; none where it is gone."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


# --- tables -----------------------------------------------------------------------------------------
def with_ratio(rows: list[Row], each: str, title: str) -> list[Row]:
    """Rows with what `each` is to that of the largest size: near 1 where cost is linear."""
    return [{**row, title: row[each] / rows[-1][each]} for row in rows]


def exponent(rows: list[Row], size: str, each: str) -> float | None:
    """Power of the size with which cost grows, fitted on log scales; `each` is cost over size."""
    kept = [row for row in rows if row[size] >= SLOPE_FROM[size]]
    if len(kept) < 2:
        return None
    slope, _ = np.polyfit(np.log([row[size] for row in kept]), np.log([row[each] * row[size] for row in kept]), 1)
    return float(slope)


def tables(quick: bool = False, seconds_of_a_run: float | None = None) -> dict[str, list[Row]]:
    """Everything measured as plain data: rows by the title of their table."""
    found: dict[str, list[Row]] = {}
    counts = [series_row(count) for count in (SERIES_COUNTS[:2] if quick else SERIES_COUNTS)]
    title = f"Series, each read, then fitted and forecast by {', '.join(MODELS)}, in one process"
    found[title + grows(("all", exponent(counts, "series", "ms a series")),
                        ("fits", exponent(counts, "series", "of it fits")))] = with_ratio(
        counts, "of it fits", "fits, times that of the last")  # fmt: skip
    sizes = [rows_row(count) for count in (ROW_COUNTS[:1] if quick else ROW_COUNTS)]
    title = "Rows of a raw table, read, validated, cleaned and joined"
    found[title + grows(("all", exponent(sizes, "rows", "µs a row")))] = with_ratio(
        sizes, "µs a row", "times that of the last"
    )
    if quick:
        found["Sweep at depth model"] = list(rate_rows([("tiny", TINY)], (1, 2), seconds_of_a_run))
        found["Memory of a sweep with two processes"] = [memory_row(TINY)]
        return found
    seconds_of_a_run = seconds_of_a_run or run_seconds()
    grids = [("36 horizons to a fit", LARGE), ("2 horizons to a fit", SPARSE)]
    found["Sweep at depth model, steady rate"] = list(rate_rows(grids, TURNS, seconds_of_a_run))
    found["Memory of a sweep with two processes"] = [memory_row(words) for words in (SMALL, LARGE)]
    return found


def grows(*powers: tuple[str, float | None]) -> str:
    """Exponents in words, for a title; nothing where the sizes are too few."""
    told = [f"{name} {power:.2f}" for name, power in powers if power is not None]
    return f" (exponent: {', '.join(told)})" if told else ""


def shown(value: object) -> str:
    """A cell: whole numbers with thousands separated, others to three digits."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown(title: str, rows: list[Row]) -> str:
    """A table with its title."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([shown(value) for value in row.values()] for row in rows)]
    return "\n".join([f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--quick", action="store_true", help="the smallest sizes only, to see that it works")
    asked.add_argument("--run-seconds", type=float, help="what a run of the notebooks takes; measured where not given")
    asked.add_argument("--read", type=int, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.read:
        print(json.dumps(read_table(given.read)))
        return
    for title, rows in tables(given.quick, given.run_seconds).items():
        print(markdown(title, rows), end="\n\n")


if __name__ == "__main__":
    main()
