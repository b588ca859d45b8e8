"""How each adaption method is learned: what it trains, what it makes of the frozen backbone, what it stores.

One class per method, found by the name that ``xbarsim list methods`` gives. Whatever a publication leaves open is
an option with a default of ours; :func:`xbarsim.learning.learn` takes them by name. Normalisation and a new head are
trained with every method; the weights of the convolution and linear layers before the head are what a method
adapts. They live on the integer grid of the backbone's quantisers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, isfinite
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.errors import InputError, did_you_mean
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.masks import (
    ByColumn,
    ColumnMask,
    ElementMask,
    Grid,
    KernelMask,
    Parametrisation,
    ShiftMask,
)
from xbarsim.network.bundle_writer import SharedContent
from xbarsim.network.graph import Layer, Node
from xbarsim.network.masks import OFF, Geometry, Mask
from xbarsim.network.quantiser import Quantiser

if TYPE_CHECKING:
    from xbarsim.learning.training import Run

Weights = dict[str, Tensor]
"""Effective weights by crossbar layer."""

SETTLED = 0.3
"""Share of the epochs that normalisation and head have to themselves, once masks are fixed. Ours."""


@dataclass(frozen=True)
class Stage:
    """Some epochs in which the same things are trained."""

    name: str
    epochs: int
    fixed: bool = False
    """Weights do not change: normalisation and head are trained alone."""
    rate: float = 1.0
    """Factor of all learning rates."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a method starts from."""

    backbone: Backbone
    """Frozen; with the branches of the method."""
    frozen: Mapping[str, Tensor]
    """Weights that stand in the crossbars, on their grid, by adapted layer of the backbone proper."""
    grids: Mapping[str, Grid]
    """By adapted layer of the backbone proper."""
    geometry: Geometry
    """The chip's crossbars."""
    weight_bits: int
    graph: tuple[Node, ...] = ()
    """With branches, and the backbone's own number of classes."""
    after: Any = None
    """The :class:`~xbarsim.learning.learn.LearnedTask` before, in a sequence."""

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers that are adapted, without branches."""
        return {name: self.backbone.layers[name] for name in self.frozen}

    def columns(self) -> dict[str, Any]:
        """Return what column masks are made for."""
        return {"rows": self.geometry.rows, "kernel_aligned": self.geometry.kernel_aligned}


@dataclass(frozen=True)
class Stored:
    """What a method stores for one task, beside normalisation and head."""

    masks: Mapping[str, Mask] = field(default_factory=dict)
    units: Mapping[str, Mask] = field(default_factory=dict)
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    quantisers: Mapping[str, Quantiser] = field(default_factory=dict)
    """Of ``weights``, where they are not the backbone's."""


class Method(nn.Module):
    """One method at work on one task. All that training changes is a parameter or a buffer."""

    name: ClassVar[str] = ""
    settling_rate: ClassVar[float] = 2e-2
    """Rate of normalisation, biases and head under Adam. Ours: all that adapts a frozen backbone needs a large one."""
    known: ClassVar[dict[str, type[Method]]] = {}

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            cls.name = name
            Method.known[name] = cls

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting = setting

    @classmethod
    def grown(cls, backbone: Backbone, **options: Any) -> Backbone:
        """Return the backbone with the method's branches. Default: none."""
        return backbone

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """Return how the epochs are spent. Default: masks, then normalisation and head alone."""
        train, settle = shares(epochs, 1 - SETTLED, SETTLED)
        return Stage("train", train), Stage("settle", settle, fixed=True)

    def enter(self, stage: Stage, run: Run) -> None:
        """Prepare a stage: choose what it trains. Default: nothing."""

    def anneal(self, stage: Stage, share: float) -> None:
        """Set temperatures; ``share`` of the stage is over. Default: nothing."""

    def groups(self, stage: Stage) -> list[dict[str, Any]]:
        """Return what is learned in a stage beside normalisation and head, with rates, as optimisers read it."""
        return []

    def drawn(self, stage: Stage) -> Weights:
        """Return the effective weights of one training step."""
        return self.final(self.setting.frozen)

    def penalty(self) -> Tensor | None:
        """Return what is added to the loss, or nothing."""
        return None

    def on(self) -> dict[str, Tensor] | None:
        """Return probabilities of columns to be on, ``(row blocks, c_out)``, or nothing where none is gated."""
        return None

    def final(self, base: Mapping[str, Tensor]) -> Weights:
        """Return the effective weights after training, given the backbone's (on their grid or as they are)."""
        raise NotImplementedError

    def stored(self) -> Stored:
        """Return what is stored for the task."""
        return Stored()

    def shared(self) -> SharedContent | None:
        """Return what all tasks of the method share, or nothing."""
        return None

    def owned(self) -> dict[str, NDArray[np.int64]]:
        """Return who owns what by layer, for the next task of a sequence. Default: no owners."""
        return {}

    def integers(self) -> dict[str, NDArray[np.signedinteger[Any]]] | None:
        """Return what would stand in the crossbars now, ``(c_out, rows)``; nothing where no cell is trained."""
        return None


def method_named(name: str, options: Mapping[str, Any]) -> type[Method]:
    """Return the class of a method, its options checked; raises :class:`InputError` naming the nearest."""
    if name not in Method.known:
        known = ", ".join(sorted(Method.known))
        raise InputError(f"method {name!r} cannot be learned; known: {known}{did_you_mean(name, Method.known)}")
    for key, value in options.items():
        fault = option_fault(Method.known[name], key, value)
        if fault:
            raise InputError(f"method {name!r}: {fault}")
    return Method.known[name]


SHARES, COUNTS, ABOVE = ("keep", "share"), ("rank", "channels", "tasks"), ("hot", "cold")
"""Options that are from 0 to 1, whole numbers from 1 on, and above 0; other numbers but ``start`` are at least 0."""


def option_fault(method: type[Method], name: str, value: Any) -> str | None:
    """Return what is wrong with an option, in words; nothing if nothing is. Its default says of what type it is."""
    parameters = inspect.signature(method.__init__).parameters
    known = options_of(method)
    if name not in known:
        hint = did_you_mean(name, known) or f"; known: {', '.join(known) or 'none'}"
        return f"no option {name!r}{hint}"
    default, annotation = known[name], str(parameters[name].annotation)
    if value is None:
        return None if "None" in annotation else f"option {name!r} needs a value"
    if isinstance(default, bool) != isinstance(value, bool):
        return f"option {name!r}: {value!r} is not {'true or false' if isinstance(default, bool) else 'of its kind'}"
    if isinstance(default, bool):
        return None
    if isinstance(default, int | float):
        return _number_fault(name, value)
    if isinstance(default, str) != isinstance(value, str):
        return f"option {name!r}: {value!r} is not {'text' if isinstance(default, str) else 'a list'}"
    return None


def _number_fault(name: str, value: Any) -> str | None:
    """Whether a number lies where options of its name may."""
    if not isinstance(value, int | float) or not isfinite(value):
        return f"option {name!r}: {value!r} is not a number"
    if name in COUNTS and (value != int(value) or value < 1):
        return f"option {name!r}: {value!r} is not a whole number from 1 on"
    if name in SHARES and not 0 <= value <= 1:
        return f"option {name!r}: {value!r} is not from 0 to 1"
    if name in ABOVE and value <= 0:
        return f"option {name!r}: {value!r} is not above 0"
    return f"option {name!r}: {value!r} is below 0" if name != "start" and value < 0 else None


def options_of(method: type[Method]) -> dict[str, Any]:
    """Return the options of a method with their defaults."""
    parameters = inspect.signature(method.__init__).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


def shares(epochs: int, *parts: float) -> tuple[int, ...]:
    """Split epochs in proportion, at least one each."""
    ends = [round(epochs * sum(parts[: at + 1]) / sum(parts)) for at in range(len(parts))]
    return tuple(max(1, end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True))


def matrix(integers: NDArray[Any]) -> NDArray[np.signedinteger[Any]]:
    """Return integers as crossbars hold them, ``(c_out, rows)``."""
    return integers.reshape(len(integers), -1)


class Masked(Method):
    """A parametrisation per layer."""

    rate: float

    def __init__(self, setting: Setting, modules: Mapping[str, Parametrisation], rate: float) -> None:
        super().__init__(setting)
        self.rate = rate
        self.parts = dict(modules)
        self.listed = nn.ModuleList(modules.values())

    def groups(self, stage: Stage) -> list[dict[str, Any]]:
        """The scores."""
        return [] if stage.fixed else [{"params": [part.scores for part in self.parts.values()], "lr": self.rate}]

    def drawn(self, stage: Stage) -> Weights:
        """The frozen weights under masks as they are in training."""
        return {name: part(self.setting.frozen[name]) for name, part in self.parts.items()}

    @torch.no_grad()
    def final(self, base: Mapping[str, Tensor]) -> Weights:
        """The weights under the masks that are stored."""
        masks = self.stored().masks
        return {name: base[name] * multipliers(masks[name], self.setting.layers[name]) for name in self.parts}

    def stored(self) -> Stored:
        """The masks."""
        return Stored({name: part.mask() for name, part in self.parts.items()})


def multipliers(mask: Mask, layer: Layer) -> Tensor:
    """Return what a mask multiplies every weight by, in the shape of the weight."""
    values = mask.expand(layer)
    if mask.kind == "shift":
        wide = np.where(values == OFF, 0.0, np.exp2(values.astype(np.float64)))
    else:
        wide = values * (mask.step or 1.0)
    return torch.from_numpy(np.asarray(wide, np.float32).copy()).reshape(layer.weight_shape)


class Xbm(Masked, name="xbm"):
    """Columns on or off: hard Gumbel-Sigmoid (public form; constants of the publication are not known)."""

    def __init__(
        self,
        setting: Setting,
        *,
        rate: float = 0.1,
        start: float = 2.0,
        keep: float | None = 0.6,
        pull: float = 2.0,
        hot: float = 1.0,
        cold: float = 0.3,
        masks: Mapping[str, Mask] | None = None,
    ) -> None:
        """Options, all of ours.

        ``start``: first score of every column. ``keep``: mean probability of a column to be on that a penalty of
        weight ``pull`` asks for at the end, less strictly before along a cubic; ``None``: no penalty. The temperature
        falls from ``hot`` to ``cold`` geometrically, the noise from its full size to nothing. ``masks``: column masks
        that are given, not learned: normalisation and head alone are trained.
        """
        parts = {
            name: ColumnMask(weight.shape, **setting.columns(), start=start) for name, weight in setting.frozen.items()
        }
        super().__init__(setting, parts, rate)
        self.drawing = tuple(parts.values())
        self.keep, self.pull, self.hot, self.cold, self.given = keep, pull, hot, cold, masks
        self.first = 1 / (1 + exp(-start))
        self.aim = self.first
        for name, mask in (masks or {}).items():
            parts[name].scores.data = torch.from_numpy(mask.values.astype(np.float32)) - 0.5

    def stages(self, epochs: int) -> tuple[Stage, ...]:
        """Masks, then normalisation and head alone for as long; with masks that are given, nothing else."""
        if self.given is not None:
            return (Stage("settle", epochs, fixed=True),)
        train, settle = shares(epochs, 0.5, 0.5)
        return Stage("train", train), Stage("settle", settle, fixed=True)

    def anneal(self, stage: Stage, share: float) -> None:
        """Cool down, and ask for fewer columns."""
        if self.keep is not None:
            self.aim = self.keep + (self.first - self.keep) * (1 - share) ** 3
        for part in self.drawing:
            part.temperature = self.hot * (self.cold / self.hot) ** share
            part.noise = 1 - share

    def penalty(self) -> Tensor | None:
        """Pull the mean probability of being on towards the density asked for."""
        if self.keep is None:
            return None
        chances = torch.cat([torch.sigmoid(part.scores).flatten() for part in self.parts.values()])
        return self.pull * (chances.mean() - self.aim).abs()

    def on(self) -> dict[str, Tensor] | None:
        """Chances of the draws."""
        return chances_of(self.parts)


def chances_of(parts: Mapping[str, Parametrisation]) -> dict[str, Tensor]:
    """Return the probabilities of column masks."""
    return {name: part.probabilities() for name, part in parts.items() if isinstance(part, ByColumn)}


class Xma(Masked, name="xma"):
    """A power of two per column, or off: the factor nearest to the score, from all ones."""

    def __init__(self, setting: Setting, *, rate: float = 0.03) -> None:
        """Take the rate of the scores, which are factors. Ours."""
        parts = {name: ShiftMask(weight.shape, **setting.columns()) for name, weight in setting.frozen.items()}
        super().__init__(setting, parts, rate)

    def on(self) -> dict[str, Tensor] | None:
        """How far above off the scores are."""
        return chances_of(self.parts)


class Piggyback(Masked, name="piggyback"):
    """A bit per weight: threshold and start of the public code; the rate is ours, for few steps."""

    ternary: ClassVar[bool] = False

    def __init__(self, setting: Setting, *, rate: float = 3e-4) -> None:
        """Take the rate of the scores."""
        parts = {name: ElementMask(weight.shape, self.ternary) for name, weight in setting.frozen.items()}
        super().__init__(setting, parts, rate)


class PiggybackTernary(Piggyback, name="piggyback-ternary"):
    """Weights kept, turned or switched off: the public code's ternariser."""

    ternary = True


class Ksm(Masked, name="ksm"):
    """A value per 2-D kernel; products are rounded to the backbone's grid. Its forming from two parts is not kept."""

    def __init__(self, setting: Setting, *, rate: float = 0.01) -> None:
        """Take the rate of the values. Ours."""
        super().__init__(setting, {name: KernelMask(weight.shape) for name, weight in setting.frozen.items()}, rate)

    def drawn(self, stage: Stage) -> Weights:
        """Rounded products."""
        return {name: self.setting.grids[name](weight) for name, weight in super().drawn(stage).items()}

    @torch.no_grad()
    def final(self, base: Mapping[str, Tensor]) -> Weights:
        """What the crossbars hold: whole products rounded half to even and clipped; of other weights the products."""
        weights = {}
        for name, part in self.parts.items():
            grid, mask = self.setting.grids[name], part.mask()
            if base is not self.setting.frozen:
                weights[name] = base[name] * multipliers(mask, self.setting.layers[name])
                continue
            factors = mask.expand(self.setting.layers[name]) * (mask.step or 1.0)
            limit = grid.limit + 1
            products = np.rint(matrix(grid.integers(base[name])) * factors).clip(-limit, limit - 1)
            values = grid.quantiser.values(products.astype(np.int32).reshape(base[name].shape))
            weights[name] = torch.from_numpy(values)
        return weights
