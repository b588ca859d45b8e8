"""How a network sits on a chip: need against have, never a refusal."""

from __future__ import annotations

from typing import Any

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.mapping import Placement, lay_out, place
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
        "mask_bits": _mask_bits(placement.stored_chip, network),
        "branches": _branches(placement),
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
    """Mask bits per task of every method that has masks, of the first task that has any; heads are never masked."""
    bits = {}
    for name in Adaption.known():
        adaption = Adaption.named(name)()
        grown = adaption.extend(network)
        task = next((task for task in grown.tasks.values() if name in task.methods), None)
        layers = [layer for layer in grown.layers.values() if not layer.head]
        bits[name] = sum(adaption.mask_bits(chip, layer, task) for layer in layers)
    return {name: count for name, count in bits.items() if count}


def _branches(placement: Placement) -> dict[str, dict[str, int]]:
    """What every method with branches adds beside one copy of the backbone."""
    found = {}
    for name in Adaption.known():
        grown = Adaption.named(name)().extend(placement.network)
        layers = [layer for layer in grown.layers.values() if grown.branch(layer.name)]
        if layers:
            grids = [lay_out(layer, placement.chip, placement.weight_bits) for layer in layers]
            found[name] = {
                "layers": len(layers),
                "weights": sum(layer.weights for layer in layers),
                "crossbars": sum(grid.crossbars for grid in grids),
            }
    return found


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
