"""Japanese: every text has its translation, which says no number of its own, and money reads as Japanese expect it."""

import ast
import re
import shutil
from collections import Counter
from pathlib import Path

import jinja2
import pytest
import yaml

from anime_growth import (
    claims,
    languages,
    narrative,
    parameters,
    projections,
    quantities,
    report,
    series,
    specifications,
    targets,
    trends,
    units,
    words,
)
from anime_growth.errors import InputError
from anime_growth.figures import drawing, market
from anime_growth.languages import say, speaking
from anime_growth.quantities import Quantities
from anime_growth.steps import STEPS

SOURCE = Path(languages.__file__).parent
CATALOGUES = {name: (languages.TEMPLATES / name).read_text(encoding="utf-8") for name in languages.CATALOGUES["ja"]}
PAIRS = [pair for text in CATALOGUES.values() for pair in yaml.safe_load(text).items()]
TEMPLATES = sorted(languages.TEMPLATES.glob("*.ja.md.j2"))


# --- every text has its translation ---------------------------------------------------------------
def said_in(tree):
    """Texts that code hands to say() as they are, or chooses between; those it puts together are heard when told."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
            parts = list(ast.walk(node.args[0]))
            if not any(isinstance(part, ast.JoinedStr | ast.Subscript | ast.Attribute) for part in parts):
                yield from (
                    part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )


def said_in_pages():
    """Texts that the pages' templates hand to `_` as they are."""
    for path in languages.TEMPLATES.glob("*.html.j2"):
        tokens = [
            token for token in jinja2.Environment().lex(path.read_text(encoding="utf-8")) if token[1] != "whitespace"
        ]
        for (_, _, name), (_, _, bracket), (_, kind, text) in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if (name, bracket, kind) == ("_", "(", "string"):
                yield text[1:-1]


def said_from_tables():
    """Texts that stand in tables of the package and are said from there."""
    yield from quantities.SERIES_WORDS.values()
    yield from (
        quantities.MODEL_WORDS[model] for model in quantities.MODEL_WORDS if "(" in quantities.MODEL_WORDS[model]
    )
    yield from (words.split(" (")[0] for words in quantities.MODEL_WORDS.values())
    yield from filter(None, series.BASIS_WORDS.values())
    yield from narrative.SHORT_WORDS.values()
    yield from market.SERIES_NAMES.values()
    yield from claims.VERDICTS
    yield from market.KINDS.values()
    yield from drawing.MEASURES.keys() - {"exchange rate"}
    yield from (name for name, _ in drawing.CAP_GROUPS.values())
    yield from {**targets.SHARINGS, **targets.RATES}.values()
    yield from (name.replace("_", " ") for name in {**targets.SHARINGS, **targets.RATES})
    yield from (conclusion.say for conclusion in specifications.read().conclusions)
    yield from (title for title, _, _ in report.MODEL_COLUMNS.values())
    yield from units.UNITS
    money = {"JPY", "USD"}
    yield from (unit.text for unit in units.UNITS.values() if unit.dimension not in money)


def test_every_text_that_is_said_has_its_japanese():
    said = {text for path in SOURCE.rglob("*.py") for text in said_in(ast.parse(path.read_text(encoding="utf-8")))}
    pages, tables = set(said_in_pages()), set(said_from_tables())
    assert len(said) > 150 and len(pages) > 50 and len(tables) > 40
    assert sorted((said | pages | tables) - {english for english, _ in PAIRS}) == []


def test_a_text_without_translation_is_told_in_english():
    with speaking("ja"):
        assert say("nobody has translated {what} yet", what="this") == "nobody has translated this yet"


def test_what_is_spoken_ends_with_the_passage_also_after_a_failure():
    with pytest.raises(InputError), speaking("ja"):
        raise InputError("a", "b", "c")
    assert languages.spoken() == "en"


# --- what a translation may say -------------------------------------------------------------------
def fields(text):
    """Names of the values that a text takes; of unnamed ones how many."""
    found = re.findall(r"\{(\w*)\}", text)
    return Counter("" if name.isdecimal() else name for name in found)


NUMBER_WORDS = {
    **{word: number for number, word in enumerate(words.CARDINALS)},
    **{"nought": 0, "none": 0, "double": 2, "triple": 3, "both": 2},
}
# Translations that put a number otherwise.
OTHERWISE = {
    "less than one case of twenty": "5",  # per cent
    "billion": "10",  # of 100 million
    "October": "10",
    "November": "11",
    "per dollar": "per 1 dollar",
    "fastest": "1",
    "times drift's": "1 is drift's",
    "run two commands": "",
    "the six notebooks": "",
}


def numbers(text):
    """Numbers of a text, in digits or in English words; kanji numerals count as digits where they count things."""
    for english, other in OTHERWISE.items():
        text = text.replace(english, other)
    text = re.sub(r"\{\w*\}", " ", text)
    found = {int(number) for number in re.findall(r"[0-9０-９]+", text)}
    return found | {NUMBER_WORDS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in NUMBER_WORDS}


def test_no_text_stands_in_two_places():
    listed = [line.split('": "')[0] for text in CATALOGUES.values() for line in text.splitlines() if '": "' in line]
    assert [line for line, count in Counter(listed).items() if count > 1] == []
    assert len(listed) == len(PAIRS)


@pytest.mark.parametrize(("english", "japanese"), PAIRS)
def test_a_translation_takes_the_same_values_and_types_no_number_of_its_own(english, japanese):
    given = {*fields(english), *(["other"] if "fell behind" in english else [])}  # see words.lead_story
    assert set(fields(japanese)) <= given, "a value that is not given"
    assert set(fields(english)) <= set(fields(japanese)), "a value that is not told"
    assert numbers(japanese) <= numbers(english)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_japanese_template_types_a_number_in_kanji(template):
    plain = re.sub(r"\{[{%#].*?[%#}]\}", " ", template.read_text(encoding="utf-8"), flags=re.DOTALL)
    for word in ("一部", "一定", "四捨五入"):  # that count nothing
        plain = plain.replace(word, " ")
    assert re.findall(r"[〇一二三四五六七八九十百千万億兆]+|[０-９]+|半[分数]|[数倍]倍", plain) == []


# --- words of direction ---------------------------------------------------------------------------
# They come out of `words`; where a template uses one, the condition before it is its rule, or it is a general truth.
DIRECTIONS = (
    "増|減|上昇|低下|下落|拡大|縮小|加速|鈍化|最高|最低|最大|最小|最多|最も|過去最|首位|上回|下回|超え|及ば|高い|低い|高め|低め|"
    "大き|小さ|急|堅調|好調|不調|逆転|大半|過半|多い|少な|強い|弱い|円安|円高|勝る|劣る|外して|足り|広い|狭|過大|過小|底"
)
BOUND = {
    "narrative.ja.md.j2": {
        "円安になれば、同じ外貨建ての売上高も円では膨らむ": "true of any rate",
        "（アニメ業界市場、狭義）": "the name of a market",
        "誤差の大きさを上下対称にとると": "true of any size",
        "伸び率の高さは": "followed by its ranks",
        "この標本は系列の底の年から始まるため、成長率はいずれも高めに出る": "by the lowest year of the series",
        "'円建てで底だった'": "by the lowest year of the series",
        "上回った。\n{% endif %}\n{% endif %}\n\n<!-- figure: market_levels": "follows the sign of the lead",
        "縮小したことは明らかだが": "by the signs of the interval's ends",
        "信頼度の低い値による参考値": "by the confidence of the series",
        "根拠は弱い": "remarks of the model",
        "示した区間は狭すぎる": "Ljung-Box and Durbin-Watson of each model named",
        "がドリフトの中央値を上回った": "preceded by its share",
        "偶然とはいえないほど名目を下回った": "preceded by its count, that of the test",
        "どの予測期間でもドリフトに劣る": "preceded by its count",
        "がドリフトに勝る": "the models that beat it",
        "最も良いのは": "the model of the smallest loss",
        "予測の数が足り": "fewer than FEWEST_JUDGED",
        "年の水準を下回る）": "by `position`",
        "誤差は最大": "followed by the largest error",
        "'過小' if": "the spot rate against the average",
        "'過大'": "the spot rate against the average",
        "'increase' if t.rises": "by the sign of the market's growth",
    },
    "claims.ja.md.j2": {},
    "finding.ja.md.j2": {"より過去の予測を外して": "preceded by its count"},
    "limits.ja.md.j2": {
        "の単純平均に劣る": "preceded by its count",
        "が勝る": "the models of a smaller loss",
        "が平均による予測を上回り": "preceded by its share",
        "偶然とはいえないほど名目を下回った": "preceded by its count, that of the test",
        "その幅の方が広い": "preceded by its count",
        "根拠が弱い": "remarks of the model",
        "「最も高い確率」が最も低い確率より確からしいわけではない": "a general truth",
    },
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_japanese_words_of_direction_stand_only_where_a_rule_binds_them(template):
    text = template.read_text(encoding="utf-8")
    for phrase in BOUND[template.name]:
        assert phrase in text, phrase
        text = text.replace(phrase, " ")
    assert re.findall(rf".{{0,12}}(?:{DIRECTIONS}).{{0,6}}", text) == []


# --- numbers --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "unit", "digits", "text"),
    [
        (21702, units.JPY_100M, 0, "2兆1702億円"),
        (4997, units.JPY_100M, 0, "4997億円"),
        (-1154, units.JPY_100M, 0, "−1154億円"),
        (-11540, units.JPY_100M, 0, "−1兆1540億円"),
        (60044, units.JPY_100M, 0, "6兆44億円"),
        (9999.6, units.JPY_100M, 0, "1兆円"),
        (12_345_678, units.JPY_100M, 0, "1,234兆5678億円"),
        (20, units.JPY_TRN, 0, "20兆円"),
        (5.8, units.JPY_TRN, 1, "5兆8000億円"),
        (97.9, units.JPY_BN, 1, "979億円"),
        (14.33, units.USD_BN, 2, "143.3億ドル"),
        (14330, units.USD_M, 0, "143.30億ドル"),
        (26.0, units.PERCENT, 1, "26.0%"),
        (8.3, units.PERCENT_A_YEAR, 1, "年率8.3%"),
        (151.46, units.RATE, 2, "1ドル=151.46円"),
        (18.3, units.MULTIPLE, 1, "18.3倍"),
        (4, units.RANK, 0, "4位"),
    ],
)
def test_a_number_reads_as_japanese_expect_it(value, unit, digits, text):
    with speaking("ja"):
        assert units.in_words(value, unit, digits) == text


def test_a_model_s_number_is_told_no_finer_than_in_english():
    q = Quantities()
    q.observe("a.level.2024", 21702.0, units.JPY_100M, "level", "made/up.csv?n=1#value")
    q.record("a.p50.2033", 44623.0, units.JPY_100M, "median", "anime_growth.trends.drift(levels)", ["a.level.2024"], 0)
    assert q["a.p50.2033"].text == "JPY 4.46 trillion"
    with speaking("ja"):
        assert (q["a.level.2024"].text, q["a.p50.2033"].text) == ("2兆1702億円", "4兆4600億円")


def test_sentences_of_the_rules_keep_english_numbers():
    q = Quantities()
    q.observe("a.level.2024", 21702.0, units.JPY_100M, "level", "made/up.csv?n=1#value")
    with speaking("ja"):
        assert narrative.Teller(q).filled("It is {a.level.2024}.") == "It is JPY 2.17 trillion."


# --- letters --------------------------------------------------------------------------------------
def test_a_line_is_broken_where_one_pauses_and_none_begins_with_what_closes():
    text = "名目95%区間、円建て、白抜きの三角はドル建て（参考）。アニメの海外市場、2002〜2024年、2025年版。"
    with speaking("ja"):
        for most in range(8, 80):
            lines = drawing.folded(text, most)
            assert "".join(lines) == text
            assert all(drawing.letters(line) <= most for line in lines)
        assert all(line[0] not in "、。）" for line in drawing.folded(text, 40))
        assert drawing.folded("2024年の海外は前年比26.0%増", 22) == ["2024年の海外は", "前年比26.0%増"]


def test_the_font_is_shipped_and_writes_every_letter_of_the_catalogues():
    from matplotlib.ft2font import FT2Font

    with speaking("ja"):
        font = FT2Font(str(languages.font_file()))
    told = "".join(japanese for _, japanese in PAIRS) + "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    known = font.get_charmap()
    assert sorted({letter for letter in told if letter >= "\u3000" and ord(letter) not in known}) == []
    assert languages.font_file() is None  # in English


def test_a_missing_font_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(languages, "find_spec", lambda name: None)
    with speaking("ja"), pytest.raises(InputError, match="package matplotlib_fontja is missing. Run `make"):
        languages.font_file()


# --- the parameter --------------------------------------------------------------------------------
def test_every_step_that_draws_or_tells_has_the_language():
    told = [spec.name for spec in STEPS.values() if spec.figures or "narrative.md" in spec.files]
    assert [spec.name for spec in STEPS.values() if "language" in spec.parameters] == told


def test_another_language_is_refused_with_those_there_are():
    assert set(parameters.Parameters.model_fields["language"].annotation.__args__) == set(languages.CATALOGUES)
    assert set(narrative.NARRATIVE) == set(narrative.FINDING) == set(narrative.LIMITS) == set(languages.CATALOGUES)
    with pytest.raises(InputError, match="'fr' .* is not one of en, ja"):
        parameters.check({"language": "fr"})


def test_forecasts_to_choose_are_in_units_that_japanese_count_in(described, fits, subject):
    dollars = series.choose(described, "market.overseas", "usd", 2002)
    projected = projections.project({"drift": trends.fit("drift", dollars.levels)}, dollars, 2030)
    english, japanese = (report.to_explore(projected, projected, described, language) for language in ("en", "ja"))
    assert (english["bases"]["usd"]["unit"], japanese["bases"]["usd"]["unit"]) == ("USD billion", "億ドル")
    assert (english["bases"]["yen"]["unit"], japanese["bases"]["yen"]["unit"]) == ("JPY trillion", "兆円")
    for told in ("p10", "p50", "p90"):
        pair = (one["forecasts"]["usd/2002/drift"][told] for one in (english, japanese))
        assert all(ja == pytest.approx(10 * en) for en, ja in zip(*pair, strict=True))
    past = (one["bases"]["usd"]["values"] for one in (english, japanese))
    assert all(ja == pytest.approx(10 * en) for en, ja in zip(*past, strict=True))
    told = [one["forecasts"]["usd/2002/drift"]["last"]["p50"] for one in (english, japanese)]
    assert told[0].startswith("USD ") and told[0].endswith(" billion") and told[1].endswith("億ドル")
    assert japanese["models"] == {"drift": "ドリフト（平均成長）"}


# --- what is damaged ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, r"words\.ja\.yml: cannot be read \(.*No such file"),
        ("- a\n- b\n", r"words\.ja\.yml: is no list of texts, each with its translation"),
        ("", r"words\.ja\.yml: is no list of texts"),
        ("a: [\n", r"words\.ja\.yml: cannot be read \(while parsing"),
        (b"\xff\xfe", r"words\.ja\.yml: cannot be read \(.*codec"),
        ('"JPY {} trillion": "兆円"', r"words\.ja\.yml, 'JPY \{\} trillion': loses \{0\}"),
        ('"{shown} of {all} shown": "{all}件中"', r"loses \{shown\}\. Keep every"),
        ('"Verdicts": "{alle}の判定"', r"'Verdicts': asks for \{alle\}, which is not given"),
        ('"Verdicts": 5', r"'Verdicts': is no text with a text"),
        ('"Verdicts": "判定{"', r"'Verdicts': is no text to fill in"),
    ],
)
def test_a_catalogue_that_is_damaged_is_refused_before_anything_is_said(tmp_path, monkeypatch, written, said):
    for name in languages.CATALOGUES["ja"]:
        shutil.copyfile(languages.TEMPLATES / name, tmp_path / name)
    damaged = tmp_path / "words.ja.yml"
    damaged.unlink() if written is None else damaged.write_bytes(
        written if isinstance(written, bytes) else written.encode()
    )
    monkeypatch.setattr(languages, "TEMPLATES", tmp_path)
    languages.catalogue.cache_clear()
    try:
        with pytest.raises(InputError, match=said), languages.speaking("ja"):
            pass
    finally:
        languages.catalogue.cache_clear()
    assert languages.spoken() == "en"


def test_a_translation_that_asks_for_more_than_is_at_hand_is_refused_when_it_is_said(monkeypatch):
    monkeypatch.setattr(languages, "catalogue", lambda name: {"{a} shown": "{a}の{b}"})
    with speaking("ja"), pytest.raises(InputError, match=r"asks for 'b'\. Restore it"):
        languages.say("{a} shown", a=1)


def test_a_template_that_is_damaged_is_named_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(narrative, "TEMPLATES", tmp_path)
    narrative.environment.cache_clear()
    try:
        with pytest.raises(InputError, match=r"finding\.ja\.md\.j2: is missing"):
            narrative.template("finding.ja.md.j2")
        (tmp_path / "finding.ja.md.j2").write_text("ok\n{% if %}")
        with pytest.raises(InputError, match=r"finding\.ja\.md\.j2, line 2: is no template"):
            narrative.template("finding.ja.md.j2")
    finally:
        narrative.environment.cache_clear()
