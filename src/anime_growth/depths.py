"""One item of a sweep worked out, at either depth, by whatever process is given it.

Both depths leave the same columns, a row for each model: growth a year with its 95 % interval, as
notebook 3 has them, and the quantiles of the level in the last year projected, as notebook 4 has them.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from anime_growth import clean, describe, locks, parameters, paths, projections, records, runs, series, trends
from anime_growth.errors import StepFailed
from anime_growth.grid import Depth
from anime_growth.quantities import Quantities

# Years to the latest horizon that a parameter may have: one forecast serves every horizon of a sweep.
LAST_HORIZON = next(
    limit.le for limit in parameters.Parameters.model_fields["horizon_year"].metadata if hasattr(limit, "le")
)
WORDS, YEAR, NUMBER = pa.string(), pa.int32(), pa.float64()
CHANCES = {f"chance_{name}_pct": f"target.{name}.chance" for name in describe.CONTENT_TARGETS}
_RESULTS = {
    "model": WORDS, "years": YEAR,
    "growth_pct_a_year": NUMBER, "growth_lo95_pct": NUMBER, "growth_hi95_pct": NUMBER,
    **dict.fromkeys(projections.PROBABILITIES, NUMBER), "unit": WORDS,
}  # fmt: skip
_SAMPLE = {"edition": YEAR, "series": WORDS, "basis": WORDS, "start_year": YEAR, "horizon_year": YEAR}
# The columns of a sweep; `unit` is that of the quantiles, `error` why an item has no numbers.
COLUMNS = {
    Depth.model: {
        **{"item": pa.int64(), **_SAMPLE, "first_year": YEAR, "last_year": YEAR, **_RESULTS},
        **{"finding": WORDS, "error": WORDS},
    },
    Depth.notebooks: {
        **{"item": pa.int64(), **_SAMPLE, "articles": WORDS, **_RESULTS},
        **{**dict.fromkeys(CHANCES, NUMBER), "run_id": WORDS, "seconds": NUMBER, "error": WORDS},
    },
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One combination: what it sets, all its parameters, and a folder that is its own."""

    given: Mapping[str, Any]
    parameters: Mapping[str, Any]
    folder: Path


# --- the functions of one model ---------------------------------------------------------------------
def specification(item: Item) -> list[Row]:
    """What one model says; a row. Raises InputError or CannotFit where the parameters do not go together."""
    chosen = item.parameters
    sample = (chosen["edition"], chosen["series"], chosen["basis"], chosen["start_year"])
    subject = _subject(paths.home(), *sample)
    fit = trends.fit(chosen["model"], subject.levels)
    ahead = _ahead(paths.home(), chosen["model"], *sample)
    return [
        {
            "first_year": fit.years[0],
            "last_year": fit.years[-1],
            "years": len(fit.years),
            "growth_pct_a_year": fit.growth_pct,
            "growth_lo95_pct": fit.growth_lo95,
            "growth_hi95_pct": fit.growth_hi95,
            "unit": subject.unit.name,
            "finding": "; ".join(fit.findings),
            **ahead.get(chosen["horizon_year"], {}),
        }
    ]


@lru_cache(maxsize=1)
def _tables(home: Path) -> dict[str, pd.DataFrame]:
    return clean.clean_all()


@lru_cache(maxsize=4)
def _known(home: Path, edition: int) -> Quantities:
    """The levels of every series, as notebook 1 has them."""
    tables = _tables(home)
    broad = describe.describe_market(clean.market(tables, edition), tables["breaks"])
    return broad.joined(describe.describe_levels(tables["series_levels"], broad))


@lru_cache(maxsize=64)
def _subject(home: Path, edition: int, name: str, basis: str, start_year: int) -> series.Subject:
    return series.choose(_known(home, edition), name, basis, start_year)


@lru_cache(maxsize=64)
def _ahead(home: Path, model: str, edition: int, name: str, basis: str, start_year: int) -> dict[int, dict[str, float]]:
    """Forecast quantiles by year, as far as any horizon may lie."""
    subject = _subject(home, edition, name, basis, start_year)
    table = projections.project({model: trends.fit(model, subject.levels)}, subject, LAST_HORIZON)
    return table.set_index("year")[list(projections.PROBABILITIES)].to_dict("index")


# --- the chain --------------------------------------------------------------------------------------
def chain(item: Item) -> list[Row]:
    """Run the six notebooks into the item's own folder; a row for each model that they fitted.

    A run that is there already counts: the sweep was killed before it could be written down. One that is
    still at work there, left by a worker that was killed, is waited for.
    """
    longest = runs.Manner().run
    with locks.held(item.folder, longest):
        pass
    if not (item.folder / "latest").exists():
        _run(item, longest)
    run = (item.folder / "latest").resolve()
    record = records.Run(run, records.read(run))
    q = Quantities.read(run / "quantities.json")
    slug = series.slug_of(item.parameters["series"], item.parameters["basis"])
    row: Row = {"run_id": record.run_id, "seconds": record.seconds}
    found = [
        {**row, "model": model, **_results(q, slug, model, item.parameters["horizon_year"])} for model in trends.MODELS
    ]
    return [one for one in found if one["growth_pct_a_year"] is not None] or [row]


def _run(item: Item, longest: float) -> None:
    """One `anime-growth run` in a process of its own, so that it works from any kind of worker."""
    words = [word for name, value in item.given.items() for word in ("-p", f"{name}={value}")]
    settings = {name: value for name, value in os.environ.items() if name != paths.RUN_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-m", "anime_growth.cli", "run", "--jobs", "1", "--wait", f"{longest:g}", *words],
        env={**settings, paths.RUNS_VARIABLE: str(item.folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"its process ended with exit code {done.returncode}"]
        raise StepFailed(said[-1].removeprefix("anime-growth: "))


def _results(q: Quantities, slug: str, model: str, horizon: int) -> Row:
    """The columns that come from quantities; none where a run does not know one."""
    wanted = {
        "years": f"trend.{slug}.{model}.years",
        "growth_pct_a_year": f"trend.{slug}.{model}.growth",
        "growth_lo95_pct": f"trend.{slug}.{model}.growth_lo95",
        "growth_hi95_pct": f"trend.{slug}.{model}.growth_hi95",
        **{name: f"projection.{slug}.{model}.{name}.{horizon}" for name in projections.PROBABILITIES},
        **{column: f"{family}.{model}" for column, family in CHANCES.items()},
    }
    found: Row = {column: q[key].value if key in q else None for column, key in wanted.items()}
    median = wanted["p50"]
    return {**found, "unit": q[median].unit if median in q else None}


WORK: dict[Depth, Callable[[Item], list[Row]]] = {Depth.model: specification, Depth.notebooks: chain}
