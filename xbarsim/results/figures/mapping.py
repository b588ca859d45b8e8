"""The map of tiles and processing elements: which layer they hold, and how worn they are."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xbarsim.results.figures.chip import Placed
from xbarsim.results.figures.style import UNUSED, WIDTH, drawing, figure_of, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CHIPS = 12
"""Chips that a map shows; the picture says how many are left out."""

MOST_LEGENDS = 120
"""Layers that a legend names."""

MOST_BESIDE = 26
"""Layers whose legend stands beside the map."""

LEGEND_COLUMNS = 4
"""Columns of a legend below the map."""

MOST_STEPS = 12
"""Numbers of writes that have a colour each."""

MOSTLY = 0.6
"""Share of one chip up to which only the tiles in use are drawn."""


def layer_map(placed: Placed) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(number of the layer, or -1; number of the PE within its copy, or -1) by tile and PE of the tile.

    A PE that holds the end of one copy and the beginning of the next counts with the later part.
    """
    levels = {row["level"]: row for row in placed["levels"]}
    pes, crossbars = int(levels["pe"]["count"]), int(levels["crossbar"]["count"])
    tiles = int(levels["chip"]["count"]) * int(levels["tile"]["count"])
    layers = np.full((tiles, pes), -1, np.int64)
    places = np.full((tiles, pes), -1, np.int64)
    for number, row in enumerate(placed["layers"]):
        last = row["first_tile"] + row["tiles"] * row["residents"]
        layers[row["first_tile"] : last] = np.where(layers[row["first_tile"] : last] < 0, -2 - number, 0)
        for resident in range(row["residents"]):
            first = row["first_tile"] + resident * row["tiles"]
            for copy in range(row["copies"]):
                group, beside = divmod(copy, row["together"])
                at = np.arange(row["crossbars"]) + beside * row["crossbars"]
                tile = first + group * row["tiles_per_copy"] + at // (pes * crossbars)
                pe = at % (pes * crossbars) // crossbars
                layers[tile, pe] = number
                places[tile, pe] = np.arange(row["crossbars"]) // crossbars
    return layers, places


def mapping_figure(placed: Placed) -> Figure:
    """All tiles with their processing elements, coloured by layer; the first tile of a layer has its number."""
    layers, _ = layer_map(placed)
    colors = shades(len(placed["layers"]))
    picture = np.ones((*layers.shape, 3))
    picture[layers == -1] = float(UNUSED)
    for number, color in enumerate(colors):
        picture[layers == number] = color[:3]
        picture[layers == -2 - number] = _paler(color)
    with drawing():
        figure, panels = _map_axes(placed, legend=True)
        for chip, axes in enumerate(panels):
            _draw_tiles(axes, placed, chip, picture)
            _number_layers(axes, placed, chip, len(panels))
        _layer_legend(figure, placed, colors)
    return figure


def _paler(color: Sequence[float]) -> NDArray[np.float64]:
    """Of a tile that a layer takes, the elements without its weights."""
    return 0.75 + 0.25 * np.asarray(color[:3])


def _beside(placed: Placed) -> bool:
    """Whether the legend stands beside the map; below it where it is long."""
    return len(placed["layers"]) <= MOST_BESIDE


def _layer_legend(figure: Figure, placed: Placed, colors: Sequence[Any]) -> None:
    from matplotlib.patches import Patch

    if len(placed["layers"]) > MOST_LEGENDS:
        return
    patches = [
        Patch(facecolor=color, label=f"{at + 1} {row['layer']}")
        for at, (row, color) in enumerate(zip(placed["layers"], colors, strict=True))
    ]
    patches.append(Patch(facecolor=UNUSED, edgecolor="0.6", label="not in use"))
    where: Literal["outside right upper", "outside lower center"] = (
        "outside right upper" if _beside(placed) else "outside lower center"
    )
    columns = 1 if _beside(placed) else LEGEND_COLUMNS
    figure.legend(handles=patches, loc=where, frameon=False, ncols=columns, fontsize=8, handlelength=1.2)


def wear_figure(placed: Placed, wear: pd.DataFrame) -> Figure:
    """All processing elements, coloured by the writes of their most written cell.

    ``wear``: rows of ``layer``, ``pe`` (missing: the whole layer), ``writes_max``.
    """
    from matplotlib.cm import ScalarMappable

    values = wear_map(placed, wear)
    worn = values[np.isfinite(values)]
    norm, colours, ticks = _wear_scale(worn.min(initial=1), worn.max(initial=1))
    picture = colours(norm(np.nan_to_num(values, nan=1)))[..., :3]
    picture[np.isnan(values)] = float(UNUSED)
    with drawing():
        figure, panels = _map_axes(placed, legend=False)
        for chip, axes in enumerate(panels):
            _draw_tiles(axes, placed, chip, picture)
        bar = figure.colorbar(ScalarMappable(norm, colours), ax=list(panels), shrink=0.8, pad=0.02, ticks=ticks)
        bar.set_label("writes of the most written cell\n(grey: no weights)")
    return figure


def _wear_scale(low: float, high: float) -> tuple[Any, Any, Any]:
    """(norm, colours from pale to dark, ticks): a colour per number of writes where these are few."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, LogNorm

    steps = int(high - low) + 1
    if steps > MOST_STEPS:
        return LogNorm(max(low, 1), high), colormaps["viridis_r"], None
    colours = colormaps["viridis_r"].resampled(steps + 1)
    return BoundaryNorm(np.arange(steps + 1) + low - 0.5, colours.N), colours, np.arange(steps) + low


def wear_map(placed: Placed, wear: pd.DataFrame) -> NDArray[np.float64]:
    """Writes of the most written cell by tile and PE; not a number where no weights are."""
    layers, places = layer_map(placed)
    values = np.full(layers.shape, np.nan)
    for number, row in enumerate(placed["layers"]):
        mine = wear[wear["layer"] == row["layer"]]
        if mine.empty:
            continue
        there = layers == number
        if mine["pe"].isna().all():
            values[there] = mine["writes_max"].max()
        else:
            table = np.full(int(places[there].max(initial=0)) + 1, np.nan)
            table[mine["pe"].astype(int)] = mine["writes_max"]
            values[there] = table[places[there]]
    return values


def _map_axes(placed: Placed, *, legend: bool) -> tuple[Figure, NDArray[Any]]:
    """A panel per chip, as large as there is room."""
    chips, tiles = _count(placed, "chip"), _count(placed, "tile")
    shown = min(chips, MOST_CHIPS)
    wide = 1 if shown == 1 else 2 if shown <= 4 else 3 if shown <= 9 else 4
    high = ceil(shown / wide)
    beside, below = legend and _beside(placed), legend and not _beside(placed)
    width = WIDTH - (2.2 if beside else 0 if below else 1.4)
    more = 0.19 * ceil(len(placed["layers"]) / LEGEND_COLUMNS) if below else 0.0
    columns, rows, side, up = _shape(placed)
    height = width / wide * (rows * up) / (columns * side) * high
    figure = figure_of(WIDTH, min(max(height, 2.2), 5.2 if _drawn(placed) < tiles else 9.0) + 0.4 * high + more)
    panels = figure.subplots(high, wide, squeeze=False).ravel()
    for chip, axes in enumerate(panels):
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
        axes.set_visible(chip < shown)
        if chips > 1:
            axes.set_title(f"chip {chip + 1} of {chips}")
    if chips > shown:
        figure.supxlabel(f"the first {shown} of {chips} chips", fontsize=9)
    if _drawn(placed) < tiles:
        panels[0].set_xlabel(f"the {_drawn(placed)} tiles in use; {tiles - _drawn(placed)} more are empty", fontsize=9)
    return figure, panels[:shown]


def _shape(placed: Placed) -> tuple[int, int, int, int]:
    """(tiles in a row, rows of tiles, PEs in a row of a tile, rows of PEs) of a picture wider than high."""
    tiles, pes = _drawn(placed), _count(placed, "pe")
    side = ceil(sqrt(pes))
    up = ceil(pes / side)
    columns = min(tiles, max(1, ceil(sqrt(tiles * 1.6 * up / side))))
    return columns, ceil(tiles / columns), side, up


def _draw_tiles(axes: Axes, placed: Placed, chip: int, picture: NDArray[np.float64]) -> None:
    """One chip: a pixel per processing element, thin lines between them and thick ones between tiles."""
    columns, rows, side, up = _shape(placed)
    tiles, pes, first = _drawn(placed), picture.shape[1], chip * _count(placed, "tile")
    image = np.ones((rows * up, columns * side, 3))
    tile, pe = np.divmod(np.arange(tiles * pes), pes)
    flat = picture[first : first + tiles].reshape(-1, 3)
    image[tile // columns * up + pe // side, tile % columns * side + pe % side] = flat
    axes.imshow(image, interpolation="none", extent=(0, columns * side, rows * up, 0))
    thin, thick = (0.4, 2.2) if tiles <= 400 else (0.0, 0.8)
    for x in range(columns * side + 1):
        axes.axvline(x, color="white", linewidth=thick if x % side == 0 else thin)
    for y in range(rows * up + 1):
        axes.axhline(y, color="white", linewidth=thick if y % up == 0 else thin)
    axes.set(xlim=(0, columns * side), ylim=(rows * up, 0))


def _count(placed: Placed, level: str) -> int:
    return next(int(row["count"]) for row in placed["levels"] if row["level"] == level)


def _drawn(placed: Placed) -> int:
    """Tiles of a chip that are drawn: of a single chip that is mostly empty those in use."""
    tiles, used = _count(placed, "tile"), int(placed["tiles_used"])
    return max(1, used) if _count(placed, "chip") == 1 and used <= MOSTLY * tiles else tiles


def _number_layers(axes: Axes, placed: Placed, chip: int, panels: int) -> None:
    """The number of a layer in its first tile of this chip."""
    from matplotlib.patheffects import withStroke

    columns, _, side, up = _shape(placed)
    tiles = _count(placed, "tile")
    wide = 1 if panels == 1 else 2 if panels <= 4 else 3
    size = min(10.0, max(3.0, 250 / columns / wide))
    for number, row in enumerate(placed["layers"]):
        first = max(row["first_tile"], chip * tiles)
        if first < min(row["first_tile"] + row["tiles"] * row["residents"], (chip + 1) * tiles):
            at = first - chip * tiles
            axes.text(
                (at % columns + 0.5) * side, (at // columns + 0.5) * up, str(number + 1), ha="center", va="center",
                fontsize=size, fontweight="bold", path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )  # fmt: skip
