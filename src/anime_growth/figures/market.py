"""What the market did, and what is sold overseas: figures of notebook 2."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns

from anime_growth import units
from anime_growth.arithmetic import ratio
from anime_growth.describe import CONTENT_TARGETS, MARKET_CAP_GROUPS, contiguous
from anime_growth.figures.drawing import (
    CAP_GROUPS,
    COLUMNS,
    GREY,
    INK,
    LABEL,
    MEASURES,
    QUIET,
    SERIES,
    Drawing,
    Mark,
    by_year,
    canvas,
    direction,
    dots,
    end_labels,
    finish,
    label,
    light,
    log_axis,
    mark_target,
    mark_years,
    need,
    range_text,
    signed,
    signed_percent,
    stack,
    themed,
    tidy,
    trn,
    values_by_year,
    year_axis,
    year_line,
)
from anime_growth.languages import say
from anime_growth.quantities import Quantities, Quantity
from anime_growth.retelling import retold
from anime_growth.units import JPY_100M, JPY_BN, JPY_TRN, PERCENT, number_text
from anime_growth.words import capital, lead_changes, lead_story, listed, short_ordinal

# --- words ------------------------------------------------------------------------------------
SERIES_NAMES = {"overseas": "overseas", "domestic": "domestic", "total": "the whole market"}
KINDS = {
    "scope": "change of scope",
    "method": "change of method",
    "event": "one-off event",
    "currency": "exchange rate",
}
CATEGORY_NAMES = {"tv": "TV", "pachinko_amusement": "pachinko and amusement"}


def _edition(q: Quantities) -> str:
    """The edition that the market's levels come from."""
    return next((item.edition for key, item in q.items() if key.startswith("market.overseas.level.")), q.edition)


def _aja(edition: object) -> str:
    return say("AJA Anime Industry Report, {} edition").format(edition)


def _category(name: str) -> str:
    return say(CATEGORY_NAMES.get(name, name.replace("_", " ")))


def _break_marks(
    breaks: pd.DataFrame, series: Sequence[str], kinds: Sequence[str], years: pd.Series
) -> tuple[list[Mark], list[str]]:
    """Marks for the notes on `series` dated within `years`, and each note's first clause as the register words it."""
    rows = breaks[breaks["series"].isin(series) & breaks["kind"].isin(kinds) & breaks["year"].notna()]
    rows = rows[rows["year"].between(years.min(), years.max())].drop_duplicates(["note_id", "year"])
    inferred = rows["is_documented"].map({True: "", False: say(", inferred")})
    words = rows["note_id"] + " " + rows["kind"].map({kind: say(words) for kind, words in KINDS.items()}) + inferred
    marks = [(float(year), text, QUIET) for year, text in zip(rows["year"], words, strict=True)]
    first = (re.split(r"; | [(]|, i[.]e[.]|；|（|。", retold(finding))[0] for finding in rows["finding"])
    clauses = [
        say("{note}: {clause}.", note=note, clause=clause) for note, clause in zip(rows["note_id"], first, strict=True)
    ]
    return marks, list(dict.fromkeys(clauses))


def _across_breaks(q: Quantities, series: str) -> list[str]:
    """A note that names the years whose growth compares across a change of scope or method."""
    marked = {
        str(year): [caveat for caveat in item.caveats if re.fullmatch(r"N\d+", caveat)]
        for year, item in by_year(q, f"{series}.growth").items()
    }
    told = [f"{year} ({', '.join(notes)})" for year, notes in marked.items() if notes]
    said = say("Growth into {years} compares across a change of scope or method.", years=listed(told))
    return [said] if told else []


# --- the figures -------------------------------------------------------------------------------
@themed
def revisions(revisions_table: pd.DataFrame) -> Drawing:
    """How far each year was restated between the first and the last edition that prints it [%]."""
    need(len(revisions_table), "no year is printed in two editions")
    data = revisions_table
    shown = [series for series in SERIES if series in set(data["series"])]
    figure, panels = canvas(1.3 * len(shown) + 0.3, len(shown), sharex=True, sharey=True)
    clauses = []
    for ax, series in zip(panels, shown, strict=True):
        rows, colour, name = data[data["series"] == series], SERIES[series], say(SERIES_NAMES[series])
        low = rows["lowest_confidence"] == "low"
        ax.vlines(rows["year"], 0, rows["change_pct"], color=colour, linewidth=1.6)
        ax.axhline(0, color=INK, linewidth=0.8)
        dots(ax, rows["year"], rows["change_pct"], colour, low)
        for row in rows[low].itertuples():
            label(ax, row.year, row.change_pct, say("low-confidence reading"), QUIET, dx=8)
        if not low.all():
            row = rows.loc[rows.loc[~low, "change_pct"].abs().idxmax()]
            size = number_text(abs(row["change_pct"]), PERCENT.digits)
            form = (
                "{series} was never restated" if row["change_pct"] == 0 else "{series} was practically never restated"
            )
            if size.strip("0."):
                form = "{series} was restated by up to {size} %"
                text = " → ".join(number_text(row[f"{end}_jpy_100m"], 0) for end in ("first", "last"))
                label(ax, row["year"], row["change_pct"], text, colour, dy=6 * np.sign(row["change_pct"]))
            clauses.append(say(form, series=name, size=size))
        tidy(ax, capital(name))
        ax.margins(y=0.22)
    year_axis(panels[-1], data["year"], most=18)
    return finish(
        "revisions", figure, data,
        capital(say("; ").join(clauses)) or say("No restatement can be read with confidence"),
        say(
            "Change from the first to the last edition that prints a year, %; the series differ in years. "
            "Labels: largest trusted change, in JPY 100 million. Hollow: low-confidence reading, left out of the title."
        ),
        say("Panels of the change in per cent by year, one for each series."),
        say(
            "AJA Anime Industry Reports, editions {first} to {last}",
            first=data["first_edition"].min(), last=data["last_edition"].max(),
        ),
    )  # fmt: skip


@themed
def market_levels(market: pd.DataFrame, breaks: pd.DataFrame, q: Quantities) -> Drawing:
    """Overseas and domestic levels by year [JPY trn], with the years in which the lead changed."""
    data = market[market["series"].isin(["overseas", "domestic"])].assign(level_jpy_trn=trn(market["level_jpy_100m"]))
    figure, (ax,) = canvas(4.0)
    ends = []
    for name, rows in data.groupby("series"):
        levels = rows.set_index("year")["level_jpy_trn"].sort_index()
        year_line(ax, levels, SERIES[name])
        text = f"{capital(say(name))} {number_text(levels.iloc[-1], JPY_TRN.digits)}"
        ends.append((levels.index[-1], levels.iloc[-1], text, SERIES[name]))
    ax.set_ylim(0, None)
    year_axis(ax, data["year"])
    end_labels(ax, ends)
    leads = by_year(q, "market.overseas.lead")
    states = {
        1: ("{year} overseas ahead", SERIES["overseas"]),
        0: ("{year} level", QUIET),
        -1: ("{year} domestic ahead", SERIES["domestic"]),
    }
    changes = lead_changes({year: item.value for year, item in leads.items()})
    marks, notes = _break_marks(
        breaks, ("market.overseas", "market.domestic"), ("scope", "method", "event"), data["year"]
    )
    told = [(year, say(text, year=year), colour) for year, sign in changes.items() for text, colour in [states[sign]]]
    above = mark_years(ax, [*marks, *told])
    tidy(ax, say("JPY trillion, current prices"), above=above)
    return finish(
        "market_levels", figure, data, _lead_title(leads),
        say(
            "Broad anime market, edition {edition} of the report; dashed: change of lead or a note on method.",
            edition=_edition(q),
        ),
        say(
            "Two lines of levels by year in trillion yen, overseas and domestic, with the years of changed lead "
            "marked."
        ),
        _aja(_edition(q)), notes,
    )  # fmt: skip


def _lead_title(leads: Mapping[int, Quantity]) -> str:
    """The story of the lead in one sentence, ending with its size in the latest year."""
    if not leads:
        return say("No year has both an overseas and a domestic level")
    year, lead = list(leads.items())[-1]
    now = "in {year} overseas led by {size}" if lead.value > 0 else "in {year} overseas trailed by {size}"
    now = say(now if lead.value else "in {year} overseas was level", year=year,
              size=lead.in_unit(JPY_TRN).text.replace("−", ""))  # fmt: skip
    first = contiguous(leads)[-1][0]
    story = lead_story({when: item.value for when, item in leads.items()}, "domestic")
    if not story and first < year:
        story = say("never changed places with domestic from {first} to {last}", first=first, last=year)
    return capital(say("overseas {story}; {now}", story=story, now=now) if story else now)


@themed
def overseas_growth(market: pd.DataFrame, breaks: pd.DataFrame, q: Quantities) -> Drawing:
    """Growth of the overseas market a year in yen [%], the latest year against all others."""
    growth = by_year(q, "market.overseas.growth")
    need(growth, "no two years running of the overseas market are at hand")
    data = values_by_year(q, growth_pct="market.overseas.growth", rank="market.overseas.growth_rank")
    has_caveat = [bool(growth[year].caveats) for year in data.index]
    data = data.astype({"rank": int}).assign(has_caveat=has_caveat).reset_index()
    year, value, rank = (data[name].iloc[-1] for name in ("year", "growth_pct", "rank"))
    figure, (ax,) = canvas(3.7)
    for row in data.itertuples():
        is_last, full = row.year == year, SERIES["overseas"]
        colour, hatch = full if is_last else light(full), "/////" if row.has_caveat else None
        ax.bar(
            row.year, row.growth_pct, 0.74, color=colour, edgecolor=full if hatch else colour, linewidth=0, hatch=hatch
        )
        if is_last or row.rank <= min(rank, 5):
            text, weight = number_text(row.growth_pct, PERCENT.digits), "bold" if is_last else "normal"
            label(ax, row.year, row.growth_pct, text, dy=3 if row.growth_pct >= 0 else -3, fontweight=weight)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.margins(y=0.12)
    year_axis(ax, data["year"])
    marks, notes = _break_marks(breaks, ("market.overseas",), list(KINDS), data["year"])
    tidy(ax, say("% on the year before, in yen"), above=mark_years(ax, marks))
    place = "the fastest of {years} years" if rank == 1 else "the {ordinal} fastest of {years} years"
    place = place if value > 0 else "rank {rank} among {years} years"
    place = place if len(data) > 1 else "the only year whose growth this edition gives"
    place = say(place, rank=rank, ordinal=short_ordinal(rank), years=len(data))
    return finish(
        "overseas_growth", figure, data,
        say("Overseas {change} in {year}, {place}", change=direction(value), year=year, place=place),
        say(
            "Edition {edition}; hatched: growth across a change of method or scope.",
            edition=market["edition"].iloc[0],
        ),
        say("Bars of growth in per cent by year, the latest year highlighted."), _aja(_edition(q)), notes,
    )  # fmt: skip


@themed
def contributions(q: Quantities) -> Drawing:
    """Points that overseas and domestic add to growth of the whole market by year [% of the year before]."""
    stems = {f"{name}_points_pct": f"market.{name}.contribution_points" for name in ("overseas", "domestic")}
    data = values_by_year(q, **stems, total_growth_pct="market.total.growth")
    need(len(data), "no two years running of all three series are at hand")
    figure, (ax,) = canvas(3.8)
    parts, sums, year = data[list(stems)], data["total_growth_pct"], data.index[-1]
    stack(ax, parts, sums, list(SERIES.values()), [say(words) for words in ("Overseas", "Domestic", "Whole market")])
    tidy(ax, say("Percentage points of growth on the year before"))
    points = zip(("overseas", "domestic"), parts.loc[year], strict=True)
    added = [
        say(f"{name} {'added' if value >= 0 else 'took away'} {{points}}", points=number_text(abs(value), 1))
        for name, value in points
    ]
    return finish(
        "contributions", figure, data.reset_index(),
        say(
            "The market {change} in {year}: {parts} points",
            change=direction(sums[year]), year=year, parts=listed(added),
        ),
        say(
            "Growth of the whole market split exactly into its two parts; dots: their sum. Edition {edition}, in yen.",
            edition=_edition(q),
        ),
        say(
            "Stacked bars by year of the points that overseas and domestic add to growth, with dots for the whole "
            "market."
        ),
        _aja(_edition(q)), _across_breaks(q, "market.total"),
    )  # fmt: skip


@themed
def three_measures(market: pd.DataFrame, q: Quantities) -> Drawing:
    """Overseas level in yen, in dollars and after consumer prices, its lowest year in yen = 100 [index]."""
    troughs = [item for key, item in q.items() if key.startswith("market.overseas.trough.")]
    need(troughs, "no two years running of the overseas market are at hand")
    low, (first, last) = int(troughs[0].value), (int(year) for year in troughs[0].period.split("-"))
    rows = market[(market["series"] == "overseas") & market["year"].between(first, last)].set_index("year")
    named = {"level_jpy_100m": "in yen", "level_usd_bn": "in dollars", "level_real_jpy_100m": "after consumer prices"}
    levels = rows[list(named)].rename(columns=named)
    index = levels / levels.loc[low] * 100
    times = {name: number_text(ratio(levels.loc[last, name], levels.loc[low, name]), 1) for name in levels}
    figure, (ax,) = canvas(3.9)
    for name in index:
        year_line(ax, index[name], MEASURES[name])
    log_axis(ax)
    year_axis(ax, index.index)
    end_labels(
        ax, [(last, index.loc[last, name], f"{capital(say(name))}\n× {times[name]}", MEASURES[name]) for name in index]
    )
    above = mark_years(ax, [(low, say("{year}, lowest in yen", year=low), QUIET)])
    tidy(ax, say("Index, {year} = 100, logarithmic axis", year=low), above=above)
    rest = listed([say(f"{{times}} {name}", times=times[name]) for name in list(times)[1:]])
    base = units.INDEX.name.split("=")[0]
    title = say(
        "Against its low in {low}, overseas in {last} is {times} times as large in yen, {rest}",
        low=low, last=last, times=times["in yen"], rest=rest,
    )  # fmt: skip
    if low == last:
        title = say("Overseas in yen is lower in {last} than in any year since {first}", last=last, first=first)
    return finish(
        "three_measures", figure, index.reset_index().melt("year", var_name="measure", value_name="level_index"),
        title,
        say(
            "Overseas market, edition {edition}; dollars at each year's average rate, prices of {base} by Japan's CPI",
            edition=_edition(q), base=base,
        ),
        say("Three lines of the overseas market by year as an index: in yen, in dollars, after consumer prices."),
        _aja(_edition(q)) + say("; FRED AEXJPUS; World Bank, consumer prices"),
    )  # fmt: skip


@themed
def growth_split(q: Quantities) -> Drawing:
    """Log growth of overseas in yen split into dollar growth and the exchange rate [log points]."""
    measures = {"dollars_log_points": "log_growth_usd", "rate_log_points": "log_rate", "yen_log_points": "log_growth"}
    data = values_by_year(q, **{name: f"market.overseas.{measure}" for name, measure in measures.items()})
    need(len(data), "no two years running of the overseas market are at hand")
    figure, (ax,) = canvas(3.8)
    colours = (MEASURES["in dollars"], MEASURES["exchange rate"])
    words = [say(text) for text in ("Growth in dollars", "Exchange rate", "Sum: in yen")]
    stack(ax, data.iloc[:, :2], data["yen_log_points"], colours, words)
    tidy(ax, say("Log points (log change × 100)"))
    year, (dollars, rate, yen) = data.index[-1], data.iloc[-1]
    whose = "{rate} from the weaker yen" if rate >= 0 else "{rate} from the stronger yen"
    title = say(
        "Overseas in {year}: {yen} log points in yen, made of {dollars} in dollars and {rest}",
        year=year, yen=signed(yen), dollars=signed(dollars), rest=say(whose, rate=signed(rate)),
    )  # fmt: skip
    if dollars > 0 and rate > 0:
        share = q[f"market.overseas.rate_share.{year}"].number
        title = say(
            "The weaker yen made up {share} % of overseas growth in yen in {year}, growth in dollars the rest",
            share=share, year=year,
        )  # fmt: skip
    return finish(
        "growth_split", figure, data.reset_index(), title,
        say(
            "Log growth in yen = log growth in dollars + log change of yen per dollar, exactly. Edition {edition}.",
            edition=_edition(q),
        ),
        say("Stacked bars by year of dollar growth and the exchange rate, with dots for growth in yen."),
        _aja(_edition(q)) + say("; FRED AEXJPUS"), _across_breaks(q, "market.overseas"),
    )  # fmt: skip


@themed
def studio_gap(q: Quantities) -> Drawing:
    """How many times studios' overseas receipts the broad overseas market is, by year [times]; exploratory."""
    items = by_year(q, "market.overseas.over_studio")
    need(items, "no year has both the broad overseas market and studios' overseas receipts")
    data = pd.DataFrame(
        [(year, item.value, item.confidence) for year, item in items.items()], columns=COLUMNS["studio_gap"]
    )
    values, low = data.set_index("year")["over_studio_times"], data["confidence"] == "low"
    figure, (ax,) = canvas(3.6)
    year_line(ax, values, GREY, markersize=0, linewidth=1.2)
    dots(ax, data["year"], values, SERIES["overseas"], low)
    ax.margins(y=0.12)
    year_axis(ax, data["year"])
    cut = next(
        (year for year, item in by_year(q, "market.overseas.growth").items() if item.caveats), max(values.index) + 1
    )
    before, after = values[values.index < cut], values[values.index >= cut]
    title = say("Exploratory: the overseas market was {times} times studios' receipts", times=range_text(values))
    if len(before) > 2 and len(after):
        title = say(
            "Exploratory: the overseas market was {median} times studios' receipts in the median year up to {last}, "
            "{after} times since {cut}",
            median=number_text(before.median(), 1), last=before.index[-1], after=range_text(after), cut=cut,
        )  # fmt: skip
    above = mark_years(ax, [(cut, say("change marked in {year}", year=cut), QUIET)])
    heading = say("EXPLORATORY: broad overseas market, times studios' overseas receipts")
    tidy(ax, heading, above=above, weight="bold")
    return finish(
        "studio_gap", figure, data, title,
        say(
            "Hollow: low confidence ({low} of {all} years), machine-read, not confirmed; not for headlines.",
            low=low.sum(), all=len(data),
        ),
        say(
            "Dots by year of the ratio of the overseas market to studios' overseas receipts, hollow where not "
            "trusted."
        ),
        _aja(_edition(q)) + say("; studios' receipts from several editions"),
    )  # fmt: skip


@themed
def categories(categories: pd.DataFrame, q: Quantities) -> Drawing:
    """Levels of the market's categories in the newest edition that prints most of them [JPY bn]."""
    known = categories[categories["level_jpy_100m"].notna() & ~categories["category"].str.contains("residual")]
    need(len(known), "no category has a level")
    counts = known.groupby(["edition", "year"])["category"].nunique()
    edition, year = max(counts[counts == counts.max()].index)
    data = known[(known["edition"] == edition) & known["year"].between(year - 1, year)]
    keys = [f"category.{row.category}.growth.{row.year}" for row in data.itertuples()]
    level, growth = (
        units.convert(data["level_jpy_100m"], JPY_100M, JPY_BN),
        [q[key].value if key in q else math.nan for key in keys],
    )
    data = data.assign(level_jpy_bn=level, growth_pct=growth).sort_values(["year", "level_jpy_bn"], ascending=False)
    latest = data[data["year"] == year].set_index("category")
    earlier = data[data["year"] == year - 1].set_index("category")["level_jpy_bn"]
    figure, (ax,) = canvas(0.36 * len(latest) + 0.7)
    for place, (name, row) in enumerate(latest.iterrows()):
        colour, now = SERIES["overseas" if name == "overseas" else "domestic"], row["level_jpy_bn"]
        before = earlier.get(name, now)
        ax.plot([before, now], [place, place], color=colour, linewidth=2.2, zorder=2)
        dots(ax, [before, now], [place, place], colour, [True, False], 44)
        change = "" if math.isnan(row["growth_pct"]) else f"  ({signed_percent(row['growth_pct'])})"
        label(ax, max(now, before), place, number_text(now, JPY_BN.digits) + change, colour, dx=10)
    ax.set_yticks(range(len(latest)), [capital(_category(name)) for name in latest.index], color=INK)
    ax.invert_yaxis()
    ax.grid(axis="x")
    log_axis(ax, "x")
    tidy(ax, x_label=say("JPY billion, logarithmic axis: equal lengths are equal growth"))
    title = say(
        "{category} is the largest of {count} categories in {year}",
        category=capital(_category(latest.index[0])), count=len(latest), year=year,
    )  # fmt: skip
    if latest["growth_pct"].notna().any():
        best = latest["growth_pct"].idxmax()
        size = signed(latest.loc[best, "growth_pct"])
        title += say("; {category} did best ({growth} %)", category=_category(best), growth=size)
    derived = [str(when) for when in data.loc[data["is_derived"].astype(bool), "year"].unique()]
    said = say(" Levels of {years} derived from printed growth.", years=listed(derived)) if derived else ""
    return finish(
        "categories", figure, data, title,
        say(
            "Filled: {year}, hollow: {before}. Edition {edition} is the newest with {count} categories.{said}",
            year=year, before=year - 1, edition=edition, count=len(latest), said=said,
        ),
        say("Dumbbells of the level of each category in two years, the largest first."), _aja(edition),
    )  # fmt: skip


@themed
def content_exports(content: pd.DataFrame, targets: pd.DataFrame, q: Quantities) -> Drawing:
    """Overseas sales of all content in its old and its current scope, and the targets [JPY trn]."""
    scopes = {
        "old scope": by_year(q, "content.total.level.old_scope"),
        "current scope": by_year(q, "content.total.level"),
    }
    need(scopes["current scope"], "no overseas sales of content in the current scope are at hand")
    rows = [
        (year, name, trn(i.value), i.confidence == "high")
        for name, found in scopes.items()
        for year, i in found.items()
    ]
    aims = targets[targets["target_id"].isin(CONTENT_TARGETS.values())].sort_values("target_year")
    rows += [(int(row.target_year), "target", row.high_jpy_trn, True) for row in aims.itertuples()]
    data = pd.DataFrame(rows, columns=COLUMNS["content_exports"])
    figure, (ax,) = canvas(4.0)
    for row in data[data["scope"] == "target"].itertuples():
        mark_target(ax, row.year, row.level_jpy_trn)
    for scope, colour, beside in (("old scope", GREY, (-1, 10)), ("current scope", SERIES["total"], (8, 0))):
        part = data[data["scope"] == scope]
        ax.plot(part["year"], part["level_jpy_trn"], color=colour, linewidth=1.8)
        dots(ax, part["year"], part["level_jpy_trn"], colour, ~part["is_exact"].astype(bool))
        for year, _, level, _ in part.tail(1).itertuples(index=False):
            text = capital(say(scope)) + "\n"
            text += say("{year}: {level}", year=year, level=number_text(level, JPY_TRN.digits))
            label(ax, year, level, text, colour, *beside, fontsize=LABEL, fontweight="bold")
    ax.set_ylim(0, data["level_jpy_trn"].max() * 1.1)
    year_axis(ax, data["year"])
    start, (year, now) = min(scopes["current scope"]), list(scopes["current scope"].items())[-1]
    cut = [(start - 0.5, say("change of scope: no comparison across this line"), QUIET)] if scopes["old scope"] else []
    tidy(ax, say("JPY trillion"), above=mark_years(ax, cut))
    title = say("Content sold overseas came to {level} in {year}", level=now.in_unit(JPY_TRN).text, year=year)
    for goal in aims.tail(1).itertuples():
        times = number_text(ratio(goal.high_jpy_trn, now.in_unit(JPY_TRN).value), 1)
        title += say("; the target for {year} is {times} times that", year=goal.target_year, times=times)
    left_out = content[(content["sector"] == "total") & ~content["scope"].isin(["old", "current"])]
    return finish(
        "content_exports", figure, data, title,
        say(
            "Overseas sales of Japanese content, all sectors. Hollow dots: rounded or derived. Not drawn: {count} "
            "forecasts and figures of other scopes.",
            count=len(left_out),
        ),
        say("Two separate lines by year in trillion yen, one for each scope, and diamonds for the targets."),
        say("; ").join([say("Human Media releases"), *dict.fromkeys(aims["document"])]),
    )  # fmt: skip


@themed
def regions(regions: pd.DataFrame) -> Drawing:
    """Overseas contracts by region [% of contracts] and by country [number], in their newest years."""
    named = {"share of overseas contracts": "share_pct", "overseas contracts": "contracts_count"}
    newest = regions[regions["year"] == regions.groupby("measure")["year"].transform("max")]
    shown = [measure for measure in named if measure in set(newest["measure"])]
    need(shown, "no contracts by region or country are at hand")
    figure, panels = canvas(3.9, 1, len(shown))
    parts, leaders, editions = [], [], []
    for ax, measure in zip(panels, shown, strict=True):
        rows = newest[newest["measure"] == measure].sort_values("value", ascending=False, kind="stable")
        top, is_share = rows.iloc[0], measure.startswith("share")
        parts.append(rows.assign(**{named[measure]: rows["value"]}))
        colour = SERIES["overseas"] if is_share else GREY
        rows = rows.assign(region=rows["region"].map(say))
        sns.barplot(rows, x="value", y="region", color=colour, saturation=1, width=0.72, legend=False, ax=ax)
        for place, value in enumerate(rows["value"]):
            label(ax, value, place, number_text(value, int(is_share)), dx=4)
        sns.despine(ax=ax, bottom=True)
        ax.tick_params(axis="y", labelcolor=INK, length=0)
        ax.grid(False)
        ax.set(xlabel="", ylabel="", xticks=[], xlim=(0, rows["value"].max() * 1.14))
        heading = "Number of contracts, {year},\nthe {places} places listed"
        if is_share:
            heading = "Share of contracts, %, {year}\n(regions shown sum to {sum} %)"
        added = number_text(rows["value"].sum(), 1)
        ax.set_title(say(heading, year=top["year"], places=len(rows), sum=added), fontsize=LABEL)
        size = say("{size} % of contracts" if is_share else "{size} contracts",
                   size=number_text(top["value"], int(is_share)))  # fmt: skip
        leaders.append(
            say("{region} leads with {size} in {year}", region=say(top["region"]), size=size, year=top["year"])
        )
        editions.append(top["edition_label"].removeprefix("AJA "))
    return finish(
        "regions", figure, pd.concat(parts), say("; ").join(leaders),
        say("Contracts are counted, not valued: a share of contracts says nothing about a share of money."),
        say("Horizontal bars of overseas contracts, by region as a share and by country as a number."),
        say("AJA Anime Industry Report, editions {editions}, as cited", editions=listed(editions)),
    )  # fmt: skip


@themed
def market_cap(q: Quantities) -> Drawing:
    """Market value of nine entertainment firms and nine automakers on the days at hand [JPY trn]."""
    stems = {f"market_cap.{group}.level": group for group in MARKET_CAP_GROUPS.values()}
    split = [(key.rpartition("."), item) for key, item in q.items()]
    rows = [(day, stems[head], i.value, "derived" in i.caveats) for (head, _, day), i in split if head in stems]
    leads = {day: item.value for (head, _, day), item in sorted(split) if head == "market_cap.entertainment_nine.lead"}
    need(leads, "no day has the market value of both groups")
    data = pd.DataFrame(sorted(rows), columns=COLUMNS["market_cap"])
    days = sorted(set(data["date"]))
    figure, (ax,) = canvas(3.6)
    ends = []
    for group, part in data.groupby("group"):
        places, (name, colour) = [days.index(day) for day in part["date"]], CAP_GROUPS[group]
        ax.plot(places, part["level_jpy_trn"], color=colour, linewidth=2.4)
        dots(ax, places, part["level_jpy_trn"], colour, part["is_derived"], 60)
        *earlier, last = [
            (x, y, f"{say(name)} {number_text(y, 1)}", colour)
            for x, y in zip(places, part["level_jpy_trn"], strict=True)
        ]
        ends.append(last)
        for end in earlier:
            label(ax, *end, dx=-10, fontsize=LABEL, fontweight="bold")
    ax.margins(y=0.2)
    end_labels(ax, ends)
    ax.set(xticks=range(len(days)), xticklabels=[retold(day) for day in days], xlim=(-0.4, len(days) - 0.9))
    tidy(ax, say("JPY trillion, sum over the nine firms of each group"))
    said = [
        say(
            "{size} ahead on {day}" if lead > 0 else "{size} behind on {day}",
            size=number_text(abs(lead), 1),
            day=retold(day),
        )
        for day, lead in leads.items()
    ]
    return finish(
        "market_cap", figure, data,
        say("Nine entertainment firms against nine automakers, JPY trillion: {leads}", leads=listed(said)),
        say(
            "Combined market value, groups chosen by Nikkei. Hollow: derived from the printed change, not itself "
            "printed."
        ),
        say("A slope chart of the market value of two groups of nine firms."), say("Nikkei, as excerpted"),
    )  # fmt: skip
