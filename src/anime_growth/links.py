"""Numbers and sources as HTML: each number a link to its place on the trace page, everything escaped.

What a number is and where it comes from is written once in a page, as the tip `tip-<key>` that all
links to the same key share; see report.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from anime_growth import rules
from anime_growth.quantities import Quantity
from anime_growth.retelling import telling

TRACE_PAGE = "trace.html"


def fragment(name: str) -> str:
    """The part of an address that leads to the element called `name`.

    >>> fragment("market.overseas.growth.2024"), fragment('a"b')
    ('#market.overseas.growth.2024', '#a%22b')
    """
    return f"#{quote(name, safe='')}"


def number(key: str, text: str) -> Markup:
    """`text` as a link to the trace of `key`, described by its tip.

    >>> number("fx.usdjpy.level.2024", "151.46")
    Markup('<a class="n" href="trace.html#fx.usdjpy.level.2024" data-key="fx.usdjpy.level.2024" \
aria-describedby="tip-fx.usdjpy.level.2024">151.46</a>')
    """
    link = '<a class="n" href="{}" data-key="{}" aria-describedby="tip-{}">{}</a>'
    return Markup(link).format(TRACE_PAGE + fragment(key), key, key, text)


def breakable(key: str) -> Markup:
    """`key` as HTML whose lines may break after each dot and underscore.

    >>> breakable("price_level.cpi")
    Markup('price_<wbr>level.<wbr>cpi')
    """
    return Markup("<wbr>").join(re.split(r"(?<=[._])", key))


def filled(sentence: str, q: Mapping[str, Quantity]) -> Markup:
    """`sentence` with every {key}, or {key|bn} in another unit of money, replaced by the linked number.

    What stands in braces and is no key of `q` stays as it is.
    """

    def linked(key: str, unit: str) -> str:
        return number(key, q[key].text_in(unit)) if key in q else f"{{{key}{'|' if unit else ''}{unit}}}"

    return Markup(rules.filled(str(Markup.escape(sentence)), linked))


def told(sentence: str, q: Mapping[str, Quantity]) -> Markup:
    """A sentence that results keep, told again in the language of now, its numbers linked."""
    with telling(sentence) as again:
        return filled(again, q)


def keys_in(page: str) -> list[str]:
    """Keys of all linked numbers of a page, each once, in the order of their first place."""
    found = re.findall(r'data-key="([^"]+)"', page)
    return [str(Markup(key).unescape()) for key in dict.fromkeys(found)]


def web_address(url: str) -> str:
    """`url` if it is a whole http or https address, else nothing: no other kind becomes a link.

    >>> web_address("https://aja.gr.jp/"), web_address("javascript:alert(1)"), web_address("file.txt")
    ('https://aja.gr.jp/', '', '')
    >>> web_address(" https://aja.gr.jp/ ")
    'https://aja.gr.jp/'
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.netloc else ""


def title(row: Mapping[str, str]) -> Markup:
    """The title of a source in the register, leading to its address on the web."""
    url = web_address(row["url"])
    return Markup('<a href="{}">{}</a>').format(url, row["title"]) if url else Markup.escape(row["title"])


def source(row: Mapping[str, str]) -> Markup:
    """A row of the register in words: title, publisher and date; the title leads to its address on the web."""
    rest = ", ".join(part for part in (row["publisher"], row["published_on"]) if part)
    return title(row) + f", {rest}" + ("" if web_address(row["url"]) else f"; {row['url']}")


def split(cell: str) -> list[str]:
    """The parts of a table's cell that holds several keys or ids.

    >>> split("S001; S002"), split("")
    (['S001', 'S002'], [])
    """
    return [part for part in cell.split("; ") if part]
