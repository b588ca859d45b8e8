"""Which tokens a window needs and which it lets go: the need and release tables of a channel.

A token is one pixel (all channels), in row-major order. For window ``i`` in row-major order,
``need`` is the number of tokens that must have arrived in all: the prefix maximum of the last pixel
read. ``release`` is the number of slots given back in all once window ``i`` is done: the suffix
minimum of the first pixel that any later window reads; the last window releases every pixel, also
those that no window reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xbarsim.network.ops import Pair

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sliding:
    """Geometry of windows over an image. All pairs are (height, width)."""

    in_hw: Pair
    out_hw: Pair
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    interpolates: bool = False
    """Windows lie between pixels: bilinear interpolation to a larger image."""


def interpolated(hw: Pair, out: Pair) -> Sliding:
    """Every window reads the four pixels about its place, pixel centres evenly spread over the image."""
    return Sliding(hw, out, (2, 2), interpolates=True)


def pointwise(hw: Pair) -> Sliding:
    """Window ``i`` reads pixel ``i``."""
    return Sliding(hw, hw)


def whole(hw: Pair, windows: Pair = (1, 1)) -> Sliding:
    """Every window reads the whole image."""
    return Sliding(hw, windows, hw, (0, 0))


def _reach(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> tuple[Ints, Ints]:
    """First and last coordinate inside the image that each window reads along one axis.

    A window that lies wholly in the padding reads nothing: first ``size``, last ``-1``.
    """
    taps = np.arange(out)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
    inside = (taps >= 0) & (taps < size)
    first = np.where(inside, taps, size).min(axis=1)
    last = np.where(inside, taps, -1).max(axis=1)
    return first, last


def _between(size: int, out: int) -> tuple[Ints, Ints]:
    """First and last coordinate of the two about each of ``out`` places, at the edges only one."""
    first = (np.arange(out) * 2 * size + size - out) // (2 * out)
    return np.maximum(first, 0), np.minimum(first + 1, size - 1)


def tables(sliding: Sliding) -> tuple[Ints, Ints]:
    """Return (need, release), one entry per window, in tokens of one image."""
    axes = [
        _between(*args[:2]) if sliding.interpolates else _reach(*args)
        for args in zip(
            sliding.in_hw, sliding.out_hw, sliding.kernel, sliding.stride, sliding.padding, sliding.dilation,
            strict=True,
        )
    ]  # fmt: skip
    (first_y, last_y), (first_x, last_x) = axes
    height, width = sliding.in_hw
    pixels = height * width
    reads = (last_y >= 0)[:, None] & (last_x >= 0)[None, :]
    last = np.where(reads, last_y[:, None] * width + last_x[None, :] + 1, 0).ravel()
    first = np.where(reads, first_y[:, None] * width + first_x[None, :], pixels).ravel()
    need = np.maximum.accumulate(last)
    later = np.minimum.accumulate(np.append(first, pixels)[::-1])[::-1]
    return need.astype(np.int64), later[1:].astype(np.int64)
