"""From a number back to the printed cells that it rests on, and to the code that made it.

A run folder holds all that is needed: `quantities.json` with methods, commits and inputs, and
`tables/sources.csv` with the register of sources. What a cell prints is read from its raw file,
which must still be the one whose hash the quantity recorded.
"""

import csv
import difflib
import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_growth import cells, paths, units
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities, Quantity

if TYPE_CHECKING:
    import pandas as pd
    from rich.tree import Tree

CHANGED = "+changes"
# What a run's file says of a raw cell, and the register of a source.
CELL_PARTS = {"cell", "file", "row", "column", "sha256", "source_id", "also"}
SOURCE_PARTS = ("source_id", "title", "publisher", "published_on", "accessed", "source_kind", "url", "terms")


def raw_rows(tables: "Mapping[str, pd.DataFrame]") -> dict[str, dict[str, Any]]:
    """Every raw row that a tidy table rests on: address -> sha256 of its file, source_id, and further ones (`also`)."""
    sha256 = tables["raw_files"].set_index("file")["sha256"]
    rows: dict[str, dict[str, Any]] = {}
    for table in tables.values():
        column = next((name for name in ("raw_cell", "raw_row") if name in table.columns), None)
        if column and "source_id" in table.columns:
            others = table["corroborating_source_ids"] if "corroborating_source_ids" in table else [""] * len(table)
            for address, source_id, also in zip(table[column], table["source_id"], others, strict=True):
                row = address.split("#")[0]
                further = [name for name in also.split(";") if name]
                rows[row] = {"sha256": sha256[row.split("?")[0]], "source_id": source_id, "also": further}
    return rows


def raw_behind(q: Mapping[str, Quantity], key: str) -> set[str]:
    """Addresses of all raw cells that the quantity `key` rests on, through all its inputs."""
    found, seen, waiting = set(), set(), [key]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if cells.is_address(name):
            found.add(name)
        else:
            waiting += q[name].inputs
    return found


def commits(package: Path = Path(__file__).parent) -> dict[str, str]:
    """Module -> the commit that last changed it, with `+changes` where the file differs from it.

    A module that stands in no commit yet differs from the newest one. Empty outside a clone, as in an
    installed package.
    """
    log = _git(package, "log", "--format=commit %h", "--abbrev=12", "--name-only", "--relative", "--", ".")
    changed = {
        *_git(package, "diff", "--name-only", "--relative", "HEAD", "--", "."),
        *_git(package, "ls-files", "-o", "--exclude-standard"),
    }
    last: dict[str, str] = {}
    commit = ""
    for line in log:
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        else:
            last.setdefault(line, commit)
    newest = next(iter(last.values()), "")
    files = [path.relative_to(package) for path in sorted(package.rglob("*.py"))]
    return {
        ".".join((str(__package__), *file.with_suffix("").parts)): last.get(file.as_posix(), newest)
        + (CHANGED if file.as_posix() in changed else "")
        for file in files
        if newest
    }


def _git(folder: Path, *arguments: str) -> list[str]:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()]


@cache
def _digest_of(path: Path, changed_ns: int) -> str:
    """sha256 of a raw file, read again only where it has changed since."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _rows_of(path: Path, sha256: str) -> list[dict[str, str]]:
    """Rows of the raw file with this hash."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _row(cell: str, sha256: str) -> tuple[Mapping[str, str], str]:
    """The row of a raw cell, or no row and why there is none."""
    parts = cells.parse(cell)
    path = paths.raw() / parts["file"]
    try:
        digest = _digest_of(path, path.stat().st_mtime_ns)
    except OSError as problem:
        return {}, f"the file cannot be read ({problem.strerror})"
    if digest != sha256.removeprefix("sha256:"):
        return {}, "the file is no longer the one that was read"
    found = [
        row for row in _rows_of(path, digest) if all(row.get(name) == value for name, value in parts["row"].items())
    ]
    if len(found) != 1 or not found[0].get(parts["column"]):
        return {}, f"the file has no such cell ({len(found)} such rows)"
    return found[0], ""


def printed(cell: str, sha256: str) -> tuple[str, str]:
    """What a raw cell prints and, of a number, its unit as printed; both empty if the file is not the recorded one."""
    row, _ = _row(cell, sha256)
    text = row.get(cells.parse(cell)["column"], "")
    return text, (row.get("unit") or "") if text.lstrip("+-")[:1].isdigit() else ""


@dataclass(frozen=True)
class Record:
    """The quantities of one run with their raw cells, the commits of their methods, and the register of sources."""

    q: Quantities
    entries: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, Mapping[str, str]]
    verdicts: Mapping[str, Mapping[str, str]]

    @classmethod
    def of_entries(
        cls,
        entries: Mapping[str, Mapping[str, Any]],
        sources: Mapping[str, Mapping[str, str]],
        verdicts: Iterable[Mapping[str, str]] = (),
    ) -> "Record":
        """What `Quantities.entries` gives, with the register by source id and the rows of verdicts.csv.

        Raises KeyError, TypeError or ValueError for entries that it cannot have given.
        """
        judged = {f"claim.{row['article']}.{row['claim_id']}": row for row in verdicts}
        record = cls(Quantities.of_entries(entries), entries, sources, judged)
        for key, item in record.q.items():
            if item.unit not in units.UNITS or not all(set(cell) >= CELL_PARTS for cell in record.raw_inputs(key)):
                raise ValueError(f"{key} is not a whole quantity")
        return record

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """The record that a run left in `folder`. Raises InputError where there is none, or a damaged one."""
        reading = register = folder / "tables" / "sources.csv"
        try:
            with register.open(encoding="utf-8", newline="") as file:
                sources = {
                    row["source_id"]: {name: row[name] or "" for name in SOURCE_PARTS} for row in csv.DictReader(file)
                }
            reading = folder / "verdicts.csv"
            with reading.open(encoding="utf-8", newline="") as file:
                verdicts = list(csv.DictReader(file))
            reading = folder / "quantities.json"
            return cls.of_entries(json.loads(reading.read_text(encoding="utf-8")), sources, verdicts)
        except OSError as problem:
            raise InputError(
                paths.shown(folder), f"holds no finished run ({problem.strerror})", "Name a run folder, or `make run`"
            ) from problem
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error) as problem:
            do = "Restore it with git, or make a new run with `make run`"
            raise InputError(paths.shown(reading), "is damaged or of another version", do) from problem

    def named(self, key: str) -> list[str]:
        """The quantities that `key` names: itself, or what the verdict on a claim rests on.

        A claim is named `claim.<article>.<id>`. Raises InputError with the nearest keys for one that is
        not there.
        """
        if key in self.q:
            return [key]
        if key in self.verdicts:
            return [name for name in self.verdicts[key]["evidence"].split("; ") if name]
        known = [*self.q, *self.verdicts]
        parts = [name for name in known if key and key in name]
        near = list(dict.fromkeys([*difflib.get_close_matches(key, known, n=3), *parts]))[:5]
        do = f"Nearest: {', '.join(near)}" if near else "See quantities.json for the keys"
        raise InputError(f"quantity {key!r}", "is not in this run", do)

    def raw_inputs(self, key: str) -> list[Mapping[str, Any]]:
        """The raw cells that a quantity takes directly."""
        return [item for item in self.entries[key]["inputs"] if not isinstance(item, str)]

    def behind(self, key: str) -> list[str]:
        """`key` and every quantity it rests on, each once, the nearest first."""
        found, seen = [key], {key}
        for name in found:
            fresh = [item for item in self.q[name].inputs if not cells.is_address(item) and item not in seen]
            found += fresh
            seen.update(fresh)
        return found

    def source_ids(self, key: str) -> list[str]:
        """Sources of all raw cells behind a quantity, those that print the same figure included."""
        raw = [cell for name in self.behind(key) for cell in self.raw_inputs(name)]
        return sorted({source for cell in raw for source in (cell["source_id"], *cell["also"])})

    def method(self, key: str) -> str:
        """How a quantity was made: the function at its commit, or that it is as printed.

        A partial function shows the arguments it was given.
        """
        function, colon, words = self.q[key].method.removeprefix(f"{__package__}.").partition(": ")
        commit = self.entries[key].get("commit", "")
        return f"{function}{f' at {commit}' if commit else ''}{colon}{words}"

    def as_data(self, key: str) -> dict[str, Any]:
        """The whole chain as plain data: the quantities, raw cells and sources behind `key`, each once."""
        names = list(dict.fromkeys(name for start in self.named(key) for name in self.behind(start)))
        raw = {cell["cell"]: (cell, self.q[name]) for name in names for cell in self.raw_inputs(name)}
        described = {}
        for name in names:
            entry = {part: value for part, value in self.entries[name].items() if part not in ("inputs", "step")}
            described[name] = entry | {"text": self.q[name].text, "inputs": list(self.q[name].inputs)}
        spelled = {}
        for address, (cell, item) in raw.items():
            value, unit = printed(address, cell["sha256"])
            trust = {"edition": self.edition(item.key), "confidence": item.confidence}
            spelled[address] = {**cell, "printed": value, "unit": unit, **trust}
        behind = sorted({source for name in self.named(key) for source in self.source_ids(name)})
        return {
            "key": key,
            **({"verdict": self.verdicts[key]} if key in self.verdicts else {}),
            "quantities": described,
            "cells": spelled,
            "sources": {name: self.sources[name] for name in behind if name in self.sources},
        }

    def tree(self, key: str) -> "Tree":
        """The chain as a tree down to the raw cells; what was shown above is named again, not repeated."""
        from rich.text import Text
        from rich.tree import Tree

        shown: set[str] = set()
        told_of: set[str] = set()

        def branch(name: str, parent: "Tree | None" = None) -> "Tree":
            item = self.q[name]
            again = name in shown and bool(item.inputs)
            line = Text.assemble((name, "bold"), f"  {item.text}  ", (item.label, "dim"))
            if again:
                line.append("  (see above)", "dim")
            else:
                edition = self.edition(name)
                trust = [f"edition {edition}" if edition else "", f"{item.confidence} confidence"]
                notes = [f"caveats: {', '.join(item.caveats)}" if item.caveats else ""]
                told = " · ".join(part for part in (self.method(name), *trust, *notes) if part)
                line.append(f"\n{told}", "cyan")
            node = parent.add(line) if parent else Tree(line)
            if not again:
                shown.add(name)
                for cell in self.raw_inputs(name):
                    node.add(Text(self.cell_words(cell, told_of)))
                for other in item.inputs:
                    if not cells.is_address(other):
                        branch(other, node)
            return node

        names = self.named(key)
        if key not in self.verdicts:
            return branch(key)
        row = self.verdicts[key]
        root = Tree(
            Text.assemble((key, "bold"), f"  {row['verdict']}  ", (f"{row['subject']}, {row['measure']}", "dim"))
        )
        told = f"stated {row['stated']}" + (f" · computed {row['computed']}" if row["computed"] else "")
        root.add(Text("\n".join(part for part in (told, row["caveat"]) if part)))
        for name in names:
            branch(name, root)
        return root

    def edition(self, key: str) -> str:
        """The edition that a quantity stands in; of a figure without one, such as a rate, its raw file's."""
        of_file = next((Path(cell["file"]).parent.name for cell in self.raw_inputs(key)), "")
        return self.q[key].edition or of_file

    def cell_words(self, cell: Mapping[str, Any], told: set[str] | None = None) -> str:
        """A raw cell in words: what it prints, where it stands, the file's hash, and who printed it.

        Files and sources in `told` are named, not described again; the cell's own are put into it.
        """
        told = set() if told is None else told
        found, missing = _row(cell["cell"], cell["sha256"])
        row = ", ".join(f"{name} {text}" for name, text in cell["row"].items() if text)
        holds = "holds, computed by the collector," if found.get("is_derived") == "1" else "prints"
        stated = missing or f"{holds} {' '.join(printed(cell['cell'], cell['sha256']))}".rstrip()
        lines = [f"data/raw/{cell['file']}, row {row}, column {cell['column']}: {stated}"]
        if cell["file"] not in told:
            lines.append(f"sha256 {cell['sha256'][-64:]}")
        for said, sources in (("", [cell["source_id"]]), ("printed alike by ", cell["also"])):
            lines += [f"{said}{self.source_words(source)}" for source in sources if source not in told]
            again = [source for source in sources if source in told]
            if again:
                lines.append(f"{said}{', '.join(again)} (see above)")
        told |= {cell["file"], cell["source_id"], *cell["also"]}
        return "\n".join(lines)

    def source_words(self, source_id: str) -> str:
        """A source in words: title, publisher, date, kind and address."""
        row = self.sources.get(source_id)
        if row is None:
            return f"{source_id}: not in the register of sources"
        date = row["published_on"] or f"undated, read {row['accessed']}"
        return f"{source_id}: {row['title']}; {row['publisher']}, {date} ({row['source_kind']}); {row['url']}"
