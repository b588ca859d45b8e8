"""Where the physical columns of a row block stand, which are flipped, and what unit columns correct.

Physical columns stand in order (channel, slice), ``crossbar.cols`` to a crossbar, or each slice in crossbars of
its own (``crossbar.slices: arrays``), as in :mod:`xbarsim.mapping.crossbars`. Every crossbar has a unit column
with a converter of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.encode import Coding, Levels
from xbarsim.chip import Chip
from xbarsim.units import ceil_div

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """The crossbars of one row block."""

    slices: int
    channels: int
    cols: int
    separate: bool
    """Slices stand in crossbars of their own."""

    @classmethod
    def of(cls, chip: Chip, coding: Coding, channels: int) -> Layout:
        """Return the crossbars of a row block on ``chip``."""
        crossbar = chip.file.crossbar
        return cls(coding.slices, channels, crossbar.cols, crossbar.slices == "arrays")

    @property
    def positions(self) -> Ints:
        """Position of every physical column among all crossbars of the block, ``(slices, channels)``."""
        slices, channels = np.arange(self.slices)[:, None], np.arange(self.channels)
        if self.separate:
            return np.asarray(slices * ceil_div(self.channels, self.cols) * self.cols + channels)
        return np.asarray(channels * self.slices + slices)

    @property
    def crossbars(self) -> Ints:
        """Crossbar of every physical column, ``(slices, channels)``."""
        return self.positions // self.cols

    @property
    def count(self) -> int:
        """Crossbars of the block."""
        return int(self.crossbars.max()) + 1

    def addresses(self, channels: Ints) -> NDArray[np.uint32]:
        """Addresses of the physical columns of some channels, ``(slices, channels)``."""
        return np.asarray(channels * self.slices + np.arange(self.slices)[:, None], np.uint32)

    def converters(self, per_crossbar: int) -> Ints:
        """Converter of every physical column, ``(slices, channels)``; neighbouring columns share one."""
        shared = ceil_div(self.cols, per_crossbar)
        return np.asarray(self.crossbars * per_crossbar + self.positions % self.cols // shared)


def totals(levels: Levels, highest: int) -> NDArray[np.int32]:
    """Sums of levels along the first axis; as many rows at a time as a byte holds, which is quick."""
    rows = max(1, np.iinfo(np.uint8).max // highest)
    parts = [np.add.reduce(levels[at : at + rows], axis=0, dtype=np.uint8) for at in range(0, len(levels), rows)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.int32))


def polarity(levels: Levels, coding: Coding, chip: Chip) -> Bools:
    """Which physical columns of a row block are stored flipped, ``(slices, channels)``.

    A column of offset codes whose worst-case sum exceeds the converter's range is stored as its complement if
    that is smaller (ISAAC); the rule is that of :func:`xbarsim.adaptions.change.polarity`.
    """
    if coding.encoding != "offset":
        return np.zeros(levels.shape[1:], bool)
    sums = totals(levels, coding.highest)
    complement = levels.shape[0] * coding.highest - sums
    return np.asarray((sums > chip.column_sum_bound()) & (complement < sums))


def corrections(coding: Coding, flips: Bools, unit_of: Ints, units: int) -> Ints:
    """What one count of every unit column adds to every channel, ``(units, channels)``.

    unit_of: (slices, channels), the unit column of each physical column. A flipped column holds ``highest -
    level``; the offset is taken off with the unit column beside the most significant slice.
    """
    turned = flips * (coding.worth * coding.highest)[:, None]
    turned[0] -= coding.offset
    if units == 1:
        return np.asarray(turned.sum(axis=0, keepdims=True))
    out = np.zeros((units, flips.shape[1]), np.int64)
    if units:
        np.add.at(out, (unit_of, np.arange(flips.shape[1])), turned)
    return out
