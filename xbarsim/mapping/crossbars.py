"""One layer on crossbars: row blocks x bit slices x output channels.

A *strip* is a set of crossbars side by side that hold the same rows of the same output channels. A
dense layer has one strip per row block; a grouped layer is a block diagonal: groups that are shorter
than a crossbar share strips, taller ones have strips of their own. Within a strip physical columns
are filled in order (channel, then slice) with ``cols`` to a crossbar.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.network import Layer
from xbarsim.units import ceil_div

Ints = NDArray[np.int64]


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

    @property
    def blocks(self) -> int:
        """Row blocks of one output channel: the first axis of a column mask."""
        return int(self.block.max()) + 1

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

    def columns_on(self, mask: NDArray[np.uint8] | None) -> list[NDArray[np.bool_]]:
        """For every strip: whether each physical column is on, ``(crossbars, cols)``.

        ``mask`` is ``(row blocks, c_out)``; ``None`` means all on. Columns that hold nothing are off.
        """
        strips = []
        for index in range(len(self.block)):
            first, count = int(self.first_channel[index]), int(self.channels[index])
            on = np.ones(count, bool)
            if mask is not None:
                on = mask[self.block[index], first : first + count].astype(bool)
            strips.append(self._fold(on))
        return strips

    def _fold(self, on: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Lay the logical columns of one strip onto its crossbars."""
        if not self.separate:
            return _pad(np.repeat(on, self.slices), self.cols)
        return np.concatenate([_pad(on, self.cols)] * self.slices)


def _pad(columns: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    full = np.zeros(ceil_div(len(columns), width) * width, bool)
    full[: len(columns)] = columns
    return full.reshape(-1, width)


def lay_out(layer: Layer, chip: Chip, weight_bits: int) -> Grid:
    """Lay one copy of ``layer`` onto the crossbars of ``chip``."""
    slices = chip.slices(weight_bits)
    crossbar, aligned = chip.file.crossbar, chip.file.mapping.kernel_aligned
    separate = crossbar.slices == "arrays"
    height = layer.block_rows(crossbar.rows, aligned)
    per_group = layer.c_out // layer.groups
    if layer.groups > 1 and layer.rows <= crossbar.rows:
        strips = _shared(layer, crossbar.rows, crossbar.cols // (1 if separate else slices) // per_group)
    else:
        strips = _blocks(layer, height)
    block, first_row, column_rows, rows, first_channel, channels = np.array(strips, dtype=np.int64).T
    return Grid(
        layer, slices, crossbar.cols, separate, block, first_row, column_rows, rows,
        first_channel, channels, per_group,
    )  # fmt: skip


def _blocks(layer: Layer, height: int) -> list[tuple[int, ...]]:
    """Every group has row blocks of its own."""
    per_group = layer.c_out // layer.groups
    strips: list[tuple[int, ...]] = []
    for group in range(layer.groups):
        for block, first in enumerate(range(0, layer.rows, height)):
            rows = min(height, layer.rows - first)
            strips.append((block, first, rows, rows, group * per_group, per_group))
    return strips


def _shared(layer: Layer, rows: int, fitting: int) -> list[tuple[int, ...]]:
    """Groups shorter than a crossbar stand diagonally in one, as many as its rows and columns take."""
    per_group = layer.c_out // layer.groups
    together = max(1, min(rows // layer.rows, fitting))
    strips: list[tuple[int, ...]] = []
    for group in range(0, layer.groups, together):
        count = min(together, layer.groups - group)
        strips.append((0, 0, layer.rows, count * layer.rows, group * per_group, count * per_group))
    return strips
