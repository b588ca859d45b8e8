"""Two executors of the dataflow graph answer when everything happens.

``reference`` is SimPy, readable, the definition; ``compiled`` is one Numba event loop. They agree to the
picosecond on every start, end and commit.
"""

from __future__ import annotations

from xbarsim.dataflow.graph import Graph
from xbarsim.engine.times import SegmentTimes, Times
from xbarsim.errors import InputError, did_you_mean

__all__ = ["ENGINES", "SegmentTimes", "Times", "execute"]

ENGINES = ("compiled", "reference")
"""Names that :func:`execute` knows."""


def execute(graph: Graph, engine: str = "compiled", record: bool = False) -> Times:
    """Execute ``graph`` and return its times.

    With ``record``, the answer holds start, end and commit of every firing (24 bytes each). A graph that
    comes to a stop before its end is no error here: ``stuck`` and ``waits`` of the answer say so.
    """
    if engine == "compiled":
        from xbarsim.engine import compiled

        return compiled.execute(graph, record)
    if engine == "reference":
        from xbarsim.engine import reference

        return reference.execute(graph, record)
    raise InputError(f"no engine {engine!r}; known: {', '.join(ENGINES)}{did_you_mean(engine, ENGINES)}")
