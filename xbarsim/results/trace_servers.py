"""Which server served which firing: recorded times do not say it, the rule that the executors follow does.

Firings with copies are bound to a server. The others take, where several start at one instant, the free
servers from the lowest on, the one that has been ready longest first, lowest actor first. Since when a
firing was ready follows from the times of the tokens, slots and firings that it waited for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xbarsim.dataflow.graph import Channel, Graph

Integers = NDArray[np.int64]
PerActor = Sequence[Integers]


def find_servers(rows: Integers, ready: Integers, servers: int) -> None:
    """Fill in the servers of a unit's rows (begin, end, server or -1, kind, …), which are in order of actors."""
    order = np.lexsort((rows[:, 3], ready, rows[:, 2] < 0, rows[:, 0]))  # of an instant those that are bound first
    free_from = [0] * servers
    for at in order.tolist():
        begin, end, server = rows[at, :3].tolist()
        if server < 0:
            server = next(number for number, free in enumerate(free_from) if free <= begin)
            rows[at, 2] = server
        free_from[server] = end


def ready_ps(graph: Graph, actor: int, ends: PerActor, commits: PerActor) -> Integers:
    """Since when each firing of an actor whose firings follow each other was ready, in picoseconds."""
    names = {one.name: at for at, one in enumerate(graph.actors)}
    mine, count = graph.actors[actor].name, len(ends[actor])
    ready = np.concatenate([np.zeros(min(1, count), np.int64), ends[actor][:-1]])
    for channel in graph.channels:
        if channel.target == mine:
            ready = np.maximum(ready, _tokens(channel, commits[names[channel.source]]))
        if channel.source == mine:
            ready = np.maximum(ready, _slots(channel, count, ends[names[channel.target]]))
    return ready


def _tokens(channel: Channel, shown: Integers) -> Integers:
    """When its tokens were there for each firing of the target; of one that waits for ever, any time."""
    needed = counted(channel, "need")
    if not len(shown):
        return np.zeros_like(needed)
    return np.where(needed > 0, shown[np.clip(needed - 1, 0, len(shown) - 1)], 0)


def _slots(channel: Channel, count: int, ends: Integers) -> Integers:
    """When a slot was free for each of so many firings of the source."""
    released = counted(channel, "release")
    wanted = np.arange(count) - channel.capacity + 1
    instants = np.maximum.accumulate(done(ends))
    at = np.searchsorted(released[: len(instants)], wanted)
    known = (wanted > 0) & (at < len(instants))
    return np.where(known, instants[np.minimum(at, len(instants) - 1)], 0) if len(instants) else np.zeros_like(wanted)


def counted(channel: Channel, column: str) -> Integers:
    """Tokens needed, or slots given back (``need``, ``release``), in all at every firing of the target."""
    parts, base = [np.zeros(0, np.int64)], 0
    for flow in channel.flows:
        steps = base + flow.step * np.arange(flow.periods)
        parts.append((steps[:, None] + getattr(flow, column)[None, :]).ravel())
        base += flow.periods * flow.step
    values = np.concatenate(parts)
    return np.maximum.accumulate(values) if len(values) else values


def done(times: Integers) -> Integers:
    """Times of the firings before the first one that did not come so far: later ones are not seen either."""
    missing = np.flatnonzero(times < 0)
    return times[: int(missing[0])] if len(missing) else times
