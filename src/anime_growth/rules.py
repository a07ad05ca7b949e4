"""Articles as data: claims in own words, and the rules that bind each claim to quantities.

An article is a folder data/raw/articles/<name>/<date>/ with `claims.csv` and `rules.yml`. A rule
says one of three things:

- `computed` (an expression over quantities, in `unit`) and/or `holds` (a comparison): judged;
- `dollars` (a yen quantity, the rate it should be converted at, other rates to try): judged, and
  the exchange rate that the article must have used is kept as a quantity;
- `not_checkable`: the reason, and what would be needed.

Under `define` an article may make quantities of its own out of others; they are named `own.…` in
its rules. The stated value is the claim's own; the default tolerance is half a unit of its last
printed digit. Nothing here is ever run as Python: expressions have a grammar of their own.
"""

import graphlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from anime_growth import expressions, paths, sources, units
from anime_growth.errors import InputError

# The article that the study is about; it comes before all others.
UNDER_STUDY = "anime_overtakes_autos"
ALL = "all"
# What judging makes for every article; see claims.judge.
RESERVED = ("claims", "implied_rate", "implied_rate_low", "implied_rate_high", "implied_rate_gap")
DEFINE = "define"
# A number in a sentence is a key in braces; only a year may be typed.
_TYPED_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_YEAR = re.compile(r"(19|20)\d\d")
_IN_BRACES = re.compile(r"\{([^{}]*)\}")
_OWN = re.compile(r"(?<![\w.-])own\.(?=[A-Za-z0-9_])")
# Sentences and labels: keys stand in braces there, and "own" may be a word.
_SPOKEN = ("say", "otherwise", "without", "not_checkable", "label", "tolerance_reason")
# Names of articles and ids of claims become parts of keys and of addresses.
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_CLAIM_ID = re.compile(r"[A-Za-z0-9_-]+")
# Unicode's property Bidi_Control, which unicodedata does not tell.
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Rules are flat; deeper nesting is a slip or an attack.
DEEPEST = 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _sentence(text: str) -> str:
    typed = [number for number in _TYPED_NUMBER.findall(_IN_BRACES.sub("", text)) if not _YEAR.fullmatch(number)]
    if typed:
        raise ValueError(f"the number {typed[0]} is typed; name its quantity in braces, as in {{key}}")
    if text.count("{") != len(_IN_BRACES.findall(text)) or text.count("}") != text.count("{"):
        raise ValueError("a brace is not closed")
    return text


def _known_unit(name: str) -> str:
    if name not in units.UNITS:
        raise ValueError(f"unit {name!r} is unknown; use one of {', '.join(units.UNITS)}")
    return name


class Remark(_Strict):
    """A sentence that applies where `when` holds, or always; {keys} in it are replaced by their values."""

    say: str
    when: str | None = None

    _plain = field_validator("say")(_sentence)


class Alternative(_Strict):
    """Another reading under which the claim is true, and the caveat that comes with it."""

    holds: str
    say: str

    _plain = field_validator("say")(_sentence)


class Dollars(_Strict):
    """A yen quantity, the rate a dollar figure should use, and the rates it may have used instead."""

    of: str
    at: str
    or_at: tuple[str, ...] = ()

    @field_validator("or_at", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value


class Defined(_Strict):
    """A quantity that an article makes out of others."""

    value: str
    unit: str
    label: str

    _unit = field_validator("unit")(_known_unit)


class Rule(_Strict):
    """How one claim is judged."""

    computed: str | None = None
    unit: str | None = None
    holds: str | None = None
    dollars: Dollars | None = None
    tolerance: float | None = Field(None, ge=0, allow_inf_nan=False)
    tolerance_reason: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    caveats: tuple[Remark, ...] = ()
    otherwise: str = ""
    without: str = ""
    not_checkable: str | None = None

    _plain = field_validator("otherwise", "without", "not_checkable")(lambda text: text and _sentence(text))
    _unit = field_validator("unit")(lambda name: None if name is None else _known_unit(name))
    _lists = field_validator("alternatives", "caveats", mode="before")(
        lambda value: tuple(value) if isinstance(value, list) else value
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "Rule":
        if self.not_checkable is not None:
            if self.model_fields_set != {"not_checkable"}:
                raise ValueError("not_checkable stands alone, without any other field")
            if not self.not_checkable.strip():
                raise ValueError("not_checkable needs its reason")
            return self
        if self.computed is None and self.holds is None and self.dollars is None:
            raise ValueError("one of computed, holds, dollars or not_checkable is needed")
        if (self.computed is None) != (self.unit is None):
            raise ValueError("computed and unit go together")
        if self.computed is not None and self.dollars is not None:
            raise ValueError("computed and dollars both judge the stated value; use one of them")
        if (self.tolerance is None) != (self.tolerance_reason is None):
            raise ValueError("a tolerance needs its tolerance_reason, and the other way round")
        if self.tolerance is not None and not (self.tolerance_reason or "").strip():
            raise ValueError("a tolerance needs its tolerance_reason in words")
        if self.tolerance is not None and self.computed is None and self.dollars is None:
            raise ValueError("a tolerance goes with computed or dollars")
        if self.dollars and self.dollars.at in self.dollars.or_at:
            raise ValueError("dollars.or_at repeats dollars.at")
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
            yield from (("dollars.or_at", rate) for rate in self.dollars.or_at)
        yield from (("alternatives.holds", item.holds) for item in self.alternatives)
        yield from (("caveats.when", item.when) for item in self.caveats if item.when)

    def sentences(self) -> Iterator[tuple[str, str]]:
        """Every sentence of the rule with the name of its field."""
        yield from (("alternatives.say", item.say) for item in self.alternatives)
        yield from (("caveats.say", item.say) for item in self.caveats)
        named = {"otherwise": self.otherwise, "without": self.without, "not_checkable": self.not_checkable or ""}
        yield from ((field, text) for field, text in named.items() if text)

    def used(self) -> dict[str, str]:
        """Keys of all quantities that the rule names, in order, with the field that names them first."""
        found: dict[str, str] = {}
        for field, text in self.expressions():
            for key in expressions.keys(text):
                found.setdefault(key, field)
        for field, text in self.sentences():
            for key in keys_in(text):
                found.setdefault(key, field)
        return found


_Kind = TypeVar("_Kind", Rule, Defined)


def keys_in(sentence: str) -> list[str]:
    """The keys that stand in braces in a sentence, without the unit behind a bar.

    >>> keys_in("It is {market.total.level.2024|bn}, once {a.b}.")
    ['market.total.level.2024', 'a.b']
    """
    return [inside.partition("|")[0] for inside in _IN_BRACES.findall(sentence)]


def filled(sentence: str, value: Callable[[str, str], str]) -> str:
    """A sentence with each {key} or {key|unit} replaced by what `value(key, unit)` gives.

    >>> filled("It is {a.b|bn}.", lambda key, unit: f"<{key} in {unit}>")
    'It is <a.b in bn>.'
    """

    def replaced(match: re.Match[str]) -> str:
        key, _, unit = match[1].partition("|")
        return value(key, unit)

    return _IN_BRACES.sub(replaced, sentence)


@dataclass(frozen=True)
class Article:
    """The claims of one article with their rules and the quantities it defines, in the order they need."""

    name: str
    words: str
    claims: pd.DataFrame
    rules: Mapping[str, Rule]
    defined: Mapping[str, Defined]
    file: str

    @cached_property
    def own_keys(self) -> set[str]:
        """Keys of all quantities that the article may bring, whether a run can make them or not."""
        rates = [claim for claim, rule in self.rules.items() if rule.dollars]
        base = f"article.{self.name}.implied_rate"
        implied = {f"{base}{end}.{claim}" for claim in rates for end in ("", "_low", "_high")}
        return {*self.defined, *implied, f"{base}_gap.all"}

    def place(self, entry: str, field: str = "") -> str:
        """Where a claim's rule stands, for an error message."""
        return _place(self.file, entry, field)


def _place(file: str, entry: str, field: str = "") -> str:
    where = f"{file}, {'' if entry.startswith(DEFINE) else 'claim '}{entry}"
    return f"{where}, field {field}" if field else where


class _OnceEach(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML that refuses a key given twice, of which the last would win unnoticed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of `node`, its keys once each."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", key_node.start_mark)
            seen.add(str(key))
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def names() -> list[str]:
    """Names of the articles at hand, the one under study first."""
    found = sorted({folder.parent.name for folder in _folders()})
    for name in found:
        if not _NAME.fullmatch(name) or name == ALL:
            raise InputError(
                f"data/raw/articles/{name}", "cannot be an article's name", "Use small letters, digits and _ only"
            )
    return sorted(found, key=lambda name: name != UNDER_STUDY)


def _folders() -> list[Path]:
    for path in sorted(paths.raw().glob("articles/*/*/rules.yml")):
        if not (path.parent / f"{sources.CLAIMS}.csv").is_file():
            raise InputError(paths.shown(path.parent), "has rules but no claims.csv", "Add the claims, or remove it")
    return [file.folder for file in sources.raw_files() if file.resource.name == "claims"]


def chosen(wanted: str) -> list[str]:
    """The articles that the parameter `articles` names: `all`, or names joined by commas.

    Raises InputError for a name that is not there, naming those that are.
    """
    known = names()
    if wanted == ALL:
        return known
    asked = [name.strip() for name in wanted.split(",")]
    for name in asked:
        if name not in known:
            raise InputError(
                "parameter articles", f"there is no article {name!r}", f"Choose {ALL} or {', '.join(known)}"
            )
    return [name for name in known if name in asked]


def articles(wanted: str = ALL) -> list[Article]:
    """The articles under data/raw/articles that `wanted` names, each claim with exactly one rule.

    Raises InputError naming file, claim and field for a claim without a rule, a rule without a
    claim, and a rule that cannot be read.
    """
    register = sources.read("sources").set_index("source_id")
    asked = chosen(wanted)
    found: dict[str, Article] = {}
    for file in sources.raw_files():
        name = file.folder.parent.name
        if file.resource.name != "claims" or name not in asked:
            continue
        if name in found:
            raise InputError(
                paths.shown(file.folder), f"is a second folder of article {name}", "Give each article its own name"
            )
        claims = file.rows
        _refuse_odd_claims(claims, paths.shown(file.path), register.index)
        source_id = str(claims["source_id"].iloc[0])
        path = file.folder / "rules.yml"
        rules, defined = _read(path, name, list(claims["claim_id"]))
        found[name] = Article(name, _words(register.loc[source_id]), claims, rules, defined, paths.shown(path))
    return [found[name] for name in asked]


def _refuse_odd_claims(claims: pd.DataFrame, shown: str, sources_at_hand: "pd.Index[str]") -> None:
    """Raise InputError for a claim whose id cannot be a key, whose source is not known, or that breaks its line."""
    for claim in claims.itertuples():
        place = f"{shown}, row {claim.raw_line}"
        if not _CLAIM_ID.fullmatch(claim.claim_id):
            do = "Use letters, digits, - and _ only"
            raise InputError(f"{place}, field claim_id", f"{claim.claim_id!r} cannot be part of a key", do)
        if claim.source_id not in sources_at_hand:
            do = "Add the article's page to a new edition of data/raw/register"
            raise InputError(f"{place}, field source_id", f"{claim.source_id!r} is not in the register of sources", do)
        for field in ("subject", "measure", "value", "period", "attributed_to"):
            if odd := next(filter(_breaks_line, getattr(claim, field)), ""):
                what = unicodedata.name(odd, "a line break or control character").lower()
                raise InputError(f"{place}, field {field}", f"holds U+{ord(odd):04X}, {what}", "Write one plain line")


def _breaks_line(letter: str) -> bool:
    """Whether a letter would end a line, steer a terminal, or turn the direction in which the rest is read."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or letter in BIDI_CONTROLS


def _words(source: "pd.Series[str]") -> str:
    """An article by publisher and date, or by its title where no publisher is known."""
    if source["publisher"] == "not stated":
        title = source["title"].split(" (")[0]
        return str(title[:1].lower() + title[1:])
    day = source["published_on"].split(" (")[0]
    if re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        date = pd.Timestamp(day)
        day = f"{date.day} {date:%B %Y}"
    return f"{source['publisher']}, {day}"


def _read(path: Path, name: str, claim_ids: list[str]) -> tuple[dict[str, Rule], dict[str, Defined]]:
    """The rules of a file by claim id, and the quantities it defines, each after those it needs."""
    shown = paths.shown(path)
    entries = mapping(path, "rules by claim id", "Write a rule for each claim as CONTRIBUTING.md shows")
    own, known = entries.pop(DEFINE, {}), set(claim_ids)
    if not isinstance(own, dict):
        raise InputError(f"{shown}, {DEFINE}", "holds no quantities by key", "Write entries such as `own.gap.2024:`")
    for claim_id in claim_ids:
        if claim_id not in entries:
            raise InputError(_place(shown, claim_id), "has no rule", "Add a rule, or not_checkable with a reason")
    for claim_id in entries:
        if claim_id not in known:
            raise InputError(_place(shown, str(claim_id)), "is not in claims.csv", "Correct the id or delete the rule")
    rules = {claim_id: read_rule(_place(shown, claim_id), entries[claim_id], name) for claim_id in claim_ids}
    defined = {
        str(key): _validated(Defined, _place(shown, f"{DEFINE} {key}"), entry, name) for key, entry in own.items()
    }
    return rules, _ordered(defined, name, shown)


def mapping(path: Path, what: str, do: str) -> dict[str, Any]:
    """The mapping that a YAML file holds, read as data and never run; keys once each, no aliases, not deep.

    Raises InputError naming file and line; where there is no file or no mapping, what to `do`.
    """
    shown = paths.shown(path)
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_nesting(text, shown)
        entries = yaml.load(text, Loader=_OnceEach)
    except OSError as problem:
        what = "is missing" if isinstance(problem, FileNotFoundError) else f"cannot be read ({problem.strerror})"
        raise InputError(shown, what, do) from problem
    except (UnicodeDecodeError, RecursionError) as problem:
        raise InputError(
            shown, "cannot be read as YAML in UTF-8", "Save it as UTF-8, without deep nesting"
        ) from problem
    except (yaml.YAMLError, TypeError, ValueError) as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(problem, "problem", "") or "it cannot be parsed"
        raise InputError(
            f"{shown}{line}", f"is not valid YAML: {what}", "Check indentation, quotes and repeats"
        ) from problem
    if not isinstance(entries, dict):
        raise InputError(shown, f"holds no {what}", do)
    return entries


def _refuse_nesting(text: str, shown: str) -> None:
    """Raise InputError for aliases and deep nesting, before anything is built from them."""
    depth = 0
    for event in yaml.parse(text, Loader=_OnceEach.__base__):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
            what = "an alias" if isinstance(event, yaml.AliasEvent) else "deep nesting"
            place = f"{shown}, line {event.start_mark.line + 1}" if event.start_mark else shown
            raise InputError(place, f"holds {what}", "Write each entry out, as the documents show")


def read_rule(where: str, entry: Any, article: str) -> Rule:
    """One rule of an article. Raises InputError at `where` naming the field that is wrong."""
    return _validated(Rule, where, entry, article)


def _validated(kind: type[_Kind], where: str, entry: Any, article: str) -> _Kind:
    try:
        made = kind.model_validate(_with_full_names(entry, article))
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{where}, field {field}" if field else where,
            str(first["msg"]).removeprefix("Value error, "),
            "CONTRIBUTING.md lists the fields of a rule",
        ) from problem
    listed = made.expressions() if isinstance(made, Rule) else [("value", made.value)]
    for field, expression in listed:
        place = f"{where}, field {field}"
        if "%" in expression:
            raise InputError(
                place, "a % stands in an expression", "Write the bare number; it takes the quantity's unit"
            )
        if not expressions.keys(expression, place):
            raise InputError(place, f"{expression!r} names no quantity", "Name at least one key")
        if field.startswith("dollars") and not expressions.KEY.fullmatch(expression):
            raise InputError(place, f"{expression!r} is no key", "Name one quantity")
        if field.startswith("dollars") and expression.startswith("article."):
            # An article's own quantities may rest on the rates that its dollars imply.
            raise InputError(place, f"{expression} is the article's own", "Name a quantity of the study")
    return made


def _with_full_names(entry: Any, article: str) -> Any:
    """`entry` with the article's own keys spelled out: own.gap.2024 is article.<name>.gap.2024."""
    full = f"article.{article}."

    def spoken(text: str) -> str:
        return _IN_BRACES.sub(lambda inside: _OWN.sub(full, inside[0]), text)

    if isinstance(entry, Mapping):
        return {
            key: spoken(item) if key in _SPOKEN and isinstance(item, str) else _with_full_names(item, article)
            for key, item in entry.items()
        }
    if isinstance(entry, list):
        return [_with_full_names(item, article) for item in entry]
    return _OWN.sub(full, entry) if isinstance(entry, str) else entry


def _ordered(defined: Mapping[str, Defined], article: str, shown: str) -> dict[str, Defined]:
    """Defined quantities by their full keys, each after those it needs. Raises InputError for a circle."""
    full = {}
    for key, item in defined.items():
        if not re.fullmatch(r"own(\.[A-Za-z0-9_-]+){2,}", key):
            raise InputError(
                _place(shown, f"{DEFINE} {key}"), "is no key of the article's own", "Name it own.<measure>.<period>"
            )
        if key.split(".")[1] in RESERVED:
            raise InputError(
                _place(shown, f"{DEFINE} {key}"), "has a name that every article's quantities have", "Choose another"
            )
        full[_OWN.sub(f"article.{article}.", key)] = item
    needs = {key: [name for name in expressions.keys(item.value) if name in full] for key, item in full.items()}
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as problem:
        circle = [str(key).replace(f"article.{article}.", "own.", 1) for key in reversed(problem.args[1])]
        raise InputError(
            _place(shown, f"{DEFINE} {circle[0]}", "value"), f"is cyclic: {' needs '.join(circle)}", "Break the circle"
        ) from problem
    return {key: full[key] for key in order}
