"""ONNX files written node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from xbarsim.network.graph import Node

Arrays = Mapping[str, NDArray[Any]]


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: Arrays,
    shape: Sequence[int | str],
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
) -> Path:
    """Write a network that reads ``x`` of a shape."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), str(path))
    return path


def of_graph(path: Path, nodes: Sequence[Node], state: Arrays) -> Path:
    """Write a residual network of ours, its normalisation by itself, names as PyTorch's exporter leaves them."""
    made = []
    for node in nodes[1:]:
        a: Any = node.attrs
        own = [f"{node.name}.{role}" for role in node.parameters]
        read = ["x" if name == "input" else f"{name}:0" for name in node.inputs]
        result = [f"{node.name}:0"]
        if node.op == "conv":
            more = {
                "strides": a["stride"],
                "pads": [*a["padding"]] * 2,
                "dilations": a["dilation"],
                "group": a["groups"],
            }
            made.append(helper.make_node("Conv", [*read, *own], result, f"node_{len(made)}", **more))
        elif node.op == "batch_norm":
            made.append(helper.make_node("BatchNormalization", [*read, *own], result, node.name, epsilon=a["eps"]))
        elif node.op == "max_pool":
            more = {"kernel_shape": a["kernel"], "strides": a["stride"], "pads": [*a["padding"]] * 2}
            made.append(helper.make_node("MaxPool", read, result, node.name, **more))
        elif node.op == "global_avg_pool":
            made.append(helper.make_node("GlobalAveragePool", read, [f"{node.name}:4"], node.name))
            made.append(helper.make_node("Flatten", [f"{node.name}:4"], result, f"{node.name}.flat", axis=1))
        elif node.op == "linear":
            made.append(helper.make_node("Gemm", [*read, *own], result, node.name, transB=1))
        else:
            kind = {"relu": "Relu", "add": "Add"}[node.op]
            made.append(helper.make_node(kind, read, result, node.name))
    made.append(helper.make_node("Identity", [f"{nodes[-1].name}:0"], ["y"], "output"))
    return save(path, made, state, ("batch", *nodes[0].shape))
