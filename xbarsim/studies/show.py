"""How a network sits on a chip: need against have, never a refusal."""

from __future__ import annotations

from typing import Any

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.mapping import Placement, place
from xbarsim.network import Network

SCHEMA = "xbarsim.show/1"


def show(chip: Chip, network: Network) -> dict[str, Any]:
    """The ``xbarsim.show/1`` object.

    Weights, columns and crossbars are those of one copy of the backbone; the resident heads of its
    tasks and the copies stand beside them.
    """
    placement = place(chip, network)
    grids = [site.grid for site in placement.backbone]
    cells = sum(grid.cells for grid in grids)
    crossbars = sum(grid.crossbars for grid in grids)
    return {
        "schema": SCHEMA,
        "chip": chip.name,
        "network": network.name,
        "synthetic": network.synthetic,
        "weights": sum(grid.layer.weights for grid in grids),
        "weight_bits": placement.weight_bits,
        "input_bits": placement.input_bits,
        "logical_columns": sum(grid.logical_columns for grid in grids),
        "physical_columns": sum(grid.physical_columns for grid in grids),
        "crossbars": crossbars,
        "crossbars_needed": placement.crossbars_needed,
        "crossbars_available": placement.crossbars_available,
        "fits": placement.fits,
        "chips": placement.chips,
        "tiles": placement.tiles,
        "tiles_needed": placement.least_tiles,
        "tiles_available": placement.tiles_available,
        "utilisation": cells / (crossbars * chip.file.crossbar.rows * chip.file.crossbar.cols) if crossbars else 0.0,
        "replication": {name: site.copies for name, site in placement.sites.items()},
        "heads": _heads(placement),
        "mask_bits": _mask_bits(chip, network),
        "layers": [_layer(placement, name) for name in placement.sites],
    }


def _heads(placement: Placement) -> dict[str, Any]:
    """The resident classifiers: one of the backbone and one per task."""
    heads = [site for site in placement.sites.values() if site.grid.layer.head]
    return {
        "instances": sum(site.residents for site in heads),
        "weights": sum(site.grid.layer.weights for site in heads),
        "logical_columns": sum(site.grid.logical_columns for site in heads),
        "crossbars": sum(site.crossbars for site in heads),
    }


def _mask_bits(chip: Chip, network: Network) -> dict[str, int]:
    """Mask bits per task of every method that has masks; heads are never masked."""
    layers = [layer for layer in network.layers.values() if not layer.head]
    bits = {name: sum(Adaption.named(name)().mask_bits(chip, layer) for layer in layers) for name in Adaption.known()}
    return {name: count for name, count in bits.items() if count}


def _layer(placement: Placement, name: str) -> dict[str, Any]:
    site = placement.sites[name]
    layer, grid = site.grid.layer, site.grid
    return {
        "layer": name,
        "kind": layer.kind,
        "rows": layer.rows,
        "columns": layer.c_out,
        "windows": layer.windows,
        "row_blocks": grid.blocks,
        "slices": grid.slices,
        "crossbars": grid.crossbars,
        "copies": site.copies,
        "first_tile": site.first_tile,
        "tiles": site.tiles * site.residents,
        "utilisation": grid.cells / (grid.crossbars * placement.chip.file.crossbar.rows * grid.cols),
    }
