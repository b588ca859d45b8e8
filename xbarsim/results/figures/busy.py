"""When layers work, how long their units are busy, and how well they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xbarsim.results.figures.energy import stacked_figure
from xbarsim.results.figures.style import PALETTE, UNUSED, WIDTH, drawing, figure_of, ink, plain_axes, scaled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 160
"""Instants of a picture over time."""

MOST_ROWS = 48
"""Layers of a table in shades."""

MOST_LABELS = 16
"""Steps that get a label of their own."""


def busy_time_figure(usage: pd.DataFrame) -> Figure | None:
    """Busy time of one server by layer, stacked by kind of unit; inference and switches, all repeats together."""
    each = usage.assign(busy_ns=usage["busy_ns"] * usage["repeats"] / usage["servers"])
    names = {"inference": "inference", "switch": "task switches"}
    tables = {
        title: each[each["phase"] == phase].pivot_table(
            index="layer", columns="kind", values="busy_ns", aggfunc="sum", sort=False, fill_value=0.0
        )
        for phase, title in names.items()
    }
    return stacked_figure({name: table for name, table in tables.items() if len(table)}, "busy_ns", "busy time")


def work_figure(usage: pd.DataFrame) -> Figure | None:
    """When each layer works: from its first start to its last end in every step."""
    if usage.empty:
        return None
    layers = list(dict.fromkeys(usage["layer"]))
    factor, unit = scaled(float(usage["end_ns"].max()), "time_ns")
    spans = usage.groupby(["layer", "phase", "step"], sort=False).agg({"start_ns": "min", "end_ns": "max"})
    with drawing():
        figure = figure_of(WIDTH, 1.7 + (0.22 if len(layers) <= MOST_ROWS else 0.15) * max(len(layers), 4))
        axes = figure.add_subplot(xlabel=f"time ({unit})")
        styles: dict[str, dict[str, Any]] = {
            "inference": {"facecolor": PALETTE[0]},
            "switch": {"facecolor": PALETTE[4], "hatch": "////", "edgecolor": "black", "linewidth": 0.4},
        }
        for phase, style in styles.items():
            rows = spans[spans.index.get_level_values("phase") == phase] * factor
            starts, ends = rows["start_ns"].to_numpy(), rows["end_ns"].to_numpy()
            places = [layers.index(layer) for layer in rows.index.get_level_values("layer")]
            height, shift = (0.36, 0.2) if phase == "switch" else (0.4, -0.18)
            if len(rows):
                label = "task switch" if phase == "switch" else phase
                axes.barh(np.array(places) - shift, ends - starts, left=starts, height=height, label=label, **style)
        _mark_steps(axes, usage, factor)
        axes.set_yticks(
            range(len(layers)), layers, fontsize=9 if len(layers) < 30 else 7.5 if len(layers) < 60 else 6.5
        )
        axes.set_ylim(len(layers) - 0.5, -0.5)
        axes.set_xlim(0, float(usage["end_ns"].max()) * factor)
        plain_axes(axes, "x")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _mark_steps(axes: Axes, usage: pd.DataFrame, factor: float) -> None:
    """Where steps begin, with the name of the task above."""
    steps = usage.groupby("step").agg({"start_ns": "min", "end_ns": "max", "task": "first"})
    if len(steps) > 3 * MOST_LABELS:
        return
    for at, (_, row) in enumerate(steps.iterrows()):
        if at:
            axes.axvline(row["start_ns"] * factor, color="0.5", linewidth=0.7, linestyle=":")
        if len(steps) <= MOST_LABELS and isinstance(row["task"], str):
            middle = (row["start_ns"] + row["end_ns"]) / 2 * factor
            axes.annotate(
                row["task"], (middle, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                textcoords="offset points", ha="center", va="bottom", fontsize=8,
                rotation=0 if len(steps) <= 6 else 30,
            )  # fmt: skip


def usage_figure(usage: pd.DataFrame) -> Figure | None:
    """Share of the servers of each kind of unit that is busy, over time.

    Within a step the busy time of a unit is spread evenly from its first start to its last end.
    """
    if usage.empty:
        return None
    kinds = _kinds(usage)
    shares, edges = over_time(usage, kinds)
    factor, unit = scaled(float(edges[-1]), "time_ns")
    with drawing():
        figure = figure_of(WIDTH, 1.7 + 0.32 * len(kinds))
        axes = figure.add_subplot(xlabel=f"time ({unit})")
        picture = axes.imshow(
            100 * shares, aspect="auto", interpolation="none", cmap="viridis", vmin=0,
            extent=(0.0, float(edges[-1]) * factor, len(kinds) - 0.5, -0.5),
        )  # fmt: skip
        means = 100 * shares.mean(axis=1)
        labels = [f"{kind} (mean {mean:.2g} %)" for kind, mean in zip(kinds, means, strict=True)]
        axes.set_yticks(range(len(kinds)), labels)
        axes.set_yticks(np.arange(len(kinds) - 1) + 0.5, minor=True)
        axes.grid(visible=True, which="minor", axis="y", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        _mark_steps(axes, usage, factor)
        figure.colorbar(picture, ax=axes, label="busy (% of servers)", pad=0.01)
    return figure


def _kinds(usage: pd.DataFrame) -> list[str]:
    """Kinds of units, the busiest first."""
    totals = usage.groupby("kind", sort=False)["busy_ns"].sum()
    return [str(kind) for kind in totals.sort_values(ascending=False, kind="stable").index]


def over_time(usage: pd.DataFrame, kinds: list[str], bins: int = BINS) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """(busy share by kind and bin, edges of the bins in ns); shares are of all servers of the kind in use."""
    edges = np.linspace(0.0, float(usage["end_ns"].max()), bins + 1)
    servers = usage.drop_duplicates("unit").groupby("kind")["servers"].sum()
    busy = np.zeros((len(kinds), bins))
    for kind, rows in usage.groupby("kind", sort=False):
        starts = rows["start_ns"].to_numpy(np.float64)[:, None]
        ends = rows["end_ns"].to_numpy(np.float64)[:, None]
        overlap = np.clip(np.minimum(edges[1:], ends) - np.maximum(edges[:-1], starts), 0, None)
        parts = overlap / np.maximum(ends - starts, 1e-12) * rows["busy_ns"].to_numpy(np.float64)[:, None]
        busy[kinds.index(str(kind))] = parts.sum(axis=0) / (float(servers[kind]) * (edges[1] - edges[0]))
    return busy, edges


def share_figure(usage: pd.DataFrame) -> Figure | None:
    """Busy share by layer and kind of unit over the whole scenario, as a table in shades."""
    if usage.empty:
        return None
    table = shares(usage)
    kept = table.max(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_ROWS]
    left_out = len(table) - len(kept)
    table = table.loc[[name for name in table.index if name in set(kept)]].dropna(axis=1, how="all")
    with drawing():
        figure = figure_of(min(WIDTH, 3.4 + 0.75 * table.shape[1]), 1.2 + 0.27 * len(table))
        axes = figure.add_subplot()
        values = 100 * table.to_numpy()
        picture = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0, interpolation="none")
        axes.set_facecolor(UNUSED)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                color = ink(picture.cmap(picture.norm(value)))
                axes.text(column, row, _percent(value), ha="center", va="center", fontsize=8, color=color)
        axes.set_yticks(range(len(table)), [str(name) for name in table.index], fontsize=9 if len(table) < 30 else 7.5)
        axes.set_xticks(range(table.shape[1]), [str(name) for name in table.columns], rotation=30, ha="left")
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if left_out:
            axes.set_xlabel(f"the {len(table)} busiest of {len(table) + left_out} layers")
        figure.colorbar(picture, ax=axes, label="busy (% of the time)", pad=0.02)
    return figure


def shares(usage: pd.DataFrame) -> pd.DataFrame:
    """Busy share of servers by layer (rows) and kind of unit (columns), over the whole scenario."""
    total = _whole_time(usage)
    each = usage.assign(share=usage["busy_ns"] * usage["repeats"] / (usage["servers"] * total))
    table = each.pivot_table(index="layer", columns="kind", values="share", aggfunc="sum", sort=False)
    order = table.sum().sort_values(ascending=False, kind="stable").index
    return table.loc[list(dict.fromkeys(usage["layer"])), order]


def _whole_time(usage: pd.DataFrame) -> float:
    """Duration of the scenario in ns, folded repeats included."""
    steps = usage.groupby("step").agg({"start_ns": "min", "end_ns": "max", "repeats": "max"})
    extra = ((steps["repeats"] - 1) * (steps["end_ns"] - steps["start_ns"])).sum()
    return float(usage["end_ns"].max() + extra) or 1.0


def _percent(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.095 else "<0.1" if value else "0"
