"""Checkpoints whose weights have owners: PackNet and CPG.

In the files 0 is a weight that nobody owns (it counts as 0) and k the k-th data set; in a bundle 0 is the
backbone and k the bundle's k-th task. Weights that nobody owns stay with the backbone's number, as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from xbarsim.learning.checkpoint_load import Stand, attribute, modules
from xbarsim.learning.checkpoint_parts import NORM, Array, Names, Reading, head_parts, laid_out, listed, norms, numpy
from xbarsim.network.bundle_writer import MethodContent, SharedContent
from xbarsim.network.graph import Layer
from xbarsim.network.importers.content import Imported
from xbarsim.network.masks import Mask
from xbarsim.network.network import Network

PICKED = 5e-3
"""Above it a real-valued mask of CPG picks an older weight (``DEFAULT_THRESHOLD`` of the public code)."""

CPG_NORM = {f"bn_layer_{role}": role for role in NORM}
"""CPG's tables of normalisation, one for every role."""

EMPTY = {"running_var": 1.0}
"""What channels hold that a task did not have before the network grew; 0 elsewhere."""


@dataclass(frozen=True)
class Owned:
    """Owners and weights of the layers, and the tasks in the order in which they were learned."""

    tasks: tuple[str, ...]
    owners: Mapping[str, Array]
    """By layer, ``(c_out, rows)``: 0 nobody, k the k-th task."""
    weights: Mapping[str, Array]
    """By layer, in the shape of the state dict."""


@laid_out("packnet")
def read_packnet(
    path: Path, backbone: Network | str | Path, *, names: Names | None = None, trust_pickle: bool = False
) -> Imported:
    """Read a checkpoint of PackNet: ``previous_masks`` with an owner per weight, ``dataset2idx`` and the ``model``.

    The model is a pickled object in the original files (``trust_pickle``); a state dict with names ``shared.…`` and
    ``classifiers.K.…`` is read as well. Raises :class:`InputError` with every fault.
    """
    reading = Reading.of(path, backbone, names or Names(), trust_pickle)
    numbers, masks = reading.table("dataset2idx"), reading.table("previous_masks")
    biases = reading.table("dataset2biases", optional=True)
    reading.stop()
    tasks = _in_order(reading, numbers)
    model = _Model(reading, reading.held.get("model"))
    owned = _owned(reading, tasks, masks, model.weights)
    made = {}
    for place, task in enumerate(tasks):
        state = reading.head_of(*model.head(place), f"{task}.classifier")
        own = reading.table(task, biases, "dataset2biases", optional=True)
        state |= reading.state_of(model.norms | _biases(reading, own, task), task)
        made[task] = ("packnet", reading.method(state))
    return _with_owners(reading, "packnet", owned, made)


def _in_order(reading: Reading, numbers: Mapping[Any, Any]) -> tuple[str, ...]:
    """The data sets by their number, which counts from 1."""
    found = {}
    for name, number in numbers.items():
        single = isinstance(number, int) or (isinstance(number, Tensor) and number.numel() == 1)
        found[str(name)] = int(number) if single else 0
    if sorted(found.values()) != list(range(1, len(found) + 1)):
        reading.fault(f"numbers data sets {dict(numbers)}; expected 1, 2, … in order", "dataset2idx")
        reading.stop()
    return tuple(sorted(found, key=lambda name: found[name]))


class _Model:
    """Weights, normalisation and heads of a model, whether an object or a state dict."""

    def __init__(self, reading: Reading, model: Any) -> None:
        self.weights: dict[Any, Array] = {}
        self.norms: dict[str, object] = {}
        self._model = model
        shared = attribute(model, "shared")
        if isinstance(model, Mapping):
            entries = {str(name): value for name, value in model.items() if isinstance(value, Tensor)}
            for name, value in entries.items():
                inner, _, role = name.removeprefix("module.").removeprefix("shared.").rpartition(".")
                if role == "weight" and value.ndim > 1 and not inner.startswith("classifiers."):
                    self.weights[inner] = numpy(value)
        elif isinstance(shared, nn.Module | Stand):
            known = bool(reading.names.order)
            for place, (name, module) in enumerate(modules(shared)):
                weight = attribute(module, "weight")
                if isinstance(weight, Tensor) and weight.ndim > 1:
                    self.weights[name] = self.weights[place] = numpy(weight)
            self.names = tuple(name for name, _ in modules(shared))
            if not known:
                reading.names = replace(reading.names, order=self.names)
                self.norms = dict(norms(shared))
        else:
            reading.fault("is neither a model with a part 'shared' nor a state dict", "model")
        reading.stop()

    def head(self, place: int) -> tuple[object, object]:
        """Weight and bias of the ``place``-th classifier."""
        if isinstance(self._model, Mapping):
            return tuple(self._model.get(f"classifiers.{place}.{role}") for role in ("weight", "bias"))  # type: ignore[return-value]
        return head_parts(attribute(attribute(self._model, "classifiers"), str(place)))


def _owned(reading: Reading, tasks: Sequence[str], masks: Mapping[Any, Any], weights: Mapping[Any, Array]) -> Owned:
    """Owners and weights by the backbone's names, shapes checked."""
    owners, resident = {}, {}
    for key, mask in masks.items():
        layer, array = reading.layer(key, "masks"), reading.array(mask, f"masks.{key}")
        if layer is None or not reading.fits(array, layer.weight_shape, f"masks.{layer.name}"):
            continue
        if array.min(initial=0) < 0 or array.dtype.kind not in "iu":
            reading.fault("is no table of owners: whole numbers from 0 on", f"masks.{key}")
            continue
        if array.max(initial=0) > len(tasks):
            reading.fault(f"owner {array.max()}, but there are {len(tasks)} tasks: {listed(tasks)}", f"masks.{key}")
        weight = _weight(reading, key, layer, weights)
        if weight is not None and reading.fits(weight, layer.weight_shape, f"{layer.name}.weight"):
            owners[layer.name] = array.reshape(layer.c_out, -1).astype(np.int64)
            resident[layer.name] = np.where(array == 0, np.float32(0), weight).astype(np.float32)
    return Owned(tuple(tasks), owners, resident)


def _weight(reading: Reading, key: Any, layer: Layer, weights: Mapping[Any, Array]) -> Array | None:
    own = reading.names.order[key] if isinstance(key, int) else str(key).removeprefix("module.")
    for name in (key, own, layer.name):
        if name in weights:
            return weights[name]
    reading.fault(f"the model has no weights of layer {layer.name!r}", "model")
    return None


def _biases(reading: Reading, given: Mapping[Any, Any], task: str) -> dict[str, object]:
    """Biases of layers, by state-dict name."""
    found: dict[str, object] = {}
    for key, value in given.items():
        name = reading.name(key, task)
        if name is not None:
            found[f"{name}.bias"] = value
    return found


@laid_out("cpg")
def read_cpg(
    path: Path, backbone: Network | str | Path, *, names: Names | None = None, trust_pickle: bool = False
) -> Imported:
    """Read a checkpoint of CPG: owners (``masks``), and for every task picks, normalisation, biases and a classifier.

    All of it are tensors and tables. Where training has grown the network, the backbone must have the grown layers.
    Raises :class:`InputError` with every fault.
    """
    reading = Reading.of(path, backbone, names or Names(), trust_pickle)
    weights = reading.table("model_state_dict")
    masks, info = reading.table("masks"), reading.table("shared_layer_info")
    reading.stop()
    history = reading.held.get("dataset_history")
    tasks = [str(name) for name in (info if history is None else history)]
    named = {
        name.rpartition(".")[0]: numpy(value)
        for name, value in weights.items()
        if str(name).endswith(".weight") and isinstance(value, Tensor)
    }
    owned = _owned(reading, tasks, masks, named)
    made = {}
    for place, task in enumerate(tasks):
        table = reading.table(task, info, "shared_layer_info")
        weight, bias = (weights.get(f"classifiers.{place}.{role}") for role in ("weight", "bias"))
        state = reading.head_of(weight, bias, f"{task}.classifier")
        state |= reading.state_of(_cpg_state(reading, table, task), task)
        picked = reading.table("piggymask", table, task, optional=True)
        picks = _picks(reading, owned, picked, place + 1) if place else {}
        made[task] = ("cpg", reading.method(state, masks=picks))
    return _with_owners(reading, "cpg", owned, made)


def _cpg_state(reading: Reading, table: Mapping[str, Any], task: str) -> dict[str, object]:
    """Normalisation and biases of one task; channels that came later are empty."""
    own, found = reading.backbone.state(), {}
    for key, role in {**CPG_NORM, "bias": "bias"}.items():
        for module, value in reading.table(key, table, task, optional=True).items():
            name, array = reading.name(module, task), reading.array(value, f"{task}.{key}.{module}")
            wanted = own.get(f"{name}.{role}")
            if name is not None and array is not None:
                found[f"{name}.{role}"] = array if wanted is None else _grown(array, wanted.shape, EMPTY.get(role, 0.0))
    return dict(found)


def _grown(array: Array, shape: tuple[int, ...], fill: float) -> Array:
    """An array of a smaller network in the shape of the grown one; as it is where it is not smaller."""
    if array.ndim != len(shape) or any(own > whole for own, whole in zip(array.shape, shape, strict=True)):
        return array
    whole = np.full(shape, fill, array.dtype)
    whole[tuple(slice(size) for size in array.shape)] = array
    return whole


def _picks(reading: Reading, owned: Owned, masks: Mapping[Any, Any], number: int) -> dict[str, Mask]:
    """Older weights that a task uses."""
    found = {}
    for key, real in masks.items():
        layer = reading.layer(key, owned.tasks[number - 1])
        if layer is None or layer.name not in owned.owners:
            continue
        values = reading.array(real, f"{owned.tasks[number - 1]}.piggymask.{key}")
        array = None if values is None else _grown(values, layer.weight_shape, 0.0)
        if reading.fits(array, layer.weight_shape, f"{owned.tasks[number - 1]}.piggymask.{layer.name}"):
            owners = owned.owners[layer.name]
            picked = (array.reshape(owners.shape) > PICKED) & (owners > 0) & (owners < number)
            found[layer.name] = Mask("pick", "element", picked.astype(np.uint8))
    return found


def _with_owners(
    reading: Reading, method: str, owned: Owned, made: Mapping[str, tuple[str, MethodContent]]
) -> Imported:
    """The bundle with tasks, owners and resident weights."""
    if method in {name for _, methods in reading.backbone.task_info.values() for name in methods}:
        reading.fault(f"the bundle has tasks of method {method!r} already; owners are those of one training run")
    content = reading.content(made, method)
    numbers = [0, *(list(content.tasks).index(task) + 1 for task in owned.tasks)]
    if sorted(numbers) != numbers:
        reading.fault(
            f"tasks were learned in the order {listed(owned.tasks)} and stand in the bundle as "
            f"{listed(list(content.tasks))}; owners are numbered in order: import into a backbone without tasks"
        )
    reading.stop()
    renumbered = np.array(numbers, np.uint8 if len(content.tasks) < 2**8 else np.uint16)
    owners = {layer: Mask("owner", "element", renumbered[array]) for layer, array in owned.owners.items()}
    _tell_clipped(reading, owned)
    shared = {**content.shared, method: SharedContent(owners, dict(owned.weights))}
    return Imported(replace(content, shared=shared), tuple(reading.warnings))


def _tell_clipped(reading: Reading, owned: Owned) -> None:
    """Resident weights keep the backbone's quantiser; say how many are outside its range."""
    clipped = 0
    for name, weight in owned.weights.items():
        quantiser = reading.backbone.quantiser(name)
        top = quantiser.scale.reshape(-1, *[1] * (weight.ndim - 1)) * ((1 << (quantiser.bits - 1)) - 0.5)
        clipped += int(np.count_nonzero(np.abs(weight) > top))
    if clipped:
        reading.warn(f"{clipped} weights are beyond the range of the backbone's quantisers and are clipped")
