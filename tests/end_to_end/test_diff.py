"""Two runs of a small real repository: what the digest tells of them, and what each of their differences did."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from anime_growth import arithmetic, attribution, digest, paths
from anime_growth.quantities import Quantities
from tests.end_to_end.conftest import TOP
from tests.end_to_end.light_chain import lighten

TRACKED = ("src", "notebooks", "data/raw", "data/README.md", "README.md", "LICENSE", "uv.lock", "pyproject.toml")
GROWTH = "trend.overseas.drift.growth"
RESTATED_2002, NEW_2025, START = 4000, 24000, 2010
# What the changed code adds to every compound growth [% a year].
ADDED = 0.5
# Tests that look at the same runs go to the same worker.
pytestmark = pytest.mark.xdist_group("diff")


def command(study: Path, *arguments: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
    """`anime-growth` as the code in `study` has it."""
    settings = {name: text for name, text in os.environ.items() if not name.startswith("ANIME_GROWTH_")}
    settings |= {"ANIME_GROWTH_HOME": str(study), "PYTHONPATH": str(study / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "anime_growth.cli", *arguments]
    done = subprocess.run(words, env=settings, cwd=study, capture_output=True, text=True, timeout=600)
    assert done.returncode == expected, done.stderr
    return done


def run(study: Path, *arguments: str) -> Path:
    command(study, "run", *arguments)
    return (study / "data/processed/runs/latest").resolve()


def add_an_edition(study: Path) -> None:
    """A report of 2026: it prints 2025 for the first time, another figure for 2002, and all else as before."""
    folder = study / "data/raw/aja/2026"
    folder.mkdir()
    with (folder.parent / "2025/aja_market_editions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["edition"] == "2025"]
    newest = [{**row, "year": "2025"} for row in rows if row["year"] == "2024"]
    level = {row["series"]: float(row["value"]) for row in newest}
    figures = {
        "2025": {**level, "broad_overseas": NEW_2025, "broad_total": NEW_2025 + level["broad_domestic"]},
        "2002": {"broad_domestic": 7243, "broad_overseas": RESTATED_2002, "broad_total": 7243 + RESTATED_2002},
    }
    for row in (*rows, *newest):
        row |= {"edition": "2026", "is_derived": "0", "derivation": "", "corroborating_source_ids": ""}
        row["value"] = f"{figures.get(row['year'], {}).get(row['series'], float(row['value'])):g}"
    with (folder / "aja_market_editions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, *newest])
    draft = command(study, "package", str(folder)).stdout.replace("YYYY-MM-DD", "2026-11-22")
    (folder / "datapackage.json").write_text(draft)


def change_the_code(study: Path) -> None:
    path = study / "src/anime_growth/arithmetic.py"
    before = path.read_text()
    path.write_text(before.replace("** (1 / years) - 1) * 100", f"** (1 / years) - 1) * 100 + {ADDED}"))
    assert path.read_text() != before


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory):
    """A run of a commit, and one of other figures, code and a parameter that nobody has committed."""
    study = tmp_path_factory.mktemp("states") / "study"
    for name in TRACKED:
        copy = shutil.copytree if (TOP / name).is_dir() else shutil.copyfile
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        copy(TOP / name, study / name)
    (study / ".gitignore").write_text("data/processed/runs/\n__pycache__/\n")
    lighten(study)
    git = ["git", "-c", "user.name=A tester", "-c", "user.email=tester@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "The older state"]):
        subprocess.run([*git, *words], cwd=study, check=True)
    before = run(study)
    add_an_edition(study)
    change_the_code(study)
    after = run(study, "-p", f"start_year={START}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(paths.HOME_VARIABLE, str(study))
        yield before, after


@pytest.fixture(scope="module")
def attributed(states):
    folders = set(Path(tempfile.gettempdir()).glob("anime-growth-attribution-*"))
    yield attribution.attribute(*states)
    assert set(Path(tempfile.gettempdir()).glob("anime-growth-attribution-*")) <= folders


def test_the_digest_says_first_what_is_worst(states):
    told = digest.make(*states)
    assert told.exit_code == 30
    first = told.as_markdown().splitlines()[0]
    assert "One verdict flipped" in first and "light.L01 from supported to contradicted" in first
    assert "parameters" in first and "raw files" in first and "code" in first


def test_rows_are_new_or_restated_by_what_the_older_editions_print(states):
    rows = digest.make(*states).as_data()["rows"]
    assert {row["row"]["year"] for row in rows["new"]} == {"2025"}
    assert {row["row"]["series"] for row in rows["restated"]} == {"broad_overseas", "broad_total"}
    (overseas,) = (row for row in rows["restated"] if row["row"]["series"] == "broad_overseas")
    assert overseas["before"] == {"level_jpy_100m": "3725.0"}
    assert overseas["after"] == {"level_jpy_100m": f"{RESTATED_2002}.0"}
    assert overseas["restates"] == "2025" and overseas["row"]["edition"] == "2026"
    assert len(rows["repeated"]) == 3 * 23 - 2 and not rows["removed"]


def test_each_part_is_what_its_factor_does_alone_and_the_rest_is_their_interaction(attributed, states):
    q = Quantities.read(states[0] / "quantities.json")
    level = {year: q[f"market.overseas.level.{year}"].value for year in (2002, START, 2024)}
    found = next(one for one in attributed.quantities if one.key == GROWTH)
    before = arithmetic.cagr_pct(level[2024], level[2002], 2024 - 2002)
    after = arithmetic.cagr_pct(NEW_2025, level[START], 2025 - START) + ADDED
    alone = {
        "new data": arithmetic.cagr_pct(NEW_2025, level[2002], 2025 - 2002) - before,
        "restated data": arithmetic.cagr_pct(level[2024], RESTATED_2002, 2024 - 2002) - before,
        "parameters": arithmetic.cagr_pct(level[2024], level[START], 2024 - START) - before,
        "code": ADDED,
    }
    assert {part.factor: part.value for part in found.parts} == pytest.approx(alone)
    assert found.after - found.before == pytest.approx(after - before)
    assert found.rest.value == pytest.approx(after - before - sum(alone.values()))
    assert attributed.rest == "interaction"
    assert not attributed.notes


def test_the_attribution_stands_in_the_digest(states, attributed):
    told = digest.make(*states).with_attribution(attributed)
    text = told.as_markdown()
    row = next(line for line in text.splitlines() if "average growth" in line and f"`{GROWTH}`" in line and "(" in line)
    assert row.count("|") == 3 + 4 + 2
    assert re.search(r"parameters: start\\_year 2002 → 2010", text)
    data = json.loads(json.dumps(told.as_data()))
    assert [one["name"] for one in data["attribution"]["factors"]] == [
        "new data",
        "restated data",
        "parameters",
        "code",
    ]


def test_the_command_prints_the_digest_and_ends_with_its_exit_code(states):
    study = states[0].parents[3]
    names = [folder.name for folder in states]
    text = command(study, "diff", *names).stdout
    assert text.startswith("**One verdict flipped between") and "## New rows (3)" in text
    data = json.loads(command(study, "diff", *names, "--json", "--exit-code", expected=30).stdout)
    assert data["exit_code"] == 30 and data["attribution"] is None
    same = command(study, "diff", names[0], names[0], "--attribute", "--exit-code").stdout
    assert same.strip() == f"Nothing changed between {names[0]} and {names[0]}."
