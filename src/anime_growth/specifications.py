"""Many defensible ways to fit the trend, declared in specifications.yml, and what survives them all.

A conclusion "holds in k of n" of the cells that could be fitted and that it can be asked of. Cells are
no independent evidence: they look at the same few figures from many sides.

Assumes: splicing replaces the change into a marked year by the average of the other changes and leaves
the last level as it is; see the file itself for what the other words mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from anime_growth import expressions, trends, units
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities
from anime_growth.series import MIN_YEARS, Subject, slug_of

DECLARED = Path(__file__).parent / "specifications.yml"
MOST_CELLS = 400
AS_PRINTED, SPLICED, BEFORE_BREAK = "as_printed", "spliced", "before_break"
FACTORS = ("start_year", "basis", "edition", "model", "break_handling", "leave_out")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Block(_Strict):
    """A product of choices."""

    what: str
    start_year: list[int]
    basis: list[Literal["yen", "usd", "real"]]
    edition: list[int | Literal["latest"]]
    model: list[str]
    break_handling: list[Literal["as_printed", "spliced", "before_break"]]
    leave_out: list[Literal["none", "each"] | int]

    @field_validator("model")
    @classmethod
    def _known_models(cls, models: list[str]) -> list[str]:
        unknown = [model for model in models if model not in trends.MODELS]
        if unknown:
            raise ValueError(f"{unknown[0]} is no model; use {', '.join(trends.MODELS)}")
        return models


class Conclusion(_Strict):
    """A statement that each cell either bears out or not."""

    name: str
    say: str
    holds: str
    basis: list[Literal["yen", "usd", "real"]] = ["yen", "usd", "real"]
    model: list[str] = list(trends.MODELS)
    series: str | None = None


class Declared(_Strict):
    """The whole file."""

    blocks: list[Block]
    conclusions: list[Conclusion]

    def as_printed(self) -> dict[int, dict[str, list[str]]]:
        """Start -> basis -> models of what fits all figures as the newest edition prints them."""
        found: dict[int, dict[str, list[str]]] = {}
        for block in self.blocks:
            if "latest" in block.edition and AS_PRINTED in block.break_handling and "none" in block.leave_out:
                for start, basis in product(block.start_year, block.basis):
                    models = found.setdefault(start, {}).setdefault(basis, [])
                    models += [model for model in block.model if model not in models]
        return found


@dataclass(frozen=True)
class Cell:
    """One way to fit the trend."""

    start_year: int
    basis: str
    edition: int | str
    model: str
    break_handling: str
    leave_out: int | str

    @property
    def words(self) -> str:
        """The cell in a few words, its model and basis aside."""
        return f"start {self.start_year}, edition {self.edition}, {self.break_handling}, leave out {self.leave_out}"


def read(path: Path = DECLARED) -> Declared:
    """The declared grid. Raises InputError for what is not known in it."""
    try:
        return Declared.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        told = str(problem).splitlines()[0]
        raise InputError(path.name, f"is no YAML ({told})", "Compare it with the committed file") from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path.name}, field {field}", first["msg"], "Its head says what is allowed") from problem


def cells(declared: Declared, last_year: int) -> list[Cell]:
    """Every cell once, `each` spelled out year by year up to `last_year`.

    Raises InputError where there are more than MOST_CELLS.
    """
    found: dict[Cell, None] = {}
    for block in declared.blocks:
        for start, basis, edition, model, handling, left in product(
            block.start_year, block.basis, block.edition, block.model, block.break_handling, block.leave_out
        ):
            years: list[int | str] = list(range(start, last_year + 1)) if left == "each" else [left]
            found |= {Cell(start, basis, edition, model, handling, year): None for year in years}
    if len(found) > MOST_CELLS:
        raise InputError(DECLARED.name, f"declares {len(found)} cells", f"Keep to {MOST_CELLS} at most")
    return list(found)


def spliced(levels: pd.Series, marked: set[int]) -> pd.Series:
    """`levels` with the change into each marked year set to the average of the other changes.

    The last level stays; earlier ones move.

    >>> spliced(pd.Series([1.0, 2.0, 20.0, 40.0], index=[2018, 2019, 2020, 2021]), {2020}).round(6).to_list()
    [5.0, 10.0, 20.0, 40.0]
    """
    log = np.log(levels)
    changes = log.diff()
    inside = [year for year in marked if year in levels.index[1:]]
    if not inside or len(inside) >= len(levels) - 1:
        return levels
    changes[inside] = changes.drop(inside).mean()
    still_to_come = changes[::-1].cumsum()[::-1].shift(-1, fill_value=0.0)
    return np.exp(log.iloc[-1] - still_to_come)


def sample(cell: Cell, whole: Mapping[str, pd.Series], marked: set[int], vintages: Mapping[int, int]) -> pd.Series:
    """The levels that `cell` fits. Raises trends.CannotFit where it asks for an edition not at hand.

    `whole` maps a basis to levels of all years; `vintages` an edition to its newest year.
    """
    levels = whole[cell.basis]
    levels = levels[levels.index >= cell.start_year]
    if cell.edition != "latest":
        if not vintages:
            raise trends.CannotFit("editions are those of the market's reports")
        if cell.edition not in vintages:
            raise trends.CannotFit(f"edition {cell.edition} is not at hand")
        levels = levels[levels.index <= vintages[int(cell.edition)]]
    inside = sorted(year for year in marked if year in levels.index[1:])
    if cell.break_handling == BEFORE_BREAK and inside:
        levels = levels[levels.index < inside[0]]
    if cell.break_handling == SPLICED and len(levels) >= MIN_YEARS:
        levels = spliced(levels, marked)
    if cell.leave_out != "none":
        if cell.leave_out not in levels.index:
            raise trends.CannotFit(f"{cell.leave_out} is not in the sample")
        levels = trends.without(levels, int(cell.leave_out))
    return levels


def fitted(
    declared: Declared, whole: Mapping[str, pd.Series], breaks: pd.DataFrame, name: str, vintages: Mapping[int, int]
) -> pd.DataFrame:
    """One row a cell: its factors, years, growth with its interval [% a year], and why one is missing.

    A cell that comes to the same figures as an earlier one (no break inside, an edition that cuts
    nothing) is named and not counted again.

    `breaks` is the register, of which the marked years of series `name` count.
    """
    own = breaks[(breaks["series"] == name) & breaks["marks_growth"].astype(bool)]
    marked = {int(year) for year in own["year"].dropna()}
    last = max((int(levels.index[-1]) for levels in whole.values() if len(levels)), default=0)
    rows: list[dict[str, object]] = []
    seen: dict[tuple[str, str, bytes], Cell] = {}
    for cell in cells(declared, last):
        row: dict[str, object] = {factor: getattr(cell, factor) for factor in FACTORS}
        try:
            if cell.basis not in whole:
                raise trends.CannotFit(f"the series is not known in {cell.basis}")
            levels = sample(cell, whole, marked, vintages)
            first = seen.setdefault((cell.model, cell.basis, levels.to_json().encode()), cell)
            result = trends.fit(cell.model, levels)
            row |= {
                "first_year": result.years[0],
                "last_year": result.years[-1],
                "growth_pct": result.growth_pct,
                "growth_lo95_pct": result.growth_lo95,
                "growth_hi95_pct": result.growth_hi95,
                "finding": "; ".join(result.findings),
                "remark": "" if first is cell else f"not counted: the same figures as {first.words}",
            }
        except trends.CannotFit as reason:
            row["remark"] = f"not fitted: {reason}"
        rows.append(row)
    columns = [*FACTORS, "first_year", "last_year", "growth_pct", "growth_lo95_pct", "growth_hi95_pct", "finding"]
    columns.append("remark")
    table = pd.DataFrame(rows).reindex(columns=columns).astype({"first_year": "Int64", "last_year": "Int64"})
    numbers = ["growth_pct", "growth_lo95_pct", "growth_hi95_pct"]
    return table.astype({"edition": str, "leave_out": str, **dict.fromkeys(numbers, float)})


def by_model(declared: Declared, table: pd.DataFrame, known: Quantities, series: str) -> pd.DataFrame:
    """In how many of its cells each conclusion holds, model by model: `k of n` [model x conclusion]."""
    rows = {}
    for model in [model for model in trends.MODELS if model in set(table["model"])]:
        found = conclusions(declared, table[table["model"] == model], known, series)
        rows[model] = {row.conclusion: f"{row.holds_in} of {row.cells}" for row in found.itertuples() if row.cells}
    return pd.DataFrame.from_dict(rows, orient="index").fillna("")


def conclusions(
    declared: Declared, table: pd.DataFrame, known: Quantities, series: str = "market.overseas"
) -> pd.DataFrame:
    """Of each conclusion, in how many cells it holds: name, say, holds_in, cells, and what it lacks.

    A cell without an interval is not asked about one. A conclusion about a quantity that this run does
    not know is not judged, and says so.
    """
    values, rows = known.values_by_key(), []
    names = {"cell.growth": "growth_pct", "cell.growth_lo95": "growth_lo95_pct", "cell.growth_hi95": "growth_hi95_pct"}
    for conclusion in declared.conclusions:
        where = f"{DECLARED.name}, conclusion {conclusion.name}"
        wanted = expressions.keys(conclusion.holds, where)
        lacking = [key for key in wanted if key not in values and key not in names]
        used = [column for key, column in names.items() if key in wanted]
        stated = {key: values[key] for key in wanted if key in values}
        asked = table[(table["remark"] == "") & table["basis"].isin(conclusion.basis)]
        asked = asked[asked["model"].isin(conclusion.model)]
        asked = asked.dropna(subset=["growth_pct", *used])
        elsewhere = conclusion.series is not None and conclusion.series != series
        if lacking or elsewhere:
            asked = asked.iloc[:0]
        held = [
            bool(expressions.evaluate(conclusion.holds, stated | dict(zip(names, numbers, strict=True)), where))
            for numbers in asked[list(names.values())].itertuples(index=False)
        ]
        rows.append(
            {
                "conclusion": conclusion.name,
                "say": conclusion.say,
                "holds_in": sum(held),
                "cells": len(held),
                "evidence": "; ".join(key for key in wanted if key not in names and key in values),
                "remark": f"not judged: it is about {conclusion.series}"
                if elsewhere
                else f"not judged: {lacking[0]} is not known in this run"
                if lacking
                else "",
            }
        )
    return pd.DataFrame(rows)


def specification_quantities(found: pd.DataFrame, subjects: Mapping[str, Subject], known: Quantities) -> Quantities:
    """`specification.<slug>.<conclusion>.holds` and `.cells`, which rest on the levels in every basis."""
    q = Quantities(known.edition, known.values())
    slug = slug_of(next(iter(subjects.values())).name, "yen")
    levels = [subject.sample(q, "trend") for subject in subjects.values()]
    for row in found[found["cells"] > 0].itertuples():
        inputs = [*levels, *(key for key in row.evidence.split("; ") if key)]
        method = f"anime_growth.specifications.conclusions: {row.conclusion}"
        for measure, value, said in (
            ("holds", row.holds_in, "specifications in which"),
            ("cells", row.cells, "specifications that were asked whether"),
        ):
            key = f"specification.{slug}.{row.conclusion}.{measure}"
            q.record(key, value, units.COUNT, f"{said} {row.say}", method, inputs)
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])
