"""The templates type no number and no word of direction; the words come out of rules over quantities."""

import html
import re

import jinja2
import pytest
from markdown_it import MarkdownIt

from anime_growth import describe, links, narrative, pipeline, units, words
from anime_growth.arithmetic import rank_from_top
from anime_growth.quantities import Quantities

# These tell what differs between two runs, and nothing of the market.
OF_RUNS = {"certificate.md.j2", "changelog.md.j2", "digest.md.j2"}
TEMPLATES = sorted(path for path in narrative.TEMPLATES.glob("*.j2") if path.name not in OF_RUNS)
TOLD = [path for path in TEMPLATES if path.name.endswith(".md.j2")]
ENGLISH = [path for path in TOLD if ".en." in path.name]  # test_japanese.py knows the words of the others

# --- no typed number ------------------------------------------------------------------------------
# Inside a tag a template may count (first, last, one more), nothing else; outside it types no digit.
COUNTING = {0, 1}
TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion trillion dozen"
TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
PARTS = "half halves third thirds quarter quarters once twice thrice double doubled triple tripled quadruple tenfold"
NUMBERS = {*words.CARDINALS[1:], *words.ORDINALS, *TEENS.split(), *TENS.split(), *PARTS.split()}
# Phrases that hold such a word and count nothing that a run could change, and why.
ALLOWED = {
    "how sure can one be": "one is a pronoun",
    "follow one another": "one is a pronoun",
    "the one that": "one is a pronoun",
    "run two commands": "the commands stand right below and are tested",
    "the six notebooks": "the notebooks are a fixed part of the study, named by the Makefile",
}


def outside_tags(text):
    """What a template types itself: without Jinja's tags and HTML's."""
    return re.sub(r"<(?!!--)[^>]*>", " ", re.sub(r"\{[{%#].*?[%#}]\}", " ", text, flags=re.DOTALL))


def strings(text):
    """The strings for readers inside a template's tags, such as those it chooses between: no keys, no files."""
    lexed = jinja2.Environment().lex(text)
    found = [token[1:-1] for _, kind, token in lexed if kind == "string"]
    return [string for string in found if not re.fullmatch(r"[\w.~-]*[._][\w.]*", string)]


def typed(text):
    """Numbers in digits or words that a text holds outside the allowed phrases."""
    for phrase in ALLOWED:
        text = text.replace(phrase, " ")
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word[0].isdecimal() or word in NUMBERS]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_types_a_number_in_digits_or_words(template):
    text = template.read_text(encoding="utf-8")
    assert typed(outside_tags(text)) == []
    assert [word for string in strings(text) for word in typed(string)] == []


@pytest.mark.parametrize("template", TOLD, ids=lambda path: path.name)
def test_inside_its_tags_a_template_only_counts(template):
    lexed = jinja2.Environment().lex(template.read_text(encoding="utf-8"))
    assert {int(token) for _, kind, token in lexed if kind == "integer"} <= COUNTING


@pytest.mark.parametrize(
    "text",
    [
        "It grew 26 %.",
        "four times in five",
        "within one per cent",
        "in the two years to",
        "one year ahead",
        "the second-fastest year",
        "nearly double",
        "half of it",
    ],
)
def test_a_typed_number_is_found(text):
    assert typed(outside_tags(text + " {{ t.n('market.2024') }} <h2>"))


def test_every_allowed_phrase_is_still_used():
    texts = [path.read_text(encoding="utf-8") for path in TEMPLATES]
    told = " ".join([*map(outside_tags, texts), *(string for text in texts for string in strings(text))])
    assert [phrase for phrase in ALLOWED if phrase not in told] == []


# --- no typed direction ---------------------------------------------------------------------------
# Words that say which way something went, how large it is or how it ranks. They come out of `words`.
DIRECTIONS = set(
    re.findall(
        r"\w+",
        """
        record records highest lowest high low best worst fastest slowest largest smallest top more less
        most least fewer few fewest majority rose rise risen fell fall fallen grew grow grows grown growing
        shrank shrinks shrunk increase increased decrease decreased declined accelerated slowed faster
        slower quicker widened narrowed above below ahead behind exceeds strong strongly weak weakly weaker
        large larger huge far only much mainly mostly almost nearly hardly barely clearly steep steeply
        sharp sharply disagree agree too little very
        """,
    )
)
# Where a template of the narrative may use one: the condition before it is its rule, or it is a general truth.
BOUND = {
    "narrative.en.md.j2": {
        "how fast does anime grow overseas": "the question",
        "how much of it is the yen": "the question",
        "a weaker yen makes the same foreign sales look larger": "true of any rate",
        "was ahead by": "follows the sign of the lead",
        "growth is above nought in": "followed by its count",
        "lay above drift's median": "preceded by its share",
        "held less often than promised, by more than chance explains": "preceded by its count, that of the test",
        "monte carlo error at most": "followed by the largest error",
        "is best": "the model of the smallest loss",
        "too few forecasts of the past can be made": "fewer than FEWEST_JUDGED",
        "at its average": "not a direction",
        "so {{}} too {{}}.": "the spot rate against the average",
        "so {{}} too narrow": "Ljung-Box and Durbin-Watson of each model named",
    },
    "claims.en.md.j2": {},
    "finding.en.md.j2": {
        "forecast the past worse than that plain average": "preceded by its count",
    },
    "limits.en.md.j2": {
        "lay above the average's forecast": "preceded by its share",
        "held less often than promised, by more than chance explains": "preceded by its count, that of the test",
        "is no more likely to be true than the lowest": "a general truth",
        "the highest chance": "a general truth",
        "the workflow in `.github/workflows/test.yml` only": "how the study is tested, not a figure",
    },
}
CHOSEN = {
    "increase": "by the sign of the market's growth",
    "decrease": "by the sign of the market's growth",
    "that it has grown is clear, how fast is not": "by the signs of the interval's ends",
    "that it has shrunk is clear, how fast is not": "by the signs of the interval's ends",
    "these figures alone do not rule out that there is no underlying growth": "by the signs of the interval's ends",
    "its low in yen in ": "by the lowest year of the series",
    " This sample starts at the lowest year of the series, which flatters every growth rate in it.": "by that year",
    "below": "what `position` gives",
    "above": "what `position` gives",
    ", below the level of ": "by `position`",
    "low": "by `position` of the spot rate",
    "high": "by `position` of the spot rate",
    "fastest": "what `ranked` takes",
    "grows": "what `trend` gives",
    "shrinks": "what `trend` gives",
    " (exploratory: rows of low confidence)": "by the confidence of the series",
}


def directions(text):
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word in DIRECTIONS]


@pytest.mark.parametrize("template", ENGLISH, ids=lambda path: path.name)
def test_words_of_direction_stand_only_where_a_rule_binds_them(template):
    text = template.read_text(encoding="utf-8")
    plain = " ".join(re.sub(r"\{[{%#].*?[%#}]\}", "{{}}", text, flags=re.DOTALL).lower().split())
    plain = re.sub(r"(\{\{\}\} ?)+", "{{}} ", plain).replace("{{} }", "{{}}").replace("{{}} .", "{{}}.")
    for phrase in BOUND[template.name]:
        assert phrase in plain, phrase
        plain = plain.replace(phrase, " ")
    assert directions(plain) == []
    assert [string for string in strings(text) if string not in CHOSEN and directions(string)] == []


# --- what templates may ask -----------------------------------------------------------------------
def teller(as_html=False, **values):
    """A teller over quantities `a.<name>`, growths in per cent."""
    q = Quantities()
    for name, value in values.items():
        q.observe(f"a.{name}", value, units.PERCENT, name, f"made/up.csv?n={name}#value")
    return narrative.Teller(q, as_html)


@pytest.mark.parametrize(
    ("value", "told"),
    [(26.01, "rose by 26.0 %"), (-12.0, "fell by 12.0 %"), (0.0, "stayed level"), (-0.04, "stayed level")],
)
def test_a_change_is_told_by_its_sign_as_printed(value, told):
    assert teller(growth=value).changed("a.growth") == told


def test_a_second_change_says_its_verb_only_where_that_differs():
    assert teller(usd=16.9, yen=26.0).changed_too("a.usd", "a.yen") == "by 16.9 %"
    assert teller(usd=-7.2, yen=11.1).changed_too("a.usd", "a.yen") == "fell by 7.2 %"
    assert teller(usd=0.0, yen=0.0).changed_too("a.usd", "a.yen") == "stayed level"


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        (26.0, 18.0, "accelerated from the 18.0 %"),
        (18.0, 26.0, "slowed from the 26.0 %"),
        (18.04, 17.96, "stayed at the 18.0 %"),
        (18.0, -3.0, ""),
        (-3.0, 18.0, ""),
    ],
)
def test_growth_is_said_to_accelerate_or_slow_only_where_both_years_grew(now, before, told):
    assert teller(now=now, before=before).paced("a.now", "a.before") == told


@pytest.mark.parametrize(
    ("level", "others", "growth", "told"),
    [
        (30, [20, 25], {"a.growth": 20.0}, ", a record,"),
        (30, [20, 25], {}, ", a record,"),
        (30, [30, 25], {"a.growth": 20.0}, ""),
        (30, [31, 25], {"a.growth": 20.0}, ""),
        (30, [20, 29.99], {"a.growth": 0.03}, ""),
    ],
    ids=["above all", "growth not known", "as high once before", "higher once before", "level as printed"],
)
def test_a_record_is_above_every_other_year_and_reads_as_a_rise(level, others, growth, told):
    q = Quantities()
    for number, value in enumerate((level, *others)):
        q.observe(f"a.level.{number}", value, units.JPY_100M, "level", f"made/up.csv?n={number}#value")
    q.compute("a.rank", rank_from_top, list(q), units.RANK, "rank")
    for key, value in growth.items():
        q.observe(key, value, units.PERCENT, "growth", "made/up.csv?n=9#value")
    assert narrative.Teller(q).record("a.rank", "a.growth") == told


@pytest.mark.parametrize(
    ("leads", "story"),
    [
        ([-5, 3, 4], "passed domestic in 2011"),
        ([5, -3, 4], "fell behind in 2011 and took the lead back in 2012"),
        ([-5, 3, -1, 2], "passed domestic in 2011, fell behind again in 2012 and took the lead back in 2013"),
        ([-5, 3, 0], "passed domestic in 2011 and was level with domestic in 2012"),
        ([-5, 0, -3], "was level with domestic in 2011 and fell behind again in 2012"),
        ([0, 0, 3], "passed domestic in 2012"),
        ([0, -3], "fell behind in 2011"),
        ([-5, 3, None, -3, -2], ""),
        ([-5, 3, None, -3, 2], "passed domestic in 2014"),
        ([-1, 1, -1, 1, -1, 0, 1], "changed places with domestic five times from 2010 to 2016"),
        ([-5, -6], ""),
        ([3], ""),
        ([], ""),
    ],
)
def test_the_story_of_the_lead_tells_only_changes_that_have_a_date(leads, story):
    known = {2010 + number: lead for number, lead in enumerate(leads) if lead is not None}
    assert words.lead_story(known, "domestic") == story
    assert words.lead_story(dict(reversed(known.items())), "domestic") == story


@pytest.mark.parametrize(("low", "high", "says"), [(0.1, 8.0, "grows"), (-2.0, -0.1, "shrinks"), (-0.9, 18.4, "open")])
def test_an_interval_says_growth_only_where_it_leaves_out_nought(low, high, says):
    assert teller(low=low, high=high).trend("a.low", "a.high") == says


def test_a_part_is_most_only_above_half():
    assert teller(part=90.7).part("increase", "a.part") == "most of the increase, 90.7 %"
    assert teller(part=50.0).part("increase", "a.part") == "50.0 % of the increase"
    assert teller(part=112.8).part("decrease", "a.part") == "more than all of the decrease, 112.8 %"


def test_in_html_every_number_carries_its_key_and_in_markdown_none(market, tables):
    q = describe.describe_market(market, tables["breaks"])
    shown = narrative.Teller(q, as_html=True).n("market.overseas.growth", 2024)
    assert links.keys_in(shown) == ["market.overseas.growth.2024"]
    assert ">26.0 %<" in shown
    assert narrative.Teller(q).n("market.overseas.growth", 2024) == "26.0 %"


def test_words_that_stand_for_a_number_carry_its_key_too():
    shown = teller(as_html=True, now=26.0, before=18.0)
    assert links.keys_in(shown.changed("a.now", strong=True)) == ["a.now"]
    assert links.keys_in(shown.paced("a.now", "a.before")) == ["a.before"]
    assert links.keys_in(shown.count_words("a.now")) == ["a.now"]
    assert links.keys_in(shown.ranked("fastest", "a.now")) == ["a.now"]
    assert links.keys_in(shown.listed([shown.n("a.now"), shown.n("a.before")])) == ["a.now", "a.before"]


def test_a_sentence_of_the_rules_is_filled_with_quantities_and_escaped_in_html():
    q = Quantities()
    q.observe("a.level", 21702, units.JPY_100M, "level", "made/up.csv?n=1#value")
    sentence = "It is {a.level|bn}, or {a.level}, <b>not</b> less."
    plain = r"It is JPY 2,170.2 billion, or JPY 2.17 trillion, \<b\>not\</b\> less."
    assert narrative.Teller(q).filled(sentence) == plain
    shown = narrative.Teller(q, as_html=True).filled(sentence)
    assert links.keys_in(shown) == ["a.level"] and "&lt;b&gt;not&lt;/b&gt;" in shown
    assert ">JPY 2,170.2 billion<" in shown and ">JPY 2.17 trillion<" in shown


def test_a_caveat_has_its_numbers_linked_where_it_names_any_and_is_escaped():
    shown = teller(as_html=True, growth=26.0)
    row = {"caveat": "Only <26.0 %>.", "caveat_template": "Only <{a.growth}>."}
    assert links.keys_in(shown.caveat(row)) == ["a.growth"]
    assert shown.caveat({**row, "caveat_template": ""}) == "Only &lt;26.0 %&gt;."


def test_every_figure_that_the_narrative_places_is_promised_by_a_step():
    promised = {figure for step in pipeline.STEPS.values() for figure in step.figures}
    for template in narrative.TEMPLATES.glob("narrative.*.j2"):
        placed = set(narrative.placed(template.read_text(encoding="utf-8")))
        assert placed and placed <= promised


def test_a_headline_never_rests_on_a_row_of_low_confidence(tables, market):
    """Every quantity that the narrative shows, but for the passage that calls itself exploration."""
    q = describe.describe_market(market, tables["breaks"])
    assert all(item.confidence != "low" for item in q.values())
    studio = describe.describe_studio(tables["studio_editions"])
    for part in ("total", "overseas", "domestic"):
        assert studio[f"studio.{part}.level.2024"].confidence == "high"


def test_what_a_claim_says_makes_no_link_heading_or_element():
    hostile = "see [x](https://evil.example) ![p](q.png) *so* `c` <b>"
    for as_html in (False, True):
        said = narrative.Teller(Quantities(""), as_html).said(hostile)
        shown = MarkdownIt("commonmark", {"html": True}).render(str(said))
        assert not re.search(r"<(a|img|em|code|b)\b", shown)
        assert html.unescape(re.sub("<[^>]+>", "", shown)).strip() == hostile
