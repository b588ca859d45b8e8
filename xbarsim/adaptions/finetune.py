"""Fine-tuning: every task has weights of its own, of all layers or of some."""

from __future__ import annotations

from xbarsim.adaptions.base import Adaption, Integers, Need
from xbarsim.chip import Chip
from xbarsim.network import Layer, Network, Task


class Finetune(Adaption, name="finetune"):
    """All weights are retrained and rewritten at a switch."""

    granularity = "weight"
    rewrites = "all cells whose level differs"
    stores = "all weights"
    source = "general practice"
    needs = (Need("weights"),)

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The task's own weights where it has any."""
        own = task.weights(self.name, layer, bits) if task else None
        return network.integers(layer, bits) if own is None else own

    def touched(self, chip: Chip, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """Every weight of a layer that either task has retrained."""
        either = any(self.rewritten(network, task, layer) for task in (old, new))
        return network.layers[layer].weights if either else 0

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Layers that the task has weights of."""
        return task is not None and f"weights/{layer}" in task.tensors(self.name)

    def weight_bits(self, chip: Chip, layer: Layer, bits: int, task: Task | None = None) -> int:
        """The layer's weights at their width, if the task has any."""
        own = task is None or self.rewritten(task.network, task, layer.name)
        return layer.weights * bits if own else 0
