"""What a task stores, found by comparing an adapted PyTorch module with the backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import prune

from xbarsim.adaptions import Adaption
from xbarsim.analog.ops import signed_nodes
from xbarsim.errors import InputError, did_you_mean
from xbarsim.learning.backbone import Backbone
from xbarsim.learning.capture import Captured, evaluating, plain
from xbarsim.learning.capture_trace import Source
from xbarsim.learning.data import TaskData
from xbarsim.learning.export_masks import CLOSE, METHODS, as_mask, recovered, together
from xbarsim.learning.learn import input_scales
from xbarsim.network.bundle_writer import MethodContent, SampleContent
from xbarsim.network.masks import OFF, Mask
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.validation import INPUT_SCALE

WEIGHTS = ("finetune", "finetune-partial")
"""Methods that store weights: of all layers, and of some or none."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TaskExport:
    """What one method learned for one task, as PyTorch has it. Give a module, masks, or both."""

    module: nn.Module | Mapping[str, Tensor] | None = None
    """The adapted model or its state dict, of the backbone's class; the head may have other classes. Layers may be
    parametrised or pruned. Nothing: the backbone itself, normalisation and head included."""
    method: str | None = None
    """Name as in ``xbarsim list methods``. Left out it is found by comparing: masks are told by kind and granularity,
    changed weights are ``finetune``, or ``finetune-partial`` if some layers kept theirs."""
    masks: Mapping[str, Mask | Tensor | NDArray[Any]] = field(default_factory=dict)
    """By layer; tensors need ``method``, see :func:`xbarsim.learning.export_masks.as_mask`. The module's weights are
    then taken as unmasked: they must be the backbone's."""
    inputs: Tensor | None = None
    """Samples that input scales are found from: the largest magnitude at a layer becomes its largest integer."""
    samples: TaskData | SampleContent | None = None
    """Held-out samples for the bundle."""
    accuracy: Mapping[str, float] | None = None
    """Measured accuracies by kind, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The backbone and the crossbars that all tasks are held against."""

    captured: Captured
    frozen: Arrays
    """The backbone's parameters by name in the graph."""
    weight_bits: int
    input_bits: int
    rows: int | None
    """Of the crossbars, where they are known."""
    kernel_aligned: bool

    @property
    def head(self) -> str | None:
        """The classifier's name."""
        return next((name for name, layer in self.captured.layers.items() if layer.head), None)


def task_content(ground: Ground, task: TaskExport) -> tuple[str, int, MethodContent]:
    """Return method, number of classes and content; raises :class:`InputError` with every fault found."""
    adapted, own = _own_state(ground, task)
    given = {**_modules_masks(ground, task.module), **_given_masks(ground, task)}
    method, masks, changed = _compared(ground, task, own, given, adapted)
    head = ground.head
    weights = {name: own[f"{name}.weight"] for name in changed}
    fitted = {name: Quantiser.fit(weight, ground.weight_bits) for name, weight in weights.items()}
    if head:
        fitted[head] = Quantiser.fit(own[f"{head}.weight"], ground.weight_bits)
    state = _state(ground, own)
    if task.inputs is not None:
        masked = {f"{name}.weight": _masked(ground, name, given[name]) for name in task.masks}
        state |= scales_of(Backbone(ground.captured.nodes, {**own, **masked}), task.inputs, ground.input_bits)
    classes = len(own[f"{head}.weight"]) if head else ground.captured.nodes[-1].shape[0]
    return method, classes, MethodContent(state, masks, weights, fitted, task.accuracy)


def scales_of(backbone: Backbone, inputs: Tensor, bits: int) -> dict[str, NDArray[np.float32]]:
    """Return the input scale of every crossbar layer from samples; layers behind a sign lose a bit to it."""
    signed = signed_nodes(backbone.nodes, bool(inputs.min() < 0))
    reads = {node.name: signed[node.inputs[0]] for node in backbone.nodes if node.name in backbone.layers}
    limits = {name: (0, 2 ** (bits - negative) - 1) for name, negative in reads.items()}
    given = inputs[:, :, None, None] if inputs.ndim == 2 else inputs
    found = input_scales(backbone, {}, given, limits)
    return {f"{name}.{INPUT_SCALE}": scale for name, scale in found.items()}


def _masked(ground: Ground, layer: str, mask: Mask) -> NDArray[np.float32]:
    """Return the backbone's weight of a layer with a mask in it."""
    weight, values = ground.frozen[f"{layer}.weight"], mask.expand(ground.captured.layers[layer])
    factors = values.astype(np.float64) * (mask.step or 1)
    if mask.kind == "shift":
        factors = np.where(values == OFF, 0.0, np.exp2(factors))
    return np.asarray(weight * factors.reshape(weight.shape), np.float32)


def _own_state(ground: Ground, task: TaskExport) -> tuple[set[str], dict[str, NDArray[Any]]]:
    """Return the layers that a parametrisation or pruning acts on, and the task's parameters by name in the graph."""
    module = task.module
    if module is None:
        return set(), dict(ground.frozen)
    if isinstance(module, nn.Module):
        bound, given = set(_acted_on(module)), plain(module).state_dict()
    else:
        given, bound = _resolved(module)
    layer_of = _layer_of(ground, module)
    if isinstance(module, Backbone):
        with evaluating(module):
            own = module.arrays()
    else:
        own = ground.captured.state(given)
    return {layer_of[name] for name in bound if name in layer_of}, own


def _layer_of(ground: Ground, module: object) -> dict[str, str]:
    """Return the crossbar layer by the name of its weight in a module, where the weight is one layer's alone."""
    if isinstance(module, Backbone):
        return {f"{name}.weight": name for name in module.layers}
    sources = {name: ground.captured.sources[f"{name}.weight"] for name in ground.captured.layers}
    return {source.name: name for name, source in sources.items() if source == Source(source.name)}


def _acted_on(module: nn.Module) -> Iterator[str]:
    """Yield the name of every parameter that is parametrised or pruned."""
    for path, one in module.named_modules():
        hooks = [hook for hook in one._forward_pre_hooks.values() if isinstance(hook, prune.BasePruningMethod)]
        for name in (*getattr(one, "parametrizations", ()), *(hook._tensor_name for hook in hooks)):
            yield f"{path}.{name}" if path else name


def _resolved(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], set[str]]:
    """Return a state dict with pruned weights multiplied out, and their names."""
    odd = [name for name in state if ".parametrizations." in name]
    if odd:
        raise InputError(
            f"the state dict has {odd[0]!r}: give the module itself, which knows what its parametrisation does"
        )
    found, bound = dict(state), set()
    for name in [name for name in state if name.endswith("_orig") and f"{name[:-5]}_mask" in state]:
        whole = name[:-5]
        found[whole] = found.pop(name) * found.pop(f"{whole}_mask")
        bound.add(whole)
    return found, bound


def _modules_masks(ground: Ground, module: object) -> dict[str, Mask]:
    """Return the masks of parametrisations that know theirs (``.mask()``), by layer."""
    if not isinstance(module, nn.Module):
        return {}
    layer_of, found = _layer_of(ground, module), {}
    for path, one in module.named_modules():
        for name, chain in getattr(one, "parametrizations", {}).items():
            layer = layer_of.get(f"{path}.{name}" if path else name)
            if layer is not None and len(chain) == 1 and callable(getattr(chain[0], "mask", None)):
                found[layer] = chain[0].mask()
    return found


def _given_masks(ground: Ground, task: TaskExport) -> dict[str, Mask]:
    """Return the masks given by layer; raise :class:`InputError` with every fault."""
    found, faults, layers = {}, [], ground.captured.layers
    for name, values in task.masks.items():
        if name not in layers or layers[name].head:
            what = "the head is always the task's own" if name in layers else "no such crossbar layer"
            faults.append(f"masks.{name}: {what}{did_you_mean(name, layers)}")
        elif isinstance(values, Mask):
            found[name] = values
        elif task.method is None:
            faults.append(f"masks.{name}: a tensor does not say what it means; name the method")
        else:
            array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
            try:
                found[name] = as_mask(task.method, layers[name], array, ground.rows, ground.kernel_aligned)
            except InputError as error:
                faults.append(f"masks.{name}: {error}")
    if faults:
        raise InputError(faults)
    return found


def _compared(
    ground: Ground, task: TaskExport, own: Arrays, given: Mapping[str, Mask], acted_on: set[str]
) -> tuple[str, dict[str, Mask], list[str]]:
    """Return the method, its masks, and the layers whose weights are stored."""
    method, layers = task.method, {n: layer for n, layer in ground.captured.layers.items() if not layer.head}
    known = (*METHODS.values(), *WEIGHTS)
    if method is not None and method not in known:
        what = Adaption.named(method).name
        message = (
            f"method {what!r} has more than masks or weights of its own; give what learn() returns for it, or one of: "
        )
        raise InputError(message + ", ".join(known))
    changed, masks, faults = [], dict(given), list[str]()
    for name, layer in layers.items():
        same = np.array_equal(own[f"{name}.weight"], ground.frozen[f"{name}.weight"])
        if name in given:
            faults += _unexplained(ground, name, given[name], own[f"{name}.weight"], name in task.masks)
        if same or name in task.masks:
            continue
        changed.append(name)
        if method in WEIGHTS or name in given:
            continue
        mask = recovered(
            layer, ground.frozen[f"{name}.weight"], own[f"{name}.weight"], ground.rows, ground.kernel_aligned
        )
        if isinstance(mask, Mask):
            masks[name] = mask
        elif mask is not None and (name in acted_on or method is not None):
            faults.append(f"layer {name!r}: its weights are the backbone's times no mask: {mask.found}")
    if faults:
        raise InputError(faults)
    if method not in (None, *WEIGHTS) and not masks:
        raise InputError(f"method {method!r} has masks, but every layer's weights are the backbone's")
    if method in WEIGHTS or not all(name in masks for name in changed) or not masks:
        return method or WEIGHTS[len(changed) < len(layers)], {}, changed
    one_kind = together(masks, layers, method)
    kind = next(iter(one_kind.values()))
    return method or METHODS[kind.kind, kind.granularity], one_kind, []


def _unexplained(ground: Ground, layer: str, mask: Mask, own: NDArray[Any], unmasked: bool) -> Iterator[str]:
    """Whether a layer's weights are the backbone's, without the mask given beside them or with a module's own."""
    wanted = ground.frozen[f"{layer}.weight"] if unmasked else _masked(ground, layer, mask)
    if own.shape != wanted.shape or not np.allclose(own, wanted, rtol=CLOSE, atol=0):
        yield f"layer {layer!r}: a mask stands on weights that are not the backbone's; freeze them, or drop the mask"


def _state(ground: Ground, own: Arrays) -> dict[str, NDArray[Any]]:
    """Return the head, and whatever normalisation, factors and biases differ from the backbone's."""
    result: dict[str, NDArray[Any]] = {}
    layers = ground.captured.layers
    for node in ground.captured.nodes:
        layer = layers.get(node.name)
        roles = node.parameters if layer is None or layer.head else [r for r in node.parameters if r == "bias"]
        mine = {f"{node.name}.{role}": own[f"{node.name}.{role}"] for role in roles}
        same = all(np.array_equal(value, ground.frozen[name]) for name, value in mine.items())
        if not same or (layer is not None and layer.head):
            result |= mine
    return result
