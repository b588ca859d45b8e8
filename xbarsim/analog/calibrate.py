"""Converter ranges from data: fixed once found, whatever is converted later."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xbarsim.analog.block import Plan, side_by_side
from xbarsim.analog.cells import Source
from xbarsim.analog.checks import column_mask, weight_matrix, whole_numbers, widths
from xbarsim.analog.columns import pack_planes
from xbarsim.analog.converter import Range, Ranges, enclosing, spanning
from xbarsim.analog.layout import Layout
from xbarsim.analog.setup import Setup
from xbarsim.chip import Chip
from xbarsim.errors import InputError
from xbarsim.kernels.popcount import count_sums
from xbarsim.units import ceil_div

Ints = npt.NDArray[np.int64]

MOST_SUMS = 1 << 22
"""Column sums that are counted one by one."""


def calibrate(
    inputs: npt.ArrayLike,
    weights: npt.ArrayLike,
    chip: Chip,
    *,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    inputs_signed: bool = False,
    encoding: str | None = None,
    height: int | None = None,
    columns_on: npt.ArrayLike | None = None,
    outside: float = 0.0,
) -> Ranges:
    """Return the converter ranges of a layer that its column sums for some inputs call for.

    Each bit slice gets codes a whole number of levels apart, from the sum that a share ``outside`` of its column
    sums is below to the one that as many are above; the unit column's range holds every sum of inputs. Cells are
    taken as ideal. The other arguments are those of :func:`xbarsim.analog.program`, which takes the result.
    """
    if not 0 <= outside < 0.5:
        raise InputError(f"outside: {outside:g} is not in 0 … 0.5")
    counted = column_sums(
        inputs, weights, chip, weight_bits=weight_bits, input_bits=input_bits, inputs_signed=inputs_signed,
        encoding=encoding, height=height, columns_on=columns_on,
    )  # fmt: skip
    bits = (weight_bits or chip.file.precision.weight_bits, input_bits or chip.file.precision.input_bits)
    rows = height or chip.file.crossbar.rows
    setup = Setup.of(chip, bits, inputs_signed, encoding, rows, rows, Ranges((), Range()), None, Source.of(0, 0, 0))
    adc, origin = chip.file.adc, counted.shape[1] // 2
    found = tuple(enclosing(*_ends(row, outside, origin), adc.bits) for row in counted)
    driven = chip.file.crossbar.rows * setup.drive.most
    return Ranges(found, spanning(driven, adc.unit_bits or adc.bits, setup.bipolar))


def column_sums(
    inputs: npt.ArrayLike,
    weights: npt.ArrayLike,
    chip: Chip,
    *,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    inputs_signed: bool = False,
    encoding: str | None = None,
    height: int | None = None,
    columns_on: npt.ArrayLike | None = None,
) -> Ints:
    """Return how often each converted bit slice has each column sum, ``(slices, sums from -most to most)``.

    All reads of all columns that are on count, unit columns apart; cells are taken as ideal.
    """
    bits, height = widths(chip, weight_bits, input_bits, inputs_signed), height or chip.file.crossbar.rows
    matrix = weight_matrix(weights, bits[0])
    nothing, source = Ranges((), Range()), Source.of(0, 0, 0)
    setup = Setup.of(chip, bits, inputs_signed, encoding, height, len(matrix), nothing, None, source)
    vectors = whole_numbers("inputs", inputs, setup.drive.range, f"{bits[1]}-bit inputs")
    if vectors.shape[1] != len(matrix) or not len(vectors):
        raise InputError(f"inputs: shape {vectors.shape} for weights of {len(matrix)} rows; give a vector at least")
    mask = column_mask("columns_on", columns_on, (ceil_div(len(matrix), height), matrix.shape[1]))
    return _count(setup, vectors, matrix, mask)


def _count(setup: Setup, vectors: npt.NDArray[np.integer], matrix: Ints, mask: npt.NDArray[np.bool_] | None) -> Ints:
    """How often each converted slice has each column sum, ``(slices, sums from -most to most)``."""
    most = setup.most(setup.coding.highest)
    if most > MOST_SUMS:
        raise InputError(f"calibration counts column sums up to {MOST_SUMS}, here they reach {most}; give a range")
    height, layout = setup.height, Layout.of(setup.chip, setup.coding, matrix.shape[1])
    counted = np.zeros((setup.coding.converted, 2 * most + 1), np.int64)
    words = setup.drive.pack(vectors, height)
    for number in range(len(words)):
        on = np.arange(matrix.shape[1]) if mask is None else np.flatnonzero(mask[number])
        if not len(on):
            continue
        plan = Plan.of(setup, layout, number, matrix[number * height : (number + 1) * height], on)
        parts = side_by_side(plan, plan.stored[:, :, on], np.empty((len(plan.stored), 0), np.uint8))
        planes = pack_planes(parts, setup.words)[..., : plan.data]
        totals, minus = np.empty((2, plan.data), np.int64)
        count_sums(words[number], np.ascontiguousarray(planes), setup.drive.phases, totals, minus, most, counted)
    if not counted.any():
        raise InputError("columns_on: no column is on, there is nothing to calibrate")
    return counted


def _ends(counted: Ints, outside: float, origin: int) -> tuple[int, int]:
    """Least and largest column sum that are kept."""
    below, total = np.cumsum(counted), int(counted.sum())
    least = int(np.searchsorted(below, outside * total, side="right"))
    above = np.cumsum(counted[::-1])
    most = len(counted) - 1 - int(np.searchsorted(above, outside * total, side="right"))
    return least - origin, max(most, least) - origin
