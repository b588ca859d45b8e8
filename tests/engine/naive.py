"""A third executor, written from the text of the rule alone: try every picosecond, look everything up.

Nothing is remembered but the start of every firing; ends, commits, releases and ready times are worked out
again from their definitions each time somebody asks.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

from xbarsim.dataflow.graph import Actor, Channel, Graph


def firings_of(actor: Actor) -> list[tuple[int, int]]:
    """(service, latency) of every firing."""
    return [
        (int(work.service_ps[phase]), int(work.latency_ps[phase]))
        for work in actor.work
        for _ in range(work.periods)
        for phase in range(len(work.service_ps))
    ]


def needs_of(channel: Channel) -> list[tuple[int, int]]:
    """(need, release) of every firing of the target."""
    table, base = [], 0
    for flow in channel.flows:
        for period in range(flow.periods):
            for need, release in zip(flow.need, flow.release, strict=True):
                table.append((base + period * flow.step + int(need), base + period * flow.step + int(release)))
        base += flow.periods * flow.step
    return table


class Naive:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.unit = {unit.name: unit for unit in graph.units}
        self.actor = {actor.name: actor for actor in graph.actors}
        self.times = {actor.name: firings_of(actor) for actor in graph.actors}
        self.table = [needs_of(channel) for channel in graph.channels]
        self.starts: dict[str, dict[int, int]] = {actor.name: {} for actor in graph.actors}
        self.taken: dict[tuple[str, int], int] = {}
        self.bounds: Counter[str] = Counter()
        """What the ready times came from, and how often a tie was broken; for judging the samples."""
        self.run()

    # What follows from the starts.

    def end(self, name: str, i: int) -> int | None:
        start = self.starts[name].get(i)
        return None if start is None else start + self.times[name][i][0]

    def commit(self, name: str, i: int) -> int | None:
        latest = 0
        for j in range(i + 1):
            end = self.end(name, j)
            if end is None:
                return None
            latest = max(latest, end + self.times[name][j][1])
        return latest

    def released(self, name: str, i: int) -> int | None:
        """When firing i of an actor gives its inputs back."""
        latest = 0
        for j in range(i + 1):
            end = self.end(name, j)
            if end is None:
                return None
            latest = max(latest, end)
        return latest

    def lane(self, name: str, i: int) -> int | None:
        """The server that firing i must run on, None for any."""
        actor = self.actor[name]
        return (i // actor.group) % self.unit[actor.unit].servers if actor.copies else None

    @cache  # noqa: B019 (lives as long as one test)
    def predecessor(self, name: str, i: int) -> int | None:
        same = [j for j in range(i) if self.lane(name, j) == self.lane(name, i)]
        return same[-1] if same else None

    def ready(self, name: str, i: int) -> int | None:
        """The instant at which firing i has all it needs, None if that is not known yet."""
        instants = self.instants(name, i)
        return None if None in instants.values() else max(instants.values())  # type: ignore[type-var]

    def instants(self, name: str, i: int) -> dict[str, int | None]:
        """When each thing that firing i must wait for comes true, None if that is not known yet."""
        instants: dict[str, int | None] = {"start": 0}
        previous = self.predecessor(name, i)
        if previous is not None:
            instants["previous"] = self.end(name, previous)
        for channel, table in zip(self.graph.channels, self.table, strict=True):
            if channel.target == name and table[i][0] > 0:
                token = table[i][0] - 1
                produced = token < len(self.times[channel.source])
                instants[f"token {channel}"] = self.commit(channel.source, token) if produced else None
            if channel.source == name and i >= channel.capacity:
                frees = [j for j, (_, release) in enumerate(table) if i - release < channel.capacity]
                instants[f"slot {channel}"] = self.released(channel.target, frees[0]) if frees else None
        return instants

    # Time.

    def run(self) -> None:
        now = last = 0
        while now <= last:
            for unit in self.graph.units:
                for server in range(unit.servers):
                    end = self.serve(unit.name, server, now)
                    last = max(last, end)
            now += 1

    def serve(self, unit: str, server: int, now: int) -> int:
        """Let a server take a firing if it is free; return the last instant at which that changes something."""
        if self.taken.get((unit, server), 0) > now:
            return now
        waiting = []
        for index, actor in enumerate(self.graph.actors):
            if actor.unit == unit:
                for i in self.unstarted(actor):
                    if self.lane(actor.name, i) in (None, server):
                        ready = self.ready(actor.name, i)
                        if ready is not None and ready <= now:
                            waiting.append((ready, index, i))
                        break
        if not waiting:
            return now
        ready, index, i = min(waiting)
        self.bounds["tie"] += [firing[0] for firing in waiting].count(ready) > 1
        self.bounds["later actor first"] += index > min(firing[1] for firing in waiting)
        name = self.graph.actors[index].name
        instants = self.instants(name, i)
        self.bounds.update({what.split()[0] for what, time in instants.items() if time == ready > 0})
        self.starts[name][i] = now
        self.taken[unit, server] = end = self.end(name, i)  # type: ignore[assignment]
        return end + max(latency for _, latency in self.times[name])  # type: ignore[operator]

    def unstarted(self, actor: Actor) -> list[int]:
        if not actor.copies:
            i = len(self.starts[actor.name])
            return [i] if i < len(self.times[actor.name]) else []
        return [i for i in range(len(self.times[actor.name])) if i not in self.starts[actor.name]]

    # The answer, in the form of the executors'.

    def column(self, what: str) -> list[list[int]]:
        read = {"start": lambda name, i: self.starts[name].get(i), "end": self.end, "commit": self.commit}[what]
        return [
            [-1 if (time := read(name, i)) is None else time for i in range(len(times))]
            for name, times in self.times.items()
        ]
