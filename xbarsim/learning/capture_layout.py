"""Which axis of a value of the graph stands where in a PyTorch tensor, followed through views and permutations.

A value of the graph has channels, height and width. PyTorch moves, splits and merges them: ``(n, tokens, width)``,
``(tokens, n * heads, width / heads)``, ``(n, h, w, channels)``. A layout writes every dimension of the tensor as a
product of axes, so that ``view`` and ``permute`` are bookkeeping and every operation can say what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from xbarsim.network.ops import Shape

SAMPLES, CHANNELS, HEIGHT, WIDTH = "n", "c", "y", "x"


@dataclass(frozen=True)
class Axis:
    """A run of indices of one role: 0 to ``size`` - 1, each ``step`` apart."""

    role: str
    step: int
    size: int


Dim = tuple[Axis, ...]
"""Axes of one dimension, the slowest first; none for a dimension of one element."""

Layout = tuple[Dim, ...]
"""The dimensions of a tensor."""


def axis(role: str, size: int) -> Dim:
    """Return the whole of a role as one dimension."""
    return (Axis(role, 1, size),) if size > 1 else ()


def image(samples: int, shape: Shape) -> Layout:
    """Return the layout ``(n, channels, height, width)``."""
    roles = zip((SAMPLES, CHANNELS, HEIGHT, WIDTH), (samples, *shape), strict=True)
    return tuple(axis(role, size) for role, size in roles)


def tokens(samples: int, shape: Shape) -> Layout:
    """Return the layout ``(n, tokens, width)`` of a sequence ``(width, tokens, 1)``."""
    return axis(SAMPLES, samples), axis(HEIGHT, shape[1]), axis(CHANNELS, shape[0])


def vector(samples: int, shape: Shape) -> Layout:
    """Return the layout ``(n, features)``."""
    return axis(SAMPLES, samples), axis(CHANNELS, shape[0])


def sizes(layout: Layout) -> tuple[int, ...]:
    """Return the tensor's shape."""
    return tuple(prod(one.size for one in dim) for dim in layout)


def joined(axes: Iterable[Axis]) -> Dim:
    """Return a dimension with neighbours made one where they run on."""
    result: list[Axis] = []
    for one in axes:
        if result and result[-1].role == one.role and result[-1].step == one.step * one.size:
            one = Axis(one.role, one.step, one.size * result.pop().size)
        result.append(one)
    return tuple(result)


def reshaped(layout: Layout, shape: Sequence[int]) -> Layout | None:
    """Return the layout after a view with this shape; nothing where an axis would be cut unevenly."""
    queue = [one for dim in layout for one in dim][::-1]
    result: list[Dim] = []
    for size in shape:
        taken: list[Axis] = []
        while size > 1:
            if not queue:
                return None
            one = queue.pop()
            if one.size > size:
                if one.size % size:
                    return None
                inner = one.size // size
                queue.append(Axis(one.role, one.step, inner))
                one = Axis(one.role, one.step * inner, size)
            if size % one.size:
                return None
            size //= one.size
            taken.append(one)
        result.append(joined(taken))
    return tuple(result)


def described(layout: Layout) -> str:
    """Return a layout in words, such as ``(n, height*width, channels)``."""
    words = {SAMPLES: "n", CHANNELS: "channels", HEIGHT: "height", WIDTH: "width"}
    dims = ["*".join(f"{words[one.role]}[{one.size}]" for one in dim) or "1" for dim in layout]
    return f"({', '.join(dims)})"


@dataclass(frozen=True)
class Value:
    """What a node of the graph gives, as some tensor holds it."""

    node: str
    """Name of the node; ``""`` of a product whose columns are still being shared out."""
    shape: Shape
    layout: Layout

    def whole(self, role: str) -> Dim:
        """Return the dimension that holds all of a role."""
        size = {CHANNELS: self.shape[0], HEIGHT: self.shape[1], WIDTH: self.shape[2]}[role]
        return axis(role, size)

    @property
    def samples(self) -> int:
        """Samples in the tensor."""
        return prod(one.size for dim in self.layout for one in dim if one.role == SAMPLES)

    @property
    def is_image(self) -> bool:
        """Whether the tensor is ``(n, channels, height, width)``."""
        return self.layout == image(self.samples, self.shape)
