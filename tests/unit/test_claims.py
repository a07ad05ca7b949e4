"""Verdicts follow from rules and quantities; malformed rules are refused by name."""

import pandas as pd
import pytest

from anime_growth import claims, expressions, paths, rules, units
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
    q.observe("fx.usdjpy.level.2023", 140.5, units.RATE, "average of 2023", CELL)
    q.observe("fx.usdjpy.spot.2025-10-29", 152.1743, units.RATE, "29 October 2025", CELL)
    pair = ["market.overseas.level.2024", "market.overseas.level.2023"]
    q.compute("market.overseas.growth.2024", growth_pct, pair, units.PERCENT, "growth")
    return q


def claim(value: str, unit: str) -> pd.DataFrame:
    row = {
        "claim_id": "C01", "value": value, "unit": unit, "subject": "s", "measure": "m", "period": "p", "kind": "k",
        "source_id": "S089", "raw_row": "articles/test/2025/claims.csv?claim_id=C01",
    }  # fmt: skip
    return pd.DataFrame([row])


def article(value: str, claimed_in: str, rule: dict, defined: dict | None = None) -> rules.Article:
    path = paths.raw() / "articles" / "test" / "2025" / "rules.yml"
    where = f"{paths.shown(path)}, claim C01"
    own = {key: rules.Defined(**rules._with_full_names(item, "test")) for key, item in (defined or {}).items()}
    own = rules._ordered(own, "test", paths.shown(path))
    built = {"C01": rules.read_rule(where, rule, "test")}
    return rules.Article("test", "the test article", claim(value, claimed_in), built, own, paths.shown(path))


def judged(value: str, claimed_in: str, rule: dict, defined: dict | None = None):
    """The verdicts and the new quantities of one claim judged by one rule."""
    return claims.judge([article(value, claimed_in, rule, defined)], quantities(), ROWS)


@pytest.fixture
def verdict():
    """Judge one claim by one rule and return its row."""

    def judge(value: str, claimed_in: str, /, **rule):
        return judged(value, claimed_in, rule)[0].iloc[0]

    return judge


DAY = "fx.usdjpy.spot.2025-10-29"
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
    assert row.caveat == (
        "Only at a rate from JPY 152.03 per dollar to JPY 152.13 per dollar, near JPY 152.17 per dollar "
        "(29 October 2025); at JPY 151.46 per dollar (average of 2024) it is USD 14.33 billion."
    )
    assert verdict("143.3", "billion USD", dollars=rule).verdict == "contradicted"


def test_one_of_several_other_rates_is_enough_and_is_named(verdict):
    q = quantities()
    rule = {"of": "market.overseas.level.2024", "at": "fx.usdjpy.level.2024", "or_at": ["fx.usdjpy.level.2023", DAY]}
    row = verdict("14.27", "billion USD", dollars=rule)
    assert q[DAY].text in row.caveat
    assert row.caveat_template.startswith(f"{claims.ONLY_AT} from {{article.test.implied_rate_low.C01}} to ")


def test_a_tolerance_serves_dollars_too(verdict):
    rule = {"of": "market.overseas.level.2024", "at": "fx.usdjpy.level.2024"}
    assert verdict("14.2", "billion USD", dollars=rule).verdict == "contradicted"
    row = verdict("14.2", "billion USD", dollars=rule, tolerance=0.2, tolerance_reason="The article says about.")
    assert row.verdict == "supported"


def test_the_exchange_rate_that_an_article_implies_is_a_quantity_with_its_rounding():
    rule = {"dollars": {"of": "market.overseas.level.2024", "at": "fx.usdjpy.level.2024"}}
    found = judged("14.27", "billion USD", rule)[1]
    base = "article.test.implied_rate"
    assert found[f"{base}.C01"].value == pytest.approx(2170.2 / 14.27)
    assert found[f"{base}_low.C01"].value == pytest.approx(2170.2 / 14.275)
    assert found[f"{base}_high.C01"].value == pytest.approx(2170.2 / 14.265)
    assert found[f"{base}_gap.all"].value == 0


def test_two_dollar_figures_that_no_rate_gives_leave_a_gap():
    both = claim("14.27", "billion USD"), claim("15.00", "billion USD").assign(claim_id="C02")
    rule = {"dollars": {"of": "market.overseas.level.2024", "at": "fx.usdjpy.level.2024"}}
    built = {name: rules.read_rule("rules.yml", rule, "test") for name in ("C01", "C02")}
    made = rules.Article("test", "the test article", pd.concat(both), built, {}, "rules.yml")
    found = claims.judge([made], quantities(), ROWS)[1]
    assert found["article.test.implied_rate_gap.all"].value == pytest.approx((14.995 / 14.275 - 1) * 100)


def test_verdicts_are_counted_and_rest_on_the_claims(verdict):
    found = judged("2.17", "trillion JPY", {**LEVEL, "caveats": [{"say": "But."}]})[1]
    counts = {
        name: found[f"article.test.claims.{name}"].value for name in ("all", "supported", "supported_with_a_caveat")
    }
    assert counts == {"all": 1, "supported": 0, "supported_with_a_caveat": 1}
    cell = "articles/test/2025/claims.csv?claim_id=C01#value"
    assert found["article.test.claims.all"].inputs == (cell, "market.overseas.level.2024")


def test_the_page_that_makes_a_claim_is_not_its_own_source(monkeypatch):
    rows = {CELL.split("#")[0]: {"sha256": "0", "source_id": "S089", "also": ["S002"]}}
    row = claims.judge([article("2.17", "trillion JPY", LEVEL)], quantities(), rows)[0].iloc[0]
    assert row.sources == "S002"


def test_all_caveats_that_apply_are_told_and_their_keys_are_evidence(verdict):
    remarks = [{"say": "One, {market.overseas.growth.2024}."}, {"say": "Two.", "when": f"{THEN} > 1"}]
    row = verdict("2.17", "trillion JPY", **LEVEL, caveats=remarks)
    assert row.caveat == "One, 26.0 %. Two."
    assert row.evidence == f"{NOW}; {THEN}; {RISE}"


def test_another_reading_does_not_hide_that_dollars_hold_at_another_rate_only(verdict):
    dollars = {"of": NOW, "at": RATE, "or_at": DAY}
    other = {"holds": f"{NOW} > 1", "say": "Read otherwise."}
    row = verdict("14.27", "billion USD", dollars=dollars, holds=f"{NOW} < 1", alternatives=[other])
    assert row.caveat.startswith(claims.ONLY_AT) and row.caveat.endswith("Read otherwise.")


def test_what_failed_is_shown_beside_a_value_that_met(verdict):
    row = verdict("2.17", "trillion JPY", **LEVEL, holds=f"{RISE} > 30")
    assert row.caveat == "The figures say otherwise: JPY 2.170 trillion; growth: 26.0 %."


def test_a_tolerance_is_shown_with_its_reason(verdict):
    row = verdict("2.18", "trillion JPY", **LEVEL, tolerance=0.02, tolerance_reason="rounded twice")
    assert row.computed == "JPY 2.170 trillion (tolerance 0.02: rounded twice)"


def test_a_sum_is_as_exact_as_its_coarsest_term_and_a_range_is_no_sum(verdict):
    assert verdict("2 + 0.17", "trillion JPY", **LEVEL).verdict == "supported"
    assert verdict("2.07 + 0.17", "trillion JPY", **LEVEL).verdict == "contradicted"
    with pytest.raises(InputError, match="'20 - 30' is not a number"):
        verdict("20 - 30", "%", computed=RISE, unit="%")


def test_a_bare_number_among_several_is_in_the_unit_of_the_others(verdict):
    least = verdict("3.84", "trillion JPY", computed=f"min(3.84, {NOW})", unit="trn JPY")
    assert (least.verdict, least.computed) == ("contradicted", "JPY 0.000 trillion")
    most = verdict("9.9999", "trillion JPY", computed=f"max(99999, {NOW})", unit="trn JPY")
    assert most.verdict == "supported"


def test_own_is_a_word_in_a_sentence_and_a_prefix_in_braces():
    rule = {**LEVEL, "caveats": [{"say": "On its own. Twice is {own.double.2024}, an own.goal."}]}
    row = judged("2.17", "trillion JPY", rule, OWN)[0].iloc[0]
    assert row.caveat == "On its own. Twice is JPY 4.34 trillion, an own.goal."


# --- quantities of an article's own ---------------------------------------------------------------
OWN = {"own.double.2024": {"value": "2 * market.overseas.level.2024", "unit": "trn JPY", "label": "twice overseas"}}


def test_an_article_can_define_a_quantity_judge_by_it_and_show_it():
    rule = {"computed": "own.double.2024", "unit": "trn JPY", "caveats": [{"say": "It is {own.double.2024}."}]}
    table, found = judged("4.34", "trillion JPY", rule, OWN)
    item = found["article.test.double.2024"]
    assert (item.value, item.unit, item.inputs) == (pytest.approx(4.3404), "trn JPY", ("market.overseas.level.2024",))
    assert table.iloc[0].caveat == "It is JPY 4.34 trillion."
    assert table.iloc[0].evidence == "article.test.double.2024"


def test_a_defined_quantity_may_use_another_whatever_their_order():
    more = {"own.half.2024": {"value": "own.double.2024 / 4", "unit": "trn JPY", "label": "half"}, **OWN}
    found = judged("1", "trillion JPY", {"holds": "own.half.2024 > 1"}, more)[1]
    assert found["article.test.half.2024"].value == pytest.approx(1.0851)


def test_a_circle_of_defined_quantities_is_refused_and_spelled_out():
    circle = {
        "own.a.1": {"value": "own.b.1 + 1", "unit": "count", "label": "a"},
        "own.b.1": {"value": "own.a.1 + 1", "unit": "count", "label": "b"},
    }
    with pytest.raises(
        InputError, match=r"define own\.[ab]\.1, field value: is cyclic: own\.\w\.1 needs own\.\w\.1 needs"
    ):
        judged("1", "count", {"holds": "own.a.1 > 0"}, circle)


def test_a_defined_quantity_in_the_wrong_unit_is_refused():
    wrong = {"own.double.2024": {**OWN["own.double.2024"], "unit": "bn USD"}}
    with pytest.raises(InputError, match=r"define own\.double\.2024, field value: .*100m JPY and bn USD"):
        judged("1", "count", {"holds": "own.double.2024 > 0"}, wrong)


def test_a_defined_quantity_that_this_run_cannot_make_leaves_its_claim_unchecked():
    later = {"own.next.2030": {"value": "market.overseas.level.2030 * 2", "unit": "trn JPY", "label": "next"}}
    rule = {"holds": "own.next.2030 > 1", "without": "The report for 2030 would be needed."}
    row = judged("1", "count", rule, later)[0].iloc[0]
    assert (row.verdict, row.caveat) == ("not checkable", "The report for 2030 would be needed.")


def test_what_this_run_does_not_know_is_not_checkable_and_says_what_is_missing(verdict):
    row = verdict("1", "trillion JPY", computed="market.overseas.level.1999", unit="100m JPY")
    assert row.verdict == "not checkable"
    assert "market.overseas.level.1999" in row.caveat


NOW, THEN = "market.overseas.level.2024", "market.overseas.level.2023"
RISE, RATE = "market.overseas.growth.2024", "fx.usdjpy.level.2024"
MALFORMED = {
    "unknown field": ({"computd": NOW}, "field computd"),
    "no judgement": ({"otherwise": "x"}, "one of computed, holds, dollars or not_checkable is needed"),
    "both kinds": ({"not_checkable": "x", "holds": "1 > 0"}, "not_checkable stands alone"),
    "unit missing": ({"computed": NOW}, "computed and unit go together"),
    "unit unknown": ({"computed": NOW, "unit": "oku"}, "field unit: unit 'oku' is unknown"),
    "syntax": ({"holds": f"{NOW} >"}, "field holds.*does not parse"),
    "python": ({"holds": "__import__('os').system('a.b')"}, "field holds.*does not parse"),
    "number as condition": ({"holds": NOW}, "field holds.*is a number"),
    "condition as number": ({"computed": f"{NOW} > 1", "unit": "100m JPY"}, "field computed.*is a comparison"),
    "division by zero": ({"holds": f"1 / ({NOW} - {NOW}) > 0"}, "field holds.*divides by zero"),
    "unit mismatch with the claim": ({"computed": RISE, "unit": "%"}, "field unit.*% and trn JPY"),
    "unit mismatch with the result": ({"computed": NOW, "unit": "bn USD"}, "field unit.*100m JPY and bn USD"),
    "unit mismatch inside": ({"holds": f"{NOW} > {RISE}"}, "field holds.*% and 100m JPY"),
    "unit mismatch in a rate": ({"dollars": {"of": NOW, "at": THEN}}, "field dollars.at.*100m JPY and JPY per USD"),
    "unit mismatch in yen": ({"dollars": {"of": RATE, "at": RATE}}, r"dollars\.of"),
    "percent sign": ({"holds": f"{RISE} > 20%"}, "field holds.*a % stands"),
    "unknown key": ({"holds": "market.nothing.level.2024 > 0"}, r"field holds: there is no quantity market\.nothing"),
    "unknown key in a caveat": (
        {**LEVEL, "caveats": [{"say": "x", "when": "market.nothing.level.2024 > 0"}]}, "field caveats.when: there is no"
    ),
    "unknown key in text": ({**LEVEL, "otherwise": "{market.nothing.2024}"}, "field otherwise: there is no quantity"),
    "open brace": ({**LEVEL, "otherwise": f"It is {{{NOW}"}, "field otherwise: a brace is not closed"),
    "typed number": ({**LEVEL, "otherwise": "It is 2.2 trillion."}, "field otherwise: the number 2.2 is typed"),
    "unknown unit in text": ({**LEVEL, "caveats": [{"say": f"{{{NOW}|oku}}"}]}, "has no unit 'oku'"),
    "expression as a key": ({"dollars": {"of": f"{NOW} * 2", "at": RATE}}, "field dollars.of.*is no key"),
    "word for a number": ({**LEVEL, "tolerance": "wide", "tolerance_reason": "x"}, "field tolerance"),
    "typed small number": ({**LEVEL, "otherwise": "All 3 of them."}, "field otherwise: the number 3 is typed"),
    "another article's quantity": ({"holds": "article.other.claims.all > 0"}, "field holds: there is no quantity"),
    "an own quantity that is not defined": ({"holds": "own.nothing.2024 > 0"}, "field holds: there is no quantity"),
    "an own rate that is not implied": ({"holds": "own.implied_rate.C01 > 0"}, "field holds: there is no quantity"),
    "own dollars": ({"dollars": {"of": "own.implied_rate.C01", "at": RATE}}, "dollars.of.*is the article's own"),
    "dollars for yen": ({"dollars": {"of": NOW, "at": RATE}}, "field dollars: the claim is not in dollars"),
    "the same rate twice": ({"dollars": {"of": NOW, "at": RATE, "or_at": RATE}}, "or_at repeats dollars.at"),
    "mixed units in a reading not needed": (
        {**LEVEL, "alternatives": [{"holds": f"{NOW} > {RISE}", "say": "x"}]}, "field alternatives.holds.*100m JPY"
    ),
    "growth as a multiple": ({"computed": RISE, "unit": "times"}, "field unit.*% and times"),
    "empty unit": ({"computed": NOW, "unit": ""}, "field unit: unit '' is unknown"),
    "a number that is too long": ({"holds": f"{NOW} < 1{'0' * 400}"}, "field holds.*does not parse"),
    "a tolerance without a value": ({"holds": f"{NOW} > 1", "tolerance": 1.0, "tolerance_reason": "x"}, "goes with"),
    "list for a rule": ([LEVEL], "rules.yml, claim C01"),
    "nothing": (None, "rules.yml, claim C01"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_rule_is_refused_naming_file_claim_and_field(name):
    rule, message = MALFORMED[name]
    in_dollars = "dollars" in (rule or ()) and name != "dollars for yen"
    claimed = ("14.27", "billion USD") if in_dollars else ("2.17", "trillion JPY")
    with pytest.raises(InputError, match=message) as refused:
        judged(*claimed, rule)
    assert "articles/test/2025/rules.yml, claim C01" in str(refused.value)


# --- the article under study ----------------------------------------------------------------------
@pytest.fixture(scope="module")
def published_verdicts():
    return pd.read_csv(paths.published() / "verdicts.csv", dtype=str, keep_default_na=False)


def test_every_claim_of_the_article_has_a_verdict_and_most_can_be_judged(published_verdicts):
    assert (published_verdicts["article"] == rules.UNDER_STUDY).sum() == 47
    assert published_verdicts["article"].nunique() > 1
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
    "C02": claims.NOT_CHECKABLE,  # "first time in history", known since 2011 only
    "C35": claims.NOT_CHECKABLE,  # the editor's given name
    "C43": claims.CONTRADICTED,  # a value of 2023 given to 2024
    "C44": claims.CAVEAT,  # dollars of the wrong year's rate
    "C46": claims.CONTRADICTED,  # cars are exported for more
    "C47": claims.NOT_CHECKABLE,
}


@pytest.mark.parametrize("claim_id", EXPECTED)
def test_the_verdicts_that_readers_will_look_for(published_verdicts, claim_id):
    own = published_verdicts[published_verdicts["article"] == rules.UNDER_STUDY]
    found = own.set_index("claim_id")["verdict"]
    assert found[claim_id] == EXPECTED[claim_id]


def test_a_claim_without_a_rule_is_refused(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text("C01:\n  not_checkable: no figure\n")
    with pytest.raises(InputError, match="claim C02: has no rule"):
        rules._read(path, "test", ["C01", "C02"])
    with pytest.raises(InputError, match=r"claim C01: is not in claims\.csv"):
        rules._read(path, "test", [])


def test_rules_that_are_not_yaml_are_refused_with_their_line(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text("C01:\n  holds: [1\nC02: x\n")
    with pytest.raises(InputError, match="line"):
        rules._read(path, "test", ["C01"])


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
        rules._read(path, "test", ["C01"])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({**LEVEL, "tolerance": float("inf"), "tolerance_reason": "x"}, "finite number"),
        ({**LEVEL, "tolerance": -1.0, "tolerance_reason": "x"}, "greater than or equal to 0"),
        ({**LEVEL, "tolerance_reason": "x"}, "tolerance needs its tolerance_reason"),
        ({"holds": "1 == 1"}, "names no quantity"),
        ({"not_checkable": " "}, "needs its reason"),
    ],
)
def test_rules_that_would_always_or_never_hold_are_refused(verdict, rule, words):
    with pytest.raises(InputError, match=words):
        verdict("2.17", "trillion JPY", **rule)
