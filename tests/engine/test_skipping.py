"""Skipped periods change no answer, and long streams are skipped."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.engine.graphs import graphs, seeded_stream, streams
from tests.engine.same import assert_same
from tests.engine.test_closed_forms import isaac
from tests.engine.test_rules import actor, one_to_one
from xbarsim.dataflow.graph import Actor, Flow, Graph, Unit, Work
from xbarsim.engine import Times, execute, skipping
from xbarsim.errors import XbarsimError

many = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Let small graphs be skipped too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skipping, "FROM_FIRINGS", 0)
        patch.setattr(skipping, "FIRINGS_APART", 1)
        yield


def run(graph: Graph) -> Times:
    """Execute with skipping, after comparing with an execution without."""
    skipped, full = execute(graph), execute(graph, record=True)
    assert full.firings_executed == full.firings
    assert_same(skipped, full)
    return skipped


@many
@given(graph=streams())
def test_streams(graph: Graph) -> None:
    run(graph)


@many
@given(graph=graphs())
def test_graphs_with_little_to_skip(graph: Graph) -> None:
    run(graph)


def test_looking_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skipping, "FIRINGS_APART", 40)
    for seed in range(100):
        run(seeded_stream(seed))


def test_seeded_streams_are_worth_the_name() -> None:
    graphs = [seeded_stream(seed) for seed in range(200)]
    answers = [run(graph) for graph in graphs]
    skipped = [times.firings_executed < times.firings for times in answers]
    assert sum(skipped) >= 100
    features = {"copies": 0, "shared": 0, "segments": 0, "latency": 0}
    for graph, useful in zip(graphs, skipped, strict=True):
        if useful:
            servers = {unit.name: unit.servers for unit in graph.units}
            features["copies"] += any(a.copies and servers[a.unit] > 1 for a in graph.actors)
            features["shared"] += len({a.unit for a in graph.actors}) < len(graph.actors)
            features["segments"] += len(graph.actors[0].work) > 1
            features["latency"] += any(int(a.work[0].latency_ps.max()) > 9 for a in graph.actors)
    assert min(features.values()) >= 25, features


def test_a_stream_of_a_hundred_billion_firings() -> None:
    # Two stages of 3 and 4 ps, a buffer of 2: 3, then 4 per firing of b.
    firings = 50_000_000_000
    graph = Graph(
        (Unit("u"), Unit("v")),
        (actor("a", "u", 3, periods=firings), actor("b", "v", 4, periods=firings)),
        (one_to_one("a", "b", 2, firings),),
    )
    times = execute(graph)
    assert times.makespan == 3 + 4 * firings
    assert times.firings == 2 * firings
    assert times.firings_executed < 100
    assert times.busy_ps.tolist() == [3 * firings, 4 * firings]
    assert times.segments[1].first_period_commit_ps.tolist() == [7]
    assert times.segments[1].last_commit_ps.tolist() == [times.makespan]


def test_copies_are_skipped() -> None:
    times = run(isaac(4, 400))
    assert times.firings_executed < times.firings // 5


def test_every_segment_is_skipped_on_its_own() -> None:
    def works(*service: int) -> tuple[Work, ...]:
        return tuple(Work(2000, np.array([time]), np.array([5])) for time in service)

    flows = tuple(Flow(2000, np.array([1]), np.array([1]), 1) for _ in range(3))
    channel = one_to_one("a", "b", 8, 1)
    graph = Graph(
        (Unit("u"), Unit("v")),
        (Actor("a", "u", works(3, 9, 2)), Actor("b", "v", works(7, 4, 5))),
        (type(channel)("a", "b", 8, flows),),
    )
    times = run(graph)
    assert times.firings_executed < 1000


def test_a_stream_that_does_not_repeat_is_executed() -> None:
    # No table repeats, so no state can.
    service = np.random.default_rng(1).integers(1, 1000, 500)
    times = run(Graph((Unit("u"),), (Actor("a", "u", (Work(1, service, service),)),), ()))
    assert times.firings_executed == times.firings == 500


def test_rates_that_do_not_fit_are_executed() -> None:
    # b takes one token per firing on one channel and two on another of the same source: it runs dry.
    graph = Graph(
        (Unit("u"), Unit("v")),
        (actor("a", "u", 1, periods=300), actor("b", "v", 2, periods=300)),
        (
            one_to_one("a", "b", 400, 300),
            type(one_to_one("a", "b", 1, 1))("a", "b", 400, (Flow(300, np.array([2]), np.array([2]), 2),)),
        ),
    )
    times = run(graph)
    assert times.stuck == ("b",)
    assert times.firings_executed == times.firings == 450


def test_time_is_bounded_for_skipped_streams_too() -> None:
    graph = Graph((Unit("u"),), (actor("a", "u", 2**40, periods=2**22 + 5),), ())
    with pytest.raises(XbarsimError, match="53 days"):
        execute(graph)
