"""The one path from "what must the crossbars hold" to cells, pulses and rows written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Integers
from xbarsim.chip import Chip
from xbarsim.kernels.cells import column_sums, transition
from xbarsim.mapping import Grid, Placement, Site
from xbarsim.network import Layer, Task

Ints = NDArray[np.int64]
Flips = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LayerChange:
    """What one copy of a layer goes through at a switch."""

    site: Site
    histogram: Ints
    """Cells by (old level, new level); the diagonal is not counted. Unit columns included."""
    crossbar_pulses: Ints
    """For each crossbar the pulse slots of its row-serial SET and RESET phases."""
    crossbar_rows: Ints
    """For each crossbar the rows that are written."""
    codes_changed: int
    weights_touched: int

    @property
    def cells_written(self) -> int:
        """Cells of one copy."""
        return int(self.histogram.sum())

    def pulses(self, table: Ints) -> int:
        """Pulses on the cells of one copy, given pulses by (old level, new level)."""
        return int((self.histogram * table).sum())


@dataclass(frozen=True, eq=False)
class Change:
    """A switch from one task to another, or the installation of the backbone."""

    old: str
    new: str
    layers: tuple[LayerChange, ...]

    @cached_property
    def by_layer(self) -> dict[str, LayerChange]:
        """Changes by layer name."""
        return {change.site.name: change for change in self.layers}

    @property
    def cells_written(self) -> int:
        """Cells of all copies."""
        return sum(change.cells_written * change.site.copies for change in self.layers)

    def pulses(self, table: Ints) -> int:
        """Pulses on the cells of all copies."""
        return sum(change.pulses(table) * change.site.copies for change in self.layers)


@dataclass(frozen=True, eq=False)
class Contents:
    """What the crossbars of one copy hold: integers and the polarity of every physical column."""

    weights: Integers
    flips: Flips


def block_height(layer: Layer, chip: Chip) -> int:
    """Weight rows of one row block."""
    return layer.block_rows(chip.file.crossbar.rows, chip.file.mapping.kernel_aligned)


def polarity(weights: Integers, grid: Grid, chip: Chip, bits: int, base: Flips | None = None) -> Flips:
    """Which physical columns are stored flipped, ``(row blocks, c_out, slices)``.

    A column whose worst-case sum exceeds the converter's range is stored as its complement if that
    is smaller (ISAAC). With ``base``, the backbone's polarity is kept unless that breaks the bound.
    """
    layer, crossbar = grid.layer, chip.file.crossbar
    shape = (grid.blocks, weights.shape[0], grid.slices)
    if crossbar.encoding == "differential":
        return np.zeros(shape, np.uint8)
    height = block_height(layer, chip)
    bound = chip.column_sum_bound()
    if bound >= min(height, layer.rows) * (chip.cell_levels - 1):  # no column can exceed it
        return np.zeros(shape, np.uint8)
    sums = np.zeros(shape, np.int64)
    column_sums(weights, height, grid.slices, bits, crossbar.cell_bits, False, sums)
    rows = np.minimum(height, layer.rows - height * np.arange(grid.blocks))
    complement = (rows * (chip.cell_levels - 1))[:, None, None] - sums
    wanted = (sums > bound) & (complement < sums)
    if base is not None:
        kept = np.where(base, complement, sums) <= bound
        wanted = np.where(kept, base.astype(bool), wanted)
    return wanted.astype(np.uint8)


def contents_of(adaption: Adaption, placement: Placement, site: Site, task: Task | None) -> Contents:
    """Integers and polarity of one layer for a task."""
    network, chip, bits = placement.network, placement.chip, placement.weight_bits
    own = adaption.contents(network, task, site.name, bits)
    if task is None or not adaption.rewritten(network, task, site.name):
        return Contents(own, polarity(own, site.grid, chip, bits))
    base = polarity(network.integers(site.name, bits), site.grid, chip, bits)
    return Contents(own, polarity(own, site.grid, chip, bits, base))


def strip_table(grid: Grid) -> Ints:
    """The strips of a grid as the kernels of :mod:`xbarsim.kernels.cells` read them."""
    first = np.concatenate([[0], np.cumsum(grid.strip_crossbars)[:-1]])
    sharing = np.full_like(grid.block, grid.group_channels)
    columns = [
        grid.block,
        grid.first_row,
        grid.column_rows,
        grid.first_channel,
        grid.channels,
        sharing,
        first,
    ]
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.int64)


def layer_change(chip: Chip, site: Site, bits: int, old: Contents | None, new: Contents, touched: int) -> LayerChange:
    """Write ``new`` over ``old``; ``None`` is the erased crossbar, all cells at the lowest level."""
    grid, crossbar = site.grid, chip.file.crossbar
    levels = chip.cell_levels
    pulses = chip.file.device.write_pulses(levels)
    histogram = np.zeros((levels, levels), np.int64)
    crossbar_pulses = np.zeros(grid.crossbars, np.int64)
    crossbar_rows = np.zeros(grid.crossbars, np.int64)
    units = old is None and chip.has_unit_column
    before = new if old is None else old
    codes = transition(
        before.weights, new.weights, old is None, before.flips, new.flips, strip_table(grid),
        block_height(grid.layer, chip), grid.cols, grid.separate, grid.slices, bits, crossbar.cell_bits,
        crossbar.encoding == "differential", pulses, pulses[0, 1] if units else 0,
        histogram, crossbar_pulses, crossbar_rows,
    )  # fmt: skip
    if units:
        histogram[0, 1] += int((grid.rows * grid.strip_crossbars).sum())
    return LayerChange(site, histogram, crossbar_pulses, crossbar_rows, int(codes), touched)


def switch(adaption: Adaption, placement: Placement, old: Task | None, new: Task | None) -> Change:
    """What changes in the backbone's crossbars from one task to another; heads are resident."""
    network, chip, bits = placement.network, placement.chip, placement.weight_bits
    changes = []
    for site in placement.backbone:
        if not any(adaption.rewritten(network, task, site.name) for task in (old, new)):
            continue
        before, after = (contents_of(adaption, placement, site, task) for task in (old, new))
        touched = adaption.touched(network, old, new, site.name)
        changes.append(layer_change(chip, site, bits, before, after, touched))
    return Change(_name(old), _name(new), tuple(changes))


def install(adaption: Adaption, placement: Placement) -> Change:
    """Programming the erased chip: the backbone once, and a resident head for every task."""
    chip, bits = placement.chip, placement.weight_bits
    changes = []
    for site in placement.sites.values():
        for there, contents in _installed(adaption, placement, site):
            changes.append(layer_change(chip, there, bits, None, contents, 0))
    return Change("", "backbone", tuple(changes))


def _installed(adaption: Adaption, placement: Placement, site: Site) -> Iterable[tuple[Site, Contents]]:
    """Contents of a layer, and of every resident head beside the backbone's."""
    network, chip, bits = placement.network, placement.chip, placement.weight_bits
    tasks = network.tasks.values() if site.residents > 1 else ()
    for task in (None, *tasks):
        there = site.of_task(task, chip, bits)
        own = task.weights(adaption.name, site.name, bits) if task and adaption.name in task.methods else None
        if task is None or own is None:
            own = network.integers(site.name, bits)[: there.grid.layer.c_out]
        yield there, Contents(own, polarity(own, there.grid, chip, bits))


def _name(task: Task | None) -> str:
    return task.name if task else "backbone"
