"""The results as a Data Package: datapackage.json says of every table and of all drawn data what they are.

Units and descriptions come from the codebook, terms and sources from the packages of the raw figures; types
are read off the files. Any tool that knows Data Packages can check and load a run by it, and `api` does.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from importlib.metadata import metadata
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from anime_growth import __version__, codebook, paths, sources, units
from anime_growth.codebook import Column
from anime_growth.errors import InputError
from anime_growth.sources import PACKAGE, RawFile
from anime_growth.words import one_line

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
LICENCE = {
    "name": "MIT",
    "title": "MIT licence: the text and what is computed",
    "path": "https://spdx.org/licenses/MIT",
}
QUANTITIES = "quantities"
RESTORE = "Restore it, or make a new run with `make run`"
# What the register of sources is called where the packages of the raw figures point to it.
REGISTER = {"title": "Register of sources", "path": "tables/sources.csv"}
# Units of which there are no parts.
WHOLE_UNITS = (units.YEAR.name, units.RANK.name, units.COUNT.name)
WHOLE = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
Type = Literal["string", "integer", "number", "boolean", "date"]


class _Column(BaseModel):
    name: str
    type: Type
    unit: str | list[str] = []


class _Schema(BaseModel):
    fields: list[_Column]


class _Resource(BaseModel):
    name: str
    path: str
    hash: str
    description: str
    sources: list[dict[str, Any]] = []
    table: _Schema = Field(_Schema(fields=[]), alias="schema")


class _Package(BaseModel):
    """The parts of a descriptor that loading relies on."""

    sources: list[dict[str, Any]]
    resources: list[_Resource]


def write(folder: Path) -> None:
    """Describe the results in `folder`, a run or the published ones, in its datapackage.json.

    Every CSV file is a resource, so it is written after them. Raises InputError for a file that is no table, and
    for a table or column that the codebook does not know.
    """
    text = json.dumps(describe(folder), indent=1, ensure_ascii=False)
    (folder / PACKAGE).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """What `write` said of the results in `folder`. Raises InputError where there is nothing that can be read."""
    path = folder / PACKAGE
    with readable(path):
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as problem:
            do = f"Name the folder of a run, or of published results: one with a {PACKAGE}"
            raise InputError(paths.shown(folder), f"has no {PACKAGE}", do) from problem
        _Package.model_validate_json(text)
        described: dict[str, Any] = json.loads(text)
    return described


def content(folder: Path, resource: Mapping[str, Any]) -> bytes:
    """What the file of a resource that `read` gave holds.

    Raises InputError for a file that cannot be read, lies outside `folder`, or is not as `write` found it.
    """
    path = folder / resource["path"]
    with readable(path):
        if not path.resolve().is_relative_to(folder.resolve()):
            where = f"{paths.shown(folder / PACKAGE)}, resource {resource['name']!r}"
            raise InputError(where, f"lies outside the folder, at {resource['path']!r}", RESTORE)
        found = path.read_bytes()
    if _hash(found) != resource["hash"]:
        raise InputError(paths.shown(path), f"is not the file that {PACKAGE} promises by its hash", RESTORE)
    return found


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one line, an InputError, what makes a file of results unreadable inside the `with` block."""
    try:
        yield
    # A file may hold anything: each of these has been met, and none tells a reader which file it was.
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError) as problem:
        raise InputError(paths.shown(path), f"cannot be read ({_reason(problem)})", RESTORE) from problem


def _reason(problem: Exception) -> str:
    if isinstance(problem, ValidationError):
        first = problem.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    if isinstance(problem, LookupError):
        return f"it lacks {one_line(problem)}"
    return one_line((isinstance(problem, OSError) and problem.strerror) or problem)


def describe(folder: Path) -> dict[str, Any]:
    """The descriptor of the results in `folder`, by the Data Package standard, version 2."""
    raw = sources.raw_files()
    about = metadata("anime-growth")
    # In the order of a reader: tables first, then verdicts and what publishing adds, then what figures draw.
    files = [*sorted(folder.glob("tables/*.csv")), *sorted(folder.glob("*.csv")), *sorted(folder.glob("figures/*.csv"))]
    return {
        "$schema": PROFILE,
        "name": "anime-growth",
        "title": about["Summary"],
        "version": __version__,
        "licenses": [LICENCE, *_each_once(licence for file in raw for licence in file.package.licenses)],
        "sources": _sources(raw),
        "resources": [
            *(_table(path, folder, raw) for path in files),
            *(_quantities(path, folder) for path in folder.glob(f"{QUANTITIES}.json")),
        ],
    }


def _quantities(path: Path, folder: Path) -> dict[str, Any]:
    return {
        **_file(path, folder, path.read_bytes(), "json", "application/json"),
        "description": "every named number with its unit, method and inputs, down to the raw cells",
    }


def _table(path: Path, folder: Path, raw: Iterable[RawFile]) -> dict[str, Any]:
    """A CSV file: what a row is, its columns with types and units, and what it was cleaned from."""
    content = path.read_bytes()
    name = path.relative_to(folder).as_posix()
    header, *rows = [*csv.reader(StringIO(content.decode("utf-8"), newline=""))] or [[]]
    if not header or any(len(row) != len(header) for row in rows):
        raise InputError(paths.shown(path), "is no table: its rows differ in length", "Make a new run with `make run`")
    row_is, columns = codebook.of_file(name, header)
    cells = {column: [row[place] for row in rows] for place, column in enumerate(header)}
    origin = codebook.cleaned_from(path.stem) if path.parent.name == "tables" else None
    own = _sources([file for file in raw if file.resource.name == origin])
    return {
        **_file(path, folder, content, "csv", "text/csv"),
        "description": f"a row is {row_is}",
        **({"sources": own} if own else {}),
        "schema": {"fields": [_field(column, columns[column], cells) for column in header]},
    }


def _file(path: Path, folder: Path, content: bytes, kind: str, media: str) -> dict[str, Any]:
    place = path.relative_to(folder)
    # A figure may be named like a table that it draws.
    name = (place if place.parts[0] == "figures" else Path(place.name)).with_suffix("").as_posix()
    return {
        "name": name,
        "path": place.as_posix(),
        "type": "table" if kind == "csv" else "json",
        "format": kind,
        "mediatype": media,
        "encoding": "utf-8",
        "bytes": len(content),
        "hash": _hash(content),
    }


def _hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _field(name: str, column: Column, cells: Mapping[str, list[str]]) -> dict[str, Any]:
    """A column; where it may have several units, those that the column `unit` of this very file names."""
    found = column.unit
    if len(found) > 1 and "unit" in cells:
        beside = dict.fromkeys(cells["unit"])
        found = tuple(unit for unit in beside if unit in units.UNITS) or found
    unit = {"unit": found[0] if len(found) == 1 else list(found)} if found else {}
    return {"name": name, "type": _type(cells[name], found), "description": column.means, **unit}


def _type(cells: Iterable[str], unit: tuple[str, ...]) -> Type:
    """The type of a column by its unit and by all that it holds; empty cells count as missing.

    Without a unit digits alone may be a label, such as an edition, and stay text.

    >>> _type(["2002", ""], ("year",)), _type(["1", "2"], ("%",)), _type(["2024", ""], ()), _type(["0.5"], ())
    ('integer', 'number', 'string', 'number')
    """
    filled = [cell for cell in cells if cell]
    if unit and set(unit) <= set(WHOLE_UNITS) and all(map(WHOLE.fullmatch, filled)):
        return "integer"
    if unit and all(map(NUMBER.fullmatch, filled)):
        return "number"
    if not filled or unit:
        return "string"
    if set(filled) <= {"True", "False"}:
        return "boolean"
    if all(map(_is_date, filled)):
        return "date"
    is_number = all(map(NUMBER.fullmatch, filled)) and not all(map(WHOLE.fullmatch, filled))
    return "number" if is_number else "string"


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2025-10-30") and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _sources(raw: Iterable[RawFile]) -> list[dict[str, str]]:
    """What raw files are read from, each once; the register of sources is among the tables here."""
    named = _each_once(source for file in raw for source in file.package.sources)
    own = [source for source in named if not source["title"].startswith(REGISTER["title"])]
    return [*own, REGISTER] if own else []


def _each_once(items: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return list({json.dumps(item): item for item in items}.values())
