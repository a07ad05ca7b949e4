"""Cross-checks: the real figures pass, and for each check a spoiled copy fails by exactly that check."""

import math

import pandas as pd
import pytest

from anime_growth import checks
from anime_growth.errors import InputError


def put(tables, table, where, **cells):
    """A copy of `tables` in which the one row of `table` that `where` describes has other `cells`."""
    frame = tables[table].copy(deep=True)
    chosen = pd.Series(True, index=frame.index)
    for column, value in where.items():
        chosen &= frame[column] == value
    assert chosen.sum() == 1, f"{where} describes {chosen.sum()} rows of {table}"
    for column, value in cells.items():
        assert column in frame.columns
        frame.loc[chosen, column] = value
    return {**tables, table: frame}


# check -> how to spoil the tables: (table, the one row, its new cells), and the item that must be named.
SPOILED = {
    "market_parts_add_up": [
        (
            ("market_editions", {"edition_label": "2025 (prelim 2025-10-30)", "series": "total"}),
            {"level_jpy_100m": 38409.0},
            "market 2024, edition 2025 (prelim 2025-10-30)",
        ),
        (
            ("market_editions", {"edition_label": "2023", "series": "overseas", "year": 2022}),
            {"level_jpy_100m": 1459.2},
            "market 2022, edition 2023",
        ),
    ],
    "studio_parts_add_up": [
        (("studio_editions", {"year": 2024, "series": "domestic"}), {"level_jpy_100m": 3447.0}, "studio 2024")
    ],
    "parts_below_whole": [
        (
            ("categories", {"year": 2024, "category": "merchandising"}),
            {"level_jpy_100m": 16706.0},
            "category merchandising 2024",
        ),
        (
            ("studio_editions", {"year": 2019, "series": "overseas"}),
            {"level_jpy_100m": 12010.0},
            "studio overseas 2019",
        ),
        (
            ("content_exports", {"year": 2023, "sector": "anime"}),
            {"level_jpy_100m": 57770.0},
            "content anime 2023, within all content",
        ),
    ],
    "transcription_agrees": [
        (
            ("market_editions", {"year": 2013, "series": "overseas", "edition_label": "2024"}),
            {"level_jpy_100m": 2832.0},
            "overseas 2013, edition 2024",
        )
    ],
    "summary_agrees": [
        (("market_printed", {"year": 2002}), {"overseas_jpy_100m": 3726.0}, "overseas 2002, edition 2025")
    ],
    "summary_growth_agrees": [
        (("market_printed", {"year": 2024}), {"total_growth_pct": 14.79}, "total growth 2024"),
        (("market_printed", {"year": 2009}), {"overseas_growth_pct": 38.51}, "overseas growth 2009"),
        (("market_printed", {"year": 2020}), {"overseas_share_pct": 51.24}, "overseas share 2020"),
    ],
    "category_growth_agrees": [
        (
            ("categories", {"year": 2018, "category": "internet_distribution"}),
            {"growth_pct": 12.0},
            "internet_distribution 2018, edition 2019 on 2018",
        )
    ],
    "categories_add_up": [
        (
            ("categories", {"year": 2023, "category": "music", "edition": 2024}),
            {"level_jpy_100m": 276.0, "growth_pct": math.nan},
            "nine categories 2023, edition 2024",
        )
    ],
    "units_fit_measures": [
        (
            ("consumer_prices", {"year": 2010, "series": "all_items_index_2020_100"}),
            {"unit": "%"},
            "all_items_index_2020_100, 2010, % stands against 2020=100",
        ),
        (
            ("market_cap", {"date": "2025-06-30", "entity": "nine main automakers", "measure": "combined market cap"}),
            {"unit": "%"},
            "combined market cap, 2025-06-30, % stands against trn JPY",
        ),
        (
            ("market_cap", {"measure": "first crossover since"}),
            {"unit": "trn JPY"},
            "first crossover since, 2025-06-30, trn JPY stands against year",
        ),
    ],
    "derived_rows_recompute": [
        (
            ("content_exports", {"year": 2021, "sector": "total", "is_derived": True}),
            {"level_jpy_100m": 45430.0},
            "content_exports, 46,882 / 1.034",
        ),
        (
            ("market_cap", {"date": "2024-12-31", "entity": "nine main automakers"}),
            {"value": 69.4},
            "market_cap, 56.8 / 0.82",
        ),
    ],
    "studio_readings_agree": [
        (
            ("studio_editions", {"year": 2010, "series": "overseas", "edition": 2023}),
            {"level_jpy_100m": 174.0},
            "studio overseas 2010, edition 2023",
        )
    ],
    "exchange_rates_move_little": [
        (("exchange_rates", {"year": 2010, "is_recommended": True}), {"usdjpy": 877.817}, "rate 2010")
    ],
    "spot_rates_near_average": [(("spot_rates", {"date": "2025-10-29"}), {"usdjpy": 15.2}, "rate of 2025-10-29")],
    "exchange_rates_agree": [
        (("exchange_rates", {"year": 2010, "method": "ecb_daily_mean"}), {"usdjpy": 78.78}, "ecb_daily_mean 2010")
    ],
    "price_index_chains": [
        (
            ("consumer_prices", {"year": 2010, "series": "all_items_index_2020_100"}),
            {"value": 94.8426},
            "price index 2010",
        )
    ],
}


def test_the_real_figures_pass_every_check(tables):
    result = checks.run(tables)
    assert list(result["check"]) == list(checks.CHECKS)
    assert result.set_index("check")["declared_exceptions"].to_dict() == {
        check: 2 if check == "studio_readings_agree" else 0 for check in result["check"]
    }


def test_no_check_passes_for_want_of_anything_to_compare(tables):
    counts = checks.run(tables).set_index("check")["comparisons"]
    assert (counts > 0).all()
    assert counts["market_parts_add_up"] >= 23
    assert counts["summary_agrees"] == 3 * 23
    assert counts["summary_growth_agrees"] == 23 + 3 * 22


def test_every_check_has_a_copy_that_it_refuses():
    assert set(SPOILED) == set(checks.CHECKS)


@pytest.mark.parametrize(
    ("check", "spoiled", "cells", "item"),
    [pytest.param(check, *case, id=f"{check}-{case[2]}") for check, cases in SPOILED.items() for case in cases],
)
def test_a_spoiled_figure_is_refused_by_the_check_that_guards_it(tables, check, spoiled, cells, item):
    table, row = spoiled
    copy = put(tables, table, row, **cells)
    with pytest.raises(InputError) as refused:
        checks.run(copy)
    assert f"{checks.CHECKS[check].what}, but for {item}" in str(refused.value)
    assert " stands against " in str(refused.value)
    assert "declare it in src/anime_growth/checks.py" in str(refused.value)


def test_two_rounded_parts_may_miss_their_rounded_sum_by_one(tables):
    row = {"edition_label": "2025 (prelim 2025-10-30)", "series": "total"}
    checks.run(put(tables, "market_editions", row, level_jpy_100m=38408.0))


def test_a_figure_that_is_not_there_does_not_agree():
    assert not checks.Comparison("any", math.nan, 1.0, 1.0, "").holds
    assert not checks.Comparison("any", 1.0, math.nan, 1.0, "").holds


def test_words_agree_only_where_they_are_the_same():
    assert checks.Comparison("any", "%", "%", 0.0, "").holds
    assert not checks.Comparison("any", "%", "year", 1e9, "").holds


def test_a_gap_at_the_tolerance_holds_and_one_above_it_does_not():
    assert checks.Comparison("any", 3.0, 2.0, 1.0, "").holds
    assert not checks.Comparison("any", 3.0, 1.5, 1.0, "").holds


def test_a_summary_of_a_row_that_is_not_there_is_refused(tables):
    editions = tables["market_editions"]
    lost = (editions["year"] == 2002) & (editions["series"] == "total")
    with pytest.raises(InputError, match=r"total 2002, edition 2025.*Restore the missing row"):
        checks.run({**tables, "market_editions": editions[~lost]})


@pytest.mark.parametrize("declared", checks.DECLARED, ids=lambda item: item.item)
def test_every_declared_disagreement_is_needed(tables, monkeypatch, declared):
    monkeypatch.setattr(checks, "DECLARED", [item for item in checks.DECLARED if item != declared])
    with pytest.raises(InputError) as refused:
        checks.run(tables)
    assert f"but for {declared.item} " in str(refused.value)


def test_a_declaration_that_no_longer_bites_is_refused(tables):
    row = {"year": 2021, "series": "total", "edition": 2023}
    agreed = put(tables, "studio_editions", row, level_jpy_100m=2972.0, is_derived=False)
    with pytest.raises(InputError) as refused:
        checks.run(agreed)
    assert "the declared disagreement on studio total 2021, edition 2023 is no longer there" in str(refused.value)
    assert "Delete its declaration in src/anime_growth/checks.py" in str(refused.value)


def test_a_declaration_excuses_its_own_check_only(tables, monkeypatch):
    item = "market 2024, edition 2025 (prelim 2025-10-30)"
    elsewhere = checks.Declared("summary_agrees", item, "declared for another check")
    monkeypatch.setattr(checks, "DECLARED", [*checks.DECLARED, elsewhere])
    row = {"edition_label": "2025 (prelim 2025-10-30)", "series": "total"}
    with pytest.raises(InputError, match="must add up to the total"):
        checks.run(put(tables, "market_editions", row, level_jpy_100m=38500.0))


def test_after_a_touch_only_checks_that_read_the_touched_table_are_made_again(tables):
    spoiled = put(tables, "market_printed", {"year": 2002}, overseas_jpy_100m=3726.0)
    made = checks.run(spoiled, ["exchange_rates"])["check"]
    assert set(made) == {name for name, check in checks.CHECKS.items() if "exchange_rates" in check.reads}
    with pytest.raises(InputError, match="collector's summary must repeat"):
        checks.run(spoiled, ["market_printed"])
    stale = put(tables, "studio_editions", {"year": 2021, "series": "total", "edition": 2023}, level_jpy_100m=2972.0)
    checks.run(stale, ["market_printed"])
    with pytest.raises(InputError):
        checks.run(stale, ["studio_editions"])


def test_the_checks_read_every_table_that_holds_figures_of_the_study(tables):
    figures = {name for name in tables if {"raw_cell", "raw_row"} & set(tables[name].columns)}
    not_checked = {"regions", "targets", "annual_series", "series_levels"}
    assert figures - {table for check in checks.CHECKS.values() for table in check.reads} == not_checked


def test_every_declaration_gives_its_reason():
    assert all(len(item.reason.split()) > 5 for item in checks.DECLARED)


def test_checking_leaves_the_tables_alone(tables):
    before = {name: table.copy(deep=True) for name, table in tables.items()}
    checks.run(tables)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, before[name])


def test_the_message_names_the_file_and_the_key_of_the_row(tables):
    row = {"edition_label": "2025 (prelim 2025-10-30)", "series": "total"}
    with pytest.raises(InputError) as refused:
        checks.run(put(tables, "market_editions", row, level_jpy_100m=38500.0))
    assert "aja_market_editions.csv" in refused.value.where
    assert "field value" in refused.value.where
