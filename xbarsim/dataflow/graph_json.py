"""Reading and writing ``"xbarsim.graph/1"``: strict, every fault in one report, repeats by reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from xbarsim.dataflow.graph import SCHEMA, Actor, Channel, Flow, Graph, Unit, Work
from xbarsim.dataflow.graph_faults import LARGEST, graph_faults
from xbarsim.errors import Fault, InputError, did_you_mean

if TYPE_CHECKING:
    from xbarsim.dataflow.graph import Table

EXTENSIONS = ("note", "counts")
"""Keys under which a file may carry what the executors do not read."""

MOST_SEGMENTS = 10_000_000
"""Unfolded segments of one actor or channel that a file may ask for."""

FOLD_WIDTH = 64
"""The longest run of segments that writing recognises as a repeated one."""

Segment = TypeVar("Segment", Work, Flow)


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """Return the ``"xbarsim.graph/1"`` object of ``graph``."""
    return {
        "schema": SCHEMA,
        "units": [{"name": unit.name, "servers": unit.servers} for unit in graph.units],
        "actors": [
            {
                "name": actor.name,
                "unit": actor.unit,
                "copies": actor.copies,
                "group": actor.group,
                "segments": _fold(actor.work, _work_json),
            }
            for actor in graph.actors
        ],
        "channels": [
            {
                "from": channel.source,
                "to": channel.target,
                "capacity": channel.capacity,
                "segments": _fold(channel.flows, _flow_json),
            }
            for channel in graph.channels
        ],
    }


def _work_json(work: Work) -> dict[str, Any]:
    return {
        "periods": work.periods,
        "service_ps": work.service_ps.tolist(),
        "latency_ps": work.latency_ps.tolist(),
    }


def _flow_json(flow: Flow) -> dict[str, Any]:
    return {
        "periods": flow.periods,
        "need": flow.need.tolist(),
        "release": flow.release.tolist(),
        "step": flow.step,
    }


def _fold(segments: Sequence[Segment], write: Callable[[Segment], dict[str, Any]]) -> list[dict[str, Any]]:
    """Write segments, repeated runs of up to ``FOLD_WIDTH`` segments as one ``repeat``."""
    kinds: dict[Segment, int] = {}
    row = [kinds.setdefault(segment, len(kinds)) for segment in segments]
    written: list[dict[str, Any]] = []
    here = 0
    while here < len(row):
        width, times = _longest_run(row, here)
        run = [write(segment) for segment in segments[here : here + width]]
        written += run if times == 1 else [{"repeat": times, "segments": run}]
        here += width * times
    return written


def _longest_run(row: list[int], here: int) -> tuple[int, int]:
    """Return (width, times) of the repetition starting ``here`` that covers most of ``row``."""
    best = (1, 1)
    for width in range(1, min(FOLD_WIDTH, (len(row) - here) // 2) + 1):
        end = here + width
        while end < len(row) and row[end] == row[end - width]:
            end += 1
        times = (end - here) // width
        if times > 1 and times * width > best[0] * best[1]:
            best = (width, times)
    return best


def read_graph(
    data: Mapping[str, Any], file: str = "graph"
) -> tuple[tuple[Unit, ...], tuple[Actor, ...], tuple[Channel, ...]]:
    """Return units, actors and channels of a graph object, or raise :exc:`InputError` with every fault."""
    return _Reader(file).graph(data)


class _Reader:
    """Walks one graph object, collecting faults; what cannot be read gets a harmless stand-in."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.unread: set[str] = set()
        """Paths of actors and channels whose segments could not be read."""

    def fault(self, path: str, message: str) -> None:
        self.faults.append(Fault(self.file, message, path))

    def graph(self, data: Any) -> tuple[tuple[Unit, ...], tuple[Actor, ...], tuple[Channel, ...]]:
        top = self.record(data, "", ("schema", "units", "actors", "channels"))
        if isinstance(data, Mapping) and top.get("schema") != SCHEMA and "schema" in top:
            self.fault("schema", f"{top['schema']!r:.40} is not {SCHEMA!r}")
        units = tuple(self.unit(item, path) for item, path in self.items(top, "units", ""))
        actors = tuple(self.actor(item, path) for item, path in self.items(top, "actors", ""))
        channels = tuple(self.channel(item, path) for item, path in self.items(top, "channels", ""))
        if {"units", "actors", "channels"} <= top.keys():
            self.faults += [
                fault
                for fault in graph_faults(units, actors, channels, self.file, self.unread)
                if fault not in self.faults
            ]
        if self.faults:
            raise InputError(self.faults)
        return units, actors, channels

    def unit(self, data: Any, path: str) -> Unit:
        record = self.record(data, path, ("name",), ("servers",))
        return Unit(self.text(record, "name", path), self.integer(record, "servers", path, 1, 1))

    def actor(self, data: Any, path: str) -> Actor:
        record = self.record(data, path, ("name", "unit", "segments"), ("copies", "group"))
        copies = record.get("copies", False)
        if not isinstance(copies, bool):
            self.fault(f"{path}.copies", f"{copies!r:.40} is not true or false")
        return Actor(
            self.text(record, "name", path),
            self.text(record, "unit", path),
            self.segments(record, path, self.work),
            copies is True,
            self.integer(record, "group", path, 1, 1),
        )

    def channel(self, data: Any, path: str) -> Channel:
        record = self.record(data, path, ("from", "to", "capacity", "segments"))
        return Channel(
            self.text(record, "from", path),
            self.text(record, "to", path),
            self.integer(record, "capacity", path, 1, 1),
            self.segments(record, path, self.flow),
        )

    def work(self, data: Any, path: str) -> Work | None:
        record = self.record(data, path, ("periods", "service_ps", "latency_ps"))
        periods = self.integer(record, "periods", path, 0, 0)
        service = self.table(record, "service_ps", path, 1)
        latency = self.table(record, "latency_ps", path, 0)
        if service is None or latency is None:
            return None
        if len(service) != len(latency):
            self.fault(path, f"service_ps has {len(service)} phases but latency_ps has {len(latency)}")
            return None
        return Work(periods, service, latency)  # type: ignore[arg-type]

    def flow(self, data: Any, path: str) -> Flow | None:
        record = self.record(data, path, ("periods", "need", "release"), ("step",))
        periods = self.integer(record, "periods", path, 0, 0)
        step = self.integer(record, "step", path, 0, 0)
        need = self.table(record, "need", path, 0)
        release = self.table(record, "release", path, 0)
        if need is None or release is None:
            return None
        if len(need) != len(release):
            self.fault(path, f"need has {len(need)} phases but release has {len(release)}")
            return None
        return Flow(periods, need, release, step)  # type: ignore[arg-type]

    def segments(
        self, record: Mapping[str, Any], path: str, read: Callable[[Any, str], Segment | None]
    ) -> tuple[Segment, ...]:
        """Read the ``segments`` of ``record``, nested repeats unfolded by reference."""
        before = len(self.faults)
        flat: list[Segment] = []
        for item, place in self.items(record, "segments", path):
            flat += self.unfold(item, place, read)
        if len(self.faults) > before or "segments" not in record:
            self.unread.add(path)
        return tuple(flat)

    def unfold(self, data: Any, path: str, read: Callable[[Any, str], Segment | None]) -> list[Segment]:
        if not isinstance(data, Mapping) or "repeat" not in data:
            segment = read(data, path)
            return [] if segment is None else [segment]
        record = self.record(data, path, ("repeat", "segments"))
        times = self.integer(record, "repeat", path, 0, 0)
        run: list[Segment] = []
        for item, place in self.items(record, "segments", path):
            run += self.unfold(item, place, read)
        if len(run) * times > MOST_SEGMENTS:
            self.fault(f"{path}.repeat", f"{len(run) * times} segments are more than {MOST_SEGMENTS}")
            return run
        return run * times

    def record(self, data: Any, path: str, required: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, Any]:
        """Return ``data`` if it is an object, after reporting its unknown and missing keys."""
        if not isinstance(data, Mapping):
            self.fault(path, f"{data!r:.40} is not an object")
            return {}
        known = (*required, *optional, *EXTENSIONS)
        for key in data:
            if key not in known:
                self.fault(_join(path, key), f"unknown key{did_you_mean(key, known)}")
        for key in required:
            if key not in data:
                self.fault(_join(path, key), "missing")
        return data

    def items(self, record: Mapping[str, Any], key: str, path: str) -> Iterable[tuple[Any, str]]:
        """Return the (item, path) pairs of the list under ``key``."""
        if key not in record:
            return []
        items = record[key]
        if not isinstance(items, (list, tuple)):
            self.fault(_join(path, key), f"{items!r:.40} is not a list")
            return []
        return [(item, f"{_join(path, key)}[{index}]") for index, item in enumerate(items)]

    def text(self, record: Mapping[str, Any], key: str, path: str) -> str:
        value = record.get(key, "")
        if key in record and not (isinstance(value, str) and value):
            self.fault(_join(path, key), f"{value!r:.40} is not a name")
        return value if isinstance(value, str) else ""

    def integer(self, record: Mapping[str, Any], key: str, path: str, least: int, default: int) -> int:
        value = record.get(key, default)
        if not _is_integer(value):
            self.fault(_join(path, key), f"{value!r:.40} is not an integer")
        elif value < least:
            self.fault(_join(path, key), f"{value} is below the minimum {least}")
        elif value > LARGEST:
            self.fault(_join(path, key), f"{value} is above the maximum {LARGEST}")
        else:
            return int(value)
        return default

    def table(self, record: Mapping[str, Any], key: str, path: str, least: int) -> list[int] | Table | None:
        """Return the list of integers under ``key``, or None after reporting what is wrong with it."""
        if key not in record:
            return None
        values, place = record[key], _join(path, key)
        if not isinstance(values, (list, tuple)) or not values:
            self.fault(place, f"{values!r:.40} is not a list of one or more integers")
            return None
        for index, value in enumerate(values):
            if not _is_integer(value):
                self.fault(f"{place}[{index}]", f"{value!r:.40} is not an integer")
                return None
        for extreme in (min(values), max(values)):
            if not least <= extreme <= LARGEST:
                rule = f"below the minimum {least}" if extreme < least else f"above the maximum {LARGEST}"
                self.fault(f"{place}[{values.index(extreme)}]", f"{extreme} is {rule}")
                return None
        return list(values)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
