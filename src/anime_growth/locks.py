"""One lock for each folder that is written to, so that two runs never mix."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anime_growth import paths
from anime_growth.errors import Locked

NAME = ".lock"


@contextmanager
def held(folder: Path, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock of `folder`; raises Locked when another process has it for longer than `wait_seconds`.

    The lock names its holder by pid, host and start time of the process, so that one left behind by a
    process that is gone, or whose pid has been given to another, is taken over (filelock.SoftFileLock).
    """
    from filelock import SoftFileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = SoftFileLock(folder / NAME)
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
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
