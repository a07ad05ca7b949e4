"""A run appears as a whole or is kept as failed; here without notebooks, in end_to_end/test_faults.py with them."""

import json
import os
import re
import shutil
import signal
import time
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from anime_growth import execution, pages, paper, paths, processes, records, reuse, runs
from anime_growth.errors import DeadlinePassed, InputError, Locked, StepFailed, Stopped
from anime_growth.runs import Manner
from anime_growth.steps import STEPS


@pytest.fixture
def run(study, monkeypatch):
    """Make a run of no steps; `before_end` takes part in it."""
    monkeypatch.setattr(runs, "STEPS", {})
    monkeypatch.setattr(runs, "_make_pages", lambda work, record, chain: runs._ended(record, work, "done"))
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
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where tests run in the background
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
    whole = records.point_latest

    def stopped(finished):
        os.kill(os.getpid(), signal.SIGINT)
        whole(finished)

    monkeypatch.setattr(records, "point_latest", stopped)
    with pytest.raises(Stopped, match=r"stopped from outside when data/processed/runs/\w+ was done"):
        run()
    assert records.read(paths.runs() / "latest")["exit_class"] == "done"
    assert len(there()) == 2


def test_a_step_that_spoils_what_an_earlier_one_left_fails_the_run(chain):
    chain.steps["06_narrative"] = lambda folder: (folder / "tables" / "market.csv").write_text("year\n")
    with pytest.raises(StepFailed, match="01_clean_figures: tables/market.csv was changed by a later step"):
        runs.run({})
    assert set(chain.done()) == set(STEPS), "all steps were run before that was found"


def test_a_run_under_way_is_not_disturbed(run):
    def meanwhile(work):
        with pytest.raises(Locked):
            runs.run({})
        assert json.loads((work / "run.json").read_text())["exit_class"] == "done"

    run(meanwhile)


# --- steps side by side, and those that need not be run -------------------------------------------------
class StandIn:
    """A chain whose steps are done in an instant by writing a word into each file that they promise.

    `steps` holds what else a step does, by name.
    """

    def __init__(self, study):
        self.study, self.steps, self.log = study, {}, study / "log"

    def execute(self, spec, values, folder, engine):
        self._note("begins", spec)
        for name in spec.leaves:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{spec.name} {sorted(values.items())}")
        self.steps.get(spec.name, lambda folder: None)(folder)
        self._note("ends", spec)

    def _note(self, what, spec):
        with self.log.open("a") as log:
            log.write(f"{what} {spec.name}\n")

    def told(self):
        """What was noted since it was last asked."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def done(self):
        """Names of the steps that were executed since it was last asked, in the order in which they ended."""
        return [line.split()[1] for line in self.told() if line.startswith("ends")]


@pytest.fixture
def chain(study, monkeypatch):
    for name in ("notebooks", "src/anime_growth"):
        shutil.copytree(Path(__file__).parents[2] / name, study / name)
    monkeypatch.setattr(records, "SOURCE", study / "src/anime_growth")
    stand_in = StandIn(study)
    monkeypatch.setattr(execution, "execute", stand_in.execute)
    monkeypatch.setattr(execution, "load", lambda spec, engine: None)
    monkeypatch.setattr(runs, "_begin_pages", lambda work, steps: {})
    monkeypatch.setattr(runs, "_make_pages", lambda work, record, chain: runs._ended(record, work, "done"))
    return stand_in


@pytest.mark.parametrize(
    ("work", "kind", "said"),
    [
        (
            lambda folder: time.sleep(60),
            DeadlinePassed,
            r"paper\.pdf: ended because the whole run may take 1 s \(--deadline\)",
        ),
        (lambda folder: os.kill(os.getpid(), 9), StepFailed, r"paper\.pdf: its process was killed by SIGKILL"),
        (fails(InputError("figures/a.svg", "is no figure", "Make a new run")), InputError, "is no figure"),
    ],
    ids=["hangs", "is killed", "is refused"],
)
def test_a_paper_that_is_not_made_ends_the_run(study, monkeypatch, work, kind, said):
    monkeypatch.setattr(runs, "STEPS", {})
    monkeypatch.setattr(pages, "build", lambda folder, begun: None)
    monkeypatch.setattr(paper, "write", work)
    with pytest.raises(kind, match=said):
        runs.run({}, manner=Manner(run=1))
    (failed,) = paths.runs().glob("failed-*")
    assert re.search(said, records.read(failed)["problem"])


def wait_for(*files):
    """Work that lasts until these files are there."""

    def work(folder):
        limit = time.monotonic() + 10
        while not all((folder / name).exists() for name in files):
            assert time.monotonic() < limit, f"still without {files}"
            time.sleep(0.01)

    return work


def test_steps_that_do_not_need_each_other_run_side_by_side(chain):
    chain.steps["02_describe_market"] = wait_for("tables/trends.csv")
    chain.steps["03_fit_trends"] = wait_for("tables/projections.csv")
    chain.steps["04_project_targets"] = wait_for("tables/trends.csv")
    runs.run({}, manner=Manner(jobs=2))
    order = chain.told()
    assert {*order[2:4]} == {"begins 02_describe_market", "begins 03_fit_trends"}
    assert order[5] == "begins 04_project_targets"
    assert {*order[6:8]} == {"ends 03_fit_trends", "ends 04_project_targets"}
    assert order[8:] == ["begins 05_check_claims", "ends 05_check_claims", "begins 06_narrative", "ends 06_narrative"]


def test_no_more_than_so_many_are_at_work_at_a_time(chain):
    runs.run({}, manner=Manner(jobs=1))
    assert chain.told() == [f"{what} {name}" for name in STEPS for what in ("begins", "ends")]


@pytest.fixture
def loading(chain, monkeypatch):
    """Make a run with so many processors; what was loaded, each with the steps that were at work meanwhile.

    A step may wait until something has been loaded: `chain.study / "loaded" / name`.
    """
    at_work, loaded = [], []
    (chain.study / "loaded").mkdir()

    def load(name):
        loaded.append((name, *at_work))
        (chain.study / "loaded" / name).touch()

    def told(now, done):
        at_work[:] = now

    def run(processors):
        monkeypatch.setattr(runs, "cores", lambda: processors)
        runs.run({}, on_step=told, manner=Manner(jobs=processors))
        return loaded

    monkeypatch.setattr(execution, "load", lambda spec, engine: load(spec.name))
    monkeypatch.setattr(pages, "load", lambda language: load("pages"))
    return run


def test_while_a_processor_is_free_all_that_later_steps_need_is_loaded_and_at_last_what_pages_need(chain, loading):
    first, *later = STEPS
    chain.steps[first] = wait_for(*(chain.study / "loaded" / name for name in later))
    chain.steps["05_check_claims"] = wait_for(chain.study / "loaded" / "pages")
    loaded = loading(2)
    assert loaded == [(first,), *((name, first) for name in later), ("pages", "05_check_claims")]


def test_while_every_processor_is_at_work_only_what_comes_next_is_loaded(chain, loading):
    def last(following, folder):
        wait_for(chain.study / "loaded" / following)(folder)
        time.sleep(0.2)  # in which all the rest could be loaded

    for name, following in pairwise(STEPS):
        chain.steps[name] = partial(last, following)
    first, *_ = STEPS
    assert loading(1) == [(first,), *((following, name) for name, following in pairwise(STEPS))]


def test_the_record_lists_steps_in_their_order_whichever_ends_first(chain):
    chain.steps["03_fit_trends"] = wait_for("steps/04_project_targets.json")
    folder = runs.run({}, manner=Manner(jobs=2))
    assert list(records.read(folder)["steps"]) == list(STEPS)
    assert records.read(folder)["at_work"] == []


def test_when_one_fails_what_runs_beside_it_is_ended_and_neither_is_taken_for_done(chain):
    def fail(folder):
        wait_for("steps/03_fit_trends.json")(folder)
        raise StepFailed("04_project_targets, cell 4: no such luck")

    chain.steps |= {"03_fit_trends": lambda folder: time.sleep(60), "04_project_targets": fail}
    begun = time.monotonic()
    with pytest.raises(StepFailed, match=r"04_project_targets, cell 4: no such luck. Read .*04_project_targets.ipynb"):
        runs.run({}, manner=Manner(jobs=2))
    assert time.monotonic() - begun < 30
    record = records.read(next(paths.runs().glob("failed-*")))
    assert list(record["steps"]) == ["01_clean_figures", "02_describe_market"]
    assert record["at_work"] == ["04_project_targets", "03_fit_trends"]


def test_after_a_failure_what_was_done_before_it_is_taken_over(chain):
    def fail(folder):
        raise StepFailed("05_check_claims, cell 4: no such luck")

    chain.steps["05_check_claims"] = fail
    with pytest.raises(StepFailed):
        runs.run({})
    chain.told()
    del chain.steps["05_check_claims"]
    folder = runs.run({})
    assert chain.done() == ["05_check_claims", "06_narrative"]
    taken = {name: step["reused_from"] for name, step in records.read(folder)["steps"].items()}
    failed = records.id_of(next(paths.runs().glob("failed-*")))
    assert taken == dict.fromkeys(list(STEPS)[:4], failed) | dict.fromkeys(list(STEPS)[4:], "")


def edit_cell(number, source):
    def edit(study):
        path = study / "notebooks/02_describe_market.ipynb"
        notebook = json.loads(path.read_text())
        notebook["cells"][number]["source"] = source
        path.write_text(json.dumps(notebook))

    return edit


def add_edition(study):
    """A table of a new edition: the step that reads it makes another market table of it."""
    (study / "data/raw/aja/2025/more.csv").write_text("year\n")


def add_to(name):
    """A line more in a file of the package."""

    def add(study):
        path = study / "src/anime_growth" / name
        path.write_text(path.read_text() + "\n# more\n")

    return add


FROM_01 = list(STEPS)
CASES = {
    "nothing": (lambda study: None, {}, []),
    "spaces between the lines of the file": (
        lambda study: _rewrite(study / "notebooks/02_describe_market.ipynb", indent=4),
        {},
        [],
    ),
    "the text of a notebook": (edit_cell(0, "# In other words"), {}, ["02_describe_market"]),
    "spaces in the code of a notebook": (edit_cell(-1, "step.finish( )"), {}, ["02_describe_market"]),
    "a parameter of the last steps": (lambda study: None, {"horizon_year": 2030}, FROM_01[3:]),
    "the first year of the models": (lambda study: None, {"start_year": 2012}, FROM_01[2:]),
    "figures of another edition": (lambda study: None, {"edition": 2024}, FROM_01),
    "a raw table": (add_edition, {}, ["01_clean_figures", "05_check_claims", "06_narrative"]),
    "the template of the narrative": (add_to("templates/narrative.en.md.j2"), {}, ["06_narrative"]),
    "a module that only one step reaches": (add_to("ledger.py"), {}, ["03_fit_trends"]),
    "a module that all steps reach": (add_to("cells.py"), {}, FROM_01),
    "a module that no step reaches": (add_to("cli.py"), {}, []),
    "the lock": (lambda study: (study / "uv.lock").write_text("other"), {}, FROM_01),
}


def _rewrite(path, indent):
    path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))


@pytest.mark.parametrize("what", CASES)
def test_only_what_rests_on_a_change_is_run_again(chain, study, what):
    change, values, again = CASES[what]
    first = runs.run({})
    chain.told()
    change(study)
    second = runs.run(values)
    assert chain.done() == again or sorted(chain.done()) == again
    for name in set(STEPS) - set(again):
        assert reuse.left(STEPS[name], first) == reuse.left(STEPS[name], second)


def test_when_the_inputs_of_a_step_come_out_otherwise_it_is_run_again(chain, study):
    runs.run({})
    chain.told()
    add_edition(study)
    chain.steps["01_clean_figures"] = lambda folder: (folder / "tables/market.csv").write_text("another year")
    runs.run({})
    assert sorted(chain.done()) == list(STEPS)


def test_nothing_is_taken_over_where_all_is_to_be_run_anew(chain):
    runs.run({})
    chain.told()
    runs.run({}, manner=Manner(reuse=False))
    assert sorted(chain.done()) == list(STEPS)


@pytest.mark.parametrize("spoilt", ["tables/market.csv", "notebooks/01_clean_figures.ipynb"])
def test_a_file_that_someone_has_changed_is_not_taken_over(chain, spoilt):
    folder = runs.run({})
    chain.told()
    (folder / spoilt).write_text("edited by hand")
    runs.run({})
    assert chain.done() == ["01_clean_figures"]


def test_what_a_killed_run_left_is_not_taken_over(chain):
    folder = runs.run({})
    records.write({**records.read(folder), "exit_class": "killed"}, folder)
    chain.told()
    runs.run({})
    assert sorted(chain.done()) == list(STEPS)


def test_where_kernels_cannot_be_forked_the_log_says_so(chain, monkeypatch, caplog):
    caplog.set_level("INFO", "anime_growth")
    monkeypatch.setattr(processes, "CAN_FORK", False)
    monkeypatch.setattr(runs, "Chain", lambda *_: SimpleNamespace(execute=lambda: None))
    monkeypatch.setattr(runs, "_refuse_spoilt", lambda *_: None)
    said = "this system cannot fork: notebooks get ordinary kernels"
    assert said in (runs.run({}) / "run.log").read_text()
    assert said not in (runs.run({}, manner=Manner(engine="kernel")) / "run.log").read_text()


def test_every_step_works_for_its_run_alone(chain, monkeypatch):
    monkeypatch.setenv(paths.RUN_VARIABLE, "mine")
    names = (paths.RUN_VARIABLE, paths.PART_VARIABLE)
    chain.steps["03_fit_trends"] = lambda folder: (folder / "seen.json").write_text(
        json.dumps([os.environ[name] for name in names])
    )
    folder = runs.run({})
    working = folder.with_name(f"working-{folder.name}")
    assert json.loads((folder / "seen.json").read_text()) == [str(working), "03_fit_trends"]
    assert os.environ[paths.RUN_VARIABLE] == "mine"
