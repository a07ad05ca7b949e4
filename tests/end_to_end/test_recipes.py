"""The recipes of CONTRIBUTING.md, each done in a copy of this checkout exactly as it is written."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from anime_growth.quantities import Quantities
from tests.end_to_end.conftest import BIN, TOP

DOCUMENT = (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SAYS = {
    "create": re.compile(r"\bCreate `([^`]+)`:$"),
    "append": re.compile(r"\bAppend to `([^`]+)`:$"),
    # Words that hold a backtick stand between two of them.
    "insert": re.compile(r"\bIn `([^`]+)`, (above|below) (`{1,2}) ?(.+?) ?\3(?:, [^`]*)?:$"),
    "replace": re.compile(r"\bIn `([^`]+)`, replace `([^`]+)` with `([^`]+)`\."),
}
# Sections that are no recipes of what to add.
OTHERS = {"How to read the recipes", "Publish", "After changing dependencies"}


# --- reading and following ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Step:
    """What a recipe asks for at one place: the words before a block, and the block with its language."""

    said: str
    language: str
    text: str


def recipes() -> dict[str, list[Step]]:
    """Every recipe by its heading."""
    found = {}
    for section in re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        if heading in OTHERS:
            continue
        steps, at = [], 0
        for block in FENCED.finditer(body):
            steps.append(Step(body[at : block.start()].strip(), block["language"], block["text"]))
            at = block.end()
        found[heading] = [*steps, Step(body[at:].strip(), "", "")]
    return found


def follow(step: Step, study: Path) -> str:
    """Do what one step says in the copy; what its commands print."""
    for name, old, new in SAYS["replace"].findall(step.said):
        path = study / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")
    if not step.language:
        return ""
    if step.language == "sh":
        done = call(step.text, study)
        assert done.returncode == 0, f"{step.text}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        return done.stdout
    last = step.said.splitlines()[-1]
    if found := SAYS["create"].search(last):
        path = study / found[1]
        assert not path.exists(), f"{found[1]} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, encoding="utf-8")
    elif found := SAYS["append"].search(last):
        with (study / found[1]).open("a", encoding="utf-8") as file:
            file.write(step.text)
    elif found := SAYS["insert"].search(last):
        insert(study / found[1], found[4], step.text, above=found[2] == "above")
    else:
        pytest.fail(f"no word on where this block belongs: {last!r}")
    return ""


def insert(path: Path, words: str, text: str, above: bool) -> None:
    """Put `text` above or below the one line of a file that begins with `words`."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at = [number for number, line in enumerate(lines) if line.strip().startswith(words)]
    assert len(at) == 1, f"{len(at)} lines of {path.name} begin with {words!r}"
    lines.insert(at[0] + (not above), text)
    path.write_text("".join(lines), encoding="utf-8")


def call(command: str, study: Path) -> subprocess.CompletedProcess[str]:
    """Run shell lines in the copy, whose own package is the one that is imported."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("ANIME_GROWTH_", "PYTEST_"))}
    return subprocess.run(
        ["bash", "-euc", command],
        cwd=study,
        env={**settings, "PYTHONPATH": str(study / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def clone(tmp_path):
    """A clone of this checkout as it is now, with what is not committed, and its environment; its top folder."""
    study = tmp_path / "study"
    subprocess.run(["git", "clone", "-q", "--shared", TOP, study], check=True)
    listed = ["git", "ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"]
    changed = subprocess.run(listed, cwd=TOP, capture_output=True, text=True, check=True).stdout
    for name in sorted(set(changed.split("\0")) - {""}):
        if (TOP / name).exists():
            (study / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TOP / name, study / name)
        else:
            (study / name).unlink(missing_ok=True)
    (study / ".venv").symlink_to(BIN.parent)
    return study


def add(what: str, study: Path) -> str:
    """Follow the recipe to add `what`; what its last commands print."""
    printed = [follow(step, study) for step in recipes()[f"Add {what}"]]
    neat = call(".venv/bin/ruff check && .venv/bin/ruff format --check", study)
    assert neat.returncode == 0, neat.stdout
    return next(text for text in reversed(printed) if text)


def latest(study: Path) -> Path:
    return study / "data/processed/runs/latest"


# --- each recipe ----------------------------------------------------------------------------------------
def test_an_edition(clone):
    said = add("an edition of a source", clone)
    q = Quantities.read(latest(clone) / "quantities.json")
    assert q["market.overseas.level.2024"].value == 21710, "as the new edition restates it"
    assert q["market.overseas.growth.2025"].value == pytest.approx(100 * (24300 / 21710 - 1))
    assert "data/raw/aja/2026/aja_market_editions.csv" in said and "S901" in said
    assert json.loads((latest(clone) / "run.json").read_text())["edition"] == 2026
    choose = "clean.choose_edition(clean.clean_aja_market_editions(sources.read('aja_market_editions')), 'latest')"
    unasked = call(f'.venv/bin/python -c "from anime_growth import clean, sources; print({choose})"', clone)
    assert unasked.stdout == "2025\n", "the newest with a full series"


def test_a_series(clone):
    said = add("a series to fit", clone)
    assert "annual_series.csv" in said
    q = Quantities.read(latest(clone) / "quantities.json")
    grown = 100 * ((54.7 / 14.6) ** (1 / 12) - 1)
    assert q["trend.tourism_receipts_usd.drift.growth"].value == pytest.approx(grown)
    assert q["projection.tourism_receipts_usd.drift.p50.2033"].unit == "bn USD"


def test_an_article(clone):
    said = add("an article", clone)
    verdicts = pd.read_csv(latest(clone) / "verdicts.csv", keep_default_na=False).set_index("claim_id")
    assert dict(verdicts["verdict"]) == {"V01": "supported", "V02": "supported with a caveat"}
    told = "Overseas is 56.5 % of the whole; why it grew is another question."
    assert verdicts.loc["V02", "caveat"] == told
    assert "why it grew is another question" in (latest(clone) / "report.html").read_text(encoding="utf-8")
    assert "aja_market_editions.csv" in said


def test_a_source(clone):
    printed = add("a source", clone)
    table = pd.read_csv(latest(clone) / "tables/fair_visitors.csv")
    assert list(table["visitors"]) == [105800, 132600, 152400] and "fair_visitors.csv?year=2024" in printed
    checks = pd.read_csv(latest(clone) / "tables/checks.csv").set_index("check")
    assert checks.loc["fair_parts_below_whole", ["comparisons", "declared_exceptions"]].tolist() == [3, 0]
    assert "visitors from overseas" in (latest(clone) / "codebook.html").read_text(encoding="utf-8")
    raw = clone / "data/raw/fair/2026/fair_visitors.csv"
    raw.write_text(raw.read_text().replace("5400", "132601"))
    refused = call(
        ".venv/bin/anime-growth package data/raw/fair/2026 > draft.json\n"
        "mv draft.json data/raw/fair/2026/datapackage.json\n"
        ".venv/bin/anime-growth run",
        clone,
    )
    assert refused.returncode == 2
    assert "no more visitors of the fair may come from overseas than come at all" in refused.stderr


def test_a_quantity(clone):
    said = add("a quantity", clone)
    made = Quantities.read(latest(clone) / "quantities.json")["market.overseas.over_domestic.2024"]
    assert made.value == pytest.approx(21702 / 16705) and made.unit == "times"
    assert "overseas over domestic, 2024" in said and "aja_market_editions.csv" in said
    assert "Overseas level over domestic level." in (latest(clone) / "codebook.html").read_text(encoding="utf-8")


def test_a_model(clone):
    said = add("a model", clone)
    assert "Theil-Sen trend" in said
    q = Quantities.read(latest(clone) / "quantities.json")
    assert {
        *("trend.overseas.theil_sen.growth_lo95", "backtest.overseas.theil_sen.mase.h1"),
        *("projection.overseas.theil_sen.p50.2033", "target.content_2033.chance.theil_sen"),
    } <= set(q)
    for table in ("trends", "backtest", "specifications", "projections", "target_chances"):
        models = set(pd.read_csv(latest(clone) / f"tables/{table}.csv")["model"])
        assert "theil_sen" in models, table
    assert "Theil-Sen trend" in (latest(clone) / "report.html").read_text(encoding="utf-8")


def test_a_notebook(clone):
    printed = add("a notebook", clone)
    assert "\nyear,growth_pct,growth_usd_pct,exchange_effect_pct\n" in printed
    table = pd.read_csv(latest(clone) / "tables/exchange_effect.csv").set_index("year")
    assert table.loc[2024, "exchange_effect_pct"] == pytest.approx(26.0 - 16.9, abs=0.1)
    assert "07_exchange_effect" in json.loads((latest(clone) / "run.json").read_text())["steps"]
    assert (latest(clone) / "notebooks/07_exchange_effect.ipynb").is_file()


# --- the document itself --------------------------------------------------------------------------------
def test_a_language(clone):
    assert "Billionen Yen" in add("a language", clone)
    assert json.loads((latest(clone) / "run.json").read_text())["parameters"]["language"] == "de"
    report = (latest(clone) / "report.html").read_text(encoding="utf-8")
    assert '<html lang="de">' in report and "Urteile" in report and "Models" in report, "the rest in English"


TESTED = {
    *("an edition of a source", "a series to fit", "an article", "a source", "a quantity", "a model", "a notebook"),
    "a language",
}


def test_every_recipe_is_followed_by_a_test_and_ends_with_a_command():
    followed = {f"Add {what}" for what in TESTED}
    assert set(recipes()) == followed
    for heading, steps in recipes().items():
        assert next(step for step in reversed(steps) if step.language).language == "sh", heading


@pytest.mark.parametrize(
    ("said", "language"), [("Put this somewhere:", "python"), ("In `x.py`, near `def y`:", "python")]
)
def test_a_block_that_says_not_where_it_belongs_is_refused(tmp_path, said, language):
    with pytest.raises(pytest.fail.Exception, match="no word on where"):
        follow(Step(said, language, "x = 1\n"), tmp_path)


def test_a_line_that_is_not_there_once_is_refused(tmp_path):
    (tmp_path / "x.py").write_text("a = 1\na = 1\n")
    for words in ("a =", "b ="):
        with pytest.raises(AssertionError, match="lines of x.py begin with"):
            follow(Step(f"In `x.py`, below `{words}`:", "python", "c = 1\n"), tmp_path)
