"""A run appears as a whole or is kept as failed; here without notebooks, in end_to_end/test_faults.py with them."""

import json
import os
import signal
from datetime import UTC, datetime

import pytest

from anime_growth import paths, processes, records, runs
from anime_growth.errors import DeadlinePassed, InputError, Locked, StepFailed, Stopped


@pytest.fixture
def run(study, monkeypatch):
    """Make a run of no steps; `before_end` takes part in it."""
    monkeypatch.setattr(runs, "STEPS", {})
    return lambda before_end=None: runs.run({}, before_end=before_end)


def there():
    return sorted(path.name for path in paths.runs().iterdir())


def test_a_run_appears_with_its_record_and_latest_points_to_it(run):
    folder = run()
    assert there() == [folder.name, "latest"]
    assert os.readlink(paths.runs() / "latest") == folder.name
    record = records.read(folder)
    assert (record["run_id"], record["exit_class"], record["problem"]) == (folder.name, "done", "")
    assert record["started"] <= record["ended"]


def test_what_is_added_before_the_end_is_part_of_it_and_sees_a_whole_record(run):
    def certify(work):
        assert records.read(work)["exit_class"] == "done"
        (work / "certificate.md").write_text("the same")

    folder = run(certify)
    assert "certificate.md" in records.read(folder)["artefacts"]
    assert records.changed_since(folder, records.read(folder)) == []


def test_two_runs_in_one_second_have_names_of_their_own(run, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, zone):
            return datetime(2026, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(runs, "datetime", Clock)
    assert [run().name for _ in range(3)] == [f"20260101T000000Z{number}" for number in ("", "-2", "-3")]
    assert os.readlink(paths.runs() / "latest") == "20260101T000000Z-3"


def stop(work):
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass


def fails(problem):
    def before_end(work):
        raise problem

    return before_end


@pytest.mark.parametrize(
    ("before_end", "error", "exit_class", "said"),
    [
        (fails(InputError("a file", "is odd", "Look")), InputError, "refused", "a file: is odd. Look.$"),
        (fails(StepFailed("03, cell 4: no")), StepFailed, "failed", "03, cell 4: no. Read data/processed/runs/failed-"),
        (fails(DeadlinePassed("too late")), DeadlinePassed, "deadline", "too late. Read data/processed/runs/failed-"),
        (fails(OSError(28, "No space left", "/x")), StepFailed, "failed", "/x: No space left. Check that the disk is"),
        (fails(OSError(24, "Too many open files")), StepFailed, "failed", "Too many open files. Check the limits that"),
        (
            fails(ZeroDivisionError("of\nnothing")),
            StepFailed,
            "failed",
            "ZeroDivisionError: of nothing. This is a defect",
        ),
        (stop, Stopped, "stopped", "stopped from outside. What was done is kept in data/processed/runs/failed-"),
    ],
)
def test_what_fails_is_kept_with_its_reason_and_touches_nothing_else(run, before_end, error, exit_class, said):
    first = run()
    with pytest.raises(error, match=said) as raised:
        run(before_end)
    failed = next(paths.runs().glob("failed-*"))
    assert there() == [first.name, failed.name, "latest"]
    assert (paths.runs() / "latest").resolve() == first
    record = records.read(failed)
    assert record["exit_class"] == exit_class
    assert record["problem"].rstrip(".") in str(raised.value) and "\n" not in record["problem"]
    assert record["problem"] in (failed / "run.log").read_text()
    assert failed.name in str(raised.value) or exit_class == "refused"


def test_of_a_defect_the_log_keeps_the_trail(run):
    with pytest.raises(StepFailed, match=r"Read data/processed/runs/failed-\w+/run.log"):
        run(fails(ZeroDivisionError()))
    log = next(paths.runs().glob("failed-*/run.log")).read_text()
    assert "Traceback" in log and "in before_end" in log


def test_a_stop_when_the_run_is_all_but_done_comes_too_late_for_it(run, monkeypatch):
    whole = runs.point_latest

    def stopped(finished):
        os.kill(os.getpid(), signal.SIGINT)
        whole(finished)

    monkeypatch.setattr(runs, "point_latest", stopped)
    with pytest.raises(Stopped, match=r"stopped from outside when data/processed/runs/\w+ was done"):
        run()
    assert records.read(paths.runs() / "latest")["exit_class"] == "done"
    assert len(there()) == 2


def test_a_step_that_spoils_what_an_earlier_one_left_fails_the_run(study, monkeypatch):
    seen = []
    monkeypatch.setattr(runs, "_step", lambda spec, *_: seen.append(spec.name) or {})
    monkeypatch.setattr(runs.execution, "refuse_unfit", lambda notebook: None)
    with pytest.raises(StepFailed, match="01_clean_figures: stopped without an error"):
        runs.run({})
    assert seen == list(runs.STEPS), "all steps were run before that was found"


def test_a_run_under_way_is_not_disturbed(run):
    def meanwhile(work):
        with pytest.raises(Locked):
            runs.run({})
        assert json.loads((work / "run.json").read_text())["exit_class"] == "done"

    run(meanwhile)


def test_the_environment_is_as_before_afterwards(run, monkeypatch):
    monkeypatch.setenv(paths.RUN_VARIABLE, "mine")
    seen = []
    folder = run(lambda work: seen.append(os.environ[paths.RUN_VARIABLE]))
    assert seen == [str(folder.with_name(f"working-{folder.name}"))]
    assert os.environ[paths.RUN_VARIABLE] == "mine"
    assert processes.STOPS[0] is signal.SIGINT
