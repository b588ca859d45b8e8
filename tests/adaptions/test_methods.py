"""What every method says must be in the crossbars, weight by weight, and what it asks of a bundle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network.breaking import MANIFEST, MISSING, put, rename
from network.rich import HELD, LEVELS, rich
from network.small import ROWS
from scipy.stats import binom

import xbarsim as xs
from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.errors import InputError
from xbarsim.network import Network, Task, load_network
from xbarsim.network.bundle_writer import write_bundle
from xbarsim.network.masks import OFF
from xbarsim.network.synthetic import METHODS

SIZE = (f"crossbar.rows={ROWS}", "crossbar.cols=16", "scaler.energy_pj=0.1")
"""9 rows, and 16 columns for 4 logical ones of 8 bits."""


@pytest.fixture(scope="module")
def chip() -> Chip:
    return xs.load_chip("xbm_72", SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rich") / "rich.xmn"
    write_bundle(path, rich())
    return path


@pytest.fixture(scope="module")
def network(folder: Path) -> Network:
    return load_network(folder)


def test_every_method_of_the_table_is_there() -> None:
    assert set(Adaption.known()) >= set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_describes_itself(method: str) -> None:
    made = Adaption.named(method)
    assert all((made.granularity, made.rewrites, made.stores, made.source))
    assert made.needs
    assert made.source == "general practice" or any(mark in made.source for mark in ("arXiv", "doi", "20"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_a_bundle(chip: Chip, network: Network, method: str) -> None:
    run = xs.simulate(chip, network, method, "red:2,blue:1").to_json()
    rewriting = Adaption.named(method).rewrites != "nothing"
    assert (run["switches"][-1]["cells_written"] > 0) == rewriting
    assert run["stored"]["head_bits"] > 0


@pytest.mark.parametrize("method", METHODS)
def test_contents_fit_the_width_and_shape(chip: Chip, network: Network, method: str) -> None:
    adaption = Adaption.named(method)()
    grown = adaption.extend(network)
    for task in (None, *grown.tasks.values()):
        for name, layer in grown.layers.items():
            if layer.head:
                continue
            held = adaption.contents(chip, grown, task, name, 8)
            assert held.shape == (layer.c_out, layer.rows)
            assert held.dtype == np.int8
            if not adaption.rewritten(grown, task, name):
                assert np.array_equal(held, adaption.contents(chip, grown, None, name, 8))


def weight_by_weight(network: Network, task: Task, method: str, layer: str) -> np.ndarray:
    """The contents of a layer from one weight to the next, as the method's definition reads."""
    shape = network.layers[layer]
    frozen = network.integers(layer).astype(int)
    result = np.zeros((shape.c_out, shape.rows), int)
    mask, owners, units = task.mask(method, layer), network.owners(method, layer), task.units(method, layer)
    own, area = task.weights(method, layer), shape.kernel[0] * shape.kernel[1]
    shared = network.shared(method, layer).astype(int)
    for out in range(shape.c_out):
        for row in range(shape.rows):
            weight = frozen[out, row]
            if method in ("piggyback", "piggyback-ternary"):
                weight = weight * int(mask.values[out, row])
            elif method == "ksm":
                exact = weight * int(mask.values[out, row // area]) * mask.step
                weight = min(127, max(-128, round(exact)))
            elif method in ("packnet", "cpg"):
                owner = owners.values[out, row]
                picked = method == "packnet" or (mask is not None and mask.values[out, row])
                weight = shared[out, row] if owner == task.number or (owner < task.number and picked) else 0
            elif method == "xst":
                weight = shared[out, row]
            elif method == "xma2":
                group, inside = divmod(out, shape.c_out // shape.groups)
                if shape.groups == 1:
                    number = row // ROWS * (shape.c_out // 4) + out // 4
                else:  # 3 channels to a group, one crossbar of 4 columns to a group and row block
                    number = group * 4 + row // ROWS
                    assert inside < 4
                weight = own[out, row] if units.values[number] else weight
            elif own is not None:
                weight = own[out, row]
            result[out, row] = weight
    return result


FLAT = tuple(method for method in METHODS if method not in ("lora", "lorafusion", "repnet"))


@pytest.mark.parametrize("method", FLAT)
def test_contents_follow_the_definition(chip: Chip, network: Network, method: str) -> None:
    adaption = Adaption.named(method)()
    for task in network.tasks.values():
        for layer in HELD:
            held = adaption.contents(chip, network, task, layer, 8)
            assert np.array_equal(held, weight_by_weight(network, task, method, layer)), (task.name, layer)


@pytest.mark.parametrize("method", FLAT)
def test_what_is_touched_covers_what_changes(chip: Chip, network: Network, method: str) -> None:
    adaption, tasks = Adaption.named(method)(), network.tasks
    for layer in HELD:
        red, blue = (adaption.contents(chip, network, tasks[name], layer, 8) for name in ("red", "blue"))
        touched = adaption.touched(chip, network, tasks["red"], tasks["blue"], layer)
        assert np.count_nonzero(red != blue) <= touched <= network.layers[layer].weights
        assert adaption.touched(chip, network, tasks["red"], tasks["red"], layer) in (0, touched) or touched


def test_columns_of_xst_are_its_own_and_the_picked_ones(chip: Chip, network: Network) -> None:
    xst = Adaption.named("xst")()
    for task in network.tasks.values():
        for layer in HELD:
            owners, picks = network.owners("xst", layer).values, task.mask("xst", layer).values
            expected = [
                [owner == task.number or (owner < task.number and pick) for owner, pick in zip(*rows, strict=True)]
                for rows in zip(owners, picks, strict=True)
            ]
            assert np.array_equal(xst.columns(chip, task, layer), np.array(expected, int))
    assert xst.columns(chip, None, "conv1") is None


def test_xma_shifts_the_columns_that_are_on(chip: Chip, network: Network) -> None:
    xma, task = Adaption.named("xma")(), network.task("red")
    mask, factors = task.mask("xma", "conv1"), xma.factors(chip, task, "conv1")
    on = xma.columns(chip, task, "conv1").astype(bool)
    assert np.array_equal(on, mask.values != OFF)
    assert np.array_equal(factors.used, on)
    assert factors.multipliers()[on].tolist() == [2.0 ** int(e) for e in mask.values[on]]
    assert set(factors.multipliers()[on]) <= {2.0**level for level in LEVELS}
    assert xma.factors(chip, None, "conv1") is None


def test_xma2_scales_frozen_columns_only(chip: Chip, network: Network) -> None:
    xma2, task = Adaption.named("xma2")(), network.task("red")
    chosen, mask = xma2.chosen(chip, task, "conv1"), task.mask("xma2", "conv1")
    factors, on = xma2.factors(chip, task, "conv1"), xma2.columns(chip, task, "conv1").astype(bool)
    assert chosen.any()
    assert on[chosen].all()
    assert np.array_equal(on[~chosen], mask.values[~chosen] > 0)
    assert np.array_equal(factors.used, on & ~chosen)
    assert factors.kind == "scale"
    assert np.allclose(factors.multipliers()[factors.used], mask.values[factors.used] * 0.125)


# ---- what a bundle must bring ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("xma", put(MANIFEST, "tasks/red/methods/xma", MISSING), r"tasks\.red\.methods\.xma: .*no tensors 'xma/….*did you mean 'xma2'"),
        ("xbm", rename(MANIFEST, "tasks/red/methods", "xma", "xbm"), r"xbm\.masks\.conv1: .*needs binary masks by column; tensor 'xbm/masks/conv1' is a shift mask by column"),
        ("piggyback", rename(MANIFEST, "tasks/red/methods", "ksm", "piggyback"), "needs binary masks by element; tensor 'piggyback/masks/conv1' is a soft mask by kernel"),
        ("xma", rename(MANIFEST, "tasks/red/methods", "finetune", "xma"), r"needs shift masks by column, tensors 'xma/masks/LAYER'; the task has: weights"),
        ("packnet", put(MANIFEST, "shared/packnet/owners", {}), r"packnet\.owners: .*needs owner masks by element, tensors 'packnet/owners/LAYER'; the task has: shared"),
        ("xst", put(MANIFEST, "tasks/red/methods/xst/masks", {}), r"xst\.masks: .*needs pick masks by column, tensors 'xst/masks/LAYER'; the task has: owners, shared"),
        ("xma2", put(MANIFEST, "tasks/red/methods/xma2/units", {}), r"xma2\.units: .*needs binary masks by crossbar.pe"),
    ],
)  # fmt: skip
def test_a_task_that_lacks_tensors_is_refused(
    chip: Chip, folder: Path, tmp_path: Path, method: str, change, message: str
) -> None:
    broken = tmp_path / "rich.xmn"
    shutil.copytree(folder, broken)
    change(broken)
    network = _read_without_strays(broken)
    with pytest.raises(InputError, match=message) as raised:
        xs.simulate(chip, network, method, "red:1")
    assert str(broken) in str(raised.value)


def _read_without_strays(path: Path) -> Network:
    """Read a bundle whose manifest has moved on from its tensors: the method's own check is what is tested."""
    from xbarsim.network import bundle

    kept = bundle.check_task, bundle.check_shared
    bundle.check_task, bundle.check_shared = (lambda *args: []), (lambda *args: [])
    try:
        return load_network(path)
    finally:
        bundle.check_task, bundle.check_shared = kept


def test_a_scale_needs_a_scaler(network: Network) -> None:
    plain = xs.load_chip("xbm_72", SIZE[:2])
    with pytest.raises(InputError, match="scaler: .*has no scaler for the column factors of method 'xma2'"):
        xs.simulate(plain, network, "xma2", "red:1")


def test_column_methods_need_gates(network: Network) -> None:
    ungated = xs.load_chip("isaac", SIZE[:2])
    for method in ("xbm", "xma", "xma2", "xst"):
        with pytest.raises(InputError, match="no column gates"):
            xs.simulate(ungated, network, method, "red:1")


@pytest.mark.parametrize("method", ["xbm", "xma", "xma2", "xst"])
def test_masks_of_another_height_are_refused(network: Network, method: str) -> None:
    taller = xs.load_chip("xbm_72", ["crossbar.rows=18", "crossbar.cols=16", "scaler.energy_pj=0.1"])
    with pytest.raises(InputError, match=rf"{method} mask of layer 'conv1' was learned for columns of 9 rows"):
        xs.simulate(taller, network, method, "red:1")


def test_units_of_other_crossbars_are_refused(network: Network) -> None:
    wider = xs.load_chip("xbm_72", [f"crossbar.rows={ROWS}", "crossbar.cols=32", "scaler.energy_pj=0.1"])
    with pytest.raises(
        InputError, match="learned for crossbars of 4 logical columns, 1 to a unit; chip .* has 8 and 1"
    ):
        xs.simulate(wider, network, "xma2", "red:1")
    uneven = xs.load_chip("xbm_72", [f"crossbar.rows={ROWS}", "crossbar.cols=18", "scaler.energy_pj=0.1"])
    with pytest.raises(InputError, match="4 slices of a column do not divide 18"):
        xs.simulate(uneven, network, "xma2", "red:1")


# ---- published closed forms -----------------------------------------------------------------------


@settings(max_examples=20)
@given(zero=st.floats(0.02, 0.98), seed=st.integers(0, 1000))
def test_independent_piggyback_masks_touch_2p_1_minus_p(zero: float, seed: int) -> None:
    """Weights whose mask bit differs: 2p(1 - p) of all, p the share of zeros, within five sigma."""
    network = load_network("resnet20", seed=seed)
    drawn = network.store.drawn.model_copy(update={"piggyback_on": 1 - zero})
    network = replace(network, store=replace(network.store, drawn=drawn))
    adaption, layer = Adaption.named("piggyback")(), max(network.layers.values(), key=lambda layer: layer.weights)
    chip = xs.load_chip("xbm_72")
    touched = adaption.touched(chip, network, network.task("task1"), network.task("task2"), layer.name)
    share = 2 * zero * (1 - zero)
    low, high = binom.interval(1 - 6e-7, layer.weights, share)
    assert low <= touched <= high
    first = adaption.touched(chip, network, None, network.task("task1"), layer.name)
    low, high = binom.interval(1 - 6e-7, layer.weights, zero)
    assert low <= first <= high
