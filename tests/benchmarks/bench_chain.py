"""What a whole run costs, in each way there is to have one, as ratios to the same code in one plain process.

Run by `make bench`; `--rounds`, and `--only` with words of the names, to look at some. All ways take turns in
each round, so that a machine that is slow for a while is slow for all; the figures are medians of rounds.
Everything happens in a copy of the study. Nothing is asserted: machines differ and are noisy.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from anime_growth.steps import STEPS

TOP = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# The floor: libraries imported once, then the code cells of all notebooks, each with a namespace of its own and
# with all displays rendered; no papermill, no kernel, nothing kept.
PLAIN = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

shell = InteractiveShell.instance()
for path in sys.argv[1:]:
    shell.reset(new_session=True)
    with capture_output():
        for cell in json.load(open(path, encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                shell.run_cell("".join(cell["source"])).raise_error()
"""
FLOOR = "one plain Python process"


class Study:
    """A copy of the study, and ways to run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("data/raw", "data/processed/published", "notebooks", "src"):
            shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("uv.lock", "pyproject.toml", "README.md", "CHANGELOG.md", "data/README.md"):
            shutil.copyfile(TOP / name, folder / name)
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("ANIME_GROWTH_")},
            **{"ANIME_GROWTH_HOME": str(folder), "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": ""},
        }
        self.edits = 0

    def call(self, *command: str, may_end_with: tuple[int, ...] = (0,), **environment: str) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env={**self.environment, **environment}, capture_output=True, text=True
        )
        if done.returncode not in may_end_with:
            sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")

    def anime_growth(self, *arguments: str, may_end_with: tuple[int, ...] = (0,)) -> None:
        self.call(str(BIN / "anime-growth"), *arguments, may_end_with=may_end_with)

    def notebooks(self) -> list[str]:
        return [str(self.folder / "notebooks" / f"{name}.ipynb") for name in STEPS]

    def plain(self) -> None:
        with tempfile.TemporaryDirectory() as run:
            settings = {"ANIME_GROWTH_RUN": run, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
            # As the command has it; with more threads than that the floor is slower.
            self.call(sys.executable, "-c", PLAIN, *self.notebooks(), OPENBLAS_NUM_THREADS="1", **settings)

    def papermill(self) -> None:
        with tempfile.TemporaryDirectory() as run:
            for path in self.notebooks():
                out = str(Path(run) / Path(path).name)
                self.call(str(BIN / "papermill"), "--no-progress-bar", path, out, ANIME_GROWTH_RUN=run)

    def edit_template(self) -> None:
        """Another word in the template of the narrative, which only notebook 6 reads."""
        self.edits += 1
        template = self.folder / "src/anime_growth/templates/narrative.en.md.j2"
        template.write_text(template.read_text(encoding="utf-8") + f"\n{{# edit {self.edits} #}}\n", encoding="utf-8")

    def ways(self) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
        """Each way with what has to be done before it, which is not timed."""

        def nothing() -> None: ...

        def made() -> None:
            self.anime_growth("run")

        def edited() -> None:
            self.anime_growth("run")
            self.edit_template()

        def command(*arguments: str, **how: tuple[int, ...]) -> Callable[[], None]:
            return lambda: self.anime_growth(*arguments, **how)

        return {
            FLOOR: (self.plain, nothing),
            "`anime-growth run --again --jobs 1`": (command("run", "--again", "--jobs", "1"), nothing),
            "`anime-growth run --again --jobs 2`": (command("run", "--again", "--jobs", "2"), nothing),
            "`… --jobs 1 --engine kernel`": (
                command("run", "--again", "--jobs", "1", "--engine", "kernel"),
                nothing,
            ),
            "six `papermill` commands": (self.papermill, nothing),
            "`anime-growth verify`": (command("verify", may_end_with=(0, 10, 20, 30)), nothing),
            "`anime-growth run`, one template changed": (command("run"), edited),
            "`anime-growth run`, nothing changed": (command("run"), made),
            "`anime-growth trace …`": (command("trace", "market.overseas.growth.2024"), nothing),
            "the list of commands": (command("--help"), nothing),
        }


def seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def megabytes(work: Callable[[], None]) -> tuple[float, float]:
    """The most memory that all processes begun meanwhile held together, shared pages counted once, and any single one.

    To ask for it takes time itself, so that it is asked in a round of its own.
    """
    together, single, over = [0.0], [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            held = []
            for one in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error, AttributeError):
                    held.append(one.memory_full_info())
            together.append(sum(one.pss for one in held) / 1e6)
            single.extend(one.rss / 1e6 for one in held)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return max(together), max(single)


def rows(rounds: int, only: list[str]) -> list[dict[str, Any]]:
    """For each way its time, its ratio to the floor, and its memory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        study = Study(Path(folder))
        ways = {
            name: way for name, way in study.ways().items() if name == FLOOR or not only or any(w in name for w in only)
        }
        memory: dict[str, tuple[float, float]] = {}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, (work, before) in ways.items():
                before()
                if number == 0:
                    memory[name] = megabytes(work)
                else:
                    times[name].append(seconds(work))
                    print(f"round {number}: {name}: {times[name][-1]:.2f} s", file=sys.stderr, flush=True)
        return [
            {
                "way": name,
                "seconds": statistics.median(times[name]),
                # Of the same round each, since rounds differ more than ways.
                "ratio": statistics.median(one / floor for one, floor in zip(times[name], times[FLOOR], strict=True)),
                "megabytes": memory[name],
            }
            for name in ways
        ]


def as_table(found: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| way | seconds | of the plain process | memory at most | of one process |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in found:
        held = " | ".join(f"{megabytes:.0f} MB" for megabytes in row["megabytes"])
        lines.append(f"| {row['way']} | {row['seconds']:.2f} | {row['ratio']:.2f} | {held} |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", nargs="*", default=[])
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    found = rows(given.rounds, given.only)
    print(json.dumps(found, indent=1) if given.json else as_table(found))


if __name__ == "__main__":
    main()
