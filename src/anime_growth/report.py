"""The report and its trace page: two HTML files that need no network and no other file.

The report holds the narrative with its figures, every verdict, how the study could be wrong, the
models with their checks, and how to reproduce everything. Each number in it is a link to the trace
page, where it is followed down to the printed cells, and has a tip that says what it is; see links.
"""

import base64
import hashlib
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from anime_growth import cells, codebook, doubts, links, narrative, paths, trace
from anime_growth.claims import VERDICTS
from anime_growth.errors import InputError
from anime_growth.languages import ENGLISH, FONTS, font_file, say, speaking, spoken
from anime_growth.quantities import MODEL_WORDS, Quantities
from anime_growth.series import slug_of
from anime_growth.trace import Record
from anime_growth.units import number_text

# Column of the table of models -> its title, digits, and the end of its quantity's key.
MODEL_COLUMNS = {
    "growth_pct_a_year": ("Growth, % a year", 1, "growth"),
    "growth_lo95_pct": ("95 % from", 1, "growth_lo95"),
    "growth_hi95_pct": ("to", 1, "growth_hi95"),
    "male_h1": ("Mean error 1 year ahead, log", 3, "male.h1"),
    "male_h5": ("5 years ahead", 3, "male.h5"),
    "cover80_h5": ("80 % interval held, 5 years ahead, %", 0, "cover80.h5"),
    "growth_without_it": ("Growth without its most influential year", 1, "growth_without_it"),
    "durbin_watson": ("Durbin-Watson", 2, "durbin_watson"),
    "ljung_box_p": ("Ljung-Box p", 3, "ljung_box_p"),
    "jarque_bera_p": ("Jarque-Bera p", 3, "jarque_bera_p"),
}
# Where the narrative wants the table of verdicts.
VERDICTS_MARK = "<!-- verdicts -->"
# A tip names one source by its title, shortened to this many characters.
TITLE_LENGTH = 70


def picture(svg: bytes, alt: str) -> Markup:
    """A figure as an element that carries its own bytes and its alternative text."""
    data = base64.b64encode(svg).decode("ascii")
    return Markup('<figure><img alt="{}" src="data:image/svg+xml;base64,{}"></figure>').format(alt, data)


def record_of(q: Quantities, tables: Mapping[str, pd.DataFrame]) -> Record:
    """The quantities with their raw cells, commits and sources, as the report and its trace page need them."""
    entries = q.entries(rows=trace.raw_rows(tables), commits=trace.commits())
    register = {row["source_id"]: row for row in tables["sources"].to_dict("records")}
    return Record.of_entries(entries, register)


# --- tables ---------------------------------------------------------------------------------------
def model_rows(trends: pd.DataFrame, scores: pd.DataFrame, q: Quantities) -> list[dict[str, str]]:
    """The model table, rounded as printed and linked; an unfitted model has its reason instead.

    Mean absolute log errors and coverage come from the backtest's whole set of windows.
    """
    whole = scores[scores["windows"] == "all"]
    for horizon in (1, 5):
        at = whole[whole["horizon"] == horizon].set_index("model")[["male", "cover80"]].add_suffix(f"_h{horizon}")
        trends = trends.join(at, on="model")
    rows = []
    for record in trends.to_dict("records"):
        base = f"{slug_of(record['series'], record['basis'])}.{record['model']}"
        row = {"model": say(MODEL_WORDS[record["model"]]), "remark": str(record.get("remark") or "")}
        for column, (_, digits, measure) in MODEL_COLUMNS.items():
            value = record.get(column)
            text = "–" if value is None or pd.isna(value) else number_text(float(value), digits)
            keys = [f"{family}.{base}.{measure}" for family in ("trend", "backtest")]
            row[column] = next((links.number(key, text) for key in keys if key in q), text)
        rows.append(row)
    return rows


def verdict_rows(verdicts: pd.DataFrame, q: Quantities) -> list[dict[str, Any]]:
    """The verdicts as the report and the trace page show them, in the table's order.

    `key` names the judgement on the trace page: `claim.<article>.<claim_id>`.
    """
    with speaking(ENGLISH):  # as verdicts.csv and rules.yml tell them
        return [_verdict_row(row, q) for row in verdicts.to_dict("records")]


def _verdict_row(row: Mapping[str, Any], q: Quantities) -> dict[str, Any]:
    key, evidence = f"claim.{row['article']}.{row['claim_id']}", links.split(row["evidence"])
    shown = {
        "key": key,
        "evidence": evidence,
        "sources": links.split(row["sources"]),
        "computed": _computed(row["computed"], key, evidence, q),
        "caveat": links.filled(doubts.caveat(row), q),
    }
    return {**row, **shown}


def _computed(text: str, claim: str, evidence: list[str], q: Quantities) -> Markup:
    """A computed value with its provenance: what reads as a quantity links to it, the rest to the claim's judgement."""
    known = {f"{q[key].label}: {q[key].text}": key for key in evidence if key in q}
    parts = []
    for part in links.split(text):
        if part in known:
            item = q[known[part]]
            parts.append(Markup.escape(f"{item.label}: ") + links.number(item.key, item.text))
        else:
            parts.append(links.number(claim, part))
    return Markup("; ").join(parts)


def doubt_rows(found: pd.DataFrame, q: Quantities) -> list[dict[str, Any]]:
    """A table of doubts with its numbers linked."""
    with speaking(ENGLISH):  # as doubts tells them
        return [
            row | {"say": links.filled(row["say"], q), "sources": links.split(row["sources"])}
            for row in found.to_dict("records")
        ]


def published_slips() -> pd.DataFrame | None:
    """What canary.write left among the published results; none where it has not been there."""
    path = paths.published() / doubts.CANARY
    if not path.exists():
        return None
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)[list(doubts.SLIP_COLUMNS)]
    except (OSError, ValueError, KeyError) as problem:
        do = "Restore it with git, or delete it"
        raise InputError(paths.shown(path), "is damaged or of another version", do) from problem


def _counts(values: Iterable[str], order: Iterable[str] = ()) -> dict[str, int]:
    """How often each value occurs, those of `order` first."""
    listed = list(values)
    return {value: listed.count(value) for value in dict.fromkeys((*order, *listed)) if value in listed}


# --- the report -----------------------------------------------------------------------------------
def write_html(
    told: str,
    figures: Mapping[str, tuple[bytes, str]],
    verdicts: pd.DataFrame,
    trends: pd.DataFrame,
    scores: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    record: Record,
    parameters: Mapping[str, Mapping[str, Any]],
    headers: Mapping[str, Iterable[str]],
    language: str = ENGLISH,
) -> str:
    """The report as HTML text in `language`.

    `told` is the narrative with marks `<!-- figure: name -->` and `<!-- verdicts -->`; `figures` maps
    names to SVG bytes and alternative text. A figure that the narrative does not place is shown after
    the tables. `record` comes from `record_of`, `parameters` from pipeline.Step.parameters_behind,
    `headers` (the columns of each table) from codebook.headers.
    """
    with speaking(language):
        return _report(told, figures, verdicts, trends, scores, tables, record, parameters, headers)


def _report(
    told: str,
    figures: Mapping[str, tuple[bytes, str]],
    verdicts: pd.DataFrame,
    trends: pd.DataFrame,
    scores: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    record: Record,
    parameters: Mapping[str, Mapping[str, Any]],
    headers: Mapping[str, Iterable[str]],
) -> str:
    q = record.q
    before, _, after = told.partition(VERDICTS_MARK)
    parts = {"before": _rendered(before, figures), "after": _rendered(after, figures)}
    claims = verdict_rows(verdicts, q)
    models = model_rows(trends, scores, q)
    with speaking(ENGLISH):
        tried = {
            "Breaks in the series": doubts.across_breaks(tables["breaks"], q, links.keys_in(before + after)),
            "Diagnostics that failed": doubts.failed_diagnostics(trends, scores, q),
            "Sources that disagree": doubts.disagreements(tables["checks"], verdicts),
        }
    wrong = {title: doubt_rows(found, q) for title, found in tried.items()}
    linked = [
        *parts.values(),
        *_pieces(claims),
        *_pieces(models),
        *(piece for t in wrong.values() for piece in _pieces(t)),
    ]
    evidence = (key for row in claims for key in row["evidence"])
    shown = list(dict.fromkeys(key for key in (*links.keys_in("".join(linked)), *evidence) if key in q))
    with speaking(ENGLISH):
        wrong["Numbers that rest on weak rows"] = doubt_rows(doubts.weak_rows(shown, record), q)
        wrong["Slips in the raw figures"] = doubt_rows(doubts.slips(published_slips()), q)
    families = codebook.as_rows(record)
    rows = [*claims, *(row for table in wrong.values() for row in table)]
    ids = {name for row in rows for name in row["sources"]} | {name for family in families for name in family.sources}
    placed = set(narrative.placed(told))
    context: dict[str, Any] = {
        **parts,
        "verdicts": claims,
        "verdict_counts": _counts((row["verdict"] for row in claims), VERDICTS),
        "article_counts": _counts(row["article"] for row in claims),
        "article_words": {row["article"]: row["article_words"] for row in claims},
        "kind_counts": _counts(sorted(row["kind"] for row in claims)),
        "models": models,
        "model_columns": MODEL_COLUMNS,
        "doubts": wrong,
        "gallery": [picture(svg, alt) for name, (svg, alt) in figures.items() if name not in placed],
        "checks": tables["checks"].to_dict("records"),
        "tips": [
            *(_tip(key, record) for key in shown),
            *(_claim_tip(row, record) for row in claims if row["computed"]),
        ],
        "sources": _listed_sources(sorted(ids), record),
        "families": families,
        "columns": codebook.columns(headers),
        "quantity_count": len(q),
        "edition": int(tables["market"]["edition"].iloc[0]),
        "parameters": [shlex.quote(f"{name}={next(iter(values.values()))}") for name, values in parameters.items()],
        "commit": _commit(),
    }
    return _page("report.html.j2", context)


def _pieces(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The pieces of HTML in a table's rows."""
    return [value for row in rows for value in row.values() if isinstance(value, Markup)]


def _rendered(told: str, figures: Mapping[str, tuple[bytes, str]]) -> Markup:
    """Markdown as HTML, its marks replaced by figures, its headings named so that a link can lead to them."""
    body = MarkdownIt("commonmark", {"html": True}).render(told)
    for name in narrative.placed(body):
        if name in figures:
            body = body.replace(f"<!-- figure: {name} -->", picture(*figures[name]))

    def named(heading: re.Match[str]) -> str:
        return f'<h2 id="{anchor(heading[1])}">{heading[1]}</h2>'

    return Markup(re.sub(r"<h2>([^<]*)</h2>", named, body))


def anchor(heading: str) -> str:
    """The name of a heading in addresses.

    >>> anchor("How this could be wrong")
    'how-this-could-be-wrong'
    """
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


def _tip(key: str, record: Record) -> dict[str, str]:
    """What a reader sees beside a number: what it is, its unit and method, and who printed it."""
    item, edition = record.q[key], record.edition(key)
    trust = [
        say("edition {edition}", edition=edition) if edition else "",
        say(f"{item.confidence} confidence"),
        ", ".join(item.caveats),
    ]
    method = record.method(key) if len(record.method(key)) <= TITLE_LENGTH else record.method(key).split("(")[0]
    made = (say("unit: {unit}", unit=item.unit), say("method: {method}", method=method))
    told = " · ".join(part for part in (*made, *trust) if part)
    return {"key": key, "label": item.label, "told": told, "sources": _first_source(record.source_ids(key), record)}


def _claim_tip(row: Mapping[str, Any], record: Record) -> dict[str, str]:
    label = say("value computed for claim {claim}, {article}", claim=row["claim_id"], article=row["article_words"])
    return {
        "key": row["key"],
        "label": f"{label}: {row['subject']}, {row['measure']}",
        "told": say("method: the claim's rule in rules.yml, from {keys}", keys=", ".join(row["evidence"])),
        "sources": _first_source(row["sources"], record),
    }


def _first_source(ids: list[str], record: Record) -> str:
    """Ids of sources, the first with its title."""
    if not ids:
        return ""
    title = record.sources.get(ids[0], {}).get("title", "")
    told = f" ({textwrap.shorten(title, TITLE_LENGTH, placeholder=' …')})" if title else ""
    rest = f", {', '.join(ids[1:])}" if len(ids) > 1 else ""
    return say("sources: {told}" if rest else "source: {told}", told=f"{ids[0]}{told}{rest}")


def _source_words(name: str, record: Record) -> Markup:
    row = record.sources.get(name)
    return links.source(row) if row else Markup(say("not in the register of sources"))


def _commit() -> str:
    """The commit that is checked out, with `+changes` where the package differs from it; empty outside a clone."""
    try:
        asked = ["git", "rev-parse", "--short=12", "HEAD"]
        done = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    changed = any(commit.endswith(trace.CHANGED) for commit in trace.commits().values())
    return done.stdout.strip() + (trace.CHANGED if changed else "")


# --- the trace page -------------------------------------------------------------------------------
def write_trace(
    page: str, verdicts: pd.DataFrame, tables: Mapping[str, pd.DataFrame], record: Record, language: str = ENGLISH
) -> str:
    """The trace page of a report: a section for each number that `page` links to and for all it rests on.

    Sections are named by the quantity's key, or `claim.<article>.<claim_id>` for a judgement.
    """
    with speaking(language):
        return _trace(page, verdicts, tables, record)


def _trace(page: str, verdicts: pd.DataFrame, tables: Mapping[str, pd.DataFrame], record: Record) -> str:
    claims = [row for row in verdict_rows(verdicts, record.q) if row["computed"]]
    shown = [key for key in links.keys_in(page) if key in record.q]
    below = dict.fromkeys(name for key in shown for name in record.behind(key))
    context = {
        "claims": [{**row, "sources": _listed_sources(row["sources"], record)} for row in claims],
        "groups": {
            "Numbers in the report": [_section(key, record) for key in shown],
            "What they rest on": [_section(key, record) for key in below if key not in set(shown)],
        },
        "texts": {key: record.q[key].text for key in below},
        "notes": sorted(set(tables["breaks"]["note_id"])),
        "commit": _commit(),
    }
    return _page("trace.html.j2", context)


def _section(key: str, record: Record) -> dict[str, Any]:
    item = record.q[key]
    return {
        "key": key,
        "text": item.text,
        "exact": f"{item.value:.12g} {item.unit}",
        "label": item.label,
        "method": record.method(key),
        "edition": record.edition(key),
        "confidence": item.confidence,
        "caveats": item.caveats,
        "inputs": [name for name in item.inputs if not cells.is_address(name)],
        "cells": [_cell(cell) for cell in record.raw_inputs(key)],
        "sources": _listed_sources(record.source_ids(key), record),
    }


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A raw cell as the trace page shows it."""
    value, unit = trace.printed(cell["cell"], cell["sha256"])
    row = ", ".join(f"{name} {text}" for name, text in cell["row"].items() if text)
    digest = cell["sha256"].removeprefix("sha256:")
    return {
        "printed": f"{value} {unit}".strip(),
        "file": cell["file"],
        "row": row,
        "column": cell["column"],
        "sha256": digest,
        "source": cell["source_id"],
        "also": cell["also"],
    }


def _listed_sources(ids: Iterable[str], record: Record) -> list[dict[str, Any]]:
    return [{"id": name, "words": _source_words(name, record)} for name in ids]


def _said(english: str, **values: object) -> Markup:
    """A text in the language of now, escaped with its values, as it may come out of a table that anyone may write."""
    text = Markup.escape(say(english))
    return text.format(**values) if values else text


def _page(template: str, context: Mapping[str, Any]) -> str:
    """A page of its own: the style and the script stand in it, and it may load nothing and run no other script."""
    style, script = ((narrative.TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    font = "font-src data:; " if font_file() else ""
    allowed = f"img-src data:; {font}style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; {allowed}"
    around = {
        "css": Markup(style),
        "script": Markup(script),
        "policy": policy,
        "number": links.number,
        "fragment": links.fragment,
        "anchor": anchor,
        "language": spoken(),
        "_": _said,
        "english": Markup(' lang="en"') if spoken() != ENGLISH else "",
    }
    page = narrative.environment().get_template(template).render(**context, **around)
    return page.replace("</head>", f"<style>{_font_for(page)}</style>\n</head>", 1) if font_file() else page


def _font_for(page: str) -> str:
    """The letters of a page as a font that it carries itself, so that it can be read where no font has them."""
    from fontTools.subset import Options, Subsetter, load_font, save_font  # only for a language with its own font

    options, file = Options(flavor="woff", layout_features=[], notdef_outline=True), font_file()
    cut, woff = Subsetter(options), BytesIO()
    cut.populate(text="".join(sorted({letter for letter in page if letter > "\u2e7f"})))
    with load_font(str(file), options) as font:
        cut.subset(font)
        save_font(font, woff, options)
    data = base64.b64encode(woff.getvalue()).decode("ascii")
    name, *_ = FONTS[spoken()]
    return f'@font-face {{ font-family: "{name}"; src: url(data:font/woff;base64,{data}) format("woff"); }}'
