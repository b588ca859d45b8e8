"""Random small networks with skips, concatenations, pools, strides and dilations."""

from __future__ import annotations

from hypothesis import strategies as st
from mapping.nets import network, op

from xbarsim.network import Network
from xbarsim.network.graph import Entry
from xbarsim.network.ops import OPS, Shape, ShapeError, read_attrs

CHANNELS = 4


def shape_of(entry: Entry, shapes: dict[str, Shape]) -> Shape | None:
    """The shape that a node would have, or nothing where its inputs do not fit."""
    attrs, _ = read_attrs(entry.op, entry.attrs)
    try:
        return OPS[entry.op].rule([shapes[name] for name in entry.inputs], attrs)
    except ShapeError:
        return None


@st.composite
def node(draw: st.DrawFn, name: str, names: list[str]) -> Entry:
    source = draw(st.sampled_from(names))
    kind = draw(st.sampled_from(["conv", "conv", "conv", "max_pool", "relu", "batch_norm", "add", "concat"]))
    if kind == "conv":
        return op(
            "conv", name, source, out=CHANNELS, kernel=draw(st.integers(1, 3)), stride=draw(st.integers(1, 3)),
            padding=draw(st.integers(0, 2)), dilation=draw(st.integers(1, 2)),
        )  # fmt: skip
    if kind == "max_pool":
        return op(
            "max_pool", name, source, kernel=2, stride=draw(st.integers(1, 3)), padding=draw(st.integers(0, 1)),
            dilation=draw(st.integers(1, 2)),
        )  # fmt: skip
    if kind in ("add", "concat"):
        return op(kind, name, source, draw(st.sampled_from(names)))
    return op(kind, name, source)


@st.composite
def networks(draw: st.DrawFn, most: int = 6, tasks: int = 0) -> Network:
    """A random DAG; what nobody reads is averaged and joined at the end, sometimes with a head on top."""
    size = draw(st.integers(3, 7))
    entries = [op("conv", "n0", "input", out=CHANNELS, kernel=3, padding=draw(st.integers(0, 1)))]
    shapes: dict[str, Shape] = {"input": (3, size, size)}
    shapes["n0"] = shape_of(entries[0], shapes) or (0, 0, 0)
    for number in range(1, draw(st.integers(1, most)) + 1):
        entry = draw(node(f"n{number}", list(shapes)[1:]))
        shape = shape_of(entry, shapes)
        if shape:
            entries.append(entry)
            shapes[entry.name] = shape
    read = {name for entry in entries for name in entry.inputs}
    ends = [entry.name for entry in entries if entry.name not in read]
    if len(ends) > 1:
        entries += [op("global_avg_pool", f"{end}.mean", end) for end in ends]
        entries.append(op("concat", "ends", *(f"{end}.mean" for end in ends)))
        if draw(st.booleans()):
            entries.append(op("linear", "fc", "ends", out=3))
    return network((3, size, size), *entries, tasks=tasks)
