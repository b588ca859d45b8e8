"""Layer tables: networks written down in YAML, without weights.

::

    schema: 1
    name: small
    input: [3, 32, 32]                # channels, height, width
    layers:                           # in order; each reads the one before unless it states inputs
      - {conv: conv1, out: 16, kernel: 3, padding: 1}
      - {batch_norm: bn1}
      - relu                          # an operation without attributes; named relu_2 after its place
      - {conv: conv2, out: 16, kernel: 3, padding: 1}
      - {add: sum, inputs: [conv2, relu_2]}
      - global_avg_pool
      - {linear: fc, out: 10}
    synthetic: {tasks: 5}             # weights, tasks and masks drawn from the run's seed

The operations and their attributes stand in :mod:`xbarsim.network.ops`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from xbarsim.config import Document, Section, read_document
from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network.drawn import Synthetic
from xbarsim.network.graph import Entry, GraphError, Node, build_graph, derive_layers
from xbarsim.network.network import Network
from xbarsim.network.ops import OPS
from xbarsim.network.quantiser import LEAST_BITS, MOST_BITS
from xbarsim.network.synthetic import METHODS, SyntheticStore

INPUT = "input"
"""Name of the input node of a layer table."""

Size = Annotated[int, Field(ge=1, le=2**20)]


class LayerTable(Section):
    """A network without weights."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this format."""
    name: Annotated[str, Field(min_length=1)]
    """Name in results."""
    input: tuple[Size, Size, Size]
    """Channels, height and width of the input."""
    layers: Annotated[list[Any], Field(min_length=1)]
    """The operations in topological order."""
    weight_bits: Annotated[int, Field(ge=LEAST_BITS, le=MOST_BITS)] | None = None
    """Width of the weights; left out, the chip's default."""
    input_bits: Annotated[int, Field(ge=1, le=MOST_BITS)] | None = None
    """Width of every layer's input; left out, the chip's default."""
    synthetic: Synthetic = Synthetic()
    """What is drawn."""


def read_layer_table(path: Path, *, seed: int = 0) -> Network:
    """Read a layer table; its weights and tasks are drawn from ``seed``.

    Raises :class:`InputError` with every fault at its line and column.
    """
    document = read_document(path, LayerTable)
    table = document.value
    nodes = _graph(document)
    layers = derive_layers(nodes)
    if not layers:
        raise InputError(document.places["layers"].fault("no crossbar layer: no conv or linear", "layers"))
    drawn = table.synthetic
    tasks = tuple(f"task{number}" for number in range(1, drawn.tasks + 1))
    classes = next((layer.c_out for layer in layers.values() if layer.head), nodes[-1].shape[0])
    return Network(
        name=table.name,
        nodes=nodes,
        layers=layers,
        weight_bits=table.weight_bits,
        input_bits=table.input_bits,
        synthetic=True,
        mask_rows=None,
        source=str(path),
        fingerprint=_fingerprint(document.digest, seed),
        task_info=dict.fromkeys(tasks, (classes, METHODS)),
        store=SyntheticStore(seed, nodes, layers, tasks, drawn, len(layers)),
        drawn=drawn.model_dump(),
    )


def _fingerprint(digest: str, seed: int) -> str:
    return f"sha256:{hashlib.sha256(f'{digest} {seed}'.encode()).hexdigest()}"


def _graph(document: Document[LayerTable]) -> tuple[Node, ...]:
    """Build the graph; a fault points at the attribute, or at the entry, that it belongs to."""
    places = document.places

    def fault(index: int, attr: str, message: str) -> Fault:
        if index < 0:
            return places["input"].fault(message, "input")
        path = f"layers.{index}"
        inner = f"{path}.{attr}" if attr else path
        return places.get(inner, places[path]).fault(message, inner)

    faults: list[Fault] = []
    entries = [Entry(INPUT, "input", (), {"shape": document.value.input})]
    for index, raw in enumerate(document.value.layers):
        try:
            entries.append(_entry(index, raw, entries[-1].name))
        except EntryError as error:
            faults.append(fault(index, error.attr, str(error)))
    if faults:
        raise InputError(faults)
    try:
        return build_graph(entries)
    except GraphError as error:
        raise InputError([fault(index - 1, attr, text) for index, attr, text in error.faults]) from None


class EntryError(ValueError):
    """An entry of ``layers`` cannot be read; ``attr`` is the key to blame."""

    def __init__(self, attr: str, message: str) -> None:
        super().__init__(message)
        self.attr = attr


def _entry(index: int, raw: object, previous: str) -> Entry:
    """Read one entry of ``layers``: a bare operation, or a table of operation, inputs and attributes."""
    if isinstance(raw, str):
        if raw not in OPS:
            raise EntryError("", f"no operation {raw!r}{did_you_mean(raw, OPS)}")
        return Entry(f"{raw}_{index}", raw, (previous,), {})
    if not isinstance(raw, Mapping):
        raise EntryError("", "write an operation, as in relu or {conv: conv1, out: 64, kernel: 3}")
    ops = [key for key in raw if key in OPS]
    if len(ops) != 1:
        first = next(iter(raw), "")
        what = f"more than one operation: {', '.join(ops)}" if ops else "no operation"
        raise EntryError("", what + ("" if ops else did_you_mean(first, OPS)))
    name = raw[ops[0]]
    if not isinstance(name, str):
        raise EntryError(ops[0], f"{name!r} is not a name")
    attrs = {key: value for key, value in raw.items() if key not in (ops[0], "inputs")}
    return Entry(name, ops[0], _inputs(raw, previous), attrs)


def _inputs(raw: Mapping[str, object], previous: str) -> tuple[str, ...]:
    inputs = raw.get("inputs", previous)
    inputs = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise EntryError("inputs", f"{inputs!r} is not a name or a list of names")
    return tuple(inputs)
