"""Measured chips and macros: NeuRRAM's eight precisions, Xue's two input widths, Yin, Chen, Liu; memories.

Most of these models were calibrated on the figures beside them, which their evidence says: agreement is then a
consistency check. Predictions are Xue's 2-bit inputs and Chen's fully connected layer.
"""

from __future__ import annotations

from functools import partial

from xbarsim.chip.memories import memory
from xbarsim.facts import load_facts
from xbarsim.studies.bench import Bench, bench
from xbarsim.studies.targets import Load, target

CORE_PARTS = ("crossbar", "dac", "sample_hold", "adc")
PRECISIONS = 8
EDRAM = (65536, 256)
"""Bytes and bits of an access of the eDRAM that ISAAC and PUMA have."""


def _neurram(load: Load, at: int) -> Bench:
    """All 48 cores at one of the published precisions."""
    facts = load_facts()
    widths = [facts[f"wan_nature22.{side}_bits"].value for side in ("input", "output")]
    inputs, outputs = (int(width[at]) if isinstance(width, tuple) else int(width) for width in widths)
    return bench(load("neurram", f"precision.input_bits={inputs}", f"adc.bits={outputs}"), "full_neurram", 8)


def _throughput(load: Load, at: int) -> float:
    """Operations per picosecond; the publication counts one operation per cell: two for each signed weight."""
    return _neurram(load, at).gops / 1e3


def _efficiency(load: Load, at: int) -> float:
    """Operations per picojoule of arrays, drivers and neurons."""
    busy = _neurram(load, at)
    return 2 * busy.macs / busy.energy_pj(*CORE_PARTS)


for _at in range(PRECISIONS):
    target(
        f"neurram-tops-{_at + 3}b{_at + 1}b", "wan_nature22.throughput",
        f"throughput at {_at + 3}-bit outputs and {_at + 1}-bit inputs, TOPS", at=_at, tier=2, tolerance=0.10,
        how="calibrated", breaks="adc.step_ns=450",
    )(partial(_throughput, at=_at))  # fmt: skip
    target(
        f"neurram-efficiency-{_at + 3}b{_at + 1}b", "wan_nature22.efficiency",
        f"efficiency at {_at + 3}-bit outputs and {_at + 1}-bit inputs, TOPS/W", at=_at, tier=2, tolerance=0.15,
        how="calibrated", breaks="dac.energy_pj=4",
    )(partial(_efficiency, at=_at))  # fmt: skip


def _macro(load: Load, name: str, bits: int = 1) -> Bench:
    """One column sum of a macro after the other."""
    return bench(load(name, f"precision.input_bits={bits}"), "one_mac", 4)


def _mac_ns(busy: Bench) -> float:
    """From the first read of a window to its conversion."""
    return busy.from_to_ns("fc.read", "fc.convert") - (busy.images - 1) * busy.interval_ns


def _per_w(busy: Bench) -> float:
    """Operations per picojoule."""
    return 2 * busy.macs / busy.energy_pj(*CORE_PARTS)


@target(
    "xue_isscc19-latency-1b", "xue_isscc19.latency_1b", "MAC with 1-bit inputs, ns", tier=2, tolerance=0.001,
    how="calibrated", breaks="crossbar.cycle_ns=5",
)  # fmt: skip
def xue_latency_1b(load: Load) -> float:
    """Calibrated: a third for the input bit, the rest for sensing."""
    return _mac_ns(_macro(load, "xue_isscc19"))


@target(
    "xue_isscc19-latency-2b", "xue_isscc19.latency_2b", "MAC with 2-bit inputs, ns", tier=2, tolerance=0.25,
    breaks="crossbar.cycle_ns=10",
)  # fmt: skip
def xue_latency_2b(load: Load) -> float:
    """Predicted from the point with 1-bit inputs."""
    return _mac_ns(_macro(load, "xue_isscc19", 2))


@target(
    "xue_isscc19-efficiency-1b", "xue_isscc19.efficiency_1b", "1-bit inputs, TOPS/W", tier=2, tolerance=0.001,
    how="calibrated", breaks="crossbar.read.energy_pj=0.01",
)  # fmt: skip
def xue_efficiency_1b(load: Load) -> float:
    """Calibrated: all energy in the reads."""
    return _per_w(_macro(load, "xue_isscc19"))


@target(
    "xue_isscc19-efficiency-2b", "xue_isscc19.efficiency_2b", "2-bit inputs, TOPS/W", tier=2, tolerance=0.25,
    breaks="crossbar.cell_bits=3",
)  # fmt: skip
def xue_efficiency_2b(load: Load) -> float:
    """Predicted from the point with 1-bit inputs."""
    return _per_w(_macro(load, "xue_isscc19", 2))


@target(
    "yin_ted20-power", "yin_ted20.power", "power at full throughput, mW", tier=2, tolerance=0.01, how="calibrated",
    breaks="adc.per_crossbar=4",
)  # fmt: skip
def yin_power(load: Load) -> float:
    """Energy of a run over its time; both published figures went in."""
    busy = _macro(load, "yin_ted20")
    return busy.energy_pj(*CORE_PARTS) / busy.interval_ns


@target(
    "chen_isscc18-latency-cnn", "chen_isscc18.latency_cnn", "MAC of a 3x3 kernel, ns", tier=2, tolerance=0.001,
    how="calibrated", breaks="crossbar.cycle_ns=10",
)  # fmt: skip
def chen_latency_cnn(load: Load) -> float:
    """Calibrated."""
    return _mac_ns(bench(load("chen_isscc18"), "one_kernel", 4))


@target(
    "chen_isscc18-latency-fc", "chen_isscc18.latency_fc", "MAC of 25 inputs, ns", tier=2, tolerance=0.1,
    breaks="crossbar.cycle_ns=10",
)  # fmt: skip
def chen_latency_fc(load: Load) -> float:
    """Predicted: the model knows no time that depends on the rows read."""
    return _mac_ns(bench(load("chen_isscc18", "crossbar.rows=25"), "one_kernel_5x5", 4))


@target(
    "liu_isscc20-latency", "liu_isscc20.latency", "MAC, ns", tier=2, tolerance=0.001, how="calibrated",
    breaks="crossbar.cycle_ns=30",
)  # fmt: skip
def liu_latency(load: Load) -> float:
    """Calibrated."""
    return _mac_ns(_macro(load, "liu_isscc20"))


@target(
    "liu_isscc20-efficiency", "liu_isscc20.efficiency", "peak, TOPS/W", tier=2, tolerance=0.001, how="calibrated",
    breaks="crossbar.read.energy_pj=0.02",
)  # fmt: skip
def liu_efficiency(load: Load) -> float:
    """Calibrated: all energy in the reads."""
    return _per_w(_macro(load, "liu_isscc20"))


@target(
    "isaac-edram-cacti", "accelergy_library.edram_access", "64 KB eDRAM by CACTI 7 against Accelergy, pJ", tier=2,
    tolerance=0.4, how="sum",
)  # fmt: skip
@target(
    "puma-edram-cacti", "puma_sim18.edram_energy", "64 KB eDRAM by CACTI 7 against PUMA, pJ", tier=2, tolerance=0.4,
    how="sum",
)  # fmt: skip
def edram(load: Load) -> float:
    """The table of a CACTI run."""
    return memory("edram_32nm", "read", *EDRAM)
