"""Verdicts on the claims of articles, from rules that are data.

An article is a folder data/raw/articles/<name>/<date>/ with `claims.csv` (its claims in own words)
and `rules.yml`, which binds each claim to quantities. A rule says one of three things:

- `computed` (an expression over quantities in `unit`) and/or `holds` (a comparison): judged;
- `dollars` (a yen quantity, the rate it should be converted at, another rate to try): judged, and
  the exchange rate that the article must have used is kept as a quantity;
- `not_checkable`: the reason, and what would be needed.

The stated value is the claim's own; the default tolerance is half a unit of its last printed digit.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from anime_growth import expressions, paths, sources, units
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities
from anime_growth.trace import raw_behind

SUPPORTED, CAVEAT, CONTRADICTED, NOT_CHECKABLE = VERDICTS = (
    "supported",
    "supported with a caveat",
    "contradicted",
    "not checkable",
)
# A rate moves within a day and articles round: a dollar figure counts as made at a day's rate if it
# is met within this, its own rounding granted.
DAY_RATE_SPREAD_PCT = 0.1


# A missing name this near to a known one is a slip of the pen.
LIKELY_SLIP = 0.93


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Remark(_Strict):
    """A sentence that applies where `when` holds; {keys} in it are replaced by their values."""

    say: str
    when: str | None = None


class Alternative(_Strict):
    """Another reading under which the claim is true, and the caveat that comes with it."""

    holds: str
    say: str


class Dollars(_Strict):
    """A yen quantity, the rate a dollar figure should use, and the rate it may have used instead."""

    of: str
    at: str
    or_at: str | None = None


class Rule(_Strict):
    """How one claim is judged."""

    computed: str | None = None
    unit: str | None = None
    holds: str | None = None
    dollars: Dollars | None = None
    tolerance: float | None = None
    tolerance_reason: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    caveats: tuple[Remark, ...] = ()
    otherwise: str = ""
    not_checkable: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Rule":
        judged = [self.computed, self.holds, self.dollars]
        if self.not_checkable is not None and any(judged):
            raise ValueError("not_checkable stands alone, without computed, holds or dollars")
        if self.not_checkable is None and not any(judged):
            raise ValueError("one of computed, holds, dollars or not_checkable is needed")
        if (self.computed is None) != (self.unit is None):
            raise ValueError("computed and unit go together")
        if self.unit is not None and self.unit not in units.UNITS:
            raise ValueError(f"unit {self.unit!r} is unknown; use one of {', '.join(units.UNITS)}")
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise ValueError("a tolerance is a number from zero up")
        if self.not_checkable is not None and not self.not_checkable.strip():
            raise ValueError("not_checkable needs its reason")
        if self.holds is not None and not expressions.KEY.search(self.holds):
            raise ValueError("holds compares no quantity")
        if self.tolerance is not None and not self.tolerance_reason:
            raise ValueError("a tolerance needs its tolerance_reason")
        return self

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Every expression of the rule with the name of its field."""
        if self.computed:
            yield "computed", self.computed
        if self.holds:
            yield "holds", self.holds
        if self.dollars:
            yield "dollars.of", self.dollars.of
            yield "dollars.at", self.dollars.at
            if self.dollars.or_at:
                yield "dollars.or_at", self.dollars.or_at
        yield from (("alternatives.holds", item.holds) for item in self.alternatives)
        yield from (("caveats.when", item.when) for item in self.caveats if item.when)


@dataclass(frozen=True)
class Article:
    """The claims of one article with their rules."""

    name: str
    date: str
    claims: pd.DataFrame
    rules: dict[str, Rule]
    rules_path: Path

    def place(self, claim_id: str, field: str = "") -> str:
        """Where a claim's rule stands, for an error message."""
        where = f"{paths.shown(self.rules_path)}, claim {claim_id}"
        return f"{where}, field {field}" if field else where


class _OnceEach(yaml.SafeLoader):
    """YAML that refuses a key given twice, of which the last would win unnoticed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of `node`, its keys once each."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (key_node, _) in zip(keys, node.value, strict=True):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", key_node.start_mark)
        return super().construct_mapping(node, deep)


def articles() -> list[Article]:
    """Every article under data/raw/articles, each claim with exactly one rule.

    Raises InputError naming file, claim and field for a claim without a rule, a rule without a
    claim, and a rule that cannot be read.
    """
    found = []
    table = sources.read("claims")
    folders = table["raw_row"].map(lambda row: str(Path(row.split("?")[0]).parent))
    for folder, claims in table.groupby(folders):
        path = paths.raw() / str(folder) / "rules.yml"
        name, date = Path(str(folder)).parts[-2:]
        found.append(Article(name, date, claims, _read_rules(path, list(claims["claim_id"])), path))
    return found


def _read_rules(path: Path, claim_ids: list[str]) -> dict[str, Rule]:
    shown = paths.shown(path)
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceEach)
    except OSError as problem:
        raise InputError(shown, "is missing", "Write a rule for each claim as CONTRIBUTING.md shows") from problem
    except (UnicodeDecodeError, RecursionError) as problem:
        raise InputError(
            shown, "cannot be read as YAML in UTF-8", "Save it as UTF-8, without deep nesting"
        ) from problem
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(problem, "problem", "") or "it cannot be parsed"
        raise InputError(
            f"{shown}{line}", f"is not valid YAML: {what}", "Check indentation, quotes and repeats"
        ) from problem
    if not isinstance(entries, dict):
        raise InputError(shown, "holds no rules by claim id", "Write one entry a claim, such as `C01:`")
    for claim_id in claim_ids:
        if claim_id not in entries:
            raise InputError(f"{shown}, claim {claim_id}", "has no rule", "Add a rule, or not_checkable with a reason")
    rules = {}
    for claim_id, entry in entries.items():
        if claim_id not in claim_ids:
            raise InputError(f"{shown}, claim {claim_id}", "is not in claims.csv", "Correct the id or delete the rule")
        rules[claim_id] = _read_rule(f"{shown}, claim {claim_id}", entry)
    return rules


def _read_rule(where: str, entry: Any) -> Rule:
    try:
        # Lists of YAML become tuples of the frozen model.
        ready = {key: tuple(item) if isinstance(item, list) else item for key, item in dict(entry or {}).items()}
        rule = Rule.model_validate(ready)
    except (ValidationError, TypeError, ValueError) as problem:
        first = problem.errors()[0] if isinstance(problem, ValidationError) else {"loc": (), "msg": str(problem)}
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{where}, field {field}" if field else where,
            str(first["msg"]).removeprefix("Value error, "),
            "CONTRIBUTING.md lists the fields of a rule",
        ) from problem
    for field, expression in rule.expressions():
        expressions.parse(expression, f"{where}, field {field}")
    return rule


# --- judging ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Judgement:
    """A verdict with what was compared."""

    verdict: str
    computed: str = ""
    caveat: str = ""
    evidence: tuple[str, ...] = ()


def judge(known: Quantities, raw_rows: Mapping[str, Mapping[str, Any]]) -> tuple[pd.DataFrame, Quantities]:
    """Verdicts on every claim of every article, and the exchange rates that articles imply.

    Returns one row a claim (claim_id, article, verdict, stated, computed, caveat, evidence keys,
    source ids) and the quantities `article.<name>.implied_rate.<claim>` [JPY per USD].
    """
    implied = Quantities("", known.values())
    rows = []
    for article in articles():
        for claim in article.claims.itertuples():
            rule = article.rules[claim.claim_id]
            if rule.dollars and rule.dollars.of in known:
                _imply_rate(implied, article, claim, rule.dollars)
        _agree_on_one_rate(implied, article)
        for claim in article.claims.itertuples():
            judgement = _judge(article, claim, implied)
            behind = {address.split("#")[0] for key in judgement.evidence for address in raw_behind(implied, key)}
            rows.append(
                {
                    "claim_id": claim.claim_id,
                    "article": article.name,
                    "subject": claim.subject,
                    "measure": claim.measure,
                    "period": claim.period,
                    "kind": claim.kind,
                    "verdict": judgement.verdict,
                    "stated": _stated_text(claim),
                    "computed": judgement.computed,
                    "caveat": judgement.caveat,
                    "evidence": "; ".join(judgement.evidence),
                    "sources": "; ".join(_sources(raw_rows[row] for row in behind)),
                }
            )
    new = [item for key, item in implied.items() if key not in known]
    return pd.DataFrame(rows), Quantities("", new)


def _sources(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of the sources of raw rows, those that print the same figure included."""
    return sorted({source for row in rows for source in (row["source_id"], *row["also"])})


def _stated_text(claim: Any) -> str:
    unit = units.from_raw(claim.unit, f"claim {claim.claim_id}, field unit")
    is_number = bool(re.match(r"[-−+]?[0-9]", claim.value))
    return unit.text.format(claim.value) if unit and is_number else claim.value


def _stated(article: Article, claim: Any) -> tuple[float, float]:
    """The stated value and half a unit of its last printed digit, in the claim's unit."""
    text = claim.value.strip().replace("−", "-")
    decimals = re.findall(r"\.([0-9]+)", text)
    value: float | None = None
    if re.fullmatch(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        value = float(text)
    elif re.fullmatch(r"[0-9.]+( [-+] [0-9.]+)+", text):
        value = expressions.stated_arithmetic(text)
    if value is None:
        raise InputError(
            article.place(claim.claim_id, "computed"),
            f"the claim's value {claim.value!r} is not a number",
            "Judge it by `holds`, or state it as a number in claims.csv",
        )
    return value, 0.5 * 10.0 ** -len(decimals[-1] if decimals else "")


def _unit_of(claim: Any) -> units.Unit:
    unit = units.from_raw(claim.unit, f"claim {claim.claim_id}, field unit")
    if unit is None:
        raise InputError(f"claim {claim.claim_id}, field unit", f"{claim.unit!r} is no measure", "Judge it by `holds`")
    return unit


def _imply_rate(q: Quantities, article: Article, claim: Any, dollars: Dollars) -> None:
    """Yen per dollar that turns the yen quantity into the article's dollar figure."""
    stated, _ = _stated(article, claim)
    if stated <= 0:
        raise InputError(
            article.place(claim.claim_id, "dollars"), "the stated dollars are not above zero", "Correct them"
        )
    usd_bn = units.convert(stated, _unit_of(claim), units.USD_BN)
    item = q[dollars.of]
    level = units.convert(item.value, units.UNITS[item.unit], units.JPY_100M)
    # usd_bn(level, rate) is linear in 1/rate, so the rate is what one yen per dollar would give, over it.
    rate = units.usd_bn(level, 1.0) / usd_bn
    label = f"yen per dollar that the article implies for {item.label} (claim {claim.claim_id})"
    q.record(
        f"article.{article.name}.implied_rate.{claim.claim_id}", rate, units.RATE, label,
        "anime_growth.claims: yen quantity over the stated dollars", [dollars.of],
    )  # fmt: skip


def _judge(article: Article, claim: Any, q: Quantities) -> Judgement:
    rule = article.rules[claim.claim_id]
    if rule.not_checkable is not None:
        return Judgement(NOT_CHECKABLE, caveat=_filled(rule.not_checkable, q, article, claim.claim_id))
    used = list(dict.fromkeys(key for _, text in rule.expressions() for key in expressions.keys(text)))
    missing = [key for key in used if key not in q]
    _refuse_misspelt(article, claim.claim_id, missing, q)
    if missing:
        reason = f"This run has no {missing[0]}, which the rule needs; another edition may print it."
        return Judgement(NOT_CHECKABLE, caveat=reason)
    values = q.values_by_key()

    def true(expression: str, field: str) -> bool:
        result = expressions.evaluate(expression, values, article.place(claim.claim_id, field))
        if not isinstance(result, bool):
            raise InputError(
                article.place(claim.claim_id, field), f"{expression!r} is a number", "Compare it with something"
            )
        return result

    def say(text: str) -> str:
        return _filled(text, q, article, claim.claim_id)

    holds, computed = True, ""
    if rule.computed is not None:
        matched, computed = _compare(article, claim, rule, values)
        holds &= matched
    if rule.holds is not None:
        holds &= true(rule.holds, "holds")
        computed = computed or "; ".join(f"{q[key].label}: {q[key].text}" for key in expressions.keys(rule.holds))
    if rule.dollars is not None:
        at_own, at_other, computed, remark = _compare_dollars(article, claim, rule.dollars, q)
        if not at_own and at_other:
            return Judgement(CAVEAT, computed, " ".join([remark, *_remarks(rule, true, say)]), tuple(used))
        holds &= at_own
    if holds:
        said = _remarks(rule, true, say)
        return Judgement(CAVEAT if said else SUPPORTED, computed, " ".join(said), tuple(used))
    for alternative in rule.alternatives:
        if true(alternative.holds, "alternatives.holds"):
            said = [say(alternative.say), *_remarks(rule, true, say)]
            return Judgement(CAVEAT, computed, " ".join(said), tuple(used))
    return Judgement(CONTRADICTED, computed, say(rule.otherwise), tuple(used))


def _refuse_misspelt(article: Article, claim_id: str, missing: list[str], q: Quantities) -> None:
    """A key that this run lacks is another edition's, unless its name is nearly one that it has."""
    names = {key.rpartition(".")[0] for key in q}
    for key in missing:
        name = key.rpartition(".")[0]
        near = difflib.get_close_matches(name, names, n=1, cutoff=LIKELY_SLIP)
        if name not in names and near:
            raise InputError(article.place(claim_id), f"there is no quantity {key}", f"Did you mean {near[0]}?")


def _remarks(rule: Rule, true: Any, say: Any) -> list[str]:
    return [say(remark.say) for remark in rule.caveats if remark.when is None or true(remark.when, "caveats.when")]


def _compare(article: Article, claim: Any, rule: Rule, values: dict[str, float]) -> tuple[bool, str]:
    """Whether the stated value meets the computed one within tolerance, and the latter in words."""
    assert rule.computed is not None and rule.unit is not None
    result = expressions.evaluate(rule.computed, values, article.place(claim.claim_id, "computed"))
    unit = _unit_of(claim)
    try:
        computed = units.convert(float(result), units.UNITS[rule.unit], unit)
    except InputError as problem:
        raise InputError(article.place(claim.claim_id, "unit"), problem.what, problem.do) from problem
    stated, half_digit = _stated(article, claim)
    tolerance = half_digit if rule.tolerance is None else rule.tolerance
    digits = max(len(str(claim.value).partition(".")[2].split(" ")[0]), 0) + 1
    shown = f"{computed:.0f}" if unit in (units.YEAR, units.RANK) else units.number_text(computed, digits)
    # The comparison forgives the last bit of binary arithmetic, nothing more.
    return abs(stated - computed) <= tolerance * (1 + 1e-9), unit.text.format(shown)


def _compare_dollars(article: Article, claim: Any, dollars: Dollars, q: Quantities) -> tuple[bool, bool, str, str]:
    """Whether the dollars follow at the proper rate, or at the other one; the value; the remark."""
    unit = _unit_of(claim)
    stated, half_digit = _stated(article, claim)
    item = q[dollars.of]
    level = units.convert(item.value, units.UNITS[item.unit], units.JPY_100M)

    def at(rate: str) -> float:
        return units.convert(float(units.usd_bn(level, q[rate].value)), units.USD_BN, unit)

    computed = at(dollars.at)
    text = unit.text.format(units.number_text(computed, unit.digits))
    if abs(stated - computed) <= half_digit * (1 + 1e-9):
        return True, False, text, ""
    if dollars.or_at is None:
        return False, False, text, ""
    other = at(dollars.or_at)
    near = abs(stated - other) <= half_digit + other * DAY_RATE_SPREAD_PCT / 100
    implied = q[f"article.{article.name}.implied_rate.{claim.claim_id}"]
    remark = (
        f"Only at about {implied.text}, close to {q[dollars.or_at].text} ({q[dollars.or_at].label}); "
        f"at {q[dollars.at].text} ({q[dollars.at].label}) it is {text}."
    )
    return False, near, text, remark


def _filled(text: str, q: Quantities, article: Article, claim_id: str) -> str:
    """`text` with every {key} replaced by the quantity's value in words."""

    def value(match: re.Match[str]) -> str:
        key, _, unit = match[1].partition("|")
        if key not in q:
            raise InputError(article.place(claim_id), f"the text names {key}, which is no quantity", "Correct the key")
        item = q[key]
        if not unit:
            return item.text
        wanted = {known.name.split()[0]: known for known in (units.JPY_TRN, units.JPY_BN)}.get(unit)
        if wanted is None:
            raise InputError(article.place(claim_id), f"{unit!r} is no unit of money", "Write {key|trn} or {key|bn}")
        return item.in_unit(wanted).text

    return re.sub(r"\{([^{}]+)\}", value, text)


def _agree_on_one_rate(q: Quantities, article: Article) -> None:
    """Record how far the article's dollar figures miss a common rate once their rounding is granted.

    Zero: one rate lies inside every figure's rounding; else the smallest gap between two of them.
    """
    lows, highs, keys = [], [], []
    for claim in article.claims.itertuples():
        key = f"article.{article.name}.implied_rate.{claim.claim_id}"
        if key in q:
            stated, half_digit = _stated(article, claim)
            lows.append(q[key].value * stated / (stated + half_digit))
            highs.append(q[key].value * stated / (stated - half_digit))
            keys.append(key)
    if keys:
        gap = max(0.0, max(lows) / min(highs) - 1) * 100
        label = "gap between the exchange rates that the article's dollar figures imply, beyond rounding"
        q.record(
            f"article.{article.name}.implied_rate_gap.all", gap, units.PERCENT, label,
            "anime_growth.claims: rounding intervals of the implied rates", keys, digits=2,
        )  # fmt: skip
