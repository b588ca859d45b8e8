"""The graph as hardware runs it: crossbar layers and digital operations, each with what it feeds on.

Normalisation and an activation function that follow a stage and are read by nobody else are fused
into it. Flattening, concatenation and identity move no data: whoever reads them reads their sources.
"""

from __future__ import annotations

from dataclasses import dataclass

from xbarsim.errors import Fault, InputError
from xbarsim.mapping.windows import Sliding, interpolated, pointwise, whole
from xbarsim.network import Layer, Network, Node
from xbarsim.network.graph import matmul_macs

FUSED = {"batch_norm", "scale", "relu", "relu6", "gelu", "sigmoid", "tanh", "hard_swish"}
"""Element-wise operations that a stage applies to its own output."""

TRANSPARENT = {"flatten", "concat", "identity"}
"""Operations that only rename data."""

POOLS = {"max_pool", "avg_pool"}


@dataclass(frozen=True)
class Edge:
    """What a stage reads from one source, window by window."""

    source: str
    """A stage, or the network's input node."""
    sliding: Sliding
    channels: int
    """Channels of one token."""


@dataclass(frozen=True)
class Stage:
    """One step of the network that occupies hardware."""

    name: str
    """Name of the node that it computes."""
    op: str
    layer: Layer | None
    """The crossbar layer, or nothing for a digital operation."""
    edges: tuple[Edge, ...]
    windows: int
    """Firings, and tokens given, per inference."""
    channels: int
    """Channels of one token given."""
    macs: int = 0
    """Products of two activations per window."""

    @property
    def crossbar(self) -> bool:
        """Whether the stage is a crossbar layer."""
        return self.layer is not None


def stages_of(network: Network) -> tuple[Stage, ...]:
    """Return the stages of ``network`` in topological order; the last gives the output."""
    return _Builder(network).build()


class _Builder:
    """Walks the nodes once; ``source`` maps a node to the (stage name, channels) tokens it reads from."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.readers: dict[str, int] = {}
        for node in network.nodes:
            for name in node.inputs:
                self.readers[name] = self.readers.get(name, 0) + 1
        self.sources: dict[str, tuple[str, ...]] = {}
        self.shapes = {node.name: node.shape for node in network.nodes}
        self.stages: dict[str, Stage] = {}

    def build(self) -> tuple[Stage, ...]:
        """Turn every node into a stage, or fold it into one."""
        first = self.network.nodes[0]
        self.sources[first.name] = (first.name,)
        for node in self.network.nodes[1:]:
            if node.op in TRANSPARENT:
                self.sources[node.name] = tuple(s for name in node.inputs for s in self.sources[name])
            elif self._fuses(node):
                self.sources[node.name] = self.sources[node.inputs[0]]
            else:
                self.stages[node.name] = self._stage(node)
                self.sources[node.name] = (node.name,)
        last = self.network.nodes[-1]
        if len(self.sources[last.name]) > 1:  # the output itself is put together from several stages
            self.stages[last.name] = self._stage(last)
        if not self.stages:
            raise InputError(Fault(self.network.source, "the network computes nothing"))
        return tuple(self.stages.values())

    def _fuses(self, node: Node) -> bool:
        """Whether ``node`` only post-processes the output of the one stage it reads."""
        if node.op not in FUSED or self.readers.get(node.inputs[0], 0) != 1:
            return False
        sources = self.sources[node.inputs[0]]
        return len(sources) == 1 and sources[0] in self.stages

    def _stage(self, node: Node) -> Stage:
        layer = self.network.layers.get(node.name)
        windows, channels, macs = node.shape[1] * node.shape[2], node.shape[0], 0
        if node.op == "global_avg_pool":  # accumulates pixel by pixel; the last token carries the mean
            windows = self.shapes[node.inputs[0]][1] * self.shapes[node.inputs[0]][2]
        if node.op == "matmul":
            left, right = (self.shapes[name] for name in node.inputs)
            macs = -(-matmul_macs(node, left, right) // windows)
        edges = [edge for position, name in enumerate(node.inputs) for edge in self._edges(node, layer, position, name)]
        return Stage(node.name, node.op, layer, tuple(edges), windows, channels, macs)

    def _edges(self, node: Node, layer: Layer | None, position: int, name: str) -> list[Edge]:
        """One edge per source behind input ``position``."""
        edges, shape = [], self.shapes[name]
        for source in self.sources[name]:
            channels, hw = self._tokens(source)
            if hw[0] * hw[1] == shape[1] * shape[2]:  # the same pixels in the same order, as token sequences are
                hw = shape[1:]
            sliding = self._sliding(node, layer, position, shape, hw)
            edges.append(Edge(source, sliding, channels))
        return edges

    def _tokens(self, source: str) -> tuple[int, tuple[int, int]]:
        """Channels of a token, and height and width of an image of tokens, that ``source`` gives."""
        shape = self.shapes[source]
        if source in self.stages and self.stages[source].windows != shape[1] * shape[2]:
            return shape[0], (self.stages[source].windows, 1)
        return shape[0], (shape[1], shape[2])

    def _sliding(
        self, node: Node, layer: Layer | None, position: int, shape: tuple[int, int, int], hw: tuple[int, int]
    ) -> Sliding:
        out = (node.shape[1], node.shape[2])
        reshaped = hw != (shape[1], shape[2])
        if node.op == "global_avg_pool":
            return pointwise(hw)
        if reshaped or (node.op == "matmul" and position == 1):
            return whole(hw, out)
        if layer is not None:
            return Sliding(layer.in_hw, layer.out_hw, layer.kernel, layer.stride, layer.padding, layer.dilation)
        if node.op == "upsample":
            return interpolated(hw, out)
        if node.op in POOLS:
            pairs = (node.attrs[key] for key in ("kernel", "stride", "padding", "dilation"))
            return Sliding(hw, out, *pairs)  # type: ignore[arg-type]
        return pointwise(hw) if hw == out else whole(hw, out)
