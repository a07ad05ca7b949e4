"""The only place where a figure changes its unit, and the only list of units there is.

The reports print money in oku-yen (100 million JPY). A slip of one power of ten there makes every
dollar level wrong and nothing else look odd, so no other module multiplies by a power of ten.
"""

from dataclasses import dataclass
from typing import Any

from anime_growth.errors import InputError


@dataclass(frozen=True)
class Unit:
    """A unit: its `name` in quantities, what it measures, its size, and the words a reader sees."""

    name: str
    dimension: str
    size: float
    digits: int
    text: str  # "{}" stands for the number


JPY_100M = Unit("100m JPY", "JPY", 1e8, 0, "JPY {} hundred million")
JPY_BN = Unit("bn JPY", "JPY", 1e9, 1, "JPY {} billion")
JPY_TRN = Unit("trn JPY", "JPY", 1e12, 2, "JPY {} trillion")
USD_M = Unit("m USD", "USD", 1e6, 0, "USD {} million")
USD_BN = Unit("bn USD", "USD", 1e9, 2, "USD {} billion")
PERCENT = Unit("%", "share", 0.01, 1, "{} %")
PERCENT_A_YEAR = Unit("% a year", "growth rate", 0.01, 1, "{} % a year")
POINTS = Unit("log points x100", "log change", 0.01, 1, "{} log points")
MULTIPLE = Unit("times", "multiple", 1, 2, "{} times")
RATIO = Unit("ratio", "ratio", 1, 2, "{}")
RATE = Unit("JPY per USD", "exchange rate", 1, 2, "JPY {} per dollar")
INDEX = Unit("2020=100", "price index", 1, 1, "{} (2020 = 100)")
RANK = Unit("rank", "rank", 1, 0, "rank {}")
YEAR = Unit("year", "year", 1, 0, "{}")
COUNT = Unit("count", "count", 1, 0, "{}")
INDEX_POINTS = Unit("index points", "stock index", 1, 0, "{} points")

UNITS = {
    unit.name: unit
    for unit in (
        *(JPY_100M, JPY_BN, JPY_TRN, USD_M, USD_BN, PERCENT, PERCENT_A_YEAR, POINTS, MULTIPLE),
        *(RATIO, RATE, INDEX, RANK, YEAR, COUNT, INDEX_POINTS),
    )
}

# The words the raw files and the articles use. `None`: the row holds words, not a measure.
RAW_UNITS: dict[str, Unit | None] = {
    "100 million JPY": JPY_100M,
    "billion JPY": JPY_BN,
    "trillion JPY": JPY_TRN,
    "million USD": USD_M,
    "billion USD": USD_BN,
    "%": PERCENT,
    "% yoy": PERCENT,
    "2020=100": INDEX,
    "JPY per USD": RATE,
    "count": COUNT,
    "firms": COUNT,
    "viewers": COUNT,
    "times": MULTIPLE,
    "year": YEAR,
    "rank": RANK,
    "index points": INDEX_POINTS,
    "growth only": None,
    "flag": None,
    "order": None,
    "name": None,
    "names": None,
    "text": None,
}


def from_raw(label: str, where: str) -> Unit | None:
    """The unit that a raw file calls `label`; None where the row holds words.

    Raises InputError naming `where` for a label nobody has declared.
    """
    if label not in RAW_UNITS:
        known = ", ".join(sorted(RAW_UNITS))
        raise InputError(where, f"unknown unit {label!r}", f"Use one of: {known}")
    return RAW_UNITS[label]


def convert(value: Any, unit: Unit, to: Unit) -> Any:
    """`value` [number, array or column] in `unit`, expressed in `to`.

    >>> convert(21702, JPY_100M, JPY_TRN)
    2.1702
    >>> convert(21702, JPY_100M, USD_BN)
    Traceback (most recent call last):
    anime_growth.errors.InputError: units: 100m JPY is JPY and bn USD is USD. Compare like with like.
    """
    if unit.dimension != to.dimension:
        raise InputError(
            "units",
            f"{unit.name} is {unit.dimension} and {to.name} is {to.dimension}",
            "Compare like with like",
        )
    # Powers of ten divide exactly one way only; choosing it keeps 21,702 -> 2.1702 free of dust.
    return value * (unit.size / to.size) if unit.size >= to.size else value / (to.size / unit.size)


def usd_bn(jpy_100m: Any, usdjpy: Any) -> Any:
    """Yen in units of 100 million [number or array] as billion USD at `usdjpy` yen per dollar.

    >>> round(usd_bn(21702, 151.4551), 2)
    14.33
    """
    return jpy_100m / (USD_BN.size / JPY_100M.size) / usdjpy


def jpy_100m(usd_bn: Any, usdjpy: Any) -> Any:
    """Billion USD at `usdjpy` yen per dollar as yen in units of 100 million; undoes `usd_bn`."""
    return usd_bn * usdjpy * (USD_BN.size / JPY_100M.size)


def readable(value: float, unit: Unit) -> Unit:
    """The unit of money in which a yen value reads best: trillions from one trillion on, else billions.

    >>> readable(21702, JPY_100M).name
    'trn JPY'
    """
    return JPY_TRN if abs(convert(value, unit, JPY_TRN)) >= 1 else JPY_BN


def number_text(value: float, digits: int) -> str:
    """A number as printed: thousands separated, a true minus sign.

    >>> number_text(-1234.56, 1)
    '−1,234.6'
    """
    text = f"{value:,.{digits}f}"
    if text.startswith("-"):
        is_zero = not text.strip("-0.,")
        text = text[1:] if is_zero else "−" + text[1:]
    return text
