"""What every ATen operation is in a graph of xbarsim. Products of activations stand in ``capture_products``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from xbarsim.learning.capture_layout import Value, axis, described, image
from xbarsim.learning.capture_trace import (
    FxNode,
    Param,
    Pending,
    Source,
    Trace,
    UnsupportedError,
    check_shape,
    prefix,
)

Args = Mapping[str, Any]
"""Arguments by the names of the operation's schema, defaults filled in."""

Handler = Callable[[Trace, FxNode, Args], Any]
"""Adds what the operation is to the graph and returns what its result is."""

ALL = 2**63 - 1
"""End of a slice that goes to the end."""


def convolution(t: Trace, node: FxNode, a: Args) -> Value:
    """``conv2d``, with numbers or ``"same"`` as padding."""
    value, weight = t.image(a["input"]), t.param(a["weight"])
    kernel, dilation = weight.shape[2:], _pair(a["dilation"])
    padding = a["padding"]
    if isinstance(padding, str):
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if padding == "same" and any(one % 2 for one in reach):
            raise UnsupportedError("padding 'same' of an even kernel pads one side more; pad both sides alike")
        padding = [one // 2 if padding == "same" else 0 for one in reach]
    bias = t.param(a["bias"]) if a["bias"] is not None else None
    name = t.free(prefix(weight.source.name), own=True)
    attrs = {"kernel": list(kernel), "stride": _pair(a["stride"]), "padding": _pair(padding), "dilation": dilation}
    shape = t.emit(name, "conv", [value], out=weight.shape[0], groups=a["groups"], bias=bias is not None, **attrs)
    t.use(name, "weight", weight.source)
    if bias is not None:
        t.use(name, "bias", bias.source)
    return Value(name, shape, image(value.samples, shape))


def batch_norm(t: Trace, node: FxNode, a: Args) -> Value:
    """Normalisation with running statistics, channels in the second dimension."""
    value = t.value(a["input"])
    if a["training"] or a["running_mean"] is None:
        raise UnsupportedError("has no running statistics (track_running_stats=False)")
    if len(value.layout) < 2 or value.layout[1] != value.whole("c"):
        raise UnsupportedError(f"needs channels in the second dimension of {described(value.layout)}")
    return _normalised(t, node, a, value, "batch_norm", ("weight", "bias", "running_mean", "running_var"))


def layer_norm(t: Trace, node: FxNode, a: Args) -> Value:
    """Normalisation over the channels, which stand in the last dimensions."""
    value, count = t.value(a["input"]), len(a["normalized_shape"])
    if sum(value.layout[-count:], ()) != value.whole("c"):
        raise UnsupportedError(f"normalises more than the channels of {described(value.layout)}")
    return _normalised(t, node, a, value, "layer_norm", ("weight", "bias"))


def _normalised(t: Trace, node: FxNode, a: Args, value: Value, op: str, roles: tuple[str, ...]) -> Value:
    """Add a normalisation; factors and offsets that the module has none of become ones and zeros."""
    given = {role: t.param(a[role]) for role in roles if a[role] is not None}
    first = next(iter(given.values()), None)
    name = t.free(first.source.name.rpartition(".")[0], own=True) if first else t.name(node, op)
    t.emit(name, op, [value], eps=float(a["eps"]))
    for role in roles:
        if role in given:
            t.use(name, role, given[role].source)
        else:
            t.constants[f"{name}.{role}"] = np.full(value.shape[0], float(role == "weight"), np.float32)
    return Value(name, value.shape, value.layout)


def simple(op: str) -> Handler:
    """Return the handler of a function of every number by itself."""

    def handle(t: Trace, node: FxNode, a: Args) -> Value:
        if a.get("approximate", "none") != "none":
            raise UnsupportedError(
                f"approximate={a['approximate']!r}: a graph has the exact GELU; use approximate='none'"
            )
        return t.plain(node, op, t.value(a["self"]))

    return handle


def clamped(t: Trace, node: FxNode, a: Args) -> Value:
    """``clamp`` and ``hardtanh``: ReLU or ReLU6."""
    low, high = (a.get("min_val", a.get("min")), a.get("max_val", a.get("max")))
    if low != 0 or high not in (None, 6):
        raise UnsupportedError(f"clips to {low} … {high}: a graph has ReLU (0 …) and ReLU6 (0 … 6)")
    return t.plain(node, "relu" if high is None else "relu6", t.value(a["self"]))


def silu(t: Trace, node: FxNode, a: Args) -> Value:
    """A value times its sigmoid."""
    value = t.value(a["self"])
    gate = t.plain(node, "sigmoid", value, ".sigmoid")
    name = t.name(node, "mul")
    t.emit(name, "mul", [value, gate])
    return Value(name, value.shape, value.layout)


def softmax(t: Trace, node: FxNode, a: Args) -> Value:
    """Over the channels, or over the channels of every head."""
    value = t.value(a["self"])
    over = value.layout[a["dim"]]
    if len(over) != 1 or over[0].role != "c" or over[0].step != 1:
        raise UnsupportedError(f"over dimension {a['dim']} of {described(value.layout)}, which is not the channels")
    return t.plain(node, "softmax", value, heads=value.shape[0] // over[0].size)


def max_pool(t: Trace, node: FxNode, a: Args) -> Value:
    """``max_pool2d``."""
    return _pool(t, node, a, "max_pool", dilation=_pair(a["dilation"]))


def avg_pool(t: Trace, node: FxNode, a: Args) -> Value:
    """``avg_pool2d``; padding counts as zeros."""
    if any(a["padding"]) and not a["count_include_pad"]:
        raise UnsupportedError("count_include_pad=False: a graph counts padding as zeros")
    if a["divisor_override"] is not None:
        raise UnsupportedError("divisor_override has no counterpart")
    return _pool(t, node, a, "avg_pool")


def _pool(t: Trace, node: FxNode, a: Args, op: str, **more: object) -> Value:
    value, kernel = t.image(a["self"]), _pair(a["kernel_size"])
    stride = _pair(a["stride"]) if a["stride"] else kernel
    name = t.name(node, op)
    shape = t.emit(name, op, [value], kernel=kernel, stride=stride, padding=_pair(a["padding"]), **more)
    result = Value(name, shape, image(value.samples, shape))
    try:
        check_shape(node, result.layout)
    except UnsupportedError as error:
        raise UnsupportedError(f"ceil_mode=True {error}; drop the windows that do not fit") from None
    return result


def adaptive_avg_pool(t: Trace, node: FxNode, a: Args) -> Value:
    """To one position, to the size that is there, or to a part that divides it."""
    value, (height, width) = t.image(a["self"]), _pair(a["output_size"])
    rows, columns = value.shape[1:]
    if (height, width) == (rows, columns):
        return value
    if (height, width) == (1, 1):
        return _global(t, node, value)
    if rows % height or columns % width:
        raise UnsupportedError(f"from {rows}x{columns} to {height}x{width}: windows of unequal size")
    name, kernel = t.name(node, "avg_pool"), (rows // height, columns // width)
    shape = t.emit(name, "avg_pool", [value], kernel=kernel)
    return Value(name, shape, image(value.samples, shape))


def _global(t: Trace, node: FxNode, value: Value) -> Value:
    name = t.name(node, "global_avg_pool")
    shape = t.emit(name, "global_avg_pool", [value])
    kept = tuple(() if dim in (value.whole("y"), value.whole("x")) else dim for dim in value.layout)
    return Value(name, shape, kept)


def mean(t: Trace, node: FxNode, a: Args) -> Value:
    """Over all positions."""
    value = t.value(a["self"])
    dims = a["dim"] if a["dim"] is not None else range(len(value.layout))
    over = {dim % len(value.layout) for dim in dims}
    axes = {one for dim in over for one in value.layout[dim]}
    positions = {*value.whole("y"), *value.whole("x")}
    if axes - positions or (axes and axes != positions):
        raise UnsupportedError(
            f"over dimensions {sorted(over)} of {described(value.layout)}: not all positions at once"
        )
    pooled = _global(t, node, value) if axes else value
    layout = tuple(dim for at, dim in enumerate(pooled.layout) if a["keepdim"] or at not in over)
    return Value(pooled.node, pooled.shape, layout)


def upsample(t: Trace, node: FxNode, a: Args) -> Value:
    """Bilinear, without aligned corners, to a whole size."""
    value = t.image(a["input"])
    size = [int(one) for one in node.meta["val"].shape[2:]]
    if a["align_corners"]:
        raise UnsupportedError("align_corners=True: a graph interpolates without aligned corners")
    for before, after, factor in zip(value.shape[1:], size, a.get("scale_factors") or (), strict=False):
        if before * factor != after:
            raise UnsupportedError(f"scale_factor {factor:g} of {before} is no whole size; give the size")
    name = t.name(node, "upsample")
    shape = t.emit(name, "upsample", [value], size=size)
    return Value(name, shape, image(value.samples, shape))


def pad(t: Trace, node: FxNode, a: Args) -> Value:
    """Zeros around the channels, as in the parameter-free shortcut of residual networks."""
    value, amounts = t.image(a["self"]), list(a["pad"])
    if not any(amounts):
        return value
    front, back = (*amounts[4:6], 0, 0)[:2]
    if a.get("mode", "constant") != "constant" or a.get("value"):
        raise UnsupportedError("pads with other than zeros")
    if any(amounts[:4]) or any(amounts[6:]) or min(front, back) < 0:
        raise UnsupportedError("pads height or width: pad in the convolution or the pool that reads it instead")
    if front != (front + back) // 2:
        raise UnsupportedError(f"{front} channels in front and {back} behind: put half of them, rounded down, in front")
    name = t.name(node, "pad")
    shape = t.emit(name, "identity", [value], out=value.shape[0] + front + back)
    return Value(name, shape, image(value.samples, shape))


def add(t: Trace, node: FxNode, a: Args) -> Value:
    """The sum of two activations."""
    if a.get("alpha", 1) != 1:
        raise UnsupportedError(f"alpha={a['alpha']} has no counterpart")
    for one, other in (("self", "other"), ("other", "self")):
        if isinstance(a[one], (int, float)):
            if a[one]:
                raise UnsupportedError(f"adds the constant {a[one]:g}, which no bias or normalisation holds")
            return t.value(a[other])
    return _both(t, node, [t.value(a["self"]), t.value(a["other"])], "add")


def sub(t: Trace, node: FxNode, a: Args) -> Value:
    """The difference of two activations: the sum with the second times -1."""
    if a["alpha"] != 1 or isinstance(t.raw(a["other"]), (int, float)):
        raise UnsupportedError("subtracts other than an activation, which no bias or normalisation holds")
    return _both(t, node, [t.value(a["self"]), scaled(t, node, t.value(a["other"]), -1.0, ".minus")], "add")


def neg(t: Trace, node: FxNode, a: Args) -> Value:
    """A value times -1."""
    return scaled(t, node, t.value(a["self"]), -1.0)


def mul(t: Trace, node: FxNode, a: Args) -> Value:
    """The product of two activations, or of one with a number, a factor per channel or a single factor."""
    for one, other in (("self", "other"), ("other", "self")):
        factor = t.raw(a[one])
        if isinstance(factor, (int, float, Param)):
            return scaled(t, node, t.value(a[other]), factor)
    return _both(t, node, [t.value(a["self"]), t.value(a["other"])], "mul")


def div(t: Trace, node: FxNode, a: Args) -> Value:
    """A quotient by a number."""
    divisor = t.raw(a["other"])
    if not isinstance(divisor, (int, float)) or a.get("rounding_mode") is not None or not divisor:
        raise UnsupportedError("divides by more than a number")
    return scaled(t, node, t.value(a["self"]), 1 / divisor)


def scaled(t: Trace, node: FxNode, value: Value, factor: float | Param, word: str = "scale") -> Value:
    """Return the value times a number, or times a parameter by channel."""
    if isinstance(factor, Param):
        return _by_parameter(t, value, factor)
    if factor == 1:
        return value
    result = t.plain(node, "scale", value, word, groups=1)
    t.constants[f"{result.node}.weight"] = np.full(1, factor, np.float32)
    return result


def _by_parameter(t: Trace, value: Value, factor: Param) -> Value:
    count, channels = prod(factor.shape), value.whole("c")
    if count > 1:
        place = next(at for at, size in enumerate(factor.shape) if size > 1) - len(factor.shape)
        if count != value.shape[0] or len(factor.shape) > len(value.layout) or value.layout[place] != channels:
            raise UnsupportedError(
                f"multiplies {described(value.layout)} with the parameter {factor.source.name!r} of shape "
                f"{list(factor.shape)}: a graph has factors by channel"
            )
    name = t.free(prefix(factor.source.name), own=True)
    source = Source(factor.source.name, shape=(count,))
    t.emit(name, "scale", [value], **({"groups": 1} if count == 1 else {}))
    t.use(name, "weight", source)
    return Value(name, value.shape, value.layout)


def _both(t: Trace, node: FxNode, values: list[Value], op: str) -> Value:
    """Two activations of one layout, or one of them without positions."""
    rank = max(len(value.layout) for value in values)
    layouts = [((),) * (rank - len(value.layout)) + value.layout for value in values]
    merged = []
    for left, right in zip(*layouts, strict=True):
        if left and right and left != right:
            words = " and ".join(described(value.layout) for value in values)
            raise UnsupportedError(f"lines up {words}")
        merged.append(left or right)
    name = t.name(node, op)
    shape = t.emit(name, op, values)
    return Value(name, shape, tuple(merged))


def concat(t: Trace, node: FxNode, a: Args) -> Value:
    """Along the channels."""
    values = [t.value(one) for one in a["tensors"]]
    at = a["dim"] % len(values[0].layout)
    rest = {tuple(dim for place, dim in enumerate(value.layout) if place != at) for value in values}
    if len(rest) != 1 or any(value.layout[at] != value.whole("c") for value in values):
        words = ", ".join(described(value.layout) for value in values)
        raise UnsupportedError(f"joins {words} along dimension {a['dim']}, which is not the channels")
    if len(values) == 1:
        return values[0]
    name = t.name(node, "cat")
    shape = t.emit(name, "concat", values)
    layout = (*values[0].layout[:at], axis("c", shape[0]), *values[0].layout[at + 1 :])
    return Value(name, shape, layout)


def nothing(t: Trace, node: FxNode, a: Args) -> Any:
    """Operations that leave their argument as it is."""
    if a.get("train") and a.get("p"):
        raise UnsupportedError("drops activations at inference too; use nn.Dropout, or training=self.training")
    first = next(iter(a.values()))
    kept = t.raw(first)
    if isinstance(kept, Value) and not node.meta["val"].is_floating_point():
        raise UnsupportedError(f"turns activations into {node.meta['val'].dtype}")
    if isinstance(kept, (Value, Param)):
        shape = kept.shape if isinstance(kept, Param) else None
        if shape is not None and shape != tuple(node.meta["val"].shape):
            raise UnsupportedError(f"spreads the parameter {kept.source.name!r}")  # type: ignore[union-attr]
    return kept


def view(t: Trace, node: FxNode, a: Args) -> Value | Param:
    """``view``, ``reshape``, ``flatten``, ``unflatten``, ``squeeze`` and ``unsqueeze``."""
    value, shape = t.raw(a["self"]), [int(size) for size in node.meta["val"].shape]
    if isinstance(value, Param):
        return Param(value.source, tuple(shape))
    return t.flattened(node, value if isinstance(value, Pending) else t.value(a["self"]), shape)


def _pair(value: Any) -> tuple[int, int]:
    """One number for both directions, or two."""
    values = [value] if isinstance(value, int) else list(value)
    return (int(values[0]), int(values[-1]))
