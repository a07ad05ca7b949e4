"""Where there is no browser its tests are skipped, but not on CI; both ways say how to get one."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.browser.conftest import TOP

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="Chrome is found there without being asked for")


@pytest.fixture
def nothing_installed(tmp_path):
    """Settings under which a shell is all that there is."""
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    return {**kept, "PATH": str(tmp_path)}


@pytest.mark.parametrize("ci, outcome, code", [({}, "1 skipped", 0), ({"CI": "true"}, "1 error", 1)])
def test_a_missing_browser_skips_its_tests_but_fails_on_ci(nothing_installed, ci, outcome, code):
    asked = "tests/browser/test_report_in_browser.py::test_nothing_moves_by_itself"
    command = [sys.executable, "-m", "pytest", "-n", "0", "-rs", "-p", "no:cacheprovider", asked]
    done = subprocess.run(command, cwd=TOP, env=nothing_installed | ci, capture_output=True, text=True)
    assert outcome in done.stdout and done.returncode == code
    assert "apt-get install chromium" in done.stdout


@pytest.mark.parametrize("asked", [[], ["--install"]])
def test_the_script_says_what_to_do_where_it_can_neither_find_nor_install_one(nothing_installed, asked):
    done = subprocess.run(
        ["sh", ".ci/chromium", *asked], cwd=TOP, env=nothing_installed, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and "apt-get install chromium" in done.stderr


def test_ci_gets_the_browser_before_it_tests():
    commands = (TOP / ".ci/run").read_text().splitlines()
    assert commands.index("sh .ci/chromium --install") < commands.index("make test")
