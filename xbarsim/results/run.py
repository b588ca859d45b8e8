"""A run: what a scenario took, per inference, per switch, by component and by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from math import fsum
from typing import Any

import numpy as np
import pandas as pd

from xbarsim.adaptions import Adaption, Change, Stored, install, stored
from xbarsim.dataflow import Dataflow, Moment
from xbarsim.engine.times import Times
from xbarsim.errors import Deadlock, XbarsimError
from xbarsim.mapping import Placement
from xbarsim.results.ledger import Ledger, Span, keep_ledger
from xbarsim.results.wear import Wear, wear_of
from xbarsim.units import ceil_div, ns, rounding_error

SCHEMA = "xbarsim.run/1"


@dataclass(frozen=True)
class Inferences:
    """One entry of the scenario."""

    task: str
    inferences: int
    first_latency_ps: int
    """From the first start of the entry to the output of its first inference."""
    span_ps: int
    """From the first to the last output."""
    energy_pj: float

    def to_json(self) -> dict[str, Any]:
        """The row of ``tasks``."""
        more = self.inferences - 1
        return {
            "task": self.task,
            "inferences": self.inferences,
            "first_latency_ns": ns(self.first_latency_ps),
            "interval_ns": _exact_ns(self.span_ps, more) if more else None,
            "energy_per_inference_pj": self.energy_pj / self.inferences,
        }


@dataclass(frozen=True, eq=False)
class Switched:
    """One task switch of the scenario."""

    moment: Moment
    latency_ps: int
    energy_pj: float
    pulses: int

    def to_json(self) -> dict[str, Any]:
        """The row of ``switches``; ``*_bits`` is what the new task keeps, ``moved`` what travelled."""
        change = self.moment.change
        copies = [(layer, layer.site.copies) for layer in change.layers]
        return {
            "from": change.old,
            "to": change.new,
            "latency_ns": ns(self.latency_ps),
            "energy_pj": self.energy_pj,
            "cells_written": change.cells_written,
            "pulses": self.pulses,
            **asdict(self.moment.needs),
            "weights_touched": sum(layer.weights_touched for layer, _ in copies),
            "codes_changed": sum(layer.codes_changed for layer, _ in copies),
            "moved": asdict(self.moment.moved),
        }


@dataclass(frozen=True, eq=False)
class Run:
    """The result of a simulation. Times inside are picoseconds; tables carry units in their names."""

    placement: Placement
    method: str
    engine: str
    seed: int
    inferences: tuple[Inferences, ...]
    switches: tuple[Switched, ...]
    ledger: Ledger
    wear: Wear
    stored: Stored
    installed: dict[str, Any]
    makespan_ps: int
    firings: int
    firings_executed: int
    plan_seconds: float
    engine_seconds: float
    assumptions: tuple[str, ...]

    @property
    def synthetic(self) -> bool:
        """Whether weights and masks were drawn from a seed."""
        return self.placement.network.synthetic

    @cached_property
    def energy(self) -> pd.DataFrame:
        """The ledger as a tidy table."""
        return self.ledger.frame

    def to_json(self) -> dict[str, Any]:
        """The ``xbarsim.run/1`` object."""
        return {
            "schema": SCHEMA,
            "chip": self.placement.chip.name,
            "bundle": self.placement.network.name,
            "method": self.method,
            "engine": self.engine,
            "seed": self.seed,
            "synthetic": self.synthetic,
            "latency_ns": ns(self.makespan_ps),
            "energy_pj": self.ledger.energy_pj(phase="inference") + self.ledger.energy_pj(phase="switch"),
            "firings": self.firings,
            "firings_executed": self.firings_executed,
            "plan_seconds": self.plan_seconds,
            "engine_seconds": self.engine_seconds,
            "tasks": [entry.to_json() for entry in self.inferences],
            "switches": [switch.to_json() for switch in self.switches],
            "install": self.installed,
            "stored": asdict(self.stored),
            "components": self._components(),
            "layers": self._layers(),
            "wear": asdict(self.wear),
            "assumptions": list(self.assumptions),
        }

    def _components(self) -> list[dict[str, Any]]:
        """Energy by component and action, installation left out."""
        merged: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.ledger.rows:
            if row.phase != "install":
                merged.setdefault((row.component, row.action), {"count": 0, "parts": []})
                merged[row.component, row.action]["count"] += row.count
                merged[row.component, row.action]["parts"].append(row.energy_pj)
        return [
            {"component": component, "action": action, "count": one["count"], "energy_pj": fsum(one["parts"])}
            for (component, action), one in merged.items()
        ]

    def _layers(self) -> list[dict[str, Any]]:
        """Energy by layer, and what each layer occupies."""
        inference = {key[0]: energy for key, _, energy in self.ledger.totals("layer", "phase") if key[1] == "inference"}
        switching = {key[0]: energy for key, _, energy in self.ledger.totals("layer", "phase") if key[1] == "switch"}
        rows = []
        for stage in self.placement.stages:
            site = self.placement.sites.get(stage.name)
            rows.append({
                "layer": stage.name,
                "op": stage.op,
                "windows": stage.windows,
                "crossbars": site.crossbars if site else 0,
                "copies": site.copies if site else 0,
                "inference_energy_pj": inference.get(stage.name, 0.0),
                "switch_energy_pj": switching.get(stage.name, 0.0),
            })  # fmt: skip
        return rows


def _exact_ns(span_ps: int, count: int) -> float | int:
    """A mean interval; a whole number where it is one."""
    return ns(span_ps // count) if span_ps % count == 0 else span_ps / count / 1000


def gather(
    placement: Placement, adaption: Adaption, dataflow: Dataflow, times: Times, seed: int, engine: str,
    plan_seconds: float, engine_seconds: float,
) -> Run:  # fmt: skip
    """Turn a schedule into a run. Raise :class:`Deadlock` if the graph stopped before its end."""
    if times.stuck:
        raise Deadlock("the dataflow graph stopped before its end:\n" + "\n".join(times.waits))
    moments = _Moments(dataflow, times)
    moments.check_tasks(placement)
    chip = placement.chip
    installed = install(adaption, placement)
    pulses = chip.file.device.write_pulses(chip.cell_levels)
    ledger = keep_ledger(chip, placement.chips, dataflow, installed, moments.spans)
    return Run(
        placement=placement,
        method=adaption.name,
        engine=engine,
        seed=seed,
        inferences=tuple(moments.inferences(ledger)),
        switches=tuple(moments.switches(ledger, pulses)),
        ledger=ledger,
        wear=wear_of(placement, adaption, dataflow, installed),
        stored=stored(adaption, placement),
        installed=_install_row(placement, installed, ledger, pulses),
        makespan_ps=int(times.makespan),
        firings=int(times.firings),
        firings_executed=int(times.firings_executed),
        plan_seconds=plan_seconds,
        engine_seconds=engine_seconds,
        assumptions=tuple(_assumptions(placement, ledger, dataflow)),
    )


class _Moments:
    """Reads the instants that matter out of a schedule."""

    def __init__(self, dataflow: Dataflow, times: Times) -> None:
        self.dataflow = dataflow
        self.segments = dict(zip(times.actors, times.segments, strict=True))
        outputs = self.segments[dataflow.last]
        self.first_output = outputs.first_period_commit_ps.tolist()
        self.last_output = outputs.last_commit_ps.tolist()
        self.switched = [self._switched(at) for at in range(len(dataflow.entries))]

    def _switched(self, at: int) -> int:
        """When the switch before entry ``at`` was done: not before the last output of the entry before."""
        before = self.last_output[at - 1] if at else 0
        if self.dataflow.moments[at] is None:
            return before
        ends = [int(self.segments[name].last_commit_ps[at]) for name in self.dataflow.switching]
        return max([before, *ends])

    @property
    def spans(self) -> list[Span]:
        """The whole time, cut into switches and entries."""
        spans = []
        for at, entry in enumerate(self.dataflow.entries):
            before = self.last_output[at - 1] if at else 0
            if self.dataflow.moments[at] is not None:
                spans.append(Span("switch", at, entry.task, self.switched[at] - before))
            spans.append(Span("inference", at, entry.task, self.last_output[at] - self.switched[at]))
        return spans

    def inferences(self, ledger: Ledger) -> list[Inferences]:
        """One row per entry."""
        rows = []
        for at, entry in enumerate(self.dataflow.entries):
            start = min(int(self.segments[name].first_start_ps[at]) for name in self.dataflow.first)
            rows.append(Inferences(
                entry.task, entry.inferences, self.first_output[at] - start,
                self.last_output[at] - self.first_output[at], ledger.energy_pj(phase="inference", entry=at),
            ))  # fmt: skip
        return rows

    def switches(self, ledger: Ledger, pulses: np.ndarray) -> list[Switched]:
        """One row per switch."""
        rows = []
        for at, moment in enumerate(self.dataflow.moments):
            if moment is None:
                continue
            before = self.last_output[at - 1] if at else 0
            energy = ledger.energy_pj(phase="switch", entry=at)
            rows.append(Switched(moment, self.switched[at] - before, energy, moment.change.pulses(pulses)))
        return rows

    def check_tasks(self, placement: Placement) -> None:
        """A window must never see the wrong task: reads lie between the switch to it and the switch away."""
        for at, moment in enumerate(self.dataflow.moments):
            if moment is None:
                continue
            begun = [int(self.segments[n].first_start_ps[at]) for n, r in self.dataflow.roles.items()
                     if r.phase == "switch" and self.segments[n].first_start_ps[at] >= 0]  # fmt: skip
            for name, role in self.dataflow.roles.items():
                if role.phase != "inference" or name == "host":
                    continue
                early = self.segments[name].first_start_ps[at] < self.switched[at]
                late = at and begun and self.segments[name].last_end_ps[at - 1] > min(begun)
                if early or late:
                    raise XbarsimError(f"{name} works on entry {at} while its task is not installed")


def _install_row(placement: Placement, installed: Change, ledger: Ledger, pulses: np.ndarray) -> dict[str, Any]:
    """Programming the erased chip; the transfer of the weights is not counted."""
    pe, pulse_ns = placement.chip.file.pe, placement.chip.file.device.pulse_ns
    longest = 0
    for change in installed.layers:
        trains = np.tile(change.crossbar_pulses, change.site.copies)
        servers = ceil_div(len(trains), pe.crossbars) * pe.programmed_at_once
        rounds = np.zeros(ceil_div(len(trains), servers) * servers, np.int64)
        rounds[: len(trains)] = trains
        longest = max(longest, int(rounds.reshape(-1, servers).sum(axis=0).max()))
    return {
        "cells_written": installed.cells_written,
        "pulses": installed.pulses(pulses),
        "energy_pj": ledger.energy_pj(phase="install"),
        "latency_ns": ns(int(longest * pulse_ns * 1000)),
    }


def _assumptions(placement: Placement, ledger: Ledger, dataflow: Dataflow) -> Sequence[str]:
    """Everything in the result that is not a sourced fact."""
    chip, network = placement.chip, placement.network
    lines = [f"{t.path} = {_plain(t.value)}: assumed, {t.note}" for t in chip.traced if t.how == "assumed"]
    lines += [f"device {chip.file.device.name!r} sets pulses and energy of every write", *chip.file.notes]
    lines += ledger.unpublished
    lines.append("installation counts programming alone, not the transfer of the weights to the chip")
    if network.synthetic:
        lines.append(f"network {network.name!r} is a layer table: weights and masks are synthetic, drawn from the seed")
    for name, value in (("crossbar.cycle_ns", chip.cycle_ns), ("adc.rate_gsps", chip.sample_ns)):
        if rounding_error(value) > 1e-3:
            lines.append(f"rounding {name} to picoseconds changes it by more than 0.1 %")
    return lines


def _plain(value: Any) -> str:
    return f"{float(value):g}" if isinstance(value, Fraction | int | float) else str(value)


__all__ = ["SCHEMA", "Inferences", "Run", "Switched", "gather"]
