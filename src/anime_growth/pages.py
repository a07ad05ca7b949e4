"""The pages of a run that need all of it: contents, each article's claims, the executed notebooks, the certificate.

With the report, its trace page and the codebook, which notebook 6 writes, they make the run's folder a small
site: it opens from disk, needs no network, and may be copied elsewhere whole.
"""

import gc
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from anime_growth import data_package, links, paper, paths, records, report
from anime_growth.claims import VERDICTS
from anime_growth.errors import InputError
from anime_growth.languages import ENGLISH, say, speaking
from anime_growth.pipeline import alternative_text
from anime_growth.steps import STEPS
from anime_growth.trace import Record

NO_CERTIFICATE = "this run was not compared with the published results, as anime-growth verify does"


def load(language: str) -> None:
    """Load what pages and notebook 6 are made with, so that processes forked later share it."""
    import nbconvert.exporters  # noqa: F401
    import pygments.formatters  # noqa: F401

    with suppress(InputError):  # a damaged template: who uses it will say so
        report.load(language)


def begin(folder: Path, steps: Iterable[str]) -> dict[str, str]:
    """Make what can be made while the last step of the run in `folder` is at work: the pages of notebooks executed.

    Title of each page by its step, for `build`.
    """
    with speaking(_language(records.read(folder))):
        return dict(_notebooks(folder, steps))


def build(folder: Path, begun: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make the pages and the Data Package of the run in `folder`, whose steps are done.

    `begun` is what `begin` has made of it. Raises InputError where a file that they need is damaged.
    """
    record = records.read(folder)
    with speaking(_language(record)):
        _build(folder, record, begun)
    data_package.write(folder)


def _language(record: Mapping[str, Any]) -> str:
    return str(record["parameters"].get("language", ENGLISH))


def _build(folder: Path, record: Mapping[str, Any], begun: Mapping[str, str]) -> None:
    articles = dict(_articles(folder))
    made = {**begun, **dict(_notebooks(folder, [name for name in STEPS if name not in begun]))}
    notebooks = {name: made[name] for name in STEPS}
    certified = _certificate(folder)
    given = (f"{name}: {value}" for name, value in record["parameters"].items())
    context = {
        "finding": (folder / "finding.md").read_text(encoding="utf-8").strip(),
        "paper": paper.NAME,
        "articles": articles,
        "notebooks": notebooks,
        "certified": certified,
        "downloads": _downloads(folder),
        "run_id": record["run_id"],
        "commit": str(record.get("git", {}).get("commit") or "")[:12],
        "parameters": ", ".join(given),
    }
    _write(folder / "index.html", "index.html.j2", context)


def _write(target: Path, template: str, context: dict[str, Any], *more: str) -> None:
    target.write_text(report.as_page(template, context, *more), encoding="utf-8")


def _downloads(folder: Path) -> dict[str, list[str]]:
    """Files that a reader may want to keep, by kind."""
    tables = sorted(path.name for path in folder.glob("tables/*.csv"))
    figures = [name for spec in STEPS.values() for name in spec.figures]
    kinds = ("svg", "csv")
    return {
        "Numbers, verdicts, text": ["quantities.json", "verdicts.csv", "narrative.md", "datapackage.json"],
        "Tables": [f"tables/{name}" for name in tables],
        "Figures, and the data that is drawn": [f"figures/{name}.{kind}" for name in figures for kind in kinds],
    }


# --- articles ---------------------------------------------------------------------------------------
def _articles(folder: Path) -> Iterator[tuple[str, str]]:
    """Write a page for each article that was judged; its file and its words."""
    verdicts = pd.read_csv(folder / "verdicts.csv", dtype=str, keep_default_na=False)
    record = Record.read(folder)
    for name, rows in verdicts.groupby("article", sort=False):
        claims = report.verdict_rows(rows, record.q)
        shown = dict.fromkeys(key for row in claims for key in _keys(row) if key in record.q)
        ids = sorted({source for row in claims for source in row["sources"]})
        words = claims[0]["article_words"]
        context = {
            "words": words,
            "verdicts": claims,
            "counts": report.counts((row["verdict"] for row in claims), VERDICTS),
            "articles": {},
            "kinds": report.counts(sorted(row["kind"] for row in claims)),
            "sources": report.listed_sources(ids, record),
            "tips": [
                *(report.tip(key, record) for key in shown),
                *(report.claim_tip(row, record) for row in claims if row["computed"]),
            ],
        }
        target = folder / f"article-{name}.html"
        _write(target, "article.html.j2", context)
        yield target.name, words


def _keys(row: dict[str, Any]) -> list[str]:
    return [*links.keys_in(f"{row['computed']} {row['caveat']}"), *row["evidence"]]


# --- notebooks --------------------------------------------------------------------------------------
def _notebooks(folder: Path, steps: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Write a page for the executed notebook of each of `steps`; its name and its title."""
    import nbformat
    from nbconvert.exporters import HTMLExporter
    from pygments.formatters import HtmlFormatter

    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    colours = Markup(f"<style>{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}</style>")
    saved = {report.title_of(path.read_text(encoding="utf-8")): path for path in folder.glob("figures/*.svg")}
    for name in steps:
        notebook = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
        for output in (one for cell in notebook.cells for one in cell.get("outputs", ())):
            drawn = report.title_of(output.get("data", {}).get("image/svg+xml", ""))
            if drawn and drawn in saved:  # it lies beside the page already
                figure = saved[drawn]
                shown = report.picture(
                    figure.stem, svg := figure.read_bytes(), alternative_text(svg, f"figures/{figure.name}"), top="../"
                )
                output["data"] = {"text/html": str(shown)}
        body, _ = exporter.from_notebook_node(notebook)
        title = next(
            (line[2:] for cell in notebook.cells for line in cell.source.splitlines() if line[:2] == "# "), name
        )
        context = {"top": "../", "title": title, "name": name, "body": colours + Markup(body)}
        _write(folder / "notebooks" / f"{name}.html", "notebook.html.j2", context)
        yield name, title
        gc.collect()  # the trees of HTML that were gone through, which lead in circles


# --- the certificate --------------------------------------------------------------------------------
def _certificate(folder: Path) -> str:
    """Write the page of the run's certificate, or of why it has none; what it says in a sentence."""
    own, published = folder / "certificate.md", paths.published() / "certificate.md"
    if own.exists():
        told = own.read_text(encoding="utf-8")
    else:
        none = say(NO_CERTIFICATE)
        told = f"# {none[0].upper()}{none[1:]}\n"
        if published.exists():
            text = _lower(published.read_text(encoding="utf-8"))
            told += f"\n{say('The certificate of the published results says:')}\n\n{text}"
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(told)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    context = {"title": say("Certificate"), "body": Markup(body)}
    _write(folder / "certificate.html", "text.html.j2", context)
    return told.splitlines()[0].lstrip("# ").rstrip(".") if own.exists() else say(NO_CERTIFICATE)


def _lower(text: str) -> str:
    """Markdown with each heading one level lower."""
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)
