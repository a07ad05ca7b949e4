"""What a sweep is about: the values that each parameter takes, and the items that their product numbers.

A grid file is YAML: a parameter's name with a value, a list of values, or a range with both ends:

    start_year: {from: 2002, to: 2012, step: 2}
    basis: [yen, usd]
    horizon_year: 2035

It is read as data and never run. What is not named keeps its default. An item is a number; its parameters
are worked out from it, so that a grid of any size takes no memory.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anime_growth import clean, parameters, rules, sources, trends
from anime_growth.errors import InputError

LARGEST_FILE = 100_000  # letters
LONGEST_RANGE = 1000
MOST_ITEMS = 10_000_000
# naive assumes its growth, so it is asked only where it is named.
MODELS = tuple(model for model in trends.MODELS if model != "naive")
EXAMPLE = "Write for example `start_year: [2002, 2012]`"


class Depth(StrEnum):
    """How much is worked out for each item: the functions behind one model, or the chain with its notebooks."""

    model = "model"
    notebooks = "notebooks"


# What an item may be told at each depth, the slowest to change first: what a sample costs is shared by the rest.
NAMES = {
    Depth.model: ("edition", "series", "basis", "start_year", "model", "horizon_year"),
    Depth.notebooks: ("edition", "series", "basis", "start_year", "horizon_year", "articles"),
}
# Why a name that is known elsewhere is not known here.
ELSEWHERE = {
    "articles": "has no effect on a model",
    "model": "is not for notebooks, which fit every model",
}


class Range(BaseModel):
    """Whole numbers from one to another, both among them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    first: int = Field(alias="from")
    last: int = Field(alias="to")
    step: int = Field(1, ge=1)


@dataclass(frozen=True)
class Grid:
    """The values of each parameter that is named, in the order of NAMES; `edition` is that of all others."""

    depth: Depth
    axes: Mapping[str, tuple[Any, ...]]
    edition: int

    def __len__(self) -> int:
        return prod(len(values) for values in self.axes.values())

    @property
    def shared(self) -> int:
        """How many items in a row ask about one sample, so that what one of them fits serves the others.

        >>> Grid(Depth.model, {"basis": ("yen", "usd"), "model": ("drift",), "horizon_year": (2030, 2033)}, 2025).shared
        2
        """
        return prod(len(values) for name, values in self.axes.items() if name in ("model", "horizon_year"))

    def item(self, number: int) -> dict[str, Any]:
        """What item `number` sets, by name; the last name changes fastest.

        >>> Grid(Depth.model, {"basis": ("yen", "usd"), "start_year": (2002, 2003, 2004)}, 2025).item(4)
        {'basis': 'usd', 'start_year': 2003}
        """
        found = {}
        for name, values in reversed(list(self.axes.items())):
            number, at = divmod(number, len(values))
            found[name] = values[at]
        return dict(reversed(list(found.items())))

    def parameters(self, number: int) -> dict[str, Any]:
        """Every parameter of item `number`, those that keep their defaults among them."""
        return {**parameters.Parameters().model_dump(), "edition": self.edition, **self.item(number)}


def read(path: Path, depth: Depth) -> Grid:
    """The grid that a file describes. Raises InputError naming the field for anything that cannot be swept.

    Parameters that cannot go together, such as a start year that leaves too few years, are not refused
    here: their item says so.
    """
    where = path.name
    if os.path.isfile(path) and path.stat().st_size > LARGEST_FILE:
        raise InputError(where, f"is larger than {LARGEST_FILE} bytes", "Use ranges: `{from: 2002, to: 2012}`")
    asked = rules.mapping(path, "parameters", EXAMPLE)
    allowed = NAMES[depth]
    for name in asked:
        if name in ELSEWHERE and name not in allowed:
            raise InputError(f"{where}, parameter {name}", ELSEWHERE[name], f"Valid: {', '.join(allowed)}")
        if name not in allowed:
            parameters.check({str(name): None}, allowed, f"{where}, parameter")  # which refuses it
    if depth is Depth.model:
        asked = {"model": list(MODELS), **asked}
    axes = {name: _values(name, asked[name], where) for name in allowed if name in asked}
    axes, latest = _at_hand(axes, where)
    for name, values in axes.items():
        if twice := {str(value) for value in values if values.count(value) > 1}:
            raise InputError(f"{where}, parameter {name}", f"holds {min(twice)} twice", "Name each value once")
    grid = Grid(depth, axes, latest)
    if not 0 < len(grid) <= MOST_ITEMS:
        raise InputError(where, f"has {len(grid)} combinations", f"Keep to {MOST_ITEMS} at most")
    return grid


def _values(name: str, given: Any, where: str) -> tuple[Any, ...]:
    """The values of one parameter, each of its type and in its range."""
    place = f"{where}, parameter {name}"
    if isinstance(given, dict):
        given = _spelled_out(given, place)
    elif not isinstance(given, list):
        given = [given]
    if not given:
        raise InputError(place, "is an empty list", EXAMPLE)
    for value in given:
        if isinstance(value, list | dict):
            raise InputError(place, f"holds a {type(value).__name__} in its list", EXAMPLE)
        if name == "model":
            if value not in trends.MODELS:
                raise InputError(place, f"{value!r} is no model", f"Choose from {', '.join(trends.MODELS)}")
        else:
            parameters.check({name: value}, where=f"{where}, parameter")
    return tuple(given)


def _spelled_out(given: Mapping[str, Any], place: str) -> list[int]:
    try:
        asked = Range.model_validate(given)
    except ValidationError as problem:
        first = problem.errors()[0]
        said = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg'].lower()}"
        raise InputError(place, f"is no range ({said})", "Write {from: 2002, to: 2012, step: 2}") from problem
    if asked.first > asked.last:
        raise InputError(place, f"runs from {asked.first} to {asked.last}, backwards", "Let from be the smaller")
    values = range(asked.first, asked.last + 1, asked.step)
    if len(values) > LONGEST_RANGE:
        raise InputError(place, f"has {len(values)} values", f"Keep a range to {LONGEST_RANGE} at most")
    return list(values)


def _at_hand(axes: Mapping[str, tuple[Any, ...]], where: str) -> tuple[dict[str, tuple[Any, ...]], int]:
    """`axes` with editions as years, and the latest edition; raises InputError for what is not at hand."""
    readings = clean.clean_aja_market_editions(sources.read("aja_market_editions"))
    found = dict(axes)
    try:
        if "edition" in axes:
            found["edition"] = tuple(clean.choose_edition(readings, edition) for edition in axes["edition"])
        for chosen in axes.get("articles", ()):
            rules.articles(chosen)
        _refuse_unknown_series(axes.get("series", ()))
    except InputError as problem:
        raise InputError(f"{where}, {problem.where}", problem.what, problem.do) from problem
    return found, clean.choose_edition(readings, "latest")


def _refuse_unknown_series(names: Iterable[str]) -> None:
    if set(names) <= {parameters.Parameters().series}:
        return
    known = clean.series_names(clean.clean_all())
    for name in names:
        if name not in known:
            raise InputError("parameter series", f"{name!r} is not at hand", f"Choose from {', '.join(known)}")
