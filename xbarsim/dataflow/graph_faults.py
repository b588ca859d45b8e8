"""What can be wrong with a dataflow graph, each fault with its place and the rule it breaks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from xbarsim.dataflow.graph import Actor, Channel, Flow, Unit, Work
from xbarsim.errors import Fault, did_you_mean

LARGEST = 2**60
"""Upper bound of every number in a graph and of every total, so that times fit 64 bits (13 days in ps)."""


def graph_faults(
    units: Sequence[Unit],
    actors: Sequence[Actor],
    channels: Sequence[Channel],
    file: str = "graph",
    unread: Collection[str] = (),
) -> list[Fault]:
    """Return every fault of a graph.

    ``unread`` holds the paths (``actors[3]``) whose segments are known to be incomplete; totals over
    them are not judged.
    """
    return list(_Checker(units, actors, channels, file, unread).faults())


class _Checker:
    def __init__(
        self,
        units: Sequence[Unit],
        actors: Sequence[Actor],
        channels: Sequence[Channel],
        file: str,
        unread: Collection[str],
    ) -> None:
        self.units, self.actors, self.channels = units, actors, channels
        self.file, self.unread = file, unread
        self.unit_names = {unit.name for unit in units}
        self.by_name = {actor.name: (index, actor) for index, actor in enumerate(actors)}
        self.checked: set[int] = set()
        """Identities of the segments already judged: a shared one is reported once."""

    def faults(self) -> Iterator[Fault]:
        yield from self.names("units", [unit.name for unit in self.units])
        yield from self.names("actors", [actor.name for actor in self.actors])
        for index, unit in enumerate(self.units):
            yield from self.at_least(f"units[{index}].servers", unit.servers, 1)
        for index, actor in enumerate(self.actors):
            yield from self.actor(actor, f"actors[{index}]")
        for index, channel in enumerate(self.channels):
            yield from self.channel(channel, f"channels[{index}]")
        yield from self.busy()

    def fault(self, path: str, message: str) -> Fault:
        return Fault(self.file, message, path)

    def names(self, key: str, names: Sequence[str]) -> Iterator[Fault]:
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            if name and first.setdefault(name, index) != index:
                message = f"the name {name!r} is taken by {key}[{first[name]}]"
                yield self.fault(f"{key}[{index}].name", message)

    def at_least(self, path: str, value: int, least: int) -> Iterator[Fault]:
        if value < least:
            yield self.fault(path, f"{value} is below the minimum {least}")
        elif value > LARGEST:
            yield self.fault(path, f"{value} is above the maximum {LARGEST}")

    def tables(self, path: str, values: np.ndarray, least: int) -> Iterator[Fault]:
        for place in (int(values.argmin()), int(values.argmax())):
            found = list(self.at_least(f"{path}[{place}]", int(values[place]), least))
            yield from found
            if found:
                return

    def actor(self, actor: Actor, path: str) -> Iterator[Fault]:
        yield from self.at_least(f"{path}.group", actor.group, 1)
        if actor.unit and actor.unit not in self.unit_names:
            hint = did_you_mean(actor.unit, self.unit_names)
            yield self.fault(f"{path}.unit", f"no unit {actor.unit!r}{hint}")
        for index, work in enumerate(actor.work):
            if id(work) not in self.checked:
                self.checked.add(id(work))
                yield from self.work(work, f"{path}.segments[{index}]")
        if actor.firings > LARGEST:
            yield self.fault(path, f"{actor.firings} firings are above the maximum {LARGEST}")

    def work(self, work: Work, path: str) -> Iterator[Fault]:
        yield from self.at_least(f"{path}.periods", work.periods, 0)
        yield from self.tables(f"{path}.service_ps", work.service_ps, 1)
        yield from self.tables(f"{path}.latency_ps", work.latency_ps, 0)
        if len(work.service_ps) != len(work.latency_ps):
            sizes = f"{len(work.service_ps)} phases but latency_ps has {len(work.latency_ps)}"
            yield self.fault(path, f"service_ps has {sizes}")

    def channel(self, channel: Channel, path: str) -> Iterator[Fault]:
        yield from self.at_least(f"{path}.capacity", channel.capacity, 1)
        for key, name in (("from", channel.source), ("to", channel.target)):
            if name and name not in self.by_name:
                yield self.fault(f"{path}.{key}", f"no actor {name!r}{did_you_mean(name, self.by_name)}")
        for index, flow in enumerate(channel.flows):
            if id(flow) not in self.checked:
                self.checked.add(id(flow))
                yield from self.flow(flow, f"{path}.segments[{index}]")
        if path not in self.unread:
            yield from self.totals(channel, path)

    def flow(self, flow: Flow, path: str) -> Iterator[Fault]:
        yield from self.at_least(f"{path}.periods", flow.periods, 0)
        yield from self.at_least(f"{path}.step", flow.step, 0)
        yield from self.tables(f"{path}.need", flow.need, 0)
        yield from self.tables(f"{path}.release", flow.release, 0)
        if len(flow.need) != len(flow.release):
            yield self.fault(path, f"need has {len(flow.need)} phases but release has {len(flow.release)}")
        falls = np.flatnonzero(np.diff(flow.release) < 0)
        if falls.size:
            before, after = flow.release[falls[0] : falls[0] + 2].tolist()
            place = f"{path}.release[{falls[0] + 1}]"
            yield self.fault(place, f"release must not decrease: {after} follows {before}")
        elif flow.periods > 1 and flow.release[0] + flow.step < flow.release[-1]:
            again = int(flow.release[0]) + flow.step
            message = f"release must not decrease: {again} (next period) follows {int(flow.release[-1])}"
            yield self.fault(f"{path}.release", message)

    def totals(self, channel: Channel, path: str) -> Iterator[Fault]:
        """Judge the segments together: their number of firings, and releases across their borders."""
        index, target = self.by_name.get(channel.target, (0, None))
        if target and f"actors[{index}]" not in self.unread and channel.firings != target.firings:
            message = f"{channel.firings} firings, but {target.name!r} fires {target.firings} times"
            yield self.fault(f"{path}.segments", message)
        base = given = 0
        for number, flow in enumerate(channel.flows):
            if flow.periods < 1:
                continue
            first = base + int(flow.release[0])
            if first < given:
                message = f"release must not decrease: {first} follows {given} of the segment before"
                yield self.fault(f"{path}.segments[{number}].release", message)
                return
            given = base + (flow.periods - 1) * flow.step + int(flow.release.max())
            needed = base + (flow.periods - 1) * flow.step + int(flow.need.max())
            base += flow.periods * flow.step
            if max(given, needed, base) > LARGEST:
                yield self.fault(f"{path}.segments[{number}]", f"token counts pass the maximum {LARGEST}")
                return

    def busy(self) -> Iterator[Fault]:
        """Judge that the busy time of every unit fits 63 bits."""
        sums: dict[int, int] = {}
        busy: dict[str, int] = {}
        for actor in self.actors:
            for work in actor.work:
                if id(work) not in sums:
                    sums[id(work)] = sum(work.service_ps.tolist())
                busy[actor.unit] = busy.get(actor.unit, 0) + work.periods * sums[id(work)]
        for index, unit in enumerate(self.units):
            if busy.get(unit.name, 0) >= 2**63:
                message = f"{busy[unit.name]} ps of service are more than 64 bits hold"
                yield self.fault(f"units[{index}]", message)
