"""The network of ``make_digits.py``, in PyTorch, and the grid of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from xbarsim.network.graph import Entry, Layer, build_graph, derive_layers
from xbarsim.network.masks import Mask
from xbarsim.network.quantiser import Quantiser

ROWS = 72
COLUMNS = 18
"""Logical columns of a crossbar: 72 columns of 2-bit cells, four to a weight of 8 bits."""
CLASSES = 10
BITS = 8
"""Width of weights and inputs."""
CONVS = ("conv1", "conv2", "conv3", "conv4")


def graph() -> tuple[Entry, ...]:
    """Return the network's graph."""

    def conv(name: str, out: int, source: str) -> Entry:
        return Entry(name, "conv", (source,), {"out": out, "kernel": 3, "padding": 1})

    def plain(name: str, op: str, *sources: str, **attrs: object) -> Entry:
        return Entry(name, op, sources, attrs)

    return (
        Entry("input", "input", (), {"shape": (1, 8, 8)}),
        conv("conv1", 16, "input"),
        plain("bn1", "batch_norm", "conv1"),
        plain("relu1", "relu", "bn1"),
        conv("conv2", 32, "relu1"),
        plain("bn2", "batch_norm", "conv2"),
        plain("relu2", "relu", "bn2"),
        plain("pool2", "max_pool", "relu2", kernel=2),
        conv("conv3", 32, "pool2"),
        plain("bn3", "batch_norm", "conv3"),
        plain("add3", "add", "bn3", "pool2"),
        plain("relu3", "relu", "add3"),
        conv("conv4", 64, "relu3"),
        plain("bn4", "batch_norm", "conv4"),
        plain("relu4", "relu", "bn4"),
        plain("pool4", "max_pool", "relu4", kernel=2),
        plain("flatten", "flatten", "pool4"),
        plain("fc", "linear", "flatten", out=CLASSES),
    )


LAYERS: Mapping[str, Layer] = derive_layers(build_graph(graph()))


Quantise = Callable[[str, Tensor], Tensor]
"""Called with a crossbar layer's name and its input; returns what the layer sees."""


def as_is(name: str, inputs: Tensor) -> Tensor:
    """Return the input unchanged."""
    return inputs


class Digits(nn.Module):
    """The network of :func:`graph`; convolution weights can be handed in from outside."""

    def __init__(self) -> None:
        super().__init__()
        for index, name in enumerate(CONVS, 1):
            layer = LAYERS[name]
            self.add_module(name, nn.Conv2d(layer.c_in, layer.c_out, 3, padding=1, bias=False))
            self.add_module(f"bn{index}", nn.BatchNorm2d(layer.c_out))
        self.fc = nn.Linear(LAYERS["fc"].c_in, CLASSES)

    def forward(self, images: Tensor, weights: Mapping[str, Tensor], see: Quantise = as_is) -> Tensor:
        """Return logits; ``weights`` by convolution, ``see`` is applied to every crossbar input."""

        def block(index: int, inputs: Tensor) -> Tensor:
            name = f"conv{index}"
            summed = functional.conv2d(see(name, inputs), weights[name], padding=1)
            normalised: Tensor = self.get_submodule(f"bn{index}")(summed)
            return normalised

        x = functional.relu(block(1, images))
        pooled = functional.max_pool2d(functional.relu(block(2, x)), 2)
        x = functional.relu(block(3, pooled) + pooled)
        x = functional.max_pool2d(functional.relu(block(4, x)), 2)
        logits: Tensor = self.fc(see("fc", x.flatten(1)))
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Return the convolution weights by layer."""
        return {name: self.get_parameter(f"{name}.weight") for name in CONVS}


def fit(weights: Tensor) -> Quantiser:
    """Return the quantiser of a weight tensor, one scale per output channel."""
    return Quantiser.fit(weights.detach().numpy(), BITS)


def snapped(quantiser: Quantiser, weights: Tensor) -> Tensor:
    """Return the weights that the integers stand for."""
    values = weights.detach().numpy()
    return torch.from_numpy(quantiser.values(quantiser.integers(values)))


def steps(weights: Tensor) -> Tensor:
    """Return the step of every output channel, shaped to divide ``weights``."""
    return torch.from_numpy(fit(weights).scale.copy()).reshape(-1, 1, 1, 1)


def on_grid(weights: Tensor, step: Tensor) -> Tensor:
    """Return weights rounded to whole steps of their width; the gradient passes straight through."""
    limit = 2 ** (BITS - 1) - 1
    rounded = (weights.detach() / step).round().clamp(-limit, limit) * step
    return rounded + (weights - weights.detach())


def expanded(name: str, mask: Mask) -> Tensor:
    """Return one value of a mask per weight, in the shape of the state dict."""
    layer = LAYERS[name]
    return torch.from_numpy(mask.expand(layer).copy()).reshape(layer.weight_shape)


def spread_columns(name: str, values: Tensor) -> Tensor:
    """Return the values of logical columns, ``(row blocks, c_out)``, one per weight."""
    layer = LAYERS[name]
    block = torch.arange(layer.rows) // ROWS
    return values[block].T.reshape(layer.weight_shape)
