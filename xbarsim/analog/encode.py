"""How weights become cell levels and inputs become reads.

* ``offset``: the digits of w + 2^(b-1), with a unit column for the offset and flipped columns (ISAAC, ISCA 2016,
  section V);
* ``differential``: the digits of max(w, 0) and of max(-w, 0), side by side;
* ``twos_complement``: a slice of one bit for the sign, worth -2^(b-1), and the digits of the other bits.

Digits have ``cell_bits`` bits; the most significant slice comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.errors import InputError, did_you_mean
from xbarsim.kernels.bitplanes import pack_bytes
from xbarsim.units import ceil_div

Ints = NDArray[np.int64]
Integers = NDArray[np.integer[Any]]
Levels = NDArray[np.uint8]
Words = NDArray[np.uint16]

ENCODINGS = ("offset", "differential", "twos_complement")
WORD_ROWS = 16


@dataclass(frozen=True)
class Coding:
    """Weights as cell levels."""

    encoding: str
    weight_bits: int
    cell_bits: int
    paired: bool = False
    """The currents of a differential pair are subtracted before conversion."""

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            hint = did_you_mean(self.encoding, ENCODINGS)
            raise InputError(f"no encoding {self.encoding!r}; known: {', '.join(ENCODINGS)}{hint}")

    @property
    def highest(self) -> int:
        """Highest level of a cell."""
        return (1 << self.cell_bits) - 1

    @property
    def offset(self) -> int:
        """What is added to a weight before it is stored."""
        return 1 << (self.weight_bits - 1) if self.encoding == "offset" else 0

    @cached_property
    def digits(self) -> tuple[tuple[int, int, int], ...]:
        """Of every slice: what one level is worth, the right shift of its bits, and their mask after it."""
        if self.encoding == "twos_complement":
            sign = self.weight_bits - 1
            return ((-1 << sign, sign, 1), *self._digits(sign))
        plain = self._digits(self.weight_bits)
        if self.encoding == "differential":
            return plain + tuple((-worth, shift, mask) for worth, shift, mask in plain)
        return plain

    def _digits(self, bits: int) -> tuple[tuple[int, int, int], ...]:
        shifts = [self.cell_bits * at for at in reversed(range(ceil_div(bits, self.cell_bits)))]
        return tuple((1 << at, at, (1 << min(self.cell_bits, bits - at)) - 1) for at in shifts)

    @property
    def slices(self) -> int:
        """Physical columns of a logical one."""
        return len(self.digits)

    @property
    def converted(self) -> int:
        """Converted columns of a logical one: half of the physical ones where pairs are subtracted before."""
        return self.slices // 2 if self.paired else self.slices

    @property
    def worth(self) -> Ints:
        """What one level of each slice is worth, ``(slices,)``."""
        return np.array([worth for worth, _, _ in self.digits], np.int64)

    def levels(self, weights: Ints) -> Levels:
        """Cell levels, none flipped: ``(rows, slices, channels)`` of weights ``(rows, channels)``."""
        kind: Any = np.uint8 if self.weight_bits <= 8 else np.uint16
        rows, channels = weights.shape
        out = np.empty((rows, self.slices, channels), np.uint8)
        positive, negative = weights, weights
        if self.encoding == "differential":
            positive, negative = np.maximum(weights, 0), np.maximum(-weights, 0)
        elif self.offset:
            positive = weights + self.offset
        plus, minus = positive.astype(kind), negative.astype(kind)
        for at, (worth, shift, mask) in enumerate(self.digits):
            codes = minus if worth < 0 else plus
            out[:, at] = (codes >> kind(shift)) & kind(mask)
        return out


@dataclass(frozen=True)
class Drive:
    """Inputs as reads: which bits each read applies and what it is worth."""

    bits: int
    """Bits of an input, sign included."""
    signed: bool
    shares: tuple[int, ...]
    """Bits of every read, the least significant read first."""
    polar: bool = False
    """The driver applies the sign: reads are of magnitudes."""

    @classmethod
    def of(cls, chip: Chip, bits: int, signed: bool) -> Drive:
        """Return the reads of a chip.

        Signed inputs are in two's complement and the sign has a read of its own, whose result is subtracted;
        with ``dac.signed`` the driver applies the sign to all reads.
        """
        dac = chip.file.dac
        polar = signed and dac.signed
        sign = 1 if signed and not polar else 0
        magnitude = bits - (1 if signed else 0)
        count = ceil_div(magnitude, dac.bits)
        split = dac.split_above is not None and magnitude > dac.split_above
        if split:
            count = max(2, count)
        if split or dac.kind == "pulses":
            shares = [magnitude // count + (at < magnitude % count) for at in reversed(range(count))]
        else:
            shares = [min(dac.bits, magnitude - dac.bits * at) for at in range(count)]
        return cls(bits, signed, (*shares, *(1,) * sign), polar)

    @property
    def range(self) -> tuple[int, int]:
        """Least and largest input."""
        if not self.signed:
            return 0, (1 << self.bits) - 1
        half = 1 << (self.bits - 1)
        return (1 - half if self.polar else -half), half - 1

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """Lowest bit of every read."""
        return tuple(sum(self.shares[:at]) for at in range(len(self.shares)))

    @cached_property
    def factors(self) -> tuple[int, ...]:
        """What a code of every read is worth."""
        factors = [1 << first for first in self.firsts]
        if self.signed and not self.polar:
            factors[-1] = -factors[-1]
        return tuple(factors)

    @property
    def most(self) -> int:
        """Largest digit of a read."""
        return (1 << max(self.shares)) - 1

    @property
    def planes(self) -> int:
        """Bit planes that the reads are taken from, those of one sign."""
        return sum(self.shares)

    @property
    def phases(self) -> Ints:
        """``(phases, 3)``: the first bit plane of a read, their number, and the first plane of negative inputs."""
        negative = self.planes if self.polar else None
        rows = [
            (first, share, -1 if negative is None else negative + first)
            for first, share in zip(self.firsts, self.shares, strict=True)
        ]
        return np.array(rows, np.int64)

    @property
    def square_phases(self) -> Ints:
        """``(phases, 2)``: bit planes of the squares of the digits."""
        counts = [2 * share if share > 1 else 1 for share in self.shares]
        firsts = np.cumsum([0, *counts[:-1]])
        return np.stack([firsts, counts], axis=1).astype(np.int64)

    def pack(self, inputs: Integers, height: int, doubled: bool = False) -> Words:
        """Bit planes of inputs ``(n, rows)``: ``(blocks, n, planes, words)``, for :attr:`phases`.

        Where the driver applies the sign, negative inputs have planes of their own, or with ``doubled`` words
        (rows) of their own.
        """
        if not self.polar:
            return pack(inputs, self.planes, height)
        wide = inputs.astype(np.int64)
        signs = [pack(np.maximum(part, 0), self.planes, height) for part in (wide, -wide)]
        return np.ascontiguousarray(np.concatenate(signs, axis=3 if doubled else 2))

    def pack_squares(self, inputs: Integers, height: int) -> Words:
        """Bit planes of the squares of all digits, for :attr:`square_phases`, as with ``doubled``."""
        if max(self.shares) == 1:  # a bit is its own square
            return self.pack(inputs, height, doubled=True)
        wide = inputs.astype(np.int64)
        if not self.polar:
            return self._squares(wide, height)
        signs = [self._squares(np.maximum(part, 0), height) for part in (wide, -wide)]
        return np.ascontiguousarray(np.concatenate(signs, axis=3))

    def _squares(self, inputs: Ints, height: int) -> Words:
        parts = []
        for first, share in zip(self.firsts, self.shares, strict=True):
            digit = (inputs >> first) & ((1 << share) - 1)
            parts.append(pack(digit * digit, 2 * share if share > 1 else 1, height))
        return np.ascontiguousarray(np.concatenate(parts, axis=2))


def pack(values: Integers, bits: int, height: int) -> Words:
    """The lowest bits of whole numbers ``(n, rows)``: planes ``(row blocks, n, bits, words of a block)``."""
    vectors, rows = values.shape
    blocks, words = ceil_div(rows, height), ceil_div(min(height, rows), WORD_ROWS)
    out = np.zeros((blocks, vectors, bits, words), np.uint16)
    for first in range(0, bits, 8):
        part = (values >> first if first else values).astype(np.uint8)  # the low byte: higher ones are cut off
        padded = part
        if height % WORD_ROWS or rows % (words * WORD_ROWS):
            padded = np.zeros((vectors, blocks, words * WORD_ROWS), np.uint8)
            for block in range(blocks):
                piece = part[:, block * height : (block + 1) * height]
                padded[:, block, : piece.shape[1]] = piece
        pack_bytes(np.ascontiguousarray(padded).reshape(vectors, -1), min(8, bits - first), first, out)
    return out
