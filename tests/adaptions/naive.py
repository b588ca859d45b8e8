"""A cell-by-cell twin of writing: every level of every cell is written down, and then compared.

Nothing is shared with the code under test but the numbers: integers come as arrays, the places of cells
from the naive placer, pulses from the law of incremental pulses with ``PULSES`` over the full range.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from mapping.naive import Cell, block_of, cells_of
from numpy.typing import NDArray
from safetensors.numpy import load_file

from xbarsim.chip import Chip
from xbarsim.network import Layer

PULSES = 128
"""Pulses of the device ``taox_hfox`` from the lowest to the highest conductance."""
PULSE_PS = 50_000

Ints = NDArray[Any]
Polarity = dict[tuple[int, int, int], bool]
"""Whether the physical column (row block, channel, slice) is stored flipped."""


def pulses(old: int, new: int, levels: int) -> int:
    return ceil(Fraction(abs(new - old) * PULSES, levels - 1))


def digits(weight: int, chip: Chip, bits: int) -> list[int]:
    """Levels of the slices of one weight, not flipped, most significant first."""
    return _digits(weight, bits, chip.file.crossbar.cell_bits, chip.file.crossbar.encoding)


@cache
def _digits(weight: int, bits: int, cell_bits: int, encoding: str) -> list[int]:
    def written(number: int) -> list[int]:
        found = []
        for _ in range(-(-bits // cell_bits)):
            number, digit = divmod(number, 1 << cell_bits)
            found.append(digit)
        return found[::-1]

    if encoding == "offset":
        return written(weight + 2 ** (bits - 1))
    return written(max(weight, 0)) + written(max(-weight, 0))


def polarity(weights: Ints, layer: Layer, chip: Chip, bits: int, backbone: Polarity | None = None) -> Polarity:
    """A column is flipped where the converter would clip it and its complement is smaller.

    All inputs are at their most. A task keeps the backbone's polarity as long as the converter takes that.
    """
    if chip.file.crossbar.encoding == "differential":
        return {}
    most = (2**chip.file.adc.bits - 1) / (2**chip.file.dac.bits - 1)
    top = (1 << chip.file.crossbar.cell_bits) - 1
    sums: Counter[tuple[int, int, int]] = Counter()
    complements: Counter[tuple[int, int, int]] = Counter()
    for row in range(weights.shape[1]):
        block = block_of(layer, chip, row)
        for channel, weight in enumerate(weights[:, row].tolist()):
            for piece, level in enumerate(digits(weight, chip, bits)):
                sums[block, channel, piece] += level
                complements[block, channel, piece] += top - level
    found = {}
    for column, plain in sums.items():
        flipped = complements[column]
        kept = backbone is not None and (flipped if backbone[column] else plain) <= most
        found[column] = backbone[column] if kept and backbone else plain > most and flipped < plain
    return found


@dataclass
class Written:
    """What a rewrite takes on one copy."""

    histogram: Counter[tuple[int, int]]
    times_ps: list[int]
    """Per crossbar: the longest SET and the longest RESET train of every row, one after another."""
    lines: list[int]
    """Rows written, per crossbar."""
    writes: Ints
    """Per cell, unit columns last."""
    pulses: Ints

    @property
    def cells(self) -> int:
        return sum(self.histogram.values())

    @property
    def trains(self) -> int:
        return int(self.pulses.sum())


class Board:
    """The cells of one copy of a layer, each with its place; unit columns stand behind the weights."""

    def __init__(self, layer: Layer, chip: Chip, bits: int) -> None:
        self.layer, self.chip, self.bits = layer, chip, bits
        self.places = cells_of(layer, chip, bits)
        self.weights = list(self.places)
        cells = list(self.places.values())
        if chip.file.crossbar.encoding == "offset" and chip.file.crossbar.unit_column:
            cells += {Cell(cell.crossbar, cell.row, chip.file.crossbar.cols): None for cell in cells}
        self.crossbar = np.array([cell.crossbar for cell in cells])
        self.row = np.array([cell.row for cell in cells])

    def levels(self, weights: Ints, flips: Polarity) -> Ints:
        """What every cell holds; a unit column is all ones."""
        top = (1 << self.chip.file.crossbar.cell_bits) - 1
        held = np.ones(len(self.crossbar), np.int64)
        blocks = [block_of(self.layer, self.chip, row) for row in range(weights.shape[1])]
        numbers = weights.tolist()
        for at, (channel, row, piece) in enumerate(self.weights):
            level = digits(numbers[channel][row], self.chip, self.bits)[piece]
            held[at] = top - level if flips and flips[blocks[row], channel, piece] else level
        return held

    def rewrite(self, old: Ints | None, new: Ints) -> Written:
        """Write ``new`` over ``old``, or over an erased copy, all cells at level 0."""
        old = np.zeros_like(new) if old is None else old
        count = 1 << self.chip.file.crossbar.cell_bits
        table = np.array([[pulses(a, b, count) for b in range(count)] for a in range(count)])
        trains = table[old, new]
        shape = (self.crossbar.max() + 1, self.row.max() + 1)
        sets, resets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for phase, moves in ((sets, new > old), (resets, new < old)):
            np.maximum.at(phase, (self.crossbar[moves], self.row[moves]), trains[moves])
        changed = new != old
        histogram = Counter(zip(old[changed].tolist(), new[changed].tolist(), strict=True))
        lines = ((sets + resets) > 0).sum(axis=1)
        times = (sets + resets).sum(axis=1) * PULSE_PS
        return Written(histogram, times.tolist(), lines.tolist(), changed.astype(np.int64), trains)


class Files:
    """The integers of a bundle, read from its files without the package's readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.tensors = {
            path.stem: load_file(path)
            for path in [folder / "backbone.safetensors", *folder.glob("tasks/*.safetensors")]
        }

    def backbone(self, layer: str) -> Ints:
        return self._integers(self.tensors["backbone"][f"{layer}.weight"], self.manifest["quantisers"][layer])

    def contents(self, method: str, task: str | None, layer: str) -> Ints:
        """What the crossbars hold for a task."""
        if task is None:
            return self.backbone(layer)
        tensors, info = self.tensors[task], self.manifest["tasks"][task]["methods"][method]
        if method == "finetune":
            own = tensors[f"finetune/weights/{layer}"]
            return self._integers(own, info["quantisers"].get(layer, self.manifest["quantisers"][layer]))
        if method == "piggyback":
            return np.where(tensors[f"piggyback/masks/{layer}"] == 1, self.backbone(layer), 0)
        return self.backbone(layer)

    def head(self, method: str, task: str, layer: str) -> Ints:
        """A task's own classifier."""
        own = self.manifest["tasks"][task]["methods"][method]["quantisers"]
        quantiser = own.get(layer, self.manifest["quantisers"][layer])
        return self._integers(self.tensors[task][f"{method}/state/{layer}.weight"], quantiser)

    @staticmethod
    def _integers(weights: Ints, quantiser: dict[str, Any]) -> Ints:
        if weights.dtype.kind == "i":
            return weights.reshape(len(weights), -1).astype(np.int64)
        scale, limit = np.array(quantiser["scale"], np.float32).astype(np.float64), 2 ** (quantiser["bits"] - 1)
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        return np.clip(np.round(flat / scale[:, None]), -limit, limit - 1).astype(np.int64)
