"""One scenario on one chip: the whole way down the house."""

from __future__ import annotations

from time import perf_counter

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.dataflow import parse_scenario, plan
from xbarsim.engine import execute
from xbarsim.mapping import place
from xbarsim.network import Network
from xbarsim.results import Run, gather


def simulate(
    chip: Chip,
    network: Network,
    method: str = "xbm",
    scenario: str | None = None,
    *,
    engine: str = "compiled",
    seed: int = 0,
) -> Run:
    """Simulate ``scenario``, such as ``"rotated:100,inverted:100"``, with one adaption method.

    Without a scenario every task runs once; a network without tasks runs its backbone once. Raise
    :class:`~xbarsim.errors.InputError` if chip, network, method and scenario do not go together.
    """
    entries = parse_scenario(scenario, network)
    adaption = Adaption.named(method)()
    begun = perf_counter()
    placement = place(chip, network)
    dataflow = plan(placement, adaption, entries)
    planned = perf_counter()
    times = execute(dataflow.graph, engine=engine)
    done = perf_counter()
    return gather(placement, adaption, dataflow, times, seed, engine, planned - begun, done - planned)
