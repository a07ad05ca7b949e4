"""Where things lie, whatever folder a notebook or command is started from.

Paths are functions, not constants, so that the environment variables are read at the time of use:
ANIME_GROWTH_HOME moves the whole study (tests work on copies), ANIME_GROWTH_RUN names the folder
that a chain of notebooks reads from and writes to, ANIME_GROWTH_RUNS the folder in which runs appear
(a sweep keeps its own).
"""

import os
from pathlib import Path

# Asked for often, and where a file lies takes the disk to say.
_HERE = Path(__file__).resolve().parents[2]
HOME_VARIABLE = "ANIME_GROWTH_HOME"
RUN_VARIABLE = "ANIME_GROWTH_RUN"
RUNS_VARIABLE = "ANIME_GROWTH_RUNS"
PART_VARIABLE = "ANIME_GROWTH_PART"  # for which step of the run a process works


def home() -> Path:
    """Top folder of the study: the one with README.md, notebooks/ and data/."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(os.path.realpath(chosen)) if chosen else _HERE  # `resolve` fails for links in a circle


def raw() -> Path:
    """Figures as printed; nothing in this package writes here."""
    return home() / "data" / "raw"


def published() -> Path:
    """The committed reference results."""
    return home() / "data" / "processed" / "published"


def runs() -> Path:
    """All runs on this machine, ignored by git; those of a sweep lie in the sweep's folder."""
    chosen = os.environ.get(RUNS_VARIABLE)
    return Path(chosen).resolve() if chosen else home() / "data" / "processed" / "runs"


def sweeps() -> Path:
    """All sweeps on this machine, ignored by git."""
    return home() / "data" / "processed" / "sweeps"


def notebooks() -> Path:
    """The six notebooks."""
    return home() / "notebooks"


def current_run() -> Path:
    """Folder the notebooks read from and write to: the chain's, or `interactive` by hand."""
    chosen = os.environ.get(RUN_VARIABLE)
    return Path(chosen).expanduser().resolve() if chosen else runs() / "interactive"


def shown(path: Path) -> str:
    """`path` as a reader should see it: from the top folder of the study where it lies inside."""
    try:
        return Path(os.path.realpath(path)).relative_to(home()).as_posix()
    except ValueError:
        return path.as_posix()
