"""Writing a masked-network bundle: checked like any bundle that is read, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import Fault, InputError
from xbarsim.network.bundle import read_bundle
from xbarsim.network.graph import Entry, Node, build_graph, derive_layers
from xbarsim.network.manifest import (
    FORMAT,
    VERSION,
    GraphFile,
    Manifest,
    MaskInfo,
    MethodInfo,
    NodeInfo,
    Quantisation,
    SamplesInfo,
    SharedInfo,
    TaskInfo,
)
from xbarsim.network.masks import Mask
from xbarsim.network.network import Network
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.tensors import fingerprint, write_tensors
from xbarsim.network.validation import parameter_shape

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class MethodContent:
    """What one method stores for one task."""

    state: Arrays
    """Normalisation, biases, input scales and head by state-dict name."""
    masks: Mapping[str, Mask] = field(default_factory=dict)
    """By layer."""
    weights: Arrays = field(default_factory=dict)
    """Weights by layer, the head apart, in the shape of the state dict: floats, or integers of the quantiser."""
    quantisers: Mapping[str, Quantiser] = field(default_factory=dict)
    """By layer: of the head and of the layers in ``weights``."""
    accuracy: Mapping[str, float] | None = None
    """By kind, from 0 to 1."""
    units: Mapping[str, Mask] = field(default_factory=dict)
    """By layer: which crossbars or PEs are rewritten."""


@dataclass(frozen=True)
class SharedContent:
    """What the tasks of one method share."""

    owners: Mapping[str, Mask] = field(default_factory=dict)
    """By layer."""
    weights: Arrays = field(default_factory=dict)
    """Resident weights by layer, where they are not the backbone's."""
    quantisers: Mapping[str, Quantiser] = field(default_factory=dict)
    """By layer beside the backbone."""
    entries: Sequence[Entry] = ()
    """The graph with branches; empty for methods without."""


@dataclass(frozen=True)
class SampleContent:
    """Held-out samples as small integers."""

    inputs: NDArray[np.integer]
    """``(samples, channels, height, width)``."""
    labels: NDArray[np.integer]
    """``(samples,)``."""
    scale: float
    """Input = stored integer x scale."""
    split: str
    """How the samples are found again in their public data set."""


@dataclass(frozen=True)
class TaskContent:
    """One task."""

    classes: int
    methods: Mapping[str, MethodContent]
    samples: SampleContent | None = None


@dataclass(frozen=True)
class BundleContent:
    """All that goes into a bundle."""

    name: str
    generator: str
    entries: Sequence[Entry]
    """The graph in topological order, input first."""
    backbone: Arrays
    """Every parameter by state-dict name; normalisation not folded."""
    quantisers: Mapping[str, Quantiser]
    """By crossbar layer."""
    tasks: Mapping[str, TaskContent]
    weight_bits: int = 8
    input_bits: int = 8
    shared: Mapping[str, SharedContent] = field(default_factory=dict)
    """By method."""


def write_bundle(path: Path, content: BundleContent, *, overwrite: bool = False) -> Network:
    """Write the bundle to the folder ``path`` and return it as read back.

    It is written beside its place, checked and then renamed: a fault or an interruption leaves
    nothing behind. Raises :class:`InputError` with every fault, :class:`GraphError` for the graph.
    """
    if path.exists() and not overwrite:
        raise InputError(Fault(str(path), "exists already; nothing was written"))
    made = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    made.mkdir(parents=True)
    try:
        _write_files(made, content)
        _check(made, path)
        _rename(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return read_bundle(path)


def _check(made: Path, path: Path) -> None:
    """Read what was written; faults speak of the place it was meant for."""
    try:
        read_bundle(made)
    except InputError as error:
        faults = [replace(fault, file=fault.file.replace(str(made), str(path))) for fault in error.faults]
        raise InputError(faults) from None


def _rename(made: Path, path: Path) -> None:
    old = made.with_suffix(".old")
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(made, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_files(folder: Path, content: BundleContent) -> None:
    nodes = build_graph(content.entries)
    _write_json(folder / "graph.json", _graph(nodes))
    _write_json(folder / "manifest.json", _manifest(content))
    write_tensors(folder / "backbone.safetensors", content.backbone)
    for name, task in content.tasks.items():
        (folder / "tasks").mkdir(exist_ok=True)
        write_tensors(folder / "tasks" / f"{name}.safetensors", _task_tensors(task))
        if task.samples:
            (folder / "samples").mkdir(exist_ok=True)
            arrays = {"inputs": task.samples.inputs, "labels": task.samples.labels}
            write_tensors(folder / "samples" / f"{name}.safetensors", arrays)
    for method, shared in content.shared.items():
        _write_shared(folder, method, shared)


def _write_shared(folder: Path, method: str, shared: SharedContent) -> None:
    if shared.entries:
        (folder / "graphs").mkdir(exist_ok=True)
        _write_json(folder / "graphs" / f"{method}.json", _graph(build_graph(shared.entries)))
    tensors = {f"owners/{layer}": mask.values for layer, mask in shared.owners.items()}
    tensors |= {f"weights/{layer}": array for layer, array in shared.weights.items()}
    if tensors:
        (folder / "shared").mkdir(exist_ok=True)
        write_tensors(folder / "shared" / f"{method}.safetensors", tensors)


def _write_json(path: Path, value: GraphFile | Manifest) -> None:
    text = json.dumps(value.model_dump(mode="json", exclude_defaults=True), indent=1, allow_nan=False)
    path.write_text(text + "\n", "utf-8")


def _graph(nodes: Sequence[Node]) -> GraphFile:
    layers = derive_layers(nodes)
    infos = [
        NodeInfo(
            name=node.name,
            op=node.op,
            inputs=list(node.inputs),
            attrs=node.written,
            parameters={role: list(parameter_shape(node, role, layers)) for role in node.parameters},
            shape=list(node.shape),
        )
        for node in nodes
    ]
    return GraphFile(version=1, nodes=infos)


def _manifest(content: BundleContent) -> Manifest:
    return Manifest(
        format=FORMAT,
        version=VERSION,
        generator=content.generator,
        name=content.name,
        fingerprint=fingerprint(content.backbone),
        weight_bits=content.weight_bits,
        input_bits=content.input_bits,
        quantisers=_described(content.quantisers),
        tasks={name: _task_info(task) for name, task in content.tasks.items()},
        shared={
            method: SharedInfo(
                graph=bool(shared.entries),
                owners={layer: MaskInfo.of(mask, f"owners/{layer}") for layer, mask in shared.owners.items()},
                weights=list(shared.weights),
                quantisers=_described(shared.quantisers),
            )
            for method, shared in content.shared.items()
        },
    )


def _described(quantisers: Mapping[str, Quantiser]) -> dict[str, Quantisation]:
    return {layer: Quantisation.of(quantiser) for layer, quantiser in quantisers.items()}


def _task_info(task: TaskContent) -> TaskInfo:
    samples = task.samples
    return TaskInfo(
        classes=task.classes,
        methods={name: _method_info(name, method) for name, method in task.methods.items()},
        samples=SamplesInfo(scale=samples.scale, split=samples.split) if samples else None,
    )


def _method_info(name: str, method: MethodContent) -> MethodInfo:
    return MethodInfo(
        masks={layer: MaskInfo.of(mask, f"{name}/masks/{layer}") for layer, mask in method.masks.items()},
        units={layer: MaskInfo.of(mask, f"{name}/units/{layer}") for layer, mask in method.units.items()},
        weights=list(method.weights),
        quantisers=_described(method.quantisers),
        accuracy=dict(method.accuracy) if method.accuracy else None,
    )


def _task_tensors(task: TaskContent) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    for name, method in task.methods.items():
        tensors |= {f"{name}/state/{key}": array for key, array in method.state.items()}
        tensors |= {f"{name}/weights/{layer}": array for layer, array in method.weights.items()}
        tensors |= {f"{name}/masks/{layer}": mask.values for layer, mask in method.masks.items()}
        tensors |= {f"{name}/units/{layer}": mask.values for layer, mask in method.units.items()}
    return tensors
