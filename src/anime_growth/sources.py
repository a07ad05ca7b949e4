"""Raw figures as printed, refused unless they are what their Data Package says they are.

Every folder data/raw/<source>/<edition>/ holds CSV files and a `datapackage.json` with, for each
file, its sha256, size, columns, types, the unit of every measure and the columns that identify a
row. A table may be spread over several editions of a source: `read` joins them.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anime_growth import paths, units
from anime_growth.errors import InputError

PACKAGE = "datapackage.json"


class FieldSpec(BaseModel):
    """One column: its type, and its unit or units where it is a measure."""

    name: str
    type: str
    description: str = ""
    unit: str | list[str] | None = None
    constraints: dict[str, Any] = {}

    @property
    def units(self) -> set[str]:
        """The unit labels that the column may hold."""
        return set() if self.unit is None else {self.unit} if isinstance(self.unit, str) else set(self.unit)


class TableSchema(BaseModel):
    """The columns of a file, and those that together identify a row."""

    model_config = ConfigDict(populate_by_name=True)
    fields: list[FieldSpec]
    primary_key: list[str] = Field(alias="primaryKey")


class Resource(BaseModel):
    """One file of a package."""

    model_config = ConfigDict(populate_by_name=True)
    name: str
    path: str
    bytes: int
    hash: str
    table: TableSchema = Field(alias="schema")


class Package(BaseModel):
    """The parts of a Data Package that this study relies on."""

    name: str
    title: str
    source: str
    edition: str
    accessed: str
    licenses: list[dict[str, str]]
    sources: list[dict[str, str]]
    resources: list[Resource]


@dataclass(frozen=True)
class RawFile:
    """A raw CSV file together with what its package promises about it."""

    folder: Path
    package: Package
    resource: Resource

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.resource.path

    @property
    def reference(self) -> str:
        """The file's path below data/raw, which is how quantities name it."""
        return self.path.relative_to(paths.raw()).as_posix()

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Checked rows [typed as declared] plus `raw_line` and `raw_row`, the row's address."""
        content = self._read_checked()
        frame = self._parse(content)
        return self._typed(frame)

    def _read_checked(self) -> bytes:
        try:
            content = self.path.read_bytes()
        except OSError as problem:
            raise InputError(
                paths.shown(self.path),
                f"cannot be read ({problem.strerror})",
                f"Restore it with `git checkout -- {paths.shown(self.path)}`",
            ) from problem
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if digest != self.resource.hash or len(content) != self.resource.bytes:
            raise InputError(
                paths.shown(self.path),
                f"field hash: the file is not the one its {PACKAGE} describes "
                f"({len(content)} bytes, {digest[:18]}…, promised {self.resource.bytes} bytes, "
                f"{self.resource.hash[:18]}…)",
                "Raw figures are never edited: restore the file, or put a new reading into a new "
                "edition folder as CONTRIBUTING.md shows",
            )
        return content

    def _parse(self, content: bytes) -> pd.DataFrame:
        try:
            frame = pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False, encoding="utf-8")
        except (ValueError, UnicodeDecodeError) as problem:
            raise InputError(
                paths.shown(self.path), f"is not a CSV file in UTF-8 ({problem})", "Save it as one"
            ) from problem
        declared = [field.name for field in self.resource.table.fields]
        if list(frame.columns) != declared:
            missing = [name for name in declared if name not in frame.columns]
            extra = [name for name in frame.columns if name not in declared]
            raise InputError(
                paths.shown(self.path),
                f"columns differ from {PACKAGE} (missing: {', '.join(missing) or 'none'}; "
                f"undeclared: {', '.join(extra) or 'none'}; or their order)",
                "Make the file and its package agree",
            )
        frame["raw_line"] = range(2, len(frame) + 2)
        return frame

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        key = self.resource.table.primary_key
        addresses = [
            f"{self.reference}?{urlencode(dict(zip(key, row, strict=True)))}"
            for row in frame[key].itertuples(index=False)
        ]
        for field in self.resource.table.fields:
            column = frame[field.name]
            if field.constraints.get("required"):
                self._refuse_first(
                    frame, column.str.strip() == "", field.name, "is empty", "Fill it in from the source"
                )
            if field.units and "unit" in frame.columns:
                self._check_units(frame, field)
            if field.type in ("integer", "number"):
                frame[field.name] = self._numbers(frame, field)
        frame["raw_row"] = addresses
        self._refuse_first(
            frame,
            frame.duplicated(key, keep="first"),
            ", ".join(key),
            "repeats a row that is already there",
            "Keep one row, or give the second reading an edition of its own",
        )
        return frame

    def _check_units(self, frame: pd.DataFrame, field: FieldSpec) -> None:
        """Hold the unit column to the units that the package declares for the measure `value`."""
        for label in sorted(field.units):
            units.from_raw(label, f"{paths.shown(self.folder / PACKAGE)}, field {field.name}")
        if field.name.endswith("_pct"):
            return  # the unit column speaks of the money column next to it
        for line, label in zip(frame["raw_line"], frame["unit"], strict=True):
            units.from_raw(label, f"{paths.shown(self.path)}, row {line}, field unit")
        self._refuse_first(
            frame,
            ~frame["unit"].isin(sorted(field.units)),
            "unit",
            f"is not the unit that {PACKAGE} declares for {field.name} ({' or '.join(sorted(field.units))})",
            "Print the figure in its declared unit, or declare the unit",
        )

    def _numbers(self, frame: pd.DataFrame, field: FieldSpec) -> pd.Series:
        text = frame[field.name].str.strip()
        numbers = pd.to_numeric(text.where(text != ""), errors="coerce")
        bad = numbers.isna() & (text != "")
        if field.type == "integer":
            bad |= numbers.notna() & (numbers % 1 != 0)
        self._refuse_first(
            frame, bad, field.name, f"is not {'a whole number' if field.type == 'integer' else 'a number'}",
            "Type the figure as digits with a decimal point, without separators or words",
        )  # fmt: skip
        return numbers.astype("Int64") if field.type == "integer" else numbers.astype(float)

    def _refuse_first(self, frame: pd.DataFrame, bad: pd.Series, field: str, what: str, do: str) -> None:
        """Raise for the first row where `bad` holds, naming file, row, field and content."""
        if not bad.any():
            return
        row = frame[bad.to_numpy()].iloc[0]
        names = [name for name in field.split(", ") if name in frame.columns]
        content = ", ".join(str(row[name]) for name in names)
        raise InputError(f"{paths.shown(self.path)}, row {row['raw_line']}, field {field}", f"{content!r} {what}", do)


def raw_files() -> list[RawFile]:
    """Every raw file of every package, ordered by its path."""
    files = []
    for path in sorted(paths.raw().glob(f"**/{PACKAGE}")):
        try:
            package = Package.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as problem:
            first = problem.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the file"
            raise InputError(
                f"{paths.shown(path)}, field {field}",
                first["msg"],
                "Compare it with the package of another source",
            ) from problem
        files += [RawFile(path.parent, package, resource) for resource in package.resources]
    if not files:
        raise InputError(
            paths.shown(paths.raw()), "holds no raw figures", "Clone the repository again, or set ANIME_GROWTH_HOME"
        )
    return files


def read(table: str) -> pd.DataFrame:
    """All rows of the raw `table`, over all editions of its source, in the order of the files.

    Columns are typed as declared; `raw_line` counts the header as row 1; `raw_row` is the address
    of the row (see `cell`). Raises InputError naming file, row and field.
    """
    files = [file for file in raw_files() if file.resource.name == table]
    if not files:
        known = ", ".join(sorted({file.resource.name for file in raw_files()}))
        raise InputError("data/raw", f"there is no table {table!r}", f"Tables: {known}")
    return pd.concat([file.rows for file in files], ignore_index=True)


def cell(raw_row: str, column: str) -> str:
    """Address of one raw cell: `<file below data/raw>?<key>=<value>&…#<column>`."""
    return f"{raw_row}#{column}"


def parse_cell(address: str) -> dict[str, Any]:
    """The parts of a cell's address.

    >>> parse_cell("aja/2025/aja_market_best.csv?year=2024#broad_total")
    {'file': 'aja/2025/aja_market_best.csv', 'row': {'year': '2024'}, 'column': 'broad_total'}
    """
    file_and_row, column = address.rsplit("#", 1)
    file, row = file_and_row.split("?", 1)
    return {"file": file, "row": dict(parse_qsl(row, keep_blank_values=True)), "column": column}


def describe(folder: Path) -> dict[str, Any]:
    """A draft `datapackage.json` for the CSV files in `folder`, for a person to complete.

    Columns, types, units and keys are taken from the newest package that holds a table of the same
    name, so that a new edition says nothing twice; hashes and sizes are measured.
    """
    known = {file.resource.name: file for file in raw_files() if file.folder.resolve() != folder.resolve()}
    resources, model = [], None
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in known:
            raise InputError(
                paths.shown(path), "no package holds a table of this name",
                f"Name it like one of {', '.join(sorted(known))}, or write its {PACKAGE} by hand",
            )  # fmt: skip
        model = known[path.stem]
        content = path.read_bytes()
        template = json.loads((model.folder / PACKAGE).read_text(encoding="utf-8"))
        resource = next(item for item in template["resources"] if item["name"] == path.stem)
        resources.append(
            {
                **resource,
                "path": path.name,
                "bytes": len(content),
                "hash": "sha256:" + hashlib.sha256(content).hexdigest(),
            }
        )
    if model is None:
        raise InputError(paths.shown(folder), "holds no CSV file", "Put the new edition's figures there first")
    template = json.loads((model.folder / PACKAGE).read_text(encoding="utf-8"))
    return {
        **template,
        "name": "-".join(folder.parts[-2:]),
        "edition": folder.name,
        "accessed": "YYYY-MM-DD",
        "resources": resources,
    }
