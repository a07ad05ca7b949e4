"""Projections and targets: quantiles by name, and growth that reaches the target when compounded."""

import pytest

from anime_growth import projections, trends, units
from anime_growth.projections import PROBABILITIES


def required(every_quantity):
    """(target, baseline, years, growth) of every required growth, both levels in JPY 100m."""
    found = []
    for key, item in every_quantity.items():
        if ".required_growth." in key:
            goal, baseline = (
                units.convert(every_quantity[name].value, units.UNITS[every_quantity[name].unit], units.JPY_100M)
                for name in item.inputs
            )
            target_year = int(item.inputs[0].rsplit(".", 1)[1])
            start = int(item.inputs[1].rsplit(".", 1)[1])
            moved = 1 if "_as_" in key else 0
            found.append((key, goal, baseline, target_year - start - moved, item))
    return found


def test_required_growth_compounded_from_the_baseline_reaches_the_target(every_quantity):
    cases = required(every_quantity)
    assert len(cases) == 14
    for key, goal, baseline, years, item in cases:
        level = baseline
        for _ in range(years):
            level *= 1 + item.value / 100
        assert level == pytest.approx(goal, rel=1e-12), key


def test_a_multiple_times_its_baseline_is_the_target_whatever_their_units(every_quantity):
    seen = set()
    for key, item in every_quantity.items():
        if ".multiple." in key:
            goal, baseline = (every_quantity[name] for name in item.inputs)
            in_trillions = [units.convert(x.value, units.UNITS[x.unit], units.JPY_TRN) for x in (goal, baseline)]
            assert item.value * in_trillions[1] == pytest.approx(in_trillions[0], rel=1e-12)
            assert 1 < item.value < 5, key
            seen.add((goal.unit, baseline.unit))
    assert seen == {("trn JPY", "trn JPY"), ("trn JPY", "100m JPY")}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target.content_2033.level.2033", 20),  # JPY trn
        ("target.content_2028.level.2028", 10),
        ("target.content_2033.baseline.2022", 4.7),
        ("content.total.level.2024", 60044),  # JPY 100m
        ("target.content_2033.multiple.from_2024", 20 / 6.0044),
        ("target.content_2033.multiple.from_own", 20 / 4.7),
        ("target.content_2033.multiple.from_rounded_2023", 20 / 5.8),
        ("target.content_2033.multiple.from_rounded_2023_as_2024", 20 / 5.8),
        ("target.content_2033.required_growth.from_2024", ((20 / 6.0044) ** (1 / 9) - 1) * 100),
        ("target.content_2033.required_growth.from_own", ((20 / 4.7) ** (1 / 11) - 1) * 100),
        ("target.content_2033.required_growth.from_rounded_2023", ((20 / 5.8) ** (1 / 10) - 1) * 100),
        ("target.content_2033.required_growth.from_rounded_2023_as_2024", ((20 / 5.8) ** (1 / 9) - 1) * 100),
        ("target.content_2028.required_growth.from_2024", ((10 / 6.0044) ** (1 / 4) - 1) * 100),
    ],
)
def test_the_official_target_asks_for(every_quantity, key, value):
    assert every_quantity[key].value == pytest.approx(value, rel=1e-12)


def test_targets_are_in_trillions_baselines_as_printed_and_growth_in_percent_a_year(every_quantity):
    unit = {key: item.unit for key, item in every_quantity.items() if key.startswith("target.")}
    for key, name in unit.items():
        measure = key.split(".")[2]
        expected = {"level": "trn JPY", "baseline": "trn JPY", "multiple": "times", "required_growth": "% a year"}
        assert name == expected[measure], key
    assert every_quantity["target.content_2033.level.2033"].text == "JPY 20 trillion"


def test_a_rounded_baseline_is_marked_as_rounded(every_quantity):
    item = every_quantity["content.total.level.rounded.2023"]
    assert (item.value, item.caveats, item.confidence) == (58000, ("rounded",), "medium")


def test_no_growth_is_asked_of_a_baseline_in_or_after_the_target_year(tables, every_quantity):
    due = tables["targets"].copy()
    due.loc[due["target_id"] == "T05", "target_year"] = 2023
    known = {
        key: item for key, item in every_quantity.items() if not key.startswith(("target.", "content.total.level.r"))
    }
    made = projections.target_quantities(due, tables["content_exports"], type(every_quantity)("2025", known.values()))
    asked = [key for key in made if key.startswith("target.content_2028.required_growth.")]
    assert sorted(asked) == [
        "target.content_2028.required_growth.from_2021",
        "target.content_2028.required_growth.from_2022",
        "target.content_2028.required_growth.from_own",
    ]
    assert "target.content_2028.multiple.from_2024" in made


@pytest.mark.parametrize(("scale", "value"), [(10_000, 4), (1, 0.0004)])
def test_a_ratio_across_units_is_scaled(scale, value):
    assert projections.scaled_ratio(20, 50_000, scale=scale) == pytest.approx(value)


def test_growth_across_units_is_scaled():
    assert projections.scaled_cagr_pct(20, 50_000, years=2, scale=10_000) == pytest.approx(100)


def test_a_required_path_starts_at_the_baseline_grows_steadily_and_ends_at_the_goal():
    path = projections.required_path(200_000, 60_044, 2024, 2033)
    assert list(path.index) == list(range(2024, 2034))
    assert (path[2024], path[2033]) == (60_044, pytest.approx(200_000, rel=1e-12))
    growth = (path / path.shift(1) - 1).dropna() * 100
    assert growth.to_numpy() == pytest.approx(14.304219988637445, rel=1e-9)


def test_projections_have_a_row_for_every_model_and_year_and_a_column_for_every_quantile(fits):
    table = projections.project(fits, 2033)
    assert list(table.columns) == ["model", "year", *(f"{name}_jpy_100m" for name in PROBABILITIES)]
    assert len(table) == len(fits) * 9
    assert not table.duplicated(["model", "year"]).any()


def test_each_column_holds_the_quantile_of_its_name(fits):
    table = projections.project(fits, 2033).set_index(["model", "year"])
    for model, fit in fits.items():
        for name, probability in PROBABILITIES.items():
            expected = fit.quantiles(2033, [probability])[probability]
            found = table.loc[model][f"{name}_jpy_100m"]
            assert found.to_dict() == pytest.approx(expected.to_dict(), rel=1e-12)
    assert {name: float(name[1:].replace("_", ".")) / 100 for name in PROBABILITIES} == pytest.approx(PROBABILITIES)


def test_no_model_means_an_empty_table_with_the_same_columns(fits):
    assert list(projections.project({}, 2033).columns) == list(projections.project(fits, 2033).columns)
    assert projections.project({}, 2033).empty


def test_every_projected_quantile_is_a_quantity_in_the_unit_of_the_levels(fits, every_quantity):
    for row in projections.project(fits, 2033).itertuples():
        for name in PROBABILITIES:
            item = every_quantity[f"projection.overseas.{row.model}.{name}.{row.year}"]
            assert item.value == getattr(row, f"{name}_jpy_100m")
            assert item.unit == "100m JPY"
            assert str(row.year) in item.label


def test_the_growth_that_a_median_implies_compounds_to_it(fits, every_quantity):
    for model in fits:
        growth = every_quantity[f"projection.overseas.{model}.growth.2024-2033"].value
        median = every_quantity[f"projection.overseas.{model}.p50.2033"].value
        assert 21702 * (1 + growth / 100) ** 9 == pytest.approx(median, rel=1e-12)
    assert every_quantity["projection.overseas.naive.growth.2024-2033"].value == pytest.approx(0, abs=1e-9)
    drift = every_quantity["projection.overseas.drift.growth.2024-2033"].value
    assert drift == pytest.approx(trends.fit("drift", fits["drift"].levels).growth_pct, rel=1e-9)
