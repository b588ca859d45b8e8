"""What a switch brings, from where, and what it does to the tiles."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from dataflow.plans import planned, times_of
from mapping.nets import SMALL, chip, tiny

from xbarsim.dataflow import Dataflow
from xbarsim.mapping import place
from xbarsim.network import load_network
from xbarsim.results import Run
from xbarsim.studies.simulate import simulate

METHODS = ("xbm", "piggyback", "finetune")


def counts(dataflow: Dataflow, phase: str) -> Counter[tuple[str, str]]:
    total: Counter[tuple[str, str]] = Counter()
    for role in dataflow.roles.values():
        if role.phase == phase:
            for each in role.counts:
                total.update(each)
    return total


def run(method: str = "xbm", scenario: str | None = "task1:1,task2:1", **overrides: object) -> Run:
    return simulate(chip(**overrides), tiny(), method, scenario)


def test_a_task_that_stays_is_no_switch() -> None:
    result = run(scenario="task1:2,task1:3,task2:1,task2:1").to_json()
    assert [(row["from"], row["to"]) for row in result["switches"]] == [("backbone", "task1"), ("task1", "task2")]
    assert [row["inferences"] for row in result["tasks"]] == [2, 3, 1, 1]


@pytest.mark.parametrize("method", METHODS)
def test_a_switch_does_not_depend_on_what_comes_after_it(method: str) -> None:
    """Neither a repeated task, nor another switch, nor more inferences change the first switch."""
    rows = [
        run(method, scenario).to_json()["switches"][0]
        for scenario in ("task1:1", "task1:1,task1:1", "task1:1,task2:1", "task1:3,backbone:1,task1:1")
    ]
    for row in rows:
        row.pop("gap_ns", None)  # up to the first output of the new task
        row.pop("times", None)
    assert rows[1:] == rows[:-1]


def test_masks_come_from_the_store_where_it_holds_all_tasks() -> None:
    two_tasks = 2 * (8 + 16 + 8 * 64 + 16 * 32)
    inside, outside = (run(mask_store__bits=bits) for bits in (two_tasks, two_tasks - 1))
    assert inside.ledger.count(component="mask_store", action="read") > 0
    assert inside.ledger.count(component="offchip", phase="switch") == 0
    assert outside.ledger.count(component="mask_store", action="read") == 0
    row = outside.to_json()["switches"][0]
    moved = row["moved"]["mask_bits"] + row["moved"]["norm_bits"]
    assert outside.ledger.count(component="offchip", action="byte", phase="switch", entry=0) == moved // 8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("net", ["tiny", "digits"])
def test_what_travels_is_what_a_task_keeps(method: str, net: str) -> None:
    """Normalisation travels whole; a mask only where gates take it; a resident head stays where it is."""
    bundle = tiny() if net == "tiny" else load_network("digits")
    for row in simulate(chip(), bundle, method).to_json()["switches"]:
        assert row["moved"]["norm_bits"] == row["norm_bits"]
        assert row["moved"]["mask_bits"] == (row["mask_bits"] if method == "xbm" else 0)
        assert row["moved"]["head_bits"] == 0
        assert (row["moved"]["weight_bits"] > 0) == (method != "xbm")


def test_bits_of_a_task_by_hand() -> None:
    """Two convolutions of 8 and 16 channels, 18 and 72 rows; a factor and an offset of 32 bits for ``bn``'s 8
    channels, a bias of 32 bits for each of ``deep``'s 16; a head of 16 x 4 weights of 8 bits and 4 biases."""
    rows = {method: run(method).to_json()["switches"][0] for method in METHODS}
    assert {row["norm_bits"] for row in rows.values()} == {8 * 64 + 16 * 32}
    assert {row["head_bits"] for row in rows.values()} == {16 * 4 * 8 + 4 * 32}
    weights = 8 * 18 + 16 * 72
    assert [rows[method]["mask_bits"] for method in METHODS] == [8 + 16, weights, 0]
    assert [rows[method]["weight_bits"] for method in METHODS] == [0, 0, weights * 8]


def test_every_copy_sets_every_physical_column() -> None:
    placement = place(chip(), tiny())
    moved = counts(planned(placement, "xbm", "task1:1"), "switch")
    columns = sum(site.grid.physical_columns * site.copies for site in placement.backbone)
    assert moved["mask_buffer", "write"] == moved["gate", "set"] == columns
    accesses = [-(-(bits) // 256) for bits in (8 + 8 * 64, 16 + 16 * 32)]
    assert moved["mask_store", "read"] == sum(accesses)
    groups = {site.name: site.groups for site in placement.backbone}
    assert moved["bus", "bit"] == (8 + 8 * 64) * groups["conv"] + (16 + 16 * 32) * groups["deep"]


@pytest.mark.parametrize("method", ["piggyback", "finetune"])
def test_cells_in_the_plan_are_the_cells_of_the_change(method: str) -> None:
    placement = place(chip(overrides=SMALL), tiny())
    dataflow = planned(placement, method, "task1:1,task2:1")
    written: Counter[tuple[str, str]] = Counter()
    for moment in dataflow.moments:
        assert moment is not None
        for layer in moment.change.layers:
            for old, new in zip(*np.nonzero(layer.histogram), strict=True):
                written["cell", f"write {old}>{new}"] += int(layer.histogram[old, new]) * layer.site.copies
    found = {key: count for key, count in counts(dataflow, "switch").items() if key[0] == "cell"}
    assert found == dict(written)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_the_barrier_holds(method: str, engine: str) -> None:
    """Nothing of a switch before the last output of the old task, nothing of the new task before its end."""
    dataflow = planned(place(chip(overrides=SMALL), tiny()), method, "task1:2,task2:2,backbone:2")
    times = times_of(dataflow, engine)
    segments = dict(zip(times.actors, times.segments, strict=True))
    for at in range(3):
        old = max(
            (segments[n].last_end_ps[at - 1] for n, r in dataflow.roles.items() if r.phase == "inference"), default=0
        ) if at else 0  # fmt: skip
        starts = [segments[n].first_start_ps[at] for n, r in dataflow.roles.items() if r.phase == "switch"]
        ends = [segments[n].last_commit_ps[at] for n, r in dataflow.roles.items() if r.phase == "switch"]
        new = min(segments[n].first_start_ps[at] for n, r in dataflow.roles.items() if r.phase == "inference")
        assert min(start for start in starts if start >= 0) >= old
        assert new >= max(ends)


def test_programming_takes_as_long_as_its_longest_crossbar_at_least() -> None:
    found = run("finetune", mapping__replicate="none")
    for switched in found.switches:
        longest = max(int(layer.crossbar_ps.max()) for layer in switched.moment.change.layers)
        assert switched.latency_ps >= longest


def test_more_write_drivers_are_faster() -> None:
    net = load_network("digits")
    slow, fast = (
        simulate(chip(pe__programmed_at_once=n), net, "finetune", "digits:1").switches[0].latency_ps for n in (1, 8)
    )
    assert fast < slow


def test_masks_are_quicker_than_cells() -> None:
    latency = {method: run(method).switches[0].latency_ps for method in METHODS}
    assert latency["xbm"] * 100 < latency["piggyback"] <= latency["finetune"]
