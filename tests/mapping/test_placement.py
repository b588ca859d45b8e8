"""Need against have: tiles, copies, buffers and chips."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping.nets import SMALL, chain, chip, op, residual, tiny

from xbarsim.errors import DoesNotFit
from xbarsim.mapping import Placement, place
from xbarsim.mapping.buffers import token_bytes
from xbarsim.mapping.replicate import Demand, balance, layer_tiles, tiles_of
from xbarsim.network import Network, load_network
from xbarsim.studies.show import show


def bytes_held(placement: Placement, home: str) -> int:
    """Bytes of one copy of everything that the buffers in a layer's tiles are said to hold."""
    ops = {stage.name: stage.op for stage in placement.stages}
    return sum(
        placement.capacities[stage.name, at] * token_bytes(edge, ops, placement.input_bits)
        for stage in placement.stages
        if placement.homes[stage.name] == home
        for at, edge in enumerate(stage.edges)
    )


def overfull(placement: Placement) -> list[str]:
    """Layers whose tiles do not have the memory that their channels use."""
    found = []
    for name, site in placement.sites.items():
        layer = site.grid.layer
        stored = bytes_held(placement, name) * min(site.groups, layer.kernel[0] * layer.kernel[1])
        if stored > site.tiles * placement.chip.file.buffer.bytes:
            found.append(name)
    return found


@pytest.mark.parametrize("chip_name", ["isaac", "xbm_72"])
@pytest.mark.parametrize("network", ["digits", "resnet18", "vgg16", "resnet50"])
def test_no_buffer_holds_more_than_the_hardware(chip_name: str, network: str) -> None:
    """Pixels that windows of several groups of tiles read are stored in each of them."""
    placement = place(chip(chip_name), load_network(network))
    assert placement.fits
    assert overfull(placement) == []


@settings(max_examples=60)
@given(st.integers(16, 4096), st.integers(1, 12), st.integers(1, 4))
def test_small_buffers_spread_over_more_tiles(size: int, copies: int, crossbars: int) -> None:
    made = chip(overrides=SMALL, buffer__bytes=size, mapping__max_copies=copies, pe__crossbars=crossbars)
    placement = place(made, residual(9, 8))
    assert placement.fits
    assert overfull(placement) == []


def test_buffers_that_may_not_spread_are_too_small() -> None:
    made = chip(mapping__spread_buffers=False, buffer__bytes=100)
    placement = place(made, residual(9, 8))
    with pytest.raises(
        DoesNotFit, match=r"(?s)buffer\.bytes: the buffers in the tiles of layer 'two' hold 100 bytes.*needs"
    ) as error:
        placement.check()
    assert [fault.path for fault in error.value.faults] == ["buffer.bytes"] * len(error.value.faults)
    assert overfull(placement)
    shown = show(made, residual(9, 8))
    assert shown["fits"] is False


def test_a_network_that_is_too_large_says_need_and_have() -> None:
    made = chip(chip__count=1, chip__tiles=2, tile__pes=1, pe__crossbars=1)
    placement = place(made, tiny())
    with pytest.raises(
        DoesNotFit, match="needs 5 tiles and 5 crossbars, 1 chip.s. 'xbm_72' have 2 tiles and 2 crossbars"
    ):
        placement.check()
    shown = show(made, tiny())
    assert (shown["fits"], shown["crossbars_needed"], shown["crossbars_available"]) == (False, 5, 2)


def test_a_budget_of_crossbars_is_a_limit_as_well() -> None:
    made = chip(mapping__max_crossbars=3)
    with pytest.raises(DoesNotFit, match="5 crossbars.*have.*3 crossbars"):
        place(made, tiny()).check()
    assert place(chip(mapping__max_crossbars=5), tiny()).fits


def test_as_many_chips_as_the_network_needs() -> None:
    made = chip(chip__tiles=2, tile__pes=1, pe__crossbars=1)
    placement = place(made, tiny())
    assert placement.chips == 3
    assert placement.fits
    assert placement.tiles <= placement.tiles_available == 6


def test_one_head_per_task_and_one_of_the_backbone() -> None:
    placement = place(chip(), chain(
        (2, 4, 4), op("conv", "conv", out=8, kernel=3), op("flatten", "flat"), op("linear", "fc", out=4),
        tasks={"narrow": 2, "wide": 40},
    ))  # fmt: skip
    head = placement.sites["fc"]
    assert head.residents == 3
    assert head.copies == 1
    assert head.grid.layer.c_out == 40
    task = placement.network.task("narrow")
    assert head.of_task(task, placement.chip, 8).grid.layer.c_out == 2
    assert head.of_task(None, placement.chip, 8).grid.layer.c_out == 4


@pytest.mark.parametrize("overrides", [{}, SMALL, {**SMALL, "pe.crossbars": 1, "tile.pes": 1}])
@pytest.mark.parametrize("net", [tiny(), residual(8)], ids=["tiny", "residual"])
def test_tiles_belong_to_one_layer_and_hold_its_crossbars(overrides: dict[str, object], net: Network) -> None:
    placement = place(chip(overrides=overrides), net)
    taken: list[int] = []
    for site in placement.sites.values():
        assert site.first_tile == len(taken)
        taken += [site.first_tile + tile for tile in range(site.tiles * site.residents)]
        assert site.grid.crossbars * site.copies <= site.tiles * site.per_tile
        assert site.together * site.groups >= site.copies
        assert site.together * site.grid.crossbars <= max(site.per_tile, site.grid.crossbars)
    assert len(taken) == placement.tiles <= placement.tiles_available


def test_no_copies_where_the_chip_says_none() -> None:
    placement = place(chip(mapping__replicate="none"), residual(8))
    assert {site.copies for site in placement.sites.values()} == {1}


def test_copies_stay_under_their_limit() -> None:
    placement = place(chip(mapping__max_copies=3), residual(8))
    assert max(site.copies for site in placement.sites.values()) == 3


def test_digital_operations_run_where_their_last_crossbar_layer_is() -> None:
    placement = place(chip(), residual(8))
    assert placement.homes["sum"] == "two"
    assert placement.homes["one"] == "one"


@st.composite
def demands(draw: st.DrawFn) -> list[Demand]:
    return [
        Demand(draw(st.integers(1, 8)), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
        for _ in range(draw(st.integers(1, 3)))
    ]


@settings(max_examples=300)
@given(demands(), st.integers(1, 4), st.integers(1, 14), st.integers(3, 40), st.sampled_from([None, 1, 2, 5]))
def test_no_other_choice_of_copies_is_faster(
    layers: list[Demand], per_tile: int, tiles: int, crossbars: int, most: int | None
) -> None:
    """Against all choices: copies fill their tiles once they need more than one."""

    def slowest(copies: tuple[int, ...]) -> float:
        return max(d.windows * d.window_ps / c for d, c in zip(layers, copies, strict=True))

    def fits(copies: tuple[int, ...]) -> bool:
        used = sum(c * d.crossbars for c, d in zip(copies, layers, strict=True))
        return used <= crossbars and tiles_of(layers, copies, per_tile) <= tiles

    options = []
    for demand in layers:
        together = per_tile // demand.crossbars
        limit = min(demand.windows, most or demand.windows)
        options.append([c for c in range(1, limit + 1) if together <= 1 or c <= together or c % together == 0])
    allowed = [copies for copies in product(*options) if fits(copies)]
    chosen = tuple(balance(layers, per_tile, tiles, crossbars, most))
    if not allowed:
        assert chosen == (1,) * len(layers)
    else:
        assert fits(chosen)
        assert all(c in option for c, option in zip(chosen, options, strict=True))
        # The interval is a whole number of picoseconds.
        assert int(-(-slowest(chosen) // 1)) == min(int(-(-slowest(copies) // 1)) for copies in allowed)


def test_copies_take_whole_tiles() -> None:
    demand = Demand(64, 1, 3)
    assert [layer_tiles(demand, copies, 8) for copies in (1, 2, 4, 6)] == [1, 1, 2, 3]
    assert [layer_tiles(Demand(64, 1, 9), copies, 8) for copies in (1, 2)] == [2, 4]


@pytest.mark.parametrize(
    ("overrides", "fits"),
    [
        ({"chip.count": 1, "chip.tiles": 1}, False),
        ({"mapping.max_crossbars": 1}, False),
        ({"mapping.spread_buffers": False, "buffer.bytes": 1}, False),
        ({"crossbar.rows": 128}, True),  # its masks were learned for 72 rows
        ({"crossbar.cols": 2}, True),  # narrower than the slices of one weight
    ],
)
def test_show_never_refuses(overrides: dict[str, object], fits: bool) -> None:
    shown = show(chip(overrides=overrides), load_network("digits"))
    assert shown["fits"] is fits
    assert (shown["crossbars_needed"] <= shown["crossbars_available"]) or not fits
