"""The parameters of the study, typed: what a notebook, a command or a schedule may set."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anime_growth.errors import InputError


class Parameters(BaseModel):
    """Every parameter with its default and its range; unknown names and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    edition: Literal["latest"] | int = Field(
        "latest", description="year of the AJA report edition whose figures are used, or latest"
    )
    series: str = Field(
        "market.overseas",
        pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$",
        description="name of a level series, as notebook 1 lists them",
    )
    basis: Literal["yen", "usd", "real"] = Field(
        "yen", description="yen, usd (dollars at the year's average rate) or real (prices of 2020)"
    )
    start_year: int = Field(2002, ge=1990, le=2100, description="first year that the trend models see")
    horizon_year: int = Field(2033, ge=2025, le=2060, description="last year that is projected")
    articles: str = Field(
        "all",
        pattern=r"^[a-z0-9_]+( *, *[a-z0-9_]+)*$",
        description="articles whose claims are judged: all, or names of folders in data/raw/articles joined by commas",
    )
    language: Literal["en", "ja"] = Field(
        "en", description="language of narrative, report and figures: en (English) or ja (Japanese)"
    )


NAMES = tuple(Parameters.model_fields)
# Names under which secrets travel. The study needs none, and papermill would save their values for good.
SECRET = re.compile(r"pass|pwd|token|secret|credential|auth|key", re.IGNORECASE)


def check(values: Mapping[str, Any], allowed: Iterable[str] = NAMES, where: str = "parameter") -> Parameters:
    """`values` as Parameters.

    Raises InputError for a name that is not in `allowed` (naming the valid ones) and for a value of
    the wrong type or out of range (saying what was expected).
    """
    allowed = list(allowed)
    for name in values:
        if name not in allowed:
            _refuse_secret(name, where)
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise InputError(f"{where} {name}", "is unknown", f"{hint}Valid: {', '.join(allowed)}")
    try:
        return Parameters(**values)
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0])
        field = Parameters.model_fields[name]
        expected = {
            "edition": "a year such as 2025, or latest",
            "series": "a name such as market.overseas",
            "basis": "one of yen, usd, real",
            "articles": "all, or names joined by commas",
            "language": "one of en, ja",
        }.get(name)
        if expected is None:
            low, high = (
                next((getattr(m, side) for m in field.metadata if hasattr(m, side)), None) for side in ("ge", "le")
            )
            expected = f"a whole number from {low} to {high}"
        raise InputError(
            f"{where} {name}",
            f"{first['input']!r} ({type(first['input']).__name__}) is not {expected}",
            f"{name} means: {field.description}",
        ) from problem


def _refuse_secret(text: str, where: str) -> None:
    """Raise InputError where a name looks like that of a secret, without repeating what may be the secret itself."""
    if SECRET.search(text):
        name = re.split(r"\W", text)[0]
        raise InputError(
            f"{where} {name}", "looks like a secret, and parameters are saved in every record", "Leave it out"
        )


def from_text(pairs: Iterable[str]) -> dict[str, Any]:
    """`name=value` words of a command line as values; whole numbers become int.

    >>> from_text(["edition=2025", "edition_note=x"])
    {'edition': 2025, 'edition_note': 'x'}
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            _refuse_secret(pair, "parameter")
            raise InputError(f"parameter {pair!r}", "is not written name=value", "Write for example edition=2025")
        if name in values:
            raise InputError(f"parameter {name}", "is given twice", "Give it once")
        values[name] = int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text
    return values
