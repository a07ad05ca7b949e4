"""Publishing: one verified run becomes the committed reference, all of it in one step (see disk.py)."""

import json
import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_growth import (
    canary,
    codebook,
    data_package,
    digest,
    disk,
    ledger,
    locks,
    parameters,
    paths,
    records,
    sources,
)
from anime_growth.errors import InputError
from anime_growth.steps import STEPS

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = (
    *("tables", "figures", "quantities.json", "verdicts.csv", "narrative.md", "run.json"),
    *("certificate.md", "certificate.json"),
)
# What the README shows of a run, each between marks of its name.
README_SECTIONS = ("finding", "limits")
UNRELEASED = "## Unreleased"
AGAIN = "Run `make run`, then `anime-growth verify latest`, and publish the run that this makes"


def publish(folder: Path, wait_seconds: float = 0, tell: canary.Told = canary.NOTHING) -> None:
    """Make `folder`, a verified run with default parameters, the committed reference.

    Replaces data/processed/published/, the outputs of the committed notebooks, the finding and limits in
    the README and the codebook in data/README.md, and drafts the entry of CHANGELOG.md where numbers moved.
    `tell` is told how many slips have been tried of how many, which takes the time that publishing takes.
    Raises InputError for a run that is not whole, not verified, changed since, or made from anything but
    what is here.
    """
    with locks.held(paths.runs(), wait_seconds):
        disk.finish_replacing()
        record = refuse_unfit(folder)
        disk.replace_as_one(lambda home: _prepare(folder, record, home, tell))


def _prepare(folder: Path, record: Mapping[str, Any], home: Path, tell: canary.Told) -> None:
    """Everything that publishing will replace, laid out below `home` as below the top folder."""
    fresh = home / paths.published().relative_to(paths.home())
    fresh.mkdir(parents=True)
    for name in PUBLISHED:
        copy = shutil.copytree if (folder / name).is_dir() else shutil.copyfile
        copy(folder / name, fresh / name)
    _with_forecasts(folder, record).to_csv(fresh / ledger.path().name, index=False, lineterminator="\n")
    canary.write(fresh, tell)
    data_package.write(fresh)  # after the two tables that publishing adds
    (home / "notebooks").mkdir()
    for name in STEPS:
        write_committed(folder / "notebooks" / f"{name}.ipynb", home / "notebooks" / f"{name}.ipynb")
    told = _text("README.md")
    for name in README_SECTIONS:
        text = (folder / f"{name}.md").read_text(encoding="utf-8").strip()
        told = _section(name).sub(partial(_shown_between, text), told)
    (home / "README.md").write_text(told, encoding="utf-8")
    described = codebook.with_section(_text("data/README.md"), fresh)
    (home / "data/README.md").write_text(described, encoding="utf-8")
    (home / "CHANGELOG.md").write_text(_with_entry(_text("CHANGELOG.md"), fresh, record), encoding="utf-8")


def _text(name: str) -> str:
    return (paths.home() / name).read_text(encoding="utf-8")


def _section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->)(\s*).*?(\s*<!-- /{name} -->)", re.DOTALL)


def _shown_between(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{marks[2]}{text}{marks[3]}"


def _with_forecasts(folder: Path, record: Mapping[str, Any]) -> "pd.DataFrame":
    """The published ledger with this run's projections added, where they say something new."""
    import pandas as pd

    made = pd.read_csv(folder / "tables" / "projections.csv")
    edition = str(pd.read_csv(folder / "tables" / "market.csv")["edition"].iloc[0])
    fresh = ledger.entries(made, record["started"][:10], edition)
    return ledger.appended(ledger.read(), fresh)


def _with_entry(changelog: str, fresh: Path, record: Mapping[str, Any]) -> str:
    """The change log with a drafted entry on top of its unreleased part; as it is where nothing moved."""
    if not (paths.published() / "run.json").exists():
        return changelog
    told = digest.make(paths.published(), fresh).as_entry()
    if not told:
        return changelog
    head, mark, rest = changelog.partition(UNRELEASED)
    entry = f"\n\n### Published {record['started'][:10]} (drafted by `anime-growth publish`; say why in your words)\n\n"
    return f"{head}{mark}{entry}{told.strip()}\n\n{rest.lstrip()}" if mark else changelog


# --- what may be published --------------------------------------------------------------------------
def refuse_unfit(folder: Path) -> dict[str, Any]:
    """The record of `folder`; raises InputError unless it is a whole and verified run of what is here."""
    where = f"run {folder.name}"
    record = records.read(folder)
    wanted = [name for spec in STEPS.values() for name in (*spec.promises, f"notebooks/{spec.name}.ipynb")]
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing:
        raise InputError(where, f"lacks {missing[0]}", AGAIN)
    if record["parameters"] != parameters.Parameters().model_dump():
        raise InputError(where, "was made with other than default parameters", AGAIN)
    if record["raw_files"] != {file.reference: file.resource.hash for file in sources.raw_files()}:
        raise InputError(where, "was made from other raw figures than those here", AGAIN)
    if record.get("code") != records.code():
        raise InputError(where, "was made by other code than that here", AGAIN)
    if record.get("git", {}).get("dirty"):
        raise InputError(where, "was made while files differed from the commit", f"Commit first. {AGAIN}")
    if changed := records.changed_since(folder, record):
        raise InputError(where, f"is not as it ended: {changed[0]} has changed", AGAIN)
    _refuse_unverified(folder)
    readme = _text("README.md")
    for name in README_SECTIONS:
        if not _section(name).search(readme):
            raise InputError("README.md", f"has no marks around the {name}", f"Put back <!-- {name} --> and its end")
    codebook.refuse_without_section(paths.home() / "data" / "README.md")
    return record


def _refuse_unverified(folder: Path) -> None:
    """Raise InputError unless the run carries a certificate in which a second execution agrees with it."""
    where = f"run {folder.name}"
    try:
        certificate = json.loads((folder / "certificate.json").read_text(encoding="utf-8"))
        agrees = certificate["exit_code"] == 0
    except FileNotFoundError as problem:
        raise InputError(where, "is not verified", AGAIN) from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{where}, certificate.json", "is damaged", AGAIN) from problem
    if not agrees:
        against = certificate.get("against", {})
        raise InputError(where, f"differs from {against.get('name', 'what it was verified against')}", AGAIN)


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
