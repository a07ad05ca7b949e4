"""The bench on which faults are tried: a small study, commands that can be struck, and what must hold after each.

The study has the real raw figures, the real published results and notebooks that leave small files at once.
A command is forked from a process that has the libraries loaded, so that a faulted run takes seconds, and
its chain is cut to two notebooks; everything else is the program as it is shipped. What a machine can do to
a program (a power cut at its third rename, a disk that is full at the second file) is done by patching
functions of `os` in that process: the program itself has no hooks.
"""

import builtins
import contextlib
import errno
import io
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

from anime_growth import errors, paths
from anime_growth.pipeline import STEPS

CHAIN = tuple(STEPS)[:2]
PATIENCE = 60  # seconds after which a command hangs
TOP = Path(__file__).resolve().parents[2]

PROMISES = """\
import json, os, time
from pathlib import Path

folder = Path(os.environ["ANIME_GROWTH_RUN"])
for name in {promises}:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(name * 100)
time.sleep(0.1)
"""
SENTINEL = """\
(folder / "steps").mkdir(exist_ok=True)
(folder / "steps" / "{name}.json").write_text(json.dumps({{"step": "{name}"}}))
"""


# --- the study --------------------------------------------------------------------------------------
def make_study(top: Path) -> Path:
    """A study whose six notebooks write what they promise and nothing more."""
    for name in ("data/raw", "data/processed/published"):
        shutil.copytree(paths.home() / name, top / name)
    for name in ("README.md", "CHANGELOG.md", "data/README.md", "uv.lock"):
        shutil.copyfile(paths.home() / name, top / name)
    (top / "notebooks").mkdir()
    for name, spec in STEPS.items():
        sources = (PROMISES.format(promises=spec.promises), SENTINEL.format(name=name))
        parameters = new_code_cell('edition = "latest"', metadata={"tags": ["parameters"]})
        save(new_notebook(cells=[parameters, *map(new_code_cell, sources)]), top, name)
    return top


def save(notebook: nbformat.NotebookNode, study: Path, step: str) -> None:
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    nbformat.write(notebook, study / "notebooks" / f"{step}.ipynb")


def snapshot(top: Path) -> dict[str, tuple[int, str]]:
    """Every file, folder and link below `top` but the runs that are no results, with mode and content."""
    found = {}
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        inside = re.match(r"data/processed/(runs/(latest$|failed-|working-|\.|interactive)|publishing)", name)
        if not inside:
            mode = path.lstat().st_mode
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if stat.S_ISREG(mode) else b""
            found[name] = (mode, sha256(content if isinstance(content, bytes) else content.encode()).hexdigest())
    return found


# --- commands ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Setting:
    """What is odd about the machine on which a command runs."""

    environ: Mapping[str, str | None] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    umask: int = 0o022
    # Streams (0 to 2) that are closed, or whose reader is gone.
    closed: Sequence[int] = ()
    broken: Sequence[int] = ()
    gone: bool = False
    ignored: Sequence[int] = ()
    clock: str = ""
    whole_chain: bool = False
    # What happens at the nth call of a function of `os` (or of `open` for writing) in the study; at each if n is 0.
    function: str = ""
    call: int = 0
    event: str = ""


class Command:
    """A command at work; `real` starts it as a shell would, else it is forked from a loaded process."""

    def __init__(
        self, bench: "Bench", arguments: Sequence[str], setting: Setting, real: bool, within: Sequence[str]
    ) -> None:
        self.bench, self.arguments = bench, arguments
        self.out, self.err, self.synced = (bench.new_file(name) for name in ("out", "err", "synced"))
        self._told = (str(bench.study), list(arguments), asdict(setting), str(self.synced))
        self._process: Any
        if real:
            own = {"PYTHONPATH": str(TOP), paths.HOME_VARIABLE: str(bench.study)}
            environ = {**os.environ, **own, **setting.environ}
            with self.out.open("w") as out, self.err.open("w") as err:
                self._process = subprocess.Popen(
                    [*within, sys.executable, "-m", __name__, json.dumps(self._told)],
                    env={name: value for name, value in environ.items() if value is not None},
                    cwd=bench.study,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
        else:
            context = multiprocessing.get_context("forkserver")
            self._process = context.Process(target=_forked, args=(str(self.out), str(self.err), self._told))
            self._process.start()
        self.pid: int = self._process.pid
        self._real = real

    def _code(self) -> int | None:
        return self._process.poll() if self._real else self._process.exitcode

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self._code() is not None

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code; negative for the signal that ended it. Raises AssertionError where it hangs."""
        self.until(lambda: False, seconds, f"`{' '.join(self.arguments)}` still runs after {seconds} s")
        return int(self._code())  # type: ignore[arg-type]

    def until(self, reached: Callable[[], Any], seconds: float = PATIENCE, otherwise: str = "never reached") -> Any:
        """What `reached` says as soon as it says something, or the command has ended."""
        limit = time.monotonic() + seconds
        while not (said := reached()) and not self.ended:
            if time.monotonic() > limit:
                kill(*self.family())
                raise AssertionError(otherwise)
            time.sleep(0.005)
        return said

    # --- its processes ---
    def family(self) -> list[psutil.Process]:
        """The command, its worker, the kernel and whatever these have started."""
        try:
            own = psutil.Process(self.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def worker(self) -> list[psutil.Process]:
        """The process of the notebook at work."""
        return _children(self.family()[:1])

    def kernel(self) -> list[psutil.Process]:
        """The kernel at work."""
        return _children(self.worker())

    def send(self, number: int) -> None:
        """Send a signal to the command, if it is still there."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ignores(self, number: int) -> bool:
        """Whether it is deaf to a signal by now."""
        return self._has("SigIgn", number)

    def handles(self, number: int) -> bool:
        """Whether it has an answer to a signal by now."""
        return self._has("SigCgt", number)

    def _has(self, mask: str, number: int) -> bool:
        with contextlib.suppress(OSError):
            found = re.search(rf"{mask}:\s*(\w+)", Path(f"/proc/{self.pid}/status").read_text())
            return bool(found and int(found[1], 16) >> (number - 1) & 1)
        return False

    # --- moments ---
    def at_random(self) -> None:
        """Wait for a random moment of the run, once the command answers to signals."""
        self.until(lambda: self.handles(signal.SIGTERM))
        moments = [
            ("start", "", 0.5),
            *((f"{name} at work", f"working-*/notebooks/{name}.ipynb", 1.5) for name in CHAIN),
            *((f"{name} done", f"working-*/steps/{name}.json", 0.4) for name in CHAIN),
        ]
        phase, reached, longest = self.bench.rng.choice(moments)
        if reached:
            self.until(lambda: self.bench.newly(reached))
        delay = self.bench.rng.uniform(0, longest)
        time.sleep(delay)
        self.bench.moment = f"{phase}, {delay:.3f} s later"

    def in_a_cell(self) -> None:
        """Wait until the cell of `Bench.cell` is at work."""
        self.until(self.bench.marked.exists)


def _children(parents: list[psutil.Process]) -> list[psutil.Process]:
    """The first child that is at work, where there is one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = [child for one in parents for child in one.children()]
        return [one for one in found if one.status() != psutil.STATUS_ZOMBIE][:1]
    return []


def kill(*processes: psutil.Process, number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, some of which may be gone."""
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(number)


# --- the bench --------------------------------------------------------------------------------------
class Bench:
    """One study on which fault after fault is tried, and what is owed from one to the next."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        names = ("cli", "runs", "housekeeping", "publish")
        loaded = ["papermill", __name__, *(f"anime_growth.{name}" for name in names)]
        multiprocessing.set_forkserver_preload(loaded)
        self.folder, self.rng = folder, rng
        # Names that a shell, a URL or an old locale would stumble over.
        self.study = make_study(folder / "the study of Überseeerlöse")
        self.runs = self.study / "data" / "processed" / "runs"
        self.marked = folder / "marked"
        self.moment = ""
        # Killed runs that the next run has to end and to name: their ids.
        self.owed: set[str] = set()
        # What publishing makes of the study, once it is known.
        self.published_new: dict[str, tuple[int, str]] = {}
        self._files = 0
        first = self.run()
        assert first.wait() == 0, first.err.read_text()
        self.remember()

    def new_file(self, name: str) -> Path:
        """An empty file outside the study."""
        self._files += 1
        path = self.folder / f"{self._files}.{name}"
        path.touch()
        return path

    def start(self, *arguments: str, real: bool = False, within: Sequence[str] = (), **setting: Any) -> Command:
        """Start `anime-growth *arguments`, a run without any, on a machine as `setting` says.

        A run is one of everything, with kernels that are begun in one of the two ways.
        """
        arguments = arguments or ("run",)
        if arguments[0] == "run":
            arguments = (*arguments, "--again", "--engine", self.rng.choice(("forked", "kernel")))
        return Command(self, arguments, Setting(**setting), real, within)

    def run(self, *arguments: str, real: bool = False, within: Sequence[str] = (), **setting: Any) -> Command:
        """The same, waiting for its end."""
        command = self.start(*arguments, real=real, within=within, **setting)
        command.wait()
        return command

    @contextlib.contextmanager
    def cell(self, source: str, step: str = "") -> Iterator[None]:
        """A notebook has one more cell, before the one that leaves the sentinel."""
        step = step or self.rng.choice(CHAIN)
        self.marked.unlink(missing_ok=True)
        with self.notebook(step) as path:
            notebook = nbformat.read(path, as_version=4)
            notebook.cells.insert(-1, new_code_cell(f"Path({str(self.marked)!r}).touch()\n{source}"))
            save(notebook, self.study, step)
            yield

    @contextlib.contextmanager
    def notebook(self, step: str = CHAIN[0]) -> Iterator[Path]:
        """A notebook's file, to be spoilt; it is put back."""
        path = self.study / "notebooks" / f"{step}.ipynb"
        before = path.read_bytes()
        try:
            yield path
        finally:
            path.write_bytes(before)

    def processes(self) -> list[str]:
        """Processes that belong to the study: by their run, by where they are, by what they were told."""
        found = []
        for one in psutil.process_iter():
            try:
                marks = (one.environ().get(paths.RUN_VARIABLE, ""), one.cwd(), *one.cmdline())
            except (psutil.Error, OSError):  # another user's, or gone meanwhile
                continue
            if any(str(self.study) in mark for mark in marks):
                found.append(" ".join(marks))
        return found

    def lose_unsynced(self, command: Command) -> None:
        """What a power cut does to files whose content was not asked onto the disk: most are empty."""
        safe = {tuple(map(int, line.split())) for line in command.synced.read_text().splitlines()}
        for path in sorted((self.study / "data" / "processed").rglob("*")):
            at = path.lstat()
            lost = path.relative_to(self.study).as_posix() not in self.before
            lost = lost and stat.S_ISREG(at.st_mode) and (at.st_ino, at.st_mtime_ns) not in safe
            if lost and self.rng.random() < 0.7:
                path.write_bytes(b"")

    @contextlib.contextmanager
    def as_home(self) -> Iterator[None]:
        """The package takes this study for the current one."""
        before = os.environ.get(paths.HOME_VARIABLE)
        os.environ[paths.HOME_VARIABLE] = str(self.study)
        try:
            yield
        finally:
            os.environ.pop(paths.HOME_VARIABLE)
            if before is not None:
                os.environ[paths.HOME_VARIABLE] = before

    def tidy(self) -> None:
        """Remove what only makes the next check slower: failed runs, and finished ones but the last two."""
        finished = sorted(path for path in self.runs.glob("2*"))
        for folder in (*self.runs.glob("failed-*"), *finished[:-2]):
            if folder.name != os.readlink(self.runs / "latest"):
                shutil.rmtree(folder)

    def remember(self) -> None:
        """Note how the study is before a fault."""
        self.before = snapshot(self.study)
        self.folders = {path.name for path in self.runs.glob("*")}

    def newly(self, pattern: str) -> bool:
        """Whether there is a path like this in a run that was not there when the fault began."""
        return any(path.relative_to(self.runs).parts[0] not in self.folders for path in self.runs.glob(pattern))


# --- inside the command's process -------------------------------------------------------------------
Told = tuple[str, list[str], dict[str, Any], str]


def _forked(out: str, err: str, told: Told) -> None:
    """Take the place of a command that a shell has started."""
    os.setsid()
    os.chdir(told[0])
    os.environ[paths.HOME_VARIABLE] = told[0]
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    _be_the_command(told)


def _be_the_command(told: Told) -> None:
    """Make this process and its machine what the setting says, and run the command."""
    study, arguments, wanted, synced = told
    setting = Setting(**wanted)
    environ = {**setting.environ, paths.RUN_VARIABLE: None}
    for name, value in environ.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    os.umask(setting.umask)
    if setting.gone:
        os.chdir(folder := tempfile.mkdtemp())
        os.rmdir(folder)
    for number in errors.STOPS:  # whatever the tests were started with
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in setting.ignored else usual)
    if not setting.whole_chain:
        for name in tuple(STEPS)[len(CHAIN) :]:
            del STEPS[name]

    from anime_growth import cli, runs

    runs._load_pages = lambda language: None
    runs._begin_pages, runs._make_pages = lambda work, steps: {}, _as_pages
    if setting.whole_chain:
        from anime_growth import canary, digest

        # What these say of the figures is tried elsewhere; here it would take minutes.
        canary.write = lambda folder, tell: None
        digest.make = lambda *_: SimpleNamespace(as_entry=lambda: "- a number moved")  # type: ignore[assignment]
    if setting.clock:
        runs.datetime = SimpleNamespace(now=lambda zone: datetime.fromisoformat(setting.clock))  # type: ignore
    if setting.function:
        _patch(setting, Path(study), synced)
    for stream in setting.broken:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, stream)
    for stream in setting.closed:
        os.close(stream)
        setattr(sys, ("stdin", "stdout", "stderr")[stream], None)
    for name, most in setting.limits.items():
        most += psutil.Process().memory_info().vms if name == "RLIMIT_AS" else 0
        resource.setrlimit(getattr(resource, name), (most, most))
    cli.app(arguments, prog_name="anime-growth")


def _as_pages(work: Path, record: dict[str, Any], chain: Any) -> dict[str, Any]:
    """Some files in the place of the pages, which need more of a run than these notebooks leave."""
    from anime_growth import runs

    for name in ("paper.pdf", "index.html", "datapackage.json", "ro-crate-metadata.json"):
        (work / name).write_text("made of the whole run\n")
    return runs._ended(record, work, "done")


PATCHED = ("replace", "rename", "symlink", "fsync", "mkdir", "unlink", "rmdir")


def _patch(setting: Setting, study: Path, synced: str) -> None:
    """Let the event happen at the nth call of one function; note what has been made safe on the disk."""
    inside = str(study)
    supervisor = os.getpid()
    calls = multiprocessing.get_context("fork").Value("i", 0)  # shared with the notebooks' processes
    notes = os.open(synced, os.O_WRONLY | os.O_APPEND)

    def count(name: str, *places: object) -> None:
        if name != setting.function or not (name == "fsync" or any(str(one).startswith(inside) for one in places)):
            return
        with calls.get_lock():
            calls.value += 1
            due = setting.call in (0, calls.value)
        if due:
            happen(setting.event, supervisor, *([str(places[0])] if name != "fsync" else []))

    def around(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            count(name, *arguments[:2])
            if name == "fsync":
                at = os.fstat(arguments[0])
                os.write(notes, f"{at.st_ino} {at.st_mtime_ns}\n".encode())
            return plain(*arguments, **options)

        return call

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            count("open", file)
        return plain_open(file, mode, *arguments, **options)

    plain_open = builtins.open
    builtins.open = io.open = opened
    for name in PATCHED:
        setattr(os, name, around(name, getattr(os, name)))


def happen(event: str, supervisor: int, *place: str) -> None:
    """A power cut, a signal to the command, or an error that the machine answers with."""
    if event == "power cut":
        own = os.getpid()
        family = psutil.Process(supervisor)
        kill(*(one for one in (family, *family.children(recursive=True)) if one.pid != own))
        os.kill(own, signal.SIGKILL)
    elif event.startswith("SIG"):
        os.kill(supervisor, getattr(signal, event))
        time.sleep(0.05)
    else:
        number = getattr(errno, event)
        raise OSError(number, os.strerror(number), *place)


if __name__ == "__main__":
    _be_the_command(json.loads(sys.argv[1]))
