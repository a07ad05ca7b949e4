"""Running the chain: papermill executes the notebooks in order into one run folder.

A run works in a private folder and appears under runs/<run-id>/ by one rename when every step has
left its sentinel and everything it promised. What fails is kept under runs/failed-<run-id>/ for
reading and touches nothing else.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_growth import clean, codebook, ledger, parameters, paths, rules, sources
from anime_growth.errors import InputError, StepFailed
from anime_growth.pipeline import STEPS, StepSpec

if TYPE_CHECKING:
    import pandas as pd

# A cell that takes longer than this hangs; the whole chain takes seconds.
CELL_DEADLINE_SECONDS = 300
NOTHING: Callable[[str], None] = lambda _: None  # noqa: E731


def run(values: Mapping[str, Any], on_step: Callable[[str], None] = NOTHING) -> Path:
    """Execute all steps with `values` and return the finished run folder.

    `on_step` is told each step's name before it starts. Raises InputError (bad parameters or
    input, nothing was kept) or StepFailed (the run is kept as failed).
    """
    chosen = parameters.check(values)
    clean.choose_edition(clean.clean_aja_market_editions(sources.read("aja_market_editions")), chosen.edition)
    _refuse_unknown_series(chosen.series)
    rules.articles(chosen.articles)
    started = datetime.now(UTC)
    paths.runs().mkdir(parents=True, exist_ok=True)
    latest = paths.runs() / "latest"
    if latest.exists() and not latest.is_symlink():
        raise InputError(paths.shown(latest), "is no link, and a run would have to replace it", "Move it away")
    run_id = _free_id(started)
    work = paths.runs() / f"working-{run_id}"
    (work / "notebooks").mkdir(parents=True)
    seconds: dict[str, float] = {}
    try:
        with _environment(paths.RUN_VARIABLE, str(work)):
            for spec in STEPS.values():
                on_step(spec.name)
                begun = time.monotonic()
                execute(spec, {name: values[name] for name in spec.parameters if name in values}, work)
                seconds[spec.name] = round(time.monotonic() - begun, 3)
        write_record(work, run_id, started, chosen, seconds)
    except InputError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    except BaseException as problem:
        failed = paths.runs() / f"failed-{run_id}"
        for socket in work.glob("kernel-ipc-*"):
            socket.unlink()
        work.rename(failed)
        if isinstance(problem, StepFailed):
            raise StepFailed(str(problem).replace(work.name, failed.name)) from problem
        if isinstance(problem, KeyboardInterrupt):
            raise StepFailed(f"stopped from outside. What was done is kept in {paths.shown(failed)}.") from problem
        raise
    for socket in work.glob("kernel-ipc-*"):
        socket.unlink()
    finished = paths.runs() / run_id
    work.rename(finished)
    _point_latest(finished)
    return finished


def _refuse_unknown_series(name: str) -> None:
    """Raise InputError for a series that no table holds, before anything is run."""
    if name == parameters.Parameters().series:
        return
    names = clean.series_names(clean.clean_all())
    if name not in names:
        raise InputError("parameter series", f"{name!r} is not at hand", f"Choose one of {', '.join(names)}")


def execute(spec: StepSpec, values: Mapping[str, Any], folder: Path) -> None:
    """Execute one notebook into `folder`/notebooks with papermill and check what it left.

    Only parameters that were given are injected, so that a run with defaults shows the notebook
    as it is committed.
    """
    import nbformat
    import papermill
    from nbformat.reader import NotJSONError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    target = folder / "notebooks" / f"{spec.name}.ipynb"
    try:
        papermill.execute_notebook(
            paths.notebooks() / f"{spec.name}.ipynb",
            target,
            parameters=dict(values),
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            cwd=str(folder),
            execution_timeout=CELL_DEADLINE_SECONDS,
            # A kernel that is told to stop may say so on stderr; what matters reaches the notebook.
            extra_arguments=["--log-level=CRITICAL"],
            # Sockets in the file system, which no other user of the machine can listen to.
            config=Config({"KernelManager": {"transport": "ipc"}}),
        )
    except PapermillExecutionError as problem:
        if problem.ename == InputError.__name__:
            raise _as_input_error(problem.evalue) from problem
        raise StepFailed(
            f"{spec.name}, cell {problem.cell_index + 1}: {problem.ename}: {_plain(problem.evalue)}. "
            f"Read {paths.shown(target)}."
        ) from problem
    except (RuntimeError, TimeoutError, NotJSONError, nbformat.ValidationError) as problem:
        raise StepFailed(f"{spec.name}: {_plain(str(problem))}. Read {paths.shown(target)}.") from problem
    _refuse_unfinished(spec, folder, target)


def _as_input_error(message: str) -> InputError:
    """The InputError that a kernel printed, with its three parts joined already."""

    class _Said(InputError):
        def __str__(self) -> str:
            return _plain(message)

    return _Said("", message, "")


def _plain(text: str) -> str:
    """Text without the colours of a traceback, in one line."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def _refuse_unfinished(spec: StepSpec, folder: Path, notebook: Path) -> None:
    """A notebook may stop early without an error, by sys.exit for one: ask for its sentinel."""
    sentinel = folder / "steps" / f"{spec.name}.json"
    missing = [name for name in spec.promises if not (folder / name).exists()]
    if missing or not sentinel.exists():
        what = f"did not write {missing[0]}" if missing else "stopped before its last cell"
        raise StepFailed(f"{spec.name} {what}. Read {paths.shown(notebook)}.")


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _free_id(started: datetime) -> str:
    stem = f"{started:%Y%m%dT%H%M%SZ}"
    taken = {path.name.removeprefix("failed-").removeprefix("working-") for path in paths.runs().iterdir()}
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if name not in taken)


def _point_latest(finished: Path) -> None:
    """Move the link `latest` in one step, so that it never points nowhere."""
    fresh = finished.parent / f".latest-{finished.name}"
    fresh.symlink_to(finished.name)
    fresh.replace(finished.parent / "latest")


def write_record(
    folder: Path, run_id: str, started: datetime, chosen: parameters.Parameters, seconds: Mapping[str, float]
) -> None:
    """Save run.json: parameters, code, packages, platform, raw hashes and how long each step took."""
    record = {
        "run_id": run_id,
        "started": started.isoformat(timespec="seconds"),
        "parameters": chosen.model_dump(),
        "git": _git(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _packages(),
        "raw_files": {file.reference: file.resource.hash for file in sources.raw_files()},
        "seconds": dict(seconds),
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _packages() -> dict[str, str]:
    """Versions of the libraries that the study names as its own."""
    names = sorted(re.split(r"[\s<>=!~;\[]", wanted)[0] for wanted in requires("anime-growth") or [])
    return {name: version(name) for name in names}


def _git() -> dict[str, Any]:
    """Commit and whether files differ from it; empty outside a clone."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=paths.home(), capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain"], cwd=paths.home(), capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit, "dirty": bool(changed)}


# --- publishing -----------------------------------------------------------------------------------
PUBLISHED = ("tables", "figures", "quantities.json", "verdicts.csv", "narrative.md", "run.json")
# What the README shows of a run, each between marks of its name.
README_SECTIONS = ("finding", "limits")


def _section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->)(\s*).*?(\s*<!-- /{name} -->)", re.DOTALL)


def _shown_between(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{marks[2]}{text}{marks[3]}"


def publish(folder: Path) -> None:
    """Make `folder`, a finished run with default parameters, the committed reference.

    Replaces data/processed/published/ by one rename, then the outputs of the committed notebooks, the
    finding and limits in the README and the codebook in data/README.md.
    """
    refuse_unfit(folder)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if record["parameters"] != parameters.Parameters().model_dump():
        raise InputError(
            f"run {folder.name}", "was made with other than default parameters", "Publish a run of plain `make run`"
        )
    book = _with_forecasts(folder, record)
    fresh = paths.published().with_name("published-new")
    old = paths.published().with_name("published-old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in PUBLISHED:
        source = folder / name
        if source.is_dir():
            shutil.copytree(source, fresh / name)
        else:
            shutil.copyfile(source, fresh / name)
    _without_machine(fresh / "run.json")
    book.to_csv(fresh / ledger.path().name, index=False, lineterminator="\n")
    figures = _figures_readme()
    described = codebook.with_section(figures.read_text(encoding="utf-8"), fresh)
    if paths.published().exists():
        paths.published().rename(old)
    fresh.rename(paths.published())
    shutil.rmtree(old, ignore_errors=True)
    for name in STEPS:
        write_committed(folder / "notebooks" / f"{name}.ipynb", paths.notebooks() / f"{name}.ipynb")
    readme = paths.home() / "README.md"
    told = readme.read_text(encoding="utf-8")
    for name in README_SECTIONS:
        text = (folder / f"{name}.md").read_text(encoding="utf-8").strip()
        told = _section(name).sub(partial(_shown_between, text), told)
    readme.write_text(told, encoding="utf-8")
    figures.write_text(described, encoding="utf-8")


def _figures_readme() -> Path:
    """The document on the figures, which shows the codebook."""
    return paths.home() / "data" / "README.md"


def _with_forecasts(folder: Path, record: Mapping[str, Any]) -> "pd.DataFrame":
    """The published ledger with this run's projections added, where they say something new."""
    import pandas as pd

    made = pd.read_csv(folder / "tables" / "projections.csv")
    edition = str(pd.read_csv(folder / "tables" / "market.csv")["edition"].iloc[0])
    fresh = ledger.entries(made, record["started"][:10], edition)
    return ledger.appended(ledger.read(), fresh)


def refuse_unfit(folder: Path) -> None:
    """Raise InputError unless `folder` is a whole run of the raw figures and README that are here."""
    where = f"run {folder.name}"
    wanted = [name for spec in STEPS.values() for name in (*spec.promises, f"notebooks/{spec.name}.ipynb")]
    missing = [name for name in ("run.json", *wanted) if not (folder / name).exists()]
    if missing:
        raise InputError(where, f"lacks {missing[0]}", "Publish a whole run: `make run`")
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        made_from, _, _ = record["raw_files"], record["parameters"], record["started"]
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{where}, run.json", "is damaged", "Publish a whole run: `make run`") from problem
    if made_from != {file.reference: file.resource.hash for file in sources.raw_files()}:
        raise InputError(where, "was made from other raw figures than those here", "Run again: `make run`")
    readme = (paths.home() / "README.md").read_text(encoding="utf-8")
    for name in README_SECTIONS:
        if not _section(name).search(readme):
            raise InputError("README.md", f"has no marks around the {name}", f"Put back <!-- {name} --> and its end")
    codebook.refuse_without_section(_figures_readme())


def _without_machine(path: Path) -> None:
    """Leave out of the committed record what differs from run to run of the same study."""
    record = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: record[key] for key in ("parameters", "python", "packages", "raw_files")}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def write_committed(executed: Path, target: Path) -> None:
    """An executed notebook as it is committed: without papermill's clocks and paths."""
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    nbformat.validate(notebook)
    target.write_text(nbformat.writes(notebook, indent=1) + "\n", encoding="utf-8")
