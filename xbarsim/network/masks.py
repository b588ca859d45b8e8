"""Masks: what a task does to the weights of the backbone, value by value.

| kind | values | granularities |
|---|---|---|
| ``binary`` | 1 keeps, 0 switches off; of crossbars and PEs: 1 rewritten, 0 frozen | column, element, crossbar, pe |
| ``ternary`` | the weight is multiplied by -1, 0 or 1 | element |
| ``soft`` | the weights of a 2-D kernel are multiplied by value x ``step`` | kernel |
| ``shift`` | a column's partial sum is multiplied by 2^value; :data:`OFF` switches it off | column |
| ``scale`` | a column's partial sum is multiplied by value x ``step``; 0 switches it off | column |
| ``owner`` | 0 for the backbone, k for the bundle's k-th task | column, element |
| ``pick`` | 1 where the task uses a weight or column of an older owner | column, element |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import did_you_mean
from xbarsim.network.graph import Layer

ROW_ORDER = "c_in,kh,kw"
"""The one row order there is: kernels unrolled channel by channel, row by row."""

GRANULARITIES = ("column", "element", "kernel", "crossbar", "pe")
"""One value per logical column of a row block, weight, 2-D kernel, crossbar, or group of crossbars."""

UNITS = ("crossbar", "pe")
"""Granularities of masks that choose what is rewritten."""

OFF = -128
"""Stored in place of an exponent where a shift mask switches a column off."""

MOST_SHIFT = 15
"""Largest exponent, either way: what a partial sum's guard bits must hold."""


@dataclass(frozen=True)
class Kind:
    """What masks of one kind may be and hold."""

    granularities: tuple[str, ...]
    types: tuple[str, ...]
    """Names of the tensor's types."""
    values: tuple[int, ...] = ()
    """All that may stand there; empty where the coding says."""
    bits: int | None = None
    """Bits stored per value; none where the coding says."""


KINDS: Mapping[str, Kind] = {
    "binary": Kind(("column", "element", *UNITS), ("uint8",), (0, 1), 1),
    "ternary": Kind(("element",), ("int8",), (-1, 0, 1), 2),
    "soft": Kind(("kernel",), ("int8", "int16")),
    "shift": Kind(("column",), ("int8",)),
    "scale": Kind(("column",), ("uint8", "uint16")),
    "owner": Kind(("column", "element"), ("uint8", "uint16")),
    "pick": Kind(("column", "element"), ("uint8",), (0, 1), 1),
}
"""All kinds of masks."""


@dataclass(frozen=True)
class Coding:
    """What the values of a mask mean and how many bits they take."""

    kind: str
    granularity: str
    bits: int | None = None
    """Bits stored per value: of ``soft`` and ``scale`` always, of ``shift`` unless values are packed."""
    levels: tuple[int, ...] = ()
    """Exponents that a shift mask may hold beside :data:`OFF`, ascending."""
    step: float | None = None
    """What 1 stands for in ``soft`` and ``scale`` masks."""

    def stored_bits(self, values: int, owners: int = 2) -> int:
        """Bits of so many values; ``owners`` counts the backbone and the tasks.

        A shift mask without ``bits`` is packed: log2 of the number of levels, off included, per value.
        """
        if self.kind == "shift" and self.bits is None:
            return ceil(values * log2(len(self.levels) + 1))
        if self.kind == "owner":
            return values * (owners - 1).bit_length()
        return values * (KINDS[self.kind].bits or self.bits or 0)


@dataclass(frozen=True)
class Geometry:
    """The crossbars that a mask is learned for."""

    rows: int | None = None
    """Crossbar height; nothing for masks of weights and kernels."""
    kernel_aligned: bool = False
    """Row blocks hold whole 2-D kernels only."""
    columns: int | None = None
    """Logical columns of a crossbar; only for masks of crossbars and PEs."""
    crossbars: int | None = None
    """Crossbars of one unit; only for masks of crossbars (1) and PEs."""


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask of one layer for one task."""

    kind: str
    """A key of :data:`KINDS`."""
    granularity: str
    """One of :data:`GRANULARITIES`."""
    values: NDArray[Any]
    """Shape by granularity: column ``(row blocks, c_out)``, element ``(c_out, rows of the layer)``,
    kernel ``(c_out, c_in / groups)``, crossbar and pe ``(units,)``, see :func:`unit_map`."""
    rows: int | None = None
    """See :class:`Geometry`."""
    row_order: str = ROW_ORDER
    """Order in which kernels are unrolled along the rows."""
    kernel_aligned: bool = False
    """See :class:`Geometry`."""
    bits: int | None = None
    """See :class:`Coding`."""
    levels: tuple[int, ...] = ()
    """See :class:`Coding`."""
    step: float | None = None
    """See :class:`Coding`."""
    columns: int | None = None
    """See :class:`Geometry`."""
    crossbars: int | None = None
    """See :class:`Geometry`."""

    @property
    def coding(self) -> Coding:
        """What the values mean."""
        return Coding(self.kind, self.granularity, self.bits, self.levels, self.step)

    @property
    def geometry(self) -> Geometry:
        """The crossbars it was learned for."""
        return Geometry(self.rows, self.kernel_aligned, self.columns, self.crossbars)

    @property
    def on(self) -> NDArray[np.bool_]:
        """Where the mask does not switch off."""
        off = OFF if self.kind == "shift" else 0
        return np.asarray(self.values != off)

    @property
    def density(self) -> float:
        """Share of the values that do not switch off."""
        return float(np.count_nonzero(self.on) / self.values.size)

    def expand(self, layer: Layer) -> NDArray[Any]:
        """Return one value per weight, ``(c_out, rows)``."""
        if self.granularity == "element":
            return self.values
        if self.granularity == "kernel":
            return np.repeat(self.values, layer.kernel[0] * layer.kernel[1], axis=1)
        by_column = self.values
        if self.granularity in UNITS:
            by_column = self.values[unit_map(layer, self.geometry)]
        block = np.arange(layer.rows) // layer.block_rows(self.rows or layer.rows, self.kernel_aligned)
        return np.ascontiguousarray(by_column[block].T)


def mask_shape(layer: Layer, granularity: str, geometry: Geometry) -> tuple[int, ...]:
    """Return the shape that a mask of ``layer`` must have."""
    if granularity == "kernel":
        return layer.c_out, layer.c_in // layer.groups
    if granularity in UNITS and geometry.columns and geometry.rows:
        return (int(unit_map(layer, geometry).max()) + 1,)
    if granularity == "column" and geometry.rows:
        return layer.blocks(geometry.rows, geometry.kernel_aligned), layer.c_out
    return layer.c_out, layer.rows


def unit_map(layer: Layer, geometry: Geometry) -> NDArray[np.int64]:
    """Return the unit that every logical column stands in, ``(row blocks, c_out)``.

    A unit is one crossbar, or ``crossbars`` of them one after another. Crossbars are counted as they
    are filled: row block by row block, within it ``columns`` output channels to a crossbar; of a grouped
    layer group by group, where groups that are shorter than a crossbar share it on its diagonal.
    """
    rows, columns = geometry.rows or layer.rows, geometry.columns or layer.c_out
    per_group = layer.c_out // layer.groups
    channel = np.arange(layer.c_out)
    blocks = layer.blocks(rows, geometry.kernel_aligned)
    together = 1
    if layer.groups > 1 and layer.rows <= rows:
        together = max(1, min(rows // layer.rows, columns // per_group))
    strip, inside = np.divmod(channel, together * per_group)
    per_strip = -(-together * per_group // columns)
    block = np.arange(blocks)[:, None]
    crossbar = (strip * blocks + block) * per_strip + inside // columns
    return np.asarray(crossbar // (geometry.crossbars or 1))


def check_mask(mask: Mask, layer: Layer, owners: int | None = None) -> list[str]:
    """Return everything wrong with ``mask`` as a mask of ``layer``; ``owners`` is the largest there is."""
    faults = check_coding(mask.coding)
    if mask.granularity not in GRANULARITIES or mask.kind not in KINDS:
        return faults
    if mask.row_order != ROW_ORDER:
        faults.append(f"row order {mask.row_order!r} is not {ROW_ORDER!r}")
    misplaced = _check_geometry(mask)
    if misplaced:
        return faults + misplaced
    wanted = mask_shape(layer, mask.granularity, mask.geometry)
    if mask.values.shape != wanted:
        faults.append(
            f"shape {mask.values.shape} is not {wanted}: {layer.c_out} output channels of {layer.rows} weights, "
            f"{_basis(mask)}"
        )
    types = KINDS[mask.kind].types
    if mask.values.dtype.name not in types:
        faults.append(f"holds {mask.values.dtype}, not {' or '.join(types)}")
    else:
        faults += _check_values(mask, owners)
    return faults


def check_coding(coding: Coding) -> list[str]:
    """Return everything wrong with what is said about a mask's values."""
    if coding.granularity not in GRANULARITIES:
        hint = did_you_mean(coding.granularity, GRANULARITIES)
        return [f"no granularity {coding.granularity!r}; known: {', '.join(GRANULARITIES)}{hint}"]
    if coding.kind not in KINDS:
        return [f"no kind {coding.kind!r}; known: {', '.join(KINDS)}{did_you_mean(coding.kind, KINDS)}"]
    kind, faults = KINDS[coding.kind], []
    if coding.granularity not in kind.granularities:
        faults.append(f"a {coding.kind} mask is by {' or '.join(kind.granularities)}, not by {coding.granularity}")
    stepped = coding.kind in ("soft", "scale")
    if stepped != (coding.step is not None):
        faults.append("soft and scale masks, and no others, state their step")
    if stepped and coding.bits is None:
        faults.append(f"a {coding.kind} mask states the bits of a value")
    if coding.bits is not None and not stepped and coding.kind != "shift":
        faults.append(f"a {coding.kind} mask states no bits: its values say how many they take")
    return faults + _check_levels(coding)


def _check_levels(coding: Coding) -> list[str]:
    levels = coding.levels
    if (coding.kind == "shift") != bool(levels):
        return ["shift masks, and no others, state their levels"]
    if sorted(set(levels)) != list(levels) or any(abs(level) > MOST_SHIFT for level in levels):
        return [f"levels {list(levels)} are not ascending exponents from -{MOST_SHIFT} to {MOST_SHIFT}"]
    if levels and coding.bits is not None and len(levels) >= 1 << coding.bits:
        return [f"{coding.bits} bits are too few for {len(levels)} levels and off"]
    return []


def _check_geometry(mask: Mask) -> list[str]:
    """Whether a mask says for which crossbars it was learned, if and only if that matters."""
    units = mask.granularity in UNITS
    if (mask.rows is not None) != (units or mask.granularity == "column"):
        return ["column, crossbar and pe masks, and no others, state the crossbar rows they were learned for"]
    if not units:
        stated = mask.columns is not None or mask.crossbars is not None
        return ["only crossbar and pe masks state columns and crossbars"] if stated else []
    if mask.columns is None or mask.crossbars is None:
        return ["crossbar and pe masks state the logical columns of a crossbar and the crossbars of a unit"]
    if mask.granularity == "crossbar" and mask.crossbars != 1:
        return [f"the unit is a crossbar, not {mask.crossbars}"]
    return []


def _basis(mask: Mask) -> str:
    if mask.granularity in UNITS:
        return f"{mask.crossbars} crossbar(s) of {mask.rows} rows and {mask.columns} logical columns to a unit"
    if mask.granularity == "kernel":
        return "one value per 2-D kernel"
    return f"{mask.rows} rows per column" if mask.rows else "one value per weight"


def _check_values(mask: Mask, owners: int | None) -> list[str]:
    """Whether every value is one that the kind and the coding know."""
    values, kind = mask.values, KINDS[mask.kind]
    if kind.values or mask.kind == "shift":
        known = kind.values or (OFF, *mask.levels)
        odd = values[~np.isin(values, known)]
        return [f"holds the value {odd[0]}; a {mask.kind} mask holds {known} only"] if odd.size else []
    low, high = 0, owners if owners is not None else 2**16 - 1
    if mask.kind == "soft" and mask.bits:
        low, high = -(1 << mask.bits - 1), (1 << mask.bits - 1) - 1
    elif mask.kind == "scale" and mask.bits:
        high = (1 << mask.bits) - 1
    odd = values[(values < low) | (values > high)]
    return [f"holds the value {odd[0]}; it must be {low} to {high}"] if odd.size else []
