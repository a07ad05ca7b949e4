"""Sweeps as their users start them: killed and begun again, on a real Dask cluster, and of whole runs."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pyarrow as pa
import pytest
from pyarrow import parquet

from anime_growth import paths, records, sweep
from anime_growth.grid import Depth
from tests.end_to_end.conftest import TOP, blocks, shell
from tests.end_to_end.light_chain import lighten

# One after the other: each keeps both processors busy.
pytestmark = pytest.mark.xdist_group("sweep")

GRID = "basis: [yen, usd]\nstart_year: {from: 2003, to: 2008}\nhorizon_year: {from: 2026, to: 2035}\n"
ITEMS = 2 * 6 * 10 * 7
SECONDS = 180


@pytest.fixture
def grid_file(tmp_path):
    file = tmp_path / "some.yml"
    file.write_text(GRID)
    return file


def rows_in(folder):
    tables = [parquet.read_table(path) for path in folder.glob("part-*.parquet")]
    return pa.concat_tables(tables).sort_by("item").to_pylist()


def wait_for(what, process=None):
    deadline = time.monotonic() + SECONDS
    while not what():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def parts(folder):
    return len(list(folder.glob("results/part-*.parquet")))


def test_a_sweep_that_is_killed_goes_on_without_repeating_or_losing_an_item(grid_file, tmp_path):
    folder = tmp_path / "swept"
    command = [sys.executable, "-m", "anime_growth.cli", "sweep", grid_file, "--out", folder, "--jobs", "2"]
    killed = subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: parts(folder) >= 3, killed)
    started = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert psutil.wait_procs(started, timeout=10)[1] == [], "its workers end with it"
    before = {path: path.read_bytes() for path in folder.glob("results/part-*.parquet")}
    assert 3 <= len(before) < 32
    results, told = sweep.run(grid_file, out=folder, jobs=2)
    rows = rows_in(results)
    assert [row["item"] for row in rows] == list(range(ITEMS)) and not any(row["error"] for row in rows)
    assert {path: path.read_bytes() for path in before} == before
    assert told.before == sum(parquet.read_metadata(path).num_rows for path in before) and told.done == ITEMS
    assert not list(results.glob(".*"))


def test_a_sweep_that_is_stopped_while_its_workers_begin_says_so_in_one_line(grid_file, tmp_path):
    command = [sys.executable, "-m", "anime_growth.cli", "sweep", grid_file, "--out", tmp_path / "swept", "--jobs", "2"]
    stopped = subprocess.Popen(command, cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # Workers are forked from a server, which loads the libraries first.
    wait_for(lambda: any("forkserver" in " ".join(one) for one in command_lines_below(stopped.pid)), stopped)
    stopped.terminate()
    said = stopped.communicate(timeout=SECONDS)[1]  # of all that it started, too
    assert stopped.returncode == 1
    assert said.splitlines()[-1].startswith("anime-growth: stopped from outside at 0 of 840.")
    assert "Traceback" not in said


def command_lines_below(pid):
    found = []
    for one in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found.append(one.cmdline())
    return found


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and two worker processes on this machine: its address, and the workers."""
    file, started = tmp_path / "scheduler.json", []

    def start(kind, *words):
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", file, "--no-dashboard"]
        log = (tmp_path / f"{kind}-{len(started)}.log").open("w")
        with log:
            started.append(subprocess.Popen([*command, *words], cwd=TOP, stdout=log, stderr=log))
        return started[-1]

    start("scheduler", "--host", "127.0.0.1", "--port", "0")
    wait_for(lambda: file.exists() and file.stat().st_size)
    workers = [start("worker", "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path)) for _ in range(2)]
    yield json.loads(file.read_text())["address"], workers
    for process in started:
        process.kill()
        process.wait()


def test_a_cluster_does_the_same_work_and_the_loss_of_a_worker_loses_nothing(grid_file, tmp_path, cluster):
    address, workers = cluster
    folder = tmp_path / "swept"

    def lose_one(told):
        if told.done and workers[0].poll() is None:
            assert told.done < told.total / 2
            workers[0].kill()

    results, told = sweep.run(grid_file, out=folder, scheduler=address, tell=lose_one)
    assert workers[0].wait() == -signal.SIGKILL and workers[1].poll() is None
    rows = rows_in(results)
    assert [row["item"] for row in rows] == list(range(ITEMS)) and told.done == ITEMS
    assert not any(row["error"] for row in rows)
    small = tmp_path / "small.yml"
    small.write_text("basis: usd\nstart_year: 2004\nhorizon_year: 2030\n")
    here = rows_in(sweep.run(small, out=tmp_path / "here", jobs=1)[0])
    there = [row for row in rows if (row["basis"], row["start_year"], row["horizon_year"]) == ("usd", 2004, 2030)]
    assert [{**row, "item": 0} for row in there] == [{**row, "item": 0} for row in here]


@pytest.mark.parametrize("where", ["here", "on a cluster"])
def test_a_sweep_of_notebooks_keeps_each_run_and_records_one_that_fails(
    where, copy_of_study, tmp_path, monkeypatch, request
):
    lighten(copy_of_study)
    monkeypatch.setenv(paths.HOME_VARIABLE, str(copy_of_study))
    how = {"jobs": 2} if where == "here" else {"scheduler": request.getfixturevalue("cluster")[0]}
    publishing = copy_of_study / "data/processed/publishing/home"
    publishing.mkdir(parents=True)
    file = tmp_path / "starts.yml"
    file.write_text("start_year: [2012, 2090]\nhorizon_year: 2030\n")
    results, told = sweep.run(file, Depth.notebooks, **how)
    assert results == copy_of_study / "data/processed/sweeps/starts/results"
    whole, failed = rows_in(results)
    assert (told.done, told.failed) == (2, 1)
    assert (whole["start_year"], whole["horizon_year"], whole["model"], whole["error"]) == (2012, 2030, "drift", None)
    run = results.parent / "runs/00000000" / whole["run_id"]
    assert records.read(run)["parameters"]["start_year"] == 2012 and whole["seconds"] > 0
    assert len(list(run.glob("notebooks/*.ipynb"))) == 6
    levels = {year: row for year, row in _overseas(run)}
    growth = ((levels[2024] / levels[2012]) ** (1 / 12) - 1) * 100
    assert whole["growth_pct_a_year"] == pytest.approx(growth)
    assert whole["p50"] == pytest.approx(levels[2024] * (1 + growth / 100) ** 6) and whole["unit"] == "100m JPY"
    assert failed["start_year"] == 2090 and failed["growth_pct_a_year"] is None
    assert re.search(
        r"03_fit_trends, cell \d: .*Read data/processed/sweeps/starts/runs/00000001/failed-", failed["error"]
    )
    assert not paths.runs().exists(), "the study's own runs are not touched"
    assert publishing.exists(), "nor what another process is just publishing"


def _overseas(run):
    known = json.loads((run / "quantities.json").read_text())
    for key, entry in known.items():
        if match := re.fullmatch(r"market\.overseas\.level\.(\d{4})", key):
            yield int(match[1]), entry["value"]


def test_the_sweep_of_the_readme_runs_as_shown(copy_of_study, tmp_path):
    text = (TOP / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (copy_of_study / "grid.yml").write_text(shown)
    command = next(block for block in blocks("README.md") if " sweep " in block)
    done = shell(command, cwd=copy_of_study, ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 0, done.stderr
    read = re.search(r"```python\n(import pandas.*?)```", text, re.DOTALL)[1]
    table = subprocess.run(
        [sys.executable, "-c", f"{read}\nprint(len(results), results['error'].isna().sum())"],
        cwd=copy_of_study, capture_output=True, text=True, env={**os.environ},
    )  # fmt: skip
    assert table.returncode == 0, table.stderr
    count, fine = map(int, table.stdout.split()[-2:])
    assert count == fine > 100 and f"{count:,} of {count:,}" in done.stdout
