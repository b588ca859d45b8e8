"""Milliseconds per effective conductance matrix, against SciPy's sparse LU, and the error of the estimate.

Both are measured in the same run, on one core and with one BLAS thread. The twin assembles the nodal
equations without a Python loop, factors them once (symmetric mode, minimum degree of AᵀA + A) and solves for
all rows at once. Run as ``python benchmarks/wire_speed.py``; prints two tables.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from threadpoolctl import threadpool_limits

from xbarsim.analog.wires import effective_conductance, estimated_conductance

COSTS = (0.1, 0.3, 0.55, 1.0)
"""The estimate's errors are summed up for crossbars whose wires cost at most these shares of the current."""
KINDS = ("uniform", "binary", "skewed", "sparse")


def cells_of(kind: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """Return cells of at most 100 µS, on/off ratio 100: any level, two levels, columns of bits, a tenth on."""
    on = {
        "uniform": rng.uniform(0.01, 1.0, (size, size)),
        "binary": rng.random((size, size)) < 0.5,
        "skewed": rng.random((size, size)) < rng.uniform(0.02, 0.98, size),
        "sparse": rng.random((size, size)) < 0.1,
    }[kind]
    return np.maximum(100.0 * on, 1.0)


def sparse_twin(cells: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the effective conductance by a sparse LU; segments (rows, columns) in Ω, above 0."""
    along, down = 1e6 / row, 1e6 / column
    upper = np.arange(cells.size).reshape(cells.shape)
    lower = upper + cells.size
    links = [
        (upper, lower, cells),
        (upper[:, :-1], upper[:, 1:], along[:, 1:]),
        (lower[:-1], lower[1:], down[:-1]),
    ]
    one, other, value = (np.concatenate([link[k].ravel() for link in links]) for k in range(3))
    diagonal = np.bincount(one, value, 2 * cells.size) + np.bincount(other, value, 2 * cells.size)
    diagonal[upper[:, 0]] += along[:, 0]
    diagonal[lower[-1]] += down[-1]
    nodes = np.arange(2 * cells.size)
    entries = np.concatenate([-value, -value, diagonal])
    places = np.concatenate([one, other, nodes]), np.concatenate([other, one, nodes])
    matrix = scipy.sparse.csc_matrix((entries, places))
    lu = scipy.sparse.linalg.splu(
        matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    drive = np.zeros((2 * cells.size, len(cells)))
    drive[upper[:, 0], np.arange(len(cells))] = along[:, 0]
    return (lu.solve(drive)[lower[-1]] * down[-1][:, np.newaxis]).T


def milliseconds(work: Callable[[], Any], repeats: int) -> float:
    """Return the median time of one call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def speed(sizes: list[int], repeats: int) -> None:
    rng = np.random.default_rng(0)
    print(f"{'size':>9} {'exact ms':>9} {'SciPy ms':>9} {'ratio':>6} {'estimate ms':>12} {'difference':>11}")
    for size in sizes:
        cells = cells_of("uniform", rng, size)
        row, column = rng.uniform(0.5, 2.0, (2, size, size))
        exact, twin = effective_conductance(cells, row, column), sparse_twin(cells, row, column)
        estimated_conductance(cells, row, column)
        ours = milliseconds(lambda c=cells, r=row, d=column: effective_conductance(c, r, d), repeats)
        theirs = milliseconds(lambda c=cells, r=row, d=column: sparse_twin(c, r, d), min(repeats, 3))
        quick = milliseconds(lambda c=cells, r=row, d=column: estimated_conductance(c, r, d), repeats)
        difference = np.abs(twin / exact - 1.0).max()
        figures = f"{ours:>9.2f} {theirs:>9.1f} {theirs / ours:>6.1f} {quick:>12.2f} {difference:>11.1e}"
        print(f"{f'{size} x {size}':>9} {figures}")


class Figures(NamedTuple):
    """How good an estimate is; currents relative to a column's current with ideal wires.

    cost: what the wires take of it, all rows at 1 V; worst, bound: the largest error over all driver voltages
    in 0 ... 1 V and what the estimate says of it; random: root mean square error over random driver voltages;
    slack: the least bound / error of any column.
    """

    cost: float
    worst: float
    bound: float
    random: float
    slack: float


def figures_of(cells: np.ndarray, ohm: float, rng: np.random.Generator) -> Figures:
    """Return the worst column's figures of one crossbar with ``ohm`` on every segment."""
    exact = effective_conductance(cells, ohm, ohm)
    estimate, bound = estimated_conductance(cells, ohm, ohm)
    ideal = cells.sum(axis=0)
    error = estimate - exact
    worst = np.maximum(np.maximum(error, 0.0).sum(axis=0), np.maximum(-error, 0.0).sum(axis=0))
    if (worst > bound).any():
        raise SystemExit(f"the bound does not hold: {cells.shape} cells, {ohm} Ω")
    drawn = (rng.random((200, len(cells))) @ error) / ideal
    return Figures(
        1.0 - (exact.sum(axis=0) / ideal).min(),
        (worst / ideal).max(),
        (bound / ideal).max(),
        float(np.sqrt((drawn**2).mean())),
        (bound / worst).min(),
    )


def estimate_errors(sizes: list[int], ohms: list[float]) -> None:
    """Print the errors of the estimate over a grid, each line the worst of all kinds of cells, and a summary."""
    rng = np.random.default_rng(1)
    everything = []
    print(f"{'size':>9} {'Ω':>6} {'cost':>7} {'worst':>8} {'bound':>8} {'random':>8} {'slack':>6}")
    for size in sizes:
        for ohm in ohms:
            found = [figures_of(cells_of(kind, rng, size), ohm, rng) for kind in KINDS]
            everything += found
            cost, worst, bound, random, _ = np.max(found, axis=0)
            slack = min(figures.slack for figures in found)
            numbers = f"{cost:>7.1%} {worst:>8.1e} {bound:>8.1e} {random:>8.1e} {slack:>6.1f}"
            print(f"{f'{size} x {size}':>9} {ohm:>6g} {numbers}")
    print(f"\n{'wires cost':>10} {'worst':>8} {'bound':>8} {'random':>8}")
    least = 0.0
    for most in COSTS:
        found = [figures for figures in everything if least < figures.cost <= most]
        _, worst, bound, random, _ = np.max(found, axis=0)
        print(f"{f'<= {most:.0%}':>10} {worst:>8.1e} {bound:>8.1e} {random:>8.1e}")
        least = most


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the wire solver and error of its estimate.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    with threadpool_limits(1):
        speed(arguments.sizes, arguments.repeats)
        print()
        estimate_errors([32, 64, 128, 256], [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0])


if __name__ == "__main__":
    main()
