"""Small words that follow from numbers; figures and narrative share them.

Each word of direction, size or rank has its rule here, once. The numbers that a rule compares are those
that a reader sees, at their printed precision.
"""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from itertools import pairwise

from anime_growth.languages import ENGLISH, WITHOUT_SPACES, say, spoken

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
CARDINALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
# Multiples that have a word of their own.
MULTIPLES = {2: "double", 3: "triple"}
# A ratio this near to a whole number is "about" it; up to this far below one it is "nearly" it.
ABOUT, NEARLY = 0.02, 0.1
# A majority is more than this [%].
HALF = 50
# More changes of lead than this are counted, not told one by one.
MOST_CHANGES = 4


# --- numbers ------------------------------------------------------------------------------------
def short_ordinal(rank: int) -> str:
    """A rank in digits.

    >>> [short_ordinal(rank) for rank in (1, 2, 3, 11, 22)]
    ['1st', '2nd', '3rd', '11th', '22nd']
    """
    if spoken() != ENGLISH:
        return say("number {rank}", rank=rank)
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def ordinal(rank: int) -> str:
    """A rank in words as far as these stay short.

    >>> ordinal(4), ordinal(22)
    ('fourth', '22nd')
    """
    is_short = spoken() == ENGLISH and 1 <= rank <= len(ORDINALS)
    return ORDINALS[rank - 1] if is_short else short_ordinal(rank)


def cardinal(count: int) -> str:
    """A small count in words, a larger one in digits.

    >>> cardinal(1), cardinal(47)
    ('one', '47')
    """
    return CARDINALS[count] if spoken() == ENGLISH and 0 <= count < len(CARDINALS) else str(count)


def how_many(count: int) -> str:
    """A count that stands alone.

    >>> how_many(0), how_many(3)
    ('none', 'three')
    """
    return cardinal(count) if count else say("none")


def counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "source"), counted(2, "year")
    ('one source', 'two years')
    """
    return say(f"{{count}} {noun if count == 1 else noun + 's'}", count=cardinal(count))


def part_of(part: int, whole: int) -> str:
    """How many of a few things.

    >>> part_of(5, 6), part_of(6, 6), part_of(0, 6), part_of(2, 2)
    ('five of the six', 'all six', 'none of the six', 'both')
    """
    if part == whole:
        return say("both") if whole == 2 else say("all {whole}", whole=cardinal(whole))
    return say("{part} of the {whole}", part=how_many(part), whole=cardinal(whole))


def odds(percent: float) -> str:
    """How often an interval should hold, from its name in per cent.

    >>> odds(80), odds(95), odds(50)
    ('four times in five', '19 times in 20', 'one time in two')
    """
    odd = Fraction(percent).limit_denominator(100) / 100
    return say("{times} in {all}", times=counted(odd.numerator, "time"), all=cardinal(odd.denominator))


def multiple(ratio: float) -> str:
    """How many times as much, from nearly double on; no word for less.

    Within ABOUT of a whole number "about", at most NEARLY below the next "nearly", else "more than" the last.

    >>> [multiple(ratio) for ratio in (1.99, 2.5, 2.8, 3.33, 5.83, 1.5)]
    ['about double', 'more than double', 'nearly triple', 'more than triple', 'nearly six times', '']
    """
    whole = round(ratio)
    if whole and abs(ratio / whole - 1) <= ABOUT:
        said = "about"
    elif whole and -NEARLY <= ratio / whole - 1 < 0:
        said = "nearly"
    else:
        said, whole = "more than", int(ratio)
    if whole < min(MULTIPLES):
        return ""
    return say(f"{said} {MULTIPLES.get(whole, '{count} times')}", count=cardinal(whole))


# --- directions ---------------------------------------------------------------------------------
def by_comparison(left: float, right: float, more: str, less: str, same: str) -> str:
    """One of three words, by which of two numbers is the larger."""
    return more if left > right else less if left < right else same


def moved(change: float) -> str:
    """What something did, from its printed change.

    >>> moved(2.8), moved(-12.0), moved(0.0)
    ('rose', 'fell', 'stayed level')
    """
    return say(by_comparison(change, 0, "rose", "fell", "stayed level"))


def had_moved(change: float) -> str:
    """What something had done before.

    >>> had_moved(2.8), had_moved(-12.0), had_moved(0.0)
    ('risen', 'fallen', 'stayed level')
    """
    return say(by_comparison(change, 0, "risen", "fallen", "stayed level"))


def pace(now: float, before: float) -> str:
    """What growth did, from that of two years running; nothing is said unless both rose.

    >>> pace(26.0, 18.0), pace(18.0, 26.0), pace(18.0, 18.0), pace(26.0, -3.0)
    ('accelerated from', 'slowed from', 'stayed at', '')
    """
    return (
        say(by_comparison(now, before, "accelerated from", "slowed from", "stayed at")) if min(now, before) > 0 else ""
    )


def speed(left: float, right: float) -> str:
    """Growth beside other growth; nothing is said unless both rose.

    >>> speed(9.1, 14.8), speed(9.1, -1.0)
    ('slower than', '')
    """
    return say(by_comparison(left, right, "faster than", "slower than", "as fast as")) if min(left, right) > 0 else ""


def amount(left: float, right: float) -> str:
    """Size beside size.

    >>> amount(3.9, 14.3), amount(14.3, 14.3)
    ('less than', 'as much as')
    """
    return say(by_comparison(left, right, "more than", "less than", "as much as"))


def gap(now: float, before: float) -> str:
    """What a gap between two things did.

    >>> gap(4997, 979), gap(979, 979)
    ('widened', 'stayed level')
    """
    return say(by_comparison(now, before, "widened", "narrowed", "stayed level"))


def position(value: float, mark: float) -> str:
    """Where a value lies.

    >>> position(-0.9, 0), position(8.3, 0)
    ('below', 'above')
    """
    return by_comparison(value, mark, "above", "below", "level with")


# --- leads --------------------------------------------------------------------------------------
def lead_changes(leads: Mapping[int, float]) -> dict[int, int]:
    """Years in which a lead changed from the year before, with its sign since: 1 ahead, 0 level, -1 behind.

    `leads` has a lead by year; what happened across a missing year has no date and is left out.

    >>> lead_changes({2019: -5, 2020: 3, 2021: 0, 2023: -2})
    {2020: 1, 2021: 0}
    """
    signs = {year: _sign(lead) for year, lead in sorted(leads.items())}
    return {year: sign for year, sign in signs.items() if signs.get(year - 1, sign) != sign}


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def lead_story(leads: Mapping[int, float], other: str) -> str:
    """What a lead over `other` did in the last run of years without a gap; empty where it kept its sign.

    >>> lead_story({2018: -5, 2019: 3, 2020: -1, 2021: 2}, "domestic")
    'passed domestic in 2019, fell behind again in 2020 and took the lead back in 2021'
    """
    first = max((year for year in leads if year - 1 not in leads), default=0)
    run = {year: lead for year, lead in sorted(leads.items()) if year >= first}
    led = [lead > 0 for lead in run.values() if lead]
    places = sum(now != before for before, now in pairwise(led))
    if places > MOST_CHANGES:
        times = counted(places, "time")
        return say("changed places with {other} {times} from {first} to {last}", other=say(other), times=times,
                   first=first, last=max(run))  # fmt: skip
    told = []
    for year, sign in lead_changes(run).items():
        again = any(_sign(lead) == sign for before, lead in run.items() if before < year)
        said = {
            1: "took the lead back in {year}" if again else "passed {other} in {year}",
            0: "was level with {other} in {year}",
            -1: "fell behind again in {year}" if again else "fell behind in {year}",
        }
        told.append(say(said[sign], other=say(other), year=year))
    return listed(told)


# --- ranks and shares ---------------------------------------------------------------------------
def ranked(words: str, rank: int) -> str:
    """A superlative with its rank.

    >>> ranked("fastest", 1), ranked("fastest year", 2)
    ('the fastest', 'the second-fastest year')
    """
    return say(f"the {words}") if rank == 1 else say(f"the {{rank}}-{words}", rank=ordinal(rank))


def share_of(percent: float) -> str:
    """What part of a whole a printed share is, where there is a word for it.

    >>> share_of(90.7), share_of(100.0), share_of(120.5), share_of(50.0)
    ('most of', 'all of', 'more than all of', '')
    """
    return say(by_comparison(percent, 100, "more than all of", "most of", "all of")) if percent > HALF else ""


# --- sentences ----------------------------------------------------------------------------------
def listed(items: list[str]) -> str:
    """Items joined by commas and a last `and`.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if spoken() in WITHOUT_SPACES:
        return say(", ").join(items)
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def capital(text: str) -> str:
    """`text` with its first letter large, the others as they are.

    >>> capital("log-linear AR(1) trend")
    'Log-linear AR(1) trend'
    """
    return text[:1].upper() + text[1:]


def one_line(text: object) -> str:
    """`text` in one line; what cannot be printed, such as a control character, is a space.

    >>> one_line("Guests,\\n  million\\x1b")
    'Guests, million'
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())


def day(day: date) -> str:
    """A day in words.

    >>> day(date(2025, 10, 29))
    '29 October 2025'
    """
    if spoken() != ENGLISH:
        return say("day {day} of month {month} of {year}", day=day.day, month=day.month, year=day.year)
    return f"{day.day} {day:%B %Y}"
