"""XST: every crossbar column has an owner; a task uses its own columns and those it has picked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Integers, Need, check_height, column_mask, geometry
from xbarsim.chip import Chip
from xbarsim.network import Coding, Network, Task


class Xst(Adaption, name="xst"):
    """The columns of all tasks are resident, so a switch sets gates and writes no cell.

    A task's new columns are programmed once, when it is learned: that is part of the installation.
    Resetting a column is closing its gate. Before the first switch all gates are open.
    """

    granularity = "crossbar column"
    rewrites = "nothing"
    stores = "1 bit per logical column (own or picked); once: an owner per column, log2(tasks + 1) bits"
    source = "Zhang et al., DATE 2022, 48-51"
    gates = True
    needs = (Need("masks", Coding("pick", "column")), Need("owners", Coding("owner", "column")))

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The columns of all owners, whatever the task."""
        return network.shared(self.name, layer, bits)

    def columns(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.uint8] | None:
        """The task's own columns, and older ones that it has picked."""
        if task is None:
            return None
        there = geometry(chip)
        owners = task.network.owners(self.name, layer, there.rows, there.kernel_aligned)
        if owners is None:
            return None
        check_height(self, chip, task, layer, owners)
        picks = column_mask(self, chip, task, layer)
        on = owners.values == task.number
        return np.asarray(on if picks is None else on | picks.on).astype(np.uint8)
