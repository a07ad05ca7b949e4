"""What others import: the published results as data frames, and the models of this study for their own series.

`import anime_growth` offers these names and loads nothing until one is used. An installed package carries the
published results with it; a clone reads those in data/processed/published.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR
from decimal import Decimal
from io import BytesIO
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from anime_growth import data_package, paths
from anime_growth.errors import InputError
from anime_growth.projections import PROBABILITIES
from anime_growth.quantities import Quantities, model_name
from anime_growth.units import number_text
from anime_growth.words import one_line

if TYPE_CHECKING:
    from anime_growth.figures import Drawing

CARRIED = Path(__file__).parent / "published"
# How the types of a Data Package are held in a data frame; a date is parsed after it was read.
TYPES: dict[data_package.Type, Any] = {
    **{"string": str, "date": str},
    **{"integer": "Int64", "number": float, "boolean": "boolean"},
}
YEARS_AHEAD = 5
MOST_YEARS_AHEAD = 100
# What is drawn lies between these, so that its digits have room.
LEAST_DRAWN, MOST_DRAWN = 1e-12, 1e15
UNNAMED = "series"  # what a series is called that has no name of its own


# --- results ----------------------------------------------------------------------------------------
def load_tables(folder: str | Path | None = None) -> dict[str, pd.DataFrame]:
    """Every table of the published results, or of the run in `folder`, by name.

    What a figure draws is named `figures/<figure>`. `attrs` of each tell what a row is (`description`), the
    unit of each measure (`units`) and where its figures are from (`sources`; all of the study's for a table that
    is worked out). Raises InputError for a folder without a datapackage.json, and for a file that is not the one
    described there.
    """
    place = _results(folder)
    package = data_package.read(place)
    tables = [resource for resource in package["resources"] if "schema" in resource]
    return {resource["name"]: _table(place, resource, package) for resource in tables}


def load_quantities(folder: str | Path | None = None) -> pd.DataFrame:
    """Every named number of the published results, or of the run in `folder`: a row a key.

    Columns are value, unit, label, edition and confidence; `attrs` and errors are as in `load_tables`.
    """
    place = _results(folder)
    package = data_package.read(place)
    listed = next((item for item in package["resources"] if item["name"] == data_package.QUANTITIES), None)
    if listed is None:
        raise InputError(paths.shown(place), "lists no quantities", "Name the folder of a whole run")
    with data_package.readable(place / listed["path"]):
        found = Quantities.of_entries(json.loads(data_package.content(place, listed)))
    frame = found.frame().set_index("key")
    frame.attrs = _about(listed, package, {"value": "see column unit"})
    return frame


def _results(folder: str | Path | None) -> Path:
    """The folder that is asked for, else the published results of the clone, else those that the package carries."""
    if folder is not None:
        try:
            return Path(folder).expanduser()
        except (TypeError, RuntimeError) as problem:
            do = "Name the folder of a run, or of published results"
            raise InputError(f"folder {_shown(folder)}", "is no path of a folder", do) from problem
    return paths.published() if paths.published().is_dir() else CARRIED


def _table(place: Path, resource: Mapping[str, Any], package: Mapping[str, Any]) -> pd.DataFrame:
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    kinds = {name: field["type"] for name, field in fields.items()}
    # An empty cell is a missing number, flag or date; in a column of words it is no word.
    missing = {name: [""] for name, kind in kinds.items() if kind not in ("string", "date")}
    types = {name: TYPES[kind] for name, kind in kinds.items()}
    with data_package.readable(place / resource["path"]):
        content = BytesIO(data_package.content(place, resource))
        frame = pd.read_csv(content, dtype=types, keep_default_na=False, na_values=missing)
        if list(frame) != list(fields):
            raise ValueError("its columns are not those that are described")
        for name, kind in kinds.items():
            if kind == "date":
                frame[name] = pd.to_datetime(frame[name], format="%Y-%m-%d")
            elif kind in ("integer", "boolean") and not frame[name].isna().any():
                frame[name] = frame[name].astype(int if kind == "integer" else bool)
    units = {name: _unit_text(field["unit"]) for name, field in fields.items() if "unit" in field}
    frame.attrs = _about(resource, package, units)
    return frame


def _unit_text(unit: str | list[str]) -> str:
    return unit if isinstance(unit, str) else " or ".join(unit)


def _about(resource: Mapping[str, Any], package: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, Any]:
    sources = resource.get("sources", package["sources"])
    return {"description": resource["description"], "units": dict(units), "sources": sources}


# --- own series -------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False, repr=False)
class Trend:
    """A model fitted to a series: its growth [% a year] with the 95 % interval, and forecasts.

    An end of the interval is None where the model has none. `forecasts` has a row a year and a column a
    quantile, in the unit of the series; p50 is the median. `findings` are what the fit itself remarks.
    """

    name: str
    model: str
    levels: pd.Series
    growth_pct: float
    growth_lo95: float | None
    growth_hi95: float | None
    forecasts: pd.DataFrame
    findings: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.name} {self.levels.index[0]} to {self.levels.index[-1]}: {self.text}"

    @property
    def text(self) -> str:
        """Growth and its interval in words."""
        said = f"{number_text(self.growth_pct, 1)} % a year by {model_name(self.model)}"
        if self.growth_lo95 is None or self.growth_hi95 is None:
            return said
        return f"{said}, 95 % interval {number_text(self.growth_lo95, 1)} to {number_text(self.growth_hi95, 1)}"


def fit(levels: "pd.Series | Mapping[int, float]", model: str = "drift", until: int | None = None) -> Trend:
    """Fit one of this study's models to `levels` [year -> level above zero, in any unit], and forecast it.

    `model` is a name of `trends.MODELS`; `until` is the last year to forecast, five years ahead unless said.
    Years are whole numbers, or a DatetimeIndex or PeriodIndex of one date each; at least eight in a row are
    needed. Raises InputError saying what does not suit.

    >>> fit({year: 1.05 ** (year - 2010) * (1 + year % 2 / 100) for year in range(2010, 2021)})
    series 2010 to 2020: 5.0 % a year by drift, 95 % interval 4.2 to 5.8
    """
    from anime_growth import trends  # only here: it loads what tables do not need

    if not isinstance(model, str) or model not in trends.MODELS:
        raise InputError(f"model {_shown(model)}", "is unknown", f"Choose one of {', '.join(trends.MODELS)}")
    known = _by_year(levels)
    name = str(known.name)
    try:
        found = trends.fit(model, known)
    except trends.CannotFit as reason:
        do = "Give at least eight levels above zero, one a year and none left out, or choose another model"
        raise InputError(_series(name), str(reason), do) from reason
    last = found.years[-1]
    end = last + YEARS_AHEAD if until is None else until
    if not _is_whole(end) or not last < end <= last + MOST_YEARS_AHEAD:
        do = f"Choose a year from {last + 1} to {last + MOST_YEARS_AHEAD}"
        raise InputError(f"until {_shown(end)}", f"is no year ahead of {last}", do)
    ahead = found.quantiles(int(end), list(PROBABILITIES.values())).set_axis(list(PROBABILITIES), axis="columns")
    return Trend(
        name, model, found.levels, found.growth_pct, found.growth_lo95, found.growth_hi95, ahead, found.findings
    )


def _by_year(levels: "pd.Series | Mapping[int, float]") -> pd.Series:
    """`levels` as numbers by year, oldest first, with a name to draw; years without one are left out."""
    series = pd.Series(levels) if isinstance(levels, Mapping) else levels
    if not isinstance(series, pd.Series):
        do = "Give a Series whose index is the years, or a dict"
        raise InputError(f"levels of type {type(levels).__name__}", "have no years", do)
    # What pandas calls a column by itself, such as 0, is no name.
    name = one_line(series.name) if isinstance(series.name, str | tuple) else ""
    name = name or UNNAMED
    series = series.dropna()
    index = series.index
    try:
        years = [_year(one) for one in (index.year if isinstance(index, pd.DatetimeIndex | pd.PeriodIndex) else index)]
        numbers = [_number(one) for one in series]
    except (ValueError, OverflowError) as problem:
        do = "Index it by years, such as 2024, and give a number for each"
        raise InputError(_series(name), f"is not numbers by year ({one_line(problem)})", do) from problem
    found = pd.Series(numbers, index=years, dtype=float, name=name).sort_index()
    if found.index.has_duplicates:
        twice = found.index[found.index.duplicated()][0]
        raise InputError(_series(name), f"has more than one level for {twice}", "Give one level a year")
    return found


def _series(name: str) -> str:
    """A reader's series in words."""
    return name if name == UNNAMED else f"{UNNAMED} {name}"


def _year(given: Any) -> int:
    """A year, in digits as well. Raises ValueError for what is none."""
    year = int(given) if isinstance(given, str) and given.strip().isdecimal() else given
    if not _is_whole(year) or not MINYEAR <= year <= MAXYEAR:
        raise ValueError(f"{_shown(given)} is no year")
    return int(year)


def _number(given: Any) -> float:
    """A real number, in digits as well. Raises ValueError for what is none."""
    if not isinstance(given, Real | Decimal | str):
        raise ValueError(f"{_shown(given)} is no number")
    return float(given)


def _is_whole(number: Any) -> bool:
    return isinstance(number, Real) and number % 1 == 0


def _shown(given: Any) -> str:
    """What was given, in one line that is not long."""
    return one_line(repr(given))[:40]


def plot(trend: Trend, source: str = "own figures") -> "Drawing":
    """Draw levels and forecasts of a fitted series in the style of this study; `source` stands below the picture.

    The drawing shows itself in a notebook; `svg()` gives the file and `data` what is drawn. Raises InputError for
    anything but a fitted series, and for numbers with more digits than a picture has room for.
    """
    from anime_growth.figures import own  # only here, where something is drawn

    if not isinstance(trend, Trend):
        raise InputError(f"trend of type {type(trend).__name__}", "is no fitted series", "Give what `fit` returns")
    drawn = [*trend.levels, *trend.forecasts.to_numpy().ravel()]
    if not LEAST_DRAWN <= min(drawn) <= max(drawn) <= MOST_DRAWN:
        do = "Give levels in another unit, or forecast fewer years"
        what = f"has levels or forecasts that are not between {LEAST_DRAWN:g} and {MOST_DRAWN:g}"
        raise InputError(_series(trend.name), what, do)
    return own.outlook(trend.name, trend.model, trend.text, trend.levels, trend.forecasts, one_line(source))
