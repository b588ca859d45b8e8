"""A backbone from a layer table: its weights learned on one task, then rounded to the grid of the crossbars."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from xbarsim.errors import InputError
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.data import TaskData
from xbarsim.network.graph import Layer, Node, derive_layers
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.validation import parameter_shape

BATCH = 64
RATE = 2e-3
"""Of Adam; it falls to zero along a cosine."""
SETTLING = 4
"""One epoch in so many again for normalisation and head, once the weights are rounded."""


def pretrain(
    nodes: Sequence[Node],
    data: TaskData,
    *,
    epochs: int = 60,
    seed: int = 0,
    bits: int = 8,
    progress: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Backbone:
    """Return the graph with weights learned on ``data``, those of crossbars but the head's on a ``bits``-bit grid.

    Rounding comes last, and normalisation and head settle on the rounded weights; so every method adapts
    the weights that stand in crossbars. ``progress`` is told every epoch and its mean loss. The same
    arguments give the same weights on the same machine. Raises :class:`InputError` for data of another shape.
    """
    shape = nodes[0].shape
    if tuple(data.train.shape[1:]) != shape:
        found = tuple(data.train.shape[1:])
        raise InputError(f"task {data.name!r}: samples of shape {found}, the network reads {shape}")
    random = torch.Generator().manual_seed(seed)
    net = Backbone(nodes, initial(nodes, data.classes, random))
    _fit(net, data, list(net.parameters()), epochs, random, progress)
    quantisers: dict[str, Quantiser] = {}
    with torch.no_grad():
        for name in net.adapted:
            weight = net.weight(name)
            quantisers[name] = quantiser = Quantiser.fit(weight.numpy(), bits)
            weight.copy_(torch.from_numpy(quantiser.values(quantiser.integers(weight.numpy()))))
    frozen = {f"{name}.weight" for name in net.adapted}
    rest = [parameter for name, parameter in net.named_parameters() if name not in frozen]
    _fit(net, data, rest, -(-epochs // SETTLING), random, progress)
    if net.head is not None:
        head = net.head.name
        quantisers[head] = Quantiser.fit(net.weight(head).detach().numpy(), bits)
    net.weight_bits, net.quantisers = bits, quantisers
    return net.eval()


def initial(nodes: Sequence[Node], classes: int, random: torch.Generator) -> dict[str, Tensor]:
    """Return untrained parameters by state-dict name: He's normal weights, normalisation that does nothing."""
    layers = derive_layers(nodes)
    state = {}
    for node in nodes:
        for role in node.parameters:
            shape = list(parameter_shape(node, role, layers))
            if node.name in layers and layers[node.name].head:
                shape[0] = classes
            state[f"{node.name}.{role}"] = _first(layers.get(node.name), role, shape, random)
    return state


def _first(layer: Layer | None, role: str, shape: list[int], random: torch.Generator) -> Tensor:
    if layer is None or role == "bias":
        return torch.ones(shape) if role in ("weight", "running_var") else torch.zeros(shape)
    drawn: Tensor = torch.randn(shape, generator=random) * (2.0 / layer.rows) ** 0.5
    return drawn


def _fit(
    net: Backbone,
    data: TaskData,
    parameters: Sequence[nn.Parameter],
    epochs: int,
    random: torch.Generator,
    progress: Callable[[int, float], None],
) -> None:
    """Train ``parameters``; the others keep their values, running statistics follow."""
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    inputs, labels = data.inputs("train"), data.labels("train")
    net.train()
    for epoch in range(epochs):
        losses = []
        for picked in torch.randperm(len(inputs), generator=random).split(BATCH):  # type: ignore[no-untyped-call]
            loss = f.cross_entropy(net(inputs[picked]), labels[picked])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(float(loss.detach()))
        schedule.step()
        progress(epoch, sum(losses) / len(losses))
