"""What inferences and switches take on a chip, from the event engine: the numbers that serving works with.

One scenario visits every ordered pair of tasks (an Eulerian circuit); at its first visit a task runs
:data:`RUN` inferences one behind the other, later one. Read out of it, in whole picoseconds:

* *interval*: mean distance of the outputs of such a run, its first half and its last one left out;
* *latency*: time of the whole run less its intervals, so that a run of any length comes out exactly where
  the pipeline is regular;
* *switch*: from the last output of the old task until the new one may start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import fsum
from time import perf_counter
from typing import Any

import numpy as np

from xbarsim.adaptions import Adaption, install
from xbarsim.adaptions.change import BACKBONE
from xbarsim.chip import Chip
from xbarsim.chip.prices import standing
from xbarsim.dataflow import Dataflow, Moment, plan
from xbarsim.dataflow.scenario import Entry
from xbarsim.dataflow.unroll import LIMIT, Step
from xbarsim.engine import execute
from xbarsim.errors import Fault, InputError
from xbarsim.mapping import place
from xbarsim.network import Network
from xbarsim.results import Run, gather
from xbarsim.results.lifetime import lifetime
from xbarsim.results.moments import Moments
from xbarsim.results.wear import Wear, wear_of
from xbarsim.studies.serve_queue import ServiceTimes
from xbarsim.units import ns

RUN = 8
"""Inferences of a task behind each other that its interval is read from."""

STANDING = ("leakage", "static")
"""Actions of the ledger that go on whether anything happens or not."""


@dataclass(frozen=True, eq=False)
class Service:
    """Times, energies and wear of every task and of every switch between two of them."""

    tasks: tuple[str, ...]
    times: ServiceTimes
    latencies_ps: tuple[tuple[int, int], ...]
    """Per task the shortest and longest latency that any visit of the scenario saw."""
    inference_pj: tuple[float, ...]
    """Per task, standing power left out."""
    switch_pj: Mapping[tuple[int, int], float]
    """Per pair, standing power left out."""
    standing_mw: float
    """Leakage and other standing power of all chips."""
    run: Run
    """The measured scenario."""
    adaption: Adaption
    dataflow: Dataflow

    def pair(self, old: int, new: int) -> dict[str, Any]:
        """What one switch takes and writes."""
        change = self._moments[self.tasks[old], self.tasks[new]].change
        pulses = self.run.placement.chip.file.device.write_pulses(self.run.placement.chip.cell_levels)
        return {
            "from": self.tasks[old],
            "to": self.tasks[new],
            "latency_ns": ns(self.times.switch_ps[old, new]),
            "energy_pj": self.switch_pj[old, new],
            "cells_written": change.cells_written,
            "pulses": change.pulses(pulses),
        }

    @property
    def _moments(self) -> dict[tuple[str, str], Moment]:
        return {(one.change.old, one.change.new): one for one in self.dataflow.moments if one is not None}

    def wear(self, first: int, last: int, pairs: Mapping[tuple[int, int], int]) -> Wear:
        """The wear of so many switches, from task ``first`` to task ``last``, and of that again and again."""
        known, name = self._moments, self.tasks
        steps, moments = [Step(0, Entry(name[first], 1))], [self._opening(name[first])]
        for (old, new), times in sorted(pairs.items(), key=lambda item: item[0][1] == last):
            steps.append(Step(0, Entry(name[new], 1), times))
            moments.append(known[name[old], name[new]])
        placement = self.run.placement
        flow = replace(self.dataflow, steps=tuple(steps), moments=tuple(moments))
        return wear_of(placement, self.adaption, flow, install(self.adaption, placement))

    def _opening(self, task: str) -> Moment | None:
        """The switch from the backbone to ``task``, which need not be one of the scenario; wear asks for its names."""
        some = next((one for one in self.dataflow.moments if one is not None), None)
        if task == BACKBONE or some is None:
            return None
        return replace(some, change=replace(some.change, old=BACKBONE, new=task))

    def lifetime(self, first: int, last: int, pairs: Mapping[tuple[int, int], int], window_ps: int) -> dict[str, Any]:
        """How long cells last if ``window_ps`` with these switches repeats for ever."""
        wear = self.wear(first, last, pairs)
        per_day = wear.switches * 86_400 * 10**12 / window_ps
        return lifetime(wear, self.run.placement.chip.file.device, per_day or None)

    @cached_property
    def check(self) -> dict[str, Any]:
        """A short sequence, two inferences of each of two tasks and one more, on the engine and by these times."""
        first, second = 0, min(1, len(self.tasks) - 1)
        order = [first, first, second, second, first]
        names = [self.tasks[task] for task in order]
        flow = plan(self.run.placement, self.adaption, tuple(Entry(name, 1) for name in names))
        moments = Moments(flow, execute(flow.graph, engine=self.run.engine))
        engine_ps = moments.last_output[-1] - moments.switched[0]
        model_ps = self.times.sequence_ps(order)
        return {
            "sequence": names,
            "engine_ns": ns(engine_ps),
            "model_ns": ns(model_ps),
            "difference_ns": ns(model_ps - engine_ps),
        }


def circuit(tasks: Sequence[str]) -> list[str]:
    """An order that goes from every task to every other exactly once and ends where it began."""
    order = [one for at, first in enumerate(tasks) for second in tasks[at + 1 :] for one in (first, second)]
    return [*order, tasks[0]]


def measure(
    chip: Chip, network: Network, method: str, tasks: Sequence[str], engine: str = "compiled", seed: int = 0
) -> Service:
    """Measure every task and every switch between two of them.

    Raise :class:`InputError` for a chip that switches while it rolls on: there a switch has no time of its
    own.
    """
    check_barrier(chip)
    visits = circuit(tasks)
    if len(visits) > LIMIT // 2:
        raise InputError(Fault("--mix", f"{len(tasks)} tasks have more than {LIMIT // 2:,} ordered pairs; take fewer"))
    longer = {visits.index(task) for task in tasks}
    items = tuple(entry for at, task in enumerate(visits) for entry in [Entry(task, 1)] * (RUN if at in longer else 1))
    adaption = Adaption.named(method)()
    begun = perf_counter()
    placement = place(chip, adaption.extend(network))
    dataflow = plan(placement, adaption, items)
    planned = perf_counter()
    times = execute(dataflow.graph, engine=engine)
    done = perf_counter()
    run = gather(placement, adaption, dataflow, times, seed, engine, planned - begun, done - planned)
    runs = _runs(dataflow, Moments(dataflow, times))
    whole = {one.task: one for one in reversed(runs) if len(one.outputs) >= RUN}
    intervals = {task: _interval(one.outputs) for task, one in whole.items()}
    switched = {(one.old, one.task): one for one in runs}
    pairs = {(i, j): (a, b) for i, a in enumerate(tasks) for j, b in enumerate(tasks) if i != j}
    return Service(
        tasks=tuple(tasks),
        times=ServiceTimes(
            tuple(_latency(whole[task], intervals[task]) for task in tasks),
            tuple(intervals[task] for task in tasks),
            {key: switched[pair].switch_ps for key, pair in pairs.items()},
        ),
        latencies_ps=tuple(_range(runs, task, intervals[task]) for task in tasks),
        inference_pj=tuple(_dynamic(run, "inference", whole[task].step) for task in tasks),
        switch_pj={key: _dynamic(run, "switch", switched[pair].step) for key, pair in pairs.items()},
        standing_mw=fsum((p.mw or 0.0) * p.instances for p in standing(chip)) * placement.chips,
        run=run,
        adaption=adaption,
        dataflow=dataflow,
    )


def check_barrier(chip: Chip) -> None:
    """Raise :class:`InputError` for a chip that does not drain before it switches."""
    if chip.file.chip.switch != "barrier":
        message = "serving needs switches with a barrier: rolling ones have no time of their own; --set it to barrier"
        raise InputError(Fault(chip.origin, message, "chip.switch"))


@dataclass(frozen=True)
class _Visit:
    """A task comes, runs and goes."""

    step: int
    """Its first step, which is also its first entry in the ledger."""
    old: str
    task: str
    begun_ps: int
    """When the switch was done."""
    switch_ps: int
    outputs: tuple[int, ...]

    @property
    def run_ps(self) -> int:
        return self.outputs[-1] - self.begun_ps


def _runs(dataflow: Dataflow, moments: Moments) -> list[_Visit]:
    """Cut a schedule of single inferences into visits; a backbone at the very start has no switch."""
    starts = [at for at, moment in enumerate(dataflow.moments) if moment is not None or at == 0]
    visits = []
    for first, behind in pairwise([*starts, len(dataflow.steps)]):
        moment = dataflow.moments[first]
        task = dataflow.steps[first].entry.task
        visits.append(_Visit(
            first, moment.change.old if moment else task, task, moments.switched[first],
            moments.switched[first] - moments.begun[first], tuple(moments.last_output[first:behind]),
        ))  # fmt: skip
    return visits


def _interval(outputs: Sequence[int]) -> int:
    """Mean distance of outputs in the second half of a run, in whole picoseconds; the last one has no follower."""
    half = len(outputs) // 2 - 1
    return max(1, round((outputs[-2] - outputs[half]) / (len(outputs) - 2 - half)))


def _latency(visit: _Visit, interval_ps: int) -> int:
    """Latency of one inference, such that the run takes as long as it took."""
    return visit.run_ps - (len(visit.outputs) - 1) * interval_ps


def _range(runs: Sequence[_Visit], task: str, interval_ps: int) -> tuple[int, int]:
    found = [_latency(one, interval_ps) for one in runs if one.task == task]
    return min(found), max(found)


def _dynamic(run: Run, phase: str, entry: int) -> float:
    """Energy of one step in pJ without standing power."""
    rows = run.ledger.rows
    return fsum(r.energy_pj for r in rows if r.phase == phase and r.entry == entry and r.action not in STANDING)


def pair_counts(switches: np.ndarray) -> Counter[tuple[int, int]]:
    """How often rows of (begin, end, old, new) go from one task to another."""
    return Counter((old, new) for old, new in switches[:, 2:].tolist())
