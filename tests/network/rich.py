"""The small bundle with tensors of every adaption method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from network.small import CLASSES, LAYERS, NODES, ROWS, content, parameters
from numpy.typing import NDArray

from xbarsim.adaptions.branches import Branch, insert
from xbarsim.adaptions.repnet import side_module
from xbarsim.network.bundle_writer import BundleContent, MethodContent, SharedContent
from xbarsim.network.graph import Entry, Node, build_graph, derive_layers
from xbarsim.network.masks import OFF, Geometry, Mask, mask_shape
from xbarsim.network.ops import OPS
from xbarsim.network.quantiser import Quantiser

HELD = {name: layer for name, layer in LAYERS.items() if not layer.head}
COLUMNS = 4
"""Logical columns of a crossbar."""
LEVELS = (-1, 0, 1)

PAIR = (
    Entry("conv1.lora_a", "conv", ("input",), {"out": 2, "kernel": 3, "padding": 1}),
    Entry("conv1.lora_b", "conv", ("conv1.lora_a",), {"out": 8, "kernel": 1}),
    Entry("conv1.lora_add", "add", ("conv1", "conv1.lora_b"), {}),
)
POOL = (
    Entry("conv1.pool_a", "conv", ("input",), {"out": 6, "kernel": 3, "padding": 1}),
    Entry("conv1.fuse", "scale", ("conv1.pool_a",), {"groups": 3}),
    Entry("conv1.pool_b", "conv", ("conv1.fuse",), {"out": 8, "kernel": 1}),
    Entry("conv1.fused", "add", ("conv1", "conv1.pool_b"), {}),
    Entry("conv1.magnitude", "scale", ("conv1.fused",), {}),
)
SIDE = side_module(next(node for node in NODES if node.name == "relu1"), 4)


def rich(seed: int = 0) -> BundleContent:
    """Two tasks with every method."""
    random, made = np.random.default_rng(seed), content(seed)
    shared = {
        "packnet": _owned(random, "element"),
        "cpg": _owned(random, "element"),
        "xst": _owned(random, "column"),
        "lora": SharedContent(entries=_entries("conv1", PAIR)),
        "repnet": SharedContent(entries=_entries("relu1", SIDE)),
        "lorafusion": _pool(random),
    }
    tasks = {
        name: replace(task, methods=dict(task.methods) | _methods(random, made, number, name, shared))
        for number, (name, task) in enumerate(made.tasks.items(), 1)
    }
    return replace(made, name="rich", tasks=tasks, shared=shared)


def _methods(
    random: np.random.Generator, made: BundleContent, number: int, task: str, shared: dict[str, SharedContent]
) -> dict[str, MethodContent]:
    state = parameters(random, CLASSES[task], state=True)
    head = {"fc": Quantiser.fit(state["fc.weight"], 8)}

    def method(masks: dict[str, Mask] | None = None, **more: Any) -> MethodContent:
        return MethodContent(state, masks or {}, quantisers=head, **more)

    units = {name: unit(random, name) for name in HELD}
    pair, side = (_trained(random, *branch) for branch in (("conv1", PAIR), ("relu1", SIDE)))
    norms = _state(random, "relu1", SIDE)
    fuse = {"conv1.fuse.weight": np.ones(3, np.float32), "conv1.magnitude.weight": np.ones(8, np.float32)}
    return {
        "finetune-partial": method(weights={"conv2": integers(random, "conv2")}),
        "piggyback-ternary": method({name: drawn(random, name, "ternary", "element") for name in HELD}),
        "ksm": method({name: drawn(random, name, "soft", "kernel", bits=6, step=0.125) for name in HELD}),
        "xma": method({name: drawn(random, name, "shift", "column", bits=2, levels=LEVELS) for name in HELD}),
        "xma2": method(
            {name: drawn(random, name, "scale", "column", bits=5, step=0.125) for name in HELD},
            units=units,
            weights={name: mixed(random, made, name, mask) for name, mask in units.items()},
        ),
        "packnet": method(),
        "cpg": method({name: pick(random, mask, number) for name, mask in shared["cpg"].owners.items()}),
        "xst": method({name: pick(random, mask, number) for name, mask in shared["xst"].owners.items()}),
        "lora": MethodContent(state, weights=pair, quantisers=head | _fitted(pair)),
        "repnet": MethodContent(state | norms, weights=side, quantisers=head | _fitted(side)),
        "lorafusion": MethodContent(state | fuse, quantisers=head),
    }


def drawn(random: np.random.Generator, layer: str, kind: str, granularity: str, **coding: Any) -> Mask:
    """A mask of random lawful values."""
    rows = ROWS if granularity == "column" else None
    shape = mask_shape(LAYERS[layer], granularity, Geometry(rows))
    if kind == "shift":
        values = random.choice(np.array([OFF, *coding["levels"]], np.int8), shape)
    elif kind == "soft":
        values = random.integers(-(2 ** (coding["bits"] - 1)), 2 ** (coding["bits"] - 1), shape).astype(np.int8)
    elif kind == "scale":
        values = random.integers(0, 2 ** coding["bits"], shape).astype(np.uint8)
    else:
        values = random.integers(-1, 2, shape).astype(np.int8)
    return Mask(kind, granularity, values, rows, **coding)


def unit(random: np.random.Generator, layer: str) -> Mask:
    """A mask of crossbars, one of them chosen at least."""
    geometry = Geometry(ROWS, False, COLUMNS, 1)
    values = random.integers(0, 2, mask_shape(LAYERS[layer], "crossbar", geometry)).astype(np.uint8)
    values[0] = 1
    return Mask("binary", "crossbar", values, ROWS, columns=COLUMNS, crossbars=1)


def pick(random: np.random.Generator, owners: Mask, number: int) -> Mask:
    """Picks from older owners."""
    picked = random.integers(0, 2, owners.values.shape) * (owners.values < number)
    return Mask("pick", owners.granularity, picked.astype(np.uint8), owners.rows)


def integers(random: np.random.Generator, layer: str) -> NDArray[np.int8]:
    """Integer weights in the shape of the state dict."""
    return random.integers(-127, 128, LAYERS[layer].weight_shape).astype(np.int8)


def mixed(random: np.random.Generator, made: BundleContent, layer: str, chosen: Mask) -> NDArray[np.int8]:
    """The backbone's integers, others in the chosen crossbars."""
    frozen = made.quantisers[layer].integers(made.backbone[f"{layer}.weight"]).astype(np.int8)
    where = chosen.expand(LAYERS[layer]).astype(bool).reshape(frozen.shape)
    return np.where(where, integers(random, layer), frozen)


def _owned(random: np.random.Generator, granularity: str) -> SharedContent:
    rows = ROWS if granularity == "column" else None
    owners = {}
    for name, layer in HELD.items():
        shape = mask_shape(layer, granularity, Geometry(rows))
        owners[name] = Mask("owner", granularity, random.integers(0, 3, shape).astype(np.uint8), rows)
    return SharedContent(owners, {name: integers(random, name) for name in HELD})


def _pool(random: np.random.Generator) -> SharedContent:
    weights = _trained(random, "conv1", POOL)
    return SharedContent(weights=weights, quantisers=_fitted(weights), entries=_entries("conv1", POOL))


def _trained(random: np.random.Generator, behind: str, branch: Branch) -> dict[str, NDArray[Any]]:
    """Float weights of a branch's layers."""
    layers = derive_layers(build_graph(_entries(behind, branch)))
    return {
        name: random.normal(size=layer.weight_shape).astype(np.float32)
        for name, layer in layers.items()
        if name not in LAYERS
    }


def _fitted(weights: dict[str, NDArray[Any]]) -> dict[str, Quantiser]:
    return {name: Quantiser.fit(weight, 8) for name, weight in weights.items()}


def _state(random: np.random.Generator, behind: str, branch: Branch) -> dict[str, NDArray[Any]]:
    """Normalisation of a branch."""
    nodes = build_graph(_entries(behind, branch))
    own = {entry.name for entry in branch if entry.op == "batch_norm"}
    return {
        f"{node.name}.{role}": random.normal(size=node.shape[0]).astype(np.float32) ** 2
        for node in nodes
        if node.name in own
        for role in node.parameters
    }


def _entries(behind: str, branch: Branch) -> tuple[Entry, ...]:
    nodes = insert(NODES, {behind: branch})
    return tuple(Entry(node.name, node.op, node.inputs, _plain(node)) for node in nodes)


def _plain(node: Node) -> dict[str, object]:
    return {key: node.attrs[key] for key in OPS[node.op].attrs if node.attrs[key] is not None}
