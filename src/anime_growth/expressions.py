"""Arithmetic and comparisons written as data, parsed by a grammar and never run as Python.

Values are numbers, or amounts with units (units.Amount), which refuse what has no meaning. A name is
the key of a quantity (`market.overseas.level.2024`, `market.overseas.cagr.2002-2024`);
spaces stand around a minus sign that subtracts, because keys may hold hyphens.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput
from lark.exceptions import VisitError
from lark.visitors import v_args

from anime_growth.errors import InputError
from anime_growth.units import Amount

GRAMMAR = r"""
?start: either
?either: both | either "or" both                      -> or_
?both: comparison | both "and" comparison             -> and_
?comparison: sum | sum COMPARE sum                    -> compare
?sum: product | sum "+" product                       -> add | sum "-" product -> subtract
?product: atom | product "*" atom                     -> multiply | product "/" atom -> divide
?atom: NUMBER                                         -> number
     | NUMBER "%"                                     -> percent
     | KEY                                            -> key
     | "-" atom                                       -> negative
     | FUNCTION "(" either ("," either)* ")"          -> call
     | "(" either ")"
COMPARE: "<=" | ">=" | "==" | "!=" | "<" | ">"
FUNCTION.3: /(abs|min|max|round)(?=\()/
KEY.2: /[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*)+/
NUMBER: /\d{1,15}(\.\d{1,15})?/
%import common.WS
%ignore WS
"""

# Expressions are parsed once; more than this many at a time are parsed again.
REMEMBERED = 65536

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_CALL: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": lambda *values: min(_in_one_unit(values)),
    "max": lambda *values: max(_in_one_unit(values)),
    "round": lambda value, digits=0: round(value, int(digits)),
}


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr")


@lru_cache(maxsize=REMEMBERED)
def _tree(expression: str) -> Any:
    return _parser().parse(expression)


def _in_one_unit(values: tuple[Any, ...]) -> list[Any]:
    """Bare numbers take the unit of the first amount beside them."""
    first = next((value for value in values if isinstance(value, Amount)), None)
    return [value if first is None or isinstance(value, Amount) else Amount(value, first.unit) for value in values]


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError("a comparison is not a number")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("a number is neither true nor false")
    return value


@v_args(inline=True)
class _Evaluate(Transformer[Token, Any]):
    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.values = values

    def number(self, token: Token) -> float:
        return float(token)

    def percent(self, token: Token) -> float:
        return float(token) / 100

    def key(self, token: Token) -> Any:
        return self.values[str(token)]

    def negative(self, value: Any) -> Any:
        return -_number(value)

    def add(self, a: Any, b: Any) -> Any:
        return _number(a) + _number(b)

    def subtract(self, a: Any, b: Any) -> Any:
        return _number(a) - _number(b)

    def multiply(self, a: Any, b: Any) -> Any:
        return _number(a) * _number(b)

    def divide(self, a: Any, b: Any) -> Any:
        return _number(a) / _number(b)

    def compare(self, a: Any, operator: Token, b: Any) -> bool:
        return _COMPARE[str(operator)](_number(a), _number(b))

    def and_(self, a: Any, b: Any) -> bool:
        return _truth(a) & _truth(b)  # both are looked at, so that neither can be a number

    def or_(self, a: Any, b: Any) -> bool:
        return _truth(a) | _truth(b)

    def call(self, name: Token, *arguments: Any) -> Any:
        return _CALL[str(name)](*map(_number, arguments))


# A key as it stands inside an expression.
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*)+")


def parse(expression: str, where: str) -> Any:
    """The syntax tree of `expression`. Raises InputError at `where` if it does not parse."""
    try:
        return _tree(expression)
    except RecursionError as problem:
        raise InputError(where, "an expression is nested too deeply", "Shorten it") from problem
    except UnexpectedInput as problem:
        raise InputError(
            where,
            f"{expression!r} does not parse at column {problem.column}",
            "Use quantity keys, numbers, + - * /, comparisons, and, or, abs, min, max, round",
        ) from problem


def keys(expression: str, where: str = "expression") -> list[str]:
    """The quantity keys that `expression` uses, each once, in order.

    >>> keys("market.overseas.level.2024 / market.total.level.2024 > 0.5")
    ['market.overseas.level.2024', 'market.total.level.2024']
    """
    parse(expression, where)
    try:
        return list(_keys(expression))
    except RecursionError as problem:
        raise InputError(where, "an expression is nested too deeply", "Shorten it") from problem


@lru_cache(maxsize=REMEMBERED)
def _keys(expression: str) -> tuple[str, ...]:
    found = _tree(expression).scan_values(lambda token: token.type == "KEY")
    return tuple(dict.fromkeys(str(token) for token in found))


def evaluate(expression: str, values: Mapping[str, Any], where: str = "expression") -> Any:
    """The value of `expression`: a number or an amount with its unit, or true or false where it compares.

    >>> evaluate("2 * (a.b + 1) > 5", {"a.b": 2.0})
    True
    >>> evaluate("1 / (a.b - 2)", {"a.b": 2.0}, "rules.yml, C99")
    Traceback (most recent call last):
    anime_growth.errors.InputError: rules.yml, C99: '1 / (a.b - 2)' divides by zero. Guard it with a comparison.
    """
    tree = parse(expression, where)
    try:
        return _Evaluate(values).transform(tree)
    except RecursionError as problem:
        raise InputError(where, "an expression is nested too deeply", "Shorten it") from problem
    except VisitError as problem:
        cause = problem.orig_exc
        if isinstance(cause, ZeroDivisionError):
            raise InputError(where, f"{expression!r} divides by zero", "Guard it with a comparison") from problem
        if isinstance(cause, InputError):
            raise InputError(where, f"{expression!r}: {cause.what}", cause.do) from problem
        if isinstance(cause, KeyError):
            near = difflib.get_close_matches(cause.args[0], values, n=3)
            do = f"Nearest: {', '.join(near)}" if near else "See quantities.json for the keys"
            raise InputError(where, f"there is no quantity {cause.args[0]}", do) from problem
        raise InputError(where, f"{expression!r} cannot be computed ({cause})", "Compare numbers") from problem


_ARITHMETIC = re.compile(r"^[\d,.]+%?(\s*[-+x/]\s*\(?[\d,.]+%?(\+[\d,.]+)*\)?)+$")


def stated_arithmetic(derivation: str) -> float | None:
    """The result of arithmetic that a collector wrote down; None where it is not plain arithmetic.

    >>> round(stated_arithmetic("2501 / 151.39%"), 1)
    1652.0
    >>> round(stated_arithmetic("2017 value 409 / 193.4%"), 1)
    211.5
    >>> stated_arithmetic("domestic + overseas as transcribed") is None
    True
    """
    text = re.sub(r"\([^()]*[A-Za-z][^()]*\)", "", derivation)  # remarks in brackets
    text = re.sub(r"^\d{4} (value|chained index) |\bdomestic\b", "", text).strip()
    if not _ARITHMETIC.match(text):
        return None
    return float(evaluate(text.replace(",", "").replace("x", "*"), {}))
