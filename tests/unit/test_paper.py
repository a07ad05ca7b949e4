"""The paper: all that the run says, as text and vectors, the same bytes everywhere, nothing from data believed."""

import csv
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pytest
import typst
import yaml
from pypdf import PdfReader

from anime_growth import narrative, paper, paths
from anime_growth.errors import InputError
from anime_growth.trace import Record

# Looks like every command, label, comment and mark of typst and of Markdown.
HOSTILE = '#panic("x") $x$ @ref *b* _u_ <lab> [x] \\u{41} // c /* d */ ~ --- `r` = h #{1} "q" \\'
FONTS = {"LibertinusSerif", "DejaVuSansMono", "IPAexGothic"}


# --- what a PDF holds -------------------------------------------------------------------------------
def squeezed(text):
    """Text without spaces, hyphens of any kind and the shape of quotation marks, which typesetting chooses."""
    straight = text.translate(str.maketrans("‘’“”", "''\"\""))
    return re.sub(r"[\s\u00ad\u2010\ufffe-]+", "", straight)


def pages_of(file, which=slice(None)):
    """The squeezed text of pages; asked for few where few will do, as it takes long."""
    return [squeezed(page.extract_text()) for page in PdfReader(file).pages[which]]


def elements(reader, kind):
    """The elements of the structure tree of a kind, in order."""
    found, waiting = [], [reader.trailer["/Root"]["/StructTreeRoot"]]
    while waiting:
        node = waiting.pop().get_object()
        if isinstance(node, list):
            waiting += reversed(node)
        elif isinstance(node, dict):
            if node.get("/S") == kind:
                found.append(node)
            if "/K" in node:
                waiting.append(node["/K"])
    return found


def names_in(outline):
    """Titles of the bookmarks, whatever their depth."""
    return [name for item in outline for name in (names_in(item) if isinstance(item, list) else [item.title])]


def is_declared_accessible(reader):
    return b"pdfuaid:part" in reader.xmp_metadata.stream.get_data()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run folder: the published results with the two texts that publishing puts into the README."""
    folder = tmp_path_factory.mktemp("paper") / "run"
    shutil.copytree(paths.published(), folder)
    readme = (paths.home() / "README.md").read_text(encoding="utf-8")
    for name in ("finding", "limits"):
        text = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", readme, re.DOTALL)[1]
        (folder / f"{name}.md").write_text(text.strip() + "\n", encoding="utf-8")
    paper.write(folder)
    return folder


@pytest.fixture(scope="module")
def reader(finished):
    return PdfReader(finished / paper.NAME)


@pytest.fixture(scope="module")
def pages(finished):
    return pages_of(finished / paper.NAME)


@pytest.fixture(scope="module")
def whole(pages):
    return "".join(pages)


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


# --- what it says -----------------------------------------------------------------------------------
def test_the_abstract_is_the_finding(finished, whole):
    finding = (finished / "finding.md").read_text(encoding="utf-8")
    assert re.search(r"\d", finding)
    assert f"Abstract.{squeezed(finding)}" in whole


def test_every_verdict_stands_in_it_with_what_was_stated_and_computed(finished, whole):
    with (finished / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        verdicts = list(csv.DictReader(file))
    assert len(verdicts) > 20
    for row in verdicts:
        period = f" ({row['period']})" if row["period"] else ""
        cells = [row["claim_id"], row["subject"], ", ", row["measure"], period]
        cells += [row[name] for name in ("stated", "computed", "verdict", "caveat")]
        assert squeezed("".join(cells)) in whole, row["claim_id"]


def test_the_narrative_and_the_limits_stand_in_it_sentence_by_sentence(finished, whole):
    for name in ("narrative.md", "limits.md"):
        told = (finished / name).read_text(encoding="utf-8")
        plain = re.sub(r"!\[(.*?)\]\(.*?\)|\*\*|^#+ |^- |`", r"\1", told, flags=re.MULTILINE)
        sentences = re.findall(r"[^.:]{20,}[.:]", plain)
        # A page may end, and a figure stand, in the middle of a few.
        found = [sentence for sentence in sentences if squeezed(sentence) in whole]
        assert len(sentences) > 10 and len(found) > 0.9 * len(sentences), name


def test_the_models_stand_in_it_as_in_the_report(finished, whole):
    said = paper.content(finished)
    assert len(said["models"]) == 8 and len(said["measures"]) == 10
    drift = said["models"].index("drift (average growth)")
    growth = Record.read(finished).q["trend.overseas.drift.growth"]
    assert said["measures"][0][1 + drift] == growth.number
    assert squeezed("".join(said["models"])) in whole
    for row in said["measures"]:
        assert squeezed("".join(row)) in whole, row[0]


def test_it_says_which_run_it_is_and_how_to_make_it_again(finished, whole):
    run = paper.records.read(finished)
    assert f"gitcheckout{run['git']['commit']}" in whole
    assert f"Figuresofthe{run['edition']}edition" in whole
    for name, value in run["parameters"].items():
        assert squeezed(f"-p {name}={value}") in whole
    assert "notcommitted" not in whole


@pytest.mark.parametrize(
    ("git", "says", "names_a_commit"),
    [({"commit": "0123abcd", "dirty": True}, "withchangesthatarenotcommitted.", True), ({}, "Inacloneofthe", False)],
)
def test_a_run_with_changes_says_so_and_one_outside_a_clone_names_no_commit(run, git, says, names_a_commit):
    paper.records.write({**paper.records.read(run), "git": git}, run)
    paper.write(run)
    text = "".join(pages_of(run / paper.NAME, slice(-4, None)))
    assert says in text
    assert ("gitcheckout" in text, "atcommit" in text) == (names_a_commit, names_a_commit)


def test_every_source_of_a_number_or_a_verdict_is_listed(run):
    sources = paper.content(run)["sources"]
    record = Record.read(run)
    assert {source["id"] for source in sources} >= {name for key in record.q for name in record.source_ids(key)}
    verdicts = (run / "verdicts.csv").read_text(encoding="utf-8")
    unused = next(name for name in record.sources if name not in {source["id"] for source in sources})
    spoilt, count = re.subn(r"S\d+(; S\d+)*$", f"{unused}; S999", verdicts, flags=re.MULTILINE)
    assert count > 10
    (run / "verdicts.csv").write_text(spoilt, encoding="utf-8")
    now = {source["id"]: source for source in paper.content(run)["sources"]}
    assert now[unused]["words"].startswith(record.sources[unused]["title"])
    assert now["S999"] == {"id": "S999", "words": "not in the register of sources", "url": "", "link": ""}
    assert set(now) >= {name for key in record.q for name in record.source_ids(key)}


def test_each_source_is_named_and_leads_to_its_address(finished, reader, whole):
    notes = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
    linked = {note["/A"]["/URI"] for note in notes if "/URI" in note.get("/A", {})}
    sources = paper.content(finished)["sources"]
    assert len(sources) > 20 and any(not source["url"].isascii() for source in sources)
    for source in sources:
        assert squeezed(source["id"] + source["words"]) in whole, source["id"]
        assert squeezed(source["url"]) in whole, source["id"]
    assert linked == {source["link"] for source in sources if source["link"]}
    assert all(str(link).isascii() for link in linked)
    assert {unquote(link) for link in linked} == {unquote(source["url"]) for source in sources if source["link"]}


def test_its_date_is_that_of_its_sources_not_of_the_clock(finished, reader, whole):
    read = max(row["accessed"] for row in Record.read(finished).sources.values())
    assert squeezed(f"sources read by {date.fromisoformat(read):%d %B %Y}".replace(" 0", " ")) in whole
    assert reader.metadata.creation_date is None and reader.metadata.modification_date is None


# --- how it looks -----------------------------------------------------------------------------------
def test_every_placed_figure_is_drawn_as_vectors_and_told_in_words(finished, reader):
    told = (finished / "narrative.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[(.*?)\]\((.*?)\)", told)
    described = [element["/Alt"] for element in elements(reader, "/Figure") if "/Alt" in element]
    assert len(pictures) > 5
    assert described == [words for words, _ in pictures]
    assert not re.search(rb"/Subtype\s*/Image", (finished / paper.NAME).read_bytes())


def test_the_paragraph_before_figures_names_them_since_they_stand_where_there_is_room(finished, whole):
    told = (finished / "narrative.md").read_text(encoding="utf-8")
    ends, number = re.findall(r"([^\n]*)((?:\n+!\[.*\))+)", told), 0
    assert len(ends) > 5
    for end, images in ends:
        first, number = number + 1, number + images.count("![")
        numbers = ", ".join(f"Figure {one}" for one in range(first, number + 1))
        last_words = re.sub(r"[*`]", "", end)[-30:].removesuffix(".")
        assert squeezed(f"{last_words} ({numbers}).") in whole


@pytest.mark.parametrize(
    ("before", "named"),
    [("As **drawn**", "As drawn (Figure 1)"), ("図の通り。", "図の通り (Figure 1)。"), ("## As drawn", "As drawn")],
)
def test_a_figure_is_named_before_the_full_stop_and_in_a_paragraph_only(run, before, named):
    (run / "narrative.md").write_text(f"# Title\n\n{before}\n\n![drawn](figures/verdicts.svg)\n", encoding="utf-8")
    paper.write(run)
    text = "".join(pages_of(run / paper.NAME))
    assert squeezed(named) in text and ("(Figure" in named) == ("(Figure" in text)


def test_it_has_a_title_a_language_bookmarks_and_tags(finished, reader):
    root = reader.trailer["/Root"]
    told = (finished / "narrative.md").read_text(encoding="utf-8")
    assert f"# {reader.metadata.title}\n" in told
    assert root["/Lang"] == "en" and root["/MarkInfo"]["/Marked"]
    assert is_declared_accessible(reader)
    headings = re.findall(r"^##+ (.*)$", told, re.MULTILINE)
    names = [re.sub(r"^[\dA-Z.]+ ", "", name) for name in names_in(reader.outline)]
    assert names[: len(headings)] == headings and len(names) > len(headings)


def test_it_is_a_paper_of_some_pages_each_with_its_number(reader, pages):
    assert 8 <= len(pages) <= 20
    assert {tuple(round(float(side)) for side in page.mediabox[2:]) for page in reader.pages} == {(595, 842)}  # A4
    for number, page in enumerate(pages, start=1):
        assert squeezed(f"{number} / {len(pages)}") in page


def test_its_authors_are_those_to_be_cited(reader):
    cited = yaml.safe_load((paths.home() / "CITATION.cff").read_text(encoding="utf-8"))
    assert reader.metadata.author == ", ".join(author["name"] for author in cited["authors"])


def test_the_head_of_the_table_of_verdicts_stands_on_each_page_it_goes_on_to(finished, pages):
    rows = [squeezed("".join(row)) for article in paper.content(finished)["articles"] for row in article["claims"]]
    with_rows = [page for page in pages if any(row in page for row in rows)]
    assert len(with_rows) >= 3
    assert all("ClaimAboutStatedComputedVerdictWhy" in page for page in with_rows)


def test_all_fonts_are_those_that_are_shipped_and_stand_in_the_file(reader):
    used = {font for page in reader.pages for font in page["/Resources"]["/Font"].values()}
    fonts = [one.get_object() for font in used for one in font.get_object()["/DescendantFonts"]]
    names = {font["/BaseFont"].split("+")[1].split("-")[0] for font in fonts}
    assert names <= FONTS and "LibertinusSerif" in names
    assert all("/FontFile3" in font["/FontDescriptor"] or "/FontFile2" in font["/FontDescriptor"] for font in fonts)


def test_typst_has_nothing_to_complain_of(finished, monkeypatch):
    warnings = []
    real = typst.Compiler

    class Listening:
        def __init__(self, *given, **options):
            self.compiler = real(*given, **options)

        def compile(self, *given, **options):
            made, found = self.compiler.compile_with_warnings(*given, **options)
            warnings.extend(found)
            return made

    monkeypatch.setattr(typst, "Compiler", Listening)
    paper.write(finished)
    assert [str(warning) for warning in warnings] == []


# --- the same bytes ---------------------------------------------------------------------------------
def test_another_process_elsewhere_at_another_time_makes_the_same_bytes(finished, run, tmp_path):
    (run / paper.NAME).unlink()
    surroundings = {
        "TZ": "Asia/Tokyo", "HOME": str(tmp_path), "SOURCE_DATE_EPOCH": "1", "LANG": "C", "LC_ALL": "C",
        "PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1", "TYPST_FONT_PATHS": str(tmp_path),
    }  # fmt: skip
    code = "import sys, pathlib; from anime_growth import paper; paper.write(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, "run"], cwd=tmp_path, env={**os.environ, **surroundings}, check=True)
    assert (run / paper.NAME).read_bytes() == (finished / paper.NAME).read_bytes()


def test_when_and_how_fast_a_run_was_made_makes_no_difference(finished, run):
    record = paper.records.read(run)
    other = {"run_id": "20300101T000000Z", "started": "2030-01-01T00:00:00+00:00", "ended": "", "platform": "another"}
    paper.records.write({**record, **other}, run)
    paper.write(run)
    assert (run / paper.NAME).read_bytes() == (finished / paper.NAME).read_bytes()


# --- nothing from data is believed ------------------------------------------------------------------
def test_text_from_data_is_never_markup(run):
    with (run / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("subject", "stated", "computed", "caveat"):
        rows[0][name] = f"{name}{HOSTILE}"
    rows[0]["caveat_template"] = ""
    for row in rows:
        row["article_words"] = f"article{HOSTILE}"
    with (run / "verdicts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    trends = (run / "tables" / "trends.csv").read_text(encoding="utf-8")
    remark = "estimated variance of nought: level"
    assert remark in trends
    quoted = f"remark{HOSTILE}".replace('"', '""')
    (run / "tables" / "trends.csv").write_text(trends.replace(remark, f'"{quoted}"'), encoding="utf-8")
    said = narrative.Teller(q=None).said(f"told{HOSTILE}")
    (run / "finding.md").write_text(f"{said}\n", encoding="utf-8")
    with (run / "narrative.md").open("a", encoding="utf-8") as file:
        file.write(f"\n## head{said}\n\n- item{said}\n\n```\nblock{HOSTILE}\n```\n\nin `` span{HOSTILE} ``\n")
    paper.write(run)
    text = "".join(pages_of(run / paper.NAME))
    for place in (
        "subject",
        "stated",
        "computed",
        "caveat",
        "article",
        "remark",
        "told",
        "headtold",
        "itemtold",
        "block",
        "span",
    ):
        assert f"{place}{squeezed(HOSTILE)}" in text, place


def test_html_in_a_text_is_text(run):
    (run / "finding.md").write_text("It <b>rose</b> <!-- mark --> by & by.\n\n<script>alert(1)</script>\n")
    paper.write(run)
    (text,) = pages_of(run / paper.NAME, slice(1))
    assert squeezed("It <b>rose</b> <!-- mark --> by & by.<script>alert(1)</script>") in text


def test_every_kind_of_markdown_is_set(run):
    told = """
# onea

twob *threec* **fourd** `fivee` [sixf](https://example.org)\\
seveng

- eighth
  - ninei
1. tenj

> elevenk

---

```sh
twelvel
```

    thirteenm

#### fourteenn
"""
    (run / "finding.md").write_text(told, encoding="utf-8")
    paper.write(run)
    (text,) = pages_of(run / paper.NAME, slice(1))
    words = re.findall(
        r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen)[a-n]", told
    )
    assert len(words) == 14
    assert [word for word in words if word not in text] == []


def test_japanese_is_set_in_the_japanese_font(run):
    (run / "finding.md").write_text("アニメ産業レポート「海外展開」\n", encoding="utf-8")
    paper.write(run)
    (text,), reader = pages_of(run / paper.NAME, slice(1)), PdfReader(run / paper.NAME)
    assert "アニメ産業レポート「海外展開」" in text and is_declared_accessible(reader)
    fonts = [font.get_object()["/BaseFont"] for font in reader.pages[0]["/Resources"]["/Font"].values()]
    assert any("IPAexGothic" in font for font in fonts)


def test_a_letter_that_no_font_has_does_not_stop_a_paper_but_its_claim_to_be_accessible(run):
    (run / "finding.md").write_text("Growth of ក by much.\n", encoding="utf-8")
    paper.write(run)
    (text,), reader = pages_of(run / paper.NAME, slice(1)), PdfReader(run / paper.NAME)
    assert "Growthof" in text and reader.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert not is_declared_accessible(reader)


# --- what is missing or damaged ---------------------------------------------------------------------
def damaged(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2].rsplit(b"\n", 1)[0] + b'\n"')


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("finding.md", Path.unlink, "lacks finding.md"),
        ("limits.md", Path.unlink, "lacks limits.md"),
        ("narrative.md", lambda path: path.write_text(""), "narrative.md: is damaged"),
        ("narrative.md", lambda path: path.write_bytes(b"# \xff"), "narrative.md: is damaged"),
        ("tables/trends.csv", Path.unlink, "lacks trends.csv"),
        ("tables/backtest.csv", lambda path: path.write_text("a,b\n1,2\n"), "'windows' is missing or not known"),
        ("tables/trends.csv", lambda path: path.write_bytes(b"\x00\xff"), "trends.csv: is damaged"),
        ("verdicts.csv", lambda path: path.write_text("article,claim_id\na,b\n"), "is damaged or of another version"),
        ("quantities.json", damaged, "quantities.json: is damaged"),
        ("run.json", damaged, "run.json: is damaged"),
        ("figures/market_levels.svg", Path.unlink, "cannot be typeset (file not found"),
        ("figures/market_levels.svg", lambda path: path.write_text("<svg"), "cannot be typeset (failed to parse SVG"),
    ],
)
def test_a_run_that_lacks_something_is_refused_and_its_paper_stays(run, name, spoil, said):
    before = (run / paper.NAME).read_bytes()
    spoil(run / name)
    with pytest.raises(InputError) as refused:
        paper.write(run)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert (run / paper.NAME).read_bytes() == before
    assert not list(run.glob("*.part"))
