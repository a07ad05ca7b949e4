"""Figures: each function draws one finding and hands back picture, sentence and the data drawn.

Judgements made here, and why
-----------------------------
- A title is a sentence made from the values, so it stays true when they change; words such as
  "grew" or "fastest" are chosen by the values, and no figure is typed.
- Colours are Okabe and Ito's, which colour-blind readers can tell apart; each has one meaning in
  its group, and direct labels stand where a legend would be.
- A reading that is rounded, derived or of low confidence has a hollow marker; years that are not
  at hand are left open; a change of method or scope is a dashed line, and no line crosses scopes.

`drawing` holds what the figures share; the other modules hold the figures by what they show.
"""

from anime_growth.figures.claims import verdicts
from anime_growth.figures.drawing import COLUMNS, Drawing
from anime_growth.figures.market import (
    categories,
    content_exports,
    contributions,
    growth_split,
    market_cap,
    market_levels,
    overseas_growth,
    regions,
    revisions,
    studio_gap,
    three_measures,
)
from anime_growth.figures.models import (
    backtest,
    forecast_bands,
    growth_intervals,
    projections,
    residuals,
    specification_curve,
    trend_lines,
)
from anime_growth.figures.targets import target_chances, target_paths

__all__ = [
    "COLUMNS",
    "Drawing",
    "backtest",
    "categories",
    "content_exports",
    "contributions",
    "forecast_bands",
    "growth_intervals",
    "growth_split",
    "market_cap",
    "market_levels",
    "overseas_growth",
    "projections",
    "regions",
    "residuals",
    "revisions",
    "specification_curve",
    "studio_gap",
    "target_chances",
    "target_paths",
    "three_measures",
    "trend_lines",
    "verdicts",
]
