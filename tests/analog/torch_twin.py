"""A network as PyTorch computes it, node by node, in double precision unless asked otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as f

from xbarsim.network.graph import Node

Rule = Callable[[list[Tensor], Mapping[str, Any], Mapping[str, Tensor]], Tensor]


def _heads(x: Tensor, heads: int) -> Tensor:
    """(n, D, T, 1) as (n, heads, T, D / heads), the layout of attention in PyTorch."""
    return x.squeeze(3).unflatten(1, (heads, -1)).transpose(2, 3)


def _matmul(x: list[Tensor], a: Mapping[str, Any], p: Mapping[str, Tensor]) -> Tensor:
    left, right = (_heads(value, a["heads"]) for value in x)
    product = left @ right.transpose(2, 3) if a["transpose_b"] else left @ right
    return product.transpose(2, 3).flatten(1, 2).unsqueeze(3)


def _linear(x: list[Tensor], a: Mapping[str, Any], p: Mapping[str, Tensor]) -> Tensor:
    tokens = x[0].squeeze(3).transpose(1, 2)
    return f.linear(tokens, p["weight"], p.get("bias")).transpose(1, 2).unsqueeze(3)


def _conv(x: list[Tensor], a: Mapping[str, Any], p: Mapping[str, Tensor]) -> Tensor:
    window = (a[key] for key in ("stride", "padding", "dilation", "groups"))
    return f.conv2d(x[0], p["weight"], p.get("bias"), *window)


def _identity(x: list[Tensor], a: Mapping[str, Any], p: Mapping[str, Tensor]) -> Tensor:
    more = (a["out"] or x[0].shape[1]) - x[0].shape[1]
    return f.pad(x[0], (0, 0, 0, 0, more // 2, more - more // 2))


RULES: dict[str, Rule] = {
    "conv": _conv,
    "linear": _linear,
    "max_pool": lambda x, a, p: f.max_pool2d(x[0], a["kernel"], a["stride"], a["padding"], a["dilation"]),
    "avg_pool": lambda x, a, p: f.avg_pool2d(x[0], a["kernel"], a["stride"], a["padding"]),
    "global_avg_pool": lambda x, a, p: f.adaptive_avg_pool2d(x[0], 1),
    "add": lambda x, a, p: sum(x[1:], x[0]),
    "mul": lambda x, a, p: x[0] * x[1],
    "concat": lambda x, a, p: torch.cat(x, 1),
    "relu": lambda x, a, p: f.relu(x[0]),
    "relu6": lambda x, a, p: f.relu6(x[0]),
    "gelu": lambda x, a, p: f.gelu(x[0]),
    "sigmoid": lambda x, a, p: torch.sigmoid(x[0]),
    "tanh": lambda x, a, p: torch.tanh(x[0]),
    "hard_swish": lambda x, a, p: f.hardswish(x[0]),
    "softmax": lambda x, a, p: f.softmax(x[0].unflatten(1, (a["heads"], -1)), 2).flatten(1, 2),
    "batch_norm": lambda x, a, p: f.batch_norm(
        x[0], p["running_mean"], p["running_var"], p["weight"], p["bias"], eps=a["eps"]
    ),
    "layer_norm": lambda x, a, p: f.layer_norm(
        x[0].movedim(1, -1), x[0].shape[1:2], p["weight"], p["bias"], a["eps"]
    ).movedim(-1, 1),
    "scale": lambda x, a, p: x[0] * p["weight"].repeat_interleave(x[0].shape[1] // len(p["weight"]))[:, None, None],
    "upsample": lambda x, a, p: f.interpolate(x[0], a["size"], mode="bilinear", align_corners=False),
    "matmul": _matmul,
    "flatten": lambda x, a, p: x[0].flatten(2).unsqueeze(3) if a["tokens"] else x[0].flatten(1)[..., None, None],
    "identity": _identity,
}


def outputs(nodes: Sequence[Node], state: Mapping[str, Any], inputs: Any, dtype: torch.dtype = torch.float64) -> Any:
    """The output of the last node; ``state`` holds every parameter by state-dict name."""
    values: dict[str, Tensor] = {}
    for node in nodes:
        if node.op == "input":
            values[node.name] = torch.as_tensor(inputs, dtype=dtype)
            continue
        own = {role: torch.as_tensor(state[f"{node.name}.{role}"], dtype=dtype) for role in node.parameters}
        values[node.name] = RULES[node.op]([values[name] for name in node.inputs], node.attrs, own)
    return values[nodes[-1].name].numpy()
