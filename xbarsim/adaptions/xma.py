"""XMA: a power of two, or off, per crossbar column of a frozen backbone; no cell is written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption, Factors, Need, column_mask
from xbarsim.chip import Chip
from xbarsim.network import Coding, Task

SHIFT_COST = (
    "the shift of a column's partial sum costs one more shift-and-add per window, whatever the exponent "
    "(shift_add.energy_pj), and no time: no figure is published"
)


class Xma(Adaption, name="xma"):
    """Columns are gated, and their corrected partial sums shifted before row blocks are added.

    The level set of the publication is not known: 2 bits for off and 2^-1, 1, 2 are the default, and
    every bundle states its own. The shift joins the shift-and-add; that it costs one more
    shift-and-add per partial sum is an assumption.
    """

    granularity = "crossbar column"
    rewrites = "nothing"
    stores = "a shift per logical column: 2 bits unless the bundle says otherwise"
    source = "Zhang et al., DAC 2022, 271-276"
    gates = True
    needs = (Need("masks", Coding("shift", "column", 2, (-1, 0, 1))),)
    assumes = (SHIFT_COST,)

    def columns(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.uint8] | None:
        """Columns that are not off."""
        mask = column_mask(self, chip, task, layer)
        return mask.on.astype(np.uint8) if mask else None

    def factors(self, chip: Chip, task: Task | None, layer: str) -> Factors | None:
        """The shift of every column that is on, also by 2^0: the shifter stands in its way."""
        mask = column_mask(self, chip, task, layer)
        return Factors("shift", np.where(mask.on, mask.values, 0), mask.on) if mask else None
