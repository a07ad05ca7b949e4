"""The command line: `anime-growth run`, `trace`, `publish`, `package`.

Exit codes: 0 done, 1 failed, 2 bad parameters or input.
"""

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from anime_growth import paths
from anime_growth.errors import InputError, StepFailed

FAILED, BAD_INPUT = 1, 2
LONGEST_LINE = 4096

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="How fast Japan's anime business grows overseas: run the study, publish it, add figures to it.",
)


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Errors that a user can act on: one line on stderr and the exit code."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # A scheduler's stop and a closed terminal are handled like Ctrl-C: the run is kept and named.
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop)
    try:
        yield
    except InputError as problem:
        _say(str(problem), BAD_INPUT)
    except StepFailed as problem:
        _say(str(problem), FAILED)
    except BrokenPipeError:
        os._exit(0)  # the reader of a pipe has seen enough
    except OSError as problem:
        place = f"{problem.filename}: " if problem.filename else ""
        _say(f"{place}{problem.strerror or problem}. Check that the folder exists, is writable and has space.", FAILED)


def _say(message: str, code: int) -> None:
    typer.echo(f"anime-growth: {message}", err=True)
    raise typer.Exit(code)


@app.command()
def run(
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set a parameter; may be given several times."),
    ] = None,
) -> None:
    """Execute the six notebooks in order and print where the report is.

    Parameters: edition (year of the AJA report, or latest), series (market.overseas and others), basis
    (yen, usd or real), start_year (first year the trend models see), horizon_year (last year projected),
    articles (all, or names of folders in data/raw/articles joined by commas).

    Example: anime-growth run -p start_year=2012 -p horizon_year=2035
    """
    from anime_growth import parameters, runs

    with _told_plainly():
        values = parameters.from_text(parameter or [])
        parameters.check(values)
        with _progress() as on_step:
            folder = runs.run(values, on_step)
        typer.echo(f"Report: {paths.shown(folder / 'report.html')}")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, plain lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from anime_growth.pipeline import STEPS

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda name: print(f"running {name}", file=sys.stderr, flush=True)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=len(STEPS))
        begun: list[str] = []

        def on_step(name: str) -> None:
            if begun:
                bar.advance(task)
            begun.append(name)
            bar.update(task, description=name)

        yield on_step
        bar.advance(task)


@app.command()
def trace(
    key: Annotated[
        str, typer.Argument(help="A quantity's key, such as market.overseas.growth.2024, or claim.<article>.<id>.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Plain data for machines instead of a tree.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--run", help="A finished run's folder; the published results by default.")
    ] = None,
) -> None:
    """Show what a number, or the verdict on a claim, rests on, down to the raw cells with their sources.

    Examples: anime-growth trace market.overseas.growth.2024,
    anime-growth trace claim.anime_overtakes_autos.C43
    """
    from anime_growth.trace import Record

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these letters shows others

    with _told_plainly():
        record = Record.read(folder or paths.published())
        if as_json:
            typer.echo(json.dumps(record.as_data(key), indent=1, ensure_ascii=False))
            return
        from rich.console import Console

        console = Console(highlight=False, markup=False)
        if not console.is_terminal:  # a program that reads this would stumble over broken lines
            console.width = LONGEST_LINE
        console.print(record.tree(key))


@app.command()
def publish(
    folder: Annotated[Path | None, typer.Argument(help="A finished run; the latest one by default.")] = None,
) -> None:
    """Publish a finished run with default parameters: the reference folder, notebook outputs, README."""
    from anime_growth import runs

    with _told_plainly():
        chosen = (folder or paths.runs() / "latest").resolve()
        if not (chosen / "run.json").exists():
            raise InputError(paths.shown(chosen), "is no finished run", "Run `make run` first, or name a run folder")
        runs.publish(chosen)
        typer.echo(f"Published {paths.shown(chosen)}; look at `git diff` before you commit")


@app.command()
def package(
    folder: Annotated[Path, typer.Argument(help="A new edition's folder, such as data/raw/aja/2026.")],
) -> None:
    """Print a draft datapackage.json for a new edition's CSV files.

    Example: anime-growth package data/raw/aja/2026 > draft.json
    """
    from anime_growth import sources

    with _told_plainly():
        typer.echo(json.dumps(sources.describe(folder), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    app()
