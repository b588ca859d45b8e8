"""Small networks written as entries: read back as layer tables, with weights, masks and tasks drawn from a seed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from xbarsim.chip import Chip, load_chip
from xbarsim.network import Network, load_network
from xbarsim.network.graph import Entry


def op(kind: str, name: str, *inputs: str, **attrs: object) -> Entry:
    """One node, as in ``op("conv", "a", "input", out=8, kernel=3)``."""
    return Entry(name, kind, inputs, attrs)


def network(
    shape: tuple[int, int, int], *entries: Entry, tasks: int | Mapping[str, int] = 0, weight_bits: int | None = 8,
    input_bits: int | None = 8, seed: int = 0, **synthetic: float,
) -> Network:  # fmt: skip
    """A network of these nodes over an input of ``shape``; ``tasks`` by number, or classes by name."""
    layers = [{entry.op: entry.name, "inputs": [*entry.inputs], **entry.attrs} for entry in entries]
    drawn = {"tasks": tasks if isinstance(tasks, int) else len(tasks), **synthetic}
    table = {"schema": 1, "name": "small", "input": [*shape], "layers": layers, "synthetic": drawn}
    table |= {k: v for k, v in (("weight_bits", weight_bits), ("input_bits", input_bits)) if v is not None}
    net = _read(yaml.safe_dump(table), seed)
    if isinstance(tasks, int):
        return net
    methods = next(iter(net.task_info.values()))[1]
    named = {name: (classes, methods) for name, classes in tasks.items()}
    return replace(net, task_info=named, store=replace(net.store, tasks=tuple(tasks)))  # type: ignore[type-var]


@lru_cache(maxsize=64)
def _read(text: str, seed: int) -> Network:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.yaml"
        path.write_text(text)
        return load_network(path, seed=seed)


def chain(shape: tuple[int, int, int], *entries: Entry, **options: Any) -> Network:
    """A network whose nodes each read the one before unless they name their inputs."""
    linked: list[Entry] = []
    for entry in entries:
        before = linked[-1].name if linked else "input"
        linked.append(Entry(entry.name, entry.op, entry.inputs or (before,), entry.attrs))
    return network(shape, *linked, **options)


def residual(width: int, channels: int = 8, **options: Any) -> Network:
    """Two 3x3 convolutions beside a skip."""
    return network(
        (channels, width, width),
        op("conv", "start", "input", out=channels, kernel=1),
        op("conv", "one", "start", out=channels, kernel=3, padding=1),
        op("relu", "relu", "one"),
        op("conv", "two", "relu", out=channels, kernel=3, padding=1),
        op("add", "sum", "two", "start"),
        **options,
    )


def tiny(tasks: int = 2, **options: Any) -> Network:
    """A convolution, a pool and a head: the smallest network with everything a switch touches."""
    return chain(
        (2, 6, 6),
        op("conv", "conv", out=8, kernel=3, padding=1),
        op("batch_norm", "bn"),
        op("relu", "relu"),
        op("max_pool", "pool", kernel=2),
        op("conv", "deep", out=16, kernel=3, bias=True),
        op("global_avg_pool", "mean"),
        op("linear", "fc", out=4),
        tasks=tasks, **options,
    )  # fmt: skip


SMALL: Mapping[str, object] = {
    "crossbar.rows": 36,
    "crossbar.cols": 32,
    "chip.tiles": 64,
    "tile.pes": 2,
    "pe.crossbars": 4,
}
"""Overrides that make a chip small enough for a small network to need several tiles."""


def chip(name: str = "xbm_72", overrides: Mapping[str, object] | Sequence[str] = (), **more: object) -> Chip:
    """A chip of the library with overrides; ``adc__bits=7`` stands for ``adc.bits=7``."""
    given = dict(overrides) if isinstance(overrides, Mapping) else dict(one.split("=") for one in overrides)
    return load_chip(name, given | {key.replace("__", "."): value for key, value in more.items()})
