"""How many tokens a buffer must hold so that the network can run at all."""

import numpy as np
from numba import njit


@njit(cache=True)
def occupancy(windows, in_start, in_edge, out_start, out_edge, source, table_start, need, release):
    """Run one inference on demand, one window at a time, and return each channel's fullest moment.

    Stages fire only when a later stage wants their next token, so no channel holds more than it must
    in that order; capacities of at least these values admit this order and therefore no deadlock.
    Windows that the output does not need, such as a last row that a pool drops, run after it.

    windows: (S,) firings per stage; in_start/in_edge: (S+1,), (E,) the edges a stage reads;
    out_start/out_edge: the edges that read a stage; source: (E,) stage that feeds an edge;
    table_start: (E,) offset of an edge's tables in need and release.
    """
    stages, edges = len(windows), len(source)
    fired = np.zeros(stages, np.int64)
    released = np.zeros(edges, np.int64)
    fullest = np.ones(edges, np.int64)
    stack = np.empty(stages + 1, np.int64)
    wanted = stages - 1
    while wanted > 0:
        if fired[wanted] == windows[wanted]:
            wanted -= 1
            continue
        stack[0] = wanted
        depth = 1
        while depth:
            stage = stack[depth - 1]
            firing = fired[stage]
            hungry = -1
            for k in range(in_start[stage], in_start[stage + 1]):
                edge = in_edge[k]
                if fired[source[edge]] < need[table_start[edge] + firing]:
                    hungry = source[edge]
                    break
            if hungry >= 0:
                stack[depth] = hungry
                depth += 1
                continue
            fired[stage] = firing + 1
            for k in range(out_start[stage], out_start[stage + 1]):
                edge = out_edge[k]
                held = fired[stage] - released[edge]
                if held > fullest[edge]:
                    fullest[edge] = held
            for k in range(in_start[stage], in_start[stage + 1]):
                edge = in_edge[k]
                released[edge] = release[table_start[edge] + firing]
            depth -= 1
    return fullest
