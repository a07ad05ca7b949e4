"""One notebook executed by papermill, with a guard for each way in which papermill can be quietly wrong."""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anime_growth import disk, paths, processes, records
from anime_growth import engine as forking
from anime_growth.errors import InputError, StepFailed
from anime_growth.steps import StepSpec

LONGEST = 1000  # letters of what a cell said; all of it stands in the notebook
NO_STARTUP = ("--InteractiveShellApp.exec_PYTHONSTARTUP=False", "--HistoryManager.enabled=False")


def refuse_unfit(notebook: Path) -> None:
    """Raise InputError for a notebook that cannot be read or has not exactly one cell tagged `parameters`.

    With two such cells papermill injects after the first and the second wins; with none it injects on
    top and the notebook's own values win. Both would run with values nobody asked for.
    """
    import json

    where = paths.shown(notebook)
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        cells, made_as = content["cells"], content["nbformat"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    except FileNotFoundError as problem:
        raise InputError(where, "is missing", "Restore it with `git checkout`") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(where, "is no notebook", "Restore it with `git checkout`") from problem
    if made_as != 4:
        raise InputError(where, f"is of notebook format {made_as}", "Save it in format 4, as JupyterLab does")
    if len(tagged) != 1:
        raise InputError(where, f"has {len(tagged)} cells tagged parameters", "Tag exactly one, the first code cell")


def load(spec: StepSpec, engine: str) -> None:
    """Import what executes a step's notebook, and what it imports itself, so that processes forked for it need not."""
    with processes.kept():
        with forking.hidden(*forking.UNUSED):
            import papermill  # noqa: F401
        import nbformat

        nbformat.validate(nbformat.v4.new_notebook())  # which makes a program of the schema of notebooks
        if engine == forking.NAME and processes.CAN_FORK:
            forking.warm([records.notebook_code(paths.notebooks() / f"{spec.name}.ipynb")])


def execute(spec: StepSpec, values: Mapping[str, Any], folder: Path, engine: str) -> None:
    """Execute one notebook into `folder`/notebooks and check that it left all it promised.

    `values` are injected as parameters; none where a run has defaults, so that it shows the notebook as
    it is committed. `engine` is papermill's name for what executes it. Raises InputError for what a cell
    refused, StepFailed for anything else.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from nbformat.reader import NotJSONError
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError
    from papermill.iorw import LocalHandler, papermill_io
    from traitlets.config import Config

    class Whole(LocalHandler):
        """papermill writes over its last copy after every cell; here a reader never meets half a file."""

        def write(self, buf: str, path: str) -> None:
            super().write(buf, f"{path}.part")
            os.replace(f"{path}.part", path)

    papermill_io.register("/", Whole())
    papermill_engines.register(forking.NAME, forking.ForkedEngine)  # whatever is installed
    target = place(spec, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="kernel-", dir=folder, ignore_cleanup_errors=True) as own:
            papermill.execute_notebook(
                paths.notebooks() / f"{spec.name}.ipynb",
                target,
                parameters=dict(values),
                engine_name=engine if engine == forking.NAME else None,
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                cwd=str(folder),
                # A kernel that is told to stop may say so on stderr; what matters reaches the notebook.
                # Nobody's own start-up files take part: a run is the same whoever starts it.
                extra_arguments=["--log-level=CRITICAL", f"--ipython-dir={own}", *NO_STARTUP],
                # Sockets in the file system, which no other user of the machine can listen to; named from the
                # folder where notebooks work, since the system takes short names only.
                config=Config({"KernelManager": {"transport": "ipc", "ip": f"{Path(own).name}/ipc"}}),
            )
    except PapermillExecutionError as problem:
        if problem.ename == InputError.__name__:
            raise InputError(_plain(problem.evalue)) from problem
        said = f"{problem.ename}: {_plain(problem.evalue)}".removesuffix(": ")
        raise StepFailed(f"{spec.name}, cell {problem.cell_index + 1}: {said.rstrip('.')}") from problem
    except (RuntimeError, TimeoutError, ConnectionError, NotJSONError, nbformat.ValidationError) as problem:
        disk.refuse_full(folder)  # of which a kernel that could not begin says nothing
        said = _plain(str(problem)).rstrip(".")
        if isinstance(problem, DeadKernelError):
            said = "its kernel was killed or crashed (the machine may be out of memory)"
        raise StepFailed(f"{spec.name}{in_cell(target)}: {said}") from problem
    refuse_unfinished(spec, folder)


def place(spec: StepSpec, folder: Path) -> Path:
    """Where a run keeps the executed notebook of a step."""
    return folder / "notebooks" / f"{spec.name}.ipynb"


def refuse_unfinished(spec: StepSpec, folder: Path) -> None:
    """Raise StepFailed unless the end sentinel and every promised file are there, and not empty.

    A notebook may stop early without an error, by sys.exit for one, which papermill takes for success.
    """
    if not _has_content(folder / "steps" / f"{spec.name}.json"):
        at = in_cell(place(spec, folder))
        raise StepFailed(f"{spec.name}{at}: stopped without an error, and before its last cell")
    missing = [name for name in spec.promises if not _has_content(folder / name)]
    if missing:
        raise StepFailed(f"{spec.name} did not leave {missing[0]}")


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def in_cell(notebook: Path) -> str:
    """The cell that was at work when the notebook was last saved, in words; empty where none had begun."""
    import json

    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        begun = [number for number, cell in enumerate(cells, 1) if _has_begun(cell)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f", cell {begun[-1]}" if begun else ""


def _has_begun(cell: Mapping[str, Any]) -> bool:
    """Whether papermill came to a cell. (Its status does not tell: once a kernel has died, all are "completed".)"""
    return bool(cell["metadata"].get("papermill", {}).get("start_time"))


def mark_unfinished(notebook: Path, problem: str) -> None:
    """Say in a saved notebook where it ended, at its end why, and take back what papermill says else.

    (At the end, so that cells keep their numbers.)
    """
    import nbformat

    try:
        saved = nbformat.read(notebook, as_version=4)
    except Exception:  # whatever is left is kept as it is
        return
    for cell in saved.cells:
        if not _has_begun(cell):
            cell.metadata.setdefault("papermill", {})["status"] = "pending"
    for cell in [cell for cell in saved.cells if _has_begun(cell)][-1:]:
        cell.metadata["papermill"]["status"] = "failed"
    note = nbformat.v4.new_markdown_cell(f"**This notebook did not reach its end.** {problem}")
    note.metadata["tags"] = ["unfinished"]
    saved.cells.append(note)
    saved.metadata.setdefault("papermill", {})["exception"] = True
    nbformat.write(saved, f"{notebook}.part")
    os.replace(f"{notebook}.part", notebook)


def _plain(text: str) -> str:
    """Text without the colours of a traceback, in one line that can still be read."""
    line = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
