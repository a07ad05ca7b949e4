"""What a target asks of each baseline, and each model's chance that it is reached.

Judgements made here, and why
-----------------------------
- The target is about overseas sales of all content in yen; the models know anime only. So a chance
  always rests on an assumption about the other sectors (SHARINGS), and three are shown.
- The other sectors have four totals in one scope, so their own growth has three yearly changes, which
  say almost nothing; it is drawn from a random walk with drift with Student's two degrees of freedom.
- Sectors and the exchange rate are drawn independently of anime. Sectors share the yen, so the truth may
  lie between "all at anime's rate" and "constant share"; rate and dollar sales were hardly correlated
  over the whole sample, but have moved apart since 2012.
- For the exchange rate, dollar sales grow by the model fitted to dollars, all content is taken to earn
  dollars, and the rate stays, goes back to its average, or walks at random without drift (RATES).
- Chances are simulated with SEED and DRAWS, the same draws for every model; the Monte Carlo error is
  that of a binomial share. It says nothing about whether a model is right.
"""

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from anime_growth import units
from anime_growth.arithmetic import cagr_pct, usd_bn
from anime_growth.describe import CONTENT_TARGETS
from anime_growth.quantities import MODEL_WORDS, Quantities

if TYPE_CHECKING:  # what a target asks needs no fits, and not the libraries that make them
    from anime_growth.series import Subject
    from anime_growth.trends import Fit

SHARINGS = {
    "constant_share": "anime keeps its share of the last year",
    "others_as_before": "anime as projected, the other sectors as in the scope at hand",
    "all_at_anime_rate": "all sectors at anime's rate, the others with luck of their own",
}
RATES = {
    "rate_stays": "dollar sales as projected, the yen as in the last year",
    "rate_average": "dollar sales as projected, the yen back at its average",
    "rate_walks": "dollar sales as projected, the yen walks at random",
}
SEED = 20_331_120
DRAWS = 20_000


def required_path(goal: float, baseline: float, first_year: int, last_year: int) -> pd.Series:
    """Levels of steady growth from `baseline` in `first_year` to `goal` in `last_year`."""
    years = range(first_year, last_year + 1)
    growth = math.log(goal / baseline) / (last_year - first_year)
    return pd.Series([baseline * math.exp(growth * (year - first_year)) for year in years], index=years)


# --- chances ------------------------------------------------------------------------------------
def goals(known: Quantities) -> dict[str, tuple[int, float]]:
    """Targets under study: name -> (year, level in JPY 100m)."""
    found = {}
    for name in CONTENT_TARGETS:
        for key in known:
            if match := re.fullmatch(rf"target\.{name}\.level\.(\d{{4}})", key):
                found[name] = (int(match[1]), known[key].in_unit(units.JPY_100M).value)
    return found


def _content(known: Quantities) -> pd.DataFrame:
    """Overseas sales of content and anime's part by year [JPY 100m], the years that have both."""
    totals = {
        int(key.rsplit(".", 1)[1]): item.value
        for key, item in known.items()
        if re.fullmatch(r"content\.total\.level\.\d{4}", key)
    }
    rows = {
        year: (total, known[f"market.overseas.level.{year}"].value)
        for year, total in totals.items()
        if f"market.overseas.level.{year}" in known
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["total", "anime"]).sort_index()


def chances(yen: Mapping[str, "Fit"], usd: Mapping[str, "Fit"], known: Quantities) -> pd.DataFrame:
    """Each model's chance of reaching each target under each assumption.

    `yen` and `usd` are fits of anime's overseas revenue. A row a target, assumption and model: target,
    year, assumption, words, model, chance_pct, error_points (Monte Carlo standard error), draws. A
    target that lies not after the last year has no rows, nor has a last year without a content total.
    """
    columns = ["target", "year", "assumption", "words", "model", "chance_pct", "error_points", "draws"]
    content = _content(known)
    rows: list[dict[str, object]] = []
    for target, (year, goal) in goals(known).items():
        for model, fit in yen.items():
            last = fit.years[-1]
            if last not in content.index or year <= last:
                continue
            # The same draws for every model and target, so that they differ by the model alone.
            own, others, rates = np.random.default_rng(SEED).uniform(size=(3, DRAWS))
            total, anime = content.loc[last]
            rest = total - anime
            growth = _growth_factors(fit, year - last, own)
            reached = {
                "constant_share": total * growth,
                "all_at_anime_rate": anime * growth + rest * _growth_factors(fit, year - last, others),
            }
            before = (content["total"] - content["anime"]).loc[:last]
            if len(before) > 3 and (np.diff(before.index) == 1).all():
                reached["others_as_before"] = anime * growth + rest * _few_changes(before, year - last, others)
            if model in usd:
                dollars = total * _growth_factors(usd[model], year - last, own)
                reached |= {
                    key: dollars * change for key, change in _rate_factors(known, usd[model], year, rates).items()
                }
            for assumption, words in {**SHARINGS, **RATES}.items():
                if assumption in reached:
                    share = float((reached[assumption] >= goal).mean())
                    rows.append(
                        {
                            "target": target, "year": year, "assumption": assumption, "words": words, "model": model,
                            "chance_pct": share * 100, "error_points": math.sqrt(share * (1 - share) / DRAWS) * 100,
                            "draws": DRAWS,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _few_changes(levels: pd.Series, horizon: int, uniform: np.ndarray) -> np.ndarray:
    """Level so many years ahead over the last one, by a drift from few changes: Student, as its spread is unsure."""
    from scipy import stats  # only here, where something is drawn

    changes = np.diff(np.log(levels.to_numpy()))
    variance, n = float(changes.var(ddof=1)), len(changes)
    spread = math.sqrt(horizon * variance + horizon**2 * variance / n)
    return np.exp(horizon * changes.mean() + spread * stats.t.ppf(uniform, n - 1))


def _growth_factors(fit: "Fit", horizon: int, uniform: np.ndarray) -> np.ndarray:
    """Level so many years ahead over the last one, drawn from the forecast by its quantile function."""
    log_level = fit.log_quantiles(np.array([horizon]), uniform)[0]
    return np.exp(log_level) / fit.levels.iloc[-1]


def _rate_factors(known: Quantities, fit: "Fit", year: int, uniform: np.ndarray) -> dict[str, np.ndarray | float]:
    """Yen per dollar in `year` over that of the last year, under each assumption."""
    from anime_growth import trends

    rates = pd.Series({sold: known[f"fx.usdjpy.level.{sold}"].value for sold in fit.years})
    walk = trends.naive(rates)
    return {
        "rate_stays": 1.0,
        "rate_average": float(rates.mean() / rates.iloc[-1]),
        "rate_walks": _growth_factors(walk, year - fit.years[-1], uniform),
    }


def chance_quantities(found: pd.DataFrame, yen: "Subject", usd: "Subject", known: Quantities) -> Quantities:
    """Chances as named numbers.

    `target.<name>.chance.<model>` is that of constant share, `target.<name>.chance.<assumption>.<model>`
    any other; `chance_error` is the Monte Carlo error in percentage points.
    """
    q = Quantities(known.edition, known.values())
    content = [key for key in known if re.fullmatch(r"content\.total\.level\.\d{4}", key)]
    in_yen, in_usd = yen.sample(q, "target"), usd.sample(q, "target")  # dollars rest on the rates, too
    for row in found.itertuples():
        inputs = [f"target.{row.target}.level.{row.year}", *content, in_usd if row.assumption in RATES else in_yen]
        variant = "" if row.assumption == "constant_share" else f".{row.assumption}"
        said = f"{MODEL_WORDS[row.model]}; {row.words}"
        method = f"anime_growth.targets.chances: {row.model}"
        for measure, value, words in (
            ("chance", row.chance_pct, f"chance that content exports reach the target of {row.year}"),
            ("chance_error", row.error_points, f"Monte Carlo error of the chance of {row.year}, percentage points"),
        ):
            key = f"target.{row.target}.{measure}{variant}.{row.model}"
            digits = 1 if measure == "chance" else 2
            q.record(key, value, units.PERCENT, f"{words}: {said}", method, inputs, digits)
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])


def rate_quantities(known: Quantities, years: list[int]) -> Quantities:
    """What the target asks in dollars: at the last year's rate, at the average, lowest and highest of `years`.

    Keys `target.<name>.level_usd.<rate>`, `target.<name>.required_growth_usd.<rate>`, from the content total
    of the last year that has one; a rate is `last`, `average`, `lowest` or `highest`.
    """
    q = Quantities(known.edition, known.values())
    content = _content(known)
    rates = {year: f"fx.usdjpy.level.{year}" for year in years if f"fx.usdjpy.level.{year}" in known}
    if content.empty or not rates or content.index[-1] not in rates:
        return Quantities(known.edition)
    last = int(content.index[-1])
    ordered = sorted(rates.values(), key=lambda key: known[key].value)
    span = f"{min(rates)}-{max(rates)}"
    q.compute(
        f"fx.usdjpy.average.{span}", average, list(rates.values()), units.RATE, f"average yen per US dollar, {span}"
    )  # fmt: skip
    chosen = {
        "last": rates[last], "average": f"fx.usdjpy.average.{span}", "lowest": ordered[0], "highest": ordered[-1]
    }  # fmt: skip
    total = f"content.total.level.{last}"
    for name, (year, _) in goals(known).items():
        goal = f"target.{name}.level.{year}"
        for words, rate in chosen.items():
            said = f"at {q[rate].text}, the {words} of {span}" if words != "last" else f"at the rate of {last}"
            key = f"target.{name}.level_usd.{words}"
            q.compute(key, target_usd_bn, [goal, rate], units.USD_BN, f"target of {year} in dollars, {said}", digits=0)
            if year > last:
                growth = partial(required_usd_pct, years=year - last)
                q.compute(
                    f"target.{name}.required_growth_usd.{words}", growth, [goal, rate, total, rates[last]],
                    units.PERCENT_A_YEAR, f"growth a year in dollars that the target of {year} asks of {last}, {said}",
                )  # fmt: skip
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])


def average(*values: float) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)


def target_usd_bn(goal_jpy_trn: float, usdjpy: float) -> float:
    """A target in trillion yen as billion dollars.

    >>> round(target_usd_bn(20, 150), 1)
    133.3
    """
    return usd_bn(units.convert(goal_jpy_trn, units.JPY_TRN, units.JPY_100M), usdjpy)


def required_usd_pct(goal_jpy_trn: float, goal_rate: float, level_jpy_100m: float, rate: float, years: int) -> float:
    """Growth a year in dollars from a yen level at one rate to a yen target at another [%].

    >>> round(required_usd_pct(20, 150, 100_000, 150, years=1), 6)
    100.0
    """
    return cagr_pct(target_usd_bn(goal_jpy_trn, goal_rate), usd_bn(level_jpy_100m, rate), years)
