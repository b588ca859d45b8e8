"""LoRA adapters as PEFT saves them: ``adapter_config.json`` and ``adapter_model.safetensors``.

Tensors are called ``base_model.model.LAYER.lora_A.weight``, ``(rank, inputs…)``, and ``….lora_B.weight``,
``(outputs, rank…)``; the pair counts alpha / rank times (alpha / sqrt(rank) with ``use_rslora``). Modules that
were trained as a whole stand beside them under their own names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from xbarsim.adaptions.branches import Branch, down, insert, up
from xbarsim.errors import Fault, InputError
from xbarsim.learning.checkpoint_load import load_checkpoint
from xbarsim.learning.checkpoint_parts import Array, Names, Reading, laid_out, numpy
from xbarsim.network.bundle_writer import SharedContent
from xbarsim.network.graph import Entry, Layer, entries_of
from xbarsim.network.importers.content import Imported
from xbarsim.network.network import Network
from xbarsim.network.quantiser import Quantiser

WRAPPED = "base_model.model."
"""What PEFT puts in front of every name."""

METHOD = "lora"
PAIR = re.compile(r"(?P<layer>.+)\.lora_(?P<end>[AB])(?:\.default)?\.weight")


@dataclass(frozen=True)
class Adapter:
    """What an adapter says of itself."""

    alpha: float
    alphas: Mapping[str, float]
    """By pattern of module names."""
    root: bool
    """The factor is alpha / sqrt(rank)."""

    def factor(self, layer: str, rank: int) -> float:
        """Return how often a pair counts."""
        alpha = next((value for key, value in self.alphas.items() if re.match(rf"(.*\.)?({key})$", layer)), self.alpha)
        return alpha / (sqrt(rank) if self.root else rank)


@laid_out("peft")
def read_peft(
    path: Path,
    backbone: Network | str | Path,
    *,
    names: Names | None = None,
    task: str = "",
    trust_pickle: bool = False,
) -> Imported:
    """Read a LoRA adapter from its folder as one task of method ``lora``; the folder's name is the task's unless given.

    Raises :class:`InputError` with every fault: other kinds of adapters, unknown layers, shapes.
    """
    adapter = _config(path / "adapter_config.json")
    safe, pickled = path / "adapter_model.safetensors", path / "adapter_model.bin"
    file = pickled if pickled.exists() and not safe.exists() else safe
    reading = Reading.of(file, backbone, names or Names(), trust_pickle)
    if file == safe:
        reading.held = load_checkpoint(file)
    pairs, rest = _sorted(reading)
    branches: dict[str, Branch] = {}
    weights: dict[str, Array] = {}
    sources = {node.name: node.inputs[0] for node in reading.backbone.nodes if node.inputs}
    for key, ends in pairs.items():
        layer = reading.layer(key, key)
        if layer is None or not _fit(reading, layer, ends, key):
            continue
        a, b = (f"{layer.name}.lora_{end}" for end in ("a", "b"))
        rank = len(ends["A"])
        branches[layer.name] = (
            down(layer, a, sources[layer.name], rank),
            up(layer, b, a),
            Entry(f"{layer.name}.lora_add", "add", (layer.name, b), {}),
        )
        weights[a] = ends["A"].astype(np.float32)
        weights[b] = (ends["B"] * np.float32(adapter.factor(layer.name, rank))).astype(np.float32)
    if not branches and not reading.faults:
        reading.fault("holds no pair lora_A, lora_B")
    reading.stop()
    name = task or path.resolve().name
    entries = entries_of(insert(reading.backbone.nodes, branches))
    _same_branches(reading, entries)
    bits = reading.backbone.width()
    quantisers = {layer: Quantiser.fit(weight, bits) for layer, weight in weights.items()}
    parts = reading.method(_state(reading, rest, name), weights=weights, quantisers=quantisers)
    content = reading.content({name: (METHOD, parts)}, "peft")
    shared = {**content.shared, METHOD: SharedContent(entries=entries)}
    return Imported(replace(content, shared=shared), tuple(reading.warnings))


def _config(path: Path) -> Adapter:
    """Read the configuration; refuses what is no plain LoRA."""
    try:
        held: Any = json.loads(path.read_text("utf-8"))
    except OSError as error:
        message = f"cannot be read: {(error.strerror or str(error)).lower()}; an adapter is the folder of PEFT's files"
        raise InputError(Fault(str(path), message)) from None
    except ValueError as error:
        raise InputError(Fault(str(path), f"not valid JSON: {error}")) from None
    faults = []
    if not isinstance(held, dict) or held.get("peft_type") != "LORA":
        kind = held.get("peft_type") if isinstance(held, dict) else held
        raise InputError(Fault(str(path), f"{kind!r} is not 'LORA'", "peft_type"))
    for key in ("use_dora", "lora_bias"):
        if held.get(key):
            faults.append(Fault(str(path), "is not known here; known: plain LoRA", key))
    alpha: Any = held.get("lora_alpha")
    alphas: dict[str, Any] = held.get("alpha_pattern") or {}
    for key, value in {"lora_alpha": alpha, **{f"alpha_pattern.{key}": one for key, one in alphas.items()}}.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            faults.append(Fault(str(path), f"{value!r} is not a number above zero", key))
    if faults:
        raise InputError(faults)
    return Adapter(float(alpha), {key: float(value) for key, value in alphas.items()}, bool(held.get("use_rslora")))


def _sorted(reading: Reading) -> tuple[dict[str, dict[str, Array]], dict[str, Array]]:
    """Pairs by module, and all other tensors by name."""
    pairs: dict[str, dict[str, Array]] = {}
    rest: dict[str, Array] = {}
    for name, value in reading.held.items():
        own = str(name).removeprefix(WRAPPED)
        found = PAIR.fullmatch(own)
        if found:
            pairs.setdefault(found["layer"], {})[found["end"]] = numpy(value)
        elif "lora_" in own:
            reading.fault("is no part of plain LoRA on convolutions and linear layers", str(name))
        else:
            rest[own.replace(".modules_to_save.default", "")] = numpy(value)
    return pairs, rest


def _fit(reading: Reading, layer: Layer, ends: Mapping[str, Array], key: str) -> bool:
    """Whether both ends are there and have the shapes of a pair beside the layer."""
    missing = [end for end in "AB" if end not in ends]
    if missing or layer.groups > 1:
        message = f"lora_{missing[0]} is missing" if missing else f"layer {layer.name!r} has groups; no pair beside it"
        reading.fault(message, key)
        return False
    rank = len(ends["A"])
    inner = layer.weight_shape[1:]
    ones = (1,) * (len(layer.weight_shape) - 2)
    right = reading.fits(ends["A"], (rank, *inner), f"{key}.lora_A")
    return reading.fits(ends["B"], (layer.c_out, rank, *ones), f"{key}.lora_B") and right


def _state(reading: Reading, rest: Mapping[str, Array], task: str) -> dict[str, Array]:
    """Head, normalisation and biases that were trained as a whole."""
    head = reading.backbone.head
    named = {str(reading.name(name, task)): value for name, value in rest.items()}
    if head is None:
        return reading.state_of(named, task)
    own = {role: named.pop(f"{head.name}.{role}", None) for role in ("weight", "bias")}
    return reading.head_of(own["weight"], own["bias"], f"{task}.{head.name}") | reading.state_of(named, task)


def _same_branches(reading: Reading, entries: tuple[Entry, ...]) -> None:
    """All tasks of a bundle run the same pairs."""
    known = reading.backbone.store.graph(METHOD)
    if known is not None and entries_of(known) != entries:
        reading.fault("stands beside other layers, or has other ranks, than the LoRA tasks of the bundle")
        reading.stop()
