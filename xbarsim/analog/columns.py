"""The physical columns of one row block: what a read of them gives, as codes merged over the phases.

Two kinds: cells at whole levels, whose sums are counted bit by bit, and cells with conductances of their own.
Both hold the columns that are on, slice by slice, and the unit columns from ``unit_at`` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from xbarsim.analog.converter import Converter, Range
from xbarsim.analog.encode import WORD_ROWS, Drive, Levels, Words
from xbarsim.errors import InputError
from xbarsim.kernels import conductances as cells_kernel
from xbarsim.kernels import popcount
from xbarsim.kernels.bitplanes import pack_levels
from xbarsim.kernels.lanes import WIDTH
from xbarsim.units import ceil_div

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
LINE = 64
"""Bytes of a cache line: arrays that kernels run along begin at one."""
NARROW = (np.int16, np.uint16, np.int32, np.int64)


class Workspace:
    """Arrays that are used again and again, by name."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def get(self, name: str, shape: Sequence[int], kind: DTypeLike) -> NDArray[Any]:
        """An array with undefined content, which the next call of the same name reuses."""
        kind = np.dtype(kind)
        size = prod(shape) * kind.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[name] = aligned(size)
        return buffer[:size].view(kind).reshape(shape)


def aligned(size: int) -> NDArray[np.uint8]:
    """Zeros in ``size`` bytes, beginning at a cache line."""
    buffer = np.zeros(size + LINE, np.uint8)
    begin = -buffer.ctypes.data % LINE
    return buffer[begin : begin + size]


def zeros(shape: Sequence[int], kind: DTypeLike) -> NDArray[Any]:
    """Zeros, beginning at a cache line."""
    kind = np.dtype(kind)
    return aligned(prod(shape) * kind.itemsize).view(kind).reshape(shape)


def on_lines(values: NDArray[Any], kind: DTypeLike) -> NDArray[Any]:
    """The values as another type, beginning at a cache line."""
    out = zeros(values.shape, kind)
    out[...] = values
    return out


def strips(columns: int) -> int:
    """Columns filled up to whole strips."""
    return ceil_div(columns, WIDTH) * WIDTH


@dataclass(frozen=True)
class Segment:
    """Neighbouring columns with converters alike."""

    begin: int
    end: int
    converter: Converter


@dataclass(frozen=True)
class Reads:
    """What the columns of a block need to know of the reads and of the converters."""

    drive: Drive
    segments: tuple[Segment, ...]
    bipolar: bool
    """Column sums have a sign."""

    @property
    def factors(self) -> NDArray[Any]:
        """What a code of each read is worth, in the narrowest type that holds what any column may add up to."""
        top = max(segment.converter.top for segment in self.segments)
        plus = top * sum(factor for factor in self.drive.factors if factor > 0)
        minus = top * sum(factor for factor in self.drive.factors if factor < 0)
        kind = next(kind for kind in NARROW if np.iinfo(kind).min <= minus and plus <= np.iinfo(kind).max)
        return np.array(self.drive.factors, kind)


class Tables(NamedTuple):
    """How :mod:`xbarsim.kernels.popcount` converts the columns of a block."""

    phases: Ints
    factors: NDArray[Any]
    segments: Ints
    laws: Ints
    quotients: Floats


def pack_planes(levels: Sequence[Levels], words: int) -> Words:
    """Bit planes of levels ``(rows, columns)``, of cells that add and of those that subtract, if there are any.

    ``(1 or 2, cell bits, words, columns filled up to cache lines)``.
    """
    bits = max(1, max(int(part.max(initial=0)) for part in levels).bit_length())
    columns = ceil_div(levels[0].shape[1], LINE // 2) * (LINE // 2)
    planes = zeros((len(levels), bits, words, columns), np.uint16)
    for part, target in zip(levels, planes, strict=True):
        pack_levels(np.ascontiguousarray(part), target)
    return planes


@dataclass(frozen=True, eq=False)
class LevelColumns:
    """Cells at whole levels."""

    reads: Reads
    planes: Words
    """``(cell bits, words, columns)``; with ``bipolar`` ``(1 or 2, …)``, of cells that add and that subtract."""
    tables: Tables
    kind: type[np.integer]
    """Type that holds every column sum."""

    @classmethod
    def of(cls, reads: Reads, levels: Sequence[Levels], words: int, sums: Sequence[int]) -> LevelColumns:
        """Pack the levels ``(rows, columns)`` of cells that add and, if there are two, of cells that subtract.

        ``words`` hold the rows of the highest block. No column sum of a segment is larger than its ``sums``, nor
        smaller than the negative.
        """
        planes = pack_planes(levels, words)
        kind = np.uint16 if max(sums) < 1 << (15 if reads.bipolar else 16) else np.int64
        laws, quotients, segments = [], [], []
        for segment, most in zip(reads.segments, sums, strict=True):
            least = -most if reads.bipolar else 0
            converter, few = segment.converter, segment.end - segment.begin < WIDTH
            law = None if few or kind is not np.uint16 else converter.law(least, most)
            way = popcount.DIVIDED if law is None else popcount.LAWFUL
            if few and least == 0 and converter.range == Range() and converter.faithful(0, most):
                way = popcount.SAME
            laws.append(law or (0,) * 7)
            quotients.append((*converter.quotient, converter.top))
            segments.append((segment.begin, segment.end, way))
        phases = reads.drive.phases if reads.bipolar else reads.drive.phases[:, :2].copy()
        tables = Tables(
            phases, reads.factors, np.array(segments, np.int64), np.array(laws, np.int64), np.array(quotients, float)
        )
        return cls(reads, planes if reads.bipolar else planes[0], tables, kind)

    def read(self, words: Words, work: Workspace) -> NDArray[Any]:
        """Codes of all reads, merged over the phases: ``(n, columns)``; words: ``(n, planes, words)``."""
        columns = self.planes.shape[-1]
        sums = work.get("sums", (len(words), columns), self.tables.factors.dtype)
        totals = work.get("totals", (columns,), self.kind)
        if self.reads.bipolar:
            minus = work.get("minus", (columns,), self.kind)
            popcount.read_signed(words, self.planes, *self.tables, totals, minus, sums)
        else:
            popcount.read_ideal(words, self.planes, *self.tables, totals, sums)
        return sums


FINEST, COARSEST = 20, 14
"""Fraction bits of a converter step in 32-bit numbers; with fewer than COARSEST there, 64 bits are taken."""
HEADROOM = 4
"""Column sums may be this many times as large as those of ideal cells before 64 bits are taken."""
FARTHEST = 6.7
"""Standard deviations that no normal number reaches."""


@dataclass(frozen=True, eq=False)
class CellColumns:
    """Cells with conductances of their own, in converter steps."""

    reads: Reads
    cells: cells_kernel.Cells
    fraction: int
    key: tuple[int, int]
    place: int
    """Number of the row block."""

    @property
    def noisy(self) -> bool:
        """Whether reads have noise."""
        return len(self.cells.variances) > 0

    def read(self, words: Words, squares: Words, first: int, work: Workspace) -> NDArray[Any]:
        """Codes of all reads, merged over the phases: ``(n, columns)``.

        words, squares: ``(n, planes, words)``; ``first``: number of the first input vector.
        """
        drive, cells, factors = self.reads.drive, self.cells, self.reads.factors
        kind, n, phases = cells.bias.dtype, len(words), len(drive.shares)
        length = WIDTH * n
        scratch = cells_kernel.Scratch(
            work.get("table", (cells.conductances.shape[0] * 64,), kind),
            work.get("reads", (phases, length), kind),
            work.get("variances", (phases, length), kind),
            work.get("addresses", (length,), np.uint32),
            work.get("indices", (length,), np.uint32),
            work.get("scales", (length,), np.float32),
            work.get("drawn", (4, length), np.uint32),
            work.get("normal", (4, length), np.float32),
            np.zeros(WIDTH, kind),
            work.get("merged", (length,), factors.dtype),
        )
        noise = cells_kernel.Noise(first, self.place, *self.key)
        out = work.get("sums", (n, cells.bias.shape[0]), factors.dtype)
        cells_kernel.read_cells(
            words, squares, drive.phases[:, :2].copy(), drive.square_phases, cells, noise, self.fraction,
            factors, scratch, out,
        )  # fmt: skip
        return out


def fraction_bits(reads: Reads, most: Sequence[int]) -> int:
    """Fraction bits of conductances in steps of each segment, whose ideal column sums are at most ``most`` levels.

    They depend on the chip alone, so that a column gives the same codes whatever stands beside it.
    """
    largest = max(
        (HEADROOM * levels + abs(segment.converter.range.low)) / segment.converter.range.step + segment.converter.top
        for segment, levels in zip(reads.segments, most, strict=True)
    )
    bits = 30 - int(largest).bit_length()
    return min(bits, FINEST) if bits >= COARSEST else FINEST


def cell_columns(
    reads: Reads, steps: Floats, bias: Floats, variances: Floats, largest_variances: Floats,
    addresses: NDArray[np.uint32], words: int, most: Sequence[int], key: tuple[int, int], place: int,
) -> CellColumns:  # fmt: skip
    """Cells of conductances ``steps`` ``(rows, columns)`` in converter steps per input digit.

    bias: ``(columns,)`` steps added to every read; variances: ``(rows, columns)`` steps squared, or no rows; few
    are above ``largest_variances`` ``(columns,)``. Columns are filled up to strips and rows to ``words`` here.
    """
    fraction = fraction_bits(reads, most)
    rows, columns = words * WORD_ROWS, strips(steps.shape[1])
    digit = reads.drive.most
    whole, offsets = np.rint(np.ldexp(steps, fraction)), np.rint(np.ldexp(bias, fraction))
    exponents = np.zeros(len(bias), np.int64)
    if len(variances):  # even numbers, such that the sum of a column stays below 2^30
        largest = np.where(largest_variances > 0, largest_variances, 1) * len(steps) * digit**2
        exponents = 2 * np.floor((29 - np.log2(largest)) / 2).astype(np.int64)
    spread = np.rint(np.ldexp(variances, exponents))
    noise = FARTHEST * np.sqrt(variances.sum(axis=0, initial=0.0)) * digit * 2.0**fraction
    tops = np.zeros(columns)
    for segment in reads.segments:
        tops[segment.begin : segment.end] = segment.converter.top
    most_sum = float(np.max(np.abs(whole).sum(axis=0) * digit + np.abs(offsets) + noise, initial=0.0))
    most_sum = max(most_sum, float(spread.sum(axis=0, initial=0.0).max(initial=0.0)) * digit * digit, tops.max())
    kind = np.int32 if most_sum < 2**31 - 2**fraction else np.int64
    if most_sum >= 2**52:
        raise InputError("column currents or their noise are beyond what converters of this range can mean")

    polar = reads.drive.polar
    cells = cells_kernel.Cells(
        _filled(whole, (rows, columns), kind, -1 if polar else 0),
        _filled(spread, (rows if len(spread) else 0, columns), kind, 1 if polar else 0),
        _filled(offsets, (columns,), kind),
        _filled(np.exp2(fraction - exponents / 2), (columns,), np.float32),
        _filled(tops, (columns,), kind),
        _filled(addresses, (columns,), np.uint32),
    )
    return CellColumns(reads, cells, fraction, key, place)


def _filled(values: NDArray[Any], shape: tuple[int, ...], kind: DTypeLike, again: int = 0) -> NDArray[Any]:
    """``values`` filled up with zeros; and ``again`` times the same below, the rows of negative inputs."""
    out = zeros(shape, kind)
    out[tuple(slice(size) for size in values.shape)] = values
    if not again:
        return out
    both = zeros((2 * len(out), *shape[1:]), kind)
    both[: len(out)], both[len(out) :] = out, again * out
    return both
