"""Fine-tuning: every task has weights of its own."""

from __future__ import annotations

from xbarsim.adaptions.base import Adaption, Integers
from xbarsim.network import Layer, Network, Task


class Finetune(Adaption, name="finetune"):
    """All weights are retrained and rewritten at a switch."""

    granularity = "weight"
    rewrites = "all cells whose level differs"
    stores = "all weights"
    source = "general practice"

    def contents(self, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The task's own weights where it has any."""
        own = task.weights(self.name, layer, bits) if task else None
        return network.integers(layer, bits) if own is None else own

    def touched(self, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Every weight of a layer that either task has retrained."""
        return network.layers[layer].weights

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Every task but the backbone."""
        return task is not None

    def weight_bits(self, layer: Layer, bits: int) -> int:
        """All weights at their width."""
        return layer.weights * bits
