"""Adaption methods side by side on one chip, and from how many inferences per switch each one pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from xbarsim.adaptions import Adaption
from xbarsim.adaptions.change import BACKBONE
from xbarsim.chip import Chip
from xbarsim.dataflow import parse_scenario
from xbarsim.dataflow.scenario import leaves
from xbarsim.errors import Fault, InputError
from xbarsim.mapping.fit_cost import masks_of
from xbarsim.network import Network
from xbarsim.results import Run
from xbarsim.studies.breakeven import BreakEven, Row, between, break_even, pairs
from xbarsim.studies.devices import on_devices, ranges
from xbarsim.studies.simulate import simulate

__all__ = ["BASELINE", "BreakEven", "break_even", "compare", "measures", "to_json", "with_break_even"]

SCHEMA = "xbarsim.compare/1"
BASELINE = "finetune"
"""The method that every row is set against."""


def compare(
    chip: Chip,
    network: Network,
    methods: Sequence[str],
    scenario: str | None = None,
    *,
    devices: Sequence[str] | None = None,
    engine: str = "compiled",
    seed: int = 0,
    progress: Callable[[str], None] = lambda method: None,
) -> pd.DataFrame:
    """Run ``scenario`` with every method; one row each, means per switch, installation excluded.

    With ``devices``, the whole comparison on each of them, rows labelled ``device``. ``attrs`` of the
    table hold the runs (``runs``, by method or ``device/method``) and what is assumed
    (``assumptions``). The baseline is simulated also where it is not among ``methods``, if the tasks
    have its tensors.
    """
    check_methods(network, methods, scenario)
    chips = {None: chip} if devices is None else on_devices(chip, devices)
    runs: dict[str, Run] = {}
    rows: list[dict[str, Any]] = []
    for device, machine in chips.items():
        found = []
        for method in dict.fromkeys([*methods, *baseline(network)]):
            name = f"{device}/{method}" if device else method
            progress(name)
            runs[name] = simulate(machine, network, method, scenario, engine=engine, seed=seed)
            found.append(({"device": device} if device else {}) | measures(runs[name]))
        rows += [row for row in with_break_even(found) if row["method"] in methods]
    frame = pd.DataFrame(rows)
    frame.attrs["runs"] = runs
    lines = dict.fromkeys(line for run in runs.values() for line in run.assumptions)
    frame.attrs["assumptions"] = list(lines)
    return frame


def check_methods(network: Network, methods: Sequence[str], scenario: str | None) -> None:
    """Refuse methods that are unknown or that a task has no tensors of, all in one report, before anything runs."""
    faults: list[Fault] = []
    if not methods:
        faults.append(Fault("methods", f"name at least one; known: {', '.join(Adaption.known())}"))
    entries = dict.fromkeys(entry.task for entry in leaves(parse_scenario(scenario, network)))
    for method in dict.fromkeys(methods):
        try:
            Adaption.named(method)
            for task in entries:
                if task != BACKBONE:
                    network.task(task).needs(method)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)


def baseline(network: Network) -> list[str]:
    """The baseline, if every task can be run with it."""
    tasks = network.tasks.values()
    return [BASELINE] if all(BASELINE in task.methods for task in tasks) else []


def measures(run: Run) -> dict[str, Any]:
    """The columns of a comparison that a run has by itself."""
    switches = [switch.to_json() for switch in run.switches]
    times = sum(row.get("times", 1) for row in switches)
    switch_pj, inference_pj = _energies(run)

    def mean(key: str) -> float:
        return sum(row[key] * row.get("times", 1) for row in switches) / times if times else 0

    latency_ps = sum(entry.first_latency_ps * entry.inferences * entry.repeats for entry in run.inferences)
    return {
        "method": run.method,
        "switch_latency_ns": mean("latency_ns"),
        "switch_energy_pj": switch_pj,
        "cells_written": mean("cells_written"),
        "pulses": mean("pulses"),
        "mask_bits": mean("mask_bits"),
        "norm_bits": mean("norm_bits"),
        "head_bits": mean("head_bits"),
        "weight_bits": mean("weight_bits"),
        "energy_per_inference_pj": inference_pj,
        "latency_per_inference_ns": latency_ps / _inferences(run) / 1000,
        "masks": masks_of(run.placement, masked=run.masked),
    }


def with_break_even(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of one chip with when each needs no more energy than the baseline, if that is among them."""
    base = next((row for row in rows if row["method"] == BASELINE), None)
    points = [between(row, base) if base else BreakEven("unknown") for row in rows]
    return [
        {
            **row,
            "break_even": point.kind,
            "break_even_inferences": point.inferences,
            "cheaper": point.cheaper,
        }
        for row, point in zip(rows, points, strict=True)
    ]


def _inferences(run: Run) -> int:
    return sum(entry.inferences * entry.repeats for entry in run.inferences)


def _energies(run: Run) -> tuple[float, float]:
    """(mean energy of a switch, mean energy of an inference) in pJ."""
    switch_pj = sum(switch.energy_pj for switch in run.switches)
    inference_pj = sum(entry.energy_pj for entry in run.inferences)
    return switch_pj / max(1, sum(switch.times for switch in run.switches)), inference_pj / _inferences(run)


def to_json(frame: pd.DataFrame) -> dict[str, Any]:
    """The ``xbarsim.compare/1`` object; with devices also the range of every method over them."""
    rows = [{key: None if pd.isna(value) else value for key, value in row.items()} for row in frame.to_dict("records")]
    runs = list(frame.attrs["runs"].values())
    return {
        "schema": SCHEMA,
        "chip": runs[0].placement.chip.name,
        "bundle": runs[0].placement.network.name,
        "synthetic": any(run.synthetic for run in runs),
        "rows": rows,
        "pairs": pairs(rows),
        **({"ranges": ranges(rows)} if "device" in frame else {}),
        "assumptions": frame.attrs["assumptions"],
    }
