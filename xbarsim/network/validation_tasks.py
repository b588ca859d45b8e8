"""Whether the tensors of a task, and those that the tasks of a method share, are what the manifest says.

Every function returns or yields all the faults that it finds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xbarsim.errors import Fault, did_you_mean
from xbarsim.network.graph import Layer
from xbarsim.network.manifest import MaskInfo, TaskInfo
from xbarsim.network.masks import UNITS, check_coding, check_mask
from xbarsim.network.tensors import TensorFile
from xbarsim.network.validation import INPUT_SCALE, Parts, check_tensor, check_unknown, parameter_shape


def check_task(parts: Parts, name: str, file: TensorFile, shared: dict[str, TensorFile]) -> list[Fault]:
    """Check masks, weights and state of every method of one task; ``shared`` holds the methods' own files."""
    task = parts.manifest.tasks[name]
    faults: list[Fault] = []
    known: set[str] = set()
    for method, info in task.methods.items():
        layers = parts.layers_of(method)
        for role, masks in (("masks", info.masks), ("units", info.units)):
            for layer, mask in masks.items():
                known.add(mask.key)
                if layer in layers:
                    faults += _check_mask(file, role, mask, layers[layer])
                    faults += _check_picks(parts, name, method, layer, file, shared.get(method))
        for layer in info.weights:
            known.add(f"{method}/weights/{layer}")
            if layer in layers:
                faults += _check_weights(parts, file, f"{method}/weights/{layer}", layers[layer])
        for key, shape in _state_shapes(parts, task, method, file):
            known.add(key)
            faults += check_tensor(file, key, shape)
        if not faults:
            faults += _check_frozen(parts, name, method, file)
    return [*faults, *check_unknown(file, known)]


def check_shared(parts: Parts, method: str, file: TensorFile) -> list[Fault]:
    """Check owners and resident weights that the tasks of one method share."""
    info, layers = parts.manifest.shared[method], parts.layers_of(method)
    faults: list[Fault] = []
    known = {mask.key for mask in info.owners.values()}
    for layer, mask in info.owners.items():
        if layer in layers:
            faults += _check_mask(file, "owners", mask, layers[layer], len(parts.manifest.tasks))
    for layer in info.weights:
        known.add(f"weights/{layer}")
        if layer in layers:
            faults += _check_weights(parts, file, f"weights/{layer}", layers[layer])
    return [*faults, *check_unknown(file, known)]


def _check_mask(
    file: TensorFile, role: str, info: MaskInfo, layer: Layer, owners: int | None = None
) -> Iterator[Fault]:
    """Check one mask: that it is there, stands under the right role, and holds what it says."""
    if info.key not in file:
        yield Fault(str(file.path), f"missing tensor{did_you_mean(info.key, file.tensors)}", info.key)
        return
    for message in check_mask(info.mask(file.get(info.key)), layer, owners):
        yield Fault(str(file.path), message, info.key)
    if check_coding(info.coding):
        return
    wanted = "owners" if info.kind == "owner" else "units" if info.granularity in UNITS else "masks"
    if role != wanted:
        message = f"a {info.granularity} mask of kind {info.kind!r} belongs under {wanted!r}, not {role!r}"
        yield Fault(str(file.path), message, info.key)


def _check_picks(
    parts: Parts, task: str, method: str, layer: str, file: TensorFile, shared: TensorFile | None
) -> Iterator[Fault]:
    """A task picks from older owners only; what is its own needs no pick."""
    info = parts.manifest.tasks[task].methods[method].masks.get(layer)
    if info is None or info.kind != "pick" or info.key not in file:
        return
    owned = parts.shared(method).owners.get(layer)
    if owned is None or owned.granularity != info.granularity:
        yield Fault(str(file.path), f"a pick mask needs owners by {info.granularity} of layer {layer!r}", info.key)
        return
    if shared is None or owned.key not in shared:
        return
    number = list(parts.manifest.tasks).index(task) + 1
    picks, owners = file.get(info.key), shared.get(owned.key)
    if picks.shape == owners.shape and (picks.astype(bool) & (owners >= number)).any():
        message = f"picks what task {task!r} (owner {number}) owns itself, or what a younger task owns"
        yield Fault(str(file.path), message, info.key)


def _check_weights(parts: Parts, file: TensorFile, key: str, layer: Layer) -> Iterator[Fault]:
    """Weights are floats, or already the integers of the layer's quantiser."""
    if key not in file or file.tensors[key].dtype.kind != "i":
        yield from check_tensor(file, key, layer.weight_shape)
        return
    name, stored = str(file.path), file.tensors[key]
    if stored.shape != layer.weight_shape:
        yield Fault(name, f"shape {list(stored.shape)} is not {list(layer.weight_shape)}", key)
    values, bits = file.get(key).astype(np.int64), parts.manifest.weight_bits
    limit = 1 << (bits - 1)
    if values.size and not (-limit <= values.min() and values.max() < limit):
        yield Fault(name, f"integers from {values.min()} to {values.max()} do not fit {bits} bits", key)


def _check_frozen(parts: Parts, task: str, method: str, file: TensorFile) -> Iterator[Fault]:
    """Weights outside the chosen crossbars are the backbone's."""
    info = parts.manifest.tasks[task].methods[method]
    for name, mask in info.units.items():
        key, layer = f"{method}/weights/{name}", parts.layers.get(name)
        if layer is None or key not in file or parts.backbone is None:
            continue
        quantiser = parts.manifest.quantisers[name].quantiser()
        own, frozen = (quantiser.held(w) for w in (file.get(key), parts.backbone.get(f"{name}.weight")))
        rewritten = mask.mask(file.get(mask.key)).expand(layer).astype(bool)
        odd = np.count_nonzero((own != frozen) & ~rewritten)
        if odd:
            yield Fault(str(file.path), f"{odd} weights differ from the backbone's outside the chosen units", key)


def _state_shapes(parts: Parts, task: TaskInfo, method: str, file: TensorFile) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the state tensors that a method must have, and those that it has, with their shapes.

    The head and the nodes of branches must be there; a normalisation that the task changes must be
    there as a whole; biases and input scales may be.
    """
    layers, own = parts.layers_of(method), {node.name for node in parts.nodes}
    for node in parts.nodes_of(method):
        layer = layers.get(node.name)
        roles = node.parameters if layer is None or layer.head else ()
        optional: tuple[str, ...] = ()
        if layer:
            optional = ("bias", INPUT_SCALE) if layer.bias and not layer.head else (INPUT_SCALE,)
        prefix = f"{method}/state/{node.name}."
        must = bool(layer and layer.head) or node.name not in own
        must = must or any(f"{prefix}{role}" in file for role in roles)
        for role in (*roles, *optional):
            if f"{prefix}{role}" in file or (must and role in roles):
                yield f"{prefix}{role}", parameter_shape(node, role, layers, task.classes)
