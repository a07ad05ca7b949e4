"""The runs on this machine: chosen, listed, and removed when they are old."""

import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from anime_growth import locks, parameters, paths, records
from anime_growth.errors import InputError
from anime_growth.records import Run

if TYPE_CHECKING:
    from rich.table import Table

CLASSES = ("done", "failed", "refused", "deadline", "stopped", "killed", "running", "unknown")


def select(status: str | None, values: Mapping[str, Any], since: str | None) -> list[Run]:
    """Runs that ended with `status`, had these parameters and started on the day `since` or later, newest first."""
    if status is not None and status not in CLASSES:
        raise InputError(f"--status {status}", "is unknown", f"Choose one of {', '.join(CLASSES)}")
    try:
        day = f"{date.fromisoformat(since):%Y%m%d}" if since is not None else ""
    except ValueError as problem:
        raise InputError(f"--since {since}", "is no day", "Write for example 2026-11-30") from problem
    parameters.check(values)
    return [
        run
        for run in records.all_runs()
        if status in (None, run.exit_class) and run.has(values) and run.run_id[: len(day)] >= day
    ]


def prune(chosen: Iterable[Run], keep: int, dry_run: bool = False) -> list[Run]:
    """Remove all of `chosen` but the first `keep` and those that something rests on; what was removed."""
    with locks.held(paths.runs()):
        resting = _rested_on()
        gone = [run for run in list(chosen)[keep:] if run.run_id not in resting and run.exit_class != "running"]
        for run in () if dry_run else gone:
            # First out of sight, so that what is killed halfway leaves no half run behind.
            leaving = run.folder.rename(run.folder.with_name(f".removing-{run.folder.name}"))
            shutil.rmtree(leaving)
        return gone


def _rested_on() -> set[str]:
    """Ids of the runs that the published results and `latest` rest on."""
    found = {records.id_of(records.latest())}
    for name, told_by in (("run.json", _own_id), ("certificate.json", _verified_against)):
        path = paths.published() / name
        try:
            found |= {told_by(json.loads(path.read_text(encoding="utf-8")))} if path.exists() else set()
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            do = "Restore it with git, so that it is known which runs to keep"
            raise InputError(paths.shown(path), "is damaged", do) from problem
    return found


def _own_id(record: Mapping[str, Any]) -> str:
    return str(record.get("run_id", ""))  # the first records that were published had none


def _verified_against(certificate: Mapping[str, Any]) -> str:
    return str(certificate["against"]["name"])


def as_data(run: Run) -> dict[str, Any]:
    """What a list of runs says of one."""
    return {
        "run_id": run.run_id,
        "exit_class": run.exit_class,
        "seconds": run.seconds,
        "parameters": dict(run.record.get("parameters", {})),
        "commit": run.record.get("git", {}).get("commit", ""),
        "dirty": run.record.get("git", {}).get("dirty", False),
        "problem": run.record.get("problem", ""),
        "folder": paths.shown(run.folder),
    }


def as_table(chosen: Iterable[Run]) -> "Table":
    """The runs as a table for the terminal; of the parameters only those that are not the defaults."""
    from rich.table import Table

    from anime_growth.parameters import Parameters

    defaults = Parameters().model_dump()
    table = Table("run", "ended as", "seconds", "parameters", "code", "problem", box=None, pad_edge=False)
    for one in map(as_data, chosen):
        changed = [f"{name}={value}" for name, value in one["parameters"].items() if value != defaults.get(name)]
        commit = one["commit"][:7] + ("+changes" if one["dirty"] else "")
        seconds = "" if one["seconds"] is None else f"{one['seconds']:.0f}"
        table.add_row(
            one["run_id"], one["exit_class"], seconds, " ".join(changed) or "defaults", commit, one["problem"]
        )
    return table
