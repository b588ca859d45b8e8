"""A scenario: which task runs how many inferences, in which order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xbarsim.errors import Fault, InputError, did_you_mean
from xbarsim.network import Network

BACKBONE = "backbone"
"""Name of the network as it was installed, before any switch."""

_ENTRY = re.compile(r"\s*(?P<task>[^:,\s]+)\s*(?::\s*(?P<count>[^,\s]*)\s*)?")


@dataclass(frozen=True)
class Entry:
    """So many inferences of one task."""

    task: str
    inferences: int


def parse_scenario(text: str | None, network: Network) -> tuple[Entry, ...]:
    """Read ``"taskA:10,taskB:5"``; a task without a count runs once.

    ``None`` runs every task once, in order; a network without tasks runs its backbone once. Raise
    :class:`InputError` with every fault.
    """
    if text is None:
        return tuple(Entry(task, 1) for task in network.task_info) or (Entry(BACKBONE, 1),)
    if not text.strip():
        raise InputError(Fault("--scenario", "is empty; write task:inferences, for example " + _example(network)))
    faults: list[Fault] = []
    entries = [_entry(part, at, network, faults) for at, part in enumerate(text.split(","), start=1)]
    if faults:
        raise InputError(faults)
    return tuple(entries)


def _entry(part: str, at: int, network: Network, faults: list[Fault]) -> Entry:
    place = f"entry {at} {part.strip()!r}"
    match = _ENTRY.fullmatch(part)
    if not match:
        faults.append(Fault("--scenario", f"is not task:inferences; for example {_example(network)}", place))
        return Entry(BACKBONE, 1)
    task, count = match["task"], match["count"]
    known = [*network.task_info, BACKBONE]
    if task not in known:
        hint = did_you_mean(task, known)
        faults.append(Fault("--scenario", f"no task {task!r}; known: {', '.join(known)}{hint}", place))
    if count is not None and not re.fullmatch(r"[0-9]+", count):
        faults.append(Fault("--scenario", f"{count!r} is not a whole number of inferences of 1 or more", place))
        return Entry(task, 1)
    number = 1 if count is None else int(count)
    if number < 1 or number > 10**12:
        faults.append(Fault("--scenario", f"{number} inferences; it must be 1 to 10^12", place))
    return Entry(task, max(1, number))


def _example(network: Network) -> str:
    return f"'{next(iter(network.task_info), BACKBONE)}:10'"
