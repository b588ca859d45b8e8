"""What methods write at a switch, and what shifts, scales and branches make the hardware do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network.rich import HELD, rich
from network.small import ROWS

import xbarsim as xs
from xbarsim.adaptions import Adaption, install, switch
from xbarsim.adaptions.base import Factors
from xbarsim.adaptions.owned import cells_by_owner
from xbarsim.chip import Chip
from xbarsim.dataflow.activity import window_activity
from xbarsim.mapping import Placement, place
from xbarsim.network import Network, load_network
from xbarsim.network.bundle_writer import write_bundle

SIZE = (f"crossbar.rows={ROWS}", "crossbar.cols=16", "scaler.energy_pj=0.1")


@pytest.fixture(scope="module")
def chip() -> Chip:
    return xs.load_chip("xbm_72", SIZE)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return write_bundle(tmp_path_factory.mktemp("rich") / "rich.xmn", rich())


@pytest.fixture(scope="module")
def resnet20() -> Network:
    return load_network("resnet20")


def placed(chip: Chip, network: Network, method: str) -> tuple[Adaption, Placement]:
    adaption = Adaption.named(method)()
    return adaption, place(chip, adaption.extend(network))


@pytest.mark.parametrize("method", ["xbm", "xma", "xst", "lorafusion"])
def test_a_switch_of_masks_writes_no_cell(chip: Chip, network: Network, method: str) -> None:
    adaption, placement = placed(chip, network, method)
    tasks = [None, *placement.network.tasks.values()]
    for old in tasks:
        for new in tasks:
            assert switch(adaption, placement, old, new).cells_written == 0


@pytest.mark.parametrize("method", ["xbm", "xma", "xst", "lorafusion"])
def test_nor_on_a_layer_table(method: str, resnet20: Network) -> None:
    run = xs.simulate(xs.load_chip("xbm_72"), resnet20, method, "task1:1,task2:1,task1:1").to_json()
    assert [entry["cells_written"] for entry in run["switches"]] == [0, 0, 0]
    assert run["switches"][0]["moved"]["mask_bits"] > 0
    assert run["wear"]["writes_max"] == 1, "installed once"


def test_lorafusion_installs_its_pool_once(chip: Chip, network: Network) -> None:
    adaption, placement = placed(chip, network, "lorafusion")
    names = {change.site.name for change in install(adaption, placement).layers if change.cells_written}
    assert {"conv1.pool_a", "conv1.pool_b"} <= names


@pytest.mark.parametrize("tier1", ["crossbar", "pe"])
def test_xma2_writes_only_in_what_it_has_chosen(tier1: str, resnet20: Network) -> None:
    drawn = resnet20.store.drawn.model_copy(update={"xma2_tier1": tier1})
    network = replace(resnet20, store=replace(resnet20.store, drawn=drawn))
    chip = xs.load_chip("xbm_72", ["pe.crossbars=4"])
    adaption, placement = placed(chip, network, "xma2")
    one, two = network.task("task1"), network.task("task2")
    written = 0
    for change in switch(adaption, placement, one, two).layers:
        name = change.site.name
        per_unit = 4 if tier1 == "pe" else 1
        masks = [adaption.units(chip, task, name).values for task in (one, two)]
        chosen = np.repeat(masks[0] | masks[1], per_unit)[: change.site.grid.crossbars].astype(bool)
        assert not change.crossbar_lines[~chosen].any()
        written += change.cells_written
        assert change.weights_touched >= change.codes_changed
    assert written > 0


def test_the_unit_map_is_the_layout(network: Network) -> None:
    """What a bundle calls crossbar 5 is crossbar 5 of the layer's grid, also in grouped layers."""
    for rows, cols in ((9, 16), (18, 32), (72, 72), (36, 24)):
        chip = xs.load_chip("xbm_72", [f"crossbar.rows={rows}", f"crossbar.cols={cols}"])
        base = load_network("resnet20")
        for source in (network, base):
            placement = place(xs.load_chip("xbm_72", [f"crossbar.rows={ROWS}"]) if source is network else chip, source)
            for site in placement.backbone:
                _compare_units(placement.chip, site)


def _compare_units(chip: Chip, site) -> None:
    from xbarsim.network import Geometry
    from xbarsim.network.masks import unit_map

    grid = site.grid
    file = chip.file
    units = unit_map(grid.layer, Geometry(file.crossbar.rows, False, grid.cols // grid.slices, 1))
    first = np.cumsum(grid.strip_crossbars) - grid.strip_crossbars
    for strip in range(len(grid.block)):
        for at in range(int(grid.channels[strip])):
            crossbar = int(first[strip]) + at * grid.slices // grid.cols
            assert units[grid.block[strip], grid.first_channel[strip] + at] == crossbar
    assert units.max() + 1 == grid.crossbars


# ---- shifts and scales ----------------------------------------------------------------------------


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=6),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
)
def test_shifting_a_partial_sum_is_scaling_its_weights(exponents: list[int], rows: int, seed: int) -> None:
    """Bit for bit, with as many guard bits as the smallest exponent asks for; nothing else is rounded.

    Column ``b`` of a channel holds row block ``b``. Its partial sum over all input bits and slices is
    shifted before row blocks are added; the reference multiplies the weights themselves, exactly.
    """
    random = np.random.default_rng(seed)
    weights = random.integers(-128, 128, (len(exponents), rows))
    inputs = random.integers(0, 256, (len(exponents), rows))
    guard = max(0, -min(exponents))
    total = 0
    for block, exponent in enumerate(exponents):
        partial = _bit_serial(weights[block], inputs[block])
        total += partial << (guard + exponent)  # guard bits stand below the binary point
    scaled = [(int(w) << guard + e) for row, e in zip(weights.tolist(), exponents, strict=True) for w in row]
    assert total == sum(w * x for w, x in zip(scaled, inputs.ravel().tolist(), strict=True))
    assert total / 2**guard == float((weights * np.exp2(exponents)[:, None] * inputs).sum())


def _bit_serial(weights: np.ndarray, inputs: np.ndarray) -> int:
    """A column's corrected partial sum: 2-bit slices of the offset code, input bit by input bit, less the offset."""
    total = 0
    for bit in range(8):
        plane = (inputs >> bit) & 1
        codes = weights + 128
        for position in range(4):
            total += int((plane * (codes >> (2 * position) & 3)).sum()) << (bit + 2 * position)
        total -= int(plane.sum()) * 128 << bit
    return total


def test_a_mask_without_shifts_is_a_plain_gate() -> None:
    factors = Factors("shift", np.zeros((2, 3), np.int8), np.ones((2, 3), bool))
    assert (factors.multipliers() == 1).all()


@pytest.mark.parametrize(("method", "action"), [("xma", ("shift_add", "shift")), ("xma2", ("scaler", "scale"))])
def test_every_partial_sum_passes_once_per_window(
    chip: Chip, network: Network, method: str, action: tuple[str, str]
) -> None:
    adaption, placement = placed(chip, network, method)
    task = network.task("red")
    for layer in HELD:
        site = placement.sites[layer]
        factors, on = adaption.factors(chip, task, layer), adaption.columns(chip, task, layer)
        counts = window_activity(placement, site, on, factors).counts
        assert counts[action] == np.count_nonzero(factors.used)
        plain = window_activity(placement, site, on).counts
        assert action not in plain
        del counts[action]
        assert counts == plain


def test_a_shift_is_priced_like_a_shift_and_add(chip: Chip, network: Network) -> None:
    run = xs.simulate(chip, network, "xma", "red:3")
    frame = run.energy[(run.energy.phase == "inference") & (run.energy.component == "shift_add")]
    each = {row.action: row.energy_pj / row.count for row in frame.itertuples() if row.count}
    assert each["shift"] == pytest.approx(each["add"])
    assert any("shift of a column's partial sum" in line for line in run.assumptions)


# ---- branches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "lorafusion", "repnet"])
def test_the_backbone_stands_as_without_branches(method: str, resnet20: Network) -> None:
    chip = xs.load_chip("xbm_72")
    plain = place(chip, resnet20)
    _, grown = placed(chip, resnet20, method)
    assert set(grown.sites) > set(plain.sites)
    before = None
    for name, site in grown.sites.items():
        if name in plain.sites:
            before = plain.sites[name]
            assert (site.copies, site.grid.crossbars) == (before.copies, before.grid.crossbars)
        else:
            assert site.copies == min(before.copies, site.stage.windows)
    assert grown.least_tiles > plain.least_tiles


def test_a_pair_stands_beside_its_layer(resnet20: Network) -> None:
    grown = Adaption.named("lora")().extend(resnet20)
    layer, a, b = (grown.layers[name] for name in ("conv1", "conv1.lora_a", "conv1.lora_b"))
    assert (a.kernel, a.in_hw, a.out_hw, a.c_out) == (layer.kernel, layer.in_hw, layer.out_hw, 8)
    assert (b.kernel, b.c_in, b.c_out) == ((1, 1), 8, layer.c_out)
    nodes = {node.name: node for node in grown.nodes}
    assert nodes["conv1.lora_add"].inputs == ("conv1", "conv1.lora_b")
    assert "conv1.lora_add" in nodes["bn1"].inputs
    assert grown.head.name == resnet20.head.name
    assert Adaption.named("lora")().extend(grown) is grown


def test_pairs_are_rewritten_and_the_backbone_is_not(chip: Chip, network: Network) -> None:
    adaption, placement = placed(chip, network, "lora")
    red, blue = (placement.network.task(name) for name in ("red", "blue"))
    written = {change.site.name for change in switch(adaption, placement, red, blue).layers}
    assert written == {"conv1.lora_a", "conv1.lora_b"}
    zeros = adaption.contents(chip, placement.network, None, "conv1.lora_a", 8)
    assert not zeros.any()


def test_patterns_choose_the_layers(tmp_path: Path) -> None:
    from xbarsim.config import find
    from xbarsim.errors import InputError

    text = find("workloads", "resnet20").read_text()
    path = tmp_path / "some.yaml"
    path.write_text(text.replace("synthetic: {", 'synthetic: {lora_layers: ["layer1.*"], '))
    grown = Adaption.named("lora")().extend(load_network(path))
    assert all(name.startswith("layer1.") for name in grown.layers if grown.branch(name))
    path.write_text(text.replace("synthetic: {", "synthetic: {lora_layers: [layr1.0.conv1], "))
    with pytest.raises(InputError, match="no layer 'layr1.0.conv1' .*did you mean 'layer1.0.conv1'"):
        Adaption.named("lora")().extend(load_network(path))
    path.write_text(text.replace("synthetic: {", "synthetic: {repnet_after: [fc], "))
    with pytest.raises(InputError, match="no feature map 'fc'"):
        Adaption.named("repnet")().extend(load_network(path))


def test_side_modules_end_the_stages(resnet20: Network) -> None:
    grown = Adaption.named("repnet")().extend(resnet20)
    ends = [node.name.removesuffix(".rep_add") for node in grown.nodes if node.name.endswith(".rep_add")]
    assert [grown.shape_of(name)[1:] for name in ends] == [(32, 32), (16, 16), (8, 8)]
    assert [grown.shape_of(f"{name}.rep_up") for name in ends] == [grown.shape_of(name) for name in ends]


@pytest.mark.parametrize(
    "overrides", [(), ("crossbar.encoding=differential",), ("crossbar.rows=128", "crossbar.cols=128")]
)
def test_the_installation_of_xst_says_what_was_programmed_for_whom(
    resnet20: Network, overrides: tuple[str, ...]
) -> None:
    """Owners share the cells written to the backbone's layers; unit columns and heads are nobody's."""
    chip = xs.load_chip("xbm_72", overrides)
    adaption, placement = placed(chip, resnet20, "xst")
    owned = cells_by_owner(adaption, placement)
    assert list(owned) == ["backbone", *resnet20.task_info]
    units = chip.has_unit_column
    expected = 0
    for change in install(adaption, placement).layers:
        if not change.site.grid.layer.head:
            grid = change.site.grid
            unit_cells = int((grid.rows * grid.strip_crossbars).sum()) if units else 0
            expected += (change.cells_written - unit_cells) * change.site.copies
    assert sum(owned.values()) == expected
    assert owned["backbone"] == max(owned.values())
    run = xs.simulate(chip, resnet20, "xst", "task1:1").to_json()
    assert run["install"]["cells_by_owner"] == owned
    assert "cells_by_owner" not in xs.simulate(chip, resnet20, "xbm", "task1:1").to_json()["install"]


def test_partial_fine_tuning_may_leave_the_cells_alone(resnet20: Network) -> None:
    """``partial_last: 0``: biases and normalisation only."""
    drawn = resnet20.store.drawn.model_copy(update={"partial_last": 0})
    network = replace(resnet20, store=replace(resnet20.store, drawn=drawn))
    chip = xs.load_chip("xbm_72")
    still = xs.simulate(chip, network, "finetune-partial", "task1:1").to_json()["switches"][0]
    assert (still["cells_written"], still["weight_bits"]) == (0, 0)
    assert still["norm_bits"] > 0
    moved = xs.simulate(chip, resnet20, "finetune-partial", "task1:1").to_json()["switches"][0]
    last = list(resnet20.layers.values())[-3:-1]
    assert moved["weight_bits"] == 8 * sum(layer.weights for layer in last)
