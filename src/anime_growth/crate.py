"""A run as a Workflow Run RO-Crate: ro-crate-metadata.json says what was run, from what, with what, and what came out.

It follows the Provenance Run Crate profile: the workflow is the declaration of the six steps, kept beside the
results as workflow.py; each notebook is a tool, and each step that ran is an action. All of it is read from the
run's own folder, so that the same folder gives the same bytes. Who ran it is not recorded, and so is not told.
"""

import base64
import csv
import json
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_growth import data_package, parameters, paths, records, steps
from anime_growth.errors import InputError
from anime_growth.steps import STEPS, StepSpec

if TYPE_CHECKING:
    from rocrate.model.entity import Entity

METADATA = "ro-crate-metadata.json"
WORKFLOW = "workflow.py"
VERSION = "1.1"  # of RO-Crate, for which the profiles are written
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
SHA256 = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
PYTHON = "https://www.python.org/"
DONE = "http://schema.org/CompletedActionStatus"
MEDIA = {
    **{".csv": "text/csv", ".json": "application/json", ".svg": "image/svg+xml", ".html": "text/html"},
    **{".md": "text/markdown", ".pdf": "application/pdf", ".py": "text/x-python", ".log": "text/plain"},
    **{".ipynb": "application/x-ipynb+json"},
}
# Kinds of results, which are the folders whose every file is told; what lies in other folders, such as the many
# pages of a site, is told as a whole.
KINDS = {
    "tables": "tables, with their columns and units described in datapackage.json",
    "figures": "figures, each with the data that it draws",
    "quantities": "the named numbers of each step",
    "steps": "what each step left at its end",
    "files": "texts, pages, verdicts, all named numbers and the record of the run",
}
# Written on after the crate, so without size and hash.
UNSETTLED = ("run.json", "run.log")


def write(folder: Path) -> None:
    """Describe the finished run in `folder` in its ro-crate-metadata.json; everything else is there already.

    Raises InputError where the folder holds no run that has ended well.
    """
    record = records.read(folder)
    if record.get("exit_class") != "done":
        do = "Name a finished run, or make one with `make run`"
        raise InputError(f"run {paths.shown(folder)}", "has not ended well, so there is nothing to describe", do)
    if not (folder / WORKFLOW).exists():
        shutil.copyfile(str(steps.__file__), folder / WORKFLOW)
    _Crate(folder, record).crate.metadata.write(folder)


class _Crate:
    """The entities of one run, added in the order in which they build on one another."""

    def __init__(self, folder: Path, record: Mapping[str, Any]) -> None:
        from rocrate.rocrate import ROCrate  # only here: loading it takes longer than all that is done with it

        self.folder, self.record = folder, record
        self.hashes = records.artefacts(folder)
        self.crate = ROCrate(version=VERSION)
        self.crate.metadata.extra_terms.update(SHA256)
        self._describe_root()
        self.python = self._thing(
            PYTHON, "ComputerLanguage", name="Python", url={"@id": PYTHON}, version=record["python"]
        )
        self.values = {name: self._parameter(name, value) for name, value in record["parameters"].items()}
        self.raw = self._raw_figures()
        self.results = self._results()
        self.notebooks = {spec.name: self._notebook(spec) for spec in STEPS.values()}
        self.workflow = self._workflow()
        self._tell_what_was_done()

    def _thing(self, identifier: str, kind: str, **properties: Any) -> "Entity":
        """Something that the crate speaks of and does not hold."""
        from rocrate.model.contextentity import ContextEntity

        return self.crate.add(ContextEntity(self.crate, identifier, properties={"@type": kind, **properties}))

    def _file(self, name: str, **properties: Any) -> "Entity":
        """A file of the run, by its path."""
        about = {"name": name}
        if media := MEDIA.get(Path(name).suffix):
            about["encodingFormat"] = media
        if name not in UNSETTLED:
            about["contentSize"] = str((self.folder / name).stat().st_size)
            about["sha256"] = self.hashes[name].removeprefix("sha256:")
        return self.crate.add_file(dest_path=name, properties={**about, **properties})

    def _formal(self, name: str, kind: str, description: str, **properties: Any) -> "Entity":
        """An input or output that the workflow has in every run."""
        return self.crate.add_formal_parameter(name, kind, f"#{name}", description, properties=properties)

    def _describe_root(self) -> None:
        """What the crate is, which rules it follows, and under which terms it may be used."""
        root, licence, about = self.crate.root_dataset, data_package.LICENCE, metadata("anime-growth")
        root["conformsTo"] = [
            self._thing(place, "CreativeWork", name=name, version=place.rpartition("/")[2])
            for place, name in PROFILES.items()
        ]
        root["name"] = f"anime_growth, run {self.record['run_id']}"
        root["description"] = str(about["Summary"])
        root["author"] = self._thing("#authors", "Organization", name=str(about["Author"]))
        root["datePublished"] = self.record["ended"]
        root["license"] = self._thing(
            licence["path"], "CreativeWork", name=licence["name"], description=licence["title"]
        )

    # --- what went in ---
    def _parameter(self, name: str, value: Any) -> "Entity":
        """The value of a parameter in this run."""
        field = parameters.Parameters.model_fields[name]
        kind = "Integer" if isinstance(field.default, int) else "Text"
        formal = self._formal(name, kind, str(field.description), defaultValue=str(field.default))
        return _example(formal, self._thing(f"#{name}-value", "PropertyValue", name=name, value=str(value)))

    def _raw_figures(self) -> list["Entity"]:
        """The raw files, which lie outside the run's folder and so are named by their hashes (RFC 6920)."""
        formal = self._formal("raw_figures", "File", "figures as printed, each by its path below data/raw")
        with (self.folder / "tables/raw_files.csv").open(encoding="utf-8", newline="") as lines:
            terms = {row["file"]: row["terms"] for row in csv.DictReader(lines)}
        found = []
        for name, text in self.record["raw_files"].items():
            sha256 = text.removeprefix("sha256:")
            digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
            about = {"name": f"data/raw/{name}", "encodingFormat": MEDIA[".csv"], "sha256": sha256}
            about |= {"license": terms[name]} if name in terms else {}
            found.append(_example(formal, self.crate.add_file(f"ni:///sha-256;{digest}", properties=about)))
        return found

    # --- what came out ---
    def _results(self) -> dict[str, "Entity"]:
        """Every file of the run, or folder told as a whole, but what was run and this description; by its path."""
        found: dict[str, Entity] = {}
        there = [*self.hashes, *(name for name in UNSETTLED if (self.folder / name).exists())]
        for name in sorted({*there} - {METADATA, WORKFLOW}):
            folder, inside, _ = name.partition("/")
            kind = folder if inside else "files"
            if kind == "notebooks" or kind in found:
                continue
            told = kind in KINDS
            formal = self.crate.get(f"#{kind}") or self._formal(
                kind, "File" if told else "Dataset", KINDS.get(kind, f"the folder {kind}")
            )
            entity = self._file(name) if told else self.crate.add_dataset(dest_path=kind, properties={"name": kind})
            found[name if told else kind] = _example(formal, entity)
        return found

    # --- what was run ---
    def _source(self) -> dict[str, Any]:
        """What all code has: its language and the commit that it was at, or the package's version outside a clone."""
        git = self.record.get("git") or {}
        changed = " with uncommitted changes" if git.get("dirty") else ""
        version = f"{git['commit']}{changed}" if git else self.record["packages"]["anime-growth"]
        return {"programmingLanguage": self.python, "version": version}

    def _notebook(self, spec: StepSpec) -> "Entity":
        """The notebook of a step, as it was executed."""
        kind = {"@type": ["File", "SoftwareSourceCode"]}
        return self._file(f"notebooks/{spec.name}.ipynb", **kind, description=spec.question, **self._source())

    def _workflow(self) -> "Entity":
        """The declaration of the steps: their order, needs, parameters and promises."""
        outputs = {entity["exampleOfWork"].id: entity["exampleOfWork"] for entity in self.results.values()}
        made = [
            self._thing(
                f"#{spec.name}", "HowToStep", name=spec.question, position=str(place),
                workExample=self.notebooks[spec.name],
            )
            for place, spec in enumerate(STEPS.values(), 1)
        ]  # fmt: skip
        workflow = self._file(
            WORKFLOW,
            **{"@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]},
            description=" ".join(str(steps.__doc__).split()),
            conformsTo={"@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"},
            **self._source(),
            hasPart=list(self.notebooks.values()),
            step=made,
            input=[*(value["exampleOfWork"] for value in self.values.values()), self.crate.get("#raw_figures")],
            output=list(outputs.values()),
            softwareRequirements=self._packages(),
        )
        self.crate.mainEntity = workflow
        self.crate.metadata["conformsTo"] = [{"@id": self.crate.metadata.profile}, {"@id": list(PROFILES)[-1]}]
        return workflow

    def _packages(self) -> list["Entity"]:
        """The libraries that the package asks for, in the versions that were at work; run.json names all others."""
        wanted = [one for one in requires("anime-growth") or () if "extra ==" not in one]
        names = {re.split(r"[\s<>=!~;\[]", one)[0] for one in wanted}
        return [
            self._thing(
                f"https://pypi.org/project/{name}/{version}/", "SoftwareApplication", name=name,
                softwareVersion=version, url={"@id": f"https://pypi.org/project/{name}/{version}/"},
            )
            for name, version in self.record["packages"].items()
            if name in names
        ]  # fmt: skip

    # --- what was done ---
    def _tell_what_was_done(self) -> None:
        """The run as a whole, each step in it, and that the one was made by running the others in order."""
        times = {"startTime": self.record["started"], "endTime": self.record["ended"]}
        run = self._action(
            "#run", "the run", "All notebooks were executed in order.", self.workflow,
            [*self.values.values(), *self.raw], list(self.results.values()), times,
        )  # fmt: skip
        actions = {spec.name: self._step(spec) for spec in STEPS.values()}
        controls = [
            self._thing(
                f"#control-{name}", "ControlAction", name=f"had {name} done",
                instrument=self.crate.get(f"#{name}"), object=action,
            )
            for name, action in actions.items()
        ]  # fmt: skip
        version = self.record["packages"]["anime-growth"]
        engine = self._thing("#anime-growth", "SoftwareApplication", name="anime-growth", softwareVersion=version)
        self._thing(
            "#chain", "OrganizeAction", name="had the notebooks executed", instrument=engine, object=controls,
            result=run, **times,
        )  # fmt: skip
        self.crate.root_dataset["mentions"] = [run, *actions.values()]

    def _step(self, spec: StepSpec) -> "Entity":
        """A step as it was executed, in this run or in the one that it was taken over from."""
        known = self.record["steps"][spec.name]
        said = f"Taken over from run {known['reused_from']}." if known["reused_from"] else "Executed in this run."
        needed = [name for need in spec.needs for name in STEPS[need].promises]
        taken = [
            *(self.values[name] for name in spec.parameters),
            *(self.raw if "data/raw" in spec.reads else ()),
            *(self.results[name] for name in needed if name in self.results),
        ]
        left = [self.results[name] for name in known["files"] if name in self.results]
        times = self._times(spec)
        return self._action(f"#run-{spec.name}", spec.name, said, self.notebooks[spec.name], taken, left, times)

    def _times(self, spec: StepSpec) -> dict[str, str]:
        """When papermill began and ended a notebook, as far as the notebook tells."""
        notebook = json.loads((self.folder / "notebooks" / f"{spec.name}.ipynb").read_text(encoding="utf-8"))
        told = notebook["metadata"].get("papermill", {})
        named = {"startTime": told.get("start_time"), "endTime": told.get("end_time")}
        return {
            name: datetime.fromisoformat(time).isoformat(timespec="seconds") for name, time in named.items() if time
        }

    def _action(
        self, identifier: str, name: str, said: str, instrument: "Entity", taken: list["Entity"],
        left: list["Entity"], times: Mapping[str, str],
    ) -> "Entity":  # fmt: skip
        about = {"@type": "CreateAction", "name": name, "description": said, "actionStatus": DONE, **times}
        return self.crate.add_action(instrument, identifier, taken, left, properties=about)


def _example(formal: "Entity", entity: "Entity") -> "Entity":
    """`entity`, known as what stood for an input or output of the workflow in this run."""
    formal.append_to("workExample", entity, compact=True)
    entity["exampleOfWork"] = formal
    return entity
