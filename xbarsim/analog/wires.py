"""Wire resistance: what reaches the sense ends of a crossbar whose wires are not ideal.

Cells are linear and every row is held by its driver, the idle ones at 0 V. The network is then linear, and
the currents I (A) that leave the columns for driver voltages V are I = V @ E with one matrix E (S), the
effective conductance. It is found once per programmed crossbar (and per setting of the column gate); after
that any number of input vectors costs one matrix product.

The nodal equations are those of Joksas and Mehonic, "badcrossbar", SoftwareX 12 (2020). They are solved by
nested dissection (George, SIAM J. Numer. Anal. 10 (1973) 345): the crossbar is halved until its pieces are a
few cells wide, and the pieces are joined again, dense matrices of their ports taking the place of the nodes
inside: O(n³) operations for n rows and n columns, next to O(n⁴) for a banded solution.

    driver ─ segment ─┬─ segment ─┬─            the row wire i; segment (i, j) leads to node (i, j)
                     cell        cell           cell (i, j) between row node (i, j) and column node (i, j)
                      │           │
                   segment     segment          segment (i, j) leads down from column node (i, j)
                      │           │
                    sense       sense           at 0 V
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from xbarsim.errors import InputError, did_you_mean
from xbarsim.kernels import nodal

Matrix = npt.NDArray[np.float64]
Ports = npt.NDArray[np.int64]

ENDS = {"one": (False, False), "rows": (True, False), "columns": (False, True), "both": (True, True)}
"""Name -> whether the rows, and whether the columns, are connected at their far ends too."""
GATES = ("disconnect", "float")
LEAF = 8
"""A patch of at most LEAF x LEAF cells is built cell by cell."""
MOHM_PER_OHM = 1e-6
OPEN_MOHM = 1e30
"""An end that is not connected, in a ladder: larger than any resistance, small enough to calculate with."""
MOST_LOADED = 1e9
"""Largest cell conductance times wire resistance, a pure number."""
SETTLED = 0.01
"""The sweeps of the estimate end when the correction is known to this fraction of itself."""
MOST_SWEEPS = 30
ROUNDING = 1e-12
"""Relative errors of rounding of a current, in the estimate and its bound; far above the real ones."""


def effective_conductance(
    conductance_us: npt.ArrayLike,
    row_segment_ohm: npt.ArrayLike,
    column_segment_ohm: npt.ArrayLike,
    *,
    driver_ohm: npt.ArrayLike = 0.0,
    sense_ohm: npt.ArrayLike = 0.0,
    columns_on: npt.ArrayLike | None = None,
    gate: str = "disconnect",
    ends: str = "one",
) -> Matrix:
    """Return E (rows, columns) in µS: the current out of each column's sense end per volt on each row.

    Rows are driven from the left, columns are sensed at the bottom at 0 V. **Idle rows are held at 0 V
    through their drivers**, cells are linear, and a column's current is the sum over its two ends if both
    are connected. With all resistances zero the answer is ``conductance_us`` itself.

    conductance_us: (rows, columns) cells, ≥ 0; 0 is a cell that does not conduct.
    row_segment_ohm: one number, or (rows, columns): element (i, j) leads to node (i, j) from the left, the
        first one from the driver. With both ends, (rows, columns + 1): the last leads to the second driver.
    column_segment_ohm: one number, or (rows, columns): element (i, j) leads down from node (i, j), the last
        one to the sense end. With both ends, (rows + 1, columns): element (i, j) leads down *to* node (i, j),
        the first one from the upper sense end, and the last to the lower one.
    driver_ohm, sense_ohm: one number, or one per row and one per column; the same at both ends.
    columns_on: (columns,) true or false; a gated column of the result is 0.
    gate: what a gated column is: "disconnect", cut from its cells, or "float", only open at its sense ends,
        so that currents still pass through it from row to row.
    ends: "one"; "both": rows are driven and columns sensed at both ends; "rows", "columns": only these are.

    Resistances are finite; a large one, such as 1e8 Ω, stands for an open wire. Every element is right to
    better than 1e-10 of itself, or 1e-13 of the largest, while no cell's conductance times a wire's
    resistance exceeds 1e4; beyond, digits are lost in proportion, and at 1e9 the network is refused as
    singular. 128 x 128 take 10 ms on one core (one BLAS thread; more do not help).
    """
    network = _network(
        conductance_us, row_segment_ohm, column_segment_ohm, driver_ohm, sense_ohm, columns_on, gate, ends
    )
    effective = _between_near_ports(_patch(network, 0, 0, network.cells.shape, network.far), network)
    effective[:, ~network.on] = 0.0
    return effective[::-1].copy()


class EstimatedConductance(NamedTuple):
    """An estimate of the effective conductance and how far it can be off.

    conductance_us: (rows, columns). bound_us: (columns,); for any driver voltages between 0 and 1 V the
    exact current of column j lies within ± bound_us[j] µA of the estimated one. This holds always; the
    error is usually two to fifty times smaller.
    """

    conductance_us: Matrix
    bound_us: Matrix


def estimated_conductance(
    conductance_us: npt.ArrayLike,
    row_segment_ohm: npt.ArrayLike,
    column_segment_ohm: npt.ArrayLike,
    *,
    driver_ohm: npt.ArrayLike = 0.0,
    sense_ohm: npt.ArrayLike = 0.0,
    columns_on: npt.ArrayLike | None = None,
    gate: str = "disconnect",
    ends: str = "one",
) -> EstimatedConductance:
    """Return an estimate of `effective_conductance`, for sweeps, with a bound on its error.

    The arguments are the same; 128 x 128 take 0.7 ms on one core, a twelfth of the exact matrix. The error
    of a column's current relative to that with ideal wires, by the share of it that the wires cost with all
    rows at 1 V; worst of all columns and input vectors, and root mean square over random input vectors:

        wires cost     worst     random
          ≤ 10 %      2e-4       2e-5
          ≤ 30 %      2e-3       2e-4
          ≤ 55 %     1.5e-2      1e-3
          more        1e-1       4e-3      too much: take the exact matrix

    Measured by ``benchmarks/wire_speed.py`` on crossbars from 32 x 32 to 256 x 256 with 0.01 to 100 Ω a
    segment and four kinds of cells of 1 to 100 µS: any level, two levels, columns of different density, few
    high ones. Floating columns add to it; ``bound_us`` holds for them too. See `_estimate` for the method.
    """
    return _estimate(
        _network(conductance_us, row_segment_ohm, column_segment_ohm, driver_ohm, sense_ohm, columns_on, gate, ends)
    )


@dataclass(frozen=True)
class _Network:
    """A crossbar turned so that every wire starts at its connected end: the sense ends are at row 0.

    cells: (rows, columns) µS, 0 where a gated column is cut off. row_wire: (rows, columns + 1) and
    column_wire: (rows + 1, columns) MΩ, drivers and sense ends included; the last segments lead to the far
    ends. ``on``: (columns,); ``floats``: columns that have cells and no sense end; ``far``: rows, columns.
    """

    cells: Matrix
    row_wire: Matrix
    column_wire: Matrix
    on: npt.NDArray[np.bool_]
    floats: npt.NDArray[np.bool_]
    far: tuple[bool, bool]


def _network(
    conductance_us: npt.ArrayLike,
    row_segment_ohm: npt.ArrayLike,
    column_segment_ohm: npt.ArrayLike,
    driver_ohm: npt.ArrayLike,
    sense_ohm: npt.ArrayLike,
    columns_on: npt.ArrayLike | None,
    gate: str,
    ends: str,
) -> _Network:
    """Check the arguments of the public functions and return the network they describe."""
    for name, value, known in (("gate", gate, GATES), ("ends", ends, tuple(ENDS))):
        if value not in known:
            raise InputError(f"{name}={value!r} is not one of {', '.join(known)}{did_you_mean(value, known)}")
    cells = _numbers("conductance_us", conductance_us)
    if cells.ndim != 2 or not cells.size:
        raise InputError(f"conductance_us has shape {cells.shape}; it needs (rows, columns), at least 1 x 1")
    rows, columns = cells.shape
    far = ENDS[ends]
    row_wire = np.zeros((rows, columns + 1))
    row_wire[:, : columns + far[0]] = _filled("row_segment_ohm", row_segment_ohm, (rows, columns + far[0]))
    row_wire[:, [0, columns]] += _filled("driver_ohm", driver_ohm, (rows,))[:, np.newaxis]
    column_wire = np.zeros((rows + 1, columns))
    column_wire[1 - far[1] :] = _filled("column_segment_ohm", column_segment_ohm, (rows + far[1], columns))
    column_wire[[0, rows]] += _filled("sense_ohm", sense_ohm, (columns,))
    on = _switches(columns_on, columns)
    if gate == "disconnect":
        cells = np.where(on, cells, 0.0)
    network = _Network(
        np.ascontiguousarray(cells[::-1]),
        np.ascontiguousarray(row_wire[::-1]) * MOHM_PER_OHM,
        np.ascontiguousarray(column_wire[::-1]) * MOHM_PER_OHM,
        on,
        ~on & cells.any(axis=0),
        far,
    )
    _refuse_singular(network)
    return network


def _refuse_singular(network: _Network) -> None:
    """Raise if 1 + conductance x resistance leaves too few digits of the 1 in a double."""
    cell = float(network.cells.max())
    wire = float(max(network.row_wire.max(), network.column_wire.max()))
    if cell > MOST_LOADED / max(wire, 1e-300):
        raise InputError(
            f"the wire network is singular in double precision: a cell of {cell:g} µS and a wire of "
            f"{wire / MOHM_PER_OHM:g} Ω; conductance times resistance must stay below {MOST_LOADED:g}"
        )


def _numbers(name: str, value: npt.ArrayLike) -> Matrix:
    """Return ``value`` as an array of finite numbers that are not negative."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not an array of numbers") from None
    bad = ~(np.isfinite(array) & (array >= 0.0))
    if bad.any():
        first = tuple(int(index) for index in np.argwhere(bad)[0])
        place = f"{name}{list(first)}" if first else name
        wire = name != "conductance_us" and not array[first] < 0.0
        way_out = "; an open wire leaves a node without a voltage; 1e8 Ω may stand for it" if wire else ""
        raise InputError(f"{place} is {array[first]:g}; it must be finite and not negative{way_out}")
    return array


def _filled(name: str, value: npt.ArrayLike, shape: tuple[int, ...]) -> Matrix:
    """Return ``value``, one number or an array of exactly ``shape``, as such an array."""
    array = _numbers(name, value)
    if array.shape not in ((), shape):
        raise InputError(f"{name} has shape {array.shape}; it needs one number or shape {shape}")
    return np.broadcast_to(array, shape)


def _switches(columns_on: npt.ArrayLike | None, columns: int) -> npt.NDArray[np.bool_]:
    """Return the column gate (columns,), all on without one."""
    if columns_on is None:
        return np.ones(columns, np.bool_)
    gates = np.asarray(columns_on)
    if gates.shape != (columns,) or not np.isin(gates, (0, 1)).all():
        raise InputError(
            f"columns_on has shape {gates.shape} and type {gates.dtype}; it needs {columns} times true or false"
        )
    return gates.astype(np.bool_)


@dataclass(frozen=True)
class _Ladders:
    """Separate wires, one per column of the arrays, that start at a voltage; see `nodal.ladders`."""

    segment: Matrix
    conductance: Matrix
    far: bool

    def voltage(self, source: float, beyond: Matrix | None = None) -> Matrix:
        """Return the node voltages, the cells leading to voltages ``beyond`` (0 V without)."""
        beyond = np.zeros_like(self.conductance) if beyond is None else beyond
        voltage: Matrix = nodal.ladders(self.segment, self.conductance, beyond, source, self.far)
        return voltage


def _estimate(network: _Network) -> EstimatedConductance:
    """Return the estimate: every wire solved alone, and the sum of all that this leaves out.

    ``passed``: what is left of a row's volt at its cells if all columns are at 0 V; ``sensed``: the fraction
    of a cell's current that reaches the sense end if all rows are at 0 V. passed x cell x sensed is the first
    term of the series E = Σ (row wires, then column wires)ᵏ. All terms are ≥ 0, and the others vanish if the
    rows' or the columns' wires are ideal. What they add to each column and to each row is the excess of one
    solution with all rows at 1 V, found by sweeps over rows and columns that start above it and fall. It is
    spread as (row's excess) (column's excess) / (their sum). So the estimate is exact for equal voltages on
    all rows; and as the true terms and the spread ones are ≥ 0 and have the same sum, a column's excess is a
    bound on its error.
    """
    rows = _Ladders(network.row_wire.T.copy(), network.cells.T.copy(), network.far[0])
    column_wire = network.column_wire.copy()
    column_wire[0, network.floats] = column_wire[-1, network.floats] = OPEN_MOHM
    columns = _Ladders(column_wire, network.cells, network.far[1])
    passed, sensed = rows.voltage(1.0).T, columns.voltage(1.0) * network.on
    first = passed * network.cells * sensed
    row_sums, column_sums = first.sum(axis=1), first.sum(axis=0)
    row_voltage = np.ones_like(first)
    for _ in range(MOST_SWEEPS):
        column_voltage = columns.voltage(0.0, row_voltage)
        row_voltage = rows.voltage(1.0, column_voltage.T.copy()).T
        most = (sensed * network.cells * row_voltage).sum(axis=0)  # not less than the columns' currents
        least = (passed * network.cells * (1.0 - column_voltage)).sum(axis=1)  # not more than the rows'
        gap, correction = most.sum() - least.sum(), most.sum() - column_sums.sum()
        if gap <= SETTLED * correction + ROUNDING * network.cells.sum():
            break
    row_excess = np.maximum(least - row_sums, 0.0)
    column_excess = np.maximum(most - column_sums, 0.0)
    shares = row_excess / (row_excess.sum() or 1.0)
    estimate = first + np.outer(shares, column_excess)
    return EstimatedConductance(estimate[::-1].copy(), column_excess + ROUNDING * network.cells.sum(axis=0))


@dataclass(frozen=True)
class _Patch:
    """Some cells as a hybrid matrix (see `kernels.nodal`), and which of its ports end which wires.

    near, far: the ports of the row wires and those of the column wires; no far ports where they stay open.
    """

    hybrid: Matrix
    near: tuple[Ports, ...]
    far: tuple[Ports, ...]


def _patch(network: _Network, row: int, column: int, shape: tuple[int, int], far: tuple[bool, bool]) -> _Patch:
    """Return the patch of ``shape`` whose first cell is (row, column), with the far ports asked for."""
    rows, columns = shape
    if max(shape) <= LEAF:
        wires = network.row_wire, network.column_wire
        hybrid = nodal.patch(network.cells, *wires, row, column, rows, columns)
        ports = _numbered(rows, columns, rows, columns)
        return _Patch(hybrid, ports[:2], (ports[2][: rows * far[0]], ports[3][: columns * far[1]]))
    if columns >= rows:
        half = columns // 2
        upstream = _patch(network, row, column, (rows, half), (True, far[1]))
        downstream = _patch(network, row, column + half, (rows, columns - half), far)
        return _joined(upstream, downstream, 0)
    half = rows // 2
    upstream = _patch(network, row, column, (half, columns), (far[0], True))
    downstream = _patch(network, row + half, column, (rows - half, columns), far)
    return _joined(upstream, downstream, 1)


def _joined(upstream: _Patch, downstream: _Patch, along: int) -> _Patch:
    """Tie the far ports of the wires of kind ``along`` (0: rows) of one patch to the near ones of the next."""
    across = 1 - along
    kept = [upstream.near[along], upstream.near[across], upstream.far[across]]
    kept += [downstream.near[across], downstream.far[across], downstream.far[along]]
    hybrid = nodal.join(
        upstream.hybrid, upstream.far[along], np.concatenate(kept[:3]),
        downstream.hybrid, downstream.near[along], np.concatenate(kept[3:]),
    )  # fmt: skip
    first, second, third, fourth, fifth, sixth = _numbered(*[ports.size for ports in kept])
    near = first, np.concatenate([second, fourth])
    far = sixth, np.concatenate([third, fifth])
    return _Patch(hybrid, (near[along], near[across]), (far[along], far[across]))


@lru_cache(maxsize=4096)
def _numbered(*sizes: int) -> tuple[Ports, ...]:
    """Return the numbers 0, 1, 2 ... in groups of these sizes."""
    return tuple(np.split(np.arange(sum(sizes)), np.cumsum(sizes[:-1])))


def _between_near_ports(patch: _Patch, network: _Network) -> Matrix:
    """Return the currents (rows, columns) out of the sense ends per volt at the drivers.

    ``flow`` holds the currents into all driven and sensed ends. The sense ends of floating columns take no
    current: they are eliminated.
    """
    rows = network.cells.shape[0]
    near = np.concatenate(patch.near)
    flow = patch.hybrid[np.ix_(near, near)]
    if any(network.far):
        flow += _through_far_ends(patch, network)
    effective: Matrix = 0.0 - flow[:rows, rows:]
    if network.floats.any():
        floating = rows + np.flatnonzero(network.floats)
        factor = cho_factor(flow[np.ix_(floating, floating)])
        effective += flow[:rows, floating] @ cho_solve(factor, flow[floating, rows:])
    return np.maximum(effective, 0.0)  # rounding may leave a current that is 0 just below


def _through_far_ends(patch: _Patch, network: _Network) -> Matrix:
    """Return what the far ends, at the voltages V of the near ones, add to the currents Y V.

    A far end lies behind its last segment, R. The currents into the far ends are K = (Z + R)⁻¹ (1 - T) V,
    and the near ones change by -Tᵀ K: together (1 - T)ᵀ K. Where Z + R is 0 both ends are one node.
    """
    rows = network.cells.shape[0]
    near = np.concatenate(patch.near)
    held = ~network.floats & network.far[1]
    tied = np.flatnonzero(np.concatenate([np.full(rows, network.far[0]), held]))
    far = np.concatenate([patch.far[0], patch.far[1][held[: patch.far[1].size]]])
    last = np.concatenate([network.row_wire[:, -1], network.column_wire[-1]])[tied]
    resistance = np.diag(last) - patch.hybrid[np.ix_(far, far)]
    drop = -patch.hybrid[np.ix_(far, near)]
    own = np.arange(tied.size), tied
    drop[own] = 0.0
    drop[own] = -drop.sum(axis=1)  # the rows of T sum to 1: without the rounding of 1 - T
    apart = np.diag(resistance) > 0.0
    drop = drop[apart]
    factor = cho_factor(resistance[np.ix_(apart, apart)])
    added: Matrix = drop.T @ cho_solve(factor, drop)
    return added
