"""Plans and runs with column masks of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption
from xbarsim.adaptions.xbm import Xbm
from xbarsim.chip import Chip
from xbarsim.dataflow import Dataflow, parse_scenario, plan
from xbarsim.engine import Times, execute
from xbarsim.mapping import Placement, place
from xbarsim.network import Network, Task
from xbarsim.results import Run, gather

Masks = Mapping[str, NDArray[np.uint8]]


class Gated(Xbm):
    """Column gating with masks that the test states, the same for every task."""

    def __init__(self, masks: Masks) -> None:
        self.masks = masks

    def columns(self, chip: Chip, task: Task | None, layer: str) -> Any:
        return self.masks.get(layer) if task else None


Gated.name = "xbm"  # the tasks have the tensors of xbm; they are not looked at


def ones(placement: Placement) -> dict[str, NDArray[np.uint8]]:
    """A mask of every layer that the tasks share, all columns on."""
    grids = {site.name: site.grid for site in placement.backbone}
    return {name: np.ones((grid.blocks, grid.layer.c_out), np.uint8) for name, grid in grids.items()}


def planned(placement: Placement, adaption: Adaption | str, scenario: str | None = None) -> Dataflow:
    made = Adaption.named(adaption)() if isinstance(adaption, str) else adaption
    return plan(placement, made, parse_scenario(scenario, placement.network))


def run_of(
    chip: Chip, network: Network, adaption: Adaption | str, scenario: str | None = None, engine: str = "compiled"
) -> Run:
    """A run step by step, also for methods that have no name."""
    made = Adaption.named(adaption)() if isinstance(adaption, str) else adaption
    placement = place(chip, network)
    dataflow = planned(placement, made, scenario)
    return gather(placement, made, dataflow, times_of(dataflow, engine), 0, engine, 0.0, 0.0)


def times_of(dataflow: Dataflow, engine: str = "compiled") -> Times:
    return execute(dataflow.graph, engine=engine)
