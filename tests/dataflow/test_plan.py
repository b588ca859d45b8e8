"""Whole plans of random networks: with exactly the least buffers they run, under both executors alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dataflow.plans import planned, times_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mapping.dags import networks
from mapping.nets import chain, chip, network, op, residual, tiny

from xbarsim.engine import Times
from xbarsim.errors import Deadlock, InputError
from xbarsim.mapping import Placement, place
from xbarsim.mapping.buffers import least_tokens
from xbarsim.network import Network
from xbarsim.studies.simulate import simulate

TIGHT = {
    "crossbar.rows": 20, "crossbar.cols": 16, "tile.pes": 1, "pe.crossbars": 2, "chip.tiles": 500,
    "mapping.max_copies": 3, "noc.rate_ghz": 0.05,
}  # fmt: skip


def tight(net: Network, **overrides: object) -> Placement:
    """On small tiles and slow links, with buffers that hold the least that runs."""
    placement = place(chip(overrides=TIGHT, **overrides), net)
    return replace(placement, capacities=least_tokens(placement.stages, placement.tables))


def same(one: Times, two: Times) -> bool:
    return one.actors == two.actors and one.segments == two.segments and one.makespan == two.makespan


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.booleans())
def test_the_least_buffers_suffice_and_the_executors_agree(net: Network, host: bool) -> None:
    dataflow = planned(tight(net, offchip__inputs=host), "finetune", "backbone:2")
    compiled, reference = times_of(dataflow), times_of(dataflow, "reference")
    assert compiled.stuck == (), compiled.waits
    assert same(compiled, reference)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(networks(most=4, tasks=2), st.sampled_from(["xbm", "piggyback"]), st.sampled_from(["barrier", "rolling"]))
def test_no_network_works_under_the_wrong_task(net: Network, method: str, when: str) -> None:
    """Also where rows that nobody reads are still on their way when the output is out.

    A run checks its own schedule, and raises if a window sees the wrong task.
    """
    simulate(chip(overrides=TIGHT, chip__switch=when), net, method, "task1:2,task2:1,backbone:1")


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(networks(most=4, tasks=2), st.integers(1, 3), st.integers(5, 9), st.booleans())
def test_repeats_of_any_network_equal_the_written_out_scenario(
    net: Network, count: int, times: int, host: bool
) -> None:
    """Folding repeats rests on a pipeline that the barrier has drained, down to rows that nobody reads."""
    made, body = chip(overrides=TIGHT, offchip__inputs=host), f"task1:{count},task2:2"
    folded, full = (
        simulate(made, net, "xbm", scenario).to_json()
        for scenario in (f"{times}*({body}),task1:1", ",".join([body] * times) + ",task1:1")
    )
    for key in ("latency_ns", "firings", "wear"):
        assert folded[key] == full[key], key
    assert folded["energy_pj"] == pytest.approx(full["energy_pj"], rel=1e-12)


def test_what_comes_later_changes_nothing_before() -> None:
    """Inference has the same actors on the same units, whether a switch over shared links follows or not."""
    straight = {"chip.tiles": 1600, "tile.pes": 1, "pe.crossbars": 1, "noc.topology": "mesh", "noc.tiles_per_router": 1}
    made = chip(overrides={**TIGHT, **straight}, mapping__replicate="none")
    net = residual(3, 8, tasks=1)
    placement = place(made, net)
    alone, followed = (planned(placement, "xbm", scenario) for scenario in ("backbone:2", "backbone:2,task1:1"))
    units = {actor.name: (actor.unit, actor.work[0]) for actor in followed.graph.actors}
    assert {actor.name: (actor.unit, actor.work[0]) for actor in alone.graph.actors} == {
        name: what for name, what in units.items() if followed.roles[name].phase == "inference"
    }
    found = [simulate(made, net, "xbm", scenario).inferences[0] for scenario in ("backbone:2", "backbone:2,task1:1")]
    assert found[0] == found[1]


def test_one_token_less_beside_the_skip_is_a_deadlock_that_says_who_waits() -> None:
    placement = tight(residual(9, 4), mapping__replicate="none")
    # Links and output registers hold tokens as well; here everything sits in one tile's buffers or on the way.
    assert times_of(planned(placement, "finetune", "backbone:1")).stuck == ()
    starved = replace(placement, capacities=dict.fromkeys(placement.capacities, 1))
    times = times_of(planned(starved, "finetune", "backbone:1"))
    assert times.stuck
    assert any("waits for a free slot on channel" in line for line in times.waits)


def test_a_deadlock_of_a_run_is_an_error_with_its_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    from xbarsim.mapping import placement as module

    real = module.least_tokens
    monkeypatch.setattr(module, "least_tokens", lambda *args: dict.fromkeys(real(*args), 1))
    with pytest.raises(Deadlock, match=r"(?s)stopped before its end.*waits for"):
        simulate(chip(overrides={**TIGHT, "buffer.bytes": 1}), residual(9, 4), "finetune", "backbone:1")


def test_rows_that_a_pool_drops_are_still_computed() -> None:
    """Nine rows, pooled by two: the ninth is converted, counted, and done before the next task comes."""
    net = chain(
        (4, 9, 9), op("conv", "x", out=8, kernel=3, padding=1), op("max_pool", "p", kernel=2), op("flatten", "f"),
        op("linear", "fc", out=4), tasks=2,
    )  # fmt: skip
    run = simulate(chip(mapping__replicate="none"), net, "xbm", "task1:1,task2:1")
    reads = run.ledger.count(phase="inference", layer="x", component="requantise", action="element", entry=0)
    assert reads == 81 * 8


def test_an_output_of_two_layers_is_out_when_both_are() -> None:
    slow = op("conv", "slow", "input", out=4, kernel=3, padding=1)
    quick = op("conv", "quick", "slow", out=4, kernel=1)
    both = network((4, 6, 6), slow, quick, op("concat", "both", "slow", "quick"), tasks=2)
    turned = network((4, 6, 6), slow, quick, op("concat", "both", "quick", "slow"), tasks=2)
    latencies = {
        simulate(chip(), net, "xbm", "task1:2,task2:2").inferences[1].first_latency_ps for net in (both, turned)
    }
    alone = simulate(chip(), network((4, 6, 6), slow, quick, tasks=2), "xbm", "task1:2,task2:2")
    assert len(latencies) == 1
    assert latencies.pop() >= alone.inferences[1].first_latency_ps


def test_pools_and_products_read_all_that_they_need() -> None:
    """A 3x3 pool reads nine pixels of its input, not one; a product reads all tokens of its right side."""
    made = chip(vector={"macs_per_cycle": 64})
    pool = chain((8, 6, 6), op("conv", "a", out=32, kernel=1), op("max_pool", "p", kernel=3, stride=1))
    counts = planned(place(made, pool), "finetune").roles["p.compute"].counts[0]
    assert counts["buffer", "read"] == 16 * -(-9 * 32 * 8 // 256)
    assert counts["buffer", "write"] == 16
    counts = planned(place(made, attention()), "finetune").roles["scores.compute"].counts[0]
    tokens, width = 9, 8
    assert counts["buffer", "read"] == tokens * -(-(width + tokens * width) * 8 // 256)
    assert counts["vector", "mac"] == tokens * tokens * width


def attention(**options: object) -> Network:
    return network(
        (8, 3, 3),
        op("conv", "patch", "input", out=8, kernel=1),
        op("flatten", "tokens", "patch", tokens=True),
        op("linear", "query", "tokens", out=8),
        op("linear", "key", "tokens", out=8),
        op("linear", "value", "tokens", out=8),
        op("matmul", "scores", "query", "key", transpose_b=True, heads=2),
        op("softmax", "soft", "scores", heads=2),
        op("matmul", "mixed", "soft", "value", heads=2),
        op("linear", "out", "mixed", out=8),
        op("add", "sum", "out", "tokens"),
        op("layer_norm", "norm", "sum"),
        **options,  # type: ignore[arg-type]
    )


def test_products_of_activations_need_a_vector_unit() -> None:
    with pytest.raises(InputError, match=r"vector: chip 'xbm_72' has no vector unit.*scores") as error:
        simulate(chip(), attention(tasks=1), "xbm")
    assert len(error.value.faults) == 1


@pytest.mark.parametrize("method", ["xbm", "finetune"])
def test_attention_runs_on_a_chip_that_has_one(method: str) -> None:
    runs = [
        simulate(chip(vector={"macs_per_cycle": macs}), attention(tasks=2), method, "task1:2,task2:2")
        for macs in (8, 64)
    ]
    assert runs[0].inferences[0].span_ps > runs[1].inferences[0].span_ps
    assert runs[0].ledger.count(component="vector") == runs[1].ledger.count(component="vector") > 0


def test_gates_are_needed_to_gate() -> None:
    with pytest.raises(InputError, match="gate: chip 'isaac' has no column gates, which method 'xbm' needs"):
        simulate(chip("isaac"), tiny(), "xbm", "task1:1")
    assert simulate(chip("isaac"), tiny(), "xbm", "backbone:1").inferences
    assert simulate(chip("isaac"), tiny(), "finetune", "task1:1").inferences


def test_masks_of_another_height_are_refused_with_the_choices() -> None:
    from xbarsim.network import load_network

    with pytest.raises(InputError, match=r"72 rows.*128") as error:
        simulate(chip(crossbar__rows=128), load_network("digits"), "xbm")
    assert "crossbar.rows=72" in str(error.value)


def test_kernel_aligned_columns_get_masks_of_their_own() -> None:
    made = chip(crossbar__rows=64, mapping__kernel_aligned=True)
    net = chain((16, 4, 4), op("conv", "c", out=8, kernel=3), tasks=1)
    placement = place(made, net)
    assert placement.sites["c"].grid.column_rows.tolist() == [63, 63, 18]
    assert simulate(made, net, "xbm").inferences


def test_one_image_is_one_period_of_the_output() -> None:
    dataflow = planned(place(chip(), tiny()), "xbm", "task1:3,task2:2")
    last = next(actor for actor in dataflow.graph.actors if actor.name == dataflow.last)
    assert [work.periods for work in last.work] == [3, 2]
    assert {actor.name for actor in dataflow.graph.actors} == set(dataflow.roles)
    assert all(len(actor.work) == 2 for actor in dataflow.graph.actors)


def test_the_graph_does_not_grow_with_the_inferences() -> None:
    few, many = (planned(place(chip(), tiny()), "xbm", f"task1:{n},task2:{n}").graph for n in (2, 2_000_000))
    assert len(few.actors) == len(many.actors)
    for one, two in zip(few.actors, many.actors, strict=True):
        assert [work.phases for work in one.work] == [work.phases for work in two.work]
    assert np.array_equal(few.channels[0].flows[0].need, many.channels[0].flows[0].need)
