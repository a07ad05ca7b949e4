"""What a shell offers where it is asked to complete a word: runs, parameters, quantities and claims.

Each function takes what was typed so far and gives words with what they are, or words alone. What cannot
be read offers nothing: a prompt is no place for an error.
"""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from anime_growth import paths
from anime_growth.errors import InputError

Offered = str | tuple[str, str]


def _begun(words: Iterator[Offered], incomplete: str) -> list[Offered]:
    """Those of `words` that begin with what was typed; as many as can be read."""
    found = []
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
        for offered in words:
            if (offered if isinstance(offered, str) else offered[0]).startswith(incomplete):
                found.append(offered)
    return found


def runs(incomplete: str) -> list[Offered]:
    """What names a run: published, latest, or the id of a finished one, newest first."""
    return _begun(_runs(), incomplete)


def _runs() -> Iterator[Offered]:
    from anime_growth import records

    yield "published", "the committed results"
    if (paths.runs() / "latest").exists():
        yield "latest", "the newest run here"
    for run in records.all_runs():
        if run.exit_class == "done":
            yield run.run_id, _changed(run.record)


def _changed(record: Any) -> str:
    """The parameters of a run that are not the defaults, in words."""
    from anime_growth.parameters import Parameters

    defaults = Parameters().model_dump()
    given = [f"{name}={value}" for name, value in record["parameters"].items() if value != defaults.get(name)]
    return " ".join(given) or "defaults"


def parameters(incomplete: str) -> list[Offered]:
    """Every parameter with its default, and with the other values that are known by name."""
    return _begun(_parameters(), incomplete)


def _parameters() -> Iterator[Offered]:
    from anime_growth.parameters import Parameters

    known = {"series": _series, "articles": _articles}
    for name, field in Parameters.model_fields.items():
        others = [value for value in get_args(field.annotation) if isinstance(value, str)]
        for value in dict.fromkeys([str(field.default), *others, *known.get(name, list)()]):
            yield f"{name}={value}", field.description or ""


def _series() -> list[str]:
    """Series that the published results have levels of."""
    with (paths.published() / "tables" / "series_levels.csv").open(encoding="utf-8", newline="") as file:
        return [row["series"] for row in csv.DictReader(file)]


def _articles() -> list[str]:
    """Folders of articles."""
    return sorted(path.name for path in (paths.raw() / "articles").iterdir() if path.is_dir())


def keys(incomplete: str) -> list[Offered]:
    """Keys of the published quantities, and of the claims that are judged."""
    return _begun(_keys(), incomplete)


def _keys() -> Iterator[Offered]:
    published = paths.published()
    yield from json.loads((published / "quantities.json").read_text(encoding="utf-8"))
    with (published / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield f"claim.{row['article']}.{row['claim_id']}"


def statuses(incomplete: str) -> list[Offered]:
    """How a run may have ended."""
    return _begun(_statuses(), incomplete)


def _statuses() -> Iterator[Offered]:
    from anime_growth import housekeeping

    yield from housekeeping.CLASSES


def editions(incomplete: str) -> list[Offered]:
    """Folders of the new figures that lie under data/raw, as they are typed."""
    return _begun(_editions(), incomplete)


def _editions() -> Iterator[Offered]:
    for folder in sorted(path for path in paths.raw().glob("*/*") if path.is_dir()):
        yield Path(paths.shown(folder)).as_posix()


# --- bash -------------------------------------------------------------------------------------------
def let_bash_complete_values() -> None:
    """Let bash complete what stands behind a `=`, where it cuts words, when it asks for completions.

    typer takes its pieces for words, so that no `name=value` was ever completed; and bash puts an answer behind
    the `=`, so that only the value may be given.
    """
    if os.environ.get("_ANIME_GROWTH_COMPLETE") != "complete_bash":
        return
    from typer._completion_classes import BashComplete, add_completion_class

    class Whole(BashComplete):
        cut = ""

        def get_completion_args(self) -> tuple[list[str], str]:
            pieces = os.environ["COMP_WORDS"].split("\n")
            pieces = pieces[: int(os.environ["COMP_CWORD"]) + 1]
            words: list[str] = []
            for before, piece in zip(["", *pieces], pieces, strict=False):
                if words and "=" in (before, piece):
                    words[-1] += piece
                else:
                    words.append(piece)
            if "=" in pieces[-2:]:
                self.cut = words[-1].rpartition("=")[0] + "="
            return words[1:-1], words[-1]

        def format_completion(self, item: Any) -> str:
            return super().format_completion(item).removeprefix(self.cut)

    add_completion_class(Whole, "bash")
