"""From a placement, a method and a scenario to the dataflow graph of the whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xbarsim.adaptions import Adaption, Change, switch
from xbarsim.dataflow.draft import Draft, Role
from xbarsim.dataflow.graph import Actor, Graph, Work
from xbarsim.dataflow.inference import Inference, flows_between
from xbarsim.dataflow.routes import legs
from xbarsim.dataflow.scenario import BACKBONE, Entry
from xbarsim.dataflow.switching import Moment, Switching, moment, switch_routes
from xbarsim.errors import Fault, InputError
from xbarsim.mapping import Placement
from xbarsim.network import Task


@dataclass(frozen=True, eq=False)
class Dataflow:
    """The graph of a scenario and what its actors stand for. Segment ``k`` of any actor is entry ``k``."""

    graph: Graph
    roles: Mapping[str, Role]
    entries: tuple[Entry, ...]
    moments: tuple[Moment | None, ...]
    """The switch before each entry; nothing where the task stays."""
    first: tuple[str, ...]
    """Actors that start an inference."""
    last: str
    """Actor that gives the outputs."""
    switching: tuple[str, ...]
    """Actors that end a switch."""


def plan(placement: Placement, adaption: Adaption, entries: Sequence[Entry]) -> Dataflow:
    """Plan a scenario. Raise :class:`InputError` if chip, network and method do not go together."""
    placement.check()
    _check_units(placement, adaption, entries)
    moments = _moments(placement, adaption, entries)
    switched = any(moments)
    routes = legs({**flows_between(placement), **(switch_routes(placement) if switched else {})})
    draft = Draft()
    inference = Inference(draft, placement, adaption, entries, routes)
    inference.build()
    switching = Switching(draft, placement, moments, routes)
    if switched:
        outputs = _image_periods(draft, inference.last, entries, placement)
        switching.build()
        switching.hold(inference.first, inference.last, outputs)
    else:
        _image_periods(draft, inference.last, entries, placement)
    first = tuple(name for name, _ in inference.first)
    return Dataflow(
        draft.graph(), draft.roles, tuple(entries), moments, first, inference.last, tuple(switching.last)
    )  # fmt: skip


def _moments(placement: Placement, adaption: Adaption, entries: Sequence[Entry]) -> tuple[Moment | None, ...]:
    """The switch before each entry; each distinct pair of tasks is worked out once."""
    found: dict[tuple[str, str], Moment] = {}
    moments: list[Moment | None] = []
    current = BACKBONE
    for entry in entries:
        pair = (current, entry.task)
        if entry.task == current:
            moments.append(None)
            continue
        if pair not in found:
            found[pair] = moment(placement, adaption, _change(placement, adaption, *pair))
        moments.append(found[pair])
        current = entry.task
    return tuple(moments)


def _change(placement: Placement, adaption: Adaption, old: str, new: str) -> Change:
    return switch(adaption, placement, task_of(placement, old), task_of(placement, new))


def task_of(placement: Placement, name: str) -> Task | None:
    """The task of a name, nothing for the backbone."""
    return None if name == BACKBONE else placement.network.task(name)


def _image_periods(draft: Draft, last: str, entries: Sequence[Entry], placement: Placement) -> list[int]:
    """Make one image one period of the output actor; return the outputs before each entry."""
    at = next(number for number, actor in enumerate(draft.actors) if actor.name == last)
    actor, windows = draft.actors[at], placement.stages[-1].windows
    works = [
        Work(entry.inferences, np.tile(work.service_ps, windows), np.tile(work.latency_ps, windows))
        for entry, work in zip(entries, actor.work, strict=True)
    ]
    draft.actors[at] = Actor(actor.name, actor.unit, tuple(works), actor.copies, actor.group)
    done = np.cumsum([0] + [entry.inferences * windows for entry in entries])
    return [int(number) for number in done[:-1]]


def _check_units(placement: Placement, adaption: Adaption, entries: Sequence[Entry]) -> None:
    """Refuse what the chip has no unit for, and tasks that the bundle has no tensors for."""
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
                task.needs(adaption.name)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
