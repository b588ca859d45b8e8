"""A dataflow graph in the making, with the actions that its firings stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xbarsim.dataflow.activity import Action
from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work

NO_WORK = Work(0, np.ones(1, np.int64), np.zeros(1, np.int64))
"""A segment without firings."""


@dataclass(frozen=True, eq=False)
class Role:
    """What an actor stands for in the results."""

    layer: str
    """Layer or digital operation, or the layer that a switch is for."""
    phase: str
    """``inference`` or ``switch``."""
    counts: tuple[Counter[Action], ...]
    """For each segment the actions of all its firings."""


@dataclass
class Draft:
    """Collects units, actors and channels; every actor has one segment per scenario entry."""

    units: dict[str, Unit] = field(default_factory=dict)
    actors: list[Actor] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    roles: dict[str, Role] = field(default_factory=dict)

    def unit(self, name: str, servers: int = 1) -> str:
        """Name a unit, adding it at its first use."""
        self.units.setdefault(name, Unit(name, servers))
        return name

    def actor(
        self, name: str, unit: str, work: Sequence[Work], role: Role, *, copies: bool = False, group: int = 1
    ) -> str:
        """Add an actor; returns its name."""
        self.actors.append(Actor(name, unit, tuple(work), copies, group))
        self.roles[name] = role
        return name

    def channel(self, source: str, target: str, capacity: int, flows: Sequence[Flow]) -> None:
        """Connect two actors."""
        self.channels.append(Channel(source, target, capacity, tuple(flows)))

    def graph(self) -> Graph:
        """The finished graph."""
        return Graph(tuple(self.units.values()), tuple(self.actors), tuple(self.channels))


def steady(firings: int, service_ps: int, latency_ps: int = 0) -> Work:
    """A segment of equal firings."""
    return Work(firings, np.array([service_ps], np.int64), np.array([latency_ps], np.int64))


def one_to_one(firings: int) -> Flow:
    """Firing ``i`` takes token ``i``."""
    return every(firings, 1)


def every(firings: int, tokens: int) -> Flow:
    """Each firing takes the next ``tokens`` tokens."""
    table = np.array([tokens], np.int64)
    return Flow(firings, table, table, tokens)


def shared(windows: int, phases: int) -> Flow:
    """Firings in groups of ``phases`` take one token, and give it back with the last of the group."""
    release = np.zeros(phases, np.int64)
    release[-1] = 1
    return Flow(windows, np.ones(phases, np.int64), release, 1)


def scaled(counts: Counter[Action], times: int) -> Counter[Action]:
    """Every count ``times`` over."""
    return Counter({action: count * times for action, count in counts.items() if count})
