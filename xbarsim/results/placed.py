"""What a run stood on, for drawings: the levels of the chip, and which tiles hold which layer."""

from __future__ import annotations

from typing import Any

from xbarsim.chip import Chip
from xbarsim.chip.budget import LEVELS, Budget, budget_of
from xbarsim.mapping import Placement, Site

SCHEMA = "xbarsim.placement/1"


def placement_json(placement: Placement) -> dict[str, Any]:
    """The ``xbarsim.placement/1`` object: enough to draw the chip and the map of layers without a simulation.

    Copies of a layer fill its tiles in order: ``together`` copies side by side in one tile, or one copy over
    several whole tiles; processing elements are groups of crossbars of a tile.
    """
    chip = placement.chip
    return {
        "schema": SCHEMA,
        "chip": chip.name,
        "network": placement.network.name,
        "chips": placement.chips,
        "tiles_used": placement.tiles,
        "levels": _levels(chip, placement.chips),
        "layers": [_layer(site, placement) for site in placement.sites.values()],
    }


def _levels(chip: Chip, chips: int) -> list[dict[str, Any]]:
    """Chip, tile, processing element and crossbar: how many one of the level above has, and what is in one."""
    file, budget = chip.file, budget_of(chip)
    inside = {"chip": chips, "tile": file.chip.tiles, "pe": file.tile.pes}
    rows: list[dict[str, Any]] = [
        {
            "level": level,
            "count": inside[level],
            "area_um2": budget.area_um2(level),
            "power_mw": budget.power_mw(level),
            "parts": _parts(budget, level),
        }
        for level in reversed(LEVELS)
    ]
    crossbar = file.crossbar
    rows.append({
        "level": "crossbar", "count": file.pe.crossbars, "rows": crossbar.rows, "columns": crossbar.cols,
        "cell_bits": crossbar.cell_bits, "unit_column": chip.has_unit_column, "encoding": crossbar.encoding,
        "device": file.device.name,
    })  # fmt: skip
    return rows


def _parts(budget: Budget, level: str) -> list[dict[str, Any]]:
    return [
        {"component": item.component, "count": float(item.count), "area_um2": item.total_um2, "power_mw": item.power_mw}
        for item in budget.items
        if item.level == level
    ]


def _layer(site: Site, placement: Placement) -> dict[str, Any]:
    layer, grid = site.grid.layer, site.grid
    return {
        "layer": site.name,
        "kind": layer.kind,
        "head": layer.head,
        "rows": layer.rows,
        "columns": layer.c_out,
        "windows": layer.windows,
        "crossbars": grid.crossbars,
        "copies": site.copies,
        "residents": site.residents,
        "together": site.together,
        "first_tile": site.first_tile,
        "tiles": site.tiles,
        "tiles_per_copy": site.tiles_per_copy,
        "utilisation": grid.cells / (grid.crossbars * placement.chip.file.crossbar.rows * grid.cols),
    }
