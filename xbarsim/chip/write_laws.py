"""What a write of one level to another takes: the published laws, one class each, told apart by ``kind``.

Every law answers for the conductances ``g`` of a cell's levels, in microsiemens, lowest first:

* ``trains(g)``: whole pulses by (old level, new level), int64, the diagonal 0;
* ``energies_pj(g)``: picojoules by (old level, new level), float64, the diagonal 0; it need not be
  additive, so writes are counted by (old level, new level);
* ``slot_ns``: how long one pulse of a train keeps its row busy: a phase of a row lasts
  (longest train of the row) x ``slot_ns``;
* ``phases``: 2 where a row's SETs and RESETs follow each other, 1 where they go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xbarsim.config import Exact, Section

Conductances = Sequence[Fraction]
Trains = NDArray[np.int64]
Energies = NDArray[np.float64]
Positive = Annotated[Exact, Field(gt=0)]


class Linear(Section):
    """Identical incremental pulses: the write-update rule of DNN+NeuroSim V2.1, restated.

    With ``P`` pulses over the full range, ``dG = (Gmax - Gmin) / P``; a write takes
    ``p = ceil(|Gnew - Gold| / dG)`` pulses and the energy ``p V^2 t / ((1/Gold + 1/Gnew) / 2)``.
    """

    phases: ClassVar[int] = 2
    kind: Literal["linear"]
    """Identical pulses, as many as the distance between the levels needs."""
    pulse_v: Positive
    """Amplitude of a pulse in volts, both polarities."""
    pulse_ns: Positive
    """Width of a pulse in nanoseconds."""
    pulses: Annotated[int, Field(ge=1)]
    """Pulses from the lowest to the highest conductance."""

    @property
    def slot_ns(self) -> Fraction:
        """Width of a pulse."""
        return self.pulse_ns

    def trains(self, g: Conductances) -> Trains:
        """Pulses by level distance."""
        step = (g[-1] - g[0]) / self.pulses
        return np.array([[ceil(abs(new - old) / step) for new in g] for old in g], np.int64)

    def energies_pj(self, g: Conductances) -> Energies:
        """Pulses x V^2 x t over the mean resistance of old and new level."""
        levels = _floats(g)
        conductance = 2.0 / (1.0 / levels[:, None] + 1.0 / levels[None, :])
        return self.trains(g) * _pulse_pj(self.pulse_v, self.pulse_ns) * conductance


class Single(Section):
    """One pulse, whatever the distance: SET or RESET between any two levels.

    ``E = V^2 t (Gold + Gnew) / 2``, the energy per pulse of DNN+NeuroSim without its wire term.
    """

    phases: ClassVar[int] = 2
    kind: Literal["single"]
    """One SET or RESET pulse per write."""
    pulse_v: Positive
    """Amplitude of the pulse in volts, both polarities."""
    pulse_ns: Positive
    """Width of the pulse in nanoseconds."""

    @property
    def slot_ns(self) -> Fraction:
        """Width of the pulse."""
        return self.pulse_ns

    def trains(self, g: Conductances) -> Trains:
        """One pulse where the level changes."""
        return _changes(g)

    def energies_pj(self, g: Conductances) -> Energies:
        """V^2 x t x mean conductance of old and new level."""
        return _changes(g) * _pulse_pj(self.pulse_v, self.pulse_ns) * _mean(g)


class Verified(Section):
    """Pulses with a read after each until the level is met: their published mean, whatever the distance.

    ``E = n V^2 t (Gold + Gnew) / 2`` and ``n t`` per write, for ``n`` mean pulses. A pulse is a whole
    thing where wear counts it: trains hold ``ceil(n)`` pulses, whose slots are shortened to ``n t`` in
    all. The reads cost what the publication's pulse width includes, no more.
    """

    phases: ClassVar[int] = 2
    kind: Literal["verified"]
    """Write-verify with a mean number of pulses."""
    pulse_v: Positive
    """Amplitude of a pulse in volts, both polarities."""
    pulse_ns: Positive
    """Width of a pulse with its verification in nanoseconds."""
    mean_pulses: Annotated[Exact, Field(ge=1)]
    """Mean pulses of a write."""

    @property
    def slot_ns(self) -> Fraction:
        """Time of a write over its whole pulses."""
        return self.mean_pulses * self.pulse_ns / ceil(self.mean_pulses)

    def trains(self, g: Conductances) -> Trains:
        """The mean, rounded up, where the level changes."""
        return _changes(g) * ceil(self.mean_pulses)

    def energies_pj(self, g: Conductances) -> Energies:
        """Mean pulses x V^2 x t x mean conductance of old and new level."""
        return _changes(g) * float(self.mean_pulses) * _pulse_pj(self.pulse_v, self.pulse_ns) * _mean(g)


class Fixed(Section):
    """So much energy per cell and so much time per row, whatever the levels (serial writing of PUMA-sim).

    SETs and RESETs of a row go together in the time of the row; drivers are part of both figures.
    """

    phases: ClassVar[int] = 1
    kind: Literal["fixed"]
    """Fixed energy of a cell and time of a row."""
    cell_energy_pj: Annotated[Exact, Field(ge=0)]
    """Energy of writing one cell in picojoules, its share of the periphery included."""
    row_ns: Positive
    """Time of writing one row in nanoseconds."""

    @property
    def slot_ns(self) -> Fraction:
        """Time of a row."""
        return self.row_ns

    def trains(self, g: Conductances) -> Trains:
        """One pulse where the level changes."""
        return _changes(g)

    def energies_pj(self, g: Conductances) -> Energies:
        """The same for every change of level."""
        return np.where(_changes(g) > 0, float(self.cell_energy_pj), 0.0)


WriteLaw = Annotated[Linear | Single | Verified | Fixed, Field(discriminator="kind")]
"""How cells are written, told apart by ``kind``."""


def _changes(g: Conductances) -> Trains:
    """1 off the diagonal."""
    return np.ones((len(g), len(g)), np.int64) - np.eye(len(g), dtype=np.int64)


def _floats(g: Conductances) -> Energies:
    return np.array([float(value) for value in g])


def _mean(g: Conductances) -> Energies:
    """Mean conductance of old and new level in microsiemens."""
    levels = _floats(g)
    mean: Energies = (levels[:, None] + levels[None, :]) / 2
    return mean


def _pulse_pj(volts: Fraction, ns: Fraction) -> float:
    """Energy of a pulse per microsiemens: V^2 x ns x uS are femtojoules."""
    return float(volts**2 * ns) / 1000
