"""A step at work (steps.py declares them): what a notebook reads and saves through.

A notebook opens its step with `start`, loads tables and quantities through it, saves through it and
closes it with `finish`, which fails unless everything promised is there.
"""

import json
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pandas as pd

from anime_growth import clean, parameters, paths
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities, write_entries
from anime_growth.steps import STEPS, StepSpec

if TYPE_CHECKING:
    from anime_growth.figures import Drawing


# Columns of words in the tables that have no schema; an empty one would be read as numbers.
WORDS = (
    "derivation",
    "corroborating_source_ids",
    "series",
    "basis",
    "unit",
    "model",
    "windows",
    "conclusion",
    "say",
    "evidence",
    "remark",
    "check",
    "what",
    "reason",
    "finding",
    "source_id",
    "raw_cell",
    "rate_cell",
    "price_cell",
)
# What a shown table has in the place of a missing value.
DASH = "–"


class Step:
    """One step at work in one run folder."""

    def __init__(self, spec: StepSpec, chosen: parameters.Parameters, folder: Path, may_borrow: bool) -> None:
        self.spec = spec
        self.parameters = chosen
        self.folder = folder
        self._may_borrow = may_borrow
        self._saved: list[str] = []

    @property
    def is_part_of_run(self) -> bool:
        """Whether `anime-growth run` executes it, which makes further pages in the end."""
        return paths.PART_VARIABLE in os.environ

    # --- reading ---
    def input_file(self, name: str) -> Path:
        """A file of this run, once its maker has finished; by hand, before that, the published one."""
        maker = next((step.name for step in STEPS.values() if name in step.promises), "the earlier notebooks")
        own = self.folder / name
        if own.exists() and self._finished(maker):
            return own
        published = paths.published() / name
        if self._may_borrow and published.exists() and not self._finished(maker):
            return published
        raise InputError(
            f"{self.spec.name}, input {name}",
            "is not there yet",
            f"Run {maker} first, or the whole chain with `make run`",
        )

    def _finished(self, step: str) -> bool:
        return (self.folder / "steps" / f"{step}.json").exists()

    def parameters_behind(self) -> dict[str, dict[str, Any]]:
        """Parameters of this step and of every step it needs: name -> step -> value.

        A step that has not run here yet stands for the published one, made with defaults.
        """
        found = {name: {self.spec.name: value} for name, value in self.own_parameters().items()}
        for need in self.spec.needs:
            values = {name: getattr(parameters.Parameters(), name) for name in STEPS[need].parameters}
            if self._finished(need):
                record = json.loads((self.folder / "steps" / f"{need}.json").read_text(encoding="utf-8"))
                values = record["parameters"]
            for name, value in values.items():
                found.setdefault(name, {})[need] = value
        return found

    def table(self, name: str) -> pd.DataFrame:
        """A tidy table of an earlier step, with the types it was saved with."""
        schema = clean.SCHEMAS.get(name)
        words = [column for column, spec in schema.columns.items() if str(spec.dtype) == "str"] if schema else WORDS
        frame = pd.read_csv(self.input_file(f"tables/{name}.csv"), dtype=dict.fromkeys(words, str))
        texts = [column for column in frame.columns if pd.api.types.is_string_dtype(frame[column])]
        return frame.assign(**{column: frame[column].fillna("") for column in texts})

    def tables(self, *names: str) -> dict[str, pd.DataFrame]:
        """Several tables by name; all of 01's where none is named."""
        return {name: self.table(name) for name in names or STEPS["01_clean_figures"].tables}

    def quantities(self) -> Quantities:
        """All quantities of the steps that this one needs."""
        found = Quantities(str(self.edition))
        for need in self.spec.needs:
            if not STEPS[need].has_quantities:
                continue
            if self._may_borrow and not self._finished(need):
                # The published results hold all quantities in one file, each marked with its step.
                whole = Quantities.read(paths.published() / "quantities.json")
                part = Quantities(items=[item for item in whole.values() if item.step == need])
            else:
                part = Quantities.read(self.input_file(f"quantities/{need}.json"))
            found = found.joined(part)
        return found

    def verdicts(self) -> pd.DataFrame:
        """The verdicts of 05, every cell as text."""
        return pd.read_csv(self.input_file("verdicts.csv"), dtype=str, keep_default_na=False)

    def figures(self) -> dict[str, tuple[bytes, str]]:
        """Every figure of the steps before this one: SVG bytes and alternative text, in their order.

        A page shows them from its own folder, so a published one that stands for one of this run is put there.
        """
        names = [name for need in self.spec.needs for name in STEPS[need].figures]
        drawn = {}
        for name in names:
            drawn[name] = (source := self.input_file(f"figures/{name}.svg")).read_bytes()
            if source.parent.parent != self.folder:
                (self.folder / "figures").mkdir(exist_ok=True)
                (self.folder / "figures" / source.name).write_bytes(drawn[name])
        place = f"{self.spec.name}, input figures"
        return {name: (svg, alternative_text(svg, f"{place}/{name}.svg")) for name, svg in drawn.items()}

    @property
    def edition(self) -> int:
        """The edition in use: the parameter's, which must be the one the tables were made for."""
        if self.spec.name == "01_clean_figures":
            raise AttributeError("01_clean_figures chooses the edition; see clean.choose_edition")
        return int(self.table("market")["edition"].iloc[0])

    # --- writing ---
    def _target(self, name: str) -> Path:
        if name not in self.spec.promises:
            raise ValueError(f"{self.spec.name} does not promise {name}; declare it in steps.STEPS")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._saved.append(name)
        return path

    def save_table(self, name: str, frame: pd.DataFrame) -> None:
        """Save a tidy table as CSV with full precision."""
        frame.to_csv(self._target(f"tables/{name}.csv"), index=False, lineterminator="\n")

    def save_tables(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Save several tidy tables."""
        for name, frame in tables.items():
            self.save_table(name, frame)

    def save_quantities(self, quantities: Quantities) -> None:
        """Save this step's quantities, marked with its name."""
        quantities.of_step(self.spec.name).write(self._target(f"quantities/{self.spec.name}.json"))

    def save_all_quantities(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        """Save all quantities of the run in one file, each raw cell spelled out (see Quantities.entries)."""
        write_entries(entries, self._target("quantities.json"))

    def save_figure(self, drawing: "Drawing") -> "Drawing":
        """Save a figure as SVG with the CSV that is drawn, and hand it back for display."""
        self._target(f"figures/{drawing.name}.svg").write_bytes(drawing.svg())
        drawing.data.to_csv(self._target(f"figures/{drawing.name}.csv"), index=False, lineterminator="\n")
        return drawing

    def save_text(self, name: str, text: str) -> None:
        """Save a text file such as the report."""
        self._target(name).write_text(text, encoding="utf-8")

    def finish(self) -> None:
        """Fail unless every promised file was saved in this session, then leave the end sentinel."""
        missing = sorted(set(self.spec.promises) - set(self._saved))
        if missing:
            raise RuntimeError(f"{self.spec.name} ends without {', '.join(missing)}")
        sentinel = self.folder / "steps" / f"{self.spec.name}.json"
        sentinel.parent.mkdir(parents=True, exist_ok=True)
        record = {"step": self.spec.name, "parameters": self.own_parameters(), "files": sorted(set(self._saved))}
        sentinel.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{self.spec.name}: {len(set(self._saved))} files written, all that were promised.")

    def own_parameters(self) -> dict[str, Any]:
        """The parameters of this step and their values."""
        return {name: getattr(self.parameters, name) for name in self.spec.parameters}


def alternative_text(svg: bytes, where: str = "a figure") -> str:
    """The description that figures carry inside their SVG. Raises InputError, naming `where`, for what is no XML."""
    try:
        for _, element in ElementTree.iterparse(BytesIO(svg)):  # it stands at the top; the drawing below is not read
            if element.tag == "{http://purl.org/dc/elements/1.1/}description":
                return element.text or ""
    except ElementTree.ParseError as problem:
        do = "Run the notebook that draws it again, and save figures with save_figure"
        raise InputError(where, f"is no SVG that can be read ({problem})", do) from problem
    return ""


def start(name: str, namespace: Mapping[str, Any]) -> Step:
    """Open step `name` with the parameters found in the notebook's `globals()`.

    Refuses a parameter of the wrong type or out of range, a name that papermill injected and the
    step does not have, inputs that are missing, and inputs made for another edition.
    """
    spec = STEPS[name]
    _show_dashes(namespace)
    given = {key: namespace[key] for key in spec.parameters if key in namespace}
    chosen = parameters.check({**given, **_stray(spec, namespace)}, spec.parameters, f"{name}, parameter")
    folder = _run_folder()
    in_chain = folder != paths.runs() / "interactive"
    step = Step(spec, chosen, folder, may_borrow=not in_chain)
    (folder / "steps" / f"{name}.json").unlink(missing_ok=True)
    if spec.needs:
        _refuse_other_edition(step)
        _refuse_other_parameters(step)
    return step


def _show_dashes(namespace: Mapping[str, Any]) -> None:
    """Tables that the notebook shows have a dash where a value is missing; saved ones stay as they are."""
    if "get_ipython" not in namespace:
        return
    formatters = namespace["get_ipython"]().display_formatter.formatters
    formatters["text/html"].for_type(pd.DataFrame, lambda frame: _dashed(frame)._repr_html_())
    formatters["text/plain"].for_type(pd.DataFrame, lambda frame, printer, _: printer.text(repr(_dashed(frame))))


def _dashed(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with a dash for each missing value; columns that miss none are not touched.

    >>> _dashed(pd.DataFrame({"growth_pct": [8.3, None], "year": [2023, 2024]}))
      growth_pct  year
    0        8.3  2023
    1          –  2024
    """
    return frame.apply(lambda column: column.astype(object).fillna(DASH) if column.hasnans else column)


def _run_folder() -> Path:
    """The folder of this run, made if need be; refused where a run must not write."""
    folder = paths.current_run()
    where = f"{paths.RUN_VARIABLE}={folder}"
    for kept in (paths.raw(), paths.published()):
        if folder == kept or kept in folder.parents:
            raise InputError(where, f"lies inside {paths.shown(kept)}", "Name a folder of its own for the run")
    try:
        (folder / "steps").mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            where, f"cannot be used ({problem.strerror})", "Name a folder that can be written"
        ) from problem
    return folder


def _refuse_other_parameters(step: Step) -> None:
    """Steps that share a parameter must have been run with the same value."""
    for name, values in step.parameters_behind().items():
        if name != "edition" and len(set(values.values())) > 1:
            told = ", ".join(f"{step} with {value}" for step, value in values.items())
            raise InputError(
                f"{step.spec.name}, parameter {name}", f"the steps behind it differ: {told}", "Run them with one value"
            )


def _stray(spec: StepSpec, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values in a fresh notebook's namespace that are no parameter: misspelt ones.

    papermill injects an unknown name with no more than a warning. Only the first cells are looked
    at, since later ones fill the namespace with work.
    """
    if len(namespace.get("In", ())) > 4:
        return {}
    plain = (int, float, str, bool, list, dict, type(None))
    own = {"In", "Out", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH", *spec.parameters}
    return {
        key: value
        for key, value in namespace.items()
        if not key.startswith("_") and key not in own and isinstance(value, plain)
    }


def _refuse_other_edition(step: Step) -> None:
    made_for = step.edition
    wanted = step.parameters.edition
    if wanted == "latest":
        wanted = clean.choose_edition(step.table("market_editions"), "latest")
    if wanted != made_for:
        raise InputError(
            f"{step.spec.name}, parameter edition",
            f"edition {wanted} is asked for, but the tables of this run were made for edition {made_for}",
            f"Set edition = {made_for} here, or run 01_clean_figures with edition = {wanted} first",
        )
