"""The figure of a series that a reader brings along; it is no figure of the study."""

import math

import pandas as pd

from anime_growth.figures.drawing import (
    MODELS,
    SERIES,
    Drawing,
    canvas,
    end_labels,
    finish,
    log_axis,
    themed,
    tidy,
    writing,
    year_axis,
    year_line,
)
from anime_growth.units import number_text
from anime_growth.words import capital

# An interval narrower than the median over this is told by as many figures as one that is as wide.
LEAST_SPREAD = 10_000


@themed
def outlook(name: str, model: str, growth: str, levels: pd.Series, forecasts: pd.DataFrame, source: str) -> Drawing:
    """Levels by year, the median of what is forecast, and its 80 and 95 % intervals, in the series' own unit."""
    with writing(name + source):
        colour, end = MODELS[model], forecasts.index[-1]
        last = pd.DataFrame({column: levels.iloc[-1] for column in forecasts}, index=levels.index[-1:])
        ahead = pd.concat([last, forecasts])
        figure, (ax,) = canvas(3.8)
        for low, high, strength in (("p2_5", "p97_5", 0.15), ("p10", "p90", 0.3)):
            ax.fill_between(ahead.index, ahead[low], ahead[high], color=colour, alpha=strength, linewidth=0)
        ax.plot(ahead.index, ahead["p50"], color=colour, linewidth=1.8)
        year_line(ax, levels, SERIES["overseas"])
        log_axis(ax)
        year_axis(ax, [*levels.index, *forecasts.index])
        digits = _digits(ahead.loc[end])
        names = {"p50": "median", "p10": "80 %", "p90": "80 %", "p2_5": "95 %", "p97_5": "95 %"}
        end_labels(ax, [(end, ahead.at[end, column], f"{said}: {number_text(ahead.at[end, column], digits)}", colour)
                        for column, said in names.items()])  # fmt: skip
        tidy(ax, f"{capital(name)}, logarithmic axis")
        data = pd.concat([levels.rename("level"), forecasts], axis=1).rename_axis("year").reset_index()
        return finish(
            "outlook", figure, data, f"{capital(name)}: {growth}",
            f"Line and dots: levels to {levels.index[-1]}; bands: 80 and 95 % intervals of the forecasts to {end}, "
            "which are the model's own.",
            "Levels by year, and the median of the forecasts in two bands.", source,
        )  # fmt: skip


def _digits(quantiles: pd.Series) -> int:
    """As many decimals as tell the ends of the widest interval apart by two figures."""
    spread = max(quantiles["p97_5"] - quantiles["p2_5"], quantiles["p50"] / LEAST_SPREAD)
    return max(0, 1 - math.floor(math.log10(spread)))
