"""PUMA (ASPLOS 2019): one MVM, the node, its ratios to ISAAC, serial writing, and the counts of its simulator."""

from __future__ import annotations

import numpy as np

from xbarsim.adaptions.change import Contents, LayerChange, layer_change
from xbarsim.chip import Chip
from xbarsim.chip.budget import budget_of
from xbarsim.chip.prices import prices, standing
from xbarsim.facts import load_facts
from xbarsim.mapping import place
from xbarsim.network import load_network
from xbarsim.studies.bench import bench
from xbarsim.studies.targets import Load, target

PERCENT = 100
MVMU_PARTS = ("crossbar", "dac", "sample_hold", "adc", "shift_add", "registers")


def _mvm_ns(chip: Chip) -> float:
    """One matrix-vector product, from its first read to its last addition."""
    return bench(chip, "one_mvm").from_to_ns("fc.read", "fc.accumulate")


@target("puma-mvm-time", "puma_asplos19.mvm_time", "one MVM of 16 bits, ns", breaks="pipeline.shift_add_cycles=2")
def mvm_time(load: Load) -> float:
    """Sixteen reads, and two more stages behind the last."""
    return _mvm_ns(load("puma"))


@target(
    "puma-mvm-energy", "puma_asplos19.mvm_energy", "one MVM, power x time of an MVMU, nJ", tolerance=0.02,
    breaks="crossbar.cycle_ns=100",
)  # fmt: skip
def mvm_energy(load: Load) -> float:
    """Every stage charged all the time, as published."""
    chip = load("puma")
    return budget_of(chip).power_mw("pe") * _mvm_ns(chip) / 1e3


@target(
    "puma-mvm-events", "puma_asplos19.mvm_energy_events", "one MVM, actions x energies and leakage, nJ",
    tolerance=0.04, breaks="adc.converts=used",
)  # fmt: skip
def mvm_events(load: Load) -> float:
    """What the arrays, converters and memories of one MVMU do for half of its columns, and leak meanwhile."""
    chip = load("puma", "chip.tiles=1", "tile.pes=1")
    leaking = sum((row.mw or 0.0) * row.instances for row in standing(chip) if row.component in MVMU_PARTS)
    done = bench(chip, "one_window").energy_pj(*MVMU_PARTS)
    return (done + leaking * _mvm_ns(load("puma"))) / 1e3


@target("puma-node-power", "puma_asplos19.node_power", "node, W", tolerance=0.02, how="sum", breaks="chip.tiles=120")
def node_power(load: Load) -> float:
    """Parts of a node at full activity."""
    return budget_of(load("puma")).power_mw() / 1e3


@target("puma-node-area", "puma_asplos19.node_area", "node, mm2", tolerance=0.03, how="sum", breaks="chip.tiles=120")
def node_area(load: Load) -> float:
    """Parts of a node."""
    return budget_of(load("puma")).area_um2() / 1e6


@target(
    "puma-node-weights", "puma_asplos19.node_weights", "weights of a node, MiB", how="sum",
    breaks="crossbar.cell_bits=4",
)  # fmt: skip
def node_weights(load: Load) -> float:
    """Cells of a node."""
    return budget_of(load("puma")).weight_bits / 8 / 2**20


def _ratio(load: Load, per: str) -> float:
    """Peak of PUMA over that of ISAAC, per watt or square millimetre, in percent more."""
    puma, isaac = load("puma"), load("isaac", "crossbar.unit_column=false", "chip.count=1")
    products = bench(puma, "one_mvm").macs * puma.crossbars_per_chip / puma.slices(puma.file.precision.weight_bits)
    mine = 2 * products / _mvm_ns(puma) / getattr(budget_of(puma), per)()
    theirs = bench(isaac, "full_isaac", 20).gops / getattr(budget_of(isaac), per)()
    return float(PERCENT * (mine / theirs - 1))


@target(
    "puma-isaac-efficiency", "puma_asplos19.efficiency_to_isaac", "peak GOPS/W against ISAAC, % more", tolerance=1,
    measure="absolute", breaks="crossbar.cycle_ns=150",
)  # fmt: skip
def efficiency_to_isaac(load: Load) -> float:
    """MVM after MVM on every unit, over the power of a busy node."""
    return _ratio(load, "power_mw")


@target(
    "puma-isaac-density", "puma_asplos19.density_to_isaac", "peak GOPS/mm2 against ISAAC, % more", tolerance=1,
    measure="absolute", breaks="crossbar.cycle_ns=150",
)  # fmt: skip
def density_to_isaac(load: Load) -> float:
    """MVM after MVM on every unit, over the area of a node."""
    return _ratio(load, "area_um2")


# ---- serial writing and reading of one array -----------------------------------------------------


def _rewritten(chip: Chip) -> LayerChange:
    """Every cell of the arrays of one MVM goes from the lowest to the highest level."""
    placement = place(chip, load_network("one_mvm"))
    site, bits = placement.sites["fc"], placement.weight_bits
    half = 1 << (bits - 1)
    flips = np.zeros((site.grid.blocks, site.grid.layer.c_out, site.grid.slices), np.uint8)
    shape = (site.grid.layer.c_out, site.grid.layer.rows)
    low, high = (Contents(np.full(shape, value, np.int16), flips) for value in (-half, half - 1))
    return layer_change(chip, site, bits, low, high, 0, ("low", "high"))


def _written_pj(chip: Chip, change: LayerChange) -> float:
    """Energy of the writes of one array."""
    table, arrays = prices(chip), change.site.grid.crossbars
    levels = zip(*np.nonzero(change.attempts), strict=True)
    total = sum(int(change.attempts[old, new]) * (table["cell", f"write {old}>{new}"] or 0.0) for old, new in levels)
    return total / arrays


def _reading(load: Load) -> Chip:
    """PUMA with a serial read of every row that it writes."""
    facts = load_facts()
    row, cell = (float(facts[f"puma_sim.{name}"].value) for name in ("read_row", "read_cell"))  # type: ignore[arg-type]
    verify = f"writer.verify={{read_ns: {row}, energy_pj: {cell}, failure: 0, retries: 0}}"
    return load("puma", verify)


@target(
    "puma-write-energy", "puma_sim.write_array_energy", "serial write of one array, nJ", tolerance=0.01,
    breaks="crossbar.rows=64",
)  # fmt: skip
def write_energy(load: Load) -> float:
    """All cells of an array, counted by the writer of a task switch."""
    chip = load("puma")
    return _written_pj(chip, _rewritten(chip)) / 1e3


@target(
    "puma-write-time", "puma_sim.write_array_time", "serial write of one array, us", tolerance=0.01,
    breaks="device.write.row_ns=100",
)  # fmt: skip
def write_time(load: Load) -> float:
    """Row after row."""
    return float(_rewritten(load("puma")).crossbar_ps.max()) / 1e6


@target(
    "puma-read-energy", "puma_sim.read_array_energy", "serial read of one array, nJ", tolerance=0.01,
    breaks="crossbar.cols=64",
)  # fmt: skip
def read_energy(load: Load) -> float:
    """The reads of a verified write."""
    chip = _reading(load)
    change = _rewritten(chip)
    return int(change.attempts.sum()) / change.site.grid.crossbars * (prices(chip)["cell", "verify"] or 0.0) / 1e3


@target(
    "puma-read-time", "puma_sim.read_array_time", "serial read of one array, us", tolerance=0.01,
    breaks="crossbar.rows=64",
)  # fmt: skip
def read_time(load: Load) -> float:
    """What verification adds to a serial write."""
    slow, fast = (_rewritten(chip).crossbar_ps.max() for chip in (_reading(load), load("puma")))
    return float(slow - fast) / 1e6


# ---- counts of the simulator -------------------------------------------------------------------


@target(
    "puma-mlp-reads", "puma_sim_mlp.array_reads", "array reads of 784-1024-512-200-10", breaks="crossbar.cell_bits=4"
)  # fmt: skip
def mlp_reads(load: Load) -> float:
    """Counters of one inference."""
    return bench(load("puma"), "mlp_l4").count("crossbar", "array")


@target(
    "puma-mlp-conversions", "puma_sim_mlp.conversions", "conversions of 784-1024-512-200-10", breaks="adc.converts=used"
)  # fmt: skip
def mlp_conversions(load: Load) -> float:
    """Counters of one inference."""
    return bench(load("puma"), "mlp_l4").count("adc", "convert")


@target("puma-mlp-drives", "puma_sim_mlp.drives", "row drives of 784-1024-512-200-10", breaks="dac.serves=crossbar")
def mlp_drives(load: Load) -> float:
    """Counters of one inference."""
    return bench(load("puma"), "mlp_l4").count("dac", "drive")
