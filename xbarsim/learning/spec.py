"""SPEC.yaml of ``xbarsim learn``: which backbone, tasks and methods become a bundle.

::

    schema: 1
    name: digits
    backbone: {network: digits_net.yaml, task: digits, epochs: 40}   # a layer table, trained on a task first
    tasks: [digits, rotated, textures]
    methods:
      xbm: {}
      xma: {epochs: 60}
      finetune: {}
    epochs: 30
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from xbarsim.adaptions import Adaption
from xbarsim.config import Document, Place, Section, read_document
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.learning.images import NAMES
from xbarsim.network import Network, load_network
from xbarsim.network.graph import NAME

Epochs = Annotated[int, Field(ge=1, le=100_000)]
Option = int | float | bool | str | list[str] | None


class BackboneSpec(Section):
    """The frozen network under all tasks."""

    network: Annotated[str, Field(min_length=1)]
    """A layer table or a bundle: a path, seen from the folder of the file, or a name in `workloads/`."""
    task: str | None = None
    """The task that a layer table's weights are learned on; a bundle has its weights already."""
    epochs: Epochs = 60
    """Epochs of that training."""


class MethodSpec(Section):
    """How one method learns."""

    epochs: Epochs | None = None
    """Epochs of a task; left out, those of the file."""
    energy_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the hardware term: expected energy of an inference over that with every column on."""
    options: dict[str, Option] = {}
    """What else the method takes, such as `rate`, by name; see docs/learning.md."""


class LearnSpec(Section):
    """What becomes one bundle."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this format."""
    name: Annotated[str, Field(pattern=rf"^(?:{NAME.pattern})$")]
    """Name of the bundle in results."""
    backbone: BackboneSpec
    """The frozen network under all tasks."""
    tasks: Annotated[list[str], Field(min_length=1)]
    """Tasks, in the order in which methods that share weights learn them."""
    methods: Annotated[dict[str, MethodSpec], Field(min_length=1)]
    """Methods by name, each with its own options; `{}` for none."""
    epochs: Epochs = 30
    """Epochs of every task and method."""
    samples: Annotated[int, Field(ge=1)] | None = None
    """So many held-out samples of each task go into the bundle; left out, all. Accuracies are of all."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of everything that is drawn."""

    def epochs_of(self, method: str) -> int:
        """Epochs of one method."""
        return self.methods[method].epochs or self.epochs


@dataclass(frozen=True)
class Spec:
    """A spec and the network that it names."""

    source: str
    """The file."""
    value: LearnSpec
    network: Network
    """Of a layer table, only the graph counts."""
    places: Mapping[str, Place]
    """Where each key stands."""

    def fault(self, message: str, path: str) -> Fault:
        """Return a fault at a key of the file, or at the nearest one above it that is written."""
        where = path
        while where and where not in self.places:
            where = where.rpartition(".")[0]
        return self.places[where].fault(message, path) if where else Fault(self.source, message, path)


def read_spec(
    path: Path,
    *,
    epochs: int | None = None,
    seed: int | None = None,
    tasks: list[str] | None = None,
    methods: list[str] | None = None,
) -> Spec:
    """Read a spec; ``epochs`` (of the backbone and of every method) and ``seed`` take the place of the file's.

    ``tasks`` and ``methods`` choose from those of the file. Raises :class:`InputError` with every fault.
    """
    document = read_document(path, LearnSpec)
    faults = list(_names(document))
    try:
        network = _network(path, document)
    except InputError as error:
        raise InputError([*faults, *error.faults]) from None
    faults += _backbone(document, network)
    faults += _unknown("--tasks", tasks, document.value.tasks)
    faults += _unknown("--methods", methods, document.value.methods)
    if faults:
        raise InputError(faults)
    return Spec(str(path), _chosen(document.value, epochs, seed, tasks, methods), network, document.places)


def _chosen(
    spec: LearnSpec, epochs: int | None, seed: int | None, tasks: list[str] | None, methods: list[str] | None
) -> LearnSpec:
    """The spec with what the caller asks for; tasks and methods stay in the order of the file."""
    kept = {
        name: options if epochs is None else options.model_copy(update={"epochs": epochs})
        for name, options in spec.methods.items()
        if methods is None or name in methods
    }
    update: dict[str, object] = {"methods": kept}
    if tasks is not None:
        update["tasks"] = [name for name in spec.tasks if name in tasks]
    if epochs is not None:
        update |= {"epochs": epochs, "backbone": spec.backbone.model_copy(update={"epochs": epochs})}
    if seed is not None:
        update["seed"] = seed
    return spec.model_copy(update=update)


def _names(document: Document[LearnSpec]) -> Iterator[Fault]:
    """Tasks and methods that there are not, each at its place."""
    spec, places = document.value, document.places
    seen: set[str] = set()
    for number, task in enumerate(spec.tasks):
        where = f"tasks.{number}"
        if task not in NAMES:
            yield places[where].fault(_no("task", task, NAMES), where)
        elif task in seen:
            yield places[where].fault(f"task {task!r} stands here twice", where)
        seen.add(task)
    known = Adaption.known()
    for method in spec.methods:
        if method not in known:
            where = f"methods.{method}"
            yield places[where].fault(_no("method", method, known), where)
    first = spec.backbone.task
    if first is not None and first not in NAMES:
        yield places["backbone.task"].fault(_no("task", first, NAMES), "backbone.task")


def _no(what: str, name: str, known: tuple[str, ...] | list[str]) -> str:
    return f"no {what} {name!r}; known: {', '.join(known)}{did_you_mean(name, known)}"


def _network(path: Path, document: Document[LearnSpec]) -> Network:
    """The network under the name: beside the file first."""
    name = document.value.backbone.network
    beside = path.parent / name
    try:
        return load_network(beside if beside.exists() else name)
    except InputError as error:
        if any(fault.line for fault in error.faults):
            raise
        place, where = document.places["backbone.network"], "backbone.network"
        raise InputError([place.fault(str(fault), where) for fault in error.faults]) from None


def _backbone(document: Document[LearnSpec], network: Network) -> Iterator[Fault]:
    """A layer table needs a task, a bundle has been trained; both need a head."""
    spec, places = document.value.backbone, document.places
    if network.synthetic and spec.task is None:
        message = f"{network.name!r} has no weights yet: name the task that it learns first, as in task: digits"
        yield places["backbone"].fault(message, "backbone.task")
    if not network.synthetic and spec.task is not None:
        message = f"{network.name!r} is a bundle with weights: leave the task out"
        yield places["backbone.task"].fault(message, "backbone.task")
    if network.head is None:
        message = f"{network.name!r} has no classifier: it must end in a linear layer"
        yield places["backbone.network"].fault(message, "backbone.network")


def _unknown(option: str, names: list[str] | None, known: list[str] | dict[str, MethodSpec]) -> Iterator[Fault]:
    for name in names or ():
        if name not in known:
            yield Fault(option, f"{name!r} is not in the file; there: {', '.join(known)}{did_you_mean(name, known)}")
