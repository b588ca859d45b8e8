"""The JSON that other tools read: every key, its type, its unit, null where it says so. Extended, never renamed."""

from __future__ import annotations

from typing import Any

import pytest
from cli.conftest import Xbarsim

from xbarsim.studies.compare import BreakEven, break_even

Number = (int, float)
NoneType = type(None)

RUN = {
    "schema": str,
    "chip": str,
    "bundle": str,
    "method": str,
    "engine": str,
    "seed": int,
    "synthetic": bool,
    "latency_ns": Number,
    "energy_pj": Number,
    "firings": int,
    "firings_executed": int,
    "plan_seconds": float,
    "engine_seconds": float,
    "tasks": list,
    "switches": list,
    "install": dict,
    "components": list,
    "layers": list,
    "wear": dict,
    "assumptions": list,
}
TASK = {
    "task": str,
    "inferences": int,
    "first_latency_ns": Number,
    "interval_ns": (*Number, NoneType),
    "energy_per_inference_pj": Number,
}
SWITCH = {"from": str, "to": str, "latency_ns": Number, "energy_pj": Number} | dict.fromkeys(
    "cells_written pulses mask_bits norm_bits head_bits weight_bits weights_touched codes_changed".split(), int
)
INSTALL = {"cells_written": int, "pulses": int, "energy_pj": Number, "latency_ns": Number}
COMPONENT = {"component": str, "action": str, "count": int, "energy_pj": Number}
WEAR = {"cells": int, "writes_max": int, "writes_mean": Number, "pulses_max": int, "pulses_mean": Number}
COMPARE = {
    "method": str,
    **dict.fromkeys("switch_latency_ns switch_energy_pj cells_written pulses".split(), Number),
    **dict.fromkeys("mask_bits norm_bits head_bits".split(), Number),
    **dict.fromkeys("energy_per_inference_pj latency_per_inference_ns".split(), Number),
    "break_even": str,
    "break_even_inferences": (*Number, NoneType),
}
SHOW = {
    **dict.fromkeys("weights logical_columns physical_columns crossbars crossbars_available tiles".split(), int),
    "schema": str,
    "fits": bool,
    "utilisation": Number,
    "replication": dict,
    "mask_bits": dict,
}


def check(found: dict[str, Any], wanted: dict[str, Any], place: str) -> None:
    """Every key is there with its type; a bool is no number."""
    assert set(wanted) <= set(found), f"{place}: {sorted(set(wanted) - set(found))} missing"
    for key, kind in wanted.items():
        value = found[key]
        assert isinstance(value, kind), f"{place}.{key}: {value!r}"
        assert kind is bool or not isinstance(value, bool), f"{place}.{key}: {value!r}"


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize("method", ["xbm", "piggyback", "finetune"])
def test_run(asked: Xbarsim, method: str, engine: str) -> None:
    scenario = "rotated:3,inverted:1,rotated:1"
    args = ("--method", method, "--scenario", scenario, "--engine", engine, "--format", "json")
    run = asked("run", "xbm_72", "digits", *args).json
    check(run, RUN, "run")
    assert run["schema"] == "xbarsim.run/1"
    assert (run["chip"], run["bundle"]) == ("xbm_72", "digits")
    assert (run["method"], run["engine"], run["seed"], run["synthetic"]) == (method, engine, 0, False)
    assert [(row["task"], row["inferences"]) for row in run["tasks"]] == [
        ("rotated", 3),
        ("inverted", 1),
        ("rotated", 1),
    ]
    for row in run["tasks"]:
        check(row, TASK, "tasks")
        assert (row["interval_ns"] is None) == (row["inferences"] == 1)
    routes = [(row["from"], row["to"]) for row in run["switches"]]
    assert routes == [("backbone", "rotated"), ("rotated", "inverted"), ("inverted", "rotated")]
    for row in run["switches"]:
        check(row, SWITCH, "switches")
        assert (row["cells_written"] == 0) == (method == "xbm")
    check(run["install"], INSTALL, "install")
    check(run["wear"], WEAR, "wear")
    for row in run["components"]:
        check(row, COMPONENT, "components")
    assert {row["layer"] for row in run["layers"]} >= {"conv1", "conv2", "conv3", "conv4", "fc"}
    assert run["assumptions"]
    assert all(isinstance(line, str) for line in run["assumptions"])


def test_the_energy_of_a_run_is_the_sum_of_its_parts(asked: Xbarsim) -> None:
    run = asked("run", "xbm_72", "digits", "--format", "json", "--scenario", "rotated:3,inverted:2").json
    tasks = sum(row["energy_per_inference_pj"] * row["inferences"] for row in run["tasks"])
    parts = tasks + sum(row["energy_pj"] for row in run["switches"])
    assert run["energy_pj"] == pytest.approx(parts, rel=1e-12)
    assert run["energy_pj"] == pytest.approx(sum(row["energy_pj"] for row in run["components"]), rel=1e-12)


def test_the_latency_of_a_run_is_the_sum_of_its_parts(asked: Xbarsim) -> None:
    """With a barrier, entries and switches follow each other: one first latency and n - 1 intervals each."""
    run = asked("run", "xbm_72", "digits", "--format", "json", "--scenario", "rotated:3,inverted:2").json
    spans = [row["first_latency_ns"] + (row["inferences"] - 1) * (row["interval_ns"] or 0) for row in run["tasks"]]
    assert run["latency_ns"] == pytest.approx(sum(spans) + sum(row["latency_ns"] for row in run["switches"]), abs=1e-6)


def test_both_executors_say_the_same(asked: Xbarsim) -> None:
    runs = []
    for engine in ("compiled", "reference"):
        run = asked("run", "xbm_72", "digits", "--engine", engine, "--format", "json").json
        runs.append(
            {key: value for key, value in run.items() if key not in {"plan_seconds", "engine_seconds", "engine"}}
        )
    for run in runs:
        run.pop("firings_executed")
    assert runs[0] == runs[1]


def test_without_a_scenario_every_task_runs_once_in_order(asked: Xbarsim) -> None:
    run = asked("run", "xbm_72", "digits", "--format", "json").json
    tasks = ["digits", "rotated", "inverted", "noisy", "resized", "odd_even", "textures"]
    assert [(row["task"], row["inferences"]) for row in run["tasks"]] == [(task, 1) for task in tasks]
    assert [row["from"] for row in run["switches"]] == ["backbone", *tasks[:-1]]


def test_a_network_without_tasks_runs_its_backbone(asked: Xbarsim) -> None:
    run = asked("run", "isaac", "one_window", "--format", "json").json
    assert [(row["task"], row["inferences"]) for row in run["tasks"]] == [("backbone", 1)]
    assert run["switches"] == []
    assert run["synthetic"] is True


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_isaac_takes_22_cycles_and_gives_a_window_every_16(asked: Xbarsim, engine: str) -> None:
    args = ("--scenario", "backbone:20", "--engine", engine, "--format", "json")
    (row,) = asked("run", "isaac", "one_window", *args).json["tasks"]
    assert (row["first_latency_ns"], row["interval_ns"]) == (2200, 1600)


def test_a_task_that_stays_is_not_switched_to(asked: Xbarsim) -> None:
    run = asked("run", "xbm_72", "digits", "--format", "json", "--scenario", "rotated:1,rotated:2,backbone:1").json
    assert [(row["from"], row["to"]) for row in run["switches"]] == [("backbone", "rotated"), ("rotated", "backbone")]
    assert len(run["tasks"]) == 3


def test_compare(asked: Xbarsim) -> None:
    answer = asked("compare", "xbm_72", "digits", "--methods", "xbm,piggyback,finetune", "--format", "json")
    result = answer.json
    assert result["schema"] == "xbarsim.compare/1"
    assert [row["method"] for row in result["rows"]] == ["xbm", "piggyback", "finetune"]
    for row in result["rows"]:
        check(row, COMPARE, "rows")
        assert row["break_even"] in {"always", "never", "at"}
        assert (row["break_even_inferences"] is not None) == (row["break_even"] == "at")
    written = {row["method"]: row["cells_written"] for row in result["rows"]}
    assert written["xbm"] == 0 < written["piggyback"] < written["finetune"]


def test_a_comparison_holds_the_means_of_the_runs(asked: Xbarsim) -> None:
    scenario = ("--scenario", "rotated:3,inverted:1", "--format", "json")
    (row,) = asked("compare", "xbm_72", "digits", "--methods", "piggyback", *scenario).json["rows"]
    run = asked("run", "xbm_72", "digits", "--method", "piggyback", *scenario).json
    for key, inside in (("switch_latency_ns", "latency_ns"), ("switch_energy_pj", "energy_pj"), ("pulses", "pulses")):
        assert row[key] == pytest.approx(sum(one[inside] for one in run["switches"]) / 2)
    energy = sum(one["energy_per_inference_pj"] * one["inferences"] for one in run["tasks"]) / 4
    assert row["energy_per_inference_pj"] == pytest.approx(energy)


def test_a_comparison_counts_repeats_as_often_as_they_happen(asked: Xbarsim) -> None:
    args = ("compare", "xbm_72", "digits", "--methods", "piggyback", "--format", "json", "--scenario")
    short = asked(*args, "2*(rotated:2,inverted:1)").json["rows"][0]
    long = asked(*args, "rotated:2,inverted:1,rotated:2,inverted:1").json["rows"][0]
    assert {key: short[key] for key in COMPARE} == pytest.approx({key: long[key] for key in COMPARE})


@pytest.mark.parametrize(
    ("method", "kind", "inferences", "cheaper"),
    [
        ((5, 1), "always", None, None),
        ((10, 2), "always", None, None),  # as much as the baseline is no more than it
        ((15, 2), "never", None, None),
        ((15, 3), "never", None, None),
        ((0, 3), "at", 10, "below"),
        ((20, 1), "at", 10, "above"),
    ],
)
def test_break_even(method: tuple[float, float], kind: str, inferences: float | None, cheaper: str | None) -> None:
    """Energies (of a switch, of an inference) against a baseline of 10 and 2 pJ."""
    assert break_even(*method, 10, 2) == BreakEven(kind, inferences, cheaper)


def test_show(asked: Xbarsim) -> None:
    result = asked("show", "xbm_72", "digits", "--format", "json").json
    check(result, SHOW, "show")
    assert result["schema"] == "xbarsim.show/1"
    assert set(result["mask_bits"]) >= {"xbm", "piggyback"}
    assert result["replication"].keys() == {"conv1", "conv2", "conv3", "conv4", "fc"}
    assert result["mask_bits"]["piggyback"] == result["weights"]
    assert result["mask_bits"]["xbm"] == result["logical_columns"]


def test_show_of_resnet50_gives_the_golden_numbers(asked: Xbarsim) -> None:
    for bits, crossbars in ((2, 5163), (4, 9978), (8, 19368)):
        result = asked("show", "xbm_72", "resnet50", "--set", f"precision.weight_bits={bits}", "--format", "json").json
        assert (result["weights"], result["logical_columns"]) == (23_454_912, 339_968)
        assert result["crossbars"] == crossbars
        assert result["mask_bits"]["xbm"] == 42_496 * 8
        assert result["mask_bits"]["piggyback"] == 2_931_864 * 8


def test_show_never_refuses_a_network(asked: Xbarsim) -> None:
    answer = asked("show", "xbm_72", "resnet50", "--set", "chip.count=1", "--set", "chip.tiles=3", "--format", "json")
    assert answer.code == 0
    result = answer.json
    assert result["fits"] is False
    assert result["crossbars"] > result["crossbars_available"] == 3 * 12 * 8


def test_plan_and_time(asked: Xbarsim, xbarsim: Xbarsim, tmp_path: Any) -> None:
    answer = asked("plan", "xbm_72", "digits", "--scenario", "rotated:2")
    graph = answer.json
    assert graph["schema"] == "xbarsim.graph/1"
    assert set(graph) >= {"units", "actors", "channels"}
    assert set(graph["units"][0]) >= {"name", "servers"}
    assert set(graph["actors"][0]) >= {"name", "unit", "copies", "group", "segments"}
    assert set(graph["channels"][0]) >= {"from", "to", "capacity", "segments"}
    path = tmp_path / "plan.json"
    path.write_text(answer.out)
    times = [xbarsim("time", path, "--engine", engine) for engine in ("compiled", "reference")]
    assert times[0].out == times[1].out
    assert times[0].json["schema"] == "xbarsim.times/1"
    assert times[0].json["stuck"] == []
    assert set(times[0].json["actors"][0]) >= {"name", "start_ps", "end_ps", "commit_ps"}
    run = asked("run", "xbm_72", "digits", "--scenario", "rotated:2", "--format", "json").json
    last = max(max(actor["commit_ps"]) for actor in times[0].json["actors"] if actor["commit_ps"])
    assert last == round(run["latency_ns"] * 1000)


def test_validate(asked: Xbarsim) -> None:
    answer = asked("validate", "isaac", "--format", "json")
    assert answer.code == 0
    rows = {row["id"]: row for row in answer.json["rows"]}
    assert answer.json["schema"] == "xbarsim.validate/1"
    assert (rows["isaac-latency"]["published"], rows["isaac-latency"]["simulated"]) == (2200, 2200)
    assert (rows["isaac-interval"]["published"], rows["isaac-interval"]["simulated"]) == (1600, 1600)
    assert all(row["holds"] for row in rows.values() if row["tier"] == 1)


def test_list(asked: Xbarsim) -> None:
    result = asked("list", "--format", "json").json
    assert result["schema"] == "xbarsim.list/1"
    names = {kind: {row["name"] for row in result[kind]} for kind in ("chips", "devices", "workloads", "methods")}
    assert names["chips"] >= {"isaac", "xbm_72"}
    assert names["devices"] >= {"taox_hfox"}
    assert names["workloads"] >= {"digits", "one_window", "resnet18", "resnet20", "resnet50", "vgg8", "vgg16"}
    assert names["methods"] >= {"xbm", "piggyback", "finetune"}


def test_set_changes_the_result_and_the_seed_changes_what_is_drawn(asked: Xbarsim) -> None:
    base = ("run", "xbm_72", "resnet20", "--scenario", "task1:1", "--format", "json")
    plain, slower, other = asked(*base), asked(*base, "--set", "crossbar.cycle_ns=200"), asked(*base, "--seed", "1")
    assert slower.json["latency_ns"] > plain.json["latency_ns"]
    assert other.json["seed"] == 1
    assert other.json["energy_pj"] != plain.json["energy_pj"]
