"""Reading a masked-network bundle ``NAME.xmn/``.

``manifest.json``, ``graph.json``, ``backbone.safetensors``, ``tasks/TASK.safetensors`` and, where the
bundle brings data, ``samples/TASK.safetensors``. In a task's file stand the tensors
``METHOD/state/NAME`` (normalisation, biases, input scales and head by state-dict name),
``METHOD/weights/LAYER`` (weights of the task's own, floats or integers) and the masks under the keys
that the manifest states. What the tasks of a method share stands in ``shared/METHOD.safetensors``:
owners of weights or columns and ``weights/LAYER``; a method with branches beside the backbone brings
``graphs/METHOD.json``. Everything is checked before anything is used; see
:mod:`xbarsim.network.validation` and :mod:`xbarsim.network.validation_tasks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import Fault, InputError
from xbarsim.network.graph import NAME, Entry, GraphError, Layer, Node, build_graph, derive_layers
from xbarsim.network.manifest import GraphFile, Manifest, TaskInfo, check_version, read_json
from xbarsim.network.masks import Coding, Geometry, Mask
from xbarsim.network.network import Network, Samples, Tensors
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.tensors import TensorFile, open_tensors
from xbarsim.network.validation import (
    Parts,
    check_backbone,
    check_manifest,
    check_samples,
    parameter_shape,
)
from xbarsim.network.validation_tasks import check_shared, check_task


@dataclass(frozen=True)
class TaskFiles:
    """What the bundle has for one task."""

    info: TaskInfo
    tensors: TensorFile
    samples: TensorFile | None


@dataclass(frozen=True)
class BundleStore:
    """Reads what :class:`xbarsim.network.network.Store` promises from a checked bundle."""

    manifest: Manifest
    layers: Mapping[str, Layer]
    backbone: TensorFile
    tasks: Mapping[str, TaskFiles]
    together: Mapping[str, TensorFile]
    """What the tasks of a method share, by method."""
    graphs: Mapping[str, tuple[Node, ...]]
    """Graphs with branches, by method."""

    def integers(self, layer: Layer, bits: int) -> NDArray[np.signedinteger]:
        """Backbone integers ``(c_out, rows)``."""
        return self.quantiser(layer, bits, "", "").held(self.backbone.get(f"{layer.name}.weight"))

    def quantiser(self, layer: Layer, bits: int, task: str, method: str) -> Quantiser:
        """The task's quantiser of the layer where it has one, or else the method's or the backbone's."""
        known = dict(self.manifest.quantisers)
        if method in self.manifest.shared:
            known |= self.manifest.shared[method].quantisers
        if task:
            known |= self.tasks[task].info.methods[method].quantisers
        return known[layer.name].quantiser()

    def state(self, task: str, method: str) -> Tensors:
        """Parameters by state-dict name; of the backbone all but the crossbar weights."""
        if not task:
            held = {f"{layer.name}.weight" for layer in self.layers.values() if not layer.head}
            return {name: self.backbone.get(name) for name in self.backbone.tensors if name not in held}
        prefix, file = f"{method}/state/", self.tasks[task].tensors
        return {name[len(prefix) :]: file.get(name) for name in file.tensors if name.startswith(prefix)}

    def mask(self, task: str, method: str, layer: Layer, rows: int | None, aligned: bool) -> Mask | None:
        """The mask as it was learned, whatever rows are wanted."""
        files = self.tasks[task]
        info = files.info.methods[method].masks.get(layer.name)
        return info.mask(files.tensors.get(info.key)) if info else None

    def units(self, task: str, method: str, layer: Layer, geometry: Geometry) -> Mask | None:
        """The mask as it was learned, whatever crossbars are wanted."""
        files = self.tasks[task]
        info = files.info.methods[method].units.get(layer.name)
        return info.mask(files.tensors.get(info.key)) if info else None

    def owners(self, method: str, layer: Layer, rows: int | None, aligned: bool) -> Mask | None:
        """Owners as they were learned, whatever rows are wanted."""
        shared = self.manifest.shared.get(method)
        info = shared.owners.get(layer.name) if shared else None
        return info.mask(self.together[method].get(info.key)) if info else None

    def shared(self, method: str, layer: Layer, bits: int) -> NDArray[np.signedinteger] | None:
        """Resident weights of a method that are not the backbone's."""
        shared = self.manifest.shared.get(method)
        if shared is None or layer.name not in shared.weights:
            return None
        return self.quantiser(layer, bits, "", method).held(self.together[method].get(f"weights/{layer.name}"))

    def tensors(self, task: str, method: str) -> Mapping[str, Coding | None]:
        """Masks and weights of one task, and of all tasks of the method."""
        info, shared = self.tasks[task].info.methods[method], self.manifest.shared.get(method)
        found: dict[str, Coding | None] = {}
        for role, masks in (("masks", info.masks), ("units", info.units), ("owners", shared.owners if shared else {})):
            found |= {f"{role}/{layer}": mask.coding for layer, mask in masks.items()}
        found |= {f"weights/{layer}": None for layer in info.weights}
        return found | {f"shared/{layer}": None for layer in (shared.weights if shared else ())}

    def graph(self, method: str) -> tuple[Node, ...] | None:
        """The graph with a method's branches."""
        return self.graphs.get(method)

    def extended(self, layers: Mapping[str, Layer], nodes: tuple[Node, ...]) -> BundleStore:
        """Every tensor is found by name: nothing changes."""
        return self

    def weights(self, task: str, method: str, layer: Layer, bits: int) -> NDArray[np.signedinteger] | None:
        """The task's own head and fine-tuned weights, quantised."""
        files = self.tasks[task]
        if layer.head:
            key = f"{method}/state/{layer.name}.weight"
        elif layer.name in files.info.methods[method].weights:
            key = f"{method}/weights/{layer.name}"
        else:
            return None
        return self.quantiser(layer, bits, task, method).held(files.tensors.get(key))

    def accuracy(self, task: str, method: str) -> Mapping[str, float] | None:
        """Accuracies from the manifest."""
        return self.tasks[task].info.methods[method].accuracy

    def samples(self, task: str) -> Samples | None:
        """Samples, scaled to the network's input."""
        files = self.tasks[task]
        if files.samples is None or files.info.samples is None:
            return None
        inputs = files.samples.get("inputs").astype(np.float32) * np.float32(files.info.samples.scale)
        return Samples(inputs, files.samples.get("labels").astype(np.int64), files.info.samples.split)


def read_bundle(path: Path) -> Network:
    """Read and check a bundle; raises :class:`InputError` with every fault, its file and its place."""
    if not path.is_dir():
        raise InputError(Fault(str(path), "is not a folder; a bundle is a folder NAME.xmn"))
    check_version(path / "manifest.json")
    faults: list[Fault] = []
    manifest = _gathered(faults, read_json, path / "manifest.json", Manifest)
    nodes = _gathered(faults, _read_graph, path / "graph.json")
    backbone = _gathered(faults, open_tensors, path / "backbone.safetensors")
    if manifest is None or nodes is None or backbone is None:
        raise InputError(faults)
    graphs, together = _methods(faults, path, manifest)
    parts = Parts(path, manifest, nodes, derive_layers(nodes), graphs, backbone)
    faults += check_manifest(parts)
    faults += check_backbone(parts, backbone)
    for method, file in together.items():
        faults += check_shared(parts, method, file)
    tasks = {}
    for name, info in manifest.tasks.items():
        files = _gathered(faults, _task_files, path, name, info) if NAME.fullmatch(name) else None
        if files:
            tasks[name] = files
            faults += check_task(parts, name, files.tensors, together)
            faults += check_samples(parts, info, files.samples) if files.samples else []
    if faults:
        raise InputError(faults)
    return _network(path, nodes, BundleStore(manifest, parts.layers, backbone, tasks, together, graphs))


def _methods(
    faults: list[Fault], path: Path, manifest: Manifest
) -> tuple[dict[str, tuple[Node, ...]], dict[str, TensorFile]]:
    """Read the graphs and the tensors that the tasks of a method share."""
    graphs, together = {}, {}
    for method, shared in manifest.shared.items():
        if not NAME.fullmatch(method):
            faults.append(Fault(str(path / "manifest.json"), f"{method!r} is not a name", "shared"))
            continue
        nodes = _gathered(faults, _read_graph, path / "graphs" / f"{method}.json") if shared.graph else None
        if nodes:
            graphs[method] = nodes
        file = path / "shared" / f"{method}.safetensors"
        held = _gathered(faults, open_tensors, file) if shared.owners or shared.weights else None
        if held:
            together[method] = held
    return graphs, together


Part = TypeVar("Part")


def _gathered(faults: list[Fault], read: Callable[..., Part], *args: Any) -> Part | None:
    """Return what ``read`` returns; where it raises, keep its faults and return nothing."""
    try:
        return read(*args)
    except InputError as error:
        faults.extend(error.faults)
        return None


def _read_graph(path: Path) -> tuple[Node, ...]:
    """Read ``graph.json``, infer every shape and compare with what the file says."""
    infos = read_json(path, GraphFile).nodes
    entries = [Entry(info.name, info.op, tuple(info.inputs), info.attrs) for info in infos]
    try:
        nodes = build_graph(entries)
    except GraphError as error:
        raise InputError(
            [
                Fault(str(path), message, f"nodes.{index}.{infos[index].name}" + (f".{attr}" if attr else ""))
                for index, attr, message in error.faults
            ]
        ) from None
    layers = derive_layers(nodes)
    faults = []
    for index, (info, node) in enumerate(zip(infos, nodes, strict=True)):
        place = f"nodes.{index}.{info.name}"
        if tuple(info.shape) != node.shape:
            faults.append(Fault(str(path), f"{info.shape} is not {list(node.shape)}", f"{place}.shape"))
        wanted = {role: list(parameter_shape(node, role, layers)) for role in node.parameters}
        if info.parameters != wanted:
            message = f"{info.parameters} is not {wanted}"
            faults.append(Fault(str(path), message, f"{place}.parameters"))
    if faults:
        raise InputError(faults)
    return nodes


def _task_files(path: Path, name: str, info: TaskInfo) -> TaskFiles:
    tensors = open_tensors(path / "tasks" / f"{name}.safetensors")
    samples = open_tensors(path / "samples" / f"{name}.safetensors") if info.samples else None
    return TaskFiles(info, tensors, samples)


def _network(path: Path, nodes: tuple[Node, ...], store: BundleStore) -> Network:
    manifest = store.manifest
    methods = [method for task in manifest.tasks.values() for method in task.methods.values()]
    masks = [mask for method in methods for mask in (*method.masks.values(), *method.units.values())]
    rows = {mask.rows for mask in masks if mask.rows}
    aligned = {mask.kernel_aligned for method in methods for mask in method.masks.values() if mask.rows}
    return Network(
        name=manifest.name,
        nodes=nodes,
        layers=store.layers,
        weight_bits=manifest.weight_bits,
        input_bits=manifest.input_bits,
        synthetic=False,
        mask_rows=rows.pop() if rows else None,
        mask_aligned=any(aligned),
        source=str(path),
        fingerprint=manifest.fingerprint,
        task_info={name: (task.classes, tuple(task.methods)) for name, task in manifest.tasks.items()},
        store=store,
    )
