"""Figures: true titles for any data, the data that is drawn, the same bytes in every process, legible words."""

import functools
import hashlib
import html
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.text import Text

from anime_growth import clean, figures, pipeline, projections, quantities, trends, units
from anime_growth.figures import Drawing
from anime_growth.quantities import Quantities

NAMES = [name for step in pipeline.STEPS.values() for name in step.figures]
UNITS = r"_(jpy_100m|jpy_bn|jpy_trn|pct|log_points|index|times|count)$"
WITHOUT_UNIT = {"year", "edition", "first_edition", "last_edition", "rank", "durbin_watson", "ljung_box_p"}
VERDICTS = pd.DataFrame(
    {
        "claim_id": [f"C{number:02d}" for number in range(1, 31)],
        "verdict": list(itertools.islice(itertools.cycle([*figures.VERDICTS, "supported"]), 30)),
        "kind": list(itertools.islice(itertools.cycle(["level", "growth", "qualitative"]), 30)),
    }
)


class World:
    """Tables, quantities, fits and all figures of one market table."""

    def __init__(self, tables: dict[str, pd.DataFrame], market: pd.DataFrame, horizon: int = 2033) -> None:
        content = tables["content_exports"]
        broad = quantities.describe_market(market, tables["breaks"])
        studio = quantities.describe_studio(tables["studio_editions"])
        self.market = market
        self.fits, self.refused = trends.fit_all(trends.sample(market, 2002))
        self.projected = projections.project(self.fits, horizon)
        q = broad.joined(
            studio,
            quantities.describe_gap(broad, studio),
            quantities.describe_categories(tables["categories"]),
            quantities.describe_content(content, broad),
            quantities.describe_market_cap(tables["market_cap"]),
            trends.trend_quantities(self.fits, broad),
            projections.projection_quantities(self.projected, self.fits, broad),
        )
        self.q: Quantities = q.joined(projections.target_quantities(tables["targets"], content, q))
        self.make: dict[str, Callable[[], Drawing]] = {
            "revisions": lambda: figures.revisions(clean.revisions(tables["market_editions"])),
            "market_levels": lambda: figures.market_levels(market, tables["breaks"], self.q),
            "overseas_growth": lambda: figures.overseas_growth(market, tables["breaks"], self.q),
            "contributions": lambda: figures.contributions(self.q),
            "three_measures": lambda: figures.three_measures(market, self.q),
            "growth_split": lambda: figures.growth_split(self.q),
            "studio_gap": lambda: figures.studio_gap(self.q),
            "categories": lambda: figures.categories(tables["categories"], self.q),
            "content_exports": lambda: figures.content_exports(content, tables["targets"], self.q),
            "regions": lambda: figures.regions(tables["regions"]),
            "market_cap": lambda: figures.market_cap(self.q),
            "trend_lines": lambda: figures.trend_lines(self.fits, self.refused, self.q),
            "growth_intervals": lambda: figures.growth_intervals(self.fits, self.refused, self.q),
            "residuals": lambda: figures.residuals(self.fits, self.refused, self.q),
            "projections": lambda: figures.projections(self.projected, self.fits, self.q),
            "target_paths": lambda: figures.target_paths(content, tables["targets"], self.q, horizon),
            "verdicts": lambda: figures.verdicts(VERDICTS),
        }
        self._drawn: dict[str, Drawing] = {}
        self.svg = functools.cache(lambda name: self[name].svg())

    def __getitem__(self, name: str) -> Drawing:
        if name not in self._drawn:
            self._drawn[name] = self.make[name]()
        return self._drawn[name]


def scaled(market: pd.DataFrame, factor: float) -> pd.DataFrame:
    """The market with overseas of the last year multiplied by `factor`, and the whole market to match."""
    changed = market.copy()
    last = changed["year"] == changed["year"].max()
    overseas, total = last & (changed["series"] == "overseas"), last & (changed["series"] == "total")
    for column in ("level_jpy_100m", "level_usd_bn", "level_real_jpy_100m"):
        lost = changed.loc[overseas, column].iloc[0] * (1 - factor)
        changed.loc[overseas, column] *= factor
        changed.loc[total, column] -= lost
    return changed


@pytest.fixture(scope="module")
def raw_tables() -> dict[str, pd.DataFrame]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ANIME_GROWTH_HOME", raising=False)
        return clean.clean_all()


@pytest.fixture(scope="module")
def world(raw_tables: dict[str, pd.DataFrame]) -> World:
    return World(raw_tables, clean.market(raw_tables, 2025))


@pytest.fixture(scope="module")
def two_years(raw_tables: dict[str, pd.DataFrame]) -> World:
    return World(raw_tables, clean.market(raw_tables, 2024))


@pytest.fixture(scope="module")
def falling(raw_tables: dict[str, pd.DataFrame]) -> World:
    return World(raw_tables, scaled(clean.market(raw_tables, 2025), 0.6), horizon=2028)


def test_every_promised_figure_has_a_function_and_a_list_of_columns(world: World) -> None:
    assert set(NAMES) == set(world.make) == set(figures.COLUMNS)
    assert all(callable(getattr(figures, name)) for name in NAMES)


# --- bytes -----------------------------------------------------------------------------------------
PRINT_HASHES = """
import hashlib, matplotlib, sys
matplotlib.rcParams["font.size"] = 30
sys.path.insert(0, {folder!r})
import test_figures as t
tables = t.clean.clean_all()
world = t.World(tables, t.clean.market(tables, 2025))
for name in t.NAMES:
    print(name, hashlib.sha256(world[name].svg()).hexdigest())
"""


@pytest.fixture(scope="module", autouse=True)
def other_process() -> Iterator[subprocess.Popen[str]]:
    """Draws all figures while the other tests run, with another hash seed and a reader's own settings of matplotlib."""
    script = PRINT_HASHES.format(folder=str(Path(__file__).parent))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANIME_GROWTH")}
    environment["PYTHONHASHSEED"] = "1"
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("name", NAMES)
def test_the_svg_names_no_date_and_tells_its_finding(world: World, name: str) -> None:
    text = world.svg(name).decode("utf-8")
    assert "<dc:date>" not in text
    assert "Matplotlib v" not in text
    assert f"<title>{html.escape(world[name].title, quote=False)}</title>" in text
    assert "<dc:description>" in text
    assert "<text" not in text, "letters are paths, so no reader needs the font"


def test_drawing_twice_gives_the_same_bytes(world: World) -> None:
    assert world["residuals"].svg() == world["residuals"].svg() == world.make["residuals"]().svg()


def test_settings_and_pyplot_are_left_alone(world: World) -> None:
    before = dict(matplotlib.rcParams)
    world.make["projections"]().svg()
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []


# --- what Jupyter and nbval see ----------------------------------------------------------------------
def test_jupyter_gets_one_picture_and_nbval_the_sentence(world: World) -> None:
    drawing = world["market_levels"]
    before = drawing.svg()
    bundle = drawing._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["image/png"] == drawing.png()
    assert drawing.png().startswith(b"\x89PNG")
    assert drawing.svg() == before, "showing a figure must not change what is saved"
    assert bundle["text/plain"] == f"Figure market_levels: {drawing.title} ({len(drawing.data)} rows drawn)"
    assert repr(drawing) == bundle["text/plain"]


@pytest.mark.parametrize("name", NAMES)
def test_the_alternative_text_says_what_is_drawn_and_the_finding(world: World, name: str) -> None:
    drawing = world[name]
    assert drawing.alt.endswith(f"{drawing.title}.")
    assert len(drawing.alt) > len(drawing.title) + 30


# --- data --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_columns_end_in_their_unit(world: World, name: str) -> None:
    data = world[name].data
    assert list(data.columns) == figures.COLUMNS[name]
    assert len(data) > 0
    for column in data.select_dtypes("number"):
        assert column in WITHOUT_UNIT or re.search(UNITS, column), column


def expect(data: pd.DataFrame, q: Quantities, column: str, key: str, unit: units.Unit | None = None) -> None:
    """Every value of `column` is the quantity that `key` names with the row's fields filled in."""
    rows = data.dropna(subset=column)
    assert len(rows) > 0
    for row in rows.to_dict("records"):
        item = q[key.format(**row)]
        value = item.in_unit(unit).value if unit else item.value
        assert row[column] == pytest.approx(value, rel=1e-9), row


def test_the_data_drawn_are_the_quantities(world: World) -> None:
    q, trn = world.q, units.JPY_TRN
    expect(world["market_levels"].data, q, "level_jpy_trn", "market.{series}.level.{year}", trn)
    expect(world["overseas_growth"].data, q, "growth_pct", "market.overseas.growth.{year}")
    expect(world["overseas_growth"].data, q, "rank", "market.overseas.growth_rank.{year}")
    for series in ("overseas", "domestic"):
        column, key = f"{series}_points_pct", f"market.{series}.contribution_points.{{year}}"
        expect(world["contributions"].data, q, column, key)
    expect(world["growth_split"].data, q, "dollars_log_points", "market.overseas.log_growth_usd.{year}")
    expect(world["growth_split"].data, q, "rate_log_points", "market.overseas.log_rate.{year}")
    expect(world["growth_split"].data, q, "yen_log_points", "market.overseas.log_growth.{year}")
    expect(world["studio_gap"].data, q, "over_studio_times", "market.overseas.over_studio.{year}")
    expect(world["categories"].data, q, "level_jpy_bn", "category.{category}.level.{year}", units.JPY_BN)
    expect(world["market_cap"].data, q, "level_jpy_trn", "market_cap.{group}.level.{date}")
    expect(world["trend_lines"].data, q, "level_jpy_trn", "market.overseas.level.{year}", trn)
    for end in ("", "_lo95", "_hi95"):
        expect(world["growth_intervals"].data, q, f"growth{end}_pct", f"trend.overseas.{{model}}.growth{end}")
    for name in ("p10", "p50", "p90"):
        expect(world["projections"].data, q, f"{name}_jpy_trn", f"projection.overseas.{{model}}.{name}.{{year}}", trn)
    made = world["target_paths"].data.query("kind == 'level'")
    expect(made, q, "level_jpy_trn", "content.total.level.{year}", trn)
    current = world["content_exports"].data.query("scope == 'current scope'")
    expect(current, q, "level_jpy_trn", "content.total.level.{year}", trn)
    old = world["content_exports"].data.query("scope == 'old scope'")
    expect(old, q, "level_jpy_trn", "content.total.level.old_scope.{year}", trn)


def test_stacked_parts_add_up_to_the_dots(world: World) -> None:
    for name, (*parts, whole) in (
        ("contributions", figures.COLUMNS["contributions"][1:]),
        ("growth_split", figures.COLUMNS["growth_split"][1:]),
    ):
        data = world[name].data
        assert data[parts].sum(axis=1).to_numpy() == pytest.approx(data[whole].to_numpy(), abs=1e-9)


def test_the_index_is_100_in_the_lowest_year(world: World) -> None:
    data = world["three_measures"].data
    (low,) = (item for key, item in world.q.items() if key.startswith("market.overseas.trough."))
    assert data.loc[data["year"] == low.value, "level_index"].tolist() == pytest.approx([100] * 3)
    assert data.query("measure == 'in yen'")["level_index"].min() == pytest.approx(100)


def test_paths_to_the_target_start_at_their_baseline_and_end_at_the_target(world: World) -> None:
    data = world["target_paths"].data
    goal = world.q["target.content_2033.level.2033"].value
    paths = data[data["kind"] == "path"]
    assert paths["baseline"].nunique() == 3
    for _, path in paths.groupby("baseline"):
        levels = path.sort_values("year")["level_jpy_trn"].to_numpy()
        assert levels[-1] == pytest.approx(goal)
        assert (levels[1:] / levels[:-1] - 1) * 100 == pytest.approx(path["growth_pct"].to_numpy()[1:])


def test_forecasts_of_the_old_scope_are_not_drawn(world: World, raw_tables: dict[str, pd.DataFrame]) -> None:
    forecasts = raw_tables["content_exports"].query("scope == 'old_forecast' and sector == 'total'")
    assert len(forecasts) > 0
    drawn = set(world["content_exports"].data["level_jpy_trn"].round(4))
    assert not drawn & {round(value, 4) for value in forecasts["level_jpy_100m"] / 10_000}


# --- titles --------------------------------------------------------------------------------------------
def test_titles_tell_the_year_that_was(world: World) -> None:
    q = world.q
    assert q["market.overseas.growth.2024"].number in world["overseas_growth"].title
    assert "the 4th fastest of 22 years" in world["overseas_growth"].title
    assert "took it back in 2023; in 2024 overseas led by" in world["market_levels"].title
    assert q["market.overseas.rate_share.2024"].number in world["growth_split"].title


def test_no_title_claims_growth_when_overseas_falls(falling: World) -> None:
    assert falling["overseas_growth"].title.startswith("Overseas shrank")
    assert "fastest" not in falling["overseas_growth"].title
    assert "lost it in 2024; in 2024 overseas trailed by" in falling["market_levels"].title
    assert "The market shrank" in falling["contributions"].title
    assert "overseas took away" in falling["contributions"].title
    assert "domestic added" in falling["contributions"].title
    assert "made up" not in falling["growth_split"].title
    assert "−" in falling["growth_split"].title
    damped = falling.q["trend.overseas.damped_trend.growth"]
    assert damped.value < 0 and damped.number in falling["trend_lines"].title
    lowest = min(fit.growth_lo95 for fit in falling.fits.values() if fit.growth_lo95 is not None)
    assert falling["growth_intervals"].title.count(units.number_text(lowest, 1)) == 1
    medians = {model: falling.q[f"projection.overseas.{model}.p50.2028"] for model in falling.fits}
    lowest = min(medians.values(), key=lambda item: item.value).in_unit(units.JPY_TRN)
    assert f"Medians for 2028: {lowest.text}" in falling["projections"].title


def test_a_new_low_is_called_one(raw_tables: dict[str, pd.DataFrame]) -> None:
    market = scaled(clean.market(raw_tables, 2025), 0.05)
    q = quantities.describe_market(market, raw_tables["breaks"])
    assert figures.three_measures(market, q).title == "Overseas in yen is lower in 2024 than in any year since 2002"


def test_the_fastest_year_is_called_the_fastest(raw_tables: dict[str, pd.DataFrame]) -> None:
    market = scaled(clean.market(raw_tables, 2025), 3.0)
    q = quantities.describe_market(market, raw_tables["breaks"])
    assert "the fastest of 22 years" in figures.overseas_growth(market, raw_tables["breaks"], q).title


def test_low_confidence_readings_stay_out_of_the_title(raw_tables: dict[str, pd.DataFrame]) -> None:
    table = clean.revisions(raw_tables["market_editions"])
    largest = table.loc[table["change_pct"].abs().idxmax()]
    assert largest["lowest_confidence"] == "low"
    assert f"{abs(largest['change_pct']):.1f} %" not in figures.revisions(table).title


def test_untouched_series_are_called_so(raw_tables: dict[str, pd.DataFrame]) -> None:
    table = clean.revisions(raw_tables["market_editions"]).assign(change_pct=0.0, lowest_confidence="high")
    title = figures.revisions(table).title
    assert title == "Overseas was never restated; domestic was never restated; the whole market was never restated"


@pytest.mark.parametrize("name", NAMES)
def test_no_title_holds_a_figure_of_the_data_in_the_code(name: str) -> None:
    """Years and decimals in the module's code would be figures typed by hand."""
    code = Path(figures.__file__).read_text(encoding="utf-8")
    body = code.split(f"def {name}(")[1].split("\n@_themed")[0]
    words = " ".join(re.findall(r'"([^"]*)"', body))
    words = re.sub(r"\{[^}]*\}", "", words)
    assert not re.findall(r"\b(?:19|20)\d\d\b|\d+\.\d+ ?(?:%|trillion|times)", words)


# --- little data -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_an_edition_of_two_years_is_drawn(two_years: World, name: str) -> None:
    drawing = two_years[name]
    assert list(drawing.data.columns) == figures.COLUMNS[name]
    assert b"</svg>" in drawing.svg()
    if name in ("trend_lines", "growth_intervals", "residuals", "projections"):
        assert drawing.data.empty and drawing.title.startswith("Nothing to draw: no trend model could be fitted")
    else:
        assert len(drawing.data) > 0


def test_without_trends_the_reason_is_given(two_years: World) -> None:
    (reason,) = set(two_years.refused.values())
    assert reason in two_years["trend_lines"].title


def test_a_model_that_was_refused_is_named(world: World) -> None:
    fits = {model: fit for model, fit in world.fits.items() if model != "damped_trend"}
    drawing = figures.growth_intervals(fits, {"damped_trend": "it did not converge"}, world.q)
    words = " ".join(text.get_text().replace("\n", " ") for text in drawing.figure.texts)
    assert "Not fitted: damped trend (it did not converge)." in words


def test_a_target_beyond_the_horizon_is_not_drawn(falling: World) -> None:
    data = falling["target_paths"].data
    assert data["year"].max() <= 2028
    assert "target" not in set(data["kind"])


def test_empty_tables_give_a_sentence(world: World, raw_tables: dict[str, pd.DataFrame]) -> None:
    nothing = Quantities("2025")
    drawings = [
        figures.revisions(clean.revisions(raw_tables["market_editions"]).head(0)),
        *(getattr(figures, name)(nothing) for name in ("contributions", "growth_split", "studio_gap", "market_cap")),
        figures.overseas_growth(world.market, raw_tables["breaks"], nothing),
        figures.three_measures(world.market, nothing),
        figures.categories(raw_tables["categories"].head(0), nothing),
        figures.regions(raw_tables["regions"].head(0)),
        figures.content_exports(raw_tables["content_exports"], raw_tables["targets"], nothing),
        figures.target_paths(raw_tables["content_exports"], raw_tables["targets"], nothing, 2033),
        figures.verdicts(VERDICTS.head(0)),
    ]
    for drawing in drawings:
        assert drawing.title.startswith("Nothing to draw: ")
        assert list(drawing.data.columns) == figures.COLUMNS[drawing.name]


# --- legibility ------------------------------------------------------------------------------------------------
def words_in(drawing: Drawing) -> list[tuple[str, matplotlib.transforms.Bbox]]:
    """All words that are seen, with their boxes in pixels."""
    figure = drawing.figure
    figure.draw_without_rendering()
    unseen = set()
    for axis in itertools.chain.from_iterable((ax.xaxis, ax.yaxis) for ax in figure.axes):
        low, high = sorted(axis.get_view_interval())
        unseen |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    # Text's own box: an annotation's would take in the arrow
    return [(text.get_text(), Text.get_window_extent(text)) for text in texts if text not in unseen]


# These rest on no edition of the market, so one case shows them.
UNMOVED = ("revisions", "categories", "content_exports", "regions", "market_cap", "verdicts")
CASES = [("world", name) for name in NAMES]
CASES += [(case, name) for case in ("two_years", "falling") for name in NAMES if name not in UNMOVED]


@pytest.mark.parametrize(("case", "name"), CASES)
def test_words_neither_overlap_nor_leave_the_page(request: pytest.FixtureRequest, case: str, name: str) -> None:
    drawing = request.getfixturevalue(case)[name]
    boxes = words_in(drawing)
    page = drawing.figure.bbox
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1, f"{text!r} is cut off"
    for (text, one), (other, two) in itertools.combinations(boxes, 2):
        apart = one.x1 - 1 <= two.x0 or two.x1 - 1 <= one.x0 or one.y1 - 1 <= two.y0 or two.y1 - 1 <= one.y0
        assert apart, f"{text!r} lies on {other!r}"


@pytest.mark.parametrize("palette", ["SERIES", "MEASURES", "MODELS", "VERDICTS", "CAP_GROUPS"])
def test_a_colour_has_one_meaning_in_its_group(palette: str) -> None:
    colours = list(getattr(figures, palette).values())
    assert len(set(colours)) == len(colours)


def test_the_svg_is_the_same_bytes_in_every_process(world: World, other_process: subprocess.Popen[str]) -> None:
    here = "".join(f"{name} {hashlib.sha256(world.svg(name)).hexdigest()}\n" for name in NAMES)
    there, _ = other_process.communicate(timeout=120)
    assert there == here
