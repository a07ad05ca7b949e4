"""Cleaning: tidy tables that keep their promises, pure functions, and bad rows named by file and row."""

import pandas as pd
import pytest

from anime_growth import cells, checks, clean, sources, units
from anime_growth.errors import InputError

EDITIONS, STUDIO, CATEGORIES = "aja_market_editions.csv", "aja_production.csv", "aja_categories.csv"
CONTENT, RATES, TARGETS = "content_exports.csv", "usdjpy_annual.csv", "targets.csv"
TOTAL_2024 = {"year": "2024", "series": "broad_total", "edition": "2025"}
PRELIMINARY = {"year": "2024", "series": "broad_total", "edition": "2025 (prelim 2025-10-30)"}


# --- what every table promises -------------------------------------------------------------------
# Every raw table but the one for added series, which may be absent and is tested in test_series.py.
RAW_TABLES = [table for table in clean.CLEANERS if table != sources.OWN_SERIES]


@pytest.mark.parametrize("raw_table", clean.CLEANERS)
def test_a_clean_table_has_exactly_the_columns_and_types_of_its_schema(tables, raw_table):
    tidy, _ = clean.CLEANERS[raw_table]
    schema = clean.SCHEMAS[tidy]
    table = tables[tidy]
    assert set(table.columns) == set(schema.columns)
    schema.validate(table)


def test_every_schema_has_its_cleaner():
    joined = {"series_levels"}  # made of several clean tables
    assert {tidy for tidy, _ in clean.CLEANERS.values()} | joined == set(clean.SCHEMAS)


def test_every_raw_table_but_the_claims_is_cleaned():
    assert set(RAW_TABLES) == {file.resource.name for file in sources.raw_files()} - {"claims"}


@pytest.mark.parametrize("raw_table", RAW_TABLES)
def test_cleaning_leaves_its_input_alone_and_gives_the_same_table_twice(raw_table):
    _, cleaner = clean.CLEANERS[raw_table]
    raw = sources.read(raw_table)
    before = raw.copy(deep=True)
    first, second = cleaner(raw), cleaner(raw)
    pd.testing.assert_frame_equal(raw, before)
    pd.testing.assert_frame_equal(first, second)


def test_no_raw_row_is_lost_in_cleaning(tables):
    for raw_table in RAW_TABLES:
        tidy, _ = clean.CLEANERS[raw_table]
        assert len(tables[tidy]) == len(sources.read(raw_table)), tidy


def test_a_raw_cell_holds_the_level_that_stands_next_to_it(tables):
    for tidy, column in {
        "market_editions": "level_jpy_100m", "studio_editions": "level_jpy_100m", "categories": "level_jpy_100m",
        "content_exports": "level_jpy_100m", "regions": "value", "market_cap": "value", "consumer_prices": "value",
        "exchange_rates": "usdjpy", "spot_rates": "usdjpy",
    }.items():  # fmt: skip
        rows = {}
        for _, row in tables[tidy].iterrows():
            address = cells.parse(row["raw_cell"])
            if not rows:
                raw = sources.read(address["file"].rsplit("/", 1)[1].removesuffix(".csv"))
                rows = raw.set_index("raw_row")[address["column"]].to_dict()
            printed = rows[row["raw_cell"].split("#")[0]]
            assert printed == row[column] or (pd.isna(printed) and pd.isna(row[column])), row["raw_cell"]


# --- bad rows ------------------------------------------------------------------------------------
BAD_ROWS = {
    "words in a number": (EDITIONS, TOTAL_2024, {"value": "much"}, "value", ["'much'", "not a number"]),
    "a missing figure": (EDITIONS, TOTAL_2024, {"value": ""}, "value", ["missing", "source S001"]),
    "a missing year": (EDITIONS, TOTAL_2024, {"year": ""}, "year", ["empty"]),
    "a year before there was a market": (EDITIONS, TOTAL_2024, {"year": "1024"}, "year", ["1024", "not a year"]),
    "a year, series and edition twice": (EDITIONS, TOTAL_2024, "repeat", "year, series, edition", ["repeats a row"]),
    "a negative level": (EDITIONS, TOTAL_2024, {"value": "-38407"}, "value", ["-38,407", "above zero", "S001"]),
    "a level of zero": (EDITIONS, TOTAL_2024, {"value": "0"}, "value", ["0", "not above zero"]),
    "a negative level of studios": (
        STUDIO, {"year": "2024", "series": "narrow_total"}, {"value": "-4662"}, "value", ["-4,662", "above zero"],
    ),
    "an unknown unit": (EDITIONS, TOTAL_2024, {"unit": "oku"}, "unit", ["unknown unit 'oku'", "Use one of"]),
    "a figure ten times too small in another unit": (
        EDITIONS, TOTAL_2024, {"value": "3840.7", "unit": "billion JPY"}, "unit", ["'billion JPY'", "declared unit"],
    ),
    "an unknown source": (EDITIONS, TOTAL_2024, {"source_id": "S999"}, "source_id", ["'S999'", "sources.csv"]),
    "no source": (EDITIONS, TOTAL_2024, {"source_id": ""}, "source_id", ["is missing", "Fill in its source_id"]),
    "an unknown source of a target": (
        TARGETS, {"target_id": "T04"}, {"source_id": "S998"}, "source_id", ["'S998'", "not in the register"],
    ),
    "an unknown source of a claim": (
        "anime_overtakes_autos/2025-11/claims.csv", {"claim_id": "C06"}, {"source_id": "S997"}, "source_id",
        ["'S997'", "not in the register"],
    ),
    "an unknown corroborating source": (
        EDITIONS, TOTAL_2024, {"corroborating_source_ids": "S002;S999"}, "corroborating_source_ids",
        ["'S999'", "not in the register"],
    ),
    "an unknown series": (EDITIONS, TOTAL_2024, {"series": "broad_world"}, "series", ["'broad_world'", "not a known"]),
    "a studio series among the market's": (
        EDITIONS, TOTAL_2024, {"series": "narrow_total"}, "series", ["'narrow_total'", "not a known"],
    ),
    "an unknown confidence": (
        EDITIONS, TOTAL_2024, {"confidence": "certain"}, "confidence", ["'certain'", "high, low, medium"],
    ),
    "a label without an edition": (
        EDITIONS, TOTAL_2024, {"edition": "latest"}, "edition", ["'latest' names no edition"],
    ),
    "an unknown scope of content exports": (
        CONTENT, {"year": "2024", "sector": "total"}, {"concept": "world market"}, "concept",
        ["'world market' is not a known concept", "SCOPES of src/anime_growth/clean.py"],
    ),
    "an unknown way to average a rate": (
        RATES, {"year": "2024", "usdjpy": "151.4551"}, {"method": "somewhere online"}, "method",
        ["'somewhere online' is not a known method", "RATE_METHODS of src/anime_growth/clean.py"],
    ),
    "a rate of zero": (RATES, {"year": "2024", "usdjpy": "151.4551"}, {"usdjpy": "0"}, "usdjpy", ["not above zero"]),
    "a category with neither level nor growth": (
        CATEGORIES, {"year": "2015", "category": "tv"}, {"yoy_ratio_pct": ""}, "value", ["missing", "yoy_ratio_pct"],
    ),
    "a target whose low end is above its high end": (
        TARGETS, {"target_id": "T03"}, {"value_low": "25"}, "value_low", ["above value_high", "S065"],
    ),
    "a target of nothing": (TARGETS, {"target_id": "T04"}, {"value_low": "0"}, "value_low", ["not above zero"]),
    "a target without a baseline year": (
        TARGETS, {"target_id": "T04"}, {"baseline_year": ""}, "baseline_year", ["missing", "S066"],
    ),
    "a day that is no date": (
        "usdjpy_spot.csv", {"date": "2025-10-30"}, {"date": "30 Oct 2025"}, "date", ["'30 Oct 2025'", "not a date"],
    ),
    "a day that no calendar has": (
        "usdjpy_spot.csv", {"date": "2025-10-30"}, {"date": "2025-13-30"}, "date", ["'2025-13-30'"],
    ),
    "a flag that is neither 0 nor 1": (EDITIONS, TOTAL_2024, {"is_derived": "2"}, "is_derived", ["2"]),
    "an edition of five digits": (EDITIONS, PRELIMINARY, {"edition": "20250"}, "edition", ["20250"]),
    "a source neither primary nor secondary": (
        "sources.csv", {"source_id": "S003"}, {"source_kind": "hearsay"}, "source_kind", ["'hearsay'", "primary"],
    ),
    "a note with no series and year": (
        "methodology_notes.csv", {"note_id": "N11"}, {"note_id": "N12"}, "note_id", ["N12", "BREAKS"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_refused_by_file_row_and_field(edit, case):
    file, row, change, field, words = BAD_ROWS[case]
    line = edit.row(file, row, change)
    with pytest.raises(InputError) as refused:
        clean.clean_all()
    for word in (f"{file}, row {line}, field {field}:", *words):
        assert word in str(refused.value)


def test_a_year_left_out_of_a_full_series_is_refused_by_the_row_before_it(edit):
    before = {"year": "2009", "series": "broad_overseas", "edition": "2025"}
    line = edit.row(EDITIONS, before, {})
    edit.row(EDITIONS, {**before, "year": "2010"}, "delete")
    with pytest.raises(InputError) as refused:
        clean.clean_all()
    assert f"{EDITIONS}, row {line}, field year: " in str(refused.value)
    assert "edition 2025 of series overseas has no row for 2010 after this one" in str(refused.value)


def test_an_old_year_that_an_edition_mentions_alone_is_not_a_gap(edit):
    edit.row(EDITIONS, {"year": "2021", "series": "broad_total", "edition": "2023"}, "delete")
    assert len(clean.clean_all()["market_editions"]) == 130


def test_parts_that_do_not_add_up_are_refused_by_file_and_row(edit):
    line = edit.row(EDITIONS, PRELIMINARY, {"value": "38409"})
    with pytest.raises(InputError) as refused:
        checks.run(clean.clean_all())
    message = str(refused.value)
    assert "overseas and domestic must add up to the total" in message
    assert "38,407 stands against 38,409" in message
    assert f"data/raw/aja/2025/{EDITIONS}, row {line} (year 2024" in message


def test_a_refused_number_is_shown_as_a_number_not_as_python(edit):
    edit.row(EDITIONS, TOTAL_2024, {"value": "-38407"})
    with pytest.raises(InputError) as refused:
        clean.clean_all()
    assert "float64" not in str(refused.value)


def test_a_table_with_no_rows_is_refused_by_its_file(edit):
    edit("aja_market_best.csv", lambda content: content.splitlines(keepends=True)[0])
    with pytest.raises(InputError, match=r"aja_market_best\.csv"):
        clean.clean_all()


# --- editions ------------------------------------------------------------------------------------
def test_the_editions_are_those_that_print_two_years_running(tables):
    assert clean.editions(tables["market_editions"]) == [2022, 2023, 2024, 2025]


def test_an_edition_whose_years_do_not_follow_one_another_is_not_offered(tables):
    editions = tables["market_editions"].copy()
    editions.loc[(editions["edition"] == 2023) & (editions["year"] == 2021), "year"] = 2019
    assert clean.editions(editions) == [2022, 2024, 2025]


def test_an_edition_that_prints_one_series_for_one_year_only_is_not_offered(tables):
    editions = tables["market_editions"]
    lacking = (editions["edition"] == 2023) & (editions["series"] == "domestic") & (editions["year"] == 2021)
    assert clean.editions(editions[~lacking]) == [2022, 2024, 2025]


def test_a_preliminary_figure_stays_in_the_table_of_editions_and_out_of_the_series(tables, market):
    editions = tables["market_editions"]
    preliminary = editions[editions["edition_label"] == "2025 (prelim 2025-10-30)"]
    assert list(preliminary["edition"]) == [2025] * 3
    assert not preliminary["is_main_edition"].any()
    assert not set(preliminary["raw_cell"]) & set(market["raw_cell"])


def test_latest_is_the_newest_edition_and_a_year_is_itself(tables):
    assert clean.choose_edition(tables["market_editions"], "latest") == 2025
    assert clean.choose_edition(tables["market_editions"], 2023) == 2023


def test_an_edition_that_does_not_exist_is_refused_and_the_valid_ones_are_named(tables):
    with pytest.raises(InputError) as refused:
        clean.choose_edition(tables["market_editions"], 1999)
    assert "parameter edition: 1999" in str(refused.value)
    assert "Choose one of 2022, 2023, 2024, 2025, or latest" in str(refused.value)


def test_an_edition_with_one_year_only_is_refused(tables):
    with pytest.raises(InputError, match="2018 is not an edition with two years running"):
        clean.choose_edition(tables["market_editions"], 2018)


# --- the market table ----------------------------------------------------------------------------
def test_the_market_has_every_year_of_every_series_once(market):
    assert not market.duplicated(["series", "year"]).any()
    for series in clean.SERIES:
        assert list(market.loc[market["series"] == series, "year"]) == list(range(2002, 2025))
    assert set(market["edition"]) == {2025}


def test_the_market_joins_the_recommended_rate_and_the_price_index_of_each_year(market, tables):
    row = market.set_index(["series", "year"]).loc[("overseas", 2024)]
    assert (row["level_jpy_100m"], row["usdjpy"], row["cpi_2020_100"]) == (21702, 151.4551, 108.4924)
    assert row["level_usd_bn"] == pytest.approx(21702 / 10 / 151.4551, rel=1e-12)
    assert row["level_real_jpy_100m"] == pytest.approx(21702 / 1.084924, rel=1e-12)
    assert row["level_usd_bn"] == units.usd_bn(row["level_jpy_100m"], row["usdjpy"])
    assert "method=FRED" in row["rate_cell"]
    assert "all_items_index" in row["price_cell"]
    recommended = tables["exchange_rates"].query("is_recommended").set_index("year")["usdjpy"]
    assert all(market["usdjpy"] == market["year"].map(recommended))


def test_prices_of_2020_leave_2020_as_it_is(market):
    rows = market[market["year"] == 2020]
    assert list(rows["level_real_jpy_100m"]) == list(rows["level_jpy_100m"])


@pytest.mark.parametrize(("table", "what"), [("exchange_rates", "exchange rate"), ("consumer_prices", "price index")])
def test_a_year_without_rate_or_price_is_refused(tables, table, what):
    lacking = {**tables, table: tables[table][tables[table]["year"] != 2010]}
    with pytest.raises(InputError, match=f"edition 2025: prints 2010, for which there is no .*{what}.*Add the year"):
        clean.market(lacking, 2025)


# --- registers -----------------------------------------------------------------------------------
def test_only_changes_of_scope_or_method_mark_growth(tables):
    breaks = tables["breaks"]
    assert set(breaks.loc[breaks["marks_growth"], "kind"]) == {"scope", "method"}
    marked = breaks[breaks["marks_growth"]]
    assert set(zip(marked["note_id"], marked["series"], marked["year"], strict=True)) == {
        ("N1", "market.total", 2013),
        ("N1", "market.domestic", 2013),
        ("N7", "market.overseas", 2020),
        ("N10", "content.total", 2021),
    }


def test_an_inferred_break_is_not_called_documented(tables):
    documented = tables["breaks"].drop_duplicates("note_id").set_index("note_id")["is_documented"]
    assert not documented["N7"]
    assert documented.drop("N7").all()


def test_every_note_in_the_register_of_breaks_is_among_the_notes(tables):
    assert set(clean.BREAKS) == set(tables["method_notes"]["note_id"])


def test_revisions_tell_what_a_year_was_first_and_last_printed_as(tables):
    revisions = clean.revisions(tables["market_editions"]).set_index(["series", "year"])
    total_2016 = revisions.loc[("total", 2016)]
    assert (total_2016["first_edition"], total_2016["first_jpy_100m"]) == (2017, 20009)
    assert (total_2016["last_edition"], total_2016["last_jpy_100m"]) == (2025, 19903)
    assert total_2016["change_jpy_100m"] == 19903 - 20009
    assert total_2016["change_pct"] == pytest.approx((19903 / 20009 - 1) * 100)
    assert ("total", 2024) not in revisions.index


def test_the_register_of_raw_files_repeats_the_packages(tables):
    register = tables["raw_files"].set_index("file")
    files = {file.reference: file for file in sources.raw_files()}
    assert set(register.index) == set(files)
    for name, row in register.iterrows():
        assert files[name].resource.hash == f"sha256:{row['sha256']}"
        assert row["terms"]


def test_a_rounded_content_figure_is_known_as_rounded(tables):
    content = tables["content_exports"].set_index(["year", "sector", "release"])
    assert content.loc[(2021, "total", "Keidanren 2023"), "is_rounded"]
    assert content.loc[(2024, "anime", "HM release 2025-11-28"), "is_rounded"]
    assert not content.loc[(2024, "total", "HM release 2025-11-28"), "is_rounded"]
    assert not content.loc[(2021, "total", "HM release 2023-12"), "is_rounded"]


def test_a_printed_ratio_becomes_growth(tables):
    categories = tables["categories"].set_index(["edition", "year", "category"])
    assert categories.loc[(2024, 2023, "internet_distribution"), "growth_pct"] == pytest.approx(51.39)
    assert categories.loc[(2024, 2023, "movie"), "growth_pct"] == pytest.approx(-13.25)
