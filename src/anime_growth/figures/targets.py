"""What the target for content sold overseas asks, and the chance that it is reached: figures of notebook 4."""

import re
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
    folded,
    label,
    mark_target,
    matrix,
    need,
    range_text,
    signed_percent,
    themed,
    tidy,
    trn,
    trn_text,
    values_by_year,
    year_axis,
    year_line,
)
from anime_growth.languages import say
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
        ax.set_xticklabels(["\n".join(folded(say(key.replace("_", " ")), 9)) for key in keys], fontsize=SMALL)
        ax.set_title(say("Target of {year}: chance, %", year=year), fontsize=LABEL, loc="left")
        sns.despine(ax=ax, left=True, bottom=True)
    last = found[found["target"] == years.index[-1]]
    reach = range_text(last["chance_pct"], 0)
    told = say("; ").join(
        say("{name}: {meaning}", name=say(key.replace("_", " ")), meaning=say(words[key])) for key in keys
    )
    return finish(
        "target_chances", figure, found,
        say(
            "Chance of the target of {year}: {reach} %, by model and assumption",
            year=years.iloc[-1], reach=reach,
        ),
        say(
            "{assumptions}. {draws} draws; Monte Carlo error at most {error} points. None of this says which model is "
            "right.",
            assumptions=capital(told), draws=f"{found['draws'].iloc[0]:,}",
            error=number_text(found["error_points"].max(), 1),
        ),
        say("Tiles of chances for each model and assumption, a panel for each target."),
        say("Human Media releases; AJA; target as announced"),
    )  # fmt: skip


MOVED = "from {value} of {of}, taken for {year}"


def _baselines(q: Quantities, stem: str) -> dict[str, tuple[str, int, str]]:
    """Baselines of a target's steady paths: name -> (key of the growth asked, first year, words)."""
    found = {}

    def add(key: str, year: int, form: str, **values: object) -> None:
        found[form.format(year=year, **values)] = (key, year, say(form, year=year, **values))

    for year in list(by_year(q, "content.total.level"))[-2:]:
        add(f"{stem}{year}", year, "from the level of {year}")
    for key in q:
        if match := re.fullmatch(re.escape(stem) + r"rounded_(\d+)_as_(\d+)", key):
            value = q[f"content.total.level.rounded.{match[1]}"].in_unit(JPY_TRN, 1).number
            add(key, int(match[2]), MOVED, value=value, of=match[1])
    return {name: baseline for name, baseline in found.items() if baseline[0] in q}


def _growth_bars(ax: Axes, growth: pd.Series, colours: Mapping[str, str]) -> None:
    """A bar for each growth a year [%], its words above it and its size behind it."""
    ax.barh(range(len(growth)), growth, 0.5, color=[colours.get(words, INK) for words in growth.index])
    for place, (words, value) in enumerate(growth.items()):
        ax.text(0, place - 0.33, capital(str(words)), va="bottom", fontsize=LABEL)
        label(ax, max(value, 0), place, signed_percent(value), dx=4)
    ends = (min(0, growth.min()) * 1.2, max(growth.max(), 0) * 1.25)
    ax.set(xlim=ends, ylim=(len(growth) - 0.6, -0.75), xticks=[], yticks=[])
    tidy(ax, say("Growth a year"))
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
    for name, (key, start, _) in starts.items():
        path = required_path(aim, q[q[key].inputs[1]].in_unit(JPY_TRN).value, start, year).loc[:horizon_year]
        ax.plot(path.index, path, color=colours[name], linewidth=1.8, linestyle=(0, (5, 2)))
        column = {"year": path.index, "level_jpy_trn": path, "growth_pct": q[key].value}
        parts.append(pd.DataFrame({"kind": "path", "baseline": name, **column}))
    year_line(ax, made, SERIES["total"], markersize=5.5)
    if year <= horizon_year:
        parts.append(pd.DataFrame({"kind": "target", "year": [year], "level_jpy_trn": aim}))
        mark_target(ax, year, aim)
    text = say("{year}: {level}", year=last, level=number_text(made[last], JPY_TRN.digits))
    label(ax, last, made[last], text, dx=1, dy=-12, fontsize=LABEL, fontweight="bold")
    ax.set_ylim(0, None)
    year_axis(ax, [*made.index, max(horizon_year, last)], most=8)
    tidy(ax, say("Overseas sales of content, JPY trillion"))
    asked = pd.Series({words: q[key].value for key, _, words in starts.values()})
    # A moved baseline is no baseline.
    fair = [q[key].value for name, (key, _, _) in starts.items() if "taken for" not in name]
    title = say(
        "{level} in {year} asks for {growth} % growth a year",
        level=trn_text(aim), year=year, growth=range_text(fair or asked),
    )  # fmt: skip
    growth = by_year(q, "content.total.growth").get(last)
    if growth is not None:
        asked[say("achieved in {year}", year=last)] = growth.value
        parts.append(pd.DataFrame({"kind": "achieved", "year": [last], "growth_pct": growth.value}))
        title += say("; in {year} content sold overseas {change}", year=last, change=direction(growth.value))
    _growth_bars(bars, asked, {words: colours[name] for name, (_, _, words) in starts.items() if name in colours})
    beyond = say(" The target year {year} lies beyond the horizon.", year=year) if year > horizon_year else ""
    releases = content.loc[(content["scope"] == "current") & (content["sector"] == "total"), "release"].nunique()
    announced = targets.set_index("target_id").loc[CONTENT_TARGETS[goal], "document"]
    return finish(
        "target_paths", figure, pd.concat(parts), title,
        say(
            "Dashed: steady growth from each baseline to the target. {releases} releases of one scope.{beyond}",
            releases=releases, beyond=beyond,
        ),
        say(
            "Left, levels and dashed paths to the target by year; right, bars of the growth a year each baseline "
            "needs."
        ),
        say("Human Media releases; target: {document}", document=announced),
    )  # fmt: skip
