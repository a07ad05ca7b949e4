"""The narrative: Jinja templates over quantities, with no number typed in them.

A template asks for numbers by key and for words by rule: `rose`, `widened`, `the second-fastest` and the
like come out of `words` by way of `Teller`, which looks at the run's own quantities at the precision that a
reader sees, so that the text stays true when the figures change. A missing quantity is a passage left
out, never a guess.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from anime_growth import doubts, links, paths, rules, units, words
from anime_growth.backtest import FEWEST_JUDGED
from anime_growth.checks import ROUNDING_JPY_100M
from anime_growth.claims import CAVEAT, CONTRADICTED, NOT_CHECKABLE, ONLY_AT, SUPPORTED
from anime_growth.describe import contiguous, in_spans
from anime_growth.errors import InputError
from anime_growth.languages import AGAIN, ENGLISH, TEMPLATES, WITHOUT_SPACES, say, speaking
from anime_growth.quantities import MODEL_WORDS, Quantities, Quantity, model_name
from anime_growth.retelling import retold, telling
from anime_growth.series import ALTERNATING, LATER_STARTS, SIGNIFICANT, named, slug_of

_IN_BRACES = re.compile(r"(\{[^{}]*\})")
# Characters that would make a link, an emphasis or an element of what is only quoted.
_MARKDOWN = re.compile(r"[\\`*_\[\]|!~]")
_MARKDOWN_OR_HTML = re.compile(r"[\\`*_\[\]|!~<>]")
# What is told in paragraphs has a template for each language, named in full; see languages.CATALOGUES.
NARRATIVE = {"en": "narrative.en.md.j2", "ja": "narrative.ja.md.j2"}
FINDING = {"en": "finding.en.md.j2", "ja": "finding.ja.md.j2"}
LIMITS = {"en": "limits.en.md.j2", "ja": "limits.ja.md.j2"}
# How many rankings of the anime market with a caveat are told; the verdict table has all.
MAIN_RANKINGS = 2
# A ratio is steady in a year that lies within this of its middle value [%].
STEADY_PCT = 1
# The part of years that must be near it before the text calls the ratio steady.
STEADY_PART = 2 / 3
TARGET = "content_2033"
# With no more years than this a rank among them says nothing.
SHORT_RUN = 3
# The recent years whose growth is told beside that of all; describe measures them.
RECENT_YEARS = 2
# Chances that span more than this say that nobody knows [percentage points].
OPEN_POINTS = 50
# The series of the market as running text calls them.
SHORT_WORDS = {
    "market.overseas": "overseas revenue",
    "market.domestic": "domestic revenue",
    "market.total": "the whole market",
}
# The nominal coverage of the intervals that are told [%].
WIDE, INNER = 95, 80


@cache
def environment(as_html: bool = False) -> jinja2.Environment:
    """Templates of this package; an undefined name is an error, not an empty string.

    With `as_html` whatever a template of Markdown is given is escaped, as it may come out of files that
    anyone may write.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True if as_html else jinja2.select_autoescape(["html.j2"]),
    )


def template(name: str, as_html: bool = False) -> jinja2.Template:
    """A template of this package by its name. Raises InputError where it is missing or damaged."""
    try:
        return environment(as_html).get_template(name)
    except jinja2.TemplateNotFound as problem:
        raise InputError(paths.shown(TEMPLATES / name), "is missing", AGAIN) from problem
    except jinja2.TemplateSyntaxError as problem:
        where = f"{paths.shown(TEMPLATES / (problem.name or name))}, line {problem.lineno}"
        raise InputError(where, f"is no template ({problem.message})", AGAIN) from problem


@dataclass(frozen=True)
class Teller:
    """What a template may ask: numbers, words that depend on numbers, and whether something is known.

    In Markdown all of it is plain text; in HTML a number, or a word that stands for one, is a link that
    carries its key.
    """

    q: Quantities
    as_html: bool = False

    # --- numbers ---
    def has(self, *parts: object) -> bool:
        """Whether this run knows the quantity."""
        return _key(parts) in self.q

    def value(self, *parts: object) -> float:
        """The plain value, for a condition."""
        return self.q[_key(parts)].value

    def printed(self, *parts: object) -> float:
        """The value at its printed precision, so that what reads as nought counts as nought."""
        item = self.q[_key(parts)]
        return round(item.value, item.digits)

    def _show(self, item: Quantity, text: str) -> str:
        return links.number(item.key, text) if self.as_html else text

    def n(self, *parts: object) -> str:
        """A quantity with its unit in words."""
        item = self.q[_key(parts)]
        return self._show(item, item.text)

    def size(self, *parts: object) -> str:
        """A quantity without its sign, for sentences whose verb carries the direction."""
        item = self.q[_key(parts)]
        return self._show(item, item.text.replace("−", ""))

    def number(self, *parts: object) -> str:
        """The bare number, without its unit."""
        item = self.q[_key(parts)]
        return self._show(item, item.number)

    def day(self, *parts: object) -> str:
        """The day that a quantity is of, as in 29 October 2025."""
        item = self.q[_key(parts)]
        return self._show(item, words.day(pd.Timestamp(item.period)))

    def count_words(self, *parts: object) -> str:
        """A count in words, `none` for nought."""
        item = self.q[_key(parts)]
        return self._show(item, words.how_many(round(item.value)))

    # --- words that follow from numbers ---
    def changed(self, *parts: object, strong: bool = False) -> str:
        """`rose by 26.0 %`, `fell by 12.0 %` or `stayed level`; `strong` sets the number in bold."""
        return self._moved(words.moved, parts, strong)

    def changed_too(self, own: str, other: str, strong: bool = False) -> str:
        """A change told after another, `by 16.9 %`, with a verb of its own only where that differs."""
        verb = words.moved(self.printed(own))
        if self.printed(own) and verb == words.moved(self.printed(other)):
            return self._plain(say("by **{}**" if strong else "by {}"), self.size(own))
        return self.changed(own, strong=strong)

    def changed_to(self, growth: str, level: str) -> str:
        """`rose by 14.8 % to JPY 3.84 trillion`, or `stayed level at` it."""
        form = say("{} to {}" if self.printed(growth) else "{} at {}")
        return self._plain(form, self.changed(growth), self.n(level))

    def had_changed(self, *parts: object) -> str:
        """`risen by 26.0 %`, `fallen by 12.0 %` or `stayed level`, of an earlier time."""
        return self._moved(words.had_moved, parts)

    def _moved(self, rule: Callable[[float], str], parts: tuple[object, ...], strong: bool = False) -> str:
        change = self.printed(*parts)
        if not change:
            return self._show(self.q[_key(parts)], rule(change))
        return self._plain(say("{} by **{}**" if strong else "{} by {}"), rule(change), self.size(*parts))

    def rises(self, *parts: object) -> bool:
        """Whether a growth is above nought as printed."""
        return self.printed(*parts) > 0

    def paced(self, now: str, before: str) -> str:
        """What growth did, `accelerated from the 18.0 %`; empty unless both years grew."""
        pace = words.pace(self.printed(now), self.printed(before))
        return self._plain(say("{} the {}"), pace, self.n(before)) if pace else ""

    def speed(self, own: str, other: str) -> str:
        """`slower than` and the like, of two growths; empty unless both rose."""
        return words.speed(self.printed(own), self.printed(other))

    def amount(self, own: str, other: str) -> str:
        """`less than`, `more than` or `as much as`."""
        return words.amount(self.printed(own), self.printed(other))

    def gap(self, now: str, before: str) -> str:
        """What a lead did: `widened from JPY 97.9 billion to ...`, `narrowed ...` or `stayed level at ...`."""
        did = words.gap(self.printed(now), self.printed(before))
        if self.printed(now) == self.printed(before):
            return self._plain(say("{} at {}"), did, self.n(now))
        return self._plain(say("{} from {} to {}"), did, self.n(before), self.n(now))

    def position(self, own: str, other: str) -> str:
        """`below`, `above` or `level with`, of two levels."""
        return words.position(self.value(own), self.value(other))

    def ranked(self, superlative: str, *parts: object) -> str:
        """`the fastest`, `the second-fastest` and so on, from a rank."""
        item = self.q[_key(parts)]
        return self._show(item, words.ranked(superlative, round(item.value)))

    def ranked_of(self, *parts: object) -> int:
        """How many values a rank is one of."""
        return len(self.q[_key(parts)].inputs)

    def ranked_of_words(self, *parts: object) -> str:
        """How many values a rank is one of, in words."""
        return self._show(self.q[_key(parts)], words.cardinal(self.ranked_of(*parts)))

    def record(self, rank: str, growth: str) -> str:
        """`, a record,` where the level is above all others, and reads as risen if it is known what it did."""
        own, *others = (self.q[key].value for key in self.q[rank].inputs)
        is_above = all(own > other for other in others)
        return say(", a record,") if is_above and (not self.has(growth) or self.rises(growth)) else ""

    def part(self, whole: str, *parts: object) -> str:
        """`most of the increase, 90.7 %`, or `45.0 % of the increase` where that is no majority."""
        word = words.share_of(self.printed(*parts))
        return (
            self._plain(say("{} the {}, {}"), word, say(whole), self.n(*parts))
            if word
            else self._plain(say("{} of the {}"), self.n(*parts), say(whole))
        )

    def multiple(self, *parts: object) -> str:
        """`more than triple` and the like, or `1.50 times` where there is no word for it."""
        item = self.q[_key(parts)]
        return self._show(item, words.multiple(item.value) or item.text)

    def trend(self, low: str, high: str) -> str:
        """What an interval of growth says: `grows`, `shrinks` or, where it holds nought, `open`."""
        return "grows" if self.value(low) > 0 else "shrinks" if self.value(high) < 0 else "open"

    # --- text that holds numbers ---
    def filled(self, sentence: str) -> str:
        """A sentence out of rules.yml with each {key} replaced by the quantity."""
        with telling(sentence) as told:
            pieces = _IN_BRACES.split(told)
            if self.as_html:
                return Markup("").join(
                    links.filled(piece, self.q) if _IN_BRACES.fullmatch(piece) else self._quoted(piece)
                    for piece in pieces
                )
            return "".join(
                rules.filled(piece, lambda key, unit: self.q[key].text_in(unit))
                if _IN_BRACES.fullmatch(piece)
                else self._quoted(piece)
                for piece in pieces
            )

    def said(self, text: str) -> str:
        """Words out of claims.csv, rules.yml or the register."""
        return self._quoted(retold(text))

    def _quoted(self, text: str) -> str:
        """Plain text: nothing in it is Markdown or HTML."""
        if self.as_html:
            return Markup(_MARKDOWN.sub(r"\\\g<0>", str(Markup.escape(text))))
        return _MARKDOWN_OR_HTML.sub(r"\\\g<0>", text)

    def caveat(self, row: Mapping[str, str]) -> str:
        """The caveat of a verdict with its numbers."""
        return self.filled(doubts.caveat(row))

    def listed(self, items: list[str]) -> str:
        """Items joined by commas and a last `and`."""
        return Markup(words.listed([Markup.escape(item) for item in items])) if self.as_html else words.listed(items)

    def strong(self, text: str) -> str:
        """Text in bold, also where no space stands around it; asterisks want one beside a percent sign or a link."""
        return self._plain("<strong>{}</strong>", text)

    def _plain(self, form: str, *parts: str) -> str:
        return Markup(form).format(*parts) if self.as_html else form.format(*parts)


def _key(parts: tuple[object, ...]) -> str:
    return ".".join(str(part) for part in parts)


# What stands on a line of its own: where the report puts a figure.
MARK = r"<!-- figure: (\w+) -->"


def tell(context: Mapping[str, Any], q: Quantities, as_html: bool = False) -> str:
    """The narrative in Markdown, in the context's language; with `as_html` numbers carry their keys as links."""
    text = _render(NARRATIVE, context, q, as_html)
    text = re.sub(rf"\n*({MARK})\n*", r"\n\n\1\n\n", text)
    if context["language"] in WITHOUT_SPACES:  # where a line ends inside a paragraph, a page shows a space
        text = re.sub(r"(?<=。)\n(?=[^\s#<*-])", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def placed(told: str) -> list[str]:
    """Names of the figures that the narrative places, in order."""
    return re.findall(MARK, told)


def with_pictures(told: str, figures: Mapping[str, tuple[bytes, str]]) -> str:
    """The narrative in Markdown with its figures as pictures that lie next to it."""

    def picture(mark: re.Match[str]) -> str:
        return f"![{figures[mark[1]][1]}](figures/{mark[1]}.svg)"

    return re.sub(MARK, picture, told)


def finding(context: Mapping[str, Any], q: Quantities) -> str:
    """The finding in one paragraph, as the README shows it first."""
    between = "" if context["language"] in WITHOUT_SPACES else " "
    return between.join(_render(FINDING, context, q).split()) + "\n"


def limits(context: Mapping[str, Any], q: Quantities) -> str:
    """The known limits of a run as a list in Markdown, as the README shows them."""
    lines = _render(LIMITS, context, q).splitlines()
    return "\n".join(" ".join(line.split()) for line in lines if line.strip()) + "\n"


def _render(templates: Mapping[str, str], context: Mapping[str, Any], q: Quantities, as_html: bool = False) -> str:
    helpers = {rule.__name__: rule for rule in (words.cardinal, words.counted, words.how_many, words.part_of)}
    language = context["language"]
    with speaking(language):
        wanted = template(templates[language], as_html)
        return wanted.render(t=Teller(q, as_html), capital=words.capital, **helpers, **context)


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
    language: str = ENGLISH,
) -> dict[str, Any]:
    """What the templates need beside numbers: years, spans, models and verdicts found in the run.

    Names of series and models are in `language`, and so is all that is told with this context.
    """
    with speaking(language):
        return {"language": language, **_found(tables, trends, projections, verdicts, q)}


def _found(
    tables: Mapping[str, pd.DataFrame],
    trends: pd.DataFrame,
    projections: pd.DataFrame,
    verdicts: pd.DataFrame,
    q: Quantities,
) -> dict[str, Any]:
    market, breaks = tables["market"], tables["breaks"]
    years = {series: sorted(int(year) for year in rows["year"]) for series, rows in market.groupby("series")}
    run = contiguous(years["overseas"])[-1]
    slug = _slug(trends)
    fitted = [model for model in MODEL_WORDS if f"trend.{slug}.{model}.growth" in q]
    refused = trends[trends["remark"].str.startswith("not fitted")]
    horizon = int(projections["year"].max()) if len(projections) else 0
    return {
        "edition": int(market["edition"].iloc[0]),
        **_years(run, q),
        "horizon": horizon,
        "models": fitted,
        "model_names": {model: _named(model) for model in MODEL_WORDS},
        "refusal": str(refused["remark"].iloc[0]).removeprefix("not fitted: ") if len(refused) else "",
        "correlated": _correlated(slug, fitted, q),
        "lead_story": words.lead_story(_by_year("market.overseas.lead", q), "domestic"),
        **_judged(verdicts),
        **_readings(tables),
        "marked": _marked(breaks),
        "classifications": list(breaks.query("kind == 'classification' and series == 'market.overseas'")["finding"]),
        **_sample(slug, trends, q),
        **_tested(slug, fitted, horizon, q),
        **_chances(q),
        "growth_range": _ends([f"trend.{slug}.{model}.growth" for model in fitted if model != "naive"], q),
        "usd_range": _ends([f"trend.{slug}_usd.{model}.growth" for model in fitted if model != "naive"], q),
        "sp": f"specification.{slug_of(str(trends['series'].iloc[0]), 'yen')}",
        **_ratio_years(q, breaks),
        "content_years": sorted(key.rsplit(".", 1)[1] for key in q if re.match(r"content\.total\.level\.\d{4}$", key)),
        "target": TARGET,
        "goal_year": next((key.rsplit(".", 1)[1] for key in q if key.startswith(f"target.{TARGET}.level.")), ""),
        "low": "p10",
        "middle": "p50",
        "high": "p90",
        "lower": f"growth_lo{WIDE}",
        "upper": f"growth_hi{WIDE}",
        "interval": say(units.PERCENT.text).format(WIDE),
        "inner": say(units.PERCENT.text).format(INNER),
        "inner_odds": words.odds(INNER),
        "inner_cover": f"cover{INNER}",
    }  # fmt: skip


def _years(run: list[int], q: Quantities) -> dict[str, Any]:
    """The years that the text compares: the last two, the first, the lowest, and how much larger the last is."""
    first, latest = run[0], run[-1]
    span = f"{first}-{latest}"
    trough = round(q.value_or(f"market.overseas.trough.{span}", first))
    grown = _by_year("market.overseas.growth", q)
    return {
        "first": first,
        "latest": latest,
        "before": latest - 1,
        "span": span,
        "low_span": f"{trough}-{latest}",
        "recent": RECENT_YEARS,
        "recent_span": f"{latest - RECENT_YEARS}-{latest}",
        "trough": trough,
        "ranked_since": min(grown, default=latest),
        "has_long_run": len(run) > SHORT_RUN,
        "is_multiple": bool(words.multiple(q.value_or(f"market.overseas.multiple.{first}-{latest}", 1))),
    }


def _judged(verdicts: pd.DataFrame) -> dict[str, Any]:
    """The articles whose claims were judged, the one under study first, and the verdicts worth a line."""
    told = verdicts.assign(is_study=verdicts["article"] == rules.UNDER_STUDY)
    articles = []
    for name, rows in told.groupby("article", sort=False):
        base, first = f"article.{name}.claims", rows.iloc[0]
        articles.append(
            {
                "is_study": bool(first["is_study"]),
                "words": str(first["article_words"]),
                "contradicted": rows[rows["verdict"] == CONTRADICTED].to_dict("records"),
                "all": f"{base}.all",
                **{
                    kind: f"{base}.{verdict.replace(' ', '_')}"
                    for kind, verdict in (
                        ("holds", SUPPORTED), ("limited", CAVEAT), ("wrong", CONTRADICTED), ("open", NOT_CHECKABLE)
                    )
                },
            }
        )  # fmt: skip
    leading = told[told["article"] == told["article"].iloc[0]] if len(told) else told
    of_market = leading["evidence"].str.contains(r"\bmarket\.", regex=True)
    ranked = leading[(leading["verdict"] == CAVEAT) & (leading["kind"] == "ranking") & of_market]
    return {
        "articles": articles,
        "ranked_with_caveat": ranked[:MAIN_RANKINGS].to_dict("records"),
        **_dollar_caveats(leading),
    }


def _by_year(stem: str, q: Quantities) -> dict[int, float]:
    """Values of the quantities `<stem>.<year>`."""
    return {int(key.rsplit(".", 1)[1]): item.value for key, item in q.items() if _is(key, f"{stem}.")}


def _named(model: str) -> str:
    """A model in words that `the` may stand before; `naive` is no noun, and drift is named without `the`."""
    return say("naive model") if model == "naive" else model_name(model)


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


def _tested(slug: str, models: list[str], horizon: int, q: Quantities) -> dict[str, Any]:
    """Who loses to drift in the backtest at every horizon, whose intervals were too narrow, who did better of late."""
    base = f"backtest.{slug}"
    counts = {
        int(key.rsplit(".h", 1)[1]): item.value for key, item in q.items() if _is(key, f"{base}.drift.forecasts.h")
    }
    horizons = sorted(h for h, count in counts.items() if count >= FEWEST_JUDGED)
    if not horizons or f"{base}.naive.male.h{horizons[-1]}" not in q:
        return {"tested": False, "too_few_forecasts": True, "losers": []}
    far = horizons[-1]

    def ratios(model: str) -> list[float]:
        return [q[key].value for h in horizons if (key := f"{base}.{model}.male_to_drift.h{h}") in q]

    others = [model for model in models if model not in ("naive", "drift") and ratios(model)]
    losers = [model for model in others if min(ratios(model)) > 1]
    later_start = LATER_STARTS[0]
    later = f"origins_from_{later_start}.h{horizons[0]}"
    winners = [
        model
        for model in others
        if q.value_or(f"{base}.{model}.forecasts.{later}", 0) >= FEWEST_JUDGED
        and q.value_or(f"{base}.{model}.male_to_drift.{later}", 1) < 1
    ]
    losses = {model: q[key].value for model in models if (key := f"ledger.{slug}.{model}.pinball.replayed") in q}
    best = min(losses, key=lambda model: losses[model]) if losses else ""
    bands = _bands(slug, models, horizon, q)
    return {
        "tested": True,
        "bt": base,
        "near": f"h{horizons[0]}",
        "far": f"h{far}",
        "ahead": say("{years} ahead", years=words.counted(far, "year")),
        "up_to_far": f" up to {words.counted(far, 'year')}",
        "near_ahead": say("{years} ahead", years=words.counted(horizons[0], "year")),
        "losers": [_named(model) for model in losers],
        "others_tested": len(others),
        "later_winners": [_named(model) for model in winners],
        "later_start": later_start,
        "narrow_far": sum(f"{base}.{model}.narrow{INNER}.h{far}" in q for model in models),
        "ld": f"ledger.{slug}",
        "best_quantiles": best if best != "drift" else "",
        "better_quantiles": [_named(model) for model in losses if losses[model] < losses["drift"]],
        "bands": len(bands),
        "wider_bands": sum(bands),
        "conformal_low": f"conformal_lo{INNER}",
        "conformal_high": f"conformal_hi{INNER}",
    }


def _bands(slug: str, models: list[str], horizon: int, q: Quantities) -> list[bool]:
    """For each model whether its empirical interval is wider than its own in the last year projected.

    Both are ratios of ends, as all models are fitted on the log scale.
    """
    found = []
    for model in models:
        base = f"projection.{slug}.{model}"
        ends = [f"{base}.{end}.{horizon}" for end in ("p10", "p90", f"conformal_lo{INNER}", f"conformal_hi{INNER}")]
        if all(key in q for key in ends):
            low, high, empirical_low, empirical_high = (q[key].value for key in ends)
            found.append(empirical_high / empirical_low > high / low)
    return found


def _is(key: str, stem: str) -> bool:
    """Whether `key` is `stem` and a number."""
    return key.startswith(stem) and key.removeprefix(stem).isdecimal()


def _chances(q: Quantities) -> dict[str, Any]:
    """Keys of the least and the greatest chance of the target, of the largest Monte Carlo error, of the rate."""
    same = [f"target.{TARGET}.chance.{model}" for model in MODEL_WORDS]
    every = [key for key in q if key.startswith(f"target.{TARGET}.chance.")]
    errors = _ends([key for key in q if re.match(r"target\.\w+\.chance_error\.", key)], q)
    ends = [q[key].value for key in _ends(same, q)]
    rates = [key for key in q if key.startswith("fx.usdjpy.average.")]
    shares = sorted(key for key in q if key.startswith("content.anime.share."))
    return {
        "chance_range": _ends(same, q),
        "is_anyones_guess": bool(ends) and ends[-1] - ends[0] > OPEN_POINTS,
        "every_chance": _ends(every, q),
        "chance_error": errors[-1] if errors else "",
        "average_rate": rates[0] if rates else "none",
        "average_since": rates[0].rsplit(".", 1)[1].split("-")[0] if rates else "none",
        "rate_average": "rate_average",
        "shares": [shares[0], shares[-1]] if len(shares) > 1 else [],
        "share_years": [key.rsplit(".", 1)[1] for key in shares],
    }


def _ratio_years(q: Quantities, breaks: pd.DataFrame) -> dict[str, Any]:
    """Years in which the broad overseas market over studios' receipts is near its median.

    Counted before and after the first change of method that the register infers for overseas.
    """
    ratios = pd.Series(_by_year("market.overseas.over_studio", q))
    changed = breaks[(breaks["series"] == "market.overseas") & (breaks["kind"] == "method")]["year"]
    if ratios.empty or changed.empty:
        return {"ratio_is_steady": False}
    year = int(changed.min())
    steady = (ratios / ratios.median() - 1).abs() <= STEADY_PCT / 100
    before, after = steady[steady.index < year], steady[steady.index >= year]
    return {
        "ratio_break": year,
        "steady_pct": STEADY_PCT,
        "unconfirmed": next((key for key in q if key.startswith("studio.overseas.unconfirmed.")), ""),
        "steady_before": int(before.sum()),
        "years_before": len(before),
        "steady_after": int(after.sum()),
        "years_after": len(after),
        "ratio_is_steady": len(before) > SHORT_RUN and before.mean() > STEADY_PART,
        "ratio_changed": len(after) > 0 and after.mean() < 1 - STEADY_PART,
    }


def _sample(slug: str, trends: pd.DataFrame, q: Quantities) -> dict[str, Any]:
    """The series and years that the models saw, which parameters may change."""
    fitted = trends.dropna(subset="first_year") if "first_year" in trends else trends.iloc[:0]
    found: dict[str, Any] = {
        "tr": f"trend.{slug}",
        "pj": f"projection.{slug}",
        "is_overseas": slug == "overseas",
        "subject_words": named(str(trends["series"].iloc[0]), str(trends["basis"].iloc[0])),
        "is_unsure": f"trend.{slug}.drift.growth" in q and q[f"trend.{slug}.drift.growth"].confidence == "low",
        "at_bounds": [
            row.model for row in trends.itertuples() if "at their bounds" in row.remark or "one side of" in row.remark
        ],
        "one_sided": {row.model: row.remark for row in trends.itertuples() if "one side of" in row.remark},
    }
    if len(fitted):
        first, last = int(fitted["first_year"].iloc[0]), int(fitted["last_year"].iloc[0])
        sample = f"trend.{slug}.sample.{first}-{last}"
        found |= {"sample": sample, "sample_first": first, "last_fitted": last, "last_level": q[sample].inputs[-1]}
    return found


def _marked(breaks: pd.DataFrame) -> list[str]:
    """Series and years whose growth compares across a change of scope or method."""
    rows = breaks[breaks["marks_growth"] & breaks["series"].isin(list(SHORT_WORDS))]
    found = []
    for (year, documented), group in rows.groupby(["year", "is_documented"]):
        names = words.listed([say(SHORT_WORDS[name]) for name in group["series"]])
        how = say("documented" if documented else "inferred")
        found.append(say("{series} into {year} ({how})", series=names, year=f"{year:.0f}", how=how))
    return found


def _readings(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Which years of the edition in use a further source prints, within rounding; how many sources print the rest."""
    market, editions = tables["market"], tables["market_editions"].query("not is_derived")
    exports = tables["content_exports"].query("sector == 'anime' and not is_derived and not is_rounded")
    columns = ["year", "level_jpy_100m", "source_id"]
    own = {series: market[market["series"] == series] for series in ("overseas", "total")}
    again = {
        "overseas": pd.concat([editions.query("series == 'overseas'")[columns], exports[columns]]),
        "total": editions.query("series == 'total'")[columns],
    }
    confirmed = {series: _confirmed(own[series], again[series]) for series in own}
    single = own["overseas"][~own["overseas"]["year"].isin(confirmed["overseas"])]
    return {
        "single_years": words.listed(in_spans(single["year"])),
        "single_sources": single["source_id"].nunique(),
        "edition_sources": market["source_id"].nunique(),
        **{f"confirmed_{series}": words.listed(in_spans(years)) for series, years in confirmed.items()},
    }


def _confirmed(ours: pd.DataFrame, others: pd.DataFrame) -> list[int]:
    """Years of `ours` that another source prints within rounding [JPY 100m].

    The list of corroborating sources is no help here: it stands on every row of a year, whichever figure they print.
    """
    pairs = ours.merge(others, on="year", suffixes=("", "_other"))
    apart = (pairs["level_jpy_100m"] - pairs["level_jpy_100m_other"]).abs()
    near = pairs[(pairs["source_id"] != pairs["source_id_other"]) & (apart <= ROUNDING_JPY_100M)]
    return sorted({int(year) for year in near["year"]})


def _dollar_caveats(verdicts: pd.DataFrame) -> dict[str, Any]:
    """Dollar amounts that hold at one day's rate only: how many, the keys of that rate and of the year's average.

    A figure for another year than the rate's has no average of its own to be measured by, and is left out.
    """
    pairs = []
    for row in verdicts[verdicts["verdict"] == CAVEAT].to_dict("records"):
        named = rules.keys_in(row["caveat_template"])
        spot = next((key for key in named if key.startswith("fx.usdjpy.spot.")), "")
        if spot and row["caveat_template"].startswith(ONLY_AT) and f"fx.usdjpy.level.{row['period']}" in named:
            pairs.append((spot, f"fx.usdjpy.level.{row['period']}"))
    if not pairs:
        return {"dollar_caveats": 0}
    return {
        "dollar_caveats": pairs.count(pairs[0]),
        "spot_rate": pairs[0][0],
        "year_rate": pairs[0][1],
        "rate_year": pairs[0][1].rsplit(".", 1)[1],
    }
