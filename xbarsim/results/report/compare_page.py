"""The page of a comparison of methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from xbarsim.results.figures.breakeven import break_even_figure
from xbarsim.results.figures.energy import stacked_figure
from xbarsim.results.figures.methods import inference_figure, kept_figure, switch_figure
from xbarsim.results.figures.style import drawing, quantity
from xbarsim.results.report.folder import CompareFolder
from xbarsim.results.report.page import Item, Page, Plate, Section, Table, items, number, plate, table
from xbarsim.results.report.parts import assumptions, mask_warnings, provenance, what_was_run

METHODS = {
    "device": "device", "method": "method", "masks": "masks", "switch_latency_ns": "switch latency",
    "switch_energy_pj": "switch energy", "cells_written": "cells written", "pulses": "pulses",
    "energy_per_inference_pj": "energy per inference", "latency_per_inference_ns": "latency per inference",
    "break_even": "no more energy than finetune", "break_even_inferences": "at inferences per switch",
    "cheaper": "cheaper",
}  # fmt: skip
KEPT = {
    "method": "method", "mask_bits": "masks", "norm_bits": "normalisation", "head_bits": "head",
    "weight_bits": "weights", "index_bits": "indices",
}  # fmt: skip
"""Headings of the tables of methods."""

BASELINE = "finetune"
"""The method that rows of a comparison are set against."""

NAMES = {"inference": "inference", "switch": "task switches"}


def compare_page(folder: CompareFolder) -> Page:
    """Everything about a comparison."""
    summary, rows = folder.summary, folder.rows
    devices = list(dict.fromkeys(rows["device"])) if "device" in rows else []
    first = next(iter(folder.runs.values()), None)
    sections = [_switches(folder, devices), _break_even(folder), _inference(folder), _wear(folder)]
    if first is not None:
        sections.append(what_was_run(first, f"What was run: chip and map of {first.summary['method']}"))
        chip = f" with {devices[0]}" if len(devices) > 1 else ""
        sections.append(assumptions(summary["assumptions"], first.facts, chip))
        sections.append(provenance({key: value for key, value in first.provenance.items() if key != "method"}))
    return Page(
        title=f"{summary['bundle']} on {summary['chip']}: {rows['method'].nunique()} methods compared",
        about="Means per task switch and per inference, installation apart; all methods on the same copies of layers."
        + (f" On {len(devices)} devices: {', '.join(devices)}." if devices else ""),
        headline=_headline(rows),
        warnings=tuple(mask_warnings(summary["synthetic"], rows["masks"])),
        sections=tuple(section for section in sections if section.items),
    )


def _headline(rows: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Who is best at what."""
    found = []
    for key, label in (
        ("switch_energy_pj", "least switch energy"), ("switch_latency_ns", "fastest switch"),
        ("energy_per_inference_pj", "least energy per inference"),
    ):  # fmt: skip
        best = rows.loc[rows[key].idxmin()]
        found.append((label, f"{best['method']}: {quantity(float(best[key]), key)}"))
    return tuple(found)


def _switches(folder: CompareFolder, devices: list[str]) -> Section:
    rows = folder.rows
    spread = f" A dot is the median of {len(devices)} devices, the band its range." if len(devices) > 1 else ""
    return Section("switches", "Task switches", items(
        plate("switches", switch_figure(rows), "What a task switch takes, by method, the least energy on top; axes are "
              f"logarithmic, a hollow dot on the left edge is zero.{spread}",
              "Dots by method for latency, energy and cells written of a task switch; the table has the numbers."),
        table("methods", "Methods side by side: means per switch and per inference.", _against(rows), METHODS),
        plate("kept", kept_figure(rows), "What a task keeps in memory, by kind; kinds of zero bits are left out.",
              "Dots by method: bits of masks, normalisation, head and weights."),
        table("kept", "Bits that a task keeps in memory.", rows.drop_duplicates("method"), KEPT),
        table("ranges", "Range over devices.", folder.summary.get("ranges", [])),
    ))  # fmt: skip


def _against(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table; the method that the others are set against has no point of its own."""
    return (
        rows.assign(break_even=rows["break_even"].where(rows["method"] != BASELINE)) if "break_even" in rows else rows
    )


def _break_even(folder: CompareFolder) -> Section:
    if folder.curves is None or folder.curves.empty:
        return Section("break-even", "Break-even", ())
    with drawing():
        figure = break_even_figure(folder.curves, "")
    return Section("break-even", "Break-even", items(
        Plate("break-even", "Energy per inference with its share of a task switch, over inferences per switch; where "
              "two lines cross, both methods need the same.", "Lines by method falling from switch-bound on the left "
              "to inference-bound on the right; the table of pairs has the crossings.", figure),
        _pairs(folder),
    ))  # fmt: skip


def _pairs(folder: CompareFolder) -> Table | None:
    """Every method against every other; over devices one row per device and pair."""
    pairs, rows = folder.summary.get("pairs", []), folder.rows
    if "device" in rows:
        said = [{**pair, "when": _when(pair)} for pair in pairs]
        headings = {"device": "device", "a": "method a", "b": "method b", "when": "when"}
        return table("pairs", f"When method a needs no more energy than method b: {WHEN}.", said, headings, main=False)
    methods = list(rows["method"])
    cells = {(pair["a"], pair["b"]): _when(pair) for pair in pairs}
    cells |= {(pair["b"], pair["a"]): _when(_turned(pair, rows)) for pair in pairs}
    lines = [{"row": a, **{b: cells.get((a, b), "") for b in methods}} for a in methods]
    headings = {"row": "method", **{b: b for b in methods}}
    caption = f"When the method of the row needs no more energy than that of the column: {WHEN}."
    return table("pairs", caption, lines, headings, main=False)


WHEN = "always, never, or at no more (≤) or no fewer (≥) inferences per switch than the number"


def _when(pair: Mapping[str, Any]) -> str:
    if pair["kind"] != "at":
        return str(pair["kind"])
    sign, count = "≤" if pair["cheaper"] == "below" else "≥", float(pair["inferences"])
    return f"{sign} {number(float(f'{count:.4g}'))}"


def _turned(pair: Mapping[str, Any], rows: pd.DataFrame) -> Mapping[str, Any]:
    """The same pair from the other side; two that need the same always need no more than each other."""
    energies = rows.set_index("method")[["switch_energy_pj", "energy_per_inference_pj"]]
    if energies.loc[pair["a"]].equals(energies.loc[pair["b"]]):
        return pair
    kind = {"always": "never", "never": "always"}.get(pair["kind"], "at")
    return {**pair, "kind": kind, "cheaper": "above" if pair["cheaper"] == "below" else "below"}


def _inference(folder: CompareFolder) -> Section:
    found: list[Item | None] = [
        plate("inference", inference_figure(folder.rows), "An inference by method; the latency is that of the first "
              "one of each entry.", "Dots by method for energy and latency of an inference; the table has numbers."),
    ]  # fmt: skip
    tables = _by_component(folder)
    if tables:
        found.append(plate(
            "method-components", stacked_figure(tables, "energy_pj", "energy"), "Energy of the whole scenario by "
            "method, split by component, installation left out.", "Stacked bars by method and component.",
        ))  # fmt: skip
    return Section("inference", "Inference and where the energy goes", items(*found))


def _by_component(folder: CompareFolder) -> dict[str, pd.DataFrame]:
    """Energy by run (rows) and component (columns), of inference and of switches."""
    shown = dict.fromkeys(folder.rows["method"])
    parts = [
        run.ledger.assign(layer=name) for name, run in folder.runs.items() if str(name).rpartition("/")[2] in shown
    ]
    if not parts:
        return {}
    whole = pd.concat(parts)
    whole = whole[whole["energy_pj"] > 0]
    return {
        title: whole[whole["phase"] == phase].pivot_table(
            index="layer", columns="component", values="energy_pj", aggfunc="sum", sort=False, fill_value=0.0
        )
        for phase, title in NAMES.items()
        if (whole["phase"] == phase).any()
    }


def _wear(folder: CompareFolder) -> Section:
    rows: list[dict[str, Any]] = []
    for name, run in folder.runs.items():
        wear, ages = run.summary["wear"], run.summary["lifetime"]["rows"]
        first: Mapping[str, Any] = next((row for row in ages if row["published"] and row["until"] == "first"), {})
        rows.append({
            "run": name, "writes": wear["writes_max"], "mean": wear["writes_mean"], "pulses": wear["pulses_max"],
            "switches": first.get("switches"), "years": first.get("years"),
        })  # fmt: skip
    headings = {"run": "method", "writes": "writes of the worst cell", "mean": "mean writes",
                "pulses": "pulses of the worst cell", "switches": "switches to the first failure",
                "years": "years to the first failure"}  # fmt: skip
    caption = (
        "Wear over the scenario, installation included, and how long cells last if it is repeated (empty: for ever)."
    )
    return Section("wear", "Wear", items(table("wear", caption, rows, headings)))
