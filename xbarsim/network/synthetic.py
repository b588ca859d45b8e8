"""Weights, masks and parameters drawn from a seed, for networks that come without any.

Every array has a Philox stream of its own, keyed by the seed and the array's address (kind, task,
method, layer), so that it is the same whatever else is drawn and in which order. The streams'
16-bit words index tables, which is fast enough to draw a layer whenever it is asked for; only the last
arrays are kept, up to :data:`KEPT_BYTES`. Weights follow a normal distribution clipped at three
standard deviations, the largest integer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.network.drawn import CLIP, Synthetic, coding_of, quantiles, table_of
from xbarsim.network.graph import Layer, Node
from xbarsim.network.masks import ROW_ORDER, Coding, Geometry, Mask, mask_shape
from xbarsim.network.network import Samples, Tensors
from xbarsim.network.quantiser import Quantiser, integer_type
from xbarsim.network.validation import parameter_shape

METHODS = (
    "xbm", "piggyback", "finetune", "finetune-partial", "piggyback-ternary", "ksm", "packnet", "cpg",
    "xma", "xma2", "xst", "lora", "lorafusion", "repnet",
)  # fmt: skip
"""Methods that synthetic tasks have tensors for. Append only: the place is part of the key."""

_KINDS = ("weights", "head", "mask", "update", "parameter", "unit", "owner")
_CHUNK = 1 << 20
_SPREAD = 0.1
"""Standard deviation of normalisation parameters and biases about 1 or 0."""


KEPT_BYTES = 1 << 28
"""Memory of one process for arrays that have been drawn before."""

Shape = tuple[int, ...]


class _Recent:
    """The arrays drawn last, by what they were drawn from; the oldest go first."""

    def __init__(self) -> None:
        self.arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable, draw: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a copy of the array of ``key``, which is drawn if it is not there."""
        if key in self.arrays:
            self.arrays.move_to_end(key)
            return self.arrays[key].copy()
        self.arrays[key] = array = draw()
        self.bytes += array.nbytes
        while self.bytes > KEPT_BYTES:
            self.bytes -= self.arrays.popitem(last=False)[1].nbytes
        return array.copy()


_recent = _Recent()


def _limit(bits: int) -> int:
    return (1 << (bits - 1)) - 1


@lru_cache(maxsize=8)
def _integer_table(bits: int, sigma: float) -> NDArray[Any]:
    """Return the integers of a normal distribution of ``sigma`` weight deviations, by 16-bit word."""
    return np.rint(quantiles() * (sigma * _limit(bits) / CLIP)).astype(integer_type(bits + 2))


@dataclass(frozen=True)
class SyntheticStore:
    """Draws what :class:`xbarsim.network.network.Store` promises."""

    seed: int
    nodes: tuple[Node, ...]
    layers: Mapping[str, Layer]
    """Crossbar layers, the backbone's first: the place is part of the key."""
    tasks: Sequence[str]
    drawn: Synthetic
    backbone: int
    """Number of the backbone's layers; those behind stand in branches."""

    def integers(self, layer: Layer, bits: int) -> NDArray[np.signedinteger]:
        """Backbone integers ``(c_out, rows)``."""
        return self._normal_integers("weights", "", "", layer, bits)

    def quantiser(self, layer: Layer, bits: int, task: str, method: str) -> Quantiser:
        """One scale per layer, as if the float weights had the deviation ``sqrt(2 / rows)``."""
        return Quantiser(bits, np.array([_deviation(layer) * CLIP / _limit(bits)], np.float32))

    def state(self, task: str, method: str) -> Tensors:
        """Parameters about 1 (scales, variances) or 0, and the head's float weights."""
        tensors: Tensors = {}
        for index, node in enumerate(self.nodes):
            for role_index, role in enumerate(node.parameters):
                layer = self.layers.get(node.name)
                if role != "weight" or layer is None:
                    address = index * 8 + role_index
                    place = self._address("parameter", task, method, address)
                    [size] = parameter_shape(node, role, self.layers)
                    normal = self._draw(place, size, quantiles())
                    level = 1 if role in ("weight", "running_var") else 0
                    tensors[f"{node.name}.{role}"] = (level + _SPREAD * normal).astype(np.float32)
                elif layer.head:
                    kind = "head" if task else "weights"
                    place = self._address(kind, task, method, self._index(layer))
                    normal = self._draw(place, layer.weights, quantiles())
                    weights = (normal * _deviation(layer)).astype(np.float32)
                    tensors[f"{node.name}.{role}"] = weights.reshape(layer.weight_shape)
        return tensors

    def mask(self, task: str, method: str, layer: Layer, rows: int | None, aligned: bool) -> Mask | None:
        """Independent values; the head and branches are not masked."""
        coding = self._coding("masks", method, layer)
        if coding is None:
            return None
        if coding.granularity == "column" and rows is None:
            raise ValueError("synthetic column masks are drawn for a crossbar height: pass rows")
        geometry = Geometry(rows, aligned) if coding.granularity == "column" else Geometry()
        values = self._values("mask", task, method, layer, coding, mask_shape(layer, coding.granularity, geometry))
        if coding.kind == "pick":
            owners = self.owners(method, layer, rows, aligned)
            older = owners.values <= self.tasks.index(task) if owners else values
            values = values & older.astype(values.dtype)
        return _mask(coding, values, geometry)

    def units(self, task: str, method: str, layer: Layer, geometry: Geometry) -> Mask | None:
        """Each crossbar or PE is rewritten with the same probability."""
        coding = self._coding("units", method, layer)
        if coding is None:
            return None
        if geometry.rows is None or geometry.columns is None:
            raise ValueError("synthetic masks of crossbars are drawn for a chip: pass rows and columns")
        geometry = replace(geometry, crossbars=1 if coding.granularity == "crossbar" else geometry.crossbars)
        shape = mask_shape(layer, coding.granularity, geometry)
        return _mask(coding, self._values("unit", task, method, layer, coding, shape), geometry)

    def owners(self, method: str, layer: Layer, rows: int | None, aligned: bool) -> Mask | None:
        """The backbone keeps a share, the tasks have equal parts of the rest."""
        coding = self._coding("owners", method, layer)
        if coding is None:
            return None
        column = coding.granularity == "column"
        if column and rows is None:
            raise ValueError("synthetic owners of columns are drawn for a crossbar height: pass rows")
        geometry = Geometry(rows, aligned) if column else Geometry()
        shape = mask_shape(layer, coding.granularity, geometry)
        return _mask(coding, self._values("owner", "", method, layer, coding, shape), geometry)

    def weights(self, task: str, method: str, layer: Layer, bits: int) -> NDArray[np.signedinteger] | None:
        """The task's own head and pairs; of retrained layers the backbone plus rounded noise, clipped."""
        if layer.head:
            return self._normal_integers("head", task, method, layer, bits)
        if not self._own_weights(method, layer):
            return None
        if self._beside(layer):
            return self._normal_integers("update", task, method, layer, bits)
        address = self._address("update", task, method, self._index(layer))
        key = self.seed, address, layer.c_out, layer.rows, bits, self.drawn.finetune_sigma
        return _recent.get(key, lambda: self._updated(address, layer, bits))

    def _updated(self, address: int, layer: Layer, bits: int) -> NDArray[Any]:
        """The backbone's integers with rounded noise."""
        result = self.integers(layer, bits)
        flat, limit = result.reshape(-1), _limit(bits)
        table = _integer_table(bits, self.drawn.finetune_sigma)
        wide = integer_type(2 * bits)
        for begin, words in self._words(address, layer.weights):
            part = slice(begin, begin + len(words))
            flat[part] = np.clip(flat[part].astype(wide) + table[words], -limit, limit)
        return result

    def shared(self, method: str, layer: Layer, bits: int) -> NDArray[np.signedinteger] | None:
        """A frozen pool beside the backbone; owned weights are those of the backbone."""
        if not self._pooled(method, layer):
            return None
        return self._normal_integers("weights", "", method, layer, bits)

    def tensors(self, task: str, method: str) -> Mapping[str, Coding | None]:
        """What the methods' tensors would be, the same for every task."""
        if method not in self._told:
            self._told[method] = self._tell(method)
        return self._told[method]

    @cached_property
    def _told(self) -> dict[str, Mapping[str, Coding | None]]:
        return {}

    def _tell(self, method: str) -> Mapping[str, Coding | None]:
        found: dict[str, Coding | None] = {}
        for layer in self.layers.values():
            for role in ("masks", "units", "owners"):
                coding = self._coding(role, method, layer)
                if coding:
                    found[f"{role}/{layer.name}"] = coding
            if self._own_weights(method, layer):
                found[f"weights/{layer.name}"] = None
            if self._pooled(method, layer):
                found[f"shared/{layer.name}"] = None
        return found

    def graph(self, method: str) -> None:
        """Methods with branches grow them themselves."""

    def extended(self, layers: Mapping[str, Layer], nodes: tuple[Node, ...]) -> SyntheticStore:
        """The same numbers for the backbone, further ones for branches."""
        known = dict(self.layers)
        return replace(self, nodes=nodes, layers=known | {n: layer for n, layer in layers.items() if n not in known})

    def accuracy(self, task: str, method: str) -> None:
        """Nothing was trained, nothing measured."""

    def samples(self, task: str) -> Samples | None:
        """There is no data."""
        return None

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.layers)}

    def _index(self, layer: Layer) -> int:
        return self._places[layer.name]

    def _beside(self, layer: Layer) -> bool:
        """Whether a layer stands in a branch."""
        return self._index(layer) >= self.backbone

    def _pooled(self, method: str, layer: Layer) -> bool:
        return method == "lorafusion" and self._beside(layer)

    def _own_weights(self, method: str, layer: Layer) -> bool:
        """Whether the tasks of a method have weights of a layer, heads apart."""
        if layer.head:
            return False
        if self._beside(layer):
            return method in ("lora", "repnet")
        if method == "finetune-partial":
            shared = [name for name, known in list(self.layers.items())[: self.backbone] if not known.head]
            return layer.name in shared[max(0, len(shared) - self.drawn.partial_last) :]
        return method in ("finetune", "xma2")

    def _coding(self, role: str, method: str, layer: Layer) -> Coding | None:
        """How the masks of a layer are coded; the head and branches have none."""
        return None if layer.head or self._beside(layer) else coding_of(self.drawn, role, method)

    def _values(self, kind: str, task: str, method: str, layer: Layer, coding: Coding, shape: Shape) -> NDArray[Any]:
        """Draw the values of a mask."""
        address = self._address(kind, task, method, self._index(layer))
        key = self.seed, address, shape, self.drawn, coding, len(self.tasks)

        def draw() -> NDArray[Any]:
            table = table_of(self.drawn, coding, method, len(self.tasks))
            return self._draw(address, int(np.prod(shape)), table).reshape(shape)

        return _recent.get(key, draw)

    def _normal_integers(self, kind: str, task: str, method: str, layer: Layer, bits: int) -> NDArray[Any]:
        address = self._address(kind, task, method, self._index(layer))

        def draw() -> NDArray[Any]:
            table = _integer_table(bits, 1.0).astype(integer_type(bits))
            return self._draw(address, layer.weights, table).reshape(layer.c_out, layer.rows)

        return _recent.get((self.seed, address, layer.c_out, layer.rows, bits), draw)

    def _address(self, kind: str, task: str, method: str, index: int) -> int:
        """Where an array stands among all that a seed stands for."""
        task_number = 1 + self.tasks.index(task) if task else 0
        method_number = 1 + METHODS.index(method) if method else 0
        return ((_KINDS.index(kind) * 256 + method_number) * 65536 + task_number) << 32 | index

    def _draw(self, address: int, size: int, table: NDArray[Any]) -> NDArray[Any]:
        """Return ``size`` values looked up in a table of one value per 16-bit word."""
        drawn = np.empty(size, table.dtype)
        for begin, words in self._words(address, size):
            drawn[begin : begin + len(words)] = table[words]
        return drawn

    def _words(self, address: int, size: int) -> Iterator[tuple[int, NDArray[np.uint16]]]:
        """Yield (begin, 16-bit words) until ``size`` words have been drawn, a chunk at a time."""
        stream = np.random.Philox(key=np.array([self.seed, address], np.uint64))
        for begin in range(0, size, _CHUNK):
            count = min(_CHUNK, size - begin)
            yield begin, stream.random_raw(-(-count // 4)).astype("<u8", copy=False).view("<u2")[:count]


def _deviation(layer: Layer) -> float:
    """Standard deviation of the float weights, after He et al. 2015."""
    return float(np.sqrt(2 / layer.rows))


def _mask(coding: Coding, values: NDArray[Any], geometry: Geometry) -> Mask:
    """Put a mask together."""
    return Mask(
        coding.kind, coding.granularity, values, geometry.rows, ROW_ORDER, geometry.kernel_aligned,
        coding.bits, coding.levels, coding.step, geometry.columns, geometry.crossbars,
    )  # fmt: skip
