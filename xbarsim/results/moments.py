"""The instants that matter, read out of a schedule: outputs, switches, and who worked under which task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xbarsim.dataflow import Dataflow, Moment
from xbarsim.engine.times import Times
from xbarsim.errors import XbarsimError
from xbarsim.results.ledger import Ledger, Span
from xbarsim.units import ns

UNDER_TASK = (".fetch", ".read", ".convert", ".accumulate", ".reduce", ".activate")
"""Actors of a layer that work with the task's weights, masks and normalisation."""


@dataclass(frozen=True)
class Inferences:
    """One entry of the scenario, as it is written."""

    task: str
    inferences: int
    repeats: int
    """How often the scenario comes by."""
    first_latency_ps: int
    """From the first start of the entry to the output of its first inference, the first time."""
    span_ps: int
    """From the first to the last output, all repeats together."""
    energy_pj: float
    """All repeats together."""
    response_ps: tuple[int, int] | None = None
    """From the arrival of the first and of the last input to its output, where inputs arrive."""

    def to_json(self) -> dict[str, Any]:
        """The row of ``tasks``."""
        more = (self.inferences - 1) * self.repeats
        row = {
            "task": self.task,
            "inferences": self.inferences,
            "first_latency_ns": ns(self.first_latency_ps),
            "interval_ns": mean_ns(self.span_ps, more) if more else None,
            "energy_per_inference_pj": self.energy_pj / self.inferences / self.repeats,
        }
        if self.response_ps is not None:
            row |= {"first_response_ns": ns(self.response_ps[0]), "last_response_ns": ns(self.response_ps[1])}
        return row | ({"repeats": self.repeats} if self.repeats > 1 else {})


@dataclass(frozen=True, eq=False)
class Switched:
    """A task switch of the scenario."""

    moment: Moment
    times: int
    """How often the scenario makes it."""
    latency_ps: int
    """All times together."""
    gap_ps: int
    """From the last output of the old task to the first of the new one, all times together."""
    energy_pj: float
    """All times together."""
    pulses: int
    """Each time."""

    def to_json(self) -> dict[str, Any]:
        """The row of ``switches``; ``*_bits`` is what the new task keeps, ``moved`` what travelled."""
        change = self.moment.change
        row = {
            "from": change.old,
            "to": change.new,
            "latency_ns": mean_ns(self.latency_ps, self.times),
            "energy_pj": self.energy_pj / self.times,
            "cells_written": change.cells_written,
            "failed_cells": change.failed_cells,
            "pulses": self.pulses,
            **asdict(self.moment.needs),
            "weights_touched": sum(layer.weights_touched for layer in change.layers),
            "codes_changed": sum(layer.codes_changed for layer in change.layers),
            "gap_ns": mean_ns(self.gap_ps, self.times),
            "moved": asdict(self.moment.moved),
        }
        return row | ({"times": self.times} if self.times > 1 else {})


def mean_ns(total_ps: int, count: int) -> float | int:
    """A mean in nanoseconds; a whole number where it is one."""
    return ns(total_ps // count) if total_ps % count == 0 else total_ps / count / 1000


class Moments:
    """Reads a schedule of a dataflow, step by step."""

    def __init__(self, dataflow: Dataflow, times: Times) -> None:
        self.dataflow = dataflow
        self.segments = dict(zip(times.actors, times.segments, strict=True))
        outputs = self.segments[dataflow.last]
        self.makespan = int(times.makespan)
        self.first_output = outputs.first_period_commit_ps.tolist()
        self.last_output = outputs.last_commit_ps.tolist()
        self.begun = [self._begun(at) for at in range(len(dataflow.steps))]
        self.switched = [self._switched(at) for at in range(len(dataflow.steps))]

    def _before(self, at: int) -> int:
        return self.last_output[at - 1] if at else 0

    def _begun(self, at: int) -> int:
        """When the switch before step ``at`` began: with a barrier at the last output, rolling at its first work."""
        if self.dataflow.moments[at] is None or not self.dataflow.rolling:
            return self._before(at)
        starts = [
            int(self.segments[n].first_start_ps[at])
            for n, role in self.dataflow.roles.items()
            if role.phase == "switch"
        ]
        return min([start for start in starts if start >= 0], default=self._before(at))

    def _switched(self, at: int) -> int:
        """When the switch before step ``at`` was done."""
        if self.dataflow.moments[at] is None:
            return self._before(at)
        ends = [int(self.segments[name].last_commit_ps[at]) for name in self.dataflow.switching]
        return max([self.begun[at], *ends])

    @property
    def total_ps(self) -> int:
        """Time of the whole scenario, folded repeats included."""
        extra = [
            (step.weight - 1) * (self.last_output[at] - self._before(at)) for at, step in enumerate(self.dataflow.steps)
        ]
        return int(self.makespan + sum(extra))

    @property
    def spans(self) -> list[Span]:
        """The whole time up to the last output, cut into switches and entries; rolling hides the switches."""
        spans = []
        for at, step in enumerate(self.dataflow.steps):
            cut = self._before(at) if self.dataflow.rolling else self.switched[at]
            task, weight = step.entry.task, step.weight
            moment = self.dataflow.moments[at]
            if moment is not None and cut > self._before(at):
                spans.append(Span("switch", step.leaf, task, moment.change.old, (cut - self._before(at)) * weight))
            spans.append(Span("inference", step.leaf, task, "", (self.last_output[at] - cut) * weight))
        return spans

    def inferences(self, ledger: Ledger) -> list[Inferences]:
        """One row per entry as written."""
        rows = []
        for leaf, steps in self._by_leaf().items():
            entry, at = self.dataflow.steps[steps[0]].entry, steps[0]
            weights = [self.dataflow.steps[k].weight for k in steps]
            start = min(int(self.segments[name].first_start_ps[at]) for name in self.dataflow.first)
            span = sum(w * (self.last_output[k] - self.first_output[k]) for k, w in zip(steps, weights, strict=True))
            energy = ledger.energy_pj(phase="inference", entry=leaf)
            latency = self.first_output[at] - start
            arrivals = entry.arrivals_ps
            response = (self.first_output[at] - arrivals[0], self.last_output[at] - arrivals[-1]) if arrivals else None
            rows.append(Inferences(entry.task, entry.inferences, sum(weights), latency, span, energy, response))
        return rows

    def _by_leaf(self) -> dict[int, list[int]]:
        groups: dict[int, list[int]] = {}
        for at, step in enumerate(self.dataflow.steps):
            groups.setdefault(step.leaf, []).append(at)
        return groups

    def switches(self, ledger: Ledger, pulses: Any) -> list[Switched]:
        """One row per entry and pair of tasks that it switches between."""
        groups: dict[tuple[int, str, str], list[int]] = {}
        for at, moment in enumerate(self.dataflow.moments):
            if moment is not None:
                groups.setdefault((self.dataflow.steps[at].leaf, moment.change.old, moment.change.new), []).append(at)
        return [self._switch(steps, ledger, pulses) for steps in groups.values()]

    def _switch(self, steps: Sequence[int], ledger: Ledger, pulses: Any) -> Switched:
        moment = self.dataflow.moments[steps[0]]
        assert moment is not None  # switches() collects these only
        weights = [self.dataflow.steps[at].weight for at in steps]
        latency = sum(w * (self.switched[at] - self.begun[at]) for at, w in zip(steps, weights, strict=True))
        gap = sum(w * (self.first_output[at] - self._before(at)) for at, w in zip(steps, weights, strict=True))
        leaf = self.dataflow.steps[steps[0]].leaf
        energy = ledger.energy_pj(phase="switch", entry=leaf, old=moment.change.old)
        return Switched(moment, sum(weights), latency, gap, energy, moment.change.pulses(pulses))

    def check_tasks(self) -> None:
        """A window must never see the wrong task.

        With a barrier all inference of a step lies between the switch to its task and the next switch.
        Rolling, that holds for each layer and what is written into it; a double mask buffer may be
        written while the layer still works on the old task.
        """
        for at, moment in enumerate(self.dataflow.moments):
            if moment is None:
                continue
            for name, role in self.dataflow.roles.items():
                if role.phase == "inference" and name != "host":
                    self._check(at, name, role.layer)

    def _check(self, at: int, name: str, layer: str) -> None:
        rolling = self.dataflow.rolling
        if rolling and not name.endswith(UNDER_TASK):
            return
        mine = self.segments[name]
        for effect in self.dataflow.switching:
            if rolling and self.dataflow.roles[effect].layer != layer:
                continue
            times = self.segments[effect]
            if times.first_start_ps[at] < 0:
                continue
            early = mine.first_start_ps[at] < times.last_end_ps[at]
            late = at > 0 and mine.last_end_ps[at - 1] > times.first_start_ps[at]
            if early or (late and effect not in self.dataflow.ahead):
                raise XbarsimError(f"{name} works at step {at} while {effect} changes the task under it")
