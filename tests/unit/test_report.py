"""The report and its trace page: every number explained and followed to its source, nothing from data believed."""

import base64
import hashlib
import html
import io
import json
import re
import urllib.request

import pandas as pd
import pytest
from fontTools.ttLib import TTFont

from anime_growth import backtest, checks, doubts, links, narrative, projections, report, trace, units
from anime_growth.arithmetic import growth_pct
from anime_growth.languages import speaking
from anime_growth.quantities import Quantities
from tests.elements import Elements

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PARAMETERS = {"start_year": {"03_fit_trends": 2002}, "articles": {"05_check_claims": "one, two"}}
HEADERS = {"market": ["series", "year"]}


# --- what pages are made of -------------------------------------------------------------------------
def verdict(claim_id="C01", **changes):
    row = {
        "claim_id": claim_id, "article": "first", "article_words": "the first article", "subject": "overseas market",
        "measure": "growth", "period": "2024", "kind": "growth", "verdict": "supported with a caveat",
        "stated": "26 %", "computed": "26.0 %", "caveat": "In dollars 16.9 %.",
        "caveat_template": "In dollars {market.overseas.growth_usd.2024}.",
        "evidence": "market.overseas.growth.2024; market.overseas.growth_usd.2024", "sources": "S001; S009",
    }  # fmt: skip
    return row | changes


VERDICTS = pd.DataFrame(
    [
        verdict(),
        verdict("C02", verdict="not checkable", kind="level", computed="", caveat_template="", evidence="", sources=""),
        verdict("C01", article="second", article_words="another article", verdict="contradicted", kind="ranking"),
    ]
)


def told(q):
    """A narrative as the templates tell it: headings, and numbers made by links.number."""
    shown = links.filled("It rose by {market.overseas.growth.2024} to {market.overseas.level.2024}.", q)
    parts = ["# Title", "## In short", shown, "## Told", "## How this could be wrong", "- So."]
    return "\n\n".join(parts)


@pytest.fixture(scope="module")
def study(tables, market, every_quantity, trend_table, past_forecasts, fits, subject):
    """What the report is made from, on the real data."""
    whole = {**tables, "market": market, "checks": checks.run(tables)}
    projected = projections.project(fits, subject, 2033)
    return {
        "tables": whole,
        "record": report.record_of(every_quantity, whole),
        "trends": trend_table,
        "scores": backtest.scores(past_forecasts),
        "forecasts": report.to_explore(projected.assign(start_year=2012), projected, every_quantity),
    }


def page_of(study, verdicts=VERDICTS, language="en", **changes):
    given = {**study, **changes}
    tables, record = given["tables"], given["record"]
    pictures = {"one": (b"<svg/>", f"a figure {EVIL}")}
    made = (verdicts, given["trends"], given["scores"], tables, record, PARAMETERS, HEADERS, given["forecasts"])
    return report.write_html(told(record.q), pictures, *made, is_part_of_run=True, language=language)


@pytest.fixture(scope="module")
def page(study):
    return page_of(study)


@pytest.fixture(scope="module")
def trace_page(study, page):
    return report.write_trace(page, VERDICTS, study["tables"], study["record"])


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def rows_of(page, heading):
    """Texts of the table rows under a heading of the third level."""
    part = page.split(f"<h3>{heading}</h3>")[1].split("</table>")[0] if f"<h3>{heading}</h3>" in page else ""
    return [text_of(row) for row in re.findall(r"<tr.*?</tr>", part, re.DOTALL)[1:]]


# --- numbers ----------------------------------------------------------------------------------------
def test_a_sentence_of_data_is_filled_with_linked_numbers_and_escaped(described):
    made = links.filled(f"{EVIL} at {{market.overseas.level.2024|bn}}, {{no.such.key}}", described)
    assert ">JPY 2,170.2 billion</a>, {no.such.key}" in made
    assert links.filled("{no.such.key|bn} {a & b}", described) == "{no.such.key|bn} {a &amp; b}"
    assert 'href="trace.html#market.overseas.level.2024"' in made
    assert "<script" not in made and "<img" not in made


def test_every_number_has_one_tip_and_one_place_on_the_trace_page(page, trace_page):
    shown, below = Elements(page), Elements(trace_page)
    keys = shown.all("data-key")
    assert len(set(keys)) > 100
    for wanted, found in (("data-key", "tip-{}"), ("aria-describedby", "{}")):
        for name in set(shown.all(wanted)):
            assert shown.all("id").count(found.format(name)) == 1, name
    assert set(keys) <= set(below.all("id"))


@pytest.mark.parametrize("which", ["page", "trace_page"])
def test_ids_are_unique_and_every_inner_link_leads_somewhere(which, page, trace_page):
    pages = {"page": page, "trace_page": trace_page}
    here = Elements(pages[which])
    ids = here.all("id")
    assert len(ids) == len(set(ids))
    others = {
        "": set(ids),
        "trace.html": set(Elements(trace_page).all("id")),
        "report.html": set(Elements(page).all("id")),
    }
    for address in here.all("href", "a"):
        if not address.startswith("http"):
            file, _, name = address.partition("#")
            assert not name or urllib.request.unquote(name) in others[file], address


def test_a_tip_says_what_a_number_is_how_it_was_made_and_by_whom_it_was_printed(page):
    tip = re.search(r'<div class="tip" role="tooltip" id="tip-market.overseas.growth.2024" hidden>(.*?)</div>', page)[1]
    told = text_of(tip)
    assert "growth of the overseas anime market in 2024" in told
    assert "unit: %" in told and "method: arithmetic.growth_pct" in told and "edition 2025" in told
    assert re.search(r"sources: S001 \(.+\), S002", told)


def test_cells_of_the_models_link_to_their_quantities(page, study):
    for key in (
        "trend.overseas.drift.growth",
        "backtest.overseas.drift.male.h5",
        "trend.overseas.loglinear.ljung_box_p",
    ):
        assert key in study["record"].q
        assert f'data-key="{key}"' in page.split('id="models"')[1]


def test_first_view_and_trace_page_stay_small(page, trace_page):
    assert len(page) < 1e6 and "base64" not in page
    assert set(Elements(page).all("loading")) == {"lazy"}, "figures come when they are looked at"
    assert len(trace_page) < 0.9e6


# --- verdicts ---------------------------------------------------------------------------------------
def test_no_table_stands_between_the_summary_and_the_rest_of_the_text(page):
    parts = [">In short<", ">Told<", ">How this could be wrong</h2>", "<h3>Breaks in the series", "<table"]
    places = [page.index(part) for part in (*parts, 'id="explore"', 'id="verdicts"', 'id="models"')]
    assert places == sorted(places)


def test_the_contents_name_the_parts_in_their_order(page):
    (contents,) = re.findall(r"<nav.*?</nav>", page, re.DOTALL)
    places = [page.index(f'id="{name}"') for name in re.findall(r'href="#([^"]+)"', contents)]
    assert len(places) > 5 and places == sorted(places)


def test_a_verdict_shows_stated_and_computed_caveat_evidence_and_sources(page):
    row = re.search(r'<tr id="claim.first.C01".*?</tr>', page, re.DOTALL)[0]
    assert "26 %" in row and 'data-key="claim.first.C01"' in row and ">26.0 %</a>" in row
    assert 'In dollars <a class="n" href="trace.html#market.overseas.growth_usd.2024"' in row
    assert f">{links.breakable('market.overseas.growth.2024')}</a>" in row and 'href="#source-S009"' in row


def test_claims_of_two_articles_with_one_id_are_told_apart(page, trace_page):
    ids = Elements(page).all("id")
    assert {"claim.first.C01", "claim.second.C01"} <= set(ids)
    assert "C01, another article" in text_of(trace_page)


def test_what_reads_as_a_quantity_in_a_computed_cell_links_to_it(study):
    q = study["record"].q
    item = q["market.overseas.lead.2024"]
    row = verdict(computed=f"{item.label}: {item.text}; about 3", evidence=item.key)
    made = report.verdict_rows(pd.DataFrame([row]), q)[0]["computed"]
    assert f'data-key="{item.key}"' in made and 'data-key="claim.first.C01"' in made


def test_without_a_script_all_verdicts_show_and_no_dead_controls(page):
    rows = [attributes for tag, attributes in Elements(page).tags if "data-item" in attributes]
    assert len(rows) == 3 and not any("hidden" in row for row in rows)
    forms = [attributes for tag, attributes in Elements(page).tags if tag == "form"]
    assert {form["id"] for form in forms} == {"filter", "choose"} and all("hidden" in form for form in forms)
    assert "<noscript>" in page


# --- the trace page ---------------------------------------------------------------------------------
def section(trace_page, key):
    return re.search(rf'<section id="{re.escape(key)}".*?</section>', trace_page, re.DOTALL)[0]


def test_from_a_number_to_the_address_of_a_source_it_is_two_clicks(page, trace_page):
    """One to the number's section, one on an address there that is not folded away."""
    for key in links.keys_in(page):
        assert re.search(
            r'<a href="https?://', re.sub(r"<details>.*?</details>", "", section(trace_page, key), flags=re.DOTALL)
        ), key


def test_a_section_shows_inputs_raw_cells_and_hashes(study, trace_page):
    growth = section(trace_page, "market.overseas.growth.2024")
    assert '<a href="#market.overseas.level.2023">' in growth and "26.01" in growth
    level = section(trace_page, "market.overseas.level.2024")
    (cell,) = study["record"].raw_inputs("market.overseas.level.2024")
    assert "<b>21702 100 million JPY</b>" in level and "column value" in level
    file, sha256 = cell["file"], cell["sha256"].removeprefix("sha256:")
    assert f'<a href="{links.fragment("file-" + file)}">{file}</a>' in level
    assert trace_page.count(sha256) == 1, "said once, at the end"
    assert f'<li id="file-{file}">{file}: sha256 {sha256}</li>' in trace_page


def test_every_source_stands_at_the_end_once_and_sections_name_it(study, trace_page):
    level = section(trace_page, "market.overseas.level.2024")
    ids = study["record"].source_ids("market.overseas.level.2024")
    assert len(ids) > 1 and all(f'href="#source-{name}"' in level for name in ids)
    assert all(trace_page.count(f'id="source-{name}"') == 1 for name in ids)


def test_long_lists_of_inputs_and_of_raw_cells_are_folded(study, page):
    entries = {key: dict(entry) for key, entry in study["record"].entries.items()}
    (cell,) = study["record"].raw_inputs("market.overseas.level.2024")
    entries["market.overseas.level.2024"]["inputs"] = [cell] * 9
    traced = report.write_trace(page, VERDICTS, study["tables"], trace.Record.of_entries(entries, {}))
    assert "<summary>From 23 quantities</summary>" in section(traced, "trend.overseas.sample.2002-2024")
    folded = section(traced, "market.overseas.level.2024")
    assert "<summary>9 raw cells</summary>" in folded and folded.count("<b>21702 100 million JPY</b>") == 9


def test_a_raw_file_that_has_changed_since_is_said_to_have(study, page):
    record = study["record"]
    entries = {key: dict(entry) for key, entry in record.entries.items()}
    cell = record.raw_inputs("market.overseas.level.2024")[0]
    entries["market.overseas.level.2024"]["inputs"] = [{**cell, "sha256": "0" * 64}]
    spoiled = trace.Record.of_entries(entries, record.sources)
    made = report.write_trace(page, VERDICTS, study["tables"], spoiled)
    assert "no longer the one that was read" in section(made, "market.overseas.level.2024")
    assert "no longer the one" not in section(made, "market.overseas.level.2023")


# --- the run ----------------------------------------------------------------------------------------
def test_the_report_says_which_run_it_is(page, monkeypatch, study):
    assert "anime-growth run -p start_year=2002 -p 'articles=one, two'" in html.unescape(page)
    monkeypatch.setattr(report, "_commit", lambda: "0123456789ab+changes")
    told = page_of(study)
    assert "git checkout 0123456789ab\n" in told and "The code of this run differed from that commit" in told
    monkeypatch.setattr(report, "_commit", lambda: "")
    assert "git checkout" not in page_of(study)


# --- a projection to choose -------------------------------------------------------------------------
def test_the_forecasts_to_choose_are_those_of_the_tables_in_the_unit_that_reads_best(study, fits, subject):
    offered = study["forecasts"]
    assert offered["chosen"] == {"basis": "yen", "start": "2002", "model": "drift"}
    assert set(offered["forecasts"]) == {f"yen/{start}/{model}" for start in (2002, 2012) for model in fits}
    table = projections.project(fits, subject, 2033).set_index(["model", "year"])
    found = offered["forecasts"]["yen/2002/drift"]
    assert found["first"] == 2025 and len(found["p50"]) == 9
    for name in ("p2_5", "p10", "p50", "p90", "p97_5"):
        assert found[name][-1] == pytest.approx(table.loc[("drift", 2033), name] / 1e4, rel=1e-3), "trillions"
        value = table.loc[("drift", 2033), name]
        assert found["last"][name] == units.in_words(value, subject.unit, 0), "as the narrative tells it"
    assert found["last"]["p50"].startswith("JPY ") and found["last"]["p50"].endswith(" trillion")
    past = offered["bases"]["yen"]
    assert past["unit"] == "JPY trillion" and past["years"] == list(subject.levels.index)
    assert past["values"] == pytest.approx(list(subject.levels / 1e4), rel=1e-3)


def test_no_text_in_the_forecasts_can_end_the_element_that_holds_them(study):
    evil = {**study["forecasts"], "models": {"drift": "</script><script>alert(1)</script>"}}
    page = page_of(study, forecasts=evil)
    assert "</script><script>alert" not in page
    data = re.search(r'id="forecasts">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data)["models"]["drift"] == "</script><script>alert(1)</script>"


def test_without_forecasts_there_is_nothing_to_choose(study):
    none = report.to_explore(*[pd.DataFrame(columns=projections.COLUMNS)] * 2, study["record"].q)
    page = page_of(study, forecasts=none)
    assert 'id="explore"' not in page and 'href="#explore"' not in page


# --- nothing from outside ---------------------------------------------------------------------------
@pytest.mark.parametrize("which", ["page", "trace_page"])
def test_pages_load_nothing_and_run_only_their_own_script(which, page, trace_page):
    made = {"page": page, "trace_page": trace_page}[which]
    elements = Elements(made)
    assert all(re.fullmatch(r"figures/\w+\.svg", address) for address in elements.all("src"))
    assert elements.all("href", "link") == ["data:,"]
    script = made.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (content for content in elements.all("content") if "default-src" in content)
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert "connect-src" not in policy, "which default-src forbids"


def hostile(study):
    """The study with every text that comes from data turned against the reader."""
    record, tables = study["record"], dict(study["tables"])
    entries = {key: {**entry, "label": EVIL, "caveats": [EVIL]} for key, entry in record.entries.items()}
    sources = {
        name: {**row, "title": EVIL, "publisher": EVIL, "url": "javascript:alert(3)"}
        for name, row in record.sources.items()
    }
    tables["checks"] = tables["checks"].assign(what=EVIL, reason=EVIL)
    tables["breaks"] = tables["breaks"].assign(finding=EVIL, kind=EVIL)
    fields = dict.fromkeys(
        ("subject", "measure", "period", "kind", "stated", "computed", "caveat", "article_words"), EVIL
    )
    verdicts = pd.DataFrame(
        [verdict(EVIL, article=EVIL, **fields, caveat_template=EVIL, sources=f"S001; {EVIL}"), verdict(verdict=EVIL)]
    )
    trends = study["trends"].assign(remark=EVIL)
    spoiled = trace.Record.of_entries(entries, sources)
    return {**study, "record": spoiled, "tables": tables, "trends": trends}, verdicts


def test_a_japanese_page_names_its_language_and_carries_every_letter_that_it_needs(study):
    page = page_of(study, language="ja")
    traced = report.write_trace(page, VERDICTS, study["tables"], study["record"], "ja")
    for made, heading in ((page, "記事の主張の判定"), (traced, "数値の由来")):
        assert '<html lang="ja">' in made and heading in made
        assert "font-src data:;" in html.unescape(made.split("</head>")[0])
        woff = base64.b64decode(re.search(r"data:font/woff;base64,([^)]+)\)", made)[1])
        drawn = set(TTFont(io.BytesIO(woff)).getBestCmap())
        needed = {letter for letter in html.unescape(re.sub(r"base64,[^)\"]+", "", made)) if letter >= "\u3040"}
        assert needed and {letter for letter in needed if ord(letter) not in drawn} == set()
    assert "留保付きで支持" in page and "Verdicts on" not in page
    assert "font-src" not in page_of(study).split("</head>")[0]
    assert set(links.keys_in(page)) == set(links.keys_in(page_of(study)))


def test_nothing_from_data_becomes_an_element_a_script_or_a_link(study):
    spoiled, verdicts = hostile(study)
    page = page_of(spoiled, verdicts)
    traced = report.write_trace(page, verdicts, spoiled["tables"], spoiled["record"])
    for made in (page, traced):
        assert EVIL in html.unescape(made)
        elements = Elements(made)
        kinds = [attributes.get("type", "") for tag, attributes in elements.tags if tag == "script"]
        assert kinds == (["application/json", ""] if made is page else [""]), "forecasts are data, not a program"
        assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]
        assert not [src for src in elements.all("src") if not re.fullmatch(r"figures/\w+\.svg", src)]
        pages = r"#|trace\.html#|report\.html|index\.html|codebook\.html|tables/explored\.csv|data:,"
        assert not [link for link in elements.all("href") if not re.match(pages, link)]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file.txt", "//aja.gr.jp", "http://[", ""])
def test_only_whole_web_addresses_become_links(url):
    row = {"title": "a title", "publisher": "p", "published_on": "2025", "url": url}
    assert "<a" not in links.source(row)
    assert 'href="https://aja.gr.jp/?a=1&amp;b=2"' in links.source({**row, "url": " https://aja.gr.jp/?a=1&b=2 "})


# --- how this could be wrong ------------------------------------------------------------------------
def test_every_row_of_doubt_fills_its_numbers(page):
    for title in (
        "Breaks in the series",
        "Diagnostics that failed",
        "Sources that disagree",
        "Numbers that rest on weak rows",
    ):
        rows = rows_of(page, title)
        assert rows and not any("{" in row for row in rows), title


def test_a_break_names_the_growth_that_compares_across_it(study):
    q, breaks = study["record"].q, study["tables"]["breaks"]
    found = doubts.across_breaks(breaks, q, ["market.overseas.cagr.2002-2024", "market.total.cagr.2002-2024"])
    row = found.set_index("note").loc["N7"]
    assert row["about"] == "Overseas anime market, 2020" and row["kind"] == "method, inferred"
    assert "{market.overseas.growth.2020}" in row["say"] and "{market.overseas.cagr.2002-2024}" in row["say"]
    assert "market.total" not in row["say"]
    assert found["note"].is_unique
    assert doubts.across_breaks(breaks.iloc[:0], q, []).empty


def test_a_span_that_ends_before_a_break_is_not_touched_by_it(study):
    q, breaks = study["record"].q, study["tables"]["breaks"]
    early = q["market.overseas.cagr.2002-2024"]
    early = Quantities(items=[*q.values(), type(early)(**{**vars(early), "key": "market.overseas.cagr.2002-2019"})])
    say = doubts.across_breaks(breaks, early, ["market.overseas.cagr.2002-2019"]).set_index("note")["say"]
    assert "cagr.2002-2019}" not in say["N7"] and "cagr.2002-2019}" in say["N6"]


def small_record(confidence, also=()):
    """A level that two cells print with `confidence`, its growth, and what else rests on it."""
    cell, q = "aja/2025/a.csv?year={}#value", Quantities("2025")
    for year in (2023, 2024):
        label = f"studios' overseas receipts, {year}"
        q.observe(f"studio.overseas.level.{year}", year, units.JPY_100M, label, cell.format(year), confidence)
    pair = ["studio.overseas.level.2024", "studio.overseas.level.2023"]
    q.compute("studio.overseas.growth.2024", growth_pct, pair, units.PERCENT, "growth")
    q.compute("market.overseas.share.2024", growth_pct, pair, units.PERCENT, "share")
    q.record("article.a.claims.all", 9, units.COUNT, "claims", "claims.judge", pair)
    rows = {cell.format(year)[:-6]: {"sha256": "0", "source_id": "S050", "also": list(also)} for year in (2023, 2024)}
    return trace.Record.of_entries(q.entries(rows=rows), {})


def test_numbers_on_rows_of_low_confidence_are_counted_and_called_exploratory():
    found = doubts.weak_rows(["studio.overseas.growth.2024"], small_record("low"))
    whole, row = found.to_dict("records")
    assert whole["say"] == "1 of the 1 numbers shown rest on a row of low confidence at the weakest."
    assert row["kind"] == "low confidence, exploratory" and row["sources"] == "S050"
    assert row["say"].startswith("Two cells (2023 and 2024), with one source named. 1 of the 1 numbers shown rest")


def test_the_examples_of_weak_rows_are_of_the_series_itself_before_others_and_counts_come_last():
    record = small_record("low")
    counts, share, own = "article.a.claims.all", "market.overseas.share.2024", "studio.overseas.growth.2024"

    def examples(*shown):
        return re.findall(r"\{(.+?)\}", doubts.weak_rows(shown, record)["say"].iloc[1])

    assert examples(counts, share, own) == [own, share]
    assert examples(counts) == [counts]


def test_a_second_reading_and_high_confidence_take_doubts_away():
    medium = doubts.weak_rows(["studio.overseas.growth.2024"], small_record("medium", also=["S006"]))
    assert medium["kind"].tolist() == ["weakest row", "medium confidence"]
    assert "one source only" not in medium["say"].iloc[1]
    assert doubts.weak_rows(["studio.overseas.growth.2024"], small_record("high")).empty
    assert doubts.weak_rows([], small_record("low")).empty


def failed(study, trends=None, scores=None):
    found = doubts.failed_diagnostics(
        study["trends"] if trends is None else trends, study["scores"] if scores is None else scores, study["record"].q
    )
    return {(row["about"], row["kind"]): row["say"] for row in found.to_dict("records")}


def test_failed_residual_tests_appear_and_vanish(study):
    clean = study["trends"].assign(ljung_box_p=0.5, durbin_watson=2.0, jarque_bera_p=0.5, remark="")
    none = study["scores"].iloc[:0]
    assert failed(study, clean, none) == {}
    drift = clean["model"] == "drift"
    spoil = {"ljung_box_p": 0.01, "durbin_watson": 3.5, "jarque_bera_p": 0.01, "remark": "estimates at their bounds"}
    found = {}
    for column, value in spoil.items():
        found[column] = failed(study, clean.assign(**{column: clean[column].where(~drift, value)}), none)
    assert list(found["ljung_box_p"]) == list(found["durbin_watson"]) == [("Drift", "autocorrelation")]
    assert "alternate" in found["durbin_watson"]["Drift", "autocorrelation"]
    assert list(found["jarque_bera_p"]) == [("Drift", "normality")]
    assert found["remark"] == {("Drift", "estimate"): "Estimates at their bounds."}


def test_an_interval_that_held_too_rarely_and_a_model_that_loses_to_drift_are_named(study):
    found = failed(study)
    assert "{backtest.overseas.drift.cover95.h5} of outcomes" in found["Drift", "interval too narrow"]
    assert "at every horizon" in found["Log-linear trend", "loses to drift"]
    assert ("Drift", "loses to drift") not in found
    held = study["scores"].assign(narrow80=backtest.NOT_SHOWN, narrow95=backtest.NOT_SHOWN, male_to_drift=0.9)
    assert not {kind for _, kind in failed(study, scores=held)} & {"interval too narrow", "loses to drift"}
    few = study["scores"].assign(forecasts=backtest.FEWEST_JUDGED - 1)
    assert not {kind for _, kind in failed(study, scores=few)} & {"interval too narrow", "loses to drift"}


def test_models_that_were_not_fitted_share_a_row_for_one_reason(study):
    columns = ["series", "basis", "model"]
    refused = study["trends"][columns].assign(remark="not fitted: the series has two years")
    ((about, kind),) = failed(study, refused, study["scores"].iloc[:0])
    assert kind == "no estimate" and about.startswith("Naive, drift") and about.endswith("combination")


def test_declared_disagreements_and_contradicted_claims_appear_and_vanish(study):
    table = study["tables"]["checks"]
    found = doubts.disagreements(table, VERDICTS)
    assert found["kind"].tolist() == ["declared exception", "contradicted"]
    assert found["about"].iloc[1] == "Claim C01, another article"
    assert "{market.overseas.growth_usd.2024}" in found["say"].iloc[1]
    assert doubts.disagreements(table.assign(declared_exceptions=0), VERDICTS.iloc[:2]).empty


def readings(study, **changes):
    tables = {**study["tables"], **changes}
    return doubts.other_readings(tables, study["record"].q).set_index("about")


def test_figures_of_other_sources_that_differ_are_kept_and_told(study):
    found = readings(study)
    assert set(found["kind"]) == {"another reading"}
    level = found.loc["Overseas sales of content, total, 2022"]
    assert level["say"].startswith(
        "S076 (2024-09) prints JPY 4.30 trillion, the study uses {content.total.level.2022}."
    )
    assert level["sources"] == "S076; S057"
    assert "{market.overseas.level.2009}" in found.loc["Overseas anime market, 2009", "say"]
    growth = found.loc["Overseas anime market, 2022"]
    assert growth["say"].startswith("S012 states −7.7 %, the study finds {market.overseas.growth_usd.2022} (growth")


def test_such_figures_are_told_in_japanese_too(study):
    with speaking("ja"):
        found = readings(study)
    left = re.sub(
        r"\{.*?\}|S\d+ \(.*?\)|Anime News Network", "", " ".join([*found["say"], *found["kind"], *found.index])
    )
    assert len(found) == 3 and re.findall(r"[A-Za-z]{2,}", left) == []


def test_what_agrees_within_rounding_or_is_no_reading_is_not_told(study):
    exports, breaks = study["tables"]["content_exports"], study["tables"]["breaks"]
    total = (exports["sector"] == "total") & (exports["year"] == 2022) & (exports["source_id"] == "S076")
    about, none = "Overseas sales of content, total, 2022", breaks.iloc[:0]
    rows = exports[total].reset_index(drop=True)
    assert list(readings(study, content_exports=rows, breaks=none).index) == [about]
    for changes in (
        {"level_jpy_100m": 47000.0},  # 46,882, rounded
        {"is_derived": True},
        {"scope": doubts.FORECAST},
        {"year": 1999},  # which the study does not use
    ):
        assert readings(study, content_exports=rows.assign(**changes), breaks=none).empty, changes
    anime = rows.assign(sector="anime", level_jpy_100m=17600.0)
    assert list(readings(study, content_exports=anime, breaks=none).index) == ["Overseas anime market, 2022"]
    revised = study["tables"]["market_editions"].assign(series="overseas", year=2022, level_jpy_100m=17600.0)
    assert readings(study, content_exports=anime, breaks=none, market_editions=revised).empty
    note = breaks[breaks["note_id"] == "N8"]
    assert len(readings(study, content_exports=rows.iloc[:0], breaks=note)) == 1
    for changes in (
        {"finding": "+11.1% in yen was -7.2 % in dollars"},
        {"finding": "-7.3% in dollars"},  # a unit of its last digit
        {"finding": "of 5-7.7 %"},
        {"is_documented": False},
        {"kind": "revision"},
        {"year": float("nan")},
    ):
        assert readings(study, content_exports=rows.iloc[:0], breaks=note.assign(**changes)).empty, changes


# --- with the narrative -----------------------------------------------------------------------------
@pytest.mark.parametrize("language, heading", [("en", "How this could be wrong"), ("ja", "誤りがありうる点")])
def test_the_narrative_leads_to_the_verdicts_and_ends_with_what_the_tables_of_doubts_go_on_with(language, heading):
    text = (narrative.TEMPLATES / narrative.NARRATIVE[language]).read_text(encoding="utf-8")
    assert "](#verdicts)" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[-1] == heading
