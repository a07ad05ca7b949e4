"""Small words that figures and narrative share."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
CARDINALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def short_ordinal(rank: int) -> str:
    """A rank in digits.

    >>> [short_ordinal(rank) for rank in (1, 2, 3, 11, 22)]
    ['1st', '2nd', '3rd', '11th', '22nd']
    """
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def ordinal(rank: int) -> str:
    """A rank in words as far as these stay short.

    >>> ordinal(4), ordinal(22)
    ('fourth', '22nd')
    """
    return ORDINALS[rank - 1] if 1 <= rank <= len(ORDINALS) else short_ordinal(rank)


def cardinal(count: int) -> str:
    """A small count in words, a larger one in digits.

    >>> cardinal(1), cardinal(47)
    ('one', '47')
    """
    return CARDINALS[count] if 0 <= count < len(CARDINALS) else str(count)


def listed(items: list[str]) -> str:
    """Items joined by commas and a last `and`.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def capital(text: str) -> str:
    """`text` with its first letter large, the others as they are.

    >>> capital("log-linear AR(1) trend")
    'Log-linear AR(1) trend'
    """
    return text[:1].upper() + text[1:]
