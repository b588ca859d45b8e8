"""Kirchhoff's current law written down node by node, solved as it stands: by SciPy, or in fractions.

Nothing is shared with the package: the network is a list of (node, node, conductance), and nodes are names.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg


@dataclass
class Crossbar:
    """The arguments of `effective_conductance`, all written out as arrays; every resistance is above 0."""

    cells: np.ndarray
    row: np.ndarray
    column: np.ndarray
    driver: np.ndarray
    sense: np.ndarray
    on: np.ndarray
    gate: str
    ends: str

    def arguments(self) -> dict[str, Any]:
        return {
            "conductance_us": self.cells,
            "row_segment_ohm": self.row,
            "column_segment_ohm": self.column,
            "driver_ohm": self.driver,
            "sense_ohm": self.sense,
            "columns_on": self.on,
            "gate": self.gate,
            "ends": self.ends,
        }


def random_crossbar(
    rng: np.random.Generator, rows: int, columns: int, ends: str = "one", gate: str = "disconnect", ohm: float = 2.0
) -> Crossbar:
    """Cells of 0.1 to 100 µS, resistances that differ by a factor of ten, a third of the columns gated."""
    row_shape = (rows, columns + (ends in ("rows", "both")))
    column_shape = (rows + (ends in ("columns", "both")), columns)
    on = rng.random(columns) < 0.67
    on[rng.integers(columns)] = True
    return Crossbar(
        10.0 ** rng.uniform(-1.0, 2.0, (rows, columns)),
        ohm * 10.0 ** rng.uniform(-0.5, 0.5, row_shape),
        ohm * 10.0 ** rng.uniform(-0.5, 0.5, column_shape),
        rng.uniform(10.0, 1000.0, rows),
        rng.uniform(10.0, 1000.0, columns),
        on,
        gate,
        ends,
    )


Node = Hashable
Branch = tuple[Node, Node, Any]


def branches(bar: Crossbar, ohm: Any = float) -> Iterator[Branch]:
    """Yield (node, node, conductance in µS); ("drive", i) and ("sense", j) are held at a voltage."""
    rows, columns = bar.cells.shape
    mega = ohm(10**6)
    both_rows, both_columns = bar.ends in ("rows", "both"), bar.ends in ("columns", "both")
    skip = int(both_columns)
    for i in range(rows):
        for j in range(columns):
            if bar.on[j] or bar.gate == "float":
                yield ("row", i, j), ("column", i, j), ohm(bar.cells[i, j])
            if j:
                yield ("row", i, j - 1), ("row", i, j), mega / ohm(bar.row[i, j])
            if i:
                yield ("column", i - 1, j), ("column", i, j), mega / ohm(bar.column[i - 1 + skip, j])
        yield ("drive", i), ("row", i, 0), mega / (ohm(bar.row[i, 0]) + ohm(bar.driver[i]))
        if both_rows:
            yield ("drive", i), ("row", i, columns - 1), mega / (ohm(bar.row[i, columns]) + ohm(bar.driver[i]))
    for j in range(columns):
        if bar.on[j]:
            last = ohm(bar.column[rows - 1 + skip, j]) + ohm(bar.sense[j])
            yield ("column", rows - 1, j), ("sense", j), mega / last
            if both_columns:
                yield ("column", 0, j), ("sense", j), mega / (ohm(bar.column[0, j]) + ohm(bar.sense[j]))


def conducting(bar: Crossbar, ohm: Any = float) -> list[Branch]:
    """Return the branches of all parts of the network that a driver or a sense end can reach."""
    found = [branch for branch in branches(bar, ohm) if branch[2] != 0]
    neighbours: dict[Node, list[Node]] = {}
    for one, other, _ in found:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    reached = {node for node in neighbours if held(node)}
    todo = list(reached)
    while todo:
        for node in neighbours[todo.pop()]:
            if node not in reached:
                reached.add(node)
                todo.append(node)
    return [branch for branch in found if branch[0] in reached]


def held(node: Node) -> bool:
    return node[0] in ("drive", "sense")  # type: ignore[index]


def nodal(bar: Crossbar) -> np.ndarray:
    """Return the effective conductance (rows, columns) in µS by a sparse LU of the nodal equations."""
    rows, columns = bar.cells.shape
    found = conducting(bar)
    index: dict[Node, int] = {}
    for one, other, _ in found:
        for node in (one, other):
            if not held(node):
                index.setdefault(node, len(index))
    entries: list[tuple[int, int, float]] = []
    drive, sense = np.zeros((len(index), rows)), np.zeros((columns, len(index)))
    for one, other, conductance in found:
        for here, there in ((one, other), (other, one)):
            if held(here):
                continue
            entries.append((index[here], index[here], conductance))
            if not held(there):
                entries.append((index[here], index[there], -conductance))
            elif there[0] == "drive":  # type: ignore[index]
                drive[index[here], there[1]] += conductance  # type: ignore[index]
            else:
                sense[there[1], index[here]] += conductance  # type: ignore[index]
    i, j, value = zip(*entries, strict=True)
    matrix = scipy.sparse.coo_matrix((value, (i, j)), shape=(len(index), len(index))).tocsc()
    lu = scipy.sparse.linalg.splu(matrix)
    voltage = lu.solve(drive)
    voltage += lu.solve(drive - matrix @ voltage)  # one step of refinement
    return (sense @ voltage).T


def in_fractions(bar: Crossbar) -> np.ndarray:
    """Return the same as `nodal`, without any rounding before the end; for a few cells only."""
    rows, columns = bar.cells.shape
    links: dict[Node, dict[Node, Fraction]] = {}
    for one, other, conductance in conducting(bar, Fraction):
        for here, there in ((one, other), (other, one)):
            mine = links.setdefault(here, {})
            mine[there] = mine.get(there, Fraction(0)) + conductance
    # A node inside is replaced by branches between all its neighbours: star and mesh.
    for node in [node for node in links if not held(node)]:
        mine = links.pop(node)
        total = sum(mine.values())
        for here in mine:
            del links[here][node]
            for there in mine:
                if here != there:
                    links[here][there] = links[here].get(there, Fraction(0)) + mine[here] * mine[there] / total
    out = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            out[i, j] = float(links.get(("drive", i), {}).get(("sense", j), 0))
    return out
