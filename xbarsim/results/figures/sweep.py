"""Sweeps: lines over one axis, heat maps over two, main effects over more; and what makes a point's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xbarsim.results.figures.style import (
    UNUSED,
    WIDTH,
    dashed_looks,
    drawing,
    figure_of,
    ink,
    plain_axes,
    quantity,
    scaled,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {
    "energy_per_inference_pj": "energy per inference",
    "latency_per_inference_ns": "latency per inference",
    "switch_energy_pj": "energy per task switch",
    "switch_latency_ns": "latency per task switch",
}
"""Measures that are drawn, as headings."""

MOST_PANELS = 24
"""Heat maps of one figure; more points have no picture but their table."""

PANELS_WIDE = 4
MOST_BANDS = 3
"""Methods that have a band each in one panel."""

LABELS = {"r": "resampled masks (synthetic)", "s": "synthetic masks", "p": "phased reads", "m": "more crossbar cells"}
"""Letters in cells of a heat map: what is not as learned."""

HOLLOW, FAILED = "hollow: masks not learned (resampled or synthetic)", "a method failed here"
"""Entries of a legend."""

WIDE_SPREAD = 30
"""Ratio of largest to smallest value from which colours and axes are logarithmic."""


def axes_of(frame: pd.DataFrame) -> list[str]:
    """Columns that the points differ in: those before the method, of more than one value."""
    before = list(frame.columns[: list(frame.columns).index("method")])
    return [name for name in before if frame[name].nunique(dropna=False) > 1]


def values_of(frame: pd.DataFrame, axis: str) -> list[Any]:
    """Values of an axis in order: numbers by size, words as they come."""
    values = list(dict.fromkeys(frame[axis]))
    return sorted(values) if pd.api.types.is_numeric_dtype(frame[axis]) else values


def label_of(row: Mapping[str, Any]) -> str:
    """Letters for what is not as learned at a point, see :data:`LABELS`."""
    masks = {"resampled": "r", "synthetic": "s"}.get(str(row.get("masks")), "")
    more = _number(row.get("extra_cells")) > 0
    return masks + ("p" if _number(row.get("read_phases")) > 1 else "") + ("m" if more else "")


def _number(value: Any) -> float:
    return 0.0 if value is None or pd.isna(value) else float(value)


def done(frame: pd.DataFrame) -> pd.DataFrame:
    """The points that did not fail."""
    return frame[frame["error"].isna()] if "error" in frame else frame


def metrics_of(frame: pd.DataFrame) -> dict[str, str]:
    """Measures that the points have."""
    return {key: name for key, name in METRICS.items() if key in frame and frame[key].notna().any()}


# ---- one axis ------------------------------------------------------------------------------------


def line_figure(frame: pd.DataFrame, axis: str) -> Figure | None:
    """Every measure over one axis, a line per method; points with other masks are hollow, failed ones crosses."""
    metrics = metrics_of(frame)
    if not metrics:
        return None
    methods = list(dict.fromkeys(frame["method"]))
    styles = dict(zip(methods, dashed_looks(), strict=False))
    with drawing():
        figure = figure_of(WIDTH, 3.1 * ceil(len(metrics) / 2) + 0.4)
        panels = figure.subplots(ceil(len(metrics) / 2), 2, squeeze=False).ravel()
        for axes, (key, name) in zip(panels, metrics.items(), strict=False):
            _lines(axes, frame, axis, key, name, styles)
        for axes in panels[len(metrics) :]:
            axes.set_visible(False)
        entries = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
        names = sorted(entries, key=lambda name: (name in (HOLLOW, FAILED), name == HOLLOW))
        figure.legend([entries[name] for name in names], names, loc="outside lower center", ncols=min(6, len(names)),
                      frameon=False)  # fmt: skip
    return figure


def _lines(
    axes: Axes, frame: pd.DataFrame, axis: str, key: str, name: str, styles: Mapping[str, dict[str, Any]]
) -> None:
    values = values_of(frame, axis)
    numeric = pd.api.types.is_numeric_dtype(frame[axis])
    place = (lambda value: value) if numeric else values.index
    factor, unit = scaled(float(frame[key].max()), key)
    for method, style in styles.items():
        rows = done(frame[frame["method"] == method]).sort_values(axis, kind="stable") if numeric else done(
            frame[frame["method"] == method]
        )  # fmt: skip
        x, y = [place(value) for value in rows[axis]], rows[key] * factor
        axes.plot(x, y, linewidth=1.4, markersize=5, label=method, **style)
        hollow = np.array([bool(set("rs") & set(label_of(row))) for row in rows.to_dict("records")], bool)
        if hollow.any():
            axes.plot(np.array(x)[hollow], y[hollow], style["marker"], markerfacecolor="white", markersize=5,
                      markeredgecolor=style["color"], label=HOLLOW)  # fmt: skip
    _crosses(axes, frame, axis, place)
    axes.set(xlabel=axis, ylabel=f"{name} ({unit})")
    positive = frame[key][frame[key] > 0]
    if len(positive) and frame[key].min() > 0 and positive.max() / positive.min() > WIDE_SPREAD:
        axes.set_yscale("log")
    if not numeric:
        axes.set_xticks(range(len(values)), [str(value) for value in values])
    elif len(values) <= 12:
        axes.set_xticks(values, [short(value) for value in values])
    plain_axes(axes)


def _crosses(axes: Axes, frame: pd.DataFrame, axis: str, place: Any) -> None:
    """A cross at the foot for every value at which a method failed."""
    failed = [place(value) for value in dict.fromkeys(frame[axis][frame["error"].notna()])] if "error" in frame else []
    if failed:
        axes.plot(failed, [0.02] * len(failed), "x", color="black", transform=axes.get_xaxis_transform(), markersize=7,
                  markeredgewidth=1.6, clip_on=False, label=FAILED)  # fmt: skip


# ---- two axes ------------------------------------------------------------------------------------


def heat_figure(frame: pd.DataFrame, axes_names: Sequence[str], key: str) -> Figure | None:
    """Heat maps of a measure over the two longest axes, a panel per method and per value of the others.

    Cells carry their value and letters for masks that are not as learned; failed points are crossed out.
    Nothing where panels would be too many or the points do not fill a grid.
    """
    ranked = sorted(axes_names, key=lambda name: -frame[name].nunique())
    x, y = (name for name in axes_names if name in ranked[:2])
    others = [name for name in axes_names if name not in (x, y)]
    panels = list(_facets(frame, others))
    if len(panels) > MOST_PANELS or not _fills(frame, [x, y, *others]) or frame[key].notna().sum() == 0:
        return None
    columns, rows = values_of(frame, x), values_of(frame, y)
    wide = min(PANELS_WIDE, len(panels))
    high = ceil(len(panels) / wide)
    with drawing():
        figure = figure_of(WIDTH, 0.9 + high * (0.8 + 0.42 * len(rows)) if len(rows) < 9 else 0.9 + high * 3.6)
        grid = figure.subplots(high, wide, squeeze=False, sharex=True, sharey=True)
        factor, unit = scaled(float(frame[key].max()), key)
        norm = _norm(frame[key] * factor)
        letters: set[str] = set()
        failed = False
        small = len(columns) * wide > 22 or len(rows) > 14
        for at, (title, part) in enumerate(panels):
            table, notes = _table(part, x, y, key, columns, rows)
            picture = _heat(grid.flat[at], table, notes, norm, (key, factor, 0 if small else 9.5 - wide / 2))
            letters |= {letter for note in notes.values() if note != "failed" for letter in note}
            failed |= "failed" in notes.values()
            grid.flat[at].set_title(title, fontsize=9)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        _ticks(grid, columns, rows, len(panels))
        figure.supxlabel("\n".join([x, *_legend(letters, failed)]), fontsize=9.5)
        figure.supylabel(y, fontsize=10)
        figure.colorbar(picture, ax=grid, label=f"{METRICS.get(key, key)} ({unit})", pad=0.01)
    return figure


def _facets(frame: pd.DataFrame, others: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """(title, points) of every method and every combination of the other axes."""
    keys = ["method", *others]
    found = []
    for values in product(*(values_of(frame, key) for key in keys)):
        part = frame
        for key, value in zip(keys, values, strict=True):
            part = part[part[key] == value]
        title = ", ".join([str(values[0]), *(f"{k}={v}" for k, v in zip(others, values[1:], strict=True))])
        found.append((title, part))
    return found


def _fills(frame: pd.DataFrame, names: Sequence[str]) -> bool:
    """Whether most combinations of values are there: a grid and not a sample."""
    whole = np.prod([frame[name].nunique(dropna=False) for name in names])
    return bool(len(frame.drop_duplicates(list(names))) * 2 >= whole)


def _norm(values: pd.Series) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > WIDE_SPREAD:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1)


def _table(
    part: pd.DataFrame, x: str, y: str, key: str, columns: Sequence[Any], rows: Sequence[Any]
) -> tuple[Any, dict[tuple[int, int], str]]:
    """(values by row and column, letters or ``failed`` by place)."""
    table = np.full((len(rows), len(columns)), np.nan)
    notes = {}
    for row in part.to_dict("records"):
        place = rows.index(row[y]), columns.index(row[x])
        table[place] = row[key]
        notes[place] = "failed" if isinstance(row.get("error"), str) else label_of(row)
    return table, notes


def _legend(letters: set[str], failed: bool) -> list[str]:
    """What letters and crosses of a heat map mean, if there are any."""
    words = [f"{letter}: {LABELS[letter]}" for letter in LABELS if letter in letters]
    words += ["crossed out: failed"] if failed else []
    return ["; ".join(words)] if words else []


def _heat(
    axes: Axes, table: Any, notes: Mapping[tuple[int, int], str], norm: Any, text: tuple[str, float, float]
) -> Any:
    """One heat map; ``text``: key of the values, factor to the unit of the colour bar, size of numbers in cells."""
    from matplotlib.patches import Rectangle

    key, factor, size = text
    wide_spread = type(norm).__name__ == "LogNorm"
    picture = axes.imshow(
        table * factor, aspect="auto", origin="lower", cmap="viridis", norm=norm, interpolation="none"
    )
    axes.set_facecolor(UNUSED)
    axes.tick_params(length=2)
    for (row, column), note in notes.items():
        value = table[row, column]
        if note == "failed" or np.isnan(value):
            box: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.35", "hatch": "xxxx", "linewidth": 0.0}
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **box))
        elif size:
            color = ink(picture.cmap(norm(value * factor)))
            words = (quantity(value, key) if wide_spread else short(value * factor)) + (f"\n{note}" if note else "")
            axes.text(column, row, words, ha="center", va="center", fontsize=size, color=color, linespacing=0.95)
        elif note:
            axes.text(
                column, row, note, ha="center", va="center", fontsize=6, color=ink(picture.cmap(norm(value * factor)))
            )
    return picture


def _ticks(grid: Any, columns: Sequence[Any], rows: Sequence[Any], panels: int) -> None:
    """Values at the axes; a panel above an empty place has its own."""
    wide = grid.shape[1]
    for at, axes in enumerate(list(grid.flat)[:panels]):
        axes.set_xticks(range(len(columns)), [_word(value) for value in columns], fontsize=8)
        axes.set_yticks(range(len(rows)), [_word(value) for value in rows], fontsize=8)
        if sum(len(_word(value)) for value in columns) * wide > 90:
            axes.tick_params(axis="x", rotation=60)
        axes.tick_params(labelbottom=at + wide >= panels, labelleft=at % wide == 0)


def _word(value: Any) -> str:
    return short(float(value)) if isinstance(value, int | float | np.number) else str(value)


# ---- more axes -----------------------------------------------------------------------------------


def effects_figure(frame: pd.DataFrame, axes_names: Sequence[str]) -> Figure | None:
    """Every measure over every axis: the median over all other axes, with the range for few methods."""
    metrics = metrics_of(frame)
    shown = [name for name in axes_names if frame[name].nunique() <= 40][:5]
    if not metrics or not shown:
        return None
    methods = list(dict.fromkeys(frame["method"]))
    styles = dict(zip(methods, dashed_looks(), strict=False))
    with drawing():
        figure = figure_of(WIDTH, 1.9 * len(metrics) + 0.5)
        grid = figure.subplots(len(metrics), len(shown), squeeze=False, sharex="col", sharey="row")
        for line, (key, name) in zip(grid, metrics.items(), strict=True):
            factor, unit = scaled(float(frame[key].max()), key)
            for axes, axis in zip(line, shown, strict=True):
                _effect(axes, done(frame), axis, key, factor, styles)
            line[0].set_ylabel(f"{name.replace(' per ', chr(10) + 'per ')} ({unit})", fontsize=9)
        for axes, axis in zip(grid[-1], shown, strict=True):
            axes.set_xlabel(axis, fontsize=9)
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(7, len(names)), frameon=False)
    return figure


def _effect(
    axes: Axes, frame: pd.DataFrame, axis: str, key: str, factor: float, styles: Mapping[str, dict[str, Any]]
) -> None:
    values = values_of(frame, axis)
    numeric = pd.api.types.is_numeric_dtype(frame[axis])
    for method, style in styles.items():
        spread = frame[frame["method"] == method].groupby(axis)[key].agg(["min", "median", "max"]) * factor
        x = list(spread.index) if numeric else [values.index(value) for value in spread.index]
        axes.plot(x, spread["median"], label=method, linewidth=1.2, markersize=4, **style)
        if len(styles) <= MOST_BANDS:
            axes.fill_between(x, spread["min"], spread["max"], color=style["color"], alpha=0.12, linewidth=0)
    positive = frame[key][frame[key] > 0]
    if len(positive) and frame[key].min() > 0 and positive.max() / positive.min() > WIDE_SPREAD:
        axes.set_yscale("log")
    if not numeric:
        axes.set_xticks(range(len(values)), [str(value) for value in values], rotation=30, fontsize=8)
    plain_axes(axes)
