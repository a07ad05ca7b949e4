"""Whole runs, as their users start them: the commands come out of the README."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anime_growth import parameters, paths, pipeline, records

# Tests that look at the same run go to the same worker, so that the chain is executed once.
one_chain = pytest.mark.xdist_group("papermill")
TOP = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def blocks(document: str) -> list[str]:
    """The shell blocks of a document of the repository."""
    text = (TOP / document).read_text(encoding="utf-8")
    return [
        re.sub(r"^ {3}", "", block, flags=re.MULTILINE) for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    ]


def shell(command: str, cwd: Path = TOP, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command as a user would, `.venv/bin` standing for the tests' own environment."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith("ANIME_GROWTH_")}
    return subprocess.run(
        ["bash", "-euc", command.replace(".venv/bin", str(BIN))],
        cwd=cwd,
        env={**settings, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="session")
def papermill_run(tmp_path_factory):
    """The chain as the README's papermill loop runs it, with ordinary kernels, started from the top folder."""
    loop = next(block for block in blocks("README.md") if "papermill" in block)
    folder = tmp_path_factory.mktemp("papermill")
    done = shell(loop.replace("$(mktemp -d)", str(folder)))
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "notebooks").symlink_to(folder)  # the loop puts them beside the tables
    return folder


@pytest.fixture
def copy_of_study(tmp_path):
    """A copy of what a run reads, so that a test may spoil it; its top folder."""
    for name in ("data/raw", "notebooks"):
        shutil.copytree(paths.home() / name, tmp_path / name)
    for name in ("README.md", "CHANGELOG.md", "data/README.md"):
        shutil.copyfile(paths.home() / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def verified_run(copy_of_study, monkeypatch):
    """A verified run of defaults in the copy, made from the published files without running a chain."""
    run = copy_of_study / "data/processed/runs/20260101T000000Z"
    shutil.copytree(paths.published(), run)
    shutil.copytree(paths.notebooks(), run / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name in ("forecasts.csv", "canary.csv"):  # made by publishing
        (run / name).unlink()
    for promised in (name for spec in pipeline.STEPS.values() for name in spec.promises):
        (run / promised).parent.mkdir(exist_ok=True)
        (run / promised).touch()
    (run / "finding.md").write_text("A new finding.\n")
    monkeypatch.setenv(paths.HOME_VARIABLE, str(copy_of_study))
    started = datetime(2026, 1, 1, tzinfo=UTC)
    record = records.begin(run.name, started, parameters.Parameters(), 2025)
    seal(run, {**record, "exit_class": "done"})
    (run.parent / "latest").symlink_to(run.name)
    return run


def seal(run: Path, changes: dict[str, object], exit_code: int = 0) -> None:
    """Write certificate and record of a run as if it had ended as it is now, with some fields changed."""
    (run / "certificate.md").write_text("Everything matches.\n")
    (run / "certificate.json").write_text(json.dumps({"exit_code": exit_code, "against": {"name": "another run"}}))
    record = json.loads((run / "run.json").read_text())
    records.write({**record, **changes, "artefacts": records.artefacts(run)}, run)
