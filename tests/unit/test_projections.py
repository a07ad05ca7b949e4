"""Projections: quantiles by name in the unit beside them, and growth that compounds to the median."""

import pandas as pd
import pytest

from anime_growth import projections, series, specifications, trends
from anime_growth.projections import PROBABILITIES
from anime_growth.quantities import Quantities

PERCENTS = {"p2_5": 2.5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p97_5": 97.5}
COLUMNS = ["series", "basis", "start_year", "last_year", "model", "year", "unit", *PERCENTS]


@pytest.fixture(scope="module")
def projected(fits, subject):
    return projections.project(fits, subject, 2033)


def test_a_quantile_is_named_after_its_percentage():
    assert {name: 100 * probability for name, probability in PROBABILITIES.items()} == pytest.approx(PERCENTS)


def test_there_is_a_row_for_every_model_and_year_and_a_column_for_every_quantile(fits, projected):
    assert list(projected.columns) == COLUMNS
    assert len(fits) == 8
    assert len(projected) == 8 * 9
    assert {model: list(rows["year"]) for model, rows in projected.groupby("model")} == {
        model: list(range(2025, 2034)) for model in fits
    }


def test_every_row_says_what_was_projected_and_from_which_years(projected, described):
    about = projected[["series", "basis", "start_year", "last_year", "unit"]].drop_duplicates()
    assert about.values.tolist() == [["market.overseas", "yen", 2002, 2024, "100m JPY"]]
    dollars = series.choose(described, "market.overseas", "usd", 2012)
    found = projections.project({"drift": trends.fit("drift", dollars.levels)}, dollars, 2025)
    assert found.iloc[0, :7].tolist() == ["market.overseas", "usd", 2012, 2024, "drift", 2025, "bn USD"]


def test_each_column_holds_the_quantile_of_its_name(fits, projected):
    table = projected.set_index(["model", "year"])
    for model, fit in fits.items():
        for name, percent in PERCENTS.items():
            expected = fit.quantiles(2033, [percent / 100])[percent / 100]
            assert table.loc[model][name].to_dict() == pytest.approx(expected.to_dict(), rel=1e-12)


def test_quantiles_rise_from_left_to_right(projected):
    assert (projected[list(PERCENTS)].diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


def test_no_model_means_an_empty_table_with_the_same_columns(subject):
    found = projections.project({}, subject, 2033)
    assert found.empty
    assert list(found.columns) == COLUMNS


def test_a_horizon_that_is_past_gives_no_rows_and_no_quantities(fits, subject, described):
    found = projections.project(fits, subject, 2024)
    assert found.empty
    assert list(found.columns) == COLUMNS
    made = projections.projection_quantities(found, fits, subject, described)
    assert list(made) == ["projection.overseas.sample.2002-2024"]


def test_every_projected_quantile_is_a_quantity_in_the_unit_of_the_levels(projected, every_quantity):
    for row in projected.itertuples():
        for name in PERCENTS:
            item = every_quantity[f"projection.overseas.{row.model}.{name}.{row.year}"]
            assert (item.value, item.unit) == (getattr(row, name), "100m JPY")
            assert str(row.year) in item.label
            assert item.method == f"anime_growth.trends.{row.model}"


def test_quantiles_rest_on_the_sample_and_the_sample_on_every_level(projected, every_quantity):
    keys = [f"projection.overseas.{row.model}.p90.{row.year}" for row in projected.itertuples()]
    sample = "projection.overseas.sample.2002-2024"
    assert {every_quantity[key].inputs for key in keys} == {(sample,)}
    assert every_quantity[sample].inputs == tuple(f"market.overseas.level.{year}" for year in range(2002, 2025))
    assert every_quantity[sample].value == 23


@pytest.mark.parametrize(
    ("name", "basis", "slug", "last", "unit"),
    [
        ("market.overseas", "usd", "overseas_usd", "market.overseas.level_usd.2024", "bn USD"),
        ("studio.overseas", "yen", "studio_overseas", "studio.overseas.level.series.2022", "100m JPY"),
    ],
)
def test_another_basis_or_series_has_keys_and_a_sample_of_its_own(described, name, basis, slug, last, unit):
    subject = series.choose(described, name, basis, 2002)
    drift = {"drift": trends.fit("drift", subject.levels)}
    table = projections.project(drift, subject, subject.last_year + 2)
    made = projections.projection_quantities(table, drift, subject, described)
    assert all(key.startswith(f"projection.{slug}.") for key in made)
    (sample,) = (key for key in made if ".sample." in key)
    assert made[sample].inputs[-1] == last
    item = made[f"projection.{slug}.drift.p50.{subject.last_year + 2}"]
    # Two years of the average log change from the last level.
    growth = (subject.levels.iloc[-1] / subject.levels.iloc[0]) ** (1 / (len(subject.levels) - 1))
    assert item.value == pytest.approx(subject.levels.iloc[-1] * growth**2, rel=1e-9)
    assert (item.unit, item.inputs) == (unit, (sample,))
    assert subject.words in item.label


def test_the_growth_that_a_median_implies_compounds_to_it(fits, every_quantity):
    for model in fits:
        growth = every_quantity[f"projection.overseas.{model}.growth.2024-2033"]
        median = every_quantity[f"projection.overseas.{model}.p50.2033"].value
        assert 21702 * (1 + growth.value / 100) ** 9 == pytest.approx(median, rel=1e-12)
        assert growth.inputs == (f"projection.overseas.{model}.p50.2033", "market.overseas.level.2024")
    assert every_quantity["projection.overseas.naive.growth.2024-2033"].value == pytest.approx(0, abs=1e-9)
    drift = every_quantity["projection.overseas.drift.growth.2024-2033"].value
    assert drift == pytest.approx(((21702 / 3725) ** (1 / 22) - 1) * 100, rel=1e-9)


def test_growth_of_one_year_is_in_percent_and_of_more_in_percent_a_year(every_quantity):
    for model in trends.MODELS:
        assert every_quantity[f"projection.overseas.{model}.growth.2024-2025"].unit == "%"
        assert every_quantity[f"projection.overseas.{model}.growth.2024-2033"].unit == "% a year"


# --- what a reader may choose among -----------------------------------------------------------------
def test_each_start_basis_and_model_of_the_declared_grid_is_forecast_as_by_itself(described):
    declared = specifications.read()
    found = projections.explore(declared, described, "market.overseas", 2030)
    wanted = {
        (start, basis, model)
        for start, bases in declared.as_printed().items()
        for basis, models in bases.items()
        for model in models
    }
    keys = ["start_year", "basis", "model"]
    assert set(found[keys].itertuples(index=False, name=None)) == wanted and len(wanted) == 105
    assert not found.duplicated([*keys, "year"]).any() and set(found["year"]) == set(range(2025, 2031))
    alone = series.choose(described, "market.overseas", "usd", 2012)
    fits, _ = trends.fit_all(alone.levels)
    one = projections.project({"segmented": fits["segmented"]}, alone, 2030)
    same = found.query("start_year == 2012 and basis == 'usd' and model == 'segmented'")
    pd.testing.assert_frame_equal(same.reset_index(drop=True), one)


def test_a_series_that_begins_later_than_several_starts_is_explored_once_for_them(described):
    early = tuple(str(year) for year in range(2002, 2006))
    later = Quantities(items=[item for item in described.values() if not item.key.endswith(early)])
    found = projections.explore(specifications.read(), later, "market.overseas", 2026)
    assert not found.duplicated(["start_year", "basis", "model", "year"]).any()
    assert set(found["start_year"]) == {2006, 2008, 2012, 2015}, "2006 for 2002 and 2004"


def test_starts_that_leave_too_few_years_are_left_out(described):
    found = projections.explore(specifications.read(), described, "category.internet_distribution", 2026)
    years = found["last_year"] - found["start_year"] + 1
    assert years.min() >= series.MIN_YEARS and 2015 not in set(found["start_year"])
