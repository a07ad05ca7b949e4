"""What part of a moved quantity comes from new data, restated data, parameters, code or the environment.

From the older state one factor at a time is set to what it is in the newer one, and the chain is run again:

    part of a factor = quantity of the older state with that factor from the newer one - older quantity
    interaction      = whole change - sum of the parts

States are rebuilt in a temporary folder, from the commits that the records name or from the working tree,
whichever holds files with the recorded hashes; nothing else is touched, and everything is removed again.

Judgements made here, and why
-----------------------------
- A row of a newer edition that repeats an older figure belongs to neither kind of data: without it the
  edition would have gaps, and restated figures would stand alone. The register of sources likewise: a
  restated figure may rest on a new source.
- Where a newer edition prints another figure for a year, "new data" has the row with the older figure and
  "restated data" has it as printed, so that both know the edition.
- The ledger of forecasts grows with each publication; what it has more is new data.
"""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from anime_growth import compare, digest, paths, records, sources, words
from anime_growth.compare import Difference
from anime_growth.digest import Key, Row, RowChange
from anime_growth.quantities import Quantities

NEW, RESTATED, DATA, PARAMETERS, CODE = "new data", "restated data", "data", "parameters", "code"
ENVIRONMENT, INTERACTION = "environment", "interaction"
# Why a part has no value.
NOT_THERE, REFUSED, NOT_KNOWN = "not there", "did not run", "not known"
# Files or packages that are named.
MOST_NAMED = 5
# A difference that should be nought, relative to its terms.
ROUNDING = 1e-12
# Runs at the same time; each uses about one core.
AT_ONCE = 2
# How long a run that is told to stop may take to end its notebooks.
STOP_SECONDS = 10
REGISTER = "sources"
# Where the parts of a study lie in its top folder.
RAW, RUNS, LEDGER = Path("data/raw"), Path("data/processed/runs"), Path("data/processed/published/forecasts.csv")
LOCK, PROJECT, CODE_FOLDERS, RULES = Path("uv.lock"), Path("pyproject.toml"), ("src", "notebooks"), "rules.yml"

Values = Mapping[str, float]
Told = Callable[[str], None]
NOTHING: Told = lambda _: None  # noqa: E731


class Refused(Exception):
    """The chain does not run with one factor swapped; the message is its own."""


# --- arithmetic -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Factor:
    """Something that differs between the two states, with what differs in words."""

    name: str
    what: str


@dataclass(frozen=True)
class Part:
    """What a factor adds to a quantity, in its unit, and in % of the whole change; or why that is not known."""

    factor: str
    value: float | None
    whole: float
    why: str = ""

    @property
    def share(self) -> float | None:
        """In % of the whole change; none where nothing changed."""
        return None if self.value is None or not self.whole else self.value / self.whole * 100

    def as_data(self) -> dict[str, Any]:
        """Plain data."""
        return {"factor": self.factor, "part": self.value, "share": self.share, "why": self.why}


@dataclass(frozen=True)
class Explained:
    """A quantity with its parts, in the order of the factors, and what they leave."""

    key: str
    label: str
    unit: str
    before: float
    after: float
    parts: tuple[Part, ...]
    rest: Part


def split(before: float, after: float, swapped: Mapping[str, float | str], rest: str) -> tuple[tuple[Part, ...], Part]:
    """The parts of a change and what they leave, called `rest`, from the value with each factor swapped.

    In place of a value may stand why there is none.

    >>> parts, left = split(10, 16, {"code": 12, "parameters": 13}, "interaction")
    >>> [(part.factor, part.value) for part in (*parts, left)]
    [('code', 2), ('parameters', 3), ('interaction', 1)]
    """
    change, rounding = after - before, ROUNDING * max(abs(before), abs(after))

    def part(name: str, value: float) -> Part:
        return Part(name, 0.0 if abs(value) <= rounding else value, change)

    parts = tuple(
        Part(name, None, change, value) if isinstance(value, str) else part(name, value - before)
        for name, value in swapped.items()
    )
    known = [one.value for one in parts if one.value is not None]
    return parts, part(rest, change - sum(known)) if len(known) == len(parts) else Part(rest, None, change, NOT_KNOWN)


@dataclass(frozen=True)
class Plan:
    """What differs between two states: what can be swapped, what cannot, and in `notes` why not."""

    factors: tuple[Factor, ...] = ()
    unswapped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attribution:
    """The parts of every quantity asked for. `rest` names what the parts leave; `notes` say what was not possible."""

    factors: tuple[Factor, ...]
    rest: str
    notes: tuple[str, ...]
    quantities: tuple[Explained, ...]

    def as_data(self) -> dict[str, Any]:
        """Plain data, as the digest's template and JSON show it."""
        return {
            "factors": [{"name": one.name, "what": one.what} for one in self.factors],
            "rest": self.rest,
            "notes": list(self.notes),
            "quantities": [
                {
                    "key": one.key,
                    "label": one.label,
                    "unit": one.unit,
                    "before": one.before,
                    "after": one.after,
                    "change": one.after - one.before,
                    "parts": [part.as_data() for part in one.parts],
                    "rest": one.rest.as_data(),
                }
                for one in self.quantities
            ],
        }


def explain(
    before: Quantities, after: Quantities, keys: Iterable[str], plan: Plan, execute: Callable[[str], Values]
) -> Attribution:
    """The parts of the quantities `keys`; `execute(factor)` gives all values of the older state with it swapped.

    What is not swapped is left with the interaction. Where one factor is all that differs nothing is run.
    """
    rest = " and ".join([INTERACTION, *(f"{name}, not separable" for name in plan.unswapped)])
    notes = list(plan.notes)
    factors = plan.factors
    outcomes: Mapping[str, Values | Refused]
    if len(factors) == 1 and not plan.unswapped:
        outcomes = {factors[0].name: after.values_by_key()}
        notes.append(f"Nothing but {factors[0].name} differs, which is then the whole change")
    else:
        factors, outcomes = _swapped(factors, execute)
    if not factors and not notes:
        notes.append("Nothing that was recorded differs: the same chain gave other numbers")
    for name, outcome in outcomes.items():
        if isinstance(outcome, Refused):
            notes.append(f"The chain does not run with {name} alone: {outcome}")
    explained = []
    for key in keys:
        values = {
            name: REFUSED if isinstance(outcome, Refused) else outcome.get(key, NOT_THERE)
            for name, outcome in outcomes.items()
        }
        old, new = before[key], after[key]
        parts, left = split(old.value, new.value, values, rest)
        explained.append(Explained(key, new.label, new.unit, old.value, new.value, parts, left))
    return Attribution(factors, rest, tuple(notes), tuple(explained))


def _swapped(
    factors: tuple[Factor, ...], execute: Callable[[str], Values]
) -> tuple[tuple[Factor, ...], dict[str, Values | Refused]]:
    """What each factor gives alone; new and restated data together where the chain refuses one of them."""
    outcomes = _outcomes([one.name for one in factors], execute)
    data = [one for one in factors if one.name in (NEW, RESTATED)]
    refused = [outcome for one in data if isinstance(outcome := outcomes[one.name], Refused)]
    if len(data) < 2 or not refused:
        return factors, outcomes
    together = Factor(DATA, f"{'; '.join(one.what for one in data)} (cannot be separated: {refused[0]})")
    others = [one for one in factors if one not in data]
    return (together, *others), {**_outcomes([DATA], execute), **{one.name: outcomes[one.name] for one in others}}


def _outcomes(names: Sequence[str], execute: Callable[[str], Values]) -> dict[str, Values | Refused]:
    """What `execute` gives for each factor, a few at a time."""

    def outcome(name: str) -> Values | Refused:
        try:
            return execute(name)
        except Refused as problem:
            return problem

    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        return dict(zip(names, pool.map(outcome, names), strict=True))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who is interrupted waits for nobody; see Workshop


# --- raw data: what is new, what is restated -------------------------------------------------------
@dataclass(frozen=True)
class RawTable:
    """A raw file: its place below data/raw, its table, key and measures, and its rows by their keys."""

    path: Path
    table: str
    header: tuple[str, ...]
    measures: tuple[str, ...]
    rows: dict[Key, Row]


def read_raw(raw: Path) -> list[RawTable]:
    """Every raw file in a folder data/raw, whichever state of the study it is."""
    found = []
    for path in sorted(raw.glob(f"**/{sources.PACKAGE}")):
        package = sources.Package.model_validate_json(path.read_text(encoding="utf-8"))
        found += [_raw_table(raw, path.parent / one.path, one.name, one.table) for one in package.resources]
    listed = {table.path for table in found}
    described = json.loads(sources.CLAIMS_TEMPLATE.read_text(encoding="utf-8"))["resources"][0]["schema"]
    for path in sorted(raw.glob(f"articles/*/*/{sources.CLAIMS}.csv")):
        if path.relative_to(raw) not in listed:
            found.append(_raw_table(raw, path, sources.CLAIMS, sources.TableSchema.model_validate(described)))
    return found


def _raw_table(raw: Path, path: Path, table: str, schema: sources.TableSchema) -> RawTable:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        header = tuple(reader.fieldnames or ())
    keyed: dict[Key, Row] = {tuple((name, row[name]) for name in schema.primary_key): row for row in rows}
    measures = tuple(column.name for column in schema.fields if column.units)
    return RawTable(path.relative_to(raw), table, header, measures, keyed)


@dataclass(frozen=True)
class Separated:
    """Two folders data/raw between two states, with what each takes over in words; empty where there is nothing."""

    new: str
    restated: str


def separate(before: Path, after: Path, new: Path, restated: Path) -> Separated:
    """Fill the folders `new` and `restated`: `after` with nothing restated, and `after` without new rows.

    All four are data/raw of some state. Rows that are gone in `after` count as restated, and so do other
    rules of an article that both have. Raises Refused where a file is gone with its rows.
    """
    ours, theirs = read_raw(before), read_raw(after)
    tables = dict.fromkeys(one.table for one in (*ours, *theirs))
    changes = {(table, one.key): one for table in tables for one in _changes(table, ours, theirs)}
    removed = {place for place, one in changes.items() if one.kind == "removed"}
    gone = {one.path: {key: row for key, row in one.rows.items() if (one.table, key) in removed} for one in ours}
    for folder in (new, restated):
        shutil.copytree(after, folder)
    for file in theirs:
        known = {key: changes[file.table, key] for key in file.rows if (file.table, key) in changes}
        old = {key: _as_before(known[key]) if key in known else row for key, row in file.rows.items()}
        _write(new, file, {**old, **gone.pop(file.path, {})})
        _write(restated, file, {key: row for key, row in file.rows.items() if not _is_new(known.get(key))})
    if lost := [path for path, rows in gone.items() if rows]:
        raise Refused(f"{lost[0].as_posix()} is gone")
    rules = [path.relative_to(before) for path in sorted(before.glob(f"articles/*/*/{RULES}"))]
    rules = [path for path in rules if records.file_hash(after / path) not in ("", records.file_hash(before / path))]
    for path in rules:
        shutil.copyfile(before / path, new / path)
    other_rules = [f"rules of {words.counted(len(rules), 'article')}"] if rules else []
    kinds = {kind: [one for one in changes.values() if one.kind == kind] for kind in ("restated", "removed")}
    return Separated(
        _counted([one for one in changes.values() if _is_new(one)], "new"),
        words.listed([*(_counted(found, kind) for kind, found in kinds.items() if found), *other_rules]),
    )


def _changes(table: str, before: Iterable[RawTable], after: Iterable[RawTable]) -> list[RowChange]:
    ours, theirs = ([one for one in files if one.table == table] for files in (before, after))
    measures = dict.fromkeys(name for one in (*ours, *theirs) for name in one.measures)
    return digest.changes(table, _all_rows(ours), _all_rows(theirs), measures)


def _all_rows(files: Iterable[RawTable]) -> dict[Key, Row]:
    return {key: row for one in files for key, row in one.rows.items()}


def _is_new(change: RowChange | None) -> bool:
    return change is not None and change.kind == "new" and change.table != REGISTER


def _as_before(change: RowChange) -> Row:
    """A row of the newer state with what it restates put back."""
    if change.kind != "restated":
        return change.after
    if change.earlier == change.key:
        return change.before
    return {**change.after, **{name: change.before[name] for name in change.measures if name in change.before}}


def _counted(changes: Sequence[RowChange], kind: str) -> str:
    """How many rows, and of which tables; empty for none."""
    tables = Counter(change.table for change in changes)
    in_each = [f"{words.counted(count, f'{kind} row')} of {table}" for table, count in tables.items()]
    return words.listed(in_each)


def _write(raw: Path, file: RawTable, rows: Mapping[Key, Row]) -> None:
    """Save the rows of a raw file and let its package promise them; a file without rows is dropped."""
    if rows == file.rows:
        return
    path = raw / file.path
    package = path.parent / sources.PACKAGE
    promised = json.loads(package.read_text(encoding="utf-8")) if package.exists() else {"resources": []}
    if rows:
        out = io.StringIO()
        writer = csv.DictWriter(out, file.header, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(dict(row) for row in rows.values())
        path.write_text(out.getvalue(), encoding="utf-8")
        measured = {"bytes": path.stat().st_size, "hash": records.file_hash(path)}
        for resource in promised["resources"]:
            resource.update(measured if resource["path"] == path.name else {})
    else:
        path.unlink()
        promised["resources"] = [one for one in promised["resources"] if one["path"] != path.name]
    if promised["resources"]:
        package.write_text(json.dumps(promised, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    elif not rows:
        shutil.rmtree(path.parent)  # the last file of its folder, which holds nothing else that is read


# --- states ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class State:
    """A state of the study to run: the folders that its parts are taken from, and its parameters.

    `code`, `data` and `lock` are laid out as the study's own top folder; `raw` stands for the raw figures
    where these are not those of `data`.
    """

    code: Path
    data: Path
    lock: Path
    parameters: Mapping[str, Any]
    raw: Path | None = None


def prepare(before: Path, after: Path, shop: "Workshop") -> tuple[Plan, dict[str, State]]:
    """What differs between the states behind two runs, and the older state with each factor swapped."""
    old, new = records.read(before), records.read(after)
    ours, theirs = _studies(old, new, shop), _studies(new, old, shop)
    code, data, lock = (ours[part] for part in (CODE, DATA, ENVIRONMENT))
    if code is None or data is None or lock is None:
        return Plan(notes=(_cannot_be_rebuilt(ours, before),)), {}
    base = State(code, data, lock, old["parameters"])
    unlike = partial(_unlike, compare.environment(old, new))
    said: dict[str, str] = {}
    swaps: dict[str, State] = {}
    if (newer := theirs[DATA]) and newer != data:
        said, swaps = _data_swaps(base, newer, shop)
    shared = {name: new["parameters"][name] for name in base.parameters if name in new["parameters"]}
    if what := unlike("parameter", only=shared):
        said[PARAMETERS], swaps[PARAMETERS] = what, replace(base, parameters={**base.parameters, **shared})
    if (what := unlike("code")) and (newer := theirs[CODE]):
        said[CODE], swaps[CODE] = what, replace(base, code=newer)
    if unlike("lock") and (newer := theirs[ENVIRONMENT]):
        said[ENVIRONMENT], swaps[ENVIRONMENT] = "another lock", replace(base, lock=newer)
    left = {part: _cannot_be_rebuilt(theirs, after) for part, folder in theirs.items() if folder is None}
    if what := unlike("python", "platform", *([] if unlike("lock") else ["package"])):
        left[ENVIRONMENT] = f"What differs in the environment cannot be swapped here: {what}"
    if len(said) + len(left) > 1:  # else nothing is run
        try:
            shop.python(lock)
        except Refused as problem:
            return Plan(notes=(f"The environment of {before.name} cannot be made: {problem}",)), {}
        try:
            shop.python(swaps.get(ENVIRONMENT, base).lock)
        except Refused as problem:
            del said[ENVIRONMENT]
            left[ENVIRONMENT] = f"The environment of {after.name} cannot be made: {problem}"
    factors = tuple(Factor(name, what) for name, what in said.items())
    return Plan(factors, tuple(left), tuple(dict.fromkeys(left.values()))), swaps


def _studies(record: Mapping[str, Any], other: Mapping[str, Any], shop: "Workshop") -> dict[str, Path | None]:
    """Folders that hold the recorded code, data and lock of a state; none for what is nowhere to be found.

    Looked for in the record's own commit, in the working tree and in the other record's commit; a run
    with uncommitted changes was made in a working tree, which is then looked at first.
    """
    commits = [git["commit"] if (git := one.get("git")) else "" for one in (record, other)]
    own, others = (shop.commit(commit) if commit else None for commit in commits)
    places = [own, paths.home()] if record.get("git") and not record["git"]["dirty"] else [paths.home(), own]
    is_in: dict[str, Callable[[Path], bool]] = {
        CODE: lambda place: holds(place, record.get("code", {})),
        DATA: lambda place: _tables(place / RAW) == record["raw_files"],
        ENVIRONMENT: lambda place: records.file_hash(place / LOCK) == record.get("lock"),
    }
    return {
        part: next((place for place in (*places, others) if place and found(place)), None)
        for part, found in is_in.items()
    }


def holds(study: Path, recorded: Mapping[str, str]) -> bool:
    """Whether every file of a record's code lies in `study` with its hash; false where none is recorded."""
    return bool(recorded) and all(_hash(study / name) == text for name, text in recorded.items())


def _tables(raw: Path) -> dict[str, str]:
    """Hashes of all raw tables, as records have them."""
    return {path.relative_to(raw).as_posix(): records.file_hash(path) for path in raw.glob("**/*.csv")}


def _hash(path: Path) -> str:
    """The hash of a file as records have it."""
    return records.notebook_hash(path) if path.suffix == ".ipynb" else records.file_hash(path)


def _cannot_be_rebuilt(studies: Mapping[str, Path | None], run: Path) -> str:
    lost = words.listed([part for part, folder in studies.items() if folder is None])
    return (
        f"The {lost} of {run.name} cannot be rebuilt: neither the commits that the records name "
        "nor the working tree hold what was recorded"
    )


def _unlike(differences: Iterable[Difference], *kinds: str, only: Iterable[str] | None = None) -> str:
    """What differs of these kinds, in words; parameters and versions with both values. Empty for nothing."""
    found = [one for one in differences if one.kind in kinds and (only is None or one.name in only)]
    named = [
        one.name or one.kind if one.kind in ("code", "lock") else f"{one.name or one.kind} {one.before} → {one.after}"
        for one in found
    ]
    more = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
    return words.listed([*named[:MOST_NAMED], *more])


def _data_swaps(base: State, newer: Path, shop: "Workshop") -> tuple[dict[str, str], dict[str, State]]:
    """What differs in the data, by its kind in words, and the older state with either kind swapped or both."""
    new, restated = (shop.folder / f"raw with {name}" for name in (NEW, RESTATED))
    both = replace(base, data=newer)
    swaps = {NEW: replace(both, raw=new), RESTATED: replace(base, raw=restated), DATA: both}
    try:
        separated = separate(base.data / RAW, newer / RAW, new, restated)
    except Refused as problem:
        return {DATA: f"cannot be separated: {problem}"}, swaps
    ledgers = [records.file_hash(study / LEDGER) for study in (base.data, newer)]
    grown = "published forecasts" if ledgers[0] != ledgers[1] else ""
    said = {NEW: words.listed([part for part in (separated.new, grown) if part]), RESTATED: separated.restated}
    return {name: what for name, what in said.items() if what}, swaps


class Workshop:
    """A temporary folder where states are rebuilt and run; on leaving it everything is stopped and removed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="anime-growth-attribution-"))
        self._running: list[subprocess.Popen[bytes]] = []
        self._starting = Lock()
        self._is_closed = False

    def __enter__(self) -> "Workshop":
        return self

    def __exit__(self, *_: object) -> None:
        with self._starting:
            self._is_closed = True
        for one in self._running:
            one.terminate()
        for one in self._running:
            try:
                one.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def commit(self, name: str) -> Path | None:
        """The study as it was committed; none where the commit is not in this clone."""
        if not re.fullmatch(r"[0-9a-f]{40,64}", name):
            return None
        folder = self.folder / f"commit {name}"
        if not folder.exists():
            archive = self.folder / "archive.tar"
            command = ["git", "archive", "--format=tar", f"--output={archive}", name]
            try:
                subprocess.run(command, cwd=paths.home(), capture_output=True, check=True)
            except (OSError, subprocess.CalledProcessError):
                return None
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
        return folder

    def python(self, study: Path) -> str:
        """The interpreter of the environment that the lock in `study` describes, made where it is another one.

        Raises Refused where it cannot be made.
        """
        lock = records.file_hash(study / LOCK)
        if lock == records.file_hash(paths.home() / LOCK):
            return sys.executable
        made = self.folder / f"environment {lock}"
        if not made.exists():
            made.mkdir()
            for name in (LOCK.name, PROJECT.name, "README.md", "LICENSE"):
                shutil.copyfile(study / name, made / name)
            shutil.copytree(study / "src", made / "src")
            own = Path(sys.executable).parent
            uv = shutil.which("uv", path=os.pathsep.join([str(own), os.environ.get("PATH", "")])) or "uv"
            command = [uv, "sync", "--quiet", "--locked", "--python", sys.executable]
            settings = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
            settings["UV_PYTHON_DOWNLOADS"] = "never"
            try:
                done = subprocess.run(command, cwd=made, env=settings, capture_output=True, text=True)
            except FileNotFoundError as problem:
                raise Refused("uv is not installed") from problem
            if done.returncode:
                raise Refused(_last_line(done.stderr))
        return str(made / ".venv" / "bin" / "python")

    def run(self, name: str, state: State) -> Values:
        """The values of all quantities of a run of `state`. Raises Refused where it does not reach its end."""
        tree = self.folder / f"run with {name}"
        errors = tree / "stderr"
        chosen = [word for parameter, value in state.parameters.items() for word in ("-p", f"{parameter}={value}")]
        settings = {key: value for key, value in os.environ.items() if not key.startswith("ANIME_GROWTH_")}
        settings |= {paths.HOME_VARIABLE: str(tree), "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        with self._starting:
            if self._is_closed:
                raise Refused("stopped")
            _lay_out(state, tree)
            with errors.open("wb") as out:
                command = [self.python(state.lock), "-m", f"{__package__}.cli", "run", *chosen]
                child = subprocess.Popen(command, cwd=tree, env=settings, stdout=subprocess.DEVNULL, stderr=out)
            self._running.append(child)
        if code := child.wait():
            said = _last_line(errors.read_text(encoding="utf-8", errors="replace"))
            raise Refused(said.removeprefix("anime-growth: ") or f"it ended with exit code {code}")
        finished = tree / RUNS / "latest" / "quantities.json"
        return {key: entry["value"] for key, entry in json.loads(finished.read_text(encoding="utf-8")).items()}


def _lay_out(state: State, tree: Path) -> None:
    """A study of the parts of `state` in the new folder `tree`."""
    for name in CODE_FOLDERS:
        shutil.copytree(state.code / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(state.raw or state.data / RAW, tree / RAW)
    for file, folder in ((LEDGER, state.data), (LOCK, state.lock), (PROJECT, state.lock)):
        if (folder / file).exists():
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / file, tree / file)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


# --- the whole ------------------------------------------------------------------------------------
def attribute(before: Path, after: Path, keys: Iterable[str] | None = None, on_swap: Told = NOTHING) -> Attribution:
    """The parts of the quantities `keys`, or of all that moved, between the runs in two folders.

    `on_swap` is told each factor's name before the chain is run with it. Raises InputError for a key that
    one of the runs does not have, and for a folder that holds no run.
    """
    old, new = (Quantities.read(folder / "quantities.json") for folder in (before, after))
    asked = [one.key for one in digest.moved(old, new)] if keys is None else list(keys)
    for key in asked:
        _ = old[key], new[key]
    with Workshop() as shop:
        plan, swaps = prepare(before, after, shop)

        def execute(name: str) -> Values:
            on_swap(name)
            return shop.run(name, swaps[name])

        return explain(old, new, asked, plan, execute)
