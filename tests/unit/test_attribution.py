"""Attribution: parts with known answers, data told apart row by row, states rebuilt, nothing left behind."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from anime_growth import attribution, clean, digest, paths, records, sources, units
from anime_growth.attribution import CODE, DATA, ENVIRONMENT, NEW, PARAMETERS, RESTATED, Factor, Plan, Refused
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities

KEY = "market.overseas.level.2024"


def quantities(**values: float) -> Quantities:
    """Quantities with these values; `__` in a name stands for a dot."""
    q = Quantities("2025")
    for name, value in values.items():
        q.record(name.replace("__", "."), value, units.JPY_100M, f"the {name}", "a test", [])
    return q


def explained(before, after, swapped, unswapped=()):
    """The attribution of q.x.2024 where each factor alone gives the values of `swapped`."""

    def execute(factor):
        if isinstance(swapped[factor], str):
            raise Refused(swapped[factor])
        return {"q.x.2024": swapped[factor]}

    names = [name for name in swapped if name != DATA]
    plan = Plan(tuple(Factor(name, f"what {name} is") for name in names), tuple(unswapped))
    return attribution.explain(quantities(q__x__2024=before), quantities(q__x__2024=after), ["q.x.2024"], plan, execute)


def parts(found):
    (one,) = found.quantities
    return {part.factor: part.value for part in (*one.parts, one.rest)}


# --- arithmetic -------------------------------------------------------------------------------------
def test_additive_effects_leave_no_interaction():
    found = explained(100, 175, {NEW: 110, RESTATED: 105, PARAMETERS: 120, CODE: 140})
    assert parts(found) == {NEW: 10, RESTATED: 5, PARAMETERS: 20, CODE: 40, "interaction": 0}


def test_effects_that_multiply_leave_their_product_as_interaction():
    # 10 x 3, where one factor takes 10 to 14 and the other 3 to 5.
    found = explained(10 * 3, 14 * 5, {RESTATED: 14 * 3, PARAMETERS: 10 * 5})
    assert parts(found) == {RESTATED: 4 * 3, PARAMETERS: 10 * 2, "interaction": 4 * 2}
    (one,) = found.quantities
    assert [part.share for part in (*one.parts, one.rest)] == [30, 50, 20]


def test_parts_may_cancel_and_shares_are_of_the_whole_change():
    found = explained(100, 99, {NEW: 150, CODE: 49})
    assert parts(found) == {NEW: 50, CODE: -51, "interaction": 0}
    assert [part.share for part in found.quantities[0].parts] == [-5000, 5100]


def test_the_last_bits_of_a_sum_are_no_interaction():
    assert parts(explained(0.2, 0.4, {NEW: 0.3, CODE: 0.3}))["interaction"] == 0


def test_a_quantity_that_a_swap_takes_away_is_not_there_and_the_interaction_is_not_known():
    before, after = quantities(q__x__2024=1), quantities(q__x__2024=4)
    plan = Plan((Factor(CODE, ""), Factor(PARAMETERS, "")))
    values = {CODE: {}, PARAMETERS: {"q.x.2024": 2.0}}
    found = attribution.explain(before, after, ["q.x.2024"], plan, values.__getitem__)
    (one,) = found.quantities
    assert [(part.value, part.why) for part in (*one.parts, one.rest)] == [
        (None, "not there"),
        (1, ""),
        (None, "not known"),
    ]


def test_one_factor_alone_is_the_whole_change_and_nothing_is_run():
    def execute(factor):
        raise AssertionError("run")

    plan = Plan((Factor(CODE, "one file"),))
    found = attribution.explain(quantities(a__b__1=1), quantities(a__b__1=3), ["a.b.1"], plan, execute)
    assert parts(found) == {CODE: 2, "interaction": 0}
    assert found.notes == ("Nothing but code differs, which is then the whole change",)


def test_what_cannot_be_swapped_is_left_with_the_interaction_and_named():
    found = explained(10, 20, {CODE: 13}, unswapped=[ENVIRONMENT])
    assert parts(found) == {CODE: 3, "interaction and environment, not separable": 7}


def test_data_that_the_chain_refuses_alone_are_one_factor_with_the_reason():
    found = explained(10, 30, {NEW: "row 3 must add up", RESTATED: 12, DATA: 25, CODE: 14})
    assert parts(found) == {DATA: 15, CODE: 4, "interaction": 1}
    told = found.factors[0].what
    assert told == "what new data is; what restated data is (cannot be separated: row 3 must add up)"


def test_another_factor_that_does_not_run_alone_is_said_so():
    found = explained(10, 30, {PARAMETERS: 12, CODE: "parameter x: is unknown"})
    (one,) = found.quantities
    assert [part.why for part in (*one.parts, one.rest)] == ["", "did not run", "not known"]
    assert found.notes == ("The chain does not run with code alone: parameter x: is unknown",)


def test_runs_that_differ_in_nothing_that_is_recorded_are_said_to():
    found = attribution.explain(quantities(a__b__1=1), quantities(a__b__1=3), ["a.b.1"], Plan(), dict)
    assert found.notes == ("Nothing that was recorded differs: the same chain gave other numbers",)


def test_no_more_than_two_runs_are_made_at_once():
    at_work, most = [], []

    def execute(factor):
        at_work.append(factor)
        most.append(len(at_work))
        time.sleep(0.02)
        at_work.remove(factor)
        return {"a.b.1": 2.0}

    plan = Plan(tuple(Factor(name, "") for name in (NEW, RESTATED, PARAMETERS, CODE)))
    attribution.explain(quantities(a__b__1=1), quantities(a__b__1=3), ["a.b.1"], plan, execute)
    assert max(most) == 2


def test_the_attribution_is_shown_in_the_digest_with_its_notes(tmp_path):
    run = shutil.copytree(paths.published(), tmp_path / "run")
    q = Quantities.read(run / "quantities.json")
    text = (run / "quantities.json").read_text().replace(f'"value": {q[KEY].value!r}', '"value": 30000.0')
    (run / "quantities.json").write_text(text)
    old = quantities(market__overseas__level__2024=q[KEY].value)
    plan = Plan((Factor(CODE, "3 files"), Factor(PARAMETERS, "start_year 2002 → 2010")), (ENVIRONMENT,), ("Python.",))
    values = {CODE: {KEY: 25000.0}, PARAMETERS: {}}
    found = attribution.explain(old, quantities(market__overseas__level__2024=30000), [KEY], plan, values.__getitem__)
    told = digest.make(paths.published(), run).with_attribution(found)
    text = told.as_markdown()
    assert "- parameters: start\\_year 2002 → 2010" in text and "\nPython.\n" in text
    row = next(line for line in text.splitlines() if "the market" in line)
    assert row.endswith("| +8298 100m JPY | +3298 (40 %) | not there | not known |")
    assert told.as_data()["attribution"]["rest"] == "interaction and environment, not separable"


# --- raw data ---------------------------------------------------------------------------------------
EDITIONS = "aja/2026/aja_market_editions.csv"


def add_edition(study: Path, edit, source: str = "S001") -> None:
    """A report of 2026 that prints 2025 for the first time and restates 2002; else all as in 2025's."""
    folder = study / "data/raw/aja/2026"
    folder.mkdir()
    lines = (folder.parent / "2025/aja_market_editions.csv").read_text().splitlines()
    header, rows = lines[0].split(","), [line for line in lines[1:] if line.split(",")[2] == "2025"]
    assert header[:4] == ["year", "series", "edition", "value"]
    out = []
    for row in rows:
        year, series, _, value, rest = row.split(",", 4)
        value = {"broad_overseas": "4000", "broad_total": "11243"}.get(series, value) if year == "2002" else value
        out.append(f"{year},{series},2026,{value},{rest.replace('S001', source)}")
        if year == "2024":
            out.append(f"2025,{series},2026,{value},{rest.replace('S001', source)}")
    (folder / "aja_market_editions.csv").write_text("\n".join([lines[0], *out]) + "\n")
    draft = json.dumps(sources.describe(folder)).replace("YYYY-MM-DD", "2026-11-22")
    (folder / "datapackage.json").write_text(draft)


@pytest.fixture
def raw(study, tmp_path_factory):
    """The raw figures of an older state; those of the study may be changed by the test."""
    return shutil.copytree(study / "data/raw", tmp_path_factory.mktemp("older") / "raw")


def separated(raw, study, monkeypatch):
    """Both folders between the older state and the study's, and what each takes over; held to be sound."""
    folders = [study / "between" / name / "data/raw" for name in ("new", "restated")]
    told = attribution.separate(raw, study / "data/raw", *folders)
    for folder in folders:
        with monkeypatch.context() as patch:
            patch.setenv(paths.HOME_VARIABLE, str(folder.parents[1]))
            clean.clean_all()  # hashes, keys and sources are as packages and register promise
    return told, *folders


def values(raw: Path, file: str = EDITIONS) -> dict[tuple[str, str], str]:
    """Year and series -> value in a raw file of market editions."""
    rows = [line.split(",") for line in (raw / file).read_text().splitlines()[1:]]
    return {(row[0], row[1]): row[3] for row in rows}


def test_a_new_edition_is_separated_into_new_years_and_restated_ones(raw, study, edit, monkeypatch):
    add_edition(study, edit)
    told, new, restated = separated(raw, study, monkeypatch)
    assert told.new == "three new rows of aja_market_editions"
    assert told.restated == "two restated rows of aja_market_editions"
    whole = values(study / "data/raw")
    assert values(new) == {**whole, ("2002", "broad_overseas"): "3725", ("2002", "broad_total"): "10968"}
    assert values(restated) == {at: value for at, value in whole.items() if at[0] != "2025"}
    assert (restated / "aja/2025/aja_market_editions.csv").read_bytes() == (
        raw / "aja/2025/aja_market_editions.csv"
    ).read_bytes()


def test_a_restated_figure_keeps_its_new_source(raw, study, edit, monkeypatch):
    register = edit.path("sources.csv").read_text().splitlines()[1]
    edit("sources.csv", lambda text: text + register.replace("S001", "S999").encode() + b"\n")
    add_edition(study, edit, source="S999")
    _, _, restated = separated(raw, study, monkeypatch)
    assert "S999" in (restated / "register/2026-11-22/sources.csv").read_text()


def test_a_row_restated_in_place_a_removed_and_an_added_one(raw, study, edit, monkeypatch):
    fred = {"year": "2003", "method": "FRED AEXJPUS annual average (of daily noon rates)"}
    automakers = {"date": "2025-06-30", "entity": "nine main automakers", "unit": "trillion JPY"}
    edit.row("usdjpy_annual.csv", fred, {"usdjpy": "116.5"})
    edit.row("market_cap.csv", automakers, "delete")
    edit("usdjpy_spot.csv", lambda text: text + b"2025-11-28,156.0,JPY per USD,ECB cross rate EURJPY/EURUSD,S079\n")
    told, new, restated = separated(raw, study, monkeypatch)
    assert told.new == "one new row of usdjpy_spot"
    assert told.restated == "one restated row of usdjpy_annual and one removed row of market_cap"
    rates, caps, spots = (
        f"{folder}.csv"
        for folder in (
            "exchange_rates/2026-10-30/usdjpy_annual",
            "market_cap/2025-10-06/market_cap",
            "exchange_rates/2026-10-30/usdjpy_spot",
        )
    )
    assert "116.5" in (restated / rates).read_text() and (new / rates).read_bytes() == (raw / rates).read_bytes()
    assert "2025-11-28" in (new / spots).read_text() and "2025-11-28" not in (restated / spots).read_text()
    assert sorted((new / caps).read_text().splitlines()) == sorted((raw / caps).read_text().splitlines())
    assert (restated / caps).read_bytes() == (study / "data/raw" / caps).read_bytes()


def test_an_article_that_is_new_goes_as_a_whole_and_other_rules_are_restated(raw, study, monkeypatch):
    articles = study / "data/raw/articles"
    shutil.copytree(articles / "ann_record_market", articles / "again")
    for path in (articles / "again/2025-10-30").iterdir():
        path.write_text(re.sub(r"^A(\d\d)", r"B\1", path.read_text(), flags=re.MULTILINE))
    rules = "ann_record_market/2025-10-30/rules.yml"
    (articles / rules).write_text((articles / rules).read_text() + "# another rule\n")
    told, new, restated = separated(raw, study, monkeypatch)
    assert "new rows of claims" in told.new and told.restated == "rules of one article"
    assert (new / "articles/again/2025-10-30/claims.csv").exists()
    assert not (restated / "articles/again/2025-10-30").exists()
    assert "# another" in (restated / "articles" / rules).read_text()
    assert "# another" not in (new / "articles" / rules).read_text()


def test_a_file_that_is_gone_with_its_rows_cannot_be_separated(raw, study, tmp_path):
    shutil.rmtree(study / "data/raw/market_cap")
    with pytest.raises(Refused, match=r"market_cap/2025-10-06/market_cap.csv is gone"):
        attribution.separate(raw, study / "data/raw", tmp_path / "new", tmp_path / "restated")


# --- states -----------------------------------------------------------------------------------------
def test_the_hashes_of_the_working_tree_are_those_that_records_have():
    recorded = records.code()
    assert attribution.holds(paths.home(), recorded)
    assert not attribution.holds(paths.home(), {**recorded, "notebooks/01_clean_figures.ipynb": "sha256:0"})
    assert not attribution.holds(paths.home(), {})


# A chain of the study's shape in a few lines: the level times FACTOR to the power of `start_year`.
CLI = """\
import json, os, pathlib, sys, time

FACTOR = 2
home = pathlib.Path(os.environ["ANIME_GROWTH_HOME"])
given = dict(word.split("=") for word in sys.argv[3::2])
if set(given) != {"start_year"}:
    sys.exit("anime-growth: parameter: is unknown.")
rows = [line.split(",") for path in sorted(home.glob("data/raw/*/*/*.csv")) for line in path.read_text().split()[1:]]
level = sum(float(row[2]) for row in rows)
if level < 0:
    print("some warning")
    sys.exit("anime-growth: data/raw: a level is below nought. Correct it.")
value = level * FACTOR ** int(given["start_year"])
run = home / "data/processed/runs/one"
run.mkdir(parents=True)
entry = {"unit": "100m JPY", "digits": 0, "label": "the level", "method": "a test", "inputs": [], "edition": "2025"}
entry |= {"confidence": "high", "caveats": [], "step": "", "value": value}
(run / "quantities.json").write_text(json.dumps({"market.overseas.level.2024": entry}))
run.with_name("latest").symlink_to("one")
"""
FIELDS = [
    {"name": "year", "type": "integer"},
    {"name": "edition", "type": "string"},
    {"name": "value", "type": "number", "unit": "100 million JPY"},
]


class Small:
    """A small study in a git repository whose chain takes no time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("src/anime_growth/__init__.py", "")
        self.write("src/anime_growth/cli.py", CLI)
        self.write("notebooks/01.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": ["1"]}]}))
        self.write("uv.lock", "one")
        self.write("pyproject.toml", "")
        self.write("README.md", "")
        self.write("LICENSE", "")
        self.write(".gitignore", "runs/\n")
        self.rows("2025", "2023,2025,10", "2024,2025,20")
        self.git("init", "--quiet")
        self.commit()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def rows(self, edition: str, *rows: str) -> None:
        """Save the raw file of an edition with its package."""
        text = "\n".join(["year,edition,value", *rows]) + "\n"
        self.write(f"data/raw/levels/{edition}/levels.csv", text)
        resource = {"name": "levels", "path": "levels.csv", "bytes": len(text)}
        resource |= {"hash": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}
        resource |= {"schema": {"fields": FIELDS, "primaryKey": ["year", "edition"]}}
        package = {"name": "levels", "title": "Levels", "source": "A test", "edition": edition, "accessed": None}
        package |= {"licenses": [{"name": "none"}], "sources": [{"title": "A test"}], "resources": [resource]}
        self.write(f"data/raw/levels/{edition}/datapackage.json", json.dumps(package))

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=A tester", "-c", "user.email=tester@example.org")
        done = subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A state")

    def run(self, name: str, start_year: int = 1, **changed: object) -> Path:
        """A run of what is there now; `changed` are fields of its record."""
        settings = {**os.environ, "ANIME_GROWTH_HOME": str(self.folder)}
        command = [sys.executable, self.folder / "src/anime_growth/cli.py", "run", "-p", f"start_year={start_year}"]
        subprocess.run(command, env=settings, check=True)
        run = self.folder / "runs" / name
        run.parent.mkdir(exist_ok=True)
        (self.folder / "data/processed/runs/one").rename(run)
        (self.folder / "data/processed/runs/latest").unlink()
        files = [path for path in self.folder.glob("src/**/*.py")] + [self.folder / "notebooks/01.ipynb"]
        raw = self.folder / "data/raw"
        record = {
            "parameters": {"start_year": start_year},
            "git": {"commit": self.git("rev-parse", "HEAD"), "dirty": bool(self.git("status", "--porcelain"))},
            "lock": records.file_hash(self.folder / "uv.lock"),
            "python": "3.11.1",
            "platform": "Linux",
            "packages": {"numpy": "1"},
            "code": {path.relative_to(self.folder).as_posix(): attribution._hash(path) for path in files},
            "raw_files": {path.relative_to(raw).as_posix(): records.file_hash(path) for path in raw.glob("**/*.csv")},
        }
        (run / "run.json").write_text(json.dumps({**record, **changed}))
        return run


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The small study, for which temporary folders lie where the test can see them."""
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path / "study"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield Small(tmp_path / "study")
    assert not list((tmp_path / "temporary").iterdir())


def test_every_factor_is_swapped_alone_from_commits_and_the_working_tree(small):
    before = small.run("before")
    small.rows("2026", "2023,2026,10", "2024,2026,25", "2025,2026,40")
    small.write("src/anime_growth/cli.py", CLI.replace("FACTOR = 2", "FACTOR = 3"))
    after = small.run("after", start_year=2)
    told = []
    found = attribution.attribute(before, after, on_swap=told.append)
    # Before: 30 x 2; the new edition repeats 10, restates 20 as 25 and adds 40.
    assert parts(found) == {
        NEW: (30 + 70) * 2 - 60,
        RESTATED: (30 + 35) * 2 - 60,
        PARAMETERS: 30 * 4 - 60,
        CODE: 30 * 3 - 60,
        "interaction": 105 * 9 - 60 - 140 - 70 - 60 - 30,
    }
    assert sorted(told) == sorted([NEW, RESTATED, PARAMETERS, CODE])
    assert {one.name: one.what for one in found.factors} == {
        NEW: "one new row of levels",
        RESTATED: "one restated row of levels",
        PARAMETERS: "start_year 1 → 2",
        CODE: "src/anime_growth/cli.py",
    }
    assert not found.notes


def test_two_commits_are_told_apart_whatever_the_working_tree_is_now(small):
    before = small.run("before")
    small.write("src/anime_growth/cli.py", CLI.replace("FACTOR = 2", "FACTOR = 3"))
    small.write("notebooks/01.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": ["2"]}]}))
    small.commit()
    after = small.run("after", start_year=2)
    small.write("src/anime_growth/cli.py", "raise SystemExit('not this one')")
    small.rows("2025", "2023,2025,77")
    found = attribution.attribute(before, after)
    assert parts(found) == {PARAMETERS: 60, CODE: 30, "interaction": 270 - 60 - 60 - 30}


def test_data_of_which_only_one_kind_differs_are_that_kind(small):
    before = small.run("before")
    small.rows("2025", "2023,2025,10", "2024,2025,20", "2025,2025,5")
    found = attribution.attribute(before, small.run("after", start_year=2))
    assert parts(found) == {NEW: 10, PARAMETERS: 60, "interaction": 10}
    small.rows("2025", "2023,2025,10", "2024,2025,21")
    found = attribution.attribute(before, small.run("later", start_year=2))
    assert parts(found) == {RESTATED: 2, PARAMETERS: 60, "interaction": 2}


def test_a_ledger_of_forecasts_that_grew_is_new_data(small):
    small.write("data/processed/published/forecasts.csv", "one\n")
    small.commit()
    before = small.run("before")
    small.write("data/processed/published/forecasts.csv", "one\ntwo\n")
    found = attribution.attribute(before, small.run("after", start_year=2))
    assert {one.name: one.what for one in found.factors}[NEW] == "published forecasts"


def test_data_that_the_checks_refuse_alone_are_swapped_together(small):
    before = small.run("before")
    small.rows("2025", "2023,2025,-40", "2024,2025,20", "2025,2025,50")
    found = attribution.attribute(before, small.run("after", start_year=2))
    assert parts(found) == {DATA: 0, PARAMETERS: 60, "interaction": 0}
    said = next(one.what for one in found.factors if one.name == DATA)
    assert said.endswith("(cannot be separated: data/raw: a level is below nought. Correct it.)")


def test_a_state_that_is_nowhere_to_be_found_is_named_in_one_line(small):
    small.write("src/anime_growth/cli.py", CLI.replace("FACTOR = 2", "FACTOR = 3"))
    dirty = small.run("dirty")
    small.write("src/anime_growth/cli.py", CLI)
    clean_run = small.run("clean", start_year=2)
    found = attribution.attribute(dirty, clean_run)
    assert not found.factors and not found.quantities[0].parts
    (note,) = found.notes
    assert note.startswith("The code of dirty cannot be rebuilt: ") and "\n" not in note
    found = attribution.attribute(clean_run, dirty)
    assert parts(found) == {PARAMETERS: -60, "interaction and code, not separable": 30}
    assert found.notes[0].startswith("The code of dirty cannot be rebuilt: ")


def test_a_record_without_its_code_or_with_a_strange_commit_is_not_trusted(small):
    before, after = small.run("before"), small.run("after", start_year=2, code=None, git={})
    assert attribution.attribute(after, before).notes[0].startswith("The code of after cannot be rebuilt")
    strange = small.run("strange", git={"commit": "--list", "dirty": False})
    assert parts(attribution.attribute(strange, small.run("third", start_year=2)))[PARAMETERS] == 60


def test_a_dirty_run_is_rebuilt_from_the_working_tree_while_its_files_are_there(small):
    before = small.run("before")
    small.rows("2025", "2023,2025,10", "2024,2025,21")
    after = small.run("after", start_year=2)
    assert json.loads((after / "run.json").read_text())["git"]["dirty"]
    assert RESTATED in parts(attribution.attribute(before, after))
    small.write("data/raw/levels/2027/extra.csv", "year,edition,value\n")
    found = attribution.attribute(before, after)
    assert found.notes[0].startswith("The data of after cannot be rebuilt") and RESTATED not in parts(found)


def test_only_parameters_that_both_states_have_are_swapped(small):
    before = small.run("before")
    small.write("src/anime_growth/cli.py", CLI.replace("FACTOR = 2", "FACTOR = 3"))
    after = small.run("after", start_year=2, parameters={"start_year": 2, "colour": "red"})
    found = attribution.attribute(before, after)
    assert parts(found) == {PARAMETERS: 60, CODE: 30, "interaction": 270 - 60 - 60 - 30}


def test_another_python_or_platform_is_said_to_be_out_of_reach(small):
    before = small.run("before")
    after = small.run("after", start_year=2, python="3.12.1", packages={"numpy": "2"})
    found = attribution.attribute(before, after)
    assert parts(found) == {PARAMETERS: 60, "interaction and environment, not separable": 0}
    (note,) = found.notes
    assert "numpy 1 → 2" in note and "python 3.11.1 → 3.12.1" in note


def uv(folder: Path, body: str) -> str:
    """A stand-in for uv; the folder to put first in PATH."""
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "uv").chmod(0o755)
    return str(folder)


def with_another_lock(small):
    before = small.run("before")
    small.write("uv.lock", "two")
    small.commit()
    return before, small.run("after", start_year=2)


def test_the_environment_is_swapped_by_one_made_from_its_lock(small, tmp_path, monkeypatch):
    """The stand-in makes an interpreter that counts itself, and doubles what is computed where the lock is one."""
    before, after = with_another_lock(small)
    python = f"""mkdir -p .venv/bin
    cat > .venv/bin/python <<END
#!/bin/sh
sed -i 's/FACTOR = 2/FACTOR = 20/' "\\$PYTHONPATH/anime_growth/cli.py"
echo run >> {tmp_path}/made
exec {sys.executable} "\\$@"
END
    chmod +x .venv/bin/python
    echo "$@ $(cat uv.lock)" > {tmp_path}/asked"""
    monkeypatch.setattr(shutil, "which", lambda name, path: f"{uv(tmp_path / 'bin', python)}/uv")
    found = attribution.attribute(before, after)
    # The working tree has the lock of `after`: the older state's environment is the one that was made.
    assert parts(found)[PARAMETERS] == 30 * 20**2 - 60 and parts(found)[ENVIRONMENT] == 0
    assert (tmp_path / "asked").read_text().strip().endswith("one")
    assert "sync --quiet --locked" in (tmp_path / "asked").read_text()
    assert (tmp_path / "made").read_text().split() == ["run"]


def test_an_environment_that_cannot_be_made_is_said_so(small, tmp_path, monkeypatch):
    before, after = with_another_lock(small)
    git = shutil.which("git")
    folder = uv(tmp_path / "bin", "echo 'no network' >&2\nexit 2")
    monkeypatch.setattr(shutil, "which", lambda name, path: f"{folder}/uv")
    assert attribution.attribute(before, after).notes == ("The environment of before cannot be made: no network",)
    found = attribution.attribute(after, before)
    assert found.notes == ("The environment of before cannot be made: no network",)
    assert parts(found) == {PARAMETERS: -60, "interaction and environment, not separable": 0}
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    (tmp_path / "only git").mkdir()
    (tmp_path / "only git/git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "only git"))
    assert "uv is not installed" in attribution.attribute(after, before).notes[0]


def test_a_key_that_a_run_does_not_have_is_refused_before_anything_is_run(small):
    before = small.run("before")
    small.rows("2025", "2023,2025,11", "2024,2025,20")
    after = small.run("after", start_year=2)
    told = []
    with pytest.raises(InputError, match="does not exist in this run"):
        attribution.attribute(before, after, ["market.overseas.level.1999"], told.append)
    assert not told


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal: tests that run in the background of a script inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(("heeds", "patience"), [("SIG_DFL", 50), ("SIG_IGN", 0.5)])
def test_who_is_interrupted_waits_for_no_run_and_leaves_none(small, tmp_path, monkeypatch, heeds, patience):
    monkeypatch.setattr(attribution, "STOP_SECONDS", patience)
    before = small.run("before")
    slow = f"""import os, signal, time
signal.signal(signal.SIGTERM, signal.{heeds})
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
time.sleep(50)
"""
    after = small.run("after", start_year=2)
    small.write("src/anime_growth/cli.py", slow)
    record = json.loads((after / "run.json").read_text())
    record["code"]["src/anime_growth/cli.py"] = records.file_hash(small.folder / "src/anime_growth/cli.py")
    (after / "run.json").write_text(json.dumps(record))

    def interrupt():
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        attribution.attribute(before, after)
    assert time.monotonic() - begun < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
