"""What happened between two runs, for people on call: the worst first, in plain words, long lists cut.

Rows are those of the clean tables that notebook 1 makes from one raw table each. A row is known by the
key of its raw row, so that it stays the same row where its file moves. The numbers, verdicts and other
results are those of compare.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from anime_growth import cells, clean, codebook, compare, narrative, paths, records, words
from anime_growth.compare import Comparison, Difference, Item
from anime_growth.quantities import Quantities, Quantity
from anime_growth.units import number_text

# Entries of a list that people see; the JSON has all.
MOST_SHOWN = 12
# Names that stand for a family of new or vanished quantities, and letters of a cell.
MOST_NAMED = 3
LONGEST_CELL = 160
LONGEST_NOTE = 80
# A summary is shown whole.
LONGEST_LINE = 2000
# The columns of a key that say which report or release printed the row, not what it is about.
EDITION_COLUMNS = ("edition", "edition_or_release")
# The quantities that the README's finding tells, beside those of the newest year in NEWEST.
FINDING = re.compile(
    r"trend\.(?!\w+_(?:usd|real)\.)\w+\.(?:sample\..*|drift\.growth_(?:lo|hi)95|\w+\.growth)"
    r"|target\.\w+\.(?:level|chance)\..*|article\.\w+\.claims\..*"
)
NEWEST = "market.overseas.level", "market.overseas.growth", "market.overseas.growth_usd"
HEADLINE = "market.overseas."

# Results beside rows, numbers and verdicts.
OTHER_KINDS = ("table", "figure", "text", "notebook")

PLURALS = {"parameter": "parameters", "raw file": "raw files", "package": "packages", "python": "Python"}

Key = tuple[tuple[str, str], ...]
Row = Mapping[str, str]


# --- rows -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RowChange:
    """A row that differs between two states of a table.

    `kind` is new, restated, repeated (a newer edition prints what an older one did) or removed. `key` is
    that of the row, `earlier` that of the row it restates or repeats; `before` and `after` are whole rows,
    empty where there is none.
    """

    table: str
    kind: str
    key: Key
    before: Row
    after: Row
    earlier: Key = ()
    measures: tuple[str, ...] = ()

    @property
    def changed(self) -> list[str]:
        """The columns that differ; where another edition restates a row, of its measures only."""
        columns = self.measures if self.earlier != self.key else (*self.before, *self.after)
        return [name for name in dict.fromkeys(columns) if not _same(self.before.get(name), self.after.get(name))]

    @property
    def told(self) -> list[str]:
        """The columns to show of a row that stands alone: its measures, or its words where it has none."""
        row = self.after or self.before
        own = dict(self.key)
        filled = [name for name in row if row[name] and name not in own and name != "source_id"]
        return [name for name in filled if name in self.measures] or filled

    @property
    def source_id(self) -> str:
        """The source of the row as it is now, or was."""
        return (self.after or self.before).get("source_id", dict(self.key).get("source_id", ""))


def changes(
    table: str, before: Mapping[Key, Row], after: Mapping[Key, Row], measures: Iterable[str]
) -> list[RowChange]:
    """Rows of `table` that are new, restated, repeated or removed, in the order of `after`.

    A row whose key is in both is restated where any column differs. One that only `after` has is measured
    against the newest row of `before` about the same thing that is not of a newer edition.
    """
    measures = tuple(measures)
    older: dict[Key, list[Key]] = {}
    for key in before:
        older.setdefault(_subject(key), []).append(key)
    found = []
    for key, row in after.items():
        if key in before:
            change = RowChange(table, "restated", key, before[key], row, key, measures)
        else:
            known = [other for other in older.get(_subject(key), []) if edition_order(other) <= edition_order(key)]
            earlier = max(known, key=edition_order, default=())
            change = RowChange(table, "restated", key, before.get(earlier, {}), row, earlier, measures)
            change = replace(change, kind="restated" if change.changed else "repeated") if earlier else change
            change = change if earlier else replace(change, kind="new")
        if change.kind != "restated" or change.changed:
            found.append(change)
    gone = [key for key in before if key not in after]
    return [*found, *(RowChange(table, "removed", key, before[key], {}, (), measures) for key in gone)]


def _subject(key: Key) -> Key:
    """A key without what says who printed the row."""
    return tuple(part for part in key if part[0] not in EDITION_COLUMNS)


def _edition(key: Key) -> str:
    """The label of the edition or release in a key; empty where it has none."""
    return next((text for name, text in key if name in EDITION_COLUMNS), "")


def edition_order(key: Key) -> tuple[str, bool]:
    """Where a row's edition stands among others: by the date in its label, a bare year after one with a remark.

    >>> edition_order((("year", "2024"), ("edition", "2025 (prelim 2025-10-30)")))
    ('2025', False)
    >>> edition_order((("sector", "anime"), ("edition_or_release", "HM release 2025-11-28")))
    ('2025-11-28', False)
    """
    label = _edition(key)
    found = re.search(r"(?<!\d)\d{4}(?:-\d\d){0,2}(?!\d)", label)
    return (found[0] if found else "", bool(found and found[0] == label))


def _same(before: str | None, after: str | None) -> bool:
    if before == after:
        return True
    try:
        return float(before or "") == float(after or "")
    except ValueError:
        return False


def row_changes(before: Path, after: Path) -> list[RowChange]:
    """Rows of the clean tables of two run folders that are not the same."""
    found = []
    for name in dict.fromkeys(tidy for tidy, _ in clean.CLEANERS.values()):
        ours, theirs = (_rows(folder / "tables" / f"{name}.csv") for folder in (before, after))
        measures = [column for column, spec in clean.SCHEMAS[name].columns.items() if str(spec.dtype) == "float64"]
        found += changes(name, ours, theirs, measures)
    return found


def _rows(path: Path) -> dict[Key, Row]:
    """The rows of a clean table by the key of their raw row, or by their first column, the id, where it names none."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[Key, Row] = {}
    for row in rows:
        address = next((row[name] for name in ("raw_cell", "raw_row") if name in row), "")
        first = next(iter(row))
        key = cells.parse(address if "#" in address else f"{address}#")["row"] if address else {first: row[first]}
        found[tuple(key.items())] = {name: text for name, text in row.items() if not name.startswith("raw_")}
    return found


# --- quantities -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Moved:
    """A quantity that both runs have, with values that are apart by more than its tolerance."""

    before: Quantity
    after: Quantity

    @property
    def key(self) -> str:
        """Its key."""
        return self.after.key

    @property
    def relative(self) -> float:
        """The change over the value before; infinite where that was nought."""
        change = abs(self.after.value - self.before.value)
        return change / abs(self.before.value) if self.before.value else math.inf

    @property
    def texts(self) -> tuple[str, str]:
        """Both values as printed, with more digits where they would print alike."""
        printed = self.before.text, self.after.text
        if printed[0] != printed[1]:
            return printed
        return f"{self.before.value:.9g} {self.before.unit}", f"{self.after.value:.9g} {self.after.unit}"

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "key": self.key,
            "label": self.after.label,
            "unit": self.after.unit,
            "before": self.before.value,
            "after": self.after.value,
            "before_text": self.texts[0],
            "after_text": self.texts[1],
            "change": compare.by_how_much(self.before.value, self.after.value),
        }


def moved(before: Quantities, after: Quantities) -> list[Moved]:
    """Quantities beyond tolerance: those of the finding first, then the overseas market's, each by relative size."""
    found = [
        Moved(before[key], item)
        for key, item in after.items()
        if key in before and compare.apart(before[key].value, item.value, codebook.tolerance_of(key)) == compare.DIFFERS
    ]
    newest = {max((item.period for key, item in q.items() if _is_level(key)), default="") for q in (before, after)}
    return sorted(found, key=lambda one: (headline_rank(one.key, newest), -one.relative, one.key))


def _is_level(key: str) -> bool:
    return key.startswith(f"{NEWEST[0]}.")


def headline_rank(key: str, newest: Collection[str]) -> int:
    """0 for what the README's finding tells, 1 for other numbers of the overseas market, 2 for the rest.

    `newest` are the years that the findings of the two runs tell of.

    >>> [headline_rank(f"market.overseas.growth.{year}", {"2024"}) for year in (2024, 2023)]
    [0, 1]
    """
    if FINDING.fullmatch(key) or key in {f"{stem}.{year}" for stem in NEWEST for year in newest}:
        return 0
    return 1 if key.startswith(HEADLINE) else 2


# --- the digest -----------------------------------------------------------------------------------
class Explanation(Protocol):
    """What may be put into a digest: an attribution."""

    def as_data(self) -> dict[str, Any]:
        """Plain data, as the template and the JSON show it."""


@dataclass(frozen=True)
class Digest:
    """All that happened between two runs, with the worst first."""

    before: str
    after: str
    comparison: Comparison
    rows: tuple[RowChange, ...]
    moved: tuple[Moved, ...]
    claims: Mapping[str, Row]
    sources: Mapping[str, str]
    made_with: tuple[Difference, ...]
    explanation: Explanation | None = None

    def with_attribution(self, explanation: Explanation) -> "Digest":
        """The same digest with an attribution in it."""
        return replace(self, explanation=explanation)

    @property
    def exit_code(self) -> int:
        """0 same, 10 new data, 20 a number moved or something else differs, 30 a verdict flipped."""
        return self.comparison.exit_code

    def _of(self, kind: str, *statuses: str) -> list[Item]:
        return [item for item in self.comparison.of(*statuses) if item.kind == kind]

    def _rows_of(self, kind: str) -> list[dict[str, Any]]:
        return [self._row(change) for change in self.rows if change.kind == kind]

    def _row(self, change: RowChange) -> dict[str, Any]:
        columns = change.changed if change.kind == "restated" else change.told
        return {
            "table": change.table,
            "row": dict(change.key),
            "restates": "" if change.earlier == change.key else _edition(change.earlier),
            "before": {name: change.before.get(name, "") for name in columns} if change.before else {},
            "after": {name: change.after.get(name, "") for name in columns} if change.after else {},
            "source_id": change.source_id,
            "source": self.sources.get(change.source_id, ""),
        }

    def _verdict(self, item: Item) -> dict[str, Any]:
        row = self.claims[item.name]
        return {
            "claim": item.name,
            "statement": f"{row['subject']}, {row['measure']}: {row['stated']}",
            "before": item.before,
            "after": item.after,
            "why": row["caveat"] or f"computed: {row['computed']}",
            "evidence": row["evidence"],
        }

    def as_data(self) -> dict[str, Any]:
        """The whole digest as plain data."""
        apart = (compare.DIFFERS, compare.MISSING, compare.NEW)
        verdicts = self._of("verdict", *apart)
        appeared, vanished = (self._of("quantity", status) for status in (compare.NEW, compare.MISSING))
        keys = {one.key for one in self.moved}
        reworded = [item for item in self._of("quantity", compare.DIFFERS) if item.name not in keys]
        told = {change.table for change in self.rows}
        others = [item for kind in OTHER_KINDS for item in self._of(kind, *apart)]
        return {
            "summary": self.summary,
            "exit_code": self.exit_code,
            "before": self.before,
            "after": self.after,
            "rows": {kind: self._rows_of(kind) for kind in ("new", "restated", "removed", "repeated")},
            "quantities": {
                "moved": [one.as_data() for one in self.moved],
                "new": _by_family(appeared),
                "vanished": _by_family(vanished),
                "reworded": [item.name for item in reworded],
            },
            "verdicts": {
                "flipped": [self._verdict(item) for item in verdicts if item.is_flipped],
                "new": [self._verdict(item) for item in verdicts if item.status == compare.NEW],
                "vanished": [self._verdict(item) for item in verdicts if item.status == compare.MISSING],
                "reworded": [item.name for item in verdicts if item.status == compare.DIFFERS and not item.is_flipped],
            },
            "others": [
                {"kind": item.kind, "name": item.name, "status": item.status, "note": item.note}
                for item in others
                if item.kind != "table" or item.name not in told
            ],
            "made_with": [
                {"kind": one.kind, "name": one.name, "before": one.before, "after": one.after} for one in self.made_with
            ],
            "attribution": self.explanation.as_data() if self.explanation else None,
        }

    @property
    def summary(self) -> str:
        """What happened and how bad it is, in one line."""
        between = f"between {self.before} and {self.after}"
        kinds = dict.fromkeys(PLURALS.get(one.kind, one.kind) for one in self.made_with if one.kind != "commit")
        made = f" Made with other {words.listed(list(kinds))}." if kinds else ""
        if self.exit_code == compare.SAME:
            return f"Nothing changed {between}.{made}"
        flipped = [item for item in self._of("verdict", compare.DIFFERS) if item.is_flipped]
        said = {
            compare.NEW_DATA: "New data, and nothing that was known moved",
            compare.MOVED: "Numbers moved" if self.moved else "Results differ",
            compare.FLIPPED: f"{words.capital(words.counted(len(flipped), 'verdict'))} flipped",
        }[self.exit_code]
        told = [f"{item.name} from {item.before} to {item.after}" for item in flipped[:1]]
        if self.moved:
            first = self.moved[0]
            was, now = first.texts
            told.append(
                f"{words.counted(len(self.moved), 'number')} moved beyond tolerance, "
                f"foremost {first.after.label} from {was} to {now}"
            )
        counts = Counter(change.kind for change in self.rows)
        rows = [f"{words.cardinal(counts[kind])} {kind}" for kind in ("new", "restated", "removed") if counts[kind]]
        told += [f"rows: {', '.join(rows)}"] if rows else []
        return f"{said} {between}{': ' if told else ''}{'; '.join(told)}.{made}"

    def as_markdown(self) -> str:
        """The digest for people: a single line where nothing changed."""
        if self.exit_code == compare.SAME:
            return f"{plain(self.summary, longest=LONGEST_LINE)}\n"
        return self._told("digest.md.j2")

    def as_entry(self) -> str:
        """What moved as a draft for the change log, its reasons to be filled in; empty where nothing changed."""
        return "" if self.exit_code == compare.SAME else self._told("changelog.md.j2")

    def _told(self, template: str) -> str:
        sizes = {"most": MOST_SHOWN, "named": MOST_NAMED, "brief": LONGEST_NOTE, "longest": LONGEST_LINE}
        helpers = {rule.__name__: rule for rule in (plain, code, pairs, shorter_hash)}
        text = narrative.template(template).render(**sizes, **helpers, **self.as_data())
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def make(before: Path, after: Path) -> Digest:
    """The digest of the runs in two folders, `before` the older state; either may be the published results.

    Raises InputError for a folder that holds no run, and for a damaged file.
    """
    compared = compare.compare(before, after)
    # The published results hold fewer texts than a run; a finished run lacks none.
    items = [item for item in compared.items if item.status != compare.MISSING or item.kind not in ("text", "notebook")]
    claims = {**_by_claim(before / "verdicts.csv"), **_by_claim(after / "verdicts.csv")}
    return Digest(
        before=_named(before),
        after=_named(after),
        comparison=Comparison(tuple(items)),
        rows=tuple(row_changes(before, after)),
        moved=tuple(moved(*(Quantities.read(folder / "quantities.json") for folder in (before, after)))),
        claims=claims,
        sources={**_publishers(before), **_publishers(after)},
        made_with=tuple(compare.environment(records.read(before), records.read(after))),
    )


def _named(folder: Path) -> str:
    """A run by its id, also where it is about to be published; the published results by their folder."""
    if folder.resolve() == paths.published().resolve():
        return paths.shown(folder)
    return records.id_of(folder) or records.read(folder).get("run_id") or paths.shown(folder)


def _by_claim(path: Path) -> dict[str, Row]:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {f"{row['article']}.{row['claim_id']}": row for row in csv.DictReader(file)}


def _publishers(folder: Path) -> dict[str, str]:
    return {dict(key)["source_id"]: row["publisher"] for key, row in _rows(folder / "tables/sources.csv").items()}


def _by_family(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Keys by the family that the codebook declares for them, the largest family first."""
    found: dict[str, list[str]] = {}
    for item in items:
        family = codebook.family_of(item.name)
        found.setdefault(family.key if family else "in no family", []).append(item.name)
    ordered = sorted(found.items(), key=lambda one: -len(one[1]))
    return [{"family": name, "count": len(keys), "keys": keys} for name, keys in ordered]


# --- words in Markdown ----------------------------------------------------------------------------
def plain(text: object, longest: int = LONGEST_CELL) -> str:
    """Text out of data as one line in which nothing is Markdown, HTML or a command to a terminal.

    >>> plain("*a* | <b>"), plain("two" + chr(10) + "lines" + chr(27))
    ('\\\\*a\\\\* \\\\| \\\\<b\\\\>', 'two lines')
    """
    return re.sub(r"[\\`*_\[\]|!~<>#&]", r"\\\g<0>", _line(text, longest))


def code(text: object) -> str:
    """A key or name as code, which stays whole in a cell of a table.

    >>> code("market.overseas.level_usd.2024")
    '`market.overseas.level_usd.2024`'
    """
    return f"`{_line(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _line(text: object, longest: int = LONGEST_CELL) -> str:
    line = words.one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def pairs(row: Row) -> str:
    """Columns and their content, numbers with a separator for thousands.

    >>> pairs({"year": "2024", "level_jpy_100m": "21702.0"})
    'year 2024, level\\\\_jpy\\\\_100m 21,702'
    """
    return plain(", ".join(f"{name} {_number(text)}" for name, text in row.items()))


def _number(text: str) -> str:
    """A number with a decimal point as printed; whole numbers are years and ids, and stay as they are."""
    if not re.fullmatch(r"-?\d+\.\d+", text):
        return text or "nothing"
    return number_text(float(text), len(text.split(".")[1].rstrip("0")))


def shorter_hash(text: str) -> str:
    """A hash by its first letters.

    >>> shorter_hash("sha256:0123456789abcdef"), shorter_hash("2025")
    ('0123456789ab', '2025')
    """
    return text.removeprefix("sha256:")[:12] if text.startswith("sha256:") else text
