"""What is known of a run: its record, the list of runs, and the keys by which a step is known again."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

import pytest

from anime_growth import parameters, paths, records
from anime_growth.errors import InputError
from anime_growth.pipeline import STEPS

ID = "20260101T000000Z"


@pytest.fixture
def make(study):
    """Make a run's folder with this in its record."""

    def make(name, **record):
        folder = paths.runs() / name
        folder.mkdir(parents=True)
        records.write({"parameters": {}, "raw_files": {}, **record}, folder)
        return folder

    return make


# --- one run, and the list of them ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        (ID, ID),
        (f"{ID}-2", f"{ID}-2"),
        (f"working-{ID}", ID),
        (f"failed-{ID}-12", f"{ID}-12"),
        (f"mine-{ID}", ""),
        (f"{ID}.bak", ""),
        (f"failed-{ID}-x", ""),
        ("working-notes", ""),
        ("interactive", ""),
        ("latest", ""),
    ],
)
def test_the_name_of_a_folder_says_which_run_it_is(name, run_id):
    assert records.id_of(Path("runs") / name) == run_id


def test_runs_are_listed_from_the_newest_and_nothing_else_is(make):
    names = (ID, f"{ID}-2", f"failed-{ID}-10", f"working-{ID[:14]}1Z", "20251231T235959Z", "interactive")
    for name in names:
        make(name)
    (paths.runs() / "latest").symlink_to(ID)
    (paths.runs() / "20270101T000000Z").write_text("a file")
    listed = [run.folder.name for run in records.all_runs()]
    assert listed == [f"working-{ID[:14]}1Z", f"failed-{ID}-10", f"{ID}-2", ID, "20251231T235959Z"]


def test_without_any_run_the_list_is_empty(study):
    assert records.all_runs() == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"parameters": {}}', "\ud800"])
def test_a_damaged_record_is_listed_as_unknown_and_refused_with_its_place(make, content):
    folder = make(ID)
    (folder / "run.json").write_text(content, errors="surrogatepass")
    assert [run.exit_class for run in records.all_runs()] == ["unknown"]
    with pytest.raises(InputError, match=f"data/processed/runs/{ID}/run.json: is damaged. Run again"):
        records.read(folder)


def test_a_folder_without_a_record_is_no_run(study):
    with pytest.raises(InputError, match="data/processed: has no run.json, so it is no run. Name a run"):
        records.read(study / "data/processed")


@pytest.mark.parametrize(
    ("name", "said", "shown"),
    [(f"failed-{ID}", "running", "failed"), (f"working-{ID}", "running", "running"), (ID, "done", "done")],
)
def test_a_failed_run_whose_record_could_not_be_completed_is_no_running_one(make, name, said, shown):
    make(name, exit_class=said)
    assert [run.exit_class for run in records.all_runs()] == [shown]


def test_a_run_tells_how_long_it_took_and_what_it_was_made_with(make):
    make(ID, started="2026-01-01T00:00:00+00:00", ended="2026-01-01T00:01:30+00:00", parameters={"edition": 2025})
    (run,) = records.all_runs()
    assert (run.run_id, run.seconds) == (ID, 90)
    assert run.has({"edition": 2025}) and run.has({"edition": "2025"}) and run.has({})
    assert not run.has({"edition": 2024}) and not run.has({"basis": "yen"})


@pytest.mark.parametrize("ended", ["", None, "yesterday"])
def test_a_run_that_did_not_end_took_no_time(make, ended):
    make(ID, started="2026-01-01T00:00:00+00:00", ended=ended)
    assert records.all_runs()[0].seconds is None


@pytest.mark.parametrize("named", ["latest", ID, "published", "path"])
def test_a_run_is_found_by_any_of_its_names(make, named):
    folder = make(ID)
    (paths.runs() / "latest").symlink_to(ID)
    paths.published().symlink_to(folder)
    assert records.find(folder if named == "path" else named) == folder.resolve()


def test_a_failed_run_is_found_by_its_id(make):
    assert records.find(ID if make(f"failed-{ID}") else "").name == f"failed-{ID}"


@pytest.mark.parametrize(("name", "do"), [("latest", "Run `make run` first"), ("20010101", "Name a run as")])
def test_a_run_that_is_not_there_says_what_to_do(study, name, do):
    with pytest.raises(InputError, match=f"run {name}: is not there. {do}"):
        records.find(name)


# --- the record -------------------------------------------------------------------------------------
def test_a_record_says_all_that_a_run_is_made_with(study):
    record = records.begin(ID, datetime(2026, 1, 1, tzinfo=UTC), parameters.Parameters(), 2025)
    assert (record["run_id"], record["exit_class"], record["edition"]) == (ID, "running", 2025)
    assert record["parameters"] == parameters.Parameters().model_dump()
    installed = {re.sub("[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in distributions()}
    assert record["packages"] == installed and {"pandas", "papermill", "jupyter-client"} <= set(installed)
    raw = {path.relative_to(paths.raw()).as_posix() for path in paths.raw().rglob("*.csv")}
    assert raw == set(record["raw_files"])
    assert {f"notebooks/{name}.ipynb" for name in STEPS} <= set(record["code"])
    assert "src/anime_growth/cli.py" in record["code"] and "src/anime_growth/codebook.yml" in record["code"]
    assert record == json.loads(json.dumps(record))


def test_a_record_is_replaced_in_one_step(make, monkeypatch):
    folder = make(ID, exit_class="running")

    def power_cut(*names):
        raise KeyboardInterrupt

    monkeypatch.setattr(records.os, "replace", power_cut)
    with pytest.raises(KeyboardInterrupt):
        records.write({"exit_class": "done"}, folder)
    assert records.read(folder)["exit_class"] == "running"


def test_what_has_changed_since_a_run_ended_is_named(make):
    folder = make(ID)
    for name in ("kept", "changed", "lost"):
        (folder / name).write_text("as it was")
    record = {"artefacts": records.artefacts(folder)}
    assert records.changed_since(folder, record) == []
    (folder / "changed").write_text("otherwise")
    (folder / "lost").unlink()
    (folder / "sub").mkdir()
    (folder / "sub" / "new").touch()
    (folder / "run.log").write_text("a log is no result")
    assert records.changed_since(folder, record) == ["changed", "lost", "sub/new"]


def test_the_commit_is_known_in_a_clone_and_whether_files_differ_from_it(study, monkeypatch):
    assert records.git() == {}
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=study, check=True)
    clean = records.git()
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (study / "new").touch()
    assert records.git() == {**clean, "dirty": True}
    monkeypatch.setenv("PATH", "")
    assert records.git() == {}


# --- step keys --------------------------------------------------------------------------------------
NOTEBOOK = {
    "01_clean_figures": "from anime_growth import clean\n",
    "03_fit_trends": "from anime_growth import trends\n",
    "06_narrative": "from anime_growth import narrative, report\n",
}
MADE = {name: "sha256:1" for spec in STEPS.values() for name in spec.promises}


@pytest.fixture
def home(study, tmp_path, monkeypatch):
    """A study with three notebooks, and a copy of the package, so that both may be changed."""
    package = tmp_path / "package" / "anime_growth"
    shutil.copytree(records.SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(records, "SOURCE", package)
    (study / "notebooks").mkdir()
    for name, source in NOTEBOOK.items():
        cells = [
            {"cell_type": "markdown", "metadata": {}, "source": ["# What is asked"]},
            {"cell_type": "code", "metadata": {}, "source": [source], "outputs": [], "execution_count": None},
        ]
        (study / f"notebooks/{name}.ipynb").write_text(json.dumps({"cells": cells}))
    return study


def key(step, own=None, made=None, lock="sha256:lock"):
    return records.step_key(STEPS[step], own or {}, made or MADE, {"lock": lock})


def change_cell(home, step, number, **change):
    path = home / f"notebooks/{step}.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][number].update(change)
    path.write_text(json.dumps(notebook))


def add_to(name):
    """A line more in a file of the package."""
    path = records.SOURCE / name
    path.write_text(path.read_text() + "\n# more\n")


def add_raw(home):
    (home / "data/raw/aja/2025/new.csv").write_text("year\n")


CHANGES = {
    "its code": ("03_fit_trends", lambda home: change_cell(home, "03_fit_trends", 1, source=["1"])),
    "its text": ("03_fit_trends", lambda home: change_cell(home, "03_fit_trends", 0, source=["# Why"])),
    "its tags": (
        "03_fit_trends",
        lambda home: change_cell(home, "03_fit_trends", 1, metadata={"tags": ["parameters"]}),
    ),
    "a module that it imports": ("03_fit_trends", lambda home: add_to("trends.py")),
    "a module that this imports in turn": ("03_fit_trends", lambda home: add_to("arithmetic.py")),
    "the package itself": ("03_fit_trends", lambda home: add_to("__init__.py")),
    "a template that a module names": ("06_narrative", lambda home: add_to("templates/narrative.en.md.j2")),
    "a file that it reads": ("01_clean_figures", add_raw),
    "a raw file, gone": ("01_clean_figures", lambda home: next(home.glob("data/raw/aja/*/*.csv")).unlink()),
    "a raw file under the claims": ("06_narrative", add_raw),
}
NO_CHANGES = {
    "its outputs": ("03_fit_trends", lambda home: change_cell(home, "03_fit_trends", 1, outputs=[1])),
    "another notebook's code": ("03_fit_trends", lambda home: change_cell(home, "06_narrative", 1, source=["1"])),
    "a module that it does not reach": ("03_fit_trends", lambda home: add_to("cli.py")),
    "a template of another step": ("03_fit_trends", lambda home: add_to("templates/narrative.en.md.j2")),
    "raw files, which it does not read": ("03_fit_trends", add_raw),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_step_is_another_when_this_changes(home, what):
    step, change = CHANGES[what]
    before = key(step)
    change(home)
    assert key(step) != before


@pytest.mark.parametrize("what", NO_CHANGES)
def test_a_step_is_the_same_when_this_changes(home, what):
    step, change = NO_CHANGES[what]
    before = key(step)
    change(home)
    assert key(step) == before


def test_parameters_inputs_and_the_lock_make_another_step(home):
    keys = [
        key("03_fit_trends"),
        key("03_fit_trends", own={"start_year": 2002}),
        key("03_fit_trends", own={"start_year": 2012}),
        key("03_fit_trends", made=MADE | {"tables/market.csv": "sha256:2"}),
        key("03_fit_trends", made={name: one for name, one in MADE.items() if name != "tables/market.csv"}),
        key("03_fit_trends", lock="sha256:other"),
    ]
    assert len(set(keys)) == len(keys)


def test_files_of_steps_that_it_does_not_need_make_no_other_step(home):
    assert key("03_fit_trends") == key("03_fit_trends", made=MADE | {"verdicts.csv": "sha256:2"})


def test_a_notebook_that_is_no_plain_python_may_reach_everything(home):
    change_cell(home, "03_fit_trends", 1, source=["%run other.py"])
    assert {path for path in records.reached("%run x") if path.suffix == ".py"} == set(records.SOURCE.rglob("*.py"))
    before = key("03_fit_trends")
    add_to("cli.py")
    assert key("03_fit_trends") != before


def test_what_only_type_checkers_import_is_not_reached():
    reached = {path.name for path in records.reached("from anime_growth import publish")}
    assert "publish.py" in reached and "cli.py" not in reached
    assert records.reached("import pandas") == []
