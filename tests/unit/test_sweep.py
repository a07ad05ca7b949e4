"""Sweeps with workers that do next to nothing: that each item is there once, whatever happens to its worker."""

import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from pyarrow import parquet

from anime_growth import depths, locks, paths, processes, projections, sweep
from anime_growth.errors import InputError, Locked, StepFailed
from anime_growth.grid import Depth

# The server that forks workers is started once for the tests that go to the same process.
pytestmark = pytest.mark.xdist_group("sweep")

TWELVE = "start_year: [2002, 2004, 2006]\nbasis: [yen, usd]\nmodel: [drift, loglinear]\n"


def light(item):
    """The numbers of an item that a hand can check."""
    return [{"growth_pct_a_year": float(item.parameters["start_year"]), "unit": "100m JPY"}]


def fails_in_2004(item):
    if item.parameters["start_year"] == 2004:
        raise ValueError("no luck\nin 2004")
    return light(item)


def kills_in_2004(item):
    """Takes its worker with it, for one item in six."""
    if (item.parameters["start_year"], item.parameters["basis"]) == (2004, "usd"):
        os.kill(os.getpid(), signal.SIGKILL)
    return light(item)


def kills_always(item):
    os._exit(1)


def killed_once(item):
    """The first worker that comes to an item dies, through no fault of the item."""
    marker = Path(os.environ["ANIME_GROWTH_TEST_MARKER"])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return light(item)


def counted(item):
    """Leaves a line for each time that it is called."""
    with open(os.environ["ANIME_GROWTH_TEST_MARKER"], "a") as file:
        file.write(f"{item.parameters['start_year']} {item.parameters['basis']} {item.parameters['model']}\n")
    return light(item)


def wordy(item):
    return [{"finding": "ten thousand letters" * 500}]


def told_of_the_worker(item):
    hidden = 99
    for _ in range(20):  # one of Python's own that is about to begin or end is counted on one side only
        hidden = min(hidden, psutil.Process().num_threads() - threading.active_count())
        time.sleep(0.01)
    return [{"finding": f"{paths.home()}, {hidden} threads beside Python's own"}]


@pytest.fixture
def swept(tmp_path, study):
    """Sweep a grid in a copy of the study; the rows in the order of their items, and how it went."""

    def of(text=TWELVE, work=light, jobs=2, **more):
        file = tmp_path / "some.yml"
        file.write_text(text)
        folder, told = sweep.run(file, jobs=jobs, work=work, **more)
        return rows_in(folder), told

    return of


def rows_in(folder):
    tables = [parquet.read_table(path) for path in folder.glob("part-*.parquet")]
    return pa.concat_tables(tables).sort_by("item").to_pylist()


def results(study):
    return study / "data/processed/sweeps/some/results"


def test_every_combination_is_there_once_with_its_parameters_and_numbers(swept, study):
    rows, told = swept()
    assert [row["item"] for row in rows] == list(range(12))
    assert {(row["start_year"], row["basis"], row["model"]) for row in rows} == {
        *product((2002, 2004, 2006), ("yen", "usd"), ("drift", "loglinear"))
    }
    assert all(row["growth_pct_a_year"] == row["start_year"] and row["error"] is None for row in rows)
    assert (told.total, told.done, told.failed) == (12, 12, 0)
    assert sorted(path.name for path in results(study).parent.iterdir()) == ["results", "sweep.json"]


def test_an_item_that_fails_is_recorded_with_its_error_and_stops_nothing(swept):
    rows, told = swept(work=fails_in_2004)
    failed = [row for row in rows if row["error"]]
    assert {row["start_year"] for row in failed} == {2004} and len(failed) == told.failed == 4
    assert {row["error"] for row in failed} == {"ValueError: no luck in 2004"}
    assert told.done == 12 and all(row["growth_pct_a_year"] is None for row in failed)


def test_parameters_that_cannot_go_together_are_recorded_in_plain_words(swept):
    rows, _ = swept("start_year: [2002, 2022]\nmodel: drift", work=None)
    assert rows[0]["growth_pct_a_year"] == pytest.approx(8.34, abs=0.01) and rows[0]["error"] is None
    assert rows[1]["error"].startswith("parameter start_year: 2022 leaves 3 of 23 years")


def test_an_item_that_kills_its_worker_is_recorded_and_the_others_are_done(swept):
    rows, told = swept(work=kills_in_2004)
    assert [row["item"] for row in rows] == list(range(12))
    dead = [row for row in rows if row["error"]]
    assert {(row["start_year"], row["basis"]) for row in dead} == {(2004, "usd")} and len(dead) == 2 == told.failed
    assert dead[0]["error"].startswith("the process that worked on it was killed or crashed")


def test_an_item_whose_worker_is_killed_by_others_is_done_by_another(swept, tmp_path, monkeypatch):
    monkeypatch.setenv("ANIME_GROWTH_TEST_MARKER", str(tmp_path / "marker"))
    rows, told = swept(work=killed_once)
    assert (tmp_path / "marker").exists()
    assert [row["item"] for row in rows] == list(range(12)) and told.failed == 0


def test_a_sweep_whose_workers_all_die_ends_and_blames_no_item(swept, study, monkeypatch):
    monkeypatch.setattr(sweep, "MOST_DEATHS", 3)
    with pytest.raises(StepFailed, match="3 workers in a row were killed or crashed. What is done is kept"):
        swept(work=kills_always)
    assert not list(results(study).iterdir())


def test_one_item_that_always_kills_its_worker_is_a_whole_sweep_too(swept):
    rows, told = swept("model: drift", work=kills_always)
    assert told.done == told.failed == 1 and rows[0]["error"].startswith("the process that worked on it was killed")


# --- going on ---------------------------------------------------------------------------------------
def test_what_is_there_is_not_done_again(swept, study, tmp_path, monkeypatch):
    first, _ = swept()
    parts = sorted(results(study).iterdir())
    gone = [item for part in parts[::3] for item in parquet.read_table(part)["item"].to_pylist()]
    for part in parts[::3]:
        part.unlink()
    half = results(study) / ".part-00000003.parquet.part"
    half.write_bytes(parts[1].read_bytes()[:100])
    kept = {part: part.stat().st_mtime_ns for part in parts if part.exists()}
    marker = tmp_path / "marker"
    monkeypatch.setenv("ANIME_GROWTH_TEST_MARKER", str(marker))
    rows, told = swept(work=counted)
    assert rows == first and len(marker.read_text().splitlines()) == len(gone) == told.done - told.before
    assert {part: part.stat().st_mtime_ns for part in kept} == kept and not half.exists()
    assert swept(work=kills_always)[1].done == 12, "nothing was left to do"


def test_errors_of_an_earlier_start_are_counted(swept):
    swept(work=fails_in_2004)
    assert swept()[1].failed == 4


def test_another_grid_or_depth_other_figures_or_code_are_refused_until_told_to_start_over(swept, study):
    swept()
    with pytest.raises(InputError, match="sweeps/some: holds a sweep with other grid. Name a new folder with --out"):
        swept("start_year: 2002")
    with pytest.raises(InputError, match="with other depth, grid"):
        swept("start_year: 2002", depth=Depth.notebooks)
    record = results(study).parent / "sweep.json"
    for name, words in (("raw_files", "figures"), ("code", "code"), ("lock", "lock"), ("packages", "packages")):
        true = record.read_text()
        record.write_text(json.dumps({**json.loads(true), name: "other"}))
        with pytest.raises(InputError, match=f"holds a sweep with other {words}. Name"):
            swept()
        record.write_text(true)
    rows, told = swept("start_year: 2002\nmodel: drift", again=True)
    assert len(rows) == told.done == 1 and told.before == 0


def test_a_damaged_part_or_record_is_named(swept, study):
    swept()
    part = min(results(study).iterdir())
    whole = part.read_bytes()
    part.write_bytes(whole[:-20])
    with pytest.raises(InputError, match=f"{part.name}: is damaged. Remove it, and its items are made again"):
        swept()
    part.unlink()
    assert len(swept()[0]) == 12
    (results(study).parent / "sweep.json").write_text("{")
    with pytest.raises(InputError, match="sweep.json: is damaged. Start over with --again"):
        swept()


def test_a_sweep_keeps_to_a_folder_of_its_own(swept, study, tmp_path):
    for place in ("data/raw/aja", "data/processed/published", "data/processed/runs/x", "data", "."):
        with pytest.raises(InputError, match="would mix with data/"):
            swept(out=study / place)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").touch()
    for again in (False, True):
        with pytest.raises(InputError, match="holds other things than a sweep. Name a new folder"):
            swept(out=other, again=again)
    assert (other / "thesis.txt").exists()
    _, told = swept(out=tmp_path / "new")
    assert told.done == 12 and (tmp_path / "new/results").is_dir()


def test_two_sweeps_do_not_share_a_folder(swept, study):
    with locks.held(results(study).parent), pytest.raises(Locked, match="is at work here"):
        swept()


# --- workers ----------------------------------------------------------------------------------------
def test_workers_are_told_where_the_study_is_and_do_not_share_their_work_out_to_threads(swept, study):
    rows, _ = swept(work=told_of_the_worker)
    assert {row["finding"] for row in rows} == {f"{study}, 0 threads beside Python's own"}


def test_a_worker_with_other_figures_or_code_does_not_take_part(swept, monkeypatch):
    monkeypatch.setattr(sweep, "fingerprint", lambda home: "other")
    with pytest.raises(InputError, match="figures or code are not those that it began with"):
        swept()


def test_no_worker_is_left_when_a_sweep_ends_or_is_stopped(swept):
    def stop(told):
        if told.done:
            raise KeyboardInterrupt

    swept()
    with pytest.raises(
        StepFailed, match="stopped from outside at .* of 12. What is done is kept; the same command goes"
    ):
        swept(tell=stop, again=True)
    server = {one.pid for one in processes._descendants(os.getpid()) if "forkserver" in " ".join(one.cmdline())}
    deadline = time.monotonic() + 5
    while len(server) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
        server = {one.pid for one in processes._descendants(os.getpid()) if "forkserver" in " ".join(one.cmdline())}
    assert len(server) == 1, "the server only"
    rows, told = swept()
    assert len(rows) == 12 and told.before > 0


def test_memory_does_not_grow_with_the_grid(swept, study):
    grid = "start_year: {from: 1990, to: 2019}\nhorizon_year: {from: 2025, to: 2060}\nbasis: [yen, usd, real]\n"
    peaks = []

    def tell(told):
        if told.done >= 2000:  # what is kept at work is full by then
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "rows_in", lambda folder: [])
        _, told = swept(grid, work=wordy, tell=tell)
    assert told.done == told.total == 30 * 36 * 3 * 7 > 20_000
    assert len(list(results(study).iterdir())) == 30 * 3, "a part for each sample"
    grown = (peaks[-1] - peaks[0]) / (2**20 if sys.platform == "darwin" else 2**10)
    assert grown < 60, f"{grown:.0f} MB, and all of it would be 220 MB"


# --- a cluster that is not there ---------------------------------------------------------------------
def test_a_scheduler_that_is_none_is_refused(swept):
    with pytest.raises(InputError, match="--scheduler nonsense: is no address. Write it as tcp://host:8786"):
        swept(scheduler="nonsense")


def test_a_scheduler_that_does_not_answer_is_told_in_one_line(swept, monkeypatch):
    monkeypatch.setattr(sweep, "ANSWER_SECONDS", 1)
    with pytest.raises(InputError) as refusal:
        swept(scheduler="tcp://127.0.0.1:9")
    said = "does not answer. Name one that runs, as tcp://host:8786, or leave it out."
    assert str(refusal.value) == f"--scheduler tcp://127.0.0.1:9: {said}"


def test_without_dask_the_command_says_how_to_install_it(swept, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        InputError, match="needs Dask, which is optional. Install it: .venv/bin/uv sync --extra cluster"
    ):
        swept(scheduler="tcp://127.0.0.1:9")


class Client:
    """Stands in for Dask's, of a cluster that has so many workers."""

    def __init__(self, workers):
        self.workers, self.status = workers, "running"

    def wait_for_workers(self, number, timeout):
        if not self.workers:
            raise TimeoutError

    def nthreads(self):
        return dict.fromkeys(range(self.workers), 2)

    def scheduler_info(self):
        return {"workers": self.nthreads()}

    def get_executor(self, pure):
        return None


def test_a_cluster_without_workers_is_not_waited_for(monkeypatch):
    with pytest.raises(InputError, match="--scheduler tcp://there:1: has no workers. Start one: dask worker tcp://"):
        sweep.Cluster(Client(0), "tcp://there:1")
    client = Client(3)
    cluster = sweep.Cluster(client, "tcp://there:1")
    assert cluster.width == 6
    monkeypatch.setattr(sweep, "WORKER_SECONDS", 0.05)
    cluster.look()
    client.workers = 0
    cluster.look()
    time.sleep(0.1)
    with pytest.raises(StepFailed, match="tcp://there:1 has had no workers for 0.05 s. What is done is kept"):
        cluster.look()
    client.workers, client.status = 3, "closed"
    with pytest.raises(StepFailed, match="has had no workers"):
        cluster.look()
    client.status = "running"
    cluster.look()


class Failing:
    """A crew all of whose tasks end so."""

    width, lost = 1, ()

    def __init__(self, problem):
        self.problem = problem

    def submit(self, task):
        future = Future()
        future.set_exception(self.problem)
        return future


@pytest.mark.parametrize(
    ("problem", "kind", "said"),
    [
        (CancelledError(), StepFailed, "the scheduler is gone. What is done is kept; the same command goes on."),
        (InputError("here", "is wrong", "Mend it"), InputError, "here: is wrong. Mend it."),
        (
            ModuleNotFoundError("No module named 'anime_growth'"),
            StepFailed,
            "a worker cannot work on this study (ModuleNotFoundError: No module named 'anime_growth'). "
            "Give it the same environment.",
        ),
    ],
)
def test_what_is_no_fault_of_an_item_ends_the_sweep_in_one_line(swept, study, monkeypatch, problem, kind, said):
    monkeypatch.setattr(sweep, "_local", lambda width: nullcontext(Failing(problem)))
    with pytest.raises(kind) as ended:
        swept()
    assert str(ended.value) == said and not list(results(study).iterdir())


# --- telling ----------------------------------------------------------------------------------------
def test_progress_tells_rate_and_time_left():
    begun = time.monotonic() - 10
    assert str(sweep.Progress(5000, 1000, 3, 0, begun)) == "1,000 of 5,000, 3 with an error, 100 a second, 0:00:40 left"
    assert str(sweep.Progress(5000, 1000, 0, 995, begun)).startswith("1,000 of 5,000, 30.0 a minute, 2:13:2")
    assert str(sweep.Progress(5000, 1000, 0, 1000, begun)) == "1,000 of 5,000"
    assert str(sweep.Progress(10, 10, 0, 0, begun)) == "10 of 10, 60.0 a minute"


def test_a_log_tells_how_far_it_is(swept, monkeypatch, caplog):
    monkeypatch.setattr(sweep, "TELL_SECONDS", 0)
    monkeypatch.setattr(logging.getLogger("anime_growth"), "propagate", True)
    with caplog.at_level(logging.INFO, "anime_growth"):
        swept()
    last = caplog.records[-1]
    assert (last.event, last.done, last.total) == ("progress", 12, 12) and "12 of 12" in last.getMessage()


def test_the_columns_of_a_sweep_say_their_units():
    for columns in depths.COLUMNS.values():
        for name, kind in columns.items():
            if kind == depths.NUMBER:
                assert name.endswith(("_pct", "_pct_a_year", "seconds")) or name in projections.PROBABILITIES
        assert {"item", "unit", "error"} <= set(columns)
