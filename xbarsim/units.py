"""Exact time: rationals outside, whole picoseconds inside.

Rates and times are exact rationals parsed from decimal text; only a *whole* service time is rounded,
up, once, to at least one picosecond.
"""

from __future__ import annotations

from fractions import Fraction

PS_PER_NS = 1000


def service_ps(duration_ns: Fraction) -> int:
    """Round a whole service time in nanoseconds up to picoseconds, at least 1 ps."""
    exact = Fraction(duration_ns) * PS_PER_NS
    return max(1, -(-exact.numerator // exact.denominator))


def rounding_error(duration_ns: Fraction) -> float:
    """Relative error that :func:`service_ps` makes on ``duration_ns`` (0.001 means 0.1 %)."""
    exact = Fraction(duration_ns) * PS_PER_NS
    return float((service_ps(duration_ns) - exact) / exact) if exact else 0.0


def ns(time_ps: int) -> float | int:
    """Picoseconds as nanoseconds: a whole number where it is one, so that 2200 prints as 2200."""
    whole, rest = divmod(int(time_ps), PS_PER_NS)
    return time_ps / PS_PER_NS if rest else whole


def ceil_div(dividend: int, divisor: int) -> int:
    """Smallest whole number not below ``dividend / divisor``."""
    return -(-dividend // divisor)
