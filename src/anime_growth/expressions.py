"""Arithmetic and comparisons written as data, parsed by a grammar and never run as Python.

A name is the key of a quantity (`market.overseas.level.2024`, `market.overseas.cagr.2002-2024`);
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
NUMBER: /\d+(\.\d+)?/
%import common.WS
%ignore WS
"""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_CALL: dict[str, Callable[..., float]] = {
    "abs": abs,
    "min": lambda *values: min(values),
    "max": lambda *values: max(values),
    "round": lambda value, digits=0: round(value, int(digits)),
}


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr")


@lru_cache(maxsize=4096)
def _tree(expression: str) -> Any:
    return _parser().parse(expression)


@v_args(inline=True)
class _Evaluate(Transformer[Token, Any]):
    def __init__(self, values: Mapping[str, float]) -> None:
        super().__init__()
        self.values = values

    def number(self, token: Token) -> float:
        return float(token)

    def percent(self, token: Token) -> float:
        return float(token) / 100

    def key(self, token: Token) -> float:
        return self.values[str(token)]

    def negative(self, value: float) -> float:
        return -value

    def add(self, a: float, b: float) -> float:
        return a + b

    def subtract(self, a: float, b: float) -> float:
        return a - b

    def multiply(self, a: float, b: float) -> float:
        return a * b

    def divide(self, a: float, b: float) -> float:
        return a / b

    def compare(self, a: float, operator: Token, b: float) -> bool:
        return _COMPARE[str(operator)](a, b)

    def and_(self, a: Any, b: Any) -> bool:
        return bool(a) and bool(b)

    def or_(self, a: Any, b: Any) -> bool:
        return bool(a) or bool(b)

    def call(self, name: Token, *arguments: float) -> float:
        return _CALL[str(name)](*arguments)


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
    tree = parse(expression, where)
    try:
        return list(dict.fromkeys(str(token) for token in tree.scan_values(lambda token: token.type == "KEY")))
    except RecursionError as problem:
        raise InputError(where, "an expression is nested too deeply", "Shorten it") from problem


def evaluate(expression: str, values: Mapping[str, float], where: str = "expression") -> Any:
    """The value of `expression`: a number, or true or false where it compares.

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
            raise cause from problem
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
