"""The operations a network may use: attributes, number of inputs and the shape of the result.

One table, :data:`OPS`, is the schema of layer tables and of ``graph.json`` alike. Shapes are
``(channels, height, width)``; a vector of ``F`` features is ``(F, 1, 1)`` and a sequence of ``T``
tokens of width ``D`` is ``(D, T, 1)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from xbarsim.errors import did_you_mean

Shape = tuple[int, int, int]
"""Channels, height, width."""

Pair = tuple[int, int]
"""Height, width."""

Complaint = tuple[str, str]
"""The attribute a fault belongs to (``""`` for the whole entry) and what is wrong."""


class ShapeError(ValueError):
    """Shapes or attributes do not fit together; ``attr`` names the attribute to blame."""

    def __init__(self, attr: str, message: str) -> None:
        super().__init__(message)
        self.attr = attr


@dataclass(frozen=True)
class Attr:
    """One attribute of an operation: what it may be and what it is when left out."""

    kind: Literal["int", "pair", "bool", "shape", "float"]
    """``pair`` is written as one integer or as ``[height, width]``."""
    default: object = None
    """``None`` means the attribute must be written, unless ``optional``."""
    minimum: int = 1
    """Smallest integer allowed; a ``float`` is above zero."""
    optional: bool = False
    """Left out, the attribute is ``None`` and the shape rule decides."""


ShapeRule = Callable[[list[Shape], Mapping[str, object]], Shape]


@dataclass(frozen=True)
class Op:
    """What one operation takes and gives."""

    rule: ShapeRule
    """Shape of the result from the shapes of the inputs; raises :class:`ShapeError`."""
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    """Attributes by name."""
    inputs: tuple[int, int] = (1, 1)
    """Fewest and most inputs."""
    parameters: tuple[str, ...] = ()
    """State-dict roles that the operation always has; ``bias`` follows the attribute."""


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Positions of a kernel along one axis, the last ones that do not fit left out (floor)."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _same(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    return shapes[0]


def _input(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    return attrs["shape"]  # type: ignore[return-value]


def _slide(shape: Shape, attrs: Mapping[str, object]) -> Pair:
    """Height and width after sliding the kernel of ``attrs`` over ``shape``."""
    kernel, stride, padding, dilation = (attrs[key] for key in ("kernel", "stride", "padding", "dilation"))
    sizes = []
    for axis, name in ((0, "height"), (1, "width")):
        k, s, p, d = kernel[axis], stride[axis], padding[axis], dilation[axis]  # type: ignore[index]
        size = out_size(shape[1 + axis], k, s, p, d)
        if size < 1:
            raise ShapeError(
                "kernel",
                f"a kernel of {k} (dilation {d}) does not fit the padded {name} of {shape[1 + axis] + 2 * p}",
            )
        sizes.append(size)
    return sizes[0], sizes[1]


def _conv(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    channels = shapes[0][0]
    out, groups = int(attrs["out"]), int(attrs["groups"])  # type: ignore[call-overload]
    if channels % groups:
        raise ShapeError("groups", f"{channels} input channels do not divide into {groups} groups")
    if out % groups:
        raise ShapeError("groups", f"{out} output channels do not divide into {groups} groups")
    return (out, *_slide(shapes[0], attrs))


def _pool(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    for axis in (0, 1):
        padding, kernel = attrs["padding"][axis], attrs["kernel"][axis]  # type: ignore[index]
        if 2 * padding > kernel:
            raise ShapeError("padding", f"{padding} is more than half the kernel of {kernel}")
    return (shapes[0][0], *_slide(shapes[0], attrs))


def _linear(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    channels, height, width = shapes[0]
    if width > 1:
        raise ShapeError("", f"needs a vector or a token sequence, not {channels}x{height}x{width}: flatten it first")
    return int(attrs["out"]), height, 1  # type: ignore[call-overload]


def _global_pool(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    return shapes[0][0], 1, 1


def _broadcast(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    whole = max(shapes, key=lambda shape: shape[1] * shape[2])
    for shape in shapes:
        if shape != whole and shape != (whole[0], 1, 1):
            raise ShapeError("inputs", f"shapes {text(shape)} and {text(whole)} differ")
    return whole


def _concat(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    for shape in shapes:
        if shape[1:] != shapes[0][1:]:
            raise ShapeError("inputs", f"height and width of {text(shape)} and {text(shapes[0])} differ")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _matmul(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    (k, tokens, one), (d, others, two) = shapes
    heads = int(attrs["heads"])  # type: ignore[call-overload]
    if one > 1 or two > 1:
        raise ShapeError("inputs", f"needs two token sequences, not {text(shapes[0])} and {text(shapes[1])}")
    if k % heads or d % heads:
        raise ShapeError("heads", f"widths {k} and {d} do not divide into {heads} heads")
    if attrs["transpose_b"]:
        if k != d:
            raise ShapeError("inputs", f"widths {k} and {d} differ")
        return heads * others, tokens, 1
    if k != heads * others:
        raise ShapeError("inputs", f"width {k} is not {heads} heads times {others} tokens")
    return d, tokens, 1


def _flatten(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    channels, height, width = shapes[0]
    if attrs["tokens"]:
        return channels, height * width, 1
    return channels * height * width, 1, 1


def _softmax(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    heads = int(attrs["heads"])  # type: ignore[call-overload]
    if shapes[0][0] % heads:
        raise ShapeError("heads", f"{shapes[0][0]} channels do not divide into {heads} heads")
    return shapes[0]


def _identity(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    channels, height, width = shapes[0]
    out = attrs["out"]
    if out is None:
        return shapes[0]
    if int(out) < channels:  # type: ignore[call-overload]
        raise ShapeError("out", f"{out} is fewer than the {channels} channels coming in")
    return int(out), height, width  # type: ignore[call-overload]


def _upsample(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    channels, height, width = shapes[0]
    size: Pair = attrs["size"]  # type: ignore[assignment]
    if size[0] < height or size[1] < width:
        raise ShapeError("size", f"{size[0]}x{size[1]} is smaller than the {height}x{width} coming in")
    return channels, *size


def _scale(shapes: list[Shape], attrs: Mapping[str, object]) -> Shape:
    groups = attrs["groups"]
    if groups is not None and shapes[0][0] % int(groups):  # type: ignore[call-overload]
        raise ShapeError("groups", f"{shapes[0][0]} channels do not divide into {groups} groups")
    return shapes[0]


def text(shape: Shape) -> str:
    """Return a shape as ``64x56x56``."""
    return "x".join(map(str, shape))


_SLIDE = {
    "kernel": Attr("pair"),
    "stride": Attr("pair", (1, 1)),
    "padding": Attr("pair", (0, 0), minimum=0),
    "dilation": Attr("pair", (1, 1)),
}
_CONV = {"out": Attr("int"), **_SLIDE, "groups": Attr("int", 1), "bias": Attr("bool", False)}
_MAX_POOL = {**_SLIDE, "stride": Attr("pair", optional=True)}
_AVG_POOL = {key: attr for key, attr in _MAX_POOL.items() if key != "dilation"}
_HEADS = Attr("int", 1)
_EPS = {"eps": Attr("float", 1e-5)}

OPS: Mapping[str, Op] = {
    "input": Op(_input, {"shape": Attr("shape")}, inputs=(0, 0)),
    "conv": Op(_conv, _CONV, parameters=("weight",)),
    "linear": Op(_linear, {"out": Attr("int"), "bias": Attr("bool", True)}, parameters=("weight",)),
    "max_pool": Op(_pool, _MAX_POOL),
    "avg_pool": Op(_pool, _AVG_POOL),
    "global_avg_pool": Op(_global_pool),
    "add": Op(_broadcast, inputs=(2, 8)),
    "mul": Op(_broadcast, inputs=(2, 8)),
    "concat": Op(_concat, inputs=(2, 1024)),
    "relu": Op(_same),
    "relu6": Op(_same),
    "gelu": Op(_same),
    "sigmoid": Op(_same),
    "tanh": Op(_same),
    "hard_swish": Op(_same),
    "softmax": Op(_softmax, {"heads": _HEADS}),
    "batch_norm": Op(_same, _EPS, parameters=("weight", "bias", "running_mean", "running_var")),
    "layer_norm": Op(_same, _EPS, parameters=("weight", "bias")),
    "scale": Op(_scale, {"groups": Attr("int", optional=True)}, parameters=("weight",)),
    "upsample": Op(_upsample, {"size": Attr("pair")}),
    "matmul": Op(_matmul, {"transpose_b": Attr("bool", False), "heads": _HEADS}, inputs=(2, 2)),
    "flatten": Op(_flatten, {"tokens": Attr("bool", False)}),
    "identity": Op(_identity, {"out": Attr("int", optional=True)}),
}
"""Every operation by name.

``conv`` biases are off and ``linear`` biases on unless written. ``softmax`` and ``matmul`` split the
channels into ``heads``: ``matmul`` of queries and keys ``(D, T, 1)`` with ``transpose_b`` gives the
scores ``(heads*T, T, 1)``; of scores and values it gives ``(D, T, 1)``. ``flatten`` with ``tokens``
keeps the channels as the width of a token. ``identity`` with ``out`` adds channels of zeros, half of
them (rounded down) in front: the parameter-free shortcut of ResNet-20. Pools drop the windows that
do not fit; pooling strides default to the kernel, and average pools count padding as zeros.
``batch_norm`` and ``layer_norm`` (over the channels) add ``eps`` to the variance. ``scale`` multiplies
every channel, or every one of ``groups`` equal runs of channels, by a factor. ``upsample`` interpolates
bilinearly to ``size`` (height, width), as PyTorch does without aligned corners.
"""


def read_attrs(op: str, raw: Mapping[str, object]) -> tuple[dict[str, object], list[Complaint]]:
    """Check the attributes of one entry and fill in defaults; pairs become tuples.

    Returns the attributes and every complaint found; with complaints the attributes are not usable.
    """
    schema = OPS[op].attrs
    complaints: list[Complaint] = []
    for key in raw:
        if key not in schema:
            complaints.append((key, f"{op} has no such attribute{did_you_mean(key, schema)}"))
    attrs: dict[str, object] = {}
    for key, attr in schema.items():
        try:
            attrs[key] = _read(attr, raw[key]) if key in raw else _default(op, key, attr)
        except ShapeError as error:
            complaints.append((error.attr or key, str(error)))
    if not complaints and op in ("max_pool", "avg_pool"):
        attrs["stride"] = attrs["stride"] or attrs["kernel"]
        attrs.setdefault("dilation", (1, 1))
    return attrs, complaints


def _default(op: str, key: str, attr: Attr) -> object:
    if attr.default is None and not attr.optional:
        raise ShapeError("", f"{op} needs {key!r}")
    return attr.default


def _read(attr: Attr, value: object) -> object:
    """Check one attribute's value and bring it into its final form."""
    if attr.kind == "bool":
        if not isinstance(value, bool):
            raise ShapeError("", f"{value!r} is not true or false")
        return value
    if attr.kind == "float":
        return _number(value)
    if attr.kind == "int":
        return _integer(value, attr.minimum)
    size = 2 if attr.kind == "pair" else 3
    if attr.kind == "pair" and not isinstance(value, (list, tuple)):
        value = [value, value]
    if not isinstance(value, (list, tuple)) or len(value) != size:
        raise ShapeError("", f"{value!r} is not a list of {size} integers")
    return tuple(_integer(item, attr.minimum) for item in value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ShapeError("", f"{value!r} is not a number")
    if not 0 < value < math.inf:
        raise ShapeError("", f"{value!r} is not above zero and finite")
    return float(value)


_LARGEST = 2**31 - 1


def _integer(value: object, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError("", f"{value!r} is not an integer")
    if value < minimum:
        raise ShapeError("", f"{value} is below the minimum {minimum}")
    if value > _LARGEST:
        raise ShapeError("", f"{value} is above the maximum {_LARGEST}")
    return value
