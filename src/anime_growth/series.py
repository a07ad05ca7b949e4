"""The series under study: which levels the models see, in which currency and prices.

Levels come as quantities, so a model's result can be followed to raw cells whatever the series is.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anime_growth import units
from anime_growth.arithmetic import count
from anime_growth.errors import InputError
from anime_growth.languages import say
from anime_growth.quantities import Quantities, series_words
from anime_growth.units import Unit

# parameter `basis` -> (measure in keys, end of names, words)
BASES = {
    "yen": ("level", "", ""),
    "usd": ("level_usd", "_usd", " in dollars"),
    "real": ("level_real", "_real", " in prices of 2020"),
}
BASIS_WORDS = {basis: words for basis, (_, _, words) in BASES.items()}
_SOURCES = {
    "market": "AJA Anime Industry Report, {} edition",
    "studio": "AJA Anime Industry Report, edition {}",
    "category": "AJA Anime Industry Report, edition {}",
    "content": "Human Media, {}",
}
# Where rates and prices come from.
_BESIDE = {"yen": "", "usd": "; FRED AEXJPUS", "real": "; World Bank consumer prices"}
# With fewer years nothing is fitted; see trends.
# A p-value below this is told as a sign; Durbin-Watson above this means errors that alternate.
SIGNIFICANT = 0.05
ALTERNATING = 2
MIN_YEARS = 8
# Years that a figure may describe; see the schemas in clean.
YEARS = range(1900, 2101)
# Overseas revenue behaves differently since; backtests look at these first years, too.
LATER_STARTS = (2012, 2015)


@dataclass(frozen=True)
class Subject:
    """One series in one basis: its levels by year, and the quantities that they are.

    `name` is the series in keys (`market.overseas`), `slug` what stands in keys of results
    (`overseas`, `overseas_usd`, `studio_overseas`), `source` the line under a figure, `remark` what was
    left out and why.
    """

    name: str
    basis: str
    unit: Unit
    words: str
    levels: pd.Series
    keys: Mapping[int, str]
    edition: str
    source: str
    remark: str = ""

    @property
    def slug(self) -> str:
        """The series and its basis as one part of a key."""
        return slug_of(self.name, self.basis)

    @property
    def last_year(self) -> int:
        """The last year of the sample."""
        return int(self.levels.index[-1])

    def sample(self, q: Quantities, family: str) -> str:
        """Key of the sample as one quantity, `<family>.<slug>.sample.<span>`, put into `q` where it is missing.

        Results rest on it, and it rests on the levels; that spares each result a long list.
        """
        span = f"{self.levels.index[0]}-{self.last_year}" if len(self.levels) else "none"
        key = f"{family}.{self.slug}.sample.{span}"
        if key not in q:
            label = f"years of the sample, {self.words} {span}"
            q.compute(key, count, list(self.keys.values()), units.COUNT, label)
        return key


def slug_of(name: str, basis: str) -> str:
    """A series and its basis as one part of a key.

    >>> slug_of("market.overseas", "usd"), slug_of("studio.overseas", "yen")
    ('overseas_usd', 'studio_overseas')
    """
    return name.removeprefix("market.").replace(".", "_") + BASES[basis][1]


def available(known: Quantities) -> list[str]:
    """Names of all series with levels by year in one edition or scope."""
    found = (
        re.fullmatch(r"(market\.\w+)\.level\.\d{4}|(\w+\.\w+)\.level(?:_usd)?\.series\.\d{4}", key) for key in known
    )
    return list(dict.fromkeys(match[1] or match[2] for match in found if match))


def choose(known: Quantities, name: str, basis: str, start_year: int) -> Subject:
    """Levels of series `name` in `basis` from `start_year` on, in their last run without a gap.

    Raises InputError for a series or basis that is not at hand, and where `start_year` cuts a series
    that is long enough below MIN_YEARS.
    """
    measure, _, _ = BASES[basis]
    keys = _keys(known, name, measure)
    if not keys:
        names = available(known)
        if name not in names:
            raise InputError("parameter series", f"{name!r} is not at hand", f"Choose one of {', '.join(names)}")
        there = ", ".join(bases_of(known, name))
        raise InputError("parameter basis", f"{name} is not known in {basis}", f"Choose one of {there}")
    years = np.array(sorted(keys))
    printed = sorted({year for other, _, _ in BASES.values() for year in _keys(known, name, other)})
    gaps = np.flatnonzero(np.diff(years) > 1)
    run = years[gaps[-1] + 1 :] if len(gaps) else years
    kept = [int(year) for year in run if year >= start_year]
    if len(kept) < MIN_YEARS <= len(run):
        raise InputError(
            "parameter start_year",
            f"{start_year} leaves {len(kept)} of {len(run)} years, and at least {MIN_YEARS} are needed",
            f"Choose {run[-MIN_YEARS]} or earlier",
        )
    remarks = []
    earlier = sum(year < start_year for year in run)
    if earlier:
        remarks.append(f"{earlier} earlier years are left out by start_year.")
    later = [year for year in _later(known, name) if year > years[-1]]
    if later:
        remarks.append(f"It ends in {years[-1]}; later years stand in other editions and are not joined.")
    lacking = sorted(set(printed) - set(keys))
    if lacking:
        remarks.append(f"No rate or price is at hand for {', '.join(map(str, lacking))}.")
    if len(gaps):
        remarks.append(f"It has a gap after {years[gaps[-1]]}, so it starts in {run[0]}.")
    editions = dict.fromkeys(known[keys[year]].edition for year in kept)
    unit = units.UNITS[known[keys[years[0]]].unit]
    levels = pd.Series([known[keys[year]].value for year in kept], index=kept, dtype=float)
    chosen = {year: keys[year] for year in kept}
    edition = ", ".join(editions)
    words, source = named(name, basis), printed_in(name, basis, edition)
    return Subject(name, basis, unit, words, levels, chosen, edition, source, " ".join(remarks))


def named(name: str, basis: str) -> str:
    """A series with its basis in words."""
    return series_words(name) + say(BASIS_WORDS[basis])


def printed_in(name: str, basis: str, edition: str) -> str:
    """Where the levels of a series come from, in words."""
    return say(_SOURCES.get(name.split(".")[0], "added series")).format(edition) + say(_BESIDE[basis])


def in_every_basis(known: Quantities, name: str, start_year: int) -> dict[str, Subject]:
    """The series in each basis that it has; one that `start_year` cuts too short for a trend is left out."""
    found = {}
    for basis in bases_of(known, name):
        with suppress(InputError):
            found[basis] = choose(known, name, basis, start_year)
    return found


def bases_of(known: Quantities, name: str) -> list[str]:
    """The bases in which a series is known; a count has one only, `yen`, which leaves it as it is."""
    return [basis for basis, (measure, _, _) in BASES.items() if _keys(known, name, measure)]


def _later(known: Quantities, name: str) -> list[int]:
    """Years that any edition prints of a series."""
    return list(_by_year(known, f"{name}.level"))


def _keys(known: Quantities, name: str, measure: str) -> dict[int, str]:
    """Keys of the levels of a series by year; a market is printed whole in the edition in use."""
    variant = "" if name.startswith("market.") else ".series"
    return _by_year(known, f"{name}.{measure}{variant}")


def _by_year(known: Quantities, beginning: str) -> dict[int, str]:
    """Keys `<beginning>.<year>` by year, looked up rather than searched for: among many series a search takes long."""
    keys = {year: f"{beginning}.{year}" for year in YEARS}
    return {year: key for year, key in keys.items() if key in known}
