"""Raw figures as printed, refused unless they are what their Data Package says they are.

Every folder data/raw/<source>/<edition>/ holds CSV files and a `datapackage.json` with, for each
file, its sha256, size, columns, types, the unit of every measure and the columns that identify a
row. A table may be spread over several editions of a source: `read` joins them.
"""

import csv
import hashlib
import json
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anime_growth import cells, paths, units
from anime_growth.errors import InputError

PACKAGE = "datapackage.json"
# The table for series that others add, and the package to draft its own from.
OWN_SERIES = "annual_series"
OWN_TEMPLATE = Path(__file__).parent / "templates" / "annual_series.json"
# The claims of an article are our own words, not figures as printed: they need no package of their own.
CLAIMS = "claims"
CLAIMS_TEMPLATE = Path(__file__).parent / "templates" / "claims.json"
# No figure of this study comes near; a larger one is a slip, or infinite.
LARGEST = 1e12


class FieldSpec(BaseModel):
    """One column: its type, and its unit or units where it is a measure."""

    name: str
    type: str
    description: str = ""
    unit: str | list[str] | None = None
    constraints: dict[str, Any] = {}

    @model_validator(mode="after")
    def _measures_have_units(self) -> "FieldSpec":
        if self.type == "number" and not self.units:
            raise ValueError(f"field {self.name} is a number without a unit")
        return self

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
    source: str = Field(min_length=1)
    edition: str = Field(min_length=1)
    accessed: date | None
    licenses: list[dict[str, str]] = Field(min_length=1)
    sources: list[dict[str, str]] = Field(min_length=1)
    resources: list[Resource] = Field(min_length=1)


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
                f"the file is not the one that its {PACKAGE} promises by hash "
                f"({len(content)} bytes, {digest[:18]}…, promised {self.resource.bytes} bytes, "
                f"{self.resource.hash[:18]}…)",
                "Raw figures are never edited: restore the file, or put a new reading into a new "
                "edition folder as CONTRIBUTING.md shows",
            )
        return content

    def _parse(self, content: bytes) -> pd.DataFrame:
        shown = paths.shown(self.path)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise InputError(shown, f"is not UTF-8 at byte {problem.start}", "Save it as UTF-8") from problem
        reader = csv.reader(StringIO(text, newline=""))
        header = next(reader, [])
        self._refuse_other_columns(header)
        rows: list[list[str]] = []
        lines: list[int] = []
        while True:
            try:
                row = next(reader, None)
            except csv.Error as problem:
                raise InputError(
                    f"{shown}, row {reader.line_num}", f"is not CSV ({problem})", "Save it as CSV"
                ) from problem
            if row is None:
                break
            if len(row) != len(header):
                raise InputError(
                    f"{shown}, row {reader.line_num}",
                    f"has {len(row)} fields, and {len(header)} are declared",
                    "Remove blank lines, and quote a text that holds a comma",
                )
            rows.append(row)
            lines.append(reader.line_num)
        if not rows:
            raise InputError(shown, "holds no rows below its header", "Restore them, or drop the file's package entry")
        return pd.DataFrame(rows, columns=header, dtype=str).assign(raw_line=lines)

    def _refuse_other_columns(self, header: list[str]) -> None:
        declared = [field.name for field in self.resource.table.fields]
        if header == declared:
            return
        missing = [name for name in declared if name not in header]
        extra = [name for name in header if name not in declared]
        what = [f"missing {', '.join(missing)}"] if missing else []
        what += [f"undeclared {', '.join(extra)}"] if extra else []
        what = what or [f"their order, declared as {', '.join(declared)}"]
        raise InputError(
            paths.shown(self.path), f"columns differ from {PACKAGE}: {'; '.join(what)}", "Make the two agree"
        )

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        key = self.resource.table.primary_key
        if not key or not set(key) <= set(frame.columns):
            raise InputError(
                f"{paths.shown(self.folder / PACKAGE)}, resource {self.resource.name}, field primaryKey",
                f"{key} does not name columns of {self.resource.path}",
                "Name the columns that together identify a row",
            )
        file = self.reference  # worked out once: it asks the disk
        addresses = [
            f"{file}?{urlencode(dict(zip(key, row, strict=True)))}" for row in frame[key].itertuples(index=False)
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
            if field.type == "date":
                bad = (column != "") & ~column.map(_is_date)
                self._refuse_first(frame, bad, field.name, "is not a date", "Write it as 2025-10-30")
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
        for line, label in frame.drop_duplicates("unit")[["raw_line", "unit"]].itertuples(index=False):
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
        bad = (numbers.isna() | (numbers.abs() > LARGEST)) & (text != "")
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


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def raw_files(but: Path | None = None) -> list[RawFile]:
    """Every raw file of every package, ordered by its path; the package `but` is passed over."""
    files = []
    for path in sorted(paths.raw().glob(f"**/{PACKAGE}")):
        if but is not None and path.resolve() == but.resolve():
            continue
        try:
            package = Package.model_validate_json(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, OSError) as problem:
            raise InputError(paths.shown(path), "cannot be read as UTF-8 text", "Restore the file") from problem
        except ValidationError as problem:
            first = problem.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the file"
            raise InputError(
                f"{paths.shown(path)}, field {field}",
                first["msg"],
                "Compare it with the package of another source",
            ) from problem
        files += [RawFile(path.parent, package, resource) for resource in package.resources]
    listed = {file.path for file in files}
    files += [
        _claims(path)
        for path in sorted(paths.raw().glob(f"articles/*/*/{CLAIMS}.csv"))
        if path not in listed and path.is_file()
    ]
    for file in files:
        if not file.path.resolve().is_relative_to(paths.raw().resolve()):
            do = "Put the file itself into a folder of its source and edition"
            raise InputError(paths.shown(file.path), "lies outside data/raw", do)
    if not files:
        raise InputError(
            paths.shown(paths.raw()), "holds no raw figures", "Clone the repository again, or set ANIME_GROWTH_HOME"
        )
    return files


def _claims(path: Path) -> RawFile:
    """The claims of an article without a package of its own, described as all claims are."""
    content = path.read_bytes()
    described = json.loads(CLAIMS_TEMPLATE.read_text(encoding="utf-8"))
    described["resources"][0] |= {"bytes": len(content), "hash": "sha256:" + hashlib.sha256(content).hexdigest()}
    name, edition = path.parent.parts[-2:]
    package = Package.model_validate({**described, "name": f"article-{name}-{edition}", "edition": edition})
    return RawFile(path.parent, package, package.resources[0])


def refuse_unlisted() -> None:
    """Raise InputError for a CSV file under data/raw that no package promises, and nothing would read."""
    listed = {file.path for file in raw_files()}
    for path in sorted(paths.raw().glob("**/*.csv")):
        if path not in listed:
            raise InputError(
                paths.shown(path),
                f"is in no {PACKAGE}",
                f"Draft one with `anime-growth package {paths.shown(path.parent)}`, or remove the file",
            )


def has(table: str) -> bool:
    """Whether any package holds the raw `table`."""
    return any(file.resource.name == table for file in raw_files())


def read(table: str) -> pd.DataFrame:
    """All rows of the raw `table`, over all editions of its source, in the order of the files.

    Columns are typed as declared; `raw_line` counts the header as row 1; `raw_row` is the address
    of the row (see `cell`). Raises InputError naming file, row and field.
    """
    files = [file for file in raw_files() if file.resource.name == table]
    if not files:
        known = ", ".join(sorted({file.resource.name for file in raw_files()}))
        raise InputError("data/raw", f"there is no table {table!r}", f"Tables: {known}")
    rows = pd.concat([file.rows for file in files], ignore_index=True)
    repeated = rows[rows.duplicated(files[-1].resource.table.primary_key)]
    if len(repeated):
        where = place(repeated["raw_row"].iloc[0])
        raise InputError(where, "stands in another raw file as well", "Leave in a new edition only what it adds")
    return rows


def place(address: str) -> str:
    """The address of a raw row or cell in a reader's words.

    >>> place("aja/2025/aja_market_best.csv?year=2024#broad_total")
    'data/raw/aja/2025/aja_market_best.csv, row 24 (year 2024), field broad_total'
    """
    row, _, column = address.partition("#")
    parts = cells.parse(f"{row}#{column}")
    described = ", ".join(f"{key} {value}" for key, value in parts["row"].items())
    rows = pd.concat(file.rows for file in raw_files() if file.reference == parts["file"])
    line = f" {rows.loc[rows['raw_row'] == row, 'raw_line'].iloc[0]}"
    return f"{paths.shown(paths.raw() / parts['file'])}, row{line} ({described})" + (
        f", field {column}" if column else ""
    )


def describe(folder: Path, accessed: str = "") -> dict[str, Any]:
    """A draft `datapackage.json` for the CSV files in `folder`, read on the day `accessed`, for a person to complete.

    Columns, types, units and keys are taken from the newest package that holds a table of the same
    name, so that a new edition says nothing twice, or from the folder's own; hashes and sizes are measured.
    Raises InputError for a folder without CSV files, a table that no package holds, and a day that is none.
    """
    if accessed and not _is_date(accessed):
        raise InputError(f"--accessed {accessed}", "is no day", "Write for example 2026-11-30")
    if not folder.is_dir():
        raise InputError(paths.shown(folder), "is no folder", "Put the new edition's figures there first")
    # The package of another edition comes first; a folder's own serves where there is no other.
    own = folder / PACKAGE
    being_written = own if own.exists() and own.stat().st_size == 0 else None  # by `package ... > datapackage.json`
    files = sorted(raw_files(but=being_written), key=lambda file: file.folder.resolve() != folder.resolve())
    known = {file.resource.name: file.folder / PACKAGE for file in files}
    known.setdefault(OWN_SERIES, OWN_TEMPLATE)
    resources, model = [], None
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in known:
            raise InputError(
                paths.shown(path), "no package holds a table of this name",
                f"Name it like one of {', '.join(sorted(known))}, or write its {PACKAGE} as CONTRIBUTING.md shows",
            )  # fmt: skip
        model = known[path.stem]
        content = path.read_bytes()
        template = json.loads(model.read_text(encoding="utf-8"))
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
    template = json.loads(model.read_text(encoding="utf-8"))
    return {
        **template,
        "name": "-".join(folder.parts[-2:]),
        "edition": folder.name,
        "accessed": accessed or (template["accessed"] if model.resolve() == own.resolve() else "YYYY-MM-DD"),
        "resources": resources,
    }
