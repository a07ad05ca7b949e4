"""Work in a process of its own, which can be ended for certain together with everything it has started."""

import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from anime_growth import paths
from anime_growth.errors import STOPS, InputError, StepFailed

# How often the one that waits looks up, to redraw its clock.
TICK_SECONDS = 0.2
# How long what is killed may take to be gone.
END_SECONDS = 10
# Where a process may be copied; on macOS libraries of the system forbid it.
CAN_FORK = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # from the Linux header sys/prctl.h
M_MMAP_THRESHOLD = -3  # from the header malloc.h of glibc
BLOCK_BYTES = 128 * 1024  # what glibc begins with
NO_TICK: Callable[[], None] = lambda: None  # noqa: E731


class Died(Exception):
    """The process ended without a word; `code` is its exit code, negative for a signal."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        if self.code is not None and self.code < 0:
            name = signal.Signals(-self.code).name
            return f"its process was killed by {name}" + (
                " (the machine may be out of memory)" if name in ("SIGKILL", "SIGABRT") else ""
            )
        return f"its process ended early with exit code {self.code}"


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What is begun here is brought to its end; Ctrl-C or a scheduler's stop is heard afterwards."""
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield
        return
    heard: list[int] = []
    before: dict[signal.Signals, Any] = {}
    try:
        for number in STOPS:
            before[number] = signal.signal(number, lambda number, frame: heard.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        signal.raise_signal(heard[0])


@contextlib.contextmanager
def unwarned_of_threads() -> Iterator[None]:
    """The threads that Python warns a fork of are those of numerical libraries, which stand still then."""
    with warnings.catch_warnings():
        # By its words, since the copy goes on with this filter.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """What is imported here stays, and is not looked through for what could be freed, now or later.

    That takes a tenth of the time of an import, and after a fork it would make copies of what is shared.
    A stop is heard afterwards: compiled libraries take one in their import for an error of their own, and what
    is half imported cannot be imported again.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        with undisturbed():
            yield
    finally:
        gc.freeze()
        if before:
            gc.enable()


def give_back_blocks() -> None:
    """From now on large blocks of memory go back to the system when they are freed, here and in copies (with glibc).

    Left alone glibc keeps the larger ones the larger they are that were freed before: 5 MB in each process.
    """
    with contextlib.suppress(AttributeError):  # other C libraries do without
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)


class Apart:
    """A call in a process of its own, for the run in `folder`; what it prints goes to `log`.

    Used in a `with` statement: however that is left, no process that was started for this `part` of the run
    is left either.
    """

    def __init__(self, work: Callable[[], None], folder: Path, log: Path, part: str = "all") -> None:
        self.folder, self.part = folder, part
        context: Any = multiprocessing.get_context("fork" if CAN_FORK else "spawn")
        self.answers, self._theirs = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(target=_apart, args=(work, self._theirs, folder, log, part))

    def __enter__(self) -> "Apart":
        try:
            with undisturbed(), unwarned_of_threads():
                self.process.start()
        except BaseException:
            self.end()
            raise
        self._theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it with all that it has started; once is enough."""
        if self.answers.closed:
            return
        with undisturbed():
            end(self.folder, self.process.pid, self.part)
            if self.process.pid:
                self.process.kill()
                self.process.join()
            self.answers.close()

    def result(self, seconds: float, tick: Callable[[], None] = NO_TICK) -> None:
        """Return when the call has. Raises what it raised, Died where it ended without a word, or TimeoutError."""
        if not first_ended([self], time.monotonic() + seconds, tick):
            raise TimeoutError
        problem: BaseException | None
        try:
            problem = self.answers.recv() if self.answers.poll() else self._died()
        except EOFError:
            problem = self._died()
        if problem is not None:
            raise problem

    def _died(self) -> Died:
        self.process.join()
        return Died(self.process.exitcode)


def first_ended(calls: Collection[Apart], deadline: float, tick: Callable[[], None] = NO_TICK) -> Apart | None:
    """The first of `calls` that has ended; None where none has before `deadline` (on the monotonic clock)."""
    while True:
        left = deadline - time.monotonic()
        ready = wait([one.answers for one in calls], timeout=max(0, min(TICK_SECONDS, left)))
        for one in calls:
            # What a cell has forked may hold the pipe of a process that is gone.
            if one.answers in ready or not one.process.is_alive():
                return one
        if left < 0:
            return None
        tick()


def _apart(work: Callable[[], None], answer: Connection, folder: Path, log: Path, part: str) -> None:
    """The other side: a session of its own, so that Ctrl-C in a terminal reaches only the one that waits."""
    gc.freeze()  # looking through what is shared with the original would make copies of it
    os.setsid()
    _adopt_orphans()
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    os.chdir(folder)
    os.environ |= {paths.RUN_VARIABLE: str(folder), paths.PART_VARIABLE: part}
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(written, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    threading.Thread(target=_end_with_parent, args=(folder, part), daemon=True).start()
    said = None
    try:
        work()
    except Exception as problem:
        if not isinstance(problem, InputError | StepFailed):
            traceback.print_exc()
        said = problem
    end(folder, os.getpid(), part)
    answer.send(said)


def _adopt_orphans() -> None:
    """A descendant whose parent ends becomes a child of this process, which so can find it (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with(parent: int) -> None:
    """From now on this process is killed when process `parent`, which has forked it, ends (on Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has already
        os._exit(1)


def _end_with_parent(folder: Path, part: str) -> None:
    """Should the one that waits be gone, end everything that was started for it, and oneself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        end(folder, os.getpid(), part)
        os.kill(os.getpid(), signal.SIGKILL)


def end(folder: Path, root: int | None = None, part: str = "") -> None:
    """Kill the descendants of process `root`, and whatever carries the run in `folder` in its environment.

    The environment also finds what has no family left: the kernel of a worker that was killed. Where a
    `part` of the run is named, what works for others is spared.
    """
    limit = time.monotonic() + END_SECONDS
    while (found := _marked(folder, part) + _descendants(root)) and time.monotonic() < limit:
        for one in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        time.sleep(0.01)  # and look again: what was killed may just have started another


def _descendants(root: int | None) -> list[psutil.Process]:
    try:
        found = psutil.Process(root).children(recursive=True) if root else []
    except psutil.NoSuchProcess:
        return []
    return [one for one in found if _is_at_work(one)]


def _marked(folder: Path, part: str) -> list[psutil.Process]:
    mark = {paths.RUN_VARIABLE: str(folder), **({paths.PART_VARIABLE: part} if part else {})}
    found = []
    for one in psutil.process_iter():
        try:
            if one.pid != os.getpid() and mark.items() <= one.environ().items():
                found.append(one)
        except (psutil.Error, OSError):  # another user's, or gone meanwhile
            continue
    return [one for one in found if _is_at_work(one)]


def _is_at_work(process: psutil.Process) -> bool:
    """Whether it can still do anything; one that has ended stays in the list until its parent has noticed."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
