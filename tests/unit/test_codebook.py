"""The codebook names every number and column of the study once, with its unit, and nothing else."""

import html
import importlib
import re
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest
import yaml

from anime_growth import (
    clean,
    codebook,
    describe,
    languages,
    paths,
    pipeline,
    projections,
    report,
    series,
    targets,
    units,
)
from anime_growth.errors import InputError
from anime_growth.languages import speaking
from anime_growth.quantities import MODEL_WORDS, Quantities
from anime_growth.retelling import retold
from anime_growth.trace import Record

BOOK = codebook.read()
FAMILIES = {family.key: re.compile(BOOK.regex(family)) for family in BOOK.families}
README = paths.home() / "data" / "README.md"


def folders():
    latest = paths.runs() / "latest"
    return [paths.published(), *([latest] if (latest / "quantities.json").exists() else [])]


@pytest.fixture(scope="module")
def headers():
    return codebook.headers(paths.published())


# --- quantities ---
@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_every_quantity_of_a_run_is_in_exactly_one_family_and_has_its_unit(folder):
    wrong = {}
    for key, item in Quantities.read(folder / "quantities.json").items():
        found = [name for name, pattern in FAMILIES.items() if pattern.fullmatch(key)]
        family = codebook.family_of(key)
        if family is None or found != [family.key] or item.unit not in family.unit:
            wrong[key] = (found, item.unit)
    assert wrong == {}


def test_every_family_is_used_by_a_published_quantity():
    used = {codebook.family_of(key) for key in Quantities.read(paths.published() / "quantities.json")}
    assert [family.key for family in BOOK.families if family not in used] == []


@pytest.mark.parametrize(
    "key",
    [
        "market.overseas.level.2031",
        "market.total.growth_real_rank.2025",
        "market.overseas.log_growth.2030",
        "market.overseas.log_growth.2002-2030",
        "trend.studio_overseas_real.drift.growth_lo95",
        "trend.tourism_receipts.sample.none",
        "tourism.receipts.level_usd.series.2010",
        "ledger.overseas.drift.pinball.published",
        "target.content_2028.chance.rate_walks.local_linear",
        "article.another_one.implied_rate_low.K03",
        "article.another_one.claims.not_checkable",
        "article.another_one.gap.2024",
    ],
)
def test_a_key_that_another_run_may_have_is_in_a_family(key):
    assert codebook.family_of(key) is not None


@pytest.mark.parametrize(
    "key",
    [
        "market.overseas.grwoth.2024",
        "market.oversea.growth.2024",
        "market.total.share.2024",
        "market.overseas.growth.24",
        "market.overseas.growth.2024-2025",
        "market.overseas.level.series.2024",
        "trend.overseas.drfit.growth",
        "trend.overseas.drift.break_year",
        "target.content_2033.chance.rate_runs.drift",
        "projection.overseas.drift.p5.2033",
        "article.another_one.implied_rate.K03.again",
        "growth",
        "",
    ],
)
def test_a_misspelt_key_is_in_none(key):
    assert codebook.family_of(key) is None


def test_lists_in_braces_are_those_of_the_code():
    lists = {
        "series": clean.SERIES,
        "basis": {end for _, end, _ in series.BASES.values()},
        "model": MODEL_WORDS,
        "quantile": projections.PROBABILITIES,
        "target": describe.CONTENT_TARGETS,
        "assumption": ["", *(f".{name}" for name in {**targets.SHARINGS, **targets.RATES} if name != "constant_share")],
        "average": set(clean.RATE_METHODS.values()) - {"fred_annual_average"},
    }
    assert {name: sorted(BOOK.placeholders[name].one_of) for name in lists} == {
        name: sorted(items) for name, items in lists.items()
    }


def quantity(unit, method, *inputs):
    return {
        **{"value": 1.0, "unit": unit, "digits": 1, "label": "", "method": method, "inputs": list(inputs)},
        **{"edition": "2025", "confidence": "high", "caveats": [], "step": ""},
    }


def cell(file, source_id, *also):
    place = {"cell": f"{file}?year=2024#value", "file": file, "row": {"year": "2024"}, "column": "value"}
    return {**place, "sha256": "0", "source_id": source_id, "also": list(also)}


def record(**extra):
    entries = {
        "market.overseas.level.2024": quantity("100m JPY", "as printed", cell("aja/2025/aja.csv", "S001", "S002")),
        "fx.usdjpy.level.2024": quantity("JPY per USD", "as printed", cell("fx/2026/rates.csv", "S003")),
        "market.overseas.level_usd.2024": quantity(
            "bn USD", "anime_growth.arithmetic.usd_bn", "market.overseas.level.2024", "fx.usdjpy.level.2024"
        ),
        **extra,
    }
    return Record.of_entries(entries, {"S001": {"title": "Report"}, "S003": {"title": "Rates"}})


def test_a_row_tells_how_many_there_are_and_all_that_they_rest_on():
    rows = {row.key: row for row in codebook.as_rows(record())}
    assert list(rows) == [
        *("market.{series}.level.{year}", "market.{series}.level_usd.{year}", "fx.usdjpy.level.{year}")
    ]
    row = rows["market.{series}.level_usd.{year}"]
    assert (row.quantities, row.example, row.unit) == (1, "market.overseas.level_usd.2024", "bn USD")
    assert row.sources == {"S001": "Report", "S002": "S002", "S003": "Rates"}
    assert row.raw_tables == ("aja", "rates")
    assert row.methods == ("arithmetic.usd_bn",)
    assert rows["fx.usdjpy.level.{year}"].sources == {"S003": "Rates"}


def test_a_quantity_of_no_family_is_refused_by_name():
    with pytest.raises(InputError, match=r"quantity market\.overseas\.mood: .*codebook\.yml"):
        codebook.as_rows(record(**{"market.overseas.mood": quantity("count", "as printed")}))


# --- tables and columns ---
def test_every_column_of_every_published_table_is_described(headers):
    rows = codebook.columns(headers)
    assert len(rows) == sum(len(header) for header in headers.values())
    assert [f"{row.table}.{row.column}" for row in rows if not row.means or not row.source] == []


def test_no_entry_is_unused(headers):
    assert sorted(BOOK.tables) == sorted(headers)
    own = {(table, column) for table, item in BOOK.tables.items() for column in item.columns}
    assert sorted(f"{table}.{column}" for table, column in own if column not in headers[table]) == []
    used = {column for table, header in headers.items() for column in header if (table, column) not in own}
    assert sorted(set(BOOK.columns) - used) == []


def test_no_entry_repeats_what_another_or_the_data_package_says(headers):
    repeated = [
        f"{table}.{name}"
        for table, item in BOOK.tables.items()
        for name, column in item.columns.items()
        if column in (BOOK.columns.get(name), codebook._raw_columns(table).get(name))
    ]
    for name, column in BOOK.columns.items():
        users = [t for t, header in headers.items() if name in header and name not in BOOK.tables[t].columns]
        if all(codebook._raw_columns(table).get(name) == column for table in users):
            repeated.append(name)
    assert repeated == []


def test_columns_named_for_their_unit_have_it(headers):
    ends = {"_jpy_100m": "100m JPY", "_jpy_trn": "trn JPY", "_usd_bn": "bn USD", "_log_points": "log points x100"}
    for row in codebook.columns(headers):
        end = next((unit for end, unit in ends.items() if row.column.endswith(end)), None)
        assert end in (None, row.unit), row
        if row.column.endswith("_pct"):
            assert row.unit in ("%", "% a year"), row


def test_every_table_names_what_makes_it():
    for name, table in BOOK.tables.items():
        if table.by is None:
            assert re.fullmatch(r"raw table \w+, clean\.\w+", codebook.tables([name])[0].source)
            continue
        module, _, function = table.by.rpartition(".")
        assert callable(getattr(importlib.import_module(f"anime_growth.{module}"), function)), table.by
        if table.step == "anime-growth publish":
            assert (paths.published() / f"{name}.csv").exists(), name
        else:
            promised = pipeline.STEPS[table.step].promises
            assert f"tables/{name}.csv" in promised or f"{name}.csv" in promised, name


@pytest.mark.parametrize(
    ("header", "named"), [({"moods": ["year"]}, "table moods"), ({"trends": ["mood"]}, "column mood")]
)
def test_a_table_or_column_that_is_not_described_is_refused_by_name(header, named):
    with pytest.raises(InputError, match=rf"{named}: .*codebook\.yml"):
        codebook.columns(header)


# --- drawn data ---
@pytest.fixture(scope="module")
def drawn():
    """Column names of the data that each published figure draws."""
    return {path.stem: list(pd.read_csv(path).columns) for path in (paths.published() / "figures").glob("*.csv")}


def test_every_column_that_a_figure_draws_is_described(drawn):
    assert set(drawn) == set(BOOK.figures) == {figure for step in pipeline.STEPS.values() for figure in step.figures}
    for figure, header in drawn.items():
        rows, found = codebook.of_file(f"figures/{figure}.csv", header)
        assert rows and list(found) == header and all(column.means for column in found.values())


def test_no_entry_of_a_figure_is_unused_or_repeats_a_table(drawn):
    for figure, data in BOOK.figures.items():
        assert set(data.columns) <= set(drawn[figure]), figure
        own = BOOK.tables[figure].columns if figure in BOOK.tables else {}
        assert [n for n, column in data.columns.items() if column == (own.get(n) or BOOK.columns.get(n))] == [], figure


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("figures/moods.csv", "figure moods"),
        ("figures/contributions.csv", "figure contributions, column mood"),
        ("figures/backtest.csv", "table backtest, column mood"),
        ("moods.csv", "table moods"),
    ],
)
def test_a_file_or_column_that_is_not_described_is_refused_by_name(file, named):
    with pytest.raises(InputError, match=rf"{named}: .*codebook\.yml"):
        codebook.of_file(file, ["year", "mood"])


# --- tolerances ---
def test_a_tolerance_names_models_families_tables_and_figures_that_there_are():
    figures = {figure for step in pipeline.STEPS.values() for figure in step.figures}
    for item in BOOK.tolerances:
        assert {*item.models} <= {*MODEL_WORDS}
        assert {*item.of} <= {*FAMILIES, *BOOK.tables, *figures}
        assert item.reason.endswith(".")


@pytest.mark.parametrize(
    ("key", "relative"),
    [
        ("market.overseas.growth.2024", 1e-6),
        ("trend.overseas.local_linear.growth", 1e-6),
        ("trend.overseas.damped_trend.growth", 1e-5),
        ("backtest.overseas.damped_trend.mase.h1", 1e-5),
        ("backtest.overseas.damped_trend.male.sample_from_2012.h1", 1e-3),
        ("backtest.overseas.drift.male.sample_from_2012.h1", 1e-6),
        ("no.such.key", 1e-6),
    ],
)
def test_a_quantity_has_the_tolerance_of_its_model_in_its_family(key, relative):
    assert codebook.tolerance_of(key) == relative


@pytest.mark.parametrize(
    ("table", "model", "relative"),
    [
        ("backtest", "drift", 1e-6),
        ("backtest", "combination", 1e-3),
        ("trends", "combination", 1e-5),
        ("market", "", 1e-6),
    ],
)
def test_a_row_has_the_tolerance_of_its_model_in_its_table(table, model, relative):
    assert codebook.tolerance_in(table, model) == relative


def test_the_codebook_shows_each_tolerance_with_its_reason():
    shown = codebook.as_markdown(paths.published()).split("### Tolerances")[1]
    assert "1e-06 of it, except:" in shown
    for item in BOOK.tolerances:
        assert item.reason in shown and f"{item.relative:g}" in shown and all(f"`{name}`" in shown for name in item.of)


# --- in Japanese ---
# Names and signs that Japanese readers know in these letters.
AS_THEY_ARE = {"AEXJPUS", "AR", "BIC", "FRED", "Jarque-Bera", "Ljung-Box", "README", "SHA-256", "Winkler", "ln", "p"}
# A name of a file, of a key or of something in the code.
NAME = re.compile(r"\.?[A-Za-z]\w*(?:[._/]+\w+)+", re.ASCII)


def held(folder):
    """What each column of the tables in `folder` holds, in letters, by table and column."""
    files = {path.stem: path for path in (*folder.glob("tables/*.csv"), *folder.glob("*.csv"))}
    tables = {name: pd.read_csv(path, dtype=str, keep_default_na=False) for name, path in files.items()}
    return {(name, column): set(cells) for name, table in tables.items() for column, cells in table.items()}


@pytest.fixture(scope="module")
def told(headers):
    """Every text of the codebook, once, with the words that it may name as keys and tables hold them."""
    values, keys = held(paths.published()), Quantities.read(paths.published() / "quantities.json")
    parts = {part for key in keys for part in re.split("[._]", key)} | {"none"}  # a sample that no run here has
    found = {text: set() for group in BOOK.quantities for text in (group.heading, *(f.means for f in group.families))}
    found |= {item.means: parts for item in BOOK.placeholders.values()}
    for row in codebook.columns(headers):
        choices = BOOK.placeholders[row.column].one_of if row.column in BOOK.placeholders else ()
        found.setdefault(row.means, set()).update(values[row.table, row.column], choices or ())
    return found


def test_every_text_has_its_japanese_with_its_numbers(told):
    assert len(told) > 300
    wrong = {}
    for english, holds in told.items():
        with speaking("ja"):
            japanese = retold(english)
        rest = NAME.sub(" ", japanese)
        for word in sorted(holds, key=len, reverse=True):
            rest = re.sub(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", " ", rest) if word in english else rest
        words = set(re.findall(r"[A-Za-z]+(?:-[A-Za-z0-9]+)*", rest)) - AS_THEY_ARE
        names = set(NAME.findall(japanese)) - set(NAME.findall(english))
        numbers = Counter(re.findall(r"\d+(?:\.\d+)?", english)) - Counter(re.findall(r"\d+(?:\.\d+)?", japanese))
        if words or names or numbers or not re.search("[\u3040-\u30ff\u4e00-\u9fff]", japanese):
            wrong[english] = japanese, words, names, numbers
    assert wrong == {}


def test_each_name_that_stays_as_it_is_stands_somewhere(told):
    with speaking("ja"):
        everything = " ".join(map(retold, told))
    assert {name for name in AS_THEY_ARE if not re.search(rf"(?<![A-Za-z]){name}(?![A-Za-z])", everything)} == set()


def test_the_catalogue_of_the_codebook_holds_no_other_text(told):
    words = {"any", " or ", "raw table {raw}, {function}", "{function} in {step}", "derived by the collector"}
    assert set(languages.catalogue("codebook.ja.yml")) - set(told) == words


def cells_of(page):
    """What stands in the cells and headings of a page, in their order, each with the name of its column."""
    found = re.findall(r'<(t[dh]|h[12])\b(?: data-name="([^"]*)")?[^>]*>(.*?)</\1>', page, re.DOTALL)
    return [(column, html.unescape(re.sub(r"<[^>]*>", "", text))) for _, column, text in found]


def test_the_page_of_a_whole_run_is_told_in_japanese_but_for_names(headers):
    published = Record.read(paths.published())
    pages = [cells_of(report.write_codebook(published, headers, True, language)) for language in ("en", "ja")]
    names = {"Key", "Here", "Raw tables", "Sources", "Table", "Column", "In a key"}
    told = [(before, after) for (column, before), (_, after) in zip(*pages, strict=True) if column not in names]
    assert len(told) > 1500
    # A sign is the same everywhere, and what made a quantity may be a function.
    same = {before for before, after in told if before == after}
    assert {text for text in same if not re.fullmatch(r"%?|[a-z]+\.\w+", text)} == set()


# --- the file ---
@pytest.mark.parametrize(
    ("change", "field", "what"),
    [
        (lambda book: book["columns"]["mase"].update(unit="furlong"), "columns, mase, unit", "'furlong' is unknown"),
        (
            lambda book: book["quantities"][0]["families"][0].update(unit=["100m JPY", "yen"]),
            r"families, market\.\{series\}\.level\.\{year\}, unit",
            f"'yen' is unknown; use any or some of {', '.join(units.UNITS)}",
        ),
        (lambda book: book["columns"]["mase"].update(mean="x"), "columns, mase, mean", "not permitted"),
        (lambda book: book["tables"]["trends"].pop("rows"), "tables, trends, rows", "required"),
        (lambda book: book["tables"]["trends"].pop("step"), "tables, trends", "by and step"),
        (lambda book: book["placeholders"].pop("model"), "the file", "{model} is not declared"),
        (lambda book: book["placeholders"].update(x={"means": "", "pattern": "x"}), "the file", "{x} stands in no key"),
        (lambda book: book["placeholders"]["year"].update(pattern="("), "placeholders, year", "no regular expression"),
        (lambda book: book["placeholders"]["year"].update(pattern="(x)"), "placeholders, year", "capturing group"),
        (lambda book: book["placeholders"]["year"].update(one_of=["x"]), "placeholders, year", "either pattern or"),
        (lambda book: book["quantities"].append(book["quantities"][0]), "the file", "is given twice"),
        (lambda book: book["tolerances"][0].pop("reason"), "tolerances, 0, reason", "required"),
        (lambda book: book["tolerances"][0].update(relative=1e-7), "tolerances, 0, relative", "greater than 0.000001"),
        (lambda book: book["tolerances"][0]["models"].append("drfit"), "the file", "tolerance of drfit, which is no"),
        (
            lambda book: book["tolerances"][1]["of"].append("no.{year}"),
            "the file",
            "tolerance of no.{year}, which is no",
        ),
        (lambda book: book.clear(), "placeholders", "required"),
    ],
)
def test_a_bad_entry_is_refused_by_file_and_field(tmp_path, change, field, what):
    content = yaml.safe_load(codebook.DECLARED.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "codebook.yml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError) as refused:
        codebook.read(path)
    assert re.search(field, refused.value.where) and what in refused.value.what
    assert refused.value.where.startswith("codebook.yml, field ") and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"a: [", b"\xff", b"- a", b""])
def test_a_file_that_is_no_codebook_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "codebook.yml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"codebook\.yml") as refused:
        codebook.read(path)
    assert "\n" not in str(refused.value)


def test_asking_for_a_family_loads_no_library_for_tables():
    code = (
        "import sys; from anime_growth import codebook; codebook.family_of('fx.usdjpy.level.2024'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"pandas", "numpy", "anime_growth.sources"} & set(loaded) == set()


# --- data/README.md ---
def test_the_readme_of_the_figures_shows_the_codebook_of_the_published_run():
    text = README.read_text(encoding="utf-8")
    assert codebook.with_section(text, paths.published()) == text


def test_the_section_is_whole_tables_without_anything_that_html_would_swallow():
    told = codebook.as_markdown(paths.published())
    assert "<" not in told
    for block in re.split(r"\n\n+", told):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, block[:200]


def test_a_readme_without_marks_is_refused(tmp_path):
    path = tmp_path / "README.md"
    for text in (None, "# The figures\n"):
        if text:
            path.write_text(text)
        with pytest.raises(InputError, match=r"README\.md"):
            codebook.refuse_without_section(path)
