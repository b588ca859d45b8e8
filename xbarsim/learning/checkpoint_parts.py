"""What the readers of checkpoints have in common: names of layers, masks, heads, normalisation, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.learning import networks
from xbarsim.learning.checkpoint_load import attribute, load_checkpoint, modules
from xbarsim.network.bundle_writer import BundleContent, MethodContent
from xbarsim.network.graph import Layer
from xbarsim.network.importers.content import Imported, content_of, with_method
from xbarsim.network.load import load_network
from xbarsim.network.network import Network
from xbarsim.network.quantiser import Quantiser

NORM = ("weight", "bias", "running_mean", "running_var")
"""Roles of batch normalisation."""

Array = NDArray[Any]
Key = int | str
"""A layer in a checkpoint: its module's place among ``modules()``, or its name."""


P = ParamSpec("P")


def laid_out(
    kind: str,
) -> Callable[[Callable[Concatenate[Path, P], Imported]], Callable[Concatenate[Path, P], Imported]]:
    """Return a decorator of readers: what stumbles over a file of another layout says so as :class:`InputError`."""

    def decorate(read: Callable[Concatenate[Path, P], Imported]) -> Callable[Concatenate[Path, P], Imported]:
        @wraps(read)
        def guarded(path: Path, /, *args: P.args, **kwargs: P.kwargs) -> Imported:
            try:
                return read(path, *args, **kwargs)
            except (AttributeError, TypeError, KeyError, IndexError, ValueError, RuntimeError) as error:
                message = f"is not laid out like a checkpoint of {kind}: {type(error).__name__}: {error}"
                raise InputError(Fault(str(path), message)) from error

        return guarded

    return decorate


@dataclass(frozen=True)
class Names:
    """How the layers of a checkpoint are called in the backbone."""

    order: tuple[str, ...] = ()
    """Names of modules by place, for keys that are numbers."""
    prefix: str = ""
    """Stands before every name in the file and is taken off."""

    @classmethod
    def of(cls, network: str = "", file: Path | None = None, prefix: str = "") -> Names:
        """From a network that :mod:`xbarsim.learning.networks` knows, or from a file of names, one per line."""
        if file is not None:
            try:
                lines = file.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(Fault(str(file), f"cannot be read: {error}")) from None
            return cls(tuple(line.strip() for line in lines), prefix)
        with torch.device("meta"):  # names only: no weights are made
            return cls(module_order(networks.build(network)) if network else (), prefix)


def module_order(module: nn.Module) -> tuple[str, ...]:
    """Return the names of modules by their place in the ``shared`` part of the original codes.

    That part holds all but the classifier in one container: of a network with ``features`` and ``classifier`` (VGG)
    the layers of both in one row, without their containers; of all others the modules as they are.
    """
    found = [name for name, _ in modules(module)]
    if not all(hasattr(module, name) for name in ("features", "avgpool", "classifier")):
        return tuple(found)
    return tuple(name for name in found if name not in ("features", "classifier"))


@dataclass
class Reading:
    """A checkpoint being read onto a backbone."""

    path: Path
    held: Any
    """What the file holds."""
    backbone: Network
    names: Names
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, backbone: Network | str | Path, names: Names, trust_pickle: bool) -> Reading:
        """Open a checkpoint and the bundle that it belongs to."""
        network = backbone if isinstance(backbone, Network) else load_network(backbone)
        content_of(network)  # a layer table is refused before anything else
        return cls(path, load_checkpoint(path, trust_pickle), network, names)

    @property
    def layers(self) -> dict[str, Layer]:
        """Crossbar layers of the backbone, the head apart."""
        return {name: layer for name, layer in self.backbone.layers.items() if not layer.head}

    def fault(self, message: str, place: str = "") -> None:
        """Note a fault of the file."""
        self.faults.append(Fault(str(self.path), message, place))

    def warn(self, message: str) -> None:
        """Note what the user should know."""
        self.warnings.append(f"{self.path}: {message}")

    def stop(self) -> None:
        """Raise what has been found wrong so far."""
        if self.faults:
            raise InputError(self.faults)

    def table(self, key: Any, within: Any = None, place: str = "", optional: bool = False) -> Mapping[Any, Any]:
        """Return a table of the file, or of ``within``; notes a fault and returns an empty one where it is none."""
        whole = self.held if within is None else within
        found = whole.get(key) if isinstance(whole, Mapping) else None
        if isinstance(found, Mapping):
            return found
        if found is not None or not optional:
            what = "is missing" if found is None else f"is no table but {type(found).__name__}"
            self.fault(what, f"{place}.{key}" if place else str(key))
        return {}

    def array(self, value: object, place: str) -> Array | None:
        """Return a tensor's values; notes a fault and returns nothing where it is no tensor."""
        if isinstance(value, Tensor | np.ndarray):
            return numpy(value)
        self.fault(f"is no tensor but {type(value).__name__}", place)
        return None

    def layer(self, key: Key, place: str) -> Layer | None:
        """Return the layer that a key means; notes a fault and returns nothing where there is none."""
        name = self.name(key, place)
        if name is None or name in self.layers:
            return self.layers.get(name or "")
        here = f"module {key} is {name!r}" if isinstance(key, int) else repr(name)
        head = self.backbone.head
        if head is not None and name == head.name:
            self.fault(f"{here}, the backbone's head, which is the task's own and has no mask", place)
        else:
            self.fault(f"{here}: the backbone has no such crossbar layer{did_you_mean(name, self.layers)}", place)
        return None

    def name(self, key: Key, place: str) -> str | None:
        """Return the module's name that a key means; notes a fault where it means none."""
        if isinstance(key, int):
            if key < len(self.names.order) and key >= 0:
                return self.names.order[key].removeprefix(self.names.prefix)
            known = len(self.names.order)
            way = "; name the network with --network, or its modules with --modules FILE" if not known else ""
            self.fault(f"layer {key} is a place among modules, of which {known or 'none'} are known{way}", place)
            return None
        return str(key).removeprefix("module.").removeprefix("shared.").removeprefix(self.names.prefix)

    def fits(self, values: Array | None, wanted: tuple[int, ...], place: str) -> TypeGuard[Array]:
        """Whether a tensor is there and has the shape it must have; notes a fault with both shapes where not."""
        if values is not None and values.shape != tuple(wanted):
            self.fault(f"shape {list(values.shape)} is not {list(wanted)}, the backbone's", place)
        return values is not None and values.shape == tuple(wanted)

    def head_of(self, weight: object, bias: object, place: str) -> dict[str, Array]:
        """Return a task's head by state-dict name, the backbone's own where the file has none."""
        head = self.backbone.head
        if head is None:
            return {}
        own = self.backbone.state()
        if weight is None:
            self.warn(f"{place}: has no classifier; the backbone's head is taken")
            return {name: array for name, array in own.items() if name.rpartition(".")[0] == head.name}
        values = self.array(weight, f"{place}.weight")
        classes = max(1, len(values)) if values is not None and values.ndim else 1
        if not self.fits(values, (classes, head.c_in), f"{place}.weight"):
            return {}
        found = {f"{head.name}.weight": values}
        if head.bias:
            added = np.zeros(classes, np.float32) if bias is None else self.array(bias, f"{place}.bias")
            if self.fits(added, (classes,), f"{place}.bias"):
                found[f"{head.name}.bias"] = added
        elif bias is not None:
            self.fault(f"the backbone's head {head.name!r} has no bias", f"{place}.bias")
        return found

    def state_of(self, given: Mapping[str, object], place: str) -> dict[str, Array]:
        """Return parameters that are not the backbone's: whole normalisations and biases, checked by name and shape."""
        own = self.backbone.state()
        fitting: dict[str, Array] = {}
        for name, value in given.items():
            if name not in own:
                self.fault(f"{name!r}: the backbone has no such parameter{did_you_mean(name, own)}", place)
                continue
            array = self.array(value, f"{place}.{name}")
            if self.fits(array, own[name].shape, f"{place}.{name}"):
                fitting[name] = array
        changed = {name for name, array in fitting.items() if not np.array_equal(array, own[name])}
        norms = {name.rpartition(".")[0] for name in changed} & set(self.backbone.norm_channels())
        whole = [name for name in own if name.rpartition(".")[0] in norms]
        for name in whole:
            if name not in given:
                self.fault(f"{name!r} is missing; a task brings a normalisation as a whole", place)
        return {name: array for name, array in fitting.items() if name in changed or name in whole}

    def method(self, state: dict[str, Array], **parts: Any) -> MethodContent:
        """Return what one method stores, with the quantiser of the task's head."""
        head = self.backbone.head
        quantisers = dict(parts.pop("quantisers", {}))
        if head is not None and f"{head.name}.weight" in state:
            quantisers[head.name] = Quantiser.fit(state[f"{head.name}.weight"], self.backbone.width())
        return MethodContent(state, quantisers=quantisers, **parts)

    def classes(self, state: Mapping[str, Array]) -> int:
        """Return the classes of a task: the rows of its head, or the network's features."""
        head = self.backbone.head
        return len(state.get(f"{head.name}.weight", "1")) if head else self.backbone.nodes[-1].shape[0]

    def content(self, made: Mapping[str, tuple[str, MethodContent]], kind: str) -> BundleContent:
        """Return the backbone with one more method for every task of ``made``; raises all faults, such as no task."""
        if not made and not self.faults:
            self.fault("holds no task")
        self.stop()
        content = content_of(self.backbone)
        content = replace(content, generator=f"{content.generator}; xbarsim import {kind} {self.path.name}")
        for task, (method, parts) in made.items():
            try:
                content = with_method(content, task, method, parts, self.classes(parts.state))
            except InputError as error:
                self.faults += [replace(fault, file=str(self.path)) for fault in error.faults]
        self.stop()
        return content


def numpy(value: object) -> Array:
    """Return a tensor as an array; half precision becomes single."""
    array = value.detach().cpu() if isinstance(value, Tensor) else np.asarray(value)
    if isinstance(array, Tensor):
        return (array.float() if array.is_floating_point() else array).numpy()
    return array


def head_parts(linear: object) -> tuple[object, object]:
    """Return weight and bias of a classifier: a module, or a table of tensors."""
    if isinstance(linear, Mapping):
        return linear.get("weight"), linear.get("bias")
    return attribute(linear, "weight"), attribute(linear, "bias")


def norms(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the batch normalisations below a module by state-dict name and tensor."""
    for name, module in modules(root):
        if "BatchNorm" in type(module).__name__:
            for role in NORM:
                value = attribute(module, role)
                if isinstance(value, Tensor):
                    yield f"{name}.{role}", value


def listed(names: Sequence[object]) -> str:
    """Return names as a message lists them."""
    return ", ".join(map(repr, names)) or "none"
