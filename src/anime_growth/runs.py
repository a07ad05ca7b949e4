"""Running the chain as a transaction: papermill executes the notebooks in order into one private folder.

The folder `working-<run-id>` becomes `<run-id>` by one rename when every step has left its sentinel and
everything it promised, and all of it is on the disk; then the link `latest` moves. What fails becomes
`failed-<run-id>`, kept for reading, and touches nothing else. What was killed is found by the next run.
"""

import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from anime_growth import (
    clean,
    disk,
    errors,
    execution,
    locks,
    parameters,
    paths,
    processes,
    records,
    reuse,
    rules,
    sources,
)
from anime_growth import engine as forking
from anime_growth.errors import DeadlinePassed, InputError, StepFailed, Stopped
from anime_growth.languages import speaking
from anime_growth.steps import STEPS, StepSpec

log = logging.getLogger("anime_growth")


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Manner:
    """How a run is made, on which its results do not depend.

    `notebook` and `run` are the longest that one notebook and a whole run may take, `wait` how long to wait
    for another run to end [s]; the chain takes well under a minute, and what takes longer than the defaults
    hangs. At most `jobs` notebooks are at work at a time, executed by `engine` (engine.NAME, or any other
    name for ordinary kernels). With `reuse`, steps whose key is known take over what an earlier run left.
    """

    notebook: float = 300
    run: float = 1200
    wait: float = 0
    jobs: int = field(default_factory=cores)
    engine: str = forking.NAME
    reuse: bool = True

    @property
    def limit(self) -> str:
        """What is said of a run that took longer than it may."""
        return f"the whole run may take {self.run:g} s (--deadline)"


NOW = -math.inf  # a deadline that is over: to look without waiting
# Told, at every change, the names of the steps at work and of those that are done.
Told = Callable[[Sequence[str], Sequence[str]], None]
NOTHING: Told = lambda at_work, done: None  # noqa: E731


def run(
    values: Mapping[str, Any],
    on_step: Told = NOTHING,
    before_end: Callable[[Path], None] | None = None,
    tick: Callable[[], None] = processes.NO_TICK,
    manner: Manner = Manner(),
) -> Path:
    """Execute all steps with the parameters `values` and return the finished run folder.

    `on_step` is told what is at work at every change, `tick` is called while steps work. `before_end` may
    add files to the whole run before it appears. Raises InputError (bad parameters or input), StepFailed,
    DeadlinePassed, Stopped, or Locked where another run is still at work after `manner.wait`.
    """
    chosen = parameters.check(values)
    edition = clean.choose_edition(clean.clean_aja_market_editions(sources.read("aja_market_editions")), chosen.edition)
    _refuse_unknown_series(chosen.series)
    rules.articles(chosen.articles)
    with speaking(chosen.language):  # or a catalogue that is damaged would be refused by the second step only
        pass
    for spec in STEPS.values():
        execution.refuse_unfit(paths.notebooks() / f"{spec.name}.ipynb")
    with locks.held(paths.runs(), manner.wait):
        records.refuse_other_latest()
        if not os.environ.get(paths.RUNS_VARIABLE):  # else publishing is not held off by this lock
            disk.finish_replacing()
        clean_up()
        return _transaction(chosen, values, edition, on_step, before_end, tick, manner)


def _refuse_unknown_series(name: str) -> None:
    """Raise InputError for a series that no table holds, before anything is run."""
    if name == parameters.Parameters().series:
        return
    names = clean.series_names(clean.clean_all())
    if name not in names:
        raise InputError("parameter series", f"{name!r} is not at hand", f"Choose one of {', '.join(names)}")


def _transaction(
    chosen: parameters.Parameters,
    values: Mapping[str, Any],
    edition: int,
    on_step: Told,
    before_end: Callable[[Path], None] | None,
    tick: Callable[[], None],
    manner: Manner,
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
            if manner.engine == forking.NAME and not processes.CAN_FORK:
                log.info(forking.CANNOT_FORK)
            chain = Chain(values, work, record, on_step, tick, manner)
            chain.execute()
            _refuse_spoilt(work, record)
            if before_end is not None:
                records.write(_ended(record, work, "done"), work)
                before_end(work)
            done = _make_pages(work, record, chain)
            log.info("all steps done", extra={"event": "done", "run_id": run_id})
        records.write({**done, "artefacts": records.artefacts(work)}, work)
        disk.settle(work)
        with processes.undisturbed():
            work.rename(finished)
            disk.settle_names(paths.runs())
            records.point_latest(finished)
    except BaseException as problem:
        with processes.undisturbed():
            if work.exists():
                _keep_failed(work, record, problem)
        if isinstance(problem, KeyboardInterrupt) and finished.exists():
            raise Stopped(f"stopped from outside when {paths.shown(finished)} was done.") from problem
        raise
    return finished


def _load_pages(language: str) -> None:
    """Load what makes pages early, too: processes that are forked later share it, and make no copies of their own."""
    from anime_growth import pages

    with processes.kept():
        pages.load(language)


def _begin_pages(work: Path, steps: Iterable[str]) -> Mapping[str, str]:
    """Make what pages rest on `steps` alone; it takes a second, which nobody waits for while another is at work."""
    from anime_growth import pages

    return pages.begin(work, steps)


def _make_pages(work: Path, record: dict[str, Any], chain: "Chain") -> dict[str, Any]:
    """Make what readers open and what their tools read; the record of the run, which ends with it.

    The paper is made meanwhile in a process of its own, which takes the memory of the typesetting with it.
    """
    from anime_growth import crate, pages, paper

    with processes.Apart(partial(paper.write, work), work, work / "run.log", paper.NAME) as typesetting:
        pages.build(work, chain.pages)
        try:
            typesetting.result(chain.seconds_left, chain.tick)
        except TimeoutError as problem:
            raise DeadlinePassed(f"{paper.NAME}: ended because {chain.manner.limit}") from problem
        except processes.Died as problem:
            raise StepFailed(f"{paper.NAME}: {problem}") from problem
    done = _ended(record, work, "done")
    records.write(done, work)
    crate.write(work)
    return done


def _refuse_spoilt(work: Path, record: Mapping[str, Any]) -> None:
    """Raise StepFailed where a later step has changed what an earlier one left."""
    for spec in STEPS.values():
        execution.refuse_unfinished(spec, work)
        now = reuse.left(spec, work)
        for name, text in record["steps"][spec.name]["files"].items():
            if now[name] != text:
                raise StepFailed(f"{spec.name}: {name} was changed by a later step")


class Chain:
    """The steps of one run in the folder `work`, each started as soon as those that it needs are done.

    `record` is brought up to date, and saved, as they go.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        work: Path,
        record: dict[str, Any],
        on_step: Told,
        tick: Callable[[], None],
        manner: Manner,
    ) -> None:
        self.values, self.work, self.record = values, work, record
        self.on_step, self.tick, self.manner = on_step, tick, manner
        self.earlier = list(reuse.earlier()) if manner.reuse else []
        self.begun = time.monotonic()
        self.waiting = dict(STEPS)
        self.at_work: dict[str, _AtWork] = {}
        self.loaded: set[str] = set()
        self.pages: Mapping[str, str] = {}

    def execute(self) -> None:
        """Execute all steps; however this ends, nothing is left at work. Raises what a step ended with."""
        with ExitStack() as stack:
            while self.waiting or self.at_work:
                for spec in self._ready():
                    self._begin(spec, stack)
                self._load_ahead()
                if self.at_work and not self.waiting:
                    self.pages = _begin_pages(self.work, self.record["steps"])
                if self.at_work:
                    self._finish(*self._next_ended())

    @property
    def seconds_left(self) -> float:
        """How long the run may still take."""
        return max(0, self.begun + self.manner.run - time.monotonic())

    def _ready(self) -> list[StepSpec]:
        done = self.record["steps"]
        ready = [spec for spec in self.waiting.values() if done.keys() >= set(spec.needs)]
        return ready[: max(0, self.manner.jobs - len(self.at_work))]

    def _begin(self, spec: StepSpec, stack: ExitStack) -> None:
        del self.waiting[spec.name]
        made = {name: text for step in self.record["steps"].values() for name, text in step["files"].items()}
        own = {name: self.record["parameters"][name] for name in spec.parameters}
        key = records.step_key(spec, own, made, self.record)
        if known := reuse.step(spec, key, self.earlier):
            reuse.take_over(spec, known, self.work)
            log.info(
                "%s is as it was in %s",
                spec.name,
                known.run_id,
                extra={"event": "reuse", "step": spec.name, **self._run},
            )
            self._note(spec, key, known.record["steps"][spec.name]["seconds"], known.run_id)
            return
        self._load(spec)
        log.info("running %s", spec.name, extra={"event": "step", "step": spec.name, **self._run})
        given = {name: value for name, value in own.items() if name in self.values}
        execute = partial(execution.execute, spec, given, self.work, self.manner.engine)
        call = processes.Apart(execute, self.work, self.work / "run.log", spec.name)
        with processes.undisturbed():
            stack.enter_context(call)
            self.at_work[spec.name] = _AtWork(spec, key, call, time.monotonic())
        self._save()

    def _load_ahead(self) -> None:
        """Load what later steps and pages need, for as long as all that is at work still is.

        Where every processor is at work, what comes next only; for the rest there will be a better time. What pages
        need takes memory, which nothing has to spare before the last step is all that waits.
        """
        loads: list[Callable[[], None]] = [partial(self._load, spec) for spec in self.waiting.values()]
        if len(self.waiting) == 1:
            loads.append(partial(_load_pages, self.record["parameters"]["language"]))
        busy = len(self.at_work) >= cores()
        for load in loads[:1] if busy else loads:
            if not self.at_work or processes.first_ended([one.call for one in self.at_work.values()], NOW):
                return
            load()

    def _load(self, spec: StepSpec) -> None:
        if spec.name not in self.loaded:
            execution.load(spec, self.manner.engine)
            records.reached(records.notebook_code(paths.notebooks() / f"{spec.name}.ipynb"))  # as its key will ask for
            self.loaded.add(spec.name)

    def _next_ended(self) -> tuple["_AtWork", BaseException | None]:
        """The next step that has ended, or has to, and why."""
        while True:
            first = min(self.at_work.values(), key=lambda one: one.begun)
            deadline = min(first.begun + self.manner.notebook, self.begun + self.manner.run)
            ended = processes.first_ended([one.call for one in self.at_work.values()], deadline, self.tick)
            if ended is None:
                return first, TimeoutError()
            one = next(one for one in self.at_work.values() if one.call is ended)
            try:
                ended.result(0)
            except Exception as problem:
                return one, problem
            return one, None

    def _finish(self, one: "_AtWork", problem: BaseException | None) -> None:
        spec = one.spec
        try:
            if problem is not None:
                raise self._explained(one, problem)
            one.call.end()
            execution.refuse_unfinished(spec, self.work)
        except BaseException:
            others = [name for name in self.at_work if name != spec.name]
            self.record["at_work"] = [spec.name, *others]
            raise
        del self.at_work[spec.name]
        self._note(spec, one.key, round(time.monotonic() - one.begun, 3))

    def _explained(self, one: "_AtWork", problem: BaseException) -> BaseException:
        """The problem that a step ended with, with its place where it does not say so itself."""
        spec, manner = one.spec, self.manner
        place = f"{spec.name}{execution.in_cell(execution.place(spec, self.work))}"
        if isinstance(problem, TimeoutError):
            own = time.monotonic() >= one.begun + manner.notebook
            limit = f"a notebook may take {manner.notebook:g} s (--notebook-deadline)" if own else manner.limit
            explained: BaseException = DeadlinePassed(f"{place}: ended because {limit}")
        elif isinstance(problem, processes.Died):
            explained = StepFailed(f"{place}: {problem}")
        else:
            return problem
        explained.__cause__ = problem
        return explained

    def _note(self, spec: StepSpec, key: str, seconds: float, reused_from: str = "") -> None:
        entry = {"key": key, "seconds": seconds, "reused_from": reused_from, "files": reuse.left(spec, self.work)}
        done = {**self.record["steps"], spec.name: entry}
        self.record["steps"] = {name: done[name] for name in STEPS if name in done}
        self._save()

    def _save(self) -> None:
        self.record["at_work"] = list(self.at_work)
        records.write(self.record, self.work)
        self.on_step(self.record["at_work"], list(self.record["steps"]))

    @property
    def _run(self) -> dict[str, str]:
        return {"run_id": self.record["run_id"]}


@dataclass(frozen=True)
class _AtWork:
    """A step in a process of its own, since when [on the monotonic clock]."""

    spec: StepSpec
    key: str
    call: processes.Apart
    begun: float


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
    unfinished = [f"notebooks/{name}.ipynb" for name in record.get("at_work", [])]
    for name in unfinished:
        with suppress(OSError):  # a full disk: what could be written is there
            execution.mark_unfinished(work / name, said)
    with suppress(OSError):
        records.write(_ended(record, work, exit_class, said), work)
        disk.settle(work)
    failed = work.rename(work.with_name(f"failed-{record['run_id']}"))
    return next((failed / name for name in unfinished if (failed / name).exists()), failed)


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


def _free_id(started: datetime) -> str:
    stem = f"{started:%Y%m%dT%H%M%SZ}"
    taken = {records.id_of(path) for path in paths.runs().iterdir()}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def clean_up() -> None:
    """Under the lock: end what a killed run left running, and keep what it had done as failed."""
    for folder in filter(records.id_of, paths.runs().glob("working-*")):
        processes.end(folder)
        run_id = records.id_of(folder)
        record: dict[str, Any] = {"run_id": run_id, "parameters": {}, "raw_files": {}, "steps": {}, "at_work": []}
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
