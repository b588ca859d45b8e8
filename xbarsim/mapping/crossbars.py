"""One layer on crossbars: row blocks x bit slices x output channels.

A *strip* is a set of crossbars side by side that hold the same rows of the same output channels. A
dense layer has one strip per row block; a grouped layer is a block diagonal: groups that are shorter
than a crossbar share strips, taller ones have strips of their own. Within a strip physical columns
are filled in order (channel, then slice) with ``cols`` to a crossbar. Row blocks are as tall as the
crossbars, unless masks of another height are repacked: see :mod:`xbarsim.mapping.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.mapping.fit import Block, Fit, Piece, dense
from xbarsim.network import Layer
from xbarsim.units import ceil_div

Ints = NDArray[np.int64]
Columns = NDArray[np.bool_]
"""Whether each physical column is on, ``(crossbars, cols)`` of a strip."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The crossbars of one copy of a layer. All arrays have one entry per strip."""

    layer: Layer
    slices: int
    """Physical columns of a logical one, both signs of a differential pair included."""
    cols: int
    """Physical columns of a crossbar, the unit column not counted."""
    separate: bool
    """Each slice has crossbars of its own (``crossbar.slices: arrays``)."""
    block: Ints
    """Row block of the strip's columns."""
    first_row: Ints
    """First weight row, within an output channel's ``layer.rows``, that the strip holds."""
    column_rows: Ints
    """Weight rows of one output channel in the strip."""
    rows: Ints
    """Crossbar rows in use; more than ``column_rows`` where groups share a strip."""
    first_channel: Ints
    """First output channel of the strip."""
    channels: Ints
    """Output channels of the strip."""
    group_channels: int
    """Output channels that share rows; the next as many stand ``column_rows`` further down."""
    pieces: tuple[tuple[Piece, ...], ...]
    """Mask groups in the strip's columns, top to bottom."""

    @property
    def blocks(self) -> int:
        """Row blocks of one output channel: columns that its weights stand in, slices counted once."""
        return int(self.block.max()) + 1

    @property
    def reads(self) -> int:
        """Reads per input phase that it takes to read every mask group on its own."""
        return max(len(pieces) for pieces in self.pieces)

    @property
    def mask_holders(self) -> int:
        """Mask values that physical columns hold: one for each mask group in each."""
        held = [len(pieces) * int(count) for pieces, count in zip(self.pieces, self.channels, strict=True)]
        return sum(held) * self.slices

    @cached_property
    def row_block(self) -> Ints:
        """For every weight row of an output channel the row block that it stands in."""
        blocks = np.zeros(self.layer.rows, np.int64)
        for block, first, rows in zip(self.block, self.first_row, self.column_rows, strict=True):
            blocks[first : first + rows] = block
        return blocks

    @property
    def logical_columns(self) -> int:
        """Output channels times row blocks."""
        return int(self.channels.sum())

    @property
    def physical_columns(self) -> int:
        """Columns of cells that hold weights."""
        return self.logical_columns * self.slices

    @cached_property
    def strip_crossbars(self) -> Ints:
        """Crossbars of each strip."""
        if self.separate:
            return self.slices * -(-self.channels // self.cols)
        return -(-self.channels * self.slices // self.cols)

    @property
    def crossbars(self) -> int:
        """Crossbars of one copy."""
        return int(self.strip_crossbars.sum())

    @property
    def cells(self) -> int:
        """Cells of one copy that hold weights, unit columns not counted."""
        return int((self.column_rows * self.channels).sum()) * self.slices

    def columns_on(self, mask: NDArray[np.generic] | None) -> list[Columns]:
        """For every strip: whether each physical column is on in any of its reads.

        ``mask`` is ``(mask groups, c_out)``, not zero where a column is on; ``None`` means all on.
        Columns that hold nothing are off.
        """
        return [self._columns(strip, pieces, mask) for strip, pieces in enumerate(self.pieces)]

    def readings(self, mask: NDArray[np.generic] | None, *, phased: bool) -> list[list[tuple[int, Columns]]]:
        """For every strip its reads of one input phase: rows that are active, and columns that are on.

        ``phased``: one read per mask group; otherwise one read of all rows.
        """
        strips = []
        for strip, pieces in enumerate(self.pieces):
            parts = [(piece,) for piece in pieces] if phased else [pieces]
            stacked = int(self.rows[strip] // self.column_rows[strip])  # groups one below the other
            strips.append([
                (stacked * sum(piece.rows for piece in part), self._columns(strip, part, mask)) for part in parts
            ])  # fmt: skip
        return strips

    def _columns(self, strip: int, pieces: Sequence[Piece], mask: NDArray[np.generic] | None) -> Columns:
        """Columns of one strip that are on for any of some mask groups."""
        first, count = int(self.first_channel[strip]), int(self.channels[strip])
        if mask is None:
            return self._fold(np.ones(count, bool))
        groups = [piece.group for piece in pieces]
        return self._fold((mask[groups, first : first + count] != 0).any(axis=0))

    def _fold(self, on: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Lay the logical columns of one strip onto its crossbars."""
        if not self.separate:
            return _pad(np.repeat(on, self.slices), self.cols)
        return np.concatenate([_pad(on, self.cols)] * self.slices)


def _pad(columns: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    full = np.zeros(ceil_div(len(columns), width) * width, bool)
    full[: len(columns)] = columns
    return full.reshape(-1, width)


def lay_out(layer: Layer, chip: Chip, weight_bits: int, fit: Fit | None = None) -> Grid:
    """Lay one copy of ``layer`` onto the crossbars of ``chip``; ``fit``: of the masks, if there are any."""
    slices = chip.slices(weight_bits)
    crossbar = chip.file.crossbar
    separate = crossbar.slices == "arrays"
    blocks = (fit or dense(chip)).blocks(layer)
    width = crossbar.cols // (1 if separate else slices)
    chunks = _chunks(layer, blocks, crossbar.rows, width)
    strips, pieces = [], []
    for (first, channels, stacked), (at, block) in product(chunks, enumerate(blocks)):
        strips.append((at, block.first, block.rows, stacked * block.rows, first, channels))
        pieces.append(block.pieces)
    number, first_row, column_rows, rows, first_channel, counts = np.array(strips, dtype=np.int64).T
    return Grid(
        layer, slices, crossbar.cols, separate, number, first_row, column_rows, rows, first_channel, counts,
        layer.c_out // layer.groups, tuple(pieces),
    )  # fmt: skip


def _chunks(layer: Layer, blocks: Sequence[Block], rows: int, width: int) -> list[tuple[int, int, int]]:
    """Channels that stand side by side: (first, count, groups that stand one below the other).

    Groups shorter than a crossbar stand diagonally in one, as many as its rows and columns take; every
    taller group has crossbars of its own.
    """
    per_group = layer.c_out // layer.groups
    together = 1
    if layer.groups > 1 and layer.rows <= rows:
        together = max(1, min(rows // max(block.rows for block in blocks), width // per_group))
    return list(_spans(layer.groups, together, per_group))


def _spans(groups: int, together: int, per_group: int) -> Iterator[tuple[int, int, int]]:
    for group in range(0, groups, together):
        count = min(together, groups - group)
        yield group * per_group, count * per_group, count
