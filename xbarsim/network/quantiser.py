"""From float weights to the integers that stand in crossbars, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_BITS, MOST_BITS = 2, 16
"""Widths of weights that a quantiser may have."""

LEAST_SCALE, MOST_SCALE = 1e-30, 1e30
"""Steps that single precision holds with room to spare."""


def integer_type(bits: int) -> np.dtype[np.signedinteger]:
    """Return the smallest signed type that holds ``bits``-bit integers."""
    return np.dtype(np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32)


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Symmetric quantiser of one layer: ``integer = round_half_even(weight / scale)``.

    The quotient is taken in double precision. Integers are clipped to ``[-2^(bits-1),
    2^(bits-1) - 1]``; :meth:`fit` chooses scales so that the most negative one is not needed.
    """

    bits: int
    """Width of the integers, sign included."""
    scale: NDArray[np.float32]
    """Step per integer, shape ``(1,)`` or one per output channel, ``(c_out,)``."""

    @classmethod
    def fit(cls, weights: NDArray[np.floating], bits: int, per_channel: bool = True) -> Quantiser:
        """Return the quantiser whose largest integer is the largest weight, by channel or in all.

        ``weights`` has output channels along axis 0. A channel of zeros, or
        of weights too small for :data:`LEAST_SCALE`, gets the scale 1.
        """
        flat = np.abs(np.asarray(weights, np.float32)).reshape(len(weights), -1)
        top = flat.max(axis=1) if per_channel else flat.max(keepdims=True).reshape(1)
        limit = 2 ** (bits - 1) - 1
        step = top / np.float32(limit)
        return cls(bits, np.where(step >= LEAST_SCALE, step, 1).astype(np.float32))

    def integers(self, weights: NDArray[np.floating]) -> NDArray[np.int32]:
        """Quantise ``weights``, output channels along axis 0; the shape stays."""
        quotient = np.asarray(weights, np.float64) / self._steps(np.ndim(weights))
        limit = 2 ** (self.bits - 1)
        return np.clip(np.rint(quotient), -limit, limit - 1).astype(np.int32)

    def held(self, weights: NDArray[Any]) -> NDArray[np.signedinteger]:
        """Return stored weights as they stand in crossbars, ``(c_out, rows)``: floats are quantised, integers kept."""
        flat = weights.reshape(len(weights), -1)
        integers = flat if flat.dtype.kind == "i" else self.integers(flat)
        return integers.astype(integer_type(self.bits))

    def values(self, integers: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the weights that ``integers`` stand for, output channels along axis 0."""
        return (np.asarray(integers, np.float64) * self._steps(np.ndim(integers))).astype(np.float32)

    def _steps(self, dimensions: int) -> NDArray[np.float64]:
        return self.scale.astype(np.float64).reshape(-1, *[1] * (dimensions - 1))
