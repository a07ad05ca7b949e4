"""Targets: growth that reaches them when compounded, chances against closed forms, and their price in dollars.

Chances are simulated from 20,000 draws; they may miss the truth by five standard errors, which an honest
simulation does less than once in a million. Where there is no closed form the truth is simulated here again.
"""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anime_growth import arithmetic, describe, quantities, series, targets, trace, trends, units
from anime_growth.quantities import Quantities

GOALS = {"content_2033": (2033, 200_000), "content_2028": (2028, 100_000)}  # JPY 100m
TOTAL = 60_044  # content sold overseas in 2024, JPY 100m
DRAWS = 20_000


# --- what a target asks -----------------------------------------------------------------------------
def required(every_quantity):
    """(key, target, baseline, years, growth) of every required growth, both levels in JPY 100m."""
    found = []
    for key, item in every_quantity.items():
        if ".required_growth." in key:
            goal, baseline = (every_quantity[name].in_unit(units.JPY_100M).value for name in item.inputs)
            target_year, start = (int(name.rsplit(".", 1)[1]) for name in item.inputs)
            moved = 1 if "_as_" in key else 0
            found.append((key, goal, baseline, target_year - start - moved, item.value))
    return found


def test_required_growth_compounded_from_the_baseline_reaches_the_target(every_quantity):
    cases = required(every_quantity)
    assert len(cases) == 14
    for key, goal, baseline, years, growth in cases:
        level = baseline
        for _ in range(years):
            level *= 1 + growth / 100
        assert level == pytest.approx(goal, rel=1e-12), key


def test_a_multiple_times_its_baseline_is_the_target_whatever_their_units(every_quantity):
    seen = set()
    for key, item in every_quantity.items():
        if key.startswith("target.") and ".multiple." in key:
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


def test_every_measure_of_a_target_has_its_unit(every_quantity):
    expected = {
        "level": "trn JPY", "baseline": "trn JPY", "multiple": "times", "required_growth": "% a year",
        "chance": "%", "chance_error": "%", "level_usd": "bn USD", "required_growth_usd": "% a year",
        "sample": "count",
    }  # fmt: skip
    found = {(key.split(".")[2], item.unit) for key, item in every_quantity.items() if key.startswith("target.")}
    assert found == set(expected.items())
    assert every_quantity["target.content_2033.level.2033"].text == "JPY 20 trillion"


def test_a_rounded_baseline_is_marked_as_rounded(every_quantity):
    item = every_quantity["content.total.level.rounded.2023"]
    assert (item.value, item.caveats, item.confidence) == (58000, ("rounded",), "medium")


def test_no_growth_is_asked_of_a_baseline_in_or_after_the_target_year(tables, described):
    due = tables["targets"].copy()
    due.loc[due["target_id"] == "T05", "target_year"] = 2023
    known = without(described, "target.", "content.total.level.rounded.")
    made = describe.describe_targets(due, tables["content_exports"], known)
    asked = [key for key in made if key.startswith("target.content_2028.required_growth.")]
    assert sorted(asked) == [
        "target.content_2028.required_growth.from_2021",
        "target.content_2028.required_growth.from_2022",
        "target.content_2028.required_growth.from_own",
    ]
    assert "target.content_2028.multiple.from_2024" in made


@pytest.mark.parametrize(("scale", "value"), [(10_000, 4), (1, 0.0004)])
def test_a_ratio_across_units_is_scaled(scale, value):
    assert arithmetic.scaled_ratio(20, 50_000, scale=scale) == pytest.approx(value)


def test_growth_across_units_is_scaled():
    assert arithmetic.scaled_cagr_pct(20, 50_000, years=2, scale=10_000) == pytest.approx(100)


def test_a_required_path_starts_at_the_baseline_grows_steadily_and_ends_at_the_goal():
    path = targets.required_path(200_000, 60_044, 2024, 2033)
    assert list(path.index) == list(range(2024, 2034))
    assert (path[2024], path[2033]) == (60_044, pytest.approx(200_000, rel=1e-12))
    growth = (path / path.shift(1) - 1).dropna() * 100
    assert growth.to_numpy() == pytest.approx(((200_000 / 60_044) ** (1 / 9) - 1) * 100, rel=1e-9)


# --- chances -----------------------------------------------------------------------------------------
def without(known, *starts):
    """`known` without the quantities whose keys begin so."""
    return Quantities(known.edition, [item for key, item in known.items() if not key.startswith(starts)])


def with_goal(known, target, year, level_jpy_trn):
    """`known` with another goal of `target`."""
    changed = without(known, f"target.{target}.level.")
    changed.observe(f"target.{target}.level.{year}", level_jpy_trn, units.JPY_TRN, "another goal", "t.csv?id=1#v")
    return changed


@pytest.fixture(scope="module")
def dollars(described):
    """Overseas revenue in dollars, and every model fitted to it."""
    subject = series.choose(described, "market.overseas", "usd", 2002)
    return subject, trends.fit_all(subject.levels)[0]


@pytest.fixture(scope="module")
def chances(fits, dollars, described):
    return targets.chances(fits, dollars[1], described)


@pytest.fixture(scope="module")
def rates(described):
    """Yen per dollar, 2002 to 2024."""
    return np.array([described[f"fx.usdjpy.level.{year}"].value for year in range(2002, 2025)])


@pytest.fixture(scope="module")
def sectors(described):
    """(anime, the other sectors) of 2021 to 2024, JPY 100m."""
    totals, anime = (
        np.array([described[f"{stem}.level.{year}"].value for year in range(2021, 2025)])
        for stem in ("content.total", "market.overseas")
    )
    return anime, totals - anime


def found(chances, target, assumption, model):
    """One chance, between 0 and 1."""
    rows = chances.query("target == @target and assumption == @assumption and model == @model")
    assert len(rows) == 1
    return rows["chance_pct"].iloc[0] / 100


def tolerance(chance, draws_of_truth=math.inf):
    """Five standard errors of the difference between a simulated share and the truth."""
    return 5 * math.sqrt(chance * (1 - chance) * (1 / DRAWS + 1 / draws_of_truth))


def drift(levels, horizon):
    """Mean and variance of log growth over `horizon` years: a walk whose average step is estimated."""
    steps = np.diff(np.log(levels))
    variance = steps.var(ddof=1)
    return horizon * steps.mean(), horizon * variance + horizon**2 * variance / len(steps)


def no_drift(levels, horizon):
    """The same of a walk whose average step is nought."""
    return 0.0, horizon * (np.diff(np.log(levels)) ** 2).mean()


def line(levels, horizon):
    """Mean, spread and degrees of freedom of log growth along a straight line with Newey-West errors."""
    y, n = np.log(np.asarray(levels)), len(levels)
    x = np.column_stack([np.ones(n), np.arange(n)])
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ y
    e = y - x @ beta
    scores = x * e[:, None]
    lags = math.floor(4 * (n / 100) ** (2 / 9))
    meat = scores.T @ scores
    for lag in range(1, lags + 1):
        crossed = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (crossed + crossed.T)
    covariance = bread @ meat @ bread * n / (n - 2)
    ahead = np.array([1.0, n - 1 + horizon])
    return ahead @ beta - y[-1], math.sqrt(ahead @ covariance @ ahead + e @ e / (n - 2)), n - 2


WALKS = {"drift": drift, "naive": no_drift}


@pytest.mark.parametrize("target", GOALS)
@pytest.mark.parametrize("model", WALKS)
def test_the_chance_of_a_walk_is_the_tail_of_a_normal(chances, levels, target, model):
    year, goal = GOALS[target]
    mean, variance = WALKS[model](levels, year - 2024)
    expected = stats.norm.sf(math.log(goal / TOTAL), mean, math.sqrt(variance))
    assert 0.01 < expected < 0.99
    assert found(chances, target, "constant_share", model) == pytest.approx(expected, abs=tolerance(expected))


@pytest.mark.parametrize("target", GOALS)
def test_the_chance_of_a_line_is_the_tail_of_a_student(chances, levels, target):
    year, goal = GOALS[target]
    mean, spread, degrees = line(levels, year - 2024)
    expected = stats.t.sf((math.log(goal / TOTAL) - mean) / spread, degrees)
    assert 0.01 < expected < 0.99
    assert found(chances, target, "constant_share", "loglinear") == pytest.approx(expected, abs=tolerance(expected))


@pytest.mark.parametrize("target", GOALS)
def test_with_the_rate_as_it_is_yen_sales_grow_as_dollar_sales(chances, dollars, target):
    year, goal = GOALS[target]
    mean, variance = drift(dollars[0].levels, year - 2024)
    expected = stats.norm.sf(math.log(goal / TOTAL), mean, math.sqrt(variance))
    assert found(chances, target, "rate_stays", "drift") == pytest.approx(expected, abs=tolerance(expected))
    mean, spread, degrees = line(dollars[0].levels, year - 2024)
    expected = stats.t.sf((math.log(goal / TOTAL) - mean) / spread, degrees)
    assert found(chances, target, "rate_stays", "loglinear") == pytest.approx(expected, abs=tolerance(expected))


@pytest.mark.parametrize("target", GOALS)
def test_at_the_average_rate_a_dollar_brings_fewer_yen(chances, dollars, rates, target):
    year, goal = GOALS[target]
    mean, variance = drift(dollars[0].levels, year - 2024)
    change = math.log(rates.mean() / rates[-1])
    expected = stats.norm.sf(math.log(goal / TOTAL), mean + change, math.sqrt(variance))
    assert found(chances, target, "rate_average", "drift") == pytest.approx(expected, abs=tolerance(expected))
    assert expected < found(chances, target, "rate_stays", "drift")


@pytest.mark.parametrize("target", GOALS)
def test_a_rate_that_walks_adds_its_own_variance(chances, dollars, rates, target):
    year, goal = GOALS[target]
    mean, variance = drift(dollars[0].levels, year - 2024)
    _, wandering = no_drift(rates, year - 2024)
    expected = stats.norm.sf(math.log(goal / TOTAL), mean, math.sqrt(variance + wandering))
    assert found(chances, target, "rate_walks", "drift") == pytest.approx(expected, abs=tolerance(expected))


@pytest.mark.parametrize("target", GOALS)
def test_where_sectors_part_the_chance_is_that_of_a_simulation_of_its_own(chances, levels, sectors, target):
    year, goal = GOALS[target]
    (anime, rest), draws = sectors, 200_000
    rng = np.random.default_rng(7)
    forms = {
        "drift": lambda: np.exp(rng.normal(0, 1, draws) * math.sqrt(own[1]) + own[0]),
        "loglinear": lambda: np.exp(straight[0] + straight[1] * rng.standard_t(straight[2], draws)),
    }
    own, straight = drift(levels, year - 2024), line(levels, year - 2024)
    mean, variance = drift(rest, year - 2024)
    for model, growth in forms.items():
        # Three changes: their spread is unsure, so Student's t with two degrees of freedom.
        others = rest[-1] * np.exp(mean + math.sqrt(variance) * rng.standard_t(2, draws))
        expected = float((anime[-1] * growth() + others >= goal).mean())
        close = pytest.approx(expected, abs=tolerance(expected, draws))
        assert found(chances, target, "others_as_before", model) == close
        expected = float((anime[-1] * growth() + rest[-1] * growth() >= goal).mean())
        close = pytest.approx(expected, abs=tolerance(expected, draws))
        assert found(chances, target, "all_at_anime_rate", model) == close


def test_every_model_has_its_chance_under_every_assumption(chances, fits):
    assumptions = {*targets.SHARINGS, *targets.RATES}
    assert len(assumptions) == 6
    rows = set(chances[["target", "assumption", "model"]].itertuples(index=False, name=None))
    assert rows == {(target, assumed, model) for target in GOALS for assumed in assumptions for model in fits}
    assert len(rows) == len(chances) == 2 * 6 * 8


def test_the_error_is_that_of_a_binomial_share(chances):
    share = chances["chance_pct"] / 100
    assert (chances["draws"] == DRAWS).all()
    assert chances["error_points"].to_numpy() == pytest.approx(100 * np.sqrt(share * (1 - share) / DRAWS).to_numpy())
    assert 0 < chances["error_points"].max() <= 100 * math.sqrt(0.25 / DRAWS)


def test_the_same_numbers_come_again_whatever_the_order_of_the_models(chances, fits, dollars, described):
    again = targets.chances(dict(reversed(fits.items())), dollars[1], described)
    keys = ["target", "assumption", "model"]
    pd.testing.assert_frame_equal(
        again.sort_values(keys, ignore_index=True), chances.sort_values(keys, ignore_index=True)
    )


def test_models_that_are_one_have_one_chance(fits, described):
    twins = targets.chances({"a": fits["drift"], "b": fits["drift"]}, {}, described)
    assert set(twins["assumption"]) == set(targets.SHARINGS), "without dollars nothing is said of the rate"
    for _, pair in twins.groupby(["target", "assumption"]):
        assert pair["chance_pct"].nunique() == 1


def test_a_lower_goal_is_reached_more_often(fits, dollars, described):
    columns = []
    for goal in (60, 20, 9, 4):
        table = targets.chances(fits, dollars[1], with_goal(described, "content_2033", 2033, goal))
        columns.append(table[table["target"] == "content_2033"].set_index(["assumption", "model"])["chance_pct"])
    rises = pd.concat(columns, axis=1).diff(axis=1).iloc[:, 1:]
    assert (rises >= 0).all(axis=None)
    assert (rises.drop(index=[("constant_share", "naive")]).max(axis=1) > 5).all()


def test_a_goal_of_what_is_sold_already_is_a_toss_up_without_growth(fits, described):
    table = targets.chances({"naive": fits["naive"]}, {}, with_goal(described, "content_2033", 2033, TOTAL / 10_000))
    assert found(table, "content_2033", "constant_share", "naive") == pytest.approx(0.5, abs=tolerance(0.5))


@pytest.mark.parametrize("year", [2024, 2023])
def test_a_target_that_lies_not_ahead_has_no_chance(fits, dollars, described, year):
    table = targets.chances(fits, dollars[1], with_goal(described, "content_2028", year, 10))
    assert set(table["target"]) == {"content_2033"}


def test_a_last_year_without_a_content_total_has_no_chance(fits, dollars, described, chances):
    table = targets.chances(fits, dollars[1], without(described, "content.total.level.2024"))
    assert table.empty
    assert list(table.columns) == list(chances.columns)


def test_an_earlier_sample_knows_nothing_of_later_years(levels, described, sectors):
    until, (anime, rest) = levels.loc[:2023], sectors
    table = targets.chances({"drift": trends.fit("drift", until)}, {}, described)
    mean, variance = drift(until, 2033 - 2023)
    expected = stats.norm.sf(math.log(200_000 / (anime[2] + rest[2])), mean, math.sqrt(variance))
    assert found(table, "content_2033", "constant_share", "drift") == pytest.approx(expected, abs=tolerance(expected))
    # Only three totals were known by then, and two changes are too few for a growth of the others.
    assert set(table["assumption"]) == {"constant_share", "all_at_anime_rate"}


@pytest.mark.parametrize("lost", [("2021", "2022"), ("2022",), ("2021",)])
def test_the_other_sectors_need_four_years_running_to_have_a_growth_of_their_own(fits, described, lost):
    known = without(described, *(f"content.total.level.{year}" for year in lost))
    table = targets.chances({"drift": fits["drift"]}, {}, known)
    assert set(table["assumption"]) == {"constant_share", "all_at_anime_rate"}


# --- chances as named numbers ------------------------------------------------------------------------
@pytest.fixture(scope="module")
def named(chances, subject, dollars, described):
    return targets.chance_quantities(chances, subject, dollars[0], described)


def test_a_chance_is_named_after_its_assumption_and_constant_share_needs_no_name(named, chances):
    samples = {"target.overseas.sample.2002-2024", "target.overseas_usd.sample.2002-2024"}
    assert len(named) == 2 * len(chances) + len(samples)
    assert samples < set(named)
    for row in chances.itertuples():
        variant = "" if row.assumption == "constant_share" else f"{row.assumption}."
        chance = named[f"target.{row.target}.chance.{variant}{row.model}"]
        error = named[f"target.{row.target}.chance_error.{variant}{row.model}"]
        assert (chance.value, chance.unit, chance.digits) == (row.chance_pct, "%", 1)
        assert (error.value, error.unit) == (row.error_points, "%")
        assert row.words in chance.label
        assert quantities.MODEL_WORDS[row.model] in chance.label
        assert chance.inputs == error.inputs


def test_a_chance_rests_on_goal_totals_and_the_sample_that_was_fitted(named, every_quantity):
    totals = [f"content.total.level.{year}" for year in range(2021, 2025)]
    for key, item in named.items():
        if ".sample." not in key:
            target, year = key.split(".")[1], key.split(".")[1].removeprefix("content_")
            sample = "overseas_usd" if ".rate_" in key else "overseas"
            assert set(item.inputs) == {
                f"target.{target}.level.{year}", *totals, f"target.{sample}.sample.2002-2024"
            }  # fmt: skip
    behind = {
        assumption: trace.raw_behind(every_quantity, f"target.content_2033.chance.{assumption}drift")
        for assumption in ("", "rate_stays.")
    }
    rate = every_quantity["fx.usdjpy.level.2010"].inputs[0]
    assert rate in behind["rate_stays."] and rate not in behind[""]


# --- the price in dollars ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def priced(described):
    return targets.rate_quantities(described, list(range(2002, 2025)))


def test_the_goal_in_dollars_is_the_goal_over_the_rate(priced, rates):
    # 20 trillion over 151.4551 is 132.05 billion.
    assert rates[-1] == 151.4551
    assert priced["target.content_2033.level_usd.last"].value == pytest.approx(132.05, abs=0.005)
    for target, (_, goal) in GOALS.items():
        for name, rate in zip(
            ("last", "average", "lowest", "highest"), (rates[-1], rates.mean(), min(rates), max(rates)), strict=True
        ):
            item = priced[f"target.{target}.level_usd.{name}"]
            assert item.value == pytest.approx(goal * 1e8 / rate / 1e9, rel=1e-12)
            assert item.unit == "bn USD"


def test_growth_in_dollars_starts_from_the_total_at_its_own_rate(priced, rates):
    for target, (year, goal) in GOALS.items():
        for name, rate in zip(
            ("last", "average", "lowest", "highest"), (rates[-1], rates.mean(), min(rates), max(rates)), strict=True
        ):
            level = TOTAL / rates[-1]
            growth = priced[f"target.{target}.required_growth_usd.{name}"].value
            for _ in range(year - 2024):
                level *= 1 + growth / 100
            assert level == pytest.approx(goal / rate, rel=1e-12)


def test_at_the_rate_of_the_last_year_dollars_must_grow_as_yen(priced, described):
    for target in GOALS:
        asked = described[f"target.{target}.required_growth.from_2024"].value
        assert priced[f"target.{target}.required_growth_usd.last"].value == pytest.approx(asked, rel=1e-12)


def test_a_dearer_yen_asks_for_more_dollars(priced):
    for target in GOALS:
        lowest, average, highest = (
            priced[f"target.{target}.required_growth_usd.{name}"].value for name in ("lowest", "average", "highest")
        )
        assert lowest > average > highest


def test_the_average_is_named_after_its_years_and_follows_them(described, priced, rates):
    assert priced["fx.usdjpy.average.2002-2024"].value == pytest.approx(rates.mean(), rel=1e-12)
    later = targets.rate_quantities(described, list(range(2012, 2025)))
    assert later["fx.usdjpy.average.2012-2024"].value == pytest.approx(rates[10:].mean(), rel=1e-12)
    goal = later["target.content_2028.level_usd.lowest"].value
    assert goal == pytest.approx(100_000 * 1e8 / min(rates[10:]) / 1e9, rel=1e-12)


def test_a_target_that_lies_not_ahead_has_a_price_but_asks_no_growth(described):
    priced = targets.rate_quantities(with_goal(described, "content_2028", 2024, 10), list(range(2002, 2025)))
    assert "target.content_2028.level_usd.last" in priced
    assert not [key for key in priced if key.startswith("target.content_2028.required_growth_usd")]


def test_without_a_rate_or_a_total_of_the_last_year_there_is_no_price(described):
    assert not targets.rate_quantities(described, list(range(2002, 2024)))
    assert not targets.rate_quantities(described, [])
    assert not targets.rate_quantities(without(described, "content.total.level."), list(range(2002, 2025)))
