"""The report, its trace page and the codebook: HTML files that need no network and only what lies beside them.

The report holds the narrative with its figures, every verdict, a projection to choose, how the study could
be wrong, the models with their checks, and how to reproduce everything. Each number in it is a link to the
trace page, where it is followed down to the printed cells, and has a tip that says what it is; see links.
Pages that need a whole run, such as those of single articles, are made by pages.
"""

import base64
import hashlib
import json
import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from anime_growth import cells, codebook, doubts, links, narrative, paths, trace, units
from anime_growth.claims import VERDICTS, about, computed_parts
from anime_growth.errors import InputError
from anime_growth.languages import BY_TEN_THOUSANDS, ENGLISH, FONTS, font_file, say, speaking, spoken
from anime_growth.projections import PROBABILITIES
from anime_growth.quantities import BETWEEN_EDITIONS, MODEL_WORDS, Quantities
from anime_growth.retelling import each_retold, retold
from anime_growth.series import in_every_basis, slug_of
from anime_growth.trace import Record
from anime_growth.units import number_text

# Column of the table of models -> its title, digits, and the end of its quantity's key.
MODEL_COLUMNS = {
    "growth_pct_a_year": ("Growth, % a year", 1, "growth"),
    "growth_lo95_pct": ("95 % from", 1, "growth_lo95"),
    "growth_hi95_pct": ("to", 1, "growth_hi95"),
    "male_h1": ("Mean absolute error 1 year ahead, log", 3, "male.h1"),
    "male_h5": ("5 years ahead", 3, "male.h5"),
    "cover80_h5": ("80 % interval held, 5 years ahead, %", 0, "cover80.h5"),
    "growth_without_it": ("Growth without its most influential year", 1, "growth_without_it"),
    "durbin_watson": ("Durbin-Watson", 2, "durbin_watson"),
    "ljung_box_p": ("Ljung-Box p", 3, "ljung_box_p"),
    "jarque_bera_p": ("Jarque-Bera p", 3, "jarque_bera_p"),
}
# How a reader chooses what the series is measured in.
BASIS_NAMES = {"yen": "yen", "usd": "dollars", "real": "yen at the prices of 2020"}
# Quantiles of a forecast that are drawn there.
EXPLORED = ("p2_5", "p10", "p50", "p90", "p97_5")
# What the columns of the table of models mean.
MODEL_NOTE = (
    "All models see the natural logarithm of one series. Errors are mean absolute log errors of forecasts of the "
    "past, made with the years up to then only; a model whose errors are larger than drift's loses to it. Intervals "
    "are the models' own. A small Ljung-Box or Durbin-Watson value says that errors follow one another, so that the "
    "interval beside it is too narrow; a small Jarque-Bera value says that they are not normal."
)
# A tip names one source by its title, shortened to this many characters.
MOST_NAMED = 4  # names in a tip
TITLE_LENGTH = 70
REPORT, TRACE, CODEBOOK = "report.html.j2", "trace.html.j2", "codebook.html.j2"


def load(language: str) -> None:
    """Read the templates of the report and its text, which are kept. Raises InputError for one that is damaged."""
    for name in (
        *(told[language] for told in (narrative.NARRATIVE, narrative.FINDING, narrative.LIMITS)),
        REPORT,
        TRACE,
        CODEBOOK,
    ):
        narrative.template(name)
    narrative.template(narrative.NARRATIVE[language], as_html=True)


def picture(name: str, svg: bytes, alt: str, top: str = "") -> Markup:
    """A figure of the run as an element with its alternative text, fetched from its file when it comes into view.

    `top` leads from the page to the run's folder.
    """
    size = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    room = Markup(' width="{:.0f}" height="{:.0f}"').format(float(size[1]), float(size[2])) if size else ""
    title = title_of(svg.decode())
    said = Markup("<figcaption>{}</figcaption>").format(title) if title else ""
    shown = Markup('<figure>{}<img alt="{}" src="{}figures/{}.svg"{} loading="lazy"></figure>')
    return shown.format(said, alt, top, name, room)


def title_of(svg: str) -> str:
    """What a figure says of itself; empty where it says nothing."""
    found = re.search("<title>(.*?)</title>", svg, re.DOTALL)
    return Markup(found[1]).unescape() if found else ""


def record_of(q: Quantities, tables: Mapping[str, pd.DataFrame]) -> Record:
    """The quantities with their raw cells, commits and sources, as the report and its trace page need them."""
    entries = q.entries(rows=trace.raw_rows(tables), commits=trace.commits())
    register = {row["source_id"]: row for row in tables["sources"].to_dict("records")}
    return Record.of_entries(entries, register)


# --- tables ---------------------------------------------------------------------------------------
def model_texts(trends: pd.DataFrame, scores: pd.DataFrame) -> list[dict[str, str]]:
    """The model table in words and numbers, rounded as printed; an unfitted model has its reason as its remark.

    Mean absolute log errors and coverage come from the backtest's whole set of windows.
    """
    whole = scores[scores["windows"] == "all"]
    for horizon in (1, 5):
        at = whole[whole["horizon"] == horizon].set_index("model")[["male", "cover80"]].add_suffix(f"_h{horizon}")
        trends = trends.join(at, on="model")
    rows = []
    for record in trends.to_dict("records"):
        row = {"model": say(MODEL_WORDS[record["model"]]), "remark": retold(str(record.get("remark") or ""))}
        for column, (_, digits, _) in MODEL_COLUMNS.items():
            value = record.get(column)
            row[column] = "–" if value is None or pd.isna(value) else number_text(float(value), digits)
        rows.append(row)
    return rows


def model_rows(trends: pd.DataFrame, scores: pd.DataFrame, q: Quantities) -> list[dict[str, str]]:
    """The model table with its numbers linked."""
    rows = []
    for record, row in zip(trends.to_dict("records"), model_texts(trends, scores), strict=True):
        base = f"{slug_of(record['series'], record['basis'])}.{record['model']}"
        for column, (_, _, measure) in MODEL_COLUMNS.items():
            keys = (f"{family}.{base}.{measure}" for family in ("trend", "backtest"))
            row[column] = next((links.number(key, row[column]) for key in keys if key in q), row[column])
        rows.append(row)
    return rows


def verdict_rows(verdicts: pd.DataFrame, q: Quantities) -> list[dict[str, Any]]:
    """The verdicts as the report and the trace page show them, in the table's order.

    `key` names the judgement on the trace page: `claim.<article>.<claim_id>`.
    """
    return [_verdict_row(row, q) for row in verdicts.to_dict("records")]


def _verdict_row(row: Mapping[str, Any], q: Quantities) -> dict[str, Any]:
    key, evidence = f"claim.{row['article']}.{row['claim_id']}", links.split(row["evidence"])
    shown = {
        "key": key,
        "evidence": evidence,
        "sources": links.split(row["sources"]),
        "computed": _computed(row["computed"], key, evidence, q),
        "caveat": links.told(doubts.caveat(row), q),
        "about": about(row),
        "stated": retold(row["stated"]),
        "article_words": retold(row["article_words"]),
    }
    return {**row, **shown}


def _computed(text: str, claim: str, evidence: list[str], q: Quantities) -> Markup:
    """A computed value with its provenance: what reads as a quantity links to it, the rest to the claim's judgement."""
    parts = computed_parts(text, evidence, q)
    return Markup(say("; ")).join(Markup.escape(label) + links.number(key or claim, told) for label, told, key in parts)


def doubt_rows(found: pd.DataFrame, q: Quantities) -> list[dict[str, Any]]:
    """A table of doubts with its numbers linked."""
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


def counts(values: Iterable[str], order: Iterable[str] = ()) -> dict[str, int]:
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
    forecasts: Mapping[str, Any],
    is_part_of_run: bool,
    language: str = ENGLISH,
) -> str:
    """The report as HTML text in `language`.

    `told` is the narrative with marks `<!-- figure: name -->`; `figures` maps names to SVG bytes and
    alternative text. A figure that the narrative does not place is shown after the tables. `record`
    comes from `record_of`, `parameters` from pipeline.Step.parameters_behind, `headers` (the columns of
    each table) from codebook.headers, `forecasts` from `to_explore`.
    In a whole run, which `is_part_of_run` says, there are those of `pages` beside it.
    """
    with speaking(language):
        return _report(
            told, figures, verdicts, trends, scores, tables, record, parameters, headers, forecasts, is_part_of_run
        )


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
    forecasts: Mapping[str, Any],
    is_part_of_run: bool,
) -> str:
    q = record.q
    narrated = _rendered(told, figures)
    claims = verdict_rows(verdicts, q)
    models = model_rows(trends, scores, q)
    tried = {
        "Breaks in the series": doubts.across_breaks(tables["breaks"], q, links.keys_in(told)),
        "Diagnostics that failed": doubts.failed_diagnostics(trends, scores, q),
        "Sources that disagree": pd.concat(
            [doubts.other_readings(tables, q), doubts.disagreements(tables["checks"], verdicts)]
        ),
    }
    wrong = {title: doubt_rows(found, q) for title, found in tried.items()}
    linked = [
        narrated,
        *_pieces(claims),
        *_pieces(models),
        *(piece for t in wrong.values() for piece in _pieces(t)),
    ]
    evidence = (key for row in claims for key in row["evidence"])
    shown = list(dict.fromkeys(key for key in (*links.keys_in("".join(linked)), *evidence) if key in q))
    wrong["Numbers that rest on weak rows"] = doubt_rows(doubts.weak_rows(shown, record), q)
    wrong["Slips in the raw figures"] = doubt_rows(doubts.slips(published_slips()), q)
    rows = [*claims, *(row for table in wrong.values() for row in table)]
    ids = {name for row in rows for name in row["sources"]}
    placed = set(narrative.placed(told))
    context: dict[str, Any] = {
        "narrated": narrated,
        "verdicts": claims,
        "verdict_counts": counts((row["verdict"] for row in claims), VERDICTS),
        "article_counts": counts(row["article"] for row in claims),
        "article_words": {row["article"]: row["article_words"] for row in claims},
        "kind_counts": counts(sorted(row["kind"] for row in claims)),
        "models": models,
        "model_columns": MODEL_COLUMNS,
        "model_note": MODEL_NOTE,
        "doubts": wrong,
        "gallery": [picture(name, *figures[name]) for name in figures if name not in placed],
        "checks": [
            {**row, "what": retold(row["what"]), "reason": each_retold(row["reason"])}
            for row in tables["checks"].to_dict("records")
        ],
        "tips": [
            *(tip(key, record) for key in shown),
            *(claim_tip(row, record) for row in claims if row["computed"]),
        ],
        "sources": listed_sources(sorted(ids), record),
        "forecasts": _as_data(forecasts),
        "explore": forecasts,
        "is_part_of_run": is_part_of_run,
        "quantity_count": len(q),
        "edition": int(tables["market"]["edition"].iloc[0]),
        "parameters": [shlex.quote(f"{name}={next(iter(values.values()))}") for name, values in parameters.items()],
        "commit": _commit(),
    }
    return as_page(REPORT, context, "uplot/uPlot.min.css", "uplot/uPlot.iife.min.js", "explore.js")


def to_explore(
    explored: pd.DataFrame, projections: pd.DataFrame, q: Quantities, language: str = ENGLISH
) -> dict[str, Any]:
    """Forecasts that a reader may choose among, as plain data; the run's own projections are chosen first.

    `explored` and `projections` are projections.project's tables. Money is in the unit that reads best,
    the last year of a forecast also in words.
    """
    with speaking(language):
        return _to_explore(explored, projections, q)


def _to_explore(explored: pd.DataFrame, projections: pd.DataFrame, q: Quantities) -> dict[str, Any]:
    forecasts: dict[str, dict[str, Any]] = {}
    bases: dict[str, dict[str, Any]] = {}
    in_units: dict[str, units.Unit] = {}
    names = list(projections["series"].unique())
    for name, subject in (in_every_basis(q, names[0], 0) if names else {}).items():
        own = subject.unit
        shown = units.readable(float(subject.levels.max()), own) if own.dimension == "JPY" else own
        if shown is units.USD_BN and spoken() in BY_TEN_THOUSANDS:
            shown = units.USD_100M
        in_units[name] = shown
        levels = [_brief(units.convert(level, own, shown)) for level in subject.levels]
        years = [int(year) for year in subject.levels.index]
        unit = " ".join(say(shown.text).format("").split())  # JPY {} trillion without a number
        bases[name] = {"words": say(BASIS_NAMES[name]), "unit": unit, "years": years, "values": levels}
    for (basis, start, model), rows in pd.concat([projections, explored]).groupby(["basis", "start_year", "model"]):
        if basis not in bases:
            continue
        own, shown = units.UNITS[rows["unit"].iloc[0]], in_units[basis]
        rows = rows.drop_duplicates("year").sort_values("year")
        found = {name: [_brief(units.convert(value, own, shown)) for value in rows[name]] for name in EXPLORED}
        last = {name: units.in_words(rows[name].iloc[-1], own, own.digits, is_exact=False) for name in EXPLORED}
        forecasts[f"{basis}/{start}/{model}"] = {"first": int(rows["year"].iloc[0]), **found, "last": last}
    starts = sorted({key.split("/")[1] for key in forecasts})
    there = {key.split("/")[2] for key in forecasts}
    models = {model: say(words) for model, words in MODEL_WORDS.items() if model in there}
    own_start = str(projections["start_year"].iloc[0]) if len(projections) else ""
    own_basis = str(projections["basis"].iloc[0]) if len(projections) else ""
    first = next((key for key in forecasts if key.startswith(f"{own_basis}/{own_start}/")), "//")
    chosen = next((key for key in (f"{own_basis}/{own_start}/drift", first) if key in forecasts), "//")
    choice = dict(zip(("basis", "start", "model"), chosen.split("/"), strict=True))
    inner, outer = (_width(low, high) for low, high in (("p10", "p90"), ("p2_5", "p97_5")))
    return {
        "inner": inner,
        "outer": outer,
        "bases": bases,
        "starts": starts,
        "models": models,
        "forecasts": forecasts,
        "chosen": choice,
    }


def _width(low: str, high: str) -> str:
    """How much of the outcomes lies between two quantiles [%].

    >>> _width("p10", "p90")
    '80'
    """
    return f"{100 * (PROBABILITIES[high] - PROBABILITIES[low]):.0f}"


def _brief(value: float) -> float:
    """A number for drawing, with as many digits as can be seen."""
    return float(f"{value:.4g}")


def _as_data(content: Any) -> Markup:
    """`content` as JSON that cannot end the element in which it stands."""
    return Markup(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))


def write_codebook(
    record: Record, headers: Mapping[str, Iterable[str]], is_part_of_run: bool, language: str = ENGLISH
) -> str:
    """The codebook of a run as HTML text: what each family of named numbers and each column is."""
    with speaking(language):
        families = codebook.as_rows(record)
        ids = {name for family in families for name in family.sources}
        context = {
            "families": families,
            "placeholders": codebook.read().placeholders,
            "columns": codebook.columns(headers),
            "sources": listed_sources(sorted(ids), record),
            "is_part_of_run": is_part_of_run,
        }
        return as_page(CODEBOOK, context)


def _pieces(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The pieces of HTML in a table's rows."""
    return [value for row in rows for value in row.values() if isinstance(value, Markup)]


def _rendered(told: str, figures: Mapping[str, tuple[bytes, str]]) -> Markup:
    """Markdown as HTML, its marks replaced by figures, its headings named so that a link can lead to them."""
    body = MarkdownIt("commonmark", {"html": True}).render(told)
    for name in narrative.placed(body):
        if name in figures:
            body = body.replace(f"<!-- figure: {name} -->", picture(name, *figures[name]))

    def named(heading: re.Match[str]) -> str:
        return f'<h2 id="{anchor(heading[1])}">{heading[1]}</h2>'

    return Markup(re.sub(r"<h2>([^<]*)</h2>", named, body))


def anchor(heading: str) -> str:
    """The name of a heading in addresses.

    >>> anchor("How this could be wrong")
    'how-this-could-be-wrong'
    """
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


def tip(key: str, record: Record) -> dict[str, str]:
    """What a reader sees beside a number: what it is, its unit and method, and who printed it."""
    item, edition = record.q[key], record.edition(key)
    trust = [
        _edition_words(edition, _few),
        say(f"{item.confidence} confidence"),
        say(", ").join(map(retold, item.caveats)),
    ]
    method = record.method(key) if len(record.method(key)) <= TITLE_LENGTH else record.method(key).split("(")[0]
    made = (say("unit: {unit}", unit=say(item.unit)), say("method: {method}", method=retold(method)))
    told = " · ".join(part for part in (*made, *trust) if part)
    return {
        "key": key,
        "label": retold(item.label),
        "told": told,
        "sources": _first_source(record.source_ids(key), record),
    }


def _few(names: list[str]) -> str:
    """The first of several names, and how many more there are; the trace page has all."""
    more = len(names) - MOST_NAMED
    first = say(", ").join(names[:MOST_NAMED])
    return say("{names} and {count} more", names=first, count=more) if more > 0 else first


def _all(names: list[str]) -> str:
    return say(", ").join(names)


def _edition_words(edition: str, told: Callable[[list[str]], str] = _all) -> str:
    """The editions that a number rests on; they are of other sources than the report, too."""
    if not edition or edition.isdecimal():
        return say("edition {edition}", edition=edition) if edition else ""
    return say("edition: {editions}", editions=told([retold(name) for name in edition.split(BETWEEN_EDITIONS)]))


def claim_tip(row: Mapping[str, Any], record: Record) -> dict[str, str]:
    """The same of the value that was computed for a claim."""
    label = say(
        "value computed for claim {claim}, {article}: {about}",
        claim=row["claim_id"],
        article=row["article_words"],
        about=row["about"],
    )
    return {
        "key": row["key"],
        "label": label,
        "told": say("method: the claim's rule in rules.yml, from {keys}", keys=", ".join(row["evidence"])),
        "sources": _first_source(row["sources"], record),
    }


def _first_source(ids: list[str], record: Record) -> str:
    """Ids of the first sources, the very first with its title."""
    if not ids:
        return ""
    title = record.sources.get(ids[0], {}).get("title", "")
    told = f" ({textwrap.shorten(title, TITLE_LENGTH, placeholder=' …')})" if title else ""
    return say("sources: {told}" if len(ids) > 1 else "source: {told}", told=_few([f"{ids[0]}{told}", *ids[1:]]))


def _source_words(name: str, record: Record) -> Markup:
    row = record.sources.get(name)
    return links.source(row) if row else Markup(say("not in the register of sources"))


def _source_title(name: str, record: Record) -> Markup:
    row = record.sources.get(name)
    if not row:
        return _source_words(name, record)
    return links.title({**row, "title": textwrap.shorten(row["title"], TITLE_LENGTH, placeholder=" …")})


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
    sources = sorted({name for row in claims for name in row["sources"]}.union(*map(record.source_ids, below)))
    context = {
        "claims": claims,
        "groups": {
            "Numbers in the report": [_section(key, record) for key in shown],
            "What they rest on": [_section(key, record) for key in below if key not in set(shown)],
        },
        "texts": {key: record.q[key].text for key in below},
        "notes": sorted(set(tables["breaks"]["note_id"])),
        "files": _hashes(below, record),
        "sources": listed_sources(sources, record),
        "titles": {name: _source_title(name, record) for name in sources},
        "commit": _commit(),
    }
    return as_page(TRACE, context)


def _section(key: str, record: Record) -> dict[str, Any]:
    item = record.q[key]
    return {
        "key": key,
        "text": item.text,
        "exact": f"{item.value:,.12g} [{say(item.unit)}]",
        "label": retold(item.label),
        "method": retold(record.method(key)),
        "edition": _edition_words(record.edition(key)),
        "confidence": item.confidence,
        "caveats": item.caveats,
        "inputs": [name for name in item.inputs if not cells.is_address(name)],
        "cells": [_cell(cell) for cell in record.raw_inputs(key)],
        "sources": record.source_ids(key),
    }


def _hashes(keys: Iterable[str], record: Record) -> dict[str, list[str]]:
    """The raw files behind quantities, each with its hash; a damaged record may tell of several."""
    found: dict[str, set[str]] = {}
    for cell in (cell for key in keys for cell in record.raw_inputs(key)):
        found.setdefault(cell["file"], set()).add(cell["sha256"].removeprefix("sha256:"))
    return {file: sorted(found[file]) for file in sorted(found)}


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A raw cell as the trace page shows it, with those of one `place`: file, column, source and others that agree."""
    value, unit = trace.printed(cell["cell"], cell["sha256"])
    return {
        "printed": f"{value} {unit}".strip(),
        "row": ", ".join(f"{name} {text}" for name, text in cell["row"].items() if text),
        "place": (cell["file"], cell["column"], cell["source_id"], cell["also"]),
    }


def listed_sources(ids: Iterable[str], record: Record) -> list[dict[str, Any]]:
    """Sources as pages list them."""
    return [{"id": name, "words": _source_words(name, record)} for name in ids]


def _said(english: str, **values: object) -> Markup:
    """A text in the language of now, escaped with its values, as it may come out of a table that anyone may write."""
    text = Markup.escape(say(english))
    return text.format(**values) if values else text


def as_page(template: str, context: Mapping[str, Any], *more: str) -> str:
    """A page with its style and script in it, to which `more` files add theirs.

    It may load nothing but pictures beside it, and run no other script.
    """
    names = ("report.css", "report.js", *more)
    read = {name: (narrative.TEMPLATES / name).read_text(encoding="utf-8") for name in names}
    style, script = ("\n".join(read[name] for name in read if name.endswith(kind)) for kind in (".css", ".js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    font = "font-src data:; " if font_file() else ""
    allowed = f"img-src 'self' file: data:; {font}style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; {allowed}"
    around = {
        "top": "",
        "css": Markup(style),
        "script": Markup(script),
        "policy": policy,
        "number": links.number,
        "breakable": links.breakable,
        "fragment": links.fragment,
        "anchor": anchor,
        "language": spoken(),
        "_": _said,
        "retold": retold,
        "english": Markup(' lang="en"') if spoken() != ENGLISH else "",
    }
    page = narrative.template(template).render(**{**around, **context})
    return page.replace("</head>", f"<style>{_font_for(page)}</style>\n</head>", 1) if font_file() else page


def _font_for(page: str) -> str:
    """The letters of a page as a font that it carries itself, so that it can be read where no font has them."""
    from fontTools.subset import Options, Subsetter, load_font, save_font  # only for a language with its own font

    options = Options(flavor="woff", layout_features=[], notdef_outline=True, hinting=False)
    file = font_file()
    cut, woff = Subsetter(options), BytesIO()
    cut.populate(text="".join(sorted({letter for letter in page if letter > "\u2e7f"})))
    with load_font(str(file), options) as font:
        cut.subset(font)
        save_font(font, woff, options)
    data = base64.b64encode(woff.getvalue()).decode("ascii")
    name, *_ = FONTS[spoken()]
    return f'@font-face {{ font-family: "{name}"; src: url(data:font/woff;base64,{data}) format("woff"); }}'
