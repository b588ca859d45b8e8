"""Ways between tiles and between chips: every link is on a leg once, and what is shared is one unit."""

from __future__ import annotations

from collections import Counter

import pytest
from dataflow.plans import planned, times_of
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import chip, residual, tiny

from xbarsim.dataflow.routes import Mesh, legs
from xbarsim.mapping import place
from xbarsim.studies.simulate import simulate

ONE = {"tile.pes": 1, "pe.crossbars": 1}
"""A tile is a crossbar."""


@settings(max_examples=200)
@given(st.integers(1, 40), st.integers(1, 5), st.data())
def test_routes_go_step_by_step_and_as_short_as_can_be(tiles: int, per_router: int, data: st.DataObject) -> None:
    mesh = Mesh(chip(chip__tiles=tiles, noc__tiles_per_router=per_router))
    source, target = (data.draw(st.integers(0, 3 * tiles - 1)) for _ in range(2))
    route = mesh.route(source, target)
    at = (source // tiles, source % tiles // per_router)
    crossings = 0
    for number, here, there in route:
        if here < 0:
            crossings += 1
            assert at[1] == 0  # at the port
            at = (target // tiles, 0)
            continue
        assert (number, here) == at
        step = abs(there - here)
        assert step == mesh.side or (step == 1 and here // mesh.side == there // mesh.side)
        at = (number, there)
    assert at == (target // tiles, target % tiles // per_router)
    assert crossings == (source // tiles != target // tiles)
    if not crossings:
        a, b = source % tiles // per_router, target % tiles // per_router
        assert len(route) == abs(a % mesh.side - b % mesh.side) + abs(a // mesh.side - b // mesh.side)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), min_size=1, max_size=6))
def test_legs_keep_every_hop_and_share_every_shared_link(ends: list[tuple[int, int]]) -> None:
    mesh = Mesh(chip(chip__tiles=15, noc__tiles_per_router=1, noc__topology="mesh"))
    routes = {number: mesh.route(*pair) for number, pair in enumerate(ends)}
    split = legs(routes)
    for flow, links in routes.items():
        inner = [link for link in links if link[1] >= 0]
        routers = sum(leg.hops for leg in split[flow] if not leg.offchip)
        assert routers == len(inner) + 1  # as many routers as links, and the one it starts from
        assert sum(leg.offchip for leg in split[flow]) == len(links) - len(inner)
    users = Counter(link for links in routes.values() for link in set(links) if link[1] >= 0)
    for one in routes:
        for two in routes:
            common = [link for link in routes[one] if link in routes[two] and users[link] > 1]
            units = {leg.unit for leg in split[one]} & {leg.unit for leg in split[two]}
            if one != two and common:
                assert units


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), min_size=3, max_size=8))
def test_no_flow_passes_a_unit_twice(ends: list[tuple[int, int]]) -> None:
    """Links that are not neighbours are different hardware, also where the same flows share them."""
    mesh = Mesh(chip(chip__tiles=25, noc__tiles_per_router=1, noc__topology="mesh"))
    for found in legs({number: mesh.route(*pair) for number, pair in enumerate(ends)}).values():
        units = [leg.unit for leg in found]
        assert len(units) == len(set(units))


def test_a_network_over_several_chips_pays_for_the_way() -> None:
    """The same crossbars on one large chip and on chips of two tiles each."""
    net = residual(6, 8, tasks=1)
    one = simulate(chip(overrides=ONE, chip__tiles=64, mapping__replicate="none"), net, "xbm", "task1:3")
    many = simulate(chip(overrides=ONE, chip__tiles=1, mapping__replicate="none"), net, "xbm", "task1:3")
    assert one.placement.chips == 1
    assert many.placement.chips == 3
    assert one.ledger.count(phase="inference", component="offchip", action="byte") == 0
    # ``one`` reads ``start``, ``two`` reads ``one``; the sum reads ``start`` in the chip of ``two``.
    assert many.ledger.count(phase="inference", component="offchip", action="byte") == 3 * 3 * 36 * 8
    assert many.inferences[0].first_latency_ps > one.inferences[0].first_latency_ps
    assert many.ledger.count(phase="inference", component="adc") == one.ledger.count(phase="inference", component="adc")


def test_chips_leak_as_many_times_as_there_are() -> None:
    net = residual(6, 8)
    runs = [
        simulate(chip(overrides=ONE, chip__tiles=tiles, mapping__replicate="none"), net, "xbm", "backbone:1")
        for tiles in (3, 1)
    ]
    for found in runs:
        power = [row for row in found.ledger.rows if row.action == "leakage" and row.component == "mask_store"]
        assert [row.count for row in power] == [found.placement.chips * found.makespan_ps]


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_the_host_is_a_stage_of_its_own(engine: str) -> None:
    """Inputs over the link come first, take time, and are the chip's to switch on."""
    without, with_host = (
        simulate(chip(offchip__inputs=flag, offchip__gbytes_per_s=0.01), tiny(), "xbm", "task1:3", engine=engine)
        for flag in (False, True)
    )
    assert with_host.inferences[0].first_latency_ps > without.inferences[0].first_latency_ps
    assert with_host.ledger.count(layer="input", component="offchip", action="byte") == 3 * 36 * 2
    assert without.ledger.count(layer="input") == 0
    slowest = 36 * 2 * 100_000  # 72 bytes at 0.01 GB/s
    assert with_host.inferences[0].span_ps == 2 * slowest


def test_a_layer_over_several_tiles_adds_its_partial_sums_on_the_way() -> None:
    """Four row blocks in four tiles: two levels of the tree, three transfers per window."""
    net = residual(6, 32)
    made = chip(overrides=ONE, crossbar__cols=128, mapping__replicate="none")
    placement = place(made, net)
    assert placement.sites["one"].tiles_per_copy == 4
    dataflow = planned(placement, "finetune", "backbone:2")
    reduce = next(actor for actor in dataflow.graph.actors if actor.name == "one.reduce")
    bits = 32 * (8 + 8 + 9)
    flits = -(-bits // 32)
    level = (flits + 1) * 1000
    assert reduce.work[0].service_ps.tolist() == [level]
    assert reduce.work[0].latency_ps.tolist() == [level]
    assert dataflow.roles["one.reduce"].counts[0] == {("noc", "flit_hop"): 2 * 36 * 3 * flits}
    assert times_of(dataflow).stuck == ()
