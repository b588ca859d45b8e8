"""What importers hand on, and a bundle's content as it can be written again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import Fault, InputError
from xbarsim.network.bundle import BundleStore
from xbarsim.network.bundle_writer import BundleContent, MethodContent, SampleContent, SharedContent, TaskContent
from xbarsim.network.graph import entries_of
from xbarsim.network.manifest import MethodInfo, Quantisation
from xbarsim.network.network import Network
from xbarsim.network.quantiser import Quantiser
from xbarsim.network.tensors import TensorFile


@dataclass(frozen=True)
class Imported:
    """A bundle to be written, and what its user should know."""

    content: BundleContent
    warnings: tuple[str, ...] = ()


def content_of(network: Network) -> BundleContent:
    """Return all that stands in a bundle; writing it gives an equal bundle.

    Raises :class:`InputError` for a layer table, which has no tensors to be kept.
    """
    store = network.store
    if not isinstance(store, BundleStore):
        message = "is a layer table, without weights; a backbone for masks is a bundle NAME.xmn"
        raise InputError(Fault(network.source, message))
    manifest = store.manifest
    shared = {
        method: SharedContent(
            {layer: mask.mask(store.together[method].get(mask.key)) for layer, mask in info.owners.items()},
            {layer: store.together[method].get(f"weights/{layer}") for layer in info.weights},
            _quantisers(info.quantisers),
            entries_of(store.graphs[method]) if info.graph else (),
        )
        for method, info in manifest.shared.items()
    }
    return BundleContent(
        manifest.name,
        manifest.generator,
        entries_of(network.nodes),
        {name: store.backbone.get(name) for name in store.backbone.tensors},
        _quantisers(manifest.quantisers),
        {name: _task(store, name) for name in store.tasks},
        manifest.weight_bits,
        manifest.input_bits,
        shared,
    )


def with_method(content: BundleContent, task: str, method: str, made: MethodContent, classes: int) -> BundleContent:
    """Return the content with one more method of one task; a new task stands last.

    Raises :class:`InputError` if the task has the method already, or another number of classes.
    """
    known = content.tasks.get(task)
    if known is None:
        return replace(content, tasks={**content.tasks, task: TaskContent(classes, {method: made})})
    if method in known.methods:
        raise InputError(f"task {task!r} has tensors of method {method!r} already; name the task otherwise")
    if known.classes != classes:
        raise InputError(f"task {task!r} has {known.classes} classes in the bundle and {classes} here")
    grown = replace(known, methods={**known.methods, method: made})
    return replace(content, tasks={**content.tasks, task: grown})


def _task(store: BundleStore, name: str) -> TaskContent:
    files = store.tasks[name]
    methods = {method: _method(files.tensors, method, info) for method, info in files.info.methods.items()}
    samples = None
    if files.samples is not None and files.info.samples is not None:
        arrays: list[NDArray[Any]] = [files.samples.get("inputs"), files.samples.get("labels")]
        samples = SampleContent(arrays[0], arrays[1], files.info.samples.scale, files.info.samples.split)
    return TaskContent(files.info.classes, methods, samples)


def _method(file: TensorFile, method: str, info: MethodInfo) -> MethodContent:
    prefix = f"{method}/state/"
    return MethodContent(
        {name.removeprefix(prefix): file.get(name) for name in file.tensors if name.startswith(prefix)},
        {layer: mask.mask(file.get(mask.key)) for layer, mask in info.masks.items()},
        {layer: file.get(f"{method}/weights/{layer}") for layer in info.weights},
        _quantisers(info.quantisers),
        info.accuracy,
        {layer: mask.mask(file.get(mask.key)) for layer, mask in info.units.items()},
    )


def _quantisers(described: dict[str, Quantisation]) -> dict[str, Quantiser]:
    return {layer: Quantiser(one.bits, np.array(one.scale, np.float32)) for layer, one in described.items()}
