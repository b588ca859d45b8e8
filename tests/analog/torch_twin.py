"""A network as PyTorch computes it, node by node, in double precision unless asked otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from xbarsim.learning.backbone import RULES
from xbarsim.network.graph import Node


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
