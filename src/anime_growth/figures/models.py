"""What models make of one series: trends, backtests and specifications of notebook 3, projections of notebook 4."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from anime_growth import series, units
from anime_growth.figures.drawing import (
    BLUE,
    COLUMNS,
    GREEN,
    GRID,
    INK,
    LABEL,
    MODELS,
    ORANGE,
    SERIES,
    SMALL,
    VERMILLION,
    Drawing,
    canvas,
    dots,
    end_labels,
    finish,
    label,
    log_axis,
    matrix,
    need,
    range_text,
    signed,
    signed_percent,
    themed,
    tidy,
    year_axis,
    year_line,
)
from anime_growth.languages import say
from anime_growth.quantities import model_name
from anime_growth.series import SIGNIFICANT, Subject, named, printed_in
from anime_growth.units import JPY_100M, Unit, number_text
from anime_growth.words import capital, listed

if TYPE_CHECKING:  # fits arrive ready made; the libraries that make them stay unloaded here
    from anime_growth.trends import Fit

BASIS_WORDS = {basis: words.strip() or "in yen" for basis, words in series.BASIS_WORDS.items()}


def _need_fits(fits: Mapping[str, "Fit"], refused: Mapping[str, str]) -> None:
    reasons = listed(list(dict.fromkeys(refused.values())))
    form = "no trend model could be fitted, because {reasons}" if reasons else "no trend model could be fitted"
    need(fits, say(form, reasons=reasons))


def _about(subject: Subject, refused: Mapping[str, str]) -> str:
    """Sample, edition, and which models could not be fitted."""
    lacking = "".join(
        say(" Not fitted: {model} ({reason}).", model=model_name(model), reason=reason)
        for model, reason in refused.items()
    )
    form = "{series} {first} to {last}, edition {edition}." if subject.edition else "{series} {first} to {last}."
    said = say(
        form, series=capital(named(subject.name, subject.basis)), first=subject.levels.index[0],
        last=subject.last_year, edition=subject.edition,
    )  # fmt: skip
    return said + lacking


def _source(subject: Subject) -> str:
    return printed_in(subject.name, subject.basis, subject.edition)


def _least_and_most(values: dict[str, float], text: Callable[[float], str]) -> str:
    """`a (model) to b (model)`, or one value where there is one model."""
    ends = dict.fromkeys((min(values, key=values.__getitem__), max(values, key=values.__getitem__)))
    told = [say("{value} ({model})", value=text(values[model]), model=model_name(model)) for model in ends]
    return say("{low} to {high}", low=told[0], high=told[1]) if len(told) > 1 else told[0]


def _drawn_in(subject: Subject) -> Unit:
    """The unit in which a reader sees the levels: trillions or billions of yen, else the unit they have."""
    if subject.unit.dimension != JPY_100M.dimension:
        return subject.unit
    return units.readable(float(subject.levels.max()), subject.unit)


def _unit_words(unit: Unit) -> str:
    return say(capital(unit.text.replace("{} ", "").replace("{}", unit.name)))


def _years(count: int) -> str:
    return say("{count} year" if count == 1 else "{count} years", count=count)


def _model_rows(ax: Axes, models: Iterable[str]) -> None:
    """A row for each model, with lines of the scale only."""
    names = [capital(model_name(model)) for model in models]
    ax.set_yticks(range(len(names)), names, color=INK)
    ax.grid(False, axis="y")
    ax.grid(True, axis="x", color=GRID)


# --- the figures ------------------------------------------------------------------------------
@themed
def trend_lines(fits: Mapping[str, "Fit"], refused: Mapping[str, str], subject: Subject) -> Drawing:
    """Levels and each model's fitted values by year, with the growth a year it carries on [% a year]."""
    _need_fits(fits, refused)
    unit = _drawn_in(subject)
    parts, ends = [], []
    figure, (ax,) = canvas(4.6)
    for model, fit in fits.items():
        fitted = units.convert(fit.fitted, subject.unit, unit).rename("fitted")
        part = pd.concat([units.convert(fit.levels, subject.unit, unit).rename("level"), fitted], axis=1)
        parts.append(part.rename_axis("year").reset_index().assign(model=model, growth_pct=fit.growth_pct))
        colour = MODELS.get(model, INK)
        ax.plot(part.index, part["fitted"], color=colour, linewidth=2.0, alpha=0.9)
        text = f"{capital(model_name(model))} {signed_percent(fit.growth_pct)}"
        ends += [(year, value, text, colour) for year, value in fitted.dropna().tail(1).items()]
    data = pd.concat(parts).assign(unit=unit.name)
    points = data.drop_duplicates("year")
    dots(ax, points["year"], points["level"], SERIES["overseas"], size=26)
    log_axis(ax)
    year_axis(ax, points["year"])
    end_labels(ax, ends)
    tidy(ax, say("{unit}, logarithmic axis; labels: growth a year by the model", unit=_unit_words(unit)))
    growth = {model: fit.growth_pct for model, fit in fits.items() if model != "naive"}
    said = _least_and_most(growth or {"naive": 0.0}, lambda value: say("{} % a year").format(number_text(value, 1)))
    return finish(
        "trend_lines", figure, data, say("Fitted growth: {said}", said=said),
        say(
            "Dots: levels, lines: fitted values; naive assumes no growth. {about}",
            about=_about(subject, refused),
        ),
        say("Dots of levels by year on a logarithmic axis with a fitted line for each model."), _source(subject),
    )  # fmt: skip


@themed
def growth_intervals(
    by_basis: Mapping[str, Mapping[str, "Fit"]], refused: Mapping[str, str], subject: Subject
) -> Drawing:
    """Growth a year of each model with its 95 % interval, and its growth in the other bases [% a year]."""
    fits = by_basis.get(subject.basis, {})
    _need_fits(fits, refused)
    rows = [
        (basis, model, fit.growth_pct, fit.growth_lo95, fit.growth_hi95)
        for basis, found in by_basis.items()
        for model, fit in found.items()
        if model in fits
    ]
    numbers = dict.fromkeys(COLUMNS["growth_intervals"][2:], float)
    data = pd.DataFrame(rows, columns=COLUMNS["growth_intervals"]).astype(numbers)
    order = [model for model, _ in sorted(fits.items(), key=lambda item: item[1].growth_pct)]
    figure, (ax,) = canvas(0.5 * len(order) + 0.7)
    marks = dict(zip((basis for basis in by_basis if basis != subject.basis), "^s", strict=False))
    for place, model in enumerate(order):
        colour, fit = MODELS.get(model, INK), fits[model]
        low, high = fit.growth_lo95, fit.growth_hi95
        if low is None or high is None:
            words = "no growth by assumption" if model == "naive" else "{growth} %, no interval"
            words = say(words, growth=signed(fit.growth_pct))
        else:
            ax.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.6)
            words = say(
                "{growth} %   ({low} to {high})", growth=signed(fit.growth_pct), low=signed(low), high=signed(high)
            )
        dots(ax, [fit.growth_pct], [place], colour, [low is None], 60)
        if model != "naive":
            for number, (basis, mark) in enumerate(marks.items()):
                other = data.loc[(data["basis"] == basis) & (data["model"] == model), "growth_pct"]
                dots(ax, other, [place - 0.2 - 0.16 * number] * len(other), colour, [True] * len(other), 20, mark)
        label(ax, fit.growth_pct, place, words, dy=6, fontsize=LABEL)
    ax.axvline(0, color=INK, linewidth=1)
    _model_rows(ax, order)
    ax.set_ylim(-0.6, len(order) - 0.3)
    tidy(ax, x_label=say("% a year"))
    own = data[(data["basis"] == subject.basis) & (data["model"] != "naive")]
    sure, title = own.dropna(), say("No model has an interval of its growth")
    if len(sure):
        reach = range_text([*sure["growth_lo95_pct"], *sure["growth_hi95_pct"]])
        title = say(
            "The models put growth at {growth} % a year; their intervals reach from {reach}",
            growth=range_text(own["growth_pct"]), reach=reach,
        )  # fmt: skip
    shapes = [say(f"{shape} {BASIS_WORDS[basis]}") for basis, shape in zip(marks, ("triangle", "square"), strict=False)]
    beside = say("; hollow: {shapes}", shapes=listed(shapes)) if shapes else ""
    return finish(
        "growth_intervals", figure, data, title,
        say(
            "Nominal 95 % intervals {basis}{beside}. {about}",
            basis=say(BASIS_WORDS[subject.basis]), beside=beside, about=_about(subject, refused),
        ),
        say("Dots of growth a year for each model with horizontal 95 % intervals and a line at zero."),
        _source(subject),
    )  # fmt: skip


@themed
def residuals(fits: Mapping[str, "Fit"], checks: pd.DataFrame, refused: Mapping[str, str], subject: Subject) -> Drawing:
    """What each model leaves unexplained by year [log points], with two checks for autocorrelation.

    `checks` is trends.trend_table, of which durbin_watson and ljung_box_p are shown.
    """
    _need_fits(fits, refused)
    table = checks.set_index("model")
    left = pd.DataFrame({model: fit.residuals for model, fit in fits.items()}).T / units.POINTS.size
    left = left[sorted(left.columns)]
    data = left.rename_axis("model").melt(ignore_index=False, var_name="year", value_name="residual_log_points")
    data = data.dropna().reset_index().join(table[["durbin_watson", "ljung_box_p"]], on="model")
    signs = [model_name(model) for model in fits if table.loc[model, "ljung_box_p"] < SIGNIFICANT]
    figure, (ax,) = canvas(0.42 * len(left) + 0.6)
    most = float(left.abs().max(axis=None))
    blank = left.map(lambda _: "")
    matrix(ax, left, blank, most, [BLUE, "white", VERMILLION])
    years = [int(year) for year in left.columns]
    ax.set_xticks(
        [place + 0.5 for place in range(len(years))], [say("’{year}", year=f"{year % 100:02d}") for year in years]
    )
    for place, model in enumerate(left.index):
        durbin, p = table.loc[model, "durbin_watson"], table.loc[model, "ljung_box_p"]
        p_text = f"= {number_text(p, 2)}" if number_text(p, 2).strip("0.") else "< 0.01"
        words = f"DW {number_text(durbin, 2)}, LB p {p_text}"
        ax.annotate(words, (len(years), place + 0.5), (6, 0), textcoords="offset points", va="center", fontsize=SMALL)
    sns.despine(ax=ax, left=True, bottom=True)
    title = "The residuals of none of {all} models show autocorrelation"
    if signs:
        title = "The residuals of {some} of {all} models show autocorrelation: {models}"
    return finish(
        "residuals", figure, data, say(title, some=len(signs), all=len(fits), models=listed(signs)),
        say(
            "Red: above the model, blue: below, the deepest {most} log points. Runs of one colour are what a model "
            "misses. DW: Durbin-Watson, near 2 without autocorrelation; LB p: Ljung-Box, below {significant} a sign of "
            "it, from so few points a hint. {about}",
            most=number_text(most, 0), significant=f"{SIGNIFICANT:g}", about=_about(subject, refused),
        ),
        say("Tiles of residuals, a row for each model and a column for each year."), _source(subject),
    )  # fmt: skip


@themed
def backtest(scores: pd.DataFrame, subject: Subject) -> Drawing:
    """Errors of past forecasts against drift's, and how often the 80 % interval held, by model and horizon.

    `scores` is backtest.scores.
    """
    data = scores[scores["windows"] == "all"]
    need(len(data), "no model could be fitted to enough of the past to forecast the rest")
    figure, (left, right) = canvas(0.42 * data["model"].nunique() + 0.5, 1, 2, sharey=True)
    order = list(dict.fromkeys(data["model"]))

    def wide(column: str) -> pd.DataFrame:
        return data.pivot(index="model", columns="horizon", values=column).loc[order]

    ratio, cover, narrow = wide("male_to_drift"), wide("cover80"), wide("narrow80")
    said = ratio.map(lambda value: number_text(value, 2))
    matrix(left, np.log2(ratio.astype(float)), said, 1.8, [GREEN, "white", ORANGE])
    marked = cover.map(lambda value: number_text(value, 0)) + narrow.map(lambda said: " ▾" * (said == "too narrow"))
    matrix(right, cover - 80, marked, 80, [VERMILLION, "white", GREEN])
    left.set_title(say("Mean absolute log error, times drift's"), fontsize=LABEL, loc="left")
    right.set_title(say("% of outcomes inside the 80 % interval"), fontsize=LABEL, loc="left")
    for ax in (left, right):
        ax.set_xlabel(say("years ahead"))
        sns.despine(ax=ax, left=True, bottom=True)
    others = ratio.drop(index=["drift", "naive"], errors="ignore")
    losers = [model_name(model) for model in others.index[(others > 1).all(axis=1)]]
    title = "No model loses to drift at every horizon"
    if losers:
        title = "{some} of {all} models beside naive and drift lose to drift at every horizon: {models}"
        if len(losers) == len(others):
            title = "All {all} models beside naive and drift lose to drift at every horizon"
    counts = data.groupby("horizon")["forecasts"].max()
    told = [
        say("{count} at {years}", count=count, years=_years(int(str(horizon))))
        for horizon, count in counts.items()
        if horizon in (1, counts.index[-1])
    ]
    return finish(
        "backtest", figure, data, say(title, some=len(losers), all=len(others), models=listed(losers)),
        say(
            "{about} Windows grow year by year; forecasts: {forecasts}. Green is better than drift and more than 80 %. "
            "▾: so few hits would be chance in less than one case of twenty.",
            about=_about(subject, {}), forecasts=listed(told),
        ),
        say("Two tables of tiles by model and horizon: errors against drift, and coverage of the 80 % interval."),
        _source(subject),
    )  # fmt: skip


@themed
def forecast_bands(bands: pd.DataFrame, subject: Subject, horizon: int = 5) -> Drawing:
    """Each model's own 80 % interval so many years ahead beside the one from past errors (backtest.conformal)."""
    there = bands["horizon"].unique()
    need(len(there), "there are too few past forecasts for an interval from their errors")
    horizon = horizon if horizon in there else int(max(there))
    unit = _drawn_in(subject)
    data = bands[bands["horizon"] == horizon].assign(unit=unit.name)
    shown = ["median", "lo80", "hi80", "conformal_lo80", "conformal_hi80"]
    data[shown] = units.convert(data[shown], subject.unit, unit)
    figure, (ax,) = canvas(0.42 * len(data) + 0.7)
    for place, row in enumerate(data.itertuples()):
        colour = MODELS.get(row.model, INK)
        ax.plot([row.conformal_lo80, row.conformal_hi80], [place, place], color=colour, linewidth=1.2)
        ax.plot([row.lo80, row.hi80], [place, place], color=colour, linewidth=7, alpha=0.45, solid_capstyle="butt")
        dots(ax, [row.median], [place], colour, size=30)
    now = units.convert(float(subject.levels.iloc[-1]), subject.unit, unit)
    ax.axvline(now, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    log_axis(ax, "x")
    _model_rows(ax, data["model"])
    ax.set_ylim(len(data) - 0.4, -0.6)
    x_label = say("{unit}, logarithmic axis; dashed: level of {year}", unit=_unit_words(unit), year=subject.last_year)
    tidy(ax, x_label=x_label)
    wider = data[data["reach"] > data["own_reach"]]
    title = "{years} ahead the interval from past errors is wider than the model's own for {some} of {all} models"
    if len(wider) == len(data):
        title = "{years} ahead the interval from past errors is wider than the model's own for all {all} models"
    return finish(
        "forecast_bands", figure, data, say(title, years=_years(horizon), some=len(wider), all=len(data)),
        say(
            "{about} Forecasts for {year}. Thick: the model's own 80 % interval; thin: as far as {errors} past "
            "forecasts of {years} missed (split conformal); dot: median.",
            about=_about(subject, {}), year=data["year"].iloc[0], errors=data["errors"].max(), years=_years(horizon),
        ),
        say("Horizontal 80 % intervals for each model, its own thick and the empirical one thin."), _source(subject),
    )  # fmt: skip


def _choice(factor: str, choice: Any) -> str:
    """One choice of a specification in a few words."""
    if factor == "model":
        return model_name(choice)
    forms = {"start_year": "from {choice}", "edition": "edition {choice}", "leave_out": "one year left out"}
    if choice == "latest":
        return say("latest edition")
    form = forms.get(factor, BASIS_WORDS.get(choice, str(choice).replace("_", " ")))
    return say(form, choice=choice)


def _choice_marks(ax: Axes, data: pd.DataFrame, lines: Sequence[tuple[str, Any]], colours: pd.Series) -> None:
    """A line for each (factor, choice), with a mark at the place of every specification that made it."""
    marks = []
    for place, (factor, choice) in enumerate(lines):
        chosen = data["leave_out"] != "none" if factor == "leave_out" else data[factor] == choice
        marks.append(pd.DataFrame({"x": data.loc[chosen, "place"], "y": place, "colour": colours[chosen]}))
    drawn = pd.concat(marks)
    ax.scatter(drawn["x"], drawn["y"], s=3, marker="|", color=drawn["colour"])
    ax.set_yticks(range(len(lines)), [_choice(factor, choice) for factor, choice in lines], fontsize=6.5)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.set_xlim(0, len(data) + 1)
    tidy(ax, x_label=say("specifications, the lowest growth first"))


@themed
def specification_curve(cells: pd.DataFrame, conclusions: pd.DataFrame, subject: Subject) -> Drawing:
    """Growth with its 95 % interval in every declared specification, sorted, above the choices made in each."""
    counted = cells[cells["remark"] == ""].dropna(subset="growth_pct")
    fitted = counted.sort_values("growth_pct", kind="stable")
    need(len(fitted), "no specification could be fitted")
    data = fitted.assign(place=range(1, len(fitted) + 1))
    choices = {
        "model": [model for model in MODELS if model in set(data["model"])],
        "basis": [basis for basis in dict.fromkeys(cells["basis"]) if basis in set(data["basis"])],
        "break_handling": [way for way in dict.fromkeys(cells["break_handling"]) if way in set(data["break_handling"])],
        "start_year": sorted(set(data["start_year"])),
        "edition": sorted(set(data["edition"])),
    }
    lines = [(factor, choice) for factor, found in choices.items() for choice in found]
    lines.append(("leave_out", "a year"))
    figure, (ax, below) = canvas(2.6 + 0.155 * len(lines), 2, 1, sharex=True, height_ratios=[2.6, 0.155 * len(lines)])
    colours = data["model"].map(lambda model: MODELS.get(model, INK))
    ax.vlines(data["place"], data["growth_lo95_pct"], data["growth_hi95_pct"], color=colours, linewidth=0.8, alpha=0.35)
    ax.scatter(data["place"], data["growth_pct"], s=7, color=colours, zorder=3)
    ax.axhline(0, color=INK, linewidth=0.8)
    ends = data[["growth_lo95_pct", "growth_hi95_pct"]].stack()
    ax.set_ylim(max(ends.quantile(0.02), -40) - 2, min(ends.quantile(0.98), 80) + 2)
    tidy(ax, say("Growth, % a year, with nominal 95 % interval"))
    _choice_marks(below, data, lines, colours)
    held = [
        say("{conclusion} in {some} of {all}", conclusion=say(row.say), some=row.holds_in, all=row.cells)
        for row in conclusions.itertuples()
        if row.cells
    ]
    low, high = ax.get_ylim()
    is_cut = ends.min() < low or ends.max() > high
    cut = say(" Intervals are cut at the edge of the panel.") if is_cut else ""
    middle = data["growth_pct"].median()
    return finish(
        "specification_curve", figure, data.drop(columns="place"),
        say(
            "Over {count} specifications growth is {growth} % a year, {middle} in the middle",
            count=len(data), growth=range_text(data["growth_pct"]), middle=number_text(middle, 1),
        ),
        say(
            "{series}. {conclusions}. Specifications share their figures and are no independent evidence.{cut}",
            series=capital(named(subject.name, subject.basis)), conclusions=capital(say("; ").join(held)), cut=cut,
        ),
        say("Growth of every specification in rising order with its interval, and below it which choices made it."),
        _source(subject),
    )  # fmt: skip


@themed
def projections(projected: pd.DataFrame, fits: Mapping[str, "Fit"], subject: Subject) -> Drawing:
    """Past levels with each model's median, and each model's 80 and 95 % interval at the horizon."""
    need(fits and len(projected), "no trend model could be fitted, so none is projected")
    end, unit = int(projected["year"].max()), _drawn_in(subject)
    shown = [name for name in projected if re.fullmatch(r"p\d+(_5)?", name)]
    data = projected.assign(unit=unit.name)
    data[shown] = units.convert(data[shown], subject.unit, unit)
    levels = units.convert(subject.levels, subject.unit, unit)
    figure, (ax, right) = canvas(3.8, 1, 2, width_ratios=[1.3, 1])
    for model in fits:
        ahead = data[data["model"] == model].set_index("year")["p50"]
        joined = pd.concat([levels.tail(1), ahead])
        ax.plot(joined.index, joined, color=MODELS.get(model, INK), linewidth=1.8)
    year_line(ax, levels, SERIES["overseas"], markersize=0, linewidth=2)
    log_axis(ax)
    year_axis(ax, [*levels.index, end], most=7)
    tidy(ax, say("{unit}, logarithmic axis: medians", unit=_unit_words(unit)))
    last = data[data["year"] == end].sort_values("p50", ascending=False)
    for place, row in enumerate(last.itertuples()):
        colour = MODELS.get(row.model, INK)
        right.plot([row.p2_5, row.p97_5], [place, place], color=colour, linewidth=1.2)
        right.plot([row.p10, row.p90], [place, place], color=colour, linewidth=6, alpha=0.45, solid_capstyle="butt")
        dots(right, [row.p50], [place], colour, size=26)
        words = f"{capital(model_name(row.model))} {number_text(row.p50, 1)}"
        label(right, row.p50, place, words, dy=6, fontsize=SMALL)
    log_axis(right, "x")
    low, high = last["p2_5"].quantile(0.2), last["p97_5"].quantile(0.8)
    right.set_xlim(low / 2, high * 2)
    outside = (last["p2_5"] < low / 2) | (last["p97_5"] > high * 2)
    beyond = say(" Some reach beyond the panel.") if outside.any() else ""
    right.set(yticks=[], ylim=(len(last) - 0.5, -0.8))
    right.grid(True, axis="x", color=GRID)
    tidy(right, say("{year}: median, 80 and 95 % interval", year=end))
    medians = _least_and_most({row.model: row.p50 for row in last.itertuples()}, lambda value: number_text(value, 1))
    past = pd.DataFrame({"year": levels.index, "level": levels.to_numpy(), "unit": unit.name})
    return finish(
        "projections", figure, pd.concat([past, data]),
        say(
            "Medians for {end}, {unit}: {medians}; {level} in {last}",
            end=end, unit=_unit_words(unit), medians=medians, level=number_text(levels.iloc[-1], 1),
            last=subject.last_year,
        ),
        say(
            "Intervals are the models' own; the backtest shows how often such have held.{beyond} {about}",
            beyond=beyond, about=_about(subject, {}),
        ),
        say("Left, past levels and the median of each model; right, each model's intervals in the last year."),
        _source(subject),
    )  # fmt: skip
