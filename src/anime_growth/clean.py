"""Raw tables to tidy tables: one pure function for each raw table, one schema for each tidy one.

Judgements made here, and why
-----------------------------
- An edition label such as "2025 (prelim 2025-10-30)" is the 2025 edition with a remark. A figure
  quoted second-hand or before the report came out keeps its remark and is left out of the series
  of that edition, but stays in the table of editions.
- A row's scope in the content exports is a short word (`SCOPES`) for the collector's long phrase;
  a phrase nobody has mapped is refused rather than guessed.
- The method notes name their series and year only in prose; `BREAKS` states both once.
- The recommended exchange rate is the Federal Reserve's annual average (AEXJPUS).
"""

from collections.abc import Callable

import pandas as pd
import pandera.pandas as pa

from anime_growth import cells, paths, sources, units
from anime_growth.cells import CONFIDENCE
from anime_growth.errors import InputError

SERIES = {"overseas", "domestic", "total"}
# A series with this many years in one edition is a full series: no year inside it may be missing.
FULL_SERIES_YEARS = 8

SCOPES = {
    "overseas end-user market, 7-8 fields incl. online console games (scope since the 2022 figures)": "current",
    "overseas end-user market, excl. online console games (old scope)": "old",
    "overseas end-user market, excl. online console games (old scope) FORECAST": "old_forecast",
    "Human Media 2010 edition estimate (other method)": "human_media_2010",
    "Kantei 2018 outbound table": "kantei_2018",
    "METI trial estimate of overseas sales": "meti_2010",
    "Cabinet Secretariat basic material, as reported": "cabinet_2024",
    "as printed in New Cool Japan Strategy": "rounded",
    "as printed by METI": "rounded",
    "receipts of Japanese firms": "receipts",
    "receipts of domestic producers": "receipts",
    "income flowing back to Japan": "receipts",
    "export value": "goods_exports",
}

RATE_METHODS = {
    "FRED AEXJPUS annual average (of daily noon rates)": "fred_annual_average",
    "mean of daily ECB cross rate (EURJPY/EURUSD)": "ecb_daily_mean",
    "mean of monthly averages (FRED EXJPUS)": "fred_monthly_mean",
}

# note -> (series, first year after the change or None, kind). Only `scope` and `method` changes
# make growth into that year a comparison of unlike things.
BREAKS: dict[str, list[tuple[str, int | None, str]]] = {
    "N1": [("market.total", 2013, "scope"), ("market.domestic", 2013, "scope")],
    "N2": [("market.total", 2015, "revision"), ("market.total", 2016, "revision")],
    "N3": [("market.total", 2020, "revision"), ("market.domestic", 2020, "revision")],
    "N4": [("market.overseas", None, "classification")],
    "N5": [("market.domestic", None, "classification")],
    "N6": [("market.overseas", 2015, "event")],
    "N7": [("market.overseas", 2020, "method")],
    "N8": [("market.overseas", 2022, "currency")],
    "N9": [("market.total", None, "coverage")],
    "N10": [("content.total", 2021, "scope")],
    "N11": [("market.total", 2019, "revision")],
}


# --- schemas ------------------------------------------------------------------------------------
def _year(low: int = 1990, high: int = 2100) -> pa.Column:
    return pa.Column(int, pa.Check.in_range(low, high, error=f"is not a year from {low} to {high}"))


def _level(nullable: bool = False) -> pa.Column:
    return pa.Column(float, pa.Check.gt(0, error="is not above zero, which a level must be"), nullable=nullable)


def _one_of(values: set[str] | tuple[str, ...]) -> pa.Column:
    return pa.Column(str, pa.Check.isin(values, error=f"is not one of {', '.join(sorted(values))}"))


def _pattern(pattern: str, words: str) -> pa.Column:
    return pa.Column(str, pa.Check.str_matches(pattern, error=f"is not {words}"))


_SOURCE = _pattern(r"^S\d{3}$", "a source id such as S001")
_TEXT = pa.Column(str)
_FLAG = pa.Column(bool)
_NUMBER = pa.Column(float)
_MAYBE = pa.Column(float, nullable=True)
_CELL = pa.Column(str)
_EDITION = pa.Column(int, pa.Check.in_range(2002, 2100, error="is not the year of an edition"))

_EDITIONS = {
    "year": _year(),
    "series": _one_of(SERIES),
    "edition": _EDITION,
    "edition_label": _TEXT,
    "is_main_edition": _FLAG,
    "level_jpy_100m": _level(),
    "is_derived": _FLAG,
    "derivation": _TEXT,
    "confidence": _one_of(CONFIDENCE),
    "source_id": _SOURCE,
    "corroborating_source_ids": _TEXT,
    "raw_cell": _CELL,
}

SCHEMAS: dict[str, pa.DataFrameSchema] = {
    name: pa.DataFrameSchema(columns, strict="filter", coerce=False, ordered=False)
    for name, columns in {
        "market_editions": _EDITIONS,
        "studio_editions": _EDITIONS,
        "market_printed": {
            "year": _year(),
            "edition": _EDITION,
            "total_jpy_100m": _level(),
            "overseas_jpy_100m": _level(),
            "domestic_jpy_100m": _level(),
            "overseas_share_pct": _NUMBER,
            "total_growth_pct": _MAYBE,
            "overseas_growth_pct": _MAYBE,
            "domestic_growth_pct": _MAYBE,
            "source_id": _SOURCE,
            "raw_row": _TEXT,
        },
        "categories": {
            "year": _year(),
            "category": _TEXT,
            "edition": _EDITION,
            "edition_label": _TEXT,
            "level_jpy_100m": _level(nullable=True),
            "growth_pct": _MAYBE,
            "is_derived": _FLAG,
            "derivation": _TEXT,
            "precision": _TEXT,
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "regions": {
            "year": _year(),
            "measure": _TEXT,
            "region": _TEXT,
            "value": _level(),
            "unit": _one_of(set(units.UNITS)),
            "edition_label": _TEXT,
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "content_exports": {
            "year": _year(),
            "sector": _TEXT,
            "scope": _one_of(set(SCOPES.values())),
            "release": _TEXT,
            "level_jpy_100m": _level(),
            "is_derived": _FLAG,
            "is_rounded": _FLAG,
            "derivation": _TEXT,
            "source_id": _SOURCE,
            "note": _TEXT,
            "raw_cell": _CELL,
        },
        "targets": {
            "target_id": _TEXT,
            "issuer": _TEXT,
            "document": _TEXT,
            "announced_on": _TEXT,
            "target_year": _year(),
            "subject": _TEXT,
            "low_jpy_trn": _level(),
            "high_jpy_trn": _level(),
            "baseline_jpy_trn": _level(),
            "baseline_year": _year(),
            "status": _TEXT,
            "source_id": _SOURCE,
            "raw_row": _TEXT,
        },
        "exchange_rates": {
            "year": _year(),
            "method": _one_of(set(RATE_METHODS.values())),
            "usdjpy": _level(),
            "is_recommended": _FLAG,
            "is_partial_year": _FLAG,
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "spot_rates": {
            "date": _pattern(r"^\d{4}-\d{2}-\d{2}$", "a date such as 2025-10-30"),
            "usdjpy": _level(),
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "consumer_prices": {
            "year": _year(),
            "series": _TEXT,
            "value": _NUMBER,
            "unit": _one_of(set(units.UNITS)),
            "is_derived": _FLAG,
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "market_cap": {
            "date": _pattern(r"^\d{4}-\d{2}-\d{2}$", "a date such as 2025-06-30"),
            "entity": _TEXT,
            "measure": _TEXT,
            "value": _NUMBER,
            "unit": _TEXT,
            "is_derived": _FLAG,
            "derivation": _TEXT,
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "annual_series": {
            "year": _year(1900),
            "series": _pattern(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", "a name such as tourism.receipts"),
            "edition_label": _TEXT,
            "level": _NUMBER,
            "unit": _one_of({units.JPY_100M.name, units.USD_BN.name, units.COUNT.name}),
            "is_derived": _FLAG,
            "derivation": _TEXT,
            "confidence": _one_of(CONFIDENCE),
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "series_levels": {
            "year": _year(1900),
            "series": _TEXT,
            "edition_label": _TEXT,
            "level": _NUMBER,
            "unit": _one_of(set(units.UNITS)),
            "is_derived": _FLAG,
            "derivation": _TEXT,
            "confidence": _one_of(CONFIDENCE),
            "source_id": _SOURCE,
            "raw_cell": _CELL,
        },
        "method_notes": {
            "note_id": _pattern(r"^N\d+$", "a note id such as N1"),
            "topic": _TEXT,
            "finding": _TEXT,
            "is_documented": _FLAG,
            "source_id": _SOURCE,
        },
        "sources": {
            "source_id": _SOURCE,
            "title": _TEXT,
            "publisher": _TEXT,
            "published_on": _TEXT,
            "accessed": _TEXT,
            "source_kind": _one_of({"primary", "secondary"}),
            "url": _TEXT,
            "terms": _TEXT,
        },
    }.items()
}


def _checked(name: str, frame: pd.DataFrame, named: dict[str, str]) -> pd.DataFrame:
    """`frame` held to the schema `name`; the first bad row is reported by file, row and raw column.

    `named` maps tidy columns to the raw ones they come from, so that the message speaks of what
    the reader can see in the file. Bookkeeping columns are dropped.
    """
    try:
        return SCHEMAS[name].validate(frame, lazy=True)
    except pa.errors.SchemaErrors as problem:
        failure = problem.failure_cases.iloc[0]
        column, index = str(failure["column"]), failure["index"]
        if index is None or pd.isna(index):
            raise InputError(f"table {name}", str(failure["check"]), "Report this as a fault") from problem
        row, value = frame.loc[index], failure["failure_case"]
        missing = value is None or value != value or value == ""
        said = f"{value:,g}" if isinstance(value, float) else repr(value)
        source = str(row.get("source_id", ""))
        raise InputError(
            where(row, named.get(column, column)),
            "is missing" if missing else f"{said} {failure['check']}",
            f"Compare the row with source {source}" if source else "Fill in its source_id",
        ) from problem


def where(row: pd.Series, column: str) -> str:
    """The place of a raw row for an error message."""
    file = cells.parse(cells.address(row["raw_row"], column))["file"]
    return f"{paths.shown(paths.raw() / file)}, row {row['raw_line']}, field {column}"


def _whole(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Whole-number columns as int; the first blank is refused by name of file, row and field."""
    for column in columns:
        blank = frame[column].isna()
        if blank.any():
            row = frame[blank].iloc[0]
            raise InputError(
                where(row, column), "is missing", f"Fill it in from source {row.get('source_id', 'of the row')}"
            )
    return frame.assign(**{column: frame[column].astype(int) for column in columns})


def _flags(frame: pd.DataFrame, column: str) -> pd.Series:
    """A column of 0 and 1 as false and true; anything else is refused."""
    other = ~frame[column].isin([0, 1])
    if other.any():
        row = frame[other].iloc[0]
        raise InputError(
            where(row, column), f"{row[column]} is neither 0 nor 1", "Write 1 for a derived figure, else 0"
        )
    return frame[column].astype(bool)


def _split_edition(frame: pd.DataFrame, column: str = "edition") -> pd.DataFrame:
    """Edition labels as year of the edition, and whether the label is that year and nothing more."""
    years = frame[column].str.extract(r"(?<!\d)(\d{4})(?!\d)", expand=False)
    if years.isna().any():
        row = frame[years.isna()].iloc[0]
        raise InputError(where(row, column), f"{row[column]!r} names no edition", "Write the year of the edition in it")
    return frame.assign(
        edition_label=frame[column], edition=years.astype(int), is_main_edition=frame[column].str.fullmatch(r"\d{4}")
    )


def _mapped(frame: pd.DataFrame, column: str, mapping: dict[str, str], home: str) -> pd.Series:
    unknown = ~frame[column].isin(list(mapping))
    if unknown.any():
        row = frame[unknown].iloc[0]
        known = "; ".join(mapping)
        raise InputError(
            where(row, column), f"{row[column]!r} is not a known {column}", f"Use one of: {known}; or map it in {home}"
        )
    return frame[column].map(mapping)


def _cells(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame["raw_row"].map(lambda row: cells.address(row, column))


# --- one function for each raw table ----------------------------------------------------------
def _clean_editions(name: str, raw: pd.DataFrame, prefix: str) -> pd.DataFrame:
    frame = _split_edition(_whole(raw, "year", "is_derived"))
    frame = frame.assign(
        series=_mapped(frame, "series", {f"{prefix}_{s}": s for s in sorted(SERIES)}, "src/anime_growth/clean.py"),
        level_jpy_100m=frame["value"],
        is_derived=_flags(frame, "is_derived"),
        raw_cell=_cells(frame, "value"),
    )
    tidy = _checked(name, frame, {"level_jpy_100m": "value"})
    _refuse_gaps(frame)
    return tidy.sort_values(["series", "edition", "year", "edition_label"], ignore_index=True)


def _refuse_gaps(frame: pd.DataFrame) -> None:
    """A full series in one edition must print every year between its first and its last."""
    main = frame[frame["is_main_edition"].astype(bool)]
    for (series, edition), rows in main.groupby(["series", "edition"]):
        years = set(rows["year"])
        gaps = sorted(set(range(min(years), max(years) + 1)) - years)
        if len(years) >= FULL_SERIES_YEARS and gaps:
            last_before = rows[rows["year"] < gaps[0]].sort_values("year").iloc[-1]
            raise InputError(
                where(last_before, "year"),
                f"edition {edition} of series {series} has no row for {', '.join(map(str, gaps))} after this one",
                "Add the missing year from the report",
            )


def clean_aja_market_editions(raw: pd.DataFrame) -> pd.DataFrame:
    """The broad market in every edition [year x series x edition; JPY 100m]. Source: AJA reports."""
    return _clean_editions("market_editions", raw, "broad")


def clean_aja_production(raw: pd.DataFrame) -> pd.DataFrame:
    """What studios receive, in every edition [year x series x edition; JPY 100m]. Source: AJA reports."""
    return _clean_editions("studio_editions", raw, "narrow")


def clean_aja_market_best(raw: pd.DataFrame) -> pd.DataFrame:
    """The collector's summary of the latest edition, used only to check the editions against."""
    frame = _split_edition(_whole(raw, "year"))
    renamed = {f"broad_{series}": f"{series}_jpy_100m" for series in SERIES}
    tidy = _checked("market_printed", frame.rename(columns=renamed), {v: k for k, v in renamed.items()})
    return tidy.sort_values("year", ignore_index=True)


def clean_aja_categories(raw: pd.DataFrame) -> pd.DataFrame:
    """Broad market by category [year x category x edition; JPY 100m, % on the year before]."""
    frame = _split_edition(_whole(raw, "year", "is_derived"))
    frame = frame.assign(
        level_jpy_100m=frame["value"],
        growth_pct=frame["yoy_ratio_pct"] - 100,
        is_derived=_flags(frame, "is_derived"),
        raw_cell=_cells(frame, "value"),
    )
    nothing = frame["level_jpy_100m"].isna() & frame["growth_pct"].isna()
    if nothing.any():
        row = frame[nothing].iloc[0]
        raise InputError(
            where(row, "value"), "is missing, and so is yoy_ratio_pct", f"Fill in one from source {row['source_id']}"
        )
    return _checked("categories", frame, {"level_jpy_100m": "value"}).sort_values(
        ["edition", "year", "category"], ignore_index=True
    )


def clean_aja_regions(raw: pd.DataFrame) -> pd.DataFrame:
    """Contracts and revenue by country or region, as printed, each row with its own unit."""
    frame = _whole(raw, "year").assign(
        region=raw["region_or_country"],
        unit=_unit_names(raw),
        edition_label=raw["edition"],
        raw_cell=_cells(raw, "value"),
    )
    return _checked("regions", frame, {"region": "region_or_country"})


def clean_content_exports(raw: pd.DataFrame) -> pd.DataFrame:
    """Overseas sales of content [year x sector x scope x release; JPY 100m].

    Assumes: a figure is rounded where its note or its release says so; a level printed to the
    last hundred million in another release of the same scope is preferred to it.
    """
    frame = _whole(raw, "year", "is_derived")
    frame = frame.assign(
        scope=_mapped(frame, "concept", SCOPES, "SCOPES of src/anime_growth/clean.py"),
        release=frame["edition_or_release"],
        level_jpy_100m=frame["value"],
        is_derived=_flags(frame, "is_derived"),
        is_rounded=frame["note"].str.contains(r"\brounded\b|\babout [\d.]+ trillion", regex=True),
        raw_cell=_cells(frame, "value"),
    )
    return _checked("content_exports", frame, {"level_jpy_100m": "value"})


def clean_targets(raw: pd.DataFrame) -> pd.DataFrame:
    """Official and industry targets [JPY trn], superseded ones included."""
    frame = _whole(raw, "target_year", "baseline_year").rename(
        columns={"value_low": "low_jpy_trn", "value_high": "high_jpy_trn", "baseline_value": "baseline_jpy_trn"}
    )
    backward = frame["baseline_year"] >= frame["target_year"]
    if backward.any():
        row = frame[backward].iloc[0]
        raise InputError(where(row, "baseline_year"), "is not before target_year", f"Compare with {row['source_id']}")
    crossed = frame["low_jpy_trn"] > frame["high_jpy_trn"]
    if crossed.any():
        row = frame[crossed].iloc[0]
        raise InputError(where(row, "value_low"), "is above value_high", f"Compare with source {row['source_id']}")
    named = {"low_jpy_trn": "value_low", "high_jpy_trn": "value_high", "baseline_jpy_trn": "baseline_value"}
    return _checked("targets", frame, named)


def clean_usdjpy_annual(raw: pd.DataFrame) -> pd.DataFrame:
    """Yen per dollar [year x method]; one method is recommended, the others are kept beside it."""
    frame = _whole(raw, "year")
    frame = frame.assign(
        method=_mapped(frame, "method", RATE_METHODS, "RATE_METHODS of src/anime_growth/clean.py"),
        is_partial_year=frame["note"].str.startswith("partial year"),
        raw_cell=_cells(frame, "usdjpy"),
    )
    frame = frame.assign(is_recommended=frame["method"] == "fred_annual_average")
    return _checked("exchange_rates", frame, {})


def clean_usdjpy_spot(raw: pd.DataFrame) -> pd.DataFrame:
    """Yen per dollar on single days around the article."""
    return _checked("spot_rates", raw.assign(raw_cell=_cells(raw, "usdjpy")), {})


def clean_japan_cpi_annual(raw: pd.DataFrame) -> pd.DataFrame:
    """Consumer prices in Japan [year x series]: inflation in %, indices with 2020 = 100."""
    frame = _whole(raw, "year", "is_derived")
    frame = frame.assign(
        unit=_unit_names(frame),
        is_derived=_flags(frame, "is_derived"),
        raw_cell=_cells(frame, "value"),
    )
    return _checked("consumer_prices", frame, {})


def clean_market_cap(raw: pd.DataFrame) -> pd.DataFrame:
    """Market values of entertainment and car makers on single days, each row with its own unit."""
    frame = _whole(raw, "is_derived")
    sunk = frame["measure"].isin(["combined market cap", "market cap"]) & (frame["value"] <= 0)
    if sunk.any():
        raise InputError(where(frame[sunk].iloc[0], "value"), "is not above zero", "Compare the row with its source")
    frame = frame.assign(
        unit=_unit_names(frame),
        is_derived=_flags(frame, "is_derived"),
        raw_cell=_cells(frame, "value"),
    )
    return _checked("market_cap", frame, {})


# First parts of series names that the study's own tables use.
TAKEN = ("market", "studio", "content", "exports", "category", "fx", "price", "market_cap")


def clean_annual_series(raw: pd.DataFrame) -> pd.DataFrame:
    """Any annual series that somebody added by the recipe [year x series; each row with its unit]."""
    frame = _whole(raw, "year", "is_derived")
    taken = frame["series"].str.split(".").str[0].isin(TAKEN)
    if taken.any():
        row = frame[taken].iloc[0]
        raise InputError(
            where(row, "series"), f"{row['series']!r} begins like a series of the study", "Give it a name of its own"
        )
    frame = frame.assign(
        edition_label=raw["edition"],
        level=frame["value"],
        unit=_unit_names(frame),
        is_derived=_flags(frame, "is_derived"),
        raw_cell=_cells(frame, "value"),
    )
    tidy = _checked("annual_series", frame, {"level": "value", "edition_label": "edition"})
    mixed = tidy.groupby("series")[["unit", "edition_label"]].nunique().max(axis=1)
    if (mixed > 1).any():
        name = mixed[mixed > 1].index[0]
        row = frame[frame["series"] == name].iloc[-1]
        raise InputError(
            where(row, "series"), f"{name} mixes editions or units", "Give each edition a series name of its own"
        )
    return tidy


def clean_methodology_notes(raw: pd.DataFrame) -> pd.DataFrame:
    """Notes on method; a note is documented where an issuer or a user of the report states it."""
    unmapped = raw[~raw["note_id"].isin(list(BREAKS))]
    if len(unmapped):
        row = unmapped.iloc[0]
        raise InputError(
            where(row, "note_id"),
            f"note {row['note_id']} has no series and year",
            "Add it to BREAKS in src/anime_growth/clean.py",
        )
    gone = sorted(set(BREAKS) - set(raw["note_id"]))
    if gone:
        raise InputError(
            where(raw.iloc[-1], "note_id"),
            f"note {gone[0]} is missing, on which the register of breaks rests",
            "Restore it, or take it out of BREAKS in src/anime_growth/clean.py",
        )
    frame = raw.assign(is_documented=raw["status"].str.startswith("documented"))
    return _checked("method_notes", frame, {"is_documented": "status"})


def clean_sources(raw: pd.DataFrame) -> pd.DataFrame:
    """The register that every source_id resolves in."""
    return _checked("sources", raw.rename(columns={"licence_terms_remark": "terms"}), {"terms": "licence_terms_remark"})


def _unit_names(raw: pd.DataFrame) -> pd.Series:
    """Raw unit labels as the names of units.UNITS; a row of words keeps its label."""
    names = {}
    for _, row in raw.drop_duplicates("unit").iterrows():
        unit = units.from_raw(row["unit"], where(row, "unit"))
        names[row["unit"]] = unit.name if unit else row["unit"]
    return raw["unit"].map(names).astype(str)


CLEANERS: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "aja_market_editions": ("market_editions", clean_aja_market_editions),
    "aja_market_best": ("market_printed", clean_aja_market_best),
    "aja_production": ("studio_editions", clean_aja_production),
    "aja_categories": ("categories", clean_aja_categories),
    "aja_regions": ("regions", clean_aja_regions),
    "content_exports": ("content_exports", clean_content_exports),
    "targets": ("targets", clean_targets),
    "usdjpy_annual": ("exchange_rates", clean_usdjpy_annual),
    "usdjpy_spot": ("spot_rates", clean_usdjpy_spot),
    "japan_cpi_annual": ("consumer_prices", clean_japan_cpi_annual),
    "market_cap": ("market_cap", clean_market_cap),
    "annual_series": ("annual_series", clean_annual_series),
    "methodology_notes": ("method_notes", clean_methodology_notes),
    "sources": ("sources", clean_sources),
}


# --- what joins tables ------------------------------------------------------------------------
def clean_all() -> dict[str, pd.DataFrame]:
    """Every raw table cleaned, its sources resolved; the key is the name of the tidy table.

    Raises InputError for the first bad row of the first bad file.
    """
    sources.refuse_unlisted()
    raw = {table: sources.read(table) for table in CLEANERS if sources.has(table) or table != sources.OWN_SERIES}
    tables = {tidy: clean(raw[table]) if table in raw else _empty(tidy) for table, (tidy, clean) in CLEANERS.items()}
    for table in (*raw, "claims"):
        rows = raw[table] if table in raw else sources.read(table)
        refuse_unknown_sources(rows, set(tables["sources"]["source_id"]))
    tables["breaks"] = breaks(tables["method_notes"])
    tables["series_levels"] = level_series(tables)
    tables["raw_files"] = raw_file_register()
    return tables


def _empty(name: str) -> pd.DataFrame:
    """A tidy table without rows."""
    types = {column: spec.dtype.type for column, spec in SCHEMAS[name].columns.items()}
    return pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in types.items()})


def level_series(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Every level series beside the broad market that a model may see, each in one edition or scope.

    Columns `level` and `unit`. Studios' receipts and categories: the edition label that prints most
    years, the newest of equals. Content: the current scope, unrounded, one release a year. What
    `annual_series` holds: as it is.
    """
    studio = tables["studio_editions"].assign(series="studio." + tables["studio_editions"]["series"])
    kinds = tables["categories"].dropna(subset="level_jpy_100m")
    kinds = kinds.assign(
        series="category." + kinds["category"],
        confidence=kinds["is_derived"].map({True: "medium", False: "high"}),
    )
    content = tables["content_exports"]
    content = content[(content["scope"] == "current") & ~content["is_rounded"]]
    content = content.sort_values("is_derived", ascending=False, kind="stable").drop_duplicates(
        ["sector", "year"], keep="last"
    )
    content = content.assign(
        series="content." + content["sector"],
        edition_label=content["release"],
        confidence=content["is_derived"].map({True: "medium", False: "high"}),
    )
    parts = [
        part.assign(level=part["level_jpy_100m"], unit=units.JPY_100M.name)
        for part in (_longest_edition(studio), _longest_edition(kinds), content)
    ]
    joined = pd.concat([*parts, tables["annual_series"]], ignore_index=True)[list(SCHEMAS["series_levels"].columns)]
    joined = joined.astype({"year": int, "level": float, "is_derived": bool})
    return SCHEMAS["series_levels"].validate(joined.sort_values(["series", "year"], ignore_index=True))


def series_names(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Every series that the parameter `series` may name."""
    return [*(f"market.{series}" for series in sorted(SERIES)), *sorted(set(tables["series_levels"]["series"]))]


def _longest_edition(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each series, the rows of the edition label that prints most years, the newest of equals."""
    years = rows.groupby(["series", "edition", "edition_label"], as_index=False)["year"].nunique()
    best = years.sort_values(["year", "edition"], kind="stable").drop_duplicates("series", keep="last")
    return rows.merge(best[["series", "edition_label"]], on=["series", "edition_label"])


def refuse_unknown_sources(raw: pd.DataFrame, known: set[str]) -> None:
    """Raise InputError for the first row that names a source the register does not have."""
    for column in ("source_id", "corroborating_source_ids"):
        if column not in raw.columns:
            continue
        for position, listed in enumerate(raw[column]):
            unknown = [source for source in listed.split(";") if source and source not in known]
            if unknown or (column == "source_id" and not listed):
                raise InputError(
                    where(raw.iloc[position], column),
                    f"source {unknown[0] if unknown else listed!r} is not in the register of sources",
                    "Add it to sources.csv, or correct the id",
                )


def breaks(notes: pd.DataFrame) -> pd.DataFrame:
    """The register of breaks: series, first year after the change, kind, finding, documented or not.

    `marks_growth` is true where growth into that year compares unlike things.
    """
    rows = []
    for note in notes.itertuples():
        for series, year, kind in BREAKS[note.note_id]:
            rows.append(
                {
                    "note_id": note.note_id,
                    "series": series,
                    "year": year,
                    "kind": kind,
                    "is_documented": note.is_documented,
                    "marks_growth": kind in ("scope", "method"),
                    "finding": note.finding,
                    "source_id": note.source_id,
                }
            )
    return pd.DataFrame(rows).astype({"year": "Int64"})


def raw_file_register() -> pd.DataFrame:
    """Every raw file with its sha256, edition, date read and terms."""
    return pd.DataFrame(
        {
            "file": file.reference,
            "sha256": file.resource.hash.removeprefix("sha256:"),
            "bytes": file.resource.bytes,
            "source": file.package.source,
            "edition": file.package.edition,
            "accessed": file.package.accessed.isoformat() if file.package.accessed else "",
            "terms": "; ".join(licence.get("title", licence.get("name", "")) for licence in file.package.licenses),
        }
        for file in sources.raw_files()
    )


def preferred(readings: pd.DataFrame) -> pd.Series:
    """The most trusted of several readings of one figure: confidence, then printed over derived, then newest."""
    order = {name: position for position, name in enumerate(CONFIDENCE)}
    ranked = readings.assign(trust=readings["confidence"].map(order)).sort_values(
        ["trust", "is_derived", "edition"], ascending=[True, False, True], kind="stable"
    )
    return ranked.iloc[-1]


def editions(market_editions: pd.DataFrame) -> list[int]:
    """Editions that print at least two years running of overseas, domestic and total, oldest first."""
    main = market_editions[market_editions["is_main_edition"]]
    usable = []
    for edition, rows in main.groupby("edition"):
        years = set.intersection(*(set(rows.loc[rows["series"] == series, "year"]) for series in SERIES))
        if any(year + 1 in years for year in years):
            usable.append(int(str(edition)))
    return usable


def market(tables: dict[str, pd.DataFrame], edition: int) -> pd.DataFrame:
    """The broad market in one edition, in yen, in dollars and in prices of 2020.

    Shape: year x series, oldest first; columns `level_jpy_100m`, `level_usd_bn` (annual average
    rate), `level_real_jpy_100m` (consumer prices, 2020 = 100), the rate and index used, and the
    raw cells of all three. Source: AJA report of that edition; FRED AEXJPUS; World Bank.
    """
    rows = tables["market_editions"]
    rows = rows[rows["is_main_edition"] & (rows["edition"] == edition)]
    rates = tables["exchange_rates"].query("is_recommended")
    prices = tables["consumer_prices"].query("series == 'all_items_index_2020_100'")
    joined = rows.merge(
        rates[["year", "usdjpy", "raw_cell"]].rename(columns={"raw_cell": "rate_cell"}), on="year", how="left"
    ).merge(
        prices[["year", "value", "raw_cell"]].rename(columns={"value": "cpi_2020_100", "raw_cell": "price_cell"}),
        on="year",
        how="left",
    )
    lacking = joined[joined["usdjpy"].isna() | joined["cpi_2020_100"].isna()]
    if len(lacking):
        year = int(lacking["year"].iloc[0])
        what, table = (
            ("exchange rate", "usdjpy_annual")
            if lacking["usdjpy"].isna().iloc[0]
            else ("price index", "japan_cpi_annual")
        )
        raise InputError(
            f"edition {edition}", f"prints {year}, for which there is no {what}", f"Add the year to {table}.csv"
        )
    joined["level_usd_bn"] = units.usd_bn(joined["level_jpy_100m"], joined["usdjpy"])
    joined["level_real_jpy_100m"] = joined["level_jpy_100m"] / joined["cpi_2020_100"] * 100
    columns = [
        *("year", "series", "edition", "level_jpy_100m", "level_usd_bn", "level_real_jpy_100m", "usdjpy"),
        *("cpi_2020_100", "is_derived", "derivation", "confidence", "source_id", "corroborating_source_ids"),
        *("raw_cell", "rate_cell", "price_cell"),
    ]
    return joined[columns].sort_values(["series", "year"], ignore_index=True)


def choose_edition(market_editions: pd.DataFrame, wanted: int | str) -> int:
    """The edition named by the parameter; `latest` is the newest that prints a full series.

    A newer edition of which only a few years are at hand can be chosen by its year. Raises InputError
    for an edition that is not there.
    """
    known = editions(market_editions)
    if not known:
        raise InputError("table market_editions", "no edition prints two years running", "Add the missing rows")
    if wanted == "latest":
        main = market_editions[market_editions["is_main_edition"] & (market_editions["series"] == "overseas")]
        years = main.groupby("edition")["year"].nunique()
        full = [edition for edition in known if years.get(edition, 0) >= FULL_SERIES_YEARS]
        return (full or known)[-1]
    if wanted not in known:
        raise InputError(
            "parameter edition",
            f"{wanted} is not an edition with two years running of overseas, domestic and total",
            f"Choose one of {', '.join(map(str, known))}, or latest",
        )
    return int(wanted)


def vintages(market_editions: pd.DataFrame, name: str = "market.overseas") -> dict[int, int]:
    """Editions that print overseas revenue -> the newest year that they or earlier ones print, oldest first.

    Empty for a series `name` that is not of the market: nobody forecast it at those reports.

    >>> rows = [(2018, 2017), (2019, 2018), (2020, 2016)]
    >>> frame = pd.DataFrame(rows, columns=["edition", "year"]).assign(series="overseas", is_main_edition=True)
    >>> vintages(frame)
    {2018: 2017, 2019: 2018, 2020: 2018}
    """
    if not name.startswith("market."):
        return {}
    rows = market_editions[market_editions["is_main_edition"] & (market_editions["series"] == "overseas")]
    newest = rows.groupby("edition")["year"].max().sort_index().cummax()
    return {int(str(edition)): int(year) for edition, year in newest.items()}


def revisions(market_editions: pd.DataFrame) -> pd.DataFrame:
    """What each year was first and last printed as: one row a series and year with both.

    Columns: first and last edition, both levels [JPY 100m], the change [JPY 100m and %].
    """
    rows = []
    for (series, year), readings in market_editions.groupby(["series", "year"]):
        ordered = readings.sort_values(["edition", "is_main_edition"])
        first, last = ordered.iloc[0], ordered.iloc[-1]
        if first["edition"] == last["edition"]:
            continue
        change = last["level_jpy_100m"] - first["level_jpy_100m"]
        rows.append(
            {
                "series": series,
                "year": year,
                "first_edition": first["edition"],
                "first_jpy_100m": first["level_jpy_100m"],
                "last_edition": last["edition"],
                "last_jpy_100m": last["level_jpy_100m"],
                "change_jpy_100m": change,
                "change_pct": change / first["level_jpy_100m"] * 100,
                "lowest_confidence": min(first["confidence"], last["confidence"], key=CONFIDENCE.index),
            }
        )
    return pd.DataFrame(rows)
