"""KSM: one soft mask value per 2-D kernel of a frozen backbone."""

from __future__ import annotations

from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Integers, Need
from xbarsim.chip import Chip
from xbarsim.network import Coding, Network, Task


class Ksm(Adaption, name="ksm"):
    """Weights times their kernel's value, rounded half to even and clipped to the width.

    Eight 3x3 kernels of 9 rows share a column of 72 rows, so columns cannot be gated or scaled: cells
    are rewritten.
    """

    granularity = "2-D kernel"
    rewrites = "cells of weights whose rounded product changes"
    stores = "a value per 2-D kernel: 8 bits unless the bundle says otherwise"
    source = "Yang et al., CVPR 2021, 13840-13848, arXiv 2009.05668"
    needs = (Need("masks", Coding("soft", "kernel", 8, step=2**-6)),)
    assumes = ("the bits of a kernel's value are not published: the bundle states them, 8 otherwise",)

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The rounded products; of weights that are not rounded, the products."""
        weights = network.integers(layer, bits)
        mask = task.mask(self.name, layer) if task else None
        if mask is None:
            return weights
        shape, limit, step = network.layers[layer], 1 << (bits - 1), mask.step or 1.0
        exact = frexp(step)[0] == 0.5 and bits + (mask.bits or 16) <= 24  # in single precision
        factors: NDArray[np.floating[Any]] = mask.values.astype(np.float32 if exact else np.float64)
        factors *= step
        kernels = weights.reshape(shape.c_out, -1, shape.kernel[0] * shape.kernel[1])
        products: NDArray[np.floating[Any]] = kernels * factors[:, :, None]
        if weights.dtype.kind == "f":  # a network that is not rounded, see :mod:`xbarsim.network.unrounded`
            return np.asarray(products.reshape(weights.shape))
        np.clip(np.rint(products, out=products), -limit, limit - 1, out=products)
        return np.asarray(products.astype(weights.dtype).reshape(weights.shape))

    def touched(self, chip: Chip, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Weights of kernels whose value differs; the backbone has ones."""
        masks = [task.mask(self.name, layer) if task else None for task in (old, new)]
        before, after = (np.ones((1, 1)) if m is None else m.values * (m.step or 1.0) for m in masks)
        kernels = int(np.count_nonzero(np.not_equal(before, after)))
        height, width = network.layers[layer].kernel
        return kernels * height * width if masks[0] or masks[1] else 0

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Layers that the task masks."""
        return task is not None and f"masks/{layer}" in task.tensors(self.name)
