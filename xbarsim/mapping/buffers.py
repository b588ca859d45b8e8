"""What the tiles' buffers must hold: tokens between stages, skew between branches included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xbarsim.kernels.lookahead import occupancy
from xbarsim.mapping.stages import Edge, Stage
from xbarsim.mapping.windows import Sliding, tables
from xbarsim.units import ceil_div

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tables:
    """Need and release tables of every distinct window geometry of a network."""

    by_sliding: Mapping[Sliding, tuple[Ints, Ints]]

    def of(self, edge: Edge) -> tuple[Ints, Ints]:
        """Return (need, release) of one edge."""
        return self.by_sliding[edge.sliding]


def window_tables(stages: Sequence[Stage]) -> Tables:
    """Compute the tables of all edges, each distinct geometry once."""
    return Tables({s: tables(s) for s in {edge.sliding for stage in stages for edge in stage.edges}})


def least_tokens(stages: Sequence[Stage], table: Tables) -> dict[tuple[str, int], int]:
    """Return the least capacity of every edge, keyed (stage, position), in tokens.

    A skip connection must hold what the main path needs before its first output.
    """
    names = {stage.name: number for number, stage in enumerate(stages, start=1)}
    pixels = max((need[-1] for stage in stages for e in stage.edges if e.source not in names
                  for need in [table.of(e)[0]]), default=1)  # fmt: skip
    edges = [(stage.name, at, edge) for stage in stages for at, edge in enumerate(stage.edges)]
    source = np.array([names.get(edge.source, 0) for _, _, edge in edges], np.int64)
    target = np.array([names[name] for name, _, _ in edges], np.int64)
    windows = np.array([pixels] + [stage.windows for stage in stages], np.int64)
    needs = [table.of(edge) for _, _, edge in edges]
    starts = np.concatenate([[0], np.cumsum([len(need) for need, _ in needs])])[:-1].astype(np.int64)
    in_start, in_edge = _grouped(target, len(windows))
    out_start, out_edge = _grouped(source, len(windows))
    fullest = occupancy(
        windows, in_start, in_edge, out_start, out_edge, source, starts,
        np.concatenate([need for need, _ in needs]), np.concatenate([release for _, release in needs]),
    )  # fmt: skip
    return {(name, at): int(held) for (name, at, _), held in zip(edges, fullest, strict=True)}


def _grouped(keys: Ints, groups: int) -> tuple[Ints, Ints]:
    """Edges sorted by ``keys``, and where each group starts."""
    counts = np.bincount(keys, minlength=groups)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), np.argsort(keys, kind="stable")


def token_bytes(edge: Edge, ops: Mapping[str, str], bits: int) -> int:
    """Bytes of one token; a running mean keeps one vector however many pixels it has seen."""
    return ceil_div(edge.channels * bits, 8) if ops.get(edge.source) != "global_avg_pool" else 0
