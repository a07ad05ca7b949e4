"""What must survive a power cut: folders that are on the disk before they appear, and many files replaced as one.

Replacing many files at once goes through a stage: everything is made ready below `stage`/home, laid out as
below the top folder of the study, and marked so; then each part is moved into its place. What is killed
before the mark is thrown away by the next command, what is killed after it is carried to its end.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from anime_growth import paths
from anime_growth.errors import InputError

READY = "ready"
# More than a kernel needs for files of its own.
ENOUGH_BYTES, ENOUGH_NAMES = 2**20, 64


def settle(folder: Path) -> None:
    """Wait until every file and folder in `folder` is on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        settle_names(path)


def settle_names(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refuse_no_folder(folder: Path) -> None:
    """Raise InputError where something else stands in the place of a folder, or of one that it would lie in."""
    there = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise InputError(paths.shown(there), "is no folder", "Move it away")


def refuse_full(folder: Path) -> None:
    """Raise OSError where the disk has hardly any room for bytes or names, which may be why something broke there."""
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < ENOUGH_BYTES or (room.f_files and room.f_favail < ENOUGH_NAMES):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def replace_as_one(prepare: Callable[[Path], None]) -> None:
    """Let `prepare(home)` lay out what is to be replaced, then put all of it in its place."""
    stage = _stage()
    try:
        (stage / "home").mkdir(parents=True)
        prepare(stage / "home")
        settle(stage)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    (stage / READY).touch()
    settle_names(stage)
    finish_replacing()


def finish_replacing() -> None:
    """Carry a replacement that was interrupted to its end, or throw away what was not ready."""
    stage = _stage()
    if (stage / READY).exists():
        _move(stage)
    shutil.rmtree(stage, ignore_errors=True)


def is_broken_off() -> bool:
    """Whether a replacement was interrupted."""
    return _stage().exists()


def _stage() -> Path:
    return paths.published().with_name("publishing")


def _move(stage: Path) -> None:
    """Done again from the start, it does what is left to do: what was moved is no longer in the stage."""
    home = stage / "home"
    fresh = home / paths.published().relative_to(paths.home())
    if fresh.exists():
        if paths.published().exists():
            shutil.rmtree(stage / "old", ignore_errors=True)
            paths.published().rename(stage / "old")
        fresh.rename(paths.published())
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        os.replace(path, paths.home() / path.relative_to(home))
        settle_names((paths.home() / path.relative_to(home)).parent)
    settle_names(paths.published().parent)
