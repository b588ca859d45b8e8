"""What the digital part of a network computes: every operation that is not held in crossbars, in double precision.

Values are ``(samples, channels, height, width)``; :data:`xbarsim.network.ops.OPS` says what each operation
takes. Convolutions and linear layers are :mod:`xbarsim.analog.executor`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import erf, expit

from xbarsim.network.graph import Node
from xbarsim.network.ops import Pair

Floats = NDArray[np.float64]
Attrs = Mapping[str, Any]
Parameters = Mapping[str, Floats]
"""Parameters of one node by role."""

SIX = 6.0
"""Where ``relu6`` and ``hard_swish`` level off."""


def apply(node: Node, values: Sequence[Floats], parameters: Parameters) -> Floats:
    """Return the output of one digital node from the values that it reads."""
    return _RULES[node.op](values, node.attrs, parameters)


def windows_of(images: NDArray[Any], kernel: Pair, stride: Pair, dilation: Pair) -> NDArray[Any]:
    """View ``(n, channels, h, w)`` as windows ``(n, channels, out h, out w, kernel h, kernel w)``."""
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    views = sliding_window_view(images, reach, axis=(2, 3))
    return views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def padded(images: NDArray[Any], padding: Pair, value: float = 0) -> NDArray[Any]:
    """Return images with ``padding`` rows and columns of ``value`` on every side."""
    if padding == (0, 0):
        return images
    return np.pad(images, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=value)


def _pool(images: Floats, attrs: Attrs, outside: float) -> NDArray[Any]:
    views = padded(images, attrs["padding"], outside)
    return windows_of(views, attrs["kernel"], attrs["stride"], attrs["dilation"])


def _max_pool(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    views = _pool(values[0], attrs, -math.inf)
    taps = product(range(views.shape[4]), range(views.shape[5]))
    return reduce(np.maximum, (views[..., i, j] for i, j in taps))


def _avg_pool(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    return np.asarray(_pool(values[0], attrs, 0.0).mean(axis=(4, 5)))


def _global_avg_pool(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    return np.asarray(values[0].mean(axis=(2, 3), keepdims=True))


def _add(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    return np.asarray(sum(values[1:], values[0]))


def _mul(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    return np.asarray(math.prod(values[1:], start=values[0]))


def _concat(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    return np.concatenate(values, axis=1)


def _softmax(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    """Over the channels of each head."""
    heads = _heads(values[0], attrs["heads"])
    powers = np.exp(heads - heads.max(axis=2, keepdims=True))
    return np.asarray((powers / powers.sum(axis=2, keepdims=True)).reshape(values[0].shape))


def _heads(values: Floats, heads: int) -> Floats:
    """Split channels: ``(n, heads, channels / heads, height, width)``."""
    n, channels, *place = values.shape
    return values.reshape(n, heads, channels // heads, *place)


def _matmul(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    """Scores of queries and keys, or values weighted by scores, head by head."""
    left, right = (_heads(value, attrs["heads"])[..., 0] for value in values)  # (n, heads, channels, tokens)
    if attrs["transpose_b"]:
        right = right.swapaxes(2, 3)  # (n, heads, tokens of the keys, width)
    products = np.einsum("nhik,nhkj->nhij", right, left)  # in an order that does not depend on threads
    return np.asarray(products.reshape(len(left), -1, products.shape[3], 1))


def _by_channel(parameter: Floats) -> Floats:
    return parameter[:, None, None]


def _batch_norm(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    mean, spread = parameters["running_mean"], np.sqrt(parameters["running_var"] + attrs["eps"])
    normal = (values[0] - _by_channel(mean)) / _by_channel(spread)
    return normal * _by_channel(parameters["weight"]) + _by_channel(parameters["bias"])


def _layer_norm(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    """Over the channels of every pixel or token."""
    centred = values[0] - values[0].mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + attrs["eps"])
    return np.asarray(normal * _by_channel(parameters["weight"]) + _by_channel(parameters["bias"]))


def _scale(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    """One factor per channel, or per run of channels."""
    factors = parameters["weight"]
    return values[0] * _by_channel(np.repeat(factors, values[0].shape[1] // len(factors)))


def _upsample(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    """Bilinear, corners not aligned."""
    rows, columns = (_interpolation(*sizes) for sizes in zip(values[0].shape[2:], attrs["size"], strict=True))
    return np.asarray(rows @ values[0] @ columns.T)


def _interpolation(size: int, wanted: int) -> Floats:
    """Matrix ``(wanted, size)`` that interpolates along one axis."""
    place = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, None)
    low = np.minimum(place.astype(np.int64), size - 1)
    high, share = np.minimum(low + 1, size - 1), place - low
    matrix, at = np.zeros((wanted, size)), np.arange(wanted)
    np.add.at(matrix, (at, low), 1 - share)
    np.add.at(matrix, (at, high), share)
    return matrix


def _flatten(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    n, channels = values[0].shape[:2]
    return values[0].reshape((n, channels, -1, 1) if attrs["tokens"] else (n, -1, 1, 1))


def _identity(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
    """Channels of zeros may be added, half of them in front."""
    more = (attrs["out"] or values[0].shape[1]) - values[0].shape[1]
    return np.pad(values[0], ((0, 0), (more // 2, more - more // 2), (0, 0), (0, 0))) if more else values[0]


def _each(function: Callable[[Floats], Any]) -> Callable[..., Floats]:
    """The rule of an operation on every number by itself."""

    def rule(values: Sequence[Floats], attrs: Attrs, parameters: Parameters) -> Floats:
        return np.asarray(function(values[0]))

    return rule


_RULES: Mapping[str, Callable[[Sequence[Floats], Attrs, Parameters], Floats]] = {
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "global_avg_pool": _global_avg_pool,
    "add": _add,
    "mul": _mul,
    "concat": _concat,
    "relu": _each(lambda x: np.maximum(x, 0.0)),
    "relu6": _each(lambda x: np.clip(x, 0.0, SIX)),
    "gelu": _each(lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2)))),
    "sigmoid": _each(expit),
    "tanh": _each(np.tanh),
    "hard_swish": _each(lambda x: x * np.clip(x + SIX / 2, 0.0, SIX) / SIX),
    "softmax": _softmax,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "scale": _scale,
    "upsample": _upsample,
    "matmul": _matmul,
    "flatten": _flatten,
    "identity": _identity,
}

_POSITIVE = {"relu", "relu6", "sigmoid", "softmax"}
_KEEPS_SIGN = {
    "max_pool", "avg_pool", "global_avg_pool", "add", "mul", "concat", "upsample", "flatten", "identity",
}  # fmt: skip


def signed_nodes(nodes: Sequence[Node], inputs: bool) -> dict[str, bool]:
    """Whether the output of each node can be negative, by its operation alone; ``inputs``: whether the input can."""
    signed: dict[str, bool] = {}
    for node in nodes:
        if node.op == "input":
            signed[node.name] = inputs
        elif node.op in _KEEPS_SIGN:
            signed[node.name] = any(signed[name] for name in node.inputs)
        else:
            signed[node.name] = node.op not in _POSITIVE
    return signed
