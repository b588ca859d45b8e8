"""The sections of a chip file: every key, its unit and its meaning. The classes are the manual.

Energies are per action (`energy_pj`), times in nanoseconds, areas in um2 per instance, leakage in mW
per instance. An energy, area or leakage that is left out is *unpublished*: it counts zero and is
listed among the run's assumptions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xbarsim.chip.device import Device
from xbarsim.config import Exact, Section

Count = Annotated[int, Field(ge=1)]
Cycles = Annotated[int, Field(ge=1)]
Energy = Annotated[float, Field(ge=0)] | None
Positive = Annotated[Exact, Field(gt=0)]


class Part(Section):
    """Hardware with an area and a leakage per instance."""

    area_um2: Annotated[float, Field(ge=0)] | None = None
    """Area of one instance in um2."""
    leakage_mw: Annotated[float, Field(ge=0)] | None = None
    """Leakage of one instance in mW."""


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
    switch: Literal["barrier"] = "barrier"
    """``barrier``: a task switch waits until the pipeline has drained."""


class TileLevel(Section):
    """What one tile holds."""

    pes: Count
    """Processing elements in a tile."""


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
    spread_buffers: bool = True
    """A layer whose input does not fit the buffers of its tiles gets further tiles for them."""


class Read(Section):
    """Energy of reading a cell."""

    energy_pj: Energy = None
    """Energy of one cell in an active row and a column that is on, per input phase."""


class Crossbar(Part):
    """One array of cells."""

    rows: Count
    """Word lines."""
    cols: Count
    """Bit lines for weights; a unit column comes on top."""
    cell_bits: Annotated[int, Field(ge=1, le=8)]
    """Bits held by a cell."""
    cycle_ns: Positive
    """Time of one analog read."""
    encoding: Literal["offset", "differential"] = "offset"
    """``offset``: codes w + 2^(b-1) with column flipping; ``differential``: a positive and a negative column."""
    unit_column: bool = True
    """Offset encoding only: one further column of ones, with a converter of its own, sums the inputs."""
    slices: Literal["adjacent", "arrays"] = "adjacent"
    """Bit slices of a weight stand in neighbouring columns, or in separate arrays."""
    read: Read = Read()
    """Read energy."""


class Dac(Part):
    """Row driver."""

    bits: Annotated[int, Field(ge=1, le=16)] = 1
    """Input bits applied per read."""
    drives: Literal["used", "all"] = "used"
    """Rows driven: those that hold weights, or all."""
    energy_pj: Energy = None
    """Energy of driving one row for one input phase."""


class Adc(Part):
    """Column converter."""

    bits: Annotated[int, Field(ge=1, le=16)]
    """Resolution."""
    per_crossbar: Count = 1
    """Converters of one crossbar; neighbouring columns share one. The unit column has its own."""
    rate_gsps: Positive
    """Conversions per nanosecond of one converter."""
    converts: Literal["used", "all"] = "used"
    """Columns converted: those that are used and on, or all."""
    energy_pj: Energy = None
    """Energy of one conversion."""


class SampleHold(Part):
    """Holds the column currents of a read while they are converted."""

    copies: Count = 1
    """Sets of held samples; with one, the next read overlaps the conversion of the last."""
    energy_pj: Energy = None
    """Energy of holding one column once."""


class ShiftAdd(Part):
    """Merges converted samples; and the tile's own adder across processing elements."""

    energy_pj: Energy = None
    """Energy of adding one converted sample."""
    tile_energy_pj: Energy = None
    """Energy of the tile's adder per crossbar cycle."""
    tile_area_um2: Annotated[float, Field(ge=0)] | None = None
    """Area of the tile's adder."""


class Gate(Part):
    """Column gate: switches a column off for a task."""

    kind: Literal["float", "disconnect"] = "disconnect"
    """A gated column floats at its sense end, or is cut from its cells."""
    energy_pj: Energy = None
    """Energy of setting one column's gate."""


class MaskBuffer(Part):
    """One bit per physical column of a crossbar and copy, beside the gates."""

    copies: Annotated[int, Field(ge=1, le=2)] = 1
    """1: single, 2: double buffered."""
    energy_pj: Energy = None
    """Energy of writing one bit."""


class MaskStore(Part):
    """Memory on the chip for the masks and normalisation parameters of its tasks."""

    bits: Count
    """Capacity."""
    width_bits: Count
    """Bits of one access."""
    access_ns: Positive
    """Time of one access."""
    energy_pj: Energy = None
    """Energy of reading one access."""


class Registers(Part):
    """Input and output registers of processing elements and tiles."""

    input_copies: Count = 2
    """Windows held by the input register: 2 lets the next one be fetched during a read."""
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


class Activation(Part):
    """Activation units of a tile."""

    energy_pj: Energy = None
    """Energy of a tile's activation units per crossbar cycle of work."""


class Pool(Part):
    """Pooling unit of a tile."""

    energy_pj: Energy = None
    """Energy of a tile's pooling unit per crossbar cycle of work."""


class Requantise(Part):
    """Normalisation and requantisation of outputs: a factor and an offset per channel."""

    bits_per_channel: Count = 64
    """Bits of a channel's factor and offset."""
    energy_pj: Energy = None
    """Energy per output element."""


class Scaler(Part):
    """Multiplier of a column's partial sum (XMA2)."""

    energy_pj: Energy = None
    """Energy per scaled partial sum."""


class Vector(Part):
    """Unit for products of two activations (attention)."""

    macs_per_cycle: Count
    """Multiply-accumulates per crossbar cycle."""
    energy_pj: Energy = None
    """Energy of one multiply-accumulate."""


class Buffer(Part):
    """A tile's buffer for activations."""

    kind: Literal["edram", "sram"]
    """Memory technology."""
    bytes: Count
    """Capacity."""
    access_bits: Count
    """Bits of one access."""
    access_ns: Positive
    """Time of one access with all banks busy."""
    read_energy_pj: Energy = None
    """Energy of one read access."""
    write_energy_pj: Energy = None
    """Energy of one write access."""


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


class Writer(Part):
    """Write drivers."""

    parallel: Literal["row"] = "row"
    """All cells of a row at once, rows one after another."""
    verify: Literal[False] = False
    """Without write-verify."""


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
