"""What a reader's questions cost: one trace against starting Python, and judging 10,000 claims.

Run by `make bench`. Nothing here is asserted: machines differ and are noisy, so times are medians and
the ratios are measured in the same run. The study aims at 0.5 s for a trace and 2 s for the claims.
"""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from anime_growth import claims, expressions, paths, rules
from anime_growth.quantities import Quantities

ROUNDS = 5
CLAIMS = 10_000
NAME = "made_up"
SOURCE = "S089"
TRACED = ("market.overseas.growth.2024", "trend.overseas.drift.growth", "specification.overseas.grows.holds")
COLUMNS = (
    "claim_id",
    "source_id",
    "paragraph",
    "subject",
    "measure",
    "value",
    "unit",
    "period",
    "attributed_to",
    "kind",
)


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median time of `work`."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def read_afresh() -> None:
    """Read the made-up article with no expression remembered; judging it then finds them parsed."""
    expressions._tree.cache_clear()
    expressions._keys.cache_clear()
    rules.articles(NAME)


def process(*command: str) -> Callable[[], object]:
    """A fresh process of this Python."""
    return lambda: subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)


def made_up(q: Quantities) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Claims without end, each with its value, unit and rule; no two ask quite the same."""
    years = [int(key.rsplit(".", 1)[1]) for key in q if key.startswith("market.overseas.growth.")]
    series = ("market.overseas", "market.domestic", "market.total")
    pairs = [(name, year) for name in series for year in years]
    for number, (name, year) in enumerate(cycle(pairs), start=1):
        level, before = f"{name}.level.{year}", f"{name}.level.{year - 1}"
        growth, dollars, rate = f"{name}.growth.{year}", f"{name}.level_usd.{year}", f"fx.usdjpy.level.{year}"
        say = f"In dollars it was {{{dollars}|bn}} at {{{rate}}}, once {{{before}|trn}}."
        caveats = [{"say": say, "when": f"{growth} > {number} / 1000"}, {"say": f"It is {{{growth}}} in yen."}]
        yield f"{q[growth].value:.1f}", "%", {"computed": f"{level} / {before} - {number} / {number}", "unit": "%"}
        yield "larger", "text", {"holds": f"{level} > {before} and {level} - {before} < {number} * {level}"}
        yield (
            f"{q[dollars].value:.2f}",
            "billion USD",
            {"dollars": {"of": level, "at": rate, "or_at": ["fx.usdjpy.spot.2025-10-29"]}},
        )
        yield f"{q[growth].value:.1f}", "%", {"computed": f"max({growth}, -{number})", "unit": "%", "caveats": caveats}
        yield (
            "1",
            "rank",
            {
                "holds": f"{name}.level_rank.{year} == {number}",
                "alternatives": [{"holds": f"abs({growth}) * {number} >= 0", "say": f"It grew by {{{growth}}}."}],
                "otherwise": f"It was {{{name}.level_rank.{year}}}.",
            },
        )
        yield "a pillar", "text", {"not_checkable": "It is a judgement."}


def study(folder: Path, q: Quantities) -> None:
    """Raw data with one more article of CLAIMS claims, which this process takes for the real study."""
    shutil.copytree(paths.raw(), folder / "data" / "raw")
    article = folder / "data" / "raw" / "articles" / NAME / "2026-01"
    article.mkdir(parents=True)
    entries, rows = {}, [COLUMNS]
    for number, (value, unit, rule) in enumerate(islice(made_up(q), CLAIMS), start=1):
        claim = f"M{number:05}"
        entries[claim] = rule
        rows.append((claim, SOURCE, "1", "a market", "a measure", value, unit, "2024", "", "level"))
    with (article / "claims.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    (article / "rules.yml").write_text(yaml.safe_dump(entries, sort_keys=False, width=1000), encoding="utf-8")
    os.environ[paths.HOME_VARIABLE] = str(folder)


def published() -> tuple[Quantities, dict[str, dict[str, Any]]]:
    """The published quantities that no article made, and the raw rows that they rest on."""
    entries = json.loads((paths.published() / "quantities.json").read_text(encoding="utf-8"))
    known = {key: entry for key, entry in entries.items() if not key.startswith("article.")}
    cells = [cell for entry in known.values() for cell in entry["inputs"] if isinstance(cell, dict)]
    return Quantities.of_entries(known), {cell["cell"].split("#")[0]: cell for cell in cells}


def main() -> None:
    console = Console()
    program = str(Path(sys.executable).parent / "anime-growth")
    bare = seconds(process("-c", "pass"))
    libraries = seconds(process("-c", "from rich import console, tree; from anime_growth import cli, trace"))
    traces = Table(
        "trace",
        "seconds",
        "times the imports",
        title=f"Python alone takes {bare:.2f} s, with imports {libraries:.2f} s",
    )
    for key in TRACED:
        for form in ((), ("--json",)):
            taken = seconds(process(program, "trace", key, *form))
            traces.add_row(" ".join((key, *form)), f"{taken:.2f}", f"{taken / libraries:.2f}")
    console.print(traces)

    known, raw_rows = published()
    with tempfile.TemporaryDirectory() as folder:
        study(Path(folder), known)
        reading = seconds(read_afresh, 3)
        article = rules.articles(NAME)
        judging = seconds(lambda: claims.judge(article, known, raw_rows), 3)
        verdicts, found = claims.judge(article, known, raw_rows)
    parts = Table("part", "seconds", "times the imports", title=f"{CLAIMS:,} claims, {len(found):,} quantities made")
    for words, taken in (("reading claims and rules", reading), ("judging", judging), ("both", reading + judging)):
        parts.add_row(words, f"{taken:.2f}", f"{taken / libraries:.2f}")
    console.print(parts)
    console.print(verdicts["verdict"].value_counts().to_dict())


if __name__ == "__main__":
    main()
