"""What the target for content sold overseas asks, and the chance that it is reached: figures of notebook 4."""

import re
import textwrap
from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from anime_growth.describe import CONTENT_TARGETS
from anime_growth.figures.drawing import (
    BLUE,
    INK,
    LABEL,
    ORANGE,
    SERIES,
    SKY,
    SMALL,
    Drawing,
    by_year,
    canvas,
    direction,
    finish,
    label,
    mark_target,
    matrix,
    need,
    range_text,
    signed,
    themed,
    tidy,
    trn,
    trn_text,
    values_by_year,
    year_axis,
    year_line,
)
from anime_growth.quantities import Quantities
from anime_growth.targets import goals, required_path
from anime_growth.units import JPY_TRN, number_text
from anime_growth.words import capital


@themed
def target_chances(found: pd.DataFrame, words: Mapping[str, str]) -> Drawing:
    """Each model's chance that content exports reach each target, under each assumption [%] (targets.chances)."""
    need(len(found), "no target lies ahead of a year with a content total, or no model could be fitted")
    years = found.drop_duplicates("target").set_index("target")["year"].sort_values()
    order = list(dict.fromkeys(found["model"]))
    keys = [key for key in words if key in set(found["assumption"])]
    figure, panels = canvas(0.42 * len(order) + 1.0, 1, len(years), sharey=True)
    for ax, (target, year) in zip(panels, years.items(), strict=True):
        part = found[found["target"] == target].pivot(index="model", columns="assumption", values="chance_pct")
        part = part.loc[order, keys]
        matrix(ax, part, part.map(lambda value: number_text(value, 0)), 100, ["white", SKY])
        ax.set_xticklabels([textwrap.fill(key.replace("_", " "), 9) for key in keys], fontsize=SMALL)
        ax.set_title(f"Target of {year}: chance, %", fontsize=LABEL, loc="left")
        sns.despine(ax=ax, left=True, bottom=True)
    last = found[found["target"] == years.index[-1]]
    reach = range_text(last["chance_pct"], 0)
    told = "; ".join(f"{key.replace('_', ' ')}: {words[key]}" for key in keys)
    return finish(
        "target_chances", figure, found,
        f"Chance of the target of {years.iloc[-1]}: {reach} %, by model and assumption",
        f"{capital(told)}. {found['draws'].iloc[0]:,} draws; Monte Carlo error at most "
        f"{number_text(found['error_points'].max(), 1)} points. None of this says which model is right.",
        "Tiles of chances for each model and assumption, a panel for each target.",
        "Human Media releases; AJA; target as announced",
    )  # fmt: skip


def _baselines(q: Quantities, stem: str) -> dict[str, tuple[str, int]]:
    """Baselines of a target's steady paths: words -> (key of the growth asked, first year)."""
    found = {
        f"from the level of {year}": (f"{stem}{year}", year) for year in list(by_year(q, "content.total.level"))[-2:]
    }
    for key in q:
        if match := re.fullmatch(re.escape(stem) + r"rounded_(\d+)_as_(\d+)", key):
            value = q[f"content.total.level.rounded.{match[1]}"].in_unit(JPY_TRN, 1).number
            found[f"from {value} of {match[1]}, taken for {match[2]}"] = (key, int(match[2]))
    return {words: (key, year) for words, (key, year) in found.items() if key in q}


def _growth_bars(ax: Axes, growth: pd.Series, colours: Mapping[str, str]) -> None:
    """A bar for each growth a year [%], its words above it and its size behind it."""
    ax.barh(range(len(growth)), growth, 0.5, color=[colours.get(words, INK) for words in growth.index])
    for place, (words, value) in enumerate(growth.items()):
        ax.text(0, place - 0.33, capital(str(words)), va="bottom", fontsize=LABEL)
        label(ax, max(value, 0), place, f"{signed(value)} %", dx=4)
    ends = (min(0, growth.min()) * 1.2, max(growth.max(), 0) * 1.25)
    ax.set(xlim=ends, ylim=(len(growth) - 0.6, -0.75), xticks=[], yticks=[])
    tidy(ax, "Growth a year")
    sns.despine(ax=ax, left=True, bottom=True)


@themed
def target_paths(content: pd.DataFrame, targets: pd.DataFrame, q: Quantities, horizon_year: int) -> Drawing:
    """Overseas sales of content and the steady growth a target asks of each baseline [JPY trn; % a year]."""
    aims = goals(q)
    made = trn(values_by_year(q, level="content.total.level")["level"])
    need(aims and len(made), "the target or the levels of content sold overseas are not at hand")
    goal = max(aims, key=aims.__getitem__)
    (year, level), last = aims[goal], made.index[-1]
    aim = trn(level)
    starts = _baselines(q, f"target.{goal}.required_growth.from_")
    need(starts, "the target asks no growth of any baseline at hand")
    parts = [pd.DataFrame({"kind": "level", "year": made.index, "level_jpy_trn": made})]
    figure, (ax, bars) = canvas(3.6, 1, 2, width_ratios=[1.25, 1])
    colours = dict(zip(starts, (SKY, BLUE, ORANGE), strict=False))
    for words, (key, start) in starts.items():
        path = required_path(aim, q[q[key].inputs[1]].in_unit(JPY_TRN).value, start, year).loc[:horizon_year]
        ax.plot(path.index, path, color=colours[words], linewidth=1.8, linestyle=(0, (5, 2)))
        column = {"year": path.index, "level_jpy_trn": path, "growth_pct": q[key].value}
        parts.append(pd.DataFrame({"kind": "path", "baseline": words, **column}))
    year_line(ax, made, SERIES["total"], markersize=5.5)
    if year <= horizon_year:
        parts.append(pd.DataFrame({"kind": "target", "year": [year], "level_jpy_trn": aim}))
        mark_target(ax, year, aim)
    text = f"{last}: {number_text(made[last], JPY_TRN.digits)}"
    label(ax, last, made[last], text, dx=1, dy=-12, fontsize=LABEL, fontweight="bold")
    ax.set_ylim(0, None)
    year_axis(ax, [*made.index, max(horizon_year, last)], most=8)
    tidy(ax, "Overseas sales of content, JPY trillion")
    asked = pd.Series({words: q[key].value for words, (key, _) in starts.items()})
    fair = [value for words, value in asked.items() if "taken for" not in words]  # a moved baseline is no baseline
    title = f"{trn_text(aim)} in {year} asks for {range_text(fair or asked)} % growth a year"
    growth = by_year(q, "content.total.growth").get(last)
    if growth is not None:
        asked[f"achieved in {last}"] = growth.value
        parts.append(pd.DataFrame({"kind": "achieved", "year": [last], "growth_pct": growth.value}))
        title += f"; in {last} content sold overseas {direction(growth.value)}"
    _growth_bars(bars, asked, colours)
    beyond = f" The target year {year} lies beyond the horizon." if year > horizon_year else ""
    releases = content.loc[(content["scope"] == "current") & (content["sector"] == "total"), "release"].nunique()
    announced = targets.set_index("target_id").loc[CONTENT_TARGETS[goal], "document"]
    return finish(
        "target_paths", figure, pd.concat(parts), title,
        f"Dashed: steady growth from each baseline to the target. {releases} releases of one scope.{beyond}",
        "Left, levels and dashed paths to the target by year; right, bars of the growth a year each baseline needs.",
        f"Human Media releases; target: {announced}",
    )  # fmt: skip
