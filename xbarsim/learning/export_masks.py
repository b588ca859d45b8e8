"""Masks out of what PyTorch has: tensors, or weights that are the backbone's times something.

A factor is found by dividing; it counts as 0, 1, -1 or a power of two if it is within :data:`CLOSE` of it, since
straight-through estimators leave a rounding behind. Weights that are zero in the backbone say nothing about their
factor; they get that of their column, or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption
from xbarsim.errors import InputError
from xbarsim.network.graph import Layer
from xbarsim.network.masks import MOST_SHIFT, OFF, Coding, Geometry, Mask, mask_shape
from xbarsim.network.quantiser import integer_type

CLOSE = 1e-5
"""Largest difference, relative to the factor, that counts as rounding."""

LEVELS = (-1, 0, 1)
"""Exponents of a shift mask unless more are found: 2 bits with off, as :class:`xbarsim.adaptions.xma.Xma` has them."""

METHODS: Mapping[tuple[str, str], str] = {
    ("binary", "column"): "xbm",
    ("shift", "column"): "xma",
    ("binary", "element"): "piggyback",
    ("ternary", "element"): "piggyback-ternary",
    ("soft", "kernel"): "ksm",
}
"""The method that a task's masks are of, by kind and granularity."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NoMask:
    """The factors of a layer are of no kind of mask; ``found`` says what they are."""

    found: str


def method_coding(method: str) -> Coding | None:
    """Return what the masks of a method hold, or nothing if it has none of its own."""
    needs = Adaption.named(method).needs
    only = len(needs) == 1 and needs[0].role == "masks"
    return needs[0].coding if only else None


def recovered(
    layer: Layer, frozen: Floats, own: Floats, rows: int | None = None, aligned: bool = False
) -> Mask | NoMask | None:
    """Return the mask that makes ``own`` of ``frozen``, weights ``(c_out, ...)``; nothing where they are the same.

    The coarsest kind that explains the factors is taken: on or off by column, powers of two by column, on or off by
    weight, signs by weight, a value by 2-D kernel. Columns can be told only if ``rows`` of the crossbars are known.
    """
    before = np.asarray(frozen, np.float64).reshape(layer.c_out, layer.rows)
    after = np.asarray(own, np.float64).reshape(layer.c_out, layer.rows)
    if np.array_equal(before, after):
        return None
    live = before != 0
    grown = int(np.count_nonzero(after[~live]))
    if grown:
        return NoMask(f"{grown} weights are not zero where the backbone's are")
    factors = np.divide(after, before, out=np.ones_like(after), where=live)
    signs = np.rint(np.clip(factors, -1, 1))
    plain = _close(factors, signs)
    columns = _by_column(layer, factors, live, rows, aligned) if rows else None
    if columns is not None and plain and columns.min() > -0.5:
        values = np.rint(columns).astype(np.uint8)
        return Mask("binary", "column", values, rows, kernel_aligned=aligned)
    if columns is not None and (found := _shifts(columns, rows, aligned)) is not None:
        return found
    if plain:
        kind, of = ("ternary", np.int8) if signs.min() < 0 else ("binary", np.uint8)
        return Mask(kind, "element", signs.astype(of))
    return _by_kernel(layer, factors, live) or NoMask(_described(factors[live], rows))


def as_mask(method: str, layer: Layer, values: NDArray[Any], rows: int | None = None, aligned: bool = False) -> Mask:
    """Return a mask of ``method`` from plain values; raises :class:`InputError` if they are none.

    By column ``(row blocks, c_out)``, by weight in the weight's own shape or ``(c_out, rows)``, by kernel
    ``(c_out, c_in / groups)``. Shifts are exponents, :data:`xbarsim.network.masks.OFF` for off; values by kernel are
    factors. What kind the method has, its class says.
    """
    coding = method_coding(method)
    if coding is None:
        known = ", ".join(METHODS.values())
        raise InputError(f"method {method!r} has no masks that stand for themselves; give masks of: {known}")
    if coding.granularity == "column" and rows is None:
        raise InputError(f"masks of {method!r} are by column: say for which chip, or for how many rows")
    wanted = mask_shape(layer, coding.granularity, Geometry(rows, aligned))
    held = np.asarray(values)
    held = held.reshape(wanted) if coding.granularity == "element" and held.size == np.prod(wanted) else held
    if held.shape != wanted:
        raise InputError(
            f"shape {held.shape} is not {wanted}, a value per {coding.granularity} of layer {layer.name!r}"
        )
    if coding.kind == "soft":
        return _soft(held.astype(np.float64))
    whole = np.rint(held)
    if not np.array_equal(whole, held):
        raise InputError(f"layer {layer.name!r}: a {coding.kind} mask holds whole numbers")
    if coding.kind == "shift":
        return _shift(whole.astype(np.int64), rows, aligned)
    of = np.int8 if coding.kind == "ternary" else np.uint8
    at = rows if coding.granularity == "column" else None
    return Mask(coding.kind, coding.granularity, whole.astype(of), at, kernel_aligned=aligned and at is not None)


def together(masks: Mapping[str, Mask], layers: Mapping[str, Layer], method: str | None = None) -> dict[str, Mask]:
    """Return the masks of one task as masks of one kind: that of ``method``, or the coarsest that holds them all.

    Raises :class:`InputError` that says what was found by layer.
    """
    coding = method_coding(method) if method else None
    wanted = [(coding.kind, coding.granularity)] if coding else list(METHODS)
    for kind in wanted:
        turned = {name: _turned(mask, layers[name], *kind) for name, mask in masks.items()}
        if all(mask is not None for mask in turned.values()):
            return {name: mask for name, mask in turned.items() if mask is not None}
    found = ", ".join(f"{name}: {mask.kind} by {mask.granularity}" for name, mask in masks.items())
    aim = f"method {method!r} has {wanted[0][0]} masks by {wanted[0][1]}" if coding else "no method has them all"
    raise InputError(f"{aim}; found {found}")


def _turned(mask: Mask, layer: Layer, kind: str, granularity: str) -> Mask | None:
    """Return a mask as another kind that can say the same."""
    if (mask.kind, mask.granularity) == (kind, granularity):
        return mask
    if mask.kind == "binary" and kind == "shift" and mask.granularity == granularity == "column":
        return _shift(np.where(mask.values, 0, OFF), mask.rows, mask.kernel_aligned)
    if granularity != "element" or mask.kind not in ("binary", "ternary") or (mask.kind, kind) == ("ternary", "binary"):
        return None
    return Mask(kind, "element", mask.expand(layer).astype(np.int8 if kind == "ternary" else np.uint8))


def _close(factors: Floats, to: Floats) -> bool:
    """Whether all factors are what they are taken for; where that is 0 they must be 0."""
    return bool((np.abs(factors - to) <= CLOSE * np.abs(to)).all())


def _by_column(layer: Layer, factors: Floats, live: NDArray[np.bool_], rows: int, aligned: bool) -> Floats | None:
    """Return the factor of every column ``(row blocks, c_out)`` if each has but one."""
    height, blocks = layer.block_rows(rows, aligned), layer.blocks(rows, aligned)
    result = np.ones((blocks, layer.c_out))
    for block in range(blocks):
        at = slice(block * height, (block + 1) * height)
        result[block] = _one(factors[:, at], live[:, at])
    block_of = np.arange(layer.rows) // height
    return result if _close(np.where(live, factors, result[block_of].T), result[block_of].T) else None


def _one(factors: Floats, live: NDArray[np.bool_]) -> Floats:
    """Return the first factor of every row that the backbone's weights tell, 1 where they tell none."""
    first = live.argmax(axis=1)
    return np.where(live.any(axis=1), np.take_along_axis(factors, first[:, None], 1)[:, 0], 1.0)


def _shifts(columns: Floats, rows: int | None, aligned: bool) -> Mask | None:
    """Return the shift mask of these factors if they are powers of two, or 0."""
    if columns.min() < 0:
        return None
    exponents = np.rint(np.log2(np.where(columns > 0, columns, 1.0))).astype(np.int64)
    if not _close(columns, np.where(columns > 0, np.exp2(exponents), 0.0)) or np.abs(exponents).max() > MOST_SHIFT:
        return None
    return _shift(np.where(columns > 0, exponents, OFF), rows, aligned)


def _shift(values: NDArray[np.int64], rows: int | None, aligned: bool) -> Mask:
    """Return a shift mask: 2 bits, or as many as the exponents need."""
    there = {int(value) for value in np.unique(values) if value != OFF}
    levels = tuple(sorted(there | set(LEVELS)))
    bits = len(levels).bit_length()
    if any(abs(level) > MOST_SHIFT for level in levels):
        raise InputError(f"exponents {sorted(there)} are not between -{MOST_SHIFT} and {MOST_SHIFT}; {OFF} is off")
    return Mask("shift", "column", values.astype(np.int8), rows, kernel_aligned=aligned, bits=bits, levels=levels)


def _by_kernel(layer: Layer, factors: Floats, live: NDArray[np.bool_]) -> Mask | None:
    """Return the mask of these factors if every 2-D kernel has one, rounded to 8 bits."""
    area = layer.kernel[0] * layer.kernel[1]
    if area == 1:
        return None
    kernels, told = factors.reshape(-1, area), live.reshape(-1, area)
    values = _one(kernels, told)[:, None]
    if not _close(np.where(told, kernels, values), np.broadcast_to(values, kernels.shape)):
        return None
    return _soft(values.reshape(layer.c_out, -1))


def _soft(values: Floats) -> Mask:
    """Return a mask of values by kernel: 8 bits, in the finest power of two that holds the largest."""
    coding = method_coding("ksm")
    assert coding is not None  # the method needs masks and nothing else
    bits, step = coding.bits or 8, coding.step or 2.0**-6
    limit = (1 << bits - 1) - 1
    top = float(np.abs(values).max(initial=0.0))
    while top > limit * step * (1 + CLOSE):
        step *= 2
    codes = np.clip(np.rint(values / step), -limit, limit).astype(integer_type(bits))
    return replace(Mask("soft", "kernel", codes), bits=bits, step=step)


def _described(factors: Floats, rows: int | None) -> str:
    """Say what factors were found."""
    distinct = np.unique(np.round(factors, 4))
    some = ", ".join(f"{value:g}" for value in distinct[:4])
    more = f", … up to {distinct[-1]:g}" if len(distinct) > 4 else ""
    told = f"neither constant by column of {rows} rows" if rows else "the rows of the crossbars are not known,"
    rest = " nor by kernel" if rows else " so columns cannot be told; not constant by kernel"
    return f"{len(distinct)} different factors ({some}{more}), {told}{rest}"
