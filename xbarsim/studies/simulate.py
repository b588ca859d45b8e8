"""One scenario on one chip: the whole way down the house."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.dataflow import Dataflow, parse_scenario, plan
from xbarsim.dataflow.driven import with_shares
from xbarsim.engine import execute
from xbarsim.errors import InputError, did_you_mean
from xbarsim.mapping import Placement, place
from xbarsim.network import Network
from xbarsim.results import Run, gather
from xbarsim.results.moments import Moments


def simulate(
    chip: Chip,
    network: Network,
    method: str = "xbm",
    scenario: str | None = None,
    *,
    engine: str = "compiled",
    seed: int = 0,
    switches_per_day: float | None = None,
    activity: str = "default",
) -> Run:
    """Simulate ``scenario``, such as ``"rotated:100,inverted:100"``, with one adaption method.

    Without a scenario every task runs once; a network without tasks runs its backbone once.
    ``switches_per_day`` turns the lifetime of the result into years. ``activity="data"`` counts row drives
    and cell reads by the tasks' held-out samples instead of every row in every read. Raise
    :class:`~xbarsim.errors.InputError` if chip, network, method and scenario do not go together.
    """
    items = parse_scenario(scenario, network)
    adaption = Adaption.named(method)()
    begun = perf_counter()
    placement = place(chip, adaption.extend(network))
    dataflow = plan(placement, adaption, items)
    if activity != "default":
        dataflow = with_data(placement, adaption, dataflow, activity)
    planned = perf_counter()
    times = execute(dataflow.graph, engine=engine)
    done = perf_counter()
    run = gather(placement, adaption, dataflow, times, seed, engine, planned - begun, done - planned)
    run = replace(run, switches_per_day=switches_per_day, activity=activity)
    if not dataflow.rolling or not any(dataflow.moments):
        return run
    held = plan(with_barrier(placement), adaption, items)
    return replace(run, barrier_ps=Moments(held, execute(held.graph, engine=engine)).total_ps)


def with_data(placement: Placement, adaption: Adaption, dataflow: Dataflow, activity: str) -> Dataflow:
    """The same work, its row drives and cell reads counted by the tasks' own samples."""
    from xbarsim.studies.activity import ACTIVITIES, data_shares

    if activity not in ACTIVITIES:
        hint = did_you_mean(activity, ACTIVITIES)
        raise InputError(f"no activity {activity!r}; known: {', '.join(ACTIVITIES)}{hint}")
    return with_shares(dataflow, data_shares(placement, adaption, dataflow))


def with_barrier(placement: Placement) -> Placement:
    """The same placement on a chip that drains the pipeline before it switches."""
    file = placement.chip.file
    held = file.model_copy(update={"chip": file.chip.model_copy(update={"switch": "barrier"})})
    return replace(placement, chip=replace(placement.chip, file=held))
