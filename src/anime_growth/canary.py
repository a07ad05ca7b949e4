"""The canary: slips made in one raw cell at a time, in a copy, and what notices each of them.

A hash notices every edit of a raw file, and says nothing of whether a figure was typed rightly in the
first place. So the copy's hashes are kept in step, and the question is what becomes of a transcriber's
slip. In the order in which a run comes to them: `schema`, the figures are refused when they are read;
`identity`, a cross-check fails; `quantity`, a published number moves or is gone; `verdict`, a published
verdict is another one; `statement`, the table of verdicts says otherwise what a claim states. The first
two would have noticed when the figure was typed, the others only beside what is published, as `verify` does.

The study's own functions meet every slip; what they make of figures that no slip has touched is kept.
Models are not fitted anew, as all that they see are quantities.
"""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from anime_growth import (
    cells,
    checks,
    claims,
    clean,
    codebook,
    compare,
    describe,
    expressions,
    narrative,
    paths,
    records,
    rules,
    sources,
    trace,
    units,
)
from anime_growth.doubts import CANARY, NOTICES, SLIP_COLUMNS
from anime_growth.errors import InputError
from anime_growth.parameters import Parameters
from anime_growth.pipeline import STEPS, Step
from anime_growth.quantities import Quantities, Quantity

SCHEMA, IDENTITY, QUANTITY, VERDICT, STATEMENT = NOTICES
TENTH, SWAPPED, LAST_DIGIT, LETTERS, DELETED, UNIT = (
    *("value x 1.1", "digits swapped", "last digit changed", "letters swapped"),
    *("row deleted", "unit swapped"),
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LETTER, _DIGIT = r"[^\W\d_]", r"\d"

_Made = TypeVar("_Made")


# --- which cells ------------------------------------------------------------------------------------
class _Asked(Quantities):
    """Quantities that remember which of them were asked for."""

    def __init__(self, items: Iterable[Quantity]) -> None:
        super().__init__(items=items)
        self.keys_asked: dict[str, None] = {}

    def __getitem__(self, key: str) -> Quantity:
        self.keys_asked[key] = None
        return super().__getitem__(key)


class _Results(Step):
    """A step that reads the finished results in a folder, run or published."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(STEPS[name], Parameters(), folder, may_borrow=False)

    def _finished(self, step: str) -> bool:
        return True


def headline_cells(folder: Path) -> dict[str, str]:
    """Raw cell -> "finding" or "narrative": the first of these texts that asks for a quantity that rests on it.

    `folder` holds the results that the texts tell of.
    """
    step, q = _Results("06_narrative", folder), Quantities.read(folder / "quantities.json")
    context = narrative.context(step.tables(), step.table("trends"), step.table("projections"), step.verdicts(), q)
    found: dict[str, str] = {}
    for name, tell in (("finding", narrative.finding), ("narrative", narrative.tell)):
        asked = _Asked(q.values())
        tell(context, asked)
        for cell in sorted(set().union(*(trace.raw_behind(q, key) for key in asked.keys_asked))):
            found.setdefault(cell, name)
    return found


# --- which slips ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Slip:
    """One change to the raw row of a cell: its `column` reads `after` for `before`, or the row is deleted."""

    cell: str
    change: str
    column: str
    before: str
    after: str = ""

    @property
    def file(self) -> str:
        """The raw file, below data/raw."""
        return _file(self.cell)


@dataclass(frozen=True)
class Harmless:
    """A slip that nothing notices, and why that is let stand."""

    slip: Slip
    reason: str


# None today.
HARMLESS: list[Harmless] = []


def _file(cell: str) -> str:
    return str(cells.parse(cell)["file"])


def slips(cell: str, rows: list[dict[str, str]]) -> list[Slip]:
    """Every slip to try on `cell`, which stands in the raw file with these `rows`."""
    row, column = _row_of(cell, rows), str(cells.parse(cell)["column"])
    text, unit = row[column], row.get("unit", "")
    found = [Slip(cell, change, column, text, after) for change, after in _mistyped(text)]
    found.append(Slip(cell, DELETED, column, text))
    if _NUMBER.search(text):
        found += [
            Slip(cell, UNIT, "unit", unit, other) for other in _other_units(unit, [each["unit"] for each in rows])
        ]
    return found


def _row_of(cell: str, rows: list[dict[str, str]]) -> dict[str, str]:
    wanted = cells.parse(cell)["row"].items()
    (row,) = (row for row in rows if all(row[name] == text for name, text in wanted))
    return row


def _mistyped(text: str) -> Iterator[tuple[str, str]]:
    """The ways to mistype the first number in `text`, or its words where it holds none.

    Of all pairs that could be swapped it is the last, which matters least and is the hardest to notice.

    >>> list(_mistyped("125.20")), list(_mistyped("nine firms"))
    ([('value x 1.1', '137.720'), ('digits swapped', '125.02')], [('letters swapped', 'nine firsm')])
    >>> list(_mistyped("9")), list(_mistyped("0"))
    ([('value x 1.1', '9.9'), ('last digit changed', '8')], [('last digit changed', '1')])
    """
    number = _NUMBER.search(text)
    if number is None:
        yield LETTERS, _swapped(text, _LETTER)
        return
    before, digits, after = text[: number.start()], number[0], text[number.end() :]
    if Decimal(digits):
        yield TENTH, f"{before}{Decimal(digits) * Decimal('1.1')}{after}"
    if (swapped := _swapped(digits, _DIGIT)) != digits:
        yield SWAPPED, f"{before}{swapped}{after}"
    else:
        yield LAST_DIGIT, f"{before}{digits[:-1]}{8 if digits[-1] == '9' else int(digits[-1]) + 1}{after}"


def _swapped(text: str, kind: str) -> str:
    """`text` with its last two neighbours exchanged that are of this `kind` and differ.

    >>> _swapped("2017.00", _DIGIT), _swapped("11", _DIGIT)
    ('2071.00', '11')
    """
    return re.sub(rf"(.*)({kind})(?!\2)({kind})", r"\1\3\2", text, count=1)


def _other_units(label: str, column: list[str]) -> list[str]:
    """Words for other units to confuse `label` with: one from the list of all, one that stands in its own `column`.

    One of the same dimension comes first. Words that are no unit have none to be confused with.

    >>> _other_units("trillion JPY", ["trillion JPY", "%"]), _other_units("rank", ["rank"]), _other_units("text", ["%"])
    (['100 million JPY', '%'], ['index points'], [])
    """
    own = units.RAW_UNITS.get(label)
    if own is None:
        return []
    known = list(units.RAW_UNITS)
    at = known.index(label)

    def another(labels: Iterable[str]) -> list[str]:
        others = [(name, unit) for name in labels if (unit := units.RAW_UNITS[name]) not in (None, own)]
        same = [name for name, unit in others if unit and unit.dimension == own.dimension]
        return [*same, *(name for name, _ in others)][:1]

    return list(dict.fromkeys((*another((*known[at:], *known[:at])), *another(column))))


# --- the copy ---------------------------------------------------------------------------------------
@contextmanager
def _copy() -> Iterator[None]:
    """While the block runs the package takes a copy of data/raw for the real one."""
    before = os.environ.get(paths.HOME_VARIABLE)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(paths.raw(), Path(folder) / "data" / "raw")
        os.environ[paths.HOME_VARIABLE] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[paths.HOME_VARIABLE]
            else:
                os.environ[paths.HOME_VARIABLE] = before


@contextmanager
def _made(slip: Slip) -> Iterator[None]:
    """While the block runs the raw file holds the slip, and its package the hash and size that go with it."""
    path = paths.raw() / slip.file
    package = path.parent / sources.PACKAGE
    kept = {file: file.read_bytes() for file in (path, package) if file.exists()}
    content = _with(slip, rows_of(slip.file)).encode()
    try:
        path.write_bytes(content)
        if package in kept:
            described = json.loads(kept[package])
            (resource,) = (item for item in described["resources"] if item["path"] == path.name)
            resource |= {"bytes": len(content), "hash": "sha256:" + hashlib.sha256(content).hexdigest()}
            package.write_text(json.dumps(described), encoding="utf-8")
        yield
    finally:
        for file, before in kept.items():
            file.write_bytes(before)


def rows_of(file: str) -> list[dict[str, str]]:
    """The rows of a raw file as text."""
    with (paths.raw() / file).open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def _with(slip: Slip, rows: list[dict[str, str]]) -> str:
    """The text of a raw file whose `rows` hold the slip."""
    row = _row_of(slip.cell, rows)
    if slip.change == DELETED:
        rows.remove(row)
    else:
        row[slip.column] = slip.after
    out = io.StringIO()
    writer = csv.DictWriter(out, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


# --- what notices -----------------------------------------------------------------------------------
class Watch:
    """The study's steps from raw figures to verdicts, beside the results in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._kept: dict[str, tuple[tuple[object, ...], Any]] = {}
        self._tables = self._joined(clean.clean_all())
        checks.run(self._tables)
        self._articles = rules.articles()
        self._asked = {key for article in self._articles for key in _keys_asked(article)}
        self._verdicts = _by_claim(_Results("06_narrative", folder).verdicts())
        self._results = Quantities.read(folder / "quantities.json")
        self._made = list(self._described(self._tables))
        self._fitted = [
            item for key, item in self._results.items() if key not in self._made and not key.startswith("article.")
        ]

    def notices(self, table: str) -> dict[str, str]:
        """What notices that the raw `table` has changed, and what it says, in the order in which they come."""
        found: dict[str, str] = {}
        try:
            tables, articles = self._read(table)
            try:
                checks.run(tables, [name for name in tables if tables[name] is not self._tables[name]])
            except InputError as problem:
                found[IDENTITY] = problem.what
            q = self._described(tables)
        except InputError as problem:
            return found | {SCHEMA: problem.what}
        moved = self._moved(q)
        found |= {QUANTITY: _first([*moved.values()])} if moved else {}
        # A verdict follows from its claim and from the quantities that its rule names.
        is_asked = articles is not self._articles or not self._asked.isdisjoint(moved)
        return found | (self._judged(articles, q, tables) if is_asked else {})

    def _once(self, name: str, make: Callable[[], _Made], *inputs: object) -> _Made:
        """What `make` makes, or what it made the first time, of no slip, where all `inputs` are the same objects."""
        first = self._kept.get(name)
        if first and all(ours is theirs for ours, theirs in zip(first[0], inputs, strict=True)):
            return first[1]
        made = make()
        self._kept.setdefault(name, (inputs, made))
        return made

    def _of(self, make: Callable[..., _Made], *inputs: object) -> _Made:
        """`make(*inputs)`, kept."""
        return self._once(make.__name__, lambda: make(*inputs), *inputs)

    def _read(self, table: str) -> tuple[dict[str, pd.DataFrame], list[rules.Article]]:
        """The tidy tables and the articles, the raw `table` among them read and cleaned anew."""
        if table == sources.CLAIMS:
            return self._tables, rules.articles()
        raw = sources.read(table)
        name, cleaned = clean.CLEANERS[table]
        tables = self._tables | {name: cleaned(raw)}
        clean.refuse_unknown_sources(raw, set(tables["sources"]["source_id"]))
        return self._joined(tables), self._articles

    def _joined(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """The tables with the one that is made of several others."""
        behind = [tables[name] for name in ("studio_editions", "categories", "content_exports", "annual_series")]
        return tables | {"series_levels": self._once("series_levels", lambda: clean.level_series(tables), *behind)}

    def _described(self, tables: Mapping[str, pd.DataFrame]) -> Quantities:
        """The quantities of notebook 1."""
        edition = self._of(_edition, tables["market_editions"])
        behind = [tables[name] for name in ("market_editions", "exchange_rates", "consumer_prices")]
        return describe.describe({**tables, "market": self._of(_market, *behind, edition)}, self._of)

    def _moved(self, q: Quantities) -> dict[str, str]:
        """The results that these quantities do not meet within tolerance, with what became of them."""
        found = {}
        for key in self._made:
            before, tolerance = self._results[key].value, codebook.tolerance_of(key)
            if key not in q:
                found[key] = f"{key} is missing"
            elif compare.apart(before, q[key].value, tolerance) == compare.DIFFERS:
                found[key] = f"{key} moves by {compare.by_how_much(before, q[key].value)}"
        return found

    def _judged(
        self, articles: list[rules.Article], q: Quantities, tables: Mapping[str, pd.DataFrame]
    ) -> dict[str, str]:
        """The first claim whose verdict, or whose statement, is another one, and how many there are."""
        known = Quantities(items=[*q.values(), *self._fitted])
        try:
            verdicts, _ = claims.judge(articles, known, trace.raw_rows(tables))
        except InputError as problem:
            return {VERDICT: problem.what}
        found: dict[str, str] = {}
        for notice, field in ((VERDICT, "verdict"), (STATEMENT, "stated")):
            told = [
                f"{claim}: {self._verdicts[article, claim][field]} becomes {row[field]}"
                for (article, claim), row in _by_claim(verdicts).items()
                if row[field] != self._verdicts[article, claim][field]
            ]
            found |= {notice: _first(told)} if told else {}
        return found


def _keys_asked(article: rules.Article) -> Iterator[str]:
    for rule in article.rules.values():
        yield from rule.used()
    for item in article.defined.values():
        yield from expressions.keys(item.value)


def _edition(editions: pd.DataFrame) -> int:
    return clean.choose_edition(editions, Parameters().edition)


def _market(editions: pd.DataFrame, rates: pd.DataFrame, prices: pd.DataFrame, edition: int) -> pd.DataFrame:
    tables = {"market_editions": editions, "exchange_rates": rates, "consumer_prices": prices}
    return clean.market(tables, edition)


def _by_claim(verdicts: pd.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["article"], row["claim_id"]): row for row in verdicts.to_dict("records")}


def _first(told: list[str]) -> str:
    return told[0] + (f", and {len(told) - 1} more" if len(told) > 1 else "")


# --- the table --------------------------------------------------------------------------------------
# Told how many slips have been tried, of how many.
Told = Callable[[int, int], None]
NOTHING: Told = lambda done, total: None  # noqa: E731


def tried(watch: Watch, slips: Sequence[Slip], tell: Told = NOTHING) -> list[dict[str, str]]:
    """What notices each of the slips, made one at a time in a copy of the raw figures; see `Watch.notices`."""
    names = {file.reference: file.resource.name for file in sources.raw_files()}
    found = []
    with _copy():
        for slip in slips:
            with _made(slip):
                found.append(watch.notices(names[slip.file]))
            tell(len(found), len(slips))
    return found


def table(folder: Path, files: Iterable[str] | None = None, tell: Told = NOTHING) -> pd.DataFrame:
    """Every slip in every raw cell under the texts of the results in `folder`, and what notices it.

    One row a slip [SLIP_COLUMNS], in the order of the cells; only of the raw `files` where they are named.
    `noticed_by` and `also_noticed_by` hold the first notice and the others, `what` what the first says. A
    slip that nothing notices has none of them, and a `reason` from `HARMLESS`.
    """
    cells_under = {
        cell: under for cell, under in headline_cells(folder).items() if files is None or _file(cell) in files
    }
    made = [slip for cell in cells_under for slip in slips(cell, rows_of(_file(cell)))]
    reasons = {item.slip: item.reason for item in HARMLESS}
    rows = []
    for slip, found in zip(made, tried(Watch(folder), made, tell), strict=True):
        first, *others = found or [""]
        rows.append(
            {
                **{name: getattr(slip, name) for name in ("cell", "change", "column", "before", "after")},
                "under": cells_under[slip.cell],
                "noticed_by": first,
                "also_noticed_by": "; ".join(others),
                "what": found.get(first, ""),
                "reason": "" if found else reasons.get(slip, ""),
            }
        )
    return pd.DataFrame(rows, columns=SLIP_COLUMNS)


def write(folder: Path, tell: Told = NOTHING) -> None:
    """Put the table of slips beside the results in `folder`; the published one where nothing behind it differs."""
    published = paths.published()
    if (published / CANARY).exists() and _basis(published) == _basis(folder):
        shutil.copyfile(published / CANARY, folder / CANARY)
    else:
        table(folder, tell=tell).to_csv(folder / CANARY, index=False, lineterminator="\n")


def _basis(folder: Path) -> object:
    """What the table of slips for the results in `folder` rests on: figures and rules, code, libraries, the results."""
    record = records.read(folder)
    key = record.get("steps", {}).get("05_check_claims", {}).get("key")
    results = [(folder / name).read_bytes() for name in ("quantities.json", "verdicts.csv")]
    return key, record.get("code"), record.get("packages"), results
