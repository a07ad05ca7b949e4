"""A study whose chain is quick: for tests of how runs are made, stopped, compared and explained.

`lighten(study)` rewrites the notebooks of a copy of the study. What stays as it is: notebook 1 with all
its checks and quantities, each step's parameters, and every file that a step promises. What becomes
light: nothing is drawn (figures are blank), the tables of notebooks 3 to 6 have a header and no rows, and
instead of models, claims and a narrative there is what a hand can check:

    trend.overseas.drift.growth             compound growth from `start_year` to the last year [% a year]
    projection.overseas.drift.p50.<year>    the last level carried on at that growth to `horizon_year`,
                                            and the one row of the table of projections
    claim L01 of the article `light`        supported where overseas revenue rose by more than 20 % in
                                            the last year, else contradicted

With another `series` than market.overseas its name takes the place of `overseas`; `basis` has no effect.
"""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from anime_growth import paths
from anime_growth.pipeline import STEPS

# Columns of the tables are those of the committed results, whichever study a test has made the current one.
PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "processed" / "published"

OPENED = """\
import pandas as pd

from anime_growth import arithmetic, pipeline, trace, units
from anime_growth.quantities import Quantities

step = pipeline.start("{name}", globals())
known, chosen = step.quantities(), step.parameters
levels = {{int(item.period): item for key, item in known.items() if key.startswith(f"{{chosen.series}}.level.")}}
first, last = min(year for year in levels if year >= chosen.start_year), max(levels)
average = arithmetic.cagr_pct(levels[last].value, levels[first].value, last - first)
ends, series = [levels[first].key, levels[last].key], chosen.series.split(".")[1]
"""

BLANK = """\
from types import SimpleNamespace

svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"/>'
for name in step.spec.figures:
    data = pd.DataFrame(columns=drawn[name])
    step.save_figure(SimpleNamespace(name=name, data=data, svg=lambda: svg))
"""

EMPTY = """\
columns, drawn = {columns}, {drawn}
for name in step.spec.tables:
    step.save_table(name, pd.DataFrame(columns=columns[name]))
"""

MADE = {
    "02_describe_market": "",
    "03_fit_trends": """\
key = f"trend.{series}.drift.growth"
known.record(key, average, units.PERCENT_A_YEAR, "average growth", "light chain", ends)
step.save_quantities(Quantities(items=[known[key]]))
""",
    "04_project_targets": """\
key = f"projection.{series}.drift.p50.{chosen.horizon_year}"
level = levels[last].value * (1 + average / 100) ** (chosen.horizon_year - last)
known.record(key, level, units.JPY_100M, "median forecast", "light chain", ends)
step.save_quantities(Quantities(items=[known[key]]))
row = {"series": chosen.series, "basis": chosen.basis, "start_year": first, "last_year": last, "model": "drift"}
row |= {name: level for name in columns["projections"] if name.startswith("p")}
row |= {"year": chosen.horizon_year, "unit": units.JPY_100M.name}
step.save_table("projections", pd.DataFrame([row]))
""",
    "05_check_claims": """\
growth = known[f"market.overseas.growth.{last}"]
row = {name: "" for name in columns["verdicts"]} | {"claim_id": "L01", "article": "light", "stated": "more than 20 %"}
row |= {"article_words": "the light article", "subject": "overseas anime market", "measure": "growth of the last year"}
row |= {"period": growth.period, "kind": "growth", "computed": growth.text, "evidence": growth.key}
row |= {"verdict": "supported"} if growth.value > 20 else {"verdict": "contradicted", "caveat": f"Only {growth.text}."}
step.save_text("verdicts.csv", pd.DataFrame([row]).to_csv(index=False, lineterminator="\\n"))
step.save_quantities(Quantities())
""",
    "06_narrative": """\
said = f"The overseas market came to {levels[last].text} in {last}."
for name in ("narrative.md", "finding.md", "limits.md"):
    step.save_text(name, f"{said}\\n")
for name in ("report.html", "trace.html", "codebook.html"):
    step.save_text(name, f"<!doctype html><title>{name}</title><p>{said}</p>\\n")
raw_rows = trace.raw_rows(step.tables() | step.tables("claims"))
step.save_all_quantities(known.entries(raw_rows, trace.commits()))
""",
}


def lighten(study: Path) -> None:
    """Make the notebooks below `study` light; its other files are not touched."""
    for path in sorted((study / paths.notebooks().name).glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if path.stem in MADE:
            parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
            tables = [f"tables/{name}.csv" for name in STEPS[path.stem].tables]
            figures = [f"figures/{name}.csv" for name in STEPS[path.stem].figures]
            empty = EMPTY.format(columns=_columns([*tables, "verdicts.csv"]), drawn=_columns(figures))
            sources = filter(None, (OPENED.format(name=path.stem), empty, BLANK, MADE[path.stem], "step.finish()"))
            notebook.cells = [parameters, *map(new_code_cell, sources)]
        for number, cell in enumerate(notebook.cells):
            cell.id = f"light-{number}"  # not a random one: the same study is the same text
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)


def _columns(names: list[str]) -> dict[str, list[str]]:
    """The columns of published files, by their stems."""
    files = [PUBLISHED / name for name in names]
    return {path.stem: path.read_text(encoding="utf-8").partition("\n")[0].split(",") for path in files}
