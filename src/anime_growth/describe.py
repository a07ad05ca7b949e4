"""What the market did, as quantities: one function for each group of tidy tables."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd

from anime_growth import cells, clean, units
from anime_growth.arithmetic import (
    cagr_pct,
    contribution_pct,
    contribution_points,
    difference,
    growth_pct,
    jpy_100m,
    lead_change,
    log_change,
    median,
    product,
    rank_from_top,
    ratio,
    real_level,
    scaled_cagr_pct,
    scaled_ratio,
    share_pct,
    usd_bn,
)
from anime_growth.errors import InputError
from anime_growth.languages import say
from anime_growth.quantities import SERIES_WORDS, Quantities, series_words
from anime_growth.words import CARDINALS


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def describe(tables: Mapping[str, pd.DataFrame], call: Callable[..., Any] = _called) -> Quantities:
    """Everything that the tidy tables say by themselves, as notebook 1 saves it.

    `tables` are clean.clean_all's with the `market` of one edition. `call(function, *arguments)` makes the
    calls, for whom wants to remember what they gave.
    """
    market, content = tables["market"], tables["content_exports"]
    broad = call(describe_market, market, tables["breaks"])
    studio = call(describe_studio, tables["studio_editions"])
    exports = call(describe_content, content, broad)
    return call(
        Quantities.joined,
        broad,
        studio,
        call(describe_gap, broad, studio),
        call(describe_categories, tables["categories"]),
        exports,
        call(describe_market_cap, tables["market_cap"]),
        call(describe_rates, tables["exchange_rates"], tables["spot_rates"]),
        call(describe_levels, tables["series_levels"], broad),
        call(describe_targets, tables["targets"], content, call(Quantities.joined, broad, exports)),
    )


def describe_market(market: pd.DataFrame, breaks: pd.DataFrame) -> Quantities:
    """Levels, growth, ranks, shares, contributions, leads and the split by currency and prices.

    `market` is clean.market's table of one edition, `breaks` the register; growth into a year that
    a scope or method change marks carries the note's id as a caveat. Only years that the edition
    prints enter, and growth needs both years from that edition.
    """
    q = Quantities(str(market["edition"].iloc[0]))
    for row in market.drop_duplicates("year").sort_values("year").itertuples():
        _observe_rate_and_price(q, row)
    for series, rows in market.groupby("series"):
        _levels(q, f"market.{series}", rows)
    years = {series: list(rows["year"]) for series, rows in market.groupby("series")}
    marked = breaks[breaks["marks_growth"].astype(bool)]
    for series in years:
        name = f"market.{series}"
        notes = {int(row.year): str(row.note_id) for row in marked[marked["series"] == name].itertuples()}
        _growth(q, name, years[series], notes)
    both = sorted(set(years.get("overseas", [])) & set(years.get("domestic", [])) & set(years.get("total", [])))
    _composition(q, both)
    _split(q, "market.overseas", years["overseas"])
    return q


def _observe_rate_and_price(q: Quantities, row: Any) -> None:
    label = f"yen per US dollar, average of {row.year}"
    q.observe(f"fx.usdjpy.level.{row.year}", row.usdjpy, units.RATE, label, row.rate_cell, edition="")
    label = f"consumer prices in Japan, {row.year}"
    q.observe(f"price.cpi.level.{row.year}", row.cpi_2020_100, units.INDEX, label, row.price_cell, edition="")


def _levels(q: Quantities, name: str, rows: pd.DataFrame) -> None:
    words = SERIES_WORDS[name]
    for row in rows.itertuples():
        level, year = f"{name}.level.{row.year}", row.year
        q.observe(
            level, row.level_jpy_100m, units.JPY_100M, f"{words}, {year}", row.raw_cell, row.confidence,
            derivation=row.derivation,
        )  # fmt: skip
        rate, price = f"fx.usdjpy.level.{year}", f"price.cpi.level.{year}"
        label = f"{words}, {year}, at the year's average exchange rate"
        q.compute(f"{name}.level_usd.{year}", usd_bn, [level, rate], units.USD_BN, label)
        label = f"{words}, {year}, in prices of 2020"
        q.compute(f"{name}.level_real.{year}", real_level, [level, price], units.JPY_100M, label)
    years = list(rows["year"])
    for measure, said in (("level", ""), ("level_usd", ", in dollars"), ("level_real", ", in prices of 2020")):
        for year in years:
            own = f"{name}.{measure}.{year}"
            others = [f"{name}.{measure}.{other}" for other in years if other != year]
            label = f"rank of the {words} of {year} among {len(years)} years{said}"
            q.compute(f"{name}.{measure}_rank.{year}", rank_from_top, [own, *others], units.RANK, label)


# Growth by what it is measured in: its name in keys, the level it is of, and how it is told.
GROWTH_MEASURES = (
    ("growth", "level", "in yen"),
    ("growth_usd", "level_usd", "in dollars"),
    ("growth_real", "level_real", "after consumer prices"),
)


def _growth(q: Quantities, name: str, years: list[int], notes: dict[int, str]) -> None:
    words = SERIES_WORDS[name]
    grown = [year for year in years if year - 1 in years]
    for year in grown:
        caveats = (notes[year],) if year in notes else ()
        for measure, level, said in GROWTH_MEASURES:
            pair = [f"{name}.{level}.{year}", f"{name}.{level}.{year - 1}"]
            label = f"growth of the {words} in {year}, {said}"
            q.compute(f"{name}.{measure}.{year}", growth_pct, pair, units.PERCENT, label, caveats=caveats)
    for measure, _, said in GROWTH_MEASURES:
        for year in grown:
            own = f"{name}.{measure}.{year}"
            others = [f"{name}.{measure}.{other}" for other in grown if other != year]
            label = f"rank of {year} among {len(grown)} years of growth of the {words}, {said}"
            q.compute(f"{name}.{measure}_rank.{year}", rank_from_top, [own, *others], units.RANK, label)
    runs = contiguous(years)
    if runs and len(runs[-1]) > 1:
        first, last = runs[-1][0], runs[-1][-1]
        starts = [start for start in dict.fromkeys((first, *_turning_points(q, name, runs[-1]))) if start < last]
        for start in starts:
            pair = [f"{name}.level.{last}", f"{name}.level.{start}"]
            label = f"{words}, {last} over {start}"
            q.compute(f"{name}.multiple.{start}-{last}", ratio, pair, units.MULTIPLE, label)
        for measure, level, said in GROWTH_MEASURES:
            for start in starts:
                key = f"{name}.{measure.replace('growth', 'cagr')}.{start}-{last}"
                pair = [f"{name}.{level}.{last}", f"{name}.{level}.{start}"]
                label = f"growth a year of the {words} from {start} to {last}, {said}"
                q.compute(key, partial(cagr_pct, years=last - start), pair, units.PERCENT_A_YEAR, label)


def growth_table(q: Quantities, name: str) -> pd.DataFrame:
    """Growth of every year [%] in yen, dollars and after prices with its ranks, and its notes; fastest first."""
    prefix = f"{name}.growth."
    rows = []
    for key in [key for key in q if key.startswith(prefix)]:
        year = key[len(prefix) :]
        row: dict[str, Any] = {"year": int(year)}
        for measure in ("growth", "growth_usd", "growth_real"):
            row[f"{measure}_pct"] = q[f"{name}.{measure}.{year}"].value
            row[f"{measure}_rank"] = round(q[f"{name}.{measure}_rank.{year}"].value)
        row["notes"] = ", ".join(caveat for caveat in q[key].caveats if caveat != "derived")
        rows.append(row)
    return pd.DataFrame(rows).sort_values("growth_rank", ignore_index=True) if rows else pd.DataFrame()


def contiguous(years: Iterable[int]) -> list[list[int]]:
    """Years cut into runs without a gap.

    >>> contiguous([2013, 2022, 2023])
    [[2013], [2022, 2023]]
    """
    runs: list[list[int]] = []
    for year in sorted(years):
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return runs


def in_spans(years: Iterable[int]) -> list[str]:
    """Years in words, three and more running years as a span.

    >>> in_spans([2011, 2012, 2013, 2015, 2016])
    ['2011 to 2013', '2015', '2016']
    """
    told: list[str] = []
    for run in contiguous(years):
        is_span = len(run) > 2
        alone = [say("{year}", year=year) for year in run]
        told += [say("{first} to {last}", first=run[0], last=run[-1])] if is_span else alone
    return told


def _turning_points(q: Quantities, name: str, years: list[int]) -> list[int]:
    """Starts of the periods worth a growth rate: the lowest year, and two years before the last."""
    trough = min(years, key=lambda year: q[f"{name}.level.{year}"].value)
    return [trough, *([years[-1] - 2] if years[-1] - 2 in years else [])]


def _composition(q: Quantities, years: list[int]) -> None:
    for year in years:
        parts = {series: f"market.{series}.level.{year}" for series in ("overseas", "domestic", "total")}
        for series in ("overseas", "domestic"):
            label = f"share of the {SERIES_WORDS[f'market.{series}']} in the whole market, {year}"
            inputs = [parts[series], parts["total"]]
            q.compute(f"market.{series}.share.{year}", share_pct, inputs, units.PERCENT, label)
        label = f"overseas minus domestic, {year}"
        q.compute(
            f"market.overseas.lead.{year}", difference, [parts["overseas"], parts["domestic"]], units.JPY_100M, label
        )
        if year - 1 not in years:
            continue
        for series in ("overseas", "domestic"):
            name = f"market.{series}"
            pair = [f"{name}.level.{year}", f"{name}.level.{year - 1}"]
            whole = [f"market.total.level.{year}", f"market.total.level.{year - 1}"]
            label = f"points that the {SERIES_WORDS[name]} added to growth of the whole in {year}"
            q.compute(
                f"{name}.contribution_points.{year}", contribution_points, [*pair, whole[1]], units.PERCENT, label
            )
            if q[whole[0]].value != q[whole[1]].value:
                label = f"part of the change of the whole market in {year} that was the {SERIES_WORDS[name]}"
                q.compute(f"{name}.contribution.{year}", contribution_pct, [*pair, *whole], units.PERCENT, label)
    _lead_changes(q, years)


def _lead_changes(q: Quantities, years: list[int]) -> None:
    """Years in which overseas passed domestic or fell behind again; 1 took the lead, -1 lost it."""
    leads = {year: q[f"market.overseas.lead.{year}"].value > 0 for year in years}
    for before, year in pairwise(years):
        if year == before + 1 and leads[year] != leads[before]:
            inputs = [f"market.overseas.lead.{year}", f"market.overseas.lead.{before}"]
            label = f"overseas {'took' if leads[year] else 'lost'} the lead over domestic in {year} (1 took, -1 lost)"
            q.compute(f"market.overseas.lead_change.{year}", lead_change, inputs, units.COUNT, label)
    ahead = [year for year in years if leads[year]]
    if ahead and ahead[0] - 1 in years:
        keys = [f"market.overseas.lead.{year}" for year in years]
        label = f"first year from {years[0]} to {years[-1]} in which overseas exceeded domestic"
        q.record(
            f"market.overseas.first_lead.{years[0]}-{years[-1]}", ahead[0], units.YEAR, label,
            "anime_growth.describe.describe_market: first positive lead", keys,
        )  # fmt: skip


def _split(q: Quantities, name: str, years: list[int]) -> None:
    """ln(yen growth) = ln(dollar growth) + ln(rate change), and the same with prices."""
    run = contiguous(years)[-1]
    if len(run) < 2:
        return
    last = run[-1]
    trough = min(run, key=lambda year: q[f"{name}.level.{year}"].value)
    label = f"lowest year of the {SERIES_WORDS[name]} from {run[0]} to {last}"
    inputs = [f"{name}.level.{year}" for year in run]
    method = "anime_growth.describe.describe_market: year of the lowest level"
    q.record(f"{name}.trough.{run[0]}-{last}", trough, units.YEAR, label, method, inputs)
    starts = [run[0], *_turning_points(q, name, run)]
    spans = [(start, last, f"{start}-{last}") for start in dict.fromkeys(starts) if start < last]
    spans += [(year - 1, year, str(year)) for year in run[1:]]
    for start, end, period in spans:
        for measure, level, said in (
            ("log_growth", f"{name}.level", f"{SERIES_WORDS[name]} in yen"),
            ("log_growth_usd", f"{name}.level_usd", f"{SERIES_WORDS[name]} in dollars"),
            ("log_growth_real", f"{name}.level_real", f"{SERIES_WORDS[name]} after consumer prices"),
            ("log_rate", "fx.usdjpy.level", "yen per dollar"),
            ("log_price", "price.cpi.level", "consumer prices"),
        ):
            label = f"log change of {said}, {period}"
            pair = [f"{level}.{end}", f"{level}.{start}"]
            q.compute(f"{name}.{measure}.{period}", log_change, pair, units.POINTS, label)
        if q[f"{name}.log_growth.{period}"].value > 0:
            for measure, part, said in (
                ("rate_share", "log_rate", "the weaker or stronger yen"),
                ("price_share", "log_price", "consumer prices"),
            ):
                label = f"part of the log growth in yen, {period}, that is {said}"
                inputs = [f"{name}.{part}.{period}", f"{name}.log_growth.{period}"]
                q.compute(f"{name}.{measure}.{period}", share_pct, inputs, units.PERCENT, label)


def describe_studio(studio_editions: pd.DataFrame) -> Quantities:
    """What studios receive: the most trusted level of each year, growth inside single editions.

    Most overseas receipts before 2023 are machine-read and of low confidence; they are carried for
    exploration and must not stand in a headline.
    """
    q = Quantities()
    for (series, year), rows in studio_editions.groupby(["series", "year"]):
        row = clean.preferred(rows)
        name = f"studio.{series}"
        label = f"{SERIES_WORDS[name]}, {year}"
        edition = str(row["edition"])
        q.observe(
            f"{name}.level.{year}", row["level_jpy_100m"], units.JPY_100M, label, row["raw_cell"],
            row["confidence"], (), edition, row["derivation"],
        )  # fmt: skip
    _studio_growth(q, studio_editions)
    for year in sorted({int(key.rsplit(".", 1)[1]) for key in q}):
        pair = [f"studio.overseas.level.{year}", f"studio.total.level.{year}"]
        if all(key in q for key in pair) and q[pair[0]].edition == q[pair[1]].edition:
            label = f"share of overseas in studios' receipts, {year}"
            q.compute(f"studio.overseas.share.{year}", share_pct, pair, units.PERCENT, label)
    totals = [key for key in q if key.startswith("studio.total.level.") and key.count(".") == 3]
    for key in totals:
        label = f"rank of studios' receipts of {key.rsplit('.', 1)[1]} among the {len(totals)} years at hand"
        others = [other for other in totals if other != key]
        q.compute(key.replace(".level.", ".level_rank."), rank_from_top, [key, *others], units.RANK, label)
    return q


def _studio_growth(q: Quantities, editions: pd.DataFrame) -> None:
    for series, rows in editions.groupby("series"):
        name = f"studio.{series}"
        printed = [{row["year"]: row for row in same.to_dict("records")} for _, same in rows.groupby("edition_label")]
        for year in sorted(set(rows["year"])):
            best: tuple[int, dict[Hashable, Any], dict[Hashable, Any]] | None = None
            for by_year in printed:
                if year in by_year and year - 1 in by_year:
                    now, before = by_year[year], by_year[year - 1]
                    trust = min(cells.CONFIDENCE.index(now["confidence"]), cells.CONFIDENCE.index(before["confidence"]))
                    if best is None or trust > best[0]:
                        best = (trust, now, before)
            if best is None:
                continue
            pair = []
            for when, row in ((year, best[1]), (year - 1, best[2])):
                key = f"{name}.level.{when}"
                if q[key].inputs != (row["raw_cell"],):
                    slug = re.sub(r"[^a-z0-9]+", "_", row["edition_label"].lower()).strip("_")
                    key = f"{name}.level.edition_{slug}.{when}"
                    if key not in q:
                        label = f"{SERIES_WORDS[name]}, {when}, edition {row['edition_label']}"
                        q.observe(
                            key, row["level_jpy_100m"], units.JPY_100M, label, row["raw_cell"], row["confidence"],
                            (), str(row["edition"]), row["derivation"],
                        )  # fmt: skip
                pair.append(key)
            q.compute(
                f"{name}.growth.{year}", growth_pct, pair, units.PERCENT,
                f"growth of {SERIES_WORDS[name]} in {year}",
            )  # fmt: skip


def describe_gap(market: Quantities, studio: Quantities) -> Quantities:
    """Studios' receipts in dollars, and the broad market over them: how much larger the headline is."""
    both = market.joined(studio)
    out = Quantities()
    for series in ("overseas", "total"):
        for key in [key for key in studio if key.startswith(f"studio.{series}.level.") and key.count(".") == 3]:
            year = key.rsplit(".", 1)[1]
            rate = f"fx.usdjpy.level.{year}"
            if rate in market:
                label = f"{SERIES_WORDS[f'studio.{series}']}, {year}, at the year's average exchange rate"
                both.compute(f"studio.{series}.level_usd.{year}", usd_bn, [key, rate], units.USD_BN, label)
                out._add(both[f"studio.{series}.level_usd.{year}"])
            broad = f"market.{series}.level.{year}"
            if broad in market:
                label = f"broad {series} market over studios' {series} receipts, {year}"
                both.compute(f"market.{series}.over_studio.{year}", ratio, [broad, key], units.RATIO, label, digits=1)
                out._add(both[f"market.{series}.over_studio.{year}"])
    return out


OVER_STUDIO = "market.overseas.over_studio."


def describe_estimate(known: Quantities, breaks: pd.DataFrame) -> Quantities:
    """EXPLORATORY: what if the broad overseas figure were studios' receipts times a constant?

    The ratio's median before the first change of method that the register names for overseas revenue,
    what the headline would be at that ratio since, what of its growth receipts do not show, growth of
    receipts inside one edition, and how many years rest on rows of low confidence. No headline uses it.
    """
    q = Quantities(items=known.values())
    years = sorted(int(key.removeprefix(OVER_STUDIO)) for key in known if key.startswith(OVER_STUDIO))
    changed = breaks[(breaks["series"] == "market.overseas") & (breaks["kind"] == "method")]["year"].dropna()
    since = int(changed.min()) if len(changed) else 0
    before = [year for year in years if year < since]
    if len(before) < 3:
        return Quantities()
    ratios = [f"{OVER_STUDIO}{year}" for year in before]
    span, said = f"{before[0]}-{before[-1]}", "exploratory, if the headline were receipts times a constant"
    middle = f"market.overseas.over_studio_median.{span}"
    label = f"broad overseas market over studios' overseas receipts, median of {span}"
    q.compute(middle, median, ratios, units.RATIO, label)
    unsure = sum(known[f"studio.overseas.level.{year}"].confidence == "low" for year in years)
    label = f"years of {years[0]}-{years[-1]} whose receipts are machine-read and not confirmed"
    levels = [f"studio.overseas.level.{year}" for year in years]
    method = "anime_growth.describe.describe_estimate: rows of low confidence"
    q.record(f"studio.overseas.unconfirmed.{years[0]}-{years[-1]}", unsure, units.COUNT, label, method, levels)
    for year in [year for year in years if year >= since]:
        pair = [f"studio.overseas.level.{year}", middle]
        label = f"overseas anime market of {year} at the ratio of {span}; {said}"
        q.compute(f"market.overseas.level_at_old_ratio.{year}", product, pair, units.JPY_100M, label)
        pair = [f"{OVER_STUDIO}{year}", middle]
        label = f"log growth of the headline up to {year} that receipts do not show; {said}"
        q.compute(f"market.overseas.log_beyond_receipts.{year}", log_change, pair, units.POINTS, label)
        pair = [f"market.overseas.growth.{year}", f"studio.overseas.growth.{year}"]
        if all(key in known for key in pair):
            label = f"growth of the broad overseas market minus growth of studios' receipts, {year}, percentage points"
            q.compute(f"market.overseas.growth_beyond_receipts.{year}", difference, pair, units.PERCENT, label)
    listed = sorted(int(key.rsplit(".", 1)[1]) for key in known if key.startswith("studio.overseas.level.series."))
    if len(listed) > 1:
        first, last = listed[0], listed[-1]
        pair = [f"studio.overseas.level.series.{last}", f"studio.overseas.level.series.{first}"]
        growth = partial(cagr_pct, years=last - first)
        label = f"growth a year of studios' overseas receipts from {first} to {last}, one list, exploratory"
        q.compute(f"studio.overseas.cagr.{first}-{last}", growth, pair, units.PERCENT_A_YEAR, label)
        pair = [f"market.overseas.level.{last}", f"market.overseas.level.{first}"]
        key = f"market.overseas.cagr.{first}-{last}"
        if all(level in known for level in pair) and key not in known:
            label = f"growth a year of the {SERIES_WORDS['market.overseas']} from {first} to {last}"
            q.compute(key, growth, pair, units.PERCENT_A_YEAR, label)
    return Quantities(items=[item for key, item in q.items() if key not in known])


def estimate_table(known: Quantities) -> pd.DataFrame:
    """Year by year: broad overseas market and studios' receipts [JPY 100m], their ratio, how sure receipts are."""
    rows = [
        {
            "year": int(key.removeprefix(OVER_STUDIO)),
            "market_jpy_100m": known[item.inputs[0]].value,
            "receipts_jpy_100m": known[item.inputs[1]].value,
            "ratio": item.value,
            "receipts_confidence": known[item.inputs[1]].confidence,
        }
        for key, item in known.items()
        if key.startswith(OVER_STUDIO)
    ]
    return pd.DataFrame(rows).sort_values("year", ignore_index=True) if rows else pd.DataFrame()


def describe_categories(categories: pd.DataFrame) -> Quantities:
    """Categories of the market: levels of each edition, growth where one edition prints both years."""
    q = Quantities()
    levels = categories.dropna(subset="level_jpy_100m")
    for (category, year), rows in levels.groupby(["category", "year"]):
        row = rows.sort_values(["edition", "is_derived"], ascending=[True, False]).iloc[-1]
        label = f"category {str(category).replace('_', ' ')}, {year}"
        q.observe(
            f"category.{category}.level.{year}", row["level_jpy_100m"], units.JPY_100M, label, row["raw_cell"],
            "medium" if row["is_derived"] else "high", (), str(row["edition"]), row["derivation"],
        )  # fmt: skip
    for key in list(q):
        name, year = key.split(".")[1], int(key.rsplit(".", 1)[1])
        before = f"category.{name}.level.{year - 1}"
        if before in q and q[before].edition == q[key].edition:
            label = f"growth of category {name.replace('_', ' ')} in {year}"
            q.compute(f"category.{name}.growth.{year}", growth_pct, [key, before], units.PERCENT, label)
    return q


def describe_levels(series_levels: pd.DataFrame, known: Quantities) -> Quantities:
    """Every further series as models may see it: one edition or scope, in yen, dollars and prices of 2020.

    Keys `<series>.level.series.<year>`, with `level_usd` and `level_real` where the rate and price of
    the year are in `known`. Counts have a level only. Source: clean.level_series.
    """
    q = Quantities(items=known.values())
    for row in series_levels.itertuples():
        unit = units.UNITS[row.unit]
        said = f"{series_words(row.series)}, {row.year}, {row.edition_label}"
        native = "level_usd" if unit is units.USD_BN else "level"
        key = {measure: f"{row.series}.{measure}.series.{row.year}" for measure in ("level", "level_usd", "level_real")}
        caveats = ("releases",) if row.series.startswith("content.") else ()
        q.observe(
            key[native], row.level, unit, said, row.raw_cell, row.confidence, caveats, row.edition_label,
            row.derivation,
        )  # fmt: skip
        rate, price = f"fx.usdjpy.level.{row.year}", f"price.cpi.level.{row.year}"
        at_rate = f"{said}, at the year's average exchange rate"
        if rate in known and unit is units.USD_BN:
            q.compute(key["level"], jpy_100m, [key["level_usd"], rate], units.JPY_100M, at_rate)
        elif rate in known and unit is units.JPY_100M:
            q.compute(key["level_usd"], usd_bn, [key["level"], rate], units.USD_BN, at_rate)
        if price in known and key["level"] in q and unit is not units.COUNT:
            label = f"{said}, in prices of 2020"
            q.compute(key["level_real"], real_level, [key["level"], price], units.JPY_100M, label)
    return Quantities(items=[item for key, item in q.items() if key not in known])


def describe_content(content: pd.DataFrame, market: Quantities) -> Quantities:
    """Overseas sales of all content in its current scope, the old scope beside it, and anime's part.

    Exports of goods, which the sources set beside them, stand under `exports.<good>`.

    Growth compares the releases of two years (there is no series in one release), in one scope.
    """
    q = Quantities()
    for scope, variant in (("current", ""), ("old", ".old_scope")):
        rows = content[content["scope"] == scope]
        for (sector, year), readings in rows.groupby(["sector", "year"]):
            row = readings.sort_values(["is_rounded", "is_derived"], ascending=False, kind="stable").iloc[-1]
            label = f"overseas sales of content, {str(sector).replace('_', ' ')}, {year}, {scope} scope"
            q.observe(
                f"content.{sector}.level{variant}.{year}", row["level_jpy_100m"], units.JPY_100M, label,
                row["raw_cell"], "medium" if row["is_derived"] or row["is_rounded"] else "high",
                ("rounded",) if row["is_rounded"] else (), row["release"], row["derivation"],
            )  # fmt: skip
    for row in content[content["scope"] == "goods_exports"].itertuples():
        good = row.sector.removeprefix("comparator_")
        label = f"exports of {good.replace('_', ' ')} from Japan, {row.year}"
        q.observe(f"exports.{good}.level.{row.year}", row.level_jpy_100m, units.JPY_100M, label, row.raw_cell, "medium",
                  edition=row.release)  # fmt: skip
    years = sorted(int(key.rsplit(".", 1)[1]) for key in q if key.startswith("content.total.level.2"))
    for year in years:
        if year - 1 in years:
            pair = [f"content.total.level.{year}", f"content.total.level.{year - 1}"]
            label = f"growth of overseas sales of content in {year}, current scope, across two releases"
            q.compute(f"content.total.growth.{year}", growth_pct, pair, units.PERCENT, label, caveats=("releases",))
    joined = q.joined(market)
    out = Quantities(items=q.values())
    for year in years:
        if f"market.overseas.level.{year}" in market:
            pair = [f"market.overseas.level.{year}", f"content.total.level.{year}"]
            label = f"share of anime (AJA overseas) in overseas sales of content, {year}"
            joined.compute(f"content.anime.share.{year}", share_pct, pair, units.PERCENT, label)
            out._add(joined[f"content.anime.share.{year}"])
    return out


def describe_rates(rates: pd.DataFrame, spot: pd.DataFrame) -> Quantities:
    """Exchange rates beside the recommended annual average: other averages, and single days."""
    q = Quantities()
    for row in rates[~rates["is_recommended"] & ~rates["is_partial_year"]].itertuples():
        label = f"yen per US dollar, {row.year}, {row.method.replace('_', ' ')}"
        q.observe(f"fx.usdjpy.level.{row.method}.{row.year}", row.usdjpy, units.RATE, label, row.raw_cell)
    for row in spot.itertuples():
        q.observe(
            f"fx.usdjpy.spot.{row.date}", row.usdjpy, units.RATE, f"yen per US dollar on {row.date}", row.raw_cell
        )
    return q


MARKET_CAP_GROUPS = {
    "nine entertainment firms chosen by Nikkei": "entertainment_nine",
    "nine main automakers": "automakers_nine",
}


def describe_market_cap(market_cap: pd.DataFrame) -> Quantities:
    """Market value of the two groups of nine on the days at hand, and the gap between them.

    Also how many firms a group has by its name, which of them the excerpt at hand names, and the year
    since which the two groups can be compared at all.
    """
    q = Quantities()
    for row in market_cap.itertuples():
        if row.measure == "first crossover since":
            label = "year since which the two groups of nine can be compared"
            q.observe(f"market_cap.entertainment_nine.compared_since.{row.date}", row.value, units.YEAR, label,
                      row.raw_cell, "medium")  # fmt: skip
        elif row.measure.startswith("named in Nikkei excerpt"):
            slug = re.sub(r"[^a-z0-9]+", "_", row.entity.lower())
            label = f"{row.entity}: {row.measure} (1 is yes)"
            q.observe(f"market_cap.{slug}.named.{row.date}", row.value, units.COUNT, label, row.raw_cell, "medium")
    rows = market_cap[market_cap["entity"].isin(list(MARKET_CAP_GROUPS))]
    for row in rows[rows["measure"] == "combined market cap"].itertuples():
        name = MARKET_CAP_GROUPS[row.entity]
        number = next(word for word in row.entity.split() if word in CARDINALS)
        label = f"number of firms in the group that the source calls {row.entity}"
        q.observe(
            f"market_cap.{name}.firms.{row.date}", CARDINALS.index(number), units.COUNT, label,
            cells.address(row.raw_cell.split("#")[0], "entity"), "medium", how="as printed, in a word",
        )  # fmt: skip
        label = f"market value of {row.entity}, {row.date}"
        q.observe(
            f"market_cap.{name}.level.{row.date}", row.value, replace(units.JPY_TRN, digits=1), label, row.raw_cell,
            "medium", derivation=row.derivation,
        )  # fmt: skip
    for row in rows[rows["measure"] == "change since end-2024"].itertuples():
        label = f"change of market value of {row.entity} since the end of 2024, on {row.date}"
        key = f"market_cap.{MARKET_CAP_GROUPS[row.entity]}.growth.{row.date}"
        q.observe(key, row.value, replace(units.PERCENT, digits=0), label, row.raw_cell, "medium")
    for key in [key for key in q if key.startswith("market_cap.entertainment_nine.level")]:
        other, date = key.replace("entertainment", "automakers"), key.rsplit(".", 1)[1]
        label = f"nine entertainment firms minus nine automakers, market value on {date}"
        q.compute(
            f"market_cap.entertainment_nine.lead.{date}", difference, [key, other], units.JPY_TRN, label, digits=1
        )
    return q


# The target under study, by its id in targets.csv, and the interim one announced with it.
CONTENT_TARGETS = {"content_2033": "T04", "content_2028": "T05"}


def describe_targets(targets: pd.DataFrame, content: pd.DataFrame, known: Quantities) -> Quantities:
    """The multiple and the growth a year that each content target asks of each baseline.

    Baselines: the target's own (`from_own`), every content total at hand in the current scope
    (`from_<year>`), and the newest rounded value as printed (`from_rounded_<year>`) and as the article
    uses it, given to the year after (`from_rounded_<year>_as_<year + 1>`). Units: JPY trn; % a year.
    """
    q = Quantities(items=known.values())
    totals = [key for key in known if re.fullmatch(r"content\.total\.level\.\d{4}", key)]
    rounded = content[(content["scope"] == "rounded") & (content["sector"] == "total")]
    for row in rounded.sort_values("year").tail(1).itertuples():
        label = f"overseas sales of content, {row.year}, as rounded by {row.release}"
        key = f"content.total.level.rounded.{row.year}"
        q.observe(
            key, row.level_jpy_100m, units.JPY_100M, label, row.raw_cell, "medium", ("rounded",), row.release
        )  # fmt: skip
    for name, target_id in CONTENT_TARGETS.items():
        found = targets[targets["target_id"] == target_id]
        if found.empty:
            raise InputError(
                f"targets.csv, target {target_id}", "is missing", "Restore the row of the target under study"
            )
        row = found.iloc[0]
        year, base_year = int(row["target_year"]), int(row["baseline_year"])
        base = f"target.{name}"
        goal, own = f"{base}.level.{year}", f"{base}.baseline.{base_year}"
        label = f"target: {row['subject']}, {year}"
        q.observe(goal, row["high_jpy_trn"], replace(units.JPY_TRN, digits=0), label, f"{row['raw_row']}#value_high")
        label = f"baseline named with the target of {row['issuer']}, {base_year}"
        q.observe(
            own, row["baseline_jpy_trn"], replace(units.JPY_TRN, digits=1), label, f"{row['raw_row']}#baseline_value"
        )
        _ask(q, base, "own", goal, own, year - base_year, f"its own baseline of {base_year}")
        for key in totals:
            start = int(key.rsplit(".", 1)[1])
            _ask(q, base, str(start), goal, key, year - start, f"the total of {start}")
        for key in [key for key in q if key.startswith("content.total.level.rounded.")]:
            start = int(key.rsplit(".", 1)[1])
            _ask(q, base, f"rounded_{start}", goal, key, year - start, f"the rounded total of {start}")
            # The article gives the rounded value of a year to the year after: one year less to grow.
            words = f"the rounded total of {start}, taken for {start + 1}"
            _ask(q, base, f"rounded_{start}_as_{start + 1}", goal, key, year - start - 1, words)
    return Quantities(items=[item for key, item in q.items() if key not in known])


def _ask(q: Quantities, base: str, label: str, goal: str, baseline: str, years: int, words: str) -> None:
    """Multiple and growth a year from `baseline` to `goal`, both brought to JPY 100m first."""

    def in_100m(key: str) -> float:
        return units.convert(1.0, units.UNITS[q[key].unit], units.JPY_100M)

    scale = in_100m(goal) / in_100m(baseline)
    multiple = partial(scaled_ratio, scale=scale)
    growth = partial(scaled_cagr_pct, years=years, scale=scale)
    pair = [goal, baseline]
    q.compute(f"{base}.multiple.from_{label}", multiple, pair, units.MULTIPLE, f"target over {words}")
    if years > 0:
        key = f"{base}.required_growth.from_{label}"
        q.compute(key, growth, pair, units.PERCENT_A_YEAR, f"growth a year that the target asks of {words}")
