"""The answer of an executor: when everything happened, and who still waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xbarsim.dataflow.graph import Actor, Channel, Graph, Table, Work

SCHEMA = "xbarsim.times/1"
"""The name and version that the answer carries under ``schema``."""

NOT_REACHED = -1
"""Stands for the time of what did not happen."""


@dataclass(frozen=True, eq=False)
class SegmentTimes:
    """When the segments of one actor ran, in picoseconds; -1 where not reached or without firings."""

    first_start_ps: Table
    """The earliest start among the segment's firings."""
    first_period_commit_ps: Table
    """The commit of the last firing of the segment's first period."""
    last_end_ps: Table
    """The latest end among the segment's firings; not reached before its last commit is settled."""
    last_commit_ps: Table
    """The commit of the segment's last firing."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SegmentTimes):
            return NotImplemented
        pairs = zip(self.columns(), other.columns(), strict=True)
        return all(np.array_equal(mine, yours) for mine, yours in pairs)

    def columns(self) -> tuple[Table, Table, Table, Table]:
        """Return the four columns in order of declaration."""
        return self.first_start_ps, self.first_period_commit_ps, self.last_end_ps, self.last_commit_ps


@dataclass(frozen=True, eq=False)
class Times:
    """What an executor answers about a graph; all times in picoseconds."""

    actors: tuple[str, ...]
    """Names of the actors, in the order of the graph, which all per-actor fields follow."""
    stuck: tuple[str, ...]
    """Names of the actors that did not fire as often as they should."""
    waits: tuple[str, ...]
    """One line per stuck actor and missing thing: who waits for what."""
    firings: int
    """Firings that took place, skipped ones included."""
    firings_executed: int
    """Firings that were simulated one by one."""
    makespan: int
    """The last commit; 0 if there was none."""
    busy_ps: Table
    """Sum of the service times, per unit of the graph."""
    segments: tuple[SegmentTimes, ...]
    """The segments of every actor."""
    starts: tuple[Table, ...] | None = None
    """Start of every firing per actor, -1 where not reached; None unless recorded."""
    ends: tuple[Table, ...] | None = None
    """End of every firing per actor, -1 where not reached; None unless recorded."""
    commits: tuple[Table, ...] | None = None
    """Commit of every firing per actor, -1 where not reached; None unless recorded."""

    def to_json(self) -> dict[str, Any]:
        """Return the ``"xbarsim.times/1"`` object; needs an execution with ``record=True``."""
        if self.starts is None or self.ends is None or self.commits is None:
            raise ValueError("times of single firings were not recorded: execute(graph, record=True)")
        rows = zip(self.actors, self.starts, self.ends, self.commits, strict=True)
        return {
            "schema": SCHEMA,
            "stuck": list(self.stuck),
            "actors": [
                {
                    "name": name,
                    "start_ps": starts.tolist(),
                    "end_ps": ends.tolist(),
                    "commit_ps": commits.tolist(),
                }
                for name, starts, ends, commits in rows
            ],
        }


def segment_times(actor: Actor, starts: Table, ends: Table, commits: Table) -> SegmentTimes:
    """Return the segment times of an actor from the times of its firings."""
    rows = np.full((4, len(actor.work)), NOT_REACHED, np.int64)
    first = 0
    for index, work in enumerate(actor.work):
        last = first + work.firings
        if first < last:
            started = starts[first:last][starts[first:last] != NOT_REACHED]
            done = commits[last - 1] != NOT_REACHED
            rows[0, index] = started.min() if started.size else NOT_REACHED
            rows[1, index] = commits[first + work.phases - 1]
            rows[2, index] = ends[first:last].max() if done else NOT_REACHED
            rows[3, index] = commits[last - 1]
        first = last
    return SegmentTimes(*rows)


def waiting(graph: Graph, ended: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the stuck actors and, in words, what the oldest firing of each waits for.

    ``ended`` counts, per actor, the firings before the first one that did not end. When nothing
    happens any more that one did not start, so it misses tokens or slots.
    """
    done = {actor.name: count for actor, count in zip(graph.actors, ended, strict=True)}
    stuck = tuple(actor.name for actor in graph.actors if done[actor.name] < actor.firings)
    lines: list[str] = []
    for name in stuck:
        lines += _lines(graph, name, done)
    return stuck, tuple(lines)


def _lines(graph: Graph, name: str, done: dict[str, int]) -> Iterator[str]:
    firing = done[name]
    for channel in graph.channels:
        if channel.target == name:
            missing = at_firing(channel, firing)[0] - done[channel.source]
            if missing > 0:
                tokens = "1 more token" if missing == 1 else f"{missing} more tokens"
                yield f"{name} firing {firing} waits for {tokens} of {channel.source}"
        if channel.source == name:
            ended = done[channel.target]
            released = at_firing(channel, ended - 1)[1] if ended else 0
            if firing - released >= channel.capacity:
                place = f"channel {channel.name} (capacity {channel.capacity})"
                yield f"{name} firing {firing} waits for a free slot on {place}"


def at_firing(channel: Channel, firing: int) -> tuple[int, int]:
    """Return the tokens that ``firing`` of the target needs and the slots it has then given back."""
    base = 0
    for flow in channel.flows:
        if firing < flow.firings:
            period, phase = divmod(firing, flow.phases)
            base += period * flow.step
            return base + int(flow.need[phase]), base + int(flow.release[phase])
        firing -= flow.firings
        base += flow.periods * flow.step
    raise IndexError(f"{channel.name} describes no firing {firing} past its end")


def at_work(actor: Actor) -> Iterator[tuple[int, int]]:
    """Yield service and latency of every firing, in picoseconds."""
    for work in actor.work:
        yield from _repeat(work)


def _repeat(work: Work) -> Iterator[tuple[int, int]]:
    phases = list(zip(work.service_ps.tolist(), work.latency_ps.tolist(), strict=True))
    for _ in range(work.periods):
        yield from phases
