"""Figures: each function draws one finding and hands back picture, sentence and the data drawn.

Judgements made here, and why
-----------------------------
- A title is a sentence made from the values, so it stays true when they change; words such as
  "grew" or "fastest" are chosen by the values, and no figure is typed.
- Colours are Okabe and Ito's, which colour-blind readers can tell apart; each has one meaning in
  its group, and direct labels stand where a legend would be.
- A reading that is rounded, derived or of low confidence has a hollow marker; years that are not
  at hand are left open; a change of method or scope is a dashed line, and no line crosses scopes.
"""

import functools
import itertools
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

from anime_growth import units
from anime_growth.arithmetic import ratio
from anime_growth.describe import MARKET_CAP_GROUPS, contiguous
from anime_growth.quantities import MODEL_WORDS, Quantities, Quantity, model_name
from anime_growth.targets import CONTENT_TARGETS, required_path
from anime_growth.units import JPY_100M, JPY_BN, JPY_TRN, PERCENT, Unit, number_text
from anime_growth.words import capital, listed, short_ordinal

if TYPE_CHECKING:  # fits arrive ready made; the libraries that make them stay unloaded here
    from anime_growth.series import Subject
    from anime_growth.trends import Fit

# --- what a colour means ----------------------------------------------------------------------
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8C8C8C"
BROWN = "#8B5A2B"  # an eighth that stays apart from them
INK, QUIET, GRID = "#262626", "#5F5F5F", "#E4E4E4"
SERIES = {"overseas": VERMILLION, "domestic": BLUE, "total": BLACK}
MEASURES = {"in yen": VERMILLION, "in dollars": GREEN, "after consumer prices": PURPLE, "exchange rate": ORANGE}
MODELS = dict(zip(MODEL_WORDS, itertools.cycle((GREY, SKY, GREEN, PURPLE, ORANGE, BLUE, BLACK, BROWN)), strict=False))
VERDICTS = {
    "supported": GREEN,
    "supported with a caveat": ORANGE,
    "contradicted": VERMILLION,
    "not checkable": GREY,
}
CAP_GROUPS = {"entertainment_nine": ("Entertainment", VERMILLION), "automakers_nine": ("Automakers", GREY)}

# --- what is drawn: the columns of each figure's data, each ending in its unit -------------------
COLUMNS = {
    "revisions": [
        *("series", "year", "first_edition", "first_jpy_100m", "last_edition", "last_jpy_100m"),
        *("change_pct", "lowest_confidence"),
    ],
    "market_levels": ["year", "series", "level_jpy_trn"],
    "overseas_growth": ["year", "growth_pct", "rank", "has_caveat"],
    "contributions": ["year", "overseas_points_pct", "domestic_points_pct", "total_growth_pct"],
    "three_measures": ["year", "measure", "level_index"],
    "growth_split": ["year", "dollars_log_points", "rate_log_points", "yen_log_points"],
    "studio_gap": ["year", "over_studio_times", "confidence"],
    "categories": ["category", "year", "edition", "level_jpy_bn", "growth_pct", "is_derived"],
    "content_exports": ["year", "scope", "level_jpy_trn", "is_exact"],
    "regions": ["measure", "year", "region", "share_pct", "contracts_count"],
    "market_cap": ["date", "group", "level_jpy_trn", "is_derived"],
    "trend_lines": ["model", "year", "unit", "level", "fitted", "growth_pct"],
    "growth_intervals": ["basis", "model", "growth_pct", "growth_lo95_pct", "growth_hi95_pct"],
    "residuals": ["model", "year", "residual_log_points", "durbin_watson", "ljung_box_p"],
    "backtest": [
        *("model", "horizon", "forecasts", "mase", "rmsle", "male", "male_to_naive", "male_to_drift"),
        *("cover80", "cover95", "narrow80", "narrow95", "interval_score", "interval_score95", "above"),
    ],
    "forecast_bands": [
        *("model", "horizon", "year", "unit", "errors", "median", "lo80", "hi80", "conformal_lo80"),
        *("conformal_hi80", "reach", "own_reach"),
    ],
    "specification_curve": [
        *("start_year", "basis", "edition", "model", "break_handling", "leave_out", "first_year", "last_year"),
        *("growth_pct", "growth_lo95_pct", "growth_hi95_pct"),
    ],
    "projections": ["model", "year", "unit", "level", "p2_5", "p10", "p25", "p50", "p75", "p90", "p97_5"],
    "target_chances": ["target", "year", "assumption", "model", "chance_pct", "error_points", "draws"],
    "target_paths": ["kind", "baseline", "year", "level_jpy_trn", "growth_pct"],
    "verdicts": ["claim_id", "verdict", "kind"],
}

BASIS_WORDS = {"yen": "in yen", "usd": "in dollars", "real": "in prices of 2020"}

# --- words ------------------------------------------------------------------------------------
SERIES_NAMES = {"overseas": "overseas", "domestic": "domestic", "total": "the whole market"}
KINDS = {
    "scope": "change of scope",
    "method": "change of method",
    "event": "one-off event",
    "currency": "exchange rate",
}
CATEGORY_NAMES = {"tv": "TV", "pachinko_amusement": "pachinko and amusement"}
SIGNIFICANT = 0.05  # a p-value below this is taken as a sign of autocorrelation

WIDTH, MARGIN = 8.0, 0.15  # inches
PIXELS_PER_INCH = 110
TITLE, SUBTITLE, LABEL, SMALL = 13.0, 9.5, 8.5, 7.5  # points
_LOOK = {
    **{"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": LABEL, "text.color": INK},
    **{"axes.edgecolor": QUIET, "axes.labelcolor": QUIET, "axes.labelsize": LABEL, "axes.grid.axis": "y"},
    **{"axes.titlesize": LABEL + 0.5, "axes.titlelocation": "left", "axes.titleweight": "bold"},
    **{"grid.color": GRID, "hatch.linewidth": 0.8, "xtick.color": QUIET, "ytick.color": QUIET},
    **{"xtick.bottom": True, "xtick.major.size": 3, "svg.fonttype": "path"},
}
P = ParamSpec("P")
Mark = tuple[float, str, str]  # year, words, colour
End = tuple[float, float, str, str]  # x, y, words, colour


def _theme(**more: Any) -> AbstractContextManager[None]:
    """The look of all figures, whatever the reader's own settings are; undone on leaving."""
    return matplotlib.style.context(["default", sns.axes_style("whitegrid"), {**_LOOK, **more}])


@dataclass(frozen=True, eq=False, repr=False)
class Drawing:
    """A figure with its finding, words for those who cannot see it, and exactly what is drawn."""

    name: str
    title: str
    alt: str
    data: pd.DataFrame
    figure: Figure

    def svg(self) -> bytes:
        """The picture as SVG, the same bytes at any time and in any process."""
        about = {"Date": None, "Creator": "anime_growth", "Title": self.title, "Description": self.alt}
        picture = BytesIO()
        with _theme(**{"svg.hashsalt": f"anime_growth {self.name}"}):
            self.figure.savefig(picture, format="svg", metadata=about)
        return picture.getvalue()

    def __repr__(self) -> str:
        return f"Figure {self.name}: {self.title} ({len(self.data)} rows drawn)"

    def png(self) -> bytes:
        """The picture in pixels, for notebooks."""
        picture = BytesIO()
        with _theme():
            self.figure.savefig(picture, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
        return picture.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str | bytes]:
        """Pixels for the eye, and the finding in words, which nbval compares (it never looks at pixels)."""
        return {"image/png": self.png(), "text/plain": repr(self)}


class _Nothing(Exception):
    """There is nothing to draw; the message says why."""


def _themed(draw: Callable[P, Drawing]) -> Callable[P, Drawing]:
    """Draw in the look of the study, leave the reader's settings as they were, and survive missing data."""

    @functools.wraps(draw)
    def themed(*args: P.args, **kwargs: P.kwargs) -> Drawing:
        with _theme():
            try:
                return draw(*args, **kwargs)
            except _Nothing as reason:
                return _nothing(draw.__name__, str(reason))

    return themed


def _need(there: Any, reason: str) -> None:
    if not there:
        raise _Nothing(reason)


def _nothing(name: str, reason: str) -> Drawing:
    """A figure that says in a sentence why there is nothing to draw."""
    figure, (ax,) = _canvas(0.4)
    ax.set_axis_off()
    return _finish(
        name, figure, pd.DataFrame(), f"Nothing to draw: {reason}", "", "An empty figure.", "tables of this run"
    )


# --- numbers and words ------------------------------------------------------------------------
def _direction(value: float) -> str:
    """The verb for a change of `value` per cent, with its size."""
    size = number_text(abs(value), PERCENT.digits)
    return f"{'grew' if value > 0 else 'shrank'} {size} %" if size.strip("0.") else "hardly changed"


def _signed(value: float) -> str:
    """A number at the printed precision of a percentage, with its sign, plus included."""
    text = number_text(value, PERCENT.digits)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _category(name: str) -> str:
    return CATEGORY_NAMES.get(name, name.replace("_", " "))


def _trn(value: Any) -> Any:
    """Oku-yen as trillion JPY [number, array or column]."""
    return units.convert(value, JPY_100M, JPY_TRN)


def _trn_text(value: float, digits: int = JPY_TRN.digits) -> str:
    return JPY_TRN.text.format(number_text(value, digits))


def _range(values: Iterable[float], digits: int = PERCENT.digits) -> str:
    """Lowest to highest in words, or the one value where they print alike."""
    found = list(values)
    return " to ".join(dict.fromkeys(number_text(value, digits) for value in (min(found), max(found))))


def _edition(q: Quantities) -> str:
    """The edition that the market's levels come from."""
    return next((item.edition for key, item in q.items() if key.startswith("market.overseas.level.")), q.edition)


def _aja(edition: Any) -> str:
    return f"AJA Anime Industry Report, {edition} edition"


def _by_year(q: Quantities, stem: str) -> dict[int, Quantity]:
    """Quantities `<stem>.<year>`, oldest first."""
    split = ((key.rpartition("."), item) for key, item in q.items())
    return dict(sorted((int(period), item) for (head, _, period), item in split if head == stem and period.isdecimal()))


def _values(q: Quantities, **stems: str) -> pd.DataFrame:
    """Values of quantities `<stem>.<year>`: a row for each year that has all of them, a column a stem."""
    found = {name: {year: item.value for year, item in _by_year(q, stem).items()} for name, stem in stems.items()}
    return pd.DataFrame(found, columns=list(stems), dtype=float).sort_index().rename_axis("year").dropna()


# --- paper, title and source line ---------------------------------------------------------------
def _canvas(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure outside pyplot, `height` inches without title and source line, and its panels."""
    figure = Figure(figsize=(WIDTH, height), dpi=100)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def _wrapped(text: str, size: float, width: float) -> list[str]:
    """`text` in even lines that fit the page; `width` is a letter's mean width in parts of its size."""
    letters = int((WIDTH - 2 * MARGIN) * 72 / (size * width))
    text = text.replace(" %", "\N{NO-BREAK SPACE}%").replace("JPY ", "JPY\N{NO-BREAK SPACE}")
    wrap = functools.partial(textwrap.wrap, text, break_on_hyphens=False)
    fewest = len(wrap(letters))
    even = (wrap(tried) for tried in range(letters // 2, letters + 1))
    return next(lines for lines in even if len(lines) <= fewest)


def _finish(
    name: str, figure: Figure, data: pd.DataFrame, title: str, subtitle: str, drawn: str, source: str,
    notes: Iterable[str] = (),
) -> Drawing:  # fmt: skip
    """Set title, subtitle, notes and source line, give them room, and fix the layout for good."""
    head: list[tuple[list[str], float, dict[str, Any]]] = [
        (_wrapped(title, TITLE, 0.64), TITLE, {"fontweight": "bold"}),
        (_wrapped(subtitle, SUBTITLE, 0.56), SUBTITLE, {"color": QUIET}),
    ]
    foot = [line for note in (*notes, f"Source: {source}. anime_growth") for line in _wrapped(note, SMALL, 0.55)]
    header = 0.25 + sum(len(lines) * size * 1.3 / 72 + 0.04 for lines, size, _ in head)
    footer = 0.16 + len(foot) * SMALL * 1.35 / 72
    height = figure.get_figheight() + header + footer
    figure.set_size_inches(WIDTH, height)
    top = MARGIN * 0.8
    for lines, size, style in head:
        place = (MARGIN / WIDTH, 1 - top / height)
        figure.text(*place, "\n".join(lines), va="top", fontsize=size, linespacing=1.25, **style)
        top += len(lines) * size * 1.3 / 72 + 0.04
    place = (MARGIN / WIDTH, MARGIN / 2 / height)
    figure.text(*place, "\n".join(foot), va="bottom", fontsize=SMALL, color=QUIET, linespacing=1.3)
    room = (0.008, footer / height, 0.982, 1 - (header + footer) / height)
    ConstrainedLayoutEngine(rect=room, w_pad=0.06, h_pad=0.06).execute(figure)
    for ax in figure.axes:  # the solver's last digits differ from one process to the next
        ax.set_position(Bbox(ax.get_position().get_points().round(4)))
    data = data.reindex(columns=COLUMNS[name]).reset_index(drop=True)
    return Drawing(name, title, f"{drawn} {title}.", data, figure)


# --- parts of figures -------------------------------------------------------------------------
def _tidy(ax: Axes, heading: str = "", x_label: str = "", above: float = 0.0, weight: str = "normal") -> None:
    """Axis words: what is measured stands above the panel, `above` points higher where years are marked."""
    sns.despine(ax=ax, left=True)
    ax.set(xlabel=x_label, ylabel="")
    if heading:
        ax.set_title(heading, fontsize=LABEL, fontweight=weight, color=QUIET, pad=6 + above)


def _year_axis(ax: Axes, years: Iterable[int], most: int = 12) -> None:
    """Whole years, the last one always named, and room around a lone year."""
    first, last = min(found := [int(year) for year in years]), max(found)
    step = next((step for step in (1, 2, 5, 10) if (last - first) / step < most), 20)
    ax.set_xticks(range(last, first - 1, -step))
    pad = 0.7 if last - first > 3 else 1.6
    ax.set_xlim(first - pad, last + pad)


def _log_axis(ax: Axes, axis: str = "y") -> None:
    """A logarithmic axis with plain numbers; where it spans little, with evenly placed ones."""
    getattr(ax, f"set_{axis}scale")("log")
    low, high = getattr(ax, f"get_{axis}lim")()
    target = getattr(ax, f"{axis}axis")
    subs = (1.0, 2.0, 5.0) if high / low < 100 else (1.0, 3.0) if high / low < 1000 else (1.0,)
    target.set_major_locator(LogLocator(subs=subs) if high / low > 4 else MaxNLocator(5))
    target.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    target.set_minor_formatter(NullFormatter())
    target.set_minor_locator(NullLocator())


def _dark(colour: str) -> tuple[float, ...]:
    """The colour darkened for letters."""
    return tuple(part * 0.78 for part in to_rgb(colour))


def _light(colour: str) -> tuple[float, ...]:
    """The colour lightened for what is not in focus."""
    return tuple(1 - (1 - part) * 0.4 for part in to_rgb(colour))


def _label(
    ax: Axes, x: float, y: float, text: str, colour: str = INK, dx: float = 0, dy: float = 0, **style: Any
) -> None:
    """Words `dx`, `dy` points beside a place of the data, on a white ground so that no line strikes them."""
    style = {"fontsize": SMALL, "coords": "data", **style}
    coords, sides = style.pop("coords"), {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
    ax.annotate(
        text, (x, y), (dx, dy), coords, "offset points", color=_dark(colour), bbox=ground, zorder=6,
        ha=sides[int(np.sign(dx))][0], va=sides[int(np.sign(dy))][1], **style,
    )  # fmt: skip


def _lines(ax: Axes, values: pd.Series, colour: str, **style: Any) -> None:
    """Values by year as line and dots, open where a year is missing."""
    runs = {year: number for number, run in enumerate(contiguous(values.index)) for year in run}
    data = pd.DataFrame(
        {"year": values.index, "value": values.to_numpy(), "run": [runs[year] for year in values.index]}
    )
    look = {"marker": "o", "markersize": 4.5, "markeredgecolor": "white", "linewidth": 2.0, "legend": False, **style}
    sns.lineplot(data, x="year", y="value", units="run", estimator=None, color=colour, ax=ax, **look)


def _dots(ax: Axes, x: Any, y: Any, colour: str, hollow: Any = (), size: float = 34, marker: str = "o") -> None:
    """Dots, hollow where a reading is not exact or not trusted."""
    faces = ["white" if flag else colour for flag in hollow] or colour
    ax.scatter(x, y, s=size, marker=marker, facecolors=faces, edgecolors=colour, linewidths=1.4, zorder=4)


def _target(ax: Axes, year: int, level: float) -> None:
    """A target as a diamond with its words."""
    _dots(ax, [year], [level], ORANGE, [True], 70, "D")
    _label(ax, year, level, f"Target {year}\n{_trn_text(level, 0)}", dx=-10, fontsize=LABEL, fontweight="bold")


def _end_labels(ax: Axes, ends: Sequence[End], size: float = LABEL) -> None:
    """Labels right of line ends, moved apart just as far as they must be."""
    ax.get_ylim()  # brings the limits up to date
    ends = sorted(ends, key=lambda end: end[1])
    places = np.array([ax.transLimits.transform(ax.transScale.transform(end[:2]))[1] for end in ends])
    lines = np.array([end[2].count("\n") + 1 for end in ends])
    step = size * 1.35 / 72 / (ax.bbox.height / ax.figure.dpi)
    room = np.concatenate([[0], np.cumsum((lines[1:] + lines[:-1]) / 2)]) * step
    apart = isotonic_regression(places - room).x + room
    for (x, _, text, colour), place in zip(ends, apart, strict=True):
        style: dict[str, Any] = {
            "coords": ("data", "axes fraction"),
            "fontsize": size,
            "fontweight": "bold",
            "linespacing": 1.15,
        }
        _label(ax, x, place, text, colour, dx=7, **style)


def _mark_years(ax: Axes, marks: Iterable[Mark]) -> float:
    """Thin dashed lines at years, their words above the panel in rows so that none meets another.

    Returns how many points a heading must give way [0 where no mark stands above it].
    """
    (low, high), top = ax.get_xlim(), ax.get_xaxis_transform()
    points = (high - low) / (ax.bbox.width / ax.figure.dpi) / 72
    placed: list[tuple[float, int]] = []
    for year, text, colour in sorted(marks, key=lambda mark: -mark[0]):
        if not low <= year <= high:
            continue
        reach = year + (len(text) * SMALL * 0.6 + 10) * points
        row = max((row + 1 for other, row in placed if other <= reach), default=0)
        placed.append((year, row))
        ax.axvline(year, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0.5)
        stem = {"arrowstyle": "-", "color": colour, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (year, 1), (0, 12 + row * 11), top, "offset points", arrowprops=stem)
        ax.annotate(text, (year, 1), (3, 4 + row * 11), top, "offset points", fontsize=SMALL, color=_dark(colour))
    crowded = placed and (placed[-1][0] - low) / (high - low) < 0.45
    return 14.0 + 11 * max(row for _, row in placed) if crowded else 0.0


def _break_marks(
    breaks: pd.DataFrame, series: Sequence[str], kinds: Sequence[str], years: pd.Series
) -> tuple[list[Mark], list[str]]:
    """Marks for the notes on `series` dated within `years`, and each note's first clause as the register words it."""
    rows = breaks[breaks["series"].isin(series) & breaks["kind"].isin(kinds) & breaks["year"].notna()]
    rows = rows[rows["year"].between(years.min(), years.max())].drop_duplicates(["note_id", "year"])
    inferred = rows["is_documented"].map({True: "", False: ", inferred"})
    words = rows["note_id"] + " " + rows["kind"].map(KINDS) + inferred
    marks = [(float(year), text, QUIET) for year, text in zip(rows["year"], words, strict=True)]
    clauses = [f"{row.note_id}: {re.split(r'; | [(]|, i[.]e[.]', row.finding)[0]}." for row in rows.itertuples()]
    return marks, list(dict.fromkeys(clauses))


def _stack(ax: Axes, parts: pd.DataFrame, sums: pd.Series, colours: Sequence[str], words: Sequence[str]) -> None:
    """Parts by year stacked away from zero on both sides, dots for their sum, words at the last year."""
    ax.use_sticky_edges = False
    floors = {True: 0 * sums, False: 0 * sums}
    year, ends = sums.index[-1], []
    for name, colour, said in zip(parts, colours, words, strict=False):
        for above in (True, False):
            side = parts[name].where((parts[name] >= 0) == above, 0.0)
            ax.bar(sums.index, side, 0.74, floors[above], color=colour, edgecolor="white", linewidth=0.4)
            if above == (parts.loc[year, name] >= 0):
                ends.append((year + 0.4, floors[above][year] + side[year] / 2, said, colour))
            floors[above] = floors[above] + side
    ax.scatter(sums.index, sums, s=26, color=INK, edgecolors="white", linewidths=0.8, zorder=5)
    ax.axhline(0, color=INK, linewidth=0.8)
    _year_axis(ax, sums.index)
    _end_labels(ax, [*ends, (year + 0.4, sums[year], words[-1], INK)])


# --- 01: the figures as printed ---------------------------------------------------------------
@_themed
def revisions(revisions_table: pd.DataFrame) -> Drawing:
    """How far each year was restated between the first and the last edition that prints it [%]."""
    _need(len(revisions_table), "no year is printed in two editions")
    data = revisions_table
    shown = [series for series in SERIES if series in set(data["series"])]
    figure, panels = _canvas(1.3 * len(shown) + 0.3, len(shown), sharex=True, sharey=True)
    clauses = []
    for ax, series in zip(panels, shown, strict=True):
        rows, colour, name = data[data["series"] == series], SERIES[series], SERIES_NAMES[series]
        low = rows["lowest_confidence"] == "low"
        ax.vlines(rows["year"], 0, rows["change_pct"], color=colour, linewidth=1.6)
        ax.axhline(0, color=INK, linewidth=0.8)
        _dots(ax, rows["year"], rows["change_pct"], colour, low)
        for row in rows[low].itertuples():
            _label(ax, row.year, row.change_pct, "low-confidence reading", QUIET, dx=8)
        if not low.all():
            row = rows.loc[rows.loc[~low, "change_pct"].abs().idxmax()]
            size = number_text(abs(row["change_pct"]), PERCENT.digits)
            clauses.append(f"{name} was {'never' if row['change_pct'] == 0 else 'practically never'} restated")
            if size.strip("0."):
                clauses[-1] = f"{name} was restated by up to {size} %"
                text = " → ".join(number_text(row[f"{end}_jpy_100m"], 0) for end in ("first", "last"))
                _label(ax, row["year"], row["change_pct"], text, colour, dy=6 * np.sign(row["change_pct"]))
        _tidy(ax, capital(name))
        ax.margins(y=0.22)
    _year_axis(panels[-1], data["year"], most=18)
    return _finish(
        "revisions", figure, data, capital("; ".join(clauses)) or "No restatement can be read with confidence",
        "Change from the first to the last edition that prints a year, %. Labels: largest trusted change, in JPY 100 "
        "million. Hollow: low-confidence reading, left out of the title.",
        "Panels of the change in per cent by year, one for each series.",
        f"AJA Anime Industry Reports, editions {data['first_edition'].min()} to {data['last_edition'].max()}",
    )  # fmt: skip


# --- 02: what the market did --------------------------------------------------------------------
@_themed
def market_levels(market: pd.DataFrame, breaks: pd.DataFrame, q: Quantities) -> Drawing:
    """Overseas and domestic levels by year [JPY trn], with the years in which the lead changed."""
    data = market[market["series"].isin(["overseas", "domestic"])].assign(level_jpy_trn=_trn(market["level_jpy_100m"]))
    figure, (ax,) = _canvas(4.0)
    ends = []
    for name, rows in data.groupby("series"):
        levels = rows.set_index("year")["level_jpy_trn"].sort_index()
        _lines(ax, levels, SERIES[name])
        text = f"{capital(name)} {number_text(levels.iloc[-1], JPY_TRN.digits)}"
        ends.append((levels.index[-1], levels.iloc[-1], text, SERIES[name]))
    ax.set_ylim(0, None)
    _year_axis(ax, data["year"])
    _end_labels(ax, ends)
    changes = {year: item.value > 0 for year, item in _by_year(q, "market.overseas.lead_change").items()}
    ahead = [(year, "overseas" if took else "domestic") for year, took in changes.items()]
    marks, notes = _break_marks(
        breaks, ("market.overseas", "market.domestic"), ("scope", "method", "event"), data["year"]
    )
    above = _mark_years(ax, [*marks, *((year, f"{year} {name} ahead", SERIES[name]) for year, name in ahead)])
    _tidy(ax, "JPY trillion, current prices", above=above)
    return _finish(
        "market_levels", figure, data, _lead_title(q, changes),
        f"Broad anime market, edition {_edition(q)} of the report; dashed: change of lead or a note on method.",
        "Two lines of levels by year in trillion yen, overseas and domestic, with the years of changed lead marked.",
        _aja(_edition(q)), notes,
    )  # fmt: skip


def _lead_title(q: Quantities, changes: dict[int, bool]) -> str:
    """The story of the lead in one sentence, ending with its size in the latest year."""
    leads = _by_year(q, "market.overseas.lead")
    if not leads:
        return "No year has both an overseas and a domestic level"
    year, lead = list(leads.items())[-1]
    now = "led" if lead.value > 0 else "trailed"
    now = f"{now} by {lead.in_unit(JPY_TRN).text.replace('−', '')}" if lead.value else "was level"
    story = []
    for number, (when, took) in enumerate(changes.items()):
        first = "took the lead over domestic" if took else "lost the lead to domestic"
        story.append(f"{first if not number else 'took it back' if took else 'lost it'} in {when}")
    if not story:
        story = [f"never changed places with domestic from {min(leads)} to {year}"]
    if len(story) > 4:
        story = [f"and domestic changed places {len(story)} times from {min(leads)} to {year}"]
    return f"Overseas {listed(story)}; in {year} overseas {now}"


@_themed
def overseas_growth(market: pd.DataFrame, breaks: pd.DataFrame, q: Quantities) -> Drawing:
    """Growth of the overseas market a year in yen [%], the latest year against all others."""
    growth = _by_year(q, "market.overseas.growth")
    _need(growth, "no two years running of the overseas market are at hand")
    data = _values(q, growth_pct="market.overseas.growth", rank="market.overseas.growth_rank").astype({"rank": int})
    data = data.assign(has_caveat=[bool(growth[year].caveats) for year in data.index]).reset_index()
    year, value, rank = (data[name].iloc[-1] for name in ("year", "growth_pct", "rank"))
    figure, (ax,) = _canvas(3.7)
    for row in data.itertuples():
        is_last, full = row.year == year, SERIES["overseas"]
        colour, hatch = full if is_last else _light(full), "/////" if row.has_caveat else None
        ax.bar(
            row.year, row.growth_pct, 0.74, color=colour, edgecolor=full if hatch else colour, linewidth=0, hatch=hatch
        )
        if is_last or row.rank <= min(rank, 5):
            text, weight = number_text(row.growth_pct, PERCENT.digits), "bold" if is_last else "normal"
            _label(ax, row.year, row.growth_pct, text, dy=3 if row.growth_pct >= 0 else -3, fontweight=weight)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.margins(y=0.12)
    _year_axis(ax, data["year"])
    marks, notes = _break_marks(breaks, ("market.overseas",), list(KINDS), data["year"])
    _tidy(ax, "% on the year before, in yen", above=_mark_years(ax, marks))
    place = f"the {short_ordinal(rank) + ' ' if rank > 1 else ''}fastest of" if value > 0 else f"rank {rank} among"
    place = f"{place} {len(data)} years" if len(data) > 1 else "the only year whose growth this edition gives"
    return _finish(
        "overseas_growth", figure, data, f"Overseas {_direction(value)} in {year}, {place}",
        f"Edition {market['edition'].iloc[0]}; hatched: growth across a change of method or scope.",
        "Bars of growth in per cent by year, the latest year highlighted.", _aja(_edition(q)), notes,
    )  # fmt: skip


def _across_breaks(q: Quantities, series: str) -> list[str]:
    """A note that names the years whose growth compares across a change of scope or method."""
    marked = {
        str(year): [caveat for caveat in item.caveats if re.fullmatch(r"N\d+", caveat)]
        for year, item in _by_year(q, f"{series}.growth").items()
    }
    told = [f"{year} ({', '.join(notes)})" for year, notes in marked.items() if notes]
    return [f"Growth into {listed(told)} compares across a change of scope or method."] if told else []


@_themed
def contributions(q: Quantities) -> Drawing:
    """Points that overseas and domestic add to growth of the whole market by year [% of the year before]."""
    stems = {f"{name}_points_pct": f"market.{name}.contribution_points" for name in ("overseas", "domestic")}
    data = _values(q, **stems, total_growth_pct="market.total.growth")
    _need(len(data), "no two years running of all three series are at hand")
    figure, (ax,) = _canvas(3.8)
    parts, sums, year = data[list(stems)], data["total_growth_pct"], data.index[-1]
    _stack(ax, parts, sums, list(SERIES.values()), ("Overseas", "Domestic", "Whole market"))
    _tidy(ax, "Percentage points of growth on the year before")
    points = zip(("overseas", "domestic"), parts.loc[year], strict=True)
    added = [f"{name} {'added' if value >= 0 else 'took away'} {number_text(abs(value), 1)}" for name, value in points]
    return _finish(
        "contributions", figure, data.reset_index(),
        f"The market {_direction(sums[year])} in {year}: {listed(added)} points",
        f"Growth of the whole market split exactly into its two parts; dots: their sum. Edition {_edition(q)}, in yen.",
        "Stacked bars by year of the points that overseas and domestic add to growth, with dots for the whole market.",
        _aja(_edition(q)), _across_breaks(q, "market.total"),
    )  # fmt: skip


@_themed
def three_measures(market: pd.DataFrame, q: Quantities) -> Drawing:
    """Overseas level in yen, in dollars and after consumer prices, its lowest year in yen = 100 [index]."""
    troughs = [item for key, item in q.items() if key.startswith("market.overseas.trough.")]
    _need(troughs, "no two years running of the overseas market are at hand")
    low, (first, last) = int(troughs[0].value), (int(year) for year in troughs[0].period.split("-"))
    rows = market[(market["series"] == "overseas") & market["year"].between(first, last)].set_index("year")
    named = {"level_jpy_100m": "in yen", "level_usd_bn": "in dollars", "level_real_jpy_100m": "after consumer prices"}
    levels = rows[list(named)].rename(columns=named)
    index = levels / levels.loc[low] * 100
    times = {name: number_text(ratio(levels.loc[last, name], levels.loc[low, name]), 1) for name in levels}
    figure, (ax,) = _canvas(3.9)
    for name in index:
        _lines(ax, index[name], MEASURES[name])
    _log_axis(ax)
    _year_axis(ax, index.index)
    _end_labels(
        ax, [(last, index.loc[last, name], f"{capital(name)}\n× {times[name]}", MEASURES[name]) for name in index]
    )
    above = _mark_years(ax, [(low, f"{low}, lowest in yen", QUIET)])
    _tidy(ax, f"Index, {low} = 100, logarithmic axis", above=above)
    (yen, *_), rest = times.values(), listed([f"{times[name]} {name}" for name in list(times)[1:]])
    base = units.INDEX.name.split("=")[0]
    title = f"Against its low in {low}, overseas in {last} is {yen} times as large in yen, {rest}"
    return _finish(
        "three_measures", figure, index.reset_index().melt("year", var_name="measure", value_name="level_index"),
        title if low < last else f"Overseas in yen is lower in {last} than in any year since {first}",
        f"Overseas market, edition {_edition(q)}; dollars at each year's average rate, prices of {base} by Japan's CPI",
        "Three lines of the overseas market by year as an index: in yen, in dollars, after consumer prices.",
        f"{_aja(_edition(q))}; FRED AEXJPUS; World Bank, consumer prices",
    )  # fmt: skip


@_themed
def growth_split(q: Quantities) -> Drawing:
    """Log growth of overseas in yen split into dollar growth and the exchange rate [log points]."""
    measures = {"dollars_log_points": "log_growth_usd", "rate_log_points": "log_rate", "yen_log_points": "log_growth"}
    data = _values(q, **{name: f"market.overseas.{measure}" for name, measure in measures.items()})
    _need(len(data), "no two years running of the overseas market are at hand")
    figure, (ax,) = _canvas(3.8)
    colours = (MEASURES["in dollars"], MEASURES["exchange rate"])
    _stack(ax, data.iloc[:, :2], data["yen_log_points"], colours, ("Growth in dollars", "Exchange rate", "Sum: in yen"))
    _tidy(ax, "Log points (log change × 100)")
    year, (dollars, rate, yen) = data.index[-1], data.iloc[-1]
    title = f"Overseas in {year}: {_signed(yen)} log points in yen, made of {_signed(dollars)} in dollars and "
    title += f"{_signed(rate)} from the {'weaker' if rate >= 0 else 'stronger'} yen"
    if dollars > 0 and rate > 0:
        share = q[f"market.overseas.rate_share.{year}"].number
        title = f"The weaker yen made up {share} % of overseas growth in yen in {year}, growth in dollars the rest"
    return _finish(
        "growth_split", figure, data.reset_index(), title,
        f"Log growth in yen = log growth in dollars + log change of yen per dollar, exactly. Edition {_edition(q)}.",
        "Stacked bars by year of dollar growth and the exchange rate, with dots for growth in yen.",
        f"{_aja(_edition(q))}; FRED AEXJPUS", _across_breaks(q, "market.overseas"),
    )  # fmt: skip


@_themed
def studio_gap(q: Quantities) -> Drawing:
    """How many times studios' overseas receipts the broad overseas market is, by year [times]; exploratory."""
    items = _by_year(q, "market.overseas.over_studio")
    _need(items, "no year has both the broad overseas market and studios' overseas receipts")
    data = pd.DataFrame(
        [(year, item.value, item.confidence) for year, item in items.items()], columns=COLUMNS["studio_gap"]
    )
    values, low = data.set_index("year")["over_studio_times"], data["confidence"] == "low"
    figure, (ax,) = _canvas(3.6)
    _lines(ax, values, GREY, markersize=0, linewidth=1.2)
    _dots(ax, data["year"], values, SERIES["overseas"], low)
    ax.margins(y=0.12)
    _year_axis(ax, data["year"])
    cut = next(
        (year for year, item in _by_year(q, "market.overseas.growth").items() if item.caveats), max(values.index) + 1
    )
    before, after = values[values.index < cut], values[values.index >= cut]
    title = f"the overseas market was {_range(values)} times studios' receipts"
    if len(before) > 2 and len(after):
        title = f"the overseas market was {number_text(before.median(), 1)} times studios' receipts in the median year "
        title += f"up to {before.index[-1]}, {_range(after)} times since {cut}"
    above = _mark_years(ax, [(cut, f"change marked in {cut}", QUIET)])
    _tidy(ax, "EXPLORATORY: broad overseas market, times studios' overseas receipts", above=above, weight="bold")
    return _finish(
        "studio_gap", figure, data, f"Exploratory: {title}",
        f"Hollow: low confidence ({low.sum()} of {len(data)} years), machine-read, not confirmed; not for headlines.",
        "Dots by year of the ratio of the overseas market to studios' overseas receipts, hollow where not trusted.",
        f"{_aja(_edition(q))}; studios' receipts from several editions",
    )  # fmt: skip


@_themed
def categories(categories: pd.DataFrame, q: Quantities) -> Drawing:
    """Levels of the market's categories in the newest edition that prints most of them [JPY bn]."""
    known = categories[categories["level_jpy_100m"].notna() & ~categories["category"].str.contains("residual")]
    _need(len(known), "no category has a level")
    counts = known.groupby(["edition", "year"])["category"].nunique()
    edition, year = max(counts[counts == counts.max()].index)
    data = known[(known["edition"] == edition) & known["year"].between(year - 1, year)]
    keys = [f"category.{row.category}.growth.{row.year}" for row in data.itertuples()]
    level, growth = (
        units.convert(data["level_jpy_100m"], JPY_100M, JPY_BN),
        [q[key].value if key in q else math.nan for key in keys],
    )
    data = data.assign(level_jpy_bn=level, growth_pct=growth).sort_values(["year", "level_jpy_bn"], ascending=False)
    latest = data[data["year"] == year].set_index("category")
    earlier = data[data["year"] == year - 1].set_index("category")["level_jpy_bn"]
    figure, (ax,) = _canvas(0.36 * len(latest) + 0.7)
    for place, (name, row) in enumerate(latest.iterrows()):
        colour, now = SERIES["overseas" if name == "overseas" else "domestic"], row["level_jpy_bn"]
        before = earlier.get(name, now)
        ax.plot([before, now], [place, place], color=colour, linewidth=2.2, zorder=2)
        _dots(ax, [before, now], [place, place], colour, [True, False], 44)
        change = "" if math.isnan(row["growth_pct"]) else f"  ({_signed(row['growth_pct'])} %)"
        _label(ax, max(now, before), place, number_text(now, JPY_BN.digits) + change, colour, dx=10)
    ax.set_yticks(range(len(latest)), [capital(_category(name)) for name in latest.index], color=INK)
    ax.invert_yaxis()
    ax.grid(axis="x")
    _log_axis(ax, "x")
    _tidy(ax, x_label="JPY billion, logarithmic axis: equal lengths are equal growth")
    title = f"{capital(_category(latest.index[0]))} is the largest of {len(latest)} categories in {year}"
    if latest["growth_pct"].notna().any():
        best = latest["growth_pct"].idxmax()
        title += f"; {_category(best)} did best ({_signed(latest.loc[best, 'growth_pct'])} %)"
    derived = [str(when) for when in data.loc[data["is_derived"].astype(bool), "year"].unique()]
    said = f" Levels of {listed(derived)} derived from printed growth." if derived else ""
    return _finish(
        "categories", figure, data, title,
        f"Filled: {year}, hollow: {year - 1}. Edition {edition} is the newest with {len(latest)} categories.{said}",
        "Dumbbells of the level of each category in two years, the largest first.", _aja(edition),
    )  # fmt: skip


@_themed
def content_exports(content: pd.DataFrame, targets: pd.DataFrame, q: Quantities) -> Drawing:
    """Overseas sales of all content in its old and its current scope, and the targets [JPY trn]."""
    scopes = {
        "old scope": _by_year(q, "content.total.level.old_scope"),
        "current scope": _by_year(q, "content.total.level"),
    }
    _need(scopes["current scope"], "no overseas sales of content in the current scope are at hand")
    rows = [
        (year, name, _trn(i.value), i.confidence == "high")
        for name, found in scopes.items()
        for year, i in found.items()
    ]
    aims = targets[targets["target_id"].isin(CONTENT_TARGETS.values())].sort_values("target_year")
    rows += [(int(row.target_year), "target", row.high_jpy_trn, True) for row in aims.itertuples()]
    data = pd.DataFrame(rows, columns=COLUMNS["content_exports"])
    figure, (ax,) = _canvas(4.0)
    for row in data[data["scope"] == "target"].itertuples():
        _target(ax, row.year, row.level_jpy_trn)
    for scope, colour, beside in (("old scope", GREY, (-1, 10)), ("current scope", SERIES["total"], (8, 0))):
        part = data[data["scope"] == scope]
        ax.plot(part["year"], part["level_jpy_trn"], color=colour, linewidth=1.8)
        _dots(ax, part["year"], part["level_jpy_trn"], colour, ~part["is_exact"].astype(bool))
        for year, _, level, _ in part.tail(1).itertuples(index=False):
            text = f"{capital(scope)}\n{year}: {number_text(level, JPY_TRN.digits)}"
            _label(ax, year, level, text, colour, *beside, fontsize=LABEL, fontweight="bold")
    ax.set_ylim(0, data["level_jpy_trn"].max() * 1.1)
    _year_axis(ax, data["year"])
    start, (year, now) = min(scopes["current scope"]), list(scopes["current scope"].items())[-1]
    cut = [(start - 0.5, "change of scope: no comparison across this line", QUIET)] if scopes["old scope"] else []
    _tidy(ax, "JPY trillion", above=_mark_years(ax, cut))
    title = f"Content sold overseas came to {now.in_unit(JPY_TRN).text} in {year}"
    for goal in aims.tail(1).itertuples():
        times = number_text(ratio(goal.high_jpy_trn, now.in_unit(JPY_TRN).value), 1)
        title += f"; the target for {goal.target_year} is {times} times that"
    left_out = content[(content["sector"] == "total") & ~content["scope"].isin(["old", "current"])]
    return _finish(
        "content_exports", figure, data, title,
        "Overseas sales of Japanese content, all sectors. Hollow dots: rounded or derived. "
        f"Not drawn: {len(left_out)} forecasts and figures of other scopes.",
        "Two separate lines by year in trillion yen, one for each scope, and diamonds for the targets.",
        "; ".join(["Human Media releases", *dict.fromkeys(aims["document"])]),
    )  # fmt: skip


@_themed
def regions(regions: pd.DataFrame) -> Drawing:
    """Overseas contracts by region [% of contracts] and by country [number], in their newest years."""
    named = {"share of overseas contracts": "share_pct", "overseas contracts": "contracts_count"}
    newest = regions[regions["year"] == regions.groupby("measure")["year"].transform("max")]
    shown = [measure for measure in named if measure in set(newest["measure"])]
    _need(shown, "no contracts by region or country are at hand")
    figure, panels = _canvas(3.9, 1, len(shown))
    parts, leaders, editions = [], [], []
    for ax, measure in zip(panels, shown, strict=True):
        rows = newest[newest["measure"] == measure].sort_values("value", ascending=False, kind="stable")
        top, is_share = rows.iloc[0], measure.startswith("share")
        parts.append(rows.assign(**{named[measure]: rows["value"]}))
        colour = SERIES["overseas"] if is_share else GREY
        sns.barplot(rows, x="value", y="region", color=colour, saturation=1, width=0.72, legend=False, ax=ax)
        for place, value in enumerate(rows["value"]):
            _label(ax, value, place, number_text(value, int(is_share)), dx=4)
        sns.despine(ax=ax, bottom=True)
        ax.tick_params(axis="y", labelcolor=INK, length=0)
        ax.grid(False)
        ax.set(xlabel="", ylabel="", xticks=[], xlim=(0, rows["value"].max() * 1.14))
        share = f"Share of contracts, %, {top['year']}\n(regions shown sum to {number_text(rows['value'].sum(), 1)} %)"
        ax.set_title(
            share if is_share else f"Number of contracts, {top['year']},\nthe {len(rows)} places listed", fontsize=LABEL
        )
        size = number_text(top["value"], int(is_share)) + (" % of contracts" if is_share else " contracts")
        leaders.append(f"{top['region']} leads with {size} in {top['year']}")
        editions.append(top["edition_label"].removeprefix("AJA "))
    return _finish(
        "regions", figure, pd.concat(parts), "; ".join(leaders),
        "Contracts are counted, not valued: a share of contracts says nothing about a share of money.",
        "Horizontal bars of overseas contracts, by region as a share and by country as a number.",
        f"AJA Anime Industry Report, editions {listed(editions)}, as cited",
    )  # fmt: skip


@_themed
def market_cap(q: Quantities) -> Drawing:
    """Market value of nine entertainment firms and nine automakers on the days at hand [JPY trn]."""
    stems = {f"market_cap.{group}.level": group for group in MARKET_CAP_GROUPS.values()}
    split = [(key.rpartition("."), item) for key, item in q.items()]
    rows = [(day, stems[head], i.value, "derived" in i.caveats) for (head, _, day), i in split if head in stems]
    leads = {day: item.value for (head, _, day), item in sorted(split) if head == "market_cap.entertainment_nine.lead"}
    _need(leads, "no day has the market value of both groups")
    data = pd.DataFrame(sorted(rows), columns=COLUMNS["market_cap"])
    days = sorted(set(data["date"]))
    figure, (ax,) = _canvas(3.6)
    ends = []
    for group, part in data.groupby("group"):
        places, (name, colour) = [days.index(day) for day in part["date"]], CAP_GROUPS[group]
        ax.plot(places, part["level_jpy_trn"], color=colour, linewidth=2.4)
        _dots(ax, places, part["level_jpy_trn"], colour, part["is_derived"], 60)
        *earlier, last = [
            (x, y, f"{name} {number_text(y, 1)}", colour) for x, y in zip(places, part["level_jpy_trn"], strict=True)
        ]
        ends.append(last)
        for end in earlier:
            _label(ax, *end, dx=-10, fontsize=LABEL, fontweight="bold")
    ax.margins(y=0.2)
    _end_labels(ax, ends)
    ax.set(xticks=range(len(days)), xticklabels=days, xlim=(-0.4, len(days) - 0.9))
    _tidy(ax, "JPY trillion, sum over the nine firms of each group")
    said = [f"{number_text(abs(lead), 1)} {'ahead' if lead > 0 else 'behind'} on {day}" for day, lead in leads.items()]
    return _finish(
        "market_cap", figure, data, f"Nine entertainment firms against nine automakers, JPY trillion: {listed(said)}",
        "Combined market value, groups chosen by Nikkei. Hollow: derived from the printed change, not itself printed.",
        "A slope chart of the market value of two groups of nine firms.", "Nikkei, as excerpted",
    )  # fmt: skip


# --- 03: trends -------------------------------------------------------------------------------
def _need_fits(fits: Mapping[str, "Fit"], refused: Mapping[str, str]) -> None:
    reasons = listed(list(dict.fromkeys(refused.values())))
    _need(fits, f"no trend model could be fitted{', because ' if reasons else ''}{reasons}")


def _about(subject: "Subject", refused: Mapping[str, str]) -> str:
    """Sample, edition, and which models could not be fitted."""
    lacking = "".join(f" Not fitted: {model_name(model)} ({reason})." for model, reason in refused.items())
    edition = f", edition {subject.edition}" if subject.edition else ""
    return f"{capital(subject.words)} {subject.levels.index[0]} to {subject.last_year}{edition}.{lacking}"


def _least_and_most(values: dict[str, float], text: Callable[[float], str]) -> str:
    """`a (model) to b (model)`, or one value where there is one model."""
    ends = dict.fromkeys((min(values, key=values.__getitem__), max(values, key=values.__getitem__)))
    return " to ".join(f"{text(values[model])} ({model_name(model)})" for model in ends)


def _drawn_in(subject: "Subject") -> Unit:
    """The unit in which a reader sees the levels: trillions or billions of yen, else the unit they have."""
    if subject.unit.dimension != JPY_100M.dimension:
        return subject.unit
    return units.readable(float(subject.levels.max()), subject.unit)


def _unit_words(unit: Unit) -> str:
    return capital(unit.text.replace("{} ", "").replace("{}", unit.name))


def _years(count: int) -> str:
    return f"{count} year{'s' if count != 1 else ''}"


def _matrix(ax: Axes, cells: pd.DataFrame, texts: pd.DataFrame, most: float, colours: Sequence[str]) -> None:
    """Values of models [rows] by `cells.columns` as coloured tiles with their texts; a missing one stays white.

    Three colours run from -most over white at nought to most, two from nought to most. Letters are black or
    white, whichever stands out.
    """
    shades = LinearSegmentedColormap.from_list("tiles", list(colours))
    least = -most if len(colours) == 3 else 0.0
    numbers = cells.to_numpy(dtype=float)
    tiles = np.ma.masked_invalid(numbers)
    ax.pcolormesh(tiles, cmap=shades, vmin=least, vmax=most, edgecolors="white", linewidth=2)
    for (row, column), value in np.ndenumerate(numbers):
        if math.isfinite(value) and texts.iat[row, column]:
            ground = shades((np.clip(value, least, most) - least) / (most - least))[:3]
            light = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in ground]
            ink = BLACK if 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] > 0.179 else "white"
            place = (column + 0.5, row + 0.5)
            ax.text(*place, texts.iat[row, column], ha="center", va="center", fontsize=LABEL, color=ink)
    ax.set_yticks(np.arange(len(cells)) + 0.5, [capital(model_name(model)) for model in cells.index], color=INK)
    ax.set_xticks(np.arange(len(cells.columns)) + 0.5, list(cells.columns), color=INK)
    ax.set_ylim(len(cells), 0)
    ax.grid(False)
    ax.tick_params(length=0)


@_themed
def trend_lines(fits: Mapping[str, "Fit"], refused: Mapping[str, str], subject: "Subject") -> Drawing:
    """Levels and each model's fitted values by year, with the growth a year it carries on [% a year]."""
    _need_fits(fits, refused)
    unit = _drawn_in(subject)
    parts, ends = [], []
    figure, (ax,) = _canvas(4.6)
    for model, fit in fits.items():
        fitted = units.convert(fit.fitted, subject.unit, unit).rename("fitted")
        part = pd.concat([units.convert(fit.levels, subject.unit, unit).rename("level"), fitted], axis=1)
        parts.append(part.rename_axis("year").reset_index().assign(model=model, growth_pct=fit.growth_pct))
        colour = MODELS.get(model, INK)
        ax.plot(part.index, part["fitted"], color=colour, linewidth=2.0, alpha=0.9)
        text = f"{capital(model_name(model))} {_signed(fit.growth_pct)} %"
        ends += [(year, value, text, colour) for year, value in fitted.dropna().tail(1).items()]
    data = pd.concat(parts).assign(unit=unit.name)
    points = data.drop_duplicates("year")
    _dots(ax, points["year"], points["level"], SERIES["overseas"], size=26)
    _log_axis(ax)
    _year_axis(ax, points["year"])
    _end_labels(ax, ends)
    _tidy(ax, f"{_unit_words(unit)}, logarithmic axis; labels: growth a year by the model")
    growth = {model: fit.growth_pct for model, fit in fits.items() if model != "naive"}
    said = _least_and_most(growth or {"naive": 0.0}, lambda value: f"{number_text(value, 1)} % a year")
    return _finish(
        "trend_lines", figure, data, f"Fitted growth: {said}",
        f"Dots: levels, lines: fitted values; naive assumes no growth. {_about(subject, refused)}",
        "Dots of levels by year on a logarithmic axis with a fitted line for each model.", subject.source,
    )  # fmt: skip


@_themed
def growth_intervals(
    by_basis: Mapping[str, Mapping[str, "Fit"]], refused: Mapping[str, str], subject: "Subject"
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
    figure, (ax,) = _canvas(0.5 * len(order) + 0.7)
    marks = dict(zip((basis for basis in by_basis if basis != subject.basis), "^s", strict=False))
    for place, model in enumerate(order):
        colour, fit = MODELS.get(model, INK), fits[model]
        low, high = fit.growth_lo95, fit.growth_hi95
        others = [
            (data.loc[(data["basis"] == basis) & (data["model"] == model), "growth_pct"], mark)
            for basis, mark in marks.items()
        ]
        if low is None or high is None:
            words = "no growth by assumption" if model == "naive" else f"{_signed(fit.growth_pct)} %, no interval"
        else:
            ax.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.6)
            words = f"{_signed(fit.growth_pct)} %   ({_signed(low)} to {_signed(high)})"
        _dots(ax, [fit.growth_pct], [place], colour, [low is None], 60)
        if model != "naive":
            for number, (value, mark) in enumerate(others):
                _dots(ax, value, [place - 0.2 - 0.16 * number] * len(value), colour, [True] * len(value), 20, mark)
        _label(ax, fit.growth_pct, place, words, dy=6, fontsize=LABEL)
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_yticks(range(len(order)), [capital(model_name(model)) for model in order], color=INK)
    ax.set_ylim(-0.6, len(order) - 0.3)
    ax.grid(False, axis="y")
    ax.grid(True, axis="x", color=GRID)
    _tidy(ax, x_label="% a year")
    own = data[(data["basis"] == subject.basis) & (data["model"] != "naive")]
    sure, title = own.dropna(), "No model has an interval of its growth"
    if len(sure):
        reach = _range([*sure["growth_lo95_pct"], *sure["growth_hi95_pct"]])
        title = f"The models put growth at {_range(own['growth_pct'])} % a year; their intervals reach from {reach}"
    shapes = [f"{shape} {BASIS_WORDS[basis]}" for basis, shape in zip(marks, ("triangle", "square"), strict=False)]
    beside = f"; hollow: {listed(shapes)}" if shapes else ""
    return _finish(
        "growth_intervals", figure, data, title,
        f"Nominal 95 % intervals {BASIS_WORDS[subject.basis]}{beside}. {_about(subject, refused)}",
        "Dots of growth a year for each model with horizontal 95 % intervals and a line at zero.", subject.source,
    )  # fmt: skip


@_themed
def residuals(
    fits: Mapping[str, "Fit"], checks: pd.DataFrame, refused: Mapping[str, str], subject: "Subject"
) -> Drawing:
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
    figure, (ax,) = _canvas(0.42 * len(left) + 0.6)
    most = float(left.abs().max(axis=None))
    blank = left.map(lambda _: "")
    _matrix(ax, left, blank, most, [BLUE, "white", VERMILLION])
    years = [int(year) for year in left.columns]
    ax.set_xticks([place + 0.5 for place in range(len(years))], [f"’{year % 100:02d}" for year in years])
    for place, model in enumerate(left.index):
        durbin, p = table.loc[model, "durbin_watson"], table.loc[model, "ljung_box_p"]
        p_text = f"= {number_text(p, 2)}" if number_text(p, 2).strip("0.") else "< 0.01"
        words = f"DW {number_text(durbin, 2)}, LB p {p_text}"
        ax.annotate(words, (len(years), place + 0.5), (6, 0), textcoords="offset points", va="center", fontsize=SMALL)
    sns.despine(ax=ax, left=True, bottom=True)
    title = f"The residuals of {len(signs) or 'none'} of {len(fits)} models show autocorrelation"
    return _finish(
        "residuals", figure, data, f"{title}: {listed(signs)}" if signs else title,
        f"Red: above the model, blue: below, the deepest {number_text(most, 0)} log points. Runs of one colour are "
        f"what a model misses. DW: Durbin-Watson, near 2 without autocorrelation; LB p: Ljung-Box, below "
        f"{SIGNIFICANT:g} a sign of it, from so few points a hint. {_about(subject, refused)}",
        "Tiles of residuals, a row for each model and a column for each year.", subject.source,
    )  # fmt: skip


@_themed
def backtest(scores: pd.DataFrame, subject: "Subject") -> Drawing:
    """Errors of past forecasts against drift's, and how often the 80 % interval held, by model and horizon.

    `scores` is backtest.scores.
    """
    data = scores[scores["windows"] == "all"]
    _need(len(data), "no model could be fitted to enough of the past to forecast the rest")
    figure, (left, right) = _canvas(0.42 * data["model"].nunique() + 0.5, 1, 2, sharey=True)
    order = list(dict.fromkeys(data["model"]))

    def wide(column: str) -> pd.DataFrame:
        return data.pivot(index="model", columns="horizon", values=column).loc[order]

    ratio, cover, narrow = wide("male_to_drift"), wide("cover80"), wide("narrow80")
    said = ratio.map(lambda value: number_text(value, 2))
    _matrix(left, np.log2(ratio.astype(float)), said, 1.8, [GREEN, "white", ORANGE])
    marked = cover.map(lambda value: number_text(value, 0)) + narrow.map(lambda said: " ▾" * (said == "too narrow"))
    _matrix(right, cover - 80, marked, 80, [VERMILLION, "white", GREEN])
    left.set_title("Mean absolute log error, times drift's", fontsize=LABEL, loc="left")
    right.set_title("% of outcomes inside the 80 % interval", fontsize=LABEL, loc="left")
    for ax in (left, right):
        ax.set_xlabel("years ahead")
        sns.despine(ax=ax, left=True, bottom=True)
    others = ratio.drop(index=["drift", "naive"], errors="ignore")
    losers = [model_name(model) for model in others.index[(others > 1).all(axis=1)]]
    title = "No model loses to drift at every horizon"
    if losers:
        every = len(losers) == len(others)
        title = (
            f"{'All' if every else f'{len(losers)} of'} {len(others)} models beside naive and drift lose to drift at "
        )
        title += "every horizon" + ("" if every else f": {listed(losers)}")
    counts = data.groupby("horizon")["forecasts"].max()
    told = [
        f"{count} at {_years(int(str(horizon)))}"
        for horizon, count in counts.items()
        if horizon in (1, counts.index[-1])
    ]
    return _finish(
        "backtest", figure, data, title,
        f"{_about(subject, {})} Windows grow year by year; forecasts: {listed(told)}. Green is better than drift and "
        "more than 80 %. ▾: so few hits would be chance in less than one case of twenty.",
        "Two tables of tiles by model and horizon: errors against drift, and coverage of the 80 % interval.",
        subject.source,
    )  # fmt: skip


@_themed
def forecast_bands(bands: pd.DataFrame, subject: "Subject", horizon: int = 5) -> Drawing:
    """Each model's own 80 % interval so many years ahead beside the one from past errors (backtest.conformal)."""
    there = bands["horizon"].unique()
    _need(len(there), "there are too few past forecasts for an interval from their errors")
    horizon = horizon if horizon in there else int(max(there))
    unit = _drawn_in(subject)
    data = bands[bands["horizon"] == horizon].assign(unit=unit.name)
    shown = ["median", "lo80", "hi80", "conformal_lo80", "conformal_hi80"]
    data[shown] = units.convert(data[shown], subject.unit, unit)
    figure, (ax,) = _canvas(0.42 * len(data) + 0.7)
    for place, row in enumerate(data.itertuples()):
        colour = MODELS.get(row.model, INK)
        ax.plot([row.conformal_lo80, row.conformal_hi80], [place, place], color=colour, linewidth=1.2)
        ax.plot([row.lo80, row.hi80], [place, place], color=colour, linewidth=7, alpha=0.45, solid_capstyle="butt")
        _dots(ax, [row.median], [place], colour, size=30)
    now = units.convert(float(subject.levels.iloc[-1]), subject.unit, unit)
    ax.axvline(now, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    _log_axis(ax, "x")
    ax.set_yticks(range(len(data)), [capital(model_name(model)) for model in data["model"]], color=INK)
    ax.set_ylim(len(data) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.grid(True, axis="x", color=GRID)
    _tidy(ax, x_label=f"{_unit_words(unit)}, logarithmic axis; dashed: level of {subject.last_year}")
    wider = data[data["reach"] > data["own_reach"]]
    title = f"{_years(horizon)} ahead the interval from past errors is wider than the model's own"
    title += f" for {'all' if len(wider) == len(data) else f'{len(wider)} of'} {len(data)} models"
    return _finish(
        "forecast_bands", figure, data, title,
        f"{_about(subject, {})} Forecasts for {data['year'].iloc[0]}. Thick: the model's own 80 % interval; thin: as "
        f"far as {data['errors'].max()} past forecasts of {_years(horizon)} missed (split conformal); dot: median.",
        "Horizontal 80 % intervals for each model, its own thick and the empirical one thin.", subject.source,
    )  # fmt: skip


def _choice(factor: str, choice: Any) -> str:
    """One choice of a specification in a few words."""
    if factor == "model":
        return model_name(choice)
    words = {"start_year": f"from {choice}", "edition": f"edition {choice}", "leave_out": "one year left out"}
    return words.get(factor, BASIS_WORDS.get(choice, str(choice).replace("_", " ")))


@_themed
def specification_curve(cells: pd.DataFrame, conclusions: pd.DataFrame, subject: "Subject") -> Drawing:
    """Growth with its 95 % interval in every declared specification, sorted, above the choices made in each."""
    counted = cells[cells["remark"] == ""].dropna(subset="growth_pct")
    fitted = counted.sort_values("growth_pct", kind="stable")
    _need(len(fitted), "no specification could be fitted")
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
    figure, (ax, below) = _canvas(2.6 + 0.155 * len(lines), 2, 1, sharex=True, height_ratios=[2.6, 0.155 * len(lines)])
    colours = data["model"].map(lambda model: MODELS.get(model, INK))
    ax.vlines(data["place"], data["growth_lo95_pct"], data["growth_hi95_pct"], color=colours, linewidth=0.8, alpha=0.35)
    ax.scatter(data["place"], data["growth_pct"], s=7, color=colours, zorder=3)
    ax.axhline(0, color=INK, linewidth=0.8)
    ends = data[["growth_lo95_pct", "growth_hi95_pct"]].stack()
    ax.set_ylim(max(ends.quantile(0.02), -40) - 2, min(ends.quantile(0.98), 80) + 2)
    _tidy(ax, "Growth, % a year, with nominal 95 % interval")
    marks = []
    for place, (factor, choice) in enumerate(lines):
        chosen = data["leave_out"] != "none" if factor == "leave_out" else data[factor] == choice
        marks.append(pd.DataFrame({"x": data.loc[chosen, "place"], "y": place, "colour": colours[chosen]}))
    drawn = pd.concat(marks)
    below.scatter(drawn["x"], drawn["y"], s=3, marker="|", color=drawn["colour"])
    names = [_choice(factor, choice) for factor, choice in lines]
    below.set_yticks(range(len(lines)), names, fontsize=6.5)
    below.set_ylim(len(lines) - 0.5, -0.5)
    below.set_xlim(0, len(data) + 1)
    _tidy(below, x_label="specifications, the lowest growth first")
    held = [f"{row.say} in {row.holds_in} of {row.cells}" for row in conclusions.itertuples() if row.cells]
    low, high = ax.get_ylim()
    cut = " Intervals are cut at the edge of the panel." if ends.min() < low or ends.max() > high else ""
    middle = data["growth_pct"].median()
    return _finish(
        "specification_curve", figure, data.drop(columns="place"),
        f"Over {len(data)} specifications growth is {_range(data['growth_pct'])} % a year, "
        f"{number_text(middle, 1)} in the middle",
        f"{capital(subject.words)}. {capital('; '.join(held))}. Specifications share their figures and are no "
        f"independent evidence.{cut}",
        "Growth of every specification in rising order with its interval, and below it which choices made it.",
        subject.source,
    )  # fmt: skip


# --- 04: projections and targets ----------------------------------------------------------------
@_themed
def projections(projected: pd.DataFrame, fits: Mapping[str, "Fit"], subject: "Subject") -> Drawing:
    """Past levels with each model's median, and each model's 80 and 95 % interval at the horizon."""
    _need(fits and len(projected), "no trend model could be fitted, so none is projected")
    end, unit = int(projected["year"].max()), _drawn_in(subject)
    shown = [name for name in projected if re.fullmatch(r"p\d+(_5)?", name)]
    data = projected.assign(unit=unit.name)
    data[shown] = units.convert(data[shown], subject.unit, unit)
    levels = units.convert(subject.levels, subject.unit, unit)
    figure, (ax, right) = _canvas(3.8, 1, 2, width_ratios=[1.3, 1])
    for model in fits:
        ahead = data[data["model"] == model].set_index("year")["p50"]
        joined = pd.concat([levels.tail(1), ahead])
        ax.plot(joined.index, joined, color=MODELS.get(model, INK), linewidth=1.8)
    _lines(ax, levels, SERIES["overseas"], markersize=0, linewidth=2)
    _log_axis(ax)
    _year_axis(ax, [*levels.index, end], most=7)
    _tidy(ax, f"{_unit_words(unit)}, logarithmic axis: medians")
    last = data[data["year"] == end].sort_values("p50", ascending=False)
    for place, row in enumerate(last.itertuples()):
        colour = MODELS.get(row.model, INK)
        right.plot([row.p2_5, row.p97_5], [place, place], color=colour, linewidth=1.2)
        right.plot([row.p10, row.p90], [place, place], color=colour, linewidth=6, alpha=0.45, solid_capstyle="butt")
        _dots(right, [row.p50], [place], colour, size=26)
        words = f"{capital(model_name(row.model))} {number_text(row.p50, 1)}"
        _label(right, row.p50, place, words, dy=6, fontsize=SMALL)
    _log_axis(right, "x")
    low, high = last["p2_5"].quantile(0.2), last["p97_5"].quantile(0.8)
    right.set_xlim(low / 2, high * 2)
    outside = (last["p2_5"] < low / 2) | (last["p97_5"] > high * 2)
    beyond = " Some reach beyond the panel." if outside.any() else ""
    right.set(yticks=[], ylim=(len(last) - 0.5, -0.8))
    right.grid(True, axis="x", color=GRID)
    _tidy(right, f"{end}: median, 80 and 95 % interval")
    medians = _least_and_most({row.model: row.p50 for row in last.itertuples()}, lambda value: number_text(value, 1))
    past = pd.DataFrame({"year": levels.index, "level": levels.to_numpy(), "unit": unit.name})
    return _finish(
        "projections", figure, pd.concat([past, data]),
        f"Medians for {end}, {_unit_words(unit)}: {medians}; {number_text(levels.iloc[-1], 1)} in {subject.last_year}",
        f"Intervals are the models' own; the backtest shows how often such have held.{beyond} {_about(subject, {})}",
        "Left, past levels and the median of each model; right, each model's intervals in the last year.",
        subject.source,
    )  # fmt: skip


@_themed
def target_chances(found: pd.DataFrame, words: Mapping[str, str]) -> Drawing:
    """Each model's chance that content exports reach each target, under each assumption [%] (targets.chances)."""
    _need(len(found), "no target lies ahead of a year with a content total, or no model could be fitted")
    years = found.drop_duplicates("target").set_index("target")["year"].sort_values()
    order = list(dict.fromkeys(found["model"]))
    keys = [key for key in words if key in set(found["assumption"])]
    figure, panels = _canvas(0.42 * len(order) + 1.0, 1, len(years), sharey=True)
    for ax, (target, year) in zip(panels, years.items(), strict=True):
        part = found[found["target"] == target].pivot(index="model", columns="assumption", values="chance_pct")
        part = part.loc[order, keys]
        _matrix(ax, part, part.map(lambda value: number_text(value, 0)), 100, ["white", SKY])
        ax.set_xticklabels([textwrap.fill(key.replace("_", " "), 9) for key in keys], fontsize=SMALL)
        ax.set_title(f"Target of {year}: chance, %", fontsize=LABEL, loc="left")
        sns.despine(ax=ax, left=True, bottom=True)
    last = found[found["target"] == years.index[-1]]
    reach = _range(last["chance_pct"], 0)
    told = "; ".join(f"{key.replace('_', ' ')}: {words[key]}" for key in keys)
    return _finish(
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
        f"from the level of {year}": (f"{stem}{year}", year) for year in list(_by_year(q, "content.total.level"))[-2:]
    }
    for key in q:
        if match := re.fullmatch(re.escape(stem) + r"rounded_(\d+)_as_(\d+)", key):
            value = q[f"content.total.level.rounded.{match[1]}"].in_unit(JPY_TRN, 1).number
            found[f"from {value} of {match[1]}, taken for {match[2]}"] = (key, int(match[2]))
    return {words: (key, year) for words, (key, year) in found.items() if key in q}


@_themed
def target_paths(content: pd.DataFrame, targets: pd.DataFrame, q: Quantities, horizon_year: int) -> Drawing:
    """Overseas sales of content and the steady growth a target asks of each baseline [JPY trn; % a year]."""
    goals = [
        (item.period, item.value, name)
        for name in CONTENT_TARGETS
        for item in _by_year(q, f"target.{name}.level").values()
    ]
    made = _trn(_values(q, level="content.total.level")["level"])
    _need(goals and len(made), "the target or the levels of content sold overseas are not at hand")
    aim, goal = max(goals)[1:]
    year, last = int(max(goals)[0]), made.index[-1]
    starts = _baselines(q, f"target.{goal}.required_growth.from_")
    _need(starts, "the target asks no growth of any baseline at hand")
    parts = [pd.DataFrame({"kind": "level", "year": made.index, "level_jpy_trn": made})]
    figure, (ax, bars) = _canvas(3.6, 1, 2, width_ratios=[1.25, 1])
    bar_colours = dict(zip(starts, (SKY, BLUE, ORANGE), strict=False))
    for words, (key, start) in starts.items():
        path = required_path(aim, q[q[key].inputs[1]].in_unit(JPY_TRN).value, start, year).loc[:horizon_year]
        ax.plot(path.index, path, color=bar_colours[words], linewidth=1.8, linestyle=(0, (5, 2)))
        column = {"year": path.index, "level_jpy_trn": path, "growth_pct": q[key].value}
        parts.append(pd.DataFrame({"kind": "path", "baseline": words, **column}))
    _lines(ax, made, SERIES["total"], markersize=5.5)
    if year <= horizon_year:
        parts.append(pd.DataFrame({"kind": "target", "year": [year], "level_jpy_trn": aim}))
        _target(ax, year, aim)
    text = f"{last}: {number_text(made[last], JPY_TRN.digits)}"
    _label(ax, last, made[last], text, dx=1, dy=-12, fontsize=LABEL, fontweight="bold")
    ax.set_ylim(0, None)
    _year_axis(ax, [*made.index, max(horizon_year, last)], most=8)
    _tidy(ax, "Overseas sales of content, JPY trillion")
    asked = pd.Series({words: q[key].value for words, (key, _) in starts.items()})
    fair = [value for words, value in asked.items() if "taken for" not in words]  # a moved baseline is no baseline
    title = f"{_trn_text(aim, 0)} in {year} asks for {_range(fair or asked)} % growth a year"
    growth = _by_year(q, "content.total.growth").get(last)
    if growth is not None:
        asked[f"achieved in {last}"] = growth.value
        parts.append(pd.DataFrame({"kind": "achieved", "year": [last], "growth_pct": growth.value}))
        title += f"; in {last} content sold overseas {_direction(growth.value)}"
    bars.barh(range(len(asked)), asked, 0.5, color=[bar_colours.get(words, INK) for words in asked.index])
    for place, (words, value) in enumerate(asked.items()):
        bars.text(0, place - 0.33, capital(words), va="bottom", fontsize=LABEL)
        _label(bars, max(value, 0), place, f"{_signed(value)} %", dx=4)
    ends = (min(0, asked.min()) * 1.2, max(asked.max(), 0) * 1.25)
    bars.set(xlim=ends, ylim=(len(asked) - 0.6, -0.75), xticks=[], yticks=[])
    _tidy(bars, "Growth a year")
    sns.despine(ax=bars, left=True, bottom=True)
    beyond = f" The target year {year} lies beyond the horizon." if year > horizon_year else ""
    releases = content.loc[(content["scope"] == "current") & (content["sector"] == "total"), "release"].nunique()
    announced = targets.set_index("target_id").loc[CONTENT_TARGETS[goal], "document"]
    return _finish(
        "target_paths", figure, pd.concat(parts), title,
        f"Dashed: steady growth from each baseline to the target. {releases} releases of one scope.{beyond}",
        "Left, levels and dashed paths to the target by year; right, bars of the growth a year each baseline needs.",
        f"Human Media releases; target: {announced}",
    )  # fmt: skip


# --- 05: claims -------------------------------------------------------------------------------
@_themed
def verdicts(verdicts: pd.DataFrame) -> Drawing:
    """One tile for each claim of the article, in rows by verdict."""
    _need(len(verdicts), "there are no claims")
    order = [*VERDICTS, *sorted(set(verdicts["verdict"]) - set(VERDICTS))]
    data = verdicts.assign(place=verdicts["verdict"].map(order.index)).sort_values(["place", "kind", "claim_id"])
    across, wide, high, left = 10, 0.58, 0.44, 0.55  # tiles a row; inches
    groups = [(name, part) for name in order if len(part := data[data["verdict"] == name])]
    depth = sum(math.ceil(len(part) / across) * high + 0.18 for _, part in groups)
    figure, (ax,) = _canvas(depth + 0.1)
    tile: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "alpha": 0.85, "edgecolor": "none"}
    centred: dict[str, Any] = {"ha": "center", "va": "center", "color": BLACK}
    top = 0.0
    for name, part in groups:
        colour, words = VERDICTS.get(name, INK), "\n".join(textwrap.wrap(capital(name), 15))
        strong: dict[str, Any] = {"va": "center", "fontweight": "bold", "color": _dark(colour)}
        ax.text(-0.75, top + high / 2, str(len(part)), ha="right", fontsize=20, **strong)
        ax.text(-0.68, top + high / 2, words, linespacing=1.1, **strong)
        for number, row in enumerate(part.itertuples()):
            x, y = left + number % across * wide, top + number // across * high
            ax.add_patch(FancyBboxPatch((x, y), wide - 0.06, high - 0.06, facecolor=colour, **tile))
            ax.text(x + wide / 2 - 0.03, y + 0.15, row.claim_id, fontweight="bold", **centred)
            ax.text(x + wide / 2 - 0.03, y + 0.29, row.kind, fontsize=6, **centred)
        top += math.ceil(len(part) / across) * high + 0.18
    ax.set(xlim=(-1.1, left + across * wide), ylim=(top - 0.1, -0.05))
    ax.set_axis_off()
    counts = [f"{len(part)} {'are' if len(part) > 1 else 'is'} {name}" for name, part in groups]
    return _finish(
        "verdicts", figure, data, f"Of {len(data)} claims, {listed(counts)}",
        "One tile for each claim, ordered by kind; numbers as in verdicts.csv.",
        "Tiles with the number and kind of each claim, in a row for each verdict.",
        "the article's claims, judged by the rules next to them",
    )  # fmt: skip
