"""Programming the crossbars of one layer: weights to levels, levels to cells, converters beside them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xbarsim.analog.arrays import Arrays, Block
from xbarsim.analog.block import Plan, corrected, level_columns, scales
from xbarsim.analog.cells import Source
from xbarsim.analog.checks import column_exponents, column_mask, weight_matrix, widths
from xbarsim.analog.columns import on_lines
from xbarsim.analog.converter import Ranges
from xbarsim.analog.individual import individual_columns
from xbarsim.analog.layout import Layout
from xbarsim.analog.setup import Circuit, Setup
from xbarsim.chip import Chip
from xbarsim.errors import InputError
from xbarsim.units import ceil_div

Ints = npt.NDArray[np.int64]

MOST, EXACT = 1 << 62, 1 << 53
"""Bounds of results in int64, and of whole numbers in float64."""


def program(
    weights: npt.ArrayLike,
    chip: Chip,
    *,
    weight_bits: int | None = None,
    input_bits: int | None = None,
    inputs_signed: bool = False,
    encoding: str | None = None,
    height: int | None = None,
    columns_on: npt.ArrayLike | None = None,
    column_shift: npt.ArrayLike | None = None,
    ranges: Ranges | None = None,
    circuit: Circuit | None = None,
    seed: int = 0,
    site: int = 0,
    draw: int = 0,
    shortcut: bool = True,
) -> Arrays:
    """Write weights ``(rows, channels)`` into crossbars of ``chip``.

    weight_bits, input_bits: width of the whole numbers; by default the chip's ``precision``.
    encoding: ``offset``, ``differential`` or ``twos_complement``; by default ``crossbar.encoding``.
    height: rows of a row block; by default ``crossbar.rows``.
    columns_on: ``(row blocks, channels)``; a column that is off adds nothing, neither its offset nor its flip.
    column_shift: ``(row blocks, channels)``, whole exponents of two: the corrected partial sum of a column is
    shifted before row blocks are added; guard bits keep what negative exponents would cut off.
    ranges: of the converters, from :func:`xbarsim.analog.calibrate`; by default as ``adc.range`` says.
    circuit: what wires make of a crossbar: called with the cells of a whole crossbar in uS ``(rows, columns, the
    unit column last)`` and which columns are on, it returns the effective conductances in uS.
    seed, site, draw: random numbers depend on the seed, on the site (number of the layer and its copy) and on
    how often the site was written before.
    shortcut: a result that is proved to be the product of whole numbers is computed as one.
    """
    bits, height = widths(chip, weight_bits, input_bits, inputs_signed), height or chip.file.crossbar.rows
    matrix = weight_matrix(weights, bits[0])
    source = Source.of(seed, site, draw)
    setup = Setup.of(chip, bits, inputs_signed, encoding, height, len(matrix), ranges, circuit, source)
    if len(setup.ranges.slices) != setup.coding.converted:
        raise InputError(f"ranges: {len(setup.ranges.slices)} given for {setup.coding.converted} converted bit slices")
    factors, guard = _factors(columns_on, column_shift, (ceil_div(len(matrix), height), matrix.shape[1]))
    layout = Layout.of(chip, setup.coding, matrix.shape[1])
    blocks: list[Block] = []
    whole = np.zeros(matrix.shape, np.int64) if shortcut else None
    for number in np.flatnonzero(factors.any(axis=1)):
        rows = slice(number * height, (number + 1) * height)
        plan = Plan.of(setup, layout, int(number), matrix[rows], np.flatnonzero(factors[number]))
        block, product = _block(plan, factors[number, plan.channels], shortcut)
        blocks.append(block)
        if product is None:
            whole = None
        elif whole is not None:
            whole[rows] = product
    _refuse_overflow(setup, blocks, guard)
    return Arrays(len(matrix), matrix.shape[1], setup.drive, height, tuple(blocks), guard, setup.integer, whole)


def _factors(on: npt.ArrayLike | None, shift: npt.ArrayLike | None, shape: tuple[int, int]) -> tuple[Ints, int]:
    """Factor of every column's partial sum, 0 if it is off, in units of 2^-(guard bits); and the guard bits."""
    mask, exponents = column_mask("columns_on", on, shape), column_exponents("column_shift", shift, shape)
    if exponents is None:
        exponents = np.zeros(shape, np.int64)
    if mask is not None:
        exponents = np.where(mask, exponents, 0)
    guard = max(0, -int(exponents.min()))
    if int(exponents.max()) + guard > 62:
        raise InputError(f"column_shift: exponents from {-guard} to {exponents.max()} are more than 62 bits apart")
    factors = np.left_shift(1, exponents + guard)
    return (factors if mask is None else factors * mask), guard


def _block(plan: Plan, factors: Ints, prove: bool) -> tuple[Block, Ints | None]:
    """One row block, and the weights ``(rows, all channels)`` it is proved to multiply by, if it is."""
    setup = plan.setup
    columns, proved = (individual_columns(plan), None) if setup.individual else level_columns(plan, prove)
    (added, step), (units, base) = scales(plan), corrected(plan)
    every = len(plan.channels) == plan.weights.shape[1]
    channels = np.empty(0, np.int64) if every else plan.channels
    added = on_lines(added, added.dtype)
    units, base, weights = (on_lines(part, base.dtype) for part in (units, base, factors))
    block = Block(plan.number, columns, channels, added, step, plan.unit_at, units, base, weights)
    if proved is None or every:
        return block, None if proved is None else proved * factors
    whole = np.zeros(plan.weights.shape, np.int64)
    whole[:, channels] = proved * factors
    return block, whole


def _refuse_overflow(setup: Setup, blocks: list[Block], guard: int) -> None:
    """Refuse column shifts whose results are not whole numbers of 64 bits, or exact in double precision."""
    reads = sum(map(abs, setup.drive.factors))
    tops = reads * max(converter.top for converter in (*setup.converters, setup.unit_converter))
    largest = 0.0
    for block in blocks:
        added = np.abs(block.scales * block.step).sum(axis=0, dtype=np.float64)
        added += np.abs(block.units).sum(axis=0, dtype=np.float64)
        largest += float(np.max(block.weights * (added * tops + np.abs(block.base)), initial=0.0))
    if setup.integer and largest >= (EXACT if guard else MOST):
        bits = 53 if guard else 62
        raise InputError(f"column_shift: results may need more than {bits} bits; use smaller exponents")
