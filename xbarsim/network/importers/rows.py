"""From rows of layer shapes to a connected network.

Tables of other simulators list layers one by one; how they are connected does not stand in them. A row reads
the latest output above that has the shape it states, in this order of preference: one that nothing has read
yet, where there are several their sum; several side by side whose channels add up; one that is smaller by
padding; one larger, pooled; one flattened; and where none of these is there, any output brought to size.
Crossbars, windows and order of the rows are those of the table in every case.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isqrt, prod
from pathlib import Path

from xbarsim.errors import Fault, InputError
from xbarsim.network.blueprint import Blueprint, Draft
from xbarsim.network.importers.naming import clean
from xbarsim.network.layer_table import INPUT
from xbarsim.network.ops import Pair, Shape, out_size, text

MOST_ADDED = 8
"""Most inputs of an addition."""

POOLS = (2, 3, 4)
"""Strides of pools that are inferred."""


@dataclass(frozen=True)
class Row:
    """One layer as a table states it."""

    name: str
    line: int
    """In the file, from 1."""
    shape: Shape
    """Channels, height and width of its input; of a product with a matrix width, tokens and 1."""
    out: int
    kernel: Pair = (1, 1)
    stride: int = 1
    padding: Pair = (0, 0)
    depthwise: bool = False
    """Every channel is filtered by itself; the row states one of them."""

    @property
    def linear(self) -> bool:
        """A product with a matrix: nothing slides over an image."""
        return self.kernel == (1, 1) and self.shape[2] == 1 and self.stride == 1

    def result(self, channels: int) -> Shape:
        """Shape of the output from ``channels`` channels of the stated size."""
        height, width = (
            out_size(size, k, self.stride, p, 1)
            for size, k, p in zip(self.shape[1:], self.kernel, self.padding, strict=True)
        )
        return channels if self.depthwise else self.out, height, width


@dataclass(frozen=True)
class Tabled:
    """A layer table to be written, and what its user should know."""

    blueprint: Blueprint
    warnings: tuple[str, ...] = ()


@dataclass
class Output:
    """A node that rows below may read."""

    node: str
    shape: Shape
    read: bool = False


@dataclass
class Chain:
    """The network in the making."""

    path: Path
    draft: Draft = field(default_factory=Draft)
    outputs: list[Output] = field(default_factory=list)
    names: set[str] = field(default_factory=lambda: {INPUT})
    warnings: list[str] = field(default_factory=list)

    def add(self, op: str, name: str, inputs: Sequence[str], **attrs: object) -> str:
        """Append an operation under a name that is free."""
        unique, number = name, 1
        while unique in self.names:
            number += 1
            unique = f"{name}_{number}"
        self.names.add(unique)
        return self.draft.add(op, unique, *inputs, **attrs)

    def latest(self, wanted: Shape | None = None, channels: int | None = None) -> Iterator[Output]:
        """Yield outputs that fit, unread ones first, the latest before older ones."""
        fitting = [
            one
            for one in reversed(self.outputs)
            if (wanted is None or one.shape == wanted) and (channels is None or one.shape[0] == channels)
        ]
        yield from sorted(fitting, key=lambda one: one.read)


def read_cells(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows of a CSV file that hold anything, with their line numbers; raises :class:`InputError`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(number, [cell.strip() for cell in row]) for number, row in enumerate(csv.reader(file), 1)]
    except OSError as error:
        raise InputError(Fault(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}")) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(Fault(str(path), f"is no CSV text: {error}")) from None
    return [(number, row) for number, row in rows if any(row)]


def whole(path: Path, line: int, row: Sequence[str], column: int, name: str, faults: list[Fault]) -> int:
    """Return a cell as a whole number from 1; note a fault and return 1 where it is none."""
    cell = row[column] if column < len(row) else ""
    try:
        number = int(cell)
    except ValueError:
        number = 0
    if not 1 <= number < 2**31:
        what = "is missing" if not cell else f"{cell!r} is not a whole number from 1 on"
        faults.append(Fault(str(path), what, name, line, column + 1))
        return 1
    return number


class TooManyChannels(Exception):
    """Every output above has more channels than a row reads."""


def connect(path: Path, rows: Sequence[Row], name: str, comment: str) -> Tabled:
    """Return the layer table of rows; raises :class:`InputError` with every row whose kernel does not fit.

    The input is the first row's; where that has more channels than a row further down can be fed from, it has
    as few as any row.
    """
    if not rows:
        raise InputError(Fault(str(path), "holds no layers"))
    faults = [_no_fit(path, row) for row in rows if min(row.result(row.shape[0])) < 1]
    if faults:
        raise InputError(faults)
    source = rows[0].shape
    try:
        chain = _chain(path, rows, source)
    except TooManyChannels:
        source = (min(row.shape[0] for row in rows), *source[1:])
        chain = _chain(path, rows, source)
    _close(chain)
    blueprint = Blueprint(name, comment, source, tuple(chain.draft.entries))
    return Tabled(blueprint, tuple(f"{path}: {line}" for line in chain.warnings))


def _no_fit(path: Path, row: Row) -> Fault:
    message = f"a kernel of {text((0, *row.kernel))[2:]} does not fit the input {text(row.shape)}"
    return Fault(str(path), message, row.name, row.line, 1)


def _chain(path: Path, rows: Sequence[Row], source: Shape) -> Chain:
    chain = Chain(path, outputs=[Output(INPUT, source)])
    for row in rows:
        _append(chain, row)
    return chain


def _append(chain: Chain, row: Row) -> None:
    """Append one row behind what it reads."""
    if row.depthwise:
        row = _all_channels(chain, row)
    node, padding = _source(chain, row)
    name = clean(row.name)
    if row.linear:
        made = chain.add("linear", name, [node], out=row.out, bias=False)
    else:
        attrs: dict[str, object] = {"out": row.out, "kernel": _short(row.kernel)}
        padding = (padding[0] + row.padding[0], padding[1] + row.padding[1])
        attrs |= {"stride": row.stride} if row.stride > 1 else {}
        attrs |= {"padding": _short(padding)} if any(padding) else {}
        attrs |= {"groups": row.out} if row.depthwise else {}
        made = chain.add("conv", name, [node], **attrs)
    shape = row.result(row.shape[0])
    chain.outputs.append(Output(made, shape))


def _short(pair: Pair) -> int | list[int]:
    return pair[0] if pair[0] == pair[1] else list(pair)


def _all_channels(chain: Chain, row: Row) -> Row:
    """A depthwise row with the channels of what it reads."""
    for one in chain.latest():
        if one.shape[1:] == row.shape[1:]:
            return replace(row, shape=one.shape, out=one.shape[0])
    return row


def _source(chain: Chain, row: Row) -> tuple[str, Pair]:
    """Return the node that a row reads, made where need be, and the padding that its stated size contains."""
    for way in (_equal, _side_by_side):
        found = way(chain, row)
        if found:
            return found, (0, 0)
    for one in chain.latest(channels=row.shape[0]):
        more = [wanted - own for wanted, own in zip(row.shape[1:], one.shape[1:], strict=True)]
        if all(pad % 2 == 0 and 0 <= pad // 2 < k for pad, k in zip(more, row.kernel, strict=True)) and any(more):
            one.read = True
            return one.node, (more[0] // 2, more[1] // 2)
    return _pooled(chain, row) or _flattened(chain, row) or _forced(chain, row), (0, 0)


def _equal(chain: Chain, row: Row) -> str:
    """An output of the stated shape; several that nothing has read are added."""
    fitting = list(chain.latest(row.shape))
    fresh = [one for one in fitting if not one.read][:MOST_ADDED]
    if len(fresh) > 1:
        node = chain.add("add", f"{clean(row.name)}.add", [one.node for one in reversed(fresh)])
        chain.outputs.append(Output(node, row.shape))
        fitting = [chain.outputs[-1]]
    for one in (*fresh, *fitting[:1]):
        one.read = True
    return fitting[0].node if fitting else ""


def _side_by_side(chain: Chain, row: Row) -> str:
    """Unread outputs of the stated size whose channels add up to the stated ones."""
    fresh = [one for one in chain.outputs if not one.read and one.shape[1:] == row.shape[1:]]
    while fresh and sum(one.shape[0] for one in fresh) > row.shape[0]:
        fresh.pop(0)
    if len(fresh) < 2 or sum(one.shape[0] for one in fresh) != row.shape[0]:
        return ""
    for one in fresh:
        one.read = True
    node = chain.add("concat", f"{clean(row.name)}.concat", [one.node for one in fresh])
    chain.outputs.append(Output(node, row.shape, True))
    return node


def _pooled(chain: Chain, row: Row) -> str:
    """A larger output of the stated channels, through a pool."""
    for one in chain.latest(channels=row.shape[0]):
        pooled = _pool(chain, row, one, (row.shape[1], row.shape[2]))
        if pooled:
            return pooled
    return ""


def _pool(chain: Chain, row: Row, one: Output, wanted: Pair) -> str:
    """Pool one output to a size; ``""`` where no usual pool gives it."""
    own = (one.shape[1], one.shape[2])
    if own == wanted or own[0] < wanted[0] or own[1] < wanted[1]:
        return ""
    name, attrs = f"{clean(row.name)}.pool", pool_attrs(own, wanted)
    if wanted == (1, 1):
        node = chain.add("global_avg_pool", name, [one.node])
    elif attrs is not None:
        node = chain.add("max_pool", name, [one.node], **attrs)
    else:
        return ""
    one.read = True
    chain.outputs.append(Output(node, (one.shape[0], *wanted), True))
    return node


def pool_attrs(own: Pair, wanted: Pair) -> dict[str, object] | None:
    """Kernel, stride and padding of the first usual pool that gives the size."""
    for stride in POOLS:
        for kernel, padding in ((stride, 0), (stride + 1, 0), (stride + 1, stride // 2)):
            if all(out_size(size, kernel, stride, padding, 1) == w for size, w in zip(own, wanted, strict=True)):
                attrs: dict[str, object] = {"kernel": kernel}
                attrs |= {"stride": stride} if kernel != stride else {}
                return attrs | ({"padding": padding} if padding else {})
    return None


def _flattened(chain: Chain, row: Row) -> str:
    """An image that flattens to the stated features, pooled before where that makes it fit."""
    features, height, width = row.shape
    if (height, width) != (1, 1):
        return ""
    for one in chain.latest():
        node, channels = one.node, one.shape[0]
        side = isqrt(features // channels)
        if prod(one.shape) != features:
            if features % channels or side * side * channels != features or side < 2:
                continue
            node = _pool(chain, row, one, (side, side))
        if node:
            one.read = True
            node = chain.add("flatten", f"{clean(row.name)}.flatten", [node])
            chain.outputs.append(Output(node, row.shape, True))
            return node
    return ""


def _forced(chain: Chain, row: Row) -> str:
    """Any output that has not too many channels, brought to shape; the user is told."""
    channels, height, width = row.shape
    for one in chain.latest():
        if one.shape[0] > channels:
            continue
        node, own, name = one.node, one.shape[1:], clean(row.name)
        kept = (min(own[0], height), min(own[1], width))
        if own != kept:
            stride = [size // less for size, less in zip(own, kept, strict=True)]
            kernel = [size - (less - 1) * s for size, less, s in zip(own, kept, stride, strict=True)]
            node = chain.add("avg_pool", f"{name}.pool", [node], kernel=kernel, stride=stride)
        if kept != (height, width):
            node = chain.add("upsample", f"{name}.resize", [node], size=[height, width])
        if one.shape[0] < channels:
            node = chain.add("identity", f"{name}.channels", [node], out=channels)
        one.read = True
        chain.warnings.append(
            f"line {row.line}: {row.name!r} reads {text(row.shape)}, which no row above gives; it is fed from "
            f"{one.node!r} ({text(one.shape)}) brought to that shape. Crossbars and windows are right, the data is not"
        )
        return node
    raise TooManyChannels


def _close(chain: Chain) -> None:
    """Bring every output that nothing reads into the last one."""
    last = chain.outputs[-1]
    fresh = [one for one in chain.outputs[:-1] if not one.read]
    if not fresh:
        return
    if all(one.shape == last.shape for one in fresh) and len(fresh) < MOST_ADDED:
        chain.add("add", "output", [*(one.node for one in fresh), last.node])
        return
    nodes = [chain.add("global_avg_pool", f"{one.node}.mean", [one.node]) for one in (*fresh, last)]
    chain.add("concat", "output", nodes)
    listed = ", ".join(repr(one.node) for one in fresh)
    chain.warnings.append(f"nothing reads {listed}: their means stand beside the output")
