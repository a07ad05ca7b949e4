"""Many combinations of parameters worked out side by side, into Parquet that survives a kill at any moment.

A sweep is a folder: sweep.json says what of (grid, depth, figures, code, packages), `results` holds parts
of some hundred items each, `runs` the runs of a sweep of notebooks. A part appears whole by one rename and is
written by this process alone, which holds the folder's lock, so an item is in no part or in one. Starting
again reads which items are there and goes on with the rest.

Workers are processes on this machine or those of a Dask cluster; both are given chunks of item numbers, a
few at a time, and hand back tables, so that memory does not grow with the grid.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import re
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from multiprocessing.connection import wait as wait_for_end
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from anime_growth import depths, disk, grid, locks, parameters, paths, processes, records, sources, trends
from anime_growth.errors import InputError, StepFailed, Stopped
from anime_growth.grid import Depth, Grid

RECORD = "sweep.json"
# A chunk is small enough to lose little in a kill, and to give every worker several.
MOST_IN_CHUNK, CHUNKS_A_WORKER = 500, 32
# Chunks that wait or are at work, for each worker.
AHEAD = 2
# How often a log tells how far it is [s].
TELL_SECONDS = 10
# How long a scheduler may take to answer, and to have a worker [s].
ANSWER_SECONDS, WORKER_SECONDS = 5, 30
# So many items in a row that kill their worker are no fault of theirs.
MOST_DEATHS = 10
# What must be as it was for a sweep to go on, and how that is told.
SAME = {
    "depth": "depth", "grid": "grid", "raw_files": "figures", "code": "code",
    "lock": "lock", "python": "Python", "packages": "packages",
}  # fmt: skip
LOST = "the process that worked on it was killed or crashed (the machine may be out of memory)"
log = logging.getLogger("anime_growth")
Work = Callable[[depths.Item], list[depths.Row]]


# --- how far it is ----------------------------------------------------------------------------------
@dataclass
class Progress:
    """Items done of how many, those with an error among them, `before` of them by an earlier start."""

    total: int
    done: int
    failed: int
    before: int = 0
    begun: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Items a second since this start."""
        return (self.done - self.before) / max(time.monotonic() - self.begun, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate; none before the first item is done."""
        return (self.total - self.done) / self.rate if self.done > self.before else None

    def __str__(self) -> str:
        """`1,200 of 5,000, 3 with an error, 410 a second, 0:00:09 left`."""
        said = f"{self.done:,} of {self.total:,}"
        if self.failed:
            said += f", {self.failed:,} with an error"
        if self.done > self.before:
            said += f", {self.rate:,.0f} a second" if self.rate >= 10 else f", {60 * self.rate:,.1f} a minute"
        if left := self.seconds_left:
            said += f", {timedelta(seconds=round(left))} left"
        return said


Told = Callable[[Progress], None]
NOTHING: Told = lambda _: None  # noqa: E731


# --- on the worker's side ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Task:
    """Some items of a grid, whose rows `work` makes; `study` is the fingerprint of figures and code."""

    grid: Grid
    folder: Path
    study: str
    work: Work
    items: Sequence[int]

    def failed(self, item: int, error: str) -> depths.Row:
        """The row of an item that has no numbers."""
        return {"item": item, **self.grid.parameters(item), "error": error}

    def table(self, rows: list[depths.Row]) -> pa.Table:
        """Rows as a table with the columns of the depth."""
        return pa.Table.from_pylist(rows, pa.schema(depths.COLUMNS[self.grid.depth].items()))


_ONE_AT_A_TIME = threading.Lock()


def worked_out(task: Task) -> pa.Table:
    """The rows of a task's items, in order; what goes wrong with one of them stands in its `error`.

    Raises InputError where this worker has other figures or code than the process that asks.
    """
    if _known_fingerprint(paths.home()) != task.study:
        do = "Let nobody change them while a sweep is at work, and give every worker the same commit"
        raise InputError("sweep", "figures or code are not those that it began with", do)
    if task.grid.depth is Depth.notebooks:
        return task.table([row for item in task.items for row in _rows(task, item)])
    with _ONE_AT_A_TIME:  # a Dask worker has threads, and warnings are caught for a whole process
        trends.forget()
        return task.table([row for item in task.items for row in _rows(task, item)])


def _rows(task: Task, item: int) -> list[depths.Row]:
    own = task.grid.parameters(item)
    try:
        made = task.work(depths.Item(task.grid.item(item), own, task.folder / "runs" / f"{item:08}"))
    except Exception as problem:
        plain = isinstance(problem, InputError | StepFailed | trends.CannotFit)
        said = str(problem) if plain else f"{type(problem).__name__}: {problem}"
        return [task.failed(item, " ".join(said.split()))]
    return [{"item": item, **own, **row} for row in made]


def fingerprint(home: Path) -> str:
    """What numbers rest on beside parameters, in one word."""
    figures = {file.reference: file.resource.hash for file in sources.raw_files()}
    rests_on = [figures, records.code(), records.file_hash(home / "uv.lock")]
    return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()


_known_fingerprint = lru_cache(maxsize=1)(fingerprint)  # of what this worker has loaded


# --- processes here ---------------------------------------------------------------------------------
class Local:
    """Processes on this machine, forked from one that has loaded the libraries and nothing else."""

    lost = (BrokenProcessPool,)

    def __init__(self, width: int) -> None:
        self.width = width
        self._others = multiprocessing.active_children()
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([depths.__name__])
        own = {name: value for name, value in os.environ.items() if name.startswith("ANIME_GROWTH_")}
        return ProcessPoolExecutor(self.width, mp_context=context, initializer=_begin, initargs=(own,))

    def submit(self, task: Task) -> "Future[pa.Table]":
        """Give a task to a worker, a new one where there are too few or an old one was killed."""
        with processes.undisturbed():  # a worker that is not known yet when a stop is heard would not be ended
            try:
                return self._pool.submit(worked_out, task)
            except BrokenProcessPool:
                self._pool.shutdown()
                self._pool = self._start()
                return self._pool.submit(worked_out, task)

    def look(self) -> None:
        """A process that is gone fails its tasks, so there is nothing to look for."""

    def kill(self) -> None:
        """End the workers at once, with all that they have started."""
        for one in multiprocessing.active_children():
            if one not in self._others:
                processes.end(paths.sweeps(), one.pid)
                one.kill()

    def end(self) -> None:
        """Let the workers go."""
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def _local(width: int) -> Iterator[Local]:
    crew = Local(width)
    try:
        yield crew
    except BaseException:
        with processes.undisturbed():
            crew.kill()
        raise
    finally:
        crew.end()


def _begin(own: dict[str, str]) -> None:
    """In a new worker: take over the study's settings, leave Ctrl-C to the one that asks, end with it."""
    for name in [name for name in os.environ if name.startswith("ANIME_GROWTH_")]:
        del os.environ[name]
    os.environ.update(own)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        processes.end(paths.sweeps(), os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)


# --- processes elsewhere ----------------------------------------------------------------------------
class Cluster:
    """The workers of a Dask cluster, which gives the tasks of one that is gone to another."""

    def __init__(self, client: Any, address: str) -> None:
        from distributed import KilledWorker

        self.lost = (KilledWorker,)
        self._client, self._address = client, address
        try:
            client.wait_for_workers(1, timeout=ANSWER_SECONDS)
        except TimeoutError as problem:
            raise InputError(
                f"--scheduler {address}", "has no workers", f"Start one: dask worker {address}"
            ) from problem
        self.width = sum(client.nthreads().values())
        self._executor = client.get_executor(pure=False)
        self._seen = time.monotonic()

    def submit(self, task: Task) -> "Future[pa.Table]":
        """Give a task to the cluster."""
        future: Future[pa.Table] = self._executor.submit(worked_out, task)
        return future

    def look(self) -> None:
        """Raise StepFailed when the scheduler, or every worker, is gone for good."""
        if self._client.status == "running" and self._client.scheduler_info()["workers"]:
            self._seen = time.monotonic()
        elif time.monotonic() > self._seen + WORKER_SECONDS:
            raise StepFailed(f"{self._address} has had no workers for {WORKER_SECONDS} s. {AGAIN}")


@contextmanager
def _cluster(address: str) -> Iterator[Cluster]:
    where = f"--scheduler {address}"
    if not re.fullmatch(r"[a-z]+://[^/]+:[0-9]+", address):
        raise InputError(where, "is no address", "Write it as tcp://host:8786")
    try:
        from distributed import Client
    except ImportError as problem:
        raise InputError(
            where, "needs Dask, which is optional", "Install it: .venv/bin/uv sync --extra cluster"
        ) from problem
    for name in ("distributed", "distributed.client"):  # what matters is said here, in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise InputError(
            where, "does not answer", "Name one that runs, as tcp://host:8786, or leave it out"
        ) from problem
    with client:
        yield Cluster(client, address)


Crew = Local | Cluster
AGAIN = "What is done is kept; the same command goes on"


# --- the folder -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Results:
    """The parts of a sweep, each whole."""

    folder: Path

    def found(self, total: int) -> tuple[bytearray, int]:
        """Which items are there, a byte for each, and how many of them have an error; sweeps half a part away."""
        self.folder.mkdir(exist_ok=True)
        for half in self.folder.glob(".*.part"):
            half.unlink()
        there, failed = bytearray(total), 0
        for path in self.folder.glob("part-*.parquet"):
            try:
                part = parquet.ParquetFile(path).read(["item", "error"], use_threads=False)
                for item in part["item"].to_pylist():
                    there[item] = 1
            except (pa.ArrowException, OSError, IndexError, KeyError) as problem:
                raise InputError(
                    paths.shown(path), "is damaged", "Remove it, and its items are made again"
                ) from problem
            failed += len(part) - part["error"].null_count
        return there, failed

    def add(self, part: pa.Table) -> None:
        """Let a part appear, named by its first item."""
        name = f"part-{part['item'][0].as_py():08}.parquet"
        fresh = self.folder / f".{name}.part"
        with fresh.open("wb") as file:
            parquet.write_table(part, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self.folder / name)
        disk.settle_names(self.folder)


def _open(folder: Path, asked: Grid, again: bool) -> Results:
    """The results in `folder`; raises InputError where they are those of another sweep."""
    began = records.begin(folder.name, datetime.now(UTC), parameters.Parameters(), asked.edition)
    axes = {name: list(values) for name, values in asked.axes.items()}
    now = {"started": began["started"], "items": len(asked), "depth": asked.depth, "grid": axes}
    now |= {name: began[name] for name in (*SAME, "git", "platform") if name in began}
    record = folder / RECORD
    others = [path for path in folder.iterdir() if path.name not in (locks.NAME, f"{RECORD}.part")]
    if others and not record.exists():
        raise InputError(paths.shown(folder), "holds other things than a sweep", "Name a new folder with --out")
    if record.exists() and not again:
        try:
            before = json.loads(record.read_text(encoding="utf-8"))
            other = [words for name, words in SAME.items() if before.get(name) != now[name]]
        except (ValueError, AttributeError) as problem:
            raise InputError(paths.shown(record), "is damaged", "Start over with --again") from problem
        if other:
            what = f"holds a sweep with other {', '.join(other)}"
            raise InputError(paths.shown(folder), what, "Name a new folder with --out, or start over with --again")
    else:
        for old in (folder / "results", folder / "runs"):
            if old.exists():
                shutil.rmtree(old)
        fresh = folder / f"{RECORD}.part"
        fresh.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        fresh.replace(record)
        disk.settle_names(folder)
    return Results(folder / "results")


def _refuse_place(folder: Path) -> None:
    for kept in (paths.raw(), paths.published(), paths.runs()):
        if folder == kept or kept in folder.parents or folder in kept.parents:
            raise InputError(f"--out {folder}", f"would mix with {paths.shown(kept)}", "Name a folder of its own")


# --- the whole --------------------------------------------------------------------------------------
def run(
    file: Path,
    depth: Depth = Depth.model,
    out: Path | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    again: bool = False,
    wait_seconds: float = 0,
    tell: Told = NOTHING,
    work: Work | None = None,
) -> tuple[Path, Progress]:
    """Work out every item of the grid in `file` that is not there yet; the results' folder, and how it went.

    `jobs` processes do it here, as many as there are processors by default, or those that `scheduler` has.
    An item that cannot be is recorded with its error. `work` stands in for what the depth does.
    Raises InputError for what cannot be swept, Locked, Stopped, StepFailed where workers die or stay away.
    """
    asked = grid.read(file, depth)
    folder = (out.expanduser() if out else paths.sweeps() / file.stem).resolve()
    _refuse_place(folder)
    with locks.held(folder, wait_seconds):
        results = _open(folder, asked, again)
        there, failed = results.found(len(asked))
        told = Progress(len(asked), sum(there), failed, sum(there))
        if told.done == told.total:
            return results.folder, told
        crew: AbstractContextManager[Crew] = _cluster(scheduler) if scheduler else _local(jobs or os.cpu_count() or 1)
        task = Task(asked, folder, fingerprint(paths.home()), work or depths.WORK[depth], ())
        last = time.monotonic()
        try:
            with crew as at_work:
                for part in _parts(at_work, task, there):
                    if part is not None:
                        results.add(part)
                        told.done += len(part["item"].unique())
                        told.failed += len(part) - part["error"].null_count
                    tell(told)
                    if time.monotonic() > last + TELL_SECONDS:
                        last = time.monotonic()
                        figures = {"done": told.done, "total": told.total, "rate": told.rate}
                        log.info("%s", told, extra={"event": "progress", **figures})
        except KeyboardInterrupt as problem:
            raise Stopped(f"stopped from outside at {told.done:,} of {told.total:,}. {AGAIN}.") from problem
    return results.folder, told


def _chunks(there: bytearray, size: int) -> Iterator[list[int]]:
    """The numbers of items that are not there, `size` at a time."""
    chunk: list[int] = []
    at = there.find(0)
    while at >= 0:
        chunk.append(at)
        if len(chunk) == size:
            yield chunk
            chunk = []
        at = there.find(0, at + 1)
    if chunk:
        yield chunk


def _parts(crew: Crew, whole: Task, there: bytearray) -> Iterator[pa.Table | None]:
    """Tables as they are done, and now and then nothing.

    Tasks whose worker died are done again, alone, and halved until the item that kills is by itself. That
    stands as its error once another worker has lived, else the workers are to blame.
    """
    size = min(MOST_IN_CHUNK, there.count(0) // (crew.width * CHUNKS_A_WORKER))
    size = max(1, round(size / whole.grid.shared)) * whole.grid.shared  # a sample cut in two is fitted by two workers
    chunks = _chunks(there, 1 if whole.grid.depth is Depth.notebooks else size)
    at_work: dict[Future[pa.Table], Task] = {}
    suspects: deque[Task] = deque()
    killers: list[pa.Table] = []
    tried_alone = False
    while True:
        if not at_work and suspects:
            tried_alone = True
            at_work |= _given(crew, suspects.popleft())
        while not suspects and not tried_alone and len(at_work) < AHEAD * crew.width and (chunk := next(chunks, None)):
            at_work |= _given(crew, replace(whole, items=chunk))
        if not at_work:
            yield from killers
            return
        ready, _ = wait(at_work, processes.TICK_SECONDS, FIRST_COMPLETED)
        if not ready:
            crew.look()
            yield None
        for future in ready:
            task = at_work.pop(future)
            try:
                yield future.result()
                yield from killers
                killers.clear()
            except crew.lost:
                half = len(task.items) // 2
                if not tried_alone:
                    suspects.append(task)
                elif half:
                    suspects.extendleft(replace(task, items=part) for part in (task.items[half:], task.items[:half]))
                else:
                    killers.append(task.table([task.failed(task.items[0], LOST)]))
            except CancelledError as problem:
                raise StepFailed(f"the scheduler is gone. {AGAIN}.") from problem
            except (InputError, StepFailed):
                raise
            except Exception as problem:  # not an item's, those are recorded: the worker could not even begin
                said = " ".join(f"{type(problem).__name__}: {problem}".split())
                raise StepFailed(
                    f"a worker cannot work on this study ({said}). Give it the same environment."
                ) from problem
            if len(killers) == MOST_DEATHS:
                raise StepFailed(f"{len(killers)} workers in a row were killed or crashed. {AGAIN}.")
        tried_alone = tried_alone and bool(at_work)


def _given(crew: Crew, task: Task) -> dict["Future[pa.Table]", Task]:
    return {crew.submit(task): task}
