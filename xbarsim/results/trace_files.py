"""Timelines as files: Chrome's trace event format, or Perfetto's protobuf, by the ending of the name.

``.json`` and ``.json.gz`` are what Perfetto and chrome://tracing read; times are microseconds with six decimals,
whole picoseconds. ``.pftrace`` and ``.perfetto-trace`` are :mod:`xbarsim.results.trace_perfetto`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from xbarsim.errors import Fault, InputError
from xbarsim.results.store import new_file
from xbarsim.results.trace import WHOLE, Kind, Timeline

ENDINGS = (".json", ".json.gz", ".pftrace", ".perfetto-trace")


def check_trace(path: Path) -> None:
    """Refuse a file name whose ending says no format."""
    if not str(path).endswith(ENDINGS):
        raise InputError(Fault("--trace", f"{path}: the name must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"))


def write_trace(found: Timeline, path: Path) -> None:
    """Write a timeline in the format that the name's ending says; the file is there whole or not at all."""
    check_trace(path)
    if str(path).endswith(ENDINGS[2:]):
        from xbarsim.results.trace_perfetto import packets

        with new_file(path) as file:
            for block in packets(found):
                file.write(block)
        return
    with new_file(path) as file:
        if path.suffix != ".gz":
            _stream(found, file)
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed:
            _stream(found, packed)


def _stream(found: Timeline, file: IO[bytes] | gzip.GzipFile) -> None:
    span = {"begin_us": found.begin_ps / 1e6, "end_us": found.end_ps / 1e6}
    head = {"displayTimeUnit": "ns", "otherData": {"title": found.title, **span, "producer": "xbarsim"}}
    file.write((json.dumps(head)[:-1] + ', "traceEvents": [\n').encode())
    separator = ""
    for line in _events(found):
        file.write(f"{separator}{line}".encode())
        separator = ",\n"
    file.write(b"\n]}\n")


def _events(found: Timeline) -> Iterator[str]:
    """All events as JSON, in order of time; names first."""
    processes = process_ids(found)
    for name, pid in processes.items():
        yield json.dumps({"ph": "M", "pid": pid, "tid": 0, "ts": 0, "name": "process_name", "args": {"name": name}})
        order = {"sort_index": pid}
        yield json.dumps({"ph": "M", "pid": pid, "tid": 0, "ts": 0, "name": "process_sort_index", "args": order})
    for tid, track in enumerate(found.tracks, start=1):
        where = {"ph": "M", "pid": processes[track.process], "tid": tid, "ts": 0}
        yield json.dumps({**where, "name": "thread_name", "args": {"name": track.thread}})
        yield json.dumps({**where, "name": "thread_sort_index", "args": {"sort_index": tid}})
    texts = [_fragment(kind) for kind in found.kinds]
    tails = [f'"pid": {processes[track.process]}, "tid": {tid}' for tid, track in enumerate(found.tracks, start=1)]
    heads = [
        f'{{"ph": "C", "name": {json.dumps(counter.name)}, "pid": {processes[counter.process]}, "tid": 0, '
        for counter in found.counters
    ]
    for at_ps, counter, value, row in in_order(found):
        if row is None:
            body = f'"ts": {micros(at_ps)}, "args": {{"{found.counters[counter].unit}": {value:.9g}}}}}'
            yield heads[counter] + body
        else:
            begin, end, on, kind, firing = row
            name, args = texts[kind]
            yield (
                f'{{"ph": "X", "name": {name}, "cat": "firing", "ts": {micros(begin)}, "dur": {micros(end - begin)}, '
                f'{tails[on]}, "args": {{"firing": {firing}{args}}}}}'
            )


def _fragment(kind: Kind) -> tuple[str, str]:
    """Name and further arguments as JSON."""
    args = json.dumps(kind.args)[1:-1]
    return json.dumps(kind.name), f", {args}" if args else ""


def micros(time_ps: int) -> str:
    """Picoseconds as microseconds, every digit."""
    return f"{time_ps // 10**6}.{time_ps % 10**6:06d}"


def process_ids(found: Timeline) -> dict[str, int]:
    """Processes by name, the chip first, in the order of the units."""
    names = [WHOLE, *(track.process for track in found.tracks), *(counter.process for counter in found.counters)]
    return {name: at for at, name in enumerate(dict.fromkeys(names), start=1)}


def in_order(found: Timeline) -> Iterator[tuple[int, int, float, tuple[int, ...] | None]]:
    """(time, counter, value, slice or nothing) of all events in order of time."""
    counts = [len(counter.times_ps) for counter in found.counters]
    times = np.concatenate([*(counter.times_ps for counter in found.counters), found.slices[:, 0]])
    values = np.concatenate([*(counter.values for counter in found.counters), np.zeros(0)])
    source = np.repeat(np.arange(len(counts)), counts)
    samples = len(source)
    for at in np.argsort(times, kind="stable").tolist():
        if at < samples:
            yield int(times[at]), int(source[at]), float(values[at]), None
        else:
            yield int(times[at]), -1, 0.0, tuple(found.slices[at - samples].tolist())
