"""The narrative told for other years, currencies and futures: true each time, and fit to be read aloud.

A made-up edition of 2026 repeats that of 2025 and adds a year 2025; the exchange rate and the prices of
that year are at hand, the total of all content is not.
"""

import csv
import html
import json
import re
import shutil
from dataclasses import dataclass

import pandas as pd
import pytest
from jinja2 import meta

from anime_growth import (
    backtest,
    checks,
    claims,
    clean,
    describe,
    ledger,
    links,
    narrative,
    paths,
    projections,
    rules,
    series,
    sources,
    specifications,
    targets,
    trace,
    trends,
    units,
    words,
)
from anime_growth.quantities import Quantities

# The stories are made once for all tests here, so one worker runs them.
pytestmark = pytest.mark.xdist_group("narrative")


# --- telling --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Story:
    """A run as far as the narrative needs it."""

    tables: dict[str, pd.DataFrame]
    trends: pd.DataFrame
    projections: pd.DataFrame
    verdicts: pd.DataFrame
    q: Quantities

    @property
    def context(self):
        return narrative.context(self.tables, self.trends, self.projections, self.verdicts, self.q)

    @property
    def text(self):
        return narrative.tell(self.context, self.q)

    @property
    def japanese(self):
        """The same told in Japanese, in HTML, where numbers carry their keys."""
        context = narrative.context(self.tables, self.trends, self.projections, self.verdicts, self.q, "ja")
        return narrative.tell(context, self.q, as_html=True)

    @property
    def sentences(self):
        """Sentences of running text, without marks and emphasis; the claims are told elsewhere."""
        return sentences(self.text.split("## Which claims")[0])

    def judged(self, verdicts):
        return Story(self.tables, self.trends, self.projections, verdicts, self.q)


def sentences(text):
    lines = [line.removeprefix("- ") for line in text.splitlines() if line and not line.startswith(("#", "<!--"))]
    return [part.replace("**", "") for line in lines for part in re.split(r"(?<=[.:]) (?=[A-Z])", line)]


def checked(tables):
    """The tables with what their checks found."""
    return {**tables, "checks": checks.run(tables)}


def story(tables, edition, basis="yen", start=2002, horizon=2033, name="market.overseas"):
    """All quantities of the chain, made by the functions that the notebooks call, in their order."""
    market, breaks = clean.market(tables, edition), tables["breaks"]
    tables = {**tables, "market": market}
    q = describe.describe(tables)
    subjects = series.in_every_basis(q, name, start)
    fitted = {key: trends.fit_all(subject.levels) for key, subject in subjects.items()}
    subject, (fits, refused) = subjects[basis], fitted[basis]
    table = trends.trend_table(fits, refused, subject)
    trend = trends.trend_quantities(fits, table, subject, q)
    for key in [key for key in subjects if key != basis]:
        other = trends.trend_table(*fitted[key], subjects[key], with_checks=False)
        trend = trend.joined(trends.trend_quantities(fitted[key][0], other, subjects[key], q))
    known = q.joined(trend)
    past = backtest.all_forecasts(subject.levels)
    scores, bands = backtest.scores(past), backtest.conformal(past, fits)
    declared, vintages = specifications.read(), clean.vintages(tables["market_editions"], name)
    whole = series.in_every_basis(q, name, start_year=0)
    levels = {key: other.levels for key, other in whole.items()}
    cells = specifications.fitted(declared, levels, breaks, name, vintages)
    held = specifications.conclusions(declared, cells, known, name)
    seen = ledger.outcomes(ledger.replay(subject, vintages), {(name, basis): subject.levels})
    published = ledger.outcomes(ledger.read(), {(name, key): values for key, values in levels.items()})
    projected = projections.project(fits, subject, horizon)
    anime = {key: series.choose(q, "market.overseas", key, start) for key in ("yen", "usd")}
    likely = targets.chances(*(trends.fit_all(anime[key].levels)[0] for key in ("yen", "usd")), q)
    q = q.joined(
        trend,
        backtest.backtest_quantities(scores, bands, subject, known),
        specifications.specification_quantities(held, whole, known),
        ledger.ledger_quantities(ledger.all_scores(published, seen), subject, known),
        describe.describe_estimate(q, breaks),
        projections.projection_quantities(projected, fits, subject, q),
        targets.chance_quantities(likely, anime["yen"], anime["usd"], q),
        targets.rate_quantities(q, list(anime["yen"].levels.index)),
    )
    verdicts, judged = claims.judge(rules.articles(), q, trace.raw_rows(tables))
    return Story(tables, table, projected, verdicts, q.joined(judged))


def add_edition_2026(raw, overseas, domestic):
    """Write data/raw/aja/2026: the edition of 2025 again, with `overseas` and `domestic` of 2025 [JPY 100m]."""
    with (raw / "aja/2025/aja_market_editions.csv").open(encoding="utf-8", newline="") as file:
        printed = [{**row, "edition": "2026"} for row in csv.DictReader(file) if row["edition"] == "2025"]
    new = {"broad_overseas": overseas, "broad_domestic": domestic, "broad_total": overseas + domestic}
    printed += [{**row, "year": "2025", "value": str(new[row["series"]])} for row in printed if row["year"] == "2024"]
    folder = raw / "aja/2026"
    folder.mkdir()
    with (folder / "aja_market_editions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, printed[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(printed)
    package = {**sources.describe(folder), "accessed": "2026-11-22"}
    (folder / "datapackage.json").write_text(json.dumps(package), encoding="utf-8")


# What a made-up year 2025 prints: overseas and domestic [JPY 100m]; 2024 had 21,702 and 16,705.
MADE_UP = {
    "overseas falls and loses the lead": (19098, 19500),
    "overseas falls and stays ahead": (19098, 17000),
    "nothing moves": (21702, 16705),
    "growth slows": (23000, 17000),
    "overseas draws level": (22000, 22000),
}
# Years that the edition of 2025 is made to lack, and the series that lack them.
BROAD = ("overseas", "domestic", "total")
LACKING = {
    "without 2010": (2010, BROAD),
    "without 2021": (2021, BROAD),
    "without 2022": (2022, BROAD),
    "without 2023": (2023, BROAD),
    "without domestic 2023": (2023, ("domestic", "total")),
}
CHOICES = {
    "default": {"edition": 2025},
    "in dollars": {"edition": 2025, "basis": "usd"},
    "after prices": {"edition": 2025, "basis": "real"},
    "edition 2022": {"edition": 2022},
    "edition 2023": {"edition": 2023},
    "edition 2024": {"edition": 2024},
    "from 2012": {"edition": 2025, "start": 2012},
    "from 2015": {"edition": 2025, "start": 2015},
}


@pytest.fixture(scope="module")
def told(tables, tmp_path_factory):
    """Stories by name, each made when it is first asked for."""
    made = {}

    def tell(name):
        if name not in made and name in CHOICES:
            made[name] = story(checked(tables), **CHOICES[name])
        elif name not in made and name in LACKING:
            year, lost = LACKING[name]
            printed = tables["market_editions"]
            gone = (printed["edition"] == 2025) & (printed["year"] == year) & printed["series"].isin(lost)
            # The checks are of the whole: they refuse an edition that lacks a year of its summary.
            made[name] = story({**checked(tables), "market_editions": printed[~gone]}, 2025)
        elif name not in made:
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv(paths.HOME_VARIABLE, raising=False)
                top = tmp_path_factory.mktemp("study")
                shutil.copytree(paths.raw(), top / "data/raw")
                patch.setenv(paths.HOME_VARIABLE, str(top))
                add_edition_2026(top / "data/raw", *MADE_UP[name])
                again = clean.clean_all()
                made[name] = story(checked(again), clean.choose_edition(again["market_editions"], "latest"))
        return made[name]

    return tell


# --- every story ----------------------------------------------------------------------------------
EVERY = pytest.mark.parametrize("name", [*CHOICES, *MADE_UP, *LACKING])


@EVERY
def test_every_story_is_whole_sentences_without_gaps(told, name):
    text = told(name).text
    running = re.sub(r"\n- \*\*[^*]+\*\* .*", "", text)  # models with their numbers are a list
    for sentence in sentences(running):
        assert re.match(r"[A-Z0-9]", sentence) and sentence[-1] in ".:", sentence
    for flaw in ("  ", "()", " ,", " .", "..", ",,", "None", "nan", "{", "}", " a level", "by by", "% %"):
        assert flaw not in re.sub(r"\n {2,}", "\n", text), flaw
    assert "−" not in " ".join(re.findall(r"(?:rose|fell|risen|fallen) by \S+", text))


@EVERY
def test_every_number_of_every_story_carries_its_key(told, name):
    """What is left beside keyed numbers: years, days, editions, claim ids, names of intervals and a few counts."""
    run = told(name)
    context = run.context
    shown = narrative.tell(context, run.q, as_html=True)
    assert set(links.keys_in(shown)) <= set(run.q)
    left = html.unescape(re.sub(r"<a class=\"n\".*?</a>|<!--.*?-->", " ", shown))
    shown_rows = [*context["articles"][0]["contradicted"], *context["ranked_with_caveat"]]
    allowed = [
        *("AR(1)", context["interval"], context["inner"], context["refusal"]),
        *(row["stated"] for row in shown_rows),
        # A caveat that names no key has nothing to link to.
        *(row["caveat"] for row in shown_rows if not row["caveat_template"]),
        # A label says of how many years a rank is one.
        *(run.q[key].label for row in shown_rows for key in links.split(row["evidence"])),
    ]
    if context["ratio_is_steady"]:  # counts of years that no quantity knows yet
        allowed += [f"in {context['steady_before']} of the {context['years_before']} years before"]
    for text in filter(None, allowed):
        left = left.replace(text, " ")
    days = r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
    left = re.sub(rf"{days}|\b(?:19|20)\d\d\b|\b[A-Z]\d\d\b", " ", left)
    assert re.findall(r"\S*\d\S*", left) == []


# --- every story in Japanese ----------------------------------------------------------------------
NUMBER = r"−?[\d,]+(?:\.\d+)?"


def linked(shown):
    """Keys with the texts that stand for them."""
    return re.findall(r'data-key="([^"]+)"[^>]*>([^<]*)</a>', shown)


def in_unit_of(text, unit):
    """The number of a text, Japanese or English, in `unit`; none where it has no digit."""
    plain = text.replace("−", "-").replace(",", "")
    sizes = {"兆": units.JPY_TRN, "trillion": units.JPY_TRN, "億円": units.JPY_100M, "億ドル": units.USD_100M}
    sizes |= {"billion": units.USD_BN if unit.dimension == "USD" else units.JPY_BN}
    if "兆" in plain:
        cho, oku = re.fullmatch(r"(-?\d+)兆(?:(\d+)億)?円", plain).groups()
        sign = -1 if cho.startswith("-") else 1
        return units.convert(int(cho), units.JPY_TRN, unit) + sign * units.convert(int(oku or 0), units.JPY_100M, unit)
    found = re.search(NUMBER, text.removeprefix("1ドル="))
    if found is None:
        return None
    size = next((size for word, size in sizes.items() if word in plain), unit)
    return units.convert(float(found[0].replace(",", "").replace("−", "-")), size, unit)


@EVERY
def test_every_story_rests_on_the_same_quantities_in_japanese(told, name):
    run = told(name)
    english = narrative.tell(run.context, run.q, as_html=True)
    assert set(links.keys_in(run.japanese)) == set(links.keys_in(english))


@EVERY
def test_every_number_is_the_same_in_japanese_as_in_english(told, name):
    """Beside the quantity itself, and beside each English text of it, within the last digit that either prints."""
    run = told(name)
    english = linked(narrative.tell(run.context, run.q, as_html=True))
    compared = 0
    for key, text in linked(run.japanese):
        if (key, text) in english:  # reasons of verdicts stand in English
            continue
        item = run.q[key]
        unit = units.UNITS[item.unit]
        value = in_unit_of(text, unit)
        if value is None:
            assert text == "横ばい" and round(item.value, item.digits) == 0
            continue
        if item.unit == "ratio" or re.search("[約超弱]", text):
            assert abs(value - item.value) < 1
            continue
        if "月" in text:  # a day, told with the rate of that day
            continue
        ranked = len(item.inputs) if item.unit == "rank" else None  # of how many values it is a rank
        if value == ranked:
            continue
        told_alike = [in_unit_of(other, unit) for known, other in english if known == key]
        # Where the verb carries the direction, the size stands without its sign.
        near = [number for number in told_alike if number not in (None, ranked)] or [round(item.value, item.digits)]
        finest = max(units.convert(1, units.JPY_100M, unit) * 51 if unit.dimension == "JPY" else 0, 10**-item.digits)
        assert min(abs(abs(value) - abs(number)) for number in near) <= finest, (key, text, near)
        oku = units.convert(0.5001, units.JPY_100M, unit) if unit.dimension == "JPY" else finest
        assert abs(abs(value) - abs(item.value)) <= (finest if item.is_modelled else oku), (key, text, item.value)
        compared += 1
    assert compared > 10


@EVERY
def test_every_story_in_japanese_is_whole_sentences_without_gaps(told, name, without_japanese):
    text = re.sub(r"</?(?:a|strong)\b[^>]*>", "", run_text := told(name).japanese)
    own = html.unescape(text.split("## 主張の検証")[0])
    running = [line for line in own.splitlines() if line and not line.startswith(("#", "<!--", "- "))]
    assert running and all(line.endswith("。") for line in running)
    flaws = (
        "  ",
        "（）",
        "、、",
        "。。",
        "、。",
        "None",
        "nan",
        "{",
        "}",
        "増増",
        "年年",
        "%%",
        "率率",
        " 。",
        "円円",
        "億億",
    )
    assert [flaw for flaw in flaws if flaw in own] == []
    assert "**" not in run_text
    assert without_japanese == []


@EVERY
def test_every_number_of_every_story_carries_its_key_in_japanese(told, name):
    run = told(name)
    context = narrative.context(run.tables, run.trends, run.projections, run.verdicts, run.q, "ja")
    own = run.japanese.split("## 主張の検証")[0]
    left = html.unescape(re.sub(r'<a class="n".*?</a>|<!--.*?-->', " ", own))
    # Names of intervals and models, horizons, editions and years, and counts of models, as in English.
    for text in ("AR(1)", context["interval"], context["inner"], context["refusal"]):
        left = left.replace(text, " ") if text else left
    left = re.sub(r"(?:19|20)\d\d(?=年|〜|』)|2020年価格|\d+(?=モデル)|\d+年(?:先|間)|\d+回に\d+回", " ", left)
    left = re.sub(r"中央値の上下\d+%|\d+年のうち *\d+年|\d+個のうち", " ", left)
    assert re.findall(r"\S*\d\S*", left) == []


@EVERY
def test_every_story_has_its_marks_on_lines_of_their_own(told, name):
    text = told(name).text
    assert "<!--" in text and text.count("<!--") == len(re.findall(r"(?<=\n\n)<!-- .* -->(?=\n\n|\n$)", text))


# --- the published one ----------------------------------------------------------------------------
def test_the_default_has_700_to_1200_words(told):
    assert 700 <= narrative.words_in(told("default").text) <= 1200


def test_the_default_says_what_the_figures_say(told):
    found = told("default").sentences
    for sentence in (
        "In 2024 the overseas market for Japanese anime came to an estimated JPY 2.17 trillion, a record, in the 2025 "
        "edition of the Anime Industry Report.",
        "In a year it rose by 26.0 % in yen and by 16.9 % in dollars.",
        "The whole market rose by 14.8 % to JPY 3.84 trillion.",
        "Domestic revenue rose by 2.8 % to JPY 1.67 trillion, so overseas revenue made up most of the increase, 90.7 "
        "%.",
        "In 2024 overseas revenue was nearly six times that of 2002 and 56.5 % of the whole, against 34.0 % then.",
        "Overseas passed domestic in 2020, fell behind again in 2021 and took the lead back in 2023.",
        "The lead widened from JPY 97.9 billion to JPY 499.7 billion in 2024.",
        "Overseas growth accelerated from the 18.0 % of 2023.",
        "Among all years since 2003, growth in 2024 was for overseas revenue the fourth-fastest in yen and the "
        "eighth-fastest in dollars, for the whole market the second-fastest in yen and the tenth-fastest in dollars.",
        "That share is 10.8 % from 2002 and 35.7 % in the two years to 2024.",
        "After Japanese consumer prices overseas revenue rose by 22.7 % in 2024.",
        "Their total rose by 9.1 %, slower than the broad market.",
        "That is more than triple the JPY 6.00 trillion of 2024 and asks for 14.3 % a year; in 2024 they rose by 3.9 "
        "%, less than that.",
    ):
        assert sentence in found


def test_the_interval_of_the_average_is_read_by_its_signs(told):
    open_ended = "these figures alone do not rule out that there is no underlying growth."
    assert open_ended in told("default").text
    assert "from 9.1 to 32.2 % a year: that it has grown is clear, how fast is not." in told("from 2012").text


def test_the_backtest_says_who_loses_and_whose_intervals_failed(told):
    text = told("default").text
    assert "drift missed by 0.146 on the log scale one year ahead and 0.765 five years ahead" in text
    assert "100.0 % of the 11 outcomes five years ahead lay above drift's median" in text
    assert (
        "Five of the six other models lose to drift at every horizon up to five years, over all forecasts; "
        "in those made since 2012 the damped trend and local" in text
    )
    assert (
        "Six of the eight 80 % intervals five years ahead held less often than promised, by more than chance explains"
        in text
    )
    assert "ends four times in five between JPY 1.78 trillion, below the level of 2024, and JPY 11.18 trillion." in text


def test_horizons_with_few_forecasts_are_not_told(told):
    """From 2012 on five forecasts reach one year ahead and one reaches five; from 2015 on there are two and none."""
    part = told("from 2012").text.split("Would they have known")[1].split("## Where")[0]
    assert "drift missed by 0.099 on the log scale one year ahead, naive by 0.118; " in part
    assert "of the 5 outcomes one year ahead" in part and "years ahead" not in part
    assert "Too few forecasts of the past can be made from these years" in told("from 2015").text


def test_the_chance_is_told_with_its_range_and_its_error(told):
    part = re.search(
        r"chance of getting there is (\S+) % by the drift model and from (\S+) % to (\S+) % over all",
        told("default").text,
    )
    drift, least, most = (float(number) for number in part.groups())
    assert least < drift < most
    assert "Monte Carlo error at most 0." in told("default").text


def test_another_start_year_changes_the_sample_that_the_text_speaks_of(told):
    text = told("from 2012").text
    assert "Over the 13 yearly figures since 2012" in text
    assert "From the 13 yearly figures, 2012 to 2024, the seven others find" in text
    assert "starts at the lowest year of the series" in text and "lowest year" not in told("default").text
    assert "23 yearly" not in text


def test_breaks_are_named_with_their_series_and_year(told):
    assert (
        "Growth of the whole market and domestic revenue into 2013 (documented) and overseas revenue into 2020 "
        "(inferred) compares across a change of scope or method."
    ) in told("default").text


def test_every_part_of_the_context_is_used_by_a_template(told):
    templates = [path.read_text(encoding="utf-8") for path in narrative.TEMPLATES.glob("*.md.j2")]
    used = set().union(*(meta.find_undeclared_variables(narrative.environment().parse(text)) for text in templates))
    assert sorted(set(told("default").context) - used - {"language"}) == []  # that chooses the template


def test_one_model_takes_the_singular_and_naive_a_noun(told):
    run = told("default")
    alone = {**run.context, "losers": ["damped trend"], "best_quantiles": "naive"}
    assert "the median the damped trend loses to the plain average" in narrative.limits(alone, run.q)
    text = narrative.tell(alone, run.q)
    assert "The damped trend loses to drift at every horizon up to five years, over all forecasts;" in text
    assert "(pinball loss, replayed at earlier reports) the naive model is best," in text


def test_without_errors_of_drift_no_model_is_compared_with_it(told):
    run = told("default")
    alone = {**run.context, "others_tested": 0, "losers": [], "later_winners": [], "better_quantiles": []}
    assert "sure of anything. 100.0 % of outcomes five years ahead" in narrative.limits(alone, run.q)
    text = narrative.tell(alone, run.q)
    assert "lay above drift's median. By its quantiles" in text and "to drift at every" not in text


def test_dollar_amounts_are_counted_and_measured_by_the_average_of_their_year(told):
    run = told("default")
    rates = "JPY 152.17 per dollar, the rate of 29 October 2025, and not at JPY 151.46 per dollar, the average of 2024,"
    assert f"- **Dollars.** Five amounts hold near {rates} so they are too low.\n" in run.text
    alone = run.judged(run.verdicts[run.verdicts["claim_id"].isin(["C07", "C20", "C44"])])
    assert f"- **Dollars.** One amount holds near {rates} so it is too low.\n" in alone.text
    both = "The rates were {fx.usdjpy.spot.2025-10-29} and {fx.usdjpy.level.2024}."
    other = run.judged(alone.verdicts.assign(caveat_template=both))
    assert "**Dollars.**" not in other.text


def test_the_finding_and_the_narrative_count_the_same_models(told):
    """Those that estimate growth; naive, which assumes that there is none, is told apart."""
    run = told("default")
    ((counted, listed),) = re.findall(r"the (\w+) others find \(growth .+?\n\n(.+?)\n\n", run.text, re.DOTALL)
    assert f"; {counted} simple models put it at" in narrative.finding(run.context, run.q)
    assert words.cardinal(listed.count("- **")) == counted


# --- another basis --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "words", "found"),
    [
        ("in dollars", "the overseas anime market in dollars", "USD 27.26 billion and ends four times in five"),
        ("after prices", "the overseas anime market in prices of 2020", "trillion and ends four times in five between"),
    ],
)
def test_another_basis_names_its_series_wherever_the_models_speak(told, name, words, found):
    text, default = told(name).text, told("default").text
    assert f"the average growth of {words} is" in text
    assert f"Eight simple models were fitted to {words} on the log scale; naive assumes no growth." in text
    assert f"If past drift goes on, {words} has its median for 2033 at" in text and found in text
    assert "In dollars the models say" in default and "Anime's own growth falls short" in default
    assert "Anime's own growth falls short" not in text
    market = "## What the market did"  # what was printed in yen does not depend on what the models see
    assert text.split(market)[1].split("## How fast, and")[0] == default.split(market)[1].split("## How fast, and")[0]


# --- another edition ------------------------------------------------------------------------------
TWO_YEARS = {
    "edition 2022": [
        "In 2021 the overseas market for Japanese anime came to an estimated JPY 1.31 trillion in the 2022 edition of "
        "the Anime Industry Report.",
        "In a year it rose by 6.0 % in yen and by 3.0 % in dollars.",
        "Domestic revenue rose by 21.0 % to JPY 1.43 trillion, so overseas revenue made up 23.0 % of the increase.",
        "In 2021 overseas revenue was 47.9 % of the whole, against 51.2 % in 2020.",
        "Overseas fell behind in 2021.",
        "In 2021 domestic was ahead by JPY 115.4 billion.",
        "From 2020 to 2021 overseas revenue rose by 6.0 % in yen and by 3.0 % in dollars; the exchange rate accounts "
        "for 48.8 % of the growth.",
    ],
    "edition 2023": [
        "In a year it rose by 11.1 % in yen and fell by 7.2 % in dollars.",
        "Domestic revenue rose by 2.8 % to JPY 1.47 trillion, so overseas revenue made up most of the increase, 78.6 "
        "%.",
        "In 2022 domestic was ahead by JPY 9.3 billion.",
        "From 2021 to 2022 overseas revenue rose by 11.1 % in yen and fell by 7.2 % in dollars; the exchange rate "
        "accounts for more than all of the growth, 170.7 %.",
        "Their total rose by 16.4 %, faster than the broad market.",
    ],
    "edition 2024": [
        "In a year it rose by 18.0 % in yen and by 10.4 % in dollars.",
        "Overseas passed domestic in 2023.",
        "In 2023 overseas was ahead by JPY 97.9 billion.",
        "In 2023 overseas revenue was 51.5 % of the whole, against 49.8 % in 2022.",
    ],
}


@pytest.mark.parametrize("name", TWO_YEARS)
def test_an_edition_with_two_years_tells_what_it_can_and_why_no_trend_is_fitted(told, name):
    run = told(name)
    for sentence in TWO_YEARS[name]:
        assert sentence in run.sentences
    assert "No trend is fitted to the overseas anime market, because the series has" in run.text
    told_of_market = run.text.split("## Which claims")[0].lower()
    for word in (
        "drift",
        "record,",
        "its low",
        "fastest",
        "accelerated",
        "slowed",
        "widened",
        "narrowed",
        "times that",
    ):
        assert word not in told_of_market, word


# --- a made-up year -------------------------------------------------------------------------------
UPWARD = ("record", "widened", "accelerated", "slowed", "increase", "took the lead back in 2025", "rose by 12")
SENTENCES = {
    "overseas falls and loses the lead": [
        "In 2025 the overseas market for Japanese anime came to an estimated JPY 1.91 trillion in the 2026 edition of "
        "the Anime Industry Report.",
        "In a year it fell by 12.0 % in yen and by 10.9 % in dollars.",
        "The whole market rose by 0.5 % to JPY 3.86 trillion.",
        "Domestic revenue rose by 16.7 % to JPY 1.95 trillion.",
        "In 2025 overseas revenue was more than five times that of 2002 and 49.5 % of the whole, against 34.0 % then.",
        "Overseas passed domestic in 2020, fell behind again in 2021, took the lead back in 2023 and fell behind again "
        "in 2025.",
        "In 2025 domestic was ahead by JPY 40.2 billion.",
        "In 2024 overseas revenue had risen by 26.0 %.",
        "Among all years since 2003, growth in 2025 was for the whole market the 19th-fastest in yen and the "
        "15th-fastest in dollars.",
        "From its low in yen in 2012 to 2025 overseas revenue rose by 17.3 % a year in yen and by 11.7 % a year "
        "in dollars; "
        "the exchange rate accounts for 30.3 % of the growth.",
        "That share is 10.9 % from 2002 and 60.5 % in the two years to 2025.",
        "After Japanese consumer prices overseas revenue fell by 14.7 % in 2025.",
        "No chance of the goal is given, as the total of all content is known up to 2024 and overseas revenue up to "
        "2025.",
    ],
    "overseas falls and stays ahead": [
        "In a year it fell by 12.0 % in yen and by 10.9 % in dollars.",
        "The whole market fell by 6.0 % to JPY 3.61 trillion.",
        "Domestic revenue rose by 1.8 % to JPY 1.70 trillion, so overseas revenue made up more than all of the "
        "decrease, 112.8 %.",
        "Overseas passed domestic in 2020, fell behind again in 2021 and took the lead back in 2023.",
        "The lead narrowed from JPY 499.7 billion to JPY 209.8 billion in 2025.",
        "In 2024 overseas revenue had risen by 26.0 %.",
    ],
    "nothing moves": [
        "In 2025 the overseas market for Japanese anime came to an estimated JPY 2.17 trillion in the 2026 edition of "
        "the Anime Industry Report.",
        "In a year it stayed level in yen and rose by 1.3 % in dollars.",
        "The whole market stayed level at JPY 3.84 trillion.",
        "Domestic revenue stayed level at JPY 1.67 trillion.",
        "The lead stayed level at JPY 499.7 billion in 2025.",
        "In 2024 overseas revenue had risen by 26.0 %.",
        "Among all years since 2003, growth in 2025 was for overseas revenue the 17th-fastest in dollars, for the "
        "whole market the 15th-fastest in dollars.",
        "After Japanese consumer prices overseas revenue fell by 3.1 % in 2025.",
    ],
    "growth slows": [
        "In a year it rose by 6.0 % in yen and by 7.3 % in dollars.",
        "Overseas growth slowed from the 26.0 % of 2024.",
        "The lead widened from JPY 499.7 billion to JPY 600.0 billion in 2025.",
    ],
    "overseas draws level": [
        "Overseas passed domestic in 2020, fell behind again in 2021, took the lead back in 2023 and was level with "
        "domestic in 2025.",
    ],
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_made_up_year_is_told_as_it_is(told, name):
    found = told(name).sentences
    for sentence in SENTENCES[name]:
        assert sentence in found


@pytest.mark.parametrize(
    "name", ["overseas falls and loses the lead", "overseas falls and stays ahead", "nothing moves"]
)
def test_a_year_without_growth_leaves_no_word_of_growth(told, name):
    market = told(name).text.split("## How much of it")[0]
    for word in UPWARD:
        assert word not in market, word
    assert not re.search(r"for overseas revenue the \S+-fastest in yen", market)


def test_the_finding_follows_the_made_up_year(told):
    run = told("overseas falls and loses the lead")
    finding = narrative.finding(run.context, run.q)
    assert finding.startswith(
        "In the 2026 edition of the Anime Industry Report the overseas market came to JPY 1.91 trillion in 2025: in a "
        "year it fell by 12.0 % in yen and by 10.9 % in dollars. Over the 24 yearly figures since 2002 the average "
        "growth is 7.4 % a year, with a 95 % interval from −1.6 to 17.1 % a year; seven simple models put it at −1.3 "
        "to 18.2 % a year, and all six others forecast the past worse than that plain average at every "
        "horizon up to five years. Of the"
    )
    assert "The chance" not in finding


# --- a year that is not at hand ---------------------------------------------------------------------
LEVEL = (
    "In 2024 the overseas market for Japanese anime came to an estimated JPY 2.17 trillion{} in the 2025 edition of "
    "the Anime Industry Report."
)
GAPS = {
    "without 2010": [
        LEVEL.format(", a record,"),
        "Overseas passed domestic in 2020, fell behind again in 2021 and took the lead back in 2023.",
        "Among all years since 2003 whose growth is known (20 for overseas revenue and 20 for the whole market), "
        "growth in 2024 was for overseas revenue the fourth-fastest in yen and the seventh-fastest in dollars, for the "
        "whole market the second-fastest in yen and the eighth-fastest in dollars.",
    ],
    "without 2021": [
        "Overseas passed domestic in 2023.",
        "The lead widened from JPY 97.9 billion to JPY 499.7 billion in 2024.",
        "Overseas growth accelerated from the 18.0 % of 2023.",
    ],
    "without 2022": [
        "The lead widened from JPY 97.9 billion to JPY 499.7 billion in 2024.",
        "From 2023 to 2024 overseas revenue rose by 26.0 % in yen and by 16.9 % in dollars; the exchange rate accounts "
        "for 32.5 % of the growth.",
    ],
    "without 2023": [
        LEVEL.format(""),
        "In 2024 overseas revenue was 56.5 % of the whole.",
        "In 2024 overseas was ahead by JPY 499.7 billion.",
    ],
    "without domestic 2023": [
        "In a year it rose by 26.0 % in yen and by 16.9 % in dollars.",
        "In 2024 overseas revenue was nearly six times that of 2002 and 56.5 % of the whole, against 34.0 % then.",
        "In 2024 overseas was ahead by JPY 499.7 billion.",
        "Overseas growth accelerated from the 18.0 % of 2023.",
        "Among all years since 2003, growth in 2024 was for overseas revenue the fourth-fastest in yen and the "
        "eighth-fastest in dollars.",
    ],
}


@pytest.mark.parametrize("name", GAPS)
def test_beside_a_missing_year_all_is_told_that_has_a_date(told, name):
    found = told(name).sentences
    for sentence in GAPS[name]:
        assert sentence in found


@pytest.mark.parametrize("name", ["without 2022", "without 2023", "without domestic 2023"])
def test_a_change_of_lead_without_a_date_is_not_told(told, name):
    market = told(name).text.split("## What the market did")[1].split("## How much of it")[0]
    for word in ("passed", "fell behind", "took the lead"):
        assert word not in market, word


def test_the_finding_gives_the_level_where_its_growth_is_not_known(told):
    run = told("without 2023")
    begins = (
        "In the 2025 edition of the Anime Industry Report the overseas market came to JPY 2.17 trillion in 2024. Of"
    )
    assert narrative.finding(run.context, run.q).startswith(begins)


# --- articles -------------------------------------------------------------------------------------
def counted(q, article, **counts):
    """`q` with counts of verdicts for a made-up article."""
    made = Quantities(items=q.values())
    cell = "articles/made/up/claims.csv?claim_id=A01#value"
    for name, count in {"all": sum(counts.values()), **counts}.items():
        made.observe(f"article.{article}.claims.{name}", count, units.COUNT, f"claims, {name}", cell)
    return made


def made_up_verdicts(run, article, words, contradicted):
    """A made-up article's verdicts in the shape of the real ones."""
    row = {**run.verdicts.iloc[0].to_dict(), "article": article, "article_words": words, "caveat_template": ""}
    said = {"verdict": claims.CONTRADICTED, "subject": "share <b>", "measure": "level", "caveat": "It is <i>less</i>."}
    return pd.DataFrame([{**row, **said, "claim_id": name, "stated": "90 %"} for name in contradicted])


@pytest.fixture(scope="module")
def two(told):
    """The default with the article under study and one further article."""
    run = told("default")
    own = run.verdicts[run.verdicts["article"] == rules.UNDER_STUDY]
    further = made_up_verdicts(run, "made_up", "A Paper, 1 May 2026", ["A03", "A07"])
    q = counted(run.q, "made_up", supported=0, supported_with_a_caveat=1, contradicted=2, not_checkable=0)
    return Story(run.tables, run.trends, run.projections, pd.concat([own, further], ignore_index=True), q)


def test_a_further_article_has_one_sentence_with_its_counts_and_contradicted_claims(two):
    part = two.text.split("## Which claims")[1]
    assert (
        "Of the three claims of A Paper, 1 May 2026, one holds with a caveat and two are contradicted "
        "(A03, share \\<b\\>, level; A07, share \\<b\\>, level)."
    ) in part
    assert "- **A03" not in part
    own = two.judged(two.verdicts[two.verdicts["article"] == rules.UNDER_STUDY])
    assert own.text.split("## Which claims")[0] == two.text.split("## Which claims")[0]
    assert re.search(r"\nOf the article's 47 claims, .* cannot be checked\.\n", two.text)


def test_without_the_article_under_study_no_sentence_speaks_of_it(two):
    run = two.judged(two.verdicts[two.verdicts["article"] == "made_up"])
    sentence = (
        "Of the three claims of A Paper, 1 May 2026, one holds with a caveat and two are contradicted (A03, share"
    )
    assert sentence in run.text.split("## What the market")[0]
    assert sentence in narrative.finding(run.context, run.q)
    part = run.text.split("## Which claims")[1].split("## How this")[0]
    assert "- **A03 of A Paper, 1 May 2026, contradicted** (share \\<b\\>, level: 90 %)." in part
    assert "Dollars" not in part and "the article's" not in run.text.replace("The article's own", "").lower()


def test_without_any_claim_nothing_is_said_of_claims(two):
    run = two.judged(two.verdicts[:0])
    assert "claim" not in run.text.lower()
    assert "Which claims are true" not in run.text
    assert "claims" not in narrative.finding(run.context, run.q)


def test_what_files_say_is_escaped_in_html(two):
    alone = two.judged(two.verdicts[two.verdicts["article"] == "made_up"])
    shown = narrative.tell(alone.context, alone.q, as_html=True)
    assert "share &lt;b&gt;" in shown and "It is &lt;i&gt;less&lt;/i&gt;." in shown
    assert "<b>" not in shown and "<i>" not in shown
    assert r"\<b\>" in alone.text


# --- other readers --------------------------------------------------------------------------------
def test_the_markdown_that_is_published_has_pictures_and_no_marks(told):
    text = told("default").text
    pictures = {name: (b"", f"what {name} shows") for name in narrative.placed(text)}
    published = narrative.with_pictures(text, pictures)
    assert "<!--" not in published and "\n\n\n" not in published
    assert published.count("![what ") == len(pictures)


def test_the_known_limits_of_the_readme_are_those_of_the_default(told):
    run = told("default")
    readme = (paths.home() / "README.md").read_text(encoding="utf-8")
    assert f"<!-- limits -->\n{narrative.limits(run.context, run.q)}<!-- /limits -->" in readme


def test_the_known_limits_follow_the_run(told):
    run = told("default")
    limits = narrative.limits(run.context, run.q)
    assert all(line.startswith("- **") for line in limits.splitlines())
    for part in (
        "- **One source.** The yearly series of the 2025 edition is quoted from one source,",
        "Other sources print the same overseas revenue, within rounding, in 2011 to 2013 and 2015 to 2024.",
        "- **23 points.** No model of 23 yearly figures is sure of anything.",
        "By absolute error of the median five of the six other models lose to the plain average of past changes at "
        "every horizon up to five years; by pinball loss the damped trend and local linear trend are better.",
        "100.0 % of outcomes five years ahead lay above the average's forecast, and six of the eight 80 % intervals "
        "held less often than promised, by more than chance explains; empirical ones "
        "stand beside them and are wider for all eight models.",
        "The backtest has 15 forecasts one year ahead and 11 five years ahead, which overlap,",
        "on these figures 100 % of the levels lie on one side of its line, which does not describe them.",
        "of which there are four totals in the same scope.",
    ):
        assert part in limits
    later = told("overseas falls and loses the lead")
    told_later = narrative.limits(later.context, later.q)
    assert "- **24 points.**" in told_later and "wider for seven of the eight models" in told_later
    assert "GLSAR" not in told_later  # in that run its line does describe the levels
    short = told("edition 2022")
    assert "points.**" not in narrative.limits(short.context, short.q)
