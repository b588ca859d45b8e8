"""The timeline of a scenario: executed once more with the times of every firing recorded."""

from __future__ import annotations

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.dataflow.scenario import flatten
from xbarsim.dataflow.unroll import LIMIT
from xbarsim.engine import execute
from xbarsim.mapping import place
from xbarsim.network import Network
from xbarsim.results.trace import Timeline, check_size, timeline
from xbarsim.studies.simulate import with_data


def trace(
    chip: Chip,
    network: Network,
    method: str = "xbm",
    scenario: str | None = None,
    window: tuple[int, int] | None = None,
    *,
    engine: str = "compiled",
    activity: str = "default",
) -> Timeline:
    """Tracks, slices and counters of a scenario between ``window`` (begin, end in ps; without: all of it).

    Repeats are executed in full, nothing is skipped. Raise :class:`InputError` where that is too much to
    record or to write.
    """
    items = tuple(entry for _, entry in flatten(parse_scenario(scenario, network), LIMIT))
    adaption = Adaption.named(method)()
    placement = place(chip, adaption.extend(network))
    dataflow = plan(placement, adaption, items)
    check_size(dataflow.graph)
    if activity != "default":
        dataflow = with_data(placement, adaption, dataflow, activity)
    times = execute(dataflow.graph, engine=engine, record=True)
    title = f"{network.name} on {chip.name}, {method}"
    return timeline(dataflow.graph, times, window, placement=placement, dataflow=dataflow, title=title)
