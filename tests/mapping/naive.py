"""Naive twins of the mapping: windows replayed pixel by pixel, weights put into cells one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xbarsim.chip import Chip
from xbarsim.mapping import Sliding
from xbarsim.network import Layer


def pixels_read(sliding: Sliding) -> list[list[int]]:
    """For every window, in row-major order, the numbers of the pixels that it reads."""
    height, width = sliding.in_hw
    windows = []
    for out_y in range(sliding.out_hw[0]):
        for out_x in range(sliding.out_hw[1]):
            read = []
            for tap_y in range(sliding.kernel[0]):
                for tap_x in range(sliding.kernel[1]):
                    y = out_y * sliding.stride[0] + tap_y * sliding.dilation[0] - sliding.padding[0]
                    x = out_x * sliding.stride[1] + tap_x * sliding.dilation[1] - sliding.padding[1]
                    if 0 <= y < height and 0 <= x < width:
                        read.append(y * width + x)
            windows.append(read)
    return windows


def naive_tables(sliding: Sliding) -> tuple[list[int], list[int]]:
    """Need and release by a replay: arrivals in order, and a pixel goes when nobody will read it again."""
    windows = pixels_read(sliding)
    pixels = sliding.in_hw[0] * sliding.in_hw[1]
    need, arrived = [], 0
    for read in windows:
        while any(pixel >= arrived for pixel in read):
            arrived += 1
        need.append(arrived)
    last_reader = {pixel: window for window, read in enumerate(windows) for pixel in read}
    release, gone = [], 0
    for window in range(len(windows)):
        while gone < pixels and last_reader.get(gone, -1) <= window:
            gone += 1
        release.append(gone)
    release[-1] = pixels
    return need, release


@dataclass(frozen=True)
class Cell:
    """One cell of one copy of a layer."""

    crossbar: int
    row: int
    column: int


Weight = tuple[int, int, int]
"""(output channel, row of the channel, slice)."""


def cells_of(layer: Layer, chip: Chip, bits: int) -> dict[Weight, Cell]:
    """Put every slice of every weight into a cell, in the order of the documentation.

    A group that is no taller than a crossbar shares crossbars with the groups after it, diagonally, as
    long as rows and columns suffice; otherwise every group, and every row block of it, has its own.
    """
    crossbar = chip.file.crossbar
    slices = -(-bits // crossbar.cell_bits) * (2 if crossbar.encoding == "differential" else 1)
    separate = crossbar.slices == "arrays"
    cells: dict[Weight, Cell] = {}
    used = 0
    for channels, rows in _strips(
        layer, crossbar.rows, crossbar.cols, slices, separate, chip.file.mapping.kernel_aligned
    ):
        highest = used
        for number, channel in enumerate(channels):
            for row in rows[channel]:
                for piece in range(slices):
                    if separate:
                        width = -(-len(channels) // crossbar.cols)
                        place, column = piece * width + number // crossbar.cols, number % crossbar.cols
                    else:
                        place, column = divmod(number * slices + piece, crossbar.cols)
                    cells[channel, row, piece] = Cell(used + place, rows[channel][row], column)
                    highest = max(highest, used + place)
        used = highest + 1
    return cells


Rows = dict[int, dict[int, int]]
"""For every channel: its weight rows -> crossbar rows."""


def _strips(
    layer: Layer, height: int, width: int, slices: int, separate: bool, aligned: bool
) -> Iterator[tuple[list[int], Rows]]:
    """Channels that stand side by side, and where their rows are."""
    per_group = layer.c_out // layer.groups
    groups = [list(range(group * per_group, (group + 1) * per_group)) for group in range(layer.groups)]
    if layer.groups > 1 and layer.rows <= height:
        while groups:
            channels: list[int] = []
            rows: Rows = {}
            depth = 0
            while groups:
                columns = (len(channels) + per_group) * (1 if separate else slices)
                if channels and (
                    depth + layer.rows > height or columns > (width if separate else width // slices * slices)
                ):
                    break
                group = groups.pop(0)
                channels += group
                rows |= {channel: {row: depth + row for row in range(layer.rows)} for channel in group}
                depth += layer.rows
            yield channels, rows
        return
    area = layer.kernel[0] * layer.kernel[1]
    block = height // area * area if aligned and area <= height else height
    for group in groups:
        for first in range(0, layer.rows, block):
            inside = range(first, min(first + block, layer.rows))
            yield group, {channel: {row: row - first for row in inside} for channel in group}


def block_of(layer: Layer, chip: Chip, row: int) -> int:
    """Row block that a weight row belongs to."""
    area = layer.kernel[0] * layer.kernel[1]
    height = chip.file.crossbar.rows
    if chip.file.mapping.kernel_aligned and area <= height:
        height = height // area * area
    return row // height
