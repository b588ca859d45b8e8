"""An ONNX file as plain operations and constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import Fault, InputError

PASSED_ON = ("Identity", "Dropout")
"""Operations that do nothing at inference."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Op:
    """One operation."""

    kind: str
    """Type, with its domain in front where that is not ONNX's own."""
    name: str
    """Its own name, or else that of its result."""
    inputs: tuple[str, ...]
    """Tensors it reads; ``""`` for one left out."""
    output: str
    """Its first result."""
    attrs: Mapping[str, Any]
    proto: Any = None
    """As ONNX holds it."""


@dataclass(frozen=True)
class OnnxGraph:
    """What is computed, results that nothing needs left out."""

    path: Path
    ops: tuple[Op, ...]
    """In topological order."""
    constants: Mapping[str, Array]
    inputs: Mapping[str, tuple[int | str | None, ...]]
    """Shape by name; symbolic sizes by name, unknown ones as nothing."""
    outputs: tuple[str, ...]
    opset: int

    @property
    def readers(self) -> Counter[str]:
        """How many operations read each tensor."""
        return Counter(name for op in self.ops for name in set(op.inputs))


def load_onnx(path: Path) -> OnnxGraph:
    """Read an ONNX file; raises :class:`InputError` if it is none, or if package onnx is missing."""
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise InputError("reading ONNX files needs package onnx: pip install 'xbarsim[onnx]'") from None
    try:
        model = onnx.load(str(path))
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
    except OSError as error:
        raise InputError(Fault(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}")) from None
    except Exception as error:  # protobuf's, onnx's or Python's, as the bytes have it
        raise InputError(Fault(str(path), f"is no ONNX file that can be read: {error}")) from None
    if not model.graph.node:
        raise InputError(Fault(str(path), "is no ONNX file with operations in it"))
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    return _gelus(_plain(path, model.graph, opset, onnx))


def evaluate(op: Op, constants: Mapping[str, Array], opset: int) -> Array:
    """Compute an operation on constants; raises ``ValueError`` where ONNX's reference cannot."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    if op.proto is None:
        raise ValueError("is no operation of the file")
    given = dict(zip(op.proto.input, op.inputs, strict=True))
    inputs = [onnx.ValueInfoProto(name=name) for name in given if name]
    graph = onnx.helper.make_graph([op.proto], "one", inputs, [onnx.ValueInfoProto(name=op.output)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        feeds = {own: constants[name] for own, name in given.items() if own}
        results: Any = ReferenceEvaluator(model).run([op.output], feeds)
        return np.asarray(results[0])
    except Exception as error:
        raise ValueError(f"cannot be computed from constants: {error}") from error


def _plain(path: Path, graph: Any, opset: int, onnx: Any) -> OnnxGraph:
    constants: dict[str, Array] = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    renamed: dict[str, str] = {}
    ops = []
    for node in graph.node:
        names: tuple[str, ...] = tuple(renamed.get(name, name) for name in node.input)
        attrs: dict[str, Any] = {one.name: _value(onnx, one) for one in node.attribute}
        if node.op_type == "Constant" and "value" in attrs:
            constants[node.output[0]] = np.asarray(attrs["value"])
        elif node.op_type == "Constant":
            constants[node.output[0]] = np.asarray(next(iter(attrs.values())))
        elif node.op_type in PASSED_ON and node.domain in ("", "ai.onnx"):
            renamed[node.output[0]] = names[0]
        else:
            domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
            ops.append(Op(f"{domain}{node.op_type}", node.name or node.output[0], names, node.output[0], attrs, node))
    outputs = tuple(renamed.get(one.name, one.name) for one in graph.output)
    inputs = {one.name: _shape(one) for one in graph.input if one.name not in constants}
    return OnnxGraph(path, _needed(ops, outputs), constants, inputs, outputs, opset)


def _value(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _shape(value: Any) -> tuple[int | str | None, ...]:
    sizes = value.type.tensor_type.shape.dim
    return tuple(one.dim_param or (one.dim_value if one.HasField("dim_value") else None) for one in sizes)


def _needed(ops: Sequence[Op], outputs: Sequence[str]) -> tuple[Op, ...]:
    """The operations that the outputs depend on."""
    wanted, kept = set(outputs), []
    for op in reversed(ops):
        if op.output in wanted:
            wanted |= set(op.inputs)
            kept.append(op)
    return tuple(reversed(kept))


def _gelus(graph: OnnxGraph) -> OnnxGraph:
    """Return the graph with x / sqrt(2) -> Erf -> + 1 -> * x -> * 0.5 written as Gelu, as opset 20 has it."""
    made = {op.output: op for op in graph.ops}
    ends: dict[str, Op] = {}
    for op in graph.ops:
        source, last = _gelu_of(graph, made, op)
        if source:
            ends[last] = Op("Gelu", made[last].name, (source,), last, {})
    if not ends:
        return graph
    return replace(graph, ops=_needed([ends.get(op.output, op) for op in graph.ops], graph.outputs))


def _gelu_of(graph: OnnxGraph, made: Mapping[str, Op], last: Op) -> tuple[str, str]:
    """What ``last`` is the Gelu of, and its result; empty where it is none.

    Either order of the two last products: (x * (1 + erf)) * 0.5 and (x * 0.5) * (1 + erf).
    """
    for product, half in ((_factor(graph, last, 0.5), True), (last, False)):
        inner = made.get(product) if isinstance(product, str) else product
        if inner is None or inner.kind != "Mul":
            continue
        for left, right in (inner.inputs, inner.inputs[::-1]):
            halved = made.get(left)
            x = left if half else _factor(graph, halved, 0.5) if halved else ""
            total = made.get(right)
            erf = made.get(_added(graph, total, 1.0)) if total else None
            scaled = made.get(erf.inputs[0]) if erf and erf.kind == "Erf" else None
            if x and scaled and x in (_factor(graph, scaled, 1 / sqrt(2)), _quotient(graph, scaled, sqrt(2))):
                return x, last.output
    return "", ""


def _factor(graph: OnnxGraph, op: Op | None, value: float) -> str:
    return _beside_constant(graph, op, "Mul", value)


def _added(graph: OnnxGraph, op: Op | None, value: float) -> str:
    return _beside_constant(graph, op, "Add", value)


def _quotient(graph: OnnxGraph, op: Op, value: float) -> str:
    return _beside_constant(graph, op, "Div", value) if op.inputs[-1] in graph.constants else ""


def _beside_constant(graph: OnnxGraph, op: Op | None, kind: str, value: float) -> str:
    """The other input of an operation with the constant ``value``; ``""`` where it is no such operation."""
    if op is None or op.kind != kind or len(op.inputs) != 2:
        return ""
    for name, other in (op.inputs, op.inputs[::-1]):
        constant = graph.constants.get(other)
        if constant is not None and constant.size == 1 and isclose(float(constant.reshape(())), value, rel_tol=1e-5):
            return name
    return ""
