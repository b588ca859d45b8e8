"""Random dataflow graphs, small and nasty: for hypothesis, and for a plain seeded generator."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work

Pick = Callable[[int, int], int]
"""Return an integer between two bounds, both included."""


@st.composite
def graphs(draw: st.DrawFn, small: bool = False) -> Graph:
    """A random graph; ``small`` ones suit an executor that tries every picosecond."""
    return random_graph(lambda low, high: draw(st.integers(low, high)), small)


def seeded_graph(seed: int, small: bool = False) -> Graph:
    """The random graph of a seed."""
    return random_graph(random.Random(seed).randint, small)


def random_graph(pick: Pick, small: bool = False) -> Graph:
    units = [Unit(f"u{index}", pick(1, 4)) for index in range(pick(1, 3))]
    most = 4 if small else 6
    rate = [pick(1, 4) * pick(1, 3) * (1 if small else pick(1, 3)) for _ in range(2)]
    actors = [_actor(pick, index, units, rate[pick(0, 1)]) for index in range(pick(1, most))]
    channels = []
    for index in range(1, len(actors)):
        if pick(0, 5):
            channels.append(_channel(pick, actors[pick(0, index - 1)], actors[index]))
    for _ in range(max(0, pick(-3, 2))):
        channels.append(_channel(pick, actors[pick(0, len(actors) - 1)], actors[pick(0, len(actors) - 1)]))
    return Graph(tuple(units), tuple(actors), tuple(channels))


def _segments(pick: Pick, firings: int) -> list[tuple[int, int]]:
    """Cut a number of firings into (periods, phases), some of them empty."""
    cut = []
    while firings:
        if pick(0, 4) == 0:
            cut.append((0, pick(1, 3)))
        phases = pick(1, min(4, firings))
        periods = pick(1, firings // phases)
        cut.append((periods, phases))
        firings -= periods * phases
    return cut


def _actor(pick: Pick, index: int, units: list[Unit], firings: int) -> Actor:
    slowest = pick(1, 7)
    latest = (0, 0, 3, 12)[pick(0, 3)]
    work = tuple(
        Work(
            periods,
            np.array([pick(1, slowest) for _ in range(phases)]),
            np.array([pick(0, latest) for _ in range(phases)]),
        )
        for periods, phases in _segments(pick, firings)
    )
    unit = units[pick(0, len(units) - 1)].name
    return Actor(f"a{index}", unit, work, pick(0, 1) == 1, pick(1, 3))


def _channel(pick: Pick, source: Actor, target: Actor) -> Channel:
    kind = pick(0, 19)
    if kind == 0:
        flows = _wild_flows(pick, target.firings)
    elif source.name >= target.name:
        flows = _backward_flows(pick, source, target)
    elif source.firings % target.firings == 0:
        flows = _even_flows(pick, source, target)
    else:
        flows = _uneven_flows(pick, source, target)
    capacity = (1, pick(1, 4), pick(1, 16), 1000)[pick(0, 3)]
    if pick(0, 7):
        capacity = max(capacity, *least_capacities(flows))
        capacity = max(capacity, source.group * pick(0, 3))
    return Channel(source.name, target.name, capacity, tuple(flows))


def least_capacities(flows: list[Flow]) -> list[int]:
    """What every firing of the target needs more than the one before has given back."""
    table, base = [], 0
    for flow in flows:
        for period in range(flow.periods):
            here = base + period * flow.step
            table += [
                (here + need, here + release)
                for need, release in zip(flow.need.tolist(), flow.release.tolist(), strict=True)
            ]
        base += flow.periods * flow.step
    return [need - given for (need, _), (_, given) in zip(table, [(0, 0), *table], strict=False)] or [1]


def _wild_flows(pick: Pick, firings: int) -> list[Flow]:
    """Needs that go up and down and may never be met, releases of what never came."""
    flows, given = [], 0
    for periods, phases in _segments(pick, firings):
        step = pick(0, 2 * phases)
        release = np.sort([pick(0, step) for _ in range(phases)]) + given
        need = [pick(0, step + 1) for _ in range(phases)]
        flows.append(Flow(periods, np.array(need), release, step))
        if periods:  # the next segment's base has moved by periods * step, and may lie below what was given
            given = max(0, int(release[-1]) - step)
    return flows


def _even_flows(pick: Pick, source: Actor, target: Actor) -> list[Flow]:
    """A whole number of tokens per firing of the target, released at once or one period later."""
    each = source.firings // target.firings
    flows = []
    late = pick(0, 1)
    for periods, phases in _segments(pick, target.firings):
        need = each * np.arange(1, phases + 1)
        release = each * np.arange(1 - late, phases + 1 - late)
        flows.append(Flow(periods, need, release, each * phases))
    return flows


def _uneven_flows(pick: Pick, source: Actor, target: Actor) -> list[Flow]:
    """Windows over the source's tokens: need runs ahead of release, the last window releases everything."""
    total, firings = source.firings, target.firings
    overlap = pick(0, 3)
    need = [-(-(i + 1) * total // firings) for i in range(firings)]
    release = [max(0, tokens - overlap) for tokens in need[:-1]] + [total] * (firings > 0)
    return _tables(pick, need, release)


def _backward_flows(pick: Pick, source: Actor, target: Actor) -> list[Flow]:
    """A way back: the first firings need nothing, the later ones what was made some firings ago."""
    head = pick(0, 3) * target.group * pick(0, 4)
    need = [max(0, (i + 1 - head) * source.firings // max(1, target.firings)) for i in range(target.firings)]
    return _tables(pick, need, need)


def _tables(pick: Pick, need: list[int], release: list[int]) -> list[Flow]:
    flows, here = [], 0
    while here < len(need):
        phases = pick(1, len(need) - here)
        end = here + phases
        flows.append(Flow(1, np.array(need[here:end]), np.array(release[here:end]), 0))
        here = end
        if pick(0, 3) == 0:
            flows.append(Flow(0, np.array([1]), np.array([1]), 5))
    return flows


@st.composite
def streams(draw: st.DrawFn) -> Graph:
    """A random graph of many periods."""
    return random_stream(lambda low, high: draw(st.integers(low, high)))


def seeded_stream(seed: int) -> Graph:
    """The random stream of a seed."""
    return random_stream(random.Random(seed).randint)


def random_stream(pick: Pick) -> Graph:
    """A graph with consistent rates whose tables repeat often, in one or more segments."""
    units = [Unit(f"u{index}", pick(1, 3)) for index in range(pick(1, 4))]
    images = [pick(1, 80) for _ in range(pick(1, 3))]
    per_image = [pick(1, 3) * pick(1, 2) for _ in range(pick(2, 5))]
    actors = [_stream_actor(pick, index, units, count, images) for index, count in enumerate(per_image)]
    channels = []
    for index in range(1, len(actors)):
        if pick(0, 9):
            source = pick(max(0, index - 2), index - 1)
            channels.append(_stream_channel(pick, actors, per_image, source, index, images))
    if pick(0, 3) == 0:
        channels.append(_feedback(pick, actors, per_image, images))
    return Graph(tuple(units), tuple(actors), tuple(channels))


def _stream_actor(pick: Pick, index: int, units: list[Unit], count: int, images: list[int]) -> Actor:
    slowest, latest = pick(1, 9), (0, 0, 3, 40)[pick(0, 3)]
    work = tuple(
        Work(
            periods,
            np.array([pick(1, slowest) for _ in range(count)]),
            np.array([pick(0, latest) for _ in range(count)]),
        )
        for periods in images
    )
    unit = units[pick(0, len(units) - 1)].name
    return Actor(f"a{index}", unit, work, pick(0, 2) == 0, pick(1, 3))


def _stream_channel(
    pick: Pick, actors: list[Actor], per_image: list[int], source: int, target: int, images: list[int]
) -> Channel:
    made, used = per_image[source], per_image[target]
    need = np.array([-(-(i + 1) * made // used) for i in range(used)])
    release = np.append(np.maximum(0, need[:-1] - pick(0, 2)), made)
    flows = tuple(Flow(periods, need, release, made) for periods in images)
    capacity = pick(1, 3) * made + pick(0, 4)
    return Channel(actors[source].name, actors[target].name, capacity, flows)


def _feedback(pick: Pick, actors: list[Actor], per_image: list[int], images: list[int]) -> Channel:
    """The first actor works at most some images ahead of the last one."""
    head, made, used = pick(1, 4), per_image[-1], per_image[0]
    free = np.zeros(used, np.int64)
    flows = [Flow(min(head, sum(images)), free, free, 0)]
    if sum(images) > head:
        flows.append(Flow(sum(images) - head, free + made, np.append(free[1:], made), made))
    return Channel(actors[-1].name, actors[0].name, (head + 1) * made + made * sum(images), tuple(flows))
