"""The promise of a transaction: what must hold after every fault, whatever it was.

Earlier results are as they were byte for byte; `latest` points to a whole run, and every run in place is
whole; no process is left; what failed says in one line what, where and what to do, ends with the exit code
of its kind, and is kept for reading; what was killed is ended, named and cleaned up by the next run.
"""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anime_growth import records
from anime_growth.pipeline import STEPS
from tests.end_to_end.fault_bench import CHAIN, Bench, Command, snapshot

Strike = Callable[[Bench], Command]
# Run folders that a message names; not those whose name has changed since, nor the lock.
RUN_FOLDER = re.compile(r"(?<= )data/processed/runs/(?:failed-)?\d{8}T\S+")
# The last line of a command that did not do what it was asked to.
PLAIN = re.compile(r"anime-growth: \S.*\.")


@dataclass(frozen=True)
class Fault:
    """One fault: its name and kind, how it strikes a command, and the answers that are right.

    `codes` are the right exit codes and `says` stands in the last line. `kept` is the exit class of the run
    that must be kept as failed; none where no run begins. With `late` the fault may find the run done, or
    not yet begun. After a `killed` one there was no time for words, and the next run has to clean up.
    """

    name: str
    kind: str
    strike: Strike
    codes: tuple[int, ...]
    says: str = ""
    kept: str = ""
    late: bool = False
    killed: bool = False
    # A process may be left for the next run to end.
    leaves: bool = False
    # There may be no room to say more than what stands in the last line.
    full: bool = False
    # Nobody can read what is said.
    silent: bool = False
    only_soak: bool = False
    needs: Callable[[], bool] = lambda: True


@dataclass
class Outcome:
    """How one fault ended."""

    fault: Fault
    code: int
    kept: str = ""  # the exit class of the run that is kept for reading
    left_process: bool = False  # for the next run to end, after a kill
    owed: str = ""  # the run that the next one has to find, after a kill
    cleaned: bool = False  # whether it has


# --- the invariants ---------------------------------------------------------------------------------
def attempt(bench: Bench, fault: Fault) -> Outcome:
    """Let the fault strike and check all that must hold after it. Raises AssertionError where it does not."""
    bench.moment = ""
    bench.remember()
    command = fault.strike(bench)
    outcome = must_hold(bench, fault, command)
    bench.tidy()
    return outcome


def must_hold(bench: Bench, fault: Fault, command: Command) -> Outcome:
    """The promise of a transaction, after whatever has happened."""
    outcome = Outcome(fault, command.wait())
    found = {path.name for path in bench.runs.glob("*") if records.id_of(path)} - bench.folders
    done = {name for name in found if records.id_of(bench.runs / name) == name}
    failed = {name for name in found if name.startswith("failed-")} - {f"failed-{one}" for one in bench.owed}
    working = {name for name in found if name.startswith("working-")}

    _earlier_results_are_unharmed(bench, done)
    _every_run_is_whole(bench)
    succeeded = outcome.code == 0 and command.arguments[0] == "run"
    # What a power cut left may be named and yet not be told of, where just that write is refused.
    writes = not fault.full and fault.kind != "the disk refuses a write"
    _owed_is_paid(bench, began=bool(found), succeeded=succeeded, writes=writes)
    outcome.left_process = _no_process_is_left(bench, fault)
    outcome.kept = answer_is_right(bench, fault, command, outcome.code, done, failed)
    if fault.killed:
        outcome.owed = next((records.id_of(bench.runs / name) for name in working), "")
        bench.owed |= {outcome.owed} - {""}
    else:
        assert not working, f"{working} is left"
        # filelock's own, under limits that do not even let it clean up, are no harm.
        left = {path.name for path in bench.runs.glob(".*") if not path.name.startswith(".lock.break.")}
        assert not (left if found else left - bench.folders), f"left in the folder of runs: {left}"
    return outcome


def _earlier_results_are_unharmed(bench: Bench, done: set[str]) -> None:
    now = snapshot(bench.study)
    changed = {name for name, content in bench.before.items() if now.get(name) != content}
    assert not changed, f"changed or gone: {sorted(changed)[:5]}"
    own = tuple(f"data/processed/runs/{name}" for name in done)
    added = {name for name in now.keys() - bench.before.keys() if not name.startswith(own or ("\0",))}
    assert not added - {"data/processed/runs"}, f"added: {sorted(added)[:5]}"


def _every_run_is_whole(bench: Bench) -> None:
    with bench.as_home():
        for run in records.all_runs():
            if run.folder.name == run.run_id:
                assert run.exit_class == "done", f"{run.run_id} is in place and {run.exit_class}"
                assert not records.changed_since(run.folder, run.record), f"{run.run_id} is not as recorded"
                assert list(run.record["steps"]) == list(CHAIN), run.run_id
                missing = [name for step in CHAIN for name in STEPS[step].promises if not (run.folder / name).is_file()]
                assert not missing, f"{run.run_id} lacks {missing}"
        latest = bench.runs / "latest"
        whole = latest.is_symlink() and (latest / "run.json").exists() and records.read(latest)["exit_class"] == "done"
        assert whole, "latest points to no whole run"


def _owed_is_paid(bench: Bench, began: bool, succeeded: bool, writes: bool) -> None:
    """What a kill left behind has been found by the next run, ended and named, and told of where that `writes`."""
    for run_id in sorted(bench.owed):
        if (bench.runs / f"working-{run_id}").exists():
            assert not began, f"a run began and left working-{run_id} as it was"
            continue
        bench.owed.remove(run_id)
        assert (bench.runs / f"failed-{run_id}").is_dir(), run_id
        if writes:
            with bench.as_home():
                record = records.read(bench.runs / f"failed-{run_id}")
            assert record["exit_class"] == "killed" and record["problem"], run_id
    assert not (succeeded and bench.owed)


def _no_process_is_left(bench: Bench, fault: Fault) -> bool:
    """Whether a process is left that only the next run can end."""

    def found() -> list[str]:
        return [one for one in bench.processes() if not any(run_id in one for run_id in bench.owed)]

    limit = time.monotonic() + (1 if fault.leaves else 5)
    while (left := found()) and time.monotonic() < limit:
        time.sleep(0.02)
    assert fault.leaves or not left, f"left: {left}"
    return bool(left)


def answer_is_right(bench: Bench, fault: Fault, command: Command, code: int, done: set[str], failed: set[str]) -> str:
    """Exit code, last line and what is kept agree with what has happened; the exit class of what is kept."""
    told = command.err.read_text(errors="replace")
    last = (told.strip().splitlines() or [""])[-1]
    seen = f"exit code {code}, stderr: {told[-1500:]}"
    assert "Traceback" not in told and "Warning" not in told, seen
    if code == 0:
        assert 0 in fault.codes or fault.late, seen
        if command.arguments[0] == "run":
            assert done and not failed, seen
            assert os.readlink(bench.runs / "latest") in done, "latest did not move"
        return ""
    if code < 0:
        too_early_or_late = fault.late and (not told or (done and last.startswith(("all steps done", "Next: "))))
        assert code in fault.codes or too_early_or_late, seen
        return ""
    assert code in fault.codes, seen
    if fault.silent:
        return ""
    assert PLAIN.fullmatch(last), f"the last line is not plain; {seen}"
    assert told.count("anime-growth: ") == 1, seen
    assert re.search(fault.says, last), f"{fault.says!r} is not said; {seen}"
    for place in RUN_FOLDER.findall(last):
        assert (bench.study / place.rstrip(".")).exists(), f"{place} is named and not there"
    if not failed:
        assert not fault.kept or fault.late, f"nothing is kept; {seen}"
        assert not done or os.readlink(bench.runs / "latest") in done or "was done" not in last, "latest did not move"
        return ""
    (name,) = failed
    assert name in last or fault.kept == "refused", f"{name} is kept and not named; {seen}"
    _kept_for_reading(bench, bench.runs / name, fault, last)
    return fault.kept


def _kept_for_reading(bench: Bench, folder: Path, fault: Fault, last: str) -> None:
    with bench.as_home():
        (run,) = (one for one in records.all_runs() if one.folder == folder)
    if fault.full and run.exit_class in ("failed", "unknown") and not run.record.get("problem"):
        return  # there was no room for more
    record = run.record
    assert run.exit_class == fault.kept, f"{folder.name} ended as {run.exit_class}"
    assert record["problem"].rstrip(".") in last and "\n" not in record["problem"], (record["problem"], last)
    if list(folder.glob("notebooks/*.ipynb")):
        log = (folder / "run.log").read_text(errors="replace")
        assert f"running {CHAIN[0]}" in log, log[-500:]
        assert record["problem"][:50] in log or "all steps done" in log, log[-500:]
    begun = [name for name in CHAIN if name in record["steps"]]
    for name in begun:
        assert json.loads((folder / "notebooks" / f"{name}.ipynb").read_text())["cells"], name
    for notebook in folder.glob("notebooks/*.ipynb"):
        cells = json.loads(notebook.read_text())["cells"]
        unfinished = "unfinished" in cells[-1]["metadata"].get("tags", [])
        assert unfinished == (notebook.stem not in begun), f"{notebook.stem} does not say how it ended"
