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
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_growth import cells, paths
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities, Quantity

if TYPE_CHECKING:
    import pandas as pd
    from rich.tree import Tree

CHANGED = "+changes"


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


def commits() -> dict[str, str]:
    """Module -> the commit that last changed it, with `+changes` where the file differs from it.

    Empty outside a clone, as in an installed package.
    """
    package = Path(__file__).parent
    log = _git(package, "log", "--format=commit %h", "--abbrev=12", "--name-only", "--", ".")
    changed = {Path(line[3:]).stem for line in _git(package, "status", "--porcelain", "--", ".")}
    found: dict[str, str] = {}
    commit = ""
    for line in log:
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.endswith(".py"):
            found.setdefault(Path(line).stem, commit)
    return {
        f"{__package__}.{name}": commit + (CHANGED if name in changed else "") for name, commit in sorted(found.items())
    }


def _git(folder: Path, *arguments: str) -> list[str]:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()]


@cache
def _rows_of(file: str) -> tuple[str, list[dict[str, str]]]:
    """sha256 and rows of a raw file; nothing of either where it is missing."""
    try:
        content = (paths.raw() / file).read_bytes()
    except OSError:
        return "", []
    return hashlib.sha256(content).hexdigest(), list(csv.DictReader(content.decode("utf-8").splitlines()))


def printed(cell: str, sha256: str) -> tuple[str, str]:
    """What a raw cell prints and its unit as printed; both empty if the file is not the recorded one."""
    parts = cells.parse(cell)
    digest, rows = _rows_of(parts["file"])
    if digest != sha256.removeprefix("sha256:"):
        return "", ""
    row = next((row for row in rows if all(row.get(name) == value for name, value in parts["row"].items())), {})
    return row.get(parts["column"], ""), row.get("unit", "")


@dataclass(frozen=True)
class Record:
    """The quantities of one run with their raw cells, the commits of their methods, and the register of sources."""

    q: Quantities
    entries: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, Mapping[str, str]]

    @classmethod
    def of_entries(cls, entries: Mapping[str, Mapping[str, Any]], sources: Mapping[str, Mapping[str, str]]) -> "Record":
        """What `Quantities.entries` gives, with the register by source id."""
        return cls(Quantities.of_entries(entries), entries, sources)

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """The record that a run left in `folder`. Raises InputError where there is none."""
        try:
            entries = json.loads((folder / "quantities.json").read_text(encoding="utf-8"))
            with (folder / "tables" / "sources.csv").open(encoding="utf-8", newline="") as register:
                sources = {row["source_id"]: row for row in csv.DictReader(register)}
            return cls.of_entries(entries, sources)
        except OSError as problem:
            raise InputError(
                paths.shown(folder), f"holds no finished run ({problem.strerror})", "Name a run folder, or `make run`"
            ) from problem
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            where = paths.shown(folder / "quantities.json")
            raise InputError(where, "is damaged", "Restore it with git, or make a new run with `make run`") from problem

    def quantity(self, key: str) -> Quantity:
        """The quantity `key`. Raises InputError naming the nearest keys for one that is not there."""
        if key not in self.q:
            parts = [name for name in self.q if key and key in name]
            near = list(dict.fromkeys([*difflib.get_close_matches(key, self.q, n=3), *parts]))[:5]
            do = f"Nearest: {', '.join(near)}" if near else "See quantities.json for the keys"
            raise InputError(f"quantity {key!r}", "is not in this run", do)
        return self.q[key]

    def raw_inputs(self, key: str) -> list[Mapping[str, Any]]:
        """The raw cells that a quantity takes directly."""
        return [item for item in self.entries[key]["inputs"] if not isinstance(item, str)]

    def behind(self, key: str) -> list[str]:
        """`key` and every quantity it rests on, each once, the nearest first."""
        found = [key]
        for name in found:
            found += [item for item in self.q[name].inputs if not cells.is_address(item) and item not in found]
        return found

    def source_ids(self, key: str) -> list[str]:
        """Sources of all raw cells behind a quantity, those that print the same figure included."""
        raw = [cell for name in self.behind(key) for cell in self.raw_inputs(name)]
        return sorted({source for cell in raw for source in (cell["source_id"], *cell["also"])})

    def method(self, key: str) -> str:
        """How a quantity was made: the function at its commit, or that it is as printed.

        A partial function shows the arguments it was given.
        """
        commit = self.entries[key].get("commit", "")
        return f"{self.q[key].method.removeprefix(f'{__package__}.')}{f' at {commit}' if commit else ''}"

    def as_data(self, key: str) -> dict[str, Any]:
        """The whole chain as plain data: the quantities, raw cells and sources behind `key`, each once."""
        names = self.behind(key) if self.quantity(key) else []
        raw = {cell["cell"]: cell for name in names for cell in self.raw_inputs(name)}
        described = {}
        for name in names:
            entry = {part: value for part, value in self.entries[name].items() if part not in ("inputs", "step")}
            described[name] = entry | {"text": self.q[name].text, "inputs": list(self.q[name].inputs)}
        spelled = {}
        for address, cell in raw.items():
            value, unit = printed(address, cell["sha256"])
            spelled[address] = {**cell, "printed": value, "unit": unit}
        known = {source for cell in raw.values() for source in (cell["source_id"], *cell["also"])}
        return {
            "key": key,
            "quantities": described,
            "cells": spelled,
            "sources": {name: self.sources[name] for name in sorted(known) if name in self.sources},
        }

    def tree(self, key: str) -> "Tree":
        """The chain as a tree down to the raw cells; what was shown above is named again, not repeated."""
        from rich.text import Text
        from rich.tree import Tree

        shown: set[str] = set()

        def branch(name: str, parent: "Tree | None" = None) -> "Tree":
            item = self.q[name]
            again = name in shown and bool(item.inputs)
            line = Text.assemble((name, "bold"), f"  {item.text}  ", (item.label, "dim"))
            if again:
                line.append("  (see above)", "dim")
            else:
                trust = [f"edition {item.edition}" if item.edition else "", f"{item.confidence} confidence"]
                notes = [f"caveats: {', '.join(item.caveats)}" if item.caveats else ""]
                told = " · ".join(part for part in (self.method(name), *trust, *notes) if part)
                line.append(f"\n{told}", "cyan")
            node = parent.add(line) if parent else Tree(line)
            if not again:
                shown.add(name)
                for cell in self.raw_inputs(name):
                    node.add(Text(self.cell_words(cell)))
                for other in item.inputs:
                    if not cells.is_address(other):
                        branch(other, node)
            return node

        self.quantity(key)
        return branch(key)

    def cell_words(self, cell: Mapping[str, Any]) -> str:
        """A raw cell in words: what it prints, where it stands, the file's hash, and who printed it."""
        value, unit = printed(cell["cell"], cell["sha256"])
        row = ", ".join(f"{name} {text}" for name, text in cell["row"].items() if text)
        stated = f"prints {value} {unit}".rstrip() if value else "the file is no longer the one that was read"
        lines = [
            f"data/raw/{cell['file']}, row {row}, column {cell['column']}: {stated}",
            f"sha256 {cell['sha256'][-64:]}",
        ]
        lines += [self.source_words(cell["source_id"])]
        if cell["also"]:
            lines.append(f"printed alike by {', '.join(cell['also'])}")
        return "\n".join(lines)

    def source_words(self, source_id: str) -> str:
        """A source in words: title, publisher, date, kind and address."""
        row = self.sources.get(source_id)
        if row is None:
            return source_id
        told = f"{row['title']}; {row['publisher']}, {row['published_on']} ({row['source_kind']})"
        return f"{source_id}: {told}; {row['url']}"
