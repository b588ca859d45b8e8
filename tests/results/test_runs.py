"""Runs as people see them: one truth from both executors, the same bytes for the same seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataflow.plans import planned, times_of
from mapping.nets import chip, tiny

from xbarsim.errors import InputError, XbarsimError
from xbarsim.mapping import place
from xbarsim.network import load_network
from xbarsim.results.moments import Moments
from xbarsim.studies.compare import break_even, compare
from xbarsim.studies.simulate import simulate

METHODS = ("xbm", "piggyback", "finetune")
SCENARIOS = (None, "digits:3,rotated:2,rotated:2,digits:1", "digits:2,backbone:2,inverted:1,backbone:1,digits:2")
TIMED = ("plan_seconds", "engine_seconds", "engine")


def text(method: str, scenario: str | None, engine: str = "compiled", name: str = "digits", seed: int = 0) -> str:
    result = simulate(chip(), load_network(name, seed=seed), method, scenario, engine=engine, seed=seed).to_json()
    for key in TIMED:
        result.pop(key)
    return json.dumps(result)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_both_executors_give_the_same_bytes(method: str, scenario: str | None) -> None:
    assert text(method, scenario) == text(method, scenario, "reference")


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(
        "schema: 1\nname: net\ninput: [4, 6, 6]\nlayers:\n  - {conv: a, out: 8, kernel: 3}\n"
        "  - {conv: b, out: 8, kernel: 3}\nsynthetic: {tasks: 2}\n"
    )
    for method in METHODS:
        first, again, other = (text(method, None, name=str(path), seed=seed) for seed in (1, 1, 2))
        assert first == again
        numbers = [json.loads(one) for one in (first, other)]
        for one in numbers:
            assert one["synthetic"] is True
            one.pop("seed")
        assert numbers[0] != numbers[1]


def test_a_bundle_does_not_depend_on_the_seed() -> None:
    numbers = [json.loads(text("piggyback", None, seed=seed)) for seed in (0, 5)]
    assert [one.pop("seed") for one in numbers] == [0, 5]
    assert numbers[0] == numbers[1]
    assert numbers[0]["synthetic"] is False


def test_the_run_has_every_field_of_its_contract() -> None:
    result = simulate(chip(), load_network("digits"), "piggyback", "digits:2,rotated:1").to_json()
    assert result["schema"] == "xbarsim.run/1"
    fields = {
        "": "chip bundle method engine seed synthetic latency_ns energy_pj firings firings_executed plan_seconds "
            "engine_seconds tasks switches install components layers wear assumptions",
        "tasks": "task inferences first_latency_ns interval_ns energy_per_inference_pj",
        "switches": "from to latency_ns energy_pj cells_written pulses mask_bits norm_bits head_bits weight_bits "
                    "weights_touched codes_changed",
        "install": "cells_written pulses energy_pj latency_ns",
        "components": "component action count energy_pj",
        "wear": "cells writes_max writes_mean pulses_max pulses_mean",
    }  # fmt: skip
    for place_, names in fields.items():
        there: Any = result[place_] if place_ else result
        for row in there if isinstance(there, list) else [there]:
            assert set(names.split()) <= set(row), place_
    assert [row["interval_ns"] is None for row in result["tasks"]] == [False, True]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_intervals_are_means_between_the_first_and_the_last_output() -> None:
    found = simulate(chip(), tiny(), "xbm", "task1:5")
    placement = place(chip(), tiny())
    dataflow = planned(placement, "xbm", "task1:5")
    from xbarsim.engine import execute

    times = execute(dataflow.graph, record=True)
    assert times.commits is not None
    assert times.starts is not None
    commits = times.commits[times.actors.index(dataflow.last)]
    per_image = placement.stages[-1].windows
    outputs = commits[per_image - 1 :: per_image]
    assert len(outputs) == 5
    row = found.inferences[0].to_json()
    assert row["interval_ns"] == (outputs[-1] - outputs[0]) / 4 / 1000
    starts = [times.starts[times.actors.index(name)].min() for name in dataflow.first]
    assert row["first_latency_ns"] == (outputs[0] - min(starts)) / 1000
    assert found.to_json()["latency_ns"] == times.makespan / 1000


def test_switch_and_inference_fill_the_whole_time() -> None:
    found = simulate(chip(), load_network("digits"), "finetune", "digits:3,rotated:2,rotated:1,backbone:1")
    dataflow = planned(place(chip(), load_network("digits")), "finetune", "digits:3,rotated:2,rotated:1,backbone:1")
    moments = Moments(dataflow, times_of(dataflow))
    assert sum(span.duration_ps for span in moments.spans) == moments.last_output[-1] == found.makespan_ps


@pytest.mark.parametrize("stage", ["conv.read", "deep.convert", "deep.activate"])
@pytest.mark.parametrize("what", ["early", "late"])
def test_a_schedule_with_a_window_under_the_wrong_task_is_refused(stage: str, what: str) -> None:
    dataflow = planned(place(chip(), tiny()), "finetune", "task1:2,task2:2")
    times = times_of(dataflow)
    Moments(dataflow, times).check_tasks()
    segment = times.segments[times.actors.index(stage)]
    table = segment.first_start_ps if what == "early" else segment.last_end_ps
    table.setflags(write=True)
    table[1 if what == "early" else 0] = 1 if what == "early" else times.makespan
    with pytest.raises(XbarsimError, match=f"{stage} works at step 1"):
        Moments(dataflow, times).check_tasks()


def test_a_method_that_nobody_knows_is_named_with_the_ones_there_are() -> None:
    with pytest.raises(InputError, match="no adaption 'xbmm'; known: .*xbm.*did you mean 'xbm'"):
        simulate(chip(), tiny(), "xbmm")


@pytest.mark.parametrize(
    ("switch", "inference", "base", "kind", "at", "cheaper"),
    [
        (1, 1, (2, 2), "always", None, None),
        (2, 2, (2, 2), "always", None, None),
        (3, 2, (2, 2), "never", None, None),
        (2, 3, (2, 2), "never", None, None),
        (1, 3, (5, 2), "at", 4.0, "below"),
        (9, 1, (1, 3), "at", 4.0, "above"),
        (0, 3, (5, 2), "at", 5.0, "below"),
    ],
)
def test_break_even(
    switch: float, inference: float, base: tuple[float, float], kind: str, at: float | None, cheaper: str | None
) -> None:
    point = break_even(switch, inference, *base)
    assert (point.kind, point.inferences, point.cheaper) == (kind, at, cheaper)
    if at is not None:
        assert switch + at * inference == pytest.approx(base[0] + at * base[1])
        fewer = switch + (at - 1) * inference < base[0] + (at - 1) * base[1]
        assert fewer == (cheaper == "below")


def test_compare_is_the_runs_side_by_side() -> None:
    net = load_network("digits")
    frame = compare(chip(), net, METHODS, "digits:2,rotated:2").set_index("method")
    for method in METHODS:
        result = simulate(chip(), net, method, "digits:2,rotated:2").to_json()
        row, switches = frame.loc[method], result["switches"]
        for ours, theirs in (("switch_latency_ns", "latency_ns"), ("switch_energy_pj", "energy_pj"),
                             ("cells_written", "cells_written"), ("pulses", "pulses")):  # fmt: skip
            assert row[ours] == pytest.approx(np.mean([switch[theirs] for switch in switches]), rel=1e-12)
        for key in ("mask_bits", "norm_bits", "head_bits"):
            assert row[key] == switches[0][key]
        energy = sum(task["energy_per_inference_pj"] * task["inferences"] for task in result["tasks"]) / 4
        assert row["energy_per_inference_pj"] == pytest.approx(energy, rel=1e-12)
    assert frame.loc["xbm", "cells_written"] == 0
    assert frame.loc["xbm", "mask_bits"] < frame.loc["piggyback", "mask_bits"] / 50
