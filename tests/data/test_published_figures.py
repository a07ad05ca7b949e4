"""The figures that this study is held to: the 2025 edition, as printed and as computed from it.

A change here changes what readers were told. It belongs in CHANGELOG.md with its reason.
"""

import pytest

LEVELS = {  # JPY 100m, exactly as printed
    "market.overseas.level.2024": 21702,
    "market.overseas.level.2023": 17222,
    "market.total.level.2024": 38407,
    "market.domestic.level.2024": 16705,
    "market.overseas.lead.2024": 4997,
    "studio.total.level.2024": 4662,
    "studio.overseas.level.2024": 1188,
}

PRINTED = {  # what a reader sees
    "market.total.growth.2024": (14.77, 2),  # %
    "market.total.growth.2019": (15.31, 2),
    "market.overseas.growth.2024": (26.0, 1),
    "market.overseas.growth_usd.2024": (16.9, 1),
    "market.domestic.growth.2024": (2.8, 1),
    "market.overseas.level_usd.2024": (14.33, 2),  # bn USD
    "market.overseas.share.2024": (56.5, 1),  # %
    "market.overseas.contribution.2024": (90.7, 1),  # % of the increase of the whole
    "market.overseas.cagr.2002-2024": (8.3, 1),  # % a year
    "studio.total.growth.2024": (9.1, 1),
}

FITTED = {
    "trend.overseas.loglinear.growth": (7.976, 0.0005),  # % a year
    "trend.overseas.loglinear.log_slope": (0.0767424, 5e-8),
    "trend.overseas.drift.growth": (8.340, 0.0005),
    "projection.overseas.drift.p50.2033": (44_628, 0.5),  # JPY 100m
    "projection.overseas.drift.p10.2033": (17_820, 0.5),
    "projection.overseas.drift.p90.2033": (111_767, 1),
    "trend.overseas.segmented.break_year": (2012, 0),
    "trend.overseas.segmented.growth": (19.40, 0.005),
    "backtest.overseas.drift.male.h1": (0.1463, 5e-5),
    "backtest.overseas.drift.male.h5": (0.7652, 5e-5),
    "backtest.overseas.naive.male.h1": (0.1662, 5e-5),
    "backtest.overseas.naive.male.h5": (0.8010, 5e-5),
}


@pytest.mark.parametrize("key", LEVELS)
def test_a_level_is_the_printed_one(every_quantity, key):
    assert every_quantity[key].value == LEVELS[key]
    assert every_quantity[key].unit == "100m JPY"
    assert every_quantity[key].edition == "2025"


@pytest.mark.parametrize("key", PRINTED)
def test_a_computed_figure_rounds_to_the_published_one(every_quantity, key):
    value, digits = PRINTED[key]
    assert round(every_quantity[key].value, digits) == value


@pytest.mark.parametrize("key", FITTED)
def test_a_fitted_figure_is_the_published_one(every_quantity, key):
    value, tolerance = FITTED[key]
    assert every_quantity[key].value == pytest.approx(value, abs=tolerance)


def test_overseas_growth_of_2024_is_the_fourth_highest_of_22_years(every_quantity):
    item = every_quantity["market.overseas.growth_rank.2024"]
    assert item.value == 4
    assert len(item.inputs) == 22
    assert "among 22 years" in item.label


def test_the_market_of_2024_is_the_largest_of_all_years(every_quantity):
    for series in ("total", "overseas", "domestic"):
        assert every_quantity[f"market.{series}.level_rank.2024"].value == 1


def test_overseas_took_the_lead_in_2020_lost_it_in_2021_and_took_it_again_in_2023(every_quantity):
    changes = {
        int(key.rsplit(".", 1)[1]): item.value
        for key, item in every_quantity.items()
        if key.startswith("market.overseas.lead_change.")
    }
    assert changes == {2020: 1, 2021: -1, 2023: 1}
    assert every_quantity["market.overseas.first_lead.2002-2024"].value == 2020


def test_the_parts_of_2024_add_up(every_quantity):
    parts = [every_quantity[f"market.{part}.level.2024"].value for part in ("overseas", "domestic")]
    assert sum(parts) == every_quantity["market.total.level.2024"].value


def test_the_headline_figures_rest_on_rows_of_high_confidence(every_quantity):
    for key in ("growth.2024", "growth_usd.2024", "level.2024", "share.2024", "contribution.2024", "lead.2024"):
        assert every_quantity[f"market.overseas.{key}"].confidence == "high"
