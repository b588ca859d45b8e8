"""The timed cyclo-static dataflow graph with shared units: what happens, after what.

A :class:`Graph` is small and frozen. Its size depends on the network, the chip and the number of
distinct tasks, never on the number of images: a table of one image stands in a segment with a number
of periods, and the same segment object may stand many times in an actor's list.

Times are integer picoseconds; needs and releases count tokens. The graph is an artefact: it can be
written as JSON (``"xbarsim.graph/1"``), read back, and executed on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarsim.errors import InputError

SCHEMA = "xbarsim.graph/1"
"""The name and version that a graph file carries under ``schema``."""

Table = NDArray[np.int64]
"""One number per phase, int64, read-only."""


def table(values: Any) -> Table:
    """Return ``values`` as a read-only int64 vector; an array that already is one is kept, not copied."""
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise InputError(f"a table is a list of one or more integers, not {values!r:.60}")
    if array.dtype != np.int64 or array.flags.writeable:
        if array.dtype.kind == "u" and int(array.max()) >= 2**63:
            raise InputError(f"a table holds 64-bit integers, not {int(array.max())}")
        array = array.astype(np.int64)
        array.setflags(write=False)
    return array


@dataclass(frozen=True)
class Unit:
    """A piece of hardware with equal servers, each serving one firing at a time."""

    name: str
    servers: int = 1


@dataclass(frozen=True, eq=False)
class Work:
    """A segment of an actor: ``periods`` repetitions of ``P`` phases."""

    periods: int
    """How often the tables repeat; 0 leaves the segment out."""
    service_ps: Table
    """How long a firing of each phase holds its server, in picoseconds, at least 1."""
    latency_ps: Table
    """How long after its end a firing of each phase shows its token, in picoseconds, at least 0."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "service_ps", table(self.service_ps))
        object.__setattr__(self, "latency_ps", table(self.latency_ps))

    @property
    def phases(self) -> int:
        """Number of phases ``P`` of one period."""
        return len(self.service_ps)

    @property
    def firings(self) -> int:
        """Number of firings of the whole segment."""
        return self.periods * self.phases

    def _key(self) -> tuple[object, ...]:
        return self.periods, self.service_ps.tobytes(), self.latency_ps.tobytes()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Work) and self._key() == other._key())

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True)
class Actor:
    """A stage of work; fires in order, one firing holding one server of its unit."""

    name: str
    unit: str
    work: tuple[Work, ...]
    copies: bool = False
    """Firing ``i`` runs on server ``(i // group) % servers``, in order on that server."""
    group: int = 1
    """Firings per window; read only with ``copies``."""

    @cached_property
    def firings(self) -> int:
        """Number of firings over all segments."""
        return sum(work.firings for work in self.work)


@dataclass(frozen=True, eq=False)
class Flow:
    """A segment of a channel, following the firings of the channel's target.

    In period ``p``, phase ``j``, the firing needs ``base + p * step + need[j]`` tokens in all, and
    once done it has given back ``base + p * step + release[j]`` slots in all; the base of the next
    segment is ``base + periods * step``.
    """

    periods: int
    need: Table
    release: Table
    step: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "need", table(self.need))
        object.__setattr__(self, "release", table(self.release))

    @property
    def phases(self) -> int:
        """Number of phases ``P`` of one period."""
        return len(self.need)

    @property
    def firings(self) -> int:
        """Number of the target's firings that the whole segment describes."""
        return self.periods * self.phases

    def _key(self) -> tuple[object, ...]:
        return self.periods, self.step, self.need.tobytes(), self.release.tobytes()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Flow) and self._key() == other._key())

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True)
class Channel:
    """Tokens from a source to a target through ``capacity`` slots; source and target may be one actor."""

    source: str
    target: str
    capacity: int
    flows: tuple[Flow, ...]

    @property
    def name(self) -> str:
        """The channel as messages call it."""
        return f"{self.source} -> {self.target}"

    @cached_property
    def firings(self) -> int:
        """Number of the target's firings that the channel describes."""
        return sum(flow.firings for flow in self.flows)


@dataclass(frozen=True)
class Graph:
    """Units, actors and channels; checked at construction, with every fault in one report."""

    units: tuple[Unit, ...]
    actors: tuple[Actor, ...]
    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        from xbarsim.dataflow.graph_faults import graph_faults

        for name in ("units", "actors", "channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        faults = graph_faults(self.units, self.actors, self.channels)
        if faults:
            raise InputError(faults)

    @cached_property
    def firings(self) -> int:
        """Number of firings of all actors."""
        return sum(actor.firings for actor in self.actors)

    def to_json(self) -> dict[str, Any]:
        """Return the graph as the ``"xbarsim.graph/1"`` object, repeated segments folded."""
        from xbarsim.dataflow.graph_json import graph_to_json

        return graph_to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], file: str = "graph") -> Graph:
        """Read an ``"xbarsim.graph/1"`` object; raises :exc:`InputError` with every fault found.

        ``file`` is the name that the messages begin with.
        """
        from xbarsim.dataflow.graph_json import read_graph

        return cls(*read_graph(data, file))
