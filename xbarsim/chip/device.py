"""The cell: its conductance levels, what a write of one level to another takes, how long it lasts.

Published write energies per cell span 1.29 to 522 pJ: a device is a preset with a name, and every
result says which one it used.
"""

from __future__ import annotations

from fractions import Fraction
from math import expm1
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xbarsim.chip.imperfect import Drift, ReadNoise, StuckAt, Variation
from xbarsim.chip.write_laws import WriteLaw
from xbarsim.config import Exact, Section


class FixedSpread(Section):
    """All cells fail at the stated number."""

    kind: Literal["fixed"] = "fixed"
    """No spread."""


class LogNormal(Section):
    """The logarithm of the number at which a cell fails is normally distributed about the median's."""

    kind: Literal["lognormal"]
    """Log-normal distribution."""
    sigma_ln: Annotated[float, Field(gt=0)]
    """Standard deviation of the natural logarithm."""


class Weibull(Section):
    """``F(x) = 1 - exp(-ln 2 (x / median)^shape)``."""

    kind: Literal["weibull"]
    """Weibull distribution."""
    shape: Annotated[float, Field(gt=0)]
    """Slope of the distribution."""


Spread = Annotated[FixedSpread | LogNormal | Weibull, Field(discriminator="kind")]
"""How the endurance of cells scatters about the median, told apart by ``kind``."""


class Endurance(Section):
    """How often a cell can be written before it fails, and whether that counts cycles or pulses."""

    cycles: Annotated[float, Field(gt=0)] | None = None
    """Median number of write cycles."""
    pulses: Annotated[float, Field(gt=0)] | None = None
    """Median number of write pulses."""
    spread: Spread = FixedSpread()
    """Scatter from cell to cell."""


class Device(Section):
    """A resistive cell and how it is written."""

    schema_: Literal[1] = Field(alias="schema")
    """Version of the device file format."""
    name: str
    """Name under which results show the device."""
    g_min_us: Annotated[Exact, Field(gt=0)]
    """Conductance of level 0 in microsiemens."""
    g_max_us: Annotated[Exact, Field(gt=0)]
    """Conductance of the highest level in microsiemens."""
    levels: Annotated[int, Field(ge=2)] | None = None
    """Levels that the publication shows; none: as many as are asked for."""
    write: WriteLaw
    """What a write takes."""
    endurance: Endurance = Endurance()
    """Published endurance."""
    nonlinearity: Annotated[float, Field(ge=-20, le=20)] = 0.0
    """How uneven the levels are: level l of L stands at the share (1 - exp(-a l / (L - 1))) / (1 - exp(-a)) of the
    conductance range (the curve of equal pulses in DNN+NeuroSim); 0: evenly spaced."""
    variation: Variation = Variation()
    """Error of writing."""
    drift: Drift = Drift()
    """Change between writing and reading."""
    stuck_at: StuckAt = StuckAt()
    """Cells that cannot be written."""
    read_noise: ReadNoise = ReadNoise()
    """Noise of every read."""
    sources: dict[str, object] = {}
    """Where the figures come from."""

    @property
    def pulse_ns(self) -> Fraction:
        """How long one pulse of a train keeps its row busy, in nanoseconds."""
        return self.write.slot_ns

    @property
    def write_phases(self) -> int:
        """2 where SETs and RESETs of a row follow each other, 1 where they go together."""
        return self.write.phases

    @property
    def verified(self) -> bool:
        """Whether the figures of a write include its verification."""
        return self.write.kind == "verified"

    def conductances_us(self, levels: int) -> list[Fraction]:
        """Conductances of ``levels`` levels, lowest first, in microsiemens."""
        span = self.g_max_us - self.g_min_us
        if self.nonlinearity:
            steps = [expm1(-self.nonlinearity * level / (levels - 1)) for level in range(levels)]
            return [self.g_min_us + span * Fraction(step / steps[-1]) for step in steps]
        return [self.g_min_us + span * level / (levels - 1) for level in range(levels)]

    def write_pulses(self, levels: int) -> NDArray[np.int64]:
        """Pulses of a write, ``(old level, new level)`` int64; the diagonal is 0."""
        return self.write.trains(self.conductances_us(levels))

    def write_energy_pj(self, levels: int) -> NDArray[np.float64]:
        """Energy of a write in picojoules, ``(old level, new level)`` float64; the diagonal is 0."""
        return self.write.energies_pj(self.conductances_us(levels))

    def remarks(self, levels: int) -> list[str]:
        """What a chip with cells of ``levels`` levels assumes of the device beyond its figures."""
        said = [f"device {self.name!r} sets pulses and energy of every write"]
        if self.levels is not None and levels > self.levels:
            said.append(f"device {self.name!r} is published with {self.levels} levels, the chip uses {levels}")
        return said
