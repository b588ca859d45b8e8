"""Devices: the spread of NeuRRAM's conductances and the stuck cells of fabricated chips, drawn cell by cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.facts import load_facts
from xbarsim.studies.targets import Load, target

CELLS = 100_000
LEVELS = 40
"""Levels of 1 to 40 uS: one per microsiemens."""
REFERENCE_US = 40
TEN_US = 9
"""Level of 10 uS."""


def _drawn(chip: Chip, levels: int, level: int) -> NDArray[np.float64]:
    """Conductances in uS of so many cells that were written to one level."""
    from xbarsim.analog.cells import Source, conductances_us

    rows = np.arange(CELLS // 100, dtype=np.int64)
    columns = np.arange(100, dtype=np.uint32)
    written = np.full((len(rows), len(columns)), level, np.uint8)
    return conductances_us(chip.file.device, levels, written, Source.of(0, 0, 0), columns, rows)


def _spread_us(load: Load, fact: str, reference_us: float) -> float:
    """Standard deviation of cells written to 10 uS under a published polynomial."""
    law = load_facts()[fact].value
    terms = law if isinstance(law, tuple) else (law,)
    variation = f"{{sigma_us: [{', '.join(str(float(c)) for c in terms)}], reference_us: {reference_us}}}"
    chip = load("neurram", f"device.variation={variation}")
    return float(_drawn(chip, LEVELS, TEN_US).std())


@target(
    "neurram-sigma-1s", "crosssim.wan_sigma_10us", "spread of 10 uS cells 1 s after writing (cubic law), uS", tier=2,
    tolerance=0.02, how="statistics", breaks="device.g_max_us=20",
)  # fmt: skip
def sigma_1s(load: Load) -> float:
    """A hundred thousand cells."""
    return _spread_us(load, "crosssim.wan_sigma", 1)


@target(
    "neurram-sigma-1s-quartic", "aihwkit.neurram_sigma_10us_1s",
    "spread of 10 uS cells 1 s after writing (quartic law), uS", tier=2, tolerance=0.02, how="statistics",
    breaks="device.g_max_us=80",
)  # fmt: skip
def sigma_1s_quartic(load: Load) -> float:
    """A hundred thousand cells of the preset."""
    return float(_drawn(load("neurram"), LEVELS, TEN_US).std())


@target(
    "neurram-sigma-1d", "aihwkit.neurram_sigma_10us_1d", "spread of 10 uS cells 1 day after writing (quartic law), uS",
    tier=2, tolerance=0.02, how="statistics", breaks="device.g_max_us=80",
)  # fmt: skip
def sigma_1d(load: Load) -> float:
    """A hundred thousand cells."""
    return _spread_us(load, "aihwkit.neurram_sigma_1d", REFERENCE_US)


def _stuck(load: Load, low_resistance: bool) -> float:
    """Share of cells that do not leave one end, written to the other."""
    facts = load_facts()
    lrs, hrs = (facts[f"chen_tc15.stuck_{end}"].value for end in ("lrs", "hrs"))
    chip = load("xbm_72", f"device.stuck_at={{lrs: {float(lrs)}, hrs: {float(hrs)}}}")  # type: ignore[arg-type]
    found = _drawn(chip, 2, 0 if low_resistance else 1)
    end = float(chip.file.device.g_max_us if low_resistance else chip.file.device.g_min_us)
    return float((found == end).mean())


@target(
    "device-stuck-lrs", "chen_tc15.stuck_lrs", "cells stuck at low resistance", tier=2, tolerance=0.0013, chip="xbm_72",
    measure="absolute", how="statistics", breaks="device.stuck_at.lrs=0.03",
)  # fmt: skip
def stuck_lrs(load: Load) -> float:
    """A hundred thousand cells; three standard deviations of the binomial distribution."""
    return _stuck(load, True)


@target(
    "device-stuck-hrs", "chen_tc15.stuck_hrs", "cells stuck at high resistance", tier=2, tolerance=0.0028,
    chip="xbm_72", measure="absolute", how="statistics", breaks="device.stuck_at.hrs=0.12",
)  # fmt: skip
def stuck_hrs(load: Load) -> float:
    """A hundred thousand cells; three standard deviations of the binomial distribution."""
    return _stuck(load, False)
