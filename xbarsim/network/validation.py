"""Whether the parts of a bundle belong together: names, shapes, values, fingerprint.

Every function returns all the faults that it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xbarsim.errors import Fault, did_you_mean
from xbarsim.network.graph import NAME, Layer, Node, derive_layers
from xbarsim.network.manifest import Manifest, MaskInfo, MethodInfo, Quantisation, SharedInfo, TaskInfo
from xbarsim.network.tensors import TensorFile, fingerprint

INPUT_SCALE = "input_scale"
"""Role of the optional step of a crossbar layer's input quantiser: shape ``(1,)``, above zero."""

_NOT_NEGATIVE = "running_var"


@dataclass(frozen=True)
class Parts:
    """The parts of a bundle that the others are held against."""

    path: Path
    manifest: Manifest
    nodes: tuple[Node, ...]
    layers: Mapping[str, Layer]
    graphs: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    """Graphs that methods bring, by method."""
    backbone: TensorFile | None = None
    """The backbone's tensors, if their file can be read."""

    def nodes_of(self, method: str) -> tuple[Node, ...]:
        """The graph that the tasks of a method run."""
        return self.graphs.get(method, self.nodes)

    def layers_of(self, method: str) -> Mapping[str, Layer]:
        """Its crossbar layers."""
        return derive_layers(self.graphs[method]) if method in self.graphs else self.layers

    def shared(self, method: str) -> SharedInfo:
        """What the tasks of a method share."""
        return self.manifest.shared.get(method, SharedInfo())

    @property
    def head(self) -> Layer | None:
        """The classifier, if there is one."""
        return next((layer for layer in self.layers.values() if layer.head), None)

    def fault(self, message: str, place: str) -> Fault:
        """Return a fault of the manifest."""
        return Fault(str(self.path / "manifest.json"), message, place)


def parameter_shape(node: Node, role: str, layers: Mapping[str, Layer], classes: int | None = None) -> tuple[int, ...]:
    """Return the shape of one parameter; ``classes`` replaces the number of outputs of the head."""
    if role == INPUT_SCALE:
        return (1,)
    layer = layers.get(node.name)
    outputs = classes if classes and layer and layer.head else node.shape[0]
    if role == "weight" and layer:
        return outputs, *layer.weight_shape[1:]
    if node.op == "scale":
        return (int(node.attrs["groups"] or outputs),)  # type: ignore[call-overload]
    return (outputs,)


def check_manifest(parts: Parts) -> list[Fault]:
    """Check names, quantisers and heights that the manifest states, without any tensor."""
    faults = []
    manifest, layers = parts.manifest, parts.layers
    for name in layers:
        if name not in manifest.quantisers:
            faults.append(parts.fault(f"no quantiser for layer {name!r}", "quantisers"))
    faults += _check_quantisers(parts, manifest.quantisers, "quantisers", layers)
    for name, task in manifest.tasks.items():
        place = f"tasks.{name}"
        if not NAME.fullmatch(name):
            faults.append(parts.fault(f"{name!r} is not a name: letters, digits, '_', '.', '-'", place))
        for method in task.methods:
            faults += _check_method(parts, task, method, f"{place}.methods.{method}")
            if not NAME.fullmatch(method):
                faults.append(parts.fault(f"{method!r} is not a name", f"{place}.methods"))
    for method, shared in manifest.shared.items():
        faults += _check_shared(parts, method, shared)
    return faults + _check_heights(parts) + _check_strays(parts)


def _check_quantisers(
    parts: Parts,
    quantisers: Mapping[str, Quantisation],
    place: str,
    layers: Mapping[str, Layer],
    classes: int | None = None,
) -> Iterator[Fault]:
    for name, quantisation in quantisers.items():
        here = f"{place}.{name}"
        if name not in layers:
            yield parts.fault(f"no crossbar layer {name!r}{did_you_mean(name, layers)}", here)
            continue
        layer = layers[name]
        outputs = classes if classes and layer.head else layer.c_out
        wanted = 1 if quantisation.axis is None else outputs
        if len(quantisation.scale) != wanted:
            message = f"{len(quantisation.scale)} scales, expected {wanted}: "
            message += "axis is null" if quantisation.axis is None else "one per output channel"
            yield parts.fault(message, f"{here}.scale")
        if quantisation.bits != parts.manifest.weight_bits:
            message = f"{quantisation.bits} differs from weight_bits {parts.manifest.weight_bits}"
            yield parts.fault(message, f"{here}.bits")


def _check_method(parts: Parts, task: TaskInfo, method: str, place: str) -> Iterator[Fault]:
    """Check what one method of one task states."""
    info, layers, head = task.methods[method], parts.layers_of(method), parts.head
    yield from _check_quantisers(parts, info.quantisers, f"{place}.quantisers", layers, task.classes)
    yield from _check_names(parts, layers, place, masks=info.masks, units=info.units, weights=info.weights)
    if head and head.name not in info.quantisers and task.classes != head.c_out:
        scales = parts.manifest.quantisers.get(head.name)
        if scales and scales.axis == 0:
            message = f"{task.classes} classes need a quantiser of their own for the head {head.name!r}"
            yield parts.fault(message, f"{place}.quantisers")
    yield from _check_units(parts, info, place)
    yield from _check_branches(parts, method, info, place)


def _check_names(parts: Parts, layers: Mapping[str, Layer], place: str, **stated: Iterable[str]) -> Iterator[Fault]:
    """Whether every layer named exists and is not the head, whose weights are always the task's own."""
    for key, name in ((key, name) for key, names in stated.items() for name in names):
        if name not in layers:
            yield parts.fault(f"no crossbar layer {name!r}{did_you_mean(name, layers)}", f"{place}.{key}.{name}")
        elif layers[name].head and key != "masks":
            yield parts.fault("the head is always the task's own; leave it out", f"{place}.{key}.{name}")


def _check_units(parts: Parts, info: MethodInfo, place: str) -> Iterator[Fault]:
    """Rewritten crossbars add to the sums of frozen ones, so both have one scale."""
    for name in info.units:
        if name in info.quantisers:
            message = "a layer that is rewritten in part keeps the backbone's quantiser"
            yield parts.fault(message, f"{place}.quantisers.{name}")
        if name not in info.weights:
            message = f"a mask of crossbars or PEs needs the task's weights of layer {name!r}"
            yield parts.fault(message, f"{place}.weights")


def _check_branches(parts: Parts, method: str, info: MethodInfo, place: str) -> Iterator[Fault]:
    """A layer beside the backbone has weights and a quantiser, of the task or of the method."""
    shared = parts.shared(method)
    for name in parts.layers_of(method):
        if name in parts.layers:
            continue
        if name not in info.weights and name not in shared.weights:
            yield parts.fault(f"no weights for layer {name!r} beside the backbone", f"{place}.weights")
        if name not in info.quantisers and name not in shared.quantisers:
            yield parts.fault(f"no quantiser for layer {name!r} beside the backbone", f"{place}.quantisers")


def _check_shared(parts: Parts, method: str, info: SharedInfo) -> Iterator[Fault]:
    """Check what the tasks of a method share, without any tensor."""
    place, layers = f"shared.{method}", parts.layers_of(method)
    using = {name for task in parts.manifest.tasks.values() for name in task.methods}
    if method not in using:
        yield parts.fault(f"no task has tensors of method {method!r}{did_you_mean(method, using)}", place)
    yield from _check_names(parts, layers, place, owners=info.owners, weights=info.weights)
    yield from _check_quantisers(parts, info.quantisers, f"{place}.quantisers", layers)
    for name in info.quantisers:
        if name in parts.layers:
            message = "layers of the backbone keep its quantiser: their weights add up with other owners'"
            yield parts.fault(message, f"{place}.quantisers.{name}")
    for name, mask in info.owners.items():
        if mask.kind != "owner":
            yield parts.fault(f"{mask.kind!r} is not 'owner'", f"{place}.owners.{name}.kind")
    changed = _changed_nodes(parts, method)
    if changed:
        message = f"node {changed!r} of the backbone is not in it as it is; a method adds nodes, it changes none"
        yield Fault(str(parts.path / "graphs" / f"{method}.json"), message)


def _changed_nodes(parts: Parts, method: str) -> str:
    """The first node of the backbone that a method's graph lacks or changes; ``""`` if there is none."""
    known = {node.name: (node.op, node.attrs, node.shape) for node in parts.nodes_of(method)}
    for node in parts.nodes:
        if known.get(node.name) != (node.op, node.attrs, node.shape):
            return node.name
    return ""


def _check_heights(parts: Parts) -> list[Fault]:
    """Column masks of one bundle are learned for one crossbar height."""
    first: tuple[int, str] | None = None
    for place, info in _masks(parts.manifest):
        if info.rows is None:
            continue
        first = first or (info.rows, place)
        if info.rows != first[0]:
            message = f"{info.rows} differs from the {first[0]} of {first[1]}: one height per bundle"
            return [parts.fault(message, f"{place}.rows")]
    return []


def _masks(manifest: Manifest) -> Iterator[tuple[str, MaskInfo]]:
    for task, task_info in manifest.tasks.items():
        for method, info in task_info.methods.items():
            for role, masks in (("masks", info.masks), ("units", info.units)):
                for layer, mask in masks.items():
                    yield f"tasks.{task}.methods.{method}.{role}.{layer}", mask
    for method, shared in manifest.shared.items():
        for layer, mask in shared.owners.items():
            yield f"shared.{method}.owners.{layer}", mask


def _check_strays(parts: Parts) -> list[Fault]:
    """Tensor files that the manifest does not know are probably misspelt in it."""
    faults = []
    manifest = parts.manifest
    for pattern, known, what in (
        ("tasks/*.safetensors", manifest.tasks, "task"),
        ("samples/*.safetensors", manifest.tasks, "task"),
        ("shared/*.safetensors", manifest.shared, "shared method"),
        ("graphs/*.json", manifest.shared, "shared method"),
    ):
        for file in sorted(parts.path.glob(pattern)):
            if file.stem not in known:
                hint = did_you_mean(file.stem, known)
                faults.append(Fault(str(file), f"the manifest has no {what} {file.stem!r}{hint}"))
    return faults


def check_tensor(file: TensorFile, key: str, shape: tuple[int, ...]) -> Iterator[Fault]:
    """Check that a float tensor is there, has this shape and holds only finite, lawful values."""
    name = str(file.path)
    if key not in file:
        yield Fault(name, f"missing tensor{did_you_mean(key, file.tensors)}", key)
        return
    stored = file.tensors[key]
    if stored.shape != shape:
        yield Fault(name, f"shape {list(stored.shape)} is not {list(shape)}", key)
    if stored.dtype.kind != "f":
        yield Fault(name, f"holds {stored.dtype.name}, not floating-point numbers", key)
        return
    values = file.get(key)
    odd = np.count_nonzero(~np.isfinite(values))
    if odd:
        yield Fault(name, f"{odd} of {values.size} values are not finite (NaN or infinite)", key)
    elif key.endswith(f".{INPUT_SCALE}") and (values <= 0).any():
        yield Fault(name, f"{values.min()} is not above zero", key)
    elif key.endswith(f".{_NOT_NEGATIVE}") and (values < 0).any():
        yield Fault(name, f"{values.min()} is negative", key)


def check_unknown(file: TensorFile, known: Iterable[str]) -> Iterator[Fault]:
    """Every tensor of a file must have a use."""
    names = set(known)
    for key in file.tensors:
        if key not in names:
            yield Fault(str(file.path), f"nothing uses this tensor{did_you_mean(key, names)}", key)


def check_backbone(parts: Parts, file: TensorFile) -> list[Fault]:
    """Check every parameter of the backbone, then its fingerprint."""
    faults: list[Fault] = []
    known = set()
    for node in parts.nodes:
        scale = f"{node.name}.{INPUT_SCALE}"
        extra = (INPUT_SCALE,) if node.name in parts.layers and scale in file else ()
        for role in (*node.parameters, *extra):
            known.add(f"{node.name}.{role}")
            shape = parameter_shape(node, role, parts.layers)
            faults += check_tensor(file, f"{node.name}.{role}", shape)
    faults += check_unknown(file, known)
    if not faults:
        found = fingerprint({name: file.get(name) for name in file.tensors})
        if found != parts.manifest.fingerprint:
            message = (
                f"weights changed after the masks were exported: their fingerprint is {found}, "
                f"the manifest says {parts.manifest.fingerprint}; export the bundle again"
            )
            faults.append(Fault(str(file.path), message))
    return faults


def check_samples(parts: Parts, info: TaskInfo, file: TensorFile) -> list[Fault]:
    """Check inputs and labels of one task's samples."""
    name, faults = str(file.path), []
    for key in ("inputs", "labels"):
        if key not in file:
            faults.append(Fault(name, f"missing tensor{did_you_mean(key, file.tensors)}", key))
        elif file.tensors[key].dtype.kind not in "ui":
            faults.append(Fault(name, f"holds {file.tensors[key].dtype.name}, not integers", key))
    faults += check_unknown(file, ("inputs", "labels"))
    if faults:
        return faults
    inputs, labels = file.tensors["inputs"], file.tensors["labels"]
    if inputs.shape[1:] != parts.nodes[0].shape:
        wanted = ["samples", *parts.nodes[0].shape]
        faults.append(Fault(name, f"shape {list(inputs.shape)} is not {wanted}", "inputs"))
    if labels.shape != inputs.shape[:1]:
        faults.append(Fault(name, f"shape {list(labels.shape)} is not {list(inputs.shape[:1])}", "labels"))
    values = file.get("labels")
    if values.size and not (0 <= values.min() and values.max() < info.classes):
        message = f"labels from {values.min()} to {values.max()} are not classes 0 to {info.classes - 1}"
        faults.append(Fault(name, message, "labels"))
    return faults
