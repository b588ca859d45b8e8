"""Small measurements on a chip: one scenario down the whole house, and what its actors and components did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import fsum
from pathlib import Path

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.dataflow import Dataflow, parse_scenario, plan
from xbarsim.dataflow.graph import Graph
from xbarsim.engine import execute
from xbarsim.engine.times import Times
from xbarsim.mapping import Placement, place
from xbarsim.network import load_network
from xbarsim.results import Run, gather
from xbarsim.units import PS_PER_NS

METHOD = "finetune"
"""Method of measurements that switch nothing."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A finished run with its graph and times."""

    run: Run
    graph: Graph
    times: Times
    images: int

    @property
    def placement(self) -> Placement:
        """Where the network sat."""
        return self.run.placement

    @property
    def interval_ns(self) -> float:
        """Time between two inferences."""
        row = self.run.inferences[0]
        return row.span_ps / (row.inferences - 1) / PS_PER_NS

    @property
    def latency_ns(self) -> float:
        """Time of the first inference."""
        return self.run.inferences[0].first_latency_ps / PS_PER_NS

    def from_to_ns(self, first: str, last: str) -> float:
        """Time from the first start of one actor to the last token of another."""
        segments = dict(zip(self.times.actors, self.times.segments, strict=True))
        begun = int(segments[first].first_start_ps[0])
        return (int(segments[last].last_commit_ps[0]) - begun) / PS_PER_NS

    def busy_ns(self, unit: str) -> float:
        """Time that a unit worked in all."""
        names = [one.name for one in self.graph.units]
        return int(self.times.busy_ps[names.index(unit)]) / PS_PER_NS

    def count(self, component: str, action: str) -> float:
        """Actions of one inference."""
        return self.run.ledger.count(phase="inference", component=component, action=action) / self.images

    def energy_pj(self, *components: str) -> float:
        """Energy of the actions of some components in one inference; leakage and static power left out."""
        rows = [
            row.energy_pj
            for row in self.run.ledger.rows
            if row.phase == "inference" and row.component in components and row.action not in ("leakage", "static")
        ]
        return fsum(rows) / self.images

    @property
    def macs(self) -> int:
        """Products of a weight and an input in one inference, in crossbars."""
        layers = (site.grid.layer for site in self.placement.sites.values())
        return sum(layer.weights * layer.windows for layer in layers)

    @property
    def gops(self) -> float:
        """Operations per nanosecond, two for each product."""
        return 2 * self.macs / self.interval_ns


@lru_cache(maxsize=64)
def _bench(key: tuple[str, tuple[str, ...]], network: str, images: int) -> Bench:
    from xbarsim.chip import load_chip

    placement = place(load_chip(*key), load_network(network))
    adaption = Adaption.named(METHOD)()
    dataflow: Dataflow = plan(placement, adaption, parse_scenario(f"backbone:{images}", placement.network))
    times = execute(dataflow.graph)
    run = gather(placement, adaption, dataflow, times, 0, "compiled", 0.0, 0.0)
    return Bench(run, dataflow.graph, times, images)


def bench(chip: Chip, network: str, images: int = 1) -> Bench:
    """Run so many inferences of a network without tasks; the same measurement is made once."""
    return _bench((str(Path(chip.origin).resolve()), chip.overrides), network, images)
