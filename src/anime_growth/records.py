"""What is known of each run: run.json, the list of runs, and the keys by which a step is known again.

A run folder is `<run-id>` once it is finished, `working-<run-id>` before and `failed-<run-id>` if it
never was. run.json is there from the start, so that even a killed run says what it was.
"""

import ast
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_growth import disk, paths
from anime_growth.errors import InputError
from anime_growth.steps import STEPS, StepSpec

if TYPE_CHECKING:
    from anime_growth.parameters import Parameters

RUN_ID = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
# What a folder's name says before the run's id, and the exit class that goes with it.
STATES = {"": "done", "working-": "running", "failed-": "failed"}
SOURCE = Path(__file__).parent


# --- one run ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Run:
    """One run on this machine: its folder and what its record says."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        """The run's name, without what its folder's name says of its state."""
        return id_of(self.folder)

    @property
    def exit_class(self) -> str:
        """done, failed, refused, deadline, stopped, killed or running."""
        said = str(self.record.get("exit_class", "unknown"))
        # On a full disk the record of a failed run may be the one that it began with.
        return "failed" if said == "running" and self.folder.name.startswith("failed-") else said

    @property
    def seconds(self) -> float | None:
        """How long it took; none for a run that did not end."""
        try:
            began, ended = (datetime.fromisoformat(self.record[name]) for name in ("started", "ended"))
        except (KeyError, TypeError, ValueError):
            return None
        return (ended - began).total_seconds()

    def has(self, values: Mapping[str, Any]) -> bool:
        """Whether it was made with these parameters."""
        known = self.record.get("parameters", {})
        return all(name in known and str(known[name]) == str(value) for name, value in values.items())


def id_of(folder: Path) -> str:
    """The run id in a folder's name; empty for other folders."""
    found = RUN_ID.search(folder.name)
    return found[0] if found and folder.name.removesuffix(found[0]) in STATES else ""


def all_runs(folder_of_runs: Path | None = None) -> list[Run]:
    """Every run on this machine, or in another folder, the newest first; a damaged record is shown as unknown.

    Raises InputError where something else stands in the place of the folder.
    """
    found = []
    where = folder_of_runs or paths.runs()
    disk.refuse_no_folder(where)
    for folder in where.glob("*") if where.is_dir() else ():
        if folder.is_dir() and not folder.is_symlink() and id_of(folder):
            try:
                found.append(Run(folder, read(folder)))
            except InputError:
                found.append(Run(folder, {}))
    return sorted(found, key=lambda run: _by_time(run.run_id), reverse=True)


def _by_time(run_id: str) -> tuple[str, int]:
    stem, _, number = run_id.partition("-")
    return stem, int(number or 1)


def read(folder: Path) -> dict[str, Any]:
    """The record of a run folder or of the published results; raises InputError where it is damaged."""
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        _ = {**record["parameters"], **record["raw_files"], **record.get("steps", {})}
    except FileNotFoundError as problem:
        raise InputError(paths.shown(folder), "has no run.json, so it is no run", _NAME_A_RUN) from problem
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(paths.shown(path), "is damaged", "Run again: `make run`") from problem
    return dict(record)


_NAME_A_RUN = "Name a run as `anime-growth runs` lists it, latest, or published"


def find(name: str | Path) -> Path:
    """The folder of `published`, `latest`, a run id, or a path; raises InputError where there is none."""
    named = {"published": paths.published(), "latest": paths.runs() / "latest"}
    text = str(name)
    candidates = [named[text]] if text in named else [paths.runs() / text, paths.runs() / f"failed-{text}", Path(text)]
    for folder in candidates:
        if os.path.isfile(folder / "run.json"):  # which a name that is too long for the system is not
            return folder.resolve()
    made = "Run `make run` first" if text == "latest" else _NAME_A_RUN
    raise InputError(f"run {text}", "is not there", made)


def latest() -> Path:
    """Where the link `latest` leads; that need not be a run, since links may lead nowhere or in a circle."""
    return Path(os.path.realpath(paths.runs() / "latest"))


def refuse_other_latest() -> None:
    """Raise InputError where something else than a link is called `latest`."""
    link = paths.runs() / "latest"
    if link.exists() and not link.is_symlink():
        raise InputError(paths.shown(link), "is no link, and a run would have to replace it", "Move it away")


def point_latest(finished: Path) -> None:
    """Move the link `latest` in one step, so that it never points nowhere."""
    refuse_other_latest()
    fresh = finished.parent / f".latest-{finished.name}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(finished.name)
    fresh.replace(finished.parent / "latest")
    disk.settle_names(finished.parent)


# --- the record -------------------------------------------------------------------------------------
def surroundings(chosen: "Parameters") -> dict[str, Any]:
    """All that a run's results rest on, as it is now: where it is the same, so are they."""
    return {
        "parameters": chosen.model_dump(),
        "git": git(),
        "lock": file_hash(paths.home() / "uv.lock"),
        "python": platform.python_version(),
        "environment": _text_hash("\n".join(sorted(path.name for path in _installed()))),
        "reads": {path.relative_to(paths.home()).as_posix(): file_hash(path) for path in _all_read()},
        "code": code(),
    }


def begin(run_id: str, started: datetime, chosen: "Parameters", edition: int) -> dict[str, Any]:
    """The record of a run that starts: parameters, code, packages, platform and raw files as they are now."""
    from anime_growth import sources

    return {
        "run_id": run_id,
        "started": started.isoformat(timespec="seconds"),
        "ended": "",
        "exit_class": "running",
        "problem": "",
        "edition": edition,
        **surroundings(chosen),
        "platform": platform.platform(),
        "packages": packages(),
        "raw_files": {file.reference: file.resource.hash for file in sources.raw_files()},
        "steps": {},
        "at_work": [],
        "artefacts": {},
    }


def write(record: Mapping[str, Any], folder: Path) -> None:
    """Save run.json in one step, so that a reader never meets half of it."""
    fresh = folder / "run.json.part"
    fresh.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, folder / "run.json")


def now() -> str:
    """This moment as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def artefacts(folder: Path) -> dict[str, str]:
    """Hashes of all files of a run but its record and its log."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: file_hash(path) for name, path in named.items() if name not in ("run.json", "run.log")}


def changed_since(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Files of a finished run that are not as its record says: changed, missing or added by hand."""
    recorded, found = record.get("artefacts", {}), artefacts(folder)
    return sorted(name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name))


def packages() -> dict[str, str]:
    """Every installed package, by its normalized name, with its version."""
    told = (folder.stem.split("-", 1) for folder in _installed())
    return dict(sorted((re.sub("[-_.]+", "-", name).lower(), version) for name, version in told))


def _installed() -> Iterator[Path]:
    """The folders in which installed packages say what they are, named by them and their versions."""
    for folder in filter(os.path.isdir, sys.path):
        yield from Path(folder).glob("*.dist-info")


def git() -> dict[str, Any]:
    """Commit, and whether files differ from it; empty outside a clone."""
    if not shutil.which("git"):
        return {}
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))} if commit else {}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=paths.home(), capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def file_hash(path: Path) -> str:
    """sha256 of a file's content; empty for one that is not there."""
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _text_hash(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# --- step keys --------------------------------------------------------------------------------------
def code() -> dict[str, str]:
    """Hashes of the package's files and of what is written in the notebooks."""
    package = {f"src/{SOURCE.name}/{path.relative_to(SOURCE).as_posix()}": file_hash(path) for path in _package_files()}
    notebooks = (paths.notebooks() / f"{name}.ipynb" for name in STEPS)
    return {**package, **{f"notebooks/{path.name}": notebook_hash(path) for path in notebooks}}


def _package_files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def notebook_hash(path: Path) -> str:
    """Hash of all that a hand writes in a notebook: code, text and tags, but no outputs. Empty for no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        written = [(cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return _text_hash(json.dumps(written))


def notebook_code(path: Path) -> str:
    """The code cells of a notebook, one after the other; empty where there is no such notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def step_key(spec: StepSpec, own: Mapping[str, Any], made: Mapping[str, str], record: Mapping[str, Any]) -> str:
    """What the result of a step depends on, in one hash.

    What is written in its notebook, the package code that it can reach, the step's own parameters, the hashes
    `made` of the files it takes from earlier steps, what else it reads or shows (StepSpec.reads, shows_commits),
    and the environment with its lock.
    """
    needed = {name for need in spec.needs for name in STEPS[need].promises}
    notebook = paths.notebooks() / f"{spec.name}.ipynb"
    files = reached(notebook_code(notebook))
    rests_on = {
        "notebook": notebook_hash(notebook),
        "package": {path.relative_to(SOURCE).as_posix(): file_hash(path) for path in files},
        "parameters": dict(own),
        "inputs": {name: made[name] for name in sorted(needed & made.keys())},
        "reads": {path.relative_to(paths.home()).as_posix(): file_hash(path) for path in _files(spec.reads)},
        "commits": _commits(files) if spec.shows_commits else {},
        **{name: record.get(name) for name in ("lock", "python", "environment")},
    }
    return _text_hash(json.dumps(rests_on, sort_keys=True))


def _commits(files: Iterable[Path]) -> dict[str, str]:
    from anime_growth import trace

    modules = {_module(path) for path in files if path.suffix == ".py"}
    return {module: commit for module, commit in trace.commits(SOURCE).items() if module in modules}


def _all_read() -> Iterator[Path]:
    """Everything that any step reads beside the files of other steps."""
    return _files(sorted({name for spec in STEPS.values() for name in spec.reads}))


def _files(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = paths.home() / name
        yield from sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else (path,)


def reached(source: str) -> list[Path]:
    """Files of the package that Python `source` can reach: modules by imports, other files by their names."""
    files = {path: path.read_text(encoding="utf-8") for path in _package_files()}
    modules = {_module(path): path for path in files if path.suffix == ".py"}
    others = [path for path in files if path.suffix != ".py"]
    found: set[Path] = set()
    try:
        waiting = [modules[name] for name in _imports(source) & modules.keys()]
    except SyntaxError:  # a magic, say: it may reach anything
        waiting = list(modules.values())
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            imported = _imports(files[path], _module(path), path.name == "__init__.py")
            waiting += [modules[name] for name in imported & modules.keys()]
        waiting += [other for other in others if other.name in files[path]]
    return sorted(found)


def _module(path: Path) -> str:
    parts = (SOURCE.name, *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


@cache
def _imports(source: str, module: str = "", is_package: bool = False) -> frozenset[str]:
    """Names that may be modules and are imported when `source` runs; not what only type checkers see."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = [ast.Pass()]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = module.split(".") if module else []
            above = home[: len(home) - node.level + is_package]
            source_of = ".".join([*(above if node.level else []), *([node.module] if node.module else [])])
            names |= {source_of, *(f"{source_of}.{alias.name}" for alias in node.names)}
    # Importing a module imports the packages that it lies in.
    return frozenset(".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2))
