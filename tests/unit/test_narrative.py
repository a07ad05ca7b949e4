"""The narrative holds no typed number, and its words follow the figures of the run."""

import re

import pytest

from anime_growth import (
    backtest,
    checks,
    claims,
    clean,
    describe,
    narrative,
    pipeline,
    projections,
    series,
    targets,
    trace,
    trends,
)

# Inside a tag a template may count (first, last, one more), nothing else; outside it types no digit.
COUNTING = {"0", "1"}


@pytest.mark.parametrize("template", sorted(narrative.TEMPLATES.glob("*.md.j2")), ids=lambda path: path.name)
def test_no_template_of_the_narrative_types_a_number(template):
    text = template.read_text(encoding="utf-8")
    tags = re.findall(r"\{[{%].*?[%}]\}", text)
    assert not re.findall(r"\d", re.sub(r"\{[{%].*?[%}]\}", "", text))
    assert {digits for tag in tags for digits in re.findall(r"\d+", tag)} <= COUNTING


def story(tables, market, horizon=2033, start=2002, basis="yen"):
    """Tell the narrative of any market table, through the same functions as the notebooks."""
    tables = {**tables, "market": market, "checks": checks.run(tables)}
    q = describe.describe_market(market, tables["breaks"])
    studio = describe.describe_studio(tables["studio_editions"])
    q = q.joined(studio, describe.describe_gap(q, studio), describe.describe_content(tables["content_exports"], q))
    q = q.joined(describe.describe_market_cap(tables["market_cap"]))
    q = q.joined(describe.describe_rates(tables["exchange_rates"], tables["spot_rates"]))
    q = q.joined(targets.target_quantities(tables["targets"], tables["content_exports"], q))
    subjects = series.in_every_basis(q, "market.overseas", start)
    subject = subjects[basis]
    fits, refused = trends.fit_all(subject.levels)
    table = trends.trend_table(fits, refused, subject)
    trend = trends.trend_quantities(fits, table, subject, q)
    past = backtest.all_forecasts(subject.levels)
    scores, bands = backtest.scores(past), backtest.conformal(past, fits)
    projected = projections.project(fits, subject, horizon)
    dollars, _ = trends.fit_all(subjects["usd"].levels)
    yen, _ = trends.fit_all(subjects["yen"].levels)
    likely = targets.chances(yen, dollars, q)
    q = q.joined(
        trend,
        backtest.backtest_quantities(scores, bands, subject, q.joined(trend)),
        projections.projection_quantities(projected, fits, subject, q),
        targets.chance_quantities(likely, subjects["yen"], subjects["usd"], q),
    )
    verdicts, implied = claims.judge(q, trace.raw_rows(tables))
    q = q.joined(implied)
    return narrative.tell(narrative.context(tables, table, projected, verdicts, q), q)


def altered(market, year, **changes):
    """The market with levels of one year multiplied by `changes`, totals kept consistent."""
    market = market.copy()
    for part, factor in changes.items():
        rows = (market["year"] == year) & (market["series"] == part)
        columns = ["level_jpy_100m", "level_usd_bn", "level_real_jpy_100m"]
        market.loc[rows, columns] = market.loc[rows, columns] * factor
    for column in ("level_jpy_100m", "level_usd_bn", "level_real_jpy_100m"):
        wide = market.pivot(index="year", columns="series", values=column)
        total = market["year"].map(wide["overseas"] + wide["domestic"])
        market[column] = market[column].where(market["series"] != "total", total)
    return market


def test_the_narrative_of_the_default_run_has_700_to_1200_words(tables):
    text = story(tables, clean.market(tables, 2025))
    assert 700 <= narrative.words_in(text) <= 1200


def test_the_narrative_says_what_the_figures_say(tables):
    text = story(tables, clean.market(tables, 2025))
    assert "JPY 2.17 trillion**, a record," in text
    assert "rose by **26.0 %** in a year; measured in dollars, it rose by **16.9 %**" in text
    assert "the fourth-fastest year of 22 for overseas revenue and the second-fastest for the whole market" in text
    assert "Overseas passed domestic in 2020, fell behind again in 2021 and took the lead back in 2023" in text
    assert "The lead widened from JPY 97.9 billion to JPY 499.7 billion" in text


def test_when_overseas_falls_the_words_follow(tables):
    text = story(tables, altered(clean.market(tables, 2025), 2024, overseas=0.7))
    text = text.split("## Which claims")[0]
    assert "a record" not in text
    assert "Measured in yen it fell by **11.8 %**" in text
    assert "widened" not in text
    assert "made up most of the increase" not in text


def test_when_domestic_leads_again_the_lead_is_lost(tables):
    text = story(tables, altered(clean.market(tables, 2025), 2024, overseas=0.5))
    text = text.split("## Which claims")[0]
    assert "took the lead back in 2023 and fell behind again in 2024" in text
    assert "The lead" not in text


@pytest.mark.parametrize("edition", [2022, 2023, 2024])
def test_an_edition_with_two_years_tells_what_it_can_and_why_no_trend_is_fitted(tables, edition):
    text = story(tables, clean.market(tables, edition))
    assert f"in the {edition} edition" in text
    assert "No trend is fitted to the overseas anime market, because the series has" in text
    assert "drift" not in text.lower()
    assert "record," not in text and "its low" not in text
    assert "from JPY −" not in text


def test_the_backtest_says_who_loses_and_whose_intervals_failed(tables):
    text = story(tables, clean.market(tables, 2025))
    assert "drift missed by 0.146 on the log scale one year ahead and by 0.765 five years ahead" in text
    assert "100.0 % of the 11 outcomes five years ahead lay above drift's median" in text
    assert "Five of the six other models lose to drift at every horizon; the damped trend and local" in text
    assert "Six of the eight 80 % intervals five years ahead held less often than promised" in text


def test_horizons_with_few_forecasts_are_not_told(tables):
    """From 2012 on five forecasts reach one year ahead and one reaches five; from 2015 on there are two and none."""
    text = story(tables, clean.market(tables, 2025), start=2012)
    told = text.split("Would they have known")[1].split("## Where")[0]
    assert "drift missed by 0.099 on the log scale one year ahead, naive by 0.118; " in told
    assert "of the 5 outcomes one year ahead" in told and "years ahead" not in told
    text = story(tables, clean.market(tables, 2025), start=2015)
    assert "Too few forecasts of the past can be made from these years" in text


def test_another_basis_tells_of_dollars_and_names_the_series(tables):
    text = story(tables, clean.market(tables, 2025), basis="usd")
    assert "fitted to the overseas anime market in dollars on the log scale" in text
    assert "the median of the overseas anime market in dollars for 2033 is USD" in text
    assert "In dollars the models say" not in text


def test_the_chance_is_told_with_its_range_and_its_error(tables):
    text = story(tables, clean.market(tables, 2025))
    told = re.search(
        r"chance of getting there is (\S+) % by the drift model and from (\S+) % to (\S+) % over all", text
    )
    drift, least, most = (float(number) for number in told.groups())
    assert least < drift < most
    assert "Monte Carlo error at most 0." in text


def test_in_html_every_number_carries_its_key_and_in_markdown_none(tables):
    market = clean.market(tables, 2025)
    q = describe.describe_market(market, tables["breaks"])
    shown = narrative.Teller(q, as_html=True).n("market.overseas.growth", 2024)
    assert 'data-key="market.overseas.growth.2024"' in shown
    assert ">26.0 %<" in shown
    assert narrative.Teller(q).n("market.overseas.growth", 2024) == "26.0 %"


def test_a_headline_never_rests_on_a_row_of_low_confidence(tables):
    """Every quantity that the narrative shows, but for the passage that calls itself exploration."""
    market = clean.market(tables, 2025)
    q = describe.describe_market(market, tables["breaks"])
    assert all(item.confidence != "low" for item in q.values())
    studio = describe.describe_studio(tables["studio_editions"])
    for part in ("total", "overseas", "domestic"):
        assert studio[f"studio.{part}.level.2024"].confidence == "high"


def test_every_figure_that_the_narrative_places_is_promised_by_a_step():
    promised = {figure for step in pipeline.STEPS.values() for figure in step.figures}
    for template in narrative.TEMPLATES.glob("narrative.*.j2"):
        placed = set(re.findall(r"<!-- figure: (\w+) -->", template.read_text(encoding="utf-8")))
        assert placed and placed <= promised


def test_another_start_year_changes_the_sample_that_the_text_speaks_of(tables):
    text = story(tables, clean.market(tables, 2025), start=2012)
    assert "Over twelve yearly steps since 2012" in text
    assert "The same 13 yearly figures, 2012 to 2024, give different answers" in text
    assert "starts at the lowest year of the series" in text
    assert "23 points" not in text


def test_the_breaks_are_named_with_their_series_and_year(tables):
    text = story(tables, clean.market(tables, 2025))
    assert "the overseas anime market into 2020 (inferred)" in text
    assert ".0 " not in text.split("How this could be wrong")[1].replace("% ", "")
