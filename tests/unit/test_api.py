"""What others import: results as data frames that say what they are, and models for their own series."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import date
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import anime_growth
from anime_growth import api, data_package, paths, projections, records, trends
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities
from anime_growth.words import capital

OWN = {2012: 8.4, 2013: 10.4, 2014: 13.4, 2015: 19.7, 2016: 24.0, 2017: 28.7, 2018: 31.2, 2019: 31.9}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = shutil.copytree(paths.published(), tmp_path_factory.mktemp("api") / "results")
    data_package.write(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(results):
    return anime_growth.load_tables(results)


# --- results ---
def test_every_table_and_all_drawn_data_are_loaded(results, loaded):
    stems = {path.stem for place in ("tables", ".") for path in (results / place).glob("*.csv")}
    assert set(loaded) == stems | {f"figures/{path.stem}" for path in (results / "figures").glob("*.csv")}
    assert all(len(frame.columns) for frame in loaded.values())


def test_every_measure_has_its_unit(loaded):
    market = loaded["market"].attrs["units"]
    assert market["level_jpy_100m"] == "100m JPY" and market["level_usd_bn"] == "bn USD"
    assert "series" not in market
    for name, frame in loaded.items():
        numbers = set(frame.select_dtypes("number")) - {"largest_gap"}  # in the unit of what is compared
        assert numbers <= set(frame.attrs["units"]), name
        assert set(frame.attrs["units"]) <= set(frame) and frame.attrs["description"].startswith("a row is ")


def test_sources_stand_beside_the_figures(loaded):
    told = [source["title"] for source in loaded["consumer_prices"].attrs["sources"]]
    assert told[0].startswith("World Bank")
    assert len(loaded["trends"].attrs["sources"]) > len(told)


def test_cells_have_their_types(loaded):
    market = loaded["market"]
    assert market["year"].dtype == np.int64 and market["is_derived"].dtype == bool
    latest = market[(market["series"] == "overseas") & (market["year"] == 2024)]
    known = Quantities.read(paths.published() / "quantities.json")["market.overseas.level.2024"]
    assert latest["level_jpy_100m"].item() == known.value
    assert pd.api.types.is_datetime64_any_dtype(loaded["spot_rates"]["date"])
    breaks = loaded["trends"]["break_year"]
    assert breaks.isna().any() and breaks.dropna().between(2000, 2030).all()
    assert not market["derivation"].isna().any() and (market["derivation"] == "").any()


def test_quantities_are_a_row_a_key(results):
    frame = anime_growth.load_quantities(results)
    known = Quantities.read(results / "quantities.json")
    assert list(frame.index) == list(known)
    key = "market.overseas.growth.2024"
    assert frame.loc[key, ["value", "unit", "label"]].to_list() == [known[key].value, "%", known[key].label]
    assert frame.attrs["units"] == {"value": "see column unit"} and frame.attrs["sources"]


def test_without_a_folder_it_is_what_is_published_else_what_the_package_carries(results, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "CARRIED", results)
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    assert len(anime_growth.load_tables()) > 50
    here = tmp_path / "data/processed/published"
    here.mkdir(parents=True)
    (here / "datapackage.json").write_text('{"resources": [], "sources": []}')
    assert anime_growth.load_tables() == {}


@pytest.mark.parametrize("load", [anime_growth.load_tables, anime_growth.load_quantities])
def test_another_folder_is_refused_in_one_line(tmp_path, load):
    with pytest.raises(InputError, match=r"has no datapackage\.json") as refused:
        load(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_package_without_quantities_is_refused(tmp_path):
    (tmp_path / "datapackage.json").write_text('{"resources": [], "sources": []}')
    with pytest.raises(InputError, match="lists no quantities"):
        anime_growth.load_quantities(tmp_path)


COLUMNS = [
    {"name": "year", "type": "integer", "unit": "year"},
    {"name": "level", "type": "number", "unit": "bn USD"},
    {"name": "told", "type": "date"},
]
SAID = {
    **{"unit": "%", "digits": 1, "label": "", "method": "", "inputs": [], "edition": "", "confidence": "high"},
    "caveats": [],
}
LEVELS = "year,level,told\n2024,14.3,2025-10-30\n"


@pytest.fixture
def small(tmp_path):
    """Makes a small folder of results: a table and quantities, described as they are, whatever they hold."""

    def make(table=LEVELS, quantities="{}", change=lambda package: None):
        resources = []
        for name, text in (("levels.csv", table), ("quantities.json", quantities)):
            content = text if isinstance(text, bytes) else text.encode()
            (tmp_path / name).write_bytes(content)
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            resources.append({"name": name.split(".")[0], "path": name, "hash": digest, "description": "a row is one"})
        resources[0]["schema"] = {"fields": COLUMNS}
        package = {"sources": [], "resources": resources}
        change(package)
        (tmp_path / "datapackage.json").write_text(json.dumps(package))
        return tmp_path

    return make


def refused(load, folder):
    """The one line with which a folder is refused."""
    with pytest.raises(InputError) as said:
        load(folder)
    assert "\n" not in str(said.value)
    return str(said.value)


def test_a_small_package_is_loaded(small):
    frame = anime_growth.load_tables(small())["levels"]
    quantities = anime_growth.load_quantities(small(quantities=json.dumps({"a.b.2024": {**SAID, "value": 1.5}})))
    assert quantities["value"].to_dict() == {"a.b.2024": 1.5}
    assert frame.to_dict("list") == {"year": [2024], "level": [14.3], "told": [pd.Timestamp("2025-10-30")]}


def test_every_type_of_a_column_can_be_loaded():
    assert set(api.TYPES) == set(get_args(data_package.Type))


@pytest.mark.parametrize("load", [anime_growth.load_tables, anime_growth.load_quantities])
@pytest.mark.parametrize("folder", [5, [], b"x", "~nobody_of_that_name/x"])
def test_what_is_no_folder_is_refused(load, folder):
    assert refused(load, folder).startswith(f"folder {folder!r}: is no path of a folder. Name the folder")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "No columns to parse"),
        ("a,b,c\n1,2,3\n", "its columns are not those that are described"),
        ("year,level\n2024,14.3\n", "its columns are not those that are described"),
        (LEVELS.replace("2024", "soon"), "soon"),
        (LEVELS.replace("14.3", "many"), "many"),
        (LEVELS.replace("2025-10-30", "some day"), "some day"),
        (LEVELS.replace("2024", "2024.5"), "cannot"),
        (LEVELS.replace("2024", "9" * 30), "too large"),
        (b"\xff\xfe\x00\x80", "can't decode"),
    ],
)
def test_a_table_that_is_not_as_described_is_named(small, table, said):
    told = refused(anime_growth.load_tables, small(table))
    assert "/levels.csv: cannot be read (" in told and said in told


@pytest.mark.parametrize(
    ("quantities", "said"),
    [
        ("[]", "'list' object has no attribute"),
        ("[1]", "'list' object has no attribute"),
        ('{"a.b.2024": {"val', "Unterminated string"),
        ('{"a.b.2024": {"value": 1}}', "it lacks 'inputs'"),
        ('{"a.b.2024": {"inputs": [], "caveats": []}}', "missing"),
        ("[" * 100_000, "recursion"),
        (json.dumps({"a.b.2024": {**SAID, "value": 10**400}}), "too large"),
    ],
)
def test_quantities_that_are_none_are_named(small, quantities, said):
    told = refused(anime_growth.load_quantities, small(quantities=quantities))
    assert "/quantities.json: cannot be read (" in told and said in told


@pytest.mark.parametrize(
    ("load", "name", "other"),
    [
        (anime_growth.load_tables, "levels.csv", LEVELS + "2025,15.0,2026-10-30\n"),
        (anime_growth.load_quantities, "quantities.json", "{ }"),
    ],
)
def test_a_file_that_is_missing_or_changed_since_is_named(small, load, name, other):
    path = small() / name
    path.write_text(other)
    assert f"/{name}: is not the file that datapackage.json promises" in refused(load, path.parent)
    path.unlink()
    assert f"/{name}: cannot be read (No such file" in refused(load, path.parent)
    path.mkdir()
    assert f"/{name}: cannot be read (Is a directory)" in refused(load, path.parent)


@pytest.mark.parametrize(("load", "place"), [(anime_growth.load_tables, 0), (anime_growth.load_quantities, 1)])
@pytest.mark.parametrize("is_absolute", [True, False])
def test_no_file_outside_the_folder_is_opened(small, tmp_path_factory, load, place, is_absolute):
    outside = tmp_path_factory.mktemp("outside") / "levels.csv"
    outside.write_text(LEVELS)
    path = str(outside) if is_absolute else f"../{outside.parent.name}/levels.csv"
    folder = small(change=lambda package: package["resources"][place].update(path=path))
    assert (folder / path).is_file()
    assert f"datapackage.json, resource {'quantities' if place else 'levels'!r}: lies outside" in refused(load, folder)


def test_no_link_out_of_the_folder_is_followed(small, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "levels.csv"
    outside.write_text(LEVELS)
    folder = small()
    (folder / "levels.csv").unlink()
    (folder / "levels.csv").symlink_to(outside)
    assert "lies outside" in refused(anime_growth.load_tables, folder)


# --- own series ---
@pytest.mark.parametrize("model", trends.MODELS)
def test_a_fit_is_that_of_the_study(levels, subject, model):
    found = anime_growth.fit(levels, model, until=2033)
    known = trends.fit(model, levels)
    assert (found.growth_pct, found.growth_lo95, found.growth_hi95) == (
        *(known.growth_pct, known.growth_lo95, known.growth_hi95),
    )
    table = projections.project({model: known}, subject, 2033).set_index("year")
    pd.testing.assert_frame_equal(found.forecasts, table[list(projections.PROBABILITIES)])


@pytest.mark.parametrize(
    "levels",
    [
        OWN,
        pd.Series(OWN),
        pd.Series(list(OWN.values()), index=pd.date_range("2012", periods=8, freq="YS")),
        pd.Series(list(OWN.values()), index=pd.period_range("2012", periods=8, freq="Y")),
        pd.Series(list(OWN.values()), index=[str(year) for year in OWN]),
        pd.Series(list(OWN.values()), index=[float(year) for year in OWN]),
        pd.Series([str(level) for level in OWN.values()], index=list(OWN)),
        pd.Series(OWN).sort_index(ascending=False),
        pd.Series({**OWN, 2020: None}),
    ],
)
def test_years_may_come_as_they_do(levels):
    found = anime_growth.fit(levels)
    assert found.levels.to_dict() == OWN
    assert list(found.forecasts.index) == list(range(2020, 2025))
    assert found.growth_pct == pytest.approx(100 * ((31.9 / 8.4) ** (1 / 7) - 1))
    assert found.forecasts["p50"].iloc[0] == pytest.approx(31.9 * (1 + found.growth_pct / 100))


def test_a_fit_says_itself_in_words():
    told = repr(anime_growth.fit(pd.Series(OWN, name="guests"), "naive"))
    assert told == "guests 2012 to 2019: 0.0 % a year by naive"


@pytest.mark.parametrize(
    ("levels", "options", "said"),
    [
        (OWN, {"model": "drfit"}, "model 'drfit': is unknown. Choose one of naive, drift"),
        (OWN, {"until": 2019}, "until 2019: is no year ahead of 2019. Choose a year from 2020"),
        (OWN, {"until": 20250}, "until 20250: is no year ahead"),
        (dict(list(OWN.items())[:7]), {}, "has 7 years, and at least 8"),
        ({**OWN, 2015: -1.0}, {}, "above zero"),
        ({2011: 7.0, **OWN, 2015: None}, {}, "gap"),
        ({**OWN, 2022: 30.0}, {}, "gap"),
        ({**OWN, "soon": 30.0}, {}, "is not numbers by year"),
        ({**OWN, 2020: "many"}, {}, "is not numbers by year"),
        ([1.0, 2.0], {}, "levels of type list: have no years"),
        (pd.DataFrame({"name": OWN}), {}, "levels of type DataFrame: have no years"),
        (pd.Series(list(OWN.values())), {}, "0 is no year"),
        (pd.Series(list(OWN.values()), index=pd.to_timedelta(range(8), unit="D")), {}, "is no year"),
        ({year + 0.5: level for year, level in OWN.items()}, {}, "2012.5 is no year"),
        ({10**25 + year: level for year, level in OWN.items()}, {}, "is no year"),
        ({**OWN, float("inf"): 1.0}, {}, "inf is no year"),
        ({**OWN, None: 1.0}, {}, "nan is no year"),
        ({**OWN, 2020: 10**400}, {}, "too large"),
        ({year: level + 1j for year, level in OWN.items()}, {}, "(8.4+1j) is no number"),
        (pd.Series(pd.date_range("2012", periods=8), index=list(OWN)), {}, "is no number"),
        ({year: [level] for year, level in OWN.items()}, {}, "[8.4] is no number"),
        (OWN, {"model": ["drift"]}, "model ['drift']: is unknown"),
        (OWN, {"model": pd.Series(["drift"])}, "is unknown"),
        (OWN, {"until": 2030.5}, "until 2030.5: is no year ahead"),
        (OWN, {"until": "2030"}, "until '2030': is no year ahead"),
        (OWN, {"until": date(2030, 1, 1)}, "is no year ahead"),
        (OWN, {"until": [2030]}, "until [2030]: is no year ahead"),
        (pd.Series({2012: 1.0}, name="two\nlines"), {}, "series two lines: "),
        (pd.Series([1.0, 2.0], index=[2012, 2012]), {}, "more than one level for 2012"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_one_line(levels, options, said):
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        anime_growth.fit(levels, **options)
    assert "\n" not in str(refused.value)


def test_a_last_year_may_be_a_whole_number_of_any_kind():
    for until in (2021, 2021.0, np.int64(2021)):
        assert list(anime_growth.fit(OWN, until=until).forecasts.index) == [2020, 2021]


@pytest.mark.parametrize(
    "text", ["$x_$", "\\$\\frac{1$", "US$ and A$", "{x}%s", "a & b ]]> -->", "<b>\n\nb", "アニメの売上"]
)
def test_words_of_strangers_are_drawn_as_they_are(text):
    drawing = anime_growth.plot(anime_growth.fit(pd.Series(OWN, name=text)), source=text)
    ElementTree.fromstring(drawing.svg())
    shown = " ".join(text.split())
    lines = [line for found in drawing.figure.texts for line in found.get_text().split("\n")]
    assert f"Source: {shown}. anime_growth" in lines
    assert drawing.figure.axes[0].get_title(loc="left") == f"{capital(shown)}, logarithmic axis"


@pytest.mark.parametrize("text", ["\x00", "\x1b[31mred", "\ud800", "\ufffe", "a\x00b"])
def test_what_cannot_be_printed_is_not_drawn(text):
    drawing = anime_growth.plot(anime_growth.fit(pd.Series(OWN, name=text)), source=text)
    ElementTree.fromstring(drawing.svg())
    assert drawing.title.isprintable()


@pytest.mark.parametrize("trend", [None, OWN, "drift"])
def test_only_what_was_fitted_is_drawn(trend):
    with pytest.raises(InputError, match=r"is no fitted series\. Give what `fit` returns"):
        anime_growth.plot(trend)


@pytest.mark.parametrize("unit", [1e-13, 1e15])
def test_numbers_that_leave_a_picture_no_room_are_refused(unit):
    trend = anime_growth.fit({year: level * unit for year, level in OWN.items()})
    with pytest.raises(InputError, match=r"not between 1e-12 and 1e\+15\. Give levels in another unit"):
        anime_growth.plot(trend)


def test_a_plot_draws_the_levels_and_all_quantiles():
    trend = anime_growth.fit(pd.Series(OWN, name="guests, million"), until=2025)
    drawing = anime_growth.plot(trend, source="a count of our own")
    drawn = drawing.data.set_index("year")
    assert drawn["level"].dropna().to_dict() == OWN
    assert drawn.loc[2025, list(projections.PROBABILITIES)].to_list() == trend.forecasts.loc[2025].to_list()
    assert drawing.title == f"Guests, million: {trend.text}"
    words = {text.get_text() for text in (*drawing.figure.texts, *drawing.figure.axes[0].texts)}
    assert any("a count of our own" in text for text in words)
    assert f"median: {trend.forecasts.loc[2025, 'p50']:.0f}" in words
    assert drawing._repr_mimebundle_()["image/svg+xml"].startswith("<?xml") and drawing.svg() == drawing.svg()


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({year: 100 + year % 3 / 10 for year in range(1990, 2020)}, "median: 100.00"),
        ({year: 2.0 ** (year - 2000) for year in range(2000, 2010)}, "median: 1,024.0"),  # which has no spread
        ({year: 1.05 ** (year - 2000) / 1e6 + year % 2 / 1e7 for year in range(2000, 2010)}, "median: 0.000001"),
    ],
)
def test_labels_tell_quantiles_apart(levels, said):
    drawing = anime_growth.plot(anime_growth.fit(levels, until=max(levels) + 1))
    words = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert any(text.startswith(said) for text in words), words
    numbers = [text.partition(": ")[2] for text in words]
    assert len(set(numbers)) == 5 or levels[2001] == 2.0


# --- the package ---
def test_importing_the_package_loads_nothing():
    code = "import sys; before = {*sys.modules}; import anime_growth; print(*({*sys.modules} - before))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in modules if name.startswith("anime_growth.")} == set()
    assert {"pandas", "numpy", "matplotlib"} & set(modules) == set()


def test_loading_tables_loads_no_models():
    code = "import sys, anime_growth; anime_growth.load_tables; print('statsmodels' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_names_that_are_offered_are_there_and_no_others():
    assert set(anime_growth.__all__) <= set(dir(anime_growth))
    assert all(callable(getattr(anime_growth, name)) for name in anime_growth.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'plott'"):
        _ = anime_growth.plott


def test_what_is_offered_is_no_code_that_a_step_rests_on():
    assert [path.name for path in records.reached("import anime_growth")] == ["__init__.py"]
