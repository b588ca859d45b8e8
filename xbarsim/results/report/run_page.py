"""The page of one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from xbarsim.results.figures.busy import busy_time_figure, share_figure, usage_figure, work_figure
from xbarsim.results.figures.energy import component_figure, layer_figure
from xbarsim.results.figures.style import quantity
from xbarsim.results.report.folder import OLDER, RunFolder
from xbarsim.results.report.page import Lines, Page, Section, items, number, plate, table
from xbarsim.results.report.parts import assumptions, mask_warnings, provenance, wear_items, what_was_run

TASKS = {
    "task": "task", "inferences": "inferences", "repeats": "repeats", "first_latency_ns": "latency of the first",
    "interval_ns": "interval of the next", "energy_per_inference_pj": "energy per inference",
    "first_response_ns": "response to the first", "last_response_ns": "response to the last",
}  # fmt: skip
SWITCHES = {
    "from": "from", "to": "to", "times": "times", "latency_ns": "latency", "gap_ns": "gap between outputs",
    "energy_pj": "energy", "cells_written": "cells written", "failed_cells": "failed cells", "pulses": "pulses",
    "mask_bits": "masks", "norm_bits": "normalisation", "head_bits": "head", "weight_bits": "weights",
    "index_bits": "indices",
}  # fmt: skip
LAYERS = {
    "layer": "layer", "op": "operation", "windows": "windows", "crossbars": "crossbars", "copies": "copies",
    "inference_energy_pj": "inference energy", "switch_energy_pj": "switch energy",
}  # fmt: skip
"""Headings of the tables of inferences, switches and layers."""


def run_page(folder: RunFolder) -> Page:
    """Everything about one run."""
    summary = folder.summary
    sections = (
        what_was_run(folder),
        _energy(folder),
        _time(folder),
        _use(folder),
        Section("wear", "Wear and lifetime", wear_items(folder)),
        assumptions(summary["assumptions"], folder.facts),
        provenance(folder.provenance),
    )
    return Page(
        title=f"{summary['bundle']} on {summary['chip']} with {summary['method']}",
        about=f"One run of the scenario {_cut(str(folder.provenance.get('scenario')))}; {summary['firings']:,} "
        f"firings, {summary['engine']} engine, seed {summary['seed']}, rows driven: {summary['activity']}.",
        headline=headline(summary),
        warnings=tuple(mask_warnings(summary["synthetic"], [summary["mask_fit"]["masks"]])),
        sections=sections,
    )


def _cut(text: str, most: int = 160) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def headline(summary: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Totals, means and the worst cell."""
    inferences = sum(row["inferences"] * row.get("repeats", 1) for row in summary["tasks"])
    times = sum(row.get("times", 1) for row in summary["switches"])
    rows = [
        ("latency of all", quantity(summary["latency_ns"], "latency_ns")),
        ("energy, installation apart", quantity(summary["energy_pj"], "energy_pj")),
        ("inferences", f"{inferences:,}"),
        ("task switches", f"{times:,}"),
    ]
    if times:
        means = {key: sum(row[key] * row.get("times", 1) for row in summary["switches"]) / times for key in
                 ("latency_ns", "energy_pj", "cells_written")}  # fmt: skip
        rows += [
            ("mean switch latency", quantity(means["latency_ns"], "latency_ns")),
            ("mean switch energy", quantity(means["energy_pj"], "energy_pj")),
            ("cells written per switch", number(round(means["cells_written"]))),
        ]
    rows += [("masks", str(summary["mask_fit"]["masks"])), ("mask fit", _fit(summary["mask_fit"]))]
    return (*rows, ("writes of the worst cell", f"{summary['wear']['writes_max']:,}"))


def _fit(fit: Mapping[str, Any]) -> str:
    return (
        f"{fit['policy']}, fits" if fit["fits"] else f"{fit['policy']}, {fit['mask_rows']} to {fit['chip_rows']} rows"
    )


def _energy(folder: RunFolder) -> Section:
    rows = _shares(folder.summary["components"])
    return Section("energy", "Energy", items(
        plate("energy-components", component_figure(folder.ledger), "Energy by component over the whole scenario, "
              "installation left out; a bar is split by action, the largest first. Components below 1 % of a panel "
              "stand together.", "Bars of energy by component, the largest first; the table of components has "
              "the numbers."),
        plate("energy-layers", layer_figure(folder.ledger), "Energy by layer in the order of the network, split by "
              "component; what belongs to no layer (standing power) is left out.",
              "Stacked bars of energy by layer and component, for inference and for task switches."),
        table("components", "Energy by component and action, installation left out, the largest first.", rows,
              {"component": "component", "action": "action", "count": "count", "energy_pj": "energy",
               "energy_share": "share"}),
        table("layer-energy", "Energy by layer; crossbars of all copies.", folder.summary["layers"], LAYERS),
        table("install", "Programming the erased chip once; not part of the energies above.",
              [folder.summary["install"]], {"cells_written": "cells written", "pulses": "pulses", "energy_pj": "energy",
                                            "latency_ns": "latency"}),
    ))  # fmt: skip


def _shares(components: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(components)
    if frame.empty:
        return frame
    frame = frame[frame["energy_pj"] > 0].sort_values("energy_pj", ascending=False, kind="stable")
    return frame.assign(energy_share=frame["energy_pj"] / frame["energy_pj"].sum())


def _time(folder: RunFolder) -> Section:
    summary, usage = folder.summary, folder.usage
    drawn = usage if usage is not None and len(usage) else None
    folded = " A step that the scenario repeats is drawn once." if drawn is not None and (drawn["repeats"] > 1).any() \
        else ""  # fmt: skip
    return Section("latency", "Latency", items(
        table("inferences", "Inferences, one row per entry of the scenario.", summary["tasks"], TASKS),
        table("switches", "Task switches: what they take, and the bits that the new task keeps.", summary["switches"],
              SWITCHES),
        None if drawn is None else plate("work", work_figure(drawn), "When each layer works: from its first start to "
              f"its last end in every entry of the scenario; dotted lines are where entries begin.{folded}",
              "Bars over time, one row per layer, for inference and task switches."),
        None if drawn is None else plate("busy-time", busy_time_figure(drawn), "Busy time of one server (mean of the "
              "copies) by layer, split by kind of unit, over the whole scenario. Units of a layer work at the same "
              "time, so the longest part of a bar and not its length bounds the time between two results.",
              "Stacked bars of busy time by layer and kind of unit, for inference and task switches."),
    ))  # fmt: skip


def _use(folder: RunFolder) -> Section:
    usage = folder.usage
    if usage is None or usage.empty:
        return Section("use", "Use of the units", items(Lines((f"usage.csv is missing: {OLDER}",))))
    return Section("use", "Use of the units", items(
        plate("use-over-time", usage_figure(usage), "Share of the servers of each kind of unit that is busy, over "
              "time. Within an entry the busy time of a unit is spread evenly from its first start to its last end.",
              "A strip per kind of unit, shaded by the share of its servers that is busy over time."),
        plate("use-by-layer", share_figure(usage), "Busy share of the servers of every layer over the whole scenario, "
              "waiting included; the largest of a kind are its bottleneck.",
              "Table in shades: layers by kinds of units, busy share in per cent in every cell."),
    ))  # fmt: skip
