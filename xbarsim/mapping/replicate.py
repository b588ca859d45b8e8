"""Copies of layers: how many even out the pipeline within the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from xbarsim.units import ceil_div


@dataclass(frozen=True)
class Demand:
    """What one layer asks of the chip."""

    windows: int
    """Windows per inference."""
    window_ps: int
    """Time between two windows on one copy."""
    crossbars: int
    """Crossbars of one copy."""
    buffer_tiles: Fraction = Fraction(0)
    """Tiles whose buffers hold, once, what the layer's windows need."""
    readers: int = 1
    """Most groups of tiles that read one pixel, each with its own copy of it: one per kernel tap."""
    fixed: bool = False
    """Never copied."""


def balance(demands: Sequence[Demand], per_tile: int, tiles: int, crossbars: int, max_copies: int | None) -> list[int]:
    """Return the copies of every layer with the shortest interval that the budget admits.

    Layers get the copies that bring ``windows * window_ps / copies`` under a common interval; the
    shortest interval that fits ``tiles`` and ``crossbars`` is found by bisection. One copy each is
    returned if nothing more fits.
    """

    def copies(interval_ps: int) -> list[int]:
        return [_copies(d, interval_ps, per_tile, max_copies) for d in demands]

    def fits(interval_ps: int) -> bool:
        chosen = copies(interval_ps)
        used = sum(c * d.crossbars for c, d in zip(chosen, demands, strict=True))
        return used <= crossbars and tiles_of(demands, chosen, per_tile) <= tiles

    slowest = max((d.windows * d.window_ps for d in demands), default=1)
    return copies(_least(1, slowest, fits)) if fits(slowest) else [1] * len(demands)


def _least(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Smallest number in [low, high] for which ``holds`` is true, given that it is for ``high``."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _copies(demand: Demand, interval_ps: int, per_tile: int, most: int | None) -> int:
    """Copies that meet the interval; full tiles once there is more than one tile of them."""
    if demand.fixed:
        return 1
    limit = min(demand.windows, most or demand.windows)
    wanted = min(ceil_div(demand.windows * demand.window_ps, interval_ps), limit)
    together = per_tile // demand.crossbars
    if together <= 1 or wanted <= together:
        return wanted
    return min(ceil_div(wanted, together), limit // together) * together


def tiles_of(demands: Sequence[Demand], copies: Sequence[int], per_tile: int) -> int:
    """Tiles taken by all layers with these copies."""
    return sum(layer_tiles(d, c, per_tile) for d, c in zip(demands, copies, strict=True))


def layer_tiles(demand: Demand, copies: int, per_tile: int) -> int:
    """Tiles of one layer: a tile belongs to one layer, and holds whole copies if it can hold one."""
    groups = ceil_div(copies, max(1, min(per_tile // demand.crossbars, copies)))
    held = demand.buffer_tiles * min(groups, demand.readers)
    return max(groups * ceil_div(demand.crossbars, per_tile), ceil_div(held.numerator, held.denominator))
