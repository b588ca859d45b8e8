"""How busy the units were, and when: read out of a schedule, one row per unit, layer and step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from xbarsim.dataflow import Dataflow
from xbarsim.dataflow.graph import Actor
from xbarsim.engine.times import NOT_REACHED, SegmentTimes, Times
from xbarsim.units import PS_PER_NS

PHASES = ("switch", "inference")
"""Phases of work; arrivals of requests are a clock and no hardware."""

MOST_ROWS = 8192
"""Rows beyond which neighbouring steps are added up."""


@dataclass(frozen=True, eq=False)
class Usage:
    """Busy times of a schedule."""

    rows: tuple[tuple[Any, ...], ...]
    """One per unit, layer, phase and step, in the order of :data:`COLUMNS`; times in picoseconds."""

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Tidy table of times in nanoseconds.

        ``kind`` of unit; ``step`` of the scenario; ``repeats``: how often the scenario does the step; ``busy_ns``:
        all servers together, one repeat.
        """
        table = pd.DataFrame(self.rows, columns=[*KEYS, "start_ns", "end_ns", "busy_ns"])
        times = table.columns[len(KEYS) :]
        table[times] = table[times] / PS_PER_NS
        return table


KEYS = ("unit", "kind", "servers", "layer", "phase", "step", "task", "repeats")
"""Columns of a row before its times."""

Key = tuple[str, str, int, str, str, int, str, int]


def usage_of(dataflow: Dataflow, times: Times) -> Usage:
    """Add up service times by unit, layer and step; steps are grouped where there are very many."""
    servers = {unit.name: unit.servers for unit in dataflow.graph.units}
    together = -(-len(dataflow.steps) * len(dataflow.graph.actors) // MOST_ROWS)
    steps: list[tuple[int, str, int]] = [
        (at // together, step.entry.task if together == 1 else "", step.weight)
        for at, step in enumerate(dataflow.steps)
    ]
    rows: dict[Key, tuple[int, int, int]] = {}
    for actor, segments in zip(dataflow.graph.actors, times.segments, strict=True):
        role = dataflow.roles[actor.name]
        if role.phase not in PHASES:
            continue
        unit = (actor.unit, kind_of(actor.unit), servers[actor.unit], role.layer, role.phase)
        for at, busy, start, end in _worked(actor, segments):
            key = (*unit, *steps[at])
            known = rows.get(key)
            rows[key] = (
                (start, end, busy) if known is None
                else (min(known[0], start), max(known[1], end), known[2] + busy)
            )  # fmt: skip
    return Usage(tuple((*key, *values) for key, values in rows.items()))


def _worked(actor: Actor, segments: SegmentTimes) -> Iterable[tuple[int, int, int, int]]:
    """(step, busy time, first start, last end) of the steps at which an actor works."""
    starts, ends = segments.first_start_ps.tolist(), segments.last_end_ps.tolist()
    for at, (work, start, end) in enumerate(zip(actor.work, starts, ends, strict=True)):
        if work.periods and start != NOT_REACHED:
            served = work.service_ps
            each = served.item() if len(served) == 1 else int(served.sum())
            yield at, work.periods * each, start, end


def kind_of(unit: str) -> str:
    """What a unit is: ``crossbars`` of ``conv1.crossbars``, ``link`` of ``link.7``."""
    before, _, last = unit.rpartition(".")
    return before if last.isdigit() else last
