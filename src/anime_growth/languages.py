"""The languages in which results are told, and what an English text reads in each.

English texts stand where they are made. A translation stands beside the English text that it renders, in
the catalogues under `templates/`; a text that no catalogue knows is told in English. Texts that run
over paragraphs (narrative, finding, limits) have a template for each language instead.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from anime_growth.errors import InputError

ENGLISH = "en"
TEMPLATES = Path(__file__).parent / "templates"
# Language -> its catalogues, named in full, so that a step runs again when one that it reads has changed.
CATALOGUES = {
    ENGLISH: (),
    "ja": ("words.ja.yml", "figures.ja.yml", "report.ja.yml"),
}
# The font of those that common fonts cannot write: its name, its package and its file there.
FONTS = {"ja": ("IPAexGothic", "matplotlib_fontja", "fonts/ipaexg.ttf")}
# Those that group numbers by ten thousands, each power with a name: 2.17 trillion is 2 cho 1702 oku.
BY_TEN_THOUSANDS = ("ja",)
# Those whose words stand without spaces between them.
WITHOUT_SPACES = ("ja",)

_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """What is said inside, is said in `language`; undone on leaving.

    >>> with speaking("ja"):
    ...     say("overseas")
    '海外'
    >>> say("overseas")
    'overseas'
    """
    before = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(before)


def spoken() -> str:
    """The language of now."""
    return _spoken.get()


def say(english: str, **values: object) -> str:
    """`english` in the language of now, each {name} in it replaced by its value.

    >>> say("{count} years", count="two")
    'two years'
    """
    text = _catalogue(spoken()).get(english, english)
    return text.format(**values) if values else text


@cache
def _catalogue(language: str) -> Mapping[str, str]:
    """English text -> the same in `language`."""
    found: dict[str, str] = {}
    for name in CATALOGUES[language]:
        import yaml  # only where another language is asked for

        found |= yaml.safe_load((TEMPLATES / name).read_text(encoding="utf-8"))
    return found


def font_file() -> Path | None:
    """The file of the font that the language of now needs; none where common fonts do.

    Only the package's file is used: to import the package would change matplotlib's settings for good.
    """
    if spoken() not in FONTS:
        return None
    _, package, file = FONTS[spoken()]
    found = find_spec(package)
    if found is None or found.origin is None:
        raise InputError(f"language {spoken()}", f"its font's package {package} is missing", "Run `make .venv/ready`")
    return Path(found.origin).parent / file
