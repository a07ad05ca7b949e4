"""The report: one HTML file that needs no network and no other file.

It holds the narrative with its figures, every verdict, the models with their checks, all other
figures, and how to reproduce everything.
"""

import base64
from collections.abc import Mapping
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from anime_growth import narrative
from anime_growth.claims import VERDICTS
from anime_growth.quantities import MODEL_WORDS, Quantities
from anime_growth.units import number_text

MODEL_COLUMNS = {
    "growth_pct_a_year": ("Growth, % a year", 1),
    "growth_lo95_pct": ("95 % from", 1),
    "growth_hi95_pct": ("to", 1),
    "male_h1": ("Mean error 1 year ahead, log", 3),
    "male_h5": ("5 years ahead", 3),
    "cover80_h5": ("80 % interval held, 5 years ahead, %", 0),
    "growth_without_it": ("Growth without its most influential year", 1),
    "durbin_watson": ("Durbin-Watson", 2),
    "ljung_box_p": ("Ljung-Box p", 3),
    "jarque_bera_p": ("Jarque-Bera p", 3),
}


def picture(svg: bytes, alt: str) -> Markup:
    """A figure as an element that carries its own bytes and its alternative text."""
    data = base64.b64encode(svg).decode("ascii")
    return Markup('<figure><img alt="{}" src="data:image/svg+xml;base64,{}"></figure>').format(alt, data)


def model_rows(trends: pd.DataFrame, scores: pd.DataFrame) -> list[dict[str, str]]:
    """The model table as text, rounded as printed; an unfitted model has its reason instead.

    Mean absolute log errors and coverage come from the backtest's whole set of windows.
    """
    whole = scores[scores["windows"] == "all"]
    for horizon in (1, 5):
        at = whole[whole["horizon"] == horizon].set_index("model")[["male", "cover80"]].add_suffix(f"_h{horizon}")
        trends = trends.join(at, on="model")
    rows = []
    for record in trends.to_dict("records"):
        row = {"model": MODEL_WORDS[record["model"]], "remark": str(record.get("remark") or "")}
        for column, (_, digits) in MODEL_COLUMNS.items():
            value = record.get(column)
            row[column] = "–" if value is None or pd.isna(value) else number_text(float(value), digits)
        rows.append(row)
    return rows


def write_html(
    told: str,
    figures: Mapping[str, tuple[bytes, str]],
    verdicts: pd.DataFrame,
    trends: pd.DataFrame,
    scores: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    q: Quantities,
) -> str:
    """The report as HTML text.

    `told` is the narrative with marks `<!-- figure: name -->`; `figures` maps names to SVG bytes
    and alternative text. A figure that the narrative does not place is shown after the tables.
    """
    body = MarkdownIt("commonmark", {"html": True}).render(told)
    placed = set()
    for name, (svg, alt) in figures.items():
        mark = f"<!-- figure: {name} -->"
        if mark in body:
            body = body.replace(mark, str(picture(svg, alt)))
            placed.add(name)
    used = sorted({source for row in verdicts["sources"] for source in str(row).split("; ") if source})
    context: dict[str, Any] = {
        "body": Markup(body),
        "verdicts": verdicts.to_dict("records"),
        "verdict_order": VERDICTS,
        "models": model_rows(trends, scores),
        "model_columns": MODEL_COLUMNS,
        "gallery": [picture(svg, alt) for name, (svg, alt) in figures.items() if name not in placed],
        "sources": _rows_of(tables["sources"], used),
        "checks": tables["checks"].to_dict("records"),
        "quantity_count": len(q),
        "edition": int(tables["market"]["edition"].iloc[0]),
        "css": Markup((narrative.TEMPLATES / "report.css").read_text(encoding="utf-8")),
    }
    return narrative.environment().get_template("report.html.j2").render(**context)


def _rows_of(sources: pd.DataFrame, used: list[str]) -> list[dict[str, Any]]:
    return sources[sources["source_id"].isin(used)].to_dict("records")
