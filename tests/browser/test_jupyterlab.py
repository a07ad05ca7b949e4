"""The notebooks as a researcher has them: in JupyterLab, as `make lab` starts it, in a real browser."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from anime_growth import paths
from tests.browser.conftest import PATIENCE, one_browser
from tests.end_to_end.conftest import BIN, TOP

pytestmark = one_browser

NOTEBOOKS = [path.name for path in sorted(paths.notebooks().glob("*.ipynb"))]
# Milliseconds that a whole notebook may take, on a busy machine.
RUNNING = 240_000


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `make lab` and the notebooks need, so that nothing is written into this clone."""
    folder = tmp_path_factory.mktemp("lab") / "study"
    for name in ("data/raw", "data/processed/published", "notebooks", ".jupyter"):
        shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("workspaces"))
    for name in ("Makefile", "README.md"):
        shutil.copy(TOP / name, folder)
    (folder / ".venv").symlink_to(BIN.parent)
    return folder


@pytest.fixture(scope="module")
def address(study: Path) -> Iterator[str]:
    """Where JupyterLab's start page is, with the token, as `make lab` prints it.

    The reader's own settings, in a home of its own, leave the window shut and let the tests be root and ask the page.
    """
    home = study.parent / "home"
    own = home / ".jupyter/jupyter_lab_config.json"
    own.parent.mkdir(parents=True)
    server = {"allow_root": True, "open_browser": False, "port": 0}
    own.write_text(json.dumps({"ServerApp": server, "LabApp": {"expose_app_in_browser": True}}))
    others = ("ANIME_GROWTH_", "JUPYTER", "IPYTHON", "XDG_")
    settings = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    settings |= {"HOME": str(home), paths.HOME_VARIABLE: str(study)}
    with open(home / "log", "w+") as log:
        # The environment is taken as it is, whatever its age.
        command = ["make", "--silent", "--old-file=.venv/ready", "lab"]
        started = subprocess.Popen(command, cwd=study, env=settings, stderr=log, start_new_session=True)
        try:
            yield _printed_address(started, home / "log")
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            started.wait(60)


def _printed_address(started: subprocess.Popen, log: Path) -> str:
    for _ in range(PATIENCE // 100):
        if found := re.search(r"http://localhost:\S+token=\w+", log.read_text()):
            return found[0]
        try:
            started.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """JupyterLab's page, on which all tests here go on; it may ask nothing of any other server."""
    asked: list[str] = []
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        context.set_default_timeout(PATIENCE)
        context.on("request", lambda request: asked.append(request.url))
        opened = context.new_page()
        opened.goto(address)
        yield opened
    server = re.match(r"http://localhost:\d+/", address)[0]
    assert asked and {url for url in asked if not url.startswith((server, "data:", "blob:"))} == set()


def test_it_opens_on_the_start_page_with_the_notebooks_in_order(page, study):
    start = page.locator(".jp-MarkdownViewer")
    title = (study / "notebooks/README.md").read_text().splitlines()[0].removeprefix("# ")
    expect(start.get_by_role("heading", level=1)).to_contain_text(title, timeout=PATIENCE)
    expect(page.locator(".jp-DirListing-itemText")).to_have_text([*NOTEBOOKS, "README.md"])
    expect(page.locator(".jp-Dialog, .jp-toast-button, .Toastify__toast")).to_have_count(0)
    start.get_by_role("listitem").nth(1).get_by_role("link").click()
    opened = page.locator(".jp-NotebookPanel:visible")
    expect(opened.locator("h1")).to_contain_text("2.")
    expect(opened.locator(".jp-RenderedSVG").first).to_be_visible()  # the committed figures are trusted


# --- running notebooks ------------------------------------------------------------------------------
def panel(page: Page, name: str) -> Locator:
    """The notebook of this name, opened from the list of files."""
    page.locator(".jp-DirListing-itemText", has_text=name).dblclick()
    expect(page.locator(".lm-TabBar-tab.jp-mod-current", has_text=name)).to_be_visible()
    shown = page.locator(".jp-NotebookPanel:visible")
    page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'")
    return shown


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose an entry of a menu."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()


# What the page knows of the cells of the notebook in front.
CELLS = "[...jupyterapp.shell.currentWidget.content.model.cells].filter(cell => cell.type === 'code')"


def run_all(page: Page, name: str, study: Path) -> nbformat.NotebookNode:
    """Run all cells as the menu offers it, from none that has run, and save; what was saved."""
    choose(page, "Edit", "Clear Outputs of All Cells")
    choose(page, "Run", "Run All Cells")
    ended = f"{CELLS}.every(cell => cell.executionCount) || {CELLS}.some(cell => cell.outputs.toJSON().some(ERROR))"
    page.wait_for_function(ended.replace("ERROR", "output => output.output_type === 'error'"), timeout=RUNNING)
    choose(page, "File", "Save Notebook")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    return nbformat.read(study / "notebooks" / name, as_version=4)


def close(page: Page) -> None:
    """Close the notebook in front and end its kernel."""
    page.evaluate(
        """async () => {
            const notebook = jupyterapp.shell.currentWidget;
            await notebook.sessionContext.shutdown();
            notebook.dispose();
        }"""
    )


def outputs(notebook: nbformat.NotebookNode) -> list[list[tuple[str, list[str]]]]:
    """Kinds of outputs of each cell of code."""
    return [
        [(output.output_type, output.get("name") or sorted(output.data)) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.fixture(scope="module")
def as_committed(page, study) -> Callable[[str], nbformat.NotebookNode]:
    """A notebook after a run with the parameters that stand in it; each is run once."""

    @cache
    def run(name: str) -> nbformat.NotebookNode:
        notebook = panel(page, name)
        saved = run_all(page, name, study)
        expect(notebook.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
        close(page)
        return saved

    return run


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom_without_an_error(as_committed, name):
    saved = as_committed(name)
    assert outputs(saved) == outputs(nbformat.read(paths.notebooks() / name, as_version=4))
    counts = [cell.execution_count for cell in saved.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_another_start_year_in_the_cell_of_parameters_changes_the_figure(as_committed, page, study):
    name = "03_fit_trends.ipynb"
    before, notebook = as_committed(name), panel(page, name)
    cell = notebook.locator(".jp-CodeCell").first
    cell.locator(".cm-line", has_text="start_year = 2002").get_by_text("2002").dblclick()
    page.keyboard.type("2012")
    after = run_all(page, name, study)
    close(page)
    assert "start_year = 2012" in after.cells[1].source
    assert figure(after) != figure(before)
    assert "error" not in {kind for cell in outputs(after) for kind, _ in cell}


def figure(notebook: nbformat.NotebookNode) -> str:
    """The first figure of a notebook, as SVG."""
    every = (output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
    return next(data["image/svg+xml"] for data in every if "image/svg+xml" in data)
