"""Whether the parts of a bundle belong together: names, shapes, values, fingerprint.

Every function returns all the faults that it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xbarsim.errors import Fault, did_you_mean
from xbarsim.network.graph import NAME, Layer, Node
from xbarsim.network.manifest import Manifest, MaskInfo, MethodInfo, Quantisation, TaskInfo
from xbarsim.network.masks import Mask, check_mask
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
    return (outputs,)


def check_manifest(parts: Parts) -> list[Fault]:
    """Check names, quantisers and heights that the manifest states, without any tensor."""
    faults = []
    manifest, layers = parts.manifest, parts.layers
    for name in layers:
        if name not in manifest.quantisers:
            faults.append(parts.fault(f"no quantiser for layer {name!r}", "quantisers"))
    faults += _check_quantisers(parts, manifest.quantisers, "quantisers", None)
    for name, task in manifest.tasks.items():
        place = f"tasks.{name}"
        if not NAME.fullmatch(name):
            faults.append(parts.fault(f"{name!r} is not a name: letters, digits, '_', '.', '-'", place))
        for method, info in task.methods.items():
            faults += _check_method(parts, task, info, f"{place}.methods.{method}")
            if not NAME.fullmatch(method):
                faults.append(parts.fault(f"{method!r} is not a name", f"{place}.methods"))
    return faults + _check_heights(parts) + _check_strays(parts)


def _check_quantisers(
    parts: Parts, quantisers: Mapping[str, Quantisation], place: str, classes: int | None
) -> Iterator[Fault]:
    for name, quantisation in quantisers.items():
        here = f"{place}.{name}"
        if name not in parts.layers:
            yield parts.fault(f"no crossbar layer {name!r}{did_you_mean(name, parts.layers)}", here)
            continue
        layer = parts.layers[name]
        outputs = classes if classes and layer.head else layer.c_out
        wanted = 1 if quantisation.axis is None else outputs
        if len(quantisation.scale) != wanted:
            message = f"{len(quantisation.scale)} scales, expected {wanted}: "
            message += "axis is null" if quantisation.axis is None else "one per output channel"
            yield parts.fault(message, f"{here}.scale")
        if quantisation.bits != parts.manifest.weight_bits:
            message = f"{quantisation.bits} differs from weight_bits {parts.manifest.weight_bits}"
            yield parts.fault(message, f"{here}.bits")


def _check_method(parts: Parts, task: TaskInfo, info: MethodInfo, place: str) -> Iterator[Fault]:
    """Check what one method of one task states."""
    head = parts.head
    yield from _check_quantisers(parts, info.quantisers, f"{place}.quantisers", task.classes)
    named = ((name, "masks") for name in info.masks), ((name, "weights") for name in info.weights)
    for name, key in (pair for pairs in named for pair in pairs):
        if name not in parts.layers:
            hint = did_you_mean(name, parts.layers)
            yield parts.fault(f"no crossbar layer {name!r}{hint}", f"{place}.{key}.{name}")
        elif head and name == head.name and key == "weights":
            yield parts.fault("the head is always the task's own; leave it out", f"{place}.{key}.{name}")
    if head and head.name not in info.quantisers and task.classes != head.c_out:
        scales = parts.manifest.quantisers.get(head.name)
        if scales and scales.axis == 0:
            message = f"{task.classes} classes need a quantiser of their own for the head {head.name!r}"
            yield parts.fault(message, f"{place}.quantisers")


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
            for layer, mask in info.masks.items():
                yield f"tasks.{task}.methods.{method}.masks.{layer}", mask


def _check_strays(parts: Parts) -> list[Fault]:
    """Tensor files that the manifest does not know are probably misspelt in it."""
    faults = []
    for folder in ("tasks", "samples"):
        for file in sorted((parts.path / folder).glob("*.safetensors")):
            if file.stem not in parts.manifest.tasks:
                hint = did_you_mean(file.stem, parts.manifest.tasks)
                faults.append(Fault(str(file), f"the manifest has no task {file.stem!r}{hint}"))
    return faults


def _check_tensor(file: TensorFile, key: str, shape: tuple[int, ...]) -> Iterator[Fault]:
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


def _check_unknown(file: TensorFile, known: Iterable[str]) -> Iterator[Fault]:
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
            faults += _check_tensor(file, f"{node.name}.{role}", shape)
    faults += _check_unknown(file, known)
    if not faults:
        found = fingerprint({name: file.get(name) for name in file.tensors})
        if found != parts.manifest.fingerprint:
            message = (
                f"weights changed after the masks were exported: their fingerprint is {found}, "
                f"the manifest says {parts.manifest.fingerprint}; export the bundle again"
            )
            faults.append(Fault(str(file.path), message))
    return faults


def check_task(parts: Parts, name: str, file: TensorFile) -> list[Fault]:
    """Check masks, weights and state of every method of one task."""
    task = parts.manifest.tasks[name]
    faults: list[Fault] = []
    known: set[str] = set()
    for method, info in task.methods.items():
        for layer, mask in info.masks.items():
            known.add(mask.key)
            if layer in parts.layers:
                faults += _check_mask(file, mask, parts.layers[layer])
        for layer in info.weights:
            known.add(f"{method}/weights/{layer}")
            if layer in parts.layers:
                shape = parts.layers[layer].weight_shape
                faults += _check_tensor(file, f"{method}/weights/{layer}", shape)
        for key, shape in _state_shapes(parts, task, f"{method}/state/", file):
            known.add(key)
            faults += _check_tensor(file, key, shape)
    return [*faults, *_check_unknown(file, known)]


def _check_mask(file: TensorFile, info: MaskInfo, layer: Layer) -> Iterator[Fault]:
    if info.key not in file:
        yield Fault(str(file.path), f"missing tensor{did_you_mean(info.key, file.tensors)}", info.key)
        return
    values = file.get(info.key)
    mask = Mask(info.kind, info.granularity, values, info.rows, info.row_order, info.kernel_aligned)
    for message in check_mask(mask, layer):
        yield Fault(str(file.path), message, info.key)


def _state_shapes(parts: Parts, task: TaskInfo, prefix: str, file: TensorFile) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the state tensors that a method must have, and those that it has, with their shapes.

    The head must be there; a normalisation that the task changes must be there as a whole; biases and
    input scales may be.
    """
    for node in parts.nodes:
        layer = parts.layers.get(node.name)
        roles = node.parameters if layer is None or layer.head else ()
        optional: tuple[str, ...] = ()
        if layer:
            optional = ("bias", INPUT_SCALE) if layer.bias and not layer.head else (INPUT_SCALE,)
        must = bool(layer and layer.head) or any(f"{prefix}{node.name}.{role}" in file for role in roles)
        for role in (*roles, *optional):
            key = f"{prefix}{node.name}.{role}"
            if key in file or (must and role in roles):
                yield key, parameter_shape(node, role, parts.layers, task.classes)


def check_samples(parts: Parts, info: TaskInfo, file: TensorFile) -> list[Fault]:
    """Check inputs and labels of one task's samples."""
    name, faults = str(file.path), []
    for key in ("inputs", "labels"):
        if key not in file:
            faults.append(Fault(name, f"missing tensor{did_you_mean(key, file.tensors)}", key))
        elif file.tensors[key].dtype.kind not in "ui":
            faults.append(Fault(name, f"holds {file.tensors[key].dtype.name}, not integers", key))
    faults += _check_unknown(file, ("inputs", "labels"))
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
