"""Converters: from column sums, in cell levels, to codes and back.

A sum s becomes the code round(((1 + gain) s + offset - low) / step), half to even, no less than 0 and no more
than 2^bits - 1; logic takes a code for low + code step. Ranges are *aligned* by default: one code per level,
so that a converter with enough bits loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import lcm

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.errors import InputError
from xbarsim.units import ceil_div

Ints = NDArray[np.int64]
Law = tuple[int, int, int, int, int, int, int]
"""(shift, added, added so that ties fall, taken, multiplier, shift back, highest code) of
``kernels.popcount.convert``."""

LANE = 1 << 16
EXACT = 1 << 62


@dataclass(frozen=True)
class Range:
    """What the codes of a converter stand for, in cell levels."""

    low: Fraction = Fraction(0)
    """Column sum of code 0."""
    step: Fraction = Fraction(1)
    """Difference between neighbouring codes."""

    def __post_init__(self) -> None:
        if self.step <= 0:
            raise InputError(f"a converter range with a step of {float(self.step):g} levels is empty")

    @property
    def whole(self) -> bool:
        """Whether all codes stand for whole numbers of levels."""
        return self.low.denominator == self.step.denominator == 1


@dataclass(frozen=True)
class Ranges:
    """Converter ranges of a layer: of each bit slice, most significant first, and of the unit column.

    Fixed once made, whatever is converted later; the result of a calibration.
    """

    slices: tuple[Range, ...]
    unit: Range


@dataclass(frozen=True)
class Converter:
    """A converter of a given resolution and range."""

    bits: int
    range: Range
    gain: Fraction = Fraction(0)
    """Gain error."""
    offset: Fraction = Fraction(0)
    """Offset, in cell levels."""

    @property
    def top(self) -> int:
        """Highest code."""
        return (1 << self.bits) - 1

    @cached_property
    def quotient(self) -> tuple[int, int, int]:
        """Whole numbers (a, b, d): the code of a sum s is (a s + b) / d, rounded."""
        slope = (1 + self.gain) / self.range.step
        constant = (self.offset - self.range.low) / self.range.step
        d = lcm(slope.denominator, constant.denominator)
        return int(slope * d), int(constant * d), d

    def codes(self, sums: Ints) -> Ints:
        """Codes of column sums, exactly."""
        a, b, d = self.quotient
        largest = max(abs(int(sums.min(initial=0))), abs(int(sums.max(initial=0))))
        if 2 * (a * largest + abs(b)) + d >= EXACT:
            raise InputError(f"converter: its range and errors need {d.bit_length()}-bit fractions; use fewer digits")
        twice = 2 * (a * sums + b) + d
        codes = twice // (2 * d)
        codes -= (codes & 1) * (codes * 2 * d == twice)
        return np.clip(codes, 0, self.top)

    def faithful(self, least: int, most: int) -> bool:
        """Whether logic takes every code of a column sum from ``least`` to ``most`` for that very sum."""
        step, low = self.range.step, self.range.low
        on_codes = (1 / step).denominator == (low / step).denominator == 1
        held = low <= least and most <= low + self.top * step
        return on_codes and held and max(abs(self.gain * s + self.offset) for s in (least, most)) < step / 2

    def law(self, least: int, most: int) -> Law | None:
        """Arithmetic in 16-bit lanes with the code of every sum from ``least`` to ``most``, if there is any."""
        return _law(self, least, most) if self.top < LANE else None


@lru_cache(maxsize=1024)
def _law(converter: Converter, least: int, most: int) -> Law | None:
    sums = np.arange(least, most + 1, dtype=np.int64)
    codes = converter.codes(sums)
    for law in _candidates(converter, least, most):
        if np.array_equal(_by_law(law, sums), codes):
            return law
    return None


def _candidates(converter: Converter, least: int, most: int) -> Iterator[Law]:
    """Laws near the slope and intercept of a converter, finest first."""
    a, b, d = converter.quotient
    origin = min(least, 0)  # sums are counted from here, so that none is negative
    b += a * origin
    for shift in range(15, -1, -1):
        back = max(back for back in range(16) if not back or a << (16 + back) < d << (shift + 16))
        exact = Fraction(a << (16 + back), d << shift)
        for multiplier in (int(exact), int(exact) + 1):
            if not 0 < multiplier < LANE:
                continue
            middle = round(Fraction((2 * b + d) << (16 + back), 2 * d * multiplier))
            for added in (middle, middle + 1, middle - 1, middle + 2, middle - 2):
                for falling in range(3):
                    take = max(0, falling - added)
                    if take < LANE and added + take + (most - origin << shift) < LANE:
                        add = added + take - (origin << shift)
                        yield shift, add, add - falling, take, multiplier, back, converter.top


def _by_law(law: Law, sums: Ints) -> Ints:
    """What the kernel computes by a law."""
    shift, add, add_down, take, multiplier, back, top = law
    up, down = (np.maximum((sums << shift) + more - take, 0) * multiplier >> (16 + back) for more in (add, add_down))
    return np.asarray(np.minimum(down + (down & (up - down)), top))


def ranges_of(chip: Chip, slices: int, bipolar: bool) -> Ranges:
    """Ranges that a chip file states; ``bipolar``: column sums have a sign.

    Raise :class:`InputError` for ``adc.range: calibrated``: those come from data.
    """
    adc, crossbar = chip.file.adc, chip.file.crossbar
    driven = crossbar.rows * ((1 << chip.file.dac.bits) - 1)
    unit = spanning(driven, adc.unit_bits or adc.bits, bipolar)
    if adc.range == "calibrated":
        raise InputError("adc.range: calibrated, but no ranges were given; analog.calibrate finds them from data")
    if adc.range == "aligned":
        unit, data = (aligned(bits, bipolar) for bits in (adc.unit_bits or adc.bits, adc.bits))
    elif adc.range == "full":
        data = spanning(driven * (chip.cell_levels - 1), adc.bits, bipolar)
    else:
        high = adc.high_levels if adc.high_levels is not None else adc.low_levels
        data = Range(adc.low_levels, (high - adc.low_levels) / ((1 << adc.bits) - 1))
    return Ranges((data,) * slices, unit)


def aligned(bits: int, bipolar: bool) -> Range:
    """A code per level."""
    return Range(Fraction(-(1 << (bits - 1)) if bipolar else 0))


def spanning(most: int, bits: int, bipolar: bool) -> Range:
    """Codes a whole number of levels apart that hold every sum up to ``most`` (and down to ``-most``)."""
    codes = (1 << (bits - 1)) - 1 if bipolar else (1 << bits) - 1
    step = max(1, ceil_div(most, max(codes, 1)))
    return Range(Fraction(-step << (bits - 1) if bipolar else 0), Fraction(step))


def enclosing(least: int, most: int, bits: int) -> Range:
    """Codes a whole number of levels apart that hold every sum from ``least`` to ``most``."""
    return Range(Fraction(least), Fraction(max(1, ceil_div(most - least, (1 << bits) - 1))))
