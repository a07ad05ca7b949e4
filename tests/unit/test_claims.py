"""Verdicts follow from rules and quantities; malformed rules are refused by name."""

import pandas as pd
import pytest

from anime_growth import claims, expressions, paths, units
from anime_growth.arithmetic import growth_pct
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities

CELL = "aja/2025/aja_market_editions.csv?year=2024&series=broad_overseas&edition=2025#value"
ROWS = {CELL.split("#")[0]: {"sha256": "0", "source_id": "S001", "also": []}}


def quantities() -> Quantities:
    q = Quantities("2025")
    q.observe("market.overseas.level.2024", 21702, units.JPY_100M, "overseas, 2024", CELL)
    q.observe("market.overseas.level.2023", 17222, units.JPY_100M, "overseas, 2023", CELL)
    q.observe("fx.usdjpy.level.2024", 151.4551, units.RATE, "average of 2024", CELL)
    q.observe("fx.usdjpy.spot.2025-10-29", 152.1743, units.RATE, "29 October 2025", CELL)
    pair = ["market.overseas.level.2024", "market.overseas.level.2023"]
    q.compute("market.overseas.growth.2024", growth_pct, pair, units.PERCENT, "growth")
    return q


def claim(value: str, unit: str) -> pd.DataFrame:
    row = {"claim_id": "C01", "value": value, "unit": unit, "subject": "s", "measure": "m", "period": "p", "kind": "k"}
    return pd.DataFrame([row])


@pytest.fixture
def verdict(monkeypatch):
    """Judge one claim by one rule and return its row."""

    def judge(value: str, claimed_in: str, /, **rule):
        built = claims._read_rule("rules.yml, claim C01", rule)
        article = claims.Article("test", "2025", claim(value, claimed_in), {"C01": built}, paths.raw() / "rules.yml")
        monkeypatch.setattr(claims, "articles", lambda: [article])
        return claims.judge(quantities(), ROWS)[0].iloc[0]

    return judge


LEVEL = {"computed": "market.overseas.level.2024", "unit": "100m JPY"}


def test_a_value_within_half_its_last_digit_is_supported(verdict):
    row = verdict("2.17", "trillion JPY", **LEVEL)
    assert (row.verdict, row.computed, row.sources) == ("supported", "JPY 2.170 trillion", "S001")


def test_a_value_one_digit_off_is_contradicted_and_says_why(verdict):
    row = verdict("2.18", "trillion JPY", **LEVEL, otherwise="It is {market.overseas.level.2024|bn}.")
    assert (row.verdict, row.caveat) == ("contradicted", "It is JPY 2,170.2 billion.")


def test_a_unit_slip_of_ten_is_contradicted(verdict):
    assert verdict("21.7", "trillion JPY", **LEVEL).verdict == "contradicted"


def test_a_wider_tolerance_needs_its_reason(verdict):
    with pytest.raises(InputError, match="tolerance needs its tolerance_reason"):
        verdict("2.18", "trillion JPY", **LEVEL, tolerance=0.02)
    row = verdict("2.18", "trillion JPY", **LEVEL, tolerance=0.02, tolerance_reason="rounded twice")
    assert row.verdict == "supported"


def test_a_caveat_applies_only_where_its_condition_holds(verdict):
    remark = {"say": "Only in yen.", "when": "market.overseas.growth.2024 > 20"}
    assert verdict("2.17", "trillion JPY", **LEVEL, caveats=[remark]).verdict == "supported with a caveat"
    remark["when"] = "market.overseas.growth.2024 > 30"
    assert verdict("2.17", "trillion JPY", **LEVEL, caveats=[remark]).verdict == "supported"


def test_an_alternative_reading_turns_a_contradiction_into_a_caveat(verdict):
    other = {"holds": "market.overseas.level.2023 > 17000", "say": "True of the year before."}
    row = verdict("1.72", "trillion JPY", **LEVEL, alternatives=[other])
    assert (row.verdict, row.caveat) == ("supported with a caveat", "True of the year before.")


def test_dollars_at_the_average_rate_are_supported_and_at_a_days_rate_with_a_caveat(verdict):
    rule = {"of": "market.overseas.level.2024", "at": "fx.usdjpy.level.2024", "or_at": "fx.usdjpy.spot.2025-10-29"}
    assert verdict("14.33", "billion USD", dollars=rule).verdict == "supported"
    row = verdict("14.27", "billion USD", dollars=rule)
    assert row.verdict == "supported with a caveat"
    assert "Only at about JPY 152.08 per dollar" in row.caveat
    assert verdict("143.3", "billion USD", dollars=rule).verdict == "contradicted"


def test_the_exchange_rate_that_an_article_implies_is_a_quantity(monkeypatch):
    rule = claims.Rule(dollars=claims.Dollars(of="market.overseas.level.2024", at="fx.usdjpy.level.2024"))
    article = claims.Article("test", "2025", claim("14.27", "billion USD"), {"C01": rule}, paths.raw())
    monkeypatch.setattr(claims, "articles", lambda: [article])
    implied = claims.judge(quantities(), ROWS)[1]
    assert implied["article.test.implied_rate.C01"].value == pytest.approx(2170.2 / 14.27)
    assert implied["article.test.implied_rate_gap.all"].value == 0


def test_what_this_run_does_not_know_is_not_checkable_and_says_what_is_missing(verdict):
    row = verdict("1", "trillion JPY", computed="market.overseas.level.1999", unit="100m JPY")
    assert row.verdict == "not checkable"
    assert "market.overseas.level.1999" in row.caveat


MALFORMED = {
    "unknown field": ({"computd": "market.overseas.level.2024"}, "field computd"),
    "no judgement": ({"otherwise": "x"}, "one of computed, holds, dollars or not_checkable is needed"),
    "both kinds": ({"not_checkable": "x", "holds": "1 > 0"}, "not_checkable stands alone"),
    "unit missing": ({"computed": "market.overseas.level.2024"}, "computed and unit go together"),
    "unit unknown": ({"computed": "market.overseas.level.2024", "unit": "oku"}, "unit 'oku' is unknown"),
    "syntax": ({"holds": "market.overseas.level.2024 >"}, "field holds.*does not parse"),
    "python": ({"holds": "__import__('os').system('a.b')"}, "field holds.*does not parse"),
    "number as condition": ({"holds": "market.overseas.level.2024"}, "field holds.*is a number"),
    "division by zero": ({"holds": "1 / (market.overseas.level.2024 - market.overseas.level.2024) > 0"}, "by zero"),
    "unit mismatch": ({"computed": "market.overseas.level.2024", "unit": "%"}, "field unit.*is share"),
    "unknown key in text": (
        {"computed": "market.overseas.level.2023", "unit": "100m JPY", "otherwise": "{market.nothing.2024}"},
        "names market.nothing.2024",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_rule_is_refused_naming_file_claim_and_field(verdict, name):
    rule, message = MALFORMED[name]
    with pytest.raises(InputError, match=message) as refused:
        verdict("2.17", "trillion JPY", **rule)
    assert "rules.yml, claim C01" in str(refused.value)


# --- the article under study ----------------------------------------------------------------------
@pytest.fixture(scope="module")
def published_verdicts():
    return pd.read_csv(paths.published() / "verdicts.csv", dtype=str, keep_default_na=False)


def test_every_claim_of_the_article_has_a_verdict_and_most_can_be_judged(published_verdicts):
    assert len(published_verdicts) == 47
    assert set(published_verdicts["verdict"]) <= set(claims.VERDICTS)
    assert (published_verdicts["verdict"] != claims.NOT_CHECKABLE).sum() >= 20


def test_no_rule_of_the_article_misses_a_quantity_in_the_default_run(published_verdicts):
    unjudged = published_verdicts[published_verdicts["verdict"] == claims.NOT_CHECKABLE]
    assert not unjudged["caveat"].str.contains("This run has no").any()
    assert (unjudged["caveat"].str.len() > 20).all()


def test_each_judged_claim_names_evidence_and_sources(published_verdicts):
    judged = published_verdicts[published_verdicts["verdict"] != claims.NOT_CHECKABLE]
    assert (judged["evidence"] != "").all()
    assert judged["sources"].str.match(r"S\d{3}").all()


EXPECTED = {
    "C06": claims.SUPPORTED,  # 3.84 trillion
    "C07": claims.CAVEAT,  # dollars at a later rate
    "C10": claims.CAVEAT,  # in yen only
    "C20": claims.CAVEAT,  # 2020 was first
    "C42": claims.CAVEAT,  # "three times"
    "C43": claims.CONTRADICTED,  # a value of 2023 given to 2024
    "C47": claims.NOT_CHECKABLE,
}


@pytest.mark.parametrize("claim_id", EXPECTED)
def test_the_verdicts_that_readers_will_look_for(published_verdicts, claim_id):
    found = published_verdicts.set_index("claim_id")["verdict"]
    assert found[claim_id] == EXPECTED[claim_id]


def test_no_rule_types_a_number_that_a_quantity_knows():
    """Years aside: an article's claims are about fixed years."""
    import re

    for article in claims.articles():
        for claim_id, rule in article.rules.items():
            texts = [rule.otherwise, rule.not_checkable or "", *(remark.say for remark in rule.caveats)]
            texts += [item.say for item in rule.alternatives]
            for text in texts:
                typed = re.sub(r"\{[^}]*\}|\b(19|20)\d\d\b", "", text)
                assert not re.search(r"\d", typed), f"{claim_id}: {typed}"


def test_a_claim_without_a_rule_is_refused(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text("C01:\n  not_checkable: no figure\n")
    with pytest.raises(InputError, match="claim C02: has no rule"):
        claims._read_rules(path, ["C01", "C02"])
    with pytest.raises(InputError, match=r"claim C01: is not in claims\.csv"):
        claims._read_rules(path, [])


def test_rules_that_are_not_yaml_are_refused_with_their_line(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text("C01:\n  holds: [1\nC02: x\n")
    with pytest.raises(InputError, match="line"):
        claims._read_rules(path, ["C01"])


def test_expressions_of_rules_are_never_run_as_python(tmp_path):
    marker = tmp_path / "ran"
    with pytest.raises(InputError):
        expressions.evaluate(f"open('{marker}', 'w')", {})
    assert not marker.exists()


# --- what an attack found ---------------------------------------------------------------------------
def test_the_sign_of_a_claim_counts(verdict):
    growth = {"computed": "market.overseas.growth.2024", "unit": "%"}
    assert verdict("26", "%", **growth).verdict == "supported"
    assert verdict("-26", "%", **growth).verdict == "contradicted"
    assert verdict("−26.0", "%", **growth).verdict == "contradicted"


@pytest.mark.parametrize("value", ["over 2.17", "~2.17", "2.17 trillion", "2-3", "<b>2.17</b>", ""])
def test_a_claim_that_is_no_plain_number_is_not_read_by_its_digits(verdict, value):
    with pytest.raises(InputError, match="is not a number"):
        verdict(value, "trillion JPY", **LEVEL)


def test_a_nearly_right_key_is_a_slip_and_another_year_is_not(verdict):
    with pytest.raises(InputError, match=r"no quantity market\.overseas\.levell\.2024.*market\.overseas\.level"):
        verdict("2.17", "trillion JPY", computed="market.overseas.levell.2024", unit="100m JPY")
    assert (
        verdict("2", "trillion JPY", computed="market.overseas.level.2001", unit="100m JPY").verdict == "not checkable"
    )


@pytest.mark.parametrize(
    "text", ["C01:\n  not_checkable: a\nC01:\n  not_checkable: b\n", "C01: {holds: a, holds: b}\n"]
)
def test_a_claim_or_field_given_twice_is_refused(tmp_path, text):
    path = tmp_path / "rules.yml"
    path.write_text(text)
    with pytest.raises(InputError, match="is given twice"):
        claims._read_rules(path, ["C01"])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({**LEVEL, "tolerance": float("inf"), "tolerance_reason": "x"}, "from zero up"),
        ({**LEVEL, "tolerance": -1.0, "tolerance_reason": "x"}, "from zero up"),
        ({"holds": "1 == 1"}, "compares no quantity"),
        ({"not_checkable": " "}, "needs its reason"),
    ],
)
def test_rules_that_would_always_or_never_hold_are_refused(verdict, rule, words):
    with pytest.raises(InputError, match=words):
        verdict("2.17", "trillion JPY", **rule)
