"""Wear, counted per cell over the whole scenario, installation included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xbarsim.adaptions import Adaption, Change
from xbarsim.adaptions.change import block_height, contents_of
from xbarsim.dataflow import Dataflow, Moment
from xbarsim.dataflow.plan import task_of
from xbarsim.kernels.cells import worn_most
from xbarsim.mapping import Placement, Site


@dataclass(frozen=True)
class Wear:
    """Writes and pulses per cell; cells of all copies, resident heads and unit columns."""

    cells: int
    writes_max: int
    writes_mean: float
    pulses_max: int
    pulses_mean: float


def wear_of(placement: Placement, adaption: Adaption, dataflow: Dataflow, installed: Change) -> Wear:
    """Count the wear of installation and of every switch of the scenario."""
    pulses = placement.chip.file.device.write_pulses(placement.chip.cell_levels)
    changes = [installed] + [moment.change for moment in dataflow.moments if moment]
    writes = sum(change.cells_written for change in changes)
    trains = sum(change.pulses(pulses) for change in changes)
    most = np.zeros(2, np.int64)
    for change in installed.layers:
        for old, new in zip(*np.nonzero(change.histogram), strict=True):
            most = np.maximum(most, [1, pulses[old, new]])
    for site in placement.backbone:
        moves = _moves(dataflow.moments, site)
        if moves:
            _worst(placement, adaption, site, moves, pulses, most)
    cells = sum(
        change.site.copies * (change.site.grid.cells + _unit_cells(placement, change.site))
        for change in installed.layers
    )
    return Wear(cells, int(most[0]), writes / cells, int(most[1]), trains / cells)


def _moves(moments: Sequence[Moment | None], site: Site) -> Counter[tuple[str, str]]:
    """How often the scenario rewrites a layer from one task to another."""
    moves: Counter[tuple[str, str]] = Counter()
    for moment in moments:
        change = moment.change.by_layer.get(site.name) if moment else None
        if moment and change and change.cells_written:
            moves[moment.change.old, moment.change.new] += 1
    return moves


def _worst(
    placement: Placement, adaption: Adaption, site: Site, moves: Counter[tuple[str, str]],
    pulses: np.ndarray, most: np.ndarray,
) -> None:  # fmt: skip
    """Raise ``most`` to the writes and pulses of the layer's most worn cell."""
    chip, crossbar = placement.chip, placement.chip.file.crossbar
    tasks = list(dict.fromkeys(["backbone", *(task for move in moves for task in move)]))
    states = [contents_of(adaption, placement, site, task_of(placement, task)) for task in tasks]
    rows = [(-1, 0, 1)] + [(tasks.index(old), tasks.index(new), times) for (old, new), times in moves.items()]
    worn_most(
        np.stack([state.weights for state in states]), np.stack([state.flips for state in states]),
        block_height(site.grid.layer, chip), np.array(rows, np.int64), site.grid.slices, placement.weight_bits,
        crossbar.cell_bits, crossbar.encoding == "differential", pulses, most,
    )  # fmt: skip


def _unit_cells(placement: Placement, site: Site) -> int:
    """Cells of one copy's unit columns, used rows only."""
    if not placement.chip.has_unit_column:
        return 0
    return int((site.grid.rows * site.grid.strip_crossbars).sum())
