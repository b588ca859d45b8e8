"""A small bundle with every kind of tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.network.bundle_writer import (
    BundleContent,
    MethodContent,
    SampleContent,
    TaskContent,
)
from xbarsim.network.graph import Entry, Layer, build_graph, derive_layers
from xbarsim.network.masks import Mask
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.validation import parameter_shape

Arrays = dict[str, NDArray[Any]]

ENTRIES = (
    Entry("input", "input", (), {"shape": (2, 4, 4)}),
    Entry("conv1", "conv", ("input",), {"out": 8, "kernel": 3, "padding": 1, "bias": True}),
    Entry("bn1", "batch_norm", ("conv1",), {}),
    Entry("relu1", "relu", ("bn1",), {}),
    Entry("conv2", "conv", ("relu1",), {"out": 6, "kernel": 3, "stride": 2, "groups": 2}),
    Entry("bn2", "batch_norm", ("conv2",), {}),
    Entry("pool", "global_avg_pool", ("bn2",), {}),
    Entry("fc", "linear", ("pool",), {"out": 4}),
)
NODES = build_graph(ENTRIES)
LAYERS: Mapping[str, Layer] = derive_layers(NODES)
ROWS = 9
CLASSES = {"red": 3, "blue": 4}


def parameters(random: np.random.Generator, classes: int | None = None, state: bool = False) -> Arrays:
    """Random parameters of the network; ``state`` leaves out the crossbar weights."""
    arrays = {}
    for node in NODES:
        for role in node.parameters:
            held = node.name in LAYERS and not LAYERS[node.name].head
            if not (state and held):
                shape = parameter_shape(node, role, LAYERS, classes)
                arrays[f"{node.name}.{role}"] = random.normal(size=shape).astype(np.float32) ** 2 + 0.1
    return arrays


def content(seed: int = 0) -> BundleContent:
    """A bundle with two tasks and every kind of tensor."""
    random = np.random.default_rng(seed)
    backbone = parameters(random) | {"conv2.input_scale": np.array([0.5], np.float32)}
    tasks = {}
    for name, classes in CLASSES.items():
        states = [parameters(random, classes, state=True) for _ in range(3)]
        heads = [{"fc": Quantiser.fit(state["fc.weight"], 8)} for state in states]
        columns = {
            key: Mask("binary", "column", _bits(random, layer.blocks(ROWS), layer.c_out), ROWS)
            for key, layer in LAYERS.items()
            if not layer.head
        }
        elements = {
            key: Mask("binary", "element", _bits(random, layer.c_out, layer.rows))
            for key, layer in LAYERS.items()
            if not layer.head
        }
        own = {"conv1": random.normal(size=LAYERS["conv1"].weight_shape).astype(np.float32)}
        fitted = {"conv1": Quantiser.fit(own["conv1"], 8)}
        methods = {
            "xbm": MethodContent(states[0], columns, quantisers=heads[0], accuracy={"float": 0.5}),
            "piggyback": MethodContent(states[1], elements, quantisers=heads[1]),
            "finetune": MethodContent(states[2], weights=own, quantisers=heads[2] | fitted),
        }
        inputs = random.integers(0, 256, (5, 2, 4, 4)).astype(np.uint8)
        labels = random.integers(0, classes, 5).astype(np.uint8)
        tasks[name] = TaskContent(classes, methods, SampleContent(inputs, labels, 1 / 255, "five of them"))
    quantisers = {name: Quantiser.fit(backbone[f"{name}.weight"], 8) for name in LAYERS}
    return BundleContent("small", "tests", ENTRIES, backbone, quantisers, tasks)


def _bits(random: np.random.Generator, *shape: int) -> NDArray[np.uint8]:
    return random.integers(0, 2, shape).astype(np.uint8)
