"""Comparing the answers of executors."""

from __future__ import annotations

import numpy as np

from xbarsim.dataflow.graph import Graph
from xbarsim.engine import Times, execute


def assert_same(one: Times, other: Times) -> None:
    """Fail unless two answers agree in everything but the number of firings executed one by one."""
    assert (one.actors, one.stuck, one.waits) == (other.actors, other.stuck, other.waits)
    assert (one.firings, one.makespan) == (other.firings, other.makespan)
    assert one.segments == other.segments
    assert one.busy_ps.tolist() == other.busy_ps.tolist()
    for column in ("starts", "ends", "commits"):
        mine, yours = getattr(one, column), getattr(other, column)
        if mine is not None and yours is not None:
            for name, a, b in zip(one.actors, mine, yours, strict=True):
                assert a.dtype == b.dtype == np.int64
                assert a.tolist() == b.tolist(), f"{column} of {name}"


def run_both(graph: Graph) -> Times:
    """Execute on both executors, recorded and not, and return the one answer."""
    reference = execute(graph, "reference", record=True)
    assert_same(reference, execute(graph, "compiled", record=True))
    assert_same(reference, execute(graph, "compiled"))
    return reference
