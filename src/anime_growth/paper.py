"""The paper: the study as one typeset PDF, to be read on paper, cited and kept.

It says what a finished run says, in the run's own words and numbers. All of it reaches typst as data:
strings, which nothing in them can turn into markup, a command or a file. How it looks stands in
templates/paper.typ. Its bytes depend on the run alone, not on the clock, the machine or its fonts: typst
brings the Latin ones, matplotlib-fontja the Japanese one, and the figures hold their letters as outlines.
"""

import importlib.util
import json
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote

import pandas as pd

from anime_growth import claims, doubts, links, paths, records, trace, words
from anime_growth.errors import InputError
from anime_growth.languages import ENGLISH, say, speaking, spoken
from anime_growth.retelling import retold

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

Found = TypeVar("Found")
NAME = "paper.pdf"
TEMPLATE = Path(__file__).parent / "templates" / "paper.typ"
AUTHOR = "The anime_growth authors"
# PDF for all readers, those with a screen reader too: tags, a title, a language, words for each picture.
ACCESSIBLE: Literal["ua-1"] = "ua-1"
# What stays as it is in an address of the web when other letters are written as %XX.
URL_MARKS = "%:/?#[]@!$&'()*+,;=~"
# HTML that texts are bold by where asterisks would not be read, as a kind of token and its nesting.
BOLD: dict[str, tuple[str, Literal[1, -1]]] = {"<strong>": ("strong_open", 1), "</strong>": ("strong_close", -1)}
# What ends a sentence, in the languages that the study is told in.
STOPS = ".。"
_AGAIN = "Make a new run with `make run`"


def write(folder: Path) -> None:
    """Typeset the run in `folder` as `paper.pdf` in it: the same bytes for the same run, wherever and whenever.

    Needs the texts, figures, tables, quantities, verdicts and run.json of a run whose notebooks are all done.
    Raises InputError, and leaves an earlier paper as it was, where one is missing or damaged.
    """
    import typst

    try:
        language = records.read(folder)["parameters"].get("language", ENGLISH)
        with speaking(language):
            pdf = typeset(content(folder), folder)
    except KeyError as problem:
        what = f"is damaged or of another version: {problem} is missing or not known"
        raise InputError(paths.shown(folder), what, _AGAIN) from problem
    except typst.TypstError as problem:
        what = f"cannot be typeset ({' '.join(problem.message.split())})"
        raise InputError(paths.shown(folder), what, _AGAIN) from problem
    fresh = folder / f"{NAME}.part"
    fresh.write_bytes(pdf)
    os.replace(fresh, folder / NAME)


def typeset(said: dict[str, Any], folder: Path) -> bytes:
    """The PDF of what `content` gives, with the figures in `folder`.

    It is declared accessible unless its words break a rule of that standard, as a letter does that is in none of
    the fonts and so becomes an empty box. Raises typst.TypstError where a figure is missing or damaged.
    """
    import typst

    template = TEMPLATE.read_bytes()
    compiler = typst.Compiler(
        root=folder.resolve(),
        font_paths=typst.Fonts(include_system_fonts=False, font_paths=[_japanese_font()]),
        sys_inputs={"paper": json.dumps(said, ensure_ascii=False)},
    )
    try:
        pdf = compiler.compile(template, format="pdf", pdf_standards=ACCESSIBLE)
    except typst.TypstError as problem:
        if not problem.message.startswith("PDF/UA"):
            raise
        pdf = compiler.compile(template, format="pdf")
    assert isinstance(pdf, bytes)  # pictures of pages would be a list
    return pdf


def _japanese_font() -> Path:
    """The folder of the Japanese font in the package that ships it, which would import matplotlib."""
    found = importlib.util.find_spec("matplotlib_fontja")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "fonts"


# --- what it says -----------------------------------------------------------------------------------
def content(folder: Path) -> dict[str, Any]:
    """What the paper of the run in `folder` says, as plain data for templates/paper.typ.

    Raises InputError where a file of the run is missing or damaged.
    """
    run, record = records.read(folder), trace.Record.read(folder)
    heading, *told = _read(folder / "narrative.md", _markdown)
    finding = _read(folder / "finding.md", _markdown)
    return {
        "language": spoken(),
        "words": _words(run, _last_read(record)),
        "title": _plain([heading]),
        "author": say(AUTHOR),
        "finding": finding,
        "summary": _plain(finding),
        "told": _pointing(told),
        "limits": _read(folder / "limits.md", _markdown),
        "articles": _articles(record),
        **_models(folder),
        **_made_by(run),
        "sources": _sources(record),
    }


def _words(run: dict[str, Any], read_on: str) -> dict[str, Any]:
    """What the template says of its own, in the language of now."""
    edition, commit = str(run.get("edition", "")), (run.get("git") or {}).get("commit", "")
    made = "The numbers and figures were made by the code at commit {commit}."
    changed = "The numbers and figures were made by the code at commit {commit}, with changes that are not committed."
    return {
        "edition": say("{edition} edition", edition=edition),
        "figures": say("Figures of the {edition} edition of the Anime Industry Report", edition=edition),
        "read_on": say("sources read by {day}", day=read_on) if read_on else "",
        "abstract": say("Abstract."),
        "limits": say("Known limits"),
        "verdicts": say("Verdicts on the claims"),
        "each_claim": say("Every claim of each article, what was computed for it, and what limits the verdict."),
        "claim": [say(word) for word in ("Claim", "About", "Stated", "Computed", "Verdict", "Why")],
        "models": say("The models and their checks"),
        "measures": say("Growth, errors of past forecasts and residual checks of each model"),
        "reproduce": say("How to reproduce this"),
        "made_by": say(changed if (run.get("git") or {}).get("dirty") else made, commit=commit) if commit else "",
        "clone": say("In a clone of the repository:"),
        "every_number": say(
            "Every number in the text, with its unit, its method and the printed figures that it rests on, stands in "
            "{file} of the run, beside the tables, the figures' data and the executed notebooks.",
            file="quantities.json",
        ),
        "sources": say("Sources"),
    }


def _read(path: Path, reader: Callable[[Path], Found]) -> Found:
    """What `reader` makes of a file of the run; raises InputError where it cannot."""
    try:
        return reader(path)
    except FileNotFoundError as problem:
        raise InputError(paths.shown(path.parent), f"lacks {path.name}", _AGAIN) from problem
    except (OSError, ValueError, KeyError) as problem:
        raise InputError(paths.shown(path), "is damaged", _AGAIN) from problem


def _markdown(path: Path) -> list[dict[str, Any]]:
    """A text as its pieces: each has a `kind`, and `text` or `parts`.

    HTML in it is text like any other, but for the <strong> of narrative.Told.strong.
    """
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    tokens = MarkdownIt("commonmark").parse(path.read_text(encoding="utf-8"))
    for token in (one for block in tokens for one in block.children or ()):
        if token.content in BOLD:
            token.type, token.nesting = BOLD[token.content]
            token.content = ""
    pieces = [_piece(node) for node in SyntaxTreeNode(tokens).children]
    if not pieces:
        raise ValueError("an empty text")
    return pieces


def _piece(node: "SyntaxTreeNode") -> dict[str, Any]:
    """A node of the tree of a text as plain data."""
    parts = [_piece(child) for child in node.children]
    piece: dict[str, Any] = {"kind": node.type, "text": "" if parts else node.content, "parts": parts}
    match node.type:
        case "heading":
            piece["level"] = int(node.tag.removeprefix("h"))
        case "image":
            piece |= {"file": str(node.attrs["src"]), "text": _plain(parts)}
        case "paragraph" | "inline" if [part["kind"] for part in parts] == ["image"]:
            return parts[0]  # a picture on a line of its own is a figure, and no line of a paragraph
    return piece


def _pointing(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pieces, where the paragraph before figures ends in their numbers: on paper they stand where there is room."""
    pointed: list[dict[str, Any]] = []
    for is_figure, group in groupby(pieces, lambda piece: piece["kind"] == "image"):
        alike = list(group)
        if is_figure and pointed and pointed[-1]["kind"] == "paragraph":
            pointed[-1] = _ending_in(pointed[-1], {"kind": "pointer", "files": [piece["file"] for piece in alike]})
        pointed += alike
    return pointed


def _ending_in(piece: dict[str, Any], pointer: dict[str, Any]) -> dict[str, Any]:
    """The piece with the pointer as its last part, before the full stop where it ends in one."""
    *parts, last = piece["parts"]
    if last["parts"]:
        return {**piece, "parts": [*parts, _ending_in(last, pointer)]}
    words = last["text"].rstrip(STOPS)
    stop = {**last, "text": last["text"][len(words) :]}
    return {**piece, "parts": [*parts, {**last, "text": words}, {**pointer, "text": "", "parts": []}, stop]}


def _plain(pieces: list[dict[str, Any]]) -> str:
    """The words of pieces, without their marks."""
    found = (" " if one["kind"] == "softbreak" else one["text"] or _plain(one["parts"]) for one in pieces)
    return "".join(found)


def _articles(record: trace.Record) -> list[dict[str, Any]]:
    """Each article in words, with a row of the table of verdicts for each of its claims."""
    found: dict[str, dict[str, Any]] = {}
    for row in record.verdicts.values():
        parts = claims.computed_parts(row["computed"], links.split(row["evidence"]), record.q)
        computed = say("; ").join(label + told for label, told, _ in parts)
        verdict = say(row["verdict"].replace("_", " "))
        why = links.told(doubts.caveat(row), record.q).striptags()
        shown = [row["claim_id"], claims.about(row), retold(row["stated"]), computed, verdict, why]
        name = say("Claims of {article}", article=retold(row["article_words"]))
        found.setdefault(row["article"], {"name": name, "claims": []})["claims"].append(shown)
    return list(found.values())


def _models(folder: Path) -> dict[str, Any]:
    """The report's table of models, turned so that it fits the page: a row for each measure."""
    from anime_growth import report

    def table(name: str) -> pd.DataFrame:
        return _read(folder / "tables" / f"{name}.csv", lambda path: pd.read_csv(path, dtype={"remark": str}))

    trends = table("trends")
    rows = report.model_texts(trends.assign(remark=trends["remark"].fillna("")), table("backtest"))
    return {
        "models": [row["model"] for row in rows],
        "measures": [[say(title), *(row[name] for row in rows)] for name, (title, *_) in report.MODEL_COLUMNS.items()],
        "remarks": [[row["model"], row["remark"]] for row in rows if row["remark"]],
        "model_note": say(report.MODEL_NOTE),
    }


def _made_by(run: dict[str, Any]) -> dict[str, Any]:
    """The commands that make the run again."""
    git = run.get("git") or {"commit": "", "dirty": False}
    given = [f"-p {shlex.quote(f'{name}={value}')}" for name, value in run["parameters"].items()]
    checkout = [f"git checkout {git['commit']}"] if git["commit"] else []
    return {
        "commands": [*checkout, "make run", " \\\n  ".join([".venv/bin/anime-growth run", *given])],
    }


def _sources(record: trace.Record) -> list[dict[str, Any]]:
    """The sources that a number or a verdict rests on, in the order of their ids."""
    cells = (cell for key in record.q for cell in record.raw_inputs(key))
    behind = {name for cell in cells for name in (cell["source_id"], *cell["also"])}
    judged = {name for row in record.verdicts.values() for name in links.split(row["sources"])}
    found = []
    for name in sorted(behind | judged):
        row = record.sources.get(name, dict.fromkeys(trace.SOURCE_PARTS, ""))
        told = [row[part] for part in ("title", "publisher", "published_on") if row[part]]
        named = ", ".join(told) or say("not in the register of sources")
        link = quote(links.web_address(row["url"]), safe=URL_MARKS)  # a PDF takes no other letters than ASCII there
        found.append({"id": name, "words": named, "url": row["url"], "link": link})
    return found


def _last_read(record: trace.Record) -> str:
    """The last day on which a source was read: the paper's date, which does not hang on when it is made."""
    days = []
    for row in record.sources.values():
        with suppress(ValueError):
            days.append(date.fromisoformat(row["accessed"]))
    return words.day(max(days)) if days else ""
