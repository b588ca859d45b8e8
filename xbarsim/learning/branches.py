"""LoRA and Rep-Net: trained branches beside a frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.adaptions.branches import Branched, insert
from xbarsim.adaptions.lora import Lora as LoraModel
from xbarsim.adaptions.repnet import Repnet as RepnetModel
from xbarsim.learning.backbone import Backbone, parameter_names
from xbarsim.learning.masks import Grid
from xbarsim.learning.methods import Method, Setting, Stage, Stored, Weights
from xbarsim.network.bundle_writer import SharedContent
from xbarsim.network.graph import Layer, Node, derive_layers, entries_of
from xbarsim.network.network import Network
from xbarsim.network.network import Store as NetworkStore
from xbarsim.network.quantiser import Quantiser


def extended(backbone: Backbone, adaption: Branched, drawn: Mapping[str, Any], zero: Sequence[str]) -> Backbone:
    """Return the backbone with the branches that ``adaption`` grows on a network that asks for ``drawn``.

    New layers start as PyTorch starts convolutions and linear layers, new normalisations at 1 and 0; parameters
    whose names end in one of ``zero`` start at 0, so that the branch adds nothing at first.
    """
    network = Network(
        name="backbone", nodes=backbone.nodes, layers=backbone.layers, weight_bits=None, input_bits=None,
        synthetic=True, mask_rows=None, source="backbone", fingerprint="", task_info={},
        store=cast(NetworkStore, None), drawn=drawn,
    )  # fmt: skip
    nodes = insert(backbone.nodes, adaption.grow(network))
    state: dict[str, Tensor] = {name: torch.from_numpy(value) for name, value in backbone.arrays().items()}
    layers, shapes = derive_layers(nodes), {node.name: node for node in nodes}
    for name in parameter_names(nodes):
        if name not in state:
            state[name] = _initial(name, shapes[name.rpartition(".")[0]], layers, zero)
    grown = Backbone(nodes, state)
    grown.weight_bits, grown.input_bits, grown.quantisers = (
        backbone.weight_bits, backbone.input_bits, backbone.quantisers,
    )  # fmt: skip
    return grown


def _initial(name: str, node: Node, layers: Mapping[str, Layer], zero: Sequence[str]) -> Tensor:
    role = name.rpartition(".")[2]
    shape = layers[node.name].weight_shape if role == "weight" and node.name in layers else (node.shape[0],)
    if any(name.endswith(end) for end in zero):
        return torch.zeros(shape)
    if len(shape) > 1:
        weight = torch.empty(shape)
        nn.init.kaiming_uniform_(weight, a=5**0.5)
        return weight
    return torch.ones(shape) if role in ("weight", "running_var") else torch.zeros(shape)


class Branches(Method):
    """The weights of branches, each layer on a grid of its own."""

    rate: float

    def __init__(self, setting: Setting, rate: float) -> None:
        super().__init__(setting)
        self.rate = rate
        net = setting.backbone
        names = [name for name in net.adapted if name not in setting.frozen]
        self.own = {name: nn.Parameter(net.weight(name).detach().clone()) for name in names}
        self.listed = nn.ParameterList(self.own.values())

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """All at once."""
        return (Stage("train", epochs),)

    def groups(self, stage: Stage) -> list[dict[str, Any]]:
        """The weights of the branches."""
        return [{"params": list(self.own.values()), "lr": self.rate}]

    def drawn(self, stage: Stage) -> Weights:
        """Branches on the grid that fits them now."""
        return dict(self.setting.frozen) | {name: self._rounded(weight) for name, weight in self.own.items()}

    def _rounded(self, weight: Tensor) -> Tensor:
        limit = 2 ** (self.setting.weight_bits - 1) - 1
        flat = weight.detach().reshape(len(weight), -1)
        scale = flat.abs().amax(1) / limit
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        zeros = torch.zeros(len(weight), dtype=torch.int32)
        rounded: Tensor = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -limit, limit)
        return rounded

    def _grids(self) -> dict[str, Grid]:
        bits = self.setting.weight_bits
        fitted = {name: Quantiser.fit(weight.detach().numpy(), bits) for name, weight in self.own.items()}
        return {name: Grid(quantiser, len(self.own[name])) for name, quantiser in fitted.items()}

    @torch.no_grad()
    def final(self, base: Mapping[str, Tensor]) -> Weights:
        """Branches exactly on their grid."""
        return dict(base) | {name: grid.snapped(self.own[name]) for name, grid in self._grids().items()}

    def stored(self) -> Stored:
        """The weights of the branches, as integers, and their quantisers."""
        grids = self._grids()
        weights: dict[str, NDArray[np.signedinteger[Any]]] = {
            name: grid.integers(self.own[name]) for name, grid in grids.items()
        }
        return Stored(weights=weights, quantisers={name: grid.quantiser for name, grid in grids.items()})

    def shared(self) -> SharedContent | None:
        """The graph with branches."""
        return SharedContent(entries=entries_of(self.setting.graph))


class Lora(Branches, name="lora"):
    """A pair of low rank beside every layer; the way up starts at 0, its scale is in its weights."""

    zero: ClassVar[tuple[str, ...]] = (".lora_b.weight",)

    def __init__(self, setting: Setting, *, rate: float = 3e-3, rank: int = 4, layers: Sequence[str] = ("*",)) -> None:
        """Take the rate, the rank, and patterns of the layers that have a pair. Ours."""
        super().__init__(setting, rate)

    @classmethod
    def grown(cls, backbone: Backbone, *, rank: int = 4, layers: Sequence[str] = ("*",), **others: Any) -> Backbone:
        """The backbone with its pairs."""
        return extended(backbone, LoraModel(), {"lora_layers": list(layers), "lora_rank": rank}, cls.zero)


class Repnet(Branches, name="repnet"):
    """A side module behind the last node of every size of feature map; its second normalisation starts at 0."""

    zero: ClassVar[tuple[str, ...]] = (".rep_norm2.weight",)

    def __init__(self, setting: Setting, *, rate: float = 3e-3, channels: int = 16, places: Sequence[str] = ()) -> None:
        """Take the rate, the width of the 5x5 convolutions, and the nodes that modules stand behind. Ours."""
        super().__init__(setting, rate)

    @classmethod
    def grown(cls, backbone: Backbone, *, channels: int = 16, places: Sequence[str] = (), **others: Any) -> Backbone:
        """The backbone with its side modules."""
        drawn = {"repnet_after": list(places), "repnet_channels": channels}
        return extended(backbone, RepnetModel(), drawn, cls.zero)
