"""Scenarios from files: a YAML list, or a CSV trace of arrivals.

YAML: ``scenario: [{task: a, inferences: 10}, {repeat: 3, of: [{task: b, inferences: 5}]}]``.
CSV: a header line with ``time_ns`` and ``task``, one line per request in order of time; neighbouring
requests of one task form an entry.
"""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

from pydantic import Field

from xbarsim.config import Section, read
from xbarsim.dataflow.scenario import MOST, Entry, Repeat, Scenario
from xbarsim.errors import Fault, InputError, did_you_mean

Times = Annotated[int, Field(ge=1, le=MOST)]


class _Run(Section):
    task: str
    """Task, or ``backbone``."""
    inferences: Times = 1
    """Inferences."""


class _Group(Section):
    repeat: Times
    """How often the group runs."""
    of: list[_Run | _Group]
    """What is repeated."""


class _File(Section):
    scenario: list[_Run | _Group]
    """Entries and groups, in order."""


def read_scenario(path: Path) -> tuple[Scenario, list[Fault]]:
    """Read a ``.yaml`` or ``.csv`` scenario; returns the items and every fault."""
    if not path.is_file():
        return (), [Fault(str(path), "no such file")]
    if path.suffix == ".csv":
        return _read_csv(path)
    try:
        return _items(read(path, _File).scenario), []
    except InputError as error:
        return (), list(error.faults)


def _items(rows: list[_Run | _Group]) -> Scenario:
    return tuple(
        Entry(row.task, row.inferences) if isinstance(row, _Run) else Repeat(row.repeat, _items(row.of)) for row in rows
    )


def _read_csv(path: Path) -> tuple[Scenario, list[Fault]]:
    """One line per request; times are exact decimals in nanoseconds."""
    faults: list[Fault] = []
    requests: list[tuple[int, str]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for wanted in ("time_ns", "task"):
                names = reader.fieldnames or []
                if wanted not in names:
                    hint = did_you_mean(wanted, names)
                    faults.append(
                        Fault(str(path), f"has no column {wanted!r}; it has: {', '.join(names)}{hint}", "", 1, 1)
                    )
            for row in reader if not faults else ():
                _request(row, Fault(str(path), "", "", reader.line_num, 1), requests, faults)
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        faults.append(Fault(str(path), f"cannot be read: {fault}"))
    return (() if faults else _grouped(requests)), faults


def _request(row: dict[str, str], place: Fault, requests: list[tuple[int, str]], faults: list[Fault]) -> None:
    text, task = (row.get("time_ns") or "").strip(), (row.get("task") or "").strip()
    try:
        time_ps = Decimal(text) * 1000
        if not (time_ps.is_finite() and 0 <= time_ps < 2**62):
            raise InvalidOperation
    except InvalidOperation:
        faults.append(Fault(place.file, f"{text!r} is not a time in ns of 0 or more", "time_ns", place.line, 1))
        return
    at = int(time_ps.to_integral_value(rounding="ROUND_CEILING"))
    if requests and at < requests[-1][0]:
        faults.append(Fault(place.file, f"{text} ns lies before the line above it", "time_ns", place.line, 1))
    if not task:
        faults.append(Fault(place.file, "names no task", "task", place.line, 1))
    requests.append((at, task))


def _grouped(requests: list[tuple[int, str]]) -> Scenario:
    entries: list[Entry] = []
    for at, task in requests:
        if entries and entries[-1].task == task:
            last = entries[-1]
            entries[-1] = Entry(task, last.inferences + 1, (*(last.arrivals_ps or ()), at))
        else:
            entries.append(Entry(task, 1, (at,)))
    return tuple(entries)
