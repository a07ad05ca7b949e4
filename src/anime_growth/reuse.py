"""What need not be run again, because nothing that it rests on has changed.

A whole run is known by its surroundings, which is quickly told; a single step by its key (records.step_key).
What was left is taken only as it was left: a file that someone has changed since counts as none.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from anime_growth import disk, parameters, paths, records
from anime_growth.records import Run
from anime_growth.steps import StepSpec

# What a killed run left may not have reached the disk.
ENDED = ("done", "failed", "refused", "deadline", "stopped")
# Items of a sweep whose runs are looked through, the latest ones.
MOST_ASKED = 20


def whole(chosen: parameters.Parameters) -> Path | None:
    """The newest finished run with these parameters, of the figures, code and packages that are here.

    None also where something was broken off, which the next run has to bring in order.
    """
    if disk.is_broken_off() or any(paths.runs().glob("working-*")):
        return None
    now = records.surroundings(chosen)
    for one in records.all_runs():
        alike = all(one.record.get(name) == value for name, value in now.items())
        if alike and one.exit_class == "done" and not records.changed_since(one.folder, one.record):
            return one.folder
    return None


def earlier() -> Iterator[Run]:
    """Runs from which steps may be taken: those in the folder of runs, and in a sweep those of some other items."""
    yield from records.all_runs()
    if os.environ.get(paths.RUNS_VARIABLE):
        others = [folder for folder in paths.runs().parent.iterdir() if folder != paths.runs()]
        for folder in sorted(others, key=lambda folder: folder.stat().st_mtime, reverse=True)[:MOST_ASKED]:
            yield from records.all_runs(folder)


def step(spec: StepSpec, key: str, runs: Iterable[Run]) -> Run | None:
    """The first of `runs` in which the step had this key, and whose files are still as it left them."""
    for one in runs:
        known = one.record.get("steps", {}).get(spec.name, {})
        if known.get("key") == key and one.exit_class in ENDED and left(spec, one.folder) == known.get("files"):
            return one
    return None


def left(spec: StepSpec, folder: Path) -> dict[str, str]:
    """Hashes of all that the step has left in a run's folder; empty for what is not there."""
    return {name: records.file_hash(folder / name) for name in spec.leaves}


def take_over(spec: StepSpec, run: Run, folder: Path) -> None:
    """Copy all that the step left in another run to the run in `folder`."""
    for name in spec.leaves:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.folder / name, folder / name)
