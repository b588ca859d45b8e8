"""XMA2: scores choose the crossbars or PEs that are retrained (tier 1), the columns of the others are shifted (tier 2).

Both scores are named in the publication's references; which one it uses is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.errors import InputError, did_you_mean
from xbarsim.learning.masks import ByColumn, Columns, ScaleMask, ShiftMask
from xbarsim.learning.methods import SETTLED, Masked, Setting, Stage, Stored, Weights, matrix, multipliers, shares
from xbarsim.network.graph import Layer
from xbarsim.network.masks import Geometry, Mask, unit_map

if TYPE_CHECKING:
    from xbarsim.learning.training import Run

PROBED = 0.1
"""Share of the epochs in which normalisation and head get used to the task before SNIP looks at gradients. Ours."""

SCORES = ("snip", "lamp")
UNITS = ("crossbar", "pe")


def snip(weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> Weights:
    """Return ``|weight x gradient|`` over its sum: what the loss says of a weight (Lee et al., ICLR 2019)."""
    found = {name: (weight * gradients[name]).abs() for name, weight in weights.items()}
    total = torch.stack([one.sum() for one in found.values()]).sum().clamp_min(1e-30)
    return {name: one / total for name, one in found.items()}


def lamp(weights: Mapping[str, Tensor]) -> Weights:
    """Return each weight's square over those of its layer that are no smaller (Lee et al., ICLR 2021)."""
    found = {}
    for name, weight in weights.items():
        squares = weight.double().square().flatten()
        order = squares.argsort(descending=True, stable=True)
        largest = squares[order].cumsum(0).clamp_min(1e-30)
        scores = torch.empty_like(squares)
        scores[order] = squares[order] / largest
        found[name] = scores.reshape(weight.shape).to(weight.dtype)
    return found


def unit_sums(saliency: Tensor, layer: Layer, geometry: Geometry) -> NDArray[np.float64]:
    """Return the sum of a saliency over every crossbar or PE of a layer, ``(units,)``."""
    columns = Columns(layer.weight_shape, geometry.rows or layer.rows, geometry.kernel_aligned)
    sums = columns.sum(saliency.double()).numpy()
    units = unit_map(layer, geometry)
    return np.bincount(units.reshape(-1), sums.reshape(-1), int(units.max()) + 1).astype(np.float64)


def largest(sums: Mapping[str, NDArray[np.float64]], share: float) -> dict[str, NDArray[np.uint8]]:
    """Return which units have the largest sums, over all layers together; one at least."""
    ranked = sorted(((value, name, at) for name, one in sums.items() for at, value in enumerate(one)), reverse=True)
    chosen = {name: np.zeros(len(one), np.uint8) for name, one in sums.items()}
    for _, name, at in ranked[: max(1, round(share * len(ranked)))]:
        chosen[name][at] = 1
    return chosen


class Xma2(Masked, name="xma2"):
    """Chosen units retrained on the backbone's grid; a shift or scale for every column of the others."""

    def __init__(
        self,
        setting: Setting,
        *,
        rate: float = 0.03,
        weight_rate: float = 1e-3,
        share: float = 0.15,
        score: str = "snip",
        unit: str = "crossbar",
        scale: bool = False,
    ) -> None:
        """Options, all of ours.

        ``share``: of all units, what is retrained. ``score``: what chooses them, ``snip`` or ``lamp``. ``unit``:
        ``crossbar`` or ``pe``. ``scale``: columns get a factor on a grid instead of a shift.
        """
        if score not in SCORES:
            raise InputError(f"score: no {score!r}; known: {', '.join(SCORES)}{did_you_mean(score, SCORES)}")
        if unit not in UNITS:
            raise InputError(f"unit: no {unit!r}; known: {', '.join(UNITS)}{did_you_mean(unit, UNITS)}")
        kind: type[ByColumn] = ScaleMask if scale else ShiftMask
        parts = {name: kind(weight.shape, **setting.columns()) for name, weight in setting.frozen.items()}
        super().__init__(setting, parts, rate)
        there = setting.geometry
        crossbars = 1 if unit == "crossbar" else there.crossbars
        self.geometry = Geometry(there.rows, there.kernel_aligned, there.columns, crossbars)
        self.unit, self.score, self.share, self.weight_rate = unit, score, share, weight_rate
        self.own = {name: nn.Parameter(weight.clone()) for name, weight in setting.frozen.items()}
        self.own_listed = nn.ParameterList(self.own.values())
        self._keep({name: np.zeros(int(units.max()) + 1, np.uint8) for name, units in self._unit_maps().items()})

    def _unit_maps(self) -> dict[str, NDArray[np.int64]]:
        return {name: unit_map(layer, self.geometry) for name, layer in self.setting.layers.items()}

    def _keep(self, chosen: Mapping[str, NDArray[np.uint8]]) -> None:
        """Keep what is retrained as buffers, so that checkpoints hold it."""
        for number, (name, units) in enumerate(self._unit_maps().items()):
            columns = torch.from_numpy(chosen[name][units].astype(bool))
            self.register_buffer(f"chosen_{number}", torch.from_numpy(chosen[name].copy()))
            self.register_buffer(f"columns_{number}", columns)
            self.register_buffer(f"weights_{number}", self._columns(name).spread(columns))

    def _columns(self, name: str) -> Columns:
        part = self.parts[name]
        assert isinstance(part, ByColumn)  # __init__ makes no others
        return part.columns

    def kept(self, what: str, name: str) -> Tensor:
        """Return ``chosen`` units, or the ``columns`` or ``weights`` in them, of one layer."""
        return self.get_buffer(f"{what}_{list(self.parts).index(name)}")

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """A look at the task, then both tiers together, then normalisation and head alone."""
        probe, train, settle = shares(epochs, PROBED, 1 - PROBED - SETTLED, SETTLED)
        last = Stage("train", train), Stage("settle", settle, fixed=True, rate=0.5)
        return (Stage("probe", probe, fixed=True), *last) if self.score == "snip" else last

    def enter(self, stage: Stage, run: Run) -> None:
        """Choose what is retrained before training starts."""
        if stage.name != "train":
            return
        frozen = self.setting.frozen
        saliency = snip(frozen, run.gradients(frozen)) if self.score == "snip" else lamp(frozen)
        layers = self.setting.layers
        sums = {name: unit_sums(one, layers[name], self.geometry) for name, one in saliency.items()}
        self._keep(largest(sums, self.share))

    def groups(self, stage: Stage) -> list[dict[str, Any]]:
        """Scores and weights learn at different rates."""
        scores = super().groups(stage)
        return scores and [*scores, {"params": list(self.own.values()), "lr": self.weight_rate}]

    def drawn(self, stage: Stage) -> Weights:
        """Shifted columns, and retrained weights on their grid in chosen units."""
        shifted = super().drawn(stage)
        return {
            name: torch.where(self.kept("weights", name), self.setting.grids[name](self.own[name]), weight)
            for name, weight in shifted.items()
        }

    @torch.no_grad()
    def final(self, base: Mapping[str, Tensor]) -> Weights:
        """The same after training."""
        return {
            name: self._merged(name, base[name] * multipliers(part.mask(), self.setting.layers[name]))
            for name, part in self.parts.items()
        }

    def _merged(self, name: str, elsewhere: Tensor) -> Tensor:
        own = self.setting.grids[name].snapped(self.own[name])
        return torch.where(self.kept("weights", name), own, elsewhere)

    def on(self) -> dict[str, Tensor] | None:
        """Retrained columns are on."""
        found = {}
        for name, part in self.parts.items():
            if isinstance(part, ByColumn):
                chances = part.probabilities()
                found[name] = torch.where(self.kept("columns", name), torch.ones_like(chances), chances)
        return found

    def stored(self) -> Stored:
        """Tier 2 for all layers; units and weights of those in which any are chosen."""
        there, chosen = self.geometry, {name: self.kept("chosen", name).numpy() for name in self.parts}
        units = {
            name: Mask(
                "binary", self.unit, one.copy(), there.rows, kernel_aligned=there.kernel_aligned,
                columns=there.columns, crossbars=there.crossbars,
            )
            for name, one in chosen.items() if one.any()
        }  # fmt: skip
        held = self.integers() or {}
        frozen = self.setting.frozen
        weights = {name: held[name].reshape(frozen[name].shape) for name in units}
        return Stored({name: part.mask() for name, part in self.parts.items()}, units, weights)

    @torch.no_grad()
    def integers(self) -> dict[str, NDArray[np.signedinteger[Any]]] | None:
        """Retrained weights in chosen units, the backbone's elsewhere."""
        frozen, grids = self.setting.frozen, self.setting.grids
        return {name: matrix(grids[name].integers(self._merged(name, frozen[name]))) for name in self.parts}
