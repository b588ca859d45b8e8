"""The compiled executor: the rule of time as one Numba event loop over one array.

1. Time is integer picoseconds. Rates and times are exact rationals parsed from the decimal text (1.28 GS/s is
   781.25 ps); only a firing's *whole* service time is rounded, up, once, to at least 1 ps; ``check`` warns
   above 0.1 % error.
2. ``ready(i)`` = the latest of: its tokens became available; an output slot became available on every
   output channel (``i - released < capacity``: by index, so a later copy never takes an earlier firing's
   slot); the previous firing it must follow ended (of its server with copies, of the actor otherwise).
   Slots are reserved at start.
3. All completions and token arrivals of an instant take effect first. Then every free server takes, among
   the firings waiting for its unit, the one with the earliest ``ready``, lowest actor index first; repeat
   until nothing more starts.
4. Firings commit in order: ``commit(i) = max(end(i) + latency(i), commit(i-1))``. Tokens appear at commit;
   inputs are released at ``max(end(i), release instant of i-1)``; the server is free at ``end(i)``.

``ready`` is a maximum of instants, so a firing is ready at the instant at which the last of its conditions
comes true, and no history of the others is kept. Memory follows the size of the graph, not the number of
firings, unless every single firing is recorded.
"""

from __future__ import annotations

import numpy as np

from xbarsim.dataflow.graph import Graph, Table
from xbarsim.engine import skipping
from xbarsim.engine.layout import Layout, grow_rings
from xbarsim.engine.skipping import Skipper
from xbarsim.engine.times import NOT_REACHED, SegmentTimes, Times, waiting
from xbarsim.errors import XbarsimError
from xbarsim.kernels import events as ev

SLICE = 1 << 22
"""Firings between two returns from the kernel, so that an interrupt from the keyboard is heard."""


def execute(graph: Graph, record: bool = False) -> Times:
    """Execute ``graph`` by the rule of time; with ``record``, keep the times of every firing."""
    log = np.full(ev.LOG_WORDS * graph.firings if record else 0, NOT_REACHED, np.int64)
    if not graph.actors:
        return _answer(graph, None, np.zeros(0, np.int64), log, record)
    layout = Layout(graph)
    skipper = Skipper(layout) if graph.firings > skipping.FROM_FIRINGS and not record else None
    memory = _run(layout, log, skipper)
    return _answer(graph, layout, memory, log, record, skipper.skipped if skipper else 0)


def _run(layout: Layout, log: Table, skipper: Skipper | None = None) -> Table:
    """Run the event loop to the end and return the final memory."""
    memory = layout.memory
    ev.start_all(memory, layout.lane_block.address, layout.lane_block.count, log)
    # Starts at time 0 may already have asked for a larger ring.
    memory = grow_rings(layout, memory)
    while True:
        memory[ev.H_UNTIL] = memory[ev.H_STARTED] + SLICE
        if skipper:
            skipper.watch(memory)
        ev.run(memory, log)
        status = memory[ev.H_STATUS]
        if status == ev.GROW:
            memory = grow_rings(layout, memory)
        elif status == ev.DONE:
            return memory
        elif status == ev.PAUSED and skipper:
            skipper.look(memory)
        elif status == ev.TOO_LATE:
            raise XbarsimError(f"simulated time passes {ev.LATEST} ps (53 days)")


def _answer(graph: Graph, layout: Layout | None, memory: Table, log: Table, record: bool, skipped: int = 0) -> Times:
    if layout is None:
        zeros = np.zeros(len(graph.units), np.int64)
        empty: tuple[Table, ...] | None = () if record else None
        return Times((), (), (), 0, 0, 0, zeros, (), empty, empty, empty)
    actors = layout.actor_block.rows(memory)
    stuck, waits = waiting(graph, actors[:, ev.A_ENDED].tolist())
    starts, ends, commits = _split(graph, log) if record else (None, None, None)
    executed = int(memory[ev.H_STARTED])
    return Times(
        actors=tuple(actor.name for actor in graph.actors),
        stuck=stuck,
        waits=waits,
        firings=executed + skipped,
        firings_executed=executed,
        makespan=int(actors[:, ev.A_LAST_COMMIT].max()),
        busy_ps=layout.unit_block.rows(memory)[:, ev.U_BUSY].copy(),
        segments=tuple(_segments(layout, memory, index) for index in range(len(actors))),
        starts=starts,
        ends=ends,
        commits=commits,
    )


def _split(graph: Graph, log: Table) -> tuple[tuple[Table, ...], ...]:
    """Return starts, ends and commits per actor from the log."""
    borders = np.cumsum([actor.firings for actor in graph.actors])[:-1]
    columns = log.reshape(-1, ev.LOG_WORDS).T
    return tuple(tuple(np.split(np.ascontiguousarray(column), borders)) for column in columns)


def _segments(layout: Layout, memory: Table, index: int) -> SegmentTimes:
    rows = layout.work_blocks[index].rows(memory)
    ended = memory[layout.actor_block.at(index) + ev.A_ENDED]
    last_end = np.where(rows[:, ev.W_END] <= ended, rows[:, ev.W_LAST_END], NOT_REACHED)
    present = [place for place, work in enumerate(layout.graph.actors[index].work) if work.periods > 0]
    answer = np.full((4, len(layout.graph.actors[index].work)), NOT_REACHED, np.int64)
    answer[0, present] = rows[:, ev.W_FIRST_START]
    answer[1, present] = rows[:, ev.W_PERIOD_COMMIT]
    answer[2, present] = last_end
    answer[3, present] = rows[:, ev.W_LAST_COMMIT]
    return SegmentTimes(*answer)
