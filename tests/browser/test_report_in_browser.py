"""The report and its trace page as readers have them: opened from disk, by pointer, keyboard, phone, paper or screen
reader, in light and dark, with and without scripts.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from anime_growth import paths
from tests.browser.conftest import PATIENCE, one_browser

pytestmark = one_browser

PHONE, DESKTOP, HEIGHT = 390, 1280, 900
CLAIMS = pd.read_csv(paths.published() / "verdicts.csv", dtype=str, keep_default_na=False)
CLAIMS.index = pd.Index("claim." + CLAIMS["article"] + "." + CLAIMS["claim_id"])
OPEN_TIP = ".tip:not([hidden])"


# --- what readers do ------------------------------------------------------------------------------
@pytest.fixture
def visit(browser: Browser, pages: Path) -> Iterator[Callable[..., Page]]:
    """Open a page of the report, with a width and what else `new_context` knows.

    In the end no page may have complained, nor asked for anything but these pages.
    """
    contexts, complaints, asked = [], [], []

    def opened(address: str, width: int = DESKTOP, **manner: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": HEIGHT}, **manner)
        context.set_default_timeout(PATIENCE)
        context.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        context.on("weberror", lambda problem: complaints.append(str(problem.error)))
        context.on("request", lambda request: asked.append(request.url))
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{pages.as_uri()}/{address}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    known = {path.as_uri() for path in pages.rglob("*")}
    assert asked and {address.split("#")[0] for address in asked} <= known


def tabbed_to_number(page: Page) -> Locator:
    """The first number that the tab key reaches."""
    focused = page.locator(":focus")
    for _ in range(40):
        page.keyboard.press("Tab")
        if "n" in (focused.get_attribute("class") or "").split():
            return focused
    raise AssertionError("no number is near the page's beginning")


def shown(page: Page) -> list[str]:
    """Rows or sections that the filter leaves."""
    visible = "items => items.filter(item => item.checkVisibility()).map(item => item.id)"
    return page.locator("[data-item]").evaluate_all(visible)


def expect_claims(page: Page, chosen: pd.DataFrame) -> None:
    """The table of verdicts shows these claims, no others, and says how many they are."""
    expect(page.locator("#filter").get_by_role("status")).to_have_text(f"{len(chosen)} of {len(CLAIMS)} shown")
    assert shown(page) == list(chosen.index)


# --- numbers and where they come from ---------------------------------------------------------------
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_tip_of_a_number_opens_by_keyboard_beside_it_and_closes_with_escape(visit, width):
    page = visit("report.html", width)
    number, tip = tabbed_to_number(page), page.locator(OPEN_TIP)
    key = number.get_attribute("data-key")
    expect(tip).to_have_id(f"tip-{key}")
    expect(tip).to_contain_text("source")
    assert number.get_attribute("aria-describedby") == f"tip-{key}"
    told, over = tip.bounding_box(), number.bounding_box()
    assert told["y"] >= over["y"] + over["height"] or told["y"] + told["height"] <= over["y"]
    assert told["x"] >= 0 and told["x"] + told["width"] <= width
    assert told["y"] >= 0 and told["y"] + told["height"] <= HEIGHT
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    expect(number).to_have_attribute("data-key", key)
    page.keyboard.press("Tab")
    expect(tip).to_have_count(1)


def test_the_tip_opens_under_the_pointer_and_stays_while_the_pointer_is_on_it(visit):
    page = visit("report.html")
    number, tip = page.locator(".n").first, page.locator(OPEN_TIP)
    number.hover()
    expect(tip).to_have_id(f"tip-{number.get_attribute('data-key')}")
    tip.hover()
    page.wait_for_timeout(500)  # longer than a tip lingers
    expect(tip).to_have_count(1)
    page.mouse.move(5, 5)
    expect(tip).to_have_count(0)


def test_a_tap_opens_the_tip_of_a_number_a_second_one_follows_it_and_one_elsewhere_closes_it(visit):
    page = visit("report.html", PHONE, has_touch=True, is_mobile=True)
    here, tip, numbers = page.url, page.locator(OPEN_TIP), page.locator("main p .n")
    first, second = numbers.first, numbers.nth(12)  # far enough that the tip of one does not lie over the other
    first.tap()
    expect(tip).to_have_id(f"tip-{first.get_attribute('data-key')}")
    assert page.url == here
    page.locator("h1").tap()
    expect(tip).to_have_count(0)
    key = second.get_attribute("data-key")
    first.tap()
    second.tap()
    expect(tip).to_have_id(f"tip-{key}")
    assert page.url == here
    second.tap()
    expect(page.locator(":target")).to_have_id(key)


def test_enter_follows_a_number_to_its_sources_and_back_leads_to_it_again(visit):
    page = visit("report.html#verdicts?kind=growth")
    chosen = CLAIMS[CLAIMS["kind"] == "growth"]
    expect_claims(page, chosen)
    number = page.locator("[data-item]:not([hidden]) .n[data-key*='.growth.']").first
    key = number.get_attribute("data-key")
    number.press("Enter")
    section = page.locator(":target")
    expect(section).to_have_id(key)
    expect(section).to_be_in_viewport()
    expect(section.locator("a[href^=http]").first).to_be_visible()
    section.locator("li a[href^='#']").first.click()
    expect(section).not_to_have_id(key)
    page.go_back()
    page.go_back()
    expect(number).to_have_attribute("data-key", key)
    expect_claims(page, chosen)


def test_a_link_leads_to_its_section_even_where_the_filter_hid_it(visit):
    page = visit("trace.html")
    every = len(shown(page))
    page.get_by_role("searchbox").fill("usdjpy")
    assert 0 < len(shown(page)) < every / 2
    key = "market.overseas.level.2024"
    assert key not in shown(page)
    page.evaluate("key => { location.hash = key }", key)
    expect(page.locator(":target")).to_be_in_viewport()
    assert len(shown(page)) == every


# --- the filter of verdicts -------------------------------------------------------------------------
def test_verdicts_are_chosen_by_keyboard_and_the_address_keeps_the_choice(visit):
    page = visit("report.html")
    expect_claims(page, CLAIMS)
    button = page.locator("#filter button[value=contradicted]")
    button.press("Enter")
    expect_claims(page, CLAIMS[CLAIMS["verdict"] == "contradicted"])
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.url.endswith("#verdicts?verdict=contradicted")
    page.reload()
    expect_claims(page, CLAIMS[CLAIMS["verdict"] == "contradicted"])
    button.press("Space")
    expect_claims(page, CLAIMS)
    assert page.url.endswith("#verdicts")


def test_the_address_keeps_a_projection_and_verdicts_that_are_chosen_on_one_page(visit):
    page = visit("report.html#explore?model=drift&start=2012&basis=usd")
    page.locator("#filter button[value=contradicted]").click()
    again = visit(page.url.rsplit("/", 1)[1])
    expect_claims(again, CLAIMS[CLAIMS["verdict"] == "contradicted"])
    expect(again.locator("#choose").get_by_role("status")).to_contain_text("from 2012 in dollars")
    again.get_by_label("From the year").select_option("2002")
    assert again.url.endswith("#explore?model=drift&start=2002&basis=usd&verdict=contradicted")


def test_verdict_article_kind_and_text_narrow_the_choice_together_and_show_all_undoes_them(visit):
    page, article = visit("report.html"), CLAIMS["article"].iloc[0]
    page.locator("select[name=article]").select_option(article)
    left = CLAIMS[CLAIMS["article"] == article]
    expect_claims(page, left)
    page.locator("select[name=kind]").select_option("growth")
    left = left[left["kind"] == "growth"]
    expect_claims(page, left)
    page.locator("#filter button[value=supported]").click()
    left = left[left["verdict"] == "supported"]
    expect_claims(page, left)
    page.get_by_role("searchbox").fill(left["claim_id"].iloc[0].lower())
    expect_claims(page, left.iloc[:1])
    page.locator("#filter button:not([value])").click()
    expect_claims(page, CLAIMS)
    assert page.url.endswith("#verdicts")


@pytest.mark.parametrize(
    "choice, chosen",
    [
        (
            "verdict=contradicted&verdict=not+checkable",
            CLAIMS[CLAIMS["verdict"].isin(["contradicted", "not checkable"])],
        ),
        ("kind=ranking", CLAIMS[CLAIMS["kind"] == "ranking"]),
        ("kind=nothing+such", CLAIMS),
    ],
)
def test_an_address_that_was_sent_shows_the_same_choice(visit, choice, chosen):
    page = visit(f"report.html#verdicts?{choice}", PHONE)
    expect_claims(page, chosen)
    expect(page.locator("#verdicts")).to_be_in_viewport()
    indices = "lists => lists.map(list => list.selectedIndex)"
    assert min(page.locator("#filter select").evaluate_all(indices)) >= 0


# --- readers of all kinds ---------------------------------------------------------------------------
def serious(page: Page) -> dict[str, list[str]]:
    """What axe-core calls serious or critical, with the places."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return {
        problem["id"]: [node["html"][:120] for node in problem["nodes"]]
        for problem in found
        if problem["impact"] in ("serious", "critical")
    }


@pytest.mark.parametrize("width, scheme", [(PHONE, "light"), (DESKTOP, "dark")])
@pytest.mark.parametrize(
    "name",
    [
        *("report", "trace", "index", "codebook", "certificate"),
        *("article-ann_record_market", "notebooks/04_project_targets"),
    ],
)
def test_axe_finds_nothing_serious(visit, name, width, scheme):
    """With a tip open and buttons pressed; of the sections of the trace page, all alike, a part, for axe is slow."""
    page = visit(f"{name}.html", width, color_scheme=scheme, bypass_csp=True)
    if name == "report":
        for button in page.locator("#filter button[value]").all():
            button.click()
        tabbed_to_number(page)
        expect(page.locator(OPEN_TIP)).to_have_count(1)
    elif name == "trace":
        page.get_by_role("searchbox").fill("market.overseas.growth")
        assert len(shown(page)) > 20
    assert serious(page) == {}


# --- a projection to choose -------------------------------------------------------------------------
def test_a_projection_is_chosen_by_keyboard_and_the_address_keeps_it(visit, pages):
    explored = pd.read_csv(pages / "tables" / "explored.csv")
    page = visit("report.html")
    told, drawn = page.locator("#choose").get_by_role("status"), "document.querySelector('#chart canvas').toDataURL()"
    expect(told).to_contain_text("drift")
    before = page.evaluate(drawn)
    page.get_by_label("Model").select_option("local_linear")
    page.get_by_label("From the year").select_option("2012")
    page.locator("#choose select[name=basis]").focus()
    page.keyboard.press("d")  # dollars
    wanted = explored.query("model == 'local_linear' and start_year == 2012 and basis == 'usd'").iloc[-1]
    expect(told).to_contain_text(
        f"from 2012 in dollars: the median of {wanted['year']} is USD {wanted['p50']:,.2f} billion,"
    )
    expect(told).to_contain_text(f"the outer USD {wanted['p2_5']:,.2f} billion to USD {wanted['p97_5']:,.2f} billion.")
    assert page.evaluate(drawn) != before
    assert page.url.endswith("#explore?model=local_linear&start=2012&basis=usd")
    sent = visit(page.url.rsplit("/", 1)[1])
    expect(sent.locator("#choose").get_by_role("status")).to_have_text(told.inner_text())
    assert sent.evaluate(drawn) == page.evaluate(drawn)


def test_an_address_that_asks_for_no_such_projection_shows_the_runs_own(visit):
    page = visit("report.html#explore?model=oracle&start=1900&basis=gold")
    expect(page.locator("#choose").get_by_role("status")).to_contain_text("drift (average growth) from 2002 in yen")


def test_figures_come_when_they_are_looked_at_and_the_first_view_is_small(visit, pages):
    page = visit("report.html")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    figures = [pages / "figures" / name.rsplit("/", 1)[1] for name in loaded if name.endswith(".svg")]
    assert len(figures) < len(page.locator("figure img").all())
    assert sum(path.stat().st_size for path in [pages / "report.html", *figures]) < 1e6


def test_the_dark_scheme_is_dark_and_paper_is_not(visit):
    page = visit("report.html", color_scheme="dark")
    lightness = "Math.max(...getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number))"
    assert page.evaluate(lightness) < 64
    has_dark_ink = """() => {
        const canvas = document.querySelector("#chart canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const dark = (red, at) => at % 4 === 0 && red < 40 && data[at + 2] < 60 && data[at + 3] === 255;
        return data.some(dark);
    }"""
    assert not page.evaluate(has_dark_ink)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(lightness) == 255
    page.wait_for_function(has_dark_ink)


def test_on_a_phone_no_page_is_wider_than_the_screen_and_what_is_scrolls_by_keyboard_in_its_own_box(visit, pages):
    for file in pages.glob("*.html"):
        page = visit(file.name, PHONE, has_touch=True, is_mobile=True)
        for details in page.locator("details").all()[:20]:
            details.evaluate("details => { details.open = true }")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, file.name
    table = visit("certificate.html", PHONE).locator(".wide").first
    expect(table).to_have_attribute("tabindex", "0")
    table.focus()
    table.press("ArrowRight")
    scrolled = """table => new Promise(done => {
        const look = left => table.scrollLeft || !left ? done(table.scrollLeft) : setTimeout(look, 50, left - 1);
        look(400);
    })"""
    assert table.evaluate(scrolled) > 0
    expect(visit("report.html", DESKTOP).locator("[tabindex]")).to_have_count(0)


def test_a_number_and_its_unit_stay_on_one_line(visit):
    numbers = visit("report.html", PHONE).locator("p a.n, li a.n")
    with_unit = "(all) => all.filter(one => /\\d .*%/.test(one.textContent)).map(one => one.getClientRects().length)"
    lines = numbers.evaluate_all(with_unit)
    assert len(lines) > 20 and set(lines) <= {0, 1}  # none for what is folded away


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_figure_is_whole_and_where_that_makes_it_small_its_headline_stands_beside_it(visit, width):
    page = visit("report.html", width)
    whole = "all => all.every(one => one.getBoundingClientRect().right <= document.documentElement.clientWidth)"
    assert page.locator("figure img").count() and page.locator("figure img").evaluate_all(whole)
    headlines = page.locator("figure figcaption")
    assert headlines.count() == page.locator("figure").count()
    assert all(headlines.all_text_contents())
    expect(headlines.first).to_be_visible(visible=width == PHONE)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", ["codebook", "report"])
def test_no_line_breaks_inside_the_name_of_a_part_of_a_key(visit, name, width):
    page = visit(f"{name}.html", width)
    broken = """() => {
        const found = [];
        for (const cell of document.querySelectorAll("td.key")) {
            const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange();
            for (let text = texts.nextNode(); text; text = texts.nextNode()) {
                for (const part of text.data.matchAll(/\\w+/g)) {
                    range.setStart(text, part.index);
                    range.setEnd(text, part.index + part[0].length);
                    if (new Set([...range.getClientRects()].map(({ top }) => top)).size > 1) found.push(part[0]);
                }
            }
        }
        return found;
    }"""
    assert page.locator("td.key").count() > 50
    assert page.evaluate(broken) == []


@pytest.mark.parametrize("width", [PHONE, 800, DESKTOP])
def test_a_verdict_stands_on_one_line(visit, width):
    heights = visit("report.html", width).locator(".badge").evaluate_all("all => all.map(one => one.offsetHeight)")
    assert len(heights) == len(CLAIMS) and len(set(heights)) == 1


def test_paper_shows_what_is_folded_on_the_screen_and_the_addresses_of_sources(visit):
    page = visit("index.html")
    folded = page.locator("details ul")
    visible = "lists => lists.map(list => list.checkVisibility({contentVisibilityAuto: true}))"
    assert not any(folded.evaluate_all(visible))
    page.emulate_media(media="print")
    assert folded.count() and all(folded.evaluate_all(visible))
    page = visit("report.html#verdicts?verdict=contradicted")
    page.emulate_media(media="print")
    badge = "badge => [getComputedStyle(badge).backgroundColor, getComputedStyle(badge).color]"
    assert page.locator(".badge").first.evaluate(badge) == ["rgba(0, 0, 0, 0)", "rgb(27, 31, 36)"]
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("#filter").get_by_role("status")).to_be_visible()  # it tells that rows were left out
    link = page.locator("#sources + ul a[href^=http]").first
    printed = link.evaluate("link => getComputedStyle(link, '::after').content")
    assert link.get_attribute("href") in printed
    page.set_viewport_size({"width": 680, "height": 1000})  # A4 between its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 680


def test_without_scripts_all_can_be_read_and_followed(visit):
    page = visit("report.html", java_script_enabled=False)
    expect(page.locator("#filter")).to_be_hidden()
    for claim in page.locator("[data-item]").all():
        expect(claim).to_be_visible()
    expect(page.locator("[data-item]")).to_have_count(len(CLAIMS))
    number = page.locator(".n").first
    key = number.get_attribute("data-key")
    number.click()
    expect(page.locator(":target")).to_have_id(key)


def test_nothing_moves_by_itself(visit):
    page = visit("report.html")
    number = page.locator(".n").first
    number.hover()
    page.locator("#filter button").first.click()
    manners = """() => [...document.querySelectorAll("*")].map(element => getComputedStyle(element))
        .map(style => [style.animationName, style.transitionDuration, style.scrollBehavior].join())"""
    assert set(page.evaluate(manners)) == {"none,0s,auto"}


# --- what pages may not do --------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["report", "trace"])
@pytest.mark.parametrize(
    "element, given, barred",
    [
        ("script", {"text": "document.title = 'seized'"}, "script-src"),
        ("img", {"src": "https://example.org/seen.png"}, "img-src"),
        ("iframe", {"src": "https://example.org/"}, "frame-src"),
    ],
)
def test_what_a_page_was_made_to_hold_can_neither_run_nor_call_home(browser, pages, name, element, given, barred):
    calls = []
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{pages.as_uri()}/{name}.html")
        context.on("request", lambda request: calls.append(request))
        title = page.title()
        held = page.evaluate(
            """([element, given]) => new Promise(done => {
                document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
                document.body.append(Object.assign(document.createElement(element), given));
                setTimeout(done, 5000);
            })""",
            [element, given],
        )
        assert str(held).startswith(barred)
        assert page.title() == title
        assert all(call.failure == "csp" for call in calls)


def test_pages_are_drawn_at_both_widths(visit, tmp_path):
    """Pictures for whoever looks after a change: they lie in the test's own folder."""
    for width in (PHONE, DESKTOP):
        for name in ("report", "trace"):
            picture = tmp_path / f"{name}-{width}.png"
            visit(f"{name}.html", width).screenshot(path=picture)
            assert picture.stat().st_size > 10_000
