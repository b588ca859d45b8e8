"""One matrix product through the arrays of a chip."""

from __future__ import annotations

import numpy.typing as npt

from xbarsim.analog.arrays import Numbers
from xbarsim.analog.program import program
from xbarsim.chip import Chip


def mvm(
    inputs: npt.ArrayLike,
    weights: npt.ArrayLike,
    chip: Chip,
    *,
    inputs_signed: bool = False,
    seed: int = 0,
    columns_on: npt.ArrayLike | None = None,
    column_shift: npt.ArrayLike | None = None,
) -> Numbers:
    """Return ``inputs @ weights`` as the crossbars of ``chip`` compute it, ``(n, channels)``.

    inputs: whole numbers ``(n, rows)`` of ``precision.input_bits`` bits, unsigned or with ``inputs_signed`` in
    two's complement. weights: whole numbers ``(rows, channels)`` of ``precision.weight_bits`` bits.
    columns_on: ``(row blocks, channels)`` zeros and ones: a column that is off adds nothing to its channel.
    column_shift: ``(row blocks, channels)`` whole exponents e: a column's corrected partial sum counts 2^e times.

    Weights go through the chip's encoding into cells, inputs bit by bit through its row drivers, every column sum
    of every row block, read and bit slice through its converters. With ideal cells and converter ranges of whole
    levels the result is int64, or float64 without rounding if an exponent is negative; otherwise float64. With
    converters of enough bits it is the product itself. ``seed`` fixes everything random.
    """
    arrays = program(
        weights, chip, inputs_signed=inputs_signed, columns_on=columns_on, column_shift=column_shift, seed=seed
    )
    return arrays.multiply(inputs)
