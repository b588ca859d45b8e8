"""Break-even curves: energy per inference with its share of a switch, against inferences per switch."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log10
from typing import TYPE_CHECKING, Any

import pandas as pd

from xbarsim.results.figures.style import looks, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BANDS = 4
"""Bands that stay readable in one panel; more methods over several devices get a panel each."""

PANELS_WIDE = 4
PJ_PER_UJ = 1e6
X_LABEL = "inferences per task switch"
Y_LABEL = "energy per inference,\nits share of the switch included (µJ)"


def break_even_figure(curves: pd.DataFrame, title: str) -> Figure:
    """Energy per inference with its share of a switch, against inferences per switch, one line per method.

    ``curves``: rows of (``device``,) ``method``, ``inferences_per_switch``, ``energy_per_inference_pj``.
    Over several devices the line is the median and the band reaches from the smallest to the largest.
    """
    methods = {str(name): _range(rows) for name, rows in curves.groupby("method", sort=False)}
    devices = int(curves["device"].nunique()) if "device" in curves else 1
    styles = dict(zip(methods, looks(), strict=False))
    if devices > 1 and len(methods) > MOST_BANDS:
        return _panels(methods, styles, f"{title}: median of {devices} devices, from the smallest to the largest")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.add_subplot(xlabel=X_LABEL, ylabel=Y_LABEL, title=title)
    for method, values in methods.items():
        _line(axes, values, styles[method], method)
        if devices > 1:
            _band(axes, values, styles[method])
    _dress(axes)
    figure.legend(loc="outside right upper", frameon=False)
    if devices > 1:
        note = f"line: median of {devices} devices; band: smallest to largest"
        axes.annotate(note, (1, 1), xycoords="axes fraction", ha="right", va="top", fontsize="small", color="0.35")
    return figure


def _panels(methods: Mapping[str, pd.DataFrame], styles: Mapping[str, dict[str, Any]], title: str) -> Figure:
    """A panel per method: its line and band, the lines of the others behind it in grey."""
    from matplotlib.figure import Figure

    high = ceil(len(methods) / PANELS_WIDE)
    figure = Figure(figsize=(2.4 * PANELS_WIDE, 1.1 + 1.9 * high), layout="constrained")
    grid = figure.subplots(high, PANELS_WIDE, sharex=True, sharey=True, squeeze=False)
    for axes, method in zip(grid.flat, methods, strict=False):
        for other in methods.values():
            axes.plot(other.index, other["median"], color="0.85", linewidth=0.8)
        _band(axes, methods[method], styles[method], alpha=0.25)
        axes.plot(methods[method].index, methods[method]["median"], color=styles[method]["color"], label=method)
        axes.set_title(method, fontsize="medium")
        _dress(axes)
    for at, axes in enumerate(grid.flat):
        axes.set_visible(at < len(methods))
        axes.tick_params(labelbottom=at + PANELS_WIDE >= len(methods))
    figure.suptitle(title)
    figure.supxlabel(X_LABEL, fontsize="medium")
    figure.supylabel(Y_LABEL.replace("\n", " "), fontsize="medium")
    return figure


def _range(rows: pd.DataFrame) -> pd.DataFrame:
    """Smallest, median and largest over devices in microjoules, by inferences per switch."""
    values = rows.groupby("inferences_per_switch")["energy_per_inference_pj"].agg(["min", "median", "max"])
    return values / PJ_PER_UJ


def _line(axes: Axes, values: pd.DataFrame, look: dict[str, Any], label: str) -> None:
    axes.plot(values.index, values["median"], label=label, linewidth=1.6, markersize=4, **look)


def _band(axes: Axes, values: pd.DataFrame, look: dict[str, Any], alpha: float = 0.12) -> None:
    axes.fill_between(values.index, values["min"], values["max"], color=look["color"], alpha=alpha, linewidth=0)


def _dress(axes: Axes) -> None:
    """Logarithmic axes with plain numbers where they span little."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(xscale="log", yscale="log")
    low, high = axes.get_ylim()
    if log10(high / low) < 2:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    plain_axes(axes)
