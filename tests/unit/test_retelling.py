"""English texts that results keep are told again in Japanese, whole, by their form, or part by part."""

import ast
import re
from pathlib import Path

import pandas as pd
import pytest

from anime_growth import checks, claims, doubts, languages, paths, report, retelling, rules, trace, trends, units
from anime_growth.languages import speaking
from anime_growth.quantities import Quantities
from anime_growth.retelling import retold, telling


@pytest.fixture
def catalogue(monkeypatch):
    """Texts and forms of a small catalogue in place of the shipped ones."""
    known = {
        "growth of the {series} in {year}": "{series}の{year}年の伸び",
        "growth of the {series} in {year}, in {basis}": "{series}の{year}年の伸び（{basis}建て）",
        "overseas market": "海外市場",
        "yen": "円",
        "It is {a.level.2024|bn}.": "{a.level.2024|bn}である。",
        "It rose.": "伸びた。",
        "; ": "；",
    }
    for module in (languages, retelling):
        monkeypatch.setattr(module, "CATALOGUES", {"en": (), "ja": ("labels.ja.yml",)})
        monkeypatch.setattr(module, "catalogue", lambda name: known)
    retelling._retold.cache_clear()
    retelling._forms.cache_clear()
    yield
    retelling._retold.cache_clear()
    retelling._forms.cache_clear()


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(
    ("english", "told"),
    [
        ("overseas market", "海外市場"),
        ("growth of the overseas market in 2024", "海外市場の2024年の伸び"),
        (
            "growth of the overseas market in 2024, in yen",
            "海外市場の2024年の伸び（円建て）",
        ),  # the form of more letters
        ("growth of the moon in 2024", "moonの2024年の伸び"),  # only what is known is told again
        ("overseas market; yen", "海外市場；円"),
        ("yen, overseas market", "円, 海外市場"),  # as the catalogue writes a comma
        ("overseas market; the moon", "overseas market; the moon"),
        ("It rose. It is {a.level.2024|bn}.", "伸びた。{a.level.2024|bn}である。"),  # the key is filled in later
        ("It rose. It is the moon.", "It rose. It is the moon."),
        ("It is 5.", "It is 5."),  # a key is no slot
        ("the moon", "the moon"),
        ("2024", "2024"),
        ("", ""),
    ],
)
def test_a_text_is_told_whole_or_by_its_form_or_in_its_parts(english, told):
    with speaking("ja"):
        assert retold(english) == told
    assert retold(english) == english  # to English readers as it is


@pytest.mark.parametrize(
    ("english", "told"),
    [
        ("JPY 2.17 trillion", "2兆1700億円"),
        ("JPY 3.8407 trillion", "3兆8407億円"),
        ("JPY −115.4 billion", "−1154億円"),
        ("USD 25.36 billion", "253.6億ドル"),
        ("USD 781 million", "7.81億ドル"),
        ("JPY 2.17 + 1.67 trillion", "2.17 + 1.67兆円"),
        ("JPY many trillion", "JPY many trillion"),
        ("26 %", "26%"),
        ("rank 2", "2位"),
        ("3 times", "3倍"),
        ("9", "9"),
    ],
)
def test_an_amount_reads_as_japanese_write_it(english, told):
    with speaking("ja"):
        assert retold(english) == told


@pytest.mark.parametrize("unit", units.UNITS.values(), ids=lambda unit: unit.name)
def test_an_amount_of_every_unit_is_the_same_amount_when_it_is_told_again(unit):
    english = unit.text.format(units.number_text(1234.5, 1))
    with speaking("ja"):
        assert retold(english) == (units.in_words(1234.5, unit, 1) if unit.text != "{}" else english)


@pytest.mark.usefixtures("catalogue")
def test_numbers_are_told_in_the_language_in_which_their_sentence_could_be_told():
    with speaking("ja"):
        for sentence, language in (("It is {a.level.2024|bn}.", "ja"), ("It shines.", "en")):
            with telling(sentence):
                assert languages.spoken() == language
        assert languages.spoken() == "ja"


# --- what the study keeps -------------------------------------------------------------------------
def kept():
    """Texts of articles, rules and checks, each with where it stands; names, years and numbers are told as they are."""
    for article in rules.articles():
        for claim in article.claims.itertuples():
            place = article.place(claim.claim_id)
            yield from ((place, getattr(claim, part)) for part in ("subject", "measure", "period"))
            if claim.unit not in ("name", "names"):
                yield place, claims._stated_text(claim)
            rule = article.rules[claim.claim_id]
            yield from ((place, text) for _, text in rule.sentences())
            yield place, rule.tolerance_reason or ""
    for name, check in checks.CHECKS.items():
        yield name, check.what
    for declared in checks.DECLARED:
        yield declared.check, declared.check.replace("_", " ")
        yield from ((declared.check, part) for part in declared.reason.split("; "))


def test_every_text_of_claims_rules_and_checks_has_its_japanese():
    texts = [(place, text) for place, text in kept() if text.strip("0123456789-")]
    assert len(texts) > 250
    with speaking("ja"):
        assert [(place, text) for place, text in texts if retold(text) == text] == []


def test_every_note_of_the_register_has_its_japanese(tables):
    notes = tables["breaks"]["finding"].unique()
    assert len(notes) > 5
    with speaking("ja"):
        assert [note for note in notes if retold(note) == note] == []


def reasons_of_models():
    """Why a model cannot be fitted, each number in it a seven."""
    for node in ast.walk(ast.parse(Path(trends.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "CannotFit":
            (reason,) = node.args
            parts = reason.values if isinstance(reason, ast.JoinedStr) else [reason]
            yield "".join(part.value if isinstance(part, ast.Constant) else "7" for part in parts)


def test_every_reason_why_a_model_is_not_fitted_has_its_japanese():
    reasons = list(reasons_of_models())
    assert len(reasons) > 6
    with speaking("ja"):
        told = [retold(f"not fitted: {reason}") for reason in reasons]
    assert [reason for reason in told if "当てはめなし：" not in reason or re.search("[a-z]{3}", reason)] == []


def test_every_remark_on_a_published_estimate_has_its_japanese():
    remarks = pd.read_csv(paths.published() / "tables" / "trends.csv")["remark"].dropna()
    assert len(remarks)
    with speaking("ja"):
        assert [remark for remark in remarks if re.search("[a-z]{3}", retold(remark))] == []


def test_every_published_verdict_is_told_in_japanese_with_its_numbers():
    verdicts = pd.read_csv(paths.published() / "verdicts.csv", dtype=str, keep_default_na=False)
    q = Quantities.read(paths.published() / "quantities.json")
    with speaking("ja"):
        for row in verdicts.to_dict("records"):
            with telling(doubts.caveat(row)) as told:
                why = rules.filled(told, lambda key, unit: q[key].text_in(unit))
            parts = claims.computed_parts(row["computed"], row["evidence"].split("; "), q)
            for said in (why, *(value for _, value, _ in parts)):
                assert not re.search("JPY|USD|illion|rank | %|tolerance", said), (row["claim_id"], said)
            assert bool(why) == bool(row["caveat"])
            assert not why or why.endswith("。")


def test_a_value_that_is_a_quantity_keeps_its_key_and_is_told_with_its_label():
    q = Quantities()
    q.observe("a.level.2024", 21702.0, units.JPY_100M, "overseas anime market, 2024", "made/up.csv?n=1#value")
    text = "overseas anime market, 2024: JPY 2.17 trillion; 26.0 %"
    assert claims.computed_parts(text, ["a.level.2024"], q) == [
        ("overseas anime market, 2024: ", "JPY 2.17 trillion", "a.level.2024"),
        ("", "26.0 %", ""),
    ]
    with speaking("ja"):
        label, value, key = claims.computed_parts(text, ["a.level.2024"], q)[0]
    assert (label[:8], label[-1], value, key) == ("アニメの海外市場", "：", "2兆1702億円", "a.level.2024")


def test_a_text_longer_than_any_of_the_study_is_left_as_it_is():
    item = "overseas anime market, 2024"
    with speaking("ja"):
        assert retold("; ".join([item] * 2)) != "; ".join([item] * 2)
        assert retold("; ".join([item] * 1000)) == "; ".join([item] * 1000)


def test_what_a_number_s_tip_says_beside_its_method_is_japanese():
    record = trace.Record.read(paths.published())
    with speaking("ja"):
        told = {key: report.tip(key, record) for key in record.q}
    said = {re.sub("方法：[^·]+", "", tip["told"]) for tip in told.values()}
    assert [text for text in said if re.search("[a-z]{3}", text)] == []
    assert "単位：円／ドル · " in told["fx.usdjpy.level.2024"]["told"]


def test_the_year_that_a_claim_is_about_is_a_year_in_japanese():
    row = {"subject": "overseas anime market", "measure": "level", "period": "2024"}
    with speaking("ja"):
        assert claims.about(row).endswith("（2024年）")
        assert "年" not in claims.about({**row, "period": ""})
