"""What is the same for all row blocks of a layer: encoding, reads, converters, cells, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from xbarsim.analog import cells
from xbarsim.analog.converter import Converter, Ranges, aligned, ranges_of
from xbarsim.analog.encode import WORD_ROWS, Coding, Drive
from xbarsim.chip import Chip
from xbarsim.errors import InputError
from xbarsim.units import ceil_div

Ints = npt.NDArray[np.int64]
Circuit = Callable[[npt.NDArray[np.float64], npt.NDArray[np.bool_]], npt.NDArray[np.float64]]
"""(cells of a whole crossbar in uS, (rows, columns), which columns are on) -> effective conductances in uS."""


@dataclass(frozen=True)
class Setup:
    """One layer's way onto crossbars."""

    chip: Chip
    coding: Coding
    drive: Drive
    ranges: Ranges
    source: cells.Source
    height: int
    """Rows of a row block."""
    words: int
    """Words that hold the rows of the highest block."""
    circuit: Circuit | None

    @classmethod
    def of(
        cls, chip: Chip, bits: tuple[int, int], signed: bool, encoding: str | None, height: int, rows: int,
        ranges: Ranges | None, circuit: Circuit | None, source: cells.Source,
    ) -> Setup:  # fmt: skip
        """Return the setup for weights and inputs of ``bits`` bits and blocks of ``height`` of all ``rows``."""
        crossbar = chip.file.crossbar
        weight_bits, input_bits = bits
        if not 1 <= height <= crossbar.rows:
            raise InputError(f"height: row blocks of {height} rows on crossbars of {crossbar.rows}")
        cells.check(chip.file.device, chip.cell_levels)
        kind = encoding or crossbar.encoding
        paired = kind == "differential" and crossbar.subtract == "analog"
        coding = Coding(kind, weight_bits, crossbar.cell_bits, paired)
        drive = Drive.of(chip, input_bits, signed)
        if ranges is None:
            ranges = ranges_of(chip, coding.converted, drive.polar or paired)
        return cls(chip, coding, drive, ranges, source, height, ceil_div(min(height, rows), WORD_ROWS), circuit)

    @property
    def bipolar(self) -> bool:
        """Whether column sums have a sign."""
        return self.drive.polar or self.coding.paired

    @property
    def adds_inputs(self) -> str:
        """Who sums the inputs, which offset and flips need: ``columns`` of ones, ``digital`` logic, or nobody."""
        if self.coding.encoding == "offset":
            return "columns" if self.chip.file.crossbar.unit_column else "digital"
        unbalanced = self.chip.file.crossbar.off_current == "digital" and self.coding.encoding == "twos_complement"
        return "digital" if unbalanced else "nobody"

    @property
    def stuck(self) -> bool:
        """Whether some cells cannot be written."""
        return bool(self.chip.file.device.stuck_at.lrs or self.chip.file.device.stuck_at.hrs)

    @property
    def individual(self) -> bool:
        """Whether cells have conductances, or converters errors, of their own."""
        errors = self.chip.file.adc.errors
        scattered = bool(errors.gain_sigma or errors.offset_sigma_levels)
        leaking = self.chip.file.crossbar.off_current != "subtracted"
        return self.circuit is not None or scattered or leaking or not cells.ideal(self.chip.file.device)

    @cached_property
    def integer(self) -> bool:
        """Whether results are whole numbers."""
        return not self.individual and all(used.whole for used in (*self.ranges.slices, self.ranges.unit))

    @cached_property
    def converters(self) -> tuple[Converter, ...]:
        """Converter of every converted slice."""
        adc = self.chip.file.adc
        return tuple(
            Converter(adc.bits, used, adc.errors.gain, adc.errors.offset_levels) for used in self.ranges.slices
        )

    @cached_property
    def unit_converter(self) -> Converter:
        """Converter of the sum of the inputs; logic counts without loss."""
        adc = self.chip.file.adc
        if self.adds_inputs == "columns":
            return Converter(adc.unit_bits or adc.bits, self.ranges.unit, adc.errors.gain, adc.errors.offset_levels)
        bits = self.most(1).bit_length() + 1
        return Converter(bits, aligned(bits, self.bipolar))

    def most(self, level: int) -> int:
        """Largest column sum of a full block of cells at ``level``."""
        return self.height * level * self.drive.most

    @cached_property
    def conductance(self) -> tuple[float, float, float]:
        """(least, what the reference subtracts, one level) in uS."""
        device = self.chip.file.device
        least, most = float(device.g_min_us), float(device.g_max_us)
        reference = least if self.chip.file.crossbar.off_current == "subtracted" else 0.0
        return least, reference, (most - least) / (self.chip.cell_levels - 1)

    @property
    def leak(self) -> float:
        """Levels that a cell at the lowest level adds and that logic takes off again."""
        least, _, level = self.conductance
        return least / level if self.chip.file.crossbar.off_current == "digital" else 0.0

    @property
    def sum_of_factors(self) -> int:
        """What all reads together are worth."""
        return sum(self.drive.factors)

    @cached_property
    def worth(self) -> Ints:
        """What a level of every converted slice is worth."""
        return self.coding.worth[: self.coding.converted]

    def plain(self, number: Fraction) -> int | float:
        """A number of a converter range as results are calculated with: whole if they are whole."""
        return int(number) if self.integer else float(number)
