"""The arrays once more, slowly: every cell, every read, every conversion by itself, in whole numbers and fractions.

Nothing is shared with the package but the chip file. Random words come from a Philox of its own; what the
package makes of them (normal numbers) is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from xbarsim.chip import Chip
from xbarsim.kernels.philox import normals as package_normals

Matrix = list[list[int]]

WRITE, FAULT, CONVERTER = 1, 2, 3
"""Purposes of random numbers."""
UNIT_COLUMNS = 2**31
"""Addresses of unit columns begin here."""


@dataclass(frozen=True)
class Slice:
    """One physical column of a logical one: (which part of the code, right shift, mask) and the worth of a level."""

    negative: bool
    shift: int
    mask: int
    worth: int


def slices_of(encoding: str, bits: int, cell_bits: int) -> list[Slice]:
    """Physical columns of a weight, most significant first."""
    mask = 2**cell_bits - 1
    if encoding == "twos_complement":
        low = [Slice(False, at, min(mask, 2 ** (bits - 1 - at) - 1), 2**at) for at in range(0, bits - 1, cell_bits)]
        return [Slice(False, bits - 1, 1, -(2 ** (bits - 1))), *low[::-1]]
    plain = [Slice(False, at, mask, 2**at) for at in range(0, bits, cell_bits)][::-1]
    if encoding == "offset":
        return plain
    return plain + [Slice(True, one.shift, mask, -one.worth) for one in plain]


def level_of(weight: int, one: Slice, encoding: str, bits: int) -> int:
    """Level of the cell that holds one slice of a weight."""
    if encoding == "offset":
        code = weight + 2 ** (bits - 1)
    elif encoding == "differential":
        code = max(-weight, 0) if one.negative else max(weight, 0)
    else:
        code = weight % 2**bits
    return code >> one.shift & one.mask


@dataclass(frozen=True, eq=False)
class Naive:
    """One layer on crossbars."""

    chip: Chip
    weights: Matrix
    encoding: str
    weight_bits: int
    input_bits: int
    signed: bool = False
    columns_on: Matrix | None = None
    column_shift: Matrix | None = None
    height: int | None = None
    seed: int = 0
    site: int = 0
    draw: int = 0
    seen: dict[object, Any] = field(default_factory=dict, repr=False)

    def once(self, key: object, work: Callable[[], Any]) -> Any:
        """The result of ``work``, kept."""
        if key not in self.seen:
            self.seen[key] = work()
        return self.seen[key]

    # ---- where things stand ----------------------------------------------------------------------

    @cached_property
    def slices(self) -> list[Slice]:
        return slices_of(self.encoding, self.weight_bits, self.chip.file.crossbar.cell_bits)

    @property
    def highest(self) -> int:
        return int(2**self.chip.file.crossbar.cell_bits - 1)

    @property
    def paired(self) -> bool:
        return self.encoding == "differential" and self.chip.file.crossbar.subtract == "analog"

    @property
    def polar(self) -> bool:
        return self.signed and self.chip.file.dac.signed

    @cached_property
    def blocks(self) -> list[range]:
        height = self.height or self.chip.file.crossbar.rows
        rows = len(self.weights)
        return [range(first, min(first + height, rows)) for first in range(0, rows, height)]

    def crossbar_of(self, channel: int, at: int) -> int:
        """Crossbar, within a row block, of one physical column."""
        crossbar = self.chip.file.crossbar
        channels = len(self.weights[0])
        if crossbar.slices == "arrays":
            return int(at * -(-channels // crossbar.cols) + channel // crossbar.cols)
        return int((channel * len(self.slices) + at) // crossbar.cols)

    def flipped(self, block: range, channel: int, at: int) -> bool:
        """ISAAC's rule: a column that may exceed the converter is stored as its complement if that is smaller."""
        if self.encoding != "offset":
            return False
        return self.once(("flip", block.start, channel, at), lambda: self._flipped(block, channel, at))

    def _flipped(self, block: range, channel: int, at: int) -> bool:
        total = sum(self.plain_level(row, channel, at) for row in block)
        bound = (2**self.chip.file.adc.bits - 1) // (2**self.chip.file.dac.bits - 1)
        complement = len(block) * self.highest - total
        return total > bound and complement < total

    def plain_level(self, row: int, channel: int, at: int) -> int:
        return level_of(self.weights[row][channel], self.slices[at], self.encoding, self.weight_bits)

    # ---- random numbers --------------------------------------------------------------------------

    @cached_property
    def key(self) -> tuple[int, int]:
        return key_of(self.seed, self.site)

    def words(self, address: int, row: int, purpose: int) -> tuple[int, int, int, int]:
        return philox((address, row, self.draw if purpose == WRITE else 0, purpose), self.key)

    def stuck(self, address: int, row: int) -> int | None:
        """Level at which a cell is stuck, if it is."""
        rates, word = self.chip.file.device.stuck_at, self.words(address, row, FAULT)[0]
        if word < round(rates.lrs * 2**32):
            return self.highest
        return 0 if word >= 2**32 - round(rates.hrs * 2**32) else None

    def level(self, row: int, address: int, meant: int) -> int:
        """Level that a cell has."""
        rates = self.chip.file.device.stuck_at
        if not rates.lrs and not rates.hrs:
            return meant
        stuck = self.once(("stuck", row, address), lambda: self.stuck(address, row))
        return meant if stuck is None else int(stuck)

    # ---- reads -----------------------------------------------------------------------------------

    @cached_property
    def shares(self) -> list[int]:
        """Bits of every read, least significant first; the sign of two's complement has the last read."""
        dac = self.chip.file.dac
        magnitude = self.input_bits - (1 if self.signed else 0)
        count = -(-magnitude // dac.bits)
        if dac.split_above is not None and magnitude > dac.split_above:
            count = max(count, 2)
        elif dac.kind == "level":
            shares = [min(dac.bits, magnitude - at) for at in range(0, magnitude, dac.bits)]
            return shares + [1] * (self.signed and not self.polar)
        shares = [magnitude // count + (1 if at < magnitude % count else 0) for at in range(count)][::-1]
        return shares + [1] * (self.signed and not self.polar)

    def digits(self, value: int) -> list[tuple[int, int]]:
        """(what the read is worth, digit applied) of every read of an input."""
        found, first = [], 0
        sign, code = (-1, -value) if self.polar and value < 0 else (1, value % 2**self.input_bits)
        for number, share in enumerate(self.shares):
            worth = 2**first
            if self.signed and not self.polar and number == len(self.shares) - 1:
                worth = -worth
            found.append((worth, sign * (code >> first & 2**share - 1)))
            first += share
        return found

    # ---- converters ------------------------------------------------------------------------------

    def range_of(self, unit: bool) -> tuple[Fraction, Fraction, int]:
        """(low end, step, number of codes)."""
        adc, crossbar = self.chip.file.adc, self.chip.file.crossbar
        bits = (adc.unit_bits or adc.bits) if unit else adc.bits
        bipolar = self.polar or self.paired
        most = crossbar.rows * (2**self.chip.file.dac.bits - 1) * (1 if unit else self.highest)
        if adc.range == "aligned":
            return Fraction(-(2 ** (bits - 1)) if bipolar else 0), Fraction(1), 2**bits
        if adc.range == "given" and not unit:
            assert adc.high_levels is not None
            return adc.low_levels, (adc.high_levels - adc.low_levels) / (2**bits - 1), 2**bits
        codes = max(2 ** (bits - 1) - 1 if bipolar else 2**bits - 1, 1)
        step = max(1, -(-most // codes))
        return Fraction(-step * 2 ** (bits - 1) if bipolar else 0), Fraction(step), 2**bits

    def convert(self, total: Fraction | int, unit: bool) -> Fraction:
        """What logic takes a column sum for."""
        low, step, codes = self.range_of(unit)
        errors = self.chip.file.adc.errors
        code = round(((1 + errors.gain) * total + errors.offset_levels - low) / step)
        return low + step * min(max(code, 0), codes - 1)

    # ---- the product -----------------------------------------------------------------------------

    def column(self, block: range, channel: int, at: int, digits: dict[int, int]) -> Fraction | int:
        """Sum of one physical column for one read, in levels."""
        flip = self.flipped(block, channel, at)
        total = 0
        for row in block:
            level = self.plain_level(row, channel, at)
            meant = self.highest - level if flip else level
            total += digits[row] * self.level(row, channel * len(self.slices) + at, meant)
        return total

    def inputs_counted(self, crossbar: int, digits: dict[int, int]) -> Fraction:
        """Sum of the inputs, as the unit column of a crossbar or logic counts it."""
        if self.encoding != "offset":
            return Fraction(0)
        if not self.chip.file.crossbar.unit_column:
            return Fraction(sum(digits.values()))
        total = sum(digit * self.level(row, UNIT_COLUMNS + crossbar, 1) for row, digit in digits.items())
        return self.convert(total, True)

    def partial(self, number: int, inputs: list[int], block: range, channel: int) -> Fraction:
        """Corrected partial sum of one channel in one row block, of input vector ``number``."""
        total = Fraction(0)
        split = len(self.slices) // 2
        reads = {row: self.digits(inputs[row]) for row in block}
        for phase in range(len(self.shares)):
            worth = reads[block[0]][phase][0]
            digits = {row: reads[row][phase][1] for row in block}
            merged = Fraction(0)
            for at, one in enumerate(self.slices):
                if self.paired and at >= split:
                    break
                read = self.column(block, channel, at, digits)
                if self.paired:
                    read -= self.column(block, channel, at + split, digits)
                value = self.convert(read, False)
                if self.flipped(block, channel, at):
                    value = self.highest * self.inputs_counted(self.crossbar_of(channel, at), digits) - value
                merged += one.worth * value
            merged -= 2 ** (self.weight_bits - 1) * self.inputs_counted(self.crossbar_of(channel, 0), digits)
            total += worth * merged
        return total

    def multiply(self, inputs: Matrix) -> list[list[Fraction]]:
        """The result, exactly."""
        out = []
        for at, vector in enumerate(inputs):
            row = []
            for channel in range(len(self.weights[0])):
                total = Fraction(0)
                for number, block in enumerate(self.blocks):
                    if self.columns_on is None or self.columns_on[number][channel]:
                        shift = self.column_shift[number][channel] if self.column_shift else 0
                        total += self.partial(at, vector, block, channel) * Fraction(2) ** shift
                row.append(total)
            out.append(row)
        return out


@dataclass(frozen=True, eq=False)
class NaiveCells(Naive):
    """The same with conductances of single cells, in whole numbers of 2^-fraction converter steps."""

    fraction: int = 20
    variance_scales: tuple[float, float] = (1.0, 1.0)
    """Standard deviation, in 2^-fraction steps, per root of a whole-number variance; of data and unit columns."""

    def conductance_us(self, address: int, row: int, level: int) -> float:
        """What stands in one cell."""
        return float(self.once(("cell", address, row), lambda: self._conductance_us(address, row, level)))

    def _conductance_us(self, address: int, row: int, level: int) -> float:
        device = self.chip.file.device
        table = device.conductances_us(self.chip.cell_levels)
        stuck = self.stuck(address, row)
        if stuck is not None:
            return float(table[stuck])
        z = normals(self.words(address, row, WRITE))
        nominal, spread = float(table[level]), device.variation
        if spread.lognormal:
            written = nominal * float(np.exp(spread.lognormal * z[0]))
        elif spread.sigma_us:
            at = nominal / spread.reference_us
            sigma = sum(each * at**power for power, each in enumerate(spread.sigma_us))
            written = max(nominal + max(sigma, 0) * z[0], 0)
        else:
            written = max(nominal + spread.proportional * nominal * z[0], 0)
        drift = device.drift
        u = math.log(drift.time_s / drift.start_s)
        power = drift.exponent + drift.exponent_sigma * z[1]
        moved = drift.shift_us * u + (drift.spread_start_us + drift.spread_us * u) * z[2]
        return max(written * math.exp(-u * power) + moved, 0.0)

    def reference(self) -> tuple[float, float]:
        """(what is subtracted, one level), in uS."""
        device = self.chip.file.device
        least, most = float(device.g_min_us), float(device.g_max_us)
        return (least if self.chip.file.crossbar.off_current == "subtracted" else 0.0), (most - least) / self.highest

    def converter_error(self, block: int, address: int) -> tuple[float, float]:
        """(1 + gain error, offset in levels) of one converter."""
        errors = self.chip.file.adc.errors
        z = self.once(("converter", block, address), lambda: normals(self.words(address, block, CONVERTER)))
        gain = z[0] * errors.gain_sigma + (1 + float(errors.gain))
        return gain, z[1] * errors.offset_sigma_levels + float(errors.offset_levels)

    def converter_of(self, channel: int, at: int) -> int:
        """Number of a physical column's converter within the row block."""
        crossbar, per = self.chip.file.crossbar, self.chip.file.adc.per_crossbar
        position = channel * len(self.slices) + at
        if crossbar.slices == "arrays":
            position = at * -(-len(self.weights[0]) // crossbar.cols) * crossbar.cols + channel
        return int(position // crossbar.cols * per + position % crossbar.cols // -(-crossbar.cols // per))

    def read(
        self, number: int, block: range, phase: int, digits: dict[int, int],
        cells: list[tuple[int, dict[int, int]]], converter: int, unit: bool,
    ) -> Fraction:  # fmt: skip
        """What logic takes the sum of a column (address, levels) for, or the difference of two."""
        subtracted, level = self.reference()
        low, step, codes = self.range_of(unit)
        gain, offset = self.converter_error(self.blocks.index(block), converter)
        factor, noise = gain / float(step), self.chip.file.device.read_noise
        total, variance = 0, 0
        scale = self.variance_scales[unit]
        exponent = 2 * (self.fraction - round(math.log2(scale)))
        for row in block:
            here = [self.conductance_us(address, row, levels[row]) for address, levels in cells]
            net = [(g - subtracted) / level for g in here]
            total += digits[row] * round(math.ldexp((net[0] - sum(net[1:])) * factor, self.fraction))
            spread = sum(((noise.proportional * g) ** 2 + noise.sigma_us**2) / level**2 for g in here)
            variance += digits[row] ** 2 * round(math.ldexp(spread * factor**2, exponent))
        total += round(math.ldexp((offset - float(low)) / float(step), self.fraction))
        if noise.proportional or noise.sigma_us:
            place = 8 * self.blocks.index(block) + phase // 4
            z = normals(philox((cells[0][0], number, place, 0), self.key))[phase % 4]
            deviation = np.float32(math.sqrt(np.float32(variance))) * np.float32(scale)
            total += int(np.float32(z) * deviation)
        code = round(Fraction(total, 2**self.fraction))
        return low + step * min(max(code, 0), codes - 1)

    def partial(self, number: int, inputs: list[int], block: range, channel: int) -> Fraction:
        total = Fraction(0)
        reads = {row: self.digits(inputs[row]) for row in block}
        for phase in range(len(self.shares)):
            worth = reads[block[0]][phase][0]
            digits = {row: reads[row][phase][1] for row in block}
            merged, counted = Fraction(0), {}
            for at, one in enumerate(self.slices[: len(self.slices) // (2 if self.paired else 1)]):
                flip = self.flipped(block, channel, at)
                cells = []
                for part in (at, at + len(self.slices) // 2)[: 2 if self.paired else 1]:
                    levels = {row: self.plain_level(row, channel, part) for row in block}
                    levels = {row: self.highest - each if flip else each for row, each in levels.items()}
                    cells.append((channel * len(self.slices) + part, levels))
                value = self.read(number, block, phase, digits, cells, self.converter_of(channel, at), False)
                counted[at] = self.count(number, block, phase, digits, self.crossbar_of(channel, at))
                sum_of_leaks = Fraction(0 if self.paired else self.leak()) * counted[at]
                value -= sum_of_leaks
                merged += one.worth * (self.highest * counted[at] - value if flip else value)
            if self.encoding == "offset":
                merged -= 2 ** (self.weight_bits - 1) * counted[0]
            total += worth * merged
        return total

    def leak(self) -> float:
        """Levels that logic takes off again for every input."""
        least, (_, level) = float(self.chip.file.device.g_min_us), self.reference()
        return least / level if self.chip.file.crossbar.off_current == "digital" else 0.0

    def count(self, number: int, block: range, phase: int, digits: dict[int, int], crossbar: int) -> Fraction:
        """The sum of the inputs, as a unit column or logic counts it."""
        if self.encoding != "offset" or not self.chip.file.crossbar.unit_column:
            return Fraction(sum(digits.values()))
        address = UNIT_COLUMNS + crossbar
        cells = [(address, dict.fromkeys(block, 1))]
        return self.read(number, block, phase, digits, cells, address, True) / Fraction(1 + self.leak())


# ---- random numbers --------------------------------------------------------------------------------


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10, as its paper writes it."""
    a, b, c, d = counter
    k, l = key
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (second >> 32) ^ b ^ k, second % 2**32, (first >> 32) ^ d ^ l, first % 2**32
        k, l = (k + 0x9E3779B9) % 2**32, (l + 0xBB67AE85) % 2**32
    return a, b, c, d


def key_of(seed: int, site: int) -> tuple[int, int]:
    """Key of a layer's random numbers."""
    first, second, _, _ = philox((seed % 2**32, seed >> 32, site, 0), (0x78626172, 0x73696D))
    return first, second


def box_muller(radial: int, angular: int) -> tuple[float, float]:
    """Two normal numbers of two words."""
    radius = math.sqrt(-2 * math.log(((radial >> 1) + 0.5) / 2**31))
    turn = angular - 2**32 if angular >= 2**31 else angular
    angle = math.pi * turn / 2**31
    return radius * math.cos(angle), radius * math.sin(angle)


def normals(words: tuple[int, int, int, int]) -> list[float]:
    """The package's normal numbers of four words; that they are normal is tested elsewhere."""
    out = np.empty((4, 1), np.float32)
    package_normals(np.array(words, np.uint32)[:, None], out)
    return [float(value) for value in out[:, 0]]


def as_lists(matrix: Any) -> Matrix:
    """A NumPy matrix as lists of Python's whole numbers."""
    return [[int(value) for value in row] for row in matrix]
