"""The graph as an artefact: written, read back, and refused with every fault named."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engine.graphs import seeded_graph
from xbarsim.dataflow.graph import Actor, Channel, Flow, Graph, Unit, Work, table
from xbarsim.errors import InputError

GOOD: dict[str, Any] = {
    "schema": "xbarsim.graph/1",
    "units": [{"name": "array", "servers": 2, "note": "72 x 72"}, {"name": "bus"}],
    "actors": [
        {
            "name": "conv.read",
            "unit": "array",
            "copies": True,
            "group": 2,
            "counts": {"cells": 5},
            "segments": [{"periods": 3, "service_ps": [5, 6], "latency_ps": [0, 1]}],
        },
        {
            "name": "conv.send",
            "unit": "bus",
            "segments": [{"periods": 3, "service_ps": [2], "latency_ps": [0]}],
        },
    ],
    "channels": [
        {
            "from": "conv.read",
            "to": "conv.send",
            "capacity": 4,
            "segments": [{"periods": 3, "need": [2], "release": [2], "step": 2}],
        }
    ],
}


def read(data: dict[str, Any]) -> Graph:
    return Graph.from_json(json.loads(json.dumps(data)), file="plan.json")


def test_reads_what_it_says() -> None:
    graph = read(GOOD)
    assert graph.units == (Unit("array", 2), Unit("bus", 1))
    read_actor, send = graph.actors
    assert (read_actor.copies, read_actor.group, read_actor.firings) == (True, 2, 6)
    assert (send.copies, send.group, send.firings) == (False, 1, 3)
    assert read_actor.work[0].service_ps.tolist() == [5, 6]
    assert graph.channels[0].flows[0].step == 2
    assert graph.firings == 9


def test_round_trip() -> None:
    for seed in range(100):
        graph = seeded_graph(seed)
        again = read(graph.to_json())
        assert again == graph
        assert again.to_json() == graph.to_json()


def test_step_may_be_left_out() -> None:
    data = copy.deepcopy(GOOD)
    data["channels"][0]["segments"] = [{"periods": 1, "need": [2, 4, 6], "release": [2, 4, 6]}]
    assert read(data).channels[0].flows[0].step == 0


def test_repeats_unfold_by_reference_and_fold_again() -> None:
    data = copy.deepcopy(GOOD)
    one = {"periods": 1, "service_ps": [5, 6], "latency_ps": [0, 1]}
    other = {"periods": 2, "service_ps": [7, 7], "latency_ps": [1, 1]}
    inner = {"repeat": 3, "segments": [one]}
    data["actors"][0]["segments"] = [{"repeat": 2, "segments": [inner, other]}]
    data["actors"][1]["segments"][0]["periods"] = 10
    data["channels"][0]["segments"][0]["periods"] = 10
    graph = read(data)
    work = graph.actors[0].work
    assert [segment.periods for segment in work] == [1, 1, 1, 2, 1, 1, 1, 2]
    assert len({id(segment) for segment in work}) == 2
    written = graph.to_json()["actors"][0]["segments"]
    assert len(written) == 1
    assert (written[0]["repeat"], len(written[0]["segments"])) == (2, 4)
    assert read(graph.to_json()) == graph


def test_a_repeat_of_nothing() -> None:
    data = copy.deepcopy(GOOD)
    data["channels"] = []
    data["actors"][0]["segments"] = [{"repeat": 0, "segments": data["actors"][0]["segments"]}]
    assert read(data).actors[0].work == ()


def test_tables_are_shared_and_read_only() -> None:
    values = table([1, 2, 3])
    work = Work(2, values, values)
    assert work.service_ps is values
    with pytest.raises(ValueError, match="read-only"):
        work.service_ps[0] = 7
    mine = np.array([1, 2, 3])
    copied = Work(1, mine, mine)
    mine[0] = 9
    assert copied.service_ps.tolist() == [1, 2, 3]


@pytest.mark.parametrize("values", [[], [1.5], [[1, 2]], ["a"], 5, [2**63]])
def test_tables_are_lists_of_integers(values: Any) -> None:
    with pytest.raises(InputError):
        Work(1, values, np.array([1]))


def test_segments_compare_by_value() -> None:
    assert Work(1, [1], [2]) == Work(1, [1], [2]) != Work(2, [1], [2])  # type: ignore[arg-type]
    assert Flow(1, [1], [2], 0) == Flow(1, [1], [2], 0) != Flow(1, [1], [2], 1)  # type: ignore[arg-type]
    assert len({Work(1, [1], [2]), Work(1, [1], [2])}) == 1  # type: ignore[arg-type]
    assert Channel("a", "b", 1, ()).name == "a -> b"


Change = Callable[[dict[str, Any]], Any]


def actor0(data: dict[str, Any]) -> dict[str, Any]:
    return data["actors"][0]


def work0(data: dict[str, Any]) -> dict[str, Any]:
    return data["actors"][0]["segments"][0]


def channel0(data: dict[str, Any]) -> dict[str, Any]:
    return data["channels"][0]


def flow0(data: dict[str, Any]) -> dict[str, Any]:
    return data["channels"][0]["segments"][0]


FAULTS: list[tuple[Change, str]] = [
    (lambda d: d.update(schema="xbarsim.graph/2"), "schema: 'xbarsim.graph/2' is not 'xbarsim.graph/1'"),
    (lambda d: d.pop("schema"), "schema: missing"),
    (lambda d: d.pop("units"), "units: missing"),
    (lambda d: d.update(chanels=[]), "chanels: unknown key; did you mean 'channels'?"),
    (lambda d: d.update(units={}), "units: {} is not a list"),
    (lambda d: d["units"].append(7), "units[2]: 7 is not an object"),
    (lambda d: d["units"].append({"name": "bus"}), "units[2].name: the name 'bus' is taken by units[1]"),
    (lambda d: d["units"].append({"name": ""}), "units[2].name: '' is not a name"),
    (lambda d: d["units"][0].update(servers=0), "units[0].servers: 0 is below the minimum 1"),
    (lambda d: d["units"][0].update(servers=2.0), "units[0].servers: 2.0 is not an integer"),
    (lambda d: d["units"][0].update(servers=True), "units[0].servers: True is not an integer"),
    (lambda d: d["units"][0].update(server=2), "units[0].server: unknown key; did you mean 'servers'?"),
    (lambda d: actor0(d).update(unit="aray"), "actors[0].unit: no unit 'aray'; did you mean 'array'?"),
    (lambda d: actor0(d).pop("unit"), "actors[0].unit: missing"),
    (
        lambda d: d["actors"][1].update(name="conv.read"),
        "actors[1].name: the name 'conv.read' is taken by actors[0]",
    ),
    (lambda d: actor0(d).update(copies=1), "actors[0].copies: 1 is not true or false"),
    (lambda d: actor0(d).update(group=0), "actors[0].group: 0 is below the minimum 1"),
    (lambda d: actor0(d).update(grup=1), "actors[0].grup: unknown key; did you mean 'group'?"),
    (lambda d: actor0(d).pop("segments"), "actors[0].segments: missing"),
    (lambda d: work0(d).update(periods=-1), "actors[0].segments[0].periods: -1 is below the minimum 0"),
    (lambda d: work0(d).update(periods=2**61), f"actors[0].segments[0].periods: {2**61} is above the maximum"),
    (
        lambda d: work0(d).update(service_ps=[5, 0]),
        "actors[0].segments[0].service_ps[1]: 0 is below the minimum 1",
    ),
    (
        lambda d: work0(d).update(latency_ps=[-2, 0]),
        "actors[0].segments[0].latency_ps[0]: -2 is below the minimum 0",
    ),
    (
        lambda d: work0(d).update(latency_ps=[2**62, 0]),
        f"actors[0].segments[0].latency_ps[0]: {2**62} is above the maximum",
    ),
    (lambda d: work0(d).update(service_ps=[]), "actors[0].segments[0].service_ps: [] is not a list of one or"),
    (
        lambda d: work0(d).update(service_ps=[5, "x"]),
        "actors[0].segments[0].service_ps[1]: 'x' is not an integer",
    ),
    (
        lambda d: work0(d).update(service_ps=[5]),
        "actors[0].segments[0]: service_ps has 1 phases but latency_ps has 2",
    ),
    (lambda d: work0(d).pop("latency_ps"), "actors[0].segments[0].latency_ps: missing"),
    (
        lambda d: actor0(d).update(segments=[{"repeat": -1, "segments": []}]),
        "actors[0].segments[0].repeat: -1 is below the minimum 0",
    ),
    (
        lambda d: actor0(d).update(segments=[{"repeat": 10**9, "segments": [work0(d)]}]),
        "actors[0].segments[0].repeat: 1000000000 segments are more than 10000000",
    ),
    (
        lambda d: channel0(d).update({"from": "conv.rad"}),
        "channels[0].from: no actor 'conv.rad'; did you mean 'conv.read'?",
    ),
    (
        lambda d: channel0(d).update({"to": "conv.sent"}),
        "channels[0].to: no actor 'conv.sent'; did you mean 'conv.send'?",
    ),
    (lambda d: channel0(d).update(capacity=0), "channels[0].capacity: 0 is below the minimum 1"),
    (lambda d: channel0(d).pop("capacity"), "channels[0].capacity: missing"),
    (
        lambda d: flow0(d).update(periods=2),
        "channels[0].segments: 2 firings, but 'conv.send' fires 3 times",
    ),
    (lambda d: flow0(d).update(need=[-1]), "channels[0].segments[0].need[0]: -1 is below the minimum 0"),
    (lambda d: flow0(d).update(release=[-1]), "channels[0].segments[0].release[0]: -1 is below the minimum 0"),
    (lambda d: flow0(d).update(step=-1), "channels[0].segments[0].step: -1 is below the minimum 0"),
    (
        lambda d: flow0(d).update(need=[1, 2]),
        "channels[0].segments[0]: need has 2 phases but release has 1",
    ),
    (
        lambda d: flow0(d).update(periods=1, need=[2, 4, 6], release=[2, 1, 6]),
        "channels[0].segments[0].release[1]: release must not decrease: 1 follows 2",
    ),
    (
        lambda d: channel0(d).update(
            segments=[
                {"periods": 1, "need": [2], "release": [2], "step": 0},
                {"periods": 2, "need": [2], "release": [1], "step": 0},
            ]
        ),
        "channels[0].segments[1].release: release must not decrease: 1 follows 2 of the segment before",
    ),
    (lambda d: flow0(d).update(step=2**60), "channels[0].segments[0]: token counts pass the maximum"),
    (
        lambda d: d["actors"][1]["segments"][0].update(service_ps=[2**60], periods=2**10),
        "units[1]: 1180591620717411303424 ps of service are more than 64 bits hold",
    ),
    (
        lambda d: work0(d).update(periods=2**60),
        f"actors[0]: {2**61} firings are above the maximum {2**60}",
    ),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[message[:60] for _, message in FAULTS])
def test_faults(change: Change, message: str) -> None:
    data = copy.deepcopy(GOOD)
    change(data)
    with pytest.raises(InputError) as caught:
        Graph.from_json(data, file="plan.json")
    assert any(str(fault).startswith(f"plan.json: {message}") for fault in caught.value.faults)
    assert len(set(caught.value.faults)) == len(caught.value.faults)


def test_periods_of_release_must_not_decrease() -> None:
    data = copy.deepcopy(GOOD)
    data["actors"][1]["segments"][0]["periods"] = 4
    flow0(data).update(periods=2, need=[2, 4], release=[2, 4], step=1)
    with pytest.raises(InputError, match=r"release must not decrease: 3 \(next period\) follows 4"):
        read(data)


def test_not_an_object() -> None:
    with pytest.raises(InputError, match=r"graph: \[\] is not an object"):
        Graph.from_json([])  # type: ignore[arg-type]


def test_all_faults_in_one_report() -> None:
    data = copy.deepcopy(GOOD)
    data["units"][0]["servers"] = 0
    work0(data)["service_ps"] = [0, 1]
    channel0(data)["to"] = "conv.sned"
    data["units"].append({"name": "bus", "colour": 1})
    with pytest.raises(InputError) as caught:
        read(data)
    assert [fault.path for fault in caught.value.faults] == [
        "units[0].servers",
        "units[2].colour",
        "actors[0].segments[0].service_ps[0]",
        "units[2].name",
        "channels[0].to",
    ]


def test_a_graph_made_in_python_is_checked_too() -> None:
    work = Work(1, np.array([0]), np.array([1, 2]))
    flow = Flow(2, np.array([1, 2]), np.array([2]), -1)
    with pytest.raises(InputError) as caught:
        Graph(
            (Unit("u", 0), Unit("u")),
            (Actor("a", "w", (work, work), group=0),),
            (Channel("a", "b", 0, (flow,)),),
        )
    assert [str(fault) for fault in caught.value.faults] == [
        "graph: units[1].name: the name 'u' is taken by units[0]",
        "graph: units[0].servers: 0 is below the minimum 1",
        "graph: actors[0].group: 0 is below the minimum 1",
        "graph: actors[0].unit: no unit 'w'",
        "graph: actors[0].segments[0].service_ps[0]: 0 is below the minimum 1",
        "graph: actors[0].segments[0]: service_ps has 1 phases but latency_ps has 2",
        "graph: channels[0].capacity: 0 is below the minimum 1",
        "graph: channels[0].to: no actor 'b'",
        "graph: channels[0].segments[0].step: -1 is below the minimum 0",
        "graph: channels[0].segments[0]: need has 2 phases but release has 1",
        "graph: channels[0].segments[0].release: release must not decrease: 1 (next period) follows 2",
    ]
