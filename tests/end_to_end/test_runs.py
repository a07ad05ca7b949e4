"""Whole runs with real kernels: by plain papermill, by the command line, and when something is wrong."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from anime_growth import compare, errors, paths, pipeline
from anime_growth.quantities import Quantities
from tests.end_to_end.conftest import BIN, blocks, one_chain, shell


@one_chain
@pytest.mark.parametrize("kind", compare.KINDS)
def test_plain_papermill_gives_the_published_results(papermill_run, kind):
    compared = compare.compare(paths.published(), papermill_run, paths.notebooks())
    found = [item for item in compared.items if item.kind == kind]
    assert [(item.name, item.note) for item in found if item.status not in (compare.MATCH, compare.WITHIN)] == []
    assert found


@one_chain
def test_the_report_loads_nothing_from_elsewhere_and_shows_every_figure_and_verdict(papermill_run):
    page = (papermill_run / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in page and "<script src" not in page and "@import" not in page
    assert page.count("<img ") == sum(len(step.figures) for step in pipeline.STEPS.values())
    assert 'alt=""' not in page
    assert page.count('class="badge') >= len(pd.read_csv(papermill_run / "verdicts.csv"))


@one_chain
def test_every_number_of_the_report_leads_to_its_place_on_the_trace_page(papermill_run):
    page, traced = ((papermill_run / name).read_text(encoding="utf-8") for name in ("report.html", "trace.html"))
    shown = set(re.findall(r'data-key="([^"]+)"', page))
    assert len(shown) > 200
    assert shown <= set(re.findall(r'id="([^"]+)"', traced))


# --- the command line ---------------------------------------------------------------------------------
def test_the_command_of_the_readme_runs_with_its_parameters_and_says_where_the_report_is(copy_of_study):
    command = next(block for block in blocks("README.md") if "anime-growth run" in block)
    raw = fingerprint(copy_of_study / "data/raw")
    done = shell(command, ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 0, done.stderr
    report = copy_of_study / done.stdout.strip().removeprefix("Report: ")
    assert report.is_file()
    run = report.parent
    assert (run.parent / "latest").resolve() == run
    q = Quantities.read(run / "quantities.json")
    assert q["trend.overseas.drift.years"].value == 13
    assert "projection.overseas.drift.p50.2035" in q
    record = json.loads((run / "run.json").read_text())
    assert record["parameters"] == {
        "edition": "latest",
        "series": "market.overseas",
        "basis": "yen",
        "start_year": 2012,
        "horizon_year": 2035,
        "articles": "all",
        "language": "en",
    }
    assert list(record["steps"]) == list(pipeline.STEPS)
    assert {path.stem for path in (run / "notebooks").iterdir()} == set(pipeline.STEPS)
    assert fingerprint(copy_of_study / "data/raw") == raw


def test_another_edition_runs_to_its_end_and_tells_only_what_it_knows(copy_of_study):
    done = shell(".venv/bin/anime-growth run -p edition=2024", ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 0, done.stderr
    text = (copy_of_study / "data/processed/runs/latest/narrative.md").read_text()
    assert "No trend is fitted to the overseas anime market, because" in text
    refused = shell(".venv/bin/anime-growth publish", ANIME_GROWTH_HOME=str(copy_of_study))
    assert refused.returncode == 2
    assert "other than default parameters" in refused.stderr
    assert not (copy_of_study / "data/processed/published").exists()


# --- when something is wrong ------------------------------------------------------------------------
def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).parts[0].startswith("failed-")
    }


def rehash(csv: Path) -> None:
    """Make the package promise the file as it is now, so that the checks of rows are reached."""
    package = json.loads((csv.parent / "datapackage.json").read_text())
    for resource in package["resources"]:
        if resource["path"] == csv.name:
            content = csv.read_bytes()
            resource.update(bytes=len(content), hash="sha256:" + hashlib.sha256(content).hexdigest())
    (csv.parent / "datapackage.json").write_text(json.dumps(package))


def test_a_bad_rule_exits_2_with_one_line_before_anything_is_run(copy_of_study):
    runs = copy_of_study / "data/processed/runs"
    path = copy_of_study / "data/raw/articles/ann_record_market/2025-10-30/rules.yml"
    path.write_text(path.read_text().replace("computed: market.total.growth.2024", "computed: 1 / ("))
    done = shell(".venv/bin/anime-growth run", ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "ann_record_market/2025-10-30/rules.yml, claim A01, field computed: '1 / (' does not parse" in line
    assert not list(runs.glob("*"))


def test_a_bad_row_exits_2_with_one_line_and_leaves_every_earlier_output_as_it_was(copy_of_study):
    runs = copy_of_study / "data/processed/runs"
    earlier = runs / "20260101T000000Z"
    earlier.mkdir(parents=True)
    (earlier / "report.html").write_text("an earlier report")
    (runs / "latest").symlink_to(earlier.name)
    before = fingerprint(runs)
    csv = copy_of_study / "data/raw/aja/2025/aja_production.csv"
    csv.write_text(csv.read_text().replace("2024,narrow_total,2025,4662,", "2024,narrow_total,2025,5662,"))
    rehash(csv)
    done = shell(".venv/bin/anime-growth run", ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 2
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("anime-growth: data/raw/aja/2025/aja_production.csv, row 49 (year 2024")
    assert "must add up" in message and "Compare both with their sources" in message
    assert fingerprint(runs) == before
    assert (runs / "latest").resolve() == earlier


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (
            "-p editon=2024",
            "editon: is unknown. Did you mean edition. Valid: edition, series, basis, start_year, horizon_year",
        ),
        ("-p edition=1999", "1999 is not an edition .* Choose one of 2022, 2023, 2024, 2025"),
        ("-p start_year=abc", "'abc' .str. is not a whole number"),
        ("-p horizon_year=2999", "2999 .int. is not a whole number from 2025 to 2060"),
        ("-p edition", "is not written name=value"),
        ("-p basis=dollars", "'dollars' .str. is not one of yen, usd, real"),
        ("-p series=overseas", "'overseas' .str. is not a name such as market.overseas"),
        ("-p series=market.oversea", "'market.oversea' is not at hand. Choose one of market.domestic, market.overseas"),
    ],
)
def test_parameters_are_refused_before_anything_starts(copy_of_study, argument, words):
    done = shell(f".venv/bin/anime-growth run {argument}", ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 2
    assert re.search(words, done.stderr.strip().splitlines()[-1])
    assert "running 01" not in done.stderr
    assert not list((copy_of_study / "data/processed").rglob("*.ipynb"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-r edition 2025", "'2025' (str) is not a year such as 2025, or latest"),
        ("-p edition 1999", "1999 is not an edition"),
        ("-p editon 2024", "parameter editon: is unknown"),
    ],
)
def test_under_plain_papermill_the_notebooks_own_first_cells_refuse(tmp_path, arguments, words):
    notebook = paths.notebooks() / "01_clean_figures.ipynb"
    command = f".venv/bin/papermill {notebook} out.ipynb {arguments}"
    done = shell(command, cwd=tmp_path, ANIME_GROWTH_RUN=str(tmp_path / "run"))
    assert done.returncode != 0
    assert words in done.stderr
    assert not list((tmp_path / "run").rglob("*.csv"))


def test_a_notebook_that_leaves_early_without_an_error_fails_the_run(copy_of_study):
    path = copy_of_study / "notebooks" / "01_clean_figures.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(-1, nbformat.v4.new_code_cell("import sys\n\nsys.exit(0)"))
    nbformat.write(notebook, path)
    done = shell(".venv/bin/anime-growth run", ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 1
    runs = copy_of_study / "data/processed/runs"
    assert not (runs / "latest").exists()
    kept = next(runs.glob("failed-*")) / "notebooks" / "01_clean_figures.ipynb"
    assert kept.is_file()
    assert str(kept.relative_to(copy_of_study)) in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_says_so_keeps_what_it_did_and_leaves_no_process(copy_of_study, number):
    settings = {**os.environ, "ANIME_GROWTH_HOME": str(copy_of_study)}
    run = subprocess.Popen(
        [BIN / "anime-growth", "run"],
        env=settings,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a script, or under nohup, inherit that they are ignored.
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in errors.STOPS],
    )
    runs = copy_of_study / "data/processed/runs"
    deadline = time.monotonic() + 60
    while not list(runs.glob("working-*/notebooks/*.ipynb")) and time.monotonic() < deadline:
        time.sleep(0.2)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "stopped from outside. What was done is kept in data/processed/runs/failed-" in said.splitlines()[-1]
    assert not list(runs.glob("working-*")) and not (runs / "latest").exists()
    kernels = subprocess.run(["pgrep", "-f", str(copy_of_study)], capture_output=True, text=True).stdout.split()
    assert not kernels


def test_a_cell_that_fails_is_named_with_its_notebook_and_where_to_read_on(copy_of_study):
    path = copy_of_study / "notebooks" / "01_clean_figures.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(3, nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(notebook, path)
    done = shell(".venv/bin/anime-growth run", ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 1
    assert "01_clean_figures, cell 4: ZeroDivisionError: division by zero. Read data/processed" in done.stderr
