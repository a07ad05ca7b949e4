"""Trend models: they find what was put in, their intervals cover what they promise, and they say why not.

Simulations use a fixed seed, so a test passes or fails the same way every time. Tolerances are four
to five standard errors of the simulated mean, which an honest model misses once in ten thousand
seeds; a bias of a tenth of the quantity sought is many times that.
"""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anime_growth import trends
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities
from anime_growth.trends import MODELS, CannotFit

PROBABILITIES = [0.025, 0.1, 0.5, 0.9, 0.975]
YEARS = 23  # as many as the study has


def series(log, first=2002):
    return pd.Series(np.exp(log), index=range(first, first + len(log)))


def walk(rng, years, growth=0.08, noise=0.2):
    """Log levels of a random walk with drift."""
    return 8 + np.concatenate([[0.0], rng.normal(growth, noise, years - 1).cumsum()])


def line(rng, years, growth=0.08, noise=0.2):
    """Log levels of steady growth with independent noise around it."""
    return 8 + growth * np.arange(years) + rng.normal(0, noise, years)


def damped(rng, years, damping=0.9, alpha=0.6, beta=0.3, noise=0.02):
    """Log levels of an ETS(A,Ad,N) process, and its growth into the year after the last."""
    level, slope, log = 7.0, 0.15, []
    for _ in range(years):
        error = rng.normal(0, noise)
        log.append(level + damping * slope + error)
        level, slope = log[-1] - (1 - alpha) * error, damping * slope + beta * error
    return np.array(log), damping * slope


# --- recovery ------------------------------------------------------------------------------------
def test_the_log_linear_trend_finds_the_growth_of_a_steady_series():
    rng = np.random.default_rng(1)
    slopes = [trends.fit("loglinear", series(line(rng, YEARS))).log_slope for _ in range(200)]
    # One slope has a standard error of 0.2 / sqrt(sum of squared distances from the middle year).
    error = 0.2 / math.sqrt(sum((t - 11) ** 2 for t in range(YEARS)))
    assert np.mean(slopes) == pytest.approx(0.08, abs=4 * error / math.sqrt(200))
    assert np.std(slopes) == pytest.approx(error, rel=0.2)


def test_drift_finds_the_growth_and_the_noise_of_a_random_walk():
    rng = np.random.default_rng(2)
    fits = [trends.fit("drift", series(walk(rng, YEARS))) for _ in range(400)]
    error = 0.2 / math.sqrt(YEARS - 1)
    assert np.mean([fit.log_slope for fit in fits]) == pytest.approx(0.08, abs=4 * error / math.sqrt(400))
    variances = [(fit.residuals**2).sum() / (YEARS - 2) for fit in fits]
    assert np.mean(variances) == pytest.approx(0.04, abs=4 * 0.04 * math.sqrt(2 / (YEARS - 2)) / math.sqrt(400))


def test_the_damped_trend_finds_the_fading_growth_of_a_damped_process():
    # 23 years cannot tell one damping from another; 120 can, and the formula does not know how many.
    rng = np.random.default_rng(3)
    errors, dampings = [], []
    for _ in range(25):
        log, growth = damped(rng, 120)
        fit = trends.fit("damped_trend", series(log, 1900))
        errors.append(fit.log_slope - growth)
        dampings.append(fit.notes["damping"])
    assert np.mean(errors) == pytest.approx(0, abs=5 * 0.0025 / math.sqrt(25))
    assert np.median(dampings) == pytest.approx(0.9, abs=0.02)


def test_naive_and_drift_keep_their_assumption_on_any_series():
    levels = series(walk(np.random.default_rng(4), YEARS))
    naive, drift = trends.fit("naive", levels), trends.fit("drift", levels)
    assert (naive.growth_pct, naive.growth_lo95, naive.growth_hi95) == (0.0, None, None)
    assert list(naive.quantiles(2030, [0.5])[0.5]) == pytest.approx([levels.iloc[-1]] * 6)
    ahead = drift.quantiles(2030, [0.5])[0.5]
    assert (ahead / ahead.shift(1) - 1).dropna().to_list() == pytest.approx([drift.growth_pct / 100] * 5)


def test_the_damped_trend_fades_by_its_damping_each_year(levels):
    fit = trends.fit("damped_trend", levels)
    location, _ = fit.forecast(np.arange(1, 10))
    steps = np.diff(np.concatenate([[location[0] - fit.log_slope], location]))
    assert steps[1:] / steps[:-1] == pytest.approx(fit.notes["damping"])
    assert fit.growth_pct == pytest.approx(math.expm1(fit.log_slope) * 100)


# --- coverage ------------------------------------------------------------------------------------
def test_the_80_percent_forecast_of_drift_covers_what_it_promises_three_years_ahead():
    rng, inside, runs = np.random.default_rng(5), 0, 1200
    for _ in range(runs):
        log = walk(rng, YEARS + 3)
        low, high = trends.fit("drift", series(log[:YEARS])).quantiles(2027, [0.1, 0.9]).iloc[-1]
        inside += low <= math.exp(log[-1]) <= high
    coverage = inside / runs
    # The forecast is normal although its spread is estimated, so a little less than 80 % is due:
    expected = 1 - 2 * stats.t.sf(stats.norm.ppf(0.9), YEARS - 2)
    assert 0.78 < expected < 0.79
    assert coverage == pytest.approx(expected, abs=4 * math.sqrt(0.8 * 0.2 / runs))
    assert coverage == pytest.approx(0.80, abs=0.04)


def test_the_95_percent_interval_of_growth_of_drift_covers_what_it_promises():
    rng, inside, runs = np.random.default_rng(6), 0, 600
    for _ in range(runs):
        fit = trends.fit("drift", series(walk(rng, YEARS)))
        inside += fit.growth_lo95 <= math.expm1(0.08) * 100 <= fit.growth_hi95
    assert inside / runs == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / runs))


def test_the_95_percent_interval_of_the_log_linear_trend_comes_near_its_promise():
    # HAC errors from 23 points are known to be a little too small even where nothing is correlated.
    rng, inside, runs = np.random.default_rng(7), 0, 600
    for _ in range(runs):
        fit = trends.fit("loglinear", series(line(rng, YEARS)))
        inside += fit.growth_lo95 <= math.expm1(0.08) * 100 <= fit.growth_hi95
    assert 0.85 < inside / runs < 0.95


def test_the_80_percent_forecast_of_the_log_linear_trend_covers_a_steady_series():
    rng, inside, runs = np.random.default_rng(8), 0, 600
    for _ in range(runs):
        log = line(rng, YEARS + 3)
        low, high = trends.fit("loglinear", series(log[:YEARS])).quantiles(2027, [0.1, 0.9]).iloc[-1]
        inside += low <= math.exp(log[-1]) <= high
    assert inside / runs == pytest.approx(0.80, abs=4 * math.sqrt(0.8 * 0.2 / runs))


def test_the_80_percent_forecast_of_naive_covers_a_walk_without_drift():
    rng, inside, runs = np.random.default_rng(9), 0, 600
    for _ in range(runs):
        log = walk(rng, YEARS + 3, growth=0.0)
        low, high = trends.fit("naive", series(log[:YEARS])).quantiles(2027, [0.1, 0.9]).iloc[-1]
        inside += low <= math.exp(log[-1]) <= high
    assert inside / runs == pytest.approx(0.80, abs=0.06)


# --- against formulas written out here -----------------------------------------------------------
def test_drift_is_the_textbook_random_walk_with_drift(levels):
    fit = trends.fit("drift", levels)
    log = np.log(levels.to_numpy())
    n = len(log) - 1
    mean = (log[-1] - log[0]) / n
    variance = ((np.diff(log) - mean) ** 2).sum() / (n - 1)
    reach = stats.t.ppf(0.975, n - 1) * math.sqrt(variance / n)
    assert fit.log_slope == pytest.approx(mean, rel=1e-12)
    assert fit.growth_lo95 == pytest.approx(math.expm1(mean - reach) * 100, rel=1e-9)
    assert fit.growth_hi95 == pytest.approx(math.expm1(mean + reach) * 100, rel=1e-9)
    ahead = fit.quantiles(2033, PROBABILITIES)
    for h in range(1, 10):
        spread = math.sqrt(h * variance + h**2 * variance / n)
        for p in PROBABILITIES:
            expected = math.exp(log[-1] + h * mean + stats.norm.ppf(p) * spread)
            assert ahead.loc[2024 + h, p] == pytest.approx(expected, rel=1e-9)


def newey_west(y, lags):
    """Slope of y on time and its Newey-West standard error with the small-sample correction n/(n-2)."""
    n = len(y)
    x = np.column_stack([np.ones(n), np.arange(n)])
    inverse = np.linalg.inv(x.T @ x)
    slope = inverse @ x.T @ y
    scores = x * (y - x @ slope)[:, None]
    middle = scores.T @ scores
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        middle += (1 - lag / (lags + 1)) * (cross + cross.T)
    covariance = inverse @ middle @ inverse * n / (n - 2)
    return slope, covariance


def test_the_log_linear_trend_has_newey_west_errors_with_two_lags(levels):
    fit = trends.fit("loglinear", levels)
    log = np.log(levels.to_numpy())
    (_, slope), covariance = newey_west(log, lags=2)
    reach = stats.t.ppf(0.975, YEARS - 2) * math.sqrt(covariance[1, 1])
    assert fit.log_slope == pytest.approx(slope, rel=1e-10)
    assert fit.growth_lo95 == pytest.approx(math.expm1(slope - reach) * 100, rel=1e-9)
    assert fit.growth_hi95 == pytest.approx(math.expm1(slope + reach) * 100, rel=1e-9)


def test_the_log_linear_forecast_adds_noise_to_the_uncertain_line(levels):
    fit = trends.fit("loglinear", levels)
    log = np.log(levels.to_numpy())
    (start, slope), covariance = newey_west(log, lags=2)
    residuals = log - start - slope * np.arange(YEARS)
    noise = (residuals**2).sum() / (YEARS - 2)
    at = np.array([1.0, YEARS - 1 + 9])
    spread = math.sqrt(noise + at @ covariance @ at)
    expected = math.exp(start + slope * at[1] + stats.t.ppf(0.9, YEARS - 2) * spread)
    assert fit.quantiles(2033, [0.9]).loc[2033, 0.9] == pytest.approx(expected, rel=1e-9)
    assert fit.residuals.to_numpy() == pytest.approx(residuals, abs=1e-12)


@pytest.mark.parametrize(("n", "lags"), [(8, 2), (23, 2), (40, 3), (100, 4)])
def test_the_lag_length_follows_the_usual_rule(n, lags):
    assert trends.newey_west_lags(n) == lags


# --- the interface that every model keeps --------------------------------------------------------
@pytest.mark.parametrize("model", MODELS)
def test_quantiles_rise_with_their_probability_and_widen_with_time(fits, model):
    table = fits[model].quantiles(2033, PROBABILITIES)
    assert list(table.index) == list(range(2025, 2034))
    assert (table.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert (table > 0).all(axis=None)
    width = np.log(table[0.9]) - np.log(table[0.1])
    assert (width.diff().dropna() > 0).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_median_is_exp_of_the_location_and_the_bands_lie_evenly_about_it(fits, model):
    location, _ = fits[model].forecast(np.arange(1, 10))
    table = fits[model].quantiles(2033, PROBABILITIES)
    assert table[0.5].to_numpy() == pytest.approx(np.exp(location), rel=1e-12)
    assert (table[0.1] * table[0.9]).to_numpy() == pytest.approx((table[0.5] ** 2).to_numpy(), rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_a_horizon_in_the_past_gives_an_empty_table(fits, model):
    table = fits[model].quantiles(2024, PROBABILITIES)
    assert table.shape == (0, 5)


@pytest.mark.parametrize("model", MODELS)
def test_one_year_ahead_is_the_first_of_many(fits, model):
    one, many = fits[model].quantiles(2025, PROBABILITIES), fits[model].quantiles(2033, PROBABILITIES)
    pd.testing.assert_frame_equal(one, many.head(1))


@pytest.mark.parametrize("model", MODELS)
def test_growth_is_the_log_slope_in_percent_and_lies_inside_its_interval(fits, model):
    fit = fits[model]
    assert fit.growth_pct == pytest.approx(math.expm1(fit.log_slope) * 100)
    if model != "naive":
        assert fit.growth_lo95 < fit.growth_pct < fit.growth_hi95


@pytest.mark.parametrize("model", MODELS)
def test_fitted_values_and_residuals_make_the_series(fits, model, levels):
    fit = fits[model]
    assert set(fit.residuals.index) == set(fit.fitted.index) <= set(levels.index)
    again = np.log(fit.fitted) + fit.residuals
    assert again.to_numpy() == pytest.approx(np.log(levels[fit.fitted.index]).to_numpy(), abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_ten_times_the_levels_are_ten_times_the_forecasts_and_the_same_growth(fits, model, levels):
    small, large = fits[model], trends.fit(model, levels * 10)
    # The smoothing parameters come from a numerical search, which stops at slightly other places.
    tolerance = 1e-5 if model == "damped_trend" else 1e-12
    assert large.growth_pct == pytest.approx(small.growth_pct, rel=tolerance)
    if model != "naive":
        assert large.growth_lo95 == pytest.approx(small.growth_lo95, rel=tolerance)
        assert large.growth_hi95 == pytest.approx(small.growth_hi95, rel=tolerance)
    ratio = large.quantiles(2033, PROBABILITIES) / small.quantiles(2033, PROBABILITIES)
    assert ratio.to_numpy() == pytest.approx(10, rel=tolerance)


@pytest.mark.parametrize("model", MODELS)
def test_other_calendar_years_change_nothing_but_the_years(fits, model, levels):
    later = trends.fit(model, pd.Series(levels.to_numpy(), index=levels.index + 100))
    assert later.growth_pct == pytest.approx(fits[model].growth_pct, rel=1e-12)
    assert later.years[0] == 2102
    assert list(later.quantiles(2126, [0.5]).index) == [2125, 2126]


@pytest.mark.parametrize("model", MODELS)
def test_fitting_leaves_the_series_alone_and_gives_the_same_twice(model, levels):
    before = levels.copy(deep=True)
    first, second = trends.fit(model, levels), trends.fit(model, levels)
    pd.testing.assert_series_equal(levels, before)
    pd.testing.assert_frame_equal(first.quantiles(2033, PROBABILITIES), second.quantiles(2033, PROBABILITIES))


# --- refusals in words ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (pd.Series([1.0, 2, 3, 4, 5, 6, 7], index=range(2018, 2025)), "has 7 years, and at least 8 are needed"),
        (pd.Series(dtype=float), "has 0 years, and at least 8 are needed"),
        (pd.Series(range(1, 9), index=[*range(2010, 2014), *range(2015, 2019)]), "has a gap between its years"),
        (pd.Series([3.0] * 8, index=range(8)), "is constant, so it has no spread"),
        (pd.Series([1.0, 2, 3, 0, 5, 6, 7, 8], index=range(8)), "not finite and above zero, which have no logarithm"),
        (pd.Series([1.0, 2, 3, -4, 5, 6, 7, 8], index=range(8)), "not finite and above zero"),
        (pd.Series([1.0, 2, 3, math.nan, 5, 6, 7, 8], index=range(8)), "not finite and above zero"),
    ],
    ids=["seven years", "no years", "a gap", "constant", "zero", "negative", "missing"],
)  # fmt: skip
@pytest.mark.parametrize("model", MODELS)
def test_a_series_that_does_not_suit_is_refused_in_words(model, levels, words):
    with pytest.raises(CannotFit, match=words):
        trends.fit(model, levels)


def test_an_infinite_level_is_refused():
    levels = pd.Series([1.0, 2, 3, 4, 5, 6, 7, math.inf], index=range(2010, 2018))
    fitted, refused = trends.fit_all(levels)
    assert not fitted
    assert set(refused) == set(MODELS)


def test_eight_years_are_enough():
    fitted, refused = trends.fit_all(series(walk(np.random.default_rng(10), 8)))
    assert set(fitted) == set(MODELS)
    assert refused == {}


def test_a_series_that_no_model_takes_leaves_a_table_of_reasons():
    fitted, refused = trends.fit_all(pd.Series([1.0, 2.0], index=[2020, 2021]))
    assert fitted == {}
    table = trends.trend_table(fitted, refused)
    assert list(table["model"]) == list(MODELS)
    assert set(table["remark"]) == {"not fitted: the series has 2 years, and at least 8 are needed"}


def test_warnings_of_the_fit_become_findings_once_each(monkeypatch, levels):
    def warns(checked):
        for _ in range(2):
            warnings.warn("the search did not converge", RuntimeWarning, stacklevel=1)
        return trends.naive(checked)

    monkeypatch.setitem(trends.MODELS, "naive", warns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = trends.fit("naive", levels)
    assert fit.findings == ("RuntimeWarning: the search did not converge",)
    fits = {"naive": fit}
    table = trends.trend_table(fits, {name: "x" for name in MODELS})
    assert table.set_index("model").loc["naive", "remark"] == "RuntimeWarning: the search did not converge"


@pytest.mark.parametrize(
    "problem", [np.linalg.LinAlgError("singular"), ValueError("nan inside"), FloatingPointError("x")]
)
def test_a_fit_that_breaks_down_becomes_a_reason(monkeypatch, levels, problem):
    def breaks(_):
        raise problem

    monkeypatch.setitem(trends.MODELS, "drift", breaks)
    fitted, refused = trends.fit_all(levels)
    assert refused == {"drift": f"the fit failed ({problem})"}
    assert set(fitted) == set(MODELS) - {"drift"}


def test_a_fault_in_the_code_is_not_taken_for_an_unsuitable_series(monkeypatch, levels):
    monkeypatch.setitem(trends.MODELS, "drift", lambda _: undefined)  # noqa: F821
    with pytest.raises(NameError):
        trends.fit("drift", levels)


# --- what is reported ----------------------------------------------------------------------------
def test_residual_checks_tell_noise_from_correlated_noise(levels):
    rng = np.random.default_rng(11)
    base = trends.fit("naive", levels)
    noise = rng.normal(0, 1, 60)
    correlated = noise.cumsum()
    index = range(1950, 2010)
    checks = {
        name: trends.residual_checks(trends.Fit(**{**base.__dict__, "residuals": pd.Series(values, index=index)}))
        for name, values in {"noise": noise, "correlated": correlated}.items()
    }
    assert checks["noise"]["durbin_watson"] == pytest.approx(2, abs=0.5)
    assert checks["correlated"]["durbin_watson"] < 0.5
    assert checks["noise"]["ljung_box_p"] > 0.05 > checks["correlated"]["ljung_box_p"]
    assert checks["noise"]["residual_spread"] == pytest.approx(1, abs=0.2)


def test_the_largest_residual_keeps_its_sign_and_its_year(fits):
    checks = trends.residual_checks(fits["drift"])
    residuals = fits["drift"].residuals
    assert checks["largest_residual_year"] == 2009  # -38.5 % after the Lehman year
    assert checks["largest_residual"] == residuals[2009] < 0
    assert abs(checks["largest_residual"]) == residuals.abs().max()


def test_the_sample_is_the_last_run_of_years_without_a_gap(market):
    assert list(trends.sample(market, 2010).index) == list(range(2010, 2025))
    lacking = market[~((market["year"] == 2012) & (market["series"] == "overseas"))]
    assert list(trends.sample(lacking, 2002).index) == list(range(2013, 2025))
    assert trends.sample(market, 2002, "total")[2024] == 38407


@pytest.mark.parametrize("start_year", [2018, 2024, 2050])
def test_a_start_year_that_leaves_too_few_years_is_refused_with_the_latest_that_would_do(market, start_year):
    with pytest.raises(InputError, match=rf"{start_year} leaves \d+ of 23 years.* Choose 2017 or earlier"):
        trends.sample(market, start_year)
    assert len(trends.sample(market, 2017)) == trends.MIN_YEARS


def test_every_fit_is_named_with_its_sample_its_model_and_the_levels_it_rests_on(fits, every_quantity):
    for model, fit in fits.items():
        item = every_quantity[f"trend.overseas.{model}.growth"]
        assert item.value == fit.growth_pct
        assert item.method == f"anime_growth.trends.{model}"
        assert item.inputs == tuple(f"market.overseas.level.{year}" for year in range(2002, 2025))
        assert "2002-2024" in item.label
        assert every_quantity[f"trend.overseas.{model}.years"].value == 23
    assert "trend.overseas.naive.growth_lo95" not in every_quantity


def test_trend_quantities_add_nothing_but_trends(fits, every_quantity):
    known = Quantities(
        "2025", [item for key, item in every_quantity.items() if key.startswith("market.overseas.level.")]
    )
    made = trends.trend_quantities(fits, known)
    assert all(key.startswith("trend.overseas.") for key in made)


def test_the_table_of_trends_repeats_the_fits(fits):
    table = trends.trend_table(fits, {}).set_index("model")
    assert list(table.index) == list(MODELS)
    for model, fit in fits.items():
        assert table.loc[model, "growth_pct_a_year"] == fit.growth_pct
        assert (table.loc[model, "first_year"], table.loc[model, "last_year"]) == (2002, 2024)
    remarks = table["remark"].to_dict()
    assert "damping 0.8" in remarks.pop("damped_trend")
    assert set(remarks.values()) == {""}


def test_every_model_has_its_words():
    assert set(trends.MODEL_WORDS) == set(MODELS)


def test_estimates_at_their_bounds_are_a_finding_and_free_ones_are_not():
    free = {"smoothing_level": 0.8, "smoothing_trend": 0.3, "damping_trend": 0.9}
    assert trends._at_bounds(free) == ()
    assert "damping 0.98" in trends._at_bounds({**free, "damping_trend": 0.98})[0]
    assert "as fast as of the level" in trends._at_bounds({**free, "smoothing_trend": 0.8})[0]
