"""How the study could be wrong, found in its own tables: breaks, weak rows, failed diagnostics, disagreements.

Each function returns a table with the columns about, kind, say (sentences in which {key} stands for
a quantity), sources (ids joined by "; ") and note (id of the register's note, else empty), in the
language of now. What is not found leaves no row.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pandas as pd

from anime_growth import cells, rules, units
from anime_growth.backtest import COVERAGES, FEWEST_JUDGED, TOO_NARROW
from anime_growth.claims import CONTRADICTED
from anime_growth.claims import about as about_claim
from anime_growth.describe import in_spans
from anime_growth.languages import WITHOUT_SPACES, say, spoken
from anime_growth.quantities import Quantities, Quantity, model_name, series_words
from anime_growth.retelling import each_retold, retold
from anime_growth.series import SIGNIFICANT, slug_of
from anime_growth.trace import Record
from anime_growth.words import capital, cardinal, counted, listed

COLUMNS = ["about", "kind", "say", "sources", "note"]
# Durbin-Watson of errors that neither follow one another nor alternate, and how far from it is alarming.
UNCORRELATED, ALARMING = 2, 1
# How many numbers a sentence names as examples.
EXAMPLES = 3
# A sector of the content exports that is another reading of a series of the market.
SAME_AS = {"anime": "market.overseas"}
# The scope of content exports that were foretold.
FORECAST = "old_forecast"
# What growth into a year may be measured in.
GROWTHS = ("growth", "growth_usd", "growth_real")
# The file among the published results that canary writes: slips made in the raw figures, and what noticed them.
CANARY = "canary.csv"
SLIP_COLUMNS = (
    *("cell", "under", "change", "column", "before", "after"),
    *("noticed_by", "also_noticed_by", "what", "reason"),
)
# What notices a slip, in the order in which a run comes to it, and how the report says so.
NOTICES = {
    "schema": "refused when the figures are read",
    "identity": "refused by a cross-check",
    "quantity": "seen in a published number that moves or is gone",
    "verdict": "seen in a verdict that is another one",
    "statement": "seen in what the table of verdicts says that a claim states",
}
# Those that have no need of published results to compare with.
AT_ONCE = ("schema", "identity")


def _table(rows: list[dict[str, str]]) -> pd.DataFrame:
    return pd.DataFrame([dict.fromkeys(COLUMNS, "") | row for row in rows], columns=COLUMNS)


def _sentences(*texts: str) -> str:
    end, between = ("。", "") if spoken() in WITHOUT_SPACES else (".", " ")
    return between.join(capital(text).rstrip(end) + end for text in texts if text)


def _example(q: Mapping[str, Quantity], key: str) -> str:
    return say("{number} ({label})", number=f"{{{key}}}", label=retold(q[key].label))


# --- breaks ---------------------------------------------------------------------------------------
def across_breaks(breaks: pd.DataFrame, q: Quantities, shown: Iterable[str]) -> pd.DataFrame:
    """A row for each note of the register of breaks, with the growth figures that compare across the break.

    `breaks` has note_id, series, year, kind, is_documented, finding and source_id, a row for each series
    and year of a note. Named are the series' growth into that year and those `shown` that span it.
    """
    rows = []
    for note, entries in breaks.groupby("note_id", sort=False):
        about, touched = [], list[str]()
        for series, year in zip(entries["series"], entries["year"], strict=True):
            dated = not pd.isna(year)
            name = series_words(series)
            about.append(say("{series}, {year}", series=name, year=f"{year:.0f}") if dated else name)
            touched += _touched(series, int(year), q, shown) if dated else []
        row = entries.iloc[0]
        numbers = listed([_example(q, key) for key in dict.fromkeys(touched)])
        rows.append(
            {
                "about": capital(say("; ").join(about)),
                "kind": say(", ").join([say(row["kind"]), say("documented" if row["is_documented"] else "inferred")]),
                "say": _sentences(
                    retold(str(row["finding"])),
                    say("growth figures that it touches: {numbers}", numbers=numbers) if numbers else "",
                ),
                "sources": "; ".join(dict.fromkeys(entries["source_id"])),
                "note": str(note),
            }
        )
    return _table(rows)


def _touched(series: str, year: int, q: Quantities, shown: Iterable[str]) -> list[str]:
    """Growth of `series` into `year`, and growth shown over a span that the year lies in."""
    found = [key for key in (f"{series}.growth.{year}",) if key in q]
    for key in shown:
        match = re.fullmatch(rf"{re.escape(series)}\.(?:growth|cagr)(?:_usd|_real)?\.(\d{{4}})(?:-(\d{{4}}))?", key)
        if match and key in q:
            first, last = (int(match[1]), int(match[2])) if match[2] else (int(match[1]) - 1, int(match[1]))
            found += [key] if first < year <= last and key not in found else []
    return found


# --- confidence -----------------------------------------------------------------------------------
def weak_rows(shown: Iterable[str], record: Record) -> pd.DataFrame:
    """Which raw cells below the numbers `shown` are of low or medium confidence, and how many numbers rest on them.

    A row for each series and confidence, the lowest first; numbers of low confidence are exploratory.
    """
    shown = [key for key in shown if key in record.q]
    resting: dict[tuple[str, str], dict[str, list[str]]] = {}
    for key in shown:
        for name in record.behind(key):
            item = record.q[name]
            if record.raw_inputs(name) and item.confidence != cells.CONFIDENCE[-1]:
                group = (item.confidence, ".".join(name.split(".")[:2]))
                resting.setdefault(group, {}).setdefault(name, []).append(key)
    rows = [_weakest(shown, record.q)] if resting else []
    for (confidence, series), observed in sorted(
        resting.items(), key=lambda group: cells.CONFIDENCE.index(group[0][0])
    ):
        raw = [cell for name in observed for cell in record.raw_inputs(name)]
        alone = sum(not cell["also"] for cell in raw)
        numbers = [key for key in shown if any(key in keys for keys in observed.values())]
        examples = listed([_example(record.q, key) for key in _telling(numbers, series, record.q)[:EXAMPLES]])
        rows.append(
            {
                "about": capital(series_words(series)),
                "kind": say(f"{confidence} confidence") + (say(", exploratory") if _is_lowest(confidence) else ""),
                "say": _sentences(
                    _cells(len(raw), alone, _periods(observed)),
                    say(
                        "{numbers} rest on them, such as {examples}",
                        numbers=_of(len(numbers), len(shown)),
                        examples=examples,
                    ),
                ),
                "sources": "; ".join(sorted({cell["source_id"] for cell in raw})),
            }
        )
    return _table(rows)


def _telling(keys: list[str], series: str, q: Mapping[str, Quantity]) -> list[str]:
    """Keys that tell something as examples: those of the series itself first, counts of others only for want of any."""
    own = [key for key in keys if key.startswith(f"{series}.")]
    others = [key for key in keys if key not in own and q[key].unit != units.COUNT.name]
    return own + others or keys


def _is_lowest(confidence: str) -> bool:
    return confidence == cells.CONFIDENCE[0]


def _cells(count: int, alone: int, periods: str) -> str:
    """How many raw cells there are and how many of them have one source."""
    told = {"cells": counted(count, "cell"), "periods": periods, "alone": cardinal(alone)}
    if alone in (0, count):
        return say("{cells} ({periods}), with one source named" if alone else "{cells} ({periods})", **told)
    return say("{cells} ({periods}), {alone} of them with one source named", **told)


def _of(count: int, whole: int) -> str:
    return say("{count} of the {whole} numbers shown", count=count, whole=whole)


def _weakest(shown: list[str], q: Mapping[str, Quantity]) -> dict[str, str]:
    """How many of all numbers shown rest on a weak row anywhere."""
    counts = {name: sum(q[key].confidence == name for key in shown) for name in cells.CONFIDENCE[:-1]}
    told = [
        say("{numbers} rest on a row of {confidence} at the weakest", numbers=_of(count, len(shown)),
            confidence=say(f"{name} confidence"))
        for name, count in counts.items() if count
    ]  # fmt: skip
    return {"about": say("All numbers shown"), "kind": say("weakest row"), "say": _sentences(say("; ").join(told))}


def _periods(keys: Iterable[str]) -> str:
    """Periods of keys in words."""
    periods = sorted({key.rsplit(".", 1)[1] for key in keys})
    years = [period for period in periods if re.fullmatch(r"\d{4}", period)]
    return listed(in_spans(map(int, years)) + [retold(name.replace("_", " ")) for name in periods if name not in years])


# --- diagnostics ----------------------------------------------------------------------------------
def failed_diagnostics(trends: pd.DataFrame, scores: pd.DataFrame, q: Quantities) -> pd.DataFrame:
    """Residual tests that fail, remarks on estimates, intervals that proved too narrow, models that lose to drift.

    `trends` is trends.trend_table's table, `scores` backtest.scores'. From so few points a p-value is
    a hint, and overlapping forecasts make a miss look more certain than it is.
    """
    if trends.empty:
        return _table([])
    slug = slug_of(str(trends["series"].iloc[0]), str(trends["basis"].iloc[0]))
    rows = [*_refused(trends)]
    for fit in trends.to_dict("records"):
        rows += _residuals(fit, f"trend.{slug}.{fit['model']}")
    if len(scores):
        whole = scores[(scores["windows"] == "all") & (scores["forecasts"] >= FEWEST_JUDGED)]
        for model in trends["model"]:
            own = whole[whole["model"] == model].sort_values("horizon")
            rows += [*_too_narrow(own, f"backtest.{slug}.{model}"), *_worse_than_drift(own, f"backtest.{slug}.{model}")]
    known = [row for row in rows if all(key in q for key in rules.keys_in(row["say"]))]
    return _table(known)


def _row(model: str, kind: str, told: str) -> dict[str, str]:
    return {"about": capital(model_name(model)), "kind": kind, "say": _sentences(told)}


def _refused(trends: pd.DataFrame) -> list[dict[str, str]]:
    """Models that were not fitted, together where the reason is one."""
    told = trends[trends["remark"].fillna("").str.startswith("not fitted")]
    return [
        {
            "about": capital(listed([model_name(model) for model in rows["model"]])),
            "kind": say("no estimate"),
            "say": _sentences(retold(str(remark))),
        }
        for remark, rows in told.groupby("remark")
    ]


def _residuals(fit: Mapping[str, Any], base: str) -> list[dict[str, str]]:
    rows, model = [], fit["model"]
    remark = "" if pd.isna(fit["remark"]) else str(fit["remark"])
    if remark and not remark.startswith("not fitted"):
        rows.append(_row(model, say("estimate"), retold(remark)))
    watson, ljung, bera = fit.get("durbin_watson"), fit.get("ljung_box_p"), fit.get("jarque_bera_p")
    if _below(ljung) or (watson is not None and abs(watson - UNCORRELATED) > ALARMING):
        follow = watson is not None and watson < UNCORRELATED
        tests = {"watson": f"{{{base}.durbin_watson}}", "ljung": f"{{{base}.ljung_box_p}}"}
        told = say(
            "its errors follow one another, so that its interval is too narrow: "
            "Durbin-Watson {watson}, Ljung-Box p {ljung}"
            if follow
            else "its errors alternate: Durbin-Watson {watson}, Ljung-Box p {ljung}",
            **tests,
        )
        rows.append(_row(model, say("autocorrelation"), told))
    if _below(bera):
        told = say("its errors are not normal: Jarque-Bera p {bera}", bera=f"{{{base}.jarque_bera_p}}")
        rows.append(_row(model, say("normality"), told))
    return rows


def _below(p: float | None) -> bool:
    return p is not None and not pd.isna(p) and p < SIGNIFICANT


def _ahead(horizons: Iterable[int]) -> str:
    numbers = list(horizons)
    told = listed([cardinal(number) for number in numbers])
    return say("{count} year ahead" if numbers == [1] else "{count} years ahead", count=told)


def _too_narrow(own: pd.DataFrame, base: str) -> list[dict[str, str]]:
    told = []
    for name in COVERAGES:
        failed = [int(horizon) for horizon in own.loc[own[f"narrow{name}"] == TOO_NARROW, "horizon"]]
        if failed:
            held = listed([f"{{{base}.cover{name}.h{horizon}}}" for horizon in failed])
            said = "its {width} % interval held only {held} of outcomes {ahead}"
            told.append(say(said, width=name, held=held, ahead=_ahead(failed)))
    return [_row(own["model"].iloc[0], say("interval too narrow"), say("; ").join(told))] if told else []


def _worse_than_drift(own: pd.DataFrame, base: str) -> list[dict[str, str]]:
    lost = [int(horizon) for horizon in own.loc[own["male_to_drift"] > 1, "horizon"]]
    if not lost or own["model"].iloc[0] == "drift":
        return []
    times = listed([f"{{{base}.male_to_drift.h{horizon}}}" for horizon in lost])
    told = say(
        "it forecast the past worse than drift at every horizon: its errors were {times} times as large {ahead}"
        if len(lost) == len(own)
        else "it forecast the past worse than drift at some horizons: its errors were {times} times as large {ahead}",
        times=times,
        ahead=_ahead(lost),
    )
    return [_row(own["model"].iloc[0], say("loses to drift"), told)]


# --- disagreements --------------------------------------------------------------------------------
def disagreements(checks: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Sources that disagree for a declared reason, and claims that the figures contradict.

    `checks` is checks.run's table, `verdicts` claims.judge's.
    """
    rows = []
    for check in checks[checks["declared_exceptions"] > 0].to_dict("records"):
        but = say("{what}, but in {count} of {all} comparisons sources disagree", what=retold(check["what"]),
                  count=cardinal(check["declared_exceptions"]), all=check["comparisons"])  # fmt: skip
        about = capital(retold(check["check"].replace("_", " ")))
        told = _sentences(but, each_retold(str(check["reason"])))
        rows.append({"about": about, "kind": say("declared exception"), "say": told})
    for row in verdicts[verdicts["verdict"] == CONTRADICTED].to_dict("records"):
        about = say("Claim {claim}, {article}", claim=row["claim_id"], article=retold(row["article_words"]))
        said = say("{about}: the article says {stated}", about=about_claim(row), stated=retold(row["stated"]))
        told = _sentences(said, retold(caveat(row)))
        rows.append({"about": about, "kind": say(CONTRADICTED), "say": told, "sources": row["sources"]})
    return _table(rows)


def caveat(row: Mapping[str, str]) -> str:
    """A verdict's caveat, with {key} for its numbers if it has any."""
    return row["caveat_template"] or row["caveat"]


def other_readings(tables: Mapping[str, pd.DataFrame], q: Quantities) -> pd.DataFrame:
    """What other sources print for a series and year of the study, where that differs beyond rounding.

    Looked at are levels in `content_exports` and growth stated in a note of `breaks`. Forecasts, figures that the
    collector derived, and what another edition of the report prints (a revision) are no such readings.
    """
    levels = _other_levels(tables["content_exports"], tables["market_editions"], q)
    return _table([*levels, *_other_growths(tables["breaks"], q)]).assign(kind=say("another reading"))


def _other_levels(exports: pd.DataFrame, editions: pd.DataFrame, q: Quantities) -> Iterator[dict[str, str]]:
    source_of = {row.raw_cell: row.source_id for row in pd.concat([exports, editions]).itertuples()}
    revised = set(zip("market." + editions["series"], editions["year"], editions["level_jpy_100m"], strict=True))
    for row in exports[~exports["is_derived"] & (exports["scope"] != FORECAST)].itertuples():
        series = SAME_AS.get(row.sector, f"content.{row.sector}")
        key, other = f"{series}.level.{row.year}", row.level_jpy_100m
        if key in q and (series, row.year, other) not in revised and _are_apart(other, q[key].value):
            own = [source_of[cell] for cell in q[key].inputs if cell in source_of]
            told = units.in_words(other, units.JPY_100M, units.JPY_100M.digits)
            release = f"{row.source_id} ({row.release})"
            yield {
                "about": capital(say("{series}, {year}", series=series_words(series), year=row.year)),
                "say": _sentences(
                    say("{source} prints {other}, the study uses {own}", source=release, other=told, own=f"{{{key}}}"),
                    retold(row.note),
                ),
                "sources": "; ".join(dict.fromkeys([row.source_id, *own])),
            }


def _other_growths(breaks: pd.DataFrame, q: Quantities) -> Iterator[dict[str, str]]:
    """Signed percentages that notes on a year state, where no growth of the series in any currency agrees with them."""
    told = breaks[breaks["is_documented"] & (breaks["kind"] != "revision")]
    for row in told.dropna(subset="year").itertuples():
        year = int(row.year)
        keys = [key for name in GROWTHS if (key := f"{row.series}.{name}.{year}") in q]
        for stated in re.findall(r"(?<!\S)[+-]\d+(?:\.\d+)?(?=\s?%)", row.finding) if keys else ():
            nearest = min(keys, key=lambda key: abs(q[key].value - float(stated)))
            if _are_apart(float(stated), round(q[nearest].value, q[nearest].digits)):
                finds = say(
                    "{source} states {other} %, the study finds {own}",
                    source=row.source_id, other=stated.replace("-", "−"), own=_example(q, nearest),
                )  # fmt: skip
                yield {
                    "about": capital(say("{series}, {year}", series=series_words(row.series), year=year)),
                    "say": _sentences(finds, retold(str(row.finding))),
                    "sources": row.source_id,
                }


def _are_apart(left: float, right: float) -> bool:
    """Whether two printed numbers differ by more than a unit of the last digit of the rougher one."""
    unit = max(_last_digit(left), _last_digit(right))
    return round(abs(left - right) / unit, 6) > 1  # rounded, as 78.7 - 78.6 is a hair more than 0.1


def _last_digit(value: float) -> float:
    """What a unit of the last digit of a number is worth; noughts at its end are taken to be rounding.

    >>> _last_digit(43000), _last_digit(2544), _last_digit(-7.7)
    (1000.0, 1.0, 0.1)
    """
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    return float(f"1e{exponent}")


# --- slips ----------------------------------------------------------------------------------------
def slips(found: pd.DataFrame | None) -> pd.DataFrame:
    """How many slips in raw cells would be noticed and by what, then each that would not, with the reason.

    `found` is canary.table's table as it was published, none where there is none.
    """
    if found is None:
        told = say("The published results hold no table of slips; `anime-growth publish` makes it.")
        return _table([{"about": say("Slips in raw cells"), "kind": say("not yet known"), "say": told}])
    tried = say(
        "each slip was made by itself in a copy of the figures: a number a tenth larger, digits or letters swapped, a "
        "row deleted, another unit; the files' hashes were kept in step, as they would notice every edit"
    )
    rows = [
        {"about": say("Slips in raw cells"), "kind": say("what was tried"), "say": _sentences(tried)},
        {
            "about": say("Raw cells under the README's finding"),
            "kind": say("share noticed"),
            "say": _share(found[found["under"] == "finding"]),
        },
        {
            "about": say("Raw cells under the finding or the narrative"),
            "kind": say("share noticed"),
            "say": _share(found),
        },
    ]
    for slip in found[found["noticed_by"] == ""].to_dict("records"):
        parts = cells.parse(slip["cell"])
        row = ", ".join(f"{name} {text}" for name, text in parts["row"].items())
        typed = say("{after} for {before}", **slip) if slip["after"] else slip["before"]
        told = _sentences(
            say("in {file}, {row}, {column}: {typed}", **{**parts, **slip, "row": row, "typed": typed}),
            retold(slip["reason"]) or say("the reason is not known"),
        )
        rows.append({"about": capital(say(slip["change"])), "kind": say("not noticed"), "say": told})
    return _table(rows)


def _share(found: pd.DataFrame) -> str:
    """How many of these slips are noticed, at once or only beside published results."""
    counts = found["noticed_by"].value_counts()

    def of(names: Iterable[str]) -> str:
        count = sum(int(counts.get(name, 0)) for name in names)
        if not len(found):
            return say("none")
        share = round(100 * count / len(found), 1)
        share = share if count == len(found) else min(share, 99.9)  # a hundred per cent is all
        return say("{count} ({share} %)", count=count, share=f"{share:g}")

    def told(names: list[str]) -> str:
        return listed([say(f"{{count}} {NOTICES[name]}", count=counts[name]) for name in names if name in counts])

    at_once, beside = ([name for name in NOTICES if (name in AT_ONCE) is is_at_once] for is_at_once in (True, False))
    return _sentences(
        say(
            "of {slips} slips in {cells} cells {noticed} were noticed in the published run",
            slips=len(found),
            cells=found["cell"].nunique(),
            noticed=of(NOTICES),
        ),
        say("{count} at once: {those}", count=of(at_once), those=told(at_once)),
        say("{count} only beside the published results: {those}", count=of(beside), those=told(beside)),
    )
