"""What data does to the rows of crossbars: which of them are driven, and reads in which none is.

Costs count every row of a layer as driven in every read of a window. Whether it really is depends on the
digit of the input that the read applies: a row whose digit is 0 stays at 0 V.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.calibrate import column_sums
from xbarsim.analog.converter import Converter
from xbarsim.analog.executor import IntegerProduct, Windows, run
from xbarsim.analog.model import Held, Model
from xbarsim.analog.onchip import options_of, parts_of, setup_of
from xbarsim.analog.ops import Floats
from xbarsim.analog.prepare import Prepared
from xbarsim.analog.ranging import some_windows
from xbarsim.chip import Chip


@dataclass(eq=False)
class Driven:
    """Rows of one layer, over all windows of all samples that were seen."""

    charges: NDArray[np.int64]
    """Times that each row was charged, ``(groups, rows)``: reads that drove it; where drivers apply bits one
    by one (`dac.kind` other than `level`), input bits that were 1."""
    chances: int = 0
    """Times that a row would have been charged if every digit were at its most."""
    reads: int = 0
    """Reads of row blocks (mask groups, where they are read one by one)."""
    zero_reads: int = 0
    """Reads in which no row was driven: hardware that looks ahead could skip them."""
    conversions: int = 0
    """Column sums that were looked at, unit columns apart."""
    saturated: int = 0
    """Those of them beyond the range of their converter, by more than half a code."""

    @property
    def share(self) -> Fraction:
        """Share of the row drives that take place."""
        return Fraction(int(self.charges.sum()), max(1, self.chances * self.charges.size))

    @property
    def zero_share(self) -> Fraction:
        """Share of the reads in which no row is driven."""
        return Fraction(self.zero_reads, max(1, self.reads))

    @property
    def saturated_share(self) -> Fraction:
        """Share of the conversions that saturate."""
        return Fraction(self.saturated, max(1, self.conversions))

    def add(self, held: Held, inputs: NDArray[Any], pulses: bool) -> None:
        """Count some windows ``(windows, groups, rows)``."""
        drive = held.drive
        magnitude = np.abs(inputs.astype(np.int32)) if drive.polar else inputs
        for first, share in zip(drive.firsts, drive.shares, strict=True):
            digits = (magnitude >> first) & ((1 << share) - 1)
            charged = [(digits >> bit) & 1 for bit in range(share)] if pulses else [digits]
            for part in charged:
                self.charges += np.count_nonzero(part, axis=0)
            self.chances += len(inputs) * len(charged)
            for piece in held.pieces:
                driven = digits[:, :, piece.first : piece.first + piece.rows].any(axis=2)
                self.reads += driven.size
                self.zero_reads += driven.size - int(np.count_nonzero(driven))


@dataclass
class _Watch:
    """Counts what the windows of every layer do."""

    chip: Chip
    found: dict[str, Driven] = field(default_factory=dict)

    def __call__(self, windows: Windows, outputs: Floats) -> None:
        held, layer = windows.held, windows.held.layer
        shape = (layer.groups, layer.rows)
        driven = self.found.setdefault(layer.name, Driven(np.zeros(shape, np.int64)))
        driven.add(held, windows.inputs, self.chip.file.dac.kind != "level")


def driven_rows(chip: Chip, model: Model, inputs: NDArray[np.floating[Any]]) -> dict[str, Driven]:
    """Return what the rows of every crossbar layer do when ``inputs`` run through the integer network."""
    watch = _Watch(chip)
    run(model, inputs, IntegerProduct(), observe=watch)
    return watch.found


def count_saturated(
    chip: Chip, prepared: Prepared, inputs: NDArray[np.floating[Any]], found: dict[str, Driven]
) -> None:
    """Add to ``found`` how many conversions saturate, in some windows of every layer, with ideal cells."""
    for name, windows in some_windows(prepared.integers, inputs).items():
        held = prepared.integers.held[name]
        converters = setup_of(chip, held, prepared.ranges.get(name)).converters
        for part in parts_of(held):
            if part.columns_on is not None and not part.columns_on.any():
                continue
            where: dict[str, Any] = {"height": part.height, "columns_on": part.columns_on, **options_of(held)}
            counted = column_sums(windows[:, part.group, part.rows], part.weights, chip, **where)
            for converter, counts in zip(converters, counted, strict=True):
                found[name].conversions += int(counts.sum())
                found[name].saturated += int(counts[_beyond(converter, len(counts) // 2)].sum())


def _beyond(converter: Converter, most: int) -> NDArray[np.bool_]:
    """Whether each column sum from ``-most`` to ``most`` is out of range."""
    slope, constant, divisor = converter.quotient
    codes = (2 * (slope * np.arange(-most, most + 1) + constant) + divisor) // (2 * divisor)
    return np.asarray((codes < 0) | (codes > converter.top))
