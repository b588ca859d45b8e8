"""From ONNX to a bundle: names, shapes and weights; the operations stand in :mod:`xbarsim.network.importers.onnx_ops`.

Layers are called like their weights (``layer1.0.conv1.weight`` makes ``layer1.0.conv1``), or like the
operation where the exporter has renamed the weights. Batch normalisation stays an operation of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import Fault, InputError
from xbarsim.network.bundle_writer import BundleContent
from xbarsim.network.graph import Entry, build_graph, derive_layers
from xbarsim.network.importers.content import Imported
from xbarsim.network.importers.naming import clean
from xbarsim.network.importers.onnx_file import OnnxGraph, Op, evaluate, load_onnx
from xbarsim.network.ops import OPS, Shape, ShapeError, read_attrs, text
from xbarsim.network.quantiser import Quantiser

Layout = Literal["image", "columns", "tokens", "vector"]
"""What a tensor is in ONNX: (n, c, h, w), (n, c, h*w), (n, tokens, width), (n, features)."""

RANKS: Mapping[int, Layout] = {4: "image", 3: "tokens", 2: "vector"}

Array = NDArray[Any]


class Unsupported(ValueError):
    """An operation that the graph has no word for; the message says why."""


@dataclass(frozen=True)
class Value:
    """A tensor between operations, in our graph."""

    node: str
    """The node that makes it."""
    shape: Shape
    layout: Layout


def outward(value: Value) -> tuple[int, ...]:
    """Return the shape of a tensor in ONNX, with a batch of 1."""
    channels, height, width = value.shape
    shapes: Mapping[Layout, tuple[int, ...]] = {
        "image": (1, channels, height, width),
        "columns": (1, channels, height * width),
        "tokens": (1, height, channels),
        "vector": (1, channels),
    }
    return shapes[value.layout]


class Translation:
    """Our graph and its parameters in the making."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.constants = dict(graph.constants)
        self.readers = graph.readers
        self.entries: list[Entry] = []
        self.values: dict[str, Value] = {}
        self.state: dict[str, NDArray[np.float32]] = {}
        self.made: dict[str, Op] = {op.output: op for op in graph.ops}
        self.warnings: list[str] = []
        self._shapes: dict[str, Shape] = {}

    def value(self, op: Op, place: int = 0) -> Value:
        """Return the activation that an operation reads; raises :class:`Unsupported` for a constant."""
        name = op.inputs[place] if place < len(op.inputs) else ""
        if name in self.constants:
            raise Unsupported(f"reads the constant {name!r} where an activation is needed")
        return self.values[name]

    def constant(self, op: Op, place: int) -> Array | None:
        """Return a constant input; nothing where it is left out; raises :class:`Unsupported` for an activation."""
        name = op.inputs[place] if place < len(op.inputs) else ""
        if not name:
            return None
        if name not in self.constants:
            raise Unsupported(f"input {name!r} is computed; only a constant can stand there")
        return self.constants[name]

    def weight(self, op: Op, place: int) -> Array:
        """Return a constant that must be there, in single precision."""
        found = self.constant(op, place)
        if found is None:
            raise Unsupported(f"input {place} is missing")
        if found.dtype.kind != "f":
            raise Unsupported(f"input {op.inputs[place]!r} holds {found.dtype}, not floating-point numbers")
        return np.asarray(found, np.float32)

    def add(self, op: Op, kind: str, read: Sequence[Value], layout: Layout | None = None, **attrs: object) -> Value:
        """Append an operation of ours; raises :class:`Unsupported` where the shapes do not fit."""
        checked, complaints = read_attrs(kind, attrs)
        if complaints:
            raise Unsupported("; ".join(f"{key}: {message}" for key, message in complaints))
        try:
            shape = OPS[kind].rule([one.shape for one in read], checked)
        except ShapeError as error:
            raise Unsupported(str(error)) from None
        name = self._name(op)
        self.entries.append(Entry(name, kind, tuple(one.node for one in read), attrs))
        self._shapes[name] = shape
        return Value(name, shape, layout or read[0].layout)

    def fold(self, op: Op) -> bool:
        """Compute an operation whose inputs are constants, or known shapes; return whether it is one."""
        read = [name for name in op.inputs if name]
        if op.kind == "Shape" and read[0] in self.values:
            sizes = outward(self.values[read[0]])
            self.constants[op.output] = np.array(sizes[int(op.attrs.get("start", 0)) : op.attrs.get("end")], np.int64)
            return True
        if op.kind == "CastLike" and read[0] in self.constants and read[1] in self.values:
            self.constants[op.output] = self.constants[read[0]].astype(np.float32)
            return True
        if not read or any(name not in self.constants for name in read):
            return False
        try:
            self.constants[op.output] = evaluate(op, self.constants, self.graph.opset)
        except ValueError as error:
            raise Unsupported(str(error)) from None
        return True

    def hold(self, value: Value, **parameters: Array | None) -> None:
        """Keep parameters of a node by role."""
        for role, array in parameters.items():
            if array is not None:
                self.state[f"{value.node}.{role}"] = np.asarray(array, np.float32)

    def with_bias(self, value: Value, bias: Array) -> None:
        """Give the linear layer that made ``value`` a bias."""
        place = next(index for index, entry in enumerate(self.entries) if entry.name == value.node)
        entry = self.entries[place]
        self.entries[place] = Entry(entry.name, entry.op, entry.inputs, {**entry.attrs, "bias": True})
        self.hold(value, bias=bias)

    def _name(self, op: Op) -> str:
        """A name of ours: of the weights where they have one, else of the operation."""
        found = ""
        if op.kind in NAMED_BY_WEIGHT and not op.name.startswith("/"):
            weight = op.inputs[1] if len(op.inputs) > 1 else ""
            stem, _, role = weight.rpartition(".")
            found = stem if role == "weight" and "::" not in stem else ""
        name = clean(found or _scope(op))
        number, unique = 1, name
        while unique in self._shapes:
            number += 1
            unique = f"{name}_{number}"
        return unique


NAMED_BY_WEIGHT = ("Conv", "Gemm", "MatMul", "BatchNormalization", "LayerNormalization")


def _scope(op: Op) -> str:
    """``/layer1/layer1.0/conv1/Conv`` as ``layer1.0.conv1``: modules of lists bear their list's name."""
    parts = [part for part in op.name.split("/") if part]
    if len(parts) > 1 and parts[-1].startswith(op.kind):
        parts.pop()
    kept: list[str] = []
    for part in parts:
        if kept and part.startswith(f"{kept[-1]}."):
            kept.pop()
        kept.append(part)
    return ".".join(kept) or op.kind


def read_onnx(
    path: Path, *, name: str = "", weight_bits: int = 8, input_bits: int = 8, shape: Shape | None = None
) -> Imported:
    """Read an ONNX network as the content of a bundle without tasks.

    Its one input has batch 1 or a symbolic batch; ``shape`` (channels, height, width; of tokens: width, tokens, 1; of
    vectors: features, 1, 1) is needed where other sizes are symbolic too. Weights are quantised per output channel.
    Raises :class:`InputError` that names every operation that cannot be taken over, or the missing package.
    """
    graph = load_onnx(path)
    made = Translation(graph)
    _translate(made, shape)
    nodes = build_graph(made.entries)
    layers = derive_layers(nodes)
    if not layers:
        raise InputError(Fault(str(path), "has no convolution and no product with a constant matrix: nothing to map"))
    warnings = [*made.warnings, *folded(graph)]
    generator = f"xbarsim import onnx {path.name}"
    content = BundleContent(
        name or path.stem,
        "; ".join([generator, *(f"warning: {line}" for line in warnings)]),
        made.entries,
        made.state,
        {layer: Quantiser.fit(made.state[f"{layer}.weight"], weight_bits) for layer in layers},
        {},
        weight_bits,
        input_bits,
    )
    return Imported(content, tuple(f"{path}: {line}" for line in warnings))


def folded(graph: OnnxGraph) -> list[str]:
    """Say where normalisation has probably been folded into convolutions.

    The rule: a convolution has its normalisation behind it, unless the network normalises by layers; or, where it
    adds no bias, elsewhere. Exporters that fold leave convolutions with a bias, or a network without any
    normalisation.
    """
    if any(op.kind == "LayerNormalization" for op in graph.ops):
        return []
    normalised = {op.inputs[0] for op in graph.ops if op.kind == "BatchNormalization"}
    convolutions = [op for op in graph.ops if op.kind == "Conv"]
    behind = [op for op in convolutions if op.output not in normalised]
    bare = [op for op in behind if not normalised or (len(op.inputs) > 2 and op.inputs[2])]
    if not bare:
        return []
    return [
        f"{len(bare)} of {len(convolutions)} convolutions have no BatchNormalization behind them "
        f"(first: {bare[0].name!r}): normalisation has been folded into them, or there never was any. Tasks cannot "
        "bring a normalisation of their own, and masks act on weights that contain the normalisation's factors; "
        "to keep it, export with torch.onnx.export(…, optimize=False), or with dynamo=False, do_constant_folding=False "
        "and training=TrainingMode.PRESERVE"
    ]


def _translate(made: Translation, shape: Shape | None) -> None:
    """Fill the translation, or raise with every fault."""
    from xbarsim.network.importers.onnx_ops import RULES

    known = f"; known: {', '.join(RULES)}"

    def _rule(op: Op) -> Callable[[Translation, Op], Value]:
        if op.kind not in RULES:
            raise Unsupported(f"is no operation that a chip here knows{known}")
        return RULES[op.kind]

    graph, faults = made.graph, []
    _take_input(made, shape)
    if len(graph.outputs) != 1:
        faults.append(Fault(str(graph.path), f"has {len(graph.outputs)} outputs, not one: {', '.join(graph.outputs)}"))
    for op in graph.ops:
        missing = [name for name in op.inputs if name and name not in made.values and name not in made.constants]
        if missing and op.kind in RULES:  # made by an operation that has been complained about
            continue
        try:
            if missing or not made.fold(op):
                made.values[op.output] = _rule(op)(made, op)
        except Unsupported as error:
            faults.append(_fault(graph, op, str(error)))
    if faults:
        raise InputError(_shorter(faults, known))


def _shorter(faults: list[Fault], known: str) -> list[Fault]:
    """The same faults, the list of known operations only with the last one that has it."""
    last = max((place for place, fault in enumerate(faults) if fault.message.endswith(known)), default=0)
    return [
        fault if place == last else Fault(fault.file, fault.message.removesuffix(known), fault.path)
        for place, fault in enumerate(faults)
    ]


def _fault(graph: OnnxGraph, op: Op, why: str) -> Fault:
    return Fault(str(graph.path), f"{op.kind}: {why}", f"node {op.name!r}")


def _take_input(made: Translation, shape: Shape | None) -> None:
    """Make the input node, whose sizes must be known apart from the batch."""
    graph = made.graph
    if len(graph.inputs) != 1:
        message = f"has {len(graph.inputs)} inputs, not one: {', '.join(graph.inputs) or 'none'}"
        raise InputError(Fault(str(graph.path), message))
    [(name, sizes)] = graph.inputs.items()
    place = f"input {name!r}"
    if len(sizes) not in RANKS:
        message = f"has {len(sizes)} dimensions; needed: (batch, channels, height, width), (batch, tokens, width) or "
        raise InputError(Fault(str(graph.path), f"{message}(batch, features)", place))
    if isinstance(sizes[0], int) and sizes[0] != 1:
        message = f"has a batch of {sizes[0]}; export the network with a batch of 1 or a symbolic one"
        raise InputError(Fault(str(graph.path), message, place))
    found = _input_shape(graph.path, place, sizes[1:], shape)
    node = clean(name)
    made.entries.append(Entry(node, "input", (), {"shape": found}))
    made.values[name] = Value(node, found, RANKS[len(sizes)])
    made._shapes[node] = found


def _input_shape(path: Path, place: str, sizes: tuple[int | str | None, ...], shape: Shape | None) -> Shape:
    known = [size if isinstance(size, int) and size > 0 else None for size in sizes]
    if shape is not None:
        given = [list(shape), [shape[1], shape[0]], [shape[0]]][3 - len(sizes)]
        if any(size not in (None, wanted) for size, wanted in zip(known, given, strict=True)):
            raise InputError(Fault(str(path), f"is {sizes} in the file, not {text(shape)}", place))
        return shape
    if None in known:
        message = f"has symbolic sizes {sizes}; state them: --input-shape CHANNELS,HEIGHT,WIDTH"
        raise InputError(Fault(str(path), message, place))
    fixed = [size or 0 for size in known]
    if len(fixed) == 3:
        return fixed[0], fixed[1], fixed[2]
    return (fixed[1], fixed[0], 1) if len(fixed) == 2 else (fixed[0], 1, 1)
