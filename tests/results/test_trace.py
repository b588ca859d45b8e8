"""Timelines: nothing overlaps, nothing is lost, power is energy, and the files say what the engine said."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.engine.graphs import graphs
from xbarsim.chip import load_chip
from xbarsim.dataflow.graph import Channel, Graph
from xbarsim.engine import Times, execute, reference
from xbarsim.engine.times import at_firing
from xbarsim.errors import InputError, XbarsimError
from xbarsim.network import load_network
from xbarsim.results import Run, trace
from xbarsim.results.trace import Timeline, timeline
from xbarsim.results.trace_files import micros, write_trace
from xbarsim.studies.simulate import simulate
from xbarsim.studies.timeline import trace as traced

SCENARIO = "rotated:2,inverted"
Number = (int, float)
EVENT = {"ph": str, "pid": int, "tid": int, "ts": Number, "name": str, "args": dict}
"""Required keys of the trace event format and what they hold, for every phase that we write."""

SCHEMA = {"M": EVENT, "C": EVENT, "X": EVENT | {"dur": Number, "cat": str}}
NAMES = {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}


@cache
def both(method: str, scenario: str = SCENARIO, activity: str = "default") -> tuple[Timeline, Run]:
    chip, network = load_chip("xbm_72"), load_network("digits")
    run = simulate(chip, network, method, scenario, activity=activity)
    return traced(chip, network, method, scenario, activity=activity), run


def energy_pj(counter: trace.Counter, end_ps: int) -> float:
    """Integral of a power over its samples; mW x ps are femtojoules."""
    spans = np.diff(np.append(counter.times_ps, end_ps))
    return fsum((counter.values * spans).tolist()) / 1000


def power_of(found: Timeline, process: str = trace.WHOLE) -> trace.Counter:
    (one,) = [c for c in found.counters if c.name == trace.POWER and c.process == process]
    return one


def assert_no_overlap(found: Timeline) -> None:
    last = [0] * len(found.tracks)
    for begin, end, track, _, _ in found.slices.tolist():
        assert last[track] <= begin < end
        last[track] = end


# ---- any graph ---------------------------------------------------------------------------------


def servers_of(graph: Graph, times: Times) -> dict[tuple[str, int, int], list[int]]:
    """By actor, begin and end: which servers the timeline shows."""
    found = timeline(graph, times)
    actors = [(actor.name, number) for actor in graph.actors for number in range(len(actor.work))]
    units = {actor.name: actor.unit for actor in graph.actors}
    shown = defaultdict(list)
    for begin, end, track, kind, _ in found.slices.tolist():
        name = actors[kind][0]
        thread = found.tracks[track].thread
        rest = thread.removeprefix(units[name]).strip()
        shown[name, begin, end].append(int(rest or 0))
    return {key: sorted(servers) for key, servers in shown.items()}


@given(graph=graphs())
@settings(max_examples=100)
def test_slices_are_the_firings_on_the_servers_that_the_reference_chose(graph: Graph) -> None:
    """Also of units whose servers some actors may choose and others may not."""
    granted: dict[tuple[str, int, int], list[int]] = defaultdict(list)

    class Watched(reference.Stage):
        def run(self, server: int | None, firings: list[int]) -> Iterator[Any]:
            steps, answer = super().run(server, firings), None
            try:
                while True:
                    event = steps.send(answer)
                    answer = yield event
                    if isinstance(answer, int) and not isinstance(event, reference.simpy.Timeout):
                        firing = next(f for f in firings if self.starts[f] < 0)
                        begin = int(self.env.now)
                        granted[self.actor.name, begin, begin + self.work[firing][0]].append(answer)
            except StopIteration:
                return

    plain = reference.Stage
    reference.Stage = Watched  # type: ignore[misc]
    try:
        times = execute(graph, "reference", record=True)
    finally:
        reference.Stage = plain  # type: ignore[misc]
    if times.firings == 0:
        return
    expected = {key: sorted(servers) for key, servers in granted.items()}
    assert servers_of(graph, times) == expected
    assert servers_of(graph, execute(graph, record=True)) == expected


@given(graph=graphs())
@settings(max_examples=100)
def test_tracks_are_as_busy_as_their_units(graph: Graph) -> None:
    times = execute(graph, record=True)
    if times.firings == 0:
        return
    found = timeline(graph, times)
    assert_no_overlap(found)
    busy = dict.fromkeys((unit.name for unit in graph.units), 0)
    units = [actor.unit for actor in graph.actors for _ in actor.work]
    for begin, end, _, kind, _ in found.slices.tolist():
        busy[units[kind]] += end - begin
    assert list(busy.values()) == times.busy_ps.tolist()
    assert len(found.slices) == times.firings


def naive_tokens(channel: Channel, graph: Graph, times: Times, at_ps: int) -> int:
    """Tokens shown and not given back: firing by firing, in order."""
    assert times.commits is not None
    assert times.ends is not None
    names = [actor.name for actor in graph.actors]
    shown = 0
    for commit in times.commits[names.index(channel.source)].tolist():
        if not 0 <= commit <= at_ps:
            break
        shown += 1
    back = 0
    for firing, end in enumerate(times.ends[names.index(channel.target)].tolist()):
        if not 0 <= end <= at_ps:
            break
        back = max(back, at_firing(channel, firing)[1])
    return shown - back


@given(graph=graphs(small=True))
@settings(max_examples=60)
def test_queues_hold_the_tokens_that_are_not_given_back(graph: Graph) -> None:
    times = execute(graph, record=True)
    if times.firings == 0:
        return
    found = {counter.name: counter for counter in timeline(graph, times).counters}
    for channel in graph.channels:
        counter = found.get(f"{channel.name} {trace.TOKENS}")
        if counter is None or sum(other.name == channel.name for other in graph.channels) > 1:
            continue
        assert (np.diff(counter.times_ps) > 0).all()
        for at, value in zip(counter.times_ps.tolist(), counter.values.tolist(), strict=True):
            assert value == naive_tokens(channel, graph, times, at)
        if len(counter.times_ps):
            assert naive_tokens(channel, graph, times, int(counter.times_ps[0]) - 1) == 0


# ---- a chip ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["xbm", "finetune", "piggyback"])
def test_the_integral_of_power_is_the_dynamic_energy_of_the_run(method: str) -> None:
    found, run = both(method)
    dynamic = fsum(
        row.energy_pj for row in run.ledger.rows if row.phase != "install" and row.action not in ("leakage", "static")
    )
    assert energy_pj(power_of(found), found.end_ps) == pytest.approx(dynamic, rel=1e-9)
    assert power_of(found).values[-1] == 0
    parts = [c for c in found.counters if c.name == trace.POWER and c.process != trace.WHOLE]
    assert len(parts) > 4
    assert fsum(energy_pj(one, found.end_ps) for one in parts) == pytest.approx(dynamic, rel=1e-9)


def test_power_follows_the_activity() -> None:
    found, run = both("xbm", "rotated:1", "data")
    every, _ = both("xbm", "rotated:1")
    dynamic = fsum(
        row.energy_pj for row in run.ledger.rows if row.phase != "install" and row.action not in ("leakage", "static")
    )
    assert energy_pj(power_of(found), found.end_ps) == pytest.approx(dynamic, rel=1e-9)
    assert dynamic < energy_pj(power_of(every), every.end_ps)


@pytest.mark.parametrize("method", ["xbm", "finetune"])
def test_windows_cut_slices_and_power_alike(method: str) -> None:
    """Windows side by side hold every slice once, and the energy of its parts."""
    whole, _ = both(method)
    borders = [0, *(whole.end_ps * share // 7 for share in (1, 2, 5)), whole.end_ps]
    chip, network = load_chip("xbm_72"), load_network("digits")
    total = 0.0
    lengths = np.zeros(len(whole.kinds), np.int64)
    for window in pairwise(borders):
        part = traced(chip, network, method, SCENARIO, window)
        assert_no_overlap(part)
        assert part.slices[:, 0].min() >= window[0]
        assert part.slices[:, 1].max() <= window[1]
        energy = sum((row[1] - row[0]) * part.kinds[row[3]].power_mw for row in part.slices.tolist()) / 1000
        assert energy_pj(power_of(part), window[1]) == pytest.approx(energy, rel=1e-9)
        total += energy
        np.add.at(lengths, part.slices[:, 3], part.slices[:, 1] - part.slices[:, 0])
        for counter in part.counters:
            assert ((counter.times_ps >= window[0]) & (counter.times_ps <= window[1])).all()
    assert total == pytest.approx(energy_pj(power_of(whole), whole.end_ps), rel=1e-9)
    everything = np.zeros_like(lengths)
    np.add.at(everything, whole.slices[:, 3], whole.slices[:, 1] - whole.slices[:, 0])
    assert lengths.tolist() == everything.tolist()


def test_slices_are_named_by_layer_and_stage_and_know_their_task() -> None:
    found, run = both("xbm")
    assert_no_overlap(found)
    assert found.end_ps == run.makespan_ps
    names = {found.kinds[kind].name for kind in found.slices[:, 3].tolist()}
    assert names >= {"conv1/fetch", "conv1/read", "conv1/convert", "conv4/set_mask", "fc/write"}
    used = {found.kinds[kind].args["task"] for kind in found.slices[:, 3].tolist()}
    assert used == {"rotated", "inverted"}
    reads = [kind for kind in found.kinds if kind.name == "conv1/read"]
    assert reads[0].args["phase"] == "inference"
    assert reads[0].args["counts"]["crossbar.read"] > 0
    assert {track.process.split(":")[0] for track in found.tracks} >= {"conv1", "fc", trace.SHARED}


def test_repeats_are_executed_in_full() -> None:
    found, run = both("xbm", "40*(rotated:1,inverted:1)")
    assert run.firings_executed < run.firings == len(found.slices)
    assert found.end_ps == run.makespan_ps


# ---- files -------------------------------------------------------------------------------------


def check_events(events: list[dict[str, Any]]) -> None:
    """The trace event format as far as we use it."""
    last, open_until, named = 0.0, dict[tuple[int, int], float](), set[tuple[int, int]]()
    for event in events:
        wanted = SCHEMA[event["ph"]]
        assert wanted.keys() == event.keys()
        for key, kind in wanted.items():
            assert isinstance(event[key], kind), event
        where = event["pid"], event["tid"]
        if event["ph"] == "M":
            assert event["name"] in NAMES
            assert last == 0
            named.add(where)
            continue
        assert event["ts"] >= last, "events stand in order of time"
        last = event["ts"]
        if event["ph"] == "C":
            assert all(isinstance(value, Number) for value in event["args"].values())
            continue
        assert event["dur"] >= 0
        assert where in named
        assert event["ts"] >= open_until.get(where, 0.0) - 1e-7, "slices of a track do not overlap"
        open_until[where] = event["ts"] + event["dur"]


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_the_file_is_in_the_trace_event_format(tmp_path: Path, name: str) -> None:
    found, _ = both("finetune")
    write_trace(found, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    content = json.loads(gzip.decompress(data) if name.endswith("gz") else data)
    assert content["displayTimeUnit"] == "ns"
    events = content["traceEvents"]
    check_events(events)
    slices = [event for event in events if event["ph"] == "X"]
    exact = [(round(event["ts"] * 10**6), round(event["dur"] * 10**6)) for event in slices]
    assert exact == [(begin, end - begin) for begin, end, *_ in found.slices.tolist()]
    assert [event["args"]["firing"] for event in slices] == found.slices[:, 4].tolist()
    samples = [event for event in events if event["ph"] == "C"]
    assert len(samples) + len(slices) == found.events
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_timeline_gives_the_same_bytes(tmp_path: Path) -> None:
    found, _ = both("xbm")
    for name in ("a.json.gz", "b.json.gz"):
        write_trace(found, tmp_path / name)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_microseconds_keep_every_picosecond() -> None:
    assert [micros(ps) for ps in (0, 1, 1_000_000, 12_345_678_901_234)] == [
        "0.000000", "0.000001", "1.000000", "12345678.901234",
    ]  # fmt: skip
    assert round(float(micros(10**13 + 1)) * 10**6) == 10**13 + 1


def test_perfetto_packets_hold_the_same_slices(tmp_path: Path) -> None:
    pytest.importorskip("perfetto")
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

    found, _ = both("xbm")
    write_trace(found, tmp_path / "t.pftrace")
    read = Trace()
    read.ParseFromString((tmp_path / "t.pftrace").read_bytes())
    threads, open_since, slices, samples, last = {}, {}, [], 0, 0
    for packet in read.packet:
        if packet.HasField("track_descriptor"):
            threads[packet.track_descriptor.uuid] = packet.track_descriptor.name
            continue
        event = packet.track_event
        assert packet.timestamp >= last
        last = packet.timestamp
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            assert event.track_uuid not in open_since, "a slice begins where one is open"
            notes = {note.name: note.int_value for note in event.debug_annotations}
            open_since[event.track_uuid] = (notes["begin_ps"], notes["end_ps"], event.name, packet.timestamp)
        elif event.type == TrackEvent.TYPE_SLICE_END:
            begin, end, name, began = open_since.pop(event.track_uuid)
            assert (began, packet.timestamp) == (begin // 1000, end // 1000)
            slices.append((begin, end, threads[event.track_uuid], name))
        else:
            assert event.type == TrackEvent.TYPE_COUNTER
            samples += 1
    assert not open_since
    expected = [
        (begin, end, found.tracks[track].thread, found.kinds[kind].name)
        for begin, end, track, kind, _ in found.slices.tolist()
    ]
    assert sorted(slices) == sorted(expected)
    assert samples + len(slices) == found.events


def test_an_unknown_ending_and_an_empty_window_are_refused(tmp_path: Path) -> None:
    found, _ = both("xbm")
    with pytest.raises(InputError, match=r"--trace: .*t.txt: the name must end in .json"):
        write_trace(found, tmp_path / "t.txt")
    chip, network = load_chip("xbm_72"), load_network("digits")
    with pytest.raises(InputError, match=r"the window begins at 1e\+06 us, the scenario ends at"):
        traced(chip, network, "xbm", SCENARIO, (10**12, 2 * 10**12))


def test_too_much_is_refused_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    chip, network = load_chip("xbm_72"), load_network("digits")
    with pytest.raises(
        InputError, match=r"has [0-9]{2,3},[0-9]{3},[0-9]{3} firings .* at most 20,000,000 are recorded"
    ):
        traced(chip, network, "xbm", "rotated:10000")
    monkeypatch.setattr(trace, "MOST_EVENTS", 100)
    with pytest.raises(InputError, match=r"[0-9,]+ slices and samples, at most 100 .* --trace-window"):
        traced(chip, network, "xbm", SCENARIO)
    assert traced(chip, network, "xbm", SCENARIO, (0, 200_000)).events <= 100


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    found, _ = both("xbm")
    (tmp_path / "t.json").mkdir()
    with pytest.raises(XbarsimError, match="cannot be written"):
        write_trace(found, tmp_path / "t.json")
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_an_interrupted_file_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = both("xbm")
    from xbarsim.results import trace_files

    def stops(found: Timeline) -> Iterator[str]:
        yield "{}"
        raise KeyboardInterrupt

    monkeypatch.setattr(trace_files, "_events", stops)
    with pytest.raises(KeyboardInterrupt):
        write_trace(found, tmp_path / "t.json.gz")
    assert list(tmp_path.iterdir()) == []


def test_times_that_were_not_recorded_have_no_timeline() -> None:
    graph = Graph((), (), ())
    with pytest.raises(ValueError, match="not recorded"):
        timeline(graph, execute(graph))
