"""A chip on its own: power, area, throughput and density by component, and the figures behind them."""

from __future__ import annotations

from typing import Any

from xbarsim.chip import Chip
from xbarsim.chip.budget import LEVELS, Budget, Item, Level, budget_of
from xbarsim.chip.overheads import overheads, share

SCHEMA = "xbarsim.chip/1"


def describe(chip: Chip) -> dict[str, Any]:
    """The ``xbarsim.chip/1`` object without its list of facts."""
    budget = budget_of(chip)
    return {
        "schema": SCHEMA,
        "chip": chip.name,
        "notes": list(chip.file.notes),
        "summary": _summary(chip, budget),
        "levels": [_level(budget, level) for level in LEVELS],
        "components": [_component(budget, item) for item in budget.items],
        "task_hardware": _task_hardware(chip),
        "assumptions": [*chip.remarks, *budget.unpublished],
    }


def _summary(chip: Chip, budget: Budget) -> dict[str, Any]:
    """What one chip is, everything busy."""
    return {
        "power_w": budget.power_mw() / 1e3,
        "area_mm2": budget.area_um2() / 1e6,
        "peak_tops": budget.tops,
        "tops_per_w": budget.tops_per_w,
        "gops_per_mm2": budget.gops_per_mm2,
        "weights_mib": budget.weight_bits / 8 / 2**20,
        "mib_per_mm2": budget.mib_per_mm2,
        "crossbars": chip.crossbars_per_chip,
        "tiles": chip.file.chip.tiles,
        "weight_bits": chip.file.precision.weight_bits,
        "input_bits": chip.file.precision.input_bits,
        "unit_columns_w": budget.unit_power_mw / 1e3,
    }


def _level(budget: Budget, level: Level) -> dict[str, Any]:
    """One processing element, tile or chip with all that it holds."""
    gops, power, area = budget.peak_gops / budget.per[level], budget.power_mw(level), budget.area_um2(level)
    return {
        "level": level,
        "count": budget.per[level],
        "power_mw": power,
        "area_um2": area,
        "peak_gops": gops,
        "gops_per_w": gops / power * 1e3 if power else None,
        "gops_per_mm2": gops / area * 1e6 if area else None,
    }


def _component(budget: Budget, item: Item) -> dict[str, Any]:
    """All instances of a component in one of its level, and their shares of a tile and of the chip."""
    per_tile, tile_mw, tile_um2 = _in_a_tile(budget, item), budget.power_mw("tile"), budget.area_um2("tile")
    whole, chip_mw, chip_um2 = budget.per[item.level], budget.power_mw(), budget.area_um2()
    power, area = item.power_mw or 0.0, item.total_um2
    return {
        "component": item.component,
        "level": item.level,
        "count": float(item.count),
        "power_mw": item.power_mw,
        "area_um2": None if item.area_um2 is None else area,
        "basis": item.basis,
        "tile_power_share": power * per_tile / tile_mw if tile_mw and per_tile else None,
        "tile_area_share": area * per_tile / tile_um2 if tile_um2 and per_tile else None,
        "chip_power_share": power * whole / chip_mw if chip_mw else None,
        "chip_area_share": area * whole / chip_um2 if chip_um2 else None,
    }


def _in_a_tile(budget: Budget, item: Item) -> float:
    """How many of the item's level one tile has; none of the chip's own parts."""
    return 0.0 if item.level == "chip" else budget.per[item.level] / budget.per["tile"]


def _task_hardware(chip: Chip) -> dict[str, Any] | None:
    """Column gates, mask buffers and shifters: areas and share of the chip, with the range over assumptions."""
    parts = overheads(chip)
    if not parts:
        return None
    rows = [
        {
            "part": one.part,
            "count": one.count,
            "area_um2": one.stated_um2,
            "least_um2": one.low_um2,
            "most_um2": one.high_um2,
            "least": one.low,
            "most": one.high,
        }
        for one in parts
    ]
    shares = {name: share(chip, which) for name, which in (("share", "stated"), ("least", "low"), ("most", "high"))}
    return {"parts": rows, **{key if key == "share" else f"share_{key}": value for key, value in shares.items()}}
