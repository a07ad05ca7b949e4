"""Simple trend models of one annual series, behind one small interface.

All models work on the natural logarithm of the level and return forecasts as a location and a
spread on that scale; quantiles go back to levels through exp, so the 50 % quantile is a median.
statsmodels does the fitting. 23 points are few: every interval here is wide for a reason.

Assumes: years follow one another without a gap, levels are above zero, at least MIN_YEARS of them.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.stats.stattools import durbin_watson, jarque_bera
from statsmodels.tools.numdiff import approx_fprime
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from anime_growth import units
from anime_growth.errors import InputError
from anime_growth.quantities import MODEL_WORDS, SERIES_WORDS, Quantities

MIN_YEARS = 8
# An estimate this near to a bound counts as held by it.
BOUND_REACH = 1e-3


class CannotFit(Exception):
    """A model does not suit a series; the message says why in words a reader understands."""


@dataclass(frozen=True)
class Fit:
    """One model fitted to one series.

    `growth_pct` is the model's growth a year (average change, slope of the line, slope of the
    smoothed trend), with its 95 % interval (None where the model fixes growth by assumption). The
    next year's median may lie elsewhere: a fitted line does not start from the last value.
    `forecast(horizons)` gives log location and spread [horizon -> (location, spread)]; `degrees` is
    the Student degrees of freedom of the forecast, infinite for a normal one. `residuals` are log
    one-step or fit errors by year.
    """

    model: str
    levels: pd.Series
    growth_pct: float
    growth_lo95: float | None
    growth_hi95: float | None
    log_slope: float
    residuals: pd.Series
    forecast: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    degrees: float = math.inf
    fitted: pd.Series | None = None
    findings: tuple[str, ...] = ()
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def years(self) -> list[int]:
        """The years of the sample."""
        return [int(year) for year in self.levels.index]

    def quantiles(self, last_year: int, probabilities: list[float]) -> pd.DataFrame:
        """Forecast levels, one row a year up to `last_year`, one column a probability."""
        years = np.arange(self.years[-1] + 1, last_year + 1)
        if not len(years):
            return pd.DataFrame(index=pd.Index(years, name="year"), columns=probabilities, dtype=float)
        location, spread = self.forecast(years - self.years[-1])
        scores = (
            stats.t.ppf(probabilities, self.degrees) if math.isfinite(self.degrees) else stats.norm.ppf(probabilities)
        )
        values = np.exp(location[:, None] + spread[:, None] * scores[None, :])
        return pd.DataFrame(values, index=pd.Index(years, name="year"), columns=probabilities)


def _growth(log_growth: float) -> float:
    return math.expm1(log_growth) * 100


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
        forecast=lambda h: (np.full(len(h), log.iloc[-1]), spread * np.sqrt(h)),
        fitted=np.exp(log.shift(1).dropna()),
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
        forecast=lambda h: (log.iloc[-1] + slope * h, np.sqrt(h * variance + h**2 * error**2)),
        fitted=np.exp((log.shift(1) + slope).dropna()),
    )


def newey_west_lags(n: int) -> int:
    """The usual lag length for HAC errors, floor(4 (n/100)^(2/9)).

    >>> newey_west_lags(23)
    2
    """
    return math.floor(4 * (n / 100) ** (2 / 9))


def loglinear(levels: pd.Series) -> Fit:
    """OLS of the log level on time; errors robust to heteroskedasticity and autocorrelation (HAC)."""
    log = np.log(levels)
    time = np.arange(len(log), dtype=float)
    design = np.column_stack([np.ones(len(log)), time])
    result = OLS(log.to_numpy(), design).fit(
        cov_type="HAC", cov_kwds={"maxlags": newey_west_lags(len(log)), "use_correction": True}, use_t=True
    )
    slope = float(result.params[1])
    low, high = result.conf_int(alpha=0.05)[1]

    def forecast(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ahead = np.column_stack([np.ones(len(h)), time[-1] + h])
        prediction = result.get_prediction(ahead)
        return prediction.predicted_mean, np.sqrt(prediction.var_pred_mean + result.scale)

    return Fit(
        model="loglinear",
        levels=levels,
        growth_pct=_growth(slope),
        growth_lo95=_growth(low),
        growth_hi95=_growth(high),
        log_slope=slope,
        residuals=pd.Series(result.resid, index=log.index),
        forecast=forecast,
        degrees=float(result.df_resid),
        fitted=pd.Series(np.exp(result.fittedvalues), index=log.index),
    )


def damped_trend(levels: pd.Series) -> Fit:
    """Exponential smoothing ETS(A,Ad,N) on logs: today's growth carries on but fades each year.

    The growth interval comes from the delta method over the estimated parameters; forecasts are
    normal with the model's exact variance and take the parameters as known. Both are too narrow:
    in simulations of 23 points the 95 % growth interval holds the truth about half the time.
    """
    log = np.log(levels)
    model = ETSModel(log.reset_index(drop=True), error="add", trend="add", damped_trend=True)
    result = model.fit(disp=False)
    if not np.all(np.isfinite(result.params)):
        raise CannotFit("its smoothing parameters did not converge")
    names = list(result.model.param_names)
    damping = names.index("damping_trend")

    def next_growth(parameters: np.ndarray) -> float:
        states = np.asarray(model.smooth(parameters).states)
        return float(parameters[damping] * states[-1, 1])

    slope = next_growth(np.asarray(result.params))
    gradient = np.atleast_1d(approx_fprime(np.asarray(result.params), next_growth, centered=True))
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
        forecast=forecast,
        fitted=pd.Series(np.exp(np.asarray(result.fittedvalues)), index=log.index),
        findings=_at_bounds(dict(zip(names, np.asarray(result.params), strict=True))),
        notes={"damping": float(result.params[damping])},
    )


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


GROWTH_WORDS = {
    "naive": "growth a year, nought by assumption",
    "drift": "average growth a year",
    "loglinear": "growth a year along the fitted line",
    "damped_trend": "growth a year of the smoothed trend, which fades from the next year on",
}

MODELS: dict[str, Callable[[pd.Series], Fit]] = {
    "naive": naive,
    "drift": drift,
    "loglinear": loglinear,
    "damped_trend": damped_trend,
}


def usable(levels: pd.Series) -> pd.Series:
    """`levels` by year, or CannotFit with the reason in words."""
    years = list(levels.index)
    if len(years) < MIN_YEARS:
        raise CannotFit(f"the series has {len(years)} years, and at least {MIN_YEARS} are needed")
    if years != list(range(years[0], years[-1] + 1)):
        raise CannotFit("the series has a gap between its years")
    if not ((levels > 0) & np.isfinite(levels)).all():
        raise CannotFit("the series has levels that are not finite and above zero, which have no logarithm")
    if levels.nunique() == 1:
        raise CannotFit("the series is constant, so it has no spread to estimate")
    return levels.astype(float)


def fit(model: str, levels: pd.Series) -> Fit:
    """Fit `model` to `levels` [year -> level]; warnings of statsmodels become findings.

    Raises CannotFit with a sentence where the model does not suit the series.
    """
    checked = usable(levels)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = MODELS[model](checked)
        except (np.linalg.LinAlgError, ValueError, FloatingPointError) as problem:
            raise CannotFit(f"the fit failed ({problem})") from problem
    warned = dict.fromkeys(f"{item.category.__name__}: {item.message}" for item in caught)
    return replace(result, findings=(*result.findings, *warned))


def fit_all(levels: pd.Series) -> tuple[dict[str, Fit], dict[str, str]]:
    """Every model fitted, and for those that could not be, the reason."""
    fits, refused = {}, {}
    for model in MODELS:
        try:
            fits[model] = fit(model, levels)
        except CannotFit as reason:
            refused[model] = str(reason)
    return fits, refused


def residual_checks(result: Fit) -> dict[str, float]:
    """Autocorrelation (Durbin-Watson, Ljung-Box), normality (Jarque-Bera), largest miss.

    Ljung-Box looks at min(5, n // 4) lags. p-values from so few points are a hint, not a verdict.
    """
    residuals = result.residuals
    lags = min(5, len(residuals) // 4)
    ljung_box = acorr_ljungbox(residuals, lags=[lags])["lb_pvalue"].iloc[0]
    largest = residuals.abs().idxmax()
    return {
        "residual_spread": float(np.sqrt((residuals**2).mean())),
        "durbin_watson": float(durbin_watson(residuals)),
        "ljung_box_p": float(ljung_box),
        "jarque_bera_p": float(jarque_bera(residuals)[1]),
        "largest_residual": float(residuals[largest]),
        "largest_residual_year": float(largest),
    }


def sample(market: pd.DataFrame, start_year: int, series: str = "overseas") -> pd.Series:
    """Levels [JPY 100m by year] of `series` from `start_year` on, in the last run without a gap.

    Raises InputError where `start_year` cuts a series that is long enough below MIN_YEARS.
    """
    levels = market[market["series"] == series].set_index("year")["level_jpy_100m"].sort_index()
    breaks = np.flatnonzero(np.diff(levels.index.to_numpy()) > 1)
    run = levels.iloc[breaks[-1] + 1 :] if len(breaks) else levels
    kept = run[run.index >= start_year]
    if len(kept) < MIN_YEARS <= len(run):
        raise InputError(
            "parameter start_year",
            f"{start_year} leaves {len(kept)} of {len(run)} years, and at least {MIN_YEARS} are needed",
            f"Choose {run.index[-MIN_YEARS]} or earlier",
        )
    return kept


def trend_quantities(fits: dict[str, Fit], known: Quantities, series: str = "overseas") -> Quantities:
    """Growth, interval, log slope and residual checks of every fit, as named numbers.

    `known` holds the levels the fits rest on (`market.<series>.level.<year>`).
    """
    q = Quantities(known.edition, known.values())
    words = SERIES_WORDS[f"market.{series}"]
    for model, result in fits.items():
        first, last = result.years[0], result.years[-1]
        inputs = [f"market.{series}.level.{year}" for year in result.years]
        method = f"anime_growth.trends.{model}"
        base, said = f"trend.{series}.{model}", f"{MODEL_WORDS[model]}, {words} {first}-{last}"

        def add(measure: str, value: float | None, unit: units.Unit, label: str, digits: int | None = None) -> None:
            if value is not None:
                q.record(f"{base}.{measure}", value, unit, f"{label}: {said}", method, inputs, digits)  # noqa: B023

        add("growth", result.growth_pct, units.PERCENT_A_YEAR, GROWTH_WORDS[model])
        add("growth_lo95", result.growth_lo95, units.PERCENT_A_YEAR, "lower end of the 95 % interval of growth")
        add("growth_hi95", result.growth_hi95, units.PERCENT_A_YEAR, "upper end of the 95 % interval of growth")
        add("log_slope", result.log_slope, units.RATIO, f"{GROWTH_WORDS[model]}, log", 4)
        add("years", len(result.years), units.COUNT, "years in the sample")
        for measure, value in residual_checks(result).items():
            unit = units.YEAR if measure.endswith("year") else units.RATIO
            add(measure, value, unit, measure.replace("_", " "))
        for measure, value in result.notes.items():
            add(measure, value, units.RATIO, measure)
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])


def trend_table(fits: dict[str, Fit], refused: dict[str, str]) -> pd.DataFrame:
    """One row a model: sample, growth with its interval, residual checks, and why it is missing."""
    rows = []
    for model in MODELS:
        if model in fits:
            result = fits[model]
            rows.append(
                {
                    "model": model,
                    "first_year": result.years[0],
                    "last_year": result.years[-1],
                    "growth_pct_a_year": result.growth_pct,
                    "growth_lo95_pct": result.growth_lo95,
                    "growth_hi95_pct": result.growth_hi95,
                    **residual_checks(result),
                    "remark": "; ".join(result.findings),
                }
            )
        else:
            rows.append({"model": model, "remark": f"not fitted: {refused[model]}"})
    return pd.DataFrame(rows).astype({"first_year": "Int64", "last_year": "Int64"}) if fits else pd.DataFrame(rows)
