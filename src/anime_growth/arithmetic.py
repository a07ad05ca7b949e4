"""The arithmetic of the study, each line checkable by hand; a quantity names the function it came from."""

import math
import statistics

from anime_growth import units


def growth_pct(new: float, old: float) -> float:
    """Growth from `old` to `new` [%].

    >>> round(growth_pct(21702, 17222), 2)
    26.01
    """
    return (new / old - 1) * 100


def cagr_pct(new: float, old: float, years: int) -> float:
    """Compound growth a year from `old` to `new` over `years` [%].

    >>> round(cagr_pct(21702, 3725, years=22), 1)
    8.3
    """
    return ((new / old) ** (1 / years) - 1) * 100


def share_pct(part: float, whole: float) -> float:
    """`part` of `whole` [%]."""
    return part / whole * 100


def contribution_pct(part_new: float, part_old: float, whole_new: float, whole_old: float) -> float:
    """What part of the change of the whole is the change of the part [%].

    >>> round(contribution_pct(21702, 17222, 38407, 33465), 1)
    90.7
    """
    return (part_new - part_old) / (whole_new - whole_old) * 100


def contribution_points(part_new: float, part_old: float, whole_old: float) -> float:
    """Percentage points that the part adds to the growth of the whole [%]."""
    return (part_new - part_old) / whole_old * 100


def difference(first: float, second: float) -> float:
    """`first` minus `second`, in their unit."""
    return first - second


def ratio(first: float, second: float) -> float:
    """`first` over `second`."""
    return first / second


def product(first: float, second: float) -> float:
    """`first` times `second`."""
    return first * second


def median(*values: float) -> float:
    """The middle value, or the mean of the two middle ones.

    >>> median(3, 1, 2)
    2
    """
    return statistics.median(values)


def count(*values: float) -> float:
    """How many values there are."""
    return float(len(values))


def log_change(new: float, old: float) -> float:
    """Change of the natural logarithm, times 100 [log points]; exact sums where growth is not."""
    return math.log(new / old) * 100


def rank_from_top(own: float, *others: float) -> float:
    """1 for the largest; equal values share the better rank.

    >>> rank_from_top(26.0, 78.6, 31.6, 29.6, 11.1)
    4.0
    """
    return 1.0 + sum(other > own for other in others)


def usd_bn(level_jpy_100m: float, usdjpy: float) -> float:
    """A level in billion dollars at the year's average rate."""
    return float(units.usd_bn(level_jpy_100m, usdjpy))


def jpy_100m(level_usd_bn: float, usdjpy: float) -> float:
    """A level in dollars as yen in units of 100 million, at the year's average rate."""
    return float(units.jpy_100m(level_usd_bn, usdjpy))


def real_level(level_jpy_100m: float, cpi: float) -> float:
    """A level in prices of 2020 [JPY 100m], deflated by Japan's consumer prices (2020 = 100)."""
    return level_jpy_100m / cpi * 100


def lead_change(now: float, before: float) -> float:
    """1 where a lead turned positive, -1 where it turned negative, 0 where it kept its sign."""
    return float(now > 0) - float(before > 0)


def scaled_ratio(first: float, second: float, scale: float) -> float:
    """`first` over `second`, whose units differ by `scale`."""
    return ratio(first * scale, second)


def scaled_cagr_pct(new: float, old: float, years: int, scale: float) -> float:
    """Compound growth a year between levels whose units differ by `scale` [%].

    >>> round(scaled_cagr_pct(20, 60044, years=9, scale=10_000), 2)
    14.3
    """
    return cagr_pct(new * scale, old, years)
