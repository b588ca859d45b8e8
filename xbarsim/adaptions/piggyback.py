"""Piggyback: one binary mask value per weight of a frozen backbone; masked weights become 0."""

from __future__ import annotations

import numpy as np

from xbarsim.adaptions.base import Adaption, Integers, Need
from xbarsim.chip import Chip
from xbarsim.network import Coding, Network, Task


class Piggyback(Adaption, name="piggyback"):
    """Element-wise masks have no column structure: the cells of weights whose bit flips are rewritten."""

    granularity = "weight"
    rewrites = "cells of weights whose mask bit flips"
    stores = "1 bit per weight"
    source = "Mallya et al., ECCV 2018, arXiv 1801.06519"
    needs = (Need("masks", Coding("binary", "element")),)

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The backbone's weights times the mask."""
        weights = network.integers(layer, bits)
        mask = task.mask(self.name, layer) if task else None
        return weights if mask is None else weights * mask.values.astype(weights.dtype)

    def touched(self, chip: Chip, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Mask values that differ; the backbone has all ones."""
        masks = [task.mask(self.name, layer) if task else None for task in (old, new)]
        ones = np.ones(1, np.uint8)
        before, after = (ones if mask is None else mask.values for mask in masks)
        return 0 if before is after else int(np.count_nonzero(np.not_equal(before, after)))

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Layers that the task masks."""
        return task is not None and f"masks/{layer}" in task.tensors(self.name)
