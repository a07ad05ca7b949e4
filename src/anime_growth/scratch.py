"""A command of this study run from scratch: in a clean clone, with an environment of its own, without a network.

Only the commit that is checked out takes part, and what its lock names. The run folder that the command makes
is brought home; nothing else is left.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anime_growth import disk, errors, locks, offline, paths, processes, records, runs
from anime_growth.errors import DeadlinePassed, InputError, Locked, StepFailed
from anime_growth.steps import STEPS

# A program that is told to stop has this long to end what it has started [s].
GRACE_SECONDS = 20
# What a command would take over from the environment that it is started from, and should not.
OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
# Tells the command that it runs from scratch.
VARIABLE = "ANIME_GROWTH_FROM_SCRATCH"
log = logging.getLogger("anime_growth")


def told() -> str:
    """In what environment this process runs, in words."""
    return "made from the lock, in a clean clone" if os.environ.get(VARIABLE) else "the one at hand"


def run(
    arguments: Sequence[str],
    good: Collection[int],
    on_step: runs.Told,
    tick: Callable[[], None],
    manner: runs.Manner,
) -> Path:
    """Run `anime-growth <arguments>` in a clean clone, and return the run folder that it made, which is here now.

    It should end with one of the exit codes `good`. Raises InputError where there is no clean checkout,
    StepFailed where the environment cannot be made, and what the command itself ended with.
    """
    _refuse_unfit()
    with tempfile.TemporaryDirectory(prefix="anime-growth-", ignore_cleanup_errors=True) as place:
        study, cutter = Path(place) / "study", Path(place) / "offline"
        cutter.mkdir()
        call = Call(Path(place) / "log", on_step, tick, manner.run)
        log.info("cloning the commit that is checked out")
        call(["git", "clone", "--quiet", "--no-hardlinks", str(paths.home()), str(study)], Path(place))
        log.info("making an environment from its lock")
        if call(["sh", ".ci/environment"], study):
            paths.runs().mkdir(parents=True, exist_ok=True)
            kept = shutil.copyfile(call.log, paths.runs() / "from-scratch.log")
            raise StepFailed(f"the environment could not be made: {call.last_words}. Read {paths.shown(kept)}.")
        before, variables = offline.cut(cutter)
        log.info("running in the clone; the network is cut by %s", variables[offline.VARIABLE])
        limited = ["--notebook-deadline", str(manner.notebook), "--deadline", str(manner.run)]
        limited += ["--jobs", str(manner.jobs), "--engine", manner.engine]
        program = str(study / ".venv" / "bin" / "anime-growth")
        code = call([*before, program, *arguments, *limited], study, {**variables, VARIABLE: "yes"}, GRACE_SECONDS)
        made = _bring_home(study / paths.runs().relative_to(paths.home()), manner)
        if code in good and made is not None:
            return made
        kind = {errors.BAD_INPUT: InputError, errors.DEADLINE: DeadlinePassed, errors.LOCKED: Locked}
        raise kind.get(code, StepFailed)(call.last_words)


def _refuse_unfit() -> None:
    """Raise InputError unless the study lies in a git clone without changes."""
    home = paths.home()
    if _git("rev-parse", "--show-toplevel") != str(home):
        raise InputError(paths.shown(home), "is no git clone, so there is no commit to start from", "Clone it with git")
    if changed := changed_files():
        do = "Commit it, or put it aside, first"
        raise InputError(changed[0], "differs from the commit that is checked out", do)


def changed_files(*places: Path) -> list[str]:
    """Files of the checkout, or of these places in it, that differ from the commit; none outside a clone."""
    return [line[3:] for line in _git("status", "--porcelain", "--", *map(str, places)).splitlines()]


def _git(*arguments: str) -> str:
    """What git says of the checkout; empty outside one."""
    try:
        done = subprocess.run(["git", *arguments], cwd=paths.home(), capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.rstrip() if done.returncode == 0 else ""


@dataclass(frozen=True)
class Call:
    """Programs called one after the other; what they say goes to `log`, and their steps to `on_step`."""

    log: Path
    on_step: runs.Told
    tick: Callable[[], None]
    seconds: float

    def __call__(
        self, command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None, grace: float = 0
    ) -> int:
        """The exit code of `command`. However this ends, nothing that it has started is left."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in OF_THIS_PYTHON and not name.startswith("ANIME_GROWTH_")
        }
        deadline = time.monotonic() + self.seconds + grace
        with self.log.open("ab") as out, self.log.open(encoding="utf-8", errors="replace") as said:
            said.seek(0, os.SEEK_END)
            process = subprocess.Popen(
                command, cwd=folder, env={**inherited, **(variables or {})}, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
            try:
                while process.poll() is None:
                    if time.monotonic() > deadline:
                        raise DeadlinePassed(
                            f"{Path(command[0]).name} took longer than {self.seconds:g} s (--deadline)"
                        )
                    time.sleep(processes.TICK_SECONDS)
                    self._hear(said.readlines())
                return process.returncode
            finally:
                _end(process)

    def _hear(self, lines: Sequence[str]) -> None:
        self.tick()
        for line in lines:
            word, _, step = line.strip().partition(" ")
            if word == "running":
                log.info("running %s", step)
                before = list(STEPS).index(step) if step in STEPS else 0
                self.on_step([step], list(STEPS)[:before])

    @property
    def last_words(self) -> str:
        """The last line that was said, without the name of the program that said it."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1].removeprefix("anime-growth: ") if said else "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a program and all in its session to end, and after a while make them."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _bring_home(away: Path, manner: runs.Manner) -> Path | None:
    """Copy the run in the runs folder `away` to the one here, where it appears whole; None if there is none.

    A run that did not end well comes home as well, for reading.
    """
    found = [folder for folder in away.glob("*") if records.id_of(folder) and not folder.is_symlink()]
    if not found:
        return None
    with locks.held(paths.runs(), manner.wait or manner.run):
        taken = {path.name for path in paths.runs().iterdir()}
        stem = found[0].name
        name = next(one for one in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if one not in taken)
        arriving = paths.runs() / f"working-{records.id_of(Path(name))}"
        try:
            shutil.copytree(found[0], arriving)
            disk.settle(arriving)
            home = arriving.rename(paths.runs() / name)
        except BaseException:
            shutil.rmtree(arriving, ignore_errors=True)
            raise
        disk.settle_names(paths.runs())
        if name == records.id_of(home):
            records.point_latest(home)
    return home if name == records.id_of(home) else None
