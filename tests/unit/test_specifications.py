"""The declared grid of specifications: bounded, known in advance, each cell a fit that a hand can repeat."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import yaml

from anime_growth import clean, series, specifications, trace, trends, units
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities
from anime_growth.specifications import Cell
from anime_growth.trends import CannotFit

# The grid of the real series takes seconds: one worker fits it for all of these tests.
pytestmark = pytest.mark.xdist_group("specifications")

LEVELS = pd.Series({year: 100 * 1.08 ** (year - 2000) * (1.3 if year % 4 else 1.0) for year in range(2000, 2016)})
NO_BREAKS = pd.DataFrame({"series": ["a.b"], "year": pd.array([2005], dtype="Int64"), "marks_growth": [False]})


def breaks(*years, name="a.b"):
    """A register that marks these years of one series."""
    return pd.DataFrame({"series": name, "year": pd.array(years, dtype="Int64"), "marks_growth": True})


def block(**changes):
    return {
        "what": "one", "start_year": [2000], "basis": ["yen"], "edition": ["latest"], "model": ["drift"],
        "break_handling": ["as_printed"], "leave_out": ["none"], **changes,
    }  # fmt: skip


def declared(*blocks, conclusions=()):
    return specifications.Declared.model_validate({"blocks": list(blocks), "conclusions": list(conclusions)})


def grid(spec, levels=LEVELS, register=NO_BREAKS, vintages=None, **further):
    """The cells of `spec` fitted to made-up levels in yen, and in other bases where given."""
    return specifications.fitted(spec, {"yen": levels, **further}, register, "a.b", vintages or {})


# --- the committed file --------------------------------------------------------------------------
@pytest.fixture(scope="module")
def committed():
    return specifications.read()


@pytest.fixture(scope="module")
def bases(described):
    return series.in_every_basis(described, "market.overseas", 2002)


@pytest.fixture(scope="module")
def vintages(tables):
    return clean.vintages(tables["market_editions"])


@pytest.fixture(scope="module")
def real(committed, bases, tables, vintages):
    """The committed grid fitted to overseas revenue."""
    whole = {basis: chosen.levels for basis, chosen in bases.items()}
    return specifications.fitted(committed, whole, tables["breaks"], "market.overseas", vintages)


def test_the_committed_grid_has_many_cells_and_no_more_than_it_may(committed):
    assert 100 < len(specifications.cells(committed, 2024)) <= specifications.MOST_CELLS == 400


def test_no_cell_of_the_committed_grid_stands_twice(committed, real):
    cells = specifications.cells(committed, 2024)
    assert len(set(cells)) == len(cells) == len(real)
    assert not real.duplicated(list(specifications.FACTORS)).any()


def test_every_cell_of_the_real_series_is_fitted_or_refused_in_words(real):
    fitted = real["growth_pct"].notna()
    assert fitted.sum() > 300
    assert real.loc[fitted, "remark"].str.fullmatch(r"|not counted: the same figures as start \d{4}, .+").all()
    assert real.loc[~fitted, "remark"].str.match(r"not fitted: [a-z].{10,}").all()
    rows = real[fitted]
    assert np.isfinite(rows["growth_pct"]).all()
    assert (rows["growth_lo95_pct"].fillna(-math.inf) <= rows["growth_pct"]).all()
    assert (rows["growth_pct"] <= rows["growth_hi95_pct"].fillna(math.inf)).all()
    assert (rows["last_year"] - rows["first_year"] + 1 >= 8).all()
    assert (rows["first_year"] >= rows["start_year"]).all()


def test_cells_that_come_to_the_same_figures_are_counted_once(real):
    """Splicing changes nothing where no marked year lies inside, and an edition may end where another does."""
    fitted = real.dropna(subset="growth_pct")
    again = fitted[fitted["remark"] != ""]
    assert len(again)
    once = fitted[fitted["remark"] == ""]
    figures = ["model", "basis", "first_year", "last_year", "growth_pct", "growth_lo95_pct"]
    assert set(again[figures].itertuples(index=False)) <= set(once[figures].itertuples(index=False))
    assert not once.duplicated([*figures, "growth_hi95_pct"]).any()


def test_the_committed_models_are_all_but_naive_and_the_conclusions_have_their_names(committed):
    assert {model for part in committed.blocks for model in part.model} == set(trends.MODELS) - {"naive"}
    assert [item.name for item in committed.conclusions] == [
        "grows", "surely_grows", "within_drift", "short_of_target",
    ]  # fmt: skip


def test_a_series_with_fewer_years_than_models_need_is_refused_in_every_cell(committed, tables, vintages):
    short = {basis: LEVELS.iloc[:5] for basis in ("yen", "usd", "real")}
    table = specifications.fitted(committed, short, tables["breaks"], "market.overseas", vintages)
    assert table["growth_pct"].isna().all()
    assert table["remark"].str.startswith("not fitted: ").all()
    none = specifications.fitted(committed, {}, tables["breaks"], "market.overseas", vintages)
    assert none["remark"].str.contains("the series is not known in").all()


# --- cells ---------------------------------------------------------------------------------------
def test_a_block_is_the_product_of_its_lists_and_a_cell_in_two_blocks_counts_once():
    first = block(start_year=[2000, 2002], model=["drift", "loglinear"])
    second = block(what="two", start_year=[2002, 2003])
    cells = specifications.cells(declared(first, second), 2015)
    assert [(cell.start_year, cell.model) for cell in cells] == [
        (2000, "drift"), (2000, "loglinear"), (2002, "drift"), (2002, "loglinear"), (2003, "drift"),
    ]  # fmt: skip


def test_each_is_a_cell_for_every_year_from_the_first_to_the_last():
    spec = declared(block(start_year=[2000, 2005], leave_out=["none", "each"]))
    cells = specifications.cells(spec, 2015)
    for start in (2000, 2005):
        own = [cell.leave_out for cell in cells if cell.start_year == start]
        assert own == ["none", *range(start, 2016)]


def test_a_year_named_and_each_are_not_counted_twice():
    spec = declared(block(leave_out=["each", 2003]))
    assert len(specifications.cells(spec, 2015)) == 16


@pytest.mark.parametrize(("years", "fits"), [(400, True), (401, False)])
def test_more_than_four_hundred_cells_are_refused(years, fits):
    spec = declared(block(start_year=list(range(1600, 1600 + years))))
    if fits:
        assert len(specifications.cells(spec, 2024)) == 400
    else:
        with pytest.raises(InputError, match=r"specifications\.yml: declares 401 cells. Keep to 400 at most"):
            specifications.cells(spec, 2024)


def test_cells_made_by_each_count_towards_the_four_hundred():
    with pytest.raises(InputError, match="declares 401 cells"):
        specifications.cells(declared(block(start_year=[1624], leave_out=["each"])), 2024)


def test_four_hundred_and_one_that_repeat_one_another_are_fewer():
    assert len(specifications.cells(declared(*[block()] * 401), 2024)) == 1


# --- the file, damaged ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d.update(more=[]), "field more"),
        (lambda d: d["blocks"][1].update(colour="red"), "field blocks.1.colour"),
        (lambda d: d["blocks"][0].update(model=["drift", "arima"]), "field blocks.0.model: .*arima is no model"),
        (lambda d: d["blocks"][2].update(basis=["eur"]), "field blocks.2.basis.0: .*'yen', 'usd' or 'real'"),
        (lambda d: d["blocks"][1].update(break_handling=["mended"]), "field blocks.1.break_handling.0: .*'spliced'"),
        (lambda d: d["blocks"][0].update(start_year=["2002"]), "field blocks.0.start_year.0"),
        (lambda d: d["blocks"][0].update(start_year=2002), "field blocks.0.start_year"),
        (lambda d: d["blocks"][0].update(edition=["newest"]), "field blocks.0.edition.0"),
        (lambda d: d["blocks"][0].update(leave_out=["some"]), "field blocks.0.leave_out.0"),
        (lambda d: d["blocks"][3].pop("leave_out"), "field blocks.3.leave_out"),
        (lambda d: d.pop("blocks"), "field blocks"),
        (lambda d: d.pop("conclusions"), "field conclusions"),
        (lambda d: d["conclusions"][0].pop("holds"), "field conclusions.0.holds"),
        (lambda d: d["conclusions"][1].update(basis=["gold"]), "field conclusions.1.basis.0"),
        (lambda d: d["conclusions"][1].update(unless="x > 1"), "field conclusions.1.unless"),
    ],
)  # fmt: skip
def test_what_is_not_known_in_the_file_is_refused_by_file_and_field(tmp_path, committed, change, field):
    content = copy.deepcopy(committed.model_dump())
    change(content)
    path = tmp_path / "specifications.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match=rf"^specifications\.yml, {field}") as refused:
        specifications.read(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"blocks: [", b"blocks:\n\t- x: 1", b"\xe9", b"", b"- 1\n- 2", b"blocks: *nothing"],
    ids=["a bracket left open", "a tab", "not in UTF-8", "empty", "a list", "an anchor that is not there"],
)  # fmt: skip
def test_what_is_no_yaml_or_no_grid_is_refused_in_one_line_that_names_the_file(tmp_path, content):
    path = tmp_path / "own.yml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="^own.yml") as refused:
        specifications.read(path)
    assert "\n" not in str(refused.value)


def test_a_file_that_says_the_same_is_read_the_same(tmp_path, committed):
    path = tmp_path / "specifications.yml"
    path.write_text(yaml.safe_dump(committed.model_dump()), encoding="utf-8")
    assert specifications.read(path) == committed


# --- splicing ------------------------------------------------------------------------------------
def test_a_spliced_change_is_the_mean_of_the_others_and_the_last_level_stays():
    spliced = specifications.spliced(LEVELS, {2008})
    changes, before = np.log(spliced).diff().dropna(), np.log(LEVELS).diff().dropna()
    others = before.drop(2008)
    assert changes[2008] == pytest.approx(others.mean(), rel=1e-9)
    assert changes.drop(2008).to_numpy() == pytest.approx(others.to_numpy(), rel=1e-9)
    assert spliced[2015] == pytest.approx(LEVELS[2015], rel=1e-12)
    assert spliced.loc[2008:].to_numpy() == pytest.approx(LEVELS.loc[2008:].to_numpy(), rel=1e-12)
    moved = spliced.loc[:2007] / LEVELS.loc[:2007]
    assert moved.to_numpy() == pytest.approx(math.exp(before[2008] - others.mean()), rel=1e-9)
    assert list(spliced.index) == list(LEVELS.index)


def test_several_marked_changes_become_the_mean_of_those_that_are_not():
    spliced = specifications.spliced(LEVELS, {2004, 2015})
    changes, before = np.log(spliced).diff().dropna(), np.log(LEVELS).diff().dropna()
    mean = before.drop([2004, 2015]).mean()
    assert changes.loc[[2004, 2015]].to_numpy() == pytest.approx([mean, mean], rel=1e-9)
    assert spliced[2015] == pytest.approx(LEVELS[2015], rel=1e-12)


@pytest.mark.parametrize("marked", [set(), {1999}, {2000}, {2016}], ids=str)
def test_without_a_change_into_a_marked_year_nothing_is_spliced(marked):
    pd.testing.assert_series_equal(specifications.spliced(LEVELS, marked), LEVELS)


def test_where_every_change_is_marked_there_is_nothing_to_go_by():
    pd.testing.assert_series_equal(specifications.spliced(LEVELS, set(range(2001, 2016))), LEVELS)


def test_splicing_takes_a_jump_out_of_steady_growth():
    steady = pd.Series(100 * 1.05 ** np.arange(16), index=LEVELS.index)
    jumped = steady.where(steady.index < 2008, steady * 2)
    assert specifications.spliced(jumped, {2008}).to_numpy() == pytest.approx(2 * steady.to_numpy(), rel=1e-12)


# --- the sample of a cell ------------------------------------------------------------------------
def sample(cell, levels=LEVELS, marked=(), vintages=None):
    return specifications.sample(cell, {"yen": levels}, set(marked), vintages or {})


def cell(start_year=2000, edition="latest", handling="as_printed", leave_out="none", model="drift"):
    return Cell(start_year, "yen", edition, model, handling, leave_out)


def test_a_sample_starts_in_its_first_year():
    assert list(sample(cell(2004)).index) == list(range(2004, 2016))


@pytest.mark.parametrize(("marked", "last"), [({2010}, 2009), ({2012, 2010}, 2009), ({2000}, 2015), ({2030}, 2015)])
def test_before_the_break_ends_with_the_year_before_the_first_marked_one(marked, last):
    assert list(sample(cell(handling="before_break"), marked=marked).index) == list(range(2000, last + 1))


def test_a_break_before_the_first_year_does_not_end_the_sample():
    assert list(sample(cell(2006, handling="before_break"), marked={2005, 2006}).index) == list(range(2006, 2016))


def test_an_edition_ends_with_its_newest_year_and_looks_no_further():
    vintages = {2011: 2010, 2014: 2012}
    for edition, newest in vintages.items():
        expected = sample(cell(edition=edition), vintages=vintages)
        assert list(expected.index) == list(range(2000, newest + 1))
        later = LEVELS.where(LEVELS.index <= newest, LEVELS * 9)
        for handling in ("as_printed", "spliced", "before_break"):
            chosen = cell(edition=edition, handling=handling)
            found = sample(chosen, later, {2006, 2013}, vintages)
            pd.testing.assert_series_equal(found, sample(chosen, LEVELS, {2006, 2013}, vintages))


def test_the_real_editions_end_where_their_reports_did(real):
    rows = real[(real["edition"] != "latest")]
    newest = dict(zip(rows["edition"].astype(int), rows["last_year"], strict=True))
    assert newest == {2013: 2012, 2016: 2014, **{edition: edition - 1 for edition in range(2017, 2025)}}
    assert set(rows["first_year"]) == {2002}
    assert set(real.loc[(real["edition"] == "latest") & (real["break_handling"] == "spliced"), "last_year"]) == {2024}
    assert set(real.loc[real["break_handling"] == "before_break", "last_year"].dropna()) == {2019}


def test_an_edition_that_is_not_at_hand_is_refused_in_words():
    with pytest.raises(CannotFit, match="edition 2013 is not at hand"):
        sample(cell(edition=2013), vintages={2014: 2012})


def test_a_year_left_out_is_bridged_inside_and_cut_off_at_an_end():
    inside = sample(cell(leave_out=2006))
    assert inside[2006] == pytest.approx(math.sqrt(LEVELS[2005] * LEVELS[2007]), rel=1e-12)
    pd.testing.assert_series_equal(inside.drop(2006), LEVELS.drop(2006))
    assert list(sample(cell(leave_out=2000)).index) == list(range(2001, 2016))
    assert list(sample(cell(leave_out=2015)).index) == list(range(2000, 2015))


@pytest.mark.parametrize("year", [1999, 2016])
def test_a_year_outside_the_sample_cannot_be_left_out(year):
    with pytest.raises(CannotFit, match=f"{year} is not in the sample"):
        sample(cell(leave_out=year))


def test_a_sample_leaves_the_levels_as_they_were():
    before = LEVELS.copy()
    sample(cell(handling="spliced", leave_out=2006), marked={2008})
    pd.testing.assert_series_equal(LEVELS, before)


# --- fits ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["drift", "loglinear", "segmented", "combination"])
@pytest.mark.parametrize(("handling", "left"), [("as_printed", 2006), ("spliced", "none"), ("before_break", 2000)])
def test_a_cell_is_the_model_fitted_to_its_sample(model, handling, left):
    spec = declared(block(model=[model], break_handling=[handling], leave_out=[left]))
    (row,) = grid(spec, register=breaks(2011)).to_dict("records")
    levels = LEVELS
    if handling == "before_break":
        levels = LEVELS.loc[2001:2010]
    elif handling == "spliced":
        changes = np.log(LEVELS).diff()
        mean = changes.drop([2000, 2011]).mean()
        levels = LEVELS.where(LEVELS.index >= 2011, LEVELS * math.exp(changes[2011] - mean))
    else:
        levels = LEVELS.copy()
        levels[2006] = math.sqrt(LEVELS[2005] * LEVELS[2007])
    by_hand = trends.fit(model, levels)
    found = [row[f"{name}_pct"] for name in ("growth", "growth_lo95", "growth_hi95")]
    expected = [by_hand.growth_pct, by_hand.growth_lo95, by_hand.growth_hi95]
    expected = [math.nan if value is None else value for value in expected]
    assert found == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert (row["first_year"], row["last_year"]) == (levels.index[0], levels.index[-1])


def test_drift_of_the_real_series_by_hand(real, levels):
    def growth(**factors):
        chosen = {
            "start_year": 2002, "basis": "yen", "edition": "latest", "model": "drift",
            "break_handling": "as_printed", "leave_out": "none", **factors,
        }  # fmt: skip
        rows = real[(real[list(chosen)] == pd.Series(chosen)).all(axis=1)]
        assert len(rows) == 1
        return rows["growth_pct"].iloc[0]

    assert growth() == pytest.approx(((21702 / 3725) ** (1 / 22) - 1) * 100, rel=1e-9)
    assert growth(start_year=2012) == pytest.approx(((21702 / 2408) ** (1 / 12) - 1) * 100, rel=1e-9)
    assert growth(edition="2021") == pytest.approx(((levels[2020] / 3725) ** (1 / 18) - 1) * 100, rel=1e-9)
    assert growth(break_handling="before_break") == pytest.approx(((12009 / 3725) ** (1 / 17) - 1) * 100, rel=1e-9)
    # The change into 2020, marked as a change of method, counts as the mean of the 21 others.
    others = math.log(21702 / 3725) - math.log(12394 / 12009)
    assert growth(break_handling="spliced") == pytest.approx(math.expm1(others / 21) * 100, rel=1e-9)
    assert growth(leave_out="2024") == pytest.approx(((17222 / 3725) ** (1 / 21) - 1) * 100, rel=1e-9)
    assert growth(leave_out="2002") == pytest.approx(((21702 / 4212) ** (1 / 21) - 1) * 100, rel=1e-9)
    assert growth(leave_out="2009") == pytest.approx(growth(), rel=1e-9)  # the mean change knows only the ends


def test_each_basis_is_fitted_to_its_own_levels(real, bases):
    rows = real.query(
        "edition == 'latest' and break_handling == 'as_printed' and model == 'drift' and start_year == 2002"
    )
    rows = rows[rows["leave_out"] == "none"].set_index("basis")["growth_pct"]
    for basis, chosen in bases.items():
        ratio = chosen.levels[2024] / chosen.levels[2002]
        assert rows[basis] == pytest.approx((ratio ** (1 / 22) - 1) * 100, rel=1e-9)


def test_only_marked_years_of_the_own_series_count():
    spec = declared(block(break_handling=["as_printed", "before_break"]))
    for register in (NO_BREAKS, breaks(2010, name="a.c"), breaks(None)):
        assert list(grid(spec, register=register)["last_year"]) == [2015, 2015]
    assert list(grid(spec, register=breaks(2010))["last_year"]) == [2015, 2009]


def test_a_cell_that_cannot_be_fitted_says_why_and_the_others_are_fitted():
    spec = declared(
        block(start_year=[2000, 2009], basis=["yen", "usd"]), block(leave_out=[1990]), block(edition=[2020])
    )
    table = grid(spec)
    assert list(table["remark"]) == [
        "", "not fitted: the series is not known in usd",
        "not fitted: the series has 7 years, and at least 8 are needed", "not fitted: the series is not known in usd",
        "not fitted: 1990 is not in the sample", "not fitted: editions are those of the market's reports",
    ]  # fmt: skip
    assert table["growth_pct"].notna().to_list() == [True, *[False] * 5]


# --- conclusions ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def known(described, bases, fits, trend_table, subject):
    return described.joined(trends.trend_quantities(fits, trend_table, subject, described))


@pytest.fixture(scope="module")
def held(committed, real, known):
    return specifications.conclusions(committed, real, known)


def test_every_conclusion_of_the_file_holds_in_as_many_cells_as_a_hand_counts(held, real, known):
    fitted = real[real["remark"] == ""]
    yen, with_interval = fitted[fitted["basis"] == "yen"], fitted.dropna(subset="growth_lo95_pct")
    low, high = (known[f"trend.overseas.drift.growth_{end}"].value for end in ("lo95", "hi95"))
    steady = yen[yen["model"].isin(["drift", "loglinear", "loglinear_ar1", "segmented"])]
    asked_for = ((20 / 6.0044) ** (1 / 9) - 1) * 100  # from JPY 6.0044 trillion in 2024 to 20 in 2033
    expected = {
        "grows": ((fitted["growth_pct"] > 0).sum(), len(fitted)),
        "surely_grows": ((with_interval["growth_lo95_pct"] > 0).sum(), len(with_interval)),
        "within_drift": (yen["growth_pct"].between(low, high).sum(), len(yen)),
        "short_of_target": ((steady["growth_pct"] < asked_for).sum(), len(steady)),
    }
    found = {row.conclusion: (row.holds_in, row.cells) for row in held.itertuples()}
    assert found == expected
    assert (held["remark"] == "").all()
    # None of them holds everywhere and nowhere at once: the counts tell conclusions apart.
    assert len({holds / cells for holds, cells in found.values()}) == 4


def judged(table, *rules, known=None):
    """Conclusions named a, b, … with these rules and bases, on a table of cells."""
    spec = declared(
        block(),
        conclusions=[
            {"name": name, "say": f"it is {name}", "holds": rule, **({"basis": bases} if bases else {})}
            for name, (rule, bases) in zip("abcdef", rules, strict=False)
        ],
    )
    return specifications.conclusions(spec, table, known or Quantities()).set_index("conclusion")


CELLS = pd.DataFrame(
    {
        "model": "drift",
        "basis": ["yen", "yen", "usd", "usd", "real"],
        "growth_pct": [5.0, -1.0, 3.0, math.nan, 0.0],
        "growth_lo95_pct": [1.0, -4.0, math.nan, math.nan, -2.0],
        "growth_hi95_pct": [9.0, 2.0, 8.0, math.nan, math.nan],
    }
).assign(remark="")


@pytest.mark.parametrize(
    ("rule", "bases", "holds", "cells"),
    [
        ("cell.growth > 0", None, 2, 4),
        ("cell.growth >= 0", None, 3, 4),
        ("cell.growth > 0", ["yen"], 1, 2),
        ("cell.growth > 0", ["usd", "real"], 1, 2),
        ("cell.growth_lo95 > 0", None, 1, 3),
        ("cell.growth_hi95 > 5", None, 2, 3),
        ("cell.growth_hi95 - cell.growth_lo95 < 7", None, 1, 2),
    ],
)
def test_a_cell_without_growth_is_not_asked_and_one_without_an_interval_not_about_it(rule, bases, holds, cells):
    found = judged(CELLS, (rule, bases)).loc["a"]
    assert (found["holds_in"], found["cells"], found["remark"]) == (holds, cells, "")


def test_a_conclusion_about_an_unknown_quantity_is_not_judged_and_says_so():
    known = Quantities()
    known.record("goal.content.growth", 2.0, units.PERCENT_A_YEAR, "", "by hand", [])
    found = judged(
        CELLS, ("cell.growth > goal.content.growth", None), ("cell.growth > goal.anime.growth", None), known=known
    )
    assert (found.loc["a", "holds_in"], found.loc["a", "cells"]) == (2, 4)
    assert found.loc["a", "evidence"] == "goal.content.growth"
    assert (found.loc["b", "holds_in"], found.loc["b", "cells"]) == (0, 0)
    assert found.loc["b", "remark"] == "not judged: goal.anime.growth is not known in this run"


def test_a_conclusion_that_no_rule_can_read_is_refused_by_its_name():
    with pytest.raises(InputError, match=r"specifications\.yml, conclusion a"):
        judged(CELLS, ("cell.growth >> 0", None))


def test_without_any_fitted_cell_every_conclusion_is_asked_of_none(committed, known):
    nothing = CELLS.assign(growth_pct=math.nan)
    found = specifications.conclusions(committed, nothing, known)
    assert set(found["cells"]) == set(found["holds_in"]) == {0}


# --- as quantities -------------------------------------------------------------------------------
def test_each_conclusion_is_two_counts_that_rest_on_the_samples_of_every_basis(held, bases, known):
    made = specifications.specification_quantities(held, bases, known)
    counts = [key for key in made if key.startswith("specification.")]
    assert sorted(counts) == sorted(
        f"specification.overseas.{name}.{measure}"
        for name in ("grows", "surely_grows", "within_drift", "short_of_target")
        for measure in ("holds", "cells")
    )
    for row in held.itertuples():
        base = f"specification.overseas.{row.conclusion}"
        assert (made[f"{base}.holds"].value, made[f"{base}.cells"].value) == (row.holds_in, row.cells)
        assert 0 <= made[f"{base}.holds"].value <= made[f"{base}.cells"].value
        assert made[f"{base}.holds"].unit == "count"
    together = Quantities("2025", [*known.values(), *made.values()])
    behind = trace.raw_behind(together, "specification.overseas.grows.holds")
    editions = {cell for cell in behind if cell.startswith("aja/")}
    assert len(editions) == 23
    assert any("usdjpy" in cell for cell in behind)
    assert any("cpi" in cell for cell in behind)
    goal = "target.content_2033.required_growth.from_2024"
    assert goal in made["specification.overseas.short_of_target.holds"].inputs
    assert goal not in made["specification.overseas.grows.holds"].inputs
    assert not set(made) & set(known)


def test_what_was_not_judged_is_no_quantity(held, bases, known):
    made = specifications.specification_quantities(held.assign(cells=[0, 5, 5, 5]), bases, known)
    assert "specification.overseas.grows.holds" not in made
    assert "specification.overseas.grows.cells" not in made
    assert "specification.overseas.surely_grows.holds" in made


def test_another_series_has_keys_of_its_own(held, described, known):
    other = series.in_every_basis(described, "studio.overseas", 2002)
    made = specifications.specification_quantities(held, other, known)
    assert "specification.studio_overseas.grows.holds" in made
