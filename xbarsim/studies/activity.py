"""How active the arrays really are: what a task's own data does to rows and converters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption
from xbarsim.adaptions.change import BACKBONE
from xbarsim.analog.activity import Driven, count_saturated, driven_rows
from xbarsim.analog.prepare import prepare, samples_of
from xbarsim.chip import Chip
from xbarsim.dataflow import Dataflow
from xbarsim.dataflow.driven import Shares, driven_shares
from xbarsim.errors import InputError
from xbarsim.mapping import Placement, Site
from xbarsim.network import Network, Task

ACTIVITIES = ("default", "data")
"""Where the activity of rows comes from: every row in every read, or the held-out samples of the task."""


def activity(
    chip: Chip, network: Network, method: str = "xbm", tasks: Sequence[str] | None = None, *, samples: int | None = None
) -> pd.DataFrame:
    """Return one row per task and crossbar layer: what the held-out samples do to its rows.

    ``driven``: share of row drives that take place, which is the share of input bits that are 1 with a DAC of
    1 bit; ``zero_reads``: share of the reads of a row block in which no row is driven at all; ``saturated``: share
    of the conversions beyond their converter's range. Raise :class:`InputError` if chip, network, method and tasks
    do not go together or there are no samples.
    """
    rows = []
    for name in tasks if tasks is not None else network.task_info:
        inputs = samples_of(network, network.task(name)).inputs
        prepared = prepare(chip, network, method, name, inputs)
        found = driven_rows(chip, prepared.integers, inputs[:samples])
        count_saturated(chip, prepared, inputs[:samples], found)
        for layer, driven in found.items():
            shares = {"driven": driven.share, "zero_reads": driven.zero_share, "saturated": driven.saturated_share}
            exact = {what: float(share) for what, share in shares.items()}
            rows.append({"task": name, "method": method, "layer": layer, **exact})
    return pd.DataFrame(rows)


def _driven(chip: Chip, network: Network, method: str, task: Task) -> dict[str, Driven]:
    data = samples_of(network, task)
    prepared = prepare(chip, network, method, task.name, data.inputs)
    return driven_rows(chip, prepared.integers, data.inputs)


def data_shares(placement: Placement, adaption: Adaption, dataflow: Dataflow) -> Shares:
    """Return what is left of row drives and cell reads for every task of the scenario and layer."""
    chip, network = placement.chip, placement.network
    names = list(dict.fromkeys(step.entry.task for step in dataflow.steps))
    if BACKBONE in names:
        raise InputError(f"{network.source}: activity data needs samples, and the backbone by itself has none")
    tasks = [network.task(name) for name in names]
    shares = {}
    for task in tasks:
        driven = _driven(chip, network.base or network, adaption.name, task)
        for site in placement.sites.values():
            masks = [_mask(placement, adaption, other, site) for other in tasks]
            shares[task.name, site.name] = driven_shares(
                chip,
                site.of_task(task, chip, placement.weight_bits).grid,
                masks[tasks.index(task)],
                driven[site.name].charges,
                driven[site.name].chances,
                placement.input_bits,
                phased=site.grid.reads > 1 and any(mask is not None for mask in masks),
            )
    return shares


def _mask(placement: Placement, adaption: Adaption, task: Task, site: Site) -> NDArray[np.generic] | None:
    """Columns that are on."""
    return None if site.grid.layer.head else adaption.columns(placement.mask_chip, task, site.name)
