"""The one path from "what must the crossbars hold" to cells, pulses and rows written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Integers
from xbarsim.chip import Chip
from xbarsim.errors import XbarsimError
from xbarsim.kernels.cells import column_sums, first_writing, transition
from xbarsim.kernels.rewriting import cells_of_pairs, pair_times, rewriting
from xbarsim.mapping import Grid, Placement, Site
from xbarsim.network import Task
from xbarsim.units import service_ps

BACKBONE = "backbone"
"""Name of the network as it was installed, before any switch."""

Ints = NDArray[np.int64]
Flips = NDArray[np.uint8]

PAIRED_BITS = 8
"""Widest weights whose rewrites are counted by pairs of codes: a table of 2^16 pairs."""


@dataclass(frozen=True, eq=False)
class LayerChange:
    """What one copy of a layer goes through at a switch."""

    site: Site
    histogram: Ints
    """Writes by (old level, new level); unit columns included. With full writes a cell is written twice."""
    attempts: Ints
    """Pulse trains by (old level, new level): as ``histogram``, repeated ones included."""
    crossbar_ps: Ints
    """For each crossbar the time of its row- or column-serial SET and RESET phases."""
    crossbar_lines: Ints
    """For each crossbar the rows (or columns) that are written."""
    cells_written: int
    """Cells of one copy."""
    failed_cells: int
    """Cells of one copy that missed their level after all retries."""
    codes_changed: int
    weights_touched: int

    def pulses(self, table: Ints) -> int:
        """Pulses on the cells of one copy, given pulses by (old level, new level)."""
        return int((self.attempts * table).sum())


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

    @property
    def failed_cells(self) -> int:
        """Cells of all copies that missed their level."""
        return sum(change.failed_cells * change.site.copies for change in self.layers)

    def pulses(self, table: Ints) -> int:
        """Pulses on the cells of all copies."""
        return sum(change.pulses(table) * change.site.copies for change in self.layers)


@dataclass(frozen=True, eq=False)
class Contents:
    """What the crossbars of one copy hold: integers and the polarity of every physical column."""

    weights: Integers
    flips: Flips


def never_flips(grid: Grid, chip: Chip) -> bool:
    """Whether no column can exceed the converter's range, whatever it holds."""
    rows = np.bincount(grid.row_block)
    largest = int(rows.max()) * (chip.cell_levels - 1)
    return chip.file.crossbar.encoding == "differential" or chip.column_sum_bound() >= largest


def polarity(weights: Integers, grid: Grid, chip: Chip, bits: int, base: Flips | None = None) -> Flips:
    """Which physical columns are stored flipped, ``(row blocks, c_out, slices)``.

    A column whose worst-case sum exceeds the converter's range is stored as its complement if that
    is smaller (ISAAC). With ``base``, the backbone's polarity is kept unless that breaks the bound.
    """
    crossbar = chip.file.crossbar
    shape = (grid.blocks, weights.shape[0], grid.slices)
    if never_flips(grid, chip):
        return np.zeros(shape, np.uint8)
    bound, rows = chip.column_sum_bound(), np.bincount(grid.row_block)
    sums = np.zeros(shape, np.int64)
    column_sums(weights, grid.row_block, grid.slices, bits, crossbar.cell_bits, False, sums)
    complement = (rows * (chip.cell_levels - 1))[:, None, None] - sums
    wanted = (sums > bound) & (complement < sums)
    if base is not None:
        kept = np.where(base, complement, sums) <= bound
        wanted = np.where(kept, base.astype(bool), wanted)
    return wanted.astype(np.uint8)


def contents_of(adaption: Adaption, placement: Placement, site: Site, task: Task | None) -> Contents:
    """Integers and polarity of one layer for a task."""
    network, chip, bits = placement.network, placement.chip, placement.weight_bits
    own = adaption.contents(placement.mask_chip, network, task, site.name, bits)
    fixed = task is None or not adaption.rewritten(network, task, site.name)
    if fixed or never_flips(site.grid, chip):
        return Contents(own, polarity(own, site.grid, chip, bits))
    base = polarity(adaption.contents(placement.mask_chip, network, None, site.name, bits), site.grid, chip, bits)
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


def slot_ps(chip: Chip) -> Ints:
    """Time of one attempt at a write, verification included, by (old level, new level); 0 on the diagonal."""
    device, verify = chip.file.device, chip.file.writer.verify
    read_ns = verify.read_ns if verify else Fraction(0)
    pulses = device.write_pulses(chip.cell_levels)
    return np.array(
        [[service_ps(int(count) * device.pulse_ns + read_ns) if count else 0 for count in row] for row in pulses],
        dtype=np.int64,
    )


def layer_change(
    chip: Chip, site: Site, bits: int, old: Contents | None, new: Contents, touched: int, names: tuple[str, str]
) -> LayerChange:
    """Write ``new`` over ``old``; ``None`` is the erased crossbar, all cells at the lowest level.

    ``names`` of the two tasks seed the luck of write attempts, where writes are verified.
    """
    grid, crossbar, writer = site.grid, chip.file.crossbar, chip.file.writer
    slots = slot_ps(chip)
    histogram, attempts = (np.zeros(slots.shape, np.int64) for _ in range(2))
    times, lines = (np.zeros(grid.crossbars, np.int64) for _ in range(2))
    tally = np.zeros(3, np.int64)
    units = old is None and chip.has_unit_column
    unit_ps = int(slots[0, 1]) if units else 0
    differential, by_column = crossbar.encoding == "differential", writer.parallel == "column"
    failure = float(writer.verify.failure) if writer.verify else 0.0
    plain = not (failure or by_column or grid.separate or new.flips.any()) and grid.cols % grid.slices == 0
    together = chip.file.device.write_phases == 1
    coding = grid.slices, bits, crossbar.cell_bits, differential
    if old is None and plain:
        first_writing(
            new.weights, strip_table(grid), grid.cols, grid.slices, bits, crossbar.cell_bits, differential,
            slots, unit_ps, histogram, times, lines,
        )  # fmt: skip
        attempts, tally[1] = histogram.copy(), histogram.sum()
    elif old and plain and writer.mode != "full" and not old.flips.any() and bits <= PAIRED_BITS:
        pairs = np.zeros((1 << bits, 1 << bits), np.int64)
        longest = _pair_times(*coding, slots.tobytes())
        where = strip_table(grid), grid.cols, grid.slices, bits
        rewriting(old.weights, new.weights, *where, *longest, together, pairs, times, lines)
        cells_of_pairs(pairs, *coding, histogram)
        attempts, tally[:2] = histogram.copy(), (pairs.sum(), histogram.sum())
    else:
        before = new if old is None else old
        transition(
            before.weights, new.weights, old is None, before.flips, new.flips, strip_table(grid),
            grid.cols, grid.separate, grid.slices, bits, crossbar.cell_bits,
            differential, slots, unit_ps, writer.mode == "full" and old is not None, by_column,
            together, failure,
            writer.verify.retries if writer.verify else 0, luck(site.name, *names), histogram, attempts, times,
            lines, tally,
        )  # fmt: skip
    if units:
        cells = int((grid.rows * grid.strip_crossbars).sum())
        histogram[0, 1] += cells
        attempts[0, 1] += cells
        tally[1] += cells
    codes, cells, failed = (int(count) for count in tally)
    return LayerChange(site, histogram, attempts, times, lines, cells, failed, codes, touched)


@lru_cache(maxsize=8)
def _pair_times(slices: int, bits: int, cell_bits: int, differential: bool, slots: bytes) -> tuple[Ints, Ints]:
    table = np.frombuffer(slots, np.int64).reshape(1 << cell_bits, 1 << cell_bits).copy()
    longest: tuple[Ints, Ints] = pair_times(slices, bits, cell_bits, differential, table)
    return longest


def luck(*names: str) -> np.uint64:
    """Seed of the write attempts of one layer at one switch: from the names, so that no order matters."""
    return np.uint64(int.from_bytes(hashlib.sha256("\0".join(names).encode()).digest()[:8], "little"))


def switch(adaption: Adaption, placement: Placement, old: Task | None, new: Task | None) -> Change:
    """What changes in the backbone's crossbars from one task to another; heads are resident."""
    network, chip, bits = placement.network, placement.chip, placement.weight_bits
    changes = []
    for site in placement.backbone:
        if not any(adaption.rewritten(network, task, site.name) for task in (old, new)):
            continue
        before, after = (contents_of(adaption, placement, site, task) for task in (old, new))
        touched = adaption.touched(placement.mask_chip, network, old, new, site.name)
        names = (_name(old), _name(new))
        changes.append(layer_change(chip, site, bits, before, after, touched, names))
    change = Change(_name(old), _name(new), tuple(changes))
    _check_failures(chip, change)
    return change


def install(adaption: Adaption, placement: Placement) -> Change:
    """Programming the erased chip: the backbone once, and a resident head for every task."""
    chip, bits = placement.chip, placement.weight_bits
    changes = []
    for site in placement.sites.values():
        for there, contents in installed_contents(adaption, placement, site):
            changes.append(layer_change(chip, there, bits, None, contents, 0, ("", BACKBONE)))
    change = Change("", BACKBONE, tuple(changes))
    _check_failures(chip, change)
    return change


def installed_contents(adaption: Adaption, placement: Placement, site: Site) -> Iterable[tuple[Site, Contents]]:
    """Contents of a layer, and of every resident head beside the backbone's."""
    network, chip, bits = placement.network, placement.chip, placement.weight_bits
    tasks = network.tasks.values() if site.residents > 1 else ()
    for task in (None, *tasks):
        there = site.of_task(task, chip, bits)
        own = task.weights(adaption.name, site.name, bits) if task and adaption.name in task.methods else None
        if own is None and not site.grid.layer.head:
            own = adaption.contents(placement.mask_chip, network, None, site.name, bits)
        elif own is None:
            layer = there.grid.layer  # a head without tensors of its own repeats the backbone's columns
            own = np.resize(network.integers(site.name, bits), (layer.c_out, layer.rows))
        yield there, Contents(own, polarity(own, there.grid, chip, bits))


def _check_failures(chip: Chip, change: Change) -> None:
    """Cells that failed are an error, or degraded cells in the result: never silent."""
    verify = chip.file.writer.verify
    if not change.failed_cells or not verify or verify.on_failure == "degrade":
        return
    worst = max(change.layers, key=lambda layer: layer.failed_cells)
    raise XbarsimError(
        f"writing {change.new!r} over {change.old or 'the erased chip'!r}: {change.failed_cells} cells missed their "
        f"level after {verify.retries} retries, most of them in layer {worst.site.name!r}; raise "
        "writer.verify.retries, or set writer.verify.on_failure=degrade to go on with them"
    )


def _name(task: Task | None) -> str:
    return task.name if task else BACKBONE
