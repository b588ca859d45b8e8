"""What the mask fit costs: columns, crossbars and reads beyond those of the dense layout."""

from __future__ import annotations

from typing import Any

from xbarsim.mapping.crossbars import lay_out
from xbarsim.mapping.placement import Placement


def fit_cost(placement: Placement, *, masked: bool) -> dict[str, Any]:
    """The ``mask_fit`` object of a run: one copy of the backbone, heads left out.

    ``masked``: the method has column masks. Repacking is charged to all methods, so that they stand on
    the same grid; mask groups are read one after another, and masks resampled, only where there are any.
    """
    fit, sites = placement.fit, placement.backbone
    dense = [lay_out(site.grid.layer, placement.chip, placement.weight_bits) for site in sites]
    columns = sum(site.grid.physical_columns for site in sites) - sum(grid.physical_columns for grid in dense)
    acts = fit.acts if masked else None
    return {
        "policy": fit.policy,
        "fits": fit.matches,
        "mask_rows": fit.mask_rows,
        "chip_rows": fit.chip_rows,
        "crossbars": sum(site.grid.crossbars for site in sites),
        "dense_crossbars": sum(grid.crossbars for grid in dense),
        "extra_cells": columns * fit.chip_rows,
        "phases": max((site.grid.reads for site in sites), default=1) if acts == "phased" else 1,
        "masks": masks_of(placement, masked=masked),
    }


def masks_of(placement: Placement, *, masked: bool) -> str:
    """Where column masks come from: ``none``, ``learned``, ``synthetic`` (of a layer table) or ``resampled``."""
    if not masked:
        return "none"
    if placement.network.synthetic:
        return "synthetic"
    return "resampled" if placement.fit.acts == "resample" else "learned"


def remarks(placement: Placement, method: str, *, masked: bool) -> list[str]:
    """What the mask fit assumes."""
    fit = placement.fit
    if not masked or fit.matches:
        return []
    said = f"mask_fit {fit.policy}: masks were learned for {fit.mask_rows} rows, the chip has {fit.chip_rows}"
    return [{
        "repack": f"{said}; every mask group has columns of its own, those of a taller group share its bit",
        "phased": f"{said}; the rows of one mask group are active at a time, its gates are set before its reads",
        "resample": f"{said}; the masks of method {method!r} are drawn from the seed with equal density per layer: "
                    "energy and latency only, nobody has learned them",
    }.get(fit.policy, said)]  # fmt: skip
