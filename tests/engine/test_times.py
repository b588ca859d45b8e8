"""What an answer holds besides the times of single firings."""

import json

import numpy as np
import pytest

from tests.engine.same import assert_same, run_both
from tests.engine.test_rules import actor, one_to_one
from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work
from xbarsim.engine import execute, times
from xbarsim.errors import InputError, XbarsimError


def work(periods: int, *service: int) -> Work:
    return Work(periods, np.array(service), np.full(len(service), 2))


def test_segments() -> None:
    # Four firings of 3 and 5, an empty segment, one of 7: starts 0 3 8 11 16, commits 2 after each end.
    a = Actor("a", "u", (work(2, 3, 5), work(0, 9), work(1, 7)))
    answer = run_both(Graph((Unit("u"),), (a,), ()))
    (segments,) = answer.segments
    assert segments.first_start_ps.tolist() == [0, -1, 16]
    assert segments.first_period_commit_ps.tolist() == [10, -1, 25]
    assert segments.last_end_ps.tolist() == [16, -1, 23]
    assert segments.last_commit_ps.tolist() == [18, -1, 25]
    assert (answer.makespan, answer.firings, answer.firings_executed) == (25, 5, 5)
    assert answer.busy_ps.tolist() == [23]


def test_segments_of_copies_overlap() -> None:
    # Segment 0 is one firing of 10 on server 0, segment 1 two firings on servers 1 and 0.
    a = Actor("a", "u", (work(1, 10), work(1, 3, 4)), copies=True)
    (segments,) = run_both(Graph((Unit("u", 2),), (a,), ())).segments
    assert segments.first_start_ps.tolist() == [0, 0]
    assert segments.last_end_ps.tolist() == [10, 14]
    assert segments.last_commit_ps.tolist() == [12, 16]


def test_an_actor_without_work_and_an_empty_graph() -> None:
    answer = run_both(Graph((Unit("u"),), (Actor("a", "u", ()), Actor("b", "u", (work(0, 1),))), ()))
    assert (answer.makespan, answer.stuck, answer.firings) == (0, (), 0)
    answer = run_both(Graph((Unit("u"),), (), ()))
    assert (answer.makespan, answer.stuck, answer.firings, answer.busy_ps.tolist()) == (0, (), 0, [0])


def test_deadlock_says_who_waits_for_what() -> None:
    # b needs 3 tokens at once but the channel holds 2; c waits for b.
    batch = Flow(2, np.array([3]), np.array([3]), 3)
    answer = run_both(
        Graph(
            (Unit("u"), Unit("v"), Unit("w")),
            (actor("a", "u", 1, periods=6), actor("b", "v", 1, periods=2), actor("c", "w", 1, periods=2)),
            (Channel("a", "b", 2, (batch,)), one_to_one("b", "c", 2, 2)),
        )
    )
    assert answer.stuck == ("a", "b", "c")
    assert answer.waits == (
        "a firing 2 waits for a free slot on channel a -> b (capacity 2)",
        "b firing 0 waits for 1 more token of a",
        "c firing 0 waits for 1 more token of b",
    )
    (a, b, _) = answer.segments
    assert (a.first_start_ps.tolist(), a.last_end_ps.tolist(), a.last_commit_ps.tolist()) == ([0], [-1], [-1])
    assert b.first_start_ps.tolist() == [-1]
    assert (answer.makespan, answer.firings) == (2, 2)


def test_tokens_that_are_never_made() -> None:
    hungry = Flow(1, np.array([5]), np.array([5]), 5)
    answer = run_both(
        Graph(
            (Unit("u"), Unit("v")),
            (actor("a", "u", 1, periods=2), actor("b", "v", 1)),
            (Channel("a", "b", 9, (hungry,)),),
        )
    )
    assert answer.waits == ("b firing 0 waits for 3 more tokens of a",)


def test_json() -> None:
    graph = Graph((Unit("u"),), (Actor("a", "u", (work(2, 3),)),), ())
    answer = execute(graph, record=True).to_json()
    assert json.loads(json.dumps(answer)) == {
        "schema": "xbarsim.times/1",
        "stuck": [],
        "actors": [{"name": "a", "start_ps": [0, 3], "end_ps": [3, 6], "commit_ps": [5, 8]}],
    }
    assert execute(graph, "reference", record=True).to_json() == answer


def test_json_needs_a_record() -> None:
    graph = Graph((Unit("u"),), (Actor("a", "u", (work(2, 3),)),), ())
    answer = execute(graph)
    assert answer.starts is answer.ends is answer.commits is None
    with pytest.raises(ValueError, match="record=True"):
        answer.to_json()


def test_unknown_engine() -> None:
    with pytest.raises(InputError, match=r"no engine 'compield'.*did you mean 'compiled'"):
        execute(Graph((), (), ()), "compield")


def test_simulated_time_is_bounded() -> None:
    graph = Graph((Unit("u"),), (actor("a", "u", 2**60, periods=6),), ())
    with pytest.raises(XbarsimError, match="53 days"):
        execute(graph)


def test_answers_repeat() -> None:
    graph = Graph((Unit("u", 2),), (actor("a", "u", 2, 3, periods=6, copies=True), actor("b", "u", 5)), ())
    assert_same(execute(graph, record=True), execute(graph, record=True))
    assert execute(graph).segments[0] != execute(graph).segments[1]
    assert execute(graph).segments[0] != 5


def test_a_channel_describes_no_firing_past_its_end() -> None:
    with pytest.raises(IndexError, match="a -> b"):
        times.at_firing(one_to_one("a", "b", 1, 3), 3)
