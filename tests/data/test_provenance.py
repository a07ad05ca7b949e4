"""Every published number leads back to printed cells, and most are made again from those cells alone.

What is made again never uses a stored value: cells are read with csv and brought to a quantity's unit
by units.py; arithmetic is called anew, input by input; the simple models, their backtest, the ledger's
replay and the chances are written down a second time below, in plain numpy.
"""

import ast
import csv
import hashlib
import importlib
import io
import json
import math
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from anime_growth import expressions, paths, trace, units, words

DERIVED, RULES, VERDICTS = "derived by the collector: ", "rules.yml: ", "number of verdicts"
METHOD = re.compile(r"anime_growth\.(\w+)\.(\w+)(?:\((.*)\))?(?:: (.+))?")
# Models that end where a search or an iteration ends, for which no second formula is written here.
SEARCHED = ("loglinear_ar1", "damped_trend", "local_linear")
BY_SEARCH = dict.fromkeys(SEARCHED, "an iteration or a search finds its parameters")
# A quantity's function or model that is not made again -> why.
NOT_REDONE = {
    **BY_SEARCH,
    "combination": "the median over models of which three are not made again",
    VERDICTS: "rules judge, and what they say is tested beside them",
    "specifications.conclusions": "it counts fits of all models, three of which are not made again",
}
# Of all quantities made again, and how few may be left of a family that is.
LEAST_SHARE = 0.7
FAMILIES = {
    "observed": 400,
    "arithmetic": 1400,
    "targets": 15,
    "describe": 3,
    "trends": 340,
    "backtest": 600,
    "ledger": 4,
    "chances": 90,
    "claims": 8,
}
SAME_ARITHMETIC, SAME_FIT = 1e-9, 1e-6
ONE_DRAW_IN_POINTS = 100 / 20_000


@pytest.fixture(scope="module")
def entries():
    """The published quantities as they stand in the file."""
    return json.loads((paths.published() / "quantities.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def raw_cells(entries):
    """Each raw cell of every quantity with the key of the latter."""
    return [(key, cell) for key, entry in entries.items() for cell in entry["inputs"] if isinstance(cell, dict)]


# --- the chain ------------------------------------------------------------------------------------
def test_every_input_is_a_raw_cell_or_a_known_quantity(entries):
    named = {name for entry in entries.values() for name in entry["inputs"] if isinstance(name, str)}
    assert named <= set(entries)
    assert len(named) > 500


def test_every_chain_ends_in_raw_cells_and_never_runs_in_a_circle(entries):
    ends: dict[str, int] = {}

    def cells_behind(key, above=()):
        assert key not in above, f"{key} rests on itself"
        if key not in ends:
            inputs = entries[key]["inputs"]
            found = [1 if isinstance(item, dict) else cells_behind(item, (*above, key)) for item in inputs]
            assert found and all(found), f"{key} rests on nothing printed"
            ends[key] = sum(found)
        return ends[key]

    for key in entries:
        assert cells_behind(key) > 0


def test_every_raw_file_is_the_one_that_was_read(raw_cells):
    recorded = {(cell["file"], cell["sha256"]) for _, cell in raw_cells}
    for file, sha256 in recorded:
        assert hashlib.sha256((paths.raw() / file).read_bytes()).hexdigest() == sha256, file
    assert len(recorded) >= 9


def test_every_raw_cell_is_one_filled_cell_of_one_row(raw_cells):
    for key, cell in raw_cells:
        rows = rows_of(cell)
        assert len(rows) == 1, f"{key}: {len(rows)} rows of {cell['cell']}"
        assert rows[0][cell["column"]].strip(), f"{key}: {cell['cell']} is empty"
        assert trace.printed(cell["cell"], cell["sha256"])[0] == rows[0][cell["column"]]


def test_every_source_of_a_raw_cell_stands_in_the_register(raw_cells):
    with (paths.published() / "tables" / "sources.csv").open(encoding="utf-8", newline="") as file:
        register = {row["source_id"]: row for row in csv.DictReader(file)}
    named = {source for _, cell in raw_cells for source in (cell["source_id"], *cell["also"])}
    assert named <= set(register)
    for source in named:
        assert all(register[source][part] for part in ("title", "publisher", "published_on", "url")), source


def test_the_source_of_a_raw_cell_is_the_one_that_its_row_names(raw_cells):
    for key, cell in raw_cells:
        assert rows_of(cell)[0]["source_id"] == cell["source_id"], key


def test_every_method_is_a_function_of_the_package_or_a_word_of_the_collector(entries):
    for key, entry in entries.items():
        method = entry["method"]
        if method.startswith(("as printed", DERIVED)):
            assert [type(item) for item in entry["inputs"]] == [dict], key
            continue
        match = METHOD.fullmatch(method)
        assert match, f"{key}: {method} names no function"
        assert callable(getattr(importlib.import_module(f"anime_growth.{match[1]}"), match[2], None)), method


def test_every_function_stands_at_a_commit(entries):
    of_functions = {entry["commit"] for entry in entries.values() if METHOD.fullmatch(entry["method"])}
    of_others = {entry["commit"] for entry in entries.values() if not METHOD.fullmatch(entry["method"])}
    assert of_others == {""}
    assert all(re.fullmatch(rf"[0-9a-f]{{12}}({re.escape(trace.CHANGED)})?", commit) for commit in of_functions)


def test_every_commit_is_in_the_repository(entries):
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=Path(trace.__file__).parent, capture_output=True, text=True)

    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("no history is at hand")
    for commit in {entry["commit"].removesuffix(trace.CHANGED) for entry in entries.values()} - {""}:
        assert git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0, f"no commit {commit}"


# --- cells, and what is computed from them ---------------------------------------------------------
@cache
def table_of(file):
    return list(csv.DictReader(io.StringIO((paths.raw() / file).read_text(encoding="utf-8"), newline="")))


def rows_of(cell):
    return [row for row in table_of(cell["file"]) if all(row[name] == text for name, text in cell["row"].items())]


def number(text):
    return float(text.replace(",", ""))


def call(method, values):
    """The function that `method` names, with the arguments that it shows, of `values`."""
    module, name, arguments, _ = METHOD.fullmatch(method).groups()
    told = ast.parse(f"f({arguments or ''})", mode="eval").body.keywords
    keywords = {item.arg: ast.literal_eval(item.value) for item in told}
    return getattr(importlib.import_module(f"anime_growth.{module}"), name)(*values, **keywords)


@dataclass
class Redone:
    """Quantities made again from raw cells; `value` is None where that is not done here."""

    entries: dict

    def __post_init__(self):
        self.found = {}
        self.family = Counter()
        self.left_out = Counter()

    def value(self, key):
        if key not in self.found:
            self.found[key] = self._value(key, self.entries[key])
        return self.found[key]

    def inputs(self, key):
        return {name: self.value(name) for name in self.entries[key]["inputs"] if isinstance(name, str)}

    def unit(self, key):
        return units.UNITS[self.entries[key]["unit"]]

    def levels(self, key):
        """Levels by year of the sample that `key` rests on, oldest first."""
        (sample,) = (name for name in self.entries[key]["inputs"] if ".sample." in name)
        return {int(name.rsplit(".", 1)[1]): value for name, value in self.inputs(sample).items()}

    def _value(self, key, entry):
        method = entry["method"]
        match = METHOD.fullmatch(method)
        if not match:
            return self._as("observed", observed(entry))
        module, function, _, said = match.groups()
        model = said if module in ("backtest", "ledger") or function == "chances" else function
        left_out = {f"{module}.{function}", model, said} & set(NOT_REDONE)
        if key.endswith(".claims.all"):
            left_out = set()
        if left_out:
            self.left_out.update(left_out)
            return None
        if function == "chances":
            return self._as("chances", chance(self, key, model))
        if module == "targets" or module == "arithmetic":
            values = [self.value(name) for name in entry["inputs"]]
            if None in values:  # the median of a projection that is not made again
                self.left_out[next(name for name in NOT_REDONE if f".{name}." in key)] += 1
                return None
            return self._as(module, call(method, values))
        by_hand = {"describe": described, "trends": fitted, "backtest": scored, "ledger": replayed, "claims": judged}
        return self._as(module, by_hand[module](self, key))

    def _as(self, family, value):
        self.family[family] += 1
        return value


def observed(entry):
    """A printed number in the unit of its quantity; one in words, such as "nine firms", is a count."""
    (cell,) = entry["inputs"]
    (row,) = rows_of(cell)
    text = row[cell["column"]]
    if not re.match(r"-?\d", text):
        return next(words.CARDINALS.index(word) for word in text.split() if word in words.CARDINALS)
    unit, own = units.RAW_UNITS[row["unit"]], units.UNITS[entry["unit"]]
    return units.convert(number(text), unit, own) if unit else number(text)


def described(redone, key):
    if ".unconfirmed." in key:
        cells = [redone.entries[name]["inputs"][0] for name in redone.entries[key]["inputs"]]
        return sum(rows_of(cell)[0]["confidence"] == "low" for cell in cells)
    by_year = {int(name.rsplit(".", 1)[1]): value for name, value in redone.inputs(key).items()}
    if ".first_lead." in key:
        return min(year for year, lead in by_year.items() if lead > 0)
    assert ".trough." in key, key
    return min(by_year, key=by_year.get)


def judged(redone, key):
    """What an article brings: exchange rates that it implies, how far they lie apart, its own quantities."""
    _, article, measure, period = key.split(".", 3)
    entry, inputs = redone.entries[key], redone.inputs(key)
    if (said := METHOD.fullmatch(entry["method"])[4]).startswith(RULES):
        amounts = {name: units.Amount(value, redone.unit(name)) for name, value in inputs.items()}
        return expressions.evaluate(said.removeprefix(RULES), amounts).to(redone.unit(key))
    if measure == "claims":
        return sum(isinstance(item, dict) for item in entry["inputs"])  # the claims; the others are evidence
    if measure == "implied_rate_gap":
        highest = max(value for name, value in inputs.items() if ".implied_rate_low." in name)
        return max(0, highest / min(value for name, value in inputs.items() if ".implied_rate_high." in name) - 1) * 100
    ((yen, level),) = inputs.items()
    stated, half_digit, size = stated_dollars(article, period)
    rounding = {"implied_rate": 0, "implied_rate_low": half_digit, "implied_rate_high": -half_digit}[measure]
    return level * redone.unit(yen).size / ((stated + rounding) * size)


def stated_dollars(article, claim):
    """An article's figure, half a unit of its last digit, and the size of its unit in dollars."""
    file = max((paths.raw() / "articles" / article).glob("*/claims.csv"))
    (row,) = (row for row in table_of(file.relative_to(paths.raw())) if row["claim_id"] == claim)
    decimals = len(row["value"].partition(".")[2])
    return number(row["value"]), 0.5 * 10**-decimals, units.RAW_UNITS[row["unit"]].size


# --- simple models, written a second time -----------------------------------------------------------
@dataclass(frozen=True)
class Model:
    """Log growth a year with its interval, errors by year, and forecasts: location, spread, scores."""

    slope: float
    ends: tuple
    errors: dict
    forecast: object
    score: object
    notes: tuple = ()

    def level(self, horizon, chance):
        location, spread = self.forecast(horizon)
        return np.exp(location + spread * self.score(chance))


def naive(years, y):
    steps = np.diff(y)
    spread = math.sqrt(np.mean(steps**2))
    errors = dict(zip(years[1:], steps, strict=True))
    return Model(0, (), errors, lambda h: (y[-1], spread * math.sqrt(h)), stats.norm.ppf)


def drift(years, y):
    steps = np.diff(y)
    n, mean, variance = len(steps), steps.mean(), steps.var(ddof=1)
    reach = stats.t.ppf(0.975, n - 1) * math.sqrt(variance / n)
    return Model(
        mean, (mean - reach, mean + reach), dict(zip(years[1:], steps - mean, strict=True)),
        lambda h: (y[-1] + h * mean, math.sqrt(h * variance + h**2 * variance / n)), stats.norm.ppf,
    )  # fmt: skip


def loglinear(years, y):
    time = np.arange(len(y), dtype=float)
    slope, _ = np.polyfit(time, y, 1)
    made = line(years, y, lambda at: np.column_stack([np.ones(len(at)), at]))
    assert made.slope == pytest.approx(slope, rel=1e-9)
    return made


def segmented(years, y):
    n, time = len(y), np.arange(len(y), dtype=float)

    def kinked(knot):
        return lambda at: np.column_stack([np.ones(len(at)), np.minimum(at - knot, 0), np.maximum(at - knot, 0)])

    def misfit(design):
        return n * math.log(np.sum((y - design @ np.linalg.lstsq(design, y)[0]) ** 2) / n)

    by_knot = {knot: misfit(kinked(knot)(time)) for knot in range(3, n - 3)}
    knot = min(by_knot, key=by_knot.get)
    open_knots = [other for other, value in by_knot.items() if value - by_knot[knot] <= stats.chi2.ppf(0.95, 1)]
    straight = misfit(np.column_stack([np.ones(n), time]))
    before = np.linalg.lstsq(kinked(knot)(time), y)[0][1]
    notes = {
        "break_year": years[knot],
        "break_lo95_year": years[min(open_knots)],
        "break_hi95_year": years[max(open_knots)],
        "growth_before": np.expm1(before) * 100,
        "bic_gain": straight - by_knot[knot] - 2 * math.log(n),  # one slope more, and the year of the break
    }
    return line(years, y, kinked(knot), tuple(notes.items()))


def line(years, y, design, notes=()):
    """Least squares, the last column time; errors after Newey and West with Bartlett's weights."""
    n, x = len(y), design(np.arange(len(y), dtype=float))
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    errors = y - x @ beta
    free, scores = n - x.shape[1], x * errors[:, None]
    middle, lags = scores.T @ scores, math.floor(4 * (n / 100) ** (2 / 9))
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        middle += (1 - lag / (lags + 1)) * (cross + cross.T)
    covariance = inverse @ middle @ inverse * n / free
    reach = stats.t.ppf(0.975, free) * math.sqrt(covariance[-1, -1])

    def forecast(horizon):
        at = design(np.array([n - 1.0 + horizon]))[0]
        return at @ beta, math.sqrt(at @ covariance @ at + errors @ errors / free)

    ends = (beta[-1] - reach, beta[-1] + reach)
    errors_by_year = dict(zip(years, errors, strict=True))
    return Model(beta[-1], ends, errors_by_year, forecast, lambda chance: stats.t.ppf(chance, free), notes)


MODELS = {"naive": naive, "drift": drift, "loglinear": loglinear, "segmented": segmented}


@cache
def model_of(name, levels):
    """The model of levels given as (year, level) pairs."""
    years, values = zip(*levels, strict=True)
    return MODELS[name](years, np.log(values))


def paired(levels):
    return tuple(sorted(levels.items()))


# --- what is fitted, scored and drawn ----------------------------------------------------------------
PROBABILITIES = {"p2_5": 0.025, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p97_5": 0.975}


def fitted(redone, key):
    levels = redone.levels(key)
    family, _, name, measure, *rest = key.split(".")
    model = model_of(name, paired(levels))
    if family == "projection":
        return model.level(int(rest[0]) - max(levels), PROBABILITIES[measure])
    if measure in ("influential_year", "growth_without_it"):
        year, growth = most_influential(name, levels, model)
        return year if measure == "influential_year" else growth
    errors = np.array(list(model.errors.values()))
    largest = max(model.errors, key=lambda year: abs(model.errors[year]))
    growth = dict(zip(("growth_lo95", "growth_hi95"), model.ends, strict=False)) | {"growth": model.slope}
    found = {
        "log_slope": model.slope,
        "years": len(levels),
        "residual_spread": math.sqrt(np.mean(errors**2)),
        "durbin_watson": np.sum(np.diff(errors) ** 2) / np.sum(errors**2),
        "ljung_box_p": ljung_box_p(errors),
        "jarque_bera_p": jarque_bera_p(errors),
        "largest_residual": model.errors[largest],
        "largest_residual_year": largest,
        **{end: np.expm1(value) * 100 for end, value in growth.items()},
        **dict(model.notes),
    }
    return found[measure]


def ljung_box_p(errors):
    n, centred = len(errors), errors - errors.mean()
    lags = range(1, max(1, min(5, n // 4)) + 1)
    shares = [(np.sum(centred[lag:] * centred[:-lag]) / np.sum(centred**2)) ** 2 / (n - lag) for lag in lags]
    return stats.chi2.sf(n * (n + 2) * sum(shares), len(lags))


def jarque_bera_p(errors):
    centred = errors - errors.mean()
    skew, kurtosis = (np.mean(centred**power) / np.mean(centred**2) ** (power / 2) for power in (3, 4))
    return math.exp(-len(errors) / 12 * (skew**2 + (kurtosis - 3) ** 2 / 4))


def most_influential(name, levels, model):
    """The year, of the ends and the three worst, without which growth changes most; and that growth."""
    first, last = min(levels), max(levels)
    worst = sorted(model.errors, key=lambda year: -abs(model.errors[year]))[:3]
    growth = {}
    for year in sorted({first, last, *worst}):
        left = {other: level for other, level in levels.items() if other != year}
        if year not in (first, last):
            left[year] = math.sqrt(levels[year - 1] * levels[year + 1])
        growth[year] = np.expm1(model_of(name, paired(left)).slope) * 100
    own = np.expm1(model.slope) * 100
    year = max(growth, key=lambda year: abs(growth[year] - own))
    return year, growth[year]


@cache
def past(name, levels):
    """Every past forecast: (origin, horizon) -> level, lower and upper ends, median, change seen by naive."""
    found = {}
    for count in range(8, len(levels)):
        window = levels[:count]
        changes = [abs(after - before) for (_, before), (_, after) in pairwise(window)]
        for horizon, (_, level) in enumerate(levels[count:], start=1):
            ends = [model_of(name, window).level(horizon, chance) for chance in (0.025, 0.1, 0.5, 0.9, 0.975)]
            found[window[-1][0], horizon] = (level, *ends, sum(changes) / len(changes))
    return found


def scored(redone, key):
    levels = paired(redone.levels(key) if ".narrow" not in key else redone.levels(key.replace("narrow", "cover")))
    if key.startswith("projection."):
        return conformal(key, levels)
    _, _, name, measure, *windows, horizon = key.split(".")
    since = int(windows[0].rsplit("_", 1)[1]) if windows else 0
    if windows and windows[0].startswith("sample_from"):
        levels = tuple(pair for pair in levels if pair[0] >= since)

    def rows(name):
        made = past(name, levels).items()
        return np.array([row for (origin, h), row in made if f"h{h}" == horizon and origin >= since])

    level, lo95, lo80, middle, hi80, hi95, change = rows(name).T
    errors = np.log(level / middle)
    male = np.mean(np.abs(errors))
    if measure.startswith("male_to_"):
        other = rows(measure.removeprefix("male_to_"))
        return male / np.mean(np.abs(np.log(other[:, 0] / other[:, 3])))
    if measure.startswith("narrow"):
        low, high, nominal = (lo80, hi80, 0.8) if measure == "narrow80" else (lo95, hi95, 0.95)
        hits, n = int(np.sum((low <= level) & (level <= high))), len(level)
        tail = sum(math.comb(n, k) * nominal**k * (1 - nominal) ** (n - k) for k in range(hits + 1))
        return float(n >= 5 and tail < 0.05)

    def winkler(low, high, alpha):
        outside = np.maximum(np.log(low / level), 0) + np.maximum(np.log(level / high), 0)
        return np.mean(np.log(high / low) + 2 / alpha * outside)

    return {
        "forecasts": lambda: len(level),
        "mase": lambda: np.mean(np.abs(level - middle) / change),
        "rmsle": lambda: math.sqrt(np.mean(errors**2)),
        "male": lambda: male,
        "cover80": lambda: np.mean((lo80 <= level) & (level <= hi80)) * 100,
        "cover95": lambda: np.mean((lo95 <= level) & (level <= hi95)) * 100,
        "interval_score": lambda: winkler(lo80, hi80, 0.2),
        "interval_score95": lambda: winkler(lo95, hi95, 0.05),
        "above": lambda: np.mean(errors > 0) * 100,
    }[measure]()


def conformal(key, levels):
    """An end of the empirical 80 % interval: the median, and as far as four fifths of past errors reached."""
    _, _, name, measure, year = key.split(".")
    horizon = int(year) - levels[-1][0]
    sizes = sorted(abs(math.log(row[0] / row[3])) for (_, h), row in past(name, levels).items() if h == horizon)
    reach = sizes[math.ceil((len(sizes) + 1) * 0.8) - 1]
    sign = -1 if measure == "conformal_lo80" else 1
    return model_of(name, levels).level(horizon, 0.5) * math.exp(sign * reach)


def replayed(redone, key):
    """Mean pinball loss of what would have been forecast at each earlier report, in log points."""
    name, levels = key.split(".")[2], paired(redone.levels(key))
    newest = {}
    for row in table_of("aja/2025/aja_market_editions.csv"):
        if row["series"] == "broad_overseas" and re.fullmatch(r"\d{4}", row["edition"]):
            newest[row["edition"]] = max(newest.get(row["edition"], 0), int(row["year"]))
    losses, known = [], 0
    for edition in sorted(newest):
        known = max(known, newest[edition])
        window = tuple(pair for pair in levels if pair[0] <= known)
        if len(window) < 8:
            continue
        for horizon, (_, level) in enumerate(levels[len(window) :], start=1):
            for chance in PROBABILITIES.values():
                miss = math.log(level / model_of(name, window).level(horizon, chance)) * 100
                losses.append(max(chance * miss, (chance - 1) * miss))
    return sum(losses) / len(losses)


@cache
def draws():
    return np.random.default_rng(20_331_120).uniform(size=(3, 20_000))


def chance(redone, key, name):
    """Share of draws in which all content reaches the target, or its standard error [%]."""
    _, target, measure, *assumption, _ = key.split(".")
    inputs = redone.inputs(key)
    totals = {int(name.rsplit(".", 1)[1]): value for name, value in inputs.items() if name.startswith("content.")}
    goal = next(value for name, value in inputs.items() if name.startswith("target.content")) * 10_000
    yen = {year: redone.value(f"market.overseas.level.{year}") for year in redone.levels(key)}
    last, until = max(yen), int(target.rsplit("_", 1)[1])
    own, others, rates = draws()

    def grown(levels, model, uniform):
        return model_of(model, paired(levels)).level(until - last, uniform) / levels[last]

    rest = {year: totals[year] - yen[year] for year in totals}
    rate = {year: redone.value(f"fx.usdjpy.level.{year}") for year in yen}
    usd = {year: yen[year] / rate[year] for year in yen}

    def few():
        steps = np.diff(np.log([rest[year] for year in sorted(rest)]))
        n, h = len(steps), until - last
        spread = math.sqrt(steps.var(ddof=1) * (h + h**2 / n))
        return np.exp(h * steps.mean() + spread * stats.t.ppf(others, n - 1))

    reached = {
        "constant_share": lambda: totals[last] * grown(yen, name, own),
        "all_at_anime_rate": lambda: yen[last] * grown(yen, name, own) + rest[last] * grown(yen, name, others),
        "others_as_before": lambda: yen[last] * grown(yen, name, own) + rest[last] * few(),
        "rate_stays": lambda: totals[last] * grown(usd, name, own),
        "rate_average": lambda: totals[last] * grown(usd, name, own) * np.mean(list(rate.values())) / rate[last],
        "rate_walks": lambda: totals[last] * grown(usd, name, own) * grown(rate, "naive", rates),
    }[assumption[0] if assumption else "constant_share"]()
    share = np.mean(reached >= goal)
    return (share if measure == "chance" else math.sqrt(share * (1 - share) / len(own))) * 100


# --- made again ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def redone(entries):
    made = Redone(entries)
    for key in entries:
        made.value(key)
    return made


def test_every_number_that_is_made_again_is_the_published_one(entries, redone):
    for key, value in redone.found.items():
        if value is None:
            continue
        module = METHOD.fullmatch(entries[key]["method"])
        close = SAME_ARITHMETIC if not module or module[1] in ("arithmetic", "describe", "claims") else SAME_FIT
        rests_on_fit = key.startswith("projection.")
        if ".chance" in key:
            expected = pytest.approx(entries[key]["value"], abs=2 * ONE_DRAW_IN_POINTS)
        else:
            expected = pytest.approx(entries[key]["value"], rel=SAME_FIT if rests_on_fit else close, abs=1e-12)
        assert value == expected, f"{key}: {entries[key]['method']}"


def test_most_numbers_are_made_again_and_the_others_are_known_for_a_reason(entries, redone):
    made = sum(value is not None for value in redone.found.values())
    print(f"{made} of {len(entries)} quantities made again: {dict(redone.family)}")
    print(f"not made again: {dict(redone.left_out)}")
    assert made / len(entries) >= LEAST_SHARE
    assert {family: redone.family[family] for family in FAMILIES if redone.family[family] < FAMILIES[family]} == {}
    assert set(redone.family) == set(FAMILIES)
    assert set(redone.left_out) == set(NOT_REDONE)


def test_what_the_collector_computed_follows_from_the_figures_that_he_names(entries):
    judged = 0
    for key, entry in entries.items():
        if entry["method"].startswith(DERIVED):
            (cell,) = entry["inputs"]
            (row,) = rows_of(cell)
            derivation, printed = entry["method"].removeprefix(DERIVED), row[cell["column"]]
            assert row["derivation"] == derivation
            computed = expressions.stated_arithmetic(derivation)
            if computed is None:
                computed = sum_of_parts(cell, derivation)
            last_digit = 10.0 ** -len(printed.partition(".")[2])  # rounded or cut off
            assert abs(computed - number(printed)) < last_digit, f"{key}: {derivation} is {computed}"
            judged += 1
    assert judged > 50


def sum_of_parts(cell, derivation):
    assert derivation == "domestic + overseas as transcribed"
    parts = [{**cell["row"], "series": f"broad_{part}"} for part in ("domestic", "overseas")]
    return sum(number(rows_of({**cell, "row": row})[0]["value"]) for row in parts)


def test_normal_scores_agree_with_another_library():
    """The scores above come from scipy, as the package's do."""
    for probability in PROBABILITIES.values():
        assert stats.norm.ppf(probability) == pytest.approx(NormalDist().inv_cdf(probability), abs=1e-12)
