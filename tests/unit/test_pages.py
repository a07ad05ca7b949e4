"""The pages of a whole run: nothing is missing, every link leads somewhere, and nothing comes from outside."""

import json
import re
import shutil
from urllib.parse import unquote

import jinja2
import nbformat
import pandas as pd
import pytest

from anime_growth import narrative, pages, paper, paths, publish, report
from anime_growth.errors import InputError
from anime_growth.steps import STEPS
from tests.elements import Elements


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The published results as if they had just been run, with their pages."""
    folder = tmp_path_factory.mktemp("pages") / "run"
    shutil.copytree(paths.published(), folder)
    (folder / "notebooks").mkdir()
    for name in STEPS:
        shutil.copyfile(paths.notebooks() / f"{name}.ipynb", folder / "notebooks" / f"{name}.ipynb")
    for name in publish.README_SECTIONS:
        (folder / f"{name}.md").write_text(f"What the {name} say.")
    for name in ("report", "trace", "codebook"):  # which notebook 6 writes
        (folder / f"{name}.html").write_text("<h2 id='any'></h2>")
    for name in ("certificate.md", "certificate.json"):
        (folder / name).unlink()
    (folder / paper.NAME).write_bytes(b"what paper.write makes")
    pages.build(folder)
    return folder


def made(run):
    return {path.relative_to(run).as_posix(): path.read_text() for path in run.rglob("*.html")}


def test_there_is_a_page_for_each_article_and_notebook_and_one_that_leads_to_all(run):
    articles = {f"article-{path.name}.html" for path in (paths.raw() / "articles").iterdir() if path.is_dir()}
    notebooks = {f"notebooks/{name}.html" for name in STEPS}
    known = {"index.html", "report.html", "trace.html", "codebook.html", "certificate.html"}
    assert set(made(run)) == known | articles | notebooks
    led_to = set(Elements(made(run)["index.html"]).all("href"))
    assert set(made(run)) - {"index.html"} <= led_to
    assert {f"tables/{path.name}" for path in run.glob("tables/*.csv")} <= led_to


def test_every_link_leads_to_a_file_of_the_run_and_every_picture_is_there(run):
    for name, text in made(run).items():
        elements = Elements(text)
        for address in (*elements.all("href"), *elements.all("src")):
            if address.startswith(("http", "data:,", "#")) or "trace.html#" in address:
                continue
            assert ((run / name).parent / unquote(address.split("#")[0])).is_file(), f"{name} leads to {address}"
        assert all(elements.all("alt")), name


def test_ids_are_unique_and_inner_links_lead_somewhere(run):
    for name, text in made(run).items():
        ids = Elements(text).all("id")
        assert len(ids) == len(set(ids)), name
        inner = {unquote(address[1:]) for address in Elements(text).all("href") if re.match("#.", address)}
        if not name.startswith("notebooks/"):
            assert inner <= set(ids), name


def test_the_page_of_an_article_shows_its_verdicts_and_no_others(run):
    text = made(run)["article-ann_record_market.html"]
    own = set(re.findall(r'data-article="([^"]+)"', text))
    assert own == {"ann_record_market"}
    verdicts = pd.read_csv(run / "verdicts.csv").query("article == 'ann_record_market'")
    assert text.count("<tr id=") == len(verdicts) > 0


def test_a_notebook_is_shown_with_its_outputs_and_its_figures_are_those_beside_it(run):
    for name in STEPS:
        text = made(run)[f"notebooks/{name}.html"]
        drawn = {address for address in Elements(text).all("src")}
        assert all(re.fullmatch(r"\.\./figures/\w+\.svg", address) for address in drawn), "none is carried twice"
        if STEPS[name].figures:
            assert drawn == {f"../figures/{figure}.svg" for figure in STEPS[name].figures}
        notebook = nbformat.read(run / "notebooks" / f"{name}.ipynb", as_version=4)
        streams = [
            one.text for cell in notebook.cells for one in cell.get("outputs", ()) if one.output_type == "stream"
        ]
        assert streams and streams[-1].split(":")[0] in text


def test_nothing_is_asked_of_the_network(run):
    for name, text in made(run).items():
        if name in ("report.html", "trace.html", "codebook.html"):
            continue
        elements = Elements(text)
        assert not [address for address in elements.all("src") if re.match(r"\w+:|//", address)], name
        assert [tag for tag, attributes in elements.tags if tag == "link"] == ["link"], name
        (policy,) = (content for content in elements.all("content") if "default-src" in content)
        assert "default-src 'none'" in policy, name


def test_without_a_certificate_the_page_says_so_and_shows_the_published_one(run):
    text = made(run)["certificate.html"]
    assert "was not compared with the published results" in text
    published = json.loads((paths.published() / "certificate.json").read_text())
    assert published["verdict"] in text


def test_the_certificate_of_the_run_itself_comes_first(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "certificate.md").write_text("# Two numbers differ.\n\n| kind | match |\n| --- | --- |\n| tables | 3 |\n")
    pages.build(folder)
    text = (folder / "certificate.html").read_text()
    assert "<h1>Two numbers differ.</h1>" in text and "<td>tables</td>" in text and "not compared" not in text
    assert "Two numbers differ" in (folder / "index.html").read_text()


def test_made_twice_the_pages_are_the_same(run, tmp_path):
    before = made(run)
    pages.build(run)
    assert made(run) == before


def test_what_is_made_while_the_last_step_is_at_work_is_the_same(run, tmp_path):
    folder = tmp_path / "run"
    *others, last = STEPS
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(f"{last}.ipynb", *(f"{name}.html" for name in STEPS)))
    begun = pages.begin(folder, others)
    assert set(begun) == {path.stem for path in folder.glob("notebooks/*.html")} == set(others)
    shutil.copyfile(run / f"notebooks/{last}.ipynb", folder / f"notebooks/{last}.ipynb")
    pages.build(folder, begun)
    assert made(folder) == made(run)


def test_a_damaged_template_is_left_to_those_who_use_it(monkeypatch):
    whole = dict.fromkeys(narrative.environment().list_templates(), "")
    damaged = jinja2.Environment(loader=jinja2.DictLoader({**whole, report.REPORT: "{% if %}"}))
    monkeypatch.setattr(narrative, "environment", lambda as_html=False: damaged)
    pages.load("en")
    with pytest.raises(InputError, match="report.html.j2, line 1: is no template"):
        report.load("en")
