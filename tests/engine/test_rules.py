"""Every rule of time on a case small enough to work out by hand, on both executors."""

import numpy as np

from tests.engine.naive import Naive
from tests.engine.same import run_both
from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work
from xbarsim.engine import Times


def actor(
    name: str, unit: str, *service: int, latency: int = 0, periods: int = 1, copies: bool = False, group: int = 1
) -> Actor:
    work = Work(periods, np.array(service), np.full(len(service), latency))
    return Actor(name, unit, (work,), copies, group)


def one_to_one(source: str, target: str, capacity: int, firings: int) -> Channel:
    return Channel(source, target, capacity, (Flow(firings, np.array([1]), np.array([1]), 1),))


def starts(times: Times) -> dict[str, list[int]]:
    assert times.starts is not None
    return {name: column.tolist() for name, column in zip(times.actors, times.starts, strict=True)}


def commits(times: Times) -> dict[str, list[int]]:
    assert times.commits is not None
    return {name: column.tolist() for name, column in zip(times.actors, times.commits, strict=True)}


def run(units: list[Unit], actors: list[Actor], channels: list[Channel]) -> Times:
    graph = Graph(tuple(units), tuple(actors), tuple(channels))
    times = run_both(graph)
    assert list(starts(times).values()) == Naive(graph).column("start")
    return times


def test_ties_go_to_the_lower_actor() -> None:
    # Both ready at 0, and again both at 2 (a ended at 2, b has waited since 0): b is earlier, so b at 2.
    # At 5 a waits since 2, b since 5: a. At 7 only b.
    times = run([Unit("u")], [actor("a", "u", 2, periods=2), actor("b", "u", 3, periods=2)], [])
    assert starts(times) == {"a": [0, 5], "b": [2, 7]}


def test_earlier_ready_goes_before_lower_actor() -> None:
    # z holds u during [0, 10). late (ready at 4) has the lower index, early is ready at 3: early first.
    actors = [
        actor("late", "u", 1),
        actor("early", "u", 1),
        actor("z", "u", 10),
        actor("to_late", "v", 4),
        actor("to_early", "w", 3),
    ]
    channels = [one_to_one("to_late", "late", 1, 1), one_to_one("to_early", "early", 1, 1)]
    times = run([Unit("u"), Unit("v"), Unit("w")], actors, channels)
    assert starts(times) == {"late": [11], "early": [10], "z": [0], "to_late": [0], "to_early": [0]}


def test_all_that_happens_in_an_instant_comes_before_its_starts() -> None:
    # At 5, u becomes free, and first and second become ready; whichever event comes first, first starts.
    # token (latency 2) commits at 5 although it ended at 3.
    actors = [
        actor("first", "u", 1),
        actor("second", "u", 1),
        actor("holder", "u", 5),
        actor("token", "v", 3, latency=2),
        actor("other", "w", 5),
    ]
    channels = [one_to_one("token", "first", 1, 1), one_to_one("other", "second", 1, 1)]
    times = run([Unit("u"), Unit("v"), Unit("w")], actors, channels)
    assert starts(times)["first"] == [5]
    assert starts(times)["second"] == [6]


def test_zero_latency_tokens_are_seen_in_the_instant_of_their_end() -> None:
    times = run(
        [Unit("u"), Unit("v")],
        [actor("a", "u", 3, periods=2), actor("b", "v", 3, periods=2)],
        [one_to_one("a", "b", 2, 2)],
    )
    assert starts(times) == {"a": [0, 3], "b": [3, 6]}


def test_slots_are_reserved_at_start_and_given_back_at_end() -> None:
    # Capacity 1: a may start again only when b, which runs [2, 7), has given the slot back.
    times = run(
        [Unit("u"), Unit("v")],
        [actor("a", "u", 2, periods=3), actor("b", "v", 5, periods=3)],
        [one_to_one("a", "b", 1, 3)],
    )
    assert starts(times) == {"a": [0, 7, 14], "b": [2, 9, 16]}


def test_commits_are_in_order() -> None:
    # Window 0 lasts 10 on server 0, window 1 lasts 2 on server 1 and shows its token only after window 0.
    times = run(
        [Unit("u", 2), Unit("v")],
        [actor("a", "u", 10, 2, 3, copies=True), actor("b", "v", 1, 1, 1)],
        [one_to_one("a", "b", 4, 3)],
    )
    assert starts(times)["a"] == [0, 0, 10]
    assert commits(times)["a"] == [10, 10, 13]
    assert starts(times)["b"] == [10, 11, 13]


def test_commits_are_in_order_with_shrinking_latency() -> None:
    # One server: firing 0 ends at 2 with latency 7, firing 1 ends at 4 with latency 0: both shown at 9.
    work = Work(1, np.array([2, 2]), np.array([7, 0]))
    times = run(
        [Unit("u"), Unit("v")],
        [Actor("a", "u", (work,)), actor("b", "v", 1, 1)],
        [one_to_one("a", "b", 4, 2)],
    )
    assert commits(times)["a"] == [9, 9]
    assert starts(times)["b"] == [9, 10]


def test_inputs_are_released_in_order() -> None:
    # b's firing 1 runs [4, 5) on server 1, but gives its slot back with firing 0, at 12 = 2 + 10.
    # So a (capacity 2) fires at 0, 2, then waits for the slot of firing 0 until 12; at 12 both are back.
    times = run(
        [Unit("u"), Unit("v", 2)],
        [actor("a", "u", 2, periods=4), actor("b", "v", 10, 1, 1, 1, copies=True)],
        [one_to_one("a", "b", 2, 4)],
    )
    assert starts(times)["a"] == [0, 2, 12, 14]
    assert starts(times)["b"] == [2, 4, 14, 16]


def test_a_later_copy_takes_no_earlier_firings_slot() -> None:
    # Capacity 1 and nothing in the buffer: a's firing 1 (other server) still waits until firing 0's token
    # is consumed, at 6 + 1; likewise firing 2, whose server is long free.
    times = run(
        [Unit("u", 2), Unit("v")],
        [actor("a", "u", 6, 1, 1, copies=True), actor("b", "v", 1, 1, 1)],
        [one_to_one("a", "b", 1, 3)],
    )
    assert starts(times)["a"] == [0, 7, 9]


def test_windows_keep_their_server() -> None:
    # Two servers, two firings per window: windows 0 and 2 on server 0, 1 and 3 on server 1.
    # Window 0 takes 4 + 1, window 1 takes 1 + 1, window 2 follows window 0 although server 1 is free at 2.
    # Window 3 follows window 1.
    times = run([Unit("u", 2)], [actor("a", "u", 4, 1, 1, 1, 2, 2, 3, 3, copies=True, group=2)], [])
    assert starts(times)["a"] == [0, 4, 0, 1, 5, 7, 2, 5]
    assert commits(times)["a"] == [4, 5, 5, 5, 7, 9, 9, 9]


def test_a_copy_waits_for_its_server_while_another_is_free() -> None:
    # loose has the lower index: at 0 it takes server 0, the lowest; pinned firing 0 must wait for it.
    times = run(
        [Unit("u", 2)],
        [actor("loose", "u", 5), actor("pinned", "u", 1, 1, copies=True)],
        [],
    )
    assert starts(times) == {"loose": [0], "pinned": [5, 0]}


def test_a_loose_actor_takes_the_server_that_a_copy_left_free() -> None:
    # pinned has the lower index: at 0, server 0 takes pinned's firing 0 and server 1 its firing 1; loose
    # waits since 0 and takes server 1 at 2, so that pinned's firing 3 (ready at 2) waits until 12.
    times = run(
        [Unit("u", 2)],
        [actor("pinned", "u", 3, 2, 3, 2, copies=True), actor("loose", "u", 10)],
        [],
    )
    assert starts(times) == {"pinned": [0, 0, 3, 12], "loose": [2]}


def test_an_actor_without_copies_has_one_firing_in_service() -> None:
    times = run([Unit("u", 3)], [actor("a", "u", 4, periods=3)], [])
    assert starts(times) == {"a": [0, 4, 8]}


def test_cyclic_needs_and_releases() -> None:
    # b needs 2, then 3 tokens of every 3; it gives 1 slot back, then all 3. Capacity 3.
    # a: 0, 1, 2 end at 1, 2, 3. b0 starts at 2 (needs 2), ends 7, releases 1 -> a3 at 7, ends 8.
    # b1 starts at 7 (needs 3), ends 12, releases 3 -> a4, a5 at 12, 13. b2 needs 5 tokens: at 13.
    # b2 ends at 18 (releases 4: no firing of a is left). b3 needs 6: at 18.
    flow = Flow(2, np.array([2, 3]), np.array([1, 3]), 3)
    times = run(
        [Unit("u"), Unit("v")],
        [actor("a", "u", 1, periods=6), actor("b", "v", 5, periods=4)],
        [Channel("a", "b", 3, (flow,))],
    )
    assert starts(times) == {"a": [0, 1, 2, 7, 12, 13], "b": [2, 7, 13, 18]}


def test_segments_continue_the_base_of_the_one_before() -> None:
    # Two firings of one token each, then one of four tokens: 2 + 4 in all.
    flows = (Flow(2, np.array([1]), np.array([1]), 1), Flow(1, np.array([4]), np.array([4]), 4))
    times = run(
        [Unit("u"), Unit("v")],
        [actor("a", "u", 1, periods=6), actor("b", "v", 1, periods=3)],
        [Channel("a", "b", 9, flows)],
    )
    assert starts(times)["b"] == [1, 2, 6]


def test_a_channel_of_an_actor_to_itself() -> None:
    # Capacity 2, needs its own token of two firings ago (latency 5): 0, 1 | 6, 7 | 12.
    flows = (Flow(2, np.array([0]), np.array([0]), 0), Flow(3, np.array([1]), np.array([1]), 1))
    times = run([Unit("u")], [actor("a", "u", 1, latency=5, periods=5)], [Channel("a", "a", 2, flows)])
    assert times.stuck == ("a",)  # its firings 0 and 1 give nothing back, so the third slot never comes free
    times = run([Unit("u")], [actor("a", "u", 1, latency=5, periods=5)], [Channel("a", "a", 5, flows)])
    assert starts(times)["a"] == [0, 1, 6, 7, 12]
