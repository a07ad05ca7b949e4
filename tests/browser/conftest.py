"""What readers see, in a real browser: Chromium without a window, told what to do by playwright.

`.ci/chromium` knows where the browser is and how to get it. Where there is none, these tests are skipped, which
`make test` says in the end; on CI they fail.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from anime_growth import pages as site
from anime_growth import paths
from tests.end_to_end.conftest import TOP, shell

# One worker has the browser, so that not more than one runs at a time.
one_browser = pytest.mark.xdist_group("browser")
# Sandboxes and graphics are not to be had everywhere; the rest is what a browser does on its own account.
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# Milliseconds that a page may take for what was asked of it, on a busy machine.
PATIENCE = 60_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    found = subprocess.run(["sh", TOP / ".ci/chromium"], capture_output=True, text=True)
    if found.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(found.stderr.strip())
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found.stdout.strip(), args=SWITCHES)
        expect.set_options(timeout=PATIENCE)
        yield started
        started.close()


@pytest.fixture(scope="session")
def pages(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, with its pages as they are made of the published results."""
    runs = tmp_path_factory.mktemp("runs")
    narrative = f".venv/bin/papermill --engine forked notebooks/06_narrative.ipynb {runs}/06_narrative.ipynb"
    done = shell(narrative, ANIME_GROWTH_RUNS=str(runs), ANIME_GROWTH_PART="06_narrative")
    assert done.returncode == 0, done.stderr[-2000:]
    folder = tmp_path_factory.mktemp("pages") / "run"
    shutil.copytree(paths.published(), folder)
    shutil.copytree(runs / "interactive", folder, dirs_exist_ok=True)
    shutil.copytree(paths.notebooks(), folder / "notebooks", ignore=shutil.ignore_patterns("README.md", ".*"))
    site.build(folder)
    return folder
