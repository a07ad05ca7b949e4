"""Verifying: the study is run again and compared with what it should be, and a certificate says how they agree.

The certificate becomes part of the new run. From scratch, all of that happens in a clean clone of the commit
that is checked out, with an environment made from its lock and with the network cut.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from anime_growth import compare, digest, narrative, offline, parameters, paths, processes, records, runs, scratch
from anime_growth.compare import Comparison, Difference, Item
from anime_growth.errors import InputError
from anime_growth.steps import STEPS
from anime_growth.trace import Record

PLURALS = {kind: "quantities" if kind == "quantity" else f"{kind}s" for kind in compare.KINDS}
# Kinds of which an item is one thing, with one word or number before and after; the others have parts.
SINGLE = ("quantity", "verdict", "text")
# Exit codes with which a comparison ends.
COMPARED = (compare.SAME, compare.NEW_DATA, compare.MOVED, compare.FLIPPED)
BEYOND = (compare.DIFFERS, compare.MISSING, compare.NEW)
# Rows of a table of the certificate, which is one page; names of a kind in a cell; letters of a line.
MOST_SHOWN = 15
MOST_NAMED = 3
LONGEST_LINE = 2000
MANNER = runs.Manner()
# What a result rests on by itself; the rest of what a run is made with may lie behind any result.
OWN_INPUTS = ("raw file", "parameter")


def verify(
    against: str | Path = "published",
    from_scratch: bool = False,
    on_step: runs.Told = runs.NOTHING,
    tick: Callable[[], None] = processes.NO_TICK,
    manner: runs.Manner = MANNER,
) -> tuple[Path, int]:
    """Run all of the study again as `against` was run; the new run's folder, and the exit code of its certificate.

    The code is 0 (same), 10 (new data), 20 (something moved beyond tolerance) or 30 (a verdict flipped).
    Raises InputError where `against` cannot be compared with, and whatever runs.run raises.
    """
    before = records.find(against)
    record = records.read(before)
    _refuse_unfit(before, record)
    if from_scratch:
        named = "published" if before == paths.published().resolve() else str(before)
        folder = scratch.run(["verify", named], COMPARED, on_step, tick, manner)
    else:
        given = _other_than_defaults(record)
        anew = replace(manner, reuse=False)
        folder = runs.run(given, on_step, lambda work: certify(before, work, manner), tick, anew)
    return folder, int(json.loads((folder / "certificate.json").read_text(encoding="utf-8"))["exit_code"])


def _other_than_defaults(record: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a run that were given, as far as they say something else than the notebooks do."""
    defaults = parameters.Parameters().model_dump()
    return {name: value for name, value in record["parameters"].items() if value != defaults.get(name)}


def _refuse_unfit(before: Path, record: Mapping[str, Any]) -> None:
    """Raise InputError for what cannot be compared with, before a minute is spent on running."""
    if record.get("exit_class", "done") != "done":
        raise InputError(f"run {before.name}", f"has not ended well ({record['exit_class']})", "Name a finished run")
    compare.compare(before, before, _notebooks_of(before))
    Record.read(before)


def _notebooks_of(folder: Path) -> Path:
    return paths.notebooks() if folder == paths.published().resolve() else folder / "notebooks"


# --- the certificate --------------------------------------------------------------------------------
def certify(before: Path, after: Path, manner: runs.Manner) -> None:
    """Compare the run in `after` with that in `before` and write certificate.md and certificate.json into it."""
    data = certificate(before, after, manner)
    text = json.dumps(data, indent=1, ensure_ascii=False)
    (after / "certificate.json").write_text(f"{text}\n", encoding="utf-8")
    (after / "certificate.md").write_text(as_markdown(data), encoding="utf-8")


def certificate(before: Path, after: Path, manner: runs.Manner) -> dict[str, Any]:
    """All that the certificate says, as plain data; of what matches, the counts."""
    compared = compare.compare(before, after, _notebooks_of(before))
    old, new = records.read(before), records.read(after)
    differences = compare.environment(old, new)
    behind = Behind(Record.read(before), Record.read(after), differences)
    apart = sorted(compared.of(compare.WITHIN, *BEYOND), key=_rank)
    return {
        "verdict": headline(compared),
        "exit_code": compared.exit_code,
        "against": {
            "name": before.name if records.id_of(before) else paths.shown(before),
            **{name: records.file_hash(before / name) for name in ("run.json", "quantities.json")},
        },
        "counts": {kind: compared.counts(kind) for kind in compare.KINDS},
        "items": [_as_data(item, behind) for item in apart],
        "environment": [asdict(one) for one in differences],
        "remarks": _remarks(before, new),
        "made": _made(new, manner),
    }


def _rank(item: Item) -> tuple[bool, int, int]:
    """Flipped verdicts first, then what differs, is missing or is new, each in the order of kinds."""
    return not item.is_flipped, -compare.STATUSES.index(item.status), compare.KINDS.index(item.kind)


def _as_data(item: Item, behind: "Behind") -> dict[str, Any]:
    data = {name: getattr(item, name) for name in ("kind", "name", "status", "before", "after", "note")}
    if item.status == compare.WITHIN:
        return data
    parts = [part for part in item.parts if part.status in BEYOND]
    told = [{name: getattr(part, name) for name in ("name", "status", "before", "after", "note")} for part in parts]
    return {**data, "behind": [{"kind": one.kind, "name": one.name} for one in behind.of(item)], "parts": told}


def headline(compared: Comparison) -> str:
    """The verdict in one line of plain words."""
    if compared.exit_code == compare.SAME:
        within = len(compared.of(compare.WITHIN))
        agrees = f"; {within:,} within tolerance, the others to the last digit" if within else ""
        return f"Everything {'agrees' if within else 'matches'}: {_counted(compared.items)}{agrees}."
    if compared.exit_code == compare.NEW_DATA:
        return f"New data: {_counted(compared.of(compare.NEW))} with something new; nothing that was known moved."
    flipped = [item for item in compared.items if item.is_flipped]
    said = [f"{_counted(flipped)} flipped"] if flipped else []
    differ = [item for item in compared.of(compare.DIFFERS) if not item.is_flipped]
    said += [f"{_counted(differ)} {'differs' if len(differ) == 1 else 'differ'}"] if differ else []
    for status in (compare.MISSING, compare.NEW):
        found = compared.of(status)
        said += [f"{_counted(found)} {'is' if len(found) == 1 else 'are'} {status}"] if found else []
    return f"{'; '.join(said)}."


def _counted(items: Iterable[Item]) -> str:
    """Items by kind: `4,125 quantities, 1 table`."""
    counts = Counter(item.kind for item in items)
    return ", ".join(f"{count:,} {kind if count == 1 else PLURALS[kind]}" for kind, count in counts.items())


def as_markdown(data: Mapping[str, Any]) -> str:
    """The certificate on one page; all text out of data is shown as plain text."""
    beyond = [item for item in data["items"] if item["status"] in BEYOND]
    # The lock and the commit only name packages and code once more.
    of_all = [one for one in data["environment"] if one["kind"] not in (*OWN_INPUTS, "lock", "commit")]
    told = [{**item, "behind": _named([*item["behind"], *of_all])} for item in beyond]
    template = narrative.template("certificate.md.j2")
    helpers = {rule.__name__: rule for rule in (digest.plain, digest.code, digest.shorter_hash)}
    fixed = {"most": MOST_SHOWN, "longest": LONGEST_LINE, "statuses": compare.STATUSES, "plurals": PLURALS}
    return template.render(**data, told=told, single=SINGLE, **fixed, **helpers).strip() + "\n"


def _named(differences: Iterable[Mapping[str, str]]) -> str:
    """What differs by kind: `raw file aja/2025/x.csv; package numpy, scipy`."""
    names: dict[str, list[str]] = {}
    for one in differences:
        names.setdefault(one["kind"], []).append(one["name"])
    return "; ".join(f"{kind} {_few(found)}".rstrip() for kind, found in names.items()) or "nothing that is recorded"


@dataclass(frozen=True)
class Behind:
    """What two runs were made with that differs, asked for what a single result rests on."""

    before: Record
    after: Record
    differences: Sequence[Difference]

    def of(self, item: Item) -> list[Difference]:
        """The raw files and parameters that differ and that the item rests on.

        Of a quantity, and of a verdict by its evidence, that is known; a table, a figure or a notebook may
        rest on every one.
        """
        key = f"claim.{item.name}" if item.kind == "verdict" else item.name
        known = [self._inputs(record, key) for record in (self.before, self.after)]
        inputs = set().union(*known)
        own = [one for one in self.differences if one.kind in OWN_INPUTS]
        return [one for one in own if (one.kind, one.name) in inputs] if inputs else own

    @staticmethod
    def _inputs(record: Record, key: str) -> set[tuple[str, str]]:
        """Raw files and parameters behind a quantity or verdict, each with its kind."""
        if key not in record.q and key not in record.verdicts:
            return set()
        names = {name for start in record.named(key) for name in record.behind(start)}
        files = {("raw file", cell["file"]) for name in names for cell in record.raw_inputs(name)}
        steps = {record.q[name].step for name in names} & STEPS.keys()
        return files | {("parameter", name) for step in steps for name in STEPS[step].parameters}


def _remarks(before: Path, record: Mapping[str, Any]) -> list[str]:
    """What limits the certificate: files that are not as they were committed, or as the run left them."""
    said = []
    if record.get("git", {}).get("dirty"):
        said.append("The checkout that ran has uncommitted changes.")
    if before == paths.published().resolve():
        changed = scratch.changed_files(before, paths.notebooks())
        said += [f"Published files have uncommitted changes: {_few(changed)}."] if changed else []
    elif changed_since := records.changed_since(before, records.read(before)):
        said.append(f"The run verified against is not as it ended: {_few(changed_since)} changed since.")
    return said


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _made(record: Mapping[str, Any], manner: runs.Manner) -> dict[str, str]:
    """How the new run was made, in words."""
    git = record.get("git") or {}
    began, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    given = [f"{name} {value}" for name, value in _other_than_defaults(record).items()]
    return {
        "run": f"{record['run_id']}, {began:%Y-%m-%d %H:%M} UTC",
        "parameters": ", ".join(given) or "defaults",
        "commit": f"{git['commit']}{', with uncommitted changes' if git['dirty'] else ''}" if git else "none recorded",
        "lock": record["lock"] or "none",
        "Python": f"{record['python']} on {record['platform']}, {len(record['packages'])} packages",
        "environment": scratch.told(),
        "network": offline.told(),
        "time": f"{(ended - began).total_seconds():.0f} s; at most {manner.run:g} s were allowed",
    }
