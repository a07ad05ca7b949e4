"""The results as a Data Package: frictionless finds it valid, and it says what the codebook says."""

import csv
import functools
import json
import operator
import re
import shutil

import pytest
from frictionless import Package, system

from anime_growth import codebook, data_package, paths, sources, units
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities


@pytest.fixture
def results(tmp_path):
    """A copy of the published results, described anew."""
    folder = shutil.copytree(paths.published(), tmp_path / "results")
    (folder / "datapackage.json").unlink(missing_ok=True)
    data_package.write(folder)
    return folder


def problems(folder):
    """What frictionless finds wrong with the descriptor and with all that it describes."""
    with system.use_context(trusted=False):
        return Package(str(folder / "datapackage.json")).validate().flatten(["type", "note"])


def field(folder, resource, name):
    described = data_package.read(folder)["resources"]
    fields = next(item for item in described if item["name"] == resource)["schema"]["fields"]
    return next(item for item in fields if item["name"] == name)


def test_frictionless_finds_the_package_and_all_data_valid(results):
    assert problems(results) == []


@pytest.mark.parametrize(
    ("file", "change", "kind"),
    [
        ("tables/market.csv", lambda text: text.replace("2024", "2O24", 1), "type-error"),
        ("figures/backtest.csv", lambda text: text + "naive,1\n", "missing-cell"),
        ("forecasts.csv", lambda text: text.replace("model,", "modell,", 1), "incorrect-label"),
        ("quantities.json", lambda text: text + "\n", "hash-count"),
    ],
)
def test_frictionless_finds_what_has_changed_since(results, file, change, kind):
    path = results / file
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert kind in {found[0] for found in problems(results)}


def test_every_csv_file_and_the_quantities_are_resources(results):
    listed = {resource["path"] for resource in data_package.read(results)["resources"]}
    assert listed == {path.relative_to(results).as_posix() for path in results.rglob("*.csv")} | {"quantities.json"}


def test_what_is_published_is_described_as_it_is(results):
    assert data_package.read(paths.published()) == data_package.read(results), "publish, or write it anew"


def test_units_and_descriptions_are_those_of_the_codebook(results):
    for resource in data_package.read(results)["resources"]:
        if "schema" not in resource:
            continue
        with (results / resource["path"]).open(encoding="utf-8", newline="") as lines:
            header = next(csv.reader(lines))
        rows, columns = codebook.of_file(resource["path"], header)
        assert resource["description"].endswith(rows)
        for item in resource["schema"]["fields"]:
            assert item["description"] == columns[item["name"]].means
            named = item.get("unit", [])
            assert {named} if isinstance(named, str) else {*named} <= {*units.UNITS}
            assert bool(named) == bool(columns[item["name"]].unit)


def test_a_measure_has_the_unit_that_its_rows_name(results):
    assert field(results, "projections", "p50")["unit"] == "100m JPY"
    assert field(results, "figures/projections", "p50")["unit"] == "trn JPY"
    assert set(field(results, "regions", "value")["unit"]) == {"count", "%", "bn USD"}


def test_labels_of_digits_stay_words(results):
    kinds = {name: field(results, "market_editions", name)["type"] for name in ("year", "edition_label", "is_derived")}
    assert kinds == {"year": "integer", "edition_label": "string", "is_derived": "boolean"}
    assert field(results, "spot_rates", "date")["type"] == "date"


def test_terms_and_sources_are_those_of_the_raw_figures(results):
    package = data_package.read(results)
    raw = [file.package for file in sources.raw_files()]
    wanted = [data_package.LICENCE, *(licence for one in raw for licence in one.licenses)]
    assert all(licence in package["licenses"] for licence in wanted)
    assert len(package["licenses"]) == len({json.dumps(licence) for licence in wanted})
    named = [source["title"] for source in package["sources"]]
    assert "World Bank, FP.CPI.TOTL.ZG" in named and len(named) == len(set(named))
    (prices,) = (item for item in package["resources"] if item["name"] == "consumer_prices")
    assert [source["title"] for source in prices["sources"]] == ["World Bank, FP.CPI.TOTL.ZG", "Register of sources"]
    places = [source["path"] for source in package["sources"] if "path" in source]
    assert all("://" in place or (results / place).is_file() for place in places)


def test_it_is_the_same_bytes_each_time(results):
    first = (results / "datapackage.json").read_bytes()
    data_package.write(results)
    assert (results / "datapackage.json").read_bytes() == first


def test_a_run_without_quantities_or_published_tables_is_described(results):
    for name in ("quantities.json", "forecasts.csv", "canary.csv"):
        (results / name).unlink()
    data_package.write(results)
    assert problems(results) == []


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("tables/moods.csv", "year\n2024\n", "table moods"),
        ("tables/checks.csv", "", "checks.csv: is no table"),
        ("tables/checks.csv", "check,what\na\n", "checks.csv: is no table"),
    ],
)
def test_what_is_no_table_or_not_in_the_codebook_is_refused_and_the_descriptor_left(results, file, content, said):
    first = (results / "datapackage.json").read_bytes()
    (results / file).write_text(content)
    with pytest.raises(InputError, match=said) as refused:
        data_package.write(results)
    assert "\n" not in str(refused.value) and (results / "datapackage.json").read_bytes() == first


@pytest.mark.parametrize("content", [None, "{", "[]", '{"resources": [{}]}'])
def test_a_folder_without_a_descriptor_that_can_be_read_is_refused_by_name(tmp_path, content):
    if content is not None:
        (tmp_path / "datapackage.json").write_text(content)
    with pytest.raises(InputError, match=tmp_path.name) as refused:
        data_package.read(tmp_path)
    assert "\n" not in str(refused.value)


WHOLE = {
    "sources": [],
    "resources": [
        {"name": "t", "path": "t.csv", "hash": "", "description": "a row is one", "schema": {"fields": []}},
    ],
}


@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        ((), {"sources": None}, "sources: Input should be a valid array"),
        ((), {"resources": "t.csv"}, "resources: Input should be a valid array"),
        (("resources", 0), {"path": ["t.csv"]}, "resources.0.path: Input should be a valid string"),
        (("resources", 0), {"description": None}, "resources.0.description: "),
        (("resources", 0), {"hash": None}, "resources.0.hash: "),
        (("resources", 0), {"schema": "t"}, "resources.0.schema: Input should be an object"),
        (("resources", 0), {"schema": {}}, "resources.0.schema.fields: Field required"),
        (("resources", 0, "schema"), {"fields": [{"name": "year"}]}, "resources.0.schema.fields.0.type: "),
        (("resources", 0, "schema"), {"fields": [{"name": "where", "type": "geopoint"}]}, "'integer'"),
    ],
)
def test_a_descriptor_without_what_loading_needs_is_refused(tmp_path, place, change, said):
    path = tmp_path / "datapackage.json"
    path.write_text(json.dumps(WHOLE))
    assert data_package.read(tmp_path) == WHOLE
    package = json.loads(path.read_text())
    functools.reduce(operator.getitem, place, package).update(change)
    path.write_text(json.dumps(package))
    with pytest.raises(InputError, match=rf"datapackage\.json: cannot be read \(.*{re.escape(said)}") as refused:
        data_package.read(tmp_path)
    assert "\n" not in str(refused.value)


def test_every_file_is_read_as_it_was_described(results):
    for resource in data_package.read(results)["resources"]:
        assert data_package.content(results, resource) == (results / resource["path"]).read_bytes()


def test_a_line_break_inside_a_cell_is_no_new_row(results):
    path = results / "tables/checks.csv"
    path.write_text(path.read_text(encoding="utf-8") + '"a\nb",what,1,0.5,0,"c\u2028d"\n', encoding="utf-8")
    data_package.write(results)
    assert problems(results) == [] and field(results, "checks", "comparisons")["type"] == "integer"


def test_quantities_are_those_of_the_run(results):
    (listed,) = (item for item in data_package.read(results)["resources"] if item["name"] == data_package.QUANTITIES)
    assert "market.overseas.growth.2024" in Quantities.read(results / listed["path"])
