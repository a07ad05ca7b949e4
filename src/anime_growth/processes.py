"""Work in a process of its own, which can be ended for certain together with everything it has started."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from anime_growth import paths
from anime_growth.errors import InputError, StepFailed

# How often the one that waits looks up, to redraw its clock.
TICK_SECONDS = 0.2
# How long what is killed may take to be gone.
END_SECONDS = 10
# What asks a command to stop: Ctrl-C, a scheduler, a closed terminal.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_CHILD_SUBREAPER = 36  # from the Linux header sys/prctl.h
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
                " (the machine may be out of memory)" if name == "SIGKILL" else ""
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


def call_apart(
    work: Callable[[], None], folder: Path, log: Path, seconds: float, tick: Callable[[], None] = NO_TICK
) -> None:
    """Call `work()` in a process of its own, for the run in `folder`; what it prints goes to `log`.

    Raises what `work` raised, Died when the process ended without a word, TimeoutError after `seconds`.
    However this ends, no process that was started for `folder` is left.
    """
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_apart, args=(work, theirs, folder, log))
    try:
        with undisturbed(), warnings.catch_warnings():
            # The threads that fork is warned of are those of numerical libraries, which stand still here.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        problem = _answer(process, ours, seconds, tick)
    finally:
        with undisturbed():
            end(folder, process.pid)
            if process.pid:
                process.kill()
                process.join()
            ours.close()
    if problem is not None:
        raise problem


def _answer(process: BaseProcess, ours: Connection, seconds: float, tick: Callable[[], None]) -> BaseException | None:
    """What the process sends, waiting no longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not (ready := wait([ours, process.sentinel], timeout=TICK_SECONDS)):
        if time.monotonic() > deadline:
            raise TimeoutError
        tick()
    if ours in ready:
        try:
            return ours.recv()
        except EOFError:
            pass
    process.join()
    return Died(process.exitcode)


def _apart(work: Callable[[], None], answer: Connection, folder: Path, log: Path) -> None:
    """The other side: a session of its own, so that Ctrl-C in a terminal reaches only the one that waits."""
    os.setsid()
    _adopt_orphans()
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    os.chdir(folder)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(written, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    said = None
    try:
        work()
    except Exception as problem:
        if not isinstance(problem, InputError | StepFailed):
            traceback.print_exc()
        said = problem
    end(folder, os.getpid())
    answer.send(said)


def _adopt_orphans() -> None:
    """A descendant whose parent ends becomes a child of this process, which so can find it (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_with_parent(folder: Path) -> None:
    """Should the one that waits be gone, end everything that was started for it, and oneself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        end(folder, os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)


def end(folder: Path, root: int | None = None) -> None:
    """Kill the descendants of process `root`, and whatever carries `folder` as its run in its environment.

    The environment also finds what has no family left: the kernel of a worker that was killed.
    """
    limit = time.monotonic() + END_SECONDS
    while (found := _marked(folder) + _descendants(root)) and time.monotonic() < limit:
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


def _marked(folder: Path) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        try:
            if one.pid != os.getpid() and one.environ().get(paths.RUN_VARIABLE) == str(folder):
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
