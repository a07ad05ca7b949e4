"""Two runs beside each other: every quantity, table, figure, verdict, text and notebook, and what they were made with.

Numbers are compared by the relative tolerances of the codebook, fractions that are shown by their last digit, and
everything else exactly. A row of a table
is known by its words and whole numbers, so that a year that is added or left out shows as that row.
"""

import csv
import io
import json
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from anime_growth import codebook, paths
from anime_growth.errors import InputError

KINDS = ("quantity", "table", "figure", "verdict", "text", "notebook")
MATCH, WITHIN, NEW, MISSING, DIFFERS = STATUSES = ("match", "within tolerance", "new", "missing", "differs")
SAME, NEW_DATA, MOVED, FLIPPED = 0, 10, 20, 30
TEXTS = ("narrative.md", "finding.md", "limits.md")
_FRACTION = re.compile(r"\d[\d,]*\.\d+")  # as it is shown
# Sums that cancel leave the last bits of what was added, where no relative tolerance holds.
ROUNDING = 1e-12
# Columns that tell how much input there is, which new rows change: no results, but notebook 1 shows them, and
# `environment` compares the hashes.
OF_THE_INPUT = {"raw_files": ("sha256", "bytes"), "checks": ("comparisons",)}
# What a quantity says beside its value; its commit is compared with the code.
SAID = ("unit", "digits", "label", "method", "inputs", "edition", "confidence", "caveats", "step")
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?|inf|nan)")
WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d*)")
INJECTED = "injected-parameters"
NOT_RECORDED = "not recorded"
# Parts of an item that its note spells out, and letters of a text that it shows.
MOST_TOLD = 3
LONGEST_TOLD = 80

Found = TypeVar("Found")
Row = Mapping[str, str]


@dataclass(frozen=True)
class Item:
    """One thing that both runs should have: a quantity, a table, a figure, a claim's verdict, a text, a notebook.

    `before` and `after` are what the two runs say, `note` where they differ and by how much. `parts` are
    the cells and rows behind it that do not match, of a table, figure, verdict or notebook.
    """

    kind: str
    name: str
    status: str
    before: str = ""
    after: str = ""
    note: str = ""
    parts: tuple["Item", ...] = ()

    @property
    def is_flipped(self) -> bool:
        """Whether it is a verdict that is now another one."""
        return self.kind == "verdict" and self.status == DIFFERS and self.before != self.after


@dataclass(frozen=True)
class Comparison:
    """All items of two runs, in the order of KINDS."""

    items: tuple[Item, ...]

    def counts(self, kind: str) -> dict[str, int]:
        """How many items of `kind` have each status."""
        found = [item.status for item in self.items if item.kind == kind]
        return {status: found.count(status) for status in STATUSES}

    def of(self, *statuses: str) -> list[Item]:
        """The items that have one of `statuses`."""
        return [item for item in self.items if item.status in statuses]

    @property
    def exit_code(self) -> int:
        """0 same, 10 new data, 20 something moved beyond tolerance or is missing, 30 a verdict flipped.

        Texts and notebooks tell what is new; where they alone differ beside it, nothing has moved.
        """
        if any(item.is_flipped for item in self.items):
            return FLIPPED
        new = self.of(NEW)
        tells = [item for item in self.of(DIFFERS) if new and item.kind in ("text", "notebook")]
        if len(self.of(DIFFERS, MISSING)) > len(tells):
            return MOVED
        return NEW_DATA if new else SAME


def compare(before: Path, after: Path, notebooks_before: Path | None = None) -> Comparison:
    """Compare the run in `after` with the one in `before`; either may be the published results.

    The notebooks of `before` lie in `notebooks_before`, or in the run itself. None is compared where a
    side has no folder of them, as the published results have none. Raises InputError for a folder that
    holds no run, and for a damaged file.
    """
    for folder in (before, after):
        if not (folder / "quantities.json").is_file():
            raise InputError(paths.shown(folder), "holds no finished run", "Name a run folder, or `make run`")
    own, executed = notebooks_before or before / "notebooks", after / "notebooks"
    shown = sorted(own.glob("*.ipynb")) if executed.is_dir() else []
    return Comparison(
        (
            *_quantities(before, after),
            *_of_files(_table, before / "tables", after / "tables"),
            *_of_files(_figure, before / "figures", after / "figures"),
            *_verdicts(before, after),
            *(_file(name, before / name, after / name) for name in TEXTS if (before / name).exists()),
            *(_notebook(path, executed / path.name) for path in shown),
        )
    )


def _of_files(compared: Callable[[str, Path, Path], Item], before: Path, after: Path) -> list[Item]:
    """`compared` for each CSV file that either folder holds."""
    names = sorted({path.stem for folder in (before, after) for path in folder.glob("*.csv")})
    return [compared(name, before, after) for name in names]


def _worst(parts: Iterable[Item]) -> str:
    return max((part.status for part in parts), key=STATUSES.index, default=MATCH)


def _of_parts(kind: str, name: str, parts: Sequence[Item]) -> Item:
    """An item that is as its worst part, with a note that tells of the first of those."""
    worst = [part for part in parts if part.status == _worst(parts)]
    if not worst:
        return Item(kind, name, MATCH)
    told = [_told(part) for part in worst[:MOST_TOLD]]
    more = [f"and {len(parts) - len(told)} more"] if len(parts) > len(told) else []
    return Item(kind, name, worst[0].status, worst[0].before, worst[0].after, "; ".join([*told, *more]), tuple(parts))


def _told(part: Item) -> str:
    """A part in words: its name, what it was and is, and by how much."""
    if part.status in (NEW, MISSING):
        return f"{part.name} is {part.status}"
    change = f": {_change(part.before, part.after)}" if part.before or part.after else ""
    return f"{part.name}{change}{f' ({part.note})' if part.note else ''}"


def _change(before: str, after: str) -> str:
    """Two texts in brief, long ones from just before the place where they part.

    >>> _change("2.0", "")
    '2.0 → nothing'
    """
    parted = (place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
    alike = next(parted, min(len(before), len(after)))
    begin = max(0, alike - LONGEST_TOLD // 4) if max(len(before), len(after)) > LONGEST_TOLD else 0
    return " → ".join(_brief(f"…{text[begin:]}" if begin else text) for text in (before, after))


def _brief(text: str) -> str:
    return textwrap.shorten(text, LONGEST_TOLD, placeholder="…") or "nothing"


def _one_sided(kind: str, name: str, before: Found | None, after: Found | None, words: Callable[[Found], str]) -> Item:
    """An item that only one run has; `before` or `after` is None."""
    ours, theirs = ("" if side is None else words(side) for side in (before, after))
    return Item(kind, name, NEW if before is None else MISSING, ours, theirs)


# --- reading --------------------------------------------------------------------------------------
def _parsed(path: Path, parse: Callable[[str], Found]) -> Found:
    """What `parse` makes of a file. Raises InputError where it is not what a run leaves."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(paths.shown(path), f"cannot be read ({problem.strerror})", "Make a new run") from problem
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error) as problem:
        do = "Restore it with git, or make a new run with `make run`"
        raise InputError(paths.shown(path), "is damaged or of another version", do) from problem


# --- numbers --------------------------------------------------------------------------------------
def apart(before: float, after: float, tolerance: float) -> str:
    """Whether two numbers match, agree within the relative `tolerance`, or differ.

    Whole numbers are years, counts and ranks, or figures as printed, and must be equal.

    >>> apart(2.5, 2.5000001, 1e-6), apart(2012.0, 2013.0, 1e-3), apart(0.0, 1e-17, 1e-6)
    ('within tolerance', 'differs', 'within tolerance')
    """
    if before == after or (math.isnan(before) and math.isnan(after)):
        return MATCH
    whole = float(before).is_integer() and float(after).is_integer()
    close = math.isclose(before, after, rel_tol=tolerance, abs_tol=ROUNDING)
    return WITHIN if close and not whole else DIFFERS


def by_how_much(before: float, after: float) -> str:
    """The change from one number to another, in % where that can be said.

    >>> by_how_much(200, 201), by_how_much(0, 3)
    ('+0.5 %', '+3')
    """
    change = after - before
    in_pct = 100 * change / abs(before) if before else math.nan
    return f"{in_pct:+.3g} %" if math.isfinite(in_pct) else f"{change:+.3g}"


# --- quantities -----------------------------------------------------------------------------------
def _quantities(before: Path, after: Path) -> Iterator[Item]:
    ours, theirs = (_parsed(folder / "quantities.json", _entries) for folder in (before, after))
    for key in {**ours, **theirs}:
        old, new = ours.get(key), theirs.get(key)
        if old is None or new is None:
            yield _one_sided("quantity", key, old, new, _amount)
        else:
            yield _quantity(key, old, new)


def _quantity(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Item:
    status = apart(before["value"], after["value"], codebook.tolerance_of(key))
    if status == MATCH and before == after:
        return Item("quantity", key, MATCH)
    notes = [by_how_much(before["value"], after["value"])] if status != MATCH else []
    changed = [name for name in SAID if before.get(name) != after.get(name)]
    notes += [f"{name}: {_change(str(before.get(name)), str(after.get(name)))}" for name in changed]
    status = DIFFERS if changed else status
    return Item("quantity", key, status, _amount(before), _amount(after), "; ".join(notes))


def _amount(entry: Mapping[str, Any]) -> str:
    return f"{entry['value']!r} {entry['unit']}"


def _entries(text: str) -> dict[str, dict[str, Any]]:
    """Quantities as they are saved, a raw cell among the inputs by its address and not with its file's hash."""
    found = {}
    for key, entry in json.loads(text).items():
        if isinstance(entry["value"], str | bool) or not isinstance(entry["unit"], str):
            raise ValueError(f"{key} has no number or no unit")
        inputs = [name if isinstance(name, str) else name["cell"] for name in entry["inputs"]]
        found[key] = {**{name: entry.get(name) for name in SAID}, "value": float(entry["value"]), "inputs": inputs}
    return found


# --- tables, drawn data, verdicts -----------------------------------------------------------------
@dataclass(frozen=True)
class _Sheet:
    """A CSV file as text."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, text: str) -> "_Sheet":
        """Raises ValueError where rows and header do not go together."""
        header, *rows = [*csv.reader(io.StringIO(text), strict=True)] or [[]]
        if len(set(header)) < len(header):
            raise ValueError("a column is named twice")
        return cls(tuple(header), tuple(dict(zip(header, row, strict=True)) for row in rows))

    def column(self, name: str) -> Iterator[str]:
        """Its cells, from top to bottom."""
        return (row[name] for row in self.rows)


def _table(name: str, before: Path, after: Path, kind: str = "table") -> Item:
    """The CSV file `name` of two folders, compared row by row and cell by cell."""
    before, after = before / f"{name}.csv", after / f"{name}.csv"
    if not (before.exists() and after.exists()):
        return Item(kind, name, MISSING if before.exists() else NEW)
    ours, theirs = _parsed(before, _Sheet.of), _parsed(after, _Sheet.of)
    return _of_parts(kind, name, [] if ours == theirs else _sheets_apart(kind, name, ours, theirs))


def _sheets_apart(kind: str, name: str, before: _Sheet, after: _Sheet) -> list[Item]:
    """Columns, rows and cells that do not match."""
    columns = {**dict.fromkeys(before.header, "before"), **dict.fromkeys(after.header, "after")}
    shared = [column for column in before.header if column in after.header and column not in OF_THE_INPUT.get(name, ())]
    found = [
        Item(kind, f"column {column}", MISSING if side == "before" else NEW)
        for column, side in columns.items()
        if not (column in before.header and column in after.header)
    ]
    written = {column: {*before.column(column), *after.column(column)} - {""} for column in shared}
    numbers = {column for column, texts in written.items() if all(map(NUMBER.fullmatch, texts))}
    labels = [column for column in shared if column not in numbers or all(map(WHOLE.fullmatch, written[column]))]
    key = _key(labels, before, after)
    ours, theirs = _by_key(key, before), _by_key(key, after)
    for label in {**ours, **theirs}:
        old, new = ours.get(label), theirs.get(label)
        if old is None or new is None:
            found.append(_one_sided(kind, label, old, new, _row_words))
            continue
        tolerance = codebook.tolerance_in(name, old.get("model", ""))
        for column in shared:
            status, note = _cells_apart(old[column], new[column], column in numbers, tolerance)
            if status != MATCH:
                found.append(Item(kind, f"{label}, {column}", status, old[column], new[column], note))
    if [label for label in ours if label in theirs] != [label for label in theirs if label in ours]:
        found.append(Item(kind, "rows stand in another order", WITHIN))
    return found


def _key(labels: Sequence[str], before: _Sheet, after: _Sheet) -> list[str]:
    """The fewest of the columns `labels`, the first ones if possible, that tell rows apart as well as all do."""

    def told_apart(columns: Sequence[str]) -> int:
        return sum(len({tuple(row[name] for name in columns) for row in sheet.rows}) for sheet in (before, after))

    key = list(labels)
    for column in reversed(labels):
        fewer = [name for name in key if name != column]
        if told_apart(fewer) == told_apart(key):
            key = fewer
    return key


def _by_key(key: Sequence[str], sheet: _Sheet) -> dict[str, Row]:
    """Rows by what their key says in words; rows that are alike are numbered."""
    seen: Counter[str] = Counter()
    found = {}
    for row in sheet.rows:
        words = ", ".join(f"{name} {row[name] or 'empty'}" for name in key)
        seen[words] += 1
        again = f"row {seen[words]}" if not words else f"again, {seen[words]}" if seen[words] > 1 else ""
        found[", ".join(filter(None, (words, again)))] = row
    return found


def _cells_apart(before: str, after: str, is_number: bool, tolerance: float) -> tuple[str, str]:
    """Status and note of a cell; empty cells are no numbers."""
    if before == after:
        return MATCH, ""
    if not (is_number and before and after):
        return DIFFERS, ""
    old, new = float(before), float(after)
    status = apart(old, new, tolerance)
    return status, by_how_much(old, new) if status != MATCH else ""


def _row_words(row: Row) -> str:
    return ", ".join(f"{name} {text}" for name, text in row.items() if text)


def _figure(name: str, before: Path, after: Path) -> Item:
    """A figure: the data that is drawn, and whether it was drawn."""
    data = _table(name, before, after, "figure")
    if data.status == NEW or not (before / f"{name}.svg").exists() or (after / f"{name}.svg").exists():
        return data
    return _of_parts("figure", name, [*data.parts, Item("figure", f"{name}.svg", MISSING)])


def _verdicts(before: Path, after: Path) -> Iterator[Item]:
    """An item for each claim: its verdict in both runs, and in the note the other fields that changed."""
    ours, theirs = (_claims(run / "verdicts.csv") for run in (before, after))
    for claim in {**ours, **theirs}:
        old, new = ours.get(claim), theirs.get(claim)
        if old is None or new is None:
            yield _one_sided("verdict", claim, old, new, lambda row: row["verdict"])
            continue
        fields = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        parts = tuple(Item("verdict", name, DIFFERS, old.get(name, ""), new.get(name, "")) for name in fields)
        note = "; ".join(map(_told, parts))
        yield Item("verdict", claim, _worst(parts), old["verdict"], new["verdict"], note, parts)


def _claims(path: Path) -> dict[str, Row]:
    """Rows of verdicts.csv by article and claim; none where there is no such file."""
    return _parsed(path, _judged) if path.exists() else {}


def _judged(text: str) -> dict[str, Row]:
    rows = _Sheet.of(text).rows
    found = {f"{row['article']}.{row['claim_id']}": row for row in rows if row["verdict"]}
    if len(found) < len(rows):
        raise ValueError("a claim is judged twice, or not at all")
    return found


# --- texts and notebooks --------------------------------------------------------------------------
def _text(kind: str, name: str, before: str | None, after: str | None, status: str = DIFFERS) -> Item:
    """A text by its lines; an item names the first that differs, with the `status` of a text that does."""
    if before is None or after is None:
        return Item(kind, name, NEW if before is None else MISSING)
    if before == after:
        return Item(kind, name, MATCH)
    ours, theirs = before.splitlines(), after.splitlines()
    size = max(len(ours), len(theirs))
    lines = [lines + [""] * (size - len(lines)) for lines in (ours, theirs)]
    different = [number for number, (old, new) in enumerate(zip(*lines, strict=True)) if old != new]
    first = different[0] if different else size - 1
    note = f"line {first + 1}" + (f" and {len(different) - 1} more" if len(different) > 1 else "")
    return Item(kind, name, status, lines[0][first], lines[1][first], note)


def _said(kind: str, name: str, before: str | None, after: str | None) -> Item:
    """A text that a run has written: within tolerance where fractions differ by one in the last digit, and no more.

    A number within tolerance may be rounded to the other side; whether it is within is asked of the quantity
    or the table that it comes from. Whole numbers are compared exactly, as everywhere.
    """
    alike = before is not None and after is not None and _FRACTION.sub(".", before) == _FRACTION.sub(".", after)
    shown = [_FRACTION.findall(text) if alike and text else [] for text in (before, after)]
    close = alike and all(_in_last_digits(old, new) <= 1 for old, new in zip(*shown, strict=True))
    return _text(kind, name, before, after, WITHIN if close else DIFFERS)


def _in_last_digits(before: str, after: str) -> float:
    """How far two fractions lie apart, counted in their last digit; without end where they have not as many digits.

    >>> _in_last_digits("1,234.5", "1,234.6"), _in_last_digits("0.99", "1.00"), _in_last_digits("1.5", "1.50")
    (1, 1, inf)
    """
    (whole, digits), (other_whole, other_digits) = (text.replace(",", "").split(".") for text in (before, after))
    return abs(int(whole + digits) - int(other_whole + other_digits)) if len(digits) == len(other_digits) else math.inf


def _file(name: str, before: Path, after: Path) -> Item:
    return _said("text", name, *(_parsed(path, str) if path.exists() else None for path in (before, after)))


def _notebook(before: Path, after: Path) -> Item:
    """A notebook by the code, words and displayed outputs of its cells."""
    if not after.exists():
        return Item("notebook", before.stem, MISSING)
    ours, theirs = _parsed(before, _shown), _parsed(after, _shown)
    parts = [
        (_said if ", output " in place else _text)("notebook", place, ours.get(place), theirs.get(place))
        for place in {**ours, **theirs}
    ]
    return _of_parts("notebook", before.stem, [part for part in parts if part.status != MATCH])


def _shown(text: str) -> dict[str, str]:
    """What a notebook shows: place in words -> text; of an image its kind alone.

    The cell that papermill injects is left out, since the record has the parameters.
    """
    found: dict[str, str] = {}
    cells = [cell for cell in json.loads(text)["cells"] if INJECTED not in cell.get("metadata", {}).get("tags", [])]
    for number, cell in enumerate(cells, 1):
        found[f"cell {number}, {cell['cell_type']}"] = "".join(cell["source"])
        for place, output in enumerate(_outputs(cell.get("outputs", [])), 1):
            for kind, shown in output.items():
                found[f"cell {number}, output {place}, {kind}"] = shown
    return found


def _outputs(outputs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Outputs as kind -> text; a stream that came in pieces is one."""
    found: list[dict[str, str]] = []
    for output in outputs:
        if output["output_type"] == "stream":
            if not (found and output["name"] in found[-1]):
                found.append({output["name"]: ""})
            found[-1][output["name"]] += "".join(output["text"])
        elif output["output_type"] == "error":
            found.append({"error": f"{output['ename']}: {output['evalue']}"})
        else:
            found.append({kind: _displayed(kind, data) for kind, data in output["data"].items()})
    return found


def _displayed(kind: str, data: Any) -> str:
    if kind.startswith("image/"):
        return "an image"
    return "".join(data) if isinstance(data, str | list) else json.dumps(data, sort_keys=True)


# --- what the runs were made with -----------------------------------------------------------------
@dataclass(frozen=True)
class Difference:
    """Something that two runs were made with and that differs; `kind` is parameter, raw file, package, code …"""

    kind: str
    name: str
    before: str
    after: str

    @property
    def what(self) -> str:
        """Kind and name in words."""
        return f"{self.kind} {self.name}".rstrip()


def environment(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """What differs between the records (run.json) of two runs; a field that one lacks is `not recorded`."""
    groups = {"parameter": "parameters", "raw file": "raw_files", "package": "packages", "code": "code"}
    found = []
    for kind, field in groups.items():
        ours, theirs = before.get(field), after.get(field)
        if ours is None or theirs is None:
            sizes = [None if side is None else f"{len(side)} recorded" for side in (ours, theirs)]
            found += _difference(kind, "", *sizes)
            continue
        for name in sorted({*ours, *theirs}):
            found += _difference(kind, name, ours.get(name, "none"), theirs.get(name, "none"))
    for field in ("lock", "python", "platform"):
        found += _difference(field, "", before.get(field) or None, after.get(field) or None)
    return found + _difference("commit", "", _commit(before.get("git")), _commit(after.get("git")))


def _difference(kind: str, name: str, before: Any, after: Any) -> list[Difference]:
    if before == after:
        return []
    words = (NOT_RECORDED if side is None else str(side) for side in (before, after))
    return [Difference(kind, name, *words)]


def _commit(git: Mapping[str, Any] | None) -> str | None:
    if not git:
        return None
    return f"{git['commit']}{' with uncommitted changes' if git['dirty'] else ''}"
