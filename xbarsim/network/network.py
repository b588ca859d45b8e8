"""Networks and their tasks, wherever the tensors come from.

A :class:`Network` is the graph plus a :class:`Store`, which answers with integers, masks and
parameters: from a bundle (:mod:`xbarsim.network.bundle`) or drawn from a seed
(:mod:`xbarsim.network.synthetic`). Arrays are made when asked for and not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network.graph import Layer, Node, derive_layers
from xbarsim.network.masks import Coding, Geometry, Mask
from xbarsim.network.ops import Shape, text
from xbarsim.network.quantiser import Quantiser

Tensors = dict[str, NDArray[Any]]
"""Arrays by state-dict name, such as ``bn1.running_mean``."""


@dataclass(frozen=True)
class Samples:
    """Held-out samples of one task."""

    inputs: NDArray[np.float32]
    """``(samples, channels, height, width)``."""
    labels: NDArray[np.int64]
    """``(samples,)``, class numbers from 0."""
    split: str
    """How the samples are found again in their public data set."""


class Store(Protocol):
    """Where a network's numbers come from. ``method`` is always one the task has."""

    def integers(self, layer: Layer, bits: int) -> NDArray[np.signedinteger]:
        """Backbone integers ``(c_out, rows)``."""

    def quantiser(self, layer: Layer, bits: int, task: str, method: str) -> Quantiser:
        """Quantiser of the layer; ``task == method == ""`` for the backbone."""

    def state(self, task: str, method: str) -> Tensors:
        """Stored parameters apart from crossbar weights; ``""`` for the backbone."""

    def mask(self, task: str, method: str, layer: Layer, rows: int | None, aligned: bool) -> Mask | None:
        """Mask of the layer, or nothing where the layer is not masked."""

    def units(self, task: str, method: str, layer: Layer, geometry: Geometry) -> Mask | None:
        """Mask of the crossbars or PEs whose weights are the task's own, or nothing."""

    def weights(self, task: str, method: str, layer: Layer, bits: int) -> NDArray[np.signedinteger] | None:
        """Integers ``(c_out, rows)`` where they differ from the backbone's, else nothing."""

    def owners(self, method: str, layer: Layer, rows: int | None, aligned: bool) -> Mask | None:
        """Which task owns each weight or column, or nothing."""

    def shared(self, method: str, layer: Layer, bits: int) -> NDArray[np.signedinteger] | None:
        """Integers that stay for all tasks of a method where they are not the backbone's, else nothing."""

    def tensors(self, task: str, method: str) -> Mapping[str, Coding | None]:
        """What there is for a task and method; see :attr:`Task.tensors`."""

    def graph(self, method: str) -> tuple[Node, ...] | None:
        """The graph that a method brings, with its branches, or nothing."""

    def extended(self, layers: Mapping[str, Layer], nodes: tuple[Node, ...]) -> Store:
        """The same store for a graph with branches."""

    def accuracy(self, task: str, method: str) -> Mapping[str, float] | None:
        """Measured accuracies by kind (``float``, ``quantised``), each from 0 to 1."""

    def samples(self, task: str) -> Samples | None:
        """Held-out samples of the task."""


@dataclass(frozen=True, eq=False)
class Network:
    """What is computed: the graph, its crossbar layers, the backbone and the tasks."""

    name: str
    nodes: tuple[Node, ...]
    """In topological order; the first is the input, the last the output."""
    layers: Mapping[str, Layer]
    """Crossbar layers by name, in graph order."""
    weight_bits: int | None
    """Width of the integers; ``None`` where the network leaves it to the chip."""
    input_bits: int | None
    """Width of a layer's input, unsigned; ``None`` where the network leaves it to the chip."""
    synthetic: bool
    """Weights and masks are drawn from a seed."""
    mask_rows: int | None
    """Crossbar height that the column masks were learned for; ``None`` if they fit any or there are none."""
    source: str
    """The file or folder it was read from."""
    fingerprint: str
    """Identifies the backbone: ``sha256:…`` over its tensors, or over layer table and seed."""
    task_info: Mapping[str, tuple[int, tuple[str, ...]]]
    """Number of classes and methods of every task."""
    store: Store
    drawn: Mapping[str, Any] = field(default_factory=dict)
    """What a layer table says under ``synthetic``."""
    base: Network | None = None
    """The network without branches, of one that a method has extended."""
    mask_aligned: bool = False
    """Whether the column masks were learned for row blocks that end with a whole kernel."""
    seed: int = 0
    """Draws what the network does not bring: of a layer table everything, else masks of another height."""

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name, in the order of the file."""
        return {name: Task(name, *info, self) for name, info in self.task_info.items()}

    def task(self, name: str) -> Task:
        """Return one task; raises :class:`InputError` naming the ones there are."""
        if name not in self.task_info:
            known = ", ".join(self.task_info) or "none"
            message = f"no task {name!r}; known: {known}{did_you_mean(name, self.task_info)}"
            raise InputError(Fault(self.source, message))
        return Task(name, *self.task_info[name], self)

    def extended(self, nodes: tuple[Node, ...]) -> Network:
        """Return the network with branches: ``nodes`` are its own with further ones among them."""
        layers = derive_layers(nodes)
        return replace(self, nodes=nodes, layers=layers, store=self.store.extended(layers, nodes), base=self)

    def branch(self, layer: str) -> bool:
        """Whether a crossbar layer stands beside the backbone."""
        return self.base is not None and layer not in self.base.layers

    @property
    def head(self) -> Layer | None:
        """The classifier of the backbone, or nothing if the network ends in features."""
        return next((layer for layer in self.layers.values() if layer.head), None)

    def integers(self, layer: str, bits: int | None = None) -> NDArray[np.signedinteger]:
        """Return the backbone's integers ``(c_out, rows)``, unrolled in (c_in, kh, kw) order.

        ``bits`` is needed where :attr:`weight_bits` is ``None``, and may not differ from it
        otherwise. Up to 8 bits are ``int8``, up to 16 ``int16``.
        """
        return self.store.integers(self.layer(layer), self.width(bits))

    def shared(self, method: str, layer: str, bits: int | None = None) -> NDArray[np.signedinteger]:
        """Return the integers ``(c_out, rows)`` that stay for all tasks of ``method``."""
        own = self.store.shared(method, self.layer(layer), self.width(bits))
        return self.integers(layer, bits) if own is None else own

    def owners(self, method: str, layer: str, rows: int | None = None, kernel_aligned: bool = False) -> Mask | None:
        """Return which task owns each weight or column: 0 the backbone, k the k-th task."""
        return self.store.owners(method, self.layer(layer), rows, kernel_aligned)

    def quantiser(self, layer: str, bits: int | None = None) -> Quantiser:
        """Return the backbone's quantiser of one layer."""
        return self.store.quantiser(self.layer(layer), self.width(bits), "", "")

    def state(self) -> Tensors:
        """Return the backbone's normalisation, biases, input scales and head (float)."""
        return self.store.state("", "")

    def layer(self, name: str) -> Layer:
        """Return one crossbar layer; raises :class:`InputError` naming the nearest."""
        if name not in self.layers:
            message = f"no crossbar layer {name!r}{did_you_mean(name, self.layers)}"
            raise InputError(Fault(self.source, message))
        return self.layers[name]

    def width(self, bits: int | None = None) -> int:
        """Return the width of the weights: the network's own, or ``bits`` where it has none."""
        if self.weight_bits is None and bits is None:
            raise InputError(Fault(self.source, "states no weight_bits: the chip's default is needed"))
        if bits is not None and self.weight_bits not in (None, bits):
            message = f"the weights have {self.weight_bits} bits and cannot be read as {bits}"
            raise InputError(Fault(self.source, message))
        return self.weight_bits or bits or 0

    def norm_channels(self) -> dict[str, int]:
        """Return the channels of every normalisation node by its name."""
        return {node.name: node.shape[0] for node in self.nodes if node.op in ("batch_norm", "layer_norm")}

    def shape_of(self, node: str) -> Shape:
        """Return the output shape of one node."""
        return next(entry.shape for entry in self.nodes if entry.name == node)

    def __repr__(self) -> str:
        """Name, size and tasks, not the arrays."""
        weights = sum(layer.weights for layer in self.layers.values())
        return (
            f"Network({self.name!r}, input {text(self.nodes[0].shape)}, {len(self.layers)} crossbar "
            f"layers, {weights} weights, tasks {list(self.task_info)})"
        )


@dataclass(frozen=True, eq=False)
class Task:
    """One task on the backbone, and what each adaption method stores for it."""

    name: str
    classes: int
    methods: tuple[str, ...]
    """Methods that the task has tensors of."""
    network: Network

    def needs(self, method: str) -> None:
        """Raise :class:`InputError` if the task has no tensors of ``method``."""
        if method in self.methods:
            return
        have = ", ".join(self.methods) or "none"
        message = (
            f"task {self.name!r} has no tensors '{method}/…' of method {method!r}; "
            f"it has: {have}{did_you_mean(method, self.methods)}"
        )
        raise InputError(Fault(self.network.source, message, f"tasks.{self.name}.methods.{method}"))

    @property
    def number(self) -> int:
        """The task's number as an owner: 1 for the first, 0 is the backbone."""
        return list(self.network.task_info).index(self.name) + 1

    def tensors(self, method: str) -> Mapping[str, Coding | None]:
        """Return the masks and weights that the task has for ``method``, by role and layer.

        ``masks/LAYER``, ``units/LAYER`` and ``weights/LAYER`` are its own, ``owners/LAYER`` and
        ``shared/LAYER`` those of all tasks of the method. Masks come with the coding of their values.
        """
        self.needs(method)
        return self.network.store.tensors(self.name, method)

    @property
    def head_layer(self) -> Layer | None:
        """The network's head with as many columns as the task has classes."""
        head = self.network.head
        return replace(head, c_out=self.classes) if head else None

    def mask(self, method: str, layer: str, rows: int | None = None, kernel_aligned: bool = False) -> Mask | None:
        """Return the mask of one layer, or ``None`` where the method does not mask it.

        ``rows`` and ``kernel_aligned`` say what crossbars are wanted: synthetic column masks are
        drawn for them (``ValueError`` without ``rows``), stored ones stay as they were learned (see
        :attr:`Mask.rows`).
        """
        self.needs(method)
        return self.network.store.mask(self.name, method, self._layer(layer), rows, kernel_aligned)

    def units(self, method: str, layer: str, wanted: Geometry | None = None) -> Mask | None:
        """Return the mask of crossbars or PEs whose weights are the task's own, or ``None``.

        ``wanted`` says what crossbars synthetic masks are drawn for.
        """
        self.needs(method)
        return self.network.store.units(self.name, method, self._layer(layer), wanted or Geometry())

    def weights(self, method: str, layer: str, bits: int | None = None) -> NDArray[np.signedinteger] | None:
        """Return the task's integers ``(c_out, rows)``, or ``None`` where the backbone's are kept.

        The head's integers, ``(classes, features)``, are always the task's own. Masks are not
        applied here.
        """
        self.needs(method)
        width = self.network.width(bits)
        return self.network.store.weights(self.name, method, self._layer(layer), width)

    def quantiser(self, method: str, layer: str, bits: int | None = None) -> Quantiser:
        """Return the quantiser of one layer: the task's own, or else the backbone's."""
        self.needs(method)
        width = self.network.width(bits)
        return self.network.store.quantiser(self._layer(layer), width, self.name, method)

    def state(self, method: str) -> Tensors:
        """Return what the task stores beside masks and crossbar weights, by state-dict name.

        That is normalisation, biases, input scales and the head; names left out keep the
        backbone's value.
        """
        self.needs(method)
        return self.network.store.state(self.name, method)

    def head(self, method: str) -> NDArray[np.float32] | None:
        """Return the head's float weights ``(classes, features)``, if the network has a head."""
        head = self.network.head
        return self.state(method)[f"{head.name}.weight"] if head else None

    def accuracy(self, method: str) -> Mapping[str, float] | None:
        """Return measured accuracies by kind, from 0 to 1, or ``None`` where nobody measured."""
        self.needs(method)
        return self.network.store.accuracy(self.name, method)

    def samples(self) -> Samples | None:
        """Return held-out samples, or ``None`` where the bundle has none."""
        return self.network.store.samples(self.name)

    def _layer(self, name: str) -> Layer:
        layer = self.network.layer(name)
        return replace(layer, c_out=self.classes) if layer.head else layer
