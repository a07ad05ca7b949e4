"""The canary: which slips it makes, that it leaves the figures alone, and what the report says of it."""

import os

import pandas as pd
import pytest

from anime_growth import canary, cells, checks, doubts, paths, report, sources, units
from anime_growth.canary import Slip
from anime_growth.errors import InputError

EDITIONS = "aja/2025/aja_market_editions.csv"
RATES = "exchange_rates/2026-10-30/usdjpy_annual.csv"
PRICES = "consumer_prices/2026-01-23/japan_cpi_annual.csv"
CLAIMS = "articles/anime_overtakes_autos/2025-11/claims.csv"
LEVEL = f"{EDITIONS}?year=2010&series=broad_overseas&edition=2025#value"
RATE = f"{RATES}?year=2010&method=FRED+AEXJPUS+annual+average+%28of+daily+noon+rates%29#usdjpy"
PRICE = f"{PRICES}?year=2010&series=all_items_index_2020_100#value"


@pytest.fixture(scope="module")
def watch():
    return canary.Watch(paths.published())


def of(cell):
    return {slip.change: slip for slip in canary.slips(cell, canary.rows_of(cell.split("?")[0]))}


# --- which slips ------------------------------------------------------------------------------------
def test_a_figure_is_mistyped_in_the_four_ways_of_a_transcriber():
    assert [(slip.change, slip.column, slip.before, slip.after) for slip in of(LEVEL).values()] == [
        ("value x 1.1", "value", "2867", "3153.7"),
        ("digits swapped", "value", "2867", "2876"),
        ("row deleted", "value", "2867", ""),
        ("unit swapped", "unit", "100 million JPY", "billion JPY"),
    ]


def test_a_unit_is_confused_with_one_of_its_kind_and_with_one_of_its_column():
    found = [slip.after for slip in canary.slips(PRICE, canary.rows_of(PRICES)) if slip.change == canary.UNIT]
    assert len(found) == 2 and "% yoy" in found
    for label, unit in units.RAW_UNITS.items():
        for other in canary._other_units(label, list(units.RAW_UNITS)):
            assert unit and units.RAW_UNITS[other] not in (None, unit)
    assert canary._other_units("billion USD", ["%", "million USD"]) == ["million USD"]


def test_words_are_mistyped_and_have_no_unit():
    assert list(of(f"{CLAIMS}?claim_id=C22#value")) == ["letters swapped", "row deleted"]
    assert of(f"{CLAIMS}?claim_id=C16#value")["value x 1.1"].after == "2.387 + 1.67"


@pytest.mark.parametrize("digits", ["0", "9", "10", "11", "99.9", "2017.00", "-18", "−3.5"])
def test_a_slip_always_changes_the_figure(digits):
    assert all(after != digits for _, after in canary._mistyped(digits))


# --- the copy ---------------------------------------------------------------------------------------
def test_slips_are_made_in_a_copy_whose_hashes_are_kept_in_step(watch, monkeypatch):
    real, seen = (paths.raw() / EDITIONS).read_bytes(), []

    def look(table):
        seen.append((paths.raw() / EDITIONS).read_bytes())
        assert paths.raw() != real_raw
        (file,) = (file for file in sources.raw_files() if file.reference == EDITIONS)
        assert len(file.rows) == len(canary.rows_of(EDITIONS))
        return {}

    real_raw, environment = paths.raw(), dict(os.environ)
    monkeypatch.setattr(watch, "notices", look)
    told = []
    canary.tried(
        watch, [of(LEVEL)["value x 1.1"], of(LEVEL)["digits swapped"]], lambda *how_many: told.append(how_many)
    )
    assert told == [(1, 2), (2, 2)]
    assert len(set(seen)) == 2 and real not in seen
    assert (paths.raw() / EDITIONS).read_bytes() == real and paths.raw() == real_raw
    assert dict(os.environ) == environment


def test_the_figures_are_left_alone_when_a_slip_breaks_the_study(watch, monkeypatch):
    monkeypatch.setattr(watch, "notices", lambda table: 1 / 0)
    real, environment = paths.raw(), dict(os.environ)
    with pytest.raises(ZeroDivisionError):
        canary.tried(watch, [*of(LEVEL).values()])
    assert paths.raw() == real and dict(os.environ) == environment


# --- what notices -----------------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["aja_market_editions", "aja_production", "usdjpy_annual", "market_cap", "claims"])
def test_nothing_is_noticed_where_nothing_slipped(watch, table):
    assert watch.notices(table) == {}


@pytest.mark.parametrize(
    ("cell", "change", "expected"),
    [
        (LEVEL, "unit swapped", ["schema"]),
        (LEVEL, "row deleted", ["schema"]),
        (LEVEL, "digits swapped", ["identity", "quantity"]),
        (RATE, "value x 1.1", ["identity", "quantity"]),
        (RATE, "digits swapped", ["quantity"]),
        (f"{CLAIMS}?claim_id=C10#value", "value x 1.1", ["verdict", "statement"]),
        (f"{CLAIMS}?claim_id=C22#value", "letters swapped", ["statement"]),
        (f"{CLAIMS}?claim_id=C22#value", "row deleted", ["schema"]),
    ],
)
def test_a_slip_is_noticed_first_by_what_a_run_comes_to_first(watch, cell, change, expected):
    (found,) = canary.tried(watch, [of(cell)[change]])
    assert list(found) == expected
    assert all(found.values())


def test_what_notices_says_what_a_run_would_say(watch, study, edit):
    """The slip made by hand in a copy of the study, and refused by the chain's own functions."""
    slip = of(LEVEL)["digits swapped"]
    edit.row("aja_market_editions.csv", cells.parse(LEVEL)["row"], {"value": slip.after})
    with pytest.raises(InputError) as refused:
        checks.run(canary.clean.clean_all())
    (found,) = canary.tried(watch, [slip])
    assert found["identity"] == refused.value.what


def test_without_the_check_that_guards_it_only_a_published_number_notices(watch, monkeypatch):
    monkeypatch.setattr(checks, "CHECKS", {"price_index_chains": checks.CHECKS["price_index_chains"]})
    (found,) = canary.tried(watch, [of(LEVEL)["digits swapped"]])
    assert list(found) == ["quantity"]
    assert found["quantity"].startswith("market.overseas.level.2010 moves by +0.314 %, and ")


def test_without_anything_published_that_moves_a_slip_goes_unnoticed(watch, monkeypatch):
    monkeypatch.setattr(watch, "_made", [])
    assert canary.tried(watch, [of(RATE)["digits swapped"]]) == [{}]


# --- writing ----------------------------------------------------------------------------------------
def test_the_published_table_stands_again_where_nothing_behind_it_differs(tmp_path, monkeypatch):
    old, new, raw = tmp_path / "old", tmp_path / "new", []
    for folder in (old, new):
        folder.mkdir()
        for name in ("quantities.json", "verdicts.csv"):
            (folder / name).write_text(name)
        (folder / "run.json").write_text('{"parameters": {}, "raw_files": {}, "code": {"a": "1"}}')
    (old / doubts.CANARY).write_text("slips\n")
    monkeypatch.setattr(paths, "published", lambda: old)
    monkeypatch.setattr(canary, "table", lambda folder, tell: raw.append(folder) or pd.DataFrame({"anew": []}))
    canary.write(new)
    assert (new / doubts.CANARY).read_text() == "slips\n" and not raw
    (new / "run.json").write_text('{"parameters": {}, "raw_files": {}, "code": {"a": "2"}}')
    canary.write(new)
    assert (new / doubts.CANARY).read_text() == "anew\n" and raw == [new]


# --- what the report says ---------------------------------------------------------------------------
def row(under, noticed_by, **more):
    slip = {"cell": LEVEL, "change": "digits swapped", "column": "value", "before": "12", "after": "21"}
    rest = {"under": under, "noticed_by": noticed_by, "also_noticed_by": "", "what": "", "reason": ""}
    return {**slip, **rest, **more}


def test_the_report_tells_the_share_and_what_noticed_at_once():
    found = doubts.slips(pd.DataFrame([row("finding", "schema"), row("narrative", "quantity")]))
    tried, finding, every = found["say"]
    assert found["kind"].tolist() == ["what was tried", "share noticed", "share noticed"]
    assert finding.startswith("Of 1 slips in 1 cells 1 (100 %) were noticed in the published run.")
    assert every.startswith("Of 2 slips in 1 cells 2 (100 %) were noticed in the published run.")
    assert "1 (50 %) at once: 1 refused when the figures are read. 1 (50 %) only beside the published" in every
    assert "hashes were kept in step" in tried


def test_the_report_names_what_nothing_notices_with_the_reason():
    slips = [row("finding", "identity")] * 1999 + [row("finding", "", reason="it does not matter")]
    found = doubts.slips(pd.DataFrame(slips))
    assert "Of 2000 slips in 1 cells 1999 (99.9 %)" in found["say"].iloc[1]
    (missed,) = found[found["kind"] == "not noticed"]["say"]
    assert missed.startswith(f"In {EDITIONS}, year 2010, series broad_overseas, edition 2025, value: 21 for 12.")
    assert missed.endswith("It does not matter.")
    slips[-1]["reason"] = ""
    assert doubts.slips(pd.DataFrame(slips))["say"].iloc[-1].endswith("The reason is not known.")


def test_the_report_says_where_no_table_is_published_and_refuses_a_damaged_one(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "published", lambda: tmp_path)
    assert report.published_slips() is None
    (said,) = doubts.slips(None)["say"]
    assert "`anime-growth publish` makes it" in said
    for content in ("", "cell,change\na,b\n"):
        (tmp_path / doubts.CANARY).write_text(content)
        with pytest.raises(InputError, match=r"canary\.csv: is damaged.*Restore it with git"):
            report.published_slips()


def test_every_notice_has_words():
    assert set(doubts.AT_ONCE) < set(doubts.NOTICES)
    assert (canary.SCHEMA, canary.IDENTITY) == doubts.AT_ONCE


def test_what_is_let_stand_says_why():
    assert all(isinstance(item.slip, Slip) and len(item.reason.split()) > 5 for item in canary.HARMLESS)
