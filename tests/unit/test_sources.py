"""Raw files: taken only if they are what their package says, refused with the place and the remedy."""

import datetime
import hashlib
import json
import re
import shutil

import pytest

from anime_growth import cells, checks, clean, describe, paths, projections, series, sources, trace, trends
from anime_growth.errors import InputError

EDITIONS, SUMMARY, RATES = "aja_market_editions.csv", "aja_market_best.csv", "usdjpy_annual.csv"
A_YEAR = {"year": "2013", "series": "broad_total", "edition": "2014"}


@pytest.fixture(scope="module")
def files():
    return sources.raw_files()


# --- the real packages ---------------------------------------------------------------------------
def test_every_raw_table_loads(files):
    for file in files:
        assert len(file.rows) > 0, file.reference


def test_every_raw_csv_on_disk_is_listed_in_exactly_one_package(files):
    on_disk = sorted(path.relative_to(paths.raw()).as_posix() for path in paths.raw().glob("**/*.csv"))
    assert sorted(file.reference for file in files) == on_disk


def test_every_raw_file_is_byte_for_byte_the_one_that_its_package_describes(files):
    for file in files:
        content = file.path.read_bytes()
        assert file.resource.hash == "sha256:" + hashlib.sha256(content).hexdigest(), file.reference
        assert file.resource.bytes == len(content), file.reference


def test_every_package_states_its_licence_its_source_its_edition_and_the_day_it_was_read(files):
    for package in {file.package.name: file.package for file in files}.values():
        assert package.source, package.name
        assert all(licence.get("title") and licence.get("name") for licence in package.licenses), package.name
        assert package.licenses, package.name
        assert package.sources, package.name
        # Claims of an article are our own words and may come without a package.
        assert isinstance(package.accessed, datetime.date) or package.name.startswith("article-"), package.name


def test_a_package_lies_in_the_folder_named_after_its_edition(files):
    for file in files:
        assert file.package.edition == file.folder.name, file.reference


def test_every_measure_has_a_unit(files):
    measure = re.compile(r"value|value_low|value_high|baseline_value|broad_\w+|usdjpy|\w+_pct")
    found = [
        (file.reference, field)
        for file in files
        for field in file.resource.table.fields
        if measure.fullmatch(field.name) and field.type == "number"
    ]
    assert len(found) > 15
    assert [(name, field.name) for name, field in found if not field.units] == []


def test_every_number_is_either_a_measure_with_a_unit_or_a_count(files):
    for file in files:
        for field in file.resource.table.fields:
            assert field.type != "number" or field.units, f"{file.reference}, {field.name}"


def test_a_row_is_found_again_by_its_address(files):
    for file in files:
        as_printed = file.rows.astype(str)
        for _, row in as_printed.iterrows():
            address = cells.parse(cells.address(row["raw_row"], "any"))
            assert address["file"] == file.reference
            assert address["row"] == {key: row[key] for key in file.resource.table.primary_key}
            assert address["column"] == "any"
        assert as_printed["raw_row"].is_unique


def test_rows_carry_the_line_on_which_they_stand(files):
    for file in files:
        lines = file.path.read_text(encoding="utf-8").splitlines()
        first = file.resource.table.fields[0].name
        for line, content in zip(file.rows["raw_line"], file.rows[first].astype(str), strict=True):
            assert lines[line - 1].lstrip('"').startswith(content), f"{file.reference}, line {line}"


def test_columns_have_their_declared_types(files):
    for file in files:
        rows = file.rows
        for field in file.resource.table.fields:
            expected = {"integer": "Int64", "number": "float64"}.get(field.type, "str")
            assert rows[field.name].dtype == expected, f"{file.reference}, {field.name}"


# --- what is refused -----------------------------------------------------------------------------
def swap(old, new):
    """Replace the first occurrence of `old`, which must be there."""

    def change(content):
        assert old.encode() in content
        return content.replace(old.encode(), new.encode("latin-1"), 1)

    return change


@pytest.mark.parametrize(
    ("file", "change", "rehash", "words"),
    [
        pytest.param(EDITIONS, swap("38407", "38408"), False, ["hash", "restore", "new edition folder"], id="one byte"),
        pytest.param(EDITIONS, swap("\n", "\r\n"), False, ["hash", "restore"], id="line ends changed by an editor"),
        pytest.param(
            SUMMARY, lambda text: re.sub(rb",[^,\n]*\n", b"\n", text), True,
            ["columns", "missing source_id", "agree"], id="column missing",
        ),
        pytest.param(
            SUMMARY, lambda text: text.replace(b"\n", b",x\n"), True,
            ["columns", "undeclared x", "agree"], id="column too many",
        ),
        pytest.param(
            SUMMARY, swap("broad_total", "wide_total"), True,
            ["missing broad_total", "undeclared wide_total"], id="column renamed",
        ),
        pytest.param(
            SUMMARY, swap("broad_total,broad_overseas", "broad_overseas,broad_total"), True,
            ["columns", "order"], id="columns in another order",
        ),
        pytest.param(SUMMARY, swap("S001", "S00\xe9"), True, ["UTF-8"], id="not in UTF-8"),
        pytest.param(SUMMARY, lambda _: b"", True, ["columns differ"], id="empty file"),
        pytest.param(SUMMARY, swap("2024,38407", '2024,"38407'), True, ["has 2 fields"], id="quote left open"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_described_is_refused(edit, file, change, rehash, words):
    edit(file, change, rehash)
    with pytest.raises(InputError) as refused:
        sources.read(file.removesuffix(".csv"))
    for word in (file, *words):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("file", "row", "change", "field", "words"),
    [
        pytest.param(
            EDITIONS, A_YEAR, {"unit": "billion JPY"}, "unit",
            ["'billion JPY'", "not the unit that datapackage.json declares", "100 million JPY"], id="another unit",
        ),
        pytest.param(
            EDITIONS, A_YEAR, {"unit": "oku"}, "unit", ["unknown unit 'oku'", "Use one of", "billion USD"],
            id="a unit nobody knows",
        ),
        pytest.param(EDITIONS, A_YEAR, {"unit": ""}, "unit", ["unknown unit ''", "Use one of"], id="no unit"),
        pytest.param(
            EDITIONS, A_YEAR, {"value": "14.9k"}, "value", ["'14.9k' is not a number", "digits"], id="words in a number"
        ),
        pytest.param(
            EDITIONS, A_YEAR, {"value": "14,913"}, "value", ["'14,913' is not a number", "without separators"],
            id="a separator in a number",
        ),
        pytest.param(
            EDITIONS, A_YEAR, {"value": "nan"}, "value", ["'nan' is not a number"], id="nan in a number",
        ),
        pytest.param(
            EDITIONS, A_YEAR, {"is_derived": "0.5"}, "is_derived", ["'0.5' is not a whole number"],
            id="a fraction in a whole number",
        ),
        pytest.param(
            EDITIONS, A_YEAR, {"year": "2013.5"}, "year", ["'2013.5' is not a whole number"], id="a fraction in a year"
        ),
        pytest.param(EDITIONS, A_YEAR, {"year": ""}, "year", ["is empty", "from the source"], id="an empty year"),
        pytest.param(
            EDITIONS, A_YEAR, {"edition": " "}, "edition", ["is empty", "from the source"], id="a blank in a key"
        ),
        pytest.param(
            EDITIONS, A_YEAR, "repeat", "year, series, edition",
            ["2013, broad_total, 2014", "repeats a row", "edition of its own"], id="a row twice",
        ),
        pytest.param(
            RATES, {"year": "2010", "method": "FRED AEXJPUS annual average (of daily noon rates)"}, "repeat",
            "year, method", ["repeats a row"], id="a rate twice",
        ),
        pytest.param(
            "sources.csv", {"source_id": "S003"}, "repeat", "source_id", ["'S003' repeats a row"], id="a source twice"
        ),
    ],
)  # fmt: skip
def test_a_row_that_is_not_as_described_is_refused(edit, file, row, change, field, words):
    line = edit.row(file, row, change)
    with pytest.raises(InputError) as refused:
        sources.read(file.removesuffix(".csv"))
    for word in (f"{file}, row {line}, field {field}:", *words):
        assert word in str(refused.value)


def test_a_missing_file_is_refused_with_the_command_that_restores_it(edit):
    edit.path(EDITIONS).unlink()
    with pytest.raises(InputError) as refused:
        sources.read("aja_market_editions")
    place = "data/raw/aja/2025/aja_market_editions.csv"
    assert str(refused.value).startswith(f"{place}: cannot be read")
    assert f"git checkout -- {place}" in str(refused.value)


@pytest.mark.parametrize("field", ["name", "source", "edition", "accessed", "licenses", "sources", "resources"])
def test_a_package_without_one_of_its_fields_is_refused(edit, field):
    edit.package(EDITIONS, lambda package: package.pop(field))
    with pytest.raises(InputError) as refused:
        sources.raw_files()
    assert str(refused.value).startswith(f"data/raw/aja/2025/datapackage.json, field {field}: ")
    assert "Compare it with the package of another source" in str(refused.value)


@pytest.mark.parametrize("field", ["path", "bytes", "hash", "schema"])
def test_a_package_that_says_too_little_about_a_file_is_refused(edit, field):
    edit.package(EDITIONS, lambda package: edit.resource(package, EDITIONS).pop(field))
    with pytest.raises(InputError, match=rf"aja/2025/datapackage.json, field resources\.0\.{field}: "):
        sources.raw_files()


def test_a_package_that_is_not_json_is_refused(edit):
    (edit.path(EDITIONS).parent / "datapackage.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"aja/2025/datapackage\.json.*Invalid JSON"):
        sources.raw_files()


def test_a_package_that_is_not_in_utf8_is_refused(edit):
    (edit.path(EDITIONS).parent / "datapackage.json").write_bytes(b'{"name": "\xe9"}')
    with pytest.raises(InputError, match=r"aja/2025/datapackage\.json"):
        sources.raw_files()


def test_a_package_that_declares_an_unknown_unit_is_refused(edit):
    def change(package):
        for field in edit.resource(package, EDITIONS)["schema"]["fields"]:
            if field["name"] == "value":
                field["unit"] = "oku"

    edit.package(EDITIONS, change)
    with pytest.raises(InputError, match=r"aja/2025/datapackage\.json, field value: unknown unit 'oku'"):
        sources.read("aja_market_editions")


@pytest.mark.parametrize("key", [["anno"], []])
def test_a_package_whose_key_is_not_among_the_columns_is_refused(edit, key):
    edit.package(EDITIONS, lambda package: edit.resource(package, EDITIONS)["schema"].update(primaryKey=key))
    with pytest.raises(InputError, match=r"aja/2025/datapackage\.json"):
        sources.read("aja_market_editions")


@pytest.mark.parametrize("text", ["inf", "-inf", "infinity"])
def test_an_infinite_figure_is_refused(edit, text):
    line = edit.row(EDITIONS, A_YEAR, {"value": text})
    with pytest.raises(InputError, match=f"row {line}, field value: '{text}' is not a number"):
        sources.read("aja_market_editions")


def test_a_blank_line_does_not_shift_the_row_that_a_message_names(edit):
    edit.row(SUMMARY, {"year": "2024"}, {"broad_total": "many"})
    edit(SUMMARY, lambda content: content.replace(b"\n2003,", b"\n\n2003,"))
    lines = edit.path(SUMMARY).read_text(encoding="utf-8").splitlines()
    blank, spoiled = lines.index("") + 1, len(lines)
    assert "many" in lines[spoiled - 1]
    with pytest.raises(InputError, match=f"row ({spoiled}, field broad_total|{blank}\\b)"):
        sources.read("aja_market_best")


def test_a_message_is_one_line(edit):
    edit(SUMMARY, lambda content: content.replace(b"26.01,2.84,S001", b"26.01,2.84,S001,a field too many"))
    with pytest.raises(InputError) as refused:
        sources.read("aja_market_best")
    assert "\n" not in str(refused.value)


def test_an_unknown_table_is_refused_and_the_tables_at_hand_are_named():
    with pytest.raises(InputError, match=r"no table 'aja_markt'.*aja_market_editions, aja_production"):
        sources.read("aja_markt")


def test_a_study_without_raw_figures_is_refused(study):
    shutil.rmtree(study / "data" / "raw")
    with pytest.raises(InputError, match=r"data/raw: holds no raw figures.*Clone"):
        sources.raw_files()


# --- a new edition -------------------------------------------------------------------------------
def new_edition(study, line="2025,broad_total,2026,40000,100 million JPY,0,,high,S001,,secondary,,,,"):
    """The folder of a 2026 edition that prints one figure, without its package."""
    folder = study / "data" / "raw" / "aja" / "2026"
    folder.mkdir()
    header = (study / "data" / "raw" / "aja" / "2025" / EDITIONS).read_text(encoding="utf-8").splitlines()[0]
    (folder / EDITIONS).write_text(f"{header}\n{line}\n", encoding="utf-8")
    return folder


def test_a_described_new_edition_loads_and_joins_the_older_ones(study):
    before = sources.read("aja_market_editions")
    folder = new_edition(study)
    draft = {**sources.describe(folder), "accessed": "2026-11-22"}
    (folder / "datapackage.json").write_text(json.dumps(draft), encoding="utf-8")
    after = sources.read("aja_market_editions")
    assert len(after) == len(before) + 1
    newest = after.iloc[-1]
    assert (newest["year"], newest["edition"], newest["value"]) == (2025, "2026", 40000)
    assert newest["raw_row"].startswith("aja/2026/aja_market_editions.csv?")
    assert newest["raw_line"] == 2


def test_a_draft_measures_the_file_and_leaves_the_day_of_reading_to_a_person(study):
    folder = new_edition(study)
    draft = sources.describe(folder)
    content = (folder / EDITIONS).read_bytes()
    assert draft["resources"][0]["hash"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert draft["resources"][0]["bytes"] == len(content)
    assert (draft["name"], draft["edition"], draft["accessed"]) == ("aja-2026", "2026", "YYYY-MM-DD")
    assert draft["licenses"]
    assert len(draft["resources"]) == 1


def test_a_draft_takes_the_day_of_reading_where_it_is_given_and_refuses_what_is_none(study):
    folder = new_edition(study)
    assert sources.describe(folder, "2026-10-30")["accessed"] == "2026-10-30"
    with pytest.raises(InputError, match="--accessed yesterday: is no day. Write for example 2026-11-30"):
        sources.describe(folder, "yesterday")


def test_a_table_that_only_its_own_package_knows_is_described_by_that(study):
    folder = new_edition(study)
    draft = sources.describe(folder, "2026-10-30")
    (folder / EDITIONS).rename(folder / "fair.csv")
    draft["resources"][0] |= {"name": "fair", "path": "fair.csv", "bytes": 0, "hash": ""}
    (folder / "datapackage.json").write_text(json.dumps({**draft, "title": "A fair"}), encoding="utf-8")
    again = sources.describe(folder)
    assert (again["title"], again["accessed"]) == ("A fair", "2026-10-30")
    assert again["resources"][0]["bytes"] == (folder / "fair.csv").stat().st_size


def test_a_draft_for_a_file_that_no_package_knows_is_refused(study):
    folder = new_edition(study)
    (folder / EDITIONS).rename(folder / "aja_markets.csv")
    with pytest.raises(
        InputError, match=r"aja/2026/aja_markets\.csv: no package holds a table of this name.*aja_market_editions"
    ):
        sources.describe(folder)


def test_a_draft_for_a_folder_that_is_none_is_refused(study):
    loop = study / "data" / "raw" / "aja" / "2026"
    loop.symlink_to(loop)
    for folder in (loop, study / "nowhere"):
        with pytest.raises(InputError, match="is no folder. Put the new edition's figures there first"):
            sources.describe(folder)


def test_a_draft_for_an_empty_folder_is_refused(study):
    folder = study / "data" / "raw" / "aja" / "2026"
    folder.mkdir()
    with pytest.raises(InputError, match="aja/2026: holds no CSV file"):
        sources.describe(folder)


def test_a_figure_that_two_packages_print_for_the_same_edition_is_refused(study):
    again = new_edition(study, "2024,broad_total,2025,38407,100 million JPY,0,,high,S001,,secondary,,,,")
    (again / "datapackage.json").write_text(
        json.dumps({**sources.describe(again), "accessed": "2026-11-22"}), encoding="utf-8"
    )
    with pytest.raises(
        InputError,
        match=r"aja/2026/aja_market_editions\.csv, row 2 \(year 2024, .*\): stands in another raw file",
    ):
        clean.clean_all()


# --- one way -------------------------------------------------------------------------------------
def snapshot(folder):
    """Content, size and time of change of everything below `folder`."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in sorted(folder.glob("**/*"))
    }


def test_nothing_that_reads_the_raw_figures_changes_them(study, tmp_path):
    fresh = new_edition(study)
    draft = {**sources.describe(fresh), "accessed": "2026-11-22"}
    (fresh / "datapackage.json").write_text(json.dumps(draft), encoding="utf-8")
    before = snapshot(study / "data" / "raw")
    sources.describe(fresh)
    tables = clean.clean_all()
    checks.run(tables)
    market = clean.market(tables, 2025)
    described = describe.describe_market(market, tables["breaks"])
    subject = series.choose(described, "market.overseas", "yen", 2002)
    fits, _ = trends.fit_all(subject.levels)
    projections.project(fits, subject, 2030)
    described.write(tmp_path / "quantities.json", rows=trace.raw_rows(tables))
    assert snapshot(study / "data" / "raw") == before


def test_a_csv_file_that_no_package_promises_is_refused_instead_of_ignored(study):
    new_edition(study)
    with pytest.raises(InputError, match=r"aja/2026/aja_market_editions\.csv: is in no datapackage\.json"):
        clean.clean_all()


def test_the_placeholder_of_a_draft_is_refused_as_a_date_of_reading(study):
    folder = new_edition(study)
    (folder / "datapackage.json").write_text(json.dumps(sources.describe(folder)), encoding="utf-8")
    with pytest.raises(InputError, match="field accessed"):
        sources.raw_files()
