"""Running a network on samples: crossbar layers in one of several arithmetics, everything else in double precision.

An *arithmetic* turns the windows of a crossbar layer into its outputs, bias apart:

* :class:`FloatProduct`: float weights, inputs as they are;
* :class:`IntegerProduct`: integer weights and inputs, exact sums. This is the reference;
* :class:`~xbarsim.analog.arrays.Arrays`: the same integers through encoding, cells and converters of a chip.

Samples are taken some at a time, so that memory stays bounded; results do not depend on how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xbarsim.analog.model import Held, Ints, Model
from xbarsim.analog.ops import Floats, apply, padded, windows_of
from xbarsim.errors import InputError
from xbarsim.network import Layer, Node
from xbarsim.network.ops import text

MOST_NUMBERS = 1 << 24
"""Numbers in the unrolled windows of the largest layer that are held at once."""


@dataclass(frozen=True)
class Windows:
    """The windows of one crossbar layer."""

    held: Held
    inputs: NDArray[Any]
    """``(windows, groups, rows)``, window by window of sample after sample."""
    first: int
    """Number of the first window, counted from the first sample of all."""

    def group(self, group: int) -> NDArray[Any]:
        """Inputs of one group, ``(windows, rows)``."""
        return self.inputs[:, group]


class Arithmetic(Protocol):
    """How the sums of a crossbar layer come about."""

    def inputs(self, held: Held, values: Floats) -> NDArray[Any]:
        """What is applied to the rows, of any shape."""

    def outputs(self, windows: Windows) -> Floats:
        """Outputs ``(windows, c_out)``, bias apart."""


class FloatProduct:
    """Float weights and inputs."""

    def inputs(self, held: Held, values: Floats) -> Floats:
        """The values themselves."""
        return values

    def outputs(self, windows: Windows) -> Floats:
        """The matrix product."""
        return products(windows, windows.held.effective.astype(np.float64)) * windows.held.scale


class IntegerProduct:
    """Integer weights and inputs; sums are exact."""

    def inputs(self, held: Held, values: Floats) -> Ints:
        """Quantised values."""
        return held.quantised(values)

    def outputs(self, windows: Windows) -> Floats:
        """The integer product, scaled back."""
        return scaled(windows.held, integer_sums(windows))


def integer_sums(windows: Windows) -> Floats:
    """Sums of integers, gates and factors applied, ``(windows, c_out)``, as whole numbers of float64.

    Factors that are powers of two leave them exact. Other factors multiply the exact sum of a piece, and
    the products are added from the top down, as the hardware does it.
    """
    held = windows.held
    if held.exact:
        return products(windows, held.effective).astype(np.float64, copy=False)
    whole = held.weights.astype(np.float64)
    return merged(held, [_piece_sums(windows, whole, piece.first, piece.rows) for piece in held.pieces])


def merged(held: Held, sums: list[Floats]) -> Floats:
    """Add the sums of the pieces ``(windows, c_out)``, each times its gates and factors."""
    total = np.zeros_like(sums[0])
    for piece, part in zip(held.pieces, sums, strict=True):
        total += part * held.multiplier(piece.group)
    return total


def scaled(held: Held, sums: Floats) -> Floats:
    """Turn sums of integers into values."""
    return sums * (held.scale * (held.step or 1.0))


def products(windows: Windows, weights: NDArray[Any]) -> NDArray[Any]:
    """Inputs times weights, group by group, in the type of the weights."""
    layer, inputs = windows.held.layer, windows.inputs
    if layer.groups == 1:
        return np.asarray(inputs[:, 0].astype(weights.dtype, copy=False) @ weights.T)
    grouped = weights.reshape(layer.groups, -1, layer.rows)
    stacked = inputs.astype(weights.dtype, copy=False).swapaxes(0, 1) @ grouped.swapaxes(1, 2)
    return np.asarray(stacked.swapaxes(0, 1).reshape(len(inputs), layer.c_out))


def _piece_sums(windows: Windows, weights: Floats, first: int, rows: int) -> Floats:
    """Sums over some rows alone."""
    part = np.zeros_like(weights)
    part[:, first : first + rows] = weights[:, first : first + rows]
    return np.asarray(products(windows, part))


Observer = Callable[[Windows, Floats], None]
"""Told the windows of every crossbar layer and its outputs ``(windows, c_out)``, bias included."""


def run(
    model: Model,
    inputs: NDArray[np.floating[Any]],
    arithmetic: Arithmetic | Mapping[str, Arithmetic],
    *,
    observe: Observer | None = None,
) -> Floats:
    """Return the outputs ``(samples, channels, height, width)`` of the network for ``inputs``.

    ``arithmetic``: one for all crossbar layers, or one by layer; layers that are not named are computed in
    integers. ``observe`` is called for every crossbar layer of every group of samples, in order.
    """
    check_inputs(model, inputs)
    chunks = chunks_of(model, inputs)
    return np.concatenate([forward(model, some, first, arithmetic, observe) for first, some in chunks])


def check_inputs(model: Model, inputs: NDArray[Any]) -> None:
    """Refuse samples of the wrong shape, and numbers that are not finite."""
    wanted, source = model.nodes[0].shape, model.network.source
    if inputs.ndim != 4 or inputs.shape[1:] != wanted or not len(inputs):
        message = f"samples have shape {inputs.shape}; the input of {model.network.name!r} is {text(wanted)}: "
        raise InputError(f"{source}: {message}give (samples, channels, height, width)")
    if not np.isfinite(inputs).all():
        sample = int(np.argwhere(~np.isfinite(inputs))[0][0])
        raise InputError(f"{source}: sample {sample} holds a number that is not finite")


def chunks_of(model: Model, inputs: NDArray[Any]) -> Iterator[tuple[int, Floats]]:
    """Yield some samples at a time, with the number of the first."""
    largest = max((one.layer.windows * one.layer.rows * one.layer.groups for one in model.held.values()), default=1)
    size = max(1, MOST_NUMBERS // largest)
    for first in range(0, len(inputs), size):
        yield first, inputs[first : first + size].astype(np.float64)


def forward(
    model: Model,
    inputs: Floats,
    first: int,
    arithmetic: Arithmetic | Mapping[str, Arithmetic],
    observe: Observer | None = None,
) -> Floats:
    """Run some samples, checked before; ``first`` is the number of the first of them.

    Node after node; a value is dropped when nobody will read it any more.
    """
    exact = IntegerProduct()
    table = arithmetic if isinstance(arithmetic, Mapping) else dict.fromkeys(model.held, arithmetic)
    values: dict[str, Floats] = {}
    waiting = dict(model.remaining)
    for node in model.nodes:
        read = [values[name] for name in node.inputs]
        if node.op == "input":
            values[node.name] = inputs
        elif node.name in model.held:
            values[node.name] = _layer(model, node, read[0], first, table.get(node.name, exact), observe)
        else:
            values[node.name] = apply(node, read, model.parameters(node))
        for name in node.inputs:
            waiting[name] -= 1
            if not waiting[name]:
                del values[name]
    outputs = values[model.nodes[-1].name]
    if not np.isfinite(outputs).all():
        raise InputError(f"{model.network.source}: the network's outputs are not finite")
    return outputs


def _layer(
    model: Model, node: Node, values: Floats, first: int, arithmetic: Arithmetic, observe: Observer | None
) -> Floats:
    """One crossbar layer."""
    held = model.held[node.name]
    unrolled = unroll(held.layer, arithmetic.inputs(held, values))
    windows = Windows(held, unrolled, first * held.layer.windows)
    outputs = arithmetic.outputs(windows)
    if held.bias is not None:
        outputs = outputs + held.bias
    if observe is not None:
        observe(windows, outputs)
    rows = outputs.reshape(len(values), -1, held.layer.c_out)
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(len(values), held.layer.c_out, *held.layer.out_hw)


def unroll(layer: Layer, images: NDArray[Any]) -> NDArray[Any]:
    """Windows of images ``(n, c_in, h, w)``: ``(n * windows, groups, rows)``, rows in (c_in, kh, kw) order."""
    if layer.kernel == (1, 1) and layer.stride == (1, 1) and layer.padding == (0, 0):
        pixels = images.reshape(len(images), layer.groups, layer.rows, -1).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels).reshape(-1, layer.groups, layer.rows)
    views = windows_of(padded(images, layer.padding), layer.kernel, layer.stride, layer.dilation)
    places = views.transpose(0, 2, 3, 1, 4, 5)
    return np.ascontiguousarray(places).reshape(-1, layer.groups, layer.rows)
