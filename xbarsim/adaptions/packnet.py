"""PackNet: every weight has an owner; a task uses its own weights and those of all older owners."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Integers, Need
from xbarsim.chip import Chip
from xbarsim.network import Coding, Network, Task


class Packnet(Adaption, name="packnet"):
    """Weights of younger owners are 0, so a switch rewrites them; the weights of all owners are kept once."""

    granularity = "weight"
    rewrites = "cells of weights that come into or go out of use"
    stores = "nothing per task; once: an owner per weight, log2(tasks + 1) bits"
    source = "Mallya and Lazebnik, CVPR 2018, arXiv 1711.05769"
    needs: ClassVar[tuple[Need, ...]] = (Need("owners", Coding("owner", "element")),)

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The weights in use, else 0."""
        used = self.used(network, task, layer)
        weights = network.shared(self.name, layer, bits)
        return weights if used is None else weights * used

    def used(self, network: Network, task: Task | None, layer: str) -> NDArray[np.bool_] | None:
        """Weights that a task uses, ``(c_out, rows)``; without a task those of the backbone. ``None``: all."""
        owners = network.owners(self.name, layer)
        return None if owners is None else np.asarray(owners.values <= (task.number if task else 0))

    def touched(self, chip: Chip, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Weights that come into use or go out of it."""
        before, after = (self.used(network, task, layer) for task in (old, new))
        return 0 if before is None or after is None else int(np.count_nonzero(before != after))

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Every layer whose weights have owners."""
        return task is not None and f"owners/{layer}" in task.tensors(self.name)
