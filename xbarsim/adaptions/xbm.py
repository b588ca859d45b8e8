"""XBM: one binary mask value per crossbar column of a frozen backbone; no cell is written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Adaption
from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError
from xbarsim.network import Layer, Task


class Xbm(Adaption, name="xbm"):
    """Columns are gated on or off; a logical column is one output channel of one row block."""

    granularity = "crossbar column"
    rewrites = "nothing"
    stores = "1 bit per logical column"
    source = "Zhang et al., ASP-DAC 2022; US 2024/0037394 A1"
    gates = True

    def columns(self, chip: Chip, task: Task | None, layer: str) -> NDArray[np.uint8] | None:
        """The task's mask; it must have been learned for this crossbar height."""
        crossbar, aligned = chip.file.crossbar, chip.file.mapping.kernel_aligned
        mask = task.mask(self.name, layer, crossbar.rows) if task else None
        if mask is None or task is None:
            return None
        if mask.rows != crossbar.rows or mask.kernel_aligned != aligned:
            message = (
                f"the {self.name} mask of layer {layer!r} was learned for columns of {mask.rows} rows"
                f"{' (kernel-aligned)' if mask.kernel_aligned else ''}, chip {chip.name!r} has {crossbar.rows}"
                f"{' (kernel-aligned)' if aligned else ''}; learn the mask for this chip, or set crossbar.rows="
                f"{mask.rows} and mapping.kernel_aligned={str(mask.kernel_aligned).lower()}"
            )
            raise InputError(Fault(task.network.source, message, f"tasks.{task.name}"))
        return mask.values

    def mask_bits(self, chip: Chip, layer: Layer) -> int:
        """One bit per logical column, however many slices a column has."""
        return layer.blocks(chip.file.crossbar.rows, chip.file.mapping.kernel_aligned) * layer.c_out
