"""The codebook: what every named number and every table column is, with its unit and where it comes from.

codebook.yml declares families of quantity keys, tables and columns; a column that a tidy table takes
over from its raw table is described by that table's Data Package and nowhere else. What a run's numbers
rest on is read from the run itself.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from anime_growth import cells, paths, units
from anime_growth.errors import InputError
from anime_growth.languages import say
from anime_growth.trace import Record

if TYPE_CHECKING:
    from anime_growth.sources import FieldSpec

DECLARED = Path(__file__).parent / "codebook.yml"
# data/README.md shows the codebook of the published run between these marks.
SECTION = re.compile(r"(<!-- codebook -->).*?(<!-- /codebook -->)", re.DOTALL)
ANY = "any"
# Two runs agree in a number that is apart by no more than this part of it, unless the codebook states another.
RELATIVE = 1e-6
# More functions than this are named by their module alone.
MOST_FUNCTIONS = 3
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _names(unit: Any) -> Any:
    """One unit, several, or `any` as a tuple of names."""
    if unit == ANY:
        return tuple(units.UNITS)
    names = unit if isinstance(unit, list | tuple) else [unit]
    for name in names:
        if name not in units.UNITS:
            raise ValueError(f"unit {name!r} is unknown; use {ANY} or some of {', '.join(units.UNITS)}")
    return tuple(names)


UnitNames = Annotated[tuple[str, ...], BeforeValidator(_names)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Placeholder(_Strict):
    """What stands in braces in the key of a family."""

    means: str
    pattern: str | None = None
    one_of: list[str] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Placeholder":
        if (self.pattern is None) == (self.one_of is None):
            raise ValueError("give either pattern or one_of")
        try:
            groups = re.compile(self.regex).groups
        except re.error as problem:
            raise ValueError(f"pattern is no regular expression ({problem})") from problem
        if groups:
            raise ValueError("pattern has a capturing group; write (?:…)")
        return self

    @property
    def regex(self) -> str:
        """A regular expression without groups that matches what the placeholder stands for."""
        return f"(?:{'|'.join(map(re.escape, self.one_of))})" if self.one_of else str(self.pattern)


class Family(_Strict):
    """Quantities that differ in series, model or period only."""

    key: str
    unit: UnitNames
    means: str

    @property
    def unit_text(self) -> str:
        """The unit, or those that it may have."""
        return _unit_text(self.unit)


class Group(_Strict):
    """Families under one heading."""

    heading: str
    families: list[Family]


class Column(_Strict):
    """A table column; one without a unit holds words, dates, flags or numbers in several units."""

    means: str
    unit: UnitNames = ()


class Table(_Strict):
    """A table: what a row is, and the function and step that make it, or the raw table it was cleaned from."""

    rows: str
    by: str | None = None
    step: str | None = None
    raw: str | None = None
    columns: dict[str, Column] = {}

    @model_validator(mode="after")
    def _by_in_step(self) -> "Table":
        if (self.by is None) != (self.step is None):
            raise ValueError("by and step go together")
        return self


class DrawnData(_Strict):
    """The data that a figure draws: what a row is, and the columns that no table has."""

    rows: str
    columns: dict[str, Column] = {}


class Tolerance(_Strict):
    """How far apart two runs may be in the numbers of some models, relatively, and why.

    It holds in the families of keys, tables and drawn data that `of` names, or everywhere.
    """

    models: list[str]
    of: list[str] = []
    relative: Annotated[float, Field(gt=RELATIVE, lt=1)]
    reason: str


class Codebook(_Strict):
    """The whole file."""

    placeholders: dict[str, Placeholder]
    quantities: list[Group]
    tables: dict[str, Table]
    columns: dict[str, Column]
    figures: dict[str, DrawnData]
    tolerances: list[Tolerance]

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> "Codebook":
        keys = [family.key for family in self.families]
        used = {name for key in keys for name in _PLACEHOLDER.findall(key)}
        for name in sorted(used - set(self.placeholders)):
            raise ValueError(f"placeholder {{{name}}} is not declared")
        for name in sorted(set(self.placeholders) - used):
            raise ValueError(f"placeholder {{{name}}} stands in no key")
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"family {key} is given twice")
        return self

    @model_validator(mode="after")
    def _tolerances_are_of_something(self) -> "Codebook":
        models = self.placeholders["model"].one_of or []
        families = [family.key for family in self.families]
        for item in self.tolerances:
            for name in (*item.models, *(name for name in item.of if "{" in name)):
                if name not in (*models, *families):
                    raise ValueError(f"tolerance of {name}, which is no model and no family")
        return self

    @property
    def families(self) -> list[Family]:
        """Every family, in the order of the file."""
        return [family for group in self.quantities for family in group.families]

    def regex(self, family: Family) -> str:
        """A regular expression without groups that matches the keys of `family`."""
        parts = _PLACEHOLDER.split(family.key)  # literal, placeholder, literal, …
        return "".join(
            self.placeholders[part].regex if place % 2 else re.escape(part) for place, part in enumerate(parts)
        )


@cache
def read(path: Path = DECLARED) -> Codebook:
    """The declared codebook. Raises InputError naming file and field of an entry that is wrong."""
    try:
        # The parser in C is ten times faster, where it is to be had.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        told = " ".join(str(problem).split())
        raise InputError(path.name, f"is no YAML ({told})", "Compare it with the committed file") from problem
    try:
        return Codebook.model_validate(content)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = _field(first["loc"], content) or "the file"
        what = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(f"{path.name}, field {field}", what, "Its head says what is allowed") from problem


def _field(place: tuple[int | str, ...], content: Any) -> str:
    """Where an entry stands, an item of a list by its key or heading."""
    names = []
    for part in place:
        inside = isinstance(content, list | dict) and (isinstance(part, int) or part in content)
        content = content[part] if inside else None
        named = content if isinstance(part, int) and isinstance(content, dict) else {}
        names.append(str(named.get("key") or named.get("heading") or part))
    return ", ".join(names)


@cache
def _matcher() -> tuple[re.Pattern[str], list[Family]]:
    """One expression with a group for each family."""
    book = read()
    return re.compile("|".join(f"({book.regex(family)})" for family in book.families)), book.families


@lru_cache(maxsize=100_000)
def family_of(key: str) -> Family | None:
    """The family that a quantity's key belongs to, whether or not this run has the quantity; None if it has none.

    >>> family_of("market.overseas.growth.2031").unit
    ('%',)
    >>> family_of("market.overseas.grwoth.2031") is None
    True
    """
    pattern, families = _matcher()
    found = pattern.fullmatch(key)
    return families[found.lastindex - 1] if found and found.lastindex else None


def tolerance_of(key: str) -> float:
    """The relative tolerance for the quantity `key` in two runs.

    >>> tolerance_of("market.overseas.growth.2024"), tolerance_of("trend.overseas.damped_trend.growth")
    (1e-06, 1e-05)
    """
    family = family_of(key)
    return _tolerance(family.key if family else "", frozenset(key.split(".")))


def tolerance_in(table: str, model: str) -> float:
    """The same for the numbers of a row of a table or of drawn data; `model` is the row's, or empty.

    >>> tolerance_in("specifications", "drift"), tolerance_in("specifications", "damped_trend")
    (1e-06, 0.001)
    """
    return _tolerance(table, frozenset([model]))


@lru_cache(maxsize=100_000)
def _tolerance(place: str, names: frozenset[str]) -> float:
    found = [item for item in read().tolerances if names & {*item.models} and (not item.of or place in item.of)]
    return max((item.relative for item in found), default=RELATIVE)


# --- quantities ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class FamilyRow:
    """A family as one run has it.

    `quantities` is how many it has and `example` the key of the last; `sources` maps the ids of all
    sources behind them to their titles, `raw_tables` are the raw tables they rest on, `methods` the
    functions that make them (`as printed` for a raw cell).
    """

    heading: str
    key: str
    unit: str
    means: str
    quantities: int
    example: str
    sources: Mapping[str, str]
    raw_tables: tuple[str, ...]
    methods: tuple[str, ...]


def as_rows(record: Record) -> list[FamilyRow]:
    """The families that a run has, in the order of the codebook.

    `record` holds its quantities with their raw cells spelled out. Raises InputError for a quantity of
    no family.
    """
    by_family: dict[str, list[str]] = {}
    for key in record.q:
        family = family_of(key)
        if family is None:
            raise InputError(f"quantity {key}", "is in no family of the codebook", f"Describe it in {DECLARED.name}")
        by_family.setdefault(family.key, []).append(key)
    origins = _origins(record)
    rows = []
    for group in read().quantities:
        for family in group.families:
            keys = by_family.get(family.key)
            if not keys:
                continue
            tables = {table for key in keys for table in origins[key][0]}
            sources = sorted({source for key in keys for source in origins[key][1]})
            rows.append(
                FamilyRow(
                    group.heading, family.key, family.unit_text, family.means, len(keys), keys[-1],
                    {source: record.sources.get(source, {}).get("title", source) for source in sources},
                    tuple(sorted(tables)), tuple(sorted({_function(record.q[key].method) for key in keys})),
                )
            )  # fmt: skip
    return rows


def _origins(record: Record) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Raw tables and ids of sources behind each quantity, each walked once."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    def of(key: str) -> tuple[frozenset[str], frozenset[str]]:
        if key not in found:
            raw = record.raw_inputs(key)
            behind = [of(name) for name in record.q[key].inputs if not cells.is_address(name)]
            tables = frozenset(Path(cell["file"]).stem for cell in raw).union(*(tables for tables, _ in behind))
            sources = frozenset(source for cell in raw for source in (cell["source_id"], *cell["also"]))
            found[key] = tables, sources.union(*(sources for _, sources in behind))
        return found[key]

    for key in record.q:
        of(key)
    return found


def _function(method: str) -> str:
    """A method without its package, its arguments and its remark.

    >>> _function("anime_growth.arithmetic.cagr_pct(years=22)"), _function("derived by the collector: 1 + 1")
    ('arithmetic.cagr_pct', 'derived by the collector')
    """
    return re.split(r"[:(]", method.removeprefix(f"{__package__}."))[0].strip()


def _unit_text(names: tuple[str, ...]) -> str:
    """Units as readers of the language of now call them."""
    return say("any") if len(names) == len(units.UNITS) else say(" or ").join(map(say, names))


# --- tables -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TableRow:
    """A table: what a row is, and the raw table or the function and step that it comes from."""

    table: str
    rows: str
    source: str


@dataclass(frozen=True)
class ColumnRow:
    """A column of a table; `unit` is empty where it holds words, dates, flags or numbers in several units."""

    table: str
    column: str
    unit: str
    means: str
    source: str


def tables(names: Iterable[str]) -> list[TableRow]:
    """What a row of each table is, and its source. Raises InputError for a table that is not declared."""
    return [TableRow(name, _table(name).rows, _source(name)) for name in names]


def columns(headers: Mapping[str, Iterable[str]]) -> list[ColumnRow]:
    """Every column of the tables in `headers` (table -> its column names; a DataFrame does, too).

    Raises InputError for a table or column that is declared neither here nor in a Data Package.
    """
    return [
        ColumnRow(name, column, _unit_text(found.unit), found.means, _source(name))
        for name, header in headers.items()
        for column in header
        for found in [_column(name, column)]
    ]


def of_file(name: str, header: Iterable[str]) -> tuple[str, dict[str, Column]]:
    """What a row is, and every column, of a CSV file of a run or of the published results.

    `name` is its path in their folder, as in `tables/market.csv` or `figures/backtest.csv`. Raises InputError
    for a table, figure or column that is not declared.
    """
    place, stem = Path(name).parent.name, Path(name).stem
    if place != "figures":
        return _table(stem).rows, {column: _column(stem, column) for column in header}
    if stem not in read().figures:
        raise InputError(f"figure {stem}", "is not in the codebook", f"Describe it in {DECLARED.name}")
    drawn = read().figures[stem]
    return drawn.rows, {column: drawn.columns.get(column) or _drawn(stem, column) for column in header}


def _drawn(figure: str, column: str) -> Column:
    """A column of drawn data that is as in the table of the figure's name, or as in every table."""
    if figure in read().tables:
        return _column(figure, column)
    if column not in read().columns:
        raise InputError(
            f"figure {figure}, column {column}", "is not in the codebook", f"Describe it in {DECLARED.name}"
        )
    return read().columns[column]


def headers(folder: Path) -> dict[str, list[str]]:
    """Column names of every table that a run, or the published folder, holds."""
    files = [*sorted((folder / "tables").glob("*.csv")), *sorted(folder.glob("*.csv"))]
    found = {}
    for file in files:
        with file.open(encoding="utf-8", newline="") as lines:
            found[file.stem] = next(csv.reader(lines), [])
    return found


def _table(name: str) -> Table:
    if name not in read().tables:
        raise InputError(f"table {name}", "is not in the codebook", f"Describe it in {DECLARED.name}")
    return read().tables[name]


def _column(table: str, column: str) -> Column:
    """What is said of a column: for this table, for every table, or in the Data Package of its raw table."""
    found = _table(table).columns.get(column) or read().columns.get(column) or _raw_columns(table).get(column)
    if found is None:
        raise InputError(f"table {table}, column {column}", "is not in the codebook", f"Describe it in {DECLARED.name}")
    return found


def _source(name: str) -> str:
    table = _table(name)
    if table.by:
        return say("{function} in {step}", function=table.by, step=table.step)
    raw, function = _cleaned_from(name)
    return say("raw table {raw}, {function}", raw=raw, function=function)


def cleaned_from(name: str) -> str | None:
    """The raw table that a tidy one is cleaned from, row by row; None for one that is worked out."""
    return None if _table(name).by else _cleaned_from(name)[0]


def _cleaned_from(name: str) -> tuple[str, str]:
    """The raw table that a tidy one is cleaned from, and the function that does it."""
    from anime_growth import clean  # only here: families are asked for where no table is loaded

    for raw, (tidy, function) in clean.CLEANERS.items():
        if tidy == name:
            return raw, f"clean.{function.__name__}"
    raise InputError(
        f"{DECLARED.name}, field tables, {name}", "names neither by and step nor a cleaned table", "Name what makes it"
    )


@cache
def _raw_columns(name: str) -> dict[str, Column]:
    """The columns of the raw table that a tidy one carries on, as their Data Package describes them."""
    table = _table(name)
    if table.by and not table.raw:
        return {}
    raw = table.raw or _cleaned_from(name)[0]
    found = {}
    for field in _raw_fields().get(raw, []):
        known = (units.from_raw(label, f"table {raw}, field {field.name}") for label in sorted(field.units))
        found[field.name] = Column(means=field.description, unit=tuple(unit.name for unit in known if unit))
    return found


@cache
def _raw_fields() -> "dict[str, list[FieldSpec]]":
    """The fields that the Data Packages describe, by raw table."""
    from anime_growth import sources  # only here, as above

    found: dict[str, list[FieldSpec]] = {}
    for file in sources.raw_files():
        found.setdefault(file.resource.name, []).extend(file.resource.table.fields)
    return found


# --- data/README.md -----------------------------------------------------------------------------
def refuse_without_section(file: Path) -> None:
    """Raise InputError where `file` cannot be read or has no marks around the codebook."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as problem:
        raise InputError(paths.shown(file), f"cannot be read ({problem.strerror})", "Restore it with git") from problem
    if not SECTION.search(text):
        raise InputError(
            paths.shown(file), "has no marks around the codebook", "Put back <!-- codebook --> and its end"
        )


def with_section(text: str, folder: Path) -> str:
    """`text` with the codebook of the run in `folder` between its marks."""
    told = as_markdown(folder)
    return SECTION.sub(lambda marks: f"{marks[1]}\n{told}\n{marks[2]}", text)


def as_markdown(folder: Path) -> str:
    """The codebook of the run in `folder`: families, placeholders, tables and columns.

    It holds nothing that differs between runs of the same study.
    """
    known = headers(folder)
    lines = ["### Quantities", "", "A key names one number of `quantities.json`. What stands in braces:", ""]
    lines += _grid(
        ("in a key", "stands for"),
        [(f"`{{{name}}}`", _stands_for(item)) for name, item in read().placeholders.items()],
    )
    heading = ""
    for row in as_rows(Record.read(folder)):
        if row.heading != heading:
            heading = row.heading
            lines += ["", f"**{heading}**", "", *_grid(("key", "unit", "what it is", "made by", "rests on"), [])]
        made = ", ".join(_grouped(row.methods))
        lines += _grid((), [(f"`{row.key}`", row.unit, row.means, made, ", ".join(row.raw_tables))])
    lines += ["", "### Tables", ""]
    lines += _grid(
        ("table", "a row is", "made from or by"), [(f"`{r.table}`", r.rows, r.source) for r in tables(known)]
    )
    lines += [
        "",
        "### Columns",
        "",
        "A column without a unit holds words, dates, flags or numbers in several units.",
        "",
    ]
    alike: dict[tuple[str, str, str], list[str]] = {}
    for column in columns(known):
        alike.setdefault((column.column, column.unit, column.means), []).append(column.table)
    rows = [(f"`{name}`", unit, means, ", ".join(where)) for (name, unit, means), where in sorted(alike.items())]
    lines += _grid(("column", "unit", "what it is", "tables"), rows)
    lines += ["", "### Tolerances", ""]
    lines += [f"Two runs agree in a number that is apart by no more than {RELATIVE:g} of it, except:", ""]
    lines += _grid(("models", "in", "may be apart by", "because"), map(_allowed, read().tolerances))
    return "\n".join(lines)


def _allowed(item: Tolerance) -> tuple[str, ...]:
    models, places = (", ".join(f"`{name}`" for name in names) for names in (item.models, item.of))
    return models, places or "all numbers", f"{item.relative:g}", item.reason


def _stands_for(item: Placeholder) -> str:
    choices = ", ".join(f"`{choice}`" for choice in item.one_of or () if choice)
    return f"{item.means}: {choices}" if choices else item.means


def _grouped(methods: tuple[str, ...]) -> list[str]:
    """Functions by name; many of one module by the module."""
    modules = [method.rpartition(".")[0] for method in methods]
    crowded = {module for module in modules if module and modules.count(module) > MOST_FUNCTIONS}
    named = (module if module in crowded else method for method, module in zip(methods, modules, strict=True))
    return list(dict.fromkeys(named))


def _grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a table in Markdown; without a head, its rows only."""
    lines = [head, ("---",) * len(head)] if head else []
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (*lines, *rows)]
