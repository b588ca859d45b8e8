"""Masks that can be learned: modules that turn a frozen weight into the one that a task uses.

Each is a parametrisation: ``forward(weight)`` gives the effective weight, ``mask()`` what a bundle stores. The
learner uses them, and so may anybody::

    torch.nn.utils.parametrize.register_parametrization(conv, "weight", ColumnMask(conv.weight.shape, rows=72))

In training mode hard values go forward and gradients pass straight through; in evaluation mode the values are
those of ``mask()``. A *logical column* is one output channel within one row block of a crossbar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as f

from xbarsim.network.masks import OFF, Mask
from xbarsim.network.quantiser import Quantiser, integer_type

LEVELS = (-1, 0, 1)
"""Exponents of shift masks: with off, all that 2 bits hold (the published level set is not known)."""

THRESHOLD = 5e-3
"""Score above which Piggyback keeps a weight (public code of Piggyback)."""

EDGE = 1e-6
"""Uniform numbers keep so far from 0 and 1, so that logistic noise stays finite."""


@dataclass(frozen=True)
class Columns:
    """How the weights of one layer lie in logical columns."""

    shape: tuple[int, ...]
    """Of the weight: output channels first."""
    rows: int
    """Crossbar height."""
    kernel_aligned: bool = False
    """Row blocks hold whole 2-D kernels only."""

    @property
    def height(self) -> int:
        """Weights of one column."""
        area = prod(self.shape[2:])
        return self.rows // area * area if self.kernel_aligned and self.rows >= area else self.rows

    @property
    def blocks(self) -> int:
        """Row blocks of an output channel."""
        return -(-prod(self.shape[1:]) // self.height)

    @property
    def values(self) -> tuple[int, int]:
        """Shape of one value per column: ``(row blocks, output channels)``."""
        return self.blocks, self.shape[0]

    def times(self, weight: Tensor, values: Tensor) -> Tensor:
        """Multiply every column of ``weight`` by its value."""
        count, rows = self.shape[0], prod(self.shape[1:])
        if self.blocks == 1:
            return weight * values.reshape(count, *[1] * (len(self.shape) - 1))
        missing = self.blocks * self.height - rows
        flat = weight.reshape(count, rows)
        full = (f.pad(flat, (0, missing)) if missing else flat).reshape(count, self.blocks, self.height)
        product = (full * values.T.unsqueeze(2)).reshape(count, -1)
        return (product[:, :rows] if missing else product).reshape(self.shape)

    def spread(self, values: Tensor) -> Tensor:
        """Return one value per weight."""
        rows = prod(self.shape[1:])
        return values.T.repeat_interleave(self.height, dim=1)[:, :rows].reshape(self.shape)

    def mean(self, weight: Tensor) -> Tensor:
        """Return the mean over every column."""
        ones = self.sum(torch.ones_like(weight))
        return self.sum(weight) / ones

    def sum(self, weight: Tensor) -> Tensor:
        """Return the sum over every column, ``(row blocks, output channels)``."""
        flat = weight.reshape(self.shape[0], -1)
        full = f.pad(flat, (0, self.blocks * self.height - flat.shape[1]))
        return full.reshape(self.shape[0], self.blocks, self.height).sum(2).T


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """Return ``hard``, with the gradient of ``soft``."""
    return hard + (soft - soft.detach())


def logistic_noise(scores: Tensor, random: torch.Generator | None = None) -> Tensor:
    """Return noise of the standard logistic distribution, shaped like ``scores``."""
    uniform = torch.rand(scores.shape, generator=random, dtype=scores.dtype).clamp_(EDGE, 1 - EDGE)
    return uniform.logit_()


def gumbel_sigmoid(scores: Tensor, temperature: float = 1.0, noise: Tensor | None = None) -> Tensor:
    """Return hard draws of 0 or 1 with the gradient of ``sigmoid((scores + noise) / temperature)``.

    Binary form of the Gumbel-softmax (Jang et al., ICLR 2017; Maddison et al., ICLR 2017): the difference of two
    Gumbel variables is logistic. Without ``noise`` the value is 1 where the score is above 0.
    """
    soft = torch.sigmoid((scores if noise is None else scores + noise) / temperature)
    return straight_through((soft.detach() > 0.5).to(soft.dtype), soft)


class Parametrisation(nn.Module):
    """What the masks of one layer have in common."""

    scores: nn.Parameter
    random: torch.Generator | None = None
    """Where noise is drawn from; PyTorch's own generator if there is none."""

    def mask(self) -> Mask:
        """Return the mask as a bundle stores it."""
        raise NotImplementedError

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the task uses."""
        raise NotImplementedError


class ByColumn(Parametrisation):
    """One score per logical column."""

    def __init__(self, shape: Sequence[int], rows: int, kernel_aligned: bool = False, start: float = 1.0) -> None:
        """Take the weight's shape and the crossbars it is laid out on; every score starts at ``start``."""
        super().__init__()
        self.columns = Columns(tuple(shape), rows, kernel_aligned)
        self.scores = nn.Parameter(torch.full(self.columns.values, float(start)))

    def values(self) -> Tensor:
        """Return what every column is multiplied by, ``(row blocks, c_out)``."""
        raise NotImplementedError

    def probabilities(self) -> Tensor:
        """Return a differentiable share of every column that is on, ``(row blocks, c_out)``."""
        raise NotImplementedError

    def forward(self, weight: Tensor) -> Tensor:
        """Multiply every column by its value."""
        return self.columns.times(weight, self.values())

    def _mask(self, kind: str, values: Tensor, bits: int | None = None, step: float | None = None) -> Mask:
        stored, there = values.detach().numpy(), self.columns
        levels = getattr(self, "levels", ())
        return Mask(
            kind, "column", stored, there.rows, kernel_aligned=there.kernel_aligned, bits=bits, levels=levels, step=step
        )


class ColumnMask(ByColumn):
    """Columns on or off (XBM): hard Gumbel-Sigmoid; a column is on where its score is above 0."""

    def __init__(
        self,
        shape: Sequence[int],
        rows: int,
        kernel_aligned: bool = False,
        start: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        """As :class:`ByColumn`; ``temperature`` of the sigmoid may be changed as training goes on."""
        super().__init__(shape, rows, kernel_aligned, start)
        self.temperature = temperature
        self.noise = 1.0

    def values(self) -> Tensor:
        """Draws in training, else the mask."""
        if not self.training:
            return (self.scores > 0).to(self.scores.dtype)
        noise = logistic_noise(self.scores, self.random) * self.noise if self.noise else None
        return gumbel_sigmoid(self.scores, self.temperature, noise)

    def probabilities(self) -> Tensor:
        """Probability that a draw with its full noise is 1; with less noise draws are surer."""
        return torch.sigmoid(self.scores)

    def mask(self) -> Mask:
        """1 where a column is on."""
        return self._mask("binary", (self.scores > 0).to(torch.uint8))


class ShiftMask(ByColumn):
    """Powers of two by column (XMA): the factor nearest to the score, or off."""

    OFF_SLOPE = 0.1
    """Width of the sigmoid around the score at which a column goes off, for :meth:`probabilities`."""

    def __init__(
        self,
        shape: Sequence[int],
        rows: int,
        kernel_aligned: bool = False,
        start: float = 1.0,
        levels: Sequence[int] = LEVELS,
        bits: int | None = 2,
    ) -> None:
        """As :class:`ByColumn`; ``levels`` are the exponents, ascending, ``bits`` what a stored value takes."""
        super().__init__(shape, rows, kernel_aligned, start)
        self.levels, self.bits = tuple(levels), bits
        factors = torch.tensor([0.0, *(2.0**level for level in self.levels)])
        self.register_buffer("factors", factors, persistent=False)
        self.register_buffer("bounds", (factors[1:] + factors[:-1]) / 2, persistent=False)

    def nearest(self) -> Tensor:
        """Return the number of every column's factor, 0 for off."""
        return torch.bucketize(self.scores.detach(), self.bounds)  # type: ignore[arg-type]

    def values(self) -> Tensor:
        """Factors; gradients pass straight through."""
        return straight_through(self.factors[self.nearest()], self.scores)  # type: ignore[index]

    def probabilities(self) -> Tensor:
        """How far above the bound of off a score is."""
        edge = 2.0 ** self.levels[0] / 2
        return torch.sigmoid((self.scores - edge) / self.OFF_SLOPE)

    def mask(self) -> Mask:
        """Exponents, or off."""
        exponents = torch.tensor([OFF, *self.levels], dtype=torch.int8)
        return self._mask("shift", exponents[self.nearest()], self.bits)


class ScaleMask(ByColumn):
    """Factors on a grid by column: whole multiples of a step, 0 for off."""

    OFF_SLOPE = 0.1
    """As in :class:`ShiftMask`."""

    def __init__(
        self,
        shape: Sequence[int],
        rows: int,
        kernel_aligned: bool = False,
        start: float = 1.0,
        bits: int = 8,
        step: float = 2.0**-6,
    ) -> None:
        """As :class:`ByColumn`; values are 0 to ``2^bits - 1`` times ``step``."""
        super().__init__(shape, rows, kernel_aligned, start)
        self.bits, self.step = bits, step

    def codes(self) -> Tensor:
        """Return the factor of every column in steps."""
        return (self.scores.detach() / self.step).round().clamp(0, 2**self.bits - 1)

    def values(self) -> Tensor:
        """Factors; gradients pass straight through."""
        return straight_through(self.codes() * self.step, self.scores)

    def probabilities(self) -> Tensor:
        """How far above 0 a score is."""
        return torch.sigmoid((self.scores - self.step / 2) / self.OFF_SLOPE)

    def mask(self) -> Mask:
        """Whole multiples of the step."""
        codes = self.codes().to(torch.uint8 if self.bits <= 8 else torch.uint16)
        return self._mask("scale", codes, self.bits, self.step)


class ElementMask(Parametrisation):
    """A value per weight (Piggyback): 1 above the threshold, else 0, or with ``ternary`` -1 below zero."""

    def __init__(
        self, shape: Sequence[int], ternary: bool = False, start: float = 1e-2, threshold: float = THRESHOLD
    ) -> None:
        """Take the weight's shape; every score starts at ``start`` (1e-2 in the public code)."""
        super().__init__()
        self.ternary, self.threshold = ternary, threshold
        self.scores = nn.Parameter(torch.full(tuple(shape), float(start)))

    def hard(self) -> Tensor:
        """Return the value of every weight."""
        scores = self.scores.detach()
        kept = (scores > self.threshold).to(scores.dtype)
        return kept - (scores < 0).to(scores.dtype) if self.ternary else kept

    def forward(self, weight: Tensor) -> Tensor:
        """Multiply every weight by its value."""
        return weight * straight_through(self.hard(), self.scores)

    def mask(self) -> Mask:
        """Values by output channel and row."""
        values = self.hard().reshape(len(self.scores), -1)
        if self.ternary:
            return Mask("ternary", "element", values.to(torch.int8).numpy())
        return Mask("binary", "element", values.to(torch.uint8).numpy())


class KernelMask(Parametrisation):
    """A value per 2-D kernel (KSM), on a grid.

    The publication forms the value from a binary mask and a scaling of what that switches off; here it is learned
    as one number.
    """

    def __init__(self, shape: Sequence[int], start: float = 1.0, bits: int = 8, step: float = 2.0**-6) -> None:
        """Take the weight's shape; values are signed integers of ``bits`` bits times ``step``."""
        super().__init__()
        self.bits, self.step = bits, step
        self.trailing = [1] * (len(shape) - 2)
        self.scores = nn.Parameter(torch.full(tuple(shape[:2]), float(start)))

    def codes(self) -> Tensor:
        """Return the value of every kernel in steps."""
        limit = 2 ** (self.bits - 1)
        return (self.scores.detach() / self.step).round().clamp(-limit, limit - 1)

    def forward(self, weight: Tensor) -> Tensor:
        """Multiply every kernel by its value."""
        values = straight_through(self.codes() * self.step, self.scores)
        return weight * values.reshape(*values.shape, *self.trailing)

    def mask(self) -> Mask:
        """Signed integers."""
        values = self.codes().numpy().astype(integer_type(self.bits))
        return Mask("soft", "kernel", values, bits=self.bits, step=self.step)


class Grid:
    """Rounding to the integers of a layer's quantiser; gradients pass straight through within its range."""

    def __init__(self, quantiser: Quantiser, channels: int) -> None:
        """Take a quantiser with one scale, or one per output channel."""
        self.quantiser = quantiser
        self.limit = 2 ** (quantiser.bits - 1) - 1
        scale = np.broadcast_to(quantiser.scale, (channels,)).astype(np.float32)
        self.scale = torch.from_numpy(scale.copy())
        self.zeros = torch.zeros(channels, dtype=torch.int32)

    def __call__(self, weight: Tensor) -> Tensor:
        """Return the weight rounded to whole steps."""
        rounded: Tensor = torch.fake_quantize_per_channel_affine(
            weight, self.scale, self.zeros, 0, -self.limit, self.limit
        )
        return rounded

    def integers(self, weight: Tensor) -> NDArray[np.signedinteger[Any]]:
        """Return the integers that stand in crossbars, in the shape of the weight."""
        found = self.quantiser.integers(weight.detach().numpy())
        return np.clip(found, -self.limit, self.limit).astype(integer_type(self.quantiser.bits))

    def snapped(self, weight: Tensor) -> Tensor:
        """Return exactly the values that the integers stand for."""
        return torch.from_numpy(self.quantiser.values(self.integers(weight)))
