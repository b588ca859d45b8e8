"""What each ONNX operation is in our graph. A rule makes the nodes and returns the result, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.network.importers.onnx_file import Op
from xbarsim.network.importers.onnx_graph import Layout, Translation, Unsupported, Value
from xbarsim.network.ops import Pair, out_size, text

Rule = Callable[[Translation, Op], Value]

LAST: Mapping[Layout, int] = {"image": 3, "columns": 2, "tokens": 2, "vector": 1}
"""Last axis of a layout, the batch being axis 0."""

CHANNELS: Mapping[Layout, int] = {"image": 1, "columns": 1, "tokens": 2, "vector": 1}
"""Axis of the channels."""


def _conv(made: Translation, op: Op) -> Value:
    source, weight = made.value(op), made.weight(op, 1)
    if source.layout != "image" or weight.ndim != 4:
        raise Unsupported(f"a kernel of {weight.ndim - 2} dimensions; only two-dimensional convolutions are known")
    kernel = weight.shape[2:]
    attrs = _slide(op, source, (int(kernel[0]), int(kernel[1])))
    groups, bias = int(op.attrs.get("group", 1)), made.constant(op, 2)
    bias = None if bias is None or not bias.any() else bias
    if weight.shape[1] * groups != source.shape[0]:
        raise Unsupported(f"weights {weight.shape} in {groups} groups do not fit {source.shape[0]} channels")
    if groups > 1:
        attrs["groups"] = groups
    if bias is not None:
        attrs["bias"] = True
    result = made.add(op, "conv", [source], out=len(weight), **attrs)
    made.hold(result, weight=weight, bias=bias)
    return result


def _slide(op: Op, source: Value, kernel: Pair) -> dict[str, Any]:
    """Kernel, stride, padding and dilation, those that are not the default."""
    strides, dilations = _pair(op, "strides", 1), _pair(op, "dilations", 1)
    found: dict[str, Any] = {"kernel": kernel}
    pads = _pads(op, source, kernel, strides, dilations)
    for key, value, default in (("stride", strides, 1), ("padding", pads, 0), ("dilation", dilations, 1)):
        if value != (default, default):
            found[key] = value
    return found


def _pair(op: Op, key: str, default: int) -> Pair:
    values = list(op.attrs.get(key) or (default, default))
    if len(values) != 2:
        raise Unsupported(f"{key} {values}: only two-dimensional windows are known")
    return int(values[0]), int(values[1])


def _pads(op: Op, source: Value, kernel: Pair, strides: Pair, dilations: Pair) -> Pair:
    mode = op.attrs.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        before = [
            max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
            for size, k, s, d in zip(source.shape[1:], kernel, strides, dilations, strict=True)
        ]
        if any(total % 2 for total in before):
            raise Unsupported(f"auto_pad {mode} pads {before} pixels in all, more on one side than on the other")
        return before[0] // 2, before[1] // 2
    pads = list(op.attrs.get("pads") or (0, 0, 0, 0))
    if mode == "VALID":
        return 0, 0
    if len(pads) != 4 or pads[:2] != pads[2:]:
        raise Unsupported(f"pads {pads} differ from side to side")
    return int(pads[0]), int(pads[1])


def _max_pool(made: Translation, op: Op) -> Value:
    source = made.value(op)
    attrs = _slide(op, source, _pair(op, "kernel_shape", 1))
    _no_ceil(op, source, attrs)
    return made.add(op, "max_pool", [source], **{**attrs, "stride": attrs.get("stride", (1, 1))})


def _average_pool(made: Translation, op: Op) -> Value:
    source = made.value(op)
    attrs = _slide(op, source, _pair(op, "kernel_shape", 1))
    _no_ceil(op, source, attrs)
    if "padding" in attrs and not op.attrs.get("count_include_pad", 0):
        raise Unsupported("leaves the padding out of the mean (count_include_pad 0)")
    if "dilation" in attrs:
        raise Unsupported(f"dilations {attrs['dilation']}: a mean has none here")
    return made.add(op, "avg_pool", [source], **{**attrs, "stride": attrs.get("stride", (1, 1))})


def _no_ceil(op: Op, source: Value, attrs: Mapping[str, Any]) -> None:
    """Windows that hang over the edge are no windows of ours."""
    if not op.attrs.get("ceil_mode", 0):
        return
    one, none = (1, 1), (0, 0)
    stride, padding, dilation = attrs.get("stride", one), attrs.get("padding", none), attrs.get("dilation", one)
    for size, k, s, p, d in zip(source.shape[1:], attrs["kernel"], stride, padding, dilation, strict=True):
        if (size + 2 * p - d * (k - 1) - 1) % s and out_size(size, k, s, p, d):
            raise Unsupported("ceil_mode makes a window that hangs over the edge")


def _global_average(made: Translation, op: Op) -> Value:
    return made.add(op, "global_avg_pool", [made.value(op)])


def _reduce_mean(made: Translation, op: Op) -> Value:
    source = made.value(op)
    stated = op.attrs.get("axes")
    axes = made.constant(op, 1) if stated is None else np.asarray(stated)
    rank = LAST[source.layout] + 1
    found = {int(axis) % rank for axis in (np.asarray([]) if axes is None else axes).reshape(-1)}
    spatial = {"image": {2, 3}, "columns": {2}, "tokens": {1}}.get(source.layout)
    if found != spatial:
        raise Unsupported(f"the mean over axes {sorted(found)} is not the one over height and width, or over tokens")
    return made.add(op, "global_avg_pool", [source], source.layout if op.attrs.get("keepdims", 1) else "vector")


def _gemm(made: Translation, op: Op) -> Value:
    source, weight = made.value(op), made.weight(op, 1)
    if op.attrs.get("transA", 0) or source.layout != "vector":
        raise Unsupported("the activations are transposed, or no vector")
    weight = weight * np.float32(op.attrs.get("alpha", 1.0))
    bias = made.constant(op, 2)
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), weight.shape[0 if op.attrs.get("transB", 0) else 1])
        bias = bias * np.float32(op.attrs.get("beta", 1.0))
    return _linear(made, op, source, weight if op.attrs.get("transB", 0) else weight.T, bias)


def _matmul(made: Translation, op: Op) -> Value:
    if op.inputs[1] not in made.constants:
        raise Unsupported("the product of two activations is not taken over")
    source, weight = made.value(op), made.weight(op, 1)
    if weight.ndim != 2 or source.layout not in ("vector", "tokens"):
        raise Unsupported(f"a matrix of shape {weight.shape} and activations {text(source.shape)}")
    return _linear(made, op, source, weight.T, None)


def _linear(made: Translation, op: Op, source: Value, weight: NDArray[np.float32], bias: Any) -> Value:
    if weight.shape[1] != source.shape[0]:
        raise Unsupported(f"weights {weight.shape} (outputs, inputs) do not fit {source.shape[0]} features")
    result = made.add(op, "linear", [source], out=len(weight), bias=bias is not None)
    made.hold(result, weight=np.ascontiguousarray(weight), bias=bias)
    return result


def _batch_norm(made: Translation, op: Op) -> Value:
    source = made.value(op)
    if source.layout == "tokens":
        raise Unsupported("normalises by tokens, not by channels")
    result = made.add(op, "batch_norm", [source], eps=_float(op.attrs.get("epsilon", 1e-5)))
    roles = ("weight", "bias", "running_mean", "running_var")
    made.hold(result, **{role: made.weight(op, place) for place, role in enumerate(roles, 1)})
    return result


def _layer_norm(made: Translation, op: Op) -> Value:
    source = made.value(op)
    axis = int(op.attrs.get("axis", -1)) % (LAST[source.layout] + 1)
    if source.layout not in ("tokens", "vector") or axis != LAST[source.layout]:
        raise Unsupported(f"normalises from axis {axis} on, not over the channels alone")
    result = made.add(op, "layer_norm", [source], eps=_float(op.attrs.get("epsilon", 1e-5)))
    weight, bias = made.weight(op, 1), made.constant(op, 2)
    made.hold(result, weight=weight, bias=np.zeros_like(weight) if bias is None else bias)
    return result


def _float(value: float) -> float:
    """A single-precision attribute as the number that was meant: 1e-05, not 9.999999747378752e-06."""
    return float(f"{value:.6g}")


def _same(kind: str) -> Rule:
    return lambda made, op: made.add(op, kind, [made.value(op)])


def _gelu(made: Translation, op: Op) -> Value:
    if op.attrs.get("approximate", "none") != "none":
        made.warnings.append(f"node {op.name!r}: GELU approximated by tanh is taken over as the exact one")
    return made.add(op, "gelu", [made.value(op)])


def _clip(made: Translation, op: Op) -> Value:
    low, high = (
        op.attrs[key] if key in op.attrs else made.constant(op, place) for place, key in ((1, "min"), (2, "max"))
    )
    ends = (-inf if low is None else float(low), inf if high is None else float(high))
    kind = {(0.0, 6.0): "relu6", (0.0, inf): "relu"}.get(ends)
    if kind is None:
        raise Unsupported(f"clips to {ends[0]:g} … {ends[1]:g}; known: 0 … 6 and 0 … infinity")
    return made.add(op, kind, [made.value(op)])


def _softmax(made: Translation, op: Op) -> Value:
    source = made.value(op)
    axis = int(op.attrs.get("axis", -1 if made.graph.opset >= 13 else 1)) % (LAST[source.layout] + 1)
    if axis != CHANNELS[source.layout]:
        raise Unsupported(f"along axis {axis}, which is not that of the channels")
    return made.add(op, "softmax", [source])


def _concat(made: Translation, op: Op) -> Value:
    read = [made.value(op, place) for place in range(len(op.inputs))]
    axis = int(op.attrs["axis"]) % (LAST[read[0].layout] + 1)
    if axis != CHANNELS[read[0].layout] or len({one.layout for one in read}) > 1:
        raise Unsupported(f"along axis {axis}, which is not that of the channels")
    return read[0] if len(read) == 1 else made.add(op, "concat", read)


def _add(made: Translation, op: Op) -> Value:
    held = [place for place, name in enumerate(op.inputs) if name in made.constants]
    if not held:
        return _joined(made, op, "add")
    source, constant = made.value(op, 1 - held[0]), made.constants[op.inputs[held[0]]]
    maker = made.made.get(op.inputs[1 - held[0]])
    plain = maker is not None and maker.kind == "MatMul" and made.readers[op.inputs[1 - held[0]]] == 1
    if not plain or constant.size != source.shape[0]:
        raise Unsupported(f"adds a constant of shape {constant.shape} that is no bias of a product with a matrix")
    made.with_bias(source, constant.reshape(-1))
    return source


def _mul(made: Translation, op: Op) -> Value:
    held = [place for place, name in enumerate(op.inputs) if name in made.constants]
    if not held:
        return _joined(made, op, "mul")
    return _scaled(made, op, made.value(op, 1 - held[0]), made.weight(op, held[0]))


def _div(made: Translation, op: Op) -> Value:
    return _scaled(made, op, made.value(op), np.float32(1) / made.weight(op, 1))


def _scaled(made: Translation, op: Op, source: Value, factor: NDArray[Any]) -> Value:
    """One factor for all, or one per channel."""
    channels, rank = source.shape[0], LAST[source.layout] + 1
    shape = (1,) * (rank - factor.ndim) + factor.shape
    wanted = tuple(channels if axis == CHANNELS[source.layout] else 1 for axis in range(rank))
    if factor.size > 1 and shape != wanted:
        raise Unsupported(f"factors of shape {factor.shape} are not one per channel of {channels}")
    result = made.add(op, "scale", [source])
    made.hold(result, weight=np.broadcast_to(factor.reshape(-1), channels).copy())
    return result


def _joined(made: Translation, op: Op, kind: str) -> Value:
    read = [made.value(op, place) for place in range(len(op.inputs))]
    if len({one.layout for one in read}) > 1:
        raise Unsupported(f"activations of {' and '.join(sorted({one.layout for one in read}))} layout do not match")
    if len(read) == 1:
        return read[0]
    return made.add(op, kind, read)


def _flatten(made: Translation, op: Op) -> Value:
    source = made.value(op)
    axis = int(op.attrs.get("axis", 1)) % (LAST[source.layout] + 1)
    if axis != 1:
        raise Unsupported(f"from axis {axis} on; known: from 1 on")
    return _flat(made, op, source)


def _flat(made: Translation, op: Op, source: Value) -> Value:
    """All channels of all pixels as one vector."""
    if source.layout == "vector":
        return source
    if source.layout == "tokens" and source.shape[1] > 1:
        raise Unsupported("tokens become one vector token by token; the graph flattens channel by channel")
    return made.add(op, "flatten", [source], "vector")


def _reshape(made: Translation, op: Op) -> Value:
    source, target = made.value(op), made.constant(op, 1)
    sizes = [] if target is None else [int(size) for size in target.reshape(-1)]
    channels, height, width = source.shape
    total = channels * height * width
    inner = [total if size == -1 else size for size in sizes[1:]]
    batch = sizes[:1] in ([0], [1], [-1])
    if batch and len(sizes) == 2 and inner[0] in (total, 0):
        return _flat(made, op, source)
    pixels = [channels, height * width]
    wanted = [own if size in (-1, 0) else size for size, own in zip(sizes[1:], pixels, strict=False)]
    if batch and len(sizes) == 3 and source.layout == "image" and wanted == pixels:
        return Value(source.node, source.shape, "columns")
    if batch and source.layout == "vector" and [size or -1 for size in inner] in ([channels, 1, 1], [total, 1, 1]):
        return Value(source.node, source.shape, "image")
    raise Unsupported(
        f"of {text(source.shape)} to {sizes}; known: to a vector, or an image to (batch, channels, pixels)"
    )


def _squeeze(made: Translation, op: Op) -> Value:
    source = made.value(op)
    if source.shape[1:] != (1, 1) or source.layout == "vector":
        raise Unsupported(f"of {text(source.shape)}; known: of a feature map of one pixel")
    return Value(source.node, source.shape, "vector")


def _transpose(made: Translation, op: Op) -> Value:
    source, order = made.value(op), list(op.attrs.get("perm") or ())
    if source.layout != "columns" or order != [0, 2, 1]:
        raise Unsupported(f"perm {order} of {source.layout}; known: [0, 2, 1] of (batch, channels, pixels), to tokens")
    return made.add(op, "flatten", [source], "tokens", tokens=True)


def _resize(made: Translation, op: Op) -> Value:
    source = made.value(op)
    mode, places = op.attrs.get("mode", "nearest"), op.attrs.get("coordinate_transformation_mode", "half_pixel")
    if mode != "linear" or places not in ("half_pixel", "pytorch_half_pixel") or source.layout != "image":
        raise Unsupported(f"mode {mode}, {places}; known: linear with half_pixel")
    sizes, scales = made.constant(op, 3), made.constant(op, 2)
    if sizes is not None and sizes.size:
        size = tuple(int(one) for one in sizes.reshape(-1)[2:])
    elif scales is not None and scales.size:
        size = tuple(int(own * one) for own, one in zip(source.shape[1:], scales.reshape(-1)[2:], strict=True))
    else:
        raise Unsupported("states neither sizes nor scales")
    return made.add(op, "upsample", [source], size=size)


def _slice(made: Translation, op: Op) -> Value:
    """Every so many-th pixel from the first on: a pool of one pixel."""
    source = made.value(op)
    starts, ends, axes, steps = (made.constant(op, place) for place in (1, 2, 3, 4))
    if source.layout != "image" or starts is None or ends is None or axes is None or steps is None:
        raise Unsupported("known: every so many-th pixel of an image")
    stride = [1, 1]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = int(axis) % 4 - 2
        if place < 0 or start != 0 or end < source.shape[1 + place] or step < 1:
            raise Unsupported(f"from {start} to {end} of axis {axis}; known: every so many-th pixel from the first on")
        stride[place] = int(step)
    return made.add(op, "avg_pool", [source], kernel=1, stride=stride)


def _pad(made: Translation, op: Op) -> Value:
    """Channels of zeros on both sides: the shortcut without parameters."""
    source, pads, fill, axes = made.value(op), made.constant(op, 1), made.constant(op, 2), made.constant(op, 3)
    rank = LAST[source.layout] + 1
    counts = [0] * (2 * rank)
    for place, count in enumerate([] if pads is None else pads.reshape(-1)):
        known = np.arange(rank) if axes is None else axes.reshape(-1) % rank
        counts[int(known[place % len(known)]) + (place // len(known)) * rank] = int(count)
    channel = CHANNELS[source.layout]
    front, behind = counts.pop(channel), counts.pop(rank + channel - 1)
    zeros = op.attrs.get("mode", "constant") == "constant" and (fill is None or not fill.any())
    if any(counts) or not zeros or front != (front + behind) // 2:
        raise Unsupported("known: channels of zeros, half of them (rounded down) in front")
    return made.add(op, "identity", [source], out=source.shape[0] + front + behind)


RULES: Mapping[str, Rule] = {
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm, "Relu": _same("relu"), "Clip": _clip, "Gelu": _gelu,
    "Sigmoid": _same("sigmoid"), "Tanh": _same("tanh"), "HardSwish": _same("hard_swish"), "Softmax": _softmax,
    "MaxPool": _max_pool, "AveragePool": _average_pool, "GlobalAveragePool": _global_average,
    "ReduceMean": _reduce_mean, "Add": _add, "Sum": lambda made, op: _joined(made, op, "add"), "Mul": _mul,
    "Div": _div, "Concat": _concat, "Flatten": _flatten, "Reshape": _reshape, "Squeeze": _squeeze,
    "Transpose": _transpose, "Resize": _resize, "Slice": _slice, "Pad": _pad,
}  # fmt: skip
"""Every operation that is taken over; Constant, Identity and Dropout vanish before."""
