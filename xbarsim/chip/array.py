"""The crossbar and what stands at its edges: row drivers, held samples, converters, shift-and-add.

The classes are the manual of these sections of a chip file; :mod:`xbarsim.chip.sections` has the rest.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xbarsim.chip.imperfect import ConverterErrors, Wires
from xbarsim.chip.laws import ConverterLaw, DriverLaw
from xbarsim.config import Exact, Section, Wrong

Count = Annotated[int, Field(ge=1)]
Energy = Annotated[float, Field(ge=0)] | None
Positive = Annotated[Exact, Field(gt=0)]
Time = Annotated[Exact, Field(ge=0)] | None


class Part(Section):
    """Hardware with an area, a leakage and a peak power per instance."""

    area_um2: Annotated[float, Field(ge=0)] | None = None
    """Area of one instance in um2."""
    leakage_mw: Annotated[float, Field(ge=0)] | None = None
    """Leakage of one instance in mW."""
    peak_power_mw: Annotated[float, Field(ge=0)] | None = None
    """Power of one instance at full activity, leakage included, as published; `show` takes it in place of actions
    x energies. Runs never do: it is no energy of an action."""

    @property
    def footprint_um2(self) -> float | None:
        """Area of one instance, by law where the file states none."""
        return self.area_um2

    @property
    def leak_mw(self) -> float | None:
        """Leakage of one instance, by law where the file states none."""
        return self.leakage_mw

    @property
    def peak_mw(self) -> float | None:
        """Published power of one instance at full activity, where the part is as it was published."""
        return self.peak_power_mw


class Read(Section):
    """Energy of reading a cell: a figure of the publication, or V^2 x G x t of the device, never both."""

    energy_pj: Energy = None
    """Energy of one cell in an active row and a column that is on, per input phase."""
    array_energy_pj: Energy = None
    """Energy of reading a whole crossbar once, however many rows and columns are in use."""
    volts: Positive | None = None
    """Read voltage: with `pulse_ns`, a cell costs V^2 x (mean conductance of the levels) x t per input phase."""
    pulse_ns: Positive | None = None
    """How long the read voltage stands at a row."""


class Crossbar(Part):
    """One array of cells."""

    rows: Count
    """Word lines."""
    cols: Count
    """Bit lines for weights; a unit column comes on top."""
    cell_bits: Annotated[int, Field(ge=1, le=8)]
    """Bits held by a cell."""
    cell_um2: Annotated[float, Field(ge=0)] | None = None
    """Area of one cell, from which the array's follows where `area_um2` is not stated."""
    cycle_ns: Positive
    """Time of one analog read, or of one pulse or bit of it (`dac.kind`)."""
    encoding: Literal["offset", "differential"] = "offset"
    """``offset``: codes w + 2^(b-1) with column flipping; ``differential``: a positive and a negative column."""
    unit_column: bool = True
    """Offset encoding only: one further column of ones, with a converter of its own, sums the inputs."""
    slices: Literal["adjacent", "arrays"] = "adjacent"
    """Bit slices of a weight stand in neighbouring columns, or in separate arrays."""
    subtract: Literal["digital", "analog"] = "digital"
    """Differential encoding only: ``analog``: the currents of a pair of columns are subtracted before the converter,
    which then converts once per pair."""
    read: Read = Read()
    """Read energy."""
    wires: Wires | None = None
    """Resistance of the wires, for accuracy; none: ideal wires."""

    @property
    def footprint_um2(self) -> float | None:
        """Area of one array, from its cells where the file states none."""
        if self.area_um2 is None and self.cell_um2 is not None:
            return self.rows * self.cols * self.cell_um2
        return self.area_um2

    off_current: Literal["subtracted", "digital", "kept"] = "subtracted"
    """The current of cells at their lowest level: ``subtracted`` by a reference before conversion; converted with
    the rest and taken off by ``digital`` logic, with the sum of the inputs; or ``kept``."""


class Dac(Part):
    """Row driver."""

    bits: Annotated[int, Field(ge=1, le=16)] = 1
    """Most input bits applied in one read."""
    kind: Literal["level", "pulses", "serial"] = "level"
    """How the bits of one read are applied. ``level``: together, in one `crossbar.cycle_ns`; ``pulses``: as 2^b - 1
    pulses of that length; ``serial``: one after another, weighted and added before the converter. With the last two
    rows and columns are charged per bit, converters per read."""
    signed: bool = False
    """The driver applies the sign of an input as polarity: the sign takes no read."""
    split_above: Count | None = None
    """Inputs of more bits than this take two reads at least, of bits as equal as can be."""
    drives: Literal["used", "all"] = "used"
    """Rows driven: those that hold weights, or all."""
    serves: Literal["crossbar", "slices"] = "crossbar"
    """Every crossbar has its own drivers, or the arrays of one weight's bit slices (`crossbar.slices: arrays`) have one
    set in common."""
    settle_ns: Time = None
    """Time of driving the rows, before each read; none: part of `crossbar.cycle_ns`."""
    energy_pj: Energy = None
    """Energy of driving one row for one input phase (for one input bit with `kind: pulses` or `serial`)."""
    law: DriverLaw | None = None
    """What energy and area follow from where they are not stated."""

    @property
    def drive_pj(self) -> float | None:
        """Energy of driving one row, by law where the file states none."""
        if self.energy_pj is None and self.law:
            return self.law.energy(self.bits)
        return self.energy_pj

    @property
    def footprint_um2(self) -> float | None:
        """Area of one driver, by law where the file states none."""
        return self.law.area(self.bits) if self.area_um2 is None and self.law else self.area_um2


class Adc(Part):
    """Column converter."""

    kind: Literal["sar", "step", "none"] = "sar"
    """``sar``: `rate_gsps` conversions per nanosecond whatever the bits; ``step``: `settle_ns` and a step of `step_ns`
    for each bit; ``none``: columns fire spikes into counters of `bits` bits, which takes no time of its own."""
    bits: Annotated[int, Field(ge=1, le=16)]
    """Resolution."""
    per_crossbar: Count = 1
    """Converters of one crossbar; neighbouring columns share one. The unit column has its own."""
    rate_gsps: Positive | None = None
    """Conversions per nanosecond of one converter (`kind: sar`)."""
    step_ns: Positive | None = None
    """Time of one step (`kind: step`)."""
    settle_ns: Time = None
    """Time before the first step (`kind: step`)."""
    converts: Literal["used", "all"] = "used"
    """Columns converted: those that are used and on, or all."""
    unit_bits: Annotated[int, Field(ge=1, le=16)] | None = None
    """Resolution of the unit column's converter; none: `bits`."""
    range: Literal["aligned", "full", "given", "calibrated"] = "aligned"
    """``aligned``: a code per cell level from 0 (or, where sums have a sign, about 0), so that a converter with enough
    bits loses nothing; ``full``: codes a whole number of levels apart that span every column sum of a crossbar;
    ``given``: from `low_levels` to `high_levels`; ``calibrated``: by layer, from data."""
    low_levels: Exact = Fraction(0)
    """Column sum of the lowest code, in cell levels (`range: given`)."""
    high_levels: Exact | None = None
    """Column sum of the highest code, in cell levels (`range: given`)."""
    errors: ConverterErrors = ConverterErrors()
    """Gain and offset errors."""
    energy_pj: Energy = None
    """Energy of one conversion, whatever the resolution."""
    step_energy_pj: Energy = None
    """Energy of one step (`kind: step`)."""
    law: ConverterLaw | None = None
    """What energy and area follow from where they are not stated: they move with `bits` and `rate_gsps`."""

    @model_validator(mode="after")
    def _has_a_range(self) -> Adc:
        if self.range == "given" and self.high_levels is None:
            raise Wrong("high_levels", "missing, but adc.range is given")
        if self.high_levels is not None and self.high_levels <= self.low_levels:
            high, low = float(self.high_levels), float(self.low_levels)
            raise Wrong("high_levels", f"{high:g} is not above low_levels of {low:g}: the converter has no range")
        return self

    @property
    def convert_pj(self) -> float | None:
        """Energy of one conversion, by law where the file states none."""
        if self.energy_pj is None and self.law:
            return self.law.energy(self.bits, self.rate_gsps)
        return self.energy_pj

    @property
    def footprint_um2(self) -> float | None:
        """Area of one converter, by law where the file states none."""
        if self.area_um2 is None and self.law:
            return self.law.area(self.bits, self.rate_gsps)
        return self.area_um2


class SampleHold(Part):
    """Holds the column currents of a read while they are converted."""

    copies: Annotated[int, Field(ge=0)] = 1
    """Sets of held samples; with one, the next read overlaps the conversion of the last; with none, it waits."""
    energy_pj: Energy = None
    """Energy of holding one column once (once per input bit with `dac.kind: pulses` or `serial`)."""
    pulse_energy_pj: Energy = None
    """Energy of integrating one pulse on one column (`dac.kind: pulses`)."""


class ShiftAdd(Part):
    """Merges converted samples; and the tile's own adder across processing elements."""

    per_pe: Count = 1
    """Units in a processing element."""
    add_ns: Time = None
    """Time of merging the samples of one read; none: a window's merging takes `pipeline.shift_add_cycles`."""
    energy_pj: Energy = None
    """Energy of adding one converted sample."""
    tile_energy_pj: Energy = None
    """Energy of the tile's adder per crossbar cycle."""
    tile_area_um2: Annotated[float, Field(ge=0)] | None = None
    """Area of the tile's adder."""
