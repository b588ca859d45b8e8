"""Wear, counted per cell: writes and pulses over the scenario, installation included.

A cell's wear follows from the levels that it has under the tasks of the scenario (its *history*) and
from how often the scenario moves from one task to another. Cells with the same history are counted
together; a copy of a layer is counted once, with its multiplicity; a layer that no switch touches is
what installation wrote. So long repeats cost no more than short ones.

Beside the scenario's own wear stands that of every *further* scenario right after it: it starts from
the task that the one before ended with instead of the backbone, and nothing is installed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption, Change, LayerChange
from xbarsim.adaptions.change import BACKBONE, Contents, contents_of, installed_contents, luck, strip_table
from xbarsim.chip import Chip
from xbarsim.dataflow import Dataflow
from xbarsim.dataflow.plan import task_of
from xbarsim.kernels.wear import count_histories, flip_words, strip_wear
from xbarsim.mapping import Placement, Site

Table = NDArray[np.int64]
"""Rows of (writes, pulses, writes per further scenario, pulses per further scenario, cells)."""

MOST_COUNTERS = 1 << 24
"""Histories x processing elements that are counted together; beyond, cells are looked at one by one."""

MOST_BINS = 32
"""Bins of a histogram."""

PERCENTS = (50, 90, 99)


@dataclass(frozen=True)
class Element:
    """The cells of one processing element of one copy, or of a whole layer that no switch touches."""

    layer: str
    pe: int | None
    """Number within a copy: its crossbars in groups of ``pe.crossbars``."""
    crossbars: int
    copies: int
    cells: int
    """Cells in one copy, unit columns included."""
    writes_max: int
    writes_mean: float
    pulses_max: int
    pulses_mean: float


@dataclass(frozen=True, eq=False)
class Wear:
    """Writes and pulses per cell; cells of all copies, resident heads and unit columns."""

    table: Table
    """How many cells are how worn: distinct rows."""
    elements: tuple[Element, ...]
    """The map: one row per processing element."""
    switches: int
    """Task switches of every further scenario."""

    @property
    def cells(self) -> int:
        """All cells."""
        return int(self.table[:, 4].sum())

    @property
    def writes_max(self) -> int:
        """Writes of the most written cell."""
        return self._most(0)

    @property
    def writes_mean(self) -> float:
        """Mean writes of all cells."""
        return self._mean(0)

    @property
    def pulses_max(self) -> int:
        """Pulses on the cell with most."""
        return self._most(1)

    @property
    def pulses_mean(self) -> float:
        """Mean pulses of all cells."""
        return self._mean(1)

    def _most(self, column: int) -> int:
        return int(self.table[:, column].max(initial=0))

    def _mean(self, column: int) -> float:
        return float((self.table[:, column] * self.table[:, 4]).sum() / self.cells)

    def percentile(self, percent: float, *, pulses: bool = False) -> int:
        """Fewest writes (or pulses) that so many percent of the cells do not exceed."""
        column = 1 if pulses else 0
        order = np.argsort(self.table[:, column], kind="stable")
        reached = np.cumsum(self.table[order, 4])
        return int(self.table[order[np.searchsorted(reached, percent / 100 * self.cells)], column])

    def histogram(self, *, pulses: bool = False) -> list[dict[str, int]]:
        """Cells by writes (or pulses): every number, or equal bins where there are too many."""
        column = 1 if pulses else 0
        most = self._most(column)
        width = 1 if len(np.unique(self.table[:, column])) <= MOST_BINS else -(-(most + 1) // MOST_BINS)
        cells: Counter[int] = Counter()
        for worn, count in self.table[:, [column, 4]].tolist():
            cells[worn // width] += count
        return [{"from": at * width, "to": at * width + width - 1, "cells": cells[at]} for at in sorted(cells)]

    @cached_property
    def _summary(self) -> dict[str, Any]:
        row: dict[str, Any] = {"cells": self.cells}
        for column, name in enumerate(("writes", "pulses")):
            row |= {f"{name}_max": self._most(column), f"{name}_mean": self._mean(column)}
            row |= {f"{name}_p{p}": self.percentile(p, pulses=bool(column)) for p in PERCENTS}
        return row

    def to_json(self) -> dict[str, Any]:
        """The ``wear`` object of a run."""
        return {
            **self._summary,
            "writes_histogram": self.histogram(),
            "pulses_histogram": self.histogram(pulses=True),
            "pes": [vars(element) for element in self.elements],
        }


@dataclass(frozen=True)
class Moves:
    """How often a scenario, and every further one, goes from one task to another."""

    tasks: tuple[str, ...]
    rows: tuple[tuple[int, int, int, int], ...]
    """(old task or -1 for the erased chip, new task, times in the scenario, times in a further one)."""

    @property
    def switches(self) -> int:
        """Task switches of a further scenario."""
        return sum(again for _, _, _, again in self.rows)


def moves_of(dataflow: Dataflow) -> Moves:
    """Count the switches of a scenario; a further one begins with the task that the last ended with."""
    times = Counter({(moment.change.old, moment.change.new): count for moment, count in dataflow.moves})
    again = times.copy()
    first, last = (dataflow.entries[at].task for at in (0, -1))
    again[BACKBONE, first] -= first != BACKBONE
    again[last, first] += last != first
    pairs = [pair for pair in {**times, **again} if times[pair] or again[pair]]
    tasks = tuple(dict.fromkeys([BACKBONE, *(task for pair in pairs for task in pair)]))
    rows = [(tasks.index(old), tasks.index(new), times[old, new], again[old, new]) for old, new in pairs]
    return Moves(tasks, ((-1, 0, 1, 0), *rows))


def wear_of(placement: Placement, adaption: Adaption, dataflow: Dataflow, installed: Change) -> Wear:
    """Count the wear of installation and of every switch of the scenario."""
    moves = moves_of(dataflow)
    counter = _Counter(placement.chip, placement.weight_bits, moves)
    tallies = [
        tally for site in placement.sites.values() for tally in _site(placement, adaption, counter, site, installed)
    ]
    return Wear(
        _merged([tally.table for tally in tallies]), tuple(row for tally in tallies for row in tally.elements),
        moves.switches,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Tally:
    """The cells of one copy of a layer: how many of each processing element are worn in which way."""

    site: Site
    kinds: NDArray[np.int64]
    """(writes, pulses, writes and pulses of a further scenario) of every kind of cell."""
    cells: NDArray[np.int64]
    """(processing elements, kinds); one row for a whole layer that no switch touches."""
    per_pe: int | None
    """Crossbars of a processing element; none: one row for the whole layer."""

    @property
    def table(self) -> Table:
        """Cells of all copies by wear."""
        return np.column_stack([self.kinds, self.cells.sum(axis=0) * self.site.copies])

    @property
    def elements(self) -> list[Element]:
        """Maxima and means, one row per processing element."""
        worn = self.kinds[:, :2]
        most = np.where((self.cells > 0)[:, :, None], worn, 0).max(axis=1)
        total, cells = self.cells @ worn, self.cells.sum(axis=1)
        crossbars = self.site.grid.crossbars
        rows = []
        for at, (high, sums, count) in enumerate(zip(most.tolist(), total.tolist(), cells.tolist(), strict=True)):
            mine = crossbars if self.per_pe is None else min(self.per_pe, crossbars - at * self.per_pe)
            rows.append(Element(
                self.site.name, None if self.per_pe is None else at, mine, self.site.copies, count,
                high[0], sums[0] / count, high[1], sums[1] / count,
            ))  # fmt: skip
        return rows


def _site(
    placement: Placement, adaption: Adaption, counter: _Counter, site: Site, installed: Change
) -> Iterator[_Tally]:
    """A layer that switches rewrite, or what installation wrote: the heads of all tasks are residents."""
    tasks = [task_of(placement, task) for task in counter.moves.tasks]
    if not site.grid.layer.head and any(adaption.rewritten(placement.network, task, site.name) for task in tasks):
        yield counter.rewritten(site, [contents_of(adaption, placement, site, task) for task in tasks])
    elif counter.failure:
        once = replace(counter, moves=Moves((BACKBONE,), ((-1, 0, 1, 0),)))
        for there, contents in installed_contents(adaption, placement, site):
            yield once.rewritten(there, [contents])
    else:
        yield from (counter.untouched(change) for change in installed.layers if change.site.name == site.name)


@dataclass(frozen=True)
class _Counter:
    """Counts the cells of one copy of a layer by wear."""

    chip: Chip
    bits: int
    moves: Moves

    @cached_property
    def pulses(self) -> NDArray[np.int64]:
        """Pulses of a write by (old level, new level)."""
        return self.chip.file.device.write_pulses(self.chip.cell_levels)

    @property
    def full(self) -> bool:
        """Writes go through the lowest level."""
        return self.chip.file.writer.mode == "full"

    @property
    def failure(self) -> float:
        """Probability that a pulse train misses its level."""
        verify = self.chip.file.writer.verify
        return float(verify.failure) if verify else 0.0

    def untouched(self, change: LayerChange) -> _Tally:
        """What installation wrote: one write per cell that is not at the lowest level."""
        site, written = change.site, change.histogram[0]
        levels = np.flatnonzero(written)
        kinds = np.array([(0, 0, 0, 0), *((1, int(self.pulses[0, level]), 0, 0) for level in levels)], np.int64)
        cells = site.grid.cells + int(self._units(site).sum())
        return _Tally(site, kinds, np.array([[cells - written.sum(), *written[levels]]], np.int64), None)

    def rewritten(self, site: Site, states: Sequence[Contents]) -> _Tally:
        """All cells by their wear over installation and switches; those of unit columns are written once."""
        per_pe = self.chip.file.pe.crossbars
        pes = -(-site.grid.crossbars // per_pe)
        histories = self.chip.cell_levels ** len(states)
        together = histories * pes <= MOST_COUNTERS and not self.failure
        kinds, cells = (self._by_history if together else self._cell_by_cell)(site, states, pes)
        unit = np.array([[1, int(self.pulses[0, 1]), 0, 0]], np.int64)
        units = np.bincount(np.arange(site.grid.crossbars) // per_pe, self._units(site), pes)
        return _Tally(site, np.concatenate([kinds, unit]), np.column_stack([cells, units.astype(np.int64)]), per_pe)

    def _by_history(
        self, site: Site, states: Sequence[Contents], pes: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cells with the same levels under all tasks are worn alike."""
        grid = site.grid
        counts = np.zeros((pes, self.chip.cell_levels ** len(states)), np.int64)
        count_histories(
            *_stacked(states, self.chip), strip_table(grid), grid.cols, grid.separate, grid.slices, self.bits,
            self.chip.file.crossbar.cell_bits, self._differential, self.chip.file.pe.crossbars, counts,
        )  # fmt: skip
        kinds, kind = self._history_kinds
        cells = np.stack([np.bincount(kind, row, len(kinds)) for row in counts])
        return kinds, cells.astype(np.int64)

    @cached_property
    def _history_kinds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How histories wear a cell: the distinct ways, and which of them each history is."""
        worn = _history_wear(len(self.moves.tasks), self.chip.cell_levels, self.moves, self.pulses, self.full)
        kinds, kind = np.unique(worn, axis=0, return_inverse=True)
        return kinds, kind.ravel()

    def _cell_by_cell(
        self, site: Site, states: Sequence[Contents], pes: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every cell on its own, where histories are many or writes fail at random."""
        grid, verify, found = site.grid, self.chip.file.writer.verify, []
        stacked = _stacked(states, self.chip)
        for strip in strip_table(grid):
            worn = np.zeros((int(strip[2] * strip[4]) * grid.slices, 5), np.int64)
            strip_wear(
                *stacked, strip, grid.cols, grid.separate, grid.slices, self.bits, self.chip.file.crossbar.cell_bits,
                self._differential, self.chip.file.pe.crossbars, self.full, np.array(self.moves.rows, np.int64),
                self._seeds(site), self.pulses, self.failure, verify.retries if verify else 0, worn,
            )  # fmt: skip
            found.append(np.column_stack(np.unique(worn, axis=0, return_counts=True)))
        rows = np.concatenate(found)
        kinds, kind = np.unique(rows[:, 1:5], axis=0, return_inverse=True)
        cells = np.zeros((pes, len(kinds)), np.int64)
        np.add.at(cells, (rows[:, 0], kind.ravel()), rows[:, 5])
        return kinds, cells

    def _seeds(self, site: Site) -> NDArray[np.uint64]:
        """Luck of the write attempts of every move."""
        names = ["", *self.moves.tasks]
        seeds = [luck(site.name, names[old + 1], names[new + 1]) for old, new, _, _ in self.moves.rows]
        return np.array(seeds, np.uint64)

    @property
    def _differential(self) -> bool:
        return self.chip.file.crossbar.encoding == "differential"

    def _units(self, site: Site) -> NDArray[np.int64]:
        """Cells of the unit column of every crossbar of one copy, used rows only."""
        rows = np.repeat(site.grid.rows, site.grid.strip_crossbars)
        return rows if self.chip.has_unit_column else np.zeros_like(rows)


def _stacked(states: Sequence[Contents], chip: Chip) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Weights of all states, and the digits that are stored flipped as words."""
    flips = np.stack([state.flips for state in states])
    return np.stack([state.weights for state in states]), flip_words(flips, chip.file.crossbar.cell_bits)


def _history_wear(states: int, levels: int, moves: Moves, pulses: NDArray[np.int64], full: bool) -> Table:
    """(writes, pulses, writes per further scenario, pulses per further scenario) of every history."""
    history = np.arange(levels**states)
    held = [history // levels**state % levels for state in range(states)]
    worn = np.zeros((len(history), 4), np.int64)
    for old, new, times, again in moves.rows:
        was, level = held[old] if old >= 0 else np.zeros_like(history), held[new]
        through = full and old >= 0
        written = (was != level) | (through & (level > 0))
        trains = np.where(written, pulses[was, 0] + pulses[0, level] if through else pulses[was, level], 0)
        worn += np.column_stack([times * written, times * trains, again * written, again * trains])
    return worn


def _merged(tables: Sequence[Table]) -> Table:
    """Rows of all tables, those of equal wear added up, cells that are none left out."""
    rows = np.concatenate(tables)
    rows = rows[rows[:, 4] > 0]
    kinds, kind = np.unique(rows[:, :4], axis=0, return_inverse=True)
    cells = np.zeros(len(kinds), np.int64)
    np.add.at(cells, kind.ravel(), rows[:, 4])
    return np.column_stack([kinds, cells])
