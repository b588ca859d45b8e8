"""A bundle's weights before they were rounded to integers, for the float path of the executor.

Adaption methods speak of integer weights. So that one and the same method also says what a float network
holds, :func:`unrounded` gives it the quotients weight / scale instead, with all their digits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.network.bundle import BundleStore
from xbarsim.network.graph import Layer
from xbarsim.network.network import Network
from xbarsim.network.quantiser import Quantiser


@dataclass(frozen=True, eq=False)
class Unrounded(Quantiser):
    """A quantiser that divides by the scale and leaves it at that."""

    def held(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return stored weights in steps of the quantiser, ``(c_out, rows)``; integers are kept."""
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        return flat if weights.dtype.kind == "i" else flat / self.scale.astype(np.float64).reshape(-1, 1)


@dataclass(frozen=True)
class UnroundedStore(BundleStore):
    """A bundle whose weights are not rounded."""

    def quantiser(self, layer: Layer, bits: int, task: str, method: str) -> Quantiser:
        """The same scale, without rounding."""
        known = super().quantiser(layer, bits, task, method)
        return Unrounded(known.bits, known.scale)


def unrounded(network: Network) -> Network:
    """Return the network with float weights in steps of their quantisers; drawn weights stay as they are."""
    base = unrounded(network.base) if network.base else None
    store = network.store
    if isinstance(store, BundleStore):
        store = UnroundedStore(**{field.name: getattr(store, field.name) for field in fields(BundleStore)})
    return replace(network, store=store, base=base)
