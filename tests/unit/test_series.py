"""Series under study: any level series, from one edition or scope, in yen, dollars and prices of 2020."""

import csv
import hashlib
import json
import math

import numpy as np
import pandas as pd
import pytest

from anime_growth import cells, clean, describe, paths, series, sources, trace, trends, units
from anime_growth.cells import CONFIDENCE
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities

RATES = {2010: 100.0, 2011: 80.0, 2012: 75.0, 2013: 100.0, 2014: 105.0, 2015: 120.0, 2016: 110.0, 2017: 112.0,
         2018: 110.0, 2019: 109.0, 2020: 107.0, 2021: 110.0}  # fmt: skip
PRICES = {year: 94.0 + year - 2010 for year in RATES}


def rates_and_prices(rates=RATES, prices=PRICES):
    """Made-up rates and prices as the quantities that a run knows them by."""
    q = Quantities("2025")
    for year, rate in rates.items():
        q.observe(f"fx.usdjpy.level.{year}", rate, units.RATE, "", f"fx.csv?year={year}#usdjpy", edition="")
    for year, price in prices.items():
        q.observe(f"price.cpi.level.{year}", price, units.INDEX, "", f"cpi.csv?year={year}#value", edition="")
    return q


def added(levels, name="tourism.receipts", unit=units.JPY_100M, known=None):
    """What a run knows after somebody added these levels [year -> level] as one series."""
    rows = pd.DataFrame(
        {
            "year": year, "series": name, "edition_label": "2024", "level": float(level), "unit": unit.name,
            "is_derived": False, "derivation": "", "confidence": "medium", "source_id": "S001",
            "raw_cell": f"own/2024/annual_series.csv?series={name}&year={year}#value",
        }
        for year, level in levels.items()
    )  # fmt: skip
    known = known or rates_and_prices()
    return known.joined(describe.describe_levels(rows, known))


# --- which series there are ----------------------------------------------------------------------
def test_every_level_series_of_the_tables_can_be_chosen(tables, described):
    content = tables["content_exports"].query("scope == 'current' and not is_rounded")
    expected = {
        *(f"market.{name}" for name in ("overseas", "domestic", "total")),
        *(f"studio.{name}" for name in tables["studio_editions"]["series"]),
        *(f"content.{name}" for name in content["sector"]),
        *(f"category.{name}" for name in tables["categories"].dropna(subset="level_jpy_100m")["category"]),
    }
    names = series.available(described)
    assert len(names) == len(set(names))
    assert set(names) == expected
    for name in names:
        chosen = series.choose(described, name, "yen", 2002)
        assert len(chosen.levels) > 0
        assert chosen.unit is units.JPY_100M
        assert dict(chosen.levels) == {year: described[key].value for year, key in chosen.keys.items()}


@pytest.mark.parametrize(("table", "family", "column"), [
    ("studio_editions", "studio", "series"), ("categories", "category", "category"),
])  # fmt: skip
def test_studio_and_category_series_come_from_the_label_that_prints_most_years(tables, table, family, column):
    levels, printed = tables["series_levels"], tables[table].dropna(subset="level_jpy_100m")
    for name, rows in printed.groupby(column):
        chosen = levels[levels["series"] == f"{family}.{name}"]
        years = rows.groupby("edition_label")["year"].nunique()
        (label,) = chosen["edition_label"].unique()
        assert len(chosen) == years[label] == years.max()
        source = rows[rows["edition_label"] == label].set_index("year")["level_jpy_100m"]
        assert chosen.set_index("year")["level"].to_dict() == source.to_dict()


def test_of_labels_with_as_many_years_the_newest_is_taken(tables):
    rows = tables["categories"].iloc[:1].assign(category="made_up")
    both = pd.concat(
        rows.assign(year=year, edition=edition, edition_label=str(edition), level_jpy_100m=100.0 * edition + year)
        for edition in (2020, 2019)
        for year in (2015, 2016)
    )
    found = clean.level_series({**tables, "categories": pd.concat([tables["categories"], both], ignore_index=True)})
    assert set(found.loc[found["series"] == "category.made_up", "edition_label"]) == {"2020"}


def test_content_series_hold_unrounded_levels_of_the_current_scope_one_a_year(tables):
    levels = tables["series_levels"]
    chosen = levels[levels["series"].str.startswith("content.")]
    assert not chosen.duplicated(["series", "year"]).any()
    source = tables["content_exports"].set_index("raw_cell").loc[chosen["raw_cell"]]
    assert set(source["scope"]) == {"current"}
    assert not source["is_rounded"].any()
    total = chosen[chosen["series"] == "content.total"].set_index("year")["level"]
    assert total[2024] == 60044
    assert list(total.index) == [2021, 2022, 2023, 2024]


def test_a_market_series_is_the_table_of_its_edition(described, market):
    for name, rows in market.groupby("series"):
        chosen = series.choose(described, f"market.{name}", "yen", 2002)
        assert dict(chosen.levels) == dict(zip(rows["year"], rows["level_jpy_100m"], strict=True))
        assert chosen.edition == "2025"
        assert chosen.source == "AJA Anime Industry Report, 2025 edition"


def test_studios_receipts_are_no_mixture_of_editions(described):
    chosen = series.choose(described, "studio.overseas", "yen", 2002)
    assert chosen.edition == "2023 (via Cabinet Secretariat)"
    assert list(chosen.levels.index) == list(range(2002, 2023))
    assert chosen.source == "AJA Anime Industry Report, edition 2023 (via Cabinet Secretariat)"


# --- bases ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "basis", "slug", "words", "unit"),
    [
        ("market.overseas", "yen", "overseas", "overseas anime market", units.JPY_100M),
        ("market.overseas", "usd", "overseas_usd", "overseas anime market in dollars", units.USD_BN),
        ("market.total", "real", "total_real", "whole anime market in prices of 2020", units.JPY_100M),
        ("studio.overseas", "yen", "studio_overseas", "studios' overseas receipts", units.JPY_100M),
        ("studio.overseas", "usd", "studio_overseas_usd", "studios' overseas receipts in dollars", units.USD_BN),
        ("content.total", "real", "content_total_real", "overseas sales of content, total in prices of 2020",
         units.JPY_100M),
        ("category.internet_distribution", "yen", "category_internet_distribution", "category internet distribution",
         units.JPY_100M),
    ],
)  # fmt: skip
def test_each_basis_has_its_slug_its_words_and_its_unit(described, name, basis, slug, words, unit):
    chosen = series.choose(described, name, basis, 2002)
    assert (chosen.name, chosen.basis, chosen.slug, chosen.words) == (name, basis, slug, words)
    assert chosen.unit is unit
    assert {described[key].unit for key in chosen.keys.values()} == {unit.name}


@pytest.mark.parametrize("name", ["market.overseas", "market.total", "studio.overseas", "content.total"])
def test_dollars_and_prices_of_2020_are_yen_over_the_rate_and_the_index_of_the_year(described, tables, name):
    bases = series.in_every_basis(described, name, 2002)
    assert list(bases) == ["yen", "usd", "real"]
    yen = bases["yen"].levels
    rates = tables["exchange_rates"].query("method == 'fred_annual_average'").set_index("year")["usdjpy"]
    index = tables["consumer_prices"].query("series == 'all_items_index_2020_100'").set_index("year")["value"]
    assert list(bases["usd"].levels.index) == list(bases["real"].levels.index) == list(yen.index)
    for year in yen.index:
        # JPY 100 million is a tenth of a billion yen.
        assert bases["usd"].levels[year] == pytest.approx(yen[year] / 10 / rates[year], rel=1e-12)
        assert bases["real"].levels[year] == pytest.approx(yen[year] / (index[year] / 100), rel=1e-12)


def test_a_level_in_dollars_rests_on_the_printed_cell_and_the_rate(described):
    chosen = series.choose(described, "studio.overseas", "usd", 2002)
    files = {cell.split("?")[0] for cell in trace.raw_behind(described, chosen.keys[2022])}
    assert files == {"aja/2025/aja_production.csv", "exchange_rates/2026-10-30/usdjpy_annual.csv"}


def test_a_series_of_counts_is_known_in_one_basis_only():
    known = added(dict.fromkeys(range(2010, 2020), 7), "works.titles", units.COUNT)
    assert list(series.in_every_basis(known, "works.titles", 2010)) == ["yen"]
    assert series.choose(known, "works.titles", "yen", 2010).unit is units.COUNT
    for basis in ("usd", "real"):
        with pytest.raises(InputError, match=rf"parameter basis: works\.titles is not known in {basis}.*one of yen"):
            series.choose(known, "works.titles", basis, 2010)


def test_a_series_in_dollars_gets_its_yen_at_the_rate_of_the_year():
    known = added({year: 2.0 + 0.1 * (year - 2010) for year in range(2010, 2022)}, unit=units.USD_BN)
    bases = series.in_every_basis(known, "tourism.receipts", 2010)
    assert list(bases) == ["yen", "usd", "real"]
    # USD 2 billion at 100 yen a dollar are 200 billion yen: 2,000 times 100 million; prices stood at 94.
    assert bases["usd"].levels[2010] == 2.0
    assert bases["yen"].levels[2010] == pytest.approx(2000, rel=1e-12)
    assert bases["real"].levels[2010] == pytest.approx(2000 / 0.94, rel=1e-12)
    assert bases["yen"].levels[2012] == pytest.approx(2.2 * 750, rel=1e-12)
    assert (bases["usd"].unit, bases["yen"].unit) == (units.USD_BN, units.JPY_100M)
    assert known["tourism.receipts.level_usd.series.2010"].method == "as printed"


def test_years_without_a_rate_are_left_out_of_dollars_and_named():
    known = added(dict.fromkeys(range(2010, 2024), 100), known=rates_and_prices())  # rates end in 2021
    yen, dollars = (series.choose(known, "tourism.receipts", basis, 2010) for basis in ("yen", "usd"))
    assert (yen.last_year, yen.remark) == (2023, "")
    assert dollars.last_year == 2021
    assert "2022, 2023" in dollars.remark


def test_years_without_a_price_are_left_out_of_prices_of_2020_only():
    prices = {year: price for year, price in PRICES.items() if year > 2010}
    known = added(dict.fromkeys(range(2010, 2022), 100), known=rates_and_prices(prices=prices))
    bases = series.in_every_basis(known, "tourism.receipts", 2010)
    assert {basis: int(chosen.levels.index[0]) for basis, chosen in bases.items()} == {
        "yen": 2010, "usd": 2010, "real": 2011,
    }  # fmt: skip
    assert "2010" in bases["real"].remark


# --- years ---------------------------------------------------------------------------------------
def test_after_a_gap_the_series_starts_anew_and_says_so():
    levels = {year: 100.0 + year for year in (*range(2001, 2005), *range(2007, 2010), *range(2011, 2021))}
    chosen = series.choose(added(levels), "tourism.receipts", "yen", 2001)
    assert list(chosen.levels.index) == list(range(2011, 2021))
    assert chosen.remark == "It has a gap after 2009, so it starts in 2011."
    assert set(chosen.keys) == set(chosen.levels.index)


def test_a_printed_series_with_a_gap_keeps_the_run_after_it(described):
    chosen = series.choose(described, "studio.total", "yen", 2002)
    assert list(chosen.levels.index) == [2018, 2019]
    assert "gap after 2009, so it starts in 2018" in chosen.remark


@pytest.mark.parametrize("start_year", [2018, 2024, 2050])
def test_a_start_year_that_leaves_too_little_of_a_long_series_is_refused_with_the_latest_that_works(
    described, start_year
):
    left = max(0, 2025 - start_year)
    with pytest.raises(InputError) as refused:
        series.choose(described, "market.overseas", "yen", start_year)
    message = str(refused.value)
    assert message.startswith(f"parameter start_year: {start_year} leaves {left} of 23 years")
    assert message.endswith("Choose 2017 or earlier.")
    assert len(series.choose(described, "market.overseas", "yen", 2017).levels) == series.MIN_YEARS == 8


def test_the_latest_start_year_is_that_of_the_run_after_a_gap():
    known = added(dict.fromkeys((*range(2000, 2009), *range(2010, 2020)), 100))
    with pytest.raises(InputError, match="2015 leaves 5 of 10 years.*Choose 2012 or earlier"):
        series.choose(known, "tourism.receipts", "yen", 2015)


def test_the_start_year_cuts_the_years_before_it(described):
    chosen = series.choose(described, "market.overseas", "usd", 2010)
    assert list(chosen.levels.index) == list(chosen.keys) == list(range(2010, 2025))
    assert chosen.last_year == 2024


@pytest.mark.parametrize(("start_year", "years"), [(2002, 7), (2005, 4), (2017, 0)])
def test_a_series_that_is_short_anyway_is_handed_on_and_every_model_refuses_it_in_words(described, start_year, years):
    chosen = series.choose(described, "category.merchandising", "yen", start_year)
    assert len(chosen.levels) == years
    fits, refused = trends.fit_all(chosen.levels)
    assert fits == {}
    assert refused == dict.fromkeys(trends.MODELS, f"the series has {years} years, and at least 8 are needed")


# --- the sample as a quantity --------------------------------------------------------------------
def test_the_sample_is_one_quantity_that_rests_on_its_levels(described, subject):
    q = Quantities("2025", described.values())
    key = subject.sample(q, "trend")
    assert key == "trend.overseas.sample.2002-2024"
    assert q[key].value == 23
    assert q[key].inputs == tuple(f"market.overseas.level.{year}" for year in range(2002, 2025))
    assert (subject.sample(q, "trend"), len(q)) == (key, len(described) + 1)
    later = series.choose(described, "market.overseas", "usd", 2015)
    assert later.sample(q, "projection") == "projection.overseas_usd.sample.2015-2024"


def test_a_sample_is_as_sure_as_its_least_sure_level(described):
    q = Quantities("", described.values())
    chosen = series.choose(described, "studio.overseas", "yen", 2002)
    assert q[chosen.sample(q, "trend")].confidence == "low"


def test_a_sample_without_years_is_named_as_such(described):
    q = Quantities("", described.values())
    key = series.choose(described, "category.tv", "yen", 2050).sample(q, "trend")
    assert (key, q[key].value) == ("trend.category_tv.sample.none", 0)


# --- refused names -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["market.oversea", "studio.level", "tourism.receipts", "market", ""])
def test_an_unknown_series_is_refused_and_those_at_hand_are_named(described, name):
    with pytest.raises(InputError) as refused:
        series.choose(described, name, "yen", 2002)
    message = str(refused.value)
    assert message.startswith(f"parameter series: {name!r} is not at hand")
    for other in ("market.overseas", "studio.overseas", "content.total", "category.tv"):
        assert other in message


def test_a_name_is_no_pattern(described):
    with pytest.raises(InputError, match="parameter series"):
        series.choose(described, "market.o.erseas", "yen", 2002)


# --- series that somebody adds -------------------------------------------------------------------
COLUMNS = {
    "series": ("string", True), "year": ("integer", True), "edition": ("string", True), "value": ("number", False),
    "unit": ("string", False), "is_derived": ("integer", True), "derivation": ("string", False),
    "confidence": ("string", False), "source_id": ("string", False), "note": ("string", False),
}  # fmt: skip
DECLARED_UNITS = ["100 million JPY", "billion JPY", "billion USD", "count"]


def add(study, levels, changes=None, extra=(), declared=DECLARED_UNITS, folder="tourism/2026-11-01"):
    """Put annual_series.csv with its package into the study's copy.

    `levels` maps (series, unit) to levels by year; `changes` maps a place among the rows to cells of its
    own; `extra` rows follow. Returns the path.
    """
    rows = [
        {
            "series": name, "year": str(year), "edition": "2024", "value": f"{value:g}", "unit": unit,
            "is_derived": "0", "derivation": "", "confidence": "medium", "source_id": "S001", "note": "",
        }
        for (name, unit), years in levels.items()
        for year, value in years.items()
    ]  # fmt: skip
    for at, changed in (changes or {}).items():
        rows[at].update(changed)
    rows += [{**rows[at], **changed} for at, changed in extra]
    path = study / "data" / "raw" / folder / "annual_series.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    content = path.read_bytes()
    fields = [
        {"name": column, "type": kind, "constraints": {"required": required}}
        | ({"unit": declared} if kind == "number" else {})
        for column, (kind, required) in COLUMNS.items()
    ]
    package = {
        "name": "tourism-2026-11-01",
        "title": "Receipts from tourism",
        "source": "a made-up office",
        "edition": path.parent.name,
        "accessed": "2026-11-22",
        "licenses": [{"name": "CC0-1.0", "title": "made up for a test"}],
        "sources": [{"title": "made up"}],
        "resources": [
            {
                "name": "annual_series",
                "path": "annual_series.csv",
                "bytes": len(content),
                "hash": "sha256:" + hashlib.sha256(content).hexdigest(),
                "schema": {"fields": fields, "primaryKey": ["series", "year"]},
            }
        ],
    }
    (path.parent / sources.PACKAGE).write_text(json.dumps(package), encoding="utf-8")
    return path


YEARS = range(2010, 2022)
RECEIPTS = {("tourism.receipts", "100 million JPY"): {year: 1000 + 10 * (year - 2010) for year in YEARS}}


def cleaned():
    return clean.clean_annual_series(sources.read("annual_series"))


def test_without_an_added_series_the_table_is_there_and_empty(tables):
    assert len(tables["annual_series"]) == 0
    clean.SCHEMAS["annual_series"].validate(tables["annual_series"])


def test_added_series_can_be_chosen_and_followed_to_their_raw_cells(study):
    path = add(
        study,
        {
            **RECEIPTS,
            ("tourism.abroad", "billion USD"): {year: 2 + 0.25 * (year - 2010) for year in YEARS},
            ("works.titles", "count"): {year: 300 + year - 2010 for year in YEARS},
        },
    )
    tables = clean.clean_all()
    known = describe.describe_market(clean.market(tables, 2025), tables["breaks"])
    known = known.joined(describe.describe_levels(tables["series_levels"], known))
    assert {"tourism.receipts", "tourism.abroad", "works.titles"} < set(series.available(known))
    chosen = series.choose(known, "tourism.receipts", "yen", 2010)
    assert dict(chosen.levels) == {year: 1000 + 10 * (year - 2010) for year in YEARS}
    assert (chosen.slug, chosen.words, chosen.source) == ("tourism_receipts", "tourism receipts", "added series")
    (cell,) = trace.raw_behind(known, chosen.keys[2012])
    assert cell == "tourism/2026-11-01/annual_series.csv?series=tourism.receipts&year=2012#value"
    assert path.relative_to(paths.raw()).as_posix() == cell.split("?")[0]
    rate = known["fx.usdjpy.level.2015"].value
    abroad = series.in_every_basis(known, "tourism.abroad", 2010)
    assert (abroad["usd"].levels[2015], abroad["yen"].levels[2015]) == pytest.approx((3.25, 32.5 * rate), rel=1e-12)
    assert list(series.in_every_basis(known, "works.titles", 2010)) == ["yen"]
    assert known["tourism.receipts.level.series.2010"].confidence == "medium"


@pytest.mark.parametrize("name", [f"{part}.own" for part in clean.TAKEN])
def test_a_name_that_begins_like_a_series_of_the_study_is_refused(study, name):
    add(study, RECEIPTS, {4: {"series": name}})
    with pytest.raises(InputError) as refused:
        cleaned()
    assert str(refused.value).startswith("data/raw/tourism/2026-11-01/annual_series.csv, row 6, field series: ")
    assert repr(name) in str(refused.value)


def test_every_family_of_series_of_the_study_is_taken(described):
    families = {key.split(".")[0] for key in described if ".level" in key}
    assert families - {"target"} <= set(clean.TAKEN)


BAD_ROWS = {
    "another edition": ({11: {"edition": "2025"}}, (), 13, "series", ["tourism.receipts mixes editions or units"]),
    "another unit": ({11: {"unit": "billion USD"}}, (), 13, "series", ["tourism.receipts mixes editions or units"]),
    "a year twice": ({}, [(3, {"value": "5"})], 14, "series, year", ["tourism.receipts, 2013", "repeats a row"]),
    "a unit nobody knows": ({2: {"unit": "oku"}}, (), 4, "unit", ["unknown unit 'oku'", "Use one of"]),
    "no unit": ({2: {"unit": ""}}, (), 4, "unit", ["unknown unit ''"]),
    "a unit that series cannot have": (
        {at: {"unit": "billion JPY"} for at in range(12)}, (), 2, "unit", ["'bn JPY' is not one of"],
    ),
    "a name without a dot": ({1: {"series": "tourism"}}, (), 3, "series", ["'tourism'", "a name such as"]),
    "a missing level": ({5: {"value": ""}}, (), 7, "value", ["is missing"]),
    "words in a number": ({5: {"value": "much"}}, (), 7, "value", ["'much' is not a number"]),
    "an unknown confidence": ({7: {"confidence": "sure"}}, (), 9, "confidence", ["'sure'", "high, low, medium"]),
    "a flag that is none": ({7: {"is_derived": "3"}}, (), 9, "is_derived", ["3 is neither 0 nor 1"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_of_an_added_series_is_refused_by_file_row_and_field(study, case):
    changes, extra, line, field, words = BAD_ROWS[case]
    add(study, RECEIPTS, changes, extra)
    with pytest.raises(InputError) as refused:
        cleaned()
    place = f"data/raw/tourism/2026-11-01/annual_series.csv, row {line}, field {field}: "
    assert str(refused.value).startswith(place)
    assert "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_a_unit_that_the_package_does_not_declare_is_refused(study):
    add(study, RECEIPTS, {2: {"unit": "billion USD"}}, declared="100 million JPY")
    with pytest.raises(InputError, match=r"annual_series\.csv, row 4, field unit: 'billion USD' is not the unit"):
        cleaned()


def test_the_same_year_in_two_files_is_refused(study):
    add(study, RECEIPTS, folder="tourism/2026-11-01")
    add(study, {("tourism.receipts", "100 million JPY"): {2021: 7}}, folder="tourism/2026-11-02")
    with pytest.raises(InputError, match=r"2026-11-02/annual_series\.csv, row 2 .*stands in another raw file"):
        sources.read("annual_series")


def test_an_added_series_of_an_unknown_source_is_refused(study):
    add(study, RECEIPTS, {3: {"source_id": "S999"}})
    with pytest.raises(InputError, match=r"annual_series\.csv, row 5, field source_id: source 'S999'"):
        clean.clean_all()


# --- the estimate question -----------------------------------------------------------------------
@pytest.fixture(scope="module")
def estimate(described, tables):
    return describe.describe_estimate(described, tables["breaks"])


@pytest.fixture(scope="module")
def both(market, tables):
    """Broad overseas revenue and studios' overseas receipts by year, from the tables."""
    broad = market[market["series"] == "overseas"].set_index("year")["level_jpy_100m"]
    rows = tables["studio_editions"].query("series == 'overseas'")
    receipts = pd.Series({year: clean.preferred(group)["level_jpy_100m"] for year, group in rows.groupby("year")})
    return pd.DataFrame({"broad": broad, "receipts": receipts}).dropna()


def test_the_old_ratio_is_the_median_before_the_method_changed(estimate, both):
    ratios = both["broad"] / both["receipts"]
    old = float(np.median(ratios.loc[2002:2019]))
    assert estimate["market.overseas.over_studio_median.2002-2019"].value == pytest.approx(old, rel=1e-12)
    assert (round(old, 2), round(ratios[2024], 2)) == (16.68, 18.27)
    assert len(ratios.loc[2002:2019]) == 18


def test_since_then_the_headline_at_the_old_ratio_and_what_lies_beyond_make_up_the_headline(estimate, both):
    old = float(np.median((both["broad"] / both["receipts"]).loc[2002:2019]))
    for year in range(2020, 2025):
        at_old = estimate[f"market.overseas.level_at_old_ratio.{year}"]
        beyond = estimate[f"market.overseas.log_beyond_receipts.{year}"]
        assert at_old.value == pytest.approx(both.loc[year, "receipts"] * old, rel=1e-12)
        assert at_old.value * math.exp(beyond.value / 100) == pytest.approx(both.loc[year, "broad"], rel=1e-12)
        assert (at_old.unit, beyond.unit) == ("100m JPY", "log points x100")
    assert "market.overseas.level_at_old_ratio.2019" not in estimate


def test_growth_beyond_receipts_is_the_difference_of_both_growths(estimate, described):
    # 26.01 % of the broad market in 2024; receipts inside the edition that prints both years.
    found = estimate["market.overseas.growth_beyond_receipts.2024"]
    broad, receipts = (described[key] for key in found.inputs)
    assert broad.value == pytest.approx((21702 / 17222 - 1) * 100, rel=1e-12)
    levels = [described[key] for key in receipts.inputs]
    assert len({cells.parse(level.inputs[0])["row"]["edition"] for level in levels}) == 1
    assert found.value == pytest.approx(broad.value - (levels[0].value / levels[1].value - 1) * 100, rel=1e-12)


def test_unconfirmed_years_are_the_rows_of_low_confidence(estimate, tables):
    rows = tables["studio_editions"].query("series == 'overseas'")
    trust = [clean.preferred(group)["confidence"] for _, group in rows.groupby("year")]
    assert estimate["studio.overseas.unconfirmed.2002-2024"].value == trust.count("low") > 10


def test_growth_of_receipts_comes_from_one_list(estimate, tables):
    levels = tables["series_levels"].query("series == 'studio.overseas'").set_index("year")["level"]
    expected = ((levels[2022] / levels[2002]) ** (1 / 20) - 1) * 100
    assert estimate["studio.overseas.cagr.2002-2022"].value == pytest.approx(expected, rel=1e-12)


def test_nothing_of_the_estimate_is_surer_than_the_rows_behind_it(estimate, described, tables):
    trust = {
        row.raw_cell: row.confidence
        for name in ("market_editions", "studio_editions")
        for row in tables[name].itertuples()
    }
    together = described.joined(estimate)
    judged = 0
    for key, item in estimate.items():
        behind = [trust.get(cell, "high") for cell in trace.raw_behind(together, key)]
        assert CONFIDENCE.index(item.confidence) <= min(map(CONFIDENCE.index, behind)), key
        judged += "low" in behind
    assert judged >= 10
    assert all(estimate[key].confidence == "low" for key in estimate if ".log_beyond_" in key or "median" in key)


def test_without_a_change_of_method_or_with_few_years_before_it_there_is_no_estimate(described, tables):
    breaks = tables["breaks"]
    other = breaks[~((breaks["series"] == "market.overseas") & (breaks["kind"] == "method"))]
    assert len(describe.describe_estimate(described, other)) == 0
    early = breaks.assign(year=breaks["year"].where(breaks["note_id"] != "N7", 2004))
    assert len(describe.describe_estimate(described, early)) == 0
    late = breaks.assign(year=breaks["year"].where(breaks["note_id"] != "N7", 2005))
    assert "market.overseas.over_studio_median.2002-2004" in describe.describe_estimate(described, late)


def test_the_table_of_the_estimate_shows_both_levels_and_how_sure_receipts_are(described, both, tables):
    table = describe.estimate_table(described).set_index("year")
    assert list(table.index) == list(both.index) == list(range(2002, 2025))
    assert (table["market_jpy_100m"] == both["broad"]).all()
    assert (table["receipts_jpy_100m"] == both["receipts"]).all()
    assert table["ratio"].to_numpy() == pytest.approx((both["broad"] / both["receipts"]).to_numpy(), rel=1e-12)
    assert (table["receipts_confidence"] == "low").sum() == 16
    assert describe.estimate_table(Quantities()).empty
