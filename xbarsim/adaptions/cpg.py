"""CPG: compacting, picking and growing; tasks own weights and pick from those of older owners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbarsim.adaptions.base import Need
from xbarsim.adaptions.packnet import Packnet
from xbarsim.network import Coding, Network, Task


class Cpg(Packnet, name="cpg"):
    """As PackNet, but each task picks the older weights that it uses.

    Where training had to grow the network, the bundle's layers are the grown ones.
    """

    stores = "1 bit per weight (picked or not); once: an owner per weight, log2(tasks + 1) bits"
    source = "Hung et al., NeurIPS 2019, arXiv 1910.06562"
    needs = (Need("masks", Coding("pick", "element")), Need("owners", Coding("owner", "element")))

    def used(self, network: Network, task: Task | None, layer: str) -> NDArray[np.bool_] | None:
        """Weights that the task owns, and older ones that it has picked."""
        owners = network.owners(self.name, layer)
        if owners is None:
            return None
        picks = task.mask(self.name, layer) if task else None
        own = np.asarray(owners.values == (task.number if task else 0))
        return own if picks is None else own | picks.on
