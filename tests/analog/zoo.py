"""A bundle whose graph has every operation, with random parameters; and small helpers of the executor's tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.network import Network
from xbarsim.network.bundle_writer import BundleContent, MethodContent, SampleContent, TaskContent, write_bundle
from xbarsim.network.graph import Entry, build_graph, derive_layers
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.validation import parameter_shape

ZOO = (
    Entry("image", "input", (), {"shape": (4, 9, 8)}),
    Entry("stem", "conv", ("image",), {"out": 6, "kernel": [3, 2], "stride": [2, 1], "padding": [1, 1], "bias": True}),
    Entry("bn", "batch_norm", ("stem",), {"eps": 1e-3}),
    Entry("act", "relu6", ("bn",), {}),
    Entry("depth", "conv", ("act",), {"out": 12, "kernel": 3, "padding": 2, "dilation": 2, "groups": 6}),
    Entry("swish", "hard_swish", ("depth",), {}),
    Entry("thin", "conv", ("swish",), {"out": 6, "kernel": 1}),
    Entry("gate_pool", "global_avg_pool", ("thin",), {}),
    Entry("gate", "sigmoid", ("gate_pool",), {}),
    Entry("gated", "mul", ("thin", "gate"), {}),
    Entry("wide", "identity", ("act",), {"out": 9}),
    Entry("both", "concat", ("gated", "wide"), {}),
    Entry("most", "max_pool", ("both",), {"kernel": 3, "stride": 2, "padding": 1}),
    Entry("mean", "avg_pool", ("both",), {"kernel": 3, "stride": 2, "padding": 1}),
    Entry("up", "upsample", ("mean",), {"size": [3, 5]}),
    Entry("tall", "upsample", ("most",), {"size": [3, 5]}),
    Entry("sum", "add", ("up", "tall", "up"), {}),
    Entry("sized", "scale", ("sum",), {"groups": 3}),
    Entry("tokens", "flatten", ("sized",), {"tokens": True}),
    Entry("norm", "layer_norm", ("tokens",), {}),
    Entry("q", "linear", ("norm",), {"out": 8}),
    Entry("k", "linear", ("norm",), {"out": 8, "bias": False}),
    Entry("v", "linear", ("norm",), {"out": 10}),
    Entry("scores", "matmul", ("q", "k"), {"transpose_b": True, "heads": 2}),
    Entry("shares", "softmax", ("scores",), {"heads": 2}),
    Entry("mixed", "matmul", ("shares", "v"), {"heads": 2}),
    Entry("bent", "gelu", ("mixed",), {}),
    Entry("flat", "flatten", ("bent",), {}),
    Entry("hidden", "linear", ("flat",), {"out": 7}),
    Entry("squash", "tanh", ("hidden",), {}),
    Entry("fc", "linear", ("squash",), {"out": 5}),
)
"""Every operation of the graph."""


def random_state(entries: Sequence[Entry], random: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Random parameters by state-dict name; variances are positive."""
    nodes = build_graph(entries)
    layers = derive_layers(nodes)
    state = {}
    for node in nodes:
        for role in node.parameters:
            shape = parameter_shape(node, role, layers)
            values = random.normal(size=shape) / max(1, np.prod(shape[1:], dtype=float)) ** 0.5
            if role == "running_var":
                values = values**2 + 0.5
            state[f"{node.name}.{role}"] = values.astype(np.float32)
    return state


def write_zoo(path: Path, entries: Sequence[Entry] = ZOO, *, seed: int = 0, bits: int = 8, count: int = 6) -> Network:
    """A bundle of one task that is fine-tuned in name only: its weights are the backbone's."""
    random = np.random.default_rng(seed)
    state = random_state(entries, random)
    nodes = build_graph(entries)
    layers = derive_layers(nodes)
    quantisers = {name: Quantiser.fit(state[f"{name}.weight"], bits) for name in layers}
    shape = nodes[0].shape
    inputs = random.integers(-100, 101, (count, *shape)).astype(np.int8)
    labels = random.integers(0, nodes[-1].shape[0], count).astype(np.uint8)
    head = next(name for name, layer in layers.items() if layer.head)
    own = {
        name: array for name, array in state.items() if name.split(".")[0] not in layers or name.split(".")[0] == head
    }
    first = next(iter(layers))
    fitted = {name: quantisers[name] for name in (first, head)}
    method = MethodContent(own, weights={first: state[f"{first}.weight"]}, quantisers=fitted)
    task = TaskContent(nodes[-1].shape[0], {"finetune": method}, SampleContent(inputs, labels, 0.01, "random"))
    content = BundleContent("zoo", "tests", entries, state, quantisers, {"one": task}, bits, bits)
    return write_bundle(path, content)
