"""Weights, masks and parameters drawn from a seed, for networks that come without any.

Every array has a Philox stream of its own, keyed by the seed and the array's address (kind, task,
method, layer), so that it is the same whatever else is drawn and in which order. The streams'
16-bit words index tables, which is fast enough to draw a layer whenever it is asked for: nothing is
kept. Weights follow a normal distribution clipped at three standard deviations, the largest integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.network.graph import Layer, Node
from xbarsim.network.masks import Mask, mask_shape
from xbarsim.network.network import Samples, Tensors
from xbarsim.network.quantiser import Quantiser, integer_type

METHODS = ("xbm", "piggyback", "finetune")
"""Methods that synthetic tasks have tensors for. Append only: the place is part of the key."""

_KINDS = ("weights", "head", "mask", "update", "parameter")
_WORDS = 1 << 16
_CHUNK = 1 << 20
_CLIP = 3.0
"""Standard deviations at which weights are clipped."""
_SPREAD = 0.1
"""Standard deviation of normalisation parameters and biases about 1 or 0."""


@lru_cache(maxsize=1)
def _normal() -> NDArray[np.float64]:
    """Return the quantiles of the clipped standard normal distribution, one per 16-bit word."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((word + 0.5) / _WORDS) for word in range(_WORDS // 2, _WORDS)])
    upper = np.minimum(upper, _CLIP)
    return np.concatenate((-upper[::-1], upper))


def _limit(bits: int) -> int:
    return (1 << (bits - 1)) - 1


@lru_cache(maxsize=8)
def _integer_table(bits: int, sigma: float) -> NDArray[Any]:
    """Return the integers of a normal distribution of ``sigma`` weight deviations, by 16-bit word."""
    return np.rint(_normal() * (sigma * _limit(bits) / _CLIP)).astype(integer_type(bits + 2))


@dataclass(frozen=True)
class SyntheticStore:
    """Draws what :class:`xbarsim.network.network.Store` promises."""

    seed: int
    nodes: tuple[Node, ...]
    layers: Mapping[str, Layer]
    tasks: Sequence[str]
    xbm_on: float
    """Share of columns that an XBM mask leaves on."""
    piggyback_on: float
    """Share of weights that a Piggyback mask keeps."""
    finetune_sigma: float
    """Deviation of fine-tuned from backbone weights, in standard deviations of the weights."""

    def integers(self, layer: Layer, bits: int) -> NDArray[np.signedinteger]:
        """Backbone integers ``(c_out, rows)``."""
        return self._normal_integers("weights", "", "", layer, bits)

    def quantiser(self, layer: Layer, bits: int, task: str, method: str) -> Quantiser:
        """One scale per layer, as if the float weights had the deviation ``sqrt(2 / rows)``."""
        return Quantiser(bits, np.array([_deviation(layer) * _CLIP / _limit(bits)], np.float32))

    def state(self, task: str, method: str) -> Tensors:
        """Parameters about 1 (scales, variances) or 0, and the head's float weights."""
        tensors: Tensors = {}
        for index, node in enumerate(self.nodes):
            for role_index, role in enumerate(node.parameters):
                layer = self.layers.get(node.name)
                if role != "weight" or layer is None:
                    address = index * 8 + role_index
                    normal = self._draw("parameter", task, method, address, node.shape[0], _normal())
                    level = 1 if role in ("weight", "running_var") else 0
                    tensors[f"{node.name}.{role}"] = (level + _SPREAD * normal).astype(np.float32)
                elif layer.head:
                    kind = "head" if task else "weights"
                    normal = self._draw(kind, task, method, self._index(layer), layer.weights, _normal())
                    weights = (normal * _deviation(layer)).astype(np.float32)
                    tensors[f"{node.name}.{role}"] = weights.reshape(layer.weight_shape)
        return tensors

    def mask(self, task: str, method: str, layer: Layer, rows: int | None, aligned: bool) -> Mask | None:
        """Independent Bernoulli values; the head is not masked."""
        if layer.head or method not in ("xbm", "piggyback"):
            return None
        column = method == "xbm"
        if column and rows is None:
            raise ValueError("synthetic column masks are drawn for a crossbar height: pass rows")
        rows = rows if column else None
        granularity = "column" if column else "element"
        shape = mask_shape(layer, granularity, rows, aligned)
        share = self.xbm_on if column else self.piggyback_on
        table = (np.arange(_WORDS) < round(share * _WORDS)).astype(np.uint8)
        values = self._draw("mask", task, method, self._index(layer), shape[0] * shape[1], table)
        return Mask("binary", granularity, values.reshape(shape), rows, kernel_aligned=column and aligned)

    def weights(self, task: str, method: str, layer: Layer, bits: int) -> NDArray[np.signedinteger] | None:
        """Task's own head; of ``finetune`` the backbone plus rounded noise, clipped."""
        if layer.head:
            return self._normal_integers("head", task, method, layer, bits)
        if method != "finetune":
            return None
        result = self.integers(layer, bits)
        flat, limit = result.reshape(-1), _limit(bits)
        table = _integer_table(bits, self.finetune_sigma)
        wide = integer_type(2 * bits)
        for begin, words in self._words("update", task, method, self._index(layer), layer.weights):
            part = slice(begin, begin + len(words))
            flat[part] = np.clip(flat[part].astype(wide) + table[words], -limit, limit)
        return result

    def accuracy(self, task: str, method: str) -> None:
        """Nothing was trained, nothing measured."""

    def samples(self, task: str) -> Samples | None:
        """There is no data."""
        return None

    def _index(self, layer: Layer) -> int:
        return list(self.layers).index(layer.name)

    def _normal_integers(self, kind: str, task: str, method: str, layer: Layer, bits: int) -> NDArray[Any]:
        table = _integer_table(bits, 1.0).astype(integer_type(bits))
        drawn = self._draw(kind, task, method, self._index(layer), layer.weights, table)
        return drawn.reshape(layer.c_out, layer.rows)

    def _draw(self, kind: str, task: str, method: str, index: int, size: int, table: NDArray[Any]) -> NDArray[Any]:
        """Return ``size`` values looked up in a table of one value per 16-bit word."""
        drawn = np.empty(size, table.dtype)
        for begin, words in self._words(kind, task, method, index, size):
            drawn[begin : begin + len(words)] = table[words]
        return drawn

    def _words(
        self, kind: str, task: str, method: str, index: int, size: int
    ) -> Iterator[tuple[int, NDArray[np.uint16]]]:
        """Yield (begin, 16-bit words) until ``size`` words have been drawn, a chunk at a time."""
        task_number = 1 + self.tasks.index(task) if task else 0
        method_number = 1 + METHODS.index(method) if method else 0
        address = ((_KINDS.index(kind) * 256 + method_number) * 65536 + task_number) << 32 | index
        stream = np.random.Philox(key=np.array([self.seed, address], np.uint64))
        for begin in range(0, size, _CHUNK):
            count = min(_CHUNK, size - begin)
            yield begin, stream.random_raw(-(-count // 4)).astype("<u8", copy=False).view("<u2")[:count]


def _deviation(layer: Layer) -> float:
    """Standard deviation of the float weights, after He et al. 2015."""
    return float(np.sqrt(2 / layer.rows))
