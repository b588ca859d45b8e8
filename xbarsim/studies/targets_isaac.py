"""ISAAC (ISCA 2016): Table I and IV, the pipeline of 22 cycles, conversions per product, the lossless converter."""

from __future__ import annotations

import numpy as np

from xbarsim.chip import Chip
from xbarsim.chip.budget import budget_of
from xbarsim.studies.bench import Bench, bench
from xbarsim.studies.targets import Load, target

NO_UNIT_COLUMN = "crossbar.unit_column=false"
"""The publication's power and counts leave the unit column out."""
ARRAY_PARTS = ("crossbar", "dac", "sample_hold", "adc")
PERCENT = 100


def _full(load: Load, *overrides: str) -> Bench:
    """All 16,128 arrays busy, image after image."""
    return bench(load("isaac", NO_UNIT_COLUMN, "chip.count=1", *overrides), "full_isaac", 20)


def _ima_mw(chip: Chip, busy: Bench) -> float:
    """Power of one in-situ unit, from the actions of a run that keeps all of them busy."""
    shared = sum(busy.energy_pj(part) for part in ARRAY_PARTS)
    ledger = busy.run.ledger
    for component, action in (("shift_add", "add"), ("registers", "input"), ("registers", "output")):
        shared += ledger.energy_pj(phase="inference", component=component, action=action) / busy.images
    return shared / busy.interval_ns / (chip.file.chip.tiles * chip.file.tile.pes)


def _share(load: Load, quantity: str, *components: str) -> float:
    """Share of some components in a tile, in percent."""
    budget = budget_of(load("isaac", NO_UNIT_COLUMN))
    part, whole = getattr(budget, quantity)("tile", *components), getattr(budget, quantity)("tile")
    return float(PERCENT * part / whole)


@target(
    "isaac-latency",
    "isaac_isca16.latency",
    "latency of one window, ns: 22 cycles of 100 ns",
    breaks="pipeline.adc_cycles=2",
)
def latency(load: Load) -> float:
    """One window through one tile."""
    return bench(load("isaac"), "one_window", 20).latency_ns


@target(
    "isaac-interval", "isaac_isca16.interval", "interval between windows, ns: 16 cycles of 100 ns",
    breaks="adc.rate_gsps=0.64",
)  # fmt: skip
def interval(load: Load) -> float:
    """Windows through one tile, one after another."""
    return bench(load("isaac"), "one_window", 20).interval_ns


@target(
    "isaac-ima-power", "isaac_isca16.ima_power", "power of an in-situ unit at full activity, mW", tolerance=0.002,
    breaks="dac.law.energy_pj=0.4",
)  # fmt: skip
def ima_power(load: Load) -> float:
    """Actions of a run on all arrays x energies / time."""
    return _ima_mw(load("isaac", NO_UNIT_COLUMN), _full(load))


@target(
    "isaac-tile-power", "isaac_isca16.tile_power", "power of a tile at full activity, mW", tolerance=0.002, how="sum",
    breaks="buffer.peak_power_mw=30",
)  # fmt: skip
def tile_power(load: Load) -> float:
    """In-situ units by actions; eDRAM, bus and router as published."""
    return budget_of(load("isaac")).power_mw("tile")


@target(
    "isaac-chip-power", "isaac_isca16.chip_power", "power of the chip at full activity, W", tolerance=0.002, how="sum",
    breaks="chip.tiles=160",
)  # fmt: skip
def chip_power(load: Load) -> float:
    """Tiles and links."""
    return budget_of(load("isaac")).power_mw() / 1e3


@target(
    "isaac-tile-area", "isaac_isca16.tile_area", "area of a tile, mm2", tolerance=0.002, how="sum", breaks="adc.bits=9"
)  # fmt: skip
def tile_area(load: Load) -> float:
    """Parts of a tile."""
    return budget_of(load("isaac")).area_um2("tile") / 1e6


@target(
    "isaac-chip-area", "isaac_isca16.chip_area", "area of the chip, mm2", tolerance=0.002, how="sum",
    breaks="chip.tiles=160",
)  # fmt: skip
def chip_area(load: Load) -> float:
    """Tiles and links."""
    return budget_of(load("isaac")).area_um2() / 1e6


@target(
    "isaac-efficiency", "isaac_isca16.efficiency", "peak efficiency, GOPS/W", tolerance=0.001,
    breaks="adc.rate_gsps=0.64",
)  # fmt: skip
def efficiency(load: Load) -> float:
    """Throughput of a run on all arrays over the power at full activity."""
    return _full(load).gops / (budget_of(load("isaac")).power_mw() / 1e3)


@target(
    "isaac-density", "isaac_isca16.density", "peak throughput over area, GOPS/mm2", tolerance=0.01,
    breaks="crossbar.cycle_ns=200",
)  # fmt: skip
def density(load: Load) -> float:
    """Throughput of a run on all arrays over the area."""
    return _full(load).gops / (budget_of(load("isaac")).area_um2() / 1e6)


@target(
    "isaac-storage", "isaac_isca16.storage", "weights over area, MiB/mm2", tolerance=0.01, how="sum",
    breaks="crossbar.cell_bits=1",
)  # fmt: skip
def storage(load: Load) -> float:
    """Cells over the area."""
    return budget_of(load("isaac")).mib_per_mm2 or 0.0


@target(
    "isaac-adc-power-share", "isaac_isca16.adc_power_share", "converters in the power of a tile, %", tolerance=1,
    measure="absolute", how="sum", breaks="adc.bits=6",
)  # fmt: skip
def adc_power_share(load: Load) -> float:
    """Breakdown of a tile."""
    return _share(load, "power_mw", "adc")


@target(
    "isaac-adc-area-share", "isaac_isca16.adc_area_share", "converters in the area of a tile, %", tolerance=1,
    measure="absolute", how="sum", breaks="adc.bits=6",
)  # fmt: skip
def adc_area_share(load: Load) -> float:
    """Breakdown of a tile."""
    return _share(load, "area_um2", "adc")


@target(
    "isaac-edram-bus-area-share", "isaac_isca16.edram_bus_area_share", "eDRAM and bus in the area of a tile, %",
    tolerance=1, measure="absolute", how="sum", breaks="buffer.bytes=32768",
)  # fmt: skip
def edram_bus_area_share(load: Load) -> float:
    """Breakdown of a tile."""
    return _share(load, "area_um2", "buffer", "bus")


@target(
    "isaac-next-power-share", "isaac_isca16.next_power_share", "largest share of power beside the converters, %",
    measure="at_most", how="sum", breaks="dac.law.energy_pj=0.5",
)  # fmt: skip
def next_power_share(load: Load) -> float:
    """Breakdown of a tile."""
    others = {item.component for item in budget_of(load("isaac")).items} - {"adc", "offchip"}
    return max(_share(load, "power_mw", other) for other in others)


def _conversions_per_mac(load: Load, *overrides: str) -> float:
    busy = _full(load, *overrides)
    return busy.count("adc", "convert") / busy.macs


@target(
    "isaac-conversions", "isaac_isca16.conversions", "conversions per 16-bit product", breaks="crossbar.cell_bits=4"
)  # fmt: skip
def conversions(load: Load) -> float:
    """Counters of a layer that is a whole number of arrays."""
    return _conversions_per_mac(load)


@target(
    "isaac-conversions-8b", "raella_isca23.isaac_conversions", "conversions per 8-bit product",
    breaks="crossbar.rows=64",
)  # fmt: skip
def conversions_8b(load: Load) -> float:
    """Counters of a layer that is a whole number of arrays."""
    return _conversions_per_mac(load, "precision.weight_bits=8", "precision.input_bits=8")


@target(
    "isaac-conversions-unit", "isaac_isca16.conversions_unit", "conversions per 16-bit product with the unit column",
    breaks="crossbar.unit_column=false",
)  # fmt: skip
def conversions_unit(load: Load) -> float:
    """Counters with one more column per array."""
    busy = bench(load("isaac", "chip.count=1"), "full_isaac", 20)
    return busy.count("adc", "convert") / busy.macs


@target(
    "isaac-adc-dominates", "raella_isca23.adc_share", "converters in the energy of an 8-bit array, %",
    measure="at_least", breaks="adc.energy_pj=0.1",
)  # fmt: skip
def adc_dominates(load: Load) -> float:
    """Energy of converters over that of the array and everything at its edges."""
    busy = _full(load, "precision.weight_bits=8", "precision.input_bits=8")
    return PERCENT * busy.energy_pj("adc") / busy.energy_pj(*ARRAY_PARTS)


@target(
    "isaac-adc-law", "isaac_isca16.lossless_bits", "least converter bits that lose nothing on 128 rows", how="arrays",
    breaks="crossbar.rows=64",
)  # fmt: skip
def lossless_bits(load: Load) -> float:
    """Fewest bits with which bit-sliced arrays give the product of whole numbers, on random and worst data."""
    chip = load("isaac")
    bits = range(1, 17)
    return next(n for n in bits if _errors(load("isaac", f"adc.bits={n}", f"adc.unit_bits={n}"), chip) == 0)


@target(
    "isaac-lossless", "isaac_isca16.lossless_errors", "wrong outputs of the arrays with the published converter",
    how="arrays", measure="absolute", breaks="adc.bits=7",
)  # fmt: skip
def lossless(load: Load) -> float:
    """Outputs that differ from the product of whole numbers."""
    chip = load("isaac")
    return _errors(chip, chip)


def _errors(chip: Chip, shape: Chip) -> int:
    """Outputs of one crossbar that are not the integer product; every bit is read, no proof is trusted."""
    from xbarsim.analog.program import program

    rows, columns = shape.file.crossbar.rows, shape.file.crossbar.cols // shape.slices(shape.file.precision.weight_bits)
    half = 1 << (shape.file.precision.weight_bits - 1)
    most = (1 << shape.file.precision.input_bits) - 1
    rng = np.random.default_rng(0)
    weights = rng.integers(-half, half, (rows, columns))
    weights[:, 0], weights[:, 1], weights[:, 2] = half - 1, -half, -1
    weights[: rows // 2, 3], weights[rows // 2 :, 3] = half - 1, -half
    inputs = rng.integers(0, most + 1, (64, rows))
    inputs[0], inputs[1] = most, 0
    arrays = program(weights, chip, shortcut=False)
    return int((arrays.multiply(inputs) != inputs @ weights).sum())
