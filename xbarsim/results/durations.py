"""Durations and spans of time as text, such as ``10s``, ``1.5ms`` and ``10us..20us``, read as whole picoseconds."""

from __future__ import annotations

import re
from fractions import Fraction

from xbarsim.errors import Fault, InputError, did_you_mean

UNITS_PS = {"ps": 1, "ns": 10**3, "us": 10**6, "µs": 10**6, "ms": 10**9, "s": 10**12, "min": 60 * 10**12}
"""Picoseconds of every unit of time."""

LONGEST_PS = 2**62
"""Simulated time ends here (53 days)."""

_DURATION = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-zµ]*)")


def parse_duration(text: str, place: str) -> int:
    """Read a duration of more than nothing in picoseconds; ``place`` is the option that messages begin with.

    Raise :class:`InputError` for a missing or unknown unit, and for what is no whole number of picoseconds.
    """
    time_ps = _parsed(text, place)
    if time_ps <= 0:
        raise InputError(Fault(place, f"{text!r} is no time at all; it must be more than 0"))
    return time_ps


def parse_window(text: str, place: str) -> tuple[int, int]:
    """Read a span of time such as ``10us..20us`` as (begin, end) in picoseconds; a begin of 0 needs no unit."""
    begin, dots, end = (part.strip() for part in text.partition(".."))
    if not dots or not begin or not end:
        raise InputError(Fault(place, f"{text!r} is no span of time; write BEGIN..END, as in 10us..20us"))
    first, last = 0 if begin == "0" else _parsed(begin, place), _parsed(end, place)
    if first >= last:
        raise InputError(Fault(place, f"{text!r} is empty: its end does not lie behind its begin"))
    return first, last


def _parsed(text: str, place: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise InputError(Fault(place, f"{text!r} is no duration; write a number and a unit, as in 10s, 500ms or 20us"))
    number, unit = found[1], found[2]
    if unit not in UNITS_PS:
        given = f"has the unknown unit {unit!r}" if unit else "has no unit"
        hint = did_you_mean(unit.lower(), UNITS_PS) if unit else ""
        raise InputError(Fault(place, f"{text!r} {given}; known: {', '.join(UNITS_PS)}{hint}"))
    exact = Fraction(number) * UNITS_PS[unit]
    if exact.denominator != 1:
        raise InputError(Fault(place, f"{text!r} is no whole number of picoseconds"))
    if exact >= LONGEST_PS:
        raise InputError(Fault(place, f"{text!r} is longer than simulated time (53 days)"))
    return int(exact)
