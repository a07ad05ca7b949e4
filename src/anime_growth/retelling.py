"""English texts that results keep, such as labels, amounts and reasons, told again in the language of now.

Tables and quantities are English whatever the language, so that runs can be compared; pages and papers show
them as their readers speak. A catalogue's text with {slots} tells again every text of that form, and what
stands in the slots too.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from string import Formatter

from anime_growth import units
from anime_growth.languages import CATALOGUES, ENGLISH, catalogue, say, speaking, spoken, translation

# Catalogues, named without language, whose texts with {slots} are forms; elsewhere slots are filled where one is said.
FORMS = ("labels", "claims", "doubts")
# Letters of the longest text that is told again, twice what the longest of the study has; to try the parts of a longer
# one takes time that grows with its square.
LONGEST = 1000
# Amounts as units.in_words writes them.
_NUMBER = re.compile(r"[−-]?[0-9][0-9,]*(?:\.[0-9]+)?")


def retold(text: str) -> str:
    """`text` in the language of now; as it is where no catalogue knows it, whole or in its parts.

    >>> with speaking("ja"):
    ...     retold("JPY 2.17 trillion"), retold("rank of the overseas anime market of 2024 among 23 years")
    ('2兆1700億円', 'アニメの海外市場の金額の順位、2024年（23年中）')
    """
    return text if spoken() == ENGLISH else _retold(text, spoken())


def each_retold(cell: str) -> str:
    """The texts of a table's cell that holds several, each told again."""
    return say("; ").join(map(retold, cell.split("; ")))


@contextmanager
def telling(text: str) -> Iterator[str]:
    """`text` told again, and inside the language in which it could be told, for the numbers that it takes."""
    told = retold(text)
    with speaking(spoken() if told != text else ENGLISH):
        yield told


@cache
def _retold(text: str, language: str) -> str:
    with speaking(language):
        if known := translation(text):
            return known
        if (amount := _amount(text)) is not None:
            return amount
    if len(text) > LONGEST:
        return text
    if (told := _in_parts(text, language, ".", " ")) != text:
        return told
    for form, wanted in _forms(language):
        if match := form.fullmatch(text):
            return wanted.format(**{slot: _retold(told, language) for slot, told in match.groupdict().items()})
    return _in_parts(_in_parts(text, language, "", "; "), language, "", ", ")


def _in_parts(text: str, language: str, end: str, between: str) -> str:
    """Known sentences or items of a list, one after the other; `text` itself where one of them is unknown."""
    for place in reversed([match.start() for match in re.finditer(re.escape(end + between), text)]):
        first, rest = text[: place + len(end)], text[place + len(end + between) :]
        if (told := _retold(first, language)) != first and (more := _retold(rest, language)) != rest:
            with speaking(language):
                return told + (say(between) if between.strip() else "") + more
    return text


def _amount(text: str) -> str | None:
    """An amount with its unit as readers of the language write it; a bare number is no amount."""
    for unit in units.UNITS.values():
        before, _, after = unit.text.partition("{}")
        if not (before or after) or not (text.startswith(before) and text.endswith(after)):
            continue
        number = text[len(before) : len(text) - len(after)]
        if _NUMBER.fullmatch(number):
            digits = len(number.partition(".")[2])
            return units.in_words(float(number.replace(",", "").replace("−", "-")), unit, digits)
        # A sum that an article states stays one.
        if re.fullmatch(rf"{_NUMBER.pattern}(?: \+ {_NUMBER.pattern})+", number):
            return say(unit.text).format(number)
    return None


def _slot(name: str) -> str:
    """What a slot catches: {number} a number, any other the fewest letters that will do."""
    return f"(?P<{name}>{'[0-9][0-9.,]*' if name == 'number' else '.+?'})"


@cache
def _forms(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Forms with what they read in `language`, those of most letters first, as they leave least to the slots."""
    found = []
    for name in (name for name in CATALOGUES[language] if name.split(".")[0] in FORMS):
        for english, told in catalogue(name).items():
            parts = [(letters, slot) for letters, slot, _, _ in Formatter().parse(english)]
            slots = [slot for _, slot in parts if slot is not None]
            if slots and all(slot.isidentifier() for slot in slots):  # a {key.of.a.quantity} is filled later
                form = "".join(re.escape(letters) + (_slot(slot) if slot else "") for letters, slot in parts)
                found.append((sum(len(letters) for letters, _ in parts), re.compile(form), told))
    return [(form, told) for _, form, told in sorted(found, key=lambda one: -one[0])]
