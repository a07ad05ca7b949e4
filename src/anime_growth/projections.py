"""What the trend models say about the years ahead, and what a target asks of each baseline."""

import math
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from anime_growth import units
from anime_growth.errors import InputError
from anime_growth.quantities import MODEL_WORDS, SERIES_WORDS, Quantities, cagr_pct, ratio

if TYPE_CHECKING:  # what only speaks of fits need not load the libraries that make them
    from anime_growth.trends import Fit

# Names as they stand in quantity keys.
PROBABILITIES = {"p2_5": 0.025, "p10": 0.10, "p50": 0.50, "p90": 0.90, "p97_5": 0.975}
# The target under study, by its id in targets.csv, and the interim one announced with it.
CONTENT_TARGETS = {"content_2033": "T04", "content_2028": "T05"}


def project(fits: dict[str, "Fit"], last_year: int) -> pd.DataFrame:
    """Forecast quantiles [JPY 100m]: one row a model and year, columns as in PROBABILITIES."""
    parts = []
    for model, fit in fits.items():
        table = fit.quantiles(last_year, list(PROBABILITIES.values()))
        table.columns = pd.Index([f"{name}_jpy_100m" for name in PROBABILITIES])
        parts.append(table.reset_index().assign(model=model))
    if not parts:
        return pd.DataFrame(columns=["model", "year", *(f"{name}_jpy_100m" for name in PROBABILITIES)])
    joined = pd.concat(parts, ignore_index=True)
    return joined[["model", "year", *(f"{name}_jpy_100m" for name in PROBABILITIES)]]


def projection_quantities(
    projected: pd.DataFrame, fits: dict[str, "Fit"], known: Quantities, series: str = "overseas"
) -> Quantities:
    """Every quantile of every year as a named number, and the growth a year each median implies."""
    q = Quantities(known.edition, known.values())
    words = SERIES_WORDS[f"market.{series}"]
    for row in projected.itertuples():
        inputs = [f"market.{series}.level.{year}" for year in fits[row.model].years]
        for name, probability in PROBABILITIES.items():
            q.record(
                f"projection.{series}.{row.model}.{name}.{row.year}",
                getattr(row, f"{name}_jpy_100m"),
                units.JPY_100M,
                f"{words} in {row.year}, {probability:.1%} quantile, {MODEL_WORDS[row.model]}",
                f"anime_growth.trends.{row.model}",
                inputs,
            )
    for model, fit in fits.items():
        last = fit.years[-1]
        ahead = projected.loc[projected["model"] == model, "year"]
        if len(ahead):
            for end in sorted({last + 1, int(ahead.max())}):
                label = f"growth a year from {last} to {end} that the median implies, {MODEL_WORDS[model]}"
                pair = [f"projection.{series}.{model}.p50.{end}", f"market.{series}.level.{last}"]
                key = f"projection.{series}.{model}.growth.{last}-{end}"
                unit = units.PERCENT if end == last + 1 else units.PERCENT_A_YEAR
                q.compute(key, partial(cagr_pct, years=end - last), pair, unit, label)
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])


def target_quantities(targets: pd.DataFrame, content: pd.DataFrame, known: Quantities) -> Quantities:
    """The multiple and the growth a year that each content target asks of each baseline.

    Baselines: the target's own (`from_own`), every content total at hand in the current scope
    (`from_<year>`), and the newest rounded value as printed (`from_rounded_<year>`) and as the article
    uses it, given to the year after (`from_rounded_<year>_as_<year + 1>`). Units: JPY trn; % a year.
    """
    q = Quantities("", known.values())
    totals = [key for key in known if re.fullmatch(r"content\.total\.level\.\d{4}", key)]
    rounded = content[(content["scope"] == "rounded") & (content["sector"] == "total")]
    for row in rounded.sort_values("year").tail(1).itertuples():
        label = f"overseas sales of content, {row.year}, as rounded by {row.release}"
        key = f"content.total.level.rounded.{row.year}"
        q.observe(
            key, row.level_jpy_100m, units.JPY_100M, label, row.raw_cell, "medium", ("rounded",), row.release
        )  # fmt: skip
    for name, target_id in CONTENT_TARGETS.items():
        found = targets[targets["target_id"] == target_id]
        if found.empty:
            raise InputError(
                f"targets.csv, target {target_id}", "is missing", "Restore the row of the target under study"
            )
        row = found.iloc[0]
        year, base_year = int(row["target_year"]), int(row["baseline_year"])
        base = f"target.{name}"
        goal, own = f"{base}.level.{year}", f"{base}.baseline.{base_year}"
        label = f"target: {row['subject']}, {year}"
        q.observe(goal, row["high_jpy_trn"], replace(units.JPY_TRN, digits=0), label, f"{row['raw_row']}#value_high")
        label = f"baseline named with the target of {row['issuer']}, {base_year}"
        q.observe(
            own, row["baseline_jpy_trn"], replace(units.JPY_TRN, digits=1), label, f"{row['raw_row']}#baseline_value"
        )
        _ask(q, base, "own", goal, own, year - base_year, f"its own baseline of {base_year}")
        for key in totals:
            start = int(key.rsplit(".", 1)[1])
            _ask(q, base, str(start), goal, key, year - start, f"the total of {start}")
        for key in [key for key in q if key.startswith("content.total.level.rounded.")]:
            start = int(key.rsplit(".", 1)[1])
            _ask(q, base, f"rounded_{start}", goal, key, year - start, f"the rounded total of {start}")
            # The article gives the rounded value of a year to the year after: one year less to grow.
            words = f"the rounded total of {start}, taken for {start + 1}"
            _ask(q, base, f"rounded_{start}_as_{start + 1}", goal, key, year - start - 1, words)
    return Quantities("", [item for key, item in q.items() if key not in known])


def _ask(q: Quantities, base: str, label: str, goal: str, baseline: str, years: int, words: str) -> None:
    """Multiple and growth a year from `baseline` to `goal`, both brought to JPY 100m first."""

    def in_100m(key: str) -> float:
        return units.convert(1.0, units.UNITS[q[key].unit], units.JPY_100M)

    scale = in_100m(goal) / in_100m(baseline)
    multiple = partial(scaled_ratio, scale=scale)
    growth = partial(scaled_cagr_pct, years=years, scale=scale)
    pair = [goal, baseline]
    q.compute(f"{base}.multiple.from_{label}", multiple, pair, units.MULTIPLE, f"target over {words}")
    if years > 0:
        key = f"{base}.required_growth.from_{label}"
        q.compute(key, growth, pair, units.PERCENT_A_YEAR, f"growth a year that the target asks of {words}")


def scaled_ratio(first: float, second: float, scale: float) -> float:
    """`first` over `second`, whose units differ by `scale`."""
    return ratio(first * scale, second)


def scaled_cagr_pct(new: float, old: float, years: int, scale: float) -> float:
    """Compound growth a year between levels whose units differ by `scale` [%].

    >>> round(scaled_cagr_pct(20, 60044, years=9, scale=10_000), 2)
    14.3
    """
    return cagr_pct(new * scale, old, years)


def required_path(goal: float, baseline: float, first_year: int, last_year: int) -> pd.Series:
    """Levels of steady growth from `baseline` in `first_year` to `goal` in `last_year`."""
    years = range(first_year, last_year + 1)
    growth = math.log(goal / baseline) / (last_year - first_year)
    return pd.Series([baseline * math.exp(growth * (year - first_year)) for year in years], index=years)
