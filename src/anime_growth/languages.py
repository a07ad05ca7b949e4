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
from itertools import count
from pathlib import Path
from string import Formatter

from anime_growth import paths
from anime_growth.errors import InputError

ENGLISH = "en"
TEMPLATES = Path(__file__).parent / "templates"
# Language -> its catalogues, named in full, so that a step runs again when one that it reads has changed.
CATALOGUES = {
    ENGLISH: (),
    "ja": (
        *("words.ja.yml", "figures.ja.yml", "report.ja.yml"),
        *("labels.ja.yml", "claims.ja.yml", "doubts.ja.yml", "codebook.ja.yml"),
    ),
}
# The font of those that common fonts cannot write: its name, its package and its file there.
FONTS = {"ja": ("IPAexGothic", "matplotlib_fontja", "fonts/ipaexg.ttf")}
# Those that group numbers by ten thousands, each power with a name: 2.17 trillion is 2 cho 1702 oku.
BY_TEN_THOUSANDS = ("ja",)
# Those whose words stand without spaces between them.
WITHOUT_SPACES = ("ja",)

AGAIN = "Restore it with `git checkout`"
_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """What is said inside, is said in `language`; undone on leaving.

    Raises InputError, before anything is said, where a catalogue of it is missing or damaged.

    >>> with speaking("ja"):
    ...     say("overseas")
    '海外'
    >>> say("overseas")
    'overseas'
    """
    for name in CATALOGUES[language]:
        catalogue(name)
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
    text = translation(english) or english
    try:
        return text.format(**values) if values else text
    except KeyError as problem:
        raise InputError(f"the text {text!r} in language {spoken()}", f"asks for {problem}", AGAIN) from problem


def translation(english: str) -> str | None:
    """What the catalogues of the language of now have for a text; its {fields} are left as they are."""
    known = (catalogue(name) for name in CATALOGUES[spoken()])
    return next((texts[english] for texts in known if english in texts), None)


@cache
def catalogue(name: str) -> Mapping[str, str]:
    """English text -> its translation, of one catalogue. Raises InputError where it is missing or damaged."""
    return dict(_read(TEMPLATES / name))


def _read(path: Path) -> Iterator[tuple[str, str]]:
    """The pairs of a catalogue, each with the same {fields} on both sides."""
    import yaml  # only where another language is asked for

    try:
        pairs = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as problem:
        raise InputError(paths.shown(path), f"cannot be read ({' '.join(str(problem).split())})", AGAIN) from problem
    if not isinstance(pairs, dict):
        raise InputError(paths.shown(path), "is no list of texts, each with its translation", AGAIN)
    for english, told in pairs.items():
        where = f"{paths.shown(path)}, {english!r}"
        if not (isinstance(english, str) and isinstance(told, str)):
            raise InputError(where, "is no text with a text", "Put both in quotation marks")
        try:
            asked, given = fields(english), fields(told)
        except ValueError as problem:
            raise InputError(
                where, f"is no text to fill in ({problem})", "Write {name} for what is filled in"
            ) from None
        if lost := asked - given:
            raise InputError(where, f"loses {', '.join(sorted(lost))}", "Keep every {name} in the translation")
        # More than the English text names may be at hand where that names any; `say` refuses what is not.
        if not asked and given:
            raise InputError(where, f"asks for {', '.join(sorted(given))}, which is not given", "Take it out")
        yield english, told


def fields(text: str) -> set[str]:
    """Names of what is filled into a text, in curly brackets; those without a name by their numbers.

    >>> sorted(fields("{} of {} in {year}"))
    ['{0}', '{1}', '{year}']
    """
    names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    unnamed = count()
    return {f"{{{name or next(unnamed)}}}" for name in names}


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
