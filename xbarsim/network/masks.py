"""Masks: which weights of the backbone a task keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import did_you_mean
from xbarsim.network.graph import Layer

ROW_ORDER = "c_in,kh,kw"
"""The one row order there is: kernels unrolled channel by channel, row by row."""

GRANULARITIES = ("column", "element")
"""One value per logical column of a row block, or one per weight."""

DOMAINS = {"binary": (0, 1)}
"""Values that a mask of each kind may hold."""


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask of one layer for one task."""

    kind: str
    """``binary``: 1 keeps, 0 switches off."""
    granularity: str
    """``column`` or ``element``."""
    values: NDArray[np.uint8]
    """``(row blocks, c_out)`` of a column mask, ``(c_out, rows of the layer)`` of an element mask."""
    rows: int | None = None
    """Crossbar height that a column mask was learned for; none for element masks."""
    row_order: str = ROW_ORDER
    """Order in which kernels are unrolled along the rows."""
    kernel_aligned: bool = False
    """Row blocks hold whole 2-D kernels only."""

    @property
    def density(self) -> float:
        """Share of the values that are not zero."""
        return float(np.count_nonzero(self.values) / self.values.size)

    def expand(self, layer: Layer) -> NDArray[np.uint8]:
        """Return one value per weight, ``(c_out, rows)``."""
        if self.granularity == "element" or self.rows is None:
            return self.values
        block = np.arange(layer.rows) // layer.block_rows(self.rows, self.kernel_aligned)
        return np.ascontiguousarray(self.values[block].T)


def mask_shape(layer: Layer, granularity: str, rows: int | None, aligned: bool) -> tuple[int, int]:
    """Return the shape that a mask of ``layer`` must have."""
    if granularity == "element" or rows is None:
        return layer.c_out, layer.rows
    return layer.blocks(rows, aligned), layer.c_out


def check_mask(mask: Mask, layer: Layer) -> list[str]:
    """Return everything wrong with ``mask`` as a mask of ``layer``."""
    faults = []
    if mask.granularity not in GRANULARITIES:
        hint = did_you_mean(mask.granularity, GRANULARITIES)
        return [f"no granularity {mask.granularity!r}; known: {', '.join(GRANULARITIES)}{hint}"]
    if mask.kind not in DOMAINS:
        return [f"no kind {mask.kind!r}; known: {', '.join(DOMAINS)}{did_you_mean(mask.kind, DOMAINS)}"]
    if mask.row_order != ROW_ORDER:
        faults.append(f"row order {mask.row_order!r} is not {ROW_ORDER!r}")
    if (mask.granularity == "column") != (mask.rows is not None):
        faults.append("column masks, and no others, state the crossbar rows they were learned for")
        return faults
    wanted = mask_shape(layer, mask.granularity, mask.rows, mask.kernel_aligned)
    if mask.values.shape != wanted:
        basis = f"{mask.rows} rows per column" if mask.rows else "one value per weight"
        faults.append(
            f"shape {mask.values.shape} is not {wanted}: {layer.c_out} output channels of {layer.rows} weights, {basis}"
        )
    if mask.values.dtype != np.uint8:
        faults.append(f"holds {mask.values.dtype}, not uint8")
    elif not np.isin(mask.values, DOMAINS[mask.kind]).all():
        odd = mask.values[~np.isin(mask.values, DOMAINS[mask.kind])][0]
        faults.append(f"holds the value {odd}; a {mask.kind} mask holds {DOMAINS[mask.kind]} only")
    return faults
