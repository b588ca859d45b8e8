"""A network as one task runs it, in floats: weights with masks in them, normalisation and head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions import Adaption
from xbarsim.analog.model import build
from xbarsim.chip import Chip, load_chip
from xbarsim.errors import InputError
from xbarsim.network import Network, Node
from xbarsim.network.masks import UNITS, Geometry

BASE = "xbm_72"
"""A chip with all that any method needs but the crossbars that its masks were learned for."""


def effective(
    network: Network, task: str | None = None, method: str | None = None
) -> tuple[tuple[Node, ...], dict[str, NDArray[np.float32]]]:
    """Return the graph, with the method's branches, and every parameter by state-dict name.

    Raises :class:`InputError` for a layer table, whose weights nobody has trained.
    """
    if network.synthetic:
        raise InputError(f"{network.source}: is a layer table: it has no trained weights")
    if (task is None) != (method is None):
        raise InputError(f"{network.source}: name both a task and a method, or neither")
    model = build(_chip(network, task, method), network, method or "finetune", task, rounded=False)
    state = {name: np.asarray(value, np.float32) for name, value in model.state.items()}
    for name, held in model.held.items():
        scale = np.broadcast_to(np.asarray(held.scale, np.float64).reshape(-1, 1), (held.layer.c_out, 1))
        weights = held.effective.astype(np.float64) * scale
        state[f"{name}.weight"] = weights.astype(np.float32).reshape(held.layer.weight_shape)
    return model.nodes, state


def _chip(network: Network, task: str | None, method: str | None) -> Chip:
    """Return a chip with the crossbars that the task's masks were learned for."""
    if task is None or method is None:
        return load_chip(BASE)
    there = _learned_for(network, task, method)
    settings: list[str] = ["scaler.energy_pj=0"]
    if there.rows is not None:
        settings += [f"crossbar.rows={there.rows}", f"mapping.kernel_aligned={str(there.kernel_aligned).lower()}"]
    if there.columns is not None:
        settings += ["crossbar.slices=arrays", f"crossbar.cols={there.columns}", f"pe.crossbars={there.crossbars}"]
    return load_chip(BASE, settings)


def _learned_for(network: Network, task: str, method: str) -> Geometry:
    """Return the crossbars that the masks of a task were learned for."""
    own = network.task(task)
    own.needs(method)
    found: list[Any] = []
    for name in Adaption.named(method)().extend(network).layers:
        if name in network.layers and not network.layers[name].head:
            found += [own.mask(method, name), own.units(method, name), network.owners(method, name)]
    masks = [mask for mask in found if mask is not None and mask.rows is not None]
    units = [mask for mask in masks if mask.granularity in UNITS]
    return (units or masks)[0].geometry if masks else Geometry()
