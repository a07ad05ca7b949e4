"""Slips in the raw figures: each cell under a published text is spoiled in every way, and something notices.

The published table of slips is made anew, one raw file a test, and must come out the same.
"""

import pandas as pd
import pytest

from anime_growth import canary, cells, doubts, paths, units

PUBLISHED = pd.read_csv(paths.published() / doubts.CANARY, dtype=str, keep_default_na=False)
FILES = PUBLISHED["cell"].str.split("?").str[0]


def test_the_published_table_is_of_every_cell_under_the_finding_and_the_narrative():
    under = dict(zip(PUBLISHED["cell"], PUBLISHED["under"], strict=True))
    assert under == canary.headline_cells(paths.published())
    assert list(under.values()).count("finding") > 100


def test_every_figure_is_spoiled_in_every_way():
    for cell, made in PUBLISHED.groupby("cell")["change"]:
        row = canary._row_of(cell, canary.rows_of(cell.split("?")[0]))
        text, expected = row[cells.parse(cell)["column"]], {canary.DELETED}
        if any(letter.isdigit() for letter in text):
            expected |= {canary.TENTH, *([canary.UNIT] if units.RAW_UNITS[row["unit"]] else [])}
            assert set(made) & {canary.SWAPPED, canary.LAST_DIGIT}, cell
        else:
            expected |= {canary.LETTERS}
        assert expected <= set(made), cell


def test_every_slip_is_noticed_but_those_that_are_let_stand_with_a_reason():
    missed = PUBLISHED[PUBLISHED["noticed_by"] == ""][["cell", "change", "after", "reason"]]
    declared = [(item.slip.cell, item.slip.change, item.slip.after, item.reason) for item in canary.HARMLESS]
    assert sorted(missed.itertuples(index=False, name=None)) == sorted(declared)
    assert set(PUBLISHED["noticed_by"]) - {""} <= set(doubts.NOTICES)


@pytest.mark.parametrize("file", FILES.unique())
def test_the_published_table_of_slips_comes_out_the_same(file):
    made = canary.table(paths.published(), [file])
    assert made.to_csv(index=False) == PUBLISHED[FILES.eq(file)].to_csv(index=False)
