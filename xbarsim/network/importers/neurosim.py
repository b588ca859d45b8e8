"""NeuroSim network tables (``NetWork_*.csv`` of DNN+NeuroSim): one layer per line, no heading.

Columns: length, width and depth of the input; length, width and depth of the kernel (the depth being the
number of output channels); 1 where pooling follows; the stride (left out in early versions: 1). Sizes are
those without padding: convolutions keep the size up to their stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xbarsim.errors import Fault, InputError
from xbarsim.network.importers.rows import Row, Tabled, connect, read_cells, whole

COLUMNS = ("input length", "input width", "input depth", "kernel length", "kernel width", "kernel depth")
POOL, STRIDE = 6, 7
"""Columns of the pooling flag and the stride, from 0."""

COMMENT = (
    "Imported from the NeuroSim network {name}: shapes only. Connections and pools are inferred from the shapes; "
    "activation functions and normalisation do not stand in the file."
)


def read_neurosim(path: Path, name: str = "") -> Tabled:
    """Read a network as a layer table; raises :class:`InputError` with every fault and its line and column."""
    faults: list[Fault] = []
    rows = [_row(path, place, line, row, faults) for place, (line, row) in enumerate(read_cells(path), 1)]
    if faults:
        raise InputError(faults)
    return connect(path, rows, name or path.stem, COMMENT.format(name=path.name))


def _row(path: Path, place: int, line: int, row: Sequence[str], faults: list[Fault]) -> Row:
    length, width, depth, kernel_l, kernel_w, out = (
        whole(path, line, row, column, name, faults) for column, name in enumerate(COLUMNS)
    )
    stride = whole(path, line, row, STRIDE, "stride", faults) if len(row) > STRIDE else 1
    if len(row) > POOL and row[POOL] not in ("0", "1"):
        faults.append(Fault(str(path), f"{row[POOL]!r} is not 0 or 1", "pooling", line, POOL + 1))
    linear = (length, width, kernel_l, kernel_w) == (1, 1, 1, 1)
    name = f"fc{place}" if linear else f"conv{place}"
    return Row(name, line, (depth, length, width), out, (kernel_l, kernel_w), stride, (kernel_l // 2, kernel_w // 2))
