"""How well each model would have forecast the past: rolling origin, expanding window, the same for all.

Judgements made here, and why
-----------------------------
- A forecast is its median; errors are measured on the log scale (scale-free, an error of 0.1 is about
  10 %) and, for MASE, on levels against the naive changes that the model had seen.
- RMSLE is the root of the mean squared difference of natural logarithms, without adding one.
- Interval scores are Winkler's (Gneiting and Raftery 2007) on the log scale: width, plus 2/alpha
  times what an outcome lies outside.
- Forecasts from neighbouring origins overlap and few are at hand, so a test of coverage is a hint; an
  interval is called too narrow where so few hits, or fewer, have a chance below 5 % if it were honest.
- The empirical interval is split conformal: the k-th smallest absolute log error of past forecasts as
  far ahead, k = ceil((n + 1) 0.8), on either side of the median. It assumes that errors to come are
  like those seen, needs at least four of them, and cannot be given for 95 % with fewer than 19. It is as
  wide above as below although past errors may all lie on one side (`above` says how many).
"""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import binom_test

from anime_growth import trends, units
from anime_growth.quantities import MODEL_WORDS, Quantities
from anime_growth.series import LATER_STARTS, MIN_YEARS, Subject
from anime_growth.words import counted

# Horizons that are scored; the empirical interval goes as far as errors reach.
HORIZONS = range(1, 6)
COVERAGES = {"80": 0.80, "95": 0.95}
PROBABILITIES = np.array([0.025, 0.10, 0.50, 0.90, 0.975])
UNLIKELY = 0.05
# A mean log error below this is the rounding of binary arithmetic: the forecasts have no error to be measured by.
NO_ERROR = 1e-9
# With fewer forecasts coverage is not judged.
FEWEST_JUDGED = 5
COLUMNS = ["model", "origin", "horizon", "year", "level", "median", "lo80", "hi80", "lo95", "hi95", "naive_change"]
COLUMNS.append("has_finding")
TOO_NARROW, NOT_SHOWN, TOO_FEW = "too narrow", "not shown to be too narrow", "too few to judge"


def forecasts(levels: pd.Series) -> pd.DataFrame:
    """Every forecast that the models would have made: a row a model, origin and horizon.

    An origin is the last year of a window that starts with the series and has at least MIN_YEARS
    years. Columns: model, origin, horizon, year, level, median, lo80, hi80, lo95, hi95 [unit of levels],
    naive_change (mean absolute change inside the window, same unit). A model that refuses a window has
    no row for it.
    """
    found: dict[str, list[np.ndarray]] = {column: [] for column in COLUMNS}
    for count in range(MIN_YEARS, len(levels)):
        window, ahead = levels.iloc[:count], levels.iloc[count:]
        fits, _ = trends.fit_all(window)
        horizons = np.arange(1, len(ahead) + 1)
        for model, fit in fits.items():
            values = np.exp(fit.log_quantiles(horizons, PROBABILITIES))
            for column, content in (
                ("model", model), ("origin", fit.years[-1]), ("horizon", horizons), ("year", ahead.index.to_numpy()),
                ("level", ahead.to_numpy()), ("naive_change", float(window.diff().abs().mean())),
                ("has_finding", bool(fit.findings)),
                *zip(("lo95", "lo80", "median", "hi80", "hi95"), values.T, strict=True),
            ):  # fmt: skip
                found[column].append(np.broadcast_to(content, horizons.shape))
    return pd.DataFrame({column: np.concatenate(parts) if parts else [] for column, parts in found.items()})


def all_forecasts(levels: pd.Series) -> pd.DataFrame:
    """Forecasts of the whole sample and of samples that start in LATER_STARTS, marked in `sample_first`."""
    starts = [int(levels.index[0]), *(year for year in LATER_STARTS if year > levels.index[0])] if len(levels) else []
    parts = [forecasts(levels[levels.index >= year]).assign(sample_first=year) for year in starts]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else forecasts(levels).assign(sample_first=0)


def interval_score(level: pd.Series, low: pd.Series, high: pd.Series, coverage: float) -> pd.Series:
    """Winkler's score of an interval on the log scale: its width, plus 2/alpha for what lies outside.

    >>> one = pd.Series([1.0])
    >>> round(float(interval_score(one * 12, one * 8, one * 10, 0.8).iloc[0]), 4)  # 0.2231 + 10 * 0.1823
    2.0464
    """
    y, lo, hi = np.log(level), np.log(low), np.log(high)
    return (hi - lo) + 2 / (1 - coverage) * ((lo - y).clip(lower=0) + (y - hi).clip(lower=0))


def scored(made: pd.DataFrame) -> pd.DataFrame:
    """Each forecast with its errors: log_error, scaled_error, and for 80 and 95 % hit and interval score."""
    made = made.assign(
        log_error=np.log(made["level"].astype(float)) - np.log(made["median"].astype(float)),
        scaled_error=(made["level"] - made["median"]).abs() / made["naive_change"],
    )
    for name, coverage in COVERAGES.items():
        low, high = made[f"lo{name}"], made[f"hi{name}"]
        made[f"hit{name}"] = (low <= made["level"]) & (made["level"] <= high)
        made[f"score{name}"] = interval_score(made["level"], low, high, coverage)
    return made


def scores(made: pd.DataFrame) -> pd.DataFrame:
    """Scores of each model, horizon and set of forecasts, beside naive's and drift's.

    Sets (`windows`): `all`; `sample_from_<year>`, whose windows start then; `origins_from_<year>`, whose
    windows start with the series but end then or later. Columns: forecasts, mase, rmsle, male (mean
    absolute log error), cover80, cover95 [%], interval_score, interval_score95, narrow80, narrow95
    (words), above [% of outcomes above the median], with_findings (forecasts whose fit had a remark), and
    male_to_naive, male_to_drift: the ratio of errors over the windows that both forecast; none where the
    other has no error.
    """
    parts = []
    for windows, part in _sets(scored(made[made["horizon"].isin(list(HORIZONS))])):
        parts.append(_score(part).assign(windows=windows))
    columns = [
        *("windows", "model", "horizon", "forecasts", "mase", "rmsle", "male", "male_to_naive", "male_to_drift"),
        *("cover80", "cover95", "narrow80", "narrow95", "interval_score", "interval_score95", "above"),
        "with_findings",
    ]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _sets(judged: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    if judged.empty:
        return
    first = judged["sample_first"].min()
    whole = judged[judged["sample_first"] == first]
    yield "all", whole
    for year in LATER_STARTS:
        if year > whole["origin"].min():
            yield f"origins_from_{year}", whole[whole["origin"] >= year]
        if (judged["sample_first"] == year).any() and year > first:
            yield f"sample_from_{year}", judged[judged["sample_first"] == year]


def _score(part: pd.DataFrame) -> pd.DataFrame:
    """Scores of every model and horizon of one set, horizons first, models in their order."""
    part = part.assign(size=part["log_error"].abs(), square=part["log_error"] ** 2, is_above=part["log_error"] > 0)
    keys = ["horizon", "model"]
    found = part.groupby(keys).agg(
        forecasts=("size", "size"), mase=("scaled_error", "mean"), rmsle=("square", "mean"), male=("size", "mean"),
        above=("is_above", "mean"), with_findings=("has_finding", "sum"),
        interval_score=("score80", "mean"), interval_score95=("score95", "mean"),
        **{f"hits{name}": (f"hit{name}", "sum") for name in COVERAGES},
    )  # fmt: skip
    found["rmsle"] = np.sqrt(found["rmsle"])
    found["above"] *= 100
    for other in ("naive", "drift"):
        yardstick = part.loc[part["model"] == other, ["origin", "horizon", "size"]]
        both = part.merge(yardstick, on=["origin", "horizon"], suffixes=("", "_other"))
        means = both.groupby(keys)[["size", "size_other"]].mean()
        found[f"male_to_{other}"] = means["size"] / means["size_other"].where(means["size_other"] > NO_ERROR)
    for name, nominal in COVERAGES.items():
        hits = found.pop(f"hits{name}")
        found[f"cover{name}"] = hits / found["forecasts"] * 100
        pairs = zip(hits, found["forecasts"], strict=True)
        found[f"narrow{name}"] = [judge_coverage(int(hit), int(count), nominal) for hit, count in pairs]
    return found.reset_index().sort_values(
        keys, key=lambda column: column.map(list(trends.MODELS).index) if column.name == "model" else column
    )


def judge_coverage(hits: int, forecasts: int, nominal: float) -> str:
    """Whether intervals that should hold `nominal` of outcomes are too narrow, in words.

    >>> judge_coverage(6, 15, 0.8), judge_coverage(11, 15, 0.8), judge_coverage(0, 1, 0.8)
    ('too narrow', 'not shown to be too narrow', 'too few to judge')
    """
    if forecasts < FEWEST_JUDGED:
        return TOO_FEW
    chance = binom_test(hits, forecasts, nominal, alternative="smaller")
    return TOO_NARROW if chance < UNLIKELY else NOT_SHOWN


def conformal_reach(errors: Iterable[float], coverage: float) -> float | None:
    """Half width on the log scale that split conformal prediction gives; None with too few errors.

    >>> conformal_reach([0.3, -0.1, 0.2, -0.4], 0.8)
    0.4
    >>> conformal_reach([0.3, -0.1, 0.2], 0.8) is None
    True
    """
    sizes = sorted(abs(error) for error in errors)
    place = math.ceil((len(sizes) + 1) * coverage - 1e-9)
    return sizes[place - 1] if place <= len(sizes) else None


def conformal(made: pd.DataFrame, fits: dict[str, trends.Fit]) -> pd.DataFrame:
    """Empirical 80 % intervals of the years ahead, beside the models' own.

    A row a model and year, as far as errors reach: horizon, year, errors (how many), median, lo80, hi80
    (the model's own), conformal_lo80, conformal_hi80 [unit of levels], reach and own_reach [log].
    """
    whole = scored(made[made["sample_first"] == made["sample_first"].min()]) if len(made) else made
    rows = []
    for model, fit in fits.items():
        own = whole[whole["model"] == model]
        for horizon, group in own.groupby("horizon"):
            reach = conformal_reach(group["log_error"], COVERAGES["80"])
            if reach is None:
                continue
            h = int(str(horizon))
            low, middle, high = fit.log_quantiles(np.array([h]), np.array([0.1, 0.5, 0.9]))[0]
            rows.append(
                {
                    "model": model, "horizon": h, "year": fit.years[-1] + h, "errors": len(group),
                    "median": math.exp(middle), "lo80": math.exp(low), "hi80": math.exp(high),
                    "conformal_lo80": math.exp(middle - reach), "conformal_hi80": math.exp(middle + reach),
                    "reach": reach, "own_reach": (high - low) / 2,
                }
            )  # fmt: skip
    columns = ["model", "horizon", "year", "errors", "median", "lo80", "hi80", "conformal_lo80", "conformal_hi80"]
    return pd.DataFrame(rows, columns=[*columns, "reach", "own_reach"])


MEASURES = {
    "forecasts": (units.COUNT, "forecasts scored"),
    "mase": (units.RATIO, "mean absolute scaled error"),
    "rmsle": (units.RATIO, "root mean squared log error"),
    "male": (units.RATIO, "mean absolute log error"),
    "male_to_naive": (units.RATIO, "mean absolute log error over that of naive"),
    "male_to_drift": (units.RATIO, "mean absolute log error over that of drift"),
    "cover80": (units.PERCENT, "outcomes inside the 80 % interval"),
    "cover95": (units.PERCENT, "outcomes inside the 95 % interval"),
    "interval_score": (units.RATIO, "interval score of the 80 % interval, log"),
    "interval_score95": (units.RATIO, "interval score of the 95 % interval, log"),
    "above": (units.PERCENT, "outcomes above the median"),
}
# Of the further sets only these are named numbers; the table has all.
VARIANT_MEASURES = ("forecasts", "male", "male_to_drift", "cover80")
# Errors are printed as the field prints them.
DIGITS = {"mase": 2, "rmsle": 3, "male": 3, "interval_score": 2, "interval_score95": 2}


def backtest_quantities(table: pd.DataFrame, bands: pd.DataFrame, subject: Subject, known: Quantities) -> Quantities:
    """Scores and empirical intervals as named numbers.

    Keys `backtest.<slug>.<model>.<measure>[.<windows>].h<horizon>` and
    `projection.<slug>.<model>.conformal_lo80.<year>`, `conformal_hi80`.
    """
    q = Quantities(known.edition, known.values())
    inputs = [subject.sample(q, "trend")]
    for row in table.to_dict("records"):
        model, horizon, windows = row["model"], row["horizon"], row["windows"]
        base, ahead = f"backtest.{subject.slug}.{model}", f"{counted(horizon, 'year')} ahead"
        for measure, (unit, words) in MEASURES.items():
            if pd.isna(row[measure]) or (windows != "all" and measure not in VARIANT_MEASURES):
                continue
            variant = "" if windows == "all" else f".{windows}"
            said = "" if windows == "all" else f", {windows.replace('_', ' ')}"
            label = f"{words}, {ahead}{said}: {MODEL_WORDS[model]}, {subject.words}"
            q.record(
                f"{base}.{measure}{variant}.h{horizon}", row[measure], unit, label,
                f"anime_growth.backtest.scores: {model}", inputs, DIGITS.get(measure),
            )  # fmt: skip
        for name in COVERAGES if windows == "all" else ():
            if row[f"narrow{name}"] == TOO_NARROW:
                label = f"the {name} % interval proved too narrow {ahead} (1: yes): {MODEL_WORDS[model]}"
                method, key = f"anime_growth.backtest.judge_coverage: {model}", f"{base}.narrow{name}.h{horizon}"
                q.record(key, 1, units.COUNT, label, method, [f"{base}.cover{name}.h{horizon}"])
    for row in bands.to_dict("records"):
        model, year = row["model"], row["year"]
        for end in ("lo80", "hi80"):
            q.record(
                f"projection.{subject.slug}.{model}.conformal_{end}.{year}", row[f"conformal_{end}"], subject.unit,
                f"{'lower' if end == 'lo80' else 'upper'} end of the empirical 80 % interval of {subject.words} in "
                f"{year}, {MODEL_WORDS[model]}, from {row['errors']} past errors",
                f"anime_growth.backtest.conformal: {model}", inputs,
            )  # fmt: skip
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])
