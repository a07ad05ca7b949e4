"""Running the chain as a transaction: papermill executes the notebooks in order into one private folder.

The folder `working-<run-id>` becomes `<run-id>` by one rename when every step has left its sentinel and
everything it promised, and all of it is on the disk; then the link `latest` moves. What fails becomes
`failed-<run-id>`, kept for reading, and touches nothing else. What was killed is found by the next run.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from anime_growth import clean, disk, errors, execution, locks, parameters, paths, processes, records, rules, sources
from anime_growth.errors import DeadlinePassed, InputError, StepFailed, Stopped
from anime_growth.pipeline import STEPS, StepSpec

log = logging.getLogger("anime_growth")


@dataclass(frozen=True)
class Limits:
    """How long a notebook and a whole run may take, and how long to wait for another run to end [s].

    The chain takes well under a minute; what takes longer than the defaults hangs.
    """

    notebook: float = 300
    run: float = 1200
    wait: float = 0


Told = Callable[[str], None]
NOTHING: Told = lambda _: None  # noqa: E731


def run(
    values: Mapping[str, Any],
    on_step: Told = NOTHING,
    before_end: Callable[[Path], None] | None = None,
    tick: Callable[[], None] = processes.NO_TICK,
    limits: Limits = Limits(),
) -> Path:
    """Execute all steps with the parameters `values` and return the finished run folder.

    `on_step` is told each step's name before it starts, `tick` is called while it works. `before_end` may
    add files to the whole run before it appears. Raises InputError (bad parameters or input), StepFailed,
    DeadlinePassed, Stopped, or Locked where another run is still at work after `limits.wait`.
    """
    chosen = parameters.check(values)
    edition = clean.choose_edition(clean.clean_aja_market_editions(sources.read("aja_market_editions")), chosen.edition)
    _refuse_unknown_series(chosen.series)
    rules.articles(chosen.articles)
    for spec in STEPS.values():
        execution.refuse_unfit(paths.notebooks() / f"{spec.name}.ipynb")
    with locks.held(paths.runs(), limits.wait):
        _refuse_other_latest()
        if not os.environ.get(paths.RUNS_VARIABLE):  # else publishing is not held off by this lock
            disk.finish_replacing()
        clean_up()
        execution.load()
        return _transaction(chosen, values, edition, on_step, before_end, tick, limits)


def _refuse_unknown_series(name: str) -> None:
    """Raise InputError for a series that no table holds, before anything is run."""
    if name == parameters.Parameters().series:
        return
    names = clean.series_names(clean.clean_all())
    if name not in names:
        raise InputError("parameter series", f"{name!r} is not at hand", f"Choose one of {', '.join(names)}")


def _refuse_other_latest() -> None:
    latest = paths.runs() / "latest"
    if latest.exists() and not latest.is_symlink():
        raise InputError(paths.shown(latest), "is no link, and a run would have to replace it", "Move it away")


def _transaction(
    chosen: parameters.Parameters,
    values: Mapping[str, Any],
    edition: int,
    on_step: Told,
    before_end: Callable[[Path], None] | None,
    tick: Callable[[], None],
    limits: Limits,
) -> Path:
    started = datetime.now(UTC)
    run_id = _free_id(started)
    record = records.begin(run_id, started, chosen, edition)
    finished = paths.runs() / run_id
    work = paths.runs() / f"working-{run_id}"
    try:
        (work / "notebooks").mkdir(parents=True)
        records.write(record, work)
        with _logged(work):
            with _environment(paths.RUN_VARIABLE, str(work)):
                begun = time.monotonic()
                for spec in STEPS.values():
                    on_step(spec.name)
                    given = {name: getattr(chosen, name) for name in spec.parameters if name in values}
                    record["steps"][spec.name] = _step(spec, given, work, record, tick, limits, begun)
                    records.write(record, work)
                for spec in STEPS.values():  # a later step may have spoilt what an earlier one left
                    execution.refuse_unfinished(spec, work)
                if before_end is not None:
                    records.write(_ended(record, work, "done"), work)
                    before_end(work)
            log.info("all steps done", extra={"event": "done", "run_id": run_id})
        records.write(_ended(record, work, "done"), work)
        disk.settle(work)
        with processes.undisturbed():
            work.rename(finished)
            disk.settle_names(paths.runs())
            point_latest(finished)
    except BaseException as problem:
        with processes.undisturbed():
            if work.exists():
                _keep_failed(work, record, problem)
        if isinstance(problem, KeyboardInterrupt) and finished.exists():
            raise Stopped(f"stopped from outside when {paths.shown(finished)} was done.") from problem
        raise
    return finished


def _step(
    spec: StepSpec,
    given: Mapping[str, Any],
    work: Path,
    record: dict[str, Any],
    tick: Callable[[], None],
    limits: Limits,
    run_begun: float,
) -> dict[str, Any]:
    """Execute one step in a process of its own; its entry in the record."""
    begun = time.monotonic()
    seconds = min(limits.notebook, run_begun + limits.run - begun)
    own = {name: record["parameters"][name] for name in spec.parameters}
    key = records.step_key(spec, own, records.artefacts(work), record)
    log.info("running %s", spec.name, extra={"event": "step", "step": spec.name, "run_id": record["run_id"]})
    try:
        processes.call_apart(
            partial(execution.execute, spec, given, work), work, work / "run.log", max(seconds, 0), tick
        )
        execution.refuse_unfinished(spec, work)
    except TimeoutError as problem:
        place = f"{spec.name}{execution.in_cell(execution.place(spec, work))}"
        limit = (
            f"a notebook may take {limits.notebook:g} s (--notebook-deadline)"
            if seconds == limits.notebook
            else f"the whole run may take {limits.run:g} s (--deadline)"
        )
        raise DeadlinePassed(f"{place}: ended because {limit}") from problem
    except processes.Died as problem:
        place = f"{spec.name}{execution.in_cell(execution.place(spec, work))}"
        raise StepFailed(f"{place}: {problem}") from problem
    return {"key": key, "seconds": round(time.monotonic() - begun, 3)}


def _ended(record: dict[str, Any], folder: Path, exit_class: str, problem: str = "") -> dict[str, Any]:
    """The record of a run that has ended, with the hashes of what it left."""
    for leftover in (*folder.glob("kernel-*"), *folder.glob("notebooks/*.part")):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    return {
        **record,
        "ended": records.now(),
        "exit_class": exit_class,
        "problem": problem,
        "artefacts": records.artefacts(folder),
    }


def _why(problem: BaseException) -> tuple[str, str]:
    """How a run ended, as an exit class, and why, in one line."""
    match problem:
        case KeyboardInterrupt():
            return "stopped", "stopped from outside"
        case OSError():
            return "failed", errors.of_system(problem)
        case InputError():
            return "refused", str(problem)
        case StepFailed():
            return "deadline" if isinstance(problem, DeadlinePassed) else "failed", str(problem)
    return "failed", " ".join(f"{type(problem).__name__}: {problem}".split())


def _keep_failed(work: Path, record: dict[str, Any], problem: BaseException) -> None:
    """Keep what a failed run left under its failed name; raises `problem` anew where it can say where that is."""
    exit_class, said = _why(problem)
    read = _as_failed(work, record, exit_class, said)
    match problem:
        case KeyboardInterrupt():
            raise Stopped(f"stopped from outside. What was done is kept in {paths.shown(read)}.") from problem
        case StepFailed() | OSError():
            kind = type(problem) if isinstance(problem, StepFailed) else StepFailed
            raise kind(f"{said.rstrip('.')}. Read {paths.shown(read)}.") from problem
        case Exception() if not isinstance(problem, InputError):
            log_of_it = paths.shown(work.with_name(f"failed-{record['run_id']}") / "run.log")
            raise StepFailed(f"{said.rstrip('.')}. This is a defect of the program. Read {log_of_it}.") from problem


def _as_failed(work: Path, record: dict[str, Any], exit_class: str, said: str) -> Path:
    """Give a run that did not end its failed name; what to read of it."""
    unfinished = next((name for name in STEPS if name not in record["steps"]), "")
    with suppress(OSError):  # a full disk: what could be written is there
        execution.mark_unfinished(work / "notebooks" / f"{unfinished}.ipynb", said)
    with suppress(OSError):
        records.write(_ended(record, work, exit_class, said), work)
        disk.settle(work)
    failed = work.with_name(f"failed-{record['run_id']}")
    work.rename(failed)
    notebook = failed / "notebooks" / f"{unfinished}.ipynb"
    return notebook if notebook.exists() else failed


@contextmanager
def _logged(work: Path) -> Iterator[None]:
    """Everything said while the run is at work is also kept in its run.log."""
    handler = logging.FileHandler(work / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    except BaseException as problem:
        plain = isinstance(problem, InputError | StepFailed | KeyboardInterrupt)
        trail = None if plain else (type(problem), problem, problem.__traceback__)
        handler.handle(logging.makeLogRecord({"msg": _why(problem)[1], "levelname": "ERROR", "exc_info": trail}))
        raise
    finally:
        log.removeHandler(handler)
        handler.close()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _free_id(started: datetime) -> str:
    stem = f"{started:%Y%m%dT%H%M%SZ}"
    taken = {records.id_of(path) for path in paths.runs().iterdir()}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def point_latest(finished: Path) -> None:
    """Move the link `latest` in one step, so that it never points nowhere."""
    fresh = finished.parent / f".latest-{finished.name}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(finished.name)
    fresh.replace(finished.parent / "latest")
    disk.settle_names(finished.parent)


def clean_up() -> None:
    """Under the lock: end what a killed run left running, and keep what it had done as failed."""
    for folder in filter(records.id_of, paths.runs().glob("working-*")):
        processes.end(folder)
        run_id = records.id_of(folder)
        record: dict[str, Any] = {"run_id": run_id, "parameters": {}, "raw_files": {}, "steps": {}}
        with suppress(InputError):
            record |= {**records.read(folder), "run_id": run_id}
        _as_failed(folder, record, "killed", "the run was killed before it could say why")
    for leftover in paths.runs().glob(".latest-*"):
        leftover.unlink()
    for leftover in paths.runs().glob(".removing-*"):
        shutil.rmtree(leftover)


# --- many runs --------------------------------------------------------------------------------------
def every_edition(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameters `values` once for each edition at hand, the one that `latest` means last."""
    readings = clean.clean_aja_market_editions(sources.read("aja_market_editions"))
    newest = clean.choose_edition(readings, "latest")
    wanted = [{**values, "edition": year} for year in sorted(clean.editions(readings), key=lambda year: year == newest)]
    for one in wanted:
        parameters.check(one)
    return wanted


def same_run(values: Mapping[str, Any]) -> Path | None:
    """A finished run with these parameters, of the figures, code and packages that are here; none if there is none."""
    chosen = parameters.check(values)
    now = records.begin("", datetime.now(UTC), chosen, 0)
    alike = ("parameters", "raw_files", "code", "lock", "python", "packages")
    for one in records.all_runs():
        if one.exit_class == "done" and all(one.record.get(name) == now[name] for name in alike):
            return one.folder
    return None
