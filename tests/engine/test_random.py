"""The executors agree with each other and with a naive one, on random graphs that are nasty enough."""

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from tests.engine.graphs import graphs, seeded_graph
from tests.engine.naive import Naive
from tests.engine.same import run_both
from xbarsim.dataflow.graph import Graph
from xbarsim.engine import Times, execute

many = settings(
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@many
@given(graph=graphs())
def test_compiled_equals_reference(graph: Graph) -> None:
    run_both(graph)


@many
@given(graph=graphs(small=True))
def test_both_equal_the_naive_executor(graph: Graph) -> None:
    assert_naive(graph, run_both(graph))


@pytest.mark.parametrize("block", range(10))
def test_seeded_graphs_agree(block: int) -> None:
    for seed in range(60 * block, 60 * block + 60):
        run_both(seeded_graph(seed))


def assert_naive(graph: Graph, times: Times) -> None:
    naive = Naive(graph)
    assert times.starts is not None
    assert times.ends is not None
    assert times.commits is not None
    assert [column.tolist() for column in times.starts] == naive.column("start")
    assert [column.tolist() for column in times.ends] == naive.column("end")
    assert [column.tolist() for column in times.commits] == naive.column("commit")


def features(graph: Graph) -> set[str]:
    """Name what makes a graph hard."""
    servers = {unit.name: unit.servers for unit in graph.units}
    found = set()
    for unit in graph.units:
        users = [actor for actor in graph.actors if actor.unit == unit.name]
        copies = {actor.copies for actor in users}
        found |= {"shared unit"} if len(users) > 1 else set()
        found |= {"copies and others on one unit"} if len(copies) > 1 and unit.servers > 1 else set()
        found |= {"several copies on one unit"} if [a.copies for a in users].count(True) > 1 else set()
    for actor in graph.actors:
        works = [work for work in actor.work if work.periods]
        found |= {"zero periods"} if len(works) < len(actor.work) else set()
        found |= {"several segments"} if len(works) > 1 else set()
        if actor.copies and servers[actor.unit] > 1 and actor.firings > actor.group:
            found.add("copies")
            uneven = any(len(set(work.service_ps.tolist())) > 1 for work in works)
            found |= {"copies with unequal phases"} if uneven else set()
    found |= {"ring"} if any(channel.source == channel.target for channel in graph.channels) else set()
    found |= {"deadlock"} if execute(graph).stuck else set()
    return found


def test_random_graphs_are_nasty_enough() -> None:
    counted: Counter[str] = Counter()
    bounds: Counter[str] = Counter()
    samples = [seeded_graph(seed, small=True) for seed in range(300)]
    for graph in samples:
        counted.update(features(graph))
        bounds.update({what for what, times in Naive(graph).bounds.items() if times})
    for feature in (
        "shared unit",
        "copies and others on one unit",
        "several copies on one unit",
        "copies",
        "copies with unequal phases",
        "zero periods",
        "several segments",
    ):
        assert counted[feature] >= 30, f"{feature}: {counted[feature]}"
    assert counted["ring"] >= 10
    assert 15 <= counted["deadlock"] <= 100
    for what in ("tie", "later actor first", "previous", "token", "slot"):
        assert bounds[what] >= 30, f"{what}: {bounds[what]}"


def test_agrees_without_compilation() -> None:
    program = (
        "from tests.engine.graphs import seeded_graph\n"
        "from tests.engine.same import run_both\n"
        "from numba import config\n"
        "assert config.DISABLE_JIT\n"
        "for seed in range(40): run_both(seeded_graph(seed))\n"
    )
    environment = dict(os.environ, NUMBA_DISABLE_JIT="1", PYTHONPATH=os.pathsep.join(sys.path))
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=300)
