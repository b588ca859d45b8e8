"""From a placement, a method and a scenario to the dataflow graph of the whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from xbarsim.adaptions import Adaption, switch
from xbarsim.adaptions.change import BACKBONE
from xbarsim.dataflow.draft import Draft, Role
from xbarsim.dataflow.graph import Actor, Graph, Work
from xbarsim.dataflow.inference import Inference, flows_between
from xbarsim.dataflow.parcels import Moment, moment
from xbarsim.dataflow.routes import legs
from xbarsim.dataflow.scenario import Entry, Scenario, leaves
from xbarsim.dataflow.switching import Switching, switch_routes
from xbarsim.dataflow.unroll import Step, fold_steps, foldable, steps_of, trial
from xbarsim.errors import Fault, InputError
from xbarsim.mapping import Placement
from xbarsim.network import Task


@dataclass(frozen=True, eq=False)
class Dataflow:
    """The graph of a scenario and what its actors stand for. Segment ``k`` of any actor is step ``k``."""

    graph: Graph
    roles: Mapping[str, Role]
    steps: tuple[Step, ...]
    """Entries as they are planned, in order; a step stands for ``weight`` entries of the scenario."""
    moments: tuple[Moment | None, ...]
    """The switch before each step; nothing where the task stays."""
    first: tuple[str, ...]
    """Actors that start an inference."""
    last: str
    """Actor that gives the outputs."""
    switching: tuple[str, ...]
    """Actors that end a switch."""
    rolling: bool
    """Layers switch one by one behind the pipeline."""
    ahead: frozenset[str]
    """Actors of ``switching`` that write a second buffer while the old task still runs."""

    @property
    def moves(self) -> list[tuple[Moment, int]]:
        """The distinct switches and how often the scenario makes each."""
        times: dict[int, int] = {}
        distinct: dict[int, Moment] = {}
        for step, switched in zip(self.steps, self.moments, strict=True):
            if switched is not None:
                distinct[id(switched)] = switched
                times[id(switched)] = times.get(id(switched), 0) + step.weight
        return [(switched, times[key]) for key, switched in distinct.items()]

    @property
    def firings(self) -> int:
        """Firings of the whole scenario, folded repeats included."""
        return sum(
            step.weight * sum(actor.work[at].firings for actor in self.graph.actors)
            for at, step in enumerate(self.steps)
        )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of the steps."""
        return tuple(step.entry for step in self.steps)


def plan(placement: Placement, adaption: Adaption, items: Scenario) -> Dataflow:
    """Plan a scenario. Raise :class:`InputError` if chip, network and method do not go together.

    With a barrier, groups of many repeats are folded: see :mod:`xbarsim.dataflow.unroll`.
    """
    placement.check()
    _check_units(placement, adaption, leaves(items))
    moments = _Moments(placement, adaption)
    if placement.chip.file.chip.switch == "barrier" and foldable(items):
        learned = _plan(placement, adaption, steps_of(trial(items)), moments)
        return _plan(placement, adaption, fold_steps(items, learned.graph), moments)
    return _plan(placement, adaption, steps_of(items), moments)


def _plan(placement: Placement, adaption: Adaption, steps: Sequence[Step], known: _Moments) -> Dataflow:
    entries = [step.entry for step in steps]
    moments = known.before(entries)
    switched = any(moments)
    routes = legs({**flows_between(placement), **switch_routes(placement)})  # which links are shared, whatever comes
    draft = Draft()
    inference = Inference(draft, placement, adaption, entries, routes)
    inference.build()
    _image_periods(draft, inference.last, entries, placement)
    switching = Switching(draft, placement, moments, routes)
    rolling = placement.chip.file.chip.switch == "rolling"
    if switched:
        switching.build()
        if rolling:
            switching.roll(inference.first, [entry.inferences for entry in entries])
        else:
            ends = [(inference.last, placement.stages[-1].windows), *inference.drains]
            switching.hold(inference.first, ends, [entry.inferences for entry in entries])
    return Dataflow(
        draft.graph(), draft.roles, tuple(steps), moments, tuple(name for name, _ in inference.first),
        inference.last, tuple(switching.last), rolling, frozenset(switching.ahead if rolling else ()),
    )  # fmt: skip


class _Moments:
    """Switches of a scenario; each distinct pair of tasks is worked out once."""

    def __init__(self, placement: Placement, adaption: Adaption) -> None:
        self.placement, self.adaption = placement, adaption
        self.found: dict[tuple[str, str], Moment] = {}

    def before(self, entries: Sequence[Entry]) -> tuple[Moment | None, ...]:
        """The switch before each entry."""
        tasks = [BACKBONE, *(entry.task for entry in entries)]
        return tuple(None if old == new else self._switch(old, new) for old, new in pairwise(tasks))

    def _switch(self, old: str, new: str) -> Moment:
        if (old, new) not in self.found:
            tasks = (task_of(self.placement, old), task_of(self.placement, new))
            change = switch(self.adaption, self.placement, *tasks)
            self.found[old, new] = moment(self.placement, self.adaption, change)
        return self.found[old, new]


def task_of(placement: Placement, name: str) -> Task | None:
    """The task of a name, nothing for the backbone."""
    return None if name == BACKBONE else placement.network.task(name)


def _image_periods(draft: Draft, last: str, entries: Sequence[Entry], placement: Placement) -> None:
    """Make one image one period of the output actor, so that its first output has an instant of its own."""
    at = next(number for number, actor in enumerate(draft.actors) if actor.name == last)
    actor, windows = draft.actors[at], placement.stages[-1].windows
    works = [
        Work(entry.inferences, np.tile(work.service_ps, windows), np.tile(work.latency_ps, windows))
        for entry, work in zip(entries, actor.work, strict=True)
    ]
    draft.actors[at] = Actor(actor.name, actor.unit, tuple(works), actor.copies, actor.group)


def _check_units(placement: Placement, adaption: Adaption, entries: Sequence[Entry]) -> None:
    """Refuse what the chip has no unit for, and tasks that lack tensors that the method needs."""
    chip = placement.chip
    faults: list[Fault] = []
    tasks = [entry.task for entry in entries if entry.task != BACKBONE]
    if tasks and adaption.gates and chip.file.gate is None:
        message = f"chip {chip.name!r} has no column gates, which method {adaption.name!r} needs; add a gate section"
        faults.append(Fault(chip.origin, message, "gate"))
    products = [stage.name for stage in placement.stages if stage.op == "matmul"]
    if products and chip.file.vector is None:
        message = f"chip {chip.name!r} has no vector unit for products of two activations ({products[0]}, …)"
        faults.append(Fault(chip.origin, message, "vector"))
    for name in dict.fromkeys(tasks):
        task = task_of(placement, name)
        try:
            if task is not None:
                adaption.check(chip, task)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
