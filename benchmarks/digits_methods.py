"""The network of ``make_digits.py`` and its adaption methods, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from xbarsim.network.graph import Entry, Layer, build_graph, derive_layers
from xbarsim.network.masks import Mask

ROWS = 72
CLASSES = 10
KEEP = 0.6
"""Mean probability of a column to be on that XBM's penalty pulls towards."""
PULL = 2.0
"""Weight of that penalty."""
THRESHOLD = 5e-3
"""Piggyback keeps weights whose score is above."""
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


@dataclass
class Method:
    """How one method makes the weights of a training step from the frozen backbone."""

    backbone: Mapping[str, Tensor]
    scores: dict[str, nn.Parameter] = field(default_factory=dict)
    rate: float = 0.0
    """Learning rate of the scores."""

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the weights of one training step."""
        raise NotImplementedError

    def masks(self) -> dict[str, Mask]:
        """Return the masks as they are stored."""
        return {}

    def penalty(self) -> Tensor:
        """Return what is added to the loss."""
        return torch.zeros(())

    def final(self) -> dict[str, Tensor]:
        """Return the weights as they are used after training."""
        masks = self.masks()
        return {name: self.backbone[name] * _expanded(name, masks[name]) for name in CONVS}


def _expanded(name: str, mask: Mask) -> Tensor:
    layer = LAYERS[name]
    return torch.from_numpy(mask.expand(layer).copy()).reshape(layer.weight_shape)


class Xbm(Method):
    """Column masks: Gumbel-Sigmoid at temperature 1, hard forward, soft backward."""

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        shapes = {name: (LAYERS[name].blocks(ROWS), LAYERS[name].c_out) for name in CONVS}
        scores = {name: nn.Parameter(torch.full(shape, 1.0)) for name, shape in shapes.items()}
        super().__init__(backbone, scores, rate=0.05)

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the backbone under masks drawn with logistic noise."""
        return {name: self._masked(name, random) for name in CONVS}

    def _masked(self, name: str, random: torch.Generator) -> Tensor:
        scores, layer = self.scores[name], LAYERS[name]
        uniform = torch.rand(scores.shape, generator=random).clamp(1e-6, 1 - 1e-6)
        soft = torch.sigmoid(scores + torch.log(uniform / (1 - uniform)))
        hard = (soft > 0.5).float() + soft - soft.detach()  # straight-through
        block = torch.arange(layer.rows) // ROWS
        return self.backbone[name] * hard[block].T.reshape(layer.weight_shape)

    def penalty(self) -> Tensor:
        """Pull the mean probability of being on towards :data:`KEEP`."""
        shares = torch.cat([torch.sigmoid(scores).flatten() for scores in self.scores.values()])
        return PULL * (shares.mean() - KEEP).abs()

    def masks(self) -> dict[str, Mask]:
        """Columns whose score is above zero are on."""
        values = {name: (scores > 0).to(torch.uint8).numpy() for name, scores in self.scores.items()}
        return {name: Mask("binary", "column", value, ROWS) for name, value in values.items()}


class Piggyback(Method):
    """Element masks: threshold forward, straight-through backward."""

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        scores = {name: nn.Parameter(torch.full_like(backbone[name], 1e-2)) for name in CONVS}
        super().__init__(backbone, scores, rate=3e-4)

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the backbone under the thresholded scores."""
        weights = {}
        for name, scores in self.scores.items():
            hard = (scores > THRESHOLD).float() + scores - scores.detach()
            weights[name] = self.backbone[name] * hard
        return weights

    def masks(self) -> dict[str, Mask]:
        """Weights whose score is above the threshold are kept."""
        values = {name: (scores > THRESHOLD).to(torch.uint8).numpy() for name, scores in self.scores.items()}
        return {
            name: Mask("binary", "element", value.reshape(len(value), -1)) for name, value in values.items()
        }


class Finetune(Method):
    """All weights; the scores are the weights."""

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        scores = {name: nn.Parameter(backbone[name].detach().clone()) for name in CONVS}
        super().__init__(backbone, scores, rate=1e-3)

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the weights themselves."""
        return dict(self.scores)

    def final(self) -> dict[str, Tensor]:
        """Return the weights themselves."""
        return {name: scores.detach() for name, scores in self.scores.items()}


class Fixed(Method):
    """Weights as they are: only normalisation and head are trained."""

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the weights."""
        return dict(self.backbone)


METHODS: Mapping[str, Callable[[Mapping[str, Tensor]], Method]] = {
    "xbm": Xbm,
    "piggyback": Piggyback,
    "finetune": Finetune,
}
