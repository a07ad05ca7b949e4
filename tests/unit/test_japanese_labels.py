"""What quantities are called in Japanese: every label, caveat and method that code makes is told, no number is lost."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from anime_growth import (
    backtest,
    claims,
    clean,
    describe,
    languages,
    ledger,
    projections,
    retelling,
    rules,
    series,
    specifications,
    trace,
    trends,
    units,
    words,
)
from anime_growth.languages import speaking
from anime_growth.quantities import BETWEEN_EDITIONS, Quantities
from anime_growth.retelling import retold

CATALOGUE = "labels.ja.yml"
PAIRS = yaml.safe_load((languages.TEMPLATES / CATALOGUE).read_text(encoding="utf-8"))


# --- every text that a run may make ---------------------------------------------------------------
def texts(q: Quantities) -> Iterator[str]:
    """Labels and caveats of quantities, the methods that name no function, and editions that are no year."""
    for item in q.values():
        yield from (item.label, *item.caveats, *([] if item.module else [item.method]))
        yield from (name for name in item.edition.split(BETWEEN_EDITIONS) if name and not name.isdecimal())


def of_every_series(known: Quantities, past_forecasts: pd.DataFrame, fits: dict[str, trends.Fit]) -> Iterator[str]:
    """What trends, backtests, projections and the ledger say of each series in each basis.

    Labels do not depend on what was fitted, so two fits of one series stand for those of all.
    """
    fits = {model: fits[model] for model in ("drift", "loglinear_ar1")}
    scores = backtest.scores(past_forecasts).query("model in @fits")
    bands = backtest.conformal(past_forecasts, fits)
    losses = pd.DataFrame(
        [(model, 58, 3.2, kind) for model in trends.MODELS for kind in ("published", "replayed")],
        columns=["model", "forecasts", "pinball_log_points", "ledger"],
    )
    for name in series.available(known):
        for basis in series.bases_of(known, name):
            subject = series.choose(known, name, basis, 1990)
            table = trends.trend_table(fits, dict.fromkeys(trends.MODELS, "not tried"), subject, with_checks=False)
            projected = projections.project(fits, subject, fits["drift"].years[-1] + 1)
            for made in (
                trends.trend_quantities(fits, table, subject, known),
                backtest.backtest_quantities(scores, bands, subject, known),
                ledger.ledger_quantities(losses, subject, known),
                projections.projection_quantities(projected, {}, subject, known),
            ):
                yield from texts(made)


def of_made_up_figures(tables: dict[str, pd.DataFrame], subject: series.Subject) -> Iterator[str]:
    """What other figures than those at hand would have the code say."""
    none = Quantities()
    replace(subject, levels=subject.levels.iloc[:0], keys={}).sample(none, "trend")
    yield from texts(none)

    derived = Quantities()
    for place, how in enumerate({how for table in tables.values() for how in table.get("derivation", []) if how}):
        derived.observe(f"a.level.{place}", 1, units.COUNT, "overseas", "made/up.csv?n=1#value", derivation=how)
    yield from texts(derived)

    printed = {1995: "2023", 1996: "METI/HM survey", 2002: "HM release 2026-03", 2003: "2023 (via METI)"}
    levels = pd.DataFrame({"year": range(1995, 2004), "level": 5.0, "unit": units.JPY_100M.name, "derivation": ""})
    levels = levels.assign(series="category.movie", confidence="high", raw_cell="made/up.csv?n=1#value")
    levels["edition_label"] = levels["year"].map(printed).ffill()
    added = describe.describe_levels(levels, Quantities())
    series.choose(added, "category.movie", "yen", 1990).sample(added, "trend")
    yield from texts(added)

    studio = tables["studio_editions"].query("series == 'overseas' and year == 2011")
    doubted = studio.query("edition_label == 'Human Media 2013'").assign(confidence="low")
    before = doubted.assign(year=2010, raw_cell="made/up.csv?n=2#value")
    yield from texts(describe.describe_studio(pd.concat([studio.query("edition == 2012"), doubted, before])))

    one_day = tables["spot_rates"].head(1).assign(date="2026-01-05")
    yield from texts(describe.describe_rates(tables["exchange_rates"].head(0), one_day))


def of_conclusions(known: Quantities, subject: series.Subject) -> Iterator[str]:
    """What specifications are asked, all of them."""
    asked = [{"conclusion": one.name, "say": one.say} for one in specifications.read().conclusions]
    found = pd.DataFrame(asked).assign(holds_in=1, cells=2, evidence="")
    yield from texts(specifications.specification_quantities(found, {"yen": subject}, known))


def of_articles(known: Quantities, tables: dict[str, pd.DataFrame]) -> Iterator[str]:
    """What the articles' rules define and imply."""
    yield from texts(claims.judge(rules.articles(), known, trace.raw_rows(tables))[1])


@pytest.fixture(scope="module")
def labels(described, every_quantity, tables, subject, past_forecasts, fits) -> list[str]:
    """Every text, once: of a run as it is, of another edition, other series and bases, and of other figures."""
    earlier = describe.describe({**tables, "market": clean.market(tables, 2016)})
    found = [*texts(every_quantity), *texts(earlier), *of_made_up_figures(tables, subject)]
    found += of_every_series(described, past_forecasts, fits)
    found += [*of_conclusions(described, subject), *of_articles(every_quantity, tables)]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def told(labels) -> dict[str, str]:
    """Each text with its Japanese."""
    with speaking("ja"):
        return {text: retold(text) for text in labels}


# --- words and numbers ----------------------------------------------------------------------------
# Names and signs that Japanese readers know in these letters.
AS_THEY_ARE = ("AR", "BIC", "FRED", "Jarque-Bera", "Ljung-Box", "p")
# Ids of claims and of notes in the register.
IDS = r"(?<=主張)[A-Z]\d+|N\d+"


def foreign(japanese: str) -> list[str]:
    """Latin words left in a Japanese text, except AS_THEY_ARE and ids."""
    found = re.findall(r"[A-Za-z]+(?:[-'][A-Za-z]+)*", re.sub(IDS, " ", japanese))
    return [word for word in found if word not in AS_THEY_ARE]


def test_no_english_word_is_left(told):
    assert {text: japanese for text, japanese in told.items() if foreign(japanese)} == {}
    assert [text for text, japanese in told.items() if text == japanese and not re.fullmatch(r"N\d+", text)] == []


def test_each_name_that_stays_as_it_is_stands_somewhere(told):
    everything = " ".join(told.values())
    assert [name for name in AS_THEY_ARE if not re.search(rf"(?<![A-Za-z]){name}(?![A-Za-z])", everything)] == []


NUMBER_WORDS = {word: number for number, word in enumerate(words.CARDINALS) if word != "no"}


def numbers(text: str) -> Counter[float]:
    """Numbers of a text, in digits or in English words, as often as they stand there."""
    in_digits = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]
    return Counter([*in_digits, *(float(NUMBER_WORDS[w]) for w in re.findall(r"[a-z]+", text) if w in NUMBER_WORDS)])


def test_no_number_is_lost_or_added(told):
    assert numbers("the two groups of nine, 2024-06-30") == numbers("2つのグループ（各9社）、2024年6月30日")
    per_dollar = {text: japanese.replace("1ドル=", "") for text, japanese in told.items()}  # how a rate is written
    assert {text: said for text, said in per_dollar.items() if numbers(text) != numbers(said)} == {}


def test_a_text_that_no_entry_knows_stays_english():
    with speaking("ja"):
        assert retold("a thing that nobody counts") == "a thing that nobody counts"


# --- the catalogue --------------------------------------------------------------------------------
def slots(text: str) -> list[str]:
    """Names of the slots of a pattern, in their order."""
    return re.findall(r"\{(\w*)\}", text)


@pytest.mark.parametrize("english", [english for english in PAIRS if "{" in english])
def test_a_pattern_names_each_slot_once_and_keeps_it(english):
    named = slots(english)
    assert all(named) and len(set(named)) == len(named)
    assert sorted(slots(PAIRS[english])) == sorted(named)


@pytest.fixture
def with_catalogue(tmp_path, monkeypatch):
    """Tell texts by another catalogue of labels: with_catalogue(pairs, texts) -> their Japanese."""

    def forget() -> None:
        for module in (languages, retelling):
            for function in vars(module).values():
                getattr(function, "cache_clear", lambda: None)()

    def tell(pairs, asked):
        for name in languages.CATALOGUES["ja"]:
            (tmp_path / name).write_bytes((languages.TEMPLATES / name).read_bytes())
        (tmp_path / CATALOGUE).write_text(yaml.safe_dump(pairs, allow_unicode=True, sort_keys=False), encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(languages, "TEMPLATES", tmp_path)
            forget()
            with speaking("ja"):
                return [retold(text) for text in asked]

    yield tell
    forget()


def test_every_entry_is_used(with_catalogue, labels):
    marked = {english: f"{japanese}⟨{place}⟩" for place, (english, japanese) in enumerate(PAIRS.items())}
    used = {int(place) for text in with_catalogue(marked, labels) for place in re.findall(r"⟨(\d+)⟩", text)}
    assert [english for place, english in enumerate(PAIRS) if place not in used] == []


def test_the_order_of_entries_does_not_matter(with_catalogue, told):
    backwards = dict(reversed(PAIRS.items()))
    again = dict(zip(told, with_catalogue(backwards, told), strict=True))
    assert {text: (told[text], japanese) for text, japanese in again.items() if told[text] != japanese} == {}
