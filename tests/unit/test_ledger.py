"""The ledger of forecasts: only added to, scored by formulas of its own, replayed without looking ahead."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anime_growth import clean, ledger, paths, projections, trends, units
from anime_growth.errors import InputError
from anime_growth.projections import PROBABILITIES
from anime_growth.series import MIN_YEARS, Subject

NAMES = list(PROBABILITIES)
LEVELS = pd.Series({year: 100 * 1.1 ** (year - 2000) * (1.2 if year % 3 else 1.0) for year in range(2000, 2016)})


def made_up(levels, name="made.up", basis="yen"):
    """A subject of these levels whose quantities nobody asks for."""
    return Subject(name, basis, units.JPY_100M, "made up", levels.astype(float), {}, "2025", "made up")


def published(levels, made_on="2026-01-01", edition="2025", ahead=3, models=("naive", "drift", "loglinear")):
    """Ledger rows of the projections of `levels` some years ahead."""
    fits, _ = trends.fit_all(levels)
    fits = {model: fit for model, fit in fits.items() if model in models}
    made = projections.project(fits, made_up(levels), int(levels.index[-1]) + ahead)
    return ledger.entries(made, made_on, edition)


def a_row(**changes):
    """A ledger of one forecast of 2013, made when 2010 was the newest year."""
    row = {
        "made_on": "2011-05-01", "edition": "2011", "series": "made.up", "basis": "yen", "start_year": 2000,
        "model": "drift", "target_year": 2013, "last_year": 2010, "unit": "100m JPY",
        "p2_5": 100.0, "p10": 200.0, "p25": 250.0, "p50": 300.0, "p75": 350.0, "p90": 400.0, "p97_5": 500.0,
    }  # fmt: skip
    return pd.DataFrame([{**row, **changes}])[ledger.COLUMNS]


# --- only added to -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def first():
    return published(LEVELS.loc[:2012])


def test_the_first_forecasts_make_the_ledger(first):
    assert len(first) == 9
    assert list(first.columns) == ledger.COLUMNS
    assert set(first["edition"]) == {"2025"}
    pd.testing.assert_frame_equal(ledger.appended(ledger.read(ledger.path().parent / "none.csv"), first), first)


def test_the_same_numbers_add_nothing_on_whatever_day(first):
    again = first.assign(made_on="2027-01-01")
    pd.testing.assert_frame_equal(ledger.appended(first, again), first)
    dust = again.assign(**{name: again[name] * (1 + 1e-9) for name in NAMES})
    pd.testing.assert_frame_equal(ledger.appended(first, dust), first)


def test_a_changed_number_is_added_with_its_date_and_the_old_row_stays(first):
    fresh = first.assign(made_on="2027-01-01")
    fresh.loc[4, "p97_5"] *= 1.001
    after = ledger.appended(first, fresh)
    pd.testing.assert_frame_equal(after.iloc[:9], first)
    pd.testing.assert_frame_equal(after.iloc[9:].reset_index(drop=True), fresh.iloc[[4]].reset_index(drop=True))


def test_a_number_that_goes_back_to_an_older_one_is_added_again(first):
    other = first.assign(made_on="2027-01-01", p50=first["p50"] * 1.01)
    after = ledger.appended(ledger.appended(first, other), first.assign(made_on="2028-01-01"))
    assert list(after["made_on"]) == ["2026-01-01"] * 9 + ["2027-01-01"] * 9 + ["2028-01-01"] * 9
    pd.testing.assert_frame_equal(ledger.appended(after, first.assign(made_on="2029-01-01")), after)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("edition", "2026"), ("series", "made.down"), ("basis", "usd"), ("start_year", 2001), ("model", "segmented"),
        ("target_year", 2030),
    ],
)  # fmt: skip
def test_a_forecast_of_something_else_is_added_although_its_numbers_are_the_same(first, column, value):
    fresh = first.iloc[:1].assign(**{column: value})
    after = ledger.appended(first, fresh)
    assert len(after) == 10
    assert after.iloc[-1][column] == value


def test_published_rows_never_change_or_vanish_whatever_comes():
    rng = np.random.default_rng(1)
    book = ledger.read(ledger.path().parent / "none.csv")
    for day in range(1, 25):
        count = int(rng.integers(0, 4))
        fresh = pd.concat(
            [
                a_row(
                    made_on=f"2026-01-{day:02d}", edition=str(rng.integers(2024, 2026)),
                    target_year=year, p50=float(rng.integers(299, 302)),
                )
                for year in rng.choice(range(2011, 2015), count, replace=False)
            ]
            or [a_row().iloc[:0]],
            ignore_index=True,
        )  # fmt: skip
        after = ledger.appended(book, fresh)
        if len(book):
            pd.testing.assert_frame_equal(after.iloc[: len(book)], book)
        told = after.drop_duplicates(ledger.IDENTITY, keep="last").set_index(ledger.IDENTITY)["p50"]
        for row in fresh.itertuples():  # what the run says is what the ledger last says
            assert told.loc[tuple(getattr(row, name) for name in ledger.IDENTITY)] == row.p50
        book = after
    assert len(book) > 10


def test_a_run_without_projections_adds_nothing(first):
    none = ledger.entries(projections.project({}, made_up(LEVELS), 2030), "2026-01-01", "2025")
    assert list(none.columns) == ledger.COLUMNS
    pd.testing.assert_frame_equal(ledger.appended(first, none), first)


# --- losses --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("level", "quantiles", "expected"),
    [
        (200, {"p50": 100}, 50 * math.log(2)),  # above a quantile weighs its probability
        (100, {"p50": 200}, 50 * math.log(2)),
        (200, {"p90": 100}, 90 * math.log(2)),
        (100, {"p90": 200}, 10 * math.log(2)),  # below it the rest
        (200, {"p2_5": 100}, 2.5 * math.log(2)),
        (100, {"p2_5": 200}, 97.5 * math.log(2)),
        (100, {"p10": 50, "p90": 400}, (10 * math.log(2) + 10 * math.log(4)) / 2),
        (7, dict.fromkeys(NAMES, 7), 0),
    ],
)
def test_a_miss_is_weighed_by_the_probability_on_its_side(level, quantiles, expected):
    assert ledger.pinball(level, quantiles) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_loss_is_free_of_scale():
    quantiles = dict(zip(NAMES, (1, 2, 3, 4, 5, 6, 7), strict=True))
    in_other_units = {name: value * 1e4 for name, value in quantiles.items()}
    assert ledger.pinball(4.5e4, in_other_units) == pytest.approx(ledger.pinball(4.5, quantiles), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_expected_loss_of_each_quantile_is_least_at_the_true_one(name):
    spread, count = 0.4, 2000
    scores = stats.norm.ppf((np.arange(count) + 0.5) / count)  # outcomes as likely as one another
    outcomes = 1000 * np.exp(spread * scores)
    true = math.log(1000) + spread * stats.norm.ppf(float(name[1:].replace("_", ".")) / 100)

    def expected(shift):
        return np.mean([ledger.pinball(level, {name: math.exp(true + shift)}) for level in outcomes])

    shifts = np.array([-0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2])
    losses = [expected(shift) for shift in shifts]
    assert shifts[int(np.argmin(losses))] == 0
    assert losses[:4] == sorted(losses[:4], reverse=True)
    assert losses[3:] == sorted(losses[3:])


def test_a_forecaster_who_knows_the_spread_scores_better_than_one_too_sure_or_too_shy():
    rng = np.random.default_rng(2)
    outcomes = np.exp(rng.normal(5, 0.3, 3000))
    probabilities = np.array(list(PROBABILITIES.values()))

    def mean_loss(spread):
        quantiles = dict(zip(NAMES, np.exp(5 + spread * stats.norm.ppf(probabilities)), strict=True))
        return np.mean([ledger.pinball(level, quantiles) for level in outcomes])

    assert mean_loss(0.3) < min(mean_loss(0.2), mean_loss(0.45))


# --- outcomes ------------------------------------------------------------------------------------
def test_an_outcome_has_its_level_its_horizon_its_loss_and_its_hits():
    levels = {("made.up", "yen"): pd.Series({2012: 1.0, 2013: 450.0, 2014: 2.0})}
    (row,) = ledger.outcomes(a_row(), levels).to_dict("records")
    assert (row["level"], row["horizon"], row["p50"], row["target_year"]) == (450, 3, 300, 2013)
    assert (row["hit80"], row["hit95"]) == (False, True)
    quantiles = {0.025: 100, 0.1: 200, 0.25: 250, 0.5: 300, 0.75: 350, 0.9: 400, 0.975: 500}
    by_hand = [max(p * math.log(450 / q), (p - 1) * math.log(450 / q)) * 100 for p, q in quantiles.items()]
    assert row["pinball_log_points"] == pytest.approx(sum(by_hand) / 7, rel=1e-12)


@pytest.mark.parametrize(
    ("level", "hit80", "hit95"),
    [(99, False, False), (100, False, True), (199, False, True), (200, True, True), (400, True, True),
     (401, False, True), (500, False, True), (501, False, False)],
)  # fmt: skip
def test_the_ends_of_an_interval_belong_to_it(level, hit80, hit95):
    found = ledger.outcomes(a_row(), {("made.up", "yen"): pd.Series({2013: level})}).iloc[0]
    assert (bool(found["hit80"]), bool(found["hit95"])) == (hit80, hit95)


@pytest.mark.parametrize("last_year", [2013, 2014])
def test_a_year_that_the_forecaster_had_seen_is_no_outcome(last_year):
    levels = {("made.up", "yen"): pd.Series({2013: 300.0})}
    assert ledger.outcomes(a_row(last_year=last_year), levels).empty
    assert len(ledger.outcomes(a_row(last_year=2012), levels)) == 1


@pytest.mark.parametrize(
    "levels",
    [{}, {("made.up", "usd"): pd.Series({2013: 3.0})}, {("made.down", "yen"): pd.Series({2013: 3.0})},
     {("made.up", "yen"): pd.Series({2012: 3.0})}],
    ids=["nothing", "another basis", "another series", "another year"],
)  # fmt: skip
def test_what_is_not_printed_is_no_outcome(levels):
    found = ledger.outcomes(a_row(), levels)
    assert found.empty
    assert {"horizon", "level", "pinball_log_points", "hit80", "hit95"} < set(found.columns)
    assert ledger.score(found).empty


def test_scores_are_means_over_the_forecasts_of_each_model():
    book = pd.concat(
        [
            a_row(), a_row(edition="2012", last_year=2011, made_on="2012-05-01"),
            a_row(edition="2012", target_year=2014, last_year=2011), a_row(model="naive", target_year=2012),
            a_row(target_year=2020),
        ],
        ignore_index=True,
    )  # fmt: skip
    known = ledger.outcomes(book, {("made.up", "yen"): pd.Series({2012: 1000.0, 2013: 300.0, 2014: 450.0})})
    table = ledger.score(known).set_index("model")
    assert list(table.index) == ["drift", "naive"]
    assert table["forecasts"].to_dict() == {"drift": 3, "naive": 1}
    assert table["editions"].to_dict() == {"drift": 2, "naive": 1}
    assert table.loc["drift", "cover80_pct"] == pytest.approx(200 / 3)
    assert table.loc["drift", "cover95_pct"] == 100
    assert table.loc["naive", ["cover80_pct", "cover95_pct"]].to_list() == [0, 0]
    quantiles = a_row().iloc[0][NAMES].to_dict()
    expected = (2 * ledger.pinball(300, quantiles) + ledger.pinball(450, quantiles)) / 3
    assert table.loc["drift", "pinball_log_points"] == pytest.approx(expected, rel=1e-12)


def test_honest_intervals_cover_what_they_promise():
    rng = np.random.default_rng(3)
    at = np.exp(6 + 0.2 * stats.norm.ppf(list(PROBABILITIES.values())))
    years = range(2011, 2011 + 4000)
    book = pd.concat([a_row(target_year=year, **dict(zip(NAMES, at, strict=True))) for year in years[:1]] * len(years))
    book = book.assign(target_year=list(years))
    levels = pd.Series(np.exp(rng.normal(6, 0.2, len(years))), index=years)
    scores = ledger.score(ledger.outcomes(book, {("made.up", "yen"): levels})).iloc[0]
    assert scores["forecasts"] == 4000
    assert scores["cover80_pct"] == pytest.approx(80, abs=2)
    assert scores["cover95_pct"] == pytest.approx(95, abs=1.2)


def test_published_and_replayed_scores_stand_side_by_side():
    known = ledger.outcomes(a_row(), {("made.up", "yen"): pd.Series({2013: 300.0})})
    table = ledger.all_scores(known.iloc[:0], known)
    assert list(table["ledger"]) == ["replayed"]
    assert list(ledger.all_scores(known, known)["ledger"]) == ["published", "replayed"]


# --- a later edition -----------------------------------------------------------------------------
def test_forecasts_published_before_two_further_years_are_scored_against_them(levels):
    fits, _ = trends.fit_all(levels.loc[:2022])
    cut = Subject("market.overseas", "yen", units.JPY_100M, "", levels.loc[:2022], {}, "2023", "")
    book = ledger.entries(projections.project(fits, cut, 2033), "2023-11-01", "2023")
    assert ledger.outcomes(book, {("market.overseas", "yen"): levels.loc[:2022]}).empty
    known = ledger.outcomes(book, {("market.overseas", "yen"): levels})
    assert sorted(zip(known["model"], known["target_year"], known["horizon"], strict=True)) == sorted(
        (model, year, year - 2022) for model in fits for year in (2023, 2024)
    )
    assert dict(zip(known["target_year"], known["level"], strict=True)) == {2023: 17222, 2024: 21702}
    naive = known.query("model == 'naive' and target_year == 2024").iloc[0]
    # The naive spread is the root of the mean squared log change times the root of the horizon.
    changes = np.diff(np.log(levels.loc[:2022].to_numpy()))
    spread = math.sqrt((changes**2).mean() * 2)
    at = {name: 14592 * math.exp(spread * stats.norm.ppf(p)) for name, p in PROBABILITIES.items()}
    assert naive["pinball_log_points"] == pytest.approx(ledger.pinball(21702, at), rel=1e-9)
    assert naive["hit80"] == (at["p10"] <= 21702 <= at["p90"])
    assert ledger.score(known)["forecasts"].to_list() == [2] * len(fits)


# --- replay --------------------------------------------------------------------------------------
VINTAGES = {2011: 2010, 2013: 2012, 2014: 2012}


def test_a_replay_gives_what_fitting_the_years_then_known_gives():
    made = ledger.replay(made_up(LEVELS), VINTAGES)
    assert sorted(set(zip(made["edition"], made["last_year"], strict=True))) == [
        ("2011", 2010), ("2013", 2012), ("2014", 2012),
    ]  # fmt: skip
    for edition, newest in VINTAGES.items():
        fits, _ = trends.fit_all(LEVELS.loc[:newest])
        for model, fit in fits.items():
            own = made[(made["edition"] == str(edition)) & (made["model"] == model)].set_index("target_year")
            assert list(own.index) == list(range(newest + 1, 2016))
            expected = fit.quantiles(2015, list(PROBABILITIES.values()))
            assert own[NAMES].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-12)
    assert list(made.columns) == ledger.COLUMNS
    assert set(made["start_year"]) == {2000}
    assert set(made["made_on"]) == {"replay of 2011", "replay of 2013", "replay of 2014"}


def test_a_replay_looks_at_no_year_after_the_newest_that_its_report_printed():
    changed = LEVELS.copy()
    changed.loc[2013:] *= [7, 0.1, 3]
    before, after = (ledger.replay(made_up(levels), VINTAGES) for levels in (LEVELS, changed))
    pd.testing.assert_frame_equal(before, after)
    changed.loc[2012] *= 1.5
    touched = ledger.replay(made_up(changed), VINTAGES)
    same = (touched[NAMES] == before[NAMES]).all(axis=1)
    assert same.equals(before["edition"] == "2011")


def test_a_report_that_shows_too_few_years_or_all_of_them_makes_no_forecast():
    first = int(LEVELS.index[0])
    vintages = {2006: first + MIN_YEARS - 2, 2008: first + MIN_YEARS - 1, 2016: 2015, 2017: 2016}
    assert set(ledger.replay(made_up(LEVELS), vintages)["edition"]) == {"2008"}
    none = ledger.replay(made_up(LEVELS.loc[2010:]), vintages)
    assert none.empty
    assert list(none.columns) == ledger.COLUMNS
    assert ledger.replay(made_up(LEVELS.iloc[:0]), vintages).empty


def test_the_real_replay_has_the_reports_and_newest_years_of_the_table_of_editions(subject, tables):
    rows = tables["market_editions"]
    rows = rows[rows["is_main_edition"] & (rows["series"] == "overseas")]
    expected = {}
    for edition in sorted(rows["edition"].unique()):
        newest = int(rows.loc[rows["edition"] <= edition, "year"].max())
        if 2002 + MIN_YEARS - 1 <= newest < 2024:
            expected[str(edition)] = newest
    made = ledger.replay(subject, clean.vintages(tables["market_editions"]))
    assert dict(zip(made["edition"], made["last_year"], strict=True)) == expected
    assert expected["2018"] == 2017
    assert "2025" not in expected
    assert set(made["series"]) == {"market.overseas"}
    known = ledger.outcomes(made, {("market.overseas", "yen"): subject.levels})
    assert len(known) == len(made)
    for edition, rows in known.groupby("edition"):
        assert set(rows["target_year"]) == set(range(expected[edition] + 1, 2025))


# --- the file ------------------------------------------------------------------------------------
@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where the ledger of an empty study lies."""
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    ledger.path().parent.mkdir(parents=True)
    return ledger.path()


def test_where_nothing_was_published_the_ledger_is_empty(file):
    assert not file.exists()
    assert list(ledger.read().columns) == ledger.COLUMNS
    assert ledger.read().empty


def test_the_ledger_lies_among_the_published_results(file, tmp_path):
    assert file == tmp_path / "data" / "processed" / "published" / "forecasts.csv"


def test_what_is_written_is_read_back_to_the_last_digit(file, first):
    first.to_csv(file, index=False, lineterminator="\n")
    again = ledger.read()
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    content = file.read_bytes()
    ledger.appended(again, first.assign(made_on="2030-01-01")).to_csv(file, index=False, lineterminator="\n")
    assert file.read_bytes() == content


def test_forecasts_added_to_a_saved_ledger_leave_its_bytes_as_they_are(file, first):
    first.to_csv(file, index=False, lineterminator="\n")
    content = file.read_bytes()
    later = published(LEVELS, made_on="2027-01-01", edition="2026")
    ledger.appended(ledger.read(), later).to_csv(file, index=False, lineterminator="\n")
    assert file.read_bytes().startswith(content)
    assert len(ledger.read()) == len(first) + len(later)


def test_a_ledger_with_nothing_but_its_head_is_empty(file):
    file.write_text(",".join(ledger.COLUMNS) + "\n", encoding="utf-8")
    assert ledger.read().empty
    assert len(ledger.appended(ledger.read(), a_row())) == 1


def spoil(column, value):
    """Put `value` into the second row."""

    def change(book):
        book.loc[1, column] = value
        return book

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda book: book.drop(columns="p50"), id="a column missing"),
        pytest.param(lambda book: book.assign(remark="x"), id="a column too many"),
        pytest.param(lambda book: book[[*ledger.COLUMNS[1:], ledger.COLUMNS[0]]], id="columns in another order"),
        pytest.param(spoil("p50", "much"), id="text in a quantile"),
        pytest.param(spoil("target_year", "soon"), id="text in a year"),
        pytest.param(spoil("last_year", "lately"), id="text in the last year"),
        pytest.param(spoil("p10", math.nan), id="a quantile missing"),
        pytest.param(spoil("p97_5", math.inf), id="an infinite quantile"),
        pytest.param(spoil("p10", 1e9), id="quantiles out of order"),
        pytest.param(spoil("p90", 0.5), id="quantiles out of order at the top"),
        pytest.param(spoil("target_year", math.nan), id="a year missing"),
        pytest.param(spoil("model", math.nan), id="a model missing"),
        pytest.param(spoil("p2_5", -1.0), id="a level below nought"),
    ],
)
def test_a_damaged_ledger_is_refused_in_one_line_that_names_the_file_and_the_remedy(file, first, change):
    change(first.astype(object).copy()).to_csv(file, index=False)
    with pytest.raises(InputError) as refused:
        ledger.read()
    message = str(refused.value)
    assert message.startswith("data/processed/published/forecasts.csv: ")
    assert "git checkout -- data/processed/published/forecasts.csv" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00a", b'made_on,"edition\n1,2\n', b"made_on\n1,2,3\n4,5,6,7,8\n"],
    ids=["empty", "not in UTF-8", "a quote left open", "ragged"],
)  # fmt: skip
def test_a_file_that_is_no_ledger_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(InputError, match="^data/processed/published/forecasts.csv: .*git checkout"):
        ledger.read()


def test_a_file_cut_in_the_middle_of_a_row_is_refused(file, first):
    text = first.to_csv(index=False)
    file.write_text(text[: text.rindex(",") - 30], encoding="utf-8")
    with pytest.raises(InputError, match="^data/processed/published/forecasts.csv: "):
        ledger.read()
