"""One notebook executed: what is refused beforehand, what failures become, and how an unfinished one is marked."""

import json
import os
import signal
import sys
from types import SimpleNamespace

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import papermill_io

from anime_growth import engine, execution, paths, processes
from anime_growth.errors import InputError, StepFailed
from anime_growth.pipeline import STEPS

SPEC = STEPS["05_check_claims"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def cell(tags=(), **about):
    return {"cell_type": "code", "metadata": {"tags": list(tags), **about}, "source": [], "outputs": []}


# --- what is refused beforehand ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "is missing"),
        ("", "is no notebook"),
        ('{"cells": [', "is no notebook"),
        ("[]", "is no notebook"),
        ('{"nbformat": 4}', "is no notebook"),
        ('{"cells": ["text"]}', "is no notebook"),
        (
            json.dumps({"nbformat": 99, "cells": [cell(["parameters"])]}),
            "is of notebook format 99. Save it in format 4",
        ),
        (json.dumps({"nbformat": 4, "cells": [cell()]}), "has 0 cells tagged parameters"),
        (
            json.dumps({"nbformat": 4, "cells": [cell(["parameters"]), cell(["parameters"])]}),
            "has 2 cells tagged parameters",
        ),
    ],
)
def test_a_notebook_with_which_no_run_can_begin_is_refused(home, content, what):
    path = home / "notebooks/x.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"notebooks/x.ipynb: {what}"):
        execution.refuse_unfit(path)


def test_bytes_that_are_no_text_are_no_notebook(home):
    (home / "notebooks/x.ipynb").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no notebook. Restore it with `git checkout`"):
        execution.refuse_unfit(home / "notebooks/x.ipynb")


def test_one_parameters_cell_is_as_it_should_be(home):
    (home / "notebooks/x.ipynb").write_text(json.dumps({"nbformat": 4, "cells": [cell(), cell(["parameters"])]}))
    execution.refuse_unfit(home / "notebooks/x.ipynb")


# --- what failures become ---------------------------------------------------------------------------
def promised(folder, *without):
    """Everything that the step must leave."""
    for name in (*SPEC.promises, f"steps/{SPEC.name}.json"):
        if name not in without:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")


@pytest.fixture
def executed(home, monkeypatch):
    """Execute the step, papermill standing in for itself by raising or by leaving what the step should."""
    handlers = list(papermill_io._handlers)

    def execute(problem=None, without=()):
        folder = home / "run"

        def papermill_does(notebook, target, **options):
            if problem is not None:
                raise problem
            promised(folder, *without)

        monkeypatch.setattr(papermill, "execute_notebook", papermill_does)
        execution.execute(SPEC, {}, folder, "kernel")

    (home / "run").mkdir()
    yield execute
    papermill_io._handlers = handlers


def in_a_cell(name, value):
    return PapermillExecutionError(3, 2, "1 / 0", name, value, [])


def test_a_notebook_that_leaves_all_it_promised_is_done(executed):
    executed()


@pytest.mark.parametrize(
    ("problem", "error", "said"),
    [
        (in_a_cell("InputError", "file.csv, row 7: is odd. Look at it."), InputError, "file.csv, row 7: is odd. Look"),
        (in_a_cell("ValueError", "no such luck."), StepFailed, "05_check_claims, cell 4: ValueError: no such luck$"),
        (in_a_cell("KeyboardInterrupt", ""), StepFailed, "05_check_claims, cell 4: KeyboardInterrupt$"),
        (in_a_cell("ValueError", "\x1b[31mred\x1b[0m\nline"), StepFailed, "cell 4: ValueError: red line$"),
        (in_a_cell("ValueError", "x" * 10_000), StepFailed, "cell 4: ValueError: x{1000} …$"),
        (
            DeadKernelError("Kernel died"),
            StepFailed,
            "05_check_claims: its kernel was killed or crashed .the machine may",
        ),
        (RuntimeError("Kernel died before replying"), StepFailed, "05_check_claims: Kernel died before replying"),
        (BrokenPipeError(32, "Broken pipe"), StepFailed, "05_check_claims: .*Broken pipe"),
        (TimeoutError("Cell timed out."), StepFailed, "05_check_claims: Cell timed out"),
        (OSError(28, "No space left on device"), OSError, "No space left"),
    ],
)
def test_every_way_to_fail_is_told_in_one_line(executed, problem, error, said):
    with pytest.raises(error, match=said) as raised:
        executed(problem)
    assert "\n" not in str(raised.value)


def test_where_the_disk_is_full_that_is_why_a_kernel_did_not_begin(executed, monkeypatch):
    room = os.statvfs(".")
    full = os.statvfs_result([*room[:6], 10, 10, *room[8:]])  # of inodes: free, free for this user
    monkeypatch.setattr(os, "statvfs", lambda folder: full)
    with pytest.raises(OSError, match="No space left on device"):
        executed(RuntimeError("Kernel died before replying"))


def test_a_promised_file_that_is_missing_or_empty_is_no_success(executed, home):
    with pytest.raises(StepFailed, match="05_check_claims did not leave verdicts.csv"):
        executed(without=["verdicts.csv"])
    (home / "run/verdicts.csv").touch()
    with pytest.raises(StepFailed, match="05_check_claims did not leave verdicts.csv"):
        execution.refuse_unfinished(SPEC, home / "run")


def test_a_notebook_without_its_last_cell_is_no_success(executed):
    with pytest.raises(StepFailed, match="05_check_claims: stopped without an error, and before its last cell"):
        executed(without=[f"steps/{SPEC.name}.json"])


def test_parameters_and_the_kernels_surroundings_are_the_runs_own(home, monkeypatch):
    given = {}
    monkeypatch.setattr(papermill, "execute_notebook", lambda *places, **options: given.update(options))
    monkeypatch.setattr(execution, "refuse_unfinished", lambda spec, folder: None)
    execution.execute(SPEC, {"edition": 2024}, home / "run", "kernel")
    assert given["parameters"] == {"edition": 2024}
    assert given["cwd"] == str(home / "run")
    own = next(word for word in given["extra_arguments"] if word.startswith("--ipython-dir="))
    assert own.startswith(f"--ipython-dir={home / 'run'}/kernel-")
    assert "--InteractiveShellApp.exec_PYTHONSTARTUP=False" in given["extra_arguments"]
    assert not list((home / "run").glob("kernel-*"))


# --- what is loaded beforehand ----------------------------------------------------------------------
# As compiled libraries do that are bound by pybind11.
TAKES_A_STOP_FOR_ITS_OWN_ERROR = """
import signal

try:
    signal.raise_signal(signal.SIGTERM)
    whole = True
except KeyboardInterrupt as stop:
    raise ImportError("already registered") from stop
"""


@pytest.mark.skipif(not processes.CAN_FORK, reason="nothing is loaded for kernels that cannot be forked")
def test_a_stop_during_an_import_is_heard_and_what_is_imported_is_whole(home, monkeypatch, request):
    (home / "takes_a_stop.py").write_text(TAKES_A_STOP_FOR_ITS_OWN_ERROR)
    notebook = new_notebook(cells=[new_code_cell("import takes_a_stop")])
    nbformat.write(notebook, home / f"notebooks/{SPEC.name}.ipynb")
    monkeypatch.syspath_prepend(home)
    monkeypatch.setenv("MPLBACKEND", "agg")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line has it
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, before))
    with pytest.raises(KeyboardInterrupt):
        execution.load(SPEC, engine.NAME)
    assert sys.modules.pop("takes_a_stop").whole


# --- how an unfinished notebook is marked -----------------------------------------------------------
def saved(path, *started):
    """A notebook as papermill leaves it when a kernel has died: all its cells are said to be completed."""
    cells = [new_code_cell(f"# {number}") for number in range(3)]
    for one, begun in zip(cells, started, strict=True):
        one.metadata["papermill"] = {"status": "completed", "start_time": "2026-01-01T00:00:00" if begun else None}
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_the_cell_at_work_is_the_last_that_had_begun(tmp_path):
    assert execution.in_cell(saved(tmp_path / "x.ipynb", True, True, False)) == ", cell 2"
    assert execution.in_cell(saved(tmp_path / "x.ipynb", False, False, False)) == ""


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"cells": [1]}', '{"cells": [{}]}'])
def test_of_a_damaged_notebook_no_cell_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "x.ipynb").write_text(content)
    assert execution.in_cell(tmp_path / "x.ipynb") == ""
    execution.mark_unfinished(tmp_path / "x.ipynb", "why")
    assert content is None or (tmp_path / "x.ipynb").read_text() == content


def test_an_unfinished_notebook_says_so_and_where_it_ended(tmp_path):
    path = saved(tmp_path / "x.ipynb", True, True, False)
    execution.mark_unfinished(path, "Its kernel died.")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    states = [cell.metadata.papermill.status for cell in notebook.cells[:3]]
    assert states == ["completed", "failed", "pending"]
    assert notebook.cells[3].source == "**This notebook did not reach its end.** Its kernel died."
    assert notebook.metadata.papermill.exception is True
    assert [one.name for one in tmp_path.iterdir()] == ["x.ipynb"]


def test_promises_are_those_of_the_step():
    spec = SimpleNamespace(name="x", promises=())
    assert execution.place(spec, paths.runs()) == paths.runs() / "notebooks" / "x.ipynb"
