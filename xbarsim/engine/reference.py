"""The reference executor: the rule of time in SimPy, written to be read.

1. Time is integer picoseconds. Rates and times are exact rationals parsed from the decimal text (1.28 GS/s is
   781.25 ps); only a firing's *whole* service time is rounded, up, once, to at least 1 ps; ``check`` warns
   above 0.1 % error.
2. ``ready(i)`` = the latest of: its tokens became available; an output slot became available on every
   output channel (``i - released < capacity``: by index, so a later copy never takes an earlier firing's
   slot); the previous firing it must follow ended (of its server with copies, of the actor otherwise).
   Slots are reserved at start.
3. All completions and token arrivals of an instant take effect first. Then every free server takes, among
   the firings waiting for its unit, the one with the earliest ``ready``, lowest actor index first; repeat
   until nothing more starts.
4. Firings commit in order: ``commit(i) = max(end(i) + latency(i), commit(i-1))``. Tokens appear at commit;
   inputs are released at ``max(end(i), release instant of i-1)``; the server is free at ``end(i)``.

Every *lane* (the firings that must follow each other) is one SimPy process; every unit has one arbiter
that runs after all other events of the instant. ``simpy.Resource`` would grant inside the release and
break rule 3.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Generator
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import simpy
from simpy.events import EventPriority

from xbarsim.dataflow.graph import Actor, Channel, Graph, Unit
from xbarsim.engine.times import NOT_REACHED, Times, at_work, segment_times, waiting

LAST = EventPriority(2)
"""Priority of an arbiter's choice: after the urgent (0) and normal (1) events of the same instant."""

Process = Generator[simpy.Event, Any, None]


class Counter:
    """A number that only grows, and events that happen when it reaches a threshold."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self.value = 0
        self.waiters: list[tuple[int, int, simpy.Event]] = []
        self.order = count()

    def reach(self, threshold: int) -> simpy.Event:
        """Return the event that the counter, lower so far, is at least ``threshold``."""
        event = self.env.event()
        heapq.heappush(self.waiters, (threshold, next(self.order), event))
        return event

    def rise(self, value: int) -> None:
        """Let the counter be ``value``."""
        self.value = value
        while self.waiters and self.waiters[0][0] <= value:
            heapq.heappop(self.waiters)[2].succeed()


class Pipe:
    """A channel at work: tokens committed by the source, slots released by the target."""

    def __init__(self, env: simpy.Environment, channel: Channel) -> None:
        self.capacity = channel.capacity
        self.tokens = Counter(env)
        self.slots = Counter(env)
        self.needs: list[int] = []
        self.releases: list[int] = []
        base = 0
        for flow in channel.flows:
            need, release = flow.need.tolist(), flow.release.tolist()
            for _ in range(flow.periods):
                self.needs += [base + tokens for tokens in need]
                self.releases += [base + slots for slots in release]
                base += flow.step


class Arbiter:
    """Gives the servers of one unit to waiting firings, once per instant, after all that happens in it."""

    def __init__(self, env: simpy.Environment, unit: Unit) -> None:
        self.env = env
        self.free = [True] * unit.servers
        self.waiting: list[tuple[int, int, int | None, simpy.Event]] = []
        self.pending = False
        self.busy_ps = 0

    def request(self, actor: int, server: int | None) -> simpy.Event:
        """Return the event, with the server as its value, that a firing ready now is served.

        ``server`` is the one it must run on, or None for any.
        """
        grant = self.env.event()
        self.waiting.append((int(self.env.now), actor, server, grant))
        self.choose_later()
        return grant

    def release(self, server: int) -> None:
        """Free ``server``."""
        self.free[server] = True
        self.choose_later()

    def choose_later(self) -> None:
        """See to it that the free servers choose at the end of this instant."""
        if not self.pending:
            self.pending = True
            event = simpy.Event(self.env)
            event._ok, event._value = True, None
            event.callbacks = [self.choose]
            self.env.schedule(event, priority=LAST)

    def choose(self, event: simpy.Event) -> None:
        """Let every free server, ascending, take the first of the firings it may serve."""
        self.pending = False
        for server, free in enumerate(self.free):
            able = [firing for firing in self.waiting if firing[2] in (None, server)]
            if free and able:
                first = min(able, key=lambda firing: firing[:2])
                self.waiting.remove(first)
                self.free[server] = False
                first[3].succeed(server)


class Stage:
    """An actor at work."""

    def __init__(self, env: simpy.Environment, index: int, actor: Actor, arbiter: Arbiter) -> None:
        self.env, self.index, self.actor, self.arbiter = env, index, actor, arbiter
        self.inputs: list[Pipe] = []
        self.outputs: list[Pipe] = []
        self.work = list(at_work(actor))
        self.starts = [NOT_REACHED] * actor.firings
        self.ends = [NOT_REACHED] * actor.firings
        self.commits = [NOT_REACHED] * actor.firings
        self.ended = 0
        self.last_commit = 0

    def lanes(self) -> dict[int | None, list[int]]:
        """Return the firings per server that they must run on, or all of them under None."""
        if not self.actor.copies:
            return {None: list(range(self.actor.firings))}
        lanes: dict[int | None, list[int]] = defaultdict(list)
        for firing in range(self.actor.firings):
            lanes[firing // self.actor.group % len(self.arbiter.free)].append(firing)
        return lanes

    def run(self, server: int | None, firings: list[int]) -> Process:
        """Fire ``firings`` one after the other."""
        env = self.env
        for firing in firings:
            for pipe in self.inputs:
                if pipe.tokens.value < pipe.needs[firing]:
                    yield pipe.tokens.reach(pipe.needs[firing])
            for pipe in self.outputs:
                if firing - pipe.slots.value >= pipe.capacity:
                    yield pipe.slots.reach(firing - pipe.capacity + 1)
            granted = yield self.arbiter.request(self.index, server)
            service_ps = self.work[firing][0]
            self.starts[firing] = int(env.now)
            self.arbiter.busy_ps += service_ps
            yield env.timeout(service_ps)
            self.arbiter.release(granted)
            self.ends[firing] = int(env.now)
            self.finish()

    def finish(self) -> None:
        """Release the inputs and commit the tokens of every firing that ended after all before it."""
        while self.ended < self.actor.firings and self.ends[self.ended] != NOT_REACHED:
            firing = self.ended
            self.ended += 1
            for pipe in self.inputs:
                pipe.slots.rise(pipe.releases[firing])
            self.last_commit = max(self.ends[firing] + self.work[firing][1], self.last_commit)
            self.commits[firing] = self.last_commit
            shown = self.env.timeout(self.last_commit - int(self.env.now))
            shown.callbacks.append(partial(self.commit, firing + 1))

    def commit(self, tokens: int, shown: simpy.Event) -> None:
        """Let the targets see ``tokens`` tokens in all."""
        for pipe in self.outputs:
            pipe.tokens.rise(tokens)


def execute(graph: Graph, record: bool = False) -> Times:
    """Execute ``graph`` by the rule of time; the times are recorded in any case, ``record`` shows them."""
    env = simpy.Environment(initial_time=0)
    arbiters = {unit.name: Arbiter(env, unit) for unit in graph.units}
    stages = [Stage(env, index, actor, arbiters[actor.unit]) for index, actor in enumerate(graph.actors)]
    by_name = {stage.actor.name: stage for stage in stages}
    for channel in graph.channels:
        pipe = Pipe(env, channel)
        by_name[channel.source].outputs.append(pipe)
        by_name[channel.target].inputs.append(pipe)
    for stage in stages:
        for server, firings in stage.lanes().items():
            env.process(stage.run(server, firings))
    env.run()
    return _times(graph, arbiters, stages, record)


def _times(graph: Graph, arbiters: dict[str, Arbiter], stages: list[Stage], record: bool) -> Times:
    stuck, waits = waiting(graph, [stage.ended for stage in stages])
    firings = sum(len(stage.ends) - stage.ends.count(NOT_REACHED) for stage in stages)
    starts = tuple(np.array(stage.starts, np.int64) for stage in stages)
    ends = tuple(np.array(stage.ends, np.int64) for stage in stages)
    commits = tuple(np.array(stage.commits, np.int64) for stage in stages)
    return Times(
        actors=tuple(stage.actor.name for stage in stages),
        stuck=stuck,
        waits=waits,
        firings=firings,
        firings_executed=firings,
        makespan=max((stage.last_commit for stage in stages), default=0),
        busy_ps=np.array([arbiters[unit.name].busy_ps for unit in graph.units], np.int64),
        segments=tuple(map(segment_times, graph.actors, starts, ends, commits)),
        starts=starts if record else None,
        ends=ends if record else None,
        commits=commits if record else None,
    )
