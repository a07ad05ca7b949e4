"""Which claims of the articles are true: the figure of notebook 5."""

import math
from typing import Any

import pandas as pd
from matplotlib.patches import FancyBboxPatch

from anime_growth.figures.drawing import BLACK, INK, VERDICTS, Drawing, canvas, dark, finish, folded, need, themed
from anime_growth.languages import say
from anime_growth.words import capital, cardinal, listed


@themed
def verdicts(verdicts: pd.DataFrame) -> Drawing:
    """One tile for each claim of each article, in rows by verdict."""
    need(len(verdicts), "there are no claims")
    order = [*VERDICTS, *sorted(set(verdicts["verdict"]) - set(VERDICTS))]
    data = verdicts.assign(place=verdicts["verdict"].map(order.index)).sort_values(
        ["place", "article", "kind", "claim_id"]
    )
    articles = data["article"].nunique()
    across, wide, high, left = 10, 0.58, 0.44, 0.55  # tiles a row; inches
    groups = [(name, part) for name in order if len(part := data[data["verdict"] == name])]
    depth = sum(math.ceil(len(part) / across) * high + 0.18 for _, part in groups)
    figure, (ax,) = canvas(depth + 0.1)
    tile: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "alpha": 0.85, "edgecolor": "none"}
    # Words inside their tile take no room of their own.
    centred: dict[str, Any] = {"ha": "center", "va": "center", "color": BLACK, "in_layout": False}
    top = 0.0
    for name, part in groups:
        colour, words = VERDICTS.get(name, INK), "\n".join(folded(capital(say(name)), 15))
        strong: dict[str, Any] = {"va": "center", "fontweight": "bold", "color": dark(colour)}
        ax.text(-0.75, top + high / 2, str(len(part)), ha="right", fontsize=20, **strong)
        ax.text(-0.68, top + high / 2, words, linespacing=1.1, **strong)
        for number, row in enumerate(part.itertuples()):
            x, y = left + number % across * wide, top + number // across * high
            ax.add_patch(FancyBboxPatch((x, y), wide - 0.06, high - 0.06, facecolor=colour, **tile))
            ax.text(x + wide / 2 - 0.03, y + 0.15, row.claim_id, fontweight="bold", **centred)
            ax.text(x + wide / 2 - 0.03, y + 0.29, say(row.kind), fontsize=6, **centred)
        top += math.ceil(len(part) / across) * high + 0.18
    ax.set(xlim=(-1.1, left + across * wide), ylim=(top - 0.1, -0.05))
    ax.set_axis_off()
    counts = listed(
        [
            say(
                "{count} are {verdict}" if len(part) > 1 else "{count} is {verdict}", count=len(part), verdict=say(name)
            )
            for name, part in groups
        ]
    )
    title = say("Of {claims} claims, {counts}", claims=len(data), counts=counts)
    order_words = say("One tile for each claim, ordered by kind; ids as in verdicts.csv.")
    if articles > 1:
        of = cardinal(articles)
        title = say("Of {claims} claims of {articles} articles, {counts}", claims=len(data), articles=of, counts=counts)
        order_words = say("One tile for each claim, ordered by article and kind; ids as in verdicts.csv.")
    return finish(
        "verdicts", figure, data, title, order_words,
        say("Tiles with the number and kind of each claim, in a row for each verdict."),
        say("the articles' claims, judged by the rules next to them"),
    )  # fmt: skip
