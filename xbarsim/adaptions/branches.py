"""What methods with branches beside a frozen backbone have in common.

A bundle brings the graph with the branches (``graphs/METHOD.json``); for a layer table the method grows
them itself. Crossbar layers of branches have the copies of the backbone's layer before them, so that
the backbone is laid out as without branches. Where a branch is not trained, its crossbars hold zeros.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np

from xbarsim.adaptions.base import Adaption, Integers
from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network import Entry, Layer, Network, Node, Task, build_graph
from xbarsim.network.quantiser import integer_type

SIGNED = "values between the two layers of a branch are signed; they are counted as inputs of input_bits bits"
"""Inputs of crossbars are unsigned elsewhere."""

Branch = Sequence[Entry]
"""Nodes to be inserted; the last one takes the place of the node that they stand behind."""


class Branched(Adaption):
    """A method whose tasks run further layers."""

    def extend(self, network: Network) -> Network:
        """The network with the bundle's branches, or with those that the method grows on a layer table."""
        if network.base is not None:
            return network
        nodes = network.store.graph(self.name)
        if nodes is None and network.synthetic:
            nodes = insert(network.nodes, self.grow(network))
        return network if nodes is None else network.extended(nodes)

    @abstractmethod
    def grow(self, network: Network) -> Mapping[str, Branch]:
        """The branches of a layer table, by the node that they stand behind."""

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The frozen backbone; in branches the task's weights, before any task zeros."""
        if not network.branch(layer):
            return network.integers(layer, bits)
        own = task.weights(self.name, layer, bits) if task else None
        shape = network.layers[layer].c_out, network.layers[layer].rows
        return np.zeros(shape, integer_type(bits)) if own is None else own

    def touched(self, chip: Chip, network: Network, old: Task | None, new: Task | None, layer: str) -> int:
        """All weights of a branch that is rewritten."""
        return network.layers[layer].weights if self.rewritten(network, new or old, layer) else 0

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Branches that the task has weights of."""
        return task is not None and network.branch(layer) and f"weights/{layer}" in task.tensors(self.name)

    def weight_bits(self, chip: Chip, layer: Layer, bits: int, task: Task | None = None) -> int:
        """Weights of branches that are the task's own."""
        return layer.weights * bits if task and self.rewritten(task.network, task, layer.name) else 0


def insert(nodes: Sequence[Node], branches: Mapping[str, Branch]) -> tuple[Node, ...]:
    """Return the graph with branches behind some of its nodes; whoever read such a node reads the branch's end."""
    entries: list[Entry] = []
    renamed: dict[str, str] = {}
    for node in nodes:
        entry = Entry(node.name, node.op, tuple(renamed.get(name, name) for name in node.inputs), node.written)
        entries.append(entry)
        branch = branches.get(node.name, ())
        entries += [replace(one, inputs=tuple(renamed.get(name, name) for name in one.inputs)) for one in branch]
        if branch:
            renamed[node.name] = branch[-1].name
    return build_graph(entries)


def beside(network: Network, pair: Callable[[Layer, str], Branch]) -> dict[str, Branch]:
    """Branches beside the layers of ``synthetic.lora_layers``; ``pair`` makes one from a layer and its input."""
    patterns = network.drawn["lora_layers"]
    layers = [layer for layer in network.layers.values() if not layer.head and layer.groups == 1]
    for pattern in patterns:
        if not any(fnmatchcase(layer.name, pattern) for layer in layers):
            hint = did_you_mean(pattern, [layer.name for layer in layers])
            message = f"no layer {pattern!r} that branches can stand beside (no head, no groups){hint}"
            raise InputError(Fault(network.source, message, "synthetic.lora_layers"))
    sources = {node.name: node.inputs[0] for node in network.nodes if node.inputs}
    chosen = [layer for layer in layers if any(fnmatchcase(layer.name, pattern) for pattern in patterns)]
    return {layer.name: pair(layer, sources[layer.name]) for layer in chosen}


def down(layer: Layer, name: str, source: str, channels: int) -> Entry:
    """A layer that sees the windows of ``layer`` and gives ``channels`` channels."""
    if layer.kind == "linear":
        return Entry(name, "linear", (source,), {"out": channels, "bias": False})
    window = {key: getattr(layer, key) for key in ("kernel", "stride", "padding", "dilation")}
    return Entry(name, "conv", (source,), {"out": channels, **window})


def up(layer: Layer, name: str, source: str) -> Entry:
    """A layer that turns these channels into as many as ``layer`` gives, pixel by pixel."""
    if layer.kind == "linear":
        return Entry(name, "linear", (source,), {"out": layer.c_out, "bias": False})
    return Entry(name, "conv", (source,), {"out": layer.c_out, "kernel": 1})
