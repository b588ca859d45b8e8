"""SCALE-Sim topologies: convolutions (``topologies/conv_nets``) and matrix products (``topologies/GEMM_mnk``).

Convolutions: layer name, height and width of the input, height and width of the filter, channels, number of
filters, stride; further columns are left alone. Matrix products: name, M, N, K, where an M x K input meets a
K x N matrix. The first line is a heading. A row of one channel and one filter with ``dw`` in its name or
behind it is a depthwise convolution, of which the file states one channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xbarsim.errors import Fault, InputError
from xbarsim.network.importers.rows import Row, Tabled, connect, pool_attrs, read_cells, whole
from xbarsim.network.ops import Pair

CONV = ("IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter", "Strides")
GEMM = ("M", "N", "K")

COMMENT = (
    "Imported from the SCALE-Sim topology {name}: shapes only. Connections are inferred from the shapes; activation "
    "functions and normalisation do not stand in the file."
)


def read_scalesim(path: Path, name: str = "") -> Tabled:
    """Read a topology as a layer table; raises :class:`InputError` with every fault and its line and column.

    SCALE-Sim computes without padding: sizes that contain it are stated. Where a later row reads what a
    convolution gives only if it keeps the size, it is padded so; a warning says how many.
    """
    cells = read_cells(path)
    heading = [cell.lower() for cell in cells[0][1]] if cells else []
    gemm = [cell.upper() for cell in heading[1:4]] == list(GEMM)
    if heading and (len(heading) < 2 or not heading[1].isdigit()):
        cells = cells[1:]
    faults: list[Fault] = []
    rows = [(_gemm if gemm else _conv)(path, line, row, faults) for line, row in cells]
    if faults:
        raise InputError(faults)
    padded = _padded(rows)
    made = connect(path, padded, name or path.stem, COMMENT.format(name=path.name))
    count = sum(row != before for row, before in zip(padded, rows, strict=True))
    if not count:
        return made
    warning = f"{path}: {count} convolutions are padded to keep their size, as the rows after them have it"
    return replace(made, warnings=(warning, *made.warnings))


def _conv(path: Path, line: int, row: Sequence[str], faults: list[Fault]) -> Row:
    height, width, kernel_h, kernel_w, channels, filters, stride = (
        whole(path, line, row, column, name, faults) for column, name in enumerate(CONV, 1)
    )
    marked = "dw" in row[0].lower() or any("dw" in cell.lower() or "depthwise" in cell.lower() for cell in row[8:])
    depthwise = channels == filters == 1 and marked
    return Row(row[0], line, (channels, height, width), filters, (kernel_h, kernel_w), stride, depthwise=depthwise)


def _gemm(path: Path, line: int, row: Sequence[str], faults: list[Fault]) -> Row:
    m, n, k = (whole(path, line, row, column, name, faults) for column, name in enumerate(GEMM, 1))
    return Row(row[0], line, (k, m, 1), n)


def _padded(rows: Sequence[Row]) -> list[Row]:
    """The rows with padding where only that gives what a later row reads, as it is or pooled.

    Where no later row tells, a row is padded like the last one of the same kernel.
    """
    made: list[Row] = []
    before: dict[Pair, bool] = {}
    for place, row in enumerate(rows):
        same = replace(row, padding=(row.kernel[0] // 2, row.kernel[1] // 2))
        chosen = row
        if row.kernel != (1, 1) and all(size % 2 for size in row.kernel):
            reached = [_reach(one, rows[place + 1 :]) for one in (row, same)]
            keeps = before.get(row.kernel, False) if reached == [0, 0] else reached[1] > reached[0]
            chosen, before[row.kernel] = same if keeps else row, keeps
        made.append(chosen)
    return made


def _reach(row: Row, later: Sequence[Row]) -> int:
    """2 where a later row reads the output of ``row`` as it is, 1 where pooled, else 0."""
    shape = row.result(row.shape[0])
    fitting = [one.shape for one in later if row.depthwise or one.shape[0] == shape[0]]
    if any(one[1:] == shape[1:] for one in fitting):
        return 2
    own = (shape[1], shape[2])
    return int(any(pool_attrs(own, (one[1], one[2])) for one in fitting))
