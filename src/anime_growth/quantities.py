"""Named numbers: each with its unit, printed digits, how it was computed and what it rests on.

A key reads `<series>.<measure>[.<variant>].<period>`. A quantity is either observed (a raw cell),
computed by a function from other quantities (the stored value is that function of the stored
inputs, so a reader can redo it), or fitted by a model from the levels it lists.
"""

import difflib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_growth import arithmetic, cells, units
from anime_growth.errors import InputError
from anime_growth.languages import say
from anime_growth.retelling import retold
from anime_growth.units import Unit

if TYPE_CHECKING:
    import pandas as pd

# What stands between the editions of a quantity that rests on several.
BETWEEN_EDITIONS = ", "
SERIES_WORDS = {
    "market.overseas": "overseas anime market",
    "market.domestic": "domestic anime market",
    "market.total": "whole anime market",
    "studio.overseas": "studios' overseas receipts",
    "studio.domestic": "studios' domestic receipts",
    "studio.total": "studios' receipts",
}

# What other series begin with.
FAMILY_WORDS = {
    "article": "claims of the article ",
    "category": "category ",
    "content": "overseas sales of content, ",
    "exports": "exports of ",
    "market_cap": "market value of ",
}

MODEL_WORDS = {
    "naive": "naive (no growth)",
    "drift": "drift (average growth)",
    "loglinear": "log-linear trend",
    "loglinear_ar1": "log-linear AR(1) trend",
    "segmented": "segmented trend",
    "damped_trend": "damped trend",
    "local_linear": "local linear trend",
    "combination": "combination (median)",
}


def model_name(model: str) -> str:
    """A model in words, without the remark in brackets.

    >>> model_name("drift"), model_name("loglinear_ar1")
    ('drift', 'log-linear AR(1) trend')
    """
    return say(MODEL_WORDS.get(model, model.replace("_", " ")).split(" (")[0])


def series_words(name: str) -> str:
    """A series in words.

    >>> series_words("market.overseas"), series_words("content.total")
    ('overseas anime market', 'overseas sales of content, total')
    """
    if name in SERIES_WORDS:
        return say(SERIES_WORDS[name])
    family, _, rest = name.partition(".")
    return retold(f"{FAMILY_WORDS.get(family, f'{family} ')}{rest}".replace("_", " "))


@dataclass(frozen=True)
class Quantity:
    """A named number. `inputs` are keys of other quantities or addresses of raw cells."""

    key: str
    value: float
    unit: str
    digits: int
    label: str
    method: str
    inputs: tuple[str, ...]
    edition: str
    confidence: str
    caveats: tuple[str, ...] = ()
    step: str = ""

    @property
    def period(self) -> str:
        """The last part of the key: a year, a date or a span."""
        return self.key.rsplit(".", 1)[1]

    @property
    def module(self) -> str:
        """The module whose function made it; empty for a number taken from a raw cell."""
        function = self.method.split(":")[0].split("(")[0]
        return function.rpartition(".")[0] if function.startswith(f"{__package__}.") else ""

    @property
    def number(self) -> str:
        """The value at its printed precision; a year without a thousands separator."""
        if self.unit == units.YEAR.name:
            return f"{self.value:.0f}"
        return units.number_text(self.value, self.digits)

    @property
    def is_modelled(self) -> bool:
        """Whether a model or a simulation made it, so that its last digits say little."""
        return bool(self.module) and self.module != arithmetic.__name__

    @property
    def text(self) -> str:
        """The value with its unit in words; oku-yen as the trillions or billions a reader expects."""
        if self.unit == units.YEAR.name:
            return say(units.YEAR.text).format(self.number)
        return units.in_words(self.value, units.UNITS[self.unit], self.digits, not self.is_modelled)

    def text_in(self, name: str) -> str:
        """The value in words, in the unit of money whose name begins with `name` (trn, bn, m); as `text` without one.

        Raises InputError where this quantity has no such unit.
        """
        if not name:
            return self.text
        own = units.UNITS[self.unit]
        same = (unit for unit in units.UNITS.values() if unit.dimension == own.dimension)
        wanted = next((unit for unit in same if unit.name.split()[0] == name), None)
        if wanted is None:
            raise InputError(f"quantity {self.key}", f"{own.name} has no unit {name!r}", "Write {key} without a unit")
        return self.in_unit(wanted).text

    def in_unit(self, unit: Unit, digits: int | None = None) -> "Quantity":
        """The same quantity shown in another unit of its dimension."""
        value = units.convert(self.value, units.UNITS[self.unit], unit)
        return replace(self, value=value, unit=unit.name, digits=unit.digits if digits is None else digits)


class Quantities(Mapping[str, Quantity]):
    """An ordered set of quantities; a key is given once and never changed."""

    def __init__(self, edition: str = "", items: Iterable[Quantity] = ()) -> None:
        self.edition = edition
        self._items: dict[str, Quantity] = {}
        for item in items:
            self._add(item)

    def __getitem__(self, key: str) -> Quantity:
        if key not in self._items:
            near = difflib.get_close_matches(key, self._items, n=3)
            do = f"Nearest: {', '.join(near)}" if near else "See quantities.json for the keys"
            raise InputError(f"quantity {key}", "does not exist in this run", do)
        return self._items[key]

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def _add(self, item: Quantity) -> None:
        if item.key in self._items:
            raise ValueError(f"quantity {item.key} is computed twice")
        if not math.isfinite(item.value):
            raise ValueError(f"quantity {item.key} is {item.value}")
        self._items[item.key] = item

    def observe(
        self,
        key: str,
        value: float,
        unit: Unit,
        label: str,
        cell: str,
        confidence: str = "high",
        caveats: tuple[str, ...] = (),
        edition: str | None = None,
        derivation: str = "",
        how: str = "as printed",
    ) -> None:
        """Take a number from the raw cell at address `cell`.

        `how` says where it is not printed in digits; `derivation` says how the collector computed a
        figure that was not printed itself.
        """
        method = f"derived by the collector: {derivation}" if derivation else how
        caveats = ("derived", *caveats) if derivation else caveats
        self._add(
            Quantity(
                key, float(value), unit.name, unit.digits, label, method, (cell,),
                self.edition if edition is None else edition, confidence, caveats,
            )
        )  # fmt: skip

    def compute(
        self,
        key: str,
        function: Callable[..., float],
        inputs: list[str],
        unit: Unit,
        label: str,
        digits: int | None = None,
        caveats: tuple[str, ...] = (),
    ) -> None:
        """Add `function(values of inputs)`; its own caveats come before those of the inputs."""
        value = function(*(self[name].value for name in inputs))
        self.record(key, value, unit, label, _name(function), inputs, digits, caveats)

    def record(
        self,
        key: str,
        value: float,
        unit: Unit,
        label: str,
        method: str,
        inputs: Iterable[str],
        digits: int | None = None,
        caveats: tuple[str, ...] = (),
    ) -> None:
        """Add a number that `method` made from `inputs`, as a fitted model does.

        Inputs are keys of quantities or addresses of raw cells. Its confidence is the lowest of the
        inputs', their caveats come with them, and its editions are theirs, each once.
        """
        inputs = tuple(inputs)
        items = [self[name] for name in inputs if not cells.is_address(name)]
        caveats = tuple(dict.fromkeys((*caveats, *(caveat for item in items for caveat in item.caveats))))
        confidence = min((item.confidence for item in items), key=cells.CONFIDENCE.index, default="high")
        editions = sorted({name for item in items if item.edition for name in item.edition.split(BETWEEN_EDITIONS)})
        self._add(
            Quantity(
                key, float(value), unit.name, unit.digits if digits is None else digits, label, method,
                inputs, BETWEEN_EDITIONS.join(editions) or self.edition, confidence, caveats,
            )
        )  # fmt: skip

    def value_or(self, key: str, other: float) -> float:
        """The value of a quantity, or `other` where this run does not know it."""
        return self._items[key].value if key in self._items else other

    def values_by_key(self) -> dict[str, float]:
        """Plain values, for expressions."""
        return {key: item.value for key, item in self._items.items()}

    def of_step(self, step: str) -> "Quantities":
        """The same quantities, marked as made by `step`."""
        return Quantities(self.edition, (replace(item, step=item.step or step) for item in self._items.values()))

    def joined(self, *others: "Quantities") -> "Quantities":
        """This set and the others, each key once."""
        return Quantities(self.edition, [item for group in (self, *others) for item in group.values()])

    def frame(self, keys: Iterable[str] | None = None) -> "pd.DataFrame":
        """Rows of key, value, unit, label, edition and confidence."""
        import pandas as pd  # a trace needs no table, and answers faster without

        chosen = self._items.values() if keys is None else [self[key] for key in keys]
        columns = ["key", "value", "unit", "label", "edition", "confidence"]
        return pd.DataFrame([vars(item) for item in chosen], columns=columns)

    def entries(
        self, rows: Mapping[str, dict[str, Any]] | None = None, commits: Mapping[str, str] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Every quantity as plain data, by key.

        With `rows` (see trace.raw_rows) raw cells are spelled out with hash and source; with `commits`
        (see trace.commits) each method has the commit that last changed its module.
        """
        found = {}
        for key, item in self._items.items():
            entry = {name: value for name, value in vars(item).items() if name != "key"}
            if commits is not None:
                entry["commit"] = commits.get(item.module, "")
            if rows is not None:
                entry["inputs"] = [
                    {"cell": name, **cells.parse(name), **rows[name.split("#")[0]]} if cells.is_address(name) else name
                    for name in item.inputs
                ]
            found[key] = entry
        return found

    def write(self, path: Path, **spelled_out: Any) -> None:
        """Save `entries` as JSON."""
        write_entries(self.entries(**spelled_out), path)

    @classmethod
    def read(cls, path: Path) -> "Quantities":
        """The quantities saved by `write`."""
        return cls.of_entries(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def of_entries(cls, entries: Mapping[str, Mapping[str, Any]]) -> "Quantities":
        """The quantities that `entries` describes."""
        items = []
        for key, entry in entries.items():
            parts = {name: value for name, value in entry.items() if name not in ("inputs", "caveats", "commit")}
            inputs = tuple(name if isinstance(name, str) else name["cell"] for name in entry["inputs"])
            items.append(Quantity(key, inputs=inputs, caveats=tuple(entry["caveats"]), **parts))
        return cls(items=items)


def write_entries(entries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Save what `Quantities.entries` gives as JSON."""
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _name(function: Callable[..., float]) -> str:
    if isinstance(function, partial):
        arguments = ", ".join(f"{name}={value}" for name, value in function.keywords.items())
        return f"{_name(function.func)}({arguments})"
    return f"{function.__module__}.{function.__name__}"
