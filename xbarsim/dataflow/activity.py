"""What one window of a crossbar layer makes the hardware do, counted in whole actions.

Reads count cell-reads (active rows x columns on), drivers rows, converters columns on; each once per
input phase. A gated column saves its cells' current, its sample, its conversion and its addition;
row drivers are saved only where a whole crossbar is off. The unit column of a crossbar stays on while
any of its columns is on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from math import log2

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.mapping import Grid, Placement, Site
from xbarsim.units import ceil_div

Action = tuple[str, str]
"""(component, action), the key of a price."""


@dataclass(frozen=True, eq=False)
class Activity:
    """One window of a crossbar layer under one task."""

    counts: Counter[Action]
    """Actions of all stages but the network between tiles."""
    converter_columns: int
    """Columns of the fullest converter: they set the time of a conversion firing."""
    fetch_ns: Fraction
    """Time that the busiest tile's buffer and bus take to fetch the inputs."""
    write_ns: Fraction
    """Time that buffer and bus take to write the outputs."""


def window_activity(placement: Placement, site: Site, mask: NDArray[np.uint8] | None) -> Activity:
    """Count one window of ``site`` with the columns of ``mask`` on."""
    chip, grid = placement.chip, site.grid
    phases = chip.phases(placement.input_bits)
    counts: Counter[Action] = Counter()
    fullest = _array_counts(chip, grid, mask, phases, counts)
    tiles = site.tiles_per_copy
    counts["registers", "tile"] += tiles * phases
    counts["shift_add", "tile"] += tiles * phases
    counts["activation", "cycle"] += 1
    counts["requantise", "element"] += grid.layer.c_out
    fetch_ns = _fetch(placement, site, counts)
    write_ns = _move(chip, "write", grid.layer.c_out * placement.input_bits, counts)
    return Activity(counts, fullest, fetch_ns, write_ns)


def _array_counts(chip: Chip, grid: Grid, mask: NDArray[np.uint8] | None, phases: int, counts: Counter[Action]) -> int:
    """Add the actions inside crossbars; return the columns of the fullest converter."""
    file, cols = chip.file, grid.cols
    per_converter = ceil_div(cols, file.adc.per_crossbar)
    fullest = 0
    for rows, on in zip(grid.rows.tolist(), grid.columns_on(mask), strict=True):
        columns = int(np.count_nonzero(on))
        active = int(np.count_nonzero(on.any(axis=1)))
        units = active if chip.has_unit_column else 0
        converted = active * cols if file.adc.converts == "all" else columns
        driven = active * (file.crossbar.rows if file.dac.drives == "all" else rows)
        counts["crossbar", "read"] += phases * rows * (columns + units)
        counts["dac", "drive"] += phases * driven
        counts["registers", "input"] += phases * driven * file.dac.bits
        for action in (
            ("sample_hold", "sample"),
            ("adc", "convert"),
            ("shift_add", "add"),
            ("registers", "output"),
        ):
            counts[action] += phases * (converted + units)
        fullest = max(fullest, per_converter if file.adc.converts == "all" and active else _fullest(on, per_converter))
    return fullest


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
