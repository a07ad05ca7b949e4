"""Identities and cross-checks that the cleaned figures must meet.

A check that fails stops the study with the row that broke it. Where the printed sources themselves
disagree, the disagreement is declared in `DECLARED` with its reason; a declaration that no longer
bites fails too, so the list cannot go stale.
"""

import math
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from anime_growth import clean, expressions, sources, units
from anime_growth.errors import InputError

# Printed to the last 100 million: two rounded parts may miss their rounded sum by one.
ROUNDING_JPY_100M = 1.0
# Printed with two decimals in the collector's summary.
ROUNDING_PCT = 0.0051
# The three averages of one year's exchange rate differ by days covered, not by more than this.
RATE_SPREAD_PCT = 0.5
# No year since 1973 moved the yen by more; a slipped digit does.
RATE_STEP_PCT = 30
PRICE_SPREAD_PCT = 0.001
# Tables with figures that the collector computed from others.
HAVE_DERIVED = ("market_editions", "studio_editions", "categories", "content_exports", "market_cap")
# Tables whose rows have a unit each: the column that says what was measured, and the unit of what quantities use.
UNITS_OF = {
    "consumer_prices": (
        "series",
        {"all_items_index_2020_100": units.INDEX, "all_items_inflation": units.PERCENT},
    ),
    "market_cap": (
        "measure",
        {
            "combined market cap": units.JPY_TRN,
            "change since end-2024": units.PERCENT,
            "first crossover since": units.YEAR,
        },
    ),
}


@dataclass(frozen=True)
class Declared:
    """A disagreement between sources that is known, and why it is let stand."""

    check: str
    item: str
    reason: str


DECLARED = [
    Declared(
        "studio_readings_agree",
        "studio total 2021, edition 2023",
        "one source prints 2,972, the growth printed a year later implies 2,927: transposed digits in "
        "one of them, or a revision; neither row is used in a headline",
    ),
    Declared(
        "studio_readings_agree",
        "studio overseas 2011, edition 2012",
        "the 2012 report's editor printed 177, later lists print 160: restated or read differently; "
        "neither row is used in a headline",
    ),
]


@dataclass(frozen=True)
class Comparison:
    """One comparison of two figures, or words, that should agree within `tolerance`."""

    item: str
    left: float | str
    right: float | str
    tolerance: float
    place: str  # raw cell, for the error message

    @property
    def gap(self) -> float:
        """How far the two figures lie apart; words are the same or infinitely far apart."""
        if isinstance(self.left, str) or isinstance(self.right, str):
            return 0.0 if self.left == self.right else math.inf
        return abs(self.left - self.right)

    @property
    def holds(self) -> bool:
        """Whether they agree."""
        return self.gap <= self.tolerance


@dataclass(frozen=True)
class Check:
    """What must hold, the tables that it is about, and how it is compared in these."""

    what: str
    reads: tuple[str, ...]
    compare: Callable[..., Iterator[Comparison]]


def run(tables: Mapping[str, pd.DataFrame], touched: Container[str] | None = None) -> pd.DataFrame:
    """Every check on the cleaned tables: name, what is compared, how often, largest gap, verdict.

    Where only some tables were `touched` since all checks held, those that read none of them are left out.
    Raises InputError for the first comparison that fails without being declared, and for the first
    declaration that nothing fails any more.
    """
    rows, used = [], set()
    asked = {
        name: check
        for name, check in CHECKS.items()
        if touched is None or any(table in touched for table in check.reads)
    }
    for name, check in asked.items():
        comparisons = list(check.compare(*(tables[table] for table in check.reads)))
        if not comparisons:
            raise InputError(f"check {name}", "finds nothing to compare", "Restore the rows that it looks at")
        failed = [comparison for comparison in comparisons if not comparison.holds]
        for comparison in failed:
            if not any(item.check == name and item.item == comparison.item for item in DECLARED):
                raise InputError(
                    sources.place(comparison.place),
                    f"{check.what}, but for {comparison.item} {_shown(comparison.left)} stands against "
                    f"{_shown(comparison.right)}",
                    "Compare both with their sources; if these disagree, declare it in src/anime_growth/checks.py",
                )
            used.add((name, comparison.item))
        rows.append(
            {
                "check": name,
                "what": check.what,
                "comparisons": len(comparisons),
                "largest_gap": round(max((comparison.gap for comparison in comparisons), default=0.0), 6),
                "declared_exceptions": len(failed),
                "reason": "; ".join(dict.fromkeys(item.reason for item in DECLARED if item.check == name)),
            }
        )
    stale = [item for item in DECLARED if item.check in asked and (item.check, item.item) not in used]
    if stale:
        raise InputError(
            f"check {stale[0].check}",
            f"the declared disagreement on {stale[0].item} is no longer there",
            "Delete its declaration in src/anime_growth/checks.py",
        )
    return pd.DataFrame(rows)


def _shown(side: float | str) -> str:
    return side if isinstance(side, str) else f"{side:,.6g}"


def _parts_add_up(name: str, editions: pd.DataFrame) -> Iterator[Comparison]:
    rows = {(row.edition_label, row.year, row.series): row for row in editions.itertuples()}
    for (label, year, series), total in sorted(rows.items()):
        overseas, domestic = (rows.get((label, year, part)) for part in ("overseas", "domestic"))
        if series == "total" and overseas and domestic:
            item, parts = f"{name} {year}, edition {label}", overseas.level_jpy_100m + domestic.level_jpy_100m
            yield Comparison(item, parts, total.level_jpy_100m, ROUNDING_JPY_100M, total.raw_cell)


def _below(item: str, part: float, whole: float, place: str) -> Comparison:
    return Comparison(item, max(part, whole), whole, 0.0, place)


def _parts_below_whole(
    market: pd.DataFrame, studio: pd.DataFrame, categories: pd.DataFrame, content: pd.DataFrame
) -> Iterator[Comparison]:
    latest = market.sort_values("edition").groupby(["series", "year"]).last()["level_jpy_100m"]
    for row in studio.itertuples():
        if (row.series, row.year) in latest.index:
            item = f"studio {row.series} {row.year}, edition {row.edition_label}, within the broad market"
            yield _below(item, row.level_jpy_100m, latest[row.series, row.year], row.raw_cell)
    for row in categories.dropna(subset="level_jpy_100m").itertuples():
        if row.category != "overseas" and ("domestic", row.year) in latest.index:
            item = f"category {row.category} {row.year}, edition {row.edition_label}, within the domestic market"
            yield _below(item, row.level_jpy_100m, latest["domestic", row.year], row.raw_cell)
    current = content[(content["scope"] == "current") & ~content["is_rounded"]]
    totals = current[current["sector"] == "total"].groupby("year")["level_jpy_100m"].max()
    for row in current[current["sector"] != "total"].itertuples():
        if row.year in totals.index:
            item = f"content {row.sector} {row.year}, within all content"
            yield _below(item, row.level_jpy_100m, totals[row.year], row.raw_cell)


def _transcription(market: pd.DataFrame) -> Iterator[Comparison]:
    """Latest edition against the newest other edition of each year, for rows marked as confirmed.

    An edition older than the newest one is left out: later editions have restated it.
    """
    latest = clean.choose_edition(market, "latest")
    ours = market[(market["edition"] == latest) & market["is_main_edition"] & (market["confidence"] == "high")]
    others = market[(market["edition"] < latest) & (market["confidence"] == "high")]
    newest = others[others["edition"] == others.groupby("year")["edition"].transform("max")]
    for row in ours.merge(newest, on=["series", "year"], suffixes=("", "_other")).itertuples():
        item = f"{row.series} {row.year}, edition {row.edition_label_other}"
        yield Comparison(item, row.level_jpy_100m, row.level_jpy_100m_other, 0.0, row.raw_cell)


def _summary_levels(market: pd.DataFrame, summary: pd.DataFrame) -> Iterator[Comparison]:
    main = market[market["is_main_edition"]].set_index(["edition", "series", "year"])["level_jpy_100m"]
    for row in summary.itertuples():
        for series in ("overseas", "domestic", "total"):
            place = f"{row.raw_row}#broad_{series}"
            item = f"{series} {row.year}, edition {row.edition}"
            printed = getattr(row, f"{series}_jpy_100m")
            found = main.get((row.edition, series, row.year), float("nan"))
            if pd.isna(found):
                raise InputError(
                    sources.place(place),
                    f"is in the summary, but the table of editions has no {item}",
                    "Restore the missing row",
                )
            yield Comparison(item, printed, found, 0.0, place)


def _summary_growth(summary: pd.DataFrame) -> Iterator[Comparison]:
    by_year = summary.set_index("year")
    for row in summary.itertuples():
        place = f"{row.raw_row}#overseas_share_pct"
        share = row.overseas_jpy_100m / row.total_jpy_100m * 100
        yield Comparison(f"overseas share {row.year}", row.overseas_share_pct, share, ROUNDING_PCT, place)
        for series in ("overseas", "domestic", "total"):
            printed = getattr(row, f"{series}_growth_pct")
            if pd.notna(printed) and row.year - 1 in by_year.index:
                column = f"{series}_jpy_100m"
                growth = (by_year.loc[row.year, column] / by_year.loc[row.year - 1, column] - 1) * 100
                place = f"{row.raw_row}#{series}_growth_pct"
                yield Comparison(f"{series} growth {row.year}", printed, growth, ROUNDING_PCT, place)


def _category_growth(categories: pd.DataFrame) -> Iterator[Comparison]:
    """Levels printed for both years by the same edition, where the growth is printed as well."""
    levels = categories.dropna(subset="level_jpy_100m").set_index(["edition", "category", "year"])["level_jpy_100m"]
    levels = levels[~levels.index.duplicated()]
    printed = categories.dropna(subset=["growth_pct", "level_jpy_100m"])
    for row in printed[~printed["is_derived"]].itertuples():
        for edition in (row.edition, row.edition - 1):
            before = levels.get((edition, row.category, row.year - 1))
            if before is not None:
                growth = (row.level_jpy_100m / before - 1) * 100
                digits_pct = 0.05 + 0.5 / before * 100 * (1 + growth / 100)
                item = f"{row.category} {row.year}, edition {row.edition} on {edition}"
                place = row.raw_cell.replace("#value", "#yoy_ratio_pct")
                yield Comparison(item, row.growth_pct, growth, digits_pct, place)
                break


def _categories_add_up(categories: pd.DataFrame, market: pd.DataFrame) -> Iterator[Comparison]:
    totals = market[(market["series"] == "total") & market["is_main_edition"]]
    totals = totals.set_index(["edition", "year"])["level_jpy_100m"]
    for (edition, year), rows in categories.dropna(subset="level_jpy_100m").groupby(["edition", "year"]):
        if len(rows) == 9 and (edition, year) in totals.index:
            place = rows["raw_cell"].iloc[0]
            item = f"nine categories {year}, edition {edition}"
            yield Comparison(item, rows["level_jpy_100m"].sum(), totals[edition, year], ROUNDING_JPY_100M, place)


def _units(*tables: pd.DataFrame) -> Iterator[Comparison]:
    for (column, expected), table in zip(UNITS_OF.values(), tables, strict=True):
        for row in table.to_dict("records"):
            if row[column] in expected:
                item = f"{row[column]}, {row.get('date') or row['year']},"
                place = row["raw_cell"].replace("#value", "#unit")
                yield Comparison(item, row["unit"], expected[row[column]].name, 0.0, place)


def _derived(*tables: pd.DataFrame) -> Iterator[Comparison]:
    for name, table in zip(HAVE_DERIVED, tables, strict=True):
        column, tolerance = ("value", 0.05) if name == "market_cap" else ("level_jpy_100m", ROUNDING_JPY_100M)
        for _, row in table[table["is_derived"]].iterrows():
            result = expressions.stated_arithmetic(row["derivation"])
            if result is not None:
                item = f"{name}, {row['derivation']}"
                yield Comparison(item, row[column], result, tolerance, row["raw_cell"])


def _studio_editions(studio: pd.DataFrame) -> Iterator[Comparison]:
    """For each year and series, every reading against the most trusted one."""
    for (series, year), rows in studio.groupby(["series", "year"]):
        if len(rows) == 1:
            continue  # nothing to meet, and ranking readings is slow
        first = clean.preferred(rows)
        for _, row in rows.drop(index=first.name).iterrows():
            # A level derived from a growth with one decimal is known to half a unit of that decimal.
            tolerance = max(ROUNDING_JPY_100M, 0.0005 * first["level_jpy_100m"])
            yield Comparison(
                f"studio {series} {year}, edition {row['edition']}",
                row["level_jpy_100m"],
                first["level_jpy_100m"],
                tolerance,
                row["raw_cell"],
            )


def _rates(rates: pd.DataFrame) -> Iterator[Comparison]:
    whole = rates[~rates["is_partial_year"]]
    recommended = whole[whole["is_recommended"]].set_index("year")["usdjpy"]
    for row in whole[~whole["is_recommended"]].itertuples():
        if row.year in recommended.index:
            reference = recommended[row.year]
            tolerance = reference * RATE_SPREAD_PCT / 100
            yield Comparison(f"{row.method} {row.year}", row.usdjpy, reference, tolerance, row.raw_cell)


def _rate_steps(rates: pd.DataFrame) -> Iterator[Comparison]:
    rows = rates[rates["is_recommended"]].set_index("year")
    for year, row in rows.iterrows():
        if year - 1 in rows.index:
            before = rows.loc[year - 1, "usdjpy"]
            yield Comparison(f"rate {year}", row["usdjpy"], before, before * RATE_STEP_PCT / 100, row["raw_cell"])


def _spot(rates: pd.DataFrame, spot: pd.DataFrame) -> Iterator[Comparison]:
    averages = rates[rates["is_recommended"]].set_index("year")["usdjpy"]
    for row in spot.itertuples():
        average = averages.get(int(row.date[:4]))
        if average is not None:
            yield Comparison(f"rate of {row.date}", row.usdjpy, average, average * RATE_STEP_PCT / 100, row.raw_cell)


def _prices(prices: pd.DataFrame) -> Iterator[Comparison]:
    index = prices[prices["series"] == "all_items_index_2020_100"].set_index("year")
    inflation = prices[prices["series"] == "all_items_inflation"].set_index("year")["value"]
    for year, row in index.iterrows():
        if year - 1 in index.index and year in inflation.index:
            chained = index.loc[year - 1, "value"] * (1 + inflation[year] / 100)
            tolerance = chained * PRICE_SPREAD_PCT / 100
            yield Comparison(f"price index {year}", row["value"], chained, tolerance, row["raw_cell"])


# What each check reads is all that it sees; in their order the first that fails is told.
CHECKS = {
    "market_parts_add_up": Check(
        "overseas and domestic must add up to the total of the same edition (most totals of the latest one "
        "are the collector's own sums)",
        ("market_editions",),
        partial(_parts_add_up, "market"),
    ),
    "studio_parts_add_up": Check(
        "overseas and domestic receipts must add up to the total of the same edition",
        ("studio_editions",),
        partial(_parts_add_up, "studio"),
    ),
    "parts_below_whole": Check(
        "no part may exceed its whole",
        ("market_editions", "studio_editions", "categories", "content_exports"),
        _parts_below_whole,
    ),
    "transcription_agrees": Check(
        "the latest edition as transcribed must repeat the last value printed elsewhere for the years "
        "whose rows are marked as confirmed",
        ("market_editions",),
        _transcription,
    ),
    "summary_agrees": Check(
        "the collector's summary must repeat the rows of its edition",
        ("market_editions", "market_printed"),
        _summary_levels,
    ),
    "summary_growth_agrees": Check(
        "growth and shares in the collector's summary must follow from its levels within rounding",
        ("market_printed",),
        _summary_growth,
    ),
    "category_growth_agrees": Check(
        "a category's printed growth must follow from levels of the editions it names",
        ("categories",),
        _category_growth,
    ),
    "categories_add_up": Check(
        "where all nine categories of a year are printed, they must add up to the total",
        ("categories", "market_editions"),
        _categories_add_up,
    ),
    "units_fit_measures": Check("a figure's unit must be that of its measure", tuple(UNITS_OF), _units),
    "derived_rows_recompute": Check(
        "a derived figure must follow from its stated arithmetic",
        HAVE_DERIVED,
        _derived,
    ),
    "studio_readings_agree": Check(
        "every reading of a studio figure must meet its most trusted reading",
        ("studio_editions",),
        _studio_editions,
    ),
    "exchange_rates_move_little": Check(
        f"a year's exchange rate must lie within {RATE_STEP_PCT} % of the year before",
        ("exchange_rates",),
        _rate_steps,
    ),
    "spot_rates_near_average": Check(
        f"a single day's exchange rate must lie within {RATE_STEP_PCT} % of its year's average",
        ("exchange_rates", "spot_rates"),
        _spot,
    ),
    "exchange_rates_agree": Check(
        f"the averages of one year's exchange rate must agree within {RATE_SPREAD_PCT} %",
        ("exchange_rates",),
        _rates,
    ),
    "price_index_chains": Check(
        "the price index must follow from the printed inflation",
        ("consumer_prices",),
        _prices,
    ),
}
