"""One row block of a layer on its crossbars: what stands where, and its columns if cells are at whole levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from xbarsim.analog import cells
from xbarsim.analog.columns import LevelColumns, Reads, Segment, strips
from xbarsim.analog.encode import Levels
from xbarsim.analog.layout import Layout, corrections, polarity, totals
from xbarsim.analog.setup import Setup

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Plan:
    """What one row block holds, and which of its columns are on."""

    setup: Setup
    layout: Layout
    number: int
    weights: Ints
    """``(rows, channels)``."""
    stored: Levels
    """``(rows, slices, channels)``, flipped columns as they stand in the cells."""
    flips: Bools
    """``(slices, channels)``."""
    channels: Ints
    """Channels that are on."""

    @classmethod
    def of(cls, setup: Setup, layout: Layout, number: int, weights: Ints, channels: Ints) -> Plan:
        """Lay the weights ``(rows, channels)`` of a row block into cells."""
        levels = setup.coding.levels(weights)
        flips = polarity(levels, setup.coding, setup.chip)
        stored = levels ^ (flips * np.uint8(setup.coding.highest)) if flips.any() else levels
        return cls(setup, layout, number, weights, stored, flips, channels)

    @property
    def rows(self) -> Ints:
        """Numbers of the rows within the layer."""
        first = self.number * self.setup.height
        return np.arange(first, first + len(self.weights))

    @cached_property
    def crossbars(self) -> Ints:
        """Crossbar of each physical column that is on, ``(slices, channels that are on)``."""
        return self.layout.crossbars[:, self.channels]

    @property
    def alike(self) -> bool:
        """Whether all unit columns of the block read the same."""
        return self.setup.adds_inputs == "digital" or not (self.setup.individual or self.setup.stuck)

    @cached_property
    def units(self) -> Ints:
        """Crossbars whose unit column is read; a single number if all read the same."""
        if self.setup.adds_inputs == "nobody":
            return np.empty(0, np.int64)
        return np.zeros(1, np.int64) if self.alike else np.unique(self.crossbars)

    @cached_property
    def unit_of(self) -> Ints:
        """Index into :attr:`units` of each physical column that is on."""
        if len(self.units) < 2:
            return np.zeros(self.crossbars.shape, np.int64)
        return np.searchsorted(self.units, self.crossbars)

    @cached_property
    def correction(self) -> Ints:
        """What a count of each unit column adds to each channel, ``(units, channels that are on)``."""
        return corrections(self.setup.coding, self.flips[:, self.channels], self.unit_of, len(self.units))

    @cached_property
    def signs(self) -> Ints:
        """-1 for flipped converted columns, ``(converted slices, channels that are on)``."""
        return 1 - 2 * self.flips[: self.setup.coding.converted, self.channels].astype(np.int64)

    @property
    def data(self) -> int:
        """Converted columns that are on."""
        return self.setup.coding.converted * len(self.channels)

    @property
    def unit_at(self) -> int:
        """First unit column."""
        return strips(self.data)

    @cached_property
    def reads(self) -> Reads:
        """Reads and converters of the block's columns."""
        count, segments = len(self.channels), list[Segment]()
        for at, converter in enumerate(self.setup.converters):
            begin = at * count
            if segments and segments[-1].converter == converter:
                begin = segments.pop().begin
            segments.append(Segment(begin, (at + 1) * count, converter))
        if len(self.units):
            segments.append(Segment(self.unit_at, self.unit_at + len(self.units), self.setup.unit_converter))
        return Reads(self.setup.drive, tuple(segments), self.setup.bipolar)

    def addresses(self) -> npt.NDArray[np.uint32]:
        """Addresses of the physical columns that are on, slice by slice."""
        return self.layout.addresses(self.channels).reshape(-1)

    def unit_addresses(self) -> npt.NDArray[np.uint32]:
        """Addresses of the unit columns."""
        return (self.units + cells.UNIT_COLUMNS).astype(np.uint32)


def scales(plan: Plan) -> tuple[npt.NDArray[Any], np.int64 | np.float64]:
    """What codes of the columns add to each channel, in units of a step that is returned too."""
    setup = plan.setup
    kind = np.int64 if setup.integer else np.float64
    steps = [kind(setup.plain(used.step)) for used in setup.ranges.slices]
    if len(set(steps)) > 1:
        return (setup.worth * np.array(steps))[:, None] * plan.signs, kind(1)
    largest = int(np.abs(setup.worth).sum()) * max(setup.converters[0].top, 1) * sum(map(abs, setup.drive.factors))
    return (setup.worth[:, None] * plan.signs).astype(np.int32 if largest < 1 << 31 else np.int64), steps[0]


def corrected(plan: Plan) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """What codes of the unit columns add to each channel, and what is added to every result."""
    setup = plan.setup
    kind = np.int64 if setup.integer else np.float64
    lows = setup.worth * np.array([kind(setup.plain(used.low)) for used in setup.ranges.slices])
    unit, units = setup.unit_converter.range, plan.correction.astype(kind)
    if setup.leak:
        seen = 1 + setup.leak if setup.adds_inputs == "columns" else 1.0
        units = np.asarray((units - setup.leak * _leaks(plan)) / seen)
    base = setup.sum_of_factors * (lows @ plan.signs + kind(setup.plain(unit.low)) * units.sum(axis=0))
    return (units * kind(setup.plain(unit.step))).astype(kind), base.astype(kind)


def _leaks(plan: Plan) -> Ints:
    """Worth of all levels that each unit column stands for, ``(units, channels that are on)``."""
    out = np.zeros(plan.correction.shape, np.int64)
    if not plan.setup.coding.paired and len(out):
        channels = np.arange(len(plan.channels))
        for at, worth in enumerate(plan.setup.worth):
            np.add.at(out, (plan.unit_of[at], channels), worth * plan.signs[at])
    return out


# ---- cells at whole levels -------------------------------------------------------------------


def level_columns(plan: Plan, prove: bool) -> tuple[LevelColumns, Ints | None]:
    """Columns of cells at whole levels, and with ``prove`` the weights they are proved to multiply by, if they are."""
    setup, coding = plan.setup, plan.setup.coding
    stored, units = _faulty(plan)
    parts = side_by_side(plan, stored, units)
    most = [setup.most(coding.highest)] * len(plan.reads.segments)
    if len(plan.units) and not setup.stuck:
        most[-1] = setup.most(1)
    columns = LevelColumns.of(plan.reads, parts, setup.words, most)
    if not prove:
        return columns, None
    worst = np.maximum.reduce([totals(part, coding.highest) for part in parts]) * np.int64(setup.drive.most)
    for segment in plan.reads.segments:
        largest = int(worst[segment.begin : segment.end].max(initial=0))
        if not segment.converter.faithful(-largest if setup.bipolar else 0, largest):
            return columns, None
    if not setup.stuck:
        return columns, plan.weights[:, plan.channels]
    held = np.einsum("s,rsc->rc", coding.worth, stored * np.where(plan.flips[:, plan.channels], -1, 1))
    return columns, held + units.astype(np.int64) @ plan.correction


def _faulty(plan: Plan) -> tuple[Levels, Levels]:
    """Levels of the columns that are on ``(rows, slices, channels)`` and of unit columns, stuck cells included."""
    setup, stored = plan.setup, plan.stored
    if len(plan.channels) < stored.shape[2]:
        stored = stored[:, :, plan.channels]
    units = np.ones((len(stored), len(plan.units)), np.uint8)
    if setup.stuck:
        faults, highest = setup.chip.file.device.stuck_at, setup.coding.highest
        drawn = setup.source.words(cells.FAULT, plan.addresses(), plan.rows)[0]
        stored, _ = cells.stuck(stored, faults, highest, drawn.reshape(stored.shape))
        if setup.adds_inputs == "columns":
            drawn = setup.source.words(cells.FAULT, plan.unit_addresses(), plan.rows)[0]
            units, _ = cells.stuck(units, faults, highest, drawn)
    return stored, units


def side_by_side(plan: Plan, stored: Levels, units: Levels) -> list[Levels]:
    """Converted columns and unit columns ``(rows, columns)``: of cells that add, and if pairs subtract, of these."""
    split = plan.setup.coding.converted
    parts = [_flat(plan, stored[:, :split], units)]
    if plan.setup.coding.paired:
        parts.append(_flat(plan, stored[:, split:], np.zeros_like(units)))
    return parts


def _flat(plan: Plan, stored: Levels, units: Levels) -> Levels:
    """Columns slice by slice and the unit columns behind them, ``(rows, columns)``."""
    out = np.zeros((len(stored), plan.unit_at + units.shape[1]), np.uint8)
    out[:, : plan.data] = stored.reshape(len(stored), -1)
    out[:, plan.unit_at :] = units
    return out
