"""Matrix products and what moves their operands: linear layers, attention, permutations and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

from xbarsim.learning import capture_ops as ops
from xbarsim.learning.capture_layout import Axis, Dim, Layout, Value, axis, described, image
from xbarsim.learning.capture_ops import ALL, Args, Handler, scaled
from xbarsim.learning.capture_trace import FxNode, Param, Pending, Trace, UnsupportedError


def linear(t: Trace, node: FxNode, a: Args) -> Value:
    """``linear``: weights ``(outputs, inputs)``."""
    bias = t.param(a["bias"]) if a["bias"] is not None else None
    return _product(t, node, t.value(a["input"]), t.param(a["weight"]), bias)


def addmm(t: Trace, node: FxNode, a: Args) -> Value:
    """A matrix product plus a bias."""
    if a["beta"] != 1 or a["alpha"] != 1:
        raise UnsupportedError("beta and alpha have no counterpart")
    return _product(t, node, t.value(a["mat1"]), _turned(t.param(a["mat2"])), t.param(a["self"]))


def matmul(t: Trace, node: FxNode, a: Args) -> Value:
    """``matmul``, ``mm`` and ``bmm``: with a parameter a linear layer, of two activations a part of attention."""
    left, right = t.value(a["self"]), t.raw(a.get("other", a.get("mat2")))
    if isinstance(right, Param):
        return _product(t, node, left, _turned(right), None)
    return _attend(t, node, left, t.value(a.get("other", a.get("mat2"))), "matmul")


def _turned(weight: Param) -> Param:
    if len(weight.shape) != 2:
        raise UnsupportedError(f"multiplies with the parameter {weight.source.name!r} of shape {list(weight.shape)}")
    source = replace(weight.source, transposed=not weight.source.transposed)
    return Param(source, weight.shape[::-1])


def _product(t: Trace, node: FxNode, value: Value, weight: Param, bias: Param | None) -> Value:
    """Return a product whose node is made when it is read, so that its outputs can be shared out before."""
    if value.layout[-1] != value.whole("c"):
        raise UnsupportedError(
            f"multiplies along the last dimension of {described(value.layout)}, which is not the channels: flatten "
            "channels first, as (n, channels, height, width).flatten(1) does"
        )
    shape = (weight.shape[0], *value.shape[1:])
    layout = (*value.layout[:-1], axis("c", shape[0]))
    return Pending("", shape, layout, node, value, weight, bias, weight.shape[0])


def _attend(t: Trace, node: FxNode, left: Value, right: Value, word: str) -> Value:
    """Queries with keys, or scores with values: batched over samples and heads."""
    if len(left.layout) < 2 or len(left.layout) != len(right.layout):
        raise UnsupportedError(f"multiplies {described(left.layout)} with {described(right.layout)}")
    (*batch, rows, inner), (*other, along, columns) = left.layout, right.layout
    by_keys = columns == right.whole("y") and bool(along or not right.whole("c"))
    turned = along == inner and by_keys and _inner(inner)
    straight = along == right.whole("y") and _inner(columns) and _inner(inner) and not turned
    heads = left.shape[0] // _size(inner) if _size(inner) else 0
    wanted = right.shape[0] // _size(along if turned else columns)
    if rows != left.whole("y") or not (turned or straight) or heads != wanted or _batch(batch) != _batch(other):
        raise UnsupportedError(
            f"multiplies {described(left.layout)} with {described(right.layout)}, which are not queries and keys, "
            "or scores and values, of attention"
        )
    name = t.name(node, word)
    shape = t.emit(name, "matmul", [left, right], transpose_b=turned, heads=heads)
    step = shape[0] // heads
    spread = tuple(tuple(replace(one, step=step) if one.role == "c" else one for one in dim) for dim in batch)
    return Value(name, shape, (*spread, axis("y", shape[1]), axis("c", step)))


def _inner(dim: Dim) -> bool:
    """Whether a dimension is the channels of one head."""
    return not dim or (len(dim) == 1 and dim[0].role == "c" and dim[0].step == 1)


def _size(dim: Dim) -> int:
    return dim[0].size if dim else 1


def _batch(batch: Sequence[Dim]) -> list[list[tuple[str, int]]]:
    return [[(one.role, one.size) for one in dim] for dim in batch]


def attention(t: Trace, node: FxNode, a: Args) -> Value:
    """``scaled_dot_product_attention``: scores, softmax, weighted values."""
    if a["attn_mask"] is not None or a["is_causal"] or a["dropout_p"]:
        raise UnsupportedError("masks and dropout of attention have no counterpart")
    query, key, value = (t.value(a[name]) for name in ("query", "key", "value"))
    turned = replace(key, layout=(*key.layout[:-2], key.layout[-1], key.layout[-2]))
    scores = _attend(t, node, query, turned, ".scores")
    factor = a["scale"] if a["scale"] is not None else 1 / sqrt(_size(query.layout[-1]))
    scores = scaled(t, node, scores, factor, ".scale")
    heads = scores.shape[0] // _size(scores.layout[-1])
    shares = t.plain(node, "softmax", scores, ".softmax", heads=heads)
    return _attend(t, node, shares, value, ".attention")


def permute(t: Trace, node: FxNode, a: Args) -> Value | Param:
    """Return the dimensions in another order."""
    value = t.raw(a["self"])
    if isinstance(value, Param):
        if list(a["dims"]) == [1, 0]:
            return _turned(value)
        raise UnsupportedError(f"permutes the parameter {value.source.name!r}")
    kept = value if isinstance(value, Pending) else t.value(a["self"])
    return replace(kept, layout=tuple(kept.layout[dim] for dim in a["dims"]))


def transpose(t: Trace, node: FxNode, a: Args) -> Value | Param:
    """Swap two dimensions; ``t`` and ``mT`` those of a matrix."""
    rank = len(node.meta["val"].shape)
    dims = list(range(rank))
    one, other = (a.get("dim0", 0) % rank, a.get("dim1", 1) % rank) if rank > 1 else (0, 0)
    dims[one], dims[other] = dims[other], dims[one]
    return permute(t, node, {"self": a["self"], "dims": dims})


def select(t: Trace, node: FxNode, a: Args) -> Value:
    """One index of a dimension: a part of a product's outputs."""
    value = t.raw(a["self"])
    dim, index = a["dim"] % len(value.layout), a["index"]
    size = _size(value.layout[dim])
    part = _shared_out(value, dim, index % size, index % size + 1)
    return replace(part, layout=(*part.layout[:dim], *part.layout[dim + 1 :]))


def cut(t: Trace, node: FxNode, a: Args) -> Value:
    """``slice``: every k-th position, or a part of a product's outputs."""
    value = t.raw(a["self"])
    if not isinstance(value, Value):
        raise UnsupportedError("takes a part of a parameter")
    dim = a["dim"] % len(value.layout)
    size, step = int(_total(value.layout[dim])), a["step"]
    start, stop, _ = slice(a["start"], a["end"] if a["end"] != ALL else None).indices(size)
    if (start, stop, step) == (0, size, 1):
        return value
    if step == 1:
        return _shared_out(value, dim, start, stop)
    if (start, stop) != (0, size) or value.layout[dim] not in (value.whole("y"), value.whole("x")):
        raise UnsupportedError(f"takes {start}:{stop}:{step} of dimension {dim} of {described(value.layout)}")
    return _subsampled(t, node, t.image(a["self"]), 0 if value.layout[dim] == value.whole("y") else 1, step)


def _subsampled(t: Trace, node: FxNode, value: Value, direction: int, step: int) -> Value:
    """Every ``step``-th row or column: a pool of one pixel; rows and columns become one node."""
    stride, source, last = [1, 1], value, t.entries[-1]
    stride[direction] = step
    if last.name == value.node and last.attrs.get("kernel") == 1 and last.op == "avg_pool" and _only(node):
        t.entries.pop()
        t.shapes.pop(last.name)
        stride[1 - direction] = list(last.attrs["stride"])[1 - direction]  # type: ignore[call-overload]
        source = Value(last.inputs[0], t.shapes.get(last.inputs[0], value.shape), ())
    name = t.name(node, "subsample")
    shape = t.emit(name, "avg_pool", [source], kernel=1, stride=stride)
    return Value(name, shape, image(value.samples, shape))


def _only(node: FxNode) -> bool:
    """Whether nothing else reads what a node reads."""
    before = node.args[0]
    return isinstance(before, FxNode) and len(before.users) == 1


def split(t: Trace, node: FxNode, a: Args) -> list[Value]:
    """``split``, ``split_with_sizes``, ``chunk``: parts of a product's outputs."""
    value = t.raw(a["self"])
    dim, parts, at = a["dim"] % len(value.layout), [], 0
    for tensor in node.meta["val"]:
        stop = at + int(tensor.shape[dim])
        parts.append(_shared_out(value, dim, at, stop))
        at = stop
    return parts


def unbind(t: Trace, node: FxNode, a: Args) -> list[Value]:
    """All indices of a dimension."""
    return [select(t, node, {**a, "index": index}) for index in range(len(node.meta["val"]))]


def item(t: Trace, node: FxNode, a: Args) -> Any:
    """One of several results."""
    return t.raw(a["self"])[a["index"]]


def _total(dim: Dim) -> int:
    size = 1
    for one in dim:
        size *= one.size
    return size


def _shared_out(value: Any, dim: int, start: int, stop: int) -> Value:
    """Return the product of some of the outputs, the slowest axis of which stands in ``dim``."""
    if not isinstance(value, Value):
        raise UnsupportedError("takes a part of a parameter")
    if (start, stop) == (0, _total(value.layout[dim])):
        return value
    taken = value.layout[dim]
    one = taken[0] if len(taken) == 1 else Axis("", 1, 1)
    if not isinstance(value, Pending) or one.role != "c" or one.step * one.size != value.shape[0]:
        raise UnsupportedError(
            f"takes {start}:{stop} of dimension {dim} of {described(value.layout)}: only the outputs of a linear layer "
            "can be shared out, in runs; use layers of their own"
        )
    count = stop - start
    layout: Layout = (*value.layout[:dim], (replace(one, size=count),) if count > 1 else (), *value.layout[dim + 1 :])
    shape = (count * one.step, *value.shape[1:])
    return replace(value, shape=shape, layout=layout, start=value.start + start * one.step)


HANDLERS: Mapping[str, Handler] = {
    "conv2d": ops.convolution,
    "linear": linear,
    "addmm": addmm,
    "mm": matmul,
    "bmm": matmul,
    "matmul": matmul,
    "batch_norm": ops.batch_norm,
    "layer_norm": ops.layer_norm,
    "relu": ops.simple("relu"),
    "relu6": ops.simple("relu6"),
    "gelu": ops.simple("gelu"),
    "sigmoid": ops.simple("sigmoid"),
    "tanh": ops.simple("tanh"),
    "hardswish": ops.simple("hard_swish"),
    "hardtanh": ops.clamped,
    "clamp": ops.clamped,
    "clamp_min": ops.clamped,
    "silu": ops.silu,
    "softmax": ops.softmax,
    "_softmax": ops.softmax,
    "max_pool2d": ops.max_pool,
    "avg_pool2d": ops.avg_pool,
    "adaptive_avg_pool2d": ops.adaptive_avg_pool,
    "mean": ops.mean,
    "upsample_bilinear2d": ops.upsample,
    "pad": ops.pad,
    "constant_pad_nd": ops.pad,
    "add": ops.add,
    "sub": ops.sub,
    "neg": ops.neg,
    "mul": ops.mul,
    "div": ops.div,
    "cat": ops.concat,
    "scaled_dot_product_attention": attention,
    "permute": permute,
    "transpose": transpose,
    "t": transpose,
    "numpy_T": transpose,
    "select": select,
    "slice": cut,
    "split": split,
    "split_with_sizes": split,
    "chunk": split,
    "unbind": unbind,
    "getitem": item,
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze"), ops.view
    ),
    **dict.fromkeys(
        (
            "dropout", "feature_dropout", "alpha_dropout", "contiguous", "clone", "alias", "detach", "to", "_to_copy",
            "type_as", "expand", "lift_fresh_copy", "float",
        ),
        ops.nothing,
    ),
}  # fmt: skip
"""By name of the ATen operation, without overload and without the ``_`` of those in place."""

VIEWS = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t", "numpy_T",
         "contiguous", "alias", "detach", "dropout", "feature_dropout", "alpha_dropout", "to", "expand", "select",
         "slice", "_unsafe_view")  # fmt: skip
"""Operations whose result may share the memory of what they read."""

UNNECESSARY = ("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_size", "sym_constrain_range_for_size")
"""Operations that compute nothing."""
