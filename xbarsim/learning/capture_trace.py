"""What is known while a PyTorch graph is turned into a graph of xbarsim: values, parameters, names, faults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbarsim.errors import Fault
from xbarsim.learning.capture_layout import Layout, Value, described, reshaped, sizes
from xbarsim.network.graph import Entry
from xbarsim.network.ops import OPS, Shape, ShapeError, read_attrs

FxNode = torch.fx.Node
"""A node of the exported program."""


class UnsupportedError(Exception):
    """An operation has no counterpart; the message says why and what to do."""


class FollowsError(Exception):
    """An operation reads one that has no counterpart, which has been complained about."""


@dataclass(frozen=True)
class Source:
    """Where a parameter of the graph stands in the state dict of the PyTorch module."""

    name: str
    start: int = 0
    """First row that is taken."""
    stop: int | None = None
    """The row after the last one; ``None``: all."""
    transposed: bool = False
    """The module keeps the matrix as ``(inputs, outputs)``."""
    shape: tuple[int, ...] | None = None
    """Shape in the graph where it differs."""

    def read(self, tensor: Tensor) -> Tensor:
        """Return the parameter from the module's tensor."""
        kept = tensor.detach().mT if self.transposed else tensor.detach()
        kept = kept[self.start : self.stop] if kept.ndim else kept
        return kept.reshape(self.shape) if self.shape is not None else kept

    def write(self, tensor: Tensor, value: Tensor) -> None:
        """Put the parameter back into the module's tensor."""
        place = tensor.mT if self.transposed else tensor
        place = place[self.start : self.stop] if place.ndim else place
        place.copy_(value.reshape(place.shape))


@dataclass(frozen=True)
class Param:
    """A parameter, a buffer or a constant as an operation reads it."""

    source: Source
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Pending(Value):
    """A product with parameters whose outputs may still be shared out: queries, keys and values of one matrix."""

    key: FxNode
    source: Value
    weight: Param
    bias: Param | None
    outputs: int
    """Outputs of the whole product."""
    start: int = 0
    """First of them that is left."""


@dataclass
class Trace:
    """The state of one capture."""

    reserved: set[str]
    """Names that nodes with parameters will take."""
    entries: list[Entry] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    env: dict[FxNode, Any] = field(default_factory=dict)
    """Value, parameter, list of these, or an exception for what cannot be read."""
    roots: dict[FxNode, FxNode] = field(default_factory=dict)
    """The node whose memory a view shows."""
    sources: dict[str, Source] = field(default_factory=dict)
    constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    users: dict[str, list[tuple[Source, str]]] = field(default_factory=dict)
    """By state-dict name: who reads which rows."""
    settled: dict[tuple[FxNode, int, int], str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def raw(self, node: object) -> Any:
        """Return what an argument is; raise :class:`FollowsError` if it could not be captured."""
        if isinstance(node, FxNode):
            found = self.env[node]
            if isinstance(found, Exception):
                raise found
            return found
        return node

    def value(self, node: object) -> Value:
        """Return an argument that is an activation."""
        found = self.raw(node)
        if isinstance(found, Param):
            raise UnsupportedError(
                f"reads the parameter {found.source.name!r}: only layers, normalisation and factors of channels have "
                "parameters in a graph; move it into one of these (a table of positions, say, into a convolution)"
            )
        if isinstance(found, Pending):
            return self.settle(found)
        if not isinstance(found, Value):
            raise UnsupportedError(f"reads {found!r}, which is no tensor of the graph")
        return found

    def image(self, node: object) -> Value:
        """Return an argument that must be ``(n, channels, height, width)``."""
        value = self.value(node)
        if not value.is_image:
            raise UnsupportedError(f"needs (n, channels, height, width), not {described(value.layout)}")
        return value

    def param(self, node: object) -> Param:
        """Return an argument that must be a parameter."""
        found = self.raw(node)
        if not isinstance(found, Param):
            raise UnsupportedError(
                "its weights are computed while it runs; store them as parameters (parametrisations are resolved)"
            )
        return found

    def name(self, node: FxNode, word: str) -> str:
        """Return a new name for a node without parameters: the module's path, and the operation where it has many."""
        path, kind = where(node)
        single = kind.startswith("torch.nn.modules.") and not kind.endswith("MultiheadAttention")
        base = path if single and path and "." not in word else ".".join(filter(None, (path, word.strip("."))))
        return self.free(base)

    def free(self, base: str, own: bool = False) -> str:
        """Return ``base``, or with a number if it is taken."""
        base = re.sub(r"[^A-Za-z0-9_.\-]", "_", base)
        name, count = base, 0
        while name in self.shapes or (name in self.reserved and not own):
            count += 1
            name = f"{base}_{count}"
        return name

    def emit(self, name: str, op: str, inputs: Sequence[Value], **attrs: object) -> Shape:
        """Add a node and return its shape."""
        checked, complaints = read_attrs(op, attrs)
        if complaints:
            raise UnsupportedError("; ".join(f"{attr}: {message}" for attr, message in complaints))
        least, most = OPS[op].inputs
        if not least <= len(inputs) <= most:
            raise UnsupportedError(f"takes {least} to {most} inputs in a graph, not {len(inputs)}")
        try:
            shape = OPS[op].rule([value.shape for value in inputs], checked)
        except ShapeError as error:
            raise UnsupportedError(str(error)) from None
        self.entries.append(Entry(name, op, tuple(value.node for value in inputs), attrs))
        self.shapes[name] = shape
        return shape

    def plain(self, node: FxNode, op: str, value: Value, word: str = "", **attrs: object) -> Value:
        """Add an operation on every number by itself: the layout stays."""
        name = self.name(node, word or op)
        self.emit(name, op, [value], **attrs)
        return Value(name, value.shape, value.layout)

    def use(self, name: str, role: str, source: Source) -> None:
        """Note that a node's parameter stands in the state dict."""
        self.sources[f"{name}.{role}"] = source
        self.users.setdefault(source.name, []).append((source, name))

    def flattened(self, node: FxNode, value: Value, shape: Sequence[int]) -> Value:
        """Return the value after a view; positions that become one dimension, or channels, are a node."""
        layout = reshaped(value.layout, shape)
        if layout is None:
            raise UnsupportedError(f"cuts {described(value.layout)} unevenly into {list(shape)}")
        seen = replace(value, layout=layout)
        channels, height, width = (value.whole(role) for role in "cyx")
        positions, everything = height + width, channels + height + width
        by_token = bool(height and width) and positions in layout and (bool(channels) or len(shape) > 2)
        whole = positions if by_token else everything
        if whole not in layout or len(whole) < 2:
            return seen
        merged = self.value_of(seen)
        name = self.name(node, "flatten")
        new = self.emit(name, "flatten", [merged], **({"tokens": True} if by_token else {}))
        there = Value(name, new, ())
        role = "y" if by_token else "c"
        return replace(there, layout=tuple(there.whole(role) if dim == whole else dim for dim in layout))

    def value_of(self, value: Value) -> Value:
        """Return a value that has a node."""
        return self.settle(value) if isinstance(value, Pending) else value

    def settle(self, pending: Pending) -> Value:
        """Return the node of a product, made at its first use."""
        at = (pending.key, pending.start, pending.shape[0])
        if at not in self.settled:
            self.settled[at] = self._product(pending)
        return Value(self.settled[at], pending.shape, pending.layout)

    def _product(self, pending: Pending) -> str:
        """Add the node of a product, or of a part of its outputs: a 1x1 convolution where there is a picture."""
        source, weight, count = pending.source, pending.weight.source, pending.shape[0]
        base, part = prefix(weight.name), count < pending.outputs
        if part:
            base = _part(base, pending.start // count, pending.outputs // count)
        name, as_conv = self.free(base, own=True), source.shape[2] > 1
        attrs: dict[str, object] = {"kernel": 1} if as_conv else {}
        self.emit(name, "conv" if as_conv else "linear", [source], out=count, bias=pending.bias is not None, **attrs)
        shape = (count, source.shape[0], 1, 1) if as_conv else None
        for role, given in (("weight", replace(weight, shape=shape)), ("bias", pending.bias and pending.bias.source)):
            if given:
                whole = replace(given, start=pending.start, stop=pending.start + count)
                self.use(name, role, whole if part else given)
        return name

    def in_place(self, node: FxNode, result: Value) -> None:
        """Let every view of the memory that ``node`` overwrites show the result."""
        target = node.args[0]
        assert isinstance(target, FxNode)  # an operation in place writes to its first argument
        old, root = self.value(target), self.roots.get(target, target)
        for other in [one for one in self.env if self.roots.get(one, one) is root]:
            held = self.env[other]
            seen = self.value_of(held) if isinstance(held, Value) else None
            if seen is not None and seen.node == old.node:
                self.env[other] = Value(result.node, seen.shape, seen.layout)
            elif seen is not None:
                self.env[other] = UnsupportedError("reads a view of a tensor that was overwritten since")
        self.roots[node] = root


def prefix(parameter: str) -> str:
    """Return the node that a weight's name stands for: ``conv1`` for ``conv1.weight``."""
    return re.sub(r"[._]weight$", "", parameter) or parameter


def _part(base: str, index: int, count: int) -> str:
    """Return the name of a part of a product that is shared out."""
    if base.endswith("in_proj") and count == 3:
        return f"{base.removesuffix('in_proj')}{'qkv'[index]}_proj"
    return f"{base}.{index}"


def where(node: FxNode) -> tuple[str, str]:
    """Return path and class of the module that an operation stands in."""
    stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    if not stack:
        return "", ""
    path, kind = list(stack.values())[-1]
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return re.sub(r"@\d+", "", path), name


def shared(users: Mapping[str, Iterable[tuple[Source, str]]]) -> list[tuple[str, list[str]]]:
    """Return every parameter that more than one node reads, with the nodes."""
    found = []
    for name, uses in users.items():
        taken = sorted(((one.start, one.stop), node) for one, node in uses if one.stop is not None)
        whole = [node for one, node in uses if one.stop is None]
        overlap = any(before[0][1] > after[0][0] for before, after in pairwise(taken))
        if len(whole) > 1 or (whole and taken) or overlap:
            found.append((name, [*whole, *(node for _, node in taken)]))
    return found


def check_shape(node: FxNode, layout: Layout) -> None:
    """Raise :class:`UnsupportedError` where the layout is not the shape that PyTorch computed."""
    wanted = tuple(int(size) for size in node.meta["val"].shape)
    if sizes(layout) != wanted:
        raise UnsupportedError(f"gives {list(wanted)}, a graph would give {list(sizes(layout))}")
