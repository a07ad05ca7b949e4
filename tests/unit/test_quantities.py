"""Quantities: each number says what it is, how it was made and which printed cells it rests on."""

import ast
import csv
import importlib
import json
import math
import re
from functools import partial

import pandas as pd
import pytest

from anime_growth import arithmetic, cells, clean, describe, paths, sources, trace, units
from anime_growth.arithmetic import growth_pct
from anime_growth.cells import CONFIDENCE
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities
from anime_growth.words import CARDINALS


@pytest.fixture
def small():
    """Two observed levels of one edition and one of another."""
    q = Quantities("2025")
    q.observe("market.overseas.level.2023", 17222, units.JPY_100M, "overseas, 2023", "a.csv?year=2023#value")
    q.observe("market.overseas.level.2024", 21702, units.JPY_100M, "overseas, 2024", "a.csv?year=2024#value", "medium")
    q.observe(
        "studio.total.level.2024", 4662, units.JPY_100M, "studios, 2024", "b.csv?year=2024#value", "low",
        caveats=("derived",), edition="2024",
    )  # fmt: skip
    return q


# --- arithmetic a hand can check -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        (arithmetic.growth_pct, (150, 100), 50),
        (arithmetic.growth_pct, (75, 100), -25),
        (partial(arithmetic.cagr_pct, years=2), (144, 100), 20),
        (partial(arithmetic.cagr_pct, years=1), (150, 100), 50),
        (arithmetic.share_pct, (30, 120), 25),
        (arithmetic.contribution_pct, (130, 100, 250, 200), 60),
        (arithmetic.contribution_points, (130, 100, 200), 15),
        (arithmetic.difference, (30, 50), -20),
        (arithmetic.ratio, (30, 120), 0.25),
        (arithmetic.log_change, (math.e * 7, 7), 100),
        (arithmetic.rank_from_top, (5, 9, 5, 1, 7), 3),
        (arithmetic.rank_from_top, (5,), 1),
        (arithmetic.usd_bn, (10_000, 100), 10),
        (arithmetic.real_level, (110, 110), 100),
        (arithmetic.lead_change, (1, -1), 1),
        (arithmetic.lead_change, (-1, 1), -1),
        (arithmetic.lead_change, (2, 1), 0),
        (arithmetic.lead_change, (-2, -1), 0),
    ],
)
def test_each_line_of_arithmetic_gives_what_a_hand_gets(function, arguments, result):
    assert function(*arguments) == pytest.approx(result, abs=1e-12)


def test_contributions_of_the_parts_to_the_growth_of_the_whole_add_up_to_it(every_quantity):
    for year in range(2003, 2025):
        parts = [every_quantity[f"market.{part}.contribution_points.{year}"].value for part in ("overseas", "domestic")]
        assert sum(parts) == pytest.approx(every_quantity[f"market.total.growth.{year}"].value, abs=1e-9)
        shares = [every_quantity[f"market.{part}.contribution.{year}"].value for part in ("overseas", "domestic")]
        assert sum(shares) == pytest.approx(100, abs=1e-9)


def test_years_are_cut_into_runs_without_a_gap():
    assert describe.contiguous([2023, 2013, 2022]) == [[2013], [2022, 2023]]
    assert describe.contiguous([]) == []


# --- the set -------------------------------------------------------------------------------------
def test_a_computed_quantity_is_the_function_of_its_inputs_and_says_so(small):
    pair = ["market.overseas.level.2024", "market.overseas.level.2023"]
    small.compute("market.overseas.growth.2024", growth_pct, pair, units.PERCENT, "growth")
    item = small["market.overseas.growth.2024"]
    assert item.value == growth_pct(21702, 17222)
    assert item.method == "anime_growth.arithmetic.growth_pct"
    assert item.inputs == tuple(pair)
    assert (item.number, item.text, item.period, item.edition) == ("26.0", "26.0 %", "2024", "2025")


def test_a_function_with_fixed_arguments_names_them_in_its_method(small):
    pair = ["market.overseas.level.2024", "market.overseas.level.2023"]
    small.compute("x.cagr", partial(arithmetic.cagr_pct, years=1), pair, units.PERCENT_A_YEAR, "growth")
    assert small["x.cagr"].method == "anime_growth.arithmetic.cagr_pct(years=1)"


def test_confidence_is_the_lowest_of_the_inputs_and_editions_are_listed(small):
    keys = list(small)
    small.compute("x.high", arithmetic.ratio, [keys[0], keys[0]], units.RATIO, "")
    small.compute("x.medium", arithmetic.ratio, [keys[0], keys[1]], units.RATIO, "")
    small.compute("x.low", arithmetic.ratio, [keys[1], keys[2]], units.RATIO, "")
    assert [small[key].confidence for key in ("x.high", "x.medium", "x.low")] == ["high", "medium", "low"]
    assert small["x.low"].edition == "2024, 2025"
    assert small["x.high"].edition == "2025"
    small.compute("x.further", arithmetic.ratio, ["x.high", "x.low"], units.RATIO, "")
    assert small["x.further"].edition == "2024, 2025", "each once, in order"


def test_a_computed_quantity_carries_the_caveats_of_its_inputs(small):
    keys = list(small)
    small.compute("x.share", arithmetic.share_pct, [keys[2], keys[0]], units.PERCENT, "")
    assert "derived" in small["x.share"].caveats


def test_a_key_is_given_once(small):
    with pytest.raises(ValueError, match=r"market\.overseas\.level\.2023 is computed twice"):
        small.observe("market.overseas.level.2023", 1, units.JPY_100M, "again", "a.csv?year=2023#value")
    with pytest.raises(ValueError, match="computed twice"):
        small.joined(small)
    assert small["market.overseas.level.2023"].value == 17222


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused(small, value):
    with pytest.raises(ValueError, match=r"quantity x\.y is"):
        small.record("x.y", value, units.RATIO, "", "by hand", [])
    assert "x.y" not in small


def test_an_unknown_key_is_refused_and_the_nearest_are_named(small):
    with pytest.raises(InputError) as refused:
        small["market.oversea.level.2024"]
    message = str(refused.value)
    assert message.startswith("quantity market.oversea.level.2024: does not exist in this run. Nearest: ")
    assert "market.overseas.level.2024" in message


def test_a_key_like_no_other_is_refused_with_where_to_look(small):
    with pytest.raises(InputError, match=r"quantity zzz: .*quantities\.json"):
        small["zzz"]


def test_an_unknown_input_is_refused(small):
    with pytest.raises(InputError, match=r"quantity market\.overseas\.level\.1999"):
        small.compute("x.y", arithmetic.ratio, ["market.overseas.level.1999"] * 2, units.RATIO, "")


def test_joining_leaves_both_sets_as_they_were(small):
    other = Quantities("2024")
    other.observe("a.b", 1, units.RATIO, "", "c.csv?x=1#value")
    joined = small.joined(other)
    assert (len(joined), len(small), len(other)) == (4, 3, 1)
    assert joined.edition == "2025"


def test_a_step_marks_what_it_made_and_leaves_older_marks(small):
    first = small.of_step("02_describe_market")
    assert {item.step for item in first.values()} == {"02_describe_market"}
    assert {item.step for item in first.of_step("03_fit_trends").values()} == {"02_describe_market"}
    assert {item.step for item in small.values()} == {""}


def test_a_quantity_is_shown_in_another_unit_of_its_kind(small):
    item = small["market.overseas.level.2024"].in_unit(units.JPY_TRN)
    assert (item.value, item.number, item.text) == (2.1702, "2.17", "JPY 2.17 trillion")
    assert small["market.overseas.level.2024"].value == 21702
    with pytest.raises(InputError, match="Compare like with like"):
        small["market.overseas.level.2024"].in_unit(units.USD_BN)


def test_oku_yen_are_read_in_trillions_or_billions(small):
    assert small["market.overseas.level.2024"].text == "JPY 2.17 trillion"
    assert small["studio.total.level.2024"].text == "JPY 466.2 billion"
    assert small["studio.total.level.2024"].number == "4,662"


def test_a_year_has_no_thousands_separator(small):
    small.record("x.trough", 2012, units.YEAR, "", "by hand", [])
    assert small["x.trough"].number == "2012"


def test_the_frame_shows_chosen_quantities_in_their_order(small):
    keys = ["studio.total.level.2024", "market.overseas.level.2023"]
    frame = small.frame(keys)
    assert list(frame["key"]) == keys
    assert list(frame.columns) == ["key", "value", "unit", "label", "edition", "confidence"]
    assert len(small.frame()) == 3


# --- saved and read ------------------------------------------------------------------------------
def test_what_is_written_is_read_back_to_the_last_digit(every_quantity, tmp_path):
    every_quantity.of_step("any").write(tmp_path / "quantities.json")
    again = Quantities.read(tmp_path / "quantities.json")
    assert list(again) == list(every_quantity)
    assert dict(again) == dict(every_quantity.of_step("any"))


def test_written_raw_cells_carry_file_row_column_hash_and_source(every_quantity, tables, tmp_path):
    every_quantity.write(tmp_path / "quantities.json", rows=trace.raw_rows(tables))
    entry = json.loads((tmp_path / "quantities.json").read_text(encoding="utf-8"))["market.overseas.level.2024"]
    (cell,) = entry["inputs"]
    file = next(file for file in sources.raw_files() if file.resource.name == "aja_market_editions")
    assert cell == {
        "cell": "aja/2025/aja_market_editions.csv?year=2024&series=broad_overseas&edition=2025#value",
        "file": "aja/2025/aja_market_editions.csv",
        "row": {"year": "2024", "series": "broad_overseas", "edition": "2025"},
        "column": "value",
        "sha256": file.resource.hash.removeprefix("sha256:"),
        "source_id": "S001",
        "also": ["S002", "S003", "S004", "S005"],
    }
    again = Quantities.read(tmp_path / "quantities.json")
    assert dict(again) == dict(every_quantity)


def test_two_writings_are_the_same_bytes(every_quantity, tmp_path):
    for name in ("first", "second"):
        every_quantity.write(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_raw_cells_behind_a_quantity_are_found_through_all_its_inputs(every_quantity):
    found = trace.raw_behind(every_quantity, "market.overseas.growth_usd.2024")
    assert {cells.parse(cell)["row"]["year"] for cell in found} == {"2023", "2024"}
    assert {cell.split("?")[0] for cell in found} == {
        "aja/2025/aja_market_editions.csv",
        "exchange_rates/2026-10-30/usdjpy_annual.csv",
    }
    assert len(found) == 4


# --- every quantity on the real data -------------------------------------------------------------
MODELS_AND_WORDS = re.compile(r"as printed.*|derived by the collector: .+|anime_growth\.trends\.\w+|[\w.]+: .+")
CALL = re.compile(r"([\w.]+)\.(\w+)(?:\((.*)\))?")


def redo(item, values):
    """The value of a computed quantity, made again from the text of its method and its inputs."""
    module, function, fixed = CALL.fullmatch(item.method).groups()
    arguments = {
        name: ast.literal_eval(text) for name, text in (pair.split("=") for pair in (fixed or "").split(", ") if pair)
    }
    return getattr(importlib.import_module(module), function)(*(values[key] for key in item.inputs), **arguments)


def test_every_computed_quantity_is_its_method_applied_to_its_inputs(every_quantity):
    values = every_quantity.values_by_key()
    redone = 0
    for item in every_quantity.values():
        if not MODELS_AND_WORDS.fullmatch(item.method):
            assert item.value == redo(item, values), item.key
            redone += 1
    assert redone > 1000


def test_the_quantities_of_the_market_are_those_of_its_table(every_quantity, market):
    table = {
        series: rows.set_index("year")[["level_jpy_100m", "level_usd_bn", "level_real_jpy_100m"]]
        for series, rows in market.groupby("series")
    }
    overseas, domestic, total = (table[series]["level_jpy_100m"] for series in ("overseas", "domestic", "total"))
    expected = {
        "market.overseas.share": overseas / total * 100,
        "market.domestic.share": domestic / total * 100,
        "market.overseas.lead": overseas - domestic,
        "market.overseas.contribution": overseas.diff() / total.diff() * 100,
        "market.domestic.contribution": domestic.diff() / total.diff() * 100,
    }
    for series, levels in table.items():
        measures = {"": "level_jpy_100m", "_usd": "level_usd_bn", "_real": "level_real_jpy_100m"}
        for suffix, column in measures.items():
            growth = levels[column].pct_change() * 100
            expected[f"market.{series}.level{suffix}"] = levels[column]
            expected[f"market.{series}.growth{suffix}"] = growth
            expected[f"market.{series}.growth{suffix}_rank"] = growth.rank(ascending=False, method="min")
        expected[f"market.{series}.level_rank"] = levels["level_jpy_100m"].rank(ascending=False, method="min")
    for key, by_year in expected.items():
        for year, value in by_year.dropna().items():
            assert every_quantity[f"{key}.{year}"].value == pytest.approx(value, rel=1e-9), f"{key}.{year}"


def test_every_input_is_a_quantity_or_a_raw_cell(every_quantity):
    for item in every_quantity.values():
        assert item.inputs, item.key
        for name in item.inputs:
            assert ("?" in name) == item.method.startswith(("as printed", "derived by the collector")), item.key
            assert "?" in name or name in every_quantity, f"{item.key} rests on {name}"


def test_every_observed_value_stands_in_the_raw_cell_it_names(every_quantity):
    files, seen = {}, 0
    for item in every_quantity.values():
        for address in (name for name in item.inputs if "?" in name):
            cell = cells.parse(address)
            if cell["file"] not in files:
                with (paths.raw() / cell["file"]).open(encoding="utf-8", newline="") as file:
                    files[cell["file"]] = list(csv.DictReader(file))
            rows = [row for row in files[cell["file"]] if cell["row"].items() <= row.items()]
            assert len(rows) == 1, address
            printed = rows[0][cell["column"]]
            if item.method == "as printed, in a word":
                assert printed.split()[0] == CARDINALS[round(item.value)], address
            else:
                assert float(printed) == item.value, address
            seen += 1
    assert seen > 200


def test_every_observed_quantity_stands_in_the_unit_of_its_raw_row(every_quantity):
    files = {file.reference: file.rows.set_index("raw_row") for file in sources.raw_files()}
    for item in every_quantity.values():
        for address in (name for name in item.inputs if "?" in name):
            row = address.split("#")[0]
            unit = units.from_raw(files[row.split("?")[0]].loc[row, "unit"], row)
            if ".named." in item.key or ".firms." in item.key:
                unit = units.COUNT  # a flag, and a number in the name of a group
            assert unit.name == item.unit, item.key


def test_confidence_of_every_quantity_is_the_lowest_of_its_inputs(every_quantity):
    for item in every_quantity.values():
        below = [every_quantity[name].confidence for name in item.inputs if name in every_quantity]
        if below:
            assert item.confidence == min(below, key=CONFIDENCE.index), item.key
        assert item.confidence in CONFIDENCE


def test_every_key_follows_the_grammar_of_keys_and_every_unit_is_known(every_quantity):
    for item in every_quantity.values():
        assert re.fullmatch(r"[a-z_]+(\.[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*){2,}", item.key)
        assert item.unit in units.UNITS
        assert item.label


def label_of(address):
    return cells.parse(address)["row"]["edition"]


def test_growth_never_compares_two_editions(every_quantity):
    growth = re.compile(r"(market|studio)\.\w+\.(growth|growth_usd|growth_real|log_growth|cagr\w*)\.[\d-]+")
    found = 0
    for key in every_quantity:
        if growth.fullmatch(key):
            printed = [cell for cell in trace.raw_behind(every_quantity, key) if cell.startswith("aja/")]
            assert len(printed) == 2, key
            assert len({label_of(cell) for cell in printed}) == 1, f"{key} compares {printed}"
            found += 1
    assert found > 250


def test_only_the_comparison_with_studios_rests_on_rows_of_low_confidence(every_quantity):
    low = {key for key, item in every_quantity.items() if item.confidence == "low"}
    assert {".".join(key.split(".")[:2]) for key in low} == {"studio.overseas", "market.overseas"}
    explored = (
        "over_studio",
        "over_studio_median",
        "level_at_old_ratio",
        "log_beyond_receipts",
        "growth_beyond_receipts",
    )
    assert {key.split(".")[2] for key in low if key.startswith("market.")} <= set(explored)


def periods(every_quantity, measure):
    prefix = f"market.overseas.{measure}."
    return [key.removeprefix(prefix) for key in every_quantity if key.startswith(prefix)]


def test_yen_growth_splits_exactly_into_dollar_growth_and_the_rate(every_quantity):
    all_periods = periods(every_quantity, "log_growth")
    assert {"2002-2024", "2012-2024", "2022-2024", "2003", "2024"} <= set(all_periods)
    assert len(all_periods) == 22 + 3
    for period in all_periods:
        part = {
            name: every_quantity[f"market.overseas.{name}.{period}"].value
            for name in ("log_growth", "log_growth_usd", "log_growth_real", "log_rate", "log_price")
        }
        assert part["log_growth"] == pytest.approx(part["log_growth_usd"] + part["log_rate"], abs=1e-9)
        assert part["log_growth"] == pytest.approx(part["log_growth_real"] + part["log_price"], abs=1e-9)


def test_what_the_rate_explains_is_stated_only_of_growth_above_zero(every_quantity):
    growing = {
        p for p in periods(every_quantity, "log_growth") if every_quantity[f"market.overseas.log_growth.{p}"].value > 0
    }
    assert set(periods(every_quantity, "rate_share")) == growing


def test_growth_into_a_year_of_another_scope_or_method_carries_the_note(every_quantity):
    marked = {
        key: tuple(caveat for caveat in item.caveats if caveat != "derived")
        for key, item in every_quantity.items()
        if re.fullmatch(r"market\.\w+\.growth\.\d+", key) and set(item.caveats) - {"derived"}
    }
    assert marked == {
        "market.overseas.growth.2020": ("N7",),
        "market.domestic.growth.2013": ("N1",),
        "market.total.growth.2013": ("N1",),
    }


# --- the describing functions on small tables ----------------------------------------------------
def test_an_edition_with_a_gap_gives_no_growth_over_the_gap(tables):
    early = describe.describe_market(clean.market(tables, 2023), tables["breaks"])
    assert "market.total.level.2013" in early
    assert "market.total.growth.2021" not in early
    assert "market.total.growth.2022" in early
    assert not any("2013-" in key for key in early)


def test_a_year_that_an_edition_does_not_print_has_no_quantity(tables):
    early = describe.describe_market(clean.market(tables, 2023), tables["breaks"])
    assert not any(key.endswith(".2024") for key in early)
    assert early.edition == "2023"


def studio(*rows):
    """A table of studio editions from (year, edition label, level, confidence)."""
    return pd.DataFrame(
        [
            {
                "year": year, "series": "overseas", "edition": int(label[:4]), "edition_label": label,
                "is_main_edition": len(label) == 4, "level_jpy_100m": float(level),
                "is_derived": False, "derivation": "",
                "confidence": confidence, "raw_cell": f"s.csv?year={year}&series=o&edition={label}#value",
            }
            for year, label, level, confidence in rows
        ]
    )  # fmt: skip


def test_a_studio_level_is_the_most_trusted_reading_then_the_newest():
    q = describe.describe_studio(
        studio((2020, "2021", 100, "high"), (2020, "2023", 110, "low"), (2021, "2022", 120, "high"),
               (2021, "2023", 130, "high"))
    )  # fmt: skip
    assert q["studio.overseas.level.2020"].value == 100
    assert q["studio.overseas.level.2021"].value == 130


def test_studio_growth_stays_inside_one_edition_even_where_the_levels_come_from_two():
    q = describe.describe_studio(
        studio((2020, "2021", 100, "high"), (2020, "2023", 110, "medium"), (2021, "2023", 132, "high"))
    )
    assert q["studio.overseas.level.2020"].value == 100
    assert q["studio.overseas.growth.2021"].value == pytest.approx(20)
    assert q["studio.overseas.growth.2021"].confidence == "medium"


def test_studio_growth_that_no_single_edition_prints_is_left_out():
    q = describe.describe_studio(studio((2020, "2021", 100, "high"), (2021, "2022", 120, "high")))
    assert "studio.overseas.growth.2021" not in q


def test_two_readings_of_the_same_edition_are_not_mixed_in_one_growth():
    q = describe.describe_studio(
        studio(
            (2019, "2023 (via A)", 50, "medium"), (2020, "2023 (via A)", 100, "medium"),
            (2020, "2023 (via B)", 200, "medium"), (2021, "2023 (via B)", 300, "medium"),
            (2020, "2021", 150, "high"),
        )
    )  # fmt: skip
    assert q["studio.overseas.growth.2020"].value == pytest.approx(100)
    assert q["studio.overseas.growth.2021"].value == pytest.approx(50)


def test_the_most_trusted_content_figure_is_neither_rounded_nor_derived(every_quantity):
    assert every_quantity["content.total.level.2022"].value == 46882
    assert every_quantity["content.total.level.2021"].value == 45340
    assert every_quantity["content.anime.level.2024"].caveats == ("rounded",)
