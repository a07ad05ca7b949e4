"""The committed notebooks: run cleanly from top to bottom, thin, and free of any one machine.

nbval passes notebooks that have no outputs at all, and never looks at execution counts; the guards
here do, and each is shown to fail on a notebook that is broken on purpose.
"""

import copy
import re

import nbformat
import pytest

from anime_growth import parameters, paths, pipeline

NOTEBOOKS = sorted(paths.notebooks().glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(output) -> str:
    data = output.get("data", {})
    return output.get("text", "") + "".join(str(data.get(kind, "")) for kind in ("text/plain", "text/html"))


# --- guards: each returns what is wrong, or nothing ---------------------------------------------
def not_run_cleanly(notebook) -> str:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        return f"execution counts {counts}"
    if not any(cell.outputs for cell in code_cells(notebook)):
        return "no outputs"
    if not code_cells(notebook)[-1].outputs:
        return "the last cell left no output"
    return ""


def has_errors(notebook) -> str:
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    bad = [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    return f"{len(bad)} errors or warnings" if bad else ""


# Paths, addresses of objects, times and dates of a run, and the random ids of Styler and great_tables.
DIFFERS_EACH_TIME = (
    r"/(?:home|root|tmp|work|Users|var)/\S+|\b0x[0-9a-f]{6,}\b|\d\d:\d\d:\d\d|Date: +\w{3}, \d\d \w{3} 2\d{3}"
    r"|id=\"T_[0-9a-f]{5}|<div id=\"[a-z]{10}\"|<dc:date>"
)


def names_a_machine(notebook) -> str:
    text = "".join(text_of(output) for cell in code_cells(notebook) for output in cell.outputs)
    found = re.search(DIFFERS_EACH_TIME, text)
    if found:
        return found[0]
    return "papermill metadata" if "papermill" in str(notebook.metadata) + str(notebook.cells[0].metadata) else ""


def is_not_thin(notebook) -> str:
    for cell in code_cells(notebook):
        if re.search(r"^\s*(def|class)\s|^\s*[%!]|\.\./|open\(|__file__", cell.source, re.MULTILINE):
            return f"cell {cell.execution_count} defines, shells out or names a path"
        if len(cell.source.splitlines()) > 12:
            return f"cell {cell.execution_count} is long"
    return ""


def not_one_parameters_cell(notebook) -> str:
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return "" if len(tagged) == 1 and tagged[0] is code_cells(notebook)[0] else f"{len(tagged)} parameters cells"


# What a sentence between cells may say in digits: units, the levels of intervals, yardsticks, other notebooks.
MAY_STAND = r"100 million JPY|prices of 2020|sha256|95 %|near 2\b|\(0\.1 is about 10 %\)|above 1 means|-?\b1 (took|lost)|[Nn]otebook \d"


def types_a_finding(notebook) -> str:
    """Figures of a run belong to its outputs, which follow the data; a sentence would not."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(rf"^# \d\. |`[^`]*`|\*\*\w+\*\*|{MAY_STAND}", "", cell.source)
            if found := re.search(r"[^.\n]*\d[^.\n]*", text):
                return f"{cell.id}: {found[0]}"
    return ""


GUARDS = [types_a_finding, not_run_cleanly, has_errors, names_a_machine, is_not_thin, not_one_parameters_cell]


@by_name
@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_committed_notebook(path, guard):
    assert not guard(read(path))


@by_name
def test_it_declares_the_parameters_of_its_step_with_their_defaults(path):
    names = {}
    exec(code_cells(read(path))[0].source, {}, names)
    spec = pipeline.STEPS[path.stem]
    defaults = parameters.Parameters().model_dump()
    assert names == {name: defaults[name] for name in spec.parameters}


@by_name
def test_it_opens_its_own_step_and_finishes_it_last(path):
    cells = code_cells(read(path))
    assert f'pipeline.start("{path.stem}", globals())' in cells[1].source
    assert cells[-1].source.splitlines()[-1] == "step.finish()"


def test_there_is_one_notebook_for_each_step():
    assert [path.stem for path in NOTEBOOKS] == list(pipeline.STEPS)


# --- the guards can fail ----------------------------------------------------------------------------
def spoil(how):
    notebook = copy.deepcopy(read(NOTEBOOKS[0]))
    how(notebook, code_cells(notebook))
    return notebook


def clear_outputs(notebook, cells):
    for cell in cells:
        cell.outputs = []


def skip_a_count(notebook, cells):
    cells[2].execution_count += 1


def fail_a_cell(notebook, cells):
    cells[2].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="x", traceback=[])]


def print_a_path(notebook, cells):
    cells[2].outputs = [nbformat.v4.new_output("stream", text="read /home/someone/data.csv")]


def define_a_function(notebook, cells):
    cells[2].source = "def helper():\n    return 1"


def grow_a_cell(notebook, cells):
    cells[2].source = "\n".join(["1"] * 13)


def tag_twice(notebook, cells):
    cells[2].metadata["tags"] = ["parameters"]


def untag(notebook, cells):
    cells[0].metadata["tags"] = []


def type_a_number(notebook, cells):
    notebook.cells[0].source += " Overseas revenue grew by 26.0 %."


@pytest.mark.parametrize(
    ("how", "guard"),
    [
        (type_a_number, types_a_finding),
        (clear_outputs, not_run_cleanly),
        (skip_a_count, not_run_cleanly),
        (fail_a_cell, has_errors),
        (print_a_path, names_a_machine),
        (define_a_function, is_not_thin),
        (grow_a_cell, is_not_thin),
        (tag_twice, not_one_parameters_cell),
        (untag, not_one_parameters_cell),
    ],
    ids=lambda item: item.__name__,
)
def test_each_guard_fails_on_a_notebook_broken_on_purpose(how, guard):
    assert guard(spoil(how))
