"""Units: money changes its power of ten in one place, and never silently into another dimension."""

import pytest

from anime_growth import units
from anime_growth.errors import InputError


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (21702, units.JPY_100M, units.JPY_TRN, 2.1702),
        (4662, units.JPY_100M, units.JPY_BN, 466.2),
        (20, units.JPY_TRN, units.JPY_100M, 200_000),
        (5.8, units.JPY_TRN, units.JPY_BN, 5800),
        (14.33, units.USD_BN, units.USD_M, 14330),
    ],
)
def test_a_figure_keeps_its_size_when_its_unit_changes(value, unit, to, expected):
    assert units.convert(value, unit, to) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("unit", units.UNITS.values(), ids=str)
def test_there_and_back_again_is_the_same_figure(unit):
    for other in units.UNITS.values():
        if other.dimension == unit.dimension:
            there = units.convert(21702.0, unit, other)
            assert units.convert(there, other, unit) == pytest.approx(21702, rel=1e-15)


def test_yen_do_not_become_dollars_without_a_rate():
    with pytest.raises(InputError, match="100m JPY is JPY and bn USD is USD"):
        units.convert(21702, units.JPY_100M, units.USD_BN)


def test_a_percentage_does_not_become_a_growth_a_year():
    with pytest.raises(InputError, match="Compare like with like"):
        units.convert(26.0, units.PERCENT, units.PERCENT_A_YEAR)


def test_oku_yen_at_the_rate_of_the_year_are_billions_of_dollars():
    # 21,702 x 100,000,000 JPY / 151.4551 JPY per USD / 1,000,000,000
    assert units.usd_bn(21702, 151.4551) == pytest.approx(21702e8 / 151.4551 / 1e9, rel=1e-14)
    assert units.usd_bn(21702, 151.4551) == pytest.approx(14.33, abs=0.005)


def test_dollars_taken_back_to_yen_are_the_yen_they_came_from():
    assert units.jpy_100m(units.usd_bn(21702, 151.4551), 151.4551) == pytest.approx(21702, rel=1e-15)


@pytest.mark.parametrize("label", [label for label, unit in units.RAW_UNITS.items() if unit])
def test_every_unit_of_the_raw_files_is_a_known_unit(label):
    unit = units.from_raw(label, "here")
    assert unit is not None
    assert units.UNITS[unit.name] is unit


def test_a_row_of_words_has_no_unit():
    assert units.from_raw("text", "here") is None


def test_an_unknown_unit_is_refused_with_its_place_and_the_known_ones():
    with pytest.raises(InputError) as refused:
        units.from_raw("oku", "file.csv, row 3, field unit")
    assert str(refused.value).startswith("file.csv, row 3, field unit: unknown unit 'oku'. Use one of: ")
    assert "100 million JPY" in str(refused.value)


def test_no_two_units_share_a_name():
    declared = [value.name for value in vars(units).values() if isinstance(value, units.Unit)]
    assert sorted(declared) == sorted(units.UNITS)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (21702, 0, "21,702"),
        (14.328998, 2, "14.33"),
        (-0.04, 1, "0.0"),
        (-0.06, 1, "−0.1"),
        (-1234.5678, 2, "−1,234.57"),
        (0, 0, "0"),
    ],
)
def test_numbers_are_printed_with_separators_and_a_true_minus(value, digits, text):
    assert units.number_text(value, digits) == text


@pytest.mark.parametrize(
    ("value", "unit"),
    [(9_999, units.JPY_BN), (10_000, units.JPY_TRN), (-21_702, units.JPY_TRN), (0, units.JPY_BN)],
)
def test_yen_are_read_in_trillions_from_one_trillion_on(value, unit):
    assert units.readable(value, units.JPY_100M) is unit


# --- amounts: values that keep their unit through arithmetic ----------------------------------------
def amount(value: float, unit: units.Unit) -> units.Amount:
    return units.Amount(value, unit)


LEVEL, RATE = amount(21702, units.JPY_100M), amount(151.4551, units.RATE)


@pytest.mark.parametrize(
    ("result", "value", "unit"),
    [
        (LEVEL + amount(1, units.JPY_TRN), 31702, units.JPY_100M),
        (LEVEL - 2, 21700, units.JPY_100M),
        (2 - LEVEL, -21700, units.JPY_100M),
        (LEVEL * 2, 43404, units.JPY_100M),
        (2 * LEVEL / 4, 10851, units.JPY_100M),
        (LEVEL / RATE, 14.329, units.USD_BN),
        (amount(14.329, units.USD_BN) * RATE, 21702, units.JPY_100M),
        (LEVEL / amount(14.329, units.USD_BN), 151.455, units.RATE),
        (LEVEL / amount(3.8407, units.JPY_TRN), 0.56506, units.RATIO),
        (LEVEL * amount(50, units.PERCENT), 10851, units.JPY_100M),
        (1 / amount(50, units.PERCENT), 2, units.RATIO),
        (-LEVEL, -21702, units.JPY_100M),
        (abs(-LEVEL), 21702, units.JPY_100M),
        (round(amount(1.26, units.JPY_TRN), 1), 1.3, units.JPY_TRN),
        (amount(3, units.RANK) / amount(2, units.RANK), 1.5, units.RATIO),
    ],
)
def test_amounts_carry_their_unit_through_arithmetic(result, value, unit):
    assert (result.value, result.unit) == (pytest.approx(value, rel=1e-4), unit)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda: LEVEL + RATE,
        lambda: LEVEL - amount(1, units.PERCENT),
        lambda: amount(1, units.USD_BN) < LEVEL,
        lambda: amount(1, units.RANK) < amount(1, units.YEAR),
        lambda: LEVEL * LEVEL,
        lambda: amount(1, units.YEAR) * amount(1, units.RANK),
        lambda: RATE / LEVEL,
        lambda: LEVEL.to(units.USD_BN),
    ],
)
def test_amounts_that_do_not_go_together_are_refused(mixed):
    with pytest.raises(InputError, match="do not go together|has no unit here"):
        mixed()


def test_a_bare_number_is_in_the_unit_beside_it_and_plain_numbers_compare_in_any_writing():
    assert amount(56.5, units.PERCENT) > 50
    assert not amount(0.565, units.RATIO) > 50
    assert amount(50, units.PERCENT) == amount(0.5, units.RATIO)
    assert amount(0.565, units.RATIO).to(units.PERCENT) == pytest.approx(56.5)
    assert max(amount(1, units.JPY_TRN), LEVEL) is LEVEL
