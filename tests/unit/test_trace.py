"""From a made-up number back to made-up cells: what the chain says, and what it says when something is gone."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from anime_growth import paths, trace, units
from anime_growth.arithmetic import growth_pct
from anime_growth.cli import app
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities

FILE = "sales/2025/sales.csv"
PRINTED = (
    "year,value,unit,source_id\n2023,100,100 million JPY,S1\n2024,120,100 million JPY,S1\n2025,,100 million JPY,S1\n"
)
REGISTER = [
    (
        "S1",
        "A printed report",
        "A publisher",
        "2025-10-30",
        "2026-01-01",
        "primary",
        "https://example.org/1",
        "facts only",
    ),
    ("S2", "A news page", "A newspaper", "", "2026-01-01", "secondary", "https://example.org/2", "facts only"),
]


def cell(year, column="value"):
    return f"{FILE}?year={year}#{column}"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study with one raw file of three rows, which the package takes for the real one."""
    (tmp_path / "data/raw/sales/2025").mkdir(parents=True)
    (tmp_path / "data/raw" / FILE).write_text(PRINTED, encoding="utf-8")
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def quantities():
    """Growth from 2023 to 2024, its double, and the level of 2024 again."""
    q = Quantities("2025")
    for year, value in ((2023, 100), (2024, 120)):
        q.observe(f"sales.all.level.{year}", value, units.JPY_100M, f"sales of {year}", cell(year), "medium")
    pair = ["sales.all.level.2024", "sales.all.level.2023"]
    q.compute("sales.all.growth.2024", growth_pct, pair, units.PERCENT, "growth of sales in 2024", caveats=("N7",))
    again = ["sales.all.growth.2024", "sales.all.level.2024"]
    method = "anime_growth.trends.drift"
    q.record("trend.all.drift.growth", 9, units.PERCENT_A_YEAR, "a <b>bold</b> [red]fit[/red]", method, again)
    return q


@pytest.fixture
def entries(quantities):
    sha256 = hashlib.sha256(PRINTED.encode()).hexdigest()
    rows = {f"{FILE}?year={year}": {"sha256": sha256, "source_id": "S1", "also": ["S2"]} for year in (2023, 2024)}
    return quantities.entries(rows, {"anime_growth.trends": "0123456789ab", "anime_growth.arithmetic": "ba9876543210"})


VERDICT = {
    "claim_id": "C01", "article": "paper", "subject": "sales", "measure": "growth", "verdict": "contradicted",
    "stated": "30 %", "computed": "20.0 %", "caveat": "It is less.", "evidence": "sales.all.growth.2024",
}  # fmt: skip


@pytest.fixture
def run(study, entries):
    """The folder that a run would have left."""
    folder = study / "run"
    (folder / "tables").mkdir(parents=True)
    (folder / "quantities.json").write_text(json.dumps(entries), encoding="utf-8")
    with (folder / "tables/sources.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([trace.SOURCE_PARTS, *REGISTER])
    with (folder / "verdicts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([VERDICT, VERDICT.values()])
    return folder


@pytest.fixture
def record(run):
    return trace.Record.read(run)


def text_of(record, key):
    out = io.StringIO()
    Console(file=out, highlight=False, markup=False, width=1000).print(record.tree(key))
    return out.getvalue()


def command(*arguments):
    return CliRunner().invoke(app, ["trace", *map(str, arguments)])


def test_a_figure_that_the_collector_computed_is_not_said_to_be_printed(study, quantities):
    content = "year,value,unit,is_derived\n2023,100,100 million JPY,1\n2024,120,100 million JPY,0\n"
    (study / "data/raw" / FILE).write_text(content, encoding="utf-8")
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    rows = {f"{FILE}?year={year}": {"sha256": sha256, "source_id": "S1", "also": []} for year in (2023, 2024)}
    record = trace.Record.of_entries(quantities.entries(rows, {}), {})
    text = text_of(record, "sales.all.growth.2024")
    assert "column value: holds, computed by the collector, 100 100 million JPY" in text
    assert "column value: prints 120 100 million JPY" in text


# --- the verdict on a claim -------------------------------------------------------------------------
def test_a_claim_leads_to_its_verdict_and_to_the_numbers_that_it_rests_on(record):
    head, *rest = text_of(record, "claim.paper.C01").splitlines()
    assert head.strip() == "claim.paper.C01  contradicted  sales, growth"
    assert "stated 30 % · computed 20.0 %" in rest[0] and "It is less." in rest[1]
    assert "sales.all.growth.2024" in rest[2]


def test_plain_data_of_a_claim_holds_its_verdict_and_what_its_numbers_hold(record):
    claimed, number = record.as_data("claim.paper.C01"), record.as_data("sales.all.growth.2024")
    assert claimed.pop("verdict") == VERDICT
    assert {**claimed, "key": ""} == {**number, "key": ""}


def test_an_unknown_claim_is_refused_with_the_nearest():
    done = command("claim.anime_overtakes_autos.C99")
    assert done.exit_code == 2 and "claim.anime_overtakes_autos.C" in done.output


# --- the tree ---------------------------------------------------------------------------------------
def test_the_tree_goes_from_a_number_to_the_printed_cells(record):
    text = text_of(record, "sales.all.growth.2024")
    assert text == (
        "sales.all.growth.2024  20.0 %  growth of sales in 2024\n"
        "arithmetic.growth_pct at ba9876543210 · edition 2025 · medium confidence · caveats: N7\n"
        "├── sales.all.level.2024  JPY 12.0 billion  sales of 2024\n"
        "│   as printed · edition 2025 · medium confidence\n"
        "│   └── data/raw/sales/2025/sales.csv, row year 2024, column value: prints 120 100 million JPY\n"
        f"│       sha256 {hashlib.sha256(PRINTED.encode()).hexdigest()}\n"
        "│       S1: A printed report; A publisher, 2025-10-30 (primary); https://example.org/1\n"
        "│       printed alike by S2: A news page; A newspaper, undated, read 2026-01-01 (secondary);"
        " https://example.org/2\n"
        "└── sales.all.level.2023  JPY 10.0 billion  sales of 2023\n"
        "    as printed · edition 2025 · medium confidence\n"
        "    └── data/raw/sales/2025/sales.csv, row year 2023, column value: prints 100 100 million JPY\n"
        "        S1 (see above)\n"
        "        printed alike by S2 (see above)\n"
    )


def test_what_was_shown_is_named_again_and_not_repeated(record):
    text = text_of(record, "trend.all.drift.growth")
    assert text.count("sales.all.level.2024  ") == 2
    assert text.count("sales of 2024  (see above)") == 1
    assert text.count("row year 2024") == text.count("row year 2023") == 1
    assert text.count("A printed report") == 1


def test_a_label_with_markup_is_shown_as_it_is(record):
    assert "a <b>bold</b> [red]fit[/red]" in text_of(record, "trend.all.drift.growth")


def test_a_partial_function_shows_what_it_was_given(quantities, entries):
    entries["sales.all.growth.2024"]["method"] = "anime_growth.arithmetic.cagr_pct(years=2)"
    record = trace.Record.of_entries(entries, {})
    assert record.method("sales.all.growth.2024") == "arithmetic.cagr_pct(years=2) at ba9876543210"
    assert record.q["sales.all.growth.2024"].module == "anime_growth.arithmetic"


def test_the_commit_stands_beside_the_function_and_not_behind_its_words(entries):
    entries["sales.all.growth.2024"]["method"] = "anime_growth.arithmetic.growth_pct: of sales: all"
    assert trace.Record.of_entries(entries, {}).method("sales.all.growth.2024") == (
        "arithmetic.growth_pct at ba9876543210: of sales: all"
    )


def test_a_figure_without_an_edition_has_that_of_its_file(entries):
    entries["sales.all.level.2024"]["edition"] = ""
    entries["sales.all.growth.2024"]["edition"] = ""
    record = trace.Record.of_entries(entries, {})
    assert record.edition("sales.all.level.2024") == "2025"
    assert record.edition("sales.all.growth.2024") == ""


# --- plain data --------------------------------------------------------------------------------------
def test_plain_data_holds_the_same_chain_each_part_once(record):
    data = json.loads(json.dumps(record.as_data("trend.all.drift.growth")))
    assert data["key"] == "trend.all.drift.growth"
    assert list(data["quantities"]) == [
        *("trend.all.drift.growth", "sales.all.growth.2024", "sales.all.level.2024", "sales.all.level.2023")
    ]
    growth = data["quantities"]["sales.all.growth.2024"]
    assert (growth["value"], growth["text"], growth["commit"]) == (pytest.approx(20), "20.0 %", "ba9876543210")
    assert growth["inputs"] == ["sales.all.level.2024", "sales.all.level.2023"]
    level = data["quantities"]["sales.all.level.2024"]
    assert level["inputs"] == [cell(2024)]
    printed = data["cells"][cell(2024)]
    assert (printed["printed"], printed["unit"], printed["row"]) == ("120", "100 million JPY", {"year": "2024"})
    assert (printed["edition"], printed["confidence"]) == ("2025", "medium")
    assert set(data["cells"]) == {cell(2023), cell(2024)}
    assert data["sources"]["S1"]["publisher"] == "A publisher"
    assert list(data["sources"]) == ["S1", "S2"]


def test_sources_behind_a_number_are_those_of_all_its_cells(record):
    assert record.source_ids("trend.all.drift.growth") == ["S1", "S2"]


# --- keys ---------------------------------------------------------------------------------------------
def test_an_unknown_key_names_the_nearest(run):
    answer = command("sales.all.grwoth.2024", "--run", run)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert "Nearest: sales.all.growth.2024" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_part_of_a_key_names_those_that_hold_it(run):
    assert "trend.all.drift.growth" in command("drift", "--run", run).stderr


def test_an_empty_key_says_where_the_keys_are(run):
    answer = command("", "--run", run)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "quantity '': is not in this run. See quantities.json" in answer.stderr


@pytest.mark.parametrize(
    "key", ["$(reboot); `id`", "<script>alert(1)</script>", "a\nb\x1b[31m", "[red]x[/red]", "{0}%s"]
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_key_of_special_characters_is_printed_back_harmlessly(run, key, form):
    answer = command(key, *form, "--run", run)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert repr(key) in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert "\x1b" not in answer.stderr


# --- what may be gone ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_text(PRINTED + "2026,1,100 million JPY,S1\n"), "no longer the one that was read"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "no longer the one that was read"),
        (lambda path: path.unlink(), "cannot be read (No such file or directory)"),
    ],
)
def test_a_raw_file_that_is_another_one_now_is_not_quoted(study, record, spoil, says):
    assert "prints 120" in text_of(record, "sales.all.level.2024")
    spoil(study / "data/raw" / FILE)
    text = text_of(record, "sales.all.level.2024")
    assert says in text
    assert "prints" not in text.replace("printed", "")
    assert record.as_data("sales.all.level.2024")["cells"][cell(2024)]["printed"] == ""


@pytest.mark.parametrize("address", [cell(1999), cell(2024, "nonsuch"), cell(2025), f"{FILE}?source_id=S1#value"])
def test_a_cell_that_the_file_does_not_have_once_is_said_to_be_missing(study, record, address):
    """A row that is gone, a column that never was, an empty cell, a selector of three rows."""
    sha256 = hashlib.sha256(PRINTED.encode()).hexdigest()
    parts = {"cell": address, **trace.cells.parse(address), "sha256": sha256, "source_id": "S1", "also": []}
    assert trace.printed(address, sha256) == ("", "")
    assert "the file has no such cell" in record.cell_words(parts)


def test_words_have_no_unit(study):
    """A row's unit is that of its measure, not of the names that stand beside it."""
    content = "year,who,value,unit\n2024,nine firms,-18,%\n"
    (study / "data/raw" / FILE).write_text(content, encoding="utf-8", newline="")
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    assert trace.printed(cell(2024), sha256) == ("-18", "%")
    assert trace.printed(cell(2024, "who"), sha256) == ("nine firms", "")


def test_rows_with_a_line_break_inside_a_cell_are_read_whole(study):
    content = 'year,value,unit,note\n2024,7,count,"two\nlines\u2028of text"\n2025,8,count,\n'
    (study / "data/raw" / FILE).write_text(content, encoding="utf-8", newline="")
    assert trace.printed(cell(2025), hashlib.sha256(content.encode()).hexdigest()) == ("8", "count")


def test_a_source_that_is_not_registered_is_said_to_be_unknown(entries, study):
    record = trace.Record.of_entries(entries, {})
    assert "S1: not in the register of sources" in text_of(record, "sales.all.level.2024")
    assert record.as_data("sales.all.level.2024")["sources"] == {}


def test_a_folder_without_a_run_is_named(study):
    answer = command("sales.all.growth.2024", "--run", study / "nowhere")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "nowhere: is not there. Name a run as `anime-growth runs` lists it" in answer.stderr


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "[1, 2]",
        lambda text: '{"a.b.c": {}}',
        lambda text: "[" * 100_000,
        lambda text: text.replace('"100m JPY"', '"100m JPX"'),
        lambda text: text.replace('"label"', '"labels"'),
        lambda text: text.replace('"also"', '"as well"'),
        lambda text: text.replace('"value": 100.0', '"value": "many"'),
        lambda text: text.replace('"value": 100.0', '"value": null'),
        lambda text: text.replace('"inputs": [', '"inputs": [7, '),
    ],
)
def test_damaged_quantities_are_refused_in_one_line(run, damage):
    path = run / "quantities.json"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    answer = command("sales.all.growth.2024", "--run", run)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "run/quantities.json: is damaged" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_an_input_that_is_no_quantity_is_named(run):
    path = run / "quantities.json"
    path.write_text(path.read_text().replace('"sales.all.level.2024", "sales', '"sales.all.lost", "sales'))
    answer = command("sales.all.growth.2024", "--run", run)
    assert answer.exit_code == 2
    assert "sales.all.lost" in answer.stderr


def test_a_damaged_register_is_named(run):
    (run / "tables/sources.csv").write_text("id,title\nS1,A\n")
    with pytest.raises(InputError, match="sources.csv: is damaged"):
        trace.Record.read(run)


# --- what the tables know -------------------------------------------------------------------------------
def test_raw_rows_tell_hash_and_sources_of_every_row():
    tables = {
        "raw_files": pd.DataFrame({"file": [FILE], "sha256": ["ab"]}),
        "sales": pd.DataFrame({"raw_cell": [cell(2024)], "source_id": ["S1"], "corroborating_source_ids": ["S2;S3"]}),
        "notes": pd.DataFrame({"raw_row": [f"{FILE}?year=2023"], "source_id": ["S4"]}),
        "elsewhere": pd.DataFrame({"raw_row": ["lost.csv?year=2023"]}),
    }
    assert trace.raw_rows(tables) == {
        f"{FILE}?year=2024": {"sha256": "ab", "source_id": "S1", "also": ["S2", "S3"]},
        f"{FILE}?year=2023": {"sha256": "ab", "source_id": "S4", "also": []},
    }


def test_the_raw_cells_behind_a_number_are_found_through_all_its_inputs(quantities):
    assert trace.raw_behind(quantities, "trend.all.drift.growth") == {cell(2023), cell(2024)}
    assert trace.raw_behind(quantities, "sales.all.level.2023") == {cell(2023)}


# --- commits --------------------------------------------------------------------------------------------
def git(folder, *arguments):
    settings = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    names = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *names, *arguments], cwd=folder, env=settings, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A package of two modules in a repository, the second committed after the first."""
    folder = tmp_path / "src/package"
    (folder / "templates").mkdir(parents=True)
    git(tmp_path, "init", "-q")
    for name in ("first.py", "second.py"):
        (folder / name).write_text("x = 1\n")
        (folder / "templates" / name.replace(".py", ".md")).write_text("text\n")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-q", "-m", name)
    return folder


def heads(folder):
    return [commit[:12] for commit in git(folder, "log", "--format=%H").split()]


def test_a_module_has_the_commit_that_last_changed_it(package):
    second, first = heads(package)
    assert trace.commits(package) == {"anime_growth.first": first, "anime_growth.second": second}
    assert re.fullmatch("[0-9a-f]{12}", first)


def test_a_changed_module_is_marked_and_a_changed_text_beside_it_is_not(package):
    second, first = heads(package)
    (package / "first.py").write_text("x = 2\n")
    (package / "templates/second.md").write_text("another text\n")
    assert trace.commits(package) == {"anime_growth.first": f"{first}+changes", "anime_growth.second": second}
    git(package, "add", ".")
    assert trace.commits(package)["anime_growth.first"] == f"{first}+changes"


def test_a_module_of_a_package_inside_has_a_commit_and_a_name_of_its_own(package):
    (package / "inner").mkdir()
    (package / "inner" / "first.py").write_text("x = 1\n")
    git(package, "add", ".")
    git(package, "commit", "-q", "-m", "inner")
    newest, _, first = heads(package)
    found = trace.commits(package)
    assert (found["anime_growth.inner.first"], found["anime_growth.first"]) == (newest, first)
    (package / "inner" / "first.py").write_text("x = 2\n")
    found = trace.commits(package)
    assert (found["anime_growth.inner.first"], found["anime_growth.first"]) == (f"{newest}+changes", first)


def test_a_module_in_no_commit_differs_from_the_newest(package):
    (package / "third.py").write_text("x = 3\n")
    assert trace.commits(package)["anime_growth.third"] == f"{heads(package)[0]}+changes"


def test_a_module_that_was_deleted_is_not_named(package):
    git(package, "rm", "-q", "first.py")
    git(package, "commit", "-q", "-m", "gone")
    assert list(trace.commits(package)) == ["anime_growth.second"]


def test_without_git_there_are_no_commits(package, tmp_path, monkeypatch):
    outside = tmp_path / "installed"
    outside.mkdir()
    (outside / "first.py").write_text("x = 1\n")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert trace.commits(outside) == {}
    monkeypatch.setenv("PATH", str(outside))
    assert trace.commits(package) == {}


def test_a_repository_without_a_commit_has_none(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "first.py").write_text("x = 1\n")
    assert trace.commits(tmp_path) == {}
