"""The sections of a chip file: every key, its unit and its meaning. The classes are the manual.

Energies are per action (`energy_pj`), times in nanoseconds, areas in um2 per instance, leakage in mW
per instance. An energy, area or leakage that is left out is *unpublished*: it counts zero and is
listed among the run's assumptions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xbarsim.chip.array import Adc, Count, Crossbar, Dac, Energy, Part, Positive, SampleHold, ShiftAdd, Time
from xbarsim.chip.device import Device
from xbarsim.chip.laws import Scaled
from xbarsim.chip.memories import Buffer, MaskStore
from xbarsim.config import Exact, Section

Cycles = Annotated[int, Field(ge=1)]


class Precision(Section):
    """Precision of networks that do not state their own."""

    weight_bits: Annotated[int, Field(ge=2, le=16)]
    """Bits of a weight, sign included."""
    input_bits: Annotated[int, Field(ge=1, le=16)]
    """Bits of an input activation."""


class ChipLevel(Section):
    """How many chips there are, what one holds, how it changes tasks."""

    count: Count | Literal["auto"] = "auto"
    """Number of chips; ``auto`` takes as many as the network needs."""
    tiles: Count
    """Tiles on one chip."""
    tech_nm: Positive | None = None
    """Technology node."""
    programmed_at_once: Count | None = None
    """Crossbars of all chips that may be written at the same time; none: no limit."""
    write_power_mw: Annotated[Exact, Field(gt=0)] | None = None
    """Cap on the power of all writes together; none: no cap. A crossbar counts with a whole line of its costliest
    write."""
    switch: Literal["barrier", "rolling"] = "barrier"
    """``barrier``: a task switch waits until the pipeline has drained; ``rolling``: layer by layer behind it."""


class TileLevel(Section):
    """What one tile holds."""

    pes: Count
    """Processing elements in a tile."""
    programmed_at_once: Count | None = None
    """Crossbars of one tile that may be written at the same time; none: no limit of the tile's own."""


class PeLevel(Section):
    """What one processing element holds."""

    crossbars: Count
    """Crossbars in a processing element."""
    programmed_at_once: Count = 1
    """Crossbars of one processing element that may be written at the same time."""


class Pipeline(Section):
    """Stages of a tile, in crossbar cycles. Reading takes one cycle per input phase."""

    lockstep: Literal[True] = True
    """All crossbars of one copy of a layer move together; the slowest sets the time."""
    clocked: bool = True
    """A stage lasts whole crossbar cycles, as in a static schedule, however short its work is."""
    fetch_cycles: Cycles
    """From the tile's buffer to the input registers."""
    adc_cycles: Cycles
    """Conversion of the sampled columns."""
    shift_add_cycles: Cycles
    """Merging of slices and input phases into the output register."""
    activation_cycles: Cycles
    """Normalisation, activation function and requantisation."""
    write_cycles: Cycles
    """From the output register to the tile's buffer."""


class MappingLevel(Section):
    """How layers are laid onto crossbars."""

    replicate: Literal["balance", "none"] = "balance"
    """``balance``: copies of early layers even out the pipeline within the budget."""
    max_crossbars: Count | None = None
    """Budget of crossbars for the network with its copies; none: what the chips have."""
    max_copies: Count | None = None
    """Most copies of one layer; none: as many as help and fit."""
    kernel_aligned: bool = False
    """A row block ends with a whole kernel."""
    mask_fit: Literal["strict", "repack", "phased", "resample"] = "strict"
    """Column masks that were learned for another crossbar height: ``strict`` refuses them, ``repack`` gives every
    mask group columns of its own, ``phased`` reads the groups of a column one after another, ``resample`` draws
    masks of equal density (energy and latency only)."""
    spread_buffers: bool = True
    """A layer whose input does not fit the buffers of its tiles gets further tiles for them."""


class Logic(Part):
    """Digital logic that may be priced by scaling another node's figures."""

    law: Scaled | None = None
    """What energy and area follow from where they are not stated."""
    energy_pj: Energy = None
    """Energy of one action."""

    @property
    def action_pj(self) -> float | None:
        """Energy of one action, by law where the file states none."""
        return self.law.energy() if self.energy_pj is None and self.law else self.energy_pj

    @property
    def footprint_um2(self) -> float | None:
        """Area of one instance, by law where the file states none."""
        return self.law.area() if self.area_um2 is None and self.law else self.area_um2


class Gate(Logic):
    """Column gate: switches a column off for a task. Area is per column."""

    kind: Literal["float", "disconnect"] = "disconnect"
    """A gated column floats at its sense end, or is cut from its cells."""
    energy_pj: Energy = None
    """Energy of setting one column's gate."""


class MaskBuffer(Logic):
    """One bit per physical column of a crossbar and copy, beside the gates. Area is per bit."""

    copies: Annotated[int, Field(ge=1, le=2)] = 1
    """1: single, 2: double buffered."""
    energy_pj: Energy = None
    """Energy of writing one bit."""


class Registers(Part):
    """Input and output registers of processing elements and tiles."""

    input_copies: Count = 2
    """Windows held by the input register: 2 lets the next one be fetched during a read."""
    input_ns: Time = None
    """Time of an access of the input register: one fills it, one serves each read of a window; part of the fetch."""
    output_ns: Time = None
    """Time of writing one column of each converter to the output register; part of the write stage."""
    input_energy_pj: Energy = None
    """Energy of reading one bit of one row."""
    output_energy_pj: Energy = None
    """Energy of the output register per converted sample."""
    output_area_um2: Annotated[float, Field(ge=0)] | None = None
    """Area of the output register."""
    tile_energy_pj: Energy = None
    """Energy of the tile's output register per crossbar cycle."""
    tile_area_um2: Annotated[float, Field(ge=0)] | None = None
    """Area of the tile's output register."""


class Activation(Logic):
    """Activation units of a tile."""

    energy_pj: Energy = None
    """Energy of a tile's activation units per crossbar cycle of work."""


class Pool(Logic):
    """Pooling unit of a tile."""

    energy_pj: Energy = None
    """Energy of a tile's pooling unit per crossbar cycle of work."""


class Requantise(Logic):
    """Normalisation and requantisation of outputs: a factor and an offset per channel."""

    bits_per_channel: Count = 64
    """Bits of a channel's factor and offset."""
    energy_pj: Energy = None
    """Energy per output element."""


class Scaler(Logic):
    """Multiplier of a column's partial sum (XMA2)."""

    energy_pj: Energy = None
    """Energy per scaled partial sum."""


class Vector(Logic):
    """Unit for products of two activations (attention)."""

    macs_per_cycle: Count
    """Multiply-accumulates per crossbar cycle."""
    energy_pj: Energy = None
    """Energy of one multiply-accumulate."""


class Bus(Part):
    """Between a tile's buffer and its processing elements."""

    width_bits: Count
    """Wires."""
    rate_ghz: Positive
    """Clock."""
    energy_pj: Energy = None
    """Energy per bit."""


class Noc(Part):
    """Network between tiles, XY-routed; area and leakage are per router."""

    topology: Literal["mesh", "cmesh"]
    """``mesh``: a router per tile; ``cmesh``: concentrated, several tiles per router."""
    tiles_per_router: Count = 1
    """Tiles at one router (1 for a mesh)."""
    flit_bits: Count
    """Bits of one flit, and wires of a link."""
    rate_ghz: Positive
    """Flits per nanosecond of a link."""
    hop_cycles: Annotated[int, Field(ge=0)]
    """Link cycles from a router to the next."""
    energy_pj: Energy = None
    """Energy of one flit through one router and its link."""


class Offchip(Part):
    """Links between chips and to the host; area and static power are per chip."""

    energy: Literal["static", "per_byte"]
    """``static``: `static_mw` all the time; ``per_byte``: `energy_pj` per byte moved."""
    gbytes_per_s: Positive
    """Bandwidth of all links of a chip together, in bytes per nanosecond."""
    inputs: bool = False
    """Whether the host's transfer of inputs is a stage of the pipeline."""
    static_mw: Annotated[float, Field(ge=0)] | None = None
    """Constant power of the links of a chip."""
    energy_pj: Energy = None
    """Energy per byte."""


class Verify(Section):
    """Write-verify: every pulse train is followed by a read; a cell that missed its level gets another."""

    read_ns: Positive
    """Time of one verification read."""
    energy_pj: Energy = None
    """Energy of verifying one cell."""
    failure: Annotated[Exact, Field(ge=0, lt=1)]
    """Probability that a train misses its level."""
    retries: Annotated[int, Field(ge=0, le=1000)]
    """Further trains before a cell is given up."""
    on_failure: Literal["error", "degrade"] = "error"
    """Cells that were given up stop the run, or are counted in the result."""


class Writer(Part):
    """Write drivers."""

    parallel: Literal["row", "column"] = "row"
    """All cells of a row at once, rows one after another; or columns."""
    mode: Literal["differential", "full"] = "differential"
    """``differential``: cells whose level differs; ``full``: every cell, through the lowest level."""
    verify: Verify | Literal[False] = False
    """Write-verify; false: every train is trusted."""


class Support(Part):
    """A part that no action of the model uses (control, instruction memory, ...): leakage, area and peak power."""

    per: Literal["pe", "tile", "chip"]
    """What it stands in."""
    count: Count = 1
    """Instances in one of these."""


class EnergyTables(Section):
    """Prices from Accelergy's tables: they lie over the figures of this file."""

    ert: str | None = None
    """Energy reference table: a YAML file, its path relative to the chip file."""
    art: str | None = None
    """Area reference table."""
    names: dict[str, str] = {}
    """Their component, or component.action, to ours, as in ``ADC.convert: adc.convert``; else equal names meet."""


class ChipFile(Section):
    """A chip file."""

    schema_: Literal[1] = Field(alias="schema")
    """Version of the chip file format."""
    name: str
    """Name under which results show the chip."""
    notes: list[str] = []
    """Statements on the chip that go with every result."""
    sources: dict[str, object] = {}
    """For each key path: the fact behind its figure, or the reason it is assumed."""
    precision: Precision
    chip: ChipLevel
    tile: TileLevel
    pe: PeLevel
    pipeline: Pipeline
    mapping: MappingLevel = MappingLevel()
    crossbar: Crossbar
    device: Device
    dac: Dac
    adc: Adc
    sample_hold: SampleHold = SampleHold()
    shift_add: ShiftAdd = ShiftAdd()
    gate: Gate | None = None
    mask_buffer: MaskBuffer | None = None
    mask_store: MaskStore | None = None
    registers: Registers = Registers()
    activation: Activation = Activation()
    pool: Pool = Pool()
    requantise: Requantise = Requantise()
    scaler: Scaler | None = None
    vector: Vector | None = None
    buffer: Buffer
    bus: Bus
    noc: Noc
    offchip: Offchip
    writer: Writer = Writer()
    support: dict[str, Support] = {}
    """Parts beside these, by name."""
    accelergy: EnergyTables | None = None
