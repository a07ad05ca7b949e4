"""Verdicts on the claims of articles: stated against computed, with caveats, evidence and sources.

The rules are data (rules.py). Every expression is evaluated over amounts with units, so that yen are
never compared with dollars, and a wrong rule is refused by file, claim and field.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from anime_growth import codebook, expressions, links, rules, units
from anime_growth.errors import InputError
from anime_growth.languages import ENGLISH, say, speaking
from anime_growth.quantities import Quantities
from anime_growth.retelling import retold
from anime_growth.rules import Article, Dollars, Rule
from anime_growth.trace import raw_behind
from anime_growth.units import Amount, Unit

SUPPORTED, CAVEAT, CONTRADICTED, NOT_CHECKABLE = VERDICTS = (
    "supported",
    "supported with a caveat",
    "contradicted",
    "not checkable",
)
# A rate moves within a day and articles round: a dollar figure counts as made at a day's rate if it
# is met within this, its own rounding granted.
DAY_RATE_SPREAD_PCT = 0.1
# How a caveat begins where dollars hold at another rate than the proper one.
ONLY_AT = "Only at a rate"
# The comparison with a tolerance forgives the last bits of binary arithmetic, nothing more.
BINARY_DUST = 1 + 1e-9


@dataclass(frozen=True)
class Judgement:
    """A verdict with what was compared; the caveat still holds its {keys}."""

    verdict: str
    computed: str = ""
    caveat: str = ""
    evidence: tuple[str, ...] = ()


def judge(
    articles: Iterable[Article], known: Quantities, raw_rows: Mapping[str, Mapping[str, Any]]
) -> tuple[pd.DataFrame, Quantities]:
    """Verdicts on every claim of `articles`, and the quantities that judging them makes.

    Returns one row a claim: claim_id, article and article_words, subject, measure, period, kind,
    verdict, stated, computed, caveat, caveat_template (the caveat with its keys in braces), evidence
    keys and source ids, joined by "; ". The article's own page is left out of its sources. New
    quantities are those that an article defines, the exchange rates it implies and its counts of
    verdicts, all under `article.<name>.`. Raises InputError naming file, claim and field of a rule
    that names an unknown quantity, mixes units, divides by zero or compares words with a number.
    """
    court = _Court(known, raw_rows)
    rows = [row for article in articles for row in court.verdicts(article)]
    new = [item for key, item in court.q.items() if key not in known]
    return pd.DataFrame(rows), Quantities("", new)


class _Court:
    """All quantities while claims are judged, as amounts too, and the sources behind each."""

    def __init__(self, known: Quantities, raw_rows: Mapping[str, Mapping[str, Any]]) -> None:
        self.q = Quantities("", known.values())
        self.raw_rows = dict(raw_rows)
        self.amounts = {key: Amount(item.value, units.UNITS[item.unit]) for key, item in known.items()}
        self._sources: dict[str, set[str]] = {}

    # --- one article ---
    def verdicts(self, article: Article) -> list[dict[str, str]]:
        """A row for each claim of an article, after the quantities that its rules ask for were made."""
        claims = list(article.claims.itertuples())
        for claim in claims:
            self.raw_rows[claim.raw_row] = {"source_id": claim.source_id, "also": []}
            rule = article.rules[claim.claim_id]
            if rule.dollars and rule.dollars.of in self.q:
                self._imply_rate(article, claim, rule.dollars)
        self._agree_on_one_rate(article, claims)
        self._define(article)
        found = [self._judge(article, claim) for claim in claims]
        self._count(article, claims, found)
        return [self._row(article, claim, judgement) for claim, judgement in zip(claims, found, strict=True)]

    def _row(self, article: Article, claim: Any, judgement: Judgement) -> dict[str, str]:
        behind = set().union(*(self._sources_behind(key) for key in judgement.evidence)) - {claim.source_id}
        return {
            "claim_id": claim.claim_id,
            "article": article.name,
            "article_words": article.words,
            "subject": claim.subject,
            "measure": claim.measure,
            "period": claim.period,
            "kind": claim.kind,
            "verdict": judgement.verdict,
            "stated": _stated_text(claim),
            "computed": judgement.computed,
            "caveat": self._filled(judgement.caveat, article.place(claim.claim_id)),
            "caveat_template": judgement.caveat if rules.keys_in(judgement.caveat) else "",
            "evidence": "; ".join(judgement.evidence),
            "sources": "; ".join(sorted(behind)),
        }

    def _sources_behind(self, key: str) -> set[str]:
        """Ids of the sources of all raw rows behind a quantity, those that print the same figure included."""
        if key not in self._sources:
            rows = (self.raw_rows[cell.split("#")[0]] for cell in raw_behind(self.q, key))
            self._sources[key] = {source for row in rows for source in (row["source_id"], *row["also"])}
        return self._sources[key]

    # --- quantities that an article brings ---
    def _record(
        self, key: str, value: float, unit: Unit, label: str, method: str, inputs: list[str], digits: int | None = None
    ) -> None:
        self.q.record(key, value, unit, label, f"{__name__}.judge: {method}", inputs, digits)
        self.amounts[key] = Amount(value, unit)

    def _define(self, article: Article) -> None:
        """Make the article's own quantities, as far as this run knows what they need."""
        for key, item in article.defined.items():
            place = article.place(f"{rules.DEFINE} {key.replace(f'article.{article.name}.', 'own.', 1)}", "value")
            inputs = expressions.keys(item.value)
            self._refuse_unknown(article, inputs, place)
            if not all(name in self.q for name in inputs):
                continue
            if key in self.q:
                raise InputError(place, "has a name that the study itself gives", "Choose another name")
            result = self._amount(item.value, units.UNITS[item.unit], place, place)
            self._record(key, result, units.UNITS[item.unit], item.label, f"rules.yml: {item.value}", inputs)

    def _imply_rate(self, article: Article, claim: Any, dollars: Dollars) -> None:
        """Yen per dollar that turns the yen quantity into the article's dollar figure, and its rounding."""
        stated, half_digit = _stated(article, claim, "dollars")
        if stated - half_digit <= 0:
            place = article.place(claim.claim_id, "dollars")
            raise InputError(place, "the stated dollars are not above their rounding", "Correct them, or give digits")
        place = article.place(claim.claim_id, "dollars.of")
        try:
            usd_bn = units.convert(stated, _unit_of(article, claim), units.USD_BN)
        except InputError as problem:
            where = article.place(claim.claim_id, "dollars")
            raise InputError(
                where, f"the claim is not in dollars: {problem.what}", "Use computed and unit"
            ) from problem
        # usd_bn(level, rate) is linear in 1/rate, so the rate is what one yen per dollar would give, over it.
        rate = units.usd_bn(self._level(dollars.of, place), 1.0) / usd_bn
        said = f"yen per dollar that the article implies for {self.q[dollars.of].label} (claim {claim.claim_id})"
        for measure, at, words in (
            ("implied_rate", stated, said),
            ("implied_rate_low", stated + half_digit, f"lowest {said}, its rounding granted"),
            ("implied_rate_high", stated - half_digit, f"highest {said}, its rounding granted"),
        ):
            key = f"article.{article.name}.{measure}.{claim.claim_id}"
            method = "yen quantity over the stated dollars"
            self._record(key, rate * stated / at, units.RATE, words, method, [dollars.of, f"{claim.raw_row}#value"])

    def _agree_on_one_rate(self, article: Article, claims: list[Any]) -> None:
        """Record how far the article's dollar figures miss a common rate once their rounding is granted.

        Zero: one rate lies inside every figure's rounding; else the smallest gap between two of them.
        """
        base = f"article.{article.name}.implied_rate"
        rated = [claim.claim_id for claim in claims if f"{base}.{claim.claim_id}" in self.q]
        if rated:
            lows, highs = ([f"{base}_{end}.{claim_id}" for claim_id in rated] for end in ("low", "high"))
            gap = max(0.0, max(self.q[key].value for key in lows) / min(self.q[key].value for key in highs) - 1) * 100
            label = "gap between the exchange rates that the article's dollar figures imply, beyond rounding"
            method = "highest of the lowest rates over lowest of the highest"
            self._record(f"{base}_gap.all", gap, units.PERCENT, label, method, [*lows, *highs], digits=2)

    def _count(self, article: Article, claims: list[Any], found: list[Judgement]) -> None:
        """How many of the article's claims got each verdict."""
        inputs = [f"{claim.raw_row}#value" for claim in claims]
        inputs += dict.fromkeys(key for judgement in found for key in judgement.evidence)
        for name in ("all", *VERDICTS):
            count = sum(name in ("all", judgement.verdict) for judgement in found)
            label = f"claims of the article that are {name}" if name != "all" else "claims of the article"
            key = f"article.{article.name}.claims.{name.replace(' ', '_')}"
            self._record(key, count, units.COUNT, label, "number of verdicts", inputs)

    # --- one claim ---
    def _judge(self, article: Article, claim: Any) -> Judgement:
        rule, place = article.rules[claim.claim_id], article.place(claim.claim_id)
        used = rule.used()
        for key, field in used.items():
            self._refuse_unknown(article, [key], f"{place}, field {field}")
        if rule.not_checkable is not None:
            return Judgement(NOT_CHECKABLE, caveat=rule.not_checkable, evidence=_once([], rule.not_checkable))
        missing = next((key for key in used if key not in self.q), "")
        if missing:
            reason = f"This run has no {missing}: its edition does not reach that far."
            return Judgement(NOT_CHECKABLE, caveat=rule.without or reason)
        for field, text in rule.expressions():  # even those that this run does not come to must make sense
            expressions.evaluate(text, self.amounts, f"{place}, field {field}")
        asked = [key for _, text in rule.expressions() for key in expressions.keys(text)]
        holds, computed, remark = self._compare(article, claim, rule)
        said = [remark] if remark else []
        if not holds:
            at = f"{place}, field alternatives.holds"
            other = next((item for item in rule.alternatives if self._true(item.holds, at)), None)
            if other is None:
                otherwise = rule.otherwise or f"The figures say otherwise: {computed}."
                return Judgement(CONTRADICTED, computed, otherwise, _once(asked, otherwise))
            said.append(other.say)
        said += [
            item.say for item in rule.caveats if not item.when or self._true(item.when, f"{place}, field caveats.when")
        ]
        told = " ".join(said)
        return Judgement(CAVEAT if said else SUPPORTED, computed, told, _once(asked, told))

    def _compare(self, article: Article, claim: Any, rule: Rule) -> tuple[bool, str, str]:
        """Whether all that the rule asks holds, what was computed in words, and a caveat that comes of it."""
        holds, computed, remark = True, "", ""
        place = article.place(claim.claim_id)
        if rule.computed is not None:
            matched, computed = self._compare_value(article, claim, rule)
            holds &= matched
        if rule.dollars is not None:
            matched, computed, remark = self._compare_dollars(article, claim, rule)
            holds &= matched
        if rule.holds is not None:
            is_true = self._true(rule.holds, f"{place}, field holds")
            holds &= is_true
            if not computed or not is_true:  # what failed is shown even beside a value that met
                parts = (f"{self.q[key].label}: {self.q[key].text}" for key in expressions.keys(rule.holds))
                computed = "; ".join((*([computed] if computed else []), *parts))
        return holds, computed, remark

    def _compare_value(self, article: Article, claim: Any, rule: Rule) -> tuple[bool, str]:
        """Whether the stated value meets the computed one within tolerance, and the latter in words."""
        assert rule.computed is not None and rule.unit is not None
        stated, half_digit = _stated(article, claim, "computed")
        unit, place = _unit_of(article, claim), article.place(claim.claim_id)
        declared = self._amount(
            rule.computed, units.UNITS[rule.unit], f"{place}, field computed", f"{place}, field unit"
        )
        try:
            computed = Amount(declared, units.UNITS[rule.unit]).to(unit)
        except InputError as problem:
            raise InputError(f"{place}, field unit", problem.what, "Use a unit of the claim's kind") from problem
        is_whole = unit in (units.YEAR, units.RANK, units.COUNT)
        tolerance = (0.0 if is_whole else half_digit) if rule.tolerance is None else rule.tolerance
        digits = len(str(claim.value).partition(".")[2].split(" ")[0]) + 1
        shown = f"{computed:.0f}" if is_whole else units.number_text(computed, digits)
        return abs(stated - computed) <= tolerance * BINARY_DUST, unit.text.format(shown) + _granted(rule)

    def _compare_dollars(self, article: Article, claim: Any, rule: Rule) -> tuple[bool, str, str]:
        """Whether the dollars follow at the proper rate or another one; the value; the caveat of the latter."""
        assert rule.dollars is not None
        dollars, unit = rule.dollars, _unit_of(article, claim)
        stated, half_digit = _stated(article, claim, "dollars")
        tolerance = half_digit if rule.tolerance is None else rule.tolerance
        level = self._level(dollars.of, article.place(claim.claim_id, "dollars.of"))

        def at(rate: str, field: str) -> float:
            place = article.place(claim.claim_id, field)
            yen_per_dollar = self._amount(rate, units.RATE, place, place)
            return units.convert(float(units.usd_bn(level, yen_per_dollar)), units.USD_BN, unit)

        computed = at(dollars.at, "dollars.at")
        text = unit.text.format(units.number_text(computed, unit.digits)) + _granted(rule)
        if abs(stated - computed) <= tolerance * BINARY_DUST:
            return True, text, ""
        for rate in dollars.or_at:
            other = at(rate, "dollars.or_at")
            spread = other * DAY_RATE_SPREAD_PCT / 100 if rate.startswith("fx.usdjpy.spot.") else 0.0
            if abs(stated - other) <= tolerance * BINARY_DUST + spread:
                low, high = (f"article.{article.name}.implied_rate_{end}.{claim.claim_id}" for end in ("low", "high"))
                remark = (
                    f"{ONLY_AT} from {{{low}}} to {{{high}}}, near {{{rate}}} ({self.q[rate].label}); "
                    f"at {{{dollars.at}}} ({self.q[dollars.at].label}) it is {text}."
                )
                return True, text, remark
        return False, text, ""

    # --- values ---
    def _true(self, expression: str, place: str) -> bool:
        result = expressions.evaluate(expression, self.amounts, place)
        if not isinstance(result, bool):
            raise InputError(place, f"{expression!r} is a number", "Compare it with something")
        return result

    def _amount(self, expression: str, unit: Unit, place: str, unit_place: str) -> float:
        """The value of an expression in `unit`."""
        result = expressions.evaluate(expression, self.amounts, place)
        if isinstance(result, bool):
            raise InputError(place, f"{expression!r} is a comparison", "Write it under holds")
        try:
            value = result.to(unit)
        except InputError as problem:
            raise InputError(unit_place, f"{expression!r}: {problem.what}", "Give the unit of the result") from problem
        if not math.isfinite(value):
            raise InputError(place, f"{expression!r} is not a finite number", "Guard it with a comparison")
        return float(value)

    def _level(self, key: str, place: str) -> float:
        """A yen quantity in units of 100 million."""
        return self._amount(key, units.JPY_100M, place, place)

    def _refuse_unknown(self, article: Article, names: Iterable[str], place: str) -> None:
        """Raise InputError for a key of no family in the codebook; one that only this run lacks passes.

        Of the quantities that articles bring a rule may name its own article's, which are all listed there.
        """
        for key in names:
            is_article = key.startswith("article.")
            is_known = key in article.own_keys if is_article else key in self.q or codebook.family_of(key)
            if not is_known:
                near = difflib.get_close_matches(key, [*self.q, *article.own_keys], n=3)
                do = f"Nearest: {', '.join(near)}" if near else "data/README.md lists the families of keys"
                raise InputError(place, f"there is no quantity {key}", do)

    def _filled(self, sentence: str, place: str) -> str:
        """A sentence with every {key} replaced by the quantity in words; one that is not known stays out."""

        def value(key: str, unit: str) -> str:
            if key not in self.q:
                raise InputError(place, f"the sentence names {key}, which this run does not have", "Use `without`")
            try:
                return self.q[key].text_in(unit)
            except InputError as problem:
                raise InputError(place, problem.what, problem.do) from problem

        return rules.filled(sentence, value)


def _granted(rule: Rule) -> str:
    """A tolerance other than the default, with its reason."""
    return "" if rule.tolerance is None else f" (tolerance {rule.tolerance:g}: {rule.tolerance_reason})"


def _once(asked: list[str], told: str) -> tuple[str, ...]:
    """The keys that a verdict rests on: those its rule asked for and those its caveat names, each once."""
    return tuple(dict.fromkeys([*asked, *rules.keys_in(told)]))


def _stated_text(claim: Any) -> str:
    unit = units.from_raw(claim.unit, f"claim {claim.claim_id}, field unit")
    if unit is None or not re.match(r"[-−+]?[0-9]", claim.value):
        return claim.value
    counted = f" {claim.unit}" if unit is units.COUNT else ""  # what of: 9 firms
    return unit.text.format(claim.value) + counted


def _stated(article: Article, claim: Any, field: str) -> tuple[float, float]:
    """The stated value and half a unit of its last printed digit, in the claim's unit."""
    text = claim.value.strip().replace("−", "-")
    value: float | None = None
    if re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        value = float(text)
    elif re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?( \+ [0-9]{1,15}(\.[0-9]{1,15})?)+", text):
        value = expressions.stated_arithmetic(text)
    if value is None:
        raise InputError(
            article.place(claim.claim_id, field),
            f"the claim's value {claim.value!r} is not a number",
            "Judge it by `holds`, or state it as a number in claims.csv",
        )
    terms = text.split(" + ")
    # Each term of a sum is rounded by itself; the coarsest decides how near the sum can be.
    return value, 0.5 * 10.0 ** -min(len(term.partition(".")[2]) for term in terms)


def _unit_of(article: Article, claim: Any) -> Unit:
    place = article.place(claim.claim_id, "unit")
    unit = units.from_raw(claim.unit, place)
    if unit is None:
        raise InputError(place, f"the claim's unit {claim.unit!r} is no measure", "Judge it by `holds`")
    return unit


def table(articles: Iterable[Article]) -> pd.DataFrame:
    """The claims of several articles as one tidy table, with the address of each raw row."""
    frames = [article.claims.assign(article=article.name) for article in articles]
    return pd.concat(frames, ignore_index=True).drop(columns="raw_line")


def about(row: Mapping[str, Any]) -> str:
    """What a claim is about, in the language of now, from its row in the table of verdicts."""
    told = say("{subject}, {measure}", subject=retold(row["subject"]), measure=retold(row["measure"]))
    period = str(row["period"])
    when = say("{year}", year=period) if period.isdecimal() else retold(period)
    return told + (say(" ({period})", period=when) if period else "")


def computed_parts(text: str, evidence: Iterable[str], q: Quantities) -> list[tuple[str, str, str]]:
    """What a verdict says was computed, part by part, in the language of now: label, value, key of the quantity.

    A value that is no quantity by itself has neither label nor key.
    """
    with speaking(ENGLISH):  # as `judge` wrote it
        known = {f"{q[key].label}: {q[key].text}": key for key in evidence if key in q}
    return [
        (say("{label}: ", label=retold(q[known[part]].label)), q[known[part]].text, known[part])
        if part in known
        else ("", retold(part), "")
        for part in links.split(text)
    ]


def dollar_rates(verdicts: pd.DataFrame, q: Quantities) -> pd.DataFrame:
    """The rate behind each dollar figure beside the rates at hand, JPY per USD.

    Columns article, claim_id, stated, implied_rate with its rounding (low, high), the annual average
    nearest to it and the day nearest to it, each with how far it lies away [%] and whether it would
    give the stated figure.
    """
    averages = [key for key in q if re.fullmatch(r"fx\.usdjpy\.level\.\d{4}", key)]
    days = [key for key in q if key.startswith("fx.usdjpy.spot.")]
    rows = []
    for row in verdicts.itertuples():
        key = f"article.{row.article}.implied_rate.{row.claim_id}"
        if key not in q:
            continue
        low, high = (q[f"article.{row.article}.implied_rate_{end}.{row.claim_id}"].value for end in ("low", "high"))
        found: dict[str, Any] = {
            "article": row.article, "claim_id": row.claim_id, "stated": row.stated,
            "implied_rate": q[key].value, "low": low, "high": high,
        }  # fmt: skip
        for name, rates in (("average", averages), ("day", days)):
            nearest = min(rates, key=lambda rate: abs(q[rate].value - q[key].value), default="")
            if nearest:
                found |= {
                    f"nearest_{name}": q[nearest].period,
                    f"{name}_off_pct": (q[nearest].value / q[key].value - 1) * 100,
                    f"{name}_gives_it": low <= q[nearest].value <= high,
                }
        rows.append(found)
    return pd.DataFrame(rows)
