"""A network's graph as a PyTorch module, node by node.

Values inside are ``(n, channels, height, width)``; a vector of ``F`` features is ``(n, F, 1, 1)`` and a
sequence of ``T`` tokens of width ``D`` is ``(n, D, T, 1)``, as in :mod:`xbarsim.network.ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as f

from xbarsim.errors import InputError
from xbarsim.network.graph import Layer, Node, build_graph, derive_layers, entries_of, find_head
from xbarsim.network.network import Network
from xbarsim.network.quantiser import Quantiser

See = Callable[[str, Tensor], Tensor]
"""Called with a crossbar layer's name and its input; returns what the layer sees."""

MOMENTUM = 0.1
"""Share of a batch in the running statistics of batch normalisation, as PyTorch's default."""

BUFFERS = ("running_mean", "running_var")
"""Roles of parameters that are followed, not trained."""


def as_is(name: str, inputs: Tensor) -> Tensor:
    """Return the input unchanged."""
    return inputs


Attrs = Mapping[str, Any]
Own = Mapping[str, Tensor]
"""Parameters of one node by role."""
Rule = Callable[[list[Tensor], Attrs, Own], Tensor]


def _heads(x: Tensor, heads: int) -> Tensor:
    """(n, D, T, 1) as (n, heads, T, D / heads), the layout of attention in PyTorch."""
    return x.reshape(len(x), heads, -1, x.shape[2]).transpose(2, 3)


def _matmul(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    left, right = (_heads(value, a["heads"]) for value in x)
    product = left @ right.transpose(2, 3) if a["transpose_b"] else left @ right
    return product.transpose(2, 3).flatten(1, 2).unsqueeze(3)


def _linear(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    tokens = x[0].squeeze(3).transpose(1, 2)
    return f.linear(tokens, p["weight"], p.get("bias")).transpose(1, 2).unsqueeze(3)


def _conv(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    window = (a[key] for key in ("stride", "padding", "dilation", "groups"))
    return f.conv2d(x[0], p["weight"], p.get("bias"), *window)


def _batch_norm(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    return f.batch_norm(x[0], p["running_mean"], p["running_var"], p["weight"], p["bias"], eps=a["eps"])


def _layer_norm(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    by_channel = x[0].movedim(1, -1)
    return f.layer_norm(by_channel, by_channel.shape[-1:], p["weight"], p["bias"], a["eps"]).movedim(-1, 1)


def _scale(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    return x[0] * p["weight"].repeat_interleave(x[0].shape[1] // len(p["weight"]))[:, None, None]


def _identity(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    more = (a["out"] or x[0].shape[1]) - x[0].shape[1]
    return f.pad(x[0], (0, 0, 0, 0, more // 2, more - more // 2)) if more else x[0]


def _flatten(x: list[Tensor], a: Attrs, p: Own) -> Tensor:
    return x[0].flatten(2).unsqueeze(3) if a["tokens"] else x[0].flatten(1)[..., None, None]


RULES: Mapping[str, Rule] = {
    "conv": _conv,
    "linear": _linear,
    "max_pool": lambda x, a, p: f.max_pool2d(x[0], a["kernel"], a["stride"], a["padding"], a["dilation"]),
    "avg_pool": lambda x, a, p: f.avg_pool2d(x[0], a["kernel"], a["stride"], a["padding"]),
    "global_avg_pool": lambda x, a, p: f.adaptive_avg_pool2d(x[0], 1),
    "add": lambda x, a, p: sum(x[1:], x[0]),
    "mul": lambda x, a, p: reduce(torch.mul, x),
    "concat": lambda x, a, p: torch.cat(x, 1),
    "relu": lambda x, a, p: f.relu(x[0]),
    "relu6": lambda x, a, p: f.relu6(x[0]),
    "gelu": lambda x, a, p: f.gelu(x[0]),
    "sigmoid": lambda x, a, p: torch.sigmoid(x[0]),
    "tanh": lambda x, a, p: torch.tanh(x[0]),
    "hard_swish": lambda x, a, p: f.hardswish(x[0]),
    "softmax": lambda x, a, p: f.softmax(x[0].reshape(len(x[0]), a["heads"], -1, *x[0].shape[2:]), 2).flatten(1, 2),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "scale": _scale,
    "upsample": lambda x, a, p: f.interpolate(x[0], a["size"], mode="bilinear", align_corners=False),
    "matmul": _matmul,
    "flatten": _flatten,
    "identity": _identity,
}
"""What every operation of :data:`xbarsim.network.ops.OPS` computes in PyTorch; normalisation with its statistics."""


class Backbone(nn.Module):
    """A network's graph; the keys of ``state_dict()`` are those of the network's state dict.

    Parameters hang in a tree of plain modules named like the nodes (``layer1.0.conv1`` is three deep), so that
    ``torch.nn.utils.parametrize`` and ``named_parameters`` work as on a module written by hand.
    """

    weight_bits: int | None
    """Width of the network's weights; nothing where that is the chip's business."""
    input_bits: int | None
    """Width of the network's inputs; nothing where that is the chip's business."""
    quantisers: Mapping[str, Quantiser]
    """Of the network's crossbar layers, where it brings them."""

    def __init__(self, nodes: Sequence[Node], state: Mapping[str, NDArray[Any] | Tensor]) -> None:
        """Take a graph and every parameter by state-dict name; a head may have any number of classes.

        Raises :class:`InputError` that names every parameter that is missing.
        """
        super().__init__()
        missing = [name for name in parameter_names(nodes) if name not in state]
        if missing:
            raise InputError(f"the state has no {', '.join(missing)}")
        head = find_head(nodes)
        if head is not None:
            nodes = with_classes(nodes, len(state[f"{head}.weight"]))
        self.nodes: tuple[Node, ...] = tuple(nodes)
        self.layers: Mapping[str, Layer] = derive_layers(nodes)
        self.weight_bits: int | None = None
        self.input_bits: int | None = None
        self.quantisers: Mapping[str, Quantiser] = {}
        self._parts: dict[str, nn.Module] = {}
        for node in nodes:
            if node.parameters:
                part = self._parts[node.name] = _part(self, node.name)
                for role in node.parameters:
                    _hang(part, role, state[f"{node.name}.{role}"])

    @classmethod
    def of(cls, network: Network, task: str | None = None, method: str | None = None) -> Backbone:
        """Return a network as one task runs it with one method: effective weights, normalisation and head.

        Without a task the backbone. Masks are in the weights. Raises :class:`InputError` if the task has no
        tensors of the method, or if the network is a layer table without trained weights.
        """
        from xbarsim.learning.effective import effective  # needs the rooms of chips and methods

        found = cls(*effective(network, task, method))
        found.weight_bits, found.input_bits = network.weight_bits, network.input_bits
        if task is None and network.weight_bits is not None:
            found.quantisers = {name: network.quantiser(name) for name in network.layers}
        return found

    @property
    def head(self) -> Layer | None:
        """The classifier, or nothing if the network ends in features."""
        return next((layer for layer in self.layers.values() if layer.head), None)

    @property
    def adapted(self) -> dict[str, Layer]:
        """The crossbar layers that methods adapt: all but the head, in graph order."""
        return {name: layer for name, layer in self.layers.items() if not layer.head}

    def part(self, node: str) -> nn.Module:
        """Return the module that holds the parameters of one node."""
        return self._parts[node]

    def weight(self, layer: str) -> Tensor:
        """Return the weight of one crossbar layer."""
        return self.get(f"{layer}.weight")

    def get(self, name: str) -> Tensor:
        """Return one parameter or running statistic by state-dict name."""
        node, _, role = name.rpartition(".")
        value: Tensor = getattr(self._parts[node], role)
        return value

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of all parameters by state-dict name, in single precision."""
        return {name: self.get(name).detach().cpu().float().numpy().copy() for name in self.names()}

    def names(self) -> list[str]:
        """Return the state-dict names, in graph order."""
        return parameter_names(self.nodes)

    def forward(self, inputs: Tensor, weights: Mapping[str, Tensor] | None = None, see: See = as_is) -> Tensor:
        """Return the output of the last node.

        ``inputs``: ``(n, channels, height, width)``, or ``(n, tokens, width)``. ``weights`` by crossbar layer take
        the place of the module's own; ``see`` is applied to the input of every crossbar layer. Returns
        ``(n, features)`` for vectors, ``(n, tokens, width)`` for token sequences, else four dimensions.
        """
        values: dict[str, Tensor] = {}
        given = weights or {}
        for node in self.nodes:
            if node.op == "input":
                values[node.name] = inputs.transpose(1, 2).unsqueeze(3) if inputs.ndim == 3 else inputs
                continue
            read = [values[name] for name in node.inputs]
            if node.name in self.layers:
                read = [see(node.name, read[0])]
            values[node.name] = self._node(node, read, given)
        return _outward(values[self.nodes[-1].name], self.nodes[-1])

    def _node(self, node: Node, read: list[Tensor], given: Mapping[str, Tensor]) -> Tensor:
        """Compute one node; batch normalisation follows the mode of the module."""
        roles = node.parameters
        if not roles:
            return RULES[node.op](read, node.attrs, {})
        part = self._parts[node.name]
        own = {role: getattr(part, role) for role in roles if role != "weight" or node.name not in given}
        if node.name in given:
            own["weight"] = given[node.name]
        if node.op == "batch_norm" and self.training:
            mean, variance = own["running_mean"], own["running_var"]
            eps: Any = node.attrs["eps"]
            return f.batch_norm(read[0], mean, variance, own["weight"], own["bias"], True, MOMENTUM, eps)
        return RULES[node.op](read, node.attrs, own)


def parameter_names(nodes: Sequence[Node]) -> list[str]:
    """Return the state-dict names of a graph's parameters, in graph order."""
    return [f"{node.name}.{role}" for node in nodes for role in node.parameters]


def with_classes(nodes: Sequence[Node], classes: int) -> tuple[Node, ...]:
    """Return the graph with a head of ``classes`` outputs; a graph without a head as it is."""
    head = find_head(nodes)
    if head is None or next(node for node in nodes if node.name == head).attrs["out"] == classes:
        return tuple(nodes)
    entries = entries_of(nodes)
    return build_graph([
        replace(entry, attrs={**entry.attrs, "out": classes}) if entry.name == head else entry for entry in entries
    ])  # fmt: skip


def _part(root: nn.Module, name: str) -> nn.Module:
    """Return the module at a dotted path, made where there is none.

    Modules are hung in directly: a layer may be called like an attribute of :class:`torch.nn.Module`.
    """
    for piece in name.split("."):
        children = root._modules
        child = children.get(piece)
        if child is None:
            child = children[piece] = nn.Module()
        root = child
    return root


def _hang(part: nn.Module, role: str, value: NDArray[Any] | Tensor) -> None:
    kept = value.detach().clone() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    kept = kept if kept.is_floating_point() else kept.float()
    if role in BUFFERS:
        part.register_buffer(role, kept)
    else:
        part.register_parameter(role, nn.Parameter(kept))


def _outward(value: Tensor, node: Node) -> Tensor:
    """Bring the output into the shape that PyTorch users expect."""
    if node.shape[1:] == (1, 1):
        return value.flatten(1)
    return value.squeeze(3).transpose(1, 2) if node.shape[2] == 1 else value
