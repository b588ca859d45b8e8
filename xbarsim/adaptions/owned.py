"""What the installation writes for whom, of methods whose columns or weights have owners and stay resident."""

from __future__ import annotations

import numpy as np

from xbarsim.adaptions.base import Adaption, geometry
from xbarsim.adaptions.change import BACKBONE, contents_of
from xbarsim.kernels.rewriting import programmed
from xbarsim.mapping import Placement


def cells_by_owner(adaption: Adaption, placement: Placement) -> dict[str, int]:
    """Cells of all copies that are programmed once for the backbone and for each task, unit columns and heads apart.

    Empty for methods that rewrite cells at a switch, or that know no owners.
    """
    network, chip, bits = placement.network, placement.mask_chip, placement.weight_bits
    names = [BACKBONE, *network.task_info]
    counts = np.zeros(len(names), np.int64)
    tasks = [task for task in network.tasks.values() if adaption.name in task.methods]
    for site in placement.backbone:
        there = geometry(chip)
        owners = network.owners(adaption.name, site.name, there.rows, there.kernel_aligned) if tasks else None
        if owners is None or any(adaption.rewritten(network, task, site.name) for task in tasks):
            return {}
        held, own = contents_of(adaption, placement, site, None), np.zeros(len(names), np.int64)
        differential = placement.chip.file.crossbar.encoding == "differential"
        programmed(
            held.weights, owners.expand(site.grid.layer), held.flips, site.grid.row_block, site.grid.slices, bits,
            placement.chip.file.crossbar.cell_bits, differential, own,
        )  # fmt: skip
        counts += own * site.copies
    return dict(zip(names, counts.tolist(), strict=True))
