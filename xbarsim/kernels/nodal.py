"""Resistive wire networks of a crossbar: patches of cells as hybrid matrices, and single wires as ladders.

A patch is a rectangle of cells with the wire segments that lead to them. Each of its wires has a near port,
on the side of the driver (row wires) or of the sense end (column wires), and a far port. What the outside
needs to know of a patch is one symmetric matrix H:

    [currents into the near ports]         [voltages at the near ports       ]
    [voltages at the far ports   ]  =  H · [currents drawn from the far ports]

    H = [[Y, Tᵀ], [T, -Z]]   Y: near ports' conductance, Z: far ports' resistance, T: voltage passed on.

Zero resistance is nothing special in this form: an ideal wire has T = 1, Z = 0. Units: µS, MΩ, V, µA.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def patch(conductance, row_wire, column_wire, first_row, first_column, rows, columns):
    """Return H (2p, 2p), p = rows + columns, of a small patch; ports: near rows, near columns, far ones.

    conductance: the crossbar's cells; row_wire, column_wire: the segments, element (i, j) from node (i, j)
    towards the near port; the patch is ``rows`` x ``columns`` of them from the first on. It grows cell by
    cell out of bare ideal wires: a segment in series adds to one diagonal element of Z; a cell between a
    row's end and a column's end, h = H[row] - H[column], is H += g / (1 + g r) h hᵀ with r the resistance
    seen between the two ends.
    """
    near = rows + columns
    hybrid = np.zeros((2 * near, 2 * near))
    across = np.empty(2 * near)
    for port in range(near):
        hybrid[port, near + port] = 1.0
        hybrid[near + port, port] = 1.0
    for row in range(rows):
        for column in range(columns):
            above = near + row
            below = near + rows + column
            hybrid[above, above] -= row_wire[first_row + row, first_column + column]
            hybrid[below, below] -= column_wire[first_row + row, first_column + column]
            cell = conductance[first_row + row, first_column + column]
            if cell == 0.0:
                continue
            for port in range(2 * near):
                across[port] = hybrid[above, port] - hybrid[below, port]
            factor = cell / (1.0 + cell * (across[below] - across[above]))
            for port in range(2 * near):
                weight = factor * across[port]
                if weight != 0.0:
                    for other in range(2 * near):
                        hybrid[port, other] += weight * across[other]
    return hybrid


@njit(cache=True)
def _block(matrix, rows, columns):
    """Return the elements of ``matrix`` at ``rows`` x ``columns``, contiguous."""
    out = np.empty((rows.size, columns.size))
    for i in range(rows.size):
        for j in range(columns.size):
            out[i, j] = matrix[rows[i], columns[j]]
    return out


@njit(cache=True)
def join(upstream, far, upstream_kept, downstream, near, downstream_kept):
    """Return H of two patches after the far ports of one were tied to the near ports of the other.

    The ports that remain are ``upstream_kept`` and then ``downstream_kept``; any others are left open (far
    ports). With v the voltages and J the currents of the ties, u and d the inputs that remain,

        v = A u - Z J,  J = Y v + B d   =>   v = M⁻¹ (A u - Z B d),  M = I + Z Y,

    Z and Y positive semidefinite: M never has an eigenvalue below 1.
    """
    ties, first, second = far.size, upstream_kept.size, downstream_kept.size
    resistance = -_block(upstream, far, far)
    conductance = _block(downstream, near, near)
    passed = _block(upstream, far, upstream_kept)
    drawn = _block(downstream, near, downstream_kept)
    system = np.dot(resistance, conductance)
    for tie in range(ties):
        system[tie, tie] += 1.0
    inverse = np.ascontiguousarray(np.linalg.inv(system))
    current_up = np.dot(conductance, np.dot(inverse, passed))
    current_down = np.dot(inverse.T, drawn)
    up = np.dot(passed.T, current_up)
    mutual = np.dot(passed.T, current_down)
    down = np.dot(drawn.T, np.dot(resistance, current_down))
    hybrid = np.empty((first + second, first + second))
    for i in range(first):
        for j in range(first):
            hybrid[i, j] = upstream[upstream_kept[i], upstream_kept[j]] + up[i, j]
        for j in range(second):
            hybrid[i, first + j] = mutual[i, j]
    for i in range(second):
        for j in range(first):
            hybrid[first + i, j] = mutual[j, i]
        for j in range(second):
            hybrid[first + i, first + j] = downstream[downstream_kept[i], downstream_kept[j]] - down[i, j]
    return hybrid


@njit(cache=True)
def ladders(segment, conductance, beyond, source, far):
    """Return the node voltages (cells, wires) of many separate wires whose cells lead to known voltages.

    segment: (cells + 1, wires), the first leads from the source to the first node, the last from the last
    node to a second source if ``far``; conductance: (cells, wires), from node to ``beyond`` (cells, wires).
    Forwards: what a node sees towards the source, a voltage behind a resistance. Backwards: a node lies
    between that and the voltage of the next one. Nothing is subtracted, and no divisor can be zero.
    """
    cells, wires = conductance.shape
    voltage = np.empty((cells, wires))
    behind = np.empty((cells, wires))
    seen = np.empty((cells, wires))
    for node in range(cells):
        for wire in range(wires):
            resistance = segment[node, wire]
            driven = source
            if node > 0:
                resistance += seen[node - 1, wire]
                driven = behind[node - 1, wire]
            cell = conductance[node, wire]
            share = 1.0 / (1.0 + cell * resistance)
            behind[node, wire] = (driven + resistance * cell * beyond[node, wire]) * share
            seen[node, wire] = resistance * share
    for node in range(cells - 1, -1, -1):
        for wire in range(wires):
            voltage[node, wire] = behind[node, wire]
            if node < cells - 1 or far:
                following = voltage[node + 1, wire] if node < cells - 1 else source
                last = segment[node + 1, wire]
                total = seen[node, wire] + last
                if total > 0.0:
                    voltage[node, wire] = (behind[node, wire] * last + following * seen[node, wire]) / total
    return voltage
