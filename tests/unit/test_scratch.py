"""From scratch: a small repository stands for the study, with programs of a few lines in place of the real ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anime_growth import offline, paths, runs, scratch
from anime_growth.errors import DeadlinePassed, InputError, Locked, StepFailed

RUN_ID = "20260101T000000Z"
ENVIRONMENT = """
mkdir -p .venv/bin
cp program .venv/bin/anime-growth
chmod +x .venv/bin/anime-growth
"""
# Says what it sees, and leaves a run.
PROGRAM = f"""#!/bin/sh
run=data/processed/runs/{RUN_ID}
mkdir -p $run/tables
echo '{{"exit_code": 0}}' > $run/certificate.json
echo "$@" > $run/arguments
env > $run/environment
git log --format=%s > $run/log
git status --porcelain > $run/changes
ln -s {RUN_ID} data/processed/runs/latest
echo "running 01_clean_figures"
sleep 1
exit 0
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A committed study that knows how to make its environment; its top folder."""
    home = tmp_path / "study"
    (home / ".ci").mkdir(parents=True)
    (home / ".ci/environment").write_text(ENVIRONMENT)
    (home / "program").write_text(PROGRAM)
    (home / ".gitignore").write_text(".venv/\ndata/processed/runs/\n")
    git(home, "init", "-q")
    commit(home)
    monkeypatch.setenv(paths.HOME_VARIABLE, str(home))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    yield home
    assert list((tmp_path / "temporary").iterdir()) == [], "the temporary folder is left"
    assert not list(paths.runs().glob("working-*"))


def git(home, *arguments):
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments], cwd=home, check=True)


def commit(home):
    git(home, "add", ".")
    git(home, "commit", "-qm", "the study")


def change(home, name, text):
    (home / name).write_text(text)
    commit(home)


def run(manner=runs.Manner(), on_step=runs.NOTHING):  # noqa: B008
    return scratch.run(["verify", "published"], (0, 10), on_step, lambda: None, manner)


def test_the_run_made_in_the_clone_comes_home_whole_and_is_the_latest(study):
    steps = []
    folder = run(on_step=lambda at_work, done: steps.append((at_work, done)))
    assert folder == paths.runs() / RUN_ID and (paths.runs() / "latest").resolve() == folder
    assert (folder / "tables").is_dir() and (folder / "certificate.json").is_file()
    assert steps == [(["01_clean_figures"], [])]


def test_the_clone_is_clean_and_is_told_limits_and_how_the_network_is_cut(study, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.setenv("UV_CACHE_DIR", "/cache")
    folder = run(runs.Manner(notebook=30, run=60, jobs=2, engine="kernel"))
    assert (folder / "arguments").read_text() == (
        "verify published --notebook-deadline 30 --deadline 60 --jobs 2 --engine kernel\n"
    )
    assert (folder / "log").read_text() == "the study\n" and (folder / "changes").read_text() == ""
    seen = dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines() if "=" in line)
    assert seen["UV_CACHE_DIR"] == "/cache" and {offline.VARIABLE, scratch.VARIABLE} <= {*seen}
    assert paths.HOME_VARIABLE not in seen and "VIRTUAL_ENV" not in seen
    assert seen.get("PYTHONPATH") != "/somewhere"


def test_the_network_is_really_cut_for_the_command_and_not_for_making_the_environment(study):
    probe = f"{sys.executable} -c 'from anime_growth import offline; print(offline._is_cut())'"
    change(study, ".ci/environment", f"{ENVIRONMENT}\n{probe} > outside\n")
    change(study, ".gitignore", ".venv/\ndata/processed/runs/\noutside\n")
    change(study, "program", f"{PROGRAM.split('sleep')[0]}\ncp outside $run\n{probe} > $run/inside\n")
    folder = run()
    assert (folder / "inside").read_text() == "True\n"
    assert (folder / "outside").read_text() == f"{offline._is_cut()}\n"


@pytest.mark.parametrize("name", ["untracked", "program"])
def test_a_checkout_with_changes_is_refused_by_the_name_of_the_file(study, name):
    (study / name).write_text("changed")
    with pytest.raises(InputError, match=f"^{name}: differs from the commit"):
        run()


def test_a_folder_that_is_no_clone_is_refused(study, tmp_path, monkeypatch):
    inside = study / "data"
    inside.mkdir()
    for folder in (tmp_path, inside):
        monkeypatch.setenv(paths.HOME_VARIABLE, str(folder))
        with pytest.raises(InputError, match="is no git clone"):
            run()


def test_an_environment_that_cannot_be_made_ends_in_one_line_with_its_log(study):
    change(study, ".ci/environment", "echo 'first words'; echo 'make: no Python' >&2; exit 1")
    with pytest.raises(StepFailed, match=r"could not be made: make: no Python\. Read data/processed/runs/from-scr"):
        run()
    assert (paths.runs() / "from-scratch.log").read_text() == "first words\nmake: no Python\n"


@pytest.mark.parametrize(
    ("code", "error"), [(1, StepFailed), (2, InputError), (3, DeadlinePassed), (4, Locked), (20, StepFailed)]
)
def test_what_the_command_failed_with_is_what_this_fails_with_and_the_run_comes_home(study, code, error):
    failing = PROGRAM.replace(f"run=data/processed/runs/{RUN_ID}", f"run=data/processed/runs/failed-{RUN_ID}")
    change(study, "program", f"{failing.split('ln -s')[0]}\necho 'anime-growth: it was like this.' >&2; exit {code}\n")
    with pytest.raises(error) as failed:
        run()
    assert str(failed.value) == "it was like this." and failed.value.exit_code == (code if code < 5 else 1)
    assert (paths.runs() / f"failed-{RUN_ID}" / "arguments").is_file()
    assert not (paths.runs() / "latest").exists()


def test_a_command_that_failed_after_its_run_fails_here_too(study):
    change(study, "program", PROGRAM.replace("exit 0", "exit 1").replace("sleep 1", "echo 'anime-growth: why'"))
    with pytest.raises(StepFailed, match="^why$"):
        run()
    assert (paths.runs() / RUN_ID / "certificate.json").is_file()


def test_a_run_that_is_here_already_is_not_replaced(study):
    (paths.runs() / RUN_ID).mkdir(parents=True)
    (paths.runs() / RUN_ID / "own").touch()
    assert run().name == f"{RUN_ID}-2"
    assert [path.name for path in (paths.runs() / RUN_ID).iterdir()] == ["own"]


def test_a_copy_that_cannot_be_finished_leaves_nothing_half(study, monkeypatch):
    monkeypatch.setattr("anime_growth.disk.settle", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run()
    assert not [path for path in paths.runs().iterdir() if path.is_dir()]


@pytest.mark.parametrize("slow", [".ci/environment", "program"])
def test_what_takes_too_long_is_ended_with_all_that_it_started(study, slow, tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "GRACE_SECONDS", 1)
    change(study, slow, f"#!/bin/sh\ntrap '' TERM\n(echo $$ > {tmp_path}/pid; sleep 100 & wait)\n")
    begun = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"took longer than 1 s \(--deadline\)"):
        run(runs.Manner(run=1))
    assert time.monotonic() - begun < 50
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_program_is_asked_to_end_before_it_is_made_to(study, tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "GRACE_SECONDS", 2)
    change(study, "program", f"#!/bin/sh\ntrap 'touch {tmp_path}/asked; exit' TERM\nsleep 100 &\nwait\n")
    with pytest.raises(DeadlinePassed):
        run(runs.Manner(run=1))
    assert (tmp_path / "asked").exists()


def is_gone(pid):
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


CALLER = """
import signal, sys
from anime_growth import runs, scratch
from anime_growth.errors import InputError

def stop(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
scratch.run(["verify"], (0,), print, lambda: None, runs.Manner())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("slow", [".ci/environment", "program"])
def test_stopped_from_outside_it_leaves_no_folder_and_no_process(study, slow, number, tmp_path):
    change(study, slow, f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 100\n")
    caller = subprocess.Popen([sys.executable, "-c", CALLER], stderr=subprocess.PIPE, text=True)
    written = Path(tmp_path / "pid")
    deadline = time.monotonic() + 60
    while not (written.exists() and written.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    caller.send_signal(number)
    _, said = caller.communicate(timeout=60)
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert is_gone(int(written.read_text()))
