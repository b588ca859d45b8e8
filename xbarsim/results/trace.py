"""A timeline to look at: one track per server of every unit, counters of power and of queues.

:func:`timeline` turns recorded times into tracks, slices and counters;
:func:`xbarsim.results.trace_files.write_trace` writes them.

* A slice is a firing. Where any server of a unit may serve it, the server is found by the rule that the
  executors follow: the lowest one that is free at that instant.
* *Power* is the dynamic energy of a step's firings, spread over their service times: its integral over a
  window is the energy of the (parts of) slices in it. Standing power is left out.
* *Tokens* of a channel: shown by its source and not yet given back by its target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.chip.prices import Action, prices
from xbarsim.dataflow import Dataflow
from xbarsim.dataflow.draft import Role
from xbarsim.dataflow.graph import Actor, Graph, Unit
from xbarsim.engine.times import Times
from xbarsim.errors import Fault, InputError
from xbarsim.mapping import Placement
from xbarsim.results.trace_servers import counted, done, find_servers, ready_ps

Integers = NDArray[np.int64]

MOST_RECORDED = 20_000_000
"""Most firings whose times are recorded: 24 bytes each."""

MOST_EVENTS = 2_000_000
"""Most slices and counter samples of a trace; viewers get slow beyond."""

SHARED = "network and shared units"
WHOLE = "chip"
POWER, TOKENS = "dynamic power", "tokens"


@dataclass(frozen=True)
class Track:
    """One server of a unit."""

    process: str
    """The layer whose tiles it stands in, or what it shares them with."""
    thread: str


@dataclass(frozen=True)
class Kind:
    """What the firings of one actor in one step have in common."""

    name: str
    """layer/stage."""
    args: Mapping[str, Any]
    power_mw: float = 0.0
    """Dynamic power while one of them is served."""


@dataclass(frozen=True, eq=False)
class Counter:
    """A value that changes at instants."""

    process: str
    name: str
    unit: str
    times_ps: Integers
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Timeline:
    """Tracks, slices and counters of a window."""

    title: str
    begin_ps: int
    end_ps: int
    tracks: tuple[Track, ...]
    kinds: tuple[Kind, ...]
    slices: Integers
    """Rows of (begin, end, track, kind, firing), cut to the window, in order of begin."""
    counters: tuple[Counter, ...]

    @property
    def events(self) -> int:
        """Slices and counter samples."""
        return len(self.slices) + sum(len(counter.times_ps) for counter in self.counters)


def check_size(graph: Graph) -> None:
    """Refuse graphs whose times are too many to record."""
    if graph.firings > MOST_RECORDED:
        size = graph.firings * 24 / 1e6
        message = (
            f"the scenario has {graph.firings:,} firings ({size:,.0f} MB of times), at most {MOST_RECORDED:,} are "
            "recorded; trace a shorter --scenario"
        )
        raise InputError(Fault("--trace", message))


def timeline(
    graph: Graph, times: Times, window: tuple[int, int] | None = None, *,
    placement: Placement | None = None, dataflow: Dataflow | None = None, title: str = "xbarsim",
) -> Timeline:  # fmt: skip
    """Tracks, slices and counters of recorded ``times`` between ``window`` (begin, end in ps; without: all).

    With the ``placement`` and ``dataflow`` of the graph slices know task and counts, and there is power.
    Raise :class:`InputError` for a window without anything, and for too many events.
    """
    last = max([times.makespan, *(int(ends.max(initial=0)) for ends in _recorded(times)[1])])
    begin, end = window or (0, last)
    if begin >= last:
        message = f"the window begins at {begin / 1e6:g} us, the scenario ends at {last / 1e6:g} us"
        raise InputError(Fault("--trace", message))
    end = min(end, last)
    kinds, first = _kinds(graph, placement, dataflow)
    rows, tracks = _rows(graph, times, first, placement, begin, end)
    _refuse(len(rows))
    counters = [*_powers(rows, kinds, tracks), *_queues(graph, times, placement, begin, end)]
    found = Timeline(title, begin, end, tracks, tuple(kinds), rows, tuple(counters))
    _refuse(found.events)
    return found


def _refuse(events: int) -> None:
    if events > MOST_EVENTS:
        message = f"{events:,} slices and samples, at most {MOST_EVENTS:,} are written; narrow it with --trace-window"
        raise InputError(Fault("--trace", message))


def _kinds(
    graph: Graph, placement: Placement | None, dataflow: Dataflow | None
) -> tuple[list[Kind], dict[str, int]]:  # fmt: skip
    """A kind per actor and step, and where those of each actor begin."""
    table = prices(placement.chip) if placement else {}
    kinds: list[Kind] = []
    first: dict[str, int] = {}
    for actor in graph.actors:
        first[actor.name] = len(kinds)
        role = dataflow.roles[actor.name] if dataflow else None
        for step in range(len(actor.work)):
            kinds.append(_kind(actor, step, role, dataflow, table) if role and dataflow else Kind(actor.name, {}))
    return kinds, first


def _kind(actor: Actor, step: int, role: Role, dataflow: Dataflow, table: Mapping[Action, float | None]) -> Kind:
    work, counts = actor.work[step], role.counts[step]
    stage = actor.name.removeprefix(f"{role.layer}.")
    energy_pj = sum(count * (table[action] or 0.0) for action, count in counts.items())
    service_ps = work.periods * int(work.service_ps.sum())
    each = {f"{part}.{does}": _each(count, work.firings) for (part, does), count in counts.items() if count}
    args = {"task": dataflow.steps[step].entry.task, "phase": role.phase, "step": step, "counts": each}
    return Kind(f"{role.layer}/{stage}", args, energy_pj / service_ps * 1000 if work.firings else 0.0)


def _each(count: int, firings: int) -> float | int:
    """Actions of one firing; a mean where they differ."""
    return count // firings if firings and count % firings == 0 else count / max(1, firings)


def _recorded(times: Times) -> tuple[tuple[Integers, ...], ...]:
    """Starts, ends and commits of every firing."""
    if times.starts is None or times.ends is None or times.commits is None:
        raise ValueError("times of single firings were not recorded: execute(graph, record=True)")
    return times.starts, times.ends, times.commits


# ---- slices ------------------------------------------------------------------------------------


def _rows(
    graph: Graph, times: Times, first: Mapping[str, int], placement: Placement | None, begin: int, end: int
) -> tuple[Integers, tuple[Track, ...]]:
    """Slices in the window in order of begin, and the tracks that have any."""
    parts, tracks = [], list[Track]()
    for unit in graph.units:
        rows = _unit_rows(graph, times, first, unit)
        rows = rows[(rows[:, 0] < end) & (rows[:, 1] > begin)]
        used, place = np.unique(rows[:, 2], return_inverse=True)
        rows[:, 2] = len(tracks) + place.ravel()
        tracks += [_track(unit.name, server, unit.servers, placement) for server in used.tolist()]
        parts.append(rows)
    rows = np.concatenate(parts) if parts else np.zeros((0, 5), np.int64)
    rows[:, 0], rows[:, 1] = np.maximum(rows[:, 0], begin), np.minimum(rows[:, 1], end)
    return rows[np.lexsort((rows[:, 2], rows[:, 0]))], tuple(tracks)


def _unit_rows(graph: Graph, times: Times, first: Mapping[str, int], unit: Unit) -> Integers:
    """All slices of a unit with their servers."""
    starts, ends, commits = _recorded(times)
    parts, ready = [np.zeros((0, 5), np.int64)], [np.zeros(0, np.int64)]
    for at, actor in enumerate(graph.actors):
        if actor.unit != unit.name:
            continue
        rows = _firings(actor, starts[at], ends[at], unit.servers, first[actor.name])
        bound = actor.copies or unit.servers == 1
        ready.append(rows[:, 0] if bound else ready_ps(graph, at, ends, commits)[rows[:, 4]])
        parts.append(rows)
    rows = np.concatenate(parts)
    if (rows[:, 2] < 0).any():
        find_servers(rows, np.concatenate(ready), unit.servers)
    return rows


def _firings(actor: Actor, starts: Integers, ends: Integers, servers: int, first: int) -> Integers:
    """Rows (begin, end, server or -1, kind, firing) of the firings of an actor that took place."""
    firing = np.arange(len(starts))
    kind = first + np.repeat(np.arange(len(actor.work)), [work.firings for work in actor.work])
    any_of = np.zeros_like(firing) if servers == 1 else np.full_like(firing, -1)
    server = firing // actor.group % servers if actor.copies else any_of
    return np.column_stack([starts, ends, server, kind, firing])[starts >= 0].astype(np.int64)


def _process(unit: str, placement: Placement | None) -> str:
    """The layer that a unit belongs to, as its tiles."""
    owner = unit.rpartition(".")[0]
    if placement is None:
        return owner or SHARED
    site = placement.sites.get(owner)
    if site is None:
        return SHARED
    last = site.first_tile + site.tiles - 1
    return f"{owner}: tile {last}" if site.tiles == 1 else f"{owner}: tiles {site.first_tile}-{last}"


def _track(unit: str, server: int, servers: int, placement: Placement | None) -> Track:
    return Track(_process(unit, placement), f"{unit} {server}" if servers > 1 else unit)


# ---- counters ----------------------------------------------------------------------------------


def _powers(rows: Integers, kinds: Sequence[Kind], tracks: Sequence[Track]) -> Iterator[Counter]:
    """Dynamic power of the chip and of every process that has any."""
    power = np.array([kind.power_mw for kind in kinds])[rows[:, 3]]
    if not power.any():
        return
    names = [track.process for track in tracks]
    process = np.array([names.index(name) for name in names])[rows[:, 2]]
    yield _power(WHOLE, rows, power)
    for first in np.unique(process).tolist():
        mine = process == first
        if power[mine].any():
            yield _power(names[first], rows[mine], power[mine])


def _power(process: str, rows: Integers, power: NDArray[np.float64]) -> Counter:
    """Sum over the slices of every instant. Added up as whole numbers, so that it comes back to 0."""
    most = float(power.max()) * len(power)
    quantum = 2.0 ** (int(log2(most)) - 60)
    whole = np.rint(power / quantum).astype(np.int64)
    times, sums = _sums(np.concatenate([rows[:, 0], rows[:, 1]]), np.concatenate([whole, -whole]))
    return Counter(process, POWER, "mW", times, sums.astype(np.float64) * quantum)


def _sums(times: Integers, changes: Integers) -> tuple[Integers, Integers]:
    """Instants at which a sum of changes is another than before, and the sum from there on."""
    instants, where = np.unique(times, return_inverse=True)
    change = np.zeros(len(instants), np.int64)
    np.add.at(change, where.ravel(), changes)
    changed = change != 0
    return instants[changed], np.cumsum(change)[changed]


def _queues(
    graph: Graph, times: Times, placement: Placement | None, begin: int, end: int
) -> Iterator[Counter]:  # fmt: skip
    """Tokens in every channel that gives slots back; others only hold work back."""
    _, ends, commits = _recorded(times)
    number = {actor.name: at for at, actor in enumerate(graph.actors)}
    units = {actor.name: actor.unit for actor in graph.actors}
    for channel in graph.channels:
        source, target = commits[number[channel.source]], ends[number[channel.target]]
        released = counted(channel, "release")
        if not released.any():
            continue
        shown, ended = done(source), np.maximum.accumulate(done(target))
        back = np.diff(released[: len(ended)], prepend=0)
        instants, tokens = _sums(
            np.concatenate([shown, ended]), np.concatenate([np.ones(len(shown), np.int64), -back])
        )  # fmt: skip
        first, last = (int(np.searchsorted(instants, at, "right")) for at in (begin, end))
        before = [int(tokens[first - 1])] if first else []
        yield Counter(
            _process(units[channel.target], placement), f"{channel.name} {TOKENS}", TOKENS,
            np.concatenate([[begin] * len(before), instants[first:last]]).astype(np.int64),
            np.concatenate([before, tokens[first:last]]).astype(np.float64),
        )  # fmt: skip
