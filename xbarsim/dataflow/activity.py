"""What one window of a crossbar layer makes the hardware do, counted in whole actions.

Reads count cell-reads (active rows x columns on), drivers rows, converters columns on; each once per
input phase. A gated column saves its cells' current, its sample, its conversion and its addition;
row drivers are saved only where a whole crossbar is off. The unit column of a crossbar stays on while
any of its columns is on.

Where mask groups are read one after another (``mask_fit: phased``), a window takes all input phases of
the first group, then all of the second; the gates of a column that holds several groups are set anew
for each. Every crossbar counts what it does in each of these reads.

A column's shift or scale acts once per window on its corrected partial sum, slices and phases merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log2

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Factors
from xbarsim.chip import Chip
from xbarsim.chip.reads import Read
from xbarsim.mapping import Grid, Placement, Site
from xbarsim.units import ceil_div

Action = tuple[str, str]
"""(component, action), the key of a price."""


FACTOR: Mapping[str, Action] = {"shift": ("shift_add", "shift"), "scale": ("scaler", "scale")}
"""What multiplies a partial sum."""


@dataclass(frozen=True, eq=False)
class Activity:
    """One window of a crossbar layer under one task."""

    counts: Counter[Action]
    """Actions of all stages but the network between tiles."""
    read_columns: tuple[int, ...]
    """For every read of an input phase the columns of the fullest converter: they set the time of a conversion
    firing. One read, unless mask groups are read one after another."""
    fetch_ns: Fraction
    """Time that the busiest tile's buffer and bus take to fetch the inputs."""
    write_ns: Fraction
    """Time that buffer and bus take to write the outputs."""

    @property
    def converter_columns(self) -> int:
        """Columns of the fullest converter in any read."""
        return max(self.read_columns)


def window_activity(
    placement: Placement,
    site: Site,
    mask: NDArray[np.generic] | None,
    factors: Factors | None = None,
    *,
    phased: bool = False,
) -> Activity:
    """Count one window of ``site`` with the columns of ``mask`` on; ``phased``: mask group by mask group.

    ``factors`` multiply the partial sums of columns that are on.
    """
    chip, grid = placement.chip, site.grid
    reads = chip.reads(placement.input_bits)
    phases = len(reads)
    counts: Counter[Action] = Counter()
    fullest = _array_counts(chip, grid, mask, reads, phased, counts)
    tiles = site.tiles_per_copy
    counts["registers", "tile"] += tiles * phases * len(fullest)
    counts["shift_add", "tile"] += tiles * phases * len(fullest)
    if factors is not None:
        counts[FACTOR[factors.kind]] += _partial_sums(grid, factors.used, phased)
    counts["activation", "cycle"] += 1
    counts["requantise", "element"] += grid.layer.c_out
    fetch_ns = _fetch(placement, site, counts)
    write_ns = _move(chip, "write", grid.layer.c_out * placement.input_bits, counts)
    registers = chip.file.registers
    fetch_ns += (registers.input_ns or 0) * (1 + phases * len(fullest))
    write_ns += (registers.output_ns or 0) * max(fullest)
    return Activity(counts, fullest, fetch_ns, write_ns)


def _array_counts(
    chip: Chip, grid: Grid, mask: NDArray[np.generic] | None, phases: Sequence[Read], phased: bool,
    counts: Counter[Action],
) -> tuple[int, ...]:  # fmt: skip
    """Add the actions inside crossbars; return the columns of the fullest converter for every read."""
    strips = grid.readings(mask, phased=phased)
    fullest = [0] * max(len(reads) for reads in strips)
    for strip, reads in enumerate(strips):
        for at, (rows, on) in enumerate(reads):
            _count_read(chip, rows, on, grid.slices if grid.separate else 1, phases, counts)
            fullest[at] = max(fullest[at], _slowest(chip, on))
        if len(reads) > 1:
            counts["gate", "set"] += len(reads) * int(grid.channels[strip]) * grid.slices
    return tuple(fullest)


def read_counts(chip: Chip, grid: Grid, rows: int, on: NDArray[np.bool_], input_bits: int) -> Counter[Action]:
    """Actions inside the crossbars of a strip when so many rows are read with these columns on, of one window."""
    counts: Counter[Action] = Counter()
    _count_read(chip, rows, on, grid.slices if grid.separate else 1, chip.reads(input_bits), counts)
    return counts


def _partial_sums(grid: Grid, mask: NDArray[np.generic], phased: bool) -> int:
    """Logical columns, in all reads, that are on in ``mask``."""
    columns = sum(int(np.count_nonzero(on)) for reads in grid.readings(mask, phased=phased) for _, on in reads)
    return columns // grid.slices


def _count_read(
    chip: Chip, rows: int, on: NDArray[np.bool_], sharing: int, reads: Sequence[Read], counts: Counter[Action]
) -> None:
    """Add what the crossbars of a strip do when so many rows are active and these columns on.

    ``sharing``: crossbars that hold the slices of the same weights, and may have their drivers in common.
    """
    file, phases = chip.file, len(reads)
    charges = sum(read.charges for read in reads)
    columns = int(np.count_nonzero(on))
    active = int(np.count_nonzero(on.any(axis=1)))
    units = active if chip.has_unit_column else 0
    lines = active * on.shape[1] if file.adc.converts == "all" else columns
    converted = ceil_div(lines, 2) if file.crossbar.subtract == "analog" else lines
    drivers = active // sharing if file.dac.serves == "slices" else active
    driven = drivers * (file.crossbar.rows if file.dac.drives == "all" else rows)
    counts["crossbar", "read"] += charges * rows * (columns + units)
    counts["dac", "drive"] += charges * driven
    counts["registers", "input"] += driven * sum(read.bits for read in reads)
    counts["sample_hold", "sample"] += charges * (converted + units)
    for action in (("adc", "convert"), ("shift_add", "add"), ("registers", "output")):
        counts[action] += phases * (converted + units)
    if file.crossbar.read.array_energy_pj is not None:
        counts["crossbar", "array"] += phases * active
    if file.dac.kind == "pulses":
        counts["sample_hold", "pulse"] += sum(read.pulses for read in reads) * (converted + units)
    if file.adc.kind == "step":
        counts["adc", "step"] += sum(read.steps for read in reads) * (converted + units)


def _slowest(chip: Chip, on: NDArray[np.bool_]) -> int:
    """Columns of the fullest converter of a strip."""
    per_converter = ceil_div(on.shape[1], chip.file.adc.per_crossbar)
    return per_converter if chip.file.adc.converts == "all" and on.any() else _fullest(on, per_converter)


def _fullest(on: NDArray[np.bool_], per_converter: int) -> int:
    """Most columns that any converter has on; converters take neighbouring columns."""
    padded = np.zeros((on.shape[0], ceil_div(on.shape[1], per_converter) * per_converter), bool)
    padded[:, : on.shape[1]] = on
    return int(padded.reshape(-1, per_converter).sum(axis=1).max())


def _fetch(placement: Placement, site: Site, counts: Counter[Action]) -> Fraction:
    """Inputs from buffer to registers: every tile fetches the rows of the row blocks that it holds."""
    grid, chip = site.grid, placement.chip
    last = np.cumsum(grid.strip_crossbars) - 1
    first = last - grid.strip_crossbars + 1
    bits = np.zeros(site.tiles_per_copy, np.int64)
    for rows, begin, end in zip(grid.rows, first // site.per_tile, last // site.per_tile, strict=True):
        bits[begin : end + 1] += rows * placement.input_bits
    return max(_move(chip, "read", each, counts) for each in bits.tolist())


def _move(chip: Chip, direction: str, bits: int, counts: Counter[Action]) -> Fraction:
    """Count ``bits`` between buffer and bus; return how long the slower of the two takes, in ns."""
    buffer, bus = chip.file.buffer, chip.file.bus
    accesses = ceil_div(bits, buffer.access_bits)
    counts["buffer", direction] += accesses
    counts["bus", "bit"] += bits
    return max(accesses * buffer.access_ns, Fraction(bits, bus.width_bits) / bus.rate_ghz)


def partial_sum_bits(placement: Placement, site: Site) -> int:
    """Bits of a partial sum of one row block as it travels between tiles."""
    return placement.weight_bits + placement.input_bits + max(1, int(log2(site.grid.layer.rows)) + 1)
