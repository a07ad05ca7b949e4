"""What all figures share: colours, data columns, the look, words for numbers, paper, and parts of figures."""

import functools
import itertools
import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

from anime_growth import units
from anime_growth.describe import contiguous
from anime_growth.languages import ENGLISH, FONTS, WITHOUT_SPACES, font_file, say, speaking, spoken
from anime_growth.quantities import MODEL_WORDS, Quantities, Quantity, model_name
from anime_growth.units import JPY_100M, JPY_TRN, PERCENT, number_text
from anime_growth.words import capital

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
    "verdicts": ["article", "claim_id", "verdict", "kind"],
}

WIDTH, MARGIN = 8.0, 0.15  # inches
FULL_WIDTH = 1.85  # mean letters
TITLE, SUBTITLE, LABEL, SMALL = 13.0, 9.5, 8.5, 7.5  # points
FONT = "DejaVu Sans"  # matplotlib's own; a language that it cannot write has one of its own
_LOOK = {
    **{"font.size": LABEL, "text.color": INK},
    **{"axes.edgecolor": QUIET, "axes.labelcolor": QUIET, "axes.labelsize": LABEL, "axes.grid.axis": "y"},
    # A heading's height is given: matplotlib would measure all ticks at each drawing to find the same.
    **{"axes.titlesize": LABEL + 0.5, "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titley": 1.0},
    **{"grid.color": GRID, "hatch.linewidth": 0.8, "xtick.color": QUIET, "ytick.color": QUIET},
    **{"xtick.bottom": True, "xtick.major.size": 3, "svg.fonttype": "path"},
    **{"text.parse_math": False},  # a dollar sign is one, in the names of strangers, too
}
Mark = tuple[float, str, str]  # year, words, colour
End = tuple[float, float, str, str]  # x, y, words, colour


def _theme(**more: Any) -> AbstractContextManager[None]:
    """The look of all figures, whatever the reader's own settings are; undone on leaving."""
    fonts = {"font.family": [*_own_font(spoken()), FONT]}  # what the first lacks, the next writes
    return matplotlib.style.context(["default", sns.axes_style("whitegrid"), {**_LOOK, **fonts, **more}])


@functools.cache
def _own_font(language: str) -> list[str]:
    """The name of a language's own font, made known to matplotlib."""
    with speaking(language):
        file = font_file()
    if file is None:
        return []
    fontManager.addfont(file)
    return [FONTS[language][0]]


def writing(text: str) -> AbstractContextManager[None]:
    """Where FONT lacks a letter of `text`, such as a stranger's name, the fonts of all languages stand behind it."""
    known = FT2Font(findfont(FONT)).get_charmap()
    if all(ord(letter) in known for letter in text):
        return nullcontext()
    others = [name for language in FONTS for name in _own_font(language)]
    return matplotlib.rc_context({"font.family": [*matplotlib.rcParams["font.family"], *others]})


@dataclass(frozen=True, eq=False, repr=False)
class Drawing:
    """A figure with its finding, words for those who cannot see it, and exactly what is drawn."""

    name: str
    title: str
    alt: str
    data: pd.DataFrame
    figure: Figure
    language: str = ENGLISH

    def svg(self) -> bytes:
        """The picture as SVG, the same bytes at any time and in any process."""
        return self._drawn

    @functools.cached_property
    def _drawn(self) -> bytes:
        """What is saved and what is shown, drawn once."""
        about = {"Date": None, "Creator": "anime_growth", "Title": self.title, "Description": self.alt}
        picture = BytesIO()
        with speaking(self.language), _theme(**{"svg.hashsalt": f"anime_growth {self.name}"}):
            self.figure.savefig(picture, format="svg", metadata=about)
        return picture.getvalue()

    def __repr__(self) -> str:
        return f"Figure {self.name}: {self.title} ({len(self.data)} rows drawn)"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The picture that is saved, and the finding in words."""
        return {"image/svg+xml": self.svg().decode(), "text/plain": repr(self)}


class _Nothing(Exception):
    """There is nothing to draw; the message says why."""


def themed(draw: Callable[..., Drawing]) -> Callable[..., Drawing]:
    """Draw in the look of the study, leave the reader's settings as they were, and survive missing data (`need`).

    A figure so drawn takes `language` besides what it declares.
    """

    @functools.wraps(draw)
    def themed(*args: Any, language: str = ENGLISH, **kwargs: Any) -> Drawing:
        with speaking(language), _theme():
            try:
                return draw(*args, **kwargs)
            except _Nothing as reason:
                return _nothing(draw.__name__, str(reason))

    return themed


def need(there: Any, reason: str) -> None:
    """Draw nothing but the sentence `reason` where `there` is empty; see `themed`."""
    if not there:
        raise _Nothing(say(reason))


def _nothing(name: str, reason: str) -> Drawing:
    """A figure that says in a sentence why there is nothing to draw."""
    figure, (ax,) = canvas(0.4)
    ax.set_axis_off()
    title = say("Nothing to draw: {reason}", reason=reason)
    return finish(name, figure, pd.DataFrame(), title, "", say("An empty figure."), say("tables of this run"))


# --- numbers and words -------------------------------------------------------------------------
def direction(value: float) -> str:
    """The verb for a change of `value` per cent, with its size."""
    size = number_text(abs(value), PERCENT.digits)
    if not size.strip("0."):
        return say("hardly changed")
    return say("grew {size} %" if value > 0 else "shrank {size} %", size=size)


def signed(value: float) -> str:
    """A number at the printed precision of a percentage, with its sign, plus included."""
    text = number_text(value, PERCENT.digits)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def signed_percent(value: float) -> str:
    """A percentage with its sign."""
    return say(PERCENT.text).format(signed(value))


def trn(value: Any) -> Any:
    """Oku-yen as trillion JPY [number, array or column]."""
    return units.convert(value, JPY_100M, JPY_TRN)


def trn_text(value: float) -> str:
    """A level [JPY trn] in words, without decimals."""
    return say(JPY_TRN.text).format(number_text(value, 0))


def range_text(values: Iterable[float], digits: int = PERCENT.digits) -> str:
    """Lowest to highest in words, or the one value where they print alike."""
    found = list(values)
    low, high = (number_text(value, digits) for value in (min(found), max(found)))
    return low if low == high else say("{low} to {high}", low=low, high=high)


def by_year(q: Quantities, stem: str) -> dict[int, Quantity]:
    """Quantities `<stem>.<year>`, oldest first."""
    split = ((key.rpartition("."), item) for key, item in q.items())
    return dict(sorted((int(period), item) for (head, _, period), item in split if head == stem and period.isdecimal()))


def values_by_year(q: Quantities, **stems: str) -> pd.DataFrame:
    """Values of quantities `<stem>.<year>`: a row for each year that has all of them, a column a stem."""
    found = {name: {year: item.value for year, item in by_year(q, stem).items()} for name, stem in stems.items()}
    return pd.DataFrame(found, columns=list(stems), dtype=float).sort_index().rename_axis("year").dropna()


# --- paper, title and source line --------------------------------------------------------------
def canvas(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure outside pyplot, `height` inches without title and source line, and its panels."""
    figure = Figure(figsize=(WIDTH, height), dpi=100)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def _wrapped(text: str, size: float, width: float) -> list[str]:
    """`text` in even lines that fit the page; `width` is a letter's mean width in parts of its size."""
    most = int((WIDTH - 2 * MARGIN) * 72 / (size * width))
    text = text.replace(" %", "\N{NO-BREAK SPACE}%").replace("JPY ", "JPY\N{NO-BREAK SPACE}")
    fewest = len(folded(text, most))
    even = (folded(text, tried) for tried in range(most // 2, most + 1))
    return next(lines for lines in even if len(lines) <= fewest)


def folded(text: str, most: int) -> list[str]:
    """`text` in lines of at most `most` letters, broken at spaces or, without them, where the language allows it."""
    if spoken() not in WITHOUT_SPACES:
        return textwrap.wrap(text, most, break_on_hyphens=False)
    pieces = [
        part for piece in _PIECES.findall(text) for part in ([piece] if letters(piece) <= most else piece) if part
    ]
    lines = [""]
    for piece in pieces:
        if lines[-1] and letters(lines[-1] + piece.rstrip()) > most:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines if line.strip()]


# What stays together where words stand without spaces: as a rule a word in kanji, katakana or letters with the
# hiragana and the closing marks after it, so that a line breaks where one would pause.
_PIECES = re.compile(r"[（「『【]*[^\sぁ-ん、。；：％）」』】（「『【]*[ぁ-ん]*[、。；：％）」』】]*|\s")


def letters(text: str) -> float:
    """How many letters of mean width `text` is long; a full-width one counts for more."""
    return sum(FULL_WIDTH if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def finish(
    name: str, figure: Figure, data: pd.DataFrame, title: str, subtitle: str, drawn: str, source: str,
    notes: Iterable[str] = (),
) -> Drawing:  # fmt: skip
    """Set title, subtitle, notes and source line, give them room, and fix the layout for good."""
    head: list[tuple[list[str], float, dict[str, Any]]] = [
        (_wrapped(title, TITLE, 0.64), TITLE, {"fontweight": "bold"}),
        (_wrapped(subtitle, SUBTITLE, 0.56), SUBTITLE, {"color": QUIET}),
    ]
    foot = [
        line
        for note in (*notes, say("Source: {source}. anime_growth", source=source))
        for line in _wrapped(note, SMALL, 0.55)
    ]
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
        for axis in (ax.xaxis, ax.yaxis):
            if not axis.get_label_text():  # else matplotlib would measure all ticks at each drawing to place no words
                axis.set_label_coords(0, 0)
    data = data.reindex(columns=COLUMNS.get(name, list(data.columns))).reset_index(drop=True)
    return Drawing(name, title, say("{drawn} {title}.", drawn=drawn, title=title), data, figure, spoken())


# --- parts of figures --------------------------------------------------------------------------
def tidy(ax: Axes, heading: str = "", x_label: str = "", above: float = 0.0, weight: str = "normal") -> None:
    """Axis words: what is measured stands above the panel, `above` points higher where years are marked."""
    sns.despine(ax=ax, left=True)
    ax.set(xlabel=x_label, ylabel="")
    if heading:
        ax.set_title(heading, fontsize=LABEL, fontweight=weight, color=QUIET, pad=6 + above)


def year_axis(ax: Axes, years: Iterable[int], most: int = 12) -> None:
    """Whole years, the last one always named, and room around a lone year."""
    first, last = min(found := [int(year) for year in years]), max(found)
    step = next((step for step in (1, 2, 5, 10) if (last - first) / step < most), 20)
    ax.set_xticks(range(last, first - 1, -step))
    pad = 0.7 if last - first > 3 else 1.6
    ax.set_xlim(first - pad, last + pad)


def log_axis(ax: Axes, axis: str = "y") -> None:
    """A logarithmic axis with plain numbers; where it spans little, with evenly placed ones."""
    getattr(ax, f"set_{axis}scale")("log")
    low, high = getattr(ax, f"get_{axis}lim")()
    scale = getattr(ax, f"{axis}axis")
    subs = (1.0, 2.0, 5.0) if high / low < 100 else (1.0, 3.0) if high / low < 1000 else (1.0,)
    scale.set_major_locator(LogLocator(subs=subs) if high / low > 4 else MaxNLocator(5))
    scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    scale.set_minor_formatter(NullFormatter())
    scale.set_minor_locator(NullLocator())


def dark(colour: str) -> tuple[float, ...]:
    """The colour darkened for letters."""
    return tuple(part * 0.78 for part in to_rgb(colour))


def light(colour: str) -> tuple[float, ...]:
    """The colour lightened for what is not in focus."""
    return tuple(1 - (1 - part) * 0.4 for part in to_rgb(colour))


def label(
    ax: Axes, x: float, y: float, text: str, colour: str = INK, dx: float = 0, dy: float = 0, **style: Any
) -> None:
    """Words `dx`, `dy` points beside a place of the data, on a white ground so that no line strikes them."""
    style = {"fontsize": SMALL, "coords": "data", **style}
    coords, sides = style.pop("coords"), {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
    ax.annotate(
        text, (x, y), (dx, dy), coords, "offset points", color=dark(colour), bbox=ground, zorder=6,
        ha=sides[int(np.sign(dx))][0], va=sides[int(np.sign(dy))][1], **style,
    )  # fmt: skip


def year_line(ax: Axes, values: pd.Series, colour: str, **style: Any) -> None:
    """Values by year as line and dots, open where a year is missing."""
    dot = {"marker": "o", "markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.75}
    look: dict[str, Any] = {**dot, "linewidth": 2.0, "color": colour, **style}
    for run in contiguous(values.index):
        ax.plot(run, values.loc[run], **look)


def dots(ax: Axes, x: Any, y: Any, colour: str, hollow: Any = (), size: float = 34, marker: str = "o") -> None:
    """Dots, hollow where a reading is not exact or not trusted."""
    faces = ["white" if flag else colour for flag in hollow] or colour
    ax.scatter(x, y, s=size, marker=marker, facecolors=faces, edgecolors=colour, linewidths=1.4, zorder=4)


def mark_target(ax: Axes, year: int, level: float) -> None:
    """A target as a diamond with its words."""
    dots(ax, [year], [level], ORANGE, [True], 70, "D")
    label(
        ax,
        year,
        level,
        say("Target {year}\n{level}", year=year, level=trn_text(level)),
        dx=-10,
        fontsize=LABEL,
        fontweight="bold",
    )


def end_labels(ax: Axes, ends: Sequence[End], size: float = LABEL) -> None:
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
        label(ax, x, place, text, colour, dx=7, **style)


def mark_years(ax: Axes, marks: Iterable[Mark]) -> float:
    """Thin dashed lines at years, their words above the panel in rows so that none meets another.

    Returns how many points a heading must give way [0 where no mark stands above it].
    """
    (low, high), top = ax.get_xlim(), ax.get_xaxis_transform()
    points = (high - low) / (ax.bbox.width / ax.figure.dpi) / 72
    placed: list[tuple[float, int]] = []
    for year, text, colour in sorted(marks, key=lambda mark: -mark[0]):
        if not low <= year <= high:
            continue
        reach = year + (letters(text) * SMALL * 0.6 + 10) * points
        row = max((row + 1 for other, row in placed if other <= reach), default=0)
        placed.append((year, row))
        ax.axvline(year, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0.5)
        stem = {"arrowstyle": "-", "color": colour, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (year, 1), (0, 12 + row * 11), top, "offset points", arrowprops=stem)
        ax.annotate(text, (year, 1), (3, 4 + row * 11), top, "offset points", fontsize=SMALL, color=dark(colour))
    crowded = placed and (placed[-1][0] - low) / (high - low) < 0.45
    return 14.0 + 11 * max(row for _, row in placed) if crowded else 0.0


def stack(ax: Axes, parts: pd.DataFrame, sums: pd.Series, colours: Sequence[str], words: Sequence[str]) -> None:
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
    year_axis(ax, sums.index)
    end_labels(ax, [*ends, (year + 0.4, sums[year], words[-1], INK)])


def matrix(ax: Axes, cells: pd.DataFrame, texts: pd.DataFrame, most: float, colours: Sequence[str]) -> None:
    """Values of models [rows] by `cells.columns` as coloured tiles with their texts; a missing one stays white.

    Three colours run from -most over white at nought to most, two from nought to most. Letters are black or
    white, whichever stands out.
    """
    shades = LinearSegmentedColormap.from_list("tiles", list(colours))
    least = -most if len(colours) == 3 else 0.0
    numbers = cells.to_numpy(dtype=float)
    # Words inside their tile take no room of their own.
    inside: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": LABEL, "in_layout": False}
    tiles = np.ma.masked_invalid(numbers)
    ax.pcolormesh(tiles, cmap=shades, vmin=least, vmax=most, edgecolors="white", linewidth=2)
    for (row, column), value in np.ndenumerate(numbers):
        if math.isfinite(value) and texts.iat[row, column]:
            ground = shades((np.clip(value, least, most) - least) / (most - least))[:3]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in ground]
            ink = BLACK if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "white"
            place = (column + 0.5, row + 0.5)
            ax.text(*place, texts.iat[row, column], color=ink, **inside)
    ax.set_yticks(np.arange(len(cells)) + 0.5, [capital(model_name(model)) for model in cells.index], color=INK)
    ax.set_xticks(np.arange(len(cells.columns)) + 0.5, list(cells.columns), color=INK)
    ax.set_ylim(len(cells), 0)
    ax.grid(False)
    ax.tick_params(length=0)
