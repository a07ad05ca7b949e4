"""One lock for each folder that is written to, so that two runs never mix."""

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anime_growth import disk, paths
from anime_growth.errors import InputError, Locked

NAME = ".lock"
# How soon a fresh lock names its holder, and how long a damaged one is watched before it is taken over.
NAMED_SECONDS = 1
DAMAGED_SECONDS = 4
# What a run with its kernels needs twice over, and what every system grants unless told otherwise.
OPEN_FILES = 256


@contextmanager
def held(folder: Path, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock of `folder`; raises Locked when another process has it for longer than `wait_seconds`.

    Raises InputError where the system lets a process open too few files (a lock that cannot be read is taken
    for a held one, and a kernel dies without saying why), and where `folder` is none or
    takes no files.

    The lock names its holder by pid, host and start time of the process, so that one left behind by a
    process that is gone, or whose pid has been given to another, is taken over (filelock.SoftFileLock).
    """
    from filelock import SoftFileLock, Timeout

    _refuse_few_open_files()
    disk.refuse_no_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = SoftFileLock(folder / NAME)
    if lock.pid is None and _is_damaged(folder / NAME):
        wait_seconds = max(wait_seconds, DAMAGED_SECONDS)
    try:
        lock.acquire(timeout=wait_seconds)
    except FileNotFoundError as problem:  # though the folder is there: /proc, say
        raise InputError(paths.shown(folder), "takes no files", "Let it be a folder on a disk") from problem
    except Timeout:
        with tempfile.TemporaryFile(dir=folder):  # raises where the lock of one that is gone cannot be replaced
            pass
        holder = f"process {lock.pid}" if lock.pid else "another process"
        raise Locked(
            f"{paths.shown(folder)}: {holder} is at work here. "
            f"Wait until it has ended, or start with --wait SECONDS; "
            f"if it runs on another machine that is gone, remove {paths.shown(folder / NAME)}."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _refuse_few_open_files() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= limit < OPEN_FILES:
        raise InputError(
            "limit on open files", f"it is {limit}, and a run needs {OPEN_FILES}", f"Raise it: ulimit -n {OPEN_FILES}"
        )


def _is_damaged(path: Path) -> bool:
    """Whether a lock is there that names no holder, and gets none at once as a fresh one does.

    filelock takes over a lock that it cannot read once it has seen that it does not change; but for the
    holder of an empty one, as a power cut leaves it, it would wait for ever. So something is written to it.
    (It is not removed, lest a lock be harmed that has come into its place.)
    """
    with suppress(OSError), path.open("r+b") as lock:
        limit = time.monotonic() + NAMED_SECONDS
        while not os.fstat(lock.fileno()).st_size:
            if time.monotonic() > limit:
                lock.write(b"left empty\n")
                break
            time.sleep(0.01)
        return True
    return False
