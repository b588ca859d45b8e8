"""Crossbar layers through the encoding, the cells and the converters of a chip.

A layer is written into crossbars once, when it is first computed, and then multiplies any number of windows.
Groups of a grouped layer are written apart: in crossbars that several groups share, their rows would all be
driven at once, and a cell outside a group's own rows is taken to add nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog import cells
from xbarsim.analog.arrays import Arrays
from xbarsim.analog.converter import Ranges
from xbarsim.analog.executor import Windows, merged, scaled
from xbarsim.analog.model import Held, Ints, Model
from xbarsim.analog.ops import Floats
from xbarsim.analog.program import program
from xbarsim.analog.setup import Circuit, Setup
from xbarsim.analog.wires import effective_conductance
from xbarsim.chip import Chip
from xbarsim.chip.imperfect import Drift, ReadNoise, StuckAt, Variation
from xbarsim.errors import InputError

PARTS = 1 << 16
"""Parts of one layer that are told apart by their site."""


@dataclass
class OnChip:
    """The arithmetic of a chip for all layers of a model."""

    chip: Chip
    sites: Mapping[str, int]
    """Number of every layer: with the seed it says which cells it has."""
    seed: int = 0
    ranges: Mapping[str, Ranges] = field(default_factory=dict)
    """Converter ranges by layer, where they come from data."""
    threads: int = 1
    _written: dict[str, list[Arrays]] = field(default_factory=dict)

    @classmethod
    def of(cls, chip: Chip, model: Model, seed: int = 0, ranges: Mapping[str, Ranges] | None = None) -> OnChip:
        """Return the arithmetic for the layers of ``model``."""
        return cls(chip, {name: at for at, name in enumerate(model.held)}, seed, ranges or {})

    def inputs(self, held: Held, values: Floats) -> Ints:
        """Quantised values."""
        return held.quantised(values)

    def outputs(self, windows: Windows) -> Floats:
        """What logic makes of the converters' codes, scaled back."""
        return scaled(windows.held, self.sums(windows))

    def sums(self, windows: Windows) -> Floats:
        """Sums in units of the integers, ``(windows, c_out)``."""
        held = windows.held
        found = np.zeros((1 if uniform(held) else len(held.pieces), len(windows.inputs), held.layer.c_out))
        for part, arrays in zip(parts_of(held), self.written(held), strict=True):
            inputs = windows.inputs[:, part.group, part.rows]
            sums = arrays.multiply(inputs, first=windows.first, threads=self.threads)
            found[part.number, :, held.channels(part.group)] = sums
        return found[0] if uniform(held) else merged(held, list(found))

    def written(self, held: Held) -> list[Arrays]:
        """The crossbars of a layer, part by part."""
        name = held.layer.name
        if name not in self._written:
            parts = parts_of(held)
            self._written[name] = [self._write(held, at, part) for at, part in enumerate(parts)]
        return self._written[name]

    def lossless(self, held: Held) -> bool:
        """Whether the results are proved to be those of whole numbers."""
        return all(arrays.lossless for arrays in self.written(held))

    def _write(self, held: Held, at: int, part: Part) -> Arrays:
        name = held.layer.name
        if at >= PARTS or self.sites[name] >= PARTS:
            raise InputError(f"layer {name!r} is held in more than {PARTS} parts: they cannot be told apart")
        return program(
            part.weights, self.chip, **options_of(held), height=part.height, columns_on=part.columns_on,
            column_shift=part.column_shift, ranges=self.ranges.get(name), circuit=circuit_of(self.chip),
            seed=self.seed, site=self.sites[name] * PARTS + at,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """What of a layer is written at once: one group; of one piece, where factors are no powers of two."""

    group: int
    number: int
    """Piece, or 0."""
    rows: slice
    height: int
    """Rows of a row block."""
    weights: NDArray[Any]
    """``(rows, channels of the group)``."""
    columns_on: NDArray[np.bool_] | None
    """``(row blocks, channels)``."""
    column_shift: NDArray[np.int64] | None = None
    """``(row blocks, channels)``."""


def parts_of(held: Held) -> list[Part]:
    """Return the parts of a layer, group by group."""
    parts = []
    for group in range(held.layer.groups):
        channels = held.channels(group)
        matrix = held.weights[channels].T
        if uniform(held):
            on = None if held.columns is None else held.columns[:, channels]
            shift = None if held.shifts is None else held.shifts[:, channels]
            parts.append(Part(group, 0, slice(None), held.pieces[0].rows, matrix, on, shift))
            continue
        for number, piece in enumerate(held.pieces):
            rows = slice(piece.first, piece.first + piece.rows)
            on = held.on(piece.group)[None, channels]
            parts.append(Part(group, number, rows, piece.rows, matrix[rows], on))
    return parts


def options_of(held: Held) -> dict[str, Any]:
    """Widths of weights and inputs, as the functions of a chip's arrays want them."""
    drive = held.drive
    return {"weight_bits": held.weight_bits, "input_bits": drive.bits, "inputs_signed": drive.signed}


def setup_of(chip: Chip, held: Held, ranges: Ranges | None) -> Setup:
    """Encoding, reads and converters of a layer on ``chip``, its cells ideal."""
    bits, height = (held.weight_bits, held.drive.bits), chip.file.crossbar.rows
    return Setup.of(chip, bits, held.drive.signed, None, height, height, ranges, None, cells.Source.of(0, 0, 0))


def uniform(held: Held) -> bool:
    """Whether pieces are row blocks of equal height (the last one apart), one mask value each, at most shifted."""
    height = held.pieces[0].rows
    regular = all(
        piece.group == at and piece.first == at * height and (piece.rows == height or at == len(held.pieces) - 1)
        for at, piece in enumerate(held.pieces)
    )
    return regular and held.exact


def circuit_of(chip: Chip) -> Circuit | None:
    """What the wires of a chip make of a crossbar; nothing where they are ideal."""
    wires = chip.file.crossbar.wires
    if wires is None:
        return None
    gate = chip.file.gate.kind if chip.file.gate else "disconnect"

    def effective(cells_us: Floats, on: NDArray[np.bool_]) -> Floats:
        return effective_conductance(
            cells_us, wires.row_segment_ohm, wires.column_segment_ohm, driver_ohm=wires.driver_ohm,
            sense_ohm=wires.sense_ohm, columns_on=on, gate=gate, ends=wires.ends,
        )  # fmt: skip

    return effective


def with_ideal_cells(chip: Chip) -> Chip:
    """Return the chip with cells that hold and show exactly their levels, on ideal wires; its converters stay."""
    ideal = {"nonlinearity": 0.0, "variation": Variation(), "drift": Drift(), "stuck_at": StuckAt(),
             "read_noise": ReadNoise()}  # fmt: skip
    device = chip.file.device.model_copy(update=ideal)
    crossbar = chip.file.crossbar.model_copy(update={"off_current": "subtracted", "wires": None})
    return replace(chip, file=chip.file.model_copy(update={"device": device, "crossbar": crossbar}))


def random(chip: Chip) -> bool:
    """Whether results depend on the seed."""
    device, errors = chip.file.device, chip.file.adc.errors
    stuck, noise, drift = device.stuck_at, device.read_noise, device.drift
    scattered = errors.gain_sigma or errors.offset_sigma_levels
    drifting = cells.drifts(drift) and (drift.exponent_sigma or drift.spread_us or drift.spread_start_us)
    return bool(
        cells.spread(device.variation) or stuck.lrs or stuck.hrs or noise.proportional or noise.sigma_us
        or drifting or scattered
    )  # fmt: skip
