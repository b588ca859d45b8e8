"""Where the energy goes: by component, and by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from xbarsim.results.figures.style import WIDTH, drawing, figure_of, fills, note, plain_axes, scaled, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = 0.01
"""Share of a phase below which components are drawn together."""

MOST_LAYERS = 48
"""Bars of one panel; the smallest layers beyond that are drawn together."""

MOST_PARTS = 6
"""Components that are told apart within a bar."""

PHASES = {"inference": "inference", "switch": "task switches", "install": "installation"}
"""Phases of a ledger, as headings."""


def component_figure(ledger: pd.DataFrame, phases: Sequence[str] = ("inference", "switch")) -> Figure | None:
    """A bar per component and phase, stacked by action, the largest on top, small ones together.

    ``ledger``: rows of ``phase``, ``component``, ``action``, ``energy_pj``.
    """
    tables = {phase: _by_component(ledger[ledger["phase"] == phase]) for phase in phases}
    tables = {phase: table for phase, table in tables.items() if len(table)}
    if not tables:
        return None
    with drawing():
        most = max(len(table) for table in tables.values())
        figure = figure_of(WIDTH, 1.0 + 0.3 * max(most, 3))
        panels = figure.subplots(1, len(tables), squeeze=False)[0]
        for axes, (phase, table) in zip(panels, tables.items(), strict=True):
            _component_panel(axes, table, PHASES[phase])
    return figure


def _by_component(rows: pd.DataFrame) -> pd.DataFrame:
    """Energy by component (rows, the largest first) and rank of its actions (columns)."""
    rows = rows[rows["energy_pj"] > 0]
    sums = rows.groupby(["component", "action"], sort=False)["energy_pj"].sum().reset_index()
    total = sums["energy_pj"].sum()
    sizes = sums.groupby("component")["energy_pj"].sum().sort_values(ascending=False, kind="stable")
    small = sizes[sizes < SMALL * total]
    if len(small) > 1:
        name = f"{len(small)} others"
        sums.loc[sums["component"].isin(small.index), ["component", "action"]] = [name, "all"]
        sizes = pd.concat([sizes.drop(small.index), pd.Series({name: small.sum()})])
    table = sums.pivot_table(index="component", columns="action", values="energy_pj", aggfunc="sum", sort=False)
    return table.loc[sizes.index] if len(sizes) else table


def _component_panel(axes: Axes, table: pd.DataFrame, title: str) -> None:
    """Bars of one phase; parts of a bar are its actions, from the largest."""
    totals = table.sum(axis=1)
    factor, unit = scaled(float(totals.max()), "energy_pj")
    look = next(fills())
    for at, (_, parts) in enumerate(table.iterrows()):
        left = 0.0
        for rank, (action, value) in enumerate(parts.dropna().sort_values(ascending=False, kind="stable").items()):
            shade = {**look, "alpha": 1.0 if rank == 0 else 0.6, "hatch": "" if rank == 0 else "////"}
            axes.barh(at, value * factor, left=left, height=0.72, linewidth=0.8, **shade)
            if len(parts.dropna()) > 1 and value > 0.22 * totals.max():
                _inside(axes, left + value * factor / 2, at, str(action), boxed=rank > 0)
            left += value * factor
        share = 100 * totals.iloc[at] / totals.sum()
        note(axes, f" {short(left)} {unit}, {share:.2g} %", (left, at), va="center", fontsize=8.5)
    axes.set(title=f"{title}: {short(totals.sum() * factor)} {unit}", xlabel=f"energy ({unit})")
    axes.set_yticks(range(len(table)), [str(name) for name in table.index])
    axes.set_xlim(0, totals.max() * factor * 1.42)
    axes.invert_yaxis()
    plain_axes(axes, "x")


def _inside(axes: Axes, x: float, y: float, text: str, *, boxed: bool) -> None:
    box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "linewidth": 0, "alpha": 0.9} if boxed else None
    axes.annotate(text, (x, y), ha="center", va="center", fontsize=8, color="black" if boxed else "white", bbox=box)


def layer_figure(ledger: pd.DataFrame, phases: Sequence[str] = ("inference", "switch")) -> Figure | None:
    """A bar per layer and phase in the order of the network, stacked by component."""
    layered = ledger[(ledger["layer"].fillna("") != "") & (ledger["energy_pj"] > 0)]
    tables = {phase: _stack(layered[layered["phase"] == phase], "component") for phase in phases}
    return stacked_figure(
        {PHASES[phase]: table for phase, table in tables.items() if len(table)}, "energy_pj", "energy"
    )


def _stack(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    table = rows.pivot_table(index="layer", columns=by, values="energy_pj", aggfunc="sum", sort=False, fill_value=0.0)
    return table.loc[list(dict.fromkeys(rows["layer"]))] if len(table) else table


def stacked_figure(tables: Mapping[str, pd.DataFrame], key: str, label: str) -> Figure | None:
    """Panels of bars (rows of a table) stacked by its columns; small columns and rows are drawn together.

    ``key`` ends in the unit of the values.
    """
    tables = _same_rows({name: table for name, table in tables.items() if len(table)})
    if not tables:
        return None
    parts = _parts(list(tables.values()))
    styles = dict(zip(parts, fills(), strict=False))
    with drawing():
        most = max(len(table) for table in tables.values())
        figure = figure_of(WIDTH, 1.5 + 0.25 * max(most, 4))
        panels = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
        for axes, (name, table) in zip(panels, tables.items(), strict=True):
            _stacked_panel(axes, _few_columns(table, parts), key, label, name, styles)
        panels[0].set_ylim(most - 0.4, -0.6)
        handles = {text: bar for axes in panels for bar, text in zip(*axes.get_legend_handles_labels(), strict=True)}
        shown = [name for name in styles if name in handles]
        figure.legend(
            [handles[name] for name in shown], shown, loc="outside lower center", ncols=min(7, len(shown)),
            frameon=False,
        )  # fmt: skip
    return figure


def _same_rows(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows of all tables in the order of the longest one, the smallest ones of very many as one."""
    longest = max(tables.values(), key=len, default=pd.DataFrame())
    names = list(dict.fromkeys([*longest.index, *(name for table in tables.values() for name in table.index)]))
    same = {title: table.reindex(names, fill_value=0.0) for title, table in tables.items()}
    if len(names) <= MOST_LAYERS:
        return same
    sizes = sum((table.sum(axis=1) / table.to_numpy().sum() for table in same.values()), start=pd.Series(0.0, names))
    kept = set(sizes.sort_values(ascending=False, kind="stable").index[: MOST_LAYERS - 1])
    rest = [name for name in names if name not in kept]
    first = [name for name in names if name in kept]
    return {
        title: pd.concat([table.loc[first], table.loc[rest].sum().to_frame(f"{len(rest)} others").T])
        for title, table in same.items()
    }


def _parts(tables: Sequence[pd.DataFrame]) -> list[str]:
    """Names of the columns that are told apart: those with the largest share of some panel."""
    shares: dict[str, float] = {}
    for table in tables:
        total = float(table.to_numpy().sum()) or 1.0
        for name, value in table.sum().items():
            shares[str(name)] = max(shares.get(str(name), 0.0), float(value) / total)
    order = sorted(shares, key=lambda name: -shares[name])
    kept = [name for name in order[:MOST_PARTS] if shares[name] >= SMALL]
    return [*kept, "others"] if len(order) > len(kept) else kept


def _few_columns(table: pd.DataFrame, parts: Sequence[str]) -> pd.DataFrame:
    there = [name for name in parts if name in table]
    rest = table.drop(columns=there)
    return table[there] if rest.empty else table[there].assign(others=rest.sum(axis=1))


def _stacked_panel(
    axes: Axes, table: pd.DataFrame, key: str, label: str, title: str, styles: Mapping[str, dict[str, Any]]
) -> None:
    totals = table.sum(axis=1)
    factor, unit = scaled(float(totals.max()), key)
    left = totals * 0.0
    for name in table:
        axes.barh(
            range(len(table)), table[name] * factor, left=left, height=0.74, linewidth=0.5, label=name, **styles[name]
        )
        left = left + table[name] * factor
    for at, total in enumerate(totals * factor):
        if total:
            note(axes, f" {short(total)}", (total, at), va="center", fontsize=8)
    axes.set(title=title, xlabel=f"{label} ({unit})")
    axes.set_yticks(range(len(table)), [_shortened(str(name)) for name in table.index])
    axes.tick_params(axis="y", labelsize=9 if len(table) < 30 else 7.5)
    axes.set_xlim(0, float(totals.max()) * factor * 1.15 or 1.0)
    plain_axes(axes, "x")


def _shortened(name: str, most: int = 26) -> str:
    """A name that leaves room for the bars: its end tells layers apart."""
    return name if len(name) <= most else f"…{name[1 - most :]}"
