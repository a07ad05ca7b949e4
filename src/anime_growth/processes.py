"""Work in a process of its own, which can be ended for certain together with everything it has started."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from anime_growth import paths

# How often the one that waits looks up, to redraw its clock.
TICK_SECONDS = 0.2
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
        with warnings.catch_warnings():
            # The threads that fork is warned of are those of numerical libraries, which stand still here.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        problem = _answer(process, ours, seconds, tick)
    finally:
        end(folder, process)
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
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(written, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    try:
        work()
    except Exception as problem:
        answer.send(problem)
    else:
        answer.send(None)


def _end_with_parent(folder: Path) -> None:
    """Should the one that waits be gone, end everything that was started for it, and oneself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        end(folder)
        os.kill(os.getpid(), signal.SIGKILL)


def end(folder: Path, process: BaseProcess | None = None) -> None:
    """Kill `process` with its children, and whatever carries `folder` as its run in its environment.

    The environment also finds what has left the family: a cell's background process in a session of
    its own, or a kernel whose parent was killed.
    """
    pid = process.pid if process is not None else None
    for _ in range(10):  # what is killed may just have started another
        found = _marked(folder) + (_family(pid) if pid else [])
        for one in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        if process is not None and pid:
            process.join(timeout=5)
        if not found:
            return
        psutil.wait_procs(found, timeout=5)


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)] if first.status() != psutil.STATUS_ZOMBIE else []
    except psutil.NoSuchProcess:
        return []


def _marked(folder: Path) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        try:
            if one.pid != os.getpid() and one.environ().get(paths.RUN_VARIABLE) == str(folder):
                found.append(one)
        except (psutil.Error, OSError):  # another user's, or gone meanwhile
            continue
    return found
