"""How far a command is, drawn on a terminal; a pipe or a log never sees it.

Notebooks run in forks of this process, which must not have a thread that draws: a bar is drawn whenever
it is told something.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anime_growth.steps import STEPS

if TYPE_CHECKING:
    from rich.progress import Progress

    from anime_growth.runs import Told
    from anime_growth.sweep import Progress as Sweeping


def on_terminal() -> bool:
    """Whether stderr is a terminal on which a line can be drawn anew."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _bar(*columns: Any) -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)


# --- a chain of steps -------------------------------------------------------------------------------
@contextmanager
def of_steps(jobs: int) -> Iterator[tuple["Told", Callable[[], None]]]:
    """A bar of the steps, with the time left where it is known what they took before.

    Gives what a run tells of its steps, and what it calls while they work.
    """
    from anime_growth.processes import NO_TICK
    from anime_growth.runs import NOTHING

    if not on_terminal():
        yield NOTHING, NO_TICK
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

    typical = typical_seconds()
    begun: dict[str, float] = {}
    finished: list[str] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with _bar(*columns, TextColumn("{task.fields[left]}")) as bar:
        task = bar.add_task("starting", total=len(STEPS), left="")

        def tick() -> None:
            if typical and (begun or finished):
                at_work = {name: time.monotonic() - since for name, since in begun.items()}
                left = seconds_left(typical, at_work, finished, jobs)
                told = f"about {timedelta(seconds=round(left))} left" if left >= 1 else "nearly done"
                bar.update(task, left=told)
            bar.refresh()

        def on_step(at_work: Sequence[str], done: Sequence[str]) -> None:
            now = time.monotonic()
            since = {name: begun.get(name, now) for name in at_work}
            begun.clear()
            begun.update(since)
            finished[:] = done
            bar.update(task, description=", ".join(at_work) or "finishing", completed=len(done))
            tick()

        yield on_step, tick


def typical_seconds() -> dict[str, float]:
    """What each step took in the newest run here that has ended well, else in the published one; step -> seconds."""
    from anime_growth import paths, records
    from anime_growth.errors import InputError

    for run in records.all_runs():
        if run.exit_class == "done" and run.record.get("steps"):
            return _seconds(run.record)
    try:
        return _seconds(records.read(paths.published()))
    except InputError:
        return {}


def _seconds(record: Mapping[str, Any]) -> dict[str, float]:
    """Of each step in a record; a step that is not in it takes as long as the average of the others."""
    known = {name: float(step["seconds"]) for name, step in record.get("steps", {}).items() if "seconds" in step}
    return {name: known.get(name, sum(known.values()) / len(known)) for name in STEPS} if known else {}


def seconds_left(typical: Mapping[str, float], at_work: Mapping[str, float], done: Iterable[str], jobs: int) -> float:
    """Seconds until the last step has ended, if each takes what is `typical` of it.

    `at_work` are the steps at work, with how long they have been [seconds]; at most `jobs` work at a time.

    >>> seconds_left(dict.fromkeys(STEPS, 10.0), {"06_narrative": 4.0}, list(STEPS)[:5], 1)
    6.0
    """
    ends = {name: max(typical[name] - worked, 0.0) for name, worked in at_work.items()}
    over = set(done)
    waiting = [spec for spec in STEPS.values() if spec.name not in {*ends, *over}]
    now = 0.0
    while waiting or ends:
        ready = [spec for spec in waiting if over >= set(spec.needs)]
        for spec in ready[: max(jobs - len(ends), 0)]:
            waiting.remove(spec)
            ends[spec.name] = now + typical[spec.name]
        first = min(ends, key=lambda name: ends[name])
        now = ends.pop(first)
        over.add(first)
    return now


# --- counted things ---------------------------------------------------------------------------------
@contextmanager
def of_slips() -> Iterator[Callable[[int, int], None]]:
    """A bar of the slips that publishing tries, with the time left at their rate; it is told how many of how many."""
    if not on_terminal():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _bar(*columns) as bar:
        task = bar.add_task("publishing", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, description="trying what a slip in a raw cell would do", completed=done, total=total)
            bar.refresh()

        bar.refresh()
        yield tell


@contextmanager
def of_sweep() -> Iterator[Callable[["Sweeping"], None]]:
    """A bar of the combinations of a sweep, with rate and time left."""
    if not on_terminal():
        yield lambda told: None
        return
    from rich.progress import BarColumn, TextColumn

    with _bar(BarColumn(), TextColumn("{task.description}")) as bar:
        task = bar.add_task("starting", total=None)

        def tell(told: "Sweeping") -> None:
            bar.update(task, description=str(told), completed=told.done, total=told.total)
            bar.refresh()

        yield tell
