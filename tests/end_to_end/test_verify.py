"""The study verified from scratch: a real clone, a real chain and a network that is really cut."""

import json
import shutil
import subprocess

import pytest

from tests.end_to_end.conftest import BIN, TOP, shell

SPOILT = "fx.usdjpy.level.2023"
# The environment of the tests in place of one made from the lock, which would need the network; with the clone's code.
ENVIRONMENT = f"""
mkdir -p .venv/bin
printf '#!/bin/sh\\nPYTHONPATH=%s:$PYTHONPATH exec {BIN}/python -m anime_growth.cli "$@"\\n' "$PWD/src" \\
    > .venv/bin/anime-growth
chmod +x .venv/bin/anime-growth
"""


@pytest.fixture
def clone_with_a_wrong_number(tmp_path):
    """A committed copy of all that is to be committed here, in which one published number is wrong; its top folder."""
    study = tmp_path / "study"
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=TOP, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (TOP / name).is_file():
            (study / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, study / name)
    (study / ".ci/environment").write_text(ENVIRONMENT)
    path = study / "data/processed/published/quantities.json"
    entries = json.loads(path.read_text())
    entries[SPOILT]["value"] *= 1.001
    path.write_text(json.dumps(entries))
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "a wrong number"]):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *command], cwd=study, check=True)
    return study


def test_from_scratch_everything_matches_but_the_number_that_is_wrong(clone_with_a_wrong_number, tmp_path):
    study = clone_with_a_wrong_number
    (tmp_path / "temporary").mkdir()
    done = shell(
        ".venv/bin/anime-growth verify --from-scratch",
        ANIME_GROWTH_HOME=str(study),
        TMPDIR=str(tmp_path / "temporary"),
    )
    assert done.returncode == 20, done.stderr
    first, place = done.stdout.splitlines()
    assert first == "1 quantity differs."
    certificate = study / place.removeprefix("Certificate: ")
    run = certificate.parent
    assert run.parent == study / "data/processed/runs" and (run.parent / "latest").resolve() == run
    data = json.loads((run / "certificate.json").read_text())
    assert [(item["name"], item["note"]) for item in data["items"]] == [(SPOILT, "-0.0999 %")]
    assert data["counts"]["notebook"] == {"match": 6, "within tolerance": 0, "new": 0, "missing": 0, "differs": 0}
    assert data["made"]["network"].startswith("cut by ")
    assert data["made"]["environment"] == "made from the lock, in a clean clone"
    assert data["remarks"] == [] and "uncommitted" not in data["made"]["commit"]
    assert certificate.read_text().startswith("# 1 quantity differs.\n")
    assert list((tmp_path / "temporary").iterdir()) == []
