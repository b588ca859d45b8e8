"""Adaption methods side by side: what a switch takes, what a task keeps, what an inference takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xbarsim.results.figures.style import (
    MARKERS,
    PALETTE,
    WIDTH,
    drawing,
    figure_of,
    note,
    plain_axes,
    quantity,
    scaled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SWITCH = {"switch_latency_ns": "latency", "switch_energy_pj": "energy", "cells_written": "cells written"}
"""Measures of a switch, as headings."""

INFERENCE = {"energy_per_inference_pj": "energy per inference", "latency_per_inference_ns": "latency, first inference"}

KEPT = {
    "mask_bits": "masks", "norm_bits": "normalisation", "head_bits": "head", "weight_bits": "weights",
    "index_bits": "indices",
}  # fmt: skip
"""What a task keeps in memory."""


def switch_figure(rows: pd.DataFrame) -> Figure:
    """Latency, energy and cells written of a switch by method; over devices the median and the range.

    ``rows``: those of a comparison.
    """
    return _panels(rows, SWITCH, log=True)


def inference_figure(rows: pd.DataFrame) -> Figure:
    """Energy and latency of an inference by method."""
    return _panels(rows, INFERENCE, log=False)


def _panels(rows: pd.DataFrame, measures: dict[str, str], *, log: bool) -> Figure:
    order = _order(rows)
    with drawing():
        figure = figure_of(WIDTH, 1.1 + 0.29 * max(len(order), 3))
        panels = figure.subplots(1, len(measures), sharey=True)
        for axes, (key, title) in zip(panels, measures.items(), strict=True):
            spread = rows.groupby("method", sort=False)[key].agg(["min", "median", "max"]).loc[order]
            _measure(axes, spread, key, title, log=log)
        _name_rows(panels[0], order, rows)
    return figure


def _order(rows: pd.DataFrame) -> list[str]:
    """Methods by the energy of a switch, the cheapest first."""
    energies = rows.groupby("method", sort=False)["switch_energy_pj"].median()
    return [str(name) for name in energies.sort_values(kind="stable").index]


def _name_rows(axes: Axes, order: list[str], rows: pd.DataFrame) -> None:
    """Names of methods; those whose masks were not learned say so."""
    masks = rows.drop_duplicates("method").set_index("method")["masks"]
    names = [f"{name} ({masks[name]} masks)" if masks[name] in ("resampled", "synthetic") else name for name in order]
    axes.set_yticks(range(len(order)), names)
    axes.set_ylim(len(order) - 0.5, -0.5)


def _measure(axes: Axes, spread: pd.DataFrame, key: str, title: str, *, log: bool) -> None:
    """A dot per method on a line from the left, its value beside it; zero has a dot of its own on the left edge."""
    factor, unit = scaled(float(spread["max"].max()), key)
    values, places = spread * factor, np.arange(len(spread))
    positive = values["median"] > 0
    if log and positive.any():
        low = float(values["min"][values["min"] > 0].min()) / 3
        axes.set(xscale="log", xlim=(low, float(values["max"].max()) * 60))
    else:
        low = 0.0
        axes.set_xlim(0, float(values["max"].max()) * 1.35 or 1.0)
    shown = values["median"].where(positive, low)
    axes.hlines(places, low, shown, color="0.8", linewidth=1.2)
    axes.hlines(places, values["min"].where(values["min"] > 0, low), values["max"], color=PALETTE[0], linewidth=5,
                alpha=0.35)  # fmt: skip
    axes.plot(shown[positive], places[positive], "o", color=PALETTE[0], markersize=6)
    if not positive.all():
        axes.plot(shown[~positive], places[~positive], "o", markerfacecolor="white", markeredgecolor=PALETTE[0],
                  markersize=6, clip_on=False)  # fmt: skip
    for place, value, right in zip(places, spread["median"], values["max"].where(positive, low), strict=True):
        note(axes, quantity(value, key), (right, float(place)), xytext=(6, 0), textcoords="offset points", va="center",
             fontsize=8.5)  # fmt: skip
    axes.set(title=title, xlabel=unit or "number")
    plain_axes(axes, "x")


def kept_figure(rows: pd.DataFrame) -> Figure | None:
    """What a task keeps in memory, by method and kind: a marker per kind."""
    kinds = {key: name for key, name in KEPT.items() if key in rows and (rows[key] > 0).any()}
    if not kinds:
        return None
    order = _order(rows)
    table = rows.drop_duplicates("method").set_index("method").loc[order]
    with drawing():
        figure = figure_of(WIDTH, 1.2 + 0.29 * max(len(order), 3))
        axes = figure.add_subplot(xscale="log", xlabel="bits that a task keeps")
        for at, (key, name) in enumerate(kinds.items()):
            style: dict[str, Any] = {"color": PALETTE[at], "marker": MARKERS[at], "linestyle": "none", "markersize": 7}
            there = table[key] > 0
            axes.plot(table[key][there], np.arange(len(order))[there], label=name, alpha=0.9, **style)
        _name_rows(axes, order, rows)
        plain_axes(axes)
        figure.legend(loc="outside right upper", frameon=False)
    return figure
