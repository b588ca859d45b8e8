"""Converter ranges by layer, for ``adc.range: calibrated``: found once from data, then fixed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.calibrate import calibrate
from xbarsim.analog.converter import Range, Ranges, enclosing
from xbarsim.analog.executor import IntegerProduct, Windows, run
from xbarsim.analog.model import Held, Model
from xbarsim.analog.onchip import options_of, parts_of, setup_of
from xbarsim.analog.ops import Floats
from xbarsim.analog.scales import MOST_SAMPLES
from xbarsim.chip import Chip
from xbarsim.units import ceil_div

MOST_WINDOWS = 2048
"""Windows of a layer that are looked at, evenly spread over the samples."""


def ranges_from(chip: Chip, model: Model, inputs: NDArray[np.floating[Any]]) -> dict[str, Ranges]:
    """Return the converter ranges of every layer if the chip leaves them to data, or else nothing.

    A layer has one range per bit slice, for all its row blocks and groups: it holds every column sum that the
    first samples of ``inputs`` give with ideal cells.
    """
    if chip.file.adc.range != "calibrated":
        return {}
    seen = inputs[:MOST_SAMPLES]
    windows = some_windows(model, seen)
    return {name: _range(chip, held, windows[name]) for name, held in model.held.items()}


def some_windows(model: Model, inputs: NDArray[np.floating[Any]]) -> dict[str, NDArray[Any]]:
    """Return some windows of every layer in the integer network, ``(windows, groups, rows)``."""
    kept: dict[str, list[NDArray[Any]]] = {}

    def keep(windows: Windows, outputs: Floats) -> None:
        layer = windows.held.layer
        every = ceil_div(len(inputs) * layer.windows, MOST_WINDOWS)
        kept.setdefault(layer.name, []).append(windows.inputs[-windows.first % every :: every].copy())

    run(model, inputs, IntegerProduct(), observe=keep)
    return {name: np.concatenate(parts) for name, parts in kept.items()}


def _range(chip: Chip, held: Held, windows: NDArray[Any]) -> Ranges:
    """The range of one layer: that of all its parts together."""
    found = []
    for part in parts_of(held):
        if part.columns_on is None or part.columns_on.any():
            inputs = windows[:, part.group, part.rows]
            where = {"height": part.height, "columns_on": part.columns_on, **options_of(held)}
            found.append(calibrate(inputs, part.weights, chip, **where))
    if not found:  # no column is on: any range will do
        return Ranges((Range(),) * setup_of(chip, held, Ranges((), Range())).coding.converted, Range())
    return Ranges(tuple(_enclosing(chip, slices) for slices in _by_slice(found)), found[0].unit)


def _by_slice(found: Sequence[Ranges]) -> Iterator[tuple[Range, ...]]:
    return zip(*(ranges.slices for ranges in found), strict=True)


def _enclosing(chip: Chip, ranges: Sequence[Range]) -> Range:
    """One range that holds all others."""
    bits = chip.file.adc.bits
    codes = (1 << bits) - 1
    highest = max(one.low + codes * one.step for one in ranges)
    return enclosing(int(min(one.low for one in ranges)), int(highest), bits)


def described(ranges: Ranges) -> dict[str, Any]:
    """Ranges as plain numbers, in cell levels."""
    return {
        "slices": [{"low": _plain(one.low), "step": _plain(one.step)} for one in ranges.slices],
        "unit": {"low": _plain(ranges.unit.low), "step": _plain(ranges.unit.step)},
    }


def _plain(value: Fraction) -> float:
    return float(value)
