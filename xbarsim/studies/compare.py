"""Adaption methods side by side on one chip, and from how many inferences per switch each one pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xbarsim.chip import Chip
from xbarsim.network import Network
from xbarsim.results import Run
from xbarsim.studies.simulate import simulate

SCHEMA = "xbarsim.compare/1"
BASELINE = "finetune"
"""The method that every row is set against."""


@dataclass(frozen=True)
class BreakEven:
    """When a method needs no more energy than fine-tuning."""

    kind: str
    """``always``, ``never`` or ``at``."""
    inferences: float | None = None
    """Inferences per switch at which both need the same; only for ``at``."""
    cheaper: str | None = None
    """On which side of that point the method is the cheaper one: ``below`` or ``above``."""


def break_even(switch_pj: float, inference_pj: float, base_switch_pj: float, base_inference_pj: float) -> BreakEven:
    """Compare ``switch + n * inference`` energies of a method and a baseline over n inferences per switch."""
    switch, inference = switch_pj - base_switch_pj, inference_pj - base_inference_pj
    if switch <= 0 and inference <= 0:
        return BreakEven("always")
    if switch >= 0 and inference >= 0:
        return BreakEven("never")
    return BreakEven("at", -switch / inference, "below" if switch < 0 else "above")


def compare(
    chip: Chip,
    network: Network,
    methods: Sequence[str],
    scenario: str | None = None,
    *,
    engine: str = "compiled",
    seed: int = 0,
    progress: Callable[[str], None] = lambda method: None,
) -> pd.DataFrame:
    """Run ``scenario`` with every method; one row each, means per switch, installation excluded.

    ``attrs`` of the table hold the runs (``runs``) and what is assumed (``assumptions``). The
    baseline is simulated also where it is not among ``methods``, if the tasks have its tensors.
    """
    runs: dict[str, Run] = {}
    for method in dict.fromkeys([*methods, *_baseline(network)]):
        progress(method)
        runs[method] = simulate(chip, network, method, scenario, engine=engine, seed=seed)
    base = runs.get(BASELINE)
    frame = pd.DataFrame([_row(runs[method], base) for method in dict.fromkeys(methods)])
    frame.attrs["runs"] = runs
    lines = dict.fromkeys(line for run in runs.values() for line in run.assumptions)
    frame.attrs["assumptions"] = list(lines)
    return frame


def _baseline(network: Network) -> list[str]:
    """The baseline, if every task can be run with it."""
    tasks = network.tasks.values()
    return [BASELINE] if all(BASELINE in task.methods for task in tasks) else []


def _row(run: Run, base: Run | None) -> dict[str, Any]:
    switch_pj, inference_pj = _energies(run)
    point = break_even(switch_pj, inference_pj, *_energies(base)) if base else BreakEven("unknown")
    switches = run.to_json()["switches"]

    def mean(key: str) -> float:
        return sum(row[key] for row in switches) / len(switches) if switches else 0

    inferences = sum(entry.inferences for entry in run.inferences)
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
        "latency_per_inference_ns": sum(e.first_latency_ps * e.inferences for e in run.inferences) / inferences / 1000,
        "break_even": point.kind,
        "break_even_inferences": point.inferences,
        "cheaper": point.cheaper,
    }


def _energies(run: Run) -> tuple[float, float]:
    """(mean energy of a switch, mean energy of an inference) in pJ."""
    switch = sum(switch.energy_pj for switch in run.switches) / max(1, len(run.switches))
    return switch, sum(e.energy_pj for e in run.inferences) / sum(e.inferences for e in run.inferences)


def to_json(frame: pd.DataFrame) -> dict[str, Any]:
    """The ``xbarsim.compare/1`` object."""
    rows = [{key: None if pd.isna(value) else value for key, value in row.items()} for row in frame.to_dict("records")]
    run = next(iter(frame.attrs["runs"].values()))
    return {
        "schema": SCHEMA,
        "chip": run.placement.chip.name,
        "bundle": run.placement.network.name,
        "synthetic": run.synthetic,
        "rows": rows,
        "assumptions": frame.attrs["assumptions"],
    }
