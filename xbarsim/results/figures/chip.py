"""The chip by level, and which tiles and processing elements hold which layer or are how worn."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

from xbarsim.results.figures.style import PALETTE, WIDTH, drawing, figure_of, scaled, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Placed = Mapping[str, Any]
"""An ``xbarsim.placement/1`` object."""

NAMES = {"chip": "chip", "tile": "tile", "pe": "processing element", "crossbar": "crossbar"}
BOXES = 20
"""Most boxes in a row of the drawing of a level; beyond, a row says how many there are."""


def chip_figure(placed: Placed) -> Figure:
    """Chip, tile, processing element and crossbar side by side, each inside the one before it."""
    levels = {row["level"]: row for row in placed["levels"]}
    inner = {"chip": "tile", "tile": "pe", "pe": "crossbar"}
    with drawing():
        figure = figure_of(WIDTH, 4.4)
        panels = figure.subplots(2, 4, height_ratios=(1.0, 0.85))
        for at, (level, row) in enumerate(levels.items()):
            axes, below = panels[0, at], panels[1, at]
            if level == "crossbar":
                _cells(axes, row)
            else:
                _boxes(axes, int(levels[inner[level]]["count"]))
            axes.set_title(_heading(level, row), fontsize=10)
            below.axis("off")
            below.text(0.02, 1, "\n".join(_lines(level, row, levels)), va="top", fontsize=8, linespacing=1.3)
        for left, right in zip(panels[0], panels[0, 1:], strict=False):
            _zoom(figure, left, right)
    return figure


def _heading(level: str, row: Placed) -> str:
    count = row["count"]
    unit = {"chip": "in use", "tile": "per chip", "pe": "per tile", "crossbar": "per PE"}[level]
    return f"{NAMES[level]}\n{count:,} {unit}"


def _boxes(axes: Axes, count: int) -> None:
    """So many boxes in a square, the first one marked: it is what the next panel shows."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    wide = min(ceil(sqrt(count)), BOXES)
    high = min(ceil(count / wide), BOXES)
    gap, places = 0.14, [(at % wide, at // wide) for at in range(min(count, wide * high))]
    boxes = [Rectangle((x + gap, -y - 1 + gap), 1 - 2 * gap, 1 - 2 * gap) for x, y in places]
    colors = [PALETTE[4], *["#cfe3f1"] * (len(boxes) - 1)]
    axes.add_collection(PatchCollection(boxes, facecolors=colors, edgecolors="0.35", linewidths=0.5))
    _frame(axes, wide, high)
    if count > len(boxes):
        axes.set_xlabel(f"{len(boxes)} of {count:,} drawn", fontsize=8)


def _cells(axes: Axes, row: Placed) -> None:
    """A crossbar: word lines, bit lines, and its unit column if it has one."""
    rows, columns = 9, 9
    for at in range(rows):
        axes.plot([0.2, columns + 0.2], [-at - 0.6] * 2, color=PALETTE[0], linewidth=0.8)
    for at in range(columns):
        last = row["unit_column"] and at == columns - 1
        axes.plot([at + 0.6] * 2, [-0.2, -rows - 0.2], color=PALETTE[1] if last else "0.35", linewidth=0.8,
                  linestyle="--" if last else "-")  # fmt: skip
    points = [(x + 0.6, -y - 0.6) for x in range(columns) for y in range(rows)]
    axes.scatter([x for x, _ in points], [y for _, y in points], s=7, color="black", zorder=3)
    _frame(axes, columns + 0.4, rows + 0.4)
    shown = f"{row['rows']} rows × {row['columns']} columns"
    axes.set_xlabel(f"{shown}\n(drawn: 9 × 9)", fontsize=8)


def _frame(axes: Axes, wide: float, high: float) -> None:
    margin = 0.25
    axes.set(xlim=(-margin, wide + margin), ylim=(-high - margin, margin), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="0.35", linewidth=1.2)


def _zoom(figure: Figure, left: Axes, right: Axes) -> None:
    """Lines from the first box of a panel to the next panel."""
    from matplotlib.patches import ConnectionPatch

    for start, end in (((0.86, -0.14), (0, 1)), ((0.86, -0.86), (0, 0))):
        figure.add_artist(
            ConnectionPatch(start, end, "data", "axes fraction", axesA=left, axesB=right, color="0.45", linewidth=0.7)
        )


def _lines(level: str, row: Placed, levels: Mapping[str, Placed]) -> list[str]:
    """Size, power and parts of a level, in words."""
    if level == "crossbar":
        unit = "with a unit column" if row["unit_column"] else "no unit column"
        return [f"{row['cell_bits']} bit per cell", f"{row['encoding']} encoding", unit, f"device {row['device']}"]
    area, unit = scaled(row["area_um2"], "area_um2")
    lines = [f"{short(row['area_um2'] * area)} {unit}", f"{_watts(row['power_mw'])} with everything busy"]
    parts = [f"{_times(part['count'])} {part['component']}" for part in row["parts"]]
    shown = parts if len(parts) <= 8 else [*parts[:7], f"and {len(parts) - 7} more parts"]
    return [*lines, *(["beside them:"] if shown else []), *shown]


def _times(count: float) -> str:
    return f"{count:,.0f} ×" if count >= 1 else f"1/{1 / count:.0f} ×"


def _watts(power_mw: float) -> str:
    return f"{short(power_mw / 1e3)} W" if power_mw >= 1e3 else f"{short(power_mw)} mW"
