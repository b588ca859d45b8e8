"""XBM: one binary mask value per crossbar column of a frozen backbone; no cell is written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Need, column_mask
from xbarsim.chip import Chip
from xbarsim.network import Coding, Task


class Xbm(Adaption, name="xbm"):
    """Columns are gated on or off; a logical column is one output channel of one row block."""

    granularity = "crossbar column"
    rewrites = "nothing"
    stores = "1 bit per logical column"
    source = "Zhang et al., ASP-DAC 2022, 610-615 (par.nsf.gov 10348293); US 2024/0037394 A1"
    gates = True
    needs = (Need("masks", Coding("binary", "column")),)

    def columns(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.uint8] | None:
        """The task's mask."""
        mask = column_mask(self, chip, task, layer)
        return mask.values if mask else None
