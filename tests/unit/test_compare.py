"""Two runs beside each other: a copy of the published results is spoilt in one place, and the comparison says where."""

import json
import math
import shutil
from collections import Counter

import pytest

from anime_growth import compare, paths, pipeline
from anime_growth.compare import DIFFERS, MATCH, MISSING, NEW, WITHIN
from anime_growth.errors import InputError

GROWTH = "market.overseas.growth.2024"


@pytest.fixture
def run(tmp_path):
    """A run that is as the published one, its notebooks included."""
    shutil.copytree(paths.published(), tmp_path / "run")
    shutil.copytree(paths.notebooks(), tmp_path / "run" / "notebooks", ignore=shutil.ignore_patterns(".*"))
    return tmp_path / "run"


def compared(run):
    return compare.compare(paths.published(), run, paths.notebooks())


def only(comparison):
    """The one item that does not match."""
    (item,) = comparison.of(WITHIN, NEW, MISSING, DIFFERS)
    return item


def change_quantities(run, change):
    path = run / "quantities.json"
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def change_text(path, old, new, times=1):
    text = path.read_text()
    assert old in text, f"{path.name} does not hold {old!r}"
    path.write_text(text.replace(old, new, times))


def add_line(path, line):
    path.write_text(f"{path.read_text()}{line}\n")


def change_notebook(path, change):
    notebook = json.loads(path.read_text())
    change([cell for cell in notebook["cells"] if cell["cell_type"] == "code"])
    path.write_text(json.dumps(notebook))


# --- the same ---------------------------------------------------------------------------------------
def test_the_published_results_match_a_copy_of_them_in_every_item(run):
    found = compared(run)
    assert found.exit_code == 0 and {item.status for item in found.items} == {MATCH}
    sizes = Counter(item.kind for item in found.items)
    assert list(sizes) == list(compare.KINDS)
    assert sizes["quantity"] == len(json.loads((run / "quantities.json").read_text()))
    assert sizes["table"] == sum(len(step.tables) for step in pipeline.STEPS.values())
    assert sizes["figure"] == sum(len(step.figures) for step in pipeline.STEPS.values())
    assert sizes["notebook"] == len(pipeline.STEPS)
    assert found.counts("text") == {MATCH: 1, WITHIN: 0, NEW: 0, MISSING: 0, DIFFERS: 0}


def test_notebooks_are_compared_where_both_have_some(run):
    assert compare.compare(paths.published(), run).counts("notebook")[MATCH] == 0
    assert compare.compare(run, paths.published()).counts("notebook")[MATCH] == 0
    assert compare.compare(run, run).counts("notebook")[MATCH] == len(pipeline.STEPS)


def test_texts_that_the_first_run_lacks_are_not_asked_for(run):
    (run / "finding.md").write_text("Overseas grows.\n")
    assert compared(run).exit_code == 0
    assert compare.compare(run, paths.published(), run / "none").of(MISSING)[0].name == "finding.md"


# --- quantities -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("key", "factor", "status", "code"),
    [
        (GROWTH, 1 + 1e-7, WITHIN, 0),
        (GROWTH, 1 + 1e-5, DIFFERS, 20),
        ("trend.overseas.damped_trend.growth", 1 + 5e-6, WITHIN, 0),
        ("trend.overseas.damped_trend.growth", 1 + 5e-5, DIFFERS, 20),
        ("backtest.overseas.damped_trend.male.sample_from_2012.h1", 1 + 5e-4, WITHIN, 0),
        ("trend.overseas.local_linear.growth", 1 + 5e-6, DIFFERS, 20),
        (GROWTH, math.nan, DIFFERS, 20),
        (GROWTH, math.inf, DIFFERS, 20),
    ],
)
def test_a_number_is_held_to_the_tolerance_of_its_family(run, key, factor, status, code):
    change_quantities(run, lambda entries: entries[key].update(value=entries[key]["value"] * factor))
    item = only(compared(run))
    assert (item.kind, item.name, item.status) == ("quantity", key, status)
    assert compared(run).exit_code == code


def test_an_item_says_what_it_was_what_it_is_and_by_how_much(run):
    change_quantities(run, lambda entries: entries[GROWTH].update(value=26.5))
    item = only(compared(run))
    assert (item.before, item.after, item.note) == ("26.01323888050169 %", "26.5 %", "+1.87 %")


@pytest.mark.parametrize(
    ("field", "value", "note"),
    [
        ("unit", "ratio", "unit: % → ratio"),
        ("digits", 2, "digits: 1 → 2"),
        ("label", "growth", "label: "),
        ("inputs", ["market.overseas.level.2024"], "inputs: "),
        ("confidence", "low", "confidence: high → low"),
    ],
)
def test_what_a_quantity_says_beside_its_value_is_compared_too(run, field, value, note):
    change_quantities(run, lambda entries: entries[GROWTH].update({field: value}))
    item = only(compared(run))
    assert item.status == DIFFERS and note in item.note


@pytest.mark.parametrize("field", ["commit", "sha256"])
def test_commits_and_hashes_of_raw_files_are_left_to_the_environment(run, field):
    def change(entries):
        entries[GROWTH]["commit"] = "0123"
        entries["fx.usdjpy.level.2024"]["inputs"][0]["sha256"] = "0123"

    change_quantities(run, change)
    assert compared(run).exit_code == 0


@pytest.mark.parametrize(("before", "after", "status"), [("run", "more", NEW), ("more", "run", MISSING)])
def test_a_key_that_only_one_run_has_is_new_or_missing(run, tmp_path, before, after, status):
    shutil.copytree(run, tmp_path / "more")
    change_quantities(tmp_path / "more", lambda entries: entries.update({f"{GROWTH[:-4]}2025": entries[GROWTH]}))
    found = compare.compare(tmp_path / before, tmp_path / after)
    assert (only(found).name, only(found).status) == ("market.overseas.growth.2025", status)
    assert found.exit_code == {NEW: 10, MISSING: 20}[status]


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (1.5, 1.5, MATCH),
        (2.0, 2, MATCH),
        (0.0, -0.0, MATCH),
        (math.nan, math.nan, MATCH),
        (math.inf, math.inf, MATCH),
        (0.0, 1e-15, WITHIN),
        (1.5, 1.5000001, WITHIN),
        (2012.0, 2013.0, DIFFERS),
        (math.inf, -math.inf, DIFFERS),
        (math.inf, 1e308, DIFFERS),
        (math.nan, 0.0, DIFFERS),
        (0.0, 1e-3, DIFFERS),
    ],
)
def test_numbers_apart(before, after, status):
    assert compare.apart(before, after, 1e-3 if before == 2012 else 1e-6) == status
    assert compare.apart(after, before, 1e-3 if before == 2012 else 1e-6) == status


# --- tables and drawn data --------------------------------------------------------------------------
def test_a_cell_is_named_by_its_row_and_column_with_how_much_it_moved(run):
    change_text(run / "tables/market.csv", "2024,overseas,2025,21702.0", "2024,overseas,2025,21703.0")
    found = compared(run)
    item = only(found)
    assert (item.kind, item.name, item.status, found.exit_code) == ("table", "market", DIFFERS, 20)
    assert item.note == "year 2024, series overseas, level_jpy_100m: 21702.0 → 21703.0 (+0.00461 %)"
    assert [part.name for part in item.parts] == ["year 2024, series overseas, level_jpy_100m"]


def test_a_cell_may_differ_within_tolerance(run):
    change_text(run / "figures/overseas_growth.csv", "13.073825503355696", "13.0738255")
    assert (only(compared(run)).status, compared(run).exit_code) == (WITHIN, 0)


def test_a_row_of_another_model_has_its_own_tolerance(run):
    path = run / "tables/trends.csv"
    header, *rows = path.read_text().splitlines()
    growth = header.split(",").index("growth_pct_a_year")
    for model, status in (("damped_trend", WITHIN), ("drift", DIFFERS)):
        cells = next(row for row in rows if f",{model}," in row).split(",")
        shutil.copyfile(paths.published() / "tables/trends.csv", path)
        change_text(path, cells[growth], repr(float(cells[growth]) * (1 + 5e-6)))
        assert only(compared(run)).status == status, model


def test_a_year_that_is_added_in_the_middle_is_one_new_row_and_nothing_else(run):
    path = run / "tables/exchange_rates.csv"
    header, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, first, first.replace("2002", "2001"), *rest]) + "\n")
    found = compared(run)
    (part,) = only(found).parts
    assert (only(found).status, found.exit_code) == (NEW, 10)
    assert part.name == "year 2001, method fred_annual_average" and "usdjpy 125.2204" in part.after
    found = compare.compare(run, paths.published())
    assert (only(found).status, found.exit_code) == (MISSING, 20)


def test_new_rows_may_be_told_of_by_texts_and_notebooks_but_not_move_anything(run):
    add_line(run / "tables/spot_rates.csv", "2026-01-05,156.5,S079,somewhere.csv?date=2026-01-05#usdjpy")
    change_text(run / "tables/raw_files.csv", "381a0cb1", "00000000")  # the hash of a raw file is no result,
    change_text(run / "tables/checks.csv", ",35,0.0,", ",36,0.0,")  # nor is how many rows were checked
    add_line(run / "narrative.md", "There is a new rate.")
    change_notebook(run / "notebooks/01_clean_figures.ipynb", lambda cells: cells[-1]["outputs"][0].update(text="new"))
    assert compared(run).exit_code == 10
    change_text(run / "tables/market.csv", "21702.0", "21703.0")
    assert compared(run).exit_code == 20


def test_a_row_twice_is_a_new_row(run):
    path = run / "tables/spot_rates.csv"
    add_line(path, path.read_text().splitlines()[-1])
    (part,) = only(compared(run)).parts
    assert part.status == NEW and part.name.endswith("again, 2")


def test_rows_in_another_order_are_said_and_let_pass(run):
    path = run / "tables/trends.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]) + "\n")
    item = only(compared(run))
    assert (item.status, item.note) == (WITHIN, "rows stand in another order")


def test_words_are_compared_exactly_even_where_they_look_like_numbers(run):
    change_text(run / "tables/claims.csv", ",25.25,", ",25.250,")
    assert only(compared(run)).status == DIFFERS


def test_whole_numbers_are_compared_exactly_under_any_tolerance(run):
    path = run / "tables/specifications.csv"
    rows = path.read_text().splitlines()
    row = next(row for row in rows if ",damped_trend," in row and ",2024," in row)
    change_text(path, row, row.replace(",2024,", ",2023,"))
    item = only(compared(run))
    assert item.status == DIFFERS and item.note.endswith("last_year: 2024 → 2023 (-0.0494 %)")


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("year,level\n2002,5\n", "year,level\n2002,5.0\n", MATCH),
        ("year,level\n2002,5.5\n", "year,level\n2002,\n", DIFFERS),
        ("year,level\n2002,inf\n", "year,level\n2002,inf\n", MATCH),
        ("year,level\n2002,inf\n", "year,level\n2002,5.5\n", DIFFERS),
        ("year,level\n2002,-0.0\n", "year,level\n2002,0.0\n", MATCH),
        ("code,level\n007,1.5\n", "code,level\n7,1.5\n", DIFFERS),
        ("level\n1.5\n2.5\n", "level\n1.5\n2.6\n", DIFFERS),
        ("year,level\n", "year,level\n", MATCH),
        ("year,level\n", "year,level\n2002,5.5\n", NEW),
        ("year,level\n2002,5.5\n", "year,level\n", MISSING),
        ("year,level\n2002,5.5\n", "", MISSING),
        ("", "", MATCH),
        ("year,level\n2002,5.5\n", "year,level,unit\n2002,5.5,%\n", NEW),
        ("year,level\n2002,5.5\n", "year,height\n2002,5.5\n", MISSING),
        ("year,level\n2002,5.5\n", "level,year\n5.5,2002\n", MATCH),
    ],
)
def test_tables_of_every_shape(run, tmp_path, before, after, status):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    (run / "tables/annual_series.csv").write_text(before)
    (other / "tables/annual_series.csv").write_text(after)
    found = next(item for item in compare.compare(run, other).items if item.name == "annual_series")
    assert found.status == status


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_a_table_or_figure_that_is_not_there_is_missing_or_new(run, kind):
    (run / kind / "backtest.csv").unlink()
    found = compared(run)
    assert (only(found).kind, only(found).status, found.exit_code) == (kind[:-1], MISSING, 20)
    found = compare.compare(run, paths.published())
    assert (only(found).status, found.exit_code) == (NEW, 10)


def test_a_figure_that_was_not_drawn_is_missing(run):
    (run / "figures/backtest.svg").unlink()
    assert (only(compared(run)).status, only(compared(run)).note) == (MISSING, "backtest.svg is missing")


def test_a_folder_that_is_not_there_leaves_its_items_missing(run):
    shutil.rmtree(run / "figures")
    assert compared(run).counts("figure")[MISSING] == 21


# --- verdicts ---------------------------------------------------------------------------------------
def test_a_verdict_that_flips_has_an_exit_code_of_its_own(run):
    rows = (run / "verdicts.csv").read_text().splitlines()
    row = next(row for row in rows if ",supported," in row)
    change_text(run / "verdicts.csv", row, row.replace(",supported,", ",contradicted,"))
    change_quantities(run, lambda entries: entries[GROWTH].update(value=1.0))
    found = compared(run)
    flipped = next(item for item in found.items if item.is_flipped)
    assert (flipped.kind, flipped.before, flipped.after) == ("verdict", "supported", "contradicted")
    assert flipped.note == "verdict: supported → contradicted"
    assert found.exit_code == 30


def test_another_word_beside_a_verdict_differs_and_flips_nothing(run):
    change_text(run / "verdicts.csv", "nine entertainment firms", "ten entertainment firms")
    found = compared(run)
    item = next(item for item in found.items if item.kind == "verdict" and item.status != MATCH)
    assert item.before == item.after and item.note.startswith("computed: ")
    assert (item.is_flipped, found.exit_code) == (False, 20)


def test_a_claim_that_is_no_longer_judged_is_missing_and_one_more_is_new(run):
    lines = (run / "verdicts.csv").read_text().splitlines(keepends=True)
    (run / "verdicts.csv").write_text("".join(lines[:-1]))
    gone = only(compared(run))
    assert (gone.kind, gone.status, gone.after) == ("verdict", MISSING, "")
    assert only(compare.compare(run, paths.published())).status == NEW
    (run / "verdicts.csv").unlink()
    assert compared(run).counts("verdict")[MISSING] == len(lines) - 1


# --- texts and notebooks ----------------------------------------------------------------------------
def test_a_text_names_the_first_line_that_differs(run):
    change_text(run / "narrative.md", "\n", "\nAnother sentence.\n")
    item = only(compared(run))
    assert (item.kind, item.name, item.status, item.after) == ("text", "narrative.md", DIFFERS, "Another sentence.")
    assert item.note.startswith("line 2 and ")
    (run / "narrative.md").unlink()
    assert only(compared(run)).status == MISSING


def change_output(cells):
    cells[-1]["outputs"][0]["text"] = ["other words\n"]


def change_html(cells):
    output = next(output for cell in cells for output in cell["outputs"] if "text/html" in output.get("data", {}))
    output["data"]["text/html"] = ["<table></table>"]


def change_code(cells):
    cells[-1]["source"] = ["step.finish() # again"]


def drop_image(cells):
    drawn = (cell for cell in cells if any("image/svg+xml" in one.get("data", {}) for one in cell["outputs"]))
    next(drawn)["outputs"].clear()


def add_image(cells):
    cells[-1]["outputs"].append({"output_type": "display_data", "data": {"image/png": "aaaa"}, "metadata": {}})


def fail(cells):
    cells[-1]["outputs"] = [{"output_type": "error", "ename": "ValueError", "evalue": "x", "traceback": []}]


@pytest.mark.parametrize(
    ("how", "note", "code"),
    [
        (change_output, "cell 33, output 1, stdout: ", 20),
        (change_html, ", text/html: ", 20),
        (change_code, "cell 33, code: ", 20),
        (drop_image, "image/svg+xml is missing", 20),
        (add_image, "cell 33, output 2, image/png is new", 10),
        (fail, "error is new", 20),
    ],
)
def test_a_notebook_is_compared_by_all_that_it_shows(run, how, note, code):
    change_notebook(run / "notebooks/02_describe_market.ipynb", how)
    found = compared(run)
    item = only(found)
    assert (item.kind, item.name, found.exit_code) == ("notebook", "02_describe_market", code)
    assert any(note in compare._told(part) for part in item.parts)


def with_output(said):
    def change(cells):
        cells[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [f"{said}\n"]}]

    return change


def with_code(said):
    def change(cells):
        cells[-1]["source"] = [f"level = {said!r}"]

    return change


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("grows 12.3 % a year", "grows 12.4 % a year", WITHIN),
        ("from 1,299.95 to 0.99", "from 1,299.96 to 1.00", WITHIN),
        ("grows 12.3 % a year", "grows 12.5 % a year", DIFFERS),
        ("grows 12.3 % a year", "grows 12.30 % a year", DIFFERS),
        ("grows 12.3 % a year", "shrinks 12.4 % a year", DIFFERS),
        ("of 3 models", "of 4 models", DIFFERS),
        ("12.3", "12.3 and 4.5", DIFFERS),
    ],
)
def test_a_fraction_that_is_rounded_to_the_other_side_is_within_tolerance(run, before, after, status):
    other = shutil.copytree(run, run.with_name("other"))
    for folder, said in ((other, before), (run, after)):
        (folder / "limits.md").write_text(f"{said}\n", encoding="utf-8")
        change_notebook(folder / "notebooks/01_clean_figures.ipynb", with_output(said))
        change_notebook(folder / "notebooks/02_describe_market.ipynb", with_code(said))
    found = {item.name: item.status for item in compare.compare(other, run).of(WITHIN, DIFFERS)}
    assert found == {"limits.md": status, "01_clean_figures": status, "02_describe_market": DIFFERS}


def test_what_papermill_adds_to_a_notebook_is_not_compared(run):
    def as_papermill_leaves_it(cells):
        cells[1]["metadata"]["papermill"] = {"duration": 1.5}
        cells[1]["execution_count"] = 99
        (whole,) = cells[-1]["outputs"]
        cells[-1]["outputs"] = [{**whole, "text": letter} for letter in "".join(whole["text"])]

    path = run / "notebooks/02_describe_market.ipynb"
    change_notebook(path, as_papermill_leaves_it)
    notebook = json.loads(path.read_text())
    injected = {"cell_type": "code", "source": "edition = 2025", "metadata": {"tags": ["injected-parameters"]}}
    notebook["cells"].insert(3, injected)
    path.write_text(json.dumps(notebook))
    assert compared(run).exit_code == 0


def test_images_are_compared_by_kind_and_number_only(run):
    def redraw(cells):
        for output in (output for cell in cells for output in cell["outputs"]):
            output.get("data", {}).update({"image/png": "aaaa"} if "image/png" in output.get("data", {}) else {})

    change_notebook(run / "notebooks/02_describe_market.ipynb", redraw)
    assert compared(run).exit_code == 0


def test_a_notebook_that_is_not_there_is_missing(run):
    (run / "notebooks/02_describe_market.ipynb").unlink()
    assert only(compared(run)).status == MISSING


# --- what cannot be compared ------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": 1}', b'{"a": {}}'])
def test_damaged_quantities_are_refused_in_one_line(run, content):
    (run / "quantities.json").write_bytes(content)
    with pytest.raises(InputError, match=r"quantities\.json: is damaged") as refused:
        compared(run)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", ["2.5", None, True, 10**400])
def test_a_quantity_without_a_number_is_refused(run, value):
    change_quantities(run, lambda entries: entries[GROWTH].update(value=value))
    with pytest.raises(InputError, match=r"quantities\.json: is damaged"):
        compared(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tables/market.csv", b"\xff"),
        ("tables/market.csv", b"year,year\n1,2\n"),
        ("tables/market.csv", b"year,series\n1\n"),
        ("tables/market.csv", b'year\n"1'),
        ("verdicts.csv", b"claim\nC01\n"),
        ("verdicts.csv", b"article,claim_id,verdict\na,C01,supported\na,C01,supported\n"),
        ("narrative.md", b"\xff"),
        ("notebooks/01_clean_figures.ipynb", b"{}"),
        ("notebooks/01_clean_figures.ipynb", b'{"cells": [1]}'),
    ],
)
def test_a_damaged_file_is_refused_by_its_name_in_one_line(run, name, content):
    (run / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        compared(run)
    assert refused.value.where.endswith(name) and "\n" not in str(refused.value)


def test_a_folder_without_a_run_is_refused(run, tmp_path):
    for before, after in ((tmp_path, run), (run, tmp_path / "nowhere")):
        with pytest.raises(InputError, match="holds no finished run"):
            compare.compare(before, after)


def test_a_file_that_cannot_be_read_is_refused(run):
    (run / "tables/market.csv").unlink()
    (run / "tables/market.csv").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        compared(run)


# --- what runs were made with -----------------------------------------------------------------------
RECORD = {
    "parameters": {"start_year": 2002},
    "raw_files": {"aja/2025/a.csv": "sha256:1"},
    "packages": {"numpy": "2.4.6"},
    "code": {"src/a.py": "sha256:1"},
    "lock": "sha256:1",
    "python": "3.11.7",
    "platform": "Linux",
    "git": {"commit": "abc", "dirty": False},
}


@pytest.mark.parametrize(
    ("change", "what", "before", "after"),
    [
        ({"parameters": {"start_year": 2012}}, "parameter start_year", "2002", "2012"),
        ({"raw_files": {}}, "raw file aja/2025/a.csv", "sha256:1", "none"),
        ({"packages": {"numpy": "2.5.0"}}, "package numpy", "2.4.6", "2.5.0"),
        ({"packages": {"numpy": "2.4.6", "new": "1"}}, "package new", "none", "1"),
        ({"code": {"src/a.py": "sha256:2"}}, "code src/a.py", "sha256:1", "sha256:2"),
        ({"lock": "sha256:2"}, "lock", "sha256:1", "sha256:2"),
        ({"lock": ""}, "lock", "sha256:1", "not recorded"),
        ({"python": "3.12.1"}, "python", "3.11.7", "3.12.1"),
        ({"platform": "Darwin"}, "platform", "Linux", "Darwin"),
        ({"git": {"commit": "abc", "dirty": True}}, "commit", "abc", "abc with uncommitted changes"),
        ({"git": {}}, "commit", "abc", "not recorded"),
        ({"code": None}, "code", "1 recorded", "not recorded"),
    ],
)
def test_what_two_runs_were_made_with_is_compared_one_thing_at_a_time(change, what, before, after):
    (found,) = compare.environment(RECORD, {**RECORD, **change})
    assert (found.what, found.before, found.after) == (what, before, after)


def test_nothing_differs_between_a_record_and_itself_even_where_little_is_recorded():
    assert compare.environment(RECORD, RECORD) == []
    assert compare.environment({}, {}) == []
    assert compare.environment({}, RECORD) != []
