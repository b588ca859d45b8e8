"""Find a network by name or path and read it, whichever kind of file it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xbarsim.config import find
from xbarsim.errors import Fault, InputError
from xbarsim.network.bundle import read_bundle
from xbarsim.network.layer_table import read_layer_table
from xbarsim.network.network import Network


def load_network(name_or_path: str | Path, *, seed: int = 0) -> Network:
    """Return a bundle ``NAME.xmn`` or a layer table ``NAME.yaml``, by name in workloads/ or by path.

    ``seed`` draws the weights and tasks of layer tables; bundles have their own, and only masks that are
    resampled for other crossbars are drawn. Raises
    :class:`InputError` with every fault of the file.
    """
    if not 0 <= seed < 2**64:
        raise InputError(Fault("seed", f"{seed} is not between 0 and 2^64 - 1"))
    path = find("workloads", str(name_or_path))
    network = read_bundle(path) if path.is_dir() else read_layer_table(path, seed=seed)
    return replace(network, seed=seed)
