"""What callers hand in, checked before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xbarsim.chip import Chip
from xbarsim.errors import InputError


def whole_numbers(
    name: str, values: npt.ArrayLike, allowed: tuple[int, int], what: str
) -> npt.NDArray[np.integer[Any]]:
    """Return a matrix of whole numbers within a range; raise :class:`InputError` otherwise."""
    matrix = np.asarray(values)
    if matrix.ndim != 2:
        raise InputError(f"{name}: {matrix.ndim} dimensions, expected 2")
    if matrix.dtype == np.bool_:
        matrix = matrix.astype(np.uint8)
    if not np.issubdtype(matrix.dtype, np.integer):
        raise InputError(f"{name}: {matrix.dtype} is no integer type; quantise first")
    least, most = allowed
    if matrix.size and (matrix.min() < least or matrix.max() > most):
        at = np.argwhere((matrix < least) | (matrix > most))[0]
        place = ", ".join(map(str, at))
        raise InputError(f"{name}: {matrix[tuple(at)]} at [{place}] is outside {least} … {most} of {what}")
    return matrix


def widths(chip: Chip, weight_bits: int | None, input_bits: int | None, signed: bool) -> tuple[int, int]:
    """Return the bits of weights and inputs, the chip's where none are given."""
    precision = chip.file.precision
    least = 2 if signed else 1
    weights = precision.weight_bits if weight_bits is None else weight_bits
    inputs = precision.input_bits if input_bits is None else input_bits
    if not 2 <= weights <= 16:
        raise InputError(f"weight_bits: {weights} is outside 2 … 16")
    if not least <= inputs <= 16:
        raise InputError(f"input_bits: {inputs} is outside {least} … 16")
    return weights, inputs


def weight_matrix(values: npt.ArrayLike, bits: int) -> npt.NDArray[np.int64]:
    """Return weights as a matrix of whole numbers that fit their bits."""
    half = 1 << (bits - 1)
    matrix = whole_numbers("weights", values, (-half, half - 1), f"{bits}-bit weights")
    if not matrix.size:
        raise InputError(f"weights: shape {matrix.shape} holds none")
    return matrix.astype(np.int64)


def column_mask(name: str, values: npt.ArrayLike | None, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """Return a mask (row blocks, channels) of zeros and ones; None stays None."""
    if values is None:
        return None
    matrix = _table(name, values, shape)
    if not np.isin(matrix, (0, 1)).all():
        raise InputError(f"{name}: a column is on (1) or off (0), nothing else")
    return np.asarray(matrix.astype(bool))


def column_exponents(name: str, values: npt.ArrayLike | None, shape: tuple[int, int]) -> npt.NDArray[np.int64] | None:
    """Return whole exponents of two (row blocks, channels) that are not absurd; None stays None."""
    if values is None:
        return None
    matrix = _table(name, values, shape)
    if not np.issubdtype(matrix.dtype, np.integer):
        raise InputError(f"{name}: {matrix.dtype} is no integer type; exponents are whole numbers")
    if matrix.size and max(abs(int(matrix.min())), abs(int(matrix.max()))) > 62:
        raise InputError(f"{name}: exponents from {matrix.min()} to {matrix.max()} are beyond 62 bits")
    return np.asarray(matrix.astype(np.int64))


def _table(name: str, values: npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[Any]:
    matrix = np.asarray(values)
    if matrix.shape != shape:
        raise InputError(f"{name}: shape {matrix.shape}, expected {shape} (row blocks, output channels)")
    return matrix
