"""Checkpoints of others, read onto a backbone bundle: Piggyback, KSM, PackNet, CPG and LoRA adapters of PEFT.

Every reader returns the content of a new bundle: the backbone with all its tasks and the tasks of the
checkpoint. The layouts, and what of them is ours, stand in ``docs/import.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, log2
from pathlib import Path
from typing import Any

import numpy as np

from xbarsim.learning.checkpoint_load import attribute, modules
from xbarsim.learning.checkpoint_owners import read_cpg, read_packnet
from xbarsim.learning.checkpoint_parts import Array, Names, Reading, head_parts, laid_out, norms, numpy
from xbarsim.learning.checkpoint_peft import read_peft
from xbarsim.learning.masks import THRESHOLD
from xbarsim.network.bundle_writer import MethodContent
from xbarsim.network.importers.content import Imported
from xbarsim.network.masks import Mask
from xbarsim.network.network import Network

MINUS_ONE = 255
"""What -1 has become where ternary masks were cast to bytes."""


@laid_out("piggyback")
def read_piggyback(
    path: Path,
    backbone: Network | str | Path,
    *,
    names: Names | None = None,
    task: str = "",
    trust_pickle: bool = False,
) -> Imported:
    """Read Piggyback masks: packed for several tasks (``dataset2masks``), one task's ``masks``, or a trained model.

    ``names`` says which module stands at which place; ``task`` calls a single task. Masks with a -1 become tasks
    of method piggyback-ternary. Raises :class:`InputError` with every fault.
    """
    reading = Reading.of(path, backbone, names or Names(), trust_pickle)
    made = {}
    for name, masks, head, state in _piggyback_tasks(reading, task):
        values = {}
        for key, mask in masks.items():
            layer, array = reading.layer(key, name), reading.array(mask, f"{name}.{key}")
            if layer and reading.fits(array, layer.weight_shape, f"{name}.{layer.name}"):
                values[layer.name] = _signs(reading, array, f"{name}.{layer.name}").reshape(layer.c_out, -1)
        ternary = any((array < 0).any() for array in values.values())
        kind, stored = ("ternary", np.int8) if ternary else ("binary", np.uint8)
        own = {layer: Mask(kind, "element", array.astype(stored)) for layer, array in values.items()}
        _tell_unmasked(reading, name, own)
        parts = reading.method(reading.head_of(*head, f"{name}.classifier") | reading.state_of(state, name), masks=own)
        made[name] = ("piggyback-ternary" if ternary else "piggyback", parts)
    return Imported(reading.content(made, "piggyback"), tuple(reading.warnings))


Found = tuple[str, Mapping[Any, Any], tuple[object, object], Mapping[str, object]]
"""Name, masks by key, head and further state of a task."""


def _piggyback_tasks(reading: Reading, task: str) -> list[Found]:
    held = reading.held if isinstance(reading.held, Mapping) else {}
    if "dataset2masks" in held:
        heads = reading.table("dataset2classifiers", optional=True)
        masks = reading.table("dataset2masks")
        return [
            (str(name), reading.table(name, masks, "dataset2masks"), head_parts(heads.get(name)), {}) for name in masks
        ]
    if "masks" in held:
        head = head_parts(held.get("classifier"))
        return [(task or reading.path.stem, reading.table("masks"), head, {})]
    if "model" in held and attribute(held["model"], "shared") is not None:
        return [_trained(reading, held, task)]
    reading.fault("has neither 'dataset2masks' nor 'masks' nor a 'model': no checkpoint of Piggyback")
    reading.stop()
    return []


def _trained(reading: Reading, held: Mapping[str, Any], task: str) -> Found:
    """A model as training saves it: real-valued masks beside the weights, places and names at once."""
    model = held["model"]
    masks, known = {}, bool(reading.names.order)
    for place, (name, module) in enumerate(modules(attribute(model, "shared"))):
        real = attribute(module, "mask_real")
        if real is not None:
            info = attribute(module, "info") or {}
            masks[place if known else name] = _thresholded(numpy(real), info)
    args = held.get("args")
    name = task or str(attribute(args, "dataset") or "") or reading.path.stem
    state = {} if known else dict(norms(attribute(model, "shared")))
    return name, masks, head_parts(attribute(model, "classifier")), state


def _thresholded(real: Array, info: Mapping[str, Any]) -> Array:
    """The mask that a real-valued one stands for."""
    on = (real > float(info.get("threshold", THRESHOLD))).astype(np.int8)
    return on - (real < 0).astype(np.int8) if info.get("threshold_fn") == "ternarizer" else on


def _signs(reading: Reading, array: Array, place: str) -> Array:
    """Values -1, 0 and 1, bytes taken back; notes a fault where there are others."""
    whole = array.astype(np.int64)
    if array.dtype == np.uint8:
        whole[whole == MINUS_ONE] = -1
    odd = array[(whole != array.astype(np.int64)) & (array != MINUS_ONE) | (whole < -1) | (whole > 1)]
    if odd.size or (array.dtype.kind == "f" and (whole != array).any()):
        value = odd[0] if odd.size else array[whole != array][0]
        reading.fault(f"holds the value {value}; a mask holds 0, 1 and -1 (as a byte {MINUS_ONE})", place)
        return np.zeros_like(whole)
    return whole


def _tell_unmasked(reading: Reading, task: str, masks: Mapping[str, Mask]) -> None:
    missing = [name for name in reading.layers if name not in masks]
    if missing and not reading.faults:
        reading.warn(f"{task}: {len(missing)} layers have no mask and keep the backbone's weights: {missing[0]} …")


@laid_out("ksm")
def read_ksm(
    path: Path, backbone: Network | str | Path, *, names: Names | None = None, bits: int = 8, trust_pickle: bool = False
) -> Imported:
    """Read soft masks of KSM, one value per 2-D kernel, in a layout of ours: its authors have published no code.

    ``{"tasks": {TASK: {"masks": {LAYER: (c_out, c_in/groups)}, "classifier": {"weight", "bias"}, "state": {…}}}}``;
    values are rounded to ``bits`` bits in steps of the smallest power of two that holds the largest of the task.
    """
    reading = Reading.of(path, backbone, names or Names(), trust_pickle)
    made: dict[str, tuple[str, MethodContent]] = {}
    tasks = reading.table("tasks")
    for name in tasks:
        task, values = reading.table(name, tasks, "tasks"), {}
        for key, mask in reading.table("masks", task, name).items():
            layer, array = reading.layer(key, name), reading.array(mask, f"{name}.{key}")
            if layer and reading.fits(array, (layer.c_out, layer.c_in // layer.groups), f"{name}.{layer.name}"):
                values[layer.name] = array
                if not np.isfinite(array).all():
                    reading.fault("holds values that are not finite", f"{name}.{key}")
        reading.stop()
        step = _step(max((float(np.abs(array).max()) for array in values.values()), default=1.0), bits)
        masks = {layer: _soft(array, bits, step) for layer, array in values.items()}
        _tell_unmasked(reading, name, masks)
        head = reading.head_of(*head_parts(task.get("classifier")), f"{name}.classifier")
        state = reading.state_of(reading.table("state", task, name, optional=True), name)
        parts = reading.method(head | state, masks=masks)
        made[str(name)] = ("ksm", parts)
    return Imported(reading.content(made, "ksm"), tuple(reading.warnings))


def _step(top: float, bits: int) -> float:
    """The smallest power of two with which ``top`` fits so many bits, sign included."""
    limit = (1 << (bits - 1)) - 1
    return float(2.0 ** ceil(log2(top / limit))) if top > 0 else 1.0


def _soft(values: Array, bits: int, step: float) -> Mask:
    whole = np.rint(values / step).astype(np.int8 if bits <= 8 else np.int16)
    return Mask("soft", "kernel", whole, bits=bits, step=step)


READERS: Mapping[str, Callable[..., Imported]] = {
    "piggyback": read_piggyback,
    "ksm": read_ksm,
    "packnet": read_packnet,
    "cpg": read_cpg,
    "peft": read_peft,
}
"""Every kind of checkpoint."""
