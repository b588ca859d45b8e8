"""What a window of a layer makes the arrays do, counted crossbar by crossbar and column by column."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mapping.naive import block_of, cells_of
from numpy.typing import NDArray

from xbarsim.chip import Chip
from xbarsim.network import Layer

ARRAYS = {
    ("crossbar", "read"), ("dac", "drive"), ("sample_hold", "sample"), ("adc", "convert"), ("shift_add", "add"),
    ("registers", "output"), ("registers", "input"),
}  # fmt: skip
"""The actions that are counted here."""


def array_counts(
    layer: Layer, chip: Chip, weight_bits: int, input_bits: int, mask: NDArray[Any] | None
) -> tuple[Counter[tuple[str, str]], int]:
    """Actions of one window, and the columns of the fullest converter."""
    crossbars: dict[int, dict[int, bool]] = {}
    rows: dict[int, set[int]] = {}
    for (channel, row, _), cell in cells_of(layer, chip, weight_bits).items():
        on = mask is None or bool(mask[block_of(layer, chip, row), channel])
        crossbars.setdefault(cell.crossbar, {})[cell.column] = on
        rows.setdefault(cell.crossbar, set()).add(cell.row)
    file = chip.file
    phases = -(-input_bits // file.dac.bits)
    counts: Counter[tuple[str, str]] = Counter()
    fullest = 0
    shared = -(-file.crossbar.cols // file.adc.per_crossbar)
    for number, columns in crossbars.items():
        if not any(columns.values()):
            continue  # drivers, converters and the unit column rest
        unit = 1 if file.crossbar.encoding == "offset" and file.crossbar.unit_column else 0
        on = [column for column in columns if columns[column]]
        converted = list(range(file.crossbar.cols)) if file.adc.converts == "all" else on
        driven = file.crossbar.rows if file.dac.drives == "all" else len(rows[number])
        for _ in range(phases):
            counts["crossbar", "read"] += len(rows[number]) * (len(on) + unit)
            counts["dac", "drive"] += driven
            counts["registers", "input"] += driven * file.dac.bits
            for action in (
                ("sample_hold", "sample"),
                ("adc", "convert"),
                ("shift_add", "add"),
                ("registers", "output"),
            ):
                counts[action] += len(converted) + unit
        per_converter = Counter(column // shared for column in converted)
        fullest = max(fullest, *per_converter.values())
    return counts, fullest
