"""What keeps cells and converters from being ideal: the keys of the accuracy model. Left out, they are ideal.

A cell is written to the conductance G of its level and then differs from it, in this order: the error of
writing, drift up to the time of reading, faults; and at every read, noise.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xbarsim.config import Exact, Section, Wrong

Share = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class Variation(Section):
    """Error of writing: drawn once for every write of a cell. One law at most; a conductance is never negative."""

    proportional: Share = 0.0
    """Standard deviation as a share of G; normally distributed with mean G."""
    lognormal: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation s of ln G: median G, mean G exp(s^2 / 2), variance G^2 (exp(s^2) - 1) exp(s^2)."""
    sigma_us: tuple[float, ...] = ()
    """Standard deviation in uS as a polynomial of G / `reference_us`, constant term first; normally distributed
    with mean G. Below zero it counts as zero."""
    reference_us: Annotated[float, Field(gt=0)] = 1.0
    """Conductance that the polynomial's argument is measured in, in uS."""
    fitted_us: tuple[float, float] | None = None
    """Least and largest conductance in uS for which the polynomial was fitted; levels outside are refused."""

    @model_validator(mode="after")
    def _one_law(self) -> Variation:
        stated = [name for name in ("proportional", "lognormal", "sigma_us") if getattr(self, name)]
        if len(stated) > 1:
            raise Wrong(stated[1], f"{stated[0]} is stated too; one law of variation at a time")
        return self


class StuckAt(Section):
    """Cells that cannot be written. Which ones depends on the seed, not on what is written."""

    lrs: Rate = 0.0
    """Share of cells stuck at the highest conductance (low resistance)."""
    hrs: Rate = 0.0
    """Share of cells stuck at the lowest conductance (high resistance)."""

    @model_validator(mode="after")
    def _at_most_all(self) -> StuckAt:
        if self.lrs + self.hrs > 1:
            raise Wrong("hrs", f"{self.hrs:g} and lrs of {self.lrs:g} are more than all cells")
        return self


class ReadNoise(Section):
    """Noise of every read of every cell, normally distributed: sigma^2 = (proportional G)^2 + sigma_us^2."""

    proportional: Share = 0.0
    """Standard deviation as a share of G."""
    sigma_us: Share = 0.0
    """Standard deviation in uS whatever the conductance."""


class Drift(Section):
    """What becomes of a conductance between writing and reading.

    With u = ln(time_s / start_s): G(t) = G exp(-n u) + N(shift_us u, (spread_start_us + spread_us u)^2),
    n ~ N(exponent, exponent_sigma^2).
    """

    time_s: Seconds = 1.0
    """Time of reading after writing."""
    start_s: Seconds = 1.0
    """Time after writing for which levels and the error of writing are stated."""
    exponent: float = 0.0
    """Mean exponent n of the power law G (t / start)^-n."""
    exponent_sigma: Share = 0.0
    """Standard deviation of that exponent from cell to cell."""
    shift_us: float = 0.0
    """Mean shift of relaxation per unit of u, in uS."""
    spread_us: Share = 0.0
    """Standard deviation of relaxation per unit of u, in uS."""
    spread_start_us: Share = 0.0
    """Standard deviation of relaxation at `start_s`, in uS."""

    @model_validator(mode="after")
    def _forwards(self) -> Drift:
        if self.time_s < self.start_s:
            raise Wrong("time_s", f"{self.time_s:g} is before start_s of {self.start_s:g}")
        return self


class ConverterErrors(Section):
    """What a converter does to a column sum s, in cell levels, before it rounds: s (1 + gain) + offset_levels."""

    gain: Annotated[Exact, Field(gt=-1)] = Fraction(0)
    """Gain error of all converters."""
    offset_levels: Exact = Fraction(0)
    """Offset of all converters, in cell levels."""
    gain_sigma: Share = 0.0
    """Standard deviation of a further gain error from converter to converter."""
    offset_sigma_levels: Share = 0.0
    """Standard deviation of a further offset from converter to converter, in cell levels."""


class Wires(Section):
    """Resistance of the wires of a crossbar: driver, row segments, cell, column segments, sense end."""

    row_segment_ohm: Share
    """A row wire from one cell to the next, in ohm."""
    column_segment_ohm: Share
    """A column wire from one cell to the next, in ohm."""
    driver_ohm: Share = 0.0
    """Output of a row driver, in ohm."""
    sense_ohm: Share = 0.0
    """Input at the sense end of a column, in ohm."""
    ends: Literal["one", "rows", "columns", "both"] = "one"
    """Where wires are connected: rows left and columns at the bottom, or rows, columns, or both at both ends."""
