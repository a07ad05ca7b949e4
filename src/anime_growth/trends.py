"""Eight simple trend models of one annual series, behind one small interface.

All models work on the natural logarithm of the level and give forecast quantiles on that scale;
quantiles go back to levels through exp, so the 50 % quantile is a median and not a mean.
statsmodels does the fitting. 23 points are few: every interval here is wide for a reason.

Assumes: years follow one another without a gap, levels are above zero, at least MIN_YEARS of them.

Judgements made here, and why
-----------------------------
- "Growth" of drift is the average of the past, of the log-linear models the slope of the line, of
  the segmented one the slope after its break, of the smoothed ones the slope at the last year.
- The segmented trend has exactly one break, at the year with the lowest BIC; whether one break is
  better than none is said in a finding instead of being decided by the model.
- A numerical search that does not converge is refused, that of the local linear trend after a second
  method; that of the damped trend is made from several starts, of which the best end counts.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import GLSAR, OLS
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.stats.stattools import durbin_watson, jarque_bera
from statsmodels.tools.numdiff import approx_fprime
from statsmodels.tools.sm_exceptions import ConvergenceWarning
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.structural import UnobservedComponents

from anime_growth import units
from anime_growth.quantities import MODEL_WORDS, Quantities
from anime_growth.series import MIN_YEARS, Subject

# Yearly steps that either side of a break must have at least.
SEGMENT_STEPS = 3
# Smoothing of level and trend, and damping, from which the damped trend is searched for as well.
SMOOTHING_STARTS = ((0.1, 0.005, 0.82), (0.4, 0.2, 0.9))
# Step of the numerical slopes in that search: with scipy's own, results differ in the sixth digit from
# one processor to the next.
SLOPE_STEP = 1e-6
# A search that goes on from its own end and gains no more than this in log likelihood was at a maximum.
STILL_CLIMBING = 1e-6
# How many of the years that a model fits worst are left out in turn, beside the first and the last.
INFLUENCE_TRIES = 3
# With more of the levels on one side of a line, the line does not describe them.
ONE_SIDED = 0.9
# An estimate this near to a bound counts as held by it.
BOUND_REACH = 1e-3
# What a likelihood may fall by, in -2 log, inside a 95 % set of one parameter.
LIKELIHOOD_REACH = float(stats.chi2.ppf(0.95, 1))

# [horizons], [probabilities] -> log levels [horizon x probability]
LogQuantiles = Callable[[np.ndarray, np.ndarray], np.ndarray]


class CannotFit(Exception):
    """A model does not suit a series; the message says why in words a reader understands."""


@dataclass(frozen=True)
class Fit:
    """One model fitted to one series.

    `growth_pct` is the model's growth a year, with its 95 % interval (None where the model fixes
    growth by assumption or has no interval). The next year's median may lie elsewhere: a fitted line
    does not start from the last value. `log_quantiles(horizons, probabilities)` gives forecasts on
    the log scale [horizon x probability]. `residuals` are log one-step or fit errors by year,
    `fitted` the levels that they are measured from. `notes` are further estimates by name.
    """

    model: str
    levels: pd.Series
    growth_pct: float
    growth_lo95: float | None
    growth_hi95: float | None
    log_slope: float
    residuals: pd.Series
    fitted: pd.Series
    log_quantiles: LogQuantiles
    findings: tuple[str, ...] = ()
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def years(self) -> list[int]:
        """The years of the sample."""
        return [int(year) for year in self.levels.index]

    def quantiles(self, last_year: int, probabilities: list[float]) -> pd.DataFrame:
        """Forecast levels, one row a year up to `last_year`, one column a probability."""
        years = np.arange(self.years[-1] + 1, last_year + 1)
        values = np.empty((0, len(probabilities)))
        if len(years):
            values = np.exp(self.log_quantiles(years - self.years[-1], np.asarray(probabilities)))
        return pd.DataFrame(values, index=pd.Index(years, name="year"), columns=probabilities)


def _growth(log_growth: float) -> float:
    return math.expm1(log_growth) * 100


def _spread_about(
    forecast: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], degrees: float = math.inf
) -> LogQuantiles:
    """Quantiles of a normal forecast, or a Student one with so many `degrees` of freedom.

    `forecast(horizons)` gives log location and spread.
    """

    @lru_cache(maxsize=4)  # the combination asks again for what its members have forecast
    def remembered(horizons: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        return forecast(np.array(horizons))

    def log_quantiles(horizons: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        location, spread = remembered(tuple(int(h) for h in horizons))
        scores = _scores(np.asarray(probabilities, dtype=float).tobytes(), degrees)
        return np.asarray(location)[:, None] + np.asarray(spread)[:, None] * scores[None, :]

    return log_quantiles


@lru_cache(maxsize=64)  # simulations ask many models for the same draws
def _scores(probabilities: bytes, degrees: float) -> np.ndarray:
    chances = np.frombuffer(probabilities)
    return stats.t.ppf(chances, degrees) if math.isfinite(degrees) else stats.norm.ppf(chances)


def naive(levels: pd.Series) -> Fit:
    """The last value stays: growth is zero by assumption, its spread grows with the square root of time."""
    log = np.log(levels)
    changes = log.diff().dropna()
    spread = math.sqrt((changes**2).mean())
    return Fit(
        model="naive",
        levels=levels,
        growth_pct=0.0,
        growth_lo95=None,
        growth_hi95=None,
        log_slope=0.0,
        residuals=changes,
        fitted=np.exp(log.shift(1).dropna()),
        log_quantiles=_spread_about(lambda h: (np.full(len(h), log.iloc[-1]), spread * np.sqrt(h))),
    )


def drift(levels: pd.Series) -> Fit:
    """Random walk with drift: average log change (OLS on a constant), forecasts normal.

    The variance h steps ahead is h s2 + h2 se2: the walk and the uncertain drift.
    """
    log = np.log(levels)
    changes = log.diff().dropna()
    result = OLS(changes.to_numpy(), np.ones(len(changes))).fit()
    slope, error, variance = float(result.params[0]), float(result.bse[0]), float(result.scale)
    low, high = result.conf_int(alpha=0.05)[0]
    return Fit(
        model="drift",
        levels=levels,
        growth_pct=_growth(slope),
        growth_lo95=_growth(low),
        growth_hi95=_growth(high),
        log_slope=slope,
        residuals=changes - slope,
        fitted=np.exp((log.shift(1) + slope).dropna()),
        log_quantiles=_spread_about(
            lambda h: (log.iloc[-1] + slope * h, np.sqrt(h * variance + h**2 * error**2))
        ),
    )  # fmt: skip


def newey_west_lags(n: int) -> int:
    """The usual lag length for HAC errors, floor(4 (n/100)^(2/9)).

    >>> newey_west_lags(23)
    2
    """
    return math.floor(4 * (n / 100) ** (2 / 9))


def _line(model: str, levels: pd.Series, design: np.ndarray, ahead: Callable[[np.ndarray], np.ndarray]) -> Fit:
    """OLS of the log level on `design`, whose last column is time; HAC errors, Student forecasts.

    `ahead(horizons)` continues the design. The forecast variance is that of the line and of one
    further error.
    """
    log = np.log(levels)
    result = OLS(log.to_numpy(), design).fit(
        cov_type="HAC", cov_kwds={"maxlags": newey_west_lags(len(log)), "use_correction": True}, use_t=True
    )
    slope = float(result.params[-1])
    low, high = result.conf_int(alpha=0.05)[-1]

    def forecast(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        prediction = result.get_prediction(ahead(h))
        return prediction.predicted_mean, np.sqrt(prediction.var_pred_mean + result.scale)

    return Fit(
        model=model,
        levels=levels,
        growth_pct=_growth(slope),
        growth_lo95=_growth(low),
        growth_hi95=_growth(high),
        log_slope=slope,
        residuals=pd.Series(result.resid, index=log.index),
        fitted=pd.Series(np.exp(result.fittedvalues), index=log.index),
        log_quantiles=_spread_about(forecast, float(result.df_resid)),
    )


def loglinear(levels: pd.Series) -> Fit:
    """OLS of the log level on time; errors robust to heteroskedasticity and autocorrelation (HAC)."""
    time = np.arange(len(levels), dtype=float)
    return _line(
        "loglinear",
        levels,
        np.column_stack([np.ones(len(time)), time]),
        lambda h: np.column_stack([np.ones(len(h)), time[-1] + h]),
    )


def loglinear_ar1(levels: pd.Series) -> Fit:
    """A straight line through the logs whose errors follow one another, AR(1), by iterated GLSAR.

    The last year's distance from the line fades by the estimated autocorrelation each year. The
    interval takes that autocorrelation as known: 95 % is 89 to 64 % in simulations of 23 points, the less
    the nearer it is to one. GLSAR leaves out the first year; near one its line may pass beside all levels.
    """
    log = np.log(levels)
    y, time = log.to_numpy(), np.arange(len(log), dtype=float)
    model = GLSAR(y, np.column_stack([np.ones(len(time)), time]), rho=1)
    result = model.iterative_fit(maxiter=500, rtol=1e-8)
    rho = float(model.rho[0])
    if not result.converged:
        raise CannotFit("the estimate of its autocorrelation did not converge")
    if not abs(rho) < 1:
        raise CannotFit(f"its errors do not fade (autocorrelation {rho:.2f})")
    slope, covariance = float(result.params[1]), np.asarray(result.cov_params())
    low, high = result.conf_int(alpha=0.05)[1]
    last = np.array([1.0, time[-1]])

    def forecast(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ahead, fading = np.column_stack([np.ones(len(h)), time[-1] + h]), rho**h
        location = ahead @ result.params + fading * (y[-1] - last @ result.params)
        reach = ahead - fading[:, None] * last  # how the forecast moves with the parameters
        noise = result.scale * (1 - rho ** (2 * h)) / (1 - rho**2)
        return location, np.sqrt(noise + np.einsum("hi,ij,hj->h", reach, covariance, reach))

    innovations = pd.Series(np.asarray(result.wresid), index=log.index[1:])
    above = float((y > time * slope + float(result.params[0])).mean())
    one_sided = max(above, 1 - above)
    said = f"{100 * one_sided:.0f} % of the levels lie on one side of its line, which does not describe them"
    return Fit(
        model="loglinear_ar1",
        levels=levels,
        growth_pct=_growth(slope),
        growth_lo95=_growth(low),
        growth_hi95=_growth(high),
        log_slope=slope,
        residuals=innovations,
        fitted=np.exp(log.iloc[1:] - innovations),
        log_quantiles=_spread_about(forecast, float(result.df_resid)),
        findings=(said,) if one_sided > ONE_SIDED else (),
        notes={"autocorrelation": rho},
    )


def segmented(levels: pd.Series) -> Fit:
    """Two straight lines through the logs that meet in a break year, chosen by BIC.

    Either side has at least SEGMENT_STEPS yearly steps. Growth is that after the break; its interval
    takes the break as known, so that 95 % is 72 % in simulations of 23 points with a break, and far less
    where there is none. `break_lo95` and `break_hi95` span the years that the likelihood does
    not rule out.
    """
    log = np.log(levels).to_numpy()
    n, time = len(log), np.arange(len(log), dtype=float)

    def design(knot: int, at: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(at)), np.minimum(at - knot, 0), np.maximum(at - knot, 0)])

    candidates = {knot: OLS(log, design(knot, time)).fit() for knot in range(SEGMENT_STEPS, n - SEGMENT_STEPS)}
    # All have as many parameters, so the lowest BIC is the lowest sum of squares.
    misfit = pd.Series({knot: n * math.log(result.ssr / n) for knot, result in candidates.items()})
    knot = int(misfit.idxmin())
    open_knots = misfit.index[misfit - misfit.min() <= LIKELIHOOD_REACH]
    straight = float(OLS(log, np.column_stack([np.ones(n), time])).fit().bic)
    gain = straight - float(candidates[knot].bic) - math.log(n)  # the break year counts as an estimate, too
    years = levels.index
    fit = _line("segmented", levels, design(knot, time), lambda h: design(knot, time[-1] + h))
    found = {
        "break_year": float(years[knot]),
        "break_lo95_year": float(years[open_knots.min()]),
        "break_hi95_year": float(years[open_knots.max()]),
        "growth_before": _growth(float(candidates[knot].params[1])),
        "bic_gain": float(gain),
    }
    findings = () if gain > 0 else ("a straight line has the better BIC, so the break is not shown to be there",)
    return replace(fit, notes=found, findings=findings)


def damped_trend(levels: pd.Series) -> Fit:
    """Exponential smoothing ETS(A,Ad,N) on logs: today's growth carries on but fades each year.

    The growth interval comes from the delta method over the estimated parameters; forecasts are
    normal with the model's exact variance and take the parameters as known. Both are too narrow:
    in simulations of 23 points the 95 % growth interval holds the truth a quarter to half the time.
    From one start the search ends beside the maximum in a third of short samples, so it is made from
    several (SMOOTHING_STARTS).
    """
    log = np.log(levels)
    model = ETSModel(log.reset_index(drop=True), error="add", trend="add", damped_trend=True)
    begin = np.asarray(model.start_params, dtype=float)
    search = partial(model.fit, disp=False, epsilon=SLOPE_STEP)
    with warnings.catch_warnings():
        # Starts that lose may end anywhere, and where differs between processors; the best end is judged below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = [search(return_params=True)]
        for level, trend, damp in SMOOTHING_STARTS:
            begin[:3] = level, trend, damp
            found.append(search(start_params=begin.copy(), return_params=True))
        best = max(found, key=model.loglike)
        result = search(start_params=best)
    if result.llf - model.loglike(best) > STILL_CLIMBING:  # else it began at its end, which is a maximum
        _refuse_unconverged(result)
    parameters = np.asarray(result.params)
    names = list(result.model.param_names)
    damping = names.index("damping_trend")

    def next_growth(values: np.ndarray) -> float:
        _, states = model.smooth(values, return_raw=True)
        return float(values[damping] * np.asarray(states)[-1, 1])

    slope = next_growth(parameters)
    gradient = np.atleast_1d(approx_fprime(parameters, next_growth, centered=True))
    variance = float(gradient @ np.asarray(result.cov_params()) @ gradient)
    reach = stats.norm.ppf(0.975) * math.sqrt(variance) if variance > 0 else math.nan

    def forecast(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        steps = int(np.max(h))
        prediction = result.get_prediction(start=len(log), end=len(log) + steps - 1)
        mean = np.asarray(prediction.predicted_mean)
        spread = np.sqrt(np.asarray(prediction.forecast_variance))
        return mean[h - 1], spread[h - 1]

    return Fit(
        model="damped_trend",
        levels=levels,
        growth_pct=_growth(slope),
        growth_lo95=_growth(slope - reach) if math.isfinite(reach) else None,
        growth_hi95=_growth(slope + reach) if math.isfinite(reach) else None,
        log_slope=slope,
        residuals=pd.Series(np.asarray(result.resid), index=log.index),
        fitted=pd.Series(np.exp(np.asarray(result.fittedvalues)), index=log.index),
        log_quantiles=_spread_about(forecast),
        findings=_at_bounds(dict(zip(names, parameters, strict=True))),
        notes={"damping": float(parameters[damping])},
    )


def _refuse_unconverged(result: Any) -> None:
    """Raise CannotFit where a numerical search did not end at a maximum."""
    if not result.mle_retvals["converged"] or not np.all(np.isfinite(result.params)):
        raise CannotFit("the search for its parameters did not converge")


# statsmodels keeps the damping between these; the trend's smoothing cannot exceed the level's.
DAMPING_BOUNDS = (0.8, 0.98)


def _at_bounds(parameters: dict[str, float]) -> tuple[str, ...]:
    """A finding where an estimate sits on its bound, which leaves the growth interval without basis."""
    damping = parameters["damping_trend"]
    held = [f"damping {bound:g}" for bound in DAMPING_BOUNDS if abs(damping - bound) < BOUND_REACH]
    if parameters["smoothing_level"] - parameters["smoothing_trend"] < BOUND_REACH:
        held.append("smoothing of the trend as fast as of the level")
    if not held:
        return ()
    return (f"estimates at their bounds ({', '.join(held)}): the growth interval has no firm basis",)


def local_linear(levels: pd.Series) -> Fit:
    """A level and a slope that both wander, plus noise (structural time series, exact diffuse start).

    The search starts from three equal variances; statsmodels' own start ends beside the maximum in some
    short samples.

    Growth is the smoothed slope of the last year, its interval the slope's own uncertainty; interval
    and forecasts take the three variances as known, so that in simulations of 23 points of its own
    process 95 % of growth is 77 %, and 80 % of forecasts 69 %.
    """
    log = np.log(levels)
    model = UnobservedComponents(log.to_numpy(), "lltrend", use_exact_diffuse=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # acted upon in the next lines
        result = model.fit(disp=False, cov_type="none", start_params=np.full(3, np.var(np.diff(log)) / 3))
        if not result.mle_retvals["converged"]:  # Powell's search needs no slopes, but is less exact
            again = model.fit(disp=False, cov_type="none", method="powell", start_params=result.params, maxiter=2000)
            if again.llf - result.llf > STILL_CLIMBING:
                _refuse_unconverged(again)
                result = again
    slope = float(result.smoothed_state[1, -1])
    reach = stats.norm.ppf(0.975) * math.sqrt(max(result.smoothed_state_cov[1, 1, -1], 0.0))

    def forecast(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ahead = result.get_forecast(int(np.max(h)))
        return np.asarray(ahead.predicted_mean)[h - 1], np.sqrt(np.asarray(ahead.var_pred_mean))[h - 1]

    # The first two years only place level and slope; they leave no error.
    errors = pd.Series(np.asarray(result.resid), index=log.index).iloc[2:]
    variances = dict(zip(model.param_names, np.asarray(result.params), strict=True))
    still = [
        words
        for name, words in (("sigma2.level", "level"), ("sigma2.trend", "slope"), ("sigma2.irregular", "noise"))
        if variances[name] < BOUND_REACH * sum(variances.values())
    ]
    return Fit(
        model="local_linear",
        levels=levels,
        growth_pct=_growth(slope),
        growth_lo95=_growth(slope - reach),
        growth_hi95=_growth(slope + reach),
        log_slope=slope,
        residuals=errors,
        fitted=np.exp(log.iloc[2:] - errors),
        log_quantiles=_spread_about(forecast),
        findings=(f"estimated variance of nought: {', '.join(still)}",) if still else (),
    )


def combination(levels: pd.Series) -> Fit:
    """The median over the other models but naive: of growth, of its interval's ends, of each level quantile.

    A model that cannot be fitted is left out; at least three must remain.
    """
    fits, refused = {}, []
    for model in MODELS:
        if model not in ("naive", "combination"):
            try:
                fits[model] = fit(model, levels)
            except CannotFit:
                refused.append(model)
    if len(fits) < 3:
        raise CannotFit(f"only {len(fits)} models are left to combine")
    growth = float(np.median([result.growth_pct for result in fits.values()]))
    low = [result.growth_lo95 for result in fits.values() if result.growth_lo95 is not None]
    high = [result.growth_hi95 for result in fits.values() if result.growth_hi95 is not None]
    whole = len(low) == len(high) == len(fits)  # medians over different members might lie the wrong way round
    first = max(result.fitted.index[0] for result in fits.values())
    middle = np.median([result.fitted.loc[first:].to_numpy() for result in fits.values()], axis=0)
    fitted = pd.Series(middle, index=levels.loc[first:].index)
    return Fit(
        model="combination",
        levels=levels,
        growth_pct=growth,
        growth_lo95=float(np.median(low)) if whole else None,
        growth_hi95=float(np.median(high)) if whole else None,
        log_slope=math.log1p(growth / 100),
        residuals=np.log(levels[fitted.index] / fitted),
        fitted=fitted,
        log_quantiles=lambda h, p: np.log(
            np.median([np.exp(result.log_quantiles(h, p)) for result in fits.values()], axis=0)
        ),
        findings=(f"without {', '.join(MODEL_WORDS[model] for model in refused)}",) if refused else (),
    )


GROWTH_WORDS = {
    "naive": "growth a year, nought by assumption",
    "drift": "average growth a year",
    "loglinear": "growth a year along the fitted line",
    "loglinear_ar1": "growth a year along the line with autocorrelated errors",
    "segmented": "growth a year after the break",
    "damped_trend": "growth a year of the smoothed trend, which fades from the next year on",
    "local_linear": "growth a year of the wandering trend in its last year",
    "combination": "median growth a year of the models but naive",
}

MODELS: dict[str, Callable[[pd.Series], Fit]] = {
    "naive": naive,
    "drift": drift,
    "loglinear": loglinear,
    "loglinear_ar1": loglinear_ar1,
    "segmented": segmented,
    "damped_trend": damped_trend,
    "local_linear": local_linear,
    "combination": combination,
}


def usable(levels: pd.Series) -> pd.Series:
    """`levels` by year, or CannotFit with the reason in words."""
    years, values = levels.index.to_numpy(), levels.to_numpy(dtype=float)
    if len(years) < MIN_YEARS:
        raise CannotFit(f"the series has {len(years)} years, and at least {MIN_YEARS} are needed")
    if (np.diff(years) != 1).any():
        raise CannotFit("the series has a gap between its years")
    if not ((values > 0) & np.isfinite(values)).all():
        raise CannotFit("the series has levels that are not finite and above zero, which have no logarithm")
    if (values == values[0]).all():
        raise CannotFit("the series is constant, so it has no spread to estimate")
    return levels


def fit(model: str, levels: pd.Series) -> Fit:
    """Fit `model` to `levels` [year -> level]; warnings of statsmodels become findings.

    The same series is fitted once and then remembered, until `forget`. Raises CannotFit with a sentence where the
    model does not suit the series.
    """
    checked = usable(levels)
    return _fit(model, int(checked.index[0]), checked.to_numpy(dtype=float).tobytes())


@lru_cache(maxsize=8192)
def _fit(model: str, first_year: int, values: bytes) -> Fit:
    array = np.frombuffer(values)
    levels = pd.Series(array.copy(), index=range(first_year, first_year + len(array)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = MODELS[model](levels)
        except (np.linalg.LinAlgError, ValueError, FloatingPointError) as problem:
            raise CannotFit(f"the fit failed ({problem})") from problem
    warned = dict.fromkeys(f"{item.category.__name__}: {item.message}" for item in caught)
    return replace(result, findings=(*result.findings, *warned))


def forget() -> None:
    """Give back the memory of what was fitted, some 30 kB a fit."""
    _fit.cache_clear()


def fit_all(levels: pd.Series) -> tuple[dict[str, Fit], dict[str, str]]:
    """Every model fitted, and for those that could not be, the reason."""
    fits, refused = {}, {}
    for model in MODELS:
        try:
            fits[model] = fit(model, levels)
        except CannotFit as reason:
            refused[model] = str(reason)
    return fits, refused


def without(levels: pd.Series, year: int) -> pd.Series:
    """`levels` as if `year` were not known: an end is cut off, an inner year bridged on the log scale.

    >>> without(pd.Series([1.0, 5.0, 4.0], index=[2001, 2002, 2003]), 2002).round(6).to_list()
    [1.0, 2.0, 4.0]
    """
    if year in (levels.index[0], levels.index[-1]):
        return levels.drop(year)
    bridged = levels.astype(float).copy()
    bridged[year] = math.sqrt(levels[year - 1] * levels[year + 1])
    return bridged


def influence(result: Fit) -> pd.Series:
    """Growth a year [%] that the model finds without one year.

    Tried are the first and the last year and the INFLUENCE_TRIES that the model fits worst; a year
    without which it cannot be fitted is left out.
    """
    worst = result.residuals.abs().nlargest(INFLUENCE_TRIES).index
    found = {}
    for year in sorted({result.years[0], result.years[-1], *(int(year) for year in worst)}):
        try:
            found[year] = fit(result.model, without(result.levels, year)).growth_pct
        except CannotFit:
            continue
    return pd.Series(found, dtype=float)


def residual_checks(result: Fit) -> dict[str, float]:
    """Autocorrelation (Durbin-Watson, Ljung-Box), normality (Jarque-Bera), largest miss, influence.

    Ljung-Box looks at min(5, n // 4) lags. p-values from so few points are a hint, not a verdict. The
    most influential year is the one of those tried (see `influence`) without which growth changes most.
    """
    residuals = result.residuals
    lags = max(1, min(5, len(residuals) // 4))
    largest = residuals.abs().idxmax()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where nothing is left over, tests have no value
        checks = {
            "residual_spread": float(np.sqrt((residuals**2).mean())),
            "durbin_watson": float(durbin_watson(residuals)),
            "ljung_box_p": float(acorr_ljungbox(residuals, lags=[lags])["lb_pvalue"].iloc[0]),
            "jarque_bera_p": float(jarque_bera(residuals)[1]),
            "largest_residual": float(residuals[largest]),
            "largest_residual_year": float(largest),
        }
    left_out = influence(result)
    if result.model != "naive" and len(left_out):
        year = (left_out - result.growth_pct).abs().idxmax()
        checks["influential_year"] = float(year)
        checks["growth_without_it"] = float(left_out[year])
    return checks


CHECKS = (
    *("residual_spread", "durbin_watson", "ljung_box_p", "jarque_bera_p", "largest_residual"),
    *("largest_residual_year", "influential_year", "growth_without_it"),
)

# How the checks and the models' own parameters are told.
MEASURE_WORDS = {
    "residual_spread": "standard deviation of the residuals, log",
    "durbin_watson": "Durbin-Watson statistic of the residuals",
    "ljung_box_p": "Ljung-Box p-value of the residuals",
    "jarque_bera_p": "Jarque-Bera p-value of the residuals",
    "largest_residual": "largest residual, log",
    "largest_residual_year": "year of the largest residual",
    "influential_year": "year without which growth changes most",
    "growth_without_it": "growth without the most influential year",
    "autocorrelation": "autocorrelation of the errors",
    "damping": "damping of growth a year",
    "break_year": "year of the break",
    "break_lo95_year": "first year of the 95 % interval of the break",
    "break_hi95_year": "last year of the 95 % interval of the break",
    "growth_before": "growth before the break",
    "bic_gain": "gain in BIC over one line",
}


def trend_table(
    fits: dict[str, Fit], refused: dict[str, str], subject: Subject, with_checks: bool = True
) -> pd.DataFrame:
    """One row a model: sample, growth with its interval, break, checks, and why one is missing."""
    rows = []
    for model in MODELS:
        row: dict[str, Any] = {"series": subject.name, "basis": subject.basis, "model": model}
        if model in fits:
            result = fits[model]
            row |= {
                "first_year": result.years[0],
                "last_year": result.years[-1],
                "growth_pct_a_year": result.growth_pct,
                "growth_lo95_pct": result.growth_lo95,
                "growth_hi95_pct": result.growth_hi95,
                "break_year": result.notes.get("break_year"),
                **(residual_checks(result) if with_checks else {}),
                "remark": "; ".join(result.findings),
            }
        else:
            row["remark"] = f"not fitted: {refused[model]}"
        rows.append(row)
    columns = ["series", "basis", "model", "first_year", "last_year", "growth_pct_a_year", "growth_lo95_pct"]
    columns += ["growth_hi95_pct", "break_year", *(CHECKS if with_checks else ()), "remark"]
    table = pd.DataFrame(rows).reindex(columns=columns)
    years = [column for column in columns if column.endswith("_year") and column != "growth_pct_a_year"]
    numbers = [column for column in columns[5:-1] if column not in years]
    return table.astype({**dict.fromkeys(years, "Int64"), **dict.fromkeys(numbers, float)})


def growth_by_basis(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The trend tables of several bases in one."""
    return pd.concat(list(tables.values()), ignore_index=True)


def trend_quantities(fits: dict[str, Fit], table: pd.DataFrame, subject: Subject, known: Quantities) -> Quantities:
    """Growth, interval, log slope and the checks of `table` for every fit, as named numbers.

    `known` holds the levels the fits rest on (`subject.keys`).
    """
    q = Quantities(known.edition, known.values())
    checks = table.set_index("model")
    inputs = [subject.sample(q, "trend")]
    for model, result in fits.items():
        first, last = result.years[0], result.years[-1]
        method = f"anime_growth.trends.{model}"
        base, said = f"trend.{subject.slug}.{model}", f"{MODEL_WORDS[model]}, {subject.words} {first}-{last}"

        def add(measure: str, value: float | None, unit: units.Unit, label: str, digits: int | None = None) -> None:
            if value is not None and not pd.isna(value):
                q.record(f"{base}.{measure}", value, unit, f"{label}: {said}", method, inputs, digits)  # noqa: B023

        add("growth", result.growth_pct, units.PERCENT_A_YEAR, GROWTH_WORDS[model])
        add("growth_lo95", result.growth_lo95, units.PERCENT_A_YEAR, "lower end of the 95 % interval of growth")
        add("growth_hi95", result.growth_hi95, units.PERCENT_A_YEAR, "upper end of the 95 % interval of growth")
        add("log_slope", result.log_slope, units.RATIO, f"{GROWTH_WORDS[model]}, log", 4)
        add("years", len(result.years), units.COUNT, "years in the sample")
        found = {name: checks.loc[model, name] for name in CHECKS if name in checks}
        for measure, value in {**found, **result.notes}.items():
            unit = units.YEAR if measure.endswith("year") else units.RATIO
            unit = units.PERCENT_A_YEAR if measure.startswith("growth") else unit
            add(measure, value, unit, MEASURE_WORDS[measure])
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])
