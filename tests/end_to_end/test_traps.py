"""The known traps of papermill and nbval: each is sprung here, once without our guard and once with it.

Without the guard what is wrong passes without a word; so each of these tests fails when its guard is taken
away. The traps are those that DESIGN lists. Killed processes and SIGTERM are tried in test_faults.py.
"""

import datetime
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import papermill
import papermill.iorw
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from papermill.translators import PythonTranslator

from anime_growth import compare, errors, execution, parameters, paths, processes
from anime_growth.errors import InputError, StepFailed
from anime_growth.pipeline import StepSpec
from tests.end_to_end.conftest import TOP
from tests.notebooks import test_committed_notebooks as committed

TRAP = StepSpec("99_trap", "Is the trap sprung?", ("x",), (), files=("made.txt",), has_quantities=False)
PROMISED = "from pathlib import Path; Path('made.txt').write_text('made'); Path('steps').mkdir(exist_ok=True)"
SENTINEL = "Path('steps/99_trap.json').write_text('{}')"


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Write the notebook of a step with these cells, the first one tagged; and where it lies."""
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    (tmp_path / "notebooks").mkdir()

    def write(*sources: str, tagged: tuple[int, ...] = (0,)) -> Path:
        cells = [new_code_cell(source) for source in sources]
        for number in tagged:
            cells[number].metadata["tags"] = ["parameters"]
        path = tmp_path / "notebooks" / f"{TRAP.name}.ipynb"
        nbformat.write(
            new_notebook(
                cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
            ),
            path,
        )
        return path

    return write


@pytest.fixture
def run(tmp_path):
    """Execute the step as a run does; the folder that it works in."""
    folder = tmp_path / "run"
    folder.mkdir()

    def execute(**values: object) -> Path:
        execution.execute(TRAP, values, folder, "kernel")
        return folder

    return execute


def alone(path: Path, **values: object) -> nbformat.NotebookNode:
    """The notebook executed by papermill without us."""
    return papermill.execute_notebook(path, None, parameters=values, progress_bar=False)


def printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


# --- parameters -------------------------------------------------------------------------------------
def test_an_unknown_parameter_only_warns(notebook):
    path = notebook("x = 1", "print(x)")
    assert printed(alone(path, editon=2)) == "1\n"
    with pytest.raises(InputError, match="editon: is unknown. Did you mean edition"):
        parameters.check({"editon": 2024})


@pytest.mark.parametrize(("tagged", "wins"), [((), "1\n"), ((0, 1), "1\n")])
def test_with_two_or_no_parameters_cells_other_values_win(notebook, tagged, wins):
    path = notebook("x = 0", "x = 1", "print(x)", tagged=tagged)
    assert printed(alone(path, x=2)) == wins, "2 was asked for"
    with pytest.raises(InputError, match=f"has {len(tagged)} cells tagged parameters"):
        execution.refuse_unfit(path)


@pytest.mark.parametrize("value", [np.int64(2010), datetime.date(2010, 1, 1)])
def test_numbers_of_numpy_and_dates_become_strings(value):
    assert PythonTranslator.translate(value) == f'"{value}"'
    with pytest.raises(InputError, match="is not a whole number"):
        parameters.check({"start_year": value})


def test_secrets_given_as_parameters_stay_in_the_notebook(notebook):
    assert "hunter2" in nbformat.writes(alone(notebook("api_token = ''"), api_token="hunter2"))
    with pytest.raises(InputError, match="looks like a secret") as refused:
        parameters.check({"api_token": "hunter2"})
    assert "hunter2" not in str(refused.value)


# --- ends that are none -----------------------------------------------------------------------------
def test_leaving_by_exit_0_counts_as_success(notebook, run, monkeypatch):
    notebook("x = 1", "import sys; sys.exit(0)", PROMISED, SENTINEL)
    with pytest.raises(StepFailed, match="99_trap.*: stopped without an error, and before its last cell"):
        run()
    with monkeypatch.context() as without:
        without.setattr(execution, "refuse_unfinished", lambda *_: None)
        run()
    notebook("x = 1", f"{PROMISED}; Path('made.txt').unlink()", SENTINEL)
    with pytest.raises(StepFailed, match="99_trap did not leave made.txt"):
        run()


def test_after_a_killed_kernel_the_saved_notebook_says_completed(notebook, run, tmp_path):
    notebook("x = 1", "import os; os.kill(os.getpid(), 9)", PROMISED, SENTINEL)
    with pytest.raises(StepFailed, match="99_trap"):
        run()
    saved = execution.place(TRAP, tmp_path / "run")
    left = nbformat.read(saved, as_version=4)
    assert left.cells[2].metadata.papermill.status == "completed", "the cell after the death never ran"
    assert not left.metadata.papermill.exception
    execution.mark_unfinished(saved, "The kernel died.")
    marked = nbformat.read(saved, as_version=4)
    assert marked.metadata.papermill.exception
    assert "did not reach its end.** The kernel died." in marked.cells[-1].source


def test_papermill_writes_over_its_output_and_may_leave_half_of_it(notebook, run, monkeypatch, tmp_path):
    whole = papermill.iorw.LocalHandler.write

    def full(self, text, path):
        whole(self, text[: len(text) // 2] if '"completed"' in text else text, path)
        if '"completed"' in text:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(papermill.iorw.LocalHandler, "write", full)
    notebook("x = 1", PROMISED, SENTINEL)
    saved = execution.place(TRAP, tmp_path / "run")
    with pytest.raises((OSError, StepFailed)):
        run()
    assert nbformat.read(saved, as_version=4).cells
    monkeypatch.setattr(papermill.iorw.papermill_io, "register", lambda *_: None)
    monkeypatch.setattr(papermill.iorw.papermill_io, "_handlers", [("local", papermill.iorw.LocalHandler())])
    with pytest.raises((OSError, StepFailed)):
        run()
    with pytest.raises(nbformat.reader.NotJSONError):
        nbformat.read(saved, as_version=4)


def test_papermill_has_a_limit_for_a_cell_and_none_for_a_notebook(notebook, tmp_path):
    path = notebook("x = 1", *["import time; time.sleep(0.6)"] * 4)
    papermill.execute_notebook(path, None, progress_bar=False, execution_timeout=2)
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(TimeoutError):
        whole = partial(execution.execute, TRAP, {}, folder, "kernel")
        with processes.Apart(whole, folder, folder / "run.log") as notebook_at_work:
            notebook_at_work.result(1.5)


def test_papermill_runs_where_it_is_called_from(notebook, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = notebook("x = 1", "import os; print(os.getcwd())", PROMISED, SENTINEL)
    assert printed(alone(path)) == f"{tmp_path}\n"
    (tmp_path / "made.txt").unlink()
    folder = run()
    assert printed(nbformat.read(execution.place(TRAP, folder), as_version=4)) == f"{folder}\n"
    assert not (tmp_path / "made.txt").exists()


# --- nbval ------------------------------------------------------------------------------------------
SANITIZE = ["--nbval-sanitize-with", str(TOP / "tests/notebooks/sanitize.cfg")]


def nbval(path: Path, *options: str) -> int:
    """Exit code of nbval by itself: 0 where it is content."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--nbval", path.name]
    command += ["-c", os.devnull, "--rootdir", str(path.parent), *options]
    return subprocess.run(command, cwd=path.parent, capture_output=True, timeout=120).returncode


def test_nbval_is_content_without_outputs_and_with_any_image(notebook):
    path = notebook("x = 1", "from IPython.display import Image, display\ndisplay(Image(data=b'new', format='png'))")
    assert nbval(path) == 0, "no outputs to compare with"
    unrun = nbformat.read(path, as_version=4)
    assert committed.not_run_cleanly(unrun)
    data = {"image/png": "b2xk", "text/plain": "<IPython.core.display.Image object>"}
    unrun.cells[0].execution_count, unrun.cells[1].execution_count = 1, 2
    unrun.cells[1].outputs = [new_output("display_data", data=data)]
    nbformat.write(unrun, path)
    assert nbval(path) == 0, "another image"


def test_nbval_has_no_numeric_tolerance_and_verify_has(notebook):
    path = notebook("x = 1", "0.1 + 0.2")
    ran = nbformat.read(path, as_version=4)
    ran.cells[1].outputs = [new_output("execute_result", data={"text/plain": "0.3"}, execution_count=1)]
    nbformat.write(ran, path)
    assert nbval(path) != 0
    assert compare.apart(0.3, 0.1 + 0.2, 1e-6) == compare.WITHIN
    assert compare.apart(0.3, 0.3001, 1e-6) == compare.DIFFERS


@pytest.mark.parametrize(
    ("shown", "content"),
    [
        ('<svg><path d="M 1.25 2"/><text x="7">2024</text></svg>', True),
        ('<svg><path d="M 1 2"/><text x="3">2025</text></svg>', False),
        ('<svg><path d="M 1 2"/></svg>', False),
        ('<svg><path d="M 1 2" style="stroke: red"/><text x="3">2024</text></svg>', False),
    ],
)
def test_a_file_that_sanitizes_outputs_would_hide_dates_and_ours_hides_only_where_lines_lie(notebook, shown, content):
    drawn = '<svg><path d="M 1 2"/><text x="3">2024</text></svg>'
    source = f"from IPython.display import SVG, display\ndisplay({{'image/svg+xml': {drawn!r}}}, raw=True)"
    path = notebook("x = 1", source)
    ran = nbformat.read(path, as_version=4)
    ran.cells[1].execution_count = 2
    ran.cells[1].outputs = [new_output("display_data", data={"image/svg+xml": shown})]
    nbformat.write(ran, path)
    assert (nbval(path, *SANITIZE) == 0) == content
    assert nbval(path) != 0
    assert "2024-05-06" in _sanitized("on 2024-05-06, 26.0 %") and "26.0" in _sanitized("on 2024-05-06, 26.0 %")
    assert "--nbval-sanitize-with tests/notebooks/sanitize.cfg" in (TOP / "Makefile").read_text()


def _sanitized(text: str) -> str:
    """What our file leaves of a text."""
    from nbval.plugin import get_sanitize_patterns

    for pattern, instead in get_sanitize_patterns((TOP / "tests/notebooks/sanitize.cfg").read_text()):
        text = re.sub(pattern, instead, text)
    return text


@pytest.mark.parametrize(
    "shown",
    [
        "<object at 0x7f3a2b1c4d5e>",
        '<style id="T_5f2b1">',
        '<table id="T_5f2b1_level0">',
        '<div id="qzkvwxyabc" style="padding',
        "<dc:date>2026-11-23T04:20:00</dc:date>",
        "Date:                Mon, 23 Nov 2026",
        "Time:                        04:20:01",
        "/home/someone/.venv/lib/python3.11/warnings.py:1: UserWarning",
    ],
)
def test_what_differs_from_run_to_run_is_not_committed(shown):
    cell = new_code_cell("x", outputs=[new_output("display_data", data={"text/html": shown})])
    assert committed.names_a_machine(new_notebook(cells=[cell]))


def test_every_trap_of_the_design_has_its_test():
    """SIGTERM, a killed kernel, a hanging cell and sys.exit strike whole runs in the fault suite."""
    from tests.end_to_end.faults import FAULTS

    struck = " ".join(f"{one.kind} {one.name}" for one in FAULTS)
    for word in ("SIGTERM", "kernel", "exit", "hang"):
        assert re.search(word, struck, re.IGNORECASE), word
    assert signal.SIGTERM in errors.STOPS
