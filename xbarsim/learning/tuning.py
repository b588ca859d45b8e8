"""Fine-tuning: the weights of all layers, or of some, on the backbone's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.errors import InputError, did_you_mean
from xbarsim.learning.methods import Method, Setting, Stage, Stored, Weights, matrix


class Trained(Method):
    """Weights of some layers, on the backbone's grid."""

    settling_rate = 1e-2

    def __init__(self, setting: Setting, layers: Sequence[str], rate: float) -> None:
        super().__init__(setting)
        self.rate = rate
        self.own = {name: nn.Parameter(setting.frozen[name].clone()) for name in layers}
        self.listed = nn.ParameterList(self.own.values())

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """All at once."""
        return (Stage("train", epochs),)

    def groups(self, stage: Stage) -> list[dict[str, Any]]:
        """The weights."""
        return [{"params": list(self.own.values()), "lr": self.rate}] if self.own else []

    def drawn(self, stage: Stage) -> Weights:
        """Retrained layers on their grid, the backbone elsewhere."""
        own = {name: self.setting.grids[name](weight) for name, weight in self.own.items()}
        return dict(self.setting.frozen) | own

    @torch.no_grad()
    def final(self, base: Mapping[str, Tensor]) -> Weights:
        """The same, exactly on the grid."""
        own = {name: self.setting.grids[name].snapped(weight) for name, weight in self.own.items()}
        return dict(base) | own

    def stored(self) -> Stored:
        """The weights as integers."""
        return Stored(weights={name: self.setting.grids[name].integers(weight) for name, weight in self.own.items()})

    def integers(self) -> dict[str, NDArray[np.signedinteger[Any]]] | None:
        """The retrained layers."""
        return {name: matrix(self.setting.grids[name].integers(weight)) for name, weight in self.own.items()}


class Finetune(Trained, name="finetune"):
    """All weights."""

    def __init__(self, setting: Setting, *, rate: float = 1e-3) -> None:
        """Take the rate of the weights. Ours."""
        super().__init__(setting, list(setting.frozen), rate)

    def stored(self) -> Stored:
        """The weights as floats, as checkpoints have them; they are on the grid."""
        return Stored(weights={name: weight.numpy() for name, weight in self.final({}).items()})


class FinetunePartial(Trained, name="finetune-partial"):
    """The weights of named layers, by default of the last one before the head."""

    def __init__(self, setting: Setting, *, rate: float = 1e-3, layers: Sequence[str] | None = None) -> None:
        """Take the rate of the weights and the names of the layers. Ours."""
        chosen = list(setting.frozen)[-1:] if layers is None else list(layers)
        for name in chosen:
            if name not in setting.frozen:
                raise InputError(f"no layer {name!r} to retrain{did_you_mean(name, setting.frozen)}")
        super().__init__(setting, chosen, rate)
