"""Figures: true titles for any data, the data that is drawn, the same bytes in every process, legible words."""

import ast
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
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from anime_growth import (
    backtest,
    clean,
    describe,
    figures,
    pipeline,
    projections,
    series,
    specifications,
    targets,
    trends,
    units,
)
from anime_growth.figures import Drawing
from anime_growth.figures import drawing as shared
from anime_growth.quantities import Quantities

# The worlds beside the real one are made by another worker.
pytestmark = pytest.mark.xdist_group("figures")
elsewhere = pytest.mark.xdist_group("moved")

NAMES = [name for step in pipeline.STEPS.values() for name in step.figures]
# These show the series under study, so another series or basis moves them.
OF_A_SUBJECT = [
    *("trend_lines", "growth_intervals", "residuals", "backtest", "forecast_bands", "specification_curve"),
    "projections",
]
UNITS = r"_(jpy_100m|jpy_bn|jpy_trn|pct|points|index|times|count)$"
# Measures whose unit stands in the column `unit` of the same row.
IN_UNIT = re.compile(r"level|fitted|median|(conformal_)?(lo|hi)80|p\d+(_5)?")
# Years, ranks and counts, and what is a pure number or a difference of logs.
WITHOUT_UNIT = {
    *("year", "edition", "first_edition", "last_edition", "first_year", "last_year", "start_year", "rank", "horizon"),
    *("errors", "draws", "durbin_watson", "ljung_box_p", "reach", "own_reach"),
}
VERDICTS = pd.DataFrame(
    {
        "claim_id": [f"C{number:02d}" for number in range(1, 31)],
        "article": "an_article",
        "verdict": list(itertools.islice(itertools.cycle([*shared.VERDICTS, "supported"]), 30)),
        "kind": list(itertools.islice(itertools.cycle(["level", "growth", "qualitative"]), 30)),
    }
)


class World:
    """Tables, quantities, fits and all figures of one market table and one series."""

    def __init__(
        self,
        tables: dict[str, pd.DataFrame],
        market: pd.DataFrame,
        horizon: int = 2033,
        name: str = "market.overseas",
        basis: str = "yen",
    ) -> None:
        content, announced = tables["content_exports"], tables["targets"]
        known = describe.describe({**tables, "market": market})
        self.market, self.tables, self.known, self.basis, self.horizon = market, tables, known, basis, horizon
        self.subject = series.choose(known, name, basis, 2002)
        self.subjects = series.in_every_basis(known, name, 2002)
        self.fits, self.refused = trends.fit_all(self.subject.levels)
        self.by_basis = {basis: trends.fit_all(other.levels) for basis, other in self.subjects.items()}
        self.projected = projections.project(self.fits, self.subject, horizon)
        self.anime = {basis: series.choose(known, "market.overseas", basis, 2002) for basis in ("yen", "usd")}
        fitted = {basis: found for basis, (found, _) in self.by_basis.items()}
        self.make: dict[str, Callable[[], Drawing]] = {
            "revisions": lambda: figures.revisions(clean.revisions(tables["market_editions"])),
            "market_levels": lambda: figures.market_levels(market, tables["breaks"], self.known),
            "overseas_growth": lambda: figures.overseas_growth(market, tables["breaks"], self.known),
            "contributions": lambda: figures.contributions(self.known),
            "three_measures": lambda: figures.three_measures(market, self.known),
            "growth_split": lambda: figures.growth_split(self.known),
            "studio_gap": lambda: figures.studio_gap(self.known),
            "categories": lambda: figures.categories(tables["categories"], self.known),
            "content_exports": lambda: figures.content_exports(content, announced, self.known),
            "regions": lambda: figures.regions(tables["regions"]),
            "market_cap": lambda: figures.market_cap(self.known),
            "trend_lines": lambda: figures.trend_lines(self.fits, self.refused, self.subject),
            "growth_intervals": lambda: figures.growth_intervals(fitted, self.refused, self.subject),
            "residuals": lambda: figures.residuals(self.fits, self.table, self.refused, self.subject),
            "backtest": lambda: figures.backtest(self.scores, self.subject),
            "forecast_bands": lambda: figures.forecast_bands(self.bands, self.subject),
            "specification_curve": lambda: figures.specification_curve(self.cells, self.held, self.subject),
            "projections": lambda: figures.projections(self.projected, self.fits, self.subject),
            "target_chances": lambda: figures.target_chances(self.chances, {**targets.SHARINGS, **targets.RATES}),
            "target_paths": lambda: figures.target_paths(content, announced, self.known, horizon),
            "verdicts": lambda: figures.verdicts(VERDICTS),
        }
        self._drawn: dict[str, Drawing] = {}
        self.svg = functools.cache(lambda name: self[name].svg())

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        return trends.trend_table(self.fits, self.refused, self.subject)

    @functools.cached_property
    def forecasts(self) -> pd.DataFrame:
        return backtest.all_forecasts(self.subject.levels)

    @functools.cached_property
    def scores(self) -> pd.DataFrame:
        return backtest.scores(self.forecasts)

    @functools.cached_property
    def bands(self) -> pd.DataFrame:
        return backtest.conformal(self.forecasts, self.fits)

    @functools.cached_property
    def chances(self) -> pd.DataFrame:
        yen, usd = (trends.fit_all(self.anime[basis].levels)[0] for basis in ("yen", "usd"))
        return targets.chances(yen, usd, self.known)

    @functools.cached_property
    def trend(self) -> Quantities:
        found = trends.trend_quantities(self.fits, self.table, self.subject, self.known)
        for basis in self.subjects.keys() - {self.basis}:
            subject, (fits, refused) = self.subjects[basis], self.by_basis[basis]
            table = trends.trend_table(fits, refused, subject, with_checks=False)
            found = found.joined(trends.trend_quantities(fits, table, subject, self.known))
        return found

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        levels = {basis: other.levels for basis, other in self.subjects.items()}
        vintages = clean.vintages(self.tables["market_editions"])
        declared = specifications.read()
        return specifications.fitted(declared, levels, self.tables["breaks"], self.subject.name, vintages)

    @functools.cached_property
    def held(self) -> pd.DataFrame:
        return specifications.conclusions(specifications.read(), self.cells, self.known.joined(self.trend))

    @functools.cached_property
    def q(self) -> Quantities:
        """All quantities of notebooks 2 to 4."""
        return self.known.joined(
            self.trend,
            backtest.backtest_quantities(self.scores, self.bands, self.subject, self.known.joined(self.trend)),
            projections.projection_quantities(self.projected, self.fits, self.subject, self.known),
            targets.chance_quantities(self.chances, self.anime["yen"], self.anime["usd"], self.known),
        )

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
def world(tables: dict[str, pd.DataFrame], market: pd.DataFrame, other_process: subprocess.Popen[str]) -> World:
    return World(tables, market)


class Japanese:
    """The figures of a world, drawn in Japanese."""

    def __init__(self, world: World) -> None:
        self.draw = functools.cache(lambda name: self._drawn(world, name))

    def _drawn(self, world: World, name: str) -> Drawing:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(figures, name, functools.partial(getattr(figures, name), language="ja"))
            return world.make[name]()

    def __getitem__(self, name: str) -> Drawing:
        return self.draw(name)


@pytest.fixture(scope="module")
def japanese(world: World) -> Japanese:
    return Japanese(world)


@pytest.fixture(scope="module")
def two_years(tables: dict[str, pd.DataFrame]) -> World:
    return World(tables, clean.market(tables, 2024))


@pytest.fixture(scope="module")
def falling(tables: dict[str, pd.DataFrame], market: pd.DataFrame) -> World:
    return World(tables, scaled(market, 0.6), horizon=2028)


@pytest.fixture(scope="module")
def dollars(tables: dict[str, pd.DataFrame], market: pd.DataFrame) -> World:
    return World(tables, market, basis="usd")


@pytest.fixture(scope="module")
def studios(tables: dict[str, pd.DataFrame], market: pd.DataFrame) -> World:
    return World(tables, market, name="studio.overseas")


@pytest.fixture(scope="module")
def short(tables: dict[str, pd.DataFrame], market: pd.DataFrame) -> World:
    """All content sold overseas: four years, of which no model can be fitted."""
    return World(tables, market, name="content.total")


def test_every_promised_figure_has_a_function_and_a_list_of_columns(world: World) -> None:
    assert set(NAMES) == set(world.make) == set(figures.COLUMNS) == set(figures.__all__) - {"COLUMNS", "Drawing"}
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


@pytest.fixture(scope="module")
def other_process() -> Iterator[subprocess.Popen[str]]:
    """Draws all figures while the other tests run, with another hash seed and a reader's own settings of matplotlib."""
    script = PRINT_HASHES.format(folder=str(Path(__file__).parent))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANIME_GROWTH")}
    environment |= {"PYTHONHASHSEED": "1", "OPENBLAS_NUM_THREADS": "1"}
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
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert bundle["image/svg+xml"].encode() == before == drawing.svg(), "what is shown is what is saved"
    assert bundle["text/plain"] == f"Figure market_levels: {drawing.title} ({len(drawing.data)} rows drawn)"
    assert repr(drawing) == bundle["text/plain"]


@pytest.mark.parametrize("name", NAMES)
def test_the_alternative_text_says_what_is_drawn_and_the_finding(world: World, name: str) -> None:
    drawing = world[name]
    assert drawing.alt.endswith(f"{drawing.title}.")
    assert len(drawing.alt) > len(drawing.title) + 30


# --- data --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_columns_end_in_their_unit_or_have_it_beside_them(world: World, name: str) -> None:
    data = world[name].data
    assert list(data.columns) == figures.COLUMNS[name]
    assert len(data) > 0
    beside = set(data.get("unit", pd.Series(dtype=str)))
    assert beside <= set(units.UNITS)
    # A score's unit belongs to its name.
    said = WITHOUT_UNIT | (set(backtest.MEASURES) if name == "backtest" else set())
    for column in data.select_dtypes("number"):
        in_unit = beside and IN_UNIT.fullmatch(column)
        assert in_unit or column in said or re.search(UNITS, column), column


def expect(data: pd.DataFrame, q: Quantities, column: str, key: str, unit: units.Unit | None = None) -> None:
    """Every value of `column` is the quantity that `key` names with the row's fields filled in.

    In `unit`, or else in the one named in the row, or else in the quantity's own.
    """
    rows = data.dropna(subset=column)
    assert len(rows) > 0
    for row in rows.to_dict("records"):
        item, beside = q[key.format(**row)], row["unit"] if "unit" in row and IN_UNIT.fullmatch(column) else ""
        shown = unit or units.UNITS.get(beside)
        value = item.in_unit(shown).value if shown else item.value
        assert row[column] == pytest.approx(value, rel=1e-9), row


def test_the_data_drawn_are_the_quantities(world: World) -> None:
    q, trn = world.q, units.JPY_TRN
    expect(world["market_levels"].data, q, "level_jpy_trn", "market.{series}.level.{year}", trn)
    expect(world["overseas_growth"].data, q, "growth_pct", "market.overseas.growth.{year}")
    expect(world["overseas_growth"].data, q, "rank", "market.overseas.growth_rank.{year}")
    for part in ("overseas", "domestic"):
        column, key = f"{part}_points_pct", f"market.{part}.contribution_points.{{year}}"
        expect(world["contributions"].data, q, column, key)
    expect(world["growth_split"].data, q, "dollars_log_points", "market.overseas.log_growth_usd.{year}")
    expect(world["growth_split"].data, q, "rate_log_points", "market.overseas.log_rate.{year}")
    expect(world["growth_split"].data, q, "yen_log_points", "market.overseas.log_growth.{year}")
    expect(world["studio_gap"].data, q, "over_studio_times", "market.overseas.over_studio.{year}")
    expect(world["categories"].data, q, "level_jpy_bn", "category.{category}.level.{year}", units.JPY_BN)
    expect(world["market_cap"].data, q, "level_jpy_trn", "market_cap.{group}.level.{date}")
    made = world["target_paths"].data.query("kind == 'level'")
    expect(made, q, "level_jpy_trn", "content.total.level.{year}", trn)
    current = world["content_exports"].data.query("scope == 'current scope'")
    expect(current, q, "level_jpy_trn", "content.total.level.{year}", trn)
    old = world["content_exports"].data.query("scope == 'old scope'")
    expect(old, q, "level_jpy_trn", "content.total.level.old_scope.{year}", trn)


CASE_UNITS = [
    ("world", "trn JPY"),
    pytest.param("dollars", "bn USD", marks=elsewhere),
    pytest.param("studios", "bn JPY", marks=elsewhere),
]


@pytest.mark.parametrize(("case", "unit"), CASE_UNITS)
def test_the_data_of_a_series_are_its_quantities_in_the_unit_beside_them(
    request: pytest.FixtureRequest, case: str, unit: str
) -> None:
    shown: World = request.getfixturevalue(case)
    q, slug, subject = shown.q, shown.subject.slug, shown.subject
    for name in ("trend_lines", "projections", "forecast_bands"):
        assert set(shown[name].data["unit"]) == {unit}
    for name in ("trend_lines", "projections"):
        level = subject.keys[subject.last_year].replace(str(subject.last_year), "{year}")
        expect(shown[name].data, q, "level", level)
    expect(shown["trend_lines"].data, q, "growth_pct", f"trend.{slug}.{{model}}.growth")
    for basis in ("yen", "usd", "real"):
        data = shown["growth_intervals"].data.query("basis == @basis")
        for end in ("", "_lo95", "_hi95"):
            key = f"trend.{shown.subjects[basis].slug}.{{model}}.growth{end}"
            expect(data, q, f"growth{end}_pct", key)
    for check in ("durbin_watson", "ljung_box_p"):
        expect(shown["residuals"].data, q, check, f"trend.{slug}.{{model}}.{check}")
    for measure in backtest.MEASURES:
        expect(shown["backtest"].data, q, measure, f"backtest.{slug}.{{model}}.{measure}.h{{horizon}}")
    for quantile in projections.PROBABILITIES:
        expect(shown["projections"].data, q, quantile, f"projection.{slug}.{{model}}.{quantile}.{{year}}")
    ends = {"median": "p50", "lo80": "p10", "hi80": "p90"} | {
        f"conformal_{e}": f"conformal_{e}" for e in ("lo80", "hi80")
    }
    for column, measure in ends.items():
        expect(shown["forecast_bands"].data, q, column, f"projection.{slug}.{{model}}.{measure}.{{year}}")


def test_the_chances_drawn_are_the_quantities(world: World) -> None:
    data = world["target_chances"].data
    plain = data["assumption"] == "constant_share"
    for part, key in ((data[plain], "{model}"), (data[~plain], "{assumption}.{model}")):
        expect(part, world.q, "chance_pct", f"target.{{target}}.chance.{key}")
        expect(part, world.q, "error_points", f"target.{{target}}.chance_error.{key}")


def test_every_specification_that_could_be_fitted_is_drawn_in_rising_order(world: World) -> None:
    data = world["specification_curve"].data
    assert len(data) == (world.cells["remark"] == "").sum()
    assert data["growth_pct"].is_monotonic_increasing
    plain = "start_year == 2002 and basis == 'yen' and edition == 'latest' and leave_out == 'none'"
    plain = data.query(f"{plain} and break_handling == 'as_printed'")
    assert len(plain) == 7
    for end in ("", "_lo95", "_hi95"):
        expect(plain, world.q, f"growth{end}_pct", f"trend.overseas.{{model}}.growth{end}")


def test_only_one_horizon_and_the_whole_sample_are_drawn(world: World) -> None:
    assert set(world["forecast_bands"].data["horizon"]) == {5}
    assert len(world["backtest"].data) == 8 * 5
    far = figures.forecast_bands(world.bands.query("horizon <= 3"), world.subject)
    assert set(far.data["horizon"]) == {3} and far.title.startswith("3 years ahead")


def test_one_year_is_no_plural(world: World) -> None:
    near = figures.forecast_bands(world.bands.query("horizon == 1"), world.subject)
    assert near.title.startswith(("1 year ahead", "One year ahead"))


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


def test_forecasts_of_the_old_scope_are_not_drawn(world: World, tables: dict[str, pd.DataFrame]) -> None:
    forecasts = tables["content_exports"].query("scope == 'old_forecast' and sector == 'total'")
    assert len(forecasts) > 0
    drawn = set(world["content_exports"].data["level_jpy_trn"].round(4))
    assert not drawn & {round(value, 4) for value in forecasts["level_jpy_100m"] / 10_000}


# --- titles --------------------------------------------------------------------------------------------
def test_titles_tell_the_year_that_was(world: World) -> None:
    q = world.q
    assert q["market.overseas.growth.2024"].number in world["overseas_growth"].title
    assert "the 4th fastest of 22 years" in world["overseas_growth"].title
    assert "took the lead back in 2023; in 2024 overseas led by" in world["market_levels"].title
    assert q["market.overseas.rate_share.2024"].number in world["growth_split"].title


@elsewhere
def test_no_title_claims_growth_when_overseas_falls(falling: World) -> None:
    assert falling["overseas_growth"].title.startswith("Overseas shrank")
    assert "fastest" not in falling["overseas_growth"].title
    assert "fell behind again in 2024; in 2024 overseas trailed by" in falling["market_levels"].title
    assert "The market shrank" in falling["contributions"].title
    assert "overseas took away" in falling["contributions"].title
    assert "domestic added" in falling["contributions"].title
    assert "made up" not in falling["growth_split"].title
    assert "−" in falling["growth_split"].title
    slowest = min((falling.q[f"trend.overseas.{model}.growth"] for model in falling.fits), key=lambda item: item.value)
    assert slowest.value < 0 and slowest.number in falling["trend_lines"].title
    lowest = min(fit.growth_lo95 for fit in falling.fits.values() if fit.growth_lo95 is not None)
    assert falling["growth_intervals"].title.count(units.number_text(lowest, 1)) == 1
    medians = {model: falling.q[f"projection.overseas.{model}.p50.2028"] for model in falling.fits}
    lowest = min(medians.values(), key=lambda item: item.value).in_unit(units.JPY_TRN, 1)
    assert f"Medians for 2028, JPY trillion: {lowest.number}" in falling["projections"].title


def levels_title(tables: dict[str, pd.DataFrame], market: pd.DataFrame) -> str:
    return figures.market_levels(market, tables["breaks"], describe.describe_market(market, tables["breaks"])).title


def test_the_lead_is_told_as_level_where_it_is(tables: dict[str, pd.DataFrame]) -> None:
    market = clean.market(tables, 2025)
    level = market.set_index(["series", "year"])["level_jpy_100m"]
    title = levels_title(tables, scaled(market, level["domestic", 2024] / level["overseas", 2024]))
    assert title.endswith("took the lead back in 2023 and was level with domestic in 2024; in 2024 overseas was level")


def test_a_change_of_lead_across_a_missing_year_is_not_told(tables: dict[str, pd.DataFrame]) -> None:
    market = clean.market(tables, 2025)
    title = levels_title(tables, market[market["year"] != 2022])
    assert (
        title
        == "Overseas never changed places with domestic from 2023 to 2024; in 2024 overseas led by JPY 0.50 trillion"
    )
    assert levels_title(tables, market[market["year"] != 2023]) == "In 2024 overseas led by JPY 0.50 trillion"


def test_a_new_low_is_called_one(tables: dict[str, pd.DataFrame]) -> None:
    market = scaled(clean.market(tables, 2025), 0.05)
    q = describe.describe_market(market, tables["breaks"])
    assert figures.three_measures(market, q).title == "Overseas in yen is lower in 2024 than in any year since 2002"


def test_the_fastest_year_is_called_the_fastest(tables: dict[str, pd.DataFrame]) -> None:
    market = scaled(clean.market(tables, 2025), 3.0)
    q = describe.describe_market(market, tables["breaks"])
    assert "the fastest of 22 years" in figures.overseas_growth(market, tables["breaks"], q).title


def test_low_confidence_readings_stay_out_of_the_title(tables: dict[str, pd.DataFrame]) -> None:
    table = clean.revisions(tables["market_editions"])
    largest = table.loc[table["change_pct"].abs().idxmax()]
    assert largest["lowest_confidence"] == "low"
    assert f"{abs(largest['change_pct']):.1f} %" not in figures.revisions(table).title


def test_untouched_series_are_called_so(tables: dict[str, pd.DataFrame]) -> None:
    table = clean.revisions(tables["market_editions"]).assign(change_pct=0.0, lowest_confidence="high")
    title = figures.revisions(table).title
    assert title == "Overseas was never restated; domestic was never restated; the whole market was never restated"


def words_about(drawing: Drawing) -> str:
    """Title, subtitle and source line, without line breaks."""
    words = " ".join(text.get_text() for text in drawing.figure.texts)
    return words.replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("name", OF_A_SUBJECT)
@pytest.mark.parametrize("case", ["world", *(pytest.param(case, marks=elsewhere) for case in ("dollars", "studios"))])
def test_a_figure_of_a_series_says_which(request: pytest.FixtureRequest, case: str, name: str) -> None:
    shown: World = request.getfixturevalue(case)
    # A grid of specifications looks at every basis.
    named = shown.subjects["yen"].words if name == "specification_curve" else shown.subject.words
    assert named.lower() in words_about(shown[name]).lower()


def test_the_models_that_lose_to_drift_are_those_that_err_more_at_every_horizon(world: World) -> None:
    better = world.scores.assign(male_to_drift=0.9)
    assert figures.backtest(better, world.subject).title == "No model loses to drift at every horizon"
    losing = better["model"].isin(["segmented", "damped_trend"])
    once = losing | ((better["model"] == "local_linear") & (better["horizon"] < 5))
    title = figures.backtest(better.assign(male_to_drift=once.map({True: 1.2, False: 0.9})), world.subject).title
    assert "2 of" in title and "segmented trend and damped trend" in title
    assert "local linear" not in title


@pytest.mark.parametrize(("count", "said"), [(8, "for all"), (3, "for 3 of 8 models"), (0, "for 0 of 8 models")])
def test_intervals_that_are_too_narrow_are_counted(world: World, count: int, said: str) -> None:
    models = list(world.fits)[:count]
    bands = world.bands.assign(reach=world.bands["own_reach"] * 0.5)
    bands.loc[bands["model"].isin(models), "reach"] *= 4
    assert said in figures.forecast_bands(bands, world.subject).title


def test_the_range_of_specifications_and_what_survives_them_are_told(world: World) -> None:
    growth = world.cells.loc[world.cells["remark"] == "", "growth_pct"]
    title = world["specification_curve"].title
    for value in (growth.min(), growth.max(), growth.median()):
        assert units.number_text(value, 1) in title
    assert f"{len(growth)} specifications" in title
    for row in world.held.itertuples():
        assert (
            f"{row.say} in {row.holds_in} of {row.cells}".lower() in words_about(world["specification_curve"]).lower()
        )


@elsewhere
def test_a_conclusion_that_was_not_judged_is_not_told(studios: World) -> None:
    told = words_about(studios["specification_curve"])
    assert (studios.held["cells"] == 0).any(), "drift of the market is not known in this run"
    assert "in 0 of 0" not in told


def test_the_range_of_chances_is_that_of_the_farthest_target(world: World) -> None:
    last = world.chances.query("year == 2033")["chance_pct"]
    said = " to ".join(units.number_text(value, 0) for value in (last.min(), last.max()))
    assert world["target_chances"].title.startswith(f"Chance of the target of 2033: {said} %")


@pytest.mark.parametrize(("case", "unit"), CASE_UNITS)
def test_the_reader_sees_money_in_the_unit_that_suits_the_series(
    request: pytest.FixtureRequest, case: str, unit: str
) -> None:
    shown: World = request.getfixturevalue(case)
    words = {"trn JPY": "JPY trillion", "bn JPY": "JPY billion", "bn USD": "USD billion"}[unit]
    assert words in shown["projections"].title
    for name in ("trend_lines", "projections", "forecast_bands"):
        assert any(words in text.replace("\N{NO-BREAK SPACE}", " ") for text, _ in words_in(shown[name])), name


@elsewhere
def test_what_is_now_is_the_last_year_of_the_series(studios: World) -> None:
    assert studios.subject.last_year == 2022
    assert "now" not in studios["projections"].title


@pytest.mark.parametrize("file", sorted(Path(figures.__file__).parent.glob("*.py")), ids=lambda file: file.stem)
def test_no_words_hold_a_figure_of_the_data(file: Path) -> None:
    """Years and decimals in the words of the code would be figures typed by hand."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    documented = [node for node in nodes if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    docstrings = {ast.get_docstring(node, clean=False) for node in documented}
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words = "\n".join(strings - docstrings)
    assert not re.findall(r"\b(?:19|20)\d\d\b|\d+\.\d+ ?(?:%|trillion|times)", words)


# --- little data -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_an_edition_of_two_years_is_drawn(two_years: World, name: str) -> None:
    drawing = two_years[name]
    assert list(drawing.data.columns) == figures.COLUMNS[name]
    assert b"</svg>" in drawing.svg()
    if name in (*OF_A_SUBJECT, "target_chances"):
        assert drawing.data.empty and drawing.title.startswith("Nothing to draw: ")
    else:
        assert len(drawing.data) > 0


@pytest.mark.parametrize("name", OF_A_SUBJECT)
def test_a_series_of_four_years_is_too_short_to_be_drawn(short: World, name: str) -> None:
    assert len(short.subject.levels) == 4
    drawing = short[name]
    assert drawing.data.empty and drawing.title.startswith("Nothing to draw: ")
    assert list(drawing.data.columns) == figures.COLUMNS[name]
    assert b"</svg>" in drawing.svg()


def test_chances_are_always_those_of_the_overseas_market(short: World, world: World) -> None:
    pd.testing.assert_frame_equal(short["target_chances"].data, world["target_chances"].data)


def test_without_trends_the_reason_is_given(two_years: World) -> None:
    (reason,) = set(two_years.refused.values())
    assert reason in two_years["trend_lines"].title


def test_a_model_that_was_refused_is_named(world: World) -> None:
    fits = {model: fit for model, fit in world.fits.items() if model != "damped_trend"}
    drawing = figures.growth_intervals({"yen": fits}, {"damped_trend": "it did not converge"}, world.subject)
    assert "Not fitted: damped trend (it did not converge)." in words_about(drawing)


@elsewhere
def test_a_target_beyond_the_horizon_is_not_drawn(falling: World) -> None:
    data = falling["target_paths"].data
    assert data["year"].max() <= 2028
    assert "target" not in set(data["kind"])


def test_claims_of_two_articles_are_counted_together_and_told_apart_in_the_order() -> None:
    both = pd.concat([VERDICTS, VERDICTS.head(2).assign(article="b")], ignore_index=True)
    drawing = figures.verdicts(both)
    assert "claims of two articles" in drawing.title
    assert list(drawing.data[drawing.data["verdict"] == "supported"]["article"])[-1] == "b"
    assert "articles" not in figures.verdicts(VERDICTS).title


def test_empty_tables_give_a_sentence(world: World, tables: dict[str, pd.DataFrame]) -> None:
    nothing = Quantities("2025")
    drawings = [
        figures.revisions(clean.revisions(tables["market_editions"]).head(0)),
        *(getattr(figures, name)(nothing) for name in ("contributions", "growth_split", "studio_gap", "market_cap")),
        figures.overseas_growth(world.market, tables["breaks"], nothing),
        figures.three_measures(world.market, nothing),
        figures.categories(tables["categories"].head(0), nothing),
        figures.regions(tables["regions"].head(0)),
        figures.content_exports(tables["content_exports"], tables["targets"], nothing),
        figures.target_paths(tables["content_exports"], tables["targets"], nothing, 2033),
        figures.backtest(world.scores.head(0), world.subject),
        figures.forecast_bands(world.bands.head(0), world.subject),
        figures.specification_curve(world.cells.assign(growth_pct=float("nan")), world.held, world.subject),
        figures.projections(world.projected.head(0), world.fits, world.subject),
        figures.target_chances(world.chances.head(0), {**targets.SHARINGS, **targets.RATES}),
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
CASES += [("two_years", name) for name in NAMES if name not in UNMOVED]
CASES += [("short", name) for name in OF_A_SUBJECT]
CASES += [("japanese", name) for name in NAMES]
# Nor do these look different for a fall in the last year, and they take long.
SLOW = ("backtest", "forecast_bands", "specification_curve")
CASES += [pytest.param("falling", name, marks=elsewhere) for name in NAMES if name not in (*UNMOVED, *SLOW)]
CASES += [pytest.param(case, name, marks=elsewhere) for case in ("dollars", "studios") for name in OF_A_SUBJECT]


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


@pytest.mark.parametrize("name", NAMES)
def test_in_japanese_the_same_data_is_drawn_under_a_japanese_title(
    world: World, name: str, without_japanese: list[str]
) -> None:
    japanese = Japanese(world)
    drawing = japanese[name]
    assert without_japanese == []
    pd.testing.assert_frame_equal(drawing.data, world[name].data)
    for text in (drawing.title, drawing.alt):
        assert re.search("[ぁ-ん]", text)
        # Names of methods and of what is quoted stay in Latin letters; English words do not.
        assert re.findall(r"\b(?:the|of|and|in|is|are|to|by)\b", text) == []
    assert f"<dc:title>{drawing.title}</dc:title>" in html.unescape(drawing.svg().decode())
    assert japanese[name].svg() == drawing.svg() != world.svg(name)


def brightness(colour: Any) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines define it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["backtest", "target_chances"])
def test_numbers_stand_out_from_their_tiles(world: World, name: str) -> None:
    drawing = world[name]
    drawing.figure.draw_without_rendering()
    for ax in drawing.figure.axes:
        (tiles,) = (part for part in ax.collections if isinstance(part, QuadMesh))
        rows, columns = tiles.get_array().shape
        faces = tiles.get_facecolor().reshape(rows, columns, 4)
        assert len(ax.texts) == rows * columns
        for text in ax.texts:
            x, y = text.get_position()
            dark, bright = sorted((brightness(text.get_color()), brightness(faces[int(y), int(x)][:3])))
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, text.get_text()


@pytest.mark.parametrize("palette", ["SERIES", "MEASURES", "MODELS", "VERDICTS", "CAP_GROUPS"])
def test_a_colour_has_one_meaning_in_its_group(palette: str) -> None:
    colours = list(getattr(shared, palette).values())
    assert len(set(colours)) == len(colours)


def test_the_svg_is_the_same_bytes_in_every_process(world: World, other_process: subprocess.Popen[str]) -> None:
    here = "".join(f"{name} {hashlib.sha256(world.svg(name)).hexdigest()}\n" for name in NAMES)
    there, _ = other_process.communicate(timeout=120)
    assert there == here
