"""The adaption methods of ``make_digits.py`` that learn every task for itself, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from digits_net import BITS, COLUMNS, CONVS, LAYERS, ROWS, expanded, fit, on_grid, snapped, spread_columns, steps
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.network.masks import OFF, Geometry, Mask, unit_map
from xbarsim.network.quantiser import Quantiser

KEEP = 0.6
"""Mean probability of a column to be on that XBM's penalty pulls towards."""
PULL = 2.0
"""Weight of that penalty."""
THRESHOLD = 5e-3
"""Piggyback keeps weights whose score is above."""
LEVELS = (-1, 0, 1)
"""Exponents of XMA's 2 bits."""
SOFT_BITS, SOFT_STEP = 8, 2.0**-6
"""Bits and grid of KSM's values: -2 to 2."""
REWRITTEN = 0.15
"""Share of crossbars that XMA2 rewrites."""
RETRAINED = ("conv4",)
"""Layers of partial fine-tuning."""


@dataclass
class Method:
    """How one method makes the weights of a training step from the frozen backbone."""

    backbone: Mapping[str, Tensor]
    scores: dict[str, nn.Parameter] = field(default_factory=dict)
    rate: float = 0.0
    """Learning rate of the scores."""

    def groups(self) -> list[dict[str, Any]]:
        """Return what is learned, with its rate, as the optimiser reads it."""
        return [{"params": list(self.scores.values()), "lr": self.rate}]

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the weights of one training step."""
        raise NotImplementedError

    def masks(self) -> dict[str, Mask]:
        """Return the masks as they are stored."""
        return {}

    def units(self) -> dict[str, Mask]:
        """Return the masks of rewritten crossbars."""
        return {}

    def penalty(self) -> Tensor:
        """Return what is added to the loss."""
        return torch.zeros(())

    def final(self) -> dict[str, Tensor]:
        """Return the weights as they are used after training."""
        masks = self.masks()
        return {name: self.backbone[name] * expanded(name, masks[name]) for name in CONVS}

    def held(self) -> dict[str, Tensor]:
        """Return the weights that the crossbars stand for: on their grid, masks applied."""
        return self.final()

    def own(self) -> dict[str, NDArray[Any]]:
        """Return the weights that the task has to itself, as they are stored."""
        return {}

    def quantisers(self) -> dict[str, Quantiser]:
        """Return the quantisers of these weights, where they are not the backbone's."""
        return {}


class Xbm(Method):
    """Column masks: Gumbel-Sigmoid at temperature 1, hard forward, soft backward."""

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        shapes = {name: (LAYERS[name].blocks(ROWS), LAYERS[name].c_out) for name in CONVS}
        scores = {name: nn.Parameter(torch.full(shape, 1.0)) for name, shape in shapes.items()}
        super().__init__(backbone, scores, rate=0.05)

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the backbone under masks drawn with logistic noise."""
        return {name: self.backbone[name] * spread_columns(name, self.drawn(name, random)) for name in CONVS}

    def drawn(self, name: str, random: torch.Generator) -> Tensor:
        """Return the columns of one layer as on or off."""
        scores = self.scores[name]
        uniform = torch.rand(scores.shape, generator=random).clamp(1e-6, 1 - 1e-6)
        soft = torch.sigmoid(scores + torch.log(uniform / (1 - uniform)))
        return (soft > 0.5).float() + soft - soft.detach()  # straight-through

    def penalty(self) -> Tensor:
        """Pull the mean probability of being on towards :data:`KEEP`."""
        shares = torch.cat([torch.sigmoid(scores).flatten() for scores in self.scores.values()])
        return PULL * (shares.mean() - KEEP).abs()

    def masks(self) -> dict[str, Mask]:
        """Columns whose score is above zero are on."""
        values = {name: (scores > 0).to(torch.uint8).numpy() for name, scores in self.scores.items()}
        return {name: Mask("binary", "column", value, ROWS) for name, value in values.items()}


class Xma(Method):
    """Column shifts: a factor per column, the nearest of 0, 1/2, 1 and 2 forward, straight-through backward."""

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        shapes = {name: (LAYERS[name].blocks(ROWS), LAYERS[name].c_out) for name in CONVS}
        scores = {name: nn.Parameter(torch.ones(shape)) for name, shape in shapes.items()}
        super().__init__(backbone, scores, rate=0.03)
        self.factors = torch.tensor([0.0, *(2.0**level for level in LEVELS)])

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the backbone with its columns shifted."""
        return {name: self.backbone[name] * spread_columns(name, self.shifted(name)) for name in CONVS}

    def nearest(self, name: str) -> Tensor:
        """Return the number of the nearest factor of every column."""
        return (self.scores[name].detach()[..., None] - self.factors).abs().argmin(dim=-1)

    def shifted(self, name: str) -> Tensor:
        """Return the factor of every column."""
        return self.factors[self.nearest(name)] + (self.scores[name] - self.scores[name].detach())

    def masks(self) -> dict[str, Mask]:
        """Exponents, or off."""
        exponents = np.array([OFF, *LEVELS], np.int8)
        values = {name: exponents[self.nearest(name).numpy()] for name in CONVS}
        return {name: Mask("shift", "column", value, ROWS, bits=2, levels=LEVELS) for name, value in values.items()}

    def final(self) -> dict[str, Tensor]:
        """Return the backbone with its columns shifted."""
        return {name: self.backbone[name] * spread_columns(name, self.factors[self.nearest(name)]) for name in CONVS}


class Xma2(Xma):
    """Chosen crossbars retrained on the backbone's grid, XMA's shifts in the columns of the others."""

    def __init__(self, backbone: Mapping[str, Tensor], chosen: Mapping[str, NDArray[np.uint8]]) -> None:
        super().__init__(backbone)
        self.chosen = {
            name: Mask("binary", "crossbar", chosen[name], ROWS, columns=COLUMNS, crossbars=1) for name in CONVS
        }
        self.rewritten = {name: expanded(name, mask).bool() for name, mask in self.chosen.items()}
        self.weights = {name: nn.Parameter(backbone[name].detach().clone()) for name in CONVS}
        self.steps = {name: steps(weight) for name, weight in backbone.items()}

    def groups(self) -> list[dict[str, Any]]:
        """Shifts and weights learn at different rates."""
        return [*super().groups(), {"params": list(self.weights.values()), "lr": 1e-3}]

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return shifted columns, and retrained weights in the chosen crossbars."""
        shifted = super().training(random)
        return {name: self._merged(name, shifted[name]) for name in CONVS}

    def _merged(self, name: str, shifted: Tensor) -> Tensor:
        return torch.where(self.rewritten[name], on_grid(self.weights[name], self.steps[name]), shifted)

    @torch.no_grad()
    def final(self) -> dict[str, Tensor]:
        """Return the same after training."""
        return {name: self._merged(name, shifted) for name, shifted in super().final().items()}

    def units(self) -> dict[str, Mask]:
        """The chosen crossbars, in layers that have any."""
        return {name: mask for name, mask in self.chosen.items() if mask.values.any()}

    @torch.no_grad()
    def own(self) -> dict[str, NDArray[Any]]:
        """Integers: the task's in chosen crossbars, the backbone's elsewhere."""
        merged = {name: self._merged(name, self.backbone[name]) for name in self.units()}
        return {
            name: fit(self.backbone[name]).integers(weight.numpy()).astype(np.int8) for name, weight in merged.items()
        }


def most_sensitive(saliency: Mapping[str, Tensor]) -> dict[str, NDArray[np.uint8]]:
    """Return the crossbars with the largest sums of ``|weight * gradient|`` (SNIP), over all layers."""
    geometry = Geometry(ROWS, False, COLUMNS, 1)
    sums: list[tuple[float, str, int]] = []
    sizes: dict[str, int] = {}
    for name in CONVS:
        units = unit_map(LAYERS[name], geometry)
        sizes[name] = int(units.max()) + 1
        block = np.arange(LAYERS[name].rows) // ROWS
        per_weight = units[block].T.reshape(-1)
        totals = np.bincount(per_weight, saliency[name].reshape(-1).double().numpy(), sizes[name])
        sums += [(float(total), name, number) for number, total in enumerate(totals)]
    chosen = {name: np.zeros(size, np.uint8) for name, size in sizes.items()}
    for _, name, number in sorted(sums, reverse=True)[: round(REWRITTEN * len(sums))]:
        chosen[name][number] = 1
    return chosen


class Piggyback(Method):
    """Element masks: threshold forward, straight-through backward."""

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        scores = {name: nn.Parameter(torch.full_like(backbone[name], 1e-2)) for name in CONVS}
        super().__init__(backbone, scores, rate=3e-4)

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the backbone under the thresholded scores."""
        weights = {}
        for name, scores in self.scores.items():
            hard = self.hard(scores) + scores - scores.detach()
            weights[name] = self.backbone[name] * hard
        return weights

    def hard(self, scores: Tensor) -> Tensor:
        """Return the mask that scores stand for."""
        return (scores > THRESHOLD).float()

    def masks(self) -> dict[str, Mask]:
        """Weights whose score is above the threshold are kept."""
        values = {name: (scores > THRESHOLD).to(torch.uint8).numpy() for name, scores in self.scores.items()}
        return {name: Mask("binary", "element", value.reshape(len(value), -1)) for name, value in values.items()}


class PiggybackTernary(Piggyback):
    """Element masks with the publication's ternariser: negative scores turn the weight."""

    def hard(self, scores: Tensor) -> Tensor:
        """Return -1 below zero, 1 above the threshold, 0 between."""
        return (scores > THRESHOLD).float() - (scores < 0).float()

    def masks(self) -> dict[str, Mask]:
        """The same as integers."""
        values = {name: self.hard(scores).to(torch.int8).numpy() for name, scores in self.scores.items()}
        return {name: Mask("ternary", "element", value.reshape(len(value), -1)) for name, value in values.items()}


class Ksm(Method):
    """Kernel masks: a value per 2-D kernel on a grid of 8 bits; the product is rounded to the weights' grid.

    The publication forms the value from a binary mask and a scaling of what it switches off; here it is
    learned as one number.
    """

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        scores = {name: nn.Parameter(torch.ones(backbone[name].shape[:2])) for name in CONVS}
        super().__init__(backbone, scores, rate=0.01)
        self.steps = {name: steps(weight) for name, weight in backbone.items()}

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the rounded products."""
        weights = {}
        for name, scores in self.scores.items():
            values = self._codes(name) * SOFT_STEP + (scores - scores.detach())
            weights[name] = on_grid(self.backbone[name] * values[:, :, None, None], self.steps[name])
        return weights

    def _codes(self, name: str) -> Tensor:
        limit = 2 ** (SOFT_BITS - 1)
        return (self.scores[name].detach() / SOFT_STEP).round().clamp(-limit, limit - 1)

    def masks(self) -> dict[str, Mask]:
        """Values on their grid."""
        values = {name: self._codes(name).to(torch.int8).numpy() for name in CONVS}
        return {name: Mask("soft", "kernel", value, bits=SOFT_BITS, step=SOFT_STEP) for name, value in values.items()}

    def final(self) -> dict[str, Tensor]:
        """Return what the crossbars hold: whole products rounded half to even, clipped to the width."""
        weights = {}
        for name, weight in self.backbone.items():
            integers = torch.from_numpy(fit(weight).integers(weight.detach().numpy())).double()
            products = (integers * self._codes(name)[:, :, None, None].double() * SOFT_STEP).round()
            limit = 2 ** (BITS - 1)
            weights[name] = products.clamp(-limit, limit - 1).float() * self.steps[name]
        return weights


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

    def held(self) -> dict[str, Tensor]:
        """Return the weights on a grid of their own."""
        return {name: snapped(fit(weight), weight) for name, weight in self.final().items()}

    def own(self) -> dict[str, NDArray[Any]]:
        """All weights, as floats."""
        return {name: weight.numpy() for name, weight in self.final().items()}

    def quantisers(self) -> dict[str, Quantiser]:
        """A grid of their own."""
        return {name: fit(weight) for name, weight in self.final().items()}


class FinetunePartial(Method):
    """The weights of some layers."""

    def __init__(self, backbone: Mapping[str, Tensor]) -> None:
        scores = {name: nn.Parameter(backbone[name].detach().clone()) for name in RETRAINED}
        super().__init__(backbone, scores, rate=1e-3)

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the backbone with the retrained layers in it."""
        return dict(self.backbone) | dict(self.scores)

    def final(self) -> dict[str, Tensor]:
        """Return the same after training."""
        return {name: weight.detach() for name, weight in (dict(self.backbone) | dict(self.scores)).items()}

    def held(self) -> dict[str, Tensor]:
        """Return the same with the retrained layers on a grid of their own."""
        return self.final() | {name: snapped(fit(self.scores[name]), self.scores[name]) for name in RETRAINED}

    def own(self) -> dict[str, NDArray[Any]]:
        """The retrained layers, as integers."""
        return {
            name: q.integers(self.scores[name].detach().numpy()).astype(np.int8)
            for name, q in self.quantisers().items()
        }

    def quantisers(self) -> dict[str, Quantiser]:
        """Their grids."""
        return {name: fit(self.scores[name]) for name in RETRAINED}


class Fixed(Method):
    """Weights as they are: only normalisation and head are trained."""

    def training(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return the weights."""
        return dict(self.backbone)


METHODS: Mapping[str, Callable[[Mapping[str, Tensor]], Method]] = {
    "xbm": Xbm,
    "piggyback": Piggyback,
    "finetune": Finetune,
    "xma": Xma,
    "ksm": Ksm,
    "piggyback-ternary": PiggybackTernary,
    "finetune-partial": FinetunePartial,
}
"""Methods that need the backbone alone."""
