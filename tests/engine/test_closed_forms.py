"""Graphs whose times have a formula."""

from itertools import pairwise

import numpy as np
import pytest

from tests.engine.same import run_both
from tests.engine.test_rules import actor, commits, one_to_one, starts
from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work
from xbarsim.engine import execute


@pytest.mark.parametrize("service", [(3, 3, 3), (2, 7, 4), (9, 1, 1), (1, 2, 8)])
@pytest.mark.parametrize("latency", [0, 5])
def test_pipeline_takes_one_pass_and_the_bottleneck_for_the_rest(service: tuple[int, ...], latency: int) -> None:
    firings = 50
    names = [f"s{stage}" for stage in range(len(service))]
    actors = [
        actor(name, name, time, latency=latency, periods=firings) for name, time in zip(names, service, strict=True)
    ]
    channels = [one_to_one(a, b, 100, firings) for a, b in pairwise(names)]
    times = run_both(Graph(tuple(map(Unit, names)), tuple(actors), tuple(channels)))
    assert times.makespan == sum(service) + len(service) * latency + (firings - 1) * max(service)
    assert times.busy_ps.tolist() == [firings * time for time in service]


@pytest.mark.parametrize(("capacity", "latency"), [(1, 0), (2, 0), (2, 7), (5, 7), (50, 7)])
def test_two_stages_with_a_buffer(capacity: int, latency: int) -> None:
    # A slot is taken from the start of a to the end of b: s_a + latency + s_b at least.
    slow, fast, firings = 6, 4, 60
    times = run_both(
        Graph(
            (Unit("a"), Unit("b")),
            (actor("a", "a", slow, latency=latency, periods=firings), actor("b", "b", fast, periods=firings)),
            (one_to_one("a", "b", capacity, firings),),
        )
    )
    begin = np.array(starts(times)["a"])
    rounds = begin[-1] - begin[-1 - capacity] if capacity < 30 else capacity * slow
    assert rounds == max(capacity * slow, slow + latency + fast)


@pytest.mark.parametrize("servers", [1, 2, 3, 7])
@pytest.mark.parametrize("copies", [True, False])
def test_servers_share_equal_work(servers: int, copies: bool) -> None:
    # 23 equal pieces of work on M servers take ceil(23 / M) rounds, as copies or as 23 actors.
    if copies:
        actors = [actor("a", "u", 10, periods=23, copies=True)]
    else:
        actors = [actor(f"a{index}", "u", 10) for index in range(23)]
    times = run_both(Graph((Unit("u", servers),), tuple(actors), ()))
    assert times.makespan == 10 * -(-23 // servers)
    assert times.busy_ps.tolist() == [230]


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 6, 9])
def test_ring_is_bound_by_its_tokens_or_its_slowest_stage(tokens: int) -> None:
    # a -> b -> a, with `tokens` firings of a that need nothing: `tokens` firings per turn of
    # (3 + 1) + (5 + 4) = 13, or one per 5.
    firings = 20 * tokens
    back = (
        Flow(tokens, np.array([0]), np.array([0]), 0),
        Flow(firings - tokens, np.array([1]), np.array([1]), 1),
    )
    times = run_both(
        Graph(
            (Unit("u"), Unit("v")),
            (
                actor("a", "u", 3, latency=1, periods=firings),
                actor("b", "v", 5, latency=4, periods=firings),
            ),
            (one_to_one("a", "b", firings, firings), Channel("b", "a", 2 * firings, back)),
        )
    )
    begin = starts(times)["b"]
    assert begin[-1] - begin[-1 - tokens] == max(13, 5 * tokens)


def isaac(copies: int, windows: int) -> Graph:
    """The six stages of ISAAC in cycles: fetch, read, convert, accumulate (2 cycles deep), activate, write."""
    bits = 16
    names = ["fetch", "read", "convert", "accumulate", "activate", "write"]
    per_window = [1, bits, bits, bits, 1, 1]
    copied = ("read", "convert", "accumulate")
    actors = tuple(
        Actor(
            name,
            name,
            (Work(windows, np.ones(count, int), np.full(count, int(name == "accumulate"))),),
            name in copied,
            count,
        )
        for name, count in zip(names, per_window, strict=True)
    )
    channels = []
    for index, (source, target) in enumerate(pairwise(names)):
        made, used = per_window[index], per_window[index + 1]
        if made == used:
            flow = Flow(windows * used, np.array([1]), np.array([1]), 1)
        else:
            release = np.zeros(used, int)
            release[-1] = made
            flow = Flow(windows, np.full(used, made), release, made)
        channels.append(Channel(source, target, 2 * copies * made, (flow,)))
    units = tuple(Unit(name, copies if name in copied else 1) for name in names)
    return Graph(units, actors, tuple(channels))


def test_isaac_pipeline_has_22_stages_and_one_window_per_16_cycles() -> None:
    shown = np.array(commits(run_both(isaac(1, 12)))["write"])
    assert shown[0] == 22
    assert (np.diff(shown) == 16).all()


def test_isaac_with_four_copies_keeps_its_latency_and_quadruples_its_rate() -> None:
    # Tokens of single bits commit in order over all copies: bit 0 of window 1 is shown only with bit 15 of
    # window 0. So the first three windows come one by one until the copies stand staggered.
    shown = np.array(commits(run_both(isaac(4, 48)))["write"])
    assert shown[0] == 22
    assert shown[:4].tolist() == [22, 37, 52, 53]
    assert (shown[6:] - shown[2:-4] == 16).all()


def test_copies_without_slots_wait_for_each_other() -> None:
    graph = isaac(4, 12)
    tight = tuple(
        Channel(channel.source, channel.target, 16, channel.flows) if channel.source == "accumulate" else channel
        for channel in graph.channels
    )
    shown = commits(run_both(Graph(graph.units, graph.actors, tight)))["write"]
    assert shown[0] == 22
    assert shown[-1] > commits(run_both(graph))["write"][-1]


def test_long_latency_needs_many_tokens_in_flight() -> None:
    # 3000 tokens are under way at once, more than the compiled executor keeps places for at first.
    graph = Graph(
        (Unit("u"), Unit("v")),
        (actor("a", "u", 1, latency=3000, periods=7000), actor("b", "v", 1, periods=7000)),
        (one_to_one("a", "b", 10_000, 7000),),
    )
    assert run_both(graph).makespan == 7000 + 3000 + 1


def test_a_copy_may_run_far_ahead_of_another() -> None:
    # Server 0 is busy with firing 0 while server 1 ends 2500 firings; all commit when firing 0 ends.
    service = np.ones(5000, int)
    service[0] = 100_000
    a = Actor("a", "u", (Work(1, service, np.zeros(5000, int)),), copies=True)
    times = run_both(Graph((Unit("u", 2),), (a,), ()))
    shown = np.array(commits(times)["a"])
    assert shown[0] == shown[1] == 100_000
    assert times.makespan == 100_000 + 2499


def test_a_buffer_larger_than_all_work() -> None:
    firings = 20_000
    graph = Graph(
        (Unit("u"), Unit("v")),
        (actor("a", "u", 2, periods=firings), actor("b", "v", 3, periods=firings)),
        (one_to_one("a", "b", firings, firings),),
    )
    assert execute(graph).makespan == 2 + 3 * firings
