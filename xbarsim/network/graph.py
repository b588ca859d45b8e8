"""The layer graph: nodes in topological order, and the crossbar layers among them.

Readers of layer tables and of bundles turn their text into :class:`Entry` objects;
:func:`build_graph` checks names, inputs and attributes, infers every shape and collects all faults,
each with the number of the entry it belongs to, so that a reader can say where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xbarsim.errors import did_you_mean
from xbarsim.network.ops import OPS, Pair, Shape, ShapeError, read_attrs

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
"""What a node, task or method may be called: it becomes part of tensor and file names."""


@dataclass(frozen=True)
class Entry:
    """One node as written, before anything is checked."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attrs: Mapping[str, object]


@dataclass(frozen=True)
class Node:
    """One operation of the graph."""

    name: str
    """Unique in the graph; the prefix of the node's parameters in a state dict."""
    op: str
    """A key of :data:`xbarsim.network.ops.OPS`."""
    inputs: tuple[str, ...]
    """Names of the nodes it reads, in order."""
    attrs: Mapping[str, object]
    """All attributes, defaults filled in, pairs as tuples ``(height, width)``."""
    shape: Shape
    """Output shape: channels, height, width."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """State-dict roles of the node's parameters, such as ``weight`` and ``bias``."""
        extra = ("bias",) if self.attrs.get("bias") else ()
        return OPS[self.op].parameters + extra

    @property
    def written(self) -> dict[str, object]:
        """The attributes as they are written: those without a value left out."""
        return {key: self.attrs[key] for key in OPS[self.op].attrs if self.attrs[key] is not None}


@dataclass(frozen=True)
class Layer:
    """A layer that is held in crossbars: a convolution or a linear layer, with all mapping needs.

    The weight matrix has ``c_out`` logical columns of ``rows`` weights each, unrolled in
    (c_in, kh, kw) order. With ``groups > 1`` every output channel reads only the input channels of
    its own group: output channel ``o`` those from ``o // (c_out / groups) * (c_in / groups)`` on.
    """

    name: str
    kind: Literal["conv", "linear"]
    c_in: int
    c_out: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    in_hw: Pair
    """Height and width of the input; of a linear layer, number of tokens and 1."""
    out_hw: Pair
    """Height and width of the output; of a linear layer, number of tokens and 1."""
    bias: bool
    """The layer adds a bias, digitally."""
    head: bool
    """The task's classifier: the last linear layer before the output."""

    @property
    def rows(self) -> int:
        """Weights of one output channel."""
        return self.c_in // self.groups * self.kernel[0] * self.kernel[1]

    @property
    def windows(self) -> int:
        """Matrix-vector products per inference."""
        return self.out_hw[0] * self.out_hw[1]

    @property
    def weights(self) -> int:
        """Weights of the layer, biases not counted."""
        return self.c_out * self.rows

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return self.weights * self.windows

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight tensor in a state dict: ``(c_out, c_in/groups, kh, kw)`` or 2-D."""
        if self.kind == "linear":
            return self.c_out, self.c_in
        return self.c_out, self.c_in // self.groups, *self.kernel

    def block_rows(self, rows: int, kernel_aligned: bool = False) -> int:
        """Rows of the layer that one row block takes on arrays of ``rows`` rows.

        ``kernel_aligned`` keeps whole 2-D kernels together; kernels taller than the array are cut
        as in the dense case.
        """
        area = self.kernel[0] * self.kernel[1]
        return rows // area * area if kernel_aligned and rows >= area else rows

    def blocks(self, rows: int, kernel_aligned: bool = False) -> int:
        """Row blocks of one output channel on arrays of ``rows`` rows."""
        return -(-self.rows // self.block_rows(rows, kernel_aligned))


class GraphError(ValueError):
    """The graph cannot be built; ``faults`` holds (entry number, attribute, message)."""

    def __init__(self, faults: Sequence[tuple[int, str, str]]) -> None:
        super().__init__("; ".join(message for _, _, message in faults))
        self.faults = tuple(faults)


def entries_of(nodes: Sequence[Node]) -> tuple[Entry, ...]:
    """Return a graph as it is written."""
    return tuple(Entry(node.name, node.op, node.inputs, node.written) for node in nodes)


Report = Callable[[int, str, str], None]
"""Called with the number of the entry, the attribute and the message of a fault."""


def build_graph(entries: Sequence[Entry]) -> tuple[Node, ...]:
    """Check the entries, infer every shape and return the nodes in the order given.

    Entries stand in topological order: a node reads only nodes before it. The first is the input,
    the last the output, and every other node must be read by some node. Raises :class:`GraphError`
    with every fault; nodes that depend on a faulty one are not complained about again.
    """
    faults: list[tuple[int, str, str]] = []

    def report(index: int, attr: str, message: str) -> None:
        faults.append((index, attr, message))

    shapes: dict[str, Shape | None] = {}
    nodes: list[Node] = []
    for index, entry in enumerate(entries):
        node = _node(index, entry, shapes, report)
        shapes[entry.name] = node.shape if node else None
        if node:
            nodes.append(node)
    _check_whole(entries, report)
    if not faults:
        _check_read(entries, report)
    if faults:
        raise GraphError(faults)
    return tuple(nodes)


def _node(index: int, entry: Entry, shapes: Mapping[str, Shape | None], report: Report) -> Node | None:
    """Build one node; complain and return nothing where that is not possible."""
    if not NAME.fullmatch(entry.name):
        report(index, "", f"{entry.name!r} is not a name: letters, digits, '_', '.', '-'")
    elif entry.name in shapes:
        report(index, "", f"a node {entry.name!r} stands above already; names are unique")
    if entry.op not in OPS:
        report(index, "", f"no operation {entry.op!r}{did_you_mean(entry.op, OPS)}")
        return None
    attrs, complaints = read_attrs(entry.op, entry.attrs)
    for attr, message in complaints:
        report(index, attr, message)
    known = _known_inputs(index, entry, shapes, report)
    if complaints or known is None:
        return None
    try:
        shape = OPS[entry.op].rule(known, attrs)
    except ShapeError as error:
        report(index, error.attr, str(error))
        return None
    return Node(entry.name, entry.op, entry.inputs, attrs, shape)


def _known_inputs(index: int, entry: Entry, shapes: Mapping[str, Shape | None], report: Report) -> list[Shape] | None:
    """Return the shapes of the inputs, or nothing where one is missing or faulty."""
    least, most = OPS[entry.op].inputs
    right = least <= len(entry.inputs) <= most
    if not right:
        wanted = str(least) if least == most else f"{least} or more"
        report(index, "inputs", f"{entry.op} takes {wanted} inputs, not {len(entry.inputs)}")
    for name in entry.inputs:
        if name not in shapes:
            hint = did_you_mean(name, shapes)
            report(index, "inputs", f"no node {name!r} stands above this one{hint}")
            right = False
    known = [shapes.get(name) for name in entry.inputs]
    if not right or None in known:
        return None
    return [shape for shape in known if shape is not None]


def _check_whole(entries: Sequence[Entry], report: Report) -> None:
    """Complain where the entries are not one graph with one input."""
    if len(entries) < 2:
        report(0, "", "a network needs an input and at least one operation")
        return
    for index, entry in enumerate(entries):
        if (entry.op == "input") != (index == 0):
            report(index, "", "the first node, and no other, is the input")


def _check_read(entries: Sequence[Entry], report: Report) -> None:
    """Complain about nodes that nothing reads."""
    read = {name for entry in entries for name in entry.inputs}
    for index, entry in enumerate(entries[:-1]):
        if entry.name not in read:
            report(index, "", f"nothing reads {entry.name!r}; only the last node is an output")


def derive_layers(nodes: Sequence[Node]) -> dict[str, Layer]:
    """Return the crossbar layers by name, in graph order."""
    shapes = {node.name: node.shape for node in nodes}
    head = find_head(nodes)
    return {
        node.name: _layer(node, shapes[node.inputs[0]], node.name == head)
        for node in nodes
        if node.op in ("conv", "linear")
    }


def find_head(nodes: Sequence[Node]) -> str | None:
    """Return the classifier's name: a linear layer that alone feeds the output.

    A network with a single crossbar layer has no head: that layer is its backbone.
    """
    if sum(node.op in ("conv", "linear") for node in nodes) < 2:
        return None
    by_name = {node.name: node for node in nodes}
    node = nodes[-1]
    while node.op in ("softmax", "identity", "flatten", "relu", "sigmoid", "tanh"):
        node = by_name[node.inputs[0]]
    return node.name if node.op == "linear" else None


def _layer(node: Node, source: Shape, head: bool) -> Layer:
    attrs = node.attrs
    linear = node.op == "linear"
    return Layer(
        name=node.name,
        kind="linear" if linear else "conv",
        c_in=source[0],
        c_out=node.shape[0],
        kernel=(1, 1) if linear else attrs["kernel"],  # type: ignore[arg-type]
        stride=(1, 1) if linear else attrs["stride"],  # type: ignore[arg-type]
        padding=(0, 0) if linear else attrs["padding"],  # type: ignore[arg-type]
        dilation=(1, 1) if linear else attrs["dilation"],  # type: ignore[arg-type]
        groups=1 if linear else attrs["groups"],  # type: ignore[arg-type]
        in_hw=source[1:],
        out_hw=node.shape[1:],
        bias=bool(attrs["bias"]),
        head=head,
    )


def matmul_macs(node: Node, left: Shape, right: Shape) -> int:
    """Multiply-accumulates of a product of two activations, for the chip's vector unit."""
    if node.attrs["transpose_b"]:
        return left[1] * right[1] * left[0]
    return left[1] * right[1] * right[0]
