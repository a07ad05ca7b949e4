"""The digest: which rows are new or restated, what moved first, and text that is safe to show."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from anime_growth import clean, compare, digest, links, narrative, paths
from anime_growth.digest import changes
from anime_growth.quantities import Quantities

LEVEL = "market.overseas.level.2024"


def key(**parts):
    return tuple(parts.items())


def kinds(before, after, measures=("value",)):
    return [(change.kind, dict(change.key)) for change in changes("t", before, after, measures)]


# --- rows -------------------------------------------------------------------------------------------
def test_a_row_with_the_same_key_is_restated_where_any_column_is_printed_differently():
    row = {"value": "100.0", "source_id": "S001"}
    at = key(year="2024", edition="2025")
    assert kinds({at: row}, {at: row}) == []
    assert kinds({at: row}, {at: {**row, "value": "100"}}) == []
    (change,) = changes("t", {at: row}, {at: {**row, "value": "101.0", "source_id": "S002"}}, ["value"])
    assert (change.kind, change.changed, change.earlier) == ("restated", ["value", "source_id"], at)


def test_a_newer_edition_restates_a_year_only_by_another_value():
    old = {key(year="2024", edition="2025"): {"value": "100.0", "source_id": "S001"}}
    same = {**old, key(year="2024", edition="2026"): {"value": "100", "source_id": "S002"}}
    other = {**old, key(year="2024", edition="2026"): {"value": "105.0", "source_id": "S002"}}
    first = {**old, key(year="2025", edition="2026"): {"value": "105.0", "source_id": "S002"}}
    assert kinds(old, same) == [("repeated", {"year": "2024", "edition": "2026"})]
    assert kinds(old, first) == [("new", {"year": "2025", "edition": "2026"})]
    (change,) = changes("t", old, other, ["value"])
    assert (change.kind, change.changed) == ("restated", ["value"])
    assert change.before["value"] == "100.0" and dict(change.earlier)["edition"] == "2025"


def test_the_measure_is_the_newest_edition_that_is_not_newer_and_a_whole_report_before_its_preview():
    old = {
        key(year="2016", edition="2025 (prelim 2025-10-30)"): {"value": "3.0"},
        key(year="2016", edition="2017"): {"value": "1.0"},
        key(year="2016", edition="2025"): {"value": "2.0"},
    }

    def measured_against(edition):
        new = {**old, key(year="2016", edition=edition): {"value": "9.0"}}
        return [change.before for change in changes("t", old, new, ["value"])]

    assert measured_against("2026") == [{"value": "2.0"}]
    assert measured_against("2020") == [{"value": "1.0"}]
    assert measured_against("2011") == [{}]


def test_releases_stand_in_the_order_of_the_dates_in_their_names():
    labels = ["METI", "HM 2010", "HM release 2023-12", "IP HQ 2024-06-04", "2025 (prelim)", "2025", "HM 2025-03"]
    orders = [digest.edition_order(key(edition_or_release=label)) for label in labels]
    assert orders == sorted(orders)


def test_a_row_that_is_gone_is_removed():
    at = key(year="2024")
    assert kinds({at: {"value": "1"}}, {}) == [("removed", {"year": "2024"})]


def copy_of_published(folder: Path) -> Path:
    shutil.copytree(paths.published(), folder)
    return folder


@pytest.fixture
def runs(tmp_path):
    """The published results twice, as an older and a newer state."""
    return copy_of_published(tmp_path / "before"), copy_of_published(tmp_path / "after")


def rewrite(path: Path, change) -> None:
    """Change the rows of a CSV file in place."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows) or rows
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def revalue(folder: Path, **values: float) -> None:
    """Give quantities other values; `__` in a name stands for a dot."""
    q = Quantities.read(folder / "quantities.json")
    new = {name.replace("__", "."): value for name, value in values.items()}
    items = [replace(item, value=new.get(name, item.value)) for name, item in q.items()]
    Quantities(items=items).write(folder / "quantities.json")


@pytest.mark.parametrize("name", sorted({tidy for tidy, _ in clean.CLEANERS.values()}))
def test_every_clean_table_has_a_key_of_its_own_for_each_row(name):
    path = paths.published() / "tables" / f"{name}.csv"
    assert len(digest._rows(path)) == len(pd.read_csv(path))


def test_rows_are_told_with_table_key_values_and_source(runs):
    before, after = runs

    def print_another(rows):
        (row,) = (row for row in rows if row["raw_cell"].endswith("?year=2024&series=broad_total&edition=2025#value"))
        row["level_jpy_100m"] = "38500.0"
        return [one for one in rows if "year=2016&series=broad_domestic&edition=2017" not in one["raw_cell"]]

    rewrite(after / "tables/market_editions.csv", print_another)
    rewrite(before / "tables/spot_rates.csv", lambda rows: rows[1:])
    data = digest.make(before, after).as_data()
    (restated,), (new,), (removed,) = (data["rows"][kind] for kind in ("restated", "new", "removed"))
    assert not data["others"]  # no table is told a second time
    assert restated["row"] == {"year": "2024", "series": "broad_total", "edition": "2025"}
    assert (restated["before"], restated["after"]) == ({"level_jpy_100m": "38407.0"}, {"level_jpy_100m": "38500.0"})
    assert new["table"] == "spot_rates" and new["row"] == {"date": "2024-12-31"}
    assert new["after"] == {"usdjpy": "156.9545"} and new["before"] == {}
    assert (new["source_id"], bool(new["source"])) == ("S079", True)
    assert removed["before"] == {"level_jpy_100m": "12333.0"} and removed["after"] == {}


def test_a_row_is_the_same_row_where_its_raw_file_has_moved(runs):
    before, after = runs
    path = after / "tables/market_editions.csv"
    path.write_text(path.read_text().replace("aja/2025/", "aja/2026/"))
    assert not digest.row_changes(before, after)


# --- nothing, and how bad ---------------------------------------------------------------------------
def test_nothing_changed_is_a_single_line(runs):
    told = digest.make(*runs)
    assert told.exit_code == 0
    assert told.as_markdown().count("\n") == 1 and told.as_markdown().startswith("Nothing changed between ")


def test_other_versions_that_give_the_same_are_told_in_the_single_line_and_no_commit(runs):
    record = json.loads((runs[1] / "run.json").read_text())
    record["packages"]["numpy"], record["python"] = "9.9.9", "3.99"
    record["git"] = {"commit": "0" * 40, "dirty": False}
    (runs[1] / "run.json").write_text(json.dumps(record))
    told = digest.make(*runs)
    assert told.exit_code == 0 and told.as_markdown().endswith("Made with other packages and Python.\n")
    assert ("package", "numpy", "9.9.9") in [
        (one["kind"], one["name"], one["after"]) for one in told.as_data()["made_with"]
    ]


def test_what_the_published_results_do_not_keep_is_not_missing_from_them(runs):
    before, after = runs
    for name in ("finding.md", "limits.md"):
        (before / name).write_text("Only a run has this.\n")
    shutil.copytree(paths.notebooks(), before / "notebooks", ignore=shutil.ignore_patterns(".*"))
    assert digest.make(before, after).exit_code == 0


def test_only_new_data_is_told_as_such(runs):
    rewrite(runs[0] / "tables/spot_rates.csv", lambda rows: rows[1:])
    told = digest.make(*runs)
    assert told.exit_code == 10
    assert told.summary.startswith("New data, and nothing that was known moved between")
    assert "rows: one new" in told.summary


def test_a_table_that_differs_alone_is_told(runs):
    rewrite(runs[1] / "tables/trends.csv", lambda rows: rows[0].update(growth_pct_a_year="77.0"))
    told = digest.make(*runs)
    assert told.exit_code == 20 and told.summary.startswith("Results differ between")
    assert "- table `trends` differs: " in told.as_markdown()


# --- numbers ----------------------------------------------------------------------------------------
def test_what_moved_beyond_tolerance_is_told_with_the_headlines_first_and_then_by_size(runs):
    q = Quantities.read(runs[0] / "quantities.json")
    revalue(
        runs[1],
        market__overseas__level__2024=q[LEVEL].value * 1.001,
        market__overseas__growth__2010=q["market.overseas.growth.2010"].value * 2,
        trend__overseas__drift__growth=q["trend.overseas.drift.growth"].value * 1.01,
        market__domestic__level__2024=q["market.domestic.level.2024"].value * 3,
        market__total__level__2024=q["market.total.level.2024"].value * 4,
        market__overseas__growth_real__2024=q["market.overseas.growth_real.2024"].value * (1 + 1e-8),
    )
    told = digest.make(*runs)
    assert [one.key for one in told.moved] == [
        "trend.overseas.drift.growth",
        LEVEL,
        "market.overseas.growth.2010",
        "market.total.level.2024",
        "market.domestic.level.2024",
    ]
    assert told.exit_code == 20 and not told.as_data()["quantities"]["reworded"]
    assert "five numbers moved beyond tolerance, foremost" in told.summary
    data = told.as_data()["quantities"]["moved"][1]
    assert data["before"] == 21702 and data["change"] == "+0.1 %" and data["unit"] == "100m JPY"


def test_two_values_that_print_alike_are_told_with_more_digits(runs):
    revalue(runs[1], market__overseas__growth__2024=26.0132)
    (one,) = digest.make(*runs).moved
    assert one.before.text == one.after.text and one.texts == ("26.0132389 %", "26.0132 %")


def test_every_number_of_the_finding_is_a_headline():
    """Held to the template of the README's finding, so that a new number in it is one here too."""
    q = Quantities.read(paths.published() / "quantities.json")
    tables = {path.stem: pd.read_csv(path) for path in (paths.published() / "tables").glob("*.csv")}
    for table in tables.values():
        texts = [column for column in table if not pd.api.types.is_numeric_dtype(table[column])]
        table[texts] = table[texts].fillna("")
    tables["trends"] = tables["trends"].assign(remark=tables["trends"]["remark"].fillna("").astype(str))
    verdicts = pd.read_csv(paths.published() / "verdicts.csv", dtype=str, keep_default_na=False)
    context = narrative.context(tables, tables["trends"], tables["projections"], verdicts, q)
    told = links.keys_in(narrative._render(narrative.FINDING, context, q, as_html=True))
    assert len(told) > 10
    assert [name for name in told if digest.headline_rank(name, {"2024"}) != 0] == []


def test_new_and_vanished_numbers_are_counted_by_family(runs):
    before, after = runs
    q = Quantities.read(before / "quantities.json")
    Quantities(items=[q[name] for name in q if ".growth_rank." not in name]).write(before / "quantities.json")
    Quantities(items=[q[name] for name in q if not name.startswith("fx.usdjpy.spot.")]).write(after / "quantities.json")
    told = digest.make(before, after)
    new, gone = (told.as_data()["quantities"][name] for name in ("new", "vanished"))
    assert new[0]["count"] == sum(".growth_rank." in name and name.startswith("market.") for name in q)
    assert [one["family"] for one in gone] == ["fx.usdjpy.spot.{date}"]
    assert "…" in next(line for line in told.as_markdown().splitlines() if line.startswith(f"- {new[0]['count']} of"))


def test_a_number_that_is_said_to_be_something_else_is_no_moved_number(runs):
    q = Quantities.read(runs[1] / "quantities.json")
    items = [replace(item, label="something else") if name == LEVEL else item for name, item in q.items()]
    Quantities(items=items).write(runs[1] / "quantities.json")
    told = digest.make(*runs)
    assert told.exit_code == 20 and not told.moved
    assert told.as_data()["quantities"]["reworded"] == [LEVEL]
    assert re.search(r"^Numbers with the same value, .*: 1\.$", told.as_markdown(), re.MULTILINE)


# --- verdicts ---------------------------------------------------------------------------------------
def test_a_flipped_verdict_comes_first_with_its_claim_and_why(runs):
    def judge_otherwise(rows):
        rows[3].update(verdict="contradicted", caveat="It is not so.")

    rewrite(runs[1] / "verdicts.csv", judge_otherwise)
    told = digest.make(*runs)
    (flipped,) = told.as_data()["verdicts"]["flipped"]
    assert told.exit_code == 30 and told.summary.startswith("One verdict flipped between")
    assert flipped["after"] == "contradicted" and flipped["why"] == "It is not so." and flipped["statement"]
    text = told.as_markdown()
    assert text.index("## Verdicts that flipped (1)") < text.index("It is not so")


def test_new_and_vanished_claims_and_other_words_are_told_apart(runs):
    rewrite(runs[0] / "verdicts.csv", lambda rows: rows[1:])
    rewrite(runs[1] / "verdicts.csv", lambda rows: [{**rows[0]}, {**rows[1], "caveat": "Other words."}, *rows[3:]])
    verdicts = digest.make(*runs).as_data()["verdicts"]
    assert [len(verdicts[kind]) for kind in ("flipped", "new", "vanished", "reworded")] == [0, 1, 1, 1]


# --- text -------------------------------------------------------------------------------------------
def test_long_lists_are_cut_and_the_json_has_all(runs):
    rewrite(runs[0] / "tables/exchange_rates.csv", lambda rows: rows[:5])
    told = digest.make(*runs)
    everything = told.as_data()["rows"]["new"]
    assert len(everything) > 60
    assert f"and {len(everything) - digest.MOST_SHOWN} more\n" in told.as_markdown()
    assert told.as_markdown().count("| exchange\\_rates |") == digest.MOST_SHOWN


def test_text_out_of_data_is_neither_markdown_nor_html_nor_a_command_to_a_terminal(runs):
    evil = "a | b\n\n# *Head* <script>alert(1)</script> `x` [l](http://e) \x1b[31m&lt;"

    def spoil(rows):
        rows[0].update(verdict="contradicted", caveat=evil, subject=evil)

    rewrite(runs[1] / "verdicts.csv", spoil)
    rewrite(runs[1] / "tables/sources.csv", lambda rows: rows[0].update(title=evil))
    text = digest.make(*runs).as_markdown()
    assert "\x1b" not in text and "<script" not in text.replace("\\<script", "") and "\n# " not in text
    row = next(line for line in text.splitlines() if "contradicted" in line and line.startswith("|"))
    assert row.replace("\\|", "").count("|") == 6
    assert digest.code("a`b|c") == "`a'b\\|c`"


def test_the_whole_digest_is_plain_data(runs):
    revalue(runs[1], market__overseas__level__2024=1.0)
    told = digest.make(*runs)
    assert json.loads(json.dumps(told.as_data()))["exit_code"] == told.exit_code == compare.MOVED


def test_the_draft_for_the_change_log_lists_what_moved_and_is_empty_where_nothing_did(runs):
    before, after = runs
    assert digest.make(before, after).as_entry() == ""
    revalue(after, market__overseas__level__2024=30000.0)
    rewrite(after / "verdicts.csv", lambda rows: rows[0].update(verdict="contradicted"))
    rewrite(before / "tables/spot_rates.csv", lambda rows: rows[1:])
    entry = digest.make(before, after).as_entry()
    assert "| `market.overseas.level.2024` | JPY 2.17 trillion | JPY 3.00 trillion | |" in entry
    assert "| claim | was | is | why |" in entry and "\n#" not in entry
