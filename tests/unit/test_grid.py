"""Grid files: what they mean, and that nothing else than parameters comes out of them."""

import pytest

from anime_growth import grid, trends
from anime_growth.errors import InputError
from anime_growth.grid import Depth


@pytest.fixture
def read(tmp_path):
    """Read a grid file that has this text."""

    def of(text, depth=Depth.model):
        file = tmp_path / "grid.yml"
        file.write_text(text, encoding="utf-8")
        return grid.read(file, depth)

    return of


def test_a_grid_is_the_product_of_its_values_numbered_with_the_horizon_fastest(read):
    found = read(
        "horizon_year: [2030, 2035]\nbasis: [yen, usd]\nmodel: drift\nstart_year: {from: 2002, to: 2008, step: 3}"
    )
    assert len(found) == 2 * 3 * 1 * 2
    items = [tuple(found.item(number).values()) for number in range(len(found))]
    assert items[:3] == [("yen", 2002, "drift", 2030), ("yen", 2002, "drift", 2035), ("yen", 2005, "drift", 2030)]
    assert len(set(items)) == len(items) and items[-1] == ("usd", 2008, "drift", 2035)


def test_the_order_in_the_file_does_not_matter(read):
    assert read("basis: [yen]\nstart_year: [2002, 2004]") == read("start_year: [2002, 2004]\nbasis: yen")


def test_what_is_not_named_keeps_its_default_and_every_model_but_naive_is_asked(read):
    found = read("start_year: 2010")
    assert found.axes["model"] == tuple(model for model in trends.MODELS if model != "naive")
    assert found.parameters(0) == {
        "edition": 2025, "series": "market.overseas", "basis": "yen", "start_year": 2010, "horizon_year": 2033,
        "articles": "all", "language": "en", "model": "drift",
    }  # fmt: skip
    assert read("start_year: 2010", Depth.notebooks).item(0) == {"start_year": 2010}
    assert read("model: [naive]").item(0) == {"model": "naive"}


def test_latest_is_the_edition_that_it_means(read):
    assert read("edition: [latest, 2024]").axes["edition"] == (2025, 2024)


REFUSED = {
    "unknown": ("strat_year: 2002", "parameter strat_year: is unknown. Did you mean start_year?"),
    "no name": ("1: 2", "parameter 1: is unknown. Valid: edition, series"),
    "a secret": ("api_key: 1", "parameter api_key: looks like a secret"),
    "text for a number": ("start_year: '2002'", "parameter start_year: '2002' (str) is not a whole number from 1990"),
    "a fraction": ("start_year: 2002.0", "parameter start_year: 2002.0 (float) is not a whole number"),
    "a truth": ("start_year: yes", "parameter start_year: True (bool) is not a whole number"),
    "nothing": ("start_year:", "parameter start_year: None (NoneType) is not"),
    "a date": ("start_year: 2002-01-01", "parameter start_year: datetime.date(2002, 1, 1) (date) is not"),
    "out of range": ("start_year: [2002, 1900]", "parameter start_year: 1900 (int) is not a whole number from 1990 to"),
    "other basis": ("basis: [yen, eur]", "parameter basis: 'eur' (str) is not one of yen, usd, real"),
    "empty list": ("basis: []", "parameter basis: is an empty list"),
    "nested list": ("basis: [[yen]]", "parameter basis: holds a list in its list"),
    "nested mapping": ("basis: [{from: 1, to: 2}]", "parameter basis: holds a dict in its list"),
    "twice in a list": ("basis: [yen, usd, yen]", "parameter basis: holds yen twice"),
    "twice by another name": ("edition: [latest, 2025]", "parameter edition: holds 2025 twice"),
    "twice as a key": ("basis: yen\nbasis: usd", "line 2: is not valid YAML: basis is given twice"),
    "other model": ("model: [drift, arima]", "parameter model: 'arima' is no model. Choose from naive, drift"),
    "model by number": ("model: 3", "parameter model: 3 is no model"),
    "unknown series": ("series: [market.moon]", "parameter series: 'market.moon' is not at hand. Choose from market"),
    "unknown edition": ("edition: 2019", "parameter edition: 2019 is not an edition"),
    "articles of a model": ("articles: all", "parameter articles: has no effect on a model. Valid: edition"),
    "range without end": ("start_year: {from: 2002}", "parameter start_year: is no range (to: field required)"),
    "range with more": ("start_year: {from: 2002, to: 2004, by: 1}", "is no range (by: extra inputs"),
    "range of words": ("start_year: {from: a, to: b}", "is no range (from: input should be a valid integer"),
    "standing range": ("start_year: {from: 2002, to: 2004, step: 0}", "is no range (step: input should be greater"),
    "backward range": ("start_year: {from: 2004, to: 2002}", "start_year: runs from 2004 to 2002, backwards"),
    "endless range": ("edition: {from: 0, to: 999999999999}", "has 1000000000000 values. Keep a range to 1000"),
    "range beyond": ("horizon_year: {from: 2055, to: 2065}", "parameter horizon_year: 2061 (int) is not a whole"),
    "no mapping": ("- start_year", "grid.yml: holds no parameters. Write for example"),
    "empty": ("", "grid.yml: holds no parameters. Write for example"),
    "no YAML": ("basis: [yen", "grid.yml, line 2: is not valid YAML"),
    "code": ("basis: !!python/object/apply:os.system [touch /tmp/owned]", "is not valid YAML: could not determine"),
    "alias": ("basis: &a [yen]\nseries: *a", "grid.yml, line 2: holds an alias"),
    "too deep": ("basis: " + "[" * 50_000, "grid.yml, line 1: holds deep nesting"),
    "too large": ("basis: yen #" + "#" * 200_000, "grid.yml: is larger than 100000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_swept_is_refused_in_one_line(read, text, said):
    with pytest.raises(InputError) as refusal:
        read(text)
    assert said in str(refusal.value) and "\n" not in str(refusal.value) and len(str(refusal.value)) < 700
    assert str(refusal.value).count("grid.yml") == 1


def test_notebooks_are_not_asked_for_single_models_and_their_articles_must_be_there(read):
    with pytest.raises(InputError, match="parameter model: is not for notebooks, which fit every model"):
        read("model: drift", Depth.notebooks)
    with pytest.raises(InputError, match="grid.yml, .*moon"):
        read("articles: [all, moon]", Depth.notebooks)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="grid.yml: is missing"):
        grid.read(tmp_path / "grid.yml", Depth.model)
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        grid.read(tmp_path, Depth.model)
    (tmp_path / "grid.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="grid.yml: cannot be read as YAML in UTF-8"):
        grid.read(tmp_path / "grid.yml", Depth.model)


def test_more_combinations_than_can_be_kept_track_of_are_refused(read, monkeypatch):
    monkeypatch.setattr(grid, "MOST_ITEMS", 13)
    with pytest.raises(InputError, match="grid.yml: has 14 combinations. Keep to 13 at most"):
        read("basis: [yen, usd]")
