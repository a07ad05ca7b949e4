"""The narrative: Jinja templates over quantities, with no number typed in them.

A template asks for numbers by key and for words by rule: `record`, `rose`, `faster` and the like
come out of functions here that look at the run's own quantities, so that the text stays true when
the figures change. A missing quantity is a passage left out, never a guess.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from anime_growth.claims import CAVEAT, CONTRADICTED, VERDICTS
from anime_growth.describe import contiguous
from anime_growth.quantities import MODEL_WORDS, SERIES_WORDS, Quantities, Quantity, model_name, series_words
from anime_growth.series import BASIS_WORDS, LATER_STARTS, slug_of
from anime_growth.words import capital, cardinal, listed, ordinal

TEMPLATES = Path(__file__).parent / "templates"
# Residuals that would be this unlikely without autocorrelation are called correlated.
SIGNIFICANT = 0.05
# How many rankings with a caveat are told; the verdict table has all.
MAIN_RANKINGS = 3
# Durbin-Watson of errors that neither follow one another nor alternate.
ALTERNATING = 2
# With fewer forecasts at a horizon the narrative says nothing of it; backtest.FEWEST_JUDGED is the same.
FEWEST_FORECASTS = 5
# "Within one per cent of its middle value", as the template says.
STEADY = 0.01
# The part of years that must be near it before the text calls the ratio steady.
STEADY_PART = 2 / 3
TARGET, INTERIM = "content_2033", "content_2028"
# With no more years than this a rank among them says nothing.
SHORT_RUN = 3


@cache
def environment() -> jinja2.Environment:
    """Templates of this package; an undefined name is an error, not an empty string."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=jinja2.select_autoescape(["html.j2"]),
    )


@dataclass(frozen=True)
class Teller:
    """What a template may ask: numbers, words that depend on numbers, and whether something is known."""

    q: Quantities
    as_html: bool = False

    # --- numbers ---
    def has(self, *parts: object) -> bool:
        """Whether this run knows the quantity."""
        return _key(parts) in self.q

    def value(self, *parts: object) -> float:
        """The plain value, for a condition."""
        return self.q[_key(parts)].value

    def _show(self, item: Quantity, text: str) -> str:
        if not self.as_html:
            return text
        edition = f"edition {item.edition}" if item.edition else "no edition"
        tip = f"{item.label} · {item.key} · {item.method} · {edition} · {item.confidence} confidence"
        return f'<span class="n" tabindex="0" data-key="{item.key}" data-tip="{html.escape(tip)}">{text}</span>'

    def n(self, *parts: object) -> str:
        """A quantity with its unit in words."""
        item = self.q[_key(parts)]
        return self._show(item, item.text)

    def size(self, *parts: object) -> str:
        """A quantity without its sign, for sentences whose verb carries the direction."""
        item = self.q[_key(parts)]
        text = item.text.replace("−", "")
        return self._show(item, text)

    def number(self, *parts: object) -> str:
        """The bare number, without its unit."""
        item = self.q[_key(parts)]
        return self._show(item, item.number)

    # --- words that follow from numbers ---
    def moved(self, *parts: object) -> str:
        """`rose`, `fell` or, where it prints as nought, `moved`, as in moved by 0.0 %."""
        value = self.printed(*parts)
        return "rose" if value > 0 else "fell" if value < 0 else "moved"

    def printed(self, *parts: object) -> float:
        """The value at its printed precision, so that what reads as nought counts as nought."""
        item = self.q[_key(parts)]
        return round(item.value, item.digits)

    def ranked(self, words: str, *parts: object) -> str:
        """`the fastest`, `the second-fastest` and so on, from a rank."""
        rank = round(self.value(*parts))
        return f"the {words}" if rank == 1 else f"the {ordinal(rank)}-{words}"

    def record(self, *parts: object) -> str:
        """`, a record,` where the rank is the first."""
        return ", a record," if round(self.value(*parts)) == 1 else ""

    def is_majority(self, *parts: object) -> bool:
        """Whether a share is more than half."""
        return self.value(*parts) > 50

    def excludes_zero(self, low: str, high: str) -> bool:
        """Whether an interval lies on one side of zero."""
        return self.q[low].value > 0 or self.q[high].value < 0


def _key(parts: tuple[object, ...]) -> str:
    return ".".join(str(part) for part in parts)


def tell(context: Mapping[str, Any], q: Quantities, as_html: bool = False) -> str:
    """The narrative in Markdown; with `as_html` every number carries its key and source on hover."""
    if as_html:  # claims and caveats come out of files that anyone may write
        rows = ("contradicted", "ranked_with_caveat")
        escaped = {name: [{k: html.escape(str(v)) for k, v in row.items()} for row in context[name]] for name in rows}
        notes = [html.escape(note) for note in context["classifications"]]
        context = {**context, **escaped, "classifications": notes}
    text = _render("narrative.en.md.j2", context, q, as_html)
    text = re.sub(r"\n*(<!-- figure: \w+ -->)\n*", r"\n\n\1\n\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def placed(told: str) -> list[str]:
    """Names of the figures that the narrative places, in order."""
    return re.findall(r"<!-- figure: (\w+) -->", told)


def with_pictures(told: str, figures: Mapping[str, tuple[bytes, str]]) -> str:
    """The narrative in Markdown with its figures as pictures that lie next to it."""

    def picture(mark: re.Match[str]) -> str:
        return f"![{figures[mark[1]][1]}](figures/{mark[1]}.svg)"

    return re.sub(r"<!-- figure: (\w+) -->", picture, told)


def finding(context: Mapping[str, Any], q: Quantities) -> str:
    """The finding in one paragraph, as the README shows it first."""
    return " ".join(_render("finding.en.md.j2", context, q).split()) + "\n"


def _render(template: str, context: Mapping[str, Any], q: Quantities, as_html: bool = False) -> str:
    words = {"cardinal": cardinal, "listed": listed, "capital": capital}
    return environment().get_template(template).render(t=Teller(q, as_html), **words, **context)


def words_in(markdown: str) -> int:
    """Words of running text: headings, pictures and marks do not count."""
    lines = [line for line in markdown.splitlines() if not line.startswith(("#", "!", "<!--"))]
    return len(re.findall(r"\b[\w’'.,%-]+\b", " ".join(lines)))


def context(
    tables: Mapping[str, pd.DataFrame],
    trends: pd.DataFrame,
    projections: pd.DataFrame,
    verdicts: pd.DataFrame,
    q: Quantities,
) -> dict[str, Any]:
    """What the templates need beside numbers: years, spans, models and verdicts found in the run."""
    market, checks, breaks = tables["market"], tables["checks"], tables["breaks"]
    years = {series: sorted(int(year) for year in rows["year"]) for series, rows in market.groupby("series")}
    run = _last_run(years["overseas"])
    slug = _slug(trends)
    fitted = [model for model in MODEL_WORDS if f"trend.{slug}.{model}.growth" in q]
    refused = trends[trends["remark"].str.startswith("not fitted")]
    span = f"{run[0]}-{run[-1]}"
    trough = f"market.overseas.trough.{span}"
    changes = [key for key in q if key.startswith("market.overseas.lead_change.")]
    rankings = verdicts[(verdicts["verdict"] == CAVEAT) & (verdicts["kind"] == "ranking")]
    horizon = int(projections["year"].max()) if len(projections) else 0
    return {
        "edition": int(market["edition"].iloc[0]),
        "first": run[0],
        "latest": run[-1],
        "before": run[-1] - 1,
        "span": span,
        "low_span": f"{round(q[trough].value)}-{run[-1]}" if trough in q else span,
        "recent_span": f"{run[-1] - 2}-{run[-1]}",
        "trough": round(q[trough].value) if trough in q else run[0],
        "year_count": len(run),
        "has_long_run": len(run) > SHORT_RUN,
        "horizon": horizon,
        "models": fitted,
        "model_names": {model: model_name(model) for model in MODEL_WORDS},
        "refusal": str(refused["remark"].iloc[0]).removeprefix("not fitted: ") if len(refused) else "",
        "correlated": _correlated(slug, fitted, q),
        "lead_story": _lead_story(changes, q),
        "verdicts": verdicts,
        "counts": {name: int((verdicts["verdict"] == name).sum()) for name in VERDICTS},
        "ranked_with_caveat": rankings[:MAIN_RANKINGS].to_dict("records"),
        "contradicted": verdicts[verdicts["verdict"] == CONTRADICTED].to_dict("records"),
        "comparisons": int(checks["comparisons"].sum()),
        "exceptions": int(checks["declared_exceptions"].sum()),
        "independent": int(checks.set_index("check").loc["transcription_agrees", "comparisons"]),
        "single_years": _span_words(_single_years(tables)),
        "marked": _marked(breaks),
        "classifications": list(breaks.query("kind == 'classification' and series == 'market.overseas'")["finding"]),
        **_sample(slug, trends, q),
        **_tested(slug, fitted, q),
        **_chances(q),
        "usd_range": _ends([f"trend.{slug}_usd.{model}.growth" for model in fitted if model != "naive"], q),
        "sp": f"specification.{slug_of(str(trends['series'].iloc[0]), 'yen')}",
        **_dollar_caveats(verdicts, q),
        **_ratio_years(q, breaks),
        "content_years": sorted(key.rsplit(".", 1)[1] for key in q if re.match(r"content\.total\.level\.\d{4}$", key)),
        "target": TARGET,
        "goal_year": next((key.rsplit(".", 1)[1] for key in q if key.startswith(f"target.{TARGET}.level.")), ""),
        "low": "p10",
        "middle": "p50",
        "high": "p90",
        "lower": "growth_lo95",
        "upper": "growth_hi95",
        "interval": "95 %",
        "inner": "80 %",
        "inner_cover": "cover80",
    }  # fmt: skip


def _lead_story(changes: list[str], q: Quantities) -> list[str]:
    """Every change of lead in order: took it, lost it, took it again."""
    told, taken, lost = [], 0, 0
    for key in changes:
        year = key.rsplit(".", 1)[1]
        if q[key].value > 0:
            told.append(f"{'took the lead back' if taken else 'passed domestic'} in {year}")
            taken += 1
        else:
            told.append(f"{'fell behind again' if taken or lost else 'fell behind'} in {year}")
            lost += 1
    return told


def _last_run(years: list[int]) -> list[int]:
    return contiguous(years)[-1]


def _slug(trends: pd.DataFrame) -> str:
    """The series and basis that the models saw, as it stands in keys."""
    return slug_of(str(trends["series"].iloc[0]), str(trends["basis"].iloc[0]))


def _correlated(slug: str, models: list[str], q: Quantities) -> list[str]:
    """Models whose residuals are autocorrelated by the Ljung-Box test."""
    found = []
    for model in models:
        base = f"trend.{slug}.{model}"
        checks = [f"{base}.ljung_box_p", f"{base}.durbin_watson", f"{base}.growth_lo95"]
        # Errors that alternate (Durbin-Watson above two) make an interval too wide, not too narrow.
        if all(key in q for key in checks) and q[checks[0]].value < SIGNIFICANT and q[checks[1]].value < ALTERNATING:
            found.append(model_name(model))
    return found


def _ends(keys: list[str], q: Quantities) -> list[str]:
    """The keys of the lowest and the highest of several quantities; none where none is known."""
    known = sorted((key for key in keys if key in q), key=lambda key: q[key].value)
    return [known[0], known[-1]] if known else []


def _tested(slug: str, models: list[str], q: Quantities) -> dict[str, Any]:
    """Who loses to drift in the backtest at every horizon, whose intervals were too narrow, who did better of late."""
    base = f"backtest.{slug}"
    counts = {
        int(key.rsplit(".h", 1)[1]): item.value for key, item in q.items() if _is(key, f"{base}.drift.forecasts.h")
    }
    horizons = sorted(h for h, count in counts.items() if count >= FEWEST_FORECASTS)
    if not horizons or f"{base}.naive.male.h{horizons[-1]}" not in q:
        return {"tested": False, "too_few_forecasts": True, "losers": [], "all_lose": False}
    far = horizons[-1]

    def ratios(model: str) -> list[float]:
        return [q[key].value for h in horizons if (key := f"{base}.{model}.male_to_drift.h{h}") in q]

    others = [model for model in models if model not in ("naive", "drift") and ratios(model)]
    losers = [model for model in others if min(ratios(model)) > 1]
    later_start = LATER_STARTS[0]
    later = f"origins_from_{later_start}.h1"
    winners = [
        model
        for model in others
        if q.value_or(f"{base}.{model}.forecasts.{later}", 0) >= FEWEST_FORECASTS
        and q.value_or(f"{base}.{model}.male_to_drift.{later}", 1) < 1
    ]
    losses = {model: q[key].value for model in models if (key := f"ledger.{slug}.{model}.pinball.replayed") in q}
    best = min(losses, key=lambda model: losses[model]) if losses else ""
    return {
        "tested": True,
        "bt": base,
        "near": "h1",
        "far": f"h{far}",
        "far_years": far,
        "ahead": "one year ahead" if far == 1 else f"{cardinal(far)} years ahead",
        "losers": [model_name(model) for model in losers],
        "losers_with_naive": len(losers) + (min(ratios("naive")) > 1),
        "others_tested": len(others),
        "all_lose": bool(losers) and len(losers) == len(others),
        "later_winners": [model_name(model) for model in winners],
        "later_start": later_start,
        "narrow_far": sum(f"{base}.{model}.narrow80.h{far}" in q for model in models),
        "ld": f"ledger.{slug}",
        "best_quantiles": best if best != "drift" else "",
        "conformal_low": "conformal_lo80",
        "conformal_high": "conformal_hi80",
    }


def _is(key: str, stem: str) -> bool:
    """Whether `key` is `stem` and a number."""
    return key.startswith(stem) and key.removeprefix(stem).isdecimal()


def _chances(q: Quantities) -> dict[str, Any]:
    """Keys of the least and the greatest chance of the target, of the largest Monte Carlo error, of the rate."""
    same = [f"target.{TARGET}.chance.{model}" for model in MODEL_WORDS]
    every = [key for key in q if key.startswith(f"target.{TARGET}.chance.")]
    errors = _ends([key for key in q if re.match(r"target\.\w+\.chance_error\.", key)], q)
    rates = [key for key in q if key.startswith("fx.usdjpy.average.")]
    shares = sorted(key for key in q if key.startswith("content.anime.share."))
    return {
        "chance_range": _ends(same, q),
        "every_chance": _ends(every, q),
        "chance_error": errors[-1] if errors else "",
        "average_rate": rates[0] if rates else "none",
        "rate_average": "rate_average",
        "shares": [shares[0], shares[-1]] if len(shares) > 1 else [],
        "share_years": [key.rsplit(".", 1)[1] for key in shares],
        "interim": INTERIM,
        "interim_year": next((key.rsplit(".", 1)[1] for key in q if key.startswith(f"target.{INTERIM}.level.")), ""),
    }


def _span_words(years: pd.Series) -> str:
    runs = contiguous(int(year) for year in years)
    return listed([str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs])


def _ratio_years(q: Quantities, breaks: pd.DataFrame) -> dict[str, Any]:
    """Years in which the broad overseas market over studios' receipts is near its median.

    Counted before and after the first change of method that the register infers for overseas.
    """
    prefix = "market.overseas.over_studio."
    ratios = pd.Series({int(key[len(prefix) :]): item.value for key, item in q.items() if key.startswith(prefix)})
    changed = breaks[(breaks["series"] == "market.overseas") & (breaks["kind"] == "method")]["year"]
    if ratios.empty or changed.empty:
        return {"ratio_is_steady": False}
    year = int(changed.min())
    steady = (ratios / ratios.median() - 1).abs() <= STEADY
    before, after = steady[steady.index < year], steady[steady.index >= year]
    return {
        "ratio_break": year,
        "steady_before": int(before.sum()),
        "years_before": len(before),
        "steady_after": int(after.sum()),
        "years_after": len(after),
        "ratio_is_steady": len(before) > SHORT_RUN and before.mean() > STEADY_PART,
    }


def _sample(slug: str, trends: pd.DataFrame, q: Quantities) -> dict[str, Any]:
    """The series and years that the models saw, which parameters may change."""
    fitted = trends.dropna(subset="first_year") if "first_year" in trends else trends.iloc[:0]
    found: dict[str, Any] = {
        "tr": f"trend.{slug}",
        "pj": f"projection.{slug}",
        "is_overseas": slug == "overseas",
        "subject_words": series_words(str(trends["series"].iloc[0])) + BASIS_WORDS[str(trends["basis"].iloc[0])],
        "is_unsure": f"trend.{slug}.drift.growth" in q and q[f"trend.{slug}.drift.growth"].confidence == "low",
        "at_bounds": [
            row.model for row in trends.itertuples() if "at their bounds" in row.remark or "one side of" in row.remark
        ],
        "sample_count": 0,
        "sample_first": 0,
        "last_fitted": 0,
        "last_level": 0.0,
    }
    if len(fitted):
        first, last = int(fitted["first_year"].iloc[0]), int(fitted["last_year"].iloc[0])
        sample = f"trend.{slug}.sample.{first}-{last}"
        level = q[sample].inputs[-1]
        found |= {"sample_count": last - first + 1, "sample_first": first, "last_fitted": last}
        found["last_level"] = q[level].value
    return found


def _marked(breaks: pd.DataFrame) -> list[str]:
    """Series and years whose growth compares across a change of scope or method."""
    rows = breaks[breaks["marks_growth"] & breaks["series"].isin(list(SERIES_WORDS))]
    return [
        f"the {SERIES_WORDS[row.series]} into {row.year:.0f} ({'documented' if row.is_documented else 'inferred'})"
        for row in rows.itertuples()
    ]


def _single_years(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Years of overseas revenue that no other source prints within rounding."""
    ours = tables["market"].query("series == 'overseas'")
    others = pd.concat(
        [
            tables["market_editions"].query("series == 'overseas' and not is_derived"),
            tables["content_exports"].query("sector == 'anime' and not is_derived and not is_rounded"),
        ]
    )[["year", "level_jpy_100m", "source_id"]]
    pairs = ours.merge(others, on="year", suffixes=("", "_other"))
    apart = (pairs["level_jpy_100m"] - pairs["level_jpy_100m_other"]).abs()
    confirmed = pairs[(pairs["source_id"] != pairs["source_id_other"]) & (apart <= 1)]["year"]
    return ours.loc[~ours["year"].isin(confirmed), "year"]


def _dollar_caveats(verdicts: pd.DataFrame, q: Quantities) -> dict[str, Any]:
    """Dollar claims that hold only at another rate: how many, of which day, and too low or high."""
    rows = verdicts[(verdicts["verdict"] == CAVEAT) & verdicts["evidence"].str.contains("fx.usdjpy.spot.", regex=False)]
    own_year = rows["evidence"].str.extract(r"fx\.usdjpy\.level\.(\d{4})", expand=False)
    # A figure for another year than the rate's has no average of its own to be measured by.
    off = rows[rows["caveat"].str.startswith("Only at about") & (rows["period"] == own_year)]
    if off.empty:
        return {"dollar_caveats": 0, "rate_day": "", "rates_low": False}
    keys = off["evidence"].iloc[0].split("; ")
    spot = next(key for key in keys if key.startswith("fx.usdjpy.spot."))
    average = next(key for key in keys if key.startswith("fx.usdjpy.level."))
    day = pd.Timestamp(q[spot].period)
    return {
        "dollar_caveats": len(off),
        "rate_day": f"{day.day} {day:%B %Y}",
        "rates_low": q[spot].value > q[average].value,
    }
