"""The cell: its conductance levels and what a write of one level to another takes.

The pulse law is that of incremental, identical pulses (the write-update rule of DNN+NeuroSim V2.1,
restated): with ``P`` pulses over the full range, ``dG_min = (Gmax - Gmin) / P``; a write from
``G_old`` to ``G_new`` takes ``p = ceil(|G_new - G_old| / dG_min)`` pulses and the energy
``p * V^2 * t / ((1/G_old + 1/G_new) / 2)``. It is not additive, so writes are counted by
(old level, new level).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from xbarsim.config import Exact, Section


class Endurance(Section):
    """How often a cell can be written before it fails, and whether that counts cycles or pulses."""

    cycles: Annotated[float, Field(gt=0)] | None = None
    """Median number of write cycles."""
    pulses: Annotated[float, Field(gt=0)] | None = None
    """Median number of write pulses."""


class Device(Section):
    """A resistive cell written by identical pulses."""

    schema_: Literal[1] = Field(alias="schema")
    """Version of the device file format."""
    name: str
    """Name under which results show the device."""
    g_min_us: Annotated[Exact, Field(gt=0)]
    """Conductance of level 0 in microsiemens."""
    g_max_us: Annotated[Exact, Field(gt=0)]
    """Conductance of the highest level in microsiemens."""
    write_v: Annotated[Exact, Field(gt=0)]
    """Amplitude of a write pulse in volts, both polarities."""
    pulse_ns: Annotated[Exact, Field(gt=0)]
    """Width of a write pulse in nanoseconds."""
    pulses: Annotated[int, Field(ge=1)]
    """Pulses from the lowest to the highest conductance."""
    endurance: Endurance = Endurance()
    """Published endurance."""
    sources: dict[str, object] = {}
    """Where the figures come from."""

    def conductances_us(self, levels: int) -> list[Fraction]:
        """Evenly spaced conductances of ``levels`` levels, lowest first, in microsiemens."""
        span = self.g_max_us - self.g_min_us
        return [self.g_min_us + span * level / (levels - 1) for level in range(levels)]

    def write_pulses(self, levels: int) -> np.ndarray:
        """Pulses of a write, ``(old level, new level)`` int64; the diagonal is 0."""
        step = (self.g_max_us - self.g_min_us) / self.pulses
        g = self.conductances_us(levels)
        table = [[-((-abs(new - old) / step).__floor__()) for new in g] for old in g]
        return np.array(table, dtype=np.int64)

    def write_energy_pj(self, levels: int) -> np.ndarray:
        """Energy of a write in picojoules, ``(old level, new level)`` float64; the diagonal is 0."""
        pulse_pj_per_us = float(self.write_v**2 * self.pulse_ns) / 1000  # V^2 * ns * uS = fJ
        g = np.array([float(value) for value in self.conductances_us(levels)])
        mean = 2.0 / (1.0 / g[:, None] + 1.0 / g[None, :])
        return self.write_pulses(levels) * pulse_pj_per_us * mean
