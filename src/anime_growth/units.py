"""The only place where a figure changes its unit, and the only list of units there is.

The reports print money in oku-yen (100 million JPY). A slip of one power of ten there makes every
dollar level wrong and nothing else look odd, so no other module multiplies by a power of ten.
"""

from dataclasses import dataclass
from functools import total_ordering
from typing import Any

from anime_growth.errors import InputError
from anime_growth.languages import BY_TEN_THOUSANDS, say, spoken


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
USD_100M = Unit("100m USD", "USD", 1e8, 1, "USD {} hundred million")
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
# How many oku, 100 million each, make one cho.
OKU_IN_CHO = 10_000

UNITS = {
    unit.name: unit
    for unit in (
        *(JPY_100M, JPY_BN, JPY_TRN, USD_M, USD_100M, USD_BN, PERCENT, PERCENT_A_YEAR, POINTS, MULTIPLE),
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
    return _scaled(value, unit.size, to.size)


def _scaled(value: Any, size: float, to: float) -> Any:
    """`value` of units of one `size` in units of another."""
    # Powers of ten divide exactly one way only; choosing it keeps 21,702 -> 2.1702 free of dust.
    return value * (size / to) if size >= to else value / (to / size)


def usd_bn(jpy_100m: Any, usdjpy: Any) -> Any:
    """Yen in units of 100 million [number or array] as billion USD at `usdjpy` yen per dollar.

    >>> round(usd_bn(21702, 151.4551), 2)
    14.33
    """
    return jpy_100m / (USD_BN.size / JPY_100M.size) / usdjpy


def jpy_100m(usd_bn: Any, usdjpy: Any) -> Any:
    """Billion USD at `usdjpy` yen per dollar as yen in units of 100 million; undoes `usd_bn`."""
    return usd_bn * usdjpy * (USD_BN.size / JPY_100M.size)


# What is a plain number however it is written: 56.5 %, 0.565 or 0.565 times.
_NUMBERS = ("share", "growth rate", "multiple", "ratio")
# Powers of yen and dollars in what may be multiplied and divided; a count is a plain number there.
_MONEY = {"JPY": (1, 0), "USD": (0, 1), "exchange rate": (1, -1), **dict.fromkeys((*_NUMBERS, "count"), (0, 0))}
_PRODUCTS = {(1, 0): JPY_100M, (0, 1): USD_BN, (1, -1): RATE, (0, 0): RATIO}


@total_ordering
@dataclass(frozen=True, eq=False)
class Amount:
    """A value with its unit, which takes part in arithmetic and refuses what has no meaning.

    A bare number beside it is read in its unit where the two are added or compared, and as a factor
    where they are multiplied. Raises InputError for units that do not go together.

    >>> Amount(21702, JPY_100M) / Amount(3.84, JPY_TRN)
    Amount(value=0.56515625, unit=Unit(name='ratio', dimension='ratio', size=1, digits=2, text='{}'))
    >>> Amount(56.5, PERCENT) > 50, Amount(56.5, PERCENT) > Amount(0.6, RATIO)
    (True, False)
    >>> Amount(21702, JPY_100M) + Amount(14.33, USD_BN)
    Traceback (most recent call last):
    anime_growth.errors.InputError: units: bn USD and 100m JPY do not go together. Compare like with like.
    """

    value: float
    unit: Unit

    def to(self, unit: Unit) -> float:
        """The value in `unit`."""
        both = {self.unit.dimension, unit.dimension}
        # Growth of 26 % is not 0.26 times: a multiple counts the level itself.
        if len(both) > 1 and not both <= set(_NUMBERS) - {"multiple"} and both != {"multiple", "ratio"}:
            raise InputError("units", f"{self.unit.name} and {unit.name} do not go together", "Compare like with like")
        return float(_scaled(self.value, self.unit.size, unit.size))

    def _beside(self, other: Any) -> float:
        return other.to(self.unit) if isinstance(other, Amount) else float(other)

    def __add__(self, other: Any) -> "Amount":
        return Amount(self.value + self._beside(other), self.unit)

    __radd__ = __add__

    def __neg__(self) -> "Amount":
        return Amount(-self.value, self.unit)

    def __sub__(self, other: Any) -> "Amount":
        return Amount(self.value - self._beside(other), self.unit)

    def __rsub__(self, other: Any) -> "Amount":
        return -self + other

    def __mul__(self, other: Any) -> "Amount":
        return self._product(other, 1) if isinstance(other, Amount) else Amount(self.value * other, self.unit)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Amount":
        return self._product(other, -1) if isinstance(other, Amount) else Amount(self.value / other, self.unit)

    def __rtruediv__(self, other: Any) -> "Amount":
        return Amount(float(other), RATIO)._product(self, -1)

    def _product(self, other: "Amount", power: int) -> "Amount":
        """`self` times `other`, or over it where `power` is -1."""
        own, their = self.unit, other.unit
        factor = other.value if power == 1 else 1 / other.value
        if power == -1 and own.dimension == their.dimension:
            return Amount(self.value * factor * (own.size / their.size), RATIO)
        mine, others = _MONEY.get(own.dimension), _MONEY.get(their.dimension)
        unit = None
        if mine and others:
            unit = _PRODUCTS.get((mine[0] + power * others[0], mine[1] + power * others[1]))
        if unit is None:
            what = f"{own.name} {'times' if power == 1 else 'over'} {their.name} has no unit here"
            raise InputError("units", what, "Multiply and divide money, rates and plain numbers only")
        return Amount(self.value * factor * (own.size * their.size**power / unit.size), unit)

    def __abs__(self) -> "Amount":
        return Amount(abs(self.value), self.unit)

    def __round__(self, digits: int = 0) -> "Amount":
        return Amount(round(self.value, digits), self.unit)

    def __eq__(self, other: object) -> bool:
        return self.value == self._beside(other)

    def __lt__(self, other: Any) -> bool:
        return self.value < self._beside(other)

    __hash__ = None  # type: ignore[assignment]


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


def in_words(value: float, unit: Unit, digits: int, is_exact: bool = True) -> str:
    """A number with its unit as a reader expects it, oku-yen as trillions or billions.

    Languages that group by ten thousands say cho and oku, to the oku where `is_exact`, else as finely as
    English does.

    >>> in_words(21702, JPY_100M, 0)
    'JPY 2.17 trillion'
    """
    if unit == JPY_100M:
        unit, value = readable(value, unit), convert(value, unit, readable(value, unit))
        digits = unit.digits
    if spoken() in BY_TEN_THOUSANDS and unit.dimension in ("JPY", "USD"):
        return _by_ten_thousands(value if is_exact else round(value, digits), unit, digits)
    return say(unit.text).format(number_text(value, digits))


def _by_ten_thousands(value: float, unit: Unit, digits: int) -> str:
    """An amount of money in cho and oku of yen, or in oku of dollars."""
    if unit.dimension == "USD":
        finer = max(0, digits - (1 if unit == USD_BN else -2))
        return say(USD_100M.text).format(number_text(convert(value, unit, USD_100M), finer).replace(",", ""))
    oku = round(convert(value, unit, JPY_100M))
    sign, (cho, rest) = "−" if oku < 0 else "", divmod(abs(oku), OKU_IN_CHO)
    if not cho:
        return say(JPY_100M.text).format(f"{sign}{rest}")
    trillions = f"{sign}{number_text(cho, 0)}"
    if not rest:
        return say(JPY_TRN.text).format(trillions)
    return say("JPY {cho} trillion {oku} hundred million", cho=trillions, oku=rest)
