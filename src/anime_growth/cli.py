"""The command line: `anime-growth run`, `sweep`, `runs`, `verify`, `diff`, `trace`, `publish`, `package`.

Exit codes: 0 done, 1 failed, 2 bad parameters or input, 3 a deadline has passed, 4 another run is at work;
of `verify` and `diff --exit-code` also 10 new data, 20 a number moved, 30 a verdict flipped.
"""

import atexit
import gc
import io
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from anime_growth import completion, errors, paths, progress
from anime_growth.errors import InputError, Locked, StepFailed

if TYPE_CHECKING:
    from anime_growth.runs import Manner

LONGEST_LINE = 4096
WITHOUT_BAR = "swap"  # the event of `diff --attribute`, whose runs have no bar
log = logging.getLogger("anime_growth")
# No plugin that happens to be installed takes part, and none is looked for, which takes time.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _examples(*commands: str) -> str:
    """The end of a help text: what one may type, a line each, as it stands here."""
    return "\n".join(("\b", "Examples:", *(f"  anime-growth {command}" for command in commands)))


class _Commands(TyperGroup):
    """The commands; what typer itself prints, help and what is wrong with an option, may not find its reader either."""

    def main(self, *words: Any, **settings: Any) -> Any:
        """Do what a command line says, and end with its exit code whatever can be written."""
        _open_streams()
        completion.let_bash_complete_values()
        try:
            return super().main(*words, **settings)
        except OSError as problem:
            _tell(f"anime-growth: {errors.of_system(problem)}", err=True)
            # What was being said when it could not be written has the code.
            sys.exit(getattr(problem.__context__, "exit_code", errors.FAILED))
        finally:
            for number, stream in ((1, sys.stdout), (2, sys.stderr)):
                try:
                    stream.flush()
                except OSError:
                    _read_no_more(number)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="How fast Japan's anime business grows overseas: run the study, check it, publish it, add figures to it.",
    epilog=_examples("run", "COMMAND --help      what a command does, with examples", "--install-completion"),
)


# --- what commands have in common -------------------------------------------------------------------
class LogFormat(StrEnum):
    """How a command tells what it does: to people, or one JSON object a line."""

    text = "text"
    json = "json"


class Engine(StrEnum):
    """What executes notebooks."""

    forked = "forked"
    kernel = "kernel"


def _listen(chosen: LogFormat) -> LogFormat:
    """Send what is logged to stderr in the chosen format."""
    logging.raiseExceptions = False  # a log that cannot be written must not hide why
    handler = _Teller(sys.stderr)
    if chosen is LogFormat.json:
        from pythonjsonlogger.json import JsonFormatter

        names = {"asctime": "time", "levelname": "level"}
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(message)s", rename_fields=names))
    else:
        # On a terminal a bar shows the rest. It takes the place of stderr, so ask before it does.
        barred = progress.on_terminal()
        handler.addFilter(lambda entry: not barred or getattr(entry, "event", "") == WITHOUT_BAR)
    handler.set_name(chosen)
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
    return chosen


Parameter = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        "-p",
        metavar="NAME=VALUE",
        help="A parameter; may be given several times.",
        autocompletion=completion.parameters,
    ),
]
Logged = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        callback=_listen,
        help="What stderr is for: people (text), or programs, a JSON object a line (json).",
    ),
]
NotebookDeadline = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="Longest time for one notebook; then all of it is ended.")
]
Deadline = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Longest time for the whole run.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Notebooks at work at a time; as many as processors by default.")
]
WithEngine = Annotated[
    Engine,
    typer.Option(
        "--engine", help="forked: each notebook in a copy of a process that has the libraries; kernel: in a new one."
    ),
]
Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for another run to end.")]
AsJson = Annotated[bool, typer.Option("--json", help="Plain data for machines.")]
A_RUN = "published, latest, a run id, or a run's folder."


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Whatever goes wrong ends in one line on stderr and an exit code that tells the kind."""
    atexit.register(gc.freeze)  # or its end would take 0.6 s to look through the libraries for what could be freed
    # A scheduler's stop and a closed terminal are handled like Ctrl-C: the run is kept and named.
    # What nohup or a shell's `&` has made this process deaf to stays so.
    heard = [number for number in errors.STOPS if signal.getsignal(number) is not signal.SIG_IGN]

    def stop(number: int, frame: object) -> None:
        for one in heard:
            signal.signal(one, signal.SIG_IGN)  # to be stopped once is enough
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in heard}
    try:
        if not paths.home().is_dir():
            do = "Let it name the top folder of a clone, or unset it"
            raise InputError(f"{paths.HOME_VARIABLE} {paths.home()}", "is no folder", do)
        yield
    except (InputError, StepFailed, Locked) as problem:
        _say(str(problem), problem.exit_code)
    except BrokenPipeError:
        os._exit(0)  # the reader of a pipe has seen enough
    except KeyboardInterrupt:
        _say("stopped from outside. Start it again to have it done.", errors.FAILED)
    except OSError as problem:
        _say(errors.of_system(problem), errors.FAILED)
    except typer.Exit:
        raise
    except Exception as problem:
        at = traceback.extract_tb(problem.__traceback__)[-1]
        said = " ".join(f"{type(problem).__name__}: {problem}".split())
        _say(f"{said} ({Path(at.filename).name}, line {at.lineno}). This is a defect of the program.", errors.FAILED)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_streams() -> None:
    """A service may start a program without its streams; no file that is opened later must take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is the stream's own
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _tell(text: str, err: bool = False) -> None:
    """Print a line; that nobody reads it any more, or stderr takes none, does not change how the command ends."""
    try:
        typer.echo(text, err=err)
    except OSError as problem:
        if not err and not isinstance(problem, BrokenPipeError):
            raise
        _read_no_more(2 if err else 1)


def _next(text: str) -> None:
    """Say to people what they may do now; programs read stdout, or one object a line."""
    if not _as_json():
        _tell(f"Next: {text}", err=True)


def _as_json() -> bool:
    return any(handler.name == LogFormat.json for handler in log.handlers)


def _read_no_more(stream: int) -> None:
    """Let what is still to be written go nowhere, so that nothing fails whenever streams are flushed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


class _Teller(logging.StreamHandler):
    """Tells what is logged as long as it can be written."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            _read_no_more(2)


def _say(message: str, code: int) -> None:
    if _as_json():
        log.error(message, extra={"event": "end", "exit_code": code})
    else:
        _tell(f"anime-growth: {message}", err=True)
    raise typer.Exit(code)


# --- running ----------------------------------------------------------------------------------------
@app.command(epilog=_examples("run", "run -p start_year=2012 -p horizon_year=2035", "run --edition all --wait 600"))
def run(
    parameter: Parameter = None,
    edition: Annotated[
        str | None, typer.Option(help="Short for -p edition=…; `all` makes one run for each edition.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Run also what has not changed.")] = False,
    jobs: Jobs = None,
    engine: WithEngine = Engine.forked,
    notebook_deadline: NotebookDeadline = 300,
    deadline: Deadline = 1200,
    wait: Wait = 0,
    log_format: Logged = LogFormat.text,
) -> None:
    """Execute the six notebooks in order and print where the report is.

    What has not changed since an earlier run is not run again; where nothing has, that run's report is named.

    Parameters: edition (year of the AJA report, or latest), series (market.overseas and others), basis
    (yen, usd or real), start_year (first year the trend models see), horizon_year (last year projected),
    articles (all, or names of folders in data/raw/articles joined by commas), language (en or ja).
    """
    with _told_plainly():
        from anime_growth import parameters

        values = parameters.from_text([*(parameter or []), *([f"edition={edition}"] if edition else [])])
        manner = partial(_manner, notebook_deadline, deadline, wait, jobs, engine, not again)
        if values.get("edition") == "all":
            _backfill(values, manner())
            return
        there = None if again else _unchanged(values, wait)
        if there is not None:
            _tell(f"Report: {paths.shown(there / 'report.html')} (nothing has changed since; --again runs it anyway)")
        else:
            _tell(f"Report: {paths.shown(_run(values, manner()) / 'report.html')}")
        _next(
            "open the report in a browser; index.html beside it leads to all other pages. `anime-growth diff published "
            "latest` says what moved, `anime-growth verify latest` whether a second run gives the same."
        )


def _manner(
    notebook: float, whole: float, wait: float, jobs: int | None, engine: Engine, reuse: bool = False
) -> "Manner":
    # The matrices of this study are tiny; more threads for each only stand in the way of other notebooks.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from anime_growth import engine as forking
    from anime_growth import processes

    processes.give_back_blocks()
    with processes.kept(), forking.hidden(*forking.UNUSED):  # by pandas, of which this is the first import
        from anime_growth import runs

    return runs.Manner(notebook, whole, wait, jobs or runs.cores(), engine.value, reuse)


def _unchanged(values: dict[str, Any], wait: float) -> Path | None:
    """A finished run that would come out the same, which is now the latest; none if there is none."""
    from anime_growth import parameters, records, reuse

    there = reuse.whole(parameters.check(values))
    if there is not None and records.latest() != there.resolve():
        from anime_growth import locks

        with locks.held(paths.runs(), wait):
            records.point_latest(there)
    return there


def _run(values: dict[str, Any], manner: "Manner") -> Path:
    from anime_growth import runs

    with progress.of_steps(manner.jobs) as (on_step, tick):
        return runs.run(values, on_step, tick=tick, manner=manner)


def _backfill(values: dict[str, Any], manner: "Manner") -> None:
    """One run for each edition, the newest last; one that fails does not stop the others."""
    from anime_growth import runs

    worst = errors.DONE
    for wanted in runs.every_edition(values):
        there = _unchanged(wanted, manner.wait) if manner.reuse else None
        if there is not None:
            _tell(f"Edition {wanted['edition']}: {paths.shown(there / 'report.html')} (was there)")
            continue
        try:
            _tell(f"Edition {wanted['edition']}: {paths.shown(_run(wanted, manner) / 'report.html')}")
        except (InputError, StepFailed) as problem:
            if isinstance(problem.__cause__, KeyboardInterrupt):
                raise
            _tell(f"anime-growth: edition {wanted['edition']}: {problem}", err=True)
            worst = max(worst, problem.exit_code)
    if worst:
        _say("not every edition could be run; the lines above say why.", worst)


class Depth(StrEnum):
    """How much a sweep works out for each combination."""

    model = "model"
    notebooks = "notebooks"


@app.command(epilog=_examples("sweep grid.yml", "sweep grid.yml --jobs 2 --depth notebooks"))
def sweep(
    grid: Annotated[Path, typer.Argument(help="YAML: a parameter's name with a value, a list, or a range.")],
    depth: Annotated[
        Depth, typer.Option(help="model: the functions behind one model, in milliseconds; notebooks: the whole chain.")
    ] = Depth.model,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, metavar="N", help="Processes here; all cores by default.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="Let the workers of a Dask cluster do it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where; data/processed/sweeps/<name of grid> by default.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Start over, and remove what is there.")] = False,
    wait: Wait = 0,
    log_format: Logged = LogFormat.text,
) -> None:
    """Work out every combination of parameters in a grid file.

    They are worked out side by side, into Parquet. What was stopped or killed goes on when it is started again. A
    combination that cannot be is recorded with its error. At depth model a combination is also of models, by default
    all but naive. The file says for example `start_year: [2002, 2012]`; the README shows more.
    """
    with _told_plainly():
        from anime_growth import sweep as sweeping

        if scheduler and jobs:
            raise InputError("--jobs", "is for processes here", "Leave it out with --scheduler")
        with progress.of_sweep() as tell:
            folder, told = sweeping.run(grid, sweeping.Depth(depth), out, jobs, scheduler, again, wait, tell)
        _tell(f"Results: {paths.shown(folder)} ({told})")
        _next(f'read them with pandas.read_parquet("{paths.shown(folder)}").')


@app.command(epilog=_examples("runs", "runs --status failed", "runs --keep 20 --dry-run"))
def runs(
    status: Annotated[
        str | None,
        typer.Option(
            help="Only runs that ended so: done, failed, refused, deadline, stopped, killed.",
            autocompletion=completion.statuses,
        ),
    ] = None,
    parameter: Parameter = None,
    since: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Only runs started on this day or later.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Remove all but the newest N of the runs listed.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --keep: only say what would be removed.")] = False,
    as_json: AsJson = False,
    log_format: Logged = LogFormat.text,
) -> None:
    """List the runs on this machine, newest first, and remove old ones.

    What the published results rest on, and the run that `latest` points to, are never removed. With --keep, --json
    lists what is removed.
    """
    with _told_plainly():
        from anime_growth import housekeeping, parameters, records

        chosen = housekeeping.select(status, parameters.from_text(parameter or []), since)
        told = chosen if keep is None else housekeeping.prune(chosen, keep, dry_run)
        if as_json:
            _tell(json.dumps([housekeeping.as_data(one) for one in told], indent=1))
        elif keep is not None:
            for one in told:
                _tell(f"{'would remove' if dry_run else 'removed'} {paths.shown(one.folder)}")
            _tell(f"{len(told)} of {len(chosen)} runs {'would be ' if dry_run else ''}removed", err=True)
        else:
            _console().print(housekeeping.as_table(chosen))
            if not chosen:
                _next("`anime-growth run` makes one." if not records.all_runs() else "ask for fewer conditions.")


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a program that reads this would stumble over broken lines
        console.width = LONGEST_LINE
    return console


# --- checking ---------------------------------------------------------------------------------------
@app.command(epilog=_examples("verify", "verify latest", "verify --from-scratch"))
def verify(
    against: Annotated[str, typer.Argument(help=A_RUN, autocompletion=completion.runs)] = "published",
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch", help="In a clean clone, with its own environment from the lock and the network cut."
        ),
    ] = False,
    jobs: Jobs = None,
    engine: WithEngine = Engine.forked,
    notebook_deadline: NotebookDeadline = 300,
    deadline: Deadline = 1200,
    wait: Wait = 0,
    log_format: Logged = LogFormat.text,
) -> None:
    """Run the study again and compare everything with an earlier run.

    Compared are every number, table, figure, verdict and displayed output; certificate.md and certificate.json in
    the new run tell the result. Exit codes: 0 same, 10 new data, 20 something moved beyond tolerance, 30 a verdict
    flipped.
    """
    with _told_plainly():
        manner = _manner(notebook_deadline, deadline, wait, jobs, engine)  # first, since it says what is not imported
        from anime_growth import records
        from anime_growth import verify as verifying

        # By then the new run will be the latest.
        before = records.find(against).name if against == "latest" else against
        with progress.of_steps(manner.jobs) as (on_step, tick):
            folder, code = verifying.verify(against, from_scratch, on_step=on_step, tick=tick, manner=manner)
        certificate = folder / "certificate.md"
        _tell(certificate.read_text(encoding="utf-8").splitlines()[0].lstrip("# "))
        _tell(f"Certificate: {paths.shown(certificate)}")
        if code:
            _next(
                "read the certificate: it says what differs and what lies behind it. "
                f"`anime-growth diff {before} latest --attribute` says how much each move owes to what."
            )
        elif against != "published":
            _next("`anime-growth publish` makes this run the reference, where its parameters are the defaults.")
        else:
            _next("nothing, all is as it was published. The certificate says what was compared.")
        raise typer.Exit(code)


@app.command(
    epilog=_examples("diff published latest", "diff published latest --attribute", "diff published latest --exit-code")
)
def diff(
    before: Annotated[str, typer.Argument(help=A_RUN, autocompletion=completion.runs)],
    after: Annotated[
        str, typer.Argument(help="The same, for what it is compared with.", autocompletion=completion.runs)
    ],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 10 new data, 20 something moved, 30 a verdict flipped.")
    ] = False,
    attribute: Annotated[
        bool, typer.Option("--attribute", help="Find what each moved number owes to what, by swapping (minutes).")
    ] = False,
    as_json: AsJson = False,
    log_format: Logged = LogFormat.text,
) -> None:
    """Say what moved from one run to another, and why."""
    with _told_plainly():
        from anime_growth import digest

        told = digest.make(*_two(before, after))
        if attribute and told.exit_code:
            from anime_growth import attribution

            told = told.with_attribution(attribution.attribute(*_two(before, after), on_swap=_swapped))
        _tell(json.dumps(told.as_data(), indent=1, ensure_ascii=False) if as_json else told.as_markdown())
        if told.exit_code and not as_json:
            more = f"`anime-growth diff {before} {after} --attribute` says how much each move owes to what (minutes)."
            right = "where that is as it should be, `anime-growth verify latest`, then `anime-growth publish`."
            _next(right if attribute else more)
        raise typer.Exit(told.exit_code if exit_code else 0)


def _swapped(name: str) -> None:
    log.info("running with %s swapped", name, extra={"event": WITHOUT_BAR, "factor": name})


def _two(before: str, after: str) -> tuple[Path, Path]:
    from anime_growth import records

    return records.find(before), records.find(after)


@app.command(
    epilog=_examples(
        "trace market.overseas.growth.2024",
        "trace claim.anime_overtakes_autos.C43",
        "trace market.overseas.growth.2024 --run latest --json",
    )
)
def trace(
    key: Annotated[
        str,
        typer.Argument(
            help="A quantity's key, such as market.overseas.growth.2024, or claim.<article>.<id>.",
            autocompletion=completion.keys,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Plain data for machines instead of a tree.")] = False,
    run: Annotated[str, typer.Option("--run", metavar="RUN", help=A_RUN, autocompletion=completion.runs)] = "published",
) -> None:
    """Show what a number or a verdict rests on, down to raw cells.

    Each cell is shown with what it prints, its file's hash and its source.
    """
    from anime_growth import records
    from anime_growth.trace import Record

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these letters shows others

    with _told_plainly():
        # Results without their record can be traced as well.
        is_folder = os.path.isfile(Path(run) / "quantities.json")
        folder = paths.published() if run == "published" else Path(run) if is_folder else records.find(run)
        record = Record.read(folder)
        if as_json:
            _tell(json.dumps(record.as_data(key), indent=1, ensure_ascii=False))
        else:
            _console().print(record.tree(key))


# --- changing ---------------------------------------------------------------------------------------
@app.command(epilog=_examples("publish", "publish 20260101T000000Z"))
def publish(
    folder: Annotated[
        str,
        typer.Argument(help="A verified run: latest, a run id, or its folder.", autocompletion=completion.runs),
    ] = "latest",
    wait: Wait = 0,
    log_format: Logged = LogFormat.text,
) -> None:
    """Make a verified run the reference that is committed.

    It replaces the published results, the notebooks' outputs, and what README, CHANGELOG and data/README tell of
    them. `anime-growth verify latest` makes a verified run of the latest one, whose parameters must be the defaults.
    Where the figures or the code behind the texts have changed, every slip that a typist could make is tried, which
    takes a minute.
    """
    with _told_plainly():
        from anime_growth import publish as publishing
        from anime_growth import records

        chosen = records.find(folder)
        with progress.of_slips() as tell:
            publishing.publish(chosen, wait, tell)
        _tell(f"Published {paths.shown(chosen)}; look at `git diff` before you commit")
        _next("where CHANGELOG.md has a drafted entry, say in it why numbers moved; then commit.")


@app.command(epilog=_examples("package data/raw/aja/2026 --accessed 2026-10-30 > draft.json"))
def package(
    folder: Annotated[
        Path,
        typer.Argument(help="A new edition's folder, such as data/raw/aja/2026.", autocompletion=completion.editions),
    ],
    accessed: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The day on which the source was read.")] = "",
) -> None:
    """Print a draft datapackage.json for a new edition's CSV files.

    Columns, units and terms are those of the edition before; hashes and sizes are measured. CONTRIBUTING.md shows
    where it goes.
    """
    with _told_plainly():
        from anime_growth import sources

        _tell(json.dumps(sources.describe(folder, accessed), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    app()
