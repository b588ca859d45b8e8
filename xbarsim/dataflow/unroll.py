"""Repeats without their cost: what must be planned once so that the rest follows exactly.

Between two tasks a barrier drains the pipeline: every channel is empty and every unit idle, so the
next stretch of time depends only on which copy of each layer is next. That position advances by a
fixed number per repeat and comes round after a *period* of repeats. A group of ``R`` repeats is
therefore planned as its first repeat, one period that stands for all whole periods, and the rest;
counts, times and wear of a planned entry count ``weight`` times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd, lcm

from xbarsim.dataflow.graph import Graph
from xbarsim.dataflow.scenario import Entry, Repeat, Scenario, flatten

LIMIT = 10_000
"""Most entries that are planned one by one."""

LONGEST_PERIOD = 64
"""Longest period that is looked for; a group with a longer one is expanded in full."""


@dataclass(frozen=True)
class Step:
    """An entry as it is planned."""

    leaf: int
    """Number of the entry as it is written in the scenario."""
    entry: Entry
    weight: int = 1
    """How many entries of the scenario it stands for."""


def steps_of(items: Scenario) -> list[Step]:
    """Expand everything; raise :class:`~xbarsim.errors.InputError` beyond :data:`LIMIT` entries."""
    return [Step(leaf, entry) for leaf, entry in flatten(items, LIMIT)]


def foldable(items: Scenario) -> list[int]:
    """Positions of groups that a barrier makes periodic: their tasks change at every boundary."""
    return [
        at
        for at, item in enumerate(items)
        if isinstance(item, Repeat) and item.times > 4 and _turns(flatten(item.items, LIMIT))
    ]


def _turns(body: Sequence[tuple[int, Entry]]) -> bool:
    return body[0][1].task != body[-1][1].task


def trial(items: Scenario) -> Scenario:
    """The scenario with every foldable group repeated twice, to learn its period from."""
    fold = foldable(items)
    return tuple(
        replace(item, times=2) if at in fold and isinstance(item, Repeat) else item for at, item in enumerate(items)
    )


def fold_steps(items: Scenario, graph: Graph) -> list[Step]:
    """Expand ``items`` with folded groups; ``graph`` is that of :func:`trial`'s scenario."""
    fold, steps, planned = foldable(items), list[Step](), 0
    leaves = _leaf_numbers(items)
    for at, item in enumerate(items):
        body = [
            Step(leaves[at] + leaf, entry)
            for leaf, entry in flatten((item,) if isinstance(item, Entry) else item.items, LIMIT)
        ]
        if at not in fold or isinstance(item, Entry):
            times = 1 if isinstance(item, Entry) else item.times
            steps += body * times
            planned += len(body) * times
            continue
        period = _period(graph, planned + len(body), len(body))
        planned += 2 * len(body)
        steps += _folded(body, item.times, period)
    return steps


def _leaf_numbers(items: Scenario) -> list[int]:
    """Number of the first leaf of every item."""
    numbers, count = [], 0
    for item in items:
        numbers.append(count)
        count += 1 if isinstance(item, Entry) else 1 + max(leaf for leaf, _ in flatten(item.items, LIMIT))
    return numbers


def _folded(body: list[Step], times: int, period: int) -> list[Step]:
    """First repeat, one weighted period, the rest; in full where that is no shorter."""
    rounds, rest = divmod(times - 1, period)
    if rounds <= 1 or period > LONGEST_PERIOD:
        return body * times
    weighted = [replace(step, weight=rounds) for step in body]
    return body + weighted * period + body * rest


def _period(graph: Graph, first: int, length: int) -> int:
    """Repeats after which every actor with copies is back at the same server."""
    servers = {unit.name: unit.servers for unit in graph.units}
    period = 1
    for actor in graph.actors:
        if actor.copies:
            turn = servers[actor.unit] * actor.group
            firings = sum(work.firings for work in actor.work[first : first + length])
            period = lcm(period, turn // gcd(turn, firings))
    return period
