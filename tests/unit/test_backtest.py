"""The backtest: forecasts that never saw the future, scored by formulas that are written out here."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anime_growth import backtest, series, trends, units
from anime_growth.backtest import conformal_reach, judge_coverage
from anime_growth.series import Subject
from anime_growth.trends import MODELS, CannotFit

QUICK = ("naive", "drift", "loglinear")
KEYS = ["model", "origin", "horizon"]


@pytest.fixture
def quick(monkeypatch):
    """Only models that are fitted in no time."""
    trends._fit.cache_clear()
    monkeypatch.setattr(trends, "MODELS", {model: MODELS[model] for model in QUICK})
    yield
    trends._fit.cache_clear()


@pytest.fixture(scope="module")
def table(past_forecasts):
    return backtest.scores(past_forecasts)


@pytest.fixture(scope="module")
def bands(past_forecasts, fits):
    return backtest.conformal(past_forecasts, fits)


@pytest.fixture(scope="module")
def whole(past_forecasts):
    """Past forecasts of windows that start with the series."""
    return past_forecasts[past_forecasts["sample_first"] == 2002]


def walk(seed, years, first):
    steps = np.random.default_rng(seed).normal(0.08, 0.2, years)
    return pd.Series(np.exp(8 + steps.cumsum()), index=range(first, first + years))


def score_of(table, windows, model, horizon):
    (row,) = table[(table["windows"] == windows) & (table["model"] == model) & (table["horizon"] == horizon)].to_dict(
        "records"
    )
    return row


# --- rolling origin ------------------------------------------------------------------------------
def test_the_first_window_has_eight_years_and_the_last_lacks_one(whole):
    assert sorted(whole["origin"].unique()) == list(range(2009, 2024))
    assert (whole["year"] == whole["origin"] + whole["horizon"]).all()
    assert whole["year"].max() == 2024


@pytest.mark.parametrize("model", MODELS)
def test_a_series_of_23_years_gives_fewer_forecasts_the_farther_they_reach(whole, model):
    counts = whole[whole["model"] == model].groupby("horizon").size()
    assert counts.to_dict() == {horizon: 16 - horizon for horizon in range(1, 16)}


def test_every_forecast_stands_beside_the_level_that_came(past_forecasts, levels):
    assert past_forecasts["level"].to_list() == [levels[year] for year in past_forecasts["year"]]


def test_later_years_never_change_earlier_forecasts(levels):
    until, spoiled = 2012, levels.copy()
    spoiled.loc[until + 1 :] = [9e5, 3, 7e4, 11, 5e5, 2, 1e6, 8, 4e4, 99, 1e5, 1]
    seen = [
        made[made["origin"] <= until].drop(columns="level").reset_index(drop=True)
        for made in (backtest.forecasts(levels), backtest.forecasts(spoiled))
    ]
    assert set(seen[0]["model"]) == set(MODELS)
    pd.testing.assert_frame_equal(*seen)


def test_a_year_changes_the_forecasts_of_the_windows_that_see_it(quick, levels):
    spoiled = levels.copy()
    spoiled[2015] *= 3
    real, other = (backtest.forecasts(one).set_index(KEYS)["median"] for one in (levels, spoiled))
    moved = (real / other - 1).abs() > 1e-9  # not by the last digits, which depend on the processor
    changed = {model: moved[model].groupby("origin").any() for model in ("drift", "loglinear")}
    # The median of drift runs through the first and the last level of its window, a line sees all.
    assert changed["drift"][changed["drift"]].index.to_list() == [2015]
    assert changed["loglinear"][changed["loglinear"]].index.to_list() == list(range(2015, 2024))


def test_a_forecast_is_that_of_the_model_fitted_to_the_window(whole, levels):
    for model in MODELS:
        made = whole[(whole["model"] == model) & (whole["origin"] == 2016)].set_index("year")
        fit = trends.fit(model, levels.loc[:2016])
        expected = fit.quantiles(2024, [0.025, 0.1, 0.5, 0.9, 0.975]).to_numpy()
        assert made[["lo95", "lo80", "median", "hi80", "hi95"]].to_numpy() == pytest.approx(expected, rel=1e-9)


def test_errors_of_naive_and_drift_are_those_worked_out_by_hand(whole, levels):
    made = backtest.scored(whole).set_index(KEYS)["log_error"]
    log = np.log(levels)
    for origin in range(2009, 2024):
        growth = (log[origin] - log[2002]) / (origin - 2002)
        for h in range(1, 2024 - origin + 1):
            came = log[origin + h] - log[origin]
            assert made["naive", origin, h] == pytest.approx(came, abs=1e-12)
            assert made["drift", origin, h] == pytest.approx(came - h * growth, abs=1e-12)


# --- scores --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "horizon", "error"),
    [("drift", 1, 0.1463), ("drift", 5, 0.7652), ("naive", 1, 0.1662), ("naive", 5, 0.8010)],
)
def test_the_real_series_keeps_its_known_errors(table, model, horizon, error):
    assert round(score_of(table, "all", model, horizon)["male"], 4) == error


def by_hand(rows, levels, first):
    """All scores of one model and horizon, from past forecasts as plain rows."""
    n = len(rows)
    errors = [math.log(row["level"]) - math.log(row["median"]) for row in rows]
    scaled = []
    for row in rows:
        window = levels.loc[first : row["origin"]].to_list()
        changes = [abs(b - a) for a, b in pairwise(window)]
        scaled.append(abs(row["level"] - row["median"]) / (sum(changes) / len(changes)))
    found = {
        "forecasts": n,
        "mase": sum(scaled) / n,
        "rmsle": math.sqrt(sum(error**2 for error in errors) / n),
        "male": sum(abs(error) for error in errors) / n,
    }
    for name, alpha, measure in (("80", 0.2, "interval_score"), ("95", 0.05, "interval_score95")):
        hits, total = 0, 0.0
        for row in rows:
            y, low, high = (math.log(row[column]) for column in ("level", f"lo{name}", f"hi{name}"))
            hits += low <= y <= high
            outside = low - y if y < low else y - high if y > high else 0.0
            total += high - low + 2 / alpha * outside
        found |= {f"cover{name}": 100 * hits / n, measure: total / n}
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("horizon", [1, 3, 5])
def test_scores_follow_their_formulas(table, whole, levels, model, horizon):
    rows = whole[(whole["model"] == model) & (whole["horizon"] == horizon)].to_dict("records")
    expected = by_hand(rows, levels, 2002)
    made = score_of(table, "all", model, horizon)
    assert {measure: made[measure] for measure in expected} == pytest.approx(expected, rel=1e-9)
    for other in ("naive", "drift"):
        ratio = made["male"] / score_of(table, "all", other, horizon)["male"]
        assert made[f"male_to_{other}"] == pytest.approx(ratio, rel=1e-12)


def test_an_interval_score_adds_ten_times_what_lies_outside_80_percent_and_forty_outside_95():
    low, high = pd.Series([2.0, 2.0, 2.0]), pd.Series([4.0, 4.0, 4.0])
    level = pd.Series([1.0, 3.0, 8.0])
    width, miss = math.log(2), math.log(2)
    for coverage, charge in ((0.8, 10), (0.95, 40)):
        made = backtest.interval_score(level, low, high, coverage)
        assert made.to_list() == pytest.approx([width + charge * miss, width, width + charge * miss])


def test_horizons_are_scored_up_to_five_years(table):
    assert sorted(table["horizon"].unique()) == [1, 2, 3, 4, 5]


def test_rows_are_ordered_by_horizon_and_models_stand_in_their_order(table):
    rows = table[table["windows"] == "all"]
    assert list(zip(rows["horizon"], rows["model"], strict=True)) == [(h, m) for h in range(1, 6) for m in MODELS]


# --- later starts --------------------------------------------------------------------------------
def test_later_starts_are_scored_on_windows_that_start_then_and_on_origins_from_then(table):
    counts = table[table["model"] == "drift"].pivot(index="horizon", columns="windows", values="forecasts")
    counts = {name: column.dropna().astype(int).to_list() for name, column in counts.items()}
    assert counts == {
        "all": [15, 14, 13, 12, 11],
        "origins_from_2012": [12, 11, 10, 9, 8],
        "origins_from_2015": [9, 8, 7, 6, 5],
        "sample_from_2012": [5, 4, 3, 2, 1],  # 2012 to 2019 is the first window
        "sample_from_2015": [2, 1],
    }


@pytest.mark.parametrize("year", [2012, 2015])
@pytest.mark.parametrize("model", MODELS)
def test_a_later_sample_is_forecast_as_if_the_years_before_did_not_exist(past_forecasts, table, levels, year, model):
    later = past_forecasts[past_forecasts["sample_first"] == year]
    assert later["origin"].min() == year + 7
    alone = backtest.forecasts(levels.loc[year:])
    pd.testing.assert_frame_equal(later.drop(columns="sample_first").reset_index(drop=True), alone)
    rows = later[(later["model"] == model) & (later["horizon"] == 1)].to_dict("records")
    expected = by_hand(rows, levels, year)
    made = score_of(table, f"sample_from_{year}", model, 1)
    assert {measure: made[measure] for measure in expected} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("year", [2012, 2015])
def test_later_origins_keep_the_windows_of_the_whole_series(whole, table, levels, year):
    rows = whole[(whole["model"] == "drift") & (whole["horizon"] == 2) & (whole["origin"] >= year)].to_dict("records")
    expected = by_hand(rows, levels, 2002)
    made = score_of(table, f"origins_from_{year}", "drift", 2)
    assert {measure: made[measure] for measure in expected} == pytest.approx(expected, rel=1e-9)


def test_a_start_before_the_series_is_no_set_of_its_own(quick):
    found = backtest.all_forecasts(walk(1, 12, 2013))
    assert sorted(found["sample_first"].unique()) == [2013, 2015]
    # The first window ends in 2020, so every origin is later than either start.
    assert list(backtest.scores(found)["windows"].unique()) == ["all", "sample_from_2015"]


def test_a_series_that_ended_before_the_later_starts_has_one_set(quick):
    found = backtest.all_forecasts(walk(2, 16, 1990))
    assert list(backtest.scores(found)["windows"].unique()) == ["all"]


# --- models that refuse --------------------------------------------------------------------------
def test_a_model_that_refuses_a_window_is_compared_over_common_windows_only(quick, monkeypatch, levels):
    def late(window):
        if len(window) < 15:
            raise CannotFit("too short for me")
        return trends.loglinear(window)

    monkeypatch.setitem(trends.MODELS, "loglinear", late)
    made = backtest.all_forecasts(levels)
    mine = made[(made["model"] == "loglinear") & (made["horizon"] == 1)]
    assert mine["origin"].to_list() == list(range(2016, 2024))
    row = score_of(backtest.scores(made), "all", "loglinear", 1)
    assert row["forecasts"] == 8
    for other in ("naive", "drift"):
        theirs = made[(made["model"] == other) & (made["horizon"] == 1) & (made["sample_first"] == 2002)]
        assert len(theirs) == 15
        common = theirs[theirs["origin"] >= 2016]
        error = np.abs(np.log(common["level"] / common["median"])).mean()
        assert row[f"male_to_{other}"] == pytest.approx(row["male"] / error, rel=1e-12)
        assert row[f"male_to_{other}"] != pytest.approx(
            row["male"] / np.abs(np.log(theirs["level"] / theirs["median"])).mean(), rel=1e-3
        )


def test_windows_that_the_yardstick_refuses_do_not_count_for_the_ratio(quick, monkeypatch, levels):
    def late(window):
        if len(window) < 15:
            raise CannotFit("too short for me")
        return trends.drift(window)

    monkeypatch.setitem(trends.MODELS, "drift", late)
    made = backtest.forecasts(levels)
    row = score_of(backtest.scores(made.assign(sample_first=2002)), "all", "loglinear", 1)
    assert row["forecasts"] == 15
    made = made[(made["horizon"] == 1) & (made["origin"] >= 2016)]
    errors = np.abs(np.log(made["level"] / made["median"])).groupby(made["model"]).mean()
    assert row["male_to_drift"] == pytest.approx(errors["loglinear"] / errors["drift"], rel=1e-12)


def test_without_a_yardstick_there_is_no_ratio_to_it(quick, monkeypatch, levels):
    def never(_):
        raise CannotFit("never")

    monkeypatch.setitem(trends.MODELS, "drift", never)
    table = backtest.scores(backtest.all_forecasts(levels))
    assert "drift" not in set(table["model"])
    assert table["male_to_drift"].isna().all()
    assert table["male_to_naive"].notna().all()


@pytest.mark.parametrize(
    ("yardstick", "changes"),
    [("drift", [0.1] * 22), ("naive", [0.1, -0.2, 0.3, 0.1, -0.1, 0.2, 0.1] + [0.0] * 15)],
    ids=["the same growth in every year", "level since the first window"],
)
def test_a_yardstick_without_error_gives_no_ratio_to_it(quick, described, yardstick, changes):
    levels = pd.Series(np.exp(7 + np.cumsum([0, *changes])), index=range(2002, 2025))
    table = backtest.scores(backtest.all_forecasts(levels))
    assert (table[table["model"] == yardstick]["male"] < backtest.NO_ERROR).all()
    assert table[f"male_to_{yardstick}"].isna().all()
    words, keys = "overseas anime market", {year: f"market.overseas.level.{year}" for year in levels.index}
    subject = Subject("market.overseas", "yen", units.JPY_100M, words, levels, keys, "2025", "made up")
    named = backtest.backtest_quantities(table, pd.DataFrame(), subject, described)
    assert f"backtest.overseas.{yardstick}.male.h5" in named
    assert [key for key in named if f"male_to_{yardstick}" in key] == []


# --- judging coverage ----------------------------------------------------------------------------
@pytest.mark.parametrize("nominal", [0.8, 0.95])
@pytest.mark.parametrize("forecasts", range(1, 24))
def test_coverage_is_judged_by_the_exact_lower_tail(forecasts, nominal):
    for hits in range(forecasts + 1):
        chance = sum(math.comb(forecasts, k) * nominal**k * (1 - nominal) ** (forecasts - k) for k in range(hits + 1))
        assert chance == pytest.approx(stats.binom.cdf(hits, forecasts, nominal), rel=1e-6)
        due = "too narrow" if chance < 0.05 else "not shown to be too narrow"
        assert judge_coverage(hits, forecasts, nominal) == ("too few to judge" if forecasts < 5 else due)


def test_honest_intervals_are_seldom_called_too_narrow():
    hits = np.random.default_rng(3).binomial(15, 0.8, 2000)
    share = np.mean([judge_coverage(int(hit), 15, 0.8) == "too narrow" for hit in hits])
    assert share < 0.05


def test_the_table_judges_the_share_that_it_prints(table):
    for row in table.to_dict("records"):
        for name, nominal in (("80", 0.8), ("95", 0.95)):
            hits = round(row[f"cover{name}"] / 100 * row["forecasts"])
            assert row[f"narrow{name}"] == judge_coverage(hits, row["forecasts"], nominal)


# --- empirical intervals -------------------------------------------------------------------------
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", range(25))
def test_the_conformal_reach_is_the_kth_smallest_error(count, coverage):
    errors = np.random.default_rng(count).normal(0, 1, count)
    place = next(k for k in range(1, count + 3) if 100 * k >= round(100 * coverage) * (count + 1))
    reach = conformal_reach(errors, coverage)
    if place > count:
        assert reach is None
    else:
        assert reach == np.sort(np.abs(errors))[place - 1]


def test_it_takes_four_errors_for_80_percent_and_nineteen_for_95():
    assert [conformal_reach([1.0] * count, 0.8) for count in (0, 3, 4)] == [None, None, 1.0]
    assert [conformal_reach([1.0] * count, 0.95) for count in (18, 19)] == [None, 1.0]


@pytest.mark.parametrize("count", [4, 7, 15])
@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "exponential"])
def test_the_conformal_interval_covers_at_least_80_percent_of_exchangeable_errors(count, draw):
    rng, runs = np.random.default_rng(4), 3000
    errors = getattr(rng, draw)(size=(runs, count + 1))
    inside = np.mean([abs(row[-1]) <= conformal_reach(row[:-1], 0.8) for row in errors])
    due = math.ceil(0.8 * (count + 1)) / (count + 1)  # of a continuous error, exactly
    assert due >= 0.8
    assert inside == pytest.approx(due, abs=4 * math.sqrt(due * (1 - due) / runs))


def test_exchangeable_errors_that_lean_on_a_common_shift_are_covered_as_well():
    rng, runs = np.random.default_rng(5), 3000
    errors = rng.normal(0, 1, (runs, 10)) + rng.normal(0, 3, (runs, 1))
    inside = np.mean([abs(row[-1]) <= conformal_reach(row[:-1], 0.8) for row in errors])
    assert inside >= 0.8 - 4 * math.sqrt(0.8 * 0.2 / runs)


def test_empirical_intervals_reach_as_far_as_four_errors_do(bands):
    for _, rows in bands.groupby("model"):
        assert rows["horizon"].to_list() == list(range(1, 13))
        assert rows["errors"].to_list() == [16 - horizon for horizon in range(1, 13)]
        assert rows["year"].to_list() == list(range(2025, 2037))
    assert list(bands["model"].unique()) == list(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_empirical_intervals_lie_about_the_median_as_far_as_past_errors_went(bands, whole, fits, model):
    rows = bands[bands["model"] == model].set_index("horizon")
    own = fits[model].quantiles(2036, [0.1, 0.5, 0.9])
    for h in (1, 5, 12):
        past = whole[(whole["model"] == model) & (whole["horizon"] == h)]
        sizes = sorted(
            abs(math.log(level / median)) for level, median in zip(past["level"], past["median"], strict=True)
        )
        reach = sizes[math.ceil(len(sizes) * 0.8 + 0.8) - 1]
        row = rows.loc[h]
        low, middle, high = own.loc[2024 + h]
        assert [row["lo80"], row["median"], row["hi80"]] == pytest.approx([low, middle, high], rel=1e-9)
        assert row["conformal_lo80"] == pytest.approx(middle * math.exp(-reach), rel=1e-9)
        assert row["conformal_hi80"] == pytest.approx(middle * math.exp(reach), rel=1e-9)
        assert row["reach"] == pytest.approx(reach, rel=1e-9)
        assert row["own_reach"] == pytest.approx(math.log(high / low) / 2, rel=1e-9)


def test_errors_of_later_samples_do_not_count_for_the_empirical_intervals(past_forecasts, whole, fits, bands):
    pd.testing.assert_frame_equal(backtest.conformal(whole, fits), bands)
    assert len(past_forecasts) > len(whole)


# --- named numbers -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def named(table, bands, subject, described):
    return backtest.backtest_quantities(table, bands, subject, described)


def test_every_score_is_named_by_model_measure_and_horizon(named, table):
    expected = {
        **{name: units.RATIO for name in ("mase", "rmsle", "male", "male_to_naive", "male_to_drift")},
        **{name: units.RATIO for name in ("interval_score", "interval_score95")},
        **{name: units.PERCENT for name in ("cover80", "cover95")},
        "forecasts": units.COUNT,
    }
    for model in MODELS:
        for horizon in range(1, 6):
            row = score_of(table, "all", model, horizon)
            for measure, unit in expected.items():
                item = named[f"backtest.overseas.{model}.{measure}.h{horizon}"]
                assert (item.value, item.unit) == (row[measure], unit.name)
                assert item.inputs == ("trend.overseas.sample.2002-2024",)


def test_labels_count_the_years_ahead_in_words(named):
    labels = {h: named[f"backtest.overseas.drift.male.h{h}"].label for h in (1, 5)}
    assert "log error, one year ahead: drift" in labels[1] and "log error, five years ahead: drift" in labels[5]
    assert [
        item.label for key, item in named.items() if key.endswith(".h1") and "one year ahead" not in item.label
    ] == []


def test_later_sets_are_named_by_their_windows_and_only_in_few_measures(named, table):
    variants = {tuple(key.split(".")[3:5]) for key in named if key.count(".") == 5}
    windows = set(table["windows"]) - {"all"}
    measures = {"forecasts", "male", "male_to_drift", "cover80"}
    assert variants == {(measure, name) for measure in measures for name in windows}
    item = named["backtest.overseas.drift.male.sample_from_2012.h1"]
    assert item.value == score_of(table, "sample_from_2012", "drift", 1)["male"]
    assert "sample from 2012" in item.label


def test_what_is_too_narrow_is_marked_and_nothing_else(named, table):
    due = {
        f"backtest.overseas.{row['model']}.narrow{name}.h{row['horizon']}": f"cover{name}"
        for row in table[table["windows"] == "all"].to_dict("records")
        for name in ("80", "95")
        if row[f"narrow{name}"] == "too narrow"
    }
    made = {key: item for key, item in named.items() if ".narrow" in key}
    assert set(made) == set(due) != set()
    for key, measure in due.items():
        model, horizon = key.split(".")[2], key.rsplit(".", 1)[1]
        assert made[key].value == 1
        assert made[key].inputs == (f"backtest.overseas.{model}.{measure}.{horizon}",)


def test_empirical_intervals_are_projections_in_the_unit_of_the_series(named, bands, subject):
    for row in bands.to_dict("records"):
        for end in ("conformal_lo80", "conformal_hi80"):
            item = named[f"projection.overseas.{row['model']}.{end}.{row['year']}"]
            assert (item.value, item.unit) == (row[end], subject.unit.name)
            assert f"from {row['errors']} past errors" in item.label


def test_backtest_quantities_add_nothing_that_was_known(named, described):
    assert not set(named) & set(described)
    assert {key.split(".")[0] for key in named} == {"backtest", "projection", "trend"}
    assert [key for key in named if key.startswith("trend.")] == ["trend.overseas.sample.2002-2024"]


def test_dollars_have_keys_of_their_own(quick, described):
    dollars = series.choose(described, "market.overseas", "usd", 2012)
    made = backtest.all_forecasts(dollars.levels)
    fits, _ = trends.fit_all(dollars.levels)
    found = backtest.backtest_quantities(backtest.scores(made), backtest.conformal(made, fits), dollars, described)
    assert found["backtest.overseas_usd.drift.forecasts.h1"].value == 5
    assert found["projection.overseas_usd.drift.conformal_hi80.2025"].unit == dollars.unit.name
    assert all(key.split(".")[1] == "overseas_usd" for key in found)


# --- too short -----------------------------------------------------------------------------------
@pytest.mark.parametrize("years", [0, 1, 7, 8])
def test_a_series_that_leaves_no_year_to_forecast_gives_empty_tables(quick, years, past_forecasts, table, bands):
    levels = walk(6, years, 2017)
    fits, _ = trends.fit_all(levels)
    made = backtest.all_forecasts(levels)
    scores, found = backtest.scores(made), backtest.conformal(made, fits)
    for empty, full in ((made, past_forecasts), (scores, table), (found, bands)):
        assert empty.empty
        assert list(empty.columns) == list(full.columns)


def test_empty_tables_give_no_named_numbers_but_the_sample(quick, described):
    short = series.choose(described, "market.overseas", "yen", 2017)
    assert len(short.levels) == 8
    made = backtest.all_forecasts(short.levels)
    scores, bands = backtest.scores(made), backtest.conformal(made, trends.fit_all(short.levels)[0])
    found = backtest.backtest_quantities(scores, bands, short, described)
    assert list(found) == ["trend.overseas.sample.2017-2024"]


def test_nine_years_give_one_forecast_and_no_empirical_interval(quick):
    levels = walk(7, 9, 2016)
    made = backtest.all_forecasts(levels)
    assert made["model"].to_list() == list(QUICK)
    table = backtest.scores(made)
    assert set(table["forecasts"]) == {1}
    assert set(table["narrow80"]) == {"too few to judge"}
    assert backtest.conformal(made, trends.fit_all(levels)[0]).empty
