"""Pareto fronts: the points that none is better than in every objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xbarsim.results.figures.style import MARKERS, PALETTE, WIDTH, drawing, figure_of, note, plain_axes, scaled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LABELS = 14
"""Points of a front that are numbered in the picture."""

WIDE_SPREAD = 30
"""Ratio from which an axis is logarithmic."""

PAIRS = (
    ("latency_per_inference_ns", "energy_per_inference_pj", "inference"),
    ("switch_latency_ns", "switch_energy_pj", "task switch"),
)
"""Objectives of a sweep, both to be small: (x, y, of what)."""


def on_front(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of ``values`` (points, objectives; the smaller the better) no other row dominates; equals stay."""
    found = np.ones(len(values), bool)
    for at, row in enumerate(values):
        no_worse, better = (values <= row).all(axis=1), (values < row).any(axis=1)
        found[at] = not (no_worse & better).any()
    return found


def front(frame: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """The points on the front, by the first objective; points without a value of one are left out."""
    complete = frame.dropna(subset=list(objectives))
    best = complete[on_front(complete[list(objectives)].to_numpy(np.float64))]
    return best.sort_values(list(objectives), kind="stable")


def pareto_figure(frame: pd.DataFrame, pairs: Sequence[tuple[str, str, str]] = PAIRS) -> Figure | None:
    """All points by two objectives each, both small where good; the front as a line through rings, numbered."""
    shown = [pair for pair in pairs if {pair[0], pair[1]} <= set(frame) and len(frame.dropna(subset=pair[:2])) > 1]
    if not shown:
        return None
    with drawing():
        figure = figure_of(WIDTH if len(shown) > 1 else 0.75 * WIDTH, 4.3)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, (x, y, title) in zip(panels, shown, strict=True):
            rows = frame.dropna(subset=[x, y])
            best = front(rows, [x, y]).drop_duplicates([x, y])
            _panel(axes, rows, best, x, y, stairs=True)
            axes.set_title(title)
        _legend(figure, panels)
    return figure


def trials_figure(frame: pd.DataFrame, objectives: Sequence[str], largest: Sequence[str] = ()) -> Figure | None:
    """Trials by the first objective and each of the others; rings mark those of ``front``, hollow points break a bound.

    ``frame``: rows of the objectives, ``method``, ``feasible``, ``front``; ``largest``: objectives to be large.
    """
    first, *others = objectives
    pairs = [(first, other) for other in others] or [("trial", first)]
    rows = frame.dropna(subset=list(objectives))
    if rows.empty:
        return None
    with drawing():
        wide = min(len(pairs), 2)
        high = -(-len(pairs) // 2)
        figure = figure_of(WIDTH if wide > 1 else 0.75 * WIDTH, 3.9 * high + 0.4)
        panels = figure.subplots(high, wide, squeeze=False).ravel()
        best = rows[rows["front"].astype(bool)].sort_values(first, kind="stable")
        for axes, (x, y) in zip(panels, pairs, strict=False):
            _panel(axes, rows, best, x, y, stairs=len(objectives) == 2 and not largest)
            for name, label in ((x, axes.xaxis), (y, axes.yaxis)):
                if name in largest:
                    label.set_label_text(f"{label.get_label_text()}, to be large")
        for axes in panels[len(pairs) :]:
            axes.set_visible(False)
        _legend(figure, panels)
    return figure


def _legend(figure: Figure, panels: NDArray[Any]) -> None:
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)), frameon=False)


def _panel(axes: Axes, frame: pd.DataFrame, best: pd.DataFrame, x: str, y: str, *, stairs: bool) -> None:
    (across, x_unit), (up, y_unit) = scaled(float(frame[x].max()), x), scaled(float(frame[y].max()), y)
    if stairs:
        axes.step(best[x] * across, best[y] * up, where="post", color="black", linewidth=1.2, zorder=1)
    axes.plot(best[x] * across, best[y] * up, "o", markersize=12, markerfacecolor="none", markeredgecolor="black",
              zorder=3, label="Pareto front")  # fmt: skip
    good = frame["feasible"].astype(bool) if "feasible" in frame else pd.Series(True, frame.index)
    for at, (name, rows) in enumerate(frame.groupby("method", sort=False)):
        color, marker = PALETTE[at % len(PALETTE)], MARKERS[at % len(MARKERS)]
        kept = good.loc[rows.index]
        for part, label, face in ((rows[kept], str(name), color), (rows[~kept], f"{name}, breaks a bound", "white")):
            if len(part):
                axes.plot(part[x] * across, part[y] * up, marker, markersize=5.5, alpha=0.8, label=label, zorder=2,
                          markerfacecolor=face, markeredgecolor=color, markeredgewidth=0.8)  # fmt: skip
    if len(best) <= MOST_LABELS:
        for number, (_, row) in enumerate(best.iterrows(), start=1):
            note(axes, str(number), (row[x] * across, row[y] * up), xytext=(7, 6), textcoords="offset points",
                 fontsize=9, fontweight="bold")  # fmt: skip
    for scale, column, set_scale in ((across, x, axes.set_xscale), (up, y, axes.set_yscale)):
        values = frame[column] * scale
        if values.min() > 0 and values.max() / values.min() > WIDE_SPREAD and column != "trial":
            set_scale("log")
    axes.set(xlabel=_labelled(x, x_unit), ylabel=_labelled(y, y_unit))
    axes.margins(0.12)
    plain_axes(axes)


def _labelled(key: str, unit: str) -> str:
    """A column's name with its unit."""
    name = key.rpartition("_")[0].replace("_", " ") if unit else key.replace("_", " ")
    return f"{name} ({unit})" if unit else name
