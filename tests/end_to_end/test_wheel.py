"""The package as a stranger has it: a wheel, installed in an environment and a folder that know no clone."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import nbformat
import pytest

from anime_growth import paths
from tests.end_to_end.conftest import BIN, TOP

# One worker builds and installs it once.
pytestmark = pytest.mark.xdist_group("wheel")
# A kernel must not learn of the clone.
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith(("ANIME_GROWTH_", "PYTHON"))}
LINES = re.search(r"## In your own notebook.*?```python\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)[1]


def call(*command):
    done = subprocess.run(command, cwd=TOP, env=OUTSIDE, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package built from this clone, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--offline", "--no-build-isolation", "--python", sys.executable)
    call(BIN / "uv", "build", "--wheel", *offline, "--out-dir", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def stranger(wheel, tmp_path_factory):
    """A folder far from the clone with an environment that has the wheel; other packages are those of this one."""
    folder = tmp_path_factory.mktemp("stranger")
    environment = folder / "environment"
    call(BIN / "uv", "venv", "--offline", "--python", sys.executable, environment)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin/python")
    call(*pip, "install", "--no-deps", "--no-index", wheel)
    (packages,) = environment.glob("lib/python*/site-packages")
    # Packages of this environment come after its own, and what is linked in here, such as the clone, is not seen.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run(stranger, *sources):
    """The cells of a notebook of these sources, executed by the stranger's own Jupyter in the stranger's folder."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), stranger / "own.ipynb")
    command = [stranger / "environment/bin/python", "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    done = subprocess.run(
        [*command, "own.ipynb"], cwd=stranger, env=OUTSIDE, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return nbformat.read(stranger / "own.ipynb", as_version=4).cells


def test_the_wheel_carries_the_published_results_and_all_files_of_the_package(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    published = {path.relative_to(paths.published()) for path in paths.published().rglob("*") if path.is_file()}
    package = {
        path.relative_to(TOP / "src")
        for path in (TOP / "src/anime_growth").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted = {*map(Path.as_posix, package), *(f"anime_growth/published/{path.as_posix()}" for path in published)}
    assert {name for name in inside if ".dist-info/" not in name} == wanted


def test_the_lines_of_the_readme_are_five():
    assert len([line for line in LINES.splitlines() if line]) == 5


def test_the_lines_of_the_readme_work_in_a_strangers_notebook(stranger):
    where = "import anime_growth\nprint(anime_growth.__file__)\nprint(anime_growth.api.paths.published().exists())"
    ask = """print(tables["market"].attrs["units"]["level_usd_bn"], bool(tables["market"].attrs["sources"]))
print(quantities.loc["market.overseas.growth.2024", "unit"], trend.growth_lo95 < trend.growth_pct)
print(trend.forecasts.index[-1], trend.forecasts["p50"].iloc[-1] > trend.levels.iloc[-1])"""
    lines, place, answers = run(stranger, LINES, where, ask)
    (shown,) = lines.outputs
    assert shown["data"]["image/svg+xml"].startswith("<?xml")
    assert shown["data"]["text/plain"].startswith("Figure outlook: Series: ")
    assert place.outputs[0]["text"].split() == [
        str(next(stranger.glob("environment/lib/python*/site-packages/anime_growth/__init__.py"))),
        "False",
    ]
    assert answers.outputs[0]["text"].splitlines() == ["bn USD True", "% True", "2030 True"]


def test_the_command_says_in_one_line_that_it_needs_a_clone(stranger):
    command = [stranger / "environment/bin/anime-growth", "run"]
    done = subprocess.run(command, cwd=stranger, env=OUTSIDE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "Clone the repository again, or set ANIME_GROWTH_HOME" in done.stderr
