"""Exact decimals: a number is the fraction that its decimal notation says, never the nearest binary one."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Self

_RATIO = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?|[-+]?[0-9]+/[0-9]*[1-9][0-9]*")
_MOST_PLACES = 1100


class Written(float):
    """A number that remembers how it was written, so that 1.28 can stay exactly 32/25."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Return the number that ``text`` writes."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def exact(self) -> Fraction:
        """Return the number of the decimal text, not the nearest binary fraction."""
        return Fraction(self.text)


def exact(value: object) -> Fraction:
    """Return the number as the fraction its decimal notation says: 1.28 is 32/25.

    Takes whole numbers, fractions, text in decimal or ``n/d`` notation, and floats by their shortest
    notation. Anything else, and what is not finite, raises ``ValueError``.
    """
    if isinstance(value, Written):
        return value.exact()
    if isinstance(value, bool):
        raise ValueError("not a number")
    if isinstance(value, int | Fraction):
        return Fraction(value)
    text = repr(float(value)) if isinstance(value, float) else value
    if not isinstance(text, str) or not _RATIO.fullmatch(text):
        raise ValueError("not a number")
    return Fraction(text)


def decimal(value: Fraction) -> int | float | str:
    """Return the number as YAML and JSON print it, such that :func:`exact` reads the same fraction."""
    if value.denominator == 1:
        return value.numerator
    nearest = float(value)
    return nearest if Fraction(repr(nearest)) == value else _digits(value)


def _digits(value: Fraction) -> str:
    places = next((n for n in range(1, _MOST_PLACES) if 10**n % value.denominator == 0), 0)
    if not places:
        return str(value)  # no finite decimal: n/d
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def plain_number(value: object) -> object:
    """Return an int, a float, or text in place of an exact number; any other value as it is."""
    if isinstance(value, Written):
        return float(value)
    return decimal(value) if isinstance(value, Fraction) else value
