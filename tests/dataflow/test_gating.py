"""What a mask does to a whole plan: it may only take work away, and an all-ones mask takes none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dataflow.naive import ARRAYS, array_counts
from dataflow.plans import Gated, ones, planned, run_of, times_of
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import SMALL, chip, network, op, tiny
from safetensors.numpy import load_file

from xbarsim.chip import Chip
from xbarsim.chip.prices import prices
from xbarsim.dataflow import Dataflow
from xbarsim.mapping import place
from xbarsim.network import load_network
from xbarsim.studies.simulate import simulate

CHIPS = {
    "plain": {},
    "small": SMALL,
    "slow": {"adc.rate_gsps": 0.1},
    "unclocked": {"pipeline.clocked": False, "adc.rate_gsps": 0.1},
    "converts all": {"adc.converts": "all", "dac.drives": "all", "adc.per_crossbar": 3},
}


def dynamic_pj(dataflow: Dataflow, made: Chip) -> float:
    """Energy of everything that is counted in inference; standing power apart."""
    table = prices(made)
    return sum(
        count * (table[action] or 0.0)
        for role in dataflow.roles.values()
        if role.phase == "inference"
        for counts in role.counts
        for action, count in counts.items()
    )


@settings(max_examples=60)
@given(st.sampled_from(sorted(CHIPS)), st.integers(0, 10**6))
def test_gating_never_adds_time_or_work(name: str, seed: int) -> None:
    """Every firing of every actor, service and stage alike, and every count; fewer columns, no more of it."""
    rng = np.random.default_rng(seed)
    made = chip(overrides=CHIPS[name])
    placement = place(made, tiny())
    keep = rng.random()
    masks = {
        layer: (mask * (rng.random(mask.shape) < keep)).astype(np.uint8) for layer, mask in ones(placement).items()
    }
    share = {layer: rng.choice([0.0, rng.random()]) for layer in masks}  # also a layer that is off altogether
    fewer = {layer: mask * (rng.random(mask.shape) < share[layer]).astype(np.uint8) for layer, mask in masks.items()}
    before, after = (planned(placement, Gated(m), "task1:2") for m in (masks, fewer))
    assert [actor.name for actor in before.graph.actors] == [actor.name for actor in after.graph.actors]
    for one, two in zip(before.graph.actors, after.graph.actors, strict=True):
        assert one.firings == two.firings
        for had, has in zip(one.work, two.work, strict=True):
            assert (has.service_ps <= had.service_ps).all(), one.name
            assert (has.service_ps + has.latency_ps <= had.service_ps + had.latency_ps).all(), one.name
    for name_, role in before.roles.items():
        for had_counts, has_counts in zip(role.counts, after.roles[name_].counts, strict=True):
            assert all(has_counts[key] <= had_counts[key] for key in has_counts | had_counts), name_
    assert dynamic_pj(after, made) <= dynamic_pj(before, made)
    assert before.graph.channels == after.graph.channels


@pytest.mark.parametrize("name", sorted(CHIPS))
@pytest.mark.parametrize("net", ["tiny", "digits"])
def test_all_columns_on_is_the_backbone(name: str, net: str) -> None:
    bundle, made = load_network("digits") if net == "digits" else tiny(), chip(overrides=CHIPS[name])
    task = next(iter(bundle.task_info))
    run = run_of(made, bundle, Gated(ones(place(made, bundle))), f"backbone:3,{task}:3")
    backbone, gated = (entry.to_json() for entry in run.inferences)
    assert {**gated, "task": "backbone"} == backbone
    counts = [Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()]
    for row in run.ledger.rows:
        if row.phase == "inference":
            counts[row.entry][row.layer, row.component, row.action] += row.count
    assert counts[0] == counts[1]


@pytest.mark.parametrize("task", ["digits", "rotated", "inverted"])
def test_the_bundles_masks_are_those_that_gate(task: str) -> None:
    """Conversions, reads and drives of the real masks, counted from the tensors in the files."""
    net = load_network("digits")
    run = simulate(chip(), net, "xbm", f"{task}:3")
    tensors = load_file(Path(net.source) / "tasks" / f"{task}.safetensors")
    for name, layer in net.layers.items():
        mask = None if layer.head else tensors[f"xbm/masks/{name}"]
        wanted, _ = array_counts(layer, run.placement.chip, 8, 8, mask)
        for component, action in sorted(ARRAYS):
            count = run.ledger.count(phase="inference", layer=name, component=component, action=action)
            assert count == 3 * layer.windows * wanted[component, action]


def test_an_all_off_layer_still_gives_its_bias() -> None:
    """Normalisation, activation and the way on do not depend on columns; converters and drivers rest."""
    made, net = chip(), tiny()
    placement = place(made, net)
    masks = {layer: np.zeros_like(mask) for layer, mask in ones(placement).items()}
    dataflow = planned(placement, Gated(masks), "task1:1")
    assert times_of(dataflow).stuck == ()
    on = planned(placement, Gated(ones(placement)), "task1:1")
    for stage in ("fetch", "activate", "write"):
        role, full = dataflow.roles[f"conv.{stage}"], on.roles[f"conv.{stage}"]
        keys = {key for key in full.counts[0] if key != ("registers", "input")}
        assert {key: role.counts[0][key] for key in keys} == {key: full.counts[0][key] for key in keys}
    for stage in ("read", "convert"):
        assert not +dataflow.roles[f"conv.{stage}"].counts[0]


def test_fewer_columns_make_a_slow_converter_faster() -> None:
    """The gain is there to be had: a network whose pace is set by conversion runs faster when gated."""
    made = chip(adc__rate_gsps=0.02, mapping__replicate="none")
    net = network((4, 6, 6), op("conv", "conv", "input", out=16, kernel=3), tasks=1)
    placement = place(made, net)
    half = {"conv": np.array([[1, 0] * 8], np.uint8)}
    intervals = [
        run_of(made, net, Gated(masks), "task1:4").inferences[0].to_json()["interval_ns"]
        for masks in (ones(placement), half)
    ]
    assert intervals[0] == pytest.approx(2 * intervals[1], rel=0.01)
