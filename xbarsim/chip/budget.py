"""What a chip takes when everything is busy: power, area, throughput and density, by component.

Every crossbar reads a window after the other, all rows and all weight columns in use, inputs and weights as wide
as ``precision`` says; actions x energies give the power, leakage comes on top. Parts whose activity follows from
no window (buffer, bus, routers, links) take their published ``peak_power_mw``; without one they are taken as busy
all the time. Unit columns are left out, as publications do, and reported beside (:attr:`Budget.unit_power_mw`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from xbarsim.chip.array import Part
from xbarsim.chip.chip import Chip
from xbarsim.chip.prices import prices
from xbarsim.units import ceil_div

Level = Literal["pe", "tile", "chip"]
LEVELS: tuple[Level, ...] = ("pe", "tile", "chip")
OPS_PER_MAC = 2
MIB_BITS = 8 * 2**20


@dataclass(frozen=True)
class Item:
    """One component of a processing element, a tile or the chip."""

    component: str
    level: Level
    count: Fraction
    """Instances in one of the level; a router that serves four tiles is a quarter of each."""
    area_um2: float | None
    """Of one instance; ``None``: not published."""
    power_mw: float | None
    """Of all instances in one of the level; ``None``: not published."""
    basis: str
    """Where the power comes from: actions, published, busy, static, idle."""

    @property
    def total_um2(self) -> float:
        """Area of all instances in one of the level."""
        return (self.area_um2 or 0.0) * float(self.count)


@dataclass(frozen=True)
class Budget:
    """Power, area and throughput of one chip at full activity."""

    items: tuple[Item, ...]
    per: dict[Level, int]
    """Processing elements, tiles and chips on one chip."""
    peak_gops: float
    """Operations (a multiplication or an addition) per nanosecond."""
    weight_bits: int
    """Capacity of all cells for weights."""
    unit_power_mw: float
    """What the unit columns of all crossbars would add."""

    def power_mw(self, level: Level = "chip", *components: str) -> float:
        """Power of one processing element, tile or chip with everything in it, or of some components of it."""
        return sum((item.power_mw or 0.0) * share for item, share in self._within(level, components))

    def area_um2(self, level: Level = "chip", *components: str) -> float:
        """Area of one processing element, tile or chip with everything in it, or of some components of it."""
        return sum(item.total_um2 * share for item, share in self._within(level, components))

    def _within(self, level: Level, components: tuple[str, ...]) -> Iterable[tuple[Item, float]]:
        reach = LEVELS[: LEVELS.index(level) + 1]
        for item in self.items:
            if item.level in reach and (not components or item.component in components):
                yield item, self.per[item.level] / self.per[level]

    @property
    def tops(self) -> float:
        """Peak throughput in TOPS."""
        return self.peak_gops / 1e3

    @property
    def tops_per_w(self) -> float | None:
        """Peak throughput over power at full activity."""
        power = self.power_mw()
        return self.peak_gops / power if power else None

    @property
    def gops_per_mm2(self) -> float | None:
        """Peak throughput over area."""
        area = self.area_um2()
        return self.peak_gops / area * 1e6 if area else None

    @property
    def mib_per_mm2(self) -> float | None:
        """Capacity of weights over area, in binary megabytes."""
        area = self.area_um2()
        return self.weight_bits / MIB_BITS / area * 1e6 if area else None

    @property
    def unpublished(self) -> list[str]:
        """What counts zero."""
        areas = [f"area of {item.component} is not published: it counts zero" for item in self._lacking("area_um2")]
        powers = [f"power of {item.component} is not published: it counts zero" for item in self._lacking("power_mw")]
        return areas + powers

    def _lacking(self, quantity: str) -> list[Item]:
        return [item for item in self.items if getattr(item, quantity) is None]


def budget_of(chip: Chip) -> Budget:
    """Add up a chip at full activity."""
    return _Accountant(chip).budget()


class _Accountant:
    """Walks the parts of a chip level by level."""

    def __init__(self, chip: Chip) -> None:
        self.chip, self.file = chip, chip.file
        self.prices = prices(chip)
        self.areas = chip.tables.areas
        bits, crossbar = self.file.precision.input_bits, self.file.crossbar
        self.reads = chip.reads(bits)
        self.window_ns = chip.interval_ns(bits, ceil_div(crossbar.cols, self.file.adc.per_crossbar))
        self.slices = chip.slices(self.file.precision.weight_bits)

    def budget(self) -> Budget:
        """Everything together."""
        chip, crossbar = self.chip, self.file.crossbar
        per: dict[Level, int] = {
            "pe": self.file.chip.tiles * self.file.tile.pes,
            "tile": self.file.chip.tiles,
            "chip": 1,
        }
        macs = Fraction(crossbar.rows * crossbar.cols, self.slices) * chip.crossbars_per_chip
        cells = crossbar.rows * crossbar.cols * chip.crossbars_per_chip
        items = (*self._pe(), *self._tile(), *self._chip(), *self._support())
        gops = float(OPS_PER_MAC * macs / self.window_ns)
        return Budget(items, per, gops, cells * crossbar.cell_bits, self._unit_columns())

    # ---- a processing element ----------------------------------------------------------------

    def _pe(self) -> Iterable[Item]:
        file, crossbar = self.file, self.file.crossbar
        crossbars, lines = file.pe.crossbars, crossbar.cols
        drivers = Fraction(crossbars, self.slices if file.dac.serves == "slices" else 1) * crossbar.rows
        yield self._busy("crossbar", "pe", crossbars, self._crossbar_pj() * crossbars)
        yield self._busy("dac", "pe", drivers, drivers * self._charges * self._price("dac", "drive"))
        yield self._busy("sample_hold", "pe", crossbars * lines, self._samples() * crossbars)
        yield self._busy("adc", "pe", crossbars * file.adc.per_crossbar, self._conversions(self._converted) * crossbars)
        adds = self._converted * len(self.reads) * crossbars
        yield self._busy("shift_add", "pe", file.shift_add.per_pe, adds * self._price("shift_add", "add"))
        inputs = drivers * sum(read.bits for read in self.reads) * self._price("registers", "input")
        yield self._busy("registers", "pe", 1, inputs)
        yield from self._part_of("registers", "output", "pe", adds / float(self.window_ns))
        if file.gate:
            yield self._idle("gate", "pe", crossbars * lines)
        if file.mask_buffer:
            yield self._idle("mask_buffer", "pe", crossbars * lines * file.mask_buffer.copies)
        if file.scaler:
            yield self._idle("scaler", "pe", 1)

    @property
    def _charges(self) -> int:
        return sum(read.charges for read in self.reads)

    @property
    def _converted(self) -> int:
        """Conversions of one crossbar per read."""
        crossbar = self.file.crossbar
        return ceil_div(crossbar.cols, 2) if crossbar.subtract == "analog" else crossbar.cols

    def _crossbar_pj(self) -> float:
        crossbar = self.file.crossbar
        cells = self._charges * crossbar.rows * crossbar.cols * self._price("crossbar", "read")
        whole = self.prices["crossbar", "array"]
        return cells + (len(self.reads) * whole if whole is not None else 0.0)

    def _samples(self) -> float:
        sampled = self._converted * self._charges * self._price("sample_hold", "sample")
        if self.file.dac.kind == "level":
            return sampled
        return sampled + self._converted * sum(r.pulses for r in self.reads) * self._price("sample_hold", "pulse")

    def _conversions(self, columns: int) -> float:
        whole = columns * len(self.reads) * self._price("adc", "convert")
        if self.file.adc.kind != "step":
            return whole
        return whole + columns * sum(read.steps for read in self.reads) * self._price("adc", "step")

    def _unit_columns(self) -> float:
        """Power of reading and converting one more column of every crossbar."""
        if not self.chip.has_unit_column:
            return 0.0
        reads, rows = len(self.reads), self.file.crossbar.rows
        each = self._conversions(1) + self._charges * rows * self._price("crossbar", "read")
        each += self._charges * self._price("sample_hold", "sample")
        each += reads * (self._price("shift_add", "add") + self._price("registers", "output"))
        return each * self.chip.crossbars_per_chip / float(self.window_ns)

    # ---- a tile ------------------------------------------------------------------------------

    def _tile(self) -> Iterable[Item]:
        file, cycle = self.file, float(self.chip.cycle_ns)
        reads = len(self.reads) / float(self.window_ns)
        for name in ("registers", "shift_add"):
            yield from self._part_of(name, "tile", "tile", reads)
        for name, part in (("activation", file.activation), ("pool", file.pool)):
            yield self._steady(name, "tile", 1, part, self.prices[name, "cycle"], 1 / cycle, "actions")
        accesses = 1 / float(file.buffer.access_ns)
        bits = min(float(file.bus.width_bits * file.bus.rate_ghz), file.buffer.access_bits * accesses)
        yield self._steady("buffer", "tile", 1, file.buffer, self.prices["buffer", "read"], accesses, "busy")
        yield self._steady("bus", "tile", 1, file.bus, self.prices["bus", "bit"], bits, "busy")
        routers = Fraction(1, file.noc.tiles_per_router)
        flits = float(file.noc.rate_ghz)
        yield self._steady("noc", "tile", routers, file.noc, self.prices["noc", "flit_hop"], flits, "busy")
        for name in ("requantise", "vector"):
            if getattr(file, name) is not None:
                yield self._idle(name, "tile", 1)

    def _chip(self) -> Iterable[Item]:
        offchip = self.file.offchip
        if offchip.energy == "static":
            yield Item("offchip", "chip", Fraction(1), self._area("offchip", offchip), offchip.static_mw, "static")
        else:
            rate = float(offchip.gbytes_per_s)
            yield self._steady("offchip", "chip", 1, offchip, self.prices["offchip", "byte"], rate, "busy")
        if self.file.mask_store:
            yield self._idle("mask_store", "chip", 1)

    def _support(self) -> Iterable[Item]:
        for name, part in self.file.support.items():
            power = part.peak_mw if part.peak_mw is not None else part.leak_mw
            total = None if power is None else power * part.count
            yield Item(f"support.{name}", part.per, Fraction(part.count), part.footprint_um2, total, "published")

    # ---- one item ----------------------------------------------------------------------------

    def _price(self, component: str, action: str) -> float:
        return self.prices[component, action] or 0.0

    def _area(self, name: str, part: Part) -> float | None:
        return self.areas.get(name, part.footprint_um2)

    def _mw(self, energy_pj: float | None, per_ns: float) -> float | None:
        return None if energy_pj is None else energy_pj * per_ns

    def _item(self, name: str, level: Level, count: Fraction | int, mw: Callable[[], float | None], basis: str) -> Item:
        part: Part = getattr(self.file, name)
        count = Fraction(count)
        if part.peak_mw is not None:
            return Item(name, level, count, self._area(name, part), part.peak_mw * float(count), "published")
        power, leaks = mw(), part.leak_mw
        if power is not None or leaks is not None:
            power = (power or 0.0) + (leaks or 0.0) * float(count)
        return Item(name, level, count, self._area(name, part), power, basis)

    def _busy(self, name: str, level: Level, count: Fraction | int, window_pj: float) -> Item:
        """A part whose actions follow from the windows of the crossbars."""
        return self._item(name, level, count, lambda: float(window_pj) / float(self.window_ns), "actions")

    def _steady(
        self, name: str, level: Level, count: Fraction | int, part: Part, energy_pj: float | None, per_ns: float,
        basis: str,
    ) -> Item:  # fmt: skip
        """A part with so many actions per nanosecond and instance."""
        return self._item(name, level, count, lambda: self._mw(energy_pj, per_ns * float(count)), basis)

    def _part_of(self, name: str, action: str, level: Level, per_ns: float) -> Iterable[Item]:
        """A further block of a section, with an area of its own; its power may be in the section's peak power."""
        section, label = getattr(self.file, name), f"{name}_{action}"
        area = self.areas.get(label, getattr(section, f"{action}_area_um2"))
        power = self._mw(self.prices[name, action], per_ns)
        if level == "pe" and section.peak_mw is not None:
            power = 0.0
        if area is not None or power is not None:
            yield Item(label, level, Fraction(1), area, power, "actions")

    def _idle(self, name: str, level: Level, count: int) -> Item:
        """A part that does nothing while windows are read: it only leaks."""
        return self._item(name, level, count, lambda: 0.0, "idle")
